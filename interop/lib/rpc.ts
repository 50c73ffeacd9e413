/** Calls of the API from the suite itself, as JSON over the daemon's socket: a process for each would be slow in a VM. */
import { request } from "node:http";

/** @returns the response. @throws Error with what the daemon said */
export function call<T>(socket: string, method: string, message: unknown, timeoutMs = 60_000): Promise<T> {
  const text = JSON.stringify(message);
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        socketPath: socket,
        path: `/cairn.v1.${method}`,
        method: "POST",
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(text) },
        timeout: timeoutMs,
      },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on("data", (part: Buffer) => parts.push(part));
        answer.on("error", reject);
        answer.on("end", () => {
          const body = Buffer.concat(parts).toString();
          if (answer.statusCode === 200) resolve(JSON.parse(body) as T);
          else reject(new Error(`${method}: ${answer.statusCode} ${body.slice(0, 2000)}`));
        });
      },
    );
    asked.on("timeout", () => asked.destroy(new Error(`${method}: no answer in ${timeoutMs} ms`)));
    asked.on("error", reject);
    asked.end(text);
  });
}
