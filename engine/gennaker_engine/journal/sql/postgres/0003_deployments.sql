-- Every deploy of an environment: what `history` and `environments` list. Of those before this version
-- only each environment's last one is known.
CREATE TABLE gennaker.deployments (
    scope        text             NOT NULL,
    environment  text             NOT NULL,
    run          text             NOT NULL,
    instance     text             NOT NULL,
    pipeline     text             NOT NULL,
    started_at   double precision NOT NULL,
    ended_at     double precision,
    outcome      text,                     -- NULL until it has ended
    PRIMARY KEY (scope, environment, run, instance)
)
;
CREATE INDEX deployments_by_time ON gennaker.deployments (scope, environment, started_at)
;
CREATE INDEX deployments_by_run ON gennaker.deployments (run)
;
INSERT INTO gennaker.deployments (scope, environment, run, instance, pipeline, started_at)
SELECT d.scope, d.environment, d.run, d.instance, r.pipeline, d.at
FROM gennaker.deploys d JOIN gennaker.runs r USING (run)
