-- The views for users. Each shows a role only the processes on which it has the privilege view (or
-- admin); the set of these processes is found once for each query. What has ended is in partitions
-- of the history or among its strays.
--
-- The views are security barriers, which the planner replaces by row security of each table
-- (store/view_plan.c): so each table has a column process_id, and leakproof conditions and joins,
-- such as comparisons of numbers, keys and serial numbers, reach the indexes.

CREATE VIEW workflow.processes WITH (security_barrier) AS
    SELECT p.process,
           v.version,
           workflow_data.role_name(p.owner, p.owner_name) AS owner,
           v.definition,
           v.defined_at,
           v.version = p.latest AS latest,
           p.suspended
    FROM workflow_data.process p
         JOIN workflow_data.process_version v USING (process_id)
    WHERE p.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[]);
COMMENT ON VIEW workflow.processes IS
'Processes: a row for each version, of those that the caller may view.';
COMMENT ON COLUMN workflow.processes.process IS 'Name of the process';
COMMENT ON COLUMN workflow.processes.version IS 'Version, counted from 1';
COMMENT ON COLUMN workflow.processes.owner IS 'Role that owns the process: its steps run with the rights of that';
COMMENT ON COLUMN workflow.processes.definition IS 'Definition, as it was written';
COMMENT ON COLUMN workflow.processes.defined_at IS 'When the version was defined';
COMMENT ON COLUMN workflow.processes.latest IS 'Whether new instances follow this version; false for all versions of a process that was undefined';
COMMENT ON COLUMN workflow.processes.suspended IS 'Whether workflow.suspend_process holds the process: then new instances start suspended';

CREATE FUNCTION workflow_data.trace_id(instance bigint, started_at timestamptz, traceparent text) RETURNS text
    LANGUAGE c STABLE PARALLEL RESTRICTED COST 10 AS 'MODULE_PATHNAME', 'workflow_trace_id';
COMMENT ON FUNCTION workflow_data.trace_id(bigint, timestamptz, text) IS
'The trace of an instance of which that is in its row. For the view workflow.instances';
CREATE FUNCTION workflow_data.span_id(visit bigint, attempt integer) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 10 AS 'MODULE_PATHNAME', 'workflow_span_id';
COMMENT ON FUNCTION workflow_data.span_id(bigint, integer) IS
'The span of an attempt; NULL: none was made. For the views workflow.history and workflow.attempts';

-- Each part of the union reads one table, so that joins reach the indexes of all of them.
CREATE VIEW workflow.instances WITH (security_barrier) AS
    SELECT a.instance, p.process, a.version, a.business_key, a.status, a.data, a.started_at, a.ended_at, a.error, a.cancel_reason,
           workflow.serial_number(a.parent, a.parent_visit) COLLATE "C" AS called_by, a.parent, a.root, a.rerun_of,
           workflow_data.trace_id(a.instance, a.started_at, a.traceparent) AS trace_id, a.traceparent
    FROM (SELECT i.instance, i.process_id, i.version, i.business_key, i.status, i.data, i.started_at,
                 NULL::timestamptz AS ended_at, i.error, i.cancel_reason,
                 i.parent, i.parent_visit, i.root, i.rerun_of, i.traceparent
          FROM workflow_data.instance i
          UNION ALL
          SELECT h.instance, h.process_id, h.version, h.business_key, h.status, h.data, h.started_at, h.ended_at, h.error,
                 NULL::text AS cancel_reason, h.parent, h.parent_visit, h.root, h.rerun_of, h.traceparent
          FROM workflow_data.instance_history h
          UNION ALL
          SELECT s.instance, s.process_id, s.version, s.business_key, s.status, s.data, s.started_at, s.ended_at, s.error,
                 NULL::text AS cancel_reason, s.parent, s.parent_visit, s.root, s.rerun_of, s.traceparent
          FROM workflow_data.instance_stray s) a
         JOIN workflow_data.process p USING (process_id)
    WHERE a.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[]);
COMMENT ON VIEW workflow.instances IS
'Instances, each a run of a process: the living, and the ended ones that the history keeps. Of processes that the
  caller may view.';
COMMENT ON COLUMN workflow.instances.instance IS 'Number of the instance: the first half of its serial numbers';
COMMENT ON COLUMN workflow.instances.process IS 'Name of the process';
COMMENT ON COLUMN workflow.instances.version IS 'Version of the process that it follows';
COMMENT ON COLUMN workflow.instances.business_key IS 'What people call it: the key given at start, or the primary key of its row; NULL: it has none';
COMMENT ON COLUMN workflow.instances.status IS
'active: it goes on, or waits; suspended: workflow.suspend holds it; failed: it lives, and has an incident;
completed: it has ended well; aborted: it was cancelled, or ended by its own logic';
COMMENT ON COLUMN workflow.instances.data IS 'Its data, now or at its end';
COMMENT ON COLUMN workflow.instances.started_at IS 'When it was started';
COMMENT ON COLUMN workflow.instances.ended_at IS 'When it ended; NULL: it lives';
COMMENT ON COLUMN workflow.instances.error IS 'Why it was aborted: {code, message, http_status, sqlstate, attempt}; NULL: it was not';
COMMENT ON COLUMN workflow.instances.cancel_reason IS
'Why it is being cancelled, while its steps still end; empty: no reason was given; NULL: it is not being cancelled, or
  has ended';
COMMENT ON COLUMN workflow.instances.called_by IS 'Serial number of the visit of another instance that has called it, by "call", and waits for its end; NULL: none has';
COMMENT ON COLUMN workflow.instances.parent IS 'Number of the instance that has called it; NULL: none has';
COMMENT ON COLUMN workflow.instances.root IS 'Number of the first of the instances that have called each other down to this one; NULL: none has called it';
COMMENT ON COLUMN workflow.instances.rerun_of IS 'Number of the ended instance that it began once more, by workflow.rerun; NULL: none';
COMMENT ON COLUMN workflow.instances.trace_id IS 'Trace to which its requests belong (W3C Trace Context): 32 hexadecimal digits';
COMMENT ON COLUMN workflow.instances.traceparent IS
'What it was given of a trace at start, by workflow.traceparent or by the visit that has called it; NULL: nothing, its
  trace is its own';

