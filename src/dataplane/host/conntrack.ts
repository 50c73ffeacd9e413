/** Flows that Linux translates: read whole for each page, and evicted one by one. For a thread of its own. */
import {
  askFlows,
  flowMessage,
  readFlow,
  type TrackedFlow,
  writeFlowDelete,
} from "../netlink/conntrack-wire.ts";
import { netfilterProtocol } from "../netlink/netfilter-wire.ts";
import { AddressFamily } from "../netlink/route-wire.ts";
import {
  type Eviction,
  evictionsMax,
  matching,
  PageCollector,
  type TranslationPage,
  type TranslationQuery,
  type TranslationTable,
  translated,
} from "../translations.ts";
import { type NetlinkCalls, NetlinkSocket } from "./netlink-socket.ts";

const EPERM = 1;
const ENOENT = 2;
const EINVAL = 22;
const EOPNOTSUPP = 95;

export class Conntrack implements TranslationTable {
  private readonly calls: NetlinkCalls;
  private readonly errnoName: (errno: number) => string;
  private socket: NetlinkSocket | undefined;

  constructor(calls: NetlinkCalls, errnoName: (errno: number) => string) {
    this.calls = calls;
    this.errnoName = errnoName;
  }

  async list(query: TranslationQuery): Promise<TranslationPage> {
    const collector = new PageCollector(query);
    const failure = await this.each((flow) => collector.take(flow));
    return collector.page(failure);
  }

  async evict(query: Pick<TranslationQuery, "filter" | "rules">, dryRun: boolean): Promise<Eviction> {
    const chosen: { readonly flow: Pick<TrackedFlow, "name" | "zone" | "id">; readonly family: number }[] =
      [];
    let left = 0;
    const failure = await this.each((flow, family) => {
      if (!matching(flow, query)) return;
      const { name, zone, id } = flow;
      if (dryRun || chosen.length === evictionsMax) left++;
      else chosen.push({ flow: { name, zone, id }, family });
    });
    if (failure !== "") return { evicted: 0, gone: 0, left, failure };
    let [evicted, gone, refused] = [0, 0, ""];
    const deletions = chosen.map(async ({ flow, family }) => {
      const errno = await this.forget(flow, family);
      if (errno === 0) evicted++;
      else if (errno === ENOENT) gone++;
      else refused = this.why(errno);
    });
    await Promise.all(deletions);
    return { evicted, gone, left: left + chosen.length - evicted - gone, failure: refused };
  }

  close(): void {
    this.socket?.close();
    this.socket = undefined;
  }

  /** Visits the flows that are translated. @returns why that was not possible; empty when it was */
  private async each(visit: (flow: TrackedFlow, family: number) => void): Promise<string> {
    for (const family of [AddressFamily.ip4, AddressFamily.ip6]) {
      const errno = await this.dump(family, visit);
      if (errno !== 0) return this.why(errno);
    }
    return "";
  }

  private dump(family: number, visit: (flow: TrackedFlow, family: number) => void): Promise<number> {
    const socket = this.open();
    if (typeof socket === "number") return Promise.resolve(-socket);
    return new Promise((resolve) => {
      socket.request({
        isDump: true,
        write: (out, sequence) => askFlows(out, sequence, family),
        message: (bytes, { type, at, end }) => {
          const flow = type === flowMessage ? readFlow(bytes, at, end, translated) : undefined;
          if (flow) visit(flow, family);
        },
        done: ({ errno }) => resolve(errno),
      });
    });
  }

  private forget(flow: Pick<TrackedFlow, "name" | "zone" | "id">, family: number): Promise<number> {
    const socket = this.open();
    if (typeof socket === "number") return Promise.resolve(-socket);
    return new Promise((resolve) => {
      socket.request({
        isDump: false,
        write: (out, sequence) => writeFlowDelete(out, sequence, family, flow),
        message: () => undefined,
        done: ({ errno }) => resolve(errno),
      });
    });
  }

  private open(): NetlinkSocket | number {
    if (this.socket) return this.socket;
    const nothing = { message: () => undefined, overrun: () => undefined };
    const socket = NetlinkSocket.open(this.calls, [], nothing, netfilterProtocol);
    if (typeof socket !== "number") this.socket = socket;
    return socket;
  }

  private why(errno: number): string {
    if (errno === EPERM) return "cairnd needs the capability CAP_NET_ADMIN to see them";
    if (errno === EINVAL || errno === EOPNOTSUPP)
      return "this kernel does not tell of them (nf_conntrack_netlink is missing)";
    return `the kernel does not tell of them: ${this.errnoName(errno)}`;
  }
}
