/**
 * cairn's table in nftables: watched, and changed by transactions of the nft program. The kernel tells of changes by
 * netlink, so that another hand in our table is noticed at once; tables of others are not looked at.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import type { ArtifactName } from "../artifact.ts";
import type { KernelFact, KernelOperation, KernelOutcome } from "../kernel-port.ts";
import {
  beginNetfilter,
  netfilterHeaderBytes,
  netfilterProtocol,
  Subsystem,
} from "../netlink/netfilter-wire.ts";
import { eachAttribute, type Message, MessageFlag, type NetlinkWriter, readText } from "../netlink/wire.ts";
import {
  artifactsOf,
  chainHooks,
  emptyRuleset,
  ownTable,
  type Ruleset,
  readRuleset,
} from "../nft/ruleset.ts";
import { type Command, transaction } from "../nft/transaction.ts";
import { type NetlinkCalls, NetlinkSocket } from "./netlink-socket.ts";

export interface NftTableHost {
  facts(all: undefined, facts: readonly KernelFact[]): void;
  later(ms: number, call: () => void): void;
}

/** Changes of the table are collected this long before it is looked at. */
const settleMs = 5;
/** How often counters are read. */
const countersMs = 5000;
/** Operations that are left out of a transaction one after the other because nft refuses them. */
const refusalsMax = 20;
/** Attempts with a fresh look when another hand was faster. */
const staleMax = 3;
/** A table that could not be listed is looked at again after this. */
const againMs = 200;
/** Rules that nft prints in other words than they were asked for: more than this, and those that went are forgotten. */
const wordsMax = 20_000;
/** What is shown of a command that nft refuses. */
const commandTextMax = 300;
/** nft is given up on after this. */
const timeoutMs = 30_000;
const NFNLGRP_NFTABLES = 7;
const NFT_MSG_GETTABLE = 1;
const NFPROTO_INET = 1;
/** Attribute 1 of every message that is about something in a table is the name of that. */
const NFTA_TABLE = 1;

const run = promisify(execFile);

/** Why nft did not do something. */
interface Refusal extends Pick<KernelOutcome, "error" | "detail"> {
  /** Index of the operation that it is about, where that is known. */
  readonly operation?: number | undefined;
  /** It was meant for the table as it was a moment before. */
  readonly isStale?: boolean;
  /** There is no nft. */
  readonly isMissing?: boolean;
}

function isRefusal(result: Ruleset | Refusal): result is Refusal {
  return "error" in result;
}

export class NftTable {
  private readonly host: NftTableHost;
  private readonly calls: NetlinkCalls;
  private socket: NetlinkSocket | undefined;
  private readonly watched = new Set<string>();
  private readonly told = new Map<string, string>();
  /** How nft prints what we asked for, where it has other words for it. */
  private readonly words = new Map<string, string>();
  /** The table as it was listed, as long as nothing tells that it is another by now. */
  private known: Ruleset | undefined;
  /** Changes of the table that were told, by anybody's hand. */
  private notices = 0;
  /** Looks and transactions come one after the other. */
  private queue: Promise<void> = Promise.resolve();
  private lookIsDue = false;
  private counting = false;
  private closed = false;

  constructor(calls: NetlinkCalls, host: NftTableHost) {
    this.calls = calls;
    this.host = host;
  }

  close(): void {
    this.closed = true;
    this.socket?.close();
  }

  watch(watch: readonly ArtifactName[], unwatch: readonly ArtifactName[]): void {
    for (const { key } of unwatch) {
      this.watched.delete(key);
      this.told.delete(key);
    }
    for (const { key } of watch) {
      this.watched.add(key);
      this.told.delete(key);
    }
    if (watch.length === 0) return;
    this.listen();
    this.look();
    this.count();
  }

  /** Looks once for what a lost ledger may have left, so that it goes even when nobody asks for a rule any more. */
  start(): void {
    const nothing = { message: () => undefined, overrun: () => undefined };
    const socket = NetlinkSocket.open(this.calls, [], nothing, netfilterProtocol);
    if (typeof socket === "number") return;
    let isThere = false;
    socket.request({
      isDump: false,
      write: writeTableQuestion,
      message: () => {
        isThere = true;
      },
      done: () => {
        socket.close();
        if (!isThere) return;
        this.listen();
        this.look();
      },
    });
  }

