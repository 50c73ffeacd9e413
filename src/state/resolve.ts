/**
 * What a neighbor works with once everything is inherited: neighbor before peer group before Global before built-in
 * defaults. Defaults are read from the field options. Policy chains are those of Global, group and neighbor joined.
 */
import { create, equals } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { assert } from "../base/assert.ts";
import { formatIp, parseHostPort, parseIp4 } from "../base/ip.ts";
import { type PeerAddress, parsePeer } from "../base/peer-address.ts";
import {
  type BestPathOptions,
  BestPathOptionsSchema,
  type Confederation,
  type GlobalSpec,
  GlobalSpecSchema,
  type Multipath,
} from "../gen/cairn/v1/global_service_pb.ts";
import { KeyAlgorithm, type KeychainSpec } from "../gen/cairn/v1/keychain_service_pb.ts";
import {
  type AddPath,
  AddPath_Send,
  BlackholeScope,
  GracefulRestart,
  type NeighborSpec,
  NeighborSpecSchema,
  type OutboundFilter,
  type PrefixLimit,
  PrefixLimit_Action,
  RemoteAs,
  RemovePrivateAs,
} from "../gen/cairn/v1/neighbor_service_pb.ts";
import { Impact } from "../gen/cairn/v1/options_pb.ts";
import { type PeerGroupSpec, PeerGroupSpecSchema } from "../gen/cairn/v1/peer_group_service_pb.ts";
import { PolicyAction } from "../gen/cairn/v1/policy_service_pb.ts";
import type { BgpRole } from "../wire/bgp-role.ts";
import { families as allFamilies, type Family, familyByName, unicastFamily } from "../wire/family.ts";
import { bfdOf } from "./kinds/bfd.ts";
import { dampingOf } from "./kinds/damping.ts";
import { remoteAsOf } from "./kinds/remote-as.ts";
import type { Specs } from "./objects.ts";
import {
  durationMs,
  type FieldInfo,
  fieldNamed,
  fieldsOf,
  fieldValue,
  isDuration,
  isSet,
  setFieldValue,
} from "./schema.ts";
import { sessionAses } from "./session-ases.ts";
import type {
  AddPathConfig,
  NeighborConfig,
  OutboundFilterConfig,
  PrefixLimitConfig,
  TcpAoKey,
} from "./session-port.ts";

/** Name of the one Global object. */
export const globalName = "global";

/** Global settings with defaults filled in. */
export interface GlobalConfig {
  readonly asn: number;
  readonly confederation: Confederation | undefined;
  /** BGP identifier, 32 bits, and as text. */
  readonly routerId: number;
  readonly routerIdText: string;
  readonly clusterId: number;
  readonly listen: readonly { readonly host: string; readonly port: number }[];
  readonly holdTimeS: number;
  /** RFC 8212. */
  readonly requirePolicy: boolean;
  /** A next hop may be reached by the default route. */
  readonly resolveViaDefault: boolean;
  readonly bestPath: BestPathOptions;
  readonly multipath: readonly Multipath[];
  readonly importPolicies: readonly string[];
  readonly exportPolicies: readonly string[];
  readonly gracefulShutdown: boolean;
  /** Longest wait for the neighbors' routes after a restart (RFC 4724 4.1). */
  readonly selectionDeferralMs: number;
  /** Changes of routes that are remembered; 0 for none. */
  readonly historyChanges: number;
  /** Empty when unset: the host name is the shell's to fill in. */
  readonly name: string;
}

/** @returns undefined as long as no Global was declared */
export function resolveGlobal(objects: Specs): GlobalConfig | undefined {
  const spec = objects.spec("Global", globalName) as GlobalSpec | undefined;
  if (!spec) return undefined;
  const routerId = parseIp4(spec.routerId)!;
  return {
    asn: spec.asn,
    confederation: spec.confederation,
    routerId,
    routerIdText: spec.routerId,
    clusterId: spec.clusterId === undefined ? routerId : parseIp4(spec.clusterId)!,
    listen: spec.listen.map((text) => parseHostPort(text)!),
    holdTimeS: durationMs(globalHoldTime(spec)) / 1000,
    requirePolicy: spec.requirePolicy ?? true,
    resolveViaDefault: spec.resolveViaDefault ?? true,
    bestPath: spec.bestPath ?? create(BestPathOptionsSchema),
    multipath: spec.multipath,
    importPolicies: spec.import,
    exportPolicies: spec.export,
    gracefulShutdown: spec.gracefulShutdown ?? false,
    selectionDeferralMs: durationMs(
      spec.selectionDeferralTime ??
        (defaultOf(
          fieldNamed(GlobalSpecSchema, "selection_deferral_time")!,
        ) as typeof spec.selectionDeferralTime),
    ),
    historyChanges: spec.historyChanges,
    name: spec.name,
  };
}

