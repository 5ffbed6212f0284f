-- Ended instances begin once more.

SELECT workflow.define('rerun: order', '{
  "data": { "n": 0 },
  "steps": [
    { "step": "pay", "set": { "n": "${$.n + 1}" }, "wait": true },
    { "step": "pack", "steps": [ { "step": "pick", "wait": true } ] },
    { "step": "ship", "wait": true, "end": true } ] }');

SELECT workflow.start('rerun: order', '{"x": 1}', 17) AS i \gset
-- it lives
\set VERBOSITY sqlstate
SELECT workflow.rerun(:i);
\set VERBOSITY default
SELECT workflow.complete(test.waits(:i));
SELECT workflow.cancel(:i);
-- as a new instance, with its key and its data at the end
SELECT workflow.rerun(:i) AS j \gset
SELECT test.at(:j);
SELECT i.version, i.business_key, i.status, i.data, i.rerun_of = :i AS of_it FROM workflow.instances i WHERE instance = :j;
SELECT status, data, rerun_of FROM workflow.instances WHERE instance = :i;
-- the key lives
SELECT workflow.rerun(:i) IS NULL AS lives;
SELECT workflow.cancel(:j);
-- from another step, with other data; the second run once more
SELECT workflow.rerun(:j, 'ship', '{"n": 7, "y": null}') AS k \gset
SELECT test.at(:k);
SELECT data, rerun_of = :j AS of_it FROM workflow.instances WHERE instance = :k;
SELECT workflow.complete(test.waits(:k));
SELECT test.went(:k), status, rerun_of = :j AS on_record FROM workflow.instances WHERE instance = :k;
SELECT call, instance = :j AS of_it, (arguments->'instance')::bigint = :k AS started, arguments - 'instance' AS arguments FROM workflow.audit WHERE call = 'rerun' AND instance = :j;

-- the latest version, or another one; one that is a scope as a whole
SELECT workflow.define('rerun: order', '{
  "timeout": "1 day", "catch": [ { "message": "rerun: stop", "next": "stop" } ],
  "steps": [
    { "step": "pay", "wait": true },
    { "step": "ship", "wait": true, "end": true },
    { "step": "stop", "end": true } ] }');
SELECT workflow.rerun(:k, 'ship') AS l \gset
SELECT test.at(:l), version, data FROM workflow.instances WHERE instance = :l;
SELECT workflow.complete(test.waits(:l));
SELECT workflow.rerun(:l, version => 1) AS m \gset
SELECT test.at(:m), version, data FROM workflow.instances WHERE instance = :m;
SELECT workflow.cancel(:m);

-- what cannot be
\set VERBOSITY terse
SELECT workflow.rerun(:m, 'stop');
SELECT workflow.rerun(:m, '(process)');
SELECT workflow.rerun(:m, 'pick', version => 1);
SELECT workflow.rerun(:m, 'shipp');
SELECT workflow.rerun(:m, version => 9);
SELECT workflow.rerun(:m, version => 0);
SELECT workflow.rerun(:m, data => '[]');
SELECT workflow.rerun(NULL);
SELECT workflow.rerun(9223372036854775807);
\set VERBOSITY default

-- without a key as often as one likes; in bulk
SELECT workflow.define('rerun: many', '{ "steps": [ { "step": "a", "wait": true, "end": true } ] }');
SELECT count(workflow.start('rerun: many', jsonb_build_object('i', i))) FROM generate_series(1, 50) i;
SELECT count(workflow.complete(serial_number)) FROM workflow.waiting WHERE process = 'rerun: many';
SELECT count(workflow.rerun(instance)) FROM workflow.instances WHERE process = 'rerun: many' AND data->>'i' < '3';
SELECT count(*), count(DISTINCT rerun_of), min(status) FROM workflow.instances WHERE process = 'rerun: many' AND rerun_of IS NOT NULL;
SELECT workflow.rerun(min(instance)) IS NOT NULL FROM workflow.instances WHERE process = 'rerun: many' AND rerun_of IS NULL;

-- an attached row: the same row shows the new instance
CREATE TABLE rerun_orders (id bigint PRIMARY KEY, sn text, state text);
SELECT workflow.define('rerun: row', '{ "steps": [ { "step": "a", "wait": true, "end": true } ] }');
SELECT workflow.attach('rerun_orders', 'rerun: row', serial_column => 'sn', status_column => 'state') > 0 AS attached;
INSERT INTO rerun_orders VALUES (1) RETURNING sn AS sn \gset
SELECT workflow.complete(:'sn');
CALL test.until('SELECT state = ''completed'' FROM rerun_orders');
SELECT workflow.rerun(split_part(:'sn', '_', 1)::bigint) AS n \gset
CALL test.until('SELECT state = ''active'' AND sn IS NOT NULL FROM rerun_orders');
SELECT test.waits(:n) = sn AS shown, state FROM rerun_orders;
SELECT workflow.rerun(split_part(:'sn', '_', 1)::bigint) IS NULL AS lives;

-- suspended with its process; not once that is undefined, or the instance erased
SELECT workflow.cancel(:n);
SELECT workflow.suspend_process('rerun: row');
SELECT workflow.rerun(:n) AS s \gset
SELECT status FROM workflow.instances WHERE instance = :s;
SELECT workflow.resume_process('rerun: row');
SELECT workflow.cancel(instance) FROM workflow.instances WHERE process = 'rerun: row' AND ended_at IS NULL;
SELECT workflow.detach('rerun_orders', 'rerun: row');
SELECT workflow.undefine('rerun: row');
\set VERBOSITY sqlstate
SELECT workflow.rerun(:n);
SELECT workflow.erase(:n);
SELECT workflow.rerun(:n);
\set VERBOSITY default

-- who may do so
CREATE ROLE rerun_admin;
CREATE ROLE rerun_start;
CREATE ROLE rerun_none;
GRANT USAGE ON SCHEMA workflow TO rerun_admin, rerun_start, rerun_none;
SELECT workflow.grant_process('rerun: order', 'rerun_admin', 'admin'), workflow.grant_process('rerun: order', 'rerun_start', 'start');
\set VERBOSITY sqlstate
SET ROLE rerun_start;
SELECT workflow.rerun(:k);
SET ROLE rerun_none;
SELECT workflow.rerun(:k) IS NULL;
SET ROLE rerun_admin;
SELECT workflow.rerun(:k) IS NOT NULL AS may;
RESET ROLE;
\set VERBOSITY default
SELECT count(workflow.undefine(p, force => true)) FROM unnest(ARRAY['rerun: order', 'rerun: many']) p;
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'rerun: %' AND ended_at IS NULL;
DROP TABLE rerun_orders;
SELECT workflow.revoke_process('rerun: order', 'rerun_admin', 'admin'), workflow.revoke_process('rerun: order', 'rerun_start', 'start');
DROP OWNED BY rerun_admin, rerun_start, rerun_none;
DROP ROLE rerun_admin, rerun_start, rerun_none;
