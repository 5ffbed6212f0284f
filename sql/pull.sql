-- Workers that fetch: topics, locks, failures and retries, suspension, incidents, handlers, items, rights.

SELECT workflow.define('pull: resize', '{
  "steps": [
    { "step": "resize", "wait": { "topic": "pull: resize", "data": { "file": "${$.file}" } }, "save": { "size": "${$result.response.size}" },
      "retry": { "max": 2, "delay": ["1 ms", "1 hour"] }, "timeout": "2 hours",
      "catch": [ { "on": "BROKEN", "next": "broken" }, { "on": "TIMED_OUT", "next": "late" } ], "next": "done" },
    { "step": "broken", "set": { "size": -1 }, "next": "done" },
    { "step": "late", "set": { "size": -2 }, "next": "done" },
    { "step": "done", "set": { "done": true }, "end": true } ]}');
CREATE FUNCTION test.resize(file text) RETURNS bigint LANGUAGE sql AS $$SELECT workflow.start('pull: resize', jsonb_build_object('file', file))$$;
-- what was fetched, without its numbers
CREATE TABLE test.fetched (instance bigint, serial_number text, data jsonb, item jsonb, index integer, lock_token uuid);
CREATE PROCEDURE test.fetch(topic text, n integer DEFAULT 1, lock interval DEFAULT '5 minutes') LANGUAGE sql AS $$
    INSERT INTO test.fetched SELECT split_part(serial_number, '_', 1)::bigint, * FROM workflow.fetch(topic, n, lock, 'w1') $$;
CREATE FUNCTION test.fetch_one(topic text, turn integer) RETURNS TABLE (serial_number text, data jsonb, lock_token uuid) LANGUAGE sql VOLATILE AS $$
    SELECT serial_number, data, lock_token FROM workflow.fetch(topic) $$;
CREATE FUNCTION test.complete(instance bigint, response jsonb DEFAULT NULL) RETURNS boolean LANGUAGE sql AS $$
    SELECT workflow.complete(serial_number, response, lock_token) FROM test.fetched f WHERE f.instance = $1 $$;
