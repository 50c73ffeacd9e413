/** rib dampened: routes that have flapped, and forgetting that they have. */
import { type DampenedRoute, RibService } from "../../gen/cairn/v1/rib_service_pb.ts";
import { expandFamily, familyOption } from "../family.ts";
import { humanCount, humanDuration } from "../human.ts";
import { listAll, writeList } from "../paging.ts";
import { type Column, writeTable } from "../table.ts";
import type { Command } from "../tree.ts";

const { method } = RibService;

/** Routes that have flapped, in a table. */
export const dampenedColumns: readonly Column<DampenedRoute>[] = [
  { title: "PREFIX", value: ({ prefix }) => prefix },
  { title: "NEIGHBOR", value: ({ neighbor }) => neighbor },
  { title: "ID", value: ({ pathId }) => (pathId === 0 ? "" : String(pathId)), align: "right", wide: true },
  { title: "PENALTY", value: ({ penalty }) => String(penalty), align: "right" },
  { title: "FLAPS", value: ({ flaps }) => String(flaps), align: "right" },
  {
    title: "STATE",
    value: ({ suppressed }) => (suppressed ? "suppressed" : "in use"),
    tone: ({ suppressed }) => (suppressed ? "warn" : "good"),
  },
  { title: "ANNOUNCED", value: ({ announced }) => (announced ? "yes" : "no"), drop: 2 },
  { title: "TIME LEFT", value: ({ timeLeft }) => humanDuration(timeLeft), align: "right" },
  { title: "SINCE", value: ({ since }) => `${humanDuration(since)} ago`, drop: 1 },
];

const clearCommand: Command = {
  name: "clear",
  summary: "Forgets flaps; suppressed routes are used again at once",
  args: [{ name: "PREFIX", help: "Only of this prefix", optional: true }],
  options: [{ name: "neighbor", value: "ADDR", help: "Only of this neighbor", from: "neighbor" }],
  examples: [
    ["cairnctl rib dampened clear 203.0.113.0/24", "of one prefix"],
    ["cairnctl rib dampened clear --neighbor 192.0.2.1", "of one neighbor"],
  ],
  run: async (context, invocation) => {
    const client = await context.client();
    const prefix = invocation.arg("PREFIX");
    const neighbor = invocation.option("neighbor") ?? "";
    const response = await client.call(method.clearDampening, { prefix, neighbor });
    if (!context.forPeople) return context.message(method.clearDampening.output, response);
    context.out.line("flaps are forgotten");
  },
};

export const dampenedCommand: Command = {
  name: "dampened",
  summary: "Routes that are suppressed because they flap (RFC 2439)",
  details:
    "With --all also routes that have flapped and are in use. Time left is that until a route is used again, or until it is forgotten, " +
    "if it stays quiet. Damping is asked for by the field damping of neighbors, groups or global.",
  options: [
    { name: "neighbor", value: "ADDR", help: "Only of this neighbor", from: "neighbor" },
    familyOption,
    { name: "all", short: "a", help: "Also routes that are in use" },
  ],
  examples: [
    ["cairnctl rib dampened", "what is suppressed, and for how long"],
    ["cairnctl rib dampened --all --neighbor 192.0.2.1", "all that have flapped lately"],
  ],
  commands: [clearCommand],
  run: async (context, invocation) => {
    const family = invocation.option("family");
    const request = {
      neighbor: invocation.option("neighbor") ?? "",
      family: family === undefined ? "" : expandFamily(family),
      all: invocation.flag("all"),
    };
    if (!context.forPeople) return writeList(context, method.listDampenedRoutes, request);
    const { routes, overflow } = await listAll(await context.client(), method.listDampenedRoutes, request);
    if (routes.length === 0)
      context.out.line(request.all ? "no route has flapped" : "no route is suppressed");
    else writeTable(context, dampenedColumns, routes);
    if (overflow > 0n) {
      const text = `${humanCount(overflow)} flaps were not remembered: too many routes flap`;
      context.out.line(context.style.warn(text));
    }
  },
};
