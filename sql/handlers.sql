-- Handlers of clocks: catch entries that begin while a visit lives, and end it or not

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
CALL test.until(format('SELECT EXISTS (SELECT FROM workflow.instances WHERE instance = %s AND status = ''completed'')', :impatient));
CALL test.until(format('SELECT EXISTS (SELECT FROM workflow.history WHERE instance = %s AND step = ''remind'')', :patient));
SELECT step, outcome, result->'error'->>'code' AS code FROM workflow.history WHERE instance = :impatient ORDER BY step;
SELECT data->>'reminded' LIKE :'impatient' || '\_%' AS reminded, data - 'reminded' AS data FROM workflow.instances WHERE instance = :impatient;
-- the reminder's token has gone its way, the wait is as it was
SELECT step, state, deadline IS NULL AS no_deadline FROM workflow.visits WHERE instance = :patient;
SELECT until - since AS lasts_at_most, deadline FROM workflow.waiting WHERE instance = :patient;
SELECT timeline ~ 'waits for a callback, for [^,]+ so far, until [^,]+, when a handler ends it$' AS told FROM workflow.timeline(:patient) WHERE timeline ~ 'waits';
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
CALL test.until(format('SELECT EXISTS (SELECT FROM workflow.instances WHERE instance = %s AND status = ''completed'')', :past));
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
                 { "topic": "m", "next": "x" },
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
CALL test.until(format('SELECT EXISTS (SELECT FROM workflow.instances WHERE instance = %s AND status = ''aborted'')', :stopped));
SELECT status, error->>'code' AS code, error->>'message' AS message FROM workflow.instances WHERE instance = :stopped;
SELECT step, outcome FROM workflow.history WHERE instance = :stopped ORDER BY entered_at;
-- when they begin is settled at entry: data that change later do not lose them, nor make an incident of the wait
SELECT workflow.define('handlers_settled', $$
{ "steps": [
    { "step": "w", "wait": true,
      "catch": [ { "on": "FAILED", "next": "later" },
                 { "after": "${$.first}", "interrupt": false, "save": { "then": null }, "next": "later" },
                 { "after": "${$.then}", "next": "later" } ] , "end": true },
    { "step": "later", "set": { "caught": "${$caught.step}" }, "end": true } ] }
$$);
BEGIN;
SELECT workflow.start('handlers_settled', '{"first": "50 ms", "then": "60 ms"}') AS settled \gset
SELECT array_length(clock_times, 1) AS entries, clock_times[1] IS NULL AND clock_times[2] IS NULL AS none, clock_times[3] = next_handler AS first, clock_times[4] = next_interrupt AS then
FROM workflow_data.visit WHERE instance = :settled;
SELECT workflow.set_data(:settled, '{"first": "1 ms"}');
COMMIT;
CALL test.until(format('SELECT EXISTS (SELECT FROM workflow.instances WHERE instance = %s AND status <> ''active'')', :settled));
SELECT status, data FROM workflow.instances WHERE instance = :settled;
SELECT step, outcome FROM workflow.history WHERE instance = :settled ORDER BY entered_at;
SELECT workflow.start('handlers_settled', '{"first": "50 ms", "then": "1 day"}') AS settled \gset
CALL test.until(format('SELECT EXISTS (SELECT FROM workflow.history WHERE instance = %s AND step = ''later'')', :settled));
SELECT clock_times[3] IS NULL AS begun, clock_times[4] = next_handler AS next FROM workflow_data.visit WHERE instance = :settled;
SELECT workflow.cancel(:settled);

-- "now" is the time of the entry, not of each look
SELECT workflow.start('handlers_until', '{"at": "now"}') AS now \gset
CALL test.until(format('SELECT EXISTS (SELECT FROM workflow.instances WHERE instance = %s AND status = ''completed'')', :now));

-- they count anew when an incident is taken up again, as the timeout does
SELECT workflow.define('handlers_again', $$
{ "steps": [
    { "step": "w", "wait": { "callback": true, "when": "$.ready" }, "catch": [ { "after": "20 ms", "next": "late" } ] , "end": true },
    { "step": "late", "end": true } ] }
$$);
SELECT workflow.start('handlers_again', '{"ready": "?"}') AS again \gset
SELECT state, clock_times, next_handler, next_interrupt, next_timer FROM workflow_data.visit WHERE instance = :again;
SELECT pg_sleep(0.03);
SELECT workflow.set_data(:again, '{"ready": true}');
SELECT workflow.retry(serial_number) FROM workflow.incidents WHERE instance = :again;
CALL test.until(format('SELECT EXISTS (SELECT FROM workflow.instances WHERE instance = %s AND status = ''completed'')', :again));
SELECT step, outcome FROM workflow.history WHERE instance = :again ORDER BY entered_at;

