-- Defining events: what is refused, and what is warned of.

CREATE FUNCTION pg_temp.issues(definition json) RETURNS TABLE (path text, severity text, message text, hint text, step text) LANGUAGE sql AS $$
    SELECT path, severity, message, hint, step FROM workflow.check(definition)
$$;

-- what is no event, or more than one
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "wait": {}}, {"step": "b", "wait": {"key": "x"}}, {"step": "c", "wait": {"message": "m", "signal": "s"}}, {"step": "d", "wait": {"signal": "s", "key": "x"}}, {"step": "e", "wait": 7}, {"step": "f", "wait": {"mesage": "m"}},
    {"step": "g", "wait": {"every": "1 s", "times": 2}}, {"step": "h", "wait": {"escalation": "x"}}, {"step": "i", "wait": {"message": "m", "next": "a", "save": {"x": 1}, "interrupt": false}}]}');
-- names, keys, conditions
SELECT * FROM pg_temp.issues(format('{"steps": [
    {"step": "a", "wait": {"message": ""}}, {"step": "b", "wait": {"message": 1}}, {"step": "c", "wait": {"message": "${$.x}"}}, {"step": "d", "wait": {"signal": null}}, {"step": "e", "wait": {"signal": %s}},
    {"step": "f", "wait": {"message": "m", "key": null}}, {"step": "g", "wait": {"message": "m", "key": ["x"]}}, {"step": "h", "wait": {"message": "m", "key": {"x": 1}}}, {"step": "i", "wait": {"message": "m", "key": %s}}, {"step": "j", "wait": {"message": "m", "key": "${$.x"}},
    {"step": "k", "wait": {"condition": "$.x ="}}, {"step": "l", "wait": {"condition": true}}, {"step": "m", "wait": {"condition": "${$.x}"}}, {"step": "n", "wait": {"message": "m", "key": %s}}]}',
    to_json(repeat('é', 101)), to_json(repeat('k', 1025)), repeat('1', 1025))::json);
-- the key is known when the step is entered
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "sql": "SELECT 1 AS id", "wait": {"message": "m", "key": "${$reply.row.id}", "when": "$reply.row.id == 1"}},
    {"step": "b", "sql": "SELECT 1 AS id", "first_of": [{"message": "m", "key": "${$reply.row.id}", "next": "b"}, {"after": "${$reply.row.id} s", "when": "$reply.row.id == 1", "next": "b"}, {"condition": "$reply.row.id == $.x", "next": "b"}, {"condition": "$result.status == 1", "next": "b"}]},
    {"step": "c", "sql": "SELECT 1 AS id", "catch": [{"message": "m", "key": "${$reply.row.id}", "interrupt": false, "next": "c"}, {"condition": "$reply.row.id == 1", "next": "c"}]}]}');

-- first_of
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "first_of": true, "next": "b"}, {"step": "b", "first_of": []}, {"step": "c", "first_of": [{"signal": "s", "next": "d"}]}, {"step": "d", "first_of": [7, {"signal": "s"}, {"next": "d"}, {"signal": "s", "after": "1 s", "next": "nowhere"}, {"callback": true, "next": []}]},
    {"step": "e", "first_of": [{"every": "1 s", "next": "a"}, {"escalation": "x", "next": "a"}, {"on": "*", "next": "a"}, {"signal": "s", "interrupt": false, "then": "a", "next": ["a", "a"]}, {"signal": "s", "next": [{"when": "$.x", "next": "a"}]}]}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "wait": true, "first_of": [{"message": "m", "next": "a"}, {"after": "1 s", "next": "b"}]}, {"step": "b"}]}');
SELECT path, message, hint FROM pg_temp.issues(format('{"steps": [{"step": "a", "first_of": [%s]}, {"step": "b"}]}', (SELECT string_agg('{"after": "1 s", "next": "a"}', ',') FROM generate_series(1, 101)))::json);
-- its own route
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "first_of": [{"callback": true, "next": "a"}, {"after": "1 s", "when": "$.x", "next": "b"}], "next": "b"},
    {"step": "b", "first_of": [{"callback": true, "when": "$.x", "next": "a"}, {"after": "1 s", "when": "$.x", "next": "b"}]},
    {"step": "c", "first_of": [{"callback": true, "when": "$.x", "next": "a"}, {"after": "1 s", "when": "$.x", "next": "b"}], "end": true, "choose": [{"next": "a"}]}]}');
