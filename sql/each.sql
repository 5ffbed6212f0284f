-- A step that is done for each item of a list, as a session sees it.

CREATE FUNCTION pg_temp.done(instance bigint, item integer, data jsonb DEFAULT NULL) RETURNS boolean LANGUAGE sql AS
    'SELECT workflow.complete(serial_number, data) FROM workflow.waiting w WHERE w.instance = $1 AND w.item = $2 LIMIT 1';
CREATE FUNCTION pg_temp.failed(instance bigint, item integer, code text DEFAULT 'bad') RETURNS boolean LANGUAGE sql AS
    'SELECT workflow.fail(serial_number, code) FROM workflow.waiting w WHERE w.instance = $1 AND w.item = $2 LIMIT 1';
CREATE FUNCTION pg_temp.stuck(instance bigint, item integer) RETURNS text LANGUAGE sql AS
    $$SELECT serial_number FROM workflow.visits v WHERE v.instance = $1 AND v.item = $2 AND v.state = 'incident' LIMIT 1$$;
-- items that are there, with their states
CREATE FUNCTION pg_temp.at(instance bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(step || coalesce(' [' || item || ']', '') || ' ' || CASE state WHEN 'waiting' THEN waits_for ELSE state END, ', ' ORDER BY item NULLS FIRST, step)
    FROM workflow.visits v WHERE v.instance = $1 $$;
CREATE FUNCTION pg_temp.went(instance bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(step || coalesce(' [' || item || ']', '') || ' ' || outcome, ', ' ORDER BY item NULLS FIRST, step, outcome) FROM workflow.history h WHERE h.instance = $1 $$;
CREATE FUNCTION pg_temp.counts(instance bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(v.item_counts::text || ' rows ' || (SELECT count(*) FROM workflow_data.item i WHERE i.instance = v.instance AND i.visit = v.visit), ', ' ORDER BY v.visit)
    FROM workflow_data.visit v WHERE v.instance = $1 AND v.waits_for = 'each' $$;

-- all at once; each item is seen with its index; what they give is collected in their order
SELECT workflow.define('each: all', '{"steps": [
  {"step": "pick", "each": {"in": "$.lines", "collect": "picked"}, "wait": true, "save": {"last": "${$item.sku} ${$index}"}},
  {"step": "end", "end": true}]}');
SELECT workflow.start('each: all', '{"lines": [{"sku": "a"}, {"sku": "b"}, {"sku": "c"}]}') AS i \gset
SELECT pg_temp.at(:i), pg_temp.counts(:i);
SELECT step, item, waits_for FROM workflow.waiting WHERE instance = :i ORDER BY item;
SELECT pg_temp.done(:i, 2, '"third"'), pg_temp.done(:i, 0, '{"n": 1}'), pg_temp.at(:i);
SELECT data -> 'last' FROM workflow.instances WHERE instance = :i;
SELECT pg_temp.done(:i, 1), test.ended(:i), pg_temp.went(:i);
SELECT count(*) FROM workflow_data.item WHERE instance = :i;
-- a list of nothing goes on at once; a value is a list of one, and null is none; the elements of an array are the items
SELECT workflow.define('each: lists', '{"data": {"sum": 0}, "steps": [
  {"step": "e", "each": {"in": "$.list", "collect": "got"}, "local": {"was": "${$item ?? \"null\"}"}, "steps": [
    {"step": "add", "set": {"sum": "${$.sum + 1}"}}]}]}');
SELECT list, test.ended(workflow.start('each: lists', jsonb_build_object('list', list)))
FROM unnest('{"[]", "null", "5", "[1, 2]", "[[1], [2, 3]]", "[null, false]", "{\"a\": 1}"}'::jsonb[]) AS list;
SELECT workflow.define('each: path', '{"steps": [
  {"step": "e", "each": {"in": "$.orders[*].lines[*] ? (@.n > 1)", "collect": "got"}, "local": {"n": "${$item.n}", "at": "${$index}"}, "steps": [{"step": "nothing"}]}]}');
