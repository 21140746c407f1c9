-- The plan beside the manifest, `plan.jsonl`, as it was written last. Whatever changes what is asked for makes it out of date:
-- then the transaction does not commit before the file says the same. That tasks have come is seen by their last id: a trigger
-- would cost as much as half of each insertion.
CREATE TABLE plan (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    xxh3       TEXT CHECK (length(xxh3) = 16),
    is_current INTEGER NOT NULL CHECK (is_current IN (0, 1)),
    last_task  INTEGER NOT NULL
) STRICT;

INSERT INTO plan
SELECT 1, NULL, NOT (EXISTS (SELECT 1 FROM tasks) OR EXISTS (SELECT 1 FROM orders) OR EXISTS (SELECT 1 FROM spec)), 0;

CREATE TRIGGER plan_tasks_change AFTER UPDATE OF ticker, from_date, to_date, is_repair ON tasks
BEGIN
    UPDATE plan SET is_current = 0 WHERE is_current;
END;

CREATE TRIGGER plan_tasks_go AFTER DELETE ON tasks
BEGIN
    UPDATE plan SET is_current = 0 WHERE is_current;
END;

CREATE TRIGGER plan_orders_come AFTER INSERT ON orders
BEGIN
    UPDATE plan SET is_current = 0 WHERE is_current;
END;

CREATE TRIGGER plan_orders_change AFTER UPDATE ON orders
BEGIN
    UPDATE plan SET is_current = 0 WHERE is_current;
END;

CREATE TRIGGER plan_orders_go AFTER DELETE ON orders
BEGIN
    UPDATE plan SET is_current = 0 WHERE is_current;
END;

CREATE TRIGGER plan_spec_comes AFTER INSERT ON spec
BEGIN
    UPDATE plan SET is_current = 0 WHERE is_current;
END;

CREATE TRIGGER plan_spec_changes AFTER UPDATE ON spec
BEGIN
    UPDATE plan SET is_current = 0 WHERE is_current;
END;

CREATE TRIGGER plan_spec_goes AFTER DELETE ON spec
BEGIN
    UPDATE plan SET is_current = 0 WHERE is_current;
END;

CREATE TRIGGER plan_store_comes AFTER INSERT ON store
BEGIN
    UPDATE plan SET is_current = 0 WHERE is_current;
END;

CREATE TRIGGER plan_store_changes AFTER UPDATE ON store
BEGIN
    UPDATE plan SET is_current = 0 WHERE is_current;
END;

CREATE TRIGGER plan_told_comes AFTER INSERT ON told
BEGIN
    UPDATE plan SET is_current = 0 WHERE is_current;
END;

CREATE TRIGGER plan_told_changes AFTER UPDATE ON told
BEGIN
    UPDATE plan SET is_current = 0 WHERE is_current;
END;

CREATE TRIGGER plan_told_goes AFTER DELETE ON told
BEGIN
    UPDATE plan SET is_current = 0 WHERE is_current;
END;
