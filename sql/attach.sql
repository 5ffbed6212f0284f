-- Tables whose rows start instances.

CREATE SCHEMA attach;
SET search_path = attach;
-- a number is well made: the row shows the visit that waits
CREATE FUNCTION shows(sn text) RETURNS text LANGUAGE sql AS
    $$SELECT w.process || ': ' || w.step FROM workflow.waiting w WHERE w.serial_number = sn$$;

SELECT workflow.define('attach: order', '{"data": {"priority": 1, "amount": 0}, "steps": [
    {"step": "charge", "wait": true, "next": "ship"}, {"step": "ship", "wait": true}]}');
SELECT workflow.define('attach: quick', '{"steps": [{"step": "mark", "set": {"marked": true}}, {"step": "later", "wait": {"after": "1 day"}}]}');

-- workers do the rest: wait for them

-- without columns: the row is the data, its key the business key
CREATE TABLE plain (id int PRIMARY KEY, amount numeric, at timestamp, tags text[]);
SELECT workflow.attach('plain', 'attach: order') > 0 AS attached;
INSERT INTO plain VALUES (1, 10.50, '2024-02-29 12:00', '{a,b}'), (2, NULL, NULL, NULL);
INSERT INTO plain SELECT 3, 7 WHERE false;
INSERT INTO plain SELECT g, g FROM generate_series(10, 12) g;
SELECT business_key, status, data FROM workflow.instances WHERE process = 'attach: order' ORDER BY instance;
-- every way in
COPY plain (id, amount) FROM stdin;
20	1
21	2
\.
MERGE INTO plain p USING (VALUES (21), (22)) AS m (id) ON p.id = m.id
    WHEN MATCHED THEN UPDATE SET amount = 0 WHEN NOT MATCHED THEN INSERT VALUES (m.id);
INSERT INTO plain (id) VALUES (22), (23) ON CONFLICT DO NOTHING;
INSERT INTO plain (id) VALUES (23), (24) ON CONFLICT (id) DO UPDATE SET amount = -1;
WITH a AS (INSERT INTO plain (id) VALUES (25) RETURNING id), b AS (INSERT INTO plain (id) VALUES (26) RETURNING id)
SELECT count(*) FROM a, b;
SELECT string_agg(business_key, ' ' ORDER BY instance) FROM workflow.instances WHERE process = 'attach: order' AND business_key::int >= 20;
-- a rollback takes all back, to a savepoint too
BEGIN;
INSERT INTO plain (id) VALUES (30);
SAVEPOINT s;
INSERT INTO plain (id) VALUES (31);
ROLLBACK TO s;
INSERT INTO plain (id) VALUES (32);
COMMIT;
BEGIN;
INSERT INTO plain (id) VALUES (33);
ROLLBACK;
INSERT INTO plain (id) VALUES (34), (1);
SELECT string_agg(business_key, ' ' ORDER BY instance) FROM workflow.instances WHERE process = 'attach: order' AND business_key::int >= 30;
-- a key whose instance lives starts no other
DELETE FROM plain WHERE id = 32;
INSERT INTO plain (id) VALUES (32), (35);
SELECT string_agg(business_key, ' ' ORDER BY instance) FROM workflow.instances WHERE process = 'attach: order' AND business_key::int >= 30;
-- triggers of replicas do not fire
SET session_replication_role = replica;
INSERT INTO plain (id) VALUES (40);
RESET session_replication_role;
SELECT count(*) FROM workflow.instances WHERE process = 'attach: order' AND business_key = '40';
-- many rows, more than one batch
INSERT INTO plain (id, amount) SELECT g, g FROM generate_series(1001, 6000) g;
SELECT count(*), count(DISTINCT instance) FROM workflow.instances
WHERE process = 'attach: order' AND business_key::int > 1000 AND data->>'amount' = business_key;
SELECT step, count(*) >= 5000 AS all_wait, count(*) = count(DISTINCT instance) AS each_once FROM workflow.waiting WHERE process = 'attach: order' GROUP BY 1;

