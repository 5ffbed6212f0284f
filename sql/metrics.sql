-- Counts for monitoring: members of pg_monitor see those of all processes, and nothing else; others those of what they may view.

CREATE ROLE metrics_monitor LOGIN;
GRANT pg_monitor TO metrics_monitor;
CREATE ROLE metrics_viewer;
CREATE ROLE metrics_nobody;
GRANT USAGE ON SCHEMA workflow TO metrics_viewer, metrics_nobody;
SELECT workflow.define('metrics: seen', '{"steps": [{"step": "one", "wait": true}, {"step": "two", "wait": true}]}');
SELECT workflow.define('metrics: unseen', '{"steps": [{"step": "late", "wait": {"after": "1 day"}}]}');
SELECT workflow.grant_process('metrics: seen', 'metrics_viewer', 'view');
SELECT count(workflow.start('metrics: seen', '{"secret": "hush"}', 'secret-' || n)) FROM generate_series(1, 10) n;
SELECT count(workflow.start('metrics: unseen')) FROM generate_series(1, 3) n;
SELECT count(workflow.complete(serial_number)) FROM workflow.waiting w JOIN workflow.instances USING (instance) WHERE business_key IN ('secret-1', 'secret-2', 'secret-3');
SELECT count(workflow.fail(serial_number, 'BAD')) FROM workflow.waiting w JOIN workflow.instances USING (instance) WHERE business_key IN ('secret-3', 'secret-4');
SELECT workflow.suspend(instance) FROM workflow.instances WHERE business_key = 'secret-5';

-- these tests share their database
\set counts 'SELECT name, labels, CASE WHEN name ~ ''seconds'' THEN (value BETWEEN 0 AND 600)::text ELSE value::text END AS value FROM workflow.metrics WHERE labels ->> ''process'' ~ ''^metrics: '' AND name <> ''due'' AND name <> ''late_seconds'' ORDER BY name, labels'
SET ROLE metrics_monitor;
:counts;
SET ROLE metrics_viewer;
:counts;
SELECT DISTINCT name FROM workflow.metrics ORDER BY 1;
SET ROLE metrics_nobody;
SELECT name, labels FROM workflow.metrics;
RESET ROLE;
-- as the views count
SELECT m.labels, m.value = v.n FROM workflow.metrics m
    JOIN (SELECT process, state, count(*) AS n FROM workflow.visits GROUP BY 1, 2) v ON m.labels = jsonb_build_object('process', v.process, 'state', v.state)
WHERE m.name = 'visits' AND process ~ '^metrics: ' ORDER BY 1;

-- who monitors sees nothing else, and can do nothing
SET ROLE metrics_monitor;
SELECT (SELECT count(*) FROM workflow.processes) + (SELECT count(*) FROM workflow.instances) + (SELECT count(*) FROM workflow.visits)
    + (SELECT count(*) FROM workflow.waiting) + (SELECT count(*) FROM workflow.incidents) + (SELECT count(*) FROM workflow.history)
    + (SELECT count(*) FROM workflow.write_backs) + (SELECT count(*) FROM workflow.late_callbacks) AS rows;
SELECT count(*) FROM workflow_data.visit;
SELECT count(*) FROM workflow_data.count_visits();
SELECT workflow.define('metrics: mine', '{"steps": [{"step": "one"}]}');
SELECT workflow.suspend_process('metrics: seen');
-- there is no key and no data in it, and a condition with a function of one's own is judged for nothing that is hidden
SELECT count(*) FROM workflow.metrics WHERE labels::text ~ 'secret|hush';
RESET ROLE;
CREATE FUNCTION metrics_spy(labels jsonb) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$
BEGIN
    IF labels::text ~ 'unseen' THEN RAISE NOTICE 'seen: %', labels; END IF;
    RETURN true;
END $$;
GRANT EXECUTE ON FUNCTION metrics_spy(jsonb) TO PUBLIC;
SET ROLE metrics_viewer;
SELECT count(*) > 0 FROM workflow.metrics WHERE metrics_spy(labels);
RESET ROLE;

-- what is not asked for is not counted
CREATE FUNCTION pg_temp.counted(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    counted text[] = '{}';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
        line := substring(line FROM 'Scan on (count_\w+) .*\(actual');
        counted := counted || line;
    END LOOP;
    RETURN array_to_string(ARRAY(SELECT DISTINCT unnest(counted) COLLATE "C" ORDER BY 1), ' ');
END $$;
SELECT pg_temp.counted('SELECT * FROM workflow.metrics');
SELECT pg_temp.counted($$SELECT * FROM workflow.metrics WHERE name = 'instances'$$);
SELECT pg_temp.counted($$SELECT * FROM workflow.metrics WHERE name IN ('waiting', 'oldest_wait_seconds')$$);
SELECT pg_temp.counted($$SELECT * FROM workflow.metrics WHERE name = 'parked'$$);
SELECT pg_temp.counted($$SELECT * FROM workflow.metrics WHERE name = 'workers'$$);
-- in a parallel plan too
CREATE TABLE metrics_many AS SELECT n FROM generate_series(1, 10000) n;
ANALYZE metrics_many;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
CREATE TABLE metrics_then AS SELECT m.name, m.labels, m.value, (SELECT count(*) FROM metrics_many) FROM workflow.metrics m
    WHERE name = 'visits' AND labels ->> 'process' = 'metrics: unseen';
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
SELECT * FROM metrics_then;

DROP TABLE metrics_then, metrics_many;
DROP FUNCTION metrics_spy(jsonb);
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process ~ '^metrics: ' AND ended_at IS NULL;
SELECT workflow.undefine(p) FROM unnest(ARRAY['metrics: seen', 'metrics: unseen']) p;
REVOKE USAGE ON SCHEMA workflow FROM metrics_viewer, metrics_nobody;
SELECT workflow.revoke_process('metrics: seen', 'metrics_viewer', 'view');
DROP ROLE metrics_monitor, metrics_viewer, metrics_nobody;
