/** Sentences about sessions, in one place: reset reasons, status lines. */
import type { EndReason } from "../fsm/actions.ts";
import type { Notice } from "../fsm/negotiate.ts";
import { noData } from "../wire/message.ts";
import { describeNotification } from "../wire/notification.ts";
import type { ResetInfo } from "./session-port.ts";

export function noticeText(notice: Notice): string {
  const message = notice.shutdownMessage ? ` "${notice.shutdownMessage}"` : "";
  const detail = notice.text ? `: ${notice.text}` : "";
  const hard = notice.hardReset ? " as Hard Reset (RFC 8538)" : "";
  return `${describeNotification(notice.code, notice.subcode)}${message}${hard}${detail}`;
}

/** Of the data of a NOTIFICATION so much is kept with the reset: a neighbor decides how long it is. */
const keptDataBytesMax = 256;

const noNotice = {
  code: 0,
  subcode: 0,
  shutdownMessage: "",
  data: noData,
  hardReset: false,
  transportError: "",
} as const;

export function resetInfo(reason: EndReason): ResetInfo {
  switch (reason.kind) {
    case "transport":
      return {
        ...noNotice,
        local: false,
        transportError: reason.error ?? "",
        text: transportText(reason.error),
      };
    case "silent":
      return { ...noNotice, local: true, text: reason.text };
    default: {
      const { code, subcode, shutdownMessage = "", data, hardReset = false } = reason.notice;
      return {
        ...{ code, subcode, shutdownMessage, hardReset, transportError: "" },
        local: reason.kind === "sent",
        data: data.slice(0, keptDataBytesMax),
        text: `${reason.kind} ${noticeText(reason.notice)}`,
      };
    }
  }
}

export function transportText(error: string | undefined): string {
  if (error === undefined) return "the neighbor closed the connection";
  return `${errnoText[error] ?? "the connection failed"} (${error})`;
}

const errnoText: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset by the neighbor",
  EPIPE: "connection closed by the neighbor",
  ETIMEDOUT: "connection timed out",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network unreachable",
  ENETDOWN: "the link went down",
  EADDRNOTAVAIL: "the local address is not on this host",
  EACCES: "not permitted",
  EPERM: "not permitted",
  ENOSYS: "this host cannot protect the connection as declared",
  ENOPROTOOPT: "this kernel cannot protect the connection as declared",
};

/** What RFC 8212 asks of an external neighbor and is not there. */
export function missingPolicies(config: {
  readonly importPolicies: readonly string[];
  readonly exportPolicies: readonly string[];
}): ("import" | "export")[] {
  const missing: ("import" | "export")[] = [];
  if (config.importPolicies.length === 0) missing.push("import");
  if (config.exportPolicies.length === 0) missing.push("export");
  return missing;
}

/** What that means, in one sentence. */
export function withoutPolicyText(missing: readonly ("import" | "export")[]): string {
  const effect = missing.length === 2 ? "through" : missing[0] === "import" ? "in" : "out";
  return `no ${missing.join(" and ")} policy: RFC 8212 lets no routes ${effect}`;
}

/** Whole seconds, at least 1, for "waiting 12 s". */
export function secondsText(ms: number): string {
  return `${Math.max(1, Math.ceil(ms / 1000))} s`;
}
