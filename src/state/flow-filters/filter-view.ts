/** Rules of FlowSpecFilter objects as the API shows them. */
import { create } from "@bufbuild/protobuf";
import type { FlowSpecFilterSpec } from "../../gen/cairn/v1/flowspec_kinds_pb.ts";
import {
  type FlowSpecFilterRule,
  FlowSpecFilterRuleSchema,
  FlowSpecRuleState,
} from "../../gen/cairn/v1/resource_service_pb.ts";
import { type FilterRule, filterRules } from "../../resources/flow-spec-filter/kind.ts";
import { flowFamily } from "../../wire/family.ts";
import { formatRule } from "../../wire/flowspec/text.ts";
import type { Core } from "../core.ts";

export interface FilterQuery {
  /** Object; empty for all. */
  readonly filter: string;
  readonly faulty: boolean;
}

/** One page; the place is FILTER-INDEX.RULE. */
export function filterRulePage(
  core: Core,
  query: FilterQuery,
  position: string,
  max: number,
): { readonly rules: FlowSpecFilterRule[]; readonly position: string } {
  const names = [...core.objects.entries("FlowSpecFilter")]
    .map(({ name }) => name)
    .filter((name) => query.filter === "" || name === query.filter)
    .sort();
  const rules: FlowSpecFilterRule[] = [];
  let [at, from] = position === "" ? [0, 0] : position.split(".").map(Number);
  for (; at < names.length; at++, from = 0) {
    const name = names[at];
    const around = core.resources.surroundings();
    const spec = around.spec("FlowSpecFilter", name) as FlowSpecFilterSpec | undefined;
    if (!spec) continue;
    const standings = core.resources.standings("FlowSpecFilter", name);
    let i = 0;
    for (const each of filterRules(spec, around.flowRules(), around)) {
      if (i++ < from) continue;
      if (rules.length === max) return { rules, position: `${at}.${i - 1}` };
      const rule = ruleOf(name, each, standings);
      if (!query.faulty || rule.state !== FlowSpecRuleState.INSTALLED) rules.push(rule);
    }
  }
  return { rules, position: "" };
}

function ruleOf(
  filter: string,
  { rule, translated, key, overLimit }: FilterRule,
  standings: ReturnType<Core["resources"]["standings"]>,
): FlowSpecFilterRule {
  const { INSTALLED, PENDING, NOT_SUPPORTED, REFUSED, OVER_LIMIT } = FlowSpecRuleState;
  const common = {
    filter,
    family: flowFamily(rule.addressBytes).name,
    rule: formatRule(rule.flow, rule, rule.actions),
    neighbor: rule.neighbor,
  };
  if (!translated.ok) {
    return create(FlowSpecFilterRuleSchema, { ...common, state: NOT_SUPPORTED, reason: translated.why });
  }
  const nftables = [...translated.rules];
  if (overLimit) return create(FlowSpecFilterRuleSchema, { ...common, nftables, state: OVER_LIMIT });
  const found = standings.get(key);
  const state =
    found?.standing.state === "applied" ? INSTALLED : found?.standing.state === "failed" ? REFUSED : PENDING;
  const reason =
    found?.standing.state === "failed"
      ? found.standing.detail || found.standing.error
      : found?.standing.state === "drifted"
        ? "somebody else has altered it"
        : translated.without;
  const { packets, bytes } = found?.held ?? {};
  return create(FlowSpecFilterRuleSchema, {
    ...common,
    nftables,
    state,
    reason,
    packets: BigInt(typeof packets === "number" ? packets : 0),
    bytes: BigInt(typeof bytes === "number" ? bytes : 0),
  });
}
