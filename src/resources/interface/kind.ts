/**
 * Interface: a link that cairn makes, or one that is there and that cairn sets up. What is set on it are settings, which
 * are given back as they were found; only a link of a virtual type is made and deleted.
 */
import type { Message } from "@bufbuild/protobuf";
import { formatIp } from "../../base/ip.ts";
import type { Problem } from "../../base/problem.ts";
import type { Artifact, Fact } from "../../dataplane/artifact.ts";
import type { Link } from "../../dataplane/kernel-model.ts";
import { type InterfaceSpec, InterfaceType } from "../../gen/cairn/v1/link_kinds_pb.ts";
import {
  artifact,
  type Derivation,
  invalid,
  type ResourceKind,
  type SpecLookup,
  type Surroundings,
} from "../kind.ts";

/** What each type needs beside what all links have, and the kind of its link as the kernel spells it. */
interface TypeRule {
  /** Empty for a link that is there already. */
  readonly link: string;
  readonly needs: readonly ("parent" | "vlan_id" | "peer" | "table")[];
}

const types: Readonly<Record<number, TypeRule>> = {
  [InterfaceType.UNSPECIFIED]: { link: "", needs: [] },
  [InterfaceType.PHYSICAL]: { link: "", needs: [] },
  [InterfaceType.BRIDGE]: { link: "bridge", needs: [] },
  [InterfaceType.VETH]: { link: "veth", needs: ["peer"] },
  [InterfaceType.VLAN]: { link: "vlan", needs: ["parent", "vlan_id"] },
  [InterfaceType.DUMMY]: { link: "dummy", needs: [] },
  [InterfaceType.VRF]: { link: "vrf", needs: ["table"] },
};

export const interfaceKind: ResourceKind = {
  kind: "Interface",
  inherits: ["Interface"],
  check(message: Message, lookup: SpecLookup): Problem[] {
    const spec = message as InterfaceSpec;
    const rule = types[spec.type];
    if (!rule) return [invalid("type", `there is no interface type ${spec.type}`)];
    const problems: Problem[] = [];
    const given = {
      parent: spec.parent !== "",
      vlan_id: spec.vlanId !== undefined,
      peer: spec.peer !== "",
      table: spec.table !== undefined,
    };
    for (const field of ["parent", "vlan_id", "peer", "table"] as const) {
      const isNeeded = rule.needs.includes(field);
      if (isNeeded === given[field]) continue;
      const type = rule.link === "" ? "physical" : rule.link;
      problems.push(
        isNeeded
          ? { code: "REQUIRED", path: field, message: `an interface of type ${type} needs ${field}` }
          : invalid(field, `${field} is not for an interface of type ${type}`),
      );
    }
    if (ifnameOf(spec).length > 15) {
      problems.push(invalid("ifname", `the kernel takes 15 characters, and ${ifnameOf(spec)} has more`));
    }
    if (spec.peer !== "" && spec.peer === ifnameOf(spec)) {
      problems.push(invalid("peer", "both ends of a pair have the same name"));
    }
    return [...problems, ...checkMaster(spec, lookup)];
  },

  derive(message: Message, around: Surroundings): Derivation {
    const spec = message as InterfaceSpec;
    const ifname = ifnameOf(spec);
    const artifacts: Artifact[] = [];
    const { link: kind } = types[spec.type];
    const pending = (reason: string, text: string): Derivation => ({
      artifacts,
      pending: { reason, message: text },
    });
    if (kind !== "") {
      const parent = spec.parent === "" ? "" : deviceOf(spec.parent, around);
      if (parent !== "" && !around.link(parent))
        return pending("DEVICE_MISSING", `link ${parent} is not there`);
      artifacts.push(artifact(spec, "link", ifname, linkFacts(spec, kind, parent)));
    }
    const link = around.link(ifname);
    if (!link) {
      if (kind === "") return pending("DEVICE_MISSING", `link ${ifname} is not there`);
      // What is set on it follows when it is seen.
      return { artifacts };
    }
    const set = (property: string, value: Fact): void => {
      artifacts.push(artifact(spec, "link-setting", `${ifname} ${property}`, { value }));
    };
    if (spec.mtu !== undefined) set("mtu", spec.mtu);
    set("admin", (spec.adminUp ?? true) ? "up" : "down");
    const values = valuesOf(link);
    if (spec.master === "") return { artifacts, values };
    const master = deviceOf(spec.master, around);
    if (!around.link(master)) {
      return { ...pending("DEVICE_MISSING", `link ${master}, its master, is not there`), values };
    }
    set("master", master);
    return { artifacts, values };
  },
};

function checkMaster(spec: InterfaceSpec, lookup: SpecLookup): Problem[] {
  if (spec.master === "") return [];
  if (spec.master === spec.name) return [invalid("master", "an interface cannot belong to itself")];
  const master = lookup("Interface", spec.master) as InterfaceSpec | undefined;
  if (!master || master.type === InterfaceType.BRIDGE || master.type === InterfaceType.VRF) return [];
  if (types[master.type]?.link === "") return []; // a bridge that somebody else made
  return [invalid("master", `${spec.master} is neither a bridge nor a VRF`)];
}

function linkFacts(spec: InterfaceSpec, kind: string, parent: string): Record<string, Fact> {
  return {
    kind,
    ...(parent !== "" && { parent }),
    ...(spec.vlanId !== undefined && { vlanId: spec.vlanId }),
    ...(spec.peer !== "" && { peer: spec.peer }),
    ...(spec.table !== undefined && { table: spec.table }),
  };
}

function valuesOf(link: Link): Record<string, string> {
  return {
    ifindex: String(link.index),
    state: link.operState,
    mtu: String(link.mtu),
    mac: link.mac,
    addresses: link.addresses.map(({ address, length }) => `${formatIp(address)}/${length}`).join(" "),
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
