-- The shards that a router knows, and what goes to which of them.

DO LANGUAGE plpgsql $$
BEGIN
    IF pg_catalog.to_regnamespace('workflow') IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'there is a schema workflow in this database already',
            HINT = 'A router is a database of its own, without the extension workflow.';
    END IF;
END $$;

CREATE SCHEMA workflow;
COMMENT ON SCHEMA workflow IS 'The functions and views of the extension workflow, over several shards';
COMMENT ON SCHEMA workflow_router IS 'Which shards there are, and how calls come to them';
GRANT USAGE ON SCHEMA workflow_router TO PUBLIC;

CREATE TABLE workflow_router.shard (
    shard   integer PRIMARY KEY CHECK (shard BETWEEN 0 AND 1023),
    part    integer NOT NULL UNIQUE,
    connect text NOT NULL UNIQUE,
    weight  double precision NOT NULL CHECK (weight >= 0 AND weight < 1e9)
);
COMMENT ON TABLE workflow_router.shard IS 'The shards. To be changed by the functions of the schema alone';
COMMENT ON COLUMN workflow_router.shard.shard IS 'Number of the shard, as workflow.set_shard has said there';
COMMENT ON COLUMN workflow_router.shard.part IS 'Its place in the server workflow_shards, by which PL/Proxy knows it; it never changes';
COMMENT ON COLUMN workflow_router.shard.connect IS 'How it is reached, in the form of libpq, without user and password';
COMMENT ON COLUMN workflow_router.shard.weight IS 'Its share of new instances, in proportion to that of the others; 0: it gets none';

CREATE TABLE workflow_router.former (
    map    integer NOT NULL,
    shard  integer NOT NULL,
    weight double precision NOT NULL,
    until  timestamptz NOT NULL,
    PRIMARY KEY (map, shard)
);
COMMENT ON TABLE workflow_router.former IS 'Weights that were: where business keys may be that have another home now';
COMMENT ON COLUMN workflow_router.former.map IS 'Number of the set of weights';
COMMENT ON COLUMN workflow_router.former.shard IS 'Shard';
COMMENT ON COLUMN workflow_router.former.weight IS 'The weight that it had';
COMMENT ON COLUMN workflow_router.former.until IS 'Until when it had it';

CREATE TABLE workflow_router.old (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    shard  integer NOT NULL,
    below  bigint NOT NULL
);
COMMENT ON TABLE workflow_router.old IS 'The shard that had instances before it was one';
COMMENT ON COLUMN workflow_router.old.single IS 'Always true, so that there is one row at most';
COMMENT ON COLUMN workflow_router.old.shard IS 'Shard';
COMMENT ON COLUMN workflow_router.old.below IS 'Lower numbers of instances say nothing of shards, and are of this one';

CREATE TABLE workflow_router.half (
    shard     integer NOT NULL,
    below     bigint NOT NULL,
    modulus   integer NOT NULL CHECK (modulus >= 2),
    remainder integer NOT NULL CHECK (remainder >= 0 AND remainder < modulus),
    lives_in  integer NOT NULL,
    PRIMARY KEY (shard, below, modulus, remainder)
);
COMMENT ON TABLE workflow_router.half IS 'Parts of shards that were split: where instances live that carry the number of another shard';
COMMENT ON COLUMN workflow_router.half.shard IS 'Shard whose number they carry';
COMMENT ON COLUMN workflow_router.half.below IS 'Their numbers are lower than this one';
COMMENT ON COLUMN workflow_router.half.modulus IS 'Into how many parts it was split';
COMMENT ON COLUMN workflow_router.half.remainder IS 'What their numbers leave, without the low ten bits';
COMMENT ON COLUMN workflow_router.half.lives_in IS 'Shard in which they are';

SELECT pg_catalog.pg_extension_config_dump('workflow_router.half', '');
SELECT pg_catalog.pg_extension_config_dump('workflow_router.shard', '');
SELECT pg_catalog.pg_extension_config_dump('workflow_router.former', '');
SELECT pg_catalog.pg_extension_config_dump('workflow_router.old', '');
GRANT SELECT ON workflow_router.shard, workflow_router.former, workflow_router.old, workflow_router.half TO PUBLIC;

-- ---- errors ----

