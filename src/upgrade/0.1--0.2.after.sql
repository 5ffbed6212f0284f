-- From 0.1 to 0.2, last part: the rows go to their new tables, the old ones are dropped, and what was granted is granted again.

-- ---- rows ----

INSERT INTO workflow_data.process (process_id, process, owner, owner_name, latest, suspended, retention)
SELECT process_id, process, owner, owner_name, latest, suspended, retention FROM workflow.process ORDER BY process_id;
INSERT INTO workflow_data.process_version (process_id, version, definition, search_path, timezone, defined_at)
SELECT process_id, version, definition, search_path, timezone, defined_at FROM workflow.process_version ORDER BY process_id, version;
INSERT INTO workflow_data.process_privilege (process_id, grantee, grantee_name, privilege)
SELECT process_id, grantee, grantee_name, privilege FROM workflow.process_privilege ORDER BY process_id, grantee, privilege;

INSERT INTO workflow_data.instance (instance, started_at, process_id, version, attachment, tokens, incidents, status, business_key, cancel_reason,
                                    error, cookies, data)
SELECT instance, started_at, process_id, version, attachment, tokens, incidents, status, business_key, cancel_reason, error, cookies, data
FROM workflow.instance ORDER BY instance;

-- A kept callback is accepted as entry 0. Since when a visit is being cancelled was not known. Only callbacks and clocks were waited for, so the
-- first entry of a step is the clock.
INSERT INTO workflow_data.visit (instance, visit, entered_at, process_id, steps_without_wait, key, due_at, deadline, waiting_since, heartbeat_deadline,
                                 next_handler, warn_at, next_timer, attempt, accepted, suspended, webhook, state, step, queue, waits_for, outcome,
                                 cancel_outcome, cancel_phase, cancel_handler, clock_times, reply, callback, callback_error, cancel_response, caught,
                                 error, result, progress)
SELECT v.instance, v.visit, v.entered_at, i.process_id, 0, v.key, v.due_at, v.deadline,
       CASE WHEN v.state = 'cancelling' THEN coalesce(v.waiting_since, pg_catalog.now()) ELSE v.waiting_since END, v.silence_at,
       v.handler_at, v.warn_at, v.alarm_at, v.attempt, CASE WHEN v.has_callback THEN 0 END, v.held, false, v.state, v.step,
       CASE v.queue WHEN 'executor' THEN 'executor ' || i.process_id ELSE v.queue END, v.waits_for, v.outcome,
       v.cancel_outcome, v.cancel_phase, v.cancel_handler, CASE WHEN v.waits_for IN ('after', 'until') THEN ARRAY[v.due_at] END,
       v.reply, v.callback, v.callback_error, v.cancel_response, v.caught, v.error, v.result, v.progress
FROM workflow.visit v JOIN workflow.instance i ON i.instance = v.instance ORDER BY v.instance, v.visit;

-- A table that was dropped has left its attachments. Write-backs ran with this search_path.
INSERT INTO workflow_data.attachment (attachment, relation, process_id, detached_at, relation_name, serial_column, serial_step, status_column,
                                      instance_column, condition, search_path, trust, on_update, on_delete)
SELECT a.attachment, CASE WHEN c.oid IS NOT NULL THEN a.relation END, a.process_id, CASE WHEN c.oid IS NULL THEN pg_catalog.now() END,
       CASE WHEN c.oid IS NOT NULL THEN pg_catalog.format('%I.%I', n.nspname, c.relname) ELSE a.relation::oid::text END, a.serial_column, a.serial_step, a.status_column,
       a.instance_column, a.condition, 'pg_catalog, pg_temp', false, 'ignore', 'ignore'
FROM workflow.attachment a
     LEFT JOIN pg_catalog.pg_class c ON c.oid = a.relation
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY a.attachment;

-- Executors have a queue for each process and each attached table now. Warnings are not kept: a visit that waits for too long is found again.
INSERT INTO workflow_data.delivery (delivery, instance, visit, due_at, attempt, kind, queue, payload)
SELECT d.delivery, d.instance, d.visit, d.due_at, d.attempt, d.kind,
       CASE WHEN d.queue = 'held' THEN 'suspended'
            WHEN d.kind = 'write_back' THEN 'executor table ' || a.attachment
            WHEN d.queue = 'executor' AND d.kind <> 'maintain' THEN 'executor ' || i.process_id
            ELSE d.queue END, d.payload
