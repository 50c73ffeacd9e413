import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import type { HttpExpectation, ProbeAnswer, ProbePlan } from "../../dataplane/probe/messages.ts";
import { nativeMissing } from "../native.ts";
import type { StartProbe } from "./probe-socket.ts";
import { probeHttp, probeTcp } from "./stream-probes.ts";

const plain: HttpExpectation = {
  ...{ method: "GET", path: "/", host: "127.0.0.1", body: "", ca: "", anyCertificate: false },
  statuses: [[200, 399]],
};

function ask(start: StartProbe, port: number, http?: Partial<HttpExpectation>): Promise<ProbeAnswer> {
  const plan: ProbePlan = {
    ...{ protocol: http ? "http" : "tcp", target: "127.0.0.1", port, device: "", source: "", mark: 0 },
    ...(http && { http: { ...plain, ...http } }),
  };
  return new Promise((resolve) => start(plan, resolve));
}

describe("probes over TCP", { skip: nativeMissing }, () => {
  let server: http.Server;
  let port = 0;
  let raw: net.Server;
  let rawPort = 0;

  before(async () => {
    server = http.createServer((request, response) => {
      if (request.url === "/moved") response.statusCode = 302;
      if (request.url === "/sick") response.statusCode = 503;
      response.write("all is well");
      // The body never ends: nobody is to wait for that.
      if (request.url === "/long") response.write("x".repeat(1 << 17));
    });
    server.listen(0, "127.0.0.1");
    raw = net.createServer((socket) => socket.on("error", () => undefined).end("SSH-2.0-not-http\r\n"));
    raw.listen(0, "127.0.0.1");
    await Promise.all([once(server, "listening"), once(raw, "listening")]);
    port = (server.address() as AddressInfo).port;
    rawPort = (raw.address() as AddressInfo).port;
  });

  after(() => {
    server.closeAllConnections();
    server.close();
    raw.close();
  });

  it("pass when a connection is accepted, and fail when it is refused", async () => {
    assert.equal((await ask(probeTcp, port)).verdict, "passed");
    const refused = await ask(probeTcp, 1);
    assert.deepEqual([refused.verdict, refused.reason], ["failed", "ECONNREFUSED"]);
  });

  it("pass with the head of an answer, or as soon as the text was seen", async () => {
    for (const expected of [{}, { path: "/moved" }, { body: "is well" }, { path: "/long", body: "well" }]) {
      const { verdict, latencyMs } = await ask(probeHttp, port, expected);
      assert.equal(verdict, "passed", JSON.stringify(expected));
      assert.ok(latencyMs > 0);
    }
  });

  it("fail by status, by text, and when it is no HTTP", async () => {
    const reasons: [Partial<HttpExpectation>, number, string][] = [
      [{ path: "/sick" }, port, "HTTP_STATUS"],
      [{ path: "/moved", statuses: [[200, 299]] }, port, "HTTP_STATUS"],
      [{ path: "/long", body: "all is lost" }, port, "HTTP_BODY"],
      [{}, rawPort, "HTTP_SYNTAX"],
      [{}, 1, "ECONNREFUSED"],
    ];
    for (const [expected, at, reason] of reasons)
      assert.equal((await ask(probeHttp, at, expected)).reason, reason, JSON.stringify(expected));
  });

  it("say nothing after they were given up", async () => {
    let answers = 0;
    const plan: ProbePlan = {
      ...{ protocol: "tcp", target: "127.0.0.1", port, device: "", source: "", mark: 0 },
    };
    probeTcp(plan, () => answers++)();
    probeHttp({ ...plan, http: plain }, () => answers++)();
    // Both had been answered by the time that a third one is.
    await ask(probeHttp, port, {});
    assert.equal(answers, 0);
  });
});
