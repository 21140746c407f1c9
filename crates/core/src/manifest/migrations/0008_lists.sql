-- Reference lists on their way: the pages that came, until a list is whole and its table is written.
CREATE TABLE lists (
    list        TEXT    NOT NULL PRIMARY KEY,
    source      TEXT    NOT NULL,
    begun_at_ms INTEGER NOT NULL,
    cursor      TEXT,
    pages       INTEGER NOT NULL DEFAULT 0 CHECK (pages >= 0),
    is_whole    INTEGER NOT NULL DEFAULT 0 CHECK (is_whole IN (0, 1)),
    CHECK (cursor IS NULL OR is_whole = 0),
    CHECK (pages > 0 OR (cursor IS NULL AND is_whole = 0))
) STRICT, WITHOUT ROWID;

CREATE TABLE list_pages (
    list        TEXT    NOT NULL REFERENCES lists (list) ON DELETE CASCADE,
    page        INTEGER NOT NULL CHECK (page > 0),
    rows        TEXT    NOT NULL CHECK (json_valid(rows)),
    bad_symbols INTEGER NOT NULL CHECK (bad_symbols >= 0),
    bad_days    INTEGER NOT NULL CHECK (bad_days >= 0),
    nonsense    INTEGER NOT NULL CHECK (nonsense >= 0),
    PRIMARY KEY (list, page)
) STRICT, WITHOUT ROWID;

-- Single questions about a ticker that were answered: they are not asked again. Until is_applied, no table has the answer.
CREATE TABLE lookups (
    kind        TEXT    NOT NULL CHECK (kind IN ('details', 'renames')),
    subject     TEXT    NOT NULL,
    ticker      TEXT    NOT NULL,
    asked_at_ms INTEGER NOT NULL,
    answer      TEXT    NOT NULL CHECK (json_valid(answer)),
    is_applied  INTEGER NOT NULL DEFAULT 0 CHECK (is_applied IN (0, 1)),
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;

-- What was brought into reference/, and when.
CREATE TABLE syncs (
    id      INTEGER PRIMARY KEY,
    run     INTEGER REFERENCES runs (id),
    at_ms   INTEGER NOT NULL,
    what    TEXT    NOT NULL CHECK (what IN ('tickers', 'splits', 'details', 'renames', 'annotations')),
    rows    INTEGER NOT NULL CHECK (rows >= 0),
    pages   INTEGER NOT NULL CHECK (pages >= 0),
    defects TEXT    NOT NULL CHECK (json_valid(defects))
) STRICT;

CREATE TRIGGER syncs_are_never_changed BEFORE UPDATE ON syncs
BEGIN SELECT RAISE(ABORT, 'syncs are append-only'); END;

CREATE TRIGGER syncs_are_never_deleted BEFORE DELETE ON syncs
BEGIN SELECT RAISE(ABORT, 'syncs are append-only'); END;

-- What was asked for by a list: its tasks follow from the universe, once that is there.
CREATE TABLE orders (
    id             INTEGER PRIMARY KEY,
    list           TEXT    NOT NULL,
    types          TEXT    NOT NULL CHECK (json_valid(types)),
    exchanges      TEXT    NOT NULL CHECK (json_valid(exchanges)),
    as_of          TEXT    CHECK (as_of IS date(as_of)),
    windows        TEXT    NOT NULL,
    asked_at_ms    INTEGER NOT NULL,
    planned_at_ms  INTEGER,
    UNIQUE (list, types, exchanges, as_of, windows)
) STRICT;

-- The spec that the directory was started with last: what runs after it go by.
CREATE TABLE spec (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    path       TEXT    NOT NULL,
    text       TEXT    NOT NULL,
    kept_at_ms INTEGER NOT NULL
) STRICT;
