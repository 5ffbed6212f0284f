-- set_data and cancel.

SELECT workflow.define('cancel: order', '{"steps": [{"step": "pay", "wait": true}, {"step": "ship", "wait": true}]}');
SELECT workflow.start('cancel: order', '{"a": 1, "b": {"c": 2}}', 'K') AS i \gset

-- top-level keys are replaced
SELECT workflow.set_data(:i, '{"b": {"d": 3}, "e": null}');
SELECT workflow.set_data(instance => :i, data => '{}');
SELECT data FROM workflow.instances WHERE instance = :i;
SELECT workflow.set_data(:i, '[]');
SELECT workflow.set_data(:i, NULL);
SELECT workflow.set_data(NULL, '{}');
SELECT workflow.set_data(9223372036854775807, '{}');

SELECT serial_number AS sn FROM workflow.waiting WHERE instance = :i \gset
SELECT workflow.complete(:'sn');
BEGIN;
SELECT workflow.cancel(:i);
SELECT status, error->'message' AS message FROM workflow.instances WHERE instance = :i;
ROLLBACK;
SELECT workflow.cancel(instance => :i, reason => 'changed their mind');
SELECT status, data, error, ended_at IS NOT NULL AS ended FROM workflow.instances WHERE instance = :i;
SELECT step, outcome FROM workflow.history WHERE instance = :i ORDER BY ended_at, step;
SELECT count(*) FROM workflow.visits WHERE instance = :i;
-- ended is ended
SELECT workflow.cancel(:i);
SELECT workflow.set_data(:i, '{"a": 2}');
SELECT workflow.complete(:'sn');
SELECT data->'a' AS a FROM workflow.instances WHERE instance = :i;
-- and the key is free
SELECT workflow.start('cancel: order', business_key => 'K') IS NOT NULL AS started;
SELECT workflow.cancel(NULL);
SELECT workflow.cancel(9223372036854775807);

-- handlers that lead in a circle of steps that may not begin any more
SELECT workflow.define('cancel: circle', '{
  "steps": [
    { "step": "a", "wait": true, "catch": [ { "on": "*", "next": "b" } ] },
    { "step": "b", "wait": true, "catch": [ { "on": "*", "next": "a" } ] } ]}');
SELECT workflow.start('cancel: circle') AS i \gset
SELECT workflow.cancel(:i);
SELECT status FROM workflow.instances WHERE instance = :i;
SELECT string_agg(step || ' ' || outcome, ', ' ORDER BY length(serial_number), serial_number) FROM workflow.history WHERE instance = :i;
SELECT workflow.define('cancel: abort', '{
  "steps": [
    { "step": "a", "wait": true, "catch": [ { "after": "100 ms", "interrupt": false, "next": "stop" }, { "on": "*", "next": "a" } ] },
    { "step": "stop", "end": { "abort": "enough" } } ]}');
SELECT workflow.start('cancel: abort') AS i \gset
CALL workflow.wait_for(:i, '60 s');

-- but a last step is reached through steps that may not
SELECT workflow.define('cancel: last', '{
  "steps": [
    { "step": "a", "wait": true, "catch": [ { "on": "CANCELLED", "next": "b" } ] },
    { "step": "b", "wait": true, "catch": [ { "on": "CANCELLED", "next": "last" } ] },
    { "step": "last", "set": { "said": "goodbye" }, "ignore_cancel": true } ]}');
SELECT workflow.start('cancel: last') AS i \gset
SELECT workflow.cancel(:i);
SELECT status, data FROM workflow.instances WHERE instance = :i;

-- while steps that ignore it go on, the instance says why it is being cancelled
SELECT workflow.define('cancel: stubborn', '{"steps": [{"step": "work", "wait": true, "ignore_cancel": true}]}');
SELECT workflow.start('cancel: stubborn') AS i \gset
SELECT cancel_reason FROM workflow.instances WHERE instance = :i;
SELECT workflow.cancel(:i, 'changed their mind');
SELECT status, error, cancel_reason FROM workflow.instances WHERE instance = :i;
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i;
SELECT status, error->>'message' AS error, cancel_reason FROM workflow.instances WHERE instance = :i;

-- an instance whose only visit is cancelled ends with the reason
SELECT workflow.start('cancel: order') AS i \gset
SELECT workflow.cancel_visit(serial_number, 'no longer needed') FROM workflow.waiting WHERE instance = :i;
SELECT status, error->>'code' AS code, regexp_replace(error->>'message', '\d+_\d+', 'N') AS message FROM workflow.instances WHERE instance = :i;
SELECT workflow.start('cancel: order') AS i \gset
SELECT workflow.cancel_visit(serial_number) FROM workflow.waiting WHERE instance = :i;
SELECT status, error->>'code' AS code, regexp_replace(error->>'message', '\d+_\d+', 'N') AS message FROM workflow.instances WHERE instance = :i;

-- an instance that is being cancelled is given up: nothing that ends badly in it stands there as an incident.
CREATE SERVER cancel_nowhere FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:1', allow_private 'true');
SELECT workflow.define('cancel: kept', $$
{ "steps": [ { "step": "call", "http": { "server": "cancel_nowhere" }, "wait": true } ] }
$$);

-- a failure that was accepted before, but is only kept: its end is that failure, and the instance is aborted
BEGIN;
SELECT workflow.start('cancel: kept') AS i \gset
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
SELECT workflow.start('cancel: kept') AS i \gset
SELECT serial_number AS sn FROM workflow.visits WHERE instance = :i \gset
SELECT workflow.fail(:'sn', 'REJECTED', 'no');
SELECT workflow.cancel_visit(:'sn', 'its end is known') AS refused;
COMMIT;
CALL workflow.wait_for(:i, '1 minute');
SELECT step, outcome, error->>'code' AS code FROM workflow.incidents WHERE instance = :i;
SELECT workflow.cancel(:i);
SELECT status FROM workflow.instances WHERE instance = :i;

SELECT workflow.undefine('cancel: kept');
DROP SERVER cancel_nowhere;
