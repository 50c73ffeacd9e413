/** policy fmt, check, show, test, stats: the text form, trying before doing, and counters. */
import {
  GetPolicyStatsResponseSchema,
  type PolicyAction,
  type PolicyAttachPoint,
  PolicyDirection,
  PolicyService,
  TestPolicyResponseSchema,
} from "../../gen/cairn/v1/policy_service_pb.ts";
import { formatPolicy } from "../../policy/text/format.ts";
import { layOut } from "../../policy/text/layout.ts";
import { renderError, type TextError } from "../../policy/text/lexer.ts";
import { checkPolicyText } from "../../policy/text/load.ts";
import { parsePolicyText } from "../../policy/text/parse.ts";
import type { Context } from "../context.ts";
import { exitCode, usageError } from "../exit.ts";
import { humanCount, safeText } from "../human.ts";
import { writeMessage } from "../message-output.ts";
import { readText, writeText } from "../read-file.ts";
import { renderTable } from "../table.ts";
import type { Argument, Command, Invocation } from "../tree.ts";

const { method } = PolicyService;
const fileArgument: Argument = { name: "FILE", help: "Policy text; - is standard input", from: "file" };

export const fmtCommand: Command = {
  name: "fmt",
  summary: "Writes a policy text in its canonical look",
  details: "Comments and tests stay where they are. Needs no daemon.",
  args: [fileArgument],
  options: [
    { name: "write", short: "w", help: "Write it back to the file" },
    { name: "check", help: "Only tell whether it looks so already: exit code 3 when not" },
  ],
  examples: [
    ["cairnctl policy fmt transit.policy", "to standard output"],
    ["cairnctl policy fmt -w transit.policy", "in place"],
    ["cairnctl policy fmt --check transit.policy", "in a pipeline"],
  ],
  run: async (context, invocation) => {
    const file = invocation.arg("FILE");
    const text = await readText(context, file);
    const { errors } = parsePolicyText(text);
    if (errors.length > 0) {
      for (const error of errors) context.note(renderError(text, file, error));
      return exitCode.failed;
    }
    const wanted = layOut(text);
    if (invocation.flag("check")) {
      if (wanted === text) return exitCode.ok;
      context.note(`${file} does not look canonical`);
      return exitCode.changes;
    }
    if (!invocation.flag("write")) context.out.line(wanted.trimEnd());
    else if (file === "-") throw usageError("standard input cannot be written to", "leave out --write");
    else if (wanted !== text) writeText(file, wanted);
    return exitCode.ok;
  },
};

export const checkCommand: Command = {
  name: "check",
  summary: "Checks a policy text and runs its tests",
  details:
    "Needs no daemon: whatever the text names must be in it, or in a file given with --with. Exits with 1 when " +
    "something is wrong or a test fails.",
  args: [fileArgument],
  options: [{ name: "with", value: "FILE", repeat: true, help: "Text with what FILE names", from: "file" }],
  examples: [
    ["cairnctl policy check transit.policy", "errors with their place, then the tests"],
    ["cairnctl policy check site.policy --with policies/ixp.policy", "what stands on the library"],
  ],
  run: async (context, invocation) => {
    const file = invocation.arg("FILE");
    const text = await readText(context, file);
    const others = await Promise.all(invocation.options("with").map((name) => readText(context, name)));
    const { objects, errors, warnings, failures, cases } = checkPolicyText(text, others);
    for (const error of [...errors, ...failures]) context.note(renderError(text, file, error));
    for (const warning of warnings) {
      context.note(renderError(text, file, { ...warning, message: `warning: ${warning.message}` }));
    }
    if (context.forPeople) {
      const { good, bad } = context.style;
      const passed = `${cases - failures.length} of ${cases} cases as expected`;
      if (errors.length > 0) context.out.line(bad(`${errors.length} error${errors.length === 1 ? "" : "s"}`));
      else context.out.line(`${objects.length} objects, ${failures.length > 0 ? bad(passed) : good(passed)}`);
    } else {
      const told = (list: readonly TextError[]) =>
        list.map(({ line, column, message }) => ({ line, column, message }));
      context.out.line(
        JSON.stringify({ errors: told(errors), warnings: told(warnings), cases, failures: told(failures) }),
      );
    }
    return errors.length + failures.length > 0 ? exitCode.failed : exitCode.ok;
  },
};

export const showCommand: Command = {
  name: "show",
  summary: "A policy of the daemon as text",
  args: [{ name: "NAME", help: "Name of the policy", from: "policy" }],
  examples: [["cairnctl policy show transit-in", "to read, or to keep beside its tests"]],
  run: async (context, invocation) => {
    const client = await context.client();
    const { policy } = await client.call(method.getPolicy, { name: invocation.arg("NAME") });
    if (policy?.spec) context.out.line(formatPolicy(policy.spec).trimEnd());
  },
};

/** In the order of `PolicyAttachPoint`. */
const attachPlaces = ["global", "peer-group", "neighbor", "global-after"];