CREATE FUNCTION workflow_router.ping(part integer) RETURNS integer LANGUAGE plproxy AS
$$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard(); $$;
COMMENT ON FUNCTION workflow_router.ping(integer) IS 'Asks a shard for its number. part: its place';

CREATE FUNCTION workflow_router.ping_all() RETURNS SETOF integer LANGUAGE plproxy AS
$$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard(); $$;
COMMENT ON FUNCTION workflow_router.ping_all() IS 'Asks all shards for their numbers, at once';

-- PL/Proxy gives up a connection that an error came from, and says so in a NOTICE of the next call.
CREATE FUNCTION workflow_router.renew(part integer) RETURNS void LANGUAGE plpgsql SET client_min_messages = error AS $$
BEGIN
    IF part IS NULL THEN
        PERFORM workflow_router.ping_all();
    ELSE
        PERFORM workflow_router.ping(part);
    END IF;
EXCEPTION WHEN OTHERS THEN
    NULL;
END $$;
COMMENT ON FUNCTION workflow_router.renew(integer) IS 'Connects to a shard again. part: its place; NULL: to all';

-- What PL/Proxy itself says has no SQLSTATE of its own: while it connects, nothing was done yet.
CREATE FUNCTION workflow_router.what_failed(INOUT state text, INOUT message text, INOUT detail text, INOUT hint text, part integer)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    own text := substring(message FROM '^PL/Proxy function [^:]*: (?:\[[^]]*\] )?(.*)$');
    shard integer;
BEGIN
    IF own IS NULL THEN
        message := regexp_replace(message, '^[^ ]*\([0-9]+\): \[[^]]*\] REMOTE [A-Z]+: ', '');
        detail := regexp_replace(detail, '^Remote detail: ', '');
        hint := regexp_replace(hint, '^Remote hint: ', '');
        RETURN;
    END IF;
    IF state <> 'XX000' OR own !~ '^(PQ|connect failed|getresult|poll|select|unexpected EOF|timeout|query timeout|Got|received|connect)' THEN
        RETURN;
    END IF;
    SELECT s.shard INTO shard FROM workflow_router.shard s WHERE s.part = what_failed.part;
    detail := rtrim(regexp_replace(own, '^PQconnect[A-Za-z]*: ', ''), E'\n');
    IF own ~ '^(PQconnect|connect)' THEN
        state := '08001';
        message := concat_ws(' ', CASE WHEN shard IS NULL THEN 'a shard' ELSE 'shard' END, shard, 'does not answer');
        hint := 'Nothing was done there. The view workflow.workers tells which shards do not answer.';
    ELSE
        state := '08007';
        message := concat_ws(' ', 'the connection to', CASE WHEN shard IS NULL THEN 'a shard' ELSE 'shard' END, shard, 'was lost');
        hint := 'Whether the call was carried out is not known: look there before it is made again.';
    END IF;
END $$;
COMMENT ON FUNCTION workflow_router.what_failed(text, text, text, text, integer) IS
'What an error of PL/Proxy was in the shard. state, message, detail, hint: what was caught; part: place of the shard';

