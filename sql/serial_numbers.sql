-- Conditions on serial numbers: rows are found by their keys, and are those that a scan finds.

CREATE ROLE numbers_viewer;
GRANT USAGE ON SCHEMA workflow TO numbers_viewer;
SELECT workflow.define(p, '{"steps": [{"step": "one", "wait": true, "catch": [{"message": "news", "interrupt": false, "next": "two"}]}, {"step": "two", "wait": {"topic": "numbers"}}]}')
FROM unnest(ARRAY['numbers', 'numbers: unseen']) p;
SELECT workflow.grant_process('numbers', 'numbers_viewer', 'view');
-- a step more, so that instances and visits are not counted alike
SELECT workflow.start('numbers', '{}') AS i \gset
SELECT workflow.complete(test.waits(:i));
SELECT count(workflow.start(p, '{}')) FROM unnest(ARRAY['numbers', 'numbers: unseen']) p, generate_series(1, 50);
CREATE TABLE numbers_ended AS SELECT serial_number FROM workflow.waiting WHERE process LIKE 'numbers%' AND instance % 3 = 0;
SELECT count(workflow.complete(serial_number)) = count(*) AS all_completed FROM numbers_ended;
CALL test.until($$SELECT count(DISTINCT inhparent) = 3 AND NOT EXISTS (SELECT FROM workflow_data.visit_stray) FROM pg_inherits WHERE inhparent::regclass::text ~ '_history$'$$);
ANALYZE workflow_data.instance, workflow_data.visit, workflow_data.subscription, workflow_data.visit_history;

-- What is a serial number, and what looks like one.
CREATE TABLE numbers_odd (n integer GENERATED ALWAYS AS IDENTITY, what text, sn text);
INSERT INTO numbers_odd (what, sn)
SELECT f.what, format(f.text, split_part(r.sn, '_', 1), split_part(r.sn, '_', 2))
FROM (SELECT min(serial_number) AS sn FROM workflow.waiting WHERE process = 'numbers' AND step = 'one') r,
     (VALUES ('it waits', '%1$s_%2$s'), ('one zero', '0%1$s_%2$s'), ('one zero', '%1$s_0%2$s'), ('space', ' %1$s_%2$s'), ('space', '%1$s_%2$s '),
             ('space', '%1$s_ %2$s'), ('sign', '+%1$s_%2$s'), ('sign', '-%1$s_%2$s'), ('sign', '%1$s_-%2$s'), ('half', '%1$s'), ('half', '%1$s_'),
             ('half', '_%2$s'), ('two lines', '%1$s__%2$s'), ('three numbers', '%1$s_%2$s_%2$s'), ('point', '%1$s.0_%2$s'), ('line', E'%1$s_%2$s\n'),
             ('hyphen', '%1$s-%2$s'), ('the same twice', '%1$s_%1$s'), ('word', 'abc'), ('empty', ''), ('zero', '0_0'), ('too large', '99999999999999999999_%2$s'),
             ('too large', '%1$s_99999999999999999999'), ('largest', '9223372036854775807_9223372036854775807'), ('hexadecimal', '0x%1$s_%2$s')) f (what, text);
INSERT INTO numbers_odd (what, sn) VALUES ('null', NULL);
INSERT INTO numbers_odd (what, sn) SELECT 'it has ended', min(serial_number) FROM workflow.history WHERE process = 'numbers';
INSERT INTO numbers_odd (what, sn) SELECT 'not seen', min(serial_number) FROM workflow.waiting WHERE process = 'numbers: unseen';
INSERT INTO numbers_odd (what, sn) SELECT 'waits as well', max(serial_number) FROM workflow.waiting WHERE process = 'numbers' AND step = 'one';
ANALYZE numbers_odd;
GRANT SELECT ON numbers_odd, numbers_ended TO numbers_viewer;

-- The query over a view, written VIEW: whether its rows were found by their keys, how many there are, and whether they are those of a scan.
CREATE FUNCTION pg_temp.ask(view regclass, query text, OUT by_key boolean, OUT n bigint, OUT as_scanned boolean) LANGUAGE plpgsql AS $$
DECLARE
    line text;
    asked text := replace(query, 'VIEW', view::text);
    found text[];
    scanned text[];
