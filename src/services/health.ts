/** grpc.health.v1: the whole server under the empty name, and each service by its own. */
import type { DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { type Health, HealthCheckResponse_ServingStatus as Status } from "../gen/grpc/health/v1/health_pb.ts";
import type { ServiceContext } from "./context.ts";

/** How often a watch looks at the health, in milliseconds. */
const watchMs = 1_000;

export function healthService(
  services: ServiceContext,
  served: readonly DescService[],
): ServiceImpl<typeof Health> {
  const names = new Set(["", ...served.map((service) => service.typeName)]);
  const status = (name: string): Status => {
    if (!names.has(name)) return Status.SERVICE_UNKNOWN;
    const healthy = services.owner.view.health().every((subsystem) => subsystem.healthy);
    return healthy ? Status.SERVING : Status.NOT_SERVING;
  };
  return {
    check({ service }) {
      if (!names.has(service)) throw new ConnectError(`there is no service ${service}`, Code.NotFound);
      return { status: status(service) };
    },

    async *watch({ service }, { signal }) {
      const slot = services.watchers.take("health", signal);
      try {
        let before: Status | undefined;
        for (;;) {
          const now = status(service);
          if (now !== before) yield { status: now };
          before = now;
          await pause(watchMs, signal);
        }
      } finally {
        slot.release();
      }
    },
  };
}

/** Waits `ms`, or throws the reason of `signal` as soon as the call ends. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let end = (): void => undefined;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    timer.unref();
    end = () => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener("abort", end);
  });
  signal.removeEventListener("abort", end);
  signal.throwIfAborted();
}