CREATE FUNCTION test.lock_gone(instance bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE workflow_data.work w SET free_at = clock_timestamp() - interval '1 second' WHERE w.instance = $1 $$;

-- from the offer to the end
SELECT test.resize('a') AS a \gset
SELECT state, waits_for FROM workflow.visits WHERE instance = :a;
SELECT waits_for, name, worker, locked_until FROM workflow.waiting WHERE instance = :a;
SELECT topic, ready, locked, oldest IS NOT NULL AS oldest, paused FROM workflow.topics WHERE topic LIKE 'pull:%';
CALL test.fetch('pull: resize');
SELECT data, item, index, instance = :a AS is_a, lock_token IS NOT NULL AS token FROM test.fetched;
SELECT name, worker, locked_until > now() + interval '4 minutes' AS locked FROM workflow.waiting WHERE instance = :a;
SELECT topic, ready, locked, oldest, paused FROM workflow.topics WHERE topic LIKE 'pull:%';
SELECT count(*) FROM workflow.fetch('pull: resize');
SELECT serial_number AS sn, lock_token AS token FROM test.fetched \gset
-- not without the token, nor with another one
SELECT replace(test.try(format('SELECT workflow.complete(%L)', :'sn')), '55000', 'locked') AS complete,
       test.try(format('SELECT workflow.fail(%L)', :'sn')) AS fail, test.try(format('SELECT workflow.heartbeat(%L)', :'sn')) AS heartbeat,
       test.try(format('SELECT workflow.extend(%L, ''1 hour'')', :'sn')) AS extend, (SELECT deadline < now() + interval '2 hours' FROM workflow.visits WHERE instance = :a) AS same;
SELECT workflow.complete(:'sn', '{"size": 1}', gen_random_uuid()), workflow.fail(:'sn', lock_token => gen_random_uuid()),
       workflow.heartbeat(:'sn', NULL, gen_random_uuid()), workflow.extend(:'sn', '1 hour', gen_random_uuid()), workflow.release(:'sn', gen_random_uuid());
SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = :'sn';
SELECT workflow.heartbeat(:'sn', '"half"', :'token');
SELECT workflow.extend(:'sn', '1 hour', :'token') > now() + interval '59 minutes' AS extended;
-- never shorter
SELECT workflow.extend(:'sn', '1 minute', :'token') > now() + interval '59 minutes' AS extended;
SELECT progress, locked_until > now() + interval '59 minutes' AS extended FROM workflow.waiting WHERE instance = :a;
SELECT workflow.complete(:'sn', '{"size": 7}', :'token');
SELECT test.ended(:a), test.went(:a);
SELECT result -> 'event' ->> 'kind' AS kind, result -> 'event' ->> 'name' AS name, result -> 'response' AS response, completed_by = current_user AS by
FROM workflow.history WHERE instance = :a AND step = 'resize';
SELECT workflow.complete(:'sn', '{"size": 8}', :'token'), workflow.heartbeat(:'sn', NULL, :'token'), workflow.extend(:'sn', '1 hour', :'token'), workflow.release(:'sn', :'token');
SELECT data FROM workflow.late_callbacks WHERE serial_number = :'sn';
SELECT count(*) FROM workflow_data.work;
TRUNCATE test.fetched;

-- what is free can be completed without a token
SELECT test.resize('b') AS b \gset
SELECT workflow.complete(test.waits(:b), '{"size": 2}'), test.ended(:b);

-- a lock that has run out still counts, until somebody else has the work
SELECT test.resize('c') AS c, test.resize('d') AS d \gset
CALL test.fetch('pull: resize', 2);
SELECT test.lock_gone(i) FROM unnest(ARRAY[:c, :d]) i;
SELECT topic, ready, locked FROM workflow.topics WHERE topic LIKE 'pull:%';
SELECT test.complete(:c, '{"size": 3}'), test.ended(:c);
SELECT lock_token AS newer FROM workflow.fetch('pull: resize') \gset
SELECT test.complete(:d, '{"size": 4}'), workflow.heartbeat(serial_number, NULL, lock_token), workflow.release(serial_number, lock_token) FROM test.fetched WHERE instance = :d;
SELECT workflow.complete(test.waits(:d), '{"size": 5}', :'newer'), test.ended(:d);
TRUNCATE test.fetched;

-- in one transaction; a rollback gives it back
SELECT test.resize('e') AS e \gset
BEGIN;
SELECT data, workflow.complete(serial_number, '{"size": 6}', lock_token) FROM workflow.fetch('pull: resize');
ROLLBACK;
SELECT test.at(:e), (SELECT ready FROM workflow.topics WHERE topic = 'pull: resize');
BEGIN;
SELECT data, workflow.complete(serial_number, '{"size": 6}', lock_token) FROM workflow.fetch('pull: resize');
COMMIT;
SELECT test.ended(:e);

-- given back
SELECT test.resize('f') AS f \gset
CALL test.fetch('pull: resize');
SELECT workflow.release(serial_number, lock_token) FROM test.fetched;
SELECT ready, locked FROM workflow.topics WHERE topic = 'pull: resize';
SELECT worker, locked_until FROM workflow.waiting WHERE instance = :f;
SELECT test.complete(:f);
TRUNCATE test.fetched;

-- failures: as often as the step says, then the outcome is FAILED
CALL test.fetch('pull: resize');
SELECT workflow.fail(serial_number, 'BUSY', 'try later', lock_token => lock_token) FROM test.fetched;
SELECT error ->> 'code' AS code, error -> 'attempt' AS attempt, state FROM workflow.visits WHERE instance = :f;
SELECT test.complete(:f);
TRUNCATE test.fetched;
CALL test.until('SELECT ready = 1 FROM workflow.topics WHERE topic = ''pull: resize''');
CALL test.fetch('pull: resize');
SELECT workflow.fail(serial_number, 'BUSY', lock_token => lock_token) FROM test.fetched;
SELECT ready, locked, paused FROM workflow.topics WHERE topic = 'pull: resize';
SELECT free_at - clock_timestamp() > interval '59 minutes' AS after_an_hour FROM workflow_data.work WHERE instance = :f;
SELECT test.lock_gone(:f);
TRUNCATE test.fetched;
CALL test.fetch('pull: resize');
SELECT workflow.fail(serial_number, 'BUSY', 'no more', '{"why": "full"}', lock_token => lock_token) FROM test.fetched;
SELECT step, outcome, error ->> 'code' AS code, error -> 'attempt' AS attempt, result -> 'response' AS response FROM workflow.incidents WHERE instance = :f;
SELECT attempt, error ->> 'code' AS code, incident FROM workflow.attempts WHERE serial_number = test.stands(:f) ORDER BY attempt;
-- nobody fetches what is an incident; a retry offers it anew
SELECT count(*) FROM workflow.fetch('pull: resize');
SELECT test.complete(:f);
SELECT workflow.retry(test.stands(:f));
TRUNCATE test.fetched;
CALL test.fetch('pull: resize');
SELECT test.complete(:f, '{"size": 9}'), test.ended(:f);
SELECT attempts FROM workflow.history WHERE instance = :f AND step = 'resize';
TRUNCATE test.fetched;
-- a code that is caught is not tried again, nor if the worker says so; a success after a failure is on record, too
SELECT test.resize('g') AS g, test.resize('h') AS h, test.resize('i') AS i \gset
CALL test.fetch('pull: resize', 10);
SELECT workflow.fail(serial_number, 'BROKEN', lock_token => lock_token), test.ended(:g) FROM test.fetched WHERE instance = :g;
SELECT workflow.fail(serial_number, 'BUSY', retry => false, lock_token => lock_token), test.stands(:h) = serial_number AS incident FROM test.fetched WHERE instance = :h;
SELECT workflow.fail(serial_number, 'BUSY', lock_token => lock_token) FROM test.fetched WHERE instance = :i;
SELECT test.lock_gone(:i);
DELETE FROM test.fetched WHERE instance = :i;
CALL test.fetch('pull: resize', 10);
SELECT test.complete(:i, '{"size": 1}'), test.ended(:i);
SELECT a.attempt, a.error ->> 'code' AS code FROM workflow.attempts a JOIN workflow.history h USING (serial_number) WHERE h.instance = :i ORDER BY 1;
SELECT workflow.skip(test.stands(:h), '{"size": 0}'), test.ended(:h);
TRUNCATE test.fetched;
-- of which retry.on says nothing: not tried again
SELECT workflow.define('pull: on', '{ "steps": [ { "step": "do", "wait": { "topic": "pull: on" }, "retry": { "max": 9, "delay": "0 s", "on": ["5xx", "connect", "40001"] } } ]}');
SELECT workflow.start('pull: on') AS i \gset
CALL test.fetch('pull: on');
SELECT workflow.fail(serial_number, '40001', lock_token => lock_token), test.at(:i) FROM test.fetched;
TRUNCATE test.fetched;
CALL test.fetch('pull: on');
SELECT workflow.fail(serial_number, 'DISK', lock_token => lock_token) FROM test.fetched;
SELECT error ->> 'code' AS code FROM workflow.incidents WHERE instance = :i;
SELECT workflow.skip(test.stands(:i)), test.ended(:i);
TRUNCATE test.fetched;

-- the end of the visit takes the work along: cancelled, timed out, moved
SELECT test.resize('j') AS j, test.resize('k') AS k, test.resize('l') AS l \gset
CALL test.fetch('pull: resize', 2);
SELECT workflow.cancel(:j), workflow.cancel_visit(test.waits(:k)), workflow.move(test.waits(:l), 'done') IS NOT NULL AS moved;
SELECT count(*) FROM workflow_data.work;
SELECT count(test.complete(instance)) FILTER (WHERE NOT test.complete(instance)) AS too_late FROM test.fetched;
TRUNCATE test.fetched;

-- suspended: nobody fetches it, who has it may end it, and that counts when it is resumed
SELECT test.resize('m') AS m, test.resize('n') AS n, test.resize('o') AS o \gset
CALL test.fetch('pull: resize');
SELECT workflow.suspend(x) FROM unnest(ARRAY[:m, :n, :o]) x;
SELECT count(*) FROM workflow.fetch('pull: resize', 10);
SELECT ready, paused FROM workflow.topics WHERE topic = 'pull: resize';
SELECT test.complete(instance, '{"size": 1}') FROM test.fetched;
SELECT count(*) FILTER (WHERE called_back) AS called_back, count(*) FROM workflow.visits WHERE instance IN (:m, :n, :o);
SELECT workflow.resume(x) FROM unnest(ARRAY[:m, :n, :o]) x;
CALL test.until('SELECT count(*) = 1 FROM workflow.instances WHERE process = ''pull: resize'' AND data ->> ''size'' = ''1'' AND data ->> ''file'' IN (''m'', ''n'', ''o'')');
SELECT ready, paused FROM workflow.topics WHERE topic = 'pull: resize';
TRUNCATE test.fetched;
CALL test.fetch('pull: resize', 10);
SELECT count(*) FILTER (WHERE test.complete(instance, '{"size": 2}')) FROM test.fetched;
TRUNCATE test.fetched;

-- many at once
SELECT count(test.resize('p')) FROM generate_series(1, 5);
CALL test.fetch('pull: resize', 3);
CREATE TEMP TABLE many AS SELECT row_number() OVER (ORDER BY instance) AS n, * FROM test.fetched;
SELECT n, accepted, error_code, replace(error, m.serial_number, 'N') AS error
FROM workflow.complete_many((SELECT json_agg(json_strip_nulls(json_build_object('serial_number', serial_number, 'data', json_build_object('size', n),
       'lock_token', CASE WHEN n < 3 THEN lock_token END)) ORDER BY n) FROM many)) c JOIN many m USING (serial_number) ORDER BY n;
SELECT n, accepted, error_code, replace(error, m.serial_number, 'N') AS error
FROM workflow.complete_many((SELECT json_agg(json_build_object('serial_number', serial_number, 'lock_token', CASE WHEN n < 3 THEN lock_token::text ELSE 'x' END) ORDER BY n)
       FROM many)) c JOIN many m USING (serial_number) ORDER BY n;
SELECT n, accepted, error_code, error FROM workflow.complete_many((SELECT json_agg(json_build_object('serial_number', serial_number, 'lock_token', gen_random_uuid()))
       FROM many WHERE n = 3)) c JOIN many m USING (serial_number);
SELECT accepted FROM workflow.complete_many((SELECT json_agg(json_build_object('serial_number', serial_number, 'lock_token', lock_token, 'fail', json_build_object('retry', false)))
       FROM many WHERE n = 3));
SELECT outcome FROM workflow.incidents JOIN many USING (serial_number);
SELECT accepted FROM workflow.complete_many((SELECT json_agg(json_build_object('serial_number', serial_number, 'data', '{"size": 0}'::json)) FROM workflow.waiting WHERE process = 'pull: resize'));
SELECT workflow.skip(serial_number, '{"size": 0}') FROM workflow.incidents WHERE process = 'pull: resize';
TRUNCATE test.fetched;

-- items
SELECT workflow.define('pull: each', '{
  "steps": [ { "step": "do", "each": { "in": "$.list", "collect": "got", "parallel": 2 }, "wait": { "topic": "pull: each", "data": "${$.list}" } } ]}');
SELECT workflow.start('pull: each', '{"list": ["x", {"y": 1}, 3]}') AS q \gset
CALL test.fetch('pull: each', 10);
SELECT data, item, index, workflow.complete(serial_number, to_jsonb(index), lock_token) FROM test.fetched ORDER BY index;
SELECT index, item, workflow.complete(serial_number, '"last"', lock_token) FROM workflow.fetch('pull: each', 10);
SELECT test.ended(:q);
TRUNCATE test.fetched;

-- beside other events: the first of them wins; a callback is no work
SELECT workflow.define('pull: first', '{
  "steps": [ { "step": "either", "first_of": [ { "topic": "pull: first", "next": "worked" }, { "callback": true, "next": "called" } ] },
             { "step": "worked", "set": { "by": "worker" }, "end": true }, { "step": "called", "set": { "by": "caller" }, "end": true } ]}');
SELECT workflow.start('pull: first') AS r, workflow.start('pull: first') AS s \gset
SELECT test.at(:r);
CALL test.fetch('pull: first', 2);
SELECT data IS NULL AS no_data, test.complete(:r) FROM test.fetched WHERE instance = :r;
SELECT workflow.complete(test.waits(:s)), test.ended(:r), test.ended(:s);
SELECT test.complete(:s);
TRUNCATE test.fetched;
-- handlers: done once; they do not fail
SELECT workflow.define('pull: beside', '{
  "steps": [ { "step": "wait", "wait": true, "catch": [ { "topic": "pull: beside", "data": "help", "interrupt": false, "next": "helped" } ], "next": "done" },
             { "step": "helped", "set": { "helped": true }, "end": true }, { "step": "done", "set": { "done": true }, "end": true } ]}');
SELECT workflow.start('pull: beside') AS t \gset
CALL test.fetch('pull: beside');
SELECT data, test.try(format('SELECT workflow.fail(%L, lock_token => %L)', serial_number, lock_token)) AS fail, workflow.complete(serial_number, NULL, lock_token) FROM test.fetched;
SELECT count(*) FROM workflow.fetch('pull: beside');
SELECT data, test.at(:t) FROM workflow.instances WHERE instance = :t;
SELECT test.done(:t, 'wait'), test.ended(:t);
TRUNCATE test.fetched;
-- whatever "retry" says: that is of the action, and their work is none of its attempts
SELECT workflow.define('pull: beside an action', '{
  "steps": [ { "step": "wait", "sql": "SELECT 1 AS one", "retry": { "max": 3, "delay": "1 ms" }, "wait": true,
               "catch": [ { "topic": "pull: beside", "interrupt": false, "next": "helped" } ], "next": "done" },
             { "step": "helped", "set": { "helped": true }, "end": true }, { "step": "done", "set": { "done": true }, "end": true } ]}');
SELECT workflow.start('pull: beside an action') AS t \gset
CALL test.arrive(:t, 'wait');
CALL test.fetch('pull: beside');
SELECT test.try(format('SELECT workflow.fail(%L, lock_token => %L)', serial_number, lock_token)) AS fail, workflow.complete(serial_number, NULL, lock_token) FROM test.fetched;
SELECT test.done(:t, 'wait'), test.ended(:t), (SELECT attempts FROM workflow.history WHERE instance = :t AND step = 'wait') AS attempts;
TRUNCATE test.fetched;

-- while the instance is suspended it is kept, with its name
SELECT workflow.define('pull: named', '{
  "steps": [ { "step": "wait", "wait": true, "catch": [ { "topic": "pull: named", "next": "done", "save": { "by": "${$event.name}" } } ] }, { "step": "done" } ]}');
SELECT workflow.start('pull: named') AS t \gset
CALL test.fetch('pull: named');
SELECT workflow.suspend(:t), test.complete(:t), workflow.resume(:t);
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :t));
SELECT test.ended(:t);
TRUNCATE test.fetched;

