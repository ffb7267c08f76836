-- Named queries of the PostgreSQL journal; `-- name: X` starts one, see journal/queries.py.

-- name: prepare_session
SET search_path = gennaker, pg_catalog;
SET synchronous_commit = on;
SET lock_timeout = '{lock}ms';
SET statement_timeout = '{statement}ms';
SET idle_in_transaction_session_timeout = '{idle}ms'

-- name: listen
LISTEN gennaker

-- name: begin
BEGIN;
SELECT pg_advisory_xact_lock(1734700654, 0);
SELECT pg_current_xact_id()::text, version FROM state

-- name: begin_upgrade
BEGIN;
SET LOCAL statement_timeout = 0;
SELECT pg_advisory_xact_lock(1734700654, 0)

-- name: commit
COMMIT

-- name: commit_and_notify
NOTIFY gennaker, '{sender}';
COMMIT

-- name: rollback
ROLLBACK

-- name: select_identity
SELECT
    to_regnamespace('gennaker') IS NOT NULL,
    to_regclass('gennaker.state') IS NOT NULL,
    (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('gennaker')),
    current_setting('server_encoding')

-- name: select_version
SELECT version FROM gennaker.state

-- name: create_schema
CREATE SCHEMA gennaker

-- name: update_version
UPDATE gennaker.state SET version = %(version)s

-- name: select_status
SELECT pg_xact_status(%(transaction)s::xid8)

-- name: select_data
SELECT events.data FROM runs JOIN events ON events.run_key = runs.key
WHERE runs.run = %(run)s AND events.sequence = %(sequence)s

-- name: end_session
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = %(pid)s AND application_name = %(application)s

-- name: count_up
INSERT INTO counters AS c (name, value) VALUES (%(name)s, 1)
ON CONFLICT (name) DO UPDATE SET value = c.value + 1
RETURNING value

-- name: write_counter
UPDATE counters SET value = %(value)s WHERE name = %(name)s

-- name: insert_run
INSERT INTO runs (
    run, pipeline, number, title, actor, state, outcome, version, change,
    created_at, started_at, ended_at, waiting, due, sandbox, retry_of
) VALUES (
    %(run)s, %(pipeline)s, %(number)s, %(title)s, %(actor)s, %(state)s, %(outcome)s,
    %(version)s, %(change)s, %(created_at)s, %(started_at)s, %(ended_at)s, %(waiting)s, %(due)s,
    %(sandbox)s, %(retry_of)s
)
ON CONFLICT (run) DO NOTHING
RETURNING key

-- name: update_run
UPDATE runs SET
    title = %(title)s, state = %(state)s, outcome = %(outcome)s, version = %(version)s,
    change = %(change)s, started_at = %(started_at)s, ended_at = %(ended_at)s,
    waiting = %(waiting)s, due = %(due)s
WHERE run = %(run)s AND version = %(expected)s
RETURNING key

-- name: insert_events
INSERT INTO events (run_key, sequence, data)
SELECT %(key)s, %(expected)s + place, data
FROM unnest(%(data)b::text[]) WITH ORDINALITY AS given (data, place)

-- name: select_events
SELECT events.sequence, events.data
FROM runs JOIN events ON events.run_key = runs.key
WHERE runs.run = %(run)s AND events.sequence > %(after)s
ORDER BY events.sequence

-- name: select_last_sequence
SELECT max(events.sequence) FROM runs JOIN events ON events.run_key = runs.key WHERE runs.run = %(run)s

-- name: insert_last_event
INSERT INTO events (run_key, sequence, data) SELECT key, %(sequence)s::bigint, %(data)s::text FROM runs WHERE run = %(run)s

-- name: select_run
SELECT run, pipeline, number, title, actor, state, outcome, version, created_at, started_at,
    ended_at, waiting, due, sandbox, retry_of
FROM runs WHERE run = %(run)s

-- name: select_runs_by_prefix
SELECT run, pipeline, number, title, actor, state, outcome, version, created_at, started_at,
    ended_at, waiting, due, sandbox, retry_of
FROM runs WHERE run >= %(prefix)s AND run < %(end)s
ORDER BY key DESC LIMIT %(limit)s

-- name: list_runs
SELECT run, pipeline, number, title, actor, state, outcome, version, created_at, started_at,
    ended_at, waiting, due, sandbox, retry_of
FROM runs WHERE {conditions}
ORDER BY key DESC LIMIT %(limit)s

-- name: where_pipeline
pipeline = %(pipeline)s

-- name: where_states
state = ANY (%(states)s::text[])

-- name: where_active
state <> 'ended'

-- name: where_outcomes
outcome = ANY (%(outcomes)s::text[])

-- name: select_changes
SELECT run, version, change FROM runs WHERE change > %(after)s ORDER BY change

-- name: select_last_change
SELECT coalesce((SELECT value FROM counters WHERE name = 'change'), 0)

