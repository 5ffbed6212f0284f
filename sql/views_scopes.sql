-- Forks, joins and sub-processes, as views, metrics, the story of an instance and attached rows show them; and moving tokens in them.

SELECT workflow.define('views_scopes', '{
  "timeout": "1 day", "catch": [ { "on": "LOST", "next": "search" } ],
  "steps": [
    { "step": "fork", "next": ["pay", "pack"] },
    { "step": "pay", "wait": true, "next": "done" },
    { "step": "pack", "timeout": "1 hour", "steps": [
        { "step": "split", "next": ["box", "label"] },
        { "step": "box", "wait": true, "next": "closed" },
        { "step": "label", "wait": { "after": "1 day" }, "next": "closed" },
        { "step": "closed", "join": "all", "wait": true } ], "next": "done" },
    { "step": "done", "join": "all", "wait": true, "end": true },
    { "step": "search", "wait": true } ] }');

-- Serial numbers by what they are of: steps are entered once here.
CREATE FUNCTION pg_temp.named(i bigint, sn text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce((SELECT step FROM workflow.visits v WHERE v.instance = i AND v.serial_number = sn),
                    (SELECT step FROM workflow.history h WHERE h.instance = i AND h.serial_number = sn)) $$;
CREATE FUNCTION pg_temp.sn(i bigint, at_step text) RETURNS text LANGUAGE sql AS $$
    SELECT serial_number FROM workflow.visits v WHERE v.instance = i AND v.step = at_step $$;

SELECT workflow.start('views_scopes') AS i \gset
SELECT workflow.complete(pg_temp.sn(:i, 'pay')), workflow.complete(pg_temp.sn(:i, 'box'));
SELECT step, state, waits_for, pg_temp.named(:i, scope) AS scope, deadline IS NOT NULL AS deadline FROM workflow.visits WHERE instance = :i
ORDER BY split_part(serial_number, '_', 2)::bigint;
SELECT step, waits_for FROM workflow.waiting WHERE instance = :i ORDER BY since, step;
SELECT step, outcome, pg_temp.named(:i, scope) AS scope FROM workflow.history WHERE instance = :i ORDER BY split_part(serial_number, '_', 2)::bigint;
SELECT name, labels, value FROM workflow.metrics WHERE name IN ('visits', 'waiting') AND labels->>'process' = 'views_scopes' ORDER BY 1, 2;
SELECT labels FROM workflow.metrics WHERE name = 'oldest_wait_seconds' AND labels->>'process' = 'views_scopes' ORDER BY 1;
-- by its scope
SELECT step FROM workflow.visits WHERE scope = pg_temp.sn(:i, 'pack') ORDER BY step;

-- the story
CREATE FUNCTION pg_temp.story(i bigint) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(line, i || '_\d+', 'SN', 'g'), 'instance \d+', 'instance N'),
        '\d{4}-\d\d-\d\d \S+', 'TIME', 'g'), '^ *\+ .* (ms|s)  |(after|for) \S+ (ms|s)', 'SPAN ', 'g') FROM workflow.timeline(i) line $$;
SELECT pg_temp.story(:i);

-- what stands at a join, or is a scope, is nothing that the outside works on
SELECT s, call, test.try(format('SELECT workflow.%s(%L)', call, pg_temp.sn(:i, s)))
FROM unnest('{complete, fail, heartbeat, retry, skip}'::text[]) call, unnest('{done, pack}'::text[]) s ORDER BY 1, 2;
SELECT workflow.extend(pg_temp.sn(:i, 'pack'), '1 hour') - deadline AS later FROM workflow.visits WHERE instance = :i AND step = 'pack';

