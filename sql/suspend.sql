-- Holding still and going on: one instance, all of a process; cancelling one visit.

SELECT workflow.define('suspend: loan', '{
  "steps": [
    { "step": "ask", "wait": true, "heartbeat": "10 minutes", "save": true,
      "catch": [ { "on": "CANCELLED", "next": "regret" } ] },
    { "step": "reckon", "set": { "reckoned": true } },
    { "step": "pay", "wait": true, "end": true },
    { "step": "regret", "wait": true } ]}');
SELECT workflow.define('suspend: nap', '{ "steps": [ { "step": "nap", "wait": { "after": "50 ms" } }, { "step": "wake", "wait": true } ]}');

-- one: it says so, and still shows what it waits for
SELECT workflow.start('suspend: loan') AS i \gset
SELECT workflow.suspend(:i);
SELECT workflow.suspend(:i);
SELECT status FROM workflow.instances WHERE instance = :i;
SELECT step, waits_for FROM workflow.waiting WHERE instance = :i;
-- a callback is accepted and kept, a second one is late
SELECT test.waits(:i) AS sn \gset
SELECT workflow.complete(:'sn', '{"sum": 100}');
SELECT workflow.complete(:'sn', '{"sum": 200}');
SELECT workflow.heartbeat(:'sn');
SELECT workflow.cancel_visit(:'sn');
SELECT i.status, i.data, v.step FROM workflow.visits v JOIN workflow.instances i USING (instance) WHERE instance = :i;
SELECT workflow.resume(instance => :i);
CALL test.arrive(:i, 'pay');
SELECT status, data FROM workflow.instances WHERE instance = :i;
SELECT data FROM workflow.late_callbacks WHERE serial_number = :'sn';
SELECT workflow.resume(:i);
-- a suspension that is rolled back never was
BEGIN;
SELECT workflow.suspend(:i);
ROLLBACK;
SELECT status FROM workflow.instances WHERE instance = :i;
-- one that was suspended can be cancelled
SELECT workflow.suspend(:i);
SELECT workflow.cancel(:i);
SELECT status FROM workflow.instances WHERE instance = :i;
SELECT workflow.suspend(:i);
SELECT workflow.resume(:i);

-- silence does not count while it is suspended
SELECT workflow.start('suspend: loan') AS i \gset
SELECT workflow.suspend(:i);
UPDATE workflow_data.visit SET heartbeat_deadline = now() - interval '1 hour' WHERE instance = :i;
SELECT workflow.resume(:i);
SELECT heartbeat_deadline > now() + interval '9 minutes' AS anew FROM workflow_data.visit WHERE instance = :i;
SELECT workflow.cancel(:i);

-- a clock that fell due meanwhile fires on resume, not before
BEGIN;
SELECT workflow.start('suspend: nap') AS i \gset
SELECT workflow.suspend(:i);
COMMIT;
SELECT pg_sleep(0.15) IS NOT NULL AS slept;
SELECT step FROM workflow.waiting WHERE instance = :i;
SELECT workflow.resume(:i);
CALL test.arrive(:i, 'wake');
SELECT workflow.cancel(:i);

