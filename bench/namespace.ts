/**
 * The laboratory of the bench: a network namespace of its own, where the daemon listens on one address and each peer of
 * the generator has another, on one subnet, so that next hops resolve as between machines.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";

/** The daemon under test listens here, on port 179. */
export const daemonAddress4 = "10.99.0.1";
export const daemonAddress6 = "fd99::1";

const marker = "CAIRN_BENCH_NAMESPACE";

const commands = [
  "link set lo up",
  "link add dut0 type veth peer name dut1",
  "link set dut1 up",
  `addr add ${daemonAddress4}/16 dev dut0`,
  `-6 addr add ${daemonAddress6}/64 dev dut0 nodad`,
  "link set dut0 up",
  "route add local 10.99.0.0/16 dev lo",
  "-6 route add local fd99::/64 dev lo",
];

/** The address of peer `n`, from 0. */
export function peerAddress(n: number, ipv6: boolean): string {
  return ipv6 ? `fd99::1:${(n + 1).toString(16)}` : `10.99.${1 + ((n + 1) >> 8)}.${(n + 1) & 255}`;
}

/** Why there can be no laboratory on this machine; empty when there can. */
export function whyNoNamespace(): string {
  if (process.platform !== "linux") return "network namespaces are a thing of Linux";
  for (const tool of ["unshare", "ip"]) {
    if (spawnSync("which", [tool]).status !== 0) return `${tool} is not installed`;
  }
  const { status } = spawnSync("unshare", [...flags(), "true"]);
  return status === 0
    ? ""
    : "network namespaces are not allowed here (root, or unprivileged user namespaces)";
}

/** Runs this program again inside a new namespace and ends with its status; returns at once when already inside. */
export function enterNamespace(): void {
  if (process.env[marker] === "1") {
    for (const words of commands) execFileSync("ip", words.split(" "));
    // For IPv6 a local route alone does not let peers bind to its addresses.
    writeFileSync("/proc/sys/net/ipv6/ip_nonlocal_bind", "1");
    return;
  }
  const words = [...flags(), process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const { status } = spawnSync("unshare", words, {
    stdio: "inherit",
    env: { ...process.env, [marker]: "1" },
  });
  process.exit(status ?? 1);
}

function flags(): string[] {
  return process.getuid?.() === 0 ? ["-n"] : ["-rn"];
}
