-- The ledger: one log, and what its leaves imply. Leaves, nodes and documents are never changed or removed.
CREATE TABLE log (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  origin TEXT NOT NULL,
  checkpoint TEXT NOT NULL
) STRICT;

CREATE TABLE leaf (
  position INTEGER PRIMARY KEY CHECK (position >= 0),
  body TEXT NOT NULL
) STRICT;

CREATE TABLE node (
  level INTEGER NOT NULL,
  position INTEGER NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE document (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  leaf INTEGER NOT NULL UNIQUE REFERENCES leaf,
  text TEXT NOT NULL,
  PRIMARY KEY (kind, name, version)
) STRICT;

CREATE TABLE account (
  kind TEXT NOT NULL CHECK (kind IN ('memorandum', 'pool')),
  name TEXT NOT NULL,
  allotment_micro INTEGER,
  charged_micro INTEGER NOT NULL CHECK (charged_micro >= 0),
  delta REAL,
  delta_charged REAL NOT NULL CHECK (delta_charged >= 0),
  -- Of a pure memorandum: its allotment and charges in ε; the rest is in ρ.
  epsilon_micro INTEGER,
  epsilon_charged_micro INTEGER CHECK (epsilon_charged_micro BETWEEN 0 AND epsilon_micro),
  PRIMARY KEY (kind, name),
  CHECK (allotment_micro IS NULL OR charged_micro <= allotment_micro),
  CHECK ((epsilon_micro IS NULL) = (epsilon_charged_micro IS NULL))
) STRICT;

CREATE TABLE memorandum (
  id TEXT PRIMARY KEY,
  contract TEXT NOT NULL,
  signed INTEGER NOT NULL UNIQUE REFERENCES leaf,
  ended INTEGER UNIQUE REFERENCES leaf
) STRICT;

CREATE TABLE question (
  leaf INTEGER PRIMARY KEY REFERENCES leaf,
  memorandum TEXT NOT NULL REFERENCES memorandum,
  plan BLOB NOT NULL CHECK (length(plan) = 32)
) STRICT;
CREATE INDEX question_of_plan ON question (memorandum, plan);

CREATE TABLE disclosure (
  leaf INTEGER PRIMARY KEY REFERENCES leaf,
  question INTEGER NOT NULL UNIQUE REFERENCES question,
  memorandum TEXT NOT NULL REFERENCES memorandum,
  contract TEXT NOT NULL,
  snapshot TEXT NOT NULL,
  plan BLOB NOT NULL CHECK (length(plan) = 32),
  answer TEXT NOT NULL
) STRICT;
CREATE INDEX disclosure_to_replay ON disclosure (memorandum, plan, contract, snapshot);

-- Against mistakes in this program; against people with the file there are the signed roots.
CREATE TRIGGER leaf_kept BEFORE DELETE ON leaf BEGIN SELECT RAISE(ABORT, 'leaves are kept'); END;
CREATE TRIGGER leaf_fixed BEFORE UPDATE ON leaf BEGIN SELECT RAISE(ABORT, 'leaves are fixed'); END;
CREATE TRIGGER node_kept BEFORE DELETE ON node BEGIN SELECT RAISE(ABORT, 'nodes are kept'); END;
CREATE TRIGGER node_fixed BEFORE UPDATE ON node BEGIN SELECT RAISE(ABORT, 'nodes are fixed'); END;
CREATE TRIGGER document_kept BEFORE DELETE ON document BEGIN SELECT RAISE(ABORT, 'documents are kept'); END;
CREATE TRIGGER document_fixed BEFORE UPDATE ON document BEGIN SELECT RAISE(ABORT, 'documents are fixed'); END;
CREATE TRIGGER account_kept BEFORE DELETE ON account BEGIN SELECT RAISE(ABORT, 'accounts are kept'); END;
CREATE TRIGGER disclosure_kept BEFORE DELETE ON disclosure BEGIN SELECT RAISE(ABORT, 'disclosures are kept'); END;
CREATE TRIGGER disclosure_fixed BEFORE UPDATE ON disclosure BEGIN SELECT RAISE(ABORT, 'disclosures are fixed'); END;
