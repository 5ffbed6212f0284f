-- Incidents: what nothing in the process handles stands there until somebody mends it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS workflow;
RESET client_min_messages;

SELECT workflow.define('incidents: nap', '{
  "steps": [
    { "step": "nap", "wait": { "until": "${$.until}" }, "save": { "response": "${$result.response}" } },
    { "step": "then", "wait": true, "save": true } ]}');
CREATE FUNCTION pg_temp.stands(instance bigint) RETURNS text LANGUAGE sql AS
    'SELECT serial_number FROM workflow.incidents n WHERE n.instance = $1';

-- a clock that cannot be read ends the visit, never the transaction
SELECT workflow.start('incidents: nap', '{"until": "tomorow"}') AS i \gset
SELECT step, outcome, error FROM workflow.incidents WHERE instance = :i;
SELECT n.since = i.started_at AS since_start, status FROM workflow.incidents n JOIN workflow.instances i USING (instance) WHERE instance = :i;
SELECT step, state, due_at, deadline FROM workflow.visits WHERE instance = :i;
SELECT count(*) FROM workflow.waiting WHERE instance = :i;
SELECT count(*) FROM workflow.history WHERE instance = :i;

-- mend the data, and again
SELECT workflow.retry(pg_temp.stands(:i));
SELECT outcome FROM workflow.incidents WHERE instance = :i;
SELECT workflow.set_data(:i, '{"until": "2999-01-01 00:00+00"}');
SELECT pg_temp.stands(:i) AS sn \gset
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
SELECT workflow.skip(pg_temp.stands(:i), '{"by": "hand"}');
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
SELECT workflow.skip(pg_temp.stands(:i));
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
