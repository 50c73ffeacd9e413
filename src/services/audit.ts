/**
 * The audit's view of calls: mutations are noted by the owner together with what they do; what is refused before it
 * becomes a mutation, and operations, are noted here.
 */
import {
  ConnectError,
  type ContextKey,
  createContextKey,
  type HandlerContext,
  type Interceptor,
} from "@connectrpc/connect";
import { AccessClass } from "../gen/cairn/v1/options_pb.ts";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import type { Owner } from "../state/view.ts";
import { accessClassOf, peerKey } from "./access.ts";
import { grpcName } from "./calls.ts";
import { callerKey } from "./context.ts";

/** Set when the owner has noted the attempt. */
export const auditedKey: ContextKey<boolean> = createContextKey<boolean>(false, { description: "audited" });

type Call = Pick<HandlerContext, "values" | "method" | "service">;

/** PACKAGE.SERVICE/METHOD. */
export function methodOf({ service, method }: Pick<HandlerContext, "service" | "method">): string {
  return `${service.typeName}/${method.name}`;
}

/** Notes a call of class operate or mutate that the owner has not noted. `error` absent: it was carried out. */
export function auditCall(owner: Owner, call: Call, request: unknown, error?: ConnectError): void {
  const access = accessClassOf(call.method);
  if (access === undefined || access < AccessClass.OPERATE || call.values.get(auditedKey)) return;
  if (access === AccessClass.MUTATE && !error) return;
  call.values.set(auditedKey, true);
  const { reason, requestId, dryRun } = (request ?? {}) as Record<string, unknown>;
  if (dryRun === true) return;
  const [info] = error?.findDetails(ErrorInfoSchema) ?? [];
  owner.audit({
    time: owner.wallMs(),
    principal: call.values.get(callerKey).principal,
    address: call.values.get(peerKey).name,
    method: methodOf(call),
    reason: text(reason),
    requestId: text(requestId),
    accepted: error === undefined,
    code: error ? (info?.reason ?? grpcName(error.code)) : "",
    detail: error?.rawMessage.slice(0, textMax) ?? "",
    generation: owner.view.generation,
  });
}

const textMax = 1_024;

function text(value: unknown): string {
  return typeof value === "string" ? value.slice(0, textMax) : "";
}

/** Notes what reached a handler and was refused there, and operations. */
export function auditInterceptor(owner: Owner): Interceptor {
  return (next) => async (request) => {
    const call = { values: request.contextValues, method: request.method, service: request.service };
    const message = request.stream ? undefined : request.message;
    try {
      const response = await next(request);
      auditCall(owner, call, message);
      return response;
    } catch (reason) {
      auditCall(owner, call, message, ConnectError.from(reason));
      throw reason;
    }
  };
}
