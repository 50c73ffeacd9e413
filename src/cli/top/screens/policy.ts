/** How often each statement of each policy decided, and how often it does now. */
import { PolicyService } from "../../../gen/cairn/v1/policy_service_pb.ts";
import { humanCount } from "../../human.ts";
import { listScreen } from "../list-screen.ts";
import { rateText } from "../text.ts";

interface Row {
  readonly policy: string;
  readonly statement: number;
  readonly name: string;
  readonly hits: bigint;
  /** Hits a second since the last look; undefined at the first one. */
  readonly rate: number | undefined;
}

interface Hits {
  readonly rows: readonly Row[];
  readonly atMs: number;
}

export const policyScreen = listScreen<Hits, Row>({
  name: "policy",
  key: "4",
  about: "policy hits by statement",
  everyMs: 2_000,
  ask: async (calls, previous) => {
    const { policies } = await calls.call(PolicyService.method.getPolicyStats, {});
    const atMs = Date.now();
    const seconds = previous ? (atMs - previous.atMs) / 1000 : 0;
    const before = new Map(previous?.rows.map((row) => [idOf(row), row.hits]));
    const rows = policies.flatMap(({ policy, statements }) =>
      statements.map(({ statement, name, hits }) => {
        const then = before.get(idOf({ policy, statement }));
        const known = then !== undefined && seconds > 0 && hits >= then;
        return { policy, statement, name, hits, rate: known ? Number(hits - then) / seconds : undefined };
      }),
    );
    return { rows, atMs };
  },
  head: () => [],
  rows: ({ rows }) => rows,
  id: idOf,
  empty: "no policies: cairnctl policy set NAME --file FILE",
  columns: [
    { title: "POLICY", value: ({ policy }) => policy, min: 12 },
    {
      title: "STATEMENT",
      value: ({ statement }) => (statement === 0 ? "default" : String(statement)),
      align: "right",
    },
    { title: "NAME", value: ({ name }) => name, min: 8, drop: 1 },
    {
      title: "HITS",
      value: ({ hits }) => humanCount(hits),
      align: "right",
      tone: ({ hits }) => (hits === 0n ? "dim" : undefined),
    },
    {
      title: "HITS/s",
      value: ({ rate }) => (rate === undefined ? "-" : rateText(rate)),
      align: "right",
      tone: ({ rate }) => (rate ? "accent" : "dim"),
    },
  ],
});

function idOf({ policy, statement }: Pick<Row, "policy" | "statement">): string {
  return `${policy} ${statement}`;
}
