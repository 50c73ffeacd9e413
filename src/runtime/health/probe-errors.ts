/**
 * What an errno says of a probe. Those that are about the way (no route, nobody there) make it fail; those of our own
 * host (no privilege, no memory, no such link) block it, and say what is missing.
 */
import type { ProbeAnswer, ProbePlan } from "../../dataplane/probe/messages.ts";

/** What was being done. */
export type ProbeStage = "open" | "device" | "mark" | "source" | "send";

export function passed(latencyMs: number): ProbeAnswer {
  return { verdict: "passed", latencyMs, reason: "", message: "" };
}

export function failed(reason: string, message: string, latencyMs = 0): ProbeAnswer {
  return { verdict: "failed", latencyMs, reason, message };
}

export function blocked(reason: string, message: string): ProbeAnswer {
  return { verdict: "blocked", latencyMs: 0, reason, message };
}

/** This host has too little of something at the moment. */
const shortages: Readonly<Record<string, string>> = {
  EMFILE: "cairnd has too many files open (LimitNOFILE)",
  ENFILE: "this host has too many files open",
  ENOBUFS: "this host has no room for the packet",
  ENOMEM: "this host has no memory for the packet",
  EAGAIN: "this host has no room for the packet",
};

const meanings: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refuses the connection",
  ECONNRESET: "has reset the connection",
  EHOSTUNREACH: "cannot be reached: a router or the link says so",
  ENETUNREACH: "cannot be reached: there is no route",
  ENETDOWN: "cannot be reached: the link is down",
  ETIMEDOUT: "does not answer",
  EACCES: "cannot be reached: a route prohibits it",
  EPERM: "is not sent to: the firewall of this host drops the probe",
  EINVAL: "cannot be reached: a route discards it",
  EADDRNOTAVAIL: "cannot be reached from any address of this host",
};

/** @param error name of the errno */
export function answerOf(stage: ProbeStage, error: string, plan: ProbePlan): ProbeAnswer {
  const shortage = shortages[error];
  if (shortage !== undefined) return blocked(error, shortage);
  const isRefused = error === "EPERM" || error === "EACCES";
  switch (stage) {
    case "open":
      if (!isRefused) return blocked(error, `no socket can be opened: ${error}`);
      return blocked(error, `cairnd needs the capability CAP_NET_RAW for ${plan.protocol} probes`);
    case "device":
      if (error === "ENODEV") return blocked("DEVICE_MISSING", `link ${plan.device} is not there`);
      if (isRefused)
        return blocked(error, `cairnd needs the capability CAP_NET_RAW to bind probes to ${plan.device}`);
      return blocked(error, `probes cannot be bound to ${plan.device}: ${error}`);
    case "mark":
      return isRefused
        ? blocked(error, "cairnd needs the capability CAP_NET_ADMIN to mark packets")
        : blocked(error, `packets cannot be marked: ${error}`);
    case "source":
      return error === "EADDRNOTAVAIL"
        ? blocked("SOURCE_MISSING", `address ${plan.source} is not on this host`)
        : blocked(error, `probes cannot leave from ${plan.source}: ${error}`);
    default:
      return failed(error, `${plan.target} ${meanings[error] ?? `fails: ${error}`}`);
  }
}
