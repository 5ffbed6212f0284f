-- Instances of a process that wait for nothing, each in a transaction of its own.
DO $$
BEGIN
	FOR i IN 1 .. :n LOOP
		PERFORM workflow.start(':process', '{"customer": "Ann Example", "amount": 5}');
		COMMIT;
	END LOOP;
END $$
