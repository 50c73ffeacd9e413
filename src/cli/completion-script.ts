// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${} here is the shell's
/** Completion scripts for bash, zsh and fish, made from the command tree. Commands and flags are in the script itself; names come from `cairnctl __complete`. */
import { type Argument, type Command, type Option, resolveCommand, type ValueSource } from "./tree.ts";

export type Shell = "bash" | "zsh" | "fish";

/** A command with its path, flattened. */
interface Node {
  /** Names joined by a blank; empty for the root. */
  readonly path: string;
  readonly command: Command;
  readonly commands: readonly Command[];
}

/** The script as text. */
export async function completionScript(root: Command, shell: Shell): Promise<string> {
  const nodes = await flatten(root, "");
  const script = { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](nodes, root.options ?? []);
  return `${script.join("\n")}\n`;
}

async function flatten(command: Command, path: string): Promise<Node[]> {
  const shown = (command.commands ?? []).filter(({ hidden }) => !hidden);
  const commands = await Promise.all(shown.map(resolveCommand));
  const below = await Promise.all(
    commands.map((child) => flatten(child, path === "" ? child.name : `${path} ${child.name}`)),
  );
  return [{ path, command, commands }, ...below.flat()];
}

function ownOptions(node: Node, globals: readonly Option[]): readonly Option[] {
  return node.path === "" ? globals : [...(node.command.options ?? []), ...globals];
}

/** "WORDS a b c", "ASK neighbor", "FILE" or "NONE": what the shell functions below understand. */
function valueSpec(from: ValueSource | undefined): string {
  if (from === undefined) return "NONE";
  if (typeof from !== "string") return `WORDS ${from.join(" ")}`;
  return from === "file" ? "FILE" : `ASK ${from}`;
}

function argumentSpec(argument: Argument | undefined): string {
  return argument ? valueSpec(argument.from) : "NONE";
}

/** Shell case arms: where the words stand -> commands, flags; flag -> its values; place -> its values. */
function caseArms(nodes: readonly Node[], globals: readonly Option[]) {
  const words: string[] = [];
  const flags: string[] = [];
  const values: string[] = [];
  const places: string[] = [];
  for (const node of nodes) {
    const options = ownOptions(node, globals);
    words.push(`"${node.path}") words="${node.commands.map(({ name }) => name).join(" ")}" ;;`);
    flags.push(`"${node.path}") words="${options.map(({ name }) => `--${name}`).join(" ")} --help" ;;`);
    for (const option of node.path === "" ? globals : (node.command.options ?? [])) {
      if (option.value === undefined) continue;
      const names = [`--${option.name}`, ...(option.aliases ?? []).map((name) => `--${name}`)];
      if (option.short) names.push(`-${option.short}`);
      const at = node.path === "" ? "*" : `"${node.path}"`;
      values.push(`${names.map((name) => `${at}:${name}`).join("|")}) spec="${valueSpec(option.from)}" ;;`);
    }
    (node.command.args ?? []).forEach((argument, i) => {
      places.push(`"${node.path}":${argument.repeat ? "*" : i}) spec="${argumentSpec(argument)}" ;;`);
    });
  }
  // the general ones (*:--flag) last, so that a command's own flag of the same name is found first
  values.sort((a, b) => Number(a.startsWith("*")) - Number(b.startsWith("*")));
  return { words, flags, values, places };
}

