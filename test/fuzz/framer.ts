/** Fuzz target: a stream of bytes through the framer, whole and in two parts, gives the same frames. */
import assert from "node:assert/strict";
import { Frame, Framer } from "../../src/wire/framer.ts";
import { decodeNotification } from "../../src/wire/notification.ts";
import { decodeRefresh } from "../../src/wire/refresh.ts";

const framer = new Framer();

export { mutate } from "./mutate.ts";

/** Throws when something that must hold does not. */
export function target(bytes: Uint8Array): void {
  const whole = frames(bytes, [bytes.length]);
  const half = frames(bytes, [bytes.length >> 1, bytes.length]);
  assert.equal(half, whole);
}

function frames(bytes: Uint8Array, arrivals: readonly number[]): string {
  let text = "";
  let at = 0;
  for (const arrived of arrivals) {
    let frame: Frame = Frame.incomplete;
    while ((frame = framer.next(bytes, at, arrived, 65_535)) === Frame.message) {
      assert.ok(framer.start === at && framer.end > at && framer.end <= arrived);
      if (framer.type === 3) decodeNotification(bytes, framer.start, framer.end);
      if (framer.type === 5) decodeRefresh(bytes, framer.start, framer.end);
      text += `${framer.type}:${framer.end} `;
      at = framer.end;
    }
    if (frame === Frame.error) {
      assert.equal(framer.error?.code, 1);
      return `${text}error ${framer.error?.subcode}`;
    }
  }
  return text;
}
