--
-- Settings of SQL steps and write-backs: the time zone of define, and what ALTER ROLE gave the owner.
--
CREATE SCHEMA sql_settings;
SET search_path = sql_settings;

-- Start one, wait until it has ended or stands at a clock, and show what its SQL has seen.
CREATE PROCEDURE run(process text, data jsonb DEFAULT '{}', INOUT result jsonb DEFAULT NULL, INOUT until timestamptz DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
    i bigint := workflow.start(process, data);
BEGIN
    COMMIT;
    FOR n IN 1 .. 2000 LOOP
        SELECT w.until INTO until FROM workflow.waiting w WHERE instance = i;
        EXIT WHEN FOUND OR EXISTS (SELECT FROM workflow.instances WHERE instance = i AND status <> 'active');
        PERFORM pg_sleep(0.01);
        COMMIT;
    END LOOP;
    SELECT t.data -> 'seen' INTO result FROM workflow.instances t WHERE instance = i;
END $$;

-- an author in New York: his SQL reads times as his clocks do, whoever starts it
SET TimeZone = 'America/New_York';
SELECT workflow.define('settings: zone', '{"steps": [
  {"step": "sql", "sql": "SELECT current_setting(''TimeZone'') AS zone, (visit.data->>''at'')::timestamptz = timestamptz ''2027-01-15 23:00+00'' AS same, timestamptz ''2026-12-01 02:00+00''::date AS day",
   "save_reply": {"seen": "${$reply.row}"}},
  {"step": "clock", "wait": {"until": "${$.at}"}}]}');
SET TimeZone = 'UTC';
CALL run('settings: zone', '{"at": "2027-01-15 18:00"}');
-- the same definition from elsewhere is another version
SET TimeZone = 'Asia/Tokyo';
SELECT workflow.define('settings: zone', '{"steps": [
  {"step": "sql", "sql": "SELECT current_setting(''TimeZone'') AS zone, (visit.data->>''at'')::timestamptz = timestamptz ''2027-01-15 23:00+00'' AS same, timestamptz ''2026-12-01 02:00+00''::date AS day",
   "save_reply": {"seen": "${$reply.row}"}},
  {"step": "clock", "wait": {"until": "${$.at}"}}]}');
SET TimeZone = 'UTC';
CALL run('settings: zone', '{"at": "2027-01-16 08:00"}');

-- days of 23 and of 25 hours, an hour that is not and one that is twice
SET TimeZone = 'Europe/Berlin';
SELECT workflow.define('settings: dst', '{"steps": [
  {"step": "sql", "sql": "SELECT (visit.data->>''day'')::timestamptz + interval ''1 day'' - (visit.data->>''day'')::timestamptz AS length, (visit.data->>''at'')::timestamptz AS at",
   "save_reply": {"seen": "${$reply.row}"}},
  {"step": "clock", "wait": {"until": "${$.at}"}}]}');
SET TimeZone = 'UTC';
CALL run('settings: dst', '{"day": "2027-03-28", "at": "2027-03-28 02:30"}');
CALL run('settings: dst', '{"day": "2027-10-31", "at": "2027-10-31 02:30"}');
CALL run('settings: dst', '{"day": "2027-10-30", "at": "2027-10-31 04:30"}');

-- what ALTER ROLE gave the owner: his own, in this database before others; not what is the worker's
CREATE ROLE settings_owner LOGIN;
GRANT USAGE ON SCHEMA workflow, sql_settings TO settings_owner;
GRANT EXECUTE ON FUNCTION workflow.define TO settings_owner;
SET app.tenant = ''; -- it has a name before roles may set it
ALTER ROLE settings_owner SET app.tenant = 'seven';
ALTER ROLE settings_owner SET app.region = 'north';
SELECT format('ALTER ROLE settings_owner IN DATABASE %I SET app.region = %L', current_database(), 'south') AS command \gset
:command;
ALTER ROLE settings_owner SET TimeZone = 'Asia/Tokyo';
ALTER ROLE settings_owner SET DateStyle = 'German';
ALTER ROLE settings_owner SET work_mem = '7MB';
ALTER ROLE settings_owner SET log_min_messages = 'error'; -- only superusers may
ALTER ROLE settings_owner SET search_path = 'public';
ALTER ROLE settings_owner SET statement_timeout = '1ms';
ALTER ROLE settings_owner SET lock_timeout = '1ms';
ALTER ROLE settings_owner SET session_replication_role = 'replica';
ALTER ROLE settings_owner SET row_security = off;
ALTER ROLE settings_owner SET exit_on_error = on;
ALTER ROLE settings_owner SET synchronous_commit = off;
ALTER ROLE settings_owner SET default_transaction_read_only = on;
ALTER ROLE settings_owner SET workflow.callback_base = 'https://elsewhere.example.com';
CREATE FUNCTION seen(VARIADIC names text[]) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg(name, current_setting(name, true)) FROM unnest(names) AS name $$;
SET ROLE settings_owner;
SELECT workflow.define('settings: role', '{"steps": [{"step": "sql", "sql": "SELECT pg_sleep(0.01)::text AS slept, seen(''app.tenant'', ''app.region'', ''TimeZone'', ''work_mem'', ''log_min_messages'') AS holds, to_char(1, ''9'') || date ''2027-01-15'' AS german, seen(''search_path'', ''statement_timeout'', ''lock_timeout'', ''session_replication_role'', ''row_security'', ''exit_on_error'', ''synchronous_commit'', ''workflow.callback_base'', ''transaction_read_only'', ''is_superuser'') AS ours",
   "save_reply": {"seen": "${$reply.row}"}}]}');
RESET ROLE;
CALL run('settings: role') \gset
SELECT jsonb_pretty(:'result'::jsonb);
-- another role has none of them, in the same worker perhaps
SELECT workflow.define('settings: none', '{"steps": [{"step": "sql", "sql": "SELECT seen(''TimeZone'', ''DateStyle'', ''work_mem'') AS usual, coalesce(current_setting(''app.tenant'', true), '''') AS tenant",
   "save_reply": {"seen": "${$reply.row}"}}]}');
CALL run('settings: none');

-- triggers of attached tables find in write-backs what they find in a session of the table's owner
SELECT workflow.define('settings: row', '{"steps": [{"step": "a", "wait": true}]}');
CREATE TABLE orders (id bigint PRIMARY KEY, sn text, note text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.note := concat_ws(' ', current_setting('app.tenant', true), current_setting('TimeZone'), current_setting('session_replication_role'));
    RETURN new;
END $$;
CREATE TRIGGER note BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION note();
SELECT workflow.grant_process('settings: row', 'settings_owner', 'start');
SELECT workflow.attach('orders', 'settings: row', serial_column => 'sn') > 0 AS attached;
ALTER TABLE orders OWNER TO settings_owner;
INSERT INTO orders VALUES (1);
SELECT workflow.complete(sn) FROM orders;
CALL test.until($$SELECT note IS NOT NULL FROM sql_settings.orders$$);
SELECT note, sn FROM orders;

SELECT count(workflow.cancel(instance)) > 0 AS cancelled FROM workflow.instances WHERE process LIKE 'settings:%' AND ended_at IS NULL;
DROP TABLE orders;
ALTER ROLE settings_owner RESET ALL;
SELECT format('ALTER ROLE settings_owner IN DATABASE %I RESET ALL', current_database()) AS command \gset
:command;
SET client_min_messages = warning;
DROP OWNED BY settings_owner;
DROP ROLE settings_owner;
DROP SCHEMA sql_settings CASCADE;
