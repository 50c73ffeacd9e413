/** The classes of artifacts, in the order in which they stand on each other. To add one: a row here, and its codec in the host. */
import type { Artifact, ArtifactClass, Fact, Facts } from "./artifact.ts";
import { needsNewLink } from "./netlink/link-kinds.ts";

export const artifactClasses: readonly ArtifactClass[] = [
  /**
   * Key: `CHAIN ORDER KIND/NAME` for a group of rules, `set NAME` for a set, all of them in cairn's own table. First, so that no
   * address is there without the firewall in front of it; rules need no links.
   */
  { name: "nft", order: 5, nature: "entry", onDemand: true, exclusive: true, together: true },
  /** A link that cairn makes. Key: its name. Identity: its index. */
  { name: "link", order: 10, nature: "entry", needsNew: needsNewLink },
  /** One property of any link. Key: `NAME PROPERTY`. */
  { name: "link-setting", order: 20, nature: "setting" },
  /** Keys and peers of a WireGuard link. Key: the name of the link. */
  {
    name: "wireguard",
    order: 22,
    nature: "setting",
    onDemand: true,
    moving: ["endpoints"],
    secrets: ["privateKey", "presharedKeys"],
  },
  /** Key: the name with dots. */
  { name: "sysctl", order: 25, nature: "setting", onDemand: true },
  /** Key: `LINK ADDRESS/LENGTH`. */
  { name: "address", order: 30, nature: "entry" },
  /** Key: `TABLE PREFIX METRIC`. Identity: the protocol mark. */
  { name: "route", order: 50, nature: "entry", mark: "protocol" },
  /** Key: `ip4 PRIORITY SELECTOR` as in `ruleKey`. Identity: the protocol mark. */
  { name: "rule", order: 60, nature: "entry", mark: "protocol" },
];

/** Facts for people to read: of what is secret they are told that it is there. */
export function shownFacts({ class: name, facts }: Pick<Artifact, "class" | "facts">): Facts {
  const { secrets = [] } = artifactClasses.find((each) => each.name === name) ?? {};
  const shown: Record<string, Fact> = { ...facts };
  for (const secret of secrets) if (shown[secret] !== undefined) shown[secret] = "(secret)";
  return shown;
}
