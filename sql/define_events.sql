-- Defining events: what steps wait for, catch and send, and what is accepted of it without a word.

CREATE FUNCTION pg_temp.issues(definition json) RETURNS TABLE (path text, severity text, message text, hint text, step text) LANGUAGE sql AS $$
    SELECT path, severity, message, hint, step FROM workflow.check(definition)
$$;

-- each event as a wait
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "wait": {"message": "paid", "key": "${$.id}", "when": "$.dear"}, "success": "$event.data.ok == true", "save": {"by": "${$event.role}", "at": "${$event.at}", "paid": "${$result.response.sum}"}, "timeout": "2 days"},
    {"step": "b", "wait": {"message": "shipped", "key": 17}, "choose": [{"when": "$event.kind == \"message\"", "next": "c"}, {"next": "d"}]},
    {"step": "c", "wait": {"message": "any"}, "save": true},
    {"step": "d", "wait": {"signal": "day closed"}, "save": {"day": "${$event.data.day ?? null}"}},
    {"step": "e", "wait": {"condition": "$.approvals >= 2"}, "timeout": "1 day", "catch": [{"on": "TIMED_OUT", "next": "f"}]},
    {"step": "f", "wait": true, "save": {"by": "${$event.role}"}}]}');
-- the first of several, behind an action or without one; what is always open, and what need not be
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "ask", "notify": {"channel": "c", "payload": "${$callback_url ?? $serial_number}"}, "first_of": [
        {"callback": true, "save": {"answer": "${$event.data}", "result": "${$result.response}"}, "next": "done"},
        {"message": "refused", "key": "${$.id}", "next": ["tell", "note"]},
        {"signal": "stop", "when": "$.can_stop", "next": "tell"},
        {"condition": "$.withdrawn", "next": "done"},
        {"until": "${$.deadline}", "next": "ask"},
        {"after": "3 days", "next": "ask"}], "success": "$event.kind != \"callback\" || $result.response.ok == true", "save": {"n": "${$.n ?? 0}"}, "heartbeat": "1 h", "warn_waiting": "1 day", "timeout": "10 days",
        "catch": [{"on": "*", "next": "done"}]},
    {"step": "tell", "wait": true, "next": "done"}, {"step": "note", "next": "done"}, {"step": "done", "join": "all"}]}');
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "first_of": [{"message": "m", "when": "$.m", "next": "b"}, {"message": "m", "when": "$.n", "next": "c"}], "choose": [{"when": "$.x", "next": "b"}, {"next": "d"}]},
    {"step": "b", "end": true}, {"step": "c", "end": true}, {"step": "d"}]}');
-- handlers of steps, of sub-processes and of the process
SELECT * FROM pg_temp.issues('{"timeout": "9 days",
    "catch": [{"message": "cancelled", "key": "${$.id}", "save": {"why": "${$event.data.why}", "status": "${$result.status}"}, "next": "stop"}, {"escalation": "*", "interrupt": false, "next": "tell"}, {"every": "1 day", "interrupt": false, "save": {"beats": "${$event.at}"}, "next": "tell"}],
    "steps": [
    {"step": "a", "wait": {"message": "m"}, "catch": [{"callback": true, "next": "b"}, {"message": "n", "interrupt": false, "next": "b"}, {"message": "m", "key": "x", "next": "b"}, {"signal": "s", "next": "b"}, {"condition": "$.x", "next": "b"},
        {"every": "${$.pause}", "times": 3, "interrupt": false, "next": "b"}, {"until": "2030-01-01", "interrupt": false, "next": "b"}]},
    {"step": "b", "join": "all"},
    {"step": "c", "steps": [{"step": "d", "send": {"escalation": "late", "data": {"id": "${$.id}"}}}, {"step": "worse", "send": {"escalation": "later"}}],
        "catch": [{"escalation": "late", "interrupt": false, "next": "e"}, {"escalation": "later", "next": "e"}, {"escalation": "*", "next": "e"}, {"on": "*", "next": "e"}, {"callback": true, "next": "e"}]},
    {"step": "e", "join": "all", "end": true},
    {"step": "stop", "set": {"x": "${$caught.event.data}"}, "end": "scope"}, {"step": "tell", "notify": {"channel": "c", "payload": "${$caught.event.name ?? null}"}}]}');
-- what is sent
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "send": {"message": "m", "key": "${$.id}-1", "data": ["${$.x}", 1], "ttl": "1 day", "message_id": "${$serial_number}", "instance": "${$.other}", "to_all": false}, "success": "$reply == \"delivered\"", "save_reply": {"sent": "${$reply}"}, "wait": {"message": "answer", "key": "${$.id}"}, "timeout": "1 h"},
    {"step": "b", "send": {"message": "m", "key": 5, "ttl": "${$.ttl}", "instance": 17}, "async": true, "save": {"x": "${$result.initial_response}"}, "choose": [{"when": "$reply == \"missed\"", "next": "b"}, {"next": "c"}]},
    {"step": "c", "send": {"signal": "s", "data": "${$}"}, "first_of": [{"after": "1 s", "next": "d"}, {"signal": "t", "next": "a"}]},
    {"step": "d", "send": {"message": "m", "message_id": "${$serial_number}"}, "timeout": "1 h", "next": "d"}]}');

-- routes of first_of are ways: what they lead to is reached, and meets at joins
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "first_of": [{"signal": "s", "next": ["b", "c", "d"]}, {"after": "1 s", "next": ["c"]}]},
    {"step": "b", "next": "e"}, {"step": "c", "next": "e"}, {"step": "d", "next": "e"}, {"step": "e", "join": 3}]}');
