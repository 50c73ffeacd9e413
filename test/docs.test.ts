/** Pages that are written by scripts are current, and pages that are written by hand link to what exists. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { configDoc } from "../scripts/config-doc.ts";
import { stepNames } from "../src/rib/best-path.ts";

const root = join(import.meta.dirname, "..");

test("docs/configuration.md is current", () => {
  const written = readFileSync(join(root, "docs/configuration.md"), "utf8");
  assert.equal(written, configDoc(), "run: node_modules/.bin/node scripts/config-doc.ts");
});

test("every link and every file named in the documentation exists", () => {
  const pages = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    ...under("docs"),
    ...under("examples"),
  ];
  const missing: string[] = [];
  for (const page of pages.filter((path) => path.endsWith(".md"))) {
    const text = readFileSync(join(root, page), "utf8");
    for (const [, target] of text.matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)) {
      if (!existsSync(join(root, dirname(page), target))) missing.push(`${page}: ${target}`);
    }
    for (const [, path] of text.matchAll(
      /`((?:src|test|scripts|proto|docs|examples|config|interop|bench|bin|native)\/[\w./-]+)`/g,
    )) {
      if (!existsSync(join(root, path))) missing.push(`${page}: ${path}`);
    }
  }
  assert.deepEqual(missing, []);
});

test("docs/best-path.md has the steps in their order", () => {
  const page = readFileSync(join(root, "docs/best-path.md"), "utf8");
  const steps = [...page.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, name]) => name);
  assert.deepEqual(steps, [...stepNames]);
});

test("every dependency is accounted for in docs/dependencies.md", () => {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const page = readFileSync(join(root, "docs/dependencies.md"), "utf8");
  const names = ["dependencies", "devDependencies", "optionalDependencies"].flatMap((part) =>
    Object.keys(manifest[part]),
  );
  assert.deepEqual(
    names.filter((name) => !page.includes(`\`${name}\``)),
    [],
  );
});

function under(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) =>
    join(folder, name),
  );
}
