-- What a reader finds in a manifest of version 15: nothing is known of the plan's history, and no day is known to be refused.
CREATE TEMP TABLE plan_history (
    service TEXT, last_refused TEXT, first_served TEXT, is_found INTEGER, as_of TEXT, shown_by TEXT, words TEXT, search TEXT,
    asks_about TEXT, run_id INTEGER
);
CREATE TEMP TABLE not_entitled (ticker TEXT, from_date TEXT, to_date TEXT, at_ms INTEGER);
