-- Who may attach, and with whose rights rows start instances.

CREATE ROLE attach_author;
CREATE ROLE attach_shop;
CREATE ROLE attach_clerk;
CREATE SCHEMA attach_rights;
GRANT ALL ON SCHEMA attach_rights TO attach_shop, attach_author;
GRANT USAGE ON SCHEMA attach_rights TO attach_clerk;
GRANT USAGE ON SCHEMA workflow TO attach_author, attach_shop;
GRANT EXECUTE ON FUNCTION workflow.define, workflow.grant_process TO attach_author;
SET search_path = attach_rights;

SET ROLE attach_author;
SELECT workflow.define('attach_rights', '{"steps": [{"step": "wait", "wait": true}]}');
SET ROLE attach_shop;
CREATE TABLE orders (id int PRIMARY KEY, sn text);
GRANT INSERT, SELECT ON orders TO attach_clerk;
-- attaching is for authors, by the owner of the table, who may start the process
SELECT workflow.attach('orders', 'attach_rights', 'sn');
RESET ROLE;
GRANT EXECUTE ON FUNCTION workflow.attach, workflow.detach TO attach_shop, attach_author;
SET ROLE attach_author;
SELECT workflow.attach('orders', 'attach_rights', 'sn');
SET ROLE attach_shop;
SELECT workflow.attach('orders', 'attach_rights', 'sn');
-- not even by a superuser, if the owner may not
RESET ROLE;
SELECT workflow.attach('orders', 'attach_rights', 'sn');
SET ROLE attach_author;
SELECT workflow.grant_process('attach_rights', 'attach_shop', 'start');
SET ROLE attach_shop;
SELECT workflow.attach('orders', 'attach_rights', 'sn') > 0 AS attached;

-- whoever may insert starts instances, without a right on anything of ours
SET ROLE attach_clerk;
INSERT INTO orders VALUES (1), (2) RETURNING id, sn IS NOT NULL AS numbered;
SELECT workflow.complete('1_1');
RESET ROLE;
SELECT i.business_key FROM workflow.instances i WHERE process = 'attach_rights' ORDER BY 1;
-- until the owner of the table loses the right
SELECT workflow.revoke_process('attach_rights', 'attach_shop', 'start');
SET ROLE attach_clerk;
INSERT INTO orders VALUES (3);
RESET ROLE;
INSERT INTO orders VALUES (3);
INSERT INTO orders SELECT 3 WHERE false;
SELECT workflow.grant_process('attach_rights', 'attach_shop', 'start');

-- rows become JSON with the rights of the table's owner
SET ROLE attach_shop;
CREATE TYPE mood AS ENUM ('fine', 'bad');
CREATE TABLE who (who text);
CREATE FUNCTION mood_json(mood) RETURNS json LANGUAGE plpgsql SET search_path = attach_rights AS $$
BEGIN
    INSERT INTO who VALUES (current_user);
    RETURN to_json('a ' || $1::text || ' mood');
END $$;
CREATE CAST (mood AS json) WITH FUNCTION mood_json(mood);
CREATE TABLE moody (id int PRIMARY KEY, m mood, state text);
SELECT workflow.attach('moody', 'attach_rights', status_column => 'state', condition => '$.m != "x"') > 0 AS attached;
RESET ROLE;
INSERT INTO moody VALUES (1, 'fine') RETURNING state;
SELECT DISTINCT who FROM who;
SELECT data->'m' AS m FROM workflow.instances WHERE process = 'attach_rights' AND data ? 'm';
-- he adds partitions, which get our triggers
SET ROLE attach_shop;
CREATE TABLE parted (id int, region text, sn text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
SELECT workflow.attach('parted', 'attach_rights', 'sn', on_update => 'set_data', on_delete => 'cancel') > 0 AS attached;
CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a');
CREATE TABLE parted_b (LIKE parted INCLUDING ALL);
ALTER TABLE parted ATTACH PARTITION parted_b FOR VALUES IN ('b');
INSERT INTO parted VALUES (1, 'a'), (1, 'b');
RESET ROLE;
SELECT business_key FROM workflow.instances WHERE process = 'attach_rights' AND data ->> 'region' IN ('a', 'b') ORDER BY 1;
SET ROLE attach_shop;
DROP TABLE parted;
-- nobody's trigger but ours
CREATE TABLE other (id int PRIMARY KEY);
CREATE TRIGGER workflow_start AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION workflow_data.after_insert();
SELECT workflow.detach('orders');
SELECT workflow.detach('orders');

-- whoever administers a process gets rid of tables that he does not own; of what they start besides he does not
RESET ROLE;
SELECT workflow.define('attach_rights other', '{"steps": [{"step": "wait", "wait": true}]}');
SELECT workflow.grant_process('attach_rights other', 'attach_shop', 'start');
GRANT EXECUTE ON FUNCTION workflow.undefine TO attach_author;
SET ROLE attach_shop;
CREATE TABLE stays (id int PRIMARY KEY, sn text);
SELECT workflow.attach('stays', 'attach_rights') > 0 AS attached;
SELECT workflow.attach('stays', 'attach_rights other', 'sn') > 0 AS attached;
SET ROLE attach_author;
SELECT workflow.detach('moody');
SELECT workflow.undefine('attach_rights', force => true);
SELECT workflow.detach('stays', 'attach_rights other');
SELECT workflow.detach('stays');
SELECT workflow.detach('stays');
SELECT workflow.undefine('attach_rights', force => true);
SELECT tgname FROM pg_trigger WHERE tgrelid = 'stays'::regclass ORDER BY 1;
RESET ROLE;
INSERT INTO stays VALUES (1) RETURNING sn IS NOT NULL AS numbered;
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process = 'attach_rights other' AND ended_at IS NULL;

SET client_min_messages = warning;
DROP SCHEMA attach_rights CASCADE;
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process = 'attach_rights' AND ended_at IS NULL;
DELETE FROM workflow_data.process WHERE process IN ('attach_rights', 'attach_rights other');
DROP OWNED BY attach_author, attach_shop, attach_clerk;
DROP ROLE attach_author, attach_shop, attach_clerk;
