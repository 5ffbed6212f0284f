-- Operators take tokens elsewhere, and mend by hand: one by one and in bulk.

SELECT workflow.define('move: order', '{
  "steps": [
    { "step": "pay", "wait": true, "catch": [ { "on": "*", "next": "ask" } ] },
    { "step": "pack", "wait": { "until": "${$.until}" }, "save": true, "success": "$result.response.ok != false",
      "catch": [ { "on": ["LOST", "CANCELLED"], "next": "ask" } ] },
    { "step": "ship", "wait": true, "end": true },
    { "step": "ask", "set": { "caught": "${$caught.error.code ?? null}" } },
    { "step": "answer", "wait": true, "end": true } ]}');

-- a waiting token: the handler of CANCELLED is not asked
SELECT workflow.start('move: order') AS i \gset
SELECT test.waits(:i) AS before \gset
SELECT workflow.move(:'before', 'ship') AS sn \gset
SELECT step, serial_number = :'sn' AS returned FROM workflow.waiting WHERE instance = :i;
SELECT step, outcome, result->'error' AS error FROM workflow.history WHERE instance = :i;
SELECT workflow.complete(:'before', '{"late": true}');
SELECT workflow.complete(:'sn');
SELECT status FROM workflow.instances WHERE instance = :i;
SELECT workflow.move(:'before', 'ship') IS NULL AND workflow.move(:'sn', 'ship') IS NULL AS ended;

-- an incident; through steps that need nobody; to the same step again
SELECT workflow.start('move: order', '{"until": "never"}') AS i \gset
SELECT workflow.complete(test.waits(:i));
SELECT status FROM workflow.instances WHERE instance = :i;
SELECT workflow.move(serial_number => test.stands(:i), step => 'ask') IS NOT NULL AS moved;
SELECT i.status, i.data, w.step FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE instance = :i;
SELECT test.waits(:i) AS before \gset
SELECT workflow.move(:'before', 'answer') AS sn \gset
SELECT :'sn' = test.waits(:i) AND :'sn' <> :'before' AS moved;
SELECT step, outcome FROM workflow.history WHERE instance = :i ORDER BY split_part(serial_number, '_', 2)::bigint;
-- nothing there, nowhere to go
\set VERBOSITY terse
SELECT workflow.move(test.waits(:i), 'shipp');
SELECT workflow.move(test.waits(:i), NULL);
SELECT workflow.move(test.waits(:i), '(process)');
SELECT workflow.move(NULL, 'ship');
SELECT workflow.move('9223372036854775807_1', 'ship');
SELECT workflow.move('anwser', 'ship');
SELECT workflow.move(531, 'ship');
\set VERBOSITY default
SELECT workflow.suspend(:i);
\set VERBOSITY sqlstate
SELECT workflow.move(test.sn(:i), 'ship');
\set VERBOSITY default
SELECT workflow.resume(:i);
BEGIN;
SELECT workflow.move(test.waits(:i), 'ship') IS NOT NULL AS moved;
ROLLBACK;
SELECT step FROM workflow.waiting WHERE instance = :i;
SELECT workflow.cancel(:i);

-- an incident completed by hand goes on as if it had been done, its predicate judging; its attempts stay on record
SELECT workflow.start('move: order', '{"until": "never"}') AS i \gset
SELECT workflow.move(test.waits(:i), 'pack') = test.stands(:i) AS stands;
SELECT test.stands(:i) AS sn \gset
SELECT workflow.complete(:'sn', '{"ok": false}');
SELECT serial_number = :'sn' AS same, outcome, error->>'code' AS code FROM workflow.incidents WHERE instance = :i;
SELECT workflow.complete(:'sn', '{"ok": true}');
SELECT i.status, i.data, w.step FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE instance = :i;
SELECT workflow.complete(:'sn');
SELECT workflow.cancel(:i);

-- failed by hand: into the handlers of the process, or standing as the same incident with another error
SELECT workflow.start('move: order', '{"until": "never"}') AS i \gset
SELECT workflow.move(test.waits(:i), 'pack') AS sn \gset
SELECT workflow.fail(:'sn', 'BROKEN', 'fell down');
SELECT serial_number = :'sn' AS same, outcome, error->>'code' AS code FROM workflow.incidents WHERE instance = :i;
SELECT count(*) FROM workflow.history WHERE serial_number = :'sn';
SELECT workflow.fail(:'sn', 'LOST');
SELECT i.status, i.data->>'caught' AS caught, w.step FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE instance = :i;
SELECT workflow.cancel(:i);
-- cancelled: likewise
SELECT workflow.start('move: order', '{"until": "never"}') AS i \gset
SELECT workflow.cancel_visit(workflow.move(test.waits(:i), 'pack'), 'of no use');
SELECT i.status, i.data->>'caught' AS caught, w.step FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE instance = :i;
SELECT workflow.cancel(:i);

