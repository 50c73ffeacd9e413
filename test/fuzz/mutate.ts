/** A structured mutator of BGP messages: it knows where lengths, flags and types stand, and breaks those first. */
import type { Random } from "../../src/base/random.ts";

/** A mutated copy of `seed`, one whole message. Header lengths are mended most of the time, so that bodies are reached. */
export function mutate(seed: Uint8Array, random: Random): Uint8Array {
  let bytes: Uint8Array = seed.slice();
  const steps = 1 + Math.floor(random() * 4);
  for (let i = 0; i < steps; i++) bytes = mutations[Math.floor(random() * mutations.length)](bytes, random);
  if (random() < 0.9 && bytes.length >= 19 && bytes.length <= 0xffff) {
    bytes[16] = bytes.length >> 8;
    bytes[17] = bytes.length;
  }
  return bytes;
}

type Mutation = (bytes: Uint8Array, random: Random) => Uint8Array;

const edges = [0, 1, 2, 3, 4, 5, 8, 12, 16, 31, 32, 33, 64, 127, 128, 129, 254, 255];

const mutations: readonly Mutation[] = [
  setByte,
  setByte,
  flipBit,
  cut,
  insert,
  repeat,
  attributeField,
  attributeField,
  swapParts,
];

function place(bytes: Uint8Array, random: Random): number {
  return bytes.length <= 19 ? 0 : 19 + Math.floor(random() * (bytes.length - 19));
}

function setByte(bytes: Uint8Array, random: Random): Uint8Array {
  if (bytes.length > 0) bytes[place(bytes, random)] = edges[Math.floor(random() * edges.length)];
  return bytes;
}

function flipBit(bytes: Uint8Array, random: Random): Uint8Array {
  if (bytes.length > 0) bytes[place(bytes, random)] ^= 1 << Math.floor(random() * 8);
  return bytes;
}

function cut(bytes: Uint8Array, random: Random): Uint8Array {
  return bytes.slice(0, place(bytes, random));
}

function insert(bytes: Uint8Array, random: Random): Uint8Array {
  const at = place(bytes, random);
  const extra = Uint8Array.from({ length: 1 + Math.floor(random() * 8) }, () => Math.floor(random() * 256));
  return join(bytes.slice(0, at), extra, bytes.slice(at));
}

function repeat(bytes: Uint8Array, random: Random): Uint8Array {
  const from = place(bytes, random);
  const to = Math.min(bytes.length, from + 1 + Math.floor(random() * 40));
  return join(bytes.slice(0, to), bytes.slice(from, to), bytes.slice(to));
}

/** Changes flags, type or length of a path attribute, and sometimes mends the length around it. */
function attributeField(bytes: Uint8Array, random: Random): Uint8Array {
  if (bytes[18] !== 2 || bytes.length < 26) return setByte(bytes, random);
  let at = 23 + ((bytes[19] << 8) | bytes[20]);
  const heads: number[] = [];
  while (at + 3 < bytes.length) {
    heads.push(at);
    const extended = (bytes[at] & 0x10) !== 0;
    at += extended ? 4 + ((bytes[at + 2] << 8) | bytes[at + 3]) : 3 + bytes[at + 2];
  }
  if (heads.length === 0) return setByte(bytes, random);
  const head = heads[Math.floor(random() * heads.length)];
  const field = Math.floor(random() * 3);
  if (field === 0) bytes[head] ^= 1 << (4 + Math.floor(random() * 4));
  else if (field === 1) bytes[head + 1] = Math.floor(random() * 40);
  else bytes[head + 2] += Math.floor(random() * 5) - 2;
  return bytes;
}

function swapParts(bytes: Uint8Array, random: Random): Uint8Array {
  const a = place(bytes, random);
  const b = place(bytes, random);
  const [from, to] = a < b ? [a, b] : [b, a];
  const middle = from + Math.floor((to - from) / 2);
  return join(bytes.slice(0, from), bytes.slice(middle, to), bytes.slice(from, middle), bytes.slice(to));
}

function join(...parts: Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
