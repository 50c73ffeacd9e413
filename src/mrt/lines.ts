/**
 * Records as the lines of `bgpdump -m`, which is what tools of the field read: one line per route, fields between bars.
 *
 *   TABLE_DUMP2|time|B|peer|AS|prefix|AS path|origin|next hop|local pref|MED|communities|AG or NAG|aggregator|
 */
import { formatIp, formatIp4 } from "../base/ip.ts";
import { formatAsPath } from "../wire/as-path-text.ts";
import { type AsPathSegment, Origin, type PathAttributes } from "../wire/path-attributes.ts";
import { ribAttributes, ribPrefix, updateRoutes } from "./routes.ts";
import { type MessageRecord, type MrtBody, type MrtHeader, MrtType, type RibRecord } from "./types.ts";

/** The lines of a record: none for what bgpdump says nothing about. */
export function dumpLines(header: MrtHeader, body: MrtBody): string[] {
  if (body.kind === "rib") return ribLines(header, body);
  if (body.kind === "message") return messageLines(header, body);
  if (body.kind === "peer-index") return [];
  const { peerAddress, peerAsn, oldState, newState } = body;
  return [`${messageHead(header)}|STATE|${formatIp(peerAddress)}|${peerAsn}|${oldState}|${newState}`];
}

function ribLines(header: MrtHeader, record: RibRecord): string[] {
  const prefix = ribPrefix(record).prefixes[0];
  if (!prefix) return [];
  const format =
    header.type === MrtType.tableDump ? "TABLE_DUMP" : record.addPath ? "TABLE_DUMP2_AP" : "TABLE_DUMP2";
  return record.entries.map((entry) => {
    const { peer, pathId } = entry;
    const { attributes } = ribAttributes(record, entry);
    // TABLE_DUMP has the time of the route in the header's place.
    const timeS = header.timeS;
    const from = `${peer ? formatIp(peer.address) : "?"}|${peer?.asn ?? 0}`;
    const id = record.addPath ? `|${pathId}` : "";
    return `${format}|${timeS}|B|${from}|${prefix.text}${id}|${routeText(attributes)}`;
  });
}

function messageLines(header: MrtHeader, record: MessageRecord): string[] {
  const from = `${formatIp(record.peerAddress)}|${record.peerAsn}`;
  const lines: string[] = [];
  for (const { prefixes, attributes, addPath } of updateRoutes(record).sets) {
    const head = messageHead(header, addPath);
    const route = attributes && routeText(attributes);
    for (const { text, pathId } of prefixes) {
      const id = addPath ? `|${pathId}` : "";
      lines.push(
        route === undefined ? `${head}|W|${from}|${text}${id}` : `${head}|A|${from}|${text}${id}|${route}`,
      );
    }
  }
  return lines;
}

function messageHead({ type, timeS, micros }: MrtHeader, addPath = false): string {
  const ap = addPath ? "_AP" : "";
  return type === MrtType.bgp4mpEt
    ? `BGP4MP_ET${ap}|${timeS}.${String(micros).padStart(6, "0")}`
    : `BGP4MP${ap}|${timeS}`;
}

const originTexts: Readonly<Record<number, string>> = {
  [Origin.igp]: "IGP",
  [Origin.egp]: "EGP",
  [Origin.incomplete]: "INCOMPLETE",
};

/** What bgpdump prints for a route without a next hop, such as one that BIRD got from the kernel. */
const noNextHop = "255.255.255.255";

function routeText(attributes: PathAttributes): string {
  const { nextHop, localPref = 0, med = 0, communities, aggregator, atomicAggregate } = attributes;
  const via =
    nextHop.length >= 16 ? formatIp(nextHop, 0, 16) : nextHop.length === 4 ? formatIp(nextHop) : noNextHop;
  return [
    pathText(attributes.asPath),
    originTexts[attributes.origin] ?? originTexts[Origin.incomplete],
    via,
    localPref,
    med,
    communities.map(communityText).join(" "),
    atomicAggregate ? "AG" : "NAG",
    aggregator ? `${aggregator.asn} ${formatIp4(aggregator.address)}` : "",
    "",
  ].join("|");
}

const named: Readonly<Record<number, string>> = {
  4294967041: "no-export",
  4294967042: "no-advertise",
  4294967043: "local-AS",
};

function communityText(value: number): string {
  return named[value] ?? `${value >>> 16}:${value & 0xffff}`;
}

/** In sets bgpdump puts commas. */
function pathText(segments: readonly AsPathSegment[]): string {
  return formatAsPath(segments).replace(/[{[][^}\]]*/g, (set) => set.replaceAll(" ", ","));
}
