--
-- SQL steps run as the process owner, in guarded surroundings: who they are, what they see, what they cannot do.
--
SET client_min_messages = warning;
CREATE ROLE sql_rights_owner;
CREATE ROLE sql_rights_caller;
CREATE ROLE sql_rights_other;
GRANT USAGE ON SCHEMA workflow TO sql_rights_owner, sql_rights_caller;
GRANT EXECUTE ON FUNCTION workflow.define(text, json), workflow.grant_process(text, name, text, text) TO sql_rights_owner;
GRANT sql_rights_other TO sql_rights_owner;
CREATE SCHEMA sql_rights AUTHORIZATION sql_rights_owner;
GRANT USAGE ON SCHEMA sql_rights TO sql_rights_caller, sql_rights_other;

-- What is left of an instance when it has ended, or stands.
CREATE FUNCTION sql_rights.outcome(i bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FOR n IN 1 .. 2000 LOOP
		SELECT status, data INTO r FROM workflow.instances WHERE instance = i AND status <> 'active';
		EXIT WHEN FOUND;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN coalesce((SELECT (error ->> 'sqlstate') || ': ' || (error ->> 'message') FROM workflow.incidents WHERE instance = i),
		r.data ->> 'row', r.status);
END $$;

SET ROLE sql_rights_owner;
SET search_path = sql_rights, public;
-- As its owner: define and run one statement.
CREATE PROCEDURE run(sql text, INOUT result text DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
	i bigint;
BEGIN
	PERFORM workflow.define('sql_rights', json_build_object('steps', json_build_array(
		json_build_object('step', 'do it', 'sql', sql, 'save', '{"row": "${$reply.row}"}'::json))));
	i := workflow.start('sql_rights');
	COMMIT;
	result := sql_rights.outcome(i);
	IF EXISTS (SELECT FROM workflow.incidents WHERE instance = i) THEN
		PERFORM workflow.cancel(i);
	END IF;
END $$;

--
-- Who
--
CALL run('SELECT current_user');
-- a function that lends its owner's rights asks session_user; what fails in between changes nothing
RESET ROLE;
CREATE FUNCTION public.lent() RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
	IF session_user <> 'sql_rights_owner' THEN
		RAISE 'not for you' USING ERRCODE = '42501';
	END IF;
	RETURN format('session_user %s, is_superuser %s, role %s', session_user, current_setting('is_superuser'), current_setting('role'));
END $$;
SELECT workflow.define('sql_rights_super', '{"steps": [{"step": "see", "sql": "SELECT session_user = current_user AS same, current_setting(''is_superuser'')", "save": {"row": "${$reply.row}"}}, {"step": "ask", "sql": "SELECT lent()"}]}');
SET ROLE sql_rights_owner;
CALL run('SELECT lent(), current_user');
RESET ROLE;
SELECT workflow.start('sql_rights_super') AS instance \gset
SELECT sql_rights.outcome(:instance);
SELECT data -> 'row' AS row FROM workflow.instances WHERE instance = :instance;
SET ROLE sql_rights_owner;
CALL run('SELECT lent(), current_user');
CREATE TABLE mine (a int);
CREATE FUNCTION who() RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
SELECT workflow.define('sql_rights_granted', '{"steps": [{"step": "do it", "sql": "WITH i AS (INSERT INTO mine VALUES (1) RETURNING a) SELECT a, who() FROM i", "save": {"row": "${$reply.row}"}}]}');
SELECT workflow.grant_process('sql_rights_granted', 'sql_rights_caller', 'start');
RESET ROLE;
-- whoever starts it, and from wherever
SET ROLE sql_rights_caller;
SET search_path = pg_catalog;
SELECT workflow.start('sql_rights_granted') AS instance \gset
RESET ROLE;
SELECT sql_rights.outcome(:instance);
SELECT * FROM sql_rights.mine;

--
-- Rights are looked at when the statement runs
--
CREATE TABLE public.theirs (a int);
GRANT SELECT ON public.theirs TO sql_rights_owner;
INSERT INTO public.theirs VALUES (42);
SET ROLE sql_rights_owner;
SET search_path = sql_rights, public;
CALL run('SELECT a FROM theirs');
CALL run('INSERT INTO theirs VALUES (1)');
SELECT workflow.define('sql_rights_theirs', '{"steps": [{"step": "look", "sql": "SELECT a FROM theirs", "save": {"row": "${$reply.row}"}}]}');
RESET ROLE;
REVOKE SELECT ON public.theirs FROM sql_rights_owner;
SET search_path = sql_rights, public;
SELECT workflow.start('sql_rights_theirs') AS instance \gset
SELECT outcome(:instance);
-- mended, and again
GRANT SELECT ON public.theirs TO sql_rights_owner;
SELECT workflow.retry(serial_number) FROM workflow.incidents WHERE instance = :instance;
SELECT outcome(:instance);
-- the same for a table that is gone and comes back with another column
ALTER TABLE public.theirs RENAME TO gone;
SELECT workflow.start('sql_rights_theirs') AS instance \gset
SELECT outcome(:instance);
CREATE TABLE public.theirs (a text);
INSERT INTO public.theirs VALUES ('another table');
GRANT SELECT ON public.theirs TO sql_rights_owner;
SELECT workflow.retry(serial_number) FROM workflow.incidents WHERE instance = :instance;
SELECT outcome(:instance);
DROP TABLE public.theirs, public.gone;
-- row security is the owner's
CREATE TABLE public.secured (a text);
INSERT INTO public.secured VALUES ('sql_rights_owner'), ('postgres');
ALTER TABLE public.secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public.secured USING (a = current_user);
GRANT SELECT ON public.secured TO sql_rights_owner;
SET ROLE sql_rights_owner;
CALL run('SELECT count(*), min(a) FROM secured');
RESET ROLE;
DROP TABLE public.secured;

--
-- Which search_path: that of define, temporary tables last
--
SET ROLE sql_rights_owner;
SET search_path = sql_rights, public;
CREATE TABLE thing (kept int);
CREATE TEMP TABLE thing (temporary int);
SELECT workflow.define('sql_rights_temp', '{"steps": [{"step": "a", "sql": "SELECT temporary FROM thing"}]}');
SELECT workflow.define('sql_rights_temp', '{"steps": [{"step": "a", "sql": "INSERT INTO thing VALUES (7) RETURNING kept", "save": {"row": "${$reply.row}"}}]}');
-- even if the path says otherwise
SET search_path = pg_temp, sql_rights;
SELECT workflow.define('sql_rights_temp', '{"steps": [{"step": "a", "sql": "SELECT temporary FROM thing"}]}');
SET search_path = "a schema, with pg_temp", sql_rights;
SELECT workflow.define('sql_rights_temp', '{"steps": [{"step": "a", "sql": "SELECT temporary FROM thing"}]}');
SET search_path = sql_rights, public;
SELECT workflow.start('sql_rights_temp') AS instance \gset
SELECT outcome(:instance);
SELECT * FROM sql_rights.thing;
SELECT * FROM thing;
DROP TABLE pg_temp.thing;
CALL run($$ SELECT current_setting('search_path') $$);
SET search_path = "$user", "A b", pg_catalog, sql_rights;
CALL sql_rights.run($$ SELECT current_setting('search_path') $$);
SET search_path = '';
CALL sql_rights.run($$ SELECT current_setting('search_path') $$);
SET search_path = sql_rights, public;

--
-- What it cannot do
--
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE statement; RETURN 'done'; END $$;
CALL run($$ SELECT try('CREATE TEMP TABLE thing (a int)') $$);
CALL run($$ SELECT try('CREATE TEMP VIEW thing AS SELECT 1') $$);
CALL run($$ SELECT try('SET ROLE sql_rights_other') $$);
CALL run($$ SELECT try('RESET ROLE') $$);
CALL run($$ SELECT try('SET SESSION AUTHORIZATION DEFAULT') $$);
CALL run($$ SELECT try('RESET SESSION AUTHORIZATION') $$);
CALL run($$ SELECT set_config('role', 'none', true) $$);
CALL run($$ SELECT set_config('session_authorization', session_user::text, true) $$);
CALL run($$ SELECT try('LISTEN ops') $$);
CALL run($$ SELECT try('PREPARE x AS SELECT 1') $$);
CALL run($$ SELECT try('DECLARE c CURSOR WITH HOLD FOR SELECT 1') $$);
CALL run($$ SELECT try('DISCARD ALL') $$);
CALL run($$ SELECT try('SET CONSTRAINTS ALL DEFERRED') $$);
CALL run($$ SELECT try('SET CONSTRAINTS ALL IMMEDIATE') $$);
CALL run($$ SELECT try('VACUUM') $$);
CALL run($$ SELECT set_config('session_replication_role', 'replica', true) $$);
CALL run($$ SELECT set_config('workflow.sql_timeout', '0', true) $$);
-- neither the engine's tables nor its functions are nearer from within
CALL run('SELECT count(*) FROM workflow_data.visit');
CALL run('SELECT workflow.adopt()');

--
-- Constraints are checked, and triggers fired, at once and as the owner
--
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE seen (event text, who text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO seen VALUES (TG_NAME, current_user);
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON parent DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
CREATE FUNCTION child_first() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO child VALUES (1, 1);
	INSERT INTO parent VALUES (1);
	RETURN 1;
END $$;
CREATE FUNCTION defers() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		SET CONSTRAINTS ALL DEFERRED;
	EXCEPTION WHEN insufficient_privilege THEN NULL;
	END;
	INSERT INTO parent VALUES (2);
	RETURN count(*) FROM seen;
END $$;
CALL run('SELECT child_first()');
CALL run('WITH p AS (INSERT INTO parent VALUES (1) RETURNING id) INSERT INTO child SELECT 1, id FROM p RETURNING id');
CALL run('SELECT defers()');
SELECT * FROM seen;
SELECT * FROM child;

--
-- What it leaves behind: nothing
--
CREATE FUNCTION leaves() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('sql_rights.left', 'behind', false), set_config('search_path', 'public', false),
		set_config('timezone', 'Asia/Tokyo', false), set_config('work_mem', '123MB', false), set_config('lock_timeout', '1s', false);
	PERFORM pg_advisory_lock(4712), pg_advisory_lock_shared(4713), pg_advisory_xact_lock(4714);
	PERFORM nextval('sql_rights.numbers');
	RETURN pg_backend_pid();
END $$;
CREATE SEQUENCE numbers;
CREATE FUNCTION left_behind() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	BEGIN
		n := lastval();
	EXCEPTION WHEN object_not_in_prerequisite_state THEN NULL;
	END;
	RETURN format('left %L, timezone %s, work_mem %s, lock_timeout %s, lastval %s, locks %s', nullif(current_setting('sql_rights.left', true), ''),
		current_setting('timezone') <> 'Asia/Tokyo', current_setting('work_mem') <> '123MB', current_setting('lock_timeout'), n,
		(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid BETWEEN 4712 AND 4714 AND pid <> pg_backend_pid()));
END $$;
-- the same executor goes on at once, most of the time
SELECT workflow.define('sql_rights_leaves', '{"steps": [{"step": "leave", "sql": "SELECT leaves()"},
  {"step": "look", "sql": "SELECT left_behind()", "save": {"row": "${$reply.row}"}}]}');
SELECT workflow.start('sql_rights_leaves') AS instance \gset
SELECT outcome(:instance);
SELECT workflow.start('sql_rights_leaves') AS instance \gset
SELECT outcome(:instance);
SELECT pg_try_advisory_lock(4712), pg_try_advisory_lock(4713), pg_try_advisory_lock(4714);
SELECT pg_advisory_unlock_all();
-- nor if it fails
CREATE FUNCTION leaves_and_fails() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM leaves(); RAISE 'fails'; END $$;
CALL run('SELECT leaves_and_fails()');
CALL run('SELECT left_behind()');
SELECT pg_try_advisory_lock(4712), pg_try_advisory_lock(4713), pg_try_advisory_lock(4714);
SELECT pg_advisory_unlock_all();

--
-- An owner that is gone
--
RESET ROLE;
CREATE ROLE sql_rights_gone;
GRANT USAGE ON SCHEMA workflow TO sql_rights_gone;
GRANT EXECUTE ON FUNCTION workflow.define(text, json) TO sql_rights_gone;
SET ROLE sql_rights_gone;
SELECT workflow.define('sql_rights_gone', '{"steps": [{"step": "wait", "wait": true}, {"step": "do it", "sql": "SELECT current_user", "save": {"row": "${$reply.row}"}}]}');
RESET ROLE;
SELECT workflow.start('sql_rights_gone') AS instance \gset
DROP OWNED BY sql_rights_gone;
DROP ROLE sql_rights_gone;
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :instance;
SELECT outcome(:instance);
SELECT step, outcome, error FROM workflow.incidents WHERE instance = :instance;
SELECT workflow.cancel(:instance);

DROP FUNCTION public.lent();
DROP SCHEMA sql_rights CASCADE;
DROP OWNED BY sql_rights_owner, sql_rights_caller, sql_rights_other;
DROP ROLE sql_rights_owner, sql_rights_caller, sql_rights_other;
