-- Embedded sub-processes, as a session sees them: what lives in a scope, what ends with it, and who catches what.

CREATE FUNCTION pg_temp.failed(instance bigint, step text, code text) RETURNS boolean LANGUAGE sql AS
    'SELECT workflow.fail(serial_number, code) FROM workflow.waiting w WHERE w.instance = $1 AND w.step = $2 LIMIT 1';
CREATE FUNCTION pg_temp.ended(instance bigint) RETURNS text LANGUAGE sql AS $$
    SELECT status || ' ' || data || coalesce(' ' || regexp_replace(error ->> 'message', '[0-9]+_[0-9]+', 'N'), '') FROM workflow.instances i WHERE i.instance = $1 $$;

-- a scope ends with its last token; its fields are what it gives
SELECT workflow.define('scopes: local', '{"data": {"n": 1, "x": 1}, "steps": [
  {"step": "s", "local": {"n": "${$.n + 10}", "own": 0}, "next": "after", "save": {"from": "${$result.response}", "n was": "${$.n}"}, "steps": [
    {"step": "a", "set": {"n": "${$.n + 1}", "x": "${$.n}"}, "next": ["b", "c"]},
    {"step": "b", "wait": true, "save": {"own": "${$result.response.b}"}, "end": true},
    {"step": "c", "wait": {"callback": true, "when": "$.n == 12"}, "end": true}]},
  {"step": "after", "wait": true}]}');
SELECT workflow.start('scopes: local') AS i \gset
SELECT test.at(:i);
SELECT data FROM workflow.instances WHERE instance = :i;
SELECT test.done(:i, 'b', '{"b": 7}'), test.at(:i);
SELECT test.done(:i, 'c'), test.at(:i);
SELECT test.done(:i, 'after'), pg_temp.ended(:i);
-- what is not declared is written to the data, in an inner scope too; the nearest field of a name counts
SELECT workflow.define('scopes: nested', '{"steps": [
  {"step": "s", "local": {"a": 1, "b": 1}, "save": {"s": "${$result.response}"}, "steps": [
    {"step": "t", "local": {"b": 2}, "save": {"t": "${$result.response}"}, "steps": [
      {"step": "u", "set": {"a": "${$.a + 5}", "b": "${$.b + 5}", "c": 5}}]}]}]}');
SELECT pg_temp.ended(workflow.start('scopes: nested'));
-- who catches what: the step, then each scope outwards
SELECT workflow.define('scopes: catch', '{"steps": [
  {"step": "outer", "catch": [{"on": ["FAILED", "boom"], "next": "by outer"}], "next": "end", "steps": [
    {"step": "inner", "catch": [{"on": "inner", "next": "by inner"}], "end": true, "steps": [
      {"step": "fork", "next": ["a", "b"]},
      {"step": "a", "wait": true, "catch": [{"on": "own", "next": "by a"}], "choose": [{"when": "$.throw == true", "next": "throw"}, {"next": "by a"}]},
      {"step": "b", "wait": true, "end": true},
      {"step": "by a", "set": {"by": "a"}, "end": true},
      {"step": "throw", "end": {"error": "boom", "message": "it is over"}}]},
    {"step": "by inner", "set": {"by": "inner", "caught": "${$caught.step} ${$caught.error.code}"}, "end": true}]},
  {"step": "by outer", "set": {"by": "outer", "caught": "${$caught.step} ${$caught.error.code}"}, "next": "end"},
  {"step": "end", "end": true}]}');
SELECT workflow.start('scopes: catch', '{"throw": false}') AS i \gset
SELECT pg_temp.failed(:i, 'a', 'own'), test.done(:i, 'b'), pg_temp.ended(:i), test.went(:i);
SELECT workflow.start('scopes: catch', '{"throw": false}') AS i \gset
SELECT pg_temp.failed(:i, 'a', 'inner'), pg_temp.ended(:i), test.went(:i);
SELECT workflow.start('scopes: catch', '{"throw": false}') AS i \gset
SELECT pg_temp.failed(:i, 'a', 'other'), pg_temp.ended(:i), test.went(:i);
SELECT workflow.start('scopes: catch', '{"throw": true}') AS i \gset
SELECT test.done(:i, 'a'), pg_temp.ended(:i), test.went(:i);
-- the last token of a scope throws
SELECT workflow.start('scopes: catch', '{"throw": true}') AS i \gset
SELECT test.done(:i, 'b'), test.done(:i, 'a'), pg_temp.ended(:i), test.went(:i);
-- a visit that is cancelled is nobody else's business
SELECT workflow.define('scopes: star', '{"steps": [
  {"step": "s", "catch": [{"on": "*", "next": "caught"}], "next": "end", "steps": [
    {"step": "fork", "next": ["a", "b"]}, {"step": "a", "wait": true, "end": true}, {"step": "b", "wait": true, "end": true}]},
  {"step": "caught", "next": "end", "set": {"caught": "${$caught.step}"}}, {"step": "end", "end": true}]}');
