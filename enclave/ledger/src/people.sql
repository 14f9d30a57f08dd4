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

-- Names to log in with; the people they stand for; and secrets that were handed out, by their SHA-256.
CREATE TABLE IF NOT EXISTS login (
  name TEXT PRIMARY KEY,
  password TEXT,
  subject TEXT UNIQUE,
  wrong INTEGER NOT NULL DEFAULT 0,
  locked TEXT
) STRICT;

CREATE TABLE IF NOT EXISTS login_person (
  person TEXT PRIMARY KEY,
  login TEXT NOT NULL REFERENCES login
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS login_person_of ON login_person (login);

CREATE TABLE IF NOT EXISTS secret (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
  kind TEXT NOT NULL CHECK (kind IN ('set-up', 'invitation', 'session', 'token')),
  owner TEXT NOT NULL,
  label TEXT NOT NULL,
  scope TEXT NOT NULL,
  issued TEXT NOT NULL,
  seen TEXT NOT NULL,
  expires TEXT NOT NULL,
  ended TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS secret_of ON secret (kind, owner);

-- Passkeys of a log-in, sealed; `credential` is what the authenticator calls it (at most 1023 bytes).
CREATE TABLE IF NOT EXISTS passkey (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  login TEXT NOT NULL REFERENCES login,
  label TEXT NOT NULL,
  credential BLOB NOT NULL UNIQUE CHECK (length(credential) BETWEEN 1 AND 1023),
  sealed TEXT NOT NULL,
  created TEXT NOT NULL,
  used TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS passkey_of ON passkey (login);
