-- The functions that are more than passing a call on.

CREATE FUNCTION workflow.serial_number(instance bigint, visit bigint) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT instance || '_' || visit $$;

CREATE FUNCTION workflow.shard() RETURNS integer LANGUAGE sql STABLE AS $$ SELECT NULL::integer $$;

CREATE VIEW workflow.shards AS SELECT shard, connect, weight FROM workflow_router.shard;
COMMENT ON VIEW workflow.shards IS 'The shards that this router knows';
COMMENT ON COLUMN workflow.shards.shard IS 'Number of the shard';
COMMENT ON COLUMN workflow.shards.connect IS 'How it is reached, in the form of libpq';
COMMENT ON COLUMN workflow.shards.weight IS 'Its share of new instances, in proportion to that of the others; 0: it gets none';
GRANT SELECT ON workflow.shards TO PUBLIC;

-- ---- starting ----

-- While weights have changed, a key may still live where it would have started before.
CREATE FUNCTION workflow_router.require_free(process text, key text) RETURNS void LANGUAGE plpgsql SET client_min_messages = warning AS $$
DECLARE
    v_shard integer; v_part integer;
    living bigint;
    v_message text; v_detail text; v_hint text;
BEGIN
    FOR v_shard, v_part IN SELECT f, workflow_router.known(f) FROM workflow_router.former_homes(key) f LOOP
        BEGIN
            living := workflow_router.do_instance_of_key(v_part, process, key);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.again(v_part, SQLSTATE, v_message, v_detail, v_hint);
        END;
        IF living IS NOT NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'unique_violation',
                MESSAGE = format('process "%s" has a living instance with business key "%s" already', process, key),
                DETAIL = format('It is instance %s, in shard %s, where instances with that key started before.', living, v_shard),
                HINT = 'The key is free again when that instance has ended.';
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION workflow_router.require_free(text, text) IS
'Refuses a business key that has a living instance in a shard where such instances started before. process: its name; key: as text';

