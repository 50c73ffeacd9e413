/**
 * Scenes: routers of several kinds, each in a namespace of its own, and scripted speakers in one of theirs. One
 * description of a neighbor becomes the configuration of any daemon, so that a scene can put the same question to several.
 */
import { Lab, type Namespace } from "./lab.ts";
import { Router, type RouterKind } from "./router.ts";
import type { SessionPlan } from "./speaker.ts";
import { Speakers } from "./speakers.ts";

export type Role = "provider" | "rs" | "rs-client" | "customer" | "peer";

export interface NeighborPlan {
  /** The router's address and the neighbor's, out of one /30 or /126. */
  readonly local: string;
  readonly remote: string;
  readonly asn: number;
  readonly reflectorClient?: boolean;
  readonly routeServerClient?: boolean;
  readonly role?: Role;
  readonly strictRole?: boolean;
  /** In the daemon's own words: fields of cairn's neighbor; lines of FRR's address family; of BIRD's channel; of OpenBGPD's. */
  readonly cairn?: object;
  readonly frr?: readonly string[];
  /** Lines of FRR's neighbor outside of the address family. */
  readonly frrSession?: readonly string[];
  readonly bird?: string;
  /** Lines of BIRD's protocol outside of the channel. */
  readonly birdSession?: string;
  readonly openbgpd?: string;
}

export interface RouterPlan {
  readonly kind: RouterKind;
  readonly asn: number;
  readonly routerId: string;
  readonly clusterId?: string;
  /** RFC 5065: `asn` is the AS of a member. */
  readonly confederation?: { readonly identifier: number; readonly members: readonly number[] };
  readonly neighbors: readonly NeighborPlan[];
  /** Put before everything else; of cairn: further sections. */
  readonly preamble?: string | object;
  /** FRR puts its routes into the kernel of its namespace. */
  readonly routes?: boolean;
  /** Further words on the daemon's command line. */
  readonly arguments?: readonly string[];
}

/** A speaker's session; its address is one that a router's neighbor has as `remote`. */
export interface SpeakerPlan extends Omit<SessionPlan, "local" | "remote" | "routerId"> {
  readonly local: string;
  /** Default: its address. */
  readonly routerId?: string;
}

export interface Scene {
  readonly lab: Lab;
  /** Where the speakers are: a place for servers that routers reach at a neighbor's address. */
  readonly outside: Namespace;
  readonly routers: Readonly<Record<string, Router>>;
  readonly speakers: Speakers;
}

/** Builds it, waits until every speaker's session is established unless it is told not to, and tears it down. */
export async function withScene(
  folder: string,
  plans: Readonly<Record<string, RouterPlan>>,
  sessions: readonly SpeakerPlan[],
  body: (scene: Scene) => Promise<void>,
  waitForSpeakers = true,
): Promise<void> {
  const lab = new Lab(folder);
  let speakers: Speakers | undefined;
  try {
    const others = await lab.namespace("speakers");
    const names = Object.keys(plans);
    const namespaces = Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await lab.namespace(name)] as const)),
    );
    const ownerOf = (address: string): string | undefined =>
      names.find((name) => plans[name].neighbors.some(({ local }) => local === address));
    for (const [name, { neighbors }] of Object.entries(plans)) {
      for (const { local, remote } of neighbors) {
        const other = ownerOf(remote);
        if (other !== undefined && other < name) continue; // the other end made the link
        const end = other === undefined ? others : namespaces[other];
        const bits = local.includes(":") ? 126 : 30;
        await lab.link(namespaces[name], [`${local}/${bits}`], end, [`${remote}/${bits}`]);
      }
    }
    const routers = Object.fromEntries(
      names.map((name) => {
        const plan = plans[name];
        const passive = (neighbor: NeighborPlan): boolean => ownerOf(neighbor.remote) === undefined;
        return [
          name,
          new Router(
            lab,
            namespaces[name],
            plan.kind,
            configuration(plan, passive),
            plan.routes,
            plan.arguments,
          ),
        ] as const;
      }),
    );
    [speakers] = await Promise.all([
      Speakers.start(lab, others),
      ...Object.values(routers).map((router) => router.start()),
    ]);
    const all = Object.values(plans).flatMap(({ neighbors }) => neighbors);
    for (const session of sessions) {
      const remote = all.find((neighbor) => neighbor.remote === session.local)!.local;
      await speakers.open({ routerId: session.local, ...session, remote });
    }
    if (waitForSpeakers) for (const { name } of sessions) await speakers.established(name);
    await body({ lab, outside: others, routers, speakers });
  } finally {
    speakers?.close();
    await lab.close();
  }
}

function configuration(plan: RouterPlan, passive: (neighbor: NeighborPlan) => boolean): string {
  switch (plan.kind) {
    case "cairn":
      return cairn(plan, passive);
    case "frr":
      return frr(plan, passive);
    case "bird":
      return bird(plan, passive);
    case "openbgpd":
      return openbgpd(plan, passive);
    default:
      throw new Error(`no scene has ${plan.kind}`);
  }
}

