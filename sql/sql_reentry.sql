--
-- SQL steps that call the engine: on their own instance, on another, with instances of their own making.
--
SET client_min_messages = warning;
CREATE SCHEMA sql_reentry;
SET search_path = sql_reentry;
CREATE TABLE done (what text, n serial);

-- What became of an instance; until it has ended, or stands still.
CREATE FUNCTION outcome(i bigint) RETURNS TABLE (status text, data jsonb, history text, late jsonb) LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 1 .. 2000 LOOP
		EXIT WHEN NOT EXISTS (SELECT FROM workflow.visits v WHERE v.instance = i AND v.state NOT IN ('waiting', 'incident'));
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN QUERY SELECT t.status, t.data,
		(SELECT string_agg(regexp_replace(concat_ws(' ', h.step, h.outcome, h.result->'response', h.result->'error'->>'message'), '\d+_\d+', 'N_N'), ', ' ORDER BY h.serial_number)
		 FROM (SELECT step, h.outcome, h.result, lpad(serial_number, 40) AS serial_number FROM workflow.history h WHERE instance = i
		       UNION ALL SELECT step, v.state, (SELECT to_jsonb(n) FROM workflow.incidents n WHERE n.serial_number = v.serial_number), lpad(serial_number, 40)
		       FROM workflow.visits v WHERE instance = i) h),
		(SELECT jsonb_agg(l.data) FROM workflow.late_callbacks l WHERE l.serial_number LIKE i || '\_%')
	FROM workflow.instances t WHERE t.instance = i;
END $$;
CREATE PROCEDURE run(steps json, data jsonb DEFAULT '{}', INOUT status text DEFAULT NULL, INOUT data_then jsonb DEFAULT NULL, INOUT history text DEFAULT NULL, INOUT late jsonb DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
	i bigint;
BEGIN
	PERFORM workflow.define('sql_reentry', json_build_object('steps', steps));
	i := workflow.start('sql_reentry', data);
	COMMIT;
	SELECT * INTO status, data_then, history, late FROM outcome(i);
	data_then := data_then - 'other';
	IF status IN ('active', 'failed') THEN
		PERFORM workflow.cancel(i);
	END IF;
END $$;

--
-- Its own visit
--
-- completed before the statement is through: the reply is handled first, then the callback
CALL run('[{"step": "a", "sql": "SELECT workflow.complete(visit.serial_number, ''{\"by\": \"itself\"}'') AS done", "wait": true,
            "save_reply": {"reply": "${$reply.row.done}"}, "save": {"response": "${$result.response.by}"}}]');
-- once
CALL run('[{"step": "a", "sql": "SELECT workflow.complete(visit.serial_number, ''1'') AS one, workflow.complete(visit.serial_number, ''2'') AS two, workflow.fail(visit.serial_number, ''X'') AS three",
            "wait": true, "save": {"row": "${$reply.row}", "response": "${$result.response}"}}]');
CALL run('[{"step": "a", "sql": "SELECT workflow.fail(visit.serial_number, ''NO'', ''not today'') AS done", "wait": true}]');
CALL run('[{"step": "a", "sql": "SELECT workflow.fail(visit.serial_number, ''NO'', ''not today'') AS done", "wait": true, "catch": [{"on": "NO", "next": "b"}], "end": true},
           {"step": "b", "set": {"caught": "${$caught.error.message}"}}]');
-- taken back with the statement that it was part of
CREATE FUNCTION completes_and_fails(sn text, attempt int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	IF attempt = 1 THEN
		PERFORM workflow.complete(sn, '"never"');
		INSERT INTO done VALUES ('never');
		RAISE serialization_failure;
	END IF;
	RETURN attempt;
END $$;
CALL run('[{"step": "a", "sql": "SELECT completes_and_fails(visit.serial_number, visit.attempt) AS attempt", "retry": {"max": 1, "on": ["40001"]}, "wait": {"callback": true, "when": "false"},
            "save": {"attempt": "${$reply.row.attempt}"}}]');
-- it takes none
CALL run('[{"step": "a", "sql": "SELECT workflow.complete(visit.serial_number)"}]');
-- it is no incident
CALL run('[{"step": "a", "sql": "SELECT workflow.retry(visit.serial_number)"}]');
CALL run('[{"step": "a", "sql": "SELECT workflow.skip(visit.serial_number)"}]');

