/** MRT files of collectors and of other daemons: each reads as the text beside it says, line by line. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { dumpLines } from "../../src/mrt/lines.ts";
import { MrtReader } from "../../src/mrt/reader.ts";
import { MrtStats } from "../../src/mrt/stats.ts";
import { sharedFolder } from "./support.ts";

const folder = join(sharedFolder, "vectors/mrt");
const skip = existsSync(folder) ? false : `no vectors at ${folder}`;

interface Expected {
  readonly text: string;
  /** Where the text is wrong, and why: the lines that are right instead. */
  readonly corrections?: (lines: string[]) => void;
}

const files: Readonly<Record<string, Expected>> = {
  "bview.64k_stream_overflow.gz": { text: "bview.64k_stream_overflow.gz.bgpdump-m.gz" },
  "bview.ipv4_unicast_add_path.gz": { text: "bview.ipv4_unicast_add_path.gz.bgpdump-m.gz" },
  "full-2010-rrc06.mrt.gz": { text: "full-2010-rrc06.bgpdump-m.gz" },
  "mrtparse-bird-mrtdump_bgp.mrt": { text: "mrtparse-bird-mrtdump_bgp.mrt.bgpdump-m" },
  "mrtparse-bird-mrtdump_rib.mrt": { text: "mrtparse-bird-mrtdump_rib.mrt.bgpdump-m" },
  "mrtparse-bird_bgp.mrt": { text: "mrtparse-bird_bgp.mrt.bgpdump-m", corrections: withPathIds },
  "mrtparse-openbgpd_bgp.mrt": { text: "mrtparse-openbgpd_bgp.mrt.bgpdump-m" },
  "mrtparse-openbgpd_rib_table-v2.mrt": { text: "mrtparse-openbgpd_rib_table-v2.mrt.bgpdump-m" },
  "mrtparse-openbgpd_rib_table.mrt": {
    text: "mrtparse-openbgpd_rib_table.mrt.bgpdump-m",
    corrections: (lines) => {
      // An AGGREGATOR of eight bytes, which bgpdump takes for one of six.
      const wrong = lines.findIndex((line) => line.endsWith("|0 253.232.192.168|"));
      lines[wrong] = lines[wrong].replace("0 253.232.192.168", "65000 192.168.0.15");
    },
  },
  "mrtparse-quagga_bgp.mrt": { text: "mrtparse-quagga_bgp.mrt.bgpdump-m" },
  "updates.20020722.2238.gz": { text: "updates.20020722.2238.gz.bgpdump-m.gz" },
  "updates.20070211.0141.gz": { text: "updates.20070211.0141.gz.bgpdump-m.gz" },
  "updates.20160811.1600.gz": { text: "updates.20160811.1600.gz.bgpdump-m.gz" },
  "updates.long_withdrawal.gz": { text: "updates.long_withdrawal.gz.bgpdump-m.gz" },
  "updates.nlri_mask_trailing_bits.gz": { text: "updates.nlri_mask_trailing_bits.gz.bgpdump-m.gz" },
};

/**
 * BIRD wrote the NLRI of an Add-Path session into records that do not say so: bgpdump reads the path identifiers as
 * prefixes such as 0.0.0.0/0, four lines of nonsense for three prefixes (or for one).
 */
function withPathIds(lines: string[]): void {
  for (let i = 0; i < lines.length; i++) {
    const fields = lines[i].split("|");
    if (fields[2] !== "A" || fields[5] !== "0.0.0.0/0") continue;
    const [, time, , peer, asn, , ...route] = fields;
    const pathId = lines[i + 3].split("|")[5] === "24.0.0.0/2" ? 2 : 1;
    const prefixes =
      route[0] === "" ? ["192.168.16.0/24"] : ["172.17.0.0/24", "172.17.1.0/24", "172.17.2.0/24"];
    const right = prefixes.map((prefix) =>
      ["BGP4MP_AP", time, "A", peer, asn, prefix, pathId, ...route].join("|"),
    );
    lines.splice(i, 4, ...right);
    i += right.length - 1;
  }
}

function bytesOf(name: string): Uint8Array {
  const bytes = readFileSync(join(folder, name));
  return name.endsWith(".gz") ? gunzipSync(bytes) : bytes;
}

for (const [name, { text, corrections }] of Object.entries(files)) {
  test(`MRT: ${name} reads as its text says`, { skip }, () => {
    const expected = Buffer.from(bytesOf(text)).toString("utf8").trimEnd().split("\n");
    corrections?.(expected);
    let at = 0;
    const { faulty, skipped } = eachRecord(name, (reader) => {
      if (reader.body.kind === "fault") return;
      for (const line of dumpLines(reader.header, reader.body)) {
        if (line !== expected[at]) assert.equal(line, expected[at], `line ${at + 1}`);
        at++;
      }
    });
    assert.equal(at, expected.length);
    assert.equal(faulty + skipped, 0);
  });
}

test("MRT: the records of each file are those of the list beside them", { skip }, () => {
  const rows = Buffer.from(bytesOf("record-counts.jsonl")).toString("utf8").trimEnd().split("\n");
  assert.equal(rows.length, 14);
  for (const row of rows) {
    const { file, records } = JSON.parse(row) as { file: string; records: Record<string, number> };
    const found: Record<string, number> = {};
    eachRecord(file, ({ header }) => {
      const key = `${header.type}/${header.subtype}`;
      found[key] = (found[key] ?? 0) + 1;
    });
    assert.deepEqual(found, records, file);
  }
});

test("MRT: slices of the table have the prefixes and peers that their names promise", { skip }, () => {
  const stats = new MrtStats();
  eachRecord("slice-2010-10k.mrt.gz", ({ header, body }) => stats.add(header, body));
  assert.equal(stats.prefixes, 10_000);
  assert.equal(
    [...stats.routes.values()].reduce((sum, count) => sum + count),
    19_849,
  );
  assert.equal(stats.faults, 0);
});

function eachRecord(name: string, visit: (reader: MrtReader) => void): MrtReader {
  const bytes = bytesOf(name);
  const reader = new MrtReader();
  for (let at = 0; at < bytes.length; at += 1 << 16) {
    reader.push(bytes.subarray(at, at + (1 << 16)));
    while (reader.next()) visit(reader);
  }
  assert.equal(reader.end(), undefined);
  return reader;
}
