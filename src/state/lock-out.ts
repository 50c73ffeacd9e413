/**
 * Whether a change of the host would cut the connection over which it is asked for. Such a change is only made with
 * `confirm_within`, so that it is taken back when nobody can reach the router any more.
 */
import { maskBytes, parseIp, parsePrefix, prefixContains } from "../base/ip.ts";
import type { Problem } from "../base/problem.ts";
import type { Artifact } from "../dataplane/artifact.ts";
import type { Link } from "../dataplane/kernel-model.ts";
import { verdictOn } from "../dataplane/nft/packet-verdict.ts";
import type { PlannedOperation } from "../dataplane/reconciler.ts";

/** Ends of a TCP connection as canonical addresses, and the port of ours. */
export interface ClientPath {
  readonly local: string;
  readonly remote: string;
  readonly port: number;
}

/** Rules and sets of nftables as they are asked for, and as they would be. */
export interface RuleChange {
  readonly before: Iterable<Artifact>;
  readonly after: Iterable<Artifact>;
}

/**
 * @param operations what would be done to the kernel
 * @param rules looked at only when operations alter them
 * @returns what would cut the connection; undefined when nothing would
 */
export function lockOut(
  operations: readonly PlannedOperation[],
  client: ClientPath,
  links: readonly Link[],
  rules: RuleChange,
): Problem | undefined {
  const { local, remote } = client;
  const localBytes = parseIp(local);
  const remoteBytes = parseIp(remote);
  if (!localBytes || !remoteBytes) return undefined;
  const link = linkWith(links, localBytes);
  if (!link || link.loopback) return undefined;
  const problem = (owner: string, what: string): Problem => ({
    code: "LOCK_OUT",
    path: owner,
    message: `${what}, over which this request came (${remote} to ${local})`,
    fix: "apply it with confirm_within, so that it is taken back if you cannot confirm it",
  });
  for (const operation of operations) {
    const what = cuts(operation, link, local, remoteBytes);
    if (what !== "") return problem(operation.owner, what);
  }
  if (!operations.some((operation) => operation.class === "nft")) return undefined;
  const arrival = linkTowards(links, remoteBytes) ?? link;
  const packet = { link: arrival.name, source: remoteBytes, destination: localBytes, port: client.port };
  const after = verdictOn(packet, rules.after);
  // The connection itself may go on, as flows that are let through do; but no other one could follow it.
  if (after.fate === "passes" || verdictOn(packet, rules.before).fate !== "passes") return undefined;
  const owner = after.place.slice(after.place.indexOf(" ") + 1);
  const what = after.fate === "dropped" ? "drop" : "send elsewhere";
  return problem(owner, `${owner} would ${what} what comes by ${arrival.name} to port ${client.port}`);
}

/** The link that an address is on; undefined when it is behind a router. */
function linkTowards(links: readonly Link[], address: Uint8Array): Link | undefined {
  return links.find(({ addresses }) =>
    addresses.some((own) => {
      if (own.address.length !== address.length) return false;
      const bytes = own.address.slice();
      maskBytes(bytes, own.length);
      return prefixContains({ bytes, length: own.length }, address);
    }),
  );
}

function linkWith(links: readonly Link[], address: Uint8Array): Link | undefined {
  for (const link of links) {
    const isOwn = link.addresses.some(
      (own) => own.address.length === address.length && own.address.every((byte, i) => byte === address[i]),
    );
    if (isOwn) return link;
  }
  return undefined;
}

/** Empty when the operation leaves the connection alone. */
function cuts(operation: PlannedOperation, link: Link, local: string, remote: Uint8Array): string {
  const { class: className, key, verb, facts } = operation;
  const goes = verb === "delete" || verb === "remake";
  if (className === "link" && key === link.name && goes) return `link ${link.name} would go`;
  if (className === "link-setting") {
    if (key === `${link.name} admin` && facts.value !== "up") return `link ${link.name} would be set down`;
    if (key === `${link.name} master`) return `link ${link.name} would change its master`;
  }
  if (className === "address" && verb === "delete" && key.startsWith(`${link.name} ${local}/`)) {
    return `address ${local} would go`;
  }
  if (className === "route") {
    const prefix = parsePrefix(key.split(" ")[1]);
    if (typeof prefix === "string" || !prefixContains(prefix, remote)) return "";
    if (goes || verb === "update") return `the route to ${key.split(" ")[1]} would change`;
    // A new one matters where it is more specific than the link itself, or than the route of now.
    if (verb === "create" && prefix.length > 0) return `a route to ${key.split(" ")[1]} would come`;
  }
  return "";
}