function globalHoldTime(spec: GlobalSpec): NonNullable<GlobalSpec["holdTime"]> {
  return (
    spec.holdTime ??
    (defaultOf(fieldNamed(GlobalSpecSchema, "hold_time")!) as NonNullable<GlobalSpec["holdTime"]>)
  );
}

/**
 * The neighbor's spec with everything inherited and defaulted filled in, as the API shows it. Left unset: a keepalive
 * interval that follows the negotiated hold time, and texts and limits that nobody gave.
 * @returns undefined when there is no such neighbor, or no Global
 */
export function effectiveSpec(objects: Specs, name: string): NeighborSpec | undefined {
  const spec = objects.spec("Neighbor", name) as NeighborSpec | undefined;
  const global = objects.spec("Global", globalName) as GlobalSpec | undefined;
  if (!spec || !global) return undefined;
  const group =
    spec.peerGroup === ""
      ? undefined
      : (objects.spec("PeerGroup", spec.peerGroup) as PeerGroupSpec | undefined);
  const effective = create(NeighborSpecSchema);
  for (const info of fieldsOf(NeighborSpecSchema)) {
    const value = inheritedValue(info, spec, group);
    if (value !== undefined) setFieldValue(effective, info, value);
  }
  effective.import = [...global.import, ...(group?.import ?? []), ...spec.import, ...global.importAfter];
  effective.export = [...global.export, ...(group?.export ?? []), ...spec.export, ...global.exportAfter];
  const { asn, word } = remoteAsOf(spec, group, effective.localAsn ?? global.asn);
  effective.remoteAsn = asn;
  effective.remoteAs = word === RemoteAs.UNSPECIFIED ? undefined : word;
  effective.damping ??= global.damping;
  const { external, globalAsn } = sessionAses(asn ?? 0, effective.localAsn, global);
  effective.localAsn ??= globalAsn;
  effective.aigpSend ??= !external;
  effective.aigpReceive ??= !external;
  effective.flowspecValidation ??= external;
  if (!spec.holdTime && !group?.holdTime) effective.holdTime = globalHoldTime(global);
  effective.sendHoldTime ??= defaultSendHold(durationMs(effective.holdTime));
  effective.removePrivateAs ??= RemovePrivateAs.NONE;
  effective.blackhole ??= BlackholeScope.NONE;
  effective.gracefulRestart ??= GracefulRestart.HELPER;
  effective.importDefault ??= PolicyAction.REJECT;
  effective.exportDefault ??= PolicyAction.REJECT;
  if (effective.families.length === 0)
    effective.families = [unicastFamily(parsePeer(spec.address)!.bytes?.length ?? 16).name];
  return effective;
}

/** RFC 9687: the larger of 8 minutes and twice the hold time. */
const defaultSendHold = (holdMs: number) => durationFromMs(Math.max(480_000, 2 * holdMs));

function inheritedValue(info: FieldInfo, spec: NeighborSpec, group: PeerGroupSpec | undefined): unknown {
  if (isSet(spec, info)) return fieldValue(spec, info);
  const shared = group && info.name !== "address" ? fieldNamed(PeerGroupSpecSchema, info.name) : undefined;
  if (group && shared && isSet(group, shared)) return fieldValue(group, shared);
  return info.rule.default === "" ? undefined : defaultOf(info);
}

