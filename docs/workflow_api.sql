-- The extension over HTTP, for PostgREST: a schema of its own, which is all that it has to expose. See webhooks.md and
-- from-automatiko.md.
--
-- Run it as a superuser in the database that has the extension. Whoever calls these functions needs USAGE on this schema, and nothing else:
--   those for everyone, which take a token or start an instance, have the rights of the role workflow_web, which is made here and has none but what
--   is given to it: workflow.grant_process(process, 'workflow_web', 'start') is what lets the web start a process;
--   the others are for roles that have USAGE on the schema workflow, and have their rights.
-- What fails is answered with the HTTP status that workflow_api.http_status has for it.

CREATE SCHEMA workflow_api;
COMMENT ON SCHEMA workflow_api IS 'What of the extension workflow is open to the web';

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'workflow_web') THEN
        CREATE ROLE workflow_web NOLOGIN;
    ELSIF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'workflow_web' AND (rolcanlogin OR rolsuper OR rolbypassrls)) THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = 'role "workflow_web" is there, and can do more than it should',
            HINT = 'It is to be one that cannot log in, of which nobody is a member, with what the web may do and nothing else.';
    END IF;
END $$;
GRANT USAGE ON SCHEMA workflow TO workflow_web;

-- ---- requests and answers ----

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

CREATE FUNCTION workflow_api.request_mode() RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mode text := workflow_api.request_headers()->>'x-atk-mode';
BEGIN
    IF lower(mode) <> 'async' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'X-ATK-Mode has one value: async',
            HINT = 'Without the header the call is carried out at once.';
    END IF;
    RETURN CASE WHEN mode IS NULL THEN 'sync' ELSE 'async' END;
END $$;
COMMENT ON FUNCTION workflow_api.request_mode() IS 'What the header X-ATK-Mode of the request asks for: async, or sync without it; another value: 22023';

CREATE FUNCTION workflow_api.request_callback() RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    url text := workflow_api.request_headers()->>'x-atk-callback';
BEGIN
    IF url IS NOT NULL AND workflow_api.request_mode() <> 'async' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'X-ATK-Callback goes with X-ATK-Mode: async',
            HINT = 'Who calls at once has the outcome with the answer.';
    END IF;
    RETURN url;
END $$;
COMMENT ON FUNCTION workflow_api.request_callback() IS 'Where the header X-ATK-Callback of the request has the outcome posted, NULL: nowhere; if its call is carried out at once: 22023';

CREATE FUNCTION workflow_api.http_status(code text) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN code IN ('28000', '42501') THEN '403'
                WHEN code = '42704' THEN '404'
                WHEN code IN ('21000', '23505', '55000', '55006') THEN '409'
                WHEN code = '55P03' OR left(code, 2) IN ('40', '53') THEN '503'
                WHEN left(code, 2) = '22' THEN '400'
                WHEN left(code, 2) = '54' THEN '413' END
$$;
COMMENT ON FUNCTION workflow_api.http_status(text) IS 'The HTTP status of an SQLSTATE; NULL: what PostgREST makes of it';

