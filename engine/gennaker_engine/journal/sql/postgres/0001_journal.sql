-- The journal's tables in PostgreSQL, in the schema "gennaker" of a database, version 1. Statements
-- are separated by a line with only a semicolon.
-- This file has been released and stays as it is: a change is a file with the next number.
-- Text that is searched by its beginning or sorted is compared by code points: COLLATE "C".

-- One row a run: what lists need, and the version that appends compare with.
CREATE TABLE gennaker.runs (
    key         bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- order of creation
    run         text             COLLATE "C" NOT NULL UNIQUE,               -- shop-42
    pipeline    text             NOT NULL,
    number      bigint           NOT NULL,
    title       text             NOT NULL,
    actor       text             NOT NULL,
    state       text             NOT NULL,  -- pending | waiting | running | ended
    outcome     text,
    version     bigint           NOT NULL,  -- sequence of the last event
    change      bigint           NOT NULL,  -- order of the last append among all runs
    created_at  double precision NOT NULL,
    started_at  double precision,
    ended_at    double precision,
    waiting     text             NOT NULL,
    due         double precision,
    sandbox     boolean          NOT NULL,
    retry_of    text
)
;
CREATE INDEX runs_by_pipeline ON gennaker.runs (pipeline, key)
;
CREATE INDEX runs_by_change ON gennaker.runs (change)
;
-- Few runs are active at a time, however many have ended.
CREATE INDEX runs_active ON gennaker.runs (key) WHERE state <> 'ended'
;
-- The facts. Nothing here is ever updated. Compact JSON with "type" and "v", kept as text: it comes
-- back as it was, and may hold characters that jsonb refuses.
CREATE TABLE gennaker.events (
    run_key   bigint NOT NULL,
    sequence  bigint NOT NULL,
    data      text   NOT NULL,
    PRIMARY KEY (run_key, sequence)
)
;
CREATE TABLE gennaker.counters (
    name   text   PRIMARY KEY,  -- number/PIPELINE, place, change
    value  bigint NOT NULL
)
;
-- Places in the queues of environment locks and concurrency groups.
CREATE TABLE gennaker.claims (
    key       text             COLLATE "C" NOT NULL,
    run       text             NOT NULL,
    place     bigint           NOT NULL,
    holding   boolean          NOT NULL,
    since     double precision NOT NULL,
    slots     integer          NOT NULL,
    policy    text             NOT NULL,
    instance  text             NOT NULL,
    deploys   integer          NOT NULL,
    PRIMARY KEY (key, run)
)
;
CREATE INDEX claims_by_run ON gennaker.claims (run)
;
-- The last deploy of each environment that began, however it ended.
CREATE TABLE gennaker.deploys (
    scope        text             NOT NULL,
    environment  text             NOT NULL,
    run          text             NOT NULL,
    instance     text             NOT NULL,
    at           double precision NOT NULL,
    PRIMARY KEY (scope, environment)
)
;
-- Who drives a run, in words. That anybody does is said by an advisory lock alone; the token says
-- whether the one who holds it is still the one who took it.
CREATE TABLE gennaker.owners (
    run    text PRIMARY KEY,
    owner  text NOT NULL,   -- user@host pid N
    token  text NOT NULL
)
;
CREATE TABLE gennaker.state (
    version  integer NOT NULL
)
;
INSERT INTO gennaker.state (version) VALUES (1)
