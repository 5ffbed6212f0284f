-- The action `send`: to whom messages and signals go, what is answered, and what becomes of one that cannot be sent.

CREATE PROCEDURE pg_temp.over(instance bigint) LANGUAGE plpgsql AS $$
BEGIN
    CALL test.until(format('SELECT status NOT IN (''active'', ''suspended'') FROM workflow.instances WHERE instance = %s', $1));
END $$;

SELECT workflow.define('send: receiver', '{"steps": [
  {"step": "a", "wait": {"message": "send", "key": "${$.id}"}, "save": {"got": "${$event.data}", "kind": "${$event.kind} ${$event.name} ${$event.key}", "role": "${$event.role}", "response": "${$result.response}"}}]}');
SELECT workflow.define('send: sender', '{"steps": [
  {"step": "a", "send": {"message": "send", "key": "${$.id}", "data": {"n": "${$.n}"}}, "save_reply": {"reply": "${$reply}"}, "save": {"response": "${$result.response}"}, "next": "b"},
  {"step": "b", "end": true}]}');
-- one waits: it goes out with the transaction
SELECT workflow.start('send: receiver', '{"id": 17}') AS r \gset
SELECT workflow.start('send: sender', '{"id": "17", "n": 1}') AS s \gset
SELECT test.ended(:s);
CALL pg_temp.over(:r);
SELECT test.ended(:r);
-- nobody does
SELECT test.ended(workflow.start('send: sender', '{"id": 18, "n": 1}'));
-- several do: the step fails, and none gets it
SELECT count(workflow.start('send: receiver', '{"id": 19}')) FROM generate_series(1, 2);
SELECT workflow.start('send: sender', '{"id": 19, "n": 1}') AS s \gset
SELECT step, outcome, error ->> 'code' AS code, error ->> 'message' AS message FROM workflow.incidents WHERE instance = :s;
SELECT workflow.cancel(instance) FROM workflow.instances WHERE process = 'send: receiver' AND status = 'active';
-- which can be caught; and all can be meant
SELECT workflow.define('send: all', '{"steps": [
  {"step": "a", "send": {"message": "send", "key": 20}, "catch": [{"on": "send", "next": "all"}], "end": true},
  {"step": "all", "send": {"message": "send", "key": 20, "to_all": true}, "save": {"reply": "${$reply}"}}]}');
SELECT workflow.start('send: receiver', '{"id": 20}') AS r1 \gset
SELECT workflow.start('send: receiver', '{"id": 20}') AS r2 \gset
SELECT test.ended(workflow.start('send: all'));
CALL pg_temp.over(:r1);
CALL pg_temp.over(:r2);
-- to one instance alone; what is no number of one is a fault
SELECT workflow.define('send: instance', '{"steps": [
  {"step": "a", "send": {"message": "send", "instance": "${$.to}"}, "save": {"reply": "${$reply}"}, "catch": [{"on": "template", "next": "b"}], "end": true},
  {"step": "b", "set": {"message": "${$error.message}"}}]}');
SELECT workflow.start('send: receiver', '{"id": 21}') AS r \gset
SELECT workflow.start('send: receiver', '{"id": 21}') AS r2 \gset
SELECT workflow.start('send: instance', jsonb_build_object('to', :r)) AS s \gset
SELECT test.ended(:s) ~ '"reply": "queued"' AS sent;
CALL pg_temp.over(:r);
SELECT test.at(:r2), workflow.cancel(:r2);
SELECT test.ended(workflow.start('send: instance', '{"to": "nobody"}'));
SELECT test.ended(workflow.start('send: instance', '{"to": 0}'));
-- kept for those that do not wait yet
SELECT workflow.define('send: kept', '{"steps": [{"step": "a", "send": {"message": "send", "key": "${$.id}", "data": "kept", "ttl": "${$.ttl}"}, "save": {"reply": "${$reply}"}}]}');
SELECT test.ended(workflow.start('send: kept', '{"id": 22, "ttl": "1 hour"}'));
SELECT workflow.start('send: receiver', '{"id": 22}') AS r \gset
CALL pg_temp.over(:r);
SELECT test.ended(:r);
SELECT workflow.start('send: kept', '{"id": 22, "ttl": "-1 s"}') AS s \gset
SELECT error ->> 'code' AS code, error ->> 'message' AS message FROM workflow.incidents WHERE instance = :s;
-- keys are scalars
SELECT workflow.start('send: sender', '{"id": [1], "n": 1}') AS s \gset
SELECT error ->> 'code' AS code, error ->> 'message' AS message FROM workflow.incidents WHERE instance = :s;
SELECT workflow.start('send: receiver', '{"id": null}') AS r \gset
SELECT error ->> 'code' AS code, error ->> 'message' AS message FROM workflow.incidents WHERE instance = :r;

