/**
 * The fake kernel as a host: links are told as the kernel's observer tells of them, what is asked is carried out, and
 * every change is told before the outcome of what caused it.
 */
import { parseIp } from "../base/ip.ts";
import type { ArtifactName, Fact } from "./artifact.ts";
import { artifactClasses } from "./classes.ts";
import { FakeKernel } from "./fake-kernel.ts";
import type { Link } from "./kernel-model.ts";
import type { KernelFact, KernelOperation, KernelOutcome } from "./kernel-port.ts";

export interface DataplaneNews {
  /** All that concerns us of the class `all`, or changes. */
  facts(all: string | undefined, facts: readonly KernelFact[]): void;
  links(changed: readonly Link[], gone: readonly number[]): void;
  applied(batch: number, outcomes: readonly KernelOutcome[]): void;
}

export class MemoryDataplane {
  readonly kernel = new FakeKernel(artifactClasses);
  private readonly news: DataplaneNews;
  private told = new Map<number, string>();

  constructor(news: DataplaneNews) {
    this.news = news;
  }

  /** A link that is there without us, as hardware is. */
  plug(name: string, addresses: readonly string[] = []): void {
    const identity = String(this.kernel.takeIndex());
    this.kernel.set({ class: "link", key: name }, { facts: { kind: "" }, identity });
    this.settingsOf(name, identity, "up");
    for (const address of addresses) {
      this.kernel.set({ class: "address", key: `${name} ${address}` }, { facts: {}, identity: "" });
    }
  }

  /** Tells everything, to somebody who knows nothing yet. */
  start(): void {
    this.told.clear();
    this.kernel.takeNotices();
    for (const { name } of artifactClasses) this.news.facts(name, this.kernel.dump(name));
    this.tellLinks();
  }

  /** Tells what changed by another hand. */
  tell(): void {
    const notices = this.kernel.takeNotices();
    if (notices.length === 0) return;
    this.news.facts(undefined, notices);
    this.tellLinks();
  }

  watch(names: readonly ArtifactName[]): void {
    this.news.facts(
      undefined,
      names.map((name) => ({ class: name.class, key: name.key, observed: this.kernel.get(name) ?? null })),
    );
  }

  apply(batch: number, operations: readonly KernelOperation[]): void {
    const outcomes = this.kernel.apply(operations);
    for (const { verb, class: className, key } of operations) {
      const link = className === "link" && verb === "create" && this.kernel.get({ class: "link", key });
      if (link) this.settingsOf(key, link.identity, "down");
    }
    this.followBridges();
    this.tell();
    this.news.applied(batch, outcomes);
  }

  /** What all links have from the start. */
  private settingsOf(name: string, index: string, admin: "up" | "down"): void {
    const mac = `02:00:00:00:00:${Number(index).toString(16).padStart(2, "0").slice(-2)}`;
    for (const [property, value] of Object.entries<Fact>({ mtu: 1500, admin, master: "", mac }))
      this.setting(name, property, value);
    if (this.kernel.get({ class: "link", key: name })?.facts.kind !== "wireguard") return;
    const facts = { mark: 0, peers: [], presharedKeys: [], endpoints: {} };
    this.kernel.set({ class: "wireguard", key: name }, { facts, identity: "" });
  }

  private setting(name: string, property: string, value: Fact): void {
    const setting = { class: "link-setting", key: `${name} ${property}` };
    if (!this.kernel.get(setting)) this.kernel.set(setting, { facts: { value }, identity: "" });
  }

  /** A port of a bridge that keeps VLANs apart has them, and begins with VLAN 1; all others have none. */
  private followBridges(): void {
    for (const { key: name, observed } of this.kernel.dump("link")) {
      const master = this.kernel.get({ class: "link-setting", key: `${name} master` })?.facts.value;
      const bridge = this.kernel.get({ class: "link", key: String(master ?? "") });
      if ((bridge ?? observed)?.facts.vlanFiltering === true)
        this.setting(name, "vlans", ["1 pvid untagged"]);
      else this.kernel.set({ class: "link-setting", key: `${name} vlans` }, null);
    }
  }

  private tellLinks(): void {
    const links = this.kernel.dump("link").map((fact) => this.linkOf(fact));
    const now = new Map(links.map((link) => [link.index, JSON.stringify(link, bytesAsText)]));
    const changed = links.filter((link) => this.told.get(link.index) !== now.get(link.index));
    const gone = [...this.told.keys()].filter((index) => !now.has(index));
    this.told = now;
    this.news.links(changed, gone);
  }

  private linkOf({ key: name, observed }: KernelFact): Link {
    const setting = (property: string): unknown =>
      this.kernel.get({ class: "link-setting", key: `${name} ${property}` })?.facts.value;
    const enabled = setting("admin") === "up";
    const master = String(setting("master") ?? "");
    return {
      index: Number(observed!.identity),
      name,
      enabled,
      up: enabled,
      loopback: name === "lo",
      operState: enabled ? "up" : "down",
      mtu: Number(setting("mtu") ?? 1500),
      mac: String(setting("mac") ?? ""),
      kind: String(observed!.facts.kind ?? ""),
      master: Number(this.kernel.get({ class: "link", key: master })?.identity ?? 0),
      parent: Number(
        this.kernel.get({ class: "link", key: String(observed!.facts.parent ?? "") })?.identity ?? 0,
      ),
      data: observed!.facts,
      vlans: setting("vlans") as readonly string[] | undefined,
      addresses: this.kernel
        .dump("address")
        .map(({ key }) => key.split(" "))
        .filter(([device]) => device === name)
        .map(([, address]) => {
          const [text, length] = address.split("/");
          return { address: parseIp(text)!, length: Number(length) };
        }),
    };
  }
}

function bytesAsText(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? [...value].join(".") : value;
}