-- what follows it is not reached without saying so
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "first_of": [{"callback": true, "next": "a"}, {"after": "1 s", "next": "a"}]}, {"step": "b"}]}');
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "first_of": [{"callback": true, "next": ["b", "c"]}, {"after": "1 s", "next": ["c", "d"]}]}, {"step": "b"}, {"step": "c"}, {"step": "d"}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "s", "steps": [{"step": "a", "first_of": [{"callback": true, "next": "b"}, {"after": "1 s", "next": "in"}]}]}, {"step": "b", "steps": [{"step": "in"}]}]}');

-- callbacks: one entry takes them
SELECT * FROM pg_temp.issues('{"catch": [{"callback": true, "next": "x"}, {"callback": true, "next": "x"}], "steps": [
    {"step": "a", "wait": true, "catch": [{"callback": true, "next": "b"}]},
    {"step": "b", "first_of": [{"callback": true, "next": "c"}, {"callback": true, "when": "$.x", "next": "c"}], "catch": [{"callback": true, "next": "c"}]},
    {"step": "c", "wait": {"after": "1 s"}, "catch": [{"callback": true, "next": "d"}, {"callback": false, "next": "d"}], "heartbeat": "1 s", "warn_waiting": "1 h"}, {"step": "d", "end": true}, {"step": "x"}]}');
-- heartbeats and the URL of a webhook are of callbacks
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "wait": {"message": "m"}, "heartbeat": "1 s", "warn_waiting": "1 h", "success": "$result.response == 1"},
    {"step": "b", "notify": {"channel": "c", "payload": "${$callback_url ?? 1}"}, "first_of": [{"message": "m", "next": "c"}, {"after": "1 s", "next": "c"}], "heartbeat": "1 s"},
    {"step": "c", "notify": {"channel": "c", "payload": "${$callback_url ?? 1}"}, "catch": [{"callback": true, "next": "d"}], "end": true}, {"step": "d"}]}');
-- a message that one visit would wait for twice
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "first_of": [{"message": "m", "next": "b"}, {"message": "m", "next": "c"}, {"message": "m", "key": "x", "next": "b"}, {"message": "n", "key": "${$.a}", "next": "b"}], "catch": [{"message": "m", "next": "b"}, {"message": "n", "key": "${$.a}", "interrupt": false, "next": "b"}, {"message": "n", "key": 1, "next": "b"}, {"message": "n", "key": 1, "next": "b"}]},
    {"step": "b", "join": "any", "end": true}, {"step": "c", "wait": {"message": "m", "key": "1"}, "catch": [{"message": "m", "key": 1, "next": "b"}]}]}');

-- handlers
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "wait": true, "catch": [{"every": "1 s", "next": "b"}, {"every": "1 s", "interrupt": true, "next": "b"}, {"every": "0", "interrupt": false, "next": "b"}, {"every": "9 ms", "interrupt": false, "next": "b"}, {"every": "-1 s", "times": 0, "interrupt": false, "next": "b"}, {"every": 7, "times": 1.5, "interrupt": false, "next": "b"},
        {"after": "1 s", "times": 2, "next": "b"}, {"signal": "s", "key": "x", "next": "b"}, {"signal": "s", "when": "$.x", "next": "b"}, {"on": "*", "signal": "s", "next": "b"}, {"signal": "s", "condition": "$.x", "next": "b"}, {"times": 2, "next": "b"}, {"escalation": "e", "next": "b"}]},
    {"step": "b"}]}');
SELECT * FROM pg_temp.issues('{"catch": [{"escalation": "e", "next": "x"}, {"on": "*", "next": "x"}, {"escalation": "*", "next": "x"}, {"escalation": "f", "next": "x"}, {"escalation": ["e"], "next": "x"}],
    "steps": [{"step": "a", "steps": [{"step": "b", "send": {"escalation": "e"}, "catch": [{"escalation": "e", "next": "c"}]}, {"step": "c"}], "catch": [{"escalation": "e", "next": "d"}, {"escalation": "e", "next": "d"}]}, {"step": "d"}, {"step": "x"}]}');
-- where nothing could happen meanwhile
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "set": {"x": 1}, "catch": [{"signal": "s", "next": "c"}, {"condition": "$.x", "next": "c"}]}, {"step": "b", "send": {"signal": "s"}, "timeout": "1 s", "catch": [{"every": "1 s", "interrupt": false, "next": "c"}]}, {"step": "c"}]}');