CREATE FUNCTION workflow_router.raise(state text, message text, detail text, hint text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(detail, '') <> '' AND coalesce(hint, '') <> '' THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = detail, HINT = hint;
    ELSIF coalesce(detail, '') <> '' THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = detail;
    ELSIF coalesce(hint, '') <> '' THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, HINT = hint;
    END IF;
    RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message;
END $$;
COMMENT ON FUNCTION workflow_router.raise(text, text, text, text) IS 'Raises an error. state, message, detail, hint: what it says';

CREATE FUNCTION workflow_router.again(part integer, state text, message text, detail text, hint text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    error record;
BEGIN
    error := workflow_router.what_failed(state, message, detail, hint, part);
    IF message LIKE '% REMOTE %' THEN
        PERFORM workflow_router.renew(part);
    END IF;
    PERFORM workflow_router.raise(error.state, error.message, error.detail, error.hint);
END $$;
COMMENT ON FUNCTION workflow_router.again(integer, text, text, text, text) IS
'Raises the error of a shard as that has raised it. part: its place; state, message, detail, hint: what was caught';

CREATE FUNCTION workflow_router.refuse(call text, hint text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('workflow.%s() is not for a router', call), HINT = hint;
END $$;
COMMENT ON FUNCTION workflow_router.refuse(text, text) IS 'Says that a function is not for a router. call: its name; hint: what to do instead';

-- ---- which shard ----

CREATE FUNCTION workflow_router.shard_of(instance bigint) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT h.lives_in FROM workflow_router.half h
                     WHERE h.shard = s.shard AND $1 < h.below AND ($1 >> 10) % h.modulus = h.remainder), s.shard)
    FROM (SELECT coalesce((SELECT o.shard FROM workflow_router.old o WHERE $1 < o.below), ($1 & 1023)::integer) AS shard) s
$$;
COMMENT ON FUNCTION workflow_router.shard_of(bigint) IS 'Tells the shard of an instance. instance: its number';

CREATE FUNCTION workflow_router.any_part() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    found integer := (SELECT s.part FROM workflow_router.shard s ORDER BY random() LIMIT 1);
BEGIN
    IF found IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = 'this router has no shards',
            HINT = 'workflow_router.add_shard adds them.';
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION workflow_router.any_part() IS 'Gives the place of any shard';

-- What is no number is for any shard to refuse.
CREATE FUNCTION workflow_router.part_of(instance bigint, what text DEFAULT NULL) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    found integer;
BEGIN
    SELECT s.part INTO found FROM workflow_router.shard s
    WHERE s.shard = workflow_router.shard_of(part_of.instance);
    IF found IS NULL AND (instance IS NULL OR workflow_router.any_part() IS NULL) THEN
        RETURN workflow_router.any_part();
    ELSIF found IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('%s does not exist', coalesce(what, 'instance ' || instance)),
            DETAIL = format('Its number is that of shard %s, which this router does not know.', workflow_router.shard_of(instance));
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION workflow_router.part_of(bigint, text) IS
'Gives the place of the shard of an instance. instance: its number; what: what to call it in an error';

CREATE FUNCTION workflow_router.part_of_serial(serial_number text) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    IF serial_number ~ '^[1-9][0-9]{0,17}_' THEN
        RETURN workflow_router.part_of(split_part(serial_number, '_', 1)::bigint, 'serial number ' || serial_number);
    END IF;
    RETURN workflow_router.any_part();
END $$;
COMMENT ON FUNCTION workflow_router.part_of_serial(text) IS 'Gives the place of the shard of a visit. serial_number: of the visit';

CREATE FUNCTION workflow_router.part_of_token(token text) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    IF token ~ '^[1-9][0-9]{0,17}[_.]' THEN
        RETURN workflow_router.part_of(substring(token FROM '^[0-9]+')::bigint, 'what the token is of');
    END IF;
    RETURN workflow_router.any_part();
END $$;
COMMENT ON FUNCTION workflow_router.part_of_token(text) IS 'Gives the place of the shard that has made a token. token: of a callback or an instance';

-- Rendezvous hashing: each shard draws a number from the key, and who has drawn the lowest by its weight has the key. So a new shard
-- takes from each of the others, and nothing moves among these.
CREATE FUNCTION workflow_router.draw(key text, shard integer, weight double precision) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT -ln(((hashtextextended(key COLLATE "C", shard) & 9007199254740991)::double precision + 0.5) / 9007199254740992) / weight
$$;
COMMENT ON FUNCTION workflow_router.draw(text, integer, double precision) IS 'What a shard draws from a business key: the lowest has it. key, shard, weight';

CREATE FUNCTION workflow_router.home(key text) RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE
    found integer;
BEGIN
    SELECT s.shard INTO found FROM workflow_router.shard s WHERE s.weight > 0 ORDER BY workflow_router.draw(key, s.shard, s.weight) LIMIT 1;
    IF found IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = 'no shard takes new instances',
            HINT = 'workflow_router.add_shard adds shards, workflow_router.set_weight gives them a weight.';
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION workflow_router.home(text) IS 'Tells the shard in which instances with a business key start. key: as text';

CREATE FUNCTION workflow_router.former_homes(key text) RETURNS SETOF integer LANGUAGE sql STABLE AS $$
    WITH homes (shard) AS (
        SELECT workflow_router.home($1)
        UNION
        SELECT f.shard
        FROM (SELECT DISTINCT f.map FROM workflow_router.former f) m,
            LATERAL (SELECT f.shard FROM workflow_router.former f WHERE f.map = m.map AND f.weight > 0
                     ORDER BY workflow_router.draw($1, f.shard, f.weight) LIMIT 1) f)
    SELECT p.shard
    FROM (SELECT h.shard FROM homes h UNION SELECT a.lives_in FROM homes h JOIN workflow_router.half a ON a.shard = h.shard) p
    WHERE p.shard <> workflow_router.home($1) AND EXISTS (SELECT FROM workflow_router.shard s WHERE s.shard = p.shard)
$$;
COMMENT ON FUNCTION workflow_router.former_homes(text) IS 'Tells the shards in which instances with a business key have started before. key: as text';

-- As workflow.start keeps it.
CREATE FUNCTION workflow_router.key_text(key anycompatible) RETURNS text LANGUAGE sql STABLE
    SET datestyle = 'ISO, YMD' SET timezone = 'UTC' SET intervalstyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex' AS $$
    SELECT CASE pg_typeof($1)::text
        WHEN 'timestamp with time zone' THEN to_jsonb($1) #>> '{}' WHEN 'timestamp without time zone' THEN to_jsonb($1) #>> '{}'
        WHEN 'date' THEN to_jsonb($1) #>> '{}' WHEN 'character' THEN $1::text ELSE format('%s', $1) END
$$;
COMMENT ON FUNCTION workflow_router.key_text(anycompatible) IS 'Gives a business key as text, as workflow.start keeps it. key: of any type';

-- ---- the list of shards ----

-- The server of PL/Proxy has them by their places. A place whose shard was removed leads to another one, which knows nothing of it.
CREATE FUNCTION workflow_router.write_server() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    present text[] := (SELECT coalesce(srvoptions, '{}') FROM pg_foreign_server WHERE srvname = 'workflow_shards');
    spare text := (SELECT connect FROM workflow_router.shard ORDER BY part LIMIT 1);
    options text;
BEGIN
    SELECT string_agg(format('%s p%s %L', CASE WHEN present IS NULL THEN '' WHEN EXISTS (SELECT FROM unnest(present) o WHERE o LIKE 'p' || n.part || '=%')
                                          THEN 'SET' ELSE 'ADD' END, n.part,
                             c.connect || CASE WHEN c.connect ~ 'connect_timeout' THEN '' ELSE ' connect_timeout=5' END), ', ' ORDER BY n.part)
    INTO options
    FROM generate_series(0, greatest((SELECT max(part) FROM workflow_router.shard),
                                     (SELECT max(substring(o FROM '^p([0-9]+)=')::integer) FROM unnest(present) o))) n (part),
        LATERAL (SELECT coalesce((SELECT s.connect FROM workflow_router.shard s WHERE s.part = n.part), spare) AS connect) c;
    IF spare IS NULL THEN
        DROP SERVER IF EXISTS workflow_shards CASCADE;
    ELSIF present IS NULL THEN
        EXECUTE format('CREATE SERVER workflow_shards FOREIGN DATA WRAPPER plproxy OPTIONS (modular_mapping ''1'', %s)', options);
        CREATE USER MAPPING FOR PUBLIC SERVER workflow_shards;
        GRANT USAGE ON FOREIGN SERVER workflow_shards TO PUBLIC;
    ELSE
        EXECUTE format('ALTER SERVER workflow_shards OPTIONS (%s)', options);
    END IF;
END $$;
COMMENT ON FUNCTION workflow_router.write_server() IS 'Has the server workflow_shards, which PL/Proxy asks, be as the table says';

CREATE FUNCTION workflow_router.may_live(part integer) RETURNS boolean LANGUAGE plproxy AS
$$ CLUSTER 'workflow_shards'; RUN ON part; SELECT current_setting('is_superuser') <> 'on' OR EXISTS (SELECT FROM workflow.instances i WHERE i.ended_at IS NULL); $$;
COMMENT ON FUNCTION workflow_router.may_live(integer) IS 'Whether instances live in a shard, as far as the caller can know. part: its place';

-- What may be in a shard that does not answer may be there.
CREATE FUNCTION workflow_router.some_live() RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $$
DECLARE
    v_part integer;
BEGIN
    FOR v_part IN SELECT s.part FROM workflow_router.shard s LOOP
        IF workflow_router.may_live(v_part) THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
EXCEPTION WHEN OTHERS THEN
    RETURN true;
END $$;
COMMENT ON FUNCTION workflow_router.some_live() IS 'Whether instances may live in any shard';

-- Where keys may be that have another home from now on.
CREATE FUNCTION workflow_router.remember_weights() RETURNS void LANGUAGE sql AS $$
    INSERT INTO workflow_router.former (map, shard, weight, until)
    SELECT coalesce((SELECT max(f.map) FROM workflow_router.former f), 0) + 1, s.shard, s.weight, clock_timestamp()
    FROM workflow_router.shard s WHERE s.weight > 0 AND workflow_router.some_live()
$$;
COMMENT ON FUNCTION workflow_router.remember_weights() IS 'Notes the weights that are about to change, if instances may live';

CREATE FUNCTION workflow_router.check_weight(weight double precision) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF weight IS NULL OR NOT (weight >= 0 AND weight < 1e9) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('a shard cannot have the weight %s', coalesce(weight::text, 'null')),
            HINT = 'A weight is 0, for no new instances, or more: shards get instances in proportion.';
    END IF;
END $$;
COMMENT ON FUNCTION workflow_router.check_weight(double precision) IS 'Refuses what is no weight. weight: of a shard';

CREATE FUNCTION workflow_router.check_answer(shard integer, part integer) RETURNS void LANGUAGE plpgsql SET client_min_messages = warning AS $$
DECLARE
    answer integer;
    v_state text; v_message text; v_detail text; v_hint text;
BEGIN
    BEGIN
        answer := workflow_router.ping(part);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
        IF v_state IN ('3F000', '42883') THEN
            RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = 'that database has no extension workflow with shards',
                HINT = 'Run there, as a superuser: CREATE EXTENSION workflow';
        END IF;
        PERFORM workflow_router.again(part, v_state, v_message, v_detail, v_hint);
    END;
    IF answer IS DISTINCT FROM shard THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = CASE WHEN answer IS NULL THEN 'that database is no shard' ELSE format('that database is shard %s, not %s', answer, shard) END,
            HINT = CASE WHEN answer IS NULL THEN format('Run there, as a superuser: SELECT workflow.set_shard(%s)', shard)
                   ELSE 'Each shard has a number of its own, which workflow.set_shard gave it.' END;
    END IF;
END $$;
COMMENT ON FUNCTION workflow_router.check_answer(integer, integer) IS 'Refuses a database that is another shard, or does not answer. shard: its number; part: its place';

CREATE FUNCTION workflow_router.add_shard(shard integer, connect text, weight double precision DEFAULT 1) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM workflow_router.check_weight(weight);
    IF shard IS NULL OR shard NOT BETWEEN 0 AND 1023 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('there is no shard %s', coalesce(shard::text, 'null')),
            HINT = 'Shards have the numbers 0 to 1023.';
    ELSIF connect IS NULL OR connect ~* '(^|\s)(user|password)\s*=' OR connect ~ '://' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'a shard is reached by "host=... port=... dbname=...", without user and password',
            HINT = 'Those are options of user mappings: CREATE USER MAPPING FOR ... SERVER workflow_shards OPTIONS (user ''...'', password ''...'').';
    END IF;
    LOCK TABLE workflow_router.shard IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM workflow_router.shard s WHERE s.shard = add_shard.shard) THEN
        RAISE EXCEPTION USING ERRCODE = 'duplicate_object', MESSAGE = format('there is a shard %s already', shard),
            DETAIL = format('It is at "%s".', (SELECT s.connect FROM workflow_router.shard s WHERE s.shard = add_shard.shard)),
            HINT = 'Each shard has a number of its own. workflow_router.move_shard says that one is elsewhere now.';
    END IF;
    IF weight > 0 THEN
        PERFORM workflow_router.remember_weights();
    END IF;
    INSERT INTO workflow_router.shard (shard, part, connect, weight)
    VALUES (add_shard.shard, coalesce((SELECT max(s.part) FROM workflow_router.shard s) + 1, 0), add_shard.connect, add_shard.weight);
    PERFORM workflow_router.write_server();
    PERFORM workflow_router.check_answer(shard, (SELECT s.part FROM workflow_router.shard s WHERE s.shard = add_shard.shard));
