/**
 * Writes what the kernel says of flows and of logged packets into src/dataplane/netlink/recorded-netfilter.json, which the
 * tests of the decoders read. To be run as root in a network namespace of its own:
 *
 *   unshare --net node_modules/.bin/node scripts/record-netfilter.ts
 */
import { execFileSync } from "node:child_process";
import dgram from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Conntrack } from "../src/dataplane/host/conntrack.ts";
import type { NetlinkCalls } from "../src/dataplane/host/netlink-socket.ts";
import { PacketLog } from "../src/dataplane/host/packet-log.ts";
import { errnoName, native, nativeMissing } from "../src/runtime/native.ts";

if (!native) throw new Error(nativeMissing);
const { recv } = native;

const rules = `table inet recorded {
  chain output {
    type nat hook output priority -100;
    ip daddr 127.0.0.1 tcp dport 8080 dnat ip to 127.0.0.1:8081
    ip6 daddr 2001:db8::1 tcp dport 8080 dnat ip6 to [::1]:8081
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    udp dport 53 snat ip to 192.0.2.1
  }
  chain input {
    type filter hook input priority filter;
    tcp dport 9999 limit rate 5/second log prefix "reject FirewallRule/x" group 67
    tcp dport 9999 reject
    udp dport 546 log prefix "drop FirewallZone/out" group 67
  }
}
`;

function run(command: string, ...args: string[]): void {
  execFileSync(command, args);
}

const folder = mkdtempSync(join(tmpdir(), "cairn-record-"));
writeFileSync(join(folder, "rules.nft"), rules);
run("ip", "link", "set", "lo", "up");
run("ip", "address", "add", "192.0.2.1/32", "dev", "lo");
run("ip", "address", "add", "2001:db8::1/128", "dev", "lo", "nodad");
run("sysctl", "-qw", "net.netfilter.nf_conntrack_acct=1");
run("nft", "-f", join(folder, "rules.nft"));
rmSync(folder, { recursive: true });

let captured: string[] = [];
const calls: NetlinkCalls = {
  ...native,
  recv(fd, bytes, flags) {
    const length = recv(fd, bytes, flags);
    if (length > 0) captured.push(Buffer.from(bytes.subarray(0, length)).toString("hex"));
    return length;
  },
};
const name = (errno: number): string => errnoName(-errno);
const log = new PacketLog(calls, 50, {
  logged: () => undefined,
  failed: (why) => {
    throw new Error(why);
  },
  later: (ms, call) => void setTimeout(call, ms),
  nowMs: () => performance.now(),
  errnoName: name,
});
log.want(true);
await pause(100);
captured = [];

net.createServer((socket) => socket.resume()).listen(8081, "::");
const four = net.connect({ port: 8080, host: "127.0.0.1", localPort: 40_001 });
const six = net.connect({ port: 8080, host: "2001:db8::1", localPort: 40_002 });
await Promise.all([once(four, "connect"), once(six, "connect")]);
four.write("x".repeat(5000));
const query = dgram.createSocket("udp4").bind(40_003);
await once(query, "listening");
query.send("hi", 53, "127.0.0.1");
net.connect({ port: 9999, host: "127.0.0.1", localPort: 40_004 }).on("error", () => undefined);
const lease = dgram.createSocket("udp6").bind(547);
await once(lease, "listening");
lease.send("hi", 546, "2001:db8::1");
await pause(500);
const packets = captured;
captured = [];
await new Conntrack(calls, name).list({ filter: {}, rules: [], after: "", max: 100 });

const recorded = { kernel: release(), flows: captured, packets };
const file = new URL("../src/dataplane/netlink/recorded-netfilter.json", import.meta.url);
writeFileSync(file, `${JSON.stringify(recorded, null, 2)}\n`);
process.exit(0);
