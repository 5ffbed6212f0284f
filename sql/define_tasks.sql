-- Defining tasks: what is refused, and what may be used in them.

CREATE FUNCTION pg_temp.issues(definition json) RETURNS TABLE (path text, severity text, message text, hint text) LANGUAGE sql AS $$
    SELECT path, severity, message, hint FROM workflow.check(definition)
$$;

SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "wait": {"task": {}}}, {"step": "b", "wait": {"task": "do it"}}, {"step": "c", "wait": {"task": {"title": "", "roles": []}}},
    {"step": "d", "wait": {"task": {"title": 7, "assignee": ["a"], "roles": {"a": "b"}, "due": 2, "data": [1, "${$.x}"], "dat": 1}}},
    {"step": "e", "wait": {"task": {"title": "${$.}", "assignee": "", "roles": ["a", "", 1], "due": "soon"}}},
    {"step": "f", "wait": {"task": {"title": "t", "assignee": "a"}, "data": 1}}, {"step": "g", "wait": {"task": {"title": "t", "assignee": "a"}, "after": "1 s"}}]}');
SELECT path, message, hint FROM pg_temp.issues(format('{"steps": [{"step": "a", "wait": {"task": {"title": "t", "roles": %s}}}]}', (SELECT json_agg('r' || g) FROM generate_series(1, 101) g))::json);
-- one of a kind
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "first_of": [{"task": {"title": "t", "assignee": "a"}, "next": "b"}, {"callback": true, "next": "b"}, {"task": {"title": "u", "assignee": "a"}, "next": "b"}],
        "catch": [{"task": {"title": "v", "assignee": "a"}, "next": "b"}, {"callback": true, "next": "b"}]},
    {"step": "b", "wait": true, "catch": [{"task": {"title": "v", "assignee": "a"}, "interrupt": false, "save": {"by": "${$event.person}"}, "next": "c"}]}, {"step": "c"}]}');
-- it is offered when the action is done, to a handler when the visit begins
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "sql": "SELECT 1 AS id", "wait": {"task": {"title": "${$reply.row.id}", "assignee": "${$reply.row.id}", "data": "${$event}"}}, "save": {"x": "${$event.data}"}},
    {"step": "b", "sql": "SELECT 1 AS id", "catch": [{"task": {"title": "${$reply.row.id}", "roles": "${$result.status}"}, "next": "c"}]}, {"step": "c", "set": {"x": 1}, "catch": [{"task": {"title": "t", "roles": "a"}, "next": "d"}]}, {"step": "d"}]}');
-- only of callbacks
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "wait": {"task": {"title": "t", "roles": "a"}}, "heartbeat": "1 s", "warn_waiting": "1 s"}, {"step": "b", "steps": [{"step": "c"}], "wait": {"task": {"title": "t", "roles": "a"}}}]}');
-- all of it
SELECT workflow.define('define_tasks', '{"catch": [{"task": {"title": "stop it", "assignee": "boss"}, "next": "x"}], "steps": [
    {"step": "a", "each": {"in": "$.items[*]", "collect": "looked"}, "wait": {"task": {"title": "Look at ${$item.name}", "assignee": "${$item.by ?? null}", "roles": ["a", "${$.b}"], "due": "2030-01-31 12:00+00", "data": "${$item}"}, "when": "$item.price > 10"}},
    {"step": "b", "first_of": [{"task": {"title": "t", "roles": "${$.roles}", "due": "${$.due ?? null}"}, "save": {"by": "${$event.role}"}, "next": "z"}, {"after": "1 day", "next": "b"}]}, {"step": "z"}, {"step": "x"}]}');
SELECT workflow.define('define_tasks', '{"steps": [{"step": "b", "wait": {"task": {"title": "t", "roles": "b", "due": "1 h"}}}]}');
SELECT path, change FROM workflow.difference('define_tasks');
SELECT workflow.undefine('define_tasks');
