-- Messages and signals that come before the action of their step is done: that is done all the same, first.
CREATE TABLE test.early (what text);
CREATE SERVER early_events FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:1', max_in_flight '0');
SELECT workflow.define('early', '{"steps": [
  {"step": "s", "sql": "INSERT INTO test.early VALUES (visit.business_key)", "wait": {"message": "early", "key": "${$business_key}"},
   "save_reply": {"rows": "${$reply.rows ?? $reply.count}"}, "timeout": "1 h", "next": "n"}, {"step": "n", "wait": true}]}');

-- one is kept for it already
SELECT workflow.send_message('early', 'kept', ttl => '1 h');
SELECT workflow.start('early', business_key => 'kept') AS i \gset
CALL test.arrive(:i, 'n');
SELECT outcome, attempts FROM workflow.history WHERE instance = :i;
-- it comes in the transaction of the start
BEGIN;
SELECT workflow.start('early', business_key => 'at once') AS i \gset
SELECT workflow.send_message('early', 'at once');
SELECT state, called_back, deadline > now() AS has_deadline FROM workflow.visits WHERE instance = :i;
SELECT * FROM workflow.verify();
COMMIT;
CALL test.arrive(:i, 'n');
SELECT outcome, attempts FROM workflow.history WHERE instance = :i;
SELECT * FROM test.early ORDER BY 1;

-- steps that an executor enters
SELECT workflow.define('early: async', '{"steps": [
  {"step": "s", "async": true, "set": {"set": 1}, "wait": {"message": "early", "key": "${$business_key}"}, "timeout": "1 h"},
  {"step": "t", "async": true, "sql": "INSERT INTO test.early VALUES (visit.step)", "wait": {"message": "early", "key": "${$business_key}"}, "next": "n"},
  {"step": "n", "wait": true}]}');
BEGIN;
SELECT workflow.start('early: async', business_key => 'async') AS i \gset
SELECT workflow.send_message('early', 'async');
SELECT state, called_back FROM workflow.visits WHERE instance = :i;
SELECT workflow.send_message('early', 'async', ttl => '1 h');
COMMIT;
CALL test.arrive(:i, 'n');
SELECT test.went(:i), data FROM workflow.instances WHERE instance = :i;
SELECT count(*) FROM test.early WHERE what = 't';

-- a statement that has not been begun is left out if its visit is called off
BEGIN;
SELECT workflow.start('early', business_key => 'off') AS sql, workflow.start('early: async', business_key => 'off too') AS async \gset
SELECT workflow.send_message('early', key) FROM (VALUES ('off'), ('off too')) k (key);
SELECT step, workflow.cancel_visit(serial_number, 'not needed') FROM workflow.visits WHERE instance IN (:sql, :async) ORDER BY instance;
COMMIT;
CALL test.arrive(:sql, 'n');
SELECT outcome, attempts FROM workflow.history WHERE instance = :sql;
SELECT step, outcome, result->'initial_response' AS reply FROM workflow.history WHERE instance = :async;
SELECT count(*) FROM test.early WHERE what = 'off';

-- a callback is told to the visit itself: its action is needed no more
SELECT workflow.define('early: callback', '{"steps": [
  {"step": "s", "sql": "INSERT INTO test.early VALUES (visit.step)", "wait": true, "next": "n"}, {"step": "n", "wait": true}]}');
BEGIN;
SELECT workflow.start('early: callback') AS i \gset
SELECT workflow.complete(serial_number) FROM workflow.visits WHERE instance = :i;
COMMIT;
CALL test.arrive(:i, 'n');
SELECT count(*) FROM test.early WHERE what = 's';

-- a request that cannot be made is an attempt that has failed
CREATE SERVER early_fails FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:1');
SELECT workflow.define('early: unmade', '{"steps": [
  {"step": "s", "http": {"server": "early_fails", "path": "/", "body": "${$.nothing}"}, "wait": {"message": "early"}}, {"step": "n", "wait": true}]}');
