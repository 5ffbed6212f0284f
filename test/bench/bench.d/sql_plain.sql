\set i :i + 1
\set instance :first_instance + :client_id * :per_client + :i
\set visit :instance * 10 + 1
BEGIN;
SELECT 1;
INSERT INTO plain.visit_history (instance, visit, process_id, attempts, entered_at, ended_at, stored_at, step, outcome, result)
SELECT instance, visit, 1, 1, entered_at, now(), now(), step, 'SUCCESS',
	'{"status": "SUCCESS", "response": {"row": {"?column?": 1}, "rows": [{"?column?": 1}], "count": 1}}'
FROM plain.visit WHERE instance = :instance AND visit = :visit FOR UPDATE;
DELETE FROM plain.visit WHERE instance = :instance AND visit = :visit;
INSERT INTO plain.visit (instance, visit, process_id, step, state, queue, due_at, entered_at, key)
VALUES (:instance, :visit + 1, 1, 'b', 'calling', 'executor 1', now(), now(), gen_random_uuid());
COMMIT;
\set visit :instance * 10 + 2
BEGIN;
SELECT 1;
INSERT INTO plain.visit_history (instance, visit, process_id, attempts, entered_at, ended_at, stored_at, step, outcome, result)
SELECT instance, visit, 1, 1, entered_at, now(), now(), step, 'SUCCESS',
	'{"status": "SUCCESS", "response": {"row": {"?column?": 1}, "rows": [{"?column?": 1}], "count": 1}}'
FROM plain.visit WHERE instance = :instance AND visit = :visit FOR UPDATE;
DELETE FROM plain.visit WHERE instance = :instance AND visit = :visit;
INSERT INTO plain.visit (instance, visit, process_id, step, state, queue, due_at, entered_at, key)
VALUES (:instance, :visit + 1, 1, 'c', 'calling', 'executor 1', now(), now(), gen_random_uuid());
COMMIT;
\set visit :instance * 10 + 3
BEGIN;
SELECT 1;
INSERT INTO plain.visit_history (instance, visit, process_id, attempts, entered_at, ended_at, stored_at, step, outcome, result)
SELECT instance, visit, 1, 1, entered_at, now(), now(), step, 'SUCCESS',
	'{"status": "SUCCESS", "response": {"row": {"?column?": 1}, "rows": [{"?column?": 1}], "count": 1}}'
FROM plain.visit WHERE instance = :instance AND visit = :visit FOR UPDATE;
DELETE FROM plain.visit WHERE instance = :instance AND visit = :visit;
INSERT INTO plain.visit (instance, visit, process_id, step, state, queue, due_at, entered_at, key)
VALUES (:instance, :visit + 1, 1, 'd', 'calling', 'executor 1', now(), now(), gen_random_uuid());
COMMIT;
\set visit :instance * 10 + 4
BEGIN;
SELECT 1;
INSERT INTO plain.visit_history (instance, visit, process_id, attempts, entered_at, ended_at, stored_at, step, outcome, result)
SELECT instance, visit, 1, 1, entered_at, now(), now(), step, 'SUCCESS',
	'{"status": "SUCCESS", "response": {"row": {"?column?": 1}, "rows": [{"?column?": 1}], "count": 1}}'
FROM plain.visit WHERE instance = :instance AND visit = :visit FOR UPDATE;
DELETE FROM plain.visit WHERE instance = :instance AND visit = :visit;
INSERT INTO plain.visit (instance, visit, process_id, step, state, queue, due_at, entered_at, key)
VALUES (:instance, :visit + 1, 1, 'e', 'calling', 'executor 1', now(), now(), gen_random_uuid());
COMMIT;
\set visit :instance * 10 + 5
BEGIN;
SELECT 1;
INSERT INTO plain.visit_history (instance, visit, process_id, attempts, entered_at, ended_at, stored_at, step, outcome, result)
SELECT instance, visit, 1, 1, entered_at, now(), now(), step, 'SUCCESS',
	'{"status": "SUCCESS", "response": {"row": {"?column?": 1}, "rows": [{"?column?": 1}], "count": 1}}'
FROM plain.visit WHERE instance = :instance AND visit = :visit FOR UPDATE;
DELETE FROM plain.visit WHERE instance = :instance AND visit = :visit;
INSERT INTO plain.instance_history (instance, process_id, version, started_at, ended_at, stored_at, status, data)
SELECT instance, process_id, version, started_at, now(), now(), 'completed', data FROM plain.instance WHERE instance = :instance;
DELETE FROM plain.instance WHERE instance = :instance;
COMMIT;
