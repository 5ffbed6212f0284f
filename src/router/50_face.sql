-- Made by generate.sql of the functions and views of the extension. Not to be changed by hand.

CREATE FUNCTION workflow_router.do_callback(part integer, a1 text, a2 jsonb) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.callback($2, $3); $r$;
CREATE FUNCTION workflow_router.do_callback_heartbeat(part integer, a1 text, a2 jsonb) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.callback_heartbeat($2, $3); $r$;
CREATE FUNCTION workflow_router.do_callback_raw(part integer, a1 text, a2 bytea, a3 jsonb) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.callback_raw($2, $3, $4); $r$;
CREATE FUNCTION workflow_router.do_cancel(part integer, a1 bigint, a2 text, a3 text, a4 text) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.cancel($2, $3, $4, $5); $r$;
CREATE FUNCTION workflow_router.do_cancel_visit(part integer, a1 text, a2 text) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.cancel_visit($2, $3); $r$;
CREATE FUNCTION workflow_router.do_check(part integer, a1 json, OUT path text, OUT severity text, OUT message text, OUT hint text, OUT step text, OUT line integer) RETURNS SETOF record LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT x.* FROM workflow.check($2) x; $r$;
CREATE FUNCTION workflow_router.do_claim(part integer, a1 text, a2 text, a3 text, a4 text) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.claim($2, $3, $4, $5); $r$;
CREATE FUNCTION workflow_router.do_complete(part integer, a1 text, a2 jsonb, a3 uuid, a4 text, a5 text) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.complete($2, $3, $4, $5, $6); $r$;
CREATE FUNCTION workflow_router.do_define(part integer, a1 text, a2 json) RETURNS integer LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.define($2, $3); $r$;
CREATE FUNCTION workflow_router.do_definition_schema(part integer) RETURNS json LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.definition_schema(); $r$;
CREATE FUNCTION workflow_router.do_diagram(part integer, a1 bigint) RETURNS text LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.diagram($2); $r$;
CREATE FUNCTION workflow_router.do_diagram(part integer, a1 text, a2 integer, a3 boolean) RETURNS text LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.diagram($2, $3, $4); $r$;
CREATE FUNCTION workflow_router.do_difference(part integer, a1 text, a2 integer, a3 integer, OUT path text, OUT change text, OUT old jsonb, OUT new jsonb) RETURNS SETOF record LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT x.* FROM workflow.difference($2, $3, $4) x; $r$;
CREATE FUNCTION workflow_router.do_erase(part integer, a1 bigint) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.erase($2); $r$;
CREATE FUNCTION workflow_router.do_extend(part integer, a1 text, a2 interval, a3 uuid) RETURNS timestamp with time zone LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.extend($2, $3, $4); $r$;
CREATE FUNCTION workflow_router.do_fail(part integer, a1 text, a2 text, a3 text, a4 jsonb, a5 boolean, a6 uuid, a7 text, a8 text) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.fail($2, $3, $4, $5, $6, $7, $8, $9); $r$;
CREATE FUNCTION workflow_router.do_fetch(part integer, a1 text, a2 integer, a3 interval, a4 text, OUT serial_number text, OUT data jsonb, OUT item jsonb, OUT index integer, OUT lock_token uuid) RETURNS SETOF record LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT x.* FROM workflow.fetch($2, $3, $4, $5) x; $r$;
CREATE FUNCTION workflow_router.do_grant_process(part integer, a1 text, a2 name, a3 text, a4 text) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.grant_process($2, $3, $4, $5); $r$;
CREATE FUNCTION workflow_router.do_heartbeat(part integer, a1 text, a2 jsonb, a3 uuid) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.heartbeat($2, $3, $4); $r$;
CREATE FUNCTION workflow_router.do_instance_of_key(part integer, a1 text, a2 text) RETURNS bigint LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.instance_of_key($2, $3); $r$;
CREATE FUNCTION workflow_router.do_instance_of_token(part integer, a1 text, OUT instance bigint, OUT status text) RETURNS record LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT x.* FROM workflow.instance_of_token($2) x; $r$;
CREATE FUNCTION workflow_router.do_instance_token(part integer, a1 bigint) RETURNS text LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.instance_token($2); $r$;
CREATE FUNCTION workflow_router.do_migrate(part integer, a1 bigint, a2 integer, a3 jsonb, OUT instance bigint, OUT obstacle text) RETURNS SETOF record LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT x.* FROM workflow.migrate($2, $3, $4) x; $r$;
CREATE FUNCTION workflow_router.do_migrate(part integer, a1 text, a2 integer, a3 integer, a4 jsonb, OUT instance bigint, OUT obstacle text) RETURNS SETOF record LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT x.* FROM workflow.migrate($2, $3, $4, $5) x; $r$;
CREATE FUNCTION workflow_router.do_move(part integer, a1 text, a2 text) RETURNS text LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.move($2, $3); $r$;
CREATE FUNCTION workflow_router.do_reassign(part integer, a1 text, a2 name, a3 text) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.reassign($2, $3, $4); $r$;
CREATE FUNCTION workflow_router.do_release(part integer, a1 text, a2 uuid) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.release($2, $3); $r$;
CREATE FUNCTION workflow_router.do_request(part integer, a1 text) RETURNS jsonb LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.request($2); $r$;
CREATE FUNCTION workflow_router.do_rerun(part integer, a1 bigint, a2 text, a3 jsonb, a4 integer) RETURNS bigint LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.rerun($2, $3, $4, $5); $r$;
CREATE FUNCTION workflow_router.do_resume(part integer, a1 bigint) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.resume($2); $r$;
CREATE FUNCTION workflow_router.do_resume_process(part integer, a1 text) RETURNS bigint LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.resume_process($2); $r$;
CREATE FUNCTION workflow_router.do_retry(part integer, a1 text, a2 boolean) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.retry($2, $3); $r$;
CREATE FUNCTION workflow_router.do_revoke_process(part integer, a1 text, a2 name, a3 text, a4 text) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.revoke_process($2, $3, $4, $5); $r$;
CREATE FUNCTION workflow_router.do_send_message(part integer, a1 text, a2 text, a3 jsonb, a4 interval, a5 text, a6 bigint, a7 boolean, a8 text, a9 text) RETURNS text LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.send_message($2, $3, $4, $5, $6, $7, $8, $9, $10); $r$;
CREATE FUNCTION workflow_router.do_send_signal(part integer, a1 text, a2 jsonb, a3 text) RETURNS void LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.send_signal($2, $3, $4); $r$;
CREATE FUNCTION workflow_router.do_set_data(part integer, a1 bigint, a2 jsonb, a3 text, a4 text) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.set_data($2, $3, $4, $5); $r$;
CREATE FUNCTION workflow_router.do_skip(part integer, a1 text, a2 jsonb) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.skip($2, $3); $r$;
CREATE FUNCTION workflow_router.do_start(part integer, a1 text, a2 jsonb, a3 text, a4 integer, a5 text, a6 text) RETURNS bigint LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.start($2, $3, $4, $5, $6, $7); $r$;
CREATE FUNCTION workflow_router.do_suspend(part integer, a1 bigint) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.suspend($2); $r$;
CREATE FUNCTION workflow_router.do_suspend_process(part integer, a1 text) RETURNS bigint LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.suspend_process($2); $r$;
CREATE FUNCTION workflow_router.do_timeline(part integer, a1 bigint) RETURNS SETOF text LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT x.* FROM workflow.timeline($2) x; $r$;
CREATE FUNCTION workflow_router.do_unclaim(part integer, a1 text) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.unclaim($2); $r$;
CREATE FUNCTION workflow_router.do_undefine(part integer, a1 text, a2 boolean) RETURNS boolean LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.undefine($2, $3); $r$;
CREATE FUNCTION workflow_router.do_verify(part integer, OUT instance bigint, OUT serial_number text, OUT problem text) RETURNS SETOF record LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT x.* FROM workflow.verify() x; $r$;
CREATE FUNCTION workflow_router.do_webhook(part integer, a1 text, a2 bytea, a3 jsonb) RETURNS bigint LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.webhook($2, $3, $4); $r$;
CREATE FUNCTION workflow_router.do_webhook_token(part integer, a1 text, a2 text) RETURNS text LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.webhook_token($2, $3); $r$;
COMMENT ON FUNCTION workflow_router.do_callback(integer, text, jsonb) IS 'Passes workflow.callback on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_callback_heartbeat(integer, text, jsonb) IS 'Passes workflow.callback_heartbeat on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_callback_raw(integer, text, bytea, jsonb) IS 'Passes workflow.callback_raw on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_cancel(integer, bigint, text, text, text) IS 'Passes workflow.cancel on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_cancel_visit(integer, text, text) IS 'Passes workflow.cancel_visit on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_check(integer, json) IS 'Passes workflow.check on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_claim(integer, text, text, text, text) IS 'Passes workflow.claim on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_complete(integer, text, jsonb, uuid, text, text) IS 'Passes workflow.complete on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_define(integer, text, json) IS 'Passes workflow.define on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_definition_schema(integer) IS 'Passes workflow.definition_schema on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_diagram(integer, bigint) IS 'Passes workflow.diagram on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_diagram(integer, text, integer, boolean) IS 'Passes workflow.diagram on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_difference(integer, text, integer, integer) IS 'Passes workflow.difference on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_erase(integer, bigint) IS 'Passes workflow.erase on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_extend(integer, text, interval, uuid) IS 'Passes workflow.extend on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_fail(integer, text, text, text, jsonb, boolean, uuid, text, text) IS 'Passes workflow.fail on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_fetch(integer, text, integer, interval, text) IS 'Passes workflow.fetch on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_grant_process(integer, text, name, text, text) IS 'Passes workflow.grant_process on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_heartbeat(integer, text, jsonb, uuid) IS 'Passes workflow.heartbeat on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_instance_of_key(integer, text, text) IS 'Passes workflow.instance_of_key on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_instance_of_token(integer, text) IS 'Passes workflow.instance_of_token on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_instance_token(integer, bigint) IS 'Passes workflow.instance_token on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_migrate(integer, bigint, integer, jsonb) IS 'Passes workflow.migrate on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_migrate(integer, text, integer, integer, jsonb) IS 'Passes workflow.migrate on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_move(integer, text, text) IS 'Passes workflow.move on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_reassign(integer, text, name, text) IS 'Passes workflow.reassign on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_release(integer, text, uuid) IS 'Passes workflow.release on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_request(integer, text) IS 'Passes workflow.request on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_rerun(integer, bigint, text, jsonb, integer) IS 'Passes workflow.rerun on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_resume(integer, bigint) IS 'Passes workflow.resume on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_resume_process(integer, text) IS 'Passes workflow.resume_process on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_retry(integer, text, boolean) IS 'Passes workflow.retry on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_revoke_process(integer, text, name, text, text) IS 'Passes workflow.revoke_process on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_send_message(integer, text, text, jsonb, interval, text, bigint, boolean, text, text) IS 'Passes workflow.send_message on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_send_signal(integer, text, jsonb, text) IS 'Passes workflow.send_signal on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_set_data(integer, bigint, jsonb, text, text) IS 'Passes workflow.set_data on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_skip(integer, text, jsonb) IS 'Passes workflow.skip on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_start(integer, text, jsonb, text, integer, text, text) IS 'Passes workflow.start on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_suspend(integer, bigint) IS 'Passes workflow.suspend on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_suspend_process(integer, text) IS 'Passes workflow.suspend_process on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_timeline(integer, bigint) IS 'Passes workflow.timeline on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_unclaim(integer, text) IS 'Passes workflow.unclaim on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_undefine(integer, text, boolean) IS 'Passes workflow.undefine on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_verify(integer) IS 'Passes workflow.verify on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_webhook(integer, text, bytea, jsonb) IS 'Passes workflow.webhook on to a shard. part: its place; the others are those of the function';
COMMENT ON FUNCTION workflow_router.do_webhook_token(integer, text, text) IS 'Passes workflow.webhook_token on to a shard. part: its place; the others are those of the function';
CREATE FUNCTION workflow.adopt() RETURNS bigint LANGUAGE plpgsql AS $router$
BEGIN
    PERFORM workflow_router.refuse('adopt', 'Call it in the shard that is a copy.');
END $router$;
CREATE FUNCTION workflow.advance(by interval DEFAULT '00:00:00'::interval, OUT at timestamp with time zone, OUT serial_number text, OUT step text, OUT event text) RETURNS SETOF record LANGUAGE plpgsql AS $router$
BEGIN
    PERFORM workflow_router.refuse('advance', 'Test processes in a database of their own.');
END $router$;
CREATE FUNCTION workflow.attach(relation regclass, process text, serial_column name DEFAULT NULL::name, serial_step text DEFAULT NULL::text, status_column name DEFAULT NULL::name, instance_column name DEFAULT NULL::name, result_columns jsonb DEFAULT NULL::jsonb, condition text DEFAULT NULL::text, on_update text DEFAULT 'ignore'::text, on_delete text DEFAULT 'ignore'::text, existing boolean DEFAULT false, trust boolean DEFAULT false, replicated boolean DEFAULT false, show_in regclass DEFAULT NULL::regclass) RETURNS integer LANGUAGE plpgsql AS $router$
BEGIN
    PERFORM workflow_router.refuse('attach', 'Attach the table in the shard that it is in.');
END $router$;
CREATE FUNCTION workflow.callback(token text, data jsonb DEFAULT NULL::jsonb) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_token(token);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_callback(r_part, token, data);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.callback_heartbeat(token text, progress jsonb DEFAULT NULL::jsonb) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_token(token);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_callback_heartbeat(r_part, token, progress);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.callback_raw(token text, body bytea, headers jsonb DEFAULT NULL::jsonb) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_token(token);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_callback_raw(r_part, token, body, headers);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.cancel(instance bigint, reason text DEFAULT NULL::text, mode text DEFAULT 'sync'::text, callback_url text DEFAULT NULL::text) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of(instance);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_cancel(r_part, instance, reason, mode, callback_url);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.cancel_visit(serial_number bigint, reason text DEFAULT NULL::text) RETURNS boolean LANGUAGE plpgsql AS $router$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'invalid_text_representation', MESSAGE = 'a serial number is text, in quotes: ''5_31''';
END $router$;
CREATE FUNCTION workflow.cancel_visit(serial_number text, reason text DEFAULT NULL::text) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_serial(serial_number);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_cancel_visit(r_part, serial_number, reason);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.check(definition json, OUT path text, OUT severity text, OUT message text, OUT hint text, OUT step text, OUT line integer) RETURNS SETOF record LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_message text; r_detail text; r_hint text;
BEGIN
    r_part := workflow_router.answering_part();
    RETURN QUERY SELECT * FROM workflow_router.do_check(r_part, definition);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.claim(serial_number text, person text DEFAULT NULL::text, mode text DEFAULT 'sync'::text, callback_url text DEFAULT NULL::text) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_serial(serial_number);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_claim(r_part, serial_number, person, mode, callback_url);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.companion_sql(side text, tables regclass[], role name DEFAULT 'companion'::name, server name DEFAULT 'provider'::name) RETURNS text LANGUAGE plpgsql AS $router$
BEGIN
    PERFORM workflow_router.refuse('companion_sql', 'It is about one database: call it in a shard.');
END $router$;
CREATE FUNCTION workflow.complete(serial_number bigint, data jsonb DEFAULT NULL::jsonb, lock_token uuid DEFAULT NULL::uuid) RETURNS boolean LANGUAGE plpgsql AS $router$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'invalid_text_representation', MESSAGE = 'a serial number is text, in quotes: ''5_31''';
END $router$;
CREATE FUNCTION workflow.complete(serial_number text, data jsonb DEFAULT NULL::jsonb, lock_token uuid DEFAULT NULL::uuid, mode text DEFAULT 'sync'::text, callback_url text DEFAULT NULL::text) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_serial(serial_number);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_complete(r_part, serial_number, data, lock_token, mode, callback_url);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.define(name text, definition json) RETURNS integer LANGUAGE plpgsql AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer; r_shard integer; r_done integer[] := '{}'; r_failed integer[] := '{}';
    r_one integer; r_answer integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    PERFORM workflow_router.require_all();
    FOR r_part, r_shard IN SELECT s.part, s.shard FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            r_one := workflow_router.do_define(r_part, name, definition);
            PERFORM workflow_router.check_version(name, r_shard, r_one, r_answer);
            r_answer := r_one;
            r_done := r_done || r_shard;
        EXCEPTION WHEN OTHERS THEN
            IF r_failed = '{}' THEN
                GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            END IF;
            r_failed := r_failed || r_shard;
            -- what the first one refuses is done nowhere
            EXIT WHEN r_done = '{}';
        END;
    END LOOP;
    IF r_failed <> '{}' THEN
        PERFORM workflow_router.partly('define', r_done, r_failed, r_state, r_message, r_detail, r_hint);
    END IF;
    RETURN r_answer;
END $router$;
CREATE FUNCTION workflow.definition_schema() RETURNS json LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_message text; r_detail text; r_hint text;
BEGIN
    r_part := workflow_router.answering_part();
    RETURN workflow_router.do_definition_schema(r_part);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.detach(relation regclass, process text DEFAULT NULL::text) RETURNS integer LANGUAGE plpgsql AS $router$
BEGIN
    PERFORM workflow_router.refuse('detach', 'Detach the table in the shard that it is in.');
END $router$;
CREATE FUNCTION workflow.diagram(instance bigint) RETURNS text LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of(instance);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_diagram(r_part, instance);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.diagram(process text, version integer DEFAULT NULL::integer, live boolean DEFAULT false) RETURNS text LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_message text; r_detail text; r_hint text;
BEGIN
    IF live THEN
        PERFORM workflow_router.refuse('diagram', 'Tokens are counted in each shard: call it there with live => true.');
    END IF;
    r_part := workflow_router.answering_part();
    RETURN workflow_router.do_diagram(r_part, process, version, live);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.difference(process text, from_version integer DEFAULT NULL::integer, version integer DEFAULT NULL::integer, OUT path text, OUT change text, OUT old jsonb, OUT new jsonb) RETURNS SETOF record LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_message text; r_detail text; r_hint text;
