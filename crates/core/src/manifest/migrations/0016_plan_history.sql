-- How far back the plan behind a service serves: one row for each service. A plan's history mostly moves on by one day a
-- day, so the days belong to the New York day on which they were true. A search that has not ended is kept with the symbol
-- whose days it asks about: a run that is limited to one request goes on with it. Until shown_by is set, nothing proves that
-- a plan is the reason, and no task may be cut.
CREATE TABLE plan_history (
    service      TEXT    NOT NULL PRIMARY KEY CHECK (service <> ''),
    last_refused TEXT CHECK (last_refused IS date(last_refused)),
    first_served TEXT CHECK (first_served IS date(first_served)),
    is_found     INTEGER NOT NULL CHECK (is_found IN (0, 1)),
    as_of        TEXT    NOT NULL CHECK (as_of IS date(as_of)),
    shown_by     TEXT CHECK (shown_by IN ('refusal', 'clipping')),
    words        TEXT,
    search       TEXT CHECK (search IN ('refusal', 'clipping', 'undecided')),
    asks_about   TEXT CHECK (asks_about <> ''),
    run_id       INTEGER REFERENCES runs (id),
    CHECK (last_refused IS NULL OR first_served IS NULL OR last_refused < first_served),
    CHECK (is_found = 0 OR (last_refused IS NOT NULL AND first_served IS NOT NULL AND shown_by IS NOT NULL)),
    CHECK (shown_by IS NOT NULL OR last_refused IS NULL OR search IS NOT NULL),
    CHECK ((asks_about IS NOT NULL) = (search IS 'refusal'))
) STRICT, WITHOUT ROWID;

-- Days that were asked for and that the plan does not serve, by symbol. Stretches of one symbol neither overlap nor touch.
CREATE TABLE not_entitled (
    ticker    TEXT    NOT NULL CHECK (ticker <> ''),
    from_date TEXT    NOT NULL CHECK (from_date IS date(from_date)),
    to_date   TEXT    NOT NULL CHECK (to_date IS date(to_date) AND to_date >= from_date),
    at_ms     INTEGER NOT NULL,
    PRIMARY KEY (ticker, from_date)
) STRICT, WITHOUT ROWID;

-- A task all of whose days are refused goes, and what happened to it stays: events may name tasks that are gone.
CREATE TABLE events_16 (
    id         INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL,
    run_id     INTEGER REFERENCES runs (id),
    task_id    INTEGER,
    kind       TEXT    NOT NULL,
    from_state TEXT,
    to_state   TEXT,
    reason     TEXT    NOT NULL,
    CHECK ((from_state IS NULL) = (to_state IS NULL))
) STRICT;

INSERT INTO events_16 SELECT id, at_ms, run_id, task_id, kind, from_state, to_state, reason FROM events;

DROP TABLE events;

ALTER TABLE events_16 RENAME TO events;

CREATE INDEX events_by_task ON events (task_id, id);

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

-- Before this version a window was refused as a whole where it began too early, and no narrower one was asked for then.
-- The next run asks for it once more, and is served what the plan has.
INSERT INTO events (at_ms, task_id, kind, from_state, to_state, reason)
SELECT updated_at_ms, id, 'reopened', 'not_entitled', 'pending', 'a part of it may be in the plan: ' || last_error
FROM tasks WHERE state = 'not_entitled' AND last_error LIKE '%timeframe%';

UPDATE tasks SET state = 'pending', attempts = 0, last_error = NULL
WHERE state = 'not_entitled' AND last_error LIKE '%timeframe%';
