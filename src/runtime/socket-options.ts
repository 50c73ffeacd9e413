/**
 * Options that protect a TCP connection, as Linux wants them: keys of TCP MD5 (RFC 2385) and TCP-AO (RFC 5925), and the
 * lowest TTL that is taken (RFC 5082). Layouts are those of include/uapi/linux/tcp.h.
 */
import { parseIp } from "../base/ip.ts";
import type { HostAbilities } from "../state/kinds/rules.ts";
import type { TcpAoKey } from "../state/session-port.ts";
import { encodeSocketAddress, errnoName, native, nativeMissing, sys } from "./native.ts";

const sockaddrStorageBytes = 128;
const keyBytesMax = 80;
const md5Bytes = 216;
const aoAddBytes = 288;
const aoDelBytes = 144;
const aoInfoBytes = 48;
const md5FlagPrefix = 1;
const algorithmAt = sockaddrStorageBytes;
/** Both algorithms of RFC 5926 give 96 bits. */
const macBytes = 12;
const littleEndian = true;

/** Names of the kernel's crypto for the algorithms of RFC 5926. */
const algorithms: Readonly<Record<TcpAoKey["algorithm"], string>> = {
  "hmac-sha-1-96": "hmac(sha1)",
  "aes-128-cmac-96": "cmac(aes128)",
};

/** `struct tcp_md5sig`; an undefined key takes the one for the prefix away. */
export function encodeMd5(address: string, length: number, key: string | undefined): Uint8Array {
  const bytes = new Uint8Array(md5Bytes);
  const view = new DataView(bytes.buffer);
  const secret = new TextEncoder().encode(key ?? "").subarray(0, keyBytesMax);
  bytes.set(encodeSocketAddress(address, 0)!, 0);
  bytes[sockaddrStorageBytes] = md5FlagPrefix;
  bytes[sockaddrStorageBytes + 1] = length;
  view.setUint16(sockaddrStorageBytes + 2, secret.length, littleEndian);
  bytes.set(secret, sockaddrStorageBytes + 8);
  return bytes;
}

/** `struct tcp_ao_add`. `current`: send with this key and ask the neighbor for it; not for listeners. */
export function encodeAoAdd(address: string, length: number, key: TcpAoKey, current: boolean): Uint8Array {
  const bytes = new Uint8Array(aoAddBytes);
  const view = new DataView(bytes.buffer);
  const text = new TextEncoder();
  const secret = text.encode(key.secret).subarray(0, keyBytesMax);
  bytes.set(encodeSocketAddress(address, 0)!, 0);
  bytes.set(text.encode(algorithms[key.algorithm]), algorithmAt);
  // 192: interface index of a VRF. 196: set_current, set_rnext. 200: padding.
  view.setUint32(196, current ? 3 : 0, littleEndian);
  bytes.set([length, key.sendId, key.receiveId, macBytes, 0, secret.length], 202);
  bytes.set(secret, 208);
  return bytes;
}

/** `struct tcp_ao_del`. */
export function encodeAoDel(address: string, length: number, key: TcpAoKey): Uint8Array {
  const bytes = new Uint8Array(aoDelBytes);
  bytes.set(encodeSocketAddress(address, 0)!, 0);
  bytes.set([length, key.sendId, key.receiveId], 138);
  return bytes;
}

/** `struct tcp_ao_info_opt`: the key to send with, and the one to ask the neighbor for. */
export function encodeAoCurrent(key: TcpAoKey): Uint8Array {
  const bytes = new Uint8Array(aoInfoBytes);
  bytes[0] = 3; // set_current, set_rnext
  bytes.set([key.sendId, key.receiveId], 6);
  return bytes;
}

/** Keys of one prefix. */
export interface SocketKey {
  readonly address: string;
  readonly length: number;
  readonly md5: string | undefined;
  readonly ao: readonly TcpAoKey[];
}

/**
 * Brings the keys of a prefix on one socket from `before` to `after`; both stand for the same prefix.
 * @param listening such a socket has no current key
 * @returns the errno name of what failed first
 */
export function changeKeys(
  fd: number,
  before: SocketKey | undefined,
  after: SocketKey | undefined,
  listening: boolean,
): string | undefined {
  const place = after ?? before;
  if (!place || !native) return native ? undefined : "ENOSYS";
  const { address, length } = place;
  let failure: string | undefined;
  const set = (name: number, value: Uint8Array, forgive = ""): void => {
    const result = native!.setsockopt(fd, sys.IPPROTO_TCP, name, value);
    if (result < 0 && errnoName(result) !== forgive) failure ??= errnoName(result);
  };
  // A socket cannot have keys of both kinds for one address, so the old kind goes first.
  const had = before?.ao ?? [];
  const has = after?.ao ?? [];
  const kept = had.filter((key) => has.some((other) => sameKey(key, other)));
  const gone = had.filter((key) => !kept.includes(key));
  if (before?.md5 !== undefined && after?.md5 === undefined)
    set(sys.TCP_MD5SIG_EXT, encodeMd5(address, length, undefined), "ENOENT");
  // Ids that a new key takes over have to be free; others stay until the socket sends with a new one.
  const inTheWay = gone.filter((key) =>
    has.some((other) => other.sendId === key.sendId || other.receiveId === key.receiveId),
  );
  for (const key of inTheWay) set(sys.TCP_AO_DEL_KEY, encodeAoDel(address, length, key), "ENOENT");
  const added = has.filter((key) => !kept.some((other) => sameKey(key, other)));
  for (const key of added) {
    const current = !listening && had.length === 0 && key === has[0];
    set(sys.TCP_AO_ADD_KEY, encodeAoAdd(address, length, key, current), "EEXIST");
  }
  if (!listening && had.length > 0 && has.length > 0) set(sys.TCP_AO_INFO, encodeAoCurrent(has[0]));
  for (const key of gone)
    if (!inTheWay.includes(key)) set(sys.TCP_AO_DEL_KEY, encodeAoDel(address, length, key), "ENOENT");
  if (after?.md5 !== undefined && after.md5 !== before?.md5)
    set(sys.TCP_MD5SIG_EXT, encodeMd5(address, length, after.md5));
  return failure;
}

