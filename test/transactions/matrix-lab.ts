/**
 * The lab of the matrix test: a core in virtual time with five neighbors whose routes touch everything a setting can
 * decide, and the fields of all kinds as the registry knows them, each with a value to change it to.
 */

import assert from "node:assert/strict";
import {
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import { parseIp } from "../../src/base/ip.ts";
import type { SimulatedKernel } from "../../src/dataplane/simulated-kernel.ts";
import { Format, Impact } from "../../src/gen/cairn/v1/options_pb.ts";
import { emptySlurm } from "../../src/rpki/slurm.ts";
import { type Kind, kinds } from "../../src/state/kinds.ts";
import type { MutationOp } from "../../src/state/mutation.ts";
import { RouteBatch } from "../../src/state/route-batch.ts";
import { type FieldInfo, fieldsOf, isDuration } from "../../src/state/schema.ts";
import type { Capability } from "../../src/wire/capabilities.ts";
import { type Family, ipv4Flowspec, ipv4Unicast } from "../../src/wire/family.ts";
import { CoreRig, Peer } from "../rfc/core-rig.ts";
import type { RouteText } from "../rfc/wire-text.ts";
import { FakeCache, vrpPdu } from "../support/rtr-cache.ts";
import { givenWithin, labObjects, type Sample, samples, subjects, wholes } from "./samples.ts";

/** A field that can be changed alone. */
export interface Case {
  readonly kind: Kind;
  /** `Global.best_path.steps`; elements of lists are not numbered. */
  readonly name: string;
  readonly info: FieldInfo;
  readonly impact: Impact;
  /** Keys from the spec to the field, in JSON. */
  readonly path: readonly (string | number)[];
  readonly sample: Sample;
  /** What it is changed to; undefined when neither the samples nor the declaration say. */
  readonly value: JsonValue | undefined;
}

/** Every field of a kind, those of the messages within it too; the key names the object and is left out. */
export function casesOf(kind: Kind): Case[] {
  const found: Case[] = [];
  const walk = (
    desc: DescMessage,
    path: readonly (string | number)[],
    inherited: Impact,
    within: readonly DescMessage[],
  ): void => {
    for (const info of fieldsOf(desc)) {
      if (path.length === 0 && info === kind.key) continue;
      const at = [...path, info.name];
      const impact = info.rule.impact === Impact.UNSPECIFIED ? inherited : info.rule.impact;
      const { message, fieldKind } = info.desc;
      const name = [kind.name, ...at.filter((part) => typeof part === "string")].join(".");
      const isOne = !message || isDuration(info.desc) || [...within, desc].includes(message);
      if (!isOne && !wholes.has(name)) {
        walk(message!, fieldKind === "list" ? [...at, 0] : at, impact, [...within, desc]);
        continue;
      }
      const sample = samples[name] ?? samples[name.replace(/^PeerGroup/, "Neighbor")] ?? {};
      found.push({ kind, name, info, impact, path: at, sample, value: sample.value ?? madeUp(info) });
    }
  };
  walk(kind.desc, [], Impact.UNSPECIFIED, []);
  return found;
}

/** A value other than the default, from type, bounds and default of the declaration. */
function madeUp({ desc, rule, min }: FieldInfo): JsonValue | undefined {
  if (desc.fieldKind === "list" || desc.fieldKind === "map") return undefined;
  if (isDuration(desc)) return `${Math.max(3, min)}s`;
  if (desc.enum) return desc.enum.values[desc.enum.values.length - 1].name;
  if (desc.fieldKind !== "scalar" || rule.format !== Format.UNSPECIFIED || rule.ref !== "") return undefined;
  if (desc.scalar === ScalarType.BOOL) return rule.default !== "true";
  if (desc.scalar === ScalarType.STRING) return "some text";
  return Math.max(2, min);
}

/** KIND/NAME of the object that a case changes. */
export function subjectOf({ kind, name, sample }: Case): string {
  const on = sample.on ?? "192.0.2.2";
  const named =
    kind.name === "Neighbor"
      ? on
      : kind.name === "PeerGroup"
        ? String(labObjects[`Neighbor/${on}`].peer_group)
        : subjects[kind.name];
  const id = `${kind.name}/${named}`;
  assert.ok(labObjects[id], `${name}: the lab has no ${kind.name}; add one to test/transactions/samples.ts`);
  return id;
}

/** All objects before the change, and the one that is changed as it is afterwards. */
export function objectsOf(one: Case): { before: Record<string, JsonObject>; after: JsonObject } {
  const id = subjectOf(one);
  const before = { ...labObjects };
  for (const [other, fields] of Object.entries(one.sample.besides ?? {}))
    before[other] = { ...before[other], ...fields };
  before[id] = { ...before[id], ...(one.sample.given ?? givenFor(one.name)) };
  const after = structuredClone(before[id]);
  let at: Record<string | number, JsonValue> = after;
  for (const [i, part] of one.path.slice(0, -1).entries()) {
    at[part] ??= typeof one.path[i + 1] === "number" ? [] : {};
    at = at[part] as Record<string | number, JsonValue>;
  }
  at[one.path[one.path.length - 1]] = one.value!;
  return { before, after };
}

/** What the longest entry says that the field's name begins with. */
function givenFor(name: string): JsonObject {
  const shared = name.replace(/^PeerGroup/, "Neighbor");
  const fits = Object.keys(givenWithin).filter((path) => shared === path || shared.startsWith(`${path}.`));
  return givenWithin[fits.sort((a, b) => b.length - a.length)[0]] ?? {};
}

export function putOf(id: string, json: JsonObject): MutationOp {
  const kind = kinds.get(id.slice(0, id.indexOf("/")))!;
  return { op: "put", kind: kind.name, spec: fromJson(kind.desc, json) as Message, exact: true };
}

const addresses = ["192.0.2.3", "192.0.2.2", "10.0.0.4", "10.0.0.5", "192.0.2.6"];

const hostKernel: SimulatedKernel = {
  links: ["192.0.2.1", "10.0.0.1"].map((address, i) => ({
    name: `eth${i}`,
    up: true,
    addresses: [{ bytes: parseIp(address)!, length: 24 }],
  })),
  routes: [
    {
      destination: { bytes: new Uint8Array(4), length: 0 },
      ...{ metric: 0, type: "unicast", link: "", gateway: parseIp("192.0.2.9") },
    },
  ],
};

/** Caches and files of RPKI: those called other have other data. */
function playRpki(rig: CoreRig): void {
  const caches = new Map<number, FakeCache>();
  const post = (input: Parameters<CoreRig["core"]["handle"]>[0]): void =>
    void rig.core.handle(input, rig.nowMs, rig.wallMs);
  rig.watch = (effect) => {
    if (effect.kind === "rtr.connect") {
      const own = ["198.51.10.0/24 24 65912", "aspa 65900 65099"];
      caches.set(
        effect.conn,
        new FakeCache(effect.host === "other.example" ? ["203.0.0.0/16 24 65099"] : own),
      );
      post({ kind: "rtr.connected", conn: effect.conn });
    } else if (effect.kind === "rtr.send") {
      for (const bytes of caches.get(effect.conn)?.receive(effect.bytes) ?? [])
        post({ kind: "rtr.bytes", conn: effect.conn, bytes });
    } else if (effect.kind === "rpki.watch") {
      const pdus = vrpPdu(2, "203.0.0.0/16 24 65099", true);
      for (const path of effect.vrps) post({ kind: "rpki.file", path, pdus, error: "" });
      const prefixFilters = [{ asn: 65912 }];
      for (const path of effect.slurm)
        post({ kind: "rpki.file", path, slurm: { ...emptySlurm, prefixFilters }, error: "" });
    }
  };
}

export class Lab {
  readonly rig: CoreRig;
  readonly peers = new Map<string, Peer>();
  private readonly tracked: boolean;

  /** @param tracked whether next hops are, with a default route by 192.0.2.9 */
  constructor(objects: Readonly<Record<string, JsonObject>>, tracked = false) {
    this.tracked = tracked;
    this.rig = new CoreRig({}, undefined, tracked ? "memory" : "none");
    if (tracked) this.rig.simulate(hostKernel);
    playRpki(this.rig);
    this.rig.mutate(...Object.entries(objects).map(([id, json]) => putOf(id, json)));
    for (const address of addresses) {
      this.connect(address);
      this.rig.advance(2000);
    }
  }

  /** Brings the neighbors up that are down and not shut down, each with what its settings ask for. */
  connectAll(): void {
    for (const address of addresses) if (!this.peers.get(address)?.up) this.connect(address);
  }

  private connect(address: string): void {
    const { config } = this.rig.core.neighbors.named(address)!;
    if (config.shutdown) return;
    const capabilities: Capability[] =
      config.role === undefined ? [] : [{ kind: "role", role: [3, 2, 1, 0, 4][config.role] }];
    const isRules = ({ nlri }: Family): boolean => nlri === "flow";
    const afisOf = (families: readonly Family[]) => families.map(({ afi }) => afi) as (1 | 2)[];
    const afis = afisOf(config.families.filter((family) => !isRules(family)));
    const ruleAfis = afisOf(config.families.filter(isRules));
    // Of one whose AS is not declared, that which it has elsewhere in the lab.
    const peer = new Peer(this.rig, address, config.remoteAsn || 65002, { afis, ruleAfis, capabilities });
    this.peers.set(address, peer);
    peer.connect();
    this.announce(peer);
  }

  private announce(peer: Peer): void {
    const n = addresses.indexOf(peer.address);
    const isInside = peer.address.startsWith("10.");
    const own = isInside ? "" : `${peer.asn} `;
    const route = (prefix: string, change: RouteText = {}): void => peer.announce(prefix, change);
    route(`203.${n}.0.0/24`);
    route(`203.${n}.1.0/24`, { communities: "65535:65284" });
    route(`203.${n}.2.0/24`, { communities: "65535:0" });
    route(`203.${n}.3.1/32`, { communities: "65535:666" });
    route(`203.${n}.4.0/24`, { path: `${own}65001 65010` });
    route(`203.${n}.5.0/24`, { path: `65055 ${own}65010` });
    route(`203.${n}.6.0/24`, { path: `${own}65011 65012 65013 65014 65015` });
    route(`203.${n}.7.0/24`, { med: 50, communities: "65002:1 65002:7" });
    route(`203.${n}.8.0/24`, { communities: "65000:8" });
    route(`203.${n}.9.0/24`, { communities: "65000:9" });
    route(`203.${n}.10.0/24`, { path: `${own}3333` });
    route(`203.${n}.11.0/24`, { origin: "incomplete", communities: "65002:2" });
    // The same prefixes from all: by MED of different ASes, by length, by age and number.
    route("198.51.1.0/24", { path: `${isInside ? "65902 " : own}65900`, med: 100 - n * 10 });
    route("198.51.2.0/24", { path: `${own}65900`, ...(n % 2 === 0 ? {} : { med: 5 }) });
    route("198.51.3.0/24", { path: `${own}${n === 0 ? "" : "65901 "}65900` });
    route("198.51.4.0/24", { path: `${own}65900`, ...(isInside ? { localPref: 90 } : {}) });
    // Equally good ones: of different ASes, one of them with a link bandwidth, and from inside.
    const bandwidth = n === 0 ? { extended: "4004fde94b189680" } : {};
    route("198.51.6.0/24", { path: `${isInside ? "65902 " : own}65900`, ...bandwidth });
    route(`203.${n}.12.0/24`, { path: `${own}65010 65002` });
    route(`203.${n}.13.0/24`, { path: `${own}65010 65001` });
    route(`203.${n}.14.0/24`, { other: "801a0b01000b0000000000000064" });
    route(`203.${n}.15.0/24`, { communities: "65535:6" });
    // Of two origins; the one that validation prefers is far away.
    route("198.51.10.0/24", { path: `${own}${n === 2 ? "65911 65911 65912" : "65900"}` });
    // A rule for what nobody announces.
    if (this.rig.core.neighbors.named(peer.address)!.config.families.includes(ipv4Flowspec))
      peer.announceRules(["flow4 0118cb0071038111"]);
    if (this.tracked) route("198.51.9.0/24", { nextHop: "203.0.113.9" });
    if (isInside) {
      route("198.51.7.0/24", { path: "65900 65901" });
      route("198.51.5.0/24", { path: "65900 65901", ...(peer.address === "10.0.0.4" ? {} : { med: 5 }) });
    }
  }

  /** What everybody can see: routes at the neighbors, received routes before and after policy, best paths. */
  seen(): Record<string, unknown> {
    const told: Record<string, unknown> = {};
    for (const [address, { routes, up }] of this.peers) {
      told[`at ${address}`] = up ? Object.fromEntries(routes) : {};
      for (const prePolicy of [true, false]) {
        const table = { table: "received", neighbor: address, prePolicy } as const;
        const walk = this.rig.view.walk(table, ipv4Unicast, undefined, "");
        assert.ok(walk.ok);
        const routes = new RouteBatch();
        while (!walk.value.next(routes, 1000, 100_000));
        told[`from ${address}, ${prePolicy ? "as it came" : "after policy"}`] = Object.fromEntries(
          routes.routes().map((route) => {
            const { age, receivedAt, ...timeless } = route;
            return [route.prefix, timeless];
          }),
        );
      }
      const rules = this.rig.routes({ table: "rejected", neighbor: address }, ipv4Flowspec);
      told[`rules of ${address} that are not used`] = rules.map(({ prefix }) => prefix);
    }
    return told;
  }
}
