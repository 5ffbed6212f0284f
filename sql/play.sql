-- A test plays a process in a transaction that is rolled back: replies are made up, and time passes at once.
\set SHOW_CONTEXT never

CREATE SERVER play_pay FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:9/v1', timeout '10 s');
CREATE TABLE test.played (what text, n integer);
SELECT workflow.define('play: order', '{
  "steps": [
    { "step": "charge", "http": { "server": "play_pay", "path": "/charges", "query": { "by": "card" }, "body": { "amount": "${$.amount}" } },
      "retry": { "max": 3, "delay": "1 minute", "backoff": 2 }, "save": { "charge": "${$reply.body.id}" },
      "catch": [{ "on": "*", "next": "give up" }] },
    { "step": "confirm", "wait": true, "timeout": "14 days", "save": true, "next": "book",
      "catch": [{ "after": "1 day", "interrupt": false, "next": "remind" }, { "on": "TIMED_OUT", "next": "give up" }] },
    { "step": "remind", "http": { "server": "play_pay", "path": "/reminders", "method": "POST" }, "end": true },
    { "step": "give up", "end": { "abort": "given up" } },
    { "step": "book", "sql": "INSERT INTO test.played VALUES (visit.step, (visit.data->>''amount'')::integer) RETURNING n", "save": { "booked": "${$reply.row.n}" } },
    { "step": "rest", "wait": { "after": "3 days" } }]}');

-- retries, a reminder, a callback, a statement, a clock
BEGIN;
SELECT workflow.mock('play_pay', 'POST', '/charges', '{"status": 503}', times => 2);
SELECT workflow.mock('play_pay', 'post', 'charges', '{"body": {"id": "c1"}}');
SELECT workflow.mock('play_pay', path => '/rem*');
SELECT workflow.now() - clock_timestamp() < '1 s' AS goes;
SELECT workflow.start('play: order', '{"amount": 12}') AS i \gset
SELECT 0 AS played FROM workflow.advance() \g /dev/null
SELECT workflow.now() AS t \gset
SELECT at - :'t' AS at, step, event FROM workflow.advance('2 days');
SELECT workflow.now() - :'t' AS came_to;
SELECT pg_sleep(0.01);
SELECT workflow.now() - :'t' AS stands;
SELECT test.done(:i, 'confirm', '{"ok": true}');
SELECT at - :'t' AS at, step, event FROM workflow.advance();
SELECT at - :'t' AS at, step, event FROM workflow.advance('3 days');
SELECT test.ended(:i), test.went(:i);
SELECT step, ended_at - :'t' AS ended FROM workflow.history WHERE instance = :i ORDER BY ended_at, step;
SELECT attempt, started_at - :'t' AS started, http_status FROM workflow.attempts WHERE instance = :i AND attempt <= 3 AND http_status > 0 ORDER BY started_at;
SELECT at - :'t' AS at, instance = :i AS ours, step, server, method, path, headers ->> 'Content-Type' AS type, body FROM workflow.mocked_requests();
SELECT count(DISTINCT headers ->> 'Idempotency-Key') FROM workflow.mocked_requests();
-- what comes late has its time, too
SELECT workflow.complete(serial_number) FROM workflow.history WHERE instance = :i AND step = 'confirm';
SELECT received_at - :'t' AS late FROM workflow.late_callbacks WHERE serial_number LIKE :'i' || '\_%';
SELECT * FROM test.played;
ROLLBACK;
SELECT count(*) FROM test.played;
SELECT count(*) FROM workflow.mocked_requests();
SELECT workflow.now() - clock_timestamp() < '1 s' AS goes_again;

-- the deadline; time of start on
BEGIN;
SELECT workflow.mock('play_pay', reply => '{"body": {"id": 1}}');
SELECT workflow.start('play: order', '{"amount": 12}') AS i \gset
SELECT at - i.started_at > '13 days 23:59:59' AS last, p.step, event FROM workflow.advance('20 days') p, workflow.instances i WHERE i.instance = :i;
SELECT test.ended(:i);
ROLLBACK;

