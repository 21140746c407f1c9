-- The task of a symbol that an update moves on from evening to evening: at most one for each symbol.
ALTER TABLE tasks ADD COLUMN is_tail INTEGER NOT NULL DEFAULT 0 CHECK (is_tail IN (0, 1));

CREATE UNIQUE INDEX tails ON tasks (ticker) WHERE is_tail;

-- Bars that a run found changed, or newly there, among those that it asked for again.
ALTER TABLE runs ADD COLUMN revised INTEGER NOT NULL DEFAULT 0 CHECK (revised >= 0);
