-- At most one row: the pace that the server let in, where it has refused the one that was set.
CREATE TABLE pace (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    rate       TEXT    NOT NULL,
    per_second REAL    NOT NULL CHECK (per_second > 0),
    refused    REAL    NOT NULL CHECK (refused > 0),
    at_ms      INTEGER NOT NULL
) STRICT;
