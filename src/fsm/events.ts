/**
 * Events of RFC 4271 8.1, with the numbers given there. Messages arrive here after they were read and checked: the
 * machine learns what a message was, never its bytes.
 */
import type { Agreement, Notice } from "./negotiate.ts";
import type { Settings, Timer } from "./session.ts";

export type SessionEvent =
  /**
   * 1 to 7: ManualStart, AutomaticStart and their passive and damped forms; the settings say which. `inbound`: a connection of
   * the neighbor is waiting, so this start (or end of an idle hold) only listens.
   */
  | { readonly kind: "start"; readonly manual: boolean; readonly inbound?: boolean }
  /** 2 and 8: ManualStop, AutomaticStop. The Cease to send; an automatic stop counts as a failure and starts again. */
  | {
      readonly kind: "stop";
      readonly manual: boolean;
      readonly notice: Notice;
      /** Close without a NOTIFICATION, and why (RFC 4724: a planned restart). */
      readonly silent?: string;
    }
  /** 9 to 13, and 29 of RFC 9687. Ignored unless the timer runs: a late timer event is no error. */
  | { readonly kind: "timer"; readonly timer: Timer; readonly inbound?: boolean }
  /** 16 and 17: Tcp_CR_Acked, TcpConnectionConfirmed. */
  | { readonly kind: "tcp.connected" }
  /** 18: TcpConnectionFails; errno name, undefined when the neighbor closed. */
  | { readonly kind: "tcp.failed"; readonly error: string | undefined }
  /** 19 and 20: an OPEN that passed every check. */
  | { readonly kind: "open"; readonly agreement: Agreement }
  /** 21: BGPHeaderErr, 22: BGPOpenMsgErr, 28: UpdateMsgErr. */
  | { readonly kind: "header.error"; readonly notice: Notice }
  | { readonly kind: "open.error"; readonly notice: Notice }
  | { readonly kind: "update.error"; readonly notice: Notice }
  /** 23: OpenCollisionDump. `silent`: without a NOTIFICATION, as RFC 4724 4.2 asks when the neighbor has restarted. */
  | { readonly kind: "collision"; readonly silent?: boolean }
  /** 24 (code 2, subcode 1) and 25: NOTIFICATION received. */
  | { readonly kind: "notification"; readonly notice: Notice }
  /** 26, 27 (once per read, however many arrived) and RFC 2918. */
  | { readonly kind: "keepalive" }
  | { readonly kind: "update" }
  | { readonly kind: "refresh" }
  /** Settings were changed without a reset. */
  | { readonly kind: "settings"; readonly settings: Settings };

export const events = {
  automaticStart: { kind: "start", manual: false },
  manualStart: { kind: "start", manual: true },
  connected: { kind: "tcp.connected" },
  collision: { kind: "collision" },
  replaced: { kind: "collision", silent: true },
  keepalive: { kind: "keepalive" },
  update: { kind: "update" },
  refresh: { kind: "refresh" },
} as const satisfies Record<string, SessionEvent>;
