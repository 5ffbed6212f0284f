-- Makes 50_face.sql of the functions and views of a database with the extension workflow, so that a router has the same:
-- psql -X -A -t -q -f generate.sql. What a router does by hand is in 40_calls.sql.

SET search_path = pg_catalog;
\pset footer off

CREATE TEMP TABLE rule (name text, arguments text, way text, more text);
INSERT INTO rule (name, way, more) VALUES
    -- one says it for all
    ('check', 'any', NULL), ('definition_schema', 'any', NULL), ('difference', 'any', NULL),
    -- all are told; what becomes of their answers
    ('define', 'all', 'r_one'), ('undefine', 'all', 'r_one OR coalesce(r_answer, false)'),
    ('grant_process', 'all', 'r_one OR coalesce(r_answer, false)'), ('revoke_process', 'all', 'r_one OR coalesce(r_answer, false)'),
    ('suspend_process', 'all', 'r_one + coalesce(r_answer, 0)'), ('resume_process', 'all', 'r_one + coalesce(r_answer, 0)'),
    ('verify', 'all', NULL), ('send_signal', 'all', NULL),
    -- what begins with the number of an instance
    ('callback', 'token', NULL), ('callback_raw', 'token', NULL), ('callback_heartbeat', 'token', NULL), ('instance_of_token', 'token', NULL),
    -- by hand
    ('start', 'hand', NULL), ('instance_of_key', 'hand', NULL), ('send_message', 'hand', NULL), ('fetch', 'hand', NULL), ('complete_many', 'hand', NULL),
    ('webhook', 'hand', NULL), ('serial_number', 'hand', NULL), ('shard', 'hand', NULL),
    -- what is about one database
    ('attach', 'not', 'Attach the table in the shard that it is in.'), ('detach', 'not', 'Detach the table in the shard that it is in.'),
    ('adopt', 'not', 'Call it in the shard that is a copy.'), ('set_shard', 'not', 'Call it in the database that becomes a shard.'), ('keep', 'not', 'Call it in each part of the shard that is split.'),
    ('wait_for', 'not', 'Call it in the shard of the instance, or look at the view workflow.instances.'),
    ('last_operation', 'not', 'The view workflow.operations shows calls that were made asynchronously.'),
    ('resend', 'not', 'Numbers of operations are those of each shard: call it there.'),
    ('withdraw_message', 'not', 'Numbers of messages are those of each shard: call it there.'),
    ('mock', 'not', 'Test processes in a database of their own.'), ('advance', 'not', 'Test processes in a database of their own.'),
    ('mocked_requests', 'not', 'Test processes in a database of their own.'), ('now', 'not', 'Test processes in a database of their own.');
INSERT INTO rule VALUES
    ('diagram', 'process text, version integer, live boolean', 'any', 'live'),
    ('migrate', 'process text, from_version integer, version integer, mapping jsonb, OUT instance bigint, OUT obstacle text', 'all', NULL),
    ('webhook_token', 'process text, webhook text', 'hand', NULL);

CREATE TEMP VIEW face AS
SELECT p.oid, p.proname AS name, p.prokind AS kind, p.proretset AS many, pg_get_function_arguments(p.oid) AS arguments,
       pg_get_function_identity_arguments(p.oid) AS identity, pg_get_function_result(p.oid) AS result, p.prorettype AS type,
       obj_description(p.oid, 'pg_proc') AS comment, i.names, i.types, o.outs, coalesce(o.n, 0) AS nouts,
       CASE WHEN p.proargtypes[0] = 'bigint'::regtype AND p.proargnames[1] = 'serial_number' THEN 'quotes' ELSE
           coalesce(r.way, CASE p.proargnames[1] WHEN 'instance' THEN 'number' WHEN 'serial_number' THEN 'serial' ELSE 'not' END) END AS way,
       coalesce(r.more, CASE WHEN r.way IS NOT NULL THEN NULL WHEN p.proargnames[1] = 'relation' THEN 'Call it in the shard in which the table is.'
                             ELSE 'It is about one database: call it in a shard.' END) AS more