-- what nobody answers
BEGIN;
SELECT workflow.start('play: order', '{"amount": 12}') AS i \gset
SAVEPOINT s;
SELECT workflow.advance();
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO s;
SELECT workflow.mock('play_pay', 'GET', '/charges');
SELECT workflow.mock('play_pay', NULL, '/charges?by=cash');
SELECT workflow.mock('play_pay', 'POST', '/charges?by=card', '{"error": "connect"}', 1);
SAVEPOINT s;
SELECT workflow.advance('1 hour');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO s;
-- the savepoint has taken back what was used up, and the time
SELECT workflow.mock('play_pay', reply => '{"error": "timeout"}', times => 1);
SELECT workflow.mock('play_pay', reply => '{"after": "3 s"}', times => 1);
SELECT workflow.mock('play_pay', reply => '{"after": "10 s"}', times => 1);
SELECT workflow.advance() AS a \g /dev/null
SELECT workflow.now() AS t \gset
SELECT at - :'t' AS at, step, event FROM workflow.advance('5 minutes');
SELECT attempt, ended_at - started_at AS took, error ->> 'code' AS code FROM workflow.attempts WHERE instance = :i ORDER BY 1;
ROLLBACK;

-- early and late callbacks, and what is asked to stop
SELECT workflow.define('play: early', '{
  "steps": [
    { "step": "a", "http": { "server": "play_pay", "path": "/a" }, "wait": true, "save_reply": { "a": "${$reply.status}" }, "save": true, "timeout": "1 hour",
      "cancel": { "path": "/stop/${$reply.body.id}", "timeout": "1 minute" } }]}');
BEGIN;
SELECT workflow.mock('play_pay', 'GET', '/a', '{"status": 202, "after": "5 s", "body": {"id": 7}}');
SELECT workflow.mock('play_pay', path => '/stop/7');
SELECT workflow.start('play: early') AS i, workflow.start('play: early') AS j \gset
SELECT step, event FROM workflow.advance('1 s');
SELECT workflow.complete(test.sn(:i), '{"done": 1}');
SELECT count(*) FROM workflow.advance('3 s');
SELECT step, event FROM workflow.advance('2 s');
SELECT test.ended(:i), test.at(:j);
SELECT workflow.now() AS t \gset
SELECT date_trunc('minute', at - :'t' + '10 s') AS at, step, event FROM workflow.advance('2 hours');
SELECT test.went(:j), method, path FROM workflow.mocked_requests() WHERE instance = :j;
ROLLBACK;
-- the timeout comes before the reply
BEGIN;
SELECT workflow.mock('play_pay', 'GET', '/a', '{"status": 202, "after": "5 s", "body": {"id": 7}}');
SELECT workflow.mock('play_pay', path => '/stop/7');
SELECT workflow.start('play: early') AS i \gset
SELECT workflow.advance('1 s') AS a \g /dev/null
SELECT workflow.cancel(:i);
SELECT step, event FROM workflow.advance('10 minutes');
SELECT test.went(:i), status FROM workflow.instances WHERE instance = :i;
ROLLBACK;

-- bodies and headers
SELECT workflow.define('play: reply', '{ "steps": [{ "step": "a", "http": { "server": "play_pay" }, "save": { "r": "${$reply}" } }] }');
BEGIN;
SELECT workflow.mock('play_pay', reply => '{"headers": {"X-A": 1, "content-type": "text/plain"}, "body": "plain"}', times => 1);
SELECT workflow.mock('play_pay', reply => '{"body": "json"}', times => 1);
SELECT workflow.mock('play_pay', reply => '{"body": null}', times => 1);
SELECT workflow.mock('play_pay', reply => '{}', times => 1);
SELECT workflow.mock('play_pay', reply => '{"headers": {"content-type": "application/json"}, "status": 404}', times => 1);
SELECT workflow.start('play: reply') IS NULL FROM generate_series(1, 5);
SELECT event FROM workflow.advance();
SELECT status, data FROM workflow.instances WHERE process = 'play: reply' ORDER BY instance;
ROLLBACK;

