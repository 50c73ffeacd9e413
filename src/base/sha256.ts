/**
 * SHA-256 (FIPS 180-4) in plain code: the core hashes what is declared, and it may not reach for the platform's
 * crypto. About 100 MB/s; what needs more than that hashes outside the core.
 */

const blockBytes = 64;

/** Constants of 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
const constants = fractions(64, (prime) => Math.cbrt(prime));
/** Initial state of 5.3.3: the same of the square roots of the first eight. */
const initial = fractions(8, (prime) => Math.sqrt(prime));

/**
 * Doubles hold 53 bits, and the integer parts take at most 5 of them, so 32 bits of the fraction are exact as long as
 * the root is correctly rounded; the test compares with the published vectors.
 */
function fractions(count: number, root: (prime: number) => number): Uint32Array {
  const result = new Uint32Array(count);
  let found = 0;
  for (let candidate = 2; found < count; candidate++) {
    let isPrime = true;
    for (let divisor = 2; divisor * divisor <= candidate && isPrime; divisor++)
      isPrime = candidate % divisor !== 0;
    if (!isPrime) continue;
    const value = root(candidate);
    result[found++] = Math.floor((value - Math.floor(value)) * 2 ** 32);
  }
  return result;
}

const schedule = new Uint32Array(64);

/** The digest as eight 32-bit words, most significant first. */
export function sha256(bytes: Uint8Array): Uint32Array {
  const state = initial.slice();
  const whole = bytes.length - (bytes.length % blockBytes);
  for (let at = 0; at < whole; at += blockBytes) compress(state, bytes, at);
  const rest = bytes.length - whole;
  const tail = new Uint8Array(rest + 9 > blockBytes ? 2 * blockBytes : blockBytes);
  tail.set(bytes.subarray(whole));
  tail[rest] = 0x80;
  const bits = new DataView(tail.buffer);
  bits.setUint32(tail.length - 8, Math.floor(bytes.length / 2 ** 29));
  bits.setUint32(tail.length - 4, (bytes.length << 3) >>> 0);
  for (let at = 0; at < tail.length; at += blockBytes) compress(state, tail, at);
  return state;
}

function compress(state: Uint32Array, bytes: Uint8Array, from: number): void {
  const w = schedule;
  for (let i = 0, at = from; i < 16; i++, at += 4) {
    w[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  }
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15];
    const y = w[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + constants[i] + w[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

/** The words as 64 hexadecimal digits. */
export function digestText(words: Uint32Array): string {
  return Array.from(words, (word) => word.toString(16).padStart(8, "0")).join("");
}
