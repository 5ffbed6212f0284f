-- Outside systems: complete and fail, late calls, serial numbers that are none.

SELECT workflow.define('complete: order', '{
  "steps": [
    { "step": "pay", "wait": true, "success": "$result.response.ok == true", "save": { "receipt": "${$result.response.receipt ?? null}" },
      "catch": [ { "on": "NO_MONEY", "next": "remind" }, { "on": "FAILED", "next": "ask" } ] },
    { "step": "ship", "wait": true, "end": true },
    { "step": "remind", "set": { "caught": "${$caught.error.message}" }, "next": "pay" },
    { "step": "ask", "wait": true, "save": true, "end": { "abort": "was asked" } } ]}');

-- two steps
SELECT workflow.start('complete: order') AS i \gset
SELECT test.waits(:i) AS sn \gset
SELECT workflow.complete(:'sn', '{"ok": true, "receipt": 7, "more": 1}');
SELECT step FROM workflow.waiting WHERE instance = :i;
SELECT workflow.complete(serial_number => test.waits(:i));
SELECT status, data FROM workflow.instances WHERE instance = :i;
SELECT step, outcome, attempts, result FROM workflow.history WHERE instance = :i ORDER BY ended_at;

-- what comes later does nothing, and is recorded
SELECT workflow.complete(:'sn', '{"late": 1}');
SELECT workflow.complete(:'sn');
SELECT workflow.fail(:'sn', 'NO_MONEY', 'poor', '{"late": 2}');
SELECT role = current_user AS by_me, data FROM workflow.late_callbacks WHERE serial_number = :'sn' ORDER BY received_at;
-- bounded in size and number
SELECT workflow.complete(:'sn', jsonb_build_object('text', repeat('é', 100000)));
SELECT data - 'text', octet_length(data->>'text') <= 8192 AS cut, left(data->>'text', 12)
FROM workflow.late_callbacks WHERE serial_number = :'sn' AND data ? 'truncated';
SELECT count(*) FILTER (WHERE NOT workflow.complete(:'sn', to_jsonb(n))) FROM generate_series(1, 200) n;
SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = :'sn';

-- an error with a handler of its own, then a predicate that is false, then one that nobody handles
SELECT workflow.start('complete: order') AS i \gset
SELECT workflow.fail(test.waits(:i), 'NO_MONEY', 'poor');
SELECT w.step, i.data FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE instance = :i;
SELECT workflow.complete(test.waits(:i), '{"ok": false}');
SELECT w.step, i.data FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE instance = :i;
SELECT workflow.complete(test.waits(:i), '{"answer": "no"}');
SELECT status, data, error FROM workflow.instances WHERE instance = :i;
SELECT step, outcome, result->'error' AS error FROM workflow.history WHERE instance = :i
ORDER BY split_part(serial_number, '_', 2)::bigint;
SELECT workflow.start('complete: order') AS i \gset
SELECT workflow.complete(test.waits(:i), '{"ok": true}');
SELECT workflow.fail(serial_number => test.waits(:i), data => '{"why": "lost"}');
SELECT step, outcome, error FROM workflow.incidents WHERE instance = :i;
SELECT status FROM workflow.instances WHERE instance = :i;
-- the outside may still say that it is done
SELECT workflow.complete(serial_number) FROM workflow.incidents WHERE instance = :i;
SELECT status FROM workflow.instances WHERE instance = :i;

-- codes
SELECT workflow.start('complete: order') AS i \gset
SELECT test.waits(:i) AS sn \gset
SELECT workflow.fail(:'sn', '');
SELECT workflow.fail(:'sn', repeat('x', 201));
SELECT workflow.fail(:'sn', NULL, NULL, NULL);
SELECT step FROM workflow.waiting WHERE instance = :i;

-- a rollback takes it back
SELECT test.waits(:i) AS sn \gset
BEGIN;
SELECT workflow.complete(:'sn');
SELECT workflow.complete(:'sn');
ROLLBACK;
SELECT workflow.complete(:'sn');
SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = :'sn';

-- one that does not wait for the outside
SELECT workflow.define('complete: clock', '{"steps": [{"step": "nap", "wait": {"after": "1 day"}}]}');
SELECT workflow.start('complete: clock') AS i \gset
\set VERBOSITY sqlstate
SELECT workflow.complete(test.waits(:i));
\set VERBOSITY default

-- no serial numbers
DO $$
DECLARE
    text text;
BEGIN
    FOREACH text IN ARRAY ARRAY['', 'x', '5', '5_', '_5', '5_31_7', '5-31', ' 5_31', '5_31 ', '+5_31', '5_+31', '-5_31', '05_31',
                                '5_031', '0_31', '5_0', '5_31x', '٥_٣١', '9223372036854775808_1', '1_9223372036854775808',
                                repeat('9', 100000), '5.0_31', '0x5_31']
    LOOP
        BEGIN
            PERFORM workflow.complete(text);
            RAISE NOTICE 'accepted: %', left(text, 30);
        EXCEPTION WHEN invalid_text_representation THEN
            NULL;
        END;
    END LOOP;
END $$;
SELECT workflow.complete(' 5_31');
SELECT workflow.fail('5_', 'X');
SELECT workflow.complete('6_0');
SELECT workflow.complete('06_1');
SELECT workflow.complete('6_01');
SELECT workflow.complete('6_9223372036854775808');
SELECT workflow.complete(NULL::text);
-- never issued
SELECT workflow.complete('9223372036854775807_9223372036854775807');
SELECT workflow.fail('9223372036854775807_1');
-- newer versions of PostgreSQL read 5_31 without quotes as a number
SELECT workflow.complete(531);
SELECT workflow.fail(531, 'X');
SELECT workflow.retry(531);
SELECT workflow.skip(531, '{}');
SELECT workflow.complete(NULL::bigint);

-- large data that were read are not kept until the end of a transaction in which others are
SELECT workflow.define('complete: large', '{"steps": [{"step": "a", "wait": true}, {"step": "b", "wait": true}, {"step": "c", "wait": true}]}');
CREATE TABLE test.large AS SELECT workflow.start('complete: large', jsonb_build_object('t', (SELECT string_agg(md5(i || ' ' || n), '') FROM generate_series(1, 300) n))) AS i
FROM generate_series(1, 5) i;
BEGIN;
DO $$ DECLARE
    mine bigint;
BEGIN
    FOR mine IN SELECT i FROM test.large LOOP
        PERFORM test.done(mine, 'a'), test.done(mine, 'b');
    END LOOP;
END $$;
SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'workflow data';
COMMIT;
SELECT sum(length(data ->> 't')) AS length, count(workflow.cancel(i)) AS cancelled FROM test.large JOIN workflow.instances ON instance = i;
DROP TABLE test.large;
