/** Declared objects of the fake owner: puts, patches and deletes with the checks that every kind shares. */
import {
  clone,
  create,
  type DescMessage,
  getOption,
  hasOption,
  type Message,
  toJson,
} from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { parseIp, parsePrefix } from "../../base/ip.ts";
import { limits } from "../../base/limits.ts";
import { parsePeer } from "../../base/peer-address.ts";
import type { Problem } from "../../base/problem.ts";
import { BmpCollectorSpecSchema } from "../../gen/cairn/v1/bmp_service_pb.ts";
import { GlobalSpecSchema } from "../../gen/cairn/v1/global_service_pb.ts";
import { type PathReceipt, PathReceiptSchema } from "../../gen/cairn/v1/injection_service_pb.ts";
import { KeychainSpecSchema } from "../../gen/cairn/v1/keychain_service_pb.ts";
import { MrtDumpSpecSchema } from "../../gen/cairn/v1/mrt_service_pb.ts";
import { DynamicRangeSpecSchema, NeighborSpecSchema } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { Format, field as fieldRule, kind as kindRule } from "../../gen/cairn/v1/options_pb.ts";
import { PeerGroupSpecSchema } from "../../gen/cairn/v1/peer_group_service_pb.ts";
import {
  AsnSetSpecSchema,
  AsPathSetSpecSchema,
  CommunitySetSpecSchema,
  NeighborSetSpecSchema,
  NextHopSetSpecSchema,
  PolicyAction,
  PolicySpecSchema,
  PrefixSetSpecSchema,
} from "../../gen/cairn/v1/policy_service_pb.ts";
import { RpkiCacheSpecSchema } from "../../gen/cairn/v1/rpki_service_pb.ts";
import {
  ObjectChange_Action as Action,
  MetadataSchema,
  type ObjectChange,
  ObjectChangeSchema,
} from "../../gen/cairn/v1/types_pb.ts";
import { checkInjectedFlow } from "../../state/flowspec/flow-message.ts";
import type { Mutation, MutationOp, MutationOutcome } from "../../state/mutation.ts";
import { readName, storedName } from "../../state/route-name.ts";
import type { ObjectView } from "../../state/view.ts";
import { familyByName } from "../../wire/family.ts";
import type { FakeTables } from "./fake-tables.ts";

const schemas: readonly DescMessage[] = [
  GlobalSpecSchema,
  NeighborSpecSchema,
  PeerGroupSpecSchema,
  DynamicRangeSpecSchema,
  KeychainSpecSchema,
  MrtDumpSpecSchema,
  BmpCollectorSpecSchema,
  RpkiCacheSpecSchema,
  PolicySpecSchema,
  PrefixSetSpecSchema,
  AsPathSetSpecSchema,
  CommunitySetSpecSchema,
  NeighborSetSpecSchema,
  AsnSetSpecSchema,
  NextHopSetSpecSchema,
];

type Objects = Map<string, ObjectView>;

export class FakeObjects {
  generation = 0;
  /** Version of the last change to a neighbor, and when each changed. */
  version = 0;
  readonly #changed = new Map<string, number>();
  #objects: Objects = new Map();
  readonly #requests = new Map<string, MutationOutcome>();
  /** Injected rules, as the store names them, with their path ids. */
  readonly #rules = new Set<string>();
  readonly #listeners = new Set<() => void>();

