-- Handlers by callbacks, and those that repeat; what they and their steps see of the event.


-- a callback begins a handler, as often as it comes
SELECT workflow.define('handlers_events: beside', '{"steps": [
  {"step": "a", "wait": {"after": "1 day"}, "catch": [{"callback": true, "interrupt": false, "save": {"last": "${$event.data}", "by": "${$event.role == $caught.event.role}"}, "next": "b"}]},
  {"step": "end", "end": true},
  {"step": "b", "set": {"n": "${$.n + 1 ?? 1}", "kind": "${$caught.event.kind}", "step": "${$caught.step}"}, "end": true}]}');
SELECT workflow.start('handlers_events: beside') AS i \gset
SELECT workflow.complete(test.sn(:i), '1'), workflow.complete(test.sn(:i), '{"x": 2}'), test.ended(:i), test.at(:i);
-- what has failed is no event for it
SELECT test.try(format('SELECT workflow.fail(%L, %L)', test.sn(:i), 'NO')), test.at(:i);
-- while the instance is suspended it is kept, all of them, in their order
SELECT workflow.suspend(:i), workflow.complete(test.sn(:i), '3'), workflow.complete(test.sn(:i), '4'), test.ended(:i);
SELECT workflow.resume(:i);
CALL test.until(format('SELECT data ->> ''n'' = ''4'' FROM workflow.instances WHERE instance = %s', :i));
SELECT test.ended(:i), test.at(:i);
-- one that interrupts takes one callback
SELECT workflow.define('handlers_events: instead', '{"steps": [
  {"step": "s", "catch": [{"callback": true, "save": {"was": "${$result.status}", "data": "${$event.data}"}, "next": "b"}], "steps": [{"step": "a", "wait": {"after": "1 day"}}]},
  {"step": "end", "end": true},
  {"step": "b", "set": {"caught": "${$caught.step} ${$caught.event.kind} ${$caught.event.data} ${$caught.error.code}"}}]}');
SELECT workflow.start('handlers_events: instead') AS i \gset
SELECT serial_number AS sn FROM workflow.visits WHERE instance = :i AND step = 's' \gset
SELECT test.try(format('SELECT workflow.complete(%L)', serial_number)) FROM workflow.visits WHERE instance = :i AND step = 'a';
SELECT workflow.complete(:'sn', '7'), test.ended(:i), test.went(:i);
SELECT workflow.complete(:'sn', '8');
SELECT replace(regexp_replace(t, '.*after [0-9.]+ m?s', ''), current_user, 'ME') AS story FROM workflow.timeline(:i) t WHERE t LIKE '%INTERRUPTED%' OR t LIKE '%interrupted%';
-- kept while suspended, it interrupts when the instance is resumed
SELECT workflow.start('handlers_events: instead') AS i \gset
SELECT serial_number AS sn FROM workflow.visits WHERE instance = :i AND step = 's' \gset
SELECT workflow.suspend(:i), workflow.complete(:'sn', '7'), test.at(:i);
SELECT workflow.resume(:i);
CALL test.until(format('SELECT status <> ''active'' FROM workflow.instances WHERE instance = %s', :i));
SELECT test.ended(:i);

-- a handler that repeats, so many times, beside the visit
SELECT workflow.define('handlers_events: every', '{"data": {"n": 0, "every": "30 ms"}, "steps": [
  {"step": "a", "wait": true, "catch": [{"every": "${$.every}", "times": 3, "interrupt": false, "save": {"n": "${$.n + 1}", "kind": "${$event.kind}"}, "next": "b"}]},
  {"step": "end", "end": true},
  {"step": "b", "set": {"caught": "${$caught.event.kind}"}, "end": true}]}');
SELECT workflow.start('handlers_events: every') AS i \gset
CALL test.until(format('SELECT next_timer IS NULL FROM workflow_data.visit WHERE instance = %s', :i));
SELECT (data ->> 'n')::int BETWEEN 1 AND 3 AS n, data ->> 'kind' AS kind, data ->> 'caught' AS caught FROM workflow.instances WHERE instance = :i;
SELECT workflow.complete(test.sn(:i)), test.at(:i);
-- beats that were missed are one
SELECT workflow.start('handlers_events: every', '{"every": "100 ms"}') AS i \gset
SELECT workflow.suspend(:i), pg_sleep(0.25);
SELECT workflow.resume(:i);
CALL test.until(format('SELECT next_timer IS NULL FROM workflow_data.visit WHERE instance = %s', :i));
SELECT (data ->> 'n')::int BETWEEN 1 AND 2 AS n FROM workflow.instances WHERE instance = :i;

-- the interval is worked out anew for each beat; what gives none fails the visit, as does one that is too short
SELECT workflow.start('handlers_events: every') AS i \gset
SELECT workflow.set_data(:i, '{"every": "soon"}');
CALL test.until(format('SELECT count(*) > 0 FROM workflow.incidents WHERE instance = %s', :i));
SELECT step, error ->> 'code' AS code, error ->> 'message' AS message FROM workflow.incidents WHERE instance = :i;
SELECT workflow.set_data(:i, '{"every": "1 ms"}'), workflow.retry(test.stands(:i));
SELECT step, error ->> 'code' AS code, error ->> 'message' AS message FROM workflow.incidents WHERE instance = :i;
SELECT workflow.set_data(:i, '{"every": "1 month"}'), workflow.retry(test.stands(:i));
SELECT test.at(:i), clock_times[2] - now() > interval '27 days' AS next, clock_times[3] - clock_times[2] BETWEEN interval '58 days' AND interval '63 days' AS last
FROM workflow_data.visit WHERE instance = :i;
-- an interval that goes back and forth never comes to now
SELECT workflow.define('handlers_events: astray', '{"data": {"every": "1 day"}, "steps": [
  {"step": "a", "wait": true, "catch": [{"every": "${$.every}", "interrupt": false, "next": "b"}], "next": "end"}, {"step": "b", "end": true}, {"step": "end"}]}');
