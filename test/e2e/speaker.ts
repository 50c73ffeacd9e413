/**
 * A BGP speaker of a few lines over a real socket, that sends exactly the bytes a test gives it and keeps every
 * message it gets. It answers nothing by itself but the handshake that `establish` plays and, where asked, keepalives.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import type { TestContext } from "node:test";
import { formatIp, type Prefix, parseIp, parsePrefix } from "../../src/base/ip.ts";
import { decodeBlock } from "../../src/wire/block.ts";
import type { Capability } from "../../src/wire/capabilities.ts";
import { families } from "../../src/wire/family.ts";
import { keepaliveBytes } from "../../src/wire/keepalive.ts";
import { decodeNotification } from "../../src/wire/notification.ts";
import { decodeOpen, encodeOpen, isWireError, type Open } from "../../src/wire/open.ts";
import { emptyAttributes, type PathAttributes, SegmentType } from "../../src/wire/path-attributes.ts";
import { type NlriList, UpdateScratch } from "../../src/wire/scratch.ts";
import { decodeUpdate } from "../../src/wire/update-decode.ts";
import { encodeUpdate } from "../../src/wire/update-simple.ts";
import { finallyDo } from "./harness.ts";

export interface SpeakerOptions {
  /** Own address, which is the neighbor's address for the daemon. */
  readonly local: string;
  readonly port: number;
  /** The daemon's address. */
  readonly remote?: string;
  readonly asn?: number;
  readonly holdTimeS?: number;
  readonly routerId?: number;
  /** Without IPv4 unicast and four-octet AS numbers, which are added unless `bare`. */
  readonly capabilities?: readonly Capability[];
  readonly bare?: boolean;
}

export interface Message {
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** One route as it came over the wire. */
export interface WireRoute {
  readonly nextHop: string;
  readonly asPath: readonly number[];
  readonly attributes: PathAttributes;
}

export class Speaker {
  readonly messages: Message[] = [];
  /** What the daemon announces, by prefix. */
  readonly routes = new Map<string, WireRoute>();
  /** Prefixes announced or withdrawn since the start, one entry each time. */
  readonly announced: string[] = [];
  readonly withdrawn: string[] = [];
  updates = 0;
  endOfRib = 0;
  closed = false;
  /** Error code of the socket; empty when it ended in order. */
  closedBy = "";
  /** KEEPALIVEs are sent when they come, so that the session stays. */
  autoKeepalive = true;
  readonly socket: net.Socket;
  readonly options: SpeakerOptions;
  private rest: Buffer = Buffer.alloc(0);
  private waiting: (() => void)[] = [];
  private readonly scratch = new UpdateScratch();
  private fourOctetAs = true;
  private extended = false;

  /** Connects and sends nothing. */
  static async connect(t: TestContext, options: SpeakerOptions): Promise<Speaker> {
    const { local, port, remote = local.includes(":") ? "::1" : "127.0.0.1" } = options;
    const socket = net.connect({ host: remote, port, localAddress: local });
    const speaker = new Speaker(t, options, socket);
    await once(socket, "connect");
    return speaker;
  }

  /** Connects and brings the session up. */
  static async establish(t: TestContext, options: SpeakerOptions): Promise<Speaker> {
    const speaker = await Speaker.connect(t, options);
    await speaker.handshake();
    return speaker;
  }

