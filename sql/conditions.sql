-- Conditions: when they are judged, in which order they happen, and what becomes of one that cannot be judged.

-- which conditions are waited for; nobody else may look there
CREATE FUNCTION pg_temp.open(instance bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s %s%s', step, entry, CASE WHEN met THEN ' met' END), ', ' ORDER BY subscription)
    FROM workflow_data.subscription s WHERE s.instance = $1 $$;

-- it happens when data come to make it true
SELECT workflow.define('conditions: wait', '{"data": {"x": 0}, "steps": [
  {"step": "a", "wait": {"condition": "$.x > 5"}, "save": {"kind": "${$event.kind}", "data": "${$event.data}", "same": "${$result.event.at == $event.at}", "response": "${$result.response}"}}]}');
SELECT workflow.start('conditions: wait') AS i \gset
SELECT test.at(:i), pg_temp.open(:i);
SELECT waits_for, until, heartbeat_deadline FROM workflow.waiting WHERE instance = :i;
SELECT workflow.set_data(:i, '{"x": 5}'), test.at(:i);
SELECT workflow.set_data(:i, '{"x": 6}'), test.ended(:i), pg_temp.open(:i);
-- and at once, if they do already
SELECT test.ended(workflow.start('conditions: wait', '{"x": 7}'));
-- a callback is none of its business
SELECT test.try(format('SELECT workflow.complete(%L)', test.sn(workflow.start('conditions: wait'))));

-- what another branch leaves counts, not what it makes of the data on its way
SELECT workflow.define('conditions: rest', '{"data": {"x": 0}, "steps": [
  {"step": "fork", "next": ["a", "b"]},
  {"step": "a", "wait": {"condition": "$.x == 1"}, "next": "end"},
  {"step": "b", "wait": true, "save": {"x": "${$result.response.x}"}, "next": "c"},
  {"step": "c", "set": {"x": "${$.x + 1}"}, "next": "b"},
  {"step": "end", "end": "scope"}]}');
SELECT workflow.start('conditions: rest') AS i \gset
SELECT test.done(:i, 'b', '{"x": 1}'), test.at(:i);
SELECT test.done(:i, 'b', '{"x": 0}'), test.at(:i), test.ended(:i);

-- those that come to hold together happen in the order in which they were opened, each on what the one before has left
SELECT workflow.define('conditions: order', '{"data": {"x": 0, "seen": ""}, "steps": [
  {"step": "fork", "next": ["one", "two", "three"]},
  {"step": "one", "wait": {"condition": "$.x == 1"}, "save": {"seen": "${$.seen}1"}, "end": true},
  {"step": "two", "wait": {"condition": "$.x == 1"}, "save": {"seen": "${$.seen}2", "x": 2}, "end": true},
  {"step": "three", "wait": {"condition": "$.x == 1"}, "save": {"seen": "${$.seen}3"}, "end": true}]}');
SELECT workflow.start('conditions: order') AS i \gset
SELECT workflow.set_data(:i, '{"x": 1}'), test.ended(:i), test.at(:i);
SELECT workflow.set_data(:i, '{"x": 1}'), test.ended(:i), test.at(:i);

-- a handler begins when its condition comes to hold, and again after it has not
SELECT workflow.define('conditions: beside', '{"data": {"x": 0, "n": 0}, "steps": [
  {"step": "a", "wait": true, "catch": [
    {"condition": "$.x > 5", "interrupt": false, "save": {"n": "${$.n + 1}", "kind": "${$event.kind}"}, "next": "beside"},
    {"condition": "$.x > 100", "next": "instead"}]},
  {"step": "end", "end": true},
  {"step": "beside", "set": {"caught": "${$caught.step} ${$caught.event.kind}"}, "end": true},
  {"step": "instead", "set": {"instead": "${$caught.event.kind} ${$caught.error.message}"}}]}');
