/** Head of an attribute in a canonical block. */
import { FlagBit } from "../wire/attributes/descriptor.ts";
import type { MessageWriter } from "../wire/message-writer.ts";

export function writeHeader(out: MessageWriter, flags: number, type: number, length: number): void {
  out.u8(length > 255 ? flags | FlagBit.extendedLength : flags);
  out.u8(type);
  if (length > 255) out.u16(length);
  else out.u8(length);
}
