-- Bars that were on record and cannot be had any more: as partitions were, until as many are held again on each day.
CREATE TABLE lost (
    ticker       TEXT    NOT NULL,
    month        TEXT    NOT NULL CHECK (month IS strftime('%Y-%m', month || '-01')),
    session_mask INTEGER NOT NULL CHECK (session_mask BETWEEN 1 AND 2147483647),
    session_bars TEXT    NOT NULL CHECK (json_valid(session_bars)),
    at_ms        INTEGER NOT NULL,
    PRIMARY KEY (ticker, month)
) STRICT, WITHOUT ROWID;

-- Partitions that were moved out of the way: what is not named here is never removed.
CREATE TABLE set_aside (
    path   TEXT    NOT NULL PRIMARY KEY,
    ticker TEXT    NOT NULL,
    month  TEXT    NOT NULL CHECK (month IS strftime('%Y-%m', month || '-01')),
    bars   INTEGER NOT NULL CHECK (bars >= 0),
    at_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
