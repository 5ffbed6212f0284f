-- Webhooks that start an instance.
CREATE FUNCTION pg_temp.hmac(key bytea, message bytea) RETURNS bytea LANGUAGE sql AS $$
    SELECT sha256(outer_pad || sha256(inner_pad || message))
    FROM (SELECT string_agg(set_byte('\x00', 0, b # 92), NULL ORDER BY i) AS outer_pad, string_agg(set_byte('\x00', 0, b # 54), NULL ORDER BY i) AS inner_pad
          FROM (SELECT i, CASE WHEN i < length(key) THEN get_byte(key, i) ELSE 0 END AS b FROM generate_series(0, 63) i) bytes) pads
$$;
CREATE FUNCTION pg_temp.sign(body text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('x-hub-signature-256', 'sha256=' || encode(pg_temp.hmac('hush', convert_to(body, 'UTF8')), 'hex'))
$$;
CREATE FUNCTION pg_temp.started() RETURNS TABLE (n bigint, process text, version integer, business_key text, status text, step text, data jsonb)
    LANGUAGE sql AS $$
    SELECT rank() OVER (ORDER BY i.instance), regexp_replace(i.process, '.*: ', ''), i.version, i.business_key, i.status, (SELECT string_agg(v.step, ', ' ORDER BY v.visit) FROM workflow_data.visit v WHERE v.instance = i.instance), i.data
    FROM workflow.instances i WHERE i.process LIKE 'webhook_start: %' AND ended_at IS NULL ORDER BY i.instance $$;
-- what becomes of a delivery: the how-manieth living instance it is, or the error
CREATE FUNCTION pg_temp.hook(token text, body text DEFAULT '{}', headers jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    got bigint;
BEGIN
    got := workflow.webhook(token, convert_to(body, 'UTF8'), headers);
    RETURN coalesce((SELECT 'instance ' || r FROM (SELECT instance, rank() OVER (ORDER BY instance) r FROM workflow.instances WHERE process LIKE 'webhook_start: %' AND ended_at IS NULL) i WHERE instance = got), 'one that has ended');
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION pg_temp.end_all() RETURNS bigint LANGUAGE sql AS
    $$SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'webhook_start: %' AND ended_at IS NULL$$;
CREATE SERVER start_hub FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://hub.example.com');
CREATE USER MAPPING FOR CURRENT_USER SERVER start_hub OPTIONS (webhook_secret 'hush');

-- ---- what definitions may say ----
CREATE FUNCTION pg_temp.faults(VARIADIC entries jsonb[]) RETURNS TABLE (path text, message text, hint text) LANGUAGE sql AS
    $$SELECT path, message, hint FROM workflow.check(json_build_object('start_on', entries, 'steps', '[{"step": "s", "wait": true}]'::jsonb))$$;
\pset format unaligned
\pset tuples_only on
SELECT * FROM pg_temp.faults('{"webhook": "a"}', '{"webhook": "b", "signature": {"kind": "github", "server": "start_hub"}, "idempotency_key": {"header": "X-GitHub-Delivery"}, "business_key": "${$event.data.id}", "data": {"id": "${$event.data.id}"}, "step": "s"}');
SELECT * FROM pg_temp.faults('{}');
SELECT * FROM pg_temp.faults('{"webhook": "a", "message": "m", "key": "k", "data": {}}');
SELECT * FROM pg_temp.faults('{"webhook": "a", "key": "k"}', '{"webhook": ""}', '{"webhook": "${$.x}"}', '{"webhook": "a"}', '{"webhook": 7}');
SELECT * FROM pg_temp.faults('{"message": "a", "signature": {"kind": "github", "server": "start_hub"}, "data": {}, "idempotency_key": "k"}');
SELECT * FROM pg_temp.faults('{"webhook": "a", "signature": {"kind": "github"}}');
SELECT * FROM pg_temp.faults('{"webhook": "a", "signature": {"kind": "github", "server": "start_huh"}}');
SELECT * FROM pg_temp.faults('{"webhook": "a", "idempotency_key": {"hedder": "x"}}', '{"webhook": "b", "idempotency_key": {"header": "a b"}}', '{"webhook": "c", "idempotency_key": 7}', '{"webhook": "d", "idempotency_key": "${$result.x}"}');
SELECT * FROM pg_temp.faults('{"webhook": "a", "idempotency_key": "X-GitHub-Delivery"}');
SELECT * FROM pg_temp.faults('{"webhook": "a", "data": "${$event.data}"}', '{"webhook": "b", "data": {"x": "${$serial_number}"}}', '{"webhook": "c", "business_key": "${$.}"}', '{"webhook": "d", "step": "nowhere"}');
\pset format aligned
\pset tuples_only off

-- ---- tokens ----
SELECT workflow.define('webhook_start: order', '{"data": {"from": "shop", "paid": false}, "start_on": [
  {"webhook": "plain"}, {"message": "webhook_start: m"}, {"webhook": "keyed", "business_key": "${$event.kind}/${$event.name}/${$.id}", "step": "call"},
  {"webhook": "signed", "signature": {"kind": "github", "server": "start_hub"}, "data": {"id": "${$event.data.id}", "was": "${$.from}", "by": "${$event.key}"}, "idempotency_key": "${$event.data.id}"},
  {"webhook": "hub", "signature": {"kind": "github", "server": "start_hub"}, "data": {"all": "${$event.data}"}, "idempotency_key": {"header": "X-GitHub-Delivery"}, "business_key": "${$event.data.id ?? \"none\"}"}],
  "steps": [{"step": "read", "wait": true}, {"step": "call", "wait": true}]}');
SELECT name, process FROM workflow.message_starts WHERE process LIKE 'webhook_start: %';
SELECT * FROM workflow.webhook_starts WHERE process LIKE 'webhook_start: %' ORDER BY name COLLATE "C";
SELECT workflow.webhook_token('webhook_start: order', 'plain') AS plain, workflow.webhook_token('webhook_start: order', 'keyed') AS keyed, workflow.webhook_token('webhook_start: order', 'signed') AS signed, workflow.webhook_token('webhook_start: order', 'hub') AS hub \gset
SELECT :'plain' ~ '^[0-9]+\.[A-Za-z0-9_-]{43}$' AS looks, :'plain' <> :'keyed' AS differ, :'plain' = workflow.webhook_token('webhook_start: order', 'plain') AS same;
SELECT workflow.webhook_token('webhook_start: order', 'plane');
SELECT workflow.webhook_token('webhook_start: order', 'webhook_start: m');
SELECT workflow.webhook_token('webhook_start: odrer', 'plain');
SELECT workflow.webhook_token('webhook_start: order', NULL);
SELECT pg_temp.hook(t) FROM (VALUES (''), ('.'), ('x'), ('1_1.' || repeat('A', 43)), ('0.' || repeat('A', 43)), ('-1.' || repeat('A', 43)), ('99999999999.' || repeat('A', 43)), ('2147483648.' || repeat('A', 43)), ('01.' || repeat('A', 43)), ('1.' || repeat('A', 42))) v (t);
SELECT pg_temp.hook(t) FROM (VALUES ('2147483647.' || repeat('A', 43)), (split_part(:'plain', '.', 1) || '.' || repeat('A', 43)), ((split_part(:'plain', '.', 1)::int + 1) || '.' || split_part(:'plain', '.', 2)), (split_part(:'plain', '.', 1) || '.' || reverse(split_part(:'plain', '.', 2)))) v (t);
SELECT pg_temp.hook(NULL);

-- ---- what an instance begins with ----
SELECT pg_temp.hook(:'plain', '{"id": 17, "from": "Ada"}'), pg_temp.hook(:'plain', ''), pg_temp.hook(:'plain', '{"id": 17}', NULL);
SELECT * FROM pg_temp.started();
SELECT pg_temp.hook(:'plain', b) FROM (VALUES ('7'), ('[{"id": 1}]'), ('null'), ('"text"'), ('{'), ('{"a": "\u0000"}')) v (b);
SELECT workflow.webhook(:'plain', '\x22ff22');
SELECT workflow.webhook(:'plain', '[]');
SELECT workflow.webhook(:'plain', '{}', '[]');
SELECT pg_temp.hook(:'keyed', '{}'), pg_temp.hook(:'keyed', '{"id": null}'), pg_temp.hook(:'keyed', jsonb_build_object('id', repeat('x', 3000))::text);
SELECT pg_temp.end_all();

-- ---- once ----
SELECT pg_temp.hook(:'plain', '{"n": 1}', '{"Idempotency-Key": "a"}'), pg_temp.hook(:'plain', '{"n": 2}', '{"idempotency-key": "a"}'), pg_temp.hook(:'plain', '{"n": 3}', '{"IDEMPOTENCY-KEY": ["b"]}');
SELECT pg_temp.hook(:'plain', '{}', h) FROM (VALUES ('{"Idempotency-Key": ""}'::jsonb), ('{"Idempotency-Key": 7}'), ('{"Idempotency-Key": ["a", "b"]}'), ('{"Idempotency-Key": "a", "idempotency-key": "a"}'), (jsonb_build_object('Idempotency-Key', repeat('x', 1025)))) v (h);
SELECT pg_temp.hook(:'plain', '{}', jsonb_build_object('Idempotency-Key', repeat('x', 1024)));
-- of another webhook it is another one
SELECT pg_temp.hook(:'keyed', '{"id": 1}', '{"Idempotency-Key": "a"}'), pg_temp.hook(:'keyed', '{"id": 2}', '{"Idempotency-Key": "a"}');
-- the business key of a living instance
SELECT pg_temp.hook(:'keyed', '{"id": 1}'), pg_temp.hook(:'keyed', '{"id": 1, "n": 2}', '{"Idempotency-Key": "c"}'), pg_temp.hook(:'keyed', '{"id": 2}');
SELECT * FROM pg_temp.started();
SELECT count(*) AS remembered, count(DISTINCT instance) AS instances FROM workflow_data.webhook_start;
-- after the end of the instance its key is known, and that of the other delivery, too; the business key alone is free
SELECT pg_temp.end_all();
SELECT pg_temp.hook(:'plain', '{"n": 1}', '{"Idempotency-Key": "a"}'), pg_temp.hook(:'keyed', '{"id": 1}', '{"Idempotency-Key": "c"}'), pg_temp.hook(:'keyed', '{"id": 1}');
-- until it is erased
SELECT count(workflow.erase(instance)) FROM (SELECT DISTINCT instance FROM workflow_data.webhook_start) w;
SELECT count(*) FROM workflow_data.webhook_start;
SELECT pg_temp.hook(:'plain', '{"n": 9}', '{"Idempotency-Key": "a"}');
-- of the key of a rolled back one nothing is known
BEGIN;
SELECT pg_temp.hook(:'plain', '{}', '{"Idempotency-Key": "r"}'), pg_temp.hook(:'plain', '{}', '{"Idempotency-Key": "r"}');
ROLLBACK;
SELECT pg_temp.hook(:'plain', '{"r": 2}', '{"Idempotency-Key": "r"}');
-- an instance with the business key, however it was started
SELECT workflow.start('webhook_start: order', business_key => 'webhook/keyed/8') > 0 AS started;
SELECT pg_temp.hook(:'keyed', '{"id": 8}');
-- an instance that runs once more has its key
SELECT workflow.cancel(instance) FROM workflow.instances WHERE business_key = 'webhook/keyed/8' AND ended_at IS NULL;
SELECT workflow.rerun(max(instance)) > 0 AS rerun FROM workflow.instances WHERE business_key = 'webhook/keyed/8';
SELECT pg_temp.hook(:'keyed', '{"id": 8}');
SELECT pg_temp.end_all();

-- ---- signed ----
SELECT pg_temp.hook(:'signed', '{"id": 1}'), pg_temp.hook(:'signed', '{"id": 1}', pg_temp.sign('{"id": 2}')), pg_temp.hook(:'signed', '{"id": 2', pg_temp.sign('{"id": 1'));
SELECT pg_temp.hook(:'signed', '{"id": 1, "more": 1}', pg_temp.sign('{"id": 1, "more": 1}')), pg_temp.hook(:'signed', '{"id":1}', pg_temp.sign('{"id":1}')), pg_temp.hook(:'signed', '{"id": "1"}', pg_temp.sign('{"id": "1"}') || '{"Idempotency-Key": "other"}');
SELECT pg_temp.hook(:'signed', b, pg_temp.sign(b)) FROM (VALUES ('{}'), ('{"id": [1]}'), ('{"id": ""}'), ('{"id": {}}')) v (b);
-- its own null is no key: each starts one
SELECT pg_temp.hook(:'signed', '{"id": null}', pg_temp.sign('{"id": null}')), pg_temp.hook(:'signed', '{"id": null}', pg_temp.sign('{"id": null}'));
SELECT pg_temp.hook(:'hub', '[1]', pg_temp.sign('[1]'));
SELECT pg_temp.hook(:'hub', '[1]', pg_temp.sign('[1]') || '{"x-github-delivery": "d1"}'), pg_temp.hook(:'hub', '[1]', pg_temp.sign('[1]') || '{"x-github-delivery": "d2"}');
SELECT * FROM pg_temp.started();
SELECT pg_temp.end_all();
SELECT pg_temp.hook(:'hub', '[1]', pg_temp.sign('[1]') || '{"x-github-delivery": "d2"}');
ALTER USER MAPPING FOR CURRENT_USER SERVER start_hub OPTIONS (DROP webhook_secret);
SELECT pg_temp.hook(:'signed', '{"id": 1}', pg_temp.sign('{"id": 1}'));

-- ---- rights ----
CREATE ROLE webhook_start_anon;
CREATE ROLE webhook_start_admin;
GRANT USAGE ON SCHEMA workflow TO webhook_start_anon, webhook_start_admin;
SET ROLE webhook_start_anon;
SELECT workflow.webhook_token('webhook_start: order', 'plain');
SELECT workflow.webhook(:'plain', '{"by": "anon"}') > 0 AS started;
SELECT * FROM workflow_data.webhook_start;
SELECT count(*) FROM workflow.webhook_starts;
RESET ROLE;
SELECT workflow.grant_process('webhook_start: order', 'webhook_start_admin', 'start');
SET ROLE webhook_start_admin;
SELECT workflow.webhook_token('webhook_start: order', 'plain');
RESET ROLE;
SELECT workflow.grant_process('webhook_start: order', 'webhook_start_admin', 'admin');
SET ROLE webhook_start_admin;
SELECT workflow.webhook_token('webhook_start: order', 'plain') = :'plain' AS same;
SELECT name, workflow.webhook_token(process, name) = :'plain' AS same FROM workflow.webhook_starts WHERE name = 'plain';
RESET ROLE;
SELECT * FROM pg_temp.started();
SELECT pg_temp.end_all();
DROP OWNED BY webhook_start_anon, webhook_start_admin;
SELECT workflow.revoke_process('webhook_start: order', 'webhook_start_admin', p) FROM unnest(ARRAY['start', 'admin']) p;
DROP ROLE webhook_start_anon, webhook_start_admin;

-- ---- suspended, other versions, undefined ----
SELECT workflow.suspend_process('webhook_start: order');
SELECT pg_temp.hook(:'plain', '{"n": 1}');
SELECT status, step FROM pg_temp.started();
SELECT workflow.resume_process('webhook_start: order');
SELECT workflow.define('webhook_start: order', '{"start_on": [{"webhook": "other"}, {"webhook": "plain", "step": "later"}], "steps": [{"step": "first", "wait": true}, {"step": "later", "wait": true}]}');
SELECT pg_temp.hook(:'plain', '{"n": 2}'), pg_temp.hook(:'keyed', '{"id": 2}');
SELECT version, step, data FROM pg_temp.started();
SELECT workflow.webhook_token('webhook_start: order', 'keyed');
SELECT workflow.undefine('webhook_start: order', true);
SELECT pg_temp.hook(:'plain', '{"n": 3}');
SELECT name FROM workflow.webhook_starts WHERE process = 'webhook_start: order';
SELECT workflow.webhook_token('webhook_start: order', 'plain');
SELECT workflow.define('webhook_start: order', '{"start_on": [{"webhook": "plain"}], "steps": [{"step": "again", "wait": true}]}') > 0 AS defined;
SELECT pg_temp.hook(:'plain', '{"n": 4}') <> '' AS started;
SELECT step, data FROM pg_temp.started() WHERE step = 'again';
-- in a scope
SELECT workflow.define('webhook_start: scope', '{"start_on": [{"webhook": "mid", "step": "mid"}], "timeout": "1 day", "steps": [{"step": "a", "next": "mid"}, {"step": "mid", "wait": true}]}');
SELECT workflow.webhook(workflow.webhook_token('webhook_start: scope', 'mid')) > 0 AS started;
SELECT step, data FROM pg_temp.started() WHERE process = 'scope';
SELECT pg_temp.end_all();

-- ---- the key is replaced ----
BEGIN;
UPDATE workflow_data.secret SET key = sha256('another one');
SELECT pg_temp.hook(:'plain'), workflow.webhook_token('webhook_start: order', 'plain') <> :'plain' AS differs;
SELECT pg_temp.hook(workflow.webhook_token('webhook_start: order', 'plain'));
ROLLBACK;
SELECT pg_temp.hook(:'plain');
SELECT pg_temp.end_all();
DROP SERVER start_hub CASCADE;
