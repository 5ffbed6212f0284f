-- Instances go on under another version of their process.

CREATE FUNCTION pg_temp.after(i interval) RETURNS text LANGUAGE sql AS $$ SELECT CASE WHEN i > '1000 days' THEN 'far' ELSE date_trunc('minute', i + interval '30 s')::text END $$;
CREATE FUNCTION pg_temp.clocks(instance bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(v.step || ' ' || concat_ws(', ', 'deadline ' || pg_temp.after(v.deadline - v.entered_at), 'due ' || pg_temp.after(v.due_at - v.waiting_since),
                      'entries ' || (SELECT string_agg(coalesce(pg_temp.after(t - v.entered_at), '-'), ' ' ORDER BY n) FROM unnest(v.clock_times) WITH ORDINALITY AS c (t, n))), '; ' ORDER BY v.visit)
    FROM workflow_data.visit v WHERE v.instance = $1 $$;

-- names map to themselves, or as is said; a waiting visit goes on with the route of its new step
SELECT workflow.define('migrate: order', '{
  "steps": [
    { "step": "pay", "wait": true },
    { "step": "pack", "wait": true, "end": true } ] }');
SELECT workflow.define('migrate: order', '{
  "steps": [
    { "step": "paid", "wait": true, "save": { "by": "${$result.response.by}" } },
    { "step": "check", "set": { "checked": true } },
    { "step": "pack", "wait": true, "end": true } ] }');
SELECT workflow.start('migrate: order', version => 1) AS i \gset
SELECT workflow.start('migrate: order', version => 1) AS j \gset
SELECT workflow.complete(test.waits(:j));
SELECT test.waits(:i) AS sn \gset
SELECT * FROM workflow.migrate(:i, 2, '{"pay": "paid"}');
SELECT version, test.at(instance) FROM workflow.instances WHERE instance IN (:i, :j) ORDER BY instance;
SELECT * FROM workflow.migrate(:i, 2);
SELECT workflow.complete(:'sn', '{"by": "card"}');
SELECT test.at(:i), data FROM workflow.instances WHERE instance = :i;
SELECT step, outcome FROM workflow.history WHERE instance = :i ORDER BY ended_at, step;
SELECT substr(line, 10) FROM workflow.timeline(:i) AS line WHERE line LIKE '%taken from%';
-- all of a version
SELECT count(workflow.start('migrate: order', version => 1)) FROM generate_series(1, 5);
SELECT * FROM workflow.migrate(process => 'migrate: order', from_version => 1, version => 2, mapping => '{"pay": "paid"}');
SELECT version, test.at(instance), count(*) FROM workflow.instances WHERE process = 'migrate: order' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT call, instance, arguments FROM workflow.audit WHERE process = 'migrate: order' AND call = 'migrate' AND instance IS NULL;
SELECT * FROM workflow.migrate('migrate: order', 1, 2, '{"pay": "paid"}');
-- each tells of it, living or ended
SELECT * FROM workflow.migrate('migrate: order', 2, 1, '{"paid": "pay"}');
SELECT substr(line, 15) FROM unnest(ARRAY[:i, :j]) AS i, workflow.timeline(i) AS line WHERE line LIKE '%taken from%';
SELECT * FROM workflow.migrate('migrate: order', 1, 2, '{"pay": "paid"}');
SELECT workflow.cancel(:j);
SELECT substr(line, 15) FROM workflow.timeline(:j) AS line WHERE line LIKE '%taken from%';
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process = 'migrate: order' AND ended_at IS NULL;

-- clocks: those that stand in both keep their times; changed ones count from where they did; new ones from the entry
SELECT workflow.define('migrate: clocks', '{
  "steps": [
    { "step": "w", "first_of": [ { "callback": true, "next": "done" }, { "after": "3 hours", "next": "done" } ], "timeout": "1 day",
      "catch": [ { "after": "1 hour", "interrupt": false, "next": "remind" }, { "after": "2 hours", "interrupt": false, "next": "warn" },
                 { "every": "5 hours", "interrupt": false, "next": "warn" } ] },
    { "step": "remind", "end": true }, { "step": "warn", "end": true }, { "step": "done", "end": true } ] }');
SELECT workflow.define('migrate: clocks', '{
  "steps": [
    { "step": "w", "first_of": [ { "callback": true, "next": "done" }, { "until": "${$.end}", "next": "done" }, { "after": "3 hours", "next": "done" } ], "timeout": "1 day",
      "catch": [ { "every": "5 hours", "times": 3, "interrupt": false, "next": "warn" }, { "after": "7 hours", "next": "warn" }, { "after": "90 minutes", "interrupt": false, "next": "remind" } ] },
    { "step": "remind", "end": true }, { "step": "warn", "end": true }, { "step": "done", "end": true } ] }');
SELECT workflow.define('migrate: clocks', '{ "steps": [ { "step": "w", "wait": true, "timeout": "36 hours" } ] }');
SELECT workflow.start('migrate: clocks', '{"end": "infinity"}', version => 1) AS i \gset
SELECT pg_temp.clocks(:i);
-- what cannot be worked out keeps it from that
SELECT obstacle ~ '^\d+_\d+ cannot be at step "w" of version 2: ' AS told, instance = :i AS same FROM workflow.migrate(:i, 2);
SELECT pg_temp.clocks(:i), version FROM workflow.instances WHERE instance = :i;
SELECT workflow.set_data(:i, '{"end": "2100-01-01"}');
-- the reminder has begun
UPDATE workflow_data.visit SET clock_times[3] = NULL, next_handler = clock_times[4], next_timer = clock_times[4] WHERE instance = :i;
SELECT pg_temp.clocks(:i);
SELECT * FROM workflow.migrate(:i, 2);
SELECT pg_temp.clocks(:i);
SELECT * FROM workflow.migrate(:i, 3);
SELECT pg_temp.clocks(:i);
SELECT workflow.cancel(:i);

-- events: a wait that stays keeps its number, and so what is on the way to it
SELECT workflow.define('migrate: events', '{
  "steps": [
    { "step": "w", "first_of": [ { "message": "migrate: a", "key": "${$.k}", "next": "a" }, { "message": "migrate: b", "next": "b" } ],
      "catch": [ { "signal": "migrate: s", "interrupt": false, "next": "s" }, { "condition": "$.x == 1", "interrupt": false, "next": "x" } ] },
    { "step": "a", "end": true }, { "step": "b", "end": true }, { "step": "s", "end": true }, { "step": "x", "end": true } ] }');
SELECT workflow.define('migrate: events', '{
  "steps": [
    { "step": "wait", "first_of": [ { "condition": "$.z == 1", "next": "x" }, { "message": "migrate: b", "next": "b" }, { "message": "migrate: c", "when": "$.c == 1", "next": "a" },
                                    { "message": "migrate: a", "key": "${$.k}", "next": "a" } ],
      "catch": [ { "condition": "$.x == 1", "interrupt": false, "next": "x" }, { "condition": "$.y == 1", "interrupt": false, "next": "s" }, { "signal": "migrate: s", "next": "s" } ] },
    { "step": "a", "end": true }, { "step": "b", "end": true }, { "step": "s", "end": true }, { "step": "x", "end": true } ] }');
SELECT workflow.start('migrate: events', '{"k": 1, "y": 1}', version => 1) AS i \gset
SELECT workflow.start('migrate: events', '{"k": 2, "c": 1}', version => 1) AS j \gset
SELECT workflow.suspend(:j);
SELECT workflow.send_message('migrate: a', '2', '"kept"');
CREATE TEMP TABLE migrate_before AS SELECT * FROM workflow_data.subscription WHERE instance IN (:i, :j);
SELECT * FROM workflow.migrate('migrate: events', 1, 2, '{"w": "wait"}');
SELECT s.instance = :i AS first, s.entry, s.kind, s.name, s.key, s.interrupt, s.step, b.entry AS was
FROM workflow_data.subscription s LEFT JOIN migrate_before b USING (subscription) WHERE s.instance IN (:i, :j) ORDER BY s.instance, s.entry;
-- a handler that is new, and whose condition holds, has begun
SELECT test.went(:i), test.at(:i);
SELECT workflow.resume(:j);
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :j));
SELECT step, outcome, result->'event'->'name' AS by FROM workflow.history WHERE instance = :j ORDER BY step;
-- a condition that holds already ends the wait at once
SELECT workflow.start('migrate: events', '{"k": 3, "z": 1}', version => 1) AS j \gset
SELECT * FROM workflow.migrate(:j, 2, '{"w": "wait"}');
SELECT status, test.went(instance) FROM workflow.instances WHERE instance = :j;
SELECT workflow.cancel(:i);