-- with an identity, by an executor: once
SELECT workflow.define('send: once', '{"steps": [
  {"step": "a", "send": {"message": "send", "key": 23, "message_id": "${$.id}", "ttl": "1 hour"}, "save": {"reply": "${$reply}"}}]}');
SELECT workflow.start('send: once', '{"id": 1}') AS s \gset
CALL pg_temp.over(:s);
SELECT test.ended(:s);
SELECT workflow.start('send: once', '{"id": 1}') AS s \gset
CALL pg_temp.over(:s);
SELECT test.ended(:s);

-- to another branch of the same instance, whether that waits already or begins to in the same move
SELECT workflow.define('send: branches', '{"steps": [
  {"step": "fork", "next": ["a", "b"]},
  {"step": "a", "wait": {"message": "send branches", "key": "${$instance}"}, "save": {"got": "${$event.data}"}, "next": "end"},
  {"step": "b", "send": {"message": "send branches", "key": "${$instance}", "data": "from b"}, "save": {"reply": "${$reply}"}, "next": "end"},
  {"step": "end", "join": "all"}]}');
SELECT workflow.start('send: branches') AS i \gset
CALL pg_temp.over(:i);
SELECT test.ended(:i);

-- what is rolled back was not sent
SELECT workflow.start('send: receiver', '{"id": 24}') AS r \gset
BEGIN;
SELECT test.ended(workflow.start('send: sender', '{"id": 24, "n": 1}'));
ROLLBACK;
SELECT count(*) FROM workflow_data.delivery WHERE instance = :r;
SELECT workflow.cancel(:r);

-- signals reach all that wait, handlers too
SELECT workflow.define('send: signalled', '{"steps": [
  {"step": "a", "wait": true, "catch": [{"signal": "send", "interrupt": false, "save": {"n": "${$.n + 1 ?? 1}", "data": "${$event.data}"}, "next": "b"}]},
  {"step": "end", "end": true}, {"step": "b", "end": true}]}');
SELECT workflow.define('send: signal', '{"steps": [{"step": "a", "send": {"signal": "send", "data": [1]}, "save": {"reply": "${$reply}"}}]}');
SELECT workflow.start('send: signalled') AS r1 \gset
SELECT workflow.start('send: signalled') AS r2 \gset
SELECT test.ended(workflow.start('send: signal'));
CALL test.until(format('SELECT count(*) = 2 FROM workflow.instances WHERE instance IN (%s, %s) AND data ->> ''n'' = ''1''', :r1, :r2));
SELECT test.ended(:r1), test.at(:r2);

-- the steps of those that answer each other count on, so that they come to the step limit
SELECT workflow.define('send: ping', '{"steps": [{"step": "a", "wait": {"message": "ping"}, "next": "b"}, {"step": "b", "send": {"message": "pong"}, "save": {"n": "${$.n + 1 ?? 1}"}, "next": "a"}]}');
SELECT workflow.define('send: pong', '{"steps": [{"step": "a", "wait": {"message": "pong"}, "next": "b"}, {"step": "b", "send": {"message": "ping"}, "next": "a"}]}');
SELECT workflow.start('send: ping') AS p1 \gset
SELECT workflow.start('send: pong') AS p2 \gset
SELECT workflow.send_message('ping');
CALL test.until(format('SELECT (data ->> ''n'')::int > 3 FROM workflow.instances WHERE instance = %s', :p1));
SELECT workflow.suspend(:p2);
CALL test.until(format('SELECT count(*) > 0 FROM workflow_data.delivery WHERE instance = %s', :p2));
SELECT (payload ->> 'steps')::int > 6 AS counted FROM workflow_data.delivery WHERE instance = :p2;
SELECT workflow.cancel(:p1), workflow.cancel(:p2);

-- the limits are those of send_message
SELECT workflow.define('send: limits', '{"steps": [
  {"step": "a", "choose": [{"when": "exists($.message_id)", "next": "id"}, {"next": "plain"}]},
  {"step": "plain", "send": {"message": "send", "key": "${$.key ?? 1}", "ttl": "${$.ttl ?? \"1 s\"}", "data": "${$.data ?? null}"}, "end": true},
  {"step": "id", "send": {"message": "send: limits", "message_id": "${$.message_id}"}, "end": true}]}');
