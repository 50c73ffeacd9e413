/** egress: which uplink new flows take, why, and pins. */
import {
  type EgressCandidateState,
  type EgressRoutePolicy,
  EgressRoutePolicyService,
  type EgressTransition,
  GetEgressHistoryResponseSchema,
  GetEgressRoutePolicyResponseSchema,
} from "../../gen/cairn/v1/egress_service_pb.ts";
import { humanDuration, humanTime, safeText } from "../human.ts";
import { listAll, writeList } from "../paging.ts";
import { type Column, writeTable } from "../table.ts";
import type { Argument, Command } from "../tree.ts";

const { method } = EgressRoutePolicyService;
const nameArgument: Argument = { name: "NAME", help: "Name of the policy", from: "egress-policy" };

const policyColumns: readonly Column<EgressRoutePolicy>[] = [
  { title: "POLICY", value: ({ spec }) => spec?.name ?? "" },
  {
    title: "SELECTED",
    value: (policy) => selectedOf(policy) || "none",
    tone: ({ selected }) => (selected === "" ? "bad" : "good"),
  },
  { title: "PINNED", value: ({ pinned }) => pinned || "-", drop: 2 },
  { title: "SINCE", value: ({ since }) => (since ? humanTime(since) : ""), drop: 1 },
  {
    title: "USABLE",
    value: ({ candidates }) => `${candidates.filter(({ usable }) => usable).length} of ${candidates.length}`,
    align: "right",
  },
  { title: "REASON", value: ({ reason }) => reason, min: 12, drop: 3 },
];

function selectedOf({ candidates, selected }: EgressRoutePolicy): string {
  const names = candidates.filter((each) => each.selected).map(({ name }) => name);
  // In mode hash several share the flows.
  return names.length > 1 ? names.join(" ") : selected;
}

const candidateColumns: readonly Column<EgressCandidateState>[] = [
  { title: "CANDIDATE", value: ({ name }) => name },
  {
    title: "STATE",
    value: (candidate) => stateWord(candidate),
    tone: ({ usable }) => (usable ? "good" : "bad"),
  },
  { title: "LINK", value: ({ device }) => device || "-" },
  { title: "GATEWAY", value: ({ gateway }) => gateway || "-", drop: 3 },
  { title: "WEIGHT", value: ({ weight }) => String(weight), align: "right", drop: 4 },
  { title: "PRIORITY", value: ({ priority }) => String(priority), align: "right", drop: 5 },
  { title: "HEALTH", value: ({ health }) => health || "-", drop: 1 },
  { title: "MARK", value: ({ mark }) => `0x${mark.toString(16)}`, drop: 6 },
  { title: "TABLE", value: ({ table }) => String(table), align: "right", drop: 7 },
  { title: "NOTE", value: ({ reason }) => reason, min: 10, drop: 2 },
];

function stateWord({ selected, usable, ready, changesAt }: EgressCandidateState): string {
  const word = selected ? "selected" : usable ? "usable" : "not usable";
  if (!changesAt) return word;
  return `${word}, ${ready ? "up" : "down"} at ${humanTime(changesAt)}`;
}

const historyColumns: readonly Column<EgressTransition>[] = [
  { title: "TIME", value: ({ time }) => (time ? humanTime(time) : "") },
  { title: "FROM", value: ({ from }) => from || "none" },
  { title: "TO", value: ({ to }) => to || "none" },
  {
    title: "IN THE KERNEL AFTER",
    value: ({ appliedAfter }) => (appliedAfter ? humanDuration(appliedAfter) : "-"),
    align: "right",
    drop: 1,
  },
  { title: "REASON", value: ({ reason }) => reason, min: 12 },
];

const listCommand: Command = {
  name: "list",
  summary: "All policies, and what each has chosen",
  examples: [["cairnctl egress list", "which uplink new flows take, and why"]],
  run: async (context) => {
    if (!context.forPeople) return writeList(context, method.listEgressRoutePolicies, {});
    const { policies } = await listAll(await context.client(), method.listEgressRoutePolicies, {});
    if (policies.length === 0) return context.out.line("no egress policies: see docs/egress.md");
    writeTable(context, policyColumns, policies);
  },
};

const showCommand: Command = {
  name: "show",
  summary: "One policy with its candidates",
  args: [nameArgument],
  examples: [["cairnctl egress show internet", "what each candidate lacks, marks and tables"]],
  run: async (context, invocation) => {
    const client = await context.client();
    const response = await client.call(method.getEgressRoutePolicy, { name: invocation.arg("NAME") });
    if (!context.forPeople) return context.message(GetEgressRoutePolicyResponseSchema, response);
    const { policy } = response;
    if (!policy) return;
    const { out, style } = context;
    out.line(style.bold(safeText(policy.spec?.name ?? "")));
    const since = policy.since ? ` since ${humanTime(policy.since)}` : "";
    out.line(
      `  new flows take ${safeText(selectedOf(policy) || "none")}${since}: ${safeText(policy.reason)}`,
    );
    if (policy.pinned !== "") out.line(`  pinned to ${safeText(policy.pinned)}`);
    writeTable(context, candidateColumns, policy.candidates);
  },
};

const historyCommand: Command = {
  name: "history",
  summary: "What was chosen since the daemon started, the newest first",
  args: [nameArgument],
  examples: [["cairnctl egress history internet", "every change with its reason"]],
  run: async (context, invocation) => {
    const client = await context.client();
    const response = await client.call(method.getEgressHistory, { name: invocation.arg("NAME") });
    if (!context.forPeople) return context.message(GetEgressHistoryResponseSchema, response);
    if (response.transitions.length === 0)
      return context.out.line("nothing was chosen since the daemon started");
    writeTable(context, historyColumns, response.transitions);
  },
};

const pinCommand: Command = {
  name: "pin",
  summary: "New flows take this candidate as long as it can be used",
  details: "Weights, priorities and the dwell time do not count. It survives restarts, until unpin.",
  args: [nameArgument, { name: "CANDIDATE", help: "Name of the candidate" }],
  examples: [["cairnctl egress pin internet lte", "before work on the fiber"]],
  run: async (context, invocation) => {
    const [name, candidate] = [invocation.arg("NAME"), invocation.arg("CANDIDATE")];
    await (await context.client()).call(method.pinEgressRoutePolicy, { name, candidate });
    if (context.forPeople) context.out.line(`${safeText(name)} is pinned to ${safeText(candidate)}`);
  },
};

const unpinCommand: Command = {
  name: "unpin",
  summary: "New flows take what ranks highest again",
  args: [nameArgument],
  examples: [["cairnctl egress unpin internet", ""]],
  run: async (context, invocation) => {
    const name = invocation.arg("NAME");
    await (await context.client()).call(method.unpinEgressRoutePolicy, { name });
    if (context.forPeople) context.out.line(`${safeText(name)} is not pinned`);
  },
};

export const egressCommand: Command = {
  name: "egress",
  summary: "Uplinks: which one new flows take, why, and pins",
  details: "Alone it lists the policies.",
  examples: listCommand.examples,
  commands: [listCommand, showCommand, historyCommand, pinCommand, unpinCommand],
  run: listCommand.run,
};
