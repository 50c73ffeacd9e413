/** At rest, what A holds as announced to B is what B holds as received from A, attributes byte for byte. */

import { formatIp } from "../../../src/base/ip.ts";
import type { RouteTable } from "../../../src/rib/route-table.ts";
import { AttributeBlock } from "../../../src/wire/scratch.ts";
import { toHex } from "../../support/wire.ts";
import { violated } from "../failure.ts";
import type { Speaker } from "../speaker.ts";
import type { World } from "../world.ts";

export function checkSymmetry(world: World): void {
  for (const [a, b] of world.pairs) {
    compare(world.speakers[a], world.speakers[b]);
    compare(world.speakers[b], world.speakers[a]);
  }
}

function compare(from: Speaker, to: Speaker): void {
  const sender = from.core!.neighbors.named(to.address)!;
  const receiver = to.core!.neighbors.named(from.address)!;
  for (const table of from.core!.routing.tables) {
    const group = sender.groups[table.family.index];
    const announced = new Map<string, string>();
    if (group) {
      for (let row = 1; row < table.head.length; row++) {
        for (const { attr, source } of group.held(row)) {
          if (source !== sender.id) announced.set(prefixOf(table, row), blockText(from, attr));
        }
      }
    }
    const other = to.core!.routing.table(table.family);
    const fail = (prefix: string, text: string): never =>
      violated("symmetry", `${table.family.name} ${prefix} from ${from.index} to ${to.index}: ${text}`);
    let received = 0;
    for (let path = 1; path < other.paths.rows; path++) {
      if (other.paths.received[path] === 0 || other.paths.neighbor[path] !== receiver.id) continue;
      received++;
      const prefix = prefixOf(other, other.paths.prefix[path]);
      const text = blockText(to, other.paths.received[path]);
      const sent = announced.get(prefix);
      if (sent === undefined) fail(prefix, "received and not announced");
      else if (sent !== text) fail(prefix, `announced ${sent}, received ${text}`);
      announced.delete(prefix);
    }
    // Without soft reconfiguration the receiver keeps only what its policy accepts; the oracle looks at the rest.
    if (receiver.config.softReconfiguration && announced.size > 0) {
      fail([...announced.keys()].slice(0, 3).join(", "), `announced and not received (${received} were)`);
    }
  }
}

const address = new Uint8Array(16);
const block = new AttributeBlock();

export function prefixOf(table: RouteTable, row: number): string {
  table.prefixes.writeAddress(row, address, 0);
  return `${formatIp(address, 0, table.family.addressBytes)}/${table.prefixes.length[row]}`;
}

function blockText(speaker: Speaker, attr: number): string {
  speaker.core!.routing.attributes.block(attr, block);
  return toHex(block.bytes, block.start, block.end);
}
