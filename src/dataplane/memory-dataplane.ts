/**
 * The fake kernel as a host: links are told as the kernel's observer tells of them, what is asked is carried out, and
 * every change is told before the outcome of what caused it.
 */
import { parseIp } from "../base/ip.ts";
import type { ArtifactName } from "./artifact.ts";
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
    for (const [property, value] of [
      ["mtu", 1500],
      ["admin", "up"],
      ["master", ""],
    ] as const) {
      this.kernel.set(
        { class: "link-setting", key: `${name} ${property}` },
        { facts: { value }, identity: "" },
      );
    }
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
      // A new link comes with the settings that all links have.
      if (className === "link" && verb === "create" && this.kernel.get({ class: "link", key }))
        this.settingsOf(key);
    }
    this.tell();
    this.news.applied(batch, outcomes);
  }

  private settingsOf(name: string): void {
    for (const [property, value] of [
      ["mtu", 1500],
      ["admin", "down"],
      ["master", ""],
    ] as const) {
      const setting = { class: "link-setting", key: `${name} ${property}` };
      if (!this.kernel.get(setting)) this.kernel.set(setting, { facts: { value }, identity: "" });
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
      mac: "",
      kind: String(observed!.facts.kind ?? ""),
      master: Number(this.kernel.get({ class: "link", key: master })?.identity ?? 0),
      parent: Number(
        this.kernel.get({ class: "link", key: String(observed!.facts.parent ?? "") })?.identity ?? 0,
      ),
      vlanId: Number(observed!.facts.vlanId ?? 0),
      vrfTable: Number(observed!.facts.table ?? 0),
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
