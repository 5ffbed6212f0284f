-- From 0.1 to 0.2, first part: what would be lost is refused, what was granted is noted, and the old objects make room. Then
-- come the files of src/schema, as CREATE EXTENSION runs them, then 0.1--0.2.after.sql. The tables of 0.1 were in the schema
-- workflow, with those functions that nobody calls; their rows are copied.

-- until the end of the script: what it tells has names with schemas
SET LOCAL search_path = pg_catalog, pg_temp;

-- Whoever reads or writes our tables meanwhile waits for the end of this, or this for his.
LOCK TABLE workflow.process, workflow.process_version, workflow.process_privilege, workflow.instance, workflow.visit, workflow.delivery,
           workflow.attachment, workflow.late_callback, workflow.instance_history, workflow.visit_history, workflow.attempt_history,
           workflow.identity, workflow.secret IN ACCESS EXCLUSIVE MODE;

-- ---- what goes ----

-- What is dropped, with what belongs to it: so many columns, and these indexes, constraints and triggers.
CREATE TEMPORARY TABLE workflow_upgrade_goes (class oid NOT NULL, object oid NOT NULL, columns integer, parts name[]);
INSERT INTO workflow_upgrade_goes
SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, ('workflow.' || r.name)::pg_catalog.regclass, r.columns, r.parts::name[]
FROM (VALUES
    ('process', 7, '{process_pkey,process_process_key}'),
    ('process_version', 6, '{process_version_pkey,process_version_process_id_fkey}'),
    ('process_privilege', 4, '{process_privilege_pkey,process_privilege_process_id_fkey,process_privilege_privilege_check}'),
    ('instance', 13, '{instance_pkey,instance_business_key}'),
    ('visit', 30, '{visit_pkey,visit_due,visit_alarm,visit_serial_number,visit_incident}'),
    ('delivery', 8, '{delivery_pkey,delivery_due}'),
    ('attachment', 8, '{attachment_pkey,attachment_relation_process_id_key,attachment_process_id_fkey}'),
    ('late_callback', 6, '{late_callback_serial_number,late_callback_received_at}'),
    ('instance_history', 11, '{}'),
    ('visit_history', 10, '{}'),
    ('attempt_history', 9, '{}'),
    ('identity', 5, '{identity_pkey,changed}'),
    ('secret', 2, '{secret_pkey,secret_single_check}'),
    ('instance_seq', NULL, '{}'),
    ('visit_seq', NULL, '{}'),
    ('delivery_seq', NULL, '{}'),
    ('living_instances', NULL, '{}'),
    ('ended_instances', NULL, '{}'),
    -- these have columns in other places now
    ('attempts', NULL, '{}'),
    ('late_callbacks', NULL, '{}')) r (name, columns, parts);
INSERT INTO workflow_upgrade_goes
SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.type
FROM workflow_upgrade_goes g JOIN pg_catalog.pg_class c ON c.oid = g.object AND g.class = 'pg_catalog.pg_class'::pg_catalog.regclass,
     LATERAL (SELECT c.reltype UNION ALL SELECT a.typarray FROM pg_catalog.pg_type a WHERE a.oid = c.reltype) t (type)
WHERE t.type <> 0;
-- Functions whose arguments are others now, and those that are in the schema workflow_data now. What is dropped later is still called
-- by views.
CREATE TEMPORARY TABLE workflow_upgrade_functions (function pg_catalog.regprocedure NOT NULL, later boolean NOT NULL);
INSERT INTO workflow_upgrade_functions
SELECT ('workflow.' || f)::pg_catalog.regprocedure, false
FROM pg_catalog.unnest(ARRAY[
    'undefine(text)', 'grant_process(text, name, text)', 'revoke_process(text, name, text)',
    'start(text, jsonb, text, integer)', 'set_data(bigint, jsonb)', 'cancel(bigint, text)',
    'complete(text, jsonb)', 'complete(bigint, jsonb)', 'fail(text, text, text, jsonb)', 'fail(bigint, text, text, jsonb)',
    'heartbeat(text, jsonb)', 'heartbeat(bigint, jsonb)', 'extend(text, interval)', 'extend(bigint, interval)',
    'retry(text)', 'retry(bigint)', 'move(bigint, text, text)', 'wait_for(bigint, interval, text)',
    'attach(regclass, text, name, text, name, name, text, text, text)']) f
