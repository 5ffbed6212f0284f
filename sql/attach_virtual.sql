-- Virtual generated columns, which are null in the rows that triggers see. Before PostgreSQL 18 there are stored ones only.

CREATE SCHEMA attach_virtual;
SET search_path = attach_virtual;
SELECT current_setting('server_version_num')::int < 180000 AS old \gset
\if :old
\set kind STORED
\else
\set kind VIRTUAL
\endif
SELECT workflow.define('attach_virtual', '{"steps": [{"step": "wait", "wait": true}]}');
SELECT workflow.define('attach_virtual: rest', '{"steps": [{"step": "wait", "wait": true}]}');
CREATE VIEW started AS SELECT process, business_key, data - 'sn' AS data FROM workflow.instances WHERE process LIKE 'attach_virtual%';

\set ECHO none
\set create 'CREATE TABLE t (id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v * 2) ' :kind ', s text GENERATED ALWAYS AS (upper(v::text || ''a'')) ' :kind ', f int GENERATED ALWAYS AS (v + 1) STORED, sn text)'
:create;
\set create 'CREATE TABLE p (id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v * 2) ' :kind ') PARTITION BY RANGE (id)'
:create;
\set create 'CREATE TABLE p_1 (g int GENERATED ALWAYS AS (v * 2) ' :kind ', v int, id int NOT NULL)'
:create;
\set ECHO all
-- they are in the data, and conditions see them, with a shown column and without
SELECT workflow.attach('t', 'attach_virtual', 'sn', condition => '$.g > 2') > 0 AS attached;
SELECT workflow.attach('t', 'attach_virtual: rest', condition => '!($.g > 2)') > 0 AS attached;
INSERT INTO t (id, v) VALUES (1, 5), (2, 1), (3, NULL);
COPY t (id, v) FROM stdin;
4	5
5	0
\.
SELECT id, g, test.shows(sn), sn IS NULL AS no_number FROM t ORDER BY id;
SELECT * FROM started ORDER BY process, business_key;
ALTER TABLE p ATTACH PARTITION p_1 FOR VALUES FROM (0) TO (100);
SELECT workflow.attach('p', 'attach_virtual', condition => '$.g > 2') > 0 AS attached;
INSERT INTO p (id, v) VALUES (11, 2), (12, 1);
SELECT * FROM started WHERE business_key LIKE '1_';

SET client_min_messages = warning;
-- an UPDATE brings those that follow from what it changes
SELECT workflow.define('attach_virtual: update', '{"steps": [{"step": "wait", "wait": {"condition": "$.g >= 40"}}, {"step": "rest", "wait": true}]}');
\set ECHO none
\set create 'CREATE TABLE u (id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v * 2) ' :kind ', w int GENERATED ALWAYS AS (id * 2) ' :kind ')'
:create;
\set ECHO all
SELECT workflow.attach('u', 'attach_virtual: update', on_update => 'set_data') > 0 AS attached;
INSERT INTO u (id, v) VALUES (901, 1), (902, 2);
UPDATE u SET v = v * 10;
SELECT business_key, data, step FROM workflow.instances JOIN workflow.waiting USING (instance) WHERE waiting.process = 'attach_virtual: update' ORDER BY 1;
DROP SCHEMA attach_virtual CASCADE;
