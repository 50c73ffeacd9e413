/** What becomes of a probe in a simulated kernel: an answer comes from wherever a route leads to. */
import { parseIp } from "../../base/ip.ts";
import type { KernelSimulator } from "../simulated-kernel.ts";
import type { ProbeAnswer, ProbePlan } from "./messages.ts";

const latencyMs = 1;

export function simulatedAnswer(kernel: KernelSimulator, { target, device }: ProbePlan): ProbeAnswer {
  const route = kernel.lookup(parseIp(target)!);
  const leads = route && (route.type === "unicast" || route.type === "local");
  const link = device === "" ? undefined : kernel.link(device);
  const isOver = device === "" || route?.hops.some((hop) => hop.link === link?.index);
  if (leads && isOver) return { verdict: "passed", latencyMs, reason: "", message: "" };
  const message = `${target} cannot be reached: there is no route${device === "" ? "" : ` over ${device}`}`;
  return { verdict: "failed", latencyMs: 0, reason: "ENETUNREACH", message };
}
