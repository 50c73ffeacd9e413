/**
 * Fuzz target: `SERVICE/METHOD JSON` as a request to the real core behind the real services. Every answer is an answer
 * or a refusal with a code for the caller; never INTERNAL, never an exception that ends the daemon.
 */
import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport, type Transport } from "@connectrpc/connect";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { OwnerLoop } from "../../src/runtime/loop.ts";
import { callInterceptor } from "../../src/services/calls.ts";
import { CairnMetrics } from "../../src/services/metrics.ts";
import { serviceRoutes } from "../../src/services/routes.ts";
import { servedMethods } from "../../src/services/testing/harness.ts";
import { WatcherSlots } from "../../src/services/watchers.ts";
import { Core, emptyState } from "../../src/state/core.ts";

const methods = [...servedMethods().values()].filter((method) => method.methodKind !== "bidi_streaming");
/** They end or change the process that the fuzzer runs in, or go on without an end. */
const left = /Shutdown|SetLogLevel|Watch/;

let transport: Transport | undefined;

/** A core without disk and sockets: what it persists is durable at once. */
function start(): Transport {
  const core = Core.create(emptyState, seededRandom(1), performance.now(), Date.now());
  assert.ok(core.ok);
  const loop: OwnerLoop = new OwnerLoop(core.value, {
    tcp: () => {},
    bfd: () => {},
    persist: (seq) => void setImmediate(() => loop.post({ kind: "store.committed", seq })),
    log: () => {},
    exit: () => {},
    turned: () => {},
  });
  running = loop;
  const metrics = new CairnMetrics(loop, "fuzz");
  const watchers = new WatcherSlots();
  metrics.showWatchers(watchers);
  const archive = { read: () => Promise.resolve([]), first: () => Promise.resolve(0) };
  const log = (level: string, message: string, fields: object = {}): void => {
    if (level === "error") lastError = `${message} ${JSON.stringify(fields)}`;
  };
  const control = { setLogLevel: (level: "info") => level };
  const services = { owner: loop, archive, metrics, watchers, log, control, version: "fuzz" };
  return createRouterTransport(serviceRoutes(services as never), {
    router: { interceptors: [callInterceptor(log as never)] },
  });
}

let lastError = "";

let running: OwnerLoop | undefined;

/** Ends the core's timers, so that the process can end. */
export function end(): void {
  running?.stop();
  running = undefined;
  transport = undefined;
}

/** Throws when something that must hold does not. */
export async function target(bytes: Uint8Array): Promise<void> {
  const text = new TextDecoder().decode(bytes);
  const [, name, body] = /^(\S*)\s*([\s\S]*)$/.exec(text)!;
  const method = methods.find((each) => `${each.parent.name}/${each.name}` === name && !left.test(each.name));
  if (!method) return;
  let request: ReturnType<typeof fromJson>;
  try {
    request = fromJson(method.input, JSON.parse(body) as JsonValue);
  } catch {
    return; // refused before any code of ours
  }
  transport ??= start();
  try {
    if (method.methodKind === "unary") {
      await transport.unary(method as never, undefined, 5_000, undefined, request as never);
    } else {
      async function* one(): AsyncGenerator<never> {
        yield request as never;
      }
      const { message } = await transport.stream(method as never, undefined, 5_000, undefined, one());
      for await (const _ of message);
    }
  } catch (error) {
    const { code, message } = ConnectError.from(error);
    const theirs = [Code.Internal, Code.Unknown, Code.DataLoss, Code.DeadlineExceeded, Code.Unimplemented];
    assert.ok(!theirs.includes(code), `${Code[code]} ${message} ${lastError}`);
  }
}

const words = [
  ...[
    "",
    "0",
    "-1",
    "192.0.2.1",
    "192.0.2.0/24",
    "2001:db8::1",
    "::/0",
    "0.0.0.0/0",
    "fe80::1%eth0",
    "10.0.0.1/8",
  ],
  ...[
    "65001",
    "4294967295",
    "4294967296",
    "65001:1",
    "no-export",
    "rt:1:2",
    "accept-all",
    "a",
    "\u0000",
    "é".repeat(300),
  ],
  ...[
    "ipv4-unicast",
    "1s",
    "-1s",
    "315576000000s",
    "18446744073709551615",
    "AAAA",
    "_65001_",
    "(((",
    "[",
    "import",
    "*",
  ],
];

/** A copy of a line with another method, a value, key or subtree replaced, doubled or left out; or bytes changed. */
export function mutate(seed: Uint8Array, random: Random): Uint8Array {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)];
  let [, name, body] = /^(\S*)\s*([\s\S]*)$/.exec(new TextDecoder().decode(seed))!;
  if (random() < 0.1) {
    const method = pick(methods);
    name = `${method.parent.name}/${method.name}`;
  }
  try {
    const request = JSON.parse(body) as JsonValue;
    for (let i = 1 + Math.floor(random() * 3); i > 0; i--) change(request, random, pick);
    if (random() < 0.2 && typeof request === "object" && request && !Array.isArray(request)) {
      const field = pick(
        methods.find((each) => `${each.parent.name}/${each.name}` === name)?.input.fields ?? [],
      );
      if (field) request[field.jsonName] = value(random, pick);
    }
    body = JSON.stringify(request);
  } catch {
    body = "{}";
  }
  if (random() < 0.05) body = body.slice(0, Math.floor(random() * body.length));
  return new TextEncoder().encode(`${name} ${body}`);
}

type Pick = <T>(list: readonly T[]) => T;

function value(random: Random, pick: Pick): JsonValue {
  const choice = random();
  if (choice < 0.5) return pick(words);
  if (choice < 0.7) return pick([0, 1, 2, 3, 255, 65_536, 4_294_967_295, -1, 1.5, 1e21]);
  if (choice < 0.8) return random() < 0.5;
  if (choice < 0.9) return [pick(words), pick(words)];
  return {};
}

/** Changes one place somewhere inside `node`. */
function change(node: JsonValue, random: Random, pick: Pick): void {
  if (typeof node !== "object" || node === null) return;
  if (Array.isArray(node)) {
    const choice = random();
    if (node.length === 0 || choice < 0.2) node.push(value(random, pick));
    else if (choice < 0.4) node.push(structuredClone(pick(node)));
    else {
      const at = Math.floor(random() * node.length);
      if (typeof node[at] === "object" && random() < 0.8) change(node[at], random, pick);
      else node[at] = value(random, pick);
    }
    return;
  }
  const keys = Object.keys(node);
  if (keys.length === 0) return;
  const key = pick(keys);
  if (typeof node[key] === "object" && random() < 0.8) change(node[key], random, pick);
  else if (random() < 0.15) delete node[key];
  else node[key] = value(random, pick);
}
