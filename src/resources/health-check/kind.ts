/** HealthCheck: whether what lies behind a link answers. It asks for no artifacts: probes are state/health. */
import type { Message } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { parseIp } from "../../base/ip.ts";
import { isLinkLocalAddress } from "../../base/peer-address.ts";
import type { Problem } from "../../base/problem.ts";
import { recordType } from "../../dataplane/probe/dns-message.ts";
import type { HttpExpectation, ProbePlan, ProbeProtocol } from "../../dataplane/probe/messages.ts";
import { type HealthCheckSpec, HealthProtocol, type HttpProbe } from "../../gen/cairn/v1/health_kinds_pb.ts";
import { deviceOf } from "../interface/kind.ts";
import { type Derivation, invalid, type ResourceKind, type Surroundings } from "../kind.ts";

/** A check probes at most so many addresses at once. */
const targetsMax = 8;
const intervalMinMs = 100;
const intervalDefaultMs = 30_000;
const timeoutDefaultMs = 3_000;
const jitterDefault = 10;

const protocols: Readonly<Record<number, ProbeProtocol>> = {
  [HealthProtocol.UNSPECIFIED]: "icmp",
  [HealthProtocol.ICMP]: "icmp",
  [HealthProtocol.TCP]: "tcp",
  [HealthProtocol.DNS]: "dns",
  [HealthProtocol.HTTP]: "http",
  [HealthProtocol.HTTPS]: "https",
};

const defaultPorts: Readonly<Record<ProbeProtocol, number>> = {
  icmp: 0,
  tcp: 443,
  dns: 53,
  http: 80,
  https: 443,
};

export const healthCheckKind: ResourceKind = {
  kind: "HealthCheck",

  check(message: Message): Problem[] {
    const spec = message as HealthCheckSpec;
    return [...targetProblems(spec), ...timeProblems(spec), ...protocolProblems(spec)];
  },

  derive(message: Message, around: Surroundings): Derivation {
    const spec = message as HealthCheckSpec;
    if (spec.interface === "") return { artifacts: [] };
    const device = deviceOf(spec.interface, around);
    if (around.link(device)) return { artifacts: [], values: { device } };
    const pending = { reason: "DEVICE_MISSING", message: `link ${device} is not there` };
    return { artifacts: [], pending, values: { device } };
  },
};

function targetProblems({ targets, source, quorum, interface: link }: HealthCheckSpec): Problem[] {
  const problems: Problem[] = [];
  if (targets.length > targetsMax) problems.push(invalid("targets", `at most ${targetsMax} targets`));
  const first = targets.length === 0 ? undefined : parseIp(targets[0]);
  targets.forEach((target, i) => {
    const bytes = parseIp(target);
    if (!bytes || !first) return;
    if (bytes.length !== first.length)
      problems.push(invalid(`targets[${i}]`, `${target} is not of the family of ${targets[0]}`));
    if (targets.indexOf(target) < i) problems.push(invalid(`targets[${i}]`, `${target} is there twice`));
    if (!isHost(bytes)) problems.push(invalid(`targets[${i}]`, `${target} is not the address of a host`));
    if (isLinkLocalAddress(bytes) && link === "")
      problems.push(invalid(`targets[${i}]`, `${target} is link-local`, "set interface"));
  });
  if (quorum !== undefined && quorum > targets.length)
    problems.push(invalid("quorum", `there are only ${targets.length} targets`));
  const from = source === "" ? undefined : parseIp(source);
  if (from && first && from.length !== first.length)
    problems.push(invalid("source", `${source} is not of the family of the targets`));
  return problems;
}

function isHost(bytes: Uint8Array): boolean {
  if (bytes.every((byte) => byte === 0)) return false;
  return bytes.length === 4 ? bytes[0] < 224 : bytes[0] !== 0xff;
}

function timeProblems(spec: HealthCheckSpec): Problem[] {
  const { intervalMs, timeoutMs } = timesOf(spec);
  const problems: Problem[] = [];
  if (intervalMs < intervalMinMs)
    problems.push(invalid("interval", "must be at least 100 ms", 'write "0.1s"'));
  if (spec.timeout && timeoutMs === 0) problems.push(invalid("timeout", "must be at least 1 ms"));
  if (spec.timeout && timeoutMs > intervalMs)
    problems.push(invalid("timeout", "must not be longer than the interval"));
  return problems;
}

