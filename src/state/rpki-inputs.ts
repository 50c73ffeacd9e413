/** What passes between the core and the shell for RPKI: connections to caches, and files. */
import type { Slurm } from "../rpki/slurm.ts";
import type { ClientTls } from "./client-tls.ts";

export type RpkiEffect =
  | {
      readonly kind: "rtr.connect";
      /** Never used again within a run. */
      readonly conn: number;
      /** Address or host name. */
      readonly host: string;
      readonly port: number;
      /** Source address; empty lets the kernel choose. */
      readonly localAddress: string;
      readonly tls: ClientTls | undefined;
    }
  | { readonly kind: "rtr.send"; readonly conn: number; readonly bytes: Uint8Array }
  /** Close after what was sent is out. No `rtr.closed` follows. */
  | { readonly kind: "rtr.close"; readonly conn: number }
  | { readonly kind: "rtr.pause"; readonly conn: number; readonly paused: boolean }
  /** From now on these files, and no others, are read when they change; answered by `rpki.file`, now and then. */
  | { readonly kind: "rpki.watch"; readonly vrps: readonly string[]; readonly slurm: readonly string[] };

export type RpkiInput =
  | { readonly kind: "rtr.connected"; readonly conn: number }
  /** The core copies what it wants before `handle` returns. */
  | { readonly kind: "rtr.bytes"; readonly conn: number; readonly bytes: Uint8Array }
  /** The connection ended, or the attempt failed. */
  | { readonly kind: "rtr.closed"; readonly conn: number; readonly error: string | undefined }
  /** A file was read: `pdus` or `slurm` by its kind, or why it cannot be taken. */
  | {
      readonly kind: "rpki.file";
      readonly path: string;
      /** RTR PDUs of version 2 that announce, one after the other. */
      readonly pdus?: Uint8Array;
      readonly slurm?: Slurm;
      readonly error: string;
    };