SELECT workflow.start('handlers_events: astray') AS i \gset
SELECT workflow.set_data(:i, '{"every": "1 month -30 days -12 hours"}'), workflow.suspend(:i);
UPDATE workflow_data.visit SET next_handler = '2026-07-01', next_timer = '2026-07-01', clock_times[2] = '2026-07-01' WHERE instance = :i;
SELECT workflow.resume(:i);
CALL test.until(format('SELECT count(*) > 0 FROM workflow.incidents WHERE instance = %s', :i));
SELECT step, error ->> 'code' AS code, error ->> 'message' AS message FROM workflow.incidents WHERE instance = :i;

-- a handler that cannot begin with its visit fails that, whose action does not begin
SELECT workflow.define('handlers_events: faulty', '{"steps": [
  {"step": "a", "wait": {"message": "handlers_events"}, "catch": [{"condition": "$.x == 1", "interrupt": false, "save": {"y": "${$.nothere}"}, "next": "b"}]}, {"step": "b"}]}');
SELECT workflow.start('handlers_events: faulty', '{"x": 1}') AS i \gset
SELECT step, state, waits_for, error ->> 'message' AS message FROM workflow.visits WHERE instance = :i;

-- a join that stands as an incident while its last token comes goes on when it is tried again, with what it had
SELECT workflow.define('handlers_events: join', '{"steps": [
  {"step": "f", "next": ["a", "b"]}, {"step": "a", "next": "j"}, {"step": "b", "wait": true, "next": "j"},
  {"step": "j", "join": "all", "timeout": "50 ms", "catch": [{"message": "handlers_events: q", "interrupt": false, "next": "z"}], "wait": {"message": "handlers_events: m"}},
  {"step": "z", "end": true}]}');
SELECT workflow.start('handlers_events: join') AS i \gset
CALL test.until(format('SELECT count(*) > 0 FROM workflow.incidents WHERE instance = %s', :i));
SELECT workflow.complete(test.waits(:i));
SELECT workflow.retry(test.stands(:i));
SELECT kind, name, interrupt FROM workflow.subscriptions WHERE instance = :i ORDER BY 1, 2;

-- a callback for a handler does not end an incident, unless a person with the right says so
SELECT workflow.define('handlers_events: progress', '{"steps": [
  {"step": "a", "sql": "SELECT 1/0", "catch": [{"callback": true, "interrupt": false, "next": "b"}], "next": "c"}, {"step": "b", "end": true}, {"step": "c"}]}');
CREATE ROLE regress_progress;
GRANT USAGE ON SCHEMA workflow, test TO regress_progress;
SELECT workflow.grant_process('handlers_events: progress', 'regress_progress', 'complete');
SELECT workflow.start('handlers_events: progress') AS i \gset
CALL test.until(format('SELECT count(*) > 0 FROM workflow.incidents WHERE instance = %s', :i));
SELECT test.stands(:i) AS sn \gset
SET ROLE regress_progress;
SELECT workflow.complete(:'sn');
RESET ROLE;
SELECT workflow.complete(:'sn'), test.ended(:i);
SELECT workflow.revoke_process('handlers_events: progress', 'regress_progress', 'complete');
DROP OWNED BY regress_progress;
DROP ROLE regress_progress;

-- while it is suspended, a handler that interrupts is begun by one callback; later ones do not overtake what is kept
SELECT workflow.start('handlers_events: instead') AS i \gset
SELECT serial_number AS sn FROM workflow.visits WHERE instance = :i AND step = 's' \gset
SELECT workflow.suspend(:i), workflow.complete(:'sn', '7') AS first, workflow.complete(:'sn', '8') AS second;
SELECT workflow.resume(:i);
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :i));
SELECT test.ended(:i);
SELECT workflow.start('handlers_events: beside') AS i \gset
SELECT workflow.suspend(:i), workflow.complete(test.sn(:i), '1'), workflow.complete(test.sn(:i), '2');
BEGIN;
SELECT workflow.resume(:i), workflow.complete(test.sn(:i), '3');
COMMIT;
CALL test.until(format('SELECT data ->> ''n'' = ''3'' FROM workflow.instances WHERE instance = %s', :i));
SELECT test.ended(:i);

-- one escalation of two interrupts the sub-process that catches them; the other is told so
SELECT workflow.define('handlers_events: two', '{"steps": [
  {"step": "s", "catch": [{"escalation": "x", "save": {"got": "${$event.data}"}, "next": "h"}], "steps": [{"step": "f", "next": ["a", "b"]},
    {"step": "a", "send": {"escalation": "x", "data": 1}, "save": {"ra": "${$reply}"}, "end": true},
    {"step": "b", "send": {"escalation": "x", "data": 2}, "save": {"rb": "${$reply}"}, "end": true}]},
  {"step": "h", "wait": true}]}');
SELECT workflow.start('handlers_events: two') AS i \gset
SELECT test.ended(:i), test.at(:i);
SELECT count(workflow.cancel(instance)) > 0 AS cancelled FROM workflow.instances WHERE process LIKE 'handlers_events: %' AND ended_at IS NULL;