-- silence counts from the fetch on
SELECT workflow.define('pull: heart', '{
  "steps": [ { "step": "beat", "wait": { "topic": "pull: heart" }, "heartbeat": "50 ms", "catch": [ { "on": "DIED", "next": "died" } ], "end": true },
             { "step": "died", "set": { "died": true }, "end": true } ]}');
SELECT workflow.start('pull: heart') AS u \gset
SELECT pg_sleep(0.1);
SELECT test.at(:u);
CALL test.fetch('pull: heart');
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :u));
SELECT test.ended(:u), test.went(:u), test.complete(:u);
-- of who has it: not of a lock that has run out
SELECT workflow.start('pull: heart') AS v \gset
TRUNCATE test.fetched;
CALL test.fetch('pull: heart', 1, '10 ms');
SELECT pg_sleep(0.2);
SELECT test.at(:v), test.complete(:v), test.ended(:v);
TRUNCATE test.fetched;

-- under another version
SELECT workflow.define('pull: moved', '{ "steps": [ { "step": "a", "wait": { "topic": "pull: moved" }, "end": true } ]}');
SELECT workflow.start('pull: moved') AS w, workflow.start('pull: moved') AS x \gset
CALL test.fetch('pull: moved');
SELECT workflow.define('pull: moved', '{ "steps": [ { "step": "b", "catch": [ { "after": "1 hour", "next": "b" } ], "wait": { "topic": "pull: moved" }, "end": true } ]}');
SELECT workflow.migrate(i, 2, '{"a": "b"}') FROM unnest(ARRAY[:w, :x]) i;
SELECT step, lock_token IS NOT NULL AS locked FROM workflow_data.work ORDER BY 2;
SELECT count(*) FILTER (WHERE test.complete(instance)) FROM test.fetched;
SELECT workflow.define('pull: moved', '{ "steps": [ { "step": "b", "wait": true, "end": true } ]}');
SELECT count(*) AS obstacles FROM (SELECT workflow.migrate(instance, 3) FROM workflow.waiting WHERE process = 'pull: moved') m;
SELECT count(*) FROM workflow_data.work;
SELECT test.at(instance), workflow.complete(serial_number) FROM workflow.waiting WHERE process = 'pull: moved';
TRUNCATE test.fetched;

