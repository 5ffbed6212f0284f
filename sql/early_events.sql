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
SELECT state, called_back, deadline FROM workflow.visits WHERE instance = :i;
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
SELECT step, state, called_back, deadline FROM workflow.visits WHERE instance IN (:one, :two) ORDER BY instance, serial_number;
SELECT * FROM workflow.verify();
SELECT workflow.cancel_visit(serial_number, 'not needed') FROM workflow.visits WHERE instance = :one AND step = 's';
SELECT workflow.send_message('early: stop', 'two');
CALL test.arrive(:one, 'n');
CALL test.arrive(:two, 'n');
SELECT test.went(:one), test.went(:two);
SELECT * FROM workflow.verify();

SELECT workflow.cancel(instance) FROM workflow.instances WHERE process LIKE 'early%' AND ended_at IS NULL;
DROP SERVER early_events, early_fails;
DROP TABLE test.early;
