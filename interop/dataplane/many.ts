/** Fifty objects in two variants, for proofs that need many: links, addresses, routes and settings. */

export interface Declared {
  readonly kind: string;
  readonly name: string;
  readonly spec: Readonly<Record<string, unknown>>;
}

export const manyKinds = [
  "Interface",
  "IPv4StaticAddress",
  "IPv6StaticAddress",
  "IPv4Route",
  "IPv6Route",
  "Sysctl",
];

export function yaml(declared: readonly Declared[]): string {
  return declared
    .map(({ kind, name, spec }) =>
      JSON.stringify({ apiVersion: "net.cairn/v1alpha1", kind, metadata: { name }, spec }),
    )
    .join("\n---\n");
}

/** @param variant of every kind the other one makes some, alters some, and takes some away */
export function fifty(variant: 1 | 2): Declared[] {
  const isFirst = variant === 1;
  const objects: Declared[] = [];
  const add = (kind: string, name: string, spec: Record<string, unknown>): void => {
    objects.push({ kind, name, spec });
  };
  const times = (count: number, each: (i: number) => void): void => {
    for (let i = 0; i < count; i++) each(i);
  };
  add("Interface", "wan", { ifname: "eth0" });
  add("Interface", "lan", { ifname: "eth1", mtu: isFirst ? 1400 : 1300, master: isFirst ? "br0" : "br1" });
  add("Interface", "br0", { type: "bridge" });
  add("Interface", "br1", { type: "bridge", mtu: isFirst ? 1500 : 1450 });
  times(4, (i) =>
    add("Interface", `pair${i}`, { type: "veth", peer: `end${i}`, admin_up: isFirst || i < 2 }),
  );
  times(4, (i) =>
    add("Interface", `${isFirst ? "one" : "two"}${i}`, { type: "veth", peer: `${variant}end${i}` }),
  );
  times(12, (i) => {
    const address = `10.${i < 6 ? 0 : variant}.${i}.1/24`;
    add("IPv4StaticAddress", `a${i}`, { interface: i % 2 === 0 ? "br0" : "pair0", address });
  });
  times(4, (i) => {
    const address = `2001:db8:${i < 2 ? 0 : variant}${i}::1/64`;
    add("IPv6StaticAddress", `a${i}`, { interface: "br0", address });
  });
  times(16, (i) => {
    const gateway = `192.0.2.${i < 8 ? 7 : 7 + variant}`;
    const metric = i < 12 ? undefined : 100 + variant;
    add("IPv4Route", `r${i}`, { destination: `172.16.${i}.0/24`, hops: [{ gateway }], metric });
  });
  times(4, (i) => {
    const type = i < 2 || isFirst ? "blackhole" : "unreachable";
    add("IPv6Route", `r${i}`, { destination: `2001:db8:f${i}::/48`, type });
  });
  add("Sysctl", "forward", { key: "net.ipv4.ip_forward", value: "1" });
  add("Sysctl", "ttl", { key: "net.ipv4.ip_default_ttl", value: isFirst ? "60" : "61" });
  return objects;
}

/** `KIND/NAME`: `phase`, for objects that all stand the same. */
export function allIn(phase: string, objects: readonly Declared[]): Record<string, string> {
  return Object.fromEntries(objects.map(({ kind, name }) => [`${kind}/${name}`, phase]));
}
