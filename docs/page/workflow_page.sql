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

CREATE FUNCTION workflow_page.may_administer(process text) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    SELECT EXISTS (SELECT FROM workflow.processes p JOIN pg_roles r ON r.rolname = p.owner
                   WHERE p.process = $1 AND pg_has_role(r.oid, 'USAGE'))
           OR EXISTS (SELECT FROM workflow.grants g LEFT JOIN pg_roles r ON r.rolname = g.role
                      WHERE g.process = $1 AND g.privilege = 'admin' AND (g.role = 'public' OR pg_has_role(r.oid, 'USAGE')))
$$;
COMMENT ON FUNCTION workflow_page.may_administer(text) IS 'Whether the caller may retry, skip, suspend and resume in a process: what buttons there are. The calls themselves ask again';

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
          (SELECT 5, 'wait', w.since, w.process, w.step, w.instance, w.serial_number,
                  concat_ws(', ', w.waits_for, w.name, w.key, 'fetched by ' || w.worker)
           FROM workflow.waiting w WHERE w.waits_for NOT IN ('after', 'until', 'after, until') ORDER BY w.since LIMIT most)) s
    ORDER BY s.place, s.since
$$;
COMMENT ON FUNCTION workflow_page.stuck(integer) IS 'What is stuck, the worst first: workers that are missing, servers that are not called, incidents, write-backs that fail, and the oldest waits for the outside; of each the oldest, most of them at most';

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
        'admin', workflow_page.may_administer($1),
        'counts', (SELECT coalesce(jsonb_object_agg(m.labels ->> 'status', m.value), '{}') FROM workflow.metrics m
                   WHERE m.name = 'instances' AND m.labels ->> 'process' = $1),
        'diagram', workflow.diagram($1, $2, live => true),
        'instances', (SELECT coalesce(jsonb_agg(to_jsonb(i)), '[]')
                      FROM (SELECT i.instance, i.version, i.business_key, i.status, i.started_at, i.ended_at FROM workflow.instances i
                            WHERE i.process = $1 AND i.version = coalesce($2, i.version) ORDER BY i.instance DESC LIMIT 50) i))
    FROM workflow.processes p WHERE p.process = $1
$$;
COMMENT ON FUNCTION workflow_page.process(text, integer) IS 'A process: its diagram with what is alive in it, how many instances there are by status, and the latest of them; of a version alone, if one is given';

CREATE FUNCTION workflow_page.instance(instance bigint) RETURNS jsonb
    LANGUAGE sql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    SELECT to_jsonb(i) || jsonb_build_object(
        'data', jsonb_pretty(i.data), -- numbers as they are, whatever a browser makes of them
        'admin', workflow_page.may_administer(i.process),
        'diagram', workflow.diagram($1),
        'timeline', (SELECT coalesce(jsonb_agg(line), '[]') FROM (SELECT line FROM workflow.timeline($1) line LIMIT 1000) t),
        'visits', (SELECT coalesce(jsonb_agg(to_jsonb(v)), '[]')
                   FROM (SELECT v.serial_number, v.step, v.item, v.state, v.waits_for, v.due_at, v.deadline, v.blocked_by, v.error, v.child
                         FROM workflow.visits v WHERE v.instance = $1 ORDER BY v.state <> 'incident', v.serial_number LIMIT 200) v),
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
