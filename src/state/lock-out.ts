/**
 * Whether a change of the host would cut the connection over which it is asked for. Such a change is only made with
 * `confirm_within`, so that it is taken back when nobody can reach the router any more.
 */
import { parseIp, parsePrefix, prefixContains } from "../base/ip.ts";
import type { Problem } from "../base/problem.ts";
import type { Link } from "../dataplane/kernel-model.ts";
import type { PlannedOperation } from "../dataplane/reconciler.ts";

/** Ends of a TCP connection as canonical addresses. */
export interface ClientPath {
  readonly local: string;
  readonly remote: string;
}

/**
 * @param operations what would be done to the kernel
 * @returns what would cut the connection; undefined when nothing would
 */
export function lockOut(
  operations: readonly PlannedOperation[],
  { local, remote }: ClientPath,
  links: Iterable<Link>,
): Problem | undefined {
  const localBytes = parseIp(local);
  const remoteBytes = parseIp(remote);
  if (!localBytes || !remoteBytes) return undefined;
  const link = linkWith(links, localBytes);
  if (!link || link.loopback) return undefined;
  for (const operation of operations) {
    const what = cuts(operation, link, local, remoteBytes);
    if (what === "") continue;
    return {
      code: "LOCK_OUT",
      path: operation.owner,
      message: `${what}, over which this request came (${remote} to ${local})`,
      fix: "apply it with confirm_within, so that it is taken back if you cannot confirm it",
    };
  }
  return undefined;
}

function linkWith(links: Iterable<Link>, address: Uint8Array): Link | undefined {
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
  const goes = verb === "delete" || verb === "update";
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
    if (goes) return `the route to ${key.split(" ")[1]} would change`;
    // A new one matters where it is more specific than the link itself, or than the route of now.
    if (verb === "create" && prefix.length > 0) return `a route to ${key.split(" ")[1]} would come`;
  }
  return "";
}
