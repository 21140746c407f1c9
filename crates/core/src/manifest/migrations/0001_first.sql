-- One row: what this data directory holds.
CREATE TABLE store (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    adjusted      INTEGER NOT NULL CHECK (adjusted IN (0, 1)),
    sandbox       INTEGER NOT NULL CHECK (sandbox IN (0, 1)),
    created_at_ms INTEGER NOT NULL,
    created_by    TEXT    NOT NULL
) STRICT;

-- One row for each run of a command that fetches. Without an end: live, or killed.
CREATE TABLE runs (
    id             INTEGER PRIMARY KEY,
    command        TEXT    NOT NULL,
    arguments      TEXT    NOT NULL,
    grab_version   TEXT    NOT NULL,
    pid            INTEGER NOT NULL,
    started_at_ms  INTEGER NOT NULL,
    ended_at_ms    INTEGER,
    outcome        TEXT CHECK (outcome IN ('complete', 'incomplete', 'interrupted', 'error')),
    exit_code      INTEGER,
    requests       INTEGER NOT NULL DEFAULT 0,
    retries        INTEGER NOT NULL DEFAULT 0,
    bars           INTEGER NOT NULL DEFAULT 0,
    partitions     INTEGER NOT NULL DEFAULT 0,
    bytes_received INTEGER NOT NULL DEFAULT 0,
    CHECK ((ended_at_ms IS NULL) = (outcome IS NULL)),
    CHECK ((ended_at_ms IS NULL) = (exit_code IS NULL))
) STRICT;

-- What is owed: one row for each (ticker, window). Dates are New York days, both ends inclusive.
CREATE TABLE tasks (
    id            INTEGER PRIMARY KEY,
    ticker        TEXT    NOT NULL CHECK (ticker <> ''),
    from_date     TEXT    NOT NULL CHECK (from_date IS date(from_date)),
    to_date       TEXT    NOT NULL CHECK (to_date IS date(to_date) AND to_date >= from_date),
    state         TEXT    NOT NULL DEFAULT 'pending' CHECK (state IN
                  ('pending', 'running', 'done', 'empty', 'not_entitled', 'not_found', 'failed')),
    cursor        TEXT,
    pages         INTEGER NOT NULL DEFAULT 0 CHECK (pages >= 0),
    bars          INTEGER NOT NULL DEFAULT 0 CHECK (bars >= 0),
    attempts      INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    last_error    TEXT,
    updated_at_ms INTEGER NOT NULL,
    UNIQUE (ticker, from_date, to_date),
    CHECK (bars = 0 OR pages > 0),
    CHECK (cursor IS NULL OR pages > 0),
    CHECK (state <> 'done' OR bars > 0),
    CHECK (state <> 'empty' OR (bars = 0 AND pages > 0)),
    CHECK (state NOT IN ('done', 'empty') OR (cursor IS NULL AND last_error IS NULL)),
    CHECK (state NOT IN ('not_entitled', 'not_found', 'failed') OR last_error IS NOT NULL)
) STRICT;

CREATE INDEX tasks_by_state ON tasks (state, id);

-- The evidence: one row for each page that was stored, in the order of the traversal.
CREATE TABLE pages (
    task_id      INTEGER NOT NULL REFERENCES tasks (id),
    number       INTEGER NOT NULL CHECK (number >= 1),
    run_id       INTEGER NOT NULL REFERENCES runs (id),
    stored_at_ms INTEGER NOT NULL,
    request_id   TEXT,
    status       TEXT    NOT NULL,
    bars         INTEGER NOT NULL CHECK (bars >= 0),
    first_ms     INTEGER,
    last_ms      INTEGER CHECK (last_ms >= first_ms),
    bytes        INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (task_id, number),
    CHECK ((bars = 0) = (first_ms IS NULL) AND (bars = 0) = (last_ms IS NULL))
) STRICT, WITHOUT ROWID;

-- What is held: one row for each Parquet file. Bit 0 of session_mask is the first of the month;
-- session_bars has one count for each bit that is set, in the order of the days.
CREATE TABLE partitions (
    ticker       TEXT    NOT NULL,
    month        TEXT    NOT NULL CHECK (month IS strftime('%Y-%m', month || '-01')),
    bars         INTEGER NOT NULL CHECK (bars > 0),
    first_ms     INTEGER NOT NULL,
    last_ms      INTEGER NOT NULL CHECK (last_ms >= first_ms),
    bytes        INTEGER NOT NULL CHECK (bytes > 0),
    xxh3         TEXT    NOT NULL CHECK (length(xxh3) = 16),
    session_mask INTEGER NOT NULL CHECK (session_mask BETWEEN 1 AND 2147483647),
    session_bars TEXT    NOT NULL CHECK (json_valid(session_bars)),
    stored_at_ms INTEGER NOT NULL,
    run_id       INTEGER NOT NULL REFERENCES runs (id),
    PRIMARY KEY (ticker, month)
) STRICT, WITHOUT ROWID;

-- Why everything is as it is: append-only.
CREATE TABLE events (
    id         INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL,
    run_id     INTEGER REFERENCES runs (id),
    task_id    INTEGER REFERENCES tasks (id),
    kind       TEXT    NOT NULL,
    from_state TEXT,
    to_state   TEXT,
    reason     TEXT    NOT NULL,
    CHECK ((from_state IS NULL) = (to_state IS NULL))
) STRICT;

CREATE INDEX events_by_task ON events (task_id, id);

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
