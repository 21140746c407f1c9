-- What is held in all, counted as partitions come, change and go: nobody has to go through millions of rows to say it.
-- Of the first and last bar, NULL says that they are to be looked for, unless there is no partition.
CREATE TABLE holdings (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    partitions INTEGER NOT NULL CHECK (partitions >= 0),
    bars       INTEGER NOT NULL CHECK (bars >= 0),
    bytes      INTEGER NOT NULL CHECK (bytes >= 0),
    first_ms   INTEGER,
    last_ms    INTEGER
) STRICT;

INSERT INTO holdings
SELECT 1, count(*), coalesce(sum(bars), 0), coalesce(sum(bytes), 0), min(first_ms), max(last_ms) FROM partitions;

CREATE TRIGGER partitions_come AFTER INSERT ON partitions
BEGIN
    UPDATE holdings SET
        partitions = partitions + 1,
        bars = bars + NEW.bars,
        bytes = bytes + NEW.bytes,
        first_ms = iif(partitions = 0, NEW.first_ms, min(first_ms, NEW.first_ms)),
        last_ms = iif(partitions = 0, NEW.last_ms, max(last_ms, NEW.last_ms));
END;

CREATE TRIGGER partitions_change AFTER UPDATE ON partitions
BEGIN
    UPDATE holdings SET
        bars = bars - OLD.bars + NEW.bars,
        bytes = bytes - OLD.bytes + NEW.bytes,
        first_ms = iif(first_ms = OLD.first_ms AND NEW.first_ms > OLD.first_ms, NULL, min(first_ms, NEW.first_ms)),
        last_ms = iif(last_ms = OLD.last_ms AND NEW.last_ms < OLD.last_ms, NULL, max(last_ms, NEW.last_ms));
END;

CREATE TRIGGER partitions_go AFTER DELETE ON partitions
BEGIN
    UPDATE holdings SET
        partitions = partitions - 1,
        bars = bars - OLD.bars,
        bytes = bytes - OLD.bytes,
        first_ms = iif(first_ms = OLD.first_ms, NULL, first_ms),
        last_ms = iif(last_ms = OLD.last_ms, NULL, last_ms);
END;

-- The UNIQUE index of tasks begins with the ticker too.
DROP INDEX tasks_by_ticker;

CREATE INDEX tasks_by_window ON tasks (from_date, to_date, state);
