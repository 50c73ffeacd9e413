/**
 * What the machine wants done, in order. The executor (state/sessions) performs actions without calling the machine
 * back; what follows from them arrives as further events through its queue.
 */
import type { Agreement, Notice } from "./negotiate.ts";
import type { Timer } from "./session.ts";

export type SessionAction =
  | { readonly kind: "connect" }
  /** Close the TCP connection, or give up the attempt. */
  | { readonly kind: "close" }
  | { readonly kind: "send.open" }
  | { readonly kind: "send.keepalive" }
  | { readonly kind: "send.notification"; readonly notice: Notice }
  /** `jitter`: multiply by a random factor from 0.75 to 1.0 (RFC 4271 section 10). Starting a running timer restarts it. */
  | { readonly kind: "timer.start"; readonly timer: Timer; readonly ms: number; readonly jitter: boolean }
  | { readonly kind: "timer.stop"; readonly timer: Timer }
  /** The OPEN was accepted; what was agreed is in force from here on. */
  | { readonly kind: "agreed"; readonly agreement: Agreement }
  | { readonly kind: "established" }
  /** An Established session, or an attempt with a TCP connection, came to its end. */
  | { readonly kind: "ended"; readonly established: boolean; readonly reason: EndReason };

/** Why: a NOTIFICATION one way or the other, or the transport. */
export type EndReason =
  | { readonly kind: "sent"; readonly notice: Notice }
  | { readonly kind: "received"; readonly notice: Notice }
  | { readonly kind: "transport"; readonly error: string | undefined }
  /** We closed it without a word: for a planned restart, or because the neighbor is back on another connection. */
  | { readonly kind: "silent"; readonly text: string };
