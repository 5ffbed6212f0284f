-- The privilege complete, of single steps.

CREATE ROLE steps_author;
CREATE ROLE steps_clerks;
CREATE ROLE steps_clerk IN ROLE steps_clerks;
CREATE ROLE steps_viewer;
CREATE ROLE steps_stranger;
GRANT USAGE ON SCHEMA workflow TO steps_author, steps_clerks, steps_viewer, steps_stranger;
GRANT EXECUTE ON FUNCTION workflow.define(text, json), workflow.undefine(text, boolean), workflow.grant_process(text, name, text, text),
    workflow.revoke_process(text, name, text, text) TO steps_author;

SET ROLE steps_author;
SELECT workflow.define('steps: order', '{"steps": [{"step": "approve", "wait": true, "timeout": "1 h", "heartbeat": "1 h"},
    {"step": "pay", "wait": true, "timeout": "1 h", "heartbeat": "1 h"}]}');
-- only steps that wait for a callback can be completed
SELECT workflow.define('steps: none', '{"steps": [{"step": "set", "set": {"x": 1}}, {"step": "sleep", "wait": {"after": "1 h"}}, {"step": "scope", "steps": [{"step": "in", "wait": true}]}]}');
SELECT workflow.grant_process('steps: none', 'steps_clerks', 'complete', step => 'set');
SELECT workflow.grant_process('steps: none', 'steps_clerks', 'complete', step => 'sleep');
SELECT workflow.grant_process('steps: none', 'steps_clerks', 'complete', step => 'scope');
SELECT workflow.grant_process('steps: none', 'steps_clerks', 'complete', step => 'in');
SELECT workflow.revoke_process('steps: none', 'steps_clerks', 'complete', step => 'in');
SELECT workflow.undefine('steps: none');
SELECT workflow.grant_process('steps: order', 'steps_clerks', 'complete', step => 'aprove');
SELECT workflow.grant_process('steps: order', 'steps_clerks', 'complete', '');
SELECT workflow.grant_process('steps: order', 'steps_clerks', 'view', 'approve');
SELECT workflow.grant_process('steps: order', 'steps_clerks', 'admin', 'approve');
SELECT workflow.revoke_process('steps: order', 'steps_clerks', 'start', 'approve');
SELECT workflow.revoke_process('steps: order', 'steps_clerks', 'complete', 'approve');
SELECT workflow.grant_process('steps: order', 'steps_clerks', 'complete', step => 'approve');
SELECT workflow.grant_process('steps: order', 'steps_clerks', 'complete', step => 'approve');
SELECT workflow.grant_process('steps: order', 'steps_viewer', 'view');
SELECT * FROM workflow.grants WHERE process LIKE 'steps:%' ORDER BY 1, 2, 3, 4;

-- one stands at approve, one at pay, one has ended
SELECT workflow.start('steps: order') AS a \gset
SELECT workflow.start('steps: order') AS b \gset
SELECT serial_number AS a1 FROM workflow.waiting WHERE instance = :a \gset
SELECT serial_number AS b1 FROM workflow.waiting WHERE instance = :b \gset
SELECT workflow.complete(:'b1');
SELECT serial_number AS b2 FROM workflow.waiting WHERE instance = :b \gset
RESET ROLE;

-- everything that finishes, fails or keeps alive
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE 'SELECT ' || statement INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN concat_ws(' ', sqlstate, regexp_replace(sqlerrm, '\d+', 'N', 'g'));
END $$;
CREATE FUNCTION pg_temp.calls(sn text) RETURNS TABLE (call text, answer text) LANGUAGE sql AS $$
    SELECT split_part(ltrim(statement, '('), '(', 1),
        regexp_replace(regexp_replace(pg_temp.try(format(statement, sn)), '^[A-Z][a-z]+ [A-Z][a-z]+ \d+ .*', 'a time'), '\d+_\d+', 'N_N')
    FROM unnest('{workflow.heartbeat(%L)  ,"workflow.extend(%L, ''1 h'')","workflow.fail(%L)","workflow.complete(%L)",
        "(workflow.complete_many(''[{\"serial_number\": \"%s\"}]'')).error","workflow.retry(%L)","workflow.skip(%L)",
        "workflow.cancel_visit(%L)"}'::text[]) WITH ORDINALITY s (statement, n) ORDER BY n $$;
SET ROLE steps_clerk;
SELECT serial_number = :'a1' AS is_the_one, process, step, waits_for, progress FROM workflow.waiting WHERE process LIKE 'steps:%';
SELECT (SELECT count(*) FROM workflow.instances WHERE process LIKE 'steps:%') AS instances,
    (SELECT count(*) FROM workflow.visits WHERE process LIKE 'steps:%') AS visits,
    (SELECT count(*) FROM workflow.history WHERE process LIKE 'steps:%') AS history;
