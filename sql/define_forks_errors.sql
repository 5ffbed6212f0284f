-- Defining forks, joins, sub-processes, and what a process catches: what is refused, and what is warned of.

CREATE FUNCTION pg_temp.issues(definition json) RETURNS TABLE (path text, severity text, message text, hint text, step text) LANGUAGE sql AS $$
    SELECT path, severity, message, hint, step FROM workflow.check(definition)
$$;

-- where a step goes
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "next": []},
    {"step": "b", "next": ["c", "d", "c", "nowhere", 1]},
    {"step": "c", "next": [{"when": "$.x", "next": ["d", "d"]}, {"when": "$.x"}, {"next": "d"}, {"else": "d", "next": "c"}, {"else": "d", "when": "$.y"}, {}, 7, null, "d", "d", {"when": 1, "next": []}]},
    {"step": "d", "choose": [{"when": "$.x", "next": [{"when": "$.y", "next": "a"}]}, {"next": []}]},
    {"step": "e", "wait": true, "catch": [{"on": "*", "next": ["a", "a", {"else": "b"}]}], "next": {"when": "$.x", "next": "a"}, "end": "process"}
  ]}');
-- else
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "next": [{"else": "b"}, "b"]}, {"step": "b", "next": [{"else": "c"}]}, {"step": "c", "next": [{"when": "$.x", "next": "d"}, {"else": "d"}, {"else": "d"}]},
    {"step": "d", "next": [{"when": "$.x", "otherwise": "a"}], "end": "scoop"} ]}');
SELECT workflow.define('define_forks_errors', '{"steps": [{"step": "a", "next": [{"when": "$.x", "next": "b"}, {"else": ["b", "d"]}]}, {"step": "b", "wait": true}, {"step": "c", "wait": true, "next": "e"}, {"step": "d", "wait": true}, {"step": "e", "join": "both"}]}');
\echo :SQLSTATE

-- a branch that would run into another one
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "next": ["b", "c", "d"]}, {"step": "b", "wait": true}, {"step": "c", "wait": true, "next": "d"}, {"step": "d", "join": "all"}]}');
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "wait": true, "catch": [{"on": "*", "next": ["b", "c"]}], "next": [{"when": "$.x", "next": "c"}, {"else": "d"}]},
    {"step": "b", "wait": true}, {"step": "c", "wait": true}, {"step": "d", "wait": true, "choose": [{"when": "$.x", "next": ["e", "f"]}, {"next": "e"}]}, {"step": "e"}, {"step": "f"}]}');
-- it is none if they say so, or do not follow on each other, or are of different forks
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "next": ["b", "d"]}, {"step": "b", "wait": true}, {"step": "c", "choose": [{"when": "$.x", "next": "d"}, {"next": "e"}]}, {"step": "d", "wait": true, "next": "e"}, {"step": "e"}]}');

-- joins
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "join": "some"}, {"step": "b", "join": 0}, {"step": "c", "join": -1}, {"step": "d", "join": 1.5}, {"step": "e", "join": 1e3}, {"step": "f", "join": 1000000000}, {"step": "g", "join": "2"}, {"step": "h", "join": true}, {"step": "i", "join": ["a"]}]}');
-- joins that can never fill
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "join": 2, "next": ["b", "c"]}, {"step": "b", "wait": true, "next": "d"}, {"step": "c", "wait": true, "next": "d"}, {"step": "d", "join": 3, "wait": true, "next": [{"when": "$.x", "next": "e"}, {"else": ["e", "f"]}]},
    {"step": "e", "wait": true, "next": "g"}, {"step": "f", "wait": true, "next": "g"}, {"step": "g", "join": 5}]}');
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "choose": [{"when": "$.x", "next": ["b", "c"]}, {"next": "b"}]}, {"step": "b", "wait": true, "catch": [{"after": "1 h", "interrupt": false, "next": "d"}, {"after": "2 h", "next": "d"}, {"on": "*", "next": "d"}], "next": "d"},
    {"step": "c", "wait": true, "next": "d"}, {"step": "d", "join": 4}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "scope", "steps": [{"step": "a", "next": ["b", "c"]}, {"step": "b", "next": "d"}, {"step": "c", "next": "d"}, {"step": "d", "join": 3}]}]}');
-- it cannot be known if a route leads nowhere
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "next": ["b", "nowhere"]}, {"step": "b", "join": 2}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "next": [{"when": "$.x", "next": "b"}, {"when": "$.x"}]}, {"step": "b", "join": 2}]}');

