/** Configurations of the daemons: the sessions, and every situation behind a guard on its prefixes. */
import { toJson } from "@bufbuild/protobuf";
import { parsePolicyText } from "../../src/policy/text/parse.ts";
import { kinds } from "../../src/state/kinds.ts";
import {
  type DaemonName,
  externalReceivers,
  lab,
  type Session,
  type Situation,
  sessions,
} from "./situation.ts";

const routerId = "192.0.2.1";
const externalSender: Session = lab.senders.external;
const neighbors: readonly Session[] = Object.values(sessions);

export function render(daemon: DaemonName, situations: readonly Situation[]): string {
  const spelled = situations.filter((each) => each.absent[daemon] === undefined);
  const [imports, exports] = (["import", "export"] as const).map((direction) =>
    spelled.filter((each) => each.direction === direction),
  );
  return { cairn, frr, bird, gobgp }[daemon](imports, exports);
}

const block4 = ({ number }: Situation): string => `10.${number}.0.0/16`;
const block6 = ({ number }: Situation): string => `2001:db8:${number}::/48`;

const isIpv6 = ({ feed }: Situation): boolean => feed[0].prefix.includes(":");

/** The spelling is a text of policies and sets with a policy sN. What it leaves undecided is rejected. */
function cairn(imports: readonly Situation[], exports: readonly Situation[]): string {
  const guard = (each: Situation): string =>
    `  if prefix in (${block4(each)}+, ${block6(each)}+) then { call s${each.number}; reject }`;
  const pass = (each: Situation): string =>
    `  if prefix in (${block4(each)}+, ${block6(each)}+) then accept;`;
  const text = [
    ...[...imports, ...exports].map(({ spelling }) => spelling.cairn as string),
    `policy main-in {\n${[...imports.map(guard), ...exports.map(pass)].join("\n")}\n}`,
    `policy main-out {\n${exports.map(guard).join("\n")}\n}`,
  ].join("\n");
  const { objects, errors } = parsePolicyText(text);
  if (errors.length > 0) {
    throw new Error(
      errors.map(({ line, message }) => `${text.split("\n")[line - 1]}: ${message}`).join("\n"),
    );
  }
  const sections: Record<string, unknown[]> = {};
  for (const { kind, spec } of objects) {
    const { section, desc } = kinds.get(kind)!;
    (sections[section] ??= []).push(toJson(desc, spec, { useProtoFieldName: true }));
  }
  const session = (neighbor: Session): object => ({
    address: neighbor.local,
    local_address: neighbor.remote,
    remote_asn: neighbor.asn,
    passive: true,
    families: ["ipv4-unicast", "ipv6-unicast"],
    import: [neighbor === externalSender ? "main-in" : "accept-all"],
    export: [externalReceivers.includes(neighbor) ? "main-out" : "accept-all"],
    ...(neighbor.removePrivateAs ? { remove_private_as: neighbor.removePrivateAs.cairn } : {}),
  });
  const global = { asn: lab.asn, router_id: routerId, listen: ["0.0.0.0:179"] };
  return JSON.stringify({ global, neighbors: neighbors.map(session), ...sections }, undefined, 1);
}

/** The spelling is configuration with a route-map SN. */
function frr(imports: readonly Situation[], exports: readonly Situation[]): string {
  // FRR takes the longer for each line the more there are, so a guard is for the one family that is fed.
  const guard = (map: string) => (each: Situation) => {
    const [word, block] = isIpv6(each) ? ["ipv6", `${block6(each)} le 128`] : ["ip", `${block4(each)} le 32`];
    return [
      `${word} prefix-list B${each.number} permit ${block}`,
      `route-map ${map} permit ${each.number}`,
      ` match ${word} address prefix-list B${each.number}`,
      ` call S${each.number}`,
      "exit",
    ];
  };
  const family = (name: string): string[] => [
    ` address-family ${name} unicast`,
    ...neighbors.flatMap((neighbor) => [
      `  neighbor ${neighbor.local} activate`,
      ...(neighbor === externalSender ? [`  neighbor ${neighbor.local} route-map MAIN-IN in`] : []),
      ...(externalReceivers.includes(neighbor)
        ? [`  neighbor ${neighbor.local} route-map MAIN-OUT out`]
        : []),
      ...(neighbor.removePrivateAs ? [`  neighbor ${neighbor.local} ${neighbor.removePrivateAs.frr}`] : []),
    ]),
    " exit-address-family",
  ];
  return [
    "frr defaults traditional",
    "log stdout",
    ...[...imports, ...exports].map(({ spelling }) => spelling.frr as string),
    ...imports.flatMap(guard("MAIN-IN")),
    "route-map MAIN-IN permit 1000", // the others, which are about export
    "exit",
    ...exports.flatMap(guard("MAIN-OUT")),
    `router bgp ${lab.asn}`,
    ` bgp router-id ${routerId}`,
    " no bgp ebgp-requires-policy",
    " no bgp default ipv4-unicast",
    ...neighbors.flatMap(({ local, remote, asn }) => [
      ` neighbor ${local} remote-as ${asn}`,
      ` neighbor ${local} update-source ${remote}`,
      ` neighbor ${local} passive`,
      ` neighbor ${local} advertisement-interval 0`,
    ]),
    ...family("ipv4"),
    ...family("ipv6"),
    "exit",
    "",
  ].join("\n");
}

