/** What happens around every call: enum numbers are checked, the end is counted, bugs are logged and hidden. */
import type { DescMessage, Message } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import {
  Code,
  type ContextKey,
  createContextKey,
  type HandlerContext,
  type Interceptor,
} from "@connectrpc/connect";
import type { Problem } from "../base/problem.ts";
import type { Log } from "./context.ts";
import type { CairnMetrics } from "./metrics.ts";
import { errorFor, refusal } from "./problems.ts";

type Count = (code: Code | undefined) => void;
/** Counts the end of the call; only the first time does. */
const countKey: ContextKey<Count> = createContextKey<Count>(() => undefined, { description: "count" });

/** Sees to it that a call is counted even when its request cannot be read or the gate refuses it. */
export function countCall(metrics: CairnMetrics, context: HandlerContext): void {
  let counted = false;
  const count: Count = (code) => {
    if (counted) return;
    counted = true;
    const name = code === undefined ? "OK" : grpcName(code);
    metrics.apiCalls.inc({ method: `${context.service.typeName}/${context.method.name}`, code: name });
  };
  context.values.set(countKey, count);
  const { signal } = context;
  const aborted = (): void => {
    // Connect aborts the signal of every call at its end; making an error of that would cost more than the count.
    if (!counted) count(errorFor(signal.reason).error.code);
  };
  signal.addEventListener("abort", aborted, { once: true });
}

/** The interceptor of every listener. */
export function callInterceptor(log: Log): Interceptor {
  return (next) => async (request) => {
    const count = request.contextValues.get(countKey);
    const fail = (reason: unknown) => {
      const { error, isBug } = errorFor(reason);
      if (isBug) {
        const text = reason instanceof Error ? (reason.stack ?? reason.message) : String(reason);
        log("error", "a call failed by a bug", { method: request.method.name, error: text });
      }
      count(error.code);
      return error;
    };
    async function* counted(messages: AsyncIterable<Message>): AsyncGenerator<Message> {
      let ended = false;
      try {
        yield* messages;
        ended = true;
        count(undefined);
      } catch (reason) {
        ended = true;
        throw fail(reason);
      } finally {
        if (!ended) count(Code.Canceled);
      }
    }
    try {
      if (!request.stream) {
        checkEnums(request.method.input, request.message);
        const response = await next(request);
        count(undefined);
        return response;
      }
      const response = await next({
        ...request,
        message: checkedStream(request.method.input, request.message),
      });
      return response.stream ? { ...response, message: counted(response.message) } : response;
    } catch (reason) {
      throw fail(reason);
    }
  };
}

async function* checkedStream(desc: DescMessage, messages: AsyncIterable<Message>): AsyncGenerator<Message> {
  for await (const message of messages) {
    checkEnums(desc, message);
    yield message;
  }
}

/** Throws the refusal when an enum field holds a number that the schema does not know. */
export function checkEnums(desc: DescMessage, message: Message): void {
  if (!hasEnums(desc)) return;
  const problems: Problem[] = [];
  collect(reflect(desc, message), "", problems);
  if (problems.length > 0) throw refusal(problems);
}

function collect(message: ReflectMessage, at: string, problems: Problem[]): void {
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    const path = at + field.name;
    const check = (value: unknown, where: string): void => {
      if (field.enum) {
        if (field.enum.value[Number(value)]) return;
        const names = field.enum.values.filter(({ number }) => number !== 0).map(({ name }) => name);
        const fix = `use one of ${names.join(", ")}`;
        problems.push({
          code: "INVALID",
          path: where,
          message: `${value} has no meaning`,
          fix,
          value: String(value),
        });
      } else if (field.message && hasEnums(field.message)) {
        collect(value as ReflectMessage, `${where}.`, problems);
      }
    };
    if (field.fieldKind === "list") {
      let i = 0;
      for (const value of message.get(field)) check(value, `${path}[${i++}]`);
    } else if (field.fieldKind !== "map") check(message.get(field), path);
  }
}

const enumCache = new Map<DescMessage, boolean>();

function hasEnums(desc: DescMessage): boolean {
  let known = enumCache.get(desc);
  if (known === undefined) {
    enumCache.set(desc, false);
    // A Struct is JSON; its only enum stands for null.
    known =
      !desc.typeName.startsWith("google.protobuf.") &&
      desc.fields.some((field) => field.enum || (field.message && hasEnums(field.message)));
    enumCache.set(desc, known);
  }
  return known;
}

/** The code as gRPC writes it: INVALID_ARGUMENT. */
export function grpcName(code: Code): string {
  return Code[code].replaceAll(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
