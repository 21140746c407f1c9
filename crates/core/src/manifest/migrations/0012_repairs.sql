-- A task that asks once more for what was asked for before: a repair's, or an update's for holes. It is not the user's own.
ALTER TABLE tasks ADD COLUMN is_repair INTEGER NOT NULL DEFAULT 0 CHECK (is_repair IN (0, 1));

CREATE INDEX repairs ON tasks (state) WHERE is_repair;

-- Until now the event of its planning said so. One whose days no task before it has is all that knows of them.
UPDATE tasks SET is_repair = 1
WHERE NOT is_tail
  AND ticker || ' ' || from_date || '..' || to_date || ' is asked for again'
      IN (SELECT reason FROM events WHERE kind = 'planned')
  AND EXISTS (SELECT 1 FROM tasks AS other WHERE other.ticker = tasks.ticker AND other.id < tasks.id
              AND other.from_date <= tasks.from_date AND other.to_date >= tasks.from_date)
  AND EXISTS (SELECT 1 FROM tasks AS other WHERE other.ticker = tasks.ticker AND other.id < tasks.id
              AND other.from_date <= tasks.to_date AND other.to_date >= tasks.to_date);

DROP INDEX tasks_by_window;

CREATE INDEX tasks_by_window ON tasks (from_date, to_date, state, is_repair);
