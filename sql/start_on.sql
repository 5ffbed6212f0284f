-- Messages that start an instance.
SELECT workflow.define('start_on: order', '{"data": {"paid": false, "from": "shop"}, "start_on": [
  {"message": "start_on: ordered", "business_key": "${$event.data.id}"},
  {"message": "start_on: ordered", "key": "urgent", "business_key": "${$process}/${$event.kind}/${$event.name}/${$event.key}/${$.id}/${$.from}", "step": "call"},
  {"message": "start_on: plain", "step": "call"}],
  "steps": [{"step": "read", "wait": true}, {"step": "call", "wait": true}]}');
SELECT * FROM workflow.message_starts WHERE process LIKE 'start_on: %' ORDER BY name, key;
CREATE FUNCTION pg_temp.started(p text DEFAULT 'start_on: %') RETURNS TABLE (process text, business_key text, status text, step text, data jsonb)
    LANGUAGE sql AS $$
    SELECT i.process, i.business_key, i.status, (SELECT string_agg(v.step, ', ' ORDER BY v.visit) FROM workflow_data.visit v WHERE v.instance = i.instance), i.data
    FROM workflow.instances i WHERE i.process LIKE p AND ended_at IS NULL ORDER BY i.instance $$;
CREATE FUNCTION pg_temp.end_all() RETURNS bigint LANGUAGE sql AS
    $$SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'start_on: %' AND ended_at IS NULL$$;

-- its data are the message's, over the defaults; keys are as for waits
SELECT workflow.send_message('start_on: ordered', data => '{"id": 17, "from": "Ada"}');
SELECT workflow.send_message('start_on: ordered', 'urgent', '{"id": "x"}');
SELECT workflow.send_message('start_on: ordered', 'other', '{"id": 18}');
SELECT workflow.send_message('start_on: ordered', '', '{"id": 18}');
SELECT workflow.send_message('start_on: plain');
SELECT workflow.send_message('start_on: plain', 'urgent');
SELECT * FROM pg_temp.started();

-- ---- what can start none ----
SELECT test.try($$SELECT workflow.send_message('start_on: ordered', data => '{"id": 17}')$$);
\set VERBOSITY terse
SELECT workflow.send_message('start_on: ordered', data => '{"id": 17}', ttl => '1 h');
\set VERBOSITY default
SELECT workflow.send_message('start_on: ordered');
SELECT workflow.send_message('start_on: ordered', data => '{"id": null}');
SELECT workflow.send_message('start_on: ordered', data => '{"id": [1]}');
SELECT workflow.send_message('start_on: ordered', data => jsonb_build_object('id', repeat('x', 2001)));
SELECT workflow.send_message('start_on: plain', data => '7');
SELECT workflow.send_message('start_on: plain', data => '[]', ttl => '1 h');
SELECT workflow.send_message('start_on: plain', data => 'null', message_id => 'bad');
SELECT test.try($$SELECT workflow.send_message('start_on: plain', data => '7')$$), test.try($$SELECT workflow.send_message('start_on: ordered')$$);
SELECT count(*) FROM workflow.messages WHERE name LIKE 'start_on: %';
-- one that is for an instance starts none
SELECT workflow.send_message('start_on: plain', instance => max(instance)) FROM workflow.instances;
SELECT pg_temp.end_all();

-- ---- in a transaction, and twice ----
BEGIN;
SELECT workflow.send_message('start_on: ordered', data => '{"id": 1}', message_id => 'one');
SELECT workflow.send_message('start_on: ordered', data => '{"id": 1}', message_id => 'one');
SELECT workflow.send_message('start_on: ordered', data => '{"id": 2}');
SELECT count(*) FROM pg_temp.started();
ROLLBACK;
SELECT count(*) FROM pg_temp.started();
SELECT workflow.send_message('start_on: ordered', data => '{"id": 1}', message_id => 'one');
SELECT workflow.send_message('start_on: ordered', data => '{"id": 1}', message_id => 'one');
SELECT workflow.send_message('start_on: ordered', data => '{"id": 1}', message_id => 'one', ttl => '1 h');
SELECT workflow.send_message('start_on: plain', message_id => 'two', ttl => '1 h');
SELECT business_key, step FROM pg_temp.started();
SELECT count(*) FROM workflow.messages WHERE name LIKE 'start_on: %';
-- the same key in one transaction
BEGIN;
SELECT workflow.send_message('start_on: ordered', data => '{"id": 3}');
\set VERBOSITY terse
SELECT workflow.send_message('start_on: ordered', data => '{"id": 3}');
\set VERBOSITY default
ROLLBACK;
SELECT pg_temp.end_all();

