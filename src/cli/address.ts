/** Where the daemon listens: reading an address, and the default one. */
import { join } from "node:path";
import { usageError } from "./exit.ts";

export interface Target {
  /** As the operator wrote it, or the default; for messages. */
  readonly address: string;
  /** As @grpc/grpc-js wants it. */
  readonly grpc: string;
  readonly tls: boolean;
  /** Path of the Unix socket, when it is one. */
  readonly socketPath?: string;
}

/**
 * Reads `unix:///path`, a bare path, `host:port`, `http://host:port` or `https://host:port`.
 * @throws CliError (usage) when it is none of these
 */
export function parseAddress(address: string): Target {
  if (address.startsWith("unix:") || address.startsWith("/") || address.startsWith("./")) {
    const socketPath = address.replace(/^unix:(\/\/)?/, "");
    if (socketPath === "")
      throw usageError(`"${address}" names no socket`, "example: unix:///var/lib/cairn/grpc.sock");
    return { address, grpc: `unix:${socketPath}`, tls: false, socketPath };
  }
  const match = /^(?:(https?):\/\/)?(\[[0-9a-fA-F:.]+\]|[^/:[\]\s]+):([0-9]{1,5})\/?$/.exec(address);
  if (!match || Number(match[3]) > 65_535 || Number(match[3]) === 0) {
    throw usageError(`"${address}" is not an address`, "use unix:///path, host:port or https://host:port");
  }
  return { address, grpc: `${match[2]}:${match[3]}`, tls: match[1] === "https" };
}

/** The Unix socket in the default state directory of cairnd. */
export function defaultAddress(env: Record<string, string | undefined>, uid: number): string {
  if (uid === 0) return "unix:///var/lib/cairn/grpc.sock";
  const state = env.XDG_STATE_HOME || join(env.HOME || "/", ".local/state");
  return `unix://${join(state, "cairn/grpc.sock")}`;
}
