-- The outside is at work: heartbeat with progress, and more time for it.

SELECT workflow.define('heartbeat: bake', '{
  "steps": [
    { "step": "bake", "wait": true, "timeout": "2 hours", "heartbeat": "10 minutes" },
    { "step": "eat", "wait": true } ]}');

-- progress is what was last said of it
SELECT workflow.start('heartbeat: bake') AS i \gset
SELECT test.waits(:i) AS sn \gset
SELECT progress FROM workflow.waiting WHERE instance = :i;
SELECT workflow.heartbeat(:'sn');
SELECT workflow.heartbeat(:'sn', '{"percent": 10}');
SELECT workflow.heartbeat(:'sn');
SELECT progress FROM workflow.waiting WHERE instance = :i;
SELECT workflow.heartbeat(serial_number => :'sn', progress => '"nearly"');
SELECT progress FROM workflow.waiting WHERE instance = :i;
SELECT workflow.heartbeat(:'sn', jsonb_build_object('text', repeat('x', 65000)));
SELECT workflow.heartbeat(:'sn', jsonb_build_object('text', repeat('x', 66000)));
SELECT length(progress::text) FROM workflow.waiting WHERE instance = :i;
-- silence begins anew, and nothing else changes
BEGIN;
SELECT heartbeat_deadline AS before FROM workflow_data.visit WHERE instance = :i \gset
SELECT pg_sleep(0.01), workflow.heartbeat(:'sn');
SELECT heartbeat_deadline > :'before', heartbeat_deadline - clock_timestamp() BETWEEN '9 minutes' AND '10 minutes' AS anew, next_timer = heartbeat_deadline AS alarm
FROM workflow_data.visit WHERE instance = :i;
ROLLBACK;
SELECT heartbeat_deadline = :'before' AS as_before FROM workflow_data.visit WHERE instance = :i;
SELECT w.deadline = i.started_at + '2 hours' AS deadline, state FROM workflow.visits JOIN workflow.waiting w USING (serial_number), workflow.instances i
WHERE i.instance = :i AND w.instance = :i;
-- until when: the earliest of its clocks; silence does not count while it is suspended
SELECT heartbeat_deadline = until AS by_silence, until < deadline AS before_deadline FROM workflow.waiting WHERE instance = :i;
BEGIN;
SELECT workflow.suspend(:i);
SELECT heartbeat_deadline, until = deadline AS by_timeout FROM workflow.waiting WHERE instance = :i;
ROLLBACK;
SELECT workflow.define('heartbeat: rest', '{
  "steps": [
    { "step": "rest", "wait": { "after": "1 hour" }, "timeout": "2 hours" },
    { "step": "rest less", "wait": { "after": "2 hours" }, "timeout": "1 hour" },
    { "step": "for ever", "wait": true } ]}');
SELECT workflow.start('heartbeat: rest') AS r \gset
SELECT workflow.move(test.sn(:r), 'rest less') IS NOT NULL AS moved;
SELECT workflow.start('heartbeat: rest') AS s \gset
SELECT workflow.start('heartbeat: rest') AS t \gset
SELECT workflow.move(test.sn(:t), 'for ever') IS NOT NULL AS moved;
SELECT step, waits_for, until - since AS lasts, deadline - since AS deadline, heartbeat_deadline FROM workflow.waiting WHERE process = 'heartbeat: rest' ORDER BY 1;
SELECT workflow.cancel(i) FROM unnest(ARRAY[:r, :s, :t]) i;

-- more time
SELECT deadline AS before FROM workflow.waiting WHERE instance = :i \gset
SELECT workflow.extend(:'sn', '1 hour') - :'before' AS longer;
SELECT workflow.extend(serial_number => :'sn', by => '-30 minutes') - :'before' AS longer;
SELECT deadline - :'before' AS longer FROM workflow.waiting WHERE instance = :i;
SELECT workflow.extend(:'sn', '300000 years');
SELECT workflow.extend(:'sn', NULL);
SELECT deadline - :'before' AS longer FROM workflow.waiting WHERE instance = :i;

-- it is over
SELECT workflow.complete(:'sn');
SELECT workflow.heartbeat(:'sn', '{"percent": 99}');
SELECT workflow.extend(:'sn', '1 hour') IS NULL AS too_late;
SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = :'sn';
-- a step without clocks has none to move, but shows how far it is
SELECT test.waits(:i) AS sn \gset
SELECT workflow.heartbeat(:'sn', '[1]');
SELECT progress FROM workflow.waiting WHERE instance = :i;
\set VERBOSITY sqlstate
SELECT workflow.extend(:'sn', '1 hour');
\set VERBOSITY default
-- somebody stops it
SELECT workflow.cancel(:i);
SELECT workflow.heartbeat(:'sn');
-- an incident is no longer at work if it has called back already
SELECT workflow.define('heartbeat: doubt', '{
  "steps": [{ "step": "work", "wait": true, "timeout": "1 hour", "success": "$result.response.ok" }]}');
SELECT workflow.start('heartbeat: doubt') AS i \gset
SELECT test.waits(:i) AS sn \gset
SELECT workflow.complete(:'sn', '{"ok": false}');
SELECT workflow.heartbeat(:'sn', '{"percent": 99}'), workflow.extend(:'sn', '1 hour') IS NULL AS too_late, state FROM workflow.visits WHERE instance = :i;
SELECT workflow.retry(:'sn');
SELECT workflow.heartbeat(:'sn'), workflow.extend(:'sn', '1 hour') IS NULL AS too_late, state FROM workflow.visits WHERE instance = :i;
SELECT workflow.cancel(:i);

-- numbers that are none
SELECT workflow.heartbeat('5_');
SELECT workflow.heartbeat(NULL::text);
SELECT workflow.heartbeat('9223372036854775807_1');
SELECT workflow.heartbeat(531);
SELECT workflow.extend('x', '1 hour');
SELECT workflow.extend('9223372036854775807_1', '1 hour');
SELECT workflow.extend(531, '1 hour');

-- rights
CREATE ROLE heartbeat_nobody;
GRANT USAGE ON SCHEMA workflow TO heartbeat_nobody;
SELECT workflow.start('heartbeat: bake') AS i \gset
SELECT test.waits(:i) AS sn \gset
\set VERBOSITY sqlstate
SET ROLE heartbeat_nobody;
SELECT workflow.heartbeat(:'sn');
SELECT workflow.extend(:'sn', '1 hour');
\set VERBOSITY default
RESET ROLE;
SELECT workflow.grant_process('heartbeat: bake', 'heartbeat_nobody', 'complete');
SET ROLE heartbeat_nobody;
SELECT workflow.heartbeat(:'sn', '{"percent": 50}');
SELECT workflow.extend(:'sn', '1 hour') IS NOT NULL AS extended;
RESET ROLE;
SELECT progress FROM workflow.waiting WHERE instance = :i;
SELECT workflow.cancel(:i);
SELECT workflow.revoke_process('heartbeat: bake', 'heartbeat_nobody', 'complete');
DROP OWNED BY heartbeat_nobody;
DROP ROLE heartbeat_nobody;
