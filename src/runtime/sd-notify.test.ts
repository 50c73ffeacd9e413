import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { native, nativeMissing } from "./native.ts";
import { notifySystemd } from "./sd-notify.ts";

test("systemd is told over its socket, on a path or in the abstract namespace", {
  skip: native ? false : nativeMissing,
}, (t) => {
  const directory = mkdtempSync(join(tmpdir(), "cairn-notify-"));
  t.after(() => rmSync(directory, { recursive: true }));
  for (const path of [join(directory, "notify"), `@cairn-notify-${process.pid}`]) {
    const name = Buffer.from(path.replace(/^@/, "\0"));
    const fd = native!.socket(1, 2, 0);
    assert.ok(fd >= 0);
    t.after(() => native!.close(fd));
    assert.equal(native!.bind(fd, Buffer.concat([Buffer.from([1, 0]), name])), 0);
    const received = Buffer.alloc(64);
    for (const state of ["READY=1", "STOPPING=1"] as const) {
      assert.equal(notifySystemd(state, path), undefined);
      const length = native!.recv(fd, received, 0);
      assert.equal(received.toString("utf8", 0, length), state);
    }
  }
  assert.equal(notifySystemd("READY=1", ""), undefined);
  assert.match(notifySystemd("READY=1", join(directory, "nobody"))!, /nobody: ENOENT$/);
  assert.match(notifySystemd("READY=1", "relative")!, /is no address of a Unix socket: relative$/);
  assert.match(notifySystemd("READY=1", `/${"x".repeat(108)}`)!, /is no address of a Unix socket/);
});
