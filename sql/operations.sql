-- Calls with mode => 'async': what is checked at once, and what becomes of the rest.

CREATE ROLE operations_author;
CREATE ROLE operations_caller;
CREATE ROLE operations_watcher;
CREATE ROLE operations_other;
GRANT USAGE ON SCHEMA workflow TO operations_author, operations_caller, operations_watcher, operations_other;
GRANT EXECUTE ON FUNCTION workflow.define(text, json), workflow.grant_process(text, name, text, text), workflow.revoke_process(text, name, text, text) TO operations_author;
SET ROLE operations_author;
SELECT workflow.define('operations: order', '{
  "data": { "currency": "EUR" },
  "steps": [ { "step": "pay", "wait": true, "save": true, "catch": [ { "on": "REFUSED", "next": "ask" } ] },
             { "step": "pack", "wait": { "condition": "$.packed" }, "end": true },
             { "step": "ask", "wait": { "task": { "title": "pay?", "roles": [ "operations_caller", "operations_other" ] } }, "end": true } ]}');
SELECT workflow.grant_process('operations: order', 'operations_caller', 'start'), workflow.grant_process('operations: order', 'operations_caller', 'complete'),
       workflow.grant_process('operations: order', 'operations_watcher', 'view');
RESET ROLE;
CREATE FUNCTION test.done_operations() RETURNS text LANGUAGE sql AS
    $$SELECT 'SELECT NOT EXISTS (SELECT FROM workflow.operations WHERE state = ''pending'')'$$;
-- one's own, without numbers
CREATE VIEW test.operations AS
    SELECT call, instance IS NOT NULL AS of_instance, serial_number IS NOT NULL AS of_visit, role, state, error ->> 'sqlstate' AS sqlstate,
           CASE WHEN answer = instance::text THEN 'the instance' ELSE answer END AS answer,
           done_at >= requested_at AS was_done
    FROM workflow.operations ORDER BY operation;

-- ---- it is carried out after the commit, with the numbers that were told ----
SET ROLE operations_caller;
SELECT workflow.last_operation() IS NULL AS none_yet;
BEGIN;
SELECT workflow.start('operations: order', '{"amount": 120}', 'operations-3', mode => 'async') AS i \gset
SELECT workflow.last_operation() AS o \gset
SELECT call, process, state, done_at, answer, error, instance = :i AS is_it FROM workflow.operations WHERE operation = :o;
RESET ROLE;
SELECT count(*) AS started FROM workflow.instances WHERE instance = :i;
SET ROLE operations_caller;
-- what is called about it before it has started comes after that
SELECT workflow.set_data(:i, '{"colour": "red"}', mode => 'async') IS NULL AS nothing, workflow.last_operation() > :o AS is_next;
SELECT workflow.set_data(:i, '{"colour": "blue"}', 'async') IS NULL AS nothing;
\set VERBOSITY sqlstate
SAVEPOINT s;
SELECT workflow.set_data(:i, '{"colour": "blue"}');
ROLLBACK TO s;
\set VERBOSITY terse
COMMIT;
RESET ROLE;
CALL test.until(test.done_operations());
SELECT i.data, i.business_key, h.role FROM workflow.instances i JOIN workflow.audit h USING (instance) WHERE i.instance = :i ORDER BY h.at LIMIT 1;
SELECT * FROM test.operations;
-- nothing was done by a transaction that is rolled back
BEGIN;
SELECT workflow.start('operations: order', mode => 'async') > :i AS reserved;
ROLLBACK;
SELECT count(*) FROM workflow.operations;

-- ---- what ends visits ----
SET ROLE operations_caller;
SELECT serial_number AS sn FROM workflow.waiting WHERE instance = :i \gset
SELECT workflow.complete(:'sn', '{"receipt": 1}', mode => 'async') IS NULL AS nothing;
SELECT workflow.fail(:'sn', 'REFUSED', 'no', mode => 'async') IS NULL AS nothing;
SELECT workflow.set_data(:i, '{"packed": true}', 'async') IS NULL AS nothing;
RESET ROLE;
CALL test.until(test.done_operations());
SELECT test.ended(:i), test.went(:i);
SELECT call, state, replace(answer, instance::text, 'its number') AS answer FROM workflow.operations WHERE instance = :i ORDER BY operation;
SELECT completed_by FROM workflow.history WHERE serial_number = :'sn';
SELECT serial_number = :'sn' AS late, role, data FROM workflow.late_callbacks WHERE serial_number = :'sn';

