-- Handlers by callbacks, and those that repeat; what they and their steps see of the event.

CREATE FUNCTION pg_temp.at(instance bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(step || ' ' || coalesce(waits_for, state), ', ' ORDER BY step) FROM workflow.visits v WHERE v.instance = $1 $$;
CREATE FUNCTION pg_temp.ended(instance bigint) RETURNS text LANGUAGE sql AS
    'SELECT status || '' '' || data FROM workflow.instances i WHERE i.instance = $1';
CREATE FUNCTION pg_temp.went(instance bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(step || ' ' || outcome, ', ' ORDER BY step, outcome) FROM workflow.history h WHERE h.instance = $1 $$;

-- a callback begins a handler, as often as it comes
SELECT workflow.define('handlers_events: beside', '{"steps": [
  {"step": "a", "wait": {"after": "1 day"}, "catch": [{"callback": true, "interrupt": false, "save": {"last": "${$event.data}", "by": "${$event.role == $caught.event.role}"}, "next": "b"}]},
  {"step": "end", "end": true},
  {"step": "b", "set": {"n": "${$.n + 1 ?? 1}", "kind": "${$caught.event.kind}", "step": "${$caught.step}"}, "end": true}]}');
SELECT workflow.start('handlers_events: beside') AS i \gset
SELECT workflow.complete(test.sn(:i), '1'), workflow.complete(test.sn(:i), '{"x": 2}'), pg_temp.ended(:i), pg_temp.at(:i);
-- what has failed is no event for it
SELECT test.try(format('SELECT workflow.fail(%L, %L)', test.sn(:i), 'NO')), pg_temp.at(:i);
-- while the instance is suspended it is kept, all of them, in their order
SELECT workflow.suspend(:i), workflow.complete(test.sn(:i), '3'), workflow.complete(test.sn(:i), '4'), pg_temp.ended(:i);
SELECT workflow.resume(:i);
CALL test.until(format('SELECT data ->> ''n'' = ''4'' FROM workflow.instances WHERE instance = %s', :i));
SELECT pg_temp.ended(:i), pg_temp.at(:i);
-- one that interrupts takes one callback
SELECT workflow.define('handlers_events: instead', '{"steps": [
  {"step": "s", "catch": [{"callback": true, "save": {"was": "${$result.status}", "data": "${$event.data}"}, "next": "b"}], "steps": [{"step": "a", "wait": {"after": "1 day"}}]},
  {"step": "end", "end": true},
  {"step": "b", "set": {"caught": "${$caught.step} ${$caught.event.kind} ${$caught.event.data} ${$caught.error.code}"}}]}');
SELECT workflow.start('handlers_events: instead') AS i \gset
SELECT serial_number AS sn FROM workflow.visits WHERE instance = :i AND step = 's' \gset
SELECT test.try(format('SELECT workflow.complete(%L)', serial_number)) FROM workflow.visits WHERE instance = :i AND step = 'a';
SELECT workflow.complete(:'sn', '7'), pg_temp.ended(:i), pg_temp.went(:i);
SELECT workflow.complete(:'sn', '8');
SELECT regexp_replace(t, '.*after \S+ \S+ ', '') AS story FROM workflow.timeline(:i) t WHERE t LIKE '%INTERRUPTED%' OR t LIKE '%interrupted%';
-- kept while suspended, it interrupts when the instance is resumed
SELECT workflow.start('handlers_events: instead') AS i \gset
SELECT serial_number AS sn FROM workflow.visits WHERE instance = :i AND step = 's' \gset
SELECT workflow.suspend(:i), workflow.complete(:'sn', '7'), pg_temp.at(:i);
SELECT workflow.resume(:i);
CALL test.until(format('SELECT status <> ''active'' FROM workflow.instances WHERE instance = %s', :i));
SELECT pg_temp.ended(:i);

-- a handler that repeats, so many times, beside the visit
SELECT workflow.define('handlers_events: every', '{"data": {"n": 0, "every": "30 ms"}, "steps": [
  {"step": "a", "wait": true, "catch": [{"every": "${$.every}", "times": 3, "interrupt": false, "save": {"n": "${$.n + 1}", "kind": "${$event.kind}"}, "next": "b"}]},
  {"step": "end", "end": true},
  {"step": "b", "set": {"caught": "${$caught.event.kind}"}, "end": true}]}');
SELECT workflow.start('handlers_events: every') AS i \gset
CALL test.until(format('SELECT next_timer IS NULL FROM workflow_data.visit WHERE instance = %s', :i));
SELECT (data ->> 'n')::int BETWEEN 1 AND 3 AS n, data ->> 'kind' AS kind, data ->> 'caught' AS caught FROM workflow.instances WHERE instance = :i;
SELECT workflow.complete(test.sn(:i)), pg_temp.at(:i);
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
SELECT pg_temp.at(:i), clock_times[2] - now() > interval '27 days' AS next, clock_times[3] - clock_times[2] BETWEEN interval '58 days' AND interval '63 days' AS last
FROM workflow_data.visit WHERE instance = :i;
