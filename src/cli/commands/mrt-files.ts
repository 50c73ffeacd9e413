/** mrt cat, stats, replay: what can be done with anybody's MRT files, without a daemon. */
import { setTimeout as sleep } from "node:timers/promises";
import { parseHostPort, parseIp, parseIp4 } from "../../base/ip.ts";
import { recordJson } from "../../mrt/json.ts";
import { dumpLines } from "../../mrt/lines.ts";
import { Replay } from "../../mrt/replay.ts";
import { MrtStats, type PeerCounts } from "../../mrt/stats.ts";
import type { Context } from "../context.ts";
import { CliError, exitCode, usageError } from "../exit.ts";
import { humanCount, parseSpanMs } from "../human.ts";
import { ReplaySession } from "../mrt/session.ts";
import { type ReadOutcome, readMrt } from "../mrt/stream.ts";
import { writeTable } from "../table.ts";
import type { Argument, Command, Invocation } from "../tree.ts";

const fileArgument: Argument = {
  name: "FILE",
  help: "MRT file, compressed with gzip, zstd, bzip2 or not at all; - reads standard input",
  from: "file",
};

export const catCommand: Command = {
  name: "cat",
  summary: "Prints what an MRT file holds, a line for each route",
  details:
    "The lines are those of bgpdump -m, which the tools of the field read. As JSON each record is an object with " +
    "everything that it says. A file that is cut off is printed up to there, and the exit code is 1.",
  args: [fileArgument],
  examples: [
    ["cairnctl mrt cat rib.20261121.0800.gz", "a table of this router or of a collector"],
    ["cairnctl mrt cat updates.20261121.0805.bz2 -o ndjson | jq .routes", "everything, as JSON"],
  ],
  run: async (context, invocation) => {
    const { out } = context;
    const outcome = await readMrt(context, invocation.arg("FILE"), (reader) => {
      const { header, body } = reader;
      if (!context.forPeople) out.line(JSON.stringify(recordJson(header, body)));
      else if (body.kind !== "fault") for (const line of dumpLines(header, body)) out.line(line);
      return out.buffer.length < 1 << 17 ? true : out.flowing().then(() => true);
    });
    return tellOutcome(context, outcome);
  },
};

export const statsCommand: Command = {
  name: "stats",
  summary: "What an MRT file holds, in numbers",
  details:
    "Records by type and subtype, times, peers with their routes, distinct prefixes and sets of attributes.",
  args: [fileArgument],
  examples: [["cairnctl mrt stats rib.20261121.0800.gz", "peers, routes and sets of attributes"]],
  run: async (context, invocation) => {
    const stats = new MrtStats();
    const outcome = await readMrt(context, invocation.arg("FILE"), ({ header, body }) => {
      stats.add(header, body);
      return true;
    });
    if (context.forPeople) tellStats(context, stats, outcome);
    else context.out.line(JSON.stringify(statsJson(stats, outcome)));
    return tellOutcome(context, outcome);
  },
};

