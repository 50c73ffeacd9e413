/** UPDATEs out of plain values, for tests, tools and built-in speakers. The hot path uses `UpdateEncoder` itself. */
import type { Prefix } from "../base/ip.ts";
import { encodeBlock } from "./block.ts";
import { type Family, ipv4Unicast, unicastFamily } from "./family.ts";
import { MessageWriter } from "./message-writer.ts";
import type { PathAttributes } from "./path-attributes.ts";
import { type EncodeContext, UpdateEncoder } from "./update-encode.ts";

export interface SimpleUpdate {
  readonly withdrawn?: readonly (Prefix & { readonly pathId?: number })[];
  readonly reach?: readonly (Prefix & { readonly pathId?: number })[];
  /** Of `reach`. */
  readonly attributes?: PathAttributes;
}

const plainContext: EncodeContext = { fourOctetAs: true, addPath: 0, maxMessageBytes: 4096 };

/**
 * Encodes withdrawals, then announcements, IPv4 in the body and IPv6 in MP attributes, as many messages as it takes.
 * @returns the messages one after another, or undefined when the attributes fit no message
 */
export function encodeUpdate(
  update: SimpleUpdate,
  context: EncodeContext = plainContext,
): Uint8Array | undefined {
  const encoder = new UpdateEncoder();
  encoder.reset(context);
  const { withdrawn = [], reach = [], attributes } = update;
  for (const family of familiesOf(withdrawn)) {
    if (family === ipv4Unicast) encoder.beginWithdraw4();
    else encoder.beginWithdrawMp(family);
    addPrefixes(encoder, withdrawn, family);
  }
  const block = new MessageWriter(256);
  if (attributes) encodeBlock(attributes, block);
  for (const family of familiesOf(reach)) {
    const fits =
      family === ipv4Unicast
        ? encoder.beginUpdate4(block.bytes, 0, block.at)
        : encoder.beginUpdateMp(family, block.bytes, 0, block.at);
    if (!fits) return undefined;
    addPrefixes(encoder, reach, family);
  }
  return encoder.bytes.slice();
}

function familiesOf(prefixes: readonly Prefix[]): Iterable<Family> {
  return new Set(prefixes.map((prefix) => unicastFamily(prefix.bytes.length)));
}

function addPrefixes(
  encoder: UpdateEncoder,
  prefixes: readonly (Prefix & { readonly pathId?: number })[],
  family: Family,
): void {
  for (const { bytes, length, pathId } of prefixes) {
    if (bytes.length === family.addressBytes) encoder.prefix16(bytes, 0, length, pathId ?? 0);
  }
  encoder.finish();
}
