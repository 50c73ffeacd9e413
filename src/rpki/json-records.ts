/**
 * Records of VRPs and ASPAs in JSON as relying parties and StayRTR write them: AS numbers as numbers or as "AS64496",
 * lists called `roas` and `aspas`. Used for whole files of VRPs and for SLURM.
 */
import { type Prefix, parsePrefix } from "../base/ip.ts";
import type { Problem, Result } from "../base/problem.ts";
import { encodeAspa, encodePrefix, latestVersion, providersMax } from "./pdu.ts";

type Entry = Readonly<Record<string, unknown>>;

/** Problems told of one file. */
const problemsMax = 20;

/**
 * Reads a file of VRPs and ASPAs.
 * @param nowS wall-clock seconds; what expired before is left out
 * @returns the records as PDUs one after the other, each once; or all that is wrong with it, up to some
 */
export function parseVrpFile(text: string, nowS: number): Result<Uint8Array> {
  const problems: Problem[] = [];
  const file = readRecords(text, problems);
  if (!file) return { ok: false, problems };
  const out = new PduWriter();
  const seen = new Set<string>();
  const { roas, aspas } = file;
  if (!Array.isArray(roas) && !Array.isArray(aspas))
    problems.push({ code: "REQUIRED", path: "roas", message: "a list of roas or aspas is missing" });
  const lists = [
    { name: "roas", list: roas },
    { name: "aspas", list: aspas },
  ];
  const providers = new Map<number, Set<number>>();
  for (const { name, list } of lists) {
    if (!Array.isArray(list)) continue;
    for (let i = 0; i < list.length && problems.length < problemsMax; i++) {
      const entry: unknown = list[i];
      const path = `${name}[${i}]`;
      if (typeof entry !== "object" || entry === null) {
        problems.push({ code: "INVALID", path, message: "an object is wanted" });
        continue;
      }
      const record = entry as Entry;
      if (typeof record.expires === "number" && record.expires < nowS) continue;
      if (name === "roas") addRoa(record, path, out, seen, problems);
      else joinAspa(readAspa(record, path, problems), providers);
    }
  }
  if (problems.length > 0) return { ok: false, problems };
  for (const [customer, set] of providers) out.add(encodeAspa(customer, sorted(set)));
  return { ok: true, value: out.take() };
}

function addRoa(record: Entry, path: string, out: PduWriter, seen: Set<string>, problems: Problem[]): void {
  const text = record.prefix;
  const prefix = typeof text === "string" ? parsePrefix(text) : "a prefix is wanted";
  if (typeof prefix === "string") {
    problems.push({ code: "INVALID", path: `${path}.prefix`, message: prefix, value: String(text) });
    return;
  }
  const asn = readAsn(record.asn, `${path}.asn`, problems);
  const maxLength = readMaxLength(record.maxLength, prefix, `${path}.maxLength`, problems);
  if (asn === undefined || maxLength === undefined) return;
  const key = `${text} ${maxLength} ${asn}`;
  if (seen.has(key)) return;
  seen.add(key);
  out.add(encodePrefix(latestVersion, true, prefix.bytes, prefix.length, maxLength, asn));
}

/** Several ASPAs of one customer are one with the providers of all (draft-ietf-sidrops-aspa-verification 4). */
function joinAspa(
  record: { readonly customer: number; readonly providers: readonly number[] } | undefined,
  all: Map<number, Set<number>>,
): void {
  if (!record) return;
  const known = all.get(record.customer) ?? new Set();
  for (const provider of record.providers) known.add(provider);
  all.set(record.customer, known);
}

function sorted(providers: Iterable<number>): number[] {
  const all = [...providers].sort((a, b) => a - b);
  // AS 0 says that there are none; beside others it says nothing.
  return all.length > 1 && all[0] === 0 ? all.slice(1) : all;
}

/** The JSON object in `text`; undefined, with a problem, when it is none. */
export function readRecords(text: string, problems: Problem[]): Entry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    problems.push({ code: "SYNTAX", path: "", message: `no JSON: ${(error as Error).message}` });
    return undefined;
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Entry;
  problems.push({ code: "INVALID", path: "", message: "a JSON object is wanted" });
  return undefined;
}

/** An AS number as a number or as text, with or without AS before it. */
export function readAsn(value: unknown, path: string, problems: Problem[]): number | undefined {
  const text = typeof value === "string" ? value.replace(/^AS/i, "") : value;
  const asn = typeof text === "string" && /^[0-9]{1,10}$/.test(text) ? Number(text) : text;
  if (typeof asn === "number" && Number.isInteger(asn) && asn >= 0 && asn <= 0xffff_ffff) return asn;
  problems.push({ code: "INVALID", path, message: "an AS number is wanted", value: String(value) });
  return undefined;
}

/** A maximum length; that of the prefix when it is left out. */
export function readMaxLength(
  value: unknown,
  prefix: Prefix,
  path: string,
  problems: Problem[],
): number | undefined {
  if (value === undefined || value === null) return prefix.length;
  const bits = prefix.bytes.length * 8;
  if (typeof value === "number" && Number.isInteger(value) && value >= prefix.length && value <= bits)
    return value;
  const message = `a length from ${prefix.length} to ${bits} is wanted`;
  problems.push({ code: "INVALID", path, message, value: String(value) });
  return undefined;
}

/** An ASPA: `customer_asid` or `customer`, `providers` or `provider_set`. */
export function readAspa(
  entry: Entry,
  path: string,
  problems: Problem[],
): { customer: number; providers: readonly number[] } | undefined {
  const customer = readAsn(
    entry.customer_asid ?? entry.customerAsid ?? entry.customer,
    `${path}.customer_asid`,
    problems,
  );
  const list = entry.providers ?? entry.provider_set ?? entry.providerAsids;
  if (!Array.isArray(list) || list.length === 0 || list.length > providersMax) {
    const message = `a list of 1 to ${providersMax} providers is wanted`;
    problems.push({ code: "INVALID", path: `${path}.providers`, message });
    return undefined;
  }
  const providers = list.map((each: unknown, i) => readAsn(each, `${path}.providers[${i}]`, problems));
  if (customer === undefined || providers.includes(undefined)) return undefined;
  if (providers.includes(customer)) {
    const message = `AS ${customer} is named as its own provider`;
    problems.push({ code: "INVALID", path: `${path}.providers`, message });
    return undefined;
  }
  return { customer, providers: sorted(new Set(providers as number[])) };
}

/** Collects PDUs in one growing array. */
class PduWriter {
  private bytes = new Uint8Array(65_536);
  private used = 0;

  add(pdu: Uint8Array): void {
    if (this.used + pdu.length > this.bytes.length) {
      const next = new Uint8Array(Math.max(this.bytes.length * 2, this.used + pdu.length));
      next.set(this.bytes.subarray(0, this.used));
      this.bytes = next;
    }
    this.bytes.set(pdu, this.used);
    this.used += pdu.length;
  }

  take(): Uint8Array {
    return this.bytes.slice(0, this.used);
  }
}
