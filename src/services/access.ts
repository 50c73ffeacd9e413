/**
 * Who may call what. Every RPC of cairn has an access class in its .proto; a listener, and the role of a client
 * certificate, grant calls up to a class. The gate runs before a request's body is read.
 */
import { type DescMethod, getOption, hasOption } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextKey,
  createContextKey,
  type HandlerContext,
} from "@connectrpc/connect";
import { AccessClass, access } from "../gen/cairn/v1/options_pb.ts";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import type { ClientPath } from "../state/lock-out.ts";
import { callerKey } from "./context.ts";
import { errorDomain, refusal } from "./problems.ts";
import type { TokenBucket } from "./rate.ts";

/** What a listener or role grants: each level includes those before it. */
export type AccessLevel = "read_only" | "sensitive_read" | "operate" | "full";

export const accessLevels: Readonly<Record<AccessLevel, AccessClass>> = {
  read_only: AccessClass.READ,
  sensitive_read: AccessClass.SENSITIVE_READ,
  operate: AccessClass.OPERATE,
  full: AccessClass.MUTATE,
};

/** A role for clients whose certificate has this name: `DNS:name`, `URI:spiffe://...`, `email:a@b` or `CN:name`. */
export interface Role {
  readonly certificate: string;
  readonly access: AccessLevel;
}

/** The other end of a connection, as its socket tells. */
export interface Peer {
  /** `unix`, `unix:UID`, or the remote address. */
  readonly name: string;
  /** Names in the client's verified certificate, as `DNS:name`, `URI:uri`, `email:address`, `CN:name`. */
  readonly certificateNames: readonly string[];
  /** Ends of the TCP connection; absent for a Unix socket. */
  readonly path?: ClientPath;
}

export const peerKey: ContextKey<Peer> = createContextKey<Peer>(
  { name: "unknown", certificateNames: [] },
  { description: "peer" },
);

/** Looks a bearer token up; the answer is the token's name. */
export interface TokenStore {
  nameOf(token: string): string | undefined;
}

export interface GateOptions {
  readonly access: AccessLevel;
  /** When set, calls need a token. */
  readonly tokens?: TokenStore;
  /** When not empty, the certificate needs one of these roles, and grants no more than the role. */
  readonly roles: readonly Role[];
  readonly rate?: TokenBucket;
}

const healthService = "grpc.health.v1.Health";
const infrastructure = new Set([healthService, "grpc.reflection.v1.ServerReflection"]);

/** Reading an option means decoding it: once per method. */
const classes = new WeakMap<DescMethod, AccessClass | undefined>();

/** The class of an RPC; undefined when its .proto gives none (a test sees to it that none of ours lacks one). */
export function accessClassOf(method: DescMethod): AccessClass | undefined {
  if (!classes.has(method)) classes.set(method, declaredClass(method));
  return classes.get(method);
}

function declaredClass(method: DescMethod): AccessClass | undefined {
  if (hasOption(method, access)) return getOption(method, access);
  return infrastructure.has(method.parent.typeName) ? AccessClass.READ : undefined;
}

/**
 * Checks rate, credentials and class of a call, in this order, and notes who calls. Health checks need no token, so
 * that probes can use them.
 */
export function accessGate(options: GateOptions): (context: HandlerContext) => void {
  return (context) => {
    const peer = context.values.get(peerKey);
    // As far as it is known: who is refused stands in the audit too.
    const calls = (principal: string): unknown => context.values.set(callerKey, { principal });
    const named = (certificate: string | undefined): string =>
      certificate ? `cert:${certificate}` : peer.name;
    calls(named(peer.certificateNames[0]));
    if (options.rate && !options.rate.take()) {
      throw refusal([
        { code: "LIMIT", path: "", message: "too many requests on this listener", fix: "slow down" },
      ]);
    }
    const token = options.tokens && tokenName(options.tokens, context);
    if (token) calls(`token:${token}`);
    const granted = grantedTo(peer, options);
    if (!token) calls(named(granted.certificate ?? peer.certificateNames[0]));
    const wanted = accessClassOf(context.method);
    if (wanted === undefined || wanted > granted.level) {
      const name = wanted === undefined ? "unclassified" : className(wanted);
      throw denied("ACCESS_DENIED", `${context.method.name} is of class ${name}, which is not granted here`);
    }
  };
}

function tokenName(tokens: TokenStore, context: HandlerContext): string | undefined {
  const header = context.requestHeader.get("authorization") ?? "";
  const [, token] = /^bearer +([^ ]+)$/i.exec(header.trim()) ?? [];
  const name = token === undefined ? undefined : tokens.nameOf(token);
  if (name === undefined && context.service.typeName !== healthService) {
    const [reason, message] =
      token === undefined
        ? ["TOKEN_MISSING", "a bearer token is needed"]
        : ["TOKEN_UNKNOWN", "the bearer token is not known"];
    throw withInfo(new ConnectError(message, Code.Unauthenticated), reason);
  }
  return name;
}

function grantedTo(
  peer: Peer,
  options: GateOptions,
): { level: AccessClass; certificate: string | undefined } {
  const level = accessLevels[options.access];
  if (options.roles.length === 0) return { level, certificate: undefined };
  let best: Role | undefined;
  for (const role of options.roles) {
    if (!peer.certificateNames.includes(role.certificate)) continue;
    if (!best || accessLevels[role.access] > accessLevels[best.access]) best = role;
  }
  if (!best) throw denied("NO_ROLE", "the client certificate has no role on this listener");
  const roleLevel = accessLevels[best.access];
  return { level: roleLevel < level ? roleLevel : level, certificate: best.certificate };
}

function className(accessClass: AccessClass): string {
  const entry = Object.entries(AccessClass).find(([, number]) => number === accessClass);
  return (entry?.[0] ?? String(accessClass)).toLowerCase();
}

function denied(reason: string, message: string): ConnectError {
  return withInfo(new ConnectError(message, Code.PermissionDenied), reason);
}

function withInfo(error: ConnectError, reason: string): ConnectError {
  error.details.push({ desc: ErrorInfoSchema, value: { reason, domain: errorDomain, metadata: {} } });
  return error;
}