-- rights: of the process, of a step; who has none sees nothing
CREATE ROLE pull_worker;
CREATE ROLE pull_other;
GRANT USAGE ON SCHEMA workflow TO pull_worker, pull_other;
GRANT USAGE ON SCHEMA test TO pull_worker, pull_other;
SELECT test.resize('y') AS y \gset
SELECT test.waits(:y) AS sn \gset
SELECT workflow.grant_process('pull: resize', 'pull_worker', 'complete', 'resize');
SET ROLE pull_other;
SELECT count(*) FROM workflow.fetch('pull: resize');
SELECT count(*) FROM workflow.topics;
SELECT test.try(format('SELECT workflow.release(%L, gen_random_uuid())', :'sn'));
SET ROLE pull_worker;
SELECT topic, ready FROM workflow.topics;
SELECT lock_token AS token, data FROM workflow.fetch('pull: resize', worker => 'me') \gset
SELECT worker FROM workflow.waiting;
-- nor frees what he has not fetched: an administrator does, and the worker hears of it
SELECT test.try(format('SELECT workflow.release(%L)', :'sn'));
RESET ROLE;
SELECT workflow.release(:'sn'), workflow.release(:'sn') AS again;
SELECT role = current_user AS mine, arguments FROM workflow.audit WHERE call = 'release';
SELECT count(*) AS told FROM workflow.timeline(:y) line WHERE line LIKE '%work given back, by ' || current_user || '%';
SET ROLE pull_worker;
SELECT workflow.heartbeat(:'sn', NULL, :'token'), workflow.complete(:'sn', '{"size": 1}', :'token');
SELECT lock_token AS token, data FROM workflow.fetch('pull: resize', worker => 'me') \gset
SET ROLE pull_other;
SELECT test.try(format('SELECT workflow.release(%L)', :'sn')) AS unknown;
SELECT test.try(format('SELECT workflow.complete(%L, NULL, %L)', :'sn', :'token'));
SET ROLE pull_worker;
SELECT workflow.complete(:'sn', '{"size": 1}', :'token');
RESET ROLE;
SELECT test.ended(:y);