CREATE FUNCTION workflow_data.blocked_by(instance bigint, visit bigint, queue text, due_at timestamptz, next_timer timestamptz) RETURNS text
    LANGUAGE c STABLE PARALLEL RESTRICTED COST 10 AS 'MODULE_PATHNAME', 'workflow_blocked_by';
COMMENT ON FUNCTION workflow_data.blocked_by(bigint, bigint, text, timestamptz, timestamptz) IS
'Why workers do not go on with a visit of which that is in its row; NULL: nothing is in their way, or the caller may not see its process. For the view workflow.visits';
CREATE FUNCTION workflow_data.blocked_error(instance bigint, visit bigint, attempt integer) RETURNS jsonb
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 10 AS 'MODULE_PATHNAME', 'workflow_blocked_error';
COMMENT ON FUNCTION workflow_data.blocked_error(bigint, bigint, integer) IS
'The error because of which workers do not go on with a visit; NULL: nothing is in their way, or the caller may not see its process. For the view workflow.visits';

CREATE FUNCTION workflow_data.blocked_until(instance bigint, visit bigint) RETURNS timestamptz
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 10 AS 'MODULE_PATHNAME', 'workflow_blocked_until';
COMMENT ON FUNCTION workflow_data.blocked_until(bigint, bigint) IS
'When a visit is tried again for which workers were short of something; NULL: they are not. For the view workflow.visits';

CREATE VIEW workflow.visits WITH (security_barrier) AS
    SELECT workflow.serial_number(v.instance, v.visit) COLLATE "C" AS serial_number,
           v.instance, p.process, v.step, v.state, v.attempt,
           coalesce(workflow_data.blocked_until(v.instance, v.visit), v.due_at) AS due_at, v.deadline, v.waits_for,
           CASE WHEN v.suspended THEN 'suspended'
                ELSE workflow_data.blocked_by(v.instance, v.visit, v.queue, v.due_at, v.next_timer) END AS blocked_by,
           coalesce(workflow_data.blocked_error(v.instance, v.visit, v.attempt), v.error) AS error,
           workflow.serial_number(v.instance, v.scope) COLLATE "C" AS scope,
           v.accepted IS NOT NULL AS called_back,
           v.local, v.item, v.child
    FROM workflow_data.visit v
         JOIN workflow_data.process p USING (process_id)
    WHERE v.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[]);
COMMENT ON VIEW workflow.visits IS
'Where living instances stand: a row for each visit, that is, a token at a step. Of processes that the caller may view.';
COMMENT ON COLUMN workflow.visits.serial_number IS 'Serial number of the visit: what workflow.complete, retry and other calls take';
COMMENT ON COLUMN workflow.visits.instance IS 'Number of the instance';
COMMENT ON COLUMN workflow.visits.process IS 'Name of the process';
COMMENT ON COLUMN workflow.visits.step IS 'Step of the process';
COMMENT ON COLUMN workflow.visits.state IS
'waiting: for the event that waits_for says; calling: its request or SQL is due or under way; retrying: in the pause
  before the next attempt;
ready: a worker is to move it on; cancelling: its service is being asked to stop; incident: it ended badly, and stands
  until a person acts';
COMMENT ON COLUMN workflow.visits.attempt IS 'How many attempts were answered or have failed; 0 during the first';
COMMENT ON COLUMN workflow.visits.due_at IS
'When a worker takes it up: for the next attempt, or for its clock. NULL: the outside or a person has to act.
A time that has passed: it is under work, or blocked_by says why not';
COMMENT ON COLUMN workflow.visits.deadline IS 'When the "timeout" of its step ends it; NULL: there is none';
COMMENT ON COLUMN workflow.visits.waits_for IS
'What a waiting one waits for: callback, message, signal, condition, task, topic (work that is fetched), after or until
  (clocks), or several of them (callback, after);
join: other tokens; steps: it is a sub-process in which tokens live; each: it goes through a list of items; call: the
  end of the instance in child';
COMMENT ON COLUMN workflow.visits.blocked_by IS
'Why no worker goes on with it, although it is due. NULL: nothing is known to be in the way.
A person has to act: suspended (workflow.resume); server paused (its max_in_flight is 0); server dropped; paused
  (workflow.adopt: the database is a copy, or workflow.start_paused is on); worker slot (max_worker_processes is used
  up); dispatcher (none runs here)
It ends by itself: lock (a transaction holds its instance, or what its step needs); server tripped (its breaker holds
  requests back); server full (max_in_flight); server rate; token (is being asked for, or could not be had);
  connections (workflow.max_connections_http); executors (all are busy)
Tried again until it works: disk, memory, resources (connections, descriptors), conflict (serialization failure,
  deadlock), server (one was shutting down); known for at most 128 visits of a database';
COMMENT ON COLUMN workflow.visits.error IS
'Error of its last attempt or of its incident, or because of which it is blocked: {code, message, http_status,
  sqlstate, attempt}';
COMMENT ON COLUMN workflow.visits.scope IS 'Serial number of the sub-process in which it lives; NULL: it lives directly in its instance';
COMMENT ON COLUMN workflow.visits.called_back IS
'Whether a callback, message or signal was accepted as its end, which waits for the answer of its request or statement,
  or, of a callback, for its instance to be resumed';
