/**
 * Builds `native/sys.c` into `build/sys.node` with the C compiler alone: no node-gyp, no python, no network. Runs as
 * npm's `postinstall`. The daemon works without the addon, so a missing compiler is one line of text and never a
 * failed install.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import path from "node:path";

const root = path.dirname(import.meta.dirname);
const source = path.join(root, "native", "sys.c");
const output = path.join(root, "build", "sys.node");

/** What is lost without the addon, for people. */
const MISSING = "TTL on BGP connections (multihop_ttl, direct eBGP with TTL 1) stays at the system's default";

const problem = build();
if (problem) console.log(`cairn: native addon not built, ${problem}. cairnd runs without it; ${MISSING}.`);

/** @returns why it could not be built */
function build(): string | undefined {
  if (process.platform !== "linux") return `this is ${process.platform}, not Linux`;
  const headers = headersFolder();
  if (!headers) return "the headers of Node are not where npm puts them";
  if (existsSync(output) && statSync(output).mtimeMs > statSync(source).mtimeMs) return undefined;
  mkdirSync(path.dirname(output), { recursive: true });
  // Written beside and renamed: a daemon that runs keeps its old copy mapped.
  const fresh = `${output}.${process.pid}`;
  const flags = [
    "-O2",
    "-Wall",
    "-Wextra",
    "-std=gnu11",
    "-fPIC",
    "-shared",
    `-I${headers}`,
    "-o",
    fresh,
    source,
  ];
  try {
    execFileSync(process.env.CC ?? "cc", flags, { stdio: ["ignore", "inherit", "pipe"] });
    renameSync(fresh, output);
    return undefined;
  } catch (error) {
    const { code, stderr } = error as { code?: string; stderr?: Buffer };
    if (code === "ENOENT") return "there is no C compiler (cc)";
    return `the compiler refused it: ${stderr?.toString().trim().split("\n")[0] ?? code}`;
  }
}

function headersFolder(): string | undefined {
  const beside = path.join(path.dirname(path.dirname(process.execPath)), "include", "node");
  const packaged = ["x64", "arm64"].map((arch) =>
    path.join(root, "node_modules", `node-linux-${arch}`, "include", "node"),
  );
  return [...packaged, beside].find((folder) => existsSync(path.join(folder, "node_api.h")));
}
