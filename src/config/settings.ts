/**
 * Settings of the daemon rather than of the router: where it listens for API clients, metrics, logs. They come from
 * the file only and are not objects.
 */
import { formatIp, type Prefix, parseHostPort, parseIp, parsePrefix } from "../base/ip.ts";
import type { Problem } from "../base/problem.ts";
import { AccessClass, Format } from "../gen/cairn/v1/options_pb.ts";
import { canonicalText } from "../state/schema-formats.ts";
import type { Decoder } from "./decode.ts";
import { type MapNode, nodeKind, type ProblemList, type Span, type TreeNode } from "./tree.ts";

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Who may come in and how far: callers are granted every access class up to `access`. */
export interface UnixListener {
  readonly path: string;
  readonly access: AccessClass;
}

export interface TcpListener extends HostPort {
  readonly access: AccessClass;
  /** No TLS; loopback only. */
  readonly plaintext: boolean;
  /** Files in PEM form; all three are set unless plaintext is. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly clientCa: string | undefined;
  /** File with the tokens that callers have to present, one a line. */
  readonly tokenFile: string | undefined;
  /** Access by subject alternative name of the client's certificate; when not empty, others are refused. */
  readonly roles: readonly { readonly san: string; readonly access: AccessClass }[];
}

/** The REST endpoints of birdwatcher. */
export interface LookingGlassSettings {
  readonly listen: HostPort;
  /** Who may ask; empty: everybody that reaches the listener. */
  readonly allow: readonly Prefix[];
  /** Seconds that an answer is given again. */
  readonly cacheS: number;
  /** Requests a second of one client address. */
  readonly ratePerS: number;
  /** First two numbers of the large communities that tell why a route was refused, and what RPKI says. */
  readonly rejectCommunity: readonly [number, number] | undefined;
  readonly rpkiCommunity: readonly [number, number] | undefined;
}

export const logLevels = ["trace", "debug", "info", "warn", "error"] as const;
export const logFormats = ["json", "pretty"] as const;

export interface DaemonSettings {
  readonly api: {
    /** Path of the main socket; undefined for `<state_dir>/grpc.sock`. */
    readonly unixSocket: string | undefined;
    readonly unix: readonly UnixListener[];
    readonly tcp: readonly TcpListener[];
  };
  readonly telemetry: { readonly metrics: HostPort | undefined };
  /** Undefined when there is none. */
  readonly lookingGlass: LookingGlassSettings | undefined;
  readonly log: {
    readonly level: (typeof logLevels)[number] | undefined;
    readonly format: (typeof logFormats)[number] | undefined;
  };
}

export const defaultSettings: DaemonSettings = {
  api: { unixSocket: undefined, unix: [], tcp: [] },
  telemetry: { metrics: undefined },
  lookingGlass: undefined,
  log: { level: undefined, format: undefined },
};

/** Sections that hold daemon settings. */
export const settingsSections = ["api", "telemetry", "looking_glass", "log"] as const;

const accessWords: Readonly<Record<string, AccessClass>> = {
  read_only: AccessClass.READ,
  read: AccessClass.READ,
  sensitive_read: AccessClass.SENSITIVE_READ,
  operate: AccessClass.OPERATE,
  mutate: AccessClass.MUTATE,
};

type Read<T> = (node: TreeNode, path: string) => T | undefined;

export class SettingsDecoder {
  readonly #decoder: Decoder;
  readonly #problems: ProblemList;

  constructor(decoder: Decoder, problems: ProblemList) {
    this.#decoder = decoder;
    this.#problems = problems;
  }