COMMENT ON COLUMN workflow.visits.local IS 'Fields of a sub-process ("local"), as they are now; NULL: it has none';
COMMENT ON COLUMN workflow.visits.item IS 'Place of its item in the list of an "each", from 0; NULL: it is for none';
COMMENT ON COLUMN workflow.visits.child IS 'Number of the instance that it has called, and for whose end it waits; NULL: none';

CREATE VIEW workflow.waiting WITH (security_barrier) AS
    SELECT workflow.serial_number(v.instance, v.visit) COLLATE "C" AS serial_number,
           v.instance, p.process, v.step,
           CASE v.state WHEN 'waiting' THEN v.waits_for ELSE 'cancel' END AS waits_for,
           v.waiting_since AS since, v.deadline, v.progress,
           least(v.deadline, v.next_interrupt,
                 CASE WHEN NOT v.suspended THEN v.heartbeat_deadline END,
                 CASE WHEN v.waits_for IS DISTINCT FROM 'callback' THEN v.due_at END) AS until,
           CASE WHEN NOT v.suspended THEN v.heartbeat_deadline END AS heartbeat_deadline,
           CASE WHEN v.state = 'waiting' THEN coalesce((SELECT s.name FROM workflow_data.subscription s WHERE s.instance = v.instance
                AND s.visit = v.visit AND s.interrupt IS NULL AND s.name <> '' ORDER BY s.entry LIMIT 1), w.topic) END AS name,
           CASE WHEN v.state = 'waiting' THEN (SELECT CASE WHEN s.keyed THEN s.key END FROM workflow_data.subscription s
                WHERE s.instance = v.instance AND s.visit = v.visit AND s.interrupt IS NULL AND s.name <> ''
                ORDER BY s.entry LIMIT 1) END AS key,
           v.item, w.worker, w.locked_until
    FROM workflow_data.visit v
         JOIN workflow_data.process p USING (process_id)
         LEFT JOIN LATERAL (SELECT w.topic, w.worker, CASE WHEN w.lock_token IS NOT NULL THEN w.free_at END AS locked_until
                            FROM workflow_data.work w WHERE v.waits_for LIKE '%topic%' AND w.instance = v.instance AND w.visit = v.visit
                                 AND NOT EXISTS (SELECT FROM workflow_data.work_note n WHERE n.work = w.work AND n.gone)) w ON true
    WHERE (v.state = 'waiting' AND v.waits_for NOT IN ('join', 'steps', 'each', 'call') OR v.state = 'cancelling' AND v.cancel_phase = 'confirm')
          AND v.waiting_since IS NOT NULL
          AND v.process_id = ANY ((SELECT workflow_data.my_processes('view', 'complete', true))::integer[])
          AND (v.process_id = ANY ((SELECT workflow_data.my_processes('view', 'complete'))::integer[])
               OR v.process_id || ' ' || v.step = ANY ((SELECT workflow_data.my_steps())::text[]));
COMMENT ON VIEW workflow.waiting IS
'Visits that wait for the outside, for a person or a clock, with what finds them: of processes that the caller may view
  or complete.
Joins, sub-processes, lists and calls, which wait for other tokens, are in workflow.visits alone';
COMMENT ON COLUMN workflow.waiting.serial_number IS 'Serial number of the visit: what workflow.complete takes';
COMMENT ON COLUMN workflow.waiting.instance IS 'Number of the instance';
COMMENT ON COLUMN workflow.waiting.process IS 'Name of the process';
COMMENT ON COLUMN workflow.waiting.step IS 'Step of the process';
COMMENT ON COLUMN workflow.waiting.waits_for IS
'What it waits for, callback first if there are several: callback, message, signal, condition, task, topic (work that
  is fetched), after or until (clocks);
cancel: the callback that confirms a cancel request';
COMMENT ON COLUMN workflow.waiting.since IS 'Since when it waits';
COMMENT ON COLUMN workflow.waiting.deadline IS 'When the "timeout" of its step ends it, which workflow.extend moves; NULL: there is none';
COMMENT ON COLUMN workflow.waiting.progress IS 'What the last workflow.heartbeat has reported; NULL: nothing';
COMMENT ON COLUMN workflow.waiting.until IS
'When it ends at the latest if nothing comes: the earliest of deadline, heartbeat_deadline, its clock, and handlers
  that end it at a time; NULL: never';
COMMENT ON COLUMN workflow.waiting.heartbeat_deadline IS
'When the "heartbeat" of its step ends it, unless workflow.heartbeat is called before; NULL: there is none, or its
  instance is suspended';
COMMENT ON COLUMN workflow.waiting.name IS
'Name of the message or signal that it waits for, of several of the first one (all are in workflow.subscriptions), or
  the topic of its work; NULL: there is none';
COMMENT ON COLUMN workflow.waiting.worker IS 'Worker that has fetched its work; NULL: none has';
COMMENT ON COLUMN workflow.waiting.locked_until IS 'Until when nobody else can fetch that work; NULL: no worker has it';
COMMENT ON COLUMN workflow.waiting.key IS 'Key that this message has to have; NULL: it has to have none';
COMMENT ON COLUMN workflow.waiting.item IS 'Place of its item in the list of an "each", from 0; NULL: it is for none';

CREATE VIEW workflow.subscriptions WITH (security_barrier) AS
    SELECT workflow.serial_number(s.instance, s.visit) COLLATE "C" AS serial_number,
           s.instance, p.process, s.step, s.kind, nullif(s.name, '') AS name, CASE WHEN s.keyed THEN s.key END AS key,
           s.interrupt, CASE WHEN s.interrupt IS NULL THEN coalesce(v.waiting_since, v.entered_at) ELSE v.entered_at END AS since,
           (SELECT count(*) FROM workflow_data.delivery d
            WHERE d.instance = s.instance AND d.kind <> 'write_back' AND d.subscription = s.subscription) AS queued
    FROM workflow_data.subscription s
         JOIN workflow_data.visit v ON v.instance = s.instance AND v.visit = s.visit
         JOIN workflow_data.process p ON p.process_id = s.process_id
    WHERE s.process_id = ANY ((SELECT workflow_data.my_processes('view', 'complete', true))::integer[])
          AND (s.process_id = ANY ((SELECT workflow_data.my_processes('view', 'complete'))::integer[])
               OR s.process_id || ' ' || s.step = ANY ((SELECT workflow_data.my_steps())::text[]));