-- loops
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "next": ["b", "c"]}, {"step": "b", "next": "a"}, {"step": "c", "end": true}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "next": [{"when": "$.x", "next": "b"}, {"else": "c"}]}, {"step": "b", "next": "a"}, {"step": "c", "set": {"x": 1}, "next": ["a"]}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "next": [{"when": "$.x", "next": "b"}, "c"]}, {"step": "b", "end": true}, {"step": "c", "set": {"x": 1}, "next": ["a"]}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "next": ["b", "c"]}, {"step": "b", "next": "d"}, {"step": "c", "next": "d"}, {"step": "d", "join": "all", "next": "a"}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "steps": [{"step": "b", "set": {"x": 1}}, {"step": "c", "steps": [{"step": "d", "next": "e"}, {"step": "e"}]}], "next": "a"}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "steps": [{"step": "b", "next": "c"}, {"step": "c", "next": "b"}]}]}');
-- loops that tokens leave, or in which something takes time
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "next": [{"when": "$.x", "next": "a"}, {"else": "c"}]}, {"step": "c"}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "next": [{"when": "$.x", "next": "a"}]}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "next": ["b", "c"]}, {"step": "b", "wait": true, "next": "d"}, {"step": "c", "next": "d"}, {"step": "d", "join": "all", "next": "a"}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "steps": [{"step": "b", "steps": [{"step": "c", "wait": true}]}], "next": "a"}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "steps": [{"step": "b", "end": {"error": "E"}}], "catch": [{"on": "E", "next": "c"}], "next": "a"}, {"step": "c"}]}');

-- sub-processes
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "steps": [{"step": "a", "next": "c"}, {"step": "b", "next": "inner"}], "next": "a2"},
    {"step": "c", "steps": [{"step": "d", "steps": [{"step": "inner", "wait": true, "next": "d"}]}, {"step": "e", "wait": true, "next": "ee", "catch": [{"on": "*", "next": "a"}]}], "next": "f"},
    {"step": "f", "steps": []}, {"step": "g", "steps": {}}, {"step": "h", "steps": [1, {"wait": true}]}, {"step": "b", "steps": [{"step": "start", "start": "i"}, {"step": "i"}], "start": "i"}
  ]}');
-- what else such a step may have
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "set": {"x": 1}, "steps": [{"step": "b", "wait": true}], "wait": true, "heartbeat": "1 s", "warn_waiting": "1 h", "retry": {"max": 1}, "save_reply": {"x": 1}, "cancel": {"path": "/x"}, "success": "$reply.status == 200"},
    {"step": "c", "local": {"x": 1}, "wait": true},
    {"step": "d", "steps": [{"step": "e", "set": {"x": "${$caught.step}"}}], "local": ["x"], "timeout": "${$result.x}"},
    {"step": "f", "steps": [{"step": "g", "wait": true}], "local": {"x": "${$result.response}", "y": "${$reply.body}", "z": "${$caught.step}"}, "first_of": [{"after": "1 h", "next": "f"}, {"callback": true, "next": "f"}], "each": "$.items[*]"}
  ]}');
-- of steps that nothing leads to, what they have inside is not told of
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "steps": [{"step": "b", "wait": true, "end": true}, {"step": "c", "steps": [{"step": "d", "wait": true}, {"step": "e"}]}], "next": "f"}, {"step": "f", "end": true}, {"step": "g", "steps": [{"step": "h"}]}]}');
-- in vain
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "steps": [{"step": "b", "wait": true}], "catch": [{"on": ["TIMED_OUT", "DIED", "5xx"], "next": "c"}]},
    {"step": "c", "steps": [{"step": "d", "steps": [{"step": "e", "wait": true, "timeout": "1 s", "heartbeat": "1 s"}]}], "catch": [{"on": ["TIMED_OUT", "DIED"], "next": "f"}]}, {"step": "f"}]}');
-- $caught and $error are there in all that is behind a handler
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "wait": true, "catch": [{"on": "*", "next": "b"}]}, {"step": "b", "steps": [{"step": "c", "set": {"x": "${$caught.step}${$error.code}"}}]}]}');
-- up to 20 lists deep
CREATE FUNCTION pg_temp.deep(n int) RETURNS json LANGUAGE sql AS $$
    SELECT ('{' || string_agg(format('"steps": [{"step": "s%s", ', g), '' ORDER BY g) || '"wait": true' || repeat('}]', n) || '}')::json FROM generate_series(1, n) g
