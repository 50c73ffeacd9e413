/**
 * UPDATE from bytes to scratch columns and canonical attribute blocks, with the error handling of RFC 7606.
 *
 *   structure: lengths, NLRI, where each attribute stands      -> can the message be read?
 *   meaning:   flags, lengths and values by the attribute table -> verdict
 *   blocks:    a section that is canonical already is used where it stands in the frame; any other is rewritten
 *
 * A message without routes to install (withdrawals only) needs no mandatory attributes. Nothing here throws, whatever
 * the bytes are, and nothing is allocated unless something is wrong.
 */
import { AttributeType, FlagBit, optionalTransitive } from "./attributes/descriptor.ts";
import { attributeByCode, attributeName } from "./attributes/registry.ts";
import type { DecodeContext } from "./decode-context.ts";
import { type Family, familyByCode, ipv4Unicast } from "./family.ts";
import { noData, readU16 } from "./message.ts";
import { ip4NextHopFault, writeMpNextHop } from "./next-hop.ts";
import { decodeFlows, decodePathPrefixes, decodePrefixes } from "./nlri.ts";
import type { NlriList, UpdateScratch } from "./scratch.ts";
import { writeBlocks } from "./update-block.ts";
import { Verdict } from "./verdict.ts";

/**
 * Decodes the UPDATE `bytes[start, end)`, header included, whose header the framer has checked. `out` names places in
 * `bytes`, so it is valid until either is reused.
 */
export function decodeUpdate(
  bytes: Uint8Array,
  start: number,
  end: number,
  context: DecodeContext,
  out: UpdateScratch,
): void {
  out.clear();
  const withdrawnAt = start + 21;
  const withdrawnEnd = withdrawnAt <= end ? withdrawnAt + readU16(bytes, start + 19) : end;
  const attributesAt = withdrawnEnd + 2;
  const attributesEnd = attributesAt <= end ? attributesAt + readU16(bytes, withdrawnEnd) : end + 1;
  if (attributesEnd > end) {
    report(out, Verdict.resetSession, 1, 0, "withdrawn routes or attributes run past the end of the message");
    return;
  }
  if (withdrawnEnd > withdrawnAt || attributesEnd < end) {
    if ((context.families & (1 << ipv4Unicast.index)) === 0) {
      report(out, Verdict.discardAttribute, 10, 0, "ipv4-unicast routes, but the family is not negotiated");
    } else {
      const good =
        readNlri(bytes, withdrawnAt, withdrawnEnd, ipv4Unicast, context, out.withdrawn) &&
        readNlri(bytes, attributesEnd, end, ipv4Unicast, context, out.reach);
      if (!good) {
        report(out, Verdict.resetSession, 10, 0, "a prefix is longer than 32 bits or cut off");
        return;
      }
    }
  } else if (attributesAt === attributesEnd) {
    if ((context.families & (1 << ipv4Unicast.index)) !== 0) out.endOfRib = ipv4Unicast;
    return;
  }
  if (attributesAt < attributesEnd || out.reach.count > 0) {
    decodeAttributes(bytes, attributesAt, attributesEnd, attributesEnd < end, context, out);
  }
}

function readNlri(
  bytes: Uint8Array,
  at: number,
  end: number,
  family: Family,
  context: DecodeContext,
  list: NlriList,
): boolean {
  list.family = family;
  if (at === end) return true;
  const maxBits = family.addressBytes * 8;
  return (context.addPath & (1 << family.index)) === 0
    ? decodePrefixes(bytes, at, end, maxBits, list)
    : decodePathPrefixes(bytes, at, end, maxBits, list);
}