-- send
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "send": {}}, {"step": "b", "send": {"message": "m", "signal": "s", "escalation": "e"}}, {"step": "c", "send": {"signal": "s", "key": 1, "ttl": "1 s", "message_id": 1, "instance": 1, "to_all": true}}, {"step": "d", "send": {"escalation": "*", "key": 1}},
    {"step": "e", "send": {"message": "${$.m}", "key": null, "ttl": "-1 s", "message_id": [], "instance": "5_31", "to_all": "yes", "payload": 1}}, {"step": "f", "send": "m"}, {"step": "g", "send": {"message": "m", "instance": 0, "data": "${$reply}"}},
    {"step": "h", "send": {"message": "m", "instance": true, "data": "${$event}"}, "retry": {"max": 1}, "set": {"x": 1}}, {"step": "i", "send": {"message": "m", "instance": 1.5, "ttl": "soon"}, "success": "$error.code == \"x\""}]}');
SELECT * FROM pg_temp.issues('{"retry": {"max": 1}, "steps": [{"step": "a", "send": {"message": "m"}}]}');
-- a loop of nothing but sending
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "send": {"message": "m"}}, {"step": "b", "send": {"signal": "s"}, "next": "a"}]}');

-- $event
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "set": {"x": "${$event.kind}"}}, {"step": "b", "wait": {"after": "${$event.at}"}, "success": "$event.kind == \"after\""}, {"step": "c", "sql": "SELECT 1", "save": {"x": "${$event}"}, "choose": [{"when": "$event.kind == \"x\"", "next": "d"}, {"next": "d"}]},
    {"step": "d", "notify": {"channel": "${$event.name}"}, "first_of": [{"message": "m", "key": "${$event.key}", "when": "$event.key == 1", "next": "e"}, {"condition": "$event.key == 1", "save": {"x": "${$event.key}"}, "next": "e"}], "save_reply": {"x": "${$event}"}},
    {"step": "e", "steps": [{"step": "f", "wait": true}], "local": {"x": "${$event}"}, "save": {"x": "${$event.data}"}, "catch": [{"message": "m", "key": "${$event.key}", "interrupt": false, "save": {"x": "${$event.data}", "y": "${$result.response}"}, "next": "g"}]},
    {"step": "g", "set": {"x": "${$caught.event.data}", "y": "${$evnt}"}}]}');

-- a sub-process waits for its steps alone
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "steps": [{"step": "b", "wait": true}], "first_of": [{"callback": true, "next": "c"}, {"signal": "s", "next": "c"}], "send": {"signal": "s"}}, {"step": "c"}]}');
-- not there yet
SELECT path, message FROM pg_temp.issues('{"start_on": [{"webhook": "x"}], "steps": [{"step": "a", "wait": {"topic": "t"}}, {"step": "b", "first_of": [{"topic": "t", "next": "a"}, {"signal": "s", "next": "a"}]}, {"step": "c", "wait": true, "catch": [{"topic": "t", "next": "a"}]}]}');

-- messages that start an instance
SELECT * FROM pg_temp.issues('{"start_on": [{}, 7, {"message": "${$.x}", "key": "${$.x}", "business_key": ["x"], "step": "nowhere"}, {"message": "m", "key": 1, "business_key": "${$serial_number}-${$event.data.id}-${$result}"}, {"message": "m", "key": "1", "step": "inner"}, {"message": "m", "key": null, "when": "$.x"}, {"message": "m", "ky": 1}],
    "steps": [{"step": "a", "steps": [{"step": "inner"}]}]}');
SELECT * FROM pg_temp.issues('{"start_on": {"message": "m"}, "steps": [{"step": "a", "end": true}, {"step": "b"}]}');
SELECT path, message, hint FROM pg_temp.issues(format('{"start_on": [%s], "steps": [{"step": "a"}]}', (SELECT string_agg(format('{"message": "m%s"}', g), ',') FROM generate_series(1, 101) g))::json);
-- both a message and a handler of the process lead there
SELECT * FROM pg_temp.issues('{"start_on": [{"message": "m", "step": "b"}], "catch": [{"on": "*", "next": "b"}], "steps": [{"step": "a", "end": true}, {"step": "b"}]}');

-- what is hardly meant
SELECT * FROM pg_temp.issues('{"catch": [{"escalation": "late", "next": "x"}, {"escalation": "later", "next": "x"}, {"escalation": "*", "interrupt": false, "next": "x"}], "steps": [
    {"step": "a", "steps": [{"step": "b", "send": {"escalation": "late"}}], "catch": [{"escalation": "lat", "next": "c"}]},
    {"step": "c", "steps": [{"step": "d", "wait": true}], "catch": [{"escalation": "*", "next": "e"}]},
    {"step": "e", "send": {"message": "m", "message_id": "order"}}, {"step": "x", "send": {"escalation": "later"}}]}');
