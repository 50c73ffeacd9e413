/** Nat44RuleService: rules with their counters, and the flows that the kernel translates. */
import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { type Prefix, parseIp, parsePrefix } from "../base/ip.ts";
import { parseProtocol } from "../base/ip-protocols.ts";
import type { NAT44RuleSpec } from "../gen/cairn/v1/nat_kinds_pb.ts";
import {
  ListNat44RulesRequestSchema,
  ListTranslationsRequestSchema,
  type Nat44RuleService,
  type TranslationFilter,
  TranslationFilterSchema,
} from "../gen/cairn/v1/nat_service_pb.ts";
import { translationMessage, type TranslationFilter as Wanted } from "../state/translation-message.ts";
import { principalOf, type ServiceContext } from "./context.ts";
import { operate } from "./mutations.ts";
import { kindHandlers } from "./objects.ts";
import { readPage } from "./paging.ts";
import { refusal } from "./problems.ts";
import { checked, type RequestCheck } from "./request.ts";

const kind = "NAT44Rule";
const reasonBytesMax = 1_024;

export function natService(services: ServiceContext): ServiceImpl<typeof Nat44RuleService> {
  const { view } = services.owner;
  const rules = kindHandlers<NAT44RuleSpec, typeof ListNat44RulesRequestSchema>(
    services,
    kind,
    ListNat44RulesRequestSchema,
  );
  return {
    async listNat44Rules(request) {
      const { items, page } = await rules.list(request);
      const told = items.map((item) => {
        const status = view.resourceStatus(kind, item.spec.name);
        const { packets = "0", bytes = "0" } = status?.values ?? {};
        return { ...item, status, packets: BigInt(packets), bytes: BigInt(bytes) };
      });
      return { rules: told, ...page };
    },

    async listTranslations(request) {
      const [filter, page] = checked((check) => [
        readFilter(check, services, request.filter),
        readPage(check, ListTranslationsRequestSchema, request),
      ]);
      const query = { filter, rules: view.translationRules(), after: page.position, max: page.size };
      const { translations, position, total, failure } = await table(services).list(query);
      if (failure !== "") throw unable(failure);
      return {
        translations: translations.map(translationMessage),
        nextPageToken: position === "" ? "" : page.token(position, page.before + translations.length),
        totalSize: BigInt(total),
      };
    },

    async evictTranslations(request, context) {
      const { all, dryRun } = request;
      const filter = checked((check) => {
        check.textBytes("reason", request.reason, reasonBytesMax);
        const wanted = readFilter(check, services, request.filter);
        const isEmpty = Object.keys(wanted).length === 0;
        if (isEmpty === all) return wanted;
        const message = isEmpty
          ? "says nothing: that would be every translation"
          : "does not go with a filter";
        check.add({
          code: "INVALID",
          path: isEmpty ? "filter" : "all",
          message,
          ...(isEmpty && { fix: "set all" }),
        });
        return wanted;
      });
      const query = { filter, rules: view.translationRules() };
      const { evicted, left, failure } = await table(services).evict(query, dryRun);
      if (evicted > 0) await tell(services, context, evicted, request.filter);
      if (failure !== "") throw unable(failure);
      return { evicted: BigInt(evicted), left: BigInt(left) };
    },
  };
}

function table({ translations }: ServiceContext) {
  if (translations) return translations;
  throw refusal([
    {
      code: "WRONG_STATE",
      path: "",
      message: "this daemon does not look at the kernel's flows",
      fix: "start cairnd with --dataplane linux",
    },
  ]);
}

function unable(failure: string) {
  return refusal([{ code: "WRONG_STATE", path: "", message: failure }]);
}

async function tell(
  services: ServiceContext,
  context: HandlerContext,
  count: number,
  filter: TranslationFilter | undefined,
): Promise<void> {
  const { $typeName: _, ...given } = filter ?? create(TranslationFilterSchema);
  const named = Object.entries(given)
    .filter(([name, value]) => value !== "" && value !== undefined && !(name === "port" && value === 0))
    .map(([name, value]) => [name, String(value)] as const);
  await operate(services, {
    op: "translations-evicted",
    count,
    filter: Object.fromEntries(named),
    principal: principalOf(context),
  });
}

function readFilter(
  check: RequestCheck,
  { owner }: ServiceContext,
  filter: TranslationFilter | undefined,
): Wanted {
  if (!filter) return {};
  const prefix = (name: string, text: string): Prefix | undefined => {
    if (text === "") return undefined;
    const bytes = text.includes("/") ? undefined : parseIp(text);
    const found = bytes ? { bytes, length: bytes.length * 8 } : parsePrefix(text);
    if (typeof found !== "string") return found;
    check.add({ code: "INVALID", path: `filter.${name}`, message: found, value: text });
    return undefined;
  };
  const address = prefix("address", filter.address);
  const source = prefix("source", filter.source);
  const destination = prefix("destination", filter.destination);
  const { port, rule, mark } = filter;
  if (port > 65_535)
    check.add({ code: "INVALID", path: "filter.port", message: `${port} is no port`, value: String(port) });
  const protocol = filter.protocol === "" ? undefined : parseProtocol(filter.protocol);
  if (filter.protocol !== "" && protocol === undefined) {
    const message = `"${filter.protocol.slice(0, 64)}" is no IP protocol`;
    check.add({ code: "INVALID", path: "filter.protocol", message, fix: "tcp, udp, icmp, or a number" });
  }
  if (rule !== "" && !owner.view.object(kind, rule)) {
    const message = `there is no ${kind} ${rule.slice(0, 64)}`;
    check.add({ code: "NOT_FOUND", path: "filter.rule", message, value: rule.slice(0, 64) });
  }
  return {
    ...(address && { address }),
    ...(source && { source }),
    ...(destination && { destination }),
    ...(port !== 0 && { port }),
    ...(protocol !== undefined && { protocol }),
    ...(rule !== "" && { rule }),
    ...(mark !== undefined && { mark }),
  };
}