export const replayCommand: Command = {
  name: "replay",
  summary: "Sends the routes of an MRT file to a BGP speaker",
  details:
    "Opens a session as a neighbor of its own, sends the routes of one peer of the file (a table, or updates in their " +
    "order), then the End-of-RIB markers, and keeps the session until Ctrl-C. The AS number is that of the peer unless " +
    "--asn gives another one; the speaker must expect it, and must then not insist on its standing first in AS paths. " +
    "Path identifiers are left out.",
  args: [fileArgument],
  options: [
    { name: "to", value: "ADDR[:PORT]", help: "The speaker; port 179 unless given" },
    { name: "local", value: "ADDR", help: "Own address, when there are several" },
    { name: "asn", value: "ASN", help: "Own AS number; default: that of the peer in the file" },
    { name: "router-id", value: "ID", help: "Own BGP identifier; default 192.0.2.255" },
    {
      name: "peer",
      value: "ADDR",
      help: "Peer in the file whose routes are sent; default: the first one with any",
    },
    {
      name: "next-hop",
      value: "ADDR",
      repeat: true,
      help: "In place of the next hops in the file; one of each family",
    },
    {
      name: "speed",
      value: "N",
      help: "Updates at N times the speed at which they came; default: without a pause",
    },
    { name: "linger", value: "SPAN", help: "Ends so long after the last route, instead of at Ctrl-C" },
  ],
  examples: [
    ["cairnctl mrt replay rib.20261121.0800.gz --to 192.0.2.1 --peer 198.51.100.9", "a table into a router"],
    [
      "cairnctl mrt replay updates.gz --to [::1]:1790 --asn 65010 --speed 10 --linger 5s",
      "updates, ten times as fast",
    ],
  ],
  run: async (context, invocation) => {
    const plan = replayPlan(invocation);
    const replay = new Replay(plan);
    let session: ReplaySession | undefined;
    let firstMs: number | undefined;
    let startedMs = 0;
    const open = async (): Promise<ReplaySession> => {
      const asn = plan.asn ?? replay.peer?.asn ?? 0;
      if (asn === 0) throw usageError("the file does not tell an AS number for that peer", "give --asn");
      const opened = await ReplaySession.open({ ...plan, asn });
      startedMs = performance.now();
      return opened;
    };
    const send = async (bytes: Uint8Array): Promise<void> => {
      if (bytes.length === 0) return;
      session ??= await open();
      await session.send(bytes);
    };
    try {
      const outcome = await readMrt(context, invocation.arg("FILE"), ({ header, body }) => {
        const bytes = replay.add(body);
        if (bytes.length === 0) return true;
        return (async () => {
          if (plan.speed !== undefined) {
            const atMs = header.timeS * 1000 + header.micros / 1000;
            firstMs ??= atMs;
            const dueMs = (atMs - firstMs) / plan.speed;
            const waitMs = startedMs === 0 ? 0 : dueMs - (performance.now() - startedMs);
            if (waitMs > 1) await sleep(waitMs, undefined, { signal: context.signal });
          }
          await send(bytes);
          return !context.signal.aborted;
        })();
      });
      await send(replay.end());
      if (!session) {
        const who = plan.peer === undefined ? "" : ` of ${plan.peer}`;
        throw new CliError(exitCode.failed, "EMPTY", `the file has no routes${who} to send`);
      }
      await session.endOfRib();
      const { peer, announced, withdrawn, skipped } = replay;
      const told = { peer: peer?.address ?? "", peer_asn: peer?.asn ?? 0, announced, withdrawn, skipped };
      if (context.forPeople) {
        const counts = `${humanCount(announced)} announced, ${humanCount(withdrawn)} withdrawn, ${humanCount(skipped)} left out`;
        context.out.line(`${told.peer} AS${told.peer_asn}: ${counts}; the session stays up`);
      } else context.out.line(JSON.stringify(told));
      await context.out.flush();
      await session.linger(plan.lingerMs, context.signal);
      return await tellOutcome(context, outcome);
    } catch (error) {
      // Ctrl-C while it waits for the time of the next update.
      if (context.signal.aborted && (error as Error).name === "AbortError") return undefined;
      throw error;
    } finally {
      session?.close();
    }
  },
};

