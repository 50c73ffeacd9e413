/** What passes between the core and the shell for BMP: connections to collectors. */
import type { ClientTls } from "./client-tls.ts";

export type BmpEffect =
  | {
      readonly kind: "bmp.connect";
      /** Never used again within a run. */
      readonly conn: number;
      /** Address or host name. */
      readonly host: string;
      readonly port: number;
      /** Source address; empty lets the kernel choose. */
      readonly localAddress: string;
      readonly tls: ClientTls | undefined;
    }
  /** Answered by `bmp.sent` when they are with the kernel. */
  | { readonly kind: "bmp.send"; readonly conn: number; readonly bytes: Uint8Array }
  /** Close after what was sent is out (`abort`: at once). No `bmp.closed` follows. */
  | { readonly kind: "bmp.close"; readonly conn: number; readonly abort: boolean };

export type BmpInput =
  | {
      readonly kind: "bmp.connected";
      readonly conn: number;
      /** Name of this host and what runs on it, for the Initiation message. */
      readonly systemName: string;
      readonly systemDescription: string;
    }
  /** Of what was sent, so many bytes still wait in the shell. */
  | { readonly kind: "bmp.sent"; readonly conn: number; readonly queued: number }
  /** A collector has nothing to say (RFC 7854 3.2), and said so many bytes. */
  | { readonly kind: "bmp.bytes"; readonly conn: number; readonly count: number }
  /** The connection ended, or the attempt failed. */
  | { readonly kind: "bmp.closed"; readonly conn: number; readonly error: string | undefined };
