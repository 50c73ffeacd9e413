/** Carries out what health checks ask for: probes that are sent, given up, and answered. Time limits are the core's. */
import type { ProbeAnswer, ProbePlan, ProbeProtocol } from "../../dataplane/probe/messages.ts";
import type { Effect } from "../../state/effects.ts";
import type { Input } from "../../state/inputs.ts";
import { probeDns, probeIcmp } from "./datagram-probes.ts";
import { blocked } from "./probe-errors.ts";
import type { StartProbe } from "./probe-socket.ts";
import { probeHttp, probeTcp } from "./stream-probes.ts";

export type HealthEffect = Extract<Effect, { kind: `health.${string}` }>;
export type HealthInput = Extract<Input, { kind: `health.${string}` }>;

/** Probes under way at a time, each with a socket. */
const probesMax = 2048;

const starts: Readonly<Record<ProbeProtocol, StartProbe>> = {
  icmp: probeIcmp,
  tcp: probeTcp,
  dns: probeDns,
  http: probeHttp,
  https: probeHttp,
};

export class HealthProbes {
  readonly #post: (input: HealthInput) => void;
  /** What gives up a probe, by its number. */
  readonly #underWay = new Map<number, () => void>();

  constructor(post: (input: HealthInput) => void) {
    this.#post = post;
  }

  apply(effect: HealthEffect): void {
    if (effect.kind === "health.probe") this.#start(effect.probe, effect.plan);
    else for (const probe of effect.probes) this.#cancel(probe);
  }

  close(): void {
    for (const probe of [...this.#underWay.keys()]) this.#cancel(probe);
  }

  #start(probe: number, plan: ProbePlan): void {
    if (this.#underWay.size >= probesMax) {
      const answer = blocked("TOO_MANY", `more than ${probesMax} probes are under way`);
      setImmediate(() => this.#post({ kind: "health.answered", probe, answer }));
      return;
    }
    // No probe answers before its start has returned.
    this.#underWay.set(
      probe,
      starts[plan.protocol](plan, (answer) => this.#answered(probe, answer)),
    );
  }

  #answered(probe: number, answer: ProbeAnswer): void {
    if (this.#underWay.delete(probe)) this.#post({ kind: "health.answered", probe, answer });
  }

  #cancel(probe: number): void {
    const cancel = this.#underWay.get(probe);
    this.#underWay.delete(probe);
    cancel?.();
  }
}
