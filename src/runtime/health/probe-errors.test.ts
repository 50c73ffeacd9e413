import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ProbePlan } from "../../dataplane/probe/messages.ts";
import { answerOf, type ProbeStage } from "./probe-errors.ts";

const plan: ProbePlan = {
  ...{ protocol: "icmp", target: "192.0.2.1", port: 0, device: "eth0", source: "192.0.2.2", mark: 7 },
};

function said(stage: ProbeStage, error: string): string {
  const { verdict, reason, message } = answerOf(stage, error, plan);
  return `${verdict} ${reason}: ${message}`;
}

describe("errors of probes", () => {
  it("blame the way where it is to blame", () => {
    assert.equal(said("send", "ECONNREFUSED"), "failed ECONNREFUSED: 192.0.2.1 refuses the connection");
    assert.equal(
      said("send", "ENETUNREACH"),
      "failed ENETUNREACH: 192.0.2.1 cannot be reached: there is no route",
    );
    assert.equal(
      said("send", "EPERM"),
      "failed EPERM: 192.0.2.1 is not sent to: the firewall of this host drops the probe",
    );
    assert.equal(said("send", "EPROTO"), "failed EPROTO: 192.0.2.1 fails: EPROTO");
  });

  it("name the privilege that is missing", () => {
    assert.equal(
      said("open", "EPERM"),
      "blocked EPERM: cairnd needs the capability CAP_NET_RAW for icmp probes",
    );
    assert.equal(
      said("device", "EPERM"),
      "blocked EPERM: cairnd needs the capability CAP_NET_RAW to bind probes to eth0",
    );
    assert.equal(
      said("mark", "EPERM"),
      "blocked EPERM: cairnd needs the capability CAP_NET_ADMIN to mark packets",
    );
  });

  it("take what this host lacks for no answer, wherever it shows", () => {
    for (const stage of ["open", "device", "mark", "source", "send"] as const) {
      for (const error of ["ENOBUFS", "ENOMEM", "EMFILE", "ENFILE", "EAGAIN"])
        assert.match(said(stage, error), /^blocked /, `${stage} ${error}`);
    }
    assert.equal(said("device", "ENODEV"), "blocked DEVICE_MISSING: link eth0 is not there");
    assert.equal(
      said("source", "EADDRNOTAVAIL"),
      "blocked SOURCE_MISSING: address 192.0.2.2 is not on this host",
    );
  });
});
