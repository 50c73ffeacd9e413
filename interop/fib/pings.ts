/**
 * Pings over UDP, for machines without ping: `pings.ts echo ADDRESS` answers, `pings.ts send ADDRESS COUNT INTERVAL_MS`
 * sends and says how many were answered: ANSWERED/SENT, and the numbers of those that were not.
 */
import dgram from "node:dgram";

const port = 7777;
const [, , role, address, count = "1", intervalMs = "50"] = process.argv;
const socket = dgram.createSocket("udp4");

if (role === "echo") {
  socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address));
  socket.bind(port, address, () => console.log("ready"));
} else {
  const total = Number(count);
  const answered = new Set<number>();
  let sent = 0;
  socket.on("message", (bytes) => answered.add(bytes.readUInt32BE(0)));
  // Where there is no route the sender is told at once: that is a ping without an answer.
  socket.on("error", () => {});
  const timer = setInterval(() => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(sent++, 0);
    socket.send(bytes, port, address, () => {});
    if (sent < total) return;
    clearInterval(timer);
    setTimeout(() => {
      const lost = Array.from({ length: total }, (_, i) => i).filter((i) => !answered.has(i));
      console.log(`${answered.size}/${total}${lost.length > 0 ? ` lost ${lost.join(",")}` : ""}`);
      process.exit();
    }, 1000);
  }, Number(intervalMs));
}
