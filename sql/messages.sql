-- Messages: to whom they go, what is answered, what is kept.
SELECT workflow.define('messages: one', '{"steps": [
  {"step": "paid", "wait": {"message": "messages: paid", "key": "${$.order}"}, "save": {"by": "${$event.data}", "event": "${$result.event.kind}"}},
  {"step": "open", "wait": {"message": "messages: open"}, "save": {"open": "${$result.response}"}},
  {"step": "last", "wait": true}]}');
SELECT workflow.start('messages: one', '{"order": 17}') AS i \gset
SELECT serial_number = test.waits(:i) AS same, step, kind, name, key, interrupt, since IS NOT NULL AS since FROM workflow.subscriptions WHERE instance = :i;
SELECT step, waits_for, name, key, until FROM workflow.waiting WHERE instance = :i;

-- a key is compared as text; a message without one is another, and so is one with the wrong one
SELECT workflow.send_message('messages: paid');
SELECT workflow.send_message('messages: paid', '18');
SELECT workflow.send_message('messages: paid', '');
SELECT workflow.send_message('messages: other', '17');
SELECT workflow.send_message('messages: paid', '17', '"Ada"');
SELECT data FROM workflow.instances WHERE instance = :i;
SELECT outcome, completed_by = current_user AS mine, result -> 'response' AS response, result -> 'event' -> 'name' AS name FROM workflow.history WHERE instance = :i;
SELECT workflow.send_message('messages: paid', '17');
SELECT workflow.send_message('messages: open', 'x');
SELECT workflow.send_message('messages: open', data => '[1, null]');
SELECT data -> 'open' AS open FROM workflow.instances WHERE instance = :i;
SELECT step FROM workflow.waiting WHERE instance = :i;
SELECT count(*) FROM workflow.subscriptions WHERE instance = :i;

-- ---- keys of other types: the text of the same value in JSON ----
SELECT workflow.define('messages: keys', '{"steps": [{"step": "a", "wait": {"message": "messages: keys", "key": "${$.key}"}, "save": {"got": "${$event.key}"}}]}');
CREATE FUNCTION pg_temp.keys(key jsonb) RETURNS bigint LANGUAGE sql AS $$SELECT workflow.start('messages: keys', jsonb_build_object('key', key))$$;
CREATE DOMAIN pg_temp.number AS int;
SELECT pg_temp.keys('17') AS i1, pg_temp.keys('1e20') AS i2, pg_temp.keys('2.50') AS i3, pg_temp.keys('true') AS i4, pg_temp.keys('"x y"') AS i5,
    pg_temp.keys('"2026-01-31"') AS i6, pg_temp.keys('"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"') AS i7, pg_temp.keys('"10"') AS i8, pg_temp.keys('10.0') AS i9, pg_temp.keys('0.1') AS i10,
    pg_temp.keys('18') AS i11, pg_temp.keys('19') AS i12 \gset
SELECT workflow.send_message('messages: keys', 17), workflow.send_message('messages: keys', 1e20::float8), workflow.send_message('messages: keys', 2.50),
    workflow.send_message('messages: keys', true), workflow.send_message('messages: keys', '"x y"'::jsonb);
SET datestyle = 'German';
SELECT workflow.send_message('messages: keys', date '2026-01-31');
RESET datestyle;
SELECT workflow.send_message('messages: keys', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid), workflow.send_message('messages: keys', 10::bigint),
    workflow.send_message('messages: keys', '10.0'::json), workflow.send_message('messages: keys', 0.1::float4),
    workflow.send_message('messages: keys', 18::pg_temp.number), workflow.send_message('messages: keys', key => 19, data => '1');
SELECT DISTINCT status FROM workflow.instances WHERE process = 'messages: keys';
SELECT workflow.send_message('messages: keys', '[17]'::jsonb);
SELECT workflow.send_message('messages: keys', 'null'::jsonb);
SELECT workflow.send_message('messages: keys', NULL::int), workflow.send_message('messages: keys', NULL), workflow.send_message('messages: keys', key => 20);