-- the number is in the row, and RETURNING gives it
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, amount int, sn text, state varchar(20), inst bigint);
SELECT workflow.attach('orders', 'attach: order', serial_column => 'sn', status_column => 'state', instance_column => 'inst') > 0 AS attached;
INSERT INTO orders (amount) VALUES (1), (2) RETURNING id, shows(sn), sn LIKE inst || '\_%' AS same, state;
SELECT id, shows(sn), sn LIKE inst || '\_%' AS same, state FROM orders ORDER BY id;
INSERT INTO orders (amount, sn, state, inst) VALUES (3, '1_1', 'mine', 1);
SELECT shows(sn), sn LIKE inst || '\_%' AS same, state FROM orders WHERE amount = 3;
-- one statement, another row of it, one more statement: numbers go their way
INSERT INTO orders (amount) SELECT g FROM generate_series(101, 400) g;
SELECT count(*), count(DISTINCT sn), min(shows(sn)) FROM orders o JOIN workflow.instances i ON i.instance = o.inst
WHERE amount > 100 AND i.data->>'amount' = o.amount::text AND i.business_key = o.id::text;
-- conflicts leave nothing behind, whatever they were given
CREATE TABLE keyed (id int PRIMARY KEY, amount int, sn text);
SELECT workflow.attach('keyed', 'attach: order', 'sn') > 0 AS attached;
INSERT INTO keyed VALUES (1, 1);
INSERT INTO keyed VALUES (1, 2), (2, 2), (3, 2) ON CONFLICT DO NOTHING RETURNING id, shows(sn);
INSERT INTO keyed VALUES (4, 3), (3, 3), (5, 3) ON CONFLICT (id) DO UPDATE SET amount = excluded.amount RETURNING id, shows(sn);
SELECT count(*) FROM workflow.instances i JOIN keyed k ON k.id::text = i.business_key AND k.sn LIKE i.instance || '\_%';
-- the number of a row that is not inserted is nothing to the one that was there, whoever puts it there
INSERT INTO keyed VALUES (5, 4) ON CONFLICT (id) DO UPDATE SET sn = excluded.sn, amount = excluded.amount RETURNING id, amount, shows(sn);
-- a number that belongs to nothing finishes nothing
UPDATE keyed SET sn = '9000000_9000000' WHERE id = 5;
\set VERBOSITY sqlstate
SELECT workflow.complete(sn) FROM keyed WHERE id = 5;
\set VERBOSITY default

-- forged numbers
CREATE FUNCTION forge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.amount = 1 THEN new.sn := '1_1';
    ELSIF new.amount = 2 THEN new.sn := (SELECT sn FROM keyed WHERE id = 1);
    ELSIF new.amount = 3 THEN new.sn := 'nonsense';
    ELSIF new.amount = 4 THEN new.sn := new.sn || '0';
    ELSIF new.amount = 5 THEN new.sn := NULL;
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER zzzz_forge BEFORE INSERT ON keyed FOR EACH ROW EXECUTE FUNCTION forge();
\set VERBOSITY sqlstate
INSERT INTO keyed VALUES (11, 1);
INSERT INTO keyed VALUES (12, 2);
INSERT INTO keyed VALUES (13, 3);
INSERT INTO keyed VALUES (14, 4);
\set VERBOSITY default
-- one that was wiped out comes back
BEGIN;
INSERT INTO keyed VALUES (15, 5), (16, 6);
SELECT business_key FROM workflow.instances WHERE process = 'attach: order' AND business_key IN ('11', '12', '13', '14', '15', '16') AND instance > (SELECT max(inst) FROM orders) ORDER BY 1;
SELECT id, shows(sn) FROM keyed WHERE id > 10 ORDER BY id;
COMMIT;
CALL test.until($$SELECT shows(sn) IS NOT NULL FROM keyed WHERE id = 15$$);
-- two rows with the same number
CREATE FUNCTION copy_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.sn := coalesce(nullif(current_setting('attach.sn', true), ''), new.sn);
    PERFORM set_config('attach.sn', new.sn, true);
    RETURN new;
END $$;
CREATE OR REPLACE TRIGGER zzzz_forge BEFORE INSERT ON keyed FOR EACH ROW EXECUTE FUNCTION copy_number();
\set VERBOSITY sqlstate
INSERT INTO keyed VALUES (17, 7), (18, 7);
\set VERBOSITY default
DROP TRIGGER zzzz_forge ON keyed;

