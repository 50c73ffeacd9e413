/** How neighbors look: the table and the page. */
import {
  type Capability,
  type FamilyState,
  type MessageCounts,
  type Neighbor,
  NeighborSpecSchema,
  type NeighborState,
  SessionState,
} from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { humanBytes, humanCount, humanDuration, humanTime, safeText } from "../human.ts";
import { specFields } from "../spec-fields.ts";
import { type Style, stateTone } from "../style.ts";
import { type Column, renderFields, renderTable, wrapText } from "../table.ts";

const stateWords: Readonly<Record<SessionState, string>> = {
  [SessionState.UNSPECIFIED]: "-",
  [SessionState.IDLE]: "idle",
  [SessionState.CONNECT]: "connect",
  [SessionState.ACTIVE]: "active",
  [SessionState.OPEN_SENT]: "open-sent",
  [SessionState.OPEN_CONFIRM]: "open-confirm",
  [SessionState.ESTABLISHED]: "established",
};

/** The state's word; a session that was taken down on purpose says so. */
export function stateWord(neighbor: Neighbor): string {
  if (neighbor.state?.adminDown) return "admin-down";
  return stateWords[neighbor.state?.sessionState ?? SessionState.UNSPECIFIED] ?? "-";
}

export function addressOf(neighbor: Neighbor): string {
  return neighbor.spec?.address || neighbor.metadata?.name || "";
}

export function asnOf(neighbor: Neighbor): number {
  return neighbor.state?.remoteAsn || neighbor.effective?.remoteAsn || neighbor.spec?.remoteAsn || 0;
}

/** Sum of one counter over the families. */
export function familySum(
  neighbor: Neighbor,
  counter: "received" | "accepted" | "rejected" | "advertised",
): bigint {
  return (neighbor.state?.families ?? []).reduce((sum, family) => sum + family[counter], 0n);
}

function count(counter: Parameters<typeof familySum>[1]): (neighbor: Neighbor) => string {
  return (neighbor) => {
    const sum = familySum(neighbor, counter);
    return sum === 0n && !isUp(neighbor) ? "-" : humanCount(sum);
  };
}

export function isUp(neighbor: Neighbor): boolean {
  return neighbor.state?.sessionState === SessionState.ESTABLISHED;
}

/** Why it is down or what is wrong, or who it is. */
function noteOf(neighbor: Neighbor): string {
  const { state } = neighbor;
  const description = neighbor.effective?.description || neighbor.spec?.description || "";
  if (isUp(neighbor)) return state?.status || description;
  return state?.status || state?.lastResetReason || description;
}

const tableColumns: readonly Column<Neighbor>[] = [
  { title: "NEIGHBOR", value: addressOf },
  { title: "AS", value: (neighbor) => String(asnOf(neighbor) || "-"), align: "right" },
  { title: "STATE", value: stateWord, tone: (neighbor) => stateTone(stateWord(neighbor)) },
  {
    title: "UPTIME",
    value: (neighbor) => (isUp(neighbor) ? humanDuration(neighbor.state?.uptime) : "-"),
    align: "right",
  },
  { title: "RECEIVED", value: count("received"), align: "right" },
  { title: "ACCEPTED", value: count("accepted"), align: "right", drop: 4 },
  { title: "REJECTED", value: count("rejected"), align: "right", wide: true },
  { title: "ADVERTISED", value: count("advertised"), align: "right", drop: 3 },
  {
    title: "FAMILIES",
    value: ({ state }) => (state?.families ?? []).map(({ family }) => family).join(","),
    wide: true,
  },
  { title: "ROUTER ID", value: ({ state }) => state?.remoteRouterId ?? "", wide: true },
  { title: "UPS", value: ({ state }) => String(state?.establishedCount ?? 0), align: "right", wide: true },
  { title: "GROUP", value: ({ spec }) => spec?.peerGroup ?? "", min: 6, drop: 5 },
  { title: "NOTE", value: noteOf, min: 10, drop: 2, tone: (neighbor) => (isUp(neighbor) ? "dim" : "warn") },
];

