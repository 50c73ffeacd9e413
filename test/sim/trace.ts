/**
 * What reached the cores of a world, in order, as JSON lines: enough to run the same cores again without network,
 * disks or dice. Bytes are base64; objects are proto3 JSON.
 */
import { type DescMessage, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { InjectedPathSchema } from "../../src/gen/cairn/v1/injection_service_pb.ts";
import type { Input } from "../../src/state/inputs.ts";
import type { Dataplane } from "../../src/state/kernel-watch.ts";
import { kinds } from "../../src/state/kinds.ts";
import type { Mutation, MutationOp } from "../../src/state/mutation.ts";
import type { StoredState } from "../../src/state/rows.ts";

export type Entry =
  | {
      readonly t: "start";
      readonly s: number;
      readonly now: number;
      readonly wall: number;
      readonly seed: number;
      readonly stored: StoredState;
      readonly dataplane: Dataplane;
    }
  | {
      readonly t: "input";
      readonly s: number;
      readonly now: number;
      readonly wall: number;
      readonly input: Input;
    }
  | {
      readonly t: "turn";
      readonly s: number;
      readonly n: number;
      readonly now: number;
      readonly wall: number;
      readonly budget: number;
    }
  | { readonly t: "crash"; readonly s: number }
  | {
      readonly t: "watch";
      readonly s: number;
      readonly id: number;
      readonly family: number;
      readonly resume: number;
    }
  | { readonly t: "watch.next"; readonly s: number; readonly id: number; readonly max: number }
  | { readonly t: "watch.close"; readonly s: number; readonly id: number }
  | { readonly t: "end"; readonly n: number; readonly hash: string; readonly failure: string };

export function encodeEntry(entry: Entry): string {
  if (entry.t !== "input") return JSON.stringify(entry);
  return JSON.stringify({ ...entry, input: encodeInput(entry.input) });
}

export function decodeEntry(line: string): Entry {
  const entry = JSON.parse(line) as Entry;
  if (entry.t !== "input") return entry;
  return { ...entry, input: decodeInput(entry.input as unknown as Record<string, JsonValue>) };
}

function encodeInput(input: Input): unknown {
  if (input.kind === "tcp.bytes") return { ...input, bytes: Buffer.from(input.bytes).toString("base64") };
  if (input.kind === "kernel.links" || input.kind === "kernel.routes") {
    return JSON.parse(
      JSON.stringify(input, (_, part) =>
        part instanceof Uint8Array ? { base64: Buffer.from(part).toString("base64") } : part,
      ),
    );
  }
  if (input.kind !== "mutate") return input;
  return { ...input, mutation: { ...input.mutation, ops: input.mutation.ops.map(encodeOp) } };
}

function decodeInput(json: Record<string, JsonValue>): Input {
  if (json.kind === "tcp.bytes") {
    return {
      ...json,
      bytes: new Uint8Array(Buffer.from(json.bytes as string, "base64")),
    } as unknown as Input;
  }
  if (json.kind === "kernel.links" || json.kind === "kernel.routes") {
    return JSON.parse(JSON.stringify(json), (_, part) =>
      typeof part?.base64 === "string" ? new Uint8Array(Buffer.from(part.base64, "base64")) : part,
    ) as Input;
  }
  if (json.kind !== "mutate") return json as unknown as Input;
  const mutation = json.mutation as unknown as Mutation;
  const ops = (mutation.ops as unknown as Record<string, JsonValue>[]).map(decodeOp);
  return { ...(json as unknown as Extract<Input, { kind: "mutate" }>), mutation: { ...mutation, ops } };
}

function encodeOp(op: MutationOp): unknown {
  if (op.op === "inject") return { ...op, path: toJson(InjectedPathSchema, op.path) };
  if (op.op === "put" || op.op === "patch") return { ...op, spec: toJson(descOf(op.kind), op.spec) };
  return op;
}

function decodeOp(json: Record<string, JsonValue>): MutationOp {
  if (json.op === "inject") return { op: "inject", path: fromJson(InjectedPathSchema, json.path) };
  if (json.op === "put" || json.op === "patch") {
    return { ...json, spec: fromJson(descOf(json.kind as string), json.spec) } as unknown as MutationOp;
  }
  return json as unknown as MutationOp;
}

function descOf(kind: string): DescMessage {
  return kinds.get(kind)!.desc;
}
