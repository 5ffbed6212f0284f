\set amount random(1, 1000)
BEGIN;
INSERT INTO plain.instance (instance, process_id, version, attachment, tokens, incidents, started_at, status, data)
VALUES (nextval('plain.instance_seq'), 1, 1, 0, 1, 0, now(), 'active',
	jsonb_build_object('customer', 'Ann Example', 'amount', :amount::bigint))
RETURNING instance \gset
INSERT INTO plain.visit (instance, visit, entered_at, waiting_since, attempt, key, state, step, waits_for)
VALUES (:instance, nextval('plain.visit_seq'), now(), now(), 0, gen_random_uuid(), 'waiting', 'wait', 'callback');
COMMIT;