SELECT test.ended(workflow.start('each: path', '{"orders": [{"lines": [{"n": 1}, {"n": 2}]}, {"lines": [{"n": 3}]}]}'));
SELECT test.ended(workflow.start('each: path', '{"orders": []}'));
-- a list that is not there is no empty one
SELECT workflow.start('each: path', '{"order": []}') AS i \gset
SELECT step, outcome, error ->> 'code' AS code, error ->> 'message' AS message FROM workflow.incidents WHERE instance = :i;
SELECT workflow.set_data(:i, '{"orders": [{"lines": {"n": 7}}]}'), workflow.retry(test.stands(:i)), test.ended(:i);
SELECT workflow.define('each: either', '{"steps": [{"step": "e", "each": {"in": "$.a ?? $.b ?? null", "collect": "got"}, "local": {"x": "${$item}"}, "steps": [{"step": "nothing"}]}]}');
SELECT test.ended(workflow.start('each: either', data)) FROM unnest('{"{\"a\": [1]}", "{\"a\": [], \"b\": [2]}", "{}"}'::jsonb[]) AS data;
-- an empty list that is there is one, if nothing else is; what is not there is none
SELECT workflow.define('each: or', '{"steps": [{"step": "e", "each": "$.a ?? $.b", "set": {"x": "${$item}"}}]}');
SELECT test.ended(workflow.start('each: or', data)) FROM unnest('{"{\"a\": []}", "{\"a\": null}", "{\"b\": []}", "{\"b\": [1]}"}'::jsonb[]) AS data;
SELECT workflow.start('each: or') AS i \gset
SELECT error ->> 'message' AS message FROM workflow.incidents WHERE instance = :i;
SELECT workflow.cancel(:i);

-- an error that is thrown in the steps of an item, and that nobody catches, is the item's: the others go on
SELECT workflow.define('each: thrown', '{"steps": [{"step": "e", "each": {"in": "$.list", "parallel": 2, "collect": "got"}, "local": {"x": "${$item}"}, "steps": [
  {"step": "judge", "choose": [{"when": "$item == 2 && !exists($.mended)", "next": "fork"}, {"next": "set"}]}, {"step": "fork", "next": ["bad", "beside"]},
  {"step": "bad", "end": {"error": "BAD", "message": "not ${$item}"}}, {"step": "beside", "wait": true, "end": true}, {"step": "set", "set": {"x": "${$item * 10}"}, "end": true}]}]}');
SELECT workflow.start('each: thrown', '{"list": [1, 2, 3, 4]}') AS i \gset
SELECT step, item, outcome, error ->> 'code' AS code, error ->> 'message' AS message FROM workflow.incidents WHERE instance = :i;
SELECT step, outcome, result -> 'error' ->> 'message' AS message FROM workflow.history WHERE instance = :i AND item = 1 ORDER BY step;
SELECT pg_temp.at(:i), pg_temp.counts(:i);
SELECT workflow.set_data(:i, '{"mended": true}'), workflow.retry(test.stands(:i)), test.ended(:i);
-- caught in the item, by the step or further out, it is as ever
SELECT workflow.define('each: caught', '{"steps": [{"step": "e", "each": {"in": "$.list", "collect": "got"}, "steps": [
  {"step": "judge", "choose": [{"when": "$item == 2", "next": "bad"}, {"next": "wait"}]}, {"step": "bad", "end": {"error": "BAD"}}, {"step": "wait", "wait": true, "end": true}],
  "catch": [{"on": "BAD", "next": "caught"}], "end": true}, {"step": "caught", "set": {"why": "${$caught.item}"}}]}');
SELECT test.ended(workflow.start('each: caught', '{"list": [1, 2, 3]}'));
-- an instance is still ended by who asks for that
SELECT workflow.define('each: abort', '{"steps": [{"step": "e", "each": "$.list", "steps": [{"step": "bad", "end": {"abort": "enough"}}]}]}');
SELECT test.ended(workflow.start('each: abort', '{"list": [1, 2, 3]}'));

