/** Operators and values of components as text: `80,>=1024`, `64-128&!=100`, `syn&!ack`, `=syn+ack`. */
import { BitmaskOp, type FlowFamily, type FlowTerm, FlowType, isBitmask, NumericOp } from "./nlri.ts";
import { aliases, defaultWidth, nameOf, valueByName, valueMax } from "./words.ts";

type Report = (message: string, value: string, fix?: string) => void;

const { less, greater, equal } = NumericOp;
const atLeast = greater | equal;
const atMost = less | equal;

/** Operators by their bits; `true` and `false` have none. */
const signs: Readonly<Record<number, string>> = {
  [equal]: "",
  [greater]: ">",
  [atLeast]: ">=",
  [less]: "<",
  [atMost]: "<=",
  [less | greater]: "!=",
};
const opBySign: Readonly<Record<string, number>> = {
  "": equal,
  "=": equal,
  "==": equal,
  ">": greater,
  ">=": atLeast,
  "<": less,
  "<=": atMost,
  "!=": less | greater,
};
const always = less | greater | equal;
const never = 0;

export function formatTerms(type: number, terms: readonly FlowTerm[]): string {
  let text = "";
  for (let i = 0; i < terms.length; i++) {
    const term = terms[i];
    if (i > 0) text += term.and ? "&" : ",";
    if (isBitmask(type)) {
      text += formatBits(type, term);
      continue;
    }
    const next = terms.at(i + 1);
    if (term.op === atLeast && next?.and && next.op === atMost && term.value <= next.value) {
      text += `${formatNumber(type, term)}-${formatNumber(type, next)}`;
      i++;
    } else text += formatNumeric(type, term);
  }
  return text;
}

/** @returns undefined when something was reported */
export function parseTerms(
  type: number,
  word: string,
  text: string,
  family: FlowFamily,
  report: Report,
): FlowTerm[] | undefined {
  const terms: FlowTerm[] = [];
  let isGood = true;
  for (const alternative of text.split(",")) {
    alternative.split("&").forEach((part, i) => {
      const parsed = isBitmask(type) ? parseBits(type, part, family) : parseNumeric(type, part);
      if (typeof parsed === "string") {
        report(`${word}: ${parsed}`, part, examples[type] && `write ${word} ${examples[type]}`);
        isGood = false;
      } else terms.push(...parsed.map((term, j) => ({ ...term, and: i + j > 0 })));
    });
  }
  return isGood ? terms : undefined;
}

const examples: Readonly<Record<number, string>> = {
  [FlowType.protocol]: "tcp,udp",
  [FlowType.port]: "80,8000-8010",
  [FlowType.destinationPort]: "80,8000-8010",
  [FlowType.sourcePort]: ">=1024",
  [FlowType.icmpType]: "8",
  [FlowType.icmpCode]: "0",
  [FlowType.tcpFlags]: "syn&!ack",
  [FlowType.packetLength]: "64-128,>1400",
  [FlowType.dscp]: "46",
  [FlowType.fragment]: "is-fragment",
  [FlowType.flowLabel]: "1000",
};

type Term = Omit<FlowTerm, "and">;

function formatNumeric(type: number, term: FlowTerm): string {
  if (term.op === always || term.op === never) {
    const word = term.op === always ? "true" : "false";
    const isPlain = term.value === 0n && term.width === defaultWidth(type, 0n);
    return isPlain ? word : `${word}:${formatNumber(type, term)}`;
  }
  const name = term.width === 1 ? nameOf(type, Number(term.value)) : undefined;
  return signs[term.op] + (name ?? formatNumber(type, term));
}

/** Hexadecimal digits tell how many bytes a value takes where that is not what is usual. */
function formatNumber(type: number, { value, width }: FlowTerm): string {
  return width === defaultWidth(type, value) && value <= valueMax[type]
    ? String(value)
    : `0x${value.toString(16).padStart(width * 2, "0")}`;
}

