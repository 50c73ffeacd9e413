/** Numbers of reject reasons, for those who cannot take text. */
import { RejectReason, rejectReasonText } from "../rib/path-flags.ts";

const byText = new Map(Object.entries(rejectReasonText).map(([reason, text]) => [text, Number(reason)]));

/** Number of the reason that a route is shown with; policies tell theirs in words of their own. */
export function rejectNumber(text: string): number {
  return byText.get(text) ?? RejectReason.policy;
}