-- no more than so many are under way; incidents take no place
SELECT workflow.define('each: two', '{"steps": [{"step": "e", "each": {"in": "$.list", "parallel": 2, "collect": "got"}, "wait": true}, {"step": "end", "end": true}]}');
SELECT workflow.start('each: two', '{"list": [1, 2, 3, 4, 5]}') AS i \gset
SELECT pg_temp.at(:i), pg_temp.counts(:i);
SELECT pg_temp.done(:i, 1, '1'), pg_temp.at(:i), pg_temp.counts(:i);
SELECT pg_temp.failed(:i, 0), pg_temp.at(:i), pg_temp.counts(:i);
SELECT pg_temp.failed(:i, 2), pg_temp.failed(:i, 3), pg_temp.at(:i), pg_temp.counts(:i);
SELECT status FROM workflow.instances WHERE instance = :i;
-- one that is tried again begins at once
SELECT workflow.retry(pg_temp.stuck(:i, 0)), pg_temp.at(:i), pg_temp.counts(:i);
SELECT pg_temp.done(:i, 0, '"again"'), pg_temp.done(:i, 4, '4'), pg_temp.at(:i);
SELECT workflow.skip(pg_temp.stuck(:i, 2), '"skipped"'), workflow.cancel_visit(pg_temp.stuck(:i, 3), 'no'), test.ended(:i), pg_temp.went(:i);
-- but where order was asked for, the next one waits for the one that stands
SELECT workflow.define('each: one', '{"steps": [{"step": "e", "each": {"in": "$.list", "parallel": 1}, "wait": true, "save": {"n": "${$index}"}}]}');
SELECT workflow.start('each: one', '{"list": [1, 2, 3]}') AS i \gset
SELECT pg_temp.failed(:i, 0), pg_temp.at(:i), workflow.cancel_visit(pg_temp.stuck(:i, 0)), pg_temp.at(:i);
SELECT pg_temp.done(:i, 1), pg_temp.at(:i), pg_temp.done(:i, 2), test.ended(:i);
-- all of them were cancelled by hand: so is the step
SELECT workflow.start('each: one', '{"list": [1, 2]}') AS i \gset
SELECT workflow.cancel_visit(serial_number, 'not wanted') FROM workflow.waiting WHERE instance = :i;
SELECT workflow.cancel_visit(serial_number, 'neither') FROM workflow.waiting WHERE instance = :i;
SELECT status, regexp_replace(error ->> 'message', '[0-9]+_[0-9]+', 'N') FROM workflow.instances WHERE instance = :i;
SELECT pg_temp.went(:i);

-- until: the first that suffices, and the rest is cancelled
SELECT workflow.define('each: until', '{"steps": [
  {"step": "ask", "each": {"in": "$.who", "until": "$result.response.yes == true", "collect": "answers"}, "wait": true, "save": {"by": "${$item}"}},
  {"step": "end", "end": true}]}');
SELECT workflow.start('each: until', '{"who": ["ann", "bob", "cem", "dan"]}') AS i \gset
SELECT pg_temp.done(:i, 3, '{"yes": false}'), pg_temp.done(:i, 1, '{"yes": true}'), test.ended(:i), pg_temp.went(:i);
-- what a callback has ended already counts all the same
SELECT workflow.start('each: until', '{"who": ["ann", "bob", "cem"]}') AS i \gset
SELECT workflow.suspend(:i), pg_temp.done(:i, 0, '{"yes": true}'), pg_temp.done(:i, 1, '{"yes": false}');
SELECT workflow.resume(:i);
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :i));
SELECT test.ended(:i), pg_temp.went(:i);
-- over what is saved, too; what ends at the same moment comes too late
SELECT workflow.define('each: enough', '{"data": {"n": 0}, "steps": [
  {"step": "e", "each": {"in": "$.list", "until": "$.n == 3", "collect": "got"}, "wait": {"callback": true, "when": "$.n > 100"}, "save": {"n": "${$.n + 1}"}}]}');