  /** Asks the kernel to tell of changes. Without the right to it there is nothing to change either. */
  private listen(): void {
    if (this.socket) return;
    const events = { message: this.noticed, overrun: () => this.lookAgain() };
    const socket = NetlinkSocket.open(this.calls, [NFNLGRP_NFTABLES], events, netfilterProtocol);
    if (typeof socket !== "number") this.socket = socket;
  }

  private readonly noticed = (bytes: Uint8Array, { type, at, end }: Message): void => {
    if (type >>> 8 !== Subsystem.tables) return;
    eachAttribute(bytes, at + netfilterHeaderBytes, end, (attribute, from, to) => {
      if (attribute === NFTA_TABLE && `inet ${readText(bytes, from, to)}` === ownTable) this.lookAgain();
    });
  };

  /** What is known of the table may be no longer so. */
  private lookAgain(): void {
    this.notices++;
    this.known = undefined;
    this.look();
  }

  private look(): void {
    if (this.lookIsDue || this.closed) return;
    this.lookIsDue = true;
    this.host.later(settleMs, () => {
      void this.inTurn(async () => {
        this.lookIsDue = false;
        this.seen(await this.list());
      });
    });
  }

  private count(): void {
    if (this.counting) return;
    this.counting = true;
    this.host.later(countersMs, () => {
      this.counting = false;
      if (this.closed || this.watched.size === 0) return;
      this.look();
      this.count();
    });
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.queue.then(work);
    this.queue = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  /** All of it in one transaction. What nft refuses is left out, and the rest goes on. */
  apply(operations: readonly KernelOperation[]): Promise<KernelOutcome[]> {
    return this.inTurn(async () => {
      const outcomes = new Map<number, Refusal>();
      let left = operations.map((_, i) => i);
      // Nobody has told of a change since it was listed: a failover need not wait for another list.
      let { known } = this;
      for (let tries = 0; left.length > 0; tries++) {
        const held = known ?? (await this.list());
        const wanted = left.map((i) => operations[i]);
        const commands = isRefusal(held) ? [] : transaction(held, wanted, this.asAsked);
        const refused = isRefusal(held) ? held : commands.length > 0 && (await this.commit(commands));
        if (!refused) break;
        if (known) {
          known = undefined;
          continue;
        }
        if (refused.isStale && tries < staleMax) continue;
        const culprit = tries < refusalsMax ? refused.operation : undefined;
        const failed = culprit === undefined ? left : [left[culprit]];
        for (const i of failed) outcomes.set(i, { error: refused.error, detail: refused.detail });
        left = left.filter((i) => !failed.includes(i));
      }
      const now = await this.list();
      if (!isRefusal(now)) {
        const taken = left.map((i) => operations[i]);
        this.learn(now, taken);
      }
      this.seen(now);
      return operations.map((_, i) => outcomes.get(i) ?? { error: "", detail: "" });
    });
  }

  /** @returns undefined for success */
  private async commit(commands: readonly Command[]): Promise<Refusal | undefined> {
    this.known = undefined;
    const folder = await mkdtemp(path.join(tmpdir(), "cairn-nft-"));
    const file = path.join(folder, "transaction");
    try {
      await writeFile(file, commands.map(({ text }) => `${text}\n`).join(""));
      await run("nft", ["-f", file], { timeout: timeoutMs });
      return undefined;
    } catch (thrown) {
      const refusal = refusalOf(thrown);
      const line = /:(\d+):\d+-\d+: Error: (.*)/.exec(refusal.detail);
      const command = line ? commands.at(Number(line[1]) - 1) : undefined;
      if (!line || !command) return refusal;
      // Another hand took the rule away after the table was listed.
      const isStale = / handle \d+/.test(command.text) && line[2].includes("No such file");
      const detail = `${line[2]}: ${command.text.slice(0, commandTextMax)}`;
      return { error: refusal.error, detail, operation: command.operation, isStale };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** The table as it is; empty when there is none, or nobody may tell. */
  private async list(): Promise<Ruleset | Refusal> {
    const { notices } = this;
    this.known = undefined;
    try {
      const { stdout } = await run("nft", ["-a", "list", "table", ...ownTable.split(" ")], {
        maxBuffer: 1 << 28,
        timeout: timeoutMs,
      });
      const ruleset = readRuleset(stdout);
      if (this.socket && notices === this.notices) this.known = ruleset;
      return ruleset;
    } catch (thrown) {
      const refusal = refusalOf(thrown);
      const isEmpty = refusal.isMissing || refusal.error === "EPERM" || /No such file/.test(refusal.detail);
      return isEmpty ? emptyRuleset : refusal;
    }
  }

  private seen(now: Ruleset | Refusal): void {
    if (!isRefusal(now)) this.tell(now);
    else this.host.later(againMs, () => this.look());
  }

  private readonly asAsked = (text: string): string => this.words.get(text) ?? text;

  /** nft of another version may print a rule in other words than it was given: those are noted once it took it. */
  private learn(now: Ruleset, operations: readonly KernelOperation[]): void {
    for (const { key, verb, facts } of operations) {
      const [name, ...place] = key.split(" ");
      const chain = now.chains.get(name);
      if (!chain || verb === "delete" || !Array.isArray(facts.rules)) continue;
      if (chain.hook !== chainHooks[name]) this.words.set(chain.hook, chainHooks[name]);
      const rules = chain.rules.filter(({ comment }) => comment === place.join(" "));
      if (rules.length !== facts.rules.length) continue;
      rules.forEach(({ text }, i) => {
        const asked = String((facts.rules as readonly string[])[i]);
        if (text !== asked) this.words.set(text, asked);
      });
    }
    if (this.words.size > wordsMax) this.forget(now);
  }

  /** Rules that come and go for months leave their words behind. */
  private forget({ chains }: Ruleset): void {
    const there = [...chains.values()].flatMap(({ hook, rules }) => [hook, ...rules.map(({ text }) => text)]);
    const kept = there.flatMap((text): [string, string][] => {
      const asked = this.words.get(text);
      return asked === undefined ? [] : [[text, asked]];
    });
    this.words.clear();
    for (const [text, asked] of kept) this.words.set(text, asked);
  }

  private tell(ruleset: Ruleset): void {
    if (this.closed) return;
    const held = artifactsOf(ruleset, this.asAsked);
    const changed: KernelFact[] = [];
    // What nobody asks for in our table is left over from a ledger that was lost: it is told as well, and when it goes.
    for (const key of new Set([...this.watched, ...held.keys(), ...this.told.keys()])) {
      const observed = held.get(key) ?? null;
      const text = JSON.stringify(observed);
      if (this.told.get(key) === text) continue;
      if (observed || this.watched.has(key)) this.told.set(key, text);
      else this.told.delete(key);
      changed.push({ class: "nft", key, observed });
    }
    if (changed.length > 0) this.host.facts(undefined, changed);
  }
}

/** Asks whether our table is there. */
function writeTableQuestion(out: NetlinkWriter, sequence: number): void {
  const [, name] = ownTable.split(" ");
  const flags = MessageFlag.request | MessageFlag.ack;
  beginNetfilter(out, Subsystem.tables, NFT_MSG_GETTABLE, flags, sequence, NFPROTO_INET);
  out.text(NFTA_TABLE, name);
  out.end();
}

/** What strerror says, and the errno that it says it of. */
const errors: readonly (readonly [string, string])[] = [
  ["Operation not permitted", "EPERM"],
  ["Permission denied", "EPERM"],
  ["Device or resource busy", "EBUSY"],
  ["Cannot allocate memory", "ENOMEM"],
  ["No space left", "ENOSPC"],
  ["Operation not supported", "EOPNOTSUPP"],
  // The kernel lacks a module that the rule needs; nothing that could be looked for again at once.
  ["No such file or directory", "EOPNOTSUPP"],
];

function refusalOf(thrown: unknown): Refusal {
  const { code, stderr = "" } = thrown as { code?: unknown; stderr?: string };
  if (code === "ENOENT")
    return { error: "EOPNOTSUPP", detail: "the program nft is not installed", isMissing: true };
  const error = errors.find(([text]) => stderr.includes(text))?.[1] ?? "EINVAL";
  if (error === "EPERM") return { error, detail: "cairnd needs the capability CAP_NET_ADMIN" };
  return { error, detail: stderr.trim().split("\n")[0] || String(thrown) };
}