-- joins are counted anew: another one, another graph, a number that has come by now
SELECT workflow.define('migrate: joins', '{
  "steps": [
    { "step": "f", "next": ["a", "b", "c"] },
    { "step": "a", "wait": true, "next": "j" }, { "step": "b", "wait": true, "next": "j" }, { "step": "c", "wait": true, "next": "j" },
    { "step": "j", "join": "all", "end": true } ] }');
SELECT workflow.define('migrate: joins', '{
  "steps": [
    { "step": "f", "next": ["a", "b", "c"] },
    { "step": "a", "wait": true, "next": "k" }, { "step": "b", "wait": true, "next": "k" }, { "step": "k", "join": "all", "next": "j" },
    { "step": "c", "wait": true, "next": "l" }, { "step": "l", "wait": true, "next": "j" },
    { "step": "j", "join": "all", "wait": true, "end": true } ] }');
SELECT workflow.define('migrate: joins', '{
  "steps": [
    { "step": "f", "next": ["a", "b", "c"] },
    { "step": "a", "wait": true, "next": "j" }, { "step": "b", "wait": true, "next": "j" }, { "step": "c", "wait": true, "next": "j" },
    { "step": "j", "join": 2, "wait": true, "end": true } ] }');
SELECT workflow.define('migrate: joins', '{
  "steps": [
    { "step": "f", "next": ["a", "b", "c", "d"] },
    { "step": "d", "next": "i" }, { "step": "i", "join": "any", "next": "a" },
    { "step": "a", "wait": true, "next": "j" }, { "step": "b", "wait": true, "next": "j" }, { "step": "c", "wait": true, "next": "j" },
    { "step": "j", "join": 2, "wait": true, "end": true } ] }');
