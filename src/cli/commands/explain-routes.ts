/** rib received NEIGHBOR PREFIX --explain and rib PREFIX --explain --to NEIGHBOR: a route's way told as a story. */
import type {
  ExplainAdvertisedRouteResponse,
  ExplainedExport,
  ExplainedGate,
  ExplainedStatement,
  ExplainImportResponse,
  RouteValidation,
} from "../../gen/cairn/v1/rib_service_pb.ts";
import type { Route } from "../../gen/cairn/v1/types_pb.ts";
import { safeText } from "../human.ts";
import type { Style } from "../style.ts";
import { wrapText } from "../table.ts";
import { routeLine } from "./route-table.ts";

/** How a page is written: colors, columns, and whether checks that were passed are told of one by one. */
export interface PageStyle {
  readonly style: Style;
  readonly width: number;
  readonly allChecks: boolean;
}

export function importPage(response: ExplainImportResponse, page: PageStyle): string[] {
  const { neighbor, prefix, route, result, received, accepted, best } = response;
  const story = new Story(page, response.summary);
  if (route) story.chapter(`${safeText(neighbor)} announced`, routeParts(route));
  if (response.validation) story.chapter("What RPKI says of it", validationLines(response.validation));
  const after = response.gates.filter(({ name }) => name === "after-policy");
  const checks = response.gates.filter((gate) => !after.includes(gate) && gate.name !== "policy");
  const policy = response.gates.find(({ name }) => name === "policy");
  story.checks(received ? "Before policy" : "What there is of it", checks);
  if (policy) story.policy("Import policy", policy, response.chain, response.statements);
  if (after.length > 0)
    story.chapter(
      "Whatever policy says",
      after.map(({ text }) => `  ${safeText(text)}`),
    );
  if (result) {
    story.chapter(
      best ? "It is in the table, and is the best path" : "It is in the table, not as the best path",
      [...routeParts(result)],
    );
    const why = `why ${best ? "it is the best" : "another is better"}`;
    story.hint(`cairnctl rib ${prefix} --explain`, why);
    if (best) story.hint(`cairnctl rib ${prefix} --explain --to NEIGHBOR`, "who else is told");
  } else if (received && !accepted) {
    story.chapter("It is kept, and not used", []);
    story.hint(`cairnctl rib rejected ${neighbor}`, "all that was refused of this neighbor");
  }
  return story.lines;
}

/** VRPs told of one route; `rpki lookup` tells all. */
const vrpsTold = 8;

/** The states of a route and what they rest on, a line each. */
export function validationLines({
  rpkiState,
  rpkiText,
  covering,
  aspaState,
  aspaText,
}: RouteValidation): string[] {
  const told = covering.slice(0, vrpsTold).map(({ prefix, maxLength, asn, sources }) => {
    const from = sources.length > 0 ? ` (${sources.map(safeText).join(", ")})` : "";
    return `    VRP ${safeText(prefix)} up to /${maxLength} for AS${asn}${from}`;
  });
  const more = covering.length - told.length;
  return [
    `  origin ${safeText(rpkiState)}: ${safeText(rpkiText)}`,
    ...told,
    ...(more > 0 ? [`    and ${more} more`] : []),
    `  AS path ${safeText(aspaState)}: ${safeText(aspaText)}`,
  ];
}

export function advertisedPage(response: ExplainAdvertisedRouteResponse, page: PageStyle): string[] {
  const { neighbor, prefix, route, update, paths, gates } = response;
  const story = new Story(page, response.summary);
  story.checks("Before any path is looked at", gates);
  paths.forEach((path, i) => {
    story.path(path, paths.length === 1 ? "" : ` (${i + 1} of ${paths.length} looked at)`);
  });
  if (response.routes.length > 1) {
    story.chapter(
      "On the wire",
      response.routes.flatMap((each) => routeParts(each)),
    );
  } else if (route) story.chapter("On the wire", routeParts(route));
  if (update.length > 0) story.bytes(update);
  if (!response.inSync && response.advertised) {
    story.chapter(page.style.warn("Changes are still on their way to the neighbor"), []);
  }
  const [first] = paths;
  if (first?.path && !response.advertised) {
    story.hint(`cairnctl rib received ${first.path.neighbor} ${prefix} --explain`, "how it came in");
  } else if (response.advertised) {
    story.hint(`cairnctl rib advertised ${neighbor}`, "all that this neighbor is told");
  }
  return story.lines;
}

/** Lines in the order in which things happen, with numbered headings. */
class Story {
  readonly lines: string[] = [];
  private readonly page: PageStyle;
  private chapters = 0;

