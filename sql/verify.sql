-- workflow.verify(): rows that do not agree with each other are found, and others are not.
\set VERBOSITY terse

SELECT workflow.define('verify', '{"steps": [
	{"step": "callback", "wait": true, "timeout": "1 day", "heartbeat": "1 hour", "warn_waiting": "2 hours",
	 "catch": [{"after": "10 minutes", "interrupt": false, "next": "clock"}, {"after": "3 hours", "next": "clock"}]},
	{"step": "clock", "wait": {"after": "1 day"}},
	{"step": "later", "async": true, "set": {"x": 1}},
	{"step": "broken", "set": {"x": "${$.missing}"}}
]}');

-- What is found after a change, which is then taken back; :v stands for the visit of an instance that stands at that step.
CREATE FUNCTION pg_temp.found(at_step text, change text, process text DEFAULT 'verify') RETURNS TABLE (what text, problem text) LANGUAGE plpgsql AS $$
DECLARE
	i bigint; sn text; found text[];
BEGIN
	BEGIN
		i := workflow.start(process);
		sn := serial_number FROM workflow.visits v WHERE v.instance = i AND v.step = at_step;
		IF sn IS NULL THEN
			sn := serial_number FROM workflow.visits v WHERE v.instance = i;
			sn := workflow.move(sn, at_step);
		END IF;
		EXECUTE replace(replace(change, ':i', i::text), ':v', split_part(sn, '_', 2));
		found := array(SELECT CASE WHEN serial_number = sn THEN 'visit' WHEN serial_number IS NULL THEN 'instance' ELSE 'another visit' END
				|| '|' || regexp_replace(v.problem, '(delivery|executor|process|scope|visit) \d\S*', '\1 #', 'g')
			FROM workflow.verify() v WHERE instance = i);
		RAISE SQLSTATE 'ZZ001';
	EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
	END;
	RETURN QUERY SELECT split_part(f, '|', 1), split_part(f, '|', 2) FROM unnest(found) f;
END $$;

-- a state has its queue and what goes with it
SELECT * FROM pg_temp.found('callback', $$SELECT 1$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET queue = 'timer', due_at = now() WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET queue = 'move' WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET accepted = 0 WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET waits_for = 'until' WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET waits_for = NULL, waiting_since = NULL WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET state = 'nothing' WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET state = 'cancelling', cancel_phase = 'confirm', cancel_outcome = 'CANCELLED', waits_for = NULL WHERE instance = :i$$);
SELECT * FROM pg_temp.found('clock', $$SELECT 1$$);
SELECT * FROM pg_temp.found('clock', $$UPDATE workflow_data.visit SET queue = NULL WHERE instance = :i$$);
SELECT * FROM pg_temp.found('clock', $$UPDATE workflow_data.visit SET due_at = NULL WHERE instance = :i$$);
SELECT * FROM pg_temp.found('later', $$SELECT 1$$);
SELECT * FROM pg_temp.found('later', $$UPDATE workflow_data.visit SET queue = 'executor ' || process_id + 1 WHERE instance = :i$$);
SELECT * FROM pg_temp.found('later', $$UPDATE workflow_data.visit SET state = 'calling' WHERE instance = :i$$);
SELECT * FROM pg_temp.found('later', $$UPDATE workflow_data.visit SET state = 'calling', queue = 'timer' WHERE instance = :i$$);
SELECT * FROM pg_temp.found('broken', $$SELECT 1$$);
SELECT * FROM pg_temp.found('broken', $$UPDATE workflow_data.visit SET deadline = now(), accepted = 0 WHERE instance = :i$$);
SELECT * FROM pg_temp.found('broken', $$UPDATE workflow_data.visit SET outcome = NULL WHERE instance = :i$$);

-- clocks
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET next_timer = now() WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET next_handler = next_handler - interval '1 s', next_timer = next_timer - interval '1 s' WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET next_interrupt = next_handler WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET clock_times = clock_times[1:2] WHERE instance = :i$$);
SELECT * FROM pg_temp.found('later', $$UPDATE workflow_data.visit SET heartbeat_deadline = now(), next_timer = now() WHERE instance = :i$$);