function replayPlan(invocation: Invocation): {
  readonly host: string;
  readonly port: number;
  readonly localAddress: string | undefined;
  readonly asn: number | undefined;
  readonly routerId: number;
  readonly peer: string | undefined;
  readonly nextHop4: Uint8Array | undefined;
  readonly nextHop16: Uint8Array | undefined;
  readonly speed: number | undefined;
  readonly lingerMs: number | undefined;
} {
  const to = invocation.option("to");
  if (to === undefined)
    throw usageError("--to is missing", "the speaker that gets the routes: --to 192.0.2.1");
  const target = parseIp(to) ? { host: to, port: 179 } : parseHostPort(to);
  if (!target || !parseIp(target.host)) throw usageError(`--to: "${to}" is not ADDR or ADDR:PORT`);
  const asnText = invocation.option("asn");
  const asn = asnText === undefined ? undefined : Number(asnText);
  if (asn !== undefined && !(Number.isInteger(asn) && asn > 0 && asn <= 0xffff_ffff))
    throw usageError(`--asn: "${asnText}" is not an AS number`);
  const idText = invocation.option("router-id") ?? "192.0.2.255";
  const routerId = parseIp4(idText);
  if (!routerId) throw usageError(`--router-id: "${idText}" is not a dotted quad such as 192.0.2.255`);
  const nextHops = invocation.options("next-hop").map((text) => {
    const bytes = parseIp(text);
    if (!bytes) throw usageError(`--next-hop: "${text}" is not an address`);
    return bytes;
  });
  const speedText = invocation.option("speed");
  const speed = speedText === undefined ? undefined : Number(speedText);
  if (speed !== undefined && !(speed > 0))
    throw usageError(`--speed: "${speedText}" is not a number above 0`);
  const lingerText = invocation.option("linger");
  const lingerMs = lingerText === undefined ? undefined : parseSpanMs(lingerText);
  if (lingerText !== undefined && lingerMs === undefined)
    throw usageError(`--linger: "${lingerText}" is not a span such as 5s`);
  return {
    ...target,
    localAddress: invocation.option("local"),
    ...{ asn, routerId, speed, lingerMs },
    peer: invocation.option("peer"),
    nextHop4: nextHops.find((bytes) => bytes.length === 4),
    nextHop16: nextHops.find((bytes) => bytes.length === 16),
  };
}

/** Says what could not be read. @returns the exit code */
async function tellOutcome(context: Context, { reader, fault }: ReadOutcome): Promise<number> {
  await context.out.flowing();
  const { skipped, faulty } = reader;
  if (skipped > 0) context.note(`records of types that are not read: ${humanCount(skipped)}`);
  if (faulty > 0) context.note(`malformed records: ${humanCount(faulty)}`);
  if (!fault) return exitCode.ok;
  context.note(`offset ${fault.offset}: ${fault.text}`);
  return exitCode.failed;
}

function tellStats(context: Context, stats: MrtStats, { reader }: ReadOutcome): void {
  const { out, style } = context;
  const time = (seconds: number): string =>
    new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
  const least = stats.isLowerBound ? "at least " : "";
  const routes = [...stats.routes].map(([family, count]) => `${humanCount(count)} ${family}`);
  const rows: [string, string][] = [
    ["records", humanCount(reader.records)],
    ...[...stats.records].sort().map(([kind, count]): [string, string] => [`  ${kind}`, humanCount(count)]),
    ["time", stats.firstS === 0 ? "" : `${time(stats.firstS)} to ${time(stats.lastS)}`],
    ["routes", routes.join(", ") || "none"],
    ["withdrawn", humanCount(stats.withdrawn)],
    ["prefixes", least + humanCount(stats.prefixes)],
    ["attribute sets", least + humanCount(stats.attributeSets)],
  ];
  for (const [name, value] of rows) out.line(`${style.dim(name.padEnd(26))}${value}`);
  out.line();
  writeTable<PeerCounts>(
    context,
    [
      { title: "PEER", value: ({ address }) => address },
      { title: "AS", value: ({ asn }) => String(asn), align: "right" },
      { title: "ROUTES", value: (peer) => humanCount(peer.routes), align: "right" },
      { title: "WITHDRAWN", value: (peer) => humanCount(peer.withdrawn), align: "right", drop: 2 },
      { title: "MESSAGES", value: (peer) => humanCount(peer.messages), align: "right", drop: 1 },
      { title: "STATES", value: (peer) => humanCount(peer.stateChanges), align: "right", drop: 3 },
    ],
    [...stats.peers.values()].sort((a, b) => b.routes - a.routes),
  );
}

function statsJson(stats: MrtStats, { reader, fault }: ReadOutcome): Record<string, unknown> {
  return {
    records: reader.records,
    types: Object.fromEntries(stats.records),
    skipped: reader.skipped,
    malformed: reader.faulty,
    first: stats.firstS,
    last: stats.lastS,
    routes: Object.fromEntries(stats.routes),
    withdrawn: stats.withdrawn,
    prefixes: stats.prefixes,
    attribute_sets: stats.attributeSets,
    lower_bounds: stats.isLowerBound,
    peers: [...stats.peers.values()].map(({ stateChanges, ...peer }) => ({
      ...peer,
      state_changes: stateChanges,
    })),
    ...(fault ? { fault } : {}),
  };
}