function protocolProblems(spec: HealthCheckSpec): Problem[] {
  const protocol = protocols[spec.protocol];
  const { dns, http, port } = spec;
  const problems: Problem[] = [];
  const isHttp = protocol === "http" || protocol === "https";
  if (port !== undefined && protocol === "icmp") problems.push(invalid("port", "icmp has no ports"));
  if (dns && protocol !== "dns") problems.push(invalid("dns", "is only for the protocol dns"));
  if (http && !isHttp) problems.push(invalid("http", "is only for the protocols http and https"));
  if (dns) {
    if (dns.type !== "" && recordType(dns.type) === undefined)
      problems.push(
        invalid("dns.type", `"${dns.type}" is no record type`, "write A, AAAA, NS, ..., or a number"),
      );
    if (!isDnsName(dns.name)) problems.push(invalid("dns.name", `"${dns.name}" is no domain name`));
  }
  if (http) problems.push(...httpProblems(http, protocol));
  return problems;
}

function httpProblems(http: HttpProbe, protocol: ProbeProtocol): Problem[] {
  const problems: Problem[] = [];
  if (!["", "GET", "HEAD"].includes(http.method))
    problems.push(invalid("http.method", `"${http.method}" is not GET or HEAD`));
  if (http.method === "HEAD" && http.body !== "")
    problems.push(invalid("http.body", "an answer to HEAD has no body"));
  if (http.path !== "" && !/^\/[!-~]*$/.test(http.path))
    problems.push(invalid("http.path", "must begin with / and hold neither blanks nor other than ASCII"));
  if (!/^[A-Za-z0-9.:_[\]-]*$/.test(http.host))
    problems.push(invalid("http.host", `"${http.host}" is no host name`));
  http.statuses.forEach((text, i) => {
    if (!statusRange(text))
      problems.push(invalid(`http.statuses[${i}]`, `"${text}" is no status code`, "write 204 or 200-299"));
  });
  if (protocol === "http") {
    if (http.ca !== "") problems.push(invalid("http.ca", "is only for the protocol https"));
    if (http.anyCertificate) problems.push(invalid("http.any_certificate", "is only for the protocol https"));
  }
  return problems;
}

function statusRange(text: string): readonly [number, number] | undefined {
  const match = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(text);
  if (!match) return undefined;
  const from = Number(match[1]);
  const to = Number(match[2] ?? match[1]);
  return from <= to ? [from, to] : undefined;
}

/** A name whose labels fit (RFC 1035 2.3.4), with or without a dot at the end. */
function isDnsName(name: string): boolean {
  if (name === "" || name === ".") return true;
  return name
    .replace(/\.$/, "")
    .split(".")
    .every((label) => /^[!-~]{1,63}$/.test(label));
}

/** Times of a check. */
export function timesOf(spec: HealthCheckSpec): { readonly intervalMs: number; readonly timeoutMs: number } {
  const intervalMs = spec.interval ? milliseconds(spec.interval) : intervalDefaultMs;
  return {
    intervalMs,
    timeoutMs: spec.timeout ? milliseconds(spec.timeout) : Math.min(timeoutDefaultMs, intervalMs),
  };
}

function milliseconds({ seconds, nanos }: Duration): number {
  return Number(seconds) * 1000 + nanos / 1e6;
}

/** Share of the interval by which it may be longer or shorter. */
export function jitterOf({ jitterPercent }: HealthCheckSpec): number {
  return (jitterPercent ?? jitterDefault) / 100;
}

/** What is sent to each target. @param device name of the link in the kernel; empty for none */
export function probesOf(spec: HealthCheckSpec, device: string): ProbePlan[] {
  const protocol = protocols[spec.protocol];
  return spec.targets.map((target): ProbePlan => {
    const port = spec.port ?? defaultPorts[protocol];
    return {
      ...{ protocol, target, port, device, source: spec.source, mark: spec.mark ?? 0 },
      ...(protocol === "dns" && { dns: dnsExpectation(spec) }),
      ...((protocol === "http" || protocol === "https") && { http: httpExpectation(spec.http, target) }),
    };
  });
}

function dnsExpectation({ dns }: HealthCheckSpec): ProbePlan["dns"] {
  const type = recordType(dns?.type || "NS")!;
  return { name: (dns?.name ?? "").replace(/\.$/, ""), type, answer: dns?.answer ?? "" };
}

function httpExpectation(http: HttpProbe | undefined, target: string): HttpExpectation {
  const statuses = http?.statuses.map((text) => statusRange(text)!) ?? [];
  return {
    method: http?.method || "GET",
    path: http?.path || "/",
    host: http?.host || (target.includes(":") ? `[${target}]` : target),
    statuses: statuses.length > 0 ? statuses : [[200, 399]],
    body: http?.body ?? "",
    ca: http?.ca ?? "",
    anyCertificate: http?.anyCertificate ?? false,
  };
}
