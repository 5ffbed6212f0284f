-- The first of several events: which are open, which one wins, and where the token goes then.

CREATE FUNCTION pg_temp.at(instance bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(step || ' ' || coalesce(waits_for, state), '; ' ORDER BY step) FROM workflow.visits v WHERE v.instance = $1 $$;
CREATE FUNCTION pg_temp.open(instance bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s %s', kind, entry), ', ' ORDER BY subscription) FROM workflow_data.subscription s WHERE s.instance = $1 $$;

SELECT workflow.define('first_of', '{"data": {"x": 0}, "steps": [
  {"step": "a", "save": {"step": "${$event.kind}", "both": "step"}, "first_of": [
    {"after": "1 hour", "next": "late"},
    {"callback": true, "save": {"brought": "${$result.response.v}", "both": "${$.both} ${$event.data.v}", "role": "${$event.role == $result.event.role}"}, "next": "done"},
    {"condition": "$.x == 1", "save": {"both": "${$.both} condition", "response": "${$result.response}"}, "next": ["done", "late"]},
    {"message": "first_of", "key": "${$.x}", "next": "done"},
    {"signal": "first_of", "next": "done"}]},
  {"step": "late", "set": {"late": true}, "end": true},
  {"step": "done", "set": {"done": "${$.done + 1 ?? 1}"}, "end": true}]}');
-- all that is waited for shows, the callback first
SELECT workflow.start('first_of') AS i \gset
SELECT pg_temp.at(:i), pg_temp.open(:i);
SELECT waits_for, until - since AS until FROM workflow.waiting WHERE instance = :i;
SELECT regexp_replace(regexp_replace(t, '^ *now  \S+ \S+ ', ''), ' until .*', '') AS story FROM workflow.timeline(:i) t WHERE t LIKE '%waits%';
SELECT workflow.complete(test.sn(:i), '{"v": 7}'), test.ended(:i), pg_temp.open(:i), test.went(:i);
SELECT regexp_replace(regexp_replace(t, '^ *\+ .*  a \S+ ', ''), 'after \S+ \S+', 'after') AS story FROM workflow.timeline(:i) t WHERE t ~ 'a .*SUCCESS';
-- too late
SELECT workflow.complete(serial_number) FROM workflow.history WHERE instance = :i AND step = 'a';
SELECT result #- '{event,at}' FROM workflow.history WHERE instance = :i AND step = 'a';
SELECT workflow.start('first_of') AS i \gset
SELECT workflow.set_data(:i, '{"x": 1}'), test.ended(:i), pg_temp.open(:i), test.went(:i);
SELECT result #- '{event,at}' FROM workflow.history WHERE instance = :i AND step = 'a';
-- one that holds already wins, before anything is waited for
SELECT test.ended(workflow.start('first_of', '{"x": 1}'));
-- failing is no event: a handler of the step, or an incident
SELECT workflow.start('first_of') AS i \gset
SELECT workflow.fail(test.sn(:i), 'NO'), pg_temp.at(:i), pg_temp.open(:i), test.ended(:i);
-- mended, everything is waited for anew
SELECT workflow.retry(test.stands(:i)), pg_temp.at(:i), pg_temp.open(:i);
SELECT workflow.fail(test.sn(:i), 'NO'), workflow.skip(test.stands(:i), '{"v": 8}'), test.ended(:i);

-- clocks strike in the order of their times
SELECT workflow.define('first_of: clocks', '{"steps": [
  {"step": "a", "first_of": [{"after": "1 hour", "next": "c"}, {"after": "20 ms", "save": {"kind": "${$event.kind}", "again": "${$result.event.kind}", "response": "${$result.response}"}, "next": "b"}, {"until": "2100-01-01", "next": "c"}]},
  {"step": "b", "set": {"b": true}, "end": true}, {"step": "c", "set": {"c": true}, "end": true}]}');
SELECT workflow.start('first_of: clocks') AS i \gset
CALL test.until(format('SELECT status <> ''active'' FROM workflow.instances WHERE instance = %s', :i));
SELECT test.ended(:i);