-- a scope that ends with more in it than a transaction ends: nobody fetches the rest meanwhile, but for what ignores the cancel
SELECT workflow.define('pull: many', '{
  "steps": [ { "step": "scope", "catch": [ { "on": "CANCELLED", "next": "end" } ], "next": "end", "steps": [
               { "step": "split", "next": [ "all", "tidy" ] },
               { "step": "all", "steps": [ { "step": "do", "each": { "in": "$.list", "parallel": 2000 }, "wait": { "topic": "pull: many" } } ], "end": true },
               { "step": "tidy", "ignore_cancel": true, "wait": { "topic": "pull: many", "data": "tidy" }, "end": true } ] },
             { "step": "end", "set": { "end": true }, "end": true } ]}');
SELECT workflow.start('pull: many', jsonb_build_object('list', (SELECT jsonb_agg(i) FROM generate_series(1, 1500) i))) AS z \gset
CALL test.until(format('SELECT count(*) = 1501 FROM workflow_data.work WHERE instance = %s', :z));
BEGIN;
SELECT workflow.cancel_visit(serial_number) FROM workflow.visits WHERE instance = :z AND step = 'scope';
SELECT count(*) > 1 AS not_all_ended FROM workflow.visits WHERE instance = :z AND step = 'do' AND waits_for = 'topic';
SELECT data, workflow.release(serial_number, lock_token) FROM workflow.fetch('pull: many', 2000);
COMMIT;
CALL test.until(format('SELECT count(*) = 1 FROM workflow_data.work WHERE instance = %s', :z));
SELECT data, workflow.complete(serial_number, NULL, lock_token) FROM workflow.fetch('pull: many');
SELECT status, data -> 'end' AS ended FROM workflow.instances WHERE instance = :z;