BEGIN;
SELECT workflow.start('early: unmade') AS i \gset
SELECT workflow.send_message('early');
COMMIT;
CALL test.arrive(:i, 'n');
SELECT outcome, attempts FROM workflow.history WHERE instance = :i;
SELECT a.attempt, a.error->>'code' AS code, a.error->>'message' AS message FROM workflow.attempts a JOIN workflow.history h USING (serial_number) WHERE h.instance = :i;

-- a request that cannot go out: the message is kept with the visit, until that is called off, or what is around it ends
SELECT workflow.define('early: held', '{"steps": [{"step": "sub", "steps": [
     {"step": "s", "http": {"server": "early_events", "path": "/"}, "wait": {"message": "early", "key": "${$business_key}"}, "timeout": "1 h", "end": true}],
   "catch": [{"message": "early: stop", "key": "${$business_key}", "next": "n"}], "next": "n"}, {"step": "n", "wait": true}]}');
SELECT workflow.start('early: held', business_key => 'one') AS one, workflow.start('early: held', business_key => 'two') AS two \gset
SELECT workflow.send_message('early', key) FROM (VALUES ('one'), ('two')) k (key);
SELECT step, state, called_back, deadline IS NOT NULL AS has_deadline FROM workflow.visits WHERE instance IN (:one, :two) ORDER BY instance, serial_number;
SELECT * FROM workflow.verify();
SELECT workflow.cancel_visit(serial_number, 'not needed') FROM workflow.visits WHERE instance = :one AND step = 's';
SELECT workflow.send_message('early: stop', 'two');
CALL test.arrive(:one, 'n');
CALL test.arrive(:two, 'n');
SELECT test.went(:one), test.went(:two);
SELECT * FROM workflow.verify();

-- what fails is tried again as ever, and the message counts when the action has succeeded, or has failed for good
CREATE SEQUENCE test.early_tries;
CREATE PROCEDURE pg_temp.early(process text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM workflow.send_message('early', instance::text) FROM workflow.start(process) AS instance;
END$$;
CREATE FUNCTION pg_temp.latest(process text) RETURNS bigint LANGUAGE sql AS 'SELECT max(instance) FROM workflow.instances i WHERE i.process = $1';
CREATE FUNCTION pg_temp.attempts(instance bigint) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', a.attempt, a.error->>'code') FROM workflow.attempts a JOIN workflow.history h USING (serial_number) WHERE h.instance = $1 AND h.step = 's' ORDER BY a.attempt $$;
SELECT workflow.define('early: once', '{"steps": [
  {"step": "s", "sql": "SELECT 1 / (nextval(''test.early_tries'') - 1)", "wait": {"message": "early", "key": "${$instance}"}, "save_reply": {"count": "${$reply.count}"},
   "retry": {"max": 3, "delay": "10 ms", "on": ["22012"]}, "next": "n"}, {"step": "n", "wait": true}]}');
CALL pg_temp.early('early: once');
SELECT pg_temp.latest('early: once') AS i \gset
CALL test.arrive(:i, 'n');
SELECT outcome, attempts FROM workflow.history WHERE instance = :i;
SELECT pg_temp.attempts(:i);
SELECT data FROM workflow.instances WHERE instance = :i;
SELECT workflow.define('early: never', '{"steps": [
  {"step": "s", "sql": "SELECT 1 / 0", "wait": {"message": "early", "key": "${$instance}"}, "retry": {"max": 2, "delay": "10 ms", "on": ["22012"]}, "next": "n"}, {"step": "n", "wait": true}]}');
CALL pg_temp.early('early: never');
SELECT pg_temp.latest('early: never') AS i \gset
CALL test.arrive(:i, 'n');
SELECT outcome, attempts FROM workflow.history WHERE instance = :i;
SELECT pg_temp.attempts(:i);

