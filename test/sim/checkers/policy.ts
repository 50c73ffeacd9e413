/**
 * Looks at every UPDATE on every wire: nothing that must never leave is there, and external neighbors see our AS
 * first. Only what holds whatever the policies of the moment are is asked; what they are is the oracle's matter.
 */
import { formatIp } from "../../../src/base/ip.ts";
import { decodeBlock } from "../../../src/wire/block.ts";
import { formatCommunity, parseCommunity } from "../../../src/wire/community-text.ts";
import type { DecodeContext } from "../../../src/wire/decode-context.ts";
import { UpdateScratch } from "../../../src/wire/scratch.ts";
import { decodeUpdate } from "../../../src/wire/update-decode.ts";
import { Verdict } from "../../../src/wire/verdict.ts";
import { violated } from "../failure.ts";
import { connectionsOf } from "../internals.ts";
import { asnOf, forbidden } from "../plan.ts";
import type { World } from "../world.ts";

const never = parseCommunity(forbidden)!;
const noExport = parseCommunity("no-export")!;
const noAdvertise = parseCommunity("no-advertise")!;

export class WirePolicy {
  private readonly world: World;
  private readonly scratch = new UpdateScratch();
  /** The shared bytes that were looked at last, and for which kind of session: members of a group get the same. */
  private last: Uint8Array | undefined;
  private lastKind = "";

  constructor(world: World) {
    this.world = world;
  }

  forget(_speaker: number): void {
    this.last = undefined;
  }

  sent(from: number, conn: number, bytes: Uint8Array): void {
    if (bytes.length < 23 || bytes[18] !== 2) return;
    const core = this.world.speakers[from].core!;
    const connection = connectionsOf(core).get(conn);
    if (!connection) return;
    const to = this.world.speakers.findIndex(({ address }) => address === connection.remoteAddress);
    const external = asnOf(this.world.plan, from) !== asnOf(this.world.plan, to);
    const kind = `${from} ${external}`;
    if (this.last === bytes && this.lastKind === kind) return;
    this.last = bytes;
    this.lastKind = kind;
    for (let at = 0; at + 19 <= bytes.length; ) {
      const end = at + ((bytes[at + 16] << 8) | bytes[at + 17]);
      if (end <= at || end > bytes.length)
        violated("policy", `speaker ${from} sent a message with a bad length`);
      if (bytes[at + 18] === 2) this.update(from, to, external, bytes, at, end);
      at = end;
    }
  }

  private update(
    from: number,
    to: number,
    external: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const { scratch } = this;
    const context: DecodeContext = { fourOctetAs: true, addPath: 0, external, families: 3 };
    decodeUpdate(bytes, start, end, context, scratch);
    const fail = (text: string): never => violated("policy", `speaker ${from} to ${to}: ${text}`);
    if (scratch.verdict !== Verdict.ok) fail(`sent a malformed UPDATE: ${scratch.problems[0]?.text}`);
    for (const [list, block] of [
      [scratch.reach, scratch.block],
      [scratch.mpReach, scratch.mpBlock],
    ] as const) {
      if (list.count === 0) continue;
      const { communities, asPath, nextHop } = decodeBlock(block.bytes, block.start, block.end);
      for (const community of [never, noAdvertise, ...(external ? [noExport] : [])]) {
        if (communities.includes(community)) fail(`announced a route with ${formatCommunity(community)}`);
      }
      if (nextHop.every((byte) => byte === 0)) fail("announced a route without a next hop");
      if (!external || this.world.plan.topology === "route-server") continue;
      const own = asnOf(this.world.plan, from);
      if (asPath[0]?.asns[0] !== own)
        fail(`announced a path that does not begin with ${own} (next hop ${formatIp(nextHop)})`);
    }
  }
}
