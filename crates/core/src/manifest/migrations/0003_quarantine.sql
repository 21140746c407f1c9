-- Bars that cannot be: one row for each, instead of a place in a partition.
CREATE TABLE quarantine (
    id           INTEGER PRIMARY KEY,
    task_id      INTEGER NOT NULL REFERENCES tasks (id),
    run_id       INTEGER NOT NULL REFERENCES runs (id),
    at_ms        INTEGER NOT NULL,
    request_id   TEXT,
    timestamp_ms INTEGER NOT NULL,
    bar          TEXT    NOT NULL CHECK (json_valid(bar)),
    reason       TEXT    NOT NULL
) STRICT;

CREATE INDEX quarantine_by_task ON quarantine (task_id);