-- ---- who waits comes first ----
SELECT workflow.define('start_on: waits', '{"start_on": [{"message": "start_on: next"}], "data": {"n": 1},
  "steps": [{"step": "next", "wait": {"message": "start_on: next"}, "save": {"n": "${$.n + 1}"}}, {"step": "last", "wait": true}]}');
SELECT workflow.send_message('start_on: next');
SELECT step, data FROM pg_temp.started();
SELECT workflow.send_message('start_on: next');
SELECT step, data FROM pg_temp.started();
SELECT workflow.send_message('start_on: next');
SELECT step, data FROM pg_temp.started();
-- to all: those that wait, and those that start on it
SELECT workflow.define('start_on: waits too', '{"start_on": [{"message": "start_on: next"}], "steps": [{"step": "here", "wait": true}]}');
SELECT workflow.send_message('start_on: next', to_all => true);
CALL test.until($$SELECT count(*) = 4 AND bool_and(step IN ('last', 'next', 'here')) AND count(*) FILTER (WHERE step = 'last') = 2 FROM workflow.visits WHERE process LIKE 'start_on: %'$$);
SELECT process, step, data FROM pg_temp.started() ORDER BY process, step, data;
SELECT pg_temp.end_all();
-- several processes
SELECT workflow.send_message('start_on: next');
SELECT workflow.send_message('start_on: next', data => '[]', to_all => true);
SELECT workflow.send_message('start_on: next', data => '{"n": 7}', to_all => true);
CALL test.until($$SELECT count(*) = 2 FROM workflow.visits WHERE process LIKE 'start_on: %'$$);
SELECT process, step, data FROM pg_temp.started() ORDER BY process, step, data;
SELECT pg_temp.end_all();

-- ---- latest version, undefine, suspended ----
SELECT workflow.define('start_on: waits too', '{"start_on": [{"message": "start_on: later", "key": 7}], "steps": [{"step": "here", "wait": true}]}');
SELECT workflow.send_message('start_on: next');
SELECT workflow.send_message('start_on: later', '7');
SELECT process, step FROM pg_temp.started();
SELECT pg_temp.end_all();
SELECT workflow.undefine('start_on: waits too');
SELECT workflow.send_message('start_on: later', '7');
SELECT name, process FROM workflow.message_starts WHERE process LIKE 'start_on: waits%';
SELECT workflow.define('start_on: waits too', '{"start_on": [{"message": "start_on: later", "key": 7}], "steps": [{"step": "here", "wait": true}]}');
SELECT workflow.suspend_process('start_on: waits too') AS suspended;
SELECT workflow.send_message('start_on: later', '7');
SELECT process, status, step FROM pg_temp.started('start_on: waits too');
SELECT workflow.resume_process('start_on: waits too') > 0 AS resumed;
SELECT process, status, step FROM pg_temp.started('start_on: waits too');
SELECT pg_temp.end_all();
-- a process as a scope, begun in the middle; and a join there
SELECT workflow.define('start_on: scope', '{"start_on": [{"message": "start_on: scope", "step": "mid"}, {"message": "start_on: join", "step": "d"}], "timeout": "1 day",
  "steps": [{"step": "a", "next": ["d", "mid"]}, {"step": "mid", "wait": true, "next": "d"}, {"step": "d", "join": "all", "next": "e"}, {"step": "e", "wait": true}]}');
