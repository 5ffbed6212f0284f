-- Handlers of clocks: catch entries that begin while a visit lives, and end it or not
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS workflow;
RESET client_min_messages;
CREATE PROCEDURE wait_until_there_is(sql text) LANGUAGE plpgsql AS $$
DECLARE
    found boolean;
BEGIN
    FOR i IN 1..2000 LOOP
        EXECUTE 'SELECT EXISTS (' || sql || ')' INTO found;
        COMMIT;
        IF found THEN RETURN; END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
    RAISE 'there is none: %', sql;
END $$;

-- a reminder first, which leaves the wait alone; then the end of patience
SELECT workflow.define('handlers', $$
{ "steps": [
    { "step": "approve", "wait": true,
      "catch": [ { "after": "50 ms", "interrupt": false, "save": { "reminded": "${$serial_number}" }, "next": "remind" },
                 { "after": "${$.patience}", "save": { "patience": "gone" }, "next": "escalate" } ],
      "next": "done" },
    { "step": "remind", "set": { "reminder_of": "${$caught.step}" }, "end": true },
    { "step": "escalate", "set": { "escalated": "${$caught.error.code}" }, "next": "done" },
    { "step": "done", "end": true } ] }
$$);
SELECT workflow.start('handlers', '{"patience": "150 ms"}') AS impatient \gset
SELECT workflow.start('handlers', '{"patience": "1 day"}') AS patient \gset
CALL wait_until_there_is(format('SELECT FROM workflow.instances WHERE instance = %s AND status = ''completed''', :impatient));
CALL wait_until_there_is(format('SELECT FROM workflow.history WHERE instance = %s AND step = ''remind''', :patient));
SELECT step, outcome, result->'error'->>'code' AS code FROM workflow.history WHERE instance = :impatient ORDER BY ended_at, step;
SELECT data->>'reminded' LIKE :'impatient' || '\_%' AS reminded, data - 'reminded' AS data FROM workflow.instances WHERE instance = :impatient;
-- the reminder's token has gone its way, the wait is as it was
SELECT step, state, deadline IS NULL AS no_deadline FROM workflow.visits WHERE instance = :patient;
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :patient;
SELECT step, outcome FROM workflow.history WHERE instance = :patient ORDER BY entered_at, ended_at, step;
SELECT status FROM workflow.instances WHERE instance = :patient;

-- a time that has passed begins at once; what cannot be worked out is an incident
SELECT workflow.define('handlers_until', $$
{ "steps": [
    { "step": "w", "wait": true, "catch": [ { "until": "${$.at}", "next": "late" } ] , "end": true },
    { "step": "late", "end": true } ] }
$$);
SELECT workflow.start('handlers_until', '{"at": "2001-01-01 00:00"}') AS past \gset
SELECT workflow.start('handlers_until', '{"at": "soon"}') AS bad \gset
CALL wait_until_there_is(format('SELECT FROM workflow.instances WHERE instance = %s AND status = ''completed''', :past));
SELECT step, outcome FROM workflow.history WHERE instance = :past ORDER BY entered_at, ended_at;
SELECT step, state FROM workflow.visits WHERE instance = :bad;
SELECT error->>'code' AS code, error->>'message' AS message FROM workflow.incidents WHERE instance = :bad;
SELECT workflow.cancel(:bad);

-- faults of handlers
SELECT workflow.define('handlers_bad', $$
{ "steps": [
    { "step": "w", "wait": true,
      "catch": [ { "on": "*", "after": "1 s", "next": "x" },
                 { "on": "FAILED", "interrupt": false, "next": "x" },
                 { "after": "1 s", "until": "2030-01-01", "next": "x" },
                 { "after": "-1 s", "next": "x" },
                 { "message": "m", "next": "x" },
                 { "next": "x" } ] },
    { "step": "x", "end": true } ] }
$$);

-- a handler that aborts the instance cancels what else lives in it
SELECT workflow.define('handlers_abort', $$
{ "steps": [
    { "step": "w", "wait": true, "catch": [ { "after": "20 ms", "interrupt": false, "next": "stop" } ], "end": true },
    { "step": "stop", "end": { "abort": "enough" } } ] }
$$);
SELECT workflow.start('handlers_abort') AS stopped \gset
CALL wait_until_there_is(format('SELECT FROM workflow.instances WHERE instance = %s AND status = ''aborted''', :stopped));
SELECT status, error->>'code' AS code, error->>'message' AS message FROM workflow.instances WHERE instance = :stopped;
SELECT step, outcome FROM workflow.history WHERE instance = :stopped ORDER BY entered_at;
DROP PROCEDURE wait_until_there_is(text);

-- times before 2000 are over, like any other
SELECT workflow.define('handlers: long ago', '{
  "steps": [
    { "step": "until", "wait": { "until": "${$.until}" } },
    { "step": "stand", "wait": true, "timeout": "1 hour", "catch": [ { "until": "1999-06-01 00:00+00", "next": "caught" }, { "on": "TIMED_OUT", "next": "late" } ] },
    { "step": "caught", "wait": true, "timeout": "1 hour", "catch": [ { "on": "TIMED_OUT", "next": "late" } ] },
    { "step": "late", "end": true } ]}');
SELECT workflow.start('handlers: long ago', '{"until": "2000-01-01 00:00+00"}') AS i \gset
SELECT workflow.start('handlers: long ago', '{"until": "1999-12-31"}') AS j \gset
DO $$ BEGIN
    FOR n IN 1 .. 6000 LOOP
        PERFORM pg_sleep(0.01);
        EXIT WHEN (SELECT count(*) FROM workflow.visits WHERE process = 'handlers: long ago' AND step = 'caught') = 2;
        COMMIT;
    END LOOP;
END $$;
SELECT step, state FROM workflow.visits WHERE instance IN (:i, :j);
SELECT workflow.extend(serial_number, '-100 years') < now() AS over FROM workflow.visits WHERE instance = :i;
CALL workflow.wait_for(:i, '60 s');
SELECT workflow.cancel(:j);
