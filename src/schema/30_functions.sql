-- The functions that authors, callers, outside systems and operators call. Who may execute them is
-- in 90_grants.sql.

-- ---- authors ----

CREATE FUNCTION workflow.define(name text, definition json) RETURNS integer
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_define';
COMMENT ON FUNCTION workflow.define(text, json) IS
'Stores a definition and returns its version; the same definition again is the same version. Who defines a name first owns the process. All faults are told in one error: 22023, or 0A000 if nothing else is wrong than that it is not supported yet; what may be stored and is hardly meant is told in a NOTICE. A process of somebody else: 42501, since its steps run with the rights of its owner';

CREATE FUNCTION workflow.check(definition json, OUT path text, OUT severity text, OUT message text, OUT hint text, OUT step text)
    RETURNS SETOF record LANGUAGE c ROWS 10 AS 'MODULE_PATHNAME', 'workflow_check';
COMMENT ON FUNCTION workflow.check(json) IS
'What workflow.define would say of a definition of the caller''s, a row for each: severity is ''error'' for what it refuses, ''warning'' for what it tells in a NOTICE; path is a jsonpath to the place, step the name of the step that it is in. Nothing is stored. At most 100 of either kind are given';

CREATE FUNCTION workflow.undefine(name text, force boolean DEFAULT false) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_undefine';
COMMENT ON FUNCTION workflow.undefine(text, boolean) IS
'The process takes no new instances, and the history stays; with force also while instances live, which go on. False if it had been undefined already. Unknown: 42704; needs admin: 42501; tables are attached, or instances live and it is not forced: 55006';

CREATE FUNCTION workflow.difference(process text, from_version integer DEFAULT NULL, version integer DEFAULT NULL,
                                    OUT path text, OUT change text, OUT old jsonb, OUT new jsonb)
    RETURNS SETOF record LANGUAGE c ROWS 20 AS 'MODULE_PATHNAME', 'workflow_difference';
COMMENT ON FUNCTION workflow.difference(text, integer, integer) IS
'What two versions of a process do not have in common, a row for each value that was added, removed or changed, and for each list of steps whose order is another (moved). Steps are told by their names. version: the latest unless given; from_version: the one before that. Unknown process or version: 42704; needs view: 42501';

