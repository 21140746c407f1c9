-- What an independent witness saw: one row for each session of which a file of the whole market is kept.
CREATE TABLE witnesses (
    date          TEXT    NOT NULL PRIMARY KEY CHECK (date IS date(date)),
    rows          INTEGER NOT NULL CHECK (rows > 0),
    skipped       INTEGER NOT NULL CHECK (skipped >= 0),
    bytes         INTEGER NOT NULL CHECK (bytes > 0),
    xxh3          TEXT    NOT NULL CHECK (length(xxh3) = 16),
    request_id    TEXT,
    fetched_at_ms INTEGER NOT NULL,
    source        TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
