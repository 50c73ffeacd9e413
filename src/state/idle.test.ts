/** A core at rest asks for turns only when a timer of its own is due: a wake-up in the past would be a busy loop. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { GlobalSpecSchema } from "../gen/cairn/v1/global_service_pb.ts";
import { Core, emptyState } from "./core.ts";

const wallMs = 1_700_000_000_000;

for (const dataplane of ["none", "memory", "linux"] as const) {
  test(`a core with dataplane ${dataplane} and nothing to do rests`, () => {
    const made = Core.create(emptyState, () => 0.5, 0, wallMs, dataplane);
    assert.ok(made.ok);
    const core = made.value;
    let nowMs = 1;
    const input = (each: Parameters<Core["handle"]>[0]): boolean => core.handle(each, nowMs, wallMs + nowMs);
    const global = create(GlobalSpecSchema, { asn: 65001, routerId: "192.0.2.1" });
    const rest = { expectedGeneration: 0, dryRun: false, reason: "", requestId: "", principal: "test" };
    input({ kind: "kernel.links", changed: [], gone: [] });
    input({
      kind: "mutate",
      call: 1,
      mutation: { ops: [{ op: "put", kind: "Global", spec: global }], ...rest, source: "api" },
    });
    let turns = 0;
    while (nowMs < 60_000 && turns < 1000) {
      core.turn(nowMs, wallMs + nowMs);
      turns++;
      for (const effect of core.effects.list.splice(0)) {
        if (effect.kind === "store.persist") input({ kind: "store.committed", seq: effect.seq });
      }
      nowMs = core.hasWork() ? nowMs + 1 : Math.max(nowMs + 1, Math.ceil(core.nextWakeMs()));
    }
    assert.ok(turns < 50, `${turns} turns until ${nowMs} ms`);
  });
}
