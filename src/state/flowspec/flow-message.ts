/** FlowSpec rules as the API shows them, and as it takes them. */
import { create } from "@bufbuild/protobuf";
import type { Problem, Result } from "../../base/problem.ts";
import type { InjectedFlowSpec } from "../../gen/cairn/v1/injection_service_pb.ts";
import {
  type FlowSpecComponent,
  FlowSpecComponentSchema,
  type FlowSpecRoute,
  FlowSpecRouteSchema,
  type Route,
} from "../../gen/cairn/v1/types_pb.ts";
import { AttributeType } from "../../wire/attributes/descriptor.ts";
import { parseExtendedCommunity } from "../../wire/community-text.ts";
import { type Family, familyByName, flowFamily } from "../../wire/family.ts";
import { formatActions } from "../../wire/flowspec/action-text.ts";
import { decodeActions, encodeActions, type FlowAction } from "../../wire/flowspec/actions.ts";
import { componentEnd } from "../../wire/flowspec/nlri.ts";
import { parseFlow } from "../../wire/flowspec/text.ts";
import { wordByType } from "../../wire/flowspec/words.ts";
import { emptyAttributes } from "../../wire/path-attributes.ts";
import { type CheckedPath, checkPathSettings } from "../injection-parse.ts";

/** The actions that a route asks for. */
export function actionsOf({ extendedCommunities, unknownAttributes }: Route): FlowAction[] {
  const ip6 = unknownAttributes.find(({ type }) => type === AttributeType.ipv6ExtendedCommunities);
  const digits = extendedCommunities.map(parseExtendedCommunity).filter((each) => each !== undefined);
  return decodeActions(digits, ip6?.value);
}

/** Texts of extended communities that are no actions. */
export function communitiesBesideActions(texts: readonly string[]): string[] {
  return texts.filter((text) => {
    const digits = parseExtendedCommunity(text);
    return digits === undefined || decodeActions([digits]).length === 0;
  });
}

/** Empty when nothing is said of what is to be done. */
function actionText(actions: readonly FlowAction[]): string {
  return actions.length === 0 ? "" : formatActions(actions);
}

/** Texts of actions by the message of an attribute set, which is the same one for the same set. */
const actionTexts = new WeakMap<Route, string>();
/** Components shown last, by type and value: a list has the same ones many times. */
const componentsShown = new Map<string, FlowSpecComponent>();
const componentsShownMax = 4096;

/**
 * @param rule canonical
 * @param attributes of the path, as `attributesMessage` has them
 * @param route them, and the rest of the path
 */
export function flowMessage(
  family: Family,
  rule: Uint8Array,
  attributes: Route,
  route: Route,
): FlowSpecRoute {
  let actions = actionTexts.get(attributes);
  if (actions === undefined) actionTexts.set(attributes, (actions = actionText(actionsOf(attributes))));
  const message = create(FlowSpecRouteSchema);
  message.rule = route.prefix;
  message.actions = actions;
  message.components = componentMessages(rule, family, route.prefix);
  message.nlri = rule.slice();
  message.route = route;
  return message;
}

/** @param text of the rule: pairs of a word and a value, behind a word for the family where no address tells it */
function componentMessages(rule: Uint8Array, family: Family, text: string): FlowSpecComponent[] {
  const words = text.split(" ");
  const components: FlowSpecComponent[] = [];
  let at = 0;
  for (let i = words.length % 2; i < words.length; i += 2) {
    components.push(componentMessage(rule[at], words[i], words[i + 1]));
    at = componentEnd(rule, at, family);
  }
  return components;
}

function componentMessage(type: number, word: string, value: string): FlowSpecComponent {
  const key = `${type} ${word} ${value}`;
  let message = componentsShown.get(key);
  if (!message) {
    message = create(FlowSpecComponentSchema, { type, name: word === "other" ? "" : word, value });
    if (componentsShown.size >= componentsShownMax) componentsShown.clear();
    componentsShown.set(key, message);
  }
  return message;
}

