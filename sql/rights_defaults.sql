--
-- In a database whose defaults are others: default privileges of whoever creates the extension, settings of whoever is
-- the first to need a partition of the history.
--
SET client_min_messages = warning;
CREATE DATABASE workflow_regress_defaults;
CREATE ROLE defaults_nobody;
SELECT current_database() AS here \gset
\c workflow_regress_defaults
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON ROUTINES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, DELETE ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO PUBLIC;
CREATE EXTENSION workflow;
SET default_table_access_method = 'heap';
SET default_tablespace = 'pg_global';
SELECT workflow.define('defaults', '{"steps": [{"step": "wait", "wait": true}]}');
SELECT workflow.start('defaults') > 0 AS started;
SELECT workflow.complete(serial_number) FROM workflow.waiting;
RESET default_tablespace;
SELECT count(*) > 0 AS some, count(*) FILTER (WHERE reltablespace <> 0) AS elsewhere FROM pg_class
WHERE relnamespace = 'workflow'::regnamespace AND relispartition;
-- what PUBLIC can do without having been given anything
SELECT c.relname, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace = 'workflow'::regnamespace AND a.grantee = 0 AND (c.relkind <> 'v' OR a.privilege_type <> 'SELECT') ORDER BY 1, 2;
SELECT a.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) a WHERE nspname = 'workflow' AND a.grantee = 0;
-- and given USAGE on the schema
SELECT workflow.grant_process('defaults', 'defaults_nobody', 'view');
GRANT USAGE ON SCHEMA workflow TO defaults_nobody;
SET ROLE defaults_nobody;
SELECT status FROM workflow.instances;
SELECT workflow.complete('1_1');
SELECT workflow.define('defaults', '{}');
SELECT count(*) FROM workflow.visit_history;
CALL workflow.wait_for(1, '1 s');
RESET ROLE;
\c :here
DROP DATABASE workflow_regress_defaults;
DROP ROLE defaults_nobody;
