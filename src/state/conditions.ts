/**
 * Conditions on the running router, as text: `bgp.established >= 3`, `neighbor/198.51.100.2.state == established`,
 * `neighbor/2001:db8::1.ipv6-unicast.accepted > 0`. One comparison each; several are joined by AND.
 *
 *   condition = subject operator value        operator = "==" | "!=" | ">=" | "<=" | ">" | "<"
 *   subject   = "bgp." ("established" | "neighbors")
 *             | "rib." [FAMILY "."] ("prefixes" | "paths")
 *             | "neighbor/" ADDRESS "." ("state" | "uptime" | [FAMILY "."] COUNT)
 *   COUNT     = "received" | "accepted" | "rejected" | "advertised"
 */
import { formatPeer, parsePeer } from "../base/peer-address.ts";
import { nearestName, type Problem, type Result } from "../base/problem.ts";
import { families, familyByName } from "../wire/family.ts";

export type RouteCount = "received" | "accepted" | "rejected" | "advertised";

/** What conditions look at. Undefined: what is asked for does not exist, and no comparison holds. */
export interface ConditionHost {
  bgp(what: "established" | "neighbors"): number;
  /** `family` empty: over all. */
  rib(what: "prefixes" | "paths", family: string): number;
  /** Name of the state in lower case with underscores, for example established. */
  neighborState(address: string): string | undefined;
  /** Seconds; undefined while the session is down. */
  neighborUptime(address: string): number | undefined;
  neighborRoutes(address: string, what: RouteCount, family: string): number | undefined;
}

export interface Condition {
  readonly text: string;
  evaluate(host: ConditionHost): { readonly holds: boolean; readonly value: string };
}

const operators: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  "==": (a, b) => a === b,
  "!=": (a, b) => a !== b,
  ">=": (a, b) => a >= b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  "<": (a, b) => a < b,
};
const routeCounts: readonly string[] = ["received", "accepted", "rejected", "advertised"];
const states: readonly string[] = ["idle", "connect", "active", "open_sent", "open_confirm", "established"];
const familyNames: readonly string[] = families.map((family) => family.name);

type Read = (host: ConditionHost) => number | string | undefined;

/** @returns the condition, or problems whose messages begin with the column, from 1, where it goes wrong */
export function parseCondition(text: string, path: string): Result<Condition> {
  const match = /^(\s*)([^\s=!<>]*)(\s*)(==|!=|>=|<=|[=!<>]*)(\s*)(.*?)\s*$/s.exec(text);
  const [, lead = "", subject = "", gap = "", operator = "", gap2 = "", value = ""] = match ?? [];
  const at = { subject: lead.length, operator: 0, value: 0 };
  at.operator = at.subject + subject.length + gap.length;
  at.value = at.operator + operator.length + gap2.length;
  const wrong = (column: number, message: string, fix?: string): Result<never> => {
    const problem: Problem = {
      code: "INVALID",
      path,
      message: `column ${column + 1}: ${message}`,
      value: text,
    };
    return { ok: false, problems: [fix === undefined ? problem : { ...problem, fix }] };
  };
  if (subject === "") {
    return wrong(at.subject, "a subject is missing", "write for example bgp.established >= 3");
  }
  const read = readerOf(subject);
  if (!("read" in read)) return wrong(at.subject + read.column, read.message, read.fix);
  const compare = operators[operator];
  if (!compare) {
    const message = operator === "" ? "an operator is missing" : `"${operator}" is not an operator`;
    return wrong(at.operator, message, "use ==, !=, >=, <=, > or <");
  }
  if (value === "") return wrong(at.value, "a value is missing");
  const wanted = read.words ? value.toLowerCase().replaceAll("-", "_") : value;
  if (read.words) {
    if (operator !== "==" && operator !== "!=")
      return wrong(at.operator, `${subject} is not a number`, "use == or !=");
    if (!read.words.includes(wanted)) {
      const near = nearestName(wanted, read.words);
      return wrong(
        at.value,
        `"${value}" is not a state`,
        near ? `did you mean ${near}` : `one of ${read.words.join(", ")}`,
      );
    }
  } else if (!/^[0-9]{1,15}$/.test(value)) return wrong(at.value, `"${value}" is not a whole number`);
  const holds = (now: number | string): boolean =>
    read.words ? (now === wanted) === (operator === "==") : compare(Number(now), Number(value));
  return {
    ok: true,
    value: {
      text: text.trim(),
      evaluate(host) {
        const now = read.read(host);
        return { holds: now !== undefined && holds(now), value: now === undefined ? "" : String(now) };
      },
    },
  };
}

type Reader = { readonly read: Read; readonly words?: readonly string[] };
interface Misread {
  readonly column: number;
  readonly message: string;
  readonly fix?: string;
}

function readerOf(subject: string): Reader | Misread {
  if (subject.startsWith("neighbor/")) return neighborReader(subject);
  const parts = subject.split(".");
  const last = parts[parts.length - 1];
  if (parts[0] === "bgp") {
    if (parts.length === 2 && (last === "established" || last === "neighbors"))
      return { read: (host) => host.bgp(last) };
    return unknown("bgp.".length, parts.slice(1).join("."), ["established", "neighbors"]);
  }
  if (parts[0] === "rib") {
    const family = parts.length === 3 ? parts[1] : "";
    if (family !== "" && !familyByName(family)) return unknown("rib.".length, family, familyNames);
    if (parts.length <= 3 && (last === "prefixes" || last === "paths"))
      return { read: (host) => host.rib(last, family) };
    return unknown(subject.length - last.length, last, ["prefixes", "paths"]);
  }
  return unknown(0, parts[0], ["bgp", "rib", "neighbor/ADDRESS"]);
}

function neighborReader(subject: string): Reader | Misread {
  const start = "neighbor/".length;
  const words = subject.slice(start).split(".");
  // The address holds dots itself: what it is ends where a family or a field begins.
  const field = words.length > 1 ? words[words.length - 1] : "";
  const before = words.slice(0, -1);
  const named = before[before.length - 1] ?? "";
  const family = /^[a-z]/.test(named) && named.includes("-") ? named : "";
  const addressText = (family === "" ? before : before.slice(0, -1)).join(".");
  const peer = parsePeer(addressText);
  if (!peer) {
    const shown = addressText === "" ? subject.slice(start) : addressText;
    return {
      column: start,
      message: `"${shown}" is not an address followed by a field`,
      fix: "write for example neighbor/198.51.100.2.accepted",
    };
  }
  const address = formatPeer(peer);
  const fieldAt = subject.length - field.length;
  if (family !== "" && !familyByName(family))
    return unknown(start + addressText.length + 1, family, familyNames);
  if (routeCounts.includes(field))
    return { read: (host) => host.neighborRoutes(address, field as RouteCount, family) };
  if (family === "" && field === "state") {
    return { read: (host) => host.neighborState(address), words: states };
  }
  if (family === "" && field === "uptime") return { read: (host) => host.neighborUptime(address) };
  return unknown(fieldAt, field, [...(family === "" ? ["state", "uptime"] : []), ...routeCounts]);
}

function unknown(column: number, word: string, known: readonly string[]): Misread {
  const near = nearestName(word, known);
  const fix = near ? `did you mean ${near}` : `one of ${known.join(", ")}`;
  return { column, message: `"${word}" is not known here`, fix };
}
