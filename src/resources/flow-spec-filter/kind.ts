/** FlowSpecFilter: flow specifications that BGP has chosen as rules of nftables, in the order of RFC 8955 5.1. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import { type FlowSpecFilterSpec, FlowSpecHook } from "../../gen/cairn/v1/flowspec_kinds_pb.ts";
import { flowFamily } from "../../wire/family.ts";
import { deviceOf } from "../interface/kind.ts";
import { type Derivation, invalid, type ResourceKind, type Surroundings } from "../kind.ts";
import { NftGroups } from "../nft/expressions.ts";
import { type FlowHook, type FlowRule, type Translated, translated } from "./rules.ts";

/** More hooks are a row here, and a chain in src/dataplane/nft/ruleset.ts. */
const chains: Readonly<Record<number, { readonly chain: string; readonly fragments: boolean }>> = {
  [FlowSpecHook.UNSPECIFIED]: { chain: "flow_forward", fragments: false },
  [FlowSpecHook.FORWARD]: { chain: "flow_forward", fragments: false },
  [FlowSpecHook.PREROUTING]: { chain: "flow_prerouting", fragments: true },
};

const defaultMaxRules = 1000;

/** A rule as a filter has it. */
export interface FilterRule {
  readonly rule: FlowRule;
  readonly translated: Translated;
  /** Key of its artifact; empty when it is not to be installed. */
  readonly key: string;
  readonly overLimit: boolean;
}

export const flowSpecFilterKind: ResourceKind = {
  kind: "FlowSpecFilter",
  check: (message) => checkFilter(message as FlowSpecFilterSpec),

  derive(message: Message, around: Surroundings): Derivation {
    const spec = message as FlowSpecFilterSpec;
    const owner = `FlowSpecFilter/${spec.name}`;
    const groups = new NftGroups(owner, spec);
    let unsupported = 0;
    let over = 0;
    for (const { translated, key, overLimit } of filterRules(spec, around.flowRules(), around)) {
      if (overLimit) over++;
      else if (!translated.ok) unsupported++;
      else {
        const [chain, order] = key.split(" ");
        groups.rules(chain, order, translated.rules);
      }
    }
    const values = {
      rules: String(groups.artifacts.length),
      not_supported: String(unsupported),
      over_limit: String(over),
    };
    return { artifacts: groups.artifacts, values };
  },
};

/** What becomes of each rule that the filter takes, in their order: those of IPv4, then those of IPv6. */
export function* filterRules(
  spec: FlowSpecFilterSpec,
  rules: readonly FlowRule[],
  around: Pick<Surroundings, "spec">,
): Iterable<FilterRule> {
  const { chain, fragments } = chains[spec.hook];
  const devices = spec.interfaces.map((name) => deviceOf(name, around));
  const hook: FlowHook = { devices, fragments };
  const takes = taker(spec);
  let left = spec.maxRules ?? defaultMaxRules;
  for (const rule of rules) {
    if (!takes(rule)) continue;
    const words = translated(rule, hook);
    const overLimit = words.ok && left === 0;
    if (words.ok && left > 0) left--;
    const isInstalled = words.ok && !overLimit;
    // Rules of one filter stand together, and those of IPv4 before those of IPv6.
    const order = `${rule.addressBytes === 4 ? 4 : 6}.${rule.label}`;
    const key = isInstalled ? `${chain} ${order} FlowSpecFilter/${spec.name}` : "";
    yield { rule, translated: words, key, overLimit };
  }
}

function taker({ families, neighbors, peerGroups }: FlowSpecFilterSpec): (rule: FlowRule) => boolean {
  const fromAll = neighbors.length + peerGroups.length === 0;
  return ({ addressBytes, neighbor, peerGroup }) =>
    (families.length === 0 || families.includes(flowFamily(addressBytes).name)) &&
    (fromAll || neighbors.includes(neighbor) || (peerGroup !== "" && peerGroups.includes(peerGroup)));
}

function checkFilter({ hook, families }: FlowSpecFilterSpec): Problem[] {
  const problems = families.flatMap((family, i) =>
    family === flowFamily(4).name || family === flowFamily(16).name
      ? []
      : [
          invalid(
            `families[${i}]`,
            `${family} has no flow specifications`,
            "use ipv4-flowspec or ipv6-flowspec",
          ),
        ],
  );
  if (chains[hook] === undefined) problems.push(invalid("hook", `there is no hook ${hook}`));
  return problems;
}