-- fail, and the task that comes of it
SET ROLE operations_caller;
SELECT workflow.start('operations: order', '{"n": 2}', mode => 'async') AS i \gset
RESET ROLE;
CALL test.arrive(:i, 'pay');
SET ROLE operations_caller;
SELECT workflow.fail(serial_number, 'REFUSED', 'no money', '{"need": 3}', mode => 'async') IS NULL AS nothing FROM workflow.waiting WHERE instance = :i;
RESET ROLE;
CALL test.arrive(:i, 'ask');
SET ROLE operations_other;
SELECT serial_number AS task FROM workflow.tasks WHERE instance = :i \gset
SELECT workflow.claim(:'task', 'ann', mode => 'async') IS NULL AS nothing;
SELECT workflow.complete(:'task', '{"yes": true}', mode => 'async') IS NULL AS nothing;
RESET ROLE;
CALL test.until(test.done_operations());
SELECT call, role, state, answer FROM workflow.operations WHERE serial_number = :'task' ORDER BY operation;
SELECT completed_by, status FROM workflow.history JOIN workflow.instances USING (instance) WHERE serial_number = :'task';

-- cancel
SET ROLE operations_caller;
SELECT workflow.start('operations: order', mode => 'async') AS i \gset
SELECT workflow.cancel(:i, 'wrong one', mode => 'async') IS NULL AS nothing;
SELECT workflow.cancel(:i, 'twice', mode => 'async') IS NULL AS nothing;
RESET ROLE;
CALL test.until(test.done_operations());
SELECT status, error ->> 'message' AS reason FROM workflow.instances WHERE instance = :i;
SELECT call, state, replace(answer, instance::text, 'its number') AS answer FROM workflow.operations WHERE instance = :i ORDER BY operation;

-- messages and signals
SELECT workflow.define('operations: mail', '{"steps": [{"step": "letter", "first_of": [ {"message": "operations: letter", "key": "${$.key}", "save": {"got": "${$event.data.text}"}, "next": "on"},
                                                                                      {"signal": "operations: strike", "save": {"got": "${$event.data.text}"}, "next": "on"}]}, {"step": "on", "set": {"on": true}}]}');
SELECT workflow.start('operations: mail', '{"key": "17"}') AS one, workflow.start('operations: mail', '{"key": "18"}') AS two \gset
SELECT workflow.send_message('operations: letter', 17, '{"text": "hello"}', mode => 'async') IS NULL AS nothing;
SELECT workflow.send_message('operations: letter', '19', '{"text": "later"}', '1 hour', 'm-1', mode => 'async') IS NULL AS nothing;
-- calls about no instance have no order among them
CALL test.until(test.done_operations());
SELECT workflow.send_signal('operations: strike', '{"text": "all"}', mode => 'async');
CALL test.until(test.done_operations());
CALL test.until(format('SELECT count(*) = 2 FROM workflow.instances WHERE instance IN (%s, %s) AND ended_at IS NOT NULL', :one, :two));
SELECT test.ended(:one), test.ended(:two);
SELECT * FROM test.operations WHERE NOT of_instance;
SELECT name, key, message_id, sender = current_user AS mine, data FROM workflow.messages WHERE name = 'operations: letter';
SELECT workflow.withdraw_message(message) FROM workflow.messages WHERE name = 'operations: letter';

