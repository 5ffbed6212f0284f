-- Each in a transaction of its own.
DO $$
DECLARE
	numbers text[] := (SELECT array_agg(serial_number) FROM spread);
BEGIN
	FOR i IN 1 .. cardinality(numbers) LOOP
		IF NOT workflow.complete(numbers[i], '{"status": "SUCCESS", "receipt": "R-17"}') THEN
			RAISE 'it had ended';
		END IF;
		COMMIT;
	END LOOP;
END $$
