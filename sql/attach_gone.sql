-- What becomes of instances whose table is detached, changed or dropped: they go on.

CREATE SCHEMA attach_gone;
SET search_path = attach_gone;
SELECT workflow.define('gone', '{"steps": [{"step": "a", "wait": true}, {"step": "b", "sql": "SELECT 1 AS one", "save": {"b": "${$reply.row.one}"}}, {"step": "c", "wait": true}]}');
CREATE FUNCTION finish(VARIADIC keys text[]) RETURNS bigint LANGUAGE sql AS
    $$SELECT count(*) FILTER (WHERE workflow.complete(serial_number)) FROM workflow.waiting w JOIN workflow.instances i USING (instance)
      WHERE w.process = 'gone' AND business_key = ANY (keys)$$;
CREATE FUNCTION told(VARIADIC keys text[]) RETURNS text LANGUAGE sql AS
    $$SELECT string_agg(i.business_key || ' ' || i.status || coalesce(' ' || v.step, ''), ', ' ORDER BY i.instance)
      FROM workflow.instances i LEFT JOIN workflow.visits v ON v.instance = i.instance AND v.state = 'waiting' WHERE i.process = 'gone' AND business_key = ANY (keys)$$;
CREATE FUNCTION write_backs() RETURNS bigint LANGUAGE sql AS
    $$SELECT count(*) FROM workflow_data.delivery WHERE kind = 'write_back' AND queue IN (SELECT 'executor table ' || attachment FROM workflow_data.attachment
      WHERE process_id = (SELECT process_id FROM workflow_data.process WHERE process = 'gone'))$$;

-- detached, with something owed: it goes on to its end, and nothing stays behind
CREATE TABLE detached (id text PRIMARY KEY, sn text, state text);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
SELECT workflow.attach('detached', 'gone', 'sn', status_column => 'state') > 0 AS attached;
INSERT INTO detached VALUES ('d1'), ('d2'), ('d3');
CREATE TRIGGER refuse BEFORE UPDATE ON detached FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT finish('d1', 'd2');
CALL test.until($$SELECT told('d1', 'd2') = 'd1 active c, d2 active c'$$);
SELECT finish('d2');
CALL test.until($$SELECT count(*) = 2 FROM workflow.write_backs WHERE relation = 'attach_gone.detached'::regclass AND error IS NOT NULL AND business_key IN ('d1', 'd2')$$);
SELECT workflow.detach('detached');
CALL test.until($$SELECT write_backs() = 0$$);
SELECT count(*) FROM workflow.write_backs WHERE process = 'gone';
SELECT finish('d1'), finish('d3');
CALL test.until($$SELECT told('d1', 'd3') = 'd1 completed, d3 active c'$$);
SELECT write_backs();
DROP TRIGGER refuse ON detached;
SELECT id, sn IS NOT NULL AS has_number, state FROM detached ORDER BY 1;
-- attached again with other columns: what was owed, and what has happened since, is written to these
ALTER TABLE detached DROP COLUMN state;
ALTER TABLE detached ADD COLUMN status text;
SELECT workflow.attach('detached', 'gone', 'sn', status_column => 'status') > 0 AS attached;
CALL test.until($$SELECT string_agg(id || ' ' || status || ' ' || (sn IS NULL), ', ' ORDER BY id) = 'd1 completed true, d2 completed true, d3 active false' FROM detached$$);
SELECT finish('d3');
CALL test.until($$SELECT status = 'completed' FROM detached WHERE id = 'd3'$$);

-- so is what ends in the transaction that detaches it
INSERT INTO detached VALUES ('d6');
SELECT finish('d6');
CALL test.until($$SELECT told('d6') = 'd6 active c'$$);
BEGIN;
SELECT finish('d6'), workflow.detach('detached');
COMMIT;
SELECT workflow.attach('detached', 'gone', 'sn', status_column => 'status') > 0 AS attached;
CALL test.until($$SELECT status = 'completed' FROM detached WHERE id = 'd6'$$);

-- a column that is dropped
INSERT INTO detached VALUES ('d4'), ('d5');
ALTER TABLE detached DROP COLUMN sn;
SELECT finish('d4');
CALL test.until($$SELECT told('d4') = 'd4 active c'$$);
SELECT finish('d4');
CALL test.until($$SELECT status = 'completed' FROM detached WHERE id = 'd4'$$);
CALL test.until($$SELECT error LIKE 'the table has no column "sn" any more%' FROM workflow.write_backs WHERE process = 'gone' AND business_key = 'd4'$$);
SELECT workflow.detach('detached');
CALL test.until($$SELECT write_backs() = 0$$);

-- a table that is dropped, alone, with its schema, and one of the same name instead
CREATE SCHEMA attach_gone_too;
CREATE TABLE attach_gone_too.dropped (id text PRIMARY KEY, sn text);
CREATE TABLE dropped (id text PRIMARY KEY, sn text);
SELECT count(workflow.attach(t, 'gone', 'sn')) FROM unnest('{attach_gone_too.dropped,dropped}'::regclass[]) t;
INSERT INTO dropped VALUES ('x1'), ('x2');
INSERT INTO attach_gone_too.dropped VALUES ('y1'), ('y2');
SET client_min_messages = warning;
DROP SCHEMA attach_gone_too CASCADE;
RESET client_min_messages;
DROP TABLE dropped;
CREATE TABLE dropped (id text PRIMARY KEY, sn text);
SELECT relation, process FROM workflow.attachments WHERE process = 'gone';
SELECT finish('x1', 'y1');
CALL test.until($$SELECT told('x1', 'y1') = 'x1 active c, y1 active c'$$);
CALL test.until($$SELECT write_backs() = 0$$);
SELECT finish('x1', 'y1');
SELECT told('x1', 'x2', 'y1', 'y2');
SELECT workflow.cancel(instance) FROM workflow.instances WHERE process = 'gone' AND business_key = 'y2';
-- it is another table, whose rows start instances of their own
INSERT INTO dropped VALUES ('x1'), ('x2');
SELECT workflow.attach('dropped', 'gone', 'sn', existing => true) > 0 AS attached;
SELECT told('x1', 'x2');
SELECT workflow.detach('dropped');
-- those that are gone are known to be so
SELECT relation_name, relation IS NULL AS gone, detached_at IS NOT NULL AS detached FROM workflow_data.attachment
WHERE process_id = (SELECT process_id FROM workflow_data.process WHERE process = 'gone') ORDER BY attachment;
-- a renamed one is the same
ALTER TABLE dropped RENAME TO renamed;
SELECT workflow.attach('renamed', 'gone', 'sn', existing => true) > 0 AS attached;
SELECT count(*) FROM workflow_data.attachment WHERE process_id = (SELECT process_id FROM workflow_data.process WHERE process = 'gone');
-- whose trigger somebody has dropped, too
DROP TRIGGER workflow_start ON renamed;
INSERT INTO renamed VALUES ('x3');
SELECT workflow.attach('renamed', 'gone', 'sn', existing => true) > 0 AS attached;
SELECT told('x3');
-- only those that are attached are in the way of this
SELECT workflow.undefine('gone', force => true);
SELECT workflow.detach('renamed');
SELECT workflow.undefine('gone', force => true);

SET client_min_messages = warning;
DROP SCHEMA attach_gone CASCADE;
SELECT count(workflow.cancel(instance)) > 0 AS cancelled FROM workflow.instances WHERE process = 'gone' AND status = 'active';