FROM pg_proc p
    CROSS JOIN LATERAL (SELECT coalesce(array_agg(p.proargnames[n] ORDER BY n) FILTER (WHERE t IS NOT NULL), '{}') AS names,
                               coalesce(array_agg(t::regtype::text ORDER BY n) FILTER (WHERE t IS NOT NULL), '{}') AS types
                        FROM unnest(p.proargtypes) WITH ORDINALITY a (t, n)) i
    CROSS JOIN LATERAL (SELECT string_agg(format('%I %s', p.proargnames[n], p.proallargtypes[n]::regtype), ', ' ORDER BY n) AS outs, count(*) AS n
                        FROM unnest(p.proargmodes) WITH ORDINALITY m (m, n) WHERE m IN ('o', 'b', 't')) o
    LEFT JOIN rule r ON r.name = p.proname AND (r.arguments IS NULL OR r.arguments = pg_get_function_identity_arguments(p.oid))
WHERE p.pronamespace = 'workflow'::regnamespace;

\echo '-- Made by generate.sql of the functions and views of the extension. Not to be changed by hand.'
\echo

-- ---- what goes to one shard: workflow_router.do_... with the place before the arguments ----
SELECT format($f$CREATE FUNCTION workflow_router.do_%s(part integer%s%s) RETURNS %s LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT %s; $r$;$f$,
              name,
              (SELECT string_agg(format(', a%s %s', n, CASE t WHEN 'anycompatible' THEN 'text' ELSE t END), '' ORDER BY n) FROM unnest(types) WITH ORDINALITY u (t, n)),
              CASE WHEN nouts > 0 THEN (SELECT string_agg(format(', OUT %I %s', split_part(o, ' ', 1), substr(o, strpos(o, ' ') + 1)), '') FROM unnest(string_to_array(outs, ', ')) o) END,
              CASE WHEN nouts > 0 AND many THEN 'SETOF record' WHEN nouts > 0 THEN 'record' ELSE result END,
              format(CASE WHEN many OR nouts > 0 THEN 'x.* FROM workflow.%s(%s) x' ELSE 'workflow.%s(%s)' END, name,
                     (SELECT string_agg('$' || n + 1, ', ' ORDER BY n) FROM unnest(types) WITH ORDINALITY u (t, n))))
FROM face WHERE kind = 'f' AND way IN ('number', 'serial', 'token', 'any', 'all') OR name IN ('start', 'instance_of_key', 'send_message', 'fetch', 'webhook', 'webhook_token')
ORDER BY name, identity;
SELECT format(E'COMMENT ON FUNCTION workflow_router.do_%s(integer%s) IS \'Passes workflow.%s on to a shard. part: its place; the others are those of the function\';',
              name, (SELECT string_agg(', ' || CASE t WHEN 'anycompatible' THEN 'text' ELSE t END, '' ORDER BY n) FROM unnest(types) WITH ORDINALITY u (t, n)), name)
FROM face WHERE kind = 'f' AND way IN ('number', 'serial', 'token', 'any', 'all') OR name IN ('start', 'instance_of_key', 'send_message', 'fetch', 'webhook', 'webhook_token')
ORDER BY name, identity;

-- ---- the functions of the extension ----
CREATE TEMP VIEW body AS
SELECT f.*, array_to_string('{r_part}'::text[] || names, ', ') AS passed,
       CASE WHEN many THEN 'RETURN QUERY SELECT * FROM' WHEN nouts > 0 THEN 'SELECT * FROM' WHEN result = 'void' THEN 'PERFORM' ELSE 'RETURN' END AS call,
       CASE WHEN nouts > 0 AND NOT many THEN ' INTO ' || (SELECT string_agg(split_part(o, ' ', 1), ', ') FROM unnest(string_to_array(outs, ', ')) o) ELSE '' END AS gets
FROM face f;

