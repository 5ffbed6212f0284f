\set i :i + 1
\set instance :first_instance + :client_id * :per_client + :i
\set visit :instance + :visit_offset
BEGIN;
INSERT INTO plain.visit_history (instance, visit, process_id, attempts, entered_at, ended_at, stored_at, step, outcome, result)
SELECT instance, visit, 1, attempt, entered_at, now(), now(), step, 'SUCCESS',
	jsonb_build_object('status', 'SUCCESS', 'initial_response', reply,
		'callback_response', '{"status": "SUCCESS", "receipt": "R-17"}'::jsonb,
		'response', '{"status": "SUCCESS", "receipt": "R-17"}'::jsonb, 'cancel_response', NULL, 'error', error)
FROM plain.visit WHERE instance = :instance AND visit = :visit FOR UPDATE;
DELETE FROM plain.visit WHERE instance = :instance AND visit = :visit;
INSERT INTO plain.instance_history (instance, process_id, version, attachment, started_at, ended_at, stored_at, status,
	business_key, error, data)
SELECT instance, process_id, version, attachment, started_at, now(), now(), 'completed', business_key, error, data
FROM plain.instance WHERE instance = :instance;
DELETE FROM plain.instance WHERE instance = :instance;
COMMIT;
