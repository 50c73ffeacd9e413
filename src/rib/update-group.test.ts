import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { decodeBlock } from "../wire/block.ts";
import { WellKnownCommunity } from "../wire/community-text.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { type NlriList, UpdateScratch } from "../wire/scratch.ts";
import { decodeUpdate } from "../wire/update-decode.ts";
import { UpdateEncoder } from "../wire/update-encode.ts";
import { BestGroup } from "./best-group.ts";
import { ExportCache } from "./export-cache.ts";
import type { AddPathSend, ExportConfig } from "./export-gates.ts";
import { Exporter } from "./exporter.ts";
import { PathGroup } from "./path-group.ts";
import { RibFixture, sequence } from "./rib-fixture.ts";
import { UpdateBatch } from "./update-batch.ts";
import type { GroupHost, UpdateGroup } from "./update-group.ts";
import { UpdateWriter } from "./update-writer.ts";

const messageMax = 4096;
/** Small, so that every walk is interrupted. */
const batchMax = 3;
const full = 1 << 28;

/** What one neighbor has heard, decoded from bytes. */
class Member {
  group: Speaker["groups"][number] | undefined;
  readonly routes = new Map<string, string>();
  queued = 0;
  ends = 0;
  endsExpected = 0;
  /** It was behind since things were last quiet: what it hears may repeat what it knows. */
  behind = true;
}

/** Two update groups with another local AS each, over one table; neighbors 1 to 5 feed and listen. */
class Speaker {
  readonly rib = new RibFixture();
  readonly batch = new UpdateBatch(this.rib.attributes, batchMax);
  readonly cache = new ExportCache(this.rib.attributes);
  readonly encoder = new UpdateEncoder();
  readonly members = new Map<number, Member>();
  /** Prefixes that once fitted no message: they are withdrawn whether they were announced before or not. */
  private readonly oversize = new Set<string>();
  readonly groups: readonly { readonly asn: number; readonly group: UpdateGroup }[];
  private readonly scratch = new UpdateScratch();
  private readonly addPath: AddPathSend | undefined;

  constructor(addPath: AddPathSend | undefined) {
    this.addPath = addPath;
    this.rib.table.followsAllPaths = addPath !== undefined;
    this.groups = [64500, 64501].map((asn, i) => ({ asn, group: this.makeGroup(i + 1, asn) }));
  }

  private get addPathMask(): number {
    return this.addPath ? 1 : 0;
  }

  private makeGroup(id: number, localAsn: number): UpdateGroup {
    const { rib } = this;
    const config: ExportConfig = {
      external: true,
      routeServerClient: false,
      localAsn,
      globalAsn: localAsn,
      confederationMember: false,
      localAsReplaces: false,
      overriddenAsn: 0,
      aigp: false,
      longLivedPartial: false,
      removePrivateAs: "none",
      clusterId: 1,
      reflectorClient: false,
      bilateralPeer: false,
      role: undefined,
      gracefulShutdown: false,
      perClient: 0,
      addPath: this.addPath,
      outboundFilter: undefined,
      extendedNextHop: false,
      longLived: false,
      nextHopSelf: true,
      selfNextHop: Uint8Array.of(10, 0, 0, 254),
      onLinkBits: 0,
      program: undefined,
      acceptWithoutPolicy: true,
      defaultOriginate: false,
      installed: undefined,
    };
    const exporter = new Exporter(rib.table, rib.attributes, rib.neighbors, this.cache, config);
    const context = { fourOctetAs: true, addPath: this.addPathMask, maxMessageBytes: messageMax };
    const writer = new UpdateWriter(rib.table, rib.attributes, this.encoder, context);
    const { table, attributes } = rib;
    const host: GroupHost = {
      send: (neighbor, bytes) => this.receive(neighbor, bytes),
      queuedBytes: (neighbor) => this.members.get(neighbor)!.queued,
      endOfRib: (_group, neighbor) => {
        this.members.get(neighbor)!.ends++;
      },
      oversize: (_group, prefix) => this.oversize.add(this.name(prefix)),
    };
    const parts = { table, exporter, attributes, batch: this.batch, writer, host };
    return this.addPath ? new PathGroup(id, parts) : new BestGroup(id, parts);
  }

