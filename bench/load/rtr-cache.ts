/** An RPKI cache for the bench: it says what it was given, when it is told to. */
import net from "node:net";
import {
  encodeCacheResponse,
  encodeEndOfData,
  encodePrefix,
  encodeSerialNotify,
  PduType,
} from "../../src/rpki/pdu.ts";

const version = 1;
const session = 1;
const intervals = { refreshS: 3600, retryS: 600, expireS: 7200 };

export interface Vrp {
  readonly address: Uint8Array;
  readonly length: number;
  readonly asn: number;
}

/** PDUs of these VRPs, each up to its own length. */
export function encodeVrps(vrps: Iterable<Vrp>, announced: boolean): Buffer {
  const pdus: Uint8Array[] = [];
  for (const { address, length, asn } of vrps)
    pdus.push(encodePrefix(version, announced, address, length, length, asn));
  return Buffer.concat(pdus);
}

export class BenchCache {
  private readonly server: net.Server;
  private socket: net.Socket | undefined;
  private serial = 0;
  private asked: (() => void) | undefined;
  /** Resolves when the daemon has asked for everything. */
  readonly reset: Promise<void> = new Promise((resolve) => {
    this.asked = resolve;
  });
  private difference: Buffer = Buffer.alloc(0);

  private constructor(server: net.Server) {
    this.server = server;
    server.on("connection", (socket) => {
      this.socket = socket;
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        if (bytes[1] === PduType.resetQuery) this.asked?.();
        else if (bytes[1] === PduType.serialQuery) this.answer(this.difference);
      });
    });
  }

  static async listen(host: string, port: number): Promise<BenchCache> {
    const server = net.createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, resolve);
    });
    return new BenchCache(server);
  }

  /** Says all of it. */
  answer(vrps: Buffer): void {
    this.socket?.write(
      Buffer.concat([
        encodeCacheResponse(version, session),
        vrps,
        encodeEndOfData(version, session, this.serial, intervals),
      ]),
    );
  }

  /** Has something new, and says so; it is told when it is asked for. */
  change(difference: Buffer): void {
    this.serial++;
    this.difference = difference;
    this.socket?.write(encodeSerialNotify(version, session, this.serial));
  }

  close(): void {
    this.socket?.destroy();
    this.server.close();
  }
}
