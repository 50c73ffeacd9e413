/** Everything about one neighbor, on a page that is read at 80 columns. */
import { BfdState } from "../../gen/cairn/v1/bfd_service_pb.ts";
import {
  type Capability,
  type FamilyState,
  type MessageCounts,
  type Neighbor,
  NeighborSpecSchema,
  type NeighborState,
  type ResetReason,
  type SessionTimer,
} from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { humanBytes, humanCount, humanDuration, humanTime, safeText } from "../human.ts";
import { specFields } from "../spec-fields.ts";
import { type Style, stateTone } from "../style.ts";
import { type Column, renderFields, renderTable, wrapText } from "../table.ts";
import { bfdWord } from "./bfd.ts";
import { addressOf, asnOf, isUp, stateWord } from "./neighbor-view.ts";

/** @param width cells a line may take; Infinity when the output is no terminal */
export function neighborPage(neighbor: Neighbor, style: Style, width: number): string[] {
  const { state } = neighbor;
  const word = stateWord(neighbor);
  const asn = asnOf(neighbor);
  const description = neighbor.effective?.description ?? neighbor.spec?.description ?? "";
  const head = [
    `${style.bold(addressOf(neighbor))}  AS ${asn || "not known yet"}`,
    state?.sessionType ? ` (${state.sessionType})` : "",
    `  ${style[stateTone(word)](word)}`,
    isUp(neighbor) ? ` for ${humanDuration(state?.uptime)}` : "",
    description === "" ? "" : `  ${style.dim(safeText(description))}`,
  ];
  const lines = [head.join("")];
  if (state) lines.push(...sessionLines(neighbor, state, style, width));
  lines.push("", style.bold("settings"), ...settingLines(neighbor, style, width));
  return lines;
}

function sessionLines(neighbor: Neighbor, state: NeighborState, style: Style, width: number): string[] {
  const up = isUp(neighbor);
  const lines: string[] = [];
  if (state.status !== "" && state.status !== stateWord(neighbor))
    lines.push(...wrapped(state.status, width, 2).map(style.warn));
  if (!up && state.lastResetReason !== "")
    lines.push(...wrapped(`last reset: ${state.lastResetReason}`, width, 2).map(style.warn));
  lines.push("", style.bold("session"));
  lines.push(
    ...renderFields(
      [
        ["local", endpoint(state.localAddress, state.localPort, `AS ${state.localAsn || "-"}`)],
        ["remote", endpoint(state.remoteAddress, state.remotePort, `AS ${state.remoteAsn || "-"}`)],
        ["discovery", state.discovery === "" ? "" : safeText(state.discovery)],
        ["its router id", state.remoteRouterId],
        ["next attempt", !up && state.nextConnect ? `in ${humanDuration(state.nextConnect)}` : ""],
        ["established", establishedText(state)],
        ["largest message", up && state.maxMessageSize ? `${state.maxMessageSize} bytes` : ""],
        [
          "queues",
          `${humanBytes(state.outQueueBytes)} to send, ${humanBytes(state.inQueueBytes)} to process`,
        ],
        ["bfd", state.bfdState === BfdState.UNSPECIFIED ? "" : bfdWord(state.bfdState)],
        ["authentication", state.authentication === "none" ? "" : state.authentication],
        ["lowest TTL taken", state.minimumTtl === 0 ? "" : String(state.minimumTtl)],
        ["dynamic", dynamicText(state)],
        ["update group", up ? String(state.updateGroup) : ""],
        ["bad updates", badUpdates(state)],
        [
          "refreshes",
          state.refreshesJoined === 0n
            ? ""
            : `${humanCount(state.refreshesJoined)} requests answered with others`,
        ],
        ...restartFields(state),
      ],
      style,
    ),
  );
  const section = (title: string, rows: readonly unknown[], draw: () => string[]): void => {
    if (rows.length > 0) lines.push("", style.bold(title), ...draw());
  };
  const { families, capabilities, resets } = state;
  const timers = state.timers.filter(({ configured, inForce, left }) => configured ?? inForce ?? left);
  section("timers", timers, () => timerTable(timers, style, width));
  section("routes", families, () => [
    ...familyTable(families, style, width),
    ...staleLines(families, style, width),
    ...filterLines(families, style, width),
  ]);
  if (up) section("in use", families, () => agreedTable(families, style, width));
  section("messages", [state.received ?? state.sent].filter(Boolean), () =>
    messageTable(state, style, width),
  );
  section("capabilities", capabilities, () => capabilityLines(capabilities, style, width));
  section("last resets", resets, () => resetLines(resets, style, width));
  return lines;
}