-- an event and its handlers have their times in one list, each when it is known; suspended, they go on, and what fell due meanwhile is due
SELECT workflow.define('handlers_entries', $$
{ "steps": [
    { "step": "w", "catch": [ { "after": "1 h", "interrupt": false, "next": "beside" }, { "on": "FAILED", "next": "beside" } ],
      "wait": { "after": "${$.pause}", "when": "$.ready" }, "end": true },
    { "step": "beside", "end": true } ] }
$$);
SELECT workflow.start('handlers_entries', '{"pause": "2 h", "ready": true}') AS entries \gset
SELECT clock_times[1] = due_at AND due_at - entered_at = '2 h' AS event, clock_times[2] = next_handler AND next_handler - entered_at = '1 h' AS handler,
    clock_times[3] IS NULL AS outcome, array_length(clock_times, 1) AS entries, next_interrupt FROM workflow_data.visit WHERE instance = :entries;
SELECT workflow.cancel(:entries);
BEGIN;
SELECT workflow.start('handlers_entries', '{"pause": "50 ms", "ready": true}') AS entries \gset
SELECT workflow.suspend(:entries);
COMMIT;
SELECT pg_sleep(0.06);
SELECT clock_times[1] = due_at AS event, clock_times[2] = next_handler AS handler, suspended FROM workflow_data.visit WHERE instance = :entries;
SELECT workflow.resume(:entries);
CALL test.until(format('SELECT EXISTS (SELECT FROM workflow.instances WHERE instance = %s AND status = ''completed'')', :entries));
SELECT step, outcome, completed_by FROM workflow.history WHERE instance = :entries;

-- an incident has none; taken up again it has them anew
SELECT workflow.start('handlers_entries', '{"pause": "2 h", "ready": "?"}') AS entries \gset
SELECT state, clock_times FROM workflow_data.visit WHERE instance = :entries;
SELECT pg_sleep(0.01);
SELECT workflow.set_data(:entries, '{"ready": true}');
SELECT workflow.retry(serial_number) FROM workflow.incidents WHERE instance = :entries;
SELECT state, clock_times[1] = due_at AND due_at = waiting_since + '2 h' AS event,
    clock_times[2] = next_handler AND next_handler = waiting_since + '1 h' AND waiting_since > entered_at AS handler FROM workflow_data.visit WHERE instance = :entries;
SELECT workflow.cancel(:entries);

-- several that are due at one look begin in the order of their times, as far as the visit lived that long
SELECT workflow.define('handlers_order', $$
{ "data": { "patience": "1 day" },
  "steps": [
    { "step": "w", "wait": true, "timeout": "${$.patience}",
      "catch": [ { "after": "4 ms", "interrupt": false, "next": "too late" },
                 { "after": "3 ms", "next": "ended" },
                 { "after": "3 ms", "interrupt": false, "next": "second" },
                 { "after": "1 ms", "interrupt": false, "next": "first" },
                 { "on": "TIMED_OUT", "next": "timed out" } ] , "end": true },
    { "step": "first", "end": true }, { "step": "second", "end": true }, { "step": "ended", "end": true },
    { "step": "timed out", "end": true }, { "step": "too late", "end": true } ] }
$$);
BEGIN;
SELECT workflow.start('handlers_order') AS o \gset
SELECT workflow.start('handlers_order', '{"patience": "2 ms"}') AS p \gset
SELECT workflow.suspend(i) FROM unnest(ARRAY[:o, :p]) i;
COMMIT;
SELECT pg_sleep(0.02);
SELECT workflow.resume(i) FROM unnest(ARRAY[:o, :p]) i;
CALL workflow.wait_for(:o, '60 s');
CALL workflow.wait_for(:p, '60 s');
SELECT step, outcome FROM workflow.history WHERE instance = :o ORDER BY split_part(serial_number, '_', 2)::bigint;
SELECT step, outcome FROM workflow.history WHERE instance = :p ORDER BY split_part(serial_number, '_', 2)::bigint;

-- times before 2000 are over, like any other
SELECT workflow.define('handlers: long ago', '{
  "steps": [
    { "step": "until", "wait": { "until": "${$.until}" } },
    { "step": "stand", "wait": true, "timeout": "1 hour", "catch": [ { "until": "1999-06-01 00:00+00", "next": "caught" }, { "on": "TIMED_OUT", "next": "late" } ] },
    { "step": "caught", "wait": true, "timeout": "1 hour", "catch": [ { "on": "TIMED_OUT", "next": "late" } ] },
    { "step": "late", "end": true } ]}');
SELECT workflow.start('handlers: long ago', '{"until": "2000-01-01 00:00+00"}') AS i \gset
SELECT workflow.start('handlers: long ago', '{"until": "1999-12-31"}') AS j \gset
CALL test.until($$SELECT count(*) = 2 FROM workflow.visits WHERE process = 'handlers: long ago' AND step = 'caught'$$);
SELECT step, state FROM workflow.visits WHERE instance IN (:i, :j);
SELECT workflow.extend(serial_number, '-100 years') < now() AS over FROM workflow.visits WHERE instance = :i;
CALL workflow.wait_for(:i, '60 s');
SELECT workflow.cancel(:j);