function formatBits(type: number, { op, value, width }: FlowTerm): string {
  const sign = ((op & BitmaskOp.not) !== 0 ? "!" : "") + ((op & BitmaskOp.match) !== 0 ? "=" : "");
  const names: string[] = [];
  let left = Number(value);
  for (const [name, bit] of Object.entries(valueByName[type])) {
    if ((left & bit) === 0) continue;
    names.push(name);
    left &= ~bit;
  }
  const isNamed = left === 0 && names.length > 0 && width === defaultWidth(type, value);
  return sign + (isNamed ? names.join("+") : `0x${value.toString(16).padStart(width * 2, "0")}`);
}

/** @returns what is wrong with it */
function parseNumeric(type: number, text: string): Term[] | string {
  const range = /^(\w+)-(\w+)$/.exec(text);
  if (range && aliases[text] === undefined) {
    const first = parseNumber(type, range[1]);
    const last = parseNumber(type, range[2]);
    if (typeof first === "string") return first;
    if (typeof last === "string") return last;
    if (first.value > last.value) return `"${text}" ends before it begins`;
    return [
      { op: atLeast, ...first },
      { op: atMost, ...last },
    ];
  }
  const constant = /^(true|false)(?::(\w+))?$/.exec(text);
  if (constant) {
    const op = constant[1] === "true" ? always : never;
    const number = parseNumber(type, constant[2] ?? "0");
    return typeof number === "string" ? number : [{ op, ...number }];
  }
  const [, sign, value] = /^([<>=!]*)(.*)$/.exec(text)!;
  const op = opBySign[sign];
  if (op === undefined) return `"${sign}" is not an operator`;
  const number = parseNumber(type, value);
  return typeof number === "string" ? number : [{ op, ...number }];
}

function parseNumber(type: number, text: string): Pick<FlowTerm, "value" | "width"> | string {
  const digits = parseHex(text);
  const widthMax = type === FlowType.dscp ? 1 : 8;
  if (digits) {
    if (digits.width > widthMax) return `${text} takes more than a byte`;
    return type === FlowType.dscp && digits.value > 63n ? `${text} is above 63` : digits;
  }
  const name = aliases[text] ?? text;
  const names = valueByName[type];
  if (names && Object.hasOwn(names, name)) return { value: BigInt(names[name]), width: 1 };
  if (!/^(0|[1-9]\d{0,9})$/.test(text)) {
    return text === "" ? "a value is missing" : `"${text}" is not a value`;
  }
  const value = BigInt(text);
  if (value > valueMax[type]) return `${text} is above ${valueMax[type]}`;
  return { value, width: defaultWidth(type, value) };
}

/** Hexadecimal digits of exactly 1, 2, 4 or 8 bytes. */
function parseHex(text: string): Pick<FlowTerm, "value" | "width"> | undefined {
  if (!/^0x(?:[0-9a-f]{2}|[0-9a-f]{4}|[0-9a-f]{8}|[0-9a-f]{16})$/i.test(text)) return undefined;
  return { value: BigInt(text), width: ((text.length - 2) / 2) as FlowTerm["width"] };
}

/** @returns what is wrong with it */
function parseBits(type: number, text: string, { addressBytes }: FlowFamily): Term[] | string {
  const [, not, match, value] = /^(!?)(=?)(.*)$/.exec(text)!;
  const op = (not === "" ? 0 : BitmaskOp.not) | (match === "" ? 0 : BitmaskOp.match);
  const digits = parseHex(value);
  const isFragment = type === FlowType.fragment;
  const allowed = isFragment ? (addressBytes === 4 ? 0x0f : 0x0e) : 0xffff;
  if (digits) {
    if (digits.width > (isFragment ? 1 : 2)) return `${value} takes too many bytes`;
    if ((Number(digits.value) & ~allowed) !== 0) return `${value} has bits that mean nothing`;
    return [{ op, ...digits }];
  }
  let bits = 0;
  for (const part of value.split("+")) {
    const name = aliases[part] ?? part;
    if (!Object.hasOwn(valueByName[type], name)) {
      return part === "" ? "a value is missing" : `"${part}" is not a value`;
    }
    bits |= valueByName[type][name];
  }
  if ((bits & ~allowed) !== 0) return "dont-fragment is only in IPv4";
  return [{ op, value: BigInt(bits), width: defaultWidth(type, BigInt(bits)) }];
}
