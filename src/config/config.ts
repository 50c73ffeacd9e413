/**
 * A configuration file to objects. A pure function: text, environment and secrets come in, objects and problems come
 * out. The objects go through the same `prepare` as an API transaction, so the file can say nothing that the API
 * would refuse, and all problems of the file are told at once.
 */
import path from "node:path";
import type { Message } from "@bufbuild/protobuf";
import { nearestName, type Problem } from "../base/problem.ts";
import { parsePolicyText } from "../policy/text/parse.ts";
import { builtin, type Kind, kindOfSection, kinds, objectName } from "../state/kinds.ts";
import type { MutationOp } from "../state/mutation.ts";
import { ObjectStore } from "../state/objects.ts";
import { objectId } from "../state/objects-index.ts";
import { failedTestsOf } from "../state/policy-tests.ts";
import { canonicaliseSpec, setFieldValue } from "../state/schema.ts";
import { type Decoded, Decoder } from "./decode.ts";
import { type DaemonSettings, defaultSettings, SettingsDecoder, settingsSections } from "./settings.ts";
import { parseTomlTree } from "./toml-tree.ts";
import {
  type ConfigContext,
  type ConfigPlace,
  type ConfigProblem,
  entryOf,
  type MapEntry,
  type MapNode,
  nodeKind,
  ProblemList,
  type Span,
  type TreeNode,
} from "./tree.ts";
import { parseYamlTrees } from "./yaml-tree.ts";

export { renderProblems } from "./render.ts";
export type { DaemonSettings, HostPort, TcpListener, UnixListener } from "./settings.ts";
export type { ConfigContext, ConfigPlace, ConfigProblem } from "./tree.ts";

/** What a file holds, with the policy files that it names. With problems there are no objects, and the settings are the defaults. */
export interface Config {
  /** Specs in canonical form, Global first, each kind in the order of the file. */
  readonly objects: readonly { readonly kind: string; readonly spec: Message }[];
  readonly settings: DaemonSettings;
  readonly problems: readonly ConfigProblem[];
  /** What is allowed but looks wrong. */
  readonly warnings: readonly ConfigProblem[];
  /** Policy tests that do not come out as they say. */
  readonly failedTests: readonly ConfigProblem[];
  /** Where what a problem's path (`KIND/NAME.field`) is about stands; undefined when it stands in no file. */
  readonly locate: (path: string) => ConfigPlace | undefined;
}

const textCharactersMax = 64 << 20;
const policyFilesKey = "policy_files";
const apiVersion = "net.cairn/v1alpha1";

/** YAML for `.yaml` and `.yml`, else TOML. */
export function parseConfig(context: ConfigContext): Config {
  const problems = new ProblemList(context);
  if (context.text.length > textCharactersMax) {
    problems.add(
      { start: 0, end: 1 },
      { code: "LIMIT", path: "", message: "the file is larger than 64 MiB" },
    );
    return { ...nothing, problems: problems.sorted(), locate: () => undefined };
  }
  const reader = new Reader(context, problems);
  if (/\.ya?ml$/i.test(context.file))
    for (const tree of parseYamlTrees(context.text, problems) ?? []) reader.document(tree);
  else {
    const tree = parseTomlTree(context.text, problems);
    if (tree) reader.document(tree);
  }
  const syntax = reader.problems().some((problem) => problem.code === "SYNTAX");
  const whole = syntax ? undefined : reader.finish();
  const found = reader.problems();
  const locate = (problemPath: string): ConfigPlace | undefined => reader.locate(problemPath);
  return { ...(whole && found.length === 0 ? whole : nothing), problems: found, locate };
}

const nothing: Omit<Config, "problems" | "locate"> = {
  objects: [],
  settings: defaultSettings,
  warnings: [],
  failedTests: [],
};

interface Declared extends Decoded {
  readonly kind: Kind;
  readonly id: string;
  /** Problems of the file in which it stands. */
  readonly problems: ProblemList;
}

/** Policy files that a configuration may name. */
const policyFilesMax = 1_000;

class Reader {
  readonly #context: ConfigContext;
  readonly #problems: ProblemList;
  /** Of the policy files, in the order in which they are named. */
  readonly #otherProblems: ProblemList[] = [];
  readonly #decoder: Decoder;
  readonly #declared = new Map<string, Declared>();
  readonly #settings = new Map<string, TreeNode>();