function decodeAttributes(
  bytes: Uint8Array,
  at: number,
  end: number,
  bodyHasReach: boolean,
  context: DecodeContext,
  out: UpdateScratch,
): void {
  const sorted = walkAttributes(bytes, at, end, out);
  let canonical = judgeAttributes(bytes, context, out) && sorted;
  const { spans } = out;
  const mpUnreach = spans.find(mpUnreachType);
  const mpReach = spans.find(mpReachType);
  if (mpUnreach >= 0) {
    canonical = false;
    spans.dropped[mpUnreach] = 1;
    decodeMpUnreach(bytes, spans.at[mpUnreach], spans.length[mpUnreach], context, out);
  }
  let mpHasReach = false;
  if (mpReach >= 0) {
    canonical = false;
    spans.dropped[mpReach] = 1;
    mpHasReach = decodeMpReach(bytes, spans.at[mpReach], spans.length[mpReach], context, out);
  }
  if (out.verdict >= Verdict.resetSession) return;
  if (out.reach.count > 0 || out.mpReach.count > 0) checkMandatory(bytes, out);
  if (out.verdict >= Verdict.treatAsWithdraw && !bodyHasReach && !mpHasReach) {
    // RFC 7606 5.2: we cannot be sure that the routes were found, so nothing less than a reset will do.
    const cause = out.problems.find((problem) => problem.verdict >= Verdict.treatAsWithdraw)!;
    out.verdict = Verdict.resetSession;
    const text = `${cause.text}, and no routes were found to withdraw`;
    out.problems.push({ ...cause, verdict: Verdict.resetSession, text });
    return;
  }
  if (mpUnreach >= 0 && spans.count === 1 && out.mpWithdrawn.count === 0 && !bodyHasReach) {
    // RFC 4724 section 2: nothing but an empty MP_UNREACH_NLRI.
    const empty = spans.length[mpUnreach] === 3 && out.withdrawn.count === 0;
    if (empty && out.problems.length === 0) out.endOfRib = out.mpWithdrawn.family;
    return;
  }
  if (out.verdict < Verdict.treatAsWithdraw && (out.reach.count > 0 || out.mpReach.count > 0)) {
    const excess = writeBlocks(bytes, at, end, canonical, context, out);
    if (excess) report(out, Verdict.treatAsWithdraw, 1, 0, "attributes are too long to hold");
  }
}

/**
 * First pass: records where each attribute stands.
 * @returns true when types ascend without a gap in between, as in a canonical block
 */
function walkAttributes(bytes: Uint8Array, from: number, end: number, out: UpdateScratch): boolean {
  const { spans } = out;
  let sorted = true;
  let previous = -1;
  let at = from;
  while (at < end) {
    const flags = bytes[at];
    const type = bytes[at + 1];
    const headBytes = (flags & FlagBit.extendedLength) !== 0 ? 4 : 3;
    const length = headBytes === 4 ? (bytes[at + 2] << 8) | bytes[at + 3] : bytes[at + 2];
    const next = at + headBytes + length;
    if (end - at < headBytes || next > end) {
      // RFC 7606 section 4: the rest of the section is lost; fatal when routes may have been in it.
      const holdsRoutes = end - at >= 2 && (type === mpReachType || type === mpUnreachType);
      const verdict = holdsRoutes ? Verdict.resetSession : Verdict.treatAsWithdraw;
      const data = bytes.slice(at, end);
      report(out, verdict, 1, end - at >= 2 ? type : 0, "runs past the end of the attributes", data);
      return false;
    }
    if (type <= previous) sorted = false;
    previous = type;
    if (spans.find(type) < 0) {
      spans.add(type, flags, at + headBytes, length);
    } else {
      // RFC 7606 3(g): the first one counts, except where routes would be lost.
      const holdsRoutes = type === mpReachType || type === mpUnreachType;
      report(
        out,
        holdsRoutes ? Verdict.resetSession : Verdict.discardAttribute,
        1,
        type,
        "occurs more than once",
      );
    }
    at = next;
  }
  return sorted;
}

/**
 * Second pass: flags, scope and values by the table.
 * @returns true when every attribute is kept as it stands
 */