function endpoint(address: string, port: number, more: string): string {
  if (address === "") return more === "AS -" ? "" : more;
  const place = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  return more === "" ? place : `${place}, ${more}`;
}

function establishedText(state: NeighborState): string {
  if (state.establishedCount === 0) return "never";
  const times = state.establishedCount === 1 ? "once" : `${state.establishedCount} times`;
  return state.establishedAt ? `${times}, last ${humanTime(state.establishedAt)}` : times;
}

function dynamicText({ dynamicRange, forgottenIn }: NeighborState): string {
  if (dynamicRange === "") return "";
  return forgottenIn ? `${dynamicRange}, forgotten in ${humanDuration(forgottenIn)}` : dynamicRange;
}

function badUpdates(state: NeighborState): string {
  if (state.treatAsWithdraw === 0n && state.attributeDiscard === 0n) return "";
  return `${state.treatAsWithdraw} treated as withdraw, ${state.attributeDiscard} with attributes discarded (RFC 7606)`;
}

/** What was agreed on graceful restart; nothing when the neighbor does not offer it. */
function restartFields({ restart }: NeighborState): [string, string][] {
  if (!restart?.offered) return [];
  const { remoteRestarting, localRestarting } = restart;
  const who = [remoteRestarting ? "the neighbor" : "", localRestarting ? "cairn" : ""].filter(Boolean);
  return [
    ["restart time", `${humanDuration(restart.restartTime)} for the neighbor`],
    ["restarted", who.join(" and ")],
    ["NOTIFICATION", restart.notification ? "keeps routes too (RFC 8538)" : ""],
  ];
}

function timerTable(timers: readonly SessionTimer[], style: Style, width: number): string[] {
  return indented<SessionTimer>(
    [
      { title: "TIMER", value: ({ name }) => name },
      { title: "CONFIGURED", value: ({ configured }) => humanDuration(configured), align: "right" },
      { title: "IN FORCE", value: ({ inForce }) => humanDuration(inForce), align: "right" },
      { title: "LEFT", value: ({ left }) => humanDuration(left), align: "right" },
    ],
    timers,
    style,
    width,
  );
}

function familyTable(families: readonly FamilyState[], style: Style, width: number): string[] {
  return indented<FamilyState>(
    [
      { title: "FAMILY", value: ({ family }) => family },
      { title: "RECEIVED", value: ({ received }) => humanCount(received), align: "right" },
      { title: "ACCEPTED", value: ({ accepted }) => humanCount(accepted), align: "right" },
      { title: "REJECTED", value: ({ rejected }) => humanCount(rejected), align: "right" },
      { title: "ADVERTISED", value: ({ advertised }) => humanCount(advertised), align: "right" },
      {
        title: "LIMIT",
        value: ({ limit, acceptedLimit }) =>
          [limit, acceptedLimit]
            .map((each, i) => (each === 0n ? "" : `${humanCount(each)}${i === 0 ? "" : " accepted"}`))
            .filter((each) => each !== "")
            .join(", ") || "-",
        align: "right",
        drop: 1,
      },
      {
        title: "OVER LIMIT",
        value: ({ overLimit }) => (overLimit === 0n ? "-" : humanCount(overLimit)),
        align: "right",
        drop: 2,
      },
      {
        title: "SYNC",
        value: ({ inSync }) => (inSync ? "in sync" : "sending"),
        tone: ({ inSync }) => (inSync ? "good" : "warn"),
      },
    ],
    families,
    style,
    width,
  );
}

/** What both OPENs came to, by family. */
function agreedTable(families: readonly FamilyState[], style: Style, width: number): string[] {
  return indented<FamilyState>(
    [
      { title: "FAMILY", value: ({ family }) => family },
      { title: "END-OF-RIB", value: endOfRib },
      {
        title: "ADD-PATH",
        value: ({ addPathReceive, addPathSend }) => waysText(addPathReceive, addPathSend, "both ways"),
      },
      { title: "IPV6 NEXT HOP", value: ({ extendedNextHop }) => (extendedNextHop ? "yes" : "-") },
      { title: "AFTER ITS RESTART", value: restartColumn, min: 12 },
      { title: "F BIT", value: ({ forwardingKept }) => (forwardingKept ? "yes" : "-") },
    ],
    families,
    style,
    width,
  );
}

function endOfRib({ endOfRibReceived, endOfRibSent }: FamilyState): string {
  return waysText(endOfRibReceived, endOfRibSent, "both ways");
}