-- one of several tokens, and one that is about to end: its end is known, but its request is under way
SELECT workflow.define('move: several', '{"steps": [
    { "step": "call", "wait": true, "catch": [ { "after": "0 s", "interrupt": false, "next": "wait" }, { "after": "0 s", "interrupt": false, "next": "wait" } ], "next": "other" },
    { "step": "wait", "wait": true, "end": true },
    { "step": "other", "wait": true, "end": true } ]}');
SELECT workflow.start('move: several') AS i \gset
CALL test.until($$SELECT count(*) = 3 FROM workflow.waiting WHERE process = 'move: several'$$);
SELECT serial_number AS last FROM workflow.waiting WHERE instance = :i ORDER BY split_part(serial_number, '_', 2)::bigint DESC LIMIT 1 \gset
SELECT workflow.move(:'last', 'other') AS sn \gset
SELECT step, serial_number = :'sn' AS moved FROM workflow.waiting WHERE instance = :i ORDER BY 1, 2;
SELECT step, outcome, serial_number = :'last' AS last FROM workflow.history WHERE instance = :i;
SELECT workflow.cancel(:i);
SELECT workflow.define('move: closed', '{"steps": [{"step": "sql", "sql": "SELECT 1", "wait": true}, {"step": "other", "wait": true}]}');
BEGIN;
SELECT workflow.start('move: closed') AS i \gset
SELECT workflow.complete(test.sn(:i));
\set VERBOSITY sqlstate
SELECT workflow.move(test.sn(:i), 'other');
\set VERBOSITY default
ROLLBACK;

-- in bulk
SELECT count(workflow.move(test.sn(workflow.start('move: order', jsonb_build_object('until', CASE n % 3 WHEN 0 THEN 'never' ELSE 'nowhere' END, 'n', n))), 'pack'))
FROM generate_series(1, 99) n;
SELECT count(*) FILTER (WHERE workflow.set_data(instance, '{"until": "2999-01-01 00:00+00"}')) FROM workflow.incidents
WHERE process = 'move: order' AND error->>'message' LIKE '%"never"%';
SELECT count(*) FILTER (WHERE workflow.retry(serial_number)) FROM workflow.incidents WHERE process = 'move: order' AND error->>'message' LIKE '%"never"%';
SELECT step, count(*) FROM workflow.waiting WHERE process = 'move: order' GROUP BY step;
SELECT count(*) FILTER (WHERE workflow.fail(serial_number, 'LOST')) FROM (SELECT * FROM workflow.incidents WHERE process = 'move: order' ORDER BY instance LIMIT 20) n;
SELECT count(*) FILTER (WHERE workflow.skip(serial_number, '{"by": "hand"}')) FROM (SELECT * FROM workflow.incidents WHERE process = 'move: order' ORDER BY instance LIMIT 20) n;
SELECT count(workflow.move(serial_number, 'answer')) FROM workflow.incidents WHERE process = 'move: order';
SELECT step, count(*) FROM workflow.waiting WHERE process = 'move: order' GROUP BY step ORDER BY step;
SELECT status, count(*) FROM workflow.instances WHERE process = 'move: order' AND ended_at IS NULL GROUP BY status;
-- who has been waiting longest, for what, until when
SELECT count(*) FROM (SELECT process, step, waits_for, since, until FROM workflow.waiting ORDER BY since LIMIT 10) w;
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process = 'move: order' AND ended_at IS NULL;

CREATE ROLE move_nobody;
GRANT USAGE ON SCHEMA workflow TO move_nobody;
SELECT workflow.start('move: order') AS i \gset
SELECT test.waits(:i) AS sn \gset
SELECT workflow.grant_process('move: order', 'move_nobody', p) FROM unnest('{start, complete, view}'::text[]) p;
SET ROLE move_nobody;
\set VERBOSITY sqlstate
SELECT workflow.move(:'sn', 'ship');
RESET ROLE;
SELECT workflow.cancel(:i);
SELECT count(workflow.revoke_process('move: order', 'move_nobody', p)) FROM unnest('{start, complete, view}'::text[]) p;
DROP OWNED BY move_nobody;
DROP ROLE move_nobody;