END $$;
COMMENT ON FUNCTION workflow_router.add_shard(integer, text, double precision) IS
'Adds a shard.
shard: its number, as workflow.set_shard has said there. connect: how it is reached, in the form of libpq, without user and
  password. weight: its share of new instances; 0: none, until workflow_router.set_weight.
Errors: 22023 what is out of range; 42710 there is one of that number; 55000 it is another shard, or none; 08001 it does not
  answer.';

CREATE FUNCTION workflow_router.known(shard integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    found integer := (SELECT s.part FROM workflow_router.shard s WHERE s.shard = known.shard);
BEGIN
    IF found IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('there is no shard %s', coalesce(shard::text, 'null'));
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION workflow_router.known(integer) IS 'Gives the place of a shard, or refuses it. shard: its number';

CREATE FUNCTION workflow_router.move_shard(shard integer, connect text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part integer := workflow_router.known(shard);
BEGIN
    UPDATE workflow_router.shard s SET connect = move_shard.connect WHERE s.shard = move_shard.shard;
    PERFORM workflow_router.write_server();
    PERFORM workflow_router.check_answer(shard, part);
END $$;
COMMENT ON FUNCTION workflow_router.move_shard(integer, text) IS
'Says that a shard is reached otherwise.
shard: its number. connect: how it is reached.
Errors: 42704 no such shard; 55000 what is there is another one, or none; 08001 it does not answer.';

CREATE FUNCTION workflow_router.set_weight(shard integer, weight double precision) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM workflow_router.known(shard), workflow_router.check_weight(weight);
    LOCK TABLE workflow_router.shard IN SHARE ROW EXCLUSIVE MODE;
    PERFORM workflow_router.remember_weights();
    UPDATE workflow_router.shard s SET weight = set_weight.weight WHERE s.shard = set_weight.shard;
END $$;
COMMENT ON FUNCTION workflow_router.set_weight(integer, double precision) IS
'Changes the share of new instances that a shard gets.
shard: its number. weight: in proportion to those of the others; 0: none.
Errors: 42704 no such shard; 22023 weight out of range.';

CREATE FUNCTION workflow_router.remove_shard(shard integer, force boolean DEFAULT false) RETURNS void LANGUAGE plpgsql SET client_min_messages = warning AS $$
DECLARE
    part integer := workflow_router.known(shard);
    living boolean;
    v_state text; v_message text; v_detail text; v_hint text;
BEGIN
    IF NOT coalesce(force, false) THEN
        BEGIN
            living := workflow_router.may_live(part);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.again(part, v_state, v_message, v_detail, v_hint);
        END;
        IF living THEN
            RAISE EXCEPTION USING ERRCODE = 'object_in_use', MESSAGE = format('instances live in shard %s', shard),
                HINT = 'Give it the weight 0, and wait for their end; or force it.';
        END IF;
    END IF;
    LOCK TABLE workflow_router.shard IN SHARE ROW EXCLUSIVE MODE;
    IF (SELECT s.weight > 0 FROM workflow_router.shard s WHERE s.shard = remove_shard.shard) THEN
        PERFORM workflow_router.remember_weights();
    END IF;
    DELETE FROM workflow_router.shard s WHERE s.shard = remove_shard.shard;
    PERFORM workflow_router.write_server();
END $$;
COMMENT ON FUNCTION workflow_router.remove_shard(integer, boolean) IS
'Forgets a shard; nothing is done there.
shard: its number. force: true: also while instances live in it.
Errors: 42704 no such shard; 55006 instances live there, and force is false; 08001 it does not answer, and force is false.';

CREATE FUNCTION workflow_router.living_keys() RETURNS TABLE (shard integer, key text) LANGUAGE plproxy AS
$$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, i.business_key AS key FROM workflow.instances i WHERE i.ended_at IS NULL AND i.business_key IS NOT NULL
  UNION ALL SELECT workflow.shard(), NULL WHERE current_setting('is_superuser') <> 'on'; $$;
COMMENT ON FUNCTION workflow_router.living_keys() IS
'Business keys of the instances that live, and their shards, which all must answer; NULL: there may be more that the caller does not see';

CREATE FUNCTION workflow_router.forget_former(force boolean DEFAULT false) RETURNS bigint LANGUAGE plpgsql SET client_min_messages = warning AS $$
DECLARE
    away record;
    forgotten bigint;
    v_state text; v_message text; v_detail text; v_hint text;
BEGIN
    LOCK TABLE workflow_router.shard IN SHARE ROW EXCLUSIVE MODE;
    IF NOT coalesce(force, false) AND EXISTS (SELECT FROM workflow_router.former) THEN
        BEGIN
            SELECT count(*) AS n, min(l.key) AS key INTO away
            FROM workflow_router.living_keys() l, workflow_router.home(l.key) h
            WHERE l.key IS NULL OR (l.shard <> h AND NOT EXISTS (SELECT FROM workflow_router.half p WHERE p.shard = h AND p.lives_in = l.shard));
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.again(NULL, v_state, v_message, v_detail, v_hint);
        END;
        IF away.n > 0 THEN
            RAISE EXCEPTION USING ERRCODE = 'object_in_use', MESSAGE = 'instances live in former homes of their keys',
                DETAIL = CASE WHEN away.key IS NULL THEN format('Role %s does not see all instances of the shards.', quote_ident(current_user))
                              ELSE format('There are %s; "%s" is a key of one.', away.n, away.key) END,
                HINT = 'Wait for their end; or force it: then calls by their keys do not find them, and the keys are free elsewhere.';
        END IF;
    END IF;
    WITH gone AS (DELETE FROM workflow_router.former RETURNING map) SELECT count(DISTINCT map) INTO forgotten FROM gone;
    RETURN forgotten;
END $$;
COMMENT ON FUNCTION workflow_router.forget_former(boolean) IS
'Says that no instance lives that has started while weights were others: former homes of business keys are asked no more. Returns how often weights have changed.
force: true: also while such instances live, or shards do not answer.
Errors: 42501 for superusers, and those whom they grant it; 55006 instances live in a former home of their key, and force is false; 08001 a shard does not answer, and force is false.';

CREATE FUNCTION workflow_router.split_shard(shard integer, modulus integer, remainder integer, new_shard integer, connect text, below bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM workflow_router.known(shard);
    IF modulus IS NULL OR modulus < 2 OR remainder IS NULL OR remainder < 0 OR remainder >= modulus OR below IS NULL OR below <= 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'that is no part of a shard',
            HINT = 'modulus and remainder are those of workflow.keep() in the new shard, below is what that returned.';
    ELSIF EXISTS (SELECT FROM workflow_router.half h WHERE split_shard.shard IN (h.shard, h.lives_in)) THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('shard %s was split already', shard),
            HINT = 'A shard is split once; those that were added later can be, too.';
    END IF;
    PERFORM workflow_router.add_shard(new_shard, connect, (SELECT s.weight FROM workflow_router.shard s WHERE s.shard = split_shard.shard));
    INSERT INTO workflow_router.half (shard, below, modulus, remainder, lives_in)
    VALUES (split_shard.shard, (split_shard.below >> 10) << 10, split_shard.modulus, split_shard.remainder, new_shard);
END $$;
COMMENT ON FUNCTION workflow_router.split_shard(integer, integer, integer, integer, text, bigint) IS
'Says that a shard was split, and which part of its instances lives in a new one.
shard: the one that was split. modulus, remainder: of workflow.keep in the new shard. new_shard, connect: its number, and how it is
  reached. below: what workflow.keep returned there.
Errors: 42704 no such shard; 22023 what is no part; 0A000 it was split already; those of workflow_router.add_shard.';

CREATE FUNCTION workflow_router.set_old(shard integer, below bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM workflow_router.known(shard);
    INSERT INTO workflow_router.old (shard, below) VALUES (set_old.shard, set_old.below)
    ON CONFLICT (single) DO UPDATE SET shard = EXCLUDED.shard, below = EXCLUDED.below;
END $$;
COMMENT ON FUNCTION workflow_router.set_old(integer, bigint) IS
'Says which shard had instances before it was one.
shard: its number. below: lower numbers than this one are of it: what workflow.set_shard returned there.
Errors: 42704 no such shard.';

REVOKE EXECUTE ON FUNCTION workflow_router.write_server(), workflow_router.remember_weights(), workflow_router.add_shard(integer, text, double precision),
                           workflow_router.move_shard(integer, text), workflow_router.set_weight(integer, double precision),
                           workflow_router.remove_shard(integer, boolean), workflow_router.forget_former(boolean), workflow_router.set_old(integer, bigint),
                           workflow_router.split_shard(integer, integer, integer, integer, text, bigint)
    FROM PUBLIC;
