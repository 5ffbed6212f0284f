-- Callbacks that have to be signed.
CREATE FUNCTION pg_temp.hmac(key bytea, message bytea) RETURNS bytea LANGUAGE sql AS $$
    SELECT sha256(outer_pad || sha256(inner_pad || message))
    FROM (SELECT string_agg(set_byte('\x00', 0, b # 92), NULL ORDER BY i) AS outer_pad, string_agg(set_byte('\x00', 0, b # 54), NULL ORDER BY i) AS inner_pad
          FROM (SELECT i, CASE WHEN i < length(key) THEN get_byte(key, i) ELSE 0 END AS b FROM generate_series(0, 63) i) bytes) pads
$$;
CREATE FUNCTION pg_temp.token(sn text) RETURNS text LANGUAGE sql AS $$
    SELECT sn || '.' || translate(rtrim(encode(pg_temp.hmac(key, convert_to('callback ' || sn, 'UTF8')), 'base64'), '='), '+/', '-_') FROM workflow_data.secret
$$;
CREATE FUNCTION pg_temp.sign(body bytea, secret text DEFAULT 'It''s a Secret to Everybody') RETURNS text LANGUAGE sql AS $$
    SELECT encode(pg_temp.hmac(convert_to(secret, 'UTF8'), body), 'hex')
$$;
-- what becomes of a callback: its answer, or the error
CREATE FUNCTION pg_temp.raw(token text, body bytea, headers jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text;
BEGIN
    RETURN workflow.callback_raw(token, body, headers);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || SQLERRM || coalesce(': ' || nullif(detail, ''), '');
END $$;
CREATE SERVER sig_hub FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://hub.example.com');
CREATE SERVER sig_pay FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://pay.example.com');

-- ---- what definitions may say ----
CREATE FUNCTION pg_temp.faults(signature jsonb, more jsonb DEFAULT '{}') RETURNS TABLE (path text, severity text, message text, hint text) LANGUAGE sql AS $$
    SELECT path, severity, regexp_replace(message, '"' || current_user || '"', '"me"'), replace(hint, current_user, 'me')
    FROM workflow.check(json_build_object('steps', jsonb_build_array(jsonb_build_object('step', 's', 'wait', jsonb_build_object('callback', true, 'signature', signature)) || more)))
$$;
\pset format unaligned
\pset tuples_only on
SELECT * FROM pg_temp.faults('"github"');
SELECT * FROM pg_temp.faults('{}');
SELECT * FROM pg_temp.faults('{"kind": "md5", "server": "sig_hub"}');
SELECT * FROM pg_temp.faults('{"kind": "github"}');
SELECT * FROM pg_temp.faults('{"kind": "github", "server": "sig_hub"}');
SELECT * FROM pg_temp.faults('{"kind": "github", "server": "sig_huh"}');
SELECT * FROM pg_temp.faults('{"kind": "github", "server": "sig_hub", "prefix": "", "encoding": "hex", "timestamp": "T", "signed": "{body}", "tolerance": "1 min"}');
SELECT * FROM pg_temp.faults('{"kind": "stripe", "server": "sig_hub", "tolerance": "0"}');
SELECT * FROM pg_temp.faults('{"kind": "stripe", "server": "sig_hub", "tolerance": "${$.x}"}');
SELECT * FROM pg_temp.faults('{"kind": "hmac-sha256", "server": "sig_hub"}');
SELECT * FROM pg_temp.faults('{"kind": "hmac-sha256", "server": "sig_hub", "header": "X Sig", "encoding": "octal", "prefix": 7}');
SELECT * FROM pg_temp.faults('{"kind": "hmac-sha256", "server": "sig_hub", "header": "X-Sig", "signed": "{timestamp}{body}"}');
SELECT * FROM pg_temp.faults('{"kind": "hmac-sha256", "server": "sig_hub", "header": "X-Sig", "timestamp": "X-T", "signed": "{body}"}');
SELECT * FROM pg_temp.faults('{"kind": "hmac-sha256", "server": "sig_hub", "header": "X-Sig", "timestamp": "X-T", "signed": "v0"}');
SELECT * FROM pg_temp.faults('{"kind": "hmac-sha256", "server": "sig_hub", "header": "X-Sig", "tolerence": "1 min"}');
SELECT * FROM pg_temp.faults('{"kind": "github"}', '{"http": {"server": "sig_hub", "path": "/x"}}');
SELECT path, message, hint FROM workflow.check('{"steps": [{"step": "s", "wait": {"message": "m", "signature": {"kind": "github", "server": "sig_hub"}}}]}') WHERE severity = 'error';
\pset format aligned
\pset tuples_only off

-- ---- where the secret is ----
CREATE USER MAPPING FOR CURRENT_USER SERVER sig_hub OPTIONS (webhook_secret '');
CREATE USER MAPPING FOR CURRENT_USER SERVER sig_hub OPTIONS (auth 'bearer', token 'x', webhook_secret 'It''s a Secret to Everybody');
CREATE SERVER sig_none FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://pay.example.com', webhook_secret 'x');
SELECT workflow.define('signatures: hub', '{"steps": [
  {"step": "a", "wait": {"callback": true, "signature": {"kind": "github", "server": "sig_hub"}}, "save": {"a": "${$result.response}"}},
  {"step": "b", "first_of": [{"callback": true, "signature": {"kind": "hmac-sha256", "server": "sig_hub", "header": "X-Sig", "encoding": "base64"}, "next": "c"}, {"after": "1 day", "next": "c"}]},
  {"step": "c", "wait": {"message": "m"}, "catch": [{"callback": true, "signature": {"kind": "github", "server": "sig_hub"}, "next": "d"}]},
  {"step": "d", "wait": true}]}');
SELECT workflow.start('signatures: hub') AS i \gset
SELECT test.waits(:i) AS sn, pg_temp.token(test.waits(:i)) AS token \gset
-- GitHub's own example: what is signed is no JSON, which is told only then
SELECT pg_temp.raw(:'token', 'Hello, World!', '{"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}');
SELECT pg_temp.raw(:'token', 'Hello, World?', '{"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}');
SELECT pg_temp.raw(:'token', 'Hello, World!', '{"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e18"}');

\set body '{"n": 1, "text": "\\u00e4 ä"}'
SELECT 'sha256=' || pg_temp.sign(convert_to(:'body', 'UTF8')) AS good \gset
-- without, altered, of other bytes, under other names
\set VERBOSITY terse
SELECT workflow.callback(:'token', :'body');
\set VERBOSITY default
SELECT pg_temp.raw(:'token', convert_to(:'body', 'UTF8'));
SELECT pg_temp.raw(:'token', convert_to(:'body', 'UTF8'), '{}');
SELECT pg_temp.raw(:'token', convert_to(:'body', 'UTF8'), jsonb_build_object('X-Hub-Signature', :'good'));
SELECT pg_temp.raw(:'token', convert_to(:'body' || ' ', 'UTF8'), jsonb_build_object('X-Hub-Signature-256', :'good'));
SELECT pg_temp.raw(:'token', '', jsonb_build_object('X-Hub-Signature-256', :'good'));
SELECT pg_temp.raw(:'token', NULL, jsonb_build_object('X-Hub-Signature-256', :'good'));
SELECT count(*) FROM generate_series(0, octet_length(:'body') - 1) n, LATERAL pg_temp.raw(:'token', set_byte(convert_to(:'body', 'UTF8'), n, get_byte(convert_to(:'body', 'UTF8'), n) # 1), jsonb_build_object('X-Hub-Signature-256', :'good')) r WHERE r LIKE '28000 wrong signature%';
SELECT pg_temp.raw(:'token', convert_to(:'body', 'UTF8'), jsonb_build_object('X-Hub-Signature-256', h)) FROM (VALUES ('sha256='), (''), ('sha1=' || right(:'good', 64)), (right(:'good', 64)), (left(:'good', -1)), (:'good' || '0'), ('sha256=' || repeat('0', 64)), (repeat('x', 100000))) v (h);
SELECT pg_temp.raw(:'token', convert_to(:'body', 'UTF8'), jsonb_build_object('X-Hub-Signature-256', h)) FROM (VALUES ('null'::jsonb), ('7'), ('{}'), ('[]'), (jsonb_build_array(:'good', :'good')), (jsonb_build_array(7))) v (h);
SELECT pg_temp.raw(:'token', convert_to(:'body', 'UTF8'), jsonb_build_object('X-Hub-Signature-256', :'good', 'x-hub-signature-256', :'good'));
SELECT pg_temp.raw(:'token', convert_to(:'body', 'UTF8'), '["X-Hub-Signature-256"]');
-- bytes that are no JSON, though they are signed
SELECT pg_temp.raw(:'token', b, jsonb_build_object('X-Hub-Signature-256', 'sha256=' || pg_temp.sign(b))) FROM (VALUES ('\x7b7d00'::bytea), ('\x00'), ('\x22ff22'), ('\x22c3'), ('\x5c'), ('{"a": "\\u0000"}')) v (b);
SELECT pg_temp.raw(:'token', b, jsonb_build_object('X-Hub-Signature-256', 'sha256=' || pg_temp.sign(b))) FROM (VALUES (convert_to('7' || repeat(' ', 32 * 1024 * 1024), 'UTF8'))) v (b);
SELECT regexp_replace(pg_temp.raw(:'token', b, jsonb_build_object('X-Hub-Signature-256', 'sha256=' || pg_temp.sign(b))), '"workflow.*', '') FROM (VALUES (convert_to(repeat('[', 1000000), 'UTF8'))) v (b);
-- nothing of all that is kept, and it is where it was
SELECT (SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = :'sn') AS late, test.waits(:i) = :'sn' AS waits, (SELECT data FROM workflow.instances WHERE instance = :i);
-- with its signature, under a name in any case, in digits of any case, alone in a list
SELECT pg_temp.raw(:'token', convert_to(:'body', 'UTF8'), jsonb_build_object('x-HUB-signature-256', jsonb_build_array('sha256=' || upper(right(:'good', 64))), 'Other', 7));
SELECT data FROM workflow.instances WHERE instance = :i;
-- again: too late, and on record; without a signature it is not
SELECT pg_temp.raw(:'token', convert_to(:'body', 'UTF8'), jsonb_build_object('x-hub-signature-256', :'good'));
SELECT pg_temp.raw(:'token', '8', jsonb_build_object('x-hub-signature-256', :'good'));
\set VERBOSITY terse
SELECT workflow.callback(:'token', '9');
\set VERBOSITY default
SELECT data FROM workflow.late_callbacks WHERE serial_number = :'sn';

-- of first_of, in base64, with and without its padding
SELECT pg_temp.token(test.waits(:i)) AS token, rtrim(encode(pg_temp.hmac('It''s a Secret to Everybody', '[1]'), 'base64'), '=') AS good \gset
SELECT pg_temp.raw(:'token', '[1]', jsonb_build_object('X-Sig', lower(:'good')));
SELECT pg_temp.raw(:'token', '[1]', jsonb_build_object('X-Sig', :'good' || 'A'));
SELECT pg_temp.raw(:'token', '[1]', jsonb_build_object('X-Sig', :'good'));
-- of a handler
SELECT pg_temp.token(test.waits(:i)) AS token \gset
SELECT pg_temp.raw(:'token', '{"done": true}');
SELECT pg_temp.raw(:'token', '{"done": true}', jsonb_build_object('X-Hub-Signature-256', 'sha256=' || pg_temp.sign('{"done": true}')));
-- a step that asks for none takes bytes all the same, of an empty body nothing
SELECT step FROM workflow.waiting WHERE instance = :i;
SELECT test.waits(:i) AS sn, pg_temp.token(test.waits(:i)) AS token \gset
SELECT pg_temp.raw(:'token', '{');
SELECT pg_temp.raw(:'token', E' \n', '{"X-Hub-Signature-256": "any"}');
SELECT status FROM workflow.instances WHERE instance = :i;
SELECT result ? 'callback_response' AS known, result -> 'response' AS response FROM workflow.history WHERE serial_number = :'sn';
SELECT pg_temp.raw(:'token', '{"late": true}');
SELECT data FROM workflow.late_callbacks WHERE serial_number = :'sn';
-- who may complete needs no signature
SELECT workflow.start('signatures: hub') AS i \gset
SELECT workflow.complete(test.waits(:i), '2');
SELECT workflow.cancel(:i);
SELECT pg_temp.raw(pg_temp.token(serial_number), '3') FROM workflow.history WHERE instance = :i ORDER BY 1;
SELECT count(*) FROM workflow.late_callbacks WHERE serial_number LIKE :i || '_%';

-- ---- a version that signs otherwise ----
SELECT workflow.start('signatures: hub') AS i \gset
SELECT test.waits(:i) AS sn, pg_temp.token(test.waits(:i)) AS token \gset
SELECT workflow.complete(:'sn');
SELECT workflow.define('signatures: hub', '{"steps": [{"step": "b", "wait": true}, {"step": "z", "wait": {"callback": true, "signature": {"kind": "github", "server": "sig_hub"}}}]}');
SELECT workflow.migrate(:i, 2);
SELECT pg_temp.raw(:'token', '{"of": "a step that is gone"}');
SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = :'sn';
SELECT pg_temp.raw(pg_temp.token(test.waits(:i)), '{"plain": true}');
SELECT step FROM workflow.waiting WHERE instance = :i;
-- ---- each, and a scope ----
SELECT workflow.cancel(:i);
SELECT workflow.define('signatures: each', '{"steps": [
  {"step": "each", "each": "$.items[*]", "wait": {"callback": true, "signature": {"kind": "github", "server": "sig_hub"}}},
  {"step": "scope", "steps": [{"step": "inner", "wait": {"callback": true, "signature": {"kind": "github", "server": "sig_hub"}}}]}]}');
SELECT workflow.start('signatures: each', '{"items": [1, 2]}') AS i \gset
SELECT pg_temp.raw(pg_temp.token(serial_number), '7'), pg_temp.raw(pg_temp.token(serial_number), '7', jsonb_build_object('X-Hub-Signature-256', 'sha256=' || pg_temp.sign('7'))),
    left(pg_temp.raw(pg_temp.token(serial_number), '7'), 21) FROM workflow.waiting WHERE instance = :i AND step = 'each' AND item IS NOT NULL ORDER BY serial_number;
SELECT left(pg_temp.raw(pg_temp.token(serial_number), '7'), 21), pg_temp.raw(pg_temp.token(serial_number), '7', jsonb_build_object('X-Hub-Signature-256', 'sha256=' || pg_temp.sign('7'))) FROM workflow.waiting WHERE instance = :i AND step = 'inner';
SELECT status FROM workflow.instances WHERE instance = :i;

-- ---- with a time: Stripe, and Slack's own example ----
CREATE USER MAPPING FOR PUBLIC SERVER sig_pay OPTIONS (webhook_secret 'whsec_test');
SELECT workflow.define('signatures: pay', '{"steps": [{"step": "a", "wait": {"callback": true, "signature": {"kind": "stripe", "server": "sig_pay"}}}, {"step": "b", "wait": {"callback": true, "signature":
  {"kind": "hmac-sha256", "server": "sig_pay", "header": "X-Slack-Signature", "prefix": "v0=", "timestamp": "X-Slack-Request-Timestamp", "signed": "v0:{timestamp}:{body}", "tolerance": "100 years"}}}]}');
