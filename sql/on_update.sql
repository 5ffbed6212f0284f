-- What becomes of rows of attached tables: on_update.

CREATE SCHEMA on_update;
SET search_path = on_update;
CREATE FUNCTION data(key text, process text DEFAULT 'on_update') RETURNS jsonb LANGUAGE sql AS
    'SELECT data FROM workflow.instances i WHERE i.process = data.process AND business_key = key ORDER BY instance DESC LIMIT 1';
CREATE FUNCTION idle() RETURNS boolean LANGUAGE sql AS 'SELECT NOT EXISTS (SELECT FROM workflow_data.delivery WHERE kind IN (''row'', ''write_back''))';

SELECT workflow.define('on_update', '{"steps": [
    {"step": "ask", "wait": true, "save": true},
    {"step": "large", "wait": {"condition": "$.amount >= 100"}, "save": {"seen": "${$.amount}"}},
    {"step": "rest", "wait": true}]}');
CREATE TABLE orders (id int PRIMARY KEY, amount numeric, note text, at timestamptz, tags text[], doc jsonb, gone int,
    twice numeric GENERATED ALWAYS AS (amount * 2) STORED, sn text, state text, receipt text);
ALTER TABLE orders DROP COLUMN gone;
SELECT workflow.attach('orders', 'on_update', 'sn', status_column => 'state', result_columns => '{"receipt": "$.receipt"}',
    on_update => 'set_data') > 0 AS attached;
SELECT relation, result_columns, on_update, on_delete FROM workflow.attachments WHERE process = 'on_update';
SELECT arguments FROM workflow.audit WHERE process = 'on_update' AND call = 'attach';
SELECT tgname FROM pg_trigger WHERE tgrelid = 'orders'::regclass AND NOT tgisinternal ORDER BY 1;
INSERT INTO orders (id, amount, note) VALUES (1, 10, 'first'), (2, 20, 'second'), (3, 30, NULL);

-- columns that changed are merged, in this transaction, and no others
BEGIN;
UPDATE orders SET amount = 11, note = NULL WHERE id = 1;
SELECT data('1') - 'sn';
ROLLBACK;
SELECT data('1') ->> 'amount';
UPDATE orders SET at = '2026-01-02 03:04:05+00', tags = '{a,b}', doc = '{"a": [1]}' WHERE id = 1;
SELECT data('1') -> 'at' = to_jsonb('2026-01-02 03:04:05+00'::timestamptz), data('1') -> 'tags', data('1') -> 'doc', data('1') -> 'amount';
-- a row that is saved whole does not undo what the process has set
SELECT workflow.set_data(instance, '{"amount": 12, "note": "of the process", "receipt": "r1"}') FROM workflow.instances WHERE process = 'on_update' AND business_key = '1';
UPDATE orders SET id = 1, amount = 10, note = 'first', at = '2026-01-02 03:04:05+00', tags = '{a,b}', doc = '{"a": [1]}', sn = NULL, state = 'x', receipt = 'stale'
WHERE id = 1;
SELECT data('1') -> 'amount' AS amount, data('1') -> 'note' AS note, data('1') -> 'receipt' AS receipt;
UPDATE orders SET amount = 10, note = 'third' WHERE id = 1;
SELECT data('1') -> 'amount' AS amount, data('1') -> 'note' AS note, data('1') -> 'twice' AS twice;
UPDATE orders SET amount = 13 WHERE id = 1;
SELECT data('1') -> 'amount' AS amount, data('1') -> 'twice' AS twice;
-- a value of another scale is another one; one that is written anew is not
UPDATE orders SET amount = 13.0, tags = tags || '{}'::text[] WHERE id = 1;
SELECT data('1') -> 'amount' AS amount;
CALL test.until('SELECT idle()');
SELECT id, receipt, state FROM orders WHERE id = 1;

-- conditions are judged
SELECT workflow.complete(sn) FROM orders WHERE id <= 2 ORDER BY id;
SELECT step, waits_for FROM workflow.waiting WHERE process = 'on_update' AND instance IN (SELECT instance FROM workflow.instances WHERE business_key IN ('1', '2')) ORDER BY instance;
UPDATE orders SET amount = amount * 8 WHERE id <= 2;
SELECT business_key, step, data -> 'seen' AS seen FROM workflow.waiting JOIN workflow.instances i USING (instance)
WHERE i.process = 'on_update' AND business_key IN ('1', '2') ORDER BY 1;
-- what a step of the process does to its own row
CREATE TABLE own (id int PRIMARY KEY, amount int, note text, state text);
SELECT workflow.define('on_update: sql', '{"steps": [
    {"step": "note", "sql": "UPDATE on_update.own SET note = ''by the process'', amount = amount + 1 WHERE id = (visit.business_key)::int"},
    {"step": "more", "wait": true}]}');