SELECT workflow.send_message('start_on: scope'), workflow.send_message('start_on: join');
SELECT step FROM pg_temp.started('start_on: scope');
SELECT count(workflow.complete(serial_number)) FROM workflow.waiting WHERE process = 'start_on: scope' AND step = 'mid';
SELECT step FROM pg_temp.started('start_on: scope');
SELECT pg_temp.end_all();

-- ---- steps that send: an executor starts it ----
SELECT workflow.define('start_on: sender', '{"steps": [
  {"step": "send", "send": {"message": "start_on: ordered", "data": "${$.what}", "message_id": "${$.mid}"}, "save_reply": {"said": "${$reply}"}},
  {"step": "done", "wait": true}]}');
SELECT workflow.define('start_on: plain sender', '{"steps": [
  {"step": "send", "send": {"message": "start_on: ordered", "data": "${$.what}"}, "save_reply": {"said": "${$reply}"}},
  {"step": "done", "wait": true}]}');
SELECT workflow.start('start_on: plain sender', '{"what": {"id": 40}}') AS a \gset
SELECT step FROM workflow.visits WHERE instance = :a;
CALL test.until($$SELECT count(*) = 1 FROM workflow.instances WHERE process = 'start_on: order' AND business_key = '40' AND ended_at IS NULL$$);
SELECT workflow.start('start_on: sender', '{"what": {"id": 41}, "mid": "m 41"}') AS b \gset
CALL test.arrive(:b, 'done');
CALL test.until($$SELECT count(*) = 1 FROM workflow.instances WHERE process = 'start_on: order' AND business_key = '41' AND ended_at IS NULL$$);
SELECT workflow.start('start_on: sender', '{"what": {"id": 41}, "mid": "m 41"}') AS c \gset
CALL test.arrive(:c, 'done');
SELECT data -> 'said' AS said FROM workflow.instances WHERE instance IN (:a, :b, :c) ORDER BY instance;
SELECT count(*) FROM workflow_data.message WHERE name LIKE 'start_on: %' AND delivered_at IS NULL;
-- what starts none is the sender's fault
SELECT workflow.start('start_on: plain sender', '{"what": {"id": 40}}') AS d \gset
SELECT workflow.start('start_on: plain sender', '{"what": 7}') AS e \gset
SELECT workflow.start('start_on: plain sender', '{"what": {}}') AS f \gset
SELECT workflow.start('start_on: sender', '{"what": {"id": 40}, "mid": "m 42"}') AS g \gset
CALL test.until(format('SELECT EXISTS (SELECT FROM workflow.incidents WHERE instance = %s)', :g));
SELECT step, error ->> 'code' AS code, regexp_replace(error ->> 'message', '[0-9]+$', 'N') AS message FROM workflow.incidents WHERE instance IN (:d, :e, :f, :g) ORDER BY instance;
SELECT workflow.define('start_on: second', '{"start_on": [{"message": "start_on: ordered"}], "steps": [{"step": "here", "wait": true}]}');
SELECT workflow.retry(test.stands(:e));
SELECT step, error ->> 'code' AS code, error ->> 'message' AS message FROM workflow.incidents WHERE instance = :e;
SELECT workflow.undefine('start_on: second');
-- one whose message_id went to nobody can be sent again
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process = 'start_on: order' AND business_key = '40' AND ended_at IS NULL;
SELECT workflow.retry(test.stands(:g));
CALL test.until($$SELECT count(*) = 1 FROM workflow.instances WHERE process = 'start_on: order' AND business_key = '40' AND ended_at IS NULL$$);
-- two at once with the same key: the second waits until the first has ended
SELECT pg_temp.end_all();
BEGIN;
SELECT count(workflow.start('start_on: plain sender', format('{"what": {"id": 50, "n": %s}}', n)::jsonb)) FROM generate_series(1, 2) n;
COMMIT;
CALL test.until($$SELECT count(*) = 1 FROM workflow_data.delivery WHERE kind = 'start' AND attempt > 0$$);
SELECT business_key, data ? 'n' AS n FROM pg_temp.started('start_on: order');
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process = 'start_on: order' AND ended_at IS NULL;
CALL test.until($$SELECT count(*) = 1 FROM workflow.instances WHERE process = 'start_on: order' AND business_key = '50' AND ended_at IS NULL$$);
SELECT business_key, jsonb_agg(data -> 'n' ORDER BY data -> 'n') AS both FROM workflow.instances WHERE process = 'start_on: order' AND business_key = '50' GROUP BY 1;
SELECT count(*) FROM workflow_data.delivery WHERE kind = 'start';
SELECT pg_temp.end_all();

