\set i :i + 1
\set instance :first_instance + :client_id * :per_client + :i
\set visit :instance + :visit_offset
WITH ended_visit AS (
	DELETE FROM strict.visit WHERE instance = :instance AND visit = :visit RETURNING *
), ended_instance AS (
	DELETE FROM strict.instance WHERE instance = :instance RETURNING *
), stored_visit AS (
	INSERT INTO strict.visit_history (instance, visit, process_id, attempts, entered_at, ended_at, stored_at, step, outcome,
		result)
	SELECT instance, visit, 1, attempt, entered_at, now(), now(), step, 'SUCCESS',
		jsonb_build_object('status', 'SUCCESS', 'initial_response', reply,
			'callback_response', '{"status": "SUCCESS", "receipt": "R-17"}'::jsonb,
			'response', '{"status": "SUCCESS", "receipt": "R-17"}'::jsonb, 'cancel_response', NULL, 'error', error)
	FROM ended_visit
)
INSERT INTO strict.instance_history (instance, process_id, version, attachment, started_at, ended_at, stored_at, status,
	business_key, error, data)
SELECT instance, process_id, version, attachment, started_at, now(), now(), 'completed', business_key, error, data
FROM ended_instance;
