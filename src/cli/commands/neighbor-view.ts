/** How neighbors look in a table. */
import { type Neighbor, SessionState } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { humanCount, humanDuration, safeText } from "../human.ts";
import { type Style, stateTone } from "../style.ts";
import { type Column, renderTable, wrapText } from "../table.ts";

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
