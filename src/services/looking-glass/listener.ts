/**
 * The looking glass: the REST endpoints of birdwatcher that Alice-LG asks, on a listener of their own that can only be
 * read. Docs: docs/looking-glass.md.
 */
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { Writable } from "node:stream";
import { createGzip, constants as zlib } from "node:zlib";
import { parseIp, prefixContains } from "../../base/ip.ts";
import type { Owner } from "../../state/view.ts";
import type { CairnMetrics } from "../metrics.ts";
import { listenTcp, socketOptions } from "../sockets.ts";
import { type AnswerParts, answer } from "./answers.ts";
import { AnswerCache, type CachedAnswer } from "./cache.ts";
import { ClientRates } from "./clients.ts";
import { Refusal, readQuestion } from "./endpoints.ts";
import {
  cacheBytesMax,
  cachedAnswerBytesMax,
  clientsMax,
  collectedMax,
  connectionsMax,
  type LookingGlassOptions,
  pathMax,
  stallMs,
} from "./options.ts";
import { Slices } from "./slices.ts";

export interface LookingGlass {
  /** `host:port`. */
  readonly address: string;
  close(): Promise<void>;
}

export interface LookingGlassHost {
  readonly owner: Owner;
  readonly metrics: CairnMetrics;
  readonly version: string;
  /** Shortens the wait for a client that takes nothing, for tests. */
  readonly stallMs?: number;
}

