/**
 * A neighbor with a hold time of 3 s in a thread of its own, so that what the test's own thread is busy with does not
 * count: it sends a KEEPALIVE twice a second and says when its session ended.
 */
import net from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import { keepaliveBytes } from "../../src/wire/keepalive.ts";
import { encodeOpen } from "../../src/wire/open.ts";

const { port, local, asn } = workerData as { port: number; local: string; asn: number };
const socket = net.connect({ host: "127.0.0.1", port, localAddress: local });
let last = "";
socket.on("connect", () => {
  socket.write(encodeOpen({ asn, holdTimeS: 3, routerId: 0x0a00_0008, capabilities: [] }));
  setInterval(() => socket.write(keepaliveBytes), 500);
});
socket.on("data", (bytes: Buffer) => {
  last = bytes.subarray(-40).toString("hex");
});
socket.on("error", (error) => {
  last = error.message;
});
socket.on("close", () => parentPort?.postMessage(last));
