--
-- Getting more than one was given: captured names, forged arguments, borrowed rights, roles that come back.
--
SET client_min_messages = warning;
CREATE ROLE attack_owner;
CREATE ROLE attack_worker;
CREATE ROLE attack_visitor;
CREATE ROLE attack_group;
CREATE ROLE attack_heir IN ROLE attack_group;
CREATE ROLE attack_noinherit NOINHERIT IN ROLE attack_group;
GRANT USAGE ON SCHEMA workflow TO attack_owner, attack_worker, attack_visitor, attack_group, attack_heir, attack_noinherit;
GRANT EXECUTE ON FUNCTION workflow.define(text, json), workflow.grant_process(text, name, text, text) TO attack_owner;
CREATE SCHEMA attack;
GRANT ALL ON SCHEMA attack TO attack_owner, attack_worker, attack_visitor;
GRANT USAGE ON SCHEMA attack TO PUBLIC;
-- The SQLSTATE of a statement, or its answer.

SET ROLE attack_owner;
SELECT workflow.define('attack', '{"steps": [{"step": "wait", "wait": true, "save": true}, {"step": "stand", "wait": {"until": "${$.until}"}}]}');
SELECT workflow.grant_process('attack', 'attack_worker', 'start');
SELECT workflow.grant_process('attack', 'attack_worker', 'complete');
SELECT workflow.grant_process('attack', 'attack_worker', 'view');

