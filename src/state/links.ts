/**
 * The host's links as the kernel tells of them. One that goes down takes along the sessions that run over it: without
 * that they would last until their hold timers run out.
 */
import { limits } from "../base/limits.ts";
import type { Link } from "../dataplane/kernel-model.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import type { NeighborConfig, SessionHost } from "./session-port.ts";

export interface LinksHost {
  neighbors(): Iterable<NeighborRecord>;
  /** A link that the session of a neighbor runs over went down. */
  lost(record: NeighborRecord, link: string): void;
  /** Ways may lead elsewhere now. */
  changed(): void;
  readonly event: SessionHost["event"];
}

export class Links {
  private readonly host: LinksHost;
  private readonly byIndex = new Map<number, Link>();
  /** The kernel has told all it has at least once. */
  known = false;

  constructor(host: LinksHost) {
    this.host = host;
  }

  get(index: number): Link | undefined {
    return this.byIndex.get(index);
  }

  named(name: string): Link | undefined {
    for (const link of this.byIndex.values()) if (link.name === name) return link;
    return undefined;
  }

  all(): IterableIterator<Link> {
    return this.byIndex.values();
  }

  /**
   * @param changed new links, and those of which anything is different; @param gone indexes
   * @returns names that stand for something else than before
   */
  update(changed: readonly Link[], gone: readonly number[]): ReadonlySet<string> {
    const names = new Set(changed.map(({ name }) => name));
    for (const index of [...changed.map((link) => link.index), ...gone]) {
      const before = this.byIndex.get(index);
      if (before) names.add(before.name);
    }
    const down: Link[] = [];
    const told: { readonly link: Link; readonly verb: string }[] = [];
    for (const link of changed) {
      const before = this.byIndex.get(link.index);
      this.byIndex.set(link.index, link);
      if (before?.up && !link.up) down.push(before);
      if (this.known && (before?.up ?? false) !== link.up) told.push({ link, verb: link.up ? "up" : "down" });
    }
    for (const index of gone) {
      const before = this.byIndex.get(index);
      if (!before) continue;
      this.byIndex.delete(index);
      if (before.up) down.push(before);
      told.push({ link: before, verb: "removed" });
    }
    this.known = true;
    this.tell(told);
    if (changed.length + gone.length > 0) this.host.changed();
    if (down.length > 0) this.failOver(down);
    return names;
  }

  private tell(told: readonly { readonly link: Link; readonly verb: string }[]): void {
    for (const { link, verb } of told.slice(0, limits.linkEventsPerTurn)) {
      const how = verb === "removed" ? "is gone" : `is ${verb} (${link.operState})`;
      const facts = { link: link.name, index: String(link.index), state: link.operState };
      const severity = verb === "up" ? 1 : 2;
      this.host.event(`cairn.dataplane.link.${verb}`, "", severity, `link ${link.name} ${how}`, facts);
    }
  }

  /** As FRR's fast external failover: external neighbors one hop away, whose session ends at an address of the link. */
  private failOver(down: readonly Link[]): void {
    for (const record of this.host.neighbors()) {
      const { config, negotiated } = record;
      if (!negotiated || !config.fastFailover || !isSingleHop(config)) continue;
      const link = down.find((each) => carries(each, negotiated.localAddress, config.interface));
      if (link) this.host.lost(record, link.name);
    }
  }
}

/** An external neighbor that must be on a link of ours. */
export function isSingleHop({ external, ttl, minTtl }: NeighborConfig): boolean {
  return external && (minTtl > 0 ? minTtl === 255 : ttl === 1);
}

/** Whether a session from this address of ours runs over the link; a link-local address needs the link's name as well. */
function carries(link: Link, local: Uint8Array, name: string): boolean {
  if (name !== "" && name !== link.name) return false;
  return link.addresses.some(
    ({ address }) => address.length === local.length && address.every((byte, i) => byte === local[i]),
  );
}
