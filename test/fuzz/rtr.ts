/**
 * Fuzz target: any bytes from a cache leave a client that is in a state, has said at most one Error Report per
 * connection, and whose data is either what it was or what a whole answer said. Files of VRPs and SLURM are read too.
 */
import assert from "node:assert/strict";
import { RtrClient } from "../../src/rpki/client.ts";
import { parseVrpFile } from "../../src/rpki/json-records.ts";
import { decodePdu, headerBytes, Pdu, PduType, pduBytesMax } from "../../src/rpki/pdu.ts";
import { parseSlurm } from "../../src/rpki/slurm.ts";
import { RpkiSources } from "../../src/rpki/sources.ts";
import { FakeCache } from "../support/rtr-cache.ts";
import { fromHex } from "../support/wire.ts";

export { mutate } from "./mutate.ts";

/** Whole answers of caches in all versions, and files. */
export function seeds(): Uint8Array[] {
  const records = ["192.0.2.0/24 28 64496", "2001:db8::/32 48 64497", "aspa 64496 64497 64498"];
  const answers = [0, 1, 2].map((version) => {
    const cache = new FakeCache(records);
    cache.maxVersion = version;
    const query = fromHex(`0${version}02000000000008`);
    return Uint8Array.from(Buffer.concat([...cache.receive(query), cache.notify()]));
  });
  const file = '{"roas":[{"prefix":"192.0.2.0/24","maxLength":28,"asn":"AS64496"}],"aspas":[]}';
  return [...answers, new TextEncoder().encode(file)];
}

/** Throws when something that must hold does not. */
export function target(input: Uint8Array): void {
  if (input[0] === 0x7b) {
    readFiles(new TextDecoder().decode(input));
    return;
  }
  onePdu(input);
  const sources = new RpkiSources();
  const source = sources.add("cache", "cache");
  let errors = 0;
  let begun = 0;
  let ended = 0;
  const client = new RtrClient(
    { maxVersion: 2, refreshS: 0, retryS: 0, expireS: 0 },
    {
      connect: () => {},
      send: (bytes) => {
        if (bytes[1] === PduType.errorReport) errors++;
      },
      disconnect: () => {},
      pause: () => {},
      begin: (full) => {
        begun++;
        assert.ok(sources.begin(source, full));
      },
      ready: () => {
        while (!sources.isReady(source)) sources.step(10);
        return true;
      },
      take: (pdu, bytes) => sources.take(source, pdu, bytes),
      commit: () => {
        ended++;
        sources.commit(source);
      },
      abandon: () => {
        ended++;
        sources.abandon(source);
      },
      expired: () => sources.drop(source),
      tell: (_what, text) => assert.ok(text.length > 0),
    },
  );
  client.tick(0);
  client.connected(0);
  // In pieces, as a socket gives them.
  for (let at = 0; at < input.length; at += 7) {
    client.bytes(input.subarray(at, at + 7));
    while (client.hasWork) client.pump(2, at);
    while (sources.hasWork) sources.step(10);
  }
  assert.ok(errors <= 1, "one Error Report ends a connection");
  assert.ok(begun === ended || client.state === "receiving", "an answer that began ends or goes on");
  client.stop();
  while (sources.hasWork) sources.step(10);
  const { vrps4, vrps6 } = source.counts;
  assert.equal(sources.vrps.inForce[4] + sources.vrps.inForce[16], vrps4 + vrps6);
  assert.equal(sources.vrps.count, vrps4 + vrps6);
}

function onePdu(input: Uint8Array): void {
  const pdu = new Pdu();
  const length = decodePdu(input, 0, input.length, pdu);
  if (length < 0) assert.ok(pdu.problem.length > 0 && pdu.error >= 0 && pdu.error <= 9);
  else if (length > 0) assert.ok(length >= headerBytes && length <= Math.min(input.length, pduBytesMax));
}

function readFiles(text: string): void {
  const vrps = parseVrpFile(text, 0);
  if (vrps.ok) {
    const pdu = new Pdu();
    for (let at = 0; at < vrps.value.length; ) {
      const length = decodePdu(vrps.value, at, vrps.value.length, pdu);
      assert.ok(length > 0, "a file gives whole PDUs");
      at += length;
    }
  } else assert.ok(vrps.problems.length > 0);
  const slurm = parseSlurm(text);
  if (!slurm.ok) assert.ok(slurm.problems.length > 0);
}