--
-- A schema and temporary objects of the caller, found first, have no effect
--
SET ROLE attack_worker;
CREATE FUNCTION attack.sprung() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'sprung'; END $$;
CREATE FUNCTION attack.eq(anyelement, anyelement) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'sprung'; RETURN true; END $$;
CREATE FUNCTION attack.eq_text(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'sprung'; RETURN true; END $$;
CREATE FUNCTION attack.eq_int(int, int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'sprung'; RETURN true; END $$;
CREATE FUNCTION attack.eq_bigint(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'sprung'; RETURN true; END $$;
CREATE OPERATOR attack.= (FUNCTION = attack.eq, LEFTARG = anyelement, RIGHTARG = anyelement);
CREATE OPERATOR attack.= (FUNCTION = attack.eq_text, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR attack.= (FUNCTION = attack.eq_int, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR attack.= (FUNCTION = attack.eq_bigint, LEFTARG = bigint, RIGHTARG = bigint);
CREATE FUNCTION attack.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'sprung'; END $$;
CREATE FUNCTION attack.to_jsonb(anyelement) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'sprung'; RETURN '{}'; END $$;
CREATE FUNCTION attack.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'sprung'; RETURN '-infinity'; END $$;
CREATE FUNCTION attack.serial_number(bigint, bigint) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'sprung'; RETURN '1_1'; END $$;
CREATE FUNCTION attack.my_processes(text) RETURNS int[] LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'sprung'; RETURN ARRAY(SELECT generate_series(1, 10000)); END $$;
CREATE DOMAIN attack.jsonb AS text;
CREATE TEMP TABLE instance (instance bigint, process_id int, status text);
CREATE TEMP TABLE visit (instance bigint, visit bigint);
CREATE TEMP TABLE process (process_id int, process text, owner oid, owner_name name, latest int);
CREATE TEMP TABLE process_privilege (process_id int, grantee oid, grantee_name name, privilege text);
CREATE TEMP TABLE moved (instance bigint, visit bigint);
CREATE TEMP TABLE late_callback (instance bigint);
SET client_min_messages = notice;
SET search_path = attack, pg_temp, pg_catalog;
SELECT workflow.start('attack', '{"until": "never"}', 'K') AS instance \gset
SELECT test.try($$ SELECT workflow.start('attack', '{}', 'K') $$);
SELECT workflow.set_data(:instance, '{"a": 1}');
SET search_path = pg_catalog;
SELECT serial_number AS sn FROM workflow.waiting WHERE instance = :instance \gset
SET search_path = attack, pg_temp, pg_catalog;
SELECT workflow.complete(:'sn', '{"b": 2}');
SELECT workflow.complete(:'sn', '{"b": 3}');
SELECT test.try(format('SELECT workflow.fail(%L)', :'sn'));
SELECT test.try(format('SELECT workflow.retry(%L)', :'sn'));
SELECT count(*) FROM workflow.instances;
SELECT count(*) FROM workflow.history;
SELECT count(*) FROM workflow.late_callbacks;
SELECT step FROM workflow.incidents;
SELECT workflow.cancel(:instance);
RESET search_path;
SET client_min_messages = warning;
SELECT status, data FROM workflow.instances WHERE instance = :instance;
SELECT (SELECT count(*) FROM instance) + (SELECT count(*) FROM visit) + (SELECT count(*) FROM moved) + (SELECT count(*) FROM late_callback) AS captured;
-- settings of the caller neither
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SET bytea_output = 'escape';
SET extra_float_digits = -15;
SET enable_indexscan = off;
SELECT set_config(name, 'off', false) FROM pg_settings -- from 19 on strings are always standard
    WHERE name IN ('standard_conforming_strings', 'escape_string_warning') AND current_setting('server_version_num')::int < 190000 \g /dev/null
SET transform_null_equals = on;
SET check_function_bodies = off;
SET plan_cache_mode = force_custom_plan;
SET work_mem = '64kB';
SET row_security = off;
SELECT workflow.start('attack', '{"until": "2999-01-02"}') AS instance \gset
SELECT workflow.complete(serial_number, '{"big": 12345678.123456789}') FROM workflow.waiting WHERE instance = :instance;
SELECT due_at AT TIME ZONE 'UTC' > timestamp '01.01.2999' AS due FROM workflow.visits WHERE instance = :instance;
SELECT data FROM workflow.instances WHERE instance = :instance;
SELECT workflow.cancel(:instance);
RESET ALL;
SET client_min_messages = warning;
SET ROLE attack_worker;
-- and a read-only transaction writes nothing
BEGIN READ ONLY;
SELECT test.try($$ SELECT workflow.start('attack') $$);
SELECT count(*) > 0 AS sees FROM workflow.instances;
COMMIT;

--
-- Rights that are lent
--
RESET ROLE;
SELECT workflow.start('attack', '{"until": "never"}', 'lent') AS instance \gset
SELECT serial_number AS sn FROM workflow.waiting WHERE instance = :instance \gset
-- a function with its owner's rights lends them, one without does not
SET ROLE attack_worker;
CREATE FUNCTION attack.lends(sn text) RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp RETURN workflow.complete(sn);
CREATE FUNCTION attack.keeps(sn text) RETURNS boolean LANGUAGE sql RETURN workflow.complete(sn);
CREATE VIEW attack.lent AS SELECT instance, data FROM workflow.instances;
CREATE FUNCTION attack.lent() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT count(*) FROM workflow.instances';
GRANT SELECT ON attack.lent TO attack_visitor;
SET ROLE attack_visitor;
SELECT test.try(format('SELECT workflow.complete(%L)', :'sn')) AS itself;
SELECT test.try(format('SELECT attack.keeps(%L)', :'sn')) AS invoker;
SELECT test.try(format('SELECT attack.lends(%L)', :'sn')) AS definer;
SELECT test.try(format('SELECT attack.lends(%L)', :'sn')) AS late;
-- a view shows everyone what is theirs
SELECT count(*) FROM attack.lent;
SELECT attack.lent() > 0 AS lent;
RESET ROLE;
SELECT role FROM workflow.late_callbacks WHERE serial_number = :'sn';
SELECT workflow.cancel(:instance);

-- memberships: those whose rights are inherited, or taken on with SET ROLE
SET ROLE attack_owner;
SELECT workflow.grant_process('attack', 'attack_group', 'start');
SET ROLE attack_heir;
SELECT test.try($$ SELECT workflow.start('attack') > 0 $$);
SET ROLE attack_noinherit;
SELECT test.try($$ SELECT workflow.start('attack') > 0 $$);
SET SESSION AUTHORIZATION attack_noinherit;
SET ROLE attack_group;
SELECT test.try($$ SELECT workflow.start('attack') > 0 $$);
RESET SESSION AUTHORIZATION;
-- a right that is taken back is gone at once, in the same transaction
BEGIN;
SET LOCAL ROLE attack_heir;
SELECT test.try($$ SELECT workflow.start('attack') > 0 $$);
RESET ROLE;
SELECT workflow.revoke_process('attack', 'attack_group', 'start');
SET LOCAL ROLE attack_heir;
SELECT test.try($$ SELECT workflow.start('attack') > 0 $$);
COMMIT;

--
-- Whoever may mend a process may not put words into its owner's mouth: its steps run as the owner
--
SET ROLE attack_owner;
SELECT workflow.grant_process('attack', 'attack_worker', 'admin');
RESET ROLE;
GRANT EXECUTE ON FUNCTION workflow.define(text, json) TO attack_worker;
SET ROLE attack_worker;
SELECT workflow.define('attack', '{"steps": [{"step": "steal", "sql": "SELECT current_user"}]}');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION workflow.define(text, json) FROM attack_worker;
SELECT workflow.revoke_process('attack', 'attack_worker', 'admin');

--
-- Functions that are not meant to be called, and arguments that nobody gives
--
GRANT USAGE ON SCHEMA workflow_data TO attack_visitor;
SET ROLE attack_visitor;
SELECT workflow_data.my_processes('view'), workflow_data.my_processes('admin');
SELECT test.try($$ SELECT workflow_data.my_processes('all') $$);
SELECT workflow_data.role_name(10, 'x') IS NOT NULL, workflow_data.role_name(0, 'nobody'), workflow_data.role_name(4294967295, 'nobody');
SELECT workflow.serial_number(5, 31), workflow.serial_number(-5, 0), workflow.serial_number(NULL, 1);
SELECT test.try('SELECT workflow_data.before_insert()'), test.try('SELECT workflow_data.http_validator(ARRAY[''url=x''], 1417)');
CREATE TABLE attack.orders (id int PRIMARY KEY);
-- the table says what is started, not the trigger
CREATE TRIGGER forged AFTER INSERT ON attack.orders FOR EACH ROW EXECUTE FUNCTION workflow_data.after_insert('attack');
INSERT INTO attack.orders VALUES (0);
DROP TRIGGER forged ON attack.orders;
RESET ROLE;
REVOKE USAGE ON SCHEMA workflow_data FROM attack_visitor;
SET ROLE attack_visitor;
CREATE TRIGGER forged AFTER INSERT ON attack.orders FOR EACH ROW EXECUTE FUNCTION workflow_data.after_insert('attack');
RESET ROLE;
CREATE TRIGGER forged AFTER INSERT ON attack.orders REFERENCING NEW TABLE AS rows FOR EACH STATEMENT EXECUTE FUNCTION workflow_data.after_insert('attack');
INSERT INTO attack.orders VALUES (1);
DROP TABLE attack.orders;
-- every function, with nothing but NULLs: an answer or an error, for everyone
CREATE FUNCTION attack.with_nulls(role text) RETURNS TABLE (function text, answer text) LANGUAGE plpgsql AS $$
DECLARE
	f record;
BEGIN
	FOR f IN SELECT p.oid::regprocedure::text AS name, proname, prokind,
				(SELECT string_agg('NULL::' || format_type(t, NULL), ', ' ORDER BY n) FROM unnest(proargtypes) WITH ORDINALITY a (t, n)) AS arguments
			 FROM pg_proc p WHERE pronamespace = 'workflow'::regnamespace AND prorettype <> 'trigger'::regtype AND prokind = 'f'
				AND proname NOT IN ('adopt', 'workers', 'servers', 'now', 'definition_schema')
	LOOP
		PERFORM set_config('role', role, true);
		function := f.name;
		answer := test.try(format('SELECT workflow.%I(%s)', f.proname, f.arguments));
		PERFORM set_config('role', 'none', true);
		RETURN NEXT;
	END LOOP;
END $$;
SELECT answer, count(*) > 0 AS some FROM attack.with_nulls('none') GROUP BY 1 ORDER BY 1;
SELECT answer, count(*) > 0 AS some FROM attack.with_nulls('attack_visitor') GROUP BY 1 ORDER BY 1;
-- serial numbers in all kinds of disguise
SELECT s, test.try(format('SELECT workflow.complete(%L)', s)) FROM unnest(ARRAY['', '_', '5_', '_31', '5', '05_31', '5_031', '+5_31', '5_-31', ' 5_31', '5_31 ', '5_31x', '5__31',
	'5_31_2', '0_1', '1_0', '5.0_31', '0x5_31', '9223372036854775808_1', '1_99999999999999999999999', E'5_31\n', repeat('9', 100000), '9223372036854775807_9223372036854775807'])
	WITH ORDINALITY a (s, n) WHERE length(s) < 100 OR test.try(format('SELECT workflow.complete(%L)', s)) <> '22P02' ORDER BY n;

--
-- A role of the same name is another role
--
CREATE ROLE attack_lost;
GRANT USAGE ON SCHEMA workflow TO attack_lost;
SET ROLE attack_owner;
SELECT workflow.grant_process('attack', 'attack_lost', 'view');
SELECT workflow.grant_process('attack', 'attack_lost', 'start');
SET ROLE attack_lost;
SELECT test.try($$ SELECT workflow.start('attack') > 0 $$), (SELECT count(*) > 0 FROM workflow.instances) AS sees;
RESET ROLE;
DROP OWNED BY attack_lost;
DROP ROLE attack_lost;
CREATE ROLE attack_lost;
GRANT USAGE ON SCHEMA workflow TO attack_lost;
SET ROLE attack_lost;
SELECT test.try($$ SELECT workflow.start('attack') > 0 $$), (SELECT count(*) > 0 FROM workflow.instances) AS sees;
RESET ROLE;
-- nor is one that takes the name of another
ALTER ROLE attack_worker RENAME TO attack_worked;
ALTER ROLE attack_visitor RENAME TO attack_worker;
SET ROLE attack_worker;
SELECT test.try($$ SELECT workflow.start('attack') > 0 $$), (SELECT count(*) > 0 FROM workflow.instances) AS sees;
SET ROLE attack_worked;
SELECT test.try($$ SELECT workflow.start('attack') > 0 $$), (SELECT count(*) > 0 FROM workflow.instances) AS sees;
RESET ROLE;

SELECT count(workflow.cancel(instance)) > 0 AS cancelled FROM workflow.instances WHERE process = 'attack' AND ended_at IS NULL;
DROP SCHEMA attack CASCADE;
DROP OWNED BY attack_owner, attack_worker, attack_worked, attack_group, attack_heir, attack_noinherit, attack_lost;
DROP ROLE attack_owner, attack_worker, attack_worked, attack_group, attack_heir, attack_noinherit, attack_lost;
