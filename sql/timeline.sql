-- The story of an instance.

SELECT workflow.define('timeline: order', '{
  "steps": [
    { "step": "pay", "wait": true, "timeout": "2 days", "catch": [ { "on": "NO_MONEY", "next": "ask" } ] },
    { "step": "pack", "wait": { "until": "${$.until}" } },
    { "step": "ship", "wait": true, "end": true },
    { "step": "ask", "wait": true, "next": "pay" } ]}');
-- without what differs from run to run
CREATE FUNCTION pg_temp.story(instance bigint) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(line,
               '\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?([+-][0-9:]+| [A-Z]+)', 'TIME', 'g'),
               '\d+_\d+', 'N', 'g'), '( *\+ )?\d+ ms|( *\+ )?\d\.\d s', 'SPAN', 'g'), 'instance \d+', 'instance I')
    FROM (SELECT regexp_replace(line, '(of|by) ' || current_user, '\1 ME') AS line FROM workflow.timeline(instance) line) line $$;

SELECT workflow.start('timeline: order', '{"until": "never"}', 'A-1') AS i \gset
SELECT pg_temp.story(:i);
SELECT test.waits(:i) AS first \gset
SELECT workflow.fail(:'first', 'NO_MONEY', 'poor');
SELECT workflow.complete(test.waits(:i));
SELECT workflow.heartbeat(test.waits(:i), '{"percent": 50}');
SELECT pg_temp.story(:i);
SELECT workflow.complete(test.waits(:i));
SELECT workflow.complete(:'first');
SELECT pg_temp.story(:i);
SELECT workflow.move(test.waits(:i), 'ship') IS NOT NULL AS moved;
SELECT workflow.suspend(:i);
SELECT workflow.complete(test.waits(:i));
SELECT pg_temp.story(:i);
SELECT workflow.cancel(:i);
SELECT pg_temp.story(:i);
SELECT workflow.start('timeline: order', '{"until": "2999-01-01"}') AS i \gset
SELECT workflow.complete(test.waits(:i));
SELECT pg_temp.story(:i);
SELECT workflow.cancel(:i, 'of no use');
SELECT pg_temp.story(:i);

-- a line for each event, whatever others write
SELECT workflow.start('timeline: order', '{}', E'A-2\n   + 1 s  paid') AS i \gset
SELECT workflow.fail(test.waits(:i), E'X\r\nY', E'no\n\tway\x1b[2J\x7f é');
SELECT pg_temp.story(:i);

-- a heartbeat, a cancel that is waited for, an incident that somebody mends
SELECT workflow.define('timeline: watched', '{
  "steps": [
    { "step": "watch", "wait": true, "heartbeat": "10 minutes", "ignore_cancel": true },
    { "step": "file", "wait": true, "success": "$result.response.ok == true" } ]}');
SELECT workflow.start('timeline: watched') AS i \gset
SELECT pg_temp.story(:i);
SELECT workflow.cancel(:i, 'enough');
SELECT pg_temp.story(:i);
SELECT workflow.start('timeline: watched') AS i \gset
SELECT workflow.complete(test.waits(:i));
SELECT workflow.complete(test.waits(:i), '{"ok": false}');
SELECT pg_temp.story(:i);
-- its record, as it is made when an incident is mended
INSERT INTO workflow_data.attempt_stray (instance, visit, process_id, attempt, started_at, ended_at, stored_at, error)
    SELECT v.instance, v.visit, i.process_id, v.attempt, v.waiting_since, clock_timestamp(), clock_timestamp(), v.error
    FROM workflow_data.visit v JOIN workflow_data.instance i USING (instance) WHERE v.instance = :i;
SELECT workflow.skip(serial_number, '"by hand"') FROM workflow.incidents WHERE instance = :i;
SELECT line FROM pg_temp.story(:i) line WHERE line ~ 'file.*(SUCCESS|incident)' GROUP BY line ORDER BY min(line COLLATE "C");
SELECT workflow.fail(serial_number, 'LATE', 'too late', '{"n": 1}') FROM workflow.history WHERE instance = :i AND step = 'file';
SELECT line FROM pg_temp.story(:i) line WHERE line ~ 'too late';

-- of the same moment: what is inside before what is around it, the failure before the interruption that it caused, the call first
SELECT workflow.define('timeline: inside', '{
  "timeout": "1 day", "catch": [ { "on": "BROKEN", "next": "repair" }, { "after": "1 hour", "interrupt": false, "next": "remind" } ],
  "steps": [
    { "step": "both", "next": ["box", "pay"] },
    { "step": "box", "timeout": "1 hour", "steps": [
        { "step": "watch", "wait": true, "catch": [ { "on": "CANCELLED", "next": "unwatch" } ], "end": true },
        { "step": "unwatch", "set": { "watched": false }, "ignore_cancel": true, "end": true } ],
      "catch": [ { "after": "1 hour", "next": "late" } ], "end": true },
    { "step": "late", "end": true },
    { "step": "pay", "wait": true, "catch": [ { "on": "BAD", "next": "give up" } ], "end": true },
    { "step": "give up", "end": { "error": "BROKEN" } },
    { "step": "repair", "wait": true, "end": true },
    { "step": "remind", "end": true } ]}');