-- calls, items, forks, first_of, work, tasks, messages, conditions
SELECT workflow.define('play: child', '{ "steps": [{ "step": "c", "wait": { "after": "1 hour" } }, { "step": "s", "set": { "seen": "${$.n}" } }] }');
SELECT workflow.define('play: much', '{
  "steps": [
    { "step": "fork", "next": ["call", "list", "first"] },
    { "step": "call", "call": { "process": "play: child", "data": { "n": 5 } }, "save": { "child": "${$reply.seen}" }, "next": "join" },
    { "step": "list", "each": { "in": "$.list", "parallel": 2, "collect": "got" }, "sql": "SELECT (visit.item)::int * 2 AS twice", "retry": { "max": 1, "delay": "1 day", "on": ["22012"] }, "next": "join" },
    { "step": "first", "first_of": [{ "after": "2 hours", "next": "join" }, { "message": "play", "key": "k", "next": "join" }] },
    { "step": "join", "join": "all" },
    { "step": "work", "wait": { "topic": "play" }, "heartbeat": "10 minutes", "retry": { "max": 1, "delay": "1 minute" }, "catch": [{ "on": "DIED", "next": "task" }] },
    { "step": "task", "wait": { "task": { "title": "t", "assignee": "postgres", "due": "2 hours" } } },
    { "step": "until", "wait": { "condition": "$.go == true" } },
    { "step": "send", "send": { "message": "nobody", "data": 1 } },
    { "step": "notify", "notify": { "channel": "play", "payload": "x" } }]}');
BEGIN;
SELECT workflow.start('play: much', '{"list": [1, 2, 3]}') AS i \gset
SELECT step, event FROM workflow.advance('30 minutes') ORDER BY 1, 2;
SELECT workflow.send_message('play', 'k');
SELECT step, event FROM workflow.advance('30 minutes');
SELECT test.at(:i), data FROM workflow.instances WHERE instance = :i;
SELECT count(*) FROM workflow.fetch('play', lock => '1 hour');
SELECT step, event FROM workflow.advance('1 hour');
SELECT workflow.now() AS t \gset
SELECT due - :'t' AS due FROM workflow.tasks WHERE instance = :i;
SELECT workflow.complete(test.waits(:i));
SELECT workflow.set_data(:i, '{"go": true}');
SELECT step, event FROM workflow.advance();
SELECT test.went(:i), status, data FROM workflow.instances WHERE instance = :i;
ROLLBACK;

-- statements: errors, retries, what is deferred, other levels; what they may not
SELECT workflow.define('play: sql', '{
  "retry": { "max": 1, "delay": "1 minute" },
  "steps": [
    { "step": "a", "sql": "SELECT 1 / (visit.attempt - 1) AS n", "retry": { "max": 1, "delay": "1 minute", "on": ["22012"] } },
    { "step": "b", "sql": "SELECT now() < workflow.now() AS later", "save": { "later": "${$reply.row.later}" } },
    { "step": "c", "sql": "SELECT count(*) AS n FROM workflow.advance()" }]}');
CREATE TABLE test.play_parent (id integer PRIMARY KEY);
CREATE TABLE test.play_row (id integer REFERENCES test.play_parent DEFERRABLE INITIALLY DEFERRED);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT workflow.start('play: sql') AS i \gset
SELECT step, event FROM workflow.advance('2 minutes');
SELECT data FROM workflow.instances WHERE instance = :i;
SELECT error FROM workflow.incidents WHERE instance = :i;
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT workflow.start('play: sql') AS i \gset
INSERT INTO test.play_row VALUES (1);
INSERT INTO test.play_parent VALUES (1);
SELECT count(*) FROM workflow.advance('2 minutes');
SELECT data FROM workflow.instances WHERE instance = :i;
ROLLBACK;
BEGIN;
INSERT INTO test.play_row VALUES (1);
SELECT * FROM workflow.advance();
ROLLBACK;
-- defined here, and what it runs rolls back a subtransaction of its own
BEGIN;
CREATE FUNCTION test.play_catches(what text DEFAULT 'SELECT 1 / 0') RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE what; RETURN 'done'; EXCEPTION WHEN OTHERS THEN RETURN SQLERRM; END $$;
SELECT workflow.define('play: new', '{ "steps": [
  { "step": "a", "sql": "SELECT test.play_catches() AS said FROM generate_series(1, 3)", "save": { "a": "${$reply.row.said}" } },
  { "step": "b", "sql": "SELECT test.play_catches() AS said", "save": { "b": "${$reply.row.said}" } },
  { "step": "c", "sql": "SELECT test.play_catches(''SET CONSTRAINTS ALL DEFERRED'') AS said", "save": { "c": "${$reply.row.said}" } }]}');
