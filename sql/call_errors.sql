-- What `define` says of `call`, and what keeps a step from calling.

CREATE FUNCTION pg_temp.issues(steps text) RETURNS TABLE (path text, severity text, message text, hint text) LANGUAGE sql AS
    'SELECT path, severity, message, hint FROM workflow.check(format(''{"steps": %s}'', steps)::json)';
CREATE FUNCTION pg_temp.code(instance bigint) RETURNS text LANGUAGE sql AS
    $$SELECT error ->> 'code' || ': ' || (error ->> 'message') FROM workflow.incidents i WHERE i.instance = $1$$;

-- its keys
SELECT * FROM pg_temp.issues('[{"step": "a", "call": "order"}, {"step": "b", "call": {}}, {"step": "c", "call": {"process": 7}}, {"step": "d", "call": {"process": "${$.p}", "version": "${$.v}"}},
    {"step": "e", "call": {"process": " ", "version": 0}}, {"step": "f", "call": {"process": "x", "version": 1.5, "data": [1], "business_key": {"a": 1}}}, {"step": "g", "call": {"process": "x", "key": 1, "data": {"a": "${$reply}", "b": "${$.["}}}]')
    WHERE severity = 'error';
-- what does not go with it
SELECT * FROM pg_temp.issues('[{"step": "a", "call": {"process": "x"}, "set": {"a": 1}}, {"step": "b", "call": {"process": "x"}, "retry": {"max": 1}}, {"step": "c", "call": {"process": "x"}, "cancel": {"path": "/"}},
    {"step": "d", "call": {"process": "x"}, "heartbeat": "1 s"}, {"step": "e", "call": {"process": "x"}, "local": {"a": 1}}, {"step": "f", "call": {"process": "x"}, "catch": [{"on": "5xx", "next": "a"}]}, {"step": "g", "set": {"a": 1}, "catch": [{"escalation": "x", "next": "a"}]}]')
    WHERE severity = 'error';
-- warnings: the process is not there, its version is not, it was undefined, a key that is always the same
SELECT workflow.define('call errors: there', '{"steps": [{"step": "a", "wait": true}]}');
SELECT workflow.define('call errors: gone', '{"steps": [{"step": "a", "wait": true}]}');
SELECT workflow.undefine('call errors: gone');
SELECT * FROM pg_temp.issues('[{"step": "a", "call": {"process": "call errors: nowhere"}}, {"step": "b", "call": {"process": "call errors: gone"}}, {"step": "c", "call": {"process": "call errors: there", "version": 2}},
    {"step": "d", "call": {"process": "call errors: there", "version": 1, "business_key": "k"}}, {"step": "e", "call": {"process": "call errors: there"}, "catch": [{"escalation": "x", "interrupt": false, "next": "f"}], "end": true}, {"step": "f"}]');
-- one that calls itself is there by then
SELECT workflow.define('call errors: itself', '{"steps": [{"step": "a", "choose": [{"when": "$.n > 0", "next": "b"}, {"next": "c"}]}, {"step": "b", "call": {"process": "call errors: itself", "data": {"n": "${$.n - 1}"}}}, {"step": "c"}]}');
SELECT workflow.start('call errors: itself', '{"n": 3}') AS i \gset
SELECT test.ended(:i), (SELECT count(*) FROM workflow.instances WHERE process = 'call errors: itself');

-- at run time: nothing is there, or may be started
SET client_min_messages = warning;
SELECT workflow.define('call errors: calls', '{"steps": [{"step": "which", "choose": [{"when": "$.to == \"nowhere\"", "next": "nowhere"}, {"when": "$.to == \"gone\"", "next": "gone"}, {"when": "$.to == \"version\"", "next": "version"}, {"next": "data"}]},
    {"step": "nowhere", "call": {"process": "call errors: nowhere"}, "end": true}, {"step": "gone", "call": {"process": "call errors: gone"}, "end": true}, {"step": "version", "call": {"process": "call errors: there", "version": 2}, "end": true},
    {"step": "data", "call": {"process": "call errors: there", "data": {"a": "${$.missing}"}}, "end": true}]}');
