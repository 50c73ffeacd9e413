/** Text forms of string fields (options.proto, `Format`): each is checked and put into its one canonical form. */
import { base64Value } from "../base/base64.ts";
import { formatIp, formatPrefix, parseHostPort, parseIp, parseIp4, parsePrefix } from "../base/ip.ts";
import { formatPeer, isLinkLocalAddress, parsePeer } from "../base/peer-address.ts";
import { nearestName } from "../base/problem.ts";
import { Format } from "../gen/cairn/v1/options_pb.ts";
import { anyAsns, asnsReadBy, withAsns } from "../policy/session-asns.ts";
import {
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
  parseCommunity,
  parseExtendedCommunity,
  parseLargeCommunity,
} from "../wire/community-text.ts";
import { families, familyByName } from "../wire/family.ts";

export type Canonical =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly message: string; readonly fix?: string };

const good = (text: string): Canonical => ({ ok: true, text });
const bad = (message: string, fix?: string): Canonical => ({ ok: false, message, ...(fix ? { fix } : {}) });

type Rule = (text: string) => Canonical;

const rules: Readonly<Record<number, Rule>> = {
  [Format.IP]: canonicalIp,
  [Format.ROUTER_ID]: canonicalRouterId,
  [Format.PREFIX]: canonicalPrefix,
  [Format.LISTEN]: canonicalListen,
  [Format.FAMILY]: canonicalFamily,
  [Format.NAME]: canonicalName,
  [Format.COMMUNITY]: canonicalCommunity,
  [Format.PATH]: canonicalPath,
  [Format.NEXT_HOP]: canonicalNextHop,
  [Format.POLICY_COMMUNITY]: canonicalPolicyCommunity,
  [Format.NEIGHBOR]: canonicalNeighbor,
  [Format.IFNAME]: canonicalIfname,
  [Format.INTERFACE_ADDRESS]: canonicalInterfaceAddress,
  [Format.SYSCTL]: canonicalSysctl,
  [Format.MAC]: canonicalMac,
  [Format.WIREGUARD_KEY]: canonicalWireGuardKey,
};

/** The canonical form of `text`, or one sentence on what is wrong with it. A format without rule takes any text. */
export function canonicalText(format: Format, text: string): Canonical {
  const rule = rules[format];
  return rule ? rule(text) : good(text);
}

export function canonicalIp(text: string): Canonical {
  const bytes = parseIp(text);
  if (bytes) return good(formatIp(bytes));
  if (text.includes("%")) return bad(`"${text}" has a zone, which is not supported here`);
  if (text.includes("/"))
    return bad(`"${text}" is a prefix where an address is wanted`, "leave out the length");
  return bad(`"${text}" is not an IP address`);
}