SELECT workflow.start('migrate: joins', version => 1) AS i \gset
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'c';
SELECT test.at(:i);
SELECT * FROM workflow.migrate(:i, 2);
SELECT test.at(:i), joins[1] AS stands, joins[2:3] AS k, joins[4] > 0 AS stands, joins[5:6] AS j FROM workflow_data.instance WHERE instance = :i;
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'a';
SELECT test.at(:i);
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'b';
SELECT test.at(:i);
SELECT workflow.cancel(:i);
-- two have come, and are as many as it takes now: the third is late
SELECT workflow.start('migrate: joins', version => 1) AS i \gset
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i AND step IN ('b', 'c');
SELECT test.at(:i);
SELECT * FROM workflow.migrate(:i, 3);
SELECT test.at(:i);
SELECT late FROM workflow_data.visit WHERE instance = :i AND step = 'a';
-- it ends in the join, unless the other version has another one
SELECT * FROM workflow.migrate(:i, 4);
SELECT test.at(:i), late FROM workflow_data.visit WHERE instance = :i AND step = 'a';
SELECT * FROM workflow.migrate(:i, 3);
SELECT test.at(:i), late FROM workflow_data.visit WHERE instance = :i AND step = 'a';
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'a';
SELECT test.at(:i);
SELECT workflow.cancel(:i);

-- sub-processes, with their fields
SELECT workflow.define('migrate: scopes', '{
  "steps": [ { "step": "s", "local": { "n": 1, "gone": 2 }, "steps": [ { "step": "x", "wait": true, "save": { "n": 5 } }, { "step": "y", "wait": true } ], "save": { "r": "${$result.response}" } } ] }');
SELECT workflow.define('migrate: scopes', '{
  "steps": [ { "step": "t", "local": { "n": 7, "new": "${$.k}" }, "timeout": "1 day", "steps": [ { "step": "x", "wait": true, "save": { "n": "${$.n + 10}" }, "next": "z" }, { "step": "z", "wait": true } ], "save": { "r": "${$result.response}" } } ] }');