-- ---- kept before there was a process ----
SELECT workflow.define('start_on: early', '{"steps": [{"step": "x", "wait": {"message": "start_on: early"}}]}');
SELECT workflow.send_message('start_on: early', data => '{"n": 1}', ttl => '1 h');
SELECT workflow.send_message('start_on: early', data => '{"n": 2}', ttl => '1 h', message_id => 'second');
SELECT workflow.send_message('start_on: early', data => '"no object"', ttl => '1 h');
SELECT workflow.define('start_on: early', '{"start_on": [{"message": "start_on: early"}], "steps": [{"step": "here", "wait": true}]}');
CALL test.until($$SELECT count(*) = 2 FROM workflow.waiting WHERE process = 'start_on: early' AND step = 'here'$$);
SELECT step, data FROM pg_temp.started('start_on: early') ORDER BY data;
SELECT workflow.send_message('start_on: early', message_id => 'second');
-- what cannot start one is kept for who waits
SELECT data FROM workflow.messages WHERE name = 'start_on: early';
SELECT workflow.define('start_on: hears', '{"steps": [{"step": "x", "wait": {"message": "start_on: early"}, "save": {"got": "${$event.data}"}}, {"step": "y", "wait": true}]}');
SELECT workflow.start('start_on: hears') AS h \gset
CALL test.arrive(:h, 'y');
SELECT data FROM workflow.instances WHERE instance = :h;
SELECT count(*) FROM workflow.messages WHERE name LIKE 'start_on: %';
SELECT pg_temp.end_all();

-- one whose business key cannot be made waits for another version, or for who waits
SELECT workflow.define('start_on: hears', '{"steps": [{"step": "x", "wait": {"message": "start_on: keyless"}, "save": {"got": "${$event.data}"}}, {"step": "y", "wait": true}]}');
SELECT workflow.send_message('start_on: keyless', data => '{"n": 3}', ttl => '1 h');
SELECT workflow.define('start_on: early', '{"start_on": [{"message": "start_on: keyless", "business_key": "${$event.data.id}"}], "steps": [{"step": "here", "wait": true}]}');
CALL test.until($$SELECT count(*) = 1 FROM workflow_data.delivery WHERE kind = 'start' AND attempt > 0$$);
SELECT name, queued FROM workflow.message_starts WHERE process = 'start_on: early';
SELECT data FROM workflow.messages WHERE name = 'start_on: keyless';
SELECT workflow.start('start_on: hears') AS h \gset
CALL test.arrive(:h, 'y');
SELECT data FROM workflow.instances WHERE instance = :h;
SELECT queued FROM workflow.message_starts WHERE process = 'start_on: early';
SELECT count(*) FROM workflow.messages WHERE name LIKE 'start_on: %';
SELECT pg_temp.end_all();

