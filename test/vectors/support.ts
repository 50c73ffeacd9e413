/** Loads vector files from the shared folder and shows what the wire floor makes of a message as plain text. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { formatIp, formatIp4, maskBytes } from "../../src/base/ip.ts";
import { formatAsPath } from "../../src/wire/as-path-text.ts";
import { decodeBlock } from "../../src/wire/block.ts";
import { formatCommunity, formatLargeCommunity } from "../../src/wire/community-text.ts";
import type { NlriList, UpdateScratch } from "../../src/wire/scratch.ts";
import { Verdict } from "../../src/wire/verdict.ts";

export interface VectorRow {
  name: string;
  kind: string;
  hex: string;
  expect: Record<string, unknown>;
  ctx?: Record<string, unknown>;
}

/** `CAIRN_SHARED`, else `../shared` beside the project. */
export const sharedFolder: string = process.env.CAIRN_SHARED ?? join(import.meta.dirname, "../../../shared");

/** A test over the rows of some vector files; skipped with a message when the shared folder is missing. */
export function vectorTest(
  name: string,
  paths: string[],
  run: (rows: VectorRow[], context: TestContext) => void,
): void {
  const files = paths.flatMap((path) => filesUnder(join(sharedFolder, "vectors", path)));
  const skip = files.length === 0 ? `no vectors at ${join(sharedFolder, "vectors", paths[0])}` : false;
  test(name, { skip }, (context) => run(files.flatMap(readRows), context));
}

function filesUnder(path: string): string[] {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .sort()
    .flatMap((entry) => filesUnder(join(path, entry)))
    .filter((file) => /\.jsonl(\.gz)?$/.test(file));
}

function readRows(file: string): VectorRow[] {
  const bytes = readFileSync(file);
  const text = (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as VectorRow);
}

/** Runs `check` on every row and fails with all that went wrong, not with the first. */
export function eachRow(rows: readonly VectorRow[], check: (row: VectorRow) => void): void {
  const failures: string[] = [];
  for (const row of rows) {
    try {
      check(row);
    } catch (error) {
      failures.push(`${row.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  assert.equal(
    failures.length,
    0,
    `${failures.length} of ${rows.length} rows\n${failures.slice(0, 40).join("\n")}`,
  );
}

/** Counts by reason, told at the end of a test. */
export class Tally {
  private readonly counts = new Map<string, number>();

  add(reason: string): void {
    this.counts.set(reason, (this.counts.get(reason) ?? 0) + 1);
  }

  count(reason: string): number {
    return this.counts.get(reason) ?? 0;
  }

  tell(context: TestContext): void {
    for (const [reason, count] of [...this.counts].sort())
      context.diagnostic(`${String(count).padStart(5)} ${reason}`);
  }
}

/** An UPDATE of supported families as text. Oracles fill in only what they say. */
export interface UpdateView {
  announced: string[];
  withdrawn: string[];
  nextHop?: string;
  origin?: number;
  asPath?: string;
  med?: number;
  localPref?: number;
  communities?: string[];
  largeCommunities?: string[];
  extendedCommunities?: string[];
  aggregator?: string;
  atomicAggregate?: boolean;
  originatorId?: string;
  clusterList?: string[];
}

export function viewOf(out: UpdateScratch, frame: Uint8Array): UpdateView {
  const view: UpdateView = {
    announced: [...prefixTexts(out.reach, frame), ...prefixTexts(out.mpReach, frame)].sort(),
    withdrawn: [...prefixTexts(out.withdrawn, frame), ...prefixTexts(out.mpWithdrawn, frame)].sort(),
  };
  const block = out.reach.count > 0 ? out.block : out.mpBlock;
  if (out.verdict >= Verdict.treatAsWithdraw || view.announced.length === 0) return view;
  const attributes = decodeBlock(block.bytes, block.start, block.end);
  view.nextHop = formatIp(attributes.nextHop, 0, Math.min(attributes.nextHop.length, 16));
  view.origin = attributes.origin;
  view.asPath = formatAsPath(attributes.asPath);
  view.med = attributes.med;
  view.localPref = attributes.localPref;
  view.communities = attributes.communities.map(formatCommunity).sort();
  view.largeCommunities = attributes.largeCommunities.map(formatLargeCommunity).sort();
  view.extendedCommunities = [...attributes.extendedCommunities].sort();
  view.atomicAggregate = attributes.atomicAggregate;
  const { aggregator, originatorId } = attributes;
  view.aggregator = aggregator && `${aggregator.asn} ${formatIp4(aggregator.address)}`;
  view.originatorId = originatorId === undefined ? undefined : formatIp4(originatorId);
  view.clusterList = attributes.clusterList.map(formatIp4);
  return view;
}

function prefixTexts(list: NlriList, frame: Uint8Array): string[] {
  return Array.from({ length: list.count }, (_, i) => {
    const length = list.length[i];
    const bytes = new Uint8Array(list.family.addressBytes);
    bytes.set(frame.subarray(list.at[i], list.at[i] + ((length + 7) >> 3)));
    return prefixText(bytes, length);
  });
}

export function prefixText(bytes: Uint8Array, length: number): string {
  maskBytes(bytes, length);
  return `${formatIp(bytes)}/${length}`;
}