/** The spelling is functions, of which sN decides. */
function bird(imports: readonly Situation[], exports: readonly Situation[]): string {
  const filter = (name: string, version: 4 | 6, lines: readonly string[]): string =>
    `filter ${name}${version} {\n${lines.join("\n")}\n  reject;\n}`;
  const block = (version: 4 | 6) => (version === 4 ? block4 : block6);
  const guard = (version: 4 | 6) => (each: Situation) =>
    `  if net ~ [ ${block(version)(each)}+ ] then { s${each.number}(); reject; }`;
  const pass = (version: 4 | 6) => (each: Situation) =>
    `  if net ~ [ ${block(version)(each)}+ ] then accept;`;
  const channel = (neighbor: Session, version: 4 | 6): string => {
    const importing = neighbor === externalSender ? `filter main_in${version}` : "all";
    const exporting = externalReceivers.includes(neighbor) ? `filter main_out${version}` : "all";
    return `  ipv${version} { import ${importing}; export ${exporting}; gateway recursive; };`;
  };
  return [
    "log stderr all;",
    `router id ${routerId};`,
    "protocol device { }",
    ...[...imports, ...exports].map(({ spelling }) => spelling.bird as string),
    ...([4, 6] as const).flatMap((version) => [
      filter("main_in", version, [...imports.map(guard(version)), ...exports.map(pass(version))]),
      filter("main_out", version, exports.map(guard(version))),
    ]),
    ...Object.entries(sessions).map(([name, neighbor]) =>
      [
        `protocol bgp ${name.replaceAll("-", "_")} {`,
        `  local ${neighbor.remote} as ${lab.asn};`,
        `  neighbor ${neighbor.local} as ${neighbor.asn};`,
        "  passive on; direct;",
        channel(neighbor, 4),
        channel(neighbor, 6),
        "}",
      ].join("\n"),
    ),
    "",
  ].join("\n");
}

interface GobgpSpelling {
  /** As under defined-sets. */
  readonly sets?: {
    readonly [kind: string]: readonly object[] | { readonly [kind: string]: readonly object[] };
  };
  readonly statements: readonly { readonly conditions?: object; readonly actions?: object }[];
}

/** The spelling is `sets` and `statements` in the words of GoBGP's configuration; the guard is added to each statement. */
function gobgp(imports: readonly Situation[], exports: readonly Situation[]): string {
  const sets: Record<string, object[]> = {
    "prefix-sets": [],
    "neighbor-sets": [
      { "neighbor-set-name": "external-sender", "neighbor-info-list": [externalSender.local] },
      {
        "neighbor-set-name": "external-receiver",
        "neighbor-info-list": externalReceivers.map(({ local }) => local),
      },
    ],
  };
  const bgp: Record<string, object[]> = {};
  for (const situation of [...imports, ...exports]) {
    const six = isIpv6(situation);
    sets["prefix-sets"].push({
      "prefix-set-name": `block${situation.number}`,
      "prefix-list": [
        {
          "ip-prefix": six ? block6(situation) : block4(situation),
          "masklength-range": six ? "48..128" : "16..32",
        },
      ],
    });
    const { sets: own = {} } = situation.spelling.gobgp as GobgpSpelling;
    for (const [kind, list] of Object.entries(own)) {
      if (Array.isArray(list)) (sets[kind] ??= []).push(...(list as object[]));
      else
        for (const [inner, values] of Object.entries(list)) (bgp[inner] ??= []).push(...(values as object[]));
    }
  }
  const guard = (situation: Situation, conditions: object = {}): object => ({
    "match-prefix-set": { "prefix-set": `block${situation.number}` },
    ...conditions,
    "match-neighbor-set": {
      "neighbor-set": situation.direction === "import" ? "external-sender" : "external-receiver",
    },
  });
  const definition = (situation: Situation): object => ({
    name: `s${situation.number}`,
    statements: (situation.spelling.gobgp as GobgpSpelling).statements.map((statement, i) => ({
      name: `s${situation.number}-${i}`,
      conditions: guard(situation, statement.conditions),
      actions: statement.actions ?? {},
    })),
  });
  const others = (name: string, set: string): object => ({
    name,
    statements: [
      {
        name,
        conditions: { "match-neighbor-set": { "neighbor-set": set, "match-set-options": "invert" } },
        actions: { "route-disposition": "accept-route" },
      },
    ],
  });
  const passed = {
    name: "passed",
    statements: exports.map((situation) => ({
      name: `passed-${situation.number}`,
      conditions: { "match-prefix-set": { "prefix-set": `block${situation.number}` } },
      actions: { "route-disposition": "accept-route" },
    })),
  };
  const family = (name: string): object => ({ config: { "afi-safi-name": name } });
  const config = {
    global: {
      config: { as: lab.asn, "router-id": routerId, port: 179 },
      "apply-policy": {
        config: {
          "import-policy-list": ["others-in", ...imports.map(({ number }) => `s${number}`), "passed"],
          "default-import-policy": "reject-route",
          "export-policy-list": ["others-out", ...exports.map(({ number }) => `s${number}`)],
          "default-export-policy": "reject-route",
        },
      },
    },
    neighbors: neighbors.map(({ local, remote, asn, removePrivateAs }) => ({
      config: {
        "neighbor-address": local,
        "peer-as": asn,
        ...(removePrivateAs ? { "remove-private-as": removePrivateAs.gobgp } : {}),
      },
      transport: { config: { "passive-mode": true, "local-address": remote } },
      "afi-safis": [family("ipv4-unicast"), family("ipv6-unicast")],
    })),
    "defined-sets": { ...sets, "bgp-defined-sets": bgp },
    "policy-definitions": [
      others("others-in", "external-sender"),
      others("others-out", "external-receiver"),
      ...[...imports, ...exports].map(definition),
      passed,
    ],
  };
  return JSON.stringify(config, undefined, 1);
}