-- ---- a callback is nothing for what waits for a message: the error says what is ----
SELECT workflow.define('messages: other', '{"steps": [
  {"step": "a", "wait": {"message": "messages: other"}},
  {"step": "b", "first_of": [{"message": "messages: closed", "when": "$.open == true", "next": "c"}, {"signal": "messages: other", "next": "c"}, {"after": "1 h", "next": "c"}]},
  {"step": "c", "wait": {"condition": "$.go == true"}}, {"step": "d", "wait": {"until": "2100-01-01"}}]}');
SELECT workflow.start('messages: other', '{"open": false, "go": false}') AS i \gset
CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    what text;
    help text;
BEGIN
    EXECUTE statement;
    RETURN 'taken';
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    GET STACKED DIAGNOSTICS what = PG_EXCEPTION_DETAIL, help = PG_EXCEPTION_HINT;
    RETURN concat_ws(' ', what, help);
END $$;
SELECT pg_temp.refused(format('SELECT workflow.complete(%L)', test.waits(:i)));
SELECT workflow.send_message('messages: other');
SELECT pg_temp.refused(format('SELECT workflow.fail(%L)', test.waits(:i)));
SELECT workflow.move(test.waits(:i), 'c') IS NOT NULL AS moved;
SELECT pg_temp.refused(format('SELECT workflow.complete(%L)', test.waits(:i)));
SELECT workflow.move(test.waits(:i), 'd') IS NOT NULL AS moved;
SELECT pg_temp.refused(format('SELECT workflow.complete(%L)', test.waits(:i)));
SELECT workflow.cancel(:i);

-- ---- arguments ----
SELECT workflow.send_message(NULL);
SELECT workflow.send_message('');
SELECT workflow.send_message(repeat('x', 201));
SELECT workflow.send_message('messages: paid', repeat('x', 1025));
SELECT workflow.send_message('messages: paid', repeat('x', 1024));
SELECT workflow.send_message('messages: paid', ttl => '-1 s');
SELECT workflow.send_message('messages: paid', ttl => NULL);
SELECT workflow.send_message('messages: paid', ttl => '366 days');
SELECT workflow.send_message('messages: paid', message_id => '');
SELECT workflow.send_message('messages: paid', message_id => repeat('x', 1025));
SELECT workflow.send_message('messages: paid', instance => 0);
SELECT workflow.send_message('messages: paid', to_all => NULL);
BEGIN READ ONLY;
SELECT workflow.send_message('messages: paid');
ROLLBACK;

-- ---- several wait ----
SELECT workflow.start('messages: one', '{"order": 20}') AS a \gset
SELECT workflow.start('messages: one', '{"order": 20}') AS b \gset
SELECT workflow.send_message('messages: paid', '20');
SELECT workflow.send_message('messages: paid', '20', instance => :b);
SELECT step, instance = :b AS b FROM workflow.waiting WHERE instance IN (:a, :b) ORDER BY instance;
-- instance alone is enough, and is not enough where the key is wrong
SELECT workflow.send_message('messages: paid', '21', instance => :a);
SELECT workflow.send_message('messages: paid', instance => :a);
SELECT workflow.send_message('messages: open');
SELECT workflow.send_message('messages: open', data => '"all"', to_all => true);
CALL test.until($$SELECT count(*) = 2 FROM workflow.instances WHERE process = 'messages: one' AND data ->> 'open' = 'all'$$);
SELECT workflow.send_message('messages: open', to_all => true);

-- ---- in one transaction ----
BEGIN;
SELECT workflow.start('messages: one', '{"order": 30}') AS i \gset
SELECT workflow.send_message('messages: paid', '30', '"me"');
SELECT workflow.send_message('messages: open', data => '1');
SELECT workflow.complete(test.waits(:i));
SELECT status, data FROM workflow.instances WHERE instance = :i;
ROLLBACK;
-- what is rolled back was not sent
SELECT workflow.start('messages: one', '{"order": 31}') AS i \gset
BEGIN;
SELECT workflow.send_message('messages: paid', '31');
SELECT workflow.send_message('messages: paid', '32', ttl => '1 h');
ROLLBACK;
SELECT step FROM workflow.waiting WHERE instance = :i;
SELECT count(*) FROM workflow.messages WHERE name LIKE 'messages:%';
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT workflow.send_message('messages: paid', '31');
COMMIT;

