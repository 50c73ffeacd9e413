import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  ExplainAdvertisedRouteResponseSchema,
  ExplainImportResponseSchema,
} from "../../gen/cairn/v1/rib_service_pb.ts";
import { plain } from "../style.ts";
import { advertisedPage, importPage } from "./explain-routes.ts";

const page = { style: plain, width: 100, allChecks: false };
const route = {
  prefix: "10.1.0.0/16",
  nextHop: "192.0.2.2",
  neighbor: "192.0.2.2",
  asPathText: "65002",
  origin: 3 as const,
};
const passed = (...names: string[]) => names.map((name) => ({ name, passed: true, text: `${name} is fine` }));

describe("a route's way as a page", () => {
  test("an import that was refused: what came, what it passed, who stopped it, where to look on", () => {
    const response = create(ExplainImportResponseSchema, {
      neighbor: "192.0.2.2",
      prefix: "10.1.0.0/16",
      received: true,
      summary: "10.1.0.0/16 from 192.0.2.2 is rejected by policy in, statement 1 (bogons)",
      route,
      gates: [
        ...passed("own-as", "first-as"),
        { name: "policy", passed: false, text: "rejected by policy in, statement 1 (bogons)" },
      ],
      chain: ["in"],
      statements: [
        {
          policy: "in",
          statement: 1,
          name: "bogons",
          matched: true,
          conditions: [{ field: "prefix_sets", wants: "bogons", holds: true }],
        },
      ],
      decidedBy: "policy in, statement 1 (bogons)",
    });
    assert.deepEqual(importPage(response, page), [
      "10.1.0.0/16 from 192.0.2.2 is rejected by policy in, statement 1 (bogons)",
      "",
      "1. 192.0.2.2 announced",
      "  10.1.0.0/16 via 192.0.2.2 from 192.0.2.2  65002 ?",
      "",
      "2. Before policy",
      "  pass  own-as, first-as",
      "",
      "3. Import policy",
      "  chain in",
      "    in, statement 1 (bogons) matches: prefix_sets bogons",
      "  STOP  rejected by policy in, statement 1 (bogons)",
      "",
      "4. It is kept, and not used",
      "  cairnctl rib rejected 192.0.2.2  all that was refused of this neighbor",
    ]);
    const whole = importPage(response, { ...page, allChecks: true });
    assert.ok(whole.includes("  pass  own-as    own-as is fine"), whole.join("\n"));
  });

  test("an announcement: the path that goes, and the bytes", () => {
    const response = create(ExplainAdvertisedRouteResponseSchema, {
      neighbor: "192.0.2.3",
      prefix: "10.1.0.0/16",
      advertised: true,
      inSync: true,
      summary: "10.1.0.0/16 is announced to 192.0.2.3: learned from 192.0.2.2; 1 better may not go to it",
      gates: passed("session", "family", "best-path"),
      paths: [
        {
          path: { ...route, neighbor: "192.0.2.3" },
          gates: [{ name: "split-horizon", passed: false, text: "it came from this neighbor" }],
        },
        {
          path: route,
          advertised: true,
          gates: [...passed("split-horizon", "no-export", "policy", "next-hop")],
          chain: ["out"],
          statements: [{ policy: "out", statement: 2, matched: true, changes: ["med none -> 5"] }],
        },
      ],
      route,
      update: Uint8Array.of(255, 255, 0, 23),
    });
    assert.deepEqual(advertisedPage(response, page), [
      "10.1.0.0/16 is announced to 192.0.2.3: learned from 192.0.2.2; 1 better may not go to it",
      "",
      "1. Before any path is looked at",
      "  pass  session, family, best-path",
      "",
      "2. The path from 192.0.2.3 (1 of 2 looked at) does not go",
      "  10.1.0.0/16 via 192.0.2.2 from 192.0.2.3  65002 ?",
      "  STOP  split-horizon  it came from this neighbor",
      "",
      "3. The path from 192.0.2.2 (2 of 2 looked at) goes",
      "  10.1.0.0/16 via 192.0.2.2 from 192.0.2.2  65002 ?",
      "  pass  split-horizon, no-export",
      "  export policy, chain out",
      "    out, statement 2 matches",
      "      med none -> 5",
      "  pass  policy is fine",
      "  pass  next-hop",
      "",
      "4. On the wire",
      "  10.1.0.0/16 via 192.0.2.2 from 192.0.2.2  65002 ?",
      "  as an UPDATE of 4 bytes",
      "  ffff0017",
      "  cairnctl rib advertised 192.0.2.3  all that this neighbor is told",
    ]);
  });

  test("nothing there: one check says why, and nobody's escape sequences reach the terminal", () => {
    const response = create(ExplainImportResponseSchema, {
      neighbor: "192.0.2.2",
      prefix: "10.1.0.0/16",
      summary: "192.0.2.2 has no route to 10.1.0.0/16 here: there is no session (Idle): \u001b[31mbye",
      gates: [{ name: "session", passed: false, text: "there is no session (Idle): \u001b[31mbye" }],
    });
    const lines = importPage(response, page);
    assert.equal(lines[2], "1. What there is of it");
    assert.equal(lines.length, 4);
    assert.ok(!lines.join("").includes("\u001b"));
  });
});
