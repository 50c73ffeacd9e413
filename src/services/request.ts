/**
 * Checks of what stands in a request beside the specs (specs are checked by the core, within the transaction). All
 * findings are collected, then refused together.
 */

import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { formatIp, formatPrefix, parseIp, parsePrefix } from "../base/ip.ts";
import { formatPeer, parsePeer } from "../base/peer-address.ts";
import { nearestName, type Problem } from "../base/problem.ts";
import { type Family, families, familyByName, unicastFamily } from "../wire/family.ts";
import { refusal } from "./problems.ts";

/** Most entries in a condition of a filter, and most bytes in its text. */
export const conditionsMax = 64;
export const filterBytesMax = 1_024;

/** The last moment that calendars of JavaScript know. */
const timeMaxMs = 8.64e15;

export class RequestCheck {
  readonly problems: Problem[] = [];

  /** Throws the refusal when something is wrong. */
  finish(): void {
    if (this.problems.length > 0) throw refusal(this.problems);
  }

  add(problem: Problem): void {
    this.problems.push(problem);
  }

  /** Adds what the core found, except for fields that have a problem already. */
  addAll(problems: readonly Problem[]): void {
    const known = new Set(this.problems.map((problem) => problem.path));
    for (const problem of problems)
      if (problem.path === "" || !known.has(problem.path)) this.problems.push(problem);
  }

  required(path: string, text: string): string {
    if (text === "") this.add({ code: "REQUIRED", path, message: "must be set" });
    return text;
  }

  /** A message field that must be there; without it there is nothing more to check, so it throws at once. */
  present<T>(path: string, value: T | undefined): T {
    if (value !== undefined) return value;
    throw refusal([...this.problems, { code: "REQUIRED", path, message: "must be set" }]);
  }

  /** Canonical text of an address that must be there. */
  address(path: string, text: string): string {
    if (this.required(path, text) === "") return text;
    const bytes = parseIp(text);
    if (bytes) return formatIp(bytes);
    this.add({ code: "INVALID", path, message: `"${text}" is not an IP address`, value: text });
    return text;
  }

  /** Canonical name of a neighbor: an address, a link-local one with its interface, or an interface. */
  neighbor(path: string, text: string): string {
    if (this.required(path, text) === "") return text;
    const peer = parsePeer(text);
    if (peer) return formatPeer(peer);
    this.add({ code: "INVALID", path, message: `"${text}" is not an IP address`, value: text });
    return text;
  }

  /** Canonical text of a prefix that must be there. */
  prefix(path: string, text: string): string {
    if (this.required(path, text) === "") return text;
    const prefix = parsePrefix(text);
    if (typeof prefix !== "string") return formatPrefix(prefix);
    this.add({ code: "INVALID", path, message: prefix, value: text });
    return text;
  }

  /** An address or a prefix, in canonical form. */
  target(path: string, text: string): string {
    if (text.includes("/")) return this.prefix(path, text);
    return this.address(path, text);
  }

  /** The named family; undefined when there is no name. */
  family(path: string, name: string): Family | undefined {
    if (name === "") return undefined;
    const family = familyByName(name);
    if (family) return family;
    const names = families.map((known) => known.name);
    const nearest = nearestName(name, names);
    const fix = nearest ? `did you mean ${nearest}?` : `use one of ${names.join(", ")}`;
    this.add({ code: "INVALID", path, message: `"${name}" is not an address family`, fix, value: name });
    return undefined;
  }

  /** The family of a prefix that was checked before; undefined when there is none. */
  familyOfPrefix(text: string): Family | undefined {
    const prefix = text === "" ? "" : parsePrefix(text);
    return typeof prefix === "string" ? undefined : unicastFamily(prefix.bytes.length);
  }

  /** Wall-clock milliseconds of a moment; undefined when there is none. */
  time(path: string, time: Timestamp | undefined): number | undefined {
    if (!time) return undefined;
    const ms = Number(time.seconds) * 1000 + Math.floor(time.nanos / 1_000_000);
    if (time.nanos >= 0 && time.nanos <= 999_999_999 && Math.abs(ms) <= timeMaxMs) return ms;
    this.add({ code: "INVALID", path, message: "is no moment of the calendar", fix: "seconds since 1970" });
    return undefined;
  }

  /** A list of at most `max` entries. */
  count(path: string, list: readonly unknown[], max: number): void {
    if (list.length > max) {
      this.add({ code: "INVALID", path, message: `has ${list.length} entries, at most ${max} are possible` });
    }
  }

  /** Text of at most `max` bytes of UTF-8. */
  textBytes(path: string, text: string, max: number): void {
    const bytes = Buffer.byteLength(text);
    if (bytes > max) {
      this.add({
        code: "INVALID",
        path,
        message: `is ${bytes} bytes long, at most ${max} are possible`,
      });
    }
  }

  /** Names of an update mask: fields of the spec, except the one that names the object. */
  mask(path: string, mask: readonly string[], fields: readonly string[], key: string): void {
    mask.forEach((name, i) => {
      const at = `${path}[${i}]`;
      if (name === key) {
        const message = `${key} names the object and cannot be changed`;
        this.add({
          code: "INVALID",
          path: at,
          message,
          fix: "delete the object and add it anew",
          value: name,
        });
      } else if (!fields.includes(name)) {
        const nearest = nearestName(name, fields);
        const fix = nearest && nearest !== key ? `did you mean ${nearest}?` : undefined;
        this.add({
          code: "UNKNOWN_FIELD",
          path: at,
          message: `"${name}" is not a field of the spec`,
          fix,
          value: name,
        });
      }
    });
  }
}

/** Collects the problems that `check` finds and throws them, or returns what it read. */
export function checked<T>(check: (check: RequestCheck) => T): T {
  const request = new RequestCheck();
  const value = check(request);
  request.finish();
  return value;
}
