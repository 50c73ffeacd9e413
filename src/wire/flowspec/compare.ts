/** The order of flow specifications (RFC 8955 section 5.1, RFC 8956 section 4): which one is looked at first. */
import { componentEnd, type FlowFamily, FlowType } from "./nlri.ts";

/**
 * Compares two canonical rules of one family. The order is total, and 0 says that they are the same rule.
 * @returns below 0 when `a` is looked at before `b`
 */
export function compareFlows(a: Uint8Array, b: Uint8Array, family: FlowFamily): number {
  let at = 0;
  // Components that are equal stand at the same place in both.
  while (at < a.length && at < b.length) {
    const type = a[at];
    if (type !== b[at]) return type - b[at];
    const aEnd = componentEnd(a, at, family);
    const bEnd = componentEnd(b, at, family);
    const order =
      type <= FlowType.source
        ? comparePrefixes(a, b, at + 1, family)
        : compareBytes(a, at + 1, aEnd, b, at + 1, bEnd);
    if (order !== 0) return order;
    at = aEnd;
  }
  // The one that has a component which the other lacks comes first.
  return b.length - a.length;
}

/** Prefixes behind their types at `at`: the lower offset first, then the longer one of two that overlap, then the lower. */
function comparePrefixes(a: Uint8Array, b: Uint8Array, at: number, { addressBytes }: FlowFamily): number {
  const isIp4 = addressBytes === 4;
  if (!isIp4 && a[at + 1] !== b[at + 1]) return a[at + 1] - b[at + 1];
  const from = at + (isIp4 ? 1 : 2);
  const common = Math.min(a[at], b[at]) - (isIp4 ? 0 : a[at + 1]);
  const whole = common >> 3;
  for (let i = from; i < from + whole; i++) if (a[i] !== b[i]) return a[i] - b[i];
  const mask = (0xff00 >> (common & 7)) & 0xff;
  const rest = (a[from + whole] & mask) - (b[from + whole] & mask);
  return mask !== 0 && rest !== 0 ? rest : b[at] - a[at];
}

/** As memcmp compares them, and the longer one first when it begins with the other. */
function compareBytes(
  a: Uint8Array,
  aAt: number,
  aEnd: number,
  b: Uint8Array,
  bAt: number,
  bEnd: number,
): number {
  const common = Math.min(aEnd - aAt, bEnd - bAt);
  for (let i = 0; i < common; i++) if (a[aAt + i] !== b[bAt + i]) return a[aAt + i] - b[bAt + i];
  return bEnd - bAt - (aEnd - aAt);
}