-- the deadline holds: what is not done by then is given up, and the message counts, since it came in time
CREATE SERVER early_dropped FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:1', max_in_flight '0');
SELECT workflow.define('early: ' || server, format('{"steps": [
  {"step": "s", "http": {"server": "%s", "path": "/"}, "async": %s, "wait": {"message": "early", "key": "${$instance}"}, "timeout": "300 ms", "next": "n"}, {"step": "n", "wait": true}]}', server, (server = 'early_events')::text)::json)
FROM (VALUES ('early_dropped'), ('early_events')) AS s (server);
CALL pg_temp.early('early: early_dropped');
CALL pg_temp.early('early: early_events');
DROP SERVER early_dropped;
SELECT pg_temp.latest('early: early_dropped') AS dropped, pg_temp.latest('early: early_events') AS paused \gset
CALL test.arrive(:dropped, 'n');
CALL test.arrive(:paused, 'n');
SELECT h.step, h.outcome, h.attempts, a.error->>'code' AS code, a.error->>'message' AS message FROM workflow.history h JOIN workflow.attempts a USING (serial_number)
WHERE h.instance IN (:dropped, :paused) ORDER BY h.instance;

-- also in a pause; who knows better extends it, and what stands still is seen
SELECT workflow.define('early: pause', '{"steps": [
  {"step": "s", "sql": "SELECT 1 / 0", "wait": {"message": "early", "key": "${$instance}"}, "retry": {"max": 2, "delay": "1 h", "on": ["22012"]}, "timeout": "1 h", "next": "n"}, {"step": "n", "wait": true}]}');
CALL pg_temp.early('early: pause');
SELECT pg_temp.latest('early: pause') AS i \gset
CALL test.until(format('SELECT state = ''retrying'' FROM workflow.visits WHERE instance = %s', :i));
SELECT state, called_back, workflow.extend(serial_number, '1 h') = deadline + interval '1 h' AS extended FROM workflow.visits WHERE instance = :i;
SELECT * FROM workflow.verify();
-- another version bounds it
SELECT workflow.define('early: pause', '{"steps": [
  {"step": "s", "sql": "SELECT 1 / 0", "wait": {"message": "early", "key": "${$instance}"}, "retry": {"max": 2, "delay": "1 h", "on": ["22012"]}, "timeout": "10 ms", "next": "n"}, {"step": "n", "wait": true}]}');
SELECT * FROM workflow.migrate(:i, 2);
CALL test.arrive(:i, 'n');
SELECT outcome, attempts FROM workflow.history WHERE instance = :i;
SELECT pg_temp.attempts(:i);
-- it is called off
SELECT workflow.define('early: pause', '{"steps": [
  {"step": "s", "sql": "SELECT 1 / 0", "wait": {"message": "early", "key": "${$instance}"}, "retry": {"max": 2, "delay": "1 h", "on": ["22012"]}, "next": "n"}, {"step": "n", "wait": true}]}');
CALL pg_temp.early('early: pause');
SELECT pg_temp.latest('early: pause') AS i \gset
CALL test.until(format('SELECT state = ''retrying'' FROM workflow.visits WHERE instance = %s', :i));
SELECT workflow.cancel_visit(serial_number) FROM workflow.visits WHERE instance = :i;
SELECT test.went(:i), test.at(:i);
-- what is around it ends
SELECT workflow.define('early: inside', '{"steps": [{"step": "sub", "steps": [
    {"step": "s", "sql": "SELECT 1 / 0", "wait": {"message": "early", "key": "${$instance}"}, "retry": {"max": 2, "delay": "1 h", "on": ["22012"]}, "end": true}],
   "catch": [{"message": "early: stop", "key": "${$instance}", "next": "n"}], "next": "n"}, {"step": "n", "wait": true}]}');
CALL pg_temp.early('early: inside');
SELECT pg_temp.latest('early: inside') AS i \gset
CALL test.until(format('SELECT state = ''retrying'' FROM workflow.visits WHERE instance = %s AND step = ''s''', :i));
SELECT workflow.send_message('early: stop', :'i');
CALL test.arrive(:i, 'n');
SELECT test.went(:i);

