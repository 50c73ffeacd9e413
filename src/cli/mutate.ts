/** What all changing commands share: their options, the request's fields, and how the change is told. */
import { randomUUID } from "node:crypto";
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { type FieldChange, type ObjectChange, ObjectChange_Action } from "../gen/cairn/v1/types_pb.ts";
import type { Context } from "./context.ts";
import { usageError } from "./exit.ts";
import { safeText } from "./human.ts";
import type { Style } from "./style.ts";
import type { Invocation, Option } from "./tree.ts";

export const mutationOptions: readonly Option[] = [
  { name: "dry-run", help: "Show what would change; change nothing" },
  { name: "reason", value: "TEXT", help: "Why; kept with the generation" },
  { name: "expect-generation", value: "N", help: "Refuse when the generation is no longer N" },
];

/** The fields that every mutating request has. @throws CliError (usage) */
export function mutationFields(invocation: Invocation): {
  expectedGeneration: bigint;
  dryRun: boolean;
  reason: string;
  requestId: string;
} {
  const expected = invocation.option("expect-generation") ?? "0";
  if (!/^\d{1,19}$/.test(expected)) throw usageError(`--expect-generation: "${expected}" is not a number`);
  return {
    expectedGeneration: BigInt(expected),
    dryRun: invocation.flag("dry-run"),
    reason: invocation.option("reason") ?? "",
    requestId: randomUUID(),
  };
}

export interface MutationResponse {
  readonly generation: bigint;
  readonly changes: readonly ObjectChange[];
  readonly warnings?: readonly (string | { readonly object: string; readonly message: string })[];
}

/**
 * Tells what a mutation changed: in JSON the response itself, for people each field old -> new.
 * @param outcome for people, instead of "nothing changed": what was done that is no change of objects
 */
export async function tellMutation<D extends DescMessage>(
  context: Context,
  invocation: Invocation,
  schema: D,
  response: MessageShape<D> & MutationResponse,
  outcome = "",
): Promise<void> {
  if (!context.forPeople) return context.message(schema, response);
  const dry = invocation.flag("dry-run");
  const { out, style } = context;
  for (const warning of response.warnings ?? []) {
    const text = typeof warning === "string" ? warning : `${warning.object}: ${warning.message}`;
    context.note(style.warn(`warning: ${safeText(text)}`));
  }
  if (response.changes.length === 0) {
    if (outcome !== "") out.line(dry ? `dry run: ${outcome}` : outcome);
    else
      out.line(
        `nothing ${dry ? "would change" : "changed"} ${style.dim(`(generation ${response.generation})`)}`,
      );
    return;
  }
  for (const line of changeLines(response.changes, context, dry)) out.line(line);
  out.line(style.dim(dry ? "dry run: nothing was changed" : `generation ${response.generation}`));
}

/** What changed, object by object and field by field. `dry`: would change. */
export function changeLines(
  changes: readonly ObjectChange[],
  { style }: Pick<Context, "style">,
  dry: boolean,
): string[] {
  const lines: string[] = [];
  for (const change of changes) {
    const verb = actionText(change.action, style);
    lines.push(`${safeText(`${change.kind}/${change.name}`)} ${dry ? "would be " : ""}${verb}`);
    const width = Math.max(0, ...change.fields.map(({ path }) => path.length));
    for (const field of change.fields) {
      if (field.path === "") continue;
      const lists = change.action === ObjectChange_Action.UPDATE ? listDifference(field) : undefined;
      if (lists) {
        lines.push(`  ${field.path}`);
        for (const entry of lists.removed) lines.push(`    ${style.bad("-")} ${shortValue(entry)}`);
        for (const entry of lists.added) lines.push(`    ${style.good("+")} ${shortValue(entry)}`);
        continue;
      }
      const values =
        change.action === ObjectChange_Action.UPDATE
          ? `${shortValue(field.oldValue)} -> ${shortValue(field.newValue)}`
          : shortValue(field.newValue || field.oldValue);
      const impact = impactNotes[field.impact];
      lines.push(`  ${field.path.padEnd(width)}  ${values}${impact ? `  ${style.warn(`(${impact})`)}` : ""}`);
    }
  }
  return lines;
}

function actionText(action: ObjectChange_Action, style: Style): string {
  if (action === ObjectChange_Action.CREATE) return style.good("created");
  if (action === ObjectChange_Action.DELETE) return style.bad("deleted");
  return style.warn("updated");
}

/** What came and went between two lists of more than one entry; undefined when order alone changed, or for other values. */
function listDifference(field: FieldChange): { removed: string[]; added: string[] } | undefined {
  const read = (json: string): string[] | undefined => {
    try {
      const value: unknown = json === "" ? [] : JSON.parse(json);
      return Array.isArray(value) ? value.map((entry) => JSON.stringify(entry)) : undefined;
    } catch {
      return undefined;
    }
  };
  const before = read(field.oldValue);
  const after = read(field.newValue);
  if (!before || !after || before.length + after.length <= 2) return undefined;
  const removed = before.filter((entry) => !after.includes(entry));
  const added = after.filter((entry) => !before.includes(entry));
  return removed.length + added.length === 0 ? undefined : { removed, added };
}

const impactNotes: Readonly<Record<string, string>> = {
  refresh: "asks for a route refresh",
  "session-reset": "resets the session",
  restart: "takes effect at the next start",
};

function shortValue(json: string): string {
  const text = safeText(json === "" ? "unset" : json.replace(/^"(\d+(\.\d+)?s)"$/, "$1"));
  return text.length > 200 ? `${text.slice(0, 199)}…` : text;
}