function waysText(received: boolean, sent: boolean, both: string): string {
  if (received && sent) return both;
  if (received) return "received";
  return sent ? "sent" : "-";
}

/** For how long routes outlive a session. */
function restartColumn({ restartKept, longLivedTime }: FamilyState): string {
  if (!restartKept) return "-";
  return longLivedTime ? `kept, then ${humanDuration(longLivedTime)}` : "kept";
}

/** Families whose routes outlive their session, or wait for others. */
/** Outbound route filtering and damping, one line each. */
function filterLines(families: readonly FamilyState[], style: Style, width: number): string[] {
  const texts: string[] = [];
  for (const { family, orf, damped } of families) {
    if (orf?.waiting)
      texts.push(`${family}: nothing is announced before the neighbor sends its filter (ORF), or asks`);
    else if (orf?.receives)
      texts.push(`${family}: the neighbor's filter (ORF) has ${humanCount(orf.totalEntries)} entries`);
    if (orf?.deferred)
      texts.push(`${family}: it sent another filter, to be used when it asks for its routes`);
    if (orf && orf.discarded !== "")
      texts.push(`${family}: its filter was thrown away: ${safeText(orf.discarded)}`);
    if (orf?.sends)
      texts.push(`${family}: prefix set ${orf.sent} is its filter, ${humanCount(orf.sentEntries)} entries`);
    if (damped > 0n)
      texts.push(
        `${family}: ${humanCount(damped)} routes are suppressed because they flap: cairnctl rib dampened`,
      );
  }
  return texts.flatMap((text) => wrapped(text, width, 2)).map(style.dim);
}

function staleLines(families: readonly FamilyState[], style: Style, width: number): string[] {
  const lines: string[] = [];
  for (const { family, stale, stalePhase, staleTimeLeft, deferred } of families) {
    if (stalePhase !== "") {
      const left = staleTimeLeft ? `, ${humanDuration(staleTimeLeft)} left` : "";
      lines.push(`${family}: ${humanCount(stale)} stale routes, ${staleWords[stalePhase]}${left}`);
    }
    if (deferred) {
      lines.push(
        `${family}: cairn has restarted and announces nothing until all neighbors have sent their routes`,
      );
    }
  }
  return lines.flatMap((line) => wrapped(line, width, 2)).map(style.warn);
}

const staleWords: Readonly<Record<string, string>> = {
  restarting: "the neighbor restarts",
  "long-lived": "the neighbor is away for long",
  returned: "the neighbor is back and sends them again",
  refreshing: "the neighbor sends them again",
};

function messageTable(state: NeighborState, style: Style, width: number): string[] {
  const rows: [string, MessageCounts | undefined][] = [
    ["received", state.received],
    ["sent", state.sent],
  ];
  const counter = (pick: (counts: MessageCounts) => bigint) => (row: (typeof rows)[number]) =>
    row[1] ? humanCount(pick(row[1])) : "-";
  return indented<(typeof rows)[number]>(
    [
      { title: "", value: ([name]) => name },
      { title: "OPEN", value: counter(({ opens }) => opens), align: "right" },
      { title: "UPDATE", value: counter(({ updates }) => updates), align: "right" },
      { title: "KEEPALIVE", value: counter(({ keepalives }) => keepalives), align: "right" },
      { title: "NOTIFICATION", value: counter(({ notifications }) => notifications), align: "right" },
      { title: "REFRESH", value: counter(({ refreshes }) => refreshes), align: "right" },
      {
        title: "BYTES",
        value: ([, counts]) => (counts ? humanBytes(counts.bytes) : "-"),
        align: "right",
        drop: 1,
      },
    ],
    rows,
    style,
    width,
  );
}

/** A capability with what each side says of it; undefined where it does not offer it. */
interface Offer {
  readonly name: string;
  readonly sent: string | undefined;
  readonly received: string | undefined;
  readonly inUse: boolean;
}

