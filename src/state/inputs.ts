/**
 * Everything that reaches the core from outside, as plain data. Clock readings come with each call; live handles are
 * ids. The recorder writes these down and replay feeds them back.
 */

import type { DiscardCount, SessionReport } from "../bfd/table.ts";
import type { FibDump, FibMoved, FibOutcome } from "../dataplane/fib/messages.ts";
import type { Link, RouteAnswer } from "../dataplane/kernel-model.ts";
import type { KernelFact, KernelOutcome } from "../dataplane/kernel-port.ts";
import type { LoggedPacket } from "../dataplane/netlink/packet-log-wire.ts";
import type { ProbeAnswer } from "../dataplane/probe/messages.ts";
import type { RouteNews } from "../dataplane/redistribute/messages.ts";
import type { HostPort } from "../resources/kind.ts";
import type { BmpInput } from "./bmp-inputs.ts";
import type { HostAbilities } from "./kinds/rules.ts";
import type { MrtFileId } from "./mrt/dump-files.ts";
import type { Mutation } from "./mutation.ts";
import type { Operation } from "./operation.ts";
import type { StoredAudit } from "./rows.ts";
import type { RpkiInput } from "./rpki-inputs.ts";

/**
 * Names a TCP connection between core and shell: positive when the core opened it, negative when the shell accepted it.
 * Never reused within a run.
 */
export type ConnId = number;
/** Names an RPC that waits for a reply. */
export type CallId = number;

export interface HostAddress {
  /** Canonical text. */
  readonly address: string;
  /** Length of the on-link prefix. */
  readonly length: number;
  readonly interface: string;
}

/** Why the kernel refused segments (TcpExt counters of /proc/net/netstat). */
export interface RefusedSegments {
  /** TCP MD5: no signature where one was expected, one where none was, and a wrong one. */
  readonly md5Missing: number;
  readonly md5Unexpected: number;
  readonly md5Wrong: number;
  /** TCP-AO: no signature where one was expected, an unknown key id, a wrong signature. */
  readonly aoMissing: number;
  readonly aoUnknownKey: number;
  readonly aoWrong: number;
  /** Too low a TTL (GTSM). */
  readonly ttlTooLow: number;
}

/** What the thread of BFD has to tell. Times of reports are wall-clock milliseconds. */
export interface BfdNewsInput {
  readonly reports: readonly SessionReport[];
  /** `counterStride` numbers for each session whose counters moved. */
  readonly counters: Float64Array;
  /** All counts, when one of them moved. */
  readonly discards: readonly DiscardCount[] | undefined;
  /** What keeps sessions from running; empty when nothing does any more. */
  readonly failures: readonly (readonly [discriminator: number, text: string])[];
}

export type Input =
  | RpkiInput
  | BmpInput
  | {
      readonly kind: "tcp.accepted";
      readonly conn: ConnId;
      /** Canonical address text and ports of both ends. */
      readonly localAddress: string;
      readonly localPort: number;
      readonly remoteAddress: string;
      readonly remotePort: number;
    }
  | {
      readonly kind: "tcp.connected";
      readonly conn: ConnId;
      readonly localAddress: string;
      readonly localPort: number;
    }
  /** The connection ended, or the attempt failed. `error` is the errno name, undefined for a clean end. */
  | { readonly kind: "tcp.closed"; readonly conn: ConnId; readonly error: string | undefined }
  /** Bytes received. The core copies what it wants before `handle` returns; the shell then uses the buffer again. */
  | { readonly kind: "tcp.bytes"; readonly conn: ConnId; readonly bytes: Uint8Array }
  /** The socket has taken bytes: `queued` are still waiting in the shell. */
  | { readonly kind: "tcp.sent"; readonly conn: ConnId; readonly queued: number }
  /** Addresses of the host's interfaces, at start and after each change: for next hops of the other family and third-party next hops. */
  | { readonly kind: "host.addresses"; readonly addresses: readonly HostAddress[] }
  /** A router advertised itself on an interface that is watched; `address` is link-local. */
  | { readonly kind: "link.router"; readonly interface: string; readonly address: string }
  /** Why that interface cannot be watched; empty once it can. */
  | { readonly kind: "link.failed"; readonly interface: string; readonly why: string }
  /** What the host can do to protect sessions, once at start. */
  | { readonly kind: "host.abilities"; readonly abilities: HostAbilities }
  /** Where the API listens beside its Unix sockets, once at start. */
  | { readonly kind: "host.listeners"; readonly api: readonly HostPort[] }
  /** Segments that the kernel has refused since it started, over all connections. Told when they changed. */
  | { readonly kind: "host.refusals"; readonly counts: RefusedSegments }
  /** Links of the kernel that are new or different, and the indexes of those that are gone; all of them at first. */
  | { readonly kind: "kernel.links"; readonly changed: readonly Link[]; readonly gone: readonly number[] }
  /** What the kernel does with packets to next hops that are watched, when first asked and whenever that changes. */
  | { readonly kind: "kernel.routes"; readonly answers: readonly RouteAnswer[] }
  /** One at a time is under way, so that no queue grows. */
  | ({ readonly kind: "bfd.news" } & BfdNewsInput)
  /** Of an MRT file so many bytes still wait for the disk; `bytes` were handed over, and are the core's again. */
  | {
      readonly kind: "mrt.taken";
      readonly file: MrtFileId;
      readonly queued: number;
      readonly bytes: Uint8Array | undefined;
    }
  /** An MRT file is complete, or (with an error) will never be. `path` is where it is, `bytes` its size. */
  | {
      readonly kind: "mrt.closed";
      readonly file: MrtFileId;
      readonly path: string;
      readonly bytes: number;
      readonly error: string;
    }
  | { readonly kind: "mutate"; readonly call: CallId; readonly mutation: Mutation }
  | { readonly kind: "operate"; readonly call: CallId; readonly operation: Operation }
  /** An attempt that was refused before it became a mutation, or an operation, for the audit. */
  | { readonly kind: "audit"; readonly entry: StoredAudit }
  /** How the operations of a batch ended, in their order. What the kernel told of them came before, as facts. */
  | {
      readonly kind: "dataplane.applied";
      readonly batch: number;
      readonly outcomes: readonly KernelOutcome[];
    }
  /** What the kernel holds: changes, or all that concerns us of one class when `all` names it. */
  | {
      readonly kind: "dataplane.facts";
      readonly all: string | undefined;
      readonly facts: readonly KernelFact[];
    }
  /** Answers of the writer of BGP routes, one to each `fib.dump` and `fib.write`; and what it notices. */
  | { readonly kind: "fib.dumped"; readonly dump: FibDump }
  | { readonly kind: "fib.written"; readonly outcome: FibOutcome }
  | { readonly kind: "fib.moved"; readonly moved: FibMoved }
  /** Routes of the kernel that are for BGP came, changed or went. */
  | { readonly kind: "routes.news"; readonly news: RouteNews }
  /** How a probe of a health check ended. */
  | { readonly kind: "health.answered"; readonly probe: number; readonly answer: ProbeAnswer }
  /** Packets that rules have logged, and how many there were besides. */
  | {
      readonly kind: "firewall.logged";
      readonly packets: readonly LoggedPacket[];
      readonly dropped: number;
    }
  /** Why no logged packets come; empty once they do. */
  | { readonly kind: "firewall.log-failed"; readonly why: string }
  /** All rows persisted with a sequence number up to `seq` are durable. */
  | { readonly kind: "store.committed"; readonly seq: number }
  /** Writing failed; rows from `seq` on are not durable. */
  | { readonly kind: "store.failed"; readonly seq: number; readonly error: string };
