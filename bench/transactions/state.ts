/** A state directory as a daemon leaves it after a long life, written by the store's own code. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { kinds } from "../../src/state/kinds.ts";
import type { MutationOp } from "../../src/state/mutation.ts";
import { ObjectStore } from "../../src/state/objects.ts";
import type { StoredEvent } from "../../src/state/rows.ts";
import { databaseName, prepareDatabase } from "../../src/store/database.ts";
import { Journal } from "../../src/store/journal.ts";
import { openSql } from "../../src/store/sqlite.ts";
import { dutAs } from "../daemon.ts";
import type { Declared } from "./load.ts";

const eventsPerWrite = 10_000;

export interface Life {
  readonly objects: readonly Declared[];
  readonly events: number;
  /** False as after kill -9: the next start checks the whole database. */
  readonly clean: boolean;
}

export function writeState(dir: string, bgpPort: number, { objects, events, clean }: Life): void {
  mkdirSync(dir, { recursive: true });
  prepareDatabase(dir);
  const journal = new Journal(dir, () => {});
  const global = { asn: dutAs, router_id: "10.99.0.1", listen: [`127.0.0.1:${bgpPort}`] };
  const ops = [{ kind: "Global", spec: global }, ...objects].map(
    ({ kind, spec }): MutationOp => ({ op: "put", kind, spec: fromJson(kinds.get(kind)!.desc, spec) }),
  );
  const rest = { expectedGeneration: 0, dryRun: false, reason: "", requestId: "", principal: "bench" };
  const store = new ObjectStore();
  const prepared = store.prepare({ ops, ...rest, source: "api" }, Date.now());
  if (!prepared.ok) throw new Error(prepared.problems[0].message);
  store.commit(prepared.value);
  const { puts, generation, base } = prepared.value;
  const row = { table: "generation", generation, parent: base, hash: store.hash, time: Date.now() } as const;
  journal.write([{ ...row, principal: "bench", source: "api", reason: "", changes: [], puts, deletes: [] }]);
  for (let from = 1; from <= events; from += eventsPerWrite) {
    const batch = Array.from({ length: Math.min(eventsPerWrite, events - from + 1) }, (_, i) =>
      event(from + i),
    );
    journal.write([{ table: "events", events: batch }]);
  }
  journal.close();
  if (clean) return;
  const sql = openSql(join(dir, databaseName), 0);
  sql.exec("UPDATE meta SET value = '0' WHERE key = 'clean'");
  sql.close();
}

function event(id: number): StoredEvent {
  const object = `Neighbor/10.0.${(id >> 8) & 255}.${id & 255}`;
  const summary = `${object} left Established: hold timer expired`;
  const facts = { reason: "hold timer expired", uptime: String(id) };
  return {
    id,
    time: id,
    topic: "cairn.bgp.session.down",
    object,
    severity: 2,
    summary,
    facts,
    generation: 1,
  };
}
