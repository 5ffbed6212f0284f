-- Headers of calls that are kept for requests: which, with which visits, until when. The server is paused, so nothing is sent.
CREATE SERVER ob_pay FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://pay.example.com/v1', max_in_flight '0');
CREATE SERVER ob_other FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://other.example.com', max_in_flight '0');
\set mapping 'USER MAPPING FOR CURRENT_USER SERVER ob_pay'
\set VERBOSITY terse
CREATE :mapping OPTIONS (auth 'on_behalf');
CREATE :mapping OPTIONS (auth 'on_behalf', name 'X-User', value 'x');
CREATE :mapping OPTIONS (auth 'on_behalf', name 'X User');
CREATE :mapping OPTIONS (auth 'on_behalf', name 'Idempotency-Key');
\set VERBOSITY default

CREATE VIEW test.ob_kept AS
    SELECT v.process, v.step, v.state, o.request, o.onwards FROM workflow_data.on_behalf o
    LEFT JOIN workflow.visits v ON v.serial_number = workflow.serial_number(o.instance, o.visit) ORDER BY o.visit;
SELECT workflow.define('ob_pay', '{"steps": [{"step": "pay", "http": {"server": "ob_pay", "path": "/x"}}]}');
SELECT workflow.define('ob_other', '{"steps": [{"step": "ask", "http": {"server": "ob_other", "path": "/x"}}]}');
SELECT workflow.define('ob_url', '{"steps": [{"step": "ask", "http": {"url": "${$.url}"}}]}');
SELECT workflow.define('ob_late', '{"steps": [{"step": "later", "async": true, "set": {"a": 1}, "next": "wait"},
    {"step": "wait", "wait": true, "next": ["pay", "ask"]}, {"step": "pay", "http": {"server": "ob_pay", "path": "/x"}, "end": true},
    {"step": "ask", "http": {"server": "ob_other", "path": "/x"}, "end": true}]}');
SELECT workflow.define('ob_each', '{"steps": [{"step": "all", "each": {"in": "$.list", "parallel": 2}, "http": {"server": "ob_pay", "path": "/x"}}]}');

-- while no mapping wants one, nobody looks at the settings
SET workflow.on_behalf = 'no JSON';
SELECT workflow.start('ob_pay') AS plain \gset
SELECT * FROM test.ob_kept;

CREATE :mapping OPTIONS (auth 'on_behalf', name 'X-User');
SELECT workflow.start('ob_pay');
SET workflow.on_behalf = '{"x-user": "ada", "X-Other": "other", "x-more": "more"}';
SELECT workflow.start('ob_pay') AS pay \gset
SELECT workflow.start('ob_other') AS other \gset
SELECT workflow.start('ob_url', '{"url": "https://pay.example.com/v1/y"}') AS url \gset
SELECT * FROM test.ob_kept;
-- what is not known yet gets what any mapping of the owner wants
CREATE USER MAPPING FOR PUBLIC SERVER ob_other OPTIONS (auth 'on_behalf', name 'X-Other');
SELECT workflow.start('ob_other') AS other2 \gset
BEGIN;
SELECT workflow.suspend_process('ob_late');
SELECT workflow.start('ob_late') AS late \gset
SELECT * FROM test.ob_kept;
-- who resumes it is not asked
SET LOCAL workflow.on_behalf = '{"X-User": "op"}';
SELECT workflow.resume_process('ob_late');
COMMIT;
CALL test.arrive(:late, 'wait');
SELECT * FROM test.ob_kept WHERE process = 'ob_late';
-- a call of its own
SET workflow.on_behalf = '{"X-USER": "bob"}';
SELECT workflow.complete(test.waits(:late));
SELECT * FROM test.ob_kept WHERE process = 'ob_late';
-- a list keeps them for items that are still to begin
SELECT workflow.start('ob_each', '{"list": [1, 2, 3]}') AS each \gset
SELECT * FROM test.ob_kept WHERE process = 'ob_each';
SELECT workflow.start('ob_each', '{"list": [1, 2]}') AS each2 \gset
SELECT count(*) FROM test.ob_kept WHERE process = 'ob_each';