  constructor() {
    const spec = (schema: DescMessage, init: Record<string, unknown>): MutationOp => ({
      op: "put",
      kind: getOption(schema, kindRule).kind,
      spec: create(schema, init),
    });
    const seed = this.mutate(
      {
        ops: [
          spec(GlobalSpecSchema, { asn: 65_000, routerId: "192.0.2.254", name: "fake" }),
          spec(PrefixSetSpecSchema, { name: "bogons", prefixes: [{ prefix: "10.0.0.0/8", le: 32 }] }),
          spec(PolicySpecSchema, { name: "accept-all", defaultAction: PolicyAction.ACCEPT }),
          spec(PolicySpecSchema, {
            name: "transit-in",
            statements: [{ name: "drop", match: { prefixSets: ["bogons"] }, action: PolicyAction.REJECT }],
          }),
          spec(AsPathSetSpecSchema, { name: "own", patterns: ["_65000_"] }),
          spec(CommunitySetSpecSchema, { name: "blackhole", communities: ["65535:666"] }),
          spec(NeighborSetSpecSchema, { name: "lab", addresses: ["192.0.2.0/24"] }),
          spec(PeerGroupSpecSchema, { name: "transit", remoteAsn: 65_001, import: ["accept-all"] }),
          ...[1, 2, 3, 4].map((i) =>
            spec(NeighborSpecSchema, {
              address: `192.0.2.${i}`,
              remoteAsn: 65_000 + i,
              description: ["first transit", "second transit", "exchange point", "in maintenance"][i - 1],
              peerGroup: i < 3 ? "transit" : "",
              shutdown: i === 4 ? true : undefined,
            }),
          ),
          spec(NeighborSpecSchema, { address: "2001:db8::5", remoteAsn: 65_005 }),
        ],
        expectedGeneration: 0,
        dryRun: false,
        reason: "",
        requestId: "",
        principal: "seed",
        source: "file",
      },
      undefined,
    );
    if (!seed.ok) throw new Error(`the fake owner's own objects are refused: ${seed.problems[0].message}`);
  }

  get(kind: string, name: string): ObjectView | undefined {
    return this.#objects.get(`${kind}/${name}`);
  }

