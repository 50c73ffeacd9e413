/** How a listener is described, and what is wrong with a description; nothing here opens a socket. */
import { parseIp } from "../base/ip.ts";
import type { Problem } from "../base/problem.ts";
import type { AccessLevel, Role } from "./access.ts";

interface CommonOptions {
  /** What is granted here; default full. */
  readonly access?: AccessLevel;
  /** File of bearer tokens; when set, calls need one. Changes take effect within `filePollMs`. */
  readonly tokenFile?: string;
  /** Requests a second, on average and as a burst; default unlimited. */
  readonly requestsPerS?: number;
}

export interface UnixListenerOptions extends CommonOptions {
  readonly kind: "unix";
  readonly path: string;
  /** Permission bits of the socket file; default 0660. */
  readonly mode?: number;
}

export interface TcpListenerOptions extends CommonOptions {
  readonly kind: "tcp";
  readonly address: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Must be said for a listener without TLS, which must be on a loopback address. */
  readonly plaintext?: boolean;
  /** PEM files; all three or none. Changes take effect within `filePollMs` for new connections. */
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly clientCaFile?: string;
  /** When not empty, a client certificate needs one of these roles. */
  readonly roles?: readonly Role[];
}

export type ListenerOptions = UnixListenerOptions | TcpListenerOptions;

/** Bytes of a Unix socket path that the kernel takes (sun_path without the final zero). */
const unixPathBytesMax = 107;

/** Everything that is wrong with the options; `path` says where they come from, for example `api.tcp[0]`. */
export function checkListener(options: ListenerOptions, path: string): Problem[] {
  const problems: Problem[] = [];
  const add = (code: "INVALID" | "REQUIRED", field: string, message: string, fix?: string): void => {
    problems.push({ code, path: `${path}.${field}`, message, fix });
  };
  if (options.requestsPerS !== undefined && !(options.requestsPerS >= 1)) {
    add("INVALID", "requests_per_s", "must be at least 1");
  }
  if (options.kind === "unix") {
    const bytes = Buffer.byteLength(options.path);
    if (bytes === 0) add("REQUIRED", "path", "must be set");
    if (bytes > unixPathBytesMax) {
      add(
        "INVALID",
        "path",
        `is ${bytes} bytes long, the system takes ${unixPathBytesMax}`,
        "choose a shorter path",
      );
    }
    return problems;
  }
  const address = parseIp(options.address);
  if (!address) add("INVALID", "listen", `"${options.address}" is not an IP address`);
  if (!Number.isInteger(options.port) || options.port < 0 || options.port > 65_535) {
    add("INVALID", "listen", `${options.port} is not a port`);
  }
  const files = { cert: options.certFile, key: options.keyFile, client_ca: options.clientCaFile };
  const missing = Object.entries(files).flatMap(([name, file]) => (file ? [] : [name]));
  if (missing.length > 0 && missing.length < 3) {
    for (const name of missing) add("REQUIRED", name, "cert, key and client_ca go together");
  }
  if (missing.length === 3) {
    if (!options.plaintext) {
      add(
        "REQUIRED",
        "cert",
        "TCP needs TLS",
        "set cert, key and client_ca, or plaintext = true on a loopback address",
      );
    } else if (address && !isLoopback(address)) {
      add(
        "INVALID",
        "plaintext",
        `is possible on loopback only, not on ${options.address}`,
        "set cert, key and client_ca",
      );
    }
    if (options.roles && options.roles.length > 0) {
      add("INVALID", "roles", "need client certificates", "set cert, key and client_ca");
    }
  } else if (options.plaintext) {
    add("INVALID", "plaintext", "contradicts cert, key and client_ca");
  }
  options.roles?.forEach((role, i) => {
    if (!/^(DNS|URI|email|CN):.+$/.test(role.certificate)) {
      const message = `"${role.certificate}" is not DNS:name, URI:uri, email:address or CN:name`;
      add("INVALID", `roles[${i}].certificate`, message);
    }
  });
  return problems;
}

function isLoopback(address: Uint8Array): boolean {
  if (address.length === 4) return address[0] === 127;
  return address.every((byte, i) => byte === (i === 15 ? 1 : 0));
}