SELECT workflow.start('play: new') AS i \gset
SELECT step, event FROM workflow.advance();
SELECT test.went(:i), data FROM workflow.instances WHERE instance = :i;
-- a subtransaction has defined another version, and is gone
SAVEPOINT s;
SELECT workflow.define('play: new', '{ "steps": [{ "step": "other", "set": { "v": 2 } }] }') \g /dev/null
SELECT workflow.start('play: new') AS j \gset
SELECT data FROM workflow.instances WHERE instance = :j;
ROLLBACK TO s;
SELECT workflow.define('play: new', '{ "steps": [{ "step": "third", "set": { "v": 3 } }] }') \g /dev/null
SELECT workflow.start('play: new') AS j \gset
SELECT data FROM workflow.instances WHERE instance = :j;
ROLLBACK;
-- a lock, a cancel
SELECT workflow.define('play: slow', '{ "steps": [{ "step": "a", "sql": "SELECT pg_sleep(60)::text" }] }');
BEGIN;
SELECT workflow.start('play: slow') AS i \gset
SET LOCAL statement_timeout = 50;
\set VERBOSITY terse
SELECT * FROM workflow.advance();
\set VERBOSITY default
ROLLBACK;
-- an advisory lock and a sequence of the session stay
CREATE SEQUENCE test.play_seq;
SELECT nextval('test.play_seq'), pg_advisory_lock(19);
BEGIN;
SELECT workflow.start('play: sql') AS i \gset
SELECT count(*) FROM workflow.advance();
SELECT currval('test.play_seq'), pg_advisory_unlock(19);
ROLLBACK;

-- signals, messages that start an instance, and what is written to attached rows
SELECT workflow.define('play: signal', '{ "steps": [{ "step": "w", "wait": { "signal": "play go" } }, { "step": "s", "send": { "signal": "play gone" } }] }');
SELECT workflow.define('play: gone', '{ "steps": [{ "step": "w", "wait": { "signal": "play gone" } }, { "step": "s", "send": { "message": "play begin", "data": { "x": 1 } } }] }');
SELECT workflow.define('play: begun', '{ "start_on": [{ "message": "play begin" }], "steps": [{ "step": "nap", "wait": { "after": "1 day" } }] }');
SELECT workflow.start('play: signal') AS other \gset
BEGIN;
SELECT workflow.start('play: signal') AS i, workflow.start('play: gone') AS j \gset
SELECT workflow.send_signal('play go', '1');
SAVEPOINT s;
SELECT step, event FROM workflow.advance('2 days');
ROLLBACK TO s;
SELECT step, event FROM workflow.advance('2 days');
SELECT test.went(:i), test.went(:j), test.at(:other);
SELECT process, status, data FROM workflow.instances WHERE process = 'play: begun';
ROLLBACK;
SELECT test.at(:other), workflow.cancel(:other);
SELECT workflow.define('play: row', '{
  "steps": [
    { "step": "ask", "http": { "server": "play_pay" }, "wait": true, "save": true },
    { "step": "nap", "wait": { "after": "1 day" } }]}');
