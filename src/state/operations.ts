/** Operations: what an operator does to what is running. Nothing declared changes. */
import { canonicalPeer } from "../base/peer-address.ts";
import type { Problem } from "../base/problem.ts";
import type { SimulatedKernel } from "../dataplane/simulated-kernel.ts";
import { type Family, familyByName } from "../wire/family.ts";
import type { Core } from "./core.ts";
import { familiesOf } from "./importer.ts";
import type { Operation, OperationOutcome } from "./operation.ts";

const done: OperationOutcome = { ok: true };

export function operate(core: Core, operation: Operation): OperationOutcome {
  if (operation.op === "simulate-kernel") return simulate(core, operation.kernel);
  if (operation.op === "shutdown" || operation.op === "mrt-dump") return done;
  if (operation.op === "clear-damping") return clearDamping(core, operation);
  if (operation.op === "translations-evicted") return evicted(core, operation);
  if (operation.op === "rpki-refresh") {
    if (core.validation.rpki.refresh(operation.name, operation.reset)) return done;
    return refused("NOT_FOUND", "name", `there is no RPKI cache ${operation.name} that is not shut down`);
  }
  if (operation.op === "egress-pin") return pin(core, operation);
  const record = core.neighbors.named(canonicalPeer(operation.address));
  if (!record) return refused("NOT_FOUND", "address", `there is no neighbor ${operation.address}`);
  switch (operation.op) {
    case "hard-reset":
      core.sessions.hardReset(record.id, operation.message, core.nowMs);
      core.neighbors.restarts.drop(record, "the session was reset by an operator");
      return done;
    case "forget":
      if (core.dynamic.remove(record.config.address, "removed by an operator")) return done;
      return refused("WRONG_STATE", "address", `${operation.address} is declared, not dynamic`);
    case "clear-hold":
      core.sessions.clearHold(record.id, core.nowMs);
      return done;
    default:
  }
  if (!record.negotiated) {
    return refused("WRONG_STATE", "address", `the session with ${operation.address} is not established`);
  }
  const negotiated = familiesOf(record.negotiated.families);
  const chosen: Family[] = operation.families.length === 0 ? negotiated : [];
  for (const name of operation.families) {
    const family = familyByName(name);
    if (!family || !negotiated.includes(family)) {
      return refused("WRONG_STATE", "families", `${name} is not negotiated with ${operation.address}`);
    }
    chosen.push(family);
  }
  if (operation.op === "soft-reset-out") {
    for (const family of chosen)
      if (!core.outboundFilters.release(record, family)) core.refreshes.resend(record, family);
    return done;
  }
  if (!operation.refresh && record.config.softReconfiguration) {
    core.neighbors.reimport(record, chosen);
    return done;
  }
  const silent = core.neighbors.askAgain(record, chosen);
  if (silent.length === 0) return done;
  return refused("WRONG_STATE", "refresh", `${operation.address} does not offer route refresh`);
}

function clearDamping(
  core: Core,
  { address, prefix }: Extract<Operation, { op: "clear-damping" }>,
): OperationOutcome {
  const record = address === "" ? undefined : core.neighbors.named(canonicalPeer(address));
  if (address !== "" && !record) return refused("NOT_FOUND", "neighbor", `there is no neighbor ${address}`);
  const { watchers } = core;
  core.damping.clear(record, (table, row) => prefix === "" || watchers.prefixText(table, row) === prefix);
  return done;
}

function evicted(
  core: Core,
  { count, filter, principal }: Extract<Operation, { op: "translations-evicted" }>,
): OperationOutcome {
  const which = Object.entries(filter).map(([name, value]) => `${name} ${value}`);
  const chosen = which.length === 0 ? "all" : which.join(", ");
  const summary = `${principal} evicted ${count} translations: ${chosen}`;
  const facts = { ...filter, count: String(count), principal };
  core.event("cairn.nat.translations.evicted", "", 1, summary, facts);
  return done;
}

function pin(core: Core, { name, candidate }: Extract<Operation, { op: "egress-pin" }>): OperationOutcome {
  if (core.kernel.dataplane === "none")
    return refused("WRONG_STATE", "", "this daemon does not touch the kernel (--dataplane none)");
  if (core.egress.pin(name, candidate)) return done;
  if (!core.objects.spec("EgressRoutePolicy", name))
    return refused("NOT_FOUND", "name", `there is no EgressRoutePolicy ${name}`);
  return refused("NOT_FOUND", "candidate", `${name} has no candidate ${candidate}`);
}

function simulate(core: Core, kernel: SimulatedKernel): OperationOutcome {
  if (core.kernel.dataplane !== "memory") {
    const message = `the kernel is ${core.kernel.dataplane === "none" ? "not looked at" : "a real one"} here`;
    return {
      ok: false,
      problems: [{ code: "WRONG_STATE", path: "", message, fix: "start cairnd with --dataplane memory" }],
    };
  }
  core.effects.push({ kind: "kernel.simulate", kernel });
  return done;
}

function refused(code: Problem["code"], path: string, message: string): OperationOutcome {
  return { ok: false, problems: [{ code, path, message }] };
}
