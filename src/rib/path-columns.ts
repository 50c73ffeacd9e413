/**
 * Paths as columns, chained per prefix. A path keeps both what was received and what import policy made of it, so a
 * change of policy is a walk over columns and not a route refresh.
 */
import { grown, nextCapacity } from "../base/columns.ts";
import type { AspaState, RpkiState } from "../policy/route-key.ts";
import { epochMask, epochShift, reasonMask } from "./path-flags.ts";
import { aspaOf, rpkiOf } from "./path-validator.ts";

/** Row of a path; 0 is none. */
export type PathId = number;

export class PathColumns {
  private capacity = 1024;
  prefix = new Uint32Array(this.capacity);
  neighbor = new Uint16Array(this.capacity);
  /** Attribute set as received; 0 marks a free row. */
  received = new Uint32Array(this.capacity);
  /**
   * Attribute set after import policy; that of `received` while the path is rejected. One column serves both until
   * policy makes a difference somewhere: without, a path takes 19 bytes instead of 23. Written by `setAttributes` alone.
   */
  attr: Uint32Array = this.received;
  flags = new Uint8Array(this.capacity);
  /** Next path of the same prefix; next free row for a free one. */
  next = new Uint32Array(this.capacity);
  /** Wall-clock seconds at which the path last changed. */
  time = new Uint32Array(this.capacity);
  /** RFC 7911 path ids, kept only once one differs from 0. */
  private ids: Uint32Array | undefined;
  /** States of validation, see `path-validator.ts`; kept only while best path asks for them. */
  private validation: Uint8Array | undefined;
  private freeHead = 0;
  /** Rows below this were in use at some time. */
  rows = 1;
  count = 0;

  add(prefix: number, neighbor: number, pathId: number): PathId {
    let path = this.freeHead;
    if (path !== 0) this.freeHead = this.next[path];
    else {
      if (this.rows === this.capacity) this.grow();
      path = this.rows++;
    }
    this.prefix[path] = prefix;
    this.neighbor[path] = neighbor;
    if (pathId !== 0 && !this.ids) this.ids = new Uint32Array(this.capacity);
    if (this.ids) this.ids[path] = pathId;
    this.count++;
    return path;
  }

  remove(path: PathId): void {
    this.setAttributes(path, 0, 0);
    this.prefix[path] = 0;
    this.next[path] = this.freeHead;
    this.freeHead = path;
    this.count--;
  }

  /** @param attr the same after import policy */
  setAttributes(path: PathId, received: number, attr: number): void {
    this.received[path] = received;
    if (attr !== received && this.attr === this.received) this.attr = this.received.slice();
    this.attr[path] = attr;
  }

  idOf(path: PathId): number {
    return this.ids ? this.ids[path] : 0;
  }

  /** Keeps states of validation from now on, or lets go of them. All are 0 at first. */
  keepValidation(kept: boolean): void {
    this.validation = kept ? (this.validation ?? new Uint8Array(this.capacity)) : undefined;
  }

  /** Notes a path's states (`packStates`). @returns false when they are what they were */
  setValidation(path: PathId, states: number): boolean {
    if (!this.validation || this.validation[path] === states) return false;
    this.validation[path] = states;
    return true;
  }

  rpkiOf(path: PathId): RpkiState {
    return rpkiOf(this.validation?.[path] ?? 0);
  }

  aspaOf(path: PathId): AspaState {
    return aspaOf(this.validation?.[path] ?? 0);
  }

  eligible(path: PathId): boolean {
    return (this.flags[path] & reasonMask) === 0;
  }

  epochOf(path: PathId): number {
    return (this.flags[path] & epochMask) >> epochShift;
  }

  private grow(): void {
    this.capacity = nextCapacity(this.capacity);
    const n = this.capacity;
    this.prefix = grown(this.prefix, n);
    this.neighbor = grown(this.neighbor, n);
    const isOne = this.attr === this.received;
    this.received = grown(this.received, n);
    this.attr = isOne ? this.received : grown(this.attr, n);
    this.flags = grown(this.flags, n);
    this.next = grown(this.next, n);
    this.time = grown(this.time, n);
    if (this.ids) this.ids = grown(this.ids, n);
    if (this.validation) this.validation = grown(this.validation, n);
  }

  memoryBytes(): number {
    const attrBytes = this.attr === this.received ? 0 : 4;
    return this.rows * (19 + attrBytes + (this.ids ? 4 : 0) + (this.validation ? 1 : 0));
  }
}
