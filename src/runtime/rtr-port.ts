/** Connections to RPKI caches. */
import type { RpkiEffect, RpkiInput } from "../state/rpki-inputs.ts";
import { Stations } from "./stations.ts";

export class RtrPort {
  readonly #stations: Stations;

  constructor(post: (input: RpkiInput) => void) {
    this.#stations = new Stations({
      connected: (conn) => post({ kind: "rtr.connected", conn }),
      bytes: (conn, bytes) => post({ kind: "rtr.bytes", conn, bytes }),
      closed: (conn, error) => post({ kind: "rtr.closed", conn, error }),
    });
  }

  apply(effect: Extract<RpkiEffect, { kind: `rtr.${string}` }>): void {
    if (effect.kind === "rtr.connect") this.#stations.connect(effect);
    else if (effect.kind === "rtr.send") this.#stations.send(effect.conn, effect.bytes);
    else if (effect.kind === "rtr.close") this.#stations.close(effect.conn);
    else this.#stations.pause(effect.conn, effect.paused);
  }

  close(): void {
    this.#stations.closeAll();
  }
}
