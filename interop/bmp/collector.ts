/** A BMP station that takes what it is sent and says nothing: `collector.ts PORT`. What is on the wire is captured. */
import { createServer } from "node:net";

const server = createServer((socket) => {
  socket.on("error", () => {});
  socket.resume();
});
server.listen(Number(process.argv[2]), "0.0.0.0");
