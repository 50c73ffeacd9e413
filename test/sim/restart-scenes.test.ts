/** Scenes of graceful restart on every run of the tests; `npm run sim -- --restarts N` plays N seeds of each kind. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MessageType } from "../../src/wire/message.ts";
import { runScene, sceneKinds } from "./restart-scenes.ts";

const seeds = 12;

describe("graceful restart under misfortune", () => {
  for (const kind of sceneKinds) {
    test(`${kind}: C loses nothing without a reason, and nothing is stale for too long`, () => {
      let whole = 0;
      for (let seed = 1; seed <= seeds; seed++) {
        const { failure, lost } = runScene(kind, seed);
        assert.equal(failure, undefined, `seed ${seed}: ${failure?.checker}: ${failure?.message}`);
        if (lost === 0) whole++;
      }
      // Otherwise the reasons excuse everything and the test says nothing.
      assert.ok(whole >= (kind === "both" ? 1 : seeds / 3), `only ${whole} of ${seeds} lost nothing`);
    });
  }
  test("a scene does the same twice", () => {
    assert.equal(runScene("loss", 3).hash, runScene("loss", 3).hash);
  });
  test("sentinel: withdrawals of the helper that get lost are noticed", () => {
    const { failure } = runScene("loss", 4, ({ index }, effect) => {
      if (index !== 1 || effect.kind !== "tcp.send" || effect.bytes[18] !== MessageType.update) return false;
      return effect.bytes.length > 23 && effect.bytes.length < 50; // all but End-of-RIB
    });
    assert.match(failure?.message ?? "", /^speaker 2 has 24 routes/);
  });
  test("sentinel: long-lived routes that lose their mark are noticed", () => {
    // Not in every scene do routes get old enough.
    const messages = Array.from({ length: seeds }, (_, i) => {
      const { failure } = runScene("long-lived", i + 1, ({ index }, effect) => {
        // LLGR_STALE on its way from B to C.
        if (index !== 1 || effect.kind !== "tcp.send" || effect.bytes[18] !== MessageType.update)
          return false;
        const at = Buffer.from(effect.bytes).indexOf(Buffer.of(0xff, 0xff, 0x00, 0x06));
        if (at >= 0) effect.bytes[at + 3] = 0xff;
        return false;
      });
      return failure?.message ?? "";
    });
    assert.match(messages.join("\n"), /without LLGR_STALE/);
  });
});