CREATE TABLE test.play_order (id integer PRIMARY KEY, sn text, state text, receipt text);
SELECT workflow.attach('test.play_order', 'play: row', serial_column => 'sn', status_column => 'state', result_columns => '{"receipt": "$.receipt"}') > 0 AS attached;
BEGIN;
SELECT workflow.mock('play_pay');
INSERT INTO test.play_order VALUES (1) RETURNING state;
SELECT instance AS i FROM workflow.instances WHERE process = 'play: row' \gset
SELECT step, event FROM workflow.advance();
SELECT sn = test.waits(:i) AS shows, state FROM test.play_order;
SELECT workflow.complete(sn, '{"receipt": "r1"}') FROM test.play_order;
SELECT step, event FROM workflow.advance('1 day');
SELECT * FROM test.play_order;
SELECT count(*) FROM workflow.write_backs WHERE relation = 'test.play_order'::regclass;
ROLLBACK;
-- one that fails is owed, as always
ALTER TABLE test.play_order ADD CHECK (receipt <> 'r1');
BEGIN;
SELECT workflow.mock('play_pay');
INSERT INTO test.play_order VALUES (1);
SELECT instance AS i FROM workflow.instances WHERE process = 'play: row' \gset
SELECT count(*) FROM workflow.advance();
SELECT workflow.complete(sn, '{"receipt": "r1"}') FROM test.play_order;
SET LOCAL client_min_messages = error;
SELECT step, event FROM workflow.advance('1 day');
RESET client_min_messages;
SELECT state, receipt FROM test.play_order;
SELECT business_key, error FROM workflow.write_backs WHERE instance = :i;
ROLLBACK;
-- until what has failed works
BEGIN;
SELECT workflow.mock('play_pay');
INSERT INTO test.play_order VALUES (1);
SELECT count(*) FROM workflow.advance();
SELECT workflow.complete(sn, '{"receipt": "r1"}') FROM test.play_order;
SELECT workflow.now() AS t \gset
SET LOCAL client_min_messages = error;
SELECT at - :'t' AS at, event FROM workflow.advance('10 s');
SELECT error FROM workflow.write_backs WHERE relation = 'test.play_order'::regclass;
ALTER TABLE test.play_order DROP CONSTRAINT play_order_receipt_check;
SELECT at - :'t' AS at, event FROM workflow.advance('10 s');
SELECT state, receipt FROM test.play_order;
ROLLBACK;

-- messages that are kept until somebody waits, or until a process starts on them; not for longer than their ttl
SELECT workflow.define('play: kept', '{ "steps": [
  { "step": "nap", "wait": { "after": "1 day" } },
  { "step": "w", "wait": { "message": "play kept", "key": "k" }, "save": { "got": "${$event.data}" } }] }');
BEGIN;
SELECT workflow.start('play: kept') AS i, workflow.start('play: kept') AS j \gset
SELECT workflow.send_message('play kept', 'k', '1', ttl => '2 days'), workflow.send_message('play kept', 'k', '2', ttl => '1 hour'),
  workflow.send_message('play kept', 'other', '3', ttl => '2 days');
SELECT step, event FROM workflow.advance('1 hour');
SELECT step, event FROM workflow.advance('1 day');
SELECT test.ended(:i), test.at(:j);
SELECT workflow.send_message('play kept', 'k', '4', ttl => '1 day', instance => :j);
SELECT step, event FROM workflow.advance();
SELECT test.ended(:j);
-- what a savepoint has taken back is kept again
SELECT workflow.send_message('play kept', 'k', '5', ttl => '2 days');
SAVEPOINT s;
SELECT workflow.start('play: kept') AS i \gset
SELECT count(*) FROM workflow.advance('1 day');
SELECT test.ended(:i);
ROLLBACK TO s;
SELECT workflow.start('play: kept') AS i \gset
SELECT count(*) FROM workflow.advance('3 days');
SELECT test.at(:i);
ROLLBACK;
-- what was kept before it is not its own
SELECT workflow.send_message('play kept', 'k', '6', ttl => '2 days');
BEGIN;
SELECT workflow.start('play: kept') AS i \gset
SELECT count(*) FROM workflow.advance('1 day');
SELECT test.at(:i);
SELECT workflow.send_message('play kept', 'k', '7');
SELECT step, event FROM workflow.advance();
SELECT test.ended(:i);
ROLLBACK;
SELECT workflow.withdraw_message(message) FROM workflow.messages WHERE name = 'play kept';
-- one that starts an instance later on, since its business key is taken until then
SELECT workflow.define('play: keyed', '{ "start_on": [{ "message": "play keyed", "business_key": "${$event.data.id}" }], "steps": [{ "step": "nap", "wait": { "after": "3 minutes" } }] }');
SELECT workflow.define('play: keying', '{ "steps": [{ "step": "a", "send": { "message": "play keyed", "data": { "id": 1 }, "ttl": "1 hour" } }, { "step": "b", "send": { "message": "play keyed", "data": { "id": 1 }, "ttl": "1 hour" } }] }');
BEGIN;
SELECT workflow.start('play: keying') AS i \gset
SELECT workflow.advance() \g /dev/null
SELECT count(*) FROM workflow.instances WHERE process = 'play: keyed';
SELECT workflow.advance('10 minutes') \g /dev/null
SELECT status, count(*) FROM workflow.instances WHERE process = 'play: keyed' GROUP BY 1;
ROLLBACK;

