-- Instances whose first of five steps is due, and a procedure that does what sql_plain.sql does.
CREATE FUNCTION plain.begin(n int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	first bigint := nextval('plain.instance_seq');
BEGIN
	PERFORM setval('plain.instance_seq', first + n);
	INSERT INTO plain.instance (instance, process_id, version, status, data, started_at, tokens)
	SELECT i, 1, 1, 'active', '{}', clock_timestamp(), 1 FROM generate_series(first, first + n - 1) i;
	INSERT INTO plain.visit (instance, visit, process_id, step, state, queue, due_at, entered_at, key)
	SELECT i, i * 10 + 1, 1, 'a', 'calling', 'executor 1', clock_timestamp(), clock_timestamp(), gen_random_uuid()
	FROM generate_series(first, first + n - 1) i;
	RETURN first;
END $$;
CREATE PROCEDURE plain.work(first bigint, last bigint) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN first .. last LOOP
		FOR n IN 1 .. 5 LOOP
			PERFORM 1;
			INSERT INTO plain.visit_history (instance, visit, process_id, attempts, entered_at, ended_at, stored_at, step, outcome, result)
			SELECT instance, visit, 1, 1, entered_at, now(), now(), step, 'SUCCESS',
				'{"status": "SUCCESS", "response": {"row": {"?column?": 1}, "rows": [{"?column?": 1}], "count": 1}}'
			FROM plain.visit WHERE instance = i AND visit = i * 10 + n FOR UPDATE;
			DELETE FROM plain.visit WHERE instance = i AND visit = i * 10 + n;
			IF n < 5 THEN
				INSERT INTO plain.visit (instance, visit, process_id, step, state, queue, due_at, entered_at, key)
				VALUES (i, i * 10 + n + 1, 1, chr(97 + n), 'calling', 'executor 1', now(), now(), gen_random_uuid());
			ELSE
				INSERT INTO plain.instance_history (instance, process_id, version, started_at, ended_at, stored_at, status, data)
				SELECT instance, process_id, version, started_at, now(), now(), 'completed', data FROM plain.instance WHERE instance = i;
				DELETE FROM plain.instance WHERE instance = i;
			END IF;
			COMMIT;
		END LOOP;
	END LOOP;
END $$;
