/**
 * Interface: a link that cairn makes, or one that is there and that cairn sets up. What is set on it are settings, which
 * are given back as they were found; only a link of a virtual type is made and deleted.
 */
import type { Message } from "@bufbuild/protobuf";
import { formatIp } from "../../base/ip.ts";
import type { Problem } from "../../base/problem.ts";
import type { Artifact, Fact } from "../../dataplane/artifact.ts";
import type { Link } from "../../dataplane/kernel-model.ts";
import { vlanText } from "../../dataplane/netlink/bridge-vlans.ts";
import { type InterfaceSpec, InterfaceType } from "../../gen/cairn/v1/link_kinds_pb.ts";
import {
  artifact,
  type Derivation,
  invalid,
  type ResourceKind,
  type SpecLookup,
  type Surroundings,
} from "../kind.ts";
import { sysctlValue } from "../sysctl/kind.ts";
import { checkType, linkFacts, masterTypes, types, wireGuardFacts } from "./types.ts";

export const interfaceKind: ResourceKind = {
  kind: "Interface",
  inherits: ["Interface"],
  check(message: Message, lookup: SpecLookup): Problem[] {
    const spec = message as InterfaceSpec;
    const rule = types[spec.type];
    if (!rule) return [invalid("type", `there is no interface type ${spec.type}`)];
    const problems = checkType(spec, rule);
    if (ifnameOf(spec).length > 15) {
      problems.push(invalid("ifname", `the kernel takes 15 characters, and ${ifnameOf(spec)} has more`));
    }
    if (spec.peer !== "" && spec.peer === ifnameOf(spec)) {
      problems.push(invalid("peer", "both ends of a pair have the same name"));
    }
    return [
      ...problems,
      ...checkMaster(spec, lookup),
      ...checkMembers(spec, lookup),
      ...checkMac(spec, lookup),
      ...checkVlans(spec),
      ...checkSysctls(spec),
    ];
  },

  derive(message: Message, around: Surroundings): Derivation {
    const spec = message as InterfaceSpec;
    const ifname = ifnameOf(spec);
    const artifacts: Artifact[] = [];
    const { link: kind } = types[spec.type];
    const missing = (text: string): Derivation => ({
      artifacts,
      pending: { reason: "DEVICE_MISSING", message: `link ${text} is not there` },
    });
    if (kind !== "") {
      const parent = spec.parent === "" ? "" : deviceOf(spec.parent, around);
      if (parent !== "" && !around.link(parent)) return missing(parent);
      artifacts.push(artifact(spec, "link", ifname, linkFacts(spec, kind, parent)));
    }
    const link = around.link(ifname);
    // What is set on a link of ours follows when it is seen.
    if (!link) return kind === "" ? missing(ifname) : { artifacts };
    const pending = settingsOf(spec, link, around, artifacts);
    return { artifacts, values: valuesOf(link), ...(pending && { pending }) };
  },
};

/** Adds what is set on a link that is there. @returns what it waits for */
function settingsOf(
  spec: InterfaceSpec,
  link: Link,
  around: Surroundings,
  artifacts: Artifact[],
): Derivation["pending"] {
  const { name } = link;
  let pending: Derivation["pending"];
  const wait = (reason: string, message: string): void => {
    pending ??= { reason, message };
  };
  const set = (device: string, property: string, value: Fact): void => {
    artifacts.push(artifact(spec, "link-setting", `${device} ${property}`, { value }));
  };
  if (spec.wireguard)
    artifacts.push(artifact(spec, "wireguard", name, { ...wireGuardFacts(spec.wireguard) }));
  if (spec.mac !== "") set(name, "mac", spec.mac);
  if (spec.mtu !== undefined) set(name, "mtu", spec.mtu);
  set(name, "admin", (spec.adminUp ?? true) ? "up" : "down");
  for (const { key, value } of spec.sysctls) {
    const [family, setting] = key.split(".");
    // A dot in the name of a link is written as a slash.
    const whole = `net.${family}.conf.${name.replaceAll(".", "/")}.${setting}`;
    artifacts.push(artifact(spec, "sysctl", whole, { value: sysctlValue(value) }));
  }
  if (spec.master !== "") {
    const master = deviceOf(spec.master, around);
    if (around.link(master)) set(name, "master", master);
    else wait("DEVICE_MISSING", `link ${master}, its master, is not there`);
  }
  for (const member of spec.members) {
    // One that says so itself needs nobody to say it.
    if ((around.spec("Interface", member) as InterfaceSpec | undefined)?.master === spec.name) continue;
    const device = deviceOf(member, around);
    if (around.link(device)) set(device, "master", name);
    else wait("DEVICE_MISSING", `link ${device}, a member, is not there`);
  }
  const vlans = vlansOf(spec);
  if (vlans.length > 0) {
    if (link.vlans) set(name, "vlans", vlans);
    else wait("NO_VLANS", `link ${name} belongs to no bridge that keeps VLANs apart`);
  }
  return pending;
}

