/**
 * MRT records as the UPDATEs of one neighbor, to be sent on a session with four-octet AS numbers and without Add-Path.
 * Routes of a table that follow each other and have the same attributes share messages; updates go out as they came.
 */
import { formatIp, parsePrefix } from "../base/ip.ts";
import { encodeBlock } from "../wire/block.ts";
import { familyByCode, ipv4Unicast } from "../wire/family.ts";
import { headerBytes, MessageType, updateBytesMin } from "../wire/message.ts";
import { MessageWriter } from "../wire/message-writer.ts";
import { Origin, type PathAttributes } from "../wire/path-attributes.ts";
import { UpdateEncoder } from "../wire/update-encode.ts";
import { noOrigin } from "./attributes.ts";
import type { DecodedBody } from "./decode.ts";
import { type MrtPrefix, ribAttributes, ribPrefix, updateRoutes } from "./routes.ts";
import type { MessageRecord, RibRecord } from "./types.ts";

/** Prefixes of a table that are held back to find others with their attributes. */
const heldMax = 16_384;
/** Every byte has a character of its own. */
const latin1 = new TextDecoder("latin1");
const context = { fourOctetAs: true, addPath: 0, maxMessageBytes: 4096 };

export interface ReplayOptions {
  /** The peer whose routes are replayed, as the file names it; undefined: the first one that has any. */
  readonly peer: string | undefined;
  /** Next hops to put in place of those in the file, by family: 4 or 16 bytes. */
  readonly nextHop4: Uint8Array | undefined;
  readonly nextHop16: Uint8Array | undefined;
  /** Routes with this AS in their path are left out: its own speaker takes them for loops. Of updates only with a next hop. */
  readonly without?: number;
}

interface Held {
  readonly afi: number;
  readonly block: Uint8Array;
  readonly prefixes: MrtPrefix[];
}

export class Replay {
  /** The peer whose routes are replayed, once it is known. */
  peer: { readonly address: string; readonly asn: number } | undefined;
  /** Routes announced and withdrawn, and those left out: of families that are not spoken, without a next hop, too long. */
  announced = 0;
  withdrawn = 0;
  skipped = 0;
  private readonly options: ReplayOptions;
  private readonly encoder = new UpdateEncoder();
  private readonly held = new Map<string, Held>();
  private heldCount = 0;

  constructor(options: ReplayOptions) {
    this.options = options;
    this.encoder.reset(context);
  }

  /** Takes a record. @returns whole messages to send now; the bytes are the caller's */
  add(body: DecodedBody): Uint8Array {
    if (body.kind === "rib") this.rib(body);
    else if (body.kind === "message") this.message(body);
    return this.take();
  }

  /** What is still held back. */
  end(): Uint8Array {
    this.flush();
    return this.take();
  }

  private take(): Uint8Array {
    const bytes = this.encoder.writer.take();
    this.encoder.reset(context);
    return bytes;
  }

  private isWanted(address: Uint8Array, asn: number): boolean {
    const text = formatIp(address);
    if (!this.peer && (this.options.peer ?? text) === text) this.peer = { address: text, asn };
    return this.peer?.address === text;
  }

  private rib(record: RibRecord): void {
    for (const entry of record.entries) {
      if (!entry.peer || !this.isWanted(entry.peer.address, entry.peer.asn)) continue;
      const { prefixes, raw } = ribPrefix(record);
      if (raw || record.safi !== 1) {
        this.skipped++;
        continue;
      }
      const key = `${record.afi}${latin1.decode(entry.attributes)}`;
      const held = this.held.get(key);
      if (held) held.prefixes.push(prefixes[0]);
      else {
        const block = this.block(record.afi, ribAttributes(record, entry).attributes);
        if (!block) {
          this.skipped++;
          continue;
        }
        this.held.set(key, { afi: record.afi, block, prefixes: [prefixes[0]] });
      }
      if (++this.heldCount >= heldMax) this.flush();
    }
  }

  private flush(): void {
    for (const { afi, block, prefixes } of this.held.values()) this.announce(afi, block, prefixes);
    this.held.clear();
    this.heldCount = 0;
  }

  private message(record: MessageRecord): void {
    const { message, local, addPath, fourOctetAs, peerAddress, peerAsn } = record;
    const isUpdate = message.length >= updateBytesMin && message[headerBytes - 1] === MessageType.update;
    if (local || !isUpdate || !this.isWanted(peerAddress, peerAsn)) return;
    this.flush();
    const { sets, faults } = updateRoutes(record);
    const { nextHop4, nextHop16 } = this.options;
    const asItCame =
      fourOctetAs && !addPath && faults.length === 0 && !nextHop4 && !nextHop16 && message.length <= 4096;
    if (asItCame) this.encoder.writer.copy(message);
    for (const { afi, safi, prefixes, attributes, raw } of sets) {
      const count = prefixes.length;
      if (raw || safi !== 1) this.skipped++;
      else if (!attributes) {
        this.withdrawn += count;
        if (!asItCame) this.withdraw(afi, prefixes);
      } else if (asItCame) this.announced += count;
      else {
        const block = this.block(afi, attributes);
        if (block) this.announce(afi, block, prefixes);
        else this.skipped += count;
      }
    }
  }

  /** The canonical block; undefined for a route without a next hop, or one that is not wanted. */
  private block(afi: number, attributes: PathAttributes): Uint8Array | undefined {
    const { nextHop4, nextHop16, without } = this.options;
    if (without !== undefined && attributes.asPath.some(({ asns }) => asns.includes(without)))
      return undefined;
    const nextHop = (afi === 1 ? nextHop4 : nextHop16) ?? attributes.nextHop;
    if (afi === 1 ? nextHop.length !== 4 : nextHop.length !== 16 && nextHop.length !== 32) return undefined;
    const origin = attributes.origin === noOrigin ? Origin.incomplete : attributes.origin;
    const out = new MessageWriter(256);
    encodeBlock({ ...attributes, origin, nextHop }, out);
    return out.take();
  }

  private announce(afi: number, block: Uint8Array, prefixes: readonly MrtPrefix[]): void {
    const { encoder } = this;
    const family = familyByCode(afi, 1);
    if (!family) return;
    const fits =
      family === ipv4Unicast
        ? encoder.beginUpdate4(block, 0, block.length)
        : encoder.beginUpdateMp(family, block, 0, block.length);
    if (!fits) {
      this.skipped += prefixes.length;
      return;
    }
    this.put(prefixes);
    this.announced += prefixes.length;
  }

  private withdraw(afi: number, prefixes: readonly MrtPrefix[]): void {
    const family = familyByCode(afi, 1);
    if (!family) return;
    if (family === ipv4Unicast) this.encoder.beginWithdraw4();
    else this.encoder.beginWithdrawMp(family);
    this.put(prefixes);
  }

  private put(prefixes: readonly MrtPrefix[]): void {
    for (const { text } of prefixes) {
      const prefix = parsePrefix(text);
      if (typeof prefix !== "string") this.encoder.prefix16(prefix.bytes, 0, prefix.length);
    }
    this.encoder.finish();
  }
}