-- subscriptions: those that are waited for, and no others
SELECT workflow.define('verify: events', '{"steps": [
	{"step": "events", "first_of": [{"message": "m", "key": 1, "next": "end"}, {"signal": "s", "when": "$.s == true", "next": "end"}, {"condition": "exists($.x)", "next": "later"}],
	 "catch": [{"every": "1 hour", "times": 2, "interrupt": false, "next": "end"}, {"signal": "s", "next": "end"}]},
	{"step": "end", "end": true}, {"step": "later", "async": true, "set": {"x": 1}, "wait": {"message": "m"}}
]}');
SELECT * FROM pg_temp.found('events', $$SELECT 1$$, 'verify: events');
SELECT * FROM pg_temp.found('later', $$SELECT 1$$, 'verify: events');
SELECT * FROM pg_temp.found('events', $$DELETE FROM workflow_data.subscription WHERE instance = :i$$, 'verify: events');
SELECT * FROM pg_temp.found('later', $$DELETE FROM workflow_data.subscription WHERE instance = :i$$, 'verify: events');
SELECT * FROM pg_temp.found('events', $$UPDATE workflow_data.subscription SET name = 'other' WHERE instance = :i AND entry = 0$$, 'verify: events');
SELECT * FROM pg_temp.found('events', $$UPDATE workflow_data.subscription SET step = 'end' WHERE instance = :i AND entry = 4$$, 'verify: events');
SELECT * FROM pg_temp.found('events', $$UPDATE workflow_data.subscription SET entry = 3 WHERE instance = :i AND entry = 4$$, 'verify: events');
SELECT * FROM pg_temp.found('events', $$UPDATE workflow_data.subscription SET entry = 7 WHERE instance = :i AND entry = 4$$, 'verify: events');
SELECT * FROM pg_temp.found('events', $$UPDATE workflow_data.subscription SET visit = visit + 1 WHERE instance = :i AND entry = 4$$, 'verify: events');
SELECT * FROM pg_temp.found('events', $$SELECT workflow.suspend(:i)$$, 'verify: events');
SELECT * FROM pg_temp.found('events', $$UPDATE workflow_data.visit SET clock_times = clock_times[1:5] WHERE instance = :i$$, 'verify: events');

-- the instance
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.instance SET tokens = 2 WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.instance SET incidents = 1 WHERE instance = :i$$);
SELECT * FROM pg_temp.found('broken', $$UPDATE workflow_data.instance SET incidents = 2, status = 'active' WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.instance SET status = 'suspended' WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$SELECT workflow.suspend(:i); UPDATE workflow_data.instance SET status = 'active' WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$SELECT workflow.suspend(:i)$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.instance SET version = 2 WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$DELETE FROM workflow_data.instance WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$DELETE FROM workflow_data.visit WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$SELECT workflow.cancel(:i)$$);

-- the step and the scope of a visit
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET step = 'no such step' WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET process_id = 0 WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET scope = 1 WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET scope = visit WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET tokens = 1 WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.visit SET late = '{0}' WHERE instance = :i$$);
SELECT * FROM pg_temp.found('callback', $$UPDATE workflow_data.instance SET joins = '{0, 0, 1}' WHERE instance = :i$$);

-- deliveries: held for nothing, or for a suspended instance
SELECT * FROM pg_temp.found('callback', $$INSERT INTO workflow_data.delivery (instance, visit, due_at, kind, queue) VALUES (:i, :v, now(), 'alarm', 'suspended')$$);
SELECT * FROM pg_temp.found('callback', $$INSERT INTO workflow_data.delivery (instance, visit, due_at, kind, queue) VALUES (:i, 0, now(), 'alarm', 'suspended'); SELECT workflow.cancel(:i)$$);
SELECT * FROM pg_temp.found('callback', $$SELECT workflow.suspend(:i); INSERT INTO workflow_data.delivery (instance, visit, due_at, kind, queue) VALUES (:i, :v, now(), 'alarm', 'suspended')$$);

-- joins: how many tokens can still come, who stands there, how many have come
SELECT workflow.define('verify: joins', '{"steps": [
	{"step": "fork", "next": ["a", "b", "c"]},
	{"step": "a", "wait": true, "next": "all"}, {"step": "b", "wait": true, "next": "all"}, {"step": "c", "wait": true, "next": "two"},
	{"step": "all", "join": "all", "next": "two"},
	{"step": "two", "join": 2, "wait": true, "heartbeat": "1 hour", "end": true}]}');
