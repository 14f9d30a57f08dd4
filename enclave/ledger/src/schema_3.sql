-- What version 3 adds to `schema.sql`.
CREATE TABLE approval (
  leaf INTEGER PRIMARY KEY REFERENCES leaf,
  subject TEXT NOT NULL,
  digest BLOB NOT NULL CHECK (length(digest) = 32),
  memorandum TEXT REFERENCES memorandum,
  person TEXT NOT NULL,
  votes INTEGER NOT NULL CHECK (votes > 0),
  days INTEGER NOT NULL CHECK (days > 0),
  file TEXT NOT NULL,
  used INTEGER UNIQUE REFERENCES leaf
) STRICT;
CREATE INDEX approval_of_digest ON approval (digest);

CREATE TABLE vote (
  leaf INTEGER PRIMARY KEY REFERENCES leaf,
  approval INTEGER NOT NULL REFERENCES approval,
  person TEXT NOT NULL,
  vote TEXT NOT NULL CHECK (vote IN ('approve', 'reject', 'ask-back', 'answer')),
  reason TEXT NOT NULL
) STRICT;
CREATE INDEX vote_on_approval ON vote (approval);
