/**
 * Graceful restart as far as the two OPENs decide it: RFC 4724, the N bit of RFC 8538 and long-lived stale routes of
 * RFC 9494. What happens to routes is not in here (state/restarts.ts).
 */
import type { Capability } from "../wire/capabilities.ts";
import { type Family, families as knownFamilies } from "../wire/family.ts";
import { CeaseSubcode, NotificationCode } from "../wire/notification.ts";

/** Our side, as configured for a neighbor. */
export interface RestartConfig {
  /** Full asks the neighbor to keep our routes; helper only keeps those of the neighbor. */
  readonly gracefulRestart: "off" | "helper" | "full";
  readonly restartTimeS: number;
  /** RFC 8538. */
  readonly notificationRestart: boolean;
  /** RFC 9494: how long the neighbor is asked to keep our routes; 0 does not ask. */
  readonly longLivedStaleS: number;
  /** RFC 9494: how long the neighbor's routes are kept at most; 0 keeps none. */
  readonly longLivedMaxS: number;
}

/** Our side at the moment of an OPEN. */
export interface RestartMoment {
  /** R bit: we have restarted and may not have told all our routes yet. */
  readonly restarting: boolean;
  /** F bit: what we forward has outlived the time since the last session. */
  readonly forwarding: boolean;
}

/** Nothing was restarted. */
export const steady: RestartMoment = { restarting: false, forwarding: true };

/** What both OPENs say together. Masks have bit `family.index`; they hold negotiated families only. */
export interface RestartAgreement {
  /** The neighbor sent the capability, and graceful restart is not off here. */
  readonly offered: boolean;
  /** R bit of the neighbor. */
  readonly remoteRestarting: boolean;
  /** R bit of ours. */
  readonly localRestarting: boolean;
  /** Both sent the N bit. */
  readonly notification: boolean;
  /** How long a restart of the neighbor may take. */
  readonly restartTimeS: number;
  /** Families whose routes are kept when the neighbor restarts. */
  readonly kept: number;
  /** Of these, those with the F bit. */
  readonly forwarding: number;
  /** The neighbor understands LLGR_STALE: it may be told of routes that carry it. */
  readonly longLived: boolean;
  /** Families with a long-lived time, and of these those with the F bit. */
  readonly longLivedKept: number;
  readonly longLivedForwarding: number;
  /** By family index: how long routes are kept beyond the restart time; 0 for not at all. */
  readonly longLivedS: readonly number[];
  /** Families that we asked the neighbor to keep. */
  readonly asked: number;
}

export const noAgreement: RestartAgreement = {
  offered: false,
  remoteRestarting: false,
  localRestarting: false,
  notification: false,
  restartTimeS: 0,
  kept: 0,
  forwarding: 0,
  longLived: false,
  longLivedKept: 0,
  longLivedForwarding: 0,
  longLivedS: knownFamilies.map(() => 0),
  asked: 0,
};

/** Our capabilities 64 and 71; none when graceful restart is off. */
export function restartCapabilities(
  config: RestartConfig,
  families: readonly Family[],
  moment: RestartMoment,
): Capability[] {
  if (config.gracefulRestart === "off") return [];
  const full = config.gracefulRestart === "full";
  const { restarting, forwarding } = moment;
  const told = full ? families : [];
  const capabilities: Capability[] = [
    {
      kind: "graceful-restart",
      restarting: full && restarting,
      notification: config.notificationRestart,
      restartTimeS: full ? config.restartTimeS : 0,
      families: told.map(({ afi, safi }) => ({ afi, safi, forwarding })),
    },
  ];
  if (config.longLivedStaleS > 0 || config.longLivedMaxS > 0) {
    const asks = config.longLivedStaleS > 0 ? told : [];
    const staleTimeS = config.longLivedStaleS;
    capabilities.push({
      kind: "long-lived-graceful-restart",
      families: asks.map(({ afi, safi }) => ({ afi, safi, forwarding, staleTimeS })),
    });
  }
  return capabilities;
}

/**
 * @param negotiated mask of the families of the session
 * @param remote capabilities of the neighbor; of several of one kind the last counts (RFC 4724 section 3), and of
 * several entries for one family the last one
 */
export function agreeRestart(
  config: RestartConfig,
  moment: RestartMoment,
  negotiated: number,
  remote: readonly Capability[],
): RestartAgreement {
  const theirs = lastOf(remote, "graceful-restart");
  if (config.gracefulRestart === "off" || !theirs) return noAgreement;
  let kept = 0;
  let forwarding = 0;
  for (const entry of theirs.families) {
    const bit = bitOf(entry) & negotiated;
    kept |= bit;
    forwarding = entry.forwarding ? forwarding | bit : forwarding & ~bit;
  }
  const long = lastOf(remote, "long-lived-graceful-restart");
  const weAreLong = config.longLivedStaleS > 0 || config.longLivedMaxS > 0;
  const longLivedS = knownFamilies.map(() => 0);
  let longLivedKept = 0;
  let longLivedForwarding = 0;
  for (const entry of weAreLong ? (long?.families ?? []) : []) {
    // RFC 9494 section 3: what capability 64 does not list is ignored here.
    const bit = bitOf(entry) & kept;
    if (bit === 0) continue;
    const index = 31 - Math.clz32(bit);
    longLivedS[index] = Math.min(entry.staleTimeS, config.longLivedMaxS);
    longLivedKept = longLivedS[index] > 0 ? longLivedKept | bit : longLivedKept & ~bit;
    longLivedForwarding = entry.forwarding ? longLivedForwarding | bit : longLivedForwarding & ~bit;
  }
  return {
    offered: true,
    remoteRestarting: theirs.restarting,
    localRestarting: config.gracefulRestart === "full" && moment.restarting,
    notification: config.notificationRestart && theirs.notification,
    restartTimeS: theirs.restartTimeS,
    kept,
    forwarding,
    longLived: weAreLong && long !== undefined,
    longLivedKept,
    longLivedForwarding,
    longLivedS,
    asked: config.gracefulRestart === "full" ? negotiated : 0,
  };
}

/** Cease subcodes that mean the end of the session and not a pause (RFC 8538 section 4, and what FRR does). */
const hardCeases: readonly number[] = [
  CeaseSubcode.maxPrefixes,
  CeaseSubcode.administrativeShutdown,
  CeaseSubcode.peerDeconfigured,
  CeaseSubcode.administrativeReset,
  CeaseSubcode.hardReset,
  CeaseSubcode.bfdDown,
];

/** True when a NOTIFICATION that we send means that our routes are to be dropped: with the N bit, a hard reset. */
export function meansHardReset(code: number, subcode: number): boolean {
  return code === NotificationCode.cease && hardCeases.includes(subcode);
}

function lastOf<K extends Capability["kind"]>(
  capabilities: readonly Capability[],
  kind: K,
): Extract<Capability, { kind: K }> | undefined {
  return capabilities.findLast((each) => each.kind === kind) as Extract<Capability, { kind: K }> | undefined;
}

function bitOf({ afi, safi }: { readonly afi: number; readonly safi: number }): number {
  const family = knownFamilies.find((each) => each.afi === afi && each.safi === safi);
  return family ? 1 << family.index : 0;
}
