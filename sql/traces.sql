-- Traces: which one an instance belongs to, and the spans of its attempts.

-- ---- the setting ----
CREATE FUNCTION pg_temp.set_to(value text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN set_config('workflow.traceparent', value, false);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
SET workflow.traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7';
SELECT value, pg_temp.set_to(value) FROM (VALUES
    ('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'), ('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00'),
    ('cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff'), ('01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes'),
    ('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-'), ('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes'),
    ('01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011'), ('ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'),
    ('00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01'), ('00-00000000000000000000000000000000-00f067aa0ba902b7-01'),
    ('00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01'), ('00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01'),
    ('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b-01'), ('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1'),
    ('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g'), (' 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'),
    ('0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'), ('00'), ('-'), ('00-'), ('what'), ('')) v (value);
SHOW workflow.traceparent;
SET workflow.log_failed_attempts = 'loud';

-- ---- an instance that nobody has given one ----
SELECT workflow.define('traces: wait', '{"start_on": [{"webhook": "traces: hook"}, {"message": "traces: message"}], "steps": [{"step": "one", "wait": true}]}');
SELECT workflow.start('traces: wait') AS i \gset
SELECT workflow.start('traces: wait') AS j \gset
SELECT trace_id ~ '^[0-9a-f]{32}$' AS is_one, trace_id ~ '^0+$' AS is_none, traceparent FROM workflow.instances WHERE instance = :i;
SELECT count(DISTINCT trace_id) FROM workflow.instances WHERE instance IN (:i, :j);
SELECT trace_id AS own FROM workflow.instances WHERE instance = :i \gset
SELECT traceparent FROM workflow_data.instance WHERE instance = :i;
SELECT test.done(:i, 'one');
SELECT status, trace_id = :'own' AS same, traceparent FROM workflow.instances WHERE instance = :i;
SELECT span_id FROM workflow.history WHERE instance = :i;
-- another session finds the same one
\c
SELECT trace_id = :'own' AS same FROM workflow.instances WHERE instance = :i;
-- who can see no instance learns of no trace
CREATE ROLE traces_nobody;
GRANT USAGE ON SCHEMA workflow TO traces_nobody;
SET ROLE traces_nobody;
SELECT count(trace_id) FROM workflow.instances;
RESET ROLE;
SELECT workflow.grant_process('traces: wait', 'traces_nobody', 'view');
SET ROLE traces_nobody;
SELECT count(trace_id) FROM workflow.instances;
RESET ROLE;

-- ---- one of whoever starts it ----
\set given 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
SET workflow.traceparent = :'given';
SELECT workflow.start('traces: wait') AS k \gset
SELECT trace_id, traceparent FROM workflow.instances WHERE instance = :k;
SELECT workflow.cancel(:k);
SELECT trace_id, traceparent FROM workflow.instances WHERE instance = :k;
SELECT workflow.rerun(:k) AS again \gset
SELECT trace_id, traceparent FROM workflow.instances WHERE instance = :again;
SELECT workflow.webhook(workflow.webhook_token('traces: wait', 'traces: hook'), '{}') AS hooked \gset
SELECT trace_id, traceparent FROM workflow.instances WHERE instance = :hooked;
CREATE TABLE traces_rows (id int PRIMARY KEY);
SELECT workflow.attach('traces_rows', 'traces: wait') > 0 AS attached;
INSERT INTO traces_rows VALUES (1);
SELECT trace_id, traceparent FROM workflow.instances WHERE business_key = '1' AND process = 'traces: wait';
-- whom a message starts, and when, its sender does not know
SELECT workflow.send_message('traces: message');
SELECT trace_id <> '4bf92f3577b34da6a3ce929d0e0e4736' AS own, traceparent FROM workflow.instances WHERE process = 'traces: wait' ORDER BY instance DESC LIMIT 1;
-- not sampled; a later version, of which only what is known here is passed on
SET workflow.traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00';
SELECT workflow.start('traces: wait') AS k \gset
SELECT traceparent FROM workflow.instances WHERE instance = :k;
SET workflow.traceparent = 'cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff-more';
SELECT workflow.start('traces: wait') AS k \gset
SELECT traceparent FROM workflow.instances WHERE instance = :k;
-- for a transaction
SET workflow.traceparent = '';
BEGIN;
SET LOCAL workflow.traceparent = '00-00000000000000000000000000000001-0000000000000002-01';
SELECT workflow.start('traces: wait') AS k \gset
COMMIT;
SELECT workflow.start('traces: wait') AS l \gset
SELECT traceparent FROM workflow.instances WHERE instance IN (:k, :l) ORDER BY instance;

-- ---- who is called, or started by a statement of a step, belongs to the trace of the caller ----
SELECT workflow.define('traces: called', '{"steps": [{"step": "in", "set": {"in": true}}]}');
SELECT workflow.define('traces: caller', '{"steps": [
  {"step": "call", "call": {"process": "traces: called"}},
  {"step": "sql", "sql": "SELECT workflow.start(''traces: wait'') AS started", "save": {"started": "${$reply.row.started}"}},
  {"step": "rows", "sql": "INSERT INTO traces_rows VALUES (2)"}]}');
