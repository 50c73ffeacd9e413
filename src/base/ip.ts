/**
 * IP addresses and prefixes. Addresses are bytes in network order (4 or 16); IPv4 addresses in hot paths are
 * unsigned 32-bit numbers. Text is canonical: RFC 5952 for IPv6.
 */

/** A parsed prefix: `bytes` holds the whole address (4 or 16 bytes) with host bits zero. */
export interface Prefix {
  readonly bytes: Uint8Array;
  /** Length in bits. */
  readonly length: number;
}

/** Parses dotted-quad text strictly (no leading zeros, exactly four parts); undefined when it is not an address. */
export function parseIp4(text: string): number | undefined {
  let value = 0;
  let parts = 0;
  let at = 0;
  while (parts < 4) {
    let digits = 0;
    let part = 0;
    for (; at < text.length && digits < 4; at++, digits++) {
      const digit = text.charCodeAt(at) - 48;
      if (digit < 0 || digit > 9) break;
      part = part * 10 + digit;
    }
    if (digits === 0 || digits > 3 || part > 255 || (digits > 1 && text[at - digits] === "0"))
      return undefined;
    value = value * 256 + part;
    parts++;
    if (parts < 4 && text[at++] !== ".") return undefined;
  }
  return at === text.length ? value : undefined;
}

/** Parses an IPv4 or IPv6 address without zone into 4 or 16 bytes; undefined when it is neither. */
export function parseIp(text: string): Uint8Array | undefined {
  if (!text.includes(":")) {
    const value = parseIp4(text);
    return value === undefined ? undefined : ip4Bytes(value);
  }
  return parseIp6(text);
}

function parseIp6(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(16);
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = halves[0] === "" ? [] : halves[0].split(":");
  const tail = halves.length === 1 || halves[1] === "" ? [] : halves[1].split(":");
  const groups = expandGroups(head, tail.length === 0) && expandGroups(tail, true) ? [head, tail] : undefined;
  if (!groups) return undefined;
  const count = head.length + tail.length;
  if (halves.length === 1 ? count !== 8 : count > 7) return undefined;
  if (halves.length === 1 && text === "") return undefined;
  const write = (group: string, at: number): boolean => {
    if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return false;
    const value = Number.parseInt(group, 16);
    bytes[at] = value >>> 8;
    bytes[at + 1] = value & 255;
    return true;
  };
  for (let i = 0; i < head.length; i++) if (!write(head[i], i * 2)) return undefined;
  for (let i = 0; i < tail.length; i++) if (!write(tail[i], 16 - (tail.length - i) * 2)) return undefined;
  return bytes;
}

/** Replaces a trailing dotted quad in `groups` by its two hexadecimal groups; false when it is malformed. */
function expandGroups(groups: string[], last: boolean): boolean {
  const text = groups[groups.length - 1];
  if (!last || text === undefined || !text.includes(".")) return true;
  const value = parseIp4(text);
  if (value === undefined) return false;
  groups.splice(groups.length - 1, 1, (value >>> 16).toString(16), (value & 0xffff).toString(16));
  return true;
}

/** Network-order bytes of an IPv4 address. */
export function ip4Bytes(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** Reads 4 bytes in network order as an unsigned number. */
export function readIp4(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}

export function formatIp4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** Canonical text of the 4 or 16 address bytes at `at`; IPv6 by RFC 5952, IPv4-mapped with a dotted tail. */
export function formatIp(bytes: Uint8Array, at = 0, length = bytes.length - at): string {
  if (length === 4) return formatIp4(readIp4(bytes, at));
  const groups: number[] = [];
  for (let i = 0; i < 8; i++) groups.push((bytes[at + i * 2] << 8) | bytes[at + i * 2 + 1]);
  if (groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)) {
    return `::ffff:${formatIp4(readIp4(bytes, at + 12))}`;
  }
  let bestStart = -1;
  let bestLength = 1; // a single zero group is not shortened (RFC 5952 4.2.2)
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > bestLength) {
      bestStart = i;
      bestLength = run;
    }
    if (run > 0) i += run - 1;
  }
  const hex = (part: number[]): string => part.map((group) => group.toString(16)).join(":");
  if (bestStart < 0) return hex(groups);
  return `${hex(groups.slice(0, bestStart))}::${hex(groups.slice(bestStart + bestLength))}`;
}

/**
 * Parses `ADDRESS/LENGTH`. Host bits are an error, not masked: the answer then names the prefix that was meant.
 * @returns the prefix, or a sentence that says what is wrong
 */
export function parsePrefix(text: string): Prefix | string {
  const slash = text.indexOf("/");
  if (slash < 0) return `"${text}" has no prefix length`;
  const bytes = parseIp(text.slice(0, slash));
  if (!bytes) return `"${text.slice(0, slash)}" is not an IP address`;
  const digits = text.slice(slash + 1);
  const length = /^(0|[1-9][0-9]{0,2})$/.test(digits) ? Number(digits) : -1;
  if (length < 0 || length > bytes.length * 8)
    return `"${digits}" is not a prefix length from 0 to ${bytes.length * 8}`;
  const masked = bytes.slice();
  maskBytes(masked, length);
  for (let i = 0; i < bytes.length; i++) {
    if (masked[i] !== bytes[i])
      return `"${text}" has host bits set; did you mean ${formatIp(masked)}/${length}`;
  }
  return { bytes, length };
}

/** Clears all bits after the first `length` ones. */
export function maskBytes(bytes: Uint8Array, length: number): void {
  for (let i = 0; i < bytes.length; i++) {
    const keep = Math.min(8, Math.max(0, length - i * 8));
    bytes[i] &= (0xff00 >>> keep) & 255;
  }
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatIp(prefix.bytes)}/${prefix.length}`;
}

/** True when the first `prefix.length` bits of `address` (same size) are those of the prefix. */
export function prefixContains(prefix: Prefix, address: Uint8Array): boolean {
  if (prefix.bytes.length !== address.length) return false;
  const whole = prefix.length >> 3;
  for (let i = 0; i < whole; i++) if (prefix.bytes[i] !== address[i]) return false;
  const rest = prefix.length & 7;
  if (rest === 0) return true;
  const mask = (0xff00 >>> rest) & 255;
  return (prefix.bytes[whole] & mask) === (address[whole] & mask);
}

/** Splits `ADDRESS:PORT` or `[V6]:PORT`; undefined when it is not of that form or the port is not 0 to 65535. */
export function parseHostPort(text: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(text);
  if (!match) return undefined;
  const port = Number(match[3]);
  return port > 65535 ? undefined : { host: match[1] ?? match[2], port };
}