SELECT workflow.start('scopes: star') AS i \gset
SELECT workflow.cancel_visit(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'a';
SELECT test.at(:i);
-- but if all tokens of a scope are, it is cancelled itself, and catches that
SELECT workflow.cancel_visit(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'b';
SELECT pg_temp.ended(:i), test.went(:i);
-- and so is one that is cancelled as a whole
SELECT workflow.start('scopes: star') AS i \gset
SELECT workflow.cancel_visit(serial_number) FROM workflow.visits WHERE instance = :i AND step = 's';
SELECT pg_temp.ended(:i), test.went(:i);
-- a scope between ends without success, too
SELECT workflow.define('scopes: between', '{"steps": [
  {"step": "outer", "catch": [{"on": "far", "next": "caught"}], "next": "end", "steps": [
    {"step": "middle", "save": {"saved": true}, "next": "after", "steps": [{"step": "a", "wait": true}]}, {"step": "after", "set": {"after": true}}]},
  {"step": "caught", "next": "end"}, {"step": "end", "end": true}]}');
SELECT workflow.start('scopes: between') AS i \gset
SELECT test.try(format('SELECT workflow.heartbeat(%L)', serial_number)) FROM workflow.visits WHERE instance = :i AND step = 'middle';
SELECT pg_temp.failed(:i, 'a', 'far'), pg_temp.ended(:i), test.went(:i);
-- nor does one whose last token ends the instance
SELECT workflow.define('scopes: abort', '{"steps": [
  {"step": "s", "steps": [{"step": "x", "end": {"abort": "enough"}}], "next": "n"}, {"step": "n", "ignore_cancel": true, "wait": true}]}');
SELECT workflow.start('scopes: abort') AS i \gset
SELECT pg_temp.ended(:i), test.went(:i);
-- of two errors the first one is caught
SELECT workflow.define('scopes: first', '{"steps": [
  {"step": "s", "catch": [{"on": "E1", "next": "h1"}, {"on": "E2", "next": "h2"}], "end": true, "steps": [
    {"step": "f", "next": ["a", "b"]}, {"step": "a", "end": {"error": "E1"}}, {"step": "b", "end": {"error": "E2"}}]},
  {"step": "h1", "end": true}, {"step": "h2", "end": true}]}');
SELECT test.went(workflow.start('scopes: first'));
-- a scope that a step has ended is left once
SELECT workflow.define('scopes: once', '{"steps": [{"step": "s", "success": "$.x == 1", "steps": [{"step": "a", "end": "scope"}], "end": true}]}');
SELECT workflow.start('scopes: once', '{"x": 0}') AS i \gset
SELECT outcome, error ->> 'code' AS code FROM workflow.incidents WHERE instance = :i;
SELECT workflow.cancel(:i);
-- uncaught errors: an incident where it happened, in all scopes around; an error thrown aborts the instance
SELECT workflow.define('scopes: uncaught', '{"steps": [
  {"step": "s", "end": true, "steps": [
    {"step": "fork", "next": ["a", "b"]}, {"step": "a", "wait": true, "choose": [{"when": "$.throw == true", "next": "throw"}, {"next": "out"}]},
    {"step": "b", "wait": true, "end": true}, {"step": "throw", "end": {"error": "boom", "message": "it is over"}}, {"step": "out", "end": true}]}]}');
SELECT workflow.start('scopes: uncaught', '{"throw": false}') AS i \gset
SELECT pg_temp.failed(:i, 'a', 'x'), test.at(:i);
SELECT workflow.retry(serial_number) FROM workflow.incidents WHERE instance = :i;
SELECT test.at(:i);
SELECT test.done(:i, 'a'), test.done(:i, 'b'), pg_temp.ended(:i);
SELECT workflow.start('scopes: uncaught', '{"throw": true}') AS i \gset
SELECT test.done(:i, 'a'), pg_temp.ended(:i), test.went(:i);

