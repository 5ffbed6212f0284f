-- What shards are to have in common: that they are those of the list, processes, privileges.

CREATE FUNCTION workflow_router.looks_of(part integer, parts integer[], OUT shard integer, OUT first bigint, OUT has_old boolean) RETURNS SETOF record LANGUAGE plproxy AS
$$ CLUSTER 'workflow_shards'; RUN ON part;
   SELECT s.shard, s.first, EXISTS (SELECT FROM workflow.instances i WHERE i.instance < s.first AND i.instance & 1023 <> ALL ($2)) AS has_old FROM workflow.shards s; $$;
COMMENT ON FUNCTION workflow_router.looks_of(integer, integer[]) IS 'Tells what a shard says of itself. part: its place; parts: numbers of shards of which it has a part';

CREATE FUNCTION workflow_router.has_of(part integer, OUT kind text, OUT name text, OUT process text, OUT number integer, OUT value text) RETURNS SETOF record LANGUAGE plproxy AS
$$ CLUSTER 'workflow_shards'; RUN ON part;
   SELECT 'version' AS kind, format('version %s of process "%s"', p.version, p.process) AS name, p.process, p.version AS number, md5(p.definition::text) || p.owner AS value
   FROM workflow.processes p WHERE p.process IN (SELECT q.process FROM workflow.processes q WHERE q.latest)
   UNION ALL
   SELECT 'privilege', format('privilege "%s"%s of "%s" on process "%s"', g.privilege, coalesce(' on step "' || g.step || '"', ''), g.role, g.process), g.process, 0, ''
   FROM workflow.grants g; $$;
COMMENT ON FUNCTION workflow_router.has_of(integer) IS 'Tells what a shard has that all are to have. part: its place';

CREATE FUNCTION workflow_router.verify(OUT shard integer, OUT problem text) RETURNS SETOF record LANGUAGE plpgsql SET client_min_messages = warning AS $$
DECLARE
    v_part integer;
    v_parts integer[] := '{}';
    looks record;
    error record;
    v_state text; v_message text; v_detail text; v_hint text;
BEGIN
    FOR shard, v_part IN SELECT s.shard, s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            SELECT * INTO looks FROM workflow_router.looks_of(v_part, (SELECT coalesce(array_agg(h.shard), '{}') FROM workflow_router.half h WHERE h.lives_in = verify.shard));
            v_parts := v_parts || v_part;
            IF looks.shard IS DISTINCT FROM verify.shard THEN
                problem := coalesce('it says that it is shard ' || looks.shard, 'it is no shard');
                RETURN NEXT;
            END IF;
            IF looks.has_old AND NOT EXISTS (SELECT FROM workflow_router.old o WHERE o.shard = verify.shard AND o.below >= looks.first) THEN
                problem := format('it has instances from before it was a shard: workflow_router.set_old(%s, %s)', shard, looks.first);
                RETURN NEXT;
            END IF;
            IF looks.first < (SELECT o.below FROM workflow_router.old o WHERE o.shard <> verify.shard) THEN
                problem := format('its numbers begin with %s, among those that are of shard %s', looks.first, (SELECT o.shard FROM workflow_router.old o));
                RETURN NEXT;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
            error := workflow_router.what_failed(v_state, v_message, v_detail, v_hint, v_part);
            problem := concat_ws(': ', error.message, nullif(error.detail, ''));
            RETURN NEXT;
        END;
    END LOOP;
    RETURN QUERY
        WITH has AS MATERIALIZED (SELECT s.shard, h.* FROM workflow_router.shard s, workflow_router.has_of(s.part) h WHERE s.part = ANY (v_parts)),
            all_of AS (SELECT h.kind, h.name, h.process, h.number, min(h.value) AS least, max(h.value) AS most, min(h.shard) AS in_shard FROM has h GROUP BY 1, 2, 3, 4)
        SELECT s.shard, CASE WHEN h.shard IS NULL THEN format('%s is missing, which shard %s has', a.name, a.in_shard)
                             ELSE format('%s is another one than in shard %s, or has another owner', a.name, f.shard) END
        FROM all_of a JOIN has f ON f.shard = a.in_shard AND f.name = a.name CROSS JOIN workflow_router.shard s LEFT JOIN has h ON h.shard = s.shard AND h.name = a.name
        WHERE s.part = ANY (v_parts) AND (h.shard IS NULL OR h.value <> f.value)
        ORDER BY s.shard, a.process, a.kind DESC, a.number, a.name;