FROM workflow.delivery d
     LEFT JOIN (SELECT instance, process_id, attachment FROM workflow.instance
                UNION ALL SELECT instance, process_id, attachment FROM workflow.instance_history) i ON i.instance = d.instance
     LEFT JOIN workflow_data.attachment a ON a.attachment = i.attachment AND a.detached_at IS NULL
WHERE CASE d.kind WHEN 'maintain' THEN true WHEN 'warn' THEN false WHEN 'write_back' THEN a.attachment IS NOT NULL ELSE i.instance IS NOT NULL END
ORDER BY d.delivery;

INSERT INTO workflow_data.late_callback (instance, visit, process_id, received_at, role, webhook, data)
SELECT instance, visit, process_id, received_at, role, false, data FROM workflow.late_callback ORDER BY received_at;
INSERT INTO workflow_data.secret (single, key) SELECT single, key FROM workflow.secret;
-- a copy remains one
INSERT INTO workflow_data.identity (system_identifier, database, relation, timeline, adopted_at)
SELECT system_identifier, database,
       CASE relation WHEN 'workflow.instance'::pg_catalog.regclass::oid THEN 'workflow_data.instance'::pg_catalog.regclass::oid ELSE relation END,
       timeline, adopted_at
FROM workflow.identity;

-- Numbers that were given out are not given out again.
DO LANGUAGE plpgsql $$
DECLARE
    sequence name;
    number   bigint;
    called   boolean;
BEGIN
    FOREACH sequence IN ARRAY ARRAY['process_process_id_seq', 'attachment_attachment_seq', 'instance_seq', 'visit_seq', 'delivery_seq']::name[] LOOP
        EXECUTE pg_catalog.format('SELECT last_value, is_called FROM workflow.%I', sequence) INTO number, called;
        PERFORM pg_catalog.setval(pg_catalog.format('workflow_data.%I', sequence)::pg_catalog.regclass, number, called);
    END LOOP;
END $$;

-- ---- the history ----

-- Partitions are not copied: they get the columns and indexes of this version (those of store/partition.c) and go to the new tables.
CREATE TEMPORARY TABLE workflow_upgrade_indexes (name name NOT NULL, definition text NOT NULL);
INSERT INTO workflow_upgrade_indexes VALUES
    ('attempt_history', '(instance)'),
    ('visit_history', 'USING brin (ended_at) WITH (pages_per_range = 32, autosummarize = on)'),
    ('instance_history', '(business_key) WHERE business_key IS NOT NULL'),
    ('instance_history', 'USING brin (ended_at) WITH (pages_per_range = 32, autosummarize = on)');

DO LANGUAGE plpgsql $$
DECLARE
    part     record;
    missing  record;
    index    text;
    grantee  text;
    command  text;