SELECT workflow.attach('own', 'on_update: sql', status_column => 'state', on_update => 'set_data') > 0 AS attached;
INSERT INTO own VALUES (1, 1);
CALL test.until($$SELECT count(*) = 1 FROM workflow.waiting WHERE process = 'on_update: sql'$$);
CALL test.until('SELECT idle()');
SELECT data('1', 'on_update: sql'), (SELECT own FROM own);

-- every way of changing rows
INSERT INTO orders (id, amount) VALUES (3, 31), (4, 40) ON CONFLICT (id) DO UPDATE SET amount = excluded.amount;
SELECT data('3') -> 'amount' AS amount3, data('4') -> 'amount' AS amount4;
MERGE INTO orders o USING (VALUES (3, 32), (5, 50)) m (id, amount) ON o.id = m.id
    WHEN MATCHED THEN UPDATE SET amount = m.amount WHEN NOT MATCHED THEN INSERT (id, amount) VALUES (m.id, m.amount);
SELECT data('3') -> 'amount' AS amount3, data('5') -> 'amount' AS amount5;
WITH a AS (UPDATE orders SET note = 'a' WHERE id = 3 RETURNING id), b AS (UPDATE orders SET note = 'b' WHERE id = 4 RETURNING id)
SELECT count(*) FROM a, b;
SELECT data('3') -> 'note' AS note3, data('4') -> 'note' AS note4;
BEGIN;
INSERT INTO orders (id, amount) VALUES (6, 60);
UPDATE orders SET amount = 61 WHERE id = 6;
SAVEPOINT s;
UPDATE orders SET amount = 62 WHERE id = 6;
ROLLBACK TO s;
UPDATE orders SET note = 'six' WHERE id = 6;
COMMIT;
SELECT data('6') -> 'amount' AS amount, data('6') -> 'note' AS note;
-- triggers of the user: what comes out counts
CREATE FUNCTION upper_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.note := upper(new.note); RETURN new; END $$;
CREATE TRIGGER upper_note BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION upper_note();
UPDATE orders SET amount = 63 WHERE id = 6;
SELECT data('6') -> 'amount' AS amount, data('6') -> 'note' AS note;
CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER skip BEFORE UPDATE ON orders FOR EACH ROW WHEN (old.id = 5) EXECUTE FUNCTION skip();
UPDATE orders SET amount = 64 WHERE id IN (5, 6);
SELECT data('5') -> 'amount' AS amount5, data('6') -> 'amount' AS amount6;
DROP TRIGGER upper_note ON orders;
DROP TRIGGER skip ON orders;
-- a write-back never comes back, with whatever a trigger adds to it
CREATE FUNCTION count_shown() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.note := 'shown'; RETURN new; END $$;
CREATE TRIGGER count_shown BEFORE UPDATE ON orders FOR EACH ROW WHEN (old.sn IS DISTINCT FROM new.sn) EXECUTE FUNCTION count_shown();
SELECT workflow.complete(sn) FROM orders WHERE id = 3;
CALL test.until('SELECT idle()');
SELECT note, data('3') -> 'note' AS of_data FROM orders WHERE id = 3;
DROP TRIGGER count_shown ON orders;

-- toasted values: those that are not touched are not even read
CREATE TABLE large (id int PRIMARY KEY, doc text, n int);
SELECT workflow.attach('large', 'on_update', on_update => 'set_data') > 0 AS attached;
INSERT INTO large SELECT 1, string_agg(md5(g::text), ''), 1 FROM generate_series(1, 1000) g;
UPDATE large SET n = 2;
SELECT data - 'doc', length(data ->> 'doc') FROM workflow.instances WHERE process = 'on_update' AND data ? 'doc' AND data ? 'n';
UPDATE large SET doc = 'x' || doc;
SELECT length(data ->> 'doc') FROM workflow.instances WHERE process = 'on_update' AND data ? 'doc' AND data ? 'n';

