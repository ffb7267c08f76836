-- What `gc` removed: who, when, by which policy, how much.
CREATE TABLE gennaker.removals (
    at     double precision NOT NULL,
    actor  text             NOT NULL,
    data   text             NOT NULL,       -- {"policy": {...}, "counts": {...}}
    PRIMARY KEY (at, actor)
)
;
-- Few runs are retries; what they retried is kept as long as they are.
CREATE INDEX runs_by_retry ON gennaker.runs (retry_of) WHERE retry_of IS NOT NULL