  constructor(t: TestContext, options: SpeakerOptions, socket: net.Socket) {
    this.options = options;
    this.socket = socket;
    this.fourOctetAs = !options.bare;
    this.extended = options.capabilities?.some(({ kind }) => kind === "extended-message") ?? false;
    socket.setNoDelay(true);
    socket.on("data", (chunk) => this.take(chunk as Buffer));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.closedBy = error.code ?? error.message;
    });
    socket.on("close", () => {
      this.closed = true;
      this.wake();
    });
    socket.on("end", () => this.wake());
    finallyDo(t, () => socket.destroy());
  }

  get open(): Uint8Array {
    const { asn = 65_002, holdTimeS = 90, routerId = 0x0a00_0002, capabilities = [], bare } = this.options;
    const standard: Capability[] = [
      { kind: "multiprotocol", afi: 1, safi: 1 },
      { kind: "route-refresh" },
      { kind: "four-octet-as", asn },
    ];
    return encodeOpen({
      asn,
      holdTimeS,
      routerId,
      capabilities: bare ? [...capabilities] : [...standard, ...capabilities],
    });
  }

  async handshake(): Promise<void> {
    this.send(this.open);
    await this.next(1);
    this.send(keepaliveBytes);
    await this.next(4);
  }

  /** The OPEN that the daemon sent. */
  get remoteOpen(): Open {
    const { bytes } = this.messages.find(({ type }) => type === 1) as Message;
    const open = decodeOpen(bytes, 0, bytes.length);
    assert.ok(!isWireError(open));
    return open;
  }

  send(...parts: readonly Uint8Array[]): void {
    for (const part of parts) this.socket.write(part);
  }

  keepalive(): void {
    this.send(keepaliveBytes);
  }

  announce(prefixes: readonly string[], attributes: Partial<PathAttributes> = {}): void {
    this.send(announcement(prefixes, { ...defaults(this.options.asn ?? 65_002), ...attributes }));
  }

  withdraw(prefixes: readonly string[]): void {
    this.send(encodeUpdate({ withdrawn: prefixes.map(prefixOf) })!);
  }

  /** Waits for `check` to hold, looking again whenever something arrives. */
  async until(what: string, check: () => boolean, ms = 5_000): Promise<void> {
    const end = performance.now() + ms;
    while (!check()) {
      const left = end - performance.now();
      if (left <= 0) {
        const seen = this.messages.map(({ type }) => type).join(" ");
        throw new Error(
          `not within ${ms} ms: ${what}; messages: ${seen.slice(-200)}; closed: ${this.closed}`,
        );
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** The first message of a type, from those that came or that come. */
  async next(type: number, ms?: number): Promise<Message> {
    await this.until(`message of type ${type}`, () => this.messages.some((each) => each.type === type), ms);
    return this.messages.find((each) => each.type === type) as Message;
  }

  /** Waits for the NOTIFICATION and the end of the connection; `6/2 data`, in hexadecimal after the blank. */
  async notification(ms = 5_000): Promise<string> {
    const { bytes } = await this.next(3, ms);
    await this.until("the connection to be closed", () => this.closed || this.socket.readableEnded, ms);
    const data = Buffer.from(bytes.subarray(21)).toString("hex");
    return `${bytes[19]}/${bytes[20]}${data === "" ? "" : ` ${data}`}`;
  }

  /** RFC 9003 text of the NOTIFICATION. */
  async shutdownText(): Promise<string> {
    const { bytes } = await this.next(3);
    return decodeNotification(bytes, 0, bytes.length).shutdownMessage;
  }

  /** Waits until exactly these prefixes are announced. */
  async sees(prefixes: readonly string[], ms?: number): Promise<void> {
    const wanted = [...prefixes].sort().join(" ");
    await this.until(`routes ${wanted}`, () => [...this.routes.keys()].sort().join(" ") === wanted, ms);
  }

  /** Forgets what was counted, not what is known. */
  forget(): void {
    this.messages.length = 0;
    this.announced.length = 0;
    this.withdrawn.length = 0;
    this.updates = 0;
    this.endOfRib = 0;
  }

  close(): void {
    this.socket.end();
  }

  private take(chunk: Buffer): void {
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    let at = 0;
    while (this.rest.length - at >= 19) {
      const length = this.rest.readUInt16BE(at + 16);
      if (this.rest.length - at < length) break;
      this.message(Uint8Array.from(this.rest.subarray(at, at + length)));
      at += length;
    }
    this.rest = this.rest.subarray(at);
    this.wake();
  }

  private message(bytes: Uint8Array): void {
    const type = bytes[18];
    this.messages.push({ type, bytes });
    assert.ok(bytes.length <= (this.extended ? 65_535 : 4_096), `a message of ${bytes.length} bytes`);
    if (type === 4 && this.autoKeepalive && this.messages.some((each) => each.type === 4)) {
      if (!this.socket.writableEnded && this.messages.filter((each) => each.type === 4).length > 1)
        this.keepalive();
    }
    if (type === 2) this.update(bytes);
  }

  private update(bytes: Uint8Array): void {
    const out = this.scratch;
    this.updates++;
    const context = { fourOctetAs: this.fourOctetAs, addPath: 0, external: true, families: 3 };
    const looped = leaveLoopback(bytes);
    decodeUpdate(bytes, 0, bytes.length, context, out);
    assert.equal(
      out.problems.length,
      0,
      `the daemon sent what it should not: ${JSON.stringify(out.problems)}`,
    );
    if (out.endOfRib !== undefined) this.endOfRib++;
    for (const list of [out.withdrawn, out.mpWithdrawn]) {
      for (const prefix of prefixesOf(list, bytes)) {
        this.withdrawn.push(prefix);
        this.routes.delete(prefix);
      }
    }
    for (const [list, block] of [
      [out.reach, out.block],
      [out.mpReach, out.mpBlock],
    ] as const) {
      if (list.count === 0) continue;
      const attributes = decodeBlock(block.bytes.slice(block.start, block.end), 0, block.end - block.start);
      const asPath = attributes.asPath.flatMap((segment) => segment.asns);
      if (looped) attributes.nextHop[0] -= loopbackShift;
      const nextHop = formatIp(attributes.nextHop.subarray(0, list.family.addressBytes));
      for (const prefix of prefixesOf(list, bytes)) {
        this.announced.push(prefix);
        this.routes.set(prefix, { nextHop, asPath, attributes });
      }
    }
  }

  private wake(): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const resolve of waiting) resolve();
  }
}