-- the instance follows a row whose key is changed; others go on without a row
UPDATE orders SET id = 60, amount = 65 WHERE id = 6;
SELECT data('6') IS NULL AS none, data('60') -> 'amount' AS amount, data('60') -> 'id' AS id;
UPDATE orders SET amount = 66 WHERE id = 60;
SELECT data('60') -> 'amount' AS amount;
SELECT workflow.set_data(instance, '{"receipt": "r60"}') FROM workflow.instances WHERE process = 'on_update' AND business_key = '60';
CALL test.until($$SELECT receipt = 'r60' FROM orders WHERE id = 60$$);
CREATE TABLE keys (id int PRIMARY KEY DEFERRABLE, name text, sn text, state text);
SELECT workflow.attach('keys', 'on_update: keys', 'sn', status_column => 'state', on_update => 'set_data') > 0 AS attached
FROM workflow.define('on_update: keys', '{"steps": [{"step": "one", "wait": true}]}');
INSERT INTO keys SELECT i, 'name ' || i FROM generate_series(1, 5000) i;
UPDATE keys SET id = id + 1;
SELECT count(*), bool_and(business_key::int = (data ->> 'id')::int AND 'name ' || business_key::int - 1 = data ->> 'name') AS follow FROM workflow.instances WHERE process = 'on_update: keys';
UPDATE keys SET id = 5003 - id;
SELECT count(*), bool_and(business_key::int = (data ->> 'id')::int) AS follow FROM workflow.instances WHERE process = 'on_update: keys';
SELECT count(*) FROM keys k JOIN workflow.instances i ON i.instance::text = split_part(k.sn, '_', 1) AND i.business_key = k.id::text AND i.data ->> 'name' = k.name;
DELETE FROM keys WHERE id = 2;
UPDATE keys SET id = 2 WHERE id = 3;
SELECT business_key, data ->> 'name' AS name FROM workflow.instances WHERE process = 'on_update: keys' AND (business_key IS NULL OR business_key IN ('2', '3')) ORDER BY 1;
BEGIN;
UPDATE keys SET id = 3 WHERE id = 2;
ROLLBACK;
SELECT data ->> 'id' AS id FROM workflow.instances WHERE process = 'on_update: keys' AND business_key = '2';
-- suspended: it follows at once, what has changed beside is merged when it is resumed
SELECT workflow.suspend(instance) FROM workflow.instances WHERE process = 'on_update: keys' AND business_key = '2';
UPDATE keys SET id = 1, name = 'first' WHERE id = 2;
SELECT business_key, data ->> 'name' AS name, workflow.resume(instance) FROM workflow.instances WHERE process = 'on_update: keys' AND business_key = '1';
CALL test.until($$SELECT data ->> 'name' = 'first' FROM workflow.instances WHERE process = 'on_update: keys' AND business_key = '1'$$);
DROP TABLE keys;
UPDATE orders SET id = 6 WHERE id = 60;
-- renamed columns have their new names
ALTER TABLE orders RENAME COLUMN note TO remark;
UPDATE orders SET remark = 'renamed' WHERE id = 6;
SELECT data('6') -> 'note' AS note, data('6') -> 'remark' AS remark;
ALTER TABLE orders RENAME COLUMN sn TO serial;
UPDATE orders SET remark = 'still works' WHERE id = 6;
SELECT data('6') -> 'remark' AS remark;
ALTER TABLE orders RENAME COLUMN serial TO sn;
-- a disabled trigger, and one of a replica
ALTER TABLE orders DISABLE TRIGGER workflow_update;
UPDATE orders SET remark = 'unseen' WHERE id = 6;
ALTER TABLE orders ENABLE TRIGGER workflow_update;
SET session_replication_role = replica;
UPDATE orders SET remark = 'unseen, too' WHERE id = 6;
RESET session_replication_role;
SELECT data('6') -> 'remark' AS remark;

-- while the instance is suspended; ended ones; rows that have none
SELECT workflow.suspend(instance) FROM workflow.instances WHERE process = 'on_update' AND business_key = '6' AND data ? 'remark';
UPDATE orders SET amount = 67 WHERE id = 6;
SELECT data('6') -> 'amount' AS amount;
SELECT workflow.resume(instance) FROM workflow.instances WHERE process = 'on_update' AND business_key = '6' AND data ? 'remark';
SELECT workflow.cancel(instance) FROM workflow.instances WHERE process = 'on_update' AND business_key = '6' AND data ? 'remark';
UPDATE orders SET amount = 68 WHERE id = 6;
SELECT data('6') -> 'amount' AS amount;

