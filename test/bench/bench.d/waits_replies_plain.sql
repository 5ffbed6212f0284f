-- What the replies are to the rows, 256 in each transaction. Nothing is known of the table yet, so the plan is told.
SET enable_seqscan = off;
DO $$
BEGIN
	FOR i IN 0 .. :n - 1 BY 256 LOOP
		UPDATE strict.visit SET state = 'waiting', queue = NULL, due_at = NULL, waiting_since = now(), waits_for = 'callback', attempt = 1,
			reply = '{"body": {"ok": true}, "status": 200, "headers": {"date": "Mon, 30 Nov 2026 18:49:34 GMT", "server": "nginx/1.22.1", "content-type": "application/json", "content-length": "11"}}'
		WHERE instance >= :first + i AND instance < :first + i + 256;
		COMMIT;
	END LOOP;
END $$