CREATE FUNCTION workflow.start(process text, data jsonb DEFAULT '{}', business_key anycompatible DEFAULT NULL::text,
                               version integer DEFAULT NULL, mode text DEFAULT 'sync', callback_url text DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql SET client_min_messages = warning AS $$
#variable_conflict use_variable
DECLARE
    r_key text := CASE WHEN business_key IS NOT NULL THEN workflow_router.key_text(business_key) END;
    r_part integer;
    r_error record;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF r_key IS NOT NULL AND (EXISTS (SELECT FROM workflow_router.former) OR EXISTS (SELECT FROM workflow_router.half)) THEN
        PERFORM workflow_router.require_free(process, r_key);
    END IF;
    -- without a key anywhere: where nobody answers, nothing was started
    FOR r_part IN SELECT s.part FROM workflow_router.shard s
                  WHERE CASE WHEN r_key IS NULL THEN s.weight > 0 ELSE s.shard = workflow_router.home(r_key) END
                  ORDER BY CASE WHEN r_key IS NULL THEN -ln(1 - random()) / s.weight END LOOP
        BEGIN
            RETURN workflow_router.do_start(r_part, process, data, r_key, version, mode, callback_url);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            r_error := workflow_router.what_failed(r_state, r_message, r_detail, r_hint, r_part);
            IF r_error.state <> '08001' THEN
                PERFORM workflow_router.again(r_part, r_state, r_message, r_detail, r_hint);
            END IF;
        END;
    END LOOP;
    IF r_state IS NULL THEN
        PERFORM workflow_router.home('');
    END IF;
    PERFORM workflow_router.again(r_part, r_state, r_message, r_detail, r_hint);
END $$;

CREATE FUNCTION workflow.instance_of_key(process text, business_key anycompatible) RETURNS bigint LANGUAGE plpgsql STABLE SET client_min_messages = warning AS $$
#variable_conflict use_variable
DECLARE
    r_key text := workflow_router.key_text(business_key);
    r_part integer;
    r_found bigint;
    r_message text; r_detail text; r_hint text;
BEGIN
    FOR r_part IN SELECT workflow_router.known(h) FROM (SELECT workflow_router.home(r_key) AS h UNION ALL SELECT workflow_router.former_homes(r_key)) h LOOP
        r_found := workflow_router.do_instance_of_key(r_part, process, r_key);
        EXIT WHEN r_found IS NOT NULL;
    END LOOP;
    RETURN r_found;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $$;

-- ---- messages ----

-- To whom it may concern goes to all, and what has become of it is the best that has.
CREATE FUNCTION workflow_router.send_to_all(name text, key text, data jsonb, ttl interval, message_id text, mode text, callback_url text) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    r_order text[] := '{delivered,queued,kept,missed,duplicate}';
    r_one text; r_answer text;
    r_part integer; r_shard integer; r_done integer[] := '{}'; r_failed integer[] := '{}';
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    PERFORM workflow_router.require_all();
    FOR r_part, r_shard IN SELECT s.part, s.shard FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            r_one := workflow_router.do_send_message(r_part, name, key, data, ttl, message_id, NULL, true, mode, callback_url);
            IF r_answer IS NULL OR array_position(r_order, r_one) < array_position(r_order, r_answer) THEN
                r_answer := r_one;
            END IF;
            r_done := r_done || r_shard;
        EXCEPTION WHEN OTHERS THEN
            IF r_failed = '{}' THEN
                GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            END IF;
            r_failed := r_failed || r_shard;
            EXIT WHEN r_done = '{}';
        END;
    END LOOP;
    IF r_failed <> '{}' THEN
        PERFORM workflow_router.partly('send_signal', r_done, r_failed, r_state, r_message, r_detail, r_hint);
    END IF;
    RETURN r_answer;
END $$;
COMMENT ON FUNCTION workflow_router.send_to_all(text, text, jsonb, interval, text, text, text) IS
'Sends a message to all who wait for it, in all shards. name, key, data, ttl, message_id, mode, callback_url: as of workflow.send_message';

CREATE FUNCTION workflow.send_message(name text, key anycompatible DEFAULT NULL::text, data jsonb DEFAULT NULL, ttl interval DEFAULT '0',
                                      message_id text DEFAULT NULL, instance bigint DEFAULT NULL, to_all boolean DEFAULT false,
                                      mode text DEFAULT 'sync', callback_url text DEFAULT NULL) RETURNS text LANGUAGE plpgsql SET client_min_messages = warning AS $$
#variable_conflict use_variable
DECLARE
    r_key text := CASE WHEN key IS NOT NULL THEN workflow_router.key_text(key) END;
    r_part integer;
    r_answer text;
    r_message text; r_detail text; r_hint text;
BEGIN
    IF instance IS NULL AND to_all THEN
        RETURN workflow_router.send_to_all(name, r_key, data, ttl, message_id, mode, callback_url);
    ELSIF instance IS NULL AND r_key IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = 'a message without a key could be waited for in any shard',
            HINT = 'Name the instance, or a key that is a business key; or send it to_all.';
    END IF;
    r_part := CASE WHEN instance IS NOT NULL THEN workflow_router.part_of(instance) ELSE workflow_router.known(workflow_router.home(r_key)) END;
    -- who has started under the key before weights were changed comes first
    IF instance IS NULL AND (EXISTS (SELECT FROM workflow_router.former) OR EXISTS (SELECT FROM workflow_router.half)) THEN
        DECLARE
            r_home integer := r_part;
        BEGIN
            FOR r_part IN SELECT workflow_router.known(h) FROM workflow_router.former_homes(r_key) h LOOP
                CONTINUE WHEN NOT EXISTS (SELECT FROM workflow_router.subscriptions_of(r_part, NULL, NULL, NULL, NULL) s WHERE s.kind = 'message' AND s.name = send_message.name AND s.key = r_key);
                RETURN workflow_router.do_send_message(r_part, name, r_key, data, ttl, message_id, instance, to_all, mode, callback_url);
            END LOOP;
            r_part := r_home;
        END;
    END IF;
    RETURN workflow_router.do_send_message(r_part, name, r_key, data, ttl, message_id, instance, to_all, mode, callback_url);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $$;

-- ---- work ----

CREATE FUNCTION workflow.fetch(topic text, n integer DEFAULT 1, lock interval DEFAULT '00:05:00', worker text DEFAULT NULL,
                               OUT serial_number text, OUT data jsonb, OUT item jsonb, OUT index integer, OUT lock_token uuid) RETURNS SETOF record LANGUAGE plpgsql SET client_min_messages = warning AS $$
#variable_conflict use_variable
DECLARE
    r_left integer := n;
    r_rows integer;
    r_part integer;
    r_answered boolean := false;
    r_error record;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    PERFORM workflow_router.any_part();
    -- some in turn, beginning with any
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY random() LIMIT 4 LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.do_fetch(r_part, topic, r_left, lock, worker);
            GET DIAGNOSTICS r_rows = ROW_COUNT;
            r_answered := true;
            r_left := r_left - r_rows;
            EXIT WHEN r_left <= 0;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            r_error := workflow_router.what_failed(r_state, r_message, r_detail, r_hint, r_part);
            -- what was fetched before is not to be lost
            IF r_error.state NOT LIKE '08%' AND r_left = n THEN
                PERFORM workflow_router.again(r_part, r_state, r_message, r_detail, r_hint);
            END IF;
            RAISE WARNING USING ERRCODE = r_error.state, MESSAGE = r_error.message || ': nothing is fetched there';
        END;
    END LOOP;
    IF NOT r_answered THEN
        PERFORM workflow_router.again(r_part, r_state, r_message, r_detail, r_hint);
    END IF;
END $$;

-- ---- many callbacks ----

CREATE FUNCTION workflow_router.complete_parts(r_parts integer[], r_callbacks text[], r_places text[], OUT place integer, OUT serial_number text,
                                               OUT accepted boolean, OUT error_code text, OUT error text) RETURNS SETOF record LANGUAGE plproxy AS $$
    CLUSTER 'workflow_shards';
    SPLIT r_parts, r_callbacks, r_places;
    RUN ON r_parts;
    SELECT (string_to_array(u.places, ','))[c.n]::integer AS place, c.serial_number, c.accepted, c.error_code, c.error
    FROM unnest($2, $3) u (callbacks, places), workflow.complete_many(u.callbacks::json) WITH ORDINALITY c (serial_number, accepted, error_code, error, n);
$$;
COMMENT ON FUNCTION workflow_router.complete_parts(integer[], text[], text[]) IS
'Passes arrays of callbacks on to several shards at once. r_parts: places of the shards; r_callbacks: of each; r_places: of each, their places in the whole';

CREATE FUNCTION workflow_router.ping_parts(parts integer[]) RETURNS SETOF integer LANGUAGE plproxy AS
$$ CLUSTER 'workflow_shards'; SPLIT parts; RUN ON parts; SELECT workflow.shard(); $$;
COMMENT ON FUNCTION workflow_router.ping_parts(integer[]) IS 'Asks shards for their numbers, at once. parts: their places';

CREATE FUNCTION workflow_router.dead_parts(parts integer[]) RETURNS integer[] LANGUAGE plpgsql SET client_min_messages = warning AS $$
DECLARE
    dead integer[] := '{}';
    v_part integer;
    v_message text;
BEGIN
    BEGIN
        PERFORM workflow_router.ping_parts(parts);
        RETURN dead;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: which of them
    END;
    FOREACH v_part IN ARRAY parts LOOP
        BEGIN
            PERFORM workflow_router.ping(v_part);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS v_message = MESSAGE_TEXT;
            IF v_message LIKE 'PL/Proxy function %' THEN
                dead := dead || v_part;
            END IF;
        END;
    END LOOP;
    RETURN dead;
END $$;
COMMENT ON FUNCTION workflow_router.dead_parts(integer[]) IS 'Tells which shards do not answer. parts: their places';

-- An entry whose shard is not known, or does not answer, has an error of its own, and the others are carried out. Entries are texts on their
-- way, since JSON would lose what is wrong with them.
CREATE FUNCTION workflow.complete_many(callbacks json, OUT serial_number text, OUT accepted boolean, OUT error_code text, OUT error text) RETURNS SETOF record LANGUAGE plpgsql SET client_min_messages = warning AS $$
#variable_conflict use_column
DECLARE
    r_any integer;
    r_parts integer[]; r_texts text[]; r_places text[];
    r_dead integer[];
    r_message text; r_detail text; r_hint text;
BEGIN
    r_any := workflow_router.any_part();
    SELECT array_agg(g.part), array_agg(g.texts), array_agg(g.places) INTO r_parts, r_texts, r_places
    FROM (SELECT n.part, '[' || string_agg(n.text, ',' ORDER BY n.place) || ']' AS texts, string_agg(n.place::text, ',' ORDER BY n.place) AS places
          FROM (SELECT e.place, e.text, CASE WHEN e.number IS NULL THEN r_any ELSE (SELECT s.part FROM workflow_router.shard s WHERE s.shard = workflow_router.shard_of(e.number)) END AS part
                FROM (SELECT a.place, a.value::text AS text,
                             CASE WHEN t.given ~ '^[1-9][0-9]{0,17}_' THEN split_part(t.given, '_', 1)::bigint END AS number
                      FROM json_array_elements(callbacks) WITH ORDINALITY a (value, place),
                          LATERAL (SELECT CASE json_typeof(a.value) WHEN 'object' THEN a.value ->> 'serial_number' END AS given) t) e) n
          GROUP BY n.part) g;
    IF r_parts IS NULL THEN
        RETURN;
    END IF;
    r_dead := workflow_router.dead_parts(array_remove(r_parts, NULL));
    RETURN QUERY
        SELECT c.serial_number, c.accepted, c.error_code, c.error
        FROM (SELECT d.place, d.serial_number, d.accepted, d.error_code, d.error
              FROM (SELECT array_agg(u.part) AS parts, array_agg(u.text) AS texts, array_agg(u.places) AS places
                    FROM unnest(r_parts, r_texts, r_places) u (part, text, places) WHERE u.part IS NOT NULL AND u.part <> ALL (r_dead)) l,
                  workflow_router.complete_parts(l.parts, l.texts, l.places) d
              WHERE l.parts IS NOT NULL
              UNION ALL
              SELECT (string_to_array(u.places, ','))[a.n]::integer, a.value ->> 'serial_number', NULL::boolean, CASE WHEN u.part IS NULL THEN '42704' ELSE '08001' END,
                     CASE WHEN u.part IS NULL THEN format('serial number %s does not exist', a.value ->> 'serial_number')
                          ELSE format('shard %s does not answer', (SELECT s.shard FROM workflow_router.shard s WHERE s.part = u.part)) END
              FROM unnest(r_parts, r_texts, r_places) u (part, text, places), json_array_elements(u.text::json) WITH ORDINALITY a (value, n)
              WHERE u.part IS NULL OR u.part = ANY (r_dead)) c
        ORDER BY c.place;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(NULL, SQLSTATE, r_message, r_detail, r_hint);
END $$;

-- ---- webhooks ----

-- The token of a webhook names no shard: that of one of them is everybody's, always of the same one, and who has made it takes what comes.
CREATE FUNCTION workflow.webhook_token(process text, webhook text) RETURNS text LANGUAGE plpgsql SET client_min_messages = warning AS $$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.known(workflow_router.home(process || ' ' || webhook));
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_webhook_token(r_part, process, webhook);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $$;

CREATE FUNCTION workflow.webhook(token text, body bytea DEFAULT NULL, headers jsonb DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql SET client_min_messages = warning AS $$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
    r_error record;
    r_dead integer;
BEGIN
    PERFORM workflow_router.any_part();
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN workflow_router.do_webhook(r_part, token, body, headers);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            r_error := workflow_router.what_failed(r_state, r_message, r_detail, r_hint, r_part);
            IF r_error.state = '08001' THEN
                r_dead := r_part;
            ELSIF r_error.state NOT IN ('28000', '42704') THEN
                PERFORM workflow_router.again(r_part, r_state, r_message, r_detail, r_hint);
            ELSE
                PERFORM workflow_router.renew(r_part);
            END IF;
        END;
    END LOOP;
    -- it may be that of the one who does not answer
    IF r_dead IS NOT NULL THEN
        PERFORM workflow_router.raise('08001', format('shard %s does not answer', (SELECT s.shard FROM workflow_router.shard s WHERE s.part = r_dead)), NULL,
                                      'Nothing was done. The others have not made the token.');
    END IF;
    PERFORM workflow_router.again(r_part, r_state, r_message, r_detail, r_hint);
END $$;