BEGIN
    r_part := workflow_router.answering_part();
    RETURN QUERY SELECT * FROM workflow_router.do_difference(r_part, process, from_version, version);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.erase(instance bigint) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of(instance);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_erase(r_part, instance);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.extend(serial_number bigint, by interval, lock_token uuid DEFAULT NULL::uuid) RETURNS timestamp with time zone LANGUAGE plpgsql AS $router$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'invalid_text_representation', MESSAGE = 'a serial number is text, in quotes: ''5_31''';
END $router$;
CREATE FUNCTION workflow.extend(serial_number text, by interval, lock_token uuid DEFAULT NULL::uuid) RETURNS timestamp with time zone LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_serial(serial_number);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_extend(r_part, serial_number, by, lock_token);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.fail(serial_number bigint, code text DEFAULT 'FAILED'::text, message text DEFAULT NULL::text, data jsonb DEFAULT NULL::jsonb, retry boolean DEFAULT true, lock_token uuid DEFAULT NULL::uuid) RETURNS boolean LANGUAGE plpgsql AS $router$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'invalid_text_representation', MESSAGE = 'a serial number is text, in quotes: ''5_31''';
END $router$;
CREATE FUNCTION workflow.fail(serial_number text, code text DEFAULT 'FAILED'::text, message text DEFAULT NULL::text, data jsonb DEFAULT NULL::jsonb, retry boolean DEFAULT true, lock_token uuid DEFAULT NULL::uuid, mode text DEFAULT 'sync'::text, callback_url text DEFAULT NULL::text) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_serial(serial_number);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_fail(r_part, serial_number, code, message, data, retry, lock_token, mode, callback_url);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.grant_process(process text, role name, privilege text, step text DEFAULT NULL::text) RETURNS boolean LANGUAGE plpgsql AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer; r_shard integer; r_done integer[] := '{}'; r_failed integer[] := '{}';
    r_one boolean; r_answer boolean;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    PERFORM workflow_router.require_all();
    FOR r_part, r_shard IN SELECT s.part, s.shard FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            r_one := workflow_router.do_grant_process(r_part, process, role, privilege, step);
            r_answer := r_one OR coalesce(r_answer, false);
            r_done := r_done || r_shard;
        EXCEPTION WHEN OTHERS THEN
            IF r_failed = '{}' THEN
                GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            END IF;
            r_failed := r_failed || r_shard;
            -- what the first one refuses is done nowhere
            EXIT WHEN r_done = '{}';
        END;
    END LOOP;
    IF r_failed <> '{}' THEN
        PERFORM workflow_router.partly('grant_process', r_done, r_failed, r_state, r_message, r_detail, r_hint);
    END IF;
    RETURN r_answer;
END $router$;
CREATE FUNCTION workflow.heartbeat(serial_number bigint, progress jsonb DEFAULT NULL::jsonb, lock_token uuid DEFAULT NULL::uuid) RETURNS boolean LANGUAGE plpgsql AS $router$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'invalid_text_representation', MESSAGE = 'a serial number is text, in quotes: ''5_31''';
END $router$;
CREATE FUNCTION workflow.heartbeat(serial_number text, progress jsonb DEFAULT NULL::jsonb, lock_token uuid DEFAULT NULL::uuid) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_serial(serial_number);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_heartbeat(r_part, serial_number, progress, lock_token);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.instance_of_token(token text, OUT instance bigint, OUT status text) RETURNS record LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_token(token);
    r_message text; r_detail text; r_hint text;
BEGIN
    SELECT * FROM workflow_router.do_instance_of_token(r_part, token) INTO instance, status;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.instance_token(instance bigint) RETURNS text LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of(instance);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_instance_token(r_part, instance);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.keep(modulus integer, remainder integer, shard integer DEFAULT NULL::integer) RETURNS bigint LANGUAGE plpgsql AS $router$
BEGIN
    PERFORM workflow_router.refuse('keep', 'Call it in each part of the shard that is split.');
END $router$;
CREATE FUNCTION workflow.last_operation() RETURNS bigint LANGUAGE plpgsql AS $router$
BEGIN
    PERFORM workflow_router.refuse('last_operation', 'The view workflow.operations shows calls that were made asynchronously.');
END $router$;
CREATE FUNCTION workflow.migrate(INOUT instance bigint, version integer, mapping jsonb DEFAULT NULL::jsonb, OUT obstacle text) RETURNS SETOF record LANGUAGE plpgsql AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of(instance);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN QUERY SELECT * FROM workflow_router.do_migrate(r_part, instance, version, mapping);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.migrate(process text, from_version integer, version integer, mapping jsonb DEFAULT NULL::jsonb, OUT instance bigint, OUT obstacle text) RETURNS SETOF record LANGUAGE plpgsql AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer; r_shard integer; r_done integer[] := '{}'; r_failed integer[] := '{}';
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    PERFORM workflow_router.require_all();
    FOR r_part, r_shard IN SELECT s.part, s.shard FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.do_migrate(r_part, process, from_version, version, mapping);
            r_done := r_done || r_shard;
        EXCEPTION WHEN OTHERS THEN
            IF r_failed = '{}' THEN
                GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            END IF;
            r_failed := r_failed || r_shard;
            -- what the first one refuses is done nowhere
            EXIT WHEN r_done = '{}';
        END;
    END LOOP;
    IF r_failed <> '{}' THEN
        PERFORM workflow_router.partly('migrate', r_done, r_failed, r_state, r_message, r_detail, r_hint);
    END IF;
END $router$;
CREATE FUNCTION workflow.mock(server text, method text DEFAULT NULL::text, path text DEFAULT '*'::text, reply jsonb DEFAULT '{"status": 200}'::jsonb, times integer DEFAULT NULL::integer) RETURNS void LANGUAGE plpgsql AS $router$
BEGIN
    PERFORM workflow_router.refuse('mock', 'Test processes in a database of their own.');
END $router$;
CREATE FUNCTION workflow.mocked_requests(OUT at timestamp with time zone, OUT serial_number text, OUT instance bigint, OUT step text, OUT server text, OUT method text, OUT path text, OUT headers jsonb, OUT body jsonb) RETURNS SETOF record LANGUAGE plpgsql AS $router$
BEGIN
    PERFORM workflow_router.refuse('mocked_requests', 'Test processes in a database of their own.');
END $router$;
CREATE FUNCTION workflow.move(serial_number bigint, step text) RETURNS text LANGUAGE plpgsql AS $router$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'invalid_text_representation', MESSAGE = 'a serial number is text, in quotes: ''5_31''';
END $router$;
CREATE FUNCTION workflow.move(serial_number text, step text) RETURNS text LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_serial(serial_number);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_move(r_part, serial_number, step);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.now() RETURNS timestamp with time zone LANGUAGE plpgsql AS $router$
BEGIN
    PERFORM workflow_router.refuse('now', 'Test processes in a database of their own.');
END $router$;
CREATE FUNCTION workflow.reassign(serial_number text, role name, person text DEFAULT NULL::text) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_serial(serial_number);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_reassign(r_part, serial_number, role, person);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.release(serial_number bigint, lock_token uuid DEFAULT NULL::uuid) RETURNS boolean LANGUAGE plpgsql AS $router$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'invalid_text_representation', MESSAGE = 'a serial number is text, in quotes: ''5_31''';
END $router$;
CREATE FUNCTION workflow.release(serial_number text, lock_token uuid DEFAULT NULL::uuid) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_serial(serial_number);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_release(r_part, serial_number, lock_token);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.request(serial_number bigint) RETURNS jsonb LANGUAGE plpgsql AS $router$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'invalid_text_representation', MESSAGE = 'a serial number is text, in quotes: ''5_31''';
END $router$;
CREATE FUNCTION workflow.request(serial_number text) RETURNS jsonb LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_serial(serial_number);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_request(r_part, serial_number);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.rerun(instance bigint, step text DEFAULT NULL::text, data jsonb DEFAULT NULL::jsonb, version integer DEFAULT NULL::integer) RETURNS bigint LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of(instance);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_rerun(r_part, instance, step, data, version);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.resend(operation bigint) RETURNS void LANGUAGE plpgsql AS $router$
BEGIN
    PERFORM workflow_router.refuse('resend', 'Numbers of operations are those of each shard: call it there.');
END $router$;
CREATE FUNCTION workflow.resume(instance bigint) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of(instance);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_resume(r_part, instance);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.resume_process(process text) RETURNS bigint LANGUAGE plpgsql AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer; r_shard integer; r_done integer[] := '{}'; r_failed integer[] := '{}';
    r_one bigint; r_answer bigint;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    PERFORM workflow_router.require_all();
    FOR r_part, r_shard IN SELECT s.part, s.shard FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            r_one := workflow_router.do_resume_process(r_part, process);
            r_answer := r_one + coalesce(r_answer, 0);
            r_done := r_done || r_shard;
        EXCEPTION WHEN OTHERS THEN
            IF r_failed = '{}' THEN
                GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            END IF;
            r_failed := r_failed || r_shard;
            -- what the first one refuses is done nowhere
            EXIT WHEN r_done = '{}';
        END;
    END LOOP;
    IF r_failed <> '{}' THEN
        PERFORM workflow_router.partly('resume_process', r_done, r_failed, r_state, r_message, r_detail, r_hint);
    END IF;
    RETURN r_answer;
END $router$;
CREATE FUNCTION workflow.retry(serial_number bigint, new_key boolean DEFAULT false) RETURNS boolean LANGUAGE plpgsql AS $router$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'invalid_text_representation', MESSAGE = 'a serial number is text, in quotes: ''5_31''';
END $router$;
CREATE FUNCTION workflow.retry(serial_number text, new_key boolean DEFAULT false) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_serial(serial_number);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_retry(r_part, serial_number, new_key);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.retry_rows(relation regclass) RETURNS bigint LANGUAGE plpgsql AS $router$
BEGIN
    PERFORM workflow_router.refuse('retry_rows', 'Call it in the shard in which the table is.');
END $router$;
CREATE FUNCTION workflow.revoke_process(process text, role name, privilege text, step text DEFAULT NULL::text) RETURNS boolean LANGUAGE plpgsql AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer; r_shard integer; r_done integer[] := '{}'; r_failed integer[] := '{}';
    r_one boolean; r_answer boolean;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    PERFORM workflow_router.require_all();
    FOR r_part, r_shard IN SELECT s.part, s.shard FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            r_one := workflow_router.do_revoke_process(r_part, process, role, privilege, step);
            r_answer := r_one OR coalesce(r_answer, false);
            r_done := r_done || r_shard;
        EXCEPTION WHEN OTHERS THEN
            IF r_failed = '{}' THEN
                GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            END IF;
            r_failed := r_failed || r_shard;
            -- what the first one refuses is done nowhere
            EXIT WHEN r_done = '{}';
        END;
    END LOOP;
    IF r_failed <> '{}' THEN
        PERFORM workflow_router.partly('revoke_process', r_done, r_failed, r_state, r_message, r_detail, r_hint);
    END IF;
    RETURN r_answer;
END $router$;
CREATE FUNCTION workflow.send_signal(name text, data jsonb DEFAULT NULL::jsonb, mode text DEFAULT 'sync'::text) RETURNS void LANGUAGE plpgsql AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer; r_shard integer; r_done integer[] := '{}'; r_failed integer[] := '{}';
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    PERFORM workflow_router.require_all();
    FOR r_part, r_shard IN SELECT s.part, s.shard FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            PERFORM workflow_router.do_send_signal(r_part, name, data, mode);
            r_done := r_done || r_shard;
        EXCEPTION WHEN OTHERS THEN
            IF r_failed = '{}' THEN
                GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            END IF;
            r_failed := r_failed || r_shard;
            -- what the first one refuses is done nowhere
            EXIT WHEN r_done = '{}';
        END;
    END LOOP;
    IF r_failed <> '{}' THEN
        PERFORM workflow_router.partly('send_signal', r_done, r_failed, r_state, r_message, r_detail, r_hint);
    END IF;
END $router$;
CREATE FUNCTION workflow.set_data(instance bigint, data jsonb, mode text DEFAULT 'sync'::text, callback_url text DEFAULT NULL::text) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of(instance);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_set_data(r_part, instance, data, mode, callback_url);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.set_shard(shard integer, above bigint DEFAULT 0) RETURNS bigint LANGUAGE plpgsql AS $router$
BEGIN
    PERFORM workflow_router.refuse('set_shard', 'Call it in the database that becomes a shard.');
END $router$;
CREATE FUNCTION workflow.skip(serial_number bigint, data jsonb DEFAULT NULL::jsonb) RETURNS boolean LANGUAGE plpgsql AS $router$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'invalid_text_representation', MESSAGE = 'a serial number is text, in quotes: ''5_31''';
END $router$;
CREATE FUNCTION workflow.skip(serial_number text, data jsonb DEFAULT NULL::jsonb) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_serial(serial_number);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_skip(r_part, serial_number, data);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.suspend(instance bigint) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of(instance);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_suspend(r_part, instance);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.suspend_process(process text) RETURNS bigint LANGUAGE plpgsql AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer; r_shard integer; r_done integer[] := '{}'; r_failed integer[] := '{}';
    r_one bigint; r_answer bigint;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    PERFORM workflow_router.require_all();
    FOR r_part, r_shard IN SELECT s.part, s.shard FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            r_one := workflow_router.do_suspend_process(r_part, process);
            r_answer := r_one + coalesce(r_answer, 0);
            r_done := r_done || r_shard;
        EXCEPTION WHEN OTHERS THEN
            IF r_failed = '{}' THEN
                GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            END IF;
            r_failed := r_failed || r_shard;
            -- what the first one refuses is done nowhere
            EXIT WHEN r_done = '{}';
        END;
    END LOOP;
    IF r_failed <> '{}' THEN
        PERFORM workflow_router.partly('suspend_process', r_done, r_failed, r_state, r_message, r_detail, r_hint);
    END IF;
    RETURN r_answer;
END $router$;
CREATE FUNCTION workflow.timeline(instance bigint) RETURNS SETOF text LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of(instance);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN QUERY SELECT * FROM workflow_router.do_timeline(r_part, instance);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.unclaim(serial_number text) RETURNS boolean LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer := workflow_router.part_of_serial(serial_number);
    r_message text; r_detail text; r_hint text;