SELECT workflow.start('each: enough', '{"list": [1, 2, 3, 4, 5]}') AS i \gset
SELECT test.ended(:i), pg_temp.went(:i);
-- one that cannot be judged is the fault of its item
SELECT workflow.define('each: unknown', '{"steps": [{"step": "e", "each": {"in": "$.list", "until": "$item > 1"}}]}');
SELECT workflow.start('each: unknown', '{"list": [1, "x", 3]}') AS i \gset
SELECT test.ended(:i), pg_temp.went(:i);
SELECT workflow.start('each: unknown', '{"list": [1, "x"]}') AS i \gset
SELECT item, error ->> 'code' AS code FROM workflow.visits WHERE instance = :i AND state = 'incident';
SELECT workflow.cancel(:i), pg_temp.went(:i);

-- a handler of the whole, or further out: the rest is cancelled, and $caught is the item
SELECT workflow.define('each: catch', '{"steps": [
  {"step": "e", "each": "$.list", "wait": true, "catch": [{"on": "bad", "next": "bad"}]}, {"step": "end", "end": true},
  {"step": "bad", "set": {"caught": "${$caught.step} ${$caught.error.code} ${$caught.item} ${$caught.index}"}, "end": true}]}');
SELECT workflow.start('each: catch', '{"list": [1, 2, 3]}') AS i \gset
SELECT pg_temp.failed(:i, 0, 'other'), pg_temp.at(:i), pg_temp.failed(:i, 1), test.ended(:i), pg_temp.went(:i);
-- a timeout of the whole; one of the process; events beside it
SELECT workflow.define('each: late', '{"steps": [
  {"step": "e", "each": "$.list", "wait": true, "timeout": "1 day", "catch": [{"on": "TIMED_OUT", "next": "late"}, {"message": "each: hurry", "interrupt": false, "next": "hurry"}, {"message": "each: stop", "next": "late"}]},
  {"step": "end", "end": true}, {"step": "late", "set": {"late": true}, "end": true}, {"step": "hurry", "set": {"hurry": true}, "end": true}]}');
SELECT workflow.start('each: late', '{"list": [1, 2]}') AS i \gset
SELECT pg_temp.done(:i, 0), workflow.extend(serial_number, '-2 days') < now() FROM workflow.visits WHERE instance = :i AND waits_for = 'each';
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :i));
SELECT test.ended(:i), pg_temp.went(:i);
SELECT workflow.start('each: late', '{"list": [1, 2]}') AS i \gset
SELECT workflow.send_message('each: hurry', instance => :i), workflow.send_message('each: stop', instance => :i);
SELECT test.ended(:i), pg_temp.went(:i);

-- an item may be a sub-process with fields of its own, in which others go through lists
SELECT workflow.define('each: nested', '{"data": {"count": 0}, "steps": [
  {"step": "order", "each": {"in": "$.orders", "collect": "orders"}, "local": {"id": "${$item.id}", "lines": []}, "next": "end", "steps": [
    {"step": "line", "each": {"in": "$item.lines", "collect": "lines", "parallel": 1}, "wait": true, "success": "$result.response.n > 0"},
    {"step": "count", "set": {"count": "${$.count + 1}", "at": "${$index}"}, "end": true}]},
  {"step": "end", "end": true}]}');
SELECT workflow.start('each: nested', '{"orders": [{"id": "x", "lines": [1, 2]}, {"id": "y", "lines": [3]}, {"id": "z", "lines": []}]}') AS i \gset
SELECT step, item, state, waits_for, count(*), count(scope) AS inside FROM workflow.visits WHERE instance = :i GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 4;
SELECT workflow.complete(serial_number, '{"n": 1}') FROM workflow.waiting w WHERE instance = :i AND item = 0 ORDER BY length(serial_number), serial_number LIMIT 1;
SELECT workflow.complete(serial_number, '{"n": 3}') FROM workflow.waiting w WHERE instance = :i AND item = 0;
SELECT workflow.complete(serial_number, '{"n": 0}') FROM workflow.waiting w WHERE instance = :i AND item = 1;
SELECT step, item, error ->> 'code' AS code FROM workflow.visits WHERE instance = :i AND state = 'incident';
SELECT workflow.complete(pg_temp.stuck(:i, 1), '{"n": 2}'), test.ended(:i);
SELECT pg_temp.went(:i);
-- incidents in items of items take no place of any
SELECT workflow.define('each: stuck', '{"steps": [
  {"step": "a", "each": {"in": "$.a", "parallel": 2}, "next": "end", "steps": [
    {"step": "fork", "next": ["b", "c"]},
    {"step": "b", "each": {"in": "$.b", "parallel": 2}, "wait": true, "end": true},
    {"step": "c", "wait": true, "end": true}]},
  {"step": "end", "end": true}]}');