-- ---- what is checked at once ----
\set VERBOSITY default
SELECT workflow.start('operations: order', mode => 'later');
\set VERBOSITY terse
SELECT workflow.start('operations: order', mode => NULL);
SELECT workflow.start('operations: none', mode => 'async');
SELECT workflow.start('operations: order', version => 9, mode => 'async');
SELECT workflow.start('operations: order', '[1]', mode => 'async');
SELECT workflow.set_data(9000000000, '{}', mode => 'async');
SELECT workflow.set_data(:i, '3', mode => 'async');
SELECT workflow.cancel(9000000000, mode => 'async');
SELECT workflow.complete('5_', mode => 'async');
SELECT workflow.complete('9000000000_1', mode => 'async');
SELECT workflow.fail(:'sn', '', mode => 'async');
SELECT workflow.claim('9000000000_1', mode => 'async');
SELECT workflow.claim(:'task', '', mode => 'async');
SELECT workflow.send_message('', mode => 'async');
SELECT workflow.send_signal('', mode => 'async');
SELECT workflow.send_signal('operations: strike', mode => 'whenever');
\set VERBOSITY sqlstate
SET ROLE operations_other;
SELECT workflow.start('operations: order', mode => 'async');
SELECT workflow.set_data(:i, '{}', mode => 'async');
SELECT workflow.cancel(:i, mode => 'async');
SELECT workflow.complete(:'sn', mode => 'async');
SET ROLE operations_watcher;
SELECT workflow.start('operations: order', mode => 'async');
SELECT workflow.cancel(:i, mode => 'async');
SELECT workflow.claim(:'task', mode => 'async');
-- what can reach nobody is not stored: who may but view may not send, at once it is missed
SELECT workflow.send_message('operations: letter', 17, mode => 'async');
SELECT workflow.send_signal('operations: strike', mode => 'async');
SELECT workflow.send_message('operations: letter', 17), workflow.send_signal('operations: strike');
SET ROLE operations_other;
\set VERBOSITY default
SELECT workflow.send_message('operations: letter', 17, mode => 'async');
BEGIN;
SET LOCAL ROLE operations_author;
SELECT workflow.grant_process('operations: order', 'operations_other', 'complete', 'pay');
SET LOCAL ROLE operations_other;
SELECT workflow.send_message('operations: letter', 17, mode => 'async') IS NULL AS stored;
ROLLBACK;
\set VERBOSITY terse
RESET ROLE;
BEGIN READ ONLY;
SELECT workflow.start('operations: order', mode => 'async');
ROLLBACK;
SELECT workflow.start('operations: order', business_key => 'operations-2') AS b \gset
SELECT workflow.start('operations: order', business_key => 'operations-2', mode => 'async');
SELECT count(*) AS pending FROM workflow.operations WHERE state = 'pending';

-- ---- what fails when it is carried out ----
-- the key is taken by then; the right is gone by then
SET ROLE operations_caller;
BEGIN;
SELECT workflow.start('operations: order', business_key => 'operations-1', mode => 'async') AS second \gset
SELECT workflow.start('operations: order', business_key => 'operations-1') AS first \gset
SELECT workflow.set_data(:second, '{"lost": true}', mode => 'async') IS NULL AS nothing;
COMMIT;
RESET ROLE;
CALL test.until(test.done_operations());
SELECT call, state, answer IS NOT NULL AS answered, error ->> 'sqlstate' AS sqlstate, replace(error ->> 'message', :'second', '…') AS message,
       error ->> 'detail' = format('It is instance %s.', :first) AS names_it, error ->> 'hint' AS hint
FROM workflow.operations WHERE instance = :second ORDER BY operation \gx
BEGIN;
SET LOCAL ROLE operations_caller;
SELECT workflow.cancel(:first, mode => 'async') IS NULL AS nothing, workflow.last_operation() AS o \gset
SET LOCAL ROLE operations_author;
SELECT workflow.revoke_process('operations: order', 'operations_caller', 'start');
COMMIT;
CALL test.until(test.done_operations());
SELECT role, state, error ->> 'sqlstate' AS sqlstate, error ->> 'message' AS message FROM workflow.operations WHERE operation = :o;
SELECT status FROM workflow.instances WHERE instance = :first;

-- ---- who sees them ----
SET ROLE operations_caller;
SELECT DISTINCT role FROM workflow.operations ORDER BY 1;
SET ROLE operations_watcher;
SELECT DISTINCT role, call FROM workflow.operations ORDER BY 1, 2;
SET ROLE operations_other;
SELECT role, call FROM workflow.operations ORDER BY 1, 2;
RESET ROLE;