/** Takes the MD5 key of a prefix off a socket. @returns false when it has none, or refuses */
export function removeMd5(fd: number, { address, length }: Pick<SocketKey, "address" | "length">): boolean {
  const none = encodeMd5(address, length, undefined);
  return native !== undefined && native.setsockopt(fd, sys.IPPROTO_TCP, sys.TCP_MD5SIG_EXT, none) >= 0;
}

function sameKey(a: TcpAoKey, b: TcpAoKey): boolean {
  return (
    a.sendId === b.sendId &&
    a.receiveId === b.receiveId &&
    a.secret === b.secret &&
    a.algorithm === b.algorithm
  );
}

/** Sets the TTL of outgoing packets; -1 is the system's default. @returns the result of the system call */
export function setTtl(fd: number, six: boolean, ttl: number): number {
  if (!native) return -sys.ENOSYS;
  const [level, name] = six ? [sys.IPPROTO_IPV6, sys.IPV6_UNICAST_HOPS] : [sys.IPPROTO_IP, sys.IP_TTL];
  return native.setsockopt(fd, level, name, ttl);
}

/** Packets with a lower TTL are dropped by the kernel; 0 takes all. @returns the result of the system call */
export function setMinTtl(fd: number, six: boolean, ttl: number): number {
  if (!native) return -sys.ENOSYS;
  const [level, name] = six ? [sys.IPPROTO_IPV6, sys.IPV6_MINHOPCOUNT] : [sys.IPPROTO_IP, sys.IP_MINTTL];
  return native.setsockopt(fd, level, name, ttl);
}

/** Keys by prefix, the longest match first. */
export class KeyTable {
  readonly #keys = new Map<string, SocketKey & { readonly bytes: Uint8Array }>();

  /** @returns what stood there before */
  set(key: SocketKey): SocketKey | undefined {
    const id = `${key.address}/${key.length}`;
    const before = this.#keys.get(id);
    if (key.md5 === undefined && key.ao.length === 0) this.#keys.delete(id);
    else this.#keys.set(id, { ...key, bytes: parseIp(key.address)! });
    return before;
  }

  get(id: string): SocketKey | undefined {
    return this.#keys.get(id);
  }

  /** The keys for one address. */
  find(address: string): SocketKey | undefined {
    if (this.#keys.size === 0) return undefined;
    const bytes = parseIp(address.split("%")[0]);
    let best: SocketKey | undefined;
    for (const key of this.#keys.values())
      if (bytes && (!best || key.length > best.length) && covers(key.bytes, key.length, bytes)) best = key;
    return best;
  }

  all(): IterableIterator<SocketKey> {
    return this.#keys.values();
  }

  get size(): number {
    return this.#keys.size;
  }
}

/** True when the first `length` bits agree. */
export function covers(prefix: Uint8Array, length: number, address: Uint8Array): boolean {
  if (prefix.length !== address.length) return false;
  const whole = length >> 3;
  for (let i = 0; i < whole; i++) if (prefix[i] !== address[i]) return false;
  const rest = length & 7;
  return rest === 0 || (prefix[whole] ^ address[whole]) >> (8 - rest) === 0;
}

/** What this host can do, found out by doing it on a socket that is thrown away. */
export function hostAbilities(): HostAbilities {
  if (!native || nativeMissing) {
    const missing = nativeMissing ?? "the native addon is missing";
    return { md5: missing, gtsm: missing, tcpAo: missing, bfd: missing };
  }
  const fd = native.socket(sys.AF_INET, sys.SOCK_STREAM, 0);
  if (fd < 0) return { md5: "", gtsm: "", tcpAo: "", bfd: "" };
  const key: TcpAoKey = { sendId: 1, receiveId: 1, algorithm: "hmac-sha-1-96", secret: "probe" };
  const md5 = native.setsockopt(fd, sys.IPPROTO_TCP, sys.TCP_MD5SIG_EXT, encodeMd5("192.0.2.1", 32, "probe"));
  const minTtl = setMinTtl(fd, false, 255);
  const ao = native.setsockopt(
    fd,
    sys.IPPROTO_TCP,
    sys.TCP_AO_ADD_KEY,
    encodeAoAdd("192.0.2.2", 32, key, false),
  );
  native.close(fd);
  return {
    md5: missingText(md5, "TCP MD5 (CONFIG_TCP_MD5SIG)"),
    gtsm: missingText(minTtl, "IP_MINTTL"),
    tcpAo: missingText(ao, "TCP-AO (Linux 6.7 or later with CONFIG_TCP_AO)"),
    bfd: "",
  };
}

function missingText(result: number, what: string): string {
  if (result >= 0) return "";
  const error = errnoName(result);
  return error === "ENOPROTOOPT" ? `this kernel has no ${what}` : `the kernel refuses ${what}: ${error}`;
}
