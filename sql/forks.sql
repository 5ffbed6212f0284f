-- Forks and joins, as a session sees them: which tokens there are, and when a join goes on.

-- all: the first token stands, the others end in it
SELECT workflow.define('forks: all', '{"steps": [
  {"step": "a", "next": ["b", "c", "d"]},
  {"step": "b", "wait": true, "save": {"b": "${$result.response.n}"}, "next": "j"},
  {"step": "c", "wait": true, "save": {"c": "${$result.response.n}"}, "next": "j"},
  {"step": "d", "wait": true, "next": "j"},
  {"step": "j", "join": "all", "set": {"sum": "${$.b + $.c}"}, "next": "after"},
  {"step": "after", "wait": true}]}');
SELECT workflow.start('forks: all') AS i \gset
SELECT test.at(:i);
SELECT test.done(:i, 'c', '{"n": 2}'), test.at(:i);
SELECT test.done(:i, 'b', '{"n": 3}'), test.at(:i);
-- one that stands at a join takes no callback
SELECT test.try(format('SELECT workflow.complete(%L)', serial_number)) FROM workflow.visits WHERE instance = :i AND step = 'j';
SELECT test.done(:i, 'd'), test.at(:i);
SELECT test.done(:i, 'after'), test.ended(:i);
SELECT test.went(:i);
-- a branch that is cancelled, and one that fails, are no longer waited for
SELECT workflow.start('forks: all') AS i \gset
SELECT test.done(:i, 'b', '{"n": 1}'), test.done(:i, 'c', '{"n": 1}'), test.at(:i);
SELECT workflow.cancel_visit(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'd';
SELECT test.at(:i);
SELECT workflow.start('forks: all') AS i \gset
SELECT test.done(:i, 'b', '{"n": 1}'), test.done(:i, 'c', '{"n": 1}');
SELECT workflow.fail(serial_number, 'no') FROM workflow.waiting WHERE instance = :i AND step = 'd';
SELECT test.at(:i) AS "an incident is waited for";
SELECT workflow.skip(serial_number) FROM workflow.incidents WHERE instance = :i;
SELECT test.at(:i);
-- all branches cancelled by hand: so is the instance; not if one of them has ended by its own route
SELECT workflow.define('forks: ends', '{"steps": [
  {"step": "a", "next": ["b", "c"]}, {"step": "b", "wait": true, "end": true}, {"step": "c", "wait": true, "end": true}]}');
SELECT workflow.start('forks: ends') AS i \gset
SELECT count(workflow.cancel_visit(serial_number)) FROM workflow.waiting WHERE instance = :i;
SELECT status FROM workflow.instances WHERE instance = :i;
SELECT workflow.start('forks: ends') AS i \gset
SELECT test.done(:i, 'b'), workflow.cancel_visit(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'c';
SELECT status FROM workflow.instances WHERE instance = :i;
SELECT workflow.start('forks: ends') AS i \gset
SELECT workflow.cancel_visit(serial_number), test.done(:i, 'b') FROM workflow.waiting WHERE instance = :i AND step = 'c';
SELECT status FROM workflow.instances WHERE instance = :i;

-- conditions: every branch that is true gets a token
SELECT workflow.define('forks: split', '{"steps": [
  {"step": "a", "next": [{"when": "$.n > 1", "next": "b"}, {"when": "$.n > 2", "next": ["c", "d"]}, {"else": "e"}]},
  {"step": "b", "wait": true, "end": true}, {"step": "c", "wait": true, "end": true}, {"step": "d", "wait": true, "end": true},
  {"step": "e", "wait": true, "end": true}]}');
SELECT n, test.at(workflow.start('forks: split', jsonb_build_object('n', n))) FROM generate_series(1, 3) n;
SELECT workflow.define('forks: none', '{"steps": [
  {"step": "a", "next": [{"when": "$.n > 1", "next": "b"}, {"when": "$.n > 2", "next": "c"}]},
  {"step": "b", "end": true}, {"step": "c", "end": true}]}');
