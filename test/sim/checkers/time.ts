/** No turn wants an unbounded amount done: a slice of work gives a slice of effects. */
import { violated } from "../failure.ts";
import type { Speaker } from "../speaker.ts";

const effectsMax = 20_000;
const bytesMax = 32 << 20;

export function checkTurn(speaker: Speaker): void {
  const { list } = speaker.core!.effects;
  if (list.length > effectsMax)
    violated("time", `speaker ${speaker.index}: ${list.length} effects in one turn`);
  let bytes = 0;
  for (const effect of list) if (effect.kind === "tcp.send") bytes += effect.bytes.length;
  if (bytes > bytesMax) violated("time", `speaker ${speaker.index}: ${bytes} bytes sent in one turn`);
}
