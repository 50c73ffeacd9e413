import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { KernelOperation, KernelOutcome } from "../kernel-port.ts";
import { RouteMessage } from "../netlink/route-wire.ts";
import { type KernelRule, readRule, ruleFacts, ruleKey, writeRule } from "../netlink/rule-wire.ts";
import { eachMessage, type Message, NetlinkWriter } from "../netlink/wire.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { RuleTable } from "./rule-table.ts";

type Request = Parameters<NetlinkSocket["request"]>[0];

const done: KernelOutcome = { error: "", detail: "" };

/** The rules of a kernel, asked over netlink as Linux answers. */
class Kernel {
  rules: KernelRule[] = [];
  readonly asked: string[] = [];
  readonly table = new RuleTable({
    send: async (write) => this.answer(write),
    socket: () => this as unknown as NetlinkSocket,
    later: (_ms, call) => void setImmediate(call),
    isClosed: () => false,
  });
  /** Dumps that are told to be disturbed. */
  disturbed = 0;

  private answer(write: (out: NetlinkWriter, sequence: number) => void): KernelOutcome {
    const { bytes, message } = written(write);
    const rule = readRule(bytes, message.at, message.end)!;
    const isSame = (other: KernelRule): boolean =>
      JSON.stringify({ ...other, protocol: 0 }) === JSON.stringify({ ...rule, protocol: 0 });
    const isNew = message.type === RouteMessage.newRule;
    this.asked.push(`${isNew ? "add" : "delete"} ${rule.table}`);
    const at = this.rules.findIndex(isSame);
    if (isNew && at >= 0) return { error: "EEXIST", detail: "" };
    if (isNew) this.rules.push(rule);
    else if (at < 0) return { error: "ENOENT", detail: "" };
    else this.rules.splice(at, 1);
    return done;
  }

  request({ write, message, done: end }: Request): void {
    const asked = written(write);
    const ipVersion = asked.bytes[asked.message.at] === 2 ? 4 : 6;
    for (const rule of this.rules.filter((each) => each.ipVersion === ipVersion)) {
      const told = written((out, sequence) => writeRule(out, sequence, "create", rule));
      message(told.bytes, { ...told.message, flags: this.disturbed > 0 ? 0x10 : 0 });
    }
    if (this.disturbed > 0) this.disturbed--;
    end({ errno: 0, text: "" });
  }
}

function written(write: (out: NetlinkWriter, sequence: number) => void): {
  bytes: Uint8Array;
  message: Message;
} {
  const out = new NetlinkWriter();
  write(out, 1);
  const bytes = out.take();
  let message: Message | undefined;
  eachMessage(bytes, bytes.length, (each) => {
    message = each;
  });
  return { bytes, message: message! };
}

const base: KernelRule = {
  ...{ ipVersion: 4, priority: 6701, from: undefined, to: undefined, iif: "", oif: "eth0", mark: undefined },
  ...{ table: 7, suppress: -1, protocol: 67 },
};
const key = ruleKey(4, 6701, base);

function operation(verb: KernelOperation["verb"], table = 7): KernelOperation {
  return { verb, class: "rule", key, facts: ruleFacts(table), before: undefined };
}

describe("policy rules in Linux", () => {
  it("are changed by a new one and then the end of the old one", async () => {
    const kernel = new Kernel();
    assert.deepEqual(await kernel.table.carryOut(operation("create")), done);
    await kernel.table.look();
    assert.deepEqual(await kernel.table.carryOut(operation("update", 8)), done);
    assert.deepEqual(kernel.asked, ["add 7", "add 8", "delete 7"]);
    const facts = await kernel.table.look();
    assert.deepEqual(facts, [{ class: "rule", key, observed: { facts: ruleFacts(8), identity: "cairn" } }]);
    assert.deepEqual(await kernel.table.carryOut(operation("delete", 8)), done);
    assert.deepEqual([kernel.rules, await kernel.table.look()], [[], []]);
    assert.equal((await kernel.table.carryOut(operation("delete", 8))).error, "ENOENT");
  });

  it("of others are left, told only where they are in the way, and no longer when they are gone", async () => {
    const kernel = new Kernel();
    const theirs = { ...base, protocol: 4 };
    kernel.rules.push({ ...theirs, table: 9 }, theirs);
    assert.deepEqual(await kernel.table.look(), []);
    const outcome = await kernel.table.carryOut(operation("create"));
    assert.deepEqual([outcome.error, outcome.observed?.identity], ["EEXIST", "other"]);
    assert.deepEqual(
      (await kernel.table.look()).map(({ observed }) => observed?.identity),
      ["static"],
    );
    assert.equal(kernel.rules.length, 2);
    kernel.rules.pop();
    assert.deepEqual(await kernel.table.look(), []);
    assert.deepEqual(await kernel.table.carryOut(operation("create")), done);
    await kernel.table.look();
    await kernel.table.carryOut(operation("delete"));
    assert.deepEqual(
      kernel.rules.map(({ table }) => table),
      [9],
      "one that only looks like ours stays",
    );
  });

  it("that are there twice become one", async () => {
    const kernel = new Kernel();
    kernel.rules.push(base, { ...base, table: 8 });
    assert.equal((await kernel.table.look())[0].observed?.facts.table, 0, "neither is as it should be");
    assert.deepEqual(await kernel.table.carryOut(operation("update")), done);
    assert.deepEqual(
      kernel.rules.map(({ table }) => table),
      [7],
    );
  });

  it("are looked at again when a dump was disturbed", async () => {
    const kernel = new Kernel();
    kernel.rules.push(base);
    kernel.disturbed = 1;
    assert.equal((await kernel.table.look()).length, 1);
  });
});
