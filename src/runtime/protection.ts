/**
 * Puts keys and TTLs on sockets: on listeners as they open and when something changes, on connections before their
 * first packet, on live connections when a key changes. What cannot be put into force lets nobody through.
 */
import { parseIp } from "../base/ip.ts";
import type { Listener, TcpLog } from "./listen.ts";
import { errnoName, native, nativeMissing, sys } from "./native.ts";
import {
  changeKeys,
  covers,
  KeyTable,
  removeMd5,
  type SocketKey,
  setMinTtl,
  setTtl,
} from "./socket-options.ts";

/** A connection as far as it is protected. */
export interface Guarded {
  /** -1 without the addon. */
  readonly fd: number;
  /** Canonical text of the neighbor's address. */
  readonly remote: string;
  /** Keys that the socket has. */
  key: SocketKey | undefined;
}

interface ListenTtl {
  readonly family: 4 | 6;
  /** 0 is the system's default. */
  readonly ttl: number;
  readonly minTtl: number;
}

export class Protection {
  readonly #log: TcpLog;
  readonly #keys = new KeyTable();
  /** Keys that a listener did not take, as `ADDRESS/LENGTH`: who connects from there is not let in. */
  readonly #unkeyed = new Set<string>();
  /** By address family of the listener. */
  readonly #listenTtl = new Map<4 | 6, ListenTtl>();
  #anyMinTtl = false;
  #ttlWarned = false;

  constructor(log: TcpLog) {
    this.#log = log;
  }

  /** There are keys or TTLs whose breach the kernel counts. */
  get isActive(): boolean {
    return this.#keys.size > 0 || this.#anyMinTtl;
  }

  /** Keys for one address. */
  keyFor(address: string): SocketKey | undefined {
    return this.#keys.find(address);
  }

  /** A listener that was just opened. */
  listen(listener: Listener): void {
    this.#limitListener(listener);
    for (const key of this.#keys.all()) this.#keyListener(listener, undefined, key);
  }

  /** The keys of a prefix are others now. */
  setKey(key: SocketKey, listeners: readonly Listener[], connections: Iterable<Guarded>): void {
    const before = this.#keys.set(key);
    const after = this.#keys.get(`${key.address}/${key.length}`);
    this.#unkeyed.delete(`${key.address}/${key.length}`);
    for (const listener of listeners) this.#keyListener(listener, before, after);
    const prefix = parseIp(key.address)!;
    for (const connection of connections) {
      const address = parseIp(connection.remote.split("%")[0]);
      if (address && covers(prefix, key.length, address)) this.#keyConnection(connection);
    }
  }

  setListenTtl(wanted: ListenTtl, listeners: readonly Listener[]): void {
    this.#listenTtl.set(wanted.family, wanted);
    for (const listener of listeners)
      if (familyOf(listener.address) === wanted.family) this.#limitListener(listener);
  }

  /**
   * A socket that is about to connect.
   * @returns the errno name of what cannot be set; then it must not connect
   */
  beforeConnect(fd: number, remote: string, ttl: number, minTtl: number): string | undefined {
    const key = this.#keys.find(remote);
    if (fd < 0 && (key || minTtl > 0)) return "ENOSYS";
    const six = familyOf(remote) === 6;
    if (ttl > 0) this.#setTtl(fd, six, ttl);
    if (minTtl > 0) {
      this.#anyMinTtl = true;
      const result = setMinTtl(fd, six, minTtl);
      if (result < 0) return errnoName(result);
    }
    return key && changeKeys(fd, undefined, { ...key, ...ownPrefix(remote) }, false);
  }

  /**
   * An accepted connection: the kernel copies keys to it from the listener.
   * @returns false when the kernel did not check how it came about, and should have: the listener does not take the key,
   * or the handshake was over before it had it (an unsigned connection would hang until a hold timer ends it)
   */
  admits(fd: number, remote: string): boolean {
    const key = this.#keys.find(remote);
    if (!key) return true;
    if (fd < 0 || this.#unkeyed.has(`${key.address}/${key.length}`)) return false;
    if (key.md5 === undefined) return true;
    // A key cannot be read back, but only one that is there can be taken away.
    const md5 = { ...key, ...ownPrefix(remote), ao: [] };
    return removeMd5(fd, md5) && changeKeys(fd, undefined, md5, false) === undefined;
  }

  /** An accepted connection that was admitted. */
  accepted(connection: Guarded): void {
    connection.key = this.#keys.find(connection.remote);
  }

  /** An outbound connection, once `beforeConnect` has put keys on it. */
  dialled(connection: Guarded): void {
    const key = this.#keys.find(connection.remote);
    connection.key = key && { ...key, ...ownPrefix(connection.remote) };
  }

  /**
   * TTLs of an accepted connection, once its neighbor is known.
   * @returns the errno name when the lowest TTL cannot be set; then the connection must end
   */
  configure({ fd, remote }: Guarded, ttl: number, minTtl: number): string | undefined {
    const family = familyOf(remote);
    const inherited = (this.#listenTtl.get(family)?.ttl ?? 0) > 0;
    if (ttl > 0 || inherited) this.#setTtl(fd, family === 6, ttl || -1);
    if (minTtl > 0) this.#anyMinTtl = true;
    const result = fd < 0 ? -sys.ENOSYS : setMinTtl(fd, family === 6, minTtl);
    return result < 0 && minTtl > 0 ? errnoName(result) : undefined;
  }

  /** A listener that does not take a key lets nobody in from there. */
  #keyListener(listener: Listener, before: SocketKey | undefined, after: SocketKey | undefined): void {
    const key = after ?? before;
    if (!key || familyOf(listener.address) !== familyOf(key.address)) return;
    const error = listener.fd < 0 ? "ENOSYS" : changeKeys(listener.fd, before, after, true);
    if (error === undefined) return;
    const prefix = `${key.address}/${key.length}`;
    if (after) this.#unkeyed.add(prefix);
    this.#log("error", "a listening socket does not take a key; connections from there are refused", {
      prefix,
      listener: `${listener.address}:${listener.port}`,
      error,
      fix: error === "ENOMEM" ? "raise the sysctl net.core.optmem_max and restart" : "",
    });
  }

