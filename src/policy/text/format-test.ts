/** Tests as text, as read-test.ts reads them. */
import {
  PolicyAction,
  PolicyDirection,
  type PolicyTest,
  type PolicyTestCase,
  type PolicyTestRoute,
} from "../../gen/cairn/v1/policy_service_pb.ts";
import { quote } from "./lexer.ts";
import { originNames, testNumbers, testWords } from "./vocabulary.ts";

/** The test, not laid out. */
export function formatTest(test: PolicyTest): string {
  const lines = [`test ${quote(test.name)} {`];
  const { direction, chain, neighbor } = test;
  const word = direction === PolicyDirection.EXPORT ? "export" : "import";
  if (chain.length > 0 || direction !== PolicyDirection.UNSPECIFIED) {
    lines.push(`${word}${chain.length > 0 ? " " : ""}${chain.join(", ")};`);
  }
  if (neighbor) {
    const { address, asn, peerGroup, localAsn } = neighbor;
    const parts = [
      ...(address === "" ? [] : [address]),
      ...(asn === 0 ? [] : [`asn ${asn}`]),
      ...(peerGroup === "" ? [] : [`group ${peerGroup}`]),
      ...(localAsn === 0 ? [] : [`local-as ${localAsn}`]),
    ];
    lines.push(`neighbor ${parts.join(" ")};`);
  }
  return [...lines, ...test.cases.map(formatCase), "}"].join("\n");
}

function formatCase({ given, expect, by, with: result }: PolicyTestCase): string {
  const route = given ? [given.prefix, ...fieldsOf(given)].join(" ") : "";
  const parts = [expect === PolicyAction.ACCEPT ? "accept" : "reject"];
  if (by !== "") parts.push(`by ${by}`);
  const wanted = result ? fieldsOf(result) : [];
  const absent = result?.absent ?? [];
  if (wanted.length > 0 || (result && absent.length === 0)) parts.push("with", ...wanted);
  if (absent.length > 0) parts.push(`without ${list(absent)}`);
  return `given ${route}; expect ${parts.join(" ")};`;
}

function fieldsOf(route: PolicyTestRoute): string[] {
  const fields: string[] = [];
  for (const { keyword, field } of testWords)
    if (route[field] !== "") fields.push(`${keyword} ${route[field]}`);
  if (route.asPath !== undefined) fields.push(`as-path ${quote(route.asPath)}`);
  if (route.origin !== 0) fields.push(`origin ${originNames[route.origin - 1]}`);
  if (route.nextHop !== "") fields.push(`next-hop ${route.nextHop}`);
  for (const { keyword, field } of testNumbers) {
    if (route[field] !== undefined) fields.push(`${keyword} ${route[field]}`);
  }
  if (route.communities.length > 0) fields.push(`community ${list(route.communities)}`);
  if (route.discard !== undefined) fields.push(`discard ${route.discard ? "yes" : "no"}`);
  return fields;
}

function list(words: readonly string[]): string {
  return words.length === 1 ? words[0] : `(${words.join(", ")})`;
}
