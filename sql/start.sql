-- Starting instances: data, business keys, versions.

SELECT workflow.define('start: order', '{
  "data": { "currency": "EUR", "amount": 0 },
  "steps": [ { "step": "pay", "wait": true, "save": true } ]}');

SELECT workflow.start('start: order') IS NOT NULL AS started;
SELECT workflow.start('start: order', '{"amount": 120}') IS NOT NULL AS started;
SELECT workflow.start(process => 'start: order', data => NULL) IS NOT NULL AS started;
SELECT version, business_key, status, data, ended_at, error FROM workflow.instances
WHERE process = 'start: order' ORDER BY instance;
SELECT step, state, attempt, due_at, deadline FROM workflow.visits WHERE process = 'start: order' ORDER BY instance;
SELECT w.serial_number = w.instance || '_' || split_part(w.serial_number, '_', 2) AS is_so, w.waits_for,
       w.since = i.started_at AS since_start
FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE w.process = 'start: order' LIMIT 1;

-- a key belongs to one living instance
SELECT workflow.start('start: order', business_key => 'A-17') AS keyed \gset
SELECT workflow.start('start: order', business_key => 'A-18') IS NOT NULL AS started;
\set VERBOSITY sqlstate
SELECT workflow.start('start: order', business_key => 'A-17');
\set VERBOSITY terse
SELECT workflow.start('start: order', business_key => 'A-17');
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :keyed;
SELECT workflow.start('start: order', business_key => 'A-17') IS NOT NULL AS started;
\set VERBOSITY default
-- of another process it may be the same
SELECT workflow.define('start: other', '{"steps": [{"step": "pay", "wait": true}]}');
SELECT workflow.start('start: other', business_key => 'A-17') IS NOT NULL AS started;
SELECT workflow.start('start: other', business_key => repeat('x', 2001));
-- it may be of any type, and is the same text whatever the settings are
BEGIN;
SET LOCAL datestyle = 'German, DMY';
SET LOCAL timezone = 'Asia/Tokyo';
SET LOCAL intervalstyle = 'iso_8601';
SET LOCAL extra_float_digits = -3;
SET LOCAL bytea_output = 'escape';
CREATE DOMAIN folio AS integer CHECK (value > 0);
CREATE TYPE part AS ENUM ('front', 'back');
CREATE FUNCTION key_of(instance bigint) RETURNS text LANGUAGE sql AS
    'SELECT business_key FROM workflow.instances i WHERE i.instance = key_of.instance';
SELECT key_of(workflow.start('start: other', business_key => 17)) AS integer, key_of(workflow.start('start: other', '{}', 18::bigint)) AS bigint,
       key_of(workflow.start('start: other', business_key => 1.50)) AS numeric, key_of(workflow.start('start: other', business_key => 0.1::float8)) AS float8,
       key_of(workflow.start('start: other', business_key => '3d5bf8d7-64b2-4e0e-8d70-e4b0d2d2a52f'::uuid)) AS uuid,
       key_of(workflow.start('start: other', business_key => 19::folio)) AS domain, key_of(workflow.start('start: other', business_key => 'back'::part)) AS enum;
SELECT key_of(workflow.start('start: other', business_key => date '2026-03-01')) AS date, key_of(workflow.start('start: other', business_key => timestamptz '2026-03-01 09:00+09')) AS timestamptz,
       key_of(workflow.start('start: other', business_key => interval '1 day 2 h')) AS interval, key_of(workflow.start('start: other', business_key => '\x00ff'::bytea)) AS bytea;
SELECT key_of(workflow.start('start: other', business_key => 'v'::varchar(4))) AS varchar, key_of(workflow.start('start: other', business_key => 'c'::char(4))) AS char,
       key_of(workflow.start('start: other', business_key => 'n'::name)) AS name, key_of(workflow.start('start: other', business_key => '"j"'::jsonb)) AS jsonb,
       key_of(workflow.start('start: other', business_key => '{1,2}'::int[])) AS array, key_of(workflow.start('start: other', business_key => (1, 'a b'))) AS record;
