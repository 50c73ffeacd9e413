/** Services over a fake owner, in this process or on sockets, for the tests of this folder. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import {
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  type DescService,
  fromJson,
  type JsonValue,
  type Message,
  toJson,
} from "@bufbuild/protobuf";
import { ConnectError, createRouterTransport, type Transport } from "@connectrpc/connect";
import { noTranslations } from "../../state/translation-message.ts";
import { auditInterceptor } from "../audit.ts";
import { callInterceptor } from "../calls.ts";
import type { ConfigText, LogLevel, ServiceContext } from "../context.ts";
import type { ListenerOptions } from "../listener-options.ts";
import { CairnMetrics } from "../metrics.ts";
import { servedServices, serviceRoutes } from "../routes.ts";
import { type RunningServices, type ServicesOptions, startServices } from "../server.ts";
import { WatcherSlots } from "../watchers.ts";
import { FakeOwner, type FakeOwnerOptions } from "./fake-owner.ts";

/** Files of any text declare nothing. */
const noConfigText: ConfigText = {
  parse: () => Promise.resolve({ objects: [], problems: [], locate: () => Promise.resolve([]) }),
  write: () => "",
};

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}

export interface Harness {
  readonly owner: FakeOwner;
  readonly services: ServiceContext;
  readonly transport: Transport;
  readonly logLines: LogLine[];
  readonly logLevels: LogLevel[];
}

/** All services in this process, without sockets and without a gate. */
export function inProcess(options: FakeOwnerOptions = {}): Harness {
  const owner = new FakeOwner(options);
  const { logLines, logLevels, log, control } = process();
  const watchers = new WatcherSlots();
  const metrics = new CairnMetrics(owner, "0.0.0-test");
  metrics.showWatchers(watchers);
  const { archive, history } = owner;
  const shared = { owner, archive, history, configText: noConfigText, metrics, watchers };
  const services = { ...shared, log, control, version: "0.0.0-test", translations: noTranslations };
  const transport = createRouterTransport(serviceRoutes(services), {
    router: { interceptors: [callInterceptor(log), auditInterceptor(owner)] },
  });
  return { owner, services, transport, logLines, logLevels };
}

/** All services on listeners; closed when the test ends. */
export async function onSockets(
  t: TestContext,
  listeners: readonly ListenerOptions[],
  options: FakeOwnerOptions & Partial<ServicesOptions> = {},
): Promise<{ owner: FakeOwner; running: RunningServices; logLines: LogLine[]; metrics: CairnMetrics }> {
  const owner = new FakeOwner(options);
  const { logLines, log, control } = process();
  const metrics = new CairnMetrics(owner, "0.0.0-test");
  const { archive, history } = owner;
  const shared = { owner, archive, history, configText: noConfigText, metrics };
  const base = { ...shared, log, control, version: "0.0.0-test", translations: noTranslations };
  const running = await startServices({ ...base, listeners, filePollMs: 20, ...options });
  t.after(() => running.close(100));
  return { owner, running, logLines, metrics };
}

/** A directory that is removed when the test ends. */
export function scratchDirectory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "cairn-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Every method served, as `package.Service/Method`. */
export function servedMethods(): Map<string, DescMethod> {
  const methods = servedServices.flatMap((service: DescService) => service.methods);
  return new Map(methods.map((method) => [`${method.parent.typeName}/${method.name}`, method]));
}

/** Calls a method with JSON messages, whatever its kind; answers with the JSON messages that came back. */
export async function call(
  transport: Transport,
  name: string,
  ...requests: JsonValue[]
): Promise<JsonValue[]> {
  const method = servedMethods().get(name);
  if (!method) throw new Error(`there is no ${name}`);
  const messages = requests.map((request) => fromJson(method.input, request));
  if (method.methodKind === "unary") {
    const response = await transport.unary(
      method as DescMethodUnary,
      undefined,
      undefined,
      undefined,
      messages[0],
    );
    return [toJson(method.output, response.message)];
  }
  async function* input(): AsyncGenerator<Message> {
    yield* messages;
  }
  const response = await transport.stream(
    method as DescMethodStreaming,
    undefined,
    undefined,
    undefined,
    input(),
  );
  const answers: JsonValue[] = [];
  for await (const message of response.message) answers.push(toJson(method.output, message));
  return answers;
}

/** The error that the call ends with. */
export async function failure(calling: Promise<unknown>): Promise<ConnectError> {
  try {
    await calling;
  } catch (error) {
    if (error instanceof ConnectError) return error;
    throw error;
  }
  throw new Error("the call was answered instead of refused");
}

function process() {
  const logLines: LogLine[] = [];
  const logLevels: LogLevel[] = ["info"];
  const log: ServiceContext["log"] = (level, message, fields = {}) =>
    void logLines.push({ level, message, fields });
  const control: ServiceContext["control"] = {
    linkCounters: () => new Map([["eth0", { rxBytes: 7n, txBytes: 9n }]]),
    setLogLevel(level) {
      logLevels.push(level);
      return logLevels[logLevels.length - 2];
    },
  };
  return { logLines, logLevels, log, control };
}
