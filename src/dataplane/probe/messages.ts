/** What the core and whoever sends probes tell each other. */

/** One probe: what is sent where, and what counts as an answer. */
export interface ProbePlan {
  readonly protocol: ProbeProtocol;
  /** Canonical text of an IP address. */
  readonly target: string;
  /** 0 for icmp. */
  readonly port: number;
  /** Name of the link that it leaves by, in the kernel; empty: as routes say. */
  readonly device: string;
  /** Address that it leaves from; empty: as routes say. */
  readonly source: string;
  /** Mark of its packets; 0 for none. */
  readonly mark: number;
  /** For dns. */
  readonly dns?: DnsExpectation;
  /** For http and https. */
  readonly http?: HttpExpectation;
}

export type ProbeProtocol = "icmp" | "tcp" | "dns" | "http" | "https";

export interface DnsExpectation {
  /** Without a dot at the end; empty for the root. */
  readonly name: string;
  /** Number of the record type. */
  readonly type: number;
  /** Text of a record that must be in the answer; empty for any. */
  readonly answer: string;
}

export interface HttpExpectation {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  /** Codes that pass, from and to, both inclusive. */
  readonly statuses: readonly (readonly [from: number, to: number])[];
  /** Must be in the body; empty for any body. */
  readonly body: string;
  /** File of authorities; empty: those of the system. */
  readonly ca: string;
  readonly anyCertificate: boolean;
}

/**
 * How a probe ended: `blocked` when it could not be sent for a reason of our own host (no privilege, no memory), which
 * says nothing of the path.
 */
export type ProbeVerdict = "passed" | "failed" | "blocked";

export interface ProbeAnswer {
  readonly verdict: ProbeVerdict;
  /** From sending to the answer, milliseconds. */
  readonly latencyMs: number;
  /** A word for programs: TIMEOUT, ECONNREFUSED, HTTP_STATUS, ...; empty when it passed. */
  readonly reason: string;
  /** One sentence for people without a full stop; empty when it passed. */
  readonly message: string;
}
