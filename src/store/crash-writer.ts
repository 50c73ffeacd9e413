/**
 * A process for the crash test: writes one generation after the other and prints the number of each that was
 * acknowledged. Each generation changes two objects and one injected route, which must always agree.
 */
import { writeSync } from "node:fs";
import type { StoreRow } from "../state/rows.ts";
import { openStore } from "./store.ts";

const [dir, count] = process.argv.slice(2);
const store = await openStore(dir);
const start = store.load(0).generation;
let sent = 0;
const done = new Promise<void>((resolve) => {
  store.listen({
    committed: (seq) => {
      writeSync(1, `${start + seq}\n`);
      if (seq === Number(count)) resolve();
      else if (seq === sent) send();
    },
    failed: (_seq, error) => {
      throw new Error(error);
    },
  });
});
send();
await done;
await store.close();

/** A few at a time, so that there are groups and many of them. */
function send(): void {
  for (let i = 0; i < 3 && sent < Number(count); i++) store.persist(++sent, rowsOf(start + sent));
}

function rowsOf(generation: number): StoreRow[] {
  const meta = { generation, created: 1, updated: generation, managedBy: "test" };
  const spec = { value: generation };
  return [
    {
      table: "generation",
      generation,
      time: generation,
      principal: "test",
      source: "api",
      reason: "",
      changes: [],
      puts: [
        { kind: "Policy", name: "a", spec, ...meta },
        { kind: "Policy", name: "b", spec, ...meta },
      ],
      deletes: [{ kind: "Policy", name: "c" }],
    },
    {
      table: "injected",
      put: [{ prefix: "192.0.2.0/24", pathId: 0, path: spec, created: 1, expires: 0, principal: "test" }],
      drop: [{ prefix: "198.51.100.0/24", pathId: 0 }],
    },
    {
      table: "mutation",
      requestId: `r${generation}`,
      principal: "t",
      time: generation,
      digest: "",
      outcome: spec,
    },
  ];
}
