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
INSERT INTO gennaker.claims VALUES ('lock/shop/staging', 'shop-3', 1, true, 1795965469.2306805, 1, 'queue', 'deploy', 0);
INSERT INTO gennaker.claims VALUES ('lock/shop/staging', 'shop-4', 2, false, 1795965469.3426852, 1, 'queue', 'deploy', 0);
INSERT INTO gennaker.counters VALUES ('change', 6);
INSERT INTO gennaker.counters VALUES ('number/shop', 6);
INSERT INTO gennaker.deploys VALUES ('shop', 'staging', 'shop-3', 'deploy', 1800000000.5);
INSERT INTO gennaker.events VALUES (1, 1, '{"type":"run.created","v":1,"at":1795965469.0116923,"run":"shop-1","pipeline":"shop","number":1,"title":"shop","actor":"local:ann","definition":{"name":"shop","parameters":{"what":{}},"stages":{"timer":{"uses":"t.behave","with":{"how":"timer","note":"4000000000"},"if":"params.what == ''timer''"},"ask":{"uses":"approval","with":{"message":"Go?"},"if":"params.what == ''ask''"},"again":{"uses":"t.behave","with":{"how":"raise_it"},"if":"params.what == ''again''","retry":{"limit":1,"delay":"10h","max_delay":"10h"}},"deploy":{"uses":"t.deploy","with":{"say":"x"},"if":"params.what.startsWith(''lock'')","environment":"staging"},"keep":{"uses":"approval","with":{"message":"Keep it?"},"needs":["deploy"]},"more":{"uses":"t.deploy","with":{"say":"y"},"needs":["keep"],"environment":"staging"}}},"digest":"sha256:e7377ebf8c553c8674a1aa0e0fd8d1854e56decc48efe4bb85929f92250ed032","file":"pipelines/p.yaml","parameters":{"what":"timer"},"source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:faf2429d63e2e950b60f659dffe06dda407b632cad3549efb1c5996a4fd0391e"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop"}');
INSERT INTO gennaker.events VALUES (1, 2, '{"type":"run.started","v":1,"at":1795965469.0116923}');
INSERT INTO gennaker.events VALUES (1, 3, '{"type":"run.adopted","v":1,"at":1795965469.0438147,"owner":"ann@builder pid 9246","actor":"local:ann"}');
INSERT INTO gennaker.events VALUES (1, 4, '{"type":"stage.resolved","v":1,"at":1795965469.0438147,"instance":"timer","inputs":{"how":"timer","note":"4000000000"}}');
INSERT INTO gennaker.events VALUES (1, 5, '{"type":"stage.skipped","v":1,"at":1795965469.0438147,"instance":"ask","cause":"condition","detail":{"expression":"params.what == ''ask''","values":{"params.what":"timer"}}}');
INSERT INTO gennaker.events VALUES (1, 6, '{"type":"stage.skipped","v":1,"at":1795965469.0438147,"instance":"again","cause":"condition","detail":{"expression":"params.what == ''again''","values":{"params.what":"timer"}}}');
INSERT INTO gennaker.events VALUES (1, 7, '{"type":"stage.skipped","v":1,"at":1795965469.0438147,"instance":"deploy","cause":"condition","detail":{"expression":"params.what.startsWith(''lock'')","values":{"params.what":"timer"}}}');
INSERT INTO gennaker.events VALUES (1, 8, '{"type":"attempt.started","v":1,"at":1795965469.0438147,"instance":"timer","attempt":1}');
INSERT INTO gennaker.events VALUES (1, 9, '{"type":"stage.resolved","v":1,"at":1795965469.0438147,"instance":"keep","inputs":{"message":"Keep it?"}}');
INSERT INTO gennaker.events VALUES (1, 10, '{"type":"attempt.started","v":1,"at":1795965469.0438147,"instance":"keep","attempt":1}');
INSERT INTO gennaker.events VALUES (1, 11, '{"type":"attempt.waiting","v":1,"at":1795965469.0624735,"instance":"timer","attempt":1,"on":{"kind":"timer","at":4000000000.0},"until":4000000000.0,"state":"set"}');
INSERT INTO gennaker.events VALUES (1, 12, '{"type":"attempt.waiting","v":1,"at":1795965469.06834,"instance":"keep","attempt":1,"on":{"kind":"decision","message":"Keep it?","approvers":[],"required":1,"self_allowed":true,"inputs":{}}}');
INSERT INTO gennaker.events VALUES (1, 13, '{"type":"approval.requested","v":1,"at":1795965469.06834,"gate":"keep/1","stage":"keep","message":"Keep it?","subject":[{"id":"more","uses":"t.deploy","inputs":{"say":"y"},"environment":{"name":"staging","target":"place","settings":{"folder":"staging"},"variables":{"host":"one"},"url":null}}],"digest":"sha256:48e022acb447d02a0df60b1c859a4b995273524ee02c260ef16b5406dc9e9877"}');
INSERT INTO gennaker.events VALUES (1, 14, '{"type":"approval.planned","v":1,"at":1795965469.0729153,"gate":"keep/1","plans":{"more":{"changes":[{"action":"run","what":"say y","detail":""}]}}}');
INSERT INTO gennaker.events VALUES (1, 15, '{"type":"run.parked","v":1,"at":1795965469.07382,"reason":"detach"}');
INSERT INTO gennaker.events VALUES (2, 1, '{"type":"run.created","v":1,"at":1795965469.109001,"run":"shop-2","pipeline":"shop","number":2,"title":"shop","actor":"local:ann","definition":{"name":"shop","parameters":{"what":{}},"stages":{"timer":{"uses":"t.behave","with":{"how":"timer","note":"4000000000"},"if":"params.what == ''timer''"},"ask":{"uses":"approval","with":{"message":"Go?"},"if":"params.what == ''ask''"},"again":{"uses":"t.behave","with":{"how":"raise_it"},"if":"params.what == ''again''","retry":{"limit":1,"delay":"10h","max_delay":"10h"}},"deploy":{"uses":"t.deploy","with":{"say":"x"},"if":"params.what.startsWith(''lock'')","environment":"staging"},"keep":{"uses":"approval","with":{"message":"Keep it?"},"needs":["deploy"]},"more":{"uses":"t.deploy","with":{"say":"y"},"needs":["keep"],"environment":"staging"}}},"digest":"sha256:e7377ebf8c553c8674a1aa0e0fd8d1854e56decc48efe4bb85929f92250ed032","file":"pipelines/p.yaml","parameters":{"what":"ask"},"source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:faf2429d63e2e950b60f659dffe06dda407b632cad3549efb1c5996a4fd0391e"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop"}');
INSERT INTO gennaker.events VALUES (2, 2, '{"type":"run.started","v":1,"at":1795965469.109001}');
INSERT INTO gennaker.events VALUES (2, 3, '{"type":"run.adopted","v":1,"at":1795965469.131002,"owner":"ann@builder pid 9246","actor":"local:ann"}');
INSERT INTO gennaker.events VALUES (2, 4, '{"type":"stage.skipped","v":1,"at":1795965469.131002,"instance":"timer","cause":"condition","detail":{"expression":"params.what == ''timer''","values":{"params.what":"ask"}}}');
INSERT INTO gennaker.events VALUES (2, 5, '{"type":"stage.resolved","v":1,"at":1795965469.131002,"instance":"ask","inputs":{"message":"Go?"}}');
INSERT INTO gennaker.events VALUES (2, 6, '{"type":"stage.skipped","v":1,"at":1795965469.131002,"instance":"again","cause":"condition","detail":{"expression":"params.what == ''again''","values":{"params.what":"ask"}}}');
INSERT INTO gennaker.events VALUES (2, 7, '{"type":"stage.skipped","v":1,"at":1795965469.131002,"instance":"deploy","cause":"condition","detail":{"expression":"params.what.startsWith(''lock'')","values":{"params.what":"ask"}}}');
INSERT INTO gennaker.events VALUES (2, 8, '{"type":"attempt.started","v":1,"at":1795965469.131002,"instance":"ask","attempt":1}');
INSERT INTO gennaker.events VALUES (2, 9, '{"type":"stage.resolved","v":1,"at":1795965469.131002,"instance":"keep","inputs":{"message":"Keep it?"}}');
INSERT INTO gennaker.events VALUES (2, 10, '{"type":"attempt.started","v":1,"at":1795965469.131002,"instance":"keep","attempt":1}');
INSERT INTO gennaker.events VALUES (2, 11, '{"type":"attempt.waiting","v":1,"at":1795965469.1500733,"instance":"ask","attempt":1,"on":{"kind":"decision","message":"Go?","approvers":[],"required":1,"self_allowed":true,"inputs":{}}}');
INSERT INTO gennaker.events VALUES (2, 12, '{"type":"approval.requested","v":1,"at":1795965469.1500733,"gate":"ask/1","stage":"ask","message":"Go?","digest":"sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"}');
INSERT INTO gennaker.events VALUES (2, 13, '{"type":"attempt.waiting","v":1,"at":1795965469.1554816,"instance":"keep","attempt":1,"on":{"kind":"decision","message":"Keep it?","approvers":[],"required":1,"self_allowed":true,"inputs":{}}}');
INSERT INTO gennaker.events VALUES (2, 14, '{"type":"approval.requested","v":1,"at":1795965469.1554816,"gate":"keep/1","stage":"keep","message":"Keep it?","subject":[{"id":"more","uses":"t.deploy","inputs":{"say":"y"},"environment":{"name":"staging","target":"place","settings":{"folder":"staging"},"variables":{"host":"one"},"url":null}}],"digest":"sha256:48e022acb447d02a0df60b1c859a4b995273524ee02c260ef16b5406dc9e9877"}');
INSERT INTO gennaker.events VALUES (2, 15, '{"type":"approval.planned","v":1,"at":1795965469.1719599,"gate":"keep/1","plans":{"more":{"changes":[{"action":"run","what":"say y","detail":""}]}}}');
INSERT INTO gennaker.events VALUES (2, 16, '{"type":"run.parked","v":1,"at":1795965469.18109,"reason":"detach"}');
INSERT INTO gennaker.events VALUES (3, 1, '{"type":"run.created","v":1,"at":1795965469.2126882,"run":"shop-3","pipeline":"shop","number":3,"title":"shop","actor":"local:ann","definition":{"name":"shop","parameters":{"what":{}},"stages":{"timer":{"uses":"t.behave","with":{"how":"timer","note":"4000000000"},"if":"params.what == ''timer''"},"ask":{"uses":"approval","with":{"message":"Go?"},"if":"params.what == ''ask''"},"again":{"uses":"t.behave","with":{"how":"raise_it"},"if":"params.what == ''again''","retry":{"limit":1,"delay":"10h","max_delay":"10h"}},"deploy":{"uses":"t.deploy","with":{"say":"x"},"if":"params.what.startsWith(''lock'')","environment":"staging"},"keep":{"uses":"approval","with":{"message":"Keep it?"},"needs":["deploy"]},"more":{"uses":"t.deploy","with":{"say":"y"},"needs":["keep"],"environment":"staging"}}},"digest":"sha256:e7377ebf8c553c8674a1aa0e0fd8d1854e56decc48efe4bb85929f92250ed032","file":"pipelines/p.yaml","parameters":{"what":"lock 1"},"source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:faf2429d63e2e950b60f659dffe06dda407b632cad3549efb1c5996a4fd0391e"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop"}');
INSERT INTO gennaker.events VALUES (3, 2, '{"type":"run.started","v":1,"at":1795965469.2126882}');
INSERT INTO gennaker.events VALUES (3, 3, '{"type":"run.adopted","v":1,"at":1795965469.2306805,"owner":"ann@builder pid 9246","actor":"local:ann"}');
INSERT INTO gennaker.events VALUES (3, 4, '{"type":"stage.skipped","v":1,"at":1795965469.2306805,"instance":"timer","cause":"condition","detail":{"expression":"params.what == ''timer''","values":{"params.what":"lock 1"}}}');
INSERT INTO gennaker.events VALUES (3, 5, '{"type":"stage.skipped","v":1,"at":1795965469.2306805,"instance":"ask","cause":"condition","detail":{"expression":"params.what == ''ask''","values":{"params.what":"lock 1"}}}');
INSERT INTO gennaker.events VALUES (3, 6, '{"type":"stage.skipped","v":1,"at":1795965469.2306805,"instance":"again","cause":"condition","detail":{"expression":"params.what == ''again''","values":{"params.what":"lock 1"}}}');
INSERT INTO gennaker.events VALUES (3, 7, '{"type":"stage.resolved","v":1,"at":1795965469.2306805,"instance":"deploy","inputs":{"say":"x"},"environment":{"name":"staging","target":"place","settings":{"folder":"staging"},"variables":{"host":"one"},"url":null,"namespace":"staging","secrets":{},"approval":null},"effect":"deploy"}');
INSERT INTO gennaker.events VALUES (3, 8, '{"type":"lock.requested","v":1,"at":1795965469.2306805,"environment":"staging","instance":"deploy"}');
INSERT INTO gennaker.events VALUES (3, 9, '{"type":"lock.acquired","v":1,"at":1795965469.2306805,"environment":"staging"}');
INSERT INTO gennaker.events VALUES (3, 10, '{"type":"attempt.started","v":1,"at":1795965469.2306805,"instance":"deploy","attempt":1}');
INSERT INTO gennaker.events VALUES (3, 11, '{"type":"attempt.ended","v":1,"at":1795965469.2576177,"instance":"deploy","attempt":1,"outcome":"succeeded","outputs":{"said":"x"}}');
INSERT INTO gennaker.events VALUES (3, 12, '{"type":"stage.resolved","v":1,"at":1795965469.2576177,"instance":"keep","inputs":{"message":"Keep it?"}}');
INSERT INTO gennaker.events VALUES (3, 13, '{"type":"attempt.started","v":1,"at":1795965469.2576177,"instance":"keep","attempt":1}');
INSERT INTO gennaker.events VALUES (3, 14, '{"type":"attempt.waiting","v":1,"at":1795965469.2720475,"instance":"keep","attempt":1,"on":{"kind":"decision","message":"Keep it?","approvers":[],"required":1,"self_allowed":true,"inputs":{}}}');
INSERT INTO gennaker.events VALUES (3, 15, '{"type":"approval.requested","v":1,"at":1795965469.2720475,"gate":"keep/1","stage":"keep","message":"Keep it?","subject":[{"id":"more","uses":"t.deploy","inputs":{"say":"y"},"environment":{"name":"staging","target":"place","settings":{"folder":"staging"},"variables":{"host":"one"},"url":null}}],"digest":"sha256:48e022acb447d02a0df60b1c859a4b995273524ee02c260ef16b5406dc9e9877"}');
INSERT INTO gennaker.events VALUES (3, 16, '{"type":"approval.planned","v":1,"at":1795965469.2822454,"gate":"keep/1","plans":{"more":{"changes":[{"action":"run","what":"say y","detail":""}]}}}');
INSERT INTO gennaker.events VALUES (3, 17, '{"type":"run.parked","v":1,"at":1795965469.2937195,"reason":"detach"}');
INSERT INTO gennaker.events VALUES (4, 1, '{"type":"run.created","v":1,"at":1795965469.3232503,"run":"shop-4","pipeline":"shop","number":4,"title":"shop","actor":"local:ann","definition":{"name":"shop","parameters":{"what":{}},"stages":{"timer":{"uses":"t.behave","with":{"how":"timer","note":"4000000000"},"if":"params.what == ''timer''"},"ask":{"uses":"approval","with":{"message":"Go?"},"if":"params.what == ''ask''"},"again":{"uses":"t.behave","with":{"how":"raise_it"},"if":"params.what == ''again''","retry":{"limit":1,"delay":"10h","max_delay":"10h"}},"deploy":{"uses":"t.deploy","with":{"say":"x"},"if":"params.what.startsWith(''lock'')","environment":"staging"},"keep":{"uses":"approval","with":{"message":"Keep it?"},"needs":["deploy"]},"more":{"uses":"t.deploy","with":{"say":"y"},"needs":["keep"],"environment":"staging"}}},"digest":"sha256:e7377ebf8c553c8674a1aa0e0fd8d1854e56decc48efe4bb85929f92250ed032","file":"pipelines/p.yaml","parameters":{"what":"lock 2"},"source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:faf2429d63e2e950b60f659dffe06dda407b632cad3549efb1c5996a4fd0391e"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop"}');
INSERT INTO gennaker.events VALUES (4, 2, '{"type":"run.started","v":1,"at":1795965469.3232503}');
INSERT INTO gennaker.events VALUES (4, 3, '{"type":"run.adopted","v":1,"at":1795965469.3426852,"owner":"ann@builder pid 9246","actor":"local:ann"}');
INSERT INTO gennaker.events VALUES (4, 4, '{"type":"stage.skipped","v":1,"at":1795965469.3426852,"instance":"timer","cause":"condition","detail":{"expression":"params.what == ''timer''","values":{"params.what":"lock 2"}}}');
INSERT INTO gennaker.events VALUES (4, 5, '{"type":"stage.skipped","v":1,"at":1795965469.3426852,"instance":"ask","cause":"condition","detail":{"expression":"params.what == ''ask''","values":{"params.what":"lock 2"}}}');
INSERT INTO gennaker.events VALUES (4, 6, '{"type":"stage.skipped","v":1,"at":1795965469.3426852,"instance":"again","cause":"condition","detail":{"expression":"params.what == ''again''","values":{"params.what":"lock 2"}}}');
INSERT INTO gennaker.events VALUES (4, 7, '{"type":"stage.resolved","v":1,"at":1795965469.3426852,"instance":"deploy","inputs":{"say":"x"},"environment":{"name":"staging","target":"place","settings":{"folder":"staging"},"variables":{"host":"one"},"url":null,"namespace":"staging","secrets":{},"approval":null},"effect":"deploy"}');
INSERT INTO gennaker.events VALUES (4, 8, '{"type":"lock.requested","v":1,"at":1795965469.3426852,"environment":"staging","instance":"deploy"}');
INSERT INTO gennaker.events VALUES (4, 9, '{"type":"run.parked","v":1,"at":1795965469.3484716,"reason":"detach"}');
INSERT INTO gennaker.events VALUES (5, 1, '{"type":"run.created","v":1,"at":1795965469.3883593,"run":"shop-5","pipeline":"shop","number":5,"title":"shop","actor":"local:ann","definition":{"name":"shop","parameters":{"what":{}},"stages":{"timer":{"uses":"t.behave","with":{"how":"timer","note":"4000000000"},"if":"params.what == ''timer''"},"ask":{"uses":"approval","with":{"message":"Go?"},"if":"params.what == ''ask''"},"again":{"uses":"t.behave","with":{"how":"raise_it"},"if":"params.what == ''again''","retry":{"limit":1,"delay":"10h","max_delay":"10h"}},"deploy":{"uses":"t.deploy","with":{"say":"x"},"if":"params.what.startsWith(''lock'')","environment":"staging"},"keep":{"uses":"approval","with":{"message":"Keep it?"},"needs":["deploy"]},"more":{"uses":"t.deploy","with":{"say":"y"},"needs":["keep"],"environment":"staging"}}},"digest":"sha256:e7377ebf8c553c8674a1aa0e0fd8d1854e56decc48efe4bb85929f92250ed032","file":"pipelines/p.yaml","parameters":{"what":"again"},"source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:faf2429d63e2e950b60f659dffe06dda407b632cad3549efb1c5996a4fd0391e"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop"}');
INSERT INTO gennaker.events VALUES (5, 2, '{"type":"run.started","v":1,"at":1795965469.3883593}');
INSERT INTO gennaker.events VALUES (5, 3, '{"type":"run.adopted","v":1,"at":1795965469.4111311,"owner":"ann@builder pid 9246","actor":"local:ann"}');
INSERT INTO gennaker.events VALUES (5, 4, '{"type":"stage.skipped","v":1,"at":1795965469.4111311,"instance":"timer","cause":"condition","detail":{"expression":"params.what == ''timer''","values":{"params.what":"again"}}}');
INSERT INTO gennaker.events VALUES (5, 5, '{"type":"stage.skipped","v":1,"at":1795965469.4111311,"instance":"ask","cause":"condition","detail":{"expression":"params.what == ''ask''","values":{"params.what":"again"}}}');
INSERT INTO gennaker.events VALUES (5, 6, '{"type":"stage.resolved","v":1,"at":1795965469.4111311,"instance":"again","inputs":{"how":"raise_it"}}');
INSERT INTO gennaker.events VALUES (5, 7, '{"type":"stage.skipped","v":1,"at":1795965469.4111311,"instance":"deploy","cause":"condition","detail":{"expression":"params.what.startsWith(''lock'')","values":{"params.what":"again"}}}');
INSERT INTO gennaker.events VALUES (5, 8, '{"type":"attempt.started","v":1,"at":1795965469.4111311,"instance":"again","attempt":1}');
INSERT INTO gennaker.events VALUES (5, 9, '{"type":"stage.resolved","v":1,"at":1795965469.4111311,"instance":"keep","inputs":{"message":"Keep it?"}}');
INSERT INTO gennaker.events VALUES (5, 10, '{"type":"attempt.started","v":1,"at":1795965469.4111311,"instance":"keep","attempt":1}');
INSERT INTO gennaker.events VALUES (5, 11, '{"type":"attempt.waiting","v":1,"at":1795965469.4310179,"instance":"keep","attempt":1,"on":{"kind":"decision","message":"Keep it?","approvers":[],"required":1,"self_allowed":true,"inputs":{}}}');
INSERT INTO gennaker.events VALUES (5, 12, '{"type":"approval.requested","v":1,"at":1795965469.4310179,"gate":"keep/1","stage":"keep","message":"Keep it?","subject":[{"id":"more","uses":"t.deploy","inputs":{"say":"y"},"environment":{"name":"staging","target":"place","settings":{"folder":"staging"},"variables":{"host":"one"},"url":null}}],"digest":"sha256:48e022acb447d02a0df60b1c859a4b995273524ee02c260ef16b5406dc9e9877"}');
INSERT INTO gennaker.events VALUES (5, 13, '{"type":"attempt.ended","v":1,"at":1795965469.4458165,"instance":"again","attempt":1,"outcome":"errored","code":"stage-raised","reason":"ValueError: out of","retry_at":1795987839.795264}');
INSERT INTO gennaker.events VALUES (5, 14, '{"type":"approval.planned","v":1,"at":1795965469.461512,"gate":"keep/1","plans":{"more":{"changes":[{"action":"run","what":"say y","detail":""}]}}}');
INSERT INTO gennaker.events VALUES (5, 15, '{"type":"run.parked","v":1,"at":1795965469.461512,"reason":"SIGTERM"}');
INSERT INTO gennaker.events VALUES (6, 1, '{"type":"run.created","v":1,"at":1795965469.4802904,"run":"shop-6","pipeline":"shop","number":6,"title":"shop","actor":"local:ann","definition":{"name":"shop","parameters":{"what":{}},"stages":{"timer":{"uses":"t.behave","with":{"how":"timer","note":"4000000000"},"if":"params.what == ''timer''"},"ask":{"uses":"approval","with":{"message":"Go?"},"if":"params.what == ''ask''"},"again":{"uses":"t.behave","with":{"how":"raise_it"},"if":"params.what == ''again''","retry":{"limit":1,"delay":"10h","max_delay":"10h"}},"deploy":{"uses":"t.deploy","with":{"say":"x"},"if":"params.what.startsWith(''lock'')","environment":"staging"},"keep":{"uses":"approval","with":{"message":"Keep it?"},"needs":["deploy"]},"more":{"uses":"t.deploy","with":{"say":"y"},"needs":["keep"],"environment":"staging"}}},"digest":"sha256:e7377ebf8c553c8674a1aa0e0fd8d1854e56decc48efe4bb85929f92250ed032","file":"pipelines/p.yaml","parameters":{"what":null},"source":{"kind":"folder","commit":null,"dirty":false,"digest":"sha256:faf2429d63e2e950b60f659dffe06dda407b632cad3549efb1c5996a4fd0391e"},"git":{"sha":"","short_sha":"","branch":"","tag":"","dirty":true,"url":""},"trigger":{"kind":"manual"},"scope":"shop"}');
INSERT INTO gennaker.events VALUES (6, 2, '{"type":"run.started","v":1,"at":1795965469.4802904}');
INSERT INTO gennaker.runs OVERRIDING SYSTEM VALUE VALUES (1, 'shop-1', 'shop', 1, 'shop', 'local:ann', 'waiting', NULL, 15, 1, 1795965469.0116923, 1795965469.0116923, NULL, 'decision', NULL, false, NULL);
INSERT INTO gennaker.runs OVERRIDING SYSTEM VALUE VALUES (2, 'shop-2', 'shop', 2, 'shop', 'local:ann', 'waiting', NULL, 16, 2, 1795965469.109001, 1795965469.109001, NULL, 'decision', NULL, false, NULL);
INSERT INTO gennaker.runs OVERRIDING SYSTEM VALUE VALUES (3, 'shop-3', 'shop', 3, 'shop', 'local:ann', 'waiting', NULL, 17, 3, 1795965469.2126882, 1795965469.2126882, NULL, 'decision', NULL, false, NULL);
INSERT INTO gennaker.runs OVERRIDING SYSTEM VALUE VALUES (4, 'shop-4', 'shop', 4, 'shop', 'local:ann', 'waiting', NULL, 9, 4, 1795965469.3232503, 1795965469.3232503, NULL, 'lock', NULL, false, NULL);
INSERT INTO gennaker.runs OVERRIDING SYSTEM VALUE VALUES (5, 'shop-5', 'shop', 5, 'shop', 'local:ann', 'waiting', NULL, 15, 5, 1795965469.3883593, 1795965469.3883593, NULL, 'decision', NULL, false, NULL);
INSERT INTO gennaker.runs OVERRIDING SYSTEM VALUE VALUES (6, 'shop-6', 'shop', 6, 'shop', 'local:ann', 'pending', NULL, 2, 6, 1795965469.4802904, 1795965469.4802904, NULL, '', NULL, false, NULL);
INSERT INTO gennaker.state VALUES (3);
SELECT pg_catalog.setval('gennaker.runs_key_seq', 6, true);
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
