/** Asks GetHealth again and again from a thread of its own; answers a message with how long each took, in milliseconds. */
import http from "node:http";
import { parentPort, workerData } from "node:worker_threads";

const took: number[] = [];
parentPort?.once("message", () => parentPort?.postMessage(took));

const agent = new http.Agent({ keepAlive: true });

function ask(): void {
  const before = performance.now();
  const request = http.request(
    {
      ...{
        socketPath: workerData as string,
        path: "/cairn.v1.ControlService/GetHealth",
        method: "POST",
        agent,
      },
      headers: { "content-type": "application/json" },
    },
    (response) => {
      response.resume();
      response.on("end", () => {
        took.push(performance.now() - before);
        setTimeout(ask, 2);
      });
    },
  );
  request.on("error", () => {}); // the daemon has ended
  request.end("{}");
}

ask();
