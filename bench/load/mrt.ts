/** The generator fed from an MRT file: the table of one of its peers as UPDATEs. */
import { readFileSync } from "node:fs";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { readIp4 } from "../../src/base/ip.ts";
import { MrtReader } from "../../src/mrt/reader.ts";
import { Replay } from "../../src/mrt/replay.ts";
import { UpdateScratch } from "../../src/wire/scratch.ts";
import { decodeUpdate } from "../../src/wire/update-decode.ts";
import { daemonAs } from "../daemons/daemon.ts";

let chosen: string | undefined;

/** `--mrt FILE`. */
export function setMrtFile(path: string | undefined): void {
  chosen = path;
}

export function mrtFile(): string | undefined {
  return chosen;
}

/** IPv4 prefixes as numbers, so that a million of them can be told apart. */
export class PrefixSet {
  readonly seen = new Set<number>();
  private readonly scratch = new UpdateScratch();

  /** Takes in an UPDATE with its header. */
  update(bytes: Uint8Array, start: number, end: number): void {
    const { scratch } = this;
    decodeUpdate(bytes, start, end, { fourOctetAs: true, addPath: 0, external: true, families: 1 }, scratch);
    for (const [list, add] of [
      [scratch.withdrawn, false],
      [scratch.reach, true],
    ] as const) {
      for (let i = 0; i < list.count; i++) {
        const length = list.length[i];
        const used = (length + 7) >>> 3;
        const address =
          length === 0 ? 0 : (readIp4(bytes, list.at[i]) >>> (32 - used * 8)) * 2 ** (32 - used * 8);
        if (add) this.seen.add(address * 64 + length);
        else this.seen.delete(address * 64 + length);
      }
    }
  }
}

/**
 * @param nextHop takes the place of all next hops
 * @returns the messages, and the IPv4 prefixes in them
 */
export function readMrtTable(
  path: string,
  nextHop: Uint8Array,
): { messages: Buffer; prefixes: number; asn: number } {
  const replay = new Replay({ peer: undefined, nextHop4: nextHop, nextHop16: undefined, without: daemonAs });
  const reader = new MrtReader();
  const parts: Uint8Array[] = [];
  const bytes = readFileSync(path);
  reader.push(bytes[0] === 0x1f ? gunzipSync(bytes) : bytes[0] === 0x28 ? zstdDecompressSync(bytes) : bytes);
  while (reader.next()) if (reader.body.kind !== "fault") parts.push(replay.add(reader.body));
  parts.push(replay.end());
  const messages = Buffer.concat(parts);
  const prefixes = new PrefixSet();
  for (let at = 0; at + 19 <= messages.length; at += messages.readUInt16BE(at + 16)) {
    prefixes.update(messages, at, at + messages.readUInt16BE(at + 16));
  }
  if (!replay.peer || prefixes.seen.size === 0) throw new Error(`${path} has no IPv4 routes`);
  return { messages, prefixes: prefixes.seen.size, asn: replay.peer.asn };
}
