-- Waiting for an instance; the worker processes, and the servers that they call.

CREATE PROCEDURE workflow.wait_for(instance bigint, timeout interval DEFAULT NULL, INOUT status text DEFAULT NULL,
                                   step text DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_wait_for';
COMMENT ON PROCEDURE workflow.wait_for(bigint, interval, text, text) IS
'Blocks, without polling and without a snapshot, until an instance has ended (completed, aborted, or failed: it has an
  incident), has a status, or has come to a step; gives the status that it has then.
instance: its number. timeout: an interval, how long at most; NULL: for ever. status: which one, beside those; NULL:
  none. step: which one: it waits there, is an incident, or was left; NULL: none.
Errors: 25001 inside a transaction block; 57014 the timeout has passed; 42704 no such instance, or no such step in its
  version; 22023 a negative timeout, or no such status; 42501 needs view or start.';

CREATE FUNCTION workflow_data.workers(OUT kind text, OUT pid integer, OUT database name, OUT started_at timestamptz,
                                 OUT in_flight integer, OUT handled bigint, OUT state text, OUT role name, OUT error text)
    RETURNS SETOF record LANGUAGE c VOLATILE ROWS 10 AS 'MODULE_PATHNAME', 'workflow_workers';
COMMENT ON FUNCTION workflow_data.workers() IS
'Worker processes that run now, and a row, without a pid, for each copy, in place of its dispatcher, and in place of those for which no worker slot is free: those of this database, or of all for superusers and members of pg_monitor';

CREATE VIEW workflow.workers AS
    SELECT kind, pid, database, started_at, in_flight, handled, state, role, error FROM workflow_data.workers();
COMMENT ON VIEW workflow.workers IS
'Worker processes of this database, or of all for superusers and members of pg_monitor; and a row without a pid for
  each one that should run and cannot.';
COMMENT ON COLUMN workflow.workers.kind IS
'launcher: starts the others, one for the server; dispatcher: requests and clocks, one for a database; executor: SQL
  steps, notifications, write-backs, upkeep';
COMMENT ON COLUMN workflow.workers.pid IS 'Process ID, as in pg_stat_activity; NULL: there is no process, and state says why';
COMMENT ON COLUMN workflow.workers.database IS 'Database that it works for; NULL: it is the launcher';
COMMENT ON COLUMN workflow.workers.started_at IS 'When it was started; NULL: there is no process';
COMMENT ON COLUMN workflow.workers.in_flight IS 'How much it has under way: requests of a dispatcher, steps of an executor';
COMMENT ON COLUMN workflow.workers.handled IS 'How many pieces of work it has done since it was started';
COMMENT ON COLUMN workflow.workers.state IS
'starting; running; idle: an executor that waits for work, and leaves after a while; paused: a copy, or paused:
  workflow.start_paused: nothing is sent until workflow.adopt();
no free worker slot: there is work, and max_worker_processes is used up; no place: as many other databases have
  workers as workflow.databases allows (shown in this database alone)';
COMMENT ON COLUMN workflow.workers.role IS 'Role that an executor serves as long as it lives; NULL: it has upkeep to do, or work of a role that is gone';
COMMENT ON COLUMN workflow.workers.error IS 'What upkeep of its database cannot do, with the reason for superusers and members of pg_monitor; NULL: all is well';

CREATE FUNCTION workflow_data.servers(OUT server text, OUT state text, OUT in_flight integer,
                                 OUT requests bigint, OUT failures bigint, OUT retries bigint,
                                 OUT p50 double precision, OUT p99 double precision,
                                 OUT since timestamptz, OUT until timestamptz, OUT error text, OUT p95 double precision,
                                 OUT trips bigint, OUT token_requests bigint, OUT token_failures bigint)
    RETURNS SETOF record LANGUAGE c VOLATILE ROWS 10 AS 'MODULE_PATHNAME', 'workflow_servers';
COMMENT ON FUNCTION workflow_data.servers() IS
'Counters of the servers called from this database since the start of the database server: those that the caller may use, or all for members of pg_monitor';

CREATE FUNCTION workflow_data.server_failures(OUT server text, OUT kind text, OUT n bigint)
    RETURNS SETOF record LANGUAGE c VOLATILE ROWS 100 AS 'MODULE_PATHNAME', 'workflow_server_failures';
COMMENT ON FUNCTION workflow_data.server_failures() IS
'How many attempts have failed since the start of the database server, by server and kind: of the servers that the caller may use, or of all for members of pg_monitor. For the view workflow.metrics';

CREATE FUNCTION workflow_data.server_latencies(OUT server text, OUT le text, OUT n bigint)
    RETURNS SETOF record LANGUAGE c VOLATILE ROWS 200 AS 'MODULE_PATHNAME', 'workflow_server_latencies';
