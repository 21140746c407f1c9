-- What `grab start` was told by flag or variable of how to fetch: commands that go on in the directory go by it.
CREATE TABLE told (
    setting    TEXT    NOT NULL PRIMARY KEY,
    value      TEXT    NOT NULL,
    told_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
