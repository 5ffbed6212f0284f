-- An instance that is being cancelled is given up: nothing that ends badly in it stands there as an incident.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS workflow;
RESET client_min_messages;
CREATE SERVER cancel_kept_nowhere FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:1', allow_private 'true');
SELECT workflow.define('cancel_kept', $$
{ "steps": [ { "step": "call", "http": { "server": "cancel_kept_nowhere" }, "wait": true } ] }
$$);

-- a failure that was accepted before, but is only kept: its end is that failure, and the instance is aborted
BEGIN;
SELECT workflow.start('cancel_kept') AS i \gset
SELECT serial_number AS sn FROM workflow.visits WHERE instance = :i \gset
SELECT workflow.fail(:'sn', 'REJECTED', 'no');
SELECT workflow.cancel(:i, 'enough');
COMMIT;
CALL workflow.wait_for(:i, '1 minute', 'aborted');
SELECT status, error->>'message' AS reason FROM workflow.instances WHERE instance = :i;
SELECT step, outcome, result->'error'->>'code' AS code FROM workflow.history WHERE instance = :i;
SELECT count(*) FROM workflow.incidents WHERE instance = :i;
SELECT workflow.complete(:'sn') AS too_late;

-- in one that goes on, it is an incident
BEGIN;
SELECT workflow.start('cancel_kept') AS i \gset
SELECT serial_number AS sn FROM workflow.visits WHERE instance = :i \gset
SELECT workflow.fail(:'sn', 'REJECTED', 'no');
SELECT workflow.cancel_visit(:'sn', 'its end is known') AS refused;
COMMIT;
CALL workflow.wait_for(:i, '1 minute');
SELECT step, outcome, error->>'code' AS code FROM workflow.incidents WHERE instance = :i;
SELECT workflow.cancel(:i);
SELECT status FROM workflow.instances WHERE instance = :i;

SELECT workflow.undefine('cancel_kept');
DROP SERVER cancel_kept_nowhere;