SELECT workflow.start('forks: none', '{"n": 0}') AS i \gset
SELECT step, outcome, error ->> 'code' AS code, error ->> 'message' AS message FROM workflow.incidents WHERE instance = :i;
-- and one without a condition always does
SELECT workflow.define('forks: mixed', '{"steps": [
  {"step": "a", "next": ["b", {"when": "$.n > 2", "next": "c"}]},
  {"step": "b", "wait": true, "end": true}, {"step": "c", "wait": true, "end": true}]}');
SELECT n, test.at(workflow.start('forks: mixed', jsonb_build_object('n', n))) FROM generate_series(2, 3) n;

-- n: the n-th goes on, the others are too late
SELECT workflow.define('forks: two', '{"steps": [
  {"step": "a", "next": ["b", "c", "d", "e"]},
  {"step": "b", "wait": true, "next": "j"}, {"step": "c", "wait": true, "next": "j"}, {"step": "d", "wait": true, "next": "j"},
  {"step": "e", "wait": true, "next": "j"},
  {"step": "j", "join": 2, "next": "on"}, {"step": "on", "wait": true}]}');
SELECT workflow.start('forks: two') AS i \gset
SELECT test.done(:i, 'd'), test.at(:i);
SELECT test.done(:i, 'b'), test.at(:i);
SELECT test.done(:i, 'c'), test.done(:i, 'e'), test.at(:i);
SELECT test.done(:i, 'on'), test.ended(:i), test.went(:i);
-- nobody has called off one that comes too late, whether before or after the rest was
SELECT workflow.define('forks: late', '{"steps": [
  {"step": "a", "next": ["b", "c"]}, {"step": "b", "wait": true, "next": "j"}, {"step": "c", "wait": true, "next": "j"},
  {"step": "j", "join": "any", "next": "on"}, {"step": "on", "wait": true}]}');
SELECT workflow.start('forks: late') AS i \gset
SELECT test.done(:i, 'b'), test.done(:i, 'c');
SELECT workflow.cancel_visit(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'on';
SELECT status FROM workflow.instances WHERE instance = :i;
SELECT workflow.start('forks: late') AS i \gset
SELECT test.done(:i, 'b');
SELECT workflow.cancel_visit(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'on';
SELECT test.done(:i, 'c');
SELECT status FROM workflow.instances WHERE instance = :i;

-- any, in a loop: what is late for one round is so only until it passes the fork again
SELECT workflow.define('forks: rounds', '{"data": {"n": 0}, "steps": [
  {"step": "fork", "next": ["left", "right"]},
  {"step": "left", "wait": true, "next": "any"}, {"step": "right", "wait": true, "next": "any"},
  {"step": "any", "join": "any", "next": "review"},
  {"step": "review", "wait": true, "save": {"n": "${$.n + 1}"}, "choose": [{"when": "$.n < 2", "next": "fork"}, {"next": "done"}]},
  {"step": "done", "end": "scope"}]}');
SELECT workflow.start('forks: rounds') AS i \gset
SELECT test.done(:i, 'left'), test.at(:i);
SELECT test.done(:i, 'review'), test.at(:i);
-- the late one of the first round ends, those of the second do not
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'right' ORDER BY since LIMIT 1;
SELECT test.at(:i);
SELECT test.done(:i, 'right'), test.at(:i);
SELECT test.done(:i, 'review'), test.ended(:i);

-- tokens that merge are late only for what all of them were late for
SELECT workflow.define('forks: merge', '{"steps": [
  {"step": "fork", "next": ["a", "b", "c"]},
  {"step": "a", "wait": true, "next": "any"},
  {"step": "b", "wait": true, "next": "all"},
  {"step": "c", "wait": true, "next": "all"},
  {"step": "all", "join": "all", "next": "any"},
  {"step": "any", "join": "any", "next": "on"},
  {"step": "on", "wait": true, "choose": [{"when": "$.again == true", "next": "c"}, {"next": "end"}]}, {"step": "end", "end": true}]}');