-- name: select_claims
SELECT key, run, place, holding, since, slots, policy, instance, deploys
FROM claims WHERE key >= %(prefix)s AND key < %(end)s
ORDER BY place

-- name: select_claims_of_run
SELECT key, run, place, holding, since, slots, policy, instance, deploys
FROM claims WHERE run = %(run)s
ORDER BY place

-- name: write_claim
INSERT INTO claims (
    key, run, place, holding, since, slots, policy, instance, deploys
) VALUES (
    %(key)s, %(run)s, %(place)s, %(holding)s, %(since)s, %(slots)s, %(policy)s, %(instance)s,
    %(deploys)s
)
ON CONFLICT (key, run) DO UPDATE SET
    place = excluded.place, holding = excluded.holding, since = excluded.since,
    slots = excluded.slots, policy = excluded.policy, instance = excluded.instance,
    deploys = excluded.deploys

-- name: delete_claim
DELETE FROM claims WHERE key = %(key)s AND run = %(run)s

-- name: record_deploy
INSERT INTO deploys (scope, environment, run, instance, at)
VALUES (%(scope)s, %(environment)s, %(run)s, %(instance)s, %(at)s)
ON CONFLICT (scope, environment) DO UPDATE SET
    run = excluded.run, instance = excluded.instance, at = excluded.at

-- name: select_last_deploy
SELECT scope, environment, run, instance, at FROM deploys
WHERE scope = %(scope)s AND environment = %(environment)s

-- name: select_deploys
SELECT scope, environment, run, instance, at FROM deploys ORDER BY scope, environment

-- name: lock_run
SELECT pg_try_advisory_lock(%(lock)s::bigint)

-- name: unlock_run
SELECT pg_advisory_unlock(%(lock)s::bigint)

-- name: write_owner
INSERT INTO owners (run, owner, token) VALUES (%(run)s, %(owner)s, %(token)s)
ON CONFLICT (run) DO UPDATE SET owner = excluded.owner, token = excluded.token

-- name: delete_owner
DELETE FROM owners WHERE run = %(run)s AND token = %(token)s

-- name: select_token
SELECT token, owner FROM owners WHERE run = %(run)s

-- name: select_owner
SELECT coalesce((SELECT owner FROM owners WHERE run = %(run)s), 'another process')
FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid::bigint = (%(lock)s::bigint >> 32) & 4294967295
    AND objid::bigint = %(lock)s::bigint & 4294967295

-- name: select_summaries
SELECT run, pipeline, sandbox, state, version, created_at, ended_at, retry_of FROM runs ORDER BY key DESC

-- name: select_retries_of
SELECT run, retry_of FROM runs WHERE retry_of = ANY (%(runs)s::text[])

-- name: delete_events
DELETE FROM events WHERE run_key IN (
    SELECT key FROM runs WHERE run = ANY (%(runs)s::text[]) AND state = 'ended'
)

-- name: delete_deployments
DELETE FROM deployments WHERE run IN (
    SELECT run FROM runs WHERE run = ANY (%(runs)s::text[]) AND state = 'ended'
)

-- name: delete_runs
DELETE FROM runs WHERE run = ANY (%(runs)s::text[]) AND state = 'ended'

-- name: write_removal
INSERT INTO removals (at, actor, data) VALUES (%(at)s, %(actor)s, %(data)s)
ON CONFLICT (at, actor) DO UPDATE SET data = excluded.data

-- name: select_removals
SELECT at, actor, data FROM removals ORDER BY at DESC LIMIT %(limit)s

-- name: select_events_with
SELECT events.run_key, events.sequence, runs.run, events.data
FROM events JOIN runs ON runs.key = events.run_key
WHERE (events.run_key, events.sequence) < (%(key)s, %(sequence)s) AND strpos(events.data, %(text)s) > 0
ORDER BY events.run_key DESC, events.sequence DESC LIMIT %(limit)s

-- name: write_deployment
INSERT INTO deployments (
    scope, environment, run, instance, pipeline, started_at, ended_at, outcome
) VALUES (
    %(scope)s, %(environment)s, %(run)s, %(instance)s, %(pipeline)s, %(started_at)s, %(ended_at)s,
    %(outcome)s
)
ON CONFLICT (scope, environment, run, instance) DO UPDATE SET
    ended_at = excluded.ended_at, outcome = excluded.outcome

-- name: select_deployments
SELECT scope, environment, run, instance, pipeline, started_at, ended_at, outcome
FROM deployments WHERE scope = %(scope)s AND environment = %(environment)s
ORDER BY started_at DESC, run DESC, instance DESC LIMIT %(limit)s

-- name: select_current_deployments
SELECT scope, environment, run, instance, pipeline, started_at, ended_at, outcome
FROM (
    SELECT *, row_number() OVER (
        PARTITION BY environment, pipeline, instance ORDER BY started_at DESC, run DESC
    ) AS age
    FROM deployments WHERE scope = %(scope)s
) AS aged
WHERE age = 1 ORDER BY environment, pipeline, instance