SELECT workflow.start('conditions: beside') AS i \gset
SELECT pg_temp.open(:i);
SELECT workflow.set_data(:i, '{"x": 6}'), test.ended(:i), pg_temp.open(:i);
SELECT workflow.set_data(:i, '{"x": 7}'), test.ended(:i);
SELECT workflow.set_data(:i, '{"x": 1}'), pg_temp.open(:i);
SELECT workflow.set_data(:i, '{"x": 8}'), test.ended(:i), pg_temp.open(:i);
SELECT workflow.set_data(:i, '{"x": 101}'), test.ended(:i), test.went(:i), pg_temp.open(:i);
-- one that holds when the step begins begins at once; if it interrupts, the action is not begun
SELECT workflow.start('conditions: beside', '{"x": 6}') AS i \gset
SELECT test.ended(:i), pg_temp.open(:i), test.at(:i);
SELECT workflow.define('conditions: begun', '{"steps": [
  {"step": "a", "sql": "SELECT 1 / 0", "catch": [{"condition": "$.stop == true", "next": "stopped"}, {"on": "22012", "next": "begun"}]},
  {"step": "begun", "set": {"begun": true}, "end": true}, {"step": "stopped", "end": true}]}');
SELECT workflow.start('conditions: begun', '{"stop": true}') AS i \gset
SELECT test.ended(:i), test.went(:i);
SELECT workflow.start('conditions: begun', '{"stop": false}') AS i \gset
CALL test.until(format('SELECT status <> ''active'' FROM workflow.instances WHERE instance = %s', :i));
SELECT test.ended(:i);

-- of the whole process
SELECT workflow.define('conditions: process', '{"catch": [{"condition": "$.stop == true", "next": "stopped"}], "steps": [
  {"step": "a", "wait": true}, {"step": "stopped", "set": {"stopped": "${$caught.event.kind}"}}]}');
SELECT workflow.start('conditions: process') AS i \gset
SELECT workflow.set_data(:i, '{"stop": true}'), test.ended(:i), test.went(:i);
SELECT test.ended(workflow.start('conditions: process', '{"stop": true}'));

-- fields of a sub-process are data to what is in it
SELECT workflow.define('conditions: local', '{"data": {"x": 0}, "steps": [
  {"step": "s", "local": {"x": 0}, "steps": [
    {"step": "fork", "next": ["a", "b"]},
    {"step": "a", "wait": {"condition": "$.x == 1"}, "next": "end"},
    {"step": "b", "wait": true, "save": {"x": 1}, "next": "end"},
    {"step": "end", "join": "all"}]}]}');
SELECT workflow.start('conditions: local') AS i \gset
SELECT workflow.set_data(:i, '{"x": 1}'), test.at(:i);
SELECT test.done(:i, 'b'), test.ended(:i);

-- one that cannot be judged fails its own visit, never the move; mended, it is judged anew
SELECT workflow.define('conditions: fault', '{"data": {"x": 0}, "steps": [
  {"step": "fork", "next": ["a", "b"]},
  {"step": "a", "wait": {"condition": "exists($.y)"}, "end": true},
  {"step": "b", "wait": {"condition": "$.x > 5"}, "end": true}]}');
SELECT workflow.start('conditions: fault') AS i \gset
SELECT workflow.set_data(:i, '{"x": "text"}'), test.at(:i), pg_temp.open(:i);
SELECT step, error ->> 'code' AS code FROM workflow.incidents WHERE instance = :i;
SELECT workflow.set_data(:i, '{"x": 1}'), workflow.retry(test.stands(:i)), test.at(:i), pg_temp.open(:i);
SELECT workflow.set_data(:i, '{"x": 6, "y": 1}'), test.went(:i), test.ended(:i);
-- those of handlers, too: the visit is what fails
SELECT workflow.define('conditions: handler fault', '{"data": {"x": 0}, "steps": [
  {"step": "a", "wait": true, "catch": [{"condition": "$.x > 5", "next": "b"}, {"on": "predicate", "next": "c"}]},
  {"step": "b", "end": true}, {"step": "c", "set": {"c": "${$caught.error.code}"}}]}');