COMMENT ON VIEW workflow.subscriptions IS
'Which messages, signals and conditions are waited for, by visits and by handlers in their "catch": of processes that
  the caller may view or complete.';
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

CREATE VIEW workflow.topics WITH (security_barrier) AS
    SELECT w.topic,
           count(*) FILTER (WHERE w.free_at <= pg_catalog.statement_timestamp() AND NOT w.held AND n.work IS NULL) AS ready,
           count(*) FILTER (WHERE w.free_at > pg_catalog.statement_timestamp() AND w.lock_token IS NOT NULL) AS locked,
           min(w.since) FILTER (WHERE w.free_at <= pg_catalog.statement_timestamp() AND NOT w.held AND n.work IS NULL) AS oldest,
           count(*) FILTER (WHERE w.held OR n.work IS NOT NULL OR w.free_at > pg_catalog.statement_timestamp() AND w.lock_token IS NULL) AS paused
    FROM workflow_data.work w
         LEFT JOIN workflow_data.work_note n ON n.work = w.work
    WHERE w.process_id = ANY ((SELECT workflow_data.my_processes('view', 'complete', true))::integer[])
          AND (w.process_id = ANY ((SELECT workflow_data.my_processes('view', 'complete'))::integer[])
               OR w.process_id || ' ' || w.step = ANY ((SELECT workflow_data.my_steps())::text[]))
          AND n.gone IS NOT TRUE
    GROUP BY w.topic;
COMMENT ON VIEW workflow.topics IS
'Work that is offered to workers, by topic: of processes that the caller may view or complete.';
COMMENT ON COLUMN workflow.topics.topic IS 'Topic: what workflow.fetch takes';
COMMENT ON COLUMN workflow.topics.ready IS 'How many pieces of work can be fetched now';
COMMENT ON COLUMN workflow.topics.locked IS 'How many workers have fetched, so that nobody else gets them meanwhile';
COMMENT ON COLUMN workflow.topics.oldest IS 'Since when the oldest of those that can be fetched is offered; NULL: there is none';
COMMENT ON COLUMN workflow.topics.paused IS
'How many nobody can fetch yet: their instance is suspended, or they have failed and wait for the delay of their
  "retry"';

-- What the definition says of an entry is read from it, since few look and few processes have any.
CREATE VIEW workflow.message_starts WITH (security_barrier) AS
    SELECT s.name, CASE WHEN s.keyed THEN s.key END AS key, p.process, p.latest AS version,
           v.definition -> 'start_on' -> (s.entry - 1) ->> 'business_key' AS business_key,
           v.definition -> 'start_on' -> (s.entry - 1) ->> 'step' AS step,
           (SELECT count(*) FROM workflow_data.delivery d
            WHERE d.queue = 'executor ' || s.process_id AND d.kind = 'start' AND d.payload ->> 'name' = s.name
                  AND d.payload ->> 'key' IS NOT DISTINCT FROM CASE WHEN s.keyed THEN s.key END) AS queued
    FROM workflow_data.message_start s
         JOIN workflow_data.process p ON p.process_id = s.process_id
         JOIN workflow_data.process_version v ON v.process_id = p.process_id AND v.version = p.latest
    WHERE s.process_id = ANY ((SELECT workflow_data.my_processes('view', 'start'))::integer[]);
COMMENT ON VIEW workflow.message_starts IS
'Messages that start an instance, by the latest versions: of processes that the caller may view or start.';
COMMENT ON COLUMN workflow.message_starts.name IS 'Name of the message';
COMMENT ON COLUMN workflow.message_starts.key IS 'Key that the message has to have; NULL: none';
COMMENT ON COLUMN workflow.message_starts.process IS 'Name of the process';
COMMENT ON COLUMN workflow.message_starts.version IS 'Its latest version, which the instance follows';
COMMENT ON COLUMN workflow.message_starts.business_key IS 'Template of the business key; NULL: it has none';
COMMENT ON COLUMN workflow.message_starts.step IS 'Step at which the instance begins; NULL: the first one';
COMMENT ON COLUMN workflow.message_starts.queued IS 'How many messages are on their way to start one, and have not yet';

CREATE VIEW workflow.webhook_starts WITH (security_barrier) AS
    SELECT w.entry ->> 'webhook' AS name, p.process, p.latest AS version,
           w.entry -> 'signature' ->> 'kind' AS signature, w.entry -> 'signature' ->> 'server' AS server,
           coalesce(CASE WHEN pg_catalog.json_typeof(w.entry -> 'idempotency_key') = 'object' THEN w.entry -> 'idempotency_key' ->> 'header' END,
                    CASE WHEN w.entry -> 'idempotency_key' IS NULL THEN 'Idempotency-Key' END) AS idempotency_header,
           CASE WHEN pg_catalog.json_typeof(w.entry -> 'idempotency_key') = 'string' THEN w.entry ->> 'idempotency_key' END AS idempotency_key,
           w.entry ->> 'business_key' AS business_key, w.entry ->> 'step' AS step
    FROM workflow_data.process p
         JOIN workflow_data.process_version v ON v.process_id = p.process_id AND v.version = p.latest,
         LATERAL pg_catalog.json_array_elements(v.definition -> 'start_on') w (entry)
    WHERE w.entry ->> 'webhook' IS NOT NULL AND p.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[]);