-- handlers that begin as often as something happens fill any join; a beat only as often as it says
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "wait": true, "catch": [{"message": "m", "interrupt": false, "next": "b"}], "next": "b"}, {"step": "b", "join": 1000}]}');
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "wait": true, "catch": [{"every": "1 s", "interrupt": false, "next": "b"}], "next": "b"}, {"step": "b", "join": 1000}]}');
SELECT * FROM pg_temp.issues('{"steps": [
    {"step": "a", "wait": true, "catch": [{"every": "1 s", "times": 4, "interrupt": false, "next": ["b", "c"]}], "next": "b"}, {"step": "b", "join": 9, "end": true}, {"step": "c", "next": "b"}]}');
-- a condition may be false, so a loop through it may end
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "wait": {"condition": "$.n > 0"}}, {"step": "b", "set": {"n": 0}, "next": "a"}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "first_of": [{"condition": "$.n > 0", "next": "a"}, {"condition": "$.m > 0", "next": "a"}]}]}');
-- names are what they are, up to 200 bytes; keys up to 1024
SELECT * FROM pg_temp.issues(format('{"steps": [{"step": "a", "wait": {"message": %s, "key": %s}}, {"step": "b", "wait": {"signal": " $.x } é"}}, {"step": "c", "wait": {"message": "m", "key": ""}}, {"step": "d", "wait": {"message": "m", "key": false}}]}',
    to_json(repeat('é', 100)), to_json(repeat('k', 1024)))::json);

-- messages that start an instance; where they let it begin is reached
SELECT * FROM pg_temp.issues('{"start_on": [{"message": "ordered", "business_key": "${$event.data.id}"}, {"message": "returned", "key": 7, "business_key": "r-${$event.key}", "step": "c"}, {"message": "returned", "key": true, "step": "d"}, {"message": "returned"}],
    "timeout": "1 day", "steps": [{"step": "a", "next": ["b", "e"]}, {"step": "b", "end": true}, {"step": "c", "next": ["d", "e"]}, {"step": "d", "next": "e"}, {"step": "e", "join": 2}]}');
SELECT * FROM pg_temp.issues('{"start_on": [{"message": "m", "step": "b"}], "steps": [{"step": "a", "end": true}, {"step": "b", "next": ["c", "d"]}, {"step": "c", "next": "e"}, {"step": "d", "next": "e"}, {"step": "e", "join": 2}]}');

-- who may complete such steps: those that take callbacks, messages or signals, in whatever place
CREATE ROLE define_events_clerk;
SELECT workflow.define('define_events: rights', '{"catch": [{"message": "m", "interrupt": false, "next": "x"}], "steps": [
    {"step": "message", "wait": {"message": "m", "key": 1}}, {"step": "signal", "first_of": [{"after": "1 h", "next": "condition"}, {"signal": "s", "next": "condition"}]},
    {"step": "condition", "wait": {"condition": "$.x"}, "catch": [{"every": "1 h", "interrupt": false, "next": "inner"}]}, {"step": "inner", "steps": [{"step": "wait", "wait": {"after": "1 h"}, "catch": [{"callback": true, "next": "clock"}]}, {"step": "clock", "wait": {"until": "2030-01-01"}}], "catch": [{"signal": "s", "next": "first"}]},
    {"step": "first", "first_of": [{"after": "1 h", "next": "end"}, {"callback": true, "next": "end"}]}, {"step": "end", "end": true}, {"step": "x"}]}');
SELECT s AS step, workflow.grant_process('define_events: rights', 'define_events_clerk', 'complete', step => s) FROM unnest('{message,signal,inner,wait,first}'::text[]) s;
SELECT workflow.grant_process('define_events: rights', 'define_events_clerk', 'complete', step => 'condition');
SELECT workflow.grant_process('define_events: rights', 'define_events_clerk', 'complete', step => 'clock');
SELECT process, role, privilege, step FROM workflow.grants WHERE process = 'define_events: rights' ORDER BY step;


-- a column shows the number of a step that waits for a callback, be it one of several events
CREATE SCHEMA define_events;
CREATE TABLE define_events.t (id int PRIMARY KEY, sn text);
SELECT workflow.attach('define_events.t', 'define_events: rights', serial_column => 'sn', serial_step => 'message') IS NOT NULL AS attached;
SELECT workflow.attach('define_events.t', 'define_events: rights', serial_column => 'sn', serial_step => 'wait') IS NOT NULL AS attached;
SELECT workflow.attach('define_events.t', 'define_events: rights', serial_column => 'sn', serial_step => 'first') IS NOT NULL AS attached;
SELECT workflow.define('define_events: first', '{"steps": [{"step": "a", "first_of": [{"after": "1 h", "next": "b"}, {"callback": true, "next": "b"}]}, {"step": "b"}]}');
CREATE TABLE define_events.u (id int PRIMARY KEY, sn text);
SELECT workflow.attach('define_events.u', 'define_events: first', serial_column => 'sn') IS NOT NULL AS attached;
INSERT INTO define_events.u VALUES (1) RETURNING sn IS NOT NULL AS "set at once";
SELECT u.sn = w.serial_number AS "shown" FROM define_events.u, workflow.waiting w WHERE w.process = 'define_events: first';
SELECT workflow.complete(sn) FROM define_events.u;
SELECT status FROM workflow.instances WHERE process = 'define_events: first';