-- PL/Proxy says in a NOTICE when it connects again, which nobody wants to know; what shards say of what all are told, they do.
SELECT format('CREATE %s workflow.%s(%s)%s LANGUAGE plpgsql%s AS $router$%s$router$;', CASE kind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, name, arguments,
              CASE kind WHEN 'p' THEN '' ELSE ' RETURNS ' || result END,
    CASE WHEN way IN ('number', 'serial', 'token', 'any') AND name <> 'migrate' THEN ' SET client_min_messages = warning' ELSE '' END,
    CASE
        WHEN way IN ('number', 'serial', 'token') THEN format($f$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.%s;
    r_message text; r_detail text; r_hint text;
BEGIN
    %s workflow_router.do_%s(%s)%s;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $f$, CASE way WHEN 'number' THEN 'part_of(instance)' WHEN 'serial' THEN 'part_of_serial(serial_number)' ELSE 'part_of_token(token)' END,
                call, name, passed, gets)
        WHEN way = 'any' THEN format($f$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_message text; r_detail text; r_hint text;
BEGIN%s
    r_part := workflow_router.answering_part();
    %s workflow_router.do_%s(%s)%s;%s
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $f$, CASE WHEN more = 'live' THEN $f$
    IF live THEN
        PERFORM workflow_router.refuse('diagram', 'Tokens are counted in each shard: call it there with live => true.');
    END IF;$f$ ELSE '' END, call, name, passed, gets, '')
        WHEN way = 'all' THEN format($f$
#variable_conflict use_variable
DECLARE
    r_part integer; r_shard integer; r_done integer[] := '{}'; r_failed integer[] := '{}';%s
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    PERFORM workflow_router.require_all();
    FOR r_part, r_shard IN SELECT s.part, s.shard FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            %s
            r_done := r_done || r_shard;
        EXCEPTION WHEN OTHERS THEN
            IF r_failed = '{}' THEN
                GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            END IF;
            r_failed := r_failed || r_shard;
            -- what the first one refuses is done nowhere
            EXIT WHEN r_done = '{}';
        END;
    END LOOP;
    IF r_failed <> '{}' THEN
        PERFORM workflow_router.partly('%s', r_done, r_failed, r_state, r_message, r_detail, r_hint);
    END IF;%s
END $f$, CASE WHEN more IS NOT NULL THEN format(E'\n    r_one %s; r_answer %s;', result, result) ELSE '' END,
                CASE WHEN many THEN format('RETURN QUERY SELECT * FROM workflow_router.do_%s(%s);', name, passed)
                     WHEN result = 'void' THEN format('PERFORM workflow_router.do_%s(%s);', name, passed)
                     ELSE format(E'r_one := workflow_router.do_%s(%s);%s\n            r_answer := %s;', name, passed,
                                 CASE WHEN name = 'define' THEN E'\n            PERFORM workflow_router.check_version(name, r_shard, r_one, r_answer);' ELSE '' END, more) END,
                name, CASE WHEN more IS NOT NULL THEN E'\n    RETURN r_answer;' ELSE '' END)
        WHEN way = 'not' THEN format($f$
BEGIN
    PERFORM workflow_router.refuse(%L, %L);
END $f$, name, more)
        WHEN way = 'quotes' THEN $f$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'invalid_text_representation', MESSAGE = 'a serial number is text, in quotes: ''5_31''';
END $f$
    END)
FROM body WHERE way <> 'hand' ORDER BY name, identity;

SELECT format('COMMENT ON %s workflow.%s(%s) IS %L;', CASE kind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, name,
              (SELECT string_agg(CASE kind WHEN 'p' THEN t ELSE t END, ', ' ORDER BY n) FROM unnest(types) WITH ORDINALITY u (t, n)),
              CASE way WHEN 'not' THEN 'Not for a router: 0A000. ' || more ELSE comment END)
FROM face ORDER BY name, identity;

-- ---- the views: all rows of all shards, or of those that answer ----
CREATE TEMP VIEW seen AS
SELECT c.relname AS name, obj_description(c.oid, 'pg_class') AS comment,
       string_agg(format('%I %s', a.attname, CASE a.atttypid WHEN 'regclass'::regtype THEN 'text' ELSE a.atttypid::regtype::text END), ', ' ORDER BY a.attnum) AS columns,
       string_agg(format(CASE a.atttypid WHEN 'regclass'::regtype THEN 'v.%1$I::text AS %1$I' ELSE 'v.%1$I' END, a.attname), ', ' ORDER BY a.attnum) AS taken,
       coalesce(array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE f.f), '{}') AS keys,
       coalesce(array_agg(a.atttypid::regtype::text ORDER BY a.attnum) FILTER (WHERE f.f), '{}') AS types
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    CROSS JOIN LATERAL (SELECT a.attname IN ('instance', 'serial_number', 'process', 'business_key', 'step', 'status', 'state', 'topic') AND a.atttypid IN ('text'::regtype, 'bigint'::regtype) AS f) f
WHERE c.relnamespace = 'workflow'::regnamespace AND c.relkind = 'v' AND c.relname <> 'shards'
GROUP BY c.oid, c.relname;