-- asynchronous calls, and who is told
SELECT workflow.define('play: async', '{ "steps": [
  { "step": "ask", "http": { "server": "play_pay", "path": "/ask" } },
  { "step": "w", "wait": true, "save": true }] }');
BEGIN;
SELECT workflow.mock('play_pay', 'GET', '/ask', '{"after": "3 s"}');
SELECT workflow.mock('play_pay', 'POST', '/told');
SELECT workflow.start('play: async', '{"a": 1}', mode => 'async', callback_url => 'http://127.0.0.1:9/v1/told') AS i \gset
SELECT count(*) FROM workflow.instances WHERE instance = :i;
SELECT workflow.start('play: child', business_key => 'b', mode => 'async') IS NULL AS j FROM generate_series(1, 2);
SELECT workflow.send_signal('play go', mode => 'async');
SELECT step, event FROM workflow.advance();
SELECT call, state, error ->> 'sqlstate' AS error FROM workflow.operations ORDER BY operation DESC LIMIT 4;
SELECT step, event FROM workflow.advance('10 s');
SELECT path, headers ->> 'X-Workflow-Status' AS status, body FROM workflow.mocked_requests() WHERE method = 'POST';
SELECT workflow.complete(test.waits(:i), '{"b": 2}', mode => 'async', callback_url => 'http://127.0.0.1:9/v1/told');
SELECT test.at(:i);
SELECT step, event FROM workflow.advance('10 s');
SELECT test.ended(:i);
SELECT path, headers ->> 'X-Workflow-Status' AS status, body FROM workflow.mocked_requests() WHERE method = 'POST';
SELECT call, state, answer IN (:'i', 'true') AS answered, callback_state FROM workflow.operations WHERE instance = :i ORDER BY operation;
ROLLBACK;
-- those for instances that were there before are left alone
SELECT workflow.start('play: child') AS other \gset
BEGIN;
SELECT workflow.cancel(:other, mode => 'async');
SELECT count(*) FROM workflow.advance('1 day');
SELECT state FROM workflow.operations WHERE instance = :other;
SELECT test.at(:other);
ROLLBACK;
SELECT workflow.cancel(:other);

-- a step of a worker
SELECT workflow.define('play: real', '{ "steps": [
  { "step": "a", "sql": "SELECT workflow.mock(''play_pay'')::text", "catch": [{ "on": "*", "next": "b" }] },
  { "step": "b", "set": { "a": "${$caught.error.message}" } },
  { "step": "c", "sql": "SELECT count(*) AS n FROM workflow.advance()", "catch": [{ "on": "*", "next": "d" }] },
  { "step": "d", "set": { "c": "${$caught.error.code}" } }]}');
SELECT workflow.start('play: real') AS i \gset
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :i));
SELECT test.ended(:i);

