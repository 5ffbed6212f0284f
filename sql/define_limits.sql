-- The largest definitions that the limits allow, and the smallest that they do not.

-- a definition of n steps of that kind, one after the other
CREATE FUNCTION pg_temp.flat(n int, what jsonb) RETURNS json LANGUAGE sql AS $$
    SELECT json_build_object('steps', json_agg(jsonb_build_object('step', 's' || g) || what ORDER BY g)) FROM generate_series(1, n) g
$$;
-- each leads to the one before it; the last one listed is the first
CREATE FUNCTION pg_temp.backwards(n int) RETURNS json LANGUAGE sql AS $$
    SELECT json_build_object('start', 's' || n, 'steps', json_agg(jsonb_build_object('step', 's' || g)
        || CASE WHEN g > 1 THEN jsonb_build_object('next', 's' || g - 1) ELSE '{"wait": true}' END ORDER BY g)) FROM generate_series(1, n) g
$$;

-- many steps are not deep
SELECT workflow.define('limits: waits', pg_temp.flat(60, '{"wait": true}'));
SELECT workflow.define('limits: waits', pg_temp.flat(5000, '{"wait": true}'));
SELECT workflow.define('limits: waits', pg_temp.flat(5001, '{"wait": true}'));
SELECT workflow.define('limits: sets', pg_temp.flat(5000, '{"set": {"a": {"b": ["${$.n}", {"c": {}}]}}}'));
SELECT workflow.define('limits: backwards', pg_temp.backwards(5000));

-- a token goes through
SELECT workflow.start('limits: waits') AS instance \gset
SELECT step FROM workflow.waiting WHERE instance = :instance;
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :instance;
SELECT step FROM workflow.waiting WHERE instance = :instance;
SELECT workflow.move(:instance, 's2', 's5000') IS NOT NULL AS moved;
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :instance;
SELECT status FROM workflow.instances WHERE instance = :instance;
SELECT workflow.start('limits: sets', '{"n": 1}') AS instance \gset
CALL workflow.wait_for(:instance, '60 s');
SELECT data, (SELECT count(*) FROM workflow.history h WHERE h.instance = i.instance) AS visits FROM workflow.instances i WHERE instance = :instance;

-- what is deep is: four levels are above what is set
SELECT workflow.define('limits: deep', format('{"steps": [{"step": "a", "set": {"x": %s%s}}]}', repeat('[', 60), repeat(']', 60))::json);
SELECT workflow.define('limits: deep', format('{"steps": [{"step": "a", "set": {"x": %s%s}}]}', repeat('[', 61), repeat(']', 61))::json);
-- brackets in texts are none
SELECT workflow.define('limits: deep', format('{"steps": [{"step": "a", "set": {"x": "\"%s"}}]}', repeat('[{', 100))::json);
-- four million bytes
SELECT workflow.define('limits: long', format('{"steps": [{"step": "a", "set": {"x": "%s"}}]}', repeat('x', 4 * 1024 * 1024 - 44))::json);
SELECT workflow.define('limits: long', format('{"steps": [{"step": "a", "set": {"x": "%s"}}]}', repeat('x', 4 * 1024 * 1024))::json);

SELECT workflow.cancel(instance) FROM workflow.instances WHERE process LIKE 'limits: %' AND ended_at IS NULL;
