-- Tasks: offered, done, failed, kept while the instance is suspended; and who may do them.

CREATE ROLE tasks_alice; CREATE ROLE tasks_bob; CREATE ROLE tasks_accounting; CREATE ROLE tasks_stranger; CREATE ROLE tasks_service;
GRANT tasks_accounting TO tasks_alice, tasks_bob;
GRANT USAGE ON SCHEMA workflow, test TO tasks_alice, tasks_bob, tasks_stranger, tasks_service;
CREATE FUNCTION pg_temp.tasks(instance bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s: %s %s %s', entry, title, assignee_name, role_names), '; ' ORDER BY visit) FROM workflow_data.task t WHERE t.instance = $1 $$;

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
RESET ROLE;
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
SELECT workflow.fail(:'sn', 'NO', 'not ours', '{"why": 1}');
RESET ROLE;
SELECT pg_temp.tasks(:i), (SELECT outcome || ' ' || (error ->> 'code') || ' ' || (result #>> '{response,why}') FROM workflow.incidents WHERE instance = :i);
SELECT workflow.retry(:'sn'), pg_temp.tasks(:i);
SET ROLE tasks_bob;
SELECT workflow.complete(:'sn', '{"ok": 2}');
RESET ROLE;
SELECT test.ended(:i);
-- done while the instance is suspended, it is held
SELECT workflow.start('tasks', '{"id": 19}') AS i \gset
SELECT test.sn(:i) AS sn, workflow.suspend(:i) \gset
SET ROLE tasks_bob;
SELECT workflow.complete(:'sn', '{"ok": 3}');
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
    '{}', '{"who": "tasks_nobody"}', '{"roles": ["tasks_bob", "tasks_nobody"]}', '{"roles": []}', '{"roles": [["tasks_bob"]]}', '{"roles": [1]}', '{"roles": {"tasks_bob": 1}}', '{"who": ["tasks_bob"]}', '{"who": 7}', '{"who": "public"}',
    '{"who": "tasks_bob", "due": "soon"}', '{"who": "tasks_bob", "due": 7}', '{"who": "tasks_bob", "due": "infinity"}', '{"who": "tasks_bob", "title": {"a": [1]}}']) d;
SELECT workflow.start('tasks: whom', '{"who": "tasks_bob", "due": "2030-01-31 12:00+00"}') AS i \gset
SELECT due FROM workflow_data.task WHERE instance = :i;
SELECT left(pg_temp.whom(jsonb_build_object('who', 'tasks_bob', 'title', repeat('x', 1001))), 90);

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

SELECT * FROM workflow.verify();
DROP OWNED BY tasks_alice, tasks_bob, tasks_stranger, tasks_service;
DROP ROLE tasks_alice, tasks_bob, tasks_accounting, tasks_stranger, tasks_service;
