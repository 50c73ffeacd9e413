import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseIp } from "../base/ip.ts";
import type { Artifact } from "../dataplane/artifact.ts";
import type { Link } from "../dataplane/kernel-model.ts";
import { lockOut } from "./lock-out.ts";

function link(name: string, address: string): Link {
  const [text, length] = address.split("/");
  return {
    ...{ name, loopback: name === "lo" },
    addresses: [{ address: parseIp(text)!, length: Number(length) }],
  } as unknown as Link;
}

const links = [link("lo", "127.0.0.1/8"), link("wan0", "192.0.2.2/24"), link("lan0", "10.0.0.1/24")];
const operation = { verb: "create", class: "nft", key: "input 990 Z/z", owner: "Z/z", facts: {} } as const;

function group(key: string, ...rules: string[]): Artifact {
  return { class: "nft", key, facts: { rules }, adopt: true, repair: true };
}

const end = group("input 990.00000 FirewallZone/out", "counter drop");
const client = { local: "192.0.2.2", remote: "192.0.2.9", port: 50_051 };

function refusal(before: Artifact[], after: Artifact[], path = client): string | undefined {
  return lockOut([operation], path, links, { before, after })?.message;
}

describe("a plan of rules", () => {
  it("may not drop what comes from where the client is to where it talks to", () => {
    assert.match(
      refusal([], [end])!,
      /^FirewallZone\/out would drop what comes by wan0 to port 50051, over which/,
    );
    const opened = group("input 100.00001 FirewallZone/out", "tcp dport 50051 counter accept");
    assert.equal(refusal([], [end, opened]), undefined);
    const elsewhere = group("input 100.00001 FirewallZone/out", "tcp dport 50052 counter accept");
    assert.match(refusal([end, opened], [end, elsewhere])!, /would drop/);
  });

  it("may not send it elsewhere either", () => {
    const forward = group(
      "prerouting 500.01000 NAT44Rule/all",
      'iifname "wan0" tcp dport 1-65535 counter dnat ip to 10.0.0.5',
    );
    assert.match(refusal([], [forward])!, /^NAT44Rule\/all would send elsewhere what comes by wan0/);
  });

  it("is judged by the link that the client is on, whatever address it talks to", () => {
    const byLan = group("input 500.01000 FirewallRule/lan", 'iifname "lan0" counter accept');
    assert.match(refusal([], [end, byLan])!, /comes by wan0/);
    assert.equal(refusal([], [end, byLan], { ...client, remote: "10.0.0.9" }), undefined);
  });

  it("is not to blame for what was shut before, nor for what does not come over a link", () => {
    assert.equal(refusal([end], [end]), undefined);
    assert.equal(refusal([], [end], { local: "127.0.0.1", remote: "127.0.0.1", port: 50_051 }), undefined);
    assert.equal(lockOut([], client, links, { before: [], after: [end] }), undefined, "no rule is altered");
  });
});
