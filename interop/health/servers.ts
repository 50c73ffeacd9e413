/**
 * What probes ask, on all addresses of a namespace: HTTP on 80 and HTTPS on 443 (a body at /, 503 at /sick), DNS on 53
 * (any name). `node servers.ts CERT KEY ADDRESS`, with the address for DNS; prints "ready".
 */
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";

const [cert, key, address] = process.argv.slice(2);
let waiting = 3;

function answer(request: IncomingMessage, response: ServerResponse): void {
  response.statusCode = request.url === "/sick" ? 503 : 200;
  response.end(`all is well at ${request.headers.host}`);
}

function isUp(): void {
  if (--waiting === 0) console.log("ready");
}

http.createServer(answer).listen({ port: 80, host: "::" }, isUp);
https
  .createServer({ cert: readFileSync(cert), key: readFileSync(key) }, answer)
  .listen({ port: 443, host: "::" }, isUp);

// An A record with 192.0.2.53 for whatever is asked, NXDOMAIN for names that begin with "no".
const dns = createSocket({ type: "udp4" });
dns.on("message", (query, from) => {
  const reply = Buffer.from(query);
  const isUnknown = query.subarray(13, 15).toString() === "no";
  reply.writeUInt16BE(isUnknown ? 0x8183 : 0x8180, 2);
  const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 53];
  if (!isUnknown) reply.writeUInt16BE(1, 6);
  dns.send(isUnknown ? reply : Buffer.concat([reply, Buffer.from(record)]), from.port, from.address);
});
dns.bind(53, address, isUp);
