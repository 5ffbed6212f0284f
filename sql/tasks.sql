-- Tasks: offered, done, failed, kept while the instance is suspended; and who may do them.

CREATE ROLE tasks_alice; CREATE ROLE tasks_bob; CREATE ROLE tasks_accounting; CREATE ROLE tasks_stranger; CREATE ROLE tasks_service;
GRANT tasks_accounting TO tasks_alice, tasks_bob;
GRANT USAGE ON SCHEMA workflow, test TO tasks_alice, tasks_bob, tasks_stranger, tasks_service;
CREATE FUNCTION pg_temp.tasks(instance bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s: %s %s %s', entry, title, assignee_name, role_names), '; ' ORDER BY visit) FROM workflow_data.task t WHERE t.instance = $1 $$;
CREATE FUNCTION test.said(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text; detail text; hint text;
BEGIN
    EXECUTE query;
    RETURN 'nothing';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN regexp_replace(concat_ws(' / ', message, detail, hint), '\d+_\d+', 'N');
END $$;

-- one that waits
SELECT workflow.define('tasks', '{"steps": [{"step": "ask", "wait": {"task": {"title": "Charge ${$.id}", "roles": ["tasks_accounting"], "due": "2 days", "data": {"id": "${$.id}"}}},
  "save": {"by": "${$event.role}", "event": "${$event.kind} ${$event.data.ok}"}}]}');
SELECT workflow.grant_process('tasks', 'tasks_service', 'complete');
SELECT workflow.start('tasks', '{"id": 17}') AS i \gset
SELECT test.sn(:i) AS sn \gset
SELECT title, data, due - created_at AS due, claimed_at, role_names FROM workflow_data.task WHERE instance = :i;
SELECT waits_for, state FROM workflow.visits WHERE instance = :i;
-- to a stranger it is not there, and the privilege is not for tasks
SET ROLE tasks_stranger;
SELECT test.try(format('SELECT workflow.complete(%L)', :'sn')) AS unknown;
SET ROLE tasks_service;
SELECT test.try(format('SELECT workflow.complete(%L)', :'sn')) AS error;
SELECT accepted, error_code, regexp_replace(error, '\d+_\d+', 'N') AS error FROM workflow.complete_many(json_build_array(json_build_object('serial_number', :'sn')));
RESET ROLE;
SELECT pg_temp.tasks(:i);
-- a candidate does it
SET ROLE tasks_alice;
SELECT workflow.complete(:'sn', '{"ok": true}');
-- and once more, since he has not heard of that: he is told that it is over, and nobody else is
SELECT workflow.complete(:'sn', '{"ok": false}'), workflow.fail(:'sn'), workflow.claim(:'sn');
SELECT accepted, error_code, error FROM workflow.complete_many(json_build_array(json_build_object('serial_number', :'sn')));
SET ROLE tasks_bob;
SELECT regexp_replace(test.try(format('SELECT workflow.complete(%L)', :'sn')), '\d+_\d+', 'N') AS unknown;
RESET ROLE;
SELECT role, data FROM workflow.late_callbacks WHERE serial_number = :'sn' ORDER BY received_at;
SELECT pg_temp.tasks(:i), test.ended(:i);
SELECT outcome, completed_by, result #- '{event,at}' AS result FROM workflow.history WHERE instance = :i;
SELECT workflow.complete(:'sn');
-- many at once
SELECT workflow.start('tasks', '{"id": 1}') AS i, workflow.start('tasks', '{"id": 2}') AS j \gset
SELECT json_agg(json_build_object('serial_number', serial_number, 'data', '{"ok": 1}'::json)) AS both FROM workflow.visits WHERE instance IN (:i, :j) \gset
SET ROLE tasks_bob;
SELECT accepted, error_code FROM workflow.complete_many(:'both');
RESET ROLE;
SELECT test.ended(:i), test.ended(:j);