  list(kind: string): ObjectView[] {
    const found = [...this.#objects.values()].filter((object) => object.metadata.kind === kind);
    return found.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  }

  /** Changes of neighbors up to this revision are forgotten. */
  compactedTo = 1000;

  neighborRevision(): number {
    return 1000 + this.version;
  }

  changedNeighbors(revision: number): { revision: number; names: string[] } | undefined {
    if (revision < this.compactedTo || revision > this.neighborRevision()) return undefined;
    const names = [...this.#changed].filter(([, at]) => 1000 + at > revision).map(([name]) => name);
    return { revision: this.neighborRevision(), names };
  }

  /** Says that a neighbor's state changed. */
  touch(address: string): void {
    this.#changed.set(address, ++this.version);
    this.notify();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  notify(): void {
    for (const listener of this.#listeners) listener();
  }

  notFound(kind: string, name: string): Problem {
    return { code: "NOT_FOUND", path: `${kind}/${name}`, message: `there is no ${kind} ${name}` };
  }

  mutate(mutation: Mutation, tables: FakeTables | undefined): MutationOutcome {
    const known = mutation.requestId === "" ? undefined : this.#requests.get(mutation.requestId);
    if (known) return known;
    const problems: Problem[] = [];
    if (mutation.expectedGeneration !== 0 && mutation.expectedGeneration !== this.generation) {
      const message = `the generation is ${this.generation}, not ${mutation.expectedGeneration}`;
      return { ok: false, problems: [{ code: "STALE_GENERATION", path: "", message }] };
    }
    if (mutation.ops.length > limits.transactionOpsMax) {
      return { ok: false, problems: [{ code: "LIMIT", path: "", message: "too many operations" }] };
    }
    const draft: Objects = new Map(this.#objects);
    const changes: ObjectChange[] = [];
    for (const op of mutation.ops) this.#apply(op, mutation, draft, changes, problems);
    if (changes.length > 0) checkReferences(draft, this.#objects, problems);
    if (problems.length > 0) return { ok: false, problems };

    const receipts: PathReceipt[] = [];
    let unchanged = 0;
    for (const op of mutation.ops) {
      if (op.op === "inject") {
        const changed = mutation.dryRun || !tables || tables.inject(op.path, mutation.principal);
        if (!changed) unchanged++;
        const { prefix, pathId } = op.path;
        receipts.push(create(PathReceiptSchema, { prefix, pathId, accepted: true, selected: true, changed }));
      } else if (op.op === "inject-flow") {
        const { rule, pathId } = op.flowSpec;
        const checked = checkInjectedFlow(op.flowSpec, "flow_spec");
        if (checked.ok && !mutation.dryRun)
          this.#rules.add(`${storedName({ ...checked.value, bytes: checked.value.address })} ${pathId}`);
        receipts.push(create(PathReceiptSchema, { prefix: rule, pathId, accepted: true, changed: true }));
      } else if (op.op === "retract") {
        const key = `${op.prefix} ${op.pathId}`;
        const there = tables?.injections.has(key) ?? false;
        if (this.#rules.has(key)) {
          if (!mutation.dryRun) this.#rules.delete(key);
        } else if (!there) unchanged++;
        else if (!mutation.dryRun) tables?.retract(op.prefix, op.pathId);
      }
    }
    if (mutation.dryRun) return { ok: true, generation: this.generation, changes, receipts, unchanged };
    if (changes.length > 0) this.generation++;
    this.#objects = draft;
    for (const change of changes)
      if (change.kind === "Neighbor") this.#changed.set(change.name, ++this.version);
    const outcome: MutationOutcome = { ok: true, generation: this.generation, changes, receipts, unchanged };
    if (mutation.requestId !== "") this.#requests.set(mutation.requestId, outcome);
    return outcome;
  }

  #apply(
    op: MutationOp,
    mutation: Mutation,
    draft: Objects,
    changes: ObjectChange[],
    problems: Problem[],
  ): void {
    if (op.op === "confirm" || op.op === "abort" || op.op === "pin") return;
    if (op.op === "inject-flow") return;
    if (op.op === "inject" || op.op === "retract") {
      const prefix = op.op === "inject" ? op.path.prefix : op.prefix;
      if (!readName(prefix)) {
        problems.push({
          code: "INVALID",
          path: "prefix",
          message: `"${prefix}" is not a prefix`,
          value: prefix,
        });
      }
      return;
    }
    const name = op.op === "put" ? nameOf(op.spec) : op.name;
    const key = `${op.kind}/${name}`;
    const before = draft.get(key);
    if (op.op !== "put" || op.mode === "replace")
      if (!before) return void problems.push(this.notFound(op.kind, name));
    if (op.op === "put" && op.mode === "create" && before) {
      return void problems.push({
        code: "ALREADY_EXISTS",
        path: key,
        message: `${op.kind} ${name} exists already`,
      });
    }
    if (op.op === "delete") {
      draft.delete(key);
      changes.push(create(ObjectChangeSchema, { action: Action.DELETE, kind: op.kind, name }));
      return;
    }
    const spec = op.op === "put" ? op.spec : patched(before?.spec ?? op.spec, op.spec, op.mask);
    checkSpec(reflect(schemaOf(spec), spec), key, problems);
    const fields = before ? diff(before.spec, spec) : [];
    if (before && fields.length === 0) return;
    const now = timestampFromMs(Date.now());
    const metadata = create(MetadataSchema, {
      kind: op.kind,
      name,
      generation: BigInt(this.generation + 1),
      created: before?.metadata.created ?? now,
      updated: now,
      managedBy: mutation.source,
    });
    draft.set(key, { metadata, spec });
    changes.push(
      create(ObjectChangeSchema, {
        action: before ? Action.UPDATE : Action.CREATE,
        kind: op.kind,
        name,
        fields,
      }),
    );
  }
}

function schemaOf(spec: Message): DescMessage {
  const schema = schemas.find((candidate) => candidate.typeName === spec.$typeName);
  if (!schema) throw new Error(`no kind for ${spec.$typeName}`);
  return schema;
}

function nameOf(spec: Message): string {
  const schema = schemaOf(spec);
  const key = schema.fields.find((candidate) => candidate.name === getOption(schema, kindRule).key);
  return key ? String(reflect(schema, spec).get(key)) : "global";
}

function patched(before: Message, from: Message, mask: readonly string[]): Message {
  const schema = schemaOf(before);
  const result = clone(schema, before);
  const target = reflect(schema, result);
  const source = reflect(schema, from);
  for (const name of mask) {
    const desc = schema.fields.find((candidate) => candidate.name === name);
    if (!desc) continue;
    if (source.isSet(desc)) target.set(desc, source.get(desc));
    else target.clear(desc);
  }
  return result;
}

function diff(
  before: Message,
  after: Message,
): { path: string; oldValue: string; newValue: string; impact: string }[] {
  const schema = schemaOf(after);
  const changes: { path: string; oldValue: string; newValue: string; impact: string }[] = [];
  const a = toJson(schema, before, { useProtoFieldName: true }) as Record<string, unknown>;
  const b = toJson(schema, after, { useProtoFieldName: true }) as Record<string, unknown>;
  for (const desc of schema.fields) {
    const oldValue = JSON.stringify(a[desc.name]) ?? "";
    const newValue = JSON.stringify(b[desc.name]) ?? "";
    if (oldValue !== newValue) changes.push({ path: desc.name, oldValue, newValue, impact: "none" });
  }
  return changes;
}

function checkSpec(message: ReflectMessage, path: string, problems: Problem[]): void {
  for (const desc of message.fields) {
    const rule = hasOption(desc, fieldRule) ? getOption(desc, fieldRule) : undefined;
    const at = `${path}.${desc.name}`;
    if (rule?.required && !message.isSet(desc))
      problems.push({ code: "REQUIRED", path: at, message: "must be set" });
    if (!message.isSet(desc)) continue;
    if (desc.fieldKind === "message") checkSpec(message.get(desc), at, problems);
    const values = desc.fieldKind === "list" ? [...message.get(desc)] : [message.get(desc)];
    values.forEach((value, i) => {
      const where = desc.fieldKind === "list" ? `${at}[${i}]` : at;
      if (desc.fieldKind === "list" && desc.listKind === "message")
        checkSpec(value as ReflectMessage, where, problems);
      if (typeof value === "string" && rule && !formatHolds(rule.format, value)) {
        problems.push({ code: "INVALID", path: where, message: `"${value}" is malformed`, value });
      }
    });
  }
}

function formatHolds(format: Format, text: string): boolean {
  if (format === Format.NEIGHBOR) return parsePeer(text) !== undefined;
  if (format === Format.IP || format === Format.ROUTER_ID) return parseIp(text) !== undefined;
  if (format === Format.PREFIX) return typeof parsePrefix(text) !== "string";
  if (format === Format.FAMILY) return familyByName(text) !== undefined;
  return format !== Format.NAME || /^[\w.-]{1,63}$/.test(text);
}

function checkReferences(draft: Objects, before: Objects, problems: Problem[]): void {
  for (const [key, object] of draft) {
    for (const [path, kind, name] of references(reflect(schemaOf(object.spec), object.spec), key)) {
      const target = `${kind}/${name}`;
      if (draft.has(target) || name === "reject-all") continue;
      problems.push(
        before.has(target)
          ? { code: "STILL_REFERENCED", path: target, message: `${target} is still used by ${key}` }
          : { code: "REF_MISSING", path, message: `there is no ${kind} ${name}`, value: name },
      );
    }
  }
}

function* references(
  message: ReflectMessage,
  path: string,
): Generator<[path: string, kind: string, name: string]> {
  for (const desc of message.fields) {
    if (!message.isSet(desc)) continue;
    const at = `${path}.${desc.name}`;
    const ref = hasOption(desc, fieldRule) ? getOption(desc, fieldRule).ref : "";
    const values = desc.fieldKind === "list" ? [...message.get(desc)] : [message.get(desc)];
    for (const [i, value] of values.entries()) {
      const where = desc.fieldKind === "list" ? `${at}[${i}]` : at;
      if (ref !== "") yield [where, ref, String(value)];
      else if (isMessage(value)) yield* references(value, where);
    }
  }
}

function isMessage(value: unknown): value is ReflectMessage {
  return typeof value === "object" && value !== null && "desc" in value && "isSet" in value;
}