SELECT workflow.start('each: stuck', '{"a": [1, 2, 3], "b": [1, 2, 3]}') AS i \gset
SELECT pg_temp.counts(:i);
SELECT workflow.fail(serial_number, 'bad') FROM workflow.waiting WHERE instance = :i AND step = 'b' ORDER BY length(serial_number), serial_number;
SELECT pg_temp.counts(:i);
SELECT workflow.fail(serial_number, 'bad') FROM (SELECT * FROM workflow.waiting WHERE instance = :i AND step = 'c' ORDER BY length(serial_number), serial_number LIMIT 2) w;
SELECT pg_temp.counts(:i);
SELECT count(workflow.retry(serial_number)) FROM workflow.incidents WHERE instance = :i;
SELECT pg_temp.counts(:i);
SELECT workflow.cancel(:i), test.ended(:i) ~ '^aborted';
SELECT count(*) FROM workflow_data.item WHERE instance = :i;

-- operators: an item is not moved, the whole may be; a suspended instance begins no item
SELECT workflow.start('each: two', '{"list": [1, 2, 3]}') AS i \gset
SELECT test.try(format('SELECT workflow.move(%L, ''end'')', serial_number)) FROM workflow.waiting WHERE instance = :i AND item = 0;
SELECT test.try(format('SELECT workflow.extend(%L, ''1 day'')', serial_number)) FROM workflow.waiting WHERE instance = :i AND item = 0;
SELECT test.try(format('SELECT workflow.complete(%L)', serial_number)), test.try(format('SELECT workflow.heartbeat(%L)', serial_number)) FROM workflow.visits WHERE instance = :i AND item IS NULL;
SELECT workflow.suspend(:i), workflow.cancel_visit(serial_number) FROM workflow.visits WHERE instance = :i AND item = 0;
SELECT pg_temp.at(:i), pg_temp.done(:i, 1, '"kept"');
SELECT workflow.resume(:i);
CALL test.until(format('SELECT count(*) = 1 FROM workflow.waiting WHERE instance = %s AND item = 2', :i));
SELECT pg_temp.at(:i), pg_temp.done(:i, 2, '"third"'), test.ended(:i);
SELECT workflow.start('each: two', '{"list": [1, 2, 3]}') AS i \gset
SELECT count(workflow.move(serial_number, 'end')) FROM workflow.visits WHERE instance = :i AND item IS NULL;
SELECT test.ended(:i), pg_temp.went(:i);
-- in another version: what was begun goes on, by the new names and numbers
SELECT workflow.define('each: versions', '{"steps": [{"step": "e", "each": {"in": "$.list", "parallel": 1}, "wait": true}]}');
SELECT workflow.start('each: versions', '{"list": [1, 2, 3]}') AS i \gset
SELECT workflow.start('each: versions', '{"list": [1, 2, 3]}') AS j \gset
SELECT workflow.define('each: versions', '{"steps": [{"step": "f", "each": {"in": "$.list", "parallel": 2, "collect": "got"}, "wait": true}]}');
SELECT workflow.define('each: versions', '{"steps": [{"step": "e", "wait": true}]}');
SELECT obstacle FROM workflow.migrate(:i, 2, '{"e": "f"}');
SELECT pg_temp.at(:i), pg_temp.done(:i, 0, '0'), pg_temp.at(:i);
SELECT pg_temp.done(:i, 1, '1'), pg_temp.done(:i, 2, '2'), test.ended(:i);
SELECT regexp_replace(obstacle, '[0-9]+_[0-9]+', 'N') AS obstacle FROM workflow.migrate(:j, 3) ORDER BY 1;
SELECT workflow.cancel(:j);

