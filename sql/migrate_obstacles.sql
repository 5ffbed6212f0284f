-- What keeps an instance from another version of its process: all of it is told at once, and nothing changes.

-- steps, scopes, joins, events: each step of the first version meets something else in the second
SELECT workflow.define('obstacles: all', '{
  "steps": [
    { "step": "f", "next": ["gone", "s", "j1", "top", "cb", "msg", "two", "clock", "cond"] },
    { "step": "gone", "wait": true, "end": true },
    { "step": "s", "steps": [ { "step": "in", "wait": true } ], "next": "end" },
    { "step": "j1", "next": "j" },
    { "step": "top", "wait": true, "next": "j" },
    { "step": "j", "join": "all", "next": "end" },
    { "step": "cb", "wait": true, "next": "end" },
    { "step": "msg", "wait": { "message": "obstacles: a" }, "next": "end" },
    { "step": "two", "first_of": [ { "message": "obstacles: b", "next": "end" }, { "signal": "obstacles: s", "next": "end" } ] },
    { "step": "clock", "first_of": [ { "after": "1 hour", "next": "end" }, { "until": "2100-01-01", "next": "end" } ] },
    { "step": "cond", "wait": { "condition": "$.x == 1" }, "next": "end" },
    { "step": "end", "end": true } ] }');
SELECT workflow.define('obstacles: all', '{
  "steps": [
    { "step": "f", "next": ["s", "j1", "cb", "msg", "two", "clock", "cond", "sub"] },
    { "step": "s", "wait": true, "next": "end" },
    { "step": "sub", "steps": [ { "step": "in", "wait": true, "next": "top" }, { "step": "top", "wait": true } ], "next": "end" },
    { "step": "j1", "next": "j" },
    { "step": "j", "wait": true, "next": "end" },
    { "step": "cb", "wait": { "message": "obstacles: a" }, "next": "end" },
    { "step": "msg", "wait": { "message": "obstacles: z" }, "next": "end" },
    { "step": "two", "wait": true, "next": "end" },
    { "step": "clock", "wait": true, "next": "end" },
    { "step": "cond", "wait": true, "next": "end" },
    { "step": "end", "end": true } ] }');
SELECT workflow.start('obstacles: all', version => 1) AS i \gset
CREATE TEMP TABLE obstacles_before AS SELECT * FROM workflow_data.visit WHERE instance = :i;
SELECT instance = :i AS its, regexp_replace(obstacle, '\d+_\d+', 'n_n', 'g') AS obstacle FROM workflow.migrate(:i, 2) ORDER BY 2;
SELECT version FROM workflow.instances WHERE instance = :i;
SELECT count(*) FROM (TABLE obstacles_before EXCEPT SELECT * FROM workflow_data.visit WHERE instance = :i) x;
-- others of the process move all the same
SELECT workflow.start('obstacles: all', version => 1) AS j \gset
SELECT count(workflow.cancel_visit(serial_number)) FROM workflow.visits WHERE instance = :j AND step NOT IN ('end', 'two', 'in', 's');
SELECT count(workflow.cancel_visit(serial_number)) FROM workflow.visits WHERE instance = :j AND step IN ('s');
SELECT test.at(:j);
SELECT instance = :i AS its, count(*) FROM workflow.migrate('obstacles: all', 1, 2, '{"two": "end"}') GROUP BY 1 ORDER BY 1;
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process = 'obstacles: all' AND ended_at IS NULL;

-- two joins that become one
SELECT workflow.define('obstacles: joins', '{ "steps": [ { "step": "f", "next": ["a", "b", "c", "d"] }, { "step": "a", "next": "j" }, { "step": "b", "wait": true, "next": "j" }, { "step": "j", "join": "all", "end": true },
  { "step": "c", "next": "k" }, { "step": "d", "wait": true, "next": "k" }, { "step": "k", "join": "all", "end": true } ] }');
SELECT workflow.define('obstacles: joins', '{ "steps": [ { "step": "f", "next": ["a", "b"] }, { "step": "a", "next": "j" }, { "step": "b", "wait": true, "next": "j" }, { "step": "j", "join": "all", "end": true } ] }');
SELECT workflow.start('obstacles: joins', version => 1) AS i \gset
SELECT regexp_replace(obstacle, '\d+_\d+', 'n_n', 'g') AS obstacle FROM workflow.migrate(:i, 2, '{"k": "j", "c": "a", "d": "b"}');
SELECT workflow.cancel(:i);

