/** What the owner's thread and the thread for flows and logged packets tell each other. */
import type { LoggedPacket } from "../dataplane/netlink/packet-log-wire.ts";
import type { Eviction, TranslationPage, TranslationQuery } from "../dataplane/translations.ts";

export type NetfilterRequest =
  | { readonly kind: "list"; readonly query: TranslationQuery }
  | {
      readonly kind: "evict";
      readonly query: Pick<TranslationQuery, "filter" | "rules">;
      readonly dryRun: boolean;
    };

export type ToNetfilter =
  | { readonly kind: "ask"; readonly id: number; readonly request: NetfilterRequest }
  | { readonly kind: "log"; readonly wanted: boolean }
  | { readonly kind: "close" };

export type FromNetfilter =
  | { readonly kind: "listed"; readonly id: number; readonly page: TranslationPage }
  | { readonly kind: "evicted"; readonly id: number; readonly eviction: Eviction }
  | { readonly kind: "logged"; readonly packets: readonly LoggedPacket[]; readonly dropped: number }
  | { readonly kind: "failed"; readonly why: string };
