-- Public webhooks: tokens in URLs, and the schema that PostgREST can expose.

SELECT workflow.define('webhooks: order', '{
  "steps": [
    { "step": "note", "set": { "none": "${$callback_url ?? null}" } },
    { "step": "pay", "wait": true, "save": { "paid": "${$result.response}", "callback": "${$callback_url ?? null}", "heartbeat": "${$heartbeat_url ?? null}" } },
    { "step": "ship", "wait": true, "save": { "callback": "${$callback_url ?? null}" }, "next": "pay" } ]}');
-- the tokens of a waiting visit: what templates would be given
CREATE FUNCTION pg_temp.token(instance bigint, purpose text) RETURNS text LANGUAGE sql AS $$
    SELECT sn || '.' || translate(rtrim(encode(t.mac, 'base64'), '='), '+/', '-_')
    FROM workflow_data.secret s, test.waits($1) sn,
         LATERAL (SELECT sha256(outer_pad || sha256(inner_pad || convert_to(purpose || ' ' || sn, 'UTF8'))) AS mac
                  FROM (SELECT string_agg(set_byte('\x00', 0, b # 92), NULL ORDER BY i) AS outer_pad, string_agg(set_byte('\x00', 0, b # 54), NULL ORDER BY i) AS inner_pad
                        FROM (SELECT i, CASE WHEN i < 32 THEN get_byte(s.key, i) ELSE 0 END AS b FROM generate_series(0, 63) i) bytes) pads) t
$$;

-- without a base there are no URLs, and to use one is an error
SELECT workflow.start('webhooks: order') AS i \gset
SELECT workflow.complete(test.waits(:i), '1');
SELECT data FROM workflow.instances WHERE instance = :i;
SELECT workflow.define('webhooks: sure', '{ "steps": [ { "step": "pay", "wait": true, "save": { "callback": "${$callback_url}", "heartbeat": "${$heartbeat_url}" } } ]}');
SELECT workflow.start('webhooks: sure') AS sure \gset
SELECT workflow.complete(test.waits(:sure));
SELECT outcome, error->>'code' AS code, error->>'message' AS message FROM workflow.incidents WHERE instance = :sure;
SELECT workflow.cancel(:i);
SET workflow.callback_base = 'hooks.example.com';
SET workflow.callback_base = 'ftp://hooks.example.com';
SET workflow.callback_base = 'https://';
SET workflow.callback_base = 'https://hooks.example.com/?a=b';
SET workflow.callback_base = 'https://hooks.example.com/workflow/';

-- what templates are given is what the functions take: one for each visit and purpose
SELECT workflow.start('webhooks: order') AS i \gset
SELECT test.waits(:i) AS sn, pg_temp.token(:i, 'callback') AS callback, pg_temp.token(:i, 'heartbeat') AS heartbeat \gset
SELECT length(split_part(:'callback', '.', 2)), split_part(:'callback', '.', 2) <> split_part(:'heartbeat', '.', 2) AS differ;
SELECT workflow.callback_heartbeat(:'heartbeat', '{"percent": 10}');
SELECT progress FROM workflow.waiting WHERE instance = :i;
SELECT workflow.callback(:'callback', '{"sum": 5}');
SELECT data->'paid' AS paid, data->>'callback' = 'https://hooks.example.com/workflow/callback/' || :'callback' AS callback,
    data->>'heartbeat' = 'https://hooks.example.com/workflow/heartbeat/' || :'heartbeat' AS heartbeat
FROM workflow.instances WHERE instance = :i;
SELECT completed_by = current_user AS by_me, webhook FROM workflow.history WHERE serial_number = :'sn';
-- too late
SELECT workflow.callback(token => :'callback', data => '{"sum": 6}');
SELECT workflow.callback_heartbeat(:'heartbeat');
SELECT workflow.complete(:'sn', '{"sum": 7}');
SELECT data, role = current_user AS by_me, webhook FROM workflow.late_callbacks WHERE serial_number = :'sn' ORDER BY received_at;
SELECT regexp_replace(line, '.*: a', 'a') ~ ('^a callback (by webhook through|of) ' || current_user || ' came too late') AS told, line ~ 'by webhook' AS webhook
FROM workflow.timeline(:i) line WHERE line ~ 'too late';

-- of the other purpose, of another visit, altered, malformed, none
SELECT pg_temp.token(:i, 'callback') AS callback, pg_temp.token(:i, 'heartbeat') AS heartbeat \gset
SELECT workflow.callback(:'heartbeat');
SELECT workflow.callback_heartbeat(:'callback');
SELECT workflow.callback(:'sn' || '.' || split_part(:'callback', '.', 2));
SELECT workflow.callback(overlay(:'callback' PLACING CASE right(:'callback', 1) WHEN 'A' THEN 'E' ELSE 'A' END FROM length(:'callback')));
SELECT workflow.callback('9223372036854775807_1.' || repeat('A', 43));
SELECT workflow.callback(:'callback' || 'A');
SELECT workflow.callback(left(:'callback', -1));
SELECT workflow.callback('5_31');
SELECT workflow.callback('5_.' || repeat('A', 43));
SELECT workflow.callback('');
SELECT workflow.callback(NULL);
SELECT workflow.callback_heartbeat('x');
SELECT workflow.callback_heartbeat(NULL);
SELECT step FROM workflow.waiting WHERE instance = :i;
RESET workflow.callback_base;

-- nobody reads the key
CREATE ROLE webhooks_anon;
GRANT USAGE ON SCHEMA workflow TO webhooks_anon;
SET ROLE webhooks_anon;
SELECT * FROM workflow_data.secret;
SET workflow.callback_base = 'https://evil.example.com';
-- but the token is all that is needed
\set VERBOSITY sqlstate
SELECT workflow.complete(split_part(:'callback', '.', 1));
\set VERBOSITY default
SELECT workflow.callback(:'callback', '{"sum": 7}');
RESET ROLE;
REVOKE USAGE ON SCHEMA workflow FROM webhooks_anon;

-- as PostgREST would call it
\getenv abs_srcdir PG_ABS_SRCDIR
\set script :abs_srcdir '/docs/workflow_api.sql'
SET client_min_messages = warning;
\set ECHO none
\i :script
\set ECHO all
RESET client_min_messages;
GRANT USAGE ON SCHEMA workflow_api TO webhooks_anon;
SELECT pg_temp.token(:i, 'callback') AS callback, pg_temp.token(:i, 'heartbeat') AS heartbeat \gset
SET ROLE webhooks_anon;
\set VERBOSITY sqlstate
SELECT workflow.callback(:'callback');
\set VERBOSITY default
BEGIN;
SELECT workflow_api.heartbeat(:'heartbeat', '{"percent": 20}'), nullif(current_setting('response.status', true), '') AS status;
COMMIT;
BEGIN;
SELECT workflow_api.callback(:'callback', jsonb_build_object('large', repeat('x', 33 * 1024 * 1024)));
SELECT nullif(current_setting('response.status', true), '') AS status;
COMMIT;
BEGIN;
SELECT workflow_api.callback(:'callback', '{"sum": 8}');
SELECT nullif(current_setting('response.status', true), '') AS status;
COMMIT;
BEGIN;
SELECT workflow_api.callback(:'callback', '{"sum": 9}');
SELECT current_setting('response.status', true) AS status;
COMMIT;
BEGIN;
SELECT workflow_api.heartbeat(token => :'heartbeat');
SELECT current_setting('response.status', true) AS status;
COMMIT;
SELECT nullif(current_setting('response.status', true), '') AS status;
-- a step that takes no callback has a token, too, if it sends one
RESET ROLE;
SELECT workflow.define('webhooks: rest', '{"steps": [{"step": "rest", "wait": {"after": "1 hour"}}]}');
SELECT workflow.start('webhooks: rest') AS r \gset
SELECT pg_temp.token(:r, 'callback') AS rests \gset
SET ROLE webhooks_anon;
BEGIN;
SELECT workflow_api.callback(:'rests', '{"sum": 1}');
SELECT current_setting('response.status', true) AS status;
COMMIT;
RESET ROLE;
SELECT workflow.cancel(:r);
SET ROLE webhooks_anon;
\set VERBOSITY sqlstate
SELECT workflow_api.callback('5_31.' || repeat('A', 43));
SELECT workflow_api.callback('5_31');
SELECT workflow_api.webhook_callback('{}');
\set VERBOSITY default
RESET ROLE;
-- with the token in a header
SELECT step FROM workflow.waiting WHERE instance = :i;
SELECT json_build_object('x-workflow-token', pg_temp.token(:i, 'callback'))::text AS headers, json_build_object('x-workflow-token', pg_temp.token(:i, 'heartbeat'))::text AS beat_headers \gset
SET ROLE webhooks_anon;
BEGIN;
SET LOCAL request.headers = :'beat_headers';
SELECT workflow_api.webhook_heartbeat('{"percent": 30}');
SET LOCAL request.headers = :'headers';
SELECT workflow_api.webhook_callback('{"sum": 10}');
SELECT nullif(current_setting('response.status', true), '') AS status;
\set VERBOSITY sqlstate
SELECT workflow_api.webhook_heartbeat('null');
\set VERBOSITY default
ROLLBACK;
RESET ROLE;
SELECT workflow.cancel(:i);
SET client_min_messages = warning;
DROP SCHEMA workflow_api CASCADE;
RESET client_min_messages;
DROP OWNED BY workflow_web;
DROP ROLE workflow_web;
DROP OWNED BY webhooks_anon;
DROP ROLE webhooks_anon;
