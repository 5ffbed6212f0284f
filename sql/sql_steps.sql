--
-- SQL steps: parameters, kinds of statements, $reply, errors, retries, NOTIFY.
--
SET client_min_messages = warning;
CREATE SCHEMA sql_steps;
SET search_path = sql_steps;
SET timezone = 'UTC';

-- Run one step, wait until it has ended one way or the other, and show the reply, or the error that it left.
CREATE PROCEDURE run(sql text, more jsonb DEFAULT '{}', data jsonb DEFAULT '{"n": 1}', key text DEFAULT NULL, INOUT result jsonb DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
	i bigint;
	s text;
BEGIN
	PERFORM workflow.define('sql_steps', json_build_object('steps', json_build_array(
		jsonb_build_object('step', 'do it', 'sql', sql, 'save', '{"reply": "${$reply}"}'::jsonb) || more)));
	i := workflow.start('sql_steps', data, key);
	COMMIT;
	FOR n IN 1 .. 2000 LOOP
		SELECT status INTO s FROM workflow.instances WHERE instance = i;
		EXIT WHEN s <> 'active';
		PERFORM pg_sleep(0.01);
	END LOOP;
	IF s = 'completed' THEN
		SELECT t.data -> 'reply' INTO result FROM workflow.instances t WHERE instance = i;
	ELSIF s = 'failed' THEN
		SELECT jsonb_build_object('outcome', outcome, 'error', error) INTO result FROM workflow.incidents WHERE instance = i;
		result := replace(result::text, '\"temp_file_limit\"', 'temp_file_limit'); -- as 19 writes it
		PERFORM workflow.cancel(i);
	ELSE
		result := to_jsonb(s);
	END IF;
END $$;

-- What define has to say against a statement.
CREATE FUNCTION refused(sql text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	state text;
	d text;
BEGIN
	PERFORM workflow.define('sql_steps_refused', json_build_object('steps', json_build_array(json_build_object('step', 'a', 'sql', sql))));
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, d = PG_EXCEPTION_DETAIL;
	RETURN state || ' ' || d;
END $$;

--
-- Parameters
--
CALL run($$ SELECT visit.data, visit.serial_number ~ '^[0-9]+_[0-9]+$' AND visit.serial_number LIKE visit.instance || '\_%' AS serial_number,
                   visit.instance > 0 AS instance, visit.business_key, visit.step, visit.attempt, visit.item, visit.index $$,
         data => '{"a": [1, "x"]}', key => 'a key');
CALL run($$ SELECT data, business_key, step, attempt, item, index, pg_typeof(data) AS d, pg_typeof(serial_number) AS s, pg_typeof(instance) AS i,
                   pg_typeof(attempt) AS a $$);
CALL run($$ SELECT data->>'n' AS n FROM generate_series(1, (visit.data->>'n')::int) $$, data => '{"n": 2}');
-- within functions' arguments, subqueries, CTEs
CALL run($$ WITH a AS (SELECT visit.data->'n' AS n) SELECT (SELECT a.n FROM a) AS n, lower(visit.step) AS step $$);

CREATE TABLE thing (id int PRIMARY KEY, data text, note text);
INSERT INTO thing VALUES (1, 'of the table', 'x');
-- a column takes a bare name's meaning away only where that can be told: an error at define
SELECT refused('SELECT data FROM thing');
SELECT refused('SELECT visit.data FROM thing visit');
SELECT refused('UPDATE thing SET note = data');
CALL run('SELECT thing.data AS of_table, visit.data AS of_visit FROM thing');
CALL run($$ UPDATE thing SET data = visit.data->>'text', note = step WHERE id = 1 RETURNING * $$, data => '{"text": "of the visit"}');
SELECT refused('SELECT visit.nothing');
SELECT refused('SELECT nothing');
SELECT refused('SELECT x.data');
SELECT refused('SELECT $1');

--
-- Kinds of statements
--
CALL run($$ INSERT INTO thing (id, note) VALUES (2, 'inserted') $$);
CALL run($$ INSERT INTO thing (id, note) SELECT g, 'many' FROM generate_series(3, 5) g RETURNING id $$);
CALL run($$ UPDATE thing SET note = 'updated' WHERE id > 3 $$);
CALL run($$ DELETE FROM thing WHERE id = 5 RETURNING id, note $$);
CALL run($$ WITH gone AS (DELETE FROM thing WHERE id = 4 RETURNING *) SELECT count(*) FROM gone $$);
CALL run($$ MERGE INTO thing t USING (VALUES (2), (9)) v (id) ON t.id = v.id
            WHEN MATCHED THEN UPDATE SET note = 'merged' WHEN NOT MATCHED THEN INSERT (id, note) VALUES (v.id, step) $$);
CALL run($$ VALUES (1, 'a'), (2, 'b') $$);
CALL run($$ TABLE thing $$);
CALL run($$ SELECT id FROM thing WHERE id = 1 FOR UPDATE $$);
SELECT id, note FROM thing ORDER BY id;

CREATE PROCEDURE double(n int, INOUT twice int DEFAULT NULL) LANGUAGE plpgsql AS $$ BEGIN twice := n * 2; END $$;
CREATE PROCEDURE nothing_comes_back() LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; END $$;
CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO thing VALUES (77); COMMIT; END $$;
CREATE PROCEDURE rolls_back() LANGUAGE plpgsql AS $$ BEGIN ROLLBACK; END $$;
CALL run($$ CALL double((visit.data->>'n')::int) $$, data => '{"n": 21}');
CALL run($$ CALL nothing_comes_back() $$);
-- a step is one transaction
CALL run($$ CALL commits() $$);
CALL run($$ CALL rolls_back() $$);
SELECT count(*) FROM thing WHERE id = 77;
CALL run($$ CALL workflow.wait_for(visit.instance) $$);

SELECT refused('SELECT 1; SELECT 2');
SELECT refused('');
SELECT refused('-- nothing');
SELECT refused('SELECT 1 INTO other');
SELECT refused('CREATE TABLE other (a int)');
SELECT refused('CREATE TABLE other AS SELECT 1');
SELECT refused('DO $x$ BEGIN END $x$');
SELECT refused('COMMIT');
SELECT refused('SET search_path = public');
SELECT refused('EXPLAIN ANALYZE DELETE FROM thing');
SELECT refused('COPY thing FROM PROGRAM ''true''');
SELECT refused('LISTEN ops');
SELECT refused('PREPARE x AS SELECT 1');
SELECT refused('TRUNCATE thing');
SELECT refused('SELEC 1');
SELECT refused('SELECT * FROM no_such_table');
SELECT refused('SELECT no_such_function(visit.data)');
SELECT refused('CALL no_such_procedure()');
SELECT refused('SELECT visit.data + 1');

--
-- $reply
--
CALL run($$ SELECT 1 AS a WHERE false $$);
CALL run($$ SELECT NULL::int AS a, NULL::jsonb AS b, 'null'::jsonb AS c $$);
CALL run($$ SELECT 1, 2 AS a, 3 AS a $$);
CALL run($$ SELECT $$);
CREATE TYPE pair AS (a int, b text);
CREATE TYPE mood AS ENUM ('fine');
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CALL run($$ SELECT (1, 'x')::pair AS composite, ARRAY[(2, NULL)::pair] AS composites, ARRAY[[1, 2], [3, NULL]] AS numbers, '{}'::text[] AS none,
                   '{"b": 1, "a": 2}'::json AS json, '{"b": 1, "a": 2}'::jsonb AS jsonb, '\xdeadbeef'::bytea AS bytea, 'fine'::mood AS mood,
                   100::percent AS percent, int4range(1, 3) AS range $$);
CALL run($$ SELECT 12345678901234567890.1234567890 AS numeric, 9223372036854775807 AS bigint, 'NaN'::numeric AS nan, 'Infinity'::float8 AS infinity,
                   1e-7::float8 AS small, true AS yes, 'é "quoted" \ and
a line' AS text, date 'infinity' AS never, timestamp '2026-01-02 03:04:05.678' AS "timestamp", interval '1 day 2 hours' AS interval $$);
CALL run($$ SELECT t FROM thing t WHERE id = 1 $$);
CALL run($$ SELECT count(*) AS rows, sum(g) FROM generate_series(1, 10000) g $$);
-- up to ten thousand rows
CALL run($$ SELECT g FROM generate_series(1, 10000) g $$, '{"save": {"reply": {"count": "${$reply.count}", "rows": "${$reply.rows.size()}", "last": "${$reply.rows[last].g}"}}}');
CALL run($$ SELECT g FROM generate_series(1, 10001) g $$);
CALL run($$ INSERT INTO thing (id) SELECT g FROM generate_series(100, 20000) g $$);
-- and bytes
CALL run($$ SELECT repeat('x', 300000000) AS a $$);
-- $result: the row is the response
CALL run($$ SELECT 1 AS a, 'b' AS b $$, '{"save": {"reply": "${$result.response}"}}');
CALL run($$ SELECT 1 AS a, 'b' AS reply $$, '{"save": true}');
CALL run($$ SELECT 3 AS a $$, '{"save_reply": {"kept": "${$reply.row.a}"}, "save": {"reply": "${$.kept}"}}');
CALL run($$ SELECT 3 AS a $$, '{"success": "$reply.row.a == 4"}');
CALL run($$ SELECT 3 AS a $$, '{"success": "$result.response.a == 3"}');

--
-- Errors
--
CALL run($$ SELECT 1 / 0 AS x $$);
CALL run($$ SELECT 1 / (visit.data->>'n')::int AS x $$, data => '{"n": 0}');
CALL run($$ INSERT INTO thing (id) VALUES (2) $$);
CREATE FUNCTION fails(state text) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO thing VALUES (78);
	RAISE EXCEPTION 'it fails with %', state USING ERRCODE = state;
END $$;
CALL run($$ SELECT fails('P0001') $$);
CALL run($$ SELECT fails('UX001') $$);
SELECT count(*) FROM thing WHERE id = 78;
-- caught by SQLSTATE, by outcome, by anything; the message is there
CREATE PROCEDURE run_caught(sql text, "on" jsonb, INOUT result jsonb DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
	i bigint;
BEGIN
	PERFORM workflow.define('sql_steps_caught', json_build_object('steps', json_build_array(
		json_build_object('step', 'do it', 'sql', sql, 'catch', json_build_array(json_build_object('on', "on", 'next', 'caught')), 'end', true),
		'{"step": "caught", "set": {"step": "${$caught.step}", "error": "${$caught.error}", "status": "${$caught.result.status}"}}'::json)));
	i := workflow.start('sql_steps_caught');
	COMMIT;
	FOR n IN 1 .. 2000 LOOP
		SELECT t.data INTO result FROM workflow.instances t WHERE instance = i AND status <> 'active';
		EXIT WHEN FOUND;
		PERFORM pg_sleep(0.01);
	END LOOP;
	IF EXISTS (SELECT FROM workflow.incidents WHERE instance = i) THEN
		result := '"not caught"';
		PERFORM workflow.cancel(i);
	END IF;
END $$;
CALL run_caught($$ SELECT fails('23505') $$, '"23505"');
CALL run_caught($$ SELECT fails('UX001') $$, '["23505", "UX001"]');
CALL run_caught($$ SELECT fails('P0001') $$, '"SYSTEM_ERROR"');
CALL run_caught($$ SELECT fails('P0001') $$, '"*"');
CALL run_caught($$ SELECT fails('P0001') $$, '["23505", "FAILED", "TIMED_OUT"]');

--
-- Retries: of what `on` names, and only as often as allowed
--
CREATE FUNCTION fails_until(attempt int, wanted int, state text) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	IF attempt < wanted THEN
		RAISE EXCEPTION 'attempt % fails', attempt USING ERRCODE = state;
	END IF;
	RETURN attempt;
END $$;
CALL run($$ SELECT fails_until(attempt, 3, '40001') AS attempt $$, '{"retry": {"max": 2, "on": ["40001"]}}');
CALL run($$ SELECT fails_until(attempt, 3, 'P0001') AS attempt $$, '{"retry": {"max": 5, "delay": "1 ms", "on": ["40P01", "P0001"]}}');
CALL run($$ SELECT fails_until(attempt, 3, '55P03') AS attempt $$, '{"retry": {"max": 5, "delay": "1 ms", "backoff": 2, "on": ["55P03"]}}');
CALL run($$ SELECT fails_until(attempt, 4, '40001') AS attempt $$, '{"retry": {"max": 2, "on": ["40001"]}}');
CALL run($$ SELECT fails_until(attempt, 2, '23505') AS attempt $$, '{"retry": {"max": 5}}');
CALL run($$ SELECT fails_until(attempt, 2, 'P0001') AS attempt $$, '{"retry": {"max": 5}}');
CALL run($$ SELECT fails_until(attempt, 2, 'P0001') AS attempt $$, '{"retry": {"max": 5, "on": ["23505"]}}');

--
-- What the machine is short of for a moment, or others are in the way of, is tried again as the same attempt, whatever `retry` says
--
CREATE SEQUENCE tries;
CREATE FUNCTION is_short(times int, state text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n bigint := nextval('tries');
BEGIN
	IF n <= times THEN
		RAISE EXCEPTION 'try % fails', n USING ERRCODE = state;
	END IF;
	PERFORM setval('tries', 1, false);
	RETURN format('try %s', n);
END $$;
CALL run($$ SELECT is_short(3, '40001') AS did, visit.attempt $$);
CALL run($$ SELECT is_short(3, '40P01') AS did, visit.attempt $$, '{"retry": {"max": 2, "delay": "1 hour"}}');
CALL run($$ SELECT is_short(3, '55P03') AS did, visit.attempt $$, '{"retry": {"max": 2, "delay": "1 hour", "on": ["P0001"]}}');
CALL run($$ SELECT is_short(3, '53100') AS did, visit.attempt $$);
CALL run($$ SELECT is_short(3, '53200') AS did, visit.attempt $$);
CALL run($$ SELECT is_short(3, '53300') AS did, visit.attempt $$);
-- not if the step names it: then it is for the author to deal with
CALL run_caught($$ SELECT fails('40001') $$, '"40001"');
CALL run_caught($$ SELECT fails('53100') $$, '["23505", "53100"]');
CALL run_caught($$ SELECT fails('55P03') $$, '"55P03"');
-- nor what would fail the same way again: a limit of its own, a library that is missing, a connection of its own
CALL run($$ SELECT fails('53400') $$);
CALL run($$ SELECT fails('58P01') $$);
CALL run($$ SELECT fails('08006') $$);
-- for as long as the step may take
CALL run($$ SELECT is_short(1000000, '40001') $$, '{"timeout": "300 ms"}');
ALTER SEQUENCE tries RESTART;
-- a real lock timeout
CREATE FUNCTION waits_for_lock(times int) RETURNS int LANGUAGE plpgsql SET lock_timeout = '20ms' AS $$
BEGIN
	IF nextval('tries') <= times THEN
		PERFORM pg_advisory_xact_lock(4711);
	END IF;
	RETURN 0;
END $$;
SELECT pg_advisory_lock(4711);
CALL run($$ SELECT waits_for_lock(2) AS waits, visit.attempt $$);
ALTER SEQUENCE tries RESTART;
CALL run($$ SELECT waits_for_lock(1) AS waits, visit.attempt $$, '{"retry": {"max": 1, "delay": "1 ms", "on": ["55P03"]}}');
SELECT pg_advisory_unlock(4711);
-- and a real limit, that of temporary files
CREATE FUNCTION sorts() RETURNS bigint LANGUAGE sql SET work_mem = '64kB' AS
	'SELECT count(*) FROM (SELECT n FROM generate_series(1, 100000) n ORDER BY md5(n::text) OFFSET 1) s';
ALTER SYSTEM SET temp_file_limit = '100kB';
SELECT pg_reload_conf();
SELECT pg_sleep(0.3) AS until_executors_have_read_it \gset
CALL run($$ SELECT sorts() $$);
ALTER SYSTEM RESET temp_file_limit;
SELECT pg_reload_conf();

--
-- Time limits: that of the step, and that of every statement
--
CALL run($$ SELECT pg_sleep(600) $$, '{"timeout": "100 ms"}');
CALL run($$ INSERT INTO thing (id) SELECT 79 FROM pg_sleep(600) $$, '{"timeout": "100 ms", "retry": {"max": 5}}');
SELECT count(*) FROM thing WHERE id = 79;
ALTER SYSTEM SET workflow.sql_timeout = '200ms';
SELECT pg_reload_conf();
SELECT pg_sleep(0.3) AS until_executors_have_read_it \gset
CALL run($$ SELECT pg_sleep(600) $$);
-- nor can a statement get away with it by a limit of its own
CREATE FUNCTION stubborn() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('statement_timeout', '0', false);
	PERFORM pg_sleep(600);
	RETURN 'slept';
EXCEPTION WHEN OTHERS THEN
	RETURN 'caught';
END $$;
CALL run($$ SELECT stubborn() $$);
-- what only looks like a cancel or a shutdown is an error like others
CALL run($$ SELECT fails('57014') $$);
CALL run($$ SELECT fails('57P01') $$);
ALTER SYSTEM RESET workflow.sql_timeout;
SELECT pg_reload_conf();

--
-- NOTIFY
--
SELECT workflow.define('sql_steps_notify', '{"steps": [
  {"step": "tell", "notify": {"channel": "ops", "payload": "${$.text} of ${$business_key}"}},
  {"step": "tell more", "notify": {"channel": "${$.channel}", "payload": {"a": "${$.text}", "n": [1, null]}}},
  {"step": "tell nothing", "notify": {"channel": "Ops"}},
  {"step": "let it arrive", "sql": "SELECT 1"}]}');
LISTEN ops; LISTEN "Ops"; LISTEN "an other";
\o | sed 's/PID [0-9]*/PID/'
SELECT workflow.start('sql_steps_notify', '{"text": "a text", "channel": "an other"}', 'the key') AS instance \gset
CALL workflow.wait_for(:instance, '20 s') \gset
SELECT pg_sleep(0.1) AS pause \gset
SELECT 'nothing else';
\o
UNLISTEN *;
-- a rolled back transaction notifies nobody; a channel that is none is the step's own fault
SELECT workflow.start('sql_steps_notify', jsonb_build_object('text', 'x', 'channel', repeat('x', 64))) AS instance \gset
CALL workflow.wait_for(:instance, '20 s');
SELECT step, outcome, error->>'sqlstate' AS sqlstate, error->>'message' AS message FROM workflow.incidents WHERE instance = :instance;
SELECT workflow.cancel(:instance);

DROP SCHEMA sql_steps CASCADE;
