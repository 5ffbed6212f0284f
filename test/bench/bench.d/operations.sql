-- What one backend does all day, each call in a transaction of its own. Numbers come in order, since nobody else is there.
DO $$
DECLARE
	instances bigint[] := '{}';
	visits_ahead bigint;
BEGIN
	FOR i IN 1 .. :n LOOP
		instances := instances || workflow.start('wait', '{"customer": "Ann Example", "amount": 5}');
		COMMIT;
	END LOOP;
	SELECT v.visit - v.instance INTO visits_ahead FROM workflow_data.visit v WHERE v.instance = instances[1];
	FOR i IN 1 .. :n LOOP
		IF NOT workflow.complete(instances[i] || '_' || (instances[i] + visits_ahead), '{"status": "SUCCESS", "receipt": "R-17"}') THEN
			RAISE 'it had ended';
		END IF;
		COMMIT;
	END LOOP;
END $$
