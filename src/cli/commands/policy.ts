/** policy: named lists of statements. */
import { toJson } from "@bufbuild/protobuf";
import {
  GetPolicyResponseSchema,
  MatchSchema,
  type Policy,
  PolicyAction,
  PolicyService,
  type PolicySpec,
  PolicySpecSchema,
  SetActionsSchema,
  SetPolicyResponseSchema,
  type Statement,
} from "../../gen/cairn/v1/policy_service_pb.ts";
import { skipTestsOption } from "../config-source.ts";
import { usageError } from "../exit.ts";
import { safeText } from "../human.ts";
import { mutationFields, mutationOptions, tellMutation } from "../mutate.ts";
import { deleteVerb } from "../named.ts";
import { listAll, writeList } from "../paging.ts";
import { applyPolicyText, policyTextEnding } from "../policy-text-source.ts";
import { fileOption, readDocument, readText } from "../read-file.ts";
import { specFields } from "../spec-fields.ts";
import { readSpec, specFromFlags, specOptions } from "../spec-flags.ts";
import type { Style } from "../style.ts";
import { renderTable } from "../table.ts";
import type { Argument, Command, Invocation, Option } from "../tree.ts";
import { ifFound } from "./group.ts";
import { checkCommand, fmtCommand, showCommand, statsCommand, testCommand } from "./policy-text.ts";

const { method } = PolicyService;
const nameArgument: Argument = { name: "NAME", help: "Name of the policy", from: "policy" };
const verdicts = ["accept", "reject"] as const;
const actions = ["accept", "reject", "next-term", "next-policy"] as const;

const statementOptions: readonly Option[] = [
  ...specOptions(MatchSchema, [], "match-"),
  ...specOptions(SetActionsSchema, [], "set-"),
  {
    name: "action",
    value: "accept|reject",
    help: "What becomes of a route that matches; absent: go on",
    from: actions,
  },
  { name: "call", value: "NAME", help: "Policy to run when the statement matches", from: "policy" },
  { name: "statement", value: "NAME", help: "Name of the statement" },
];

const listCommand: Command = {
  name: "list",
  summary: "All policies",
  examples: [["cairnctl policy list", "with their number of statements"]],
  run: async (context) => {
    if (!context.forPeople) return writeList(context, method.listPolicies, {});
    const { policies } = await listAll(await context.client(), method.listPolicies, {});
    if (policies.length === 0) return context.out.line("no policies; accept-all and reject-all are built in");
    const lines = renderTable<Policy>(
      [
        { title: "POLICY", value: ({ spec }) => spec?.name ?? "" },
        { title: "STATEMENTS", value: ({ spec }) => String(spec?.statements.length ?? 0), align: "right" },
        { title: "DEFAULT", value: ({ spec }) => actionWord(spec?.defaultAction) || "next policy" },
        {
          title: "GENERATION",
          value: ({ metadata }) => String(metadata?.generation ?? "-"),
          align: "right",
          drop: 2,
        },
        { title: "DESCRIPTION", value: ({ spec }) => spec?.description ?? "", min: 10, drop: 1 },
      ],
      policies,
      context.width,
      context.style,
    );
    context.out.line(lines.join("\n"));
  },
};

const getCommand: Command = {
  name: "get",
  summary: "One policy, statement by statement",
  args: [nameArgument],
  examples: [
    ["cairnctl policy get transit-in", "to read"],
    ["cairnctl policy get transit-in -o yaml", "to edit and set again"],
  ],
  run: async (context, invocation) => {
    const client = await context.client();
    const response = await client.call(method.getPolicy, { name: invocation.arg("NAME") });
    if (!context.forPeople) return context.message(GetPolicyResponseSchema, response);
    if (response.policy?.spec) context.out.line(policyPage(response.policy.spec, context.style).join("\n"));
  },
};

/** A policy as people read it aloud. */
function policyPage(spec: PolicySpec, style: Style): string[] {
  const lines = [
    `${style.bold(safeText(spec.name))}${spec.description ? `  ${style.dim(safeText(spec.description))}` : ""}`,
  ];
  spec.statements.forEach((statement, i) => {
    lines.push(...statementLines(statement, i + 1, style));
  });
  const last = actionWord(spec.defaultAction);
  lines.push(
    `  otherwise  ${last === "" ? "the next policy of the chain decides; at its end: reject" : verdictText(last, style)}`,
  );
  for (const { name, cases } of spec.tests) {
    lines.push(
      `  test       ${safeText(name)} ${style.dim(`(${cases.length} case${cases.length === 1 ? "" : "s"})`)}`,
    );
  }
  return lines;
}

function statementLines(statement: Statement, number: number, style: Style): string[] {
  const name = statement.name ? ` ${style.dim(safeText(statement.name))}` : "";
  const lines = [`  ${style.bold(`${number}.`)}${name}`];
  const matches = statement.match ? specFields(MatchSchema, statement.match) : [];
  if (matches.length === 0) lines.push("     always");
  matches.forEach(([label, value], i) => {
    lines.push(`     ${i === 0 ? "if " : "and"} ${label} ${style.accent(value)}`);
  });
  for (const [label, value] of statement.set ? specFields(SetActionsSchema, statement.set) : []) {
    lines.push(`     set ${label} ${style.accent(value)}`);
  }
  if (statement.call !== "") lines.push(`     call ${style.accent(safeText(statement.call))}`);
  const action = actionWord(statement.action);
  lines.push(`     ${action === "" ? "and go on" : verdictText(action, style)}`);
  return lines;
}

