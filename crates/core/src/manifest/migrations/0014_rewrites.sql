-- Files that are being written anew with the same content: what their rows will say once the new file is in place. A process
-- that dies in between leaves rows here; whoever reads holds a file against both.
CREATE TABLE rewrites (
    path TEXT NOT NULL PRIMARY KEY, -- below the data directory
    ticker TEXT,
    month TEXT,
    date TEXT,
    bytes INTEGER NOT NULL CHECK (bytes > 0),
    xxh3 TEXT NOT NULL CHECK (length(xxh3) = 16),
    at_ms INTEGER NOT NULL,
    -- A partition, or a day of the market.
    CHECK ((ticker IS NULL) = (month IS NULL) AND (ticker IS NULL) <> (date IS NULL))
) STRICT;
