/** KEEPALIVE (RFC 4271 4.4): a header and nothing else, so one constant serves everyone. */
import { MessageType } from "./message.ts";
import { MessageWriter } from "./message-writer.ts";

/** The bytes of every KEEPALIVE. Not to be written to. */
export const keepaliveBytes: Uint8Array = encodeKeepalive();

function encodeKeepalive(): Uint8Array {
  const out = new MessageWriter(19);
  out.endMessage(out.beginMessage(MessageType.keepalive));
  return out.take();
}
