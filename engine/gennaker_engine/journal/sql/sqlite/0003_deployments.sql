-- Every deploy of an environment: what `history` and `environments` list. Of those before this version
-- only each environment's last one is known.
CREATE TABLE deployments (
    scope        TEXT NOT NULL,
    environment  TEXT NOT NULL,
    run          TEXT NOT NULL,
    instance     TEXT NOT NULL,
    pipeline     TEXT NOT NULL,
    started_at   REAL NOT NULL,
    ended_at     REAL,
    outcome      TEXT,                      -- NULL until it has ended
    PRIMARY KEY (scope, environment, run, instance)
) WITHOUT ROWID
;
CREATE INDEX deployments_by_time ON deployments (scope, environment, started_at)
;
CREATE INDEX deployments_by_run ON deployments (run)
;
INSERT INTO deployments (scope, environment, run, instance, pipeline, started_at)
SELECT d.scope, d.environment, d.run, d.instance, r.pipeline, d.at FROM deploys d JOIN runs r USING (run)
