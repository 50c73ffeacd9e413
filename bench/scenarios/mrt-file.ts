import { setTimeout as delay } from "node:timers/promises";
import { parseIp } from "../../src/base/ip.ts";
import type { Adapter } from "../daemons/daemon.ts";
import { mrtFile, PrefixSet, readMrtTable } from "../load/mrt.ts";
import type { Metrics } from "../load/rig.ts";
import { Session } from "../load/session.ts";
import { firstPeerAs } from "../load/table.ts";
import { peerAddress } from "../namespace.ts";
import { DaemonProcess } from "../process.ts";
import { otherTargets, type Scenario } from "./scenario.ts";

const timeoutMs = 120_000;
const holdTimeS = 240;

export const mrtTable: Scenario = {
  name: "mrt-table",
  title: "the table of a peer of an MRT file (--mrt FILE) through a daemon to another neighbor",
  size: 0,
  compared: ["time_s", "cpu_s", "peak_mb"],
  targets: otherTargets,
  can: () => mrtFile() !== undefined,
  run: (adapter) => pass(adapter, mrtFile() ?? ""),
};

/** The file's first peer feeds; another neighbor must end up with all of its prefixes. */
async function pass(adapter: Adapter, path: string): Promise<Metrics> {
  const address = peerAddress(0, false);
  const { messages, prefixes, asn } = readMrtTable(path, parseIp(address) as Uint8Array);
  const peers = [
    { address, asn, feeds: true },
    { address: peerAddress(1, false), asn: firstPeerAs + 1, feeds: false },
  ];
  const setup = { peers, ipv6: false, routeServer: false, holdTimeS, unwatched: true };
  const daemon = await DaemonProcess.start(adapter.name, (directory) => adapter.configure(setup, directory));
  const got = new PrefixSet();
  let doneMs = 0;
  const sessions = peers.map(
    (peer, n) =>
      new Session({
        ...{ address: peer.address, asn: peer.asn, ipv6: false, holdTimeS },
        routerId: (10 << 24) + (98 << 16) + n + 1,
        update: peer.feeds
          ? undefined
          : (bytes, start, end) => {
              got.update(bytes, start, end);
              if (doneMs === 0 && got.seen.size === prefixes) doneMs = performance.now();
            },
      }),
  );
  try {
    await Promise.all(sessions.map(({ established }) => established));
    await delay((adapter.warmUpS ?? 1) * 1000);
    const cpuBefore = daemon.cpuS();
    const begun = performance.now();
    await sessions[0].sendAll(messages);
    while (doneMs === 0) {
      const { error } = sessions.find((session) => session.error !== "") ?? { error: "" };
      if (error !== "" || daemon.gone) throw new Error(error || "the daemon ended");
      if (performance.now() - begun > timeoutMs) {
        throw new Error(`${prefixes - got.seen.size} of ${prefixes} prefixes did not arrive`);
      }
      await delay(2);
    }
    await delay(1000);
    const { peakMb } = daemon.memory();
    const timeS = (doneMs - begun) / 1000;
    return { time_s: timeS, cpu_s: daemon.cpuS() - cpuBefore, peak_mb: peakMb, prefixes };
  } finally {
    for (const session of sessions) session.close();
    await daemon.stop();
  }
}
