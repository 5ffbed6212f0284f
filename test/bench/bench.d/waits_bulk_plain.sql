INSERT INTO plain_orders (id, customer, amount) SELECT n, 'customer ' || n, n % 1000 FROM generate_series(1, :n) n;
WITH started AS (
	INSERT INTO strict.instance (instance, process_id, version, attachment, tokens, incidents, started_at, status, business_key, data)
	SELECT nextval('strict.instance_seq'), 3, 1, 1, 1, 0, now(), 'active', n::text,
		jsonb_build_object('id', n, 'customer', 'customer ' || n, 'amount', n % 1000, 'ordered_at', now())
	FROM generate_series(1, :n) n
	RETURNING instance
)
INSERT INTO strict.visit (instance, visit, due_at, entered_at, attempt, process_id, key, state, step, queue)
SELECT instance, nextval('strict.visit_seq'), now(), now(), 0, 3, gen_random_uuid(), 'calling', 'charge', 'http partner'
FROM started
