/**
 * TCP-AO (RFC 5925) between two cairnds, where the kernel has it (Linux 6.7 with CONFIG_TCP_AO): who may speak, both
 * families, and keys that roll over while the session stays. No other daemon here has it, so the other end is ours; what
 * is signed and checked is the kernel's work on both sides, and its counters tell.
 */

import { hostAbilities } from "../../src/runtime/socket-options.ts";
import { type Checks, equal, eventually } from "../lib/checks.ts";
import { Lab, type Namespace } from "../lib/lab.ts";
import { Router } from "../lib/router.ts";

interface Key {
  readonly id: string;
  readonly send_id: number;
  readonly receive_id: number;
  readonly secret: string;
  readonly algorithm?: string;
}

const first: Key = { id: "one", send_id: 1, receive_id: 1, secret: "first secret" };
const second: Key = { id: "two", send_id: 2, receive_id: 2, secret: "second", algorithm: "aes-128-cmac-96" };
const other: Key = { ...first, secret: "another secret" };

/** Sessions by link number; `theirs` undefined: no keychain there. */
const links = [
  { name: "same key, IPv4", six: false, theirs: first, up: true },
  { name: "same key, IPv6", six: true, theirs: first, up: true },
  { name: "another secret", six: false, theirs: other, up: false },
  { name: "keys on one side only", six: false, theirs: undefined, up: false },
] as const;

export async function tcpAo(checks: Checks, folder: string): Promise<void> {
  const missing = hostAbilities().tcpAo;
  if (missing !== "") {
    checks.skip(
      "all of it",
      `${missing}; in a VM: vmrun --suite trixie-backports -- npm run interop protection`,
    );
    return;
  }
  const lab = new Lab(folder);
  try {
    const [ours, theirs] = [await lab.namespace("cairn"), await lab.namespace("other")];
    await lab.link(ours, addresses(1), theirs, addresses(2));
    const cairn = new Router(lab, ours, "cairn", config(1));
    const far = new Router(lab, theirs, "cairn", config(2));
    await cairn.start();
    await far.start();
    const wanted = links.map(({ up }) => up);
    await checks.check("the same keys bring sessions up, others do not", () =>
      eventually("sessions", wanted, () => states(cairn), 60_000),
    );
    await checks.check("the kernel has signed and checked", () =>
      eventually("counters", { good: true, bad: true, required: true }, () => counters(lab, ours)),
    );
    await checks.check("keys roll over, and the session stays", async () => {
      for (const keys of [[first, second], [second, first], [second]])
        for (const each of [cairn, far]) await setKeys(each, keys);
      const before = await packets(lab, ours);
      await cairn.cli("neighbor", "reset", address(0, 2), "--soft", "out");
      await eventually("signed with the new key", true, async () => (await packets(lab, ours)) > before);
      equal("established once", 1, await count(cairn, 0));
      equal("sessions", wanted, await states(cairn));
    });
    await checks.check("secrets are not shown", async () => {
      const text = (await cairn.cli("keychain", "get", "main", "--json")) + (await cairn.cli("export"));
      equal("a secret", false, text.includes(second.secret));
    });
  } finally {
    await lab.close();
  }
}

function address(i: number, end: 1 | 2): string {
  return links[i].six ? `fd00:${i + 1}::${end}` : `10.0.${i + 1}.${end}`;
}

function addresses(end: 1 | 2): string[] {
  return links.map(({ six }, i) => address(i, end) + (six ? "/64" : "/24"));
}

/** `end` 1 connects to what it knows, 2 waits for it. */
function config(end: 1 | 2): string {
  const far = end === 1 ? 2 : 1;
  const neighbors = links.map(({ theirs }, i) => {
    const key = end === 1 ? first : theirs;
    return {
      ...{
        address: address(i, far),
        local_address: address(i, end),
        remote_asn: 65000 + far,
        passive: end === 2,
      },
      ...{ connect_retry_time: "1s", import: ["accept-all"], export: ["accept-all"] },
      ...(key ? { keychain: key === other ? "other" : "main" } : {}),
    };
  });
  const keychains = [
    { name: "main", keys: [first] },
    { name: "other", keys: [other] },
  ];
  const listen = ["0.0.0.0:179", "[::]:179"];
  return JSON.stringify({
    global: { asn: 65000 + end, router_id: `10.9.9.${end}`, listen },
    keychains,
    neighbors,
  });
}

async function setKeys(router: Router, keys: readonly Key[]): Promise<void> {
  const flags = keys.flatMap((key) => [
    "--keys",
    Object.entries(key)
      .map(([name, value]) => `${name}=${value}`)
      .join(","),
  ]);
  await router.cli("keychain", "set", "main", ...flags);
}

interface Neighbor {
  readonly state: { readonly sessionState: string; readonly establishedCount?: number };
}

async function neighbor(cairn: Router, i: number): Promise<Neighbor["state"]> {
  const text = await cairn.cli("neighbor", address(i, 2), "--json");
  return (JSON.parse(text) as { neighbor: Neighbor }).neighbor.state;
}

async function count(cairn: Router, i: number): Promise<number | undefined> {
  return (await neighbor(cairn, i)).establishedCount;
}

async function states(cairn: Router): Promise<boolean[]> {
  const up: boolean[] = [];
  for (const i of links.keys())
    up.push((await neighbor(cairn, i)).sessionState === "SESSION_STATE_ESTABLISHED");
  return up;
}

async function counter(lab: Lab, namespace: Namespace, name: string): Promise<number> {
  const lines = (await lab.in(namespace, ["cat", "/proc/self/net/netstat"])).split("\n");
  const [names, values] = lines.filter((line) => line.startsWith("TcpExt:")).map((line) => line.split(" "));
  return Number(values[names.indexOf(name)]);
}

async function counters(lab: Lab, namespace: Namespace) {
  return {
    good: (await counter(lab, namespace, "TCPAOGood")) > 0,
    bad: (await counter(lab, namespace, "TCPAOBad")) >= 0,
    required: (await counter(lab, namespace, "TCPAORequired")) >= 0,
  };
}

const packets = (lab: Lab, namespace: Namespace): Promise<number> => counter(lab, namespace, "TCPAOGood");
