-- Numbers that say to which of several databases an instance belongs. All in a transaction that is rolled back: other tests have instances here.

-- ---- what is refused ----
CREATE ROLE shard_user;
GRANT USAGE ON SCHEMA workflow TO shard_user;
SET ROLE shard_user;
SELECT workflow.set_shard(1);
SELECT workflow.shard(), (SELECT count(*) FROM workflow.shards);
SELECT * FROM workflow_data.shard;
RESET ROLE;
\set SHOW_CONTEXT never
SELECT workflow.set_shard(1024);
\echo :LAST_ERROR_SQLSTATE
SELECT workflow.set_shard(-1);
\echo :LAST_ERROR_SQLSTATE
SELECT workflow.set_shard(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT workflow.set_shard(1, -1);
\echo :LAST_ERROR_SQLSTATE
SELECT workflow.set_shard(1, NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT workflow.keep(1, 0);
\echo :LAST_ERROR_SQLSTATE
SELECT workflow.keep(2, 2);
\echo :LAST_ERROR_SQLSTATE
SELECT workflow.keep(2, NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT workflow.keep(2, 0, 1024);
\echo :LAST_ERROR_SQLSTATE
SELECT workflow.keep(2, 0);
\echo :LAST_ERROR_SQLSTATE
BEGIN READ ONLY;
SELECT workflow.set_shard(1);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;

-- ---- instances from before, and after ----
SELECT workflow.define('shard', '{"steps": [{"step": "wait", "wait": true}]}') AS version;
SELECT workflow.define('shard: calls', '{"steps": [{"step": "ask", "call": {"process": "shard"}}]}') AS version;
SELECT workflow.define('shard: told', '{"start_on": [{"message": "shard: told"}], "steps": [{"step": "wait", "wait": true}]}') AS version;
SELECT workflow.start('shard') AS before \gset
BEGIN;
SELECT workflow.set_shard(777) AS first \gset
SELECT :first > :before AND :first & 1023 = 777 AS carries, workflow.shard(), (SELECT first FROM workflow.shards) = :first AS shown;
-- another number, as long as nobody has got one with it; and the same again
SELECT workflow.set_shard(5) AS first \gset
SELECT workflow.set_shard(5) = :first AS same, :first & 1023 AS carries, workflow.shard();
SELECT workflow.set_shard(5, :first + 100000) > :first AS higher;
SELECT workflow.start('shard') AS one \gset
SELECT :one & 1023 AS carries, :one >= :first AS above;
SELECT workflow.set_shard(5) = (SELECT first FROM workflow.shards) AS same;
SAVEPOINT before;
SELECT workflow.set_shard(6);
ROLLBACK TO before;
-- the one from before has its number and its serial number
SELECT workflow.complete(serial_number, '1') FROM workflow.waiting WHERE instance = :before;
SELECT status FROM workflow.instances WHERE instance = :before;
-- calls, messages, asynchronous starts, ended ones once more
SELECT workflow.start('shard: calls') AS caller \gset
SELECT :caller & 1023 AS caller, instance & 1023 AS called FROM workflow.instances WHERE parent = :caller;
SELECT workflow.send_message('shard: told') \gset
SELECT instance & 1023 AS told FROM workflow.instances WHERE process = 'shard: told';
SELECT workflow.start('shard', mode => 'async') & 1023 AS later;
SELECT workflow.rerun(:before) & 1023 AS rerun;
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :one;
SELECT workflow.instance_token(:caller) LIKE :caller || '.%' AS token;
-- all of a process
SELECT workflow.suspend_process('shard') AS suspended, workflow.resume_process('shard') AS resumed;

-- ---- rows, many at once ----
CREATE TABLE shard_rows (id int PRIMARY KEY, sn text, instance bigint, state text);
SELECT workflow.attach('shard_rows', 'shard', serial_column => 'sn', serial_step => 'wait', instance_column => 'instance', status_column => 'state') > 0 AS attached;
INSERT INTO shard_rows SELECT generate_series(1, 200);
SELECT count(*), count(DISTINCT r.instance), count(*) FILTER (WHERE r.instance & 1023 = 5), count(*) FILTER (WHERE r.sn = w.serial_number) AS tell
FROM shard_rows r JOIN workflow.waiting w USING (instance);
ROLLBACK;
SELECT workflow.shard() IS NULL AS none, (SELECT count(*) FROM workflow.shards);
-- what comes after it has no shard
SELECT workflow.start('shard') AS plain, workflow.start('shard') AS next \gset
SELECT :next - :plain AS further, :plain > :before AS above;

-- only its owner writes to the table
GRANT pg_write_all_data TO shard_user;
SET ROLE shard_user;
INSERT INTO workflow_data.shard (shard, first) VALUES (1, 1);
RESET ROLE;
REVOKE pg_write_all_data FROM shard_user;
SELECT workflow.cancel(instance) FROM workflow.instances WHERE process = 'shard' AND ended_at IS NULL;
REVOKE USAGE ON SCHEMA workflow FROM shard_user;
DROP ROLE shard_user;
SELECT workflow.undefine('shard: told') AS undefined;