/** All neighbors, one a line. */
export function neighborTable(
  neighbors: readonly Neighbor[],
  style: Style,
  width: number,
  wide: boolean,
): string[] {
  const used = tableColumns.filter(({ title, value }) => {
    return (title !== "GROUP" && title !== "NOTE") || neighbors.some((neighbor) => value(neighbor) !== "");
  });
  const lines = renderTable(used, neighbors, width, style, wide);
  // why a session is down must be readable however narrow the terminal is
  const cut = neighbors.filter(
    (neighbor, i) => !isUp(neighbor) && !lines[i + 1].includes(safeText(noteOf(neighbor))),
  );
  for (const neighbor of cut) {
    lines.push(...wrapText(`${addressOf(neighbor)}: ${safeText(noteOf(neighbor))}`, width).map(style.warn));
  }
  const up = neighbors.filter(isUp).length;
  const down = neighbors.length - up;
  const tail = down === 0 ? "all established" : `${up} established, ${style.bad(`${down} not`)}`;
  return [...lines, style.dim(`${neighbors.length} neighbor${neighbors.length === 1 ? "" : "s"}: `) + tail];
}

/** Everything about one neighbor. */
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
  lines.push("", style.bold("settings"), ...settingLines(neighbor, style));
  return lines;
}

function sessionLines(neighbor: Neighbor, state: NeighborState, style: Style, width: number): string[] {
  const up = isUp(neighbor);
  const lines: string[] = [];
  if (state.status !== "" && state.status !== stateWord(neighbor))
    lines.push(`  ${style.warn(safeText(state.status))}`);
  if (!up && state.lastResetReason !== "")
    lines.push(`  last reset: ${style.warn(safeText(state.lastResetReason))}`);
  lines.push("", style.bold("session"));
  lines.push(
    ...renderFields(
      [
        ["local", endpoint(state.localAddress, state.localPort, `AS ${state.localAsn || "-"}`)],
        ["remote", endpoint(state.remoteAddress, state.remotePort, remoteIdentity(state))],
        ["hold time", up && state.negotiatedHoldTime ? holdText(state) : ""],
        ["keepalive every", up && state.keepaliveInterval ? humanDuration(state.keepaliveInterval) : ""],
        ["next attempt", !up && state.nextConnect ? `in ${humanDuration(state.nextConnect)}` : ""],
        ["established", establishedText(state)],
        ["largest message", up && state.maxMessageSize ? `${state.maxMessageSize} bytes` : ""],
        [
          "queues",
          `${humanBytes(state.outQueueBytes)} to send, ${humanBytes(state.inQueueBytes)} to process`,
        ],
        ["authentication", state.authentication === "none" ? "" : state.authentication],
        ["lowest TTL taken", state.minimumTtl === 0 ? "" : String(state.minimumTtl)],
        ["dynamic", dynamicText(state)],
        ["update group", up ? String(state.updateGroup) : ""],
        ["bad updates", badUpdates(state)],
        ["graceful restart", restartText(state)],
      ],
      style,
    ),
  );
  if (state.families.length > 0)
    lines.push(
      "",
      style.bold("routes"),
      ...familyTable(state.families, style, width),
      ...staleLines(state.families, style),
    );
  if (state.received || state.sent)
    lines.push("", style.bold("messages"), ...messageTable(state, style, width));
  if (state.capabilities.length > 0) {
    lines.push("", style.bold("capabilities"), ...capabilityTable(state.capabilities, style, width));
  }
  if (state.resets.length > 0) {
    lines.push("", style.bold("last resets"));
    const resets = renderTable(
      [
        { title: "TIME", value: ({ time }) => humanTime(time) },
        { title: "BY", value: ({ local }) => (local ? "us" : "neighbor") },
        {
          title: "CODE",
          value: ({ code, subcode }) => (code === 0 ? "-" : `${code}/${subcode}`),
          align: "right",
        },
        {
          title: "WHY",
          value: ({ text, shutdownMessage }) =>
            shutdownMessage === "" || text.includes(shutdownMessage) ? text : `${text}: "${shutdownMessage}"`,
          min: 20,
        },
      ],
      state.resets,
      width - 2,
      style,
    );
    lines.push(...resets.map(indent));
  }
  return lines;
}

function endpoint(address: string, port: number, more: string): string {
  if (address === "") return more === "AS -" ? "" : more;
  const place = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  return more === "" ? place : `${place}, ${more}`;
}

function remoteIdentity(state: NeighborState): string {
  const parts = [
    state.remoteAsn ? `AS ${state.remoteAsn}` : "",
    state.remoteRouterId ? `router id ${state.remoteRouterId}` : "",
  ];
  return parts.filter((part) => part !== "").join(", ");
}

