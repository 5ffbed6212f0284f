-- Views: columns, and whether conditions reach the indexes past the security barrier.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS workflow;
RESET client_min_messages;

SELECT relname AS view, string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) AS columns
FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0
WHERE relnamespace = 'workflow'::regnamespace AND relkind = 'v' GROUP BY 1 ORDER BY 1;

CREATE ROLE views_viewer;
GRANT USAGE ON SCHEMA workflow TO views_viewer;
SELECT workflow.define('views: seen', '{"steps": [{"step": "one", "wait": true}]}');
SELECT workflow.define('views: unseen', '{"steps": [{"step": "one", "wait": true}]}');
SELECT workflow.grant_process('views: seen', 'views_viewer', 'view');
SELECT count(workflow.start('views: seen', '{}', 'V-' || n)) FROM generate_series(1, 1000) n;
SELECT count(workflow.start('views: unseen', '{}', 'V-' || n)) FROM generate_series(1, 1000) n;
SELECT count(workflow.complete(serial_number)) FROM workflow.waiting WHERE process LIKE 'views: %' AND instance % 2 = 0;
SELECT count(workflow.complete(serial_number)) FROM workflow.history WHERE process LIKE 'views: %';
-- partitions are made by a worker
CREATE PROCEDURE pg_temp.partitions_are_there() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 6000 LOOP
        EXIT WHEN (SELECT count(DISTINCT inhparent) FROM pg_inherits WHERE inhparent::regclass::text ~ '_history$') = 3
            AND NOT EXISTS (SELECT FROM workflow.visit_stray);
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
CALL pg_temp.partitions_are_there();
ANALYZE workflow.instance, workflow.visit, workflow.instance_history, workflow.visit_history, workflow.late_callback;

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
        line := substring(line FROM '(\w+( Only)? Scan.* on (visit|instance|visit_history|instance_history|visit_stray|instance_stray|late_callback)[_0-9]* )');
        CONTINUE WHEN line IS NULL;
        line := regexp_replace(line, '_[0-9]{8}', '', 'g');
        scans := scans || trim(line);
    END LOOP;
    RETURN array_to_string(ARRAY(SELECT DISTINCT unnest(scans) COLLATE "C" ORDER BY 1), E'\n');
END $$;
-- the partitions of coming weeks are empty: whether they are scanned one way or the other says nothing
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
SELECT pg_temp.scans($$SELECT * FROM workflow.late_callbacks WHERE serial_number = '5_31'$$);
\pset format aligned
\pset tuples_only off
RESET ROLE;

DROP OWNED BY views_viewer;
DROP ROLE views_viewer;