/** One row each; values that do not fit beside the name stand below it, and nothing is cut. */
function capabilityLines(capabilities: readonly Capability[], style: Style, width: number): string[] {
  const offers = offersOf(capabilities);
  const mark = (value: string | undefined): string => (value === undefined ? "-" : "yes");
  const isShort = ({ sent, received }: Offer): boolean => {
    const value = sent ?? received ?? "";
    return value.length <= shortValue && (sent === undefined || received === undefined || sent === received);
  };
  const [header, ...rows] = indented<Offer>(
    [
      {
        title: "CAPABILITY",
        value: (offer) => `${offer.name} ${isShort(offer) ? (offer.sent ?? offer.received) : ""}`.trim(),
      },
      { title: "SENT", value: ({ sent }) => mark(sent) },
      { title: "RECEIVED", value: ({ received }) => mark(received) },
      {
        title: "IN USE",
        value: ({ inUse }) => (inUse ? "yes" : "-"),
        tone: ({ inUse }) => (inUse ? "good" : "warn"),
      },
    ],
    offers,
    style,
    width,
  );
  const below = (offer: Offer): string[] => {
    if (isShort(offer)) return [];
    const { sent, received } = offer;
    if (sent === received) return wrapped(sent ?? "", width, 6).map(style.dim);
    const sides = [sent && `sent: ${sent}`, received && `received: ${received}`].filter(Boolean);
    const together = sides.join("; ");
    const texts = together.length <= width - 6 ? [together] : sides;
    return texts.flatMap((text) => (text ? wrapped(text, width, 6) : [])).map(style.dim);
  };
  return [header, ...rows.flatMap((row, i) => [row, ...below(offers[i])])];
}

/** Cells that a value may take beside the name. */
const shortValue = 24;

/** Ours and theirs of one code belong together where both sides have one, whatever their values. */
function offersOf(capabilities: readonly Capability[]): Offer[] {
  const offers: Offer[] = [];
  const paired = new Set<Capability>();
  for (const each of capabilities) {
    if (paired.has(each)) continue;
    const alike = capabilities.filter((other) => other.code === each.code);
    const other = alike.length === 2 ? alike.find((theirs) => theirs !== each) : undefined;
    const isPair = other && each.local && !each.remote && other.remote && !other.local && each.code !== 1;
    if (isPair) paired.add(other);
    offers.push({
      name: each.name || `code ${each.code}`,
      sent: each.local ? each.value : undefined,
      received: isPair ? other.value : each.remote ? each.value : undefined,
      inUse: each.negotiated,
    });
  }
  return offers;
}

/** When, by whom and with what code on one line, why on the next ones. */
function resetLines(resets: readonly ResetReason[], style: Style, width: number): string[] {
  const [header, ...rows] = indented<ResetReason>(
    [
      { title: "TIME", value: ({ time }) => humanTime(time) },
      { title: "BY", value: ({ local }) => (local ? "us" : "neighbor") },
      { title: "CODE", value: ({ code, subcode }) => (code === 0 ? "-" : `${code}/${subcode}`) },
      { title: "SESSION LIVED", value: livedText },
    ],
    resets,
    style,
    width,
  );
  return [
    header,
    ...rows.flatMap((row, i) => [row, ...wrapped(whyText(resets[i]), width, 6).map(style.dim)]),
  ];
}

function livedText({ uptime, attempts }: ResetReason): string {
  if (uptime) return humanDuration(uptime);
  return attempts > 1 ? `never up, ${attempts} attempts` : "never up";
}

function whyText({ text, shutdownMessage, data }: ResetReason): string {
  if (shutdownMessage !== "") return text.includes(shutdownMessage) ? text : `${text}: "${shutdownMessage}"`;
  return data.length === 0 ? text : `${text}, data ${Buffer.from(data).toString("hex")}`;
}

/** What is set for this neighbor line by line; what it inherits, and the defaults, in one paragraph. */
function settingLines(neighbor: Neighbor, style: Style, width: number): string[] {
  const shown = neighbor.effective ?? neighbor.spec;
  if (!shown) return [];
  const own = new Set(specFields(NeighborSpecSchema, neighbor.spec ?? shown).map(([label]) => label));
  const fields = specFields(NeighborSpecSchema, shown, ["address", "remote_asn", "description"]);
  const lines = renderFields(
    fields.filter(([label]) => own.has(label)),
    style,
  );
  const others = fields.filter(([label]) => !own.has(label)).map(([label, value]) => `${label} ${value}`);
  if (others.length > 0)
    lines.push(...wrapped(`inherited or default: ${others.join("; ")}`, width, 2).map(style.dim));
  const { metadata } = neighbor;
  const by = metadata?.managedBy ? ` by ${safeText(metadata.managedBy)}` : "";
  if (metadata)
    lines.push(
      style.dim(`  changed in generation ${metadata.generation}, ${humanTime(metadata.updated)}${by}`),
    );
  return lines;
}

function indented<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  style: Style,
  width: number,
): string[] {
  return renderTable(columns, rows, width - 2, style).map((line) => `  ${line}`);
}

/** Text from elsewhere in lines of at most `width` cells, each after `indent` spaces. */
function wrapped(text: string, width: number, indent: number): string[] {
  return wrapText(safeText(text), width - indent).map((line) => " ".repeat(indent) + line);
}
