import assert from "node:assert/strict";
import { test } from "node:test";
import { expandName, nameFault, nameParts } from "./file-name.ts";
import { dumpLines } from "./lines.ts";
import { MrtReader, recordBytesMax } from "./reader.ts";

/** A record of so many bytes with a header that says `says`. */
function record(type: number, subtype: number, bytes: number, says = bytes): Uint8Array {
  const out = new Uint8Array(12 + bytes);
  const view = new DataView(out.buffer);
  view.setUint16(4, type);
  view.setUint16(6, subtype);
  view.setUint32(8, says);
  return out;
}

test("unknown types are passed over without being kept, however long they say they are", () => {
  const reader = new MrtReader();
  reader.push(record(99, 1, 10, 0xffff_ffff));
  assert.equal(reader.next(), false);
  const chunk = new Uint8Array(1 << 20);
  for (let i = 0; i < 4095; i++) {
    reader.push(chunk);
    assert.equal(reader.next(), false);
  }
  assert.equal(reader.skipped, 1);
  assert.equal(reader.end()?.offset, 0);
  reader.push(chunk.subarray(0, (1 << 20) - 11));
  reader.push(record(16, 5, 24));
  assert.equal(reader.next(), true);
  assert.equal(reader.header.offset, 2 ** 32 + 11);
  assert.equal(reader.end(), undefined);
});

test("a record of a known type that is too long to be one ends the reading", () => {
  const reader = new MrtReader();
  reader.push(record(13, 2, 4, recordBytesMax));
  assert.equal(reader.next(), false);
  assert.match(reader.end()?.text ?? "", /hardly an MRT file/);
  reader.push(new Uint8Array(1 << 20));
  assert.equal(reader.next(), false);
});

test("a record whose parts run past its end is a fault, and the next one is read", () => {
  const reader = new MrtReader();
  const broken = record(13, 2, 12);
  broken[16] = 24; // a prefix of 24 bits
  broken[12 + 8] = 0xff; // and 65,280 entries
  reader.push(broken);
  reader.push(record(16, 5, 24).fill(1, 23, 24));
  assert.equal(reader.next(), true);
  assert.equal(reader.body.kind, "fault");
  assert.equal(reader.next(), true);
  assert.equal(reader.faulty, 1);
  assert.equal(reader.header.offset, 24);
});

test("a TABLE_DUMP record of either family gives its line", () => {
  const reader = new MrtReader();
  const body = [0, 0, 0, 1, 192, 0, 2, 0, 24, 1, 0, 0, 0, 9, 198, 51, 100, 1, 0xfd, 0xe8];
  const attributes = [0x40, 1, 1, 0, 0x40, 2, 4, 2, 1, 0xfd, 0xe8, 0x40, 3, 4, 198, 51, 100, 1];
  const whole = [...body, 0, attributes.length, ...attributes];
  const bytes = record(12, 1, whole.length);
  bytes.set(whole, 12);
  reader.push(bytes);
  assert.ok(reader.next());
  assert.notEqual(reader.body.kind, "fault");
  if (reader.body.kind !== "fault")
    assert.deepEqual(dumpLines(reader.header, reader.body), [
      "TABLE_DUMP|0|B|198.51.100.1|65000|192.0.2.0/24|65000|IGP|198.51.100.1|0|0||NAG||",
    ]);
});

test("names of files: conversions in UTC, and the files that they have given rise to", () => {
  const at = Date.UTC(2026, 10, 21, 8, 5, 9);
  assert.equal(expandName("%Y.%m/rib.%Y%m%d.%H%M.gz", at), "2026.11/rib.20261121.0805.gz");
  assert.equal(expandName("%y-%j-%S-%s-%%", at), `26-325-09-${at / 1000}-%`);
  const [folder, file] = nameParts("%Y.%m/rib.%Y%m%d.gz");
  assert.ok(folder.test("2026.11"));
  assert.ok(!folder.test("2026x11"));
  assert.ok(file.test("rib.20261121.gz"));
  assert.ok(file.test("rib.20261121.gz.2"));
  assert.ok(!file.test("rib.20261121.gz.part"));
  assert.equal(nameFault("rib.%Y%m%d.gz"), undefined);
  for (const bad of ["/etc/passwd", "../x", "a//b", "a/./b", "", "%Q", "100%"]) {
    assert.ok(nameFault(bad), bad);
  }
});