/** As the kernel's dev_valid_name (net/core/dev.c), and without what tools take for something else. */
function canonicalIfname(text: string): Canonical {
  if (text.length > 15) return bad(`"${text}" has ${text.length} characters, and the kernel takes 15`);
  if (text === "" || text === "." || text === ".." || !/^[!-~]+$/.test(text) || /[/:%@"']/.test(text)) {
    return bad(`"${text}" is not a name that the kernel takes for an interface`);
  }
  return good(text);
}

function canonicalInterfaceAddress(text: string): Canonical {
  const [address, length, ...more] = text.split("/");
  const bytes = parseIp(address);
  if (!bytes) return bad(`"${text}" is not an address with a length`, 'write "192.0.2.1/24"');
  const max = bytes.length * 8;
  if (length === undefined)
    return bad(`"${text}" has no length`, `write "${formatIp(bytes)}/${max}" for a single one`);
  if (more.length > 0 || !/^\d{1,3}$/.test(length) || Number(length) > max) {
    return bad(`"${text}" has no length from 0 to ${max}`);
  }
  return good(`${formatIp(bytes)}/${Number(length)}`);
}

function canonicalSysctl(text: string): Canonical {
  if (/^[a-z0-9_-]+(?:\.[A-Za-z0-9_/:@-]+)+$/.test(text) && !text.includes("..")) return good(text);
  const fix = text.includes("/") ? "write dots, as in net.ipv4.ip_forward" : undefined;
  return bad(`"${text}" is not the name of a sysctl`, fix);
}

function canonicalMac(text: string): Canonical {
  const lower = text.toLowerCase().replaceAll("-", ":");
  if (/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/.test(lower)) return good(lower);
  return bad(`"${text}" is not a hardware address`, "write 02:00:5e:10:00:01");
}

/** What is wrong is not repeated: it may be a secret. */
function canonicalWireGuardKey(text: string): Canonical {
  if (base64Value(text)?.length === 32) return good(text);
  return bad("this is not a key of WireGuard", "32 bytes in base64, as wg genkey writes them");
}

function canonicalNeighbor(text: string): Canonical {
  const peer = parsePeer(text);
  if (peer) return good(formatPeer(peer));
  const [address, zone] = text.split("%");
  const bytes = parseIp(address);
  if (bytes && zone !== undefined && !isLinkLocalAddress(bytes))
    return bad(
      `"${text}" has an interface, which only link-local addresses take`,
      `write ${formatIp(bytes)}`,
    );
  if (bytes) return bad(`"${zone}" is not the name of an interface`);
  if (text.includes("/"))
    return bad(`"${text}" is a prefix where an address is wanted`, "leave out the length");
  return bad(`"${text}" is not an IP address`);
}

function canonicalRouterId(text: string): Canonical {
  const value = parseIp4(text);
  if (value === undefined) return bad(`"${text}" is not a dotted quad such as 192.0.2.1`);
  return value === 0 ? bad("0.0.0.0 cannot be an identifier (RFC 6286)") : good(text);
}

export function canonicalPrefix(text: string): Canonical {
  const prefix = parsePrefix(text);
  if (typeof prefix !== "string") return good(formatPrefix(prefix));
  const [message, fix] = prefix.split("; ");
  return bad(message, fix);
}

function canonicalListen(text: string): Canonical {
  const parsed = parseHostPort(text);
  const bytes = parsed && parseIp(parsed.host);
  if (!parsed || !bytes) {
    return bad(`"${text}" is not ADDRESS:PORT`, 'write "0.0.0.0:179" or "[::]:179"');
  }
  if ((bytes.length === 16) !== text.startsWith("["))
    return bad(`"${text}" is not ADDRESS:PORT`, "IPv6 goes in brackets");
  const host = formatIp(bytes);
  return good(bytes.length === 16 ? `[${host}]:${parsed.port}` : `${host}:${parsed.port}`);
}

function canonicalFamily(text: string): Canonical {
  const known = familyByName(text) ?? familyByName(text.toLowerCase());
  if (known) return good(known.name);
  const names = families.map((family) => family.name);
  const near = nearestName(text, names);
  return bad(
    `"${text}" is not an address family`,
    near ? `did you mean ${near}` : `one of ${names.join(", ")}`,
  );
}

function canonicalName(text: string): Canonical {
  if (/^[A-Za-z0-9._-]{1,63}$/.test(text)) return good(text);
  return bad(
    `"${text.slice(0, 80)}" is not a name`,
    "letters, digits, dot, dash and underscore; 1 to 63 of them",
  );
}

/** The same, where words of session-asns.ts may stand for AS numbers. */
function canonicalPolicyCommunity(text: string): Canonical {
  if (asnsReadBy([text]) === 0) return canonicalCommunity(text);
  const filled = canonicalCommunity(withAsns(text, anyAsns));
  return filled.ok ? good(text) : bad(`"${text}" is not a community`, filled.fix);
}

/** A standard, large or extended community. */
export function canonicalCommunity(text: string): Canonical {
  const standard = parseCommunity(text);
  if (standard !== undefined) return good(formatCommunity(standard));
  const large = parseLargeCommunity(text);
  if (large) return good(formatLargeCommunity(large));
  const extended = parseExtendedCommunity(text);
  if (extended !== undefined) return good(formatExtendedCommunity(extended));
  return bad(`"${text}" is not a community`, "write 65000:1, no-export, 65000:1:2 or rt:65000:1");
}

function canonicalPath(text: string): Canonical {
  if (text === "") return bad("the path of a file cannot be empty");
  return text.includes("\0") ? bad("the path of a file cannot hold a zero byte") : good(text);
}

const nextHopWords = ["self", "peer", "unchanged", "discard"];

function canonicalNextHop(text: string): Canonical {
  const word = text.toLowerCase();
  if (nextHopWords.includes(word)) return good(word);
  const bytes = parseIp(text);
  return bytes
    ? good(formatIp(bytes))
    : bad(`"${text}" is not a next hop`, "an address, self, peer, unchanged or discard");
}

/** Length of `text` in UTF-8. */
export function utf8Bytes(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) bytes++;
    else if (unit < 0x800) bytes += 2;
    else if (unit >= 0xd800 && unit < 0xdc00) {
      bytes += 4;
      i++;
    } else bytes += 3;
  }
  return bytes;
}
