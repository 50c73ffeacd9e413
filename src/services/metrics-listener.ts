/** The telemetry listener: /metrics for Prometheus, /livez and /readyz for whoever supervises the process. */
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { Owner } from "../state/view.ts";
import type { CairnMetrics } from "./metrics.ts";
import { listenTcp } from "./sockets.ts";

export interface MetricsListener {
  /** `host:port`. */
  readonly address: string;
  close(): Promise<void>;
}

/** Opens the listener; rejects with a sentence when the address cannot be taken. Port 0 takes a free one. */
export async function startMetricsListener(options: {
  readonly address: string;
  readonly port: number;
  readonly owner: Owner;
  readonly metrics: CairnMetrics;
}): Promise<MetricsListener> {
  const { address, port, owner, metrics } = options;
  const server = http.createServer(async (request, response) => {
    const answer = (status: number, text: string, type = "text/plain; charset=utf-8"): void => {
      response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
      response.end(request.method === "HEAD" ? undefined : text);
    };
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      return answer(405, "only GET is possible here\n");
    }
    switch ((request.url ?? "").split("?", 1)[0]) {
      case "/metrics":
        return answer(200, await metrics.text(), "text/plain; version=0.0.4; charset=utf-8");
      case "/livez":
        return answer(200, "ok\n");
      case "/readyz": {
        const ill = owner.view.health().filter((subsystem) => !subsystem.healthy);
        if (ill.length === 0) return answer(200, "ok\n");
        return answer(503, ill.map(({ name, detail }) => `${name}: ${detail}\n`).join(""));
      }
      default:
        return answer(404, "try /metrics, /livez or /readyz\n");
    }
  });
  const host = address.includes(":") ? `[${address}]` : address;
  try {
    await listenTcp(server, address, port);
  } catch (error) {
    throw new Error(`cannot listen for metrics on ${host}:${port}: ${(error as Error).message}`);
  }
  return {
    address: `${host}:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