-- it never becomes real
BEGIN;
SELECT workflow.mock('play_pay');
COMMIT;
\echo :LAST_ERROR_SQLSTATE
BEGIN;
SELECT workflow.start('play: early') AS i \gset
SELECT workflow.mock('play_pay');
SELECT count(*) FROM workflow.advance();
COMMIT;
SELECT count(*) FROM workflow.instances WHERE process = 'play: early';
BEGIN;
SELECT count(*) FROM workflow.advance();
PREPARE TRANSACTION 'play';
\echo :LAST_ERROR_SQLSTATE
SELECT workflow.advance();
DO $$ BEGIN PERFORM workflow.advance(); COMMIT; END $$;
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
SELECT workflow.mock('play_pay');
RELEASE b;
SAVEPOINT c;
SELECT count(*) FROM workflow.advance('1 day');
ROLLBACK TO c;
SELECT workflow.now() < clock_timestamp() + '1 s' AS goes;
SAVEPOINT d;
SELECT count(*) FROM workflow.advance('1 day');
RELEASE d;
SELECT workflow.now() > clock_timestamp() + '1 hour' AS stands;
ROLLBACK TO a;
SELECT workflow.now() < clock_timestamp() + '1 s' AS goes;
SELECT workflow.start('play: child') AS i \gset
COMMIT;
SELECT test.at(:i);

-- what others have started, and what this transaction has only changed, is left alone
BEGIN;
SELECT workflow.set_data(:i, '{"n": 1}');
SELECT count(*) FROM workflow.advance('1 year');
SELECT test.at(:i);
ROLLBACK;
SELECT workflow.cancel(:i);

-- who may
CREATE ROLE play_owner;
CREATE ROLE play_caller;
CREATE ROLE play_member IN ROLE play_owner;
GRANT USAGE ON SCHEMA workflow TO play_owner, play_caller;
GRANT EXECUTE ON FUNCTION workflow.define(text, json) TO play_owner;
GRANT USAGE ON FOREIGN SERVER play_pay TO play_owner;
SET ROLE play_owner;
SELECT workflow.define('play: owned', '{ "steps": [
  { "step": "h", "http": { "server": "play_pay" } },
  { "step": "s", "sql": "SELECT current_user AS me, pg_has_role(''play_owner'', ''MEMBER'')", "save": { "me": "${$reply.row.me}" } },
  { "step": "d", "sql": "SELECT set_config(''role'', ''postgres'', true)" }] }');
RESET ROLE;
SELECT workflow.grant_process('play: owned', 'play_caller', 'start');
SET ROLE play_caller;
BEGIN;
SELECT workflow.mock('play_pay');
SELECT workflow.start('play: owned') AS i \gset
\set VERBOSITY terse
SELECT workflow.advance();
\set VERBOSITY default
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
SET ROLE play_member;
BEGIN;
SELECT workflow.mock('play_pay');
SELECT workflow.start('play: owned') AS i \gset
SELECT step, event FROM workflow.advance();
SELECT current_user, data FROM workflow.instances WHERE instance = :i;
SELECT error ->> 'message' AS error FROM workflow.incidents WHERE instance = :i;
ROLLBACK;
-- what somebody has called asynchronously is his call, whoever plays it; what follows is for members
SET ROLE play_caller;
BEGIN;
SELECT workflow.start('play: owned', mode => 'async') AS i \gset
SELECT workflow.cancel(:i, mode => 'async');
RESET ROLE;
SET ROLE play_member;
SELECT event FROM workflow.advance();
SELECT call, role, error ->> 'sqlstate' AS error FROM workflow.operations WHERE instance = :i ORDER BY operation;
ROLLBACK;
-- to what is written to a table, its owner's members
RESET ROLE;
CREATE TABLE test.play_other (id integer PRIMARY KEY, state text);
GRANT INSERT, SELECT ON test.play_other TO play_member;
SELECT workflow.attach('test.play_other', 'play: owned', status_column => 'state') > 0 AS attached;
SET ROLE play_member;
BEGIN;
SELECT workflow.mock('play_pay');
INSERT INTO test.play_other VALUES (1);
\set VERBOSITY terse
SELECT workflow.advance();
\set VERBOSITY default
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
RESET ROLE;
BEGIN;
SELECT workflow.mock('play_pay');
INSERT INTO test.play_other VALUES (1);
SELECT step, event FROM workflow.advance();
SELECT * FROM test.play_other;
ROLLBACK;
SELECT workflow.detach('test.play_other');
DROP TABLE test.play_other;
-- the owner needs USAGE on the server here as well
REVOKE USAGE ON FOREIGN SERVER play_pay FROM play_owner;
BEGIN;
SELECT workflow.mock('play_pay');
SELECT workflow.start('play: owned') AS i \gset
SELECT step, event FROM workflow.advance();
SELECT error ->> 'message' AS error FROM workflow.incidents WHERE instance = :i;
ROLLBACK;