SELECT key_of(workflow.start('start: other', '{}', 'literal')) AS literal, key_of(workflow.start('start: other', business_key => NULL)) IS NULL AS nothing,
       key_of(workflow.start('start: other', business_key => NULL::uuid)) IS NULL AS no_uuid, key_of(workflow.start('start: other', '{}', NULL, 1)) IS NULL AS positions;
PREPARE untyped AS SELECT key_of(workflow.start('start: other', business_key => $1));
EXECUTE untyped('prepared');
PREPARE typed(bigint) AS SELECT key_of(workflow.start('start: other', business_key => $1));
EXECUTE typed(20);
DO $$ DECLARE id bigint := 22; BEGIN PERFORM workflow.start('start: other', business_key => id); END $$;
SELECT count(*) FROM workflow.instances WHERE process = 'start: other' AND business_key = '22';
\set VERBOSITY terse
SAVEPOINT s;
SELECT workflow.start('start: other', business_key => 22);
ROLLBACK TO s;
SELECT workflow.start('start: other', business_key => repeat('x', 2001)::varchar);
ROLLBACK;
\set VERBOSITY default
\df workflow.start

-- what cannot be
SELECT workflow.start(NULL);
SELECT workflow.start('start: nobody');
SELECT workflow.start('start: order', '[1]');
SELECT workflow.start('start: order', '"text"');
SELECT workflow.start('start: order', version => 0);
SELECT workflow.start('start: order', version => 99);

-- one that needs nobody ends at once
SELECT workflow.define('start: quick', '{
  "steps": [
    { "step": "count", "set": { "n": "${$.n + 1}" },
      "choose": [ { "when": "$.n < 3", "next": "count" }, { "next": "done" } ] },
    { "step": "done", "set": { "label": "n=${$.n}" }, "end": true } ]}');
SELECT workflow.start('start: quick', '{"n": 0}') AS quick \gset
SELECT status, data, ended_at IS NOT NULL AS ended FROM workflow.instances WHERE instance = :quick;
SELECT step, outcome, attempts FROM workflow.history WHERE instance = :quick
ORDER BY split_part(serial_number, '_', 2)::bigint;

-- ends that the process chooses
SELECT workflow.define('start: ends', '{
  "steps": [
    { "step": "which", "choose": [ { "when": "$.how == \"error\"", "next": "error" }, { "next": "abort" } ] },
    { "step": "error", "end": { "error": "NO_STOCK", "message": "none of ${$.what}" } },
    { "step": "abort", "end": { "abort": "not wanted" } } ]}');
SELECT workflow.start('start: ends', '{"how": "error", "what": "tea"}') AS error, workflow.start('start: ends') AS abort \gset
SELECT status, error FROM workflow.instances WHERE instance = :error;
SELECT status, error FROM workflow.instances WHERE instance = :abort;

-- many at once
SELECT count(DISTINCT workflow.start('start: other', jsonb_build_object('n', n), 'B-' || n)) FROM generate_series(1, 1000) n;
SELECT count(*), count(DISTINCT serial_number) FROM workflow.waiting w JOIN workflow.instances i USING (instance)
WHERE w.process = 'start: other' AND i.business_key LIKE 'B-%';

-- a rollback takes it back
BEGIN;
SELECT workflow.start('start: other', business_key => 'C-1') IS NOT NULL AS started;
SAVEPOINT s;
SELECT workflow.start('start: other', business_key => 'C-2') IS NOT NULL AS started;
ROLLBACK TO s;
SELECT business_key FROM workflow.instances WHERE business_key LIKE 'C-_';
ROLLBACK;
SELECT business_key FROM workflow.instances WHERE business_key LIKE 'C-_';
BEGIN READ ONLY;
SELECT workflow.start('start: other');
ROLLBACK;