-- what is being cancelled, or about to end; what has ended; another kind of action under way
CREATE SERVER obstacles FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://localhost:9', max_in_flight '0');
SELECT workflow.define('obstacles: calls', '{ "steps": [ { "step": "a", "http": { "server": "obstacles", "path": "/" }, "wait": true, "timeout": "1 day" } ] }');
SELECT workflow.define('obstacles: calls', '{ "steps": [ { "step": "a", "sql": "SELECT 1", "wait": true } ] }');
SELECT workflow.start('obstacles: calls', version => 1) AS i \gset
SELECT regexp_replace(obstacle, '\d+_\d+', 'n_n') AS obstacle FROM workflow.migrate(:i, 2);
-- nor once it has called back, before its request was known to be over
SELECT workflow.suspend(:i), workflow.complete(test.sn(:i));
SELECT regexp_replace(obstacle, '\d+_\d+', 'n_n') AS obstacle FROM workflow.migrate(:i, 2);
SELECT workflow.resume(:i);
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :i));
SELECT obstacle FROM workflow.migrate(:i, 2);
-- a service that is asked to stop
SELECT workflow.define('obstacles: asked', '{ "steps": [ { "step": "a", "http": { "server": "obstacles", "path": "/" }, "wait": true, "cancel": { "path": "/stop", "timeout": "100 ms" }, "catch": [ { "on": "CANCELLED", "next": "b" } ] }, { "step": "b", "set": { "b": 1 }, "ignore_cancel": true } ] }');
SELECT workflow.define('obstacles: asked', '{ "steps": [ { "step": "a", "wait": true, "next": "b" }, { "step": "b", "wait": true } ] }');
SELECT workflow.start('obstacles: asked', version => 1) AS i \gset
SELECT workflow.cancel_visit(test.sn(:i));
SELECT regexp_replace(obstacle, '\d+_\d+', 'n_n') AS obstacle FROM workflow.migrate(:i, 2);
SELECT workflow.cancel(:i);
SELECT regexp_replace(obstacle, '\d+_\d+', 'n_n') AS obstacle FROM workflow.migrate(:i, 2);

-- an instance that it has called: that goes on, and is waited for
SELECT workflow.define('obstacles: child', '{ "steps": [ { "step": "a", "wait": true, "save": true } ] }');
SELECT workflow.define('obstacles: parent', '{ "steps": [ { "step": "c", "call": { "process": "obstacles: child" }, "save": { "got": "${$reply}" } } ] }');
SELECT workflow.define('obstacles: parent', '{ "steps": [ { "step": "c", "wait": true } ] }');
SELECT workflow.define('obstacles: parent', '{ "steps": [ { "step": "b", "call": { "process": "obstacles: child" }, "timeout": "1 day", "save": { "new": "${$reply}" } } ] }');
SELECT workflow.define('obstacles: parent', '{ "steps": [ { "step": "c", "call": { "process": "obstacles: kept" } } ] }');
SELECT workflow.start('obstacles: parent', version => 1) AS i \gset
SELECT regexp_replace(obstacle, '\d+_\d+', 'n_n') AS obstacle FROM workflow.migrate(:i, 4);
SELECT regexp_replace(obstacle, '\d+_\d+', 'n_n') AS obstacle FROM workflow.migrate(:i, 2);
SELECT * FROM workflow.migrate(:i, 3, '{"c": "b"}');
SELECT workflow.complete(serial_number, '{"n": 1}') FROM workflow.waiting WHERE process = 'obstacles: child';
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :i));
SELECT test.ended(:i), version FROM workflow.instances WHERE instance = :i;

-- an item of the same name is another place
SELECT workflow.define('obstacles: list', '{ "steps": [ { "step": "s", "local": { "a": 1 }, "steps": [ { "step": "i", "wait": true } ] } ] }');
SELECT workflow.define('obstacles: list', '{ "steps": [ { "step": "s", "each": "$.l", "local": { "a": 1 }, "steps": [ { "step": "i", "wait": true } ] } ] }');
SELECT workflow.start('obstacles: list', version => 1) AS i \gset
SELECT regexp_replace(obstacle, '\d+_\d+', 'n_n') AS obstacle FROM workflow.migrate(:i, 2);
SELECT workflow.start('obstacles: list', '{"l": [1]}', version => 2) AS i \gset
SELECT regexp_replace(obstacle, '\d+_\d+', 'n_n') AS obstacle FROM workflow.migrate(:i, 1);

-- a callback that is kept for a handler
SELECT workflow.define('obstacles: kept', '{ "steps": [ { "step": "a", "wait": { "message": "obstacles: k" }, "catch": [ { "callback": true, "interrupt": false, "next": "b" } ] }, { "step": "b", "end": true } ] }');
SELECT workflow.define('obstacles: kept', '{ "steps": [ { "step": "a", "wait": { "message": "obstacles: k" }, "next": "b" }, { "step": "b", "end": true } ] }');
SELECT workflow.start('obstacles: kept', version => 1) AS i \gset
SELECT workflow.suspend(:i);
SELECT workflow.complete(test.sn(:i), '"progress"');
SELECT regexp_replace(obstacle, '\d+_\d+', 'n_n') AS obstacle FROM workflow.migrate(:i, 2);
SELECT workflow.resume(:i);
CALL test.until(format('SELECT test.went(%s) = ''b SUCCESS''', :i));
SELECT obstacle FROM workflow.migrate(:i, 2);
SELECT workflow.send_message('obstacles: k');
SELECT status, version FROM workflow.instances WHERE instance = :i;

