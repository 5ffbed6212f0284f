-- A process takes no new instances.

SELECT workflow.define('undefine: order', '{ "steps": [ { "step": "a", "wait": true } ] }');
SELECT workflow.start('undefine: order') AS i \gset
-- not while instances live, unless it is forced: they go on
\set VERBOSITY sqlstate
SELECT workflow.undefine('undefine: order');
SELECT workflow.undefine('undefine: order', force => NULL);
\set VERBOSITY default
SELECT workflow.undefine('undefine: order', force => true);
SELECT workflow.undefine('undefine: order', force => true);
SELECT workflow.undefine('undefine: order');
\set VERBOSITY sqlstate
SELECT workflow.start('undefine: order');
\set VERBOSITY default
SELECT workflow.complete(test.waits(:i));
SELECT status FROM workflow.instances WHERE instance = :i;
SELECT call, arguments FROM workflow.audit WHERE process = 'undefine: order' AND call = 'undefine';
-- defined again, and nothing lives
SELECT workflow.define('undefine: order', '{ "steps": [ { "step": "a", "wait": true } ] }');
SELECT workflow.undefine('undefine: order');
-- where it has ended in a transaction that is rolled back, it lives
SELECT workflow.define('undefine: order', '{ "steps": [ { "step": "a", "wait": true } ] }');
SELECT workflow.start('undefine: order') AS i \gset
BEGIN;
SELECT workflow.cancel(:i);
SELECT workflow.undefine('undefine: order');
ROLLBACK;
\set VERBOSITY sqlstate
SELECT workflow.undefine('undefine: order');
-- who may do so
CREATE ROLE undefine_admin;
CREATE ROLE undefine_start;
GRANT USAGE ON SCHEMA workflow TO undefine_admin, undefine_start;
GRANT EXECUTE ON FUNCTION workflow.undefine(text, boolean) TO undefine_admin, undefine_start;
SELECT workflow.grant_process('undefine: order', 'undefine_admin', 'admin'), workflow.grant_process('undefine: order', 'undefine_start', 'start');
SET ROLE undefine_start;
SELECT workflow.undefine('undefine: order', true);
SET ROLE undefine_admin;
SELECT workflow.undefine('undefine: order', true);
RESET ROLE;
\set VERBOSITY default
SELECT workflow.cancel(:i);
DROP OWNED BY undefine_admin, undefine_start;
SELECT workflow.revoke_process('undefine: order', 'undefine_admin', 'admin'), workflow.revoke_process('undefine: order', 'undefine_start', 'start');
DROP ROLE undefine_admin, undefine_start;