const loopbackShift = 1;

/**
 * The decoder refuses loopback next hops, which are what the daemon has to send on sessions over the loopback: 127.x
 * becomes 128.x and ::1 becomes 100::1. @returns whether something was changed
 */
function leaveLoopback(bytes: Uint8Array): boolean {
  let at = 23 + ((bytes[19] << 8) | bytes[20]);
  while (at + 3 <= bytes.length) {
    const extended = (bytes[at] & 0x10) !== 0;
    const head = extended ? 4 : 3;
    const length = extended ? (bytes[at + 2] << 8) | bytes[at + 3] : bytes[at + 2];
    const value = at + head;
    const type = bytes[at + 1];
    const nextHopAt = type === 3 ? value : type === 14 ? value + 4 : -1;
    const isLoopback = (): boolean =>
      type === 3 ? bytes[value] === 127 : formatIp(bytes, nextHopAt, 16) === "::1" && bytes[value + 3] === 16;
    if (nextHopAt >= 0 && isLoopback()) {
      bytes[nextHopAt] += loopbackShift;
      return true;
    }
    at = value + length;
  }
  return false;
}

function* prefixesOf(list: NlriList, bytes: Uint8Array): Generator<string> {
  for (let i = 0; i < list.count; i++) {
    const address = new Uint8Array(list.family.addressBytes);
    address.set(bytes.subarray(list.at[i], list.at[i] + ((list.length[i] + 7) >> 3)));
    yield `${formatIp(address)}/${list.length[i]}`;
  }
}

export function prefixOf(text: string): Prefix {
  const prefix = parsePrefix(text);
  assert.ok(typeof prefix !== "string" && prefix !== undefined, text);
  return prefix as Prefix;
}

/** Attributes of an eBGP announcement from `asn`. */
export function defaults(asn: number): PathAttributes {
  return {
    ...emptyAttributes(),
    asPath: [{ type: SegmentType.sequence, asns: [asn] }],
    nextHop: parseIp("10.0.0.2")!,
  };
}

export function announcement(prefixes: readonly string[], attributes: PathAttributes): Uint8Array {
  const bytes = encodeUpdate({ reach: prefixes.map(prefixOf), attributes });
  assert.ok(bytes, "attributes fit no message");
  return bytes;
}

/**
 * UPDATEs for `count` IPv4 prefixes of length 24 from 20.0.0.0 on, `perMessage` in each, as one buffer. Each message
 * has attributes of its own: a community that counts.
 */
export function flood(count: number, perMessage: number, attributes: PathAttributes, first = 0): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let from = first; from < first + count; from += perMessage) {
    const reach: Prefix[] = [];
    for (let i = from; i < Math.min(first + count, from + perMessage); i++) {
      reach.push({ bytes: Uint8Array.of(20 + (i >> 16), (i >> 8) & 255, i & 255, 0), length: 24 });
    }
    parts.push(
      encodeUpdate({ reach, attributes: { ...attributes, communities: [...attributes.communities, from] } })!,
    );
  }
  return Buffer.concat(parts);
}

/** An IPv6 unicast speaker's capability. */
export const ipv6Unicast: Capability = { kind: "multiprotocol", afi: families[1].afi, safi: 1 };