/** The default of a field option as a value of the field. */
function defaultOf(info: FieldInfo): unknown {
  const text = info.rule.default;
  if (isDuration(info.desc)) {
    assert(/^[0-9]+s$/.test(text), `default of ${info.name} is not in seconds`);
    return durationFromMs(Number(text.slice(0, -1)) * 1000);
  }
  if (text === "true" || text === "false") return text === "true";
  assert(/^[0-9]+$/.test(text), `default of ${info.name} is neither boolean nor number`);
  return Number(text);
}

/** What is known of a neighbor beyond what is declared. */
export interface Learned {
  /** As its OPEN told; 0 until then. For neighbors whose AS number is not declared. */
  readonly asn: number;
  /** Link-local address found on its interface. For neighbors that are named by one. */
  readonly address: Uint8Array | undefined;
  /** It refused local_asn, and may be told our own AS. */
  readonly refusesLocalAs: boolean;
}

export const nothingLearned: Learned = { asn: 0, address: undefined, refusesLocalAs: false };

/**
 * The settings that sessions, import and export work with.
 * @returns undefined when there is no such neighbor, or no Global
 */
export function resolveNeighbor(
  objects: Specs,
  name: string,
  learned: Learned = nothingLearned,
): NeighborConfig | undefined {
  const spec = effectiveSpec(objects, name);
  const global = resolveGlobal(objects);
  if (!spec || !global) return undefined;
  const learnsAsn = spec.remoteAs === RemoteAs.EXTERNAL;
  const remoteAsn = learnsAsn ? learned.asn : spec.remoteAsn;
  assert(remoteAsn !== undefined, "a neighbor without AS number was committed");
  const isRefused = spec.localAsDualAs! && learned.refusesLocalAs;
  const ases = sessionAses(remoteAsn, isRefused ? undefined : spec.localAsn, global);
  const { external, confederationMember, localAsn } = ases;
  const multihop = spec.multihopTtl ?? 0;
  return {
    address: spec.address,
    ...whereabouts(parsePeer(spec.address)!, learned.address),
    remoteAsn,
    learnsAsn,
    ...ases,
    routerId: global.routerId,
    clusterId: global.clusterId,
    localAsPrepends: external && localAsn !== ases.globalAsn && !spec.localAsNoPrepend!,
    localAsReplaces: spec.localAsReplaceAs!,
    localAsDual: spec.localAsDualAs!,
    asOverride: external && spec.asOverride!,
    localAddress: spec.localAddress,
    port: spec.port!,
    passive: spec.passive!,
    ttl: external || confederationMember ? multihop || 1 : 0,
    minTtl: spec.ttlSecurity ? 256 - spec.ttlSecurity : 0,
    password: spec.password,
    keychain: spec.keychain ?? "",
    keys: keychainKeys(objects, spec.keychain ?? ""),
    dynamic: undefined,
    holdTimeS: durationMs(spec.holdTime) / 1000,
    keepaliveTimeS: durationMs(spec.keepaliveTime) / 1000,
    connectRetryMs: durationMs(spec.connectRetryTime),
    delayOpenMs: durationMs(spec.delayOpenTime),
    sendHoldMs: durationMs(spec.sendHoldTime),
    idleHoldMs: durationMs(spec.idleHoldTime),
    families: spec.families.map((family) => familyByName(family)!).sort((a, b) => a.index - b.index),
    description: spec.description ?? "",
    peerGroup: spec.peerGroup,
    shutdown: spec.shutdown!,
    shutdownMessage: spec.shutdownMessage ?? "",
    extendedMessages: spec.extendedMessages!,
    strictErrors: spec.strictErrors!,
    softReconfiguration: spec.softReconfiguration!,
    prefixLimits: prefixLimits(spec.prefixLimits, false),
    acceptedLimits: prefixLimits(spec.prefixLimits, true),
    addPath: addPaths(spec.addPath),
    orf: outboundFilters(spec.orf),
    damping: external ? dampingOf(spec.damping) : undefined,
    bfd: bfdOf(spec.bfd),
    extendedNextHop: spec.extendedNextHop!,
    nextHopSelf: spec.nextHopSelf!,
    fastFailover: spec.fastFailover!,
    disableConnectedCheck: spec.disableConnectedCheck!,
    allowOwnAs: spec.allowOwnAs!,
    allowOwnAsOrigin: spec.allowOwnAsOrigin!,
    aigpSend: spec.aigpSend!,
    aigpReceive: spec.aigpReceive!,
    flowspecValidation: spec.flowspecValidation!,
    longLivedPartial: !external && spec.longLivedPartial!,
    removePrivateAs: removePrivateAsNames[spec.removePrivateAs ?? RemovePrivateAs.NONE] ?? "none",
    enforceFirstAs: spec.enforceFirstAs!,
    defaultOriginate: spec.defaultOriginate!,
    routeReflectorClient: spec.routeReflectorClient!,
    routeServerClient: spec.routeServerClient!,
    bilateralPeer: spec.bilateralPeer!,
    role: external && spec.role ? ((spec.role - 1) as BgpRole) : undefined,
    strictRole: spec.strictRole!,
    gracefulShutdown: spec.gracefulShutdown! || global.gracefulShutdown,
    honorGracefulShutdown: external && spec.honorGracefulShutdown!,
    blackhole: blackholeNames[spec.blackhole ?? BlackholeScope.NONE] ?? "none",
    maxAsPathLength: spec.maxAsPathLength!,
    perClientBest: spec.perClientBest!,
    suppressFibPending: spec.suppressFibPending!,
    gracefulRestart: gracefulRestartNames[spec.gracefulRestart!] ?? "helper",
    restartTimeS: durationMs(spec.restartTime) / 1000,
    staleTimeMs: durationMs(spec.staleTime),
    notificationRestart: spec.notificationRestart!,
    longLivedStaleS: durationMs(spec.longLivedStaleTime) / 1000,
    longLivedMaxS: durationMs(spec.longLivedStaleMax) / 1000,
    preserveForwarding: spec.preserveForwarding!,
    enhancedRefresh: spec.enhancedRefresh!,
    importDefault: spec.importDefault === PolicyAction.ACCEPT ? "accept" : "reject",
    exportDefault: spec.exportDefault === PolicyAction.ACCEPT ? "accept" : "reject",
    importPolicies: spec.import,
    exportPolicies: spec.export,
  };
}

