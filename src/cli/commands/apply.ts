/** apply and plan: a whole file as one transaction, and what that would do. */
import {
  ApplyResponseSchema,
  ConfigService,
  type FamilyImpact,
  type HostOperation,
  type NeighborImpact,
  type PlanResponse,
  PlanResponseSchema,
  type RouteCounts,
} from "../../gen/cairn/v1/config_service_pb.ts";
import {
  configFile,
  configFileOption,
  configGates,
  confirmation,
  confirmOptions,
  gateOptions,
  pendingLines,
  pruneOption,
} from "../config-source.ts";
import type { Context } from "../context.ts";
import { exitCode } from "../exit.ts";
import { humanCount, safeText } from "../human.ts";
import { changeLines, mutationFields, mutationOptions, tellMutation } from "../mutate.ts";
import type { Command } from "../tree.ts";

const { method } = ConfigService;

export const applyCommand: Command = {
  name: "apply",
  summary: "Applies a configuration file as one transaction",
  details:
    "All of the file or none of it. A file that is in force already changes nothing: no generation, no byte on any " +
    "wire. With --confirm-within the change is taken back by itself unless `cairnctl confirm` comes in time, also " +
    "when the daemon is restarted in between.",
  options: [configFileOption, pruneOption, ...confirmOptions, ...gateOptions, ...mutationOptions],
  examples: [
    ["cairnctl apply -f router.toml", "put what the file declares"],
    ["cairnctl apply -f router.toml --prune --reason 'CHG-1234'", "and delete what it no longer declares"],
    ["cairnctl apply -f router.toml --confirm-within 5m", "safe over the link that is being changed"],
    [
      "cairnctl apply -f router.toml --confirm-within 5m --health 'bgp.established >= 3' --hold-for 1m",
      "confirms by itself",
    ],
  ],
  run: async (context, invocation) => {
    const file = await configFile(context, invocation);
    const client = await context.client();
    const response = await client.call(method.apply, {
      source: { source: { case: "file", value: file } },
      gates: configGates(invocation),
      confirm: confirmation(invocation),
      ...mutationFields(invocation),
    });
    await tellMutation(context, invocation, ApplyResponseSchema, response);
    if (context.forPeople && response.pending)
      context.out.line(pendingLines(response.pending, context).join("\n"));
  },
};

export const planCommand: Command = {
  name: "plan",
  summary: "What applying a file would do, without doing it",
  details:
    "Fields that change, sessions that would be reset, and routes that neighbors would get or lose, computed on the " +
    "live table. Exit code 3 when there are changes, 1 when a gate is exceeded.",
  options: [
    configFileOption,
    pruneOption,
    ...gateOptions,
    { name: "skip-routes", help: "Do not count routes: quicker on a large table" },
  ],
  examples: [
    ["cairnctl plan -f router.toml", "what would happen"],
    ["cairnctl plan -f router.toml --max-resets 0 || exit 1", "as a gate in a pipeline"],
  ],
  run: async (context, invocation) => {
    const file = await configFile(context, invocation);
    const client = await context.client();
    const response = await client.call(method.plan, {
      source: { source: { case: "file", value: file } },
      gates: configGates(invocation),
      skipRoutes: invocation.flag("skip-routes"),
    });
    if (context.forPeople) context.out.line(planLines(response, context).join("\n"));
    else await context.message(PlanResponseSchema, response);
    if (response.exceeded.length > 0) return exitCode.failed;
    return response.changes.length > 0 ? exitCode.changes : exitCode.ok;
  },
};

/** A plan as an operator reads it: the change, then what it does, then what to look out for. */
export function planLines(plan: PlanResponse, context: Pick<Context, "style">): string[] {
  const { style } = context;
  if (plan.changes.length === 0)
    return [`nothing would change ${style.dim(`(generation ${plan.generation})`)}`];
  const lines = changeLines(plan.changes, context, true);
  lines.push("");
  for (const neighbor of plan.neighbors) lines.push(...neighborLines(neighbor, context));
  lines.push(...hostLines(plan.hostOperations, style));
  const resets =
    plan.resets === 0 ? style.good("no session resets") : style.bad(`${plan.resets} session resets`);
  const objects = plan.changes.length === 1 ? "1 object" : `${plan.changes.length} objects`;
  lines.push(`${objects}, impact ${plan.impact}, ${resets}${routesText(plan.routes)}`);
  for (const field of plan.needsRestart)
    lines.push(style.warn(`takes effect at the next start: ${safeText(field)}`));
  for (const { object, message } of plan.warnings) {
    lines.push(style.warn(`warning: ${object === "" ? "" : `${safeText(object)}: `}${safeText(message)}`));
  }
  for (const gate of plan.exceeded) lines.push(style.bad(`exceeds ${safeText(gate)}`));
  return lines;
}

const hostWords: Readonly<Record<string, "good" | "warn" | "bad">> = {
  create: "good",
  update: "warn",
  delete: "bad",
  restore: "warn",
};

/** The kernel, in the order in which it would be changed. */
function hostLines(operations: readonly HostOperation[], style: Context["style"]): string[] {
  return operations.map(({ action, class: className, key, owner }) => {
    const paint = style[hostWords[action] ?? "warn"];
    return `kernel: ${paint(action)} ${safeText(`${className} ${key}`)}  ${style.dim(safeText(owner))}`;
  });
}

function neighborLines(neighbor: NeighborImpact, { style }: Pick<Context, "style">): string[] {
  const words = [
    neighbor.added ? style.good("added") : "",
    neighbor.removed ? style.bad("removed") : "",
    neighbor.sessionReset ? style.bad("session reset") : "",
    neighbor.refresh ? style.warn("route refresh") : "",
    neighbor.reimport ? "import runs again" : "",
    neighbor.reexport ? "export runs again" : "",
  ].filter((word) => word !== "");
  const fields = neighbor.fields.length === 0 ? "" : style.dim(`  ${neighbor.fields.join(", ")}`);
  const what = words.length === 0 ? "notices nothing" : words.join(", ");
  const lines = [`neighbor ${safeText(neighbor.neighbor)}: ${what}${fields}`];
  for (const family of neighbor.families) lines.push(...familyLines(family, style));
  return lines;
}

function familyLines(family: FamilyImpact, style: Context["style"]): string[] {
  const parts: [string, RouteCounts | undefined][] = [
    ["from it", family.received],
    ["to it", family.advertised],
  ];
  return parts
    .filter(([, counts]) => counts !== undefined && counts.appear + counts.vanish + counts.change > 0n)
    .map(([where, counts]) => {
      const { appear, vanish, change, partial, examples } = counts as RouteCounts;
      const numbers = [
        appear > 0n ? style.good(`+${humanCount(appear)}`) : "",
        vanish > 0n ? style.bad(`-${humanCount(vanish)}`) : "",
        change > 0n ? style.warn(`~${humanCount(change)}`) : "",
      ].filter((text) => text !== "");
      const some =
        examples.length === 0 ? "" : style.dim(`  ${examples.slice(0, 3).map(safeText).join(", ")}`);
      return `  ${family.family} ${where}: ${numbers.join(" ")}${partial ? " or more" : ""}${some}`;
    });
}

function routesText(routes: RouteCounts | undefined): string {
  if (!routes) return "";
  const { appear, vanish, change, partial } = routes;
  return `, routes +${humanCount(appear)} -${humanCount(vanish)} ~${humanCount(change)}${partial ? " or more" : ""}`;
}