SELECT workflow.start('signatures: pay') AS i \gset
SELECT pg_temp.token(test.waits(:i)) AS token \gset
CREATE FUNCTION pg_temp.stripe(ago interval, body text DEFAULT '{"id": "evt_1"}', secret text DEFAULT 'whsec_test') RETURNS text LANGUAGE sql AS $$
    SELECT format('t=%s,v1=%s', t, pg_temp.sign(convert_to(t || '.' || body, 'UTF8'), secret)) FROM (SELECT floor(extract(epoch FROM clock_timestamp() - ago))::text AS t) n
$$;
CREATE FUNCTION pg_temp.pay(token text, signature text, body text DEFAULT '{"id": "evt_1"}') RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(pg_temp.raw(token, convert_to(body, 'UTF8'), jsonb_build_object('Stripe-Signature', signature)), '[0-9]+ seconds', 'N seconds')
$$;
SELECT pg_temp.pay(:'token', pg_temp.stripe('6 min'));
SELECT pg_temp.pay(:'token', pg_temp.stripe('-6 min'));
SELECT pg_temp.pay(:'token', pg_temp.stripe('0', secret => 'whsec_other'));
SELECT pg_temp.pay(:'token', pg_temp.stripe('0'), '{"id": "evt_2"}');
-- the time is signed, too
SELECT pg_temp.pay(:'token', regexp_replace(pg_temp.stripe('6 min'), 't=[0-9]+', 't=' || floor(extract(epoch FROM clock_timestamp()))));
SELECT pg_temp.pay(:'token', 't=' || floor(extract(epoch FROM clock_timestamp())) || ',' || pg_temp.stripe('6 min'));
SELECT pg_temp.pay(:'token', pg_temp.stripe('6 min') || ',t=' || floor(extract(epoch FROM clock_timestamp())));
SELECT pg_temp.pay(:'token', regexp_replace(pg_temp.stripe('0'), 'v1=', h)) FROM (VALUES ('v0='), ('V1='), ('v1'), ('')) v (h);
SELECT pg_temp.pay(:'token', h || pg_temp.sign(convert_to(t || '.{"id": "evt_1"}', 'UTF8'), 'whsec_test')) FROM (VALUES ('t=,v1=', ''), ('t=-1,v1=', '-1'), ('t=1e9,v1=', '1e9'), ('t=9999999999999999999,v1=', '9999999999999999999'), ('v1=', '')) v (h, t);
SELECT pg_temp.pay(:'token', h) FROM (VALUES (''), (','), ('t=1'), ('t=1,v1='), (repeat('v1=,', 100000))) v (h);
-- while the secret is replaced there are several
SELECT pg_temp.pay(:'token', pg_temp.stripe('0', secret => 'whsec_new') || ',v1=' || split_part(pg_temp.stripe('0'), 'v1=', 2) || ',v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39');
\set VERBOSITY terse
SELECT pg_temp.token(test.waits(:i)) AS token \gset
SELECT left(pg_temp.raw(:'token', b::bytea, h), 36) FROM (VALUES ('token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c')) b (b),
    (VALUES ('{"X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503", "X-Slack-Request-Timestamp": "1531420618"}'::jsonb)) h (h);