  decode(sections: ReadonlyMap<string, TreeNode>): DaemonSettings {
    const at = (name: string): TreeNode =>
      sections.get(name) ?? { type: "map", entries: [], span: { start: 0, end: 0 } };
    const api = this.#table(at("api"), "api", {
      unix_socket: this.#path,
      unix: this.#list((node, path) => this.#unixListener(node, path)),
      tcp: this.#list((node, path) => this.#tcpListener(node, path)),
    });
    const telemetry = this.#table(at("telemetry"), "telemetry", { metrics: this.#listen });
    const log = this.#table(at("log"), "log", {
      level: this.#word(logLevels),
      format: this.#word(logFormats),
    });
    return {
      api: { unixSocket: api.unix_socket, unix: api.unix ?? [], tcp: api.tcp ?? [] },
      telemetry: { metrics: telemetry.metrics },
      lookingGlass: sections.has("looking_glass") ? this.#lookingGlass(at("looking_glass")) : undefined,
      log: { level: log.level, format: log.format },
    };
  }

  #lookingGlass(node: TreeNode): DaemonSettings["lookingGlass"] {
    const path = "looking_glass";
    const table = this.#table(node, path, {
      listen: this.#listen,
      allow: this.#list((each, at) => this.#addresses(each, at)),
      cache_time: (value, at) => this.#decoder.integer(value, at, 3_600),
      rate_limit: (value, at) => this.#decoder.integer(value, at, 100_000),
      reject_community: this.#communityStart,
      rpki_community: this.#communityStart,
    });
    if (table.rate_limit === 0) {
      this.#add(table.span("rate_limit"), invalidSetting(`${path}.rate_limit`, "0 would answer nobody"));
    }
    if (!table.listen) return this.#require(node, `${path}.listen`, table.has("listen"));
    return {
      listen: table.listen,
      allow: table.allow ?? [],
      cacheS: table.cache_time ?? 30,
      ratePerS: table.rate_limit ?? 100,
      rejectCommunity: table.reject_community,
      rpkiCommunity: table.rpki_community,
    };
  }

  /** An address or a prefix. */
  #addresses(node: TreeNode, path: string): Prefix | undefined {
    const text = this.#decoder.text(node, path);
    if (text === undefined) return undefined;
    const bytes = text.includes("/") ? undefined : parseIp(text);
    const prefix = bytes ? { bytes, length: bytes.length * 8 } : parsePrefix(text);
    return typeof prefix === "string" ? this.#wrong(node, path, prefix) : prefix;
  }

  /** The first two numbers of large communities. */
  readonly #communityStart: Read<readonly [number, number]> = (node, path) => {
    const text = this.#decoder.text(node, path);
    if (text === undefined) return undefined;
    const [global, local] = (/^(\d{1,10}):(\d{1,10})$/.exec(text) ?? []).slice(1).map(Number);
    if (global <= 0xffff_ffff && local <= 0xffff_ffff) return [global, local];
    return this.#wrong(
      node,
      path,
      `"${text}" is not the start of a large community`,
      "for example 65001:1000",
    );
  };

  #unixListener(node: TreeNode, path: string): UnixListener | undefined {
    const table = this.#table(node, path, { path: this.#path, access: this.#access });
    if (table.path === undefined) return this.#require(node, `${path}.path`, table.has("path"));
    return { path: table.path, access: table.access ?? AccessClass.MUTATE };
  }

  #tcpListener(node: TreeNode, path: string): TcpListener | undefined {
    const table = this.#table(node, path, {
      listen: this.#listen,
      plaintext: (value, at) => this.#decoder.boolean(value, at),
      cert: this.#path,
      key: this.#path,
      client_ca: this.#path,
      access: this.#access,
      token_file: this.#path,
      roles: (value, at) => this.#roles(value, at),
    });
    const plaintext = table.plaintext ?? false;
    const missing = (["cert", "key", "client_ca"] as const).filter((name) => !table.has(name));
    if (plaintext && missing.length < 3) {
      this.#add(node.span, invalidSetting(path, "plaintext excludes cert, key and client_ca"));
    } else if (!plaintext && missing.length > 0) {
      const message = `an API listener on TCP needs mutual TLS: ${missing.join(", ")} missing`;
      this.#add(node.span, invalidSetting(path, message, "or plaintext = true, on a loopback address only"));
    }
    if (!table.listen) return this.#require(node, `${path}.listen`, table.has("listen"));
    if (plaintext && !isLoopback(table.listen.host)) {
      this.#add(
        table.span("listen"),
        invalidSetting(
          `${path}.listen`,
          `${table.listen.host} is not a loopback address, so plaintext is refused`,
          "use mutual TLS: cert, key and client_ca",
        ),
      );
    }
    if (plaintext && table.roles && table.roles.length > 0) {
      this.#add(
        table.span("roles"),
        invalidSetting(`${path}.roles`, "roles come from client certificates, which plaintext has not"),
      );
    }
    return {
      ...table.listen,
      access: table.access ?? AccessClass.MUTATE,
      plaintext,
      cert: table.cert,
      key: table.key,
      clientCa: table.client_ca,
      tokenFile: table.token_file,
      roles: table.roles ?? [],
    };
  }

  /** `{ "ops.example" = "operate", "URI:spiffe://example/viewer" = "read_only" }` */
  #roles(node: TreeNode, path: string): TcpListener["roles"] | undefined {
    if (node.type !== "map")
      return this.#wrong(node, path, `must be a table of names and access classes, not ${nodeKind(node)}`);
    return node.entries.flatMap((entry) => {
      const access = this.#access(entry.value, `${path}.${entry.key}`);
      const san = certificateName(entry.key);
      if (san === undefined) {
        const message = `"${entry.key}" is no name in a certificate`;
        const fix = "write DNS:name, URI:uri, email:address or CN:name";
        this.#add(entry.keySpan, invalidSetting(`${path}.${entry.key}`, message, fix));
      }
      return access === undefined || san === undefined ? [] : [{ san, access }];
    });
  }

  readonly #path: Read<string> = (node, path) => {
    const text = this.#decoder.text(node, path);
    return text === undefined ? undefined : this.#canonical(Format.PATH, text, node, path);
  };

  readonly #listen: Read<HostPort> = (node, path) => {
    const text = this.#decoder.text(node, path);
    const canonical = text === undefined ? undefined : this.#canonical(Format.LISTEN, text, node, path);
    return canonical === undefined ? undefined : parseHostPort(canonical);
  };

  readonly #access: Read<AccessClass> = (node, path) => {
    const word = this.#word(Object.keys(accessWords))(node, path);
    return word === undefined ? undefined : accessWords[word];
  };

  #word<T extends string>(words: readonly T[]): Read<T> {
    return (node, path) => {
      const text = this.#decoder.text(node, path);
      if (text === undefined) return undefined;
      const found = words.find((word) => word === text.toLowerCase().replaceAll("-", "_"));
      return found ?? this.#wrong(node, path, `"${text}" is not one of ${words.join(", ")}`);
    };
  }

  #list<T>(read: Read<T>): Read<T[]> {
    return (node, path) => {
      if (node.type !== "list")
        return this.#wrong(
          node,
          path,
          `must be a list of tables, not ${nodeKind(node)}`,
          `write [[${path}]]`,
        );
      return node.items.map((item, i) => read(item, `${path}[${i}]`)).filter((item) => item !== undefined);
    };
  }

  /** Reads the keys of a table by name; other keys are problems. */
  #table<S extends Record<string, Read<unknown>>>(node: TreeNode, path: string, shape: S): Table<S> {
    const result: Record<string, unknown> = {};
    const spans = new Map<string, Span>();
    if (node.type !== "map") this.#wrong(node, path, `must be a table, not ${nodeKind(node)}`);
    for (const entry of node.type === "map" ? (node as MapNode).entries : []) {
      const at = `${path}.${entry.key}`;
      if (!Object.hasOwn(shape, entry.key)) {
        this.#decoder.unknownKey(entry.key, entry.keySpan, at, Object.keys(shape));
        continue;
      }
      spans.set(entry.key, entry.value.span);
      result[entry.key] = shape[entry.key](entry.value, at);
    }
    const has = (key: string): boolean => spans.has(key);
    const span = (key: string): Span => spans.get(key) ?? node.span;
    return Object.assign(result, { has, span }) as Table<S>;
  }

  #canonical(format: Format, text: string, node: TreeNode, path: string): string | undefined {
    const canonical = canonicalText(format, text);
    return canonical.ok ? canonical.text : this.#wrong(node, path, canonical.message, canonical.fix);
  }

  /** A key that must be there; when it was given and wrong, that problem is enough. */
  #require(node: TreeNode, path: string, given: boolean): undefined {
    if (!given)
      this.#add(node.span, {
        code: "REQUIRED",
        path,
        message: `${path.slice(path.lastIndexOf(".") + 1)} is missing`,
      });
    return undefined;
  }

  #wrong(node: TreeNode, path: string, message: string, fix?: string): undefined {
    this.#add(node.span, invalidSetting(path, message, fix));
    return undefined;
  }

  #add(span: Span, problem: Problem): void {
    this.#problems.add(span, problem);
  }
}

type Table<S extends Record<string, Read<unknown>>> = { [K in keyof S]?: NonNullable<ReturnType<S[K]>> } & {
  has(key: keyof S): boolean;
  span(key: keyof S): Span;
};

function invalidSetting(path: string, message: string, fix?: string): Problem {
  return { code: "INVALID", path, message, ...(fix ? { fix } : {}) };
}

/** The name with its kind, as certificates are compared: a bare one is a host name, a URI or a mail address by its form. */
function certificateName(text: string): string | undefined {
  if (/^(DNS|URI|email|CN):./.test(text)) return text;
  if (/^[a-z][a-z0-9+.-]*:\/\/./i.test(text)) return `URI:${text}`;
  if (/^[^\s:/@]+@[^\s:/@]+$/.test(text)) return `email:${text}`;
  return /^[^\s:/@]+$/.test(text) ? `DNS:${text}` : undefined;
}

function isLoopback(host: string): boolean {
  const bytes = parseIp(host);
  return bytes !== undefined && (bytes.length === 4 ? bytes[0] === 127 : formatIp(bytes) === "::1");
}