  constructor(page: PageStyle, summary: string) {
    this.page = page;
    this.lines.push(...wrapText(safeText(summary), this.columns).map((line) => page.style.bold(line)));
  }

  private get columns(): number {
    return Math.min(this.page.width, 100);
  }

  chapter(title: string, lines: readonly string[]): void {
    this.lines.push("", `${++this.chapters}. ${title}`, ...lines);
  }

  /** Checks in order: those that were passed in one sentence, the one that stopped it with its reason. */
  checks(title: string, gates: readonly ExplainedGate[]): void {
    if (gates.length === 0) return;
    this.chapter(title, this.gateLines(gates));
  }

  private gateLines(gates: readonly ExplainedGate[]): string[] {
    const { style, allChecks } = this.page;
    const width = Math.max(0, ...gates.map(({ name }) => name.length));
    const line = ({ name, passed, text }: ExplainedGate): string =>
      `  ${passed ? style.good("pass") : style.bad("STOP")}  ${safeText(name).padEnd(allChecks ? width : 0)}  ${safeText(text)}`;
    if (allChecks) return gates.map(line);
    const passed = gates.filter((gate) => gate.passed).map(({ name }) => safeText(name));
    const lines: string[] = [];
    if (passed.length > 0) {
      const [head, ...rest] = wrapText(passed.join(", "), this.columns - 8);
      lines.push(
        `  ${style.good("pass")}  ${style.dim(head)}`,
        ...rest.map((more) => `        ${style.dim(more)}`),
      );
    }
    return [...lines, ...gates.filter((gate) => !gate.passed).map(line)];
  }

  path({ path, gates, chain, statements, advertised }: ExplainedExport, which: string): void {
    const { style } = this.page;
    const at = gates.findIndex(({ name }) => name === "policy");
    const verdict = advertised ? style.good("goes") : style.bad("does not go");
    const from =
      path?.neighbor === "local"
        ? "The path injected here"
        : `The path from ${safeText(path?.neighbor ?? "")}`;
    this.chapter(`${from}${which} ${verdict}`, path ? routeParts(path) : []);
    this.lines.push(...this.gateLines(at < 0 ? gates : gates.slice(0, at)));
    if (at < 0) return;
    this.policyLines("export policy", gates[at], chain, statements);
    this.lines.push(...this.gateLines(gates.slice(at + 1)));
  }

  policy(
    title: string,
    gate: ExplainedGate,
    chain: readonly string[],
    statements: readonly ExplainedStatement[],
  ): void {
    this.chapter(title, []);
    this.policyLines("", gate, chain, statements);
  }

  /** Statement by statement, and who decided. */
  private policyLines(
    title: string,
    { passed, text }: ExplainedGate,
    chain: readonly string[],
    statements: readonly ExplainedStatement[],
  ): void {
    const { style } = this.page;
    const names = chain.length === 0 ? "" : `chain ${chain.map(safeText).join(", ")}`;
    const head = [title, names].filter((part) => part !== "").join(", ");
    if (head !== "") this.lines.push(style.dim(`  ${head}`));
    for (const { policy, statement, name, matched, conditions, changes } of statements) {
      const label = name === "" ? "" : ` (${safeText(name)})`;
      const asked = conditions.map(
        ({ field, wants, holds }) =>
          `${safeText(field)} ${safeText(wants)}${holds ? "" : style.warn(" - no")}`,
      );
      const verdict = matched ? style.good("matches") : style.dim("does not match");
      const told = asked.length === 0 ? "" : `: ${asked.join("; ")}`;
      this.lines.push(`    ${safeText(policy)}, statement ${statement}${label} ${verdict}${told}`);
      for (const change of changes) this.lines.push(`      ${style.accent(safeText(change))}`);
    }
    this.lines.push(`  ${passed ? style.good("pass") : style.bad("STOP")}  ${safeText(text)}`);
  }

  bytes(update: Uint8Array): void {
    const hex = Buffer.from(update).toString("hex");
    const step = Math.max(32, Math.floor((this.columns - 2) / 2) * 2);
    this.lines.push(`  as an UPDATE of ${update.length} bytes`);
    for (let at = 0; at < hex.length; at += step)
      this.lines.push(this.page.style.dim(`  ${hex.slice(at, at + step)}`));
  }

  /** What to ask next. */
  hint(command: string, what: string): void {
    this.lines.push(`  ${this.page.style.accent(safeText(command))}  ${this.page.style.dim(what)}`);
  }
}

function routeParts(route: Route): string[] {
  return [`  ${safeText(routeLine(route))}`];
}
