-- What becomes of the instances of rows that are deleted: on_delete.

CREATE SCHEMA on_delete;
SET search_path = on_delete;
CREATE FUNCTION status(process text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(business_key || ' ' || status, ', ' ORDER BY business_key COLLATE "C", instance) FROM workflow.instances i WHERE i.process = status.process $$;
CREATE FUNCTION idle() RETURNS boolean LANGUAGE sql AS 'SELECT NOT EXISTS (SELECT FROM workflow_data.delivery WHERE kind IN (''row'', ''write_back''))';

SELECT workflow.define('on_delete', '{"steps": [{"step": "ask", "wait": true}]}');
CREATE TABLE orders (id int PRIMARY KEY, amount int, state text);
SELECT workflow.attach('orders', 'on_delete', status_column => 'state', on_delete => 'cancel') > 0 AS attached;
SELECT relation, on_update, on_delete FROM workflow.attachments WHERE process = 'on_delete';
SELECT tgname FROM pg_trigger WHERE tgrelid = 'orders'::regclass AND NOT tgisinternal ORDER BY 1;
INSERT INTO orders SELECT g, g FROM generate_series(1, 9) g;

-- in the same transaction, with its reason
BEGIN;
DELETE FROM orders WHERE id = 1;
SELECT status, error FROM workflow.instances WHERE process = 'on_delete' AND business_key = '1';
ROLLBACK;
SELECT status('on_delete');
DELETE FROM orders WHERE id <= 2;
SELECT status('on_delete');
SELECT status, error FROM workflow.instances WHERE process = 'on_delete' AND business_key = '1';
-- an UPDATE of the key, or of anything else, deletes nothing
UPDATE orders SET id = 30 WHERE id = 3;
UPDATE orders SET amount = 0 WHERE id = 4;
SELECT status('on_delete');
UPDATE orders SET id = 3 WHERE id = 30;
-- what is still there, or there again when the statement is done, was not deleted
WITH d AS (DELETE FROM orders WHERE id = 4 RETURNING *) INSERT INTO orders (id, amount) SELECT id, 40 FROM d;
SELECT status('on_delete') LIKE '%4 active%' AS is_there;
WITH d AS (DELETE FROM orders WHERE id = 4 RETURNING *) SELECT count(*) FROM d;
SELECT status('on_delete');
-- deleted and inserted again: a new row, and another instance
BEGIN;
DELETE FROM orders WHERE id = 5;
INSERT INTO orders (id, amount) VALUES (5, 50);
COMMIT;
SELECT status('on_delete');
-- a savepoint that is rolled back
BEGIN;
SAVEPOINT s;
DELETE FROM orders WHERE id = 6;
ROLLBACK TO s;
COMMIT;
SELECT status('on_delete');
-- MERGE; foreign keys that pass it on
CREATE TABLE customers (id int PRIMARY KEY);
INSERT INTO customers VALUES (6), (7);
ALTER TABLE orders ADD COLUMN customer int REFERENCES customers ON DELETE CASCADE;
UPDATE orders SET customer = id WHERE id IN (6, 7);
DELETE FROM customers WHERE id = 6;
MERGE INTO orders o USING (VALUES (7)) m (id) ON o.id = m.id WHEN MATCHED THEN DELETE;
SELECT status('on_delete');
-- a disabled trigger, and one of a replica
ALTER TABLE orders DISABLE TRIGGER workflow_delete;
DELETE FROM orders WHERE id = 8;
ALTER TABLE orders ENABLE TRIGGER workflow_delete;
SET session_replication_role = replica;
DELETE FROM orders WHERE id = 9;
RESET session_replication_role;
SELECT status('on_delete');

-- a step that does not end at once: the row is there again, and shows the instance that is being cancelled
SELECT workflow.define('on_delete: slow', '{"steps": [{"step": "ask", "wait": true, "catch": [{"on": "CANCELLED", "next": "tidy"}]},
    {"step": "tidy", "wait": true, "ignore_cancel": true}]}');
CREATE TABLE slow (id int PRIMARY KEY, sn text, state text);
SELECT workflow.attach('slow', 'on_delete: slow', 'sn', status_column => 'state', on_delete => 'cancel') > 0 AS attached;
INSERT INTO slow VALUES (1);
BEGIN;
DELETE FROM slow;
INSERT INTO slow VALUES (1);
COMMIT;
CALL test.until('SELECT idle()');
SELECT test.shows(sn), state FROM slow;
SELECT workflow.complete(sn) FROM slow;
CALL test.until('SELECT idle()');
SELECT state FROM slow;
SELECT status('on_delete: slow');

