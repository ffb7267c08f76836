BEGIN TRANSACTION;
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
) WITHOUT ROWID;
INSERT INTO "claims" VALUES('group/shop/one','shop-4',4,1,1.79596474682826471331e+09,1,'supersede','',0);
INSERT INTO "claims" VALUES('group/shop/one','shop-5',5,0,1.79596474684276843068e+09,1,'supersede','',0);
CREATE TABLE counters (
    name   TEXT    PRIMARY KEY,             -- number/PIPELINE, place, change
    value  INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "counters" VALUES('change',5);
INSERT INTO "counters" VALUES('number/shop',5);
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
) WITHOUT ROWID;
CREATE TABLE deploys (
    scope        TEXT NOT NULL,
    environment  TEXT NOT NULL,
    run          TEXT NOT NULL,
    instance     TEXT NOT NULL,
    at           REAL NOT NULL,
    PRIMARY KEY (scope, environment)
) WITHOUT ROWID
;
INSERT INTO "deploys" VALUES('shop','staging','shop-3','deploy',1800000000.5);
CREATE TABLE events (
    run_key   INTEGER NOT NULL,
    sequence  INTEGER NOT NULL,
    data      TEXT    NOT NULL,             -- compact JSON with "type" and "v"
    PRIMARY KEY (run_key, sequence)
) WITHOUT ROWID;
INSERT INTO "events" VALUES(1,1,'{"type":"run.created","v":1,"at":1795964746.6268847,"run":"shop-1","pipeline":"shop","number":1,"title":"shop","actor":"local:ann","definition":{"name":"shop","concurrency":{"group":"one","policy":"supersede"},"stages":{"it":{"uses":"t.behave","with":{"how":"poll"}}}},"digest":"sha256:5956618d2c4165383bb3e9d0291440f75ce40c514c8348e5fe5f06d3d294bd0d","file":"pipelines/p.yaml","source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:6330c84c9c31a9da677ca581ddabbf7a17c1a68d3eb75533b607bdc28b543db2"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop","concurrency":{"group":"one","limit":1,"policy":"supersede"}}');
INSERT INTO "events" VALUES(1,2,'{"type":"run.queued","v":1,"at":1795964746.6268847,"group":"one"}');
INSERT INTO "events" VALUES(1,3,'{"type":"run.started","v":1,"at":1795964746.6268847}');
INSERT INTO "events" VALUES(1,4,'{"type":"run.adopted","v":1,"at":1795964746.675199,"owner":"ann@builder pid 23483","actor":"local:ann"}');
INSERT INTO "events" VALUES(1,5,'{"type":"stage.resolved","v":1,"at":1795964746.675199,"instance":"it","inputs":{"how":"poll"}}');
INSERT INTO "events" VALUES(1,6,'{"type":"attempt.started","v":1,"at":1795964746.675199,"instance":"it","attempt":1}');
INSERT INTO "events" VALUES(1,7,'{"type":"attempt.waiting","v":1,"at":1795964746.681674,"instance":"it","attempt":1,"on":{"kind":"poll","every":0.02},"until":1795964746.701674,"state":1}');
INSERT INTO "events" VALUES(1,8,'{"type":"attempt.resumed","v":1,"at":1795964746.7018392,"instance":"it","attempt":1,"delivery":2}');
INSERT INTO "events" VALUES(1,9,'{"type":"attempt.waiting","v":1,"at":1795964746.708133,"instance":"it","attempt":1,"on":{"kind":"poll","every":0.02},"until":1795964746.728133,"state":2}');
INSERT INTO "events" VALUES(1,10,'{"type":"attempt.resumed","v":1,"at":1795964746.7283118,"instance":"it","attempt":1,"delivery":3}');
INSERT INTO "events" VALUES(1,11,'{"type":"attempt.ended","v":1,"at":1795964746.73407,"instance":"it","attempt":1,"outcome":"succeeded","outputs":{"value":3}}');
INSERT INTO "events" VALUES(1,12,'{"type":"run.ended","v":1,"at":1795964746.73407,"outcome":"succeeded"}');
INSERT INTO "events" VALUES(2,1,'{"type":"run.created","v":1,"at":1795964746.6426537,"run":"shop-2","pipeline":"shop","number":2,"title":"shop","actor":"local:ann","definition":{"name":"shop","concurrency":{"group":"one","policy":"supersede"},"stages":{"it":{"uses":"t.behave","with":{"how":"poll"}}}},"digest":"sha256:5956618d2c4165383bb3e9d0291440f75ce40c514c8348e5fe5f06d3d294bd0d","file":"pipelines/p.yaml","source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:6330c84c9c31a9da677ca581ddabbf7a17c1a68d3eb75533b607bdc28b543db2"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop","concurrency":{"group":"one","limit":1,"policy":"supersede"}}');
INSERT INTO "events" VALUES(2,2,'{"type":"run.queued","v":1,"at":1795964746.6426537,"group":"one"}');
INSERT INTO "events" VALUES(2,3,'{"type":"run.abort_requested","v":1,"at":1795964746.6601377,"reason":"superseded"}');
INSERT INTO "events" VALUES(2,4,'{"type":"stage.skipped","v":1,"at":1795964746.6601377,"instance":"it","cause":"aborted","detail":{"by":"superseded"}}');
INSERT INTO "events" VALUES(2,5,'{"type":"run.ended","v":1,"at":1795964746.6601377,"outcome":"aborted"}');
INSERT INTO "events" VALUES(3,1,'{"type":"run.created","v":1,"at":1795964746.6601377,"run":"shop-3","pipeline":"shop","number":3,"title":"shop","actor":"local:ann","definition":{"name":"shop","concurrency":{"group":"one","policy":"supersede"},"stages":{"it":{"uses":"t.behave","with":{"how":"poll"}}}},"digest":"sha256:5956618d2c4165383bb3e9d0291440f75ce40c514c8348e5fe5f06d3d294bd0d","file":"pipelines/p.yaml","source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:6330c84c9c31a9da677ca581ddabbf7a17c1a68d3eb75533b607bdc28b543db2"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop","concurrency":{"group":"one","limit":1,"policy":"supersede"}}');
INSERT INTO "events" VALUES(3,2,'{"type":"run.queued","v":1,"at":1795964746.6601377,"group":"one"}');
INSERT INTO "events" VALUES(3,3,'{"type":"run.adopted","v":1,"at":1795964746.675199,"owner":"ann@builder pid 23483","actor":"local:ann"}');
INSERT INTO "events" VALUES(3,4,'{"type":"run.started","v":1,"at":1795964746.73407}');
INSERT INTO "events" VALUES(3,5,'{"type":"stage.resolved","v":1,"at":1795964746.73407,"instance":"it","inputs":{"how":"poll"}}');
INSERT INTO "events" VALUES(3,6,'{"type":"attempt.started","v":1,"at":1795964746.73407,"instance":"it","attempt":1}');
INSERT INTO "events" VALUES(3,7,'{"type":"attempt.waiting","v":1,"at":1795964746.75076,"instance":"it","attempt":1,"on":{"kind":"poll","every":0.02},"until":1795964746.77076,"state":1}');
INSERT INTO "events" VALUES(3,8,'{"type":"attempt.resumed","v":1,"at":1795964746.7709556,"instance":"it","attempt":1,"delivery":2}');
INSERT INTO "events" VALUES(3,9,'{"type":"attempt.waiting","v":1,"at":1795964746.7740536,"instance":"it","attempt":1,"on":{"kind":"poll","every":0.02},"until":1795964746.7940536,"state":2}');
INSERT INTO "events" VALUES(3,10,'{"type":"attempt.resumed","v":1,"at":1795964746.7976255,"instance":"it","attempt":1,"delivery":3}');
INSERT INTO "events" VALUES(3,11,'{"type":"attempt.ended","v":1,"at":1795964746.8023102,"instance":"it","attempt":1,"outcome":"succeeded","outputs":{"value":3}}');
INSERT INTO "events" VALUES(3,12,'{"type":"run.ended","v":1,"at":1795964746.8023102,"outcome":"succeeded"}');
INSERT INTO "events" VALUES(4,1,'{"type":"run.created","v":1,"at":1795964746.8282647,"run":"shop-4","pipeline":"shop","number":4,"title":"shop","actor":"local:ann","definition":{"name":"shop","concurrency":{"group":"one","policy":"supersede"},"stages":{"it":{"uses":"t.behave","with":{"how":"poll"}}}},"digest":"sha256:5956618d2c4165383bb3e9d0291440f75ce40c514c8348e5fe5f06d3d294bd0d","file":"pipelines/p.yaml","source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:6330c84c9c31a9da677ca581ddabbf7a17c1a68d3eb75533b607bdc28b543db2"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop","concurrency":{"group":"one","limit":1,"policy":"supersede"}}');
INSERT INTO "events" VALUES(4,2,'{"type":"run.queued","v":1,"at":1795964746.8282647,"group":"one"}');
INSERT INTO "events" VALUES(4,3,'{"type":"run.started","v":1,"at":1795964746.8282647}');
INSERT INTO "events" VALUES(5,1,'{"type":"run.created","v":1,"at":1795964746.8427684,"run":"shop-5","pipeline":"shop","number":5,"title":"shop","actor":"local:ann","definition":{"name":"shop","concurrency":{"group":"one","policy":"supersede"},"stages":{"it":{"uses":"t.behave","with":{"how":"poll"}}}},"digest":"sha256:5956618d2c4165383bb3e9d0291440f75ce40c514c8348e5fe5f06d3d294bd0d","file":"pipelines/p.yaml","source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:6330c84c9c31a9da677ca581ddabbf7a17c1a68d3eb75533b607bdc28b543db2"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop","concurrency":{"group":"one","limit":1,"policy":"supersede"}}');
INSERT INTO "events" VALUES(5,2,'{"type":"run.queued","v":1,"at":1795964746.8427684,"group":"one"}');
CREATE TABLE removals (
    at     REAL NOT NULL,
    actor  TEXT NOT NULL,
    data   TEXT NOT NULL,                   -- {"policy": {...}, "counts": {...}}
    PRIMARY KEY (at, actor)
) WITHOUT ROWID;
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
);
INSERT INTO "runs" VALUES(1,'shop-1','shop',1,'shop','local:ann','ended','succeeded',12,1,1.79596474662688469891e+09,1.79596474662688469891e+09,1795964746.73407,'',NULL,0,NULL);
INSERT INTO "runs" VALUES(2,'shop-2','shop',2,'shop','local:ann','ended','aborted',5,2,1.79596474664265370367e+09,NULL,1.79596474666013765329e+09,'',NULL,0,NULL);
INSERT INTO "runs" VALUES(3,'shop-3','shop',3,'shop','local:ann','ended','succeeded',12,3,1.79596474666013765329e+09,1795964746.73407,1.79596474680231022835e+09,'',NULL,0,NULL);
INSERT INTO "runs" VALUES(4,'shop-4','shop',4,'shop','local:ann','pending',NULL,3,4,1.79596474682826471331e+09,1.79596474682826471331e+09,NULL,'',NULL,0,NULL);
INSERT INTO "runs" VALUES(5,'shop-5','shop',5,'shop','local:ann','waiting',NULL,2,5,1.79596474684276843068e+09,NULL,NULL,'queue',NULL,0,NULL);
CREATE INDEX runs_by_pipeline ON runs (pipeline);
CREATE INDEX runs_by_change ON runs (change);
CREATE INDEX runs_active ON runs (state) WHERE state <> 'ended';
CREATE INDEX claims_by_run ON claims (run);
CREATE INDEX runs_by_retry ON runs (retry_of) WHERE retry_of IS NOT NULL
;
CREATE INDEX deployments_by_time ON deployments (scope, environment, started_at);
CREATE INDEX deployments_by_run ON deployments (run);
COMMIT;
PRAGMA application_id = 1734700654;
PRAGMA user_version = 3;
