/** fib: BGP routes in the kernel, and prefixes whose packets are dropped. */
import {
  type BlackholeDiscard,
  type FibHop,
  type FibRoute,
  FibState,
  RibService,
} from "../../gen/cairn/v1/rib_service_pb.ts";
import { expandFamily, familyOption } from "../family.ts";
import { safeText } from "../human.ts";
import { listAll, writeList } from "../paging.ts";
import { type Column, writeTable } from "../table.ts";
import type { Command } from "../tree.ts";

const { method } = RibService;

const stateWords: Readonly<Record<number, string>> = {
  [FibState.INSTALLED]: "installed",
  [FibState.PENDING]: "pending",
  [FibState.WAITING]: "waiting",
  [FibState.REFUSED]: "refused",
  [FibState.CONFLICT]: "conflict",
  [FibState.OVER_LIMIT]: "over limit",
};

const columns: readonly Column<FibRoute>[] = [
  { title: "PREFIX", value: ({ prefix }) => prefix },
  { title: "FIB", value: ({ fibTable }) => fibTable, drop: 2 },
  { title: "TABLE", value: ({ table }) => String(table), align: "right", drop: 3 },
  {
    title: "STATE",
    value: ({ state }) => stateWords[state] ?? "?",
    tone: ({ state }) =>
      state === FibState.INSTALLED ? "good" : state === FibState.PENDING ? undefined : "bad",
  },
  { title: "VIA", value: (route) => ways(route), min: 12 },
  { title: "IN THE KERNEL", value: ({ kernelHops }) => hopsText(kernelHops) || "", drop: 1 },
  { title: "ERROR", value: ({ error }) => error },
];

function ways({ hops, discard, state }: FibRoute): string {
  if (discard) return "blackhole";
  if (hops.length > 0) return hopsText(hops);
  return state === FibState.PENDING ? "is to go" : "-";
}

function hopsText(hops: readonly FibHop[]): string {
  const several = hops.some(({ weight }) => weight > 1);
  return hops
    .map(({ gateway, interface: name, weight }) =>
      safeText(`${gateway} ${name}${several ? ` x${weight}` : ""}`.trim()),
    )
    .join(", ");
}

const discardColumns: readonly Column<BlackholeDiscard>[] = [
  { title: "PREFIX", value: ({ prefix }) => prefix },
  { title: "NEIGHBOR", value: ({ neighbor }) => neighbor || "injected" },
  { title: "DROPPED BY", value: ({ fibTables }) => fibTables.join(", ") || "-" },
];

const discardsCommand: Command = {
  name: "discards",
  summary: "Prefixes whose packets are to be dropped (RFC 7999, next hop discard)",
  options: [familyOption],
  examples: [["cairnctl fib discards", "all of them, and the FIB tables that drop them"]],
  run: async (context, invocation) => {
    const family = invocation.option("family");
    const request = { family: family === undefined ? "" : expandFamily(family) };
    if (!context.forPeople) return writeList(context, method.listBlackholeDiscards, request);
    const { discards } = await listAll(await context.client(), method.listBlackholeDiscards, request);
    if (discards.length === 0) context.out.line("no route says to discard");
    else writeTable(context, discardColumns, discards);
  },
};

export const fibCommand: Command = {
  name: "fib",
  summary: "BGP routes in the kernel: what it is to hold, whether it does, why not",
  details: "Without PREFIX all routes of all FibTable objects.",
  args: [{ name: "PREFIX", help: "Only this prefix", optional: true }],
  options: [
    { name: "table", value: "NAME", help: "Only of this FibTable object" },
    { name: "faulty", help: "Only routes that are not as they should be" },
  ],
  examples: [
    ["cairnctl fib", "all routes"],
    ["cairnctl fib --faulty", "what the kernel does not hold as it should, and why"],
    ["cairnctl fib 203.0.113.0/24", "one prefix"],
  ],
  commands: [discardsCommand],
  run: async (context, invocation) => {
    const request = {
      prefix: invocation.arg("PREFIX"),
      fibTable: invocation.option("table") ?? "",
      faulty: invocation.flag("faulty"),
    };
    if (!context.forPeople) return writeList(context, method.listFibRoutes, request);
    const { routes } = await listAll(await context.client(), method.listFibRoutes, request);
    if (routes.length === 0)
      context.out.line(request.faulty ? "all routes are as they should be" : "no routes in a FibTable");
    else writeTable(context, columns, routes);
  },
};
