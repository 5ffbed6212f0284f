-- Columns in which attached rows show what their instances have come to: result_columns.

CREATE SCHEMA result_columns;
SET search_path = result_columns;
-- all that was to be written is written, or owed
CREATE FUNCTION idle() RETURNS boolean LANGUAGE sql AS
    $$SELECT NOT EXISTS (SELECT FROM workflow.write_backs WHERE error IS NULL)$$;

SELECT workflow.define('result_columns', '{"data": {"priority": 3}, "steps": [
    {"step": "charge", "wait": true, "save": true, "next": "ship"}, {"step": "ship", "wait": true, "save": true}]}');
CREATE TABLE orders (id int PRIMARY KEY, amount numeric(10, 2), sn text, state text, receipt text, paid_at timestamp, priority int,
    lines jsonb, n numeric(6, 2), tag char(6), doc json, twice bigint);
SELECT workflow.attach('orders', 'result_columns', 'sn', status_column => 'state', result_columns => '{
    "receipt": "$.receipt", "paid_at": "$.paid.at", "priority": "$.priority", "lines": "$.lines", "n": "$.n", "tag": "$.tag",
    "doc": "$.receipt", "twice": "$.n * 2 ?? null"}') > 0 AS attached;
SELECT relation, result_columns FROM workflow.attachments WHERE process = 'result_columns';
SELECT arguments -> 'result_columns' FROM workflow.audit WHERE process = 'result_columns' AND call = 'attach';

-- what is missing is NULL; what the row lacks that is being inserted comes a moment later
INSERT INTO orders (id, amount) VALUES (1, 10) RETURNING receipt, priority;
CALL test.until('SELECT idle()');
SELECT id, state, receipt, paid_at, priority, lines, n, tag, doc, twice FROM orders;
-- it goes through the types of the columns
SELECT workflow.complete(sn, '{"receipt": "r-17", "paid": {"at": "2026-01-02T03:04:05"}, "lines": [{"a": 1}], "n": 12.5, "tag": "x"}') FROM orders;
CALL test.until('SELECT idle()');
SELECT test.shows(sn), state, receipt, paid_at, priority, lines, n, tag, doc, twice FROM orders;
-- data that change without a move
SELECT workflow.set_data(split_part(sn, '_', 1)::bigint, '{"receipt": null, "n": 3, "other": 1, "lines": "text", "priority": 4}') FROM orders;
CALL test.until('SELECT idle()');
SELECT receipt, paid_at, priority, lines, n, tag, doc, twice FROM orders;
-- nothing is due for data that no column shows, or that stay the same
BEGIN;
SELECT workflow.set_data(split_part(sn, '_', 1)::bigint, '{"other": 2, "n": 3.00}') FROM orders;
SELECT count(*) FROM workflow_data.delivery WHERE kind = 'write_back' AND payload IS NULL;
COMMIT;
-- they are kept
CREATE ROLE result_columns_clerk;
GRANT USAGE ON SCHEMA result_columns TO result_columns_clerk;
GRANT SELECT, UPDATE ON orders TO result_columns_clerk;
SET ROLE result_columns_clerk;
UPDATE orders SET receipt = 'mine', priority = 9, amount = 11 RETURNING amount, receipt, priority;
RESET ROLE;

-- what a column does not take is owed, and all else is written
SELECT workflow.complete(sn, '{"priority": "high", "receipt": "r-18"}') FROM orders;
CALL test.until('SELECT idle()');
SELECT state, sn, receipt, priority FROM orders;
SELECT business_key, error FROM workflow.write_backs WHERE process = 'result_columns';
-- also once the history has gone
SELECT instance FROM workflow.instances WHERE process = 'result_columns' \gset
SELECT payload -> 'results' FROM workflow_data.delivery WHERE instance = :instance AND kind = 'write_back';
DELETE FROM workflow_data.instance_history WHERE instance = :instance;
DELETE FROM workflow_data.visit_history WHERE instance = :instance;
ALTER TABLE orders ALTER COLUMN priority TYPE text;
SELECT workflow.write_back('orders');
CALL test.until($$SELECT NOT EXISTS (SELECT FROM workflow.write_backs WHERE process = 'result_columns')$$);
SELECT state, receipt, priority FROM orders;