-- all of a process
SELECT workflow.start('suspend: nap') AS other \gset
SELECT array_agg(workflow.start('suspend: loan')) AS started FROM generate_series(1, 2500) \gset
SELECT workflow.suspend((:'started'::bigint[])[7]);
SELECT workflow.suspend_process('suspend: loan');
SELECT status, count(*) FROM workflow.instances WHERE instance = ANY (:'started') GROUP BY status;
SELECT process, suspended FROM workflow.processes WHERE process LIKE 'suspend:%' ORDER BY process;
SELECT workflow.suspend_process('suspend: loan');
SELECT status FROM workflow.instances WHERE instance = :other;
-- what is started now rests before its first step, and takes a callback all the same
SELECT workflow.start('suspend: loan') AS i \gset
SELECT status, data FROM workflow.instances WHERE instance = :i;
SELECT step, state FROM workflow.visits WHERE instance = :i;
SELECT count(*) FROM workflow.waiting WHERE instance = :i;
CREATE TABLE suspend_loans (id int PRIMARY KEY, sn text, state text);
SELECT workflow.attach('suspend_loans', 'suspend: loan', serial_column => 'sn', status_column => 'state') IS NOT NULL AS attached;
INSERT INTO suspend_loans VALUES (1) RETURNING sn IS NOT NULL AS has_number;
SELECT instance AS attached, sn FROM workflow.instances i JOIN suspend_loans ON business_key = id::text WHERE process = 'suspend: loan' AND business_key = '1' \gset
SELECT status FROM workflow.instances WHERE instance = :attached;
SELECT workflow.resume_process(process => 'suspend: loan');
SELECT status, count(*) FROM workflow.instances WHERE instance = ANY (:'started') GROUP BY status;
CALL test.arrive(:i, 'ask');
CALL test.arrive(:attached, 'ask');
SELECT workflow.resume_process('suspend: loan');
SELECT workflow.start('suspend: loan') AS next \gset
SELECT status FROM workflow.instances WHERE instance = :next;
SELECT count(*) FILTER (WHERE workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'suspend:%' AND ended_at IS NULL
    AND instance NOT IN (:i, :attached);

-- one visit is cancelled: its handler goes on
SELECT workflow.cancel_visit(test.waits(:i), 'too dear');
SELECT h.step, h.outcome, h.result->'error'->>'message' AS message FROM workflow.history h WHERE instance = :i;
SELECT step FROM workflow.waiting WHERE instance = :i;
-- where there is none, the instance is at its end
SELECT test.waits(:i) AS sn \gset
SELECT workflow.cancel_visit(serial_number => :'sn');
SELECT status, error->>'message' = 'visit ' || :'sn' || ' was cancelled' AS said FROM workflow.instances WHERE instance = :i;
SELECT workflow.cancel_visit(:'sn');
-- of a suspended instance: the handler waits for the resume
SELECT workflow.suspend(:attached);
SELECT workflow.cancel_visit(test.waits(:attached));
SELECT step, state FROM workflow.visits WHERE instance = :attached;
SELECT workflow.resume(:attached);
CALL test.arrive(:attached, 'regret');
SELECT workflow.cancel(:attached);
DROP TABLE suspend_loans;

-- a suspended incident is not mended, but may be completed by hand
SELECT workflow.define('suspend: fail', '{ "steps": [ { "step": "nap", "wait": { "until": "${$.until}" }, "save": true }, { "step": "then", "wait": true } ]}');
SELECT workflow.start('suspend: fail', '{"until": "never"}') AS i \gset
SELECT serial_number AS sn FROM workflow.incidents WHERE instance = :i \gset
SELECT workflow.suspend(:i);
SELECT status FROM workflow.instances WHERE instance = :i;
\set VERBOSITY sqlstate
SELECT workflow.retry(:'sn');
SELECT workflow.skip(:'sn');
\set VERBOSITY default
SELECT workflow.resume(:i);
SELECT status FROM workflow.instances WHERE instance = :i;
SELECT workflow.suspend(:i);
SELECT workflow.complete(:'sn', '{"by": "hand"}');
SELECT workflow.resume(:i);
CALL test.arrive(:i, 'then');
SELECT status, data FROM workflow.instances WHERE instance = :i;
SELECT workflow.cancel(:i);

-- nothing there, no right
SELECT workflow.suspend(NULL);
SELECT workflow.suspend(9223372036854775807);
SELECT workflow.resume(9223372036854775807);
SELECT workflow.suspend_process('suspend: none');
SELECT workflow.resume_process(NULL);
SELECT workflow.cancel_visit('x');
SELECT workflow.cancel_visit(531);
CREATE ROLE suspend_nobody;
GRANT USAGE ON SCHEMA workflow TO suspend_nobody;
SELECT workflow.start('suspend: nap') AS i \gset
SELECT test.waits(:i) AS sn \gset
SELECT workflow.grant_process('suspend: nap', 'suspend_nobody', p) FROM unnest('{start, complete, view}'::text[]) p;
SET ROLE suspend_nobody;
\set VERBOSITY sqlstate
SELECT workflow.suspend(:i);
SELECT workflow.resume(:i);
SELECT workflow.suspend_process('suspend: nap');
SELECT workflow.resume_process('suspend: nap');
SELECT workflow.cancel_visit(:'sn');
RESET ROLE;
SELECT workflow.cancel(:i);
SELECT count(workflow.revoke_process('suspend: nap', 'suspend_nobody', p)) FROM unnest('{start, complete, view}'::text[]) p;
DROP OWNED BY suspend_nobody;
DROP ROLE suspend_nobody;
