import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type Message } from "@bufbuild/protobuf";
import { SysctlBundle, SysctlProfileSpecSchema, SysctlSpecSchema } from "../../gen/cairn/v1/host_kinds_pb.ts";
import type { Surroundings } from "../kind.ts";
import { sysctlProfileKind } from "./kind.ts";

function asked(spec: Message, others: Readonly<Record<string, Message>> = {}): Record<string, unknown> {
  const around: Surroundings = {
    spec: (kind, name) => others[`${kind}/${name}`],
    names: (kind) =>
      Object.keys(others)
        .filter((id) => id.startsWith(`${kind}/`))
        .map((id) => id.slice(kind.length + 1)),
    link: () => undefined,
    apiListeners: () => [],
    egress: () => undefined,
    flowRules: () => [],
  };
  const { artifacts } = sysctlProfileKind.derive(spec, around);
  assert.ok(artifacts.every(({ optional }) => optional));
  return Object.fromEntries(artifacts.map(({ key, facts }) => [key, facts.value]));
}

const router = create(SysctlProfileSpecSchema, {
  name: "router",
  profile: SysctlBundle.ROUTER,
  overrides: [
    { key: "net.ipv4.tcp_mtu_probing", value: "" },
    { key: "net.ipv4.ip_local_port_range", value: "1024  65535" },
  ],
});

describe("SysctlProfile", () => {
  it("has a bundle with what overrides say instead", () => {
    const keys = asked(router);
    assert.equal(keys["net.ipv4.ip_forward"], "1");
    assert.equal(keys["net.ipv4.ip_local_port_range"], "1024 65535");
    assert.equal("net.ipv4.tcp_mtu_probing" in keys, false);
    const host = create(SysctlProfileSpecSchema, { name: "h", profile: SysctlBundle.HOST });
    assert.equal(asked(host)["net.ipv4.ip_forward"], "0");
  });

  it("leaves a key to a Sysctl, and to the first of two profiles that agree", () => {
    const single = create(SysctlSpecSchema, { name: "f", key: "net.ipv4.ip_forward", value: "0" });
    assert.equal("net.ipv4.ip_forward" in asked(router, { "Sysctl/f": single }), false);
    const first = create(SysctlProfileSpecSchema, { name: "a", profile: SysctlBundle.ROUTER });
    assert.deepEqual(asked(router, { "SysctlProfile/a": first }), {
      "net.ipv4.ip_local_port_range": "1024 65535",
    });
    const host = create(SysctlProfileSpecSchema, { name: "a", profile: SysctlBundle.HOST });
    assert.equal(asked(router, { "SysctlProfile/a": host })["net.ipv4.ip_forward"], "1");
  });

  it("refuses a key twice and a profile that there is not", () => {
    const twice = { key: "net.ipv4.ip_forward", value: "1" };
    const spec = { name: "x", profile: SysctlBundle.HOST, overrides: [twice, twice] };
    const paths = (message: Message): string[] =>
      sysctlProfileKind.check!(message, () => undefined).map(({ path }) => path);
    assert.deepEqual(paths(create(SysctlProfileSpecSchema, spec)), ["overrides[1].key"]);
    assert.deepEqual(paths(create(SysctlProfileSpecSchema, { name: "x" })), ["profile"]);
  });
});