/** Opens the listener; rejects with a sentence when the address cannot be taken. Port 0 takes a free one. */
export async function startLookingGlass(
  at: { readonly host: string; readonly port: number },
  options: LookingGlassOptions,
  host: LookingGlassHost,
): Promise<LookingGlass> {
  const glass = new Glass(options, host);
  const limits = { headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 15_000 };
  const server = http.createServer(
    { ...limits, ...socketOptions, maxHeaderSize: 8_192, connectionsCheckingInterval: 1_000 },
    (request, response) => void glass.serve(request, response),
  );
  server.maxConnections = connectionsMax;
  server.on("clientError", (_error, socket) => socket.destroy());
  const name = at.host.includes(":") ? `[${at.host}]` : at.host;
  try {
    await listenTcp(server, at.host, at.port);
  } catch (error) {
    throw new Error(`the looking glass cannot listen on ${name}:${at.port}: ${(error as Error).message}`);
  }
  return {
    address: `${name}:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

class Glass {
  private readonly options: LookingGlassOptions;
  private readonly host: LookingGlassHost;
  private readonly parts: AnswerParts;
  private readonly cache: AnswerCache;
  private readonly rates: ClientRates;
  /** Answers that are being made and will go into the cache. */
  private collecting = 0;

  constructor(options: LookingGlassOptions, host: LookingGlassHost) {
    this.options = options;
    this.host = host;
    const { owner, version } = host;
    this.parts = { owner, version, options, slices: new Slices() };
    this.cache = new AnswerCache(cacheBytesMax, options.cacheS * 1000);
    this.rates = new ClientRates(options.ratePerS, clientsMax, () => performance.now());
  }

  async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    // A client that goes away while it is answered is its own affair.
    response.on("error", () => {});
    try {
      await this.answer(request, response);
      this.host.metrics.lookingGlassRequests.inc({ outcome: "answered" });
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal(500, "the answer could not be made");
      if (!(error instanceof Refusal) && !response.destroyed)
        this.host.metrics.lookingGlassRequests.inc({ outcome: "failed" });
      else
        this.host.metrics.lookingGlassRequests.inc({
          outcome: response.destroyed ? "abandoned" : outcomeOf(refusal),
        });
      if (response.headersSent || response.destroyed) response.destroy();
      else refuse(request, response, refusal);
    }
  }

  private async answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const remote = (request.socket.remoteAddress ?? "").replace(/^::ffff:(?=\d+\.)/, "");
    if (!this.isAllowed(remote)) throw new Refusal(403, "this address may not ask");
    if (!this.rates.take(remote)) throw new Refusal(429, "too many requests");
    if (request.method !== "GET" && request.method !== "HEAD")
      throw new Refusal(405, "only GET is possible here");
    const text = request.url ?? "/";
    if (text.length > pathMax) throw new Refusal(414, `the path is longer than ${pathMax} characters`);
    const [path, search = ""] = text.split("?", 2);
    const query = new URLSearchParams(search);
    const question = readQuestion(this.host.owner.view, path, query);
    if (question.kind === "version") {
      response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
      response.end(this.host.version);
      return;
    }
    const nowMs = this.host.owner.wallMs();
    const isUncached = query.get("uncached") === "true";
    query.delete("uncached");
    query.sort();
    const key = `${path}?${query}`;
    const cached = isUncached ? undefined : this.cache.find(key, nowMs);
    // What is wrong with a request is found before the first piece: then it can still be told.
    const pieces = cached ? undefined : answer(this.parts, question);
    const first = pieces ? await pieces.next() : undefined;
    const out = this.begin(request, response);
    if (request.method === "HEAD") {
      await pieces?.return(undefined);
      out.end();
      return;
    }
    await this.write(out, response, this.head(cached?.madeMs ?? nowMs, cached !== undefined));
    if (cached) await this.write(out, response, cached.body);
    else {
      const body = this.collect(isUncached);
      try {
        for (let piece = first!; !piece.done; piece = await pieces!.next()) {
          if (response.destroyed) throw new Refusal(499, "the client went away");
          body?.add(piece.value);
          await this.write(out, response, piece.value);
        }
      } finally {
        if (body) this.collecting--;
      }
      const kept = body?.finish(nowMs);
      if (kept) this.cache.keep(key, kept);
    }
    out.end("}\n");
  }

  /** Keeps an answer that is made, for the cache; undefined when enough are kept at this time. */
  private collect(isUncached: boolean): Body | undefined {
    if (this.options.cacheS === 0 || isUncached || this.collecting >= collectedMax) return undefined;
    this.collecting++;
    return new Body();
  }

  private isAllowed(remote: string): boolean {
    const { allow } = this.options;
    if (allow.length === 0) return true;
    const address = parseIp(remote.split("%")[0]);
    return (
      address !== undefined &&
      allow.some((each) => each.bytes.length === address.length && prefixContains(each, address))
    );
  }

  private begin(request: http.IncomingMessage, response: http.ServerResponse): Writable {
    const type = { "content-type": "application/json; charset=utf-8", vary: "accept-encoding" };
    if (!/\bgzip\b/.test(String(request.headers["accept-encoding"] ?? ""))) {
      response.writeHead(200, type);
      return response;
    }
    response.writeHead(200, { ...type, "content-encoding": "gzip" });
    const gzip = createGzip({ level: zlib.Z_BEST_SPEED });
    gzip.on("error", () => response.destroy());
    response.on("close", () => gzip.destroy());
    gzip.pipe(response);
    return gzip;
  }

  /** The envelope, in the shape of birdwatcher. */
  private head(madeMs: number, isCached: boolean): string {
    const date = new Date(madeMs).toISOString();
    const cachedAt = { date, timezone_type: "UTC", timezone: "UTC" };
    const api = {
      Version: `cairn ${this.host.version}`,
      result_from_cache: isCached,
      cache_status: { cached_at: cachedAt },
    };
    const ttl = new Date(madeMs + this.options.cacheS * 1000).toISOString();
    return `{"api":${JSON.stringify(api)},"ttl":${JSON.stringify(ttl)},"cached_at":${JSON.stringify(date)}`;
  }

  /** Waits until the client takes it. @throws Refusal when it does not, or is gone */
  private async write(out: Writable, response: http.ServerResponse, piece: string | Buffer): Promise<void> {
    if (piece.length === 0 || out.write(piece)) return;
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: Error): void => {
        clearTimeout(timer);
        out.off("drain", done);
        response.off("close", gone);
        if (error) reject(error);
        else resolve();
      };
      const done = (): void => settle();
      const gone = (): void => settle(new Refusal(499, "the client went away"));
      const timer = setTimeout(() => {
        response.destroy();
        settle(new Refusal(408, "the client takes nothing"));
      }, this.host.stallMs ?? stallMs);
      out.once("drain", done);
      response.once("close", gone);
      if (response.destroyed) gone();
    });
  }
}

function outcomeOf({ status }: Refusal): string {
  if (status === 429) return "limited";
  return status >= 500 ? "failed" : "refused";
}

function refuse(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  { status, message }: Refusal,
): void {
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    ...(status === 405 ? { allow: "GET, HEAD" } : {}),
    ...(status === 429 ? { "retry-after": "1" } : {}),
    // Whoever sends a body to where nothing reads it is not waited for.
    ...(status === 405 ? { connection: "close" } : {}),
  });
  response.end(request.method === "HEAD" ? undefined : `${JSON.stringify({ error: message })}\n`);
}

/** Collects an answer for the cache, until it is too large for that. */
class Body {
  private pieces: string[] = [];
  private length = 0;

  add(piece: string): void {
    this.length += piece.length;
    if (this.length <= cachedAnswerBytesMax) this.pieces.push(piece);
    else this.pieces = [];
  }

  finish(madeMs: number): CachedAnswer | undefined {
    if (this.length > cachedAnswerBytesMax) return undefined;
    return { madeMs, body: Buffer.from(this.pieces.join("")) };
  }
}
