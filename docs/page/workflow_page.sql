-- What the page in this folder asks for, for PostgREST: a schema of its own. See docs/page.md.
--
-- Run it in the database that has the extension, as its owner or a superuser. All functions have the rights of whoever calls them: each
-- role sees and does what the views and functions of the extension let it. It needs USAGE on this schema and on the schema workflow.
-- What looks at some rows of large tables by their indexes would take longer to compile than to run: so without jit.

CREATE SCHEMA workflow_page;
COMMENT ON SCHEMA workflow_page IS 'What the page of the extension workflow shows and does, with the rights of the caller';

-- ---- what it shows ----

CREATE FUNCTION workflow_page.who() RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS 'SELECT current_user::text';
COMMENT ON FUNCTION workflow_page.who() IS 'The role whose rights count';

-- Buttons are shown to who has the privilege; the calls themselves ask again. admin has them all.
CREATE FUNCTION workflow_page.may(process text, privilege text, step text DEFAULT NULL) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    SELECT EXISTS (SELECT FROM workflow.processes p JOIN pg_roles r ON r.rolname = p.owner
                   WHERE p.process = $1 AND pg_has_role(r.oid, 'USAGE'))
           OR EXISTS (SELECT FROM workflow.grants g LEFT JOIN pg_roles r ON r.rolname = g.role
                      WHERE g.process = $1 AND g.privilege IN ($2, 'admin') AND (g.step IS NULL OR g.step = $3)
                            AND (g.role = 'public' OR pg_has_role(r.oid, 'USAGE')))
$$;
COMMENT ON FUNCTION workflow_page.may(text, text, text) IS 'Whether the caller has a privilege on a process, or on a step of it: admin, to retry, skip, move, suspend and resume; start, to cancel; complete, to complete what waits';

-- Instances that live are few, or found among the last numbers; those that have ended are looked for among the last numbers alone, since the
-- history has no order by process. Plans that read whole tables are forbidden: how rare a process is, the planner cannot know.
CREATE FUNCTION workflow_page.latest(process text, version integer DEFAULT NULL, most integer DEFAULT 50, among bigint DEFAULT 20000)
    RETURNS TABLE (instance bigint, of_version integer, business_key text, status text, started_at timestamptz, ended_at timestamptz)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
    -- by a value known when it is planned, conditions reach the indexes within the view
    first bigint := (SELECT i.instance FROM workflow.instances i ORDER BY i.instance DESC LIMIT 1) - $4;
    n bigint;
BEGIN
    RETURN QUERY SELECT i.instance, i.version, i.business_key, i.status, i.started_at, i.ended_at FROM workflow.instances i
        WHERE i.process = $1 AND ($2 IS NULL OR i.version = $2) AND i.instance > first ORDER BY i.instance DESC LIMIT $3;
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n < $3 THEN -- not in the order of an index: that of numbers has all processes
        RETURN QUERY SELECT i.instance, i.version, i.business_key, i.status, i.started_at, i.ended_at FROM workflow.instances i
            WHERE i.process = $1 AND ($2 IS NULL OR i.version = $2) AND i.instance <= first AND i.ended_at IS NULL ORDER BY i.instance + 0 DESC LIMIT $3 - n;
    END IF;
END
$$;
COMMENT ON FUNCTION workflow_page.latest(text, integer, integer, bigint) IS 'The latest instances of a process, or of a version of it: all that live, and those that have ended among the last numbers (among) that were given to instances of any process; most of them at most';