SELECT workflow.start('migrate: scopes', '{"k": "new"}', version => 1) AS i \gset
SELECT * FROM workflow.migrate(:i, 2, '{"s": "t"}');
SELECT test.at(:i), pg_temp.clocks(:i);
SELECT workflow.complete(test.waits(:i));
SELECT workflow.complete(test.waits(:i));
SELECT test.ended(:i);

-- items of a list: those that are under way go on, and more of them at a time; one that was done before gives null
SELECT workflow.define('migrate: items', '{
  "steps": [ { "step": "e", "each": { "in": "$.list", "parallel": 1 }, "wait": true, "next": "end" }, { "step": "end", "wait": true } ] }');
SELECT workflow.define('migrate: items', '{
  "steps": [ { "step": "g", "each": { "in": "$.other", "parallel": 3, "collect": "got" }, "timeout": "1 day", "wait": { "callback": true }, "heartbeat": "1 hour",
               "catch": [ { "on": "TIMED_OUT", "next": "end" } ], "next": "end" }, { "step": "end", "wait": true } ] }');
SELECT workflow.define('migrate: items', '{
  "steps": [ { "step": "e", "wait": true, "next": "end" }, { "step": "end", "wait": true } ] }');
SELECT workflow.start('migrate: items', '{"list": ["a", "b", "c", "d", "e"]}', version => 1) AS i \gset
SELECT workflow.complete(test.waits(:i), '"first"');
SELECT regexp_replace(obstacle, '^\d+_\d+ ', '') AS obstacle FROM workflow.migrate(:i, 3);
SELECT * FROM workflow.migrate(:i, 2, '{"e": "g"}');
SELECT step, waits_for, item, deadline IS NOT NULL AS timed, scope IS NOT NULL AS inside FROM workflow.visits WHERE instance = :i ORDER BY item NULLS FIRST;
SELECT count(workflow.complete(serial_number, to_jsonb(item))) FROM workflow.waiting WHERE instance = :i;
SELECT test.at(:i);
SELECT workflow.complete(serial_number, to_jsonb(item)) FROM workflow.waiting WHERE instance = :i;
SELECT test.at(:i), data FROM workflow.instances WHERE instance = :i;
SELECT workflow.cancel(:i);

-- the process comes to be a scope, as of its start, and ceases to be one
SELECT workflow.define('migrate: whole', '{ "steps": [ { "step": "a", "next": ["b", "c"] }, { "step": "b", "wait": true, "next": "d" }, { "step": "c", "wait": true, "next": "d" }, { "step": "d", "join": "all", "end": true } ] }');
SELECT workflow.define('migrate: whole', '{ "timeout": "1 day", "catch": [ { "message": "migrate: h", "interrupt": false, "next": "h" }, { "condition": "$.x == 1", "interrupt": false, "next": "h" } ],
  "steps": [ { "step": "a", "next": ["b", "c"] }, { "step": "b", "wait": true, "next": "d" }, { "step": "c", "wait": true, "next": "d" }, { "step": "d", "join": "all", "end": true }, { "step": "h", "wait": true, "end": true } ] }');
SELECT workflow.start('migrate: whole', '{"x": 1}', version => 1) AS i \gset
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'b';
SELECT * FROM workflow.migrate(:i, 2);
SELECT test.at(:i);
SELECT v.step, v.deadline - i.started_at AS deadline, v.tokens FROM workflow_data.visit v JOIN workflow_data.instance i USING (instance) WHERE instance = :i AND v.scope IS NULL ORDER BY v.step;
SELECT workflow.send_message('migrate: h');
SELECT test.at(:i);
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i AND step = 'h';
SELECT * FROM workflow.migrate(:i, 1);
SELECT test.at(:i), (SELECT count(*) FROM workflow_data.subscription s WHERE s.instance = :i) AS subscriptions;
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i;
SELECT status, test.went(instance) FROM workflow.instances WHERE instance = :i;

-- an incident, whose step does something else now; one that is suspended
SELECT workflow.define('migrate: mend', '{ "steps": [ { "step": "a", "sql": "SELECT 1/0 AS x", "save": { "x": "${$reply.row.x}" } } ] }');
SELECT workflow.define('migrate: mend', '{ "steps": [ { "step": "a", "sql": "SELECT 1/1 AS x", "save": { "x": "${$reply.row.x}" } } ] }');
SELECT workflow.start('migrate: mend', version => 1) AS i \gset
CALL test.until(format('SELECT status = ''failed'' FROM workflow.instances WHERE instance = %s', :i));
SELECT workflow.suspend(:i);
SELECT * FROM workflow.migrate(:i, 2);
SELECT workflow.resume(:i);
SELECT workflow.retry(test.stands(:i));
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :i));
SELECT test.ended(:i);