BEGIN
    FOR part IN
        SELECT p.relname AS parent, c.relname AS name, c.oid, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound
        FROM pg_catalog.pg_class p JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
        WHERE p.relnamespace = 'workflow'::pg_catalog.regnamespace AND p.relname IN ('instance_history', 'visit_history', 'attempt_history')
        ORDER BY c.relname
    LOOP
        EXECUTE pg_catalog.format('ALTER TABLE workflow.%I DETACH PARTITION %s', part.parent, part.oid::pg_catalog.regclass);
        FOR missing IN
            SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
                   pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS given
            FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = pg_catalog.format('workflow_data.%I', part.parent)::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute o WHERE o.attrelid = part.oid AND o.attname = a.attname AND NOT o.attisdropped)
            ORDER BY a.attnum
        LOOP
            -- the default is for the rows that there are: partitions have none
            EXECUTE pg_catalog.format('ALTER TABLE %s ADD COLUMN %I %s%s%s', part.oid::pg_catalog.regclass, missing.name, missing.type,
                                      CASE WHEN missing.not_null THEN ' NOT NULL' ELSE '' END, ' DEFAULT ' || missing.given);
            IF missing.given IS NOT NULL THEN
                EXECUTE pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', part.oid::pg_catalog.regclass, missing.name);
            END IF;
        END LOOP;
        FOR command IN
            SELECT pg_catalog.format('COMMENT ON COLUMN %s.%I IS %L', part.oid::pg_catalog.regclass, a.attname, pg_catalog.col_description(a.attrelid, a.attnum))
            FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = pg_catalog.format('workflow_data.%I', part.parent)::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped
        LOOP
            EXECUTE command;
        END LOOP;
        -- visits are found by serial number through their key
        FOR index IN
            SELECT i.indexrelid::pg_catalog.regclass FROM pg_catalog.pg_index i
            WHERE i.indrelid = part.oid AND part.parent = 'visit_history' AND pg_catalog.pg_get_expr(i.indexprs, i.indrelid) ~ 'serial_number\(instance, visit\)'
        LOOP
            EXECUTE 'DROP INDEX ' || index;
        END LOOP;
        FOR index IN SELECT x.definition FROM workflow_upgrade_indexes x WHERE x.name = part.parent LOOP
            EXECUTE pg_catalog.format('CREATE INDEX ON %s %s', part.oid::pg_catalog.regclass, index);
        END LOOP;
        FOR grantee IN
            SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END
            FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a WHERE c.oid = part.oid AND a.grantee <> c.relowner
        LOOP
            EXECUTE pg_catalog.format('REVOKE ALL ON %s FROM %s CASCADE', part.oid::pg_catalog.regclass, grantee);
        END LOOP;
        EXECUTE pg_catalog.format('ALTER TABLE %s SET SCHEMA workflow_data', part.oid::pg_catalog.regclass);
        EXECUTE pg_catalog.format('ALTER TABLE workflow_data.%I ATTACH PARTITION %s %s', part.parent, part.oid::pg_catalog.regclass, part.bound);
    END LOOP;
END $$;
DROP TABLE workflow_upgrade_indexes;

-- ---- the old objects go ----

DROP VIEW workflow.living_instances, workflow.ended_instances;
-- what pg_dump carries is noted in the extension
ALTER EXTENSION workflow DROP TABLE workflow.process;
ALTER EXTENSION workflow DROP TABLE workflow.process_version;
ALTER EXTENSION workflow DROP TABLE workflow.process_privilege;
ALTER EXTENSION workflow DROP TABLE workflow.instance;
ALTER EXTENSION workflow DROP TABLE workflow.visit;
ALTER EXTENSION workflow DROP TABLE workflow.delivery;
ALTER EXTENSION workflow DROP TABLE workflow.attachment;
ALTER EXTENSION workflow DROP TABLE workflow.late_callback;
ALTER EXTENSION workflow DROP TABLE workflow.identity;
ALTER EXTENSION workflow DROP TABLE workflow.secret;
ALTER EXTENSION workflow DROP SEQUENCE workflow.instance_seq;
ALTER EXTENSION workflow DROP SEQUENCE workflow.visit_seq;
ALTER EXTENSION workflow DROP SEQUENCE workflow.delivery_seq;
ALTER EXTENSION workflow DROP SEQUENCE workflow.process_process_id_seq;
ALTER EXTENSION workflow DROP SEQUENCE workflow.attachment_attachment_seq;
DROP TABLE workflow.process, workflow.process_version, workflow.process_privilege, workflow.instance, workflow.visit, workflow.delivery,
           workflow.attachment, workflow.late_callback, workflow.instance_history, workflow.visit_history, workflow.attempt_history,
           workflow.identity, workflow.secret;
DROP SEQUENCE workflow.instance_seq, workflow.visit_seq, workflow.delivery_seq;

DO LANGUAGE plpgsql $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT u.function FROM workflow_upgrade_functions u WHERE u.later LOOP
        EXECUTE pg_catalog.format('DROP ROUTINE %s', f.function);
    END LOOP;
END $$;
DROP TABLE workflow_upgrade_goes, workflow_upgrade_functions;

-- ---- what only C can do ----

CREATE FUNCTION workflow_data.upgrade_attached() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_upgrade_attached';
CREATE FUNCTION workflow_data.upgrade_clocks() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_upgrade_clocks';
SELECT workflow_data.upgrade_attached();
SELECT workflow_data.upgrade_clocks();

-- ---- what was granted ----

-- Rights on a function whose arguments are others now are rights on all functions of its name.
DO LANGUAGE plpgsql $$
DECLARE
    g      record;
    object text;
    kept   boolean;
