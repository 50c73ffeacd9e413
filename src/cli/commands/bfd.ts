/** bfd: sessions of BFD and what their packets say. */
import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  BfdService,
  type BfdSession,
  BfdState,
  GetSessionResponseSchema,
} from "../../gen/cairn/v1/bfd_service_pb.ts";
import { humanCount, humanDuration, humanTime, safeText, secondsOf } from "../human.ts";
import { listAll, writeList } from "../paging.ts";
import type { Style } from "../style.ts";
import { type Column, renderFields, writeTable } from "../table.ts";
import type { Command } from "../tree.ts";

const { method } = BfdService;

const stateWords: Readonly<Record<BfdState, string>> = {
  [BfdState.UNSPECIFIED]: "-",
  [BfdState.ADMIN_DOWN]: "admin-down",
  [BfdState.DOWN]: "down",
  [BfdState.INIT]: "init",
  [BfdState.UP]: "up",
};

/** The state's word. */
export function bfdWord(state: BfdState): string {
  return stateWords[state] ?? "-";
}

export const bfdCommand: Command = {
  name: "bfd",
  summary: "BFD sessions",
  details:
    "Without ADDR all sessions in a table; with it everything about one. Sessions are asked for by the field bfd of " +
    "neighbors and groups: cairnctl neighbor set ADDR --bfd min_tx=300ms,min_rx=300ms.",
  args: [{ name: "ADDR", help: "Address of the neighbor", from: "neighbor", optional: true }],
  options: [
    { name: "filter", value: "WORDS", help: "Only sessions with these words in their addresses or state" },
  ],
  examples: [
    ["cairnctl bfd", "all sessions, and packets that belonged to none"],
    ["cairnctl bfd 192.0.2.1", "one in full"],
  ],
  run: async (context, invocation) => {
    const client = await context.client();
    const neighbor = invocation.arg("ADDR");
    if (neighbor !== "") {
      const response = await client.call(method.getSession, { neighbor });
      if (!context.forPeople) return context.message(GetSessionResponseSchema, response);
      if (response.session) context.out.line(bfdPage(response.session, context.style).join("\n"));
      return;
    }
    const request = { filter: invocation.option("filter") ?? "" };
    if (!context.forPeople) return writeList(context, method.listSessions, request);
    const { sessions, discards } = await listAll(client, method.listSessions, request);
    if (sessions.length === 0)
      context.out.line("no BFD sessions: cairnctl neighbor set ADDR --bfd enabled=true");
    else writeTable(context, bfdColumns, sessions);
    for (const { reason, packets, lastSource } of discards) {
      const line = `thrown away: ${humanCount(packets)} packets (${reason}), the last from ${safeText(lastSource)}`;
      context.out.line(context.style.warn(line));
    }
  },
};

/** Sessions in a table. */
export const bfdColumns: readonly Column<BfdSession>[] = [
  { title: "NEIGHBOR", value: ({ neighbor }) => neighbor },
  {
    title: "STATE",
    value: ({ state }) => bfdWord(state),
    tone: ({ state }) => (state === BfdState.UP ? "good" : "bad"),
  },
  { title: "SINCE", value: ({ since }) => humanDuration(since), align: "right" },
  { title: "HOPS", value: ({ multihop }) => (multihop ? "many" : "one"), wide: true },
  { title: "SEND", value: ({ transmitInterval }) => milliseconds(transmitInterval), align: "right", drop: 3 },
  { title: "DETECT", value: ({ detectionTime }) => milliseconds(detectionTime), align: "right", drop: 4 },
  { title: "UPS", value: ({ ups }) => String(ups), align: "right", wide: true },
  { title: "DOWNS", value: ({ downs }) => String(downs), align: "right", drop: 5 },
  { title: "REMOTE", value: ({ remoteState }) => bfdWord(remoteState), drop: 2 },
  { title: "NOTE", value: noteOf, min: 10, drop: 1 },
];

function noteOf({ status, lastDown }: BfdSession): string {
  if (status !== "") return safeText(status);
  return lastDown ? `last down: ${safeText(lastDown.reason)}` : "";
}

function milliseconds(span: Duration | undefined): string {
  return span ? `${Math.round(secondsOf(span) * 1000)} ms` : "-";
}

/** Everything about a session. */
export function bfdPage(session: BfdSession, style: Style): string[] {
  const { state, since, multihop, lastDown, localDiscriminator, remoteDiscriminator } = session;
  const word = bfdWord(state);
  const head = `${style.bold(`BFD with ${session.neighbor}`)}: ${state === BfdState.UP ? style.good(word) : style.bad(word)}`;
  const hops = multihop
    ? `several hops (UDP 4784), TTL at least ${session.minimumTtl}`
    : "one hop (UDP 3784), TTL 255";
  const flags = [
    session.remoteControlPlaneIndependent ? "independent of its control plane (C)" : "",
    session.remoteDemand ? "in demand mode" : "",
  ];
  const asked = (tx: Duration | undefined, rx: Duration | undefined, multiplier: number): string =>
    `send every ${milliseconds(tx)}, receive every ${milliseconds(rx)}, ${multiplier} times`;
  const heard = remoteDiscriminator !== 0;
  return [
    since ? `${head} for ${humanDuration(since)}` : head,
    ...(session.status === "" ? [] : [`  ${style.warn(safeText(session.status))}`]),
    ...renderFields(
      [
        ["diagnostic", session.diagnostic],
        [
          "peer",
          [session.peerAddress, session.interface && `on ${session.interface}`].filter(Boolean).join(" "),
        ],
        ["from", session.localAddress],
        ["path", hops],
        ["we ask for", asked(session.minTx, session.minRx, session.multiplier)],
        [
          "it asks for",
          heard ? asked(session.remoteMinTx, session.remoteMinRx, session.remoteMultiplier) : "",
        ],
        ["in force", heard ? inForce(session) : ""],
        [
          "it says",
          heard ? [bfdWord(session.remoteState), session.remoteDiagnostic].filter(Boolean).join(", ") : "",
        ],
        ["it is", flags.filter(Boolean).join(", ")],
        ["discriminators", `${localDiscriminator}, its ${heard ? remoteDiscriminator : "-"}`],
        ["packets", packets(session)],
        ["changes", `${session.ups} up, ${session.downs} down`],
        ["last down", lastDown ? `${humanTime(lastDown.time)}, ${safeText(lastDown.reason)}` : ""],
      ],
      style,
    ),
  ];
}

function inForce({ transmitInterval, detectionTime, polling }: BfdSession): string {
  const text = `send every ${milliseconds(transmitInterval)}, missed after ${milliseconds(detectionTime)}`;
  return polling ? `${text}; a change waits for its answer` : text;
}

function packets({ packetsReceived, packetsSent, packetsDiscarded }: BfdSession): string {
  const text = `${humanCount(packetsReceived)} received, ${humanCount(packetsSent)} sent`;
  return packetsDiscarded > 0n ? `${text}, ${humanCount(packetsDiscarded)} thrown away` : text;
}