const removePrivateAsNames: Readonly<Record<number, NeighborConfig["removePrivateAs"]>> = {
  [RemovePrivateAs.NONE]: "none",
  [RemovePrivateAs.REMOVE]: "remove",
  [RemovePrivateAs.ALL]: "all",
  [RemovePrivateAs.REPLACE]: "replace",
};

const blackholeNames: Readonly<Record<number, NeighborConfig["blackhole"]>> = {
  [BlackholeScope.NO_ADVERTISE]: "no-advertise",
  [BlackholeScope.NO_EXPORT]: "no-export",
};

const gracefulRestartNames: Readonly<Record<number, NeighborConfig["gracefulRestart"]>> = {
  [GracefulRestart.OFF]: "off",
  [GracefulRestart.FULL]: "full",
};

const limitActions: Readonly<Record<number, PrefixLimitConfig["action"]>> = {
  [PrefixLimit_Action.WARN]: "warn",
  [PrefixLimit_Action.STOP]: "stop",
  [PrefixLimit_Action.RESTART]: "restart",
  [PrefixLimit_Action.DROP]: "drop",
};

function prefixLimits(
  limits: readonly PrefixLimit[],
  afterPolicy: boolean,
): (PrefixLimitConfig | undefined)[] {
  const byFamily: (PrefixLimitConfig | undefined)[] = allFamilies.map(() => undefined);
  for (const limit of limits) {
    if (limit.afterPolicy !== afterPolicy) continue;
    byFamily[familyByName(limit.family)!.index] = {
      max: limit.max,
      action: limitActions[limit.action] ?? "stop",
      restartAfterMs: limit.restartAfter ? durationMs(limit.restartAfter) : 60_000,
      warningPercent: limit.warningPercent ?? 75,
    };
  }
  return byFamily;
}