-- found by its number, by its instance, by how it stands, in order; by whoever may see few
CREATE FUNCTION test.reads(query text) RETURNS SETOF text LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line ~ 'operation_|Sort|Index Cond' THEN
            RETURN NEXT left(regexp_replace(line, '^ *(-> *)?', ''), 60);
        END IF;
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA test TO operations_watcher;
SET ROLE operations_watcher;
SELECT test.reads('SELECT state FROM workflow.operations WHERE operation = workflow.last_operation()');
SELECT test.reads('SELECT state FROM workflow.operations WHERE instance = 7');
SELECT test.reads('SELECT operation, call FROM workflow.operations WHERE state = ''pending''');
SELECT test.reads('SELECT operation, call FROM workflow.operations WHERE state = ''failed'' ORDER BY operation');
SELECT test.reads('SELECT operation, call FROM workflow.operations ORDER BY operation DESC LIMIT 10');
-- whom a condition of his own shows none that he may not see
CREATE FUNCTION pg_temp.look(call text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$BEGIN RAISE NOTICE 'sees %', call; RETURN true; END$$;
SELECT call FROM workflow.operations WHERE call IN ('send_message', 'claim') AND pg_temp.look(call);
RESET ROLE;
REVOKE USAGE ON SCHEMA test FROM operations_watcher;
DROP FUNCTION test.reads(text);

-- a role that is gone by then
CREATE ROLE operations_leaver;
GRANT USAGE ON SCHEMA workflow TO operations_leaver;
SELECT workflow.grant_process('operations: order', 'operations_leaver', 'start');
BEGIN;
SET LOCAL ROLE operations_leaver;
SELECT workflow.start('operations: order', mode => 'async') AS left_behind \gset
RESET ROLE;
SELECT workflow.revoke_process('operations: order', 'operations_leaver', 'start');
REVOKE USAGE ON SCHEMA workflow FROM operations_leaver;
DROP ROLE operations_leaver;
COMMIT;
CALL test.until(test.done_operations());
SELECT role, state, error FROM workflow.operations WHERE instance = :left_behind;

-- one who had logged in, and whose name somebody else has by then
CREATE ROLE operations_clerk LOGIN;
GRANT operations_author TO operations_clerk;
SET SESSION AUTHORIZATION operations_clerk;
BEGIN;
SET LOCAL ROLE operations_author;
SELECT workflow.start('operations: order', mode => 'async') AS i \gset
SELECT workflow.set_data(:i, '{"by": "clerk"}', 'async') IS NULL AS nothing;
RESET SESSION AUTHORIZATION;
COMMIT;
CALL test.until(test.done_operations());
SELECT role, session_role FROM workflow.audit WHERE instance = :i;
BEGIN;
SET LOCAL SESSION AUTHORIZATION operations_clerk;
SET LOCAL ROLE operations_author;
SELECT workflow.set_data(:i, '{"by": "nobody"}', 'async') IS NULL AS nothing;
RESET SESSION AUTHORIZATION;
DROP ROLE operations_clerk;
CREATE ROLE operations_clerk;
-- others see a commit a moment before they are told to forget the role
UPDATE workflow_data.delivery SET due_at = clock_timestamp() + interval '300 ms' WHERE kind = 'operation';
COMMIT;
CALL test.until(test.done_operations());
SELECT role, session_role FROM workflow.audit WHERE instance = :i ORDER BY at DESC LIMIT 1;
DROP ROLE operations_clerk;

-- ---- the record is kept as long as the instance ----
SELECT count(*) FROM workflow_data.delivery WHERE kind = 'operation';
SELECT count(*) FROM workflow_data.operation WHERE arguments IS NOT NULL;
SELECT instance AS cancelled FROM workflow.operations WHERE call = 'cancel' AND answer = 'false' \gset
SELECT workflow.erase(:cancelled), count(*) FROM workflow.operations WHERE instance = :cancelled;
SELECT count(*) FROM workflow.operations WHERE instance = :cancelled;

-- ---- what workflow.verify would find ----
BEGIN;
SET LOCAL ROLE operations_author;
SELECT workflow.set_data(:first, '{}', mode => 'async') IS NULL AS nothing;
RESET ROLE;
UPDATE workflow_data.operation SET done_at = now() WHERE operation = workflow.last_operation();
SELECT regexp_replace(problem, '\d+', '#', 'g') FROM workflow.verify() WHERE instance = :first;
UPDATE workflow_data.operation SET done_at = NULL WHERE operation = workflow.last_operation();
SELECT count(*) FROM workflow.verify() WHERE instance = :first;
DELETE FROM workflow_data.delivery WHERE kind = 'operation';
SELECT regexp_replace(problem, '\d+', '#', 'g') FROM workflow.verify() WHERE instance = :first;
ROLLBACK;
DROP VIEW test.operations;
DROP FUNCTION test.done_operations();
SET client_min_messages = warning;
SELECT workflow.undefine('operations: order', true), workflow.undefine('operations: mail', true);
