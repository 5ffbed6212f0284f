-- Steps that are done for each item of a list: what is refused, and what is warned of.

CREATE FUNCTION pg_temp.issues(definition json) RETURNS TABLE (path text, severity text, message text, hint text, step text) LANGUAGE sql AS $$
    SELECT path, severity, message, hint, step FROM workflow.check(definition)
$$;

-- the list, and how it is gone through
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "each": 7, "wait": true}, {"step": "b", "each": {}, "wait": true}, {"step": "c", "each": ["$.x"], "wait": true}, {"step": "d", "each": "${$.x}", "wait": true}, {"step": "e", "each": "$.x[", "wait": true}, {"step": "f", "each": "", "wait": true},
    {"step": "g", "each": {"in": ["x"], "parallel": "2", "until": true, "collect": 7}, "wait": true}, {"step": "h", "each": {"in": "$.x", "parallel": 0, "collect": " "}, "wait": true}, {"step": "i", "each": {"in": "$.x", "parallel": 1.5}, "wait": true},
    {"step": "j", "each": {"in": "$.x", "paralel": 2, "item": "x"}, "wait": true}, {"step": "k", "each": {"in": "$.x", "parallel": 3000000000}, "wait": true}, {"step": "l", "each": null, "wait": true}, {"step": "m", "each": {"in": "$nothing.x", "until": "$result ="}, "wait": true}]}');
-- what does not go with it
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "each": "$.x", "first_of": [{"callback": true, "next": "b"}, {"after": "1 s", "next": "b"}]},
    {"step": "b", "each": "$.x", "local": {"x": 1}, "wait": true}, {"step": "c", "each": "$.x", "wait": true, "steps": [{"step": "in c"}]},
    {"step": "d", "each": "$.x", "set": {"x": 1}, "save_reply": {"x": 1}, "retry": {"max": 1}, "cancel": {"path": "/x"}, "heartbeat": "1 s"},
    {"step": "e", "each": "$.x", "sql": "SELECT 1", "http": {"server": "each_errors", "path": "/"}}]}');
-- what is of the whole knows nothing of its items, nor of what they have given
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "each": "$.x[$index]", "sql": "SELECT 1 AS x", "timeout": "${$item.t}", "next": [{"when": "$result.response.x == 1", "next": "b"}, {"else": "b"}]},
    {"step": "b", "each": {"in": "$reply.x"}, "sql": "SELECT 1 AS x", "choose": [{"when": "$reply.row.x == 1", "next": "c"}, {"when": "$event.kind == \"callback\"", "next": "c"}, {"next": "c"}]},
    {"step": "c", "each": "$.x", "wait": true, "catch": [{"after": "${$index} s", "save": {"x": "${$item}"}, "next": "d"}, {"message": "m", "key": "${$item}", "next": "d"}]},
    {"step": "d", "each": "$.x", "wait": true, "end": {"error": "x", "message": "${$result.status} ${$index}"}}]}');
-- an item knows itself, and what is within it too; what is around does not
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "each": {"in": "$.x", "until": "$item == $index && $result.response == $reply && $event.kind == \"callback\""}, "sql": "SELECT visit.item, visit.index", "wait": {"callback": true, "when": "$item == 1"}, "success": "$item == 1", "save": {"x": "${$item}"}, "save_reply": {"y": "${$index}"}},
    {"step": "b", "each": "$.x", "local": {"x": "${$item}"}, "steps": [{"step": "c", "set": {"x": "${$item}"}, "timeout": "1 s", "catch": [{"on": "*", "next": "c"}], "next": [{"when": "$index == 1", "next": "d"}, {"else": "d"}]}, {"step": "d", "each": "$item.lines", "wait": true, "timeout": "${$item.t}"}]},
    {"step": "e", "set": {"x": "${$item}", "y": "${$index ?? 0}"}}, {"step": "f", "wait": {"callback": true, "when": "$index == 1"}}]}');
-- what is collected must be given
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "each": {"in": "$.x", "collect": "y"}, "set": {"x": 1}}, {"step": "b", "each": {"in": "$.x", "collect": "y"}, "steps": [{"step": "in b"}]}, {"step": "c", "each": {"in": "$.x", "collect": "y"}, "notify": {"channel": "x"}}]}');
-- routes, names, reaching: the step is one
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "each": "$.x", "next": "in b", "wait": true}, {"step": "b", "each": "$.x", "next": "c", "steps": [{"step": "in b", "next": "a"}, {"step": "b"}, {"step": "in b too", "end": true}]}, {"step": "c", "each": "$.x", "wait": true, "end": true}, {"step": "never", "each": "$.x", "wait": true}]}');
-- a loop of nothing but items that do not rest
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "each": "$.x", "set": {"y": "${$item}"}, "next": "a"}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "each": "$.x", "wait": true, "next": "a"}]}');
-- a row shows no number of one of many
CREATE SCHEMA each_errors;
CREATE TABLE each_errors.t (id integer PRIMARY KEY, sn text);
SELECT workflow.define('each_errors', '{"steps": [{"step": "e", "each": "$.x", "wait": true}]}');
SELECT workflow.attach('each_errors.t', 'each_errors', serial_column => 'sn', serial_step => 'e');
