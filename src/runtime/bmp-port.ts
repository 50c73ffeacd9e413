/** Connections to BMP collectors. */
import { hostname, release, type } from "node:os";
import type { BmpEffect, BmpInput } from "../state/bmp-inputs.ts";
import { Stations } from "./stations.ts";
import { version } from "./version.ts";

export class BmpPort {
  readonly #stations: Stations;

  constructor(post: (input: BmpInput) => void) {
    const systemDescription = `cairn ${version} on ${type()} ${release()}`;
    this.#stations = new Stations({
      connected: (conn) => post({ kind: "bmp.connected", conn, systemName: hostname(), systemDescription }),
      bytes: (conn, { length }) => post({ kind: "bmp.bytes", conn, count: length }),
      sent: (conn, queued) => post({ kind: "bmp.sent", conn, queued }),
      closed: (conn, error) => post({ kind: "bmp.closed", conn, error }),
    });
  }

  apply(effect: BmpEffect): void {
    if (effect.kind === "bmp.connect") this.#stations.connect(effect);
    else if (effect.kind === "bmp.send") this.#stations.send(effect.conn, effect.bytes);
    else this.#stations.close(effect.conn, effect.abort);
  }

  close(): void {
    this.#stations.closeAll();
  }
}
