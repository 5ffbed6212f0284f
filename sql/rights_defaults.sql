--
-- In a database whose defaults are others: default privileges of whoever creates the extension, settings of whoever is
-- the first to need a partition of the history.
--
SET client_min_messages = warning;
CREATE DATABASE workflow_regress_defaults;
CREATE ROLE defaults_nobody;
CREATE ROLE "defaults app";
CREATE ROLE defaults_writer IN ROLE pg_write_all_data, pg_read_all_data;
SELECT current_database() AS here \gset
\c workflow_regress_defaults
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON ROUTINES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, DELETE ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO "defaults app" WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO "defaults app";
ALTER DEFAULT PRIVILEGES GRANT ALL ON ROUTINES TO "defaults app";
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO "defaults app";
CREATE EXTENSION workflow;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM "defaults app";
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO "defaults app";
SET default_table_access_method = 'heap';
SET default_tablespace = 'pg_global';
SELECT workflow.define('defaults', '{"steps": [{"step": "wait", "wait": true}]}');
SELECT workflow.start('defaults') > 0 AS started;
SELECT workflow.complete(serial_number) FROM workflow.waiting;
RESET default_tablespace;
-- partitions are made by a worker
DO $$
BEGIN
    FOR i IN 1 .. 6000 LOOP
        EXIT WHEN (SELECT count(DISTINCT inhparent) FROM pg_inherits WHERE inhparent::regclass::text ~ '_history$') = 3;
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
SELECT count(*) > 0 AS some, count(*) FILTER (WHERE reltablespace <> 0) AS elsewhere FROM pg_class
WHERE relnamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace) AND relispartition;
-- what PUBLIC can do without having been given anything
SELECT c.relname, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace) AND a.grantee = 0 AND (c.relkind <> 'v' OR a.privilege_type <> 'SELECT') ORDER BY 1, 2;
SELECT a.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) a WHERE nspname IN ('workflow', 'workflow_data') AND a.grantee = 0;
-- and others than PUBLIC and the owner
SELECT pg_describe_object(classid, objid, 0), privilege_type
FROM (SELECT 'pg_class'::regclass AS classid, oid AS objid, relowner AS owner, relacl AS acl FROM pg_class WHERE relnamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace)
      UNION ALL SELECT 'pg_proc'::regclass, oid, proowner, proacl FROM pg_proc WHERE pronamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace)
      UNION ALL SELECT 'pg_namespace'::regclass, oid, nspowner, nspacl FROM pg_namespace WHERE nspname IN ('workflow', 'workflow_data')) o, aclexplode(acl) a
WHERE a.grantee NOT IN (0, o.owner) ORDER BY 1, 2;
-- whoever may write to all tables may not say what is run
SET ROLE defaults_writer;
INSERT INTO workflow_data.process VALUES (77, 'mine', 10, 'postgres', 1, false, NULL);
UPDATE workflow_data.process SET owner = 10;
INSERT INTO workflow_data.process_version SELECT process_id, 2, '{}', '', 'UTC', now() FROM workflow_data.process;
DELETE FROM workflow_data.process_privilege;
UPDATE workflow_data.attachment SET relation = 'pg_class';
DELETE FROM workflow_data.identity;
COPY workflow_data.secret FROM stdin;
f	\x00
\.
MERGE INTO workflow_data.process p USING (SELECT 1) s ON true WHEN MATCHED THEN UPDATE SET owner = 10;
RESET ROLE;
SELECT count(*) FROM workflow_data.process WHERE process = 'mine';
SET session_replication_role = replica;
SET ROLE defaults_writer;
UPDATE workflow_data.process SET owner = 10;
RESET ROLE;
RESET session_replication_role;
-- PUBLIC, given USAGE on the schema
SELECT workflow.grant_process('defaults', 'defaults_nobody', 'view');
GRANT USAGE ON SCHEMA workflow TO defaults_nobody;
SET ROLE defaults_nobody;
SELECT status FROM workflow.instances;
SELECT workflow.complete('1_1');
SELECT workflow.define('defaults', '{}');
SELECT count(*) FROM workflow_data.visit_history;
CALL workflow.wait_for(1, '1 s');
RESET ROLE;

--
-- A schema that was there before
--
DROP EXTENSION workflow CASCADE;
DROP SCHEMA workflow CASCADE;
CREATE SCHEMA workflow AUTHORIZATION defaults_nobody;
\set SHOW_CONTEXT never
CREATE EXTENSION workflow;
ALTER SCHEMA workflow OWNER TO CURRENT_USER;
CREATE FUNCTION workflow.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE EXTENSION workflow;
DROP FUNCTION workflow.mine();
CREATE SCHEMA workflow_data;
CREATE EXTENSION workflow;
DROP SCHEMA workflow_data;
ALTER DEFAULT PRIVILEGES IN SCHEMA workflow GRANT ALL ON TABLES TO "defaults app";
CREATE EXTENSION workflow;
SELECT c.relname, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace) AND a.grantee NOT IN (0, c.relowner) ORDER BY 1, 2;
\c :here
DROP DATABASE workflow_regress_defaults;
DROP ROLE defaults_nobody, defaults_writer, "defaults app";
