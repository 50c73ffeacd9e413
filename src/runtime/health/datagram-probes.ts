/** Probes by datagrams: ICMP echo and DNS. One socket each, connected, so that the kernel tells of errors on the way. */
import { randomBytes } from "node:crypto";
import { encodeQuery, readReply } from "../../dataplane/probe/dns-message.ts";
import { type Echo, encodeEcho, isEchoReply, tokenBytes } from "../../dataplane/probe/echo.ts";
import type { ProbeAnswer, ProbePlan } from "../../dataplane/probe/messages.ts";
import { decodeSocketAddress, encodeSocketAddress, errnoName, native, sys } from "../native.ts";
import { answerOf, failed, passed } from "./probe-errors.ts";
import { Datagrams, isIp6, openBound, type StartProbe } from "./probe-socket.ts";

const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const SOL_RAW = 255;
const ICMP_FILTER = 1;
const IP_RECVERR = 11;
const IPV6_RECVERR = 25;
const echoReply6 = 129;

/** Datagrams read at once before others have their turn. */
const readsMax = 64;
const datagramBytesMax = 4096;
/** Shared: a datagram is looked at and forgotten. */
const buffer = new Uint8Array(datagramBytesMax);
const from = new Uint8Array(sys.SOCKADDR_BYTES);

const identifier = randomBytes(2).readUInt16BE(0);
let sequence = 0;

export const probeIcmp: StartProbe = (plan, done) => {
  const version = isIp6(plan) ? 6 : 4;
  const protocol = version === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
  // Ping sockets (net.ipv4.ping_group_range) need no privilege.
  const opened = openBound(plan, [
    [SOCK_RAW, protocol],
    [SOCK_DGRAM, protocol],
  ]);
  if (!("fd" in opened)) return answerNow(opened, done);
  const { fd } = opened;
  const isRaw = opened.kind === 0;
  if (isRaw) filterReplies(fd, version);
  sequence = (sequence + 1) & 0xffff;
  const echo: Echo = { version, identifier, sequence, token: randomBytes(tokenBytes) };
  return exchange(plan, fd, 0, encodeEcho(echo), done, (length) => {
    const isReply = isEchoReply(buffer, length, echo, isRaw && version === 4, !isRaw);
    return isReply && decodeSocketAddress(from)?.address === plan.target ? "passed" : undefined;
  });
};

/** Of all that comes for ICMP only echo replies. */
function filterReplies(fd: number, version: 4 | 6): void {
  if (version === 4) {
    native!.setsockopt(fd, SOL_RAW, ICMP_FILTER, new Uint8Array(Uint32Array.of(~1).buffer));
    return;
  }
  const blocked = new Uint8Array(32).fill(0xff);
  blocked[echoReply6 >> 3] &= ~(1 << (echoReply6 & 7));
  native!.setsockopt(fd, IPPROTO_ICMPV6, ICMP_FILTER, blocked);
}

export const probeDns: StartProbe = (plan, done) => {
  const expected = plan.dns!;
  const opened = openBound(plan, [[SOCK_DGRAM, 0]]);
  if (!("fd" in opened)) return answerNow(opened, done);
  const id = randomBytes(2).readUInt16BE(0);
  return exchange(plan, opened.fd, plan.port, encodeQuery(expected, id), done, (length) => {
    const reply = readReply(buffer, length, expected, id);
    if (!reply) return undefined;
    return reply.ok ? "passed" : failed(reply.reason, reply.message);
  });
};

function answerNow(answer: ProbeAnswer, done: (answer: ProbeAnswer) => void): () => void {
  const immediate = setImmediate(() => done(answer));
  return () => clearImmediate(immediate);
}

/**
 * Sends one datagram and waits for the one that answers it.
 * @param judge looks at what has come in `buffer`; undefined: it is somebody else's
 */
function exchange(
  plan: ProbePlan,
  fd: number,
  port: number,
  bytes: Uint8Array,
  done: (answer: ProbeAnswer) => void,
  judge: (length: number) => "passed" | ProbeAnswer | undefined,
): () => void {
  const six = isIp6(plan);
  native!.setsockopt(fd, six ? sys.IPPROTO_IPV6 : sys.IPPROTO_IP, six ? IPV6_RECVERR : IP_RECVERR, 1);
  const sentMs = performance.now();
  let result = native!.connect(fd, encodeSocketAddress(plan.target, port)!);
  if (result >= 0) result = native!.send(fd, bytes, 0);
  if (result < 0) {
    native!.close(fd);
    return answerNow(answerOf("send", errnoName(result), plan), done);
  }
  const end = (answer: ProbeAnswer): void => {
    datagrams.close();
    done(answer);
  };
  const datagrams = new Datagrams(fd, () => {
    for (let i = 0; i < readsMax; i++) {
      const length = native!.recv(fd, buffer, 0, from);
      if (length < 0) {
        const error = errnoName(length);
        if (error !== "EAGAIN") end(answerOf("send", error, plan));
        return;
      }
      const verdict = judge(Math.min(length, buffer.length));
      if (verdict === undefined) continue;
      const latencyMs = performance.now() - sentMs;
      end(verdict === "passed" ? passed(latencyMs) : { ...verdict, latencyMs });
      return;
    }
  });
  return () => datagrams.close();
}
