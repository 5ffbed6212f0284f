-- What the table's own code calls by names without a schema is found in a write-back as where the table was attached.

CREATE SCHEMA write_back_path;
CREATE SCHEMA write_back_lib;
SET search_path = write_back_path, write_back_lib;
SELECT workflow.define('write_back_path', '{"steps": [{"step": "one", "wait": true}]}');

-- an operator and a function of another schema, as an extension brings them
CREATE FUNCTION write_back_lib.louder(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT upper($1) || $2$$;
CREATE OPERATOR write_back_lib.|+| (FUNCTION = write_back_lib.louder, LEFTARG = text, RIGHTARG = text);
CREATE FUNCTION helper(text) RETURNS text LANGUAGE sql AS $$SELECT 'helped: ' || $1$$;
CREATE TABLE states (state text PRIMARY KEY);
INSERT INTO states VALUES ('active'), ('completed');
CREATE FUNCTION is_known(wanted text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (SELECT FROM states s WHERE s.state = wanted);
END $$;
CREATE TABLE orders (id int PRIMARY KEY, state text CHECK (is_known(state)), sn text, loud text, helped text);
CREATE TABLE orders_audit (id int, state text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.loud := new.state |+| '!';
    new.helped := helper(new.state);
    RETURN new;
END $$;
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO orders_audit VALUES (new.id, new.state);
    RETURN NULL;
END $$;
CREATE TRIGGER tell BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER audit AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION audit();
SELECT workflow.attach('orders', 'write_back_path', 'sn', status_column => 'state') > 0 AS attached;

-- whatever the path of those who complete
INSERT INTO orders (id) VALUES (1);
SET search_path = pg_catalog;
SELECT workflow.complete(sn) FROM write_back_path.orders;
CALL test.until($$SELECT state = 'completed' FROM write_back_path.orders$$);
SET search_path = write_back_path, write_back_lib;
SELECT id, state, sn, loud, helped FROM orders;
SELECT * FROM orders_audit;

-- casts that make JSON of a row too; a temporary table of the same name captures nothing
CREATE TYPE shade AS ENUM ('dark', 'light');
CREATE FUNCTION shade_json(shade) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    RETURN to_json(helper($1::text));
END $$;
CREATE CAST (shade AS json) WITH FUNCTION shade_json(shade);
CREATE TABLE shaded (id regclass PRIMARY KEY, shade shade, state text);
SELECT workflow.attach('shaded', 'write_back_path', status_column => 'state') > 0 AS attached;
SET search_path = pg_temp, pg_catalog;
CREATE FUNCTION pg_temp.helper(text) RETURNS text LANGUAGE sql AS $$SELECT 'captured'$$;
INSERT INTO write_back_path.shaded VALUES ('write_back_path.states', 'dark');
SELECT business_key, data ->> 'shade' AS shade FROM workflow.instances WHERE process = 'write_back_path' AND status = 'active';
-- a key whose text depends on the path is found again all the same
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process = 'write_back_path' AND status = 'active';
CALL test.until($$SELECT state = 'aborted' FROM write_back_path.shaded$$);

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA write_back_path, write_back_lib CASCADE;
