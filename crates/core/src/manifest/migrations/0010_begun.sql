-- When the first page of the traversal that answered a task was stored: what changed after that is not in all of its pages.
ALTER TABLE tasks ADD COLUMN begun_at_ms INTEGER;

-- When the first page of a sync was asked for; NULL for those from before it was kept.
ALTER TABLE syncs ADD COLUMN begun_at_ms INTEGER;
