/**
 * Between Node's HTTP servers (1.1 and 2) and connect's handlers. Connect ships an adapter, which we do not use: it
 * logs every cancelled call to the console, throws out of the request event when a client sends an authority that is
 * not a host name (gRPC clients on Unix sockets do), and never ends a response whose reader went away while it was
 * blocked. Bodies are written as they are taken: a slow reader stops the handler's generator.
 */
import { once } from "node:events";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { ConnectRouter, ConnectRouterOptions, Interceptor } from "@connectrpc/connect";
import {
  Code,
  ConnectError,
  type ContextValues,
  createConnectRouter,
  createContextValues,
} from "@connectrpc/connect";
import type {
  UniversalHandler,
  UniversalServerRequest,
  UniversalServerResponse,
} from "@connectrpc/connect/protocol";

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;
export type RequestListener = (request: NodeRequest, response: NodeResponse) => void;

export interface AdapterOptions {
  readonly routes: (router: ConnectRouter) => void;
  readonly interceptors: Interceptor[];
  readonly requestGate: NonNullable<ConnectRouterOptions["requestGate"]>;
  readonly shutdownSignal: AbortSignal;
  /** Bytes of the largest message that is read. */
  readonly readMaxBytes: number;
  /** Puts what the socket tells about the peer into the values of the call. */
  readonly describePeer: (request: NodeRequest, values: ContextValues) => void;
}

/** A request listener that serves `routes` over gRPC, gRPC-Web and Connect. */
export function nodeAdapter(options: AdapterOptions): RequestListener {
  const { interceptors, requestGate, shutdownSignal, readMaxBytes } = options;
  const router = createConnectRouter({
    interceptors,
    requestGate,
    shutdownSignal,
    readMaxBytes,
    acceptCompression: [],
    // A misspelt field must not be ignored: the caller would think that it took effect.
    jsonOptions: { ignoreUnknownFields: false },
  });
  options.routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return (request, response) => {
    const handler = handlers.get((request.url ?? "").split("?", 1)[0]);
    // HTTP/2 responses have the interface of HTTP/1.1 ones, only the types differ.
    const answer = response as ServerResponse;
    if (handler) void serve(handler, request, answer, options.describePeer);
    else endEmpty(answer, 404);
  };
}

async function serve(
  handler: UniversalHandler,
  request: NodeRequest,
  response: ServerResponse,
  describePeer: AdapterOptions["describePeer"],
): Promise<void> {
  const ended = new AbortController();
  response.once("close", () => {
    if (!response.writableEnded) ended.abort(new ConnectError("the client went away", Code.Canceled));
  });
  // An error is followed by close; without a listener it would end the process.
  request.on("error", ignore);
  response.on("error", ignore);
  let answer: UniversalServerResponse;
  try {
    const values = createContextValues();
    describePeer(request, values);
    answer = await handler(universalRequest(request, values, ended.signal));
  } catch {
    // Connect answers errors of calls itself; what is left are requests that are not HTTP as it should be.
    endEmpty(response, 400);
    return;
  }
  try {
    await writeAnswer(answer, response, ended.signal);
  } catch {
    response.destroy();
  }
}

function universalRequest(
  request: NodeRequest,
  values: ContextValues,
  signal: AbortSignal,
): UniversalServerRequest {
  return {
    httpVersion: request.httpVersion,
    method: request.method ?? "",
    // Only path and query matter to handlers; the authority is the client's own business.
    url: `http://cairn${request.url ?? "/"}`,
    header: webHeaders(request.headers),
    body: bodyOf(request),
    signal,
    contextValues: values,
  };
}

/** The chunks of the body. Ending early leaves the connection alone: the answer still has to go out on it. */
async function* bodyOf(request: NodeRequest): AsyncGenerator<Uint8Array> {
  try {
    yield* request.iterator({ destroyOnReturn: false });
  } catch (error) {
    throw new ConnectError("the client went away", Code.Canceled, undefined, undefined, error);
  }
}

function webHeaders(headers: IncomingHttpHeaders): Headers {
  const result = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(":") || value === undefined) continue;
    for (const one of typeof value === "string" ? [value] : value) result.append(name, one);
  }
  return result;
}

/** Writes chunk by chunk; returns when everything is handed over or the client is gone. */
async function writeAnswer(
  answer: UniversalServerResponse,
  response: ServerResponse,
  gone: AbortSignal,
): Promise<void> {
  const chunks = answer.body?.[Symbol.asyncIterator]();
  try {
    if (gone.aborted) return;
    response.writeHead(answer.status, nodeHeaders(answer.header));
    for (;;) {
      const chunk = await chunks?.next();
      if (gone.aborted) return;
      if (!chunk || chunk.done) break;
      if (!response.write(chunk.value)) {
        await once(response, "drain", { signal: gone }).catch(ignore);
        if (gone.aborted) return;
      }
    }
    if (answer.trailer) response.addTrailers(nodeHeaders(answer.trailer));
    response.end();
  } finally {
    // Ends the handler's generator when the client left before its end.
    if (gone.aborted) await chunks?.throw?.(gone.reason).catch(ignore);
    await chunks?.return?.().catch(ignore);
  }
}

function nodeHeaders(headers: Headers | undefined): Record<string, string> {
  const result: Record<string, string> = {};
  headers?.forEach((value, name) => {
    result[name] = name === "grpc-message" ? grpcMessage(value) : value;
  });
  return result;
}

/**
 * Encodes a status message as the gRPC protocol asks: only what is not printable ASCII, and %. Connect encodes
 * punctuation too, which grpc-js then shows to people as it is.
 */
function grpcMessage(encoded: string): string {
  return decodeURIComponent(encoded).replaceAll(/[^ -$&-~]+/g, (text) => {
    return [...Buffer.from(text)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
      .join("");
  });
}

function endEmpty(response: ServerResponse, status: number): void {
  if (response.headersSent || response.writableEnded) return;
  response.writeHead(status, {});
  response.end();
}

function ignore(): void {}