-- what handlers of the process lead to
SELECT workflow.define('obstacles: whole', '{ "catch": [ { "message": "obstacles: h", "next": "h" } ], "steps": [ { "step": "a", "wait": true, "end": true }, { "step": "h", "wait": true } ] }');
SELECT workflow.define('obstacles: whole', '{ "timeout": "1 day", "steps": [ { "step": "a", "wait": true }, { "step": "h", "wait": true } ] }');
SELECT workflow.define('obstacles: whole', '{ "steps": [ { "step": "a", "wait": true }, { "step": "h", "wait": true } ] }');
SELECT workflow.start('obstacles: whole', version => 1) AS i \gset
SELECT workflow.send_message('obstacles: h');
SELECT test.at(:i);
SELECT regexp_replace(obstacle, '\d+_\d+', 'n_n') AS obstacle FROM workflow.migrate(:i, 2);
SELECT * FROM workflow.migrate(:i, 3);
SELECT * FROM workflow.migrate(:i, 2);
SELECT test.at(:i);

-- calls that say nonsense
\set VERBOSITY terse
SELECT * FROM workflow.migrate(:i, 9);
SELECT * FROM workflow.migrate(:i, 1, '[]');
SELECT * FROM workflow.migrate(:i, 1, '{"a": 1}');
SELECT * FROM workflow.migrate(:i, 1, '{"b": "a"}');
SELECT * FROM workflow.migrate(:i, 1, '{"a": "hh"}');
SELECT * FROM workflow.migrate(:i, 1, '{"(process)": "a"}');
SELECT * FROM workflow.migrate(:i, NULL);
SELECT * FROM workflow.migrate(NULL, 1);
SELECT * FROM workflow.migrate(9223372036854775807, 1);
SELECT * FROM workflow.migrate('obstacles: none', 1, 2);
SELECT * FROM workflow.migrate('obstacles: whole', 8, 2);
SELECT * FROM workflow.migrate('obstacles: whole', 1, 9);

-- who may do so
CREATE ROLE obstacles_admin;
CREATE ROLE obstacles_start;
CREATE ROLE obstacles_none;
GRANT USAGE ON SCHEMA workflow TO obstacles_admin, obstacles_start, obstacles_none;
SELECT workflow.grant_process('obstacles: whole', 'obstacles_admin', 'admin'), workflow.grant_process('obstacles: whole', 'obstacles_start', 'start');
\set VERBOSITY sqlstate
SET ROLE obstacles_start;
SELECT * FROM workflow.migrate(:i, 1);
SELECT * FROM workflow.migrate('obstacles: whole', 2, 1);
SET ROLE obstacles_none;
SELECT * FROM workflow.migrate(:i, 1);
SELECT * FROM workflow.migrate('obstacles: whole', 2, 1);
SET ROLE obstacles_admin;
SELECT * FROM workflow.migrate(:i, 3);
SELECT * FROM workflow.migrate('obstacles: whole', 3, 2);
RESET ROLE;
SELECT version FROM workflow.instances WHERE instance = :i;
\set VERBOSITY default
-- who may complete visits of a step may not complete those that have become another one's
SELECT workflow.grant_process('obstacles: whole', 'obstacles_none', 'complete', 'h');
SELECT * FROM workflow.migrate(:i, 3, '{"h": "a"}');
SELECT test.waits(:i) AS sn \gset
SET ROLE obstacles_none;
\set VERBOSITY sqlstate
SELECT workflow.complete(:'sn');
\set VERBOSITY default
RESET ROLE;

SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'obstacles: %' AND ended_at IS NULL;
SELECT workflow.revoke_process('obstacles: whole', 'obstacles_admin', 'admin'), workflow.revoke_process('obstacles: whole', 'obstacles_start', 'start'),
       workflow.revoke_process('obstacles: whole', 'obstacles_none', 'complete', 'h');
DROP OWNED BY obstacles_admin, obstacles_start, obstacles_none;
DROP ROLE obstacles_admin, obstacles_start, obstacles_none;
ALTER SERVER obstacles OPTIONS (SET max_in_flight '1');
CALL test.until('SELECT count(*) = 0 FROM workflow.instances WHERE process LIKE ''obstacles: %'' AND ended_at IS NULL');
SELECT count(workflow.undefine(process)) > 0 AS undefined FROM workflow.processes WHERE process LIKE 'obstacles: %';
DROP SERVER obstacles;