/** Checks a rule to announce; all of its problems at once. `at` is the field path for problems. */
export function checkInjectedFlow(flow: InjectedFlowSpec, at: string): Result<CheckedPath> {
  const problems: Problem[] = [];
  const named = checkFlowName(flow, at, problems);
  const text = flow.actions.join(" ");
  const fromList = text === "" ? undefined : parseFlow(`proto udp -> ${text}`, `${at}.actions`);
  if (fromList && !fromList.ok) problems.push(...fromList.problems);
  const given = fromList?.ok ? fromList.value.actions : undefined;
  if (given && named?.actions) {
    const message = "give actions in the text or in the list, not both";
    problems.push({ code: "INVALID", path: `${at}.actions`, message });
  }
  const attributes = emptyAttributes();
  const settings = checkPathSettings(flow, at, attributes, problems);
  const communities = encodeActions(given ?? named?.actions ?? []);
  for (const each of communities.extended) {
    if (!attributes.extendedCommunities.includes(each)) attributes.extendedCommunities.push(each);
  }
  if (communities.ip6Extended.length > 0) {
    const type = AttributeType.ipv6ExtendedCommunities;
    attributes.unknown.push({ flags: 0xc0, type, value: communities.ip6Extended });
  }
  if (problems.length > 0 || !named) return { ok: false, problems };
  const { family, rule } = named;
  return { ok: true, value: { family, address: rule, length: rule.length, attributes, ...settings } };
}

interface FlowName {
  readonly family: Family;
  /** Canonical. */
  readonly rule: Uint8Array;
  /** Those of the text; undefined when it has no arrow. */
  readonly actions: readonly FlowAction[] | undefined;
}

/** Reads which rule is meant; what is wrong is added to `problems`. */
export function checkFlowName(
  flow: Pick<InjectedFlowSpec, "family" | "rule" | "components">,
  at: string,
  problems: Problem[],
): FlowName | undefined {
  const { family: name, rule, components } = flow;
  const wanted = name === "" ? undefined : familyByName(name);
  if (name !== "" && wanted?.nlri !== "flow") {
    const message = `"${name}" is no family of rules`;
    problems.push({
      ...{ code: "INVALID", path: `${at}.family`, message, value: name },
      fix: "use ipv4-flowspec or ipv6-flowspec",
    });
  }
  const isListed = components.length > 0;
  const match = rule.split("->")[0].trim();
  if (isListed && match !== "") {
    const message = "give components or the text, not both";
    problems.push({ code: "INVALID", path: `${at}.components`, message });
    return undefined;
  }
  const prefix = wanted ? `ipv${wanted.addressBytes === 4 ? 4 : 6} ` : "";
  const said = /^ipv[46](\s|$)/.test(match) ? "" : prefix;
  const arrow = rule.indexOf("->");
  const text = isListed
    ? `${prefix}${componentsText(components)}${arrow < 0 ? "" : ` ${rule.slice(arrow)}`}`
    : `${said}${rule}`;
  const parsed = parseFlow(text, isListed ? `${at}.components` : `${at}.rule`);
  if (!parsed.ok) {
    problems.push(...parsed.problems);
    return undefined;
  }
  const { addressBytes, flow: bytes, actions } = parsed.value;
  const family = flowFamily(addressBytes);
  if (wanted?.nlri === "flow" && wanted !== family) {
    const message = `is no rule of ${wanted.name}`;
    problems.push({ code: "INVALID", path: `${at}.rule`, message, value: rule });
    return undefined;
  }
  return { family, rule: bytes, actions };
}

/** Components as a rule in text has them. One that cairn does not know is named by its type, and its value is the rest. */
function componentsText(components: readonly FlowSpecComponent[]): string {
  return components
    .map(({ type, name, value }) => {
      const word = name || (value.startsWith("0x") ? "other" : (wordByType.get(type) ?? String(type)));
      return `${word} ${value}`;
    })
    .join(" ");
}