BEGIN
    by_key := false;
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || asked LOOP
        by_key := by_key OR line ~ 'Index Cond: .*\(?instance = ';
        IF line ~ 'Seq Scan on (visit|subscription|visit_history)' THEN
            RAISE EXCEPTION 'a scan: %', asked;
        END IF;
    END LOOP;
    EXECUTE format('SELECT count(*), array_agg(q::text ORDER BY q::text) FROM (%s) q', asked) INTO n, found;
    EXECUTE format('SELECT array_agg(q::text ORDER BY q::text) FROM (%s) q',
                   replace(query, 'VIEW', '(SELECT * FROM ' || view || ' OFFSET 0)')) INTO scanned;
    as_scanned := found IS NOT DISTINCT FROM scanned;
END $$;

-- What rows are sought by, and what is checked of serial numbers.
CREATE FUNCTION pg_temp.conditions(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line ~ 'serial_' THEN
            RETURN NEXT trim(regexp_replace(line, '.*(serial_number\([^)]*\)).*', 'Filter: \1'));
        END IF;
    END LOOP;
END $$;

SET ROLE numbers_viewer;
SET jit = off;
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SET enable_memoize = off;

-- constants
SELECT o.what, v.view, a.* FROM numbers_odd o, unnest(ARRAY['workflow.waiting', 'workflow.history']) WITH ORDINALITY v (view, i),
    pg_temp.ask(v.view::regclass, format('SELECT w.serial_number, w.step FROM VIEW w WHERE w.serial_number = %L', o.sn)) a ORDER BY o.n, v.i;
-- the other views that have them
SELECT v.view, a.* FROM unnest(ARRAY['workflow.visits', 'workflow.subscriptions']) WITH ORDINALITY v (view, i), numbers_odd o,
    pg_temp.ask(v.view::regclass, format('SELECT w.serial_number, w.step FROM VIEW w WHERE %L = w.serial_number', o.sn)) a WHERE o.n = 1 ORDER BY v.i;
-- other types, and collations
SELECT t.condition, a.* FROM unnest(ARRAY['%L::varchar', '%L::char(30)', '%L::name', '%L COLLATE "C"', '(SELECT %L)', 'lower(%L)', 'ANY (ARRAY[%L]::name[])'])
    WITH ORDINALITY t (condition, i), numbers_odd o,
    pg_temp.ask('workflow.waiting', format('SELECT w.serial_number, w.step FROM VIEW w WHERE w.serial_number = ' || t.condition, o.sn)) a WHERE o.n = 1 ORDER BY t.i;
-- lists
SELECT t.list, a.* FROM unnest(ARRAY['$IN ($1, $2)', '$IN ($1, $3, $3, ''abc'', NULL)', '$= ANY (ARRAY[$1, $2, $3, ''05_31''])', '$= ANY (ARRAY[[$1, NULL], [$3, $2]])',
    '$= ANY (''{}''::text[])', '$= ANY (NULL::text[])', '$= ANY (ARRAY(SELECT o.sn FROM numbers_odd o))', '$= $1 OR $= $3', '$= $1 AND $= $3', '$= $1 AND $= ANY (ARRAY[$1, $3])',
    '$= ''5_31x'' OR $= $3', '$LIKE replace($1, ''_'', ''\_'')']) WITH ORDINALITY t (list, i),
    (SELECT max(sn) FILTER (WHERE what = 'it waits') AS first, max(sn) FILTER (WHERE what = 'it has ended') AS ended, max(sn) FILTER (WHERE what = 'waits as well') AS last FROM numbers_odd) n,
    pg_temp.ask('workflow.waiting', 'SELECT w.serial_number, w.step FROM VIEW w WHERE ' ||
        replace(replace(replace(replace(t.list, '$1', quote_literal(n.first)), '$2', quote_literal(n.ended)), '$3', quote_literal(n.last)), '$', 'w.serial_number ')) a ORDER BY t.i;
-- joins, by what is there and what is not
SELECT v.view, j.query, a.* FROM unnest(ARRAY['workflow.waiting', 'workflow.history']) WITH ORDINALITY v (view, k), unnest(ARRAY[
    'SELECT o.n, w.step FROM numbers_odd o JOIN VIEW w ON w.serial_number = o.sn',
    'SELECT o.n, w.step FROM numbers_odd o LEFT JOIN VIEW w ON o.sn = w.serial_number',
    'SELECT o.n, w.step FROM numbers_odd o LEFT JOIN VIEW w ON w.serial_number = o.sn AND o.n > 1',
    'SELECT o.n FROM numbers_odd o WHERE EXISTS (SELECT FROM VIEW w WHERE w.serial_number = o.sn)',
    'SELECT o.n FROM numbers_odd o WHERE NOT EXISTS (SELECT FROM VIEW w WHERE w.serial_number = o.sn)',
    'SELECT o.n, (SELECT w.step FROM VIEW w WHERE w.serial_number = o.sn) FROM numbers_odd o',
    'SELECT o.n, w.step FROM numbers_odd o, LATERAL (SELECT * FROM VIEW v WHERE v.serial_number = o.sn LIMIT 1) w',
    'SELECT o.n, w.step FROM numbers_odd o JOIN VIEW w ON w.serial_number = o.sn::varchar AND w.step = ''one''',
    'SELECT o.n, w.step FROM numbers_odd o JOIN VIEW w ON w.serial_number IN (o.sn, o.what)',
    'SELECT o.n, w.step FROM numbers_odd o JOIN VIEW w ON w.serial_number = ANY (ARRAY[o.sn, o.what])',
    'SELECT o.n, w.step FROM numbers_odd o JOIN (SELECT v.* FROM VIEW v JOIN workflow.instances USING (instance)) w ON w.serial_number = o.sn',
    'WITH v AS (SELECT serial_number AS sn, step FROM VIEW w) SELECT o.n, v.step FROM numbers_odd o JOIN v USING (sn)',
    'SELECT o.n, w.serial_number FROM numbers_odd o JOIN VIEW w ON w.serial_number = o.sn JOIN VIEW x ON x.serial_number = w.serial_number'])
    WITH ORDINALITY j (query, i), pg_temp.ask(v.view::regclass, j.query) a ORDER BY v.k, j.i;
-- parameters of plans that are kept
SET plan_cache_mode = force_generic_plan;
PREPARE numbers_one(text) AS SELECT w.step FROM workflow.waiting w WHERE w.serial_number = $1;
PREPARE numbers_several(text[]) AS SELECT w.step FROM workflow.waiting w WHERE w.serial_number = ANY ($1);
SELECT * FROM pg_temp.conditions($$EXECUTE numbers_one('5_31')$$);
SELECT * FROM pg_temp.conditions($$EXECUTE numbers_several('{5_31}')$$) c ORDER BY c COLLATE "C";
DO $$
DECLARE
    o record;
    n bigint;
BEGIN
    FOR o IN SELECT * FROM numbers_odd ORDER BY n LOOP
        EXECUTE format('EXECUTE numbers_one(%L)', o.sn);
        GET DIAGNOSTICS n = ROW_COUNT;
        RAISE NOTICE '% %: %', o.n, o.what, n;
    END LOOP;
    EXECUTE format('EXECUTE numbers_several(%L)', (SELECT array_agg(sn) FROM numbers_odd));
    GET DIAGNOSTICS n = ROW_COUNT;
    RAISE NOTICE 'all: %', n;
END $$;
RESET plan_cache_mode;
-- how many rows are expected
CREATE FUNCTION pg_temp.expected(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan jsonb;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    RETURN plan #>> '{0,Plan,Plan Rows}';
END $$;
SELECT pg_temp.expected($$SELECT * FROM workflow.visits WHERE serial_number = '5_31'$$) AS of_one,
       pg_temp.expected($$SELECT * FROM numbers_odd o JOIN workflow.visits w ON w.serial_number = o.sn$$)::int <= (SELECT count(*) FROM numbers_odd) AS of_a_join;

-- the two halves
RESET ROLE;
SELECT n, what, sn = workflow_data.serial_instance(sn) || '_' || workflow_data.serial_visit(sn) AS both, workflow_data.serial_instances(ARRAY[NULL, sn, 'x', '7_8']) @> '{7}' AS among_others
FROM numbers_odd ORDER BY n;
-- tables of others are planned as ever
CREATE TABLE numbers_own (instance bigint, visit bigint, PRIMARY KEY (instance, visit));
SELECT * FROM pg_temp.conditions($$SELECT * FROM numbers_own WHERE workflow.serial_number(instance, visit) COLLATE "C" = '5_31'$$);

RESET enable_seqscan;
SELECT count(workflow.cancel(instance)) > 0 AS cancelled FROM workflow.instances WHERE process LIKE 'numbers%' AND status = 'active';
DROP TABLE numbers_odd, numbers_ended, numbers_own;
DROP OWNED BY numbers_viewer;
DROP ROLE numbers_viewer;