function judgeAttributes(bytes: Uint8Array, context: DecodeContext, out: UpdateScratch): boolean {
  const { spans } = out;
  let canonical = true;
  for (let slot = 0; slot < spans.count; slot++) {
    const type = spans.type[slot];
    const flags = spans.flags[slot];
    const at = spans.at[slot];
    const end = at + spans.length[slot];
    const extended = end - at > 255 ? FlagBit.extendedLength : 0;
    const row = attributeByCode[type];
    if (row === undefined || type === AttributeType.local) {
      if (type === AttributeType.local && (flags & FlagBit.optional) !== 0) {
        spans.dropped[slot] = 1; // reserved, and ours for marks that never leave the router
        canonical = false;
        continue;
      }
      if (!judgeUnknown(bytes, slot, out) || flags !== (unknownFlags | extended)) canonical = false;
      continue;
    }
    const transitive = row.flags === optionalTransitive;
    const partial = row.opaque ? FlagBit.partial : transitive ? flags & FlagBit.partial : 0;
    if (flags !== (row.flags | partial | extended)) canonical = false;
    if (((flags ^ row.flags) & 0xc0) !== 0 || (!transitive && (flags & FlagBit.partial) !== 0)) {
      // RFC 7606 3(c), 5.3.
      const verdict =
        type === mpReachType || type === mpUnreachType
          ? Verdict.resetSession
          : row.flagsDiscard
            ? Verdict.discardAttribute
            : Verdict.treatAsWithdraw;
      if (verdict === Verdict.discardAttribute) spans.dropped[slot] = 1;
      reportAttribute(out, verdict, 4, bytes, slot, "has wrong flags");
      continue;
    }
    const as4 = type === as4PathType || type === as4AggregatorType;
    if (row.ignores?.(context) === true || (context.fourOctetAs && as4)) {
      spans.dropped[slot] = 1;
      canonical = false;
      continue;
    }
    const fault = row.check(bytes, at, end, context);
    if (fault !== undefined) {
      canonical = false;
      if (fault.verdict === Verdict.discardAttribute) spans.dropped[slot] = 1;
      reportAttribute(out, fault.verdict, fault.subcode, bytes, slot, fault.text);
    }
  }
  return canonical;
}

/** RFC 4271 section 5 and 6.3. Returns true when the attribute is kept. */
function judgeUnknown(bytes: Uint8Array, slot: number, out: UpdateScratch): boolean {
  const flags = out.spans.flags[slot];
  if ((flags & FlagBit.optional) === 0) {
    reportAttribute(out, Verdict.treatAsWithdraw, 2, bytes, slot, "is well-known, but not to us");
    return false;
  }
  if ((flags & FlagBit.transitive) === 0) {
    out.spans.dropped[slot] = 1;
    return false;
  }
  return true;
}

function checkMandatory(bytes: Uint8Array, out: UpdateScratch): void {
  const { spans } = out;
  if (spans.find(originType) < 0) reportMissing(out, originType);
  if (spans.find(asPathType) < 0) reportMissing(out, asPathType);
  if (out.reach.count === 0) return;
  const slot = spans.find(nextHopType);
  if (slot < 0) {
    reportMissing(out, nextHopType);
  } else if (spans.length[slot] === 4) {
    const text = ip4NextHopFault(bytes, spans.at[slot]);
    if (text !== "") reportAttribute(out, Verdict.treatAsWithdraw, 8, bytes, slot, text);
  }
}

function decodeMpUnreach(
  bytes: Uint8Array,
  at: number,
  length: number,
  context: DecodeContext,
  out: UpdateScratch,
): void {
  if (length < 3) {
    report(out, Verdict.resetSession, 9, mpUnreachType, "is shorter than 3 bytes");
    return;
  }
  const family = negotiatedFamily(bytes, at, mpUnreachType, context, out);
  if (!family) return;
  readMpNlri(bytes, at + 3, at + length, family, mpUnreachType, context, out.mpWithdrawn, out);
}