-- ---- kept ----
SELECT workflow.send_message('messages: paid', '40', '"first"', ttl => '1 h');
SELECT workflow.send_message('messages: paid', '40', '"second"', ttl => '1 h');
SELECT name, key, message_id, sender = current_user AS mine, expires_at - sent_at AS ttl, data FROM workflow.messages ORDER BY message;
SELECT labels, value FROM workflow.metrics WHERE name = 'messages';
SELECT workflow.start('messages: one', '{"order": 40}') AS i \gset
CALL test.arrive(:i, 'open');
SELECT data ->> 'by' AS by FROM workflow.instances WHERE instance = :i;
SELECT data FROM workflow.messages;
-- who waits already, gets a message at once: unless an earlier one is kept
SELECT workflow.start('messages: one', '{"order": 40}') AS i \gset
CALL test.arrive(:i, 'open');
SELECT data ->> 'by' AS by FROM workflow.instances WHERE instance = :i;
SELECT count(*) FROM workflow.messages;
-- for an instance
SELECT workflow.send_message('messages: open', data => '"for him"', ttl => '1 h', instance => :i + 1);
SELECT workflow.start('messages: one', '{"order": 41}') AS j \gset
SELECT :i + 1 = :j AS next;
SELECT workflow.send_message('messages: open', data => '"now"', instance => :i);
SELECT workflow.send_message('messages: paid', '41');
CALL test.arrive(:j, 'last');
SELECT data ->> 'open' AS open FROM workflow.instances WHERE instance IN (:i, :j) ORDER BY instance;
-- expired
SELECT workflow.send_message('messages: paid', '50', ttl => '1 ms');
SELECT pg_sleep(0.05);
SELECT workflow.start('messages: one', '{"order": 50}') AS i \gset
SELECT pg_sleep(0.3);
SELECT step FROM workflow.waiting WHERE instance = :i;
SELECT count(*) FROM workflow.messages;
-- nobody names it
SELECT workflow.send_message('messages: nobody', ttl => '1 h');
-- taken back by its sender: nobody gets it, and it can be sent again
SELECT workflow.send_message('messages: paid', '51', ttl => '1 h', message_id => 'back');
SELECT message FROM workflow.messages WHERE key = '51' \gset
BEGIN;
SELECT workflow.withdraw_message(:message);
ROLLBACK;
CREATE ROLE messages_other;
GRANT USAGE ON SCHEMA workflow TO messages_other;
SET ROLE messages_other;
SELECT workflow.withdraw_message(:message);
RESET ROLE;
DROP OWNED BY messages_other;
DROP ROLE messages_other;
SELECT workflow.withdraw_message(:message);
SELECT workflow.withdraw_message(:message);
SELECT workflow.withdraw_message(NULL);
SELECT workflow.start('messages: one', '{"order": 51}') AS i \gset
SELECT workflow.send_message('messages: open', instance => :i), count(*) FROM workflow.messages;
SELECT workflow.send_message('messages: paid', '51', message_id => 'back');
SELECT step FROM workflow.waiting WHERE instance = :i;
-- to all, kept: those that wait when the first does
SELECT workflow.send_message('messages: paid', '60', ttl => '1 h', to_all => true);
BEGIN;
SELECT count(workflow.start('messages: one', '{"order": 60}')) FROM generate_series(1, 3);
COMMIT;
CALL test.until($$SELECT count(*) = 3 FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE i.data ->> 'order' = '60' AND w.step = 'open'$$);
SELECT count(*) FROM workflow.messages;