SELECT workflow.start('traces: caller') AS caller \gset
CALL test.until($$SELECT status = 'completed' FROM workflow.instances i WHERE process = 'traces: caller'$$);
SELECT i.process, i.business_key, i.trace_id = c.trace_id AS same, i.traceparent = format('00-%s-%s-01', c.trace_id, h.span_id) AS of_span, h.step
FROM workflow.instances c JOIN workflow.history h USING (instance)
     JOIN workflow.instances i ON i.parent = c.instance OR i.instance = (c.data->>'started')::bigint OR i.business_key = '2' AND i.process = 'traces: wait'
WHERE c.instance = :caller AND i.traceparent ~ h.span_id ORDER BY h.step, i.instance;
SELECT count(DISTINCT span_id) FROM workflow.history WHERE instance = :caller;
SELECT traceparent FROM workflow.instances WHERE instance = :caller;
-- with a trace that was given, it is that
DELETE FROM traces_rows;
SET workflow.traceparent = :'given';
SELECT workflow.start('traces: caller') AS caller \gset
RESET workflow.traceparent;
CALL test.until($$SELECT count(*) = 2 FROM workflow.instances i WHERE process = 'traces: called'$$);
SELECT i.trace_id, i.traceparent <> :'given' AS other_span, right(i.traceparent, 3) AS flags FROM workflow.instances i WHERE i.parent = :caller;
-- called by one that was called
SELECT workflow.define('traces: outer', '{"steps": [{"step": "outer", "call": {"process": "traces: middle"}}]}');
SELECT workflow.define('traces: middle', '{"steps": [{"step": "middle", "call": {"process": "traces: called"}}]}');
SELECT workflow.start('traces: outer') AS outer \gset
SELECT i.process, i.trace_id = o.trace_id AS same FROM workflow.instances i, workflow.instances o WHERE o.instance = :outer AND i.root = :outer ORDER BY i.instance;

-- ---- spans of attempts ----
SELECT workflow.define('traces: fail', '{"steps": [{"step": "fail", "sql": "SELECT 1/0", "retry": {"max": 2, "delay": "0", "on": ["22012"]}}]}');
SELECT workflow.start('traces: fail') AS f \gset
CALL test.until($$SELECT count(*) = 1 FROM workflow.incidents i WHERE process = 'traces: fail'$$);
SELECT count(*), count(DISTINCT span_id), bool_and(span_id ~ '^[0-9a-f]{16}$') AS are_spans FROM workflow.attempts WHERE serial_number = test.stands(:f);
SELECT workflow.skip(test.stands(:f));
SELECT attempt, incident, span_id IS NULL AS none, span_id = (SELECT h.span_id FROM workflow.history h WHERE h.instance = :f) AS of_history
FROM workflow.attempts WHERE serial_number = (SELECT serial_number FROM workflow.history WHERE instance = :f) ORDER BY incident, attempt;

DO $$ BEGIN
    PERFORM workflow.cancel(instance) FROM workflow.instances WHERE process ~ '^traces: ' AND ended_at IS NULL;
    PERFORM workflow.detach('traces_rows', 'traces: wait');
END $$;
DROP TABLE traces_rows;
SELECT workflow.revoke_process('traces: wait', 'traces_nobody', 'view');
REVOKE USAGE ON SCHEMA workflow FROM traces_nobody;
DROP ROLE traces_nobody;