-- paths and methods, as people write them
SELECT workflow.define('play: paths', '{ "steps": [
    { "step": "a", "http": { "server": "play_pay", "path": "/bookings/1", "method": "PUT" } }, { "step": "b", "http": { "server": "play_pay", "query": { "q": "1" } } },
    { "step": "c", "http": { "server": "play_pay", "url": "HTTP://127.0.0.1:9/v1/c" } }, { "step": "d", "http": { "server": "play_pay" } }] }');
BEGIN;
SELECT workflow.mock('play_pay', 'put', 'bookings/1', times => 1);
SELECT workflow.mock('play_pay', 'GET', '?q=1', times => 1);
SELECT workflow.mock('play_pay', NULL, 'HTTP://127.0.0.1:9/v1/c*', times => 1);
SELECT workflow.mock('play_pay', NULL, '', times => 1);
SELECT workflow.mock('play_pay', NULL, 'http://127.0.0.1:9/v1/bookings/*');
SELECT workflow.mock('play_pay', NULL, 'http://127.0.0.1:9/v1');
SELECT workflow.mock('play_pay', NULL, 'x?next=http://there');
SELECT workflow.start('play: paths') AS i \gset
SELECT step, event FROM workflow.advance();
SELECT workflow.start('play: paths') AS i \gset
SAVEPOINT s;
SELECT workflow.advance();
ROLLBACK TO s;
SELECT workflow.mock('play_pay', '*', 'bookings');
ROLLBACK TO s;
SELECT workflow.mock('play_pay', '/bookings', 'PUT');
ROLLBACK TO s;
SELECT workflow.mock('play_pay', '', 'bookings');
ROLLBACK TO s;
SELECT workflow.mock('play_pay', 'GET', '/bookings/*/items');
ROLLBACK;

-- arguments
BEGIN READ ONLY;
SELECT workflow.advance();
ROLLBACK;
SELECT test.try(c) AS answer, c FROM (VALUES
  ($$SELECT workflow.advance(NULL)::text$$), ($$SELECT workflow.advance('-1 s')::text$$), ($$SELECT workflow.advance('300000 years')::text$$),
  ($$SELECT workflow.mock('play_none')::text$$), ($$SELECT workflow.mock(NULL)::text$$), ($$SELECT workflow.mock('play_pay', path => NULL)::text$$),
  ($$SELECT workflow.mock('play_pay', reply => NULL)::text$$), ($$SELECT workflow.mock('play_pay', times => 0)::text$$)) v (c);
SELECT workflow.mock('play_pay', reply => '[]');
SELECT workflow.mock('play_pay', reply => '{"state": 200}');
SELECT workflow.mock('play_pay', reply => '{"status": 100}');
SELECT workflow.mock('play_pay', reply => '{"status": "200"}');
SELECT workflow.mock('play_pay', reply => '{"status": 4294967496}');
SELECT workflow.mock('play_pay', reply => '{"error": "none"}');
SELECT workflow.mock('play_pay', reply => '{"error": "connect", "status": 200}');
SELECT workflow.mock('play_pay', reply => '{"headers": []}');
SELECT workflow.mock('play_pay', reply => '{"headers": {"a": []}}');
SELECT workflow.mock('play_pay', reply => '{"after": 3}');
SELECT workflow.mock('play_pay', reply => '{"after": "-3 s"}');
SELECT workflow.mock('play_pay', reply => '{"after": "soon"}');

SELECT workflow.detach('test.play_order');
DROP TABLE test.play_order, test.played, test.play_row, test.play_parent;
DROP SEQUENCE test.play_seq;
SELECT p.process, workflow.undefine(p.process, true) IS NOT NULL AS gone FROM (SELECT DISTINCT process FROM workflow.processes WHERE process LIKE 'play: %') p ORDER BY 1;
DROP SERVER play_pay;
DROP OWNED BY play_owner, play_caller;
DROP ROLE play_member, play_caller, play_owner;