-- whoever changes the row, with the right of the table's owner
CREATE ROLE on_update_shop;
CREATE ROLE on_update_clerk;
GRANT USAGE ON SCHEMA on_update TO on_update_shop, on_update_clerk;
CREATE TABLE theirs (id int PRIMARY KEY, amount int);
ALTER TABLE theirs OWNER TO on_update_shop;
GRANT SELECT, INSERT, UPDATE ON theirs TO on_update_clerk;
SELECT workflow.define('on_update: theirs', '{"steps": [{"step": "one", "wait": true}]}');
SELECT workflow.grant_process('on_update: theirs', 'on_update_shop', 'start');
SELECT workflow.attach('theirs', 'on_update: theirs', on_update => 'set_data') > 0 AS attached;
SET ROLE on_update_clerk;
INSERT INTO theirs VALUES (1, 1);
UPDATE theirs SET amount = 2;
RESET ROLE;
SELECT data('1', 'on_update: theirs');
-- with policies, also those that hide the row from its owner
ALTER TABLE theirs ENABLE ROW LEVEL SECURITY;
ALTER TABLE theirs FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON theirs TO on_update_clerk USING (true);
SET ROLE on_update_clerk;
UPDATE theirs SET amount = 3;
RESET ROLE;
SELECT data('1', 'on_update: theirs');
SELECT workflow.revoke_process('on_update: theirs', 'on_update_shop', 'start');
SET ROLE on_update_clerk;
UPDATE theirs SET amount = 4;
RESET ROLE;
SELECT amount FROM theirs;
SELECT workflow.grant_process('on_update: theirs', 'on_update_shop', 'start');

-- data that would be too large refuse the statement, and only that
CREATE TABLE fat (id int PRIMARY KEY, doc text, twice int GENERATED ALWAYS AS (length(doc)) STORED, sn text);
SELECT workflow.attach('fat', 'on_update: theirs', 'sn', on_update => 'set_data', on_delete => 'cancel') > 0 AS attached;
INSERT INTO fat (id, doc) VALUES (801, 'a'), (802, 'b');
\set VERBOSITY sqlstate
UPDATE fat SET doc = repeat('x', CASE id WHEN 802 THEN pg_size_bytes(current_setting('workflow.max_data')) + 1 ELSE 2 END::int);
UPDATE fat SET doc = repeat('x', pg_size_bytes(current_setting('workflow.max_data'))::int) WHERE id = 802;
\set VERBOSITY default
SELECT id, doc, data('' || id, 'on_update: theirs') - 'sn' AS data FROM fat ORDER BY 1;
-- stored columns that follow from others are merged with them
UPDATE fat SET doc = 'abc' WHERE id = 801;
SELECT data('801', 'on_update: theirs') - 'sn' AS data;
-- COPY over rows that were deleted in the same transaction; deferred constraints that fail, and that hold
BEGIN;
DELETE FROM fat WHERE id = 802;
COPY fat (id, doc) FROM stdin;
802	copied
803	copied
\.
UPDATE fat SET doc = 'changed' WHERE id = 803;
COMMIT;
SELECT business_key, status, data - 'sn' - 'id' AS data FROM workflow.instances WHERE process = 'on_update: theirs' AND business_key IN ('802', '803') ORDER BY instance;
CREATE TABLE parent_of (id int PRIMARY KEY);
ALTER TABLE fat ADD COLUMN of int REFERENCES parent_of DEFERRABLE INITIALLY DEFERRED;
BEGIN;
UPDATE fat SET of = 1, doc = 'never' WHERE id = 801;
DELETE FROM fat WHERE id = 803;
COMMIT;
SELECT id, doc, of, data('' || id, 'on_update: theirs') -> 'doc' AS of_data FROM fat ORDER BY 1;
BEGIN;
UPDATE fat SET of = 1, doc = 'at last' WHERE id = 801;
INSERT INTO parent_of VALUES (1);
COMMIT;
SELECT data('801', 'on_update: theirs') - 'sn' AS data;

