/**
 * local_asn on routes that come in: it is put in front of the path before import policy looks at it, so that the AS which
 * the neighbor knows us as stands between it and us. What was received is kept as it came.
 */
import type { AttrId, AttributeStore } from "../rib/attribute-store.ts";
import { writePrepended } from "../rib/export-path.ts";
import { AttributeType } from "../wire/attributes/descriptor.ts";
import { attributeEnd, findAttribute, valueAt } from "../wire/block-walk.ts";
import { MessageWriter } from "../wire/message-writer.ts";
import { SegmentType } from "../wire/path-attributes.ts";
import { AttributeBlock } from "../wire/scratch.ts";
import type { NeighborConfig } from "./session-port.ts";

export class ImportLocalAs {
  private readonly attributes: AttributeStore;
  private readonly block = new AttributeBlock();
  private readonly writer = new MessageWriter(1024);
  // The last result, for the many routes of one attribute set; epochs tell whether it still stands.
  private lastIn: AttrId = 0;
  private lastInEpoch = 0;
  private lastAsn = 0;
  private lastOut: AttrId = 0;
  private lastOutEpoch = 0;

  constructor(attributes: AttributeStore) {
    this.attributes = attributes;
  }

  /** @returns what import policy is asked about, with one reference that the caller gives back */
  run({ localAsPrepends, localAsn }: NeighborConfig, received: AttrId): AttrId {
    const { attributes } = this;
    if (!localAsPrepends) {
      attributes.retain(received);
      return received;
    }
    if (
      received === this.lastIn &&
      attributes.epoch[received] === this.lastInEpoch &&
      localAsn === this.lastAsn &&
      attributes.epoch[this.lastOut] === this.lastOutEpoch
    ) {
      attributes.retain(this.lastOut);
      return this.lastOut;
    }
    const out = this.prepended(received, localAsn);
    this.lastIn = received;
    this.lastInEpoch = attributes.epoch[received];
    this.lastAsn = localAsn;
    this.lastOut = out;
    this.lastOutEpoch = attributes.epoch[out];
    return out;
  }

  private prepended(received: AttrId, localAsn: number): AttrId {
    const { attributes, block, writer } = this;
    attributes.block(received, block);
    const { bytes, start, end } = block;
    const path = findAttribute(bytes, start, end, AttributeType.asPath);
    const value = valueAt(bytes, path);
    const next = attributeEnd(bytes, path);
    writer.reset();
    writer.copy(bytes, start, path);
    writePrepended(writer, [localAsn], SegmentType.sequence, bytes, value, next - value);
    writer.copy(bytes, next, end);
    return attributes.intern(writer.bytes, 0, writer.at);
  }
}