-- failed, it is an incident; tried again, it is offered anew
SELECT workflow.start('tasks', '{"id": 18}') AS i \gset
SELECT test.sn(:i) AS sn \gset
SET ROLE tasks_bob;
SELECT workflow.fail(:'sn', 'NO', 'not ours', '{"why": 1}'), workflow.fail(:'sn', 'NO') AS again;
RESET ROLE;
SELECT pg_temp.tasks(:i), (SELECT outcome || ' ' || (error ->> 'code') || ' ' || (result #>> '{response,why}') FROM workflow.incidents WHERE instance = :i);
SELECT workflow.retry(:'sn'), pg_temp.tasks(:i);
SET ROLE tasks_bob;
SELECT workflow.complete(:'sn', '{"ok": 2}');
RESET ROLE;
SELECT test.ended(:i);
-- who was given it, himself or as a member, is told that it is over
SELECT workflow.start('tasks', '{"id": 1}') AS i, workflow.start('tasks', '{"id": 1}') AS j, workflow.start('tasks', '{"id": 1}') AS k \gset
SELECT test.sn(:i) AS sn, test.sn(:j) AS snj, test.sn(:k) AS snk \gset
SELECT workflow.reassign(:'sn', 'tasks_stranger'), workflow.reassign(:'snj', 'tasks_accounting'), workflow.reassign(:'snj', 'tasks_stranger');
SELECT workflow.cancel(:i), workflow.cancel(:j), workflow.cancel(:k) \g /dev/null
SET ROLE tasks_stranger;
SELECT workflow.complete(:'sn', '1'), workflow.complete(:'snj'), test.try(format('SELECT workflow.complete(%L)', :'snk')) ~ '42704' AS never;
SET ROLE tasks_alice;
SELECT test.try(format('SELECT workflow.complete(%L)', :'sn')) ~ '42704' AS never, workflow.complete(:'snj'), test.try(format('SELECT workflow.complete(%L)', :'snk')) ~ '42704' AS unclaimed;
RESET ROLE;
SELECT role, data FROM workflow.late_callbacks WHERE serial_number = :'sn';
-- done while the instance is suspended, it is held
SELECT workflow.start('tasks', '{"id": 19}') AS i \gset
SELECT test.sn(:i) AS sn, workflow.suspend(:i) \gset
SET ROLE tasks_bob;
SELECT workflow.complete(:'sn', '{"ok": 3}'), workflow.complete(:'sn', '{"ok": 3}') AS again;
RESET ROLE;
SELECT pg_temp.tasks(:i), test.at(:i);
SELECT workflow.resume(:i) \g /dev/null
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :i));
SELECT test.ended(:i);
-- an administrator may always
SELECT workflow.start('tasks', '{"id": 20}') AS i \gset
SELECT workflow.complete(test.sn(:i), '{"ok": 4}'), test.ended(:i);
-- cancelled, it is gone
SELECT workflow.start('tasks', '{"id": 21}') AS i \gset
SELECT workflow.cancel(:i), pg_temp.tasks(:i), test.ended(:i);

