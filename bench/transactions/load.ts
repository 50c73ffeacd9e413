/** Changes for the bench: objects as the API takes them, and clients that send them. */
import type { JsonObject } from "@bufbuild/protobuf";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  ApplyRequestSchema,
  ConfigService,
  type ConfigSource,
  ConfigSourceSchema,
} from "../../src/gen/cairn/v1/config_service_pb.ts";
import type { CairnDaemon } from "../daemon.ts";
import { GrpcClient } from "./grpc.ts";

export const { apply, plan } = ConfigService.method;

/** Address of the nth neighbor; from 1. */
export const address = (n: number): string => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;

export interface Declared {
  readonly kind: string;
  readonly spec: JsonObject;
}

/** A neighbor that does not try to connect. */
export function neighbor(n: number, description = ""): Declared {
  const spec = { address: address(n), remote_asn: 65_002, shutdown: true };
  return { kind: "Neighbor", spec: description === "" ? spec : { ...spec, description } };
}

export function prefixSet(n: number): Declared {
  return {
    kind: "PrefixSet",
    spec: { name: `set-${n}`, prefixes: [{ prefix: `10.${n >> 8}.${n & 255}.0/24` }] },
  };
}

/** So many objects, half of them neighbors. */
export function declared(count: number): Declared[] {
  return Array.from({ length: count }, (_, i) =>
    i % 2 === 0 ? neighbor(i / 2 + 1) : prefixSet((i - 1) / 2),
  );
}

/** The same as a TOML file, each object with a few fields. */
export function fileOf(objects: readonly Declared[]): string {
  const text = ({ kind, spec }: Declared): string =>
    kind === "Neighbor"
      ? `[[neighbors]]\naddress = "${spec.address}"\nremote_asn = ${spec.remote_asn}\nshutdown = true\n`
      : `[[prefix_sets]]\nname = "${spec.name}"\nprefixes = ["${(spec.prefixes as JsonObject[])[0].prefix}"]\n`;
  return objects.map(text).join("\n");
}

export function put(objects: readonly Declared[]): ConfigSource {
  return create(ConfigSourceSchema, { source: { case: "ops", value: { put: [...objects] } } });
}

/** Declares objects in one transaction. */
export async function declare(daemon: CairnDaemon, objects: readonly Declared[]): Promise<void> {
  const client = await GrpcClient.connect(daemon.socket);
  await client.call(apply, { source: put(objects) });
  client.close();
}

export interface CommitLoad {
  /** Milliseconds until each durable answer. */
  readonly times: number[];
  readonly tookS: number;
}

/** Clients that change the description of one neighbor each, one change after the other. */
export async function commits(daemon: CairnDaemon, clients: number, each: number): Promise<CommitLoad> {
  const connections = await Promise.all(
    Array.from({ length: clients }, () => GrpcClient.connect(daemon.socket)),
  );
  // Encoded before the clock starts: what is measured is the daemon.
  const requests = connections.map((_, client) =>
    Array.from({ length: each }, (_, i) =>
      toBinary(
        ApplyRequestSchema,
        create(ApplyRequestSchema, { source: put([neighbor(client + 1, `change ${i} ${Date.now()}`)]) }),
      ),
    ),
  );
  const times: number[] = [];
  const started = performance.now();
  await Promise.all(
    connections.map(async (connection, client) => {
      for (const request of requests[client]) {
        const from = performance.now();
        await connection.raw(apply, request);
        times.push(performance.now() - from);
      }
    }),
  );
  const tookS = (performance.now() - started) / 1000;
  for (const connection of connections) connection.close();
  return { times, tookS };
}

/** A quantile of times, with its unit. */
export function quantile(times: readonly number[], q: number): string {
  const sorted = times.toSorted((a, b) => a - b);
  return `${sorted[Math.floor(q * (sorted.length - 1))].toFixed(2)} ms`;
}