-- A row of one shape for all that is stuck, whatever it is.
CREATE FUNCTION workflow_page.stuck(most integer DEFAULT 20,
        OUT kind text, OUT since timestamptz, OUT process text, OUT step text, OUT instance bigint, OUT serial_number text, OUT business_key text,
        OUT what text) RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    SELECT s.kind, s.since, s.process, s.step, s.instance, s.serial_number,
           (SELECT i.business_key FROM workflow.instances i WHERE i.instance = s.instance), s.what
    FROM (SELECT 1 AS place, 'worker' AS kind, NULL::timestamptz AS since, NULL AS process, w.kind AS step, NULL::bigint AS instance,
                 NULL AS serial_number, concat_ws(': ', w.state, w.error) AS what
          FROM workflow.workers w WHERE w.database = current_database() AND (w.pid IS NULL OR w.error IS NOT NULL)
          UNION ALL
          SELECT 2, 'server', s.since, NULL, s.server, NULL, NULL,
                 format('%s, %s requests held back%s', s.state, s.parked, ': ' || s.error)
          FROM workflow.servers s WHERE s.state <> 'ok'
          UNION ALL
          (SELECT 3, 'incident', n.since, n.process, n.step, n.instance, n.serial_number,
                  concat_ws(': ', n.outcome, n.error ->> 'code', n.error ->> 'message')
           FROM workflow.incidents n ORDER BY n.since LIMIT most)
          UNION ALL
          (SELECT 4, 'write-back', b.since, b.process, b.relation::text, b.instance, NULL, b.error
           FROM workflow.write_backs b WHERE b.error IS NOT NULL ORDER BY b.since LIMIT most)
          UNION ALL
          (SELECT 5, 'refused', r.since, r.process, r.relation::text, NULL, NULL, concat_ws(': ', r.operation || ' of ' || r.business_key, r.error)
           FROM workflow.refused_rows r ORDER BY r.since LIMIT most)
          UNION ALL
          (SELECT 6, 'wait', w.since, w.process, w.step, w.instance, w.serial_number,
                  concat_ws(', ', w.waits_for, w.name, w.key, 'fetched by ' || w.worker)
           FROM workflow.waiting w WHERE w.waits_for NOT IN ('after', 'until', 'after, until') ORDER BY w.since LIMIT most)) s
    ORDER BY s.place, s.since
$$;
COMMENT ON FUNCTION workflow_page.stuck(integer) IS 'What is stuck, the worst first: workers that are missing, servers that are not called, incidents, write-backs that fail, replicated rows that were refused, and the oldest waits for the outside; of each the oldest, most of them at most';

CREATE FUNCTION workflow_page.overview() RETURNS jsonb
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    WITH counts AS (SELECT m.labels ->> 'process' AS process, jsonb_object_agg(m.labels ->> 'status', m.value) AS counts
                    FROM workflow.metrics m WHERE m.name = 'instances' GROUP BY 1)
    SELECT jsonb_build_object(
        'database', current_database(),
        'stuck', (SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') FROM workflow_page.stuck() s),
        'processes', (SELECT coalesce(jsonb_agg(jsonb_build_object('process', p.process, 'version', p.version, 'suspended', p.suspended,
                                                                   'counts', coalesce(c.counts, '{}'),
                                                                   'description', p.definition ->> 'description') ORDER BY p.process), '[]')
                      FROM workflow.processes p LEFT JOIN counts c USING (process) WHERE p.latest))
$$;
COMMENT ON FUNCTION workflow_page.overview() IS 'The first screen: what is stuck, and the processes with how many instances live';

CREATE FUNCTION workflow_page.process(process text, version integer DEFAULT NULL) RETURNS jsonb
    LANGUAGE sql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    SELECT jsonb_build_object(
        'process', $1, 'version', coalesce($2, max(p.version)), 'versions', jsonb_agg(p.version ORDER BY p.version),
        'suspended', bool_or(p.suspended), 'undefined', NOT bool_or(p.latest), 'owner', min(p.owner),
        'description', min(p.definition ->> 'description') FILTER (WHERE p.version = coalesce($2, p.version)),
        'admin', workflow_page.may($1, 'admin'),
        'counts', (SELECT coalesce(jsonb_object_agg(m.labels ->> 'status', m.value), '{}') FROM workflow.metrics m
                   WHERE m.name = 'instances' AND m.labels ->> 'process' = $1),
        'diagram', workflow.diagram($1, $2, live => true),
        'instances', (SELECT coalesce(jsonb_agg(to_jsonb(i)), '[]')
                      FROM (SELECT l.instance, l.of_version AS version, l.business_key, l.status, l.started_at, l.ended_at
                            FROM workflow_page.latest($1, $2) l) i))
    FROM workflow.processes p WHERE p.process = $1
$$;
COMMENT ON FUNCTION workflow_page.process(text, integer) IS 'A process: its diagram with what is alive in it, how many instances there are by status, and the latest of them; of a version alone, if one is given';

CREATE FUNCTION workflow_page.beside(process text, version integer, step text) RETURNS jsonb
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_agg(DISTINCT s ORDER BY s)
    FROM workflow.processes p,
         jsonb_path_query(p.definition::jsonb, '$.** ? (exists (@.steps[*] ? (@.step == $step))).steps[*].step', jsonb_build_object('step', $3)) s
    WHERE p.process = $1 AND p.version = $2 AND s <> to_jsonb($3)
$$;
COMMENT ON FUNCTION workflow_page.beside(text, integer, text) IS 'The other steps of the list in which a step stands: where its token can be moved to; NULL: there is none';

CREATE FUNCTION workflow_page.instance(instance bigint) RETURNS jsonb
    LANGUAGE sql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    SELECT to_jsonb(i) || jsonb_build_object(
        'data', jsonb_pretty(i.data), -- numbers as they are, whatever a browser makes of them
        'admin', workflow_page.may(i.process, 'admin'), 'start', workflow_page.may(i.process, 'start'),
        'diagram', workflow.diagram($1),
        'timeline', (SELECT coalesce(jsonb_agg(line), '[]') FROM (SELECT line FROM workflow.timeline($1) line LIMIT 1000) t),
        'visits', (SELECT coalesce(jsonb_agg(to_jsonb(v)), '[]')
                   FROM (SELECT v.serial_number, v.step, v.item, v.state, v.waits_for, v.due_at, v.deadline, v.blocked_by, v.error, v.child,
                                v.state = 'waiting' AND v.waits_for ~ '(callback|task)' AND workflow_page.may(i.process, 'complete', v.step) AS complete,
                                workflow_page.beside(i.process, i.version, v.step) AS beside
                         FROM workflow.visits v WHERE v.instance = $1 ORDER BY v.state <> 'incident', length(v.serial_number), v.serial_number LIMIT 200) v),
        'called', (SELECT coalesce(jsonb_agg(c.instance), '[]') FROM (SELECT v.child AS instance FROM workflow.history v
                   WHERE v.instance = $1 AND v.child IS NOT NULL LIMIT 50) c))
    FROM workflow.instances i WHERE i.instance = $1
$$;
COMMENT ON FUNCTION workflow_page.instance(bigint) IS 'An instance: its data, where it stands, its diagram and its story; NULL: there is none that the caller may see';

-- A serial number, the number of an instance, a business key: what of these it is cannot always be told, so all that it is are found.
CREATE FUNCTION workflow_page.find(what text) RETURNS jsonb
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.instance DESC), '[]')
    FROM (SELECT i.instance, i.process, i.version, i.business_key, i.status, i.started_at, i.ended_at FROM workflow.instances i
          WHERE i.instance = CASE WHEN what ~ '^ *\d{1,18}(_\d{1,18})? *$' THEN split_part(what, '_', 1)::bigint END
          UNION
          SELECT * FROM (SELECT i.instance, i.process, i.version, i.business_key, i.status, i.started_at, i.ended_at FROM workflow.instances i
                         WHERE i.business_key = what ORDER BY i.instance DESC LIMIT 50) k) f
