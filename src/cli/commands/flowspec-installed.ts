/** flowspec installed: what FlowSpecFilter objects have put into the kernel's packet filter. */
import {
  type FlowSpecFilterRule,
  FlowSpecRuleState,
  ResourceService,
} from "../../gen/cairn/v1/resource_service_pb.ts";
import { listAll, writeList } from "../paging.ts";
import { type Column, writeTable } from "../table.ts";
import type { Command } from "../tree.ts";

const states: Readonly<Record<number, string>> = {
  [FlowSpecRuleState.INSTALLED]: "installed",
  [FlowSpecRuleState.PENDING]: "pending",
  [FlowSpecRuleState.NOT_SUPPORTED]: "not supported",
  [FlowSpecRuleState.REFUSED]: "refused",
  [FlowSpecRuleState.OVER_LIMIT]: "over limit",
};

const columns: readonly Column<FlowSpecFilterRule>[] = [
  { title: "RULE", value: ({ rule }) => rule },
  { title: "FILTER", value: ({ filter }) => filter, drop: 2 },
  { title: "FROM", value: ({ neighbor }) => neighbor || "injected", drop: 1 },
  {
    title: "STATE",
    value: ({ state }) => states[state] ?? "?",
    tone: ({ state }) =>
      state === FlowSpecRuleState.INSTALLED
        ? "good"
        : state === FlowSpecRuleState.PENDING
          ? undefined
          : "bad",
  },
  { title: "PACKETS", value: ({ packets }) => String(packets), align: "right" },
  { title: "BYTES", value: ({ bytes }) => String(bytes), align: "right" },
  { title: "WHY", value: ({ reason }) => reason },
  { title: "NFTABLES", value: ({ nftables }) => nftables.join("; "), wide: true },
];

export const installedCommand: Command = {
  name: "installed",
  summary: "Rules in the packet filter of this host: whether each is there, why not, and what it counted",
  details:
    "Without FILTER the rules of all FlowSpecFilter objects. -o wide shows them in the words of nftables.",
  args: [{ name: "FILTER", help: "FlowSpecFilter object", optional: true }],
  options: [{ name: "faulty", help: "Only rules that are not installed" }],
  examples: [
    ["cairnctl flowspec installed", "all of them, in the order in which packets are held against them"],
    ["cairnctl flowspec installed --faulty", "what this host cannot do"],
  ],
  run: async (context, invocation) => {
    const method = ResourceService.method.listFlowSpecFilterRules;
    const request = { filter: invocation.arg("FILTER"), faulty: invocation.flag("faulty") };
    if (!context.forPeople) return writeList(context, method, request);
    const { rules } = await listAll(await context.client(), method, request);
    if (rules.length === 0) return context.out.line("no filter has such rules");
    const shown = columns.filter(({ wide }) => context.format === "wide" || !wide);
    writeTable(context, shown, rules);
  },
};