-- partitions, inheritance
CREATE TABLE parted (id int, region text, amount int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parted_n PARTITION OF parted FOR VALUES IN ('n');
CREATE TABLE parted_s (amount int, id int NOT NULL, junk int, region text NOT NULL);
ALTER TABLE parted_s DROP COLUMN junk;
ALTER TABLE parted ATTACH PARTITION parted_s FOR VALUES IN ('s');
SELECT workflow.attach('parted', 'on_update', on_update => 'set_data', on_delete => 'cancel') > 0 AS attached;
INSERT INTO parted VALUES (1, 'n', 1), (2, 's', 2);
UPDATE parted SET amount = amount + 10;
UPDATE parted_s SET amount = amount + 100;
SELECT data('[1, "n"]'), data('[2, "s"]');
UPDATE parted SET region = 's' WHERE id = 1;
SELECT business_key, status, data -> 'amount' AS amount FROM workflow.instances WHERE business_key LIKE '[1,%' AND process = 'on_update' ORDER BY instance;
CREATE TABLE parted_e PARTITION OF parted FOR VALUES IN ('e');
INSERT INTO parted VALUES (3, 'e', 3);
UPDATE parted SET amount = 30 WHERE id = 3;
SELECT data('[3, "e"]');
CREATE TABLE parent (id int PRIMARY KEY, amount int);
SELECT workflow.attach('parent', 'on_update', on_update => 'set_data', on_delete => 'cancel') > 0 AS attached;
CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
INSERT INTO parent VALUES (701, 1), (702, 1);
INSERT INTO child VALUES (703, 1);
SELECT workflow.start('on_update', '{"amount": "not of the row"}', 703) > 0;
UPDATE parent SET amount = amount + 1;
SELECT business_key, data FROM workflow.instances WHERE process = 'on_update' AND business_key IN ('701', '702', '703') ORDER BY 1;
DELETE FROM parent WHERE id >= 702;
SELECT business_key, status FROM workflow.instances WHERE process = 'on_update' AND business_key IN ('701', '702', '703') ORDER BY 1;

-- many, in chunks
CREATE TABLE many (id int PRIMARY KEY, n int);
SELECT workflow.attach('many', 'on_update: theirs', on_update => 'set_data', on_delete => 'cancel') > 0 AS attached;
INSERT INTO many SELECT g, 0 FROM generate_series(1001, 6000) g;
UPDATE many SET n = id;
SELECT count(*), bool_and(data ->> 'n' = business_key) FROM workflow.instances WHERE process = 'on_update: theirs' AND business_key::int > 1000;
DELETE FROM many WHERE id > 2000;
SELECT status, count(*) FROM workflow.instances WHERE process = 'on_update: theirs' AND business_key::int > 1000 GROUP BY 1 ORDER BY 1;

-- two processes at one table; detaching
CREATE TABLE two (id int PRIMARY KEY, n int);
SELECT workflow.define('on_update: other', '{"steps": [{"step": "one", "wait": true}]}');
SELECT workflow.attach('two', 'on_update: theirs') > 0 AS attached;
SELECT workflow.attach('two', 'on_update: other', on_update => 'set_data', on_delete => 'cancel') > 0 AS attached;
INSERT INTO two VALUES (1, 1);
UPDATE two SET n = 2;
SELECT process, data -> 'n' AS n FROM workflow.instances WHERE business_key = '1' AND process IN ('on_update: theirs', 'on_update: other') AND data ? 'n' ORDER BY 1;
SELECT workflow.detach('two', 'on_update: other');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'two'::regclass AND NOT tgisinternal ORDER BY 1;
UPDATE two SET n = 3;
SELECT data -> 'n' AS n FROM workflow.instances WHERE business_key = '1' AND process = 'on_update: other';
-- other options by attaching it again: the instances are its own
SELECT workflow.attach('two', 'on_update: other', on_update => 'set_data') > 0 AS attached;
UPDATE two SET n = 4;
SELECT data -> 'n' AS n FROM workflow.instances WHERE business_key = '1' AND process = 'on_update: other';
DELETE FROM two;
SELECT status FROM workflow.instances WHERE business_key = '1' AND process = 'on_update: other';
-- what is refused
SELECT workflow.attach('two', 'on_update', on_update => 'cancel');
SELECT workflow.attach('two', 'on_update', on_delete => 'set_data');
SELECT workflow_data.after_update();
CREATE TRIGGER own AFTER INSERT ON two FOR EACH ROW EXECUTE FUNCTION workflow_data.after_update();
INSERT INTO two VALUES (9);

DROP TABLE orders, own, large, theirs, fat, parent_of, parted, parent, child, many, two;
DROP SCHEMA on_update CASCADE;
DROP ROLE on_update_clerk, on_update_shop;
