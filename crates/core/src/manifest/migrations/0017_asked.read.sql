-- What a reader finds in a manifest of version 16: all that was asked for is known.
CREATE TEMP VIEW plan AS SELECT *, 1 AS is_all_asked FROM main.plan;