SELECT workflow.start('conditions: handler fault') AS i \gset
SELECT workflow.set_data(:i, '{"x": "text"}'), test.ended(:i);

-- nothing is judged in an instance that is suspended, until it is resumed
SELECT workflow.start('conditions: wait') AS i \gset
SELECT workflow.suspend(:i), workflow.set_data(:i, '{"x": 6}'), test.at(:i);
SELECT workflow.resume(:i), test.ended(:i);
SELECT workflow.start('conditions: wait') AS i \gset
SELECT workflow.suspend(:i), workflow.set_data(:i, '{"x": 6}'), workflow.set_data(:i, '{"x": 0}'), workflow.resume(:i), test.at(:i);

-- what was waited for goes with the visit
SELECT workflow.cancel_visit(test.sn(:i)), pg_temp.open(:i);
SELECT workflow.start('conditions: beside') AS i \gset
SELECT workflow.move(test.sn(:i), 'end') IS NULL AS ended, pg_temp.open(:i);
SELECT workflow.start('conditions: beside') AS i \gset
SELECT workflow.cancel(:i), pg_temp.open(:i);

-- two that make each other hold come to the step limit, however many transactions that takes
SELECT workflow.define('conditions: loop', '{"data": {"x": 0}, "steps": [
  {"step": "fork", "next": ["a", "b"]},
  {"step": "a", "wait": {"condition": "$.x == 1"}, "save": {"x": 0}, "next": "a"},
  {"step": "b", "wait": {"condition": "$.x == 0"}, "save": {"x": 1}, "next": "b"}]}');
SELECT workflow.start('conditions: loop') AS i \gset
CALL test.until(format('SELECT count(*) > 0 FROM workflow.incidents WHERE instance = %s', :i));
SELECT DISTINCT error ->> 'code' AS code, error ->> 'message' AS message FROM workflow.incidents WHERE instance = :i;
SELECT workflow.cancel(:i), workflow.cancel(:i);
SELECT status FROM workflow.instances WHERE instance = :i;

-- while nothing comes from outside that changes the data, nothing happens; what does counts from the beginning
SELECT workflow.define('conditions: outside', '{"data": {"x": 0, "n": 0}, "steps": [
  {"step": "a", "wait": {"condition": "$.x == 1"}, "save": {"x": 0, "n": "${$.n + 1}"}, "next": "a"}]}');
SELECT workflow.start('conditions: outside') AS i \gset
SELECT count(workflow.set_data(:i, '{"x": 1}')) FROM generate_series(1, 3);
SELECT data, (SELECT steps_without_wait FROM workflow_data.visit v WHERE v.instance = i.instance) FROM workflow.instances i WHERE instance = :i;

-- a change of what no condition reads costs no look at them, of what some do a look at these
SELECT workflow.define('conditions: fields', '{"data": {"a": 0, "b": {"c": 0}, "z": 0}, "steps": [
  {"step": "f", "next": ["a", "b", "odd", "missing", "list", "not", "deep"]},
  {"step": "a", "wait": {"condition": "$.a > 5 && $.a < 100"}, "end": true},
  {"step": "b", "wait": {"condition": "$.b.c == 7"}, "end": true},
  {"step": "odd", "wait": {"condition": "$.\"x $ y\" == \"$.a\""}, "end": true},
  {"step": "missing", "wait": {"condition": "exists($.e)"}, "end": true},
  {"step": "list", "wait": {"condition": "exists($.l[*] ? (@.n == 1 && $.m == 2))"}, "end": true},
  {"step": "not", "wait": {"condition": "!($.n == null)"}, "end": true},
  {"step": "deep", "steps": [{"step": "s", "local": {"d": 0}, "steps": [{"step": "t", "next": ["u", "v"]}, {"step": "u", "wait": {"condition": "$.d == 1"}, "end": true}, {"step": "v", "wait": true, "save": {"d": 1}, "end": true}]}]}]}');
