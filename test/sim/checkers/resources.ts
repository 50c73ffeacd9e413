/**
 * Ids in use are ids reachable: each reference on an attribute set is held by a path, a column of an update group or a
 * group's default route; each row of a prefix table has a path, a pin, or is on its way out; markers belong to groups
 * and watchers. Queues stay under their limits.
 */
import { limits } from "../../../src/base/limits.ts";
import { isAccepted } from "../../../src/rib/path-flags.ts";
import type { UpdateGroup } from "../../../src/rib/update-group.ts";
import type { Core } from "../../../src/state/core.ts";
import { violated } from "../failure.ts";
import { attributeIds, connectionsOf, cursorsOf, followersOf, heldByGroup, isAwaited } from "../internals.ts";
import type { Speaker } from "../speaker.ts";

export function checkResources(speaker: Speaker): void {
  const core = speaker.core!;
  const fail = (text: string): never => violated("resources", `speaker ${speaker.index}: ${text}`);
  checkAttributes(core, fail);
  for (const table of core.routing.tables) checkTable(core, table.family.index, fail);
  if (core.changes.waiting > limits.parkedRepliesMax) fail(`${core.changes.waiting} parked replies`);
  for (const connection of connectionsOf(core).values()) {
    if (connection.inbox.length > limits.connInboxBytesMax * 4)
      fail(`an inbox of ${connection.inbox.length} bytes`);
  }
  if (core.jobs.size > 16 * (core.neighbors.size + core.groups.size + 2))
    fail(`${core.jobs.size} walks under way`);
}

function checkAttributes(core: Core, fail: (text: string) => never): void {
  const { attributes, tables } = core.routing;
  const expected = new Map<number, number>();
  const add = (id: number): void => void (id !== 0 && expected.set(id, (expected.get(id) ?? 0) + 1));
  for (const { paths } of tables) {
    for (let path = 1; path < paths.rows; path++) {
      if (paths.received[path] === 0) continue;
      add(paths.received[path]);
      add(paths.attr[path]);
    }
  }
  for (const group of core.groups.all()) {
    for (const { attr } of heldBy(group)) add(attr);
    for (const id of heldByGroup(group)) add(id);
  }
  for (let id = 1; id < attributeIds(core); id++) {
    const references = attributes.references(id);
    if (references !== (expected.get(id) ?? 0)) {
      fail(`attribute set ${id} has ${references} references, and ${expected.get(id) ?? 0} are held`);
    }
  }
  if (attributes.count !== expected.size)
    fail(`${attributes.count} attribute sets, and ${expected.size} are in use`);
}

function checkTable(core: Core, index: number, fail: (text: string) => never): void {
  const table = core.routing.tables[index];
  const { paths, prefixes, changes } = table;
  const groups = [...core.groups.all()].filter((group) => group.table === table);
  const received = new Map<number, number>();
  const accepted = new Map<number, number>();
  let alive = 0;
  let best = 0;
  let count = 0;
  for (let row = 1; row < prefixes.rows; row++) {
    if (table.isMarker(row)) continue;
    alive++;
    let eligibleSeen = false;
    for (let path = table.head[row], n = 0; path !== 0; path = paths.next[path], n++) {
      if (paths.prefix[path] !== row || paths.received[path] === 0)
        fail(`path ${path} is not of prefix row ${row}`);
      if (n > 0 && !eligibleSeen && paths.eligible(path))
        fail(`prefix row ${row}: an eligible path behind others`);
      eligibleSeen ||= paths.eligible(path);
      const neighbor = paths.neighbor[path];
      received.set(neighbor, (received.get(neighbor) ?? 0) + 1);
      if (isAccepted(paths.flags[path])) accepted.set(neighbor, (accepted.get(neighbor) ?? 0) + 1);
      count++;
    }
    if (eligibleSeen) best++;
    if (eligibleSeen && !changes.has(row))
      fail(`prefix row ${row} has a best path and is not in the change list`);
    if (table.head[row] === 0 && !isAwaited(table, row)) {
      fail(`prefix row ${row} has no path and nobody will forget it`);
    }
  }
  if (alive !== prefixes.count) fail(`${prefixes.count} prefixes counted, ${alive} there`);
  if (best !== table.bestCount) fail(`${table.bestCount} best paths counted, ${best} there`);
  if (count !== paths.count) fail(`${paths.count} paths counted, ${count} there`);
  for (let neighbor = 0; neighbor < table.received.length; neighbor++) {
    const have = [table.received[neighbor], table.accepted[neighbor]].join();
    const there = [received.get(neighbor) ?? 0, accepted.get(neighbor) ?? 0].join();
    if (have !== there) fail(`neighbor ${neighbor}: received, accepted counted ${have}, there ${there}`);
  }
  let markers = 0;
  let revision: number | undefined;
  for (let row = changes.next[0]; row !== 0; row = changes.next[row]) {
    if (table.isMarker(row)) markers++;
    if (revision !== undefined && ((changes.revisionOf[row] - revision) | 0) < 0)
      fail(`the change list is not in order at row ${row}`);
    revision = changes.revisionOf[row];
  }
  const cursors = cursorsOf(core, table);
  const tracker = core.kernel.nextHops ? 1 : 0;
  const wanted = tracker + cursors + groups.reduce((sum, group) => sum + 1 + followersOf(group).length, 0);
  if (markers !== wanted) fail(`${markers} markers in the change list, ${wanted} consumers`);
  for (const group of groups) checkGroup(group, fail);
}

/** Everything in the Adj-RIB-Out of a group. */
function* heldBy(group: UpdateGroup): Generator<{ readonly row: number; readonly attr: number }> {
  for (let row = 0; row < group.table.head.length; row++) {
    for (const { attr } of group.held(row)) yield { row, attr };
  }
}

function checkGroup(group: UpdateGroup, fail: (text: string) => never): void {
  let count = 0;
  for (const { row } of heldBy(group)) {
    count++;
    if (group.table.isMarker(row)) fail(`update group ${group.id} announces row ${row}, which is no prefix`);
  }
  if (count !== group.count) fail(`update group ${group.id} counts ${group.count} routes and has ${count}`);
  const members = group.members();
  if (new Set(members).size !== members.length) fail(`update group ${group.id} has a member twice`);
  if (members.length === 0) fail(`update group ${group.id} has no members`);
}

/** After everything was taken back nothing is left. */
export function checkEmpty(speaker: Speaker): void {
  const core = speaker.core!;
  const fail = (text: string): never =>
    violated("resources", `speaker ${speaker.index} after withdrawing all: ${text}`);
  checkResources(speaker);
  if (core.routing.attributes.count !== 0) fail(`${core.routing.attributes.count} attribute sets are left`);
  for (const { family, paths, prefixes } of core.routing.tables) {
    if (paths.count !== 0) fail(`${paths.count} ${family.name} paths are left`);
    if (prefixes.count !== 0) fail(`${prefixes.count} ${family.name} prefixes are left`);
  }
}