CREATE FUNCTION pg_temp.found_at_joins(VARIADIC changes text[]) RETURNS TABLE (what text, problem text) LANGUAGE sql AS $$
	SELECT * FROM pg_temp.found('c', array_to_string(changes, '; '), 'verify: joins') $$;
\set a 'SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i AND step = ''a'''
\set b 'SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i AND step = ''b'''
\set c 'SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i AND step = ''c'''
SELECT * FROM pg_temp.found_at_joins($$SELECT 1$$);
SELECT * FROM pg_temp.found_at_joins(:'a');
SELECT * FROM pg_temp.found_at_joins(:'c');
SELECT * FROM pg_temp.found_at_joins(:'a', :'c');
SELECT * FROM pg_temp.found_at_joins(:'a', :'b');
SELECT * FROM pg_temp.found_at_joins(:'a', :'b', :'c');
SELECT * FROM pg_temp.found_at_joins($$UPDATE workflow_data.instance SET joins[3] = joins[3] + 1 WHERE instance = :i$$);
SELECT * FROM pg_temp.found_at_joins($$UPDATE workflow_data.instance SET joins[6] = NULL WHERE instance = :i$$);
SELECT * FROM pg_temp.found_at_joins($$UPDATE workflow_data.instance SET joins = NULL WHERE instance = :i$$);
SELECT * FROM pg_temp.found_at_joins($$UPDATE workflow_data.instance SET joins = joins[1:4] WHERE instance = :i$$);
SELECT * FROM pg_temp.found_at_joins($$UPDATE workflow_data.instance SET joins[2] = 1 WHERE instance = :i$$);
SELECT * FROM pg_temp.found_at_joins(:'a', $$UPDATE workflow_data.instance SET joins[3] = 0 WHERE instance = :i$$);
SELECT * FROM pg_temp.found_at_joins(:'a', $$UPDATE workflow_data.instance SET joins[2] = 0 WHERE instance = :i$$);
SELECT * FROM pg_temp.found_at_joins(:'a', $$UPDATE workflow_data.instance SET joins[1] = 0, joins[2] = 0 WHERE instance = :i$$);
SELECT * FROM pg_temp.found_at_joins(:'a', $$UPDATE workflow_data.instance SET joins[1] = :v WHERE instance = :i$$);
SELECT * FROM pg_temp.found_at_joins(:'c', $$UPDATE workflow_data.instance SET joins[5] = 2 WHERE instance = :i$$);
-- a token that went without a trace, and one that is too late and counted
SELECT * FROM pg_temp.found_at_joins(:'a', $$DELETE FROM workflow_data.visit WHERE instance = :i AND step = 'b'$$);
SELECT * FROM pg_temp.found_at_joins(:'a', $$DELETE FROM workflow_data.visit WHERE instance = :i AND step = 'b'; UPDATE workflow_data.instance SET tokens = 2, joins[3] = 0, joins[6] = 2 WHERE instance = :i$$);
SELECT * FROM pg_temp.found_at_joins($$UPDATE workflow_data.visit SET late = '{1}' WHERE instance = :i AND step = 'a'$$);
SELECT * FROM pg_temp.found_at_joins($$UPDATE workflow_data.visit SET late = '{1}' WHERE instance = :i AND step = 'a'; UPDATE workflow_data.instance SET joins[6] = 2 WHERE instance = :i$$);
-- one that stands there, and does not say so; or stands elsewhere
SELECT * FROM pg_temp.found_at_joins(:'a', $$UPDATE workflow_data.visit SET waits_for = 'callback' WHERE instance = :i AND step = 'all'$$);
SELECT * FROM pg_temp.found_at_joins(:'a', $$UPDATE workflow_data.visit SET step = 'two' WHERE instance = :i AND step = 'all'$$);
-- all that live wait for each other
SELECT * FROM pg_temp.found_at_joins(:'a', :'c', $$DELETE FROM workflow_data.visit WHERE instance = :i AND step = 'b'; UPDATE workflow_data.instance SET tokens = 2, joins[3] = 0, joins[6] = 1 WHERE instance = :i$$);
-- suspended while tokens stand, come and go
SELECT * FROM pg_temp.found_at_joins($$SELECT workflow.suspend(:i)$$, :'c');
SELECT * FROM pg_temp.found_at_joins(:'c', $$SELECT workflow.suspend(:i)$$, $$SELECT workflow.resume(:i)$$);
SELECT * FROM pg_temp.found_at_joins(:'a', $$SELECT workflow.suspend(:i)$$, $$SELECT workflow.cancel_visit(serial_number) FROM workflow.visits WHERE instance = :i AND step = 'b'$$);