$$;
SELECT * FROM pg_temp.issues(pg_temp.deep(20));
SELECT length(path), message, hint, step FROM pg_temp.issues(pg_temp.deep(21));

-- what a process catches
SELECT * FROM pg_temp.issues('{"timeout": "soon", "catch": [{"on": "*"}, {"on": "FAILED", "next": "nowhere"}, {"after": "1 h", "interrupt": false, "save": {"x": "${$result.status}${$reply.status}"}, "next": "inner"}, {"topic": "go", "next": "b"}],
    "steps": [{"step": "a", "wait": true}, {"step": "b", "steps": [{"step": "inner", "wait": true}]}]}');
SELECT * FROM pg_temp.issues('{"timeout": "${$caught.step}", "catch": {"on": "*", "next": "b"}, "steps": [{"step": "a", "wait": true, "end": true}, {"step": "b"}]}');
SELECT * FROM pg_temp.issues('{"catch": [{"on": ["TIMED_OUT", "DIED", "5xx"], "next": "b"}], "steps": [{"step": "a", "wait": true}, {"step": "b", "http": {"url": "${$.url}"}, "timeout": "1 h", "wait": true, "heartbeat": "1 h"}]}');
-- steps that both the start and the handlers lead to
SELECT * FROM pg_temp.issues('{"catch": [{"on": "*", "next": "b"}], "steps": [{"step": "a", "wait": true, "next": "b"}, {"step": "b", "wait": true}, {"step": "c", "wait": true}]}');
SELECT * FROM pg_temp.issues('{"catch": [{"on": "*", "next": ["c", "d"]}], "steps": [{"step": "a", "next": "b"}, {"step": "b", "choose": [{"when": "$.x", "next": "d"}, {"next": "e"}]}, {"step": "c", "wait": true, "catch": [{"on": "*", "next": "a"}], "next": [{"when": "$.x", "next": "e"}]}, {"step": "d"}, {"step": "e"}]}');
SELECT * FROM pg_temp.issues('{"catch": [{"on": "*", "next": "b"}], "steps": [{"step": "a", "join": "any", "next": ["b", "c"]}, {"step": "b", "join": "any", "next": "a"}, {"step": "c", "join": 7, "next": "b"}]}');
SELECT * FROM pg_temp.issues('{"catch": [{"on": "*", "next": "a"}], "steps": [{"step": "a", "wait": true}]}');
SELECT * FROM pg_temp.issues('{"start": "b", "catch": [{"on": "*", "next": "b"}], "steps": [{"step": "a", "wait": true}, {"step": "b", "wait": true}]}');
-- a step does not go on to one of the handlers without saying so, nor the other way round
SELECT * FROM pg_temp.issues('{"catch": [{"on": "*", "next": "b"}], "steps": [{"step": "a", "wait": true}, {"step": "b", "wait": true}, {"step": "c", "wait": true, "end": true}, {"step": "d"}]}');
SELECT * FROM pg_temp.issues('{"start": "b", "catch": [{"on": "*", "next": "a"}], "steps": [{"step": "a", "wait": true}, {"step": "b", "wait": true}]}');
-- the step that stands for the process has no name for others
SELECT * FROM pg_temp.issues('{"timeout": "1 h", "start": "(process)", "steps": [{"step": "a", "next": "(process)"}, {"step": "b", "steps": [{"step": "(process)", "wait": true}]}, {"step": "(process)", "wait": true}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "next": "(process)"}, {"step": "(process)", "wait": true}]}');
SELECT * FROM pg_temp.issues('{"timeout": "1 h", "steps": []}');
SELECT * FROM pg_temp.issues('{"timeout": "1 h", "steps": 1}');
SELECT * FROM pg_temp.issues('{"catch": 1}');
SELECT * FROM pg_temp.issues('{"timeout": "1 h", "catch": [{"on": "*", "next": "a"}], "start": "a"}');
SELECT * FROM pg_temp.issues('{"timeout": "1 h", "catch": [{"on": "*", "next": "a"}], "steps": [1, []]}');
-- parts of later versions are refused by name
SELECT path, message FROM pg_temp.issues('{"priority": 1, "steps": [{"step": "a", "call": {}}, {"step": "b", "each": "$.a"}, {"step": "c", "wait": {"topic": "t"}}]}');