END $$;
COMMENT ON FUNCTION workflow_router.verify() IS
'Tells what is wrong with the shards: one does not answer, is another one, or has not the same processes and privileges as the others, as far as the caller may see them.
Gives shard and problem. No row: all is well. workflow_router.repair() gives to all what some have.';

CREATE FUNCTION workflow_router.gives_of(part integer, OUT kind text, OUT process text, OUT number integer, OUT owner name, OUT definition json,
                                         OUT grantee name, OUT privilege text, OUT step text) RETURNS SETOF record LANGUAGE plproxy AS
$$ CLUSTER 'workflow_shards'; RUN ON part;
   SELECT 'version' AS kind, p.process, p.version AS number, p.owner, p.definition, NULL::name AS grantee, NULL::text AS privilege, NULL::text AS step
   FROM workflow.processes p WHERE p.process IN (SELECT q.process FROM workflow.processes q WHERE q.latest)
   UNION ALL
   SELECT 'privilege', g.process, 0, p.owner, NULL, g.role, g.privilege, g.step
   FROM workflow.grants g JOIN (SELECT DISTINCT q.process, q.owner FROM workflow.processes q) p ON p.process = g.process; $$;
COMMENT ON FUNCTION workflow_router.gives_of(integer) IS 'Gives what a shard has that all are to have. part: its place';

-- As its owner, whose process it is to be there as well.
CREATE FUNCTION workflow_router.give(part integer, what record) RETURNS text LANGUAGE plpgsql SET client_min_messages = warning AS $$
DECLARE
    v_state text; v_message text; v_detail text; v_hint text;
    error record;
BEGIN
    PERFORM set_config('role', what.owner, true);
    IF what.kind = 'privilege' THEN
        PERFORM workflow_router.do_grant_process(part, what.process, what.grantee, what.privilege, what.step);
    ELSIF workflow_router.do_define(part, what.process, what.definition) <> what.number THEN
        RETURN 'it has another number there';
    END IF;
    PERFORM set_config('role', 'none', true);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
    error := workflow_router.what_failed(v_state, v_message, v_detail, v_hint, part);
    RETURN concat_ws(': ', error.message, nullif(error.detail, ''));
END $$;
COMMENT ON FUNCTION workflow_router.give(integer, record) IS 'Gives a shard a version or a privilege; returns why that was not possible. part: its place; what: what is given';

CREATE FUNCTION workflow_router.repair(OUT shard integer, OUT given text, OUT error text) RETURNS SETOF record LANGUAGE plpgsql SET client_min_messages = warning AS $$
#variable_conflict use_column
DECLARE
    v_from record;
    v_to record;
    v_what record;
    v_role text := current_setting('role');
BEGIN
    FOR v_from IN SELECT s.part, s.shard FROM workflow_router.shard s ORDER BY s.shard LOOP
        FOR v_what IN SELECT * FROM workflow_router.gives_of(v_from.part) g ORDER BY g.kind DESC, g.process, g.number LOOP
            FOR v_to IN SELECT s.part, s.shard FROM workflow_router.shard s WHERE s.part <> v_from.part ORDER BY s.shard LOOP
                given := CASE v_what.kind WHEN 'version' THEN format('version %s of process "%s"', v_what.number, v_what.process)
                         ELSE format('privilege "%s"%s of "%s" on process "%s"', v_what.privilege, coalesce(' on step "' || v_what.step || '"', ''), v_what.grantee, v_what.process) END;
                CONTINUE WHEN EXISTS (SELECT FROM workflow_router.has_of(v_to.part) h WHERE h.name = given);
                error := workflow_router.give(v_to.part, v_what);
                PERFORM set_config('role', v_role, true);
                shard := v_to.shard;
                RETURN NEXT;
            END LOOP;
        END LOOP;
    END LOOP;
END $$;
COMMENT ON FUNCTION workflow_router.repair() IS
'Gives to all shards the versions and privileges that some have, each as the owner of the process.
Gives a row for each: shard, what it was given, and the error if that was not possible; NULL: it has it now.
Errors: those of a shard that does not answer; nothing is taken back.';
REVOKE EXECUTE ON FUNCTION workflow_router.repair(), workflow_router.give(integer, record) FROM PUBLIC;
