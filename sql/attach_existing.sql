-- Rows that were there before their table was attached; tables that are detached and attached again.

CREATE SCHEMA attach_existing;
SET search_path = attach_existing;
SELECT workflow.define('existing', '{"steps": [{"step": "a", "wait": true}]}');
-- keys of instances that live, and of those that have ended
CREATE FUNCTION keys(process text) RETURNS text LANGUAGE sql AS
    $$SELECT string_agg(business_key || CASE status WHEN 'active' THEN '' ELSE ' ' || status END, ', ' ORDER BY business_key, instance) FROM workflow.instances i WHERE i.process = keys.process$$;
CREATE FUNCTION finish(process text, VARIADIC keys text[]) RETURNS bigint LANGUAGE sql AS
    $$SELECT count(*) FILTER (WHERE workflow.complete(serial_number)) FROM workflow.waiting w JOIN workflow.instances i USING (instance)
      WHERE w.process = finish.process AND business_key = ANY (keys)$$;

-- without it they are left alone
CREATE TABLE t (id int PRIMARY KEY, amount int, sn text, state text, inst bigint);
INSERT INTO t VALUES (1, 1), (2, 20), (4, NULL), (5, 50);
INSERT INTO t VALUES (3, 30, '1_1', 'mine', 17);
BEGIN;
SELECT workflow.attach('t', 'existing') > 0 AS attached;
SELECT keys('existing');
ROLLBACK;
-- with it they start, as far as the condition holds; what stands in the columns is none of ours
SELECT workflow.attach('t', 'existing', 'sn', status_column => 'state', instance_column => 'inst', condition => '$.amount > 10', existing => true) > 0 AS attached;
SELECT keys('existing');
SELECT data FROM workflow.instances WHERE process = 'existing' AND business_key = '3';
CALL test.until($$SELECT count(*) = 3 FROM t JOIN workflow.waiting w ON w.serial_number = t.sn AND w.instance = t.inst WHERE t.state = 'active'$$);
SELECT id, sn IS NULL AS no_number, state, inst IS NULL AS no_instance FROM t ORDER BY id;
-- rows that come are as ever
INSERT INTO t VALUES (6, 60), (7, 7) RETURNING id, state;
SELECT keys('existing');

-- once more: nothing has an instance twice, whether it lives or has ended
SELECT finish('existing', '2', '6');
CALL test.until($$SELECT count(*) = 2 FROM t WHERE state = 'completed'$$);
SELECT workflow.detach('t');
SELECT * FROM workflow.attachments WHERE relation = 't'::regclass;
INSERT INTO t VALUES (8, 80), (9, 9);
SELECT workflow.attach('t', 'existing', existing => true, condition => '$.amount > 10') > 0 AS attached;
SELECT keys('existing');
-- what strays has ended as well
BEGIN;
SELECT workflow.detach('t');
WITH i AS (DELETE FROM workflow_data.instance_history WHERE business_key = '2' AND process_id = (SELECT process_id FROM workflow_data.process WHERE process = 'existing') RETURNING *)
INSERT INTO workflow_data.instance_stray SELECT * FROM i;
SELECT workflow.attach('t', 'existing', existing => true) > 0 AS attached;
SELECT keys('existing');
ROLLBACK;
-- and what was erased has had none
SELECT workflow.erase(instance) FROM workflow.instances WHERE process = 'existing' AND business_key = '2';
SELECT workflow.detach('t');
SELECT workflow.attach('t', 'existing', existing => true, condition => '$.amount > 10') > 0 AS attached;
SELECT keys('existing');
-- one that is attached is not attached again
SELECT workflow.attach('t', 'existing', existing => true);

-- attached again, its living instances are its own: no key has two, and new columns show what is true by now
SELECT workflow.detach('t');
SELECT finish('existing', '3');
ALTER TABLE t ADD COLUMN number text, ADD COLUMN condition text;
SELECT workflow.attach('t', 'existing', 'number', status_column => 'condition') > 0 AS attached;
CALL test.until($$SELECT string_agg(id || ' ' || condition, ', ' ORDER BY id) = '2 active, 3 completed, 5 active, 6 completed, 8 active' FROM t$$);
SELECT t.id, w.process FROM t LEFT JOIN workflow.waiting w ON w.serial_number = t.number WHERE t.condition IS NOT NULL ORDER BY t.id;
SELECT id, state FROM t WHERE sn IS NOT NULL AND id = 3;
DELETE FROM t WHERE id = 5;
INSERT INTO t (id, amount) VALUES (5, 51);
SELECT keys('existing');
CALL test.until($$SELECT number IS NOT NULL FROM t WHERE id = 5$$);
-- moves are shown in these columns
SELECT finish('existing', '5');
CALL test.until($$SELECT condition = 'completed' AND number IS NULL AND state IS NULL FROM t WHERE id = 5$$);
-- of another process it is another attachment
SELECT workflow.define('existing: other', '{"steps": [{"step": "a", "wait": true}]}');
SELECT workflow.attach('t', 'existing: other', 'sn', existing => true, condition => '$.id < 4') > 0 AS attached;
SELECT keys('existing: other');
-- what another table starts under the same key, and what workflow.start does, is none of its
CREATE TABLE other (id int PRIMARY KEY);
INSERT INTO other VALUES (1), (9);
SELECT workflow.start('existing: other', business_key => 9) > 0 AS started;
SELECT workflow.attach('other', 'existing: other', existing => true) > 0 AS attached;
SELECT keys('existing: other');

