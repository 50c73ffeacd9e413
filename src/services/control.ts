/** ControlService: the daemon itself. */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { assert } from "../base/assert.ts";
import type { ControlService } from "../gen/cairn/v1/control_service_pb.ts";
import type { GlobalSpec } from "../gen/cairn/v1/global_service_pb.ts";
import type { LogLevel, ServiceContext } from "./context.ts";
import { globalName } from "./global.ts";
import { operate } from "./mutations.ts";
import { checked } from "./request.ts";

const logLevels: readonly LogLevel[] = ["trace", "debug", "info", "warn", "error"];
/** RFC 9003 section 2. */
const shutdownTextBytesMax = 255;

export function controlService(services: ServiceContext): ServiceImpl<typeof ControlService> {
  const { owner } = services;
  return {
    getHealth() {
      const subsystems = owner.view.health().map(({ name, healthy, detail }) => ({ name, healthy, detail }));
      const global = owner.view.object("Global", globalName)?.spec as GlobalSpec | undefined;
      return {
        healthy: subsystems.every((subsystem) => subsystem.healthy),
        version: services.version,
        uptime: durationFromMs(Math.round(owner.uptimeMs())),
        subsystems,
        generation: BigInt(owner.view.generation),
        name: global?.name ?? "",
        asn: global?.asn ?? 0,
        routerId: global?.routerId ?? "",
      };
    },

    async getMetrics() {
      return { text: await services.metrics.text() };
    },

    async shutdown({ message, hard, graceful }) {
      checked((check) => {
        check.textBytes("message", message, shutdownTextBytesMax);
        if (!hard || !graceful) return;
        const text = "a planned restart waits for what is under way, a hard end does not";
        check.add({
          code: "INVALID",
          path: "graceful",
          message: text,
          fix: "leave out one of hard and graceful",
        });
      });
      await operate(services, { op: "shutdown", message, hard, graceful });
      return {};
    },

    async triggerMrtDump(request) {
      const name = checked((check) => check.required("name", request.name));
      const { dump } = await operate(services, { op: "mrt-dump", name });
      assert(dump, "a dump that was written tells where");
      return {
        path: dump.path,
        routes: BigInt(dump.routes),
        records: BigInt(dump.records),
        bytes: BigInt(dump.bytes),
        duration: durationFromMs(dump.durationMs),
      };
    },

    setLogLevel(request) {
      const level = checked((check) => {
        const known = logLevels.find((name) => name === request.level);
        check.required("level", request.level);
        if (!known && request.level !== "") {
          const message = `"${request.level}" is not a log level`;
          check.add({
            code: "INVALID",
            path: "level",
            message,
            fix: `use one of ${logLevels.join(", ")}`,
            value: request.level,
          });
        }
        return known;
      });
      return { previous: level ? services.control.setLogLevel(level) : "" };
    },
  };
}
