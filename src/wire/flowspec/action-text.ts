/** Actions of flow specifications as text: `drop`, `rate 1000000 mark 46`, `redirect 64500:1`, `accept` for none. */
import { formatIp, parseIp } from "../../base/ip.ts";
import { nearestName, type Problem } from "../../base/problem.ts";
import { type FlowAction, parseRedirectTarget } from "./actions.ts";

/** `accept` when there is none: a rule without actions lets its packets pass. */
export function formatActions(actions: readonly FlowAction[]): string {
  return actions.length === 0 ? "accept" : actions.map(formatAction).join(" ");
}

/** Parses words behind the arrow; problems are put into `problems`. */
export function parseActions(words: readonly string[], path: string, problems: Problem[]): FlowAction[] {
  const actions: FlowAction[] = [];
  const report = (message: string, value: string, fix: string): void => {
    problems.push({ code: "INVALID", path, message, value, fix });
  };
  if (words.length === 0) {
    problems.push({
      code: "REQUIRED",
      path,
      message: "nothing stands behind the arrow",
      fix: "write -> drop",
    });
  }
  let accepts = false;
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    const constant = constants[word];
    if (word === "accept") accepts = true;
    else if (constant) actions.push(constant);
    else if (!Object.hasOwn(readers, word)) {
      const near = nearestName(word, [...Object.keys(readers), ...Object.keys(constants), "accept"]);
      report(
        `there is no action "${word}"`,
        word,
        near ? `did you mean ${near}` : `write ${examples.join(", ")}`,
      );
    } else {
      const [example, read] = readers[word];
      const value = words.at(++i);
      const action = value === undefined ? undefined : read(value);
      if (action) actions.push(action);
      else {
        const message = value === undefined ? `${word} has no value` : `${word} does not take "${value}"`;
        report(message, value ?? word, `write ${word} ${example}`);
      }
    }
  }
  if (accepts && words.length > 1) {
    report("accept stands for no action, and there are others", "accept", "leave accept out");
  }
  // The two bits of traffic-action are one community.
  const bits = actions.filter((action) => action.kind === "traffic-action");
  if (bits.length < 2) return actions;
  const all = {
    kind: "traffic-action",
    sample: bits.some(({ sample }) => sample),
    terminal: bits.some(({ terminal }) => terminal),
  } as const;
  return actions.flatMap((action) =>
    action === bits[0] ? [all] : bits.includes(action as never) ? [] : [action],
  );
}

function formatAction(action: FlowAction): string {
  switch (action.kind) {
    case "rate-bytes":
      if (action.rate === 0 && action.asn === 0) return "drop";
      return `rate ${rateText(action)}`;
    case "rate-packets":
      return `rate-packets ${rateText(action)}`;
    case "traffic-action": {
      const words = [...(action.sample ? ["sample"] : []), ...(action.terminal ? ["terminal"] : [])];
      return words.length === 0 ? "no-action" : words.join(" ");
    }
    case "redirect":
      return `redirect ${action.target}`;
    case "redirect-ip":
      return `${action.copy ? "copy-ip" : "redirect-ip"} ${formatIp(action.address)}`;
    case "redirect-next-hop":
      return action.copy ? "copy-next-hop" : "redirect-next-hop";
    case "mark":
      return `mark ${action.dscp}`;
  }
}

function rateText({ asn, rate }: { asn: number; rate: number }): string {
  return `${asn === 0 ? "" : `${asn}:`}${rate}`;
}

/** Actions that are one word. */
const constants: Readonly<Record<string, FlowAction>> = {
  drop: { kind: "rate-bytes", asn: 0, rate: 0 },
  discard: { kind: "rate-bytes", asn: 0, rate: 0 },
  sample: { kind: "traffic-action", sample: true, terminal: false },
  terminal: { kind: "traffic-action", sample: false, terminal: true },
  "no-action": { kind: "traffic-action", sample: false, terminal: false },
  "redirect-next-hop": { kind: "redirect-next-hop", copy: false },
  "copy-next-hop": { kind: "redirect-next-hop", copy: true },
};

type Reader = readonly [example: string, read: (text: string) => FlowAction | undefined];

/** Actions that take a value. */
const readers: Readonly<Record<string, Reader>> = {
  rate: ["1000000", (text) => parseRate("rate-bytes", text)],
  "rate-packets": ["1000", (text) => parseRate("rate-packets", text)],
  mark: ["46", parseMark],
  redirect: ["64500:1", parseRedirect],
  "redirect-ip": ["192.0.2.1", (text) => parseAddress(text, false)],
  "copy-ip": ["192.0.2.1", (text) => parseAddress(text, true)],
};

const examples = ["drop", ...Object.entries(readers).map(([word, [example]]) => `${word} ${example}`)];

/** `RATE` or `AS:RATE`; the rate as a 32-bit float holds it. */
function parseRate(kind: "rate-bytes" | "rate-packets", text: string): FlowAction | undefined {
  const parts = /^(?:(\d{1,5}):)?(\d+(?:\.\d+)?(?:e[+-]?\d{1,2})?)$/.exec(text);
  const asn = Number(parts?.[1] ?? 0);
  const rate = Math.fround(Number(parts?.[2]));
  return parts && asn <= 0xffff && Number.isFinite(rate) ? { kind, asn, rate } : undefined;
}

function parseMark(text: string): FlowAction | undefined {
  return /^(0|[1-9]\d?)$/.test(text) && Number(text) <= 63 ? { kind: "mark", dscp: Number(text) } : undefined;
}

function parseRedirect(text: string): FlowAction | undefined {
  const target = parseRedirectTarget(text);
  return target === undefined ? undefined : { kind: "redirect", target };
}

function parseAddress(text: string, copy: boolean): FlowAction | undefined {
  const address = parseIp(text);
  return address && { kind: "redirect-ip", address, copy };
}
