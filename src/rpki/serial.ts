/** Serial numbers of RTR: 32 bits that wrap (RFC 1982, as RFC 8210 2 asks). */

/**
 * How two serial numbers stand to each other.
 * @returns positive when `a` is newer than `b`, negative when it is older; 0 when they are equal, or half the circle
 *   apart, where RFC 1982 leaves the order undefined
 */
export function compareSerials(a: number, b: number): number {
  const difference = (a - b) | 0;
  return difference === -0x8000_0000 ? 0 : difference;
}