CREATE FUNCTION pg_temp.fault(data jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    i bigint = workflow.start('send: limits', data);
BEGIN
    RETURN (SELECT concat_ws(' | ', error ->> 'code', error ->> 'sqlstate', error ->> 'message') FROM workflow.incidents WHERE instance = i);
END $$;
SELECT pg_temp.fault('{"ttl": "10 years"}');
SELECT pg_temp.fault('{"ttl": "-1 ms"}');
SELECT pg_temp.fault(jsonb_build_object('key', repeat('x', 1025)));
SELECT workflow.start('send: limits', '{"message_id": ""}') AS i1, workflow.start('send: limits', jsonb_build_object('message_id', repeat('x', 1025))) AS i2,
    workflow.start('send: limits', '{"message_id": []}') AS i3 \gset
CALL test.until(format('SELECT count(*) = 3 FROM workflow.incidents WHERE instance IN (%s, %s, %s)', :i1, :i2, :i3));
SELECT error ->> 'code' AS code, error ->> 'sqlstate' AS sqlstate, error ->> 'message' AS message FROM workflow.incidents WHERE instance IN (:i1, :i2, :i3) ORDER BY instance;
-- a ttl is never rounded to none
SELECT workflow.start('send: limits', '{"ttl": "1 microsecond", "key": "short"}') AS i \gset
SELECT result ->> 'initial_response' AS reply FROM workflow.history WHERE instance = :i AND step = 'plain';
-- what keeps a message from being sent has the SQLSTATE that a caller gets
SELECT count(workflow.start('send: receiver', '{"id": 30}')) FROM generate_series(1, 2);
SELECT workflow.start('send: sender', '{"id": 30, "n": 1}') AS s1 \gset
SELECT error ->> 'code' AS code, error ->> 'sqlstate' AS sqlstate FROM workflow.incidents WHERE instance = :s1;
CREATE ROLE regress_send;
GRANT USAGE ON SCHEMA workflow, test TO regress_send;
GRANT EXECUTE ON FUNCTION workflow.define(text, json), workflow.undefine(text, boolean) TO regress_send;
SET ROLE regress_send;
SELECT workflow.define('send: forbidden', '{"steps": [{"step": "a", "send": {"message": "send", "ttl": "1 h"}}]}');
SELECT workflow.start('send: forbidden') AS s \gset
SELECT error ->> 'code' AS code, error ->> 'sqlstate' AS sqlstate FROM workflow.incidents WHERE instance = :s;
SELECT workflow.cancel(:s);
SELECT workflow.undefine('send: forbidden');
RESET ROLE;
DROP OWNED BY regress_send;
DROP ROLE regress_send;

-- the branches of a fork have all entered before the first one sends, in whatever order they are named
SELECT workflow.define('send: order', '{"steps": [
  {"step": "f", "next": ["a", "b", "c", "d"]},
  {"step": "a", "send": {"message": "send: order", "key": "${$instance}", "data": "from a"}, "save": {"reply": "${$reply}"}, "next": "end"},
  {"step": "b", "wait": {"message": "send: order", "key": "${$instance}"}, "save": {"b": "${$event.data}"}, "next": "end"},
  {"step": "c", "wait": true, "catch": [{"signal": "send: order", "next": "end"}], "next": "end"},
  {"step": "d", "send": {"signal": "send: order"}, "next": "end"},
  {"step": "end", "join": "all"}]}');
SELECT workflow.start('send: order') AS i \gset
CALL pg_temp.over(:i);
SELECT test.ended(:i), test.went(:i);
-- what they lead to has not
SELECT workflow.define('send: later', '{"steps": [
  {"step": "f", "next": ["a", "b"]},
  {"step": "a", "send": {"message": "send: later", "key": "${$instance}"}, "save": {"reply": "${$reply}"}, "end": true},
  {"step": "b", "steps": [{"step": "c", "wait": {"message": "send: later", "key": "${$instance}"}}]}]}');
SELECT workflow.start('send: later') AS i \gset
SELECT test.ended(:i), test.at(:i), workflow.cancel(:i);
-- a duplicate is told of as such
SELECT workflow.start('send: once', '{"id": 31}') AS s1, workflow.start('send: once', '{"id": 31}') AS s2 \gset
CALL pg_temp.over(:s1);
CALL pg_temp.over(:s2);
SELECT DISTINCT substring(t FROM $$what it sent was .*$$) AS sent FROM unnest(ARRAY[:s1, :s2]) i (instance), LATERAL workflow.timeline(i.instance) t WHERE t LIKE '%what it sent was%' ORDER BY 1;
