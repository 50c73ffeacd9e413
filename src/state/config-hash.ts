/**
 * The hash of everything declared: the SHA-256 of each object in canonical JSON, added up modulo 2^256. The order of
 * objects does not matter, and a change costs as much as the objects it touches.
 */
import type { JsonValue } from "@bufbuild/protobuf";
import { sha256 } from "../base/sha256.ts";

const encoder = new TextEncoder();
const modulus = 1n << 256n;

/**
 * What one object adds to the sum. Metadata does not count: equal specs, equal hash.
 * @param spec in proto3 JSON
 */
export function objectDigest(kind: string, name: string, spec: JsonValue): bigint {
  const words = sha256(encoder.encode(canonicalJson([kind, name, spec])));
  let digest = 0n;
  for (const word of words) digest = (digest << 32n) | BigInt(word);
  return digest;
}

export function addDigest(sum: bigint, digest: bigint): bigint {
  return (sum + digest) % modulus;
}

export function removeDigest(sum: bigint, digest: bigint): bigint {
  return (sum - digest + modulus) % modulus;
}

/** The sum as 64 hexadecimal digits. */
export function hashText(sum: bigint): string {
  return sum.toString(16).padStart(64, "0");
}

/** JSON without white space, the members of objects in the order of their names. */
export function canonicalJson(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonicalJson(value[name])}`).join(",")}}`;
}