SELECT format($f$CREATE TYPE workflow_router.%s_row AS (shard integer, %s);
COMMENT ON TYPE workflow_router.%s_row IS 'A row of the view workflow.%s';
CREATE FUNCTION workflow_router.%s_of(part integer%s) RETURNS SETOF workflow_router.%s_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, %s FROM workflow.%s v WHERE true%s; $r$;
COMMENT ON FUNCTION workflow_router.%s_of(integer%s) IS 'Rows of workflow.%s in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.%s_all(%s) RETURNS SETOF workflow_router.%s_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, %s FROM workflow.%s v WHERE true%s; $r$;
COMMENT ON FUNCTION workflow_router.%s_all(%s) IS 'Rows of workflow.%s in all shards, which all must answer. Arguments pick rows';$f$,
              name, columns, name, name,
              name, (SELECT string_agg(format(', k%s %s', n, t), '' ORDER BY n) FROM unnest(types) WITH ORDINALITY u (t, n)), name,
              taken, name, (SELECT string_agg(format(' AND ($%s::%s IS NULL OR v.%I = $%s)', n + 1, types[n], k, n + 1), '' ORDER BY n) FROM unnest(keys) WITH ORDINALITY u (k, n)),
              name, (SELECT string_agg(', ' || t, '' ORDER BY n) FROM unnest(types) WITH ORDINALITY u (t, n)), name,
              name, (SELECT string_agg(format('k%s %s', n, t), ', ' ORDER BY n) FROM unnest(types) WITH ORDINALITY u (t, n)), name,
              taken, name, (SELECT string_agg(format(' AND ($%s::%s IS NULL OR v.%I = $%s)', n, types[n], k, n), '' ORDER BY n) FROM unnest(keys) WITH ORDINALITY u (k, n)),
              name, array_to_string(types, ', '), name)
FROM seen ORDER BY name;

SELECT format($f$CREATE FUNCTION workflow_router.%s(%s) RETURNS SETOF workflow_router.%s_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN%s
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.%s_all(%s);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.%s_of(%s);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            %s
        END;
    END LOOP;%s
END $router$;
COMMENT ON FUNCTION workflow_router.%s(%s) IS 'Rows of workflow.%s in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.%s AS SELECT * FROM workflow_router.%s();
COMMENT ON VIEW workflow.%s IS %L;$f$,
              name, (SELECT string_agg(format('%I %s DEFAULT NULL', k, types[n]), ', ' ORDER BY n) FROM unnest(keys) WITH ORDINALITY u (k, n)), name,
              CASE WHEN 'instance' = ANY (keys) THEN format($f$
    IF instance IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.%1$s_of(workflow_router.part_of(instance), %2$s);
        RETURN;
    END IF;$f$, name, array_to_string(keys, ', ')) ELSE '' END
              || CASE WHEN 'serial_number' = ANY (keys) THEN format($f$
    IF serial_number IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.%1$s_of(workflow_router.part_of_serial(serial_number), %2$s);
        RETURN;
    END IF;$f$, name, array_to_string(keys, ', ')) ELSE '' END
              || E'\n    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN\n        RETURN;\n    END IF;',
              name, array_to_string(keys, ', '), name, array_to_string('{r_part}'::text[] || keys, ', '),
              CASE name WHEN 'workers' THEN 'RETURN NEXT workflow_router.worker_that_is_missing(r_part, r_state, r_message, r_detail, r_hint);'
                        ELSE 'PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);' END,
              CASE WHEN keys && '{instance,serial_number}' THEN $f$
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(NULL, SQLSTATE, r_message, r_detail, r_hint);$f$ ELSE '' END,
              name, array_to_string(types, ', '), name, name, name, name,
              comment || E'\n' || 'Over all shards that answer; shard: the number of the shard in which the row is.')
FROM seen ORDER BY name;
SELECT format('COMMENT ON COLUMN workflow.%s.%I IS %L;', c.relname, a.attname, col_description(c.oid, a.attnum))
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'workflow'::regnamespace AND c.relkind = 'v' AND c.relname <> 'shards' ORDER BY c.relname, a.attnum;
SELECT format('COMMENT ON COLUMN workflow.%s.shard IS ''Number of the shard in which the row is'';', name) FROM seen ORDER BY name;
\echo 'GRANT SELECT ON ALL TABLES IN SCHEMA workflow TO PUBLIC;'
