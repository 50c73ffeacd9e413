/** What a mutation does to injected routes, worked out before anything is done. */
import { limits } from "../base/limits.ts";
import type { Problem } from "../base/problem.ts";
import type { InjectedFlowSpec, InjectedPath } from "../gen/cairn/v1/injection_service_pb.ts";
import { checkInjectedFlow } from "./flowspec/flow-message.ts";
import type { Injection } from "./injection.ts";
import { type CheckedPath, checkInjectedPath } from "./injection-parse.ts";
import type { Mutation, MutationOp } from "./mutation.ts";
import { readName, shownName, storedName } from "./route-name.ts";
import type { StoreRow } from "./rows.ts";

/** What a mutation does to injected routes. Of several ops on one path the last counts: the rest are `present`. */
export interface InjectionPlan {
  readonly puts: {
    readonly path: CheckedPath;
    readonly message: InjectedPath | InjectedFlowSpec;
    present: boolean;
  }[];
  /** Prefixes and rules as the store knows them. */
  readonly drops: { readonly prefix: string; readonly pathId: number }[];
  unchanged: number;
}

export class InjectionPlanner {
  private readonly injection: Injection;
  /**
   * Paths that parked changes put or drop, with how many of them. What is in the table says nothing about these: an op
   * on one is always carried out, behind those before it.
   */
  private readonly inFlight = new Map<string, number>();

  constructor(injection: Injection) {
    this.injection = injection;
  }

  /** A change with these rows is under way. */
  began(rows: readonly StoreRow[]): void {
    for (const key of keysOf(rows)) this.inFlight.set(key, (this.inFlight.get(key) ?? 0) + 1);
  }

  /** It is no longer. */
  landed(rows: readonly StoreRow[]): void {
    for (const key of keysOf(rows)) {
      const left = this.inFlight.get(key)! - 1;
      if (left > 0) this.inFlight.set(key, left);
      else this.inFlight.delete(key);
    }
  }

  /** Works out what to do; what is wrong is added to `problems`. */
  plan(mutation: Mutation, problems: Problem[]): InjectionPlan {
    const plan: InjectionPlan = { puts: [], drops: [], unchanged: 0 };
    /** What takes back what an earlier op of this mutation meant for a path. */
    const undo = new Map<string, () => void>();
    let number = 0;
    for (const op of mutation.ops) {
      if (op.op === "inject") {
        const checked = checkInjectedPath(op.path, mutation.ops.length === 1 ? "path" : `add[${number}]`);
        number++;
        if (!checked.ok) problems.push(...checked.problems);
        else this.planPut(plan, checked.value, op.path, undo);
      } else if (op.op === "inject-flow") {
        const checked = checkInjectedFlow(op.flowSpec, "flow_spec");
        if (!checked.ok) problems.push(...checked.problems);
        else this.planPut(plan, checked.value, op.flowSpec, undo);
      } else if (op.op === "retract") this.planDrop(plan, op, mutation, undo, problems);
    }
    if (this.injection.wouldOverflow(plan.puts.length)) {
      const message = `at most ${limits.injectedMax} routes can be injected`;
      problems.push({ code: "LIMIT", path: "add", message });
    }
    if (plan.puts.some(({ path }) => !this.injection.hasRoom(path))) {
      const message = "there is no room for more rules";
      problems.push({ code: "LIMIT", path: "flow_spec.rule", message });
    }
    return plan;
  }

  private planPut(
    plan: InjectionPlan,
    path: CheckedPath,
    message: InjectedPath | InjectedFlowSpec,
    undo: Map<string, () => void>,
  ): void {
    const key = pathKey(storedName({ ...path, bytes: path.address }), path.pathId);
    const again = undo.get(key);
    again?.();
    const present = !again && !this.inFlight.has(key) && this.injection.isPresent(path);
    if (present) plan.unchanged++;
    const put = { path, message, present };
    plan.puts.push(put);
    undo.set(key, () => {
      put.present = true;
    });
  }

  private planDrop(
    plan: InjectionPlan,
    op: Extract<MutationOp, { op: "retract" }>,
    mutation: Mutation,
    undo: Map<string, () => void>,
    problems: Problem[],
  ): void {
    const name = readName(op.prefix);
    const drop = { prefix: name ? storedName(name) : op.prefix, pathId: op.pathId };
    const key = pathKey(drop.prefix, op.pathId);
    if (mutation.source === "expiry" && this.inFlight.has(key)) {
      // Somebody has just put it anew, or taken it back; if not, its time comes up again.
      plan.unchanged++;
      return;
    }
    const again = undo.get(key);
    again?.();
    if (again || this.inFlight.has(key) || this.injection.has(op.prefix, op.pathId)) {
      plan.drops.push(drop);
      undo.set(key, () => {
        const at = plan.drops.indexOf(drop);
        if (at >= 0) plan.drops.splice(at, 1);
      });
    } else if (mutation.ops.length === 1 && mutation.source !== "expiry") {
      const text = name ? shownName(name) : op.prefix;
      const what = op.pathId === 0 ? text : `${text} with path id ${op.pathId}`;
      const isRule = name?.family.nlri === "flow";
      const message = isRule ? `no rule ${what} was injected` : `no route to ${what} was injected`;
      problems.push({ code: "NOT_FOUND", path: isRule ? "rule" : "prefix", message });
    } else plan.unchanged++;
  }
}

function pathKey(prefix: string, pathId: number): string {
  return `${prefix} ${pathId}`;
}

/** Keys of the paths that rows put or drop. */
function* keysOf(rows: readonly StoreRow[]): Generator<string> {
  for (const row of rows) {
    if (row.table !== "injected") continue;
    for (const { prefix, pathId } of row.put) yield pathKey(prefix, pathId);
    for (const { prefix, pathId } of row.drop) yield pathKey(prefix, pathId);
  }
}