SELECT workflow.start('conditions: fields', '{"n": null}') AS i \gset
CREATE FUNCTION pg_temp.rows_read(instance bigint, data jsonb) RETURNS TABLE (subscriptions bigint, visits bigint) LANGUAGE plpgsql AS $$
DECLARE
    before bigint[] = pg_temp.rows_read();
BEGIN
    PERFORM workflow.set_data(instance, data);
    RETURN QUERY SELECT now[1] - before[1], now[2] - before[2] FROM pg_temp.rows_read() now;
END $$;
CREATE FUNCTION pg_temp.rows_read() RETURNS bigint[] LANGUAGE sql AS $$
    SELECT array_agg(seq_tup_read + idx_tup_fetch ORDER BY relname) FROM pg_stat_xact_user_tables WHERE schemaname = 'workflow_data' AND relname IN ('subscription', 'visit') $$;
SELECT * FROM pg_temp.rows_read(:i, '{"z": 1, "y": {"a": 1}}');
SELECT visits FROM pg_temp.rows_read(:i, '{"a": 1}');
SELECT test.at(:i);
SELECT workflow.set_data(:i, '{"a": 6}'), test.at(:i);
SELECT workflow.set_data(:i, '{"b": {"c": 7, "d": 1}}'), test.at(:i);
SELECT workflow.set_data(:i, '{"x $ y": "$.a"}'), test.at(:i);
SELECT workflow.set_data(:i, '{"e": null}'), test.at(:i);
SELECT workflow.set_data(:i, '{"l": [{"n": 1}]}'), test.at(:i);
SELECT workflow.set_data(:i, '{"m": 2}'), test.at(:i);
SELECT workflow.set_data(:i, '{"n": 0}'), test.at(:i);
SELECT test.done(:i, 'v'), test.ended(:i);
-- those that read more than fields are judged at each change
SELECT workflow.define('conditions: all', '{"steps": [
  {"step": "f", "next": ["any", "size", "variable"]},
  {"step": "any", "wait": {"condition": "$.* == 17"}, "end": true},
  {"step": "size", "wait": {"condition": "exists($ ? (@.a == 1))"}, "end": true},
  {"step": "variable", "wait": {"condition": "$business_key == $.key"}, "end": true}]}');
SELECT workflow.start('conditions: all', business_key => 'conditions: k') AS i \gset
SELECT workflow.set_data(:i, '{"x": 1}'), test.at(:i);
SELECT workflow.set_data(:i, '{"a": 1}'), test.at(:i);
SELECT workflow.set_data(:i, '{"y": 17}'), test.at(:i);
SELECT workflow.set_data(:i, '{"key": "conditions: k"}'), test.ended(:i);
-- what has changed while the instance was suspended counts when it is resumed; what has come and gone in one move does not
SELECT workflow.define('conditions: while', '{"data": {"a": 0, "b": 0}, "steps": [
  {"step": "f", "next": ["w", "c"]}, {"step": "w", "wait": {"condition": "$.a == 1"}, "end": true},
  {"step": "c", "wait": true, "save": {"a": 1}, "next": "d"}, {"step": "d", "set": {"a": 0}, "next": "e"},
  {"step": "e", "wait": {"condition": "$.b == 1"}, "catch": [{"condition": "$.a == 2", "interrupt": false, "next": "g"}], "end": true}, {"step": "g", "set": {"a": 1}, "end": true}]}');
SELECT workflow.start('conditions: while') AS i \gset
SELECT test.done(:i, 'c'), test.at(:i);
SELECT workflow.suspend(:i), workflow.set_data(:i, '{"b": 1}'), test.at(:i);
SELECT workflow.resume(:i), test.at(:i);
SELECT workflow.start('conditions: while') AS i \gset
SELECT test.done(:i, 'c'), workflow.set_data(:i, '{"a": 2}'), test.went(:i);