-- what is not open is not waited for, and takes nothing
SELECT workflow.define('first_of: when', '{"steps": [
  {"step": "a", "set": {"set": true}, "save": {"saved": "${$event.kind ?? \"nothing\"}"}, "first_of": [
    {"callback": true, "when": "$.callback == true", "next": "by callback"},
    {"after": "1 hour", "when": "$.clock == true", "next": "by clock"},
    {"condition": "$.x == 1", "when": "$.condition == true", "next": "by condition"},
    {"message": "first_of when", "when": "$.message == true", "next": "by message"}],
   "next": "by itself"},
  {"step": "by callback", "end": true}, {"step": "by clock", "end": true}, {"step": "by condition", "end": true}, {"step": "by message", "end": true},
  {"step": "by itself", "end": true}]}');
SELECT workflow.start('first_of: when') AS i \gset
SELECT test.ended(:i), test.went(:i);
SELECT result FROM workflow.history WHERE instance = :i AND step = 'a';
SELECT workflow.start('first_of: when', '{"clock": true, "message": true, "x": 1}') AS i \gset
SELECT pg_temp.at(:i), pg_temp.open(:i);
SELECT test.try(format('SELECT workflow.complete(%L)', test.sn(:i)));
SELECT accepted, error_code, error ~ 'does not wait for a callback' AS told FROM workflow.complete_many(json_build_array(json_build_object('serial_number', test.sn(:i))));
SELECT workflow.set_data(:i, '{"x": 1}'), pg_temp.at(:i);
SELECT workflow.start('first_of: when', '{"callback": true}') AS i \gset
SELECT pg_temp.at(:i), pg_temp.open(:i), workflow.complete(test.sn(:i)), test.went(:i);
SELECT workflow.start('first_of: when', '{"condition": true}') AS i \gset
SELECT pg_temp.at(:i), pg_temp.open(:i), workflow.set_data(:i, '{"x": 1}'), test.went(:i);

-- `success` is judged of the event that has won, before anything is saved
SELECT workflow.define('first_of: success', '{"data": {"x": 0}, "steps": [
  {"step": "a", "success": "$event.kind == \"condition\" || $result.response.ok == true", "save": {"saved": true},
   "first_of": [{"callback": true, "save": {"saved": "callback"}, "next": "b"}, {"condition": "$.x == 1", "next": "b"}],
   "catch": [{"on": "FAILED", "next": "c"}]},
  {"step": "b", "end": true}, {"step": "c", "set": {"failed": "${$caught.result.event.kind}"}}]}');
SELECT workflow.start('first_of: success') AS i \gset
SELECT workflow.complete(test.sn(:i), '{"ok": false}'), test.ended(:i);
SELECT workflow.start('first_of: success') AS i \gset
SELECT workflow.complete(test.sn(:i), '{"ok": true}'), test.ended(:i);
SELECT workflow.start('first_of: success') AS i \gset
SELECT workflow.set_data(:i, '{"x": 1}'), test.ended(:i);
-- nothing of what is saved stays if the last of it fails
SELECT workflow.define('first_of: save', '{"steps": [
  {"step": "a", "save": {"saved": true}, "first_of": [{"callback": true, "save": {"x": "${$result.response.x}"}, "next": "b"}, {"after": "1 day", "next": "b"}]},
  {"step": "b", "end": true}]}');
SELECT workflow.start('first_of: save') AS i \gset
SELECT workflow.complete(test.sn(:i), '{}'), test.ended(:i);

-- without a callback, a person cannot tell where to go on, and has `move`
SELECT workflow.define('first_of: no callback', '{"data": {"x": 0}, "steps": [
  {"step": "a", "first_of": [{"condition": "$.x > 0", "next": "b"}, {"after": "1 day", "next": "b"}]}, {"step": "b", "end": true}]}');
SELECT workflow.start('first_of: no callback', '{"x": "text"}') AS i \gset
SELECT test.try(format('SELECT workflow.skip(%L)', test.stands(:i))), test.try(format('SELECT workflow.complete(%L)', test.stands(:i)));
SELECT workflow.skip(test.stands(:i));
SELECT workflow.move(test.stands(:i), 'b') IS NOT NULL AS moved, test.ended(:i);
