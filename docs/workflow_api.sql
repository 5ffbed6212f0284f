-- Webhooks for PostgREST: a schema of its own, which is all that it has to expose. See webhooks.md.
--
-- Run it in the database that has the extension, as its owner or a superuser. The functions have the rights of whoever
-- runs it; those who call them need USAGE on this schema, and a token. Outcomes as HTTP: 204 done; 400 malformed;
-- 403 wrong token or signature; 409 too late, or no callback is waited for;
-- 413 too large.

CREATE SCHEMA workflow_api;
COMMENT ON SCHEMA workflow_api IS 'Public webhooks of the extension workflow';

-- ---- token and data in one JSON body ----

CREATE FUNCTION workflow_api.callback(token text, data jsonb DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT workflow.callback(token, data) THEN
        PERFORM set_config('response.status', '409', true);
    END IF;
EXCEPTION
    WHEN object_not_in_prerequisite_state THEN
        -- its step takes no callback, nor will it the next time; PostgREST would say 500, which is repeated
        IF SQLERRM NOT LIKE '%does not wait for a callback' THEN
            RAISE;
        END IF;
        PERFORM set_config('response.status', '409', true);
    WHEN program_limit_exceeded OR statement_too_complex THEN
        -- too large, the next time as well
        PERFORM set_config('response.status', '413', true);
END $$;
COMMENT ON FUNCTION workflow_api.callback(text, jsonb) IS 'Finishes the visit of the token, with data as its response';

CREATE FUNCTION workflow_api.heartbeat(token text, progress jsonb DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT workflow.callback_heartbeat(token, progress) THEN
        PERFORM set_config('response.status', '409', true);
    END IF;
END $$;
COMMENT ON FUNCTION workflow_api.heartbeat(text, jsonb) IS 'Says that the work on the visit of the token goes on';

-- ---- token in the header X-Workflow-Token, the whole body is the data: for URLs, with a proxy in front ----
-- The body comes as bytes (Content-Type: application/octet-stream), since signatures are over bytes.

CREATE FUNCTION workflow_api.request_headers() RETURNS jsonb
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT nullif(current_setting('request.headers', true), '')::jsonb
$$;
COMMENT ON FUNCTION workflow_api.request_headers() IS 'The headers of the request, by their names in lower case';

-- What is started belongs to the trace of the request, if it has one. As PostgREST's db-pre-request it does so for whatever is called.
CREATE FUNCTION workflow_api.take_trace() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    traceparent text := workflow_api.request_headers()->>'traceparent';
BEGIN
    IF traceparent IS NOT NULL THEN
        PERFORM set_config('workflow.traceparent', traceparent, true);
    END IF;
EXCEPTION WHEN invalid_parameter_value THEN
    NULL; -- one that is malformed counts for nothing
END $$;
COMMENT ON FUNCTION workflow_api.take_trace() IS 'Sets workflow.traceparent from the headers of the request';

CREATE FUNCTION workflow_api.webhook_callback(bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    headers jsonb := workflow_api.request_headers();
BEGIN
    IF NOT workflow.callback_raw(headers->>'x-workflow-token', $1, headers) THEN
        PERFORM set_config('response.status', '409', true);
    END IF;
EXCEPTION
    WHEN object_not_in_prerequisite_state THEN
        -- as above
        IF SQLERRM NOT LIKE '%does not wait for a callback' THEN
            RAISE;
        END IF;
        PERFORM set_config('response.status', '409', true);
    WHEN program_limit_exceeded OR statement_too_complex THEN
        -- as above
        PERFORM set_config('response.status', '413', true);
END $$;
COMMENT ON FUNCTION workflow_api.webhook_callback(bytea) IS 'What $callback_url leads to';

CREATE FUNCTION workflow_api.webhook_heartbeat(bytea) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT workflow_api.heartbeat(workflow_api.request_headers()->>'x-workflow-token', nullif(convert_from($1, 'UTF8'), '')::jsonb)
$$;
COMMENT ON FUNCTION workflow_api.webhook_heartbeat(bytea) IS 'What $heartbeat_url leads to';

CREATE FUNCTION workflow_api.webhook_start(bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    headers jsonb := workflow_api.request_headers();
BEGIN
    PERFORM workflow_api.take_trace();
    PERFORM workflow.webhook(headers->>'x-workflow-token', $1, headers);
EXCEPTION WHEN program_limit_exceeded OR statement_too_complex THEN
    PERFORM set_config('response.status', '413', true);
END $$;
COMMENT ON FUNCTION workflow_api.webhook_start(bytea) IS 'Starts an instance: what the URL of a webhook in "start_on" leads to';
