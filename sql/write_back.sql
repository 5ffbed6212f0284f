-- What rows show of their instances, later on.

CREATE ROLE write_back_shop;
CREATE SCHEMA write_back AUTHORIZATION write_back_shop;
SET search_path = write_back;
-- all that was to be written is written, or owed
CREATE FUNCTION idle() RETURNS boolean LANGUAGE sql AS
    $$SELECT NOT EXISTS (SELECT FROM workflow.write_backs WHERE error IS NULL)$$;

SELECT workflow.define('write_back', '{"steps": [{"step": "mark", "set": {"marked": true}}, {"step": "first", "wait": true},
    {"step": "second", "wait": true, "catch": [{"on": "again", "next": "first"}]},
    {"step": "sleep", "wait": {"after": "10 ms"}}, {"step": "third", "wait": true}]}');
CREATE TABLE orders (a text, b timestamptz, sn varchar(40), state char(20), inst numeric, touched int DEFAULT 0, note text, PRIMARY KEY (a, b));
ALTER TABLE orders OWNER TO write_back_shop;
SELECT workflow.grant_process('write_back', 'write_back_shop', 'start');
SELECT workflow.attach('orders', 'write_back', 'sn', status_column => 'state', instance_column => 'inst') > 0 AS attached;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.touched := old.touched + 1;
    new.note := concat_ws(' ', current_user, session_user, current_setting('is_superuser'), current_setting('search_path'));
    RETURN new;
END $$;
CREATE TRIGGER touch BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();

-- the first step is not the wait itself: its number comes a moment later
SET TimeZone = 'Asia/Tokyo';
INSERT INTO orders (a, b) VALUES ('x "1"', '2024-01-01') RETURNING sn, state, inst IS NOT NULL AS has_instance;
RESET TimeZone;
CALL test.until($$SELECT test.shows(sn) = 'first' FROM orders$$);
SELECT workflow.complete(sn) FROM orders;
CALL test.until($$SELECT test.shows(sn) = 'second' FROM orders$$);
SELECT workflow.fail(sn, 'again') FROM orders;
CALL test.until($$SELECT test.shows(sn) = 'first' FROM orders$$);
SELECT workflow.complete(sn) FROM orders;
CALL test.until($$SELECT test.shows(sn) = 'second' FROM orders$$);
SELECT sn AS second FROM orders \gset
SELECT workflow.fail(sn) FROM orders;
CALL test.until($$SELECT state = 'failed' FROM orders$$);
SELECT sn FROM orders;
SELECT workflow.skip(:'second') IS NOT NULL AS skipped;
CALL test.until($$SELECT test.shows(sn) = 'third' AND state = 'active' FROM orders$$);
SELECT workflow.complete(sn) FROM orders;
CALL test.until($$SELECT state = 'completed' FROM orders$$);
SELECT sn, state, inst IS NOT NULL AS has_instance, note FROM orders;

-- nothing is written that is there already
CREATE TABLE quiet (id int PRIMARY KEY, sn text, state text, n int DEFAULT 0);
CREATE FUNCTION count_update() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.n := old.n + 1; RETURN new; END $$;
CREATE TRIGGER n BEFORE UPDATE ON quiet FOR EACH ROW EXECUTE FUNCTION count_update();
SELECT workflow.define('write_back: two', '{"steps": [{"step": "one", "wait": true}, {"step": "two", "wait": true}]}');
SELECT workflow.attach('quiet', 'write_back: two', 'sn', status_column => 'state') > 0 AS attached;
INSERT INTO quiet SELECT g FROM generate_series(1, 3) g;
BEGIN;
INSERT INTO quiet VALUES (4);
SELECT count(*) FROM workflow_data.delivery WHERE kind = 'write_back';
COMMIT;
SELECT workflow.complete(sn) FROM quiet WHERE id = 1;
CALL test.until($$SELECT test.shows(sn) = 'two' FROM quiet WHERE id = 1$$);
SELECT id, n FROM quiet ORDER BY id;
-- both steps in one transaction
BEGIN;
SELECT workflow.complete(sn) FROM quiet WHERE id = 2;
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE process = 'write_back: two' AND instance = (SELECT split_part(sn, '_', 1)::bigint FROM quiet WHERE id = 2);
COMMIT;
CALL test.until($$SELECT state = 'completed' AND sn IS NULL FROM quiet WHERE id = 2$$);
SELECT workflow.cancel(split_part(sn, '_', 1)::bigint) FROM quiet WHERE id = 3;
CALL test.until($$SELECT state = 'aborted' AND sn IS NULL FROM quiet WHERE id = 3$$);

