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
INSERT INTO "claims" VALUES('lock/shop/staging','shop-3',1,1,1.79596546923068046573e+09,1,'queue','deploy',0);
INSERT INTO "claims" VALUES('lock/shop/staging','shop-4',2,0,1.79596546934268522267e+09,1,'queue','deploy',0);
CREATE TABLE counters (
    name   TEXT    PRIMARY KEY,             -- number/PIPELINE, place, change
    value  INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "counters" VALUES('change',6);
INSERT INTO "counters" VALUES('number/shop',6);
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
INSERT INTO "events" VALUES(1,1,'{"type":"run.created","v":1,"at":1795965469.0116923,"run":"shop-1","pipeline":"shop","number":1,"title":"shop","actor":"local:ann","definition":{"name":"shop","parameters":{"what":{}},"stages":{"timer":{"uses":"t.behave","with":{"how":"timer","note":"4000000000"},"if":"params.what == ''timer''"},"ask":{"uses":"approval","with":{"message":"Go?"},"if":"params.what == ''ask''"},"again":{"uses":"t.behave","with":{"how":"raise_it"},"if":"params.what == ''again''","retry":{"limit":1,"delay":"10h","max_delay":"10h"}},"deploy":{"uses":"t.deploy","with":{"say":"x"},"if":"params.what.startsWith(''lock'')","environment":"staging"},"keep":{"uses":"approval","with":{"message":"Keep it?"},"needs":["deploy"]},"more":{"uses":"t.deploy","with":{"say":"y"},"needs":["keep"],"environment":"staging"}}},"digest":"sha256:e7377ebf8c553c8674a1aa0e0fd8d1854e56decc48efe4bb85929f92250ed032","file":"pipelines/p.yaml","parameters":{"what":"timer"},"source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:faf2429d63e2e950b60f659dffe06dda407b632cad3549efb1c5996a4fd0391e"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop"}');
INSERT INTO "events" VALUES(1,2,'{"type":"run.started","v":1,"at":1795965469.0116923}');
INSERT INTO "events" VALUES(1,3,'{"type":"run.adopted","v":1,"at":1795965469.0438147,"owner":"ann@builder pid 9246","actor":"local:ann"}');
INSERT INTO "events" VALUES(1,4,'{"type":"stage.resolved","v":1,"at":1795965469.0438147,"instance":"timer","inputs":{"how":"timer","note":"4000000000"}}');
INSERT INTO "events" VALUES(1,5,'{"type":"stage.skipped","v":1,"at":1795965469.0438147,"instance":"ask","cause":"condition","detail":{"expression":"params.what == ''ask''","values":{"params.what":"timer"}}}');
INSERT INTO "events" VALUES(1,6,'{"type":"stage.skipped","v":1,"at":1795965469.0438147,"instance":"again","cause":"condition","detail":{"expression":"params.what == ''again''","values":{"params.what":"timer"}}}');
INSERT INTO "events" VALUES(1,7,'{"type":"stage.skipped","v":1,"at":1795965469.0438147,"instance":"deploy","cause":"condition","detail":{"expression":"params.what.startsWith(''lock'')","values":{"params.what":"timer"}}}');
INSERT INTO "events" VALUES(1,8,'{"type":"attempt.started","v":1,"at":1795965469.0438147,"instance":"timer","attempt":1}');
INSERT INTO "events" VALUES(1,9,'{"type":"stage.resolved","v":1,"at":1795965469.0438147,"instance":"keep","inputs":{"message":"Keep it?"}}');
INSERT INTO "events" VALUES(1,10,'{"type":"attempt.started","v":1,"at":1795965469.0438147,"instance":"keep","attempt":1}');
INSERT INTO "events" VALUES(1,11,'{"type":"attempt.waiting","v":1,"at":1795965469.0624735,"instance":"timer","attempt":1,"on":{"kind":"timer","at":4000000000.0},"until":4000000000.0,"state":"set"}');
INSERT INTO "events" VALUES(1,12,'{"type":"attempt.waiting","v":1,"at":1795965469.06834,"instance":"keep","attempt":1,"on":{"kind":"decision","message":"Keep it?","approvers":[],"required":1,"self_allowed":true,"inputs":{}}}');
INSERT INTO "events" VALUES(1,13,'{"type":"approval.requested","v":1,"at":1795965469.06834,"gate":"keep/1","stage":"keep","message":"Keep it?","subject":[{"id":"more","uses":"t.deploy","inputs":{"say":"y"},"environment":{"name":"staging","target":"place","settings":{"folder":"staging"},"variables":{"host":"one"},"url":null}}],"digest":"sha256:48e022acb447d02a0df60b1c859a4b995273524ee02c260ef16b5406dc9e9877"}');
INSERT INTO "events" VALUES(1,14,'{"type":"approval.planned","v":1,"at":1795965469.0729153,"gate":"keep/1","plans":{"more":{"changes":[{"action":"run","what":"say y","detail":""}]}}}');
INSERT INTO "events" VALUES(1,15,'{"type":"run.parked","v":1,"at":1795965469.07382,"reason":"detach"}');
INSERT INTO "events" VALUES(2,1,'{"type":"run.created","v":1,"at":1795965469.109001,"run":"shop-2","pipeline":"shop","number":2,"title":"shop","actor":"local:ann","definition":{"name":"shop","parameters":{"what":{}},"stages":{"timer":{"uses":"t.behave","with":{"how":"timer","note":"4000000000"},"if":"params.what == ''timer''"},"ask":{"uses":"approval","with":{"message":"Go?"},"if":"params.what == ''ask''"},"again":{"uses":"t.behave","with":{"how":"raise_it"},"if":"params.what == ''again''","retry":{"limit":1,"delay":"10h","max_delay":"10h"}},"deploy":{"uses":"t.deploy","with":{"say":"x"},"if":"params.what.startsWith(''lock'')","environment":"staging"},"keep":{"uses":"approval","with":{"message":"Keep it?"},"needs":["deploy"]},"more":{"uses":"t.deploy","with":{"say":"y"},"needs":["keep"],"environment":"staging"}}},"digest":"sha256:e7377ebf8c553c8674a1aa0e0fd8d1854e56decc48efe4bb85929f92250ed032","file":"pipelines/p.yaml","parameters":{"what":"ask"},"source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:faf2429d63e2e950b60f659dffe06dda407b632cad3549efb1c5996a4fd0391e"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop"}');
INSERT INTO "events" VALUES(2,2,'{"type":"run.started","v":1,"at":1795965469.109001}');
INSERT INTO "events" VALUES(2,3,'{"type":"run.adopted","v":1,"at":1795965469.131002,"owner":"ann@builder pid 9246","actor":"local:ann"}');
INSERT INTO "events" VALUES(2,4,'{"type":"stage.skipped","v":1,"at":1795965469.131002,"instance":"timer","cause":"condition","detail":{"expression":"params.what == ''timer''","values":{"params.what":"ask"}}}');
INSERT INTO "events" VALUES(2,5,'{"type":"stage.resolved","v":1,"at":1795965469.131002,"instance":"ask","inputs":{"message":"Go?"}}');
INSERT INTO "events" VALUES(2,6,'{"type":"stage.skipped","v":1,"at":1795965469.131002,"instance":"again","cause":"condition","detail":{"expression":"params.what == ''again''","values":{"params.what":"ask"}}}');
INSERT INTO "events" VALUES(2,7,'{"type":"stage.skipped","v":1,"at":1795965469.131002,"instance":"deploy","cause":"condition","detail":{"expression":"params.what.startsWith(''lock'')","values":{"params.what":"ask"}}}');
INSERT INTO "events" VALUES(2,8,'{"type":"attempt.started","v":1,"at":1795965469.131002,"instance":"ask","attempt":1}');
INSERT INTO "events" VALUES(2,9,'{"type":"stage.resolved","v":1,"at":1795965469.131002,"instance":"keep","inputs":{"message":"Keep it?"}}');
INSERT INTO "events" VALUES(2,10,'{"type":"attempt.started","v":1,"at":1795965469.131002,"instance":"keep","attempt":1}');
INSERT INTO "events" VALUES(2,11,'{"type":"attempt.waiting","v":1,"at":1795965469.1500733,"instance":"ask","attempt":1,"on":{"kind":"decision","message":"Go?","approvers":[],"required":1,"self_allowed":true,"inputs":{}}}');
INSERT INTO "events" VALUES(2,12,'{"type":"approval.requested","v":1,"at":1795965469.1500733,"gate":"ask/1","stage":"ask","message":"Go?","digest":"sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"}');
INSERT INTO "events" VALUES(2,13,'{"type":"attempt.waiting","v":1,"at":1795965469.1554816,"instance":"keep","attempt":1,"on":{"kind":"decision","message":"Keep it?","approvers":[],"required":1,"self_allowed":true,"inputs":{}}}');
INSERT INTO "events" VALUES(2,14,'{"type":"approval.requested","v":1,"at":1795965469.1554816,"gate":"keep/1","stage":"keep","message":"Keep it?","subject":[{"id":"more","uses":"t.deploy","inputs":{"say":"y"},"environment":{"name":"staging","target":"place","settings":{"folder":"staging"},"variables":{"host":"one"},"url":null}}],"digest":"sha256:48e022acb447d02a0df60b1c859a4b995273524ee02c260ef16b5406dc9e9877"}');
INSERT INTO "events" VALUES(2,15,'{"type":"approval.planned","v":1,"at":1795965469.1719599,"gate":"keep/1","plans":{"more":{"changes":[{"action":"run","what":"say y","detail":""}]}}}');
INSERT INTO "events" VALUES(2,16,'{"type":"run.parked","v":1,"at":1795965469.18109,"reason":"detach"}');
INSERT INTO "events" VALUES(3,1,'{"type":"run.created","v":1,"at":1795965469.2126882,"run":"shop-3","pipeline":"shop","number":3,"title":"shop","actor":"local:ann","definition":{"name":"shop","parameters":{"what":{}},"stages":{"timer":{"uses":"t.behave","with":{"how":"timer","note":"4000000000"},"if":"params.what == ''timer''"},"ask":{"uses":"approval","with":{"message":"Go?"},"if":"params.what == ''ask''"},"again":{"uses":"t.behave","with":{"how":"raise_it"},"if":"params.what == ''again''","retry":{"limit":1,"delay":"10h","max_delay":"10h"}},"deploy":{"uses":"t.deploy","with":{"say":"x"},"if":"params.what.startsWith(''lock'')","environment":"staging"},"keep":{"uses":"approval","with":{"message":"Keep it?"},"needs":["deploy"]},"more":{"uses":"t.deploy","with":{"say":"y"},"needs":["keep"],"environment":"staging"}}},"digest":"sha256:e7377ebf8c553c8674a1aa0e0fd8d1854e56decc48efe4bb85929f92250ed032","file":"pipelines/p.yaml","parameters":{"what":"lock 1"},"source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:faf2429d63e2e950b60f659dffe06dda407b632cad3549efb1c5996a4fd0391e"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop"}');
INSERT INTO "events" VALUES(3,2,'{"type":"run.started","v":1,"at":1795965469.2126882}');
INSERT INTO "events" VALUES(3,3,'{"type":"run.adopted","v":1,"at":1795965469.2306805,"owner":"ann@builder pid 9246","actor":"local:ann"}');
INSERT INTO "events" VALUES(3,4,'{"type":"stage.skipped","v":1,"at":1795965469.2306805,"instance":"timer","cause":"condition","detail":{"expression":"params.what == ''timer''","values":{"params.what":"lock 1"}}}');
INSERT INTO "events" VALUES(3,5,'{"type":"stage.skipped","v":1,"at":1795965469.2306805,"instance":"ask","cause":"condition","detail":{"expression":"params.what == ''ask''","values":{"params.what":"lock 1"}}}');
INSERT INTO "events" VALUES(3,6,'{"type":"stage.skipped","v":1,"at":1795965469.2306805,"instance":"again","cause":"condition","detail":{"expression":"params.what == ''again''","values":{"params.what":"lock 1"}}}');
INSERT INTO "events" VALUES(3,7,'{"type":"stage.resolved","v":1,"at":1795965469.2306805,"instance":"deploy","inputs":{"say":"x"},"environment":{"name":"staging","target":"place","settings":{"folder":"staging"},"variables":{"host":"one"},"url":null,"namespace":"staging","secrets":{},"approval":null},"effect":"deploy"}');
INSERT INTO "events" VALUES(3,8,'{"type":"lock.requested","v":1,"at":1795965469.2306805,"environment":"staging","instance":"deploy"}');
INSERT INTO "events" VALUES(3,9,'{"type":"lock.acquired","v":1,"at":1795965469.2306805,"environment":"staging"}');
INSERT INTO "events" VALUES(3,10,'{"type":"attempt.started","v":1,"at":1795965469.2306805,"instance":"deploy","attempt":1}');
INSERT INTO "events" VALUES(3,11,'{"type":"attempt.ended","v":1,"at":1795965469.2576177,"instance":"deploy","attempt":1,"outcome":"succeeded","outputs":{"said":"x"}}');
INSERT INTO "events" VALUES(3,12,'{"type":"stage.resolved","v":1,"at":1795965469.2576177,"instance":"keep","inputs":{"message":"Keep it?"}}');
INSERT INTO "events" VALUES(3,13,'{"type":"attempt.started","v":1,"at":1795965469.2576177,"instance":"keep","attempt":1}');
INSERT INTO "events" VALUES(3,14,'{"type":"attempt.waiting","v":1,"at":1795965469.2720475,"instance":"keep","attempt":1,"on":{"kind":"decision","message":"Keep it?","approvers":[],"required":1,"self_allowed":true,"inputs":{}}}');
INSERT INTO "events" VALUES(3,15,'{"type":"approval.requested","v":1,"at":1795965469.2720475,"gate":"keep/1","stage":"keep","message":"Keep it?","subject":[{"id":"more","uses":"t.deploy","inputs":{"say":"y"},"environment":{"name":"staging","target":"place","settings":{"folder":"staging"},"variables":{"host":"one"},"url":null}}],"digest":"sha256:48e022acb447d02a0df60b1c859a4b995273524ee02c260ef16b5406dc9e9877"}');
INSERT INTO "events" VALUES(3,16,'{"type":"approval.planned","v":1,"at":1795965469.2822454,"gate":"keep/1","plans":{"more":{"changes":[{"action":"run","what":"say y","detail":""}]}}}');
INSERT INTO "events" VALUES(3,17,'{"type":"run.parked","v":1,"at":1795965469.2937195,"reason":"detach"}');
INSERT INTO "events" VALUES(4,1,'{"type":"run.created","v":1,"at":1795965469.3232503,"run":"shop-4","pipeline":"shop","number":4,"title":"shop","actor":"local:ann","definition":{"name":"shop","parameters":{"what":{}},"stages":{"timer":{"uses":"t.behave","with":{"how":"timer","note":"4000000000"},"if":"params.what == ''timer''"},"ask":{"uses":"approval","with":{"message":"Go?"},"if":"params.what == ''ask''"},"again":{"uses":"t.behave","with":{"how":"raise_it"},"if":"params.what == ''again''","retry":{"limit":1,"delay":"10h","max_delay":"10h"}},"deploy":{"uses":"t.deploy","with":{"say":"x"},"if":"params.what.startsWith(''lock'')","environment":"staging"},"keep":{"uses":"approval","with":{"message":"Keep it?"},"needs":["deploy"]},"more":{"uses":"t.deploy","with":{"say":"y"},"needs":["keep"],"environment":"staging"}}},"digest":"sha256:e7377ebf8c553c8674a1aa0e0fd8d1854e56decc48efe4bb85929f92250ed032","file":"pipelines/p.yaml","parameters":{"what":"lock 2"},"source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:faf2429d63e2e950b60f659dffe06dda407b632cad3549efb1c5996a4fd0391e"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop"}');
INSERT INTO "events" VALUES(4,2,'{"type":"run.started","v":1,"at":1795965469.3232503}');
INSERT INTO "events" VALUES(4,3,'{"type":"run.adopted","v":1,"at":1795965469.3426852,"owner":"ann@builder pid 9246","actor":"local:ann"}');
INSERT INTO "events" VALUES(4,4,'{"type":"stage.skipped","v":1,"at":1795965469.3426852,"instance":"timer","cause":"condition","detail":{"expression":"params.what == ''timer''","values":{"params.what":"lock 2"}}}');
INSERT INTO "events" VALUES(4,5,'{"type":"stage.skipped","v":1,"at":1795965469.3426852,"instance":"ask","cause":"condition","detail":{"expression":"params.what == ''ask''","values":{"params.what":"lock 2"}}}');
INSERT INTO "events" VALUES(4,6,'{"type":"stage.skipped","v":1,"at":1795965469.3426852,"instance":"again","cause":"condition","detail":{"expression":"params.what == ''again''","values":{"params.what":"lock 2"}}}');
INSERT INTO "events" VALUES(4,7,'{"type":"stage.resolved","v":1,"at":1795965469.3426852,"instance":"deploy","inputs":{"say":"x"},"environment":{"name":"staging","target":"place","settings":{"folder":"staging"},"variables":{"host":"one"},"url":null,"namespace":"staging","secrets":{},"approval":null},"effect":"deploy"}');
INSERT INTO "events" VALUES(4,8,'{"type":"lock.requested","v":1,"at":1795965469.3426852,"environment":"staging","instance":"deploy"}');
INSERT INTO "events" VALUES(4,9,'{"type":"run.parked","v":1,"at":1795965469.3484716,"reason":"detach"}');
INSERT INTO "events" VALUES(5,1,'{"type":"run.created","v":1,"at":1795965469.3883593,"run":"shop-5","pipeline":"shop","number":5,"title":"shop","actor":"local:ann","definition":{"name":"shop","parameters":{"what":{}},"stages":{"timer":{"uses":"t.behave","with":{"how":"timer","note":"4000000000"},"if":"params.what == ''timer''"},"ask":{"uses":"approval","with":{"message":"Go?"},"if":"params.what == ''ask''"},"again":{"uses":"t.behave","with":{"how":"raise_it"},"if":"params.what == ''again''","retry":{"limit":1,"delay":"10h","max_delay":"10h"}},"deploy":{"uses":"t.deploy","with":{"say":"x"},"if":"params.what.startsWith(''lock'')","environment":"staging"},"keep":{"uses":"approval","with":{"message":"Keep it?"},"needs":["deploy"]},"more":{"uses":"t.deploy","with":{"say":"y"},"needs":["keep"],"environment":"staging"}}},"digest":"sha256:e7377ebf8c553c8674a1aa0e0fd8d1854e56decc48efe4bb85929f92250ed032","file":"pipelines/p.yaml","parameters":{"what":"again"},"source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:faf2429d63e2e950b60f659dffe06dda407b632cad3549efb1c5996a4fd0391e"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop"}');
INSERT INTO "events" VALUES(5,2,'{"type":"run.started","v":1,"at":1795965469.3883593}');
INSERT INTO "events" VALUES(5,3,'{"type":"run.adopted","v":1,"at":1795965469.4111311,"owner":"ann@builder pid 9246","actor":"local:ann"}');
INSERT INTO "events" VALUES(5,4,'{"type":"stage.skipped","v":1,"at":1795965469.4111311,"instance":"timer","cause":"condition","detail":{"expression":"params.what == ''timer''","values":{"params.what":"again"}}}');
INSERT INTO "events" VALUES(5,5,'{"type":"stage.skipped","v":1,"at":1795965469.4111311,"instance":"ask","cause":"condition","detail":{"expression":"params.what == ''ask''","values":{"params.what":"again"}}}');
INSERT INTO "events" VALUES(5,6,'{"type":"stage.resolved","v":1,"at":1795965469.4111311,"instance":"again","inputs":{"how":"raise_it"}}');
INSERT INTO "events" VALUES(5,7,'{"type":"stage.skipped","v":1,"at":1795965469.4111311,"instance":"deploy","cause":"condition","detail":{"expression":"params.what.startsWith(''lock'')","values":{"params.what":"again"}}}');
INSERT INTO "events" VALUES(5,8,'{"type":"attempt.started","v":1,"at":1795965469.4111311,"instance":"again","attempt":1}');
INSERT INTO "events" VALUES(5,9,'{"type":"stage.resolved","v":1,"at":1795965469.4111311,"instance":"keep","inputs":{"message":"Keep it?"}}');
INSERT INTO "events" VALUES(5,10,'{"type":"attempt.started","v":1,"at":1795965469.4111311,"instance":"keep","attempt":1}');
INSERT INTO "events" VALUES(5,11,'{"type":"attempt.waiting","v":1,"at":1795965469.4310179,"instance":"keep","attempt":1,"on":{"kind":"decision","message":"Keep it?","approvers":[],"required":1,"self_allowed":true,"inputs":{}}}');
INSERT INTO "events" VALUES(5,12,'{"type":"approval.requested","v":1,"at":1795965469.4310179,"gate":"keep/1","stage":"keep","message":"Keep it?","subject":[{"id":"more","uses":"t.deploy","inputs":{"say":"y"},"environment":{"name":"staging","target":"place","settings":{"folder":"staging"},"variables":{"host":"one"},"url":null}}],"digest":"sha256:48e022acb447d02a0df60b1c859a4b995273524ee02c260ef16b5406dc9e9877"}');
INSERT INTO "events" VALUES(5,13,'{"type":"attempt.ended","v":1,"at":1795965469.4458165,"instance":"again","attempt":1,"outcome":"errored","code":"stage-raised","reason":"ValueError: out of","retry_at":1795987839.795264}');
INSERT INTO "events" VALUES(5,14,'{"type":"approval.planned","v":1,"at":1795965469.461512,"gate":"keep/1","plans":{"more":{"changes":[{"action":"run","what":"say y","detail":""}]}}}');
INSERT INTO "events" VALUES(5,15,'{"type":"run.parked","v":1,"at":1795965469.461512,"reason":"SIGTERM"}');
INSERT INTO "events" VALUES(6,1,'{"type":"run.created","v":1,"at":1795965469.4802904,"run":"shop-6","pipeline":"shop","number":6,"title":"shop","actor":"local:ann","definition":{"name":"shop","parameters":{"what":{}},"stages":{"timer":{"uses":"t.behave","with":{"how":"timer","note":"4000000000"},"if":"params.what == ''timer''"},"ask":{"uses":"approval","with":{"message":"Go?"},"if":"params.what == ''ask''"},"again":{"uses":"t.behave","with":{"how":"raise_it"},"if":"params.what == ''again''","retry":{"limit":1,"delay":"10h","max_delay":"10h"}},"deploy":{"uses":"t.deploy","with":{"say":"x"},"if":"params.what.startsWith(''lock'')","environment":"staging"},"keep":{"uses":"approval","with":{"message":"Keep it?"},"needs":["deploy"]},"more":{"uses":"t.deploy","with":{"say":"y"},"needs":["keep"],"environment":"staging"}}},"digest":"sha256:e7377ebf8c553c8674a1aa0e0fd8d1854e56decc48efe4bb85929f92250ed032","file":"pipelines/p.yaml","parameters":{"what":null},"source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:faf2429d63e2e950b60f659dffe06dda407b632cad3549efb1c5996a4fd0391e"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop"}');
INSERT INTO "events" VALUES(6,2,'{"type":"run.started","v":1,"at":1795965469.4802904}');
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
INSERT INTO "runs" VALUES(1,'shop-1','shop',1,'shop','local:ann','waiting',NULL,15,1,1.79596546901169228549e+09,1.79596546901169228549e+09,NULL,'decision',NULL,0,NULL);
INSERT INTO "runs" VALUES(2,'shop-2','shop',2,'shop','local:ann','waiting',NULL,16,2,1.79596546910900092125e+09,1.79596546910900092125e+09,NULL,'decision',NULL,0,NULL);
INSERT INTO "runs" VALUES(3,'shop-3','shop',3,'shop','local:ann','waiting',NULL,17,3,1.79596546921268820765e+09,1.79596546921268820765e+09,NULL,'decision',NULL,0,NULL);
INSERT INTO "runs" VALUES(4,'shop-4','shop',4,'shop','local:ann','waiting',NULL,9,4,1.79596546932325029375e+09,1.79596546932325029375e+09,NULL,'lock',NULL,0,NULL);
INSERT INTO "runs" VALUES(5,'shop-5','shop',5,'shop','local:ann','waiting',NULL,15,5,1.79596546938835930828e+09,1.79596546938835930828e+09,NULL,'decision',NULL,0,NULL);
INSERT INTO "runs" VALUES(6,'shop-6','shop',6,'shop','local:ann','pending',NULL,2,6,1.79596546948029041294e+09,1.79596546948029041294e+09,NULL,'',NULL,0,NULL);
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
