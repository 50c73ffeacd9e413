/**
 * Policy routing rules in Linux: those with our mark, as artifacts. The kernel tells rules apart by all that they say, we
 * by whom they are for; so a change is a new rule and then the end of the old one, and packets always find one.
 */

import { ownProtocol } from "../kernel-model.ts";
import type { KernelFact, KernelOperation, KernelOutcome } from "../kernel-port.ts";
import { RouteMessage } from "../netlink/route-wire.ts";
import {
  askRules,
  type KernelRule,
  readRule,
  ruleFact,
  ruleKey,
  ruleOf,
  writeRule,
} from "../netlink/rule-wire.ts";
import { MessageFlag, type NetlinkWriter } from "../netlink/wire.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";

export interface RuleTableHost {
  send(write: (out: NetlinkWriter, sequence: number) => void): Promise<KernelOutcome>;
  socket(): NetlinkSocket | undefined;
  later(ms: number, call: () => void): void;
  isClosed(): boolean;
}

/** A dump that failed is asked for again after this long. */
const againMs = 50;

export class RuleTable {
  private readonly host: RuleTableHost;
  /** Ours, by key, as they were seen last. */
  private own = new Map<string, KernelRule[]>();
  /** Rules of others that are exactly what one of ours is to be; until they are gone they are of interest. */
  private readonly collisions = new Map<string, string>();

  constructor(host: RuleTableHost) {
    this.host = host;
  }

  async carryOut({ key, verb, facts }: KernelOperation): Promise<KernelOutcome> {
    const { host } = this;
    const held = this.own.get(key) ?? [];
    const remove = async (rules: readonly KernelRule[]): Promise<KernelOutcome> => {
      let outcome: KernelOutcome = { error: "ENOENT", detail: "" };
      for (const rule of rules) {
        outcome = await host.send((out, sequence) => writeRule(out, sequence, "delete", rule));
        if (outcome.error !== "" && outcome.error !== "ENOENT") return outcome;
      }
      return outcome;
    };
    if (verb === "delete") return remove(held);
    const rule = ruleOf(key, facts);
    const others = held.filter((each) => each.table !== rule.table || each.suppress !== rule.suppress);
    const made = await host.send((out, sequence) => writeRule(out, sequence, "create", rule));
    if (made.error === "EEXIST" && others.length === held.length) {
      this.collisions.set(key, exactly(rule));
      return { ...made, observed: { facts: {}, identity: "other" } };
    }
    if (made.error !== "" && made.error !== "EEXIST") return made;
    if (others.length === 0) return { error: "", detail: "" };
    const removed = await remove(others);
    return removed.error === "ENOENT" ? { error: "", detail: "" } : removed;
  }

  /** Rules with our mark, and those that stand in the way of one. */
  async look(): Promise<KernelFact[]> {
    const own = new Map<string, KernelRule[]>();
    const facts: KernelFact[] = [];
    const left = new Set<string>();
    for (const ipVersion of [4, 6] as const) {
      for (const rule of await this.dump(ipVersion)) {
        const key = ruleKey(ipVersion, rule.priority, rule);
        if (rule.protocol === ownProtocol) {
          const rules = own.get(key);
          if (rules) rules.push(rule);
          else own.set(key, [rule]);
        } else if (this.collisions.get(key) === exactly(rule)) {
          left.add(key);
          facts.push(ruleFact(key, [rule]));
        }
      }
    }
    for (const key of this.collisions.keys()) if (!left.has(key)) this.collisions.delete(key);
    for (const [key, rules] of own) facts.push(ruleFact(key, rules));
    this.own = own;
    return facts;
  }

  /** What a dump that failed or was disturbed lacks is not gone: it is asked for again. */
  private dump(ipVersion: 4 | 6): Promise<KernelRule[]> {
    const { host } = this;
    return new Promise((resolve) => {
      const rules: KernelRule[] = [];
      let isWhole = true;
      host.socket()?.request({
        isDump: true,
        write: (out, sequence) => askRules(out, sequence, ipVersion),
        message: (bytes, { type, flags, at, end }) => {
          if ((flags & MessageFlag.dumpInterrupted) !== 0) isWhole = false;
          const rule = type === RouteMessage.newRule ? readRule(bytes, at, end) : undefined;
          if (rule) rules.push(rule);
        },
        done: ({ errno }) => {
          if ((errno === 0 && isWhole) || host.isClosed()) resolve(rules);
          else host.later(againMs, () => resolve(this.dump(ipVersion)));
        },
      });
    });
  }
}

/** What else two rules of a key can differ in. */
function exactly({ table, suppress }: KernelRule): string {
  return `${table} ${suppress}`;
}
