/**
 * The schema, one step a version. A step that was released is never edited: a newer one changes what it made.
 *
 * Times are milliseconds since the epoch. Values stand last in their row, so that a scan of the other columns does not
 * read them.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE records (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at NUMERIC NOT NULL,
    application TEXT,
    state TEXT,
    open INTEGER,
    json TEXT NOT NULL
  );
  CREATE UNIQUE INDEX records_id ON records (kind, id);
  CREATE INDEX records_newest ON records (kind, created_at, id);
  CREATE INDEX records_application ON records (kind, application, created_at, id);
  CREATE INDEX records_state ON records (kind, state, created_at, id);
  CREATE INDEX records_open ON records (kind, created_at, id) WHERE open = 1;

  CREATE TABLE journal (
    number INTEGER PRIMARY KEY,
    subject TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL,
    entry TEXT NOT NULL
  );
  CREATE INDEX journal_subject ON journal (subject, number);

  CREATE TABLE jobs (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    not_before NUMERIC NOT NULL,
    attempt INTEGER NOT NULL,
    claim INTEGER,
    again_at NUMERIC,
    PRIMARY KEY (kind, key)
  ) WITHOUT ROWID;
  CREATE INDEX jobs_waiting ON jobs (kind, not_before) WHERE claim IS NULL;
  CREATE INDEX jobs_running ON jobs (kind, claim) WHERE claim IS NOT NULL;
  `,
  // The identity of the data set, in the shape of a random UUID; retention; snapshots.
  `
  INSERT INTO meta (key, value) SELECT 'epoch', substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' || substr(h, 14, 3) || '-a' ||
    substr(h, 18, 3) || '-' || substr(h, 21) FROM (SELECT lower(hex(randomblob(16))) AS h);
  CREATE INDEX records_closed ON records (kind, created_at, id) WHERE open IS NOT 1;

  CREATE TABLE snapshot_rows (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at NUMERIC,
    application TEXT,
    state TEXT,
    open INTEGER,
    json TEXT
  );
  CREATE UNIQUE INDEX snapshot_rows_id ON snapshot_rows (kind, id);
  CREATE TABLE snapshot_position (kind TEXT NOT NULL, id TEXT NOT NULL);
  `,
];

/** The version that this code writes. */
export const SCHEMA_VERSION = MIGRATIONS.length;
