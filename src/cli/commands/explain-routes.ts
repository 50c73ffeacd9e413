/** rib received NEIGHBOR PREFIX --explain and rib PREFIX --explain --to NEIGHBOR: a route's way told as a story. */
import type {
  ExplainAdvertisedRouteResponse,
  ExplainedGate,
  ExplainedStatement,
  ExplainImportResponse,
} from "../../gen/cairn/v1/rib_service_pb.ts";
import type { Route } from "../../gen/cairn/v1/types_pb.ts";
import { safeText } from "../human.ts";
import type { Style } from "../style.ts";
import { wrapText } from "../table.ts";
import { routeLine } from "./route-table.ts";

export function importPage(response: ExplainImportResponse, style: Style, width: number): string[] {
  const lines = wrapText(safeText(response.summary), Math.min(width, 100)).map((line) => style.bold(line));
  if (response.route) lines.push("", "it came in as", ...routeParts(response.route));
  lines.push("", "checks", ...gateLines(response.gates, style));
  lines.push(...policyLines(response.chain, response.statements, response.decidedBy, style));
  if (response.result) lines.push("", "it stands in the table as", ...routeParts(response.result));
  return lines;
}

export function advertisedPage(
  response: ExplainAdvertisedRouteResponse,
  style: Style,
  width: number,
): string[] {
  const lines = wrapText(safeText(response.summary), Math.min(width, 100)).map((line) => style.bold(line));
  lines.push("", "before any path", ...gateLines(response.gates, style));
  for (const { path, gates, chain, statements, decidedBy } of response.paths) {
    lines.push("", `the path from ${safeText(path?.neighbor ?? "")}`);
    lines.push(...gateLines(gates, style));
    lines.push(...policyLines(chain, statements, decidedBy, style));
  }
  if (response.route) lines.push("", "on the wire", ...routeParts(response.route));
  if (response.update.length > 0) {
    const hex = Buffer.from(response.update).toString("hex");
    const step = Math.max(32, Math.floor((Math.min(width, 100) - 2) / 2) * 2);
    lines.push("", `UPDATE, ${response.update.length} bytes`);
    for (let at = 0; at < hex.length; at += step) lines.push(style.dim(`  ${hex.slice(at, at + step)}`));
  }
  if (!response.inSync) lines.push("", style.warn("changes are still on their way to the neighbor"));
  return lines;
}

function gateLines(gates: readonly ExplainedGate[], style: Style): string[] {
  const width = Math.max(0, ...gates.map(({ name }) => name.length));
  return gates.map(({ name, passed, text }) => {
    const mark = passed ? style.good("pass") : style.bad("STOP");
    return `  ${mark}  ${safeText(name).padEnd(width)}  ${safeText(text)}`;
  });
}

function policyLines(
  chain: readonly string[],
  statements: readonly ExplainedStatement[],
  decidedBy: string,
  style: Style,
): string[] {
  if (statements.length === 0) return [];
  const lines = ["", `policy (${chain.map(safeText).join(", ")})`];
  for (const { policy, statement, name, matched, conditions, changes } of statements) {
    const label = name === "" ? "" : ` ${style.dim(safeText(name))}`;
    lines.push(
      `  ${safeText(policy)} ${statement}.${label}  ${matched ? style.good("matches") : "does not match"}`,
    );
    for (const { field, wants, holds } of conditions) {
      lines.push(`     ${holds ? "yes" : style.warn("no ")}  ${safeText(field)} ${safeText(wants)}`);
    }
    for (const change of changes) lines.push(`     ${style.accent(safeText(change))}`);
  }
  lines.push(`  decided by ${safeText(decidedBy)}`);
  return lines;
}

function routeParts(route: Route): string[] {
  return [`  ${safeText(routeLine(route))}`];
}
