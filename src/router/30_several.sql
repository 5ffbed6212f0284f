-- What calls that concern several shards share.

CREATE FUNCTION workflow_router.answering_part() RETURNS integer LANGUAGE plpgsql SET client_min_messages = warning AS $$
DECLARE
    found integer;
    v_message text; v_detail text; v_hint text;
BEGIN
    PERFORM workflow_router.any_part();
    FOR found IN SELECT s.part FROM workflow_router.shard s ORDER BY random() LOOP
        BEGIN
            PERFORM workflow_router.ping(found);
            RETURN found;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
            IF v_message NOT LIKE 'PL/Proxy function %' THEN
                RETURN found;
            END IF;
        END;
    END LOOP;
    PERFORM workflow_router.again(NULL, 'XX000', v_message, v_detail, v_hint);
END $$;
COMMENT ON FUNCTION workflow_router.answering_part() IS 'Gives the place of any shard that answers';

CREATE FUNCTION workflow_router.require_all() RETURNS void LANGUAGE plpgsql SET client_min_messages = warning AS $$
DECLARE
    v_part integer;
    v_state text; v_message text; v_detail text; v_hint text;
BEGIN
    PERFORM workflow_router.any_part();
    BEGIN
        PERFORM workflow_router.ping_all();
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: which of them does not answer
    END;
    FOR v_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            PERFORM workflow_router.ping(v_part);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.again(v_part, v_state, v_message, v_detail, v_hint);
        END;
    END LOOP;
END $$;
COMMENT ON FUNCTION workflow_router.require_all() IS 'Refuses a call that concerns all shards while one does not answer, before anything is done';

CREATE FUNCTION workflow_router.partly(call text, done integer[], failed integer[], state text, message text, detail text, hint text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    error record;
BEGIN
    error := workflow_router.what_failed(state, message, detail, hint, (SELECT s.part FROM workflow_router.shard s WHERE s.shard = failed[1]));
    IF error.state NOT LIKE '08%' THEN
        PERFORM workflow_router.renew((SELECT s.part FROM workflow_router.shard s WHERE s.shard = failed[1]));
    END IF;
    IF done = '{}' THEN
        PERFORM workflow_router.raise(error.state, error.message, error.detail, error.hint);
    END IF;
    PERFORM workflow_router.raise(error.state, format('in shard %s: %s', failed[1], error.message),
        concat_ws(' ', format('It was done in %s, and not in %s.', array_to_string(done, ', '), array_to_string(failed, ', ')), nullif(error.detail, '')),
        CASE call WHEN 'send_signal' THEN 'Sent again, it comes twice to those that have it.'
                  ELSE 'When the cause is gone, the same call does the rest.' END);
END $$;
COMMENT ON FUNCTION workflow_router.partly(text, integer[], integer[], text, text, text, text) IS
'Raises the error of a call that was carried out in some shards, and tells in which. call: its function; done, failed: shards; state, message, detail, hint: of the first failure';

CREATE FUNCTION workflow_router.check_version(process text, shard integer, version integer, other integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF version <> other THEN
        RAISE WARNING USING ERRCODE = 'warning', MESSAGE = format('process "%s" has version %s in shard %s, and version %s in those before', process, version, shard, other),
            HINT = 'workflow_router.verify() tells what shards do not have in common.';
    END IF;
END $$;
COMMENT ON FUNCTION workflow_router.check_version(text, integer, integer, integer) IS
'Warns of shards that do not have the same versions. process: its name; shard: a shard; version: what it has; other: what the others have';

CREATE FUNCTION workflow_router.leave_out(part integer, state text, message text, detail text, hint text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    error record;
BEGIN
    error := workflow_router.what_failed(state, message, detail, hint, part);
    IF error.state NOT LIKE '08%' THEN
        PERFORM workflow_router.again(part, state, message, detail, hint);
    END IF;
    RAISE WARNING USING ERRCODE = error.state, MESSAGE = error.message || ': what it has is left out', DETAIL = error.detail;
END $$;
COMMENT ON FUNCTION workflow_router.leave_out(integer, text, text, text, text) IS
'Warns of a shard that does not answer, and raises other errors. part: its place; state, message, detail, hint: what was caught';