function addPaths(entries: readonly AddPath[]): (AddPathConfig | undefined)[] {
  const byFamily: (AddPathConfig | undefined)[] = allFamilies.map(() => undefined);
  for (const { family, receive, send, max, receiveMax } of entries) {
    const choice = send === AddPath_Send.PER_NEIGHBOR_AS ? "perNeighborAs" : "first";
    const sends = send !== AddPath_Send.UNSPECIFIED && send !== AddPath_Send.NONE;
    const most = max ?? (send === AddPath_Send.BEST ? 2 : everyPath);
    byFamily[familyByName(family)!.index] = {
      receive,
      send: sends ? { choice, max: most } : undefined,
      receiveMax,
    };
  }
  return byFamily;
}

function outboundFilters(entries: readonly OutboundFilter[]): (OutboundFilterConfig | undefined)[] {
  const byFamily: (OutboundFilterConfig | undefined)[] = allFamilies.map(() => undefined);
  for (const { family, receive, send } of entries) byFamily[familyByName(family)!.index] = { receive, send };
  return byFamily;
}

/** Where a neighbor is. @param found its address, when only the interface is declared */
function whereabouts(
  { bytes, zone }: PeerAddress,
  found: Uint8Array | undefined,
): Pick<NeighborConfig, "addressBytes" | "remote" | "obstacle" | "interface" | "unnumbered"> {
  const addressBytes = bytes ?? found;
  const text = addressBytes ? formatIp(addressBytes) : "";
  return {
    addressBytes: addressBytes ?? new Uint8Array(16),
    remote: text === "" || zone === "" ? text : `${text}%${zone}`,
    obstacle: "",
    interface: zone,
    unnumbered: bytes === undefined,
  };
}

/** More paths than a prefix can have from all neighbors. */
const everyPath = 0xffff;

/** What a peer group gives to the sockets of all that come in by it. */
export function groupProtection(
  objects: Specs,
  name: string,
): Pick<NeighborConfig, "password" | "keys" | "minTtl"> {
  const spec = objects.spec("PeerGroup", name) as PeerGroupSpec | undefined;
  return {
    password: spec?.password,
    keys: keychainKeys(objects, spec?.keychain ?? ""),
    minTtl: spec?.ttlSecurity ? 256 - spec.ttlSecurity : 0,
  };
}

function keychainKeys(objects: Specs, name: string): TcpAoKey[] {
  const spec = name === "" ? undefined : (objects.spec("Keychain", name) as KeychainSpec | undefined);
  return (spec?.keys ?? []).map((key) => ({
    sendId: key.sendId ?? 0,
    receiveId: key.receiveId ?? 0,
    algorithm: key.algorithm === KeyAlgorithm.AES_128_CMAC_96 ? "aes-128-cmac-96" : "hmac-sha-1-96",
    secret: key.secret,
  }));
}

/** Which effective settings differ, and what follows from that. */
export interface ConfigChange {
  /** Field names in snake_case; those of Global have "global." before them. */
  readonly fields: readonly string[];
  /** The worst impact among them. */
  readonly impact: Impact;
  /** The session has to be reset. */
  readonly reset: boolean;
  /** The neighbor is to be asked for its routes again. */
  readonly refresh: boolean;
  /** Import or export has to run again. */
  readonly policy: boolean;
}