  constructor(context: ConfigContext, problems: ProblemList) {
    this.#context = context;
    this.#problems = problems;
    this.#decoder = new Decoder(context, problems);
  }

  /** One document: sections, or in YAML a single object with `kind` and `spec`. */
  document(tree: TreeNode): void {
    if (tree.type !== "map") {
      this.#wrong(tree.span, "", `a configuration is a table of sections, not ${nodeKind(tree)}`);
    } else if (entryOf(tree, "kind") || entryOf(tree, "apiVersion")) {
      this.#resource(tree);
    } else {
      for (const entry of tree.entries) this.#section(entry);
    }
  }

  /** File by file, each in the order of its text. */
  problems(): ConfigProblem[] {
    return [this.#problems, ...this.#otherProblems].flatMap((list) => list.sorted());
  }

  locate(problemPath: string): ConfigPlace | undefined {
    const place = this.#place(problemPath);
    return place.found ? place.problems.placeOf(place) : undefined;
  }

  /** Checks all objects together as one transaction on an empty router. */
  finish(): Omit<Config, "problems" | "locate"> {
    const settings = new SettingsDecoder(this.#decoder, this.#problems).decode(this.#settings);
    const declared = [...this.#declared.values()];
    const order = [...kinds.keys()];
    declared.sort((a, b) => order.indexOf(a.kind.name) - order.indexOf(b.kind.name));
    const objects: { kind: string; spec: Message }[] = [];
    const ops = declared.map(({ kind, spec }): MutationOp => ({ op: "put", kind: kind.name, spec }));
    const mutation = {
      ops,
      expectedGeneration: 0,
      dryRun: true,
      reason: "",
      requestId: "",
      principal: "",
      source: "file",
    };
    const prepared = new ObjectStore().prepare(mutation, 0);
    if (prepared.ok) {
      for (const { kind, after } of prepared.value.touched) if (after) objects.push({ kind, spec: after });
    }
    for (const problem of prepared.ok ? [] : prepared.problems) {
      const place = this.#place(problem.path);
      // What could not be decoded is missing from the spec, and was told already.
      if (problem.code === "REQUIRED" && place.told) continue;
      place.problems.add(place, problem);
    }
    const placed = (problem: Problem): ConfigProblem => {
      const place = this.#place(problem.path);
      return { ...problem, ...place.problems.placeOf(place) };
    };
    const warnings = prepared.ok ? (prepared.value.warnings ?? []) : [];
    return {
      objects,
      settings,
      warnings: warnings.map(placed).sort(byPlace),
      failedTests: failedTestsOf(objects).map(placed).sort(byPlace),
    };
  }

  #section(entry: MapEntry): void {
    const { key, value } = entry;
    if ((settingsSections as readonly string[]).includes(key)) {
      if (this.#settings.has(key))
        this.#duplicate(entry.keySpan, key, `section ${key} stands here a second time`);
      else this.#settings.set(key, value);
      return;
    }
    if (key === "resources") {
      this.#resources(value);
      return;
    }
    if (key === policyFilesKey) {
      this.#policyFiles(value);
      return;
    }
    const kind = kindOfSection(key);
    if (!kind) {
      const sections = [...kinds.values()].map((known) => known.section);
      const names = [...sections, ...settingsSections, "resources", policyFilesKey];
      this.#decoder.unknownKey(key, entry.keySpan, key, names);
    } else if (!kind.key) {
      if (value.type === "map") this.#object(kind, value, undefined, entry.keySpan);
      else this.#wrong(value.span, key, `must be a table, not ${nodeKind(value)}`, `write [${key}]`);
    } else if (value.type === "list") {
      for (const item of value.items) {
        if (item.type === "map") this.#object(kind, item, undefined, item.span);
        else this.#wrong(item.span, key, `must be a table, not ${nodeKind(item)}`);
      }
    } else {
      this.#named(kind, entry);
    }
  }

  /** `policy_files = ["policies/ixp.policy"]`: texts of docs/policy.md, by their place relative to this file. */
  #policyFiles(value: TreeNode): void {
    if (value.type !== "list") {
      this.#wrong(value.span, policyFilesKey, `must be a list, not ${nodeKind(value)}`, "put it in [ ]");
      return;
    }
    for (const item of value.items) {
      const name = this.#decoder.text(item, policyFilesKey);
      if (name === undefined) continue;
      if (this.#otherProblems.length >= policyFilesMax) {
        this.#wrong(item.span, policyFilesKey, `more than ${policyFilesMax} policy files`);
        return;
      }
      try {
        this.#policyText(name, this.#context.readFile(name, "policy"));
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.#wrong(item.span, policyFilesKey, `${name} cannot be read: ${reason}`);
      }
    }
  }

  #policyText(name: string, text: string): void {
    const file = path.isAbsolute(name) ? name : path.join(path.dirname(this.#context.file), name);
    const problems = new ProblemList({ ...this.#context, text, file });
    this.#otherProblems.push(problems);
    const { objects, errors } = parsePolicyText(text);
    for (const error of errors) problems.add(error, { code: "SYNTAX", path: "", message: error.message });
    for (const { kind: kindName, spec, spans } of objects) {
      const kind = kinds.get(kindName)!;
      canonicaliseSpec(kind.desc, spec);
      const id = objectId(kindName, objectName(kind, spec));
      const place = spans.get("")!;
      if (this.#declared.has(id)) {
        problems.add(place, { code: "DUPLICATE", path: id, message: `${id} is declared a second time` });
      } else if (builtin(kindName, objectName(kind, spec))) {
        const message = `${id} is built in and cannot be declared`;
        problems.add(place, { code: "DUPLICATE", path: id, message });
      } else this.#declared.set(id, { spec, spans, kind, id, problems });
    }
  }

  /** `[peer_groups.transit]`: a table of tables by name. */
  #named(kind: Kind, { key, value }: MapEntry): void {
    if (value.type !== "map") {
      this.#wrong(value.span, key, `must be a list of tables, not ${nodeKind(value)}`, `write [[${key}]]`);
      return;
    }
    for (const entry of value.entries) {
      if (entry.value.type === "map")
        this.#object(
          kind,
          entry.value,
          { text: entry.key.toWellFormed(), span: entry.keySpan },
          entry.keySpan,
        );
      else
        this.#wrong(
          entry.keySpan,
          `${key}.${entry.key}`,
          `${key} holds objects, so "${entry.key}" must be a table`,
          `write [[${key}]]`,
        );
    }
  }

  #resources(value: TreeNode): void {
    if (value.type !== "list") {
      this.#wrong(
        value.span,
        "resources",
        `must be a list of tables, not ${nodeKind(value)}`,
        "write [[resources]]",
      );
      return;
    }
    for (const item of value.items) {
      if (item.type === "map") this.#resource(item);
      else this.#wrong(item.span, "resources", `must be a table, not ${nodeKind(item)}`);
    }
  }