-- what cannot be worked out is owed, too
CREATE TABLE ratios (id int PRIMARY KEY, a int, b int, state text, ratio numeric);
SELECT workflow.attach('ratios', 'result_columns', status_column => 'state', result_columns => '{"ratio": "$.a / $.b"}') > 0 AS attached;
INSERT INTO ratios VALUES (1, 6, 3), (2, 6, 0);
CALL test.until('SELECT idle()');
SELECT id, state, ratio FROM ratios ORDER BY id;
SELECT business_key, error FROM workflow.write_backs WHERE relation = 'ratios'::regclass;
SELECT workflow.set_data(instance, '{"b": 2}') FROM workflow.instances WHERE process = 'result_columns' AND business_key = '2';
CALL test.until($$SELECT NOT EXISTS (SELECT FROM workflow.write_backs WHERE relation = 'ratios'::regclass)$$);
SELECT id, state, ratio FROM ratios ORDER BY id;
-- results alone; rows that are there; a column that is NOT NULL, and in which the row brings a value
CREATE TABLE alone (id int PRIMARY KEY, amount int NOT NULL);
INSERT INTO alone VALUES (1, 100);
SELECT workflow.attach('alone', 'result_columns', result_columns => '{"amount": "$.amount"}', existing => true) > 0 AS attached;
INSERT INTO alone VALUES (2, 200);
SELECT tgname FROM pg_trigger WHERE tgrelid = 'alone'::regclass AND NOT tgisinternal ORDER BY 1;
SELECT count(*) FROM workflow.write_backs WHERE relation = 'alone'::regclass;
SELECT workflow.set_data(instance, '{"amount": 3}') FROM workflow.instances WHERE process = 'result_columns' AND business_key IN ('1', '2') AND data ? 'amount'
    AND (data ->> 'amount')::numeric >= 100;
CALL test.until('SELECT idle()');
SELECT * FROM alone ORDER BY id;
-- other columns, by attaching it again; a column that is renamed
SELECT workflow.detach('alone');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'alone'::regclass AND NOT tgisinternal ORDER BY 1;
ALTER TABLE alone ADD COLUMN total int;
SELECT workflow.attach('alone', 'result_columns', result_columns => '{"total": "$.amount + 1"}') > 0 AS attached;
CALL test.until('SELECT idle()');
SELECT * FROM alone ORDER BY id;
ALTER TABLE alone RENAME COLUMN total TO sum;
SELECT workflow.set_data(instance, '{"amount": 4}') FROM workflow.instances WHERE process = 'result_columns' AND business_key = '2' AND (data ->> 'amount')::int = 3;
CALL test.until($$SELECT count(*) > 0 FROM workflow.write_backs WHERE relation = 'alone'::regclass AND error IS NOT NULL$$);
SELECT error FROM workflow.write_backs WHERE relation = 'alone'::regclass;
INSERT INTO alone VALUES (3, 3);
ALTER TABLE alone RENAME COLUMN sum TO total;
SELECT workflow.write_back('alone');
CALL test.until($$SELECT NOT EXISTS (SELECT FROM workflow.write_backs WHERE relation = 'alone'::regclass)$$);
SELECT * FROM alone ORDER BY id;

-- what is refused
CREATE TABLE refused (id int PRIMARY KEY, a text, g int GENERATED ALWAYS AS (1) STORED, sn text);
SELECT workflow.attach('refused', 'result_columns', result_columns => '["a"]');
SELECT workflow.attach('refused', 'result_columns', result_columns => '{"a": 1}');
SELECT workflow.attach('refused', 'result_columns', result_columns => '{"none": "$.a"}');
SELECT workflow.attach('refused', 'result_columns', result_columns => '{"id": "$.a"}');
SELECT workflow.attach('refused', 'result_columns', result_columns => '{"g": "$.a"}');
SELECT workflow.attach('refused', 'result_columns', result_columns => '{"ctid": "$.a"}');
SELECT workflow.attach('refused', 'result_columns', result_columns => '{"a": "${$.a}"}');
SELECT workflow.attach('refused', 'result_columns', result_columns => '{"a": "$reply.body"}');
SELECT workflow.attach('refused', 'result_columns', result_columns => '{"a": "a"}');
SELECT workflow.attach('refused', 'result_columns', 'sn', result_columns => '{"sn": "$.a"}');
SELECT workflow.attach('refused', 'result_columns', result_columns => (SELECT jsonb_object_agg('c' || g, '$.a') FROM generate_series(1, 101) g));
SELECT workflow.attach('refused', 'result_columns', result_columns => '{"a": "$.a"}') > 0 AS attached;
SELECT workflow.define('result_columns: other', '{"steps": [{"step": "one", "wait": true}]}');
SELECT workflow.attach('refused', 'result_columns: other', 'a');

DROP TABLE orders, ratios, alone, refused;
DROP SCHEMA result_columns CASCADE;
DROP ROLE result_columns_clerk;
