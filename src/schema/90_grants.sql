-- Who may do what. PUBLIC has no USAGE on the schema; it has to be granted by hand, and makes what
-- PUBLIC may execute or read here usable. Then the privileges on processes decide.

-- Revoke what default privileges of the creating role have granted, to PUBLIC or to others.
DO LANGUAGE plpgsql $$
DECLARE
    command text;
BEGIN
    FOR command IN
        SELECT pg_catalog.format('REVOKE ALL ON %s FROM %s CASCADE', o.object,
                                 CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END)
        FROM (SELECT 'SCHEMA ' || n.nspname AS object, n.nspowner AS owner, n.nspacl AS acl FROM pg_catalog.pg_namespace n
              WHERE n.nspname IN ('workflow', 'workflow_data')
              UNION ALL
              SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END
                     || pg_catalog.format('%s.%I', c.relnamespace::pg_catalog.regnamespace, c.relname), c.relowner, c.relacl
              FROM pg_catalog.pg_class c
              WHERE c.relnamespace IN ('workflow'::pg_catalog.regnamespace, 'workflow_data'::pg_catalog.regnamespace)
              UNION ALL
              SELECT 'ROUTINE ' || p.oid::pg_catalog.regprocedure::text, p.proowner, p.proacl
              FROM pg_catalog.pg_proc p
              WHERE p.pronamespace IN ('workflow'::pg_catalog.regnamespace, 'workflow_data'::pg_catalog.regnamespace)) o,
             pg_catalog.aclexplode(o.acl) a
        WHERE a.grantee <> o.owner
        GROUP BY 1
    LOOP
        EXECUTE command;
    END LOOP;
END $$;

GRANT EXECUTE ON ALL ROUTINES IN SCHEMA workflow TO PUBLIC;
-- views call these functions with the rights of the role that queries them
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA workflow_data TO PUBLIC;

-- Authors: EXECUTE on these functions makes a role an author.
REVOKE EXECUTE ON FUNCTION workflow.define(text, json),
                           workflow.check(json),
                           workflow.undefine(text, boolean),
                           workflow.attach(regclass, text, name, text, name, name, jsonb, text, text, text, boolean, boolean, boolean, regclass),
                           workflow.detach(regclass, text),
                           workflow.grant_process(text, name, text, text),
                           workflow.revoke_process(text, name, text, text)
    FROM PUBLIC;

-- adopt, verify, set_shard and keep are about the whole database, not about a process: superusers may grant them.
REVOKE EXECUTE ON FUNCTION workflow.adopt(), workflow.verify(), workflow.set_shard(integer, bigint), workflow.keep(integer, integer, integer) FROM PUBLIC;

-- Functions that only PostgreSQL itself calls. Those of the triggers of attached tables whoever owns such a table may execute: with a new
-- partition he creates triggers. They ask the table what it starts.
REVOKE EXECUTE ON FUNCTION workflow_data.http_validator(text[], oid), workflow_data.identity_changed(), workflow_data.owner_only(),
                           workflow_data.secret_changed(), workflow_data.shard_changed()
    FROM PUBLIC;

GRANT SELECT ON workflow.processes, workflow.instances, workflow.visits, workflow.waiting, workflow.subscriptions, workflow.topics, workflow.message_starts, workflow.webhook_starts, workflow.messages, workflow.tasks, workflow.incidents,
                workflow.history, workflow.attempts, workflow.late_callbacks, workflow.write_backs, workflow.refused_rows, workflow.attachments, workflow.grants, workflow.audit, workflow.operations, workflow.servers, workflow.workers, workflow.shards
    TO PUBLIC;

-- Monitoring roles see counts without any further grant.
GRANT USAGE ON SCHEMA workflow TO pg_monitor;
GRANT SELECT ON workflow.metrics TO PUBLIC;

-- Without the library preloaded all functions raise errors, so warn at once.
DO LANGUAGE plpgsql $$
BEGIN
    IF pg_catalog.current_setting('workflow.databases', true) IS NULL THEN
        RAISE WARNING USING
            MESSAGE = 'the library of the extension workflow is not loaded: nothing can be started, and nothing is done',
            HINT = 'Add workflow to shared_preload_libraries in postgresql.conf, and restart the server.';
    END IF;
END $$;
