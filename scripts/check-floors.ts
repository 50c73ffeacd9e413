/**
 * Holds the house's rules that no linter knows: imports point down (ARCHITECTURE.md, rooms and floors), floors 0 to 3
 * touch neither clock nor chance nor the outside, some packages have one importer, and generated code matches its
 * sources. Prints every offence as `file:line: what`, and exits 1 when there is one.
 */
import { execFileSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const root = path.dirname(import.meta.dirname);

/** What each room below the runtime may import, itself aside. A room that is not named here is an offence. */
const lower: Readonly<Record<string, readonly string[]>> = {
  base: [],
  gen: [],
  wire: ["base"],
  mrt: ["base", "wire"],
  bmp: ["base", "wire"],
  policy: ["base", "gen", "wire"],
  fsm: ["base", "wire"],
  bfd: ["base"],
  rib: ["base", "gen", "wire", "policy"],
  rpki: ["base", "wire", "policy"],
  dataplane: ["base"],
  resources: ["base", "gen", "wire", "dataplane"],
  state: [
    "base",
    "gen",
    "wire",
    "bmp",
    "mrt",
    "policy",
    "fsm",
    "bfd",
    "rib",
    "rpki",
    "dataplane",
    "resources",
  ],
  config: ["base", "gen", "policy", "state", "resources"],
  services: ["base", "gen", "wire", "state", "resources"],
  store: ["base", "gen", "state"],
  "dataplane/host": ["base", "dataplane"],
  cli: ["base", "gen", "wire", "mrt", "policy", "resources"],
};

/** The runtime puts everything together but the client. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  ...lower,
  runtime: Object.keys(lower).filter((room) => room !== "cli"),
};

/** Rooms that run the same in production, simulation and replay: the core and all that it stands on. */
const deterministic = ["state", ...rooms.state];

/** What would let the outside into a deterministic room. */
const outside: readonly [RegExp, string][] = [
  [/\bDate\.now\b|\bnew Date\(\)/, "reads the clock"],
  [/\bperformance\.\w/, "reads the clock"],
  [/\bMath\.random\b|\bcrypto\.\w/, "uses chance; take a seeded source as an argument"],
  [/\b(setTimeout|setInterval|setImmediate|queueMicrotask)\(/, "uses a timer; tell the shell when to wake"],
  [/(?<![\w.])process\.\w/, "uses process"],
  [/(?<![\w.])console\.\w/, "prints; push a log effect"],
  [/(?<![\w.])fetch\(/, "does I/O"],
];

/** Packages that only some rooms may import. Any other package may be imported from floor 4 up. */
const packages: Readonly<Record<string, readonly string[]>> = {
  "@bufbuild/protobuf": Object.keys(rooms),
  "better-sqlite3": ["store"],
  ink: ["cli"],
  react: ["cli"],
  commander: ["runtime"],
  "@grpc/grpc-js": ["cli"],
  "prom-client": ["services", "runtime"],
  pino: ["runtime"],
};

const offences: string[] = [];
const files = globSync("src/**/*.ts", { cwd: root });
for (const file of files) checkFile(file.replaceAll(path.sep, "/"));
checkGenerated();
for (const offence of offences) console.error(offence);
console.log(`floors: ${files.length} files, ${offences.length} offences`);
process.exitCode = offences.length > 0 ? 1 : 0;

function checkFile(file: string): void {
  const room = roomOf(file);
  if (!room) {
    offences.push(`${file}:1: is in no room; rooms are listed in scripts/check-floors.ts`);
    return;
  }
  const test = /\.(test|bench)\.ts$/.test(file);
  const source = readFileSync(path.join(root, file), "utf8");
  const text = room === "gen" ? source : withoutComments(source);
  for (const { specifier, index } of importsOf(text)) {
    const problem = importProblem(file, room, specifier, test);
    if (problem) offences.push(`${file}:${lineAt(text, index)}: ${problem}`);
  }
  if (test || !deterministic.includes(room) || room === "gen") return;
  for (const [pattern, problem] of outside) {
    const match = pattern.exec(text);
    if (match) offences.push(`${file}:${lineAt(text, match.index)}: ${room} ${problem} (${match[0]})`);
  }
}

function roomOf(file: string): string | undefined {
  return Object.keys(rooms)
    .filter((room) => file.startsWith(`src/${room}/`))
    .sort((a, b) => b.length - a.length)[0];
}

/** Tests may use the platform and test tools, and what stands beside them in any room: they run in no simulation. */
function importProblem(file: string, room: string, specifier: string, test: boolean): string | undefined {
  if (specifier.startsWith(".")) {
    const target = path.posix.join(path.posix.dirname(file), specifier);
    const other = roomOf(target);
    if (other === room || test) return undefined;
    if (!other) return `imports ${target}, which is outside src`;
    return rooms[room].includes(other) ? undefined : `${room} may not import ${other} (${target})`;
  }
  if (test) return undefined;
  if (specifier.startsWith("node:")) {
    return deterministic.includes(room) ? `${room} may not import ${specifier}` : undefined;
  }
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  const allowed = packages[name] ?? Object.keys(rooms).filter((each) => !deterministic.includes(each));
  return allowed.includes(room) ? undefined : `${room} may not import ${name}`;
}

function* importsOf(text: string): Generator<{ specifier: string; index: number }> {
  const pattern =
    /(?:^\s*(?:import|export)\b[^"'`;]*?\bfrom\s*|^\s*import\s*|\bimport\(\s*)["']([^"']+)["']/gm;
  for (const match of text.matchAll(pattern))
    yield { specifier: match[1], index: match.index + match[0].length };
}

/** Blanks comments, keeping every line break so that line numbers hold. Strings are left alone. */
function withoutComments(text: string): string {
  const token = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g;
  return text.replace(token, (part) => (part.startsWith("/") ? part.replace(/[^\n]/g, " ") : part));
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

/** Generates into a folder of its own and compares. */
function checkGenerated(): void {
  const folder = mkdtempSync(path.join(tmpdir(), "cairn-gen-"));
  try {
    const template = readFileSync(path.join(root, "buf.gen.yaml"), "utf8").replace(
      /out: .*/,
      `out: ${folder}/gen`,
    );
    const templateFile = path.join(folder, "buf.gen.yaml");
    writeFileSync(templateFile, template);
    execFileSync(path.join(root, "node_modules/.bin/buf"), ["generate", "--template", templateFile], {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, PATH: `${root}/node_modules/.bin:${process.env.PATH}` },
    });
    const list = (at: string): string[] => globSync("**/*.ts", { cwd: at }).sort();
    const [fresh, committed] = [list(`${folder}/gen`), list(`${root}/src/gen`)];
    for (const file of new Set([...fresh, ...committed])) {
      const same =
        fresh.includes(file) &&
        committed.includes(file) &&
        readFileSync(`${folder}/gen/${file}`, "utf8") === readFileSync(`${root}/src/gen/${file}`, "utf8");
      if (!same) offences.push(`src/gen/${file}:1: does not match proto/; run: npm run generate`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