-- ---- message_id ----
SELECT workflow.send_message('messages: paid', '70', message_id => 'a');
-- nobody got it, so it can be sent again
SELECT workflow.start('messages: one', '{"order": 70}') AS i \gset
SELECT workflow.send_message('messages: paid', '70', message_id => 'a');
SELECT workflow.send_message('messages: paid', '70', message_id => 'a');
SELECT workflow.send_message('messages: paid', '71', message_id => 'a', ttl => '1 h');
SELECT workflow.send_message('messages: open', message_id => 'a', instance => :i);
-- kept, and delivered later
SELECT workflow.send_message('messages: paid', '72', message_id => 'b', ttl => '1 h');
SELECT workflow.send_message('messages: paid', '72', message_id => 'b', ttl => '1 h');
SELECT message_id FROM workflow.messages;
SELECT workflow.start('messages: one', '{"order": 72}') AS i \gset
CALL test.arrive(:i, 'open');
SELECT workflow.send_message('messages: paid', '72', message_id => 'b', ttl => '1 h');
SELECT count(*) FROM workflow.messages;
-- an ambiguous one is not remembered
SELECT workflow.start('messages: one', '{"order": 73}') AS a, workflow.start('messages: one', '{"order": 73}') AS b \gset
SELECT test.try($$SELECT workflow.send_message('messages: paid', '73', message_id => 'c')$$);
SELECT workflow.send_message('messages: paid', '73', message_id => 'c', to_all => true);
SELECT workflow.send_message('messages: paid', '73', message_id => 'c', to_all => true);
-- nor one that has expired undelivered
SELECT workflow.send_message('messages: paid', '74', message_id => 'd', ttl => '1 ms');
SELECT pg_sleep(0.05);
SELECT workflow.send_message('messages: paid', '74', message_id => 'd', ttl => '1 h');
SELECT workflow.send_message('messages: paid', '74', message_id => 'd', ttl => '1 h');

-- ---- a receiver that is suspended ----
SELECT workflow.start('messages: one', '{"order": 80}') AS i \gset
SELECT workflow.suspend(:i);
SELECT workflow.send_message('messages: paid', '80', '"queued"');
-- the wait is taken
SELECT workflow.send_message('messages: paid', '80');
SELECT workflow.send_message('messages: paid', '80', '"kept"', ttl => '1 h');
SELECT workflow.resume(:i);
CALL test.arrive(:i, 'open');
SELECT data ->> 'by' AS by FROM workflow.instances WHERE instance = :i;
SELECT key, data FROM workflow.messages WHERE key = '80';
SELECT workflow.start('messages: one', '{"order": 80}') AS i \gset
CALL test.arrive(:i, 'open');
SELECT data ->> 'by' AS by FROM workflow.instances WHERE instance = :i;
-- the time of a message runs on meanwhile, and it can be sent again then
SELECT workflow.start('messages: one', '{"order": 81}') AS i \gset
SELECT workflow.suspend(:i);
SELECT workflow.send_message('messages: paid', '81', '"late"', ttl => '10 ms', message_id => 'e');
CALL test.until(format($$SELECT EXISTS (SELECT FROM workflow_data.delivery WHERE instance = %s AND queue = 'suspended')$$, :i));
SELECT pg_sleep(0.05);
SELECT workflow.resume(:i);
CALL test.until(format($$SELECT NOT EXISTS (SELECT FROM workflow_data.delivery WHERE instance = %s)$$, :i));
SELECT step FROM workflow.waiting WHERE instance = :i;
SELECT workflow.send_message('messages: paid', '81', '"again"', ttl => '1 h', message_id => 'e');
-- one whose wait ends while it is on its way goes to the next, as long as it is kept
SELECT workflow.start('messages: one', '{"order": 82}') AS i \gset
SELECT workflow.suspend(:i);
SELECT workflow.send_message('messages: paid', '82', '"moved on"', ttl => '1 h', message_id => 'f');
SELECT message_id, expires_at > now() AS kept FROM workflow.messages WHERE key = '82';
SELECT workflow.cancel(:i);
SELECT workflow.start('messages: one', '{"order": 82}') AS i \gset
CALL test.arrive(:i, 'open');
SELECT data ->> 'by' AS by FROM workflow.instances WHERE instance = :i;
SELECT workflow.send_message('messages: paid', '82', message_id => 'f');
-- and without a ttl to nobody
SELECT workflow.start('messages: one', '{"order": 83}') AS i \gset
SELECT workflow.suspend(:i);
SELECT workflow.send_message('messages: paid', '83', message_id => 'g');
SELECT workflow.cancel(:i);
CALL test.until(format($$SELECT NOT EXISTS (SELECT FROM workflow_data.delivery WHERE instance = %s)$$, :i));
SELECT workflow.send_message('messages: paid', '83', message_id => 'g');
-- one that has expired while it was held there can be sent again at once, and is what arrives
SELECT workflow.start('messages: one', '{"order": 84}') AS i \gset
SELECT workflow.suspend(:i);
SELECT workflow.send_message('messages: paid', '84', '"expired"', ttl => '10 ms', message_id => 'h');
CALL test.until(format($$SELECT EXISTS (SELECT FROM workflow_data.delivery WHERE instance = %s AND queue = 'suspended')$$, :i));
SELECT pg_sleep(0.05);
SELECT workflow.send_message('messages: paid', '84', '"again"', ttl => '1 h', message_id => 'h');
SELECT workflow.send_message('messages: paid', '84', '"again"', ttl => '1 h', message_id => 'h');
SELECT workflow.resume(:i);
CALL test.arrive(:i, 'open');
SELECT data ->> 'by' AS by FROM workflow.instances WHERE instance = :i;
SELECT workflow.send_message('messages: paid', '84', '"again"', ttl => '1 h', message_id => 'h');
-- what was on its way to one that is over goes to one that waited before it, as soon as that is free
SELECT workflow.start('messages: one', '{"order": 85}') AS a \gset
SELECT workflow.suspend(:a);
SELECT workflow.send_message('messages: paid', '85', '"expires"', ttl => '10 ms');
SELECT workflow.start('messages: one', '{"order": 85}') AS b \gset
SELECT workflow.suspend(:b);
SELECT workflow.send_message('messages: paid', '85', '"for the second"', ttl => '1 h');
SELECT workflow.cancel(:b);
CALL test.until(format($$SELECT EXISTS (SELECT FROM workflow_data.delivery WHERE instance = %s AND queue = 'suspended')$$, :a));
SELECT pg_sleep(0.1);
SELECT workflow.resume(:a);
CALL test.arrive(:a, 'open');
SELECT data ->> 'by' AS by FROM workflow.instances WHERE instance = :a;

