-- A repair asks again for what is recorded as done: what the server does not have then, it does not have.
ALTER TABLE tasks ADD COLUMN asked_again INTEGER NOT NULL DEFAULT 0 CHECK (asked_again IN (0, 1));

-- Partitions that are missing or damaged are no longer held: their months are asked for again, and why is an event.
CREATE INDEX tasks_by_ticker ON tasks (ticker, from_date);
