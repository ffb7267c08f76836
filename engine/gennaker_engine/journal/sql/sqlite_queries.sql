-- Named queries of the SQLite journal; `-- name: X` starts one, see journal/queries.py.

-- name: count_up
INSERT INTO counters (name, value) VALUES (:name, 1)
ON CONFLICT (name) DO UPDATE SET value = value + 1
RETURNING value

-- name: write_counter
UPDATE counters SET value = :value WHERE name = :name

-- name: insert_run
INSERT INTO runs (
    run, pipeline, number, title, actor, state, outcome, version, change,
    created_at, started_at, ended_at, waiting, due, sandbox, retry_of
) VALUES (
    :run, :pipeline, :number, :title, :actor, :state, :outcome, :version, :change,
    :created_at, :started_at, :ended_at, :waiting, :due, :sandbox, :retry_of
)
ON CONFLICT (run) DO NOTHING
RETURNING key

-- name: update_run
UPDATE runs SET
    title = :title, state = :state, outcome = :outcome, version = :version,
    change = :change,
    started_at = :started_at, ended_at = :ended_at, waiting = :waiting, due = :due
WHERE run = :run AND version = :expected
RETURNING key

-- name: insert_event
INSERT INTO events (run_key, sequence, data) VALUES (?, ?, ?)

-- name: select_events
SELECT events.sequence, events.data
FROM runs JOIN events ON events.run_key = runs.key
WHERE runs.run = :run AND events.sequence > :after
ORDER BY events.sequence

-- name: select_data
SELECT events.data FROM runs JOIN events ON events.run_key = runs.key
WHERE runs.run = :run AND events.sequence = :sequence

-- name: select_last_sequence
SELECT max(events.sequence) FROM runs JOIN events ON events.run_key = runs.key WHERE runs.run = :run

-- name: insert_last_event
INSERT INTO events (run_key, sequence, data) SELECT key, :sequence, :data FROM runs WHERE run = :run

-- name: select_run
SELECT run, pipeline, number, title, actor, state, outcome, version, created_at, started_at,
    ended_at, waiting, due, sandbox, retry_of
FROM runs WHERE run = :run

-- name: select_runs_by_prefix
SELECT run, pipeline, number, title, actor, state, outcome, version, created_at, started_at,
    ended_at, waiting, due, sandbox, retry_of
FROM runs WHERE run >= :prefix AND run < :end
ORDER BY key DESC LIMIT :limit

-- name: list_runs
SELECT run, pipeline, number, title, actor, state, outcome, version, created_at, started_at,
    ended_at, waiting, due, sandbox, retry_of
FROM runs WHERE {conditions}
ORDER BY key DESC LIMIT :limit

-- name: where_pipeline
pipeline = :pipeline

-- name: where_states
state IN (SELECT value FROM json_each(:states))

-- name: where_active
state <> 'ended'

-- name: where_outcomes
outcome IN (SELECT value FROM json_each(:outcomes))

-- name: select_changes
SELECT run, version, change FROM runs WHERE change > :after ORDER BY change

-- name: select_last_change
SELECT coalesce((SELECT value FROM counters WHERE name = 'change'), 0)

-- name: select_claims
SELECT key, run, place, holding, since, slots, policy, instance, deploys
FROM claims WHERE key >= :prefix AND key < :end
ORDER BY place

-- name: select_claims_of_run
SELECT key, run, place, holding, since, slots, policy, instance, deploys
FROM claims WHERE run = :run
ORDER BY place

-- name: write_claim
INSERT OR REPLACE INTO claims (
    key, run, place, holding, since, slots, policy, instance, deploys
) VALUES (
    :key, :run, :place, :holding, :since, :slots, :policy, :instance, :deploys
)

-- name: delete_claim
DELETE FROM claims WHERE key = :key AND run = :run

-- name: record_deploy
INSERT OR REPLACE INTO deploys (scope, environment, run, instance, at)
VALUES (:scope, :environment, :run, :instance, :at)

-- name: select_last_deploy
SELECT scope, environment, run, instance, at FROM deploys
WHERE scope = :scope AND environment = :environment

-- name: select_deploys
SELECT scope, environment, run, instance, at FROM deploys ORDER BY scope, environment

-- name: select_summaries
SELECT run, pipeline, sandbox, state, version, created_at, ended_at, retry_of FROM runs ORDER BY key DESC

-- name: select_retries_of
SELECT run, retry_of FROM runs WHERE retry_of IN (SELECT value FROM json_each(:runs))

-- name: delete_events
DELETE FROM events WHERE run_key IN (
    SELECT key FROM runs
    WHERE run IN (SELECT value FROM json_each(:runs)) AND state = 'ended'
)

-- name: delete_deployments
DELETE FROM deployments WHERE run IN (
    SELECT run FROM runs
    WHERE run IN (SELECT value FROM json_each(:runs)) AND state = 'ended'
)

-- name: delete_runs
DELETE FROM runs WHERE run IN (SELECT value FROM json_each(:runs)) AND state = 'ended'

-- name: write_removal
INSERT OR REPLACE INTO removals (at, actor, data) VALUES (:at, :actor, :data)

-- name: select_removals
SELECT at, actor, data FROM removals ORDER BY at DESC LIMIT :limit

-- name: select_events_with
SELECT events.run_key, events.sequence, runs.run, events.data
FROM events JOIN runs ON runs.key = events.run_key
WHERE (events.run_key, events.sequence) < (:key, :sequence) AND instr(events.data, :text) > 0
ORDER BY events.run_key DESC, events.sequence DESC LIMIT :limit

-- name: write_deployment
INSERT OR REPLACE INTO deployments (
    scope, environment, run, instance, pipeline, started_at, ended_at, outcome
) VALUES (
    :scope, :environment, :run, :instance, :pipeline, :started_at, :ended_at, :outcome
)

-- name: select_deployments
SELECT scope, environment, run, instance, pipeline, started_at, ended_at, outcome
FROM deployments WHERE scope = :scope AND environment = :environment
ORDER BY started_at DESC, run DESC, instance DESC LIMIT :limit

-- name: select_current_deployments
SELECT scope, environment, run, instance, pipeline, started_at, ended_at, outcome
FROM (
    SELECT *, row_number() OVER (
        PARTITION BY environment, pipeline, instance ORDER BY started_at DESC, run DESC
    ) AS age
    FROM deployments WHERE scope = :scope
) AS aged
WHERE age = 1 ORDER BY environment, pipeline, instance