function bashScript(nodes: readonly Node[], globals: readonly Option[]): string[] {
  const arms = caseArms(nodes, globals);
  const indent = (lines: readonly string[]) => lines.map((line) => `    ${line}`);
  return [
    "# bash completion for cairnctl; load with: source <(cairnctl completions bash)",
    "_cairnctl_words() {",
    '  local path="$1" words=""',
    '  case "$path" in',
    ...indent(arms.words),
    "  esac",
    '  printf "%s" "$words"',
    "}",
    "_cairnctl_flags() {",
    '  local path="$1" words=""',
    '  case "$path" in',
    ...indent(arms.flags),
    "  esac",
    '  printf "%s" "$words"',
    "}",
    "_cairnctl_value() {",
    '  local spec=""',
    '  case "$1:$2" in',
    ...indent(arms.values),
    "  esac",
    '  printf "%s" "$spec"',
    "}",
    "_cairnctl_place() {",
    '  local spec="NONE"',
    '  case "$1:$2" in',
    ...indent(arms.places),
    "  esac",
    '  printf "%s" "$spec"',
    "}",
    "_cairnctl() {",
    '  local line="${COMP_LINE:0:COMP_POINT}" cur path="" place=0 spec="" i word before names',
    "  local -a said address=()",
    // words are split by blanks alone: bash would also split IPv6 addresses at their colons
    '  read -ra said <<<"$line"',
    '  if [[ $line == *[[:space:]] ]]; then said+=(""); fi',
    '  cur="${said[${#said[@]}-1]}"',
    "  for ((i = 1; i < ${#said[@]} - 1; i++)); do",
    '    word="${said[i]}"',
    "    if [[ $word == -* ]]; then",
    '      spec="$(_cairnctl_value "$path" "$word")"',
    "      if [[ -n $spec ]]; then",
    "        ((i++))",
    '        if [[ $word == -s || $word == --address || $word == --addr ]]; then address=(-s "${said[i]}"); fi',
    "      fi",
    "      continue",
    "    fi",
    '    names=" $(_cairnctl_words "$path") "',
    '    if ((place == 0)) && [[ $names == *" $word "* ]]; then path="${path:+$path }$word"; else ((place++)); fi',
    "  done",
    '  before="${said[${#said[@]}-2]}"; spec=""',
    '  if ((${#said[@]} > 2)) && [[ $before == -* ]]; then spec="$(_cairnctl_value "$path" "$before")"; fi',
    "  COMPREPLY=()",
    "  if [[ -z $spec && $cur == -* ]]; then",
    '    COMPREPLY=($(compgen -W "$(_cairnctl_flags "$path")" -- "$cur"))',
    "    return",
    "  fi",
    '  names=""',
    "  if [[ -z $spec ]]; then",
    '    if ((place == 0)); then names="$(_cairnctl_words "$path")"; fi',
    '    spec="$(_cairnctl_place "$path" "$place")"',
    "  fi",
    '  case "$spec" in',
    '    WORDS*) names="$names ${spec#WORDS}" ;;',
    '    ASK*) names="$names $(cairnctl "${address[@]}" --timeout 2s __complete "${spec#ASK }" 2>/dev/null)" ;;',
    '    FILE) COMPREPLY=($(compgen -f -- "$cur")); return ;;',
    "  esac",
    '  COMPREPLY=($(compgen -W "$names" -- "$cur"))',
    "  # bash replaces only what stands behind the last colon",
    "  if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then",
    '    local head="${cur%"${cur##*:}"}"',
    '    for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]="${COMPREPLY[i]#"$head"}"; done',
    "  fi",
    "}",
    "complete -F _cairnctl cairnctl",
  ];
}

function zshScript(nodes: readonly Node[], globals: readonly Option[]): string[] {
  // zsh runs the bash functions: one description of the tree, two shells
  return [
    "#compdef cairnctl",
    "# zsh completion for cairnctl; put it into a directory of fpath as _cairnctl",
    "autoload -U +X bashcompinit && bashcompinit",
    ...bashScript(nodes, globals),
  ];
}

function fishScript(nodes: readonly Node[], globals: readonly Option[]): string[] {
  const lines = [
    "# fish completion for cairnctl",
    "function __cairnctl_at",
    "  set -l said (commandline -opc)",
    "  set -l path",
    "  for word in $said[2..-1]",
    "    string match -q -- '-*' $word; or set -a path $word",
    "  end",
    '  string match -q -- "$argv*" "$path"; and test (count $path) -ge (count (string split " " -- $argv))',
    "end",
    "function __cairnctl_top",
    "  set -l said (commandline -opc)",
    "  test (count (string match -v -- '-*' $said)) -eq 1",
    "end",
    "complete -c cairnctl -f",
  ];
  const quote = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const values = (from: ValueSource | undefined) => {
    const [kind, ...rest] = valueSpec(from).split(" ");
    if (kind === "WORDS") return ` -x -a ${quote(rest.join(" "))}`;
    if (kind === "ASK") return ` -x -a ${quote(`(cairnctl --timeout 2s __complete ${rest[0]} 2>/dev/null)`)}`;
    return kind === "FILE" ? " -r -F" : " -x";
  };
  for (const option of globals)
    lines.push(
      `complete -c cairnctl${optionFlags(option)} -d ${quote(option.help)}${option.value ? values(option.from) : ""}`,
    );
  for (const { path, command, commands } of nodes) {
    const when = path === "" ? "__cairnctl_top" : `__cairnctl_at ${path}`;
    for (const child of commands)
      lines.push(`complete -c cairnctl -n ${quote(when)} -a ${child.name} -d ${quote(child.summary)}`);
    if (path === "") continue;
    for (const option of command.options ?? []) {
      lines.push(
        `complete -c cairnctl -n ${quote(when)}${optionFlags(option)} -d ${quote(option.help)}${option.value ? values(option.from) : ""}`,
      );
    }
    for (const argument of command.args ?? []) {
      if (argument.from)
        lines.push(
          `complete -c cairnctl -n ${quote(when)}${values(argument.from).replace(" -x", "").replace(" -r", "")}`,
        );
    }
  }
  return lines;
}

function optionFlags(option: Option): string {
  return `${option.short ? ` -s ${option.short}` : ""} -l ${option.name}`;
}