COMMENT ON VIEW workflow.webhook_starts IS
'Webhooks that start an instance, by the latest versions: of processes that the caller may view. workflow.webhook_token
  shows their tokens.';
COMMENT ON COLUMN workflow.webhook_starts.name IS 'Name of the webhook';
COMMENT ON COLUMN workflow.webhook_starts.process IS 'Name of the process';
COMMENT ON COLUMN workflow.webhook_starts.version IS 'Its latest version, which the instance follows';
COMMENT ON COLUMN workflow.webhook_starts.signature IS 'Kind of signature that what comes has to have; NULL: the token is all that is needed';
COMMENT ON COLUMN workflow.webhook_starts.server IS
'Server whose user mapping, that of the owner of the process, has the secret of the signature; NULL: there is no
  signature';
COMMENT ON COLUMN workflow.webhook_starts.idempotency_header IS 'Header by which a delivery that comes again is known; NULL: idempotency_key says';
COMMENT ON COLUMN workflow.webhook_starts.idempotency_key IS 'Template of the key by which it is known; NULL: idempotency_header says';
COMMENT ON COLUMN workflow.webhook_starts.business_key IS 'Template of the business key; NULL: it has none';
COMMENT ON COLUMN workflow.webhook_starts.step IS 'Step at which the instance begins; NULL: the first one';

CREATE VIEW workflow.messages WITH (security_barrier) AS
    SELECT m.message, m.name, CASE WHEN m.keyed THEN m.key END AS key, m.message_id,
           workflow_data.role_name(m.role, m.role_name) AS sender, m.sent_at, m.expires_at, m.data
    FROM workflow_data.message m
    WHERE m.delivered_at IS NULL AND m.expires_at > pg_catalog.statement_timestamp()
          AND workflow_data.has_role(m.role, m.role_name);
COMMENT ON VIEW workflow.messages IS
'Messages that are kept until somebody waits for them: those that the caller has sent, or a role whose rights he has;
  superusers see all.';
COMMENT ON COLUMN workflow.messages.message IS 'Number of the message: what workflow.withdraw_message takes';
COMMENT ON COLUMN workflow.messages.name IS 'Name of the message';
COMMENT ON COLUMN workflow.messages.key IS 'Key of the message; NULL: it has none';
COMMENT ON COLUMN workflow.messages.message_id IS 'What its sender calls it, so that it is not delivered twice; NULL: nothing';
COMMENT ON COLUMN workflow.messages.sender IS 'Role that sent it';
COMMENT ON COLUMN workflow.messages.sent_at IS 'When it was sent';
COMMENT ON COLUMN workflow.messages.expires_at IS 'Until when it is kept';
COMMENT ON COLUMN workflow.messages.data IS 'Data of the message; NULL: it has none';

-- In two parts, so that who may view no process reads nothing but his own: the second is left out for him as a whole.
CREATE VIEW workflow.tasks WITH (security_barrier) AS
    SELECT workflow.serial_number(t.instance, t.visit) COLLATE "C" AS serial_number,
           t.instance, p.process, v.step, t.title,
           CASE WHEN t.assignee IS NOT NULL THEN workflow_data.role_name(t.assignee, t.assignee_name) END AS assignee, t.person,
           ARRAY(SELECT workflow_data.role_name(r.oid, r.name) FROM ROWS FROM (pg_catalog.unnest(t.roles), pg_catalog.unnest(t.role_names)) WITH ORDINALITY r (oid, name, place)
                 ORDER BY r.place) AS roles,
           t.due, t.created_at AS since, t.claimed_at, t.data, v.suspended
    FROM (SELECT * FROM workflow_data.task t WHERE t.roles || t.assignee || t.assigned && (SELECT workflow_data.my_roles())::oid[]
          UNION ALL
          SELECT * FROM workflow_data.task t
          WHERE (SELECT workflow_data.my_processes('view')) <> '{}' AND t.process_id IN (SELECT pg_catalog.unnest(workflow_data.my_processes('view')))
                AND (t.roles || t.assignee || t.assigned && (SELECT workflow_data.my_roles())::oid[]) IS NOT TRUE) t
         JOIN workflow_data.visit v ON v.instance = t.instance AND v.visit = t.visit
         JOIN workflow_data.process p ON p.process_id = t.process_id;
COMMENT ON VIEW workflow.tasks IS
'Tasks that people are to do: those that the caller has, those that he may claim or that another one of their roles
  has, and those of processes that he may view.';
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

CREATE VIEW workflow.incidents WITH (security_barrier) AS
    SELECT workflow.serial_number(v.instance, v.visit) COLLATE "C" AS serial_number,
           v.instance, p.process, v.step, v.outcome, v.error, v.waiting_since AS since, v.result,
           (SELECT workflow.serial_number(i.parent, i.parent_visit) COLLATE "C" FROM workflow_data.instance i
            WHERE i.instance = v.instance AND i.parent IS NOT NULL) AS called_by, v.item
    FROM workflow_data.visit v
         JOIN workflow_data.process p USING (process_id)
    WHERE v.outcome IS NOT NULL
          AND v.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[]);
COMMENT ON VIEW workflow.incidents IS
'Incidents: visits that ended badly, and that nothing in their process handles. Of processes that the caller may view.
Each stands until a person calls workflow.retry, skip, complete, fail, move or cancel_visit with its serial number, or
  cancel with its instance';
COMMENT ON COLUMN workflow.incidents.serial_number IS 'Serial number of the visit: what workflow.retry and workflow.skip take';
COMMENT ON COLUMN workflow.incidents.instance IS 'Number of the instance';
COMMENT ON COLUMN workflow.incidents.process IS 'Name of the process';
COMMENT ON COLUMN workflow.incidents.step IS 'Step of the process';
COMMENT ON COLUMN workflow.incidents.outcome IS 'FAILED: the outside said so; TIMED_OUT, DIED: it was silent too long; SYSTEM_ERROR: the step could not be done';
COMMENT ON COLUMN workflow.incidents.error IS 'What went wrong: {code, message, http_status, sqlstate, attempt}';
COMMENT ON COLUMN workflow.incidents.since IS 'Since when it stands';
COMMENT ON COLUMN workflow.incidents.result IS
'What the visit brought: {status, initial_response, callback_response, response, cancel_response, error, event}; the
  data of workflow.fail are its callback_response';