-- rows of this transaction count, and those that its snapshot does not see; a rollback takes all back
CREATE TABLE fresh (id int PRIMARY KEY);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM fresh;
INSERT INTO fresh VALUES (101), (102);
SAVEPOINT s;
SELECT workflow.attach('fresh', 'existing: other', existing => true) > 0 AS attached;
SELECT count(*) FROM workflow.instances WHERE process = 'existing: other' AND business_key::int > 100;
ROLLBACK TO s;
COMMIT;
SELECT count(*) FROM workflow.instances WHERE process = 'existing: other' AND business_key::int > 100;
SELECT workflow.attach('fresh', 'existing: other', existing => true) > 0 AS attached;
SELECT count(*) FROM workflow.instances WHERE process = 'existing: other' AND business_key::int > 100;
-- more than a batch, of rows with long values
CREATE TABLE large (id int PRIMARY KEY, v text);
INSERT INTO large SELECT g, CASE WHEN g % 100 = 0 THEN repeat(md5(g::text), 3000) ELSE 'v' END FROM generate_series(1001, 6000) g;
DELETE FROM large WHERE id = 1500;
SELECT workflow.attach('large', 'existing: other', existing => true) > 0 AS attached;
SELECT count(*), count(DISTINCT business_key), sum(length(data->>'v')) FROM workflow.instances WHERE process = 'existing: other' AND business_key::int > 1000;
SELECT workflow.detach('large');
SELECT finish('existing: other', '1001');
SELECT workflow.attach('large', 'existing: other', existing => true) > 0 AS attached;
-- partitions, the order of whose columns is another one; a child is a table of its own
CREATE TABLE parts (region text, id int, v int, sn text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE parts_north PARTITION OF parts FOR VALUES IN ('north');
CREATE TABLE parts_south (sn text, gone int, id int NOT NULL, v int, region text NOT NULL);
ALTER TABLE parts_south DROP COLUMN gone;
ALTER TABLE parts ATTACH PARTITION parts_south FOR VALUES IN ('south');
INSERT INTO parts VALUES ('north', 1, 10), ('south', 1, 20), ('south', 2, 30);
SELECT workflow.define('existing: parts', '{"steps": [{"step": "a", "wait": true}]}');
SELECT workflow.attach('parts', 'existing: parts', 'sn', existing => true) > 0 AS attached;
SELECT business_key, data->'v' AS v FROM workflow.instances WHERE process = 'existing: parts' ORDER BY 1;
CALL test.until($$SELECT count(*) = 3 FROM parts JOIN workflow.waiting w ON w.serial_number = sn$$);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (2);
BEGIN;
SELECT workflow.attach('parent', 'existing: parts', existing => true) > 0 AS attached;
ROLLBACK;
-- policies hide no row from it, and a condition without an answer is an error
ALTER TABLE parent ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE ROLE regress_existing;
GRANT USAGE ON SCHEMA workflow TO regress_existing;
GRANT ALL ON SCHEMA attach_existing TO regress_existing;
GRANT EXECUTE ON FUNCTION workflow.attach, workflow.detach TO regress_existing;
ALTER TABLE parent OWNER TO regress_existing;
SET ROLE regress_existing;
SELECT workflow.attach('parent', 'existing: parts', existing => true);
RESET ROLE;
SELECT workflow.grant_process('existing: parts', 'regress_existing', 'start');
SET ROLE regress_existing;
SELECT count(*) FROM parent;
SELECT workflow.attach('parent', 'existing: parts', existing => true, condition => '$.id < "a"');
SELECT workflow.attach('parent', 'existing: parts', existing => true) > 0 AS attached;
SELECT workflow.attach('t', 'existing: parts', existing => true);
RESET ROLE;

SELECT count(*) FROM workflow.audit WHERE process = 'existing: parts' AND arguments->>'relation' = 'attach_existing.parent' AND arguments->>'existing' = 'true';
SET client_min_messages = warning;
DROP SCHEMA attach_existing CASCADE;
SELECT count(workflow.cancel(instance)) > 0 AS cancelled FROM workflow.instances WHERE process LIKE 'existing%' AND status = 'active';
DROP OWNED BY regress_existing;
DROP ROLE regress_existing;
