-- The journal's tables in SQLite, version 1. Statements are separated by a line with only a semicolon.
-- This file has been released and stays as it is: a change is a file with the next number.

-- One row a run: what lists need, and the version that appends compare with.
CREATE TABLE runs (
    key         INTEGER PRIMARY KEY,        -- order of creation
    run         TEXT    NOT NULL UNIQUE,    -- shop-42
    pipeline    TEXT    NOT NULL,
    number      INTEGER NOT NULL,
    title       TEXT    NOT NULL,
    actor       TEXT    NOT NULL,
    state       TEXT    NOT NULL,           -- pending | waiting | running | ended
    outcome     TEXT,
    version     INTEGER NOT NULL,           -- sequence of the last event
    change      INTEGER NOT NULL,           -- order of the last append among all runs
    created_at  REAL    NOT NULL,
    started_at  REAL,
    ended_at    REAL,
    waiting     TEXT    NOT NULL,
    due         REAL,
    sandbox     INTEGER NOT NULL,
    retry_of    TEXT
)
;
-- Within a pipeline the rows come in order of key: lists of one pipeline need no sorting.
CREATE INDEX runs_by_pipeline ON runs (pipeline)
;
CREATE INDEX runs_by_change ON runs (change)
;
-- Few runs are active at a time, however many have ended.
CREATE INDEX runs_active ON runs (state) WHERE state <> 'ended'
;
-- The facts. Nothing here is ever updated.
CREATE TABLE events (
    run_key   INTEGER NOT NULL,
    sequence  INTEGER NOT NULL,
    data      TEXT    NOT NULL,             -- compact JSON with "type" and "v"
    PRIMARY KEY (run_key, sequence)
) WITHOUT ROWID
;
CREATE TABLE counters (
    name   TEXT    PRIMARY KEY,             -- number/PIPELINE, place, change
    value  INTEGER NOT NULL
) WITHOUT ROWID
;
-- Places in the queues of environment locks and concurrency groups.
CREATE TABLE claims (
    key       TEXT    NOT NULL,
    run       TEXT    NOT NULL,
    place     INTEGER NOT NULL,
    holding   INTEGER NOT NULL,
    since     REAL    NOT NULL,
    slots     INTEGER NOT NULL,
    policy    TEXT    NOT NULL,
    instance  TEXT    NOT NULL,
    deploys   INTEGER NOT NULL,
    PRIMARY KEY (key, run)
) WITHOUT ROWID
;
CREATE INDEX claims_by_run ON claims (run)
;
-- The last deploy of each environment that began, however it ended.
CREATE TABLE deploys (
    scope        TEXT NOT NULL,
    environment  TEXT NOT NULL,
    run          TEXT NOT NULL,
    instance     TEXT NOT NULL,
    at           REAL NOT NULL,
    PRIMARY KEY (scope, environment)
) WITHOUT ROWID
