/** Address families on the command line. */
import type { Option } from "./tree.ts";

/** Short words for the common families. */
const shortFamilies: Readonly<Record<string, string>> = {
  ipv4: "ipv4-unicast",
  ipv6: "ipv6-unicast",
  v4: "ipv4-unicast",
  v6: "ipv6-unicast",
  "4": "ipv4-unicast",
  "6": "ipv6-unicast",
};

export const familyOption: Option = {
  name: "family",
  short: "f",
  value: "FAMILY",
  help: "Address family: ipv4, ipv6, ipv4-unicast, ...",
  from: "family",
};

/** The full name of a family; unknown words pass, the daemon knows them best. */
export function expandFamily(word: string): string {
  const name = word.toLowerCase().replaceAll("_", "-");
  return shortFamilies[name] ?? name;
}
