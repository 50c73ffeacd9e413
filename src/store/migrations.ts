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
  {
    version: 2,
    name: "history that can be gone back to, pending change, audit",
    // What generations of version 1 changed is known, what objects were before is not: they can be listed, and the
    // newest can be gone back to.
    sql: `
      ALTER TABLE generations ADD COLUMN parent INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE generations ADD COLUMN hash TEXT NOT NULL DEFAULT '';
      ALTER TABLE generations ADD COLUMN restores INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE generations ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
      UPDATE generations SET parent = generation - 1;
      CREATE INDEX generations_pinned ON generations (generation) WHERE pinned = 1;
      CREATE TABLE undo (
        generation INTEGER NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        before TEXT,
        folded INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (generation, kind, name)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX undo_by_object ON undo (kind, name, generation);
      CREATE TABLE audit (
        id INTEGER PRIMARY KEY,
        time INTEGER NOT NULL,
        principal TEXT NOT NULL,
        address TEXT NOT NULL,
        method TEXT NOT NULL,
        reason TEXT NOT NULL,
        request_id TEXT NOT NULL,
        accepted INTEGER NOT NULL,
        code TEXT NOT NULL,
        detail TEXT NOT NULL,
        generation INTEGER NOT NULL,
        hash TEXT NOT NULL
      ) STRICT;
      INSERT OR REPLACE INTO meta VALUES
        ('oldest_generation', (SELECT coalesce(max(generation), 0) FROM generations));`,
  },
  {
    version: 3,
    name: "what in the kernel is ours",
    sql: `
      CREATE TABLE ledger (
        class TEXT NOT NULL,
        key TEXT NOT NULL,
        owner TEXT NOT NULL,
        phase TEXT NOT NULL,
        facts TEXT NOT NULL,
        identity TEXT NOT NULL,
        before TEXT,
        adopted INTEGER NOT NULL,
        PRIMARY KEY (class, key)
      ) STRICT, WITHOUT ROWID;`,
  },
];