-- ---- queued for a wait that is over when it comes ----
SELECT workflow.define('start_on: over', '{"start_on": [{"message": "start_on: over", "step": "there"}], "steps": [{"step": "here", "wait": {"message": "start_on: over"}}, {"step": "there", "wait": true}]}');
SELECT workflow.start('start_on: over') AS o \gset
SELECT workflow.suspend(:o);
SELECT workflow.send_message('start_on: over', data => '{"n": 1}');
SELECT workflow.send_message('start_on: over', data => '{"n": 2}', message_id => 'over', ttl => '1 h');
SELECT workflow.cancel(:o);
CALL test.until($$SELECT count(*) = 2 FROM workflow.waiting WHERE process = 'start_on: over' AND step = 'there'$$);
SELECT data FROM pg_temp.started('start_on: over') ORDER BY data;
SELECT workflow.send_message('start_on: over', message_id => 'over');
-- but not one that was for that instance, or for all that waited
SELECT workflow.start('start_on: over') AS o \gset
SELECT workflow.suspend(:o);
SELECT workflow.send_message('start_on: over', data => '{"n": 3}', instance => :o);
SELECT workflow.cancel(:o);
SELECT workflow.start('start_on: over') AS o \gset
SELECT workflow.suspend(:o);
SELECT workflow.send_message('start_on: over', data => '{"n": 4}', to_all => true);
SELECT workflow.cancel(:o);
CALL test.until($$SELECT count(*) = 3 FROM workflow.waiting WHERE process = 'start_on: over' AND step = 'there'$$);
CALL test.until($$SELECT NOT EXISTS (SELECT FROM workflow_data.delivery WHERE kind IN ('event', 'start'))$$);
SELECT data FROM pg_temp.started('start_on: over') ORDER BY data;
SELECT pg_temp.end_all();

-- ---- two that start each other come to the step limit like any loop: steps are counted on ----
SELECT workflow.define('start_on: ping', '{"start_on": [{"message": "start_on: ping"}], "steps": [{"step": "x", "send": {"message": "start_on: pong"}}]}');
SELECT workflow.define('start_on: pong', '{"start_on": [{"message": "start_on: pong"}], "steps": [{"step": "y", "send": {"message": "start_on: pang"}}]}');
SELECT workflow.define('start_on: pang', '{"start_on": [{"message": "start_on: pang"}], "steps": [{"step": "z", "end": true}]}');
SELECT workflow.suspend_process('start_on: pang') AS suspended;
SELECT workflow.send_message('start_on: ping');
CALL test.until($$SELECT count(*) = 1 FROM workflow.instances WHERE process = 'start_on: pang'$$);
SELECT step, steps_without_wait FROM workflow_data.visit v WHERE instance IN (SELECT instance FROM workflow.instances WHERE process = 'start_on: pang');
SELECT pg_temp.end_all();

-- ---- rights ----
CREATE ROLE start_on_sender;
GRANT USAGE ON SCHEMA workflow TO start_on_sender;
SET ROLE start_on_sender;
SELECT count(*) FROM workflow.message_starts;
SELECT workflow.send_message('start_on: plain');
SELECT workflow.send_message('start_on: plain', to_all => true);
SELECT workflow.send_message('start_on: plain', ttl => '1 h');
RESET ROLE;
SELECT workflow.grant_process('start_on: order', 'start_on_sender', 'complete');
SET ROLE start_on_sender;
SELECT workflow.send_message('start_on: plain');
SELECT workflow.send_message('start_on: plain', ttl => '1 h', message_id => 'granted');
RESET ROLE;
-- what is kept starts one once its sender may
SELECT workflow.grant_process('start_on: order', 'start_on_sender', 'start');
CALL test.until($$SELECT count(*) = 1 FROM workflow.waiting WHERE process = 'start_on: order'$$);
SET ROLE start_on_sender;
SELECT name, key, process, version FROM workflow.message_starts ORDER BY 1, 2;
SELECT workflow.send_message('start_on: plain', message_id => 'granted');
SELECT workflow.send_message('start_on: plain');
RESET ROLE;
SELECT pg_temp.end_all();
SELECT count(workflow.undefine(process)) FROM (SELECT DISTINCT process FROM workflow.processes WHERE process LIKE 'start_on: %') p;
SELECT count(*) FROM workflow_data.message_start;
SELECT count(workflow.revoke_process('start_on: order', 'start_on_sender', privilege)) FROM (VALUES ('start'), ('complete')) p (privilege);
REVOKE ALL ON SCHEMA workflow FROM start_on_sender;
DROP ROLE start_on_sender;
DELETE FROM workflow_data.message WHERE name LIKE 'start_on: %';