-- each with what else a step can do; SQL sees its item
CREATE TABLE each_log (what jsonb, n integer);
SELECT workflow.define('each: sql', '{"steps": [
  {"step": "e", "each": {"in": "$.list", "collect": "got"}, "sql": "INSERT INTO each_log VALUES (visit.item, visit.index) RETURNING n * 10 AS ten", "save_reply": {"seen": "${$index}"}}]}');
SELECT workflow.start('each: sql', '{"list": ["a", {"b": 1}, null]}') AS i \gset
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :i));
SELECT data -> 'got' AS got FROM workflow.instances WHERE instance = :i;
SELECT * FROM each_log ORDER BY n;
SELECT workflow.define('each: send', '{"steps": [
  {"step": "fork", "next": ["hear", "e"]},
  {"step": "hear", "each": {"in": "$.list", "collect": "heard"}, "wait": {"message": "each: heard", "key": "${$item}"}, "end": true},
  {"step": "e", "each": {"in": "$.list", "collect": "sent"}, "send": {"message": "each: heard", "key": "${$item}", "data": "${$index}", "ttl": "1 minute"}, "end": true}]}');
SELECT workflow.start('each: send', '{"list": [7, 8]}') AS i \gset
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :i));
SELECT data -> 'heard' AS heard, jsonb_array_length(data -> 'sent') AS sent FROM workflow.instances WHERE instance = :i;

-- conditions of items, and of the whole
SELECT workflow.define('each: conditions', '{"data": {"n": 0}, "steps": [{"step": "e", "each": {"in": "$.list", "collect": "got"}, "wait": {"condition": "$.n > $index"}, "save": {"m": "${$index}"}, "catch": [{"condition": "$.n == 100", "next": "stop"}], "end": true}, {"step": "stop", "end": true}]}');
SELECT workflow.start('each: conditions', '{"list": [1, 2, 3]}') AS i \gset
SELECT workflow.set_data(:i, '{"n": 2}');
SELECT pg_temp.at(:i), pg_temp.went(:i), workflow.set_data(:i, '{"n": 3}');
SELECT test.ended(:i);
SELECT workflow.start('each: conditions', '{"list": [1, 2, 3]}') AS i \gset
SELECT workflow.set_data(:i, '{"n": 1, "x": 1}');
SELECT pg_temp.at(:i), workflow.set_data(:i, '{"n": 100}');
SELECT test.ended(:i), pg_temp.went(:i);

-- a long list, in many transactions
SELECT workflow.define('each: long', '{"data": {"n": 0}, "steps": [{"step": "e", "each": {"in": "$.list", "collect": "got"}, "local": {"i": "${$index}"}, "steps": [{"step": "add", "set": {"n": "${$.n + 1}"}}]}]}');
SELECT workflow.start('each: long', jsonb_build_object('list', (SELECT jsonb_agg(n) FROM generate_series(1, 2500) n))) AS i \gset
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :i));
SELECT data -> 'n' AS n, jsonb_array_length(data -> 'got') AS got, data -> 'got' -> 2499 AS last FROM workflow.instances WHERE instance = :i;
SELECT count(*), count(DISTINCT item), max(item) FROM workflow.history WHERE instance = :i AND step = 'e' AND item IS NOT NULL;