$$;
COMMENT ON FUNCTION workflow_page.find(text) IS 'Instances by a serial number, the number of an instance, or a business key, 50 of the latter at most';

-- ---- what it does ----

CREATE FUNCTION workflow_page.complete(serial_number text, data jsonb DEFAULT NULL) RETURNS boolean
    LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT workflow.complete($1, $2)';
COMMENT ON FUNCTION workflow_page.complete(text, jsonb) IS 'workflow.complete';

CREATE FUNCTION workflow_page.move(serial_number text, step text) RETURNS boolean
    LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT workflow.move($1, $2) IS NOT NULL';
COMMENT ON FUNCTION workflow_page.move(text, text) IS 'workflow.move; whether the token has gone there';

CREATE FUNCTION workflow_page.cancel(instance bigint, reason text DEFAULT NULL) RETURNS boolean
    LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT workflow.cancel($1, $2)';
COMMENT ON FUNCTION workflow_page.cancel(bigint, text) IS 'workflow.cancel';

CREATE FUNCTION workflow_page.retry(serial_number text, new_key boolean DEFAULT false) RETURNS boolean
    LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT workflow.retry($1, $2)';
COMMENT ON FUNCTION workflow_page.retry(text, boolean) IS 'workflow.retry';

CREATE FUNCTION workflow_page.skip(serial_number text, data jsonb DEFAULT NULL) RETURNS boolean
    LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT workflow.skip($1, $2)';
COMMENT ON FUNCTION workflow_page.skip(text, jsonb) IS 'workflow.skip';

CREATE FUNCTION workflow_page.suspend(instance bigint) RETURNS boolean
    LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT workflow.suspend($1)';
COMMENT ON FUNCTION workflow_page.suspend(bigint) IS 'workflow.suspend';

CREATE FUNCTION workflow_page.resume(instance bigint) RETURNS boolean
    LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT workflow.resume($1)';
COMMENT ON FUNCTION workflow_page.resume(bigint) IS 'workflow.resume';
