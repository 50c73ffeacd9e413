import assert from "node:assert/strict";
import { test } from "node:test";
import { CliError } from "./exit.ts";
import { parseMoment } from "./moment.ts";

const now = Date.parse("2026-11-21T12:00:00Z");
const iso = (text: string): string => {
  const { seconds, nanos } = parseMoment("--at", text, now);
  return new Date(Number(seconds) * 1000 + nanos / 1e6).toISOString();
};

test("moments: spans before now, times of the last day, dates with and without a zone", () => {
  assert.equal(iso("5m"), "2026-11-21T11:55:00.000Z");
  assert.equal(iso("90s ago"), "2026-11-21T11:58:30.000Z");
  assert.equal(iso("now"), "2026-11-21T12:00:00.000Z");
  assert.equal(iso("2026-11-21T11:00:05.250Z"), "2026-11-21T11:00:05.250Z");
  assert.equal(iso("2026-11-21T12:00:05+01:00"), "2026-11-21T11:00:05.000Z");
  assert.equal(iso("2026-11-20 10:00"), new Date("2026-11-20T10:00").toISOString());
  for (const text of ["00:00", "11:59:59.5", "23:59"]) {
    const ms = Date.parse(iso(text));
    assert.ok(ms <= now && ms > now - 86_400_000, text);
    assert.equal(new Date(ms).getMinutes(), Number(text.slice(3, 5)));
  }
});

test("what is no moment is refused with what would be one", () => {
  for (const text of ["", "soon", "25:00", "12:60", "2026-13-01T00:00:00Z", "-5m", "1e9", "2026-11-21T12"]) {
    assert.throws(
      () => parseMoment("--at", text, now),
      (error: unknown) => {
        return error instanceof CliError && /--at: ".*" is not a time/.test(error.message);
      },
    );
  }
});