--
-- Its own instance
--
-- what is set while the statement runs is not lost, nor is what the step saves
CALL run('[{"step": "a", "sql": "SELECT workflow.set_data(visit.instance, ''{\"set\": 1, \"n\": 2}'') AS done, visit.data AS before",
            "save_reply": {"before": "${$reply.row.before}"}, "save": {"saved": "${$.set}"}},
           {"step": "b", "sql": "SELECT visit.data->>''n'' AS n", "save": {"seen": "${$reply.row.n}"}}]', '{"n": 1}');
-- cancelled: the statement counts, and nothing goes on
CALL run('[{"step": "a", "sql": "WITH d AS (INSERT INTO done VALUES (''cancelled'') RETURNING what) SELECT workflow.cancel(visit.instance, ''had enough''), what FROM d", "next": "b"},
           {"step": "b", "sql": "INSERT INTO done VALUES (''after the end'')"}]');
CALL run('[{"step": "a", "sql": "SELECT workflow.cancel(visit.instance), workflow.cancel(visit.instance) AS again, workflow.complete(visit.serial_number, ''9'') AS done, workflow.set_data(visit.instance, ''{\"a\": 1}'') AS set", "wait": true}]');
-- completed and cancelled: what was accepted first is the end of the visit
CALL run('[{"step": "a", "sql": "SELECT workflow.complete(visit.serial_number, ''1'') AS done, workflow.cancel(visit.instance) AS cancelled", "wait": true, "next": "b"},
           {"step": "b", "sql": "INSERT INTO done VALUES (''b'')"}]');
-- cancelled, and then the statement fails: not cancelled
CREATE FUNCTION cancels_and_fails(i bigint) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM workflow.cancel(i); RAISE 'fails'; END $$;
CALL run('[{"step": "a", "sql": "SELECT cancels_and_fails(visit.instance)"}]');
-- waiting for oneself
CALL run('[{"step": "a", "sql": "CALL workflow.wait_for(visit.instance)"}]');
SELECT what FROM done ORDER BY n;
TRUNCATE done;

--
-- Another instance
--
SELECT workflow.define('sql_reentry_other', '{"steps": [{"step": "wait", "wait": true, "save": true}, {"step": "then", "sql": "INSERT INTO done VALUES (visit.business_key) RETURNING what"}]}');
SELECT workflow.start('sql_reentry_other', '{}', 'other 1') AS other \gset
CALL run('[{"step": "a", "sql": "SELECT workflow.complete(w.serial_number, ''{\"by\": \"another\"}'') FROM workflow.waiting w WHERE w.instance = (visit.data->>''other'')::bigint",
            "save": {"row": "${$reply.row}"}}]', jsonb_build_object('other', :other));
SELECT * FROM outcome(:other);
SELECT workflow.start('sql_reentry_other', '{}', 'other 2') AS other \gset
CALL run('[{"step": "a", "sql": "SELECT workflow.set_data((visit.data->>''other'')::bigint, ''{\"a\": 1}''), workflow.cancel((visit.data->>''other'')::bigint)"}]', jsonb_build_object('other', :other));
SELECT * FROM outcome(:other);
-- a failing statement leaves the other as it was
SELECT workflow.start('sql_reentry_other', '{}', 'other 3') AS other \gset
CALL run('[{"step": "a", "sql": "SELECT cancels_and_fails((visit.data->>''other'')::bigint)"}]', jsonb_build_object('other', :other));
SELECT * FROM outcome(:other);
SELECT workflow.cancel(:other);
SELECT what FROM done ORDER BY n;
TRUNCATE done;

-- many that complete each other: each has its own lock and wants that of the next. One way round a ring waits for itself:
-- a deadlock is found, and tried again
CREATE TABLE ring (k int PRIMARY KEY, instance bigint, serial_number text);
SELECT workflow.define('sql_reentry_ring', '{"steps": [
  {"step": "wait", "wait": true, "timeout": "30 s"},
  {"step": "link", "sql": "SELECT workflow.set_data(r.instance, jsonb_build_object(''by'', visit.data->>''k'')) FROM ring r WHERE r.k = ((visit.data->>''k'')::int + 1) % 8"},
  {"step": "count", "sql": "INSERT INTO done VALUES (visit.data->>''k'')"},
  {"step": "stand", "wait": true}]}');