  /** `{ apiVersion, kind, metadata: { name }, spec }` */
  #resource(map: MapNode): void {
    const known = ["apiVersion", "kind", "metadata", "spec"];
    for (const entry of map.entries) {
      if (!known.includes(entry.key)) this.#decoder.unknownKey(entry.key, entry.keySpan, entry.key, known);
    }
    const text = (parent: MapNode, key: string): { text: string; span: Span } | undefined => {
      const node = entryOf(parent, key)?.value;
      const found = node && this.#decoder.text(node, key);
      return node && found !== undefined ? { text: found, span: node.span } : undefined;
    };
    const version = text(map, "apiVersion");
    if (version && version.text !== apiVersion)
      this.#wrong(version.span, "apiVersion", `"${version.text}" is not ${apiVersion}`);
    else if (!version && !entryOf(map, "apiVersion"))
      this.#missing(map.span, "apiVersion", `write ${apiVersion}`);
    const kindName = text(map, "kind");
    if (!kindName) {
      if (!entryOf(map, "kind")) this.#missing(map.span, "kind");
      return;
    }
    const kind = kinds.get(kindName.text);
    if (!kind) {
      const near = nearestName(kindName.text, kinds.keys());
      const fix = near ? { fix: `did you mean ${near}` } : {};
      this.#problems.add(kindName.span, {
        code: "UNKNOWN_KIND",
        path: "kind",
        message: `there is no kind ${kindName.text}`,
        ...fix,
      });
      return;
    }
    const metadata = entryOf(map, "metadata")?.value;
    let name: { text: string; span: Span } | undefined;
    if (metadata?.type === "map") {
      for (const entry of metadata.entries) {
        if (entry.key !== "name")
          this.#decoder.unknownKey(entry.key, entry.keySpan, `metadata.${entry.key}`, ["name"]);
      }
      name = text(metadata, "name");
    } else if (metadata) this.#wrong(metadata.span, "metadata", `must be a table, not ${nodeKind(metadata)}`);
    const spec = entryOf(map, "spec")?.value ?? { type: "map", entries: [], span: map.span };
    if (spec.type !== "map") this.#wrong(spec.span, "spec", `must be a table, not ${nodeKind(spec)}`);
    else this.#object(kind, spec, name, kindName.span);
  }

  #object(kind: Kind, map: MapNode, name: { text: string; span: Span } | undefined, place: Span): void {
    const rough = name?.text ?? (kind.key ? scalarText(map, kind.key.name) : kind.section);
    const decoded = this.#decoder.object(kind.desc, map, objectId(kind.name, rough));
    decoded.spans.set("", place);
    if (kind.key && name) {
      const inside = entryOf(map, kind.key.name);
      if (inside && scalarText(map, kind.key.name) !== name.text) {
        this.#wrong(
          inside.value.span,
          kind.key.name,
          `${kind.key.name} differs from the name "${name.text}"`,
        );
      }
      setFieldValue(decoded.spec, kind.key, name.text);
      decoded.spans.set(kind.key.name, name.span);
    }
    canonicaliseSpec(kind.desc, decoded.spec);
    const objectNamed = objectName(kind, decoded.spec);
    const id = objectId(kind.name, objectNamed);
    const earlier = this.#declared.get(id);
    if (earlier && objectNamed !== "") {
      this.#duplicate(
        kind.key ? (decoded.spans.get(kind.key.name) ?? place) : place,
        id,
        `${id} is declared a second time`,
      );
    } else if (builtin(kind.name, objectNamed)) {
      this.#duplicate(
        decoded.spans.get(kind.key!.name) ?? place,
        id,
        `${id} is built in and cannot be declared`,
      );
    } else if (earlier) {
      this.#missing(place, kind.key!.name);
    } else {
      this.#declared.set(id, { ...decoded, kind, id, problems: this.#problems });
    }
  }

  /** Where a problem of `prepare` stands in the text: the field it names, or the nearest thing around it. */
  #place(path: string): Place {
    for (let end = path.length; end > 0; end = path.lastIndexOf(".", end - 1)) {
      const object = this.#declared.get(path.slice(0, end));
      if (!object) continue;
      const field = path.slice(end + 1);
      for (let at = field; ; at = at.slice(0, Math.max(at.lastIndexOf("."), at.lastIndexOf("["), 0))) {
        const span = object.spans.get(at);
        if (!span) continue;
        const { problems } = object;
        const told = at === field && field !== "" && problems.has(span);
        return { ...span, problems, told, found: true };
      }
    }
    return { start: 0, end: 1, problems: this.#problems, told: false, found: false };
  }

  #missing(span: Span, key: string, fix?: string): void {
    this.#problems.add(span, {
      code: "REQUIRED",
      path: key,
      message: `${key} is missing`,
      ...(fix ? { fix } : {}),
    });
  }

  #duplicate(span: Span, path: string, message: string): void {
    this.#problems.add(span, { code: "DUPLICATE", path, message });
  }

  #wrong(span: Span, path: string, message: string, fix?: string): void {
    this.#problems.add(span, { code: "INVALID", path, message, ...(fix ? { fix } : {}) });
  }
}

function byPlace(a: ConfigProblem, b: ConfigProblem): number {
  return a.file === b.file ? a.line - b.line || a.column - b.column : a.file < b.file ? -1 : 1;
}

interface Place extends Span {
  readonly problems: ProblemList;
  /** A problem of exactly this was told already. */
  readonly told: boolean;
  readonly found: boolean;
}

/** The text of a key for names in messages, before it is checked. */
function scalarText(map: MapNode, key: string): string {
  const node = entryOf(map, key)?.value;
  return node?.type === "scalar" ? String(node.value) : "";
}