/** The spec field that each setting comes from; its option says what a change does. */
const sources: Readonly<Record<keyof NeighborConfig, string | undefined>> = {
  address: undefined,
  addressBytes: undefined,
  remote: undefined,
  obstacle: undefined,
  interface: undefined,
  unnumbered: undefined,
  learnsAsn: "remote_as",
  external: undefined, // these two follow from the AS numbers
  confederationMember: "global.confederation",
  remoteAsn: "remote_asn",
  localAsn: "local_asn",
  globalAsn: "global.asn",
  confederation: "global.confederation",
  localAsPrepends: "local_as_no_prepend",
  localAsReplaces: "local_as_replace_as",
  localAsDual: "local_as_dual_as",
  asOverride: "as_override",
  routerId: "global.router_id",
  clusterId: "global.cluster_id",
  localAddress: "local_address",
  port: "port",
  passive: "passive",
  ttl: "multihop_ttl",
  minTtl: "ttl_security",
  password: "password",
  keychain: "keychain",
  keys: undefined, // the sockets take them over without a reset
  dynamic: undefined,
  holdTimeS: "hold_time",
  keepaliveTimeS: "keepalive_time",
  connectRetryMs: "connect_retry_time",
  delayOpenMs: "delay_open_time",
  sendHoldMs: "send_hold_time",
  idleHoldMs: "idle_hold_time",
  families: "families",
  description: "description",
  peerGroup: "peer_group", // beside what it gives: policies match on its name
  shutdown: "shutdown",
  shutdownMessage: "shutdown_message",
  extendedMessages: "extended_messages",
  strictErrors: "strict_errors",
  softReconfiguration: "soft_reconfiguration",
  prefixLimits: "prefix_limits",
  acceptedLimits: "prefix_limits",
  addPath: "add_path",
  orf: "orf",
  damping: "damping",
  bfd: "bfd",
  extendedNextHop: "extended_next_hop",
  nextHopSelf: "next_hop_self",
  fastFailover: "fast_failover",
  disableConnectedCheck: "disable_connected_check",
  allowOwnAs: "allow_own_as",
  allowOwnAsOrigin: "allow_own_as_origin",
  aigpSend: "aigp_send",
  aigpReceive: "aigp_receive",
  flowspecValidation: "flowspec_validation",
  longLivedPartial: "long_lived_partial",
  removePrivateAs: "remove_private_as",
  enforceFirstAs: "enforce_first_as",
  defaultOriginate: "default_originate",
  routeReflectorClient: "route_reflector_client",
  routeServerClient: "route_server_client",
  bilateralPeer: "bilateral_peer",
  role: "role",
  strictRole: "strict_role",
  gracefulShutdown: "graceful_shutdown",
  honorGracefulShutdown: "honor_graceful_shutdown",
  blackhole: "blackhole",
  maxAsPathLength: "max_as_path_length",
  perClientBest: "per_client_best",
  suppressFibPending: "suppress_fib_pending",
  gracefulRestart: "graceful_restart",
  restartTimeS: "restart_time",
  staleTimeMs: "stale_time",
  notificationRestart: "notification_restart",
  longLivedStaleS: "long_lived_stale_time",
  longLivedMaxS: "long_lived_stale_max",
  preserveForwarding: "preserve_forwarding",
  enhancedRefresh: "enhanced_refresh",
  importDefault: "import_default",
  exportDefault: "export_default",
  importPolicies: "import",
  exportPolicies: "export",
};

/** Compares what a neighbor works with before and after a commit. */
export function compareConfigs(before: NeighborConfig, after: NeighborConfig): ConfigChange {
  const fields: string[] = [];
  const impacts = new Set<Impact>();
  for (const key of Object.keys(sources) as (keyof NeighborConfig)[]) {
    const source = sources[key];
    if (source === undefined || sameSetting(before[key], after[key])) continue;
    // What an OPEN told is no setting.
    if (key === "remoteAsn" && before.learnsAsn && after.learnsAsn) continue;
    if (!fields.includes(source)) fields.push(source);
    // Inside a member AS the confederation is only something to look for in paths.
    impacts.add(key === "confederation" ? Impact.POLICY : impactOf(source));
  }
  return {
    fields,
    impact: Math.max(Impact.NONE, ...impacts) as Impact,
    reset: impacts.has(Impact.SESSION_RESET),
    refresh: impacts.has(Impact.REFRESH),
    policy: impacts.has(Impact.POLICY),
  };
}

function impactOf(source: string): Impact {
  const info = source.startsWith("global.")
    ? fieldNamed(GlobalSpecSchema, source.slice("global.".length))
    : fieldNamed(NeighborSpecSchema, source);
  assert(info, `no spec field ${source}`);
  return info.rule.impact;
}

function sameSetting(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === "object" && JSON.stringify(a) === JSON.stringify(b));
}

/** True when the two Global configurations call for choosing best paths anew. */
export function bestPathChanged(before: GlobalConfig, after: GlobalConfig): boolean {
  return !equals(BestPathOptionsSchema, before.bestPath, after.bestPath);
}

/** Families that a configuration offers, as a mask of `family.index` bits. */
export function familyMask(families: readonly Family[]): number {
  return families.reduce((mask, family) => mask | (1 << family.index), 0);
}
