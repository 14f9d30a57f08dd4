-- People, what they were seen doing last, and their second factor. Made where a ledger has none yet.
CREATE TABLE IF NOT EXISTS person (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  roles TEXT NOT NULL,
  since INTEGER NOT NULL UNIQUE REFERENCES leaf,
  changed INTEGER NOT NULL UNIQUE REFERENCES leaf,
  ended INTEGER REFERENCES leaf
) STRICT;

-- A person of the register, or MEMORANDUM/PERSON.
CREATE TABLE IF NOT EXISTS seen (
  person TEXT PRIMARY KEY,
  at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS policy (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL,
  leaf INTEGER NOT NULL UNIQUE REFERENCES leaf
) STRICT;

CREATE TABLE IF NOT EXISTS factor (
  person TEXT PRIMARY KEY,
  sealed TEXT NOT NULL,
  confirmed INTEGER NOT NULL DEFAULT 0,
  -- The last time step whose code was used: none is used twice.
  step INTEGER NOT NULL DEFAULT 0,
  wrong INTEGER NOT NULL DEFAULT 0,
  locked TEXT
) STRICT;

CREATE TABLE IF NOT EXISTS step_up (
  leaf INTEGER PRIMARY KEY REFERENCES leaf,
  person TEXT NOT NULL,
  at TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS step_up_of ON step_up (person);

CREATE TRIGGER IF NOT EXISTS person_kept BEFORE DELETE ON person BEGIN SELECT RAISE(ABORT, 'people are kept'); END;