-- a row shows a step of another name
CREATE TABLE migrate_orders (id bigint PRIMARY KEY, sn text);
SELECT workflow.define('migrate: row', '{ "steps": [ { "step": "f", "next": ["a", "b"] }, { "step": "a", "wait": true, "end": true }, { "step": "b", "wait": true, "end": true } ] }');
SELECT workflow.attach('migrate_orders', 'migrate: row', serial_column => 'sn', serial_step => 'b') > 0 AS attached;
INSERT INTO migrate_orders VALUES (1);
CALL test.until('SELECT test.shows(sn) = ''b'' FROM migrate_orders');
SELECT sn AS before FROM migrate_orders \gset
SELECT workflow.define('migrate: row', '{ "steps": [ { "step": "f", "next": ["c", "b"] }, { "step": "b", "wait": true, "end": true }, { "step": "c", "wait": true, "end": true } ] }');
SELECT * FROM workflow.migrate('migrate: row', 1, 2, '{"a": "b", "b": "c"}');
CALL test.until(format('SELECT sn <> %L FROM migrate_orders', :'before'));
SELECT test.shows(sn) FROM migrate_orders;
SELECT workflow.detach('migrate_orders', 'migrate: row');
DROP TABLE migrate_orders;

SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'migrate: %' AND ended_at IS NULL;
SELECT count(workflow.undefine(process)) > 0 AS undefined FROM workflow.processes WHERE process LIKE 'migrate: %';

-- the silence of who has fetched work: as it was; from now on if the heartbeat has changed
SELECT workflow.define('migrate: worker', replace('{"steps": [{"step": "work", "wait": {"topic": "migrate: worker"}, "heartbeat": "1 hour"}], "data": {"v": N}}', 'N', n::text)::json) FROM generate_series(1, 2) n;
SELECT workflow.define('migrate: worker', '{"steps": [{"step": "work", "wait": {"topic": "migrate: worker"}, "heartbeat": "1 day"}]}');
SELECT workflow.define('migrate: worker', '{"steps": [{"step": "work", "wait": {"topic": "migrate: worker"}}]}');
SELECT workflow.start('migrate: worker', version => 1) AS i, workflow.start('migrate: worker', version => 1) AS j \gset
SELECT count(*) FROM workflow.fetch('migrate: worker');
CALL test.until(format('SELECT count(heartbeat_deadline) = 1 FROM workflow.waiting WHERE instance IN (%s, %s)', :'i', :'j'));
SELECT instance AS i, heartbeat_deadline AS before FROM workflow.waiting WHERE instance IN (:i, :j) AND heartbeat_deadline IS NOT NULL \gset
SELECT count(*) AS obstacles FROM workflow.migrate(process => 'migrate: worker', from_version => 1, version => 2);
SELECT instance = :i AS fetched, heartbeat_deadline = :'before' AS as_before FROM workflow.waiting WHERE process = 'migrate: worker' ORDER BY 1;
SELECT count(*) AS obstacles FROM workflow.migrate(process => 'migrate: worker', from_version => 2, version => 3);
SELECT instance = :i AS fetched, heartbeat_deadline > now() + interval '23 hours' AS a_day FROM workflow.waiting WHERE process = 'migrate: worker' ORDER BY 1;
SELECT count(*) AS obstacles FROM workflow.migrate(process => 'migrate: worker', from_version => 3, version => 4);
SELECT instance = :i AS fetched, heartbeat_deadline FROM workflow.waiting WHERE process = 'migrate: worker' ORDER BY 1;
SELECT count(*) AS obstacles FROM workflow.migrate(process => 'migrate: worker', from_version => 4, version => 1);
SELECT instance = :i AS fetched, heartbeat_deadline > now() + interval '59 minutes' AS an_hour FROM workflow.waiting WHERE process = 'migrate: worker' ORDER BY 1;
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process = 'migrate: worker' AND ended_at IS NULL;