RESET client_min_messages;
SELECT n, pg_temp.code(workflow.start('call errors: calls', jsonb_build_object('to', n))) FROM unnest(ARRAY['nowhere', 'gone', 'version', 'data']) n;
-- defined since then: retry finds it
SELECT instance AS i FROM workflow.incidents WHERE process = 'call errors: calls' AND step = 'nowhere' \gset
SELECT workflow.define('call errors: nowhere', '{"steps": [{"step": "a", "set": {"a": 1}}]}');
SELECT workflow.retry(test.stands(:i));
SELECT test.went(:i);

-- rights: of the owner of the calling process, when the step begins, whoever lets it
CREATE ROLE call_author;
CREATE ROLE call_user;
GRANT USAGE ON SCHEMA workflow TO call_author, call_user;
GRANT EXECUTE ON FUNCTION workflow.define(text, json) TO call_author;
SET ROLE call_author;
SELECT workflow.define('call errors: rights', '{"steps": [{"step": "a", "call": {"process": "call errors: there"}}]}');
SELECT workflow.start('call errors: rights') AS i \gset
SELECT pg_temp.code(:i);
RESET ROLE;
SELECT workflow.grant_process('call errors: rights', 'call_user', 'start');
SELECT workflow.grant_process('call errors: there', 'call_author', 'start');
SET ROLE call_user;
SELECT workflow.start('call errors: rights') AS i \gset
SELECT count(*) FROM workflow.instances;
RESET ROLE;
SELECT test.at(:i), (SELECT test.at(i.instance) FROM workflow.instances i WHERE i.parent = :i);
-- who may start it may cancel it, and so what it has called; to the owner of that belongs all else
SET ROLE call_user;
SELECT workflow.cancel(:i, 'mine');
RESET ROLE;
CALL test.until(format('SELECT status = ''aborted'' FROM workflow.instances WHERE instance = %s', :i));
SELECT i.status, h.result #>> '{error,message}' AS message FROM workflow.instances i JOIN workflow.history h USING (instance) WHERE i.parent = :i;

-- what is called is no callback, and gives no sign of life
SELECT workflow.define('call errors: waits', '{"steps": [{"step": "a", "call": {"process": "call errors: there"}}]}');
SELECT workflow.start('call errors: waits') AS i \gset
\set VERBOSITY default
SELECT regexp_replace(test.sn(:i), '\d', '', 'g') AS sn;
SELECT test.try(format('SELECT workflow.complete(%L)', test.sn(:i))), test.try(format('SELECT workflow.fail(%L, ''X'')', test.sn(:i))), test.try(format('SELECT workflow.heartbeat(%L)', test.sn(:i))), test.try(format('SELECT workflow.retry(%L)', test.sn(:i)));
SELECT workflow.cancel(:i);
CALL test.until(format('SELECT status = ''aborted'' FROM workflow.instances WHERE instance = %s', :i));

-- rows that do not fit together are told by verify
BEGIN;
SELECT workflow.start('call errors: waits') AS i \gset
SELECT instance AS c FROM workflow.instances WHERE parent = :i \gset
UPDATE workflow_data.visit SET child = 999999999 WHERE instance = :i;
SELECT regexp_replace(problem, '\m(?!9)\d+(_\d+)?\M', 'N', 'g') AS problem FROM workflow.verify() ORDER BY 1;
ROLLBACK;

SELECT workflow.cancel(instance) FROM workflow.instances WHERE process LIKE 'call errors: %' AND status IN ('active', 'failed') AND parent IS NULL;
CALL test.until('SELECT count(*) = 0 FROM workflow.instances WHERE process LIKE ''call errors: %'' AND status NOT IN (''completed'', ''aborted'')');
SELECT problem FROM workflow.verify();