BEGIN
    RETURN workflow_router.do_unclaim(r_part, serial_number);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(r_part, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
CREATE FUNCTION workflow.undefine(name text, force boolean DEFAULT false) RETURNS boolean LANGUAGE plpgsql AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer; r_shard integer; r_done integer[] := '{}'; r_failed integer[] := '{}';
    r_one boolean; r_answer boolean;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    PERFORM workflow_router.require_all();
    FOR r_part, r_shard IN SELECT s.part, s.shard FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            r_one := workflow_router.do_undefine(r_part, name, force);
            r_answer := r_one OR coalesce(r_answer, false);
            r_done := r_done || r_shard;
        EXCEPTION WHEN OTHERS THEN
            IF r_failed = '{}' THEN
                GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            END IF;
            r_failed := r_failed || r_shard;
            -- what the first one refuses is done nowhere
            EXIT WHEN r_done = '{}';
        END;
    END LOOP;
    IF r_failed <> '{}' THEN
        PERFORM workflow_router.partly('undefine', r_done, r_failed, r_state, r_message, r_detail, r_hint);
    END IF;
    RETURN r_answer;
END $router$;
CREATE FUNCTION workflow.verify(OUT instance bigint, OUT serial_number text, OUT problem text) RETURNS SETOF record LANGUAGE plpgsql AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer; r_shard integer; r_done integer[] := '{}'; r_failed integer[] := '{}';
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    PERFORM workflow_router.require_all();
    FOR r_part, r_shard IN SELECT s.part, s.shard FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.do_verify(r_part);
            r_done := r_done || r_shard;
        EXCEPTION WHEN OTHERS THEN
            IF r_failed = '{}' THEN
                GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            END IF;
            r_failed := r_failed || r_shard;
            -- what the first one refuses is done nowhere
            EXIT WHEN r_done = '{}';
        END;
    END LOOP;
    IF r_failed <> '{}' THEN
        PERFORM workflow_router.partly('verify', r_done, r_failed, r_state, r_message, r_detail, r_hint);
    END IF;
END $router$;
CREATE PROCEDURE workflow.wait_for(IN instance bigint, IN timeout interval DEFAULT NULL::interval, INOUT status text DEFAULT NULL::text, IN step text DEFAULT NULL::text) LANGUAGE plpgsql AS $router$
BEGIN
    PERFORM workflow_router.refuse('wait_for', 'Call it in the shard of the instance, or look at the view workflow.instances.');
END $router$;
CREATE FUNCTION workflow.withdraw_message(message bigint) RETURNS boolean LANGUAGE plpgsql AS $router$
BEGIN
    PERFORM workflow_router.refuse('withdraw_message', 'Numbers of messages are those of each shard: call it there.');
END $router$;
CREATE FUNCTION workflow.write_back(relation regclass) RETURNS bigint LANGUAGE plpgsql AS $router$
BEGIN
    PERFORM workflow_router.refuse('write_back', 'Call it in the shard in which the table is.');
END $router$;
COMMENT ON FUNCTION workflow.adopt() IS 'Not for a router: 0A000. Call it in the shard that is a copy.';
COMMENT ON FUNCTION workflow.advance(interval) IS 'Not for a router: 0A000. Test processes in a database of their own.';
COMMENT ON FUNCTION workflow.attach(regclass, text, name, text, name, name, jsonb, text, text, text, boolean, boolean, boolean, regclass) IS 'Not for a router: 0A000. Attach the table in the shard that it is in.';
COMMENT ON FUNCTION workflow.callback(text, jsonb) IS 'Ends a visit as workflow.complete does, for whoever has its token: no other right is needed, and nothing else can be
  done with it.
token: what $callback_url ends with, a secret. data: the response: any JSON. Returns false if the visit had ended.
Errors: 22P02 what is no token; 28000 a wrong one, or its step wants a signature (workflow.callback_raw); 55000 the
  visit takes no callback.';
COMMENT ON FUNCTION workflow.callback_heartbeat(text, jsonb) IS 'Says what workflow.heartbeat does, for whoever has the token. Returns false if the work is no longer wanted: stop.
token: what $heartbeat_url ends with, a secret. progress: any JSON of at most 64 kB.
Errors: 22P02 what is no token; 28000 a wrong one; 22023 progress is too large.';
COMMENT ON FUNCTION workflow.callback_raw(text, bytea, jsonb) IS 'Does what workflow.callback does with the request as it came, so that the signature that its step may ask for can be
  verified over these very bytes.
token: what $callback_url ends with, a secret. body: JSON in UTF-8; an empty one is no data. headers: an object of the
  request''s headers, whose names may be in any case.
Errors: those of workflow.callback; 28000 a wrong or missing signature; 55000 there is no secret to verify it with;
  class 22 the body is no JSON in UTF-8; 54000 it has more than 32 MB.';
COMMENT ON FUNCTION workflow.cancel(bigint, text, text, text) IS 'Ends an instance: its visits end CANCELLED, after their services were asked to stop where a step says how, and then it
  is aborted. Returns false if it had ended.
instance: its number. reason: for people, the message of its error.
mode: ''sync'', or ''async'': the call is checked and returns NULL, and an executor carries it out after the commit (see
  the view workflow.operations).
callback_url: with mode ''async'', the URL to which its data and status are posted once it rests, that is, goes on no
  further by itself.
Errors: 42704 no such instance; 42501 needs start or admin; of mode and callback_url: 22023 another mode, no URL, or a
  URL without ''async''; 42704 no server that the caller was given covers the URL; 42501 needs view as well.';
COMMENT ON FUNCTION workflow.cancel_visit(bigint, text) IS 'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';
COMMENT ON FUNCTION workflow.cancel_visit(text, text) IS 'Ends one visit, also an incident, with the outcome CANCELLED: its service is asked to stop, if the step says how, and
  a "catch" of CANCELLED goes on. An instance that has no other token is then aborted. Returns false if it has ended,
  or its end is known already.
serial_number: of the visit, such as ''5_31'', in quotes.
reason: for people, the message of its error.
Errors: 22P02 what is no serial number; 42704 no such visit; 42501 needs admin.';
COMMENT ON FUNCTION workflow.check(json) IS 'Tells what workflow.define would say of a definition, and stores nothing. No row: nothing is wrong.
definition: a JSON document.
Gives a row for each fault, at most 100 of either severity: path, a jsonpath to the place; severity, ''error'' for what
  is refused and ''warning'' for what is told in a NOTICE; message; hint; step, the name of the step that it is in;
  line, of the text, on which the value begins.';
COMMENT ON FUNCTION workflow.claim(text, text, text, text) IS 'Takes the task of a visit for the caller, so that nobody else does it. Returns true if he has it, perhaps since
  before; false if somebody else has it, or it is over.
serial_number: of the visit, such as ''5_31'', in quotes.
person: a name within the role of the caller, 1 to 200 bytes, for applications whose users share a role; NULL: none.
mode: ''sync'', or ''async'': the call is checked and returns NULL, and an executor carries it out after the commit (see
  the view workflow.operations).
callback_url: with mode ''async'', the URL to which the instance''s data and status are posted once it rests, that is,
  goes on no further by itself.
Errors: 22P02 what is no serial number; 42704 no such visit; 55000 it has no task; 22023 person out of range; 42501
  for members of the role that has the task, else of its roles; of mode and callback_url: 22023 another mode, no URL,
  or a URL without ''async''; 42704 no server that the caller was given covers the URL; 42501 needs view as well.';
COMMENT ON FUNCTION workflow.companion_sql(text, regclass[], name, name) IS 'Not for a router: 0A000. It is about one database: call it in a shard.';
COMMENT ON FUNCTION workflow.complete(bigint, jsonb, uuid) IS 'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';
COMMENT ON FUNCTION workflow.complete(text, jsonb, uuid, text, text) IS 'Ends a visit that waits for a callback, a task or work: what was asked for is done. Returns true if this call is its
  end; false if it had ended before, and what came is in the view workflow.late_callbacks.
serial_number: of the visit, such as ''5_31'', in quotes.
data: its response: any JSON, which the step has as $result.response.
lock_token: of workflow.fetch, if the work was fetched from a topic; else NULL.
mode: ''sync'', or ''async'': the call is checked and returns NULL, and an executor carries it out after the commit (see
  the view workflow.operations).
callback_url: with mode ''async'', the URL to which the instance''s data and status are posted once it rests, that is,
  goes on no further by itself.
Errors: 22P02 what is no serial number; 42704 no such visit; 55000 it waits for nothing of that kind, or a worker has
  its work and the lock_token is not given; 54000 data of more than 32 MB; 40001 a conflict in a SERIALIZABLE or
  REPEATABLE READ transaction; 42501 needs complete, or to have its task; of mode and callback_url: 22023 another
  mode, no URL, or a URL without ''async''; 42704 no server that the caller was given covers the URL; 42501 needs view
  as well.';
COMMENT ON FUNCTION workflow.complete_many(json) IS 'Carries out many workflow.complete and workflow.fail in one call, with a row of what has become of each, in their
  order.
callbacks: an array of {"serial_number": "5_31", "data": ..., "lock_token": ...}; those with "fail": {"code",
  "message", "retry"} beside have failed. NULL: no rows.
Gives serial_number; accepted; error_code and error, the SQLSTATE and message of what is wrong with this one, which
  keeps no other from being carried out. One that came too late is not accepted and says so in error, without a code.
Two such calls never deadlock. Data of an entry have at most 4 MB and 64 levels, and no key twice.
Errors: 22023 what is no array.';
COMMENT ON FUNCTION workflow.define(text, json) IS 'Stores a definition as a version of a process, and returns the number of the version.
name: of the process. Who defines it first owns it; its steps run with the rights of the owner.
definition: a JSON document. The same one again is the same version; a stored version never changes.
What may be stored and is hardly meant is told in a NOTICE. workflow.check tells all of it and stores nothing.
Errors: 22023 the definition has faults, all told at once with their places; 0A000 it has nothing but what is not
  supported yet; 42501 the process is somebody else''s; 42939 the name is reserved.';
COMMENT ON FUNCTION workflow.definition_schema() IS 'Returns the JSON Schema (2020-12) of definitions, for editors: their keys, the types of the values, and which keys
exclude each other. workflow.check knows more: steps that are named, templates, what fits together.';
COMMENT ON FUNCTION workflow.detach(regclass, text) IS 'Not for a router: 0A000. Detach the table in the shard that it is in.';
COMMENT ON FUNCTION workflow.diagram(bigint) IS 'Draws the process of an instance as a flowchart in the language of Mermaid, with what the instance has passed and
  where it stands: steps have a class such as passed, ended (badly), waiting, calling, retrying or incident.
instance: its number.
Errors: 42704 no such instance; 42501 needs view.';
COMMENT ON FUNCTION workflow.diagram(text, integer, boolean) IS 'Draws a process as a flowchart: text in the language of Mermaid, with steps by what they do, routes with their
  conditions, handlers as dashed lines, and boxes around sub-processes and lists of items.
process: its name. version: the latest unless given.
live: true: with how many tokens stand at each step, and what they do: of all living instances, or of those that
  follow the version, if that is given.
Errors: 42704 no such process or version; 42501 needs view.';
COMMENT ON FUNCTION workflow.difference(text, integer, integer) IS 'Tells what two versions of a process do not have in common, a row for each value.
process: its name. version: the latest unless given. from_version: the one before that unless given.
Gives path, a jsonpath in which steps stand by their names; change: added, removed, changed, or moved (a list of steps
  in another order); old and new.
Errors: 42704 no such process or version; 42501 needs view.';
COMMENT ON FUNCTION workflow.erase(bigint) IS 'Deletes an ended instance before its time: its visits, attempts and data, what came late, what is in the view
  workflow.audit of it but for this call, and what is owed to its row. Returns true.
instance: its number.
Errors: 42704 no such instance; 55000 it lives; 55006 a write-back of it is being tried, or its data are being posted
  to a callback_url; 42501 needs admin.';
COMMENT ON FUNCTION workflow.extend(bigint, interval, uuid) IS 'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';
COMMENT ON FUNCTION workflow.extend(text, interval, uuid) IS 'Moves the deadline that the "timeout" of its step has set for a visit, and returns the new one. NULL: it is too late,
  the visit has ended, or is about to.
serial_number: of the visit, such as ''5_31'', in quotes.
by: an interval, how much later; a negative one: sooner.
lock_token: of workflow.fetch: then it is the lock that lasts for that long from now on, never less than it did, at
  most a year; NULL also: somebody else has the work.
Errors: 22P02 what is no serial number; 42704 no such visit; 55000 it has no deadline, or a worker has its work and
  the lock_token is not given; 22008 or 22023 out of range; 42501 needs complete.';
COMMENT ON FUNCTION workflow.fail(bigint, text, text, jsonb, boolean, uuid) IS 'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';
COMMENT ON FUNCTION workflow.fail(text, text, text, jsonb, boolean, uuid, text, text) IS 'Ends a visit that waits with the outcome FAILED: what was asked for could not be done. Returns true and false as
  workflow.complete does.
serial_number: of the visit, such as ''5_31'', in quotes.
code: what a "catch" of the process may name, ''FAILED'' unless given. message: for people. data: its response: any
  JSON.
retry: of work of a topic: true: the "retry" of its step decides whether it is offered again after a pause; false:
  another try is in vain.
lock_token: of workflow.fetch, if the work was fetched from a topic; else NULL.
mode: ''sync'', or ''async'': the call is checked and returns NULL, and an executor carries it out after the commit (see
  the view workflow.operations).
callback_url: with mode ''async'', the URL to which the instance''s data and status are posted once it rests, that is,
  goes on no further by itself.
Errors: those of workflow.complete; 22023 an empty code.';
COMMENT ON FUNCTION workflow.fetch(text, integer, interval, text) IS 'Takes work of a topic, roughly what has waited longest first: nobody else gets it until its lock has run out or the
  transaction is rolled back. No row: there is none now that the caller may complete; the channel workflow_topic tells
  when there is.
topic: its name. n: how many pieces at most, 1 to 10,000. lock: an interval of at most a year, for how long. worker:
  how the caller calls himself, at most 200 characters; else his role.
Gives serial_number; data, what the step says; item and index, if the step is done for the items of a list;
  lock_token, with which workflow.complete or workflow.fail end the work, and workflow.release gives it back.
Errors: 22023 n, lock or worker out of range; 55000 the database is a copy that was not adopted.';
COMMENT ON FUNCTION workflow.grant_process(text, name, text, text) IS 'Gives a role a privilege on a process. Returns false if it has that already.
process: its name. role: whom; ''public'' is everyone.
privilege: ''start'' (start instances, change their data, cancel them), ''complete'' (finish what waits), ''view'' (see
  instances), or ''admin'' (all of these, and the calls of operators).
step: with ''complete'' alone: for that step of the latest version and no other. NULL: for the whole process.
Errors: 42704 no such process, role or step; 22023 no such privilege, or a step that it cannot be given for; 42501
  needs admin.';
COMMENT ON FUNCTION workflow.heartbeat(bigint, jsonb, uuid) IS 'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';
COMMENT ON FUNCTION workflow.heartbeat(text, jsonb, uuid) IS 'Says that the outside is still at work on a visit: the silence that the "heartbeat" of its step allows begins anew.
  Returns false if the work is no longer wanted, or somebody else has it: stop.
serial_number: of the visit, such as ''5_31'', in quotes.
progress: any JSON of at most 64 kB, shown in the view workflow.waiting.
lock_token: of workflow.fetch, if the work was fetched from a topic; else NULL.
Errors: 22P02 what is no serial number; 42704 no such visit; 22023 progress is too large; 55000 it is a sub-process,
  stands at a join, or a worker has its work and the lock_token is not given; 42501 needs complete.';
COMMENT ON FUNCTION workflow.instance_of_key(text, anycompatible) IS 'Returns the number of the living instance of a process that has a business key. NULL: none has.
process: its name. business_key: as of workflow.start, of any type.
Errors: 42704 no such process; 22004 an argument is NULL; 42501 needs start or view.';
COMMENT ON FUNCTION workflow.instance_of_token(text) IS 'Tells whoever has the token of an instance which one that is, and its status.
token: of workflow.instance_token, a secret.
Gives instance, and status as in the view workflow.instances; pending: it is still to be started; NULL: that has
  failed, or it is no longer kept.
Errors: 22P02 what is no token; 28000 a wrong one.';
COMMENT ON FUNCTION workflow.instance_token(bigint) IS 'Shows the token of an instance, also of one that a call with mode => ''async'' is still to start: a secret by which a
  front end whose users share a role knows again who has started it (see workflow_api.sql). No other function takes it
  than workflow.instance_of_token.
instance: its number.
Errors: 42704 no such instance; 42501 needs start or admin.';
COMMENT ON FUNCTION workflow.keep(integer, integer, integer) IS 'Not for a router: 0A000. Call it in each part of the shard that is split.';
COMMENT ON FUNCTION workflow.last_operation() IS 'Not for a router: 0A000. The view workflow.operations shows calls that were made asynchronously.';
COMMENT ON FUNCTION workflow.migrate(bigint, integer, jsonb) IS 'Takes a living instance to another version of its process, newer or older: each of its visits goes on at the step of
  the same name. No row: it was done, or it has that version.
instance: its number. version: to which one.
mapping: {"old step": "new step", ...} for steps that have another name there.
Gives a row for each obstacle; then the instance stays as it is.
Errors: 42704 no such instance or version; 22023 mapping is no object of names, or names steps that are not there;
  42501 needs admin.';
COMMENT ON FUNCTION workflow.migrate(text, integer, integer, jsonb) IS 'Takes all living instances of a process that have a version to another one, in this transaction; those with an
  obstacle stay as they are, and a NOTICE says how many were taken.
process: its name. from_version: which instances. version: to which one.
mapping: {"old step": "new step", ...} for steps that have another name there.
Gives a row for each obstacle: instance and obstacle.
Errors: 42704 no such process or version; 22023 mapping is no object of names, or names steps that are not there;
  42501 needs admin.';
COMMENT ON FUNCTION workflow.mock(text, text, text, jsonb, integer) IS 'Not for a router: 0A000. Test processes in a database of their own.';
COMMENT ON FUNCTION workflow.mocked_requests() IS 'Not for a router: 0A000. Test processes in a database of their own.';
COMMENT ON FUNCTION workflow.move(bigint, text) IS 'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';
COMMENT ON FUNCTION workflow.move(text, text) IS 'Takes the token of a visit, also of an incident, to another step. The visit ends CANCELLED, without its "catch", and
  its service is asked to stop, if the step says how; a sub-process ends with all that is in it.
serial_number: of the visit, such as ''5_31'', in quotes.
step: a step of the same list of steps.
Returns the serial number of the visit there: where tokens meet, of the one that stands there already. NULL: it has
  ended, or comes too late for a join.
Errors: 22P02 what is no serial number; 42704 no such visit or step; 22023 the step is in another list; 55000 it is
  about to end, or suspended; 42501 needs admin.';
COMMENT ON FUNCTION workflow.now() IS 'Not for a router: 0A000. Test processes in a database of their own.';
COMMENT ON FUNCTION workflow.reassign(text, name, text) IS 'Gives the task of a visit to a role, whose members may then claim and do it. Returns false if it is over.
serial_number: of the visit, such as ''5_31'', in quotes.
role: to whom. person: a name within that role, 1 to 200 bytes; NULL: none.
Errors: 22P02 what is no serial number; 42704 no such visit or role; 55000 it has no task; 22023 person out of range;
  42501 for whoever has the task, and needs admin else.';
COMMENT ON FUNCTION workflow.release(bigint, uuid) IS 'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';
COMMENT ON FUNCTION workflow.release(text, uuid) IS 'Gives fetched work back, so that others can fetch it at once. Returns false if somebody else has it by now, nobody has
  it, or the visit has ended.
serial_number: of the visit, such as ''5_31'', in quotes.
lock_token: of workflow.fetch. NULL: whoever has it, for who may administer the process.
Errors: 22P02 what is no serial number; 42704 no such visit; 42501 needs complete, without a lock_token admin.';
COMMENT ON FUNCTION workflow.request(bigint) IS 'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';
COMMENT ON FUNCTION workflow.request(text) IS 'Shows the HTTP request of a visit as {method, url, headers, body}, without credentials and cookies: as it will be
  sent, or was; of an incident as workflow.retry would send it; of one that is being cancelled the one that asks the
  service to stop.
serial_number: of the visit, such as ''5_31'', in quotes.
Errors: 22P02 what is no serial number; 42704 no such visit, or its server was dropped; 55000 it has ended, or its
  step has no "http"; 22000 it cannot be made, with the reason; 42501 needs admin.';
COMMENT ON FUNCTION workflow.rerun(bigint, text, jsonb, integer) IS 'Begins an ended instance once more, as a new one with its business key, attached row and data, and returns the number
  of that. NULL: an instance with its key lives.
instance: the number of the ended one. step: where it begins, else at the first one; not one inside of another.
data: a JSON object put over the data that it had at its end. version: the latest unless given.
Errors: 42704 no such instance, step or version; 55000 it has not ended, or its process is undefined; 22023 a step at
  which none can begin, or data are no object; 42501 needs admin.';
COMMENT ON FUNCTION workflow.resend(bigint) IS 'Not for a router: 0A000. Numbers of operations are those of each shard: call it there.';
COMMENT ON FUNCTION workflow.resume(bigint) IS 'Lets a suspended instance go on: what has arrived is handled, clocks that fell due strike at once, a silence is
  counted from now on. Returns false if it is not suspended.
instance: its number.
Errors: 42704 no such instance; 42501 needs admin.';
COMMENT ON FUNCTION workflow.resume_process(text) IS 'Lets all suspended instances of a process go on, also those that were suspended one by one, and new ones start as
  usual. Returns how many there were.
process: its name.
Errors: 42704 no such process; 42501 needs admin.';
COMMENT ON FUNCTION workflow.retry(bigint, boolean) IS 'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';
COMMENT ON FUNCTION workflow.retry(text, boolean) IS 'Begins the step of an incident again, from its action and with all its attempts. Returns false if the visit has ended.
serial_number: of the visit, such as ''5_31'', in quotes.
new_key: false: under the same Idempotency-Key, so that a service which has done its work does not do it twice; true:
  as a new request.
Errors: 22P02 what is no serial number; 42704 no such visit; 55000 it is no incident, or its instance is suspended;
  42501 needs admin.';
COMMENT ON FUNCTION workflow.retry_rows(regclass) IS 'Not for a router: 0A000. Call it in the shard in which the table is.';
COMMENT ON FUNCTION workflow.revoke_process(text, name, text, text) IS 'Takes back what workflow.grant_process gave. Returns false if there was nothing to take.
process: its name. role: from whom; ''public'' is everyone. privilege: ''start'', ''complete'', ''view'' or ''admin''.
step: ''complete'' on that step alone. NULL: on the whole process, and with it those on single steps.
Errors: 42704 no such process or role; 22023 no such privilege, or a step with another one than ''complete''; 42501
  needs admin.';
COMMENT ON FUNCTION workflow.send_message(text, anycompatible, jsonb, interval, text, bigint, boolean, text, text) IS 'Sends a message to the one visit that waits for its name and key; if none does, starts an instance of the process that
  starts on it.
Returns what has become of it: delivered (it has gone on, or has started, in this transaction), queued (it is busy,
  workers bring the message), kept (nobody waits: the first who does within ttl gets it), missed (nobody waits, and it
  is gone), or duplicate (it was sent before).
name: of the message. key: which of those that wait, of any type, kept as the text that it has in JSON; NULL: one that
  waits without a key.
data: any JSON: what the receiver has as $event.data. ttl: for how long it is kept while nobody waits, at most a year;
  0: not at all.
message_id: what the caller calls it: the same one under the same name does nothing for 24 hours, or for ttl if that
  is longer.
instance: the only one that may get it, whose key may be left out. to_all: true: it goes to all that wait, and starts
  all that start on it.
mode: ''sync'', or ''async'': the call is checked and returns NULL, and an executor carries it out after the commit (see
  the view workflow.operations).
callback_url: with mode ''async'', the URL to which the instance''s, which has to be named, data and status are posted
  once it rests, that is, goes on no further by itself.
Reaches those visits alone which the caller may complete, and starts those processes alone which he may start.
Errors: 21000 several wait for it, or start on it; 23505 it would start an instance whose business key a living one
  has; 22023 name, key, ttl, message_id or instance out of range, or data with which no instance can start; 54000 data
  are larger than workflow.max_data; 42501 a ttl without complete or start on a process that names the message, or,
  with ''async'', neither of them on any process; of mode and callback_url: 22023 another mode, no URL, or a URL without
  ''async''; 42704 no server that the caller was given covers the URL; 42501 needs view as well.';
COMMENT ON FUNCTION workflow.send_signal(text, jsonb, text) IS 'Sends a signal to all visits that wait for its name when a worker takes it up, a moment after the commit; each gets it
  once. Nothing is kept for those that begin to wait later.
name: of the signal, 1 to 200 bytes. data: any JSON: what the receivers have as $event.data.
mode: ''sync'', or ''async'': the call is checked and returns at once, and an executor carries it out after the commit
  (see the view workflow.operations).
Reaches those visits alone which the caller may complete.
Errors: 22023 name out of range, or another mode; 54000 data are larger than workflow.max_data; 42501 with ''async'':
  the caller has complete or start on no process.';
COMMENT ON FUNCTION workflow.serial_number(bigint, bigint) IS 'Puts the serial number of a visit together: <instance>_<visit>, such as 5_31.
instance, visit: its two halves. NULL if one is NULL.';
COMMENT ON FUNCTION workflow.set_data(bigint, jsonb, text, text) IS 'Puts top-level keys over those of the data of an instance. Returns false if the instance has ended.
instance: its number. data: a JSON object with the keys to be set; others stay as they are.
mode: ''sync'', or ''async'': the call is checked and returns NULL, and an executor carries it out after the commit (see
  the view workflow.operations).
callback_url: with mode ''async'', the URL to which its data and status are posted once it rests, that is, goes on no
  further by itself.
Errors: 42704 no such instance; 22023 data are no object; 54000 they come to be larger than workflow.max_data; 42501
  needs start or admin; of mode and callback_url: 22023 another mode, no URL, or a URL without ''async''; 42704 no
  server that the caller was given covers the URL; 42501 needs view as well.';
COMMENT ON FUNCTION workflow.set_shard(integer, bigint) IS 'Not for a router: 0A000. Call it in the database that becomes a shard.';
COMMENT ON FUNCTION workflow.shard() IS 'Returns the number of the shard that this database is. NULL: it is none, see workflow.set_shard.';
COMMENT ON FUNCTION workflow.skip(bigint, jsonb) IS 'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';
COMMENT ON FUNCTION workflow.skip(text, jsonb) IS 'Goes on from an incident as if its step had succeeded. Returns false if the visit has ended.
serial_number: of the visit, such as ''5_31'', in quotes.
data: what is taken for its response: any JSON.
Errors: 22P02 what is no serial number; 42704 no such visit; 55000 it is no incident, or its instance is suspended;
  42501 needs admin.';
COMMENT ON FUNCTION workflow.start(text, jsonb, anycompatible, integer, text, text) IS 'Starts an instance of a process, in this transaction, and returns its number.
process: its name. version: which one the instance follows, the latest unless given.
data: a JSON object, put over the defaults of the definition key by key.
business_key: what people call it, of any type, at most 2000 bytes, kept as text (dates and times as in ISO 8601). One
  living instance of the process can have it.
mode: ''sync'', or ''async'': the call is checked and returns the number that the instance will have, and an executor
  carries it out after the commit (see the view workflow.operations).
callback_url: with mode ''async'', the URL to which its data and status are posted once it rests, that is, goes on no
  further by itself.
Errors: 42704 no such process or version; 55000 it is undefined; 23505 a living instance has the business key; 22023
  data are no object, or the key is too long; 54000 data are larger than workflow.max_data; 42501 needs start; of mode
  and callback_url: 22023 another mode, no URL, or a URL without ''async''; 42704 no server that the caller was given
  covers the URL; 42501 needs view as well.';
COMMENT ON FUNCTION workflow.suspend(bigint) IS 'Holds an instance still until workflow.resume: nothing is sent or moved on, and no clock strikes; replies and
  callbacks are kept. Returns false if it is suspended already, or has ended.
instance: its number.
Errors: 42704 no such instance; 42501 needs admin.';
COMMENT ON FUNCTION workflow.suspend_process(text) IS 'Suspends all living instances of a process, and each that is started from now on, before its first step. Returns how
  many were not suspended before.
process: its name.
Instances of transactions that are still open are not seen: call it again after their end, until it gives 0.
Errors: 42704 no such process; 42501 needs admin.';
COMMENT ON FUNCTION workflow.timeline(bigint) IS 'Tells the story of an instance, a line for each event: when it entered which step, what failed, how each visit ended,
  what came too late, who did what, and where it stands now.
instance: its number.
Errors: 42704 no such instance; 42501 needs view.';
COMMENT ON FUNCTION workflow.unclaim(text) IS 'Gives the task of a visit back: to its roles, any member of which may claim it then, or, if it has none, to the role
  that it was assigned to. Returns false if nobody had it, or it is over.
serial_number: of the visit, such as ''5_31'', in quotes.
Errors: 22P02 what is no serial number; 42704 no such visit; 55000 it has no task, or nobody to go back to; 42501 for
  whoever has the task, and needs admin else.';
COMMENT ON FUNCTION workflow.undefine(text, boolean) IS 'Has a process start no new instances; its versions and its history stay. Returns false if that was so already.
name: of the process. workflow.define brings it back.
force: true: also while instances of it live, which go on to their end.
Errors: 42704 no such process; 55006 tables are attached to it, or instances live and force is false; 42501 needs
  admin.';
COMMENT ON FUNCTION workflow.verify() IS 'Looks whether the rows of all living instances agree with each other and with their definitions: tokens, joins and
  incidents are counted right, each visit has its scope and step, each state its queue and clocks. No row: all is
  well.
Gives instance, serial_number and problem. It locks nothing, and sees one moment. What it finds is a fault of the
  extension, unless somebody has written to its tables.
Errors: 42501 for superusers, and those whom they grant it.';
COMMENT ON PROCEDURE workflow.wait_for(bigint, interval, text, text) IS 'Not for a router: 0A000. Call it in the shard of the instance, or look at the view workflow.instances.';
COMMENT ON FUNCTION workflow.webhook(text, bytea, jsonb) IS 'Starts an instance of the process that lists a webhook in its "start_on", for whoever has the token of that. Returns
  its number; of a delivery that has come before, that of the instance that was started then.
token: of workflow.webhook_token, a secret. body: JSON in UTF-8. headers: an object of the request''s headers, whose
  names may be in any case: a signature and an idempotency key may be among them.
Errors: 22P02 what is no token; 28000 a wrong token or signature; 55000 there is no secret to verify that with; class
  22 the body is no JSON in UTF-8, or no instance can start with it; 54000 it is too large.';
COMMENT ON FUNCTION workflow.webhook_token(text, text) IS 'Shows the token of a webhook that starts instances: what workflow.webhook takes, and a secret. It stays the same in
  all versions that list the webhook.
process: its name. webhook: the name that its "start_on" gives it.
Errors: 42704 no such process, or its latest version lists no such webhook; 55000 the process is undefined; 42501
  needs admin.';
COMMENT ON FUNCTION workflow.withdraw_message(bigint) IS 'Not for a router: 0A000. Numbers of messages are those of each shard: call it there.';
COMMENT ON FUNCTION workflow.write_back(regclass) IS 'Not for a router: 0A000. Call it in the shard in which the table is.';
CREATE TYPE workflow_router.attachments_row AS (shard integer, relation text, process text, serial_column name, serial_step text, status_column name, instance_column name, result_columns jsonb, condition text, on_update text, on_delete text, trust boolean, replicated boolean, show_in text);
COMMENT ON TYPE workflow_router.attachments_row IS 'A row of the view workflow.attachments';
CREATE FUNCTION workflow_router.attachments_of(part integer, k1 text) RETURNS SETOF workflow_router.attachments_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.relation::text AS relation, v.process, v.serial_column, v.serial_step, v.status_column, v.instance_column, v.result_columns, v.condition, v.on_update, v.on_delete, v.trust, v.replicated, v.show_in::text AS show_in FROM workflow.attachments v WHERE true AND ($2::text IS NULL OR v.process = $2); $r$;
COMMENT ON FUNCTION workflow_router.attachments_of(integer, text) IS 'Rows of workflow.attachments in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.attachments_all(k1 text) RETURNS SETOF workflow_router.attachments_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.relation::text AS relation, v.process, v.serial_column, v.serial_step, v.status_column, v.instance_column, v.result_columns, v.condition, v.on_update, v.on_delete, v.trust, v.replicated, v.show_in::text AS show_in FROM workflow.attachments v WHERE true AND ($1::text IS NULL OR v.process = $1); $r$;
COMMENT ON FUNCTION workflow_router.attachments_all(text) IS 'Rows of workflow.attachments in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.attempts_row AS (shard integer, serial_number text, instance bigint, process text, attempt integer, started_at timestamp with time zone, ended_at timestamp with time zone, http_status integer, error jsonb, incident boolean, ended_with text, ended_by name, span_id text);
COMMENT ON TYPE workflow_router.attempts_row IS 'A row of the view workflow.attempts';
CREATE FUNCTION workflow_router.attempts_of(part integer, k1 text, k2 bigint, k3 text) RETURNS SETOF workflow_router.attempts_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.serial_number, v.instance, v.process, v.attempt, v.started_at, v.ended_at, v.http_status, v.error, v.incident, v.ended_with, v.ended_by, v.span_id FROM workflow.attempts v WHERE true AND ($2::text IS NULL OR v.serial_number = $2) AND ($3::bigint IS NULL OR v.instance = $3) AND ($4::text IS NULL OR v.process = $4); $r$;
COMMENT ON FUNCTION workflow_router.attempts_of(integer, text, bigint, text) IS 'Rows of workflow.attempts in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.attempts_all(k1 text, k2 bigint, k3 text) RETURNS SETOF workflow_router.attempts_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.serial_number, v.instance, v.process, v.attempt, v.started_at, v.ended_at, v.http_status, v.error, v.incident, v.ended_with, v.ended_by, v.span_id FROM workflow.attempts v WHERE true AND ($1::text IS NULL OR v.serial_number = $1) AND ($2::bigint IS NULL OR v.instance = $2) AND ($3::text IS NULL OR v.process = $3); $r$;
COMMENT ON FUNCTION workflow_router.attempts_all(text, bigint, text) IS 'Rows of workflow.attempts in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.audit_row AS (shard integer, at timestamp with time zone, role name, session_role name, call text, process text, instance bigint, serial_number text, arguments jsonb);
COMMENT ON TYPE workflow_router.audit_row IS 'A row of the view workflow.audit';
CREATE FUNCTION workflow_router.audit_of(part integer, k1 text, k2 bigint, k3 text) RETURNS SETOF workflow_router.audit_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.at, v.role, v.session_role, v.call, v.process, v.instance, v.serial_number, v.arguments FROM workflow.audit v WHERE true AND ($2::text IS NULL OR v.process = $2) AND ($3::bigint IS NULL OR v.instance = $3) AND ($4::text IS NULL OR v.serial_number = $4); $r$;
COMMENT ON FUNCTION workflow_router.audit_of(integer, text, bigint, text) IS 'Rows of workflow.audit in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.audit_all(k1 text, k2 bigint, k3 text) RETURNS SETOF workflow_router.audit_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.at, v.role, v.session_role, v.call, v.process, v.instance, v.serial_number, v.arguments FROM workflow.audit v WHERE true AND ($1::text IS NULL OR v.process = $1) AND ($2::bigint IS NULL OR v.instance = $2) AND ($3::text IS NULL OR v.serial_number = $3); $r$;
COMMENT ON FUNCTION workflow_router.audit_all(text, bigint, text) IS 'Rows of workflow.audit in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.grants_row AS (shard integer, process text, role name, privilege text, step text);
COMMENT ON TYPE workflow_router.grants_row IS 'A row of the view workflow.grants';
CREATE FUNCTION workflow_router.grants_of(part integer, k1 text, k2 text) RETURNS SETOF workflow_router.grants_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.process, v.role, v.privilege, v.step FROM workflow.grants v WHERE true AND ($2::text IS NULL OR v.process = $2) AND ($3::text IS NULL OR v.step = $3); $r$;
COMMENT ON FUNCTION workflow_router.grants_of(integer, text, text) IS 'Rows of workflow.grants in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.grants_all(k1 text, k2 text) RETURNS SETOF workflow_router.grants_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.process, v.role, v.privilege, v.step FROM workflow.grants v WHERE true AND ($1::text IS NULL OR v.process = $1) AND ($2::text IS NULL OR v.step = $2); $r$;
COMMENT ON FUNCTION workflow_router.grants_all(text, text) IS 'Rows of workflow.grants in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.history_row AS (shard integer, serial_number text, instance bigint, process text, step text, outcome text, entered_at timestamp with time zone, ended_at timestamp with time zone, attempts integer, result jsonb, completed_by text, scope text, webhook boolean, item integer, child bigint, span_id text);
COMMENT ON TYPE workflow_router.history_row IS 'A row of the view workflow.history';
CREATE FUNCTION workflow_router.history_of(part integer, k1 text, k2 bigint, k3 text, k4 text) RETURNS SETOF workflow_router.history_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.serial_number, v.instance, v.process, v.step, v.outcome, v.entered_at, v.ended_at, v.attempts, v.result, v.completed_by, v.scope, v.webhook, v.item, v.child, v.span_id FROM workflow.history v WHERE true AND ($2::text IS NULL OR v.serial_number = $2) AND ($3::bigint IS NULL OR v.instance = $3) AND ($4::text IS NULL OR v.process = $4) AND ($5::text IS NULL OR v.step = $5); $r$;
COMMENT ON FUNCTION workflow_router.history_of(integer, text, bigint, text, text) IS 'Rows of workflow.history in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.history_all(k1 text, k2 bigint, k3 text, k4 text) RETURNS SETOF workflow_router.history_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.serial_number, v.instance, v.process, v.step, v.outcome, v.entered_at, v.ended_at, v.attempts, v.result, v.completed_by, v.scope, v.webhook, v.item, v.child, v.span_id FROM workflow.history v WHERE true AND ($1::text IS NULL OR v.serial_number = $1) AND ($2::bigint IS NULL OR v.instance = $2) AND ($3::text IS NULL OR v.process = $3) AND ($4::text IS NULL OR v.step = $4); $r$;
COMMENT ON FUNCTION workflow_router.history_all(text, bigint, text, text) IS 'Rows of workflow.history in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.incidents_row AS (shard integer, serial_number text, instance bigint, process text, step text, outcome text, error jsonb, since timestamp with time zone, result jsonb, called_by text, item integer);
COMMENT ON TYPE workflow_router.incidents_row IS 'A row of the view workflow.incidents';
CREATE FUNCTION workflow_router.incidents_of(part integer, k1 text, k2 bigint, k3 text, k4 text) RETURNS SETOF workflow_router.incidents_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.serial_number, v.instance, v.process, v.step, v.outcome, v.error, v.since, v.result, v.called_by, v.item FROM workflow.incidents v WHERE true AND ($2::text IS NULL OR v.serial_number = $2) AND ($3::bigint IS NULL OR v.instance = $3) AND ($4::text IS NULL OR v.process = $4) AND ($5::text IS NULL OR v.step = $5); $r$;
COMMENT ON FUNCTION workflow_router.incidents_of(integer, text, bigint, text, text) IS 'Rows of workflow.incidents in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.incidents_all(k1 text, k2 bigint, k3 text, k4 text) RETURNS SETOF workflow_router.incidents_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.serial_number, v.instance, v.process, v.step, v.outcome, v.error, v.since, v.result, v.called_by, v.item FROM workflow.incidents v WHERE true AND ($1::text IS NULL OR v.serial_number = $1) AND ($2::bigint IS NULL OR v.instance = $2) AND ($3::text IS NULL OR v.process = $3) AND ($4::text IS NULL OR v.step = $4); $r$;
COMMENT ON FUNCTION workflow_router.incidents_all(text, bigint, text, text) IS 'Rows of workflow.incidents in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.instances_row AS (shard integer, instance bigint, process text, version integer, business_key text, status text, data jsonb, started_at timestamp with time zone, ended_at timestamp with time zone, error jsonb, cancel_reason text, called_by text, parent bigint, root bigint, rerun_of bigint, trace_id text, traceparent text);
COMMENT ON TYPE workflow_router.instances_row IS 'A row of the view workflow.instances';
CREATE FUNCTION workflow_router.instances_of(part integer, k1 bigint, k2 text, k3 text, k4 text) RETURNS SETOF workflow_router.instances_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.instance, v.process, v.version, v.business_key, v.status, v.data, v.started_at, v.ended_at, v.error, v.cancel_reason, v.called_by, v.parent, v.root, v.rerun_of, v.trace_id, v.traceparent FROM workflow.instances v WHERE true AND ($2::bigint IS NULL OR v.instance = $2) AND ($3::text IS NULL OR v.process = $3) AND ($4::text IS NULL OR v.business_key = $4) AND ($5::text IS NULL OR v.status = $5); $r$;
COMMENT ON FUNCTION workflow_router.instances_of(integer, bigint, text, text, text) IS 'Rows of workflow.instances in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.instances_all(k1 bigint, k2 text, k3 text, k4 text) RETURNS SETOF workflow_router.instances_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.instance, v.process, v.version, v.business_key, v.status, v.data, v.started_at, v.ended_at, v.error, v.cancel_reason, v.called_by, v.parent, v.root, v.rerun_of, v.trace_id, v.traceparent FROM workflow.instances v WHERE true AND ($1::bigint IS NULL OR v.instance = $1) AND ($2::text IS NULL OR v.process = $2) AND ($3::text IS NULL OR v.business_key = $3) AND ($4::text IS NULL OR v.status = $4); $r$;
COMMENT ON FUNCTION workflow_router.instances_all(bigint, text, text, text) IS 'Rows of workflow.instances in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.late_callbacks_row AS (shard integer, serial_number text, instance bigint, process text, received_at timestamp with time zone, role name, data jsonb, webhook boolean);
COMMENT ON TYPE workflow_router.late_callbacks_row IS 'A row of the view workflow.late_callbacks';
CREATE FUNCTION workflow_router.late_callbacks_of(part integer, k1 text, k2 bigint, k3 text) RETURNS SETOF workflow_router.late_callbacks_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.serial_number, v.instance, v.process, v.received_at, v.role, v.data, v.webhook FROM workflow.late_callbacks v WHERE true AND ($2::text IS NULL OR v.serial_number = $2) AND ($3::bigint IS NULL OR v.instance = $3) AND ($4::text IS NULL OR v.process = $4); $r$;
COMMENT ON FUNCTION workflow_router.late_callbacks_of(integer, text, bigint, text) IS 'Rows of workflow.late_callbacks in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.late_callbacks_all(k1 text, k2 bigint, k3 text) RETURNS SETOF workflow_router.late_callbacks_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.serial_number, v.instance, v.process, v.received_at, v.role, v.data, v.webhook FROM workflow.late_callbacks v WHERE true AND ($1::text IS NULL OR v.serial_number = $1) AND ($2::bigint IS NULL OR v.instance = $2) AND ($3::text IS NULL OR v.process = $3); $r$;
COMMENT ON FUNCTION workflow_router.late_callbacks_all(text, bigint, text) IS 'Rows of workflow.late_callbacks in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.message_starts_row AS (shard integer, name text, key text, process text, version integer, business_key text, step text, queued bigint);
COMMENT ON TYPE workflow_router.message_starts_row IS 'A row of the view workflow.message_starts';
CREATE FUNCTION workflow_router.message_starts_of(part integer, k1 text, k2 text, k3 text) RETURNS SETOF workflow_router.message_starts_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.name, v.key, v.process, v.version, v.business_key, v.step, v.queued FROM workflow.message_starts v WHERE true AND ($2::text IS NULL OR v.process = $2) AND ($3::text IS NULL OR v.business_key = $3) AND ($4::text IS NULL OR v.step = $4); $r$;
COMMENT ON FUNCTION workflow_router.message_starts_of(integer, text, text, text) IS 'Rows of workflow.message_starts in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.message_starts_all(k1 text, k2 text, k3 text) RETURNS SETOF workflow_router.message_starts_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.name, v.key, v.process, v.version, v.business_key, v.step, v.queued FROM workflow.message_starts v WHERE true AND ($1::text IS NULL OR v.process = $1) AND ($2::text IS NULL OR v.business_key = $2) AND ($3::text IS NULL OR v.step = $3); $r$;
COMMENT ON FUNCTION workflow_router.message_starts_all(text, text, text) IS 'Rows of workflow.message_starts in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.messages_row AS (shard integer, message bigint, name text, key text, message_id text, sender name, sent_at timestamp with time zone, expires_at timestamp with time zone, data jsonb);
COMMENT ON TYPE workflow_router.messages_row IS 'A row of the view workflow.messages';
CREATE FUNCTION workflow_router.messages_of(part integer) RETURNS SETOF workflow_router.messages_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.message, v.name, v.key, v.message_id, v.sender, v.sent_at, v.expires_at, v.data FROM workflow.messages v WHERE true; $r$;
COMMENT ON FUNCTION workflow_router.messages_of(integer) IS 'Rows of workflow.messages in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.messages_all() RETURNS SETOF workflow_router.messages_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.message, v.name, v.key, v.message_id, v.sender, v.sent_at, v.expires_at, v.data FROM workflow.messages v WHERE true; $r$;
COMMENT ON FUNCTION workflow_router.messages_all() IS 'Rows of workflow.messages in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.metrics_row AS (shard integer, name text, labels jsonb, value double precision);
COMMENT ON TYPE workflow_router.metrics_row IS 'A row of the view workflow.metrics';
CREATE FUNCTION workflow_router.metrics_of(part integer) RETURNS SETOF workflow_router.metrics_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.name, v.labels, v.value FROM workflow.metrics v WHERE true; $r$;
COMMENT ON FUNCTION workflow_router.metrics_of(integer) IS 'Rows of workflow.metrics in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.metrics_all() RETURNS SETOF workflow_router.metrics_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.name, v.labels, v.value FROM workflow.metrics v WHERE true; $r$;
COMMENT ON FUNCTION workflow_router.metrics_all() IS 'Rows of workflow.metrics in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.operations_row AS (shard integer, operation bigint, call text, process text, instance bigint, serial_number text, role name, requested_at timestamp with time zone, done_at timestamp with time zone, state text, error jsonb, answer text, blocked_by text, callback_url text, callback_state text, callback_error jsonb, callback_instance bigint);
COMMENT ON TYPE workflow_router.operations_row IS 'A row of the view workflow.operations';
CREATE FUNCTION workflow_router.operations_of(part integer, k1 text, k2 bigint, k3 text, k4 text) RETURNS SETOF workflow_router.operations_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.operation, v.call, v.process, v.instance, v.serial_number, v.role, v.requested_at, v.done_at, v.state, v.error, v.answer, v.blocked_by, v.callback_url, v.callback_state, v.callback_error, v.callback_instance FROM workflow.operations v WHERE true AND ($2::text IS NULL OR v.process = $2) AND ($3::bigint IS NULL OR v.instance = $3) AND ($4::text IS NULL OR v.serial_number = $4) AND ($5::text IS NULL OR v.state = $5); $r$;
COMMENT ON FUNCTION workflow_router.operations_of(integer, text, bigint, text, text) IS 'Rows of workflow.operations in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.operations_all(k1 text, k2 bigint, k3 text, k4 text) RETURNS SETOF workflow_router.operations_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.operation, v.call, v.process, v.instance, v.serial_number, v.role, v.requested_at, v.done_at, v.state, v.error, v.answer, v.blocked_by, v.callback_url, v.callback_state, v.callback_error, v.callback_instance FROM workflow.operations v WHERE true AND ($1::text IS NULL OR v.process = $1) AND ($2::bigint IS NULL OR v.instance = $2) AND ($3::text IS NULL OR v.serial_number = $3) AND ($4::text IS NULL OR v.state = $4); $r$;
COMMENT ON FUNCTION workflow_router.operations_all(text, bigint, text, text) IS 'Rows of workflow.operations in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.processes_row AS (shard integer, process text, version integer, owner name, definition json, defined_at timestamp with time zone, latest boolean, suspended boolean);
COMMENT ON TYPE workflow_router.processes_row IS 'A row of the view workflow.processes';
CREATE FUNCTION workflow_router.processes_of(part integer, k1 text) RETURNS SETOF workflow_router.processes_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.process, v.version, v.owner, v.definition, v.defined_at, v.latest, v.suspended FROM workflow.processes v WHERE true AND ($2::text IS NULL OR v.process = $2); $r$;
COMMENT ON FUNCTION workflow_router.processes_of(integer, text) IS 'Rows of workflow.processes in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.processes_all(k1 text) RETURNS SETOF workflow_router.processes_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.process, v.version, v.owner, v.definition, v.defined_at, v.latest, v.suspended FROM workflow.processes v WHERE true AND ($1::text IS NULL OR v.process = $1); $r$;
COMMENT ON FUNCTION workflow_router.processes_all(text) IS 'Rows of workflow.processes in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.refused_rows_row AS (shard integer, relation text, process text, business_key text, operation text, since timestamp with time zone, sqlstate text, error text);
COMMENT ON TYPE workflow_router.refused_rows_row IS 'A row of the view workflow.refused_rows';
CREATE FUNCTION workflow_router.refused_rows_of(part integer, k1 text, k2 text) RETURNS SETOF workflow_router.refused_rows_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.relation::text AS relation, v.process, v.business_key, v.operation, v.since, v.sqlstate, v.error FROM workflow.refused_rows v WHERE true AND ($2::text IS NULL OR v.process = $2) AND ($3::text IS NULL OR v.business_key = $3); $r$;
COMMENT ON FUNCTION workflow_router.refused_rows_of(integer, text, text) IS 'Rows of workflow.refused_rows in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.refused_rows_all(k1 text, k2 text) RETURNS SETOF workflow_router.refused_rows_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.relation::text AS relation, v.process, v.business_key, v.operation, v.since, v.sqlstate, v.error FROM workflow.refused_rows v WHERE true AND ($1::text IS NULL OR v.process = $1) AND ($2::text IS NULL OR v.business_key = $2); $r$;
COMMENT ON FUNCTION workflow_router.refused_rows_all(text, text) IS 'Rows of workflow.refused_rows in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.servers_row AS (shard integer, server text, url text, state text, in_flight integer, parked integer, requests bigint, failures bigint, retries bigint, p50 double precision, p99 double precision, since timestamp with time zone, until timestamp with time zone, error text, p95 double precision, token_requests bigint, token_failures bigint);
COMMENT ON TYPE workflow_router.servers_row IS 'A row of the view workflow.servers';
CREATE FUNCTION workflow_router.servers_of(part integer, k1 text) RETURNS SETOF workflow_router.servers_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.server, v.url, v.state, v.in_flight, v.parked, v.requests, v.failures, v.retries, v.p50, v.p99, v.since, v.until, v.error, v.p95, v.token_requests, v.token_failures FROM workflow.servers v WHERE true AND ($2::text IS NULL OR v.state = $2); $r$;
COMMENT ON FUNCTION workflow_router.servers_of(integer, text) IS 'Rows of workflow.servers in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.servers_all(k1 text) RETURNS SETOF workflow_router.servers_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.server, v.url, v.state, v.in_flight, v.parked, v.requests, v.failures, v.retries, v.p50, v.p99, v.since, v.until, v.error, v.p95, v.token_requests, v.token_failures FROM workflow.servers v WHERE true AND ($1::text IS NULL OR v.state = $1); $r$;
COMMENT ON FUNCTION workflow_router.servers_all(text) IS 'Rows of workflow.servers in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.subscriptions_row AS (shard integer, serial_number text, instance bigint, process text, step text, kind text, name text, key text, interrupt boolean, since timestamp with time zone, queued bigint);
COMMENT ON TYPE workflow_router.subscriptions_row IS 'A row of the view workflow.subscriptions';
CREATE FUNCTION workflow_router.subscriptions_of(part integer, k1 text, k2 bigint, k3 text, k4 text) RETURNS SETOF workflow_router.subscriptions_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.serial_number, v.instance, v.process, v.step, v.kind, v.name, v.key, v.interrupt, v.since, v.queued FROM workflow.subscriptions v WHERE true AND ($2::text IS NULL OR v.serial_number = $2) AND ($3::bigint IS NULL OR v.instance = $3) AND ($4::text IS NULL OR v.process = $4) AND ($5::text IS NULL OR v.step = $5); $r$;
COMMENT ON FUNCTION workflow_router.subscriptions_of(integer, text, bigint, text, text) IS 'Rows of workflow.subscriptions in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.subscriptions_all(k1 text, k2 bigint, k3 text, k4 text) RETURNS SETOF workflow_router.subscriptions_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.serial_number, v.instance, v.process, v.step, v.kind, v.name, v.key, v.interrupt, v.since, v.queued FROM workflow.subscriptions v WHERE true AND ($1::text IS NULL OR v.serial_number = $1) AND ($2::bigint IS NULL OR v.instance = $2) AND ($3::text IS NULL OR v.process = $3) AND ($4::text IS NULL OR v.step = $4); $r$;
COMMENT ON FUNCTION workflow_router.subscriptions_all(text, bigint, text, text) IS 'Rows of workflow.subscriptions in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.tasks_row AS (shard integer, serial_number text, instance bigint, process text, step text, title text, assignee name, person text, roles name[], due timestamp with time zone, since timestamp with time zone, claimed_at timestamp with time zone, data jsonb, suspended boolean);
COMMENT ON TYPE workflow_router.tasks_row IS 'A row of the view workflow.tasks';
CREATE FUNCTION workflow_router.tasks_of(part integer, k1 text, k2 bigint, k3 text, k4 text) RETURNS SETOF workflow_router.tasks_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.serial_number, v.instance, v.process, v.step, v.title, v.assignee, v.person, v.roles, v.due, v.since, v.claimed_at, v.data, v.suspended FROM workflow.tasks v WHERE true AND ($2::text IS NULL OR v.serial_number = $2) AND ($3::bigint IS NULL OR v.instance = $3) AND ($4::text IS NULL OR v.process = $4) AND ($5::text IS NULL OR v.step = $5); $r$;
COMMENT ON FUNCTION workflow_router.tasks_of(integer, text, bigint, text, text) IS 'Rows of workflow.tasks in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.tasks_all(k1 text, k2 bigint, k3 text, k4 text) RETURNS SETOF workflow_router.tasks_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.serial_number, v.instance, v.process, v.step, v.title, v.assignee, v.person, v.roles, v.due, v.since, v.claimed_at, v.data, v.suspended FROM workflow.tasks v WHERE true AND ($1::text IS NULL OR v.serial_number = $1) AND ($2::bigint IS NULL OR v.instance = $2) AND ($3::text IS NULL OR v.process = $3) AND ($4::text IS NULL OR v.step = $4); $r$;
COMMENT ON FUNCTION workflow_router.tasks_all(text, bigint, text, text) IS 'Rows of workflow.tasks in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.topics_row AS (shard integer, topic text, ready bigint, locked bigint, oldest timestamp with time zone, paused bigint);
COMMENT ON TYPE workflow_router.topics_row IS 'A row of the view workflow.topics';
CREATE FUNCTION workflow_router.topics_of(part integer, k1 text) RETURNS SETOF workflow_router.topics_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.topic, v.ready, v.locked, v.oldest, v.paused FROM workflow.topics v WHERE true AND ($2::text IS NULL OR v.topic = $2); $r$;
COMMENT ON FUNCTION workflow_router.topics_of(integer, text) IS 'Rows of workflow.topics in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.topics_all(k1 text) RETURNS SETOF workflow_router.topics_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.topic, v.ready, v.locked, v.oldest, v.paused FROM workflow.topics v WHERE true AND ($1::text IS NULL OR v.topic = $1); $r$;
COMMENT ON FUNCTION workflow_router.topics_all(text) IS 'Rows of workflow.topics in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.visits_row AS (shard integer, serial_number text, instance bigint, process text, step text, state text, attempt integer, due_at timestamp with time zone, deadline timestamp with time zone, waits_for text, blocked_by text, error jsonb, scope text, called_back boolean, local jsonb, item integer, child bigint);
COMMENT ON TYPE workflow_router.visits_row IS 'A row of the view workflow.visits';
CREATE FUNCTION workflow_router.visits_of(part integer, k1 text, k2 bigint, k3 text, k4 text, k5 text) RETURNS SETOF workflow_router.visits_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.serial_number, v.instance, v.process, v.step, v.state, v.attempt, v.due_at, v.deadline, v.waits_for, v.blocked_by, v.error, v.scope, v.called_back, v.local, v.item, v.child FROM workflow.visits v WHERE true AND ($2::text IS NULL OR v.serial_number = $2) AND ($3::bigint IS NULL OR v.instance = $3) AND ($4::text IS NULL OR v.process = $4) AND ($5::text IS NULL OR v.step = $5) AND ($6::text IS NULL OR v.state = $6); $r$;
COMMENT ON FUNCTION workflow_router.visits_of(integer, text, bigint, text, text, text) IS 'Rows of workflow.visits in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.visits_all(k1 text, k2 bigint, k3 text, k4 text, k5 text) RETURNS SETOF workflow_router.visits_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.serial_number, v.instance, v.process, v.step, v.state, v.attempt, v.due_at, v.deadline, v.waits_for, v.blocked_by, v.error, v.scope, v.called_back, v.local, v.item, v.child FROM workflow.visits v WHERE true AND ($1::text IS NULL OR v.serial_number = $1) AND ($2::bigint IS NULL OR v.instance = $2) AND ($3::text IS NULL OR v.process = $3) AND ($4::text IS NULL OR v.step = $4) AND ($5::text IS NULL OR v.state = $5); $r$;
COMMENT ON FUNCTION workflow_router.visits_all(text, bigint, text, text, text) IS 'Rows of workflow.visits in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.waiting_row AS (shard integer, serial_number text, instance bigint, process text, step text, waits_for text, since timestamp with time zone, deadline timestamp with time zone, progress jsonb, until timestamp with time zone, heartbeat_deadline timestamp with time zone, name text, key text, item integer, worker text, locked_until timestamp with time zone);
COMMENT ON TYPE workflow_router.waiting_row IS 'A row of the view workflow.waiting';
CREATE FUNCTION workflow_router.waiting_of(part integer, k1 text, k2 bigint, k3 text, k4 text) RETURNS SETOF workflow_router.waiting_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.serial_number, v.instance, v.process, v.step, v.waits_for, v.since, v.deadline, v.progress, v.until, v.heartbeat_deadline, v.name, v.key, v.item, v.worker, v.locked_until FROM workflow.waiting v WHERE true AND ($2::text IS NULL OR v.serial_number = $2) AND ($3::bigint IS NULL OR v.instance = $3) AND ($4::text IS NULL OR v.process = $4) AND ($5::text IS NULL OR v.step = $5); $r$;
COMMENT ON FUNCTION workflow_router.waiting_of(integer, text, bigint, text, text) IS 'Rows of workflow.waiting in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.waiting_all(k1 text, k2 bigint, k3 text, k4 text) RETURNS SETOF workflow_router.waiting_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.serial_number, v.instance, v.process, v.step, v.waits_for, v.since, v.deadline, v.progress, v.until, v.heartbeat_deadline, v.name, v.key, v.item, v.worker, v.locked_until FROM workflow.waiting v WHERE true AND ($1::text IS NULL OR v.serial_number = $1) AND ($2::bigint IS NULL OR v.instance = $2) AND ($3::text IS NULL OR v.process = $3) AND ($4::text IS NULL OR v.step = $4); $r$;
COMMENT ON FUNCTION workflow_router.waiting_all(text, bigint, text, text) IS 'Rows of workflow.waiting in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.webhook_starts_row AS (shard integer, name text, process text, version integer, signature text, server text, idempotency_header text, idempotency_key text, business_key text, step text);
COMMENT ON TYPE workflow_router.webhook_starts_row IS 'A row of the view workflow.webhook_starts';
CREATE FUNCTION workflow_router.webhook_starts_of(part integer, k1 text, k2 text, k3 text) RETURNS SETOF workflow_router.webhook_starts_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.name, v.process, v.version, v.signature, v.server, v.idempotency_header, v.idempotency_key, v.business_key, v.step FROM workflow.webhook_starts v WHERE true AND ($2::text IS NULL OR v.process = $2) AND ($3::text IS NULL OR v.business_key = $3) AND ($4::text IS NULL OR v.step = $4); $r$;
COMMENT ON FUNCTION workflow_router.webhook_starts_of(integer, text, text, text) IS 'Rows of workflow.webhook_starts in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.webhook_starts_all(k1 text, k2 text, k3 text) RETURNS SETOF workflow_router.webhook_starts_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.name, v.process, v.version, v.signature, v.server, v.idempotency_header, v.idempotency_key, v.business_key, v.step FROM workflow.webhook_starts v WHERE true AND ($1::text IS NULL OR v.process = $1) AND ($2::text IS NULL OR v.business_key = $2) AND ($3::text IS NULL OR v.step = $3); $r$;
COMMENT ON FUNCTION workflow_router.webhook_starts_all(text, text, text) IS 'Rows of workflow.webhook_starts in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.workers_row AS (shard integer, kind text, pid integer, database name, started_at timestamp with time zone, in_flight integer, handled bigint, state text, role name, error text);
COMMENT ON TYPE workflow_router.workers_row IS 'A row of the view workflow.workers';
CREATE FUNCTION workflow_router.workers_of(part integer, k1 text) RETURNS SETOF workflow_router.workers_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.kind, v.pid, v.database, v.started_at, v.in_flight, v.handled, v.state, v.role, v.error FROM workflow.workers v WHERE true AND ($2::text IS NULL OR v.state = $2); $r$;
COMMENT ON FUNCTION workflow_router.workers_of(integer, text) IS 'Rows of workflow.workers in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.workers_all(k1 text) RETURNS SETOF workflow_router.workers_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.kind, v.pid, v.database, v.started_at, v.in_flight, v.handled, v.state, v.role, v.error FROM workflow.workers v WHERE true AND ($1::text IS NULL OR v.state = $1); $r$;
COMMENT ON FUNCTION workflow_router.workers_all(text) IS 'Rows of workflow.workers in all shards, which all must answer. Arguments pick rows';
CREATE TYPE workflow_router.write_backs_row AS (shard integer, relation text, process text, business_key text, instance bigint, since timestamp with time zone, error text);
COMMENT ON TYPE workflow_router.write_backs_row IS 'A row of the view workflow.write_backs';
CREATE FUNCTION workflow_router.write_backs_of(part integer, k1 text, k2 text, k3 bigint) RETURNS SETOF workflow_router.write_backs_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON part; SELECT workflow.shard() AS shard, v.relation::text AS relation, v.process, v.business_key, v.instance, v.since, v.error FROM workflow.write_backs v WHERE true AND ($2::text IS NULL OR v.process = $2) AND ($3::text IS NULL OR v.business_key = $3) AND ($4::bigint IS NULL OR v.instance = $4); $r$;
COMMENT ON FUNCTION workflow_router.write_backs_of(integer, text, text, bigint) IS 'Rows of workflow.write_backs in a shard. part: its place; the others pick rows';
CREATE FUNCTION workflow_router.write_backs_all(k1 text, k2 text, k3 bigint) RETURNS SETOF workflow_router.write_backs_row LANGUAGE plproxy AS
$r$ CLUSTER 'workflow_shards'; RUN ON ALL; SELECT workflow.shard() AS shard, v.relation::text AS relation, v.process, v.business_key, v.instance, v.since, v.error FROM workflow.write_backs v WHERE true AND ($1::text IS NULL OR v.process = $1) AND ($2::text IS NULL OR v.business_key = $2) AND ($3::bigint IS NULL OR v.instance = $3); $r$;
COMMENT ON FUNCTION workflow_router.write_backs_all(text, text, bigint) IS 'Rows of workflow.write_backs in all shards, which all must answer. Arguments pick rows';
CREATE FUNCTION workflow_router.attachments(process text DEFAULT NULL) RETURNS SETOF workflow_router.attachments_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.attachments_all(process);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.attachments_of(r_part, process);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
END $router$;
COMMENT ON FUNCTION workflow_router.attachments(text) IS 'Rows of workflow.attachments in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.attachments AS SELECT * FROM workflow_router.attachments();
COMMENT ON VIEW workflow.attachments IS 'Attached tables, whose new rows start instances: those of the caller, and those of processes that he may view.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.attempts(serial_number text DEFAULT NULL, instance bigint DEFAULT NULL, process text DEFAULT NULL) RETURNS SETOF workflow_router.attempts_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF instance IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.attempts_of(workflow_router.part_of(instance), serial_number, instance, process);
        RETURN;
    END IF;
    IF serial_number IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.attempts_of(workflow_router.part_of_serial(serial_number), serial_number, instance, process);
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.attempts_all(serial_number, instance, process);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.attempts_of(r_part, serial_number, instance, process);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(NULL, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
COMMENT ON FUNCTION workflow_router.attempts(text, bigint, text) IS 'Rows of workflow.attempts in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.attempts AS SELECT * FROM workflow_router.attempts();
COMMENT ON VIEW workflow.attempts IS 'Attempts of visits that have failed, those that came after them, and incidents that are over: of processes that the
  caller may view.
An action that succeeds at once is in workflow.history alone. What was under way when the server or its dispatcher
  ended has the code lost, and the attempt that is made in its place has the same number
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.audit(process text DEFAULT NULL, instance bigint DEFAULT NULL, serial_number text DEFAULT NULL) RETURNS SETOF workflow_router.audit_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF instance IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.audit_of(workflow_router.part_of(instance), process, instance, serial_number);
        RETURN;
    END IF;
    IF serial_number IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.audit_of(workflow_router.part_of_serial(serial_number), process, instance, serial_number);
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.audit_all(process, instance, serial_number);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.audit_of(r_part, process, instance, serial_number);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(NULL, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
COMMENT ON FUNCTION workflow_router.audit(text, bigint, text) IS 'Rows of workflow.audit in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.audit AS SELECT * FROM workflow_router.audit();
COMMENT ON VIEW workflow.audit IS 'Who has called what: each call of an operator or an author that has done something, as long as the history is kept. Of
  processes that the caller may view; superusers also see what is about none.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.grants(process text DEFAULT NULL, step text DEFAULT NULL) RETURNS SETOF workflow_router.grants_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.grants_all(process, step);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.grants_of(r_part, process, step);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
END $router$;
COMMENT ON FUNCTION workflow_router.grants(text, text) IS 'Rows of workflow.grants in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.grants AS SELECT * FROM workflow_router.grants();
COMMENT ON VIEW workflow.grants IS 'What workflow.grant_process gave: on processes that the caller may view, and to himself. Owners, who have all
  privileges, are in workflow.processes.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.history(serial_number text DEFAULT NULL, instance bigint DEFAULT NULL, process text DEFAULT NULL, step text DEFAULT NULL) RETURNS SETOF workflow_router.history_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF instance IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.history_of(workflow_router.part_of(instance), serial_number, instance, process, step);
        RETURN;
    END IF;
    IF serial_number IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.history_of(workflow_router.part_of_serial(serial_number), serial_number, instance, process, step);
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.history_all(serial_number, instance, process, step);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.history_of(r_part, serial_number, instance, process, step);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(NULL, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
COMMENT ON FUNCTION workflow_router.history(text, bigint, text, text) IS 'Rows of workflow.history in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.history AS SELECT * FROM workflow_router.history();
COMMENT ON VIEW workflow.history IS 'Visits that have ended, of living and of ended instances, as long as the history keeps them: of processes that the
  caller may view.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.incidents(serial_number text DEFAULT NULL, instance bigint DEFAULT NULL, process text DEFAULT NULL, step text DEFAULT NULL) RETURNS SETOF workflow_router.incidents_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF instance IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.incidents_of(workflow_router.part_of(instance), serial_number, instance, process, step);
        RETURN;
    END IF;
    IF serial_number IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.incidents_of(workflow_router.part_of_serial(serial_number), serial_number, instance, process, step);
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.incidents_all(serial_number, instance, process, step);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.incidents_of(r_part, serial_number, instance, process, step);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(NULL, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
COMMENT ON FUNCTION workflow_router.incidents(text, bigint, text, text) IS 'Rows of workflow.incidents in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.incidents AS SELECT * FROM workflow_router.incidents();
COMMENT ON VIEW workflow.incidents IS 'Incidents: visits that ended badly, and that nothing in their process handles. Of processes that the caller may view.
Each stands until a person calls workflow.retry, skip, complete, fail, move or cancel_visit with its serial number, or
  cancel with its instance
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.instances(instance bigint DEFAULT NULL, process text DEFAULT NULL, business_key text DEFAULT NULL, status text DEFAULT NULL) RETURNS SETOF workflow_router.instances_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF instance IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.instances_of(workflow_router.part_of(instance), instance, process, business_key, status);
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.instances_all(instance, process, business_key, status);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.instances_of(r_part, instance, process, business_key, status);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(NULL, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
COMMENT ON FUNCTION workflow_router.instances(bigint, text, text, text) IS 'Rows of workflow.instances in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.instances AS SELECT * FROM workflow_router.instances();
COMMENT ON VIEW workflow.instances IS 'Instances, each a run of a process: the living, and the ended ones that the history keeps. Of processes that the
  caller may view.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.late_callbacks(serial_number text DEFAULT NULL, instance bigint DEFAULT NULL, process text DEFAULT NULL) RETURNS SETOF workflow_router.late_callbacks_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF instance IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.late_callbacks_of(workflow_router.part_of(instance), serial_number, instance, process);
        RETURN;
    END IF;
    IF serial_number IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.late_callbacks_of(workflow_router.part_of_serial(serial_number), serial_number, instance, process);
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.late_callbacks_all(serial_number, instance, process);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.late_callbacks_of(r_part, serial_number, instance, process);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(NULL, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
COMMENT ON FUNCTION workflow_router.late_callbacks(text, bigint, text) IS 'Rows of workflow.late_callbacks in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.late_callbacks AS SELECT * FROM workflow_router.late_callbacks();
COMMENT ON VIEW workflow.late_callbacks IS 'Calls that came after the end of their visit, and so did nothing: complete, fail and callback, the first 100 of each
  visit. Of processes that the caller may view.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.message_starts(process text DEFAULT NULL, business_key text DEFAULT NULL, step text DEFAULT NULL) RETURNS SETOF workflow_router.message_starts_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.message_starts_all(process, business_key, step);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.message_starts_of(r_part, process, business_key, step);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
END $router$;
COMMENT ON FUNCTION workflow_router.message_starts(text, text, text) IS 'Rows of workflow.message_starts in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.message_starts AS SELECT * FROM workflow_router.message_starts();
COMMENT ON VIEW workflow.message_starts IS 'Messages that start an instance, by the latest versions: of processes that the caller may view or start.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.messages() RETURNS SETOF workflow_router.messages_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.messages_all();
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.messages_of(r_part);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
END $router$;
COMMENT ON FUNCTION workflow_router.messages() IS 'Rows of workflow.messages in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.messages AS SELECT * FROM workflow_router.messages();
COMMENT ON VIEW workflow.messages IS 'Messages that are kept until somebody waits for them: those that the caller has sent, or a role whose rights he has;
  superusers see all.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.metrics() RETURNS SETOF workflow_router.metrics_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.metrics_all();
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.metrics_of(r_part);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
END $router$;
COMMENT ON FUNCTION workflow_router.metrics() IS 'Rows of workflow.metrics in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.metrics AS SELECT * FROM workflow_router.metrics();
COMMENT ON VIEW workflow.metrics IS 'Counts for monitoring, a row for each name and labels; what has no row is 0. Of all processes and servers for members
  of pg_monitor, else of the processes that the caller may view and the servers that he may use.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.operations(process text DEFAULT NULL, instance bigint DEFAULT NULL, serial_number text DEFAULT NULL, state text DEFAULT NULL) RETURNS SETOF workflow_router.operations_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF instance IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.operations_of(workflow_router.part_of(instance), process, instance, serial_number, state);
        RETURN;
    END IF;
    IF serial_number IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.operations_of(workflow_router.part_of_serial(serial_number), process, instance, serial_number, state);
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.operations_all(process, instance, serial_number, state);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.operations_of(r_part, process, instance, serial_number, state);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(NULL, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
COMMENT ON FUNCTION workflow_router.operations(text, bigint, text, text) IS 'Rows of workflow.operations in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.operations AS SELECT * FROM workflow_router.operations();
COMMENT ON VIEW workflow.operations IS 'Calls that were made with mode => ''async'', and what has become of them: those of the caller and of roles whose rights
  he has, and those about processes that he may view. They are kept as the history is.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.processes(process text DEFAULT NULL) RETURNS SETOF workflow_router.processes_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.processes_all(process);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.processes_of(r_part, process);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
END $router$;
COMMENT ON FUNCTION workflow_router.processes(text) IS 'Rows of workflow.processes in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.processes AS SELECT * FROM workflow_router.processes();
COMMENT ON VIEW workflow.processes IS 'Processes: a row for each version, of those that the caller may view.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.refused_rows(process text DEFAULT NULL, business_key text DEFAULT NULL) RETURNS SETOF workflow_router.refused_rows_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.refused_rows_all(process, business_key);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.refused_rows_of(r_part, process, business_key);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
END $router$;
COMMENT ON FUNCTION workflow_router.refused_rows(text, text) IS 'Rows of workflow.refused_rows in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.refused_rows AS SELECT * FROM workflow_router.refused_rows();
COMMENT ON VIEW workflow.refused_rows IS 'What has become of rows that logical replication has brought, and could not be brought to their instances, of processes
  that the caller may view. workflow.retry_rows tries again
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.servers(state text DEFAULT NULL) RETURNS SETOF workflow_router.servers_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.servers_all(state);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.servers_of(r_part, state);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
END $router$;
COMMENT ON FUNCTION workflow_router.servers(text) IS 'Rows of workflow.servers in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.servers AS SELECT * FROM workflow_router.servers();
COMMENT ON VIEW workflow.servers IS 'HTTP services: foreign servers of the wrapper workflow_http that the caller may use, with counts since the start of
  the database server; and dropped ones that his processes want to call.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.subscriptions(serial_number text DEFAULT NULL, instance bigint DEFAULT NULL, process text DEFAULT NULL, step text DEFAULT NULL) RETURNS SETOF workflow_router.subscriptions_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF instance IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.subscriptions_of(workflow_router.part_of(instance), serial_number, instance, process, step);
        RETURN;
    END IF;
    IF serial_number IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.subscriptions_of(workflow_router.part_of_serial(serial_number), serial_number, instance, process, step);
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.subscriptions_all(serial_number, instance, process, step);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.subscriptions_of(r_part, serial_number, instance, process, step);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(NULL, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
COMMENT ON FUNCTION workflow_router.subscriptions(text, bigint, text, text) IS 'Rows of workflow.subscriptions in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.subscriptions AS SELECT * FROM workflow_router.subscriptions();
COMMENT ON VIEW workflow.subscriptions IS 'Which messages, signals and conditions are waited for, by visits and by handlers in their "catch": of processes that
  the caller may view or complete.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.tasks(serial_number text DEFAULT NULL, instance bigint DEFAULT NULL, process text DEFAULT NULL, step text DEFAULT NULL) RETURNS SETOF workflow_router.tasks_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF instance IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.tasks_of(workflow_router.part_of(instance), serial_number, instance, process, step);
        RETURN;
    END IF;
    IF serial_number IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.tasks_of(workflow_router.part_of_serial(serial_number), serial_number, instance, process, step);
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.tasks_all(serial_number, instance, process, step);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.tasks_of(r_part, serial_number, instance, process, step);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(NULL, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
COMMENT ON FUNCTION workflow_router.tasks(text, bigint, text, text) IS 'Rows of workflow.tasks in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.tasks AS SELECT * FROM workflow_router.tasks();
COMMENT ON VIEW workflow.tasks IS 'Tasks that people are to do: those that the caller has, those that he may claim or that another one of their roles
  has, and those of processes that he may view.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.topics(topic text DEFAULT NULL) RETURNS SETOF workflow_router.topics_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.topics_all(topic);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.topics_of(r_part, topic);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
END $router$;
COMMENT ON FUNCTION workflow_router.topics(text) IS 'Rows of workflow.topics in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.topics AS SELECT * FROM workflow_router.topics();
COMMENT ON VIEW workflow.topics IS 'Work that is offered to workers, by topic: of processes that the caller may view or complete.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.visits(serial_number text DEFAULT NULL, instance bigint DEFAULT NULL, process text DEFAULT NULL, step text DEFAULT NULL, state text DEFAULT NULL) RETURNS SETOF workflow_router.visits_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF instance IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.visits_of(workflow_router.part_of(instance), serial_number, instance, process, step, state);
        RETURN;
    END IF;
    IF serial_number IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.visits_of(workflow_router.part_of_serial(serial_number), serial_number, instance, process, step, state);
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.visits_all(serial_number, instance, process, step, state);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.visits_of(r_part, serial_number, instance, process, step, state);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(NULL, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
COMMENT ON FUNCTION workflow_router.visits(text, bigint, text, text, text) IS 'Rows of workflow.visits in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.visits AS SELECT * FROM workflow_router.visits();
COMMENT ON VIEW workflow.visits IS 'Where living instances stand: a row for each visit, that is, a token at a step. Of processes that the caller may view.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.waiting(serial_number text DEFAULT NULL, instance bigint DEFAULT NULL, process text DEFAULT NULL, step text DEFAULT NULL) RETURNS SETOF workflow_router.waiting_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF instance IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.waiting_of(workflow_router.part_of(instance), serial_number, instance, process, step);
        RETURN;
    END IF;
    IF serial_number IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.waiting_of(workflow_router.part_of_serial(serial_number), serial_number, instance, process, step);
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.waiting_all(serial_number, instance, process, step);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.waiting_of(r_part, serial_number, instance, process, step);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(NULL, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
COMMENT ON FUNCTION workflow_router.waiting(text, bigint, text, text) IS 'Rows of workflow.waiting in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.waiting AS SELECT * FROM workflow_router.waiting();
COMMENT ON VIEW workflow.waiting IS 'Visits that wait for the outside, for a person or a clock, with what finds them: of processes that the caller may view
  or complete.
Joins, sub-processes, lists and calls, which wait for other tokens, are in workflow.visits alone
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.webhook_starts(process text DEFAULT NULL, business_key text DEFAULT NULL, step text DEFAULT NULL) RETURNS SETOF workflow_router.webhook_starts_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.webhook_starts_all(process, business_key, step);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.webhook_starts_of(r_part, process, business_key, step);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
END $router$;
COMMENT ON FUNCTION workflow_router.webhook_starts(text, text, text) IS 'Rows of workflow.webhook_starts in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.webhook_starts AS SELECT * FROM workflow_router.webhook_starts();
COMMENT ON VIEW workflow.webhook_starts IS 'Webhooks that start an instance, by the latest versions: of processes that the caller may view. workflow.webhook_token
  shows their tokens.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.workers(state text DEFAULT NULL) RETURNS SETOF workflow_router.workers_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.workers_all(state);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.workers_of(r_part, state);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            RETURN NEXT workflow_router.worker_that_is_missing(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
END $router$;
COMMENT ON FUNCTION workflow_router.workers(text) IS 'Rows of workflow.workers in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.workers AS SELECT * FROM workflow_router.workers();
COMMENT ON VIEW workflow.workers IS 'Worker processes of this database, or of all for superusers and members of pg_monitor; and a row without a pid for
  each one that should run and cannot.
Over all shards that answer; shard: the number of the shard in which the row is.';
CREATE FUNCTION workflow_router.write_backs(process text DEFAULT NULL, business_key text DEFAULT NULL, instance bigint DEFAULT NULL) RETURNS SETOF workflow_router.write_backs_row LANGUAGE plpgsql SET client_min_messages = warning AS $router$
#variable_conflict use_variable
DECLARE
    r_part integer;
    r_state text; r_message text; r_detail text; r_hint text;
BEGIN
    IF instance IS NOT NULL THEN
        RETURN QUERY SELECT * FROM workflow_router.write_backs_of(workflow_router.part_of(instance), process, business_key, instance);
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM workflow_router.shard) THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM workflow_router.write_backs_all(process, business_key, instance);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL; -- one by one: those that answer
    END;
    FOR r_part IN SELECT s.part FROM workflow_router.shard s ORDER BY s.shard LOOP
        BEGIN
            RETURN QUERY SELECT * FROM workflow_router.write_backs_of(r_part, process, business_key, instance);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS r_state = RETURNED_SQLSTATE, r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
            PERFORM workflow_router.leave_out(r_part, r_state, r_message, r_detail, r_hint);
        END;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r_message = MESSAGE_TEXT, r_detail = PG_EXCEPTION_DETAIL, r_hint = PG_EXCEPTION_HINT;
    PERFORM workflow_router.again(NULL, SQLSTATE, r_message, r_detail, r_hint);
END $router$;
COMMENT ON FUNCTION workflow_router.write_backs(text, text, bigint) IS 'Rows of workflow.write_backs in those shards that answer, picked where they are; of the others a warning tells. Arguments: values of columns that rows must have; NULL: any';
CREATE VIEW workflow.write_backs AS SELECT * FROM workflow_router.write_backs();
COMMENT ON VIEW workflow.write_backs IS 'What rows of attached tables should show of their instances and do not yet. Of the caller''s tables, and processes that
  he may view.
Workers try again, after pauses of a second up to an hour; workflow.write_back has them try now
Over all shards that answer; shard: the number of the shard in which the row is.';
COMMENT ON COLUMN workflow.attachments.relation IS 'The attached table';
COMMENT ON COLUMN workflow.attachments.process IS 'Name of the process that a new row starts';
COMMENT ON COLUMN workflow.attachments.serial_column IS 'Column that shows the serial number of the callback that is waited for; NULL: none does';
COMMENT ON COLUMN workflow.attachments.serial_step IS 'Step whose wait that is; NULL: the oldest one counts';
COMMENT ON COLUMN workflow.attachments.status_column IS 'Column that shows the status of the instance; NULL: none does';
COMMENT ON COLUMN workflow.attachments.instance_column IS 'Column that shows the number of the instance; NULL: none does';
COMMENT ON COLUMN workflow.attachments.result_columns IS 'Columns that show something of the data, {"column": "jsonpath", ...}; NULL: none do';
COMMENT ON COLUMN workflow.attachments.condition IS 'Predicate over a new row, a jsonpath: only rows that meet it start an instance; NULL: all do';
COMMENT ON COLUMN workflow.attachments.on_update IS 'set_data: what an UPDATE changes in a row is merged into the data of its instance; ignore: nothing happens';
COMMENT ON COLUMN workflow.attachments.on_delete IS 'cancel: the instance of a row that is deleted is cancelled; ignore: nothing happens';
COMMENT ON COLUMN workflow.attachments.trust IS 'Whether code of other roles that the table brings with it runs with the rights of its owner';
COMMENT ON COLUMN workflow.attachments.replicated IS 'Whether logical replication brings its rows';
COMMENT ON COLUMN workflow.attachments.show_in IS 'The table in which rows of the same keys show their instances; NULL: the attached one itself';
COMMENT ON COLUMN workflow.attempts.serial_number IS 'Serial number of the visit';
COMMENT ON COLUMN workflow.attempts.instance IS 'Number of the instance';
COMMENT ON COLUMN workflow.attempts.process IS 'Name of the process';
COMMENT ON COLUMN workflow.attempts.attempt IS 'Number of the attempt, from 1; begins again when an incident is retried';
COMMENT ON COLUMN workflow.attempts.started_at IS 'When the attempt began, or the incident';
COMMENT ON COLUMN workflow.attempts.ended_at IS 'When it was answered or given up; when the incident ended';
COMMENT ON COLUMN workflow.attempts.http_status IS 'HTTP status of the answer; NULL: there was none, or the step has no "http"';
COMMENT ON COLUMN workflow.attempts.error IS 'What went wrong: {code, message, http_status, sqlstate, attempt}; NULL: it succeeded';
COMMENT ON COLUMN workflow.attempts.incident IS 'Whether the row is no attempt, but an incident that is over';
COMMENT ON COLUMN workflow.attempts.ended_with IS 'Call that ended the incident: retry, skip, complete, fail, move, cancel_visit or cancel; NULL: none of these, or no
  incident';
COMMENT ON COLUMN workflow.attempts.ended_by IS 'Role that made that call; NULL: none';
COMMENT ON COLUMN workflow.attempts.span_id IS 'Span of the attempt in the trace of its instance, 16 hexadecimal digits; NULL: the row is an incident';
COMMENT ON COLUMN workflow.audit.at IS 'When the call was made';
COMMENT ON COLUMN workflow.audit.role IS 'Role whose rights counted';
COMMENT ON COLUMN workflow.audit.session_role IS 'Role that had logged in; of a SQL step the owner of its process';
COMMENT ON COLUMN workflow.audit.call IS 'Function that was called: suspend, resume, suspend_process, resume_process, set_data, extend, move, migrate, cancel,
  cancel_visit, retry, skip, rerun, erase, resend, claim, unclaim, reassign, release, define, undefine, grant_process,
  revoke_process, attach, detach or adopt';
COMMENT ON COLUMN workflow.audit.process IS 'Name of the process that it was about; NULL: none';
COMMENT ON COLUMN workflow.audit.instance IS 'Number of the instance that it was about; NULL: none';
COMMENT ON COLUMN workflow.audit.serial_number IS 'Serial number of the visit that it was about; NULL: none';
COMMENT ON COLUMN workflow.audit.arguments IS 'Its other arguments, by their names; data are left out';
COMMENT ON COLUMN workflow.grants.process IS 'Name of the process';
COMMENT ON COLUMN workflow.grants.role IS 'Role that has the privilege; public: everyone';
COMMENT ON COLUMN workflow.grants.privilege IS 'start: start instances, change their data, cancel them; complete: finish what waits; view: see instances; admin: all
  of these, and the calls of operators';
COMMENT ON COLUMN workflow.grants.step IS 'Step for which complete is given; NULL: the privilege is on the whole process';
COMMENT ON COLUMN workflow.history.serial_number IS 'Serial number of the visit';
COMMENT ON COLUMN workflow.history.instance IS 'Number of the instance';
COMMENT ON COLUMN workflow.history.process IS 'Name of the process';
COMMENT ON COLUMN workflow.history.step IS 'Step of the process';
COMMENT ON COLUMN workflow.history.outcome IS 'SUCCESS, FAILED, CANCELLED, TIMED_OUT, DIED or SYSTEM_ERROR';
COMMENT ON COLUMN workflow.history.entered_at IS 'When the token came to the step';
COMMENT ON COLUMN workflow.history.ended_at IS 'When the visit ended';
COMMENT ON COLUMN workflow.history.attempts IS 'How many attempts its action took, counted anew when an incident is retried (workflow.attempts has those before)';
COMMENT ON COLUMN workflow.history.result IS 'What the visit brought, $result: {status, initial_response, callback_response, response, cancel_response, error,
  event}';
COMMENT ON COLUMN workflow.history.completed_by IS 'Role whose call was its end: workflow.complete, complete_many, fail, callback or skip; NULL: it ended otherwise';
COMMENT ON COLUMN workflow.history.scope IS 'Serial number of the sub-process in which it lived; NULL: it lived directly in its instance';
COMMENT ON COLUMN workflow.history.webhook IS 'Whether that call came with a token, by workflow.callback: then completed_by is who passed it on';
COMMENT ON COLUMN workflow.history.item IS 'Place of its item in the list of an "each", from 0; NULL: it was for none';
COMMENT ON COLUMN workflow.history.child IS 'Number of the instance that it had called; NULL: none';
COMMENT ON COLUMN workflow.history.span_id IS 'Span of its last attempt in the trace of its instance, 16 hexadecimal digits; NULL: it made none';
COMMENT ON COLUMN workflow.incidents.serial_number IS 'Serial number of the visit: what workflow.retry and workflow.skip take';
COMMENT ON COLUMN workflow.incidents.instance IS 'Number of the instance';
COMMENT ON COLUMN workflow.incidents.process IS 'Name of the process';
COMMENT ON COLUMN workflow.incidents.step IS 'Step of the process';
COMMENT ON COLUMN workflow.incidents.outcome IS 'FAILED: the outside said so; TIMED_OUT, DIED: it was silent too long; SYSTEM_ERROR: the step could not be done';
COMMENT ON COLUMN workflow.incidents.error IS 'What went wrong: {code, message, http_status, sqlstate, attempt}';
COMMENT ON COLUMN workflow.incidents.since IS 'Since when it stands';
COMMENT ON COLUMN workflow.incidents.result IS 'What the visit brought: {status, initial_response, callback_response, response, cancel_response, error, event}; the
  data of workflow.fail are its callback_response';
COMMENT ON COLUMN workflow.incidents.called_by IS 'Serial number of the visit that has called its instance, and waits for the end of that; NULL: none has';
COMMENT ON COLUMN workflow.incidents.item IS 'Place of its item in the list of an "each", from 0; NULL: it is for none';
COMMENT ON COLUMN workflow.instances.instance IS 'Number of the instance: the first half of its serial numbers';
COMMENT ON COLUMN workflow.instances.process IS 'Name of the process';
COMMENT ON COLUMN workflow.instances.version IS 'Version of the process that it follows';
COMMENT ON COLUMN workflow.instances.business_key IS 'What people call it: the key given at start, or the primary key of its row; NULL: it has none';
COMMENT ON COLUMN workflow.instances.status IS 'active: it goes on, or waits; suspended: workflow.suspend holds it; failed: it lives, and has an incident;
completed: it has ended well; aborted: it was cancelled, or ended by its own logic';
COMMENT ON COLUMN workflow.instances.data IS 'Its data, now or at its end';
COMMENT ON COLUMN workflow.instances.started_at IS 'When it was started';
COMMENT ON COLUMN workflow.instances.ended_at IS 'When it ended; NULL: it lives';
COMMENT ON COLUMN workflow.instances.error IS 'Why it was aborted: {code, message, http_status, sqlstate, attempt}; NULL: it was not';
COMMENT ON COLUMN workflow.instances.cancel_reason IS 'Why it is being cancelled, while its steps still end; empty: no reason was given; NULL: it is not being cancelled, or
  has ended';
COMMENT ON COLUMN workflow.instances.called_by IS 'Serial number of the visit of another instance that has called it, by "call", and waits for its end; NULL: none has';
COMMENT ON COLUMN workflow.instances.parent IS 'Number of the instance that has called it; NULL: none has';
COMMENT ON COLUMN workflow.instances.root IS 'Number of the first of the instances that have called each other down to this one; NULL: none has called it';
COMMENT ON COLUMN workflow.instances.rerun_of IS 'Number of the ended instance that it began once more, by workflow.rerun; NULL: none';
COMMENT ON COLUMN workflow.instances.trace_id IS 'Trace to which its requests belong (W3C Trace Context): 32 hexadecimal digits';
COMMENT ON COLUMN workflow.instances.traceparent IS 'What it was given of a trace at start, by workflow.traceparent or by the visit that has called it; NULL: nothing, its
  trace is its own';
COMMENT ON COLUMN workflow.late_callbacks.serial_number IS 'Serial number of the visit that had ended';
COMMENT ON COLUMN workflow.late_callbacks.instance IS 'Number of its instance';
COMMENT ON COLUMN workflow.late_callbacks.process IS 'Name of the process';
COMMENT ON COLUMN workflow.late_callbacks.received_at IS 'When the call came';
COMMENT ON COLUMN workflow.late_callbacks.role IS 'Role that called';
COMMENT ON COLUMN workflow.late_callbacks.data IS 'What it brought: the data of workflow.complete; {code, message, data} of workflow.fail; {truncated, bytes, text} if
  that was larger than 8 kB';
COMMENT ON COLUMN workflow.late_callbacks.webhook IS 'Whether the call came with a token, by workflow.callback: then role is who passed it on';
COMMENT ON COLUMN workflow.message_starts.name IS 'Name of the message';
COMMENT ON COLUMN workflow.message_starts.key IS 'Key that the message has to have; NULL: none';
COMMENT ON COLUMN workflow.message_starts.process IS 'Name of the process';
COMMENT ON COLUMN workflow.message_starts.version IS 'Its latest version, which the instance follows';
COMMENT ON COLUMN workflow.message_starts.business_key IS 'Template of the business key; NULL: it has none';
COMMENT ON COLUMN workflow.message_starts.step IS 'Step at which the instance begins; NULL: the first one';
COMMENT ON COLUMN workflow.message_starts.queued IS 'How many messages are on their way to start one, and have not yet';
COMMENT ON COLUMN workflow.messages.message IS 'Number of the message: what workflow.withdraw_message takes';
COMMENT ON COLUMN workflow.messages.name IS 'Name of the message';
COMMENT ON COLUMN workflow.messages.key IS 'Key of the message; NULL: it has none';
COMMENT ON COLUMN workflow.messages.message_id IS 'What its sender calls it, so that it is not delivered twice; NULL: nothing';
COMMENT ON COLUMN workflow.messages.sender IS 'Role that sent it';
COMMENT ON COLUMN workflow.messages.sent_at IS 'When it was sent';
COMMENT ON COLUMN workflow.messages.expires_at IS 'Until when it is kept';
COMMENT ON COLUMN workflow.messages.data IS 'Data of the message; NULL: it has none';
COMMENT ON COLUMN workflow.metrics.name IS 'What is counted or measured: instances, visits, waiting, incidents, due, late_seconds and so on';
COMMENT ON COLUMN workflow.metrics.labels IS 'What the value is of, an object of texts: process, step, state, server and the like; never a key, a number or data of
  an instance';
COMMENT ON COLUMN workflow.metrics.value IS 'How many; seconds, if the name ends with _seconds. What is counted of servers counts since the start of the database
  server';
COMMENT ON COLUMN workflow.operations.operation IS 'Number of the operation: what workflow.last_operation gives, and workflow.resend takes';
COMMENT ON COLUMN workflow.operations.call IS 'Function that was called: start, set_data, complete and so on';
COMMENT ON COLUMN workflow.operations.process IS 'Name of the process that it is about; NULL: it is about none';
COMMENT ON COLUMN workflow.operations.instance IS 'Number of the instance that it is about; of start, the number that the new one gets; NULL: it is about none';
COMMENT ON COLUMN workflow.operations.serial_number IS 'Serial number of the visit that it is about; NULL: it is about none';
COMMENT ON COLUMN workflow.operations.role IS 'Role that called, with whose rights the call is carried out';
COMMENT ON COLUMN workflow.operations.requested_at IS 'When it was called';
COMMENT ON COLUMN workflow.operations.done_at IS 'When it was carried out, or has failed; NULL: it is pending';
COMMENT ON COLUMN workflow.operations.state IS 'pending: an executor will carry it out; done: it was; failed: nothing of it has happened, and error says why';
COMMENT ON COLUMN workflow.operations.error IS 'Error with which it has failed: {sqlstate, message, detail, hint}; NULL: it has not';
COMMENT ON COLUMN workflow.operations.answer IS 'What the call has returned, as text: true, false, the number of an instance, how a message has gone; NULL: nothing yet';
COMMENT ON COLUMN workflow.operations.blocked_by IS 'Why no executor carries out a pending one: as blocked_by of workflow.visits. NULL: nothing is known to be in the way';
COMMENT ON COLUMN workflow.operations.callback_url IS 'URL to which data and status are posted once the instance rests, shown to who has the rights of the caller; NULL: none';
COMMENT ON COLUMN workflow.operations.callback_state IS 'pending: the instance does not rest yet; sending: a request is due, under way, or will be tried again; sent: it was
  answered;
failed: workflow.resend tries it again; cancelled: its callback_instance was; none: the call has failed; NULL: no
  callback was asked for';
COMMENT ON COLUMN workflow.operations.callback_error IS 'Why the last attempt to post it has failed; NULL: it has not';
COMMENT ON COLUMN workflow.operations.callback_instance IS 'Number of the instance that posts it, which workflow.history, attempts and incidents tell of; NULL: none yet';
COMMENT ON COLUMN workflow.processes.process IS 'Name of the process';
COMMENT ON COLUMN workflow.processes.version IS 'Version, counted from 1';
COMMENT ON COLUMN workflow.processes.owner IS 'Role that owns the process: its steps run with the rights of that';
COMMENT ON COLUMN workflow.processes.definition IS 'Definition, as it was written';
COMMENT ON COLUMN workflow.processes.defined_at IS 'When the version was defined';
COMMENT ON COLUMN workflow.processes.latest IS 'Whether new instances follow this version; false for all versions of a process that was undefined';
COMMENT ON COLUMN workflow.processes.suspended IS 'Whether workflow.suspend_process holds the process: then new instances start suspended';
COMMENT ON COLUMN workflow.refused_rows.relation IS 'The attached table';
COMMENT ON COLUMN workflow.refused_rows.process IS 'Name of the process';
COMMENT ON COLUMN workflow.refused_rows.business_key IS 'Primary key of the row; NULL: all rows, by TRUNCATE';
COMMENT ON COLUMN workflow.refused_rows.operation IS 'What has become of it: insert, update, delete or truncate';
COMMENT ON COLUMN workflow.refused_rows.since IS 'When that came';
COMMENT ON COLUMN workflow.refused_rows.sqlstate IS 'SQLSTATE of the error';
COMMENT ON COLUMN workflow.refused_rows.error IS 'Why it could not be brought to its instance';
COMMENT ON COLUMN workflow.servers.server IS 'Name of the server';
COMMENT ON COLUMN workflow.servers.url IS 'URL of the service; NULL: the server was dropped';
COMMENT ON COLUMN workflow.servers.state IS 'ok: requests are sent; tripped: its breaker holds all of them back, since too many have failed; probing: a few are
  sent to see whether it is well again;
paused: nothing is sent, since its max_in_flight is 0; dropped: there is no server of that name, and visits wait until
  there is one';
COMMENT ON COLUMN workflow.servers.in_flight IS 'How many requests are under way';
COMMENT ON COLUMN workflow.servers.parked IS 'How many requests are due and held back';
COMMENT ON COLUMN workflow.servers.requests IS 'How many requests were sent';
COMMENT ON COLUMN workflow.servers.failures IS 'How many of them have failed: no answer, or one that is not 2xx';
COMMENT ON COLUMN workflow.servers.retries IS 'How many of them were sent again';
COMMENT ON COLUMN workflow.servers.p50 IS 'Time in milliseconds within which half of its requests were answered; NULL: none was';
COMMENT ON COLUMN workflow.servers.p99 IS 'Time in milliseconds within which 99 of 100 of its requests were answered; NULL: none was';
COMMENT ON COLUMN workflow.servers.since IS 'Since when its breaker is in that state; NULL: since the dispatcher was started';
COMMENT ON COLUMN workflow.servers.until IS 'When a tripped one is tried again; NULL: it is not tripped, or not before its option breaker is changed';
COMMENT ON COLUMN workflow.servers.error IS 'The failure because of which its breaker has tripped; NULL: it has not';
COMMENT ON COLUMN workflow.servers.p95 IS 'Time in milliseconds within which 95 of 100 of its requests were answered; NULL: none was';
COMMENT ON COLUMN workflow.servers.token_requests IS 'How many requests for tokens were sent for its user mappings, which are not among requests';
COMMENT ON COLUMN workflow.servers.token_failures IS 'How many of them brought no token';
COMMENT ON COLUMN workflow.subscriptions.serial_number IS 'Serial number of the visit';
COMMENT ON COLUMN workflow.subscriptions.instance IS 'Number of the instance';
COMMENT ON COLUMN workflow.subscriptions.process IS 'Name of the process';
COMMENT ON COLUMN workflow.subscriptions.step IS 'Step of the process';
COMMENT ON COLUMN workflow.subscriptions.kind IS 'message, signal or condition';
COMMENT ON COLUMN workflow.subscriptions.name IS 'Name of the message or signal; NULL: a condition';
COMMENT ON COLUMN workflow.subscriptions.key IS 'Key that the message has to have; NULL: none';
COMMENT ON COLUMN workflow.subscriptions.interrupt IS 'Whether the handler ends the visit when it begins; NULL: it is the visit itself that waits';
COMMENT ON COLUMN workflow.subscriptions.since IS 'Since when the visit waits; of handlers since when it is there';
COMMENT ON COLUMN workflow.subscriptions.queued IS 'How many messages or signals are on their way to it: they come when its instance is free, or resumed';
COMMENT ON COLUMN workflow.tasks.serial_number IS 'Serial number of the visit: what workflow.claim and workflow.complete take';
COMMENT ON COLUMN workflow.tasks.instance IS 'Number of the instance';
COMMENT ON COLUMN workflow.tasks.process IS 'Name of the process';
COMMENT ON COLUMN workflow.tasks.step IS 'Step of the process';
COMMENT ON COLUMN workflow.tasks.title IS 'What is to be done';
COMMENT ON COLUMN workflow.tasks.assignee IS 'Role that has the task; NULL: nobody has it yet';
COMMENT ON COLUMN workflow.tasks.person IS 'Person within that role, as the role says; NULL: it says none';
COMMENT ON COLUMN workflow.tasks.roles IS 'Roles whose members may claim the task while nobody has it';
COMMENT ON COLUMN workflow.tasks.due IS 'By when it is to be done, which is shown and ends nothing; NULL: no time was given';
COMMENT ON COLUMN workflow.tasks.since IS 'Since when the task is there';
COMMENT ON COLUMN workflow.tasks.claimed_at IS 'When it was claimed; NULL: it was not';
COMMENT ON COLUMN workflow.tasks.data IS 'What whoever does it gets to see';
COMMENT ON COLUMN workflow.tasks.suspended IS 'Whether its instance is suspended: the task can be done, and the process goes on once that is resumed';
COMMENT ON COLUMN workflow.topics.topic IS 'Topic: what workflow.fetch takes';
COMMENT ON COLUMN workflow.topics.ready IS 'How many pieces of work can be fetched now';
COMMENT ON COLUMN workflow.topics.locked IS 'How many workers have fetched, so that nobody else gets them meanwhile';
COMMENT ON COLUMN workflow.topics.oldest IS 'Since when the oldest of those that can be fetched is offered; NULL: there is none';
COMMENT ON COLUMN workflow.topics.paused IS 'How many nobody can fetch yet: their instance is suspended, or they have failed and wait for the delay of their
  "retry"';
COMMENT ON COLUMN workflow.visits.serial_number IS 'Serial number of the visit: what workflow.complete, retry and other calls take';
COMMENT ON COLUMN workflow.visits.instance IS 'Number of the instance';
COMMENT ON COLUMN workflow.visits.process IS 'Name of the process';
COMMENT ON COLUMN workflow.visits.step IS 'Step of the process';
COMMENT ON COLUMN workflow.visits.state IS 'waiting: for the event that waits_for says; calling: its request or SQL is due or under way; retrying: in the pause
  before the next attempt;
ready: a worker is to move it on; cancelling: its service is being asked to stop; incident: it ended badly, and stands
  until a person acts';
COMMENT ON COLUMN workflow.visits.attempt IS 'How many attempts were answered or have failed; 0 during the first';
COMMENT ON COLUMN workflow.visits.due_at IS 'When a worker takes it up: for the next attempt, or for its clock. NULL: the outside or a person has to act.
A time that has passed: it is under work, or blocked_by says why not';
COMMENT ON COLUMN workflow.visits.deadline IS 'When the "timeout" of its step ends it; NULL: there is none';
COMMENT ON COLUMN workflow.visits.waits_for IS 'What a waiting one waits for: callback, message, signal, condition, task, topic (work that is fetched), after or until
  (clocks), or several of them (callback, after);
join: other tokens; steps: it is a sub-process in which tokens live; each: it goes through a list of items; call: the
  end of the instance in child';
COMMENT ON COLUMN workflow.visits.blocked_by IS 'Why no worker goes on with it, although it is due. NULL: nothing is known to be in the way.
A person has to act: suspended (workflow.resume); server paused (its max_in_flight is 0); server dropped; paused
  (workflow.adopt: the database is a copy, or workflow.start_paused is on); worker slot (max_worker_processes is used
  up); dispatcher (none runs here)
It ends by itself: lock (a transaction holds its instance, or what its step needs); server tripped (its breaker holds
  requests back); server full (max_in_flight); server rate; token (is being asked for, or could not be had);
  connections (workflow.max_connections_http); executors (all are busy)
Tried again until it works: disk, memory, resources (connections, descriptors), conflict (serialization failure,
  deadlock), server (one was shutting down); known for at most 128 visits of a database';
COMMENT ON COLUMN workflow.visits.error IS 'Error of its last attempt or of its incident, or because of which it is blocked: {code, message, http_status,
  sqlstate, attempt}';
COMMENT ON COLUMN workflow.visits.scope IS 'Serial number of the sub-process in which it lives; NULL: it lives directly in its instance';
COMMENT ON COLUMN workflow.visits.called_back IS 'Whether a callback, message or signal was accepted as its end, which waits for the answer of its request or statement,
  or, of a callback, for its instance to be resumed';
COMMENT ON COLUMN workflow.visits.local IS 'Fields of a sub-process ("local"), as they are now; NULL: it has none';
COMMENT ON COLUMN workflow.visits.item IS 'Place of its item in the list of an "each", from 0; NULL: it is for none';
COMMENT ON COLUMN workflow.visits.child IS 'Number of the instance that it has called, and for whose end it waits; NULL: none';
COMMENT ON COLUMN workflow.waiting.serial_number IS 'Serial number of the visit: what workflow.complete takes';
COMMENT ON COLUMN workflow.waiting.instance IS 'Number of the instance';
COMMENT ON COLUMN workflow.waiting.process IS 'Name of the process';
COMMENT ON COLUMN workflow.waiting.step IS 'Step of the process';
COMMENT ON COLUMN workflow.waiting.waits_for IS 'What it waits for, callback first if there are several: callback, message, signal, condition, task, topic (work that
  is fetched), after or until (clocks);
cancel: the callback that confirms a cancel request';
COMMENT ON COLUMN workflow.waiting.since IS 'Since when it waits';
COMMENT ON COLUMN workflow.waiting.deadline IS 'When the "timeout" of its step ends it, which workflow.extend moves; NULL: there is none';
COMMENT ON COLUMN workflow.waiting.progress IS 'What the last workflow.heartbeat has reported; NULL: nothing';
COMMENT ON COLUMN workflow.waiting.until IS 'When it ends at the latest if nothing comes: the earliest of deadline, heartbeat_deadline, its clock, and handlers
  that end it at a time; NULL: never';
COMMENT ON COLUMN workflow.waiting.heartbeat_deadline IS 'When the "heartbeat" of its step ends it, unless workflow.heartbeat is called before; NULL: there is none, or its
  instance is suspended';
COMMENT ON COLUMN workflow.waiting.name IS 'Name of the message or signal that it waits for, of several of the first one (all are in workflow.subscriptions), or
  the topic of its work; NULL: there is none';
COMMENT ON COLUMN workflow.waiting.key IS 'Key that this message has to have; NULL: it has to have none';
COMMENT ON COLUMN workflow.waiting.item IS 'Place of its item in the list of an "each", from 0; NULL: it is for none';
COMMENT ON COLUMN workflow.waiting.worker IS 'Worker that has fetched its work; NULL: none has';
COMMENT ON COLUMN workflow.waiting.locked_until IS 'Until when nobody else can fetch that work; NULL: no worker has it';
COMMENT ON COLUMN workflow.webhook_starts.name IS 'Name of the webhook';
COMMENT ON COLUMN workflow.webhook_starts.process IS 'Name of the process';
COMMENT ON COLUMN workflow.webhook_starts.version IS 'Its latest version, which the instance follows';
COMMENT ON COLUMN workflow.webhook_starts.signature IS 'Kind of signature that what comes has to have; NULL: the token is all that is needed';
COMMENT ON COLUMN workflow.webhook_starts.server IS 'Server whose user mapping, that of the owner of the process, has the secret of the signature; NULL: there is no
  signature';
COMMENT ON COLUMN workflow.webhook_starts.idempotency_header IS 'Header by which a delivery that comes again is known; NULL: idempotency_key says';
COMMENT ON COLUMN workflow.webhook_starts.idempotency_key IS 'Template of the key by which it is known; NULL: idempotency_header says';
COMMENT ON COLUMN workflow.webhook_starts.business_key IS 'Template of the business key; NULL: it has none';
COMMENT ON COLUMN workflow.webhook_starts.step IS 'Step at which the instance begins; NULL: the first one';
COMMENT ON COLUMN workflow.workers.kind IS 'launcher: starts the others, one for the server; dispatcher: requests and clocks, one for a database; executor: SQL
  steps, notifications, write-backs, upkeep';
COMMENT ON COLUMN workflow.workers.pid IS 'Process ID, as in pg_stat_activity; NULL: there is no process, and state says why';
COMMENT ON COLUMN workflow.workers.database IS 'Database that it works for; NULL: it is the launcher';
COMMENT ON COLUMN workflow.workers.started_at IS 'When it was started; NULL: there is no process';
COMMENT ON COLUMN workflow.workers.in_flight IS 'How much it has under way: requests of a dispatcher, steps of an executor';
COMMENT ON COLUMN workflow.workers.handled IS 'How many pieces of work it has done since it was started';
COMMENT ON COLUMN workflow.workers.state IS 'starting; running; idle: an executor that waits for work, and leaves after a while; paused: a copy, or paused:
  workflow.start_paused: nothing is sent until workflow.adopt();
no free worker slot: there is work, and max_worker_processes is used up; no place: as many other databases have
  workers as workflow.databases allows (shown in this database alone)';
COMMENT ON COLUMN workflow.workers.role IS 'Role that an executor serves as long as it lives; NULL: it has upkeep to do, or work of a role that is gone';
COMMENT ON COLUMN workflow.workers.error IS 'What upkeep of its database cannot do, with the reason for superusers and members of pg_monitor; NULL: all is well';
COMMENT ON COLUMN workflow.write_backs.relation IS 'The attached table';
COMMENT ON COLUMN workflow.write_backs.process IS 'Name of the process';
COMMENT ON COLUMN workflow.write_backs.business_key IS 'Primary key of the row';
COMMENT ON COLUMN workflow.write_backs.instance IS 'Number of the instance, which may have ended';
COMMENT ON COLUMN workflow.write_backs.since IS 'Since when the row does not show what it should';
COMMENT ON COLUMN workflow.write_backs.error IS 'Why the row could not be written the last time; NULL: it was not tried yet';
COMMENT ON COLUMN workflow.attachments.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.attempts.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.audit.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.grants.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.history.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.incidents.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.instances.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.late_callbacks.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.message_starts.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.messages.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.metrics.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.operations.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.processes.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.refused_rows.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.servers.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.subscriptions.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.tasks.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.topics.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.visits.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.waiting.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.webhook_starts.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.workers.shard IS 'Number of the shard in which the row is';
COMMENT ON COLUMN workflow.write_backs.shard IS 'Number of the shard in which the row is';
GRANT SELECT ON ALL TABLES IN SCHEMA workflow TO PUBLIC;
