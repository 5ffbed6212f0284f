-- The row of the view workers for a shard that does not answer.

CREATE FUNCTION workflow_router.worker_that_is_missing(part integer, state text, message text, detail text, hint text) RETURNS workflow_router.workers_row LANGUAGE plpgsql AS $$
DECLARE
    error record;
    missing workflow_router.workers_row;
BEGIN
    error := workflow_router.what_failed(state, message, detail, hint, part);
    IF error.state NOT LIKE '08%' THEN
        PERFORM workflow_router.again(part, state, message, detail, hint);
    END IF;
    missing.shard := (SELECT s.shard FROM workflow_router.shard s WHERE s.part = worker_that_is_missing.part);
    missing.kind := 'shard';
    missing.state := 'does not answer';
    missing.error := error.detail;
    RETURN missing;
END $$;
COMMENT ON FUNCTION workflow_router.worker_that_is_missing(integer, text, text, text, text) IS
'Makes the row of a shard that does not answer, and raises other errors. part: its place; state, message, detail, hint: what was caught';