  /** Brings a live connection to the keys for its address as they are now. */
  #keyConnection(connection: Guarded): void {
    const { fd, remote, key: before } = connection;
    const wanted = this.#keys.find(remote);
    // Whatever prefix a key came by, the socket has MD5 for its own address, and TCP-AO as the listener had it.
    const isAo = before !== undefined && before.ao.length > 0;
    const place = isAo ? { address: before.address, length: before.length } : ownPrefix(remote);
    const at = (key: SocketKey | undefined): SocketKey | undefined => key && { ...key, ...place };
    const error = fd < 0 ? "ENOSYS" : changeKeys(fd, at(before), at(wanted), false);
    connection.key = at(wanted);
    if (error === undefined) return;
    this.#log("warn", "a live connection does not take a changed key; reset it to use the new one", {
      neighbor: remote,
      error,
    });
  }

  #limitListener(listener: Listener): void {
    const family = familyOf(listener.address);
    const wanted = this.#listenTtl.get(family);
    if (!wanted || listener.fd < 0) return; // without the addon, connections are refused one by one
    if (wanted.minTtl > 0) this.#anyMinTtl = true;
    const six = family === 6;
    const results = [setTtl(listener.fd, six, wanted.ttl || -1), setMinTtl(listener.fd, six, wanted.minTtl)];
    const failed = results.find((result) => result < 0);
    if (failed !== undefined)
      this.#log("warn", "TTLs of a listening socket were not set", { error: errnoName(failed) });
  }

  /** A TTL that cannot be set is a warning: it bounds how far we reach, not who reaches us. */
  #setTtl(fd: number, six: boolean, ttl: number): void {
    const result = fd >= 0 && native ? setTtl(fd, six, ttl) : undefined;
    if (result === 0 || (result === undefined && this.#ttlWarned)) return;
    this.#ttlWarned ||= result === undefined;
    this.#log("warn", "TTL of a BGP connection was not set", {
      ttl,
      error: result === undefined ? (nativeMissing ?? "") : errnoName(result),
    });
  }
}

function familyOf(address: string): 4 | 6 {
  return address.includes(":") ? 6 : 4;
}

/** The prefix that is one address. */
function ownPrefix(address: string): { readonly address: string; readonly length: number } {
  return { address: address.split("%")[0], length: familyOf(address) === 4 ? 32 : 128 };
}
