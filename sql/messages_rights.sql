-- Who may send what to whom, and what he sees of others.
CREATE ROLE messages_author;
CREATE ROLE messages_other;
CREATE ROLE messages_sender;
CREATE ROLE messages_clerk;
CREATE ROLE messages_starter;
CREATE ROLE messages_monitor IN ROLE pg_monitor;
GRANT USAGE ON SCHEMA workflow TO messages_author, messages_other, messages_sender, messages_clerk, messages_starter, messages_monitor;
GRANT EXECUTE ON FUNCTION workflow.define(text, json), workflow.grant_process(text, name, text, text), workflow.revoke_process(text, name, text, text) TO messages_author, messages_other;
SET ROLE messages_author;
SELECT workflow.define('messages_rights: mine', '{"steps": [{"step": "a", "wait": {"message": "messages_rights: m"}}, {"step": "b", "wait": {"message": "messages_rights: n"}}, {"step": "s", "wait": {"signal": "messages_rights: s"}}, {"step": "z", "wait": true}]}');
SELECT workflow.start('messages_rights: mine') AS i \gset
SET ROLE messages_other;
SELECT workflow.define('messages_rights: theirs', '{"steps": [{"step": "a", "wait": {"message": "messages_rights: m"}}, {"step": "z", "wait": true}]}');
SELECT workflow.start('messages_rights: theirs') AS j \gset
-- each reaches his own alone, and neither is in the way of the other
SELECT process, name FROM workflow.subscriptions WHERE process LIKE 'messages_rights:%';
SELECT workflow.send_message('messages_rights: m', instance => :i);
SELECT workflow.send_message('messages_rights: m');
-- a role without rights hears of nobody, and may keep nothing
SET ROLE messages_sender;
SELECT workflow.send_message('messages_rights: m');
SELECT workflow.send_message('messages_rights: m', to_all => true);
SELECT workflow.send_message('messages_rights: m', ttl => '1 h');
SELECT count(*) FROM workflow.subscriptions;
-- with complete on the process, or on the step
RESET ROLE;
SELECT workflow.grant_process('messages_rights: mine', 'messages_sender', 'complete');
SELECT workflow.grant_process('messages_rights: mine', 'messages_clerk', 'complete', 'b');
SELECT workflow.grant_process('messages_rights: mine', 'messages_starter', 'start');
SET ROLE messages_clerk;
SELECT workflow.send_message('messages_rights: m');
SELECT workflow.send_message('messages_rights: m', ttl => '1 h');
SELECT workflow.send_message('messages_rights: n', ttl => '1 h');
SELECT name, sender, data FROM workflow.messages;
SET ROLE messages_sender;
SELECT count(*) FROM workflow.messages;
SELECT workflow.send_message('messages_rights: m');
RESET ROLE;
CALL test.arrive(:i, 's');
SELECT step, completed_by FROM workflow.history WHERE instance = :i ORDER BY serial_number;
-- start is enough to keep one, and does not reach anybody
SET ROLE messages_starter;
SELECT workflow.send_message('messages_rights: n', ttl => '1 h');
RESET ROLE;
SELECT workflow.start('messages_rights: mine') AS k \gset
SELECT workflow.send_message('messages_rights: m', instance => :k);
SELECT pg_sleep(0.3);
SELECT step FROM workflow.waiting WHERE instance = :k;
-- until he may
SELECT workflow.grant_process('messages_rights: mine', 'messages_starter', 'complete');
CALL test.arrive(:k, 's');
SELECT step, completed_by FROM workflow.history WHERE instance = :k ORDER BY serial_number DESC LIMIT 1;
-- a right that was taken back meanwhile does not count
SET ROLE messages_sender;
SELECT workflow.send_message('messages_rights: m', ttl => '1 h');
RESET ROLE;
SELECT workflow.revoke_process('messages_rights: mine', 'messages_sender', 'complete');
SELECT workflow.start('messages_rights: mine') AS l \gset
SELECT pg_sleep(0.3);
SELECT step FROM workflow.waiting WHERE instance = :l;
-- counts for those who monitor, and no data
SET ROLE messages_monitor;
SELECT labels, value FROM workflow.metrics WHERE name = 'messages';
SELECT count(*) FROM workflow.messages;
SET ROLE messages_sender;
SELECT labels, value FROM workflow.metrics WHERE name = 'messages';
SET ROLE messages_clerk;
SELECT count(*) FROM workflow.metrics WHERE name = 'messages';

