/** Sockets that are bound to link, mark and address before anything leaves through them. */
import net from "node:net";
import type { ProbeAnswer, ProbePlan } from "../../dataplane/probe/messages.ts";
import { encodeSocketAddress, errnoName, native, nativeMissing, type PollHandle, sys } from "../native.ts";
import { answerOf, blocked, type ProbeStage } from "./probe-errors.ts";

const SO_MARK = 36;

/** Begins a probe. @returns what ends it early; its answer is then not told any more */
export type StartProbe = (plan: ProbePlan, done: (answer: ProbeAnswer) => void) => () => void;

export function isIp6({ target }: ProbePlan): boolean {
  return target.includes(":");
}

/**
 * A socket of our own, bound as the plan says.
 * @param kinds type and protocol to be tried one after the other, while the one before needs a privilege
 * @returns the socket and which kind it is, or why there is none
 */
export function openBound(
  plan: ProbePlan,
  kinds: readonly (readonly [type: number, protocol: number])[],
): { readonly fd: number; readonly kind: number } | ProbeAnswer {
  if (!native) return blocked("NO_ADDON", nativeMissing ?? "the native addon is missing");
  const family = isIp6(plan) ? sys.AF_INET6 : sys.AF_INET;
  let fd = -1;
  let kind = 0;
  let first = 0;
  for (; kind < kinds.length; kind++) {
    fd = native.socket(family, ...kinds[kind]);
    if (fd >= 0) break;
    first ||= fd;
    if (!["EPERM", "EACCES"].includes(errnoName(fd))) break;
  }
  if (fd < 0) return answerOf("open", errnoName(first), plan);
  const failure = bindAll(fd, plan);
  if (!failure) return { fd, kind };
  native.close(fd);
  return failure;
}

function bindAll(fd: number, plan: ProbePlan): ProbeAnswer | undefined {
  const { device, mark, source } = plan;
  const steps: readonly (readonly [stage: ProbeStage, wanted: boolean, call: () => number])[] = [
    [
      "device",
      device !== "",
      () => native!.setsockopt(fd, sys.SOL_SOCKET, sys.SO_BINDTODEVICE, textOf(device)),
    ],
    ["mark", mark !== 0, () => native!.setsockopt(fd, sys.SOL_SOCKET, SO_MARK, markBytes(mark))],
    ["source", source !== "", () => native!.bind(fd, encodeSocketAddress(source, 0)!)],
  ];
  for (const [stage, wanted, call] of steps) {
    const result = wanted ? call() : 0;
    if (result < 0) return answerOf(stage, errnoName(result), plan);
  }
  return undefined;
}

function textOf(name: string): Uint8Array {
  return new TextEncoder().encode(`${name}\0`);
}

/** Marks have 32 bits, and numbers of the addon's integers only 31. */
function markBytes(mark: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(mark).buffer);
}

/** Waits for datagrams on a socket, and lets go of it. */
export class Datagrams {
  readonly #fd: number;
  #poll: PollHandle | undefined;

  /** @param ready called when there is something to receive, also an error */
  constructor(fd: number, ready: () => void) {
    this.#fd = fd;
    const poll = native!.pollOpen(fd, ready);
    if (typeof poll === "object") {
      this.#poll = poll;
      native!.pollSet(poll, sys.READABLE);
    }
  }

  close(): void {
    if (this.#poll) native!.pollClose(this.#poll);
    this.#poll = undefined;
    native!.close(this.#fd);
  }
}

/**
 * A TCP connection on a socket that is bound as the plan says.
 * @param done told when it cannot be made, and when it ends with an error later
 * @returns undefined when there is no socket; `done` was called
 */
export function connectBound(plan: ProbePlan, done: (answer: ProbeAnswer) => void): net.Socket | undefined {
  const opened = openBound(plan, [[sys.SOCK_STREAM, 0]]);
  if (!("fd" in opened)) {
    done(opened);
    return undefined;
  }
  const options = { fd: opened.fd, readable: true, writable: true, manualStart: true };
  let socket: net.Socket;
  try {
    socket = new net.Socket(options);
  } catch (error) {
    native!.close(opened.fd);
    done(answerOf("open", (error as NodeJS.ErrnoException).code ?? "EINVAL", plan));
    return undefined;
  }
  socket.on("error", (error: NodeJS.ErrnoException) =>
    done(answerOf("send", error.code ?? error.message, plan)),
  );
  socket.setNoDelay(true);
  const family = isIp6(plan) ? 6 : 4;
  socket.connect({ host: plan.target, port: plan.port, family, autoSelectFamily: false });
  return socket;
}