  private receive(neighbor: number, bytes: Uint8Array): void {
    const member = this.members.get(neighbor);
    assert(member?.group, "bytes for a neighbor that left");
    assert(member.queued < full, "bytes for a full socket");
    const { scratch } = this;
    for (let at = 0; at < bytes.length; ) {
      const length = (bytes[at + 16] << 8) | bytes[at + 17];
      assert(length >= 23 && length <= messageMax, `message of ${length} bytes`);
      decodeUpdate(
        bytes,
        at,
        at + length,
        { fourOctetAs: true, addPath: this.addPathMask, external: true, families: 1 },
        scratch,
      );
      assert.equal(scratch.problems.length, 0);
      assert.equal(scratch.endOfRib, undefined);
      const said = new Set<string>();
      for (const prefix of names(bytes, scratch.withdrawn)) {
        assert(!said.has(prefix));
        said.add(prefix);
        const known: boolean = member.routes.delete(prefix) || this.oversize.has(prefix.split(" ")[0]);
        assert(known || member.behind, `${neighbor}: withdraw of unknown ${prefix}`);
      }
      if (scratch.reach.count > 0) {
        const { block } = scratch;
        const attributes = text(decodeBlock(block.bytes, block.start, block.end));
        for (const prefix of names(bytes, scratch.reach)) {
          assert(
            member.routes.get(prefix) !== attributes || member.behind,
            `${neighbor}: ${prefix} told again`,
          );
          member.routes.set(prefix, attributes);
        }
      }
      at += length;
    }
  }

  /** Runs both groups until nothing is left to do with the sockets as they are. */
  settle(): void {
    for (let n = 0; this.groups.some(({ group }) => group.hasWork()); n++) {
      assert(n < 500, "the groups never come to rest");
      for (const { group } of this.groups) if (group.hasWork()) group.run();
    }
  }

  /** All sockets drained: everybody must hold exactly what the table says. */
  check(): void {
    for (const member of this.members.values()) member.queued = 0;
    this.settle();
    for (const [neighbor, member] of this.members) {
      const { group } = member;
      if (!group) continue;
      const told = new Map([...member.routes].sort());
      assert.deepEqual(told, this.truth(neighbor, group.asn), `neighbor ${neighbor}`);
      assert.equal(member.ends, member.endsExpected, `End-of-RIB to ${neighbor}`);
      assert.equal(group.group.advertisedTo(neighbor), told.size);
      assert(group.group.inSync(neighbor));
      member.behind = false;
    }
    const { table } = this.rib;
    table.reap(this.passed(), 1000);
    assert(!table.hasDead, "prefixes without paths are forgotten when everybody has passed them");
  }

  passed(): number {
    const [a, b] = this.groups.map(({ group }) => group.passedRevision());
    return ((a - b) | 0) > 0 ? b : a;
  }

  private truth(neighbor: number, asn: number): Map<string, string> {
    const { table } = this.rib;
    const routes: [string, string][] = [];
    for (const row of this.rib.changed()) {
      for (const path of this.chosen(row)) {
        if (table.paths.neighbor[path] === neighbor) continue;
        const { asPath, communities } = this.rib.attributesOf(table.paths.attr[path]);
        const told = { asPath: sequence(asn, ...asPath.flatMap(({ asns }) => asns)), communities };
        routes.push([this.addPath ? `${this.name(row)} ${path}` : this.name(row), text(told)]);
      }
    }
    return new Map(routes.sort());
  }

  /** Paths of a prefix that go out, told naively. */
  private chosen(row: number): number[] {
    const { table } = this.rib;
    const mayGo = (path: number): boolean => {
      const { communities } = this.rib.attributesOf(table.paths.attr[path]);
      return !communities.includes(WellKnownCommunity.noExport) && communities.length <= 1000;
    };
    const best = table.bestOf(row);
    if (!this.addPath) return best !== 0 && mayGo(best) ? [best] : [];
    const fit = table.ranked(row).filter(mayGo);
    const { choice, max } = this.addPath;
    if (choice === "first") return fit.slice(0, max);
    const asOf = (path: number): number => this.rib.attributesOf(table.paths.attr[path]).asPath[0].asns[0];
    return fit.filter((path, i) => fit.findIndex((other) => asOf(other) === asOf(path)) === i).slice(0, max);
  }

