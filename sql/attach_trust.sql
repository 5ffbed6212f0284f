-- What a table brings with it of other roles does not get the rights of its owner.

CREATE ROLE attach_trust_owner;
CREATE ROLE attach_trust_dev;
CREATE ROLE attach_trust_member IN ROLE attach_trust_owner;
CREATE SCHEMA attach_trust;
GRANT ALL ON SCHEMA attach_trust TO attach_trust_owner, attach_trust_dev;
SET search_path = attach_trust;
-- who has run as whom: that of the owner of the table should stay empty
CREATE TABLE ran (what text, as_whom name);
GRANT ALL ON ran TO attach_trust_owner, attach_trust_dev;
SELECT workflow.define('attach_trust', '{"steps": [{"step": "one", "wait": true}]}');
SELECT workflow.grant_process('attach_trust', 'attach_trust_owner', 'start');

SET ROLE attach_trust_dev;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TYPE pair AS (a int, m mood);
CREATE FUNCTION mood_json(mood) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO attach_trust.ran VALUES ('cast', current_user);
    RETURN '{"evil": true}';
END $$;
CREATE FUNCTION norm(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN lower(t); END $$;
CREATE FUNCTION check_it(text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO attach_trust.ran VALUES ('check', current_user);
    RETURN true;
END $$;
CREATE FUNCTION on_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO attach_trust.ran VALUES ('trigger', current_user);
    RETURN new;
END $$;
CREATE FUNCTION same(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2';
CREATE OPERATOR === (FUNCTION = same, LEFTARG = text, RIGHTARG = text);
CREATE DOMAIN label AS text;
CREATE VIEW v AS SELECT 1 AS one;
GRANT SELECT ON v TO PUBLIC;
RESET ROLE;

-- casts that come before, and after: such columns are text, alone and within others
CREATE TABLE t (id int PRIMARY KEY, m mood, ms mood[], p pair, d timestamptz, state text);
ALTER TABLE t OWNER TO attach_trust_owner;
SELECT workflow.attach('t', 'attach_trust', status_column => 'state', condition => '$.m.type() == "string" && $.m == "good"') > 0 AS attached;
INSERT INTO t (id, m, ms, p) VALUES (1, 'good', '{good,bad}', '(1,bad)');
SET ROLE attach_trust_dev;
CREATE CAST (mood AS json) WITH FUNCTION mood_json(mood);
RESET ROLE;
INSERT INTO t (id, m, ms, p) VALUES (2, 'good', '{good,bad}', '(1,bad)'), (3, 'bad', NULL, NULL) RETURNING id, state;
SELECT workflow.detach('t');
SELECT workflow.attach('t', 'attach_trust', status_column => 'state', condition => '$.m.type() == "string" && $.m == "good"') > 0 AS attached;
SELECT business_key, data FROM workflow.instances WHERE process = 'attach_trust' ORDER BY 1;
SELECT * FROM ran;
-- one that has come to belong to the owner counts, as it does once its owner may act for him
ALTER FUNCTION mood_json(mood) OWNER TO attach_trust_owner;
INSERT INTO t (id, m) VALUES (4, 'good') RETURNING state;
SELECT * FROM ran;
TRUNCATE ran;
ALTER FUNCTION mood_json(mood) OWNER TO attach_trust_dev;
INSERT INTO t (id, m) VALUES (5, 'good') RETURNING state;
GRANT attach_trust_owner TO attach_trust_dev;
INSERT INTO t (id, m) VALUES (6, 'good') RETURNING state;
REVOKE attach_trust_owner FROM attach_trust_dev;
INSERT INTO t (id, m) VALUES (7, 'good') RETURNING state;
SELECT * FROM ran;
TRUNCATE ran;
-- where the columns after it are in a row is not where they were
CREATE TABLE behind (id int PRIMARY KEY, m mood, note text, state text);
SELECT workflow.attach('behind', 'attach_trust', status_column => 'state') > 0 AS attached;
INSERT INTO behind VALUES (21, 'good', 'behind it') RETURNING state;
SELECT note FROM behind;
INSERT INTO behind VALUES (22, 'bad', 'behind it, too') RETURNING state;
SELECT business_key, data FROM workflow.instances WHERE process = 'attach_trust' AND business_key IN ('21', '22') ORDER BY 1;
DROP CAST (mood AS json);

-- generated columns are worked out as whoever inserts
CREATE FUNCTION who(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN current_user; END $$;
CREATE TABLE generating (id int PRIMARY KEY, t text, n text GENERATED ALWAYS AS (who(t)) STORED, state text);
ALTER TABLE generating OWNER TO attach_trust_owner;
GRANT INSERT, SELECT ON generating TO attach_trust_dev;
SELECT workflow.attach('generating', 'attach_trust', status_column => 'state', condition => '$.n == "attach_trust_dev"') > 0 AS attached;
SET ROLE attach_trust_dev;
INSERT INTO generating VALUES (1, 'x') RETURNING n, state;
SET ROLE attach_trust_owner;
INSERT INTO generating VALUES (2, 'x') RETURNING n, state;
RESET ROLE;

-- what an UPDATE runs
CREATE FUNCTION try(change text, columns text DEFAULT 'id int PRIMARY KEY, state text, t text', trust boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
BEGIN
    EXECUTE format('CREATE TABLE attach_trust.tried (%s)', columns);
    ALTER TABLE attach_trust.tried OWNER TO attach_trust_owner;
    EXECUTE change;
    PERFORM workflow.attach('attach_trust.tried', 'attach_trust', status_column => 'state', trust => try.trust);
    RAISE SQLSTATE 'ZZZZZ'; -- away with it all
EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
    RETURN 'attached';
WHEN insufficient_privilege THEN
    GET STACKED DIAGNOSTICS message = PG_EXCEPTION_DETAIL;
    RETURN substring(message FROM 'change, (.*), with');
END $$;
SELECT try('SELECT');
SELECT try('CREATE TRIGGER x BEFORE UPDATE ON tried FOR EACH ROW EXECUTE FUNCTION on_update()');
SELECT try('CREATE TRIGGER x AFTER UPDATE OF t ON tried FOR EACH STATEMENT EXECUTE FUNCTION on_update()');
SELECT try('CREATE CONSTRAINT TRIGGER x AFTER UPDATE ON tried DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION on_update()');
SELECT try('CREATE TRIGGER x BEFORE UPDATE ON tried FOR EACH ROW WHEN (check_it(new.t)) EXECUTE FUNCTION suppress_redundant_updates_trigger()');
SELECT try('CREATE TRIGGER x BEFORE INSERT OR DELETE ON tried FOR EACH ROW EXECUTE FUNCTION on_update()');
SELECT try('CREATE TRIGGER x BEFORE UPDATE ON tried FOR EACH ROW EXECUTE FUNCTION on_update(); ALTER TABLE tried DISABLE TRIGGER x');
SELECT try('ALTER TABLE tried ADD CHECK (check_it(t)) NOT VALID');
SELECT try('ALTER TABLE tried ADD CHECK (t === t)');
SELECT try('ALTER TABLE tried ALTER t SET DEFAULT norm(''x'')');
SELECT try('ALTER TABLE tried ADD g text GENERATED ALWAYS AS (norm(t)) STORED');
SELECT try('CREATE INDEX ON tried (norm(t))');
SELECT try('CREATE INDEX ON tried (t) WHERE norm(t) = ''x''');
SELECT try('CREATE POLICY p ON tried USING (check_it(t)); ALTER TABLE tried ENABLE ROW LEVEL SECURITY');
SELECT try('CREATE POLICY p ON tried USING (check_it(t)); ALTER TABLE tried ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY');
SELECT try('CREATE POLICY p ON tried USING (EXISTS (SELECT FROM v)); ALTER TABLE tried ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY');
SELECT try('CREATE RULE r AS ON UPDATE TO tried DO ALSO INSERT INTO ran VALUES (norm(new.t), ''x'')');
-- the owner of a domain can bring a check to it at any moment
SELECT try('SELECT', 'id int PRIMARY KEY, state label');
SELECT try('SELECT', 'id label PRIMARY KEY, state text');
SELECT try('SELECT', 'id int PRIMARY KEY, state text, t label');
SELECT try('ALTER TABLE tried ADD CHECK (t::label <> ''x'')');
SELECT try('CREATE DOMAIN inner_label AS label; ALTER TABLE tried ALTER state TYPE inner_label');
BEGIN;
ALTER DOMAIN label ADD CONSTRAINT c CHECK (check_it(value));
SELECT try('SELECT', 'id int PRIMARY KEY, state label');
SELECT try('SELECT', 'id label PRIMARY KEY, state text');
SELECT try('SELECT', 'id int PRIMARY KEY, state text, t label');
SELECT try('ALTER TABLE tried ADD g label GENERATED ALWAYS AS (lower(t)) STORED');
SELECT try('CREATE DOMAIN inner_label AS label; ALTER TABLE tried ALTER state TYPE inner_label');
ROLLBACK;
-- what runs with rights of its own can still set search_path for the owner's code that runs after it
BEGIN;
ALTER FUNCTION on_update() SECURITY DEFINER;
SELECT try('CREATE TRIGGER x BEFORE UPDATE ON tried FOR EACH ROW EXECUTE FUNCTION on_update()');
ROLLBACK;
ALTER DOMAIN label OWNER TO attach_trust_member;
-- what a foreign key passes on: triggers of the other table run as whoever updates the first one, afterwards
CREATE FUNCTION refer(action text, of text DEFAULT 'state', owner text DEFAULT 'attach_trust_dev', trigger boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
    SELECT format('ALTER TABLE tried ADD UNIQUE (state), ADD UNIQUE (t); CREATE TABLE refers (r label REFERENCES tried (%I) ON UPDATE %s); ALTER TABLE refers OWNER TO %I', of, action, owner)
        || CASE WHEN trigger THEN '; CREATE TRIGGER x AFTER UPDATE ON refers FOR EACH ROW EXECUTE FUNCTION on_update()' ELSE '' END $$;
CREATE FUNCTION tries(change text) RETURNS text LANGUAGE sql AS $$ SELECT try(change, 'id int PRIMARY KEY, state label, t label') $$;
SELECT tries(refer('CASCADE')), tries(refer('SET NULL')), tries(refer('SET DEFAULT'));
SELECT tries(refer('NO ACTION')), tries(refer('RESTRICT')), tries(refer('CASCADE', 't'));
SELECT tries(refer('CASCADE', owner => 'attach_trust_owner')), tries(refer('CASCADE', owner => 'attach_trust_owner', trigger => true));
SELECT tries(refer('CASCADE', owner => 'attach_trust_member')
    || '; ALTER TABLE refers ADD UNIQUE (r); CREATE TABLE next (r label REFERENCES refers (r) ON UPDATE CASCADE); ALTER TABLE next OWNER TO attach_trust_dev');
-- but who may act as the owner anyhow
BEGIN;
ALTER FUNCTION on_update() OWNER TO attach_trust_member;
SELECT try('CREATE TRIGGER x BEFORE UPDATE ON tried FOR EACH ROW EXECUTE FUNCTION on_update()');
ROLLBACK;
SELECT try('CREATE TRIGGER x BEFORE UPDATE ON tried FOR EACH ROW EXECUTE FUNCTION on_update()', trust => true);
-- the whole message; a table that shows nothing is not written to
CREATE TABLE plain (id int PRIMARY KEY, state text);
CREATE TRIGGER x BEFORE UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION on_update();
SELECT workflow.attach('plain', 'attach_trust', status_column => 'state');
SELECT workflow.attach('plain', 'attach_trust') > 0 AS attached;
-- a partition's own
CREATE TABLE parent (id int PRIMARY KEY, state text) PARTITION BY RANGE (id);
CREATE TABLE child PARTITION OF parent FOR VALUES FROM (0) TO (10);
CREATE TRIGGER x BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION on_update();
SELECT workflow.attach('parent', 'attach_trust', status_column => 'state');
DROP TRIGGER x ON child;
SELECT workflow.attach('parent', 'attach_trust', status_column => 'state') > 0 AS attached;

-- what comes later is found before it is run, and the row is owed
CREATE TABLE later (id label PRIMARY KEY, state text);
ALTER TABLE later OWNER TO attach_trust_owner;
GRANT TRIGGER ON later TO attach_trust_dev;
SELECT workflow.attach('later', 'attach_trust', status_column => 'state') > 0 AS attached;
INSERT INTO later VALUES (1), (2), (3);
INSERT INTO parent VALUES (1), (2);
CREATE FUNCTION finish(relation text, key text) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(workflow.complete(w.serial_number)) FROM workflow.waiting w JOIN workflow.instances i USING (instance)
        JOIN workflow_data.instance n ON n.instance = i.instance JOIN workflow_data.attachment a ON a.attachment = n.attachment
    WHERE a.relation = to_regclass(finish.relation) AND i.business_key = finish.key $$;
SELECT finish('later', '1'), finish('parent', '1');
CALL test.until($$SELECT state = 'completed' FROM later WHERE id = '1'$$);
CALL test.until($$SELECT state = 'completed' FROM parent WHERE id = 1$$);
SET ROLE attach_trust_dev;
CREATE TRIGGER x BEFORE UPDATE ON later FOR EACH ROW EXECUTE FUNCTION on_update();
RESET ROLE;
CREATE TRIGGER x BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION on_update();
SELECT finish('later', '2'), finish('parent', '2');
CALL test.until($$SELECT count(error) = 2 FROM workflow.write_backs$$);
SELECT relation, business_key, error FROM workflow.write_backs ORDER BY 1;
SELECT * FROM ran;
-- nor is it run after a look for it that has failed
BEGIN;
LOCK TABLE pg_policy;
DO $$ BEGIN
    FOR i IN 1 .. 1000 LOOP
        EXIT WHEN EXISTS (SELECT FROM workflow.write_backs WHERE relation = 'later'::regclass AND error LIKE '%lock timeout%');
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
COMMIT;
SELECT workflow.write_back('later') <= 1;
CALL test.until($$SELECT error NOT LIKE '%lock timeout%' FROM workflow.write_backs WHERE relation = 'later'::regclass$$);
SELECT relation, business_key, error FROM workflow.write_backs WHERE relation = 'later'::regclass;
SELECT * FROM ran;
DROP TRIGGER x ON later;
ALTER FUNCTION on_update() OWNER TO CURRENT_USER;
SELECT workflow.write_back('later') <= 1, workflow.write_back('parent') <= 1;
CALL test.until($$SELECT state = 'completed' FROM later WHERE id = '2'$$);
CALL test.until($$SELECT state = 'completed' FROM parent WHERE id = 2$$);
SELECT what FROM ran;
TRUNCATE ran;
-- a table of somebody else to which a foreign key passes it on, and a trigger of his on one of the owner's
CREATE TABLE keyed (id int PRIMARY KEY, state text UNIQUE);
CREATE TABLE follower (r text REFERENCES keyed (state) ON UPDATE CASCADE);
ALTER TABLE keyed OWNER TO attach_trust_owner;
ALTER TABLE follower OWNER TO attach_trust_owner;
GRANT REFERENCES ON keyed TO attach_trust_dev;
GRANT TRIGGER ON follower TO attach_trust_dev;
SELECT workflow.attach('keyed', 'attach_trust', status_column => 'state') > 0 AS attached;
INSERT INTO keyed VALUES (1);
INSERT INTO follower SELECT state FROM keyed;
SELECT finish('keyed', '1');
CALL test.until($$SELECT r = 'completed' FROM follower$$);
DELETE FROM follower;
DELETE FROM keyed;
INSERT INTO keyed VALUES (2);
ALTER FUNCTION on_update() OWNER TO attach_trust_dev;
SET ROLE attach_trust_dev;
CREATE TRIGGER x AFTER UPDATE ON follower FOR EACH ROW EXECUTE FUNCTION on_update();
RESET ROLE;
SELECT finish('keyed', '2');
CALL test.until($$SELECT count(error) = 1 FROM workflow.write_backs$$);
SELECT relation, business_key, error FROM workflow.write_backs;
DROP TRIGGER x ON follower;
SET ROLE attach_trust_dev;
CREATE TABLE stranger (r text REFERENCES keyed (state) ON UPDATE CASCADE);
RESET ROLE;
SELECT workflow.write_back('keyed') <= 1;
CALL test.until($$SELECT error LIKE '%stranger%' FROM workflow.write_backs$$);
SELECT relation, business_key, error FROM workflow.write_backs;
DROP TABLE stranger;
SELECT workflow.write_back('keyed') <= 1;
CALL test.until($$SELECT state = 'completed' FROM keyed WHERE id = 2$$);
SELECT * FROM ran;
-- a domain that has come to belong to somebody else, and the constraint that he adds
ALTER DOMAIN label OWNER TO attach_trust_dev;
SELECT finish('later', '3');
CALL test.until($$SELECT count(error) = 1 FROM workflow.write_backs$$);
SELECT relation, business_key, error FROM workflow.write_backs;
SET ROLE attach_trust_dev;
ALTER DOMAIN label ADD CONSTRAINT c CHECK (check_it(value)) NOT VALID;
RESET ROLE;
SELECT workflow.write_back('later') <= 1;
CALL test.until($$SELECT error LIKE '%check_it%' FROM workflow.write_backs$$);
SELECT relation, business_key, error FROM workflow.write_backs;
SELECT * FROM ran;
SELECT workflow.detach('later');

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA attach_trust CASCADE;
SELECT workflow.revoke_process('attach_trust', 'attach_trust_owner', 'start');
DROP OWNED BY attach_trust_owner, attach_trust_dev, attach_trust_member;
DROP ROLE attach_trust_owner, attach_trust_dev, attach_trust_member;
