/** Keys and peers of WireGuard links in Linux. The kernel tells of no change, so those that matter are looked at now and then. */
import type { Observed } from "../artifact.ts";
import type { KernelOperation, KernelOutcome } from "../kernel-port.ts";
import {
  askDevice,
  askFamily,
  DeviceReader,
  deviceWrites,
  genericNetlink,
  readFamily,
} from "../netlink/wireguard.ts";
import { type NetlinkCalls, NetlinkSocket } from "./netlink-socket.ts";

export interface WireGuardHost {
  errnoName(errno: number): string;
}

const EOPNOTSUPP = 95;

export class WireGuardLinks {
  private readonly calls: NetlinkCalls;
  private readonly host: WireGuardHost;
  private socket: NetlinkSocket | undefined;
  /** Type of its messages; 0 while the kernel has no such family, which comes with the first link. */
  private family = 0;

  constructor(calls: NetlinkCalls, host: WireGuardHost) {
    this.calls = calls;
    this.host = host;
  }

  close(): void {
    this.socket?.close();
  }

  /** @returns null for a link that is not there, or cannot be looked at */
  async read(ifname: string): Promise<Observed | null> {
    if (!(await this.findFamily())) return null;
    const reader = new DeviceReader();
    return new Promise((resolve) =>
      this.socket!.request({
        isDump: true,
        write: (out, sequence) => askDevice(out, sequence, this.family, ifname),
        message: (bytes, { at, end }) => reader.message(bytes, at, end),
        done: ({ errno }) => resolve(errno === 0 ? { facts: reader.facts(), identity: "" } : null),
      }),
    );
  }

  /** One request after the other: what follows may need networks that those before it set free. */
  async apply({ key, before, facts }: KernelOperation): Promise<KernelOutcome> {
    if (!(await this.findFamily()))
      return { error: this.host.errnoName(EOPNOTSUPP), detail: "this kernel has no WireGuard" };
    for (const write of deviceWrites(key, before?.facts ?? {}, facts)) {
      const { errno, text } = await new Promise<{ errno: number; text: string }>((done) =>
        this.socket!.request({
          isDump: false,
          write: (out, sequence) => write(out, sequence, this.family),
          message: () => undefined,
          done,
        }),
      );
      if (errno !== 0) return { error: this.host.errnoName(errno), detail: text };
    }
    return { error: "", detail: "", observed: await this.read(key) };
  }

  private open(): boolean {
    const socket = NetlinkSocket.open(
      this.calls,
      [],
      { message: () => undefined, overrun: () => undefined },
      genericNetlink,
    );
    if (typeof socket === "number") return false;
    this.socket = socket;
    return true;
  }

  private findFamily(): Promise<boolean> {
    if (this.family !== 0) return Promise.resolve(true);
    if (!this.socket && !this.open()) return Promise.resolve(false);
    return new Promise((resolve) =>
      this.socket!.request({
        isDump: false,
        write: askFamily,
        message: (bytes, { at, end }) => {
          this.family = readFamily(bytes, at, end);
        },
        done: () => resolve(this.family !== 0),
      }),
    );
  }
}