COMMENT ON COLUMN workflow.incidents.called_by IS 'Serial number of the visit that has called its instance, and waits for the end of that; NULL: none has';
COMMENT ON COLUMN workflow.incidents.item IS 'Place of its item in the list of an "each", from 0; NULL: it is for none';

CREATE VIEW workflow.history WITH (security_barrier) AS
    SELECT workflow.serial_number(h.instance, h.visit) COLLATE "C" AS serial_number,
           h.instance, p.process, h.step, h.outcome, h.entered_at, h.ended_at, h.attempts, h.result,
           h.completed_by, workflow.serial_number(h.instance, h.scope) COLLATE "C" AS scope, h.webhook,
           h.item, h.child,
           CASE WHEN h.attempts > 0 THEN workflow_data.span_id(h.visit, h.attempts) END AS span_id
    FROM (SELECT * FROM workflow_data.visit_history UNION ALL SELECT * FROM workflow_data.visit_stray) h
         JOIN workflow_data.process p USING (process_id)
    WHERE h.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[]);
COMMENT ON VIEW workflow.history IS
'Visits that have ended, of living and of ended instances, as long as the history keeps them: of processes that the
  caller may view.';
COMMENT ON COLUMN workflow.history.serial_number IS 'Serial number of the visit';
COMMENT ON COLUMN workflow.history.instance IS 'Number of the instance';
COMMENT ON COLUMN workflow.history.process IS 'Name of the process';
COMMENT ON COLUMN workflow.history.step IS 'Step of the process';
COMMENT ON COLUMN workflow.history.outcome IS 'SUCCESS, FAILED, CANCELLED, TIMED_OUT, DIED or SYSTEM_ERROR';
COMMENT ON COLUMN workflow.history.entered_at IS 'When the token came to the step';
COMMENT ON COLUMN workflow.history.ended_at IS 'When the visit ended';
COMMENT ON COLUMN workflow.history.attempts IS 'How many attempts its action took, counted anew when an incident is retried (workflow.attempts has those before)';
COMMENT ON COLUMN workflow.history.result IS
'What the visit brought, $result: {status, initial_response, callback_response, response, cancel_response, error,
  event}';
COMMENT ON COLUMN workflow.history.completed_by IS 'Role whose call was its end: workflow.complete, complete_many, fail, callback or skip; NULL: it ended otherwise';
COMMENT ON COLUMN workflow.history.scope IS 'Serial number of the sub-process in which it lived; NULL: it lived directly in its instance';
COMMENT ON COLUMN workflow.history.webhook IS 'Whether that call came with a token, by workflow.callback: then completed_by is who passed it on';
COMMENT ON COLUMN workflow.history.item IS 'Place of its item in the list of an "each", from 0; NULL: it was for none';
COMMENT ON COLUMN workflow.history.child IS 'Number of the instance that it had called; NULL: none';
COMMENT ON COLUMN workflow.history.span_id IS 'Span of its last attempt in the trace of its instance, 16 hexadecimal digits; NULL: it made none';

CREATE VIEW workflow.attempts WITH (security_barrier) AS
    SELECT workflow.serial_number(a.instance, a.visit) COLLATE "C" AS serial_number,
           a.instance, p.process, a.attempt, a.started_at, a.ended_at, a.http_status, a.error, a.incident,
           a.ended_with, a.ended_by,
           CASE WHEN NOT a.incident THEN workflow_data.span_id(a.visit, a.attempt) END AS span_id
    FROM (SELECT * FROM workflow_data.attempt_history UNION ALL SELECT * FROM workflow_data.attempt_stray) a
         JOIN workflow_data.process p USING (process_id)
    WHERE a.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[]);
COMMENT ON VIEW workflow.attempts IS
'Attempts of visits that have failed, those that came after them, and incidents that are over: of processes that the
  caller may view.
An action that succeeds at once is in workflow.history alone. What was under way when the server or its dispatcher
  ended has the code lost, and the attempt that is made in its place has the same number';
COMMENT ON COLUMN workflow.attempts.serial_number IS 'Serial number of the visit';
COMMENT ON COLUMN workflow.attempts.instance IS 'Number of the instance';
COMMENT ON COLUMN workflow.attempts.process IS 'Name of the process';
COMMENT ON COLUMN workflow.attempts.attempt IS 'Number of the attempt, from 1; begins again when an incident is retried';
COMMENT ON COLUMN workflow.attempts.started_at IS 'When the attempt began, or the incident';
COMMENT ON COLUMN workflow.attempts.ended_at IS 'When it was answered or given up; when the incident ended';
COMMENT ON COLUMN workflow.attempts.http_status IS 'HTTP status of the answer; NULL: there was none, or the step has no "http"';
COMMENT ON COLUMN workflow.attempts.incident IS 'Whether the row is no attempt, but an incident that is over';
COMMENT ON COLUMN workflow.attempts.ended_with IS
'Call that ended the incident: retry, skip, complete, fail, move, cancel_visit or cancel; NULL: none of these, or no
  incident';
COMMENT ON COLUMN workflow.attempts.ended_by IS 'Role that made that call; NULL: none';
COMMENT ON COLUMN workflow.attempts.span_id IS 'Span of the attempt in the trace of its instance, 16 hexadecimal digits; NULL: the row is an incident';
COMMENT ON COLUMN workflow.attempts.error IS 'What went wrong: {code, message, http_status, sqlstate, attempt}; NULL: it succeeded';