  private name(row: number): string {
    const { prefixes } = this.rib.table;
    const bytes = new Uint8Array(4);
    prefixes.writeAddress(row, bytes, 0);
    return `${bytes.join(".")}/${prefixes.length[row]}`;
  }
}

/** Prefixes of a message, with their path identifiers where there are any. */
function names(bytes: Uint8Array, list: NlriList): string[] {
  return Array.from({ length: list.count }, (_, i) => {
    const address = [0, 1, 2, 3].map((octet) => (octet * 8 < list.length[i] ? bytes[list.at[i] + octet] : 0));
    const prefix = `${address.join(".")}/${list.length[i]}`;
    return list.pathId[i] === 0 ? prefix : `${prefix} ${list.pathId[i]}`;
  });
}

function text({ asPath, communities }: Pick<PathAttributes, "asPath" | "communities">): string {
  return JSON.stringify([asPath.map(({ asns }) => asns), communities]);
}

/** Attribute sets that neighbors announce: short and long paths, one that is not exported, one that fits no message. */
const variants: Partial<PathAttributes>[] = [
  { asPath: sequence(100) },
  { asPath: sequence(100, 200) },
  { asPath: sequence(300, 200) },
  { asPath: sequence(100, 200), communities: [7] },
  { asPath: sequence(100), communities: [WellKnownCommunity.noExport] },
  { asPath: sequence(100), communities: Array.from({ length: 1015 }, (_, i) => i) },
];

type Step = (speaker: Speaker) => void;

/** A step that prints as its name when a run fails. */
function named(name: string, step: Step): Step {
  return Object.assign(step, { [fc.toStringMethod]: () => name });
}

const neighbors = fc.integer({ min: 1, max: 5 });

const announce = fc
  .tuple(neighbors, fc.integer({ min: 1, max: 12 }), fc.nat(variants.length - 1))
  .map(([neighbor, prefix, variant]): Step => {
    return named(`announce ${neighbor} ${prefix} ${variant}`, ({ rib }) =>
      rib.announce(neighbor, rib.prefix(`10.${prefix}.0.0/16`), variants[variant]),
    );
  });

const withdraw = fc.tuple(neighbors, fc.integer({ min: 1, max: 12 })).map(([neighbor, prefix]): Step => {
  return named(`withdraw ${neighbor} ${prefix}`, ({ rib }) =>
    rib.table.withdraw(neighbor, rib.table.prefixes.find(Uint8Array.of(10, prefix, 0, 0), 0, 16), 0),
  );
});

/** A new session, the end of one, a refresh, a move to the other group. */
const membership = fc
  .tuple(neighbors, fc.constantFrom("join", "leave", "resend", "adopt"), fc.nat(1))
  .map(([neighbor, what, which]): Step => {
    return named(`${what} ${neighbor} ${which}`, (speaker) => {
      const address = `10.0.0.${neighbor}`;
      const member = speaker.members.get(neighbor) ?? new Member();
      speaker.members.set(neighbor, member);
      if (!member.group) {
        Object.assign(member, {
          group: speaker.groups[which],
          queued: 0,
          ends: 0,
          endsExpected: 1,
          behind: true,
        });
        member.routes.clear();
        member.group!.group.join(neighbor, address);
        return;
      }
      const { group } = member.group;
      const other = speaker.groups.find((entry) => entry !== member.group)!;
      if (what === "leave") {
        member.group = undefined;
        group.leave(neighbor, address);
      } else if (what === "resend") {
        // An End-of-RIB that is still due covers both.
        if (member.ends === member.endsExpected) member.endsExpected++;
        member.behind = true;
        group.resend(neighbor);
      } else {
        member.behind = true;
        member.group = other;
        other.group.adopt(neighbor, address, group);
        group.leave(neighbor, address);
      }
    });
  });

const socket = fc.tuple(neighbors, fc.constantFrom(0, full)).map(([neighbor, queued]): Step => {
  return named(`socket ${neighbor} ${queued}`, ({ members }) => {
    const member = members.get(neighbor);
    if (member) Object.assign(member, { queued, behind: true });
  });
});

const run = fc.nat(1).map((which) => named(`run ${which}`, ({ groups }) => groups[which].group.run()));
const settle = fc.constant(named("settle", (speaker) => speaker.settle()));
const reap = fc.constant(named("reap", (speaker) => speaker.rib.table.reap(speaker.passed(), 10)));
const check = fc.constant(named("check", (speaker) => speaker.check()));

