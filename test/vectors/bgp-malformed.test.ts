/** Malformed input against what RFC 7606, FRR, GoBGP and bio-rd expect of it. */
import assert from "node:assert/strict";
import { decodeBlock } from "../../src/wire/block.ts";
import type { Capability } from "../../src/wire/capabilities.ts";
import type { DecodeContext } from "../../src/wire/decode-context.ts";
import { Frame, Framer } from "../../src/wire/framer.ts";
import { decodeOpen, isWireError, walkCapabilities } from "../../src/wire/open.ts";
import { UpdateScratch } from "../../src/wire/scratch.ts";
import { decodeUpdate } from "../../src/wire/update-decode.ts";
import { Verdict } from "../../src/wire/verdict.ts";
import { fromHex, toHex, update } from "../support/wire.ts";
import { eachRow, Tally, type VectorRow, vectorTest } from "./support.ts";

const scratch = new UpdateScratch();

function contextOf(row: VectorRow): DecodeContext {
  const peer = row.ctx?.peer ?? "ebgp";
  return { fourOctetAs: row.ctx?.as4 === true, addPath: 0, external: peer !== "ibgp", families: 3 };
}

/** An UPDATE with one IPv4 route around a block of attributes. */
function decodeAttributes(hex: string, context: DecodeContext, reach = "18 0a0102"): void {
  const bytes = update(hex, reach);
  decodeUpdate(bytes, 0, bytes.length, context, scratch);
}

/** Rows where FRR or GoBGP does other than the RFC says; what we do instead, and why. */
const findings: Readonly<Record<string, { verdict: Verdict; why: string }>> = {
  "as4path-seg-type-0": {
    verdict: Verdict.ok,
    why: "RFC 6793 6: AS4_PATH from a four-octet peer is discarded unread",
  },
  "Invalid flag": { verdict: Verdict.resetSession, why: "RFC 7606 5.2: no routes to withdraw" },
};

const outcomes: Readonly<Record<string, Verdict>> = {
  withdraw: Verdict.treatAsWithdraw,
  discard: Verdict.discardAttribute,
  "session-reset": Verdict.resetSession,
  "afi-safi-disable (RFC 7606 7.11: or session-reset)": Verdict.resetSession,
};

vectorTest(
  "RFC 7606 outcomes of whole UPDATEs",
  [
    "frr-rfc7606-treat-as-withdraw",
    "frr-rfc7606-session-reset",
    "gobgp-malformed-updates",
    "lab-exabgp-vpn-in-plain-nlri",
  ].map((file) => `bgp-malformed/${file}.jsonl`),
  (rows, context) => {
    const tally = new Tally();
    eachRow(rows, (row) => {
      const base = row.name.split("/")[0];
      if (/^(pmsi|encap)-/.test(base))
        return tally.add("PMSI_TUNNEL and tunnel encapsulation are not interpreted");
      if (row.ctx?.peer === "ebgp-oad" && /^local-pref/.test(base)) {
        return tally.add("one administrative domain (OAD) sessions are not supported");
      }
      const bytes = fromHex(row.hex);
      decodeUpdate(bytes, 0, bytes.length, contextOf(row), scratch);
      const finding = findings[base];
      const expected = finding?.verdict ?? outcomes[String(row.expect.outcome)];
      assert.notEqual(expected, undefined, String(row.expect.outcome));
      // Attributes out of scope are dropped without a word.
      const silent = expected === Verdict.discardAttribute && /^(originator|cluster|local-pref)/.test(base);
      assert.equal(
        scratch.verdict,
        silent ? Verdict.ok : expected,
        scratch.problems.map((one) => one.text).join("; "),
      );
      if (expected <= Verdict.discardAttribute && scratch.reach.count > 0) {
        const { bytes: block, start, end } = scratch.block;
        const { originatorId, clusterList } = decodeBlock(block, start, end);
        assert.deepEqual([originatorId, clusterList], [undefined, []]);
      }
      tally.add(finding ? `finding: ${finding.why}` : "as expected");
    });
    tally.tell(context);
  },
);

vectorTest("FRR attribute blocks", ["bgp-malformed/frr-unit-attr-parse.jsonl"], (rows, context) => {
  const tally = new Tally();
  eachRow(rows, (row) => {
    if (row.ctx?.peer === "ebgp-oad")
      return tally.add("one administrative domain (OAD) sessions are not supported");
    decodeAttributes(row.hex, contextOf(row), row.ctx?.has_nlri ? undefined : "");
    const result = String(row.expect.result);
    if (result.startsWith("accept"))
      assert.ok(scratch.verdict <= Verdict.discardAttribute, scratch.problems[0]?.text);
    else
      assert.equal(
        scratch.verdict,
        result === "session-reset" ? Verdict.resetSession : Verdict.treatAsWithdraw,
      );
    tally.add("as expected");
  });
  tally.tell(context);
});