-- TRUNCATE
CREATE TABLE truncated (id int PRIMARY KEY, state text);
SELECT workflow.define('on_delete: truncated', '{"steps": [{"step": "ask", "wait": true}]}');
SELECT workflow.attach('truncated', 'on_delete: truncated', status_column => 'state', on_delete => 'cancel') > 0 AS attached;
INSERT INTO truncated SELECT g FROM generate_series(1, 4500) g;
BEGIN;
TRUNCATE truncated;
SELECT status, count(*) FROM workflow.instances WHERE process = 'on_delete: truncated' GROUP BY 1;
ROLLBACK;
-- what a trigger puts back is there
CREATE FUNCTION put_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO on_delete.truncated VALUES (7), (4501); RETURN NULL; END $$;
CREATE TRIGGER a AFTER TRUNCATE ON truncated FOR EACH STATEMENT EXECUTE FUNCTION put_back();
TRUNCATE truncated;
SELECT status, count(*) FROM workflow.instances WHERE process = 'on_delete: truncated' GROUP BY 1 ORDER BY 1;
SELECT business_key FROM workflow.instances WHERE process = 'on_delete: truncated' AND status = 'active' ORDER BY 1;

-- partitions: a row that moves is not deleted
CREATE TABLE parted (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parted_n PARTITION OF parted FOR VALUES IN ('n');
CREATE TABLE parted_s PARTITION OF parted FOR VALUES IN ('s');
SELECT workflow.define('on_delete: parted', '{"steps": [{"step": "ask", "wait": true}]}');
SELECT workflow.attach('parted', 'on_delete: parted', on_delete => 'cancel') > 0 AS attached;
INSERT INTO parted VALUES (1, 'n'), (2, 'n'), (3, 's'), (4, 's');
UPDATE parted SET region = 's' WHERE id = 1;
DELETE FROM parted WHERE id = 2;
DELETE FROM parted_s WHERE id = 3;
SELECT status('on_delete: parted');
-- so is one of a partition that is detached, or truncated by itself
ALTER TABLE parted DETACH PARTITION parted_s;
SELECT status('on_delete: parted');
ALTER TABLE parted ATTACH PARTITION parted_s FOR VALUES IN ('s');
DELETE FROM parted WHERE id = 4;
TRUNCATE parted;
SELECT status('on_delete: parted');

-- keys of all kinds
CREATE DOMAIN code AS text CHECK (value <> '');
CREATE TABLE keyed (a code, b timestamptz, c numeric, PRIMARY KEY (a, b, c));
SELECT workflow.attach('keyed', 'on_delete', on_delete => 'cancel') > 0 AS attached;
SET TimeZone = 'Asia/Tokyo';
INSERT INTO keyed VALUES ('x "1"', '2026-01-01 00:00+00', 1.50);
SET TimeZone = 'UTC';
SET DateStyle = 'German';
DELETE FROM keyed;
RESET DateStyle;
RESET TimeZone;
SELECT business_key, status FROM workflow.instances WHERE business_key LIKE '[%x%' AND process = 'on_delete';

-- the rows of a table whose policies hide them
CREATE ROLE on_delete_shop;
CREATE ROLE on_delete_clerk;
GRANT USAGE ON SCHEMA on_delete TO on_delete_shop, on_delete_clerk;
CREATE TABLE theirs (id int PRIMARY KEY);
ALTER TABLE theirs OWNER TO on_delete_shop;
GRANT ALL ON theirs TO on_delete_clerk;
SELECT workflow.define('on_delete: theirs', '{"steps": [{"step": "one", "wait": true}]}');
SELECT workflow.grant_process('on_delete: theirs', 'on_delete_shop', 'start');
SELECT workflow.attach('theirs', 'on_delete: theirs', on_delete => 'cancel') > 0 AS attached;
INSERT INTO theirs VALUES (1), (2);
ALTER TABLE theirs ENABLE ROW LEVEL SECURITY;
ALTER TABLE theirs FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON theirs TO on_delete_clerk USING (true);
SET ROLE on_delete_clerk;
WITH d AS (DELETE FROM theirs WHERE id = 1 RETURNING *) INSERT INTO theirs SELECT * FROM d;
DELETE FROM theirs WHERE id = 2;
RESET ROLE;
SELECT status('on_delete: theirs');

DROP TABLE orders, customers, slow, truncated, parted, keyed, theirs;
DROP SCHEMA on_delete CASCADE;
DROP ROLE on_delete_clerk, on_delete_shop;
