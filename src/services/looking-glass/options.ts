/** How the looking glass is to be. */
import type { Prefix } from "../../base/ip.ts";

export interface LookingGlassOptions {
  /** Who may ask; empty: everybody that reaches the listener. */
  readonly allow: readonly Prefix[];
  /** Seconds that an answer is given again. */
  readonly cacheS: number;
  /** Requests a second of one client address, in bursts of as many. */
  readonly ratePerS: number;
  /** Why a route was refused is told as the large community of these two numbers and the number of the reason. */
  readonly rejectCommunity: readonly [number, number] | undefined;
  /** What RPKI says of a route is told as the large community of these two numbers and 1 (valid), 2 (not found), 4 (invalid). */
  readonly rpkiCommunity: readonly [number, number] | undefined;
}

/** Connections at one time. */
export const connectionsMax = 128;
/** Client addresses whose rate is known. */
export const clientsMax = 1_024;
/** Bytes of answers kept, and of one answer that is kept. */
export const cacheBytesMax = 32 << 20;
export const cachedAnswerBytesMax = 4 << 20;
/** Answers for the cache that are collected at one time. */
export const collectedMax = 8;
/** A client that takes nothing for so long is let go. */
export const stallMs = 30_000;
/** Characters of a request's path with its query. */
export const pathMax = 512;
/** Routes of a page. */
export const pageMax = 100_000;
