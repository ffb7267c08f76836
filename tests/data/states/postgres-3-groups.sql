CREATE SCHEMA gennaker;
CREATE TABLE gennaker.claims (
    key text NOT NULL COLLATE pg_catalog."C",
    run text NOT NULL,
    place bigint NOT NULL,
    holding boolean NOT NULL,
    since double precision NOT NULL,
    slots integer NOT NULL,
    policy text NOT NULL,
    instance text NOT NULL,
    deploys integer NOT NULL
);
CREATE TABLE gennaker.counters (
    name text NOT NULL,
    value bigint NOT NULL
);
CREATE TABLE gennaker.deployments (
    scope text NOT NULL,
    environment text NOT NULL,
    run text NOT NULL,
    instance text NOT NULL,
    pipeline text NOT NULL,
    started_at double precision NOT NULL,
    ended_at double precision,
    outcome text
);
CREATE TABLE gennaker.deploys (
    scope text NOT NULL,
    environment text NOT NULL,
    run text NOT NULL,
    instance text NOT NULL,
    at double precision NOT NULL
);
CREATE TABLE gennaker.events (
    run_key bigint NOT NULL,
    sequence bigint NOT NULL,
    data text NOT NULL
);
CREATE TABLE gennaker.owners (
    run text NOT NULL,
    owner text NOT NULL,
    token text NOT NULL
);
CREATE TABLE gennaker.removals (
    at double precision NOT NULL,
    actor text NOT NULL,
    data text NOT NULL
);
CREATE TABLE gennaker.runs (
    key bigint NOT NULL,
    run text NOT NULL COLLATE pg_catalog."C",
    pipeline text NOT NULL,
    number bigint NOT NULL,
    title text NOT NULL,
    actor text NOT NULL,
    state text NOT NULL,
    outcome text,
    version bigint NOT NULL,
    change bigint NOT NULL,
    created_at double precision NOT NULL,
    started_at double precision,
    ended_at double precision,
    waiting text NOT NULL,
    due double precision,
    sandbox boolean NOT NULL,
    retry_of text
);
ALTER TABLE gennaker.runs ALTER COLUMN key ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME gennaker.runs_key_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE gennaker.state (
    version integer NOT NULL
);
INSERT INTO gennaker.claims VALUES ('group/shop/one', 'shop-4', 4, true, 1795964746.8282647, 1, 'supersede', '', 0);
INSERT INTO gennaker.claims VALUES ('group/shop/one', 'shop-5', 5, false, 1795964746.8427684, 1, 'supersede', '', 0);
INSERT INTO gennaker.counters VALUES ('change', 5);
INSERT INTO gennaker.counters VALUES ('number/shop', 5);
INSERT INTO gennaker.deploys VALUES ('shop', 'staging', 'shop-3', 'deploy', 1800000000.5);
INSERT INTO gennaker.events VALUES (1, 1, '{"type":"run.created","v":1,"at":1795964746.6268847,"run":"shop-1","pipeline":"shop","number":1,"title":"shop","actor":"local:ann","definition":{"name":"shop","concurrency":{"group":"one","policy":"supersede"},"stages":{"it":{"uses":"t.behave","with":{"how":"poll"}}}},"digest":"sha256:5956618d2c4165383bb3e9d0291440f75ce40c514c8348e5fe5f06d3d294bd0d","file":"pipelines/p.yaml","source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:6330c84c9c31a9da677ca581ddabbf7a17c1a68d3eb75533b607bdc28b543db2"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop","concurrency":{"group":"one","limit":1,"policy":"supersede"}}');
INSERT INTO gennaker.events VALUES (1, 2, '{"type":"run.queued","v":1,"at":1795964746.6268847,"group":"one"}');
INSERT INTO gennaker.events VALUES (1, 3, '{"type":"run.started","v":1,"at":1795964746.6268847}');
INSERT INTO gennaker.events VALUES (1, 4, '{"type":"run.adopted","v":1,"at":1795964746.675199,"owner":"ann@builder pid 23483","actor":"local:ann"}');
INSERT INTO gennaker.events VALUES (1, 5, '{"type":"stage.resolved","v":1,"at":1795964746.675199,"instance":"it","inputs":{"how":"poll"}}');
INSERT INTO gennaker.events VALUES (1, 6, '{"type":"attempt.started","v":1,"at":1795964746.675199,"instance":"it","attempt":1}');
INSERT INTO gennaker.events VALUES (1, 7, '{"type":"attempt.waiting","v":1,"at":1795964746.681674,"instance":"it","attempt":1,"on":{"kind":"poll","every":0.02},"until":1795964746.701674,"state":1}');
INSERT INTO gennaker.events VALUES (1, 8, '{"type":"attempt.resumed","v":1,"at":1795964746.7018392,"instance":"it","attempt":1,"delivery":2}');
INSERT INTO gennaker.events VALUES (1, 9, '{"type":"attempt.waiting","v":1,"at":1795964746.708133,"instance":"it","attempt":1,"on":{"kind":"poll","every":0.02},"until":1795964746.728133,"state":2}');
INSERT INTO gennaker.events VALUES (1, 10, '{"type":"attempt.resumed","v":1,"at":1795964746.7283118,"instance":"it","attempt":1,"delivery":3}');
INSERT INTO gennaker.events VALUES (1, 11, '{"type":"attempt.ended","v":1,"at":1795964746.73407,"instance":"it","attempt":1,"outcome":"succeeded","outputs":{"value":3}}');
INSERT INTO gennaker.events VALUES (1, 12, '{"type":"run.ended","v":1,"at":1795964746.73407,"outcome":"succeeded"}');
INSERT INTO gennaker.events VALUES (2, 1, '{"type":"run.created","v":1,"at":1795964746.6426537,"run":"shop-2","pipeline":"shop","number":2,"title":"shop","actor":"local:ann","definition":{"name":"shop","concurrency":{"group":"one","policy":"supersede"},"stages":{"it":{"uses":"t.behave","with":{"how":"poll"}}}},"digest":"sha256:5956618d2c4165383bb3e9d0291440f75ce40c514c8348e5fe5f06d3d294bd0d","file":"pipelines/p.yaml","source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:6330c84c9c31a9da677ca581ddabbf7a17c1a68d3eb75533b607bdc28b543db2"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop","concurrency":{"group":"one","limit":1,"policy":"supersede"}}');
INSERT INTO gennaker.events VALUES (2, 2, '{"type":"run.queued","v":1,"at":1795964746.6426537,"group":"one"}');
INSERT INTO gennaker.events VALUES (2, 3, '{"type":"run.abort_requested","v":1,"at":1795964746.6601377,"reason":"superseded"}');
INSERT INTO gennaker.events VALUES (2, 4, '{"type":"stage.skipped","v":1,"at":1795964746.6601377,"instance":"it","cause":"aborted","detail":{"by":"superseded"}}');
INSERT INTO gennaker.events VALUES (2, 5, '{"type":"run.ended","v":1,"at":1795964746.6601377,"outcome":"aborted"}');
INSERT INTO gennaker.events VALUES (3, 1, '{"type":"run.created","v":1,"at":1795964746.6601377,"run":"shop-3","pipeline":"shop","number":3,"title":"shop","actor":"local:ann","definition":{"name":"shop","concurrency":{"group":"one","policy":"supersede"},"stages":{"it":{"uses":"t.behave","with":{"how":"poll"}}}},"digest":"sha256:5956618d2c4165383bb3e9d0291440f75ce40c514c8348e5fe5f06d3d294bd0d","file":"pipelines/p.yaml","source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:6330c84c9c31a9da677ca581ddabbf7a17c1a68d3eb75533b607bdc28b543db2"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop","concurrency":{"group":"one","limit":1,"policy":"supersede"}}');
INSERT INTO gennaker.events VALUES (3, 2, '{"type":"run.queued","v":1,"at":1795964746.6601377,"group":"one"}');
INSERT INTO gennaker.events VALUES (3, 3, '{"type":"run.adopted","v":1,"at":1795964746.675199,"owner":"ann@builder pid 23483","actor":"local:ann"}');
INSERT INTO gennaker.events VALUES (3, 4, '{"type":"run.started","v":1,"at":1795964746.73407}');
INSERT INTO gennaker.events VALUES (3, 5, '{"type":"stage.resolved","v":1,"at":1795964746.73407,"instance":"it","inputs":{"how":"poll"}}');
INSERT INTO gennaker.events VALUES (3, 6, '{"type":"attempt.started","v":1,"at":1795964746.73407,"instance":"it","attempt":1}');
INSERT INTO gennaker.events VALUES (3, 7, '{"type":"attempt.waiting","v":1,"at":1795964746.75076,"instance":"it","attempt":1,"on":{"kind":"poll","every":0.02},"until":1795964746.77076,"state":1}');
INSERT INTO gennaker.events VALUES (3, 8, '{"type":"attempt.resumed","v":1,"at":1795964746.7709556,"instance":"it","attempt":1,"delivery":2}');
INSERT INTO gennaker.events VALUES (3, 9, '{"type":"attempt.waiting","v":1,"at":1795964746.7740536,"instance":"it","attempt":1,"on":{"kind":"poll","every":0.02},"until":1795964746.7940536,"state":2}');
INSERT INTO gennaker.events VALUES (3, 10, '{"type":"attempt.resumed","v":1,"at":1795964746.7976255,"instance":"it","attempt":1,"delivery":3}');
INSERT INTO gennaker.events VALUES (3, 11, '{"type":"attempt.ended","v":1,"at":1795964746.8023102,"instance":"it","attempt":1,"outcome":"succeeded","outputs":{"value":3}}');
INSERT INTO gennaker.events VALUES (3, 12, '{"type":"run.ended","v":1,"at":1795964746.8023102,"outcome":"succeeded"}');
INSERT INTO gennaker.events VALUES (4, 1, '{"type":"run.created","v":1,"at":1795964746.8282647,"run":"shop-4","pipeline":"shop","number":4,"title":"shop","actor":"local:ann","definition":{"name":"shop","concurrency":{"group":"one","policy":"supersede"},"stages":{"it":{"uses":"t.behave","with":{"how":"poll"}}}},"digest":"sha256:5956618d2c4165383bb3e9d0291440f75ce40c514c8348e5fe5f06d3d294bd0d","file":"pipelines/p.yaml","source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:6330c84c9c31a9da677ca581ddabbf7a17c1a68d3eb75533b607bdc28b543db2"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop","concurrency":{"group":"one","limit":1,"policy":"supersede"}}');
INSERT INTO gennaker.events VALUES (4, 2, '{"type":"run.queued","v":1,"at":1795964746.8282647,"group":"one"}');
INSERT INTO gennaker.events VALUES (4, 3, '{"type":"run.started","v":1,"at":1795964746.8282647}');
INSERT INTO gennaker.events VALUES (5, 1, '{"type":"run.created","v":1,"at":1795964746.8427684,"run":"shop-5","pipeline":"shop","number":5,"title":"shop","actor":"local:ann","definition":{"name":"shop","concurrency":{"group":"one","policy":"supersede"},"stages":{"it":{"uses":"t.behave","with":{"how":"poll"}}}},"digest":"sha256:5956618d2c4165383bb3e9d0291440f75ce40c514c8348e5fe5f06d3d294bd0d","file":"pipelines/p.yaml","source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:6330c84c9c31a9da677ca581ddabbf7a17c1a68d3eb75533b607bdc28b543db2"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop","concurrency":{"group":"one","limit":1,"policy":"supersede"}}');
INSERT INTO gennaker.events VALUES (5, 2, '{"type":"run.queued","v":1,"at":1795964746.8427684,"group":"one"}');
INSERT INTO gennaker.runs OVERRIDING SYSTEM VALUE VALUES (1, 'shop-1', 'shop', 1, 'shop', 'local:ann', 'ended', 'succeeded', 12, 1, 1795964746.6268847, 1795964746.6268847, 1795964746.73407, '', NULL, false, NULL);
INSERT INTO gennaker.runs OVERRIDING SYSTEM VALUE VALUES (2, 'shop-2', 'shop', 2, 'shop', 'local:ann', 'ended', 'aborted', 5, 2, 1795964746.6426537, NULL, 1795964746.6601377, '', NULL, false, NULL);
INSERT INTO gennaker.runs OVERRIDING SYSTEM VALUE VALUES (3, 'shop-3', 'shop', 3, 'shop', 'local:ann', 'ended', 'succeeded', 12, 3, 1795964746.6601377, 1795964746.73407, 1795964746.8023102, '', NULL, false, NULL);
INSERT INTO gennaker.runs OVERRIDING SYSTEM VALUE VALUES (4, 'shop-4', 'shop', 4, 'shop', 'local:ann', 'pending', NULL, 3, 4, 1795964746.8282647, 1795964746.8282647, NULL, '', NULL, false, NULL);
INSERT INTO gennaker.runs OVERRIDING SYSTEM VALUE VALUES (5, 'shop-5', 'shop', 5, 'shop', 'local:ann', 'waiting', NULL, 2, 5, 1795964746.8427684, NULL, NULL, 'queue', NULL, false, NULL);
INSERT INTO gennaker.state VALUES (3);
SELECT pg_catalog.setval('gennaker.runs_key_seq', 5, true);
ALTER TABLE ONLY gennaker.claims
    ADD CONSTRAINT claims_pkey PRIMARY KEY (key, run);
