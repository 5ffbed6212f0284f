-- Incidents: what nothing in the process handles stands there until somebody mends it.

SELECT workflow.define('incidents: nap', '{
  "steps": [
    { "step": "nap", "wait": { "until": "${$.until}" }, "save": { "response": "${$result.response}" } },
    { "step": "then", "wait": true, "save": true } ]}');

-- a clock that cannot be read ends the visit, never the transaction
SELECT workflow.start('incidents: nap', '{"until": "tomorow"}') AS i \gset
SELECT step, outcome, error FROM workflow.incidents WHERE instance = :i;
SELECT n.since = i.started_at AS since_start, status FROM workflow.incidents n JOIN workflow.instances i USING (instance) WHERE instance = :i;
SELECT step, state, due_at, deadline FROM workflow.visits WHERE instance = :i;
SELECT count(*) FROM workflow.waiting WHERE instance = :i;
SELECT count(*) FROM workflow.history WHERE instance = :i;

-- mend the data, and again
SELECT workflow.retry(test.stands(:i));
SELECT outcome FROM workflow.incidents WHERE instance = :i;
SELECT workflow.set_data(:i, '{"until": "2999-01-01 00:00+00"}');
SELECT test.stands(:i) AS sn \gset
SELECT workflow.retry(:'sn');
SELECT i.status, w.step, w.waits_for FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE instance = :i;
SELECT due_at = '2999-01-01 00:00+00' AS due FROM workflow.visits WHERE instance = :i;
-- now it is none
\set VERBOSITY sqlstate
SELECT workflow.retry(:'sn');
SELECT workflow.skip(:'sn');
\set VERBOSITY default
SELECT workflow.cancel(:i);
SELECT workflow.retry(:'sn');
SELECT workflow.skip(:'sn');

-- or go on as if it had succeeded
SELECT workflow.start('incidents: nap', '{"until": "never"}') AS i \gset
SELECT workflow.skip(test.stands(:i), '{"by": "hand"}');
SELECT i.status, w.step, i.data FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE instance = :i;
SELECT step, outcome, result FROM workflow.history WHERE instance = :i;

-- or cancel
SELECT workflow.start('incidents: nap', '{"until": "never"}') AS i \gset
SELECT workflow.cancel(:i, 'hopeless');
SELECT status, error FROM workflow.instances WHERE instance = :i;
SELECT step, outcome FROM workflow.history WHERE instance = :i;
SELECT count(*) FROM workflow.incidents WHERE instance = :i;

SELECT workflow.retry('x');
SELECT workflow.retry(NULL::text);
SELECT workflow.skip('9223372036854775807_1');

-- what the outside said when it failed can be looked at while the incident stands
SELECT workflow.start('incidents: nap', '{"until": "never"}') AS i \gset
SELECT workflow.skip(test.stands(:i));
SELECT workflow.fail(serial_number, 'E17', 'out of paper', '{"tray": 2}') FROM workflow.waiting WHERE instance = :i;
SELECT step, outcome, error->>'code' AS code, result->'callback_response' AS said FROM workflow.incidents WHERE instance = :i;

-- why it stood there is on record when it is mended
SELECT workflow.define('incidents: record', '{"steps": [{ "step": "a", "wait": true, "success": "$result.response.ok == true" }]}');
SELECT workflow.start('incidents: record') AS i \gset
SELECT serial_number AS sn FROM workflow.waiting WHERE instance = :i \gset
SELECT workflow.complete(:'sn', '{"ok": false}');
SELECT workflow.complete(:'sn', '{"ok": true}');
SELECT attempt, error->>'code' AS code, error->>'message' AS message FROM workflow.attempts WHERE serial_number = :'sn';

-- what the outside says again is late; a person who may administer the process mends it
CREATE ROLE incidents_service;
GRANT USAGE ON SCHEMA workflow TO incidents_service;
SELECT workflow.grant_process('incidents: record', 'incidents_service', 'complete');
SELECT workflow.start('incidents: record') AS i \gset
SELECT serial_number AS sn FROM workflow.waiting WHERE instance = :i \gset
SET ROLE incidents_service;
SELECT workflow.complete(:'sn', '{"ok": false}');
SELECT workflow.complete(:'sn', '{"ok": true}');
SELECT accepted, error_code FROM workflow.complete_many(json_build_array(json_build_object('serial_number', :'sn', 'data', '{"ok": true}'::json)));
RESET ROLE;
SELECT step, outcome FROM workflow.incidents WHERE instance = :i;
SELECT role, data FROM workflow.late_callbacks WHERE serial_number = :'sn';
SELECT workflow.complete(:'sn', '{"ok": true}');
SELECT outcome FROM workflow.history WHERE instance = :i;
SELECT workflow.revoke_process('incidents: record', 'incidents_service', 'complete');
REVOKE USAGE ON SCHEMA workflow FROM incidents_service;
DROP ROLE incidents_service;

-- handlers see the error of what they handle
SELECT workflow.define('incidents: seen', '{"steps": [
    { "step": "a", "wait": true, "catch": [ { "on": "E1", "next": "b" } ] },
    { "step": "b", "set": { "seen": "${$error}", "caught": "${$caught.error.code}" }, "next": "c" },
    { "step": "c", "set": { "still": "${$error.code}" } }]}');
SELECT workflow.start('incidents: seen') AS i \gset
SELECT workflow.fail(serial_number, 'E1', 'no') FROM workflow.waiting WHERE instance = :i;
SELECT data FROM workflow.instances WHERE instance = :i;

-- what can be done during a retry pause, when it is no incident yet
CREATE FUNCTION incidents_try(data jsonb) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    IF NOT data ? 'mended' THEN RAISE serialization_failure; END IF;
    RETURN data->'mended';
END $$;
SELECT workflow.define('incidents: pause ' || n, format('{"steps": [
    {"step": "try", "sql": "SELECT incidents_try(visit.data) AS mended", %s "retry": {"max": 1000, "delay": "%s", "on": ["40001"]}, "catch": [{"on": "CANCELLED", "next": "stand"}]},
    {"step": "stand", "wait": true}]}', CASE WHEN n = 1 THEN '"wait": true,' END, CASE WHEN n = 2 THEN '100 ms' ELSE '1 hour' END)::json)
FROM generate_series(1, 3) n;
SELECT workflow.start('incidents: pause 1') AS i1, workflow.start('incidents: pause 2') AS i2,
    workflow.start('incidents: pause 3') AS i3, workflow.start('incidents: pause 3') AS i4 \gset
CALL test.until($$SELECT count(*) = 4 FROM workflow.visits WHERE process LIKE 'incidents: pause%' AND attempt > 0$$);
SELECT workflow.complete(serial_number, '{"by": "hand"}') FROM workflow.visits WHERE instance = :i1;
SELECT workflow.set_data(:i2, '{"mended": 1}');
SELECT workflow.cancel_visit(serial_number) FROM workflow.visits WHERE instance = :i3;
SELECT workflow.move(test.sn(:i4), 'stand') IS NOT NULL AS moved;
CALL test.until($$SELECT count(*) = 4 FROM workflow.visits WHERE process LIKE 'incidents: pause%' AND state = 'waiting'$$);
SELECT h.process, h.outcome, h.result->'response' AS response, v.step, v.state
FROM workflow.history h JOIN workflow.visits v USING (instance) WHERE h.process LIKE 'incidents: pause%' ORDER BY instance;
SELECT count(workflow.cancel(instance)) FROM workflow.visits WHERE process LIKE 'incidents: pause%';