-- a condition: only such rows
CREATE TABLE conditional (id int PRIMARY KEY, amount int, kind text, sn text, state text);
SELECT workflow.attach('conditional', 'attach: order', 'sn', status_column => 'state', condition => '$.amount > 100 && $.kind == "new"') > 0 AS attached;
INSERT INTO conditional VALUES (1, 100, 'new'), (2, 101, 'new'), (4, NULL, 'new'), (5, 500, 'new')
RETURNING id, shows(sn), sn IS NULL AS no_number, state;
INSERT INTO conditional VALUES (3, 500, 'old', 'x', 'y') RETURNING sn, state;
SELECT id, shows(sn), state FROM conditional ORDER BY id;
-- what other triggers make of the row counts, the same whether columns are shown or not
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.amount := 1000 - new.amount; RETURN new; END $$;
CREATE TRIGGER z_change BEFORE INSERT ON conditional FOR EACH ROW EXECUTE FUNCTION change();
INSERT INTO conditional VALUES (11, 900, 'new'), (12, 100, 'new') RETURNING id, amount, shows(sn), sn IS NULL AS no_number, state;
-- one that comes even after ours: too late for a number, in time for an instance
ALTER TRIGGER z_change ON conditional RENAME TO zzzz_change;
INSERT INTO conditional VALUES (13, 950, 'new');
INSERT INTO conditional VALUES (14, 100, 'new') RETURNING id, amount, sn, state;
INSERT INTO conditional VALUES (15, 990, 'old'), (16, 500, 'new') RETURNING id, amount, sn IS NULL AS no_number, state;
CALL test.until($$SELECT shows(sn) IS NOT NULL AND state = 'active' FROM conditional WHERE id = 14$$);
SELECT business_key, data->'amount' AS amount FROM workflow.instances WHERE process = 'attach: order' AND data ? 'kind' AND business_key > '10' ORDER BY 1;
DROP TRIGGER zzzz_change ON conditional;
CREATE TABLE marked (id int PRIMARY KEY, amount int, state text);
SELECT workflow.attach('marked', 'attach: order', status_column => 'state', condition => '$.amount > 100') > 0 AS attached;
CREATE TRIGGER zzzz_change BEFORE INSERT ON marked FOR EACH ROW EXECUTE FUNCTION change();
INSERT INTO marked VALUES (1, 950);
INSERT INTO marked VALUES (2, 50);
CALL test.until($$SELECT state = 'active' FROM marked WHERE id = 2$$);
-- generated columns
CREATE FUNCTION twice(v int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN v * 2; END $$;
CREATE TABLE generated (id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (attach.twice(v)) STORED, sn text, t regclass GENERATED ALWAYS AS (tableoid) STORED);
SELECT workflow.attach('generated', 'attach: order', 'sn', condition => '$.g > 2') > 0 AS attached;
SELECT workflow.define('attach: rest', '{"steps": [{"step": "later", "wait": {"after": "1 day"}}]}');
SELECT workflow.attach('generated', 'attach: rest', condition => '!($.g > 2)') > 0 AS attached;
INSERT INTO generated VALUES (1, 5), (2, 1), (3, NULL) RETURNING id, g, shows(sn), sn IS NULL AS no_number;
COPY generated (id, v) FROM stdin;
4	5
5	0
\.
INSERT INTO generated VALUES (4, 6), (6, 6) ON CONFLICT (id) DO UPDATE SET v = 0 RETURNING id, g, shows(sn);
SELECT process, business_key, data->'g' AS g, data->'t' AS t FROM workflow.instances WHERE data ? 'g' ORDER BY process, business_key;

-- the condition sees the row as it was given, its status too
CREATE TABLE drafts (id int PRIMARY KEY, state text);
SELECT workflow.attach('drafts', 'attach: quick', status_column => 'state', condition => '$.state == "go"') > 0 AS attached;
INSERT INTO drafts VALUES (1, 'go'), (2, 'draft'), (3, NULL) RETURNING *;
SELECT business_key, data FROM workflow.instances WHERE process = 'attach: quick' ORDER BY 1;
-- one that gives no answer
CREATE TABLE undecided (id int PRIMARY KEY, v jsonb);
SELECT workflow.attach('undecided', 'attach: quick', condition => '$.v') > 0 AS attached;
INSERT INTO undecided VALUES (1, 'true'), (2, 'false'), (3, 'null'), (4, NULL);
INSERT INTO undecided VALUES (5, '1');
SELECT business_key FROM workflow.instances i WHERE process = 'attach: quick' AND data ? 'v' ORDER BY 1;

-- keys of several columns, and of types that settings change
CREATE TABLE lines (a text, b int, c timestamptz, d date, v int, sn text, PRIMARY KEY (b, a, c, d));
SELECT workflow.attach('lines', 'attach: order', 'sn') > 0 AS attached;
SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German';
INSERT INTO lines VALUES ('x"y', 1, '2024-01-01 09:00+09', '31.12.2024', 1);
RESET TimeZone; RESET DateStyle;
CREATE TABLE floats (f float8, t interval, PRIMARY KEY (f, t));
SELECT workflow.attach('floats', 'attach: order') > 0 AS attached;
SET extra_float_digits = -5; SET IntervalStyle = 'sql_standard';
INSERT INTO floats VALUES (0.1::float8 + 0.2, '1 day 2 hours');
RESET extra_float_digits; RESET IntervalStyle;
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE DOMAIN code AS varchar(10) CHECK (value <> '');
CREATE TABLE typed (c colour, d code, u uuid, PRIMARY KEY (c, d, u));
SELECT workflow.attach('typed', 'attach: order') > 0 AS attached;
INSERT INTO typed VALUES ('green', 'ab', '00000000-0000-0000-0000-000000000001');
SELECT business_key FROM workflow.instances WHERE process = 'attach: order' AND business_key LIKE '[%' ORDER BY instance;

-- a step that is asked for; one that is not the first shows later
CREATE TABLE steps (id int PRIMARY KEY, sn text, sn2 text);
SELECT workflow.define('attach: two', '{"steps": [{"step": "one", "async": true, "wait": true}, {"step": "two", "wait": true}]}');
SELECT workflow.attach('steps', 'attach: two', 'sn', serial_step => 'one') > 0 AS attached;
SELECT workflow.attach('steps', 'attach: order', 'sn2', serial_step => 'ship') > 0 AS attached;
INSERT INTO steps VALUES (1) RETURNING sn IS NOT NULL AS numbered, sn2;
SELECT v.process, v.step FROM steps s JOIN workflow.visits v ON v.serial_number = s.sn;
-- two processes, and one of them detached again
SELECT workflow.detach('steps', 'attach: two');
INSERT INTO steps VALUES (2) RETURNING sn, sn2;
SELECT process FROM workflow.instances WHERE data->>'id' = '2' AND data ? 'sn2';
SELECT tgname FROM pg_trigger WHERE tgrelid = 'steps'::regclass ORDER BY 1;
SELECT workflow.detach('steps');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'steps'::regclass ORDER BY 1;
INSERT INTO steps VALUES (3, 'mine') RETURNING sn, sn2;

-- rows that insert rows
CREATE TABLE inner_orders (id int PRIMARY KEY, sn text);
SELECT workflow.attach('inner_orders', 'attach: order', 'sn') > 0 AS attached;
CREATE TABLE outer_orders (id int PRIMARY KEY, sn text);
SELECT workflow.attach('outer_orders', 'attach: order', 'sn') > 0 AS attached;
CREATE FUNCTION insert_more() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.id < 100 THEN
        INSERT INTO inner_orders VALUES (new.id), (new.id + 100);
        INSERT INTO outer_orders VALUES (new.id + 100);
        BEGIN
            INSERT INTO inner_orders VALUES (new.id + 200);
            INSERT INTO inner_orders VALUES (new.id);
        EXCEPTION WHEN unique_violation THEN NULL;
        END;
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER a_before BEFORE INSERT ON outer_orders FOR EACH ROW EXECUTE FUNCTION insert_more();
INSERT INTO outer_orders VALUES (1), (2) RETURNING id, shows(sn);
SELECT id, shows(sn) FROM outer_orders ORDER BY id;
SELECT id, shows(sn) FROM inner_orders ORDER BY id;

-- a new version counts from the next statement on, and one that was rolled back never
BEGIN;
SAVEPOINT s;
SELECT workflow.define('attach: quick', '{"steps": [{"step": "now", "wait": true}]}');
INSERT INTO drafts VALUES (10, 'go');
SELECT version FROM workflow.instances WHERE process = 'attach: quick' AND business_key = '10';
ROLLBACK TO s;
SELECT workflow.define('attach: quick', '{"steps": [{"step": "soon", "wait": {"after": "1 hour"}}]}');
INSERT INTO drafts VALUES (11, 'go');
COMMIT;
INSERT INTO drafts VALUES (12, 'go');
SELECT i.business_key, i.version, v.step FROM workflow.instances i JOIN workflow.visits v USING (instance)
WHERE i.process = 'attach: quick' AND business_key > '1' AND business_key < '13' AND data ? 'state' ORDER BY 1;

-- the data of an instance are what to_jsonb makes of the row, whatever types its columns have
CREATE DOMAIN sum_of AS numeric(20, 4) CHECK (VALUE > -1000000000);
CREATE DOMAIN word AS varchar(8);
CREATE TABLE usual (
	id integer PRIMARY KEY, small smallint, big bigint, amount numeric, money sum_of, flag boolean, words text, a_word word,
	padded character(5), day date, at timestamp, moment timestamptz, "Größe" uuid, daytime time, zoned timetz, lasted interval, gone integer);
CREATE TABLE unusual (LIKE usual INCLUDING INDEXES, list integer[], doc jsonb, ratio double precision, raw bytea);
ALTER TABLE usual DROP COLUMN gone;
ALTER TABLE unusual DROP COLUMN gone;
ALTER TABLE usual ADD COLUMN later text DEFAULT 'with "quotes" and \';
SELECT workflow.define('attach: types', '{"steps": [{"step": "wait", "wait": true}]}');
SELECT workflow.attach('usual', 'attach: types') > 0 AND workflow.attach('unusual', 'attach: types') > 0 AS attached;
CREATE VIEW usual_values AS SELECT * FROM (VALUES
	(1, 1::smallint, 9223372036854775807, 12.500, 0.1::sum_of, true, 'text' || chr(10) || 'ö', 'word'::word, 'ab'::character(5), '2024-02-29'::date,
		'2024-02-29 12:00:00.5'::timestamp, '2024-02-29 12:00:00+00'::timestamptz, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '23:59'::time, '12:00+02'::timetz, '1 day 02:00'::interval),
	(2, -32768, -9223372036854775808, 'NaN', NULL, false, '', '', '', 'infinity', '-infinity', 'infinity', NULL, '00:00', '00:00+00', '-1 mon'),
	(3, NULL, 0, 'Infinity', 999999999.9999, NULL, repeat('long ', 2000), NULL, NULL, '0044-03-15 BC', '0001-01-01', '0044-03-15 BC', NULL, NULL, NULL, NULL),
	(4, 0, 100000000, 123456789012345678901234567890.10, -0.0001, true, NULL, 'x', 'x', NULL, NULL, NULL, NULL, NULL, NULL, NULL)) v;
SET timezone = 'America/New_York';
INSERT INTO usual SELECT * FROM usual_values;
INSERT INTO unusual SELECT v.*, '{1,2}', '{"b": [1, {"a": null}], "a": 1.50}', 'NaN', '\x00ff' FROM usual_values v;
SELECT count(*) AS same FROM workflow.instances i JOIN usual u ON u.id::text = i.business_key AND i.data::text = to_jsonb(u)::text WHERE i.process = 'attach: types' AND i.data ? 'later';
SELECT count(*) AS same FROM workflow.instances i JOIN unusual u ON u.id::text = i.business_key AND i.data::text = to_jsonb(u)::text WHERE i.process = 'attach: types' AND i.data ? 'list';
SELECT jsonb_pretty(data) FROM workflow.instances WHERE process = 'attach: types' AND business_key = '1' AND data ? 'later';
RESET timezone;
SELECT count(workflow.cancel(instance, '')) FROM workflow.instances WHERE process = 'attach: types';
DROP VIEW usual_values;
DROP TABLE usual, unusual;
DROP DOMAIN sum_of, word;

-- detached: rows start nothing, what lives goes on
SELECT workflow.detach('plain'), workflow.detach('orders', 'attach: order');
INSERT INTO plain VALUES (50);
SELECT count(*) FROM workflow.instances WHERE process = 'attach: order' AND data @> '{"id": 50}' AND data ? 'tags';
INSERT INTO orders (amount, sn) VALUES (50, 'mine') RETURNING sn, state;
SELECT workflow.complete(sn) FROM orders WHERE amount = 1;
SELECT workflow.attach('plain', 'attach: order') > 0 AS attached_again;
INSERT INTO plain VALUES (51);
SELECT count(*) FROM workflow.instances WHERE process = 'attach: order' AND data @> '{"id": 51}' AND data ? 'tags';
-- a table whose process has living attachments keeps it; a dropped one does not count
SELECT workflow.undefine('attach: two', force => true);
\set VERBOSITY sqlstate
SELECT workflow.undefine('attach: quick', force => true);
\set VERBOSITY default
SET client_min_messages = warning;
DROP SCHEMA attach CASCADE;
RESET client_min_messages;
SELECT workflow.undefine('attach: quick', force => true);
