/** All fuzz targets, and their corpora: one file of lines each, hexadecimal for bytes and JSON strings for text. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "../../src/base/random.ts";
import { fromHex, toHex } from "../support/wire.ts";
import * as api from "./api.ts";
import * as bfd from "./bfd.ts";
import * as bmp from "./bmp.ts";
import * as config from "./config.ts";
import * as flowspec from "./flowspec.ts";
import * as framer from "./framer.ts";
import * as mrt from "./mrt.ts";
import * as netlink from "./netlink.ts";
import * as open from "./open.ts";
import * as rtr from "./rtr.ts";
import * as update from "./update.ts";

export interface FuzzTarget {
  /** Throws when something that must hold does not. */
  target(input: Uint8Array): void | Promise<void>;
  mutate(seed: Uint8Array, random: Random): Uint8Array;
  /** Lets go of what it has opened. */
  end?(): void;
  /** Lines of its corpus are text. */
  readonly text?: boolean;
  /** Inputs to begin with beside the corpus. */
  seeds?(): Uint8Array[];
}

const configFolder = join(import.meta.dirname, "../../config");

export const targets: Readonly<Record<string, FuzzTarget>> = {
  flowspec,
  framer,
  mrt,
  netlink,
  open,
  rtr,
  update,
  bfd,
  bmp,
  config: {
    ...config,
    text: true,
    seeds: () =>
      readdirSync(configFolder)
        .filter((name) => /\.(toml|yaml)$/.test(name))
        .map((name) => readFileSync(join(configFolder, name))),
  },
  api: { ...api, text: true },
};

export function corpusPath(name: string): string {
  return join(import.meta.dirname, "corpus", `${name}.${targets[name].text ? "txt" : "hex"}`);
}

export function readCorpus(name: string): Uint8Array[] {
  const path = corpusPath(name);
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n") : [];
  const kept = lines.filter((line) => line !== "").map((line) => parseLine(targets[name], line));
  return [...(targets[name].seeds?.() ?? []), ...kept];
}

export function parseLine(target: FuzzTarget, line: string): Uint8Array {
  return target.text ? new TextEncoder().encode(JSON.parse(line) as string) : fromHex(line);
}

export function printLine(target: FuzzTarget, input: Uint8Array): string {
  return target.text ? JSON.stringify(new TextDecoder().decode(input)) : toHex(input);
}
