/**
 * Records what this kernel says over rtnetlink, for the tests of src/dataplane/netlink and as the corpus of its fuzz
 * target: run it as root, it makes a network namespace of its own.
 *
 *   node scripts/record-netlink.ts > src/dataplane/netlink/recorded.json
 */
import { execFileSync, spawnSync } from "node:child_process";
import { release } from "node:os";
import { parseIp } from "../src/base/ip.ts";
import { NetlinkSocket } from "../src/dataplane/host/netlink-socket.ts";
import {
  AddressFamily,
  askAddresses,
  askLinks,
  askRoutes,
  askRouteTo,
  mainTable,
  RouteGroup,
} from "../src/dataplane/netlink/route-wire.ts";
import type { NetlinkWriter } from "../src/dataplane/netlink/wire.ts";
import { native } from "../src/runtime/native.ts";

if (process.env.CAIRN_NETLINK_NAMESPACE === undefined) {
  const env = { ...process.env, CAIRN_NETLINK_NAMESPACE: "1" };
  const run = spawnSync("unshare", ["-n", process.execPath, import.meta.filename], { env, stdio: "inherit" });
  process.exit(run.status ?? 1);
}

const setup = [
  "link set lo up",
  "link add va type veth peer name vb",
  "link set va address 02:00:00:00:00:0a",
  "link set vb address 02:00:00:00:00:0b",
  "link add br0 type bridge",
  "link set vb master br0",
  "addr add 10.0.0.1/24 dev va",
  "addr add 172.31.0.1 peer 172.31.0.2/32 dev va",
  "addr add 2001:db8::1/64 dev va nodad",
  "link set va up",
  "link set vb up",
  "route add 10.9.0.0/16 via 10.0.0.2 metric 20 proto bgp",
  "route add 10.7.0.0/16 nexthop via 10.0.0.3 nexthop via 10.0.0.4 weight 3",
  "route add 10.6.0.0/16 via inet6 2001:db8::5 dev va",
  "route add blackhole 10.8.0.0/16",
  "nexthop add id 7 via 10.0.0.7 dev va",
  "route add 10.5.0.0/16 nhid 7",
  "-6 route add 2001:db8:9::/48 via 2001:db8::2",
  "-6 route add 2001:db8:7::/48 nexthop via 2001:db8::3 nexthop via 2001:db8::4 weight 2",
  "-6 route add unreachable 2001:db8:8::/48",
];
for (const line of setup) execFileSync("ip", line.split(" "));

const recorded: Record<string, string[]> = {};
let notices: string[] = [];

function open(groups: readonly number[], heard: (hex: string) => void): NetlinkSocket {
  const recv = native!.recv.bind(native);
  const calls = {
    ...native!,
    recv: (fd: number, bytes: Uint8Array, flags: number) => {
      const length = recv(fd, bytes, flags);
      if (length > 0) heard(Buffer.from(bytes.subarray(0, length)).toString("hex"));
      return length;
    },
  };
  const socket = NetlinkSocket.open(calls, groups, { message: () => undefined, overrun: () => undefined });
  if (typeof socket === "number") throw new Error(`netlink: ${socket}`);
  return socket;
}

open(Object.values(RouteGroup), (hex) => notices.push(hex));
let answer: string[] = [];
const socket = open([], (hex) => answer.push(hex));

function ask(name: string, isDump: boolean, write: (out: NetlinkWriter, sequence: number) => void) {
  return new Promise<void>((resolve) => {
    answer = [];
    const done = (): void => {
      recorded[name] = answer;
      resolve();
    };
    socket.request({ isDump, write, message: () => undefined, done: () => setTimeout(done, 5) });
  });
}

async function change(name: string, line: string): Promise<void> {
  notices = [];
  execFileSync("ip", line.split(" "));
  await new Promise((resolve) => setTimeout(resolve, 60));
  recorded[name] = notices;
}

await new Promise((resolve) => setTimeout(resolve, 1500));
await ask("links", true, askLinks);
await ask("addresses", true, askAddresses);
await ask("routes 4", true, (out, sequence) => askRoutes(out, sequence, AddressFamily.ip4, mainTable));
await ask("routes 6", true, (out, sequence) => askRoutes(out, sequence, AddressFamily.ip6, mainTable));
await ask("routes bgp", true, (out, sequence) => askRoutes(out, sequence, AddressFamily.ip4, mainTable, 186));
const asked = ["10.0.0.2", "10.9.1.1", "10.7.1.1", "10.6.1.1", "10.5.1.1", "10.8.1.1", "10.0.0.1", "1.1.1.1"];
for (const text of [...asked, "2001:db8:9::1", "2001:db8:7::1", "2001:db8:8::1", "2001:db8:ff::1"]) {
  await ask(`route to ${text}`, false, (out, sequence) => askRouteTo(out, sequence, parseIp(text)!));
}
await change("route added", "route add 10.4.0.0/16 via 10.0.0.9 metric 5");
await change("route deleted", "route del 10.4.0.0/16 via 10.0.0.9 metric 5");
await change("address deleted", "addr del 172.31.0.1 peer 172.31.0.2/32 dev va");
await change("link down", "link set vb down");
await change("nexthop deleted", "nexthop add id 9 blackhole");
await change("rule added", "rule add from 10.0.0.0/8 lookup 100");
await change("link deleted", "link del va");
process.stdout.write(`${JSON.stringify({ kernel: release(), recorded }, null, 1)}\n`);
process.exit(0);
