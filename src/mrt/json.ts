/** Records as plain objects for JSON: everything that a file says, where `bgpdump -m` has no place for it. */
import { formatIp, formatIp4 } from "../base/ip.ts";
import { describeAttributes } from "../wire/attribute-text.ts";
import { hex, MessageType } from "../wire/message.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { noOrigin } from "./attributes.ts";
import type { DecodedBody } from "./decode.ts";
import { type RouteSet, ribAttributes, ribPrefix, updateRoutes } from "./routes.ts";
import { type MessageRecord, type MrtHeader, type RibRecord, stateNames } from "./types.ts";

type Json = Readonly<Record<string, unknown>>;

const messageTypes: Readonly<Record<number, string>> = {
  [MessageType.open]: "open",
  [MessageType.update]: "update",
  [MessageType.notification]: "notification",
  [MessageType.keepalive]: "keepalive",
  [MessageType.routeRefresh]: "route-refresh",
};

/** One record as an object. Times are seconds since 1970 with microseconds behind the point. */
export function recordJson(header: MrtHeader, body: DecodedBody): Json {
  const { type, subtype, timeS, micros, offset } = header;
  const head = { offset, time: timeS + micros / 1e6, type, subtype };
  switch (body.kind) {
    case "fault":
      return { ...head, fault: body.text };
    case "peer-index": {
      const peers = body.peers.map(({ routerId, address, asn }) => ({
        address: formatIp(address),
        asn,
        router_id: formatIp4(routerId),
      }));
      return { ...head, kind: "peers", collector: formatIp4(body.collectorId), view: body.viewName, peers };
    }
    case "rib":
      return { ...head, ...ribJson(body) };
    case "state": {
      const name = (state: number): string => stateNames[state] ?? String(state);
      return {
        ...head,
        kind: "state",
        ...endsJson(body),
        old: name(body.oldState),
        new: name(body.newState),
      };
    }
    case "message":
      return { ...head, ...messageJson(body) };
  }
}

function ribJson(record: RibRecord): Json {
  const routes = record.entries.map((entry) => {
    const { attributes, faults } = ribAttributes(record, entry);
    return {
      peer: entry.peer ? formatIp(entry.peer.address) : "",
      peer_asn: entry.peer?.asn ?? 0,
      ...(record.addPath ? { path_id: entry.pathId } : {}),
      originated: entry.originatedS,
      attributes: attributesJson(attributes),
      ...faultsJson(faults),
    };
  });
  const { prefixes, raw } = ribPrefix(record);
  const what = raw ? { nlri: hex(raw) } : { prefix: prefixes[0]?.text ?? "" };
  return {
    kind: "rib",
    family: familyText(record.afi, record.safi),
    sequence: record.sequence,
    ...what,
    routes,
  };
}

function messageJson(record: MessageRecord): Json {
  const { sets, faults } = updateRoutes(record);
  const type = messageTypes[record.message[18]] ?? String(record.message[18]);
  return {
    kind: "message",
    ...endsJson(record),
    ...(record.local ? { sent: true } : {}),
    message: type,
    ...(type === "update" ? { routes: sets.map(setJson) } : { bytes: hex(record.message.subarray(19)) }),
    ...faultsJson(faults),
  };
}

function setJson({ afi, safi, addPath, prefixes, attributes, raw }: RouteSet): Json {
  return {
    family: familyText(afi, safi),
    withdrawn: attributes === undefined,
    ...(raw ? { nlri: hex(raw) } : {}),
    prefixes: prefixes.map(({ text, pathId }) =>
      addPath ? { prefix: text, path_id: pathId } : { prefix: text },
    ),
    ...(attributes ? { attributes: attributesJson(attributes) } : {}),
  };
}

function attributesJson(attributes: PathAttributes): Json {
  return Object.fromEntries(
    describeAttributes(attributes)
      .filter(({ type }) => type !== 1 || attributes.origin !== noOrigin)
      .map(({ name, value }) => [name.toLowerCase(), value]),
  );
}

function endsJson({
  peerAddress,
  peerAsn,
  localAddress,
  localAsn,
}: {
  readonly peerAddress: Uint8Array;
  readonly peerAsn: number;
  readonly localAddress: Uint8Array;
  readonly localAsn: number;
}): Json {
  return {
    peer: formatIp(peerAddress),
    peer_asn: peerAsn,
    local: formatIp(localAddress),
    local_asn: localAsn,
  };
}

function faultsJson(faults: readonly string[]): Json {
  return faults.length > 0 ? { faults } : {};
}

const safiNames: Readonly<Record<number, string>> = { 1: "unicast", 2: "multicast", 133: "flowspec" };

/** `ipv4-unicast` as elsewhere in cairn; numbers where there is no name. */
export function familyText(afi: number, safi: number): string {
  return afi === 1 || afi === 2 ? `ipv${afi === 1 ? 4 : 6}-${safiNames[safi] ?? safi}` : `${afi}/${safi}`;
}