-- end: "scope"; what goes on while a scope ends
SELECT workflow.define('scopes: end', '{"steps": [
  {"step": "s", "next": "after", "steps": [
    {"step": "fork", "next": ["a", "b", "c"]},
    {"step": "a", "wait": true, "end": "scope"},
    {"step": "b", "wait": true, "catch": [{"on": "CANCELLED", "next": "tell"}], "end": true},
    {"step": "tell", "ignore_cancel": true, "set": {"told": "${$caught.step}"}, "next": "never"},
    {"step": "never", "set": {"never": true}, "end": true},
    {"step": "c", "ignore_cancel": true, "wait": true, "end": true}]},
  {"step": "after", "next": ["d", "e"]}, {"step": "d", "wait": true, "end": "scope"}, {"step": "e", "wait": true, "end": true}]}');
SELECT workflow.start('scopes: end') AS i \gset
SELECT test.done(:i, 'a'), test.at(:i);
SELECT test.done(:i, 'c'), test.at(:i);
SELECT test.done(:i, 'd'), pg_temp.ended(:i), test.went(:i);

-- an incident inside of a scope that ends does not keep it, whatever its step ignores
SELECT workflow.define('scopes: stuck', '{"steps": [
  {"step": "s", "next": "n", "steps": [{"step": "x", "wait": true, "ignore_cancel": true}]}, {"step": "n", "wait": true}]}');
SELECT workflow.start('scopes: stuck') AS i \gset
SELECT pg_temp.failed(:i, 'x', 'no'), test.at(:i);
SELECT workflow.cancel_visit(serial_number) FROM workflow.visits WHERE instance = :i AND step = 's';
SELECT status, test.went(:i) FROM workflow.instances WHERE instance = :i;
-- the timeout of a scope: a handler, or an incident, which begins it anew when it is retried
SELECT workflow.define('scopes: timeout', '{"steps": [
  {"step": "s", "timeout": "${$.patience}", "local": {"n": 1}, "end": true, "steps": [
    {"step": "a", "set": {"n": 2}}, {"step": "b", "wait": true, "catch": [{"on": "CANCELLED", "next": "c"}], "end": true},
    {"step": "c", "ignore_cancel": true, "set": {"c": true}, "end": true}]}]}');
SELECT workflow.start('scopes: timeout', '{"patience": "0.1 s"}') AS i \gset
CALL test.until($$SELECT status = 'failed' FROM workflow.instances WHERE instance = $$ || :i);
SELECT test.at(:i), data FROM workflow.instances WHERE instance = :i;
SELECT step, outcome, error ->> 'message' AS message FROM workflow.incidents WHERE instance = :i;
SELECT workflow.set_data(:i, '{"patience": "1 day"}');
SELECT workflow.retry(serial_number) FROM workflow.incidents WHERE instance = :i;
SELECT test.at(:i);
SELECT test.done(:i, 'b'), pg_temp.ended(:i), test.went(:i);

-- handlers of a scope with times
SELECT workflow.define('scopes: handlers', '{"steps": [
  {"step": "s", "catch": [{"after": "0.1 s", "interrupt": false, "next": "beside"}, {"after": "0.3 s", "next": "instead", "save": {"by": "${$caught.step}"}}], "next": "end", "steps": [
    {"step": "a", "wait": true}]},
  {"step": "beside", "set": {"beside": "${$caught.step}"}, "end": true},
  {"step": "instead", "set": {"instead": true}, "next": "end"}, {"step": "end", "end": true}]}');
SELECT workflow.start('scopes: handlers') AS i \gset
CALL test.until($$SELECT status = 'completed' FROM workflow.instances WHERE instance = $$ || :i);
SELECT pg_temp.ended(:i), test.went(:i);

-- timeout and catch of the process
SELECT workflow.define('scopes: process', '{"timeout": "${$.patience}", "catch": [
    {"on": "boom", "next": "by process"}, {"after": "${$.remind}", "interrupt": false, "next": "remind"}], "steps": [
  {"step": "a", "wait": true, "next": "b"}, {"step": "b", "wait": true, "end": true},
  {"step": "by process", "set": {"by": "process ${$caught.step}"}, "next": "tell"}, {"step": "tell", "wait": true, "end": true},
  {"step": "remind", "set": {"reminded": true}, "end": true}]}');
