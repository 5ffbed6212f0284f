-- All of them, 256 in each transaction.
DO $$
DECLARE
	taken integer;
BEGIN
	FOR i IN 0 .. :n - 1 BY 256 LOOP
		SELECT count(*) INTO taken FROM workflow.complete_many((
			SELECT json_agg(json_build_object('serial_number', serial_number, 'data', '{"receipt": "R-17"}'::json))
			FROM open_of_chunks WHERE n > i AND n <= i + 256)) WHERE accepted;
		IF taken <> least(256, :n - i) THEN
			RAISE 'some had ended';
		END IF;
		COMMIT;
	END LOOP;
END $$
