/** One TCP connection as the core sees it: an id, a bounded inbox and an account of what still has to go out. */
import { limits } from "../base/limits.ts";
import type { ConnId } from "./inputs.ts";
import type { Attempt } from "./sessions-peer.ts";

const inboxBytesMin = 4096;
/** An emptied inbox above this is given back when only a KEEPALIVE was in it. */
const inboxBytesIdle = 16_384;

export class Connection {
  readonly id: ConnId;
  readonly outbound: boolean;
  readonly remoteAddress: string;
  readonly remotePort: number;
  localAddress = "";
  localPort = 0;
  /** The machine it belongs to; undefined while it waits for the end of an idle hold. */
  attempt: Attempt | undefined = undefined;

  inbox: Uint8Array = new Uint8Array(inboxBytesMin);
  /** Unprocessed bytes stand at `inbox[readAt, writeAt)`. */
  readAt = 0;
  writeAt = 0;
  paused = false;
  /** In the list of connections to be pumped. */
  listed = false;
  lastArrivalMs: number;
  /** The neighbor closed or the transport failed; told to the machine once the inbox is worked off. */
  closed = false;
  closeError: string | undefined = undefined;

  /** Bytes handed to the shell and not yet taken by the kernel, as far as we know. */
  queuedBytes = 0;
  /** When the kernel last took bytes, or the queue was empty. */
  progressMs: number;
  /** `room` said no; `writable` is owed. */
  full = false;

  constructor(id: ConnId, outbound: boolean, remoteAddress: string, remotePort: number, nowMs: number) {
    this.id = id;
    this.outbound = outbound;
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
    this.lastArrivalMs = nowMs;
    this.progressMs = nowMs;
  }

  get inboxBytes(): number {
    return this.writeAt - this.readAt;
  }

  /** Copies `bytes` behind what is there. The shell is asked to pause in time, so growth is bounded. */
  append(bytes: Uint8Array, nowMs: number): void {
    this.lastArrivalMs = nowMs;
    if (this.writeAt + bytes.length > this.inbox.length) this.makeRoom(bytes.length);
    this.inbox.set(bytes, this.writeAt);
    this.writeAt += bytes.length;
  }

  /** To be called when a message was taken out. */
  consumed(to: number): void {
    this.readAt = to;
    if (this.readAt === this.writeAt) {
      this.readAt = 0;
      this.writeAt = 0;
    }
  }

  /** Gives a large buffer back once the burst is over. */
  shrink(): void {
    if (this.writeAt === 0 && this.inbox.length > inboxBytesIdle) this.inbox = new Uint8Array(inboxBytesMin);
  }

  private makeRoom(more: number): void {
    const held = this.inboxBytes;
    let capacity = this.inbox.length;
    while (capacity < held + more) capacity *= 2;
    const target = capacity === this.inbox.length ? this.inbox : new Uint8Array(capacity);
    if (target === this.inbox) target.copyWithin(0, this.readAt, this.writeAt);
    else target.set(this.inbox.subarray(this.readAt, this.writeAt));
    this.inbox = target;
    this.readAt = 0;
    this.writeAt = held;
  }

  get overfull(): boolean {
    return this.inboxBytes > limits.connInboxBytesMax;
  }
}