UNION ALL
SELECT ('workflow.' || f)::pg_catalog.regprocedure, true
FROM pg_catalog.unnest(ARRAY['my_processes(text)', 'role_name(oid, name)', 'workers()', 'servers()', 'identity_changed()']) f;
INSERT INTO workflow_upgrade_goes SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, f.function FROM workflow_upgrade_functions f;

-- ---- what others have made of it ----

DO LANGUAGE plpgsql $$
DECLARE
    extension oid := (SELECT e.oid FROM pg_catalog.pg_extension e WHERE e.extname = 'workflow');
    found     text[];
BEGIN
    WITH
    -- objects by whom they are made: a rule of a view is the view
    depends AS (
        SELECT d.classid, d.objid, d.objsubid, g.object AS of, g.class AS of_class, g.parts
        FROM pg_catalog.pg_depend d JOIN workflow_upgrade_goes g ON g.class = d.refclassid AND g.object = d.refobjid
        WHERE d.deptype IN ('n', 'a')),
    theirs AS (
        SELECT d.* FROM depends d
        WHERE NOT EXISTS (SELECT FROM workflow_upgrade_goes g WHERE g.class = d.classid AND g.object = d.objid)
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend m WHERE m.classid = d.classid AND m.objid = d.objid AND m.deptype = 'e'
                                                                       AND m.refobjid = extension)
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = d.objid
                                                                      AND (c.relispartition OR c.relname = ANY (d.parts)))
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint c
                              WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND c.oid = d.objid
                                    AND (c.contype = 'n' OR c.conname = ANY (ARRAY(SELECT p FROM workflow_upgrade_goes g, pg_catalog.unnest(g.parts) p
                                                                                   WHERE g.object = c.conrelid))
                                         OR EXISTS (SELECT FROM pg_catalog.pg_class r WHERE r.oid = c.conrelid AND r.relispartition)))
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t
                              WHERE d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND t.oid = d.objid
                                    AND (t.tgisinternal OR t.tgname = ANY (ARRAY(SELECT p FROM workflow_upgrade_goes g, pg_catalog.unnest(g.parts) p
                                                                                 WHERE g.object = t.tgrelid))))
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_attrdef a JOIN workflow_upgrade_goes g ON g.object = a.adrelid
                              WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND a.oid = d.objid)
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend m ON m.objid = r.ev_class
                              WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = d.objid AND r.rulename = '_RETURN' AND m.deptype = 'e'
                                    AND m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND m.refobjid = extension)),
    lines AS (
        SELECT pg_catalog.format('%s depends on %s',
                   coalesce((SELECT pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, r.ev_class, 0)
                             FROM pg_catalog.pg_rewrite r
                             WHERE t.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = t.objid AND r.rulename = '_RETURN'),
                            pg_catalog.pg_describe_object(t.classid, t.objid, t.objsubid)),
                   pg_catalog.pg_describe_object(t.of_class, t.of, 0)) AS line
        FROM theirs t
        UNION
        SELECT pg_catalog.format('%s was added', pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, a.attrelid, a.attnum))
        FROM workflow_upgrade_goes g JOIN pg_catalog.pg_attribute a ON a.attrelid = g.object
        WHERE g.class = 'pg_catalog.pg_class'::pg_catalog.regclass AND a.attnum > g.columns AND NOT a.attisdropped
        UNION
        SELECT pg_catalog.format('%s is in the schema of the extension', pg_catalog.pg_describe_object(d.classid, d.objid, 0))
        FROM pg_catalog.pg_depend d
        WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = 'workflow'::pg_catalog.regnamespace AND d.deptype = 'n'
              AND d.classid <> 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.classid <> 'pg_catalog.pg_default_acl'::pg_catalog.regclass
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend m WHERE m.classid = d.classid AND m.objid = d.objid AND m.deptype = 'e'
                                                                       AND m.refobjid = extension)
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i
                              WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.inhrelid = d.objid
                                    AND i.inhparent IN ('workflow.instance_history'::pg_catalog.regclass, 'workflow.visit_history'::pg_catalog.regclass,
                                                        'workflow.attempt_history'::pg_catalog.regclass)))
    SELECT pg_catalog.array_agg(l.line ORDER BY l.line) INTO found FROM lines l;
    IF found IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = '2BP01',
            MESSAGE = 'cannot update extension "workflow" to version 0.2, since objects that are not its own would be lost',
            DETAIL = pg_catalog.array_to_string(found[1:100], E'\n')
                     || CASE WHEN pg_catalog.cardinality(found) > 100 THEN pg_catalog.format(E'\nand %s others', pg_catalog.cardinality(found) - 100) ELSE '' END,
            HINT = 'Drop them, or move them to another schema, and make them again after the update: pg_dump --schema-only writes how.';
    END IF;