RESET ROLE;
-- what an older version names counts, since its instances go on; what is undefined, as long as some live
SELECT workflow.define('messages_rights: versions', '{"steps": [{"step": "a", "wait": {"message": "messages_rights: old"}}, {"step": "z", "wait": true}]}');
SELECT workflow.grant_process('messages_rights: versions', 'messages_sender', 'complete');
SELECT workflow.start('messages_rights: versions') AS v \gset
SELECT workflow.define('messages_rights: versions', '{"steps": [{"step": "a", "wait": true}]}');
SELECT workflow.undefine('messages_rights: versions', force => true);
SET ROLE messages_sender;
SELECT workflow.send_message('messages_rights: old', ttl => '1 h');
SELECT workflow.send_message('messages_rights: old', ttl => '1 h');
RESET ROLE;
SELECT step FROM workflow.waiting WHERE instance = :v;
SELECT workflow.cancel(:v);
SET ROLE messages_sender;
SELECT workflow.send_message('messages_rights: old', ttl => '1 h');
RESET ROLE;
SELECT workflow.define('messages_rights: gone', '{"steps": [{"step": "a", "wait": {"message": "messages_rights: gone"}}]}');
SELECT workflow.grant_process('messages_rights: gone', 'messages_starter', 'start');
SELECT workflow.undefine('messages_rights: gone');
SET ROLE messages_starter;
SELECT workflow.send_message('messages_rights: gone', ttl => '1 h');
RESET ROLE;
-- what waits at other steps of a process is not looked at
SELECT workflow.define('messages_rights: steps', '{"steps": [{"step": "w", "wait": {"message": "messages_rights: q"}}, {"step": "z", "wait": {"message": "messages_rights: q"}}]}');
SELECT workflow.grant_process('messages_rights: steps', 'messages_clerk', 'complete', 'z');
BEGIN;
SELECT count(workflow.start('messages_rights: steps')) FROM generate_series(1, 300);
COMMIT;
BEGIN;
SELECT idx_tup_fetch AS before FROM pg_stat_xact_user_tables WHERE relid = 'workflow_data.subscription'::regclass \gset
SET LOCAL ROLE messages_clerk;
SELECT workflow.send_message('messages_rights: q', ttl => '1 h');
RESET ROLE;
SELECT idx_tup_fetch - :before < 50 AS few FROM pg_stat_xact_user_tables WHERE relid = 'workflow_data.subscription'::regclass;
ROLLBACK;

-- ---- signals ----
SET ROLE messages_clerk;
SELECT workflow.send_signal('messages_rights: s');
RESET ROLE;
CALL test.until('SELECT NOT EXISTS (SELECT FROM workflow_data.broadcast)');
SELECT step, count(*) FROM workflow.waiting WHERE instance IN (:i, :k) GROUP BY step;
SET ROLE messages_starter;
SELECT workflow.send_signal('messages_rights: s');
RESET ROLE;
CALL test.arrive(:i, 'z');
CALL test.arrive(:k, 'z');
-- several, of which only some are seen
SELECT workflow.grant_process('messages_rights: theirs', 'messages_sender', 'complete');
SELECT workflow.start('messages_rights: theirs') AS m1, workflow.start('messages_rights: mine') AS m2 \gset
-- the one that was kept for want of the right has found its wait
CALL test.arrive(:m1, 'z');
SET ROLE messages_sender;
SELECT workflow.send_message('messages_rights: m');
RESET ROLE;
SELECT step, process FROM workflow.waiting WHERE instance IN (:m1, :m2) ORDER BY process;
SELECT workflow.send_message('messages_rights: m');
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'messages_rights:%' AND ended_at IS NULL;
DELETE FROM workflow_data.message WHERE name LIKE 'messages_rights:%';