CREATE VIEW workflow.late_callbacks WITH (security_barrier) AS
    SELECT workflow.serial_number(l.instance, l.visit) COLLATE "C" AS serial_number,
           l.instance, p.process, l.received_at, l.role, l.data, l.webhook
    FROM workflow_data.late_callback l
         JOIN workflow_data.process p USING (process_id)
    WHERE l.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[]);
COMMENT ON VIEW workflow.late_callbacks IS
'Calls that came after the end of their visit, and so did nothing: complete, fail and callback, the first 100 of each
  visit. Of processes that the caller may view.';
COMMENT ON COLUMN workflow.late_callbacks.serial_number IS 'Serial number of the visit that had ended';
COMMENT ON COLUMN workflow.late_callbacks.instance IS 'Number of its instance';
COMMENT ON COLUMN workflow.late_callbacks.process IS 'Name of the process';
COMMENT ON COLUMN workflow.late_callbacks.received_at IS 'When the call came';
COMMENT ON COLUMN workflow.late_callbacks.role IS 'Role that called';
COMMENT ON COLUMN workflow.late_callbacks.data IS
'What it brought: the data of workflow.complete; {code, message, data} of workflow.fail; {truncated, bytes, text} if
  that was larger than 8 kB';
COMMENT ON COLUMN workflow.late_callbacks.webhook IS 'Whether the call came with a token, by workflow.callback: then role is who passed it on';

CREATE VIEW workflow.attachments WITH (security_barrier) AS
    SELECT a.relation, p.process, a.serial_column, a.serial_step, a.status_column, a.instance_column,
           a.result_columns, a.condition, a.on_update, a.on_delete, a.trust, a.replicated, a.show_in
    FROM workflow_data.attachment a
         JOIN workflow_data.process p ON p.process_id = a.process_id
         JOIN pg_catalog.pg_class c ON c.oid = a.relation
    WHERE a.detached_at IS NULL
          AND (a.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[])
               OR pg_catalog.pg_has_role(c.relowner, 'USAGE'));
COMMENT ON VIEW workflow.attachments IS
'Attached tables, whose new rows start instances: those of the caller, and those of processes that he may view.';
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

CREATE FUNCTION workflow_data.operation_blocked_by(operation bigint, requested_at timestamptz) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 10 AS 'MODULE_PATHNAME', 'workflow_operation_blocked_by';
COMMENT ON FUNCTION workflow_data.operation_blocked_by(bigint, timestamptz) IS
'Why no executor carries out an operation of which that is in its row; NULL: nothing is in the way, it was carried out, or the caller may not see it. For the view workflow.operations';

-- Of others, only superusers see calls that were about no process. In a copy one has no roles, and names count.
CREATE VIEW workflow.operations WITH (security_barrier) AS
    SELECT o.operation, o.call, (SELECT p.process FROM workflow_data.process p WHERE p.process_id = o.process_id) AS process, o.instance, workflow.serial_number(o.instance, o.visit) COLLATE "C" AS serial_number,
           workflow_data.role_name(o.role, o.role_name) AS role, o.requested_at, o.done_at,
           CASE WHEN o.done_at IS NULL THEN 'pending' WHEN o.error IS NULL THEN 'done' ELSE 'failed' END AS state,
           o.error, o.answer,
           CASE WHEN o.done_at IS NULL THEN workflow_data.operation_blocked_by(o.operation, o.requested_at) END AS blocked_by,
           CASE WHEN workflow_data.has_role(o.role, o.role_name) THEN o.callback_url END AS callback_url,
           CASE WHEN o.callback_url IS NULL THEN NULL
                WHEN o.done_at IS NULL OR o.callback_due THEN 'pending'
                WHEN o.error IS NOT NULL THEN 'none'
                WHEN o.callback IS NULL THEN 'failed'
                ELSE coalesce((SELECT CASE i.status WHEN 'failed' THEN 'failed' ELSE 'sending' END
                               FROM workflow_data.instance i WHERE i.instance = o.callback),
                              (SELECT 'cancelled' FROM workflow_data.instance_history h WHERE h.instance = o.callback AND h.status <> 'completed'),
                              (SELECT 'cancelled' FROM workflow_data.instance_stray h WHERE h.instance = o.callback AND h.status <> 'completed'),
                              'sent') END AS callback_state,
           coalesce(o.callback_error, (SELECT v.error FROM workflow_data.visit v WHERE v.instance = o.callback LIMIT 1)) AS callback_error,
           o.callback AS callback_instance
    FROM workflow_data.operation o
    WHERE coalesce(o.process_id, 0) = ANY ((SELECT workflow_data.my_processes('view'))::integer[])
          OR o.role = ANY ((SELECT workflow_data.my_roles())::oid[])
          OR (SELECT workflow_data.my_roles() = '{}') AND workflow_data.has_role(o.role, o.role_name);
COMMENT ON VIEW workflow.operations IS
'Calls that were made with mode => ''async'', and what has become of them: those of the caller and of roles whose rights
  he has, and those about processes that he may view. They are kept as the history is.';
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
COMMENT ON COLUMN workflow.operations.callback_state IS
'pending: the instance does not rest yet; sending: a request is due, under way, or will be tried again; sent: it was
  answered;
failed: workflow.resend tries it again; cancelled: its callback_instance was; none: the call has failed; NULL: no
  callback was asked for';
COMMENT ON COLUMN workflow.operations.callback_error IS 'Why the last attempt to post it has failed; NULL: it has not';
COMMENT ON COLUMN workflow.operations.callback_instance IS 'Number of the instance that posts it, which workflow.history, attempts and incidents tell of; NULL: none yet';