-- for whom, and by when
SELECT workflow.define('tasks: whom', '{"steps": [{"step": "ask", "wait": {"task": {"title": "${$.title ?? \"t\"}", "assignee": "${$.who ?? null}", "roles": "${$.roles ?? null}", "due": "${$.due ?? null}"}}}]}');
CREATE FUNCTION pg_temp.whom(data jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    s bigint := workflow.start('tasks: whom', data);
BEGIN
    RETURN coalesce((SELECT format('%s %s %s %s', title, assignee_name, role_names, coalesce((due - created_at)::text, 'no date')) FROM workflow_data.task t WHERE t.instance = s),
                    (SELECT error ->> 'code' || ': ' || (error ->> 'message') FROM workflow.incidents n WHERE n.instance = s));
END $$;
SELECT d AS data, pg_temp.whom(d::jsonb) FROM unnest(ARRAY['{"who": "tasks_bob"}', '{"roles": "tasks_bob"}', '{"who": "tasks_bob", "roles": ["tasks_alice", "tasks_accounting", "tasks_alice"], "due": "1 day 2 h"}',
    '{}', '{"who": "tasks_nobody"}', '{"roles": ["tasks_bob", "tasks_nobody"]}', '{"roles": []}', '{"roles": [["tasks_bob"]]}', '{"roles": [1]}', '{"roles": ["tasks_bob", null]}', '{"roles": {"tasks_bob": 1}}', '{"who": ["tasks_bob"]}', '{"who": 7}', '{"who": "public"}',
    '{"who": "tasks_bob", "due": "soon"}', '{"who": "tasks_bob", "due": 7}', '{"who": "tasks_bob", "due": "infinity"}', '{"who": "tasks_bob", "title": {"a": [1]}}']) d;
SELECT workflow.start('tasks: whom', '{"who": "tasks_bob", "due": "2030-01-31 12:00+00"}') AS i \gset
SELECT due FROM workflow_data.task WHERE instance = :i;
SELECT left(pg_temp.whom(jsonb_build_object('who', 'tasks_bob', 'title', repeat('x', 1001))), 90);

-- who has it
SELECT workflow.define('tasks: claim', '{"steps": [{"step": "ask", "wait": {"task": {"title": "${$.title}", "assignee": "${$.who ?? null}", "roles": "${$.roles ?? null}"}}, "save": {"by": "${$event.role}", "person": "${$event.person}"}}]}');
SELECT workflow.grant_process('tasks: claim', 'tasks_service', 'complete') \g /dev/null
SELECT workflow.start('tasks: claim', '{"title": "any", "roles": ["tasks_accounting"]}') AS i \gset
SELECT test.sn(:i) AS sn \gset
SET ROLE tasks_stranger;
SELECT test.try(format('SELECT workflow.claim(%L)', :'sn')) AS claim, test.try(format('SELECT workflow.reassign(%L, ''tasks_bob'')', :'sn')) AS reassign, (SELECT count(*) FROM workflow.tasks) AS seen;
SET ROLE tasks_service;
SELECT test.try(format('SELECT workflow.claim(%L)', :'sn')) AS claim, (SELECT count(*) FROM workflow.tasks) AS seen;
SET ROLE tasks_alice;
SELECT title, assignee, person, roles, claimed_at IS NOT NULL AS claimed, serial_number = :'sn' AS this, suspended FROM workflow.tasks WHERE instance = :i;
SELECT workflow.unclaim(:'sn'), test.try(format('SELECT workflow.reassign(%L, ''tasks_bob'')', :'sn')) AS reassign;
SELECT workflow.claim(:'sn'), workflow.claim(:'sn') AS again, workflow.claim(:'sn', 'somebody') AS other_person;
SELECT title, assignee, person, roles, claimed_at IS NOT NULL AS claimed FROM workflow.tasks WHERE instance = :i;
SET ROLE tasks_bob;
SELECT workflow.claim(:'sn');
SELECT test.try(format('SELECT workflow.complete(%L)', :'sn')) AS complete, test.try(format('SELECT workflow.unclaim(%L)', :'sn')) AS unclaim, test.try(format('SELECT workflow.reassign(%L, ''tasks_bob'')', :'sn')) AS reassign;
DO $$ BEGIN PERFORM workflow.complete(serial_number) FROM workflow.tasks WHERE title = 'any'; EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE '%', regexp_replace(SQLERRM, '\d+_\d+', 'N'); END $$;
SELECT title, assignee FROM workflow.tasks WHERE instance = :i;
SET ROLE tasks_alice;
SELECT workflow.unclaim(:'sn');
SELECT title, assignee, person, roles, claimed_at IS NOT NULL AS claimed FROM workflow.tasks WHERE instance = :i;
-- persons of an application that connects as one role
SELECT workflow.claim(:'sn', 'ann'), workflow.claim(:'sn', 'ben') AS other, workflow.claim(:'sn', 'ann') AS again, workflow.claim(:'sn') AS none;
SELECT test.try(format('SELECT workflow.claim(%L, '''')', :'sn')), test.try(format('SELECT workflow.claim(%L, repeat(''x'', 201))', :'sn'));
SELECT test.try(format('SELECT workflow.reassign(%L, ''tasks_nobody'')', :'sn')) AS unknown, workflow.reassign(:'sn', 'tasks_bob', 'cid');
SELECT title, assignee, person, roles, claimed_at IS NOT NULL AS claimed FROM workflow.tasks WHERE instance = :i;
SELECT workflow.claim(:'sn'), test.try(format('SELECT workflow.complete(%L)', :'sn')) AS complete;
SET ROLE tasks_bob;
SELECT workflow.claim(:'sn', 'dan'), workflow.complete(:'sn', '{"done": true}');
SELECT workflow.complete(:'sn') AS late, workflow.claim(:'sn') AS claim, workflow.unclaim(:'sn') AS unclaim, workflow.reassign(:'sn', 'tasks_alice') AS reassign;
SET ROLE tasks_alice;
SELECT workflow.complete(:'sn') AS late;
RESET ROLE;
SELECT test.ended(:i);
SELECT call, role, arguments FROM workflow.audit WHERE instance = :i ORDER BY at;
SELECT regexp_replace(regexp_replace(t, '\d+_\d+', 'N', 'g'), '^.*: ', '') AS story FROM workflow.timeline(:i) t WHERE t ~ ': (claimed|given)';
SELECT role, data FROM workflow.late_callbacks WHERE serial_number = :'sn' ORDER BY received_at;
-- assigned: that role alone, until it gives it back
SELECT workflow.start('tasks: claim', '{"title": "mine", "who": "tasks_bob", "roles": "tasks_accounting"}') AS i, workflow.start('tasks: claim', '{"title": "alone", "who": "tasks_bob"}') AS j \gset
SELECT test.sn(:i) AS sni, test.sn(:j) AS snj \gset
SELECT regexp_replace(t, '^.*\): |, for .*$', '', 'g') AS story FROM workflow.timeline(:i) t WHERE t LIKE '%waits%';
SET ROLE tasks_alice;
SELECT title, assignee, roles FROM workflow.tasks WHERE instance IN (:i, :j) ORDER BY title;
SELECT workflow.claim(:'sni'), test.try(format('SELECT workflow.claim(%L)', :'snj')) AS alone;
SET ROLE tasks_bob;
SELECT title, assignee, roles FROM workflow.tasks WHERE instance IN (:i, :j) ORDER BY title;
SELECT test.try(format('SELECT workflow.unclaim(%L)', :'snj')) AS nobody_else, workflow.claim(:'snj'), workflow.unclaim(:'snj'), workflow.unclaim(:'sni'), workflow.unclaim(:'sni') AS again;
SELECT title, assignee, roles FROM workflow.tasks WHERE instance IN (:i, :j) ORDER BY title;
SET ROLE tasks_alice;
SELECT workflow.claim(:'sni'), workflow.complete(:'sni');
RESET ROLE;
-- an administrator gives it to somebody; a role that is dropped has nothing, and its name is left
CREATE ROLE tasks_gone;
SELECT workflow.reassign(:'snj', 'tasks_gone'), test.try(format('SELECT workflow.claim(%L)', :'snj')) AS admin_is_no_candidate;
DROP ROLE tasks_gone;
SELECT title, assignee, roles FROM workflow.tasks WHERE instance = :j;
CREATE ROLE tasks_gone;
GRANT USAGE ON SCHEMA workflow, test TO tasks_gone;
SET ROLE tasks_gone;
SELECT test.try(format('SELECT workflow.claim(%L)', :'snj')) AS namesake, (SELECT count(*) FROM workflow.tasks) AS seen;
RESET ROLE;
-- whom the others are told of
GRANT tasks_accounting TO tasks_gone;
SELECT workflow.start('tasks: claim', '{"title": "left", "roles": "tasks_accounting"}') AS k \gset
SELECT test.sn(:k) AS snk \gset
SET ROLE tasks_gone;
SELECT workflow.claim(:'snk');
RESET ROLE;
DROP OWNED BY tasks_gone;
DROP ROLE tasks_gone;
CREATE ROLE tasks_gone;
GRANT USAGE ON SCHEMA workflow, test TO tasks_gone;
SET ROLE tasks_alice;
SELECT test.said(format('SELECT workflow.complete(%L)', :'snk')) AS complete, test.said(format('SELECT workflow.unclaim(%L)', :'snk')) AS unclaim;
SET ROLE tasks_service;
SELECT test.said(format('SELECT workflow.claim(%L)', :'snk')) AS no_privilege_helps;
RESET ROLE;
SELECT workflow.unclaim(:'snk');
SELECT workflow.cancel(:k) \g /dev/null
DROP OWNED BY tasks_gone;
DROP ROLE tasks_gone;
SELECT workflow.reassign(:'snj', 'tasks_bob'), workflow.complete(:'snj'), test.ended(:j);
-- no task at all, or not yet
SELECT workflow.define('tasks: none', '{"steps": [{"step": "call", "wait": true}]}');
SELECT workflow.start('tasks: none') AS i \gset
SELECT test.try(format('SELECT workflow.claim(%L)', test.sn(:i))), test.try('SELECT workflow.claim(''0_0'')'), test.try('SELECT workflow.claim(''x'')'), test.try(format('SELECT workflow.reassign(%L, NULL)', test.sn(:i)));
SELECT workflow.cancel(:i) \g /dev/null

-- with a callback beside it, the right says which is meant
SELECT workflow.define('tasks: both', '{"steps": [{"step": "ask", "first_of": [{"callback": true, "next": "by callback"}, {"task": {"title": "t", "roles": "tasks_accounting"}, "next": "by task"}]},
  {"step": "by callback", "end": true}, {"step": "by task", "end": true}]}');
SELECT workflow.grant_process('tasks: both', 'tasks_service', 'complete') \g /dev/null
SELECT workflow.start('tasks: both') AS i, workflow.start('tasks: both') AS j, workflow.start('tasks: both') AS k \gset
SELECT test.sn(:i) AS sni, test.sn(:j) AS snj \gset
SET ROLE tasks_service;
SELECT workflow.complete(:'sni');
SET ROLE tasks_alice;
SELECT workflow.complete(:'snj');
RESET ROLE;
SELECT workflow.complete(test.sn(:k)), test.went(:i), test.went(:j), test.went(:k);

-- handlers: beside, and in place of what is waited for
SELECT workflow.define('tasks: handlers', '{"steps": [{"step": "work", "wait": true, "catch": [{"task": {"title": "help", "roles": ["tasks_accounting"]}, "interrupt": false, "save": {"helped": "${$event.role}"}, "next": "help"}]},
  {"step": "done", "end": true}, {"step": "help", "end": true}]}');
SELECT workflow.grant_process('tasks: handlers', 'tasks_service', 'complete') \g /dev/null
SELECT workflow.start('tasks: handlers') AS i \gset
SELECT test.sn(:i) AS sn \gset
SET ROLE tasks_alice;
SELECT test.try(format('SELECT workflow.fail(%L)', :'sn')) AS error;
SELECT workflow.complete(:'sn');
SELECT test.try(format('SELECT workflow.complete(%L)', :'sn')) AS done_once;
RESET ROLE;
SELECT pg_temp.tasks(:i), test.at(:i), data FROM workflow.instances WHERE instance = :i;
SELECT workflow.complete(:'sn'), test.ended(:i), test.went(:i);
-- done while the instance is suspended: the handler begins when it is resumed
SELECT workflow.start('tasks: handlers') AS i \gset
SELECT test.sn(:i) AS sn, workflow.suspend(:i) \gset
SET ROLE tasks_alice;
SELECT workflow.complete(:'sn');
RESET ROLE;
SELECT pg_temp.tasks(:i), test.at(:i), test.went(:i);
SELECT workflow.resume(:i) \g /dev/null
CALL test.until(format('SELECT data ? ''helped'' FROM workflow.instances WHERE instance = %s', :i));
SELECT test.at(:i), test.went(:i);
SELECT workflow.cancel(:i) \g /dev/null

-- who once had a task may ask what became of it, and has no right on what is left of the visit: an incident, a callback
SELECT workflow.define('tasks: over', '{"steps": [{"step": "ask", "wait": {"task": {"title": "t", "roles": ["tasks_accounting"]}}, "timeout": "1 hour", "save": {"by": "${$result.response}"}}]}');
SELECT workflow.grant_process('tasks: over', 'tasks_service', 'complete') \g /dev/null
SELECT workflow.start('tasks: over') AS i \gset
SELECT test.sn(:i) AS sn, set_config('test.sn', test.sn(:i), false) \gset
SET ROLE tasks_alice;
SELECT workflow.claim(:'sn'), workflow.unclaim(:'sn');
RESET ROLE;
SELECT workflow.extend(:'sn', '-1 hour') < now() AS past;
CALL test.until(format('SELECT state = ''incident'' FROM workflow.visits WHERE serial_number = %L', :'sn'));
SET ROLE tasks_alice;
SELECT workflow.complete(:'sn', '"too late"'), workflow.fail(:'sn', 'LATE');
SET ROLE tasks_service;
DO $$ BEGIN PERFORM workflow.complete(current_setting('test.sn'), '"service"'); EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE '%', regexp_replace(SQLERRM, '\d+_\d+', 'N'); END $$;
SELECT accepted, error_code FROM workflow.complete_many(json_build_array(json_build_object('serial_number', :'sn')));
SET ROLE tasks_alice;
SELECT accepted, error_code, error FROM workflow.complete_many(json_build_array(json_build_object('serial_number', :'sn', 'data', 'too late')));
RESET ROLE;
SELECT test.at(:i), (SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = :'sn') AS late;
SELECT workflow.complete(:'sn', '"by hand"'), test.ended(:i);
-- so may who has done it, and claimed nothing
SELECT workflow.start('tasks: over') AS i \gset
SELECT test.sn(:i) AS sn, workflow.suspend(:i) \gset
SET ROLE tasks_alice;
SELECT workflow.complete(:'sn', '"alice"'), workflow.complete(:'sn', '"again"') AS again;
RESET ROLE;
SELECT workflow.resume(:i) \g /dev/null
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :i));
SET ROLE tasks_alice;
SELECT workflow.complete(:'sn', '"again"') AS again, workflow.claim(:'sn');
SET ROLE tasks_bob;
SELECT test.try(format('SELECT workflow.complete(%L)', :'sn')) AS of_nobody_else;
RESET ROLE;
SELECT test.ended(:i);
SELECT workflow.start('tasks: handlers') AS i \gset
SELECT test.sn(:i) AS sn \gset
SET ROLE tasks_alice;
SELECT workflow.claim(:'sn'), workflow.complete(:'sn'), workflow.complete(:'sn') AS again;
SELECT accepted, error_code, error FROM workflow.complete_many(json_build_array(json_build_object('serial_number', :'sn')));
RESET ROLE;
SELECT test.at(:i), (SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = :'sn') AS late;
SELECT workflow.cancel(:i) \g /dev/null
SELECT workflow.start('tasks: handlers') AS i \gset
SELECT test.sn(:i) AS sn \gset
SET ROLE tasks_alice;
SELECT workflow.claim(:'sn');
RESET ROLE;
SELECT workflow.define('tasks: handlers', '{"steps": [{"step": "work", "wait": true}, {"step": "done", "end": true}]}');
SELECT count(*) AS obstacles FROM workflow.migrate(:i, 2);
SET ROLE tasks_alice;
SELECT workflow.complete(:'sn');
RESET ROLE;
SELECT test.at(:i);
SELECT workflow.cancel(:i) \g /dev/null

-- kept while the instance is suspended: what only begins a handler keeps nothing else from happening, what interrupts the step does
SELECT workflow.define('tasks: kept', '{"steps": [{"step": "work", "wait": {"topic": "tasks: kept"}, "catch": [{"task": {"title": "help", "roles": ["tasks_accounting"]}, "interrupt": false, "next": "help"}, {"callback": true, "next": "stop"}], "end": true},
  {"step": "help", "set": {"helped": true}, "end": true}, {"step": "stop", "set": {"stopped": true}, "end": true}]}');
SELECT workflow.start('tasks: kept') AS i, workflow.start('tasks: kept') AS j \gset
SELECT test.sn(:i) AS sni, test.sn(:j) AS snj, workflow.suspend(:i), workflow.suspend(:j) \gset
SELECT workflow.grant_process('tasks: kept', 'tasks_service', 'complete') \g /dev/null
SET ROLE tasks_alice;
SELECT workflow.complete(:'sni') AS helped;
SET ROLE tasks_service;
SELECT workflow.complete(:'sni') AS stopped, workflow.complete(:'sni') AS again, workflow.complete(:'snj') AS stopped_before;
SET ROLE tasks_alice;
SELECT workflow.complete(:'snj') AS helped_too_late;
RESET ROLE;
SELECT workflow.resume(:i), workflow.resume(:j) \g /dev/null
CALL test.until(format('SELECT count(*) = 2 FROM workflow.instances WHERE status = ''completed'' AND instance IN (%s, %s)', :i, :j));
SELECT test.ended(:i), test.ended(:j);
-- nor is what is waited for done then
SELECT workflow.start('tasks: kept') AS i \gset
SELECT serial_number AS sn, lock_token FROM workflow.fetch('tasks: kept') \gset
SELECT workflow.suspend(:i) \g /dev/null
SET ROLE tasks_service;
SELECT workflow.complete(:'sn') AS stopped, workflow.complete(:'sn', NULL, :'lock_token') AS done_too_late;
RESET ROLE;
SELECT workflow.resume(:i) \g /dev/null
CALL test.until(format('SELECT status = ''completed'' FROM workflow.instances WHERE instance = %s', :i));
SELECT test.ended(:i), test.went(:i);

-- a task for each item, and one after an action
SELECT workflow.define('tasks: each', '{"steps": [{"step": "look", "each": {"in": "$.names[*]", "collect": "looked"}, "set": {"x": 1}, "wait": {"task": {"title": "Look at ${$item}", "assignee": "tasks_bob", "data": "${$index}"}}}]}');
SELECT workflow.start('tasks: each', '{"names": ["a", "b"]}') AS i \gset
SELECT pg_temp.tasks(:i);
SELECT serial_number AS a FROM workflow.visits v JOIN workflow_data.task t USING (instance) WHERE instance = :i AND title = 'Look at a' AND v.serial_number = workflow.serial_number(t.instance, t.visit) \gset
SET ROLE tasks_bob;
SELECT workflow.complete(:'a', '"good"');
RESET ROLE;
SELECT pg_temp.tasks(:i);
SELECT workflow.complete(workflow.serial_number(instance, visit), '"bad"') FROM workflow_data.task WHERE instance = :i;
SELECT test.ended(:i);

-- another version: whoever has the task keeps it, and what is new is offered; of a step that has none any more it is an obstacle
SELECT workflow.define('tasks: versions', '{"steps": [{"step": "ask", "wait": {"task": {"title": "old", "roles": "tasks_accounting"}}, "next": "done"}, {"step": "done", "end": true}]}');
SELECT workflow.start('tasks: versions') AS i, workflow.start('tasks: versions') AS j \gset
SELECT test.sn(:i) AS sn \gset
SET ROLE tasks_alice;
SELECT workflow.claim(:'sn', 'ann');
RESET ROLE;
SELECT workflow.define('tasks: versions', '{"catch": [{"task": {"title": "stop", "assignee": "tasks_bob"}, "next": "stopped"}], "steps": [{"step": "asked", "first_of": [{"after": "1 day", "next": "late"},
  {"task": {"title": "new", "roles": "tasks_accounting"}, "next": "done"}]}, {"step": "late", "end": true}, {"step": "done", "end": true}, {"step": "stopped"}]}');
SELECT workflow.migrate(:i, 2, '{"ask": "asked"}');
SELECT t.title, t.step, d.entry, t.assignee, t.person FROM workflow.tasks t JOIN workflow_data.task d ON workflow.serial_number(d.instance, d.visit) = t.serial_number WHERE t.instance = :i ORDER BY t.title;
SELECT workflow.define('tasks: versions', '{"steps": [{"step": "ask", "wait": true}, {"step": "done"}]}');
SELECT regexp_replace(obstacle, '\d+_\d+', 'N') AS obstacle FROM workflow.migrate(:j, 3);
SET ROLE tasks_alice;
SELECT workflow.complete(:'sn');
RESET ROLE;
SELECT test.went(:i), test.ended(:i), workflow.cancel(:j);

SELECT * FROM workflow.verify();
DROP OWNED BY tasks_alice, tasks_bob, tasks_stranger, tasks_service;
DROP ROLE tasks_alice, tasks_bob, tasks_accounting, tasks_stranger, tasks_service;
DROP FUNCTION test.said(text);
