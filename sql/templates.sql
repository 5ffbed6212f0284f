-- Templates and predicates: what is missing, what cannot be worked out, what is unknown.
SET client_min_messages = warning;

CREATE SCHEMA templates;
-- an error; what PostgreSQL says of jsonpath differs between its versions
CREATE FUNCTION templates.told(error jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', error->>'code', regexp_replace(error->>'message', '(cannot be worked out: )(?!it is unknown|workflow).*', '\1…'))
$$;
-- what a template in "set" makes of the data, or the error that its visit ends with
CREATE FUNCTION templates.gives(template text, given jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    i bigint;
BEGIN
    PERFORM workflow.define('templates: gives', json_build_object('steps', json_build_array(
        json_build_object('step', 'a', 'set', json_build_object('r', template)))));
    i := workflow.start('templates: gives', given);
    RETURN coalesce((SELECT templates.told(error) FROM workflow.incidents WHERE instance = i),
                    (SELECT data->'r' FROM workflow.instances WHERE instance = i)::text);
END $$;
-- the branch that a predicate takes, or the error
CREATE FUNCTION templates.judges(predicate text, given jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    i bigint;
BEGIN
    PERFORM workflow.define('templates: judges', json_build_object('steps', json_build_array(
        json_build_object('step', 'a', 'choose', json_build_array(json_build_object('when', predicate, 'next', 'true'), json_build_object('next', 'false'))),
        json_build_object('step', 'true', 'end', true), json_build_object('step', 'false', 'end', true))));
    i := workflow.start('templates: judges', given);
    RETURN coalesce((SELECT templates.told(error) FROM workflow.incidents WHERE instance = i),
                    (SELECT step FROM workflow.history WHERE instance = i AND step <> 'a'));
END $$;
\set given '{"text": "1,200.00", "total": 100, "count": 0, "null": null, "true": true, "list": [1, "x", 2], "flags": [true, false], "object": {"a": 1}, "note": "a ?? b"}'

-- what is missing is an error, a null that is there is null, and what cannot be worked out is an error
SELECT t, templates.gives(t, :'given') FROM unnest(ARRAY[
    '${$.amont}', 'about ${$.amont}', '${$.object.b}', '${$.total.a}', '${$.list[7]}', '${$.list[*] ? (@ > 5)}', '${strict $.amont}',
    '${$.null}', 'about ${$.null}', '${$error}', '${$.list}', '${$.list[*]}', '${$.object.a}',
    '${$.text.double()}', 'each ${$.total / $.count}', '${-$.text}', '${$.text > 1}', '${$.total > 1}', '${$.amont > 1}', '${($.text > 1) is unknown}'
]) WITH ORDINALITY AS x (t, n) ORDER BY n;

-- unless ?? says what then: its sides are whole expressions
SELECT t, templates.gives(t, :'given') FROM unnest(ARRAY[
    '${$.amont ?? null}', '${$.amont ?? 0}', '${$.amont ?? -1.50}', '${$.amont ?? "none"}', '${$.amont ?? true}', 'about ${$.amont ?? "none"}!',
    '${$.amont ?? $.object}', '${$.amont ?? $.amount ?? $.total}', '${$.list[7].id ?? $.id ?? "none"}', '${$.amont ?? $.amount}', '${$.total ?? $.amount}',
    '${$.null ?? 1}', '${$.amont + 1 ?? 1}', '${$.total + 1 ?? 1}', '${$.total / $.count ?? $.text.double() ?? "neither"}', '${$.text > 1 ?? false}',
    '${$.amont ?? $.text.double()}', '${$."a??" ?? "??"}', '${$.note}', '${$.amont /* ?? 1 */ ?? 2}', '${$.list ? (@ == 9) ?? "no nine"}',
    '$${$.a ?? 1}', '${$callback_url ?? "none"}', '${$callback_url}', 'at ${$heartbeat_url}'
]) WITH ORDINALITY AS x (t, n) ORDER BY n;

-- in predicates what is missing is false; what is unknown is an error, and so is what is no boolean
SELECT t, templates.judges(t, :'given') FROM unnest(ARRAY[
    '$.amont', '$.amont == 1', '$.amont > 1', '$.object.b.c == 1', '!($.amont > 1)', 'exists($.amont)', '$.total.a == 1', '$.list[7] == 1', 'strict $.amont == 1',
    '$.true', '$.flags', '$.flags[*]', '$.flags[0]', '$.null', '$.null == 1', '$.null == null', '$.null != 1', '$.text', '$.object',
    '$.total == 100', '$.total == "100"', '$.total == true', '$.object == 1', '$.text > 1', '!($.text > 1)', '$.text > 1 || $.true == true', '$.text > 1 && $.true == false',
    '$.list[*] == 2', '$.list[*] == 9', '$.list == 2', '$.total / $.count > 1', '$.text.double() > 1', '$.text.datetime() < "2026-06-01".datetime()', 'exists($.text.double())',
    '($.text > 1) is unknown', 'exists($.list[*] ? (@ > 1))', '$callback_url == "x"'
]) WITH ORDINALITY AS x (t, n) ORDER BY n;

-- an error in any of the places where a predicate or a template may stand ends the visit, and is caught there
CREATE FUNCTION templates.ends(more jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    i bigint;
BEGIN
    PERFORM workflow.define('templates: ends', json_build_object('steps', json_build_array(jsonb_build_object('step', 'a',
        'catch', '[{"on": ["template", "predicate"], "next": "c"}, {"on": "other", "next": "b"}]'::jsonb) || more,
        '{"step": "b", "end": true}'::json, '{"step": "c", "set": {"why": "${$caught.error}"}, "end": true}'::json)));
    i := workflow.start('templates: ends', '{"total": 1, "text": "x"}');
    PERFORM workflow.complete(serial_number, '{"x": 1}') FROM workflow.waiting WHERE instance = i;
    RETURN (SELECT string_agg(step || ' ' || outcome, ', ' ORDER BY step) FROM workflow.history WHERE instance = i)
        || coalesce(': ' || (SELECT templates.told(data->'why') FROM workflow.instances WHERE instance = i AND data ? 'why'), '');
END $$;
SELECT s AS step, templates.ends(y) FROM unnest(ARRAY[
    '{"set": {"x": {"y": ["${$.x}"]}}}',
    '{"wait": true, "timeout": "${$.x}"}',
    '{"wait": true, "timeout": "${$.text.double()}"}',
    '{"wait": true, "heartbeat": "${$.total / 0} s"}',
    '{"wait": {"after": "${$.x}"}}',
    '{"wait": {"until": "${$.x}"}}',
    '{"wait": {"until": "${$.x ?? $.total}"}}',
    '{"wait": {"callback": true, "when": "$.text > 1"}}',
    '{"wait": {"callback": true, "when": "$.total"}}',
    '{"wait": true, "success": "$result.response.x == \"1\""}',
    '{"wait": true, "success": "$result.response"}',
    '{"wait": true, "save": {"y": "${$result.response.y}"}}',
    '{"wait": true, "save": {"y": "${$result.response.y ?? 7}"}}',
    '{"wait": true, "catch": [{"after": "${$.x}", "next": "b"}, {"on": "template", "next": "c"}]}',
    '{"http": {"url": "${$.url}"}}',
    '{"set": {"x": 1}, "next": null, "choose": [{"when": "$.text == 1", "next": "b"}, {"next": "b"}]}',
    '{"set": {"x": 1}, "next": null, "end": {"error": "E", "message": "${$.y}"}}',
    '{"set": {"x": 1}, "next": null, "end": {"abort": "${$.total / 0}"}}'
]::jsonb[]) WITH ORDINALITY AS x (s, n), LATERAL jsonb_strip_nulls('{"next": "b"}' || s) y ORDER BY n;

-- and in those that an executor works out
SELECT workflow.define('templates: notify', '{"steps": [{"step": "a", "notify": {"channel": "c", "payload": {"x": "${$.x}"}}, "catch": [{"on": "other", "next": "a"}]}]}');
SELECT workflow.start('templates: notify') AS instance \gset
CALL workflow.wait_for(:instance, '60 s');
SELECT outcome, templates.told(error) FROM workflow.incidents WHERE instance = :instance;

-- times compare with zones, under the TimeZone of define, whoever moves the token and where he is
SET timezone = 'America/New_York';
SELECT workflow.define('templates: zone', '{"steps": [
    {"step": "a", "wait": true, "choose": [{"when": "$.at.datetime() < \"2026-01-01\".datetime()", "next": "last year"}, {"next": "this year"}]},
    {"step": "last year", "end": true}, {"step": "this year", "end": true} ]}');
CREATE TABLE templates.event (id int PRIMARY KEY, at text, flag boolean);
SELECT workflow.attach('templates.event', 'templates: zone', condition => '$.at != null && $.at.datetime() < "2026-01-01".datetime()') > 0 AS attached;
SET timezone = 'Asia/Tokyo';
SET datestyle = 'SQL, DMY';
INSERT INTO templates.event VALUES (1, '2026-01-01T03:00:00+00:00'), (2, '2026-01-01T06:00:00+00:00'), (3, '2025-12-31'), (4, '2026-01-01'), (5, NULL);
SELECT business_key, workflow.complete(serial_number) FROM workflow.waiting JOIN workflow.instances USING (instance, process) WHERE process = 'templates: zone' ORDER BY business_key;
SELECT i.business_key, h.step FROM workflow.history h JOIN workflow.instances i USING (instance) WHERE i.process = 'templates: zone' AND h.step <> 'a' ORDER BY 1;
SELECT workflow.start('templates: zone', '{"at": "2026-01-01T06:00:00+00:00"}') AS instance \gset
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :instance;
SELECT step FROM workflow.history WHERE instance = :instance AND step <> 'a';
-- and the session is as it was, after errors too
INSERT INTO templates.event VALUES (6, 'soon');
SHOW timezone;
SHOW datestyle;
RESET datestyle;
RESET timezone;

-- a condition knows the row alone; what is NULL in it is missing
SELECT workflow.detach('templates.event') > 0 AS detached;
SELECT workflow.attach('templates.event', 'templates: zone', condition => '$.flag') > 0 AS attached;
INSERT INTO templates.event VALUES (11, '2026-01-01', true), (12, '2026-01-01', false), (13, '2026-01-01', NULL);
SELECT business_key FROM workflow.instances WHERE process = 'templates: zone' AND business_key LIKE '1_' ORDER BY 1;
SELECT workflow.detach('templates.event') > 0 AS detached;
SELECT workflow.attach('templates.event', 'templates: zone', condition => '$reply.status == 200');
SELECT workflow.attach('templates.event', 'templates: zone', condition => '$.flag ?? true');
SELECT workflow.attach('templates.event', 'templates: zone', condition => '$.id + 1');
RESET client_min_messages;
BEGIN;
SELECT workflow.attach('templates.event', 'templates: zone', condition => '$.id ? (@ > 100)') > 0 AS attached;
ROLLBACK;

SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'templates: %' AND status IN ('active', 'failed');
SET client_min_messages = warning;
DROP SCHEMA templates CASCADE;
