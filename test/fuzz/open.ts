/** Fuzz target: any body as an OPEN is an OPEN or an error of class 1 or 2, and an OPEN survives a round trip. */
import assert from "node:assert/strict";
import { describeCapability } from "../../src/wire/capabilities.ts";
import { decodeOpen, encodeOpen, isWireError } from "../../src/wire/open.ts";

export { mutate } from "./mutate.ts";

/** Throws when something that must hold does not. */
export function target(bytes: Uint8Array): void {
  if (bytes.length < 19) return;
  const open = decodeOpen(bytes, 0, bytes.length);
  if (isWireError(open)) {
    assert.ok(open.code === 1 || open.code === 2);
    return;
  }
  for (const capability of open.capabilities) describeCapability(capability);
  const fqdn = open.capabilities.some((capability) => capability.kind === "fqdn");
  const wide =
    open.asn > 0xffff && !open.capabilities.some((capability) => capability.kind === "four-octet-as");
  if (fqdn || wide) return; // unsafe text in a host name is replaced, so it does not come back
  const encoded = encodeOpen(open);
  assert.deepEqual(decodeOpen(encoded, 0, encoded.length), open);
}
