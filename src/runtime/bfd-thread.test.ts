import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { BfdState, type ControlPacket, controlBytes, encodeControl } from "../bfd/packet.ts";
import type { SessionPlan, SessionReport } from "../bfd/table.ts";
import type { BfdNewsInput, Input } from "../state/inputs.ts";
import { multihopPort, readControl, singleHopPort } from "./bfd-sockets.ts";
import { BfdThread } from "./bfd-thread.ts";
import { native, nativeMissing } from "./native.ts";

/** Two ends of one thread on loopback: each session is the other's peer. */
const [one, other] = ["127.0.3.1", "127.0.3.2"];

function planOf(
  discriminator: number,
  local: string,
  peer: string,
  more: Partial<SessionPlan> = {},
): SessionPlan {
  const settings = { minTxUs: 50_000, minRxUs: 50_000, multiplier: 5, passive: false };
  const path = { interface: undefined, multihop: false, minTtl: 255 };
  return { ...settings, ...path, discriminator, local, peer, ...more };
}

class Owner {
  readonly reports = new Map<number, SessionReport>();
  readonly counters = new Map<number, readonly number[]>();
  readonly failures = new Map<number, string>();
  discards: BfdNewsInput["discards"];
  readonly thread = new BfdThread(
    (input) => this.take(input),
    () => {},
  );

  private take(input: Input): void {
    assert.ok(input.kind === "bfd.news");
    for (const report of input.reports) this.reports.set(report.discriminator, report);
    for (const [discriminator, text] of input.failures) this.failures.set(discriminator, text);
    for (let at = 0; at < input.counters.length; at += 4) {
      this.counters.set(input.counters[at], [...input.counters.subarray(at + 1, at + 4)]);
    }
    this.discards = input.discards ?? this.discards;
  }

  set(plan: SessionPlan): void {
    this.thread.apply({ kind: "bfd.set", plan });
  }

  async until(what: string, holds: () => boolean): Promise<void> {
    for (let tries = 0; !holds(); tries++) {
      assert.ok(tries < 400, `${what}: ${[...this.failures.values()].join()}`);
      await pause(25);
    }
  }

  isUp(discriminator: number): boolean {
    return this.reports.get(discriminator)?.state === BfdState.up;
  }
}

/** Another process of this host may have the ports. */
async function portsTaken(): Promise<string | false> {
  if (!native) return nativeMissing ?? "no addon";
  for (const port of [singleHopPort, multihopPort]) {
    const socket = createSocket("udp4");
    const error = await new Promise<Error | undefined>((resolve) => {
      socket.once("error", resolve);
      socket.bind(port, "0.0.0.0", () => resolve(undefined));
    });
    socket.close();
    if (error) return `UDP port ${port} is in use on this host: ${error.message}`;
  }
  return false;
}

const skip = await portsTaken();

describe("the thread of BFD", { skip }, () => {
  let owner: Owner;
  before(() => {
    owner = new Owner();
  });
  after(() => owner.thread.close());

  test("two sessions come up over loopback, go down when one is taken away, and come up again", async () => {
    owner.set(planOf(1, one, other));
    owner.set(planOf(2, other, one));
    await owner.until("up", () => owner.isUp(1) && owner.isUp(2));
    await owner.until("fast", () => owner.reports.get(1)!.detectionUs === 250_000);
    await owner.until("counted", () => (owner.counters.get(1)?.[0] ?? 0) > 10);
    assert.deepEqual([owner.reports.get(1)!.downs, owner.reports.get(2)!.downs], [0, 0]);
    owner.thread.apply({ kind: "bfd.remove", discriminator: 2 });
    await owner.until("down", () => owner.reports.get(1)!.downs === 1);
    assert.equal(owner.reports.get(1)!.cause, "neighbor-admin-down");
    owner.set(planOf(3, other, one));
    await owner.until("up again", () => owner.isUp(1) && owner.isUp(3));
    assert.ok(Math.abs(owner.reports.get(1)!.changedAtMs - Date.now()) < 60_000, "wall clock");
  });

  test("several hops have a port of their own", async () => {
    owner.set(planOf(11, one, other, { multihop: true, minTtl: 255 }));
    owner.set(planOf(12, other, one, { multihop: true, minTtl: 255 }));
    await owner.until("up", () => owner.isUp(11) && owner.isUp(12));
  });

  test("what comes with another TTL or from nowhere is thrown away and counted", async () => {
    const bytes = new Uint8Array(controlBytes);
    const flags = { poll: false, final: false, independent: false, demand: false, diagnostic: 0 };
    const packet: ControlPacket = {
      ...{ ...flags, state: BfdState.down, multiplier: 3, myDiscriminator: 9, yourDiscriminator: 1 },
      ...{ desiredMinTxUs: 1, requiredMinRxUs: 1, requiredMinEchoRxUs: 0 },
    };
    encodeControl(packet, bytes);
    const downs = owner.reports.get(1)!.downs;
    const socket = createSocket("udp4");
    await new Promise<void>((resolve) => socket.bind(0, other, resolve));
    const send = (part: Uint8Array): Promise<void> =>
      new Promise((resolve) => socket.send(part, singleHopPort, one, () => resolve()));
    await send(bytes); // with the system's TTL of 64
    socket.setTTL(255);
    await send(bytes.subarray(0, 10));
    const counted = (reason: string): boolean =>
      owner.discards?.some((each) => each.reason === reason) ?? false;
    await owner.until("counted", () => counted("ttl") && counted("length"));
    socket.close();
    const byReason = Object.fromEntries(
      owner.discards!.map(({ reason, count, source }) => [reason, [count, source]]),
    );
    assert.deepEqual(byReason.ttl, [1, other]);
    assert.deepEqual(byReason.length, [1, other]);
    assert.equal(owner.reports.get(1)!.downs, downs, "the session does not notice");
  });

  test("a source address that is not ours is told, and tried again", async () => {
    owner.set(planOf(21, "192.0.2.99", "192.0.2.98"));
    await owner.until("told", () => owner.failures.has(21));
    assert.equal(owner.failures.get(21), "packets from 192.0.2.99 cannot be sent: EADDRNOTAVAIL");
    owner.set(planOf(22, "fe80::1", "fe80::2", { interface: "no-such" }));
    await owner.until("told", () => owner.failures.has(22));
    assert.equal(owner.failures.get(22), "there is no interface no-such");
  });
});

test("control messages of the kernel: TTL, destination and interface", () => {
  const v4 = "1c00000000000000" + "00000000" + "08000000" + "03000000" + "7f000001" + "c0000205" + "00000000";
  const ttl = "1400000000000000" + "00000000" + "02000000" + "ff000000" + "00000000";
  const bytes = Uint8Array.from(Buffer.from(v4 + ttl, "hex"));
  assert.deepEqual(readControl(bytes, bytes.length), {
    ttl: 255,
    destination: "192.0.2.5",
    interfaceIndex: 3,
  });
  assert.deepEqual(readControl(bytes, 0), { ttl: 0, destination: "", interfaceIndex: 0 });
  const none = new Uint8Array(16);
  assert.deepEqual(readControl(none, 16), { ttl: 0, destination: "", interfaceIndex: 0 });
});