ALTER TABLE ONLY gennaker.counters
    ADD CONSTRAINT counters_pkey PRIMARY KEY (name);
ALTER TABLE ONLY gennaker.deployments
    ADD CONSTRAINT deployments_pkey PRIMARY KEY (scope, environment, run, instance);
ALTER TABLE ONLY gennaker.deploys
    ADD CONSTRAINT deploys_pkey PRIMARY KEY (scope, environment);
ALTER TABLE ONLY gennaker.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (run_key, sequence);
ALTER TABLE ONLY gennaker.owners
    ADD CONSTRAINT owners_pkey PRIMARY KEY (run);
ALTER TABLE ONLY gennaker.removals
    ADD CONSTRAINT removals_pkey PRIMARY KEY (at, actor);
ALTER TABLE ONLY gennaker.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (key);
ALTER TABLE ONLY gennaker.runs
    ADD CONSTRAINT runs_run_key UNIQUE (run);
CREATE INDEX claims_by_run ON gennaker.claims USING btree (run);
CREATE INDEX deployments_by_run ON gennaker.deployments USING btree (run);
CREATE INDEX deployments_by_time ON gennaker.deployments USING btree (scope, environment, started_at);
CREATE INDEX runs_active ON gennaker.runs USING btree (key) WHERE (state <> 'ended'::text);
CREATE INDEX runs_by_change ON gennaker.runs USING btree (change);
CREATE INDEX runs_by_pipeline ON gennaker.runs USING btree (pipeline, key);
CREATE INDEX runs_by_retry ON gennaker.runs USING btree (retry_of) WHERE (retry_of IS NOT NULL);
