/**
 * Flows of the LAN's client and the server that answers them.
 *
 *   flows.ts serve PORT            tells whoever connects which address it sees, and echoes what comes then
 *   flows.ts long HOST PORT        one connection; prints what the server sees, and each number that came back
 *   flows.ts new HOST PORT MS      a new connection every MS; prints when it began and what the server saw, or why not
 */
import net from "node:net";

const [, , role, ...args] = process.argv;

if (role === "serve") {
  net
    .createServer((socket) => {
      socket.on("error", () => {});
      socket.write(`${String(socket.remoteAddress).replace("::ffff:", "")}\n`);
      socket.pipe(socket);
    })
    .listen(Number(args[0]), "::", () => console.log("ready"));
} else if (role === "long") {
  const socket = net.connect({ host: args[0], port: Number(args[1]) });
  let number = 0;
  let text = "";
  socket.setNoDelay(true);
  socket.on("data", (part) => {
    text += part;
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) console.log(line);
  });
  const timer = setInterval(() => socket.write(`${++number}\n`), 25);
  for (const end of ["error", "end"]) {
    socket.on(end, (error) => {
      clearInterval(timer);
      console.log(`broken: ${error?.code ?? "closed by the server"}`);
      process.exit(1);
    });
  }
} else {
  setInterval(() => {
    const began = Date.now();
    const socket = net.connect({ host: args[0], port: Number(args[1]), timeout: 700 });
    const tell = (what: string): void => {
      console.log(`${began} ${what}`);
      socket.destroy();
    };
    socket.once("data", (bytes) => tell(String(bytes).trim()));
    socket.on("error", (error) => tell((error as NodeJS.ErrnoException).code ?? "error"));
    socket.on("timeout", () => tell("timeout"));
  }, Number(args[2]));
}