-- a rollback takes them back, and the end of a visit ends them
BEGIN;
SELECT workflow.start('ob_pay') AS undone \gset
SELECT count(*) FROM test.ob_kept;
ROLLBACK;
SELECT count(*) FROM test.ob_kept;
SET workflow.on_behalf = '{"X-User": ""}';
SELECT workflow.start('ob_pay') AS empty \gset
SELECT count(*) FROM test.ob_kept;

-- request.headers, as PostgREST sets them, while the own setting is empty
RESET workflow.on_behalf;
BEGIN;
SELECT set_config('request.headers', '{"accept": "*/*", "x-user": "web", "x-number": 7}', true);
SELECT workflow.start('ob_pay') AS web \gset
SELECT request, onwards FROM test.ob_kept WHERE request->>'x-user' NOT IN ('ada', 'bob');
SET LOCAL workflow.on_behalf = '{}';
SELECT workflow.start('ob_pay') AS none \gset
SELECT request, onwards FROM test.ob_kept WHERE request->>'x-user' NOT IN ('ada', 'bob');
COMMIT;
SET request.headers = 'no JSON';
SELECT workflow.start('ob_pay') AS bad \gset
RESET request.headers;

-- what is wrong with the own setting is told without it
SET workflow.on_behalf = '{"X-User": "secret';
SELECT workflow.start('ob_pay');
SET workflow.on_behalf = '["secret"]';
SELECT workflow.start('ob_pay');
SET workflow.on_behalf = '{"X-User": ["secret"]}';
SELECT workflow.start('ob_pay');
SET workflow.on_behalf = '{"X-User": "secret\n"}';
SELECT workflow.start('ob_pay');
SELECT set_config('workflow.on_behalf', json_build_object('X-User', repeat('s', 8193))::text, false) IS NOT NULL;
SELECT workflow.start('ob_pay');
SELECT set_config('workflow.on_behalf', json_build_object('X-User', repeat('s', 8192))::text, false) IS NOT NULL;
SELECT workflow.start('ob_pay') AS long \gset
SELECT max(length(request->>'x-user')) FROM test.ob_kept;
RESET workflow.on_behalf;
SELECT count(*) FROM pg_settings WHERE name = 'workflow.on_behalf';
ALTER SYSTEM SET workflow.on_behalf = '{}';

-- who calls keeps nothing of other mappings in memory
BEGIN;
SET LOCAL workflow.on_behalf = '{}';
CREATE SERVER ob_secret FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://secret.example.com');
DO $$BEGIN EXECUTE format('CREATE USER MAPPING FOR PUBLIC SERVER ob_secret OPTIONS (auth ''bearer'', token %L)', repeat('x', 1000000)); END$$;
SELECT workflow.start('ob_pay') > 0 AS started;
SELECT sum(total_bytes) < 100000 AS little FROM pg_backend_memory_contexts WHERE name = 'workflow headers passed on';
ROLLBACK;

-- nobody reads them
CREATE ROLE ob_guest;
GRANT USAGE ON SCHEMA workflow_data TO ob_guest;
SET ROLE ob_guest;
SELECT * FROM workflow_data.on_behalf;
RESET ROLE;
REVOKE USAGE ON SCHEMA workflow_data FROM ob_guest;
DROP ROLE ob_guest;

-- a row that is nobody's is a fault
BEGIN;
INSERT INTO workflow_data.on_behalf VALUES (1, 999999999, '{}'), (:plain, split_part(test.sn(:plain), '_', 2)::bigint, '{}');
SELECT split_part(serial_number, '_', 2) = '999999999' AS no_visit, problem FROM workflow.verify() ORDER BY 1;
ROLLBACK;

SELECT bool_and(workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'ob\_%' AND status = 'active';
SELECT * FROM test.ob_kept;
SELECT count(*) FROM workflow.instances WHERE process LIKE 'ob\_%' AND ended_at IS NULL;
DROP VIEW test.ob_kept;
SELECT workflow.undefine(process) FROM workflow.processes WHERE process LIKE 'ob\_%' AND version = 1 ORDER BY process;
DROP SERVER ob_pay CASCADE;
DROP SERVER ob_other CASCADE;