SELECT workflow.start('forks: merge', '{"again": true}') AS i \gset
SELECT test.done(:i, 'a'), test.at(:i);
SELECT test.done(:i, 'on'), test.at(:i);
SELECT test.done(:i, 'b'), test.at(:i);
SELECT test.done(:i, 'c'), test.done(:i, 'c'), test.at(:i);
-- fewer than n can come: an incident, which can be judged again, or skipped
SELECT workflow.define('forks: lack', '{"data": {"go": false}, "steps": [
  {"step": "a", "next": ["b", "c", "d"]},
  {"step": "b", "next": "j"}, {"step": "c", "wait": true, "choose": [{"when": "$.go == true", "next": "j"}, {"next": "x"}]},
  {"step": "d", "wait": true, "choose": [{"when": "$.go == true", "next": "j"}, {"next": "x"}]},
  {"step": "x", "end": true},
  {"step": "j", "join": 2, "next": "on"}, {"step": "on", "wait": true}]}');
SELECT workflow.start('forks: lack') AS i \gset
SELECT test.done(:i, 'c'), test.at(:i);
SELECT test.done(:i, 'd'), test.at(:i);
SELECT step, outcome, error ->> 'code' AS code, error ->> 'message' AS message FROM workflow.incidents WHERE instance = :i;
SELECT workflow.retry(serial_number) FROM workflow.incidents WHERE instance = :i;
SELECT test.at(:i);
SELECT workflow.skip(serial_number) FROM workflow.incidents WHERE instance = :i;
SELECT test.at(:i);

-- joins that wait for each other in a loop: the one that stands longest goes on
SELECT workflow.define('forks: tie', '{"data": {"n": 0}, "steps": [
  {"step": "a", "next": ["one", "b"]},
  {"step": "b", "wait": true, "next": "two"},
  {"step": "one", "join": "all", "set": {"one": true}, "choose": [{"when": "$.n > 9", "next": "two"}, {"next": "x"}]},
  {"step": "two", "join": "all", "set": {"two": true}, "choose": [{"when": "$.n > 9", "next": "one"}, {"next": "x"}]},
  {"step": "x", "end": true}]}');
SELECT workflow.start('forks: tie') AS i \gset
SELECT test.at(:i);
SELECT test.done(:i, 'b'), test.ended(:i), test.went(:i);

-- an incident at a join may still go on: others wait for it
SELECT workflow.define('forks: incident', '{"data": {"go": false}, "steps": [
  {"step": "f", "next": ["x", "y", "b"]}, {"step": "x", "next": "a"},
  {"step": "y", "choose": [{"when": "$.go == true", "next": "a"}, {"next": "e"}]}, {"step": "e", "end": true},
  {"step": "a", "join": 2, "next": "b"}, {"step": "b", "join": 2, "end": true}]}');
SELECT workflow.start('forks: incident') AS i \gset
SELECT test.at(:i);
SELECT workflow.skip(serial_number), test.ended(:i) FROM workflow.incidents WHERE instance = :i;
-- one that goes by way of joins alone is cut as well
SELECT workflow.define('forks: cut', '{"data": {"n": 0}, "steps": [
  {"step": "a", "join": "any", "set": {"n": "${$.n + 1}"}, "choose": [{"when": "$.n >= 3000", "next": "w"}, {"next": "a"}]}, {"step": "w", "wait": true}]}');