CREATE FUNCTION workflow.grant_process(process text, role name, privilege text, step text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_grant_process';
COMMENT ON FUNCTION workflow.grant_process(text, name, text, text) IS
'Gives a role, or ''public'' for everyone, a privilege on a process: start, complete, view, or admin, which implies the others; complete also on a single step of its latest version. False if it has it already. Unknown process, role or step: 42704; unknown privilege, or a step with another one than complete: 22023; needs admin: 42501';

CREATE FUNCTION workflow.revoke_process(process text, role name, privilege text, step text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_revoke_process';
COMMENT ON FUNCTION workflow.revoke_process(text, name, text, text) IS
'Takes back what workflow.grant_process gave; complete without a step: those of single steps as well. False if there was nothing to take. Unknown process or role: 42704; unknown privilege, or a step with another one than complete: 22023; needs admin: 42501';

-- ---- callers ----

-- The key is anycompatible, not anyelement, which would refuse a literal without a type.
CREATE FUNCTION workflow.start(process text, data jsonb DEFAULT '{}', business_key anycompatible DEFAULT NULL::text,
                               version integer DEFAULT NULL, mode text DEFAULT 'sync',
                               callback_url text DEFAULT NULL) RETURNS bigint
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_start';
COMMENT ON FUNCTION workflow.start(text, jsonb, anycompatible, integer, text, text) IS
'Starts an instance with these data, over the defaults of its definition, and returns its number. business_key: of any type, kept as text, dates and times as in ISO 8601. version: the latest unless given. Unknown process or version: 42704; undefined: 55000; the business key has a living instance: 23505; data are no object: 22023; needs start: 42501. mode async: checks arguments and rights, returns the number that the instance will get, and has the call carried out by an executor after the commit: see workflow.operations. callback_url, with mode async: data and status are posted there, with the caller''s user mapping, once the instance rests; no server that the caller may use covers it: 42704; needs view: 42501';

CREATE FUNCTION workflow.set_data(instance bigint, data jsonb, mode text DEFAULT 'sync', callback_url text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_set_data';
COMMENT ON FUNCTION workflow.set_data(bigint, jsonb, text, text) IS
'Puts the top-level keys of data over those of the instance. False if the instance has ended. Unknown: 42704; data are no object: 22023; needs start or admin: 42501. mode async: checks arguments and rights, returns NULL, and has the call carried out by an executor after the commit: see workflow.operations. callback_url, with mode async: data and status are posted there, with the caller''s user mapping, once the instance rests; no server that the caller may use covers it: 42704; needs view: 42501';

CREATE FUNCTION workflow.cancel(instance bigint, reason text DEFAULT NULL, mode text DEFAULT 'sync', callback_url text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_cancel';
COMMENT ON FUNCTION workflow.cancel(bigint, text, text, text) IS
'Ends an instance: its visits CANCELLED, itself aborted. False if it had already ended. Unknown: 42704; needs start or admin: 42501. mode async: checks arguments and rights, returns NULL, and has the call carried out by an executor after the commit: see workflow.operations. callback_url, with mode async: data and status are posted there, with the caller''s user mapping, once the instance rests; no server that the caller may use covers it: 42704; needs view: 42501';

CREATE FUNCTION workflow.send_message(name text, key anycompatible DEFAULT NULL::text, data jsonb DEFAULT NULL, ttl interval DEFAULT '0',
                                      message_id text DEFAULT NULL, instance bigint DEFAULT NULL, to_all boolean DEFAULT false,
                                      mode text DEFAULT 'sync', callback_url text DEFAULT NULL) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_send_message';
COMMENT ON FUNCTION workflow.send_message(text, anycompatible, jsonb, interval, text, bigint, boolean, text, text) IS
'Sends a message to the visit that waits for it, with the same key or both without, or, if none does, starts an instance of the process that starts on it; key: of any type, kept as the text that it has in JSON; instance: to that one alone, whose key may be left out; to_all: to all that wait. Answers delivered: it has gone on with it, or has started, in this transaction; queued: it is busy, workers bring the message; kept: nobody waits yet, the first that does within ttl gets it; missed: nobody waits; duplicate: the caller has sent this message_id under this name in the last 24 hours, or within its ttl if that is longer. Reaches visits of processes and steps on which the caller has complete, and starts instances of those on which he has start. Several wait, or start on it: 21000; the business key has a living instance: 23505; its data do not do for an instance, name empty, key or message_id too long, key no scalar, ttl negative or above a year: 22023; ttl without complete or start on a process that names the message: 42501; data larger than workflow.max_data: 54000. mode async: checks arguments and rights, returns NULL, and has the call carried out by an executor after the commit: see workflow.operations. callback_url, with mode async: data and status are posted there, with the caller''s user mapping, once the instance rests, which has to be named; no server that the caller may use covers it: 42704; needs view: 42501';

CREATE FUNCTION workflow.send_signal(name text, data jsonb DEFAULT NULL, mode text DEFAULT 'sync') RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_send_signal';
COMMENT ON FUNCTION workflow.send_signal(text, jsonb, text) IS
'Sends a signal to all visits that wait for it when it is taken up, a moment after the commit: to each once. Reaches visits of processes and steps on which the caller has complete. Name empty: 22023; data larger than workflow.max_data: 54000. mode async: checks arguments and rights, returns at once, and has the call carried out by an executor after the commit: see workflow.operations';

CREATE FUNCTION workflow.withdraw_message(message bigint) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_withdraw_message';
COMMENT ON FUNCTION workflow.withdraw_message(bigint) IS
'Takes back a message that is kept, under its number in the view messages: nobody gets it, and its message_id is free again. False if none is kept under this number that the caller sees there: it was delivered, is on its way, or has expired';

CREATE FUNCTION workflow.last_operation() RETURNS bigint
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'workflow_last_operation';
COMMENT ON FUNCTION workflow.last_operation() IS
'The number of the last call of this session with mode => ''async'', under which workflow.operations shows what has become of it. NULL: there was none';

CREATE FUNCTION workflow.resend(operation bigint) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_resend';
COMMENT ON FUNCTION workflow.resend(bigint) IS
'Sends the callback of an asynchronous call again: one that has failed, as it was; one that was sent, with the same data and a new idempotency key; one that could not be made, with the data of now. For the role that called, and who has its rights. Unknown: 42704; others who see it: 42501; it has asked for none, has failed, or it is not sent yet: 55000';

-- ---- outside systems ----

CREATE FUNCTION workflow.complete(serial_number text, data jsonb DEFAULT NULL, lock_token uuid DEFAULT NULL,
                                  mode text DEFAULT 'sync', callback_url text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_complete';
COMMENT ON FUNCTION workflow.complete(text, jsonb, uuid, text, text) IS
'The work that a visit waits for is done, with data as its response. True: this is its end; false: it had already ended, and what came is in workflow.late_callbacks. Malformed: 22P02; unknown: 42704; takes no callback, or its work is locked by a worker whose lock_token is not given: 55000; needs complete, or to have its task: 42501. mode async: checks arguments and rights, returns NULL, and has the call carried out by an executor after the commit: see workflow.operations. callback_url, with mode async: data and status are posted there, with the caller''s user mapping, once the instance rests; no server that the caller may use covers it: 42704; needs view: 42501';

CREATE FUNCTION workflow.fail(serial_number text, code text DEFAULT 'FAILED', message text DEFAULT NULL,
                              data jsonb DEFAULT NULL, retry boolean DEFAULT true, lock_token uuid DEFAULT NULL,
                              mode text DEFAULT 'sync', callback_url text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_fail';
COMMENT ON FUNCTION workflow.fail(text, text, text, jsonb, boolean, uuid, text, text) IS
'The work that a visit waits for has failed, with a code that its "catch" may name and data as its response. Work of a topic goes by the "retry" of the step, unless retry is false or a "catch" names the code: it is free again after the delay, and the failure stands in workflow.attempts. Answers and errors as of workflow.complete; 22023 for an empty code. mode async: checks arguments and rights, returns NULL, and has the call carried out by an executor after the commit: see workflow.operations. callback_url, with mode async: data and status are posted there, with the caller''s user mapping, once the instance rests; no server that the caller may use covers it: 42704; needs view: 42501';

CREATE FUNCTION workflow.complete_many(callbacks json, OUT serial_number text, OUT accepted boolean, OUT error_code text, OUT error text)
    RETURNS SETOF record LANGUAGE c ROWS 100 AS 'MODULE_PATHNAME', 'workflow_complete_many';
COMMENT ON FUNCTION workflow.complete_many(json) IS
'Many callbacks in one call: an array of {"serial_number": "5_31", "data": ...}, or with "fail": {"code", "message"} beside. Returns a row for each, in their order: accepted as workflow.complete or workflow.fail would answer, or the SQLSTATE and message of its error, which does not hold up the others; one that came too late says so in error, without an error_code. NULL, as json_agg over no rows gives it: no rows. Two such calls never deadlock. Duplicate keys are an error of their entry, as are data of more than 4 MB or 64 levels. No array: 22023';

CREATE FUNCTION workflow.heartbeat(serial_number text, progress jsonb DEFAULT NULL, lock_token uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_heartbeat';
COMMENT ON FUNCTION workflow.heartbeat(text, jsonb, uuid) IS
'The outside is still at work on a visit: the silence that its step allows begins anew, and progress, if given, is shown in workflow.waiting. lock_token: of work that workflow.fetch has given; its silence counts from then on. False: the work is no longer wanted, or somebody else has it by now: stop. Malformed: 22P02; unknown: 42704; progress of more than 64 kB: 22023; needs complete: 42501';

CREATE FUNCTION workflow.extend(serial_number text, by interval, lock_token uuid DEFAULT NULL) RETURNS timestamptz
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_extend';
COMMENT ON FUNCTION workflow.extend(text, interval, uuid) IS
'Moves the deadline of a visit, which its "timeout" set, and returns the new one; with the lock_token of workflow.fetch it prolongs the lock until then from now, and returns its new end; NULL: it is too late, the visit has ended or is about to, or somebody else has its work. Malformed: 22P02; unknown: 42704; there is no deadline, or somebody has its work and no lock_token is given: 55000; out of range: 22008; needs complete: 42501';

CREATE FUNCTION workflow.callback(token text, data jsonb DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_callback';
COMMENT ON FUNCTION workflow.callback(text, jsonb) IS
'As workflow.complete, for public webhooks: the token, with which $callback_url ends, is all the right that is needed, and finishes just that visit. False: it had already ended. Malformed: 22P02; wrong, or the step wants a signature, so that it takes workflow.callback_raw: 28000; takes no callback: 55000';

CREATE FUNCTION workflow.callback_raw(token text, body bytea, headers jsonb DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_callback_raw';
COMMENT ON FUNCTION workflow.callback_raw(text, bytea, jsonb) IS
'As workflow.callback, with the bytes that came and the headers of the request, by their names in any case: the signature that the step asks for is verified over these bytes before they are read. An empty body is no data. Errors as of workflow.callback; wrong signature: 28000; no secret to verify it with: 55000; no JSON in UTF-8: class 22; more than 32 MB: 54000';

CREATE FUNCTION workflow.callback_heartbeat(token text, progress jsonb DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_callback_heartbeat';
COMMENT ON FUNCTION workflow.callback_heartbeat(text, jsonb) IS
'As workflow.heartbeat, for public webhooks: the token, with which $heartbeat_url ends, is all the right that is needed. False: the work is no longer wanted. Malformed: 22P02; wrong: 28000; progress of more than 64 kB: 22023';

CREATE FUNCTION workflow.webhook(token text, body bytea DEFAULT NULL, headers jsonb DEFAULT NULL) RETURNS bigint
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_webhook';
COMMENT ON FUNCTION workflow.webhook(text, bytea, jsonb) IS
'Starts an instance of the process that lists this webhook in its "start_on", for whoever has its token: with the bytes that came and the headers of the request, whose signature is verified, if the entry asks for one, before they are read. Returns the number of the instance; if one was started under the same idempotency key, or lives with the same business key, of that. Malformed: 22P02; wrong token or signature: 28000; no secret to verify that with: 55000; no JSON in UTF-8, or no instance can start with it: class 22; too large: 54000';

CREATE FUNCTION workflow.webhook_token(process text, webhook text) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_webhook_token';
COMMENT ON FUNCTION workflow.webhook_token(text, text) IS
'The token of a webhook that starts instances of a process: what workflow.webhook takes, and a secret. It is the same in all versions that list the webhook. Unknown process or webhook: 42704; process undefined: 55000; needs admin: 42501';

CREATE FUNCTION workflow.instance_token(instance bigint) RETURNS text
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'workflow_instance_token';
COMMENT ON FUNCTION workflow.instance_token(bigint) IS
'The token of an instance, also of one that a call with mode async is still to start: a secret by which a front end knows whoever it has given it to, as workflow_api.sql does. It gives no right in the schema workflow, but workflow.instance_of_token. Unknown: 42704; needs start or admin: 42501';

CREATE FUNCTION workflow.instance_of_token(token text, OUT instance bigint, OUT status text)
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'workflow_instance_of_token';
COMMENT ON FUNCTION workflow.instance_of_token(text) IS
'The instance whose token it is, and its status as in workflow.instances; pending: a call with mode async is still to start it; NULL: that has failed, or it is no longer kept. The token is all the right that is needed. Malformed: 22P02; wrong: 28000';

CREATE FUNCTION workflow.fetch(topic text, n integer DEFAULT 1, lock interval DEFAULT '5 minutes', worker text DEFAULT NULL,
                               OUT serial_number text, OUT data jsonb, OUT item jsonb, OUT index integer, OUT lock_token uuid)
    RETURNS SETOF record LANGUAGE c ROWS 10 AS 'MODULE_PATHNAME', 'workflow_fetch';
COMMENT ON FUNCTION workflow.fetch(text, integer, interval, text) IS
'Takes up to n pieces of work of a topic, roughly those that have waited longest first: nobody else gets them until lock has passed, or the transaction is rolled back. worker: how the caller calls himself, else his role. What is fetched is ended by workflow.complete or workflow.fail with its lock_token, or given back by workflow.release. No rows: there is none now, or none that the caller may complete; the channel workflow_topic tells when there is. n, lock or worker out of range: 22023; in a copy of a database: 55000';

CREATE FUNCTION workflow.release(serial_number text, lock_token uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_release';
COMMENT ON FUNCTION workflow.release(text, uuid) IS
'Gives work back that was fetched, so that others can fetch it at once; without a lock_token, for who may administer the process, whoever has it. False: somebody else has it by now, nobody has it, or the visit has ended. Malformed: 22P02; unknown: 42704; needs complete, without a lock_token admin: 42501';

-- ---- people ----

CREATE FUNCTION workflow.claim(serial_number text, person text DEFAULT NULL, mode text DEFAULT 'sync', callback_url text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_claim';
COMMENT ON FUNCTION workflow.claim(text, text, text, text) IS
'Takes the task of a visit for the caller, so that nobody else does it: person, a name within his role, for applications whose users share one. True: he has it, perhaps since before; false: somebody else has it, or it is over. For members of the role that it is assigned to, else of its roles. Malformed, or a person of no or more than 200 bytes: 22P02, 22023; unknown: 42704; the visit has no task: 55000; for other roles: 42501. mode async: checks arguments and rights, returns NULL, and has the call carried out by an executor after the commit: see workflow.operations. callback_url, with mode async: data and status are posted there, with the caller''s user mapping, once the instance rests; no server that the caller may use covers it: 42704; needs view: 42501';

CREATE FUNCTION workflow.unclaim(serial_number text) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_unclaim';
COMMENT ON FUNCTION workflow.unclaim(text) IS
'Gives the task of a visit back: to its roles, any of which may claim it then, or, if it has none, to the role that it was assigned to. False: nobody had it, or it is over. Malformed: 22P02; unknown: 42704; the visit has no task, or that has nobody to go back to: 55000; needs to have it, or admin: 42501';

CREATE FUNCTION workflow.reassign(serial_number text, role name, person text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_reassign';
COMMENT ON FUNCTION workflow.reassign(text, name, text) IS
'Gives the task of a visit to a role, whose members may claim and do it, and perhaps to a person in it. False: it is over. Malformed, or a person of no or more than 200 bytes: 22P02, 22023; unknown visit or role: 42704; the visit has no task: 55000; needs to have it, or admin: 42501';

-- ---- operators ----

CREATE FUNCTION workflow.retry(serial_number text, new_key boolean DEFAULT false) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_retry';
COMMENT ON FUNCTION workflow.retry(text, boolean) IS
'Takes up an incident again, from its action, with all its attempts, under the same Idempotency-Key or a new one. False if the visit has ended. Malformed: 22P02; unknown: 42704; no incident, or its instance is suspended: 55000; needs admin: 42501';

CREATE FUNCTION workflow.skip(serial_number text, data jsonb DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_skip';
COMMENT ON FUNCTION workflow.skip(text, jsonb) IS
'Goes on from an incident as if it had succeeded with data as its response. False if the visit has ended. Malformed: 22P02; unknown: 42704; no incident, or its instance is suspended: 55000; needs admin: 42501';

CREATE FUNCTION workflow.cancel_visit(serial_number text, reason text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_cancel_visit';
COMMENT ON FUNCTION workflow.cancel_visit(text, text) IS
'Interrupts one visit, an incident too: the outside system is asked to stop, if its step says how; the outcome is CANCELLED, and a "catch" of that goes on. An instance that has no other token is then aborted. False if the visit has ended, or its end is known already. Malformed: 22P02; unknown: 42704; needs admin: 42501';

CREATE FUNCTION workflow.move(serial_number text, step text) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_move';
COMMENT ON FUNCTION workflow.move(text, text) IS
'Takes the token of a visit, of an incident perhaps, to another step of the list of steps in which it is: the visit ends CANCELLED without its "catch", the outside system being asked to stop, if its step says how; an embedded sub-process with all that lives in it. Returns the serial number of the visit there: where tokens meet, of the one that stands there already; NULL if the visit has ended, or its token came too late for a join. Malformed: 22P02; unknown serial number or step: 42704; a step of another list: 22023; about to end, or suspended: 55000; needs admin: 42501';

CREATE FUNCTION workflow.suspend(instance bigint) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_suspend';
COMMENT ON FUNCTION workflow.suspend(bigint) IS
'Holds an instance still: nothing is sent or moved on, clocks do not fire; replies and callbacks are kept. False if it is suspended already or has ended. Unknown: 42704; needs admin: 42501';

CREATE FUNCTION workflow.resume(instance bigint) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_resume';
COMMENT ON FUNCTION workflow.resume(bigint) IS
'Lets a suspended instance go on: what arrived meanwhile is handled, clocks that fell due fire at once, a silence is counted from now. False if it is not suspended. Unknown: 42704; needs admin: 42501';

CREATE FUNCTION workflow.suspend_process(process text) RETURNS bigint
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_suspend_process';
COMMENT ON FUNCTION workflow.suspend_process(text) IS
'Suspends all living instances of a process, and each that is started from now on, before its first step. Returns how many were not suspended before. Instances started by transactions that are still open are not seen: call it again after their end. Unknown: 42704; needs admin: 42501';

CREATE FUNCTION workflow.resume_process(process text) RETURNS bigint
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_resume_process';
COMMENT ON FUNCTION workflow.resume_process(text) IS
'Lets all suspended instances of a process go on, also those that were suspended one by one, and new ones start as usual. Returns how many there were. Unknown: 42704; needs admin: 42501';

CREATE FUNCTION workflow.erase(instance bigint) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_erase';
COMMENT ON FUNCTION workflow.erase(bigint) IS
'Deletes an ended instance from the history, with its visits, its attempts, what came late, what is in workflow.audit of it but for this call, and what is owed to its row. While it lives: 55000; while a write-back of it is being tried: 55006; unknown: 42704; needs admin: 42501';

CREATE FUNCTION workflow.migrate(INOUT instance bigint, version integer, mapping jsonb DEFAULT NULL, OUT obstacle text)
    RETURNS SETOF record LANGUAGE c ROWS 1 AS 'MODULE_PATHNAME', 'workflow_migrate';
COMMENT ON FUNCTION workflow.migrate(bigint, integer, jsonb) IS
'Takes a living instance to another version of its process, where each of its visits goes on at the step of the same name, or the one that mapping, {"old step": "new step", ...}, gives. A row for each obstacle; then it stays as it is. No row: it was done, or it has that version. Unknown instance or version: 42704; a mapping that is none, or names steps that are not there: 22023; needs admin: 42501';

CREATE FUNCTION workflow.migrate(process text, from_version integer, version integer, mapping jsonb DEFAULT NULL,
                                 OUT instance bigint, OUT obstacle text)
    RETURNS SETOF record LANGUAGE c ROWS 10 AS 'MODULE_PATHNAME', 'workflow_migrate_process';
COMMENT ON FUNCTION workflow.migrate(text, integer, integer, jsonb) IS
'The same for all living instances of a process that have from_version: those with obstacles, which the rows name, stay as they are, all others are taken to the new version in this transaction. Unknown process or version: 42704; a mapping that is none, or names steps that are not there: 22023; needs admin: 42501';

CREATE FUNCTION workflow.rerun(instance bigint, step text DEFAULT NULL, data jsonb DEFAULT NULL, version integer DEFAULT NULL) RETURNS bigint
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_rerun';
COMMENT ON FUNCTION workflow.rerun(bigint, text, jsonb, integer) IS
'Begins an ended instance once more, from its first step or another one of the process itself, as a new instance with the same business key and attached row; its data are those at its end, with data merged into them. version: the latest unless given. Returns the number of the new instance; NULL: an instance with that key lives. Unknown instance, step or version: 42704; it has not ended, or its process was undefined: 55000; a step inside of another one, or data that are no object: 22023; needs admin: 42501';

CREATE FUNCTION workflow.request(serial_number text) RETURNS jsonb
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_request';
COMMENT ON FUNCTION workflow.request(text) IS
'The request of a visit: {method, url, headers, body}, as it will be sent, or was, without credentials and cookies; of an incident as workflow.retry would send it, of one that is being cancelled the one that asks the service to stop. Malformed: 22P02; unknown, as its server may be: 42704; it has ended, or has no http: 55000; it cannot be made, as its templates say perhaps: 22000; needs admin: 42501';

CREATE FUNCTION workflow.timeline(instance bigint) RETURNS SETOF text
    LANGUAGE c ROWS 20 AS 'MODULE_PATHNAME', 'workflow_timeline';
COMMENT ON FUNCTION workflow.timeline(bigint) IS
'The story of an instance, told in lines: when it entered which step, what failed, how each visit ended, what came too late, and where it stands now. Unknown: 42704; needs view: 42501';

CREATE FUNCTION workflow.diagram(process text, version integer DEFAULT NULL, live boolean DEFAULT false) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_diagram';
COMMENT ON FUNCTION workflow.diagram(text, integer, boolean) IS
'A process as a flowchart, in the language of Mermaid: steps by what they do, ways with their conditions, handlers as dashed lines, sub-processes and lists of items as boxes around what is in them. version: the latest unless given. live: with how many tokens stand where and what they do, of all instances that live, or, with version, of those that follow it. Unknown process or version: 42704; needs view: 42501';

CREATE FUNCTION workflow.diagram(instance bigint) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_diagram_instance';
COMMENT ON FUNCTION workflow.diagram(bigint) IS
'The same of the version that an instance follows, with what it has passed and where it stands: steps are of the class passed, ended (with a bad outcome), waiting, calling, retrying, incident and the like. Unknown: 42704; needs view: 42501';

CREATE FUNCTION workflow.adopt() RETURNS bigint
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_adopt';
COMMENT ON FUNCTION workflow.adopt() IS
'Says that a restored or copied database goes on in place of its original, which must be no more: until then it sends nothing. Also lets begin what workflow.start_paused holds back. Returns the number of living instances';

CREATE FUNCTION workflow.verify(OUT instance bigint, OUT serial_number text, OUT problem text) RETURNS SETOF record
    LANGUAGE c ROWS 10 AS 'MODULE_PATHNAME', 'workflow_verify';
COMMENT ON FUNCTION workflow.verify() IS
'What is wrong with the rows of living instances, as of one moment: tokens, joins and incidents that are counted wrong, visits without their scope or step, states that do not go with their queue or clocks, deliveries that nobody would look at. No row: all is well. Locks nothing. What it finds is a fault of the extension, unless somebody has written to its tables';

CREATE FUNCTION workflow_data.identity_changed() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_identity_changed';
COMMENT ON FUNCTION workflow_data.identity_changed() IS
'Trigger of workflow_data.identity: tells the workers that a restore has brought processes of another database, or that the rows are this one''s now';
CREATE TRIGGER changed AFTER INSERT OR UPDATE OF system_identifier, database, relation OR DELETE ON workflow_data.identity
    FOR EACH STATEMENT EXECUTE FUNCTION workflow_data.identity_changed();

-- Only owners may write to tables that say what is run with whose rights. Members of
-- pg_write_all_data could write to every table otherwise.
CREATE FUNCTION workflow_data.owner_only() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_owner_only';
COMMENT ON FUNCTION workflow_data.owner_only() IS
'Trigger of tables that say what is run with whose rights: only their owner, and superusers, may write to them. Others: 42501';
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON workflow_data.process
    FOR EACH STATEMENT EXECUTE FUNCTION workflow_data.owner_only();
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON workflow_data.process_version
    FOR EACH STATEMENT EXECUTE FUNCTION workflow_data.owner_only();
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON workflow_data.process_privilege
    FOR EACH STATEMENT EXECUTE FUNCTION workflow_data.owner_only();
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON workflow_data.attachment
    FOR EACH STATEMENT EXECUTE FUNCTION workflow_data.owner_only();
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON workflow_data.identity
    FOR EACH STATEMENT EXECUTE FUNCTION workflow_data.owner_only();
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON workflow_data.secret
    FOR EACH STATEMENT EXECUTE FUNCTION workflow_data.owner_only();
-- ALWAYS triggers fire whatever session_replication_role is
ALTER TABLE workflow_data.process ENABLE ALWAYS TRIGGER owner_only;
ALTER TABLE workflow_data.process_version ENABLE ALWAYS TRIGGER owner_only;
ALTER TABLE workflow_data.process_privilege ENABLE ALWAYS TRIGGER owner_only;
ALTER TABLE workflow_data.attachment ENABLE ALWAYS TRIGGER owner_only;
ALTER TABLE workflow_data.identity ENABLE ALWAYS TRIGGER owner_only;
ALTER TABLE workflow_data.secret ENABLE ALWAYS TRIGGER owner_only;

CREATE FUNCTION workflow_data.secret_changed() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_secret_changed';
COMMENT ON FUNCTION workflow_data.secret_changed() IS
'Trigger of workflow_data.secret: tells running sessions and workers that there is another key';
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON workflow_data.secret FOR EACH ROW EXECUTE FUNCTION workflow_data.secret_changed();
ALTER TABLE workflow_data.secret ENABLE ALWAYS TRIGGER changed;

-- ---- serial numbers without quotes ----

CREATE FUNCTION workflow.complete(serial_number bigint, data jsonb DEFAULT NULL, lock_token uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.complete(bigint, jsonb, uuid) IS
'Always an error, 22P02: PostgreSQL 16 and newer read 5_31 without quotes as the number 531';

CREATE FUNCTION workflow.fail(serial_number bigint, code text DEFAULT 'FAILED', message text DEFAULT NULL,
                              data jsonb DEFAULT NULL, retry boolean DEFAULT true, lock_token uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.fail(bigint, text, text, jsonb, boolean, uuid) IS
'Always an error, 22P02: PostgreSQL 16 and newer read 5_31 without quotes as the number 531';

CREATE FUNCTION workflow.heartbeat(serial_number bigint, progress jsonb DEFAULT NULL, lock_token uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.heartbeat(bigint, jsonb, uuid) IS
'Always an error, 22P02: PostgreSQL 16 and newer read 5_31 without quotes as the number 531';

CREATE FUNCTION workflow.extend(serial_number bigint, by interval, lock_token uuid DEFAULT NULL) RETURNS timestamptz
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.extend(bigint, interval, uuid) IS
'Always an error, 22P02: PostgreSQL 16 and newer read 5_31 without quotes as the number 531';

CREATE FUNCTION workflow.release(serial_number bigint, lock_token uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.release(bigint, uuid) IS
'Always an error, 22P02: PostgreSQL 16 and newer read 5_31 without quotes as the number 531';

CREATE FUNCTION workflow.retry(serial_number bigint, new_key boolean DEFAULT false) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.retry(bigint, boolean) IS
'Always an error, 22P02: PostgreSQL 16 and newer read 5_31 without quotes as the number 531';

CREATE FUNCTION workflow.request(serial_number bigint) RETURNS jsonb
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.request(bigint) IS
'Always an error, 22P02: PostgreSQL 16 and newer read 5_31 without quotes as the number 531';

CREATE FUNCTION workflow.cancel_visit(serial_number bigint, reason text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.cancel_visit(bigint, text) IS
'Always an error, 22P02: PostgreSQL 16 and newer read 5_31 without quotes as the number 531';

CREATE FUNCTION workflow.skip(serial_number bigint, data jsonb DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.skip(bigint, jsonb) IS
'Always an error, 22P02: PostgreSQL 16 and newer read 5_31 without quotes as the number 531';

CREATE FUNCTION workflow.move(serial_number bigint, step text) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.move(bigint, text) IS
'Always an error, 22P02: PostgreSQL 16 and newer read 5_31 without quotes as the number 531';

-- ---- functions that views call ----

CREATE FUNCTION workflow_data.my_processes(privilege text, other text DEFAULT NULL, of_steps boolean DEFAULT false) RETURNS integer[]
    LANGUAGE c STABLE PARALLEL RESTRICTED COST 1000 AS 'MODULE_PATHNAME', 'workflow_my_processes';
COMMENT ON FUNCTION workflow_data.my_processes(text, text, boolean) IS
'Numbers of the processes on which the caller has one of these privileges, or on one of their steps as well: what the views go by';

CREATE FUNCTION workflow_data.my_steps() RETURNS text[]
    LANGUAGE c STABLE PARALLEL RESTRICTED COST 1000 AS 'MODULE_PATHNAME', 'workflow_my_steps';
COMMENT ON FUNCTION workflow_data.my_steps() IS
'Steps whose visits the caller may complete although he may not complete all of their process, each as "<process_id> <step>"';

CREATE FUNCTION workflow_data.my_roles() RETURNS oid[]
    LANGUAGE c STABLE PARALLEL RESTRICTED COST 100 AS 'MODULE_PATHNAME', 'workflow_my_roles';
COMMENT ON FUNCTION workflow_data.my_roles() IS
'The roles whose tasks are the caller''s: those whose rights he has, of a superuser those that he is a member of. None in a copy, where OIDs say nothing, until workflow.adopt()';

CREATE FUNCTION workflow_data.has_role(role oid, name name) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 10 AS 'MODULE_PATHNAME', 'workflow_has_role';
COMMENT ON FUNCTION workflow_data.has_role(oid, name) IS
'Whether the caller has the rights of a role that was stored under this OID and name; 0 is everyone';

CREATE FUNCTION workflow_data.role_name(role oid, name name) RETURNS name
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 10 AS 'MODULE_PATHNAME', 'workflow_role_name';
COMMENT ON FUNCTION workflow_data.role_name(oid, name) IS
'What a role that was stored under this OID and name is called now; the stored name if there is no such role any more';
