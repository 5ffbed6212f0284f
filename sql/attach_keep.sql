-- The columns in which rows show their instances are kept, whoever updates them.

CREATE ROLE attach_keep_shop;
CREATE SCHEMA attach_keep AUTHORIZATION attach_keep_shop;
SET search_path = attach_keep;
SELECT workflow.define('attach_keep', '{"steps": [{"step": "one", "wait": true}, {"step": "two", "wait": true}]}');
SELECT workflow.define('attach_keep: other', '{"steps": [{"step": "one", "wait": true}]}');
SELECT workflow.grant_process(p, 'attach_keep_shop', 'start') FROM unnest('{attach_keep,attach_keep: other}'::text[]) p;

CREATE TABLE ord (id int PRIMARY KEY, amount int, state char(12), "The 'Sn'" text, inst numeric, other text);
ALTER TABLE ord OWNER TO attach_keep_shop;
SELECT workflow.attach('ord', 'attach_keep', 'The ''Sn''', status_column => 'state', instance_column => 'inst') > 0 AS attached;
CREATE VIEW ok AS
    SELECT o.id, o.amount, o.state = i.status AND o."The 'Sn'" IS NOT DISTINCT FROM w.serial_number AND o.inst = i.instance AS ok
    FROM ord o LEFT JOIN workflow.instances i ON i.process = 'attach_keep' AND i.business_key = o.id::text
               LEFT JOIN workflow.waiting w USING (instance);

-- the owner of the table: a stale object is saved, an upsert of all columns, a merge
SET ROLE attach_keep_shop;
INSERT INTO ord (id, amount) SELECT g, g * 10 FROM generate_series(1, 4) g;
UPDATE ord SET amount = 11, state = NULL, "The 'Sn'" = NULL, inst = NULL WHERE id = 1 RETURNING state, inst IS NOT NULL AS kept;
UPDATE ord SET "The 'Sn'" = '1_1', state = 'ACTIVE', inst = 1 WHERE id = 1;
INSERT INTO ord (id, amount) VALUES (2, 21), (5, 50)
    ON CONFLICT (id) DO UPDATE SET (amount, state, "The 'Sn'", inst) = (excluded.amount, excluded.state, excluded."The 'Sn'", excluded.inst);
MERGE INTO ord USING (VALUES (3, 33), (6, 60)) s (id, amount) ON ord.id = s.id
    WHEN MATCHED THEN UPDATE SET amount = s.amount, "The 'Sn'" = NULL WHEN NOT MATCHED THEN INSERT (id, amount) VALUES (s.id, s.amount);
-- other columns are his own; what other triggers do to ours is kept out as well
CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.state := 'spoilt'; RETURN new; END $$;
CREATE TRIGGER spoil BEFORE UPDATE ON ord FOR EACH ROW EXECUTE FUNCTION spoil();
UPDATE ord SET amount = 44, other = 'mine' WHERE id = 4 RETURNING other;
DROP TRIGGER spoil ON ord;
RESET ROLE;
SELECT * FROM ok ORDER BY id;

-- superusers get through, and the next write-back mends it
UPDATE ord SET state = 'mine', "The 'Sn'" = NULL WHERE id = 1;
SELECT * FROM ok WHERE id = 1;
SELECT count(workflow.complete(w.serial_number)) FROM workflow.waiting w JOIN ord o ON o.inst = w.instance WHERE o.id = 1;
CALL test.until($$SELECT ok FROM ok WHERE id = 1$$);
-- write-backs get through, what the table's triggers do meanwhile does not
SET ROLE attach_keep_shop;
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() = 1 THEN
        UPDATE ord SET amount = amount + 1, state = 'meddled' WHERE id IN (2, 3);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER meddle AFTER UPDATE OF state ON ord FOR EACH ROW EXECUTE FUNCTION meddle();
RESET ROLE;
SELECT workflow.complete("The 'Sn'") FROM ord WHERE id = 3;
CALL test.until($$SELECT amount = 34 AND ok FROM ok WHERE id = 3$$);
SELECT * FROM ok WHERE id IN (2, 3) ORDER BY id;
DROP TRIGGER meddle ON ord;
-- nor what they do to that row, unless they come last: then it is owed
CREATE TRIGGER spoil BEFORE UPDATE ON ord FOR EACH ROW EXECUTE FUNCTION spoil();
SELECT workflow.complete("The 'Sn'") FROM ord WHERE id = 4;
CALL test.until($$SELECT ok FROM ok WHERE id = 4$$);
ALTER TRIGGER spoil ON ord RENAME TO zzzz_spoil;
SELECT workflow.complete("The 'Sn'") FROM ord WHERE id = 4;
CALL test.until($$SELECT count(error) = 1 FROM workflow.write_backs$$);
SELECT relation, business_key, error FROM workflow.write_backs;
SELECT ok FROM ok WHERE id = 4;
DROP TRIGGER zzzz_spoil ON ord;
SELECT workflow.write_back('ord') <= 1;
CALL test.until($$SELECT state = 'completed' AND "The 'Sn'" IS NULL FROM ord WHERE id = 4$$);

