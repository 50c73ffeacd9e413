/** A flow specification as rules of nftables: what it matches, and what is done with that. */
import { decideFlow, type FlowAction } from "../../wire/flowspec/actions.ts";
import { links, rule } from "../nft/expressions.ts";
import { dscpName, flowMatch } from "./match.ts";

/** A rule that BGP has chosen. */
export interface FlowRule {
  readonly addressBytes: 4 | 16;
  /** Canonical. */
  readonly flow: Uint8Array;
  readonly actions: readonly FlowAction[];
  /** Digits that sort as RFC 8955 5.1 orders the rules of a family. */
  readonly label: string;
  /** Address of the neighbor that it is from; empty for our own. */
  readonly neighbor: string;
  /** Peer group of the neighbor; empty for none. */
  readonly peerGroup: string;
}

export interface Installed {
  readonly ok: true;
  /** In their order; one packet is counted once. */
  readonly rules: readonly string[];
  /** What of the actions is not done; empty when all is. */
  readonly without: string;
}

export type Translated = Installed | { readonly ok: false; readonly why: string };

/** Where rules stand. */
export interface FlowHook {
  /** Links that packets come in by; empty for all. */
  readonly devices: readonly string[];
  /** Fragments are seen as they came. */
  readonly fragments: boolean;
}

/** What the kernel can count, and more than its links carry: above it there is no limit. */
const rateMax = 9e9;

/** A drop ends the way of a packet, an accept ends the chain, and with the T bit later rules are looked at (RFC 8955 7.3). */
export function translate(
  { addressBytes, flow, actions }: Pick<FlowRule, "addressBytes" | "flow" | "actions">,
  { devices, fragments }: FlowHook,
): Translated {
  const { bytesPerS, packetsPerS, dscp, sample, continues, redirects } = decideFlow(actions);
  if (redirects.length > 0) {
    const isVrf = redirects.some(({ kind }) => kind === "redirect");
    return { ok: false, why: `redirect to ${isVrf ? "a VRF" : "an address"} is not done on this host` };
  }
  const match = flowMatch(flow, { addressBytes }, fragments);
  if (!match.ok) return match;
  const words = rule(devices.length > 0 ? links("iifname", devices) : "", match.text);
  if (bytesPerS === 0 || packetsPerS === 0) return installed([rule(words, "counter drop")], "");
  const rules: string[] = [];
  // Less than one a second cannot be said.
  if (bytesPerS !== undefined && bytesPerS < rateMax) {
    rules.push(
      rule(words, `limit rate over ${Math.max(1, Math.floor(bytesPerS))} bytes/second counter drop`),
    );
  }
  if (packetsPerS !== undefined && packetsPerS < rateMax) {
    const rate = Math.max(1, Math.floor(packetsPerS));
    const burst = Math.min(rate, 0xffff_ffff);
    rules.push(rule(words, `limit rate over ${rate}/second burst ${burst} packets counter drop`));
  }
  const mark = dscp === undefined ? "" : `${addressBytes === 4 ? "ip" : "ip6"} dscp set ${dscpName(dscp)}`;
  rules.push(rule(words, "counter", mark, continues ? "" : "accept"));
  return installed(rules, sample ? "packets are not sampled" : "");
}

/** Rules stay the same objects while nothing of them changes, and filters ask again for all whenever one comes or goes. */
const known = new WeakMap<FlowRule, Map<string, Translated>>();

/** As `translate`, remembered with the rule. */
export function translated(rule: FlowRule, hook: FlowHook): Translated {
  const key = `${hook.fragments} ${hook.devices.join(" ")}`;
  let byHook = known.get(rule);
  if (!byHook) {
    byHook = new Map();
    known.set(rule, byHook);
  }
  let found = byHook.get(key);
  if (!found) {
    found = translate(rule, hook);
    byHook.set(key, found);
  }
  return found;
}

function installed(rules: readonly string[], without: string): Installed {
  return { ok: true, rules, without };
}
