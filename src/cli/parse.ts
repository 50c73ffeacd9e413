/** From words to a command, its arguments and its options. All problems of a command line are told at once. */
import { nearestName } from "../base/problem.ts";
import { CliError, exitCode } from "./exit.ts";
import { type Command, Invocation, type Option, resolveCommand } from "./tree.ts";

/** Where the words led, for help: the command reached, and whether help was asked for. */
export interface Parsed {
  readonly invocation: Invocation;
  readonly help: boolean;
}

/**
 * Parses `words` (without the program's name). Options may stand anywhere, also before the command they belong to.
 * @throws CliError (usage)
 */
export async function parseCommandLine(root: Command, words: readonly string[]): Promise<Parsed> {
  const chain: Command[] = [root];
  const path: string[] = [];
  const rest: string[] = [];
  const seen: { option: Option; name: string; value: string }[] = [];
  const problems: string[] = [];
  let onlyArguments = false;
  let help = false;
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    const command = chain[chain.length - 1];
    if (!onlyArguments && word === "--") {
      onlyArguments = true;
    } else if (!onlyArguments && (word === "--help" || word === "-h")) {
      help = true;
    } else if (!onlyArguments && word.length > 1 && word.startsWith("-")) {
      const found = readOption(word, chain);
      if (typeof found === "string") {
        problems.push(found);
        continue;
      }
      let value = found.value;
      if (value === undefined && found.option.value !== undefined) {
        value = words[++i];
        if (value === undefined) {
          problems.push(`${found.name} needs a value: ${found.name} ${found.option.value}`);
          continue;
        }
      }
      seen.push({ option: found.option, name: found.name, value: value ?? "true" });
    } else {
      const entry = rest.length > 0 ? undefined : command.commands?.find(({ name }) => name === word);
      if (entry && !onlyArguments) {
        chain.push(await resolveCommand(entry));
        path.push(word);
      } else {
        rest.push(word);
      }
    }
  }
  const command = chain[chain.length - 1];
  const options = new Map<string, string[]>();
  for (const { option, name, value } of seen) {
    if (chain[0].options?.includes(option) || command.options?.some((own) => own.name === option.name)) {
      if (option.value === undefined && value !== "true" && value !== "false") {
        problems.push(`${name} is a switch: it takes true or false, not "${value}"`);
      }
      const values = options.get(option.name);
      if (values) values.push(value);
      else options.set(option.name, [value]);
    } else {
      problems.push(`${name} does not apply to "${path.join(" ")}"`);
    }
  }
  if (help) return { invocation: new Invocation(path, command, new Map(), options), help };
  const args = matchArguments(command, path, rest, problems);
  if (problems.length > 0) throw parseError(path, problems);
  return { invocation: new Invocation(path, command, args, options), help };
}

function readOption(
  word: string,
  chain: readonly Command[],
): { option: Option; name: string; value: string | undefined } | string {
  const all = [...chain].reverse().flatMap((command) => command.options ?? []);
  if (!word.startsWith("--")) {
    const option = all.find((candidate) => candidate.short === word[1]);
    if (!option) return `there is no option -${word[1]}`;
    if (word.length > 2 && option.value === undefined) return `-${word[1]} takes no value`;
    return {
      option,
      name: `-${word[1]}`,
      value: word.length > 2 ? word.slice(2).replace(/^=/, "") : undefined,
    };
  }
  const equals = word.indexOf("=");
  const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
  const value = equals < 0 ? undefined : word.slice(equals + 1);
  const option = all.find((candidate) => candidate.name === name || candidate.aliases?.includes(name));
  if (option) return { option, name: `--${name}`, value };
  if (name.startsWith("no-") && value === undefined) {
    const negated = all.find(
      (candidate) => candidate.value === undefined && candidate.name === name.slice(3),
    );
    if (negated) return { option: negated, name: `--${name}`, value: "false" };
  }
  const near = nearestName(
    name,
    all.flatMap((candidate) => [candidate.name, ...(candidate.aliases ?? [])]),
  );
  return `there is no option --${name}${near ? `; did you mean --${near}` : ""}`;
}

function matchArguments(
  command: Command,
  path: readonly string[],
  rest: readonly string[],
  problems: string[],
): Map<string, string[]> {
  const args = new Map<string, string[]>();
  const declared = command.args ?? [];
  if (!command.run && rest.length === 0) {
    const names = (command.commands ?? []).filter(({ hidden }) => !hidden).map(({ name }) => name);
    problems.push(`say what to do: ${["cairnctl", ...path].join(" ")} ${names.join(" | ")}`);
    return args;
  }
  let at = 0;
  for (const argument of declared) {
    const taken = argument.repeat ? rest.slice(at) : rest.slice(at, at + 1);
    at += taken.length;
    if (taken.length > 0) args.set(argument.name, [...taken]);
    else if (!argument.optional) problems.push(`${argument.name} is missing: ${argument.help}`);
  }
  if (at >= rest.length) return args;
  const names = (command.commands ?? []).map(({ name }) => name);
  const near = nearestName(rest[0], names);
  const word = near ? rest[0] : rest[at];
  if (names.length === 0 || (command.run && !near)) problems.push(`"${word}" is one word too many`);
  else problems.push(`there is no command "${word}"${near ? `; did you mean "${near}"` : ""}`);
  return args;
}

function parseError(path: readonly string[], problems: readonly string[]): CliError {
  const [first, ...others] = problems;
  const help = `cairnctl ${[...path, "--help"].join(" ")}`;
  return new CliError(exitCode.usage, "USAGE", first, { hints: [...others, `see: ${help}`] });
}