/** Returns true when the attribute holds routes, of whatever family. */
function decodeMpReach(
  bytes: Uint8Array,
  at: number,
  length: number,
  context: DecodeContext,
  out: UpdateScratch,
): boolean {
  const end = at + length;
  const nextHopAt = at + 4;
  const nextHopBytes = length < 5 ? 0 : bytes[at + 3];
  const nlriAt = nextHopAt + nextHopBytes + 1;
  if (nlriAt > end) {
    report(out, Verdict.resetSession, 9, mpReachType, "is shorter than its next hop");
    return false;
  }
  const family = negotiatedFamily(bytes, at, mpReachType, context, out);
  if (!family) return nlriAt < end;
  const takesIp6 = family.addressBytes === 16 || ((context.extendedNextHop ?? 0) & (1 << family.index)) !== 0;
  // RFC 8955 4: a rule has no next hop, and one that is there all the same is not looked at.
  const hasNextHop = family.nlri === "prefix";
  const expected =
    nextHopBytes === family.addressBytes || (takesIp6 && (nextHopBytes === 16 || nextHopBytes === 32));
  if (hasNextHop && !expected) {
    report(out, Verdict.resetSession, 9, mpReachType, `has a next hop of ${nextHopBytes} bytes`);
    return false;
  }
  if (!readMpNlri(bytes, nlriAt, end, family, mpReachType, context, out.mpReach, out)) return false;
  if (hasNextHop && out.mpReach.count > 0) {
    const fault = writeMpNextHop(bytes, nextHopAt, nextHopBytes, out.work);
    if (fault !== "") report(out, Verdict.treatAsWithdraw, 8, mpReachType, fault);
  }
  return nlriAt < end;
}

/** Reads NLRI of MP_REACH_NLRI or MP_UNREACH_NLRI. @returns false when the session cannot go on */
function readMpNlri(
  bytes: Uint8Array,
  at: number,
  end: number,
  family: Family,
  type: number,
  context: DecodeContext,
  list: NlriList,
  out: UpdateScratch,
): boolean {
  if (family.nlri === "prefix") {
    if (readNlri(bytes, at, end, family, context, list)) return true;
    report(out, Verdict.resetSession, 9, type, "a prefix is too long or cut off");
    return false;
  }
  list.family = family;
  const hasPathIds = (context.addPath & (1 << family.index)) !== 0;
  const fault = decodeFlows(bytes, at, end, family, hasPathIds, list);
  if (!fault) return true;
  const isFatal = fault.verdict === Verdict.resetSession;
  // A rule that cannot be one was never taken in, so there is nothing to withdraw.
  const verdict = isFatal || type === mpReachType ? fault.verdict : Verdict.discardAttribute;
  report(out, verdict, 9, type, fault.text);
  return !isFatal;
}

function negotiatedFamily(
  bytes: Uint8Array,
  at: number,
  type: number,
  context: DecodeContext,
  out: UpdateScratch,
): Family | undefined {
  const afi = readU16(bytes, at);
  const safi = bytes[at + 2];
  const family = familyByCode(afi, safi);
  if (family && (context.families & (1 << family.index)) !== 0) return family;
  report(
    out,
    Verdict.discardAttribute,
    9,
    type,
    `${family?.name ?? `AFI/SAFI ${afi}/${safi}`} is not negotiated`,
  );
  return undefined;
}

function reportMissing(out: UpdateScratch, type: number): void {
  report(out, Verdict.treatAsWithdraw, 3, type, "is missing", Uint8Array.of(type));
}

/** Reports about the attribute in `slot`, whose bytes become the data (RFC 4271 6.3). */
function reportAttribute(
  out: UpdateScratch,
  verdict: Verdict,
  subcode: number,
  bytes: Uint8Array,
  slot: number,
  text: string,
): void {
  const { spans } = out;
  const headBytes = (spans.flags[slot] & FlagBit.extendedLength) !== 0 ? 4 : 3;
  const at = spans.at[slot];
  report(out, verdict, subcode, spans.type[slot], text, bytes.slice(at - headBytes, at + spans.length[slot]));
}

function report(
  out: UpdateScratch,
  verdict: Verdict,
  subcode: number,
  attribute: number,
  text: string,
  data: Uint8Array = noData,
): void {
  const worse = verdict > out.verdict;
  if (worse) out.verdict = verdict;
  if (out.problems.length >= problemsMax && !worse) return;
  const subject = attribute === 0 ? "" : `${attributeName(attribute)} `;
  out.problems.push({ verdict, code: 3, subcode, attribute, text: subject + text, data });
}

/** Problems of one message that are told apart; a worse verdict is always told. */
const problemsMax = 16;

const originType = 1;
const asPathType = 2;
const nextHopType = 3;
const mpReachType = 14;
const mpUnreachType = 15;
const as4PathType = 17;
const as4AggregatorType = 18;

/** Flags of an unknown attribute that is passed on. */
const unknownFlags: number = optionalTransitive | FlagBit.partial;
