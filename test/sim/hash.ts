/** Hashes of what cores did and what they hold, for the comparison of a run with its replay. */
import type { Core } from "../../src/state/core.ts";
import type { Effect } from "../../src/state/effects.ts";
import { AttributeBlock } from "../../src/wire/scratch.ts";

/** FNV-1a, 32 bits, over numbers. */
export class Hash {
  value = 0x811c9dc5;

  number(value: number): void {
    this.value = Math.imul(this.value ^ (value & 0xffff), 0x01000193);
    this.value = Math.imul(this.value ^ ((value >>> 16) & 0xffff), 0x01000193);
  }

  bytes(bytes: Uint8Array, start = 0, end = bytes.length): void {
    let { value } = this;
    for (let i = start; i < end; i++) value = Math.imul(value ^ bytes[i], 0x01000193);
    this.value = value;
    this.number(end - start);
  }

  text(text: string): void {
    for (let i = 0; i < text.length; i++) this.value = Math.imul(this.value ^ text.charCodeAt(i), 0x01000193);
  }

  toString(): string {
    return (this.value >>> 0).toString(16).padStart(8, "0");
  }
}

export function hashEffect(hash: Hash, effect: Effect): void {
  hash.text(effect.kind);
  if ("conn" in effect) hash.number(effect.conn);
  if (effect.kind === "tcp.send") hash.bytes(effect.bytes);
  else if (effect.kind === "store.persist") hash.number(effect.seq);
  else if (effect.kind === "reply") hash.number(effect.call);
}

/** Everything that a core holds of routes, in row order. */
export function hashCore(hash: Hash, core: Core): void {
  hash.number(core.objects.generation);
  const block = new AttributeBlock();
  const address = new Uint8Array(16);
  const { attributes } = core.routing;
  for (const table of core.routing.tables) {
    hash.number(table.changes.changes);
    const { paths, prefixes } = table;
    for (let path = 1; path < paths.rows; path++) {
      if (paths.received[path] === 0) continue;
      prefixes.writeAddress(paths.prefix[path], address, 0);
      hash.bytes(address);
      hash.number(prefixes.length[paths.prefix[path]]);
      hash.number(paths.neighbor[path] | (paths.flags[path] << 16));
      attributes.block(paths.attr[path], block);
      hash.bytes(block.bytes, block.start, block.end);
    }
  }
}