END $$;

-- ---- what was granted ----

-- What users have granted, and what they have revoked of what the extension grants.
CREATE TEMPORARY TABLE workflow_upgrade_grants (kind text, name text, arguments text, attribute name, grants boolean, role oid, privilege text, option boolean);
INSERT INTO workflow_upgrade_grants
WITH objects AS (
    SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END AS kind, p.proname::text AS name,
           pg_catalog.oidvectortypes(p.proargtypes) AS arguments, NULL::name AS attribute, p.proowner AS owner,
           coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)) AS acl,
           coalesce(i.initprivs, pg_catalog.acldefault('f', p.proowner)) AS given
    FROM pg_catalog.pg_proc p
         LEFT JOIN pg_catalog.pg_init_privs i ON i.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND i.objoid = p.oid AND i.objsubid = 0
    WHERE p.pronamespace = 'workflow'::pg_catalog.regnamespace
    UNION ALL
    SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.relname, NULL, NULL, c.relowner,
           coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner)), coalesce(i.initprivs, pg_catalog.acldefault('r', c.relowner))
    FROM pg_catalog.pg_class c
         LEFT JOIN pg_catalog.pg_init_privs i ON i.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.objoid = c.oid AND i.objsubid = 0
    WHERE c.relnamespace = 'workflow'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p', 'v')
    UNION ALL
    SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.relname, NULL, a.attname, c.relowner, a.attacl, i.initprivs
    FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
         LEFT JOIN pg_catalog.pg_init_privs i ON i.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.objoid = c.oid AND i.objsubid = a.attnum
    WHERE c.relnamespace = 'workflow'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p', 'v')
    UNION ALL
    SELECT 'SCHEMA', n.nspname, NULL, NULL, n.nspowner, coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner)), pg_catalog.acldefault('n', n.nspowner)
    FROM pg_catalog.pg_namespace n
    WHERE n.nspname = 'workflow')
SELECT o.kind, o.name, o.arguments, o.attribute, true, a.grantee, a.privilege_type, a.is_grantable
FROM objects o, pg_catalog.aclexplode(o.acl) a
WHERE a.grantee <> o.owner
      AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(o.given) g
                      WHERE g.grantee = a.grantee AND g.privilege_type = a.privilege_type AND g.is_grantable >= a.is_grantable)
UNION
SELECT o.kind, o.name, o.arguments, o.attribute, false, g.grantee, g.privilege_type, g.is_grantable
FROM objects o, pg_catalog.aclexplode(o.given) g
WHERE g.grantee <> o.owner
      AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(o.acl) a
                      WHERE a.grantee = g.grantee AND a.privilege_type = g.privilege_type AND a.is_grantable >= g.is_grantable);

-- It is taken back for as long as this lasts, lest what is made here seem to be granted by the extension itself.
CREATE FUNCTION workflow_data.upgrade_grant(command text) RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'workflow_upgrade_grant';
SELECT workflow_data.upgrade_grant(pg_catalog.format('REVOKE %s%s ON %s workflow%s%s FROM %s CASCADE', u.privilege,
           ' (' || pg_catalog.quote_ident(u.attribute) || ')', CASE u.kind WHEN 'VIEW' THEN 'TABLE' ELSE u.kind END,
           CASE WHEN u.kind <> 'SCHEMA' THEN '.' || pg_catalog.quote_ident(u.name) END, '(' || u.arguments || ')',
           CASE u.role WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(u.role)) END))
FROM workflow_upgrade_grants u LEFT JOIN pg_catalog.pg_roles r ON r.oid = u.role
WHERE u.grants AND (u.role = 0 OR r.oid IS NOT NULL);

-- ---- the old objects make room ----

-- Triggers of attached tables, servers and indexes keep these functions.
ALTER FUNCTION workflow.before_insert() SET SCHEMA workflow_data;
ALTER FUNCTION workflow.after_insert() SET SCHEMA workflow_data;
ALTER FUNCTION workflow.http_validator(text[], oid) SET SCHEMA workflow_data;

DROP VIEW workflow.attempts, workflow.late_callbacks;
DO LANGUAGE plpgsql $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT u.function FROM workflow_upgrade_functions u WHERE NOT u.later LOOP
        EXECUTE pg_catalog.format('DROP ROUTINE %s', f.function);
    END LOOP;
END $$;
