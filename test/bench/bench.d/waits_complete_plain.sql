-- One of those that wait, if this client knows of any; else it looks which of its next ones do.
\if :i < :known
\set instance :first + :client_id + 8 * :i
\set visit :instance + :visit_offset
WITH ended_visit AS (
	DELETE FROM strict.visit WHERE instance = :instance AND visit = :visit RETURNING *
), ended_instance AS (
	DELETE FROM strict.instance WHERE instance = :instance RETURNING *
), stored_visit AS (
	INSERT INTO strict.visit_history (instance, visit, process_id, attempts, entered_at, ended_at, stored_at, step, outcome,
		completed_by, result)
	SELECT instance, visit, process_id, attempt, entered_at, now(), now(), step, 'SUCCESS', 'postgres',
		jsonb_build_object('status', 'SUCCESS', 'initial_response', reply -> 'body',
			'callback_response', '{"status": "SUCCESS", "receipt": "R-17"}'::jsonb,
			'response', '{"status": "SUCCESS", "receipt": "R-17"}'::jsonb, 'cancel_response', NULL, 'error', error)
	FROM ended_visit
)
INSERT INTO strict.instance_history (instance, process_id, version, attachment, started_at, ended_at, stored_at, status,
	business_key, error, data)
SELECT instance, process_id, version, attachment, started_at, now(), now(), 'completed', business_key, error, data
FROM ended_instance;
\set i :i + 1
\else
SELECT least(coalesce(min(g), :i::bigint + 32), :per_client::bigint) AS known FROM generate_series(:i::bigint, :i::bigint + 31) g,
LATERAL (SELECT FROM strict.visit v WHERE v.instance = :first::bigint + :client_id::bigint + 8 * g AND v.state <> 'waiting' LIMIT 1) AS not_yet \gset
\if :known = :i
\sleep 5 ms
\endif
\endif