-- items that change the same fields, each after the other in one move: whatever is there, and whatever takes its place
SELECT workflow.define('each: change', '{"steps": [{"step": "e", "each": "$.list", "set": {"m": "${$item}"}, "save": {"k": ["${$item}", "${$.m}"]}, "end": true}]}');
WITH v (v) AS (VALUES ('null'::jsonb), ('true'), ('false'), ('0'), ('17'), ('12345678'), ('1.5'), ('"ab"'), ('"cd"'), ('"abc"'), ('""'), ('{}'), ('[]'), ('{"x": 1}'), ('{"y": 2}'), ('{"y": "a"}'), ('[1, "a"]')),
    run AS (SELECT c.v AS last, jsonb_build_object('a', a.v, 'list', jsonb_build_array(a.v, b.v, a.v, c.v), 'm', b.v, 'z', '"end"'::jsonb) AS data FROM v a, v b, v c)
SELECT last, data, workflow.start('each: change', data) AS instance INTO TEMP changed FROM run;
SELECT count(*), count(*) FILTER (WHERE i.data = c.data || jsonb_build_object('m', last, 'k', jsonb_build_array(last, last))) AS right
FROM changed c JOIN workflow.instances i USING (instance);
-- PostgreSQL finds the same in it as it has built itself
SELECT count(*) FROM changed c JOIN workflow.instances i USING (instance) WHERE i.data::text::jsonb <> i.data OR i.data::text <> i.data::text::jsonb::text OR pg_column_size(i.data || '{}') <> pg_column_size(i.data::text::jsonb);

-- what is seen through the fields of a scope is not what was there before
SELECT workflow.define('each: seen', '{"data": {"n": 1}, "steps": [{"step": "f", "next": ["scope", "a"]},
  {"step": "scope", "local": {"x": 0}, "steps": [{"step": "w1"}, {"step": "w2"}, {"step": "w3"}, {"step": "w4", "set": {"x": "${$.n}"}}], "save": {"got": "${$result.response.x}"}, "end": true},
  {"step": "a", "set": {"n": 2}}, {"step": "b", "set": {"n": 3}}, {"step": "c", "set": {"n": 4}}, {"step": "d", "set": {"n": 5}, "end": true}]}');
SELECT workflow.start('each: seen') AS i \gset
SELECT status, data FROM workflow.instances WHERE instance = :i;

-- statements of items see the data as the items before have left them, large as these are
SELECT workflow.define('each: large', '{"data": {"n": 0}, "steps": [{"step": "e", "each": {"in": "$.list", "parallel": 1}, "sql": "SELECT (visit.data ->> ''n'')::int + 1 AS n", "save": {"n": "${$reply.row.n}"}, "end": true}]}');
SELECT workflow.start('each: large', jsonb_build_object('list', (SELECT jsonb_agg(n) FROM generate_series(1, 20) n),
    'more', (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 3000) n))) AS i \gset
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :i));
SELECT data -> 'n' AS n, length(data ->> 'more') AS more FROM workflow.instances WHERE instance = :i;

-- what is told of it: of a long list only what somebody may look for
SELECT workflow.define('each: told', '{"steps": [{"step": "e", "each": "$.list", "wait": true}]}');
SELECT workflow.start('each: told', jsonb_build_object('list', (SELECT jsonb_agg(n) FROM generate_series(1, 30) n))) AS i \gset
SELECT count(pg_temp.done(:i, n)) FROM generate_series(5, 20) n;
SELECT pg_temp.failed(:i, 21), pg_temp.failed(:i, 22), workflow.retry(pg_temp.stuck(:i, 22));
SELECT regexp_replace(regexp_replace(t, '([0-9.]+ (m?s|min))|' || :i || '_[0-9]+', 'N', 'g'), '^ *', '') AS line FROM workflow.timeline(:i) t OFFSET 2;
SELECT workflow.cancel(:i);
SELECT regexp_replace(regexp_replace(t, '([0-9.]+ (m?s|min))|' || :i || '_[0-9]+', 'N', 'g'), '^ *', '') AS line FROM workflow.timeline(:i) t OFFSET 2;

-- what is seen of it
SELECT count(*) FROM workflow_data.item i WHERE NOT EXISTS (SELECT FROM workflow_data.visit v WHERE v.instance = i.instance AND v.visit = i.visit);
SELECT * FROM workflow.verify();
