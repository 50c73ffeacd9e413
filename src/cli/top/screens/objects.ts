/** What is declared and how it stands in the kernel: those that are not as they should be first. */
import { type Kind, type Resource, ResourceService } from "../../../gen/cairn/v1/resource_service_pb.ts";
import { ResourcePhase } from "../../../gen/cairn/v1/resource_types_pb.ts";
import { artifactTable, phaseOf } from "../../commands/resource.ts";
import { humanTime, safeText } from "../../human.ts";
import { listMax, listScreen } from "../list-screen.ts";

interface Objects {
  readonly kinds: readonly Kind[];
  /** Of kinds that ask something of the kernel; the worst first. */
  readonly resources: readonly Resource[];
  /** Objects beyond these. */
  readonly omitted: number;
}

const badness: readonly ResourcePhase[] = [
  ResourcePhase.FAILED,
  ResourcePhase.DEGRADED,
  ResourcePhase.PENDING,
  ResourcePhase.PROGRESSING,
  ResourcePhase.UNSPECIFIED,
  ResourcePhase.SUPPRESSED,
  ResourcePhase.APPLIED,
];

export const objectsScreen = listScreen<Objects, Resource>({
  name: "objects",
  key: "9",
  about: "objects by kind, and how they stand in the kernel",
  everyMs: 2_000,
  ask: async (calls) => {
    const { method } = ResourceService;
    const { kinds } = await calls.call(method.listKinds, {});
    const resources: Resource[] = [];
    let total = 0;
    for (const { kind, objects } of kinds.filter(({ hasStatus, objects }) => hasStatus && objects > 0)) {
      total += objects;
      const room = listMax - resources.length;
      if (room > 0)
        resources.push(...(await calls.call(method.listResources, { kind, pageSize: room })).resources);
    }
    const rank = ({ status }: Resource) => badness.indexOf(status?.phase ?? ResourcePhase.UNSPECIFIED);
    resources.sort((a, b) => rank(a) - rank(b));
    return { kinds, resources, omitted: Math.max(0, total - resources.length) };
  },
  head: ({ kinds, omitted }, style) => {
    const counts = kinds
      .filter(({ objects }) => objects > 0)
      .map(({ kind, objects }) => `${kind} ${objects}`);
    const more = omitted > 0 ? [style.warn(`${omitted} more: cairnctl get KIND`)] : [];
    return [counts.length === 0 ? "nothing is declared" : safeText(counts.join("  ")), ...more, ""];
  },
  rows: ({ resources }) => resources,
  id: idOf,
  empty: "none of them asks anything of the kernel",
  columns: [
    { title: "OBJECT", value: idOf, min: 20 },
    {
      title: "PHASE",
      value: ({ status }) => phaseOf(status)[0],
      tone: ({ status }) => phaseOf(status)[1],
    },
    { title: "SINCE", value: ({ status }) => humanTime(status?.since), drop: 2 },
    {
      title: "ARTIFACTS",
      value: ({ status }) => String(status?.artifacts.length ?? 0),
      align: "right",
      drop: 3,
    },
    { title: "MESSAGE", value: ({ status }) => status?.message ?? "", min: 12, drop: 1 },
  ],
  detail: (resource, style, columns) => {
    const { status } = resource;
    const message = status?.message ? [safeText(`${status.reason} ${status.message}`.trim())] : [];
    const artifacts = status?.artifacts ?? [];
    const values = Object.entries(status?.values ?? {}).map(([name, value]) => `${name} ${value}`);
    return [
      style.bold(safeText(idOf(resource))),
      ...message.map((line) => `  ${line}`),
      ...(values.length > 0 ? [`  ${safeText(values.join(", "))}`] : []),
      ...(artifacts.length > 0 ? artifactTable(artifacts, { style, width: columns }) : []),
    ];
  },
});

function idOf({ metadata }: Resource): string {
  return `${metadata?.kind}/${metadata?.name}`;
}
