-- An instance that is being cancelled is given up: nothing that ends badly in it stands there as an incident.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS workflow;
RESET client_min_messages;
CREATE SERVER review_nowhere FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:1', allow_private 'true');
SELECT workflow.define('review_cancel', $$
{ "steps": [ { "step": "call", "http": { "server": "review_nowhere" }, "wait": true } ] }
$$);

-- a failure that was accepted before, but is only kept: its end is that failure, and the instance is aborted
BEGIN;
SELECT workflow.start('review_cancel') AS i \gset
SELECT serial_number AS sn FROM workflow.visits WHERE instance = :i \gset
SELECT workflow.fail(:'sn', 'REJECTED', 'no');
SELECT workflow.cancel(:i, 'enough');
COMMIT;
SELECT status, error->>'message' AS reason FROM workflow.instances WHERE instance = :i;
SELECT step, outcome, result->'error'->>'code' AS code FROM workflow.history WHERE instance = :i;
SELECT count(*) FROM workflow.incidents WHERE instance = :i;
SELECT workflow.complete(:'sn') AS too_late;

-- in one that goes on, it is an incident
BEGIN;
SELECT workflow.start('review_cancel') AS i \gset
SELECT serial_number AS sn FROM workflow.visits WHERE instance = :i \gset
SELECT workflow.fail(:'sn', 'REJECTED', 'no');
SELECT workflow.cancel_visit(:'sn', 'its end is known') AS refused;
COMMIT;
CALL workflow.wait_for(:i, '1 minute');
SELECT step, outcome, error->>'code' AS code FROM workflow.incidents WHERE instance = :i;
SELECT workflow.cancel(:i);
SELECT status FROM workflow.instances WHERE instance = :i;

SELECT workflow.undefine('review_cancel');
DROP SERVER review_nowhere;
