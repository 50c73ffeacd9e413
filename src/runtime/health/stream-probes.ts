/** Probes over TCP: that a connection is accepted, and HTTP requests in the clear or over TLS. */
import { readFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import tls from "node:tls";
import type { HttpExpectation, ProbeAnswer, ProbePlan } from "../../dataplane/probe/messages.ts";
import { version } from "../version.ts";
import { answerOf, blocked, failed, passed } from "./probe-errors.ts";
import { connectBound, type StartProbe } from "./probe-socket.ts";

/** What is read of a body. */
const bodyBytesMax = 1 << 16;

export const probeTcp: StartProbe = (plan, done) => {
  const sentMs = performance.now();
  const answer = once(done);
  const socket = connectBound(plan, answer.tell);
  socket?.once("connect", () => {
    answer.tell(passed(performance.now() - sentMs));
    // Nothing was said that the other side would have to be given time for.
    socket.resetAndDestroy();
  });
  return () => {
    answer.stop();
    socket?.destroy();
  };
};

export const probeHttp: StartProbe = (plan, done) => {
  const expected = plan.http!;
  const sentMs = performance.now();
  const answer = once((told) => {
    socket?.destroy();
    done({ ...told, latencyMs: performance.now() - sentMs });
  });
  const socket = connectBound(plan, answer.tell);
  socket?.once("connect", () => {
    const stream = plan.protocol === "https" ? secured(socket, plan, answer.tell) : socket;
    if (stream) request(stream, plan, expected, answer.tell);
  });
  return () => {
    answer.stop();
    socket?.destroy();
  };
};

/** The first of several answers, unless it is stopped before; told when whoever asks has been returned to. */
function once(done: (answer: ProbeAnswer) => void): { tell(answer: ProbeAnswer): void; stop(): void } {
  let isOver = false;
  return {
    tell: (answer) => {
      if (isOver) return;
      isOver = true;
      setImmediate(() => done(answer));
    },
    stop: () => {
      isOver = true;
    },
  };
}

function secured(
  socket: net.Socket,
  plan: ProbePlan,
  tell: (answer: ProbeAnswer) => void,
): tls.TLSSocket | undefined {
  const { host, ca, anyCertificate } = plan.http!;
  const name = host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  let authorities: Buffer | undefined;
  try {
    if (ca !== "") authorities = readFileSync(ca);
  } catch (error) {
    tell(blocked("CA", `the file of authorities cannot be read: ${(error as Error).message}`));
    return undefined;
  }
  const stream = tls.connect({
    socket,
    ...(authorities && { ca: authorities }),
    // An address is no name that may be asked for (RFC 6066 3); the certificate is checked against it all the same.
    ...(net.isIP(name) === 0 && { servername: name }),
    rejectUnauthorized: !anyCertificate,
    checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(name, certificate),
    minVersion: "TLSv1.2",
    ALPNProtocols: ["http/1.1"],
  });
  stream.on("error", (error: NodeJS.ErrnoException) => tell(tlsFailure(error, plan)));
  return stream;
}

function tlsFailure(error: NodeJS.ErrnoException, plan: ProbePlan): ProbeAnswer {
  const code = error.code ?? "TLS";
  if (/^E[A-Z]+$/.test(code)) return answerOf("send", code, plan);
  return failed(code.replace(/^ERR_/, ""), `TLS with ${plan.target} fails: ${error.message.slice(0, 200)}`);
}

function request(
  stream: net.Socket,
  plan: ProbePlan,
  { method, path, host, statuses, body }: HttpExpectation,
  tell: (answer: ProbeAnswer) => void,
): void {
  const asked = http.request({
    createConnection: () => stream,
    method,
    path,
    headers: { host, "user-agent": `cairn/${version}`, accept: "*/*", connection: "close" },
  });
  asked.on("error", (error: NodeJS.ErrnoException) => {
    const code = error.code ?? "HTTP";
    if (/^E[A-Z]+$/.test(code)) tell(answerOf("send", code, plan));
    else
      tell(failed("HTTP_SYNTAX", `${plan.target} does not answer as HTTP: ${error.message.slice(0, 200)}`));
  });
  asked.on("response", (response) => {
    const status = response.statusCode ?? 0;
    if (!statuses.some(([from, to]) => status >= from && status <= to)) {
      tell(failed("HTTP_STATUS", `${plan.target} answers with status ${status}`));
    } else if (body === "") tell(passed(0));
    else expectBody(response, body, plan, tell);
  });
  asked.end();
}

function expectBody(
  response: http.IncomingMessage,
  wanted: string,
  { target }: ProbePlan,
  tell: (answer: ProbeAnswer) => void,
): void {
  let read = Buffer.alloc(0);
  const missing = (): void =>
    tell(failed("HTTP_BODY", `the body that ${target} answers with lacks the text expected`));
  response.on("data", (bytes: Buffer) => {
    read = Buffer.concat([read, bytes.subarray(0, bodyBytesMax - read.length)]);
    if (read.includes(wanted)) tell(passed(0));
    else if (read.length === bodyBytesMax) missing();
  });
  response.on("end", missing);
  response.on("error", missing);
}