SELECT workflow.start('scopes: process', '{"patience": "1 day", "remind": "0.1 s"}') AS i \gset
SELECT test.at(:i);
CALL test.until($$SELECT data ? 'reminded' FROM workflow.instances WHERE instance = $$ || :i);
SELECT test.done(:i, 'a'), pg_temp.failed(:i, 'b', 'boom'), test.at(:i);
SELECT test.done(:i, 'tell'), pg_temp.ended(:i), test.went(:i);
SELECT workflow.start('scopes: process', '{"patience": "0.1 s", "remind": "1 day"}') AS i \gset
CALL test.until($$SELECT status = 'aborted' FROM workflow.instances WHERE instance = $$ || :i);
SELECT pg_temp.ended(:i), test.went(:i);
-- called off, whatever its handlers have begun
SELECT workflow.start('scopes: process', '{"patience": "1 day", "remind": "0.1 s"}') AS i \gset
CALL test.until($$SELECT data ? 'reminded' FROM workflow.instances WHERE instance = $$ || :i);
SELECT workflow.cancel_visit(serial_number, 'enough') FROM workflow.visits WHERE instance = :i AND step = '(process)';
SELECT pg_temp.ended(:i), test.went(:i);
SELECT workflow.start('scopes: process', '{"patience": "1 day", "remind": "0.1 s"}') AS i \gset
CALL test.until($$SELECT data ? 'reminded' FROM workflow.instances WHERE instance = $$ || :i);
SELECT workflow.cancel_visit(serial_number, 'enough') FROM workflow.visits WHERE instance = :i AND step = 'a';
SELECT pg_temp.ended(:i), test.went(:i);
-- a clock that cannot be worked out is an incident, as everywhere
SELECT workflow.start('scopes: process', '{"remind": "1 day"}') AS i \gset
SELECT test.at(:i);
SELECT workflow.set_data(:i, '{"patience": "1 day"}');
SELECT workflow.retry(serial_number) FROM workflow.incidents WHERE instance = :i;
SELECT test.at(:i);
SELECT workflow.cancel(:i);
-- end: "scope" directly in it completes the instance
SELECT workflow.define('scopes: whole', '{"timeout": "1 day", "steps": [
  {"step": "fork", "next": ["a", "b"]}, {"step": "a", "wait": true, "end": "scope"}, {"step": "b", "wait": true, "end": true}]}');
SELECT workflow.start('scopes: whole') AS i \gset
SELECT test.done(:i, 'a'), pg_temp.ended(:i), test.went(:i);
SELECT workflow.define('scopes: last', '{"timeout": "1 day", "steps": [{"step": "a", "wait": true, "end": "scope"}]}');
SELECT workflow.start('scopes: last') AS i \gset
SELECT test.done(:i, 'a'), pg_temp.ended(:i), test.went(:i);
-- its first visit is there even if it begins suspended
SELECT workflow.suspend_process('scopes: process');
SELECT workflow.start('scopes: process', '{"patience": "1 day", "remind": "1 day"}') AS i \gset
SELECT test.at(:i);
SELECT workflow.resume_process('scopes: process');
CALL test.arrive(:i, 'a');
SELECT test.done(:i, 'a'), test.done(:i, 'b'), pg_temp.ended(:i);
SELECT workflow.start('scopes: process', '{"patience": "1 day", "remind": "1 day"}') AS i \gset
SELECT workflow.cancel(:i, 'enough');
SELECT pg_temp.ended(:i), test.went(:i);

-- more steps with ignore_cancel stand as incidents in a cancelled sub-process than are looked at in one transaction:
-- the others end all the same, and then nothing is due
SELECT workflow.define('scopes: stubborn', '{"data": {"n": 0}, "steps": [
  {"step": "s", "end": true, "steps": [
    {"step": "fork", "set": {"n": "${$.n + 1}"}, "next": ["fails", {"when": "$.n < 1001", "next": "fork"}, {"when": "$.n >= 1001", "next": "w"}]},
    {"step": "fails", "set": {"x": "${$.n / 0}"}, "ignore_cancel": true, "end": true},
    {"step": "w", "wait": true, "end": true}]}]}');
SELECT workflow.start('scopes: stubborn') AS i \gset
CALL test.arrive(:i, 'w');
SELECT workflow.cancel(:i);
CALL test.until(format($$SELECT NOT EXISTS (SELECT FROM workflow.visits WHERE instance = %s AND step = 'w') AND
  NOT EXISTS (SELECT FROM workflow_data.visit WHERE instance = %1$s AND due_at IS NOT NULL)$$, :i));
SELECT step, state, count(*) FROM workflow.visits WHERE instance = :i GROUP BY 1, 2 ORDER BY 1;
SELECT workflow.cancel(:i);
SELECT pg_temp.ended(:i);

-- nothing is left
SELECT count(*) FROM workflow.visits WHERE process LIKE 'scopes: %';
SELECT count(workflow.undefine(process)) > 0 AS undefined FROM workflow.processes WHERE process LIKE 'scopes: %';