-- columns of several attachments
SELECT workflow.attach('ord', 'attach_keep: other', 'other') > 0 AS attached;
SET ROLE attach_keep_shop;
INSERT INTO ord (id) VALUES (7);
UPDATE ord SET other = NULL, inst = NULL, amount = 7;
RESET ROLE;
CREATE FUNCTION spoil_other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.other := 'spoilt'; RETURN new; END $$;
CREATE TRIGGER spoil BEFORE UPDATE ON ord FOR EACH ROW EXECUTE FUNCTION spoil_other();
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process = 'attach_keep' AND business_key = '7';
CALL test.until($$SELECT state = 'aborted' FROM ord WHERE id = 7$$);
DROP TRIGGER spoil ON ord;
SET ROLE attach_keep_shop;
SELECT count(*) FILTER (WHERE other LIKE '%\_%') AS others, count(inst) FROM ord;
RESET ROLE;
SELECT workflow.detach('ord', 'attach_keep');
SET ROLE attach_keep_shop;
UPDATE ord SET other = NULL, inst = NULL WHERE id = 7 RETURNING other IS NOT NULL AS other, inst;
RESET ROLE;
SELECT workflow.detach('ord');
SET ROLE attach_keep_shop;
UPDATE ord SET other = NULL WHERE id = 7 RETURNING other;
RESET ROLE;
-- a column can be renamed, and is kept no longer then; it can get another type, and be dropped
SELECT workflow.attach('ord', 'attach_keep: other', 'other', status_column => 'state') > 0 AS attached;
-- its instance is taken over
CALL test.until($$SELECT state = 'active' FROM ord WHERE id = 7$$);
ALTER TABLE ord RENAME other TO another;
DROP VIEW ok;
ALTER TABLE ord ALTER state TYPE text;
SET ROLE attach_keep_shop;
UPDATE ord SET another = 'mine', state = 'mine' WHERE id = 7 RETURNING another, state;
ALTER TABLE ord DROP another;
UPDATE ord SET state = 'mine' WHERE id = 7 RETURNING state;
RESET ROLE;

-- partitions, with columns in other places; a row that moves to another one is a new one
CREATE TABLE p (id int, region text, state text, sn text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE p_1 (sn text, region text NOT NULL, gone int, id int NOT NULL, state text);
ALTER TABLE p_1 DROP gone;
ALTER TABLE p ATTACH PARTITION p_1 FOR VALUES IN ('a');
ALTER TABLE p OWNER TO attach_keep_shop;
ALTER TABLE p_1 OWNER TO attach_keep_shop;
SELECT workflow.attach('p', 'attach_keep', 'sn', status_column => 'state') > 0 AS attached;
SELECT workflow.attach('p', 'attach_keep: other') > 0 AS attached;
CREATE TABLE p_2 PARTITION OF p FOR VALUES IN ('b');
ALTER TABLE p_2 OWNER TO attach_keep_shop;
SET ROLE attach_keep_shop;
INSERT INTO p VALUES (1, 'a'), (2, 'b');
UPDATE p SET sn = NULL, state = NULL;
UPDATE p_1 SET sn = '1_1';
SELECT id, state, sn <> '1_1' AS kept FROM p ORDER BY id;
SELECT sn AS before FROM p WHERE id = 1 \gset
UPDATE p SET region = 'b', sn = 'x' WHERE id = 1 RETURNING region, state, sn = :'before' AS same;
RESET ROLE;
-- called by nobody but our triggers
SELECT workflow_data.keep_columns();
CREATE TRIGGER wrong BEFORE INSERT ON p_1 FOR EACH ROW EXECUTE FUNCTION workflow_data.keep_columns('sn');
INSERT INTO p VALUES (3, 'a');
SET ROLE attach_keep_shop;
CREATE TABLE mine (id int);
CREATE TRIGGER wrong BEFORE UPDATE ON mine FOR EACH ROW EXECUTE FUNCTION workflow_data.keep_columns('id');
RESET ROLE;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA attach_keep CASCADE;
SELECT workflow.revoke_process(p, 'attach_keep_shop', 'start') FROM unnest('{attach_keep,attach_keep: other}'::text[]) p;
DROP OWNED BY attach_keep_shop;
DROP ROLE attach_keep_shop;
