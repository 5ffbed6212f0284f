-- What cannot be attached, and why.

CREATE SCHEMA attach_errors;
SET search_path = attach_errors;
SELECT workflow.define('attach_errors', '{"steps": [{"step": "wait", "wait": true}, {"step": "sleep", "wait": {"after": "1 day"}}]}');
CREATE TABLE t (id int PRIMARY KEY, sn text, state text NOT NULL DEFAULT '', inst bigint, small int, at timestamptz, "The Sn" text,
    short varchar(20), shorter char(8), gen text GENERATED ALWAYS AS ('x') STORED, serial bigint GENERATED ALWAYS AS IDENTITY);

-- arguments
SELECT workflow.attach(NULL, 'attach_errors');
SELECT workflow.attach('t', NULL);
SELECT workflow.attach('t', 'attach_errors: none');
SELECT workflow.attach('t', 'attach_errors', on_delete => 'explode');
SELECT workflow.attach('t', 'attach_errors', serial_step => 'wait');
SELECT workflow.attach('t', 'attach_errors', 'sn', 'sleep');
SELECT workflow.attach('t', 'attach_errors', 'sn', 'nowhere');
SELECT workflow.attach('t', 'attach_errors', 'sn', 'wiat');
SELECT workflow.attach('t', 'attach_errors', condition => '$.amount >');
SELECT workflow.attach('t', 'attach_errors', condition => '$nothing == 1');
-- columns
SELECT workflow.attach('t', 'attach_errors', 'none');
SELECT workflow.attach('t', 'attach_errors', 'id');
SELECT workflow.attach('t', 'attach_errors', 'ctid');
SELECT workflow.attach('t', 'attach_errors', 'gen');
SELECT workflow.attach('t', 'attach_errors', 'at');
SELECT workflow.attach('t', 'attach_errors', 'state');
SELECT workflow.attach('t', 'attach_errors', status_column => 'inst');
SELECT workflow.attach('t', 'attach_errors', status_column => 'state', condition => '$.inst == 1');
SELECT workflow.attach('t', 'attach_errors', 'short');
SELECT workflow.attach('t', 'attach_errors', status_column => 'shorter');
SELECT workflow.attach('t', 'attach_errors', instance_column => 'small');
SELECT workflow.attach('t', 'attach_errors', instance_column => 'serial');
SELECT workflow.attach('t', 'attach_errors', 'sn', status_column => 'sn');
-- tables
CREATE TABLE keyless (id int);
SELECT workflow.attach('keyless', 'attach_errors');
CREATE VIEW v AS SELECT * FROM t;
SELECT workflow.attach('v', 'attach_errors');
CREATE TEMPORARY TABLE temporary (id int PRIMARY KEY);
SELECT workflow.attach('temporary', 'attach_errors');
SELECT workflow.attach('pg_class', 'attach_errors');
SELECT workflow.attach('workflow_data.instance', 'attach_errors');
SELECT workflow.attach('t_pkey', 'attach_errors');
SELECT workflow.attach(0, 'attach_errors');

-- nothing was left by any of these; this one works, and only once
SELECT tgname FROM pg_trigger WHERE tgrelid = 't'::regclass;
SELECT workflow.attach('t', 'attach_errors', 'The Sn', 'wait', 'state', 'inst') > 0 AS attached;
INSERT INTO t (id) VALUES (1) RETURNING "The Sn" IS NOT NULL AS numbered, state, inst IS NOT NULL AS has_instance;
SELECT workflow.attach('t', 'attach_errors');
SELECT workflow.define('attach_errors: other', '{"steps": [{"step": "wait", "wait": true}]}');
SELECT workflow.attach('t', 'attach_errors: other', 'The Sn');
BEGIN;
SELECT workflow.attach('t', 'attach_errors: other', 'sn') > 0 AS attached;
ROLLBACK;
INSERT INTO t (id) VALUES (2) RETURNING "The Sn" IS NOT NULL AS numbered, sn IS NOT NULL AS numbered_too;
-- detached: only what is attached
SELECT workflow.detach(NULL);
SELECT workflow.detach('t', 'attach_errors: other');
SELECT workflow.detach('keyless');
-- a primary key that was dropped, a column that was renamed
ALTER TABLE t DROP CONSTRAINT t_pkey;
INSERT INTO t (id) VALUES (3);
ALTER TABLE t ADD PRIMARY KEY (id);
ALTER TABLE t RENAME COLUMN "The Sn" TO another;
INSERT INTO t (id, another) VALUES (3, 'mine') RETURNING another, state;
ALTER TABLE t RENAME COLUMN another TO "The Sn";
DROP VIEW v;
ALTER TABLE t ALTER COLUMN state DROP DEFAULT, ALTER COLUMN state TYPE int USING 0;
INSERT INTO t (id) VALUES (3);
-- triggers call our functions, nobody else does
SELECT workflow_data.before_insert();
CREATE TRIGGER mine AFTER UPDATE ON keyless FOR EACH ROW EXECUTE FUNCTION workflow_data.after_insert();
INSERT INTO keyless VALUES (1);
UPDATE keyless SET id = 2;
CREATE OR REPLACE TRIGGER mine AFTER INSERT ON keyless FOR EACH ROW EXECUTE FUNCTION workflow_data.after_insert();
INSERT INTO keyless VALUES (2);

-- in a read-only transaction
BEGIN READ ONLY;
SELECT workflow.attach('t', 'attach_errors', 'sn');
ROLLBACK;
BEGIN READ ONLY;
SELECT workflow.detach('t');
ROLLBACK;
-- a dropped table's attachment is gone with it
SET client_min_messages = warning;
DROP TABLE t CASCADE;
SELECT workflow.undefine('attach_errors', force => true);
DROP SCHEMA attach_errors CASCADE;
