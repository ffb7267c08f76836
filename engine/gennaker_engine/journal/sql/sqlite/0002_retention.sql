-- What `gc` removed: who, when, by which policy, how much.
CREATE TABLE removals (
    at     REAL NOT NULL,
    actor  TEXT NOT NULL,
    data   TEXT NOT NULL,                   -- {"policy": {...}, "counts": {...}}
    PRIMARY KEY (at, actor)
) WITHOUT ROWID
;
-- Few runs are retries; what they retried is kept as long as they are.
CREATE INDEX runs_by_retry ON runs (retry_of) WHERE retry_of IS NOT NULL
