/** Sysctls as files below /proc/sys. They tell of no change, so those that matter are looked at now and then. */
import { readFileSync, writeFileSync } from "node:fs";
import type { Observed } from "../artifact.ts";

/** Path of a sysctl: dots part names, and a slash in the key stands for a dot inside a name, as with sysctl(8). */
function pathOf(key: string): string {
  const parts = key.split(".").map((part) => part.replaceAll("/", "."));
  return `/proc/sys/${parts.join("/")}`;
}

/** @returns null where this kernel has none of the name, or does not let us read it */
export function readSysctl(key: string): Observed | null {
  try {
    const value = readFileSync(pathOf(key), "latin1").trim().replace(/\s+/g, " ");
    return { facts: { value }, identity: "" };
  } catch {
    return null;
  }
}

/** @returns name of the errno; empty for success */
export function writeSysctl(key: string, value: string): string {
  try {
    writeFileSync(pathOf(key), `${value}\n`, { flag: "w" });
    return "";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "EIO";
  }
}
