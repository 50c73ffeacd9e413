/**
 * Operations on artifacts of nftables as one transaction. Rules that nobody asked to change keep their place and their
 * counters; sets change by what came and what went.
 */
import type { Facts } from "../artifact.ts";
import type { KernelOperation } from "../kernel-port.ts";
import { chainHooks, groupsOf, isRightChain, type ListedGroup, ownTable, type Ruleset } from "./ruleset.ts";

/** One line for `nft -f`. */
export interface Command {
  readonly text: string;
  /** Index of the operation that it carries out; undefined for what all of them need. */
  readonly operation: number | undefined;
}

/** Elements in one line. */
const elementsPerCommand = 1000;

/**
 * @param held the table as it is now, with the handles of its rules
 * @param asAsked as for `artifactsOf`
 * @returns nothing when there is nothing to do
 */
export function transaction(
  held: Ruleset,
  operations: readonly KernelOperation[],
  asAsked: (text: string) => string,
): Command[] {
  const out = new Writer();
  const ofSets = operations
    .map((operation, i) => ({ operation, i }))
    .filter(({ operation }) => isSet(operation));
  const byChain = new Map<string, { operation: KernelOperation; i: number }[]>();
  operations.forEach((operation, i) => {
    if (isSet(operation)) return;
    const chain = operation.key.slice(0, operation.key.indexOf(" "));
    const list = byChain.get(chain);
    if (list) list.push({ operation, i });
    else byChain.set(chain, [{ operation, i }]);
  });
  if (operations.some(({ verb }) => verb !== "delete")) out.add(`add table ${ownTable}`);
  for (const { operation, i } of ofSets) if (operation.verb !== "delete") putSet(out, held, operation, i);
  const left = new Set([...held.chains].filter(([, { rules }]) => rules.length > 0).map(([name]) => name));
  for (const [chain, list] of byChain) {
    if (!changeChain(out, held, chain, list, asAsked)) left.delete(chain);
    else left.add(chain);
  }
  let sets = held.sets.size;
  for (const { operation, i } of ofSets) {
    const name = operation.key.slice(4);
    if (operation.verb !== "delete") {
      if (!held.sets.has(name)) sets++;
    } else if (held.sets.has(name)) {
      sets--;
      out.add(`delete set ${ownTable} ${name}`, i);
    }
  }
  if (out.commands.length > 0 && left.size === 0 && sets === 0) out.add(`delete table ${ownTable}`);
  return out.commands;
}

function isSet({ key }: KernelOperation): boolean {
  return key.startsWith("set ");
}

class Writer {
  readonly commands: Command[] = [];

  add(text: string, operation?: number): void {
    this.commands.push({ text, operation });
  }
}

function putSet(out: Writer, held: Ruleset, { key, facts }: KernelOperation, i: number): void {
  const name = key.slice(4);
  const before = held.sets.get(name);
  const flags = facts.type === "ifname" ? "" : " flags interval;";
  if (!before) out.add(`add set ${ownTable} ${name} { type ${String(facts.type)};${flags} }`, i);
  const wanted = new Set(texts(facts, "elements"));
  const there = new Set(before?.elements ?? []);
  const change = (verb: string, elements: string[]): void => {
    for (let at = 0; at < elements.length; at += elementsPerCommand) {
      const list = elements.slice(at, at + elementsPerCommand).join(", ");
      out.add(`${verb} element ${ownTable} ${name} { ${list} }`, i);
    }
  };
  change(
    "delete",
    [...there].filter((element) => !wanted.has(element)),
  );
  change(
    "add",
    [...wanted].filter((element) => !there.has(element)),
  );
}

function texts(facts: Facts, name: string): string[] {
  const list = facts[name];
  return Array.isArray(list) ? list.map(String) : [];
}

function translates(chain: string): boolean {
  return chainHooks[chain].startsWith("type nat ");
}

/** @returns false when nothing is left in the chain */
function changeChain(
  out: Writer,
  held: Ruleset,
  chain: string,
  operations: readonly { operation: KernelOperation; i: number }[],
  asAsked: (text: string) => string,
): boolean {
  const listed = held.chains.get(chain);
  const isRight = listed !== undefined && isRightChain(chain, listed, asAsked);
  const drop = (): void => {
    // Rules of another hand may be left in it.
    out.add(`flush chain ${ownTable} ${chain}`);
    out.add(`delete chain ${ownTable} ${chain}`);
  };
  const groups = listed && isRight ? groupsOf(listed) : [];
  const changed = new Map(operations.map((each) => [each.operation.key.slice(chain.length + 1), each]));
  const kept = groups.filter(({ place }) => !changed.has(place));
  const written = operations
    .filter(({ operation }) => operation.verb !== "delete")
    .sort((a, b) => (a.operation.key < b.operation.key ? -1 : 1));
  if (kept.length + written.length === 0) {
    // With the last chain of NAT the kernel stops to translate flows, also those that it has translated so far.
    if (listed && isRight && translates(chain)) out.add(`flush chain ${ownTable} ${chain}`);
    else if (listed) drop();
    return false;
  }
  if (!isRight) {
    if (listed) drop();
    out.add(`add chain ${ownTable} ${chain} { ${chainHooks[chain]} }`);
  }
  for (const { place, rules } of groups) {
    const operation = changed.get(place);
    for (const { handle } of operation ? rules : []) {
      out.add(`delete rule ${ownTable} ${chain} handle ${handle}`, operation?.i);
    }
  }
  for (const { operation, i } of written) putGroup(out, chain, kept, operation, i);
  return true;
}

function putGroup(
  out: Writer,
  chain: string,
  kept: readonly ListedGroup[],
  { key, facts }: KernelOperation,
  i: number,
): void {
  const place = key.slice(chain.length + 1);
  const next = kept.find((group) => group.place > place);
  // Each goes in front of the group behind it, so that they stand in the order in which they are written.
  const where = next
    ? `insert rule ${ownTable} ${chain} handle ${next.rules[0].handle}`
    : `add rule ${ownTable} ${chain}`;
  for (const rule of texts(facts, "rules")) out.add(`${where} ${rule} comment "${place}"`, i);
}