-- many processes: each has its turn, and who may complete one gets its work alone
SELECT count(workflow.define('pull: p' || i, '{"steps": [{"step": "do", "wait": {"topic": "pull: shared", "data": "${$.i}"}}, {"step": "again", "wait": {"topic": "pull: shared"}}]}'))
FROM generate_series(1, 100) i;
SELECT count(workflow.start('pull: p' || i, jsonb_build_object('i', i))) FROM generate_series(1, 100) i;
SELECT workflow.grant_process('pull: p77', 'pull_worker', 'complete');
SET ROLE pull_worker;
SELECT data, workflow.release(serial_number, lock_token) FROM workflow.fetch('pull: shared', 5);
RESET ROLE;
SELECT count(DISTINCT data) > 1 AS any_of_them FROM (SELECT data, workflow.release(serial_number, lock_token) FROM generate_series(1, 20) g, LATERAL test.fetch_one('pull: shared', g)) f;
CALL test.fetch('pull: shared', 60);
SELECT count(DISTINCT data) FROM test.fetched;
CALL test.fetch('pull: shared', 60);
SELECT count(DISTINCT data) FROM test.fetched;
SELECT count(*) FROM workflow.fetch('pull: shared');
-- the last one whose lock runs out is found
SELECT test.lock_gone(instance) FROM test.fetched WHERE data = '100';
SELECT data FROM workflow.fetch('pull: shared', 60);
SELECT count(*) FILTER (WHERE test.complete(instance)) FROM test.fetched WHERE data <> '100';
SELECT count(*) FROM workflow.fetch('pull: shared', 200);
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'pull: p%' AND ended_at IS NULL;
SELECT workflow.revoke_process('pull: p77', 'pull_worker', 'complete');
TRUNCATE test.fetched;