function holdText(state: NeighborState): string {
  const negotiated = humanDuration(state.negotiatedHoldTime);
  return state.holdTimeLeft ? `${negotiated}, ${humanDuration(state.holdTimeLeft)} left` : negotiated;
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

/** What was agreed on graceful restart; empty when the neighbor does not offer it. */
function restartText({ restart }: NeighborState): string {
  if (!restart?.offered) return "";
  const parts = [`the neighbor restarts in ${humanDuration(restart.restartTime)}`];
  if (restart.remoteRestarting) parts.push("it has restarted");
  if (restart.localRestarting) parts.push("we have restarted");
  if (restart.notification) parts.push("also after a NOTIFICATION");
  return parts.join(", ");
}

/** One line per family whose routes outlive their session, or wait for others. */
function staleLines(families: readonly FamilyState[], style: Style): string[] {
  const lines: string[] = [];
  for (const { family, stale, stalePhase, staleTimeLeft, deferred } of families) {
    if (stalePhase !== "") {
      const left = staleTimeLeft ? `, ${humanDuration(staleTimeLeft)} left` : "";
      lines.push(
        `  ${style.warn(`${family}: ${humanCount(stale)} stale routes, ${staleWords[stalePhase]}${left}`)}`,
      );
    }
    if (deferred) {
      const text = "cairn has restarted and announces nothing until all neighbors have sent their routes";
      lines.push(`  ${style.warn(`${family}: ${text}`)}`);
    }
  }
  return lines;
}

const staleWords: Readonly<Record<string, string>> = {
  restarting: "the neighbor restarts",
  "long-lived": "the neighbor is away for long",
  returned: "the neighbor is back and sends them again",
  refreshing: "the neighbor sends them again",
};

function familyTable(families: readonly FamilyState[], style: Style, width: number): string[] {
  return renderTable<FamilyState>(
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
      { title: "END-OF-RIB", value: endOfRib, drop: 2 },
      { title: "RESTART", value: restartColumn, drop: 3 },
      {
        title: "SYNC",
        value: ({ inSync }) => (inSync ? "in sync" : "sending"),
        tone: ({ inSync }) => (inSync ? "good" : "warn"),
      },
    ],
    families,
    width - 2,
    style,
  ).map(indent);
}

/** For how long routes outlive a session. */
function restartColumn({ restartKept, forwardingKept, longLivedTime }: FamilyState): string {
  if (!restartKept) return "-";
  const long = longLivedTime ? `, then ${humanDuration(longLivedTime)}` : "";
  return `kept${long}${forwardingKept ? "" : ", not forwarding"}`;
}

function endOfRib({ endOfRibReceived, endOfRibSent }: FamilyState): string {
  if (endOfRibReceived && endOfRibSent) return "both ways";
  if (endOfRibReceived) return "received";
  return endOfRibSent ? "sent" : "-";
}

function messageTable(state: NeighborState, style: Style, width: number): string[] {
  const rows: [string, MessageCounts | undefined][] = [
    ["received", state.received],
    ["sent", state.sent],
  ];
  const counter = (pick: (counts: MessageCounts) => bigint) => (row: (typeof rows)[number]) =>
    row[1] ? humanCount(pick(row[1])) : "-";
  return renderTable<(typeof rows)[number]>(
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
    width - 2,
    style,
  ).map(indent);
}

function capabilityTable(capabilities: readonly Capability[], style: Style, width: number): string[] {
  const mark = (yes: boolean) => (yes ? "yes" : "-");
  return renderTable<Capability>(
    [
      { title: "CAPABILITY", value: ({ name, code }) => name || `code ${code}` },
      { title: "VALUE", value: ({ value }) => value, min: 8 },
      { title: "WE", value: ({ local }) => mark(local) },
      { title: "THEY", value: ({ remote }) => mark(remote) },
      {
        title: "IN USE",
        value: ({ negotiated }) => mark(negotiated),
        tone: ({ negotiated, local, remote }) =>
          negotiated ? "good" : local !== remote ? "warn" : undefined,
      },
    ],
    capabilities,
    width - 2,
    style,
  ).map(indent);
}

function settingLines(neighbor: Neighbor, style: Style): string[] {
  const shown = neighbor.effective ?? neighbor.spec;
  if (!shown) return [];
  const own = new Set(specFields(NeighborSpecSchema, neighbor.spec ?? shown).map(([label]) => label));
  const fields = specFields(NeighborSpecSchema, shown, ["address", "remote_asn", "description"]).map(
    ([label, value]): [string, string] => [
      label,
      own.has(label) ? value : style.dim(`${value} (not set here)`),
    ],
  );
  const { metadata } = neighbor;
  const by = metadata?.managedBy ? ` by ${safeText(metadata.managedBy)}` : "";
  const lines = renderFields(fields, style);
  if (metadata)
    lines.push(
      style.dim(`  changed in generation ${metadata.generation}, ${humanTime(metadata.updated)}${by}`),
    );
  return lines;
}

function indent(line: string): string {
  return `  ${line}`;
}