-- a row that comes back shows the instance that its key has
SELECT sn AS kept FROM quiet WHERE id = 4 \gset
DELETE FROM quiet WHERE id = 4;
INSERT INTO quiet VALUES (4);
CALL test.until($$SELECT idle()$$);
SELECT sn = :'kept' AS kept, state FROM quiet WHERE id = 4;
-- one whose key belongs to another instance by now is left alone
DELETE FROM quiet WHERE id = 2;
INSERT INTO quiet VALUES (2);
SELECT instance AS old FROM workflow.instances WHERE process = 'write_back: two' AND status = 'completed' AND business_key = '2' \gset
INSERT INTO workflow_data.delivery (instance, visit, due_at, kind, queue)
	SELECT :old, 0, now(), 'write_back', 'executor table ' || attachment FROM workflow_data.attachment WHERE relation = 'quiet'::regclass;
SELECT workflow.complete(sn) FROM quiet WHERE id = 4;
CALL test.until($$SELECT idle()$$);
SELECT test.shows(sn), state FROM quiet WHERE id = 2;

-- what stands in the way of one row does not hold up another
CREATE TABLE strict (id int PRIMARY KEY, sn text, state text CHECK (state IS DISTINCT FROM 'completed' OR id <> 1));
SELECT workflow.define('write_back: one', '{"steps": [{"step": "one", "wait": true}]}');
SELECT workflow.attach('strict', 'write_back: one', 'sn', status_column => 'state') > 0 AS attached;
INSERT INTO strict VALUES (1), (2), (3);
SELECT count(workflow.complete(sn)) FROM strict;
CALL test.until($$SELECT count(*) = 2 FROM strict WHERE state = 'completed'$$);
CALL test.until($$SELECT idle()$$);
SELECT id, sn IS NOT NULL AS still_numbered, state FROM strict ORDER BY id;
SELECT relation, process, business_key, since <= now() AS since, error FROM workflow.write_backs;
-- it is owed until it can be done
ALTER TABLE strict DROP CONSTRAINT strict_check;
SELECT workflow.write_back('strict') <= 1 AS tried;
CALL test.until($$SELECT state = 'completed' AND sn IS NULL FROM strict WHERE id = 1$$);
-- deferred triggers run at once, as the owner; what defers again is refused
CREATE TABLE deferring (id int PRIMARY KEY, state text, sn text);
ALTER TABLE deferring OWNER TO write_back_shop;
CREATE TABLE who (who text);
ALTER TABLE who OWNER TO write_back_shop;
SELECT workflow.grant_process('write_back: one', 'write_back_shop', 'start');
CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql SET search_path = write_back AS $$
BEGIN
    IF new.id = 2 THEN
        SET CONSTRAINTS ALL DEFERRED;
    END IF;
    INSERT INTO who VALUES (new.id || ' ' || TG_NAME || ' ' || current_user);
    IF TG_NAME = 'a' THEN
        UPDATE deferring SET state = state WHERE id = new.id;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER a AFTER UPDATE ON deferring DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (old.state IS DISTINCT FROM new.state) EXECUTE FUNCTION later();
CREATE CONSTRAINT TRIGGER b AFTER UPDATE ON deferring DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (old.state IS NOT DISTINCT FROM new.state) EXECUTE FUNCTION later();
SELECT workflow.attach('deferring', 'write_back: one', 'sn', status_column => 'state') > 0 AS attached;
INSERT INTO deferring VALUES (1), (2);
SELECT count(workflow.complete(sn)) FROM deferring;
CALL test.until($$SELECT state = 'completed' FROM deferring WHERE id = 1$$);
CALL test.until($$SELECT idle()$$);
SELECT id, state FROM deferring ORDER BY id;
SELECT who FROM who ORDER BY 1;