function cairn(plan: RouterPlan, passive: (neighbor: NeighborPlan) => boolean): string {
  const { asn, routerId, clusterId, confederation, preamble = {} } = plan;
  return JSON.stringify(
    {
      global: {
        asn,
        router_id: routerId,
        listen: ["0.0.0.0:179"],
        ...(clusterId ? { cluster_id: clusterId } : {}),
        ...(confederation
          ? { confederation: { identifier: confederation.identifier, member_ases: confederation.members } }
          : {}),
      },
      neighbors: plan.neighbors.map((neighbor) => ({
        address: neighbor.remote,
        local_address: neighbor.local,
        remote_asn: neighbor.asn,
        passive: passive(neighbor),
        connect_retry_time: "1s",
        families: ["ipv4-unicast"],
        import: ["accept-all"],
        export: ["accept-all"],
        ...(neighbor.reflectorClient ? { route_reflector_client: true } : {}),
        ...(neighbor.routeServerClient ? { route_server_client: true } : {}),
        ...(neighbor.role ? { role: neighbor.role } : {}),
        ...(neighbor.strictRole ? { strict_role: true } : {}),
        ...neighbor.cairn,
      })),
      ...(preamble as object),
    },
    undefined,
    1,
  );
}

function frr(plan: RouterPlan, passive: (neighbor: NeighborPlan) => boolean): string {
  return [
    "frr defaults traditional",
    "log stdout",
    ...(plan.preamble ? [plan.preamble as string] : []),
    `router bgp ${plan.asn}`,
    ` bgp router-id ${plan.routerId}`,
    ...(plan.clusterId ? [` bgp cluster-id ${plan.clusterId}`] : []),
    ...(plan.confederation
      ? [
          ` bgp confederation identifier ${plan.confederation.identifier}`,
          ` bgp confederation peers ${plan.confederation.members.join(" ")}`,
        ]
      : []),
    " no bgp ebgp-requires-policy",
    " no bgp default ipv4-unicast",
    ...plan.neighbors.flatMap((neighbor) => [
      ` neighbor ${neighbor.remote} remote-as ${neighbor.asn}`,
      ` neighbor ${neighbor.remote} update-source ${neighbor.local}`,
      ` neighbor ${neighbor.remote} timers connect 1`,
      ` neighbor ${neighbor.remote} advertisement-interval 0`,
      ...(passive(neighbor) ? [` neighbor ${neighbor.remote} passive`] : []),
      ...(neighbor.frrSession ?? []).map((line) => ` neighbor ${neighbor.remote} ${line}`),
    ]),
    " address-family ipv4 unicast",
    ...plan.neighbors.flatMap((neighbor) => [
      `  neighbor ${neighbor.remote} activate`,
      ...(neighbor.reflectorClient ? [`  neighbor ${neighbor.remote} route-reflector-client`] : []),
      ...(neighbor.routeServerClient ? [`  neighbor ${neighbor.remote} route-server-client`] : []),
      ...(neighbor.frr ?? []).map((line) => `  neighbor ${neighbor.remote} ${line}`),
    ]),
    " exit-address-family",
    "exit",
    "",
  ].join("\n");
}

function bird(plan: RouterPlan, passive: (neighbor: NeighborPlan) => boolean): string {
  const protocol = (neighbor: NeighborPlan, i: number): string => {
    const words = [
      `local ${neighbor.local} as ${plan.asn};`,
      `neighbor ${neighbor.remote} as ${neighbor.asn};`,
      `direct; passive ${passive(neighbor) ? "on" : "off"};`,
      "connect delay time 1; connect retry time 1; error wait time 1, 2;",
      neighbor.reflectorClient ? "rr client;" : "",
      plan.clusterId && neighbor.asn === plan.asn ? `rr cluster id ${plan.clusterId};` : "",
      neighbor.routeServerClient ? "rs client;" : "",
      neighbor.role
        ? `local role ${neighbor.role === "rs" ? "rs_server" : neighbor.role.replace("-", "_")};`
        : "",
      neighbor.strictRole ? "require roles yes;" : "",
      plan.confederation ? `confederation ${plan.confederation.identifier};` : "",
      plan.confederation?.members.includes(neighbor.asn) ? "confederation member yes;" : "",
      neighbor.birdSession ?? "",
      `ipv4 { ${neighbor.bird ?? "gateway recursive; import all; export all;"} };`,
    ];
    return `protocol bgp n${i} {\n${words
      .filter(Boolean)
      .map((line) => `  ${line}`)
      .join("\n")}\n}`;
  };
  return [
    "log stderr all;",
    `router id ${plan.routerId};`,
    ...(plan.preamble ? [plan.preamble as string] : []),
    "protocol device { }",
    ...plan.neighbors.map(protocol),
    "",
  ].join("\n");
}

function openbgpd(plan: RouterPlan, passive: (neighbor: NeighborPlan) => boolean): string {
  return [
    `AS ${plan.asn}`,
    `router-id ${plan.routerId}`,
    "fib-update no",
    "connect-retry 1",
    "nexthop qualify via default",
    ...(plan.preamble ? [plan.preamble as string] : []),
    ...plan.neighbors.map(({ local }) => `listen on ${local}`),
    ...plan.neighbors.map((neighbor) =>
      [
        `neighbor ${neighbor.remote} {`,
        `  remote-as ${neighbor.asn}`,
        `  local-address ${neighbor.local}`,
        "  announce IPv4 unicast",
        passive(neighbor) ? "  passive" : "",
        neighbor.role ? `  announce policy ${neighbor.role}${neighbor.strictRole ? " enforce" : ""}` : "",
        neighbor.openbgpd ?? "",
        "}",
      ].join("\n"),
    ),
    "allow from any",
    "allow to any",
    "",
  ].join("\n");
}