-- ---- what nobody has to look at ----
-- waits that have theirs, while they are suspended
BEGIN;
SELECT count(workflow.start('messages: one', '{"order": 86}')) FROM generate_series(1, 300);
COMMIT;
SELECT workflow.suspend_process('messages: one') > 0 AS suspended;
SELECT workflow.send_message('messages: paid', '86', to_all => true);
CALL test.until($$SELECT count(*) = 300 FROM workflow_data.delivery d JOIN workflow_data.instance i USING (instance) WHERE i.data ->> 'order' = '86' AND d.queue = 'suspended'$$);
BEGIN;
SELECT idx_tup_fetch AS before FROM pg_stat_xact_user_tables WHERE relid = 'workflow_data.subscription'::regclass \gset
SELECT workflow.send_message('messages: paid', '86', ttl => '1 min');
SELECT idx_tup_fetch - :before < 50 AS few FROM pg_stat_xact_user_tables WHERE relid = 'workflow_data.subscription'::regclass;
ROLLBACK;
SELECT workflow.resume_process('messages: one') > 0 AS resumed;
CALL test.until($$SELECT count(*) = 300 FROM workflow.visits v JOIN workflow.instances i USING (instance) WHERE i.data ->> 'order' = '86' AND v.step = 'open'$$);
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE data ->> 'order' = '86' AND ended_at IS NULL;
-- messages that are only remembered
BEGIN;
INSERT INTO workflow_data.message (name, key, keyed, message_id, role, role_name, to_all, steps, sent_at, expires_at, delivered_at, remembered_until)
    SELECT 'messages: many', '', false, 'id ' || n, 'postgres'::regrole, 'postgres', false, 0, now(), now() + interval '1 h', now(), now() + interval '1 d' FROM generate_series(1, 20000) n;
ANALYZE workflow_data.message;
DO $$
DECLARE line text; plan text;
BEGIN
    FOREACH plan IN ARRAY ARRAY['SELECT count(*) FROM workflow.messages', $q$SELECT * FROM workflow.metrics WHERE name = 'messages'$q$] LOOP
        FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || plan LOOP
            IF line LIKE '% on message m%' THEN RAISE NOTICE '%', trim(line, ' ->'); END IF;
        END LOOP;
    END LOOP;
