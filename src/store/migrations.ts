/** Versions of the database schema. Append only: a version that was released never changes. */
export interface Migration {
  readonly version: number;
  /** What it is for, in a few words. */
  readonly name: string;
  readonly sql: string;
}

export const migrations: readonly Migration[] = [
  {
    version: 1,
    name: "generations, objects, requests, injected routes, events",
    sql: `
      CREATE TABLE generations (
        generation INTEGER PRIMARY KEY,
        time INTEGER NOT NULL,
        principal TEXT NOT NULL,
        source TEXT NOT NULL,
        reason TEXT NOT NULL,
        changes TEXT NOT NULL
      ) STRICT;
      CREATE TABLE objects (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        spec TEXT NOT NULL,
        generation INTEGER NOT NULL,
        created INTEGER NOT NULL,
        updated INTEGER NOT NULL,
        managed_by TEXT NOT NULL,
        PRIMARY KEY (kind, name)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE mutations (
        request_id TEXT PRIMARY KEY,
        principal TEXT NOT NULL,
        time INTEGER NOT NULL,
        digest TEXT NOT NULL,
        outcome TEXT NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX mutations_by_time ON mutations (time);
      CREATE TABLE injected (
        prefix TEXT NOT NULL,
        path_id INTEGER NOT NULL,
        path TEXT NOT NULL,
        created INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        principal TEXT NOT NULL,
        PRIMARY KEY (prefix, path_id)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        time INTEGER NOT NULL,
        topic TEXT NOT NULL,
        object TEXT NOT NULL,
        severity INTEGER NOT NULL,
        summary TEXT NOT NULL,
        facts TEXT NOT NULL,
        generation INTEGER NOT NULL
      ) STRICT;`,
  },
];
