-- Whether all that was asked for is known. A manifest that was made anew without a sound plan does not know what was pending
-- before, until a start asks for it again.
ALTER TABLE plan ADD COLUMN is_all_asked INTEGER NOT NULL DEFAULT 1 CHECK (is_all_asked IN (0, 1));