vectorTest("FRR MP_REACH_NLRI values", ["bgp-malformed/frr-unit-mp-reach.jsonl"], (rows, context) => {
  const tally = new Tally();
  eachRow(rows, (row) => {
    const length = (row.hex.length / 2).toString(16).padStart(4, "0");
    decodeAttributes(
      `900e${length}${row.hex}40010100 40020602010000fde9`,
      { ...contextOf(row), fourOctetAs: true },
      "",
    );
    const [afi, safi] = [row.hex.slice(0, 4), row.hex.slice(4, 6)];
    if (safi !== "01" || (afi !== "0001" && afi !== "0002")) {
      assert.ok(scratch.verdict <= Verdict.discardAttribute);
      return tally.add(`AFI/SAFI ${afi}/${safi} is not supported: left alone`);
    }
    if (row.name === "IPv6-bug") {
      assert.equal(scratch.verdict, Verdict.ok);
      return tally.add("finding: a default route with a next hop of 32 bytes is well-formed");
    }
    if (row.hex.startsWith("000201") && row.expect.result === "accept") {
      assert.equal(scratch.verdict, Verdict.treatAsWithdraw);
      assert.match(scratch.problems[0].text, /multicast/);
      assert.equal(scratch.mpReach.count > 0, true);
      return tally.add("parses as expected; the next hop of the sample is multicast, so it is withdrawn");
    }
    assert.equal(scratch.verdict, row.expect.result === "accept" ? Verdict.ok : Verdict.resetSession);
    tally.add("as expected");
  });
  tally.tell(context);
});

vectorTest("GoBGP NEXT_HOP lengths", ["bgp-malformed/gobgp-nexthop-lengths.jsonl"], (rows, context) => {
  const tally = new Tally();
  eachRow(rows, (row) => {
    decodeAttributes(`40010100 40020602010000fde9 ${row.hex}`, { ...contextOf(row), fourOctetAs: true });
    const accept = row.expect.result === "accept" && row.name !== "valid IPv6";
    assert.equal(scratch.verdict, accept ? Verdict.ok : Verdict.treatAsWithdraw, scratch.problems[0]?.text);
    tally.add(row.name === "valid IPv6" ? "finding: RFC 7606 7.3 allows only 4 bytes" : "as expected");
  });
  tally.tell(context);
});

vectorTest(
  "FRR capabilities",
  ["misc", "mp", "test"].map((part) => `bgp-malformed/frr-unit-capability-${part}-segments.jsonl`),
  (rows, context) => {
    const tally = new Tally();
    eachRow(rows, (row) => {
      const bytes = fromHex(row.hex);
      const capabilities: Capability[] = [];
      const error = walkCapabilities(bytes, 0, bytes.length, capabilities);
      if (bytes[0] === 3) return tally.add("outbound route filtering is not supported: kept raw");
      assert.equal(error === undefined, row.expect.result === "accept");
      if (error) assert.deepEqual([error.code, error.subcode], [2, 0]);
      const peek = row.expect.peek_as4;
      const as4 = capabilities.find((capability) => capability.kind === "four-octet-as");
      if (peek !== undefined && !error) assert.equal(as4?.kind === "four-octet-as" ? as4.asn : 0, peek);
      tally.add("as expected");
    });
    tally.tell(context);
  },
);

vectorTest(
  "OPENs of CVEs are answered with an OPEN error",
  ["bgp-malformed/cve-open-messages.jsonl"],
  (rows) => {
    eachRow(rows, (row) => {
      const bytes = fromHex(row.hex);
      const result = decodeOpen(bytes, 0, bytes.length);
      assert.ok(isWireError(result));
      assert.equal(result.code, 2);
    });
  },
);

vectorTest(
  "byte streams of fuzzers",
  ["bgp-malformed/bio-rd-fuzz-corpus.jsonl", "bgp-malformed/gobgp-fuzz-bad-len.jsonl"],
  (rows, context) => {
    const tally = new Tally();
    eachRow(rows, (row) => {
      const bytes = fromHex(row.hex);
      const framer = new Framer();
      const first = framer.next(bytes, 0, bytes.length, 4096);
      const check = String(row.expect.rfc4271_header_check);
      const notification = /NOTIFICATION (\d)\/(\d)/.exec(check);
      if (notification) {
        assert.equal(first, Frame.error);
        assert.equal(
          `${framer.error?.code}/${framer.error?.subcode}`,
          `${notification[1]}/${notification[2]}`,
        );
      } else if (check.startsWith("incomplete")) {
        assert.equal(first, Frame.incomplete);
      } else {
        assert.ok(first !== Frame.error || framer.error?.subcode !== 1, String(framer.error?.text));
      }
      let at = 0;
      while (framer.next(bytes, at, bytes.length, 4096) === Frame.message) {
        if (framer.type === 1) decodeOpen(bytes, framer.start, framer.end);
        if (framer.type === 2) decodeUpdate(bytes, framer.start, framer.end, contextOf(row), scratch);
        at = framer.end;
      }
      tally.add(
        `first frame: ${["incomplete", "message", `error ${framer.error?.code}/${framer.error?.subcode}`][first]}`,
      );
    });
    tally.tell(context);
  },
);

vectorTest(
  "OpenBGPD community attributes round-trip",
  ["bgp-messages/openbgpd-communities.jsonl"],
  (rows, context) => {
    const tally = new Tally();
    eachRow(rows, (row) => {
      const note = String((row as unknown as { note: string }).note);
      decodeAttributes(`40010100 40020602010000fde9 400304c0000201 ${row.hex}`, {
        ...contextOf(row),
        fourOctetAs: true,
      });
      assert.ok(scratch.verdict <= Verdict.discardAttribute, scratch.problems[0]?.text);
      if (note !== "must round-trip") return tally.add("re-encoding toward eBGP is the export's task");
      const { bytes, start, end } = scratch.block;
      assert.equal(toHex(bytes, start + 20, end), row.expect.reencoded);
      tally.add("as expected");
    });
    tally.tell(context);
  },
);