COMMENT ON FUNCTION workflow_data.server_latencies() IS
'How many requests took at most so many seconds (le) since the start of the database server: of the servers that the caller may use, or of all for members of pg_monitor. For the view workflow.metrics';

-- A dropped server has no catalog row any more, but its visits know its name. OFFSET 0 keeps
-- conditions of the query from being pushed down to where rows have not been hidden yet.
CREATE VIEW workflow.servers AS
    SELECT s.srvname::text AS server,
           (SELECT o.option_value FROM pg_catalog.pg_options_to_table(s.srvoptions) o WHERE o.option_name = 'url') AS url,
           CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_options_to_table(s.srvoptions) o
                             WHERE o.option_name = 'max_in_flight' AND o.option_value = '0')
                THEN 'paused' ELSE coalesce(c.state, 'ok') END AS state,
           coalesce(c.in_flight, 0) AS in_flight,
           greatest((SELECT count(*) FROM workflow_data.visit v
                     WHERE v.queue = 'http ' || s.srvname::text AND v.due_at <= pg_catalog.statement_timestamp()
                           AND v.due_at IS NOT NULL AND NOT v.suspended)
                    - coalesce(c.in_flight, 0), 0)::integer AS parked,
           coalesce(c.requests, 0) AS requests,
           coalesce(c.failures, 0) AS failures,
           coalesce(c.retries, 0) AS retries,
           c.p50,
           c.p99,
           c.since,
           c.until,
           c.error,
           c.p95,
           coalesce(c.token_requests, 0) AS token_requests,
           coalesce(c.token_failures, 0) AS token_failures
    FROM pg_catalog.pg_foreign_server s
         JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
         LEFT JOIN workflow_data.servers() c ON c.server = s.srvname::text
    WHERE w.fdwname = 'workflow_http' AND pg_catalog.has_server_privilege(s.oid, 'USAGE')
    UNION ALL
    SELECT d.server, NULL, 'dropped', 0, d.due::integer, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0
    FROM (SELECT substr(v.queue, length('http ') + 1) AS server, count(*) AS due
          FROM workflow_data.visit v
          WHERE v.queue >= 'http ' AND v.queue < 'http!' AND v.due_at <= pg_catalog.statement_timestamp()
                AND v.due_at IS NOT NULL AND NOT v.suspended
                AND v.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[])
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_foreign_server s
                                WHERE s.srvname::text = substr(v.queue, length('http ') + 1))
          GROUP BY 1
          OFFSET 0) d;
COMMENT ON VIEW workflow.servers IS
'HTTP services: foreign servers of the wrapper workflow_http that the caller may use, with counts since the start of
  the database server; and dropped ones that his processes want to call.';
COMMENT ON COLUMN workflow.servers.server IS 'Name of the server';
COMMENT ON COLUMN workflow.servers.url IS 'URL of the service; NULL: the server was dropped';
COMMENT ON COLUMN workflow.servers.state IS
'ok: requests are sent; tripped: its breaker holds all of them back, since too many have failed; probing: a few are
  sent to see whether it is well again;
paused: nothing is sent, since its max_in_flight is 0; dropped: there is no server of that name, and visits wait until
  there is one';
COMMENT ON COLUMN workflow.servers.in_flight IS 'How many requests are under way';
COMMENT ON COLUMN workflow.servers.parked IS 'How many requests are due and held back';
COMMENT ON COLUMN workflow.servers.requests IS 'How many requests were sent';
COMMENT ON COLUMN workflow.servers.failures IS 'How many of them have failed: no answer, or one that is not 2xx';
COMMENT ON COLUMN workflow.servers.retries IS 'How many of them were sent again';
COMMENT ON COLUMN workflow.servers.p50 IS 'Time in milliseconds within which half of its requests were answered; NULL: none was';
COMMENT ON COLUMN workflow.servers.p95 IS 'Time in milliseconds within which 95 of 100 of its requests were answered; NULL: none was';
COMMENT ON COLUMN workflow.servers.token_requests IS 'How many requests for tokens were sent for its user mappings, which are not among requests';
COMMENT ON COLUMN workflow.servers.token_failures IS 'How many of them brought no token';
COMMENT ON COLUMN workflow.servers.p99 IS 'Time in milliseconds within which 99 of 100 of its requests were answered; NULL: none was';
COMMENT ON COLUMN workflow.servers.since IS 'Since when its breaker is in that state; NULL: since the dispatcher was started';
COMMENT ON COLUMN workflow.servers.until IS 'When a tripped one is tried again; NULL: it is not tripped, or not before its option breaker is changed';
COMMENT ON COLUMN workflow.servers.error IS 'The failure because of which its breaker has tripped; NULL: it has not';
