/** How a connection that we open to a station (a cache, a collector) is protected. */
export interface ClientTls {
  /** Paths are of files on this host; empty for the system's own authorities, and for no certificate of ours. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** Name that the station's certificate must have. */
  readonly serverName: string;
}

/** Settings of a connection that kinds of stations have in common. */
export interface StationSpec {
  readonly host: string;
  readonly tls: boolean;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly serverName: string;
}

/** What the shell is told; undefined without TLS. */
export function clientTls({ host, tls, ca, cert, key, serverName }: StationSpec): ClientTls | undefined {
  return tls ? { ca, cert, key, serverName: serverName || host } : undefined;
}
