-- The sessions that updates were about: the last session that any symbol had been asked for before the first update of each.
CREATE TABLE evenings (
    session TEXT    NOT NULL PRIMARY KEY CHECK (session IS date(session)),
    before  TEXT    CHECK (before IS date(before)),
    at_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Sessions of the calendar on which the market was closed by the service's word.
CREATE TABLE closures (
    date       TEXT    NOT NULL PRIMARY KEY CHECK (date IS date(date)),
    evidence   TEXT    NOT NULL CHECK (evidence IN ('market status', 'grouped daily')),
    name       TEXT    NOT NULL,
    at_ms      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the service says of a symbol that was silent for ten sessions: asked once for each silence.
CREATE TABLE silences (
    ticker       TEXT    NOT NULL PRIMARY KEY,
    last_session TEXT    NOT NULL CHECK (last_session IS date(last_session)),
    answer       TEXT    NOT NULL CHECK (answer IN ('active', 'left', 'unknown')),
    left_on      TEXT    CHECK (left_on IS date(left_on)),
    words        TEXT    NOT NULL,
    at_ms        INTEGER NOT NULL,
    CHECK (left_on IS NULL OR answer = 'left')
) STRICT, WITHOUT ROWID;