WITH s AS (SELECT k, workflow.start('sql_reentry_ring', jsonb_build_object('k', k)) AS instance FROM generate_series(0, 7) k)
INSERT INTO ring SELECT k, s.instance FROM s;
UPDATE ring SET serial_number = w.serial_number FROM workflow.waiting w WHERE w.instance = ring.instance;
SELECT count(*) FILTER (WHERE workflow.complete(serial_number)) FROM ring;
SELECT count(*) FROM ring, outcome(instance); -- all stand still
SELECT count(*) FILTER (WHERE o.history LIKE 'wait SUCCESS%, link SUCCESS%, count SUCCESS%, stand waiting') AS through,
       count(*) FILTER (WHERE (o.data->>'by')::int = (k + 7) % 8) AS set
FROM ring, outcome(instance) o;
SELECT string_agg(what, ' ' ORDER BY what) FROM done;
SELECT count(workflow.cancel(instance)) FROM ring;
TRUNCATE done;

--
-- Instances of its own making
--
CALL run('[{"step": "a", "sql": "SELECT workflow.start(''sql_reentry_other'', ''{}'', ''child '' || g) > 0 AS child FROM generate_series(1, 3) g", "save": {"n": "${$reply.count}"}}]');
SELECT business_key, status FROM workflow.instances WHERE process = 'sql_reentry_other' AND business_key LIKE 'child%' ORDER BY 1;
SELECT bool_and((SELECT workflow.complete(serial_number) FROM workflow.waiting w WHERE w.instance = i.instance)) FROM workflow.instances i WHERE business_key LIKE 'child%';
SELECT i.business_key, o.status FROM workflow.instances i, outcome(i.instance) o WHERE i.process = 'sql_reentry_other' AND business_key LIKE 'child%' ORDER BY 1;
TRUNCATE done;
-- none, if it fails
CREATE FUNCTION starts_and_fails() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM workflow.start('sql_reentry_other', '{}', 'never'); RAISE 'fails'; END $$;
CALL run('[{"step": "a", "sql": "SELECT starts_and_fails()"}]');
SELECT count(*) FROM workflow.instances WHERE business_key = 'never';
-- the next one of its own kind, three times, by a key that only one may have
CALL run('[{"step": "a", "sql": "SELECT workflow.start(''sql_reentry'', jsonb_build_object(''n'', (visit.data->>''n'')::int - 1), ''chain '' || (visit.data->>''n'')) > 0 AS next WHERE (visit.data->>''n'')::int > 0"},
           {"step": "b", "sql": "INSERT INTO done VALUES (''chain '' || (visit.data->>''n'') || '' of '' || coalesce(visit.business_key, ''nothing''))"}]', '{"n": 3}');
CALL test.until($$SELECT count(*) = 4 FROM done$$);
SELECT what FROM done ORDER BY what;
-- rows of an attached table, which it changes afterwards, while an executor writes to the row what its instance does
CREATE TABLE orders (id int PRIMARY KEY, note text, sn text, state text);
SELECT workflow.define('sql_reentry_orders', '{"steps": [{"step": "wait", "wait": true},
  {"step": "note", "sql": "UPDATE orders SET note = ''seen by '' || state || '' '' || (sn IS NULL) WHERE id = (visit.data->>''id'')::int RETURNING orders.id"}]}');
SELECT workflow.attach('orders', 'sql_reentry_orders', serial_column => 'sn', status_column => 'state') > 0 AS attached;
CALL run('[{"step": "a", "sql": "INSERT INTO orders (id) VALUES (1), (2) RETURNING sn ~ ''^[0-9]+_[0-9]+$'' AS numbered"},
           {"step": "b", "sql": "UPDATE orders SET note = ''b'' RETURNING state"},
           {"step": "c", "sql": "SELECT count(*) FILTER (WHERE workflow.complete(sn)) FROM orders"}]');
CALL test.until($$SELECT bool_and(state = 'completed') FROM orders$$);
SELECT id, left(note, 7) AS note, sn, state FROM orders ORDER BY id;
CALL run('[{"step": "a", "sql": "WITH i AS (INSERT INTO orders (id) VALUES (3) RETURNING id) SELECT 1 / (id - 3) FROM i"}]');
SELECT count(*) FROM workflow.instances WHERE process = 'sql_reentry_orders';

-- a new version of its own process
CALL run('[{"step": "a", "sql": "SELECT workflow.define(''sql_reentry'', ''{\"steps\": [{\"step\": \"z\"}]}'') > 1 AS defined"}, {"step": "b", "sql": "SELECT visit.step AS still"}]');

DROP SCHEMA sql_reentry CASCADE;