BEGIN
    FOR g IN
        SELECT u.*, CASE u.role WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(u.role)) END AS grantee
        FROM workflow_upgrade_grants u LEFT JOIN pg_catalog.pg_roles r ON r.oid = u.role
        WHERE u.role = 0 OR r.oid IS NOT NULL
        ORDER BY u.kind, u.name, u.arguments, u.attribute, u.grants, u.role, u.privilege
    LOOP
        kept := false;
        FOR object IN
            SELECT pg_catalog.format('%s %s', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, p.oid::pg_catalog.regprocedure)
            FROM pg_catalog.pg_proc p
            WHERE g.kind IN ('FUNCTION', 'PROCEDURE') AND p.pronamespace = 'workflow'::pg_catalog.regnamespace AND p.proname = g.name
                  AND (pg_catalog.oidvectortypes(p.proargtypes) = g.arguments
                       OR NOT EXISTS (SELECT FROM pg_catalog.pg_proc o WHERE o.pronamespace = p.pronamespace AND o.proname = p.proname
                                                                             AND pg_catalog.oidvectortypes(o.proargtypes) = g.arguments))
            UNION ALL
            SELECT pg_catalog.format('TABLE workflow.%I', c.relname)
            FROM pg_catalog.pg_class c
            WHERE g.kind = 'VIEW' AND c.relnamespace = 'workflow'::pg_catalog.regnamespace AND c.relname = g.name
            UNION ALL
            SELECT 'SCHEMA workflow' WHERE g.kind = 'SCHEMA'
        LOOP
            kept := true;
            PERFORM workflow_data.upgrade_grant(pg_catalog.format(
                CASE WHEN g.grants THEN 'GRANT %s ON %s TO %s' || CASE WHEN g.option THEN ' WITH GRANT OPTION' ELSE '' END
                     ELSE CASE WHEN g.option THEN 'REVOKE GRANT OPTION FOR %s ON %s FROM %s CASCADE' ELSE 'REVOKE %s ON %s FROM %s CASCADE' END END,
                g.privilege || coalesce(' (' || pg_catalog.quote_ident(g.attribute) || ')', ''), object, g.grantee));
        END LOOP;
        IF NOT kept AND g.grants THEN
            RAISE WARNING '% has no % on workflow.% any more: that is nothing users call or read now', g.grantee, g.privilege, g.name;
        END IF;
    END LOOP;
END $$;
DROP TABLE workflow_upgrade_grants;
DROP FUNCTION workflow_data.upgrade_attached(), workflow_data.upgrade_clocks(), workflow_data.upgrade_grant(text);

-- ---- whose all this is ----

-- What was made is the owner's of the extension, not whose session this is.
DO LANGUAGE plpgsql $$
DECLARE
    owner   name := (SELECT pg_catalog.pg_get_userbyid(e.extowner) FROM pg_catalog.pg_extension e WHERE e.extname = 'workflow');
    command text;
BEGIN
    FOR command IN
        SELECT pg_catalog.format('ALTER %s %s OWNER TO %I',
                                 CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::pg_catalog.regclass, owner)
        FROM pg_catalog.pg_class c
        WHERE c.relnamespace IN ('workflow'::pg_catalog.regnamespace, 'workflow_data'::pg_catalog.regnamespace)
              AND c.relkind IN ('r', 'p', 'v', 'S') AND pg_catalog.pg_get_userbyid(c.relowner) <> owner
              -- a sequence of a column goes with its table
              AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_catalog.pg_depend d
                                                   WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'i'))
        UNION ALL
        SELECT pg_catalog.format('ALTER ROUTINE %s OWNER TO %I', p.oid::pg_catalog.regprocedure, owner)
        FROM pg_catalog.pg_proc p
        WHERE p.pronamespace IN ('workflow'::pg_catalog.regnamespace, 'workflow_data'::pg_catalog.regnamespace)
              AND pg_catalog.pg_get_userbyid(p.proowner) <> owner
        UNION ALL
        SELECT pg_catalog.format('ALTER SCHEMA workflow_data OWNER TO %I', owner)
        FROM pg_catalog.pg_namespace n WHERE n.nspname = 'workflow_data' AND pg_catalog.pg_get_userbyid(n.nspowner) <> owner
    LOOP
        EXECUTE command;
    END LOOP;
END $$;

ANALYZE workflow_data.process, workflow_data.process_version, workflow_data.instance, workflow_data.visit, workflow_data.delivery;
