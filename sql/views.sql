-- Views: columns, and whether conditions reach the indexes past the security barrier.

SELECT relname AS view, string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) AS columns
FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0
WHERE relnamespace = 'workflow'::regnamespace AND relkind = 'v' GROUP BY 1 ORDER BY 1;

CREATE ROLE views_viewer;
GRANT USAGE ON SCHEMA workflow TO views_viewer;
SELECT workflow.define('views: seen', '{"steps": [{"step": "one", "wait": true}]}');
SELECT workflow.define('views: unseen', '{"steps": [{"step": "one", "wait": true}]}');
SELECT workflow.grant_process('views: seen', 'views_viewer', 'view');
SELECT count(workflow.start('views: seen', '{}', 'V-' || n)) FROM generate_series(1, 4000) n;
SELECT count(workflow.start('views: unseen', '{}', 'V-' || n)) FROM generate_series(1, 4000) n;
SELECT count(workflow.complete(serial_number)) FROM workflow.waiting WHERE process LIKE 'views: %' AND instance % 2 = 0;
SELECT count(workflow.complete(serial_number)) FROM workflow.history WHERE process LIKE 'views: %';
-- partitions are made by a worker
CALL test.until($$SELECT count(DISTINCT inhparent) = 3 AND NOT EXISTS (SELECT FROM workflow_data.visit_stray) FROM pg_inherits WHERE inhparent::regclass::text ~ '_history$'$$);
ANALYZE workflow_data.instance, workflow_data.visit, workflow_data.instance_history, workflow_data.visit_history, workflow_data.late_callback;

SET ROLE views_viewer;
SELECT count(*) FROM workflow.processes;
SELECT status, count(*) FROM workflow.instances GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM workflow.visits;
SELECT count(*) FROM workflow.waiting;
SELECT count(*) FROM workflow.incidents;
SELECT count(*) FROM workflow.history;
SELECT count(*) FROM workflow.late_callbacks;

