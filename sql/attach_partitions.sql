-- Partitioned tables: rows reach their process whichever way they come.

CREATE SCHEMA attach_partitions;
SET search_path = attach_partitions;
CREATE VIEW started AS SELECT instance, business_key, data FROM workflow.instances WHERE process = 'attach_partitions';
SELECT workflow.define('attach_partitions', '{"steps": [{"step": "wait", "wait": true}]}');

CREATE TABLE p (region text, id int, sn text, state text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('eu') PARTITION BY RANGE (id);
CREATE TABLE p_eu_1 PARTITION OF p_eu FOR VALUES FROM (0) TO (100);
-- columns in another order, and one that is gone
CREATE TABLE p_us (state text, gone int, sn text, id int NOT NULL, region text NOT NULL);
ALTER TABLE p_us DROP COLUMN gone;
ALTER TABLE p ATTACH PARTITION p_us FOR VALUES IN ('us');
SELECT workflow.attach('p', 'attach_partitions', 'sn', status_column => 'state') > 0 AS attached;
SELECT tgrelid::regclass AS relation, tgname FROM pg_trigger WHERE tgrelid IN ('p'::regclass, 'p_eu_1'::regclass, 'p_us'::regclass) ORDER BY 1, 2;

INSERT INTO p VALUES ('eu', 1), ('us', 1), ('eu', 2) RETURNING region, id, sn IS NOT NULL AS numbered, state;
INSERT INTO p_us (region, id) VALUES ('us', 2);
INSERT INTO p_eu_1 VALUES ('eu', 3);
INSERT INTO p_eu VALUES ('eu', 4);
COPY p (region, id) FROM stdin (DELIMITER ',');
eu,5
us,5
\.
INSERT INTO p VALUES ('eu', 5), ('eu', 6) ON CONFLICT DO NOTHING;
-- a partition that comes later
CREATE TABLE p_as PARTITION OF p FOR VALUES IN ('as');
INSERT INTO p_as VALUES ('as', 1);
SELECT region, id, test.shows(sn), state FROM p ORDER BY 1, 2;
SELECT business_key, data->>'region' AS region, data->>'id' AS id FROM started ORDER BY business_key COLLATE "C";

-- a row that moves to another partition gets another key, and its instance with it: nothing is started
CREATE TABLE p_eu_2 PARTITION OF p_eu FOR VALUES FROM (100) TO (200);
SELECT sn AS before FROM p WHERE region = 'eu' AND id = 1 \gset
SELECT count(*) AS before_count FROM started \gset
UPDATE p SET id = 101 WHERE region = 'eu' AND id = 1 RETURNING test.shows(sn), sn = :'before' AS same, state;
SELECT business_key, split_part(:'before', '_', 1) = instance::text AS same FROM started WHERE business_key LIKE '%101%';
UPDATE p SET region = 'us', id = 102 WHERE id = 101 RETURNING sn = :'before' AS same, state;
SELECT business_key FROM started WHERE split_part(:'before', '_', 1) = instance::text;
-- as the first thing that a session does
\c
SET search_path = attach_partitions;
UPDATE p SET region = 'as' WHERE id = 102 RETURNING sn = :'before' AS same, state;
UPDATE p SET region = 'us' WHERE id = 102 RETURNING sn = :'before' AS same, state;
SELECT business_key FROM started WHERE business_key LIKE '%102%';
-- many at once, and back; within a partition an UPDATE changes keys as of any table
UPDATE p SET id = id + 100 WHERE region = 'eu';
SELECT count(*) = :before_count AS none_started FROM started;
UPDATE p SET id = id - 100 WHERE region = 'eu';
SELECT count(*) = :before_count AS none_started, count(*) FILTER (WHERE (data->>'id')::int < 100) > 3 AS merged FROM started;
SELECT count(*) AS strangers FROM p JOIN workflow.instances i ON i.instance::text = split_part(p.sn, '_', 1)
WHERE i.business_key <> jsonb_build_array(p.region, p.id)::text;
UPDATE p SET region = 'eu', id = 1 WHERE id = 102;
-- one that has no instance, or whose instance has ended: nothing is started either, and the row stays as it was
SELECT workflow.complete(sn) FROM p WHERE region = 'eu' AND id = 2;
CALL test.until($$SELECT sn IS NULL AND state = 'completed' FROM p WHERE region = 'eu' AND id = 2$$);
UPDATE p SET id = 150 WHERE region = 'eu' AND id = 2 RETURNING sn, state;
SELECT count(*) FROM started WHERE business_key LIKE '%150%';
-- among others that one command inserts and deletes; a trigger that takes a moved row away
MERGE INTO p USING (VALUES ('eu', 150, 'as'), ('eu', 77, 'eu')) v (region, id, new) ON p.region = v.region AND p.id = v.id
    WHEN MATCHED THEN UPDATE SET region = v.new WHEN NOT MATCHED THEN INSERT (region, id) VALUES (v.new, v.id);
SELECT business_key FROM started WHERE business_key LIKE '%150%' OR business_key LIKE '%77%';
BEGIN;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER aaa BEFORE INSERT ON p_as FOR EACH ROW EXECUTE FUNCTION nothing();
UPDATE p SET region = 'as' WHERE region = 'eu' AND id = 77;
DROP TRIGGER aaa ON p_as;
INSERT INTO p VALUES ('as', 78) RETURNING sn IS NOT NULL AS numbered;
SELECT business_key FROM started WHERE business_key LIKE '%77%' OR business_key LIKE '%78%' ORDER BY 1;
ROLLBACK;
-- a partition with a key of its own can be attached by itself; a key that lives starts nothing
CREATE TABLE q (id int, region text, sn text, state text) PARTITION BY LIST (region);
CREATE TABLE q_1 PARTITION OF q (PRIMARY KEY (id)) FOR VALUES IN ('a');
CREATE TABLE q_2 PARTITION OF q FOR VALUES IN ('b');
SELECT workflow.attach('q', 'attach_partitions');
SELECT workflow.attach('q_1', 'attach_partitions', 'sn') > 0 AS attached;
INSERT INTO q VALUES (1, 'a') RETURNING sn IS NOT NULL AS numbered;
INSERT INTO q_1 VALUES (2, 'a');
SELECT id, test.shows(sn) FROM q ORDER BY id;
SELECT sn AS living FROM q WHERE id = 1 \gset
UPDATE q SET region = 'b' WHERE id = 1;
UPDATE q SET region = 'a' WHERE id = 1;
SELECT count(*) FROM started WHERE business_key = '1';
CALL test.until($$SELECT sn = '$$ || :'living' || $$' FROM q_1 WHERE id = 1$$);

-- one row reaches a process once
SELECT workflow.attach('p_us', 'attach_partitions');
CREATE TABLE parent (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE child PARTITION OF parent FOR VALUES IN ('a');
SELECT workflow.attach('child', 'attach_partitions') > 0 AS attached;
SELECT workflow.attach('parent', 'attach_partitions');
-- an attached table cannot become a partition, with shown columns or without: some releases of PostgreSQL refuse it themselves
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN object_not_in_prerequisite_state OR feature_not_supported THEN RETURN 'refused';
END $$;
CREATE TABLE single (id int, region text, sn text, PRIMARY KEY (id, region));
CREATE TABLE top (LIKE single, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
SELECT workflow.attach('single', 'attach_partitions') > 0 AS attached;
SELECT try($$ALTER TABLE top ATTACH PARTITION single FOR VALUES IN ('a')$$);
SELECT workflow.detach('single');
SELECT workflow.attach('single', 'attach_partitions', 'sn') > 0 AS attached;
SELECT try($$ALTER TABLE top ATTACH PARTITION single FOR VALUES IN ('a')$$);
SELECT workflow.detach('single');
SELECT try($$ALTER TABLE top ATTACH PARTITION single FOR VALUES IN ('a')$$);
-- one that is a partition already can come and go
SELECT workflow.attach('single', 'attach_partitions') > 0 AS attached;
ALTER TABLE top DETACH PARTITION single;
ALTER TABLE top ATTACH PARTITION single FOR VALUES IN ('a');
INSERT INTO top VALUES (7, 'a');
SELECT count(*) FROM started WHERE data->>'region' = 'a' AND data->>'id' = '7';
SELECT workflow.detach('single');
SELECT workflow.attach('top', 'attach_partitions', 'sn') > 0 AS attached;
INSERT INTO top VALUES (1, 'a') RETURNING sn IS NOT NULL AS numbered;
-- and one that is none any more goes its own way
ALTER TABLE top DETACH PARTITION single;
INSERT INTO single VALUES (2, 'a', 'mine') RETURNING sn;
SELECT count(*) FROM started WHERE data->>'region' = 'a' AND data->>'id' = '2' AND data->>'sn' = 'mine';

-- indexes can be made parts of others, one by one as in a dump, of tables that are attached and of others
CREATE TABLE whole (id int NOT NULL, region text NOT NULL) PARTITION BY LIST (region);
CREATE TABLE part PARTITION OF whole FOR VALUES IN ('a');
CREATE INDEX whole_id ON ONLY whole (id);
CREATE INDEX part_id ON part (id);
ALTER INDEX whole_id ATTACH PARTITION part_id;
ALTER TABLE ONLY whole ADD CONSTRAINT whole_pkey PRIMARY KEY (id, region);
ALTER TABLE part ADD CONSTRAINT part_pkey PRIMARY KEY (id, region);
ALTER INDEX whole_pkey ATTACH PARTITION part_pkey;
SELECT workflow.attach('whole', 'attach_partitions') > 0 AS attached;
CREATE INDEX whole_region ON ONLY whole (region);
CREATE INDEX part_region ON part (region);
ALTER INDEX whole_region ATTACH PARTITION part_region;
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 'whole'::regclass ORDER BY indexrelid::regclass::text COLLATE "C";

-- conditions over generated columns, of partitions with their columns in another order too
CREATE TABLE g (id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v * 2) STORED, sn text) PARTITION BY RANGE (id);
CREATE TABLE g_1 (sn text, g int GENERATED ALWAYS AS (v * 2) STORED, v int, id int NOT NULL);
ALTER TABLE g ATTACH PARTITION g_1 FOR VALUES FROM (0) TO (100);
SELECT workflow.attach('g', 'attach_partitions', 'sn', condition => '$.g > 2') > 0 AS attached;
INSERT INTO g VALUES (1, 5), (2, 1) RETURNING id, g, test.shows(sn);
SELECT data - 'sn' AS data FROM started WHERE data ? 'g';

SELECT workflow.detach('p');
INSERT INTO p VALUES ('eu', 50, 'mine') RETURNING sn, state;
SET client_min_messages = warning;
DROP SCHEMA attach_partitions CASCADE;
