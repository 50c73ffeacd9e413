/** Whole messages against what other decoders say about them. */
import assert from "node:assert/strict";
import { formatIp4 } from "../../src/base/ip.ts";
import type { DecodeContext } from "../../src/wire/decode-context.ts";
import { Frame, Framer } from "../../src/wire/framer.ts";
import { MessageType } from "../../src/wire/message.ts";
import { decodeNotification } from "../../src/wire/notification.ts";
import { decodeOpen, isWireError } from "../../src/wire/open.ts";
import { decodeRefresh } from "../../src/wire/refresh.ts";
import { UpdateScratch } from "../../src/wire/scratch.ts";
import { decodeUpdate } from "../../src/wire/update-decode.ts";
import { Verdict } from "../../src/wire/verdict.ts";
import { fromHex } from "../support/wire.ts";
import { fromBgpdump, fromExabgp, fromNetgauze, fromTshark, type OracleView, walk } from "./oracles.ts";
import { eachRow, Tally, type VectorRow, vectorTest, viewOf } from "./support.ts";

vectorTest(
  "messages of captures, ExaBGP, NetGauze, Holo and the internet",
  ["bgp-messages", "interop-lab"],
  (rows, context) => {
    const tally = new Tally();
    eachRow(
      rows.filter((row) => row.kind === "bgp-message"),
      (row) => checkMessage(row, tally),
    );
    tally.tell(context);
    assert.ok(tally.count("UPDATE agrees") >= 500);
    assert.ok(tally.count("OPEN agrees") >= 30);
  },
);

function checkMessage(row: VectorRow, tally: Tally): void {
  const bytes = fromHex(row.hex);
  const framer = new Framer();
  const frame = framer.next(bytes, 0, bytes.length, 65_535);
  if (frame !== Frame.message) {
    tally.add(`not a message of a known type: ${framer.error?.text ?? "cut off"}`);
    return;
  }
  const tree = row.expect.tshark as never;
  if (framer.type === MessageType.update) checkUpdate(row, bytes, tally);
  else if (framer.type === MessageType.open) checkOpen(row, bytes, tally);
  else if (framer.type === MessageType.notification && tree) {
    const notification = decodeNotification(bytes, 0, bytes.length);
    walk(tree, (node) => {
      if (node["bgp.notify.major_error"] === undefined) return;
      const wireCode = notification.hardReset ? 6 : notification.code;
      assert.equal(String(wireCode), node["bgp.notify.major_error"], row.name);
      const text = node["bgp.notify.communication"];
      if (typeof text === "string") assert.equal(notification.shutdownMessage, text, row.name);
    });
    tally.add("NOTIFICATION agrees");
  } else if (framer.type === MessageType.routeRefresh && tree) {
    const refresh = decodeRefresh(bytes, 0, bytes.length);
    assert.ok(!isWireError(refresh));
    walk(tree, (node) => {
      if (node["bgp.route_refresh.afi"] === undefined) return;
      const { afi, safi, subtype } = refresh;
      assert.deepEqual(
        [String(afi), String(safi), String(subtype)],
        ["afi", "safi", "subtype"].map((field) => node[`bgp.route_refresh.${field}`]),
        row.name,
      );
    });
    tally.add("ROUTE-REFRESH agrees");
  } else tally.add("nothing to compare (KEEPALIVE, or no oracle)");
}

function checkOpen(row: VectorRow, bytes: Uint8Array, tally: Tally): void {
  const open = decodeOpen(bytes, 0, bytes.length);
  const netgauze = (row.expect.netgauze as { Open?: Record<string, unknown> } | undefined)?.Open;
  const tree = row.expect.tshark as Record<string, string> | undefined;
  if (isWireError(open)) {
    tally.add(`OPEN refused: ${open.code}/${open.subcode} ${open.text}`);
    return;
  }
  if (netgauze) {
    assert.equal(open.holdTimeS, netgauze.hold_time, row.name);
    assert.equal(formatIp4(open.routerId), netgauze.bgp_id, row.name);
  }
  if (tree) {
    assert.equal(String(open.holdTimeS), tree["bgp.open.holdtime"], row.name);
    assert.equal(formatIp4(open.routerId), tree["bgp.open.identifier"], row.name);
    const codes: string[] = [];
    walk(tree as never, (node) => {
      if (typeof node["bgp.cap.type"] === "string") codes.push(node["bgp.cap.type"]);
      if (node["bgp.cap.4as"] !== undefined) assert.equal(String(open.asn), node["bgp.cap.4as"], row.name);
    });
    assert.equal(open.capabilities.length, codes.length, row.name);
  }
  tally.add("OPEN agrees");
}

const scratch = new UpdateScratch();

function checkUpdate(row: VectorRow, bytes: Uint8Array, tally: Tally): void {
  const oracle = oracleOf(row);
  const context: DecodeContext = {
    fourOctetAs: oracle?.fourOctetAs ?? true,
    addPath: oracle?.addPath ? 3 : 0,
    external: false,
    families: 3,
  };
  decodeUpdate(bytes, 0, bytes.length, context, scratch);
  if (!oracle || row.expect.tshark_malformed !== undefined) {
    tally.add("no verdict of the oracle; decoded without a crash");
    return;
  }
  const view = viewOf(scratch, bytes);
  const problem = scratch.problems.find((one) => one.verdict === scratch.verdict);
  const elsewhere = oracle.other || scratch.problems.some((one) => one.text.includes("is not negotiated"));
  if (elsewhere && view.announced.length + view.withdrawn.length === 0) {
    assert.ok(scratch.verdict <= Verdict.discardAttribute || problem?.subcode !== 0, row.name);
    // bgpdump does not tell multicast (SAFI 2) from unicast.
    if (!row.expect.bgpdump) assert.deepEqual([oracle.announced, oracle.withdrawn], [[], []], row.name);
    tally.add("family not supported: left alone as not negotiated");
    return;
  }
  if (scratch.verdict >= Verdict.resetSession) {
    const reason = problem?.text ?? "";
    assert.match(
      reason,
      /next hop of \d+ bytes|MP_\w+ occurs more than once|run past the end/,
      `${row.name}: ${reason}`,
    );
    tally.add(`oracle accepts, RFC wants a reset: ${reason}`);
    return;
  }
  assert.deepEqual(view.announced, oracle.announced, row.name);
  assert.deepEqual(view.withdrawn, oracle.withdrawn, row.name);
  if (scratch.verdict >= Verdict.treatAsWithdraw) {
    tally.add(`routes agree, RFC wants them withdrawn: ${problem?.text}`);
    return;
  }
  if (view.announced.length > 0) {
    for (const [field, expected] of Object.entries(oracle)) {
      if (["other", "fourOctetAs", "addPath"].includes(field) || expected === undefined) continue;
      assert.deepEqual(view[field as keyof typeof view], expected, `${row.name}: ${field}`);
    }
  }
  tally.add("UPDATE agrees");
}

function oracleOf(row: VectorRow): OracleView | undefined {
  const { exabgp_json, netgauze, bgpdump, tshark } = row.expect as Record<string, never>;
  if (exabgp_json) return fromExabgp(exabgp_json);
  if (netgauze) return fromNetgauze(netgauze);
  if (bgpdump) return fromBgpdump(bgpdump, row.ctx?.as4 === true);
  return tshark ? fromTshark(tshark) : undefined;
}