function verdictText(word: string, style: Style): string {
  if (word === "accept") return style.good(word);
  return word === "reject" ? style.bad(word) : word;
}

function actionWord(action: PolicyAction | undefined): string {
  if (action === PolicyAction.ACCEPT) return "accept";
  if (action === PolicyAction.NEXT_POLICY) return "go on with the next policy";
  return action === PolicyAction.REJECT ? "reject" : "";
}

const setCommand: Command = {
  name: "set",
  summary: "Creates or replaces a policy, from a file or from flags",
  details:
    "-f takes the spec in JSON or YAML: statements with match, set and action, and default_action. From a policy text\n" +
    "(its name ends in .policy, and NAME is left out) it takes all policies, sets and tests, as one transaction.\n" +
    "Flags make a policy of one statement; with --append they add one to the policy that is there.",
  args: [{ ...nameArgument, optional: true }],
  options: [
    fileOption,
    skipTestsOption,
    ...statementOptions,
    {
      name: "default-action",
      value: "accept|reject",
      help: "For a route that no statement decided",
      from: verdicts,
    },
    { name: "description", value: "TEXT", help: "Free text for people" },
    { name: "append", help: "Add the statement at the end instead of replacing the policy" },
    ...mutationOptions,
  ],
  examples: [
    [
      "cairnctl policy set prefer-a --set-local-pref 200 --action accept",
      "everything, with local preference 200",
    ],
    [
      "cairnctl policy set transit-in --match-prefix-sets bogons --action reject --default-action accept",
      "all but bogons",
    ],
    ["cairnctl policy set transit-in -f transit-in.yaml --dry-run", "what a file would change"],
    ["cairnctl policy set -f policies/ixp.policy", "a whole library"],
  ],
  run: async (context, invocation) => {
    const name = invocation.arg("NAME");
    const file = invocation.option("file");
    if (name === "") {
      if (file?.endsWith(policyTextEnding)) {
        return applyPolicyText(context, invocation, file, await readText(context, file));
      }
      throw usageError("which policy?", `its name, or -f FILE${policyTextEnding} for a policy text`);
    }
    const client = await context.client();
    let value: Record<string, unknown>;
    if (file !== undefined) {
      value = await readDocument(context, file);
    } else {
      value = {};
      if (invocation.flag("append")) {
        const found = await ifFound(client.call(method.getPolicy, { name }));
        if (found?.policy?.spec)
          value = toJson(PolicySpecSchema, found.policy.spec, { useProtoFieldName: true }) as typeof value;
      }
      const statement = statementFromFlags(invocation);
      const defaultAction = invocation.option("default-action");
      const description = invocation.option("description");
      if (!statement && defaultAction === undefined && description === undefined) {
        throw usageError(
          "nothing to set",
          "give -f FILE, or flags such as --match-prefix-sets, --set-local-pref, --action",
        );
      }
      const before = Array.isArray(value.statements) ? value.statements : [];
      if (statement) value.statements = [...before, statement];
      if (defaultAction !== undefined) value.default_action = defaultAction;
      if (description !== undefined) value.description = description;
    }
    const spec = readSpec(PolicySpecSchema, { ...value, name });
    const response = await client.call(method.setPolicy, { spec, ...mutationFields(invocation) });
    await tellMutation(context, invocation, SetPolicyResponseSchema, response);
  },
};

function statementFromFlags(invocation: Invocation): Record<string, unknown> | undefined {
  const match = specFromFlags(MatchSchema, invocation, "match-");
  const set = specFromFlags(SetActionsSchema, invocation, "set-");
  const action = invocation.option("action");
  const name = invocation.option("statement");
  const call = invocation.option("call");
  if (match.mask.length === 0 && set.mask.length === 0 && action === undefined && call === undefined)
    return undefined;
  return {
    ...(name === undefined ? {} : { name }),
    ...(match.mask.length === 0 ? {} : { match: match.value }),
    ...(set.mask.length === 0 ? {} : { set: set.value }),
    ...(call === undefined ? {} : { call }),
    ...(action === undefined ? {} : { action }),
  };
}

const deleteCommand: Command = deleteVerb(method.deletePolicy, nameArgument, {
  summary: "Deletes a policy that nothing refers to",
  examples: [["cairnctl policy delete old-in", "refused while a chain still names it"]],
});

export const policyCommand: Command = {
  name: "policy",
  summary: "Routing policies",
  details: "Alone it lists the policies.",
  examples: listCommand.examples,
  commands: [
    listCommand,
    getCommand,
    setCommand,
    deleteCommand,
    fmtCommand,
    checkCommand,
    showCommand,
    testCommand,
    statsCommand,
  ],
  run: listCommand.run,
};