CREATE VIEW workflow.audit WITH (security_barrier) AS
    SELECT a.at, a.role, a.session_role, a.call, p.process, a.instance,
           workflow.serial_number(a.instance, a.visit) COLLATE "C" AS serial_number, a.arguments
    FROM workflow_data.audit a
         LEFT JOIN workflow_data.process p USING (process_id)
    WHERE a.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[]);
COMMENT ON VIEW workflow.audit IS
'Who has called what: each call of an operator or an author that has done something, as long as the history is kept. Of
  processes that the caller may view; superusers also see what is about none.';
COMMENT ON COLUMN workflow.audit.at IS 'When the call was made';
COMMENT ON COLUMN workflow.audit.role IS 'Role whose rights counted';
COMMENT ON COLUMN workflow.audit.session_role IS 'Role that had logged in; of a SQL step the owner of its process';
COMMENT ON COLUMN workflow.audit.call IS
'Function that was called: suspend, resume, suspend_process, resume_process, set_data, extend, move, migrate, cancel,
  cancel_visit, retry, skip, rerun, erase, resend, claim, unclaim, reassign, release, define, undefine, grant_process,
  revoke_process, attach, detach or adopt';
COMMENT ON COLUMN workflow.audit.process IS 'Name of the process that it was about; NULL: none';
COMMENT ON COLUMN workflow.audit.instance IS 'Number of the instance that it was about; NULL: none';
COMMENT ON COLUMN workflow.audit.serial_number IS 'Serial number of the visit that it was about; NULL: none';
COMMENT ON COLUMN workflow.audit.arguments IS 'Its other arguments, by their names; data are left out';

-- A role that may view a process sees all privileges on it; others see those that they were given
-- themselves.
CREATE VIEW workflow.grants WITH (security_barrier) AS
    SELECT p.process, workflow_data.role_name(g.grantee, g.grantee_name) AS role, g.privilege, nullif(g.step, '') AS step
    FROM workflow_data.process_privilege g
         JOIN workflow_data.process p USING (process_id)
    WHERE g.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[])
          OR workflow_data.has_role(g.grantee, g.grantee_name);
COMMENT ON VIEW workflow.grants IS
'What workflow.grant_process gave: on processes that the caller may view, and to himself. Owners, who have all
  privileges, are in workflow.processes.';
COMMENT ON COLUMN workflow.grants.process IS 'Name of the process';
COMMENT ON COLUMN workflow.grants.role IS 'Role that has the privilege; public: everyone';
COMMENT ON COLUMN workflow.grants.privilege IS
'start: start instances, change their data, cancel them; complete: finish what waits; view: see instances; admin: all
  of these, and the calls of operators';
COMMENT ON COLUMN workflow.grants.step IS 'Step for which complete is given; NULL: the privilege is on the whole process';

-- The first try of a write-back belongs to an instance that lives or is in the history; one that
-- has failed has all it needs in its payload.
CREATE VIEW workflow.write_backs WITH (security_barrier) AS
    SELECT a.relation, p.process,
           coalesce(d.payload ->> 'business_key', i.business_key, h.business_key) AS business_key, d.instance,
           coalesce((d.payload ->> 'since')::timestamptz, d.due_at) AS since, d.payload ->> 'error' AS error
    FROM workflow_data.delivery d
         LEFT JOIN workflow_data.instance i ON i.instance = d.instance
         LEFT JOIN (SELECT * FROM workflow_data.instance_history UNION ALL SELECT * FROM workflow_data.instance_stray) h ON h.instance = d.instance
         JOIN workflow_data.attachment a
              ON a.attachment = coalesce((d.payload ->> 'attachment')::integer, i.attachment, h.attachment)
         JOIN workflow_data.process p ON p.process_id = a.process_id
    WHERE d.kind = 'write_back' AND a.detached_at IS NULL AND p.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[]);
COMMENT ON VIEW workflow.write_backs IS
'What rows of attached tables should show of their instances and do not yet. Of the caller''s tables, and processes that
  he may view.
Workers try again, after pauses of a second up to an hour; workflow.write_back has them try now';
COMMENT ON COLUMN workflow.write_backs.relation IS 'The attached table';
COMMENT ON COLUMN workflow.write_backs.process IS 'Name of the process';
COMMENT ON COLUMN workflow.write_backs.business_key IS 'Primary key of the row';
COMMENT ON COLUMN workflow.write_backs.instance IS 'Number of the instance, which may have ended';
COMMENT ON COLUMN workflow.write_backs.since IS 'Since when the row does not show what it should';
COMMENT ON COLUMN workflow.write_backs.error IS 'Why the row could not be written the last time; NULL: it was not tried yet';

CREATE VIEW workflow.refused_rows WITH (security_barrier) AS
    SELECT a.relation, p.process, r.business_key, r.operation, r.since, r.sqlstate, r.error
    FROM workflow_data.refused_row r
         JOIN workflow_data.attachment a ON a.attachment = r.attachment
         JOIN workflow_data.process p ON p.process_id = r.process_id
    WHERE a.detached_at IS NULL AND r.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[]);
COMMENT ON VIEW workflow.refused_rows IS
'What has become of rows that logical replication has brought, and could not be brought to their instances, of processes
  that the caller may view. workflow.retry_rows tries again';
COMMENT ON COLUMN workflow.refused_rows.relation IS 'The attached table';
COMMENT ON COLUMN workflow.refused_rows.process IS 'Name of the process';
COMMENT ON COLUMN workflow.refused_rows.business_key IS 'Primary key of the row; NULL: all rows, by TRUNCATE';
COMMENT ON COLUMN workflow.refused_rows.operation IS 'What has become of it: insert, update, delete or truncate';
COMMENT ON COLUMN workflow.refused_rows.since IS 'When that came';
COMMENT ON COLUMN workflow.refused_rows.sqlstate IS 'SQLSTATE of the error';
COMMENT ON COLUMN workflow.refused_rows.error IS 'Why it could not be brought to its instance';
