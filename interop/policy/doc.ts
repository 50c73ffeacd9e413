/**
 * Writes docs/policy-differences.md from the situations: where FRR, BIRD and GoBGP do something else than cairn with the
 * same policy, and what they cannot say. With --check it only says whether the file is current.
 * Run: node interop/policy/doc.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import {
  type Changes,
  type DaemonName,
  daemons,
  type Outcome,
  readSituations,
  type Situation,
} from "./situation.ts";

const file = new URL("../../docs/policy-differences.md", import.meta.url);
const names: Readonly<Record<DaemonName, string>> = {
  cairn: "cairn",
  frr: "FRR",
  bird: "BIRD",
  gobgp: "GoBGP",
};

/** The whole page as Markdown. */
export function policyDifferencesDoc(): string {
  const situations = readSituations();
  const cell = (text: string): string => text.replaceAll("|", "\\|");
  const lines = [
    "<!-- Written by interop/policy/doc.ts from interop/policy/situations/; do not edit. -->",
    "",
    "# Policy: differences from FRR, BIRD and GoBGP",
    "",
    `${situations.length} policy situations are written in the languages of cairn, FRR 8.4 (route-maps), BIRD 2.0.12 (filters)`,
    "and GoBGP 3.10 (policy definitions). `npm run interop -- policy` runs each daemon once with all of them over the same",
    "feed and compares what an iBGP and an eBGP neighbor are sent: accepted or not, AS_PATH, NEXT_HOP, MED, LOCAL_PREF,",
    "ORIGIN and communities of all kinds. What is not in the first table is equal; the run fails when a difference is missing",
    "here and when one that stands here does not occur.",
    "",
    "## Same policy, another result",
    "",
    "| situation | daemon | route | cairn | the other | why |",
    "|---|---|---|---|---|---|",
  ];
  for (const situation of situations) {
    for (const daemon of daemons) {
      const difference = situation.differences[daemon];
      for (const [prefix, got] of Object.entries(difference?.got ?? {})) {
        const route = situation.feed.find((each) => each.prefix === prefix)!;
        lines.push(
          `| ${titleOf(situation)} | ${names[daemon]} | ${shown(route.attributes, prefix)} | ${outcomeText(route.expect)} | ${outcomeText(got)} | ${cell(difference!.why)} |`,
        );
      }
    }
  }
  lines.push(
    "",
    "## What another language has no words for",
    "",
    "| situation | daemon | why |",
    "|---|---|---|",
  );
  for (const situation of situations) {
    for (const daemon of daemons) {
      const why = situation.absent[daemon];
      if (why !== undefined) lines.push(`| ${titleOf(situation)} | ${names[daemon]} | ${cell(why)} |`);
    }
  }
  lines.push(
    "",
    "## All situations",
    "",
    `| situation | ${daemons.map((each) => names[each]).join(" | ")} |`,
  );
  lines.push(`|---|${"---|".repeat(daemons.length)}`);
  for (const situation of situations) {
    const marks = daemons.map((daemon) => {
      if (situation.absent[daemon] !== undefined) return "no words";
      return situation.differences[daemon] ? "differs" : "equal";
    });
    lines.push(`| ${titleOf(situation)} | ${marks.join(" | ")} |`);
  }
  return `${lines.join("\n")}\n`;

  function titleOf({ number, title, file }: Situation): string {
    return `[${number}. ${cell(title)}](../interop/policy/situations/${file}.yaml)`;
  }
}

function shown(attributes: Changes, prefix: string): string {
  const text = changesText(attributes);
  return text === "" ? prefix : `${prefix}, ${text}`;
}

function outcomeText(outcome: Outcome): string {
  if (outcome === "reject") return "rejected";
  return changesText(outcome) || "as it came";
}

function changesText(changes: Changes): string {
  const words = ([name, value]: readonly [string, unknown]): string => {
    const label = name.replace(/[A-Z]/g, (sign) => ` ${sign.toLowerCase()}`);
    if (value === null) return `no ${label}`;
    return `${label} ${Array.isArray(value) ? value.join(" ") : value}`;
  };
  return Object.entries(changes).map(words).join(", ");
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const text = policyDifferencesDoc();
  if (!process.argv.includes("--check")) writeFileSync(file, text);
  else if (readFileSync(file, "utf8") !== text) {
    console.error("docs/policy-differences.md is out of date: run node interop/policy/doc.ts");
    process.exit(1);
  }
}