END $$;
ROLLBACK;

-- ---- handlers ----
SELECT workflow.define('messages: handlers', '{"data": {"n": 0}, "steps": [{"step": "work", "wait": true, "catch": [
    {"message": "messages: note", "key": "${$.order}", "interrupt": false, "save": {"n": "${$.n + 1}", "last": "${$caught.event.data}"}, "next": "noted"},
    {"message": "messages: stop", "key": "${$.order}", "save": {"why": "${$event.data}"}, "next": "stopped"}]},
  {"step": "stopped", "wait": true}, {"step": "noted", "set": {"noted": true}, "end": true}]}');
SELECT workflow.start('messages: handlers', '{"order": "x"}') AS i \gset
SELECT kind, name, key, interrupt FROM workflow.subscriptions WHERE instance = :i ORDER BY name;
SELECT name FROM workflow.waiting WHERE instance = :i;
SELECT workflow.send_message('messages: note', 'x', '1');
SELECT workflow.send_message('messages: note', 'x', '2');
SELECT workflow.send_message('messages: stop', 'x', '"enough"');
SELECT workflow.send_message('messages: note', 'x', '3');
SELECT w.step, i.data FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE instance = :i;
-- one that stays has all that were kept for it, in their order
SELECT count(workflow.send_message('messages: note', 'y', to_jsonb(n), ttl => '1 h')) FROM generate_series(1, 100) n;
SELECT workflow.start('messages: handlers', '{"order": "y"}') AS i \gset
CALL test.until($$SELECT data -> 'n' = '100' FROM workflow.instances WHERE process = 'messages: handlers' AND data ->> 'order' = 'y'$$);
SELECT data -> 'last' AS last FROM workflow.instances WHERE instance = :i;
SELECT count(*) FROM workflow.messages WHERE name = 'messages: note';

-- a wait that loops gets them one by one
SELECT workflow.define('messages: loop', '{"data": {"all": ""}, "steps": [
  {"step": "next", "wait": {"message": "messages: next"}, "save": {"all": "${$.all}${$event.data}", "last": "${$event.data}"}, "choose": [{"when": "$.last == \"z\"", "next": "done"}, {"next": "next"}]},
  {"step": "done", "wait": true}]}');
SELECT string_agg(DISTINCT workflow.send_message('messages: next', data => to_jsonb(chr(n)), ttl => '1 h'), ' ') FROM generate_series(97, 122) n;
SELECT workflow.start('messages: loop') AS i \gset
CALL test.arrive(:i, 'done');
SELECT data ->> 'all' AS all FROM workflow.instances WHERE instance = :i;

-- ---- erasing; upkeep ----
SELECT workflow.start('messages: one', '{"order": 90}') AS i \gset
SELECT workflow.send_message('messages: open', data => '"secret"', ttl => '1 h', instance => :i);
SELECT workflow.cancel(:i);
SELECT workflow.erase(:i);
SELECT count(*) FROM workflow.messages WHERE data = '"secret"';
UPDATE workflow_data.message SET expires_at = sent_at WHERE delivered_at IS NULL;
UPDATE workflow_data.message SET remembered_until = sent_at WHERE message_id = 'a' AND name = 'messages: paid';
UPDATE workflow_data.delivery SET due_at = now() WHERE kind = 'maintain';
SELECT workflow.define('messages: upkeep', '{"steps": [{"step": "one", "sql": "SELECT 1"}]}');
SELECT workflow.start('messages: upkeep') > 0 AS started;
CALL test.until($$SELECT NOT EXISTS (SELECT FROM workflow_data.message WHERE name LIKE 'messages:%' AND delivered_at IS NULL)$$);
SELECT name, message_id, data, delivered_at IS NOT NULL AS delivered FROM workflow_data.message WHERE name LIKE 'messages:%' ORDER BY message_id;
SELECT count(workflow.cancel(instance)) > 0 AS cancelled FROM workflow.instances WHERE process LIKE 'messages:%' AND ended_at IS NULL;
SELECT count(*) FROM workflow.subscriptions WHERE process LIKE 'messages:%';
