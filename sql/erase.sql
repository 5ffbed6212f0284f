-- An ended instance goes, with all that it has left behind, and nothing else does.

CREATE ROLE erase_shop;
CREATE ROLE erase_reader;
GRANT USAGE ON SCHEMA workflow TO erase_shop, erase_reader;
CREATE SCHEMA erase AUTHORIZATION erase_shop;
SET search_path = erase;
SELECT workflow.define('erase', '{"steps": [
    {"step": "try", "sql": "SELECT 1 / (visit.attempt - 1)", "retry": {"max": 1, "on": ["22012"]}, "catch": [{"on": "*", "next": "stand"}]},
    {"step": "stand", "wait": true}]}');
SELECT workflow.grant_process('erase', 'erase_reader', 'view');
SELECT workflow.grant_process('erase', 'erase_shop', 'start');
CREATE TABLE orders (id int PRIMARY KEY, state text);
ALTER TABLE orders OWNER TO erase_shop;
SELECT workflow.attach('orders', 'erase', status_column => 'state') > 0 AS attached;

-- two of a kind, whose serial numbers begin alike
INSERT INTO orders VALUES (1), (2);
CALL test.until($$SELECT count(*) = 2 FROM workflow.waiting WHERE process = 'erase'$$);
SELECT instance AS gone, serial_number AS sn FROM workflow.waiting WHERE process = 'erase' AND instance = (SELECT instance FROM workflow.instances WHERE process = 'erase' AND business_key = '1') \gset
SELECT instance AS kept FROM workflow.instances WHERE process = 'erase' AND business_key = '2' \gset
-- messages have numbers
\set VERBOSITY sqlstate
SELECT workflow.erase(:gone);
CALL test.until($$SELECT count(*) = 0 FROM workflow.write_backs WHERE process = 'erase'$$);
-- what is owed to its row, too
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
ALTER FUNCTION refuse() OWNER TO erase_shop;
CREATE TRIGGER refuse BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT count(workflow.complete(serial_number)) FROM workflow.waiting WHERE process = 'erase';
SELECT workflow.complete(:'sn', '{"too_late": true}') FROM generate_series(1, 3);
CALL test.until($$SELECT count(error) = 2 FROM workflow.write_backs WHERE process = 'erase'$$);

CREATE FUNCTION remains() RETURNS TABLE (what text, number bigint) LANGUAGE sql AS $$
    SELECT 'instances', count(*) FROM workflow.instances WHERE process = 'erase' UNION ALL
    SELECT 'history', count(*) FROM workflow.history WHERE process = 'erase' UNION ALL
    SELECT 'attempts', count(*) FROM workflow.attempts a JOIN workflow.history h USING (serial_number) WHERE h.process = 'erase' UNION ALL
    SELECT 'late callbacks', count(*) FROM workflow.late_callbacks l WHERE l.data ? 'too_late' UNION ALL
    SELECT 'write-backs', count(*) FROM workflow.write_backs WHERE process = 'erase'$$;
-- while a worker tries to write back, it is to be called again
CREATE FUNCTION erased(i bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        BEGIN
            RETURN workflow.erase(i);
        EXCEPTION WHEN object_in_use THEN
            PERFORM pg_sleep(0.01);
        END;
    END LOOP;
END $$;
SELECT * FROM remains();
SET ROLE erase_reader;
SELECT workflow.erase(:gone);
SET ROLE erase_shop;
SELECT workflow.erase(:gone);
RESET ROLE;
BEGIN;
SELECT erased(:gone);
ROLLBACK;
SELECT * FROM remains();
SELECT erased(:gone);
SELECT * FROM remains();
SELECT count(*) FROM workflow_data.attempt_history WHERE instance = :gone;
SELECT count(*) FROM workflow_data.attempt_stray WHERE instance = :gone;
SELECT count(*) FROM workflow_data.visit_history WHERE instance = :gone;
SELECT status FROM workflow.instances WHERE instance = :kept;
-- as if it had never been
SELECT workflow.erase(:gone);
SELECT workflow.complete(:'sn');
SELECT workflow.erase(NULL);
BEGIN TRANSACTION READ ONLY;
SELECT workflow.erase(:kept);
ROLLBACK;
\set VERBOSITY default

-- who may see what is attached
SELECT * FROM workflow.attachments WHERE process = 'erase';
SET ROLE erase_shop;
SELECT relation, status_column FROM workflow.attachments;
SET ROLE erase_reader;
SELECT relation, process FROM workflow.attachments;
RESET ROLE;
CREATE ROLE erase_stranger;
GRANT USAGE ON SCHEMA workflow TO erase_stranger;
SET ROLE erase_stranger;
SELECT count(*) FROM workflow.attachments;
RESET ROLE;

SELECT workflow.detach('orders');
DROP SCHEMA erase CASCADE;
SELECT workflow.undefine('erase');
DROP OWNED BY erase_shop, erase_reader, erase_stranger;
DROP ROLE erase_shop, erase_reader, erase_stranger;
