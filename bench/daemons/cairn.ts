import { once } from "node:events";
import { writeFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import type { Filter, Question } from "../load/filter.ts";
import { daemonAddress4, daemonAddress6 } from "../namespace.ts";
import { type Adapter, daemonAs, routerId, type Setup } from "./daemon.ts";

export const root: string = join(import.meta.dirname, "../..");
const delayProbe = join(root, "bench/loop-delay.ts");
/** The loop-delay probe writes here when asked by SIGUSR2. */
export const delayFile = "loop-delay.json";

export const cairn: Adapter = {
  name: "cairn",
  programs: [join(root, "bin/cairnd")],
  can: () => true,
  configure(setup, directory) {
    const file = join(directory, "cairn.toml");
    writeFileSync(file, configText(setup, directory));
    const words = ["--state-dir", join(directory, "state"), "--dataplane", "none", "--log-level", "error"];
    const command = [join(root, "bin/cairnd"), file, ...words];
    if (setup.unwatched) return { command };
    const options = process.env.CAIRN_NODE_OPTIONS ?? "";
    return { command, env: { CAIRN_NODE_OPTIONS: `${options} --import=${delayProbe}`.trim() } };
  },
  list({ ipv6 }, directory) {
    const family = ipv6 ? "ipv6" : "ipv4";
    return [join(root, "bin/cairnctl"), "-s", `unix://${socketOf(directory)}`, "rib", "-f", family, "--json"];
  },
  async changeFilter({ filter }, directory) {
    if (!filter) throw new Error("no filter");
    await call(socketOf(directory), "PolicyService/SetPolicy", { spec: policyOf(filter) });
  },
};

export function socketOf(directory: string): string {
  return join(directory, "grpc.sock");
}

/** A unary RPC over a Unix socket, by the Connect protocol with JSON. */
export async function call(socketPath: string, rpc: string, body: object = {}): Promise<unknown> {
  const bytes = Buffer.from(JSON.stringify(body));
  const request = http.request({
    ...{ socketPath, path: `/cairn.v1.${rpc}`, method: "POST", agent: false },
    headers: {
      "content-type": "application/json",
      "content-length": bytes.length,
      "connect-protocol-version": "1",
    },
  });
  request.end(bytes);
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  if (response.statusCode !== 200) throw new Error(`${rpc} answered ${response.statusCode}: ${text}`);
  return JSON.parse(text);
}

function configText({ peers, ipv6, routeServer, holdTimeS, filter, rpki }: Setup, directory: string): string {
  const listen = ipv6 ? `[${daemonAddress6}]:179` : `${daemonAddress4}:179`;
  const head = `[global]
asn = ${daemonAs}
router_id = "${routerId}"
listen = ["${listen}"]

[api]
unix_socket = "${socketOf(directory)}"
`;
  const neighbors = peers.map(
    ({ address, asn, feeds }) => `
[[neighbors]]
address = "${address}"
remote_asn = ${asn}
passive = true
hold_time = ${holdTimeS}
families = ["${ipv6 ? "ipv6-unicast" : "ipv4-unicast"}"]
import = ["${filter && feeds ? "bench" : rpki && feeds ? "rov" : "accept-all"}"]
export = ["accept-all"]
${routeServer ? "route_server_client = true" : "next_hop_self = true"}
`,
  );
  return head + (filter ? policyText(filter) : "") + (rpki ? rpkiText(rpki) : "") + neighbors.join("");
}

function rpkiText({ host, port }: NonNullable<Setup["rpki"]>): string {
  return `
[[rpki_caches]]
name = "bench"
host = "${host}"
port = ${port}

[[policies]]
name = "rov"
statements = [{ match = { rpki_states = ["invalid"] }, action = "reject" }, { action = "accept" }]
`;
}

function policyText(filter: Filter): string {
  const prefixes = filter.prefixes.map((prefix) => `{ prefix = "${prefix}", le = 24 }`);
  const statements = policyOf(filter).statements.map((statement) => `  ${toml(statement)},`);
  return `
[[prefix_sets]]
name = "bench"
prefixes = [${prefixes.join(", ")}]

[[policies]]
name = "bench"
statements = [
${statements.join("\n")}
]
`;
}

/** The policy as the API's JSON has it. */
export function policyOf(filter: Filter) {
  const text = (value: number): string => `${value >>> 16}:${value & 0xffff}`;
  const rules = filter.rules.map(({ when, add, localPref, reject }) => ({
    match: matchOf(when),
    ...(add === undefined && localPref === undefined
      ? {}
      : {
          set: {
            ...(localPref === undefined ? {} : { local_pref: localPref }),
            ...(add === undefined ? {} : { communities_add: [text(add)] }),
          },
        }),
    ...(reject ? { action: "POLICY_ACTION_REJECT" } : {}),
  }));
  const last = { set: { communities_add: [text(filter.last)] }, action: "POLICY_ACTION_ACCEPT" };
  return { name: "bench", statements: [...rules, last] };
}

function matchOf(when: Question): object {
  switch (when.ask) {
    case "passes":
      return { as_paths: [`_${when.asn}_`] };
    case "pair":
      return { as_paths: [`_${when.first}_${when.second}_`] };
    case "second":
      return { as_paths: [`^[0-9]+_${when.asn}_`] };
    case "community":
      return { communities: [`${when.value >>> 16}:${when.value & 0xffff}`] };
    case "longer-than":
      return { as_path_length_ge: when.ases + 1 };
    case "prefix":
      return { prefix_sets: ["bench"] };
  }
}

/** An inline value of TOML; words of enumerations are written as the file has them. */
function toml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(toml).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    return `{ ${Object.entries(value)
      .map(([key, each]) => `${key} = ${toml(each)}`)
      .join(", ")} }`;
  }
  if (typeof value !== "string") return String(value);
  return JSON.stringify(value.startsWith("POLICY_ACTION_") ? value.slice(14).toLowerCase() : value);
}
