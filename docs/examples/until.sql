-- CALL until('a condition'): looks twenty times a second until it is true, and gives up with an error after a minute.
-- Of an instance that is to end, CALL workflow.wait_for(instance) tells without looking again and again.

CREATE OR REPLACE PROCEDURE until(condition text) LANGUAGE plpgsql AS $$
DECLARE
    latest timestamptz := clock_timestamp() + interval '1 minute';
    met boolean;
BEGIN
    LOOP
        EXECUTE 'SELECT ' || condition INTO met;
        EXIT WHEN met;
        COMMIT;
        IF clock_timestamp() > latest THEN
            RAISE EXCEPTION 'it has been a minute, and this is not true: %', condition
                USING HINT = 'Does the partner run? What keeps the process says: SELECT step, state, blocked_by, error FROM workflow.visits';
        END IF;
        PERFORM pg_sleep(0.05);
    END LOOP;
END;
$$;