-- scopes: the process as a whole, and a sub-process in it
SELECT workflow.define('verify: scopes', '{"timeout": "1 day", "steps": [
	{"step": "outer", "timeout": "2 hours", "local": {"x": 1}, "steps": [
		{"step": "in", "next": ["i1", "i2"]},
		{"step": "i1", "wait": true, "next": "meet"}, {"step": "i2", "wait": true, "next": "meet"},
		{"step": "meet", "join": "all", "end": true}]},
	{"step": "last", "wait": true}]}');
CREATE FUNCTION pg_temp.found_in_scopes(VARIADIC changes text[]) RETURNS TABLE (what text, problem text) LANGUAGE sql AS $$
	SELECT * FROM pg_temp.found('outer', array_to_string(changes, '; '), 'verify: scopes') $$;
SELECT * FROM pg_temp.found_in_scopes($$SELECT 1$$);
SELECT * FROM pg_temp.found_in_scopes($$SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'i1'$$);
SELECT * FROM pg_temp.found_in_scopes($$SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i$$);
SELECT * FROM pg_temp.found_in_scopes($$SELECT workflow.cancel_visit(workflow.serial_number(:i, :v))$$);
SELECT * FROM pg_temp.found_in_scopes($$UPDATE workflow_data.visit SET tokens = 3 WHERE instance = :i AND visit = :v$$);
SELECT * FROM pg_temp.found_in_scopes($$UPDATE workflow_data.visit SET joins[3] = 1 WHERE instance = :i AND visit = :v$$);
SELECT * FROM pg_temp.found_in_scopes($$UPDATE workflow_data.visit SET scope = NULL WHERE instance = :i AND step = 'i1'$$);
SELECT * FROM pg_temp.found_in_scopes($$UPDATE workflow_data.visit SET scope = (SELECT scope FROM workflow_data.visit WHERE instance = :i AND visit = :v) WHERE instance = :i AND step = 'i1'$$);
SELECT * FROM pg_temp.found_in_scopes($$DELETE FROM workflow_data.visit WHERE instance = :i AND visit = :v$$);
SELECT * FROM pg_temp.found_in_scopes($$UPDATE workflow_data.visit SET waits_for = 'callback' WHERE instance = :i AND visit = :v$$);
SELECT * FROM pg_temp.found_in_scopes($$DELETE FROM workflow_data.visit WHERE instance = :i AND scope = :v; UPDATE workflow_data.visit SET tokens = 0, joins = NULL WHERE instance = :i AND visit = :v$$);
SELECT * FROM pg_temp.found_in_scopes($$SELECT workflow.fail(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'i1'$$);
SELECT * FROM pg_temp.found_in_scopes($$SELECT workflow.fail(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'i1'$$, $$UPDATE workflow_data.instance SET incidents = 0, status = 'active' WHERE instance = :i$$);

-- numbers of instances and visits that are not in one page, as of one moment
BEGIN;
SELECT count(workflow.start('verify')) FROM generate_series(1, 2500);
UPDATE workflow_data.instance SET tokens = 0 WHERE instance IN (SELECT instance FROM workflow.visits WHERE process = 'verify' ORDER BY instance DESC OFFSET 700 LIMIT 1000);
SELECT problem, count(*) FROM workflow.verify() WHERE instance IN (SELECT instance FROM workflow.visits WHERE process = 'verify') GROUP BY 1;
ROLLBACK;

-- for superusers, and whom they let
CREATE ROLE verify_nobody;
GRANT USAGE ON SCHEMA workflow TO verify_nobody;
SELECT workflow.grant_process('verify', 'verify_nobody', 'admin');
SET ROLE verify_nobody;
SELECT count(*) FROM workflow.verify();
RESET ROLE;
GRANT EXECUTE ON FUNCTION workflow.verify() TO verify_nobody;
SET ROLE verify_nobody;
SELECT count(*) FROM workflow.verify() WHERE instance = 0;
BEGIN READ ONLY;
SELECT count(*) FROM workflow.verify() WHERE instance = 0;
COMMIT;
RESET ROLE;
SELECT workflow.revoke_process('verify', 'verify_nobody', 'admin');
DROP OWNED BY verify_nobody;
DROP ROLE verify_nobody;