SELECT * FROM workflow.grants WHERE process LIKE 'steps:%';
SELECT * FROM pg_temp.calls(:'b2');
SELECT * FROM pg_temp.calls(:'b1');
BEGIN;
SELECT * FROM pg_temp.calls(:'a1') LIMIT 3;
ROLLBACK;
SELECT * FROM pg_temp.calls(:a || '_9223372036854775806') WHERE call !~ 'skip|cancel_visit|retry';
SELECT serial_number = :'a1' AS approved, accepted, error_code FROM workflow.complete_many(format('[{"serial_number": "%s"}, {"serial_number": "%s"}]', :'a1', :'b2')::json);
SELECT step FROM workflow.waiting WHERE process LIKE 'steps:%';
SELECT workflow.cancel(:a);
-- a stranger knows of nothing
SET ROLE steps_stranger;
SELECT * FROM pg_temp.calls(:'b2') LIMIT 5;
SELECT * FROM workflow.grants WHERE process LIKE 'steps:%';
-- nobody else's condition sees what the view does not show, whatever it costs to be asked
RESET ROLE;
CREATE FUNCTION pg_temp.seen(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE 'seen at %', $1; RETURN true; END $$;
SET ROLE steps_author;
SELECT workflow.start('steps: order') AS c \gset
SET ROLE steps_clerk;
SELECT step FROM workflow.waiting WHERE pg_temp.seen(step) AND process LIKE 'steps:%';
SET ROLE steps_viewer;
SELECT step FROM workflow.waiting WHERE process LIKE 'steps:%' ORDER BY step;

-- a grant of the process has those of its steps in it, and takes them along
SET ROLE steps_author;
SELECT workflow.grant_process('steps: order', 'steps_clerks', 'complete');
SELECT workflow.grant_process('steps: order', 'steps_clerks', 'complete', 'pay');
SELECT workflow.revoke_process('steps: order', 'steps_clerks', 'complete', 'pay');
SELECT * FROM workflow.grants WHERE process LIKE 'steps:%' ORDER BY 1, 2, 3, 4;
SET ROLE steps_clerk;
SELECT step FROM workflow.waiting WHERE process LIKE 'steps:%' ORDER BY step;
SET ROLE steps_author;
SELECT workflow.revoke_process('steps: order', 'steps_clerks', 'complete');
SET ROLE steps_clerk;
SELECT step FROM workflow.waiting WHERE process LIKE 'steps:%' ORDER BY step;
SELECT * FROM pg_temp.calls(:'b2') LIMIT 1;

-- a version without the step leaves the grant as it is, for those that follow an older one
SET ROLE steps_author;
SELECT workflow.grant_process('steps: order', 'public', 'complete', 'approve');
SELECT workflow.define('steps: order', '{"steps": [{"step": "pay", "wait": true}]}');
SELECT workflow.grant_process('steps: order', 'steps_viewer', 'complete', 'approve');
SET ROLE steps_stranger;
SELECT step FROM workflow.waiting WHERE process LIKE 'steps:%' ORDER BY step;
SELECT * FROM workflow.grants WHERE process LIKE 'steps:%';
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE process LIKE 'steps:%';
SET ROLE steps_author;
SELECT workflow.revoke_process('steps: order', 'public', 'complete', 'approve');
RESET ROLE;

-- what is done for the items of a list, and what is sent to a handler of the whole
SELECT workflow.define('steps: list', '{"steps": [{"step": "lines", "each": "$.lines", "wait": true}, {"step": "told", "each": "$.lines", "wait": {"message": "steps: m", "key": "${$item}"}},
  {"step": "whole", "each": "$.lines", "wait": {"after": "1 day"}, "catch": [{"message": "steps: stop", "next": "none"}]}, {"step": "none", "each": "$.lines", "wait": {"after": "1 day"}}]}');
SELECT workflow.grant_process('steps: list', 'steps_clerk', 'complete', step) FROM unnest('{lines, told, whole}'::text[]) AS step;
SELECT workflow.grant_process('steps: list', 'steps_clerk', 'complete', 'none');
SELECT workflow.start('steps: list', '{"lines": [1, 2]}') > 0 AS started;
SET ROLE steps_clerk;
SELECT step, item, workflow.complete(serial_number) FROM workflow.waiting WHERE process = 'steps: list' ORDER BY item;
SELECT workflow.send_message('steps: m', n) FROM generate_series(1, 2) n;
SELECT workflow.send_message('steps: stop');
RESET ROLE;

-- what a role was given that is gone is no namesake's, and can be taken back
CREATE ROLE steps_gone;
SELECT workflow.grant_process('steps: order', 'steps_gone', 'complete', 'pay');
SELECT workflow.grant_process('steps: order', 'steps_gone', 'view');
DROP ROLE steps_gone;
SELECT workflow.revoke_process('steps: order', 'steps_gone', 'view');
SELECT workflow.revoke_process('steps: order', 'steps_gone', 'view');
CREATE ROLE steps_gone;
SELECT workflow.revoke_process('steps: order', 'steps_gone', 'complete', 'pay');
SELECT workflow.grant_process('steps: order', 'steps_gone', 'complete', 'pay');
DROP ROLE steps_gone;
CREATE ROLE steps_gone;
SELECT workflow.adopt() >= 0 AS adopted;
SELECT * FROM workflow.grants WHERE process LIKE 'steps:%' ORDER BY 1, 2, 3, 4;
DROP ROLE steps_gone;

SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'steps:%' AND ended_at IS NULL;
SELECT workflow.undefine('steps: order'), workflow.undefine('steps: list');
DROP OWNED BY steps_author, steps_clerks, steps_clerk, steps_viewer, steps_stranger;
DROP ROLE steps_author, steps_clerks, steps_clerk, steps_viewer, steps_stranger;