-- A status that was set is gone when the transaction is rolled back; the code PTxyz is one that PostgREST reads out of the error. It puts the message
-- into the line of the status, where a line break of a name that somebody has sent would begin a header.
CREATE FUNCTION workflow_api.fail_as_http(code text, message text, detail text, hint text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- where the outcome goes is a header that cannot be followed, and nothing that was looked for; which servers there are is not told
    IF code = '42704' AND message LIKE 'no server % covers the callback_url' THEN
        code := '22023';
        detail := NULL;
    END IF;
    code := coalesce('PT' || workflow_api.http_status(code), code);
    message := left(regexp_replace(message, '[\x01-\x1f\x7f]+', ' ', 'g'), 300);
    IF detail <> '' AND hint <> '' THEN
        RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, DETAIL = detail, HINT = hint;
    ELSIF detail <> '' THEN
        RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, DETAIL = detail;
    ELSIF hint <> '' THEN
        RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, HINT = hint;
    END IF;
    RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message;
END $$;
COMMENT ON FUNCTION workflow_api.fail_as_http(text, text, text, text) IS 'Throws an error once more, so that PostgREST answers with its HTTP status';

CREATE FUNCTION workflow_api.answer_accepted() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF workflow_api.request_mode() = 'async' THEN
        PERFORM set_config('response.status', '202', true);
    END IF;
END $$;
COMMENT ON FUNCTION workflow_api.answer_accepted() IS 'Has the request answered with 202 Accepted, if its call is carried out later';

CREATE FUNCTION workflow_api.answer_started(query text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    headers jsonb := coalesce(nullif(current_setting('response.headers', true), '')::jsonb, '[]');
BEGIN
    PERFORM set_config('response.headers', (headers || jsonb_build_object('Location', '/rpc/instance?' || query))::text, true),
            set_config('response.status', CASE WHEN workflow_api.request_mode() = 'async' THEN '202' ELSE '201' END, true);
END $$;
COMMENT ON FUNCTION workflow_api.answer_started(text) IS 'Has the request answered with 201 Created, or 202 Accepted, and where the instance is';

CREATE FUNCTION workflow_api.require_own_rights() RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT has_schema_privilege('workflow', 'USAGE') THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('role "%s" has no rights of its own here', current_user),
            HINT = 'Without the token of an instance this takes a role with USAGE on the schema "workflow", and its privileges.';
    END IF;
END $$;
COMMENT ON FUNCTION workflow_api.require_own_rights() IS 'Refuses roles without USAGE on the schema workflow, whatever this session has looked up for others';

-- ---- starting ----

CREATE FUNCTION workflow_api.start_public(process text, data jsonb DEFAULT '{}', business_key text DEFAULT NULL) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mode     text;
    started  bigint;
    token    text;
    message  text;
    detail   text;
    hint     text;
BEGIN
    mode := workflow_api.request_mode();
    -- only what was given to this role by name: what everyone in the database may start is not what the world may
    IF NOT EXISTS (SELECT FROM workflow.grants g
                   WHERE g.process = start_public.process AND g.role = current_user AND g.privilege IN ('start', 'admin')) THEN
        RAISE undefined_object USING MESSAGE = 'there is no process of that name that can be started here';
    END IF;
    PERFORM workflow_api.take_trace();
    started := workflow.start(start_public.process, start_public.data, start_public.business_key, mode => mode,
                              callback_url => workflow_api.request_callback());
    token := workflow.instance_token(started);
    PERFORM workflow_api.answer_started('token=' || token);
    RETURN coalesce((SELECT i.data FROM workflow.instances i WHERE i.instance = started), start_public.data, '{}')
           || jsonb_build_object('id', started, 'token', token);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.start_public(text, jsonb, text) IS 'Starts an instance of a process on which the role workflow_web was given "start", for whoever asks: returns its data, with its number as "id" and the token by which it is known as his';

CREATE FUNCTION workflow_api.start(process text, data jsonb DEFAULT '{}', business_key text DEFAULT NULL) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    started bigint;
    message text;
    detail  text;
    hint    text;
BEGIN
    IF NOT has_schema_privilege('workflow', 'USAGE') THEN
        RETURN workflow_api.start_public(start.process, start.data, start.business_key);
    END IF;
    PERFORM workflow_api.take_trace();
    started := workflow.start(start.process, start.data, start.business_key, mode => workflow_api.request_mode(),
                              callback_url => workflow_api.request_callback());
    PERFORM workflow_api.answer_started('instance=' || started);
    RETURN coalesce((SELECT i.data FROM workflow.instances i WHERE i.instance = started), start.data, '{}') || jsonb_build_object('id', started);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.start(text, jsonb, text) IS 'Starts an instance, with the rights of a role that has USAGE on the schema workflow; for others as start_public: returns its data, with its number as "id"';

-- ---- for everyone: with the token of an instance, that alone ----

CREATE FUNCTION workflow_api.instance_of_token(token text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found record;
BEGIN
    SELECT t.instance, t.status INTO found FROM workflow.instance_of_token(instance_of_token.token) t;
    IF found.status IS NULL THEN
        RAISE undefined_object USING MESSAGE = format('instance %s does not exist', found.instance),
            DETAIL = 'Its start has failed, or it is no longer kept in the history.';
    ELSIF found.status = 'pending' AND workflow_api.request_mode() = 'sync' THEN
        RAISE object_not_in_prerequisite_state USING MESSAGE = format('instance %s has not started yet', found.instance),
            HINT = 'Repeat it, or call it with X-ATK-Mode: async, which is carried out afterwards.';
    END IF;
    RETURN found.instance;
END $$;
COMMENT ON FUNCTION workflow_api.instance_of_token(text) IS 'The instance of a token, for a call that is about to change it';

CREATE FUNCTION workflow_api.instance(token text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found   record;
    error   jsonb;
    message text;
    detail  text;
    hint    text;
BEGIN
    SELECT t.instance, t.status INTO found FROM workflow.instance_of_token(instance.token) t;
    SELECT o.error INTO error FROM workflow.operations o WHERE o.instance = found.instance AND o.role = current_user AND o.call = 'start' AND o.state = 'failed';
    IF found.status IS NULL AND error IS NULL THEN
        RAISE undefined_object USING MESSAGE = format('instance %s does not exist', found.instance),
            DETAIL = 'It is no longer kept in the history.';
    END IF;
    RETURN jsonb_strip_nulls(jsonb_build_object('id', found.instance, 'status', coalesce(found.status, 'failed'), 'error', error))
           || coalesce((SELECT jsonb_build_object('data', i.data) FROM workflow.instances i WHERE i.instance = found.instance), '{}')
           || jsonb_build_object(
                  'tasks', coalesce((SELECT jsonb_agg(jsonb_build_object('serial_number', t.serial_number, 'step', t.step, 'title', t.title,
                                                                         'due', t.due, 'data', t.data) ORDER BY t.since)
                                     FROM workflow.tasks t
                                     WHERE t.instance = found.instance AND (t.assignee = current_user OR t.assignee IS NULL AND current_user = ANY (t.roles))), '[]'),
                  'operations', coalesce((SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('operation', o.operation, 'call', o.call,
                                                                                                'state', o.state, 'error', o.error,
                                                                                                'answer', CASE WHEN o.answer IN ('false', 'missed') THEN o.answer END,
                                                                                                'callback', o.callback_state)) ORDER BY o.operation)
                                          FROM (SELECT * FROM workflow.operations o
                                                WHERE o.instance = found.instance AND o.role = current_user
                                                      AND (o.state <> 'done' OR o.answer IN ('false', 'missed')
                                                           OR o.callback_state IN ('pending', 'sending', 'failed')) ORDER BY o.operation DESC LIMIT 20) o), '[]'));
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.instance(text) IS 'Where the instance of the token stands: its status; its data, if the role workflow_web has "view"; tasks for that role; calls that are pending, have failed or come to nothing, or whose callback is pending, or has failed';

CREATE FUNCTION workflow_api.set_data(token text, data jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    instance bigint;
    message  text;
    detail   text;
    hint     text;
BEGIN
    instance := workflow_api.instance_of_token(set_data.token);
    IF NOT workflow.set_data(instance, set_data.data, mode => workflow_api.request_mode(),
                             callback_url => workflow_api.request_callback()) THEN
        RAISE object_not_in_prerequisite_state USING MESSAGE = format('instance %s has ended', instance);
    END IF;
    PERFORM workflow_api.answer_accepted();
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.set_data(text, jsonb) IS 'Puts data over those of the instance of the token';

CREATE FUNCTION workflow_api.cancel(token text, reason text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    instance bigint;
    message  text;
    detail   text;
    hint     text;
BEGIN
    instance := workflow_api.instance_of_token(cancel.token);
    IF NOT workflow.cancel(instance, cancel.reason, mode => workflow_api.request_mode(),
                           callback_url => workflow_api.request_callback()) THEN
        RAISE object_not_in_prerequisite_state USING MESSAGE = format('instance %s has ended', instance);
    END IF;
    PERFORM workflow_api.answer_accepted();
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.cancel(text, text) IS 'Cancels the instance of the token';

-- Others of the instance are for other roles: what the web may end are the tasks and steps of the role workflow_web.
CREATE FUNCTION workflow_api.require_serial_of_token(token text, serial_number text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF serial_number IS NULL THEN
        RAISE null_value_not_allowed USING MESSAGE = 'argument "serial_number" must not be null';
    ELSIF split_part(serial_number, '_', 1) IS DISTINCT FROM workflow_api.instance_of_token(token)::text THEN
        RAISE undefined_object USING MESSAGE = format('serial number %s is none of this instance', serial_number);
    END IF;
END $$;
COMMENT ON FUNCTION workflow_api.require_serial_of_token(text, text) IS 'Refuses serial numbers of other instances than that of the token';

CREATE FUNCTION workflow_api.complete(token text, serial_number text, data jsonb DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    message text;
    detail  text;
    hint    text;
BEGIN
    PERFORM workflow_api.require_serial_of_token(complete.token, complete.serial_number);
    PERFORM workflow_api.answer_accepted();
    IF NOT workflow.complete(complete.serial_number, complete.data, mode => workflow_api.request_mode(),
                             callback_url => workflow_api.request_callback()) THEN
        PERFORM set_config('response.status', '409', true); -- with what came late on record
    END IF;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.complete(text, text, jsonb) IS 'Does a task in the instance of the token that is one of the role workflow_web, or ends a step on which that was given "complete"';

CREATE FUNCTION workflow_api.fail(token text, serial_number text, code text DEFAULT 'FAILED', message text DEFAULT NULL, data jsonb DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    error_message text;
    detail        text;
    hint          text;
BEGIN
    PERFORM workflow_api.require_serial_of_token(fail.token, fail.serial_number);
    PERFORM workflow_api.answer_accepted();
    IF NOT workflow.fail(fail.serial_number, fail.code, fail.message, fail.data, mode => workflow_api.request_mode(),
                         callback_url => workflow_api.request_callback()) THEN
        PERFORM set_config('response.status', '409', true);
    END IF;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS error_message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, error_message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.fail(text, text, text, text, jsonb) IS 'As complete, but it has failed: a "catch" may name the code';

CREATE FUNCTION workflow_api.send_message(token text, name text, data jsonb DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    answer  text;
    message text;
    detail  text;
    hint    text;
BEGIN
    answer := workflow.send_message(send_message.name, data => send_message.data, instance => workflow_api.instance_of_token(send_message.token),
                                    mode => workflow_api.request_mode(),
                                    callback_url => workflow_api.request_callback());
    IF answer = 'missed' THEN
        RAISE object_not_in_prerequisite_state USING MESSAGE = 'nothing there waits for this message';
    END IF;
    PERFORM workflow_api.answer_accepted();
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.send_message(text, text, jsonb) IS 'Sends a message to the instance of the token, if the role workflow_web was given "complete" on the process or the step that waits for it';

-- ---- for roles with USAGE on the schema workflow: their own rights ----

CREATE FUNCTION workflow_api.instance(instance bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found   jsonb;
    message text;
    detail  text;
    hint    text;
BEGIN
    PERFORM workflow_api.require_own_rights();
    SELECT jsonb_build_object('id', i.instance, 'process', i.process, 'business_key', i.business_key, 'status', i.status, 'data', i.data,
                              'started_at', i.started_at, 'ended_at', i.ended_at, 'error', i.error)
    INTO found FROM workflow.instances i WHERE i.instance = instance.instance;
    IF found IS NULL THEN
        SELECT jsonb_build_object('id', o.instance, 'status', CASE o.state WHEN 'failed' THEN 'failed' ELSE 'pending' END, 'error', o.error)
        INTO found FROM workflow.operations o WHERE o.instance = instance.instance AND o.call = 'start' AND o.state <> 'done';
    END IF;
    IF found IS NULL THEN
        RAISE undefined_object USING MESSAGE = format('instance %s does not exist', instance.instance),
            DETAIL = 'It was never started, is no longer kept in the history, or is nothing that you may view.';
    END IF;
    RETURN found;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.instance(bigint) IS 'Where an instance stands that the role may view';

CREATE FUNCTION workflow_api.set_data(instance bigint, data jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    message text;
    detail  text;
    hint    text;
BEGIN
    PERFORM workflow_api.require_own_rights();
    IF NOT workflow.set_data(set_data.instance, set_data.data, mode => workflow_api.request_mode(),
                             callback_url => workflow_api.request_callback()) THEN
        RAISE object_not_in_prerequisite_state USING MESSAGE = format('instance %s has ended', set_data.instance);
    END IF;
    PERFORM workflow_api.answer_accepted();
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.set_data(bigint, jsonb) IS 'Puts data over those of an instance';

CREATE FUNCTION workflow_api.cancel(instance bigint, reason text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    message text;
    detail  text;
    hint    text;
BEGIN
    PERFORM workflow_api.require_own_rights();
    IF NOT workflow.cancel(cancel.instance, cancel.reason, mode => workflow_api.request_mode(),
                           callback_url => workflow_api.request_callback()) THEN
        RAISE object_not_in_prerequisite_state USING MESSAGE = format('instance %s has ended', cancel.instance);
    END IF;
    PERFORM workflow_api.answer_accepted();
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.cancel(bigint, text) IS 'Cancels an instance';

CREATE FUNCTION workflow_api.tasks() RETURNS TABLE (serial_number text, instance bigint, process text, step text, title text, assignee text, person text,
                                                    due timestamptz, since timestamptz, data jsonb)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    message text;
    detail  text;
    hint    text;
BEGIN
    PERFORM workflow_api.require_own_rights();
    RETURN QUERY SELECT t.serial_number::text, t.instance, t.process::text, t.step::text, t.title::text, t.assignee::text, t.person::text, t.due, t.since, t.data
                 FROM workflow.tasks t ORDER BY t.since;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.tasks() IS 'Tasks that the role has, may claim or may view';

CREATE FUNCTION workflow_api.claim(serial_number text, person text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    message text;
    detail  text;
    hint    text;
BEGIN
    PERFORM workflow_api.require_own_rights();
    IF NOT workflow.claim(claim.serial_number, claim.person, mode => workflow_api.request_mode(),
                          callback_url => workflow_api.request_callback()) THEN
        RAISE object_not_in_prerequisite_state USING MESSAGE = format('somebody else has the task of %s, or it is over', claim.serial_number);
    END IF;
    PERFORM workflow_api.answer_accepted();
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.claim(text, text) IS 'Takes a task for the role';

CREATE FUNCTION workflow_api.complete(serial_number text, data jsonb DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    message text;
    detail  text;
    hint    text;
BEGIN
    PERFORM workflow_api.require_own_rights();
    PERFORM workflow_api.answer_accepted();
    IF NOT workflow.complete(complete.serial_number, complete.data, mode => workflow_api.request_mode(),
                             callback_url => workflow_api.request_callback()) THEN
        PERFORM set_config('response.status', '409', true); -- with what came late on record
    END IF;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.complete(text, jsonb) IS 'Does a task, or ends whatever else waits for the outside';

CREATE FUNCTION workflow_api.fail(serial_number text, code text DEFAULT 'FAILED', message text DEFAULT NULL, data jsonb DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    error_message text;
    detail        text;
    hint          text;
BEGIN
    PERFORM workflow_api.require_own_rights();
    PERFORM workflow_api.answer_accepted();
    IF NOT workflow.fail(fail.serial_number, fail.code, fail.message, fail.data, mode => workflow_api.request_mode(),
                         callback_url => workflow_api.request_callback()) THEN
        PERFORM set_config('response.status', '409', true);
    END IF;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS error_message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, error_message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.fail(text, text, text, jsonb) IS 'As complete, but it has failed: a "catch" may name the code';

CREATE FUNCTION workflow_api.send_message(name text, key text DEFAULT NULL, data jsonb DEFAULT NULL, ttl interval DEFAULT '0', message_id text DEFAULT NULL)
    RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    answer  text;
    message text;
    detail  text;
    hint    text;
BEGIN
    PERFORM workflow_api.require_own_rights();
    answer := workflow.send_message(send_message.name, send_message.key, send_message.data, send_message.ttl, send_message.message_id,
                                    mode => workflow_api.request_mode(),
                                    callback_url => workflow_api.request_callback());
    IF answer = 'missed' THEN
        RAISE object_not_in_prerequisite_state USING MESSAGE = 'nobody waits for this message';
    END IF;
    PERFORM workflow_api.answer_accepted();
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.send_message(text, text, jsonb, interval, text) IS 'Sends a message to who waits for it';

CREATE FUNCTION workflow_api.send_signal(name text, data jsonb DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    message text;
    detail  text;
    hint    text;
BEGIN
    PERFORM workflow_api.require_own_rights();
    IF workflow_api.request_callback() IS NOT NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'a signal has no X-ATK-Callback', DETAIL = 'It goes to all who wait for it.';
    END IF;
    PERFORM workflow.send_signal(send_signal.name, send_signal.data, mode => workflow_api.request_mode());
    PERFORM workflow_api.answer_accepted();
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    PERFORM workflow_api.fail_as_http(SQLSTATE, message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_api.send_signal(text, jsonb) IS 'Sends a signal to all who wait for it';

-- ---- webhooks: token and data in one JSON body ----

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

-- ---- webhooks: token in the header X-Workflow-Token, the whole body is the data: for URLs, with a proxy in front ----
-- The body comes as bytes (Content-Type: application/octet-stream), since signatures are over bytes.

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

-- ---- with whose rights ----

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'workflow_api'::regnamespace AND p.prosecdef
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO workflow_web', f);
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA workflow_api TO workflow_web;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA workflow_api TO PUBLIC;