/** The VLANs of a port as its facts list them; empty when the spec says nothing of VLANs. */
function vlansOf({ pvid, taggedVlans, untaggedVlans }: InterfaceSpec): string[] {
  const tagged = new Set(taggedVlans);
  const untagged = new Set(untaggedVlans);
  if (pvid !== undefined && !tagged.has(pvid)) untagged.add(pvid);
  return [...new Set([...tagged, ...untagged])]
    .sort((a, b) => a - b)
    .map((id) => vlanText(id, id === pvid, untagged.has(id)));
}

function checkMaster(spec: InterfaceSpec, lookup: SpecLookup): Problem[] {
  if (spec.master === "") return [];
  if (spec.master === spec.name) return [invalid("master", "an interface cannot belong to itself")];
  const master = lookup("Interface", spec.master) as InterfaceSpec | undefined;
  if (!master || masterTypes.includes(master.type)) return [];
  if (types[master.type]?.link === "") return []; // a bridge that somebody else made
  return [invalid("master", `${spec.master} is neither a bridge, nor a bond, nor a VRF`)];
}

function checkMembers({ name, members }: InterfaceSpec, lookup: SpecLookup): Problem[] {
  const problems: Problem[] = [];
  members.forEach((member, i) => {
    const path = `members[${i}]`;
    if (member === name) problems.push(invalid(path, "an interface cannot belong to itself"));
    if (members.indexOf(member) < i) {
      problems.push({ code: "DUPLICATE", path, message: `${member} is listed twice` });
    }
    const other = (lookup("Interface", member) as InterfaceSpec | undefined)?.master ?? "";
    if (other !== "" && other !== name) {
      problems.push(invalid(path, `${member} says that it belongs to ${other}`, "take one of both out"));
    }
  });
  return problems;
}

function checkMac({ mac, master, type }: InterfaceSpec, lookup: SpecLookup): Problem[] {
  if (mac === "") return [];
  const problems: Problem[] = [];
  const first = Number.parseInt(mac.slice(0, 2), 16);
  if ((first & 1) !== 0) problems.push(invalid("mac", `${mac} is the address of a group, not of a link`));
  if (mac === "00:00:00:00:00:00") problems.push(invalid("mac", `${mac} is no address`));
  const above = master === "" ? undefined : (lookup("Interface", master) as InterfaceSpec | undefined);
  if (above?.type === InterfaceType.BOND) {
    const message = "a member of a bond has the hardware address of the bond";
    problems.push(invalid("mac", message, `set it on ${master}`));
  }
  if (type === InterfaceType.WIREGUARD) problems.push(invalid("mac", "a WireGuard link has none"));
  return problems;
}

function checkVlans({ taggedVlans, untaggedVlans }: InterfaceSpec): Problem[] {
  const problems: Problem[] = [];
  const seen = new Map<number, string>();
  for (const [field, vlans] of [
    ["tagged_vlans", taggedVlans],
    ["untagged_vlans", untaggedVlans],
  ] as const) {
    vlans.forEach((id, i) => {
      const where = seen.get(id);
      seen.set(id, field);
      if (where === undefined) return;
      const message = `VLAN ${id} is ${where === field ? "listed twice" : `in ${where} as well`}`;
      problems.push({ code: "DUPLICATE", path: `${field}[${i}]`, message });
    });
  }
  return problems;
}

function checkSysctls({ sysctls }: InterfaceSpec): Problem[] {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  sysctls.forEach(({ key }, i) => {
    const path = `sysctls[${i}].key`;
    if (!/^ipv[46]\.[a-z0-9_]+$/.test(key)) {
      problems.push(invalid(path, `"${key}" is no setting of a link`, "write ipv4.NAME or ipv6.NAME"));
    }
    if (seen.has(key)) problems.push({ code: "DUPLICATE", path, message: `${key} is listed twice` });
    seen.add(key);
  });
  return problems;
}

function valuesOf(link: Link): Record<string, string> {
  return {
    ifindex: String(link.index),
    state: link.operState,
    mtu: String(link.mtu),
    mac: link.mac,
    addresses: link.addresses.map(({ address, length }) => `${formatIp(address)}/${length}`).join(" "),
    ...(link.vlans && { vlans: link.vlans.join(", ") }),
  };
}

/** Name of the link in the kernel. */
export function ifnameOf(spec: InterfaceSpec): string {
  return spec.ifname === "" ? spec.name : spec.ifname;
}

/** Name in the kernel of the link of an Interface object. */
export function deviceOf(name: string, around: Pick<Surroundings, "spec">): string {
  const spec = around.spec("Interface", name) as InterfaceSpec | undefined;
  return spec ? ifnameOf(spec) : name;
}
