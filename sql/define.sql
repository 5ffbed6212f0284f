-- Defining processes: versions, what a version keeps, undefining.

SELECT workflow.define('define: a', '{"steps": [{"step": "one", "wait": true}]}');
-- the same again, whatever the blanks and the order of keys
SELECT workflow.define('define: a', '{ "steps" : [ { "wait" : true, "step" : "one" } ] }');
-- another
SELECT workflow.define('define: a', '{"steps": [{"step": "one", "wait": true}, {"step": "two", "wait": true}]}');
-- only the latest counts as the same
SELECT workflow.define(name => 'define: a', definition => '{"steps": [{"step": "one", "wait": true}]}');
SELECT process, version, definition, latest FROM workflow.processes WHERE process = 'define: a' ORDER BY version;

-- SQL is read under the author's search_path, clocks in the author's time zone: other ones make another version
SET timezone = 'Asia/Tokyo';
SELECT workflow.define('define: a', '{"steps": [{"step": "one", "wait": true}]}');
RESET timezone;
SET search_path = pg_catalog;
SELECT workflow.define('define: a', '{"steps": [{"step": "one", "wait": true}]}');
RESET search_path;

-- a rollback takes it back
BEGIN;
SELECT workflow.define('define: a', '{"steps": [{"step": "gone", "wait": true}]}');
SELECT workflow.start('define: a') IS NOT NULL AS started;
SELECT step FROM workflow.waiting WHERE process = 'define: a';
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT workflow.define('define: new', '{"steps": [{"step": "gone", "wait": true}]}');
ROLLBACK TO s;
SELECT workflow.define('define: new', '{"steps": [{"step": "kept", "wait": true}]}');
COMMIT;
SELECT definition FROM workflow.processes WHERE process = 'define: new';
SELECT workflow.start('define: new') IS NOT NULL AS started;
SELECT step FROM workflow.waiting WHERE process = 'define: new';

-- instances stay with their version
SELECT workflow.define('define: new', '{"steps": [{"step": "newer", "wait": true}]}');
SELECT workflow.start('define: new', version => 1) IS NOT NULL AS started;
SELECT workflow.start('define: new') IS NOT NULL AS started;
SELECT i.version, w.step, count(*) FROM workflow.instances i JOIN workflow.waiting w USING (instance)
WHERE i.process = 'define: new' GROUP BY 1, 2 ORDER BY 1, 2;

-- names
SELECT workflow.define(NULL, '{"steps": [{"step": "one", "wait": true}]}');
SELECT workflow.define('define: a', NULL);
SELECT workflow.define('  ', '{"steps": [{"step": "one", "wait": true}]}');
SELECT workflow.define(repeat('é', 200), '{"steps": [{"step": "one", "wait": true}]}');
SELECT workflow.define(repeat('é', 201), '{"steps": [{"step": "one", "wait": true}]}');

-- undefine: no new instances, the living go on
SELECT workflow.undefine('define: new', force => true);
SELECT workflow.undefine('define: new', force => true);
SELECT workflow.start('define: new');
SELECT version, latest FROM workflow.processes WHERE process = 'define: new' ORDER BY version;
SELECT count(workflow.complete(serial_number)) FROM workflow.waiting WHERE process = 'define: new';
SELECT version, status, count(*) FROM workflow.instances WHERE process = 'define: new' GROUP BY 1, 2 ORDER BY 1, 2;
-- what is defined again is the version that it was
SELECT workflow.define('define: new', '{"steps": [{"step": "newer", "wait": true}]}');
SELECT version, latest FROM workflow.processes WHERE process = 'define: new' ORDER BY version;
SELECT workflow.undefine('define: nobody');
SELECT workflow.undefine(NULL);

-- in a read-only transaction
BEGIN READ ONLY;
SELECT workflow.define('define: a', '{"steps": [{"step": "one", "wait": true}]}');
ROLLBACK;