export const testCommand: Command = {
  name: "test",
  summary: "What a policy text would do to the routes there are; nothing is changed",
  details:
    "The policies and sets of the text stand in for those of the same names. With --chain the neighbors are tried with\n" +
    "these policies in place of their own, or with --attach in place of those that stand there now; an empty --attach\n" +
    "takes these away.",
  args: [fileArgument],
  options: [
    { name: "direction", value: "import|export", help: "Default: import", from: ["import", "export"] },
    {
      name: "neighbor",
      value: "ADDR",
      repeat: true,
      help: "Only this one; repeat for several",
      from: "neighbor",
    },
    { name: "chain", value: "NAME", repeat: true, help: "Policies to run, in order", from: "policy" },
    {
      name: "attach",
      value: "PLACE",
      help: "Where --chain stands; default: it is all there is",
      from: attachPlaces,
    },
    { name: "peer-group", value: "NAME", help: "With --attach peer-group: which", from: "group" },
    {
      name: "default",
      value: "accept|reject",
      help: "For routes that the policies leave undecided, in place of the neighbors' own",
      from: ["accept", "reject"],
    },
    { name: "max", value: "N", help: "Differences per neighbor to list; default 1000" },
  ],
  examples: [
    ["cairnctl policy test transit.policy", "all neighbors whose chains use what is in it"],
    ["cairnctl policy test new.policy --chain new-in --neighbor 192.0.2.1", "one neighbor, another chain"],
    ["cairnctl policy test new.policy --chain new-in --attach global", "in front of all other policies"],
  ],
  run: async (context, invocation) => {
    const client = await context.client();
    const request = {
      text: await readText(context, invocation.arg("FILE")),
      direction:
        invocation.option("direction") === "export" ? PolicyDirection.EXPORT : PolicyDirection.IMPORT,
      neighbors: [...invocation.options("neighbor")],
      chain: invocation.options("chain").flatMap((names) => names.split(",")),
      maxDifferences: Number(invocation.option("max") ?? 0),
      attach: choice(invocation, "attach", attachPlaces) as PolicyAttachPoint,
      peerGroup: invocation.option("peer-group") ?? "",
      defaultAction: choice(invocation, "default", ["accept", "reject"]) as PolicyAction,
    };
    let changed = 0n;
    for await (const answer of client.stream(method.testPolicy, request, context.signal)) {
      if (!context.forPeople) await writeMessage(context.out, "ndjson", TestPolicyResponseSchema, answer);
      else tellAnswer(context, answer);
      for (const count of answer.counts) changed += count.changed + count.newlyAccepted + count.newlyRejected;
      await context.out.flowing();
    }
    if (context.forPeople && changed === 0n) context.out.line("every route fares as it does now");
  },
};

/** Position of an option's word among those it may be, from 1; 0 when it is not given. */
function choice(invocation: Invocation, name: string, words: readonly string[]): number {
  const given = invocation.option(name);
  const at = given === undefined ? 0 : words.indexOf(given) + 1;
  if (given !== undefined && at === 0) throw usageError(`--${name} is one of ${words.join(", ")}`);
  return at;
}

function tellAnswer(
  { out, style }: Context,
  { differences, counts }: { differences: readonly Difference[]; counts: readonly Count[] },
): void {
  for (const { neighbor, prefix, before, after, reason, changes } of differences) {
    const what = before === after ? changes.join(", ") : `${before} -> ${after}`;
    const tone = after === "rejected" ? style.bad : before === "rejected" ? style.good : style.accent;
    const why = before === after ? "" : `  ${style.dim(safeText(reason))}`;
    out.line(`${safeText(neighbor)}  ${safeText(prefix)}  ${tone(safeText(what))}${why}`);
  }
  for (const count of counts) {
    const { neighbor, family, routes, accepted, rejected, newlyAccepted, newlyRejected, changed, partial } =
      count;
    out.line(
      style.bold(
        `${safeText(neighbor)} ${safeText(family)}: ${partial ? "at least " : ""}${humanCount(routes)} routes, ${humanCount(accepted)} accepted, ` +
          `${humanCount(rejected)} rejected; ${humanCount(newlyAccepted)} newly accepted, ` +
          `${humanCount(newlyRejected)} newly rejected, ${humanCount(changed)} changed`,
      ),
    );
  }
}

interface Difference {
  readonly neighbor: string;
  readonly prefix: string;
  readonly before: string;
  readonly after: string;
  readonly reason: string;
  readonly changes: readonly string[];
}

interface Count {
  readonly neighbor: string;
  readonly family: string;
  readonly routes: bigint;
  readonly accepted: bigint;
  readonly rejected: bigint;
  readonly newlyAccepted: bigint;
  readonly newlyRejected: bigint;
  readonly changed: bigint;
  readonly partial: boolean;
}

export const statsCommand: Command = {
  name: "stats",
  summary: "How often each statement matched",
  args: [{ name: "NAME", help: "Name of a policy; all when left out", optional: true, from: "policy" }],
  examples: [["cairnctl policy stats transit-in", "since the policy last changed"]],
  run: async (context, invocation) => {
    const client = await context.client();
    const response = await client.call(method.getPolicyStats, { name: invocation.arg("NAME") });
    if (!context.forPeople) return context.message(GetPolicyStatsResponseSchema, response);
    const rows = response.policies.flatMap(({ policy, statements }) =>
      statements.map((statement) => ({ policy, ...statement })),
    );
    const lines = renderTable<(typeof rows)[number]>(
      [
        { title: "POLICY", value: ({ policy }) => policy },
        {
          title: "STATEMENT",
          value: ({ statement, name }) => (statement === 0 ? name : `${statement} ${name}`.trimEnd()),
        },
        { title: "HITS", value: ({ hits }) => humanCount(hits), align: "right" },
      ],
      rows,
      context.width,
      context.style,
    );
    context.out.line(lines.join("\n"));
  },
};