-- clocks of handlers: one beside it begins, one that would interrupt it is as a deadline; other events begin nothing any more
SELECT workflow.define('early: clocks', '{"data": {"n": 0}, "steps": [
  {"step": "s", "http": {"server": "early_events", "path": "/"}, "wait": {"message": "early", "key": "${$instance}"}, "catch": [
    {"every": "50 ms", "times": 1, "interrupt": false, "save": {"n": "${$.n + 1}"}, "next": "remind"}, {"after": "400 ms", "next": "late"},
    {"signal": "early", "next": "late"}], "next": "n"},
  {"step": "n", "wait": true}, {"step": "remind", "end": true}, {"step": "late", "end": true}]}');
CALL pg_temp.early('early: clocks');
SELECT pg_temp.latest('early: clocks') AS i \gset
SELECT workflow.send_signal('early');
CALL test.arrive(:i, 'n');
SELECT test.went(:i), data FROM workflow.instances WHERE instance = :i;
SELECT pg_temp.attempts(:i);

-- what was called is told to end at the deadline, and the message or the callback counts when it has
SELECT workflow.define('early: child', '{"steps": [{"step": "w", "wait": true}]}');
SELECT workflow.define('early: call', '{"steps": [{"step": "s", "call": {"process": "early: child"}, "timeout": "1 s",
  "first_of": [{"message": "early", "key": "${$instance}", "next": "n"}, {"callback": true, "next": "n"}]}, {"step": "n", "wait": true}]}');
CALL pg_temp.early('early: call');
SELECT pg_temp.latest('early: call') AS message, workflow.start('early: call') AS callback \gset
SELECT workflow.complete(serial_number, '"yes"') FROM workflow.visits WHERE instance = :callback;
SELECT state, waits_for, called_back, deadline IS NOT NULL AS has_deadline FROM workflow.visits WHERE instance IN (:message, :callback) ORDER BY instance;
SELECT * FROM workflow.verify();
CALL test.arrive(:message, 'n');
CALL test.arrive(:callback, 'n');
SELECT h.outcome, h.result->>'response' AS response, h.result->'event'->>'kind' AS event, c.status AS child, c.error->>'message' AS why
FROM workflow.history h JOIN workflow.instances c ON c.instance = h.child WHERE h.instance IN (:message, :callback) ORDER BY h.instance;
SELECT workflow.define('early: call', '{"steps": [{"step": "s", "call": {"process": "early: child"}, "wait": {"message": "early", "key": "${$instance}"}}, {"step": "n", "wait": true}]}');
CALL pg_temp.early('early: call');
SELECT pg_temp.latest('early: call') AS i \gset
SELECT workflow.cancel_visit(serial_number, 'enough') FROM workflow.visits WHERE instance = :i;
CALL test.arrive(:i, 'n');
SELECT test.went(:i);

-- after how long that is told of
SELECT workflow.define('early: warned', '{"warn_waiting": "1 day", "steps": [
  {"step": "s", "http": {"server": "early_events", "path": "/"}, "wait": {"message": "early", "key": "${$instance}"}}, {"step": "n", "wait": true}]}');
CALL pg_temp.early('early: warned');
SELECT v.warn_at - v.entered_at > interval '23 h' AS warned, v.next_timer = v.warn_at AS at_its_time FROM workflow_data.visit v WHERE instance = pg_temp.latest('early: warned');
SELECT * FROM workflow.verify();

SELECT bool_and(workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'early%' AND ended_at IS NULL AND parent IS NULL;
CALL test.until('SELECT NOT EXISTS (SELECT FROM workflow.instances WHERE process LIKE ''early%'' AND ended_at IS NULL)');
DROP SERVER early_events, early_fails;
DROP TABLE test.early;
DROP SEQUENCE test.early_tries;