-- Does a plan look at the tables that hold rows by their indexes alone?
CREATE FUNCTION pg_temp.scans(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    scans text[] = '{}';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        line := substring(line FROM '(\w+( Only)? Scan.* on (visit|instance|visit_history|instance_history|visit_stray|instance_stray|attempt_history|attempt_stray|late_callback)[_0-9]* )');
        CONTINUE WHEN line IS NULL;
        -- as good, where hardly anything is an incident
        line := replace(line, ' visit_incident ', ' visit_pkey ');
        line := regexp_replace(line, '_[0-9]{8}', '', 'g');
        scans := scans || trim(line);
    END LOOP;
    RETURN array_to_string(ARRAY(SELECT DISTINCT unnest(scans) COLLATE "C" ORDER BY 1), E'\n');
END $$;
CREATE FUNCTION pg_temp.plan_has(what text, query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    line text;
    found boolean := false;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        found := found OR line ~ what;
    END LOOP;
    RETURN found;
END $$;
-- the partitions of coming weeks are empty: whether they are scanned one way or the other says nothing
SET jit = off;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
\pset format unaligned
\pset tuples_only on
SELECT pg_temp.scans($$SELECT * FROM workflow.visits WHERE serial_number = '5_31'$$);
SELECT pg_temp.scans($$SELECT * FROM workflow.visits WHERE instance = 5$$);
SELECT pg_temp.scans($$SELECT * FROM workflow.waiting WHERE serial_number = '5_31'$$);
SELECT pg_temp.scans($$SELECT * FROM workflow.waiting WHERE serial_number IN ('5_31', '6_32')$$);
SELECT pg_temp.scans($$SELECT * FROM workflow.incidents$$);
SELECT pg_temp.scans($$SELECT * FROM workflow.history WHERE serial_number = '5_31'$$);
SELECT pg_temp.scans($$SELECT * FROM workflow.history WHERE instance = 5$$);
SELECT pg_temp.scans($$SELECT * FROM workflow.instances WHERE instance = 5$$);
SELECT pg_temp.scans($$SELECT * FROM workflow.attempts WHERE serial_number = '5_31'$$);
SELECT pg_temp.scans($$SELECT * FROM workflow.attempts WHERE instance = 5$$);
SELECT pg_temp.scans($$SELECT * FROM workflow.late_callbacks WHERE serial_number = '5_31'$$);
SELECT pg_temp.scans($$SELECT * FROM workflow.late_callbacks WHERE instance = 5$$);
-- joins reach the indexes as well, and those of the table that is joined with decide nothing
RESET ROLE;
CREATE TABLE views_batch (id int, sn text, instance bigint, key text);
GRANT SELECT ON views_batch TO views_viewer;
INSERT INTO views_batch SELECT row_number() OVER (ORDER BY instance), serial_number, instance, business_key
    FROM workflow.waiting JOIN workflow.instances USING (instance) WHERE instances.process LIKE 'views: %' ORDER BY instance LIMIT 100;
CREATE INDEX ON views_batch (id);
ANALYZE views_batch;
SET ROLE views_viewer;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT pg_temp.scans($$SELECT * FROM views_batch b JOIN workflow.waiting w ON w.serial_number = b.sn WHERE b.id = 17$$);
-- a table of a few pages is read as a whole as cheaply
SET random_page_cost = 1;
SELECT pg_temp.scans($$SELECT b.id, w.step FROM views_batch b JOIN workflow.waiting w ON w.serial_number = b.sn ORDER BY b.id LIMIT 3$$) ~ '^Index Scan' AS by_index;
RESET random_page_cost;
SELECT pg_temp.scans($$SELECT * FROM views_batch b JOIN workflow.visits w ON w.serial_number = b.sn$$);
SELECT pg_temp.scans($$SELECT * FROM views_batch b LEFT JOIN workflow.incidents w ON w.serial_number = b.sn$$);
SELECT pg_temp.scans($$SELECT * FROM views_batch b JOIN workflow.history w ON w.serial_number = b.sn$$);
SELECT pg_temp.scans($$SELECT * FROM views_batch b JOIN workflow.history w USING (instance)$$);
SELECT pg_temp.scans($$SELECT * FROM views_batch b JOIN workflow.attempts w ON w.serial_number = b.sn$$);
SELECT pg_temp.scans($$SELECT * FROM views_batch b JOIN workflow.attempts w USING (instance)$$);
SELECT pg_temp.scans($$SELECT * FROM views_batch b JOIN workflow.instances w USING (instance)$$);
SELECT pg_temp.scans($$SELECT * FROM views_batch b WHERE b.id = 17 AND EXISTS (SELECT FROM workflow.instances w WHERE w.business_key = b.key AND w.process = 'views: seen')$$);
SELECT pg_temp.scans($$SELECT * FROM workflow.instances WHERE business_key = 'V-4' AND process = 'views: seen'$$);
-- sorting few is as good
SET enable_sort = off;
SET enable_incremental_sort = off;
SELECT pg_temp.scans($$SELECT * FROM workflow.waiting ORDER BY since LIMIT 5$$);
RESET enable_sort;
RESET enable_incremental_sort;
\pset format aligned
\pset tuples_only off
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;

-- whatever is asked, nothing is shown to a function of the asker's own but what he may see
RESET ROLE;
GRANT CREATE ON SCHEMA public TO views_viewer;
SET ROLE views_viewer;
CREATE TABLE views_leaks (what text);
CREATE FUNCTION views_leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.000001 AS $$
BEGIN
    INSERT INTO views_leaks SELECT $1 WHERE $1 LIKE '%unseen%' OR EXISTS (SELECT FROM views_hidden WHERE hidden = $1);
    RETURN true;
END $$;
RESET ROLE;
CREATE TABLE views_hidden AS SELECT serial_number AS hidden FROM workflow.visits WHERE process = 'views: unseen'
    UNION ALL SELECT instance::text FROM workflow.instances WHERE process = 'views: unseen'
    UNION ALL SELECT serial_number FROM workflow.history WHERE process = 'views: unseen';
CREATE INDEX ON views_hidden (hidden);
GRANT SELECT ON views_hidden TO views_viewer;
SET ROLE views_viewer;
SELECT count(*) FROM workflow.processes WHERE views_leak(process);
SELECT count(*) FROM workflow.visits WHERE views_leak(serial_number) AND views_leak(process);
SELECT count(*) FROM workflow.waiting w, LATERAL (SELECT views_leak(w.serial_number) AS seen) l WHERE l.seen;
SELECT count(*) FROM workflow.instances WHERE views_leak(instance::text) AND views_leak(process);
SELECT count(*) FROM workflow.history WHERE views_leak(serial_number);
SELECT count(*) FROM views_batch b JOIN workflow.waiting w ON w.serial_number = b.sn AND views_leak(w.serial_number);
SELECT count(*) FROM views_batch b LEFT JOIN workflow.instances i ON i.instance = b.instance AND views_leak(i.process);
SELECT count(*) FROM views_batch b LEFT JOIN (SELECT serial_number, views_leak(serial_number) AS seen FROM workflow.visits) w ON w.serial_number = b.sn;
SELECT count(*) FROM workflow.late_callbacks WHERE views_leak(serial_number);
PREPARE views_asked AS SELECT count(*) FROM workflow.visits WHERE views_leak(serial_number) AND process LIKE 'views: %';
EXECUTE views_asked;
TABLE views_leaks;
-- the plan was made for somebody who sees all
RESET ROLE;
EXECUTE views_asked;
TRUNCATE views_leaks;
SET plan_cache_mode = force_generic_plan;
EXECUTE views_asked;
TRUNCATE views_leaks;
SET ROLE views_viewer;
EXECUTE views_asked;
TABLE views_leaks;
RESET ROLE;
RESET plan_cache_mode;
DEALLOCATE views_asked;
-- a barrier that somebody else has made in the schema is his own
CREATE VIEW workflow.views_other WITH (security_barrier) AS
    SELECT v.step, v.instance FROM workflow_data.visit v
    WHERE v.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[]) AND v.instance % 4 = 1;
GRANT SELECT ON workflow.views_other TO views_viewer;
SET ROLE views_viewer;
SELECT pg_temp.plan_has('Subquery Scan', 'SELECT * FROM workflow.views_other WHERE views_leak(step)');
RESET ROLE;
DROP VIEW workflow.views_other;

-- parallel plans, as tables are made from views
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET min_parallel_index_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
RESET enable_seqscan;
RESET enable_bitmapscan;
DO $$
DECLARE
    view text;
    n bigint;
BEGIN
    FOR view IN SELECT relname FROM pg_class WHERE relnamespace = 'workflow'::regnamespace AND relkind = 'v' ORDER BY 1 LOOP
        EXECUTE format('CREATE TEMP TABLE views_copy AS SELECT * FROM workflow.%I', view);
        EXECUTE format('INSERT INTO views_copy SELECT * FROM workflow.%I', view);
        DROP TABLE views_copy;
        EXECUTE format('CREATE MATERIALIZED VIEW views_materialized AS SELECT * FROM workflow.%I', view);
        DROP MATERIALIZED VIEW views_materialized;
        EXECUTE format('SELECT count(*) FROM workflow.%I', view) INTO n;
    END LOOP;
END $$;
SELECT pg_temp.plan_has('Gather', 'CREATE TABLE views_copy AS SELECT * FROM workflow.waiting');
SET ROLE views_viewer;
CREATE TEMP TABLE views_copy AS SELECT * FROM workflow.waiting;
SELECT count(*), count(*) FILTER (WHERE process <> 'views: seen') AS others FROM views_copy;
DROP TABLE views_copy;
RESET ROLE;
BEGIN;
DECLARE c CURSOR FOR SELECT count(*) FROM workflow.waiting WHERE process LIKE 'views: %';
FETCH c;
COMMIT;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET min_parallel_index_scan_size;
RESET max_parallel_workers_per_gather;

-- fields of a scope are shown as they are now, to whom data are shown
SELECT workflow.define('views: local', '{"steps": [{"step": "pack", "local": {"parcels": 0, "list": "${$.list}"}, "steps": [
    {"step": "fill", "wait": true, "set": {"parcels": "${$.parcels + 1}"}}, {"step": "weigh", "steps": [{"step": "scales", "wait": true}]}]}]}');
SELECT workflow.start('views: local', '{"list": ["bolts"]}') AS i \gset
SELECT step, local FROM workflow.visits WHERE instance = :i ORDER BY visits.scope NULLS FIRST;
SELECT workflow.complete(test.waits(:i));
SELECT step, local FROM workflow.visits WHERE instance = :i ORDER BY visits.scope NULLS FIRST;
SELECT workflow.grant_process('views: local', 'views_viewer', 'complete');
SET ROLE views_viewer;
SELECT step FROM workflow.waiting WHERE instance = :i;
SELECT step, local FROM workflow.visits WHERE instance = :i;
RESET ROLE;
SELECT workflow.grant_process('views: local', 'views_viewer', 'view');
SET ROLE views_viewer;
SELECT step, local FROM workflow.visits WHERE instance = :i AND local IS NOT NULL;
RESET ROLE;

DROP TABLE views_batch, views_hidden;

SET client_min_messages = warning;
DROP OWNED BY views_viewer CASCADE;
RESET client_min_messages;
DROP ROLE views_viewer;