const steps = fc.array(
  fc.oneof(
    { arbitrary: announce, weight: 10 },
    { arbitrary: withdraw, weight: 5 },
    { arbitrary: membership, weight: 4 },
    { arbitrary: socket, weight: 2 },
    { arbitrary: run, weight: 6 },
    { arbitrary: settle, weight: 1 },
    { arbitrary: reap, weight: 2 },
    { arbitrary: check, weight: 1 },
  ),
  { maxLength: 80, size: "max" },
);

const kinds: readonly [name: string, addPath: AddPathSend | undefined][] = [
  ["one route per prefix", undefined],
  ["all paths", { choice: "first", max: 64 }],
  ["the best two", { choice: "first", max: 2 }],
  ["one per neighboring AS", { choice: "perNeighborAs", max: 64 }],
];

suite("update groups", () => {
  for (const [name, addPath] of kinds) {
    test(`${name}: whatever happens in which order, every member ends with the table minus its own`, () => {
      fc.assert(
        fc.property(steps, (sequenceOfSteps) => {
          const speaker = new Speaker(addPath);
          for (const step of sequenceOfSteps) step(speaker);
          speaker.check();
          release(speaker);
        }),
        { numRuns: Number(process.env.CAIRN_RUNS ?? 400) },
      );
    });
  }

  test("one slow member holds up nobody, and alone it holds up the front", () => {
    const speaker = new Speaker(undefined);
    const { rib, groups } = speaker;
    for (const neighbor of [1, 2]) {
      speaker.members.set(neighbor, Object.assign(new Member(), { group: groups[0], endsExpected: 1 }));
      groups[0].group.join(neighbor, `10.0.0.${neighbor}`);
    }
    speaker.check();
    speaker.members.get(1)!.queued = full;
    for (let i = 0; i < 10; i++) rib.announce(3, rib.prefix(`10.${i}.0.0/16`), variants[0]);
    speaker.settle();
    assert.equal(speaker.members.get(2)!.routes.size, 10);
    groups[0].group.leave(2, "10.0.0.2");
    speaker.members.delete(2);
    rib.announce(3, rib.prefix("10.99.0.0/16"), variants[0]);
    speaker.settle();
    speaker.members.get(1)!.behind = true;
    speaker.check();
    assert.equal(speaker.members.get(1)!.routes.size, 11);
  });

  test("prefixes of one attribute set share messages, also for one member alone", () => {
    const speaker = new Speaker(undefined);
    const { rib, groups } = speaker;
    const sent: number[] = [];
    const group = groups[0].group;
    speaker.members.set(1, Object.assign(new Member(), { group: groups[0], endsExpected: 1 }));
    group.join(1, "10.0.0.1");
    for (let i = 0; i < batchMax; i++) rib.announce(2, rib.prefix(`10.${i}.0.0/16`), variants[1]);
    speaker.check();
    // Neighbor 1 becomes the source of all of them: it alone hears withdrawals, in one message.
    for (let i = 0; i < batchMax; i++) rib.announce(1, rib.prefix(`10.${i}.0.0/16`), variants[0]);
    const receive = Reflect.get(speaker, "receive") as (neighbor: number, bytes: Uint8Array) => void;
    Reflect.set(speaker, "receive", (neighbor: number, bytes: Uint8Array) => {
      sent.push(bytes.length);
      receive.call(speaker, neighbor, bytes);
    });
    speaker.check();
    assert.deepEqual(sent, [19 + 4 + batchMax * 3]);
  });
});

/** After everybody has left and every route is gone, nothing is held any more. */
function release(speaker: Speaker): void {
  const { rib, groups, members } = speaker;
  for (const [neighbor, member] of members) member.group?.group.leave(neighbor, `10.0.0.${neighbor}`);
  for (const { group } of groups) group.close();
  for (let neighbor = 1; neighbor <= 5; neighbor++)
    rib.table.sweepNeighbor(neighbor, Number.POSITIVE_INFINITY, 1, rib.table.paths.rows);
  rib.table.reap(rib.table.changes.revision, 1000);
  assert.equal(rib.attributes.count, 0, "attribute sets are held by nobody");
  assert.equal(rib.table.prefixes.count, 0);
  assert.equal(rib.table.changes.next[0], 0, "the change list is empty");
}
