\set amount random(1, 1000)
WITH started AS (
	INSERT INTO strict.instance (instance, process_id, version, attachment, tokens, incidents, started_at, status, data)
	VALUES (nextval('strict.instance_seq'), 1, 1, 0, 1, 0, now(), 'active',
		jsonb_build_object('customer', 'Ann Example', 'amount', :amount::bigint))
	RETURNING instance
)
INSERT INTO strict.visit (instance, visit, entered_at, waiting_since, attempt, key, state, step, waits_for)
SELECT instance, nextval('strict.visit_seq'), now(), now(), 0, gen_random_uuid(), 'waiting', 'wait', 'callback'
FROM started
RETURNING instance;