-- with "on", only codes that are named are tried again
SELECT workflow.define('pull: on', '{"steps": [{"step": "a", "wait": {"topic": "pull: on"}, "retry": {"max": 3, "on": ["DISK", "disk1"]}}]}');
SELECT workflow.start('pull: on') AS o \gset
SELECT workflow.fail(serial_number, 'DISK', lock_token => lock_token), test.at(:o) FROM workflow.fetch('pull: on');
SELECT workflow.fail(serial_number, 'disk1', lock_token => lock_token), test.at(:o) FROM workflow.fetch('pull: on');
SELECT workflow.fail(serial_number, 'disk', lock_token => lock_token) FROM workflow.fetch('pull: on');
SELECT test.at(:o), (SELECT count(*) FROM workflow.attempts a WHERE a.serial_number = test.sn(:o)) AS attempts;
SELECT workflow.cancel(:o) \g /dev/null
SELECT message, hint FROM workflow.check('{"retry": {"max": 1, "on": "DISK"}, "steps": [{"step": "a", "wait": {"topic": "t"}}]}');
SELECT message, hint FROM workflow.check('{"steps": [{"step": "a", "sql": "SELECT 1", "retry": {"max": 1, "on": ["DISK"]}}, {"step": "b", "wait": {"topic": "t"}, "retry": {"max": 1, "on": [""]}}]}');
SELECT message, hint FROM workflow.check('{"retry": {"max": 1, "on": "5xx"}, "steps": [{"step": "a", "wait": {"topic": "t"}}]}');
SELECT message, hint FROM workflow.check('{"steps": [{"step": "a", "wait": {"topic": ""}}, {"step": "b", "wait": {"topic": "${$.t}"}}]}');

-- what is refused
SELECT workflow.fetch(NULL);
SELECT workflow.fetch('t', 0);
SELECT workflow.fetch('t', 1, '0');
SELECT workflow.fetch('t', 1, '2 years');
SELECT workflow.fetch('t', worker => repeat('x', 201));
SELECT workflow.release('999999999999_1');
SELECT workflow.release('x', gen_random_uuid());
SELECT workflow.define('pull: no', jsonb_build_object('steps', jsonb_build_array(jsonb_build_object('step', 'a', 'wait', jsonb_build_object('topic', repeat('t', 64)))))::json);
SELECT workflow.define('pull: no', '{ "steps": [ { "step": "a", "first_of": [ { "topic": "a", "next": "b" }, { "topic": "b", "next": "b" } ] }, { "step": "b", "set": {"x": 1} } ]}');
SELECT workflow.define('pull: no', '{ "steps": [ { "step": "a", "wait": { "after": "1 s" }, "retry": { "max": 1 }, "heartbeat": "1 s" } ]}');

-- nothing is left
SELECT count(*) FROM workflow_data.work;
SELECT count(*) FROM workflow.verify();
DROP TABLE test.fetched;
DROP FUNCTION test.resize(text), test.fetch_one(text, integer), test.complete(bigint, jsonb), test.lock_gone(bigint);
DROP PROCEDURE test.fetch(text, integer, interval);
SELECT workflow.revoke_process('pull: resize', 'pull_worker', 'complete', 'resize');
DROP OWNED BY pull_worker, pull_other;
DROP ROLE pull_worker, pull_other;