SELECT workflow.start('timeline: inside') AS i \gset
SELECT pg_temp.story(:i);
SELECT workflow.fail(serial_number, 'BAD') FROM workflow.waiting WHERE instance = :i AND step = 'pay';
SELECT pg_temp.story(:i);
SELECT workflow.start('timeline: inside') AS i \gset
SELECT workflow.fail(serial_number, 'BROKEN') FROM workflow.waiting WHERE instance = :i AND step = 'pay';
SELECT pg_temp.story(:i);
SELECT workflow.start('timeline: inside') AS i \gset
SELECT workflow.cancel_visit(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'watch';
SELECT pg_temp.story(:i);
SELECT workflow.cancel(:i);
SELECT pg_temp.story(:i);
SELECT workflow.define('timeline: first', '{
  "steps": [
    { "step": "ask", "steps": [
        { "step": "ask both", "next": ["ask north", "ask south"] },
        { "step": "ask north", "wait": true, "end": "scope" },
        { "step": "ask south", "wait": true, "next": "thank" },
        { "step": "thank", "end": "scope" } ] },
    { "step": "book", "wait": true } ]}');
SELECT workflow.start('timeline: first') AS i \gset
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'ask south';
SELECT pg_temp.story(:i);

-- time passes
BEGIN;
SELECT workflow.start('timeline: order') AS i \gset
UPDATE workflow_data.instance SET started_at = started_at - '3 days 4 hours'::interval WHERE instance = :i;
UPDATE workflow_data.visit SET entered_at = entered_at - '2 hours 5 minutes 10 seconds'::interval, waiting_since = waiting_since - '65 minutes 30 seconds'::interval WHERE instance = :i;
SELECT left(line, 14), substring(line, ', for .* so far') FROM workflow.timeline(:i) line OFFSET 1;
ROLLBACK;

-- where the tokens of handlers that run beside came from
SELECT workflow.define('timeline: beside', '{"steps": [
  {"step": "s", "catch": [{"escalation": "dear", "interrupt": false, "next": "warn"}], "steps": [
    {"step": "a", "wait": true, "catch": [{"message": "timeline: note", "key": "k 1", "interrupt": false, "next": ["b", "c"]}, {"condition": "$.x == 1", "interrupt": false, "next": "c"}]},
    {"step": "b", "wait": true, "end": true},
    {"step": "c", "send": {"escalation": "dear"}, "end": true}]},
  {"step": "end", "end": true}, {"step": "warn", "next": "warned"}, {"step": "warned", "end": true}]}');
SELECT workflow.start('timeline: beside') AS i \gset
SELECT workflow.send_message('timeline: note', 'k 1'), workflow.set_data(:i, '{"x": 1}');
SELECT regexp_replace(substring(line, '\S+ \(\d+_\d+\): entered.*'), '\d+_\d+', 'N', 'g') AS line FROM workflow.timeline(:i) line WHERE line LIKE '%: entered%';
SELECT workflow.cancel(:i);
-- who has the work of a topic, or had it
SELECT workflow.define('timeline: topic', '{"steps": [{"step": "do", "wait": {"topic": "timeline: topic"}, "retry": {"max": 3, "delay": "1 hour"}}]}');
SELECT workflow.start('timeline: topic') AS i \gset
PREPARE standing AS SELECT regexp_replace(regexp_replace(line, '^.*\): |, for .*$', '', 'g'), '\d{4}-[^)]*?(?= on\)|\))', 'T') AS line FROM workflow.timeline($1) line WHERE line LIKE '%waits%';
EXECUTE standing(:i);
SELECT serial_number AS sn, lock_token AS token FROM workflow.fetch('timeline: topic', worker => 'ada') \gset
EXECUTE standing(:i);
UPDATE workflow_data.work SET free_at = now() - interval '1 s' WHERE instance = :i;
EXECUTE standing(:i);
SELECT workflow.fail(:'sn', 'BUSY', 'come later', lock_token => :'token');
EXECUTE standing(:i);
SELECT regexp_replace(line, '^.*\): ', '') AS line FROM workflow.timeline(:i) line WHERE line LIKE '%attempt%';
SELECT workflow.cancel(:i);
DEALLOCATE standing;
SELECT workflow.timeline(NULL);
SELECT workflow.timeline(9223372036854775807);
CREATE ROLE timeline_nobody;
GRANT USAGE ON SCHEMA workflow TO timeline_nobody;
SELECT workflow.start('timeline: order') AS i \gset
SET ROLE timeline_nobody;
\set VERBOSITY sqlstate
SELECT workflow.timeline(:i);
\set VERBOSITY default
RESET ROLE;
SELECT workflow.cancel(:i);
DROP OWNED BY timeline_nobody;
DROP ROLE timeline_nobody;