ALTER USER MAPPING FOR PUBLIC SERVER sig_pay OPTIONS (SET webhook_secret '8f742231b10e8888abcd99yyyzzz85a5');
SELECT left(pg_temp.raw(:'token', b::bytea, h), 36) FROM (VALUES ('token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c')) b (b),
    (VALUES ('{"X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503", "X-Slack-Request-Timestamp": "1531420618"}'::jsonb),
            ('{"X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503", "X-Slack-Request-Timestamp": "1531420619"}'),
            ('{"X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"}')) h (h);
-- without a secret nobody comes in
DROP USER MAPPING FOR PUBLIC SERVER sig_pay;
SELECT pg_temp.raw(:'token', '{}', '{"X-Slack-Signature": "v0="}');
CREATE USER MAPPING FOR PUBLIC SERVER sig_pay;
SELECT pg_temp.raw(:'token', '{}', '{"X-Slack-Signature": "v0="}');
DROP SERVER sig_pay CASCADE;
SELECT pg_temp.raw(:'token', '{}', '{"X-Slack-Signature": "v0="}');
-- in a file
SELECT workflow.cancel(:i);
SELECT current_setting('data_directory') || '/signatures.secret' AS file \gset
COPY (SELECT 'hush') TO :'file';
CREATE USER MAPPING FOR PUBLIC SERVER sig_hub OPTIONS (webhook_secret_file '/hush', webhook_secret 'hush');
CREATE USER MAPPING FOR PUBLIC SERVER sig_hub OPTIONS (webhook_secret_file 'hush');
DROP USER MAPPING FOR CURRENT_USER SERVER sig_hub;
CREATE USER MAPPING FOR CURRENT_USER SERVER sig_hub OPTIONS (webhook_secret_file :'file');
SELECT workflow.start('signatures: hub', version => 1) AS i \gset
SELECT pg_temp.token(test.waits(:i)) AS token, jsonb_build_object('X-Hub-Signature-256', 'sha256=' || pg_temp.sign('1', 'hush')) AS headers \gset
COPY (SELECT '') TO :'file';
SELECT pg_temp.raw(:'token', '1', :'headers');
COPY (SELECT 'shush') TO :'file';
SELECT pg_temp.raw(:'token', '1', :'headers');
COPY (SELECT 'hush') TO :'file';
SELECT pg_temp.raw(:'token', '1', :'headers');
SELECT workflow.cancel(:i);
ALTER USER MAPPING FOR CURRENT_USER SERVER sig_hub OPTIONS (SET webhook_secret_file '/nowhere');
SELECT pg_temp.raw(:'token', '1', :'headers');
CREATE ROLE signatures_author;
GRANT USAGE ON FOREIGN SERVER sig_hub TO signatures_author;
SET ROLE signatures_author;
CREATE USER MAPPING FOR CURRENT_USER SERVER sig_hub OPTIONS (webhook_secret_file '/etc/passwd');
RESET ROLE;
DROP OWNED BY signatures_author;
DROP ROLE signatures_author;
SELECT workflow.callback_raw(:'token' || 'x', '{}');
SELECT workflow.callback_raw(NULL, '{}');
SET client_min_messages = warning;
DROP SERVER sig_hub CASCADE;
