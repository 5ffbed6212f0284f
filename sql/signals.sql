-- Signals: to all that wait, each once.
SELECT workflow.define('signals: one', '{"data": {"heard": 0}, "steps": [
  {"step": "first", "wait": {"signal": "signals: go"}, "save": {"heard": "${$.heard + 1}", "data": "${$result.response}", "event": "${$event.kind} ${$event.name}"}},
  {"step": "again", "wait": {"signal": "signals: go"}, "save": {"heard": "${$.heard + 1}"}},
  {"step": "last", "wait": true}]}');
SELECT count(workflow.start('signals: one')) FROM generate_series(1, 600);
SELECT DISTINCT kind, name, key, interrupt FROM workflow.subscriptions WHERE process = 'signals: one';
SELECT DISTINCT waits_for, name, key FROM workflow.waiting WHERE process = 'signals: one';
SELECT workflow.send_signal('signals: go', '{"n": 1}');
CALL test.until($$SELECT count(*) = 600 FROM workflow.waiting WHERE process = 'signals: one' AND step = 'again'$$);
-- one that waits again is not hit twice
SELECT pg_sleep(0.2);
SELECT step, count(*) FROM workflow.waiting WHERE process = 'signals: one' GROUP BY step;
SELECT DISTINCT data FROM workflow.instances WHERE process = 'signals: one';
-- two at once, of which each reaches those that waited when it was taken up
SELECT workflow.send_signal('signals: go');
CALL test.until($$SELECT count(*) = 600 FROM workflow.waiting WHERE process = 'signals: one' AND step = 'last'$$);
SELECT DISTINCT data -> 'heard' AS heard FROM workflow.instances WHERE process = 'signals: one';
SELECT count(*) FROM workflow_data.broadcast;

-- nobody waits; rolled back
SELECT workflow.send_signal('signals: go');
CALL test.until('SELECT NOT EXISTS (SELECT FROM workflow_data.broadcast)');
SELECT workflow.start('signals: one') AS i \gset
BEGIN;
SELECT workflow.send_signal('signals: go');
ROLLBACK;
CALL test.until('SELECT NOT EXISTS (SELECT FROM workflow_data.broadcast)');
SELECT step FROM workflow.waiting WHERE instance = :i;
-- suspended
SELECT workflow.suspend(:i);
SELECT workflow.send_signal('signals: go', '"held"');
CALL test.until(format($$SELECT EXISTS (SELECT FROM workflow_data.delivery WHERE instance = %s AND queue = 'suspended')$$, :i));
SELECT workflow.resume(:i);
CALL test.arrive(:i, 'again');
SELECT data ->> 'data' AS data FROM workflow.instances WHERE instance = :i;

-- arguments
SELECT workflow.send_signal(NULL);
SELECT workflow.send_signal('');
SELECT workflow.send_signal(repeat('x', 201));
-- handlers beside, and those that interrupt
SELECT workflow.define('signals: handlers', '{"data": {"n": 0}, "steps": [{"step": "work", "wait": true, "catch": [
    {"signal": "signals: tick", "interrupt": false, "save": {"n": "${$.n + 1}"}, "next": "ticked"},
    {"signal": "signals: stop", "next": "stopped"}]},
  {"step": "ticked", "set": {"ticked": true}, "end": true}, {"step": "stopped", "wait": true}]}');
SELECT workflow.start('signals: handlers') AS i \gset
SELECT workflow.send_signal('signals: tick') FROM generate_series(1, 3);
SELECT workflow.send_signal('signals: stop');
CALL test.arrive(:i, 'stopped');
SELECT data FROM workflow.instances WHERE instance = :i;

-- a message to very many goes as a signal does
SELECT workflow.define('signals: many', '{"steps": [{"step": "wait", "wait": {"message": "signals: all", "key": "k"}, "save": {"got": "${$event.data}"}}, {"step": "last", "wait": true}]}');
SELECT count(workflow.start('signals: many')) FROM generate_series(1, 300);
SELECT workflow.send_message('signals: all', 'k', '7', to_all => true);
CALL test.until($$SELECT count(*) = 300 FROM workflow.waiting WHERE process = 'signals: many' AND step = 'last'$$);
SELECT DISTINCT data FROM workflow.instances WHERE process = 'signals: many';
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'signals:%' AND ended_at IS NULL;
SELECT count(*) FROM workflow.subscriptions WHERE process LIKE 'signals:%';
