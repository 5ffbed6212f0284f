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

-- joins: as many as a list may have, one in five steps, in a loop of them all
CREATE FUNCTION pg_temp.joined(n int, how jsonb, last jsonb) RETURNS json LANGUAGE sql AS $$
    SELECT json_build_object('steps', json_agg(jsonb_build_object('step', 's' || g, 'wait', true) || CASE WHEN g = n THEN last
        WHEN g % 5 = 0 THEN jsonb_build_object('join', how) WHEN g % 5 = 1 THEN jsonb_build_object('next', jsonb_build_array('s' || g + 1, 's' || g + 2)) WHEN g % 5 = 2 THEN jsonb_build_object('next', 's' || g + 3) ELSE '{}' END ORDER BY g)) FROM generate_series(1, n) g
$$;
SELECT clock_timestamp() AS began \gset
SELECT workflow.define('limits: joins', pg_temp.joined(5000, '"any"', '{"join": "all"}'));
SELECT workflow.define('limits: joins', pg_temp.joined(5000, '2', '{"join": 2, "next": "s1"}'));
SELECT workflow.define('limits: joins', pg_temp.joined(5000, '"all"', '{"join": "all", "next": "s1"}'));
SELECT clock_timestamp() - :'began' < '9 s' AS soon;
SELECT workflow.define('limits: joins', pg_temp.flat(1001, '{"join": "any"}'));
-- one fork into all that there may be
CREATE FUNCTION pg_temp.forked(n int) RETURNS json LANGUAGE sql AS $$
    SELECT json_build_object('steps', json_build_array(json_build_object('step', 'fork', 'next', json_agg('s' || g ORDER BY g)), json_build_object('step', 'join', 'join', n, 'end', true))::jsonb
        || jsonb_agg(jsonb_build_object('step', 's' || g, 'wait', true, 'next', 'join') ORDER BY g)) FROM generate_series(1, n) g
$$;
SELECT workflow.define('limits: fork', pg_temp.forked(4998));
SELECT workflow.define('limits: fork', pg_temp.forked(4999));
-- steps count wherever they stand
SELECT workflow.define('limits: inside', json_build_object('steps', json_build_array(json_build_object('step', 'in', 'steps', pg_temp.flat(4999, '{"wait": true}') -> 'steps')), 'timeout', '1 day'));
SELECT workflow.define('limits: inside', json_build_object('steps', json_build_array(json_build_object('step', 'in', 'steps', pg_temp.flat(5000, '{"wait": true}') -> 'steps'))));

-- a token goes through
SELECT workflow.start('limits: waits') AS instance \gset
SELECT step FROM workflow.waiting WHERE instance = :instance;
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :instance;
SELECT step FROM workflow.waiting WHERE instance = :instance;
SELECT workflow.move(test.waits(:instance), 's5000') IS NOT NULL AS moved;
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