-- rows, columns and tables that are gone
INSERT INTO quiet SELECT unnest('{11,12,13,15}'::int[]);
CREATE TABLE numbers AS SELECT id, sn FROM quiet WHERE id > 10;
DELETE FROM quiet WHERE id = 11;
SELECT workflow.complete(sn) FROM numbers WHERE id = 11;
CALL test.until($$SELECT idle()$$);
-- what a renamed column should show is owed until it has its name back
ALTER TABLE quiet RENAME sn TO serial;
SELECT workflow.cancel(split_part(sn, '_', 1)::bigint) FROM numbers WHERE id = 15;
CALL test.until($$SELECT state = 'aborted' FROM quiet WHERE id = 15$$);
CALL test.until($$SELECT error IS NOT NULL FROM workflow.write_backs WHERE business_key = '15'$$);
SELECT relation, business_key, error FROM workflow.write_backs WHERE business_key = '15';
SELECT serial IS NULL AS done FROM quiet WHERE id = 15;
ALTER TABLE quiet RENAME serial TO sn;
SELECT workflow.write_back('quiet') <= 1;
CALL test.until($$SELECT sn IS NULL FROM quiet WHERE id = 15$$);
CALL test.until($$SELECT idle()$$);
ALTER TABLE quiet DROP COLUMN sn;
SELECT workflow.cancel(split_part(sn, '_', 1)::bigint) FROM numbers WHERE id = 12;
CALL test.until($$SELECT state = 'aborted' FROM quiet WHERE id = 12$$);
INSERT INTO quiet VALUES (14) RETURNING state;
DROP TABLE quiet;
SELECT workflow.complete(sn) FROM numbers WHERE id = 13;
CALL test.until($$SELECT idle()$$);
-- another table under the same OID is no attached one
CREATE TABLE stranger (id int PRIMARY KEY, state text DEFAULT 'mine');
INSERT INTO stranger VALUES (13);
UPDATE workflow_data.attachment SET relation = 'stranger'::regclass FROM workflow_data.process p
WHERE p.process_id = attachment.process_id AND p.process = 'write_back: two';
SELECT workflow.cancel(split_part(sn, '_', 1)::bigint) FROM numbers WHERE id = 13;
CALL test.until($$SELECT idle()$$);
SELECT * FROM stranger;
INSERT INTO stranger VALUES (14);
SELECT workflow.attach('stranger', 'write_back: two', status_column => 'state') > 0 AS attached;

-- partitions
CREATE TABLE p (id int, region text, state text, sn text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE p_1 (sn text, region text NOT NULL, id int NOT NULL, state text);
ALTER TABLE p ATTACH PARTITION p_1 FOR VALUES IN ('a');
SELECT workflow.attach('p', 'write_back: one', 'sn', status_column => 'state') > 0 AS attached;
INSERT INTO p_1 (id, region) VALUES (1, 'a');
SELECT workflow.complete(sn) FROM p;
CALL test.until($$SELECT state = 'completed' AND sn IS NULL FROM p$$);

-- a step that is asked for: shown as long as it lives
CREATE TABLE asked (id int PRIMARY KEY, sn text, other text);
SELECT workflow.attach('asked', 'write_back: two', 'sn', serial_step => 'two') > 0 AS attached;
SELECT workflow.define('write_back: asked', '{"steps": [{"step": "work", "sql": "SELECT 1", "wait": {"callback": true, "when": "$.id == 2"}, "next": "rest"},
    {"step": "rest", "wait": true}]}');
SELECT workflow.attach('asked', 'write_back: asked', 'other', serial_step => 'work') > 0 AS attached;
BEGIN;
INSERT INTO asked VALUES (1), (2) RETURNING sn, other IS NOT NULL AS numbered;
SELECT v.step, v.state FROM workflow.visits v JOIN asked a ON a.other = v.serial_number;
COMMIT;
CALL test.until($$SELECT other IS NULL FROM asked WHERE id = 1$$);
CALL test.until($$SELECT v.state = 'waiting' FROM workflow.visits v JOIN asked a ON a.other = v.serial_number WHERE a.id = 2$$);
SELECT workflow.complete(other) FROM asked WHERE id = 2;
CALL test.until($$SELECT count(*) = 2 FROM asked WHERE other IS NULL$$);
SELECT count(workflow.complete(w.serial_number)) FROM workflow.waiting w WHERE w.process = 'write_back: two' AND w.step = 'one';
CALL test.until($$SELECT bool_and(coalesce(test.shows(sn) = 'two', false)) FROM asked$$);
SELECT workflow.complete(sn) FROM asked;
CALL test.until($$SELECT bool_and(sn IS NULL) FROM asked$$);

CALL test.until($$SELECT idle()$$);
SET client_min_messages = warning;
DROP SCHEMA write_back CASCADE;
SELECT workflow.revoke_process('write_back', 'write_back_shop', 'start'), workflow.revoke_process('write_back: one', 'write_back_shop', 'start');
DROP OWNED BY write_back_shop;
DROP ROLE write_back_shop;