BEGIN;
SELECT workflow.start('forks: cut') AS i \gset
SELECT (data -> 'n')::int < 1100 AS cut FROM workflow.instances WHERE instance = :i;
COMMIT;
CALL test.arrive(:i, 'w');
-- the row of the instance is written only if something in it has changed
SELECT workflow.define('forks: plain', '{"steps": [{"step": "a", "wait": true}, {"step": "b", "wait": true}]}');
SELECT workflow.start('forks: plain') AS i \gset
CREATE FUNCTION pg_temp.row_of(i bigint) RETURNS tid LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN (SELECT ctid FROM workflow_data.instance WHERE instance = i); END';
SELECT pg_temp.row_of(:i) AS row \gset
SELECT test.done(:i, 'a'), pg_temp.row_of(:i) = :'row' AS same_row;
-- one that stands at a join has called nobody, so nobody is asked to stop
CREATE SERVER forks_nobody FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:9', allow_private 'true');
SELECT workflow.define('forks: stands', '{"steps": [
  {"step": "f", "next": ["a", "b"]}, {"step": "b", "wait": true, "next": "a"},
  {"step": "a", "join": "all", "http": {"server": "forks_nobody", "path": "/x"}, "wait": true, "cancel": {"path": "/cancel"}, "end": true}]}');
SELECT workflow.start('forks: stands') AS i \gset
SELECT workflow.cancel_visit(serial_number) FROM workflow.visits WHERE instance = :i AND step = 'a';
SELECT test.at(:i);
-- a loop of forks and joins without a rest is cut, and goes on
SELECT workflow.define('forks: loop', '{"data": {"n": 0}, "steps": [
  {"step": "fork", "next": ["left", "right"]},
  {"step": "left", "set": {"l": 1}, "next": "all"}, {"step": "right", "set": {"r": 1}, "next": "all"},
  {"step": "all", "join": "all", "set": {"n": "${$.n + 1}"}, "choose": [{"when": "$.n < 300", "next": "fork"}, {"next": "done"}]},
  {"step": "done", "end": true}]}');
SELECT workflow.start('forks: loop') AS i \gset
CALL test.until($$SELECT status = 'completed' FROM workflow.instances WHERE instance = $$ || :i);
SELECT test.ended(:i), (SELECT count(*) FROM workflow.history WHERE instance = :i) AS visits;
-- a join with a deadline of its own, which begins with the first token
SELECT workflow.define('forks: deadline', '{"steps": [
  {"step": "a", "next": ["b", "c"]}, {"step": "b", "next": "j"}, {"step": "c", "wait": true, "next": "j"},
  {"step": "j", "join": "all", "timeout": "0.2 s", "catch": [{"on": "TIMED_OUT", "next": "late"}], "next": "done"},
  {"step": "late", "set": {"late": "${$caught.step}"}, "end": "scope"}, {"step": "done", "end": true}]}');
SELECT workflow.start('forks: deadline') AS i \gset
CALL test.until($$SELECT status = 'completed' FROM workflow.instances WHERE instance = $$ || :i);
SELECT test.ended(:i), test.went(:i);

-- suspended: what has come stands, and goes on with the others later
SELECT workflow.start('forks: all', '{"b": 1, "c": 1}') AS i \gset
SELECT test.done(:i, 'b', '{"n": 1}') \g /dev/null
SELECT workflow.suspend(:i);
SELECT test.done(:i, 'c', '{"n": 1}'), test.done(:i, 'd'), test.at(:i);
SELECT workflow.resume(:i);
CALL test.until($$SELECT count(*) = 1 AND min(step) = 'after' FROM workflow.waiting WHERE instance = $$ || :i);

-- an operator may take away what a join waits for: it goes on, and what follows waits for resume
SELECT workflow.start('forks: all', '{"b": 1, "c": 1}') AS i \gset
SELECT test.done(:i, 'b', '{"n": 1}'), test.done(:i, 'c', '{"n": 1}');
SELECT workflow.suspend(:i);
SELECT workflow.cancel_visit(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'd';
SELECT test.at(:i);
SELECT workflow.resume(:i);
CALL test.arrive(:i, 'after');

-- nothing is left
SELECT count(workflow.cancel(instance)) > 0 AS cancelled FROM workflow.instances WHERE process LIKE 'forks: %' AND ended_at IS NULL;
SELECT count(*) FROM workflow.visits WHERE process LIKE 'forks: %';
SELECT count(workflow.undefine(process)) > 0 AS undefined FROM workflow.processes WHERE process LIKE 'forks: %';
DROP SERVER forks_nobody;