-- tokens move within their list; where tokens meet, the number is that of the one that stands there
SELECT workflow.move(pg_temp.sn(:i, 'label'), 'closed') = pg_temp.sn(:i, 'closed') AS met;
SELECT step, state, waits_for FROM workflow.visits WHERE instance = :i ORDER BY step;
CREATE FUNCTION pg_temp.refused(sn text, at_step text) RETURNS TABLE (state text, message text, detail text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM workflow.move(sn, at_step);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    message := replace(message, sn, 'SN');
    RETURN NEXT;
END $$;
\x
SELECT r.* FROM unnest('{closed, closed, pack, pack, pack, (process)}'::text[], '{pay, (process), box, search, packs, done}'::text[]) m (from_step, to_step), pg_temp.refused(pg_temp.sn(:i, from_step), to_step) r;
\x
-- a scope with all that lives in it
SELECT workflow.move(pg_temp.sn(:i, 'pack'), 'done') = pg_temp.sn(:i, 'done') AS met;
SELECT step, state, waits_for FROM workflow.visits WHERE instance = :i ORDER BY step;
SELECT step, outcome, result->'error'->>'code' AS code FROM workflow.history WHERE instance = :i ORDER BY ended_at, step;
SELECT workflow.complete(pg_temp.sn(:i, 'done'));
SELECT status FROM workflow.instances WHERE instance = :i;

-- one is cancelled, retried, skipped: the others stay
SELECT workflow.start('views_scopes') AS i \gset
SELECT workflow.fail(pg_temp.sn(:i, 'box')), workflow.fail(pg_temp.sn(:i, 'pay'));
SELECT i.status, count(*) FROM workflow.incidents n JOIN workflow.instances i USING (instance) WHERE instance = :i GROUP BY 1;
SELECT workflow.retry(pg_temp.sn(:i, 'box')), workflow.skip(pg_temp.sn(:i, 'pay'));
SELECT workflow.cancel_visit(pg_temp.sn(:i, 'label'), 'no label');
SELECT workflow.complete(pg_temp.sn(:i, 'box'));
SELECT i.status, v.step, v.waits_for FROM workflow.visits v JOIN workflow.instances i USING (instance) WHERE instance = :i ORDER BY v.step;
-- the scope: all that lives in it ends with it
SELECT workflow.cancel_visit(pg_temp.sn(:i, 'pack'), 'no parcel');
SELECT step, outcome, result->'error'->>'message' AS message FROM workflow.history WHERE instance = :i AND outcome = 'CANCELLED' ORDER BY step;
SELECT v.step, v.waits_for FROM workflow.visits v WHERE instance = :i ORDER BY v.step;
SELECT workflow.cancel(:i);

-- attached rows show what waits directly in the process, or at the step that was asked for, wherever that is
CREATE SCHEMA views_scopes
    CREATE TABLE orders (id integer PRIMARY KEY, sn text, state text)
    CREATE TABLE boxes (id integer PRIMARY KEY, sn text)
    CREATE TABLE first (id integer PRIMARY KEY, sn text)
    CREATE TABLE inner_first (id integer PRIMARY KEY, sn text);
SELECT workflow.define('views_scopes: boxes', (SELECT definition FROM workflow.processes WHERE process = 'views_scopes'));
SELECT workflow.define('views_scopes: first', '{"timeout": "1 day", "steps": [{"step": "one", "wait": true}, {"step": "two", "steps": [{"step": "deep", "wait": true}]}]}');
SELECT workflow.define('views_scopes: inner first', '{"steps": [{"step": "all", "steps": [{"step": "deep", "wait": true}], "next": "last"}, {"step": "last", "wait": true}]}');
SELECT workflow.attach('views_scopes.orders', 'views_scopes', serial_column => 'sn', status_column => 'state') IS NOT NULL AS orders,
    workflow.attach('views_scopes.boxes', 'views_scopes: boxes', serial_column => 'sn', serial_step => 'closed') IS NOT NULL AS boxes,
    workflow.attach('views_scopes.first', 'views_scopes: first', serial_column => 'sn') IS NOT NULL AS first,
    workflow.attach('views_scopes.inner_first', 'views_scopes: inner first', serial_column => 'sn') IS NOT NULL AS inner_first;
-- the step at which the visit is whose number a row shows
CREATE FUNCTION pg_temp.shown(sn text) RETURNS text LANGUAGE sql AS $$ SELECT coalesce((SELECT step FROM workflow.visits v WHERE v.serial_number = sn), '-') $$;
CREATE FUNCTION pg_temp.complete(process text, at_step text) RETURNS boolean LANGUAGE sql AS $$
    SELECT workflow.complete(serial_number) FROM workflow.waiting w WHERE w.process = $1 AND w.step = at_step $$;
CREATE FUNCTION pg_temp.in_line() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', pg_temp.shown(o.sn), o.state, pg_temp.shown(b.sn), pg_temp.shown(f.sn), pg_temp.shown(i.sn))
    FROM views_scopes.orders o, views_scopes.boxes b, views_scopes.first f, views_scopes.inner_first i $$;
INSERT INTO views_scopes.first VALUES (1) RETURNING sn IS NOT NULL AS at_once;
INSERT INTO views_scopes.inner_first VALUES (1) RETURNING sn IS NOT NULL AS at_once;
INSERT INTO views_scopes.orders VALUES (1) RETURNING sn IS NOT NULL AS at_once;
INSERT INTO views_scopes.boxes VALUES (1) RETURNING sn IS NOT NULL AS at_once;
CALL test.until($$SELECT pg_temp.in_line() = 'pay active - one -'$$);
SELECT pg_temp.in_line();
SELECT pg_temp.complete('views_scopes', 'box'), pg_temp.complete('views_scopes: boxes', 'box'), pg_temp.complete('views_scopes: first', 'one'), pg_temp.complete('views_scopes: inner first', 'deep');
CALL test.until($$SELECT pg_temp.in_line() = 'pay active - - last'$$);
-- one stands at the join at which the step has its wait: that takes no callback yet
SELECT pg_temp.in_line();
SELECT count(workflow.move(serial_number, 'closed')) FROM workflow.visits WHERE process LIKE 'views_scopes%' AND step = 'label';
SELECT pg_temp.complete('views_scopes', 'pay');
CALL test.until($$SELECT pg_temp.in_line() = '- active closed - last'$$);
SELECT pg_temp.in_line();
SELECT pg_temp.complete('views_scopes', 'closed');
CALL test.until($$SELECT pg_temp.in_line() = 'done active closed - last'$$);
SELECT pg_temp.in_line();
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'views_scopes%' AND ended_at IS NULL;
DROP SCHEMA views_scopes CASCADE;
