-- The functions that authors, callers, outside systems and operators call. Who may execute them is
-- in 90_grants.sql.

-- ---- authors ----

CREATE FUNCTION workflow.define(name text, definition json) RETURNS integer
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_define';
COMMENT ON FUNCTION workflow.define(text, json) IS
'Stores a definition as a version of a process, and returns the number of the version.
name: of the process. Who defines it first owns it; its steps run with the rights of the owner.
definition: a JSON document. The same one again is the same version; a stored version never changes.
What may be stored and is hardly meant is told in a NOTICE. workflow.check tells all of it and stores nothing.
Errors: 22023 the definition has faults, all told at once with their places; 0A000 it has nothing but what is not
  supported yet; 42501 the process is somebody else''s; 42939 the name is reserved.';

CREATE FUNCTION workflow.check(definition json, OUT path text, OUT severity text, OUT message text, OUT hint text, OUT step text,
                               OUT line integer)
    RETURNS SETOF record LANGUAGE c ROWS 10 AS 'MODULE_PATHNAME', 'workflow_check';
COMMENT ON FUNCTION workflow.check(json) IS
'Tells what workflow.define would say of a definition, and stores nothing. No row: nothing is wrong.
definition: a JSON document.
Gives a row for each fault, at most 100 of either severity: path, a jsonpath to the place; severity, ''error'' for what
  is refused and ''warning'' for what is told in a NOTICE; message; hint; step, the name of the step that it is in;
  line, of the text, on which the value begins.';

CREATE FUNCTION workflow.definition_schema() RETURNS json
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'workflow_definition_schema';
COMMENT ON FUNCTION workflow.definition_schema() IS
'Returns the JSON Schema (2020-12) of definitions, for editors: their keys, the types of the values, and which keys
exclude each other. workflow.check knows more: steps that are named, templates, what fits together.';

CREATE FUNCTION workflow.undefine(name text, force boolean DEFAULT false) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_undefine';
COMMENT ON FUNCTION workflow.undefine(text, boolean) IS
'Has a process start no new instances; its versions and its history stay. Returns false if that was so already.
name: of the process. workflow.define brings it back.
force: true: also while instances of it live, which go on to their end.
Errors: 42704 no such process; 55006 tables are attached to it, or instances live and force is false; 42501 needs
  admin.';

CREATE FUNCTION workflow.difference(process text, from_version integer DEFAULT NULL, version integer DEFAULT NULL,
                                    OUT path text, OUT change text, OUT old jsonb, OUT new jsonb)
    RETURNS SETOF record LANGUAGE c ROWS 20 AS 'MODULE_PATHNAME', 'workflow_difference';
COMMENT ON FUNCTION workflow.difference(text, integer, integer) IS
'Tells what two versions of a process do not have in common, a row for each value.
process: its name. version: the latest unless given. from_version: the one before that unless given.
Gives path, a jsonpath in which steps stand by their names; change: added, removed, changed, or moved (a list of steps
  in another order); old and new.
Errors: 42704 no such process or version; 42501 needs view.';

CREATE FUNCTION workflow.grant_process(process text, role name, privilege text, step text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_grant_process';
COMMENT ON FUNCTION workflow.grant_process(text, name, text, text) IS
'Gives a role a privilege on a process. Returns false if it has that already.
process: its name. role: whom; ''public'' is everyone.
privilege: ''start'' (start instances, change their data, cancel them), ''complete'' (finish what waits), ''view'' (see
  instances), or ''admin'' (all of these, and the calls of operators).
step: with ''complete'' alone: for that step of the latest version and no other. NULL: for the whole process.
Errors: 42704 no such process, role or step; 22023 no such privilege, or a step that it cannot be given for; 42501
  needs admin.';

CREATE FUNCTION workflow.revoke_process(process text, role name, privilege text, step text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_revoke_process';
COMMENT ON FUNCTION workflow.revoke_process(text, name, text, text) IS
'Takes back what workflow.grant_process gave. Returns false if there was nothing to take.
process: its name. role: from whom; ''public'' is everyone. privilege: ''start'', ''complete'', ''view'' or ''admin''.
step: ''complete'' on that step alone. NULL: on the whole process, and with it those on single steps.
Errors: 42704 no such process or role; 22023 no such privilege, or a step with another one than ''complete''; 42501
  needs admin.';

-- ---- callers ----

-- The key is anycompatible, not anyelement, which would refuse a literal without a type.
CREATE FUNCTION workflow.start(process text, data jsonb DEFAULT '{}', business_key anycompatible DEFAULT NULL::text,
                               version integer DEFAULT NULL, mode text DEFAULT 'sync',
                               callback_url text DEFAULT NULL) RETURNS bigint
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_start';
COMMENT ON FUNCTION workflow.start(text, jsonb, anycompatible, integer, text, text) IS
'Starts an instance of a process, in this transaction, and returns its number.
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

CREATE FUNCTION workflow.instance_of_key(process text, business_key anycompatible) RETURNS bigint
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'workflow_instance_of_key';
COMMENT ON FUNCTION workflow.instance_of_key(text, anycompatible) IS
'Returns the number of the living instance of a process that has a business key. NULL: none has.
process: its name. business_key: as of workflow.start, of any type.
Errors: 42704 no such process; 22004 an argument is NULL; 42501 needs start or view.';

CREATE FUNCTION workflow.set_data(instance bigint, data jsonb, mode text DEFAULT 'sync', callback_url text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_set_data';
COMMENT ON FUNCTION workflow.set_data(bigint, jsonb, text, text) IS
'Puts top-level keys over those of the data of an instance. Returns false if the instance has ended.
instance: its number. data: a JSON object with the keys to be set; others stay as they are.
mode: ''sync'', or ''async'': the call is checked and returns NULL, and an executor carries it out after the commit (see
  the view workflow.operations).
callback_url: with mode ''async'', the URL to which its data and status are posted once it rests, that is, goes on no
  further by itself.
Errors: 42704 no such instance; 22023 data are no object; 54000 they come to be larger than workflow.max_data; 42501
  needs start or admin; of mode and callback_url: 22023 another mode, no URL, or a URL without ''async''; 42704 no
  server that the caller was given covers the URL; 42501 needs view as well.';

CREATE FUNCTION workflow.cancel(instance bigint, reason text DEFAULT NULL, mode text DEFAULT 'sync', callback_url text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_cancel';
COMMENT ON FUNCTION workflow.cancel(bigint, text, text, text) IS
'Ends an instance: its visits end CANCELLED, after their services were asked to stop where a step says how, and then it
  is aborted. Returns false if it had ended.
instance: its number. reason: for people, the message of its error.
mode: ''sync'', or ''async'': the call is checked and returns NULL, and an executor carries it out after the commit (see
  the view workflow.operations).
callback_url: with mode ''async'', the URL to which its data and status are posted once it rests, that is, goes on no
  further by itself.
Errors: 42704 no such instance; 42501 needs start or admin; of mode and callback_url: 22023 another mode, no URL, or a
  URL without ''async''; 42704 no server that the caller was given covers the URL; 42501 needs view as well.';

CREATE FUNCTION workflow.send_message(name text, key anycompatible DEFAULT NULL::text, data jsonb DEFAULT NULL, ttl interval DEFAULT '0',
                                      message_id text DEFAULT NULL, instance bigint DEFAULT NULL, to_all boolean DEFAULT false,
                                      mode text DEFAULT 'sync', callback_url text DEFAULT NULL) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_send_message';
COMMENT ON FUNCTION workflow.send_message(text, anycompatible, jsonb, interval, text, bigint, boolean, text, text) IS
'Sends a message to the one visit that waits for its name and key; if none does, starts an instance of the process that
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

CREATE FUNCTION workflow.send_signal(name text, data jsonb DEFAULT NULL, mode text DEFAULT 'sync') RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_send_signal';
COMMENT ON FUNCTION workflow.send_signal(text, jsonb, text) IS
'Sends a signal to all visits that wait for its name when a worker takes it up, a moment after the commit; each gets it
  once. Nothing is kept for those that begin to wait later.
name: of the signal, 1 to 200 bytes. data: any JSON: what the receivers have as $event.data.
mode: ''sync'', or ''async'': the call is checked and returns at once, and an executor carries it out after the commit
  (see the view workflow.operations).
Reaches those visits alone which the caller may complete.
Errors: 22023 name out of range, or another mode; 54000 data are larger than workflow.max_data; 42501 with ''async'':
  the caller has complete or start on no process.';

CREATE FUNCTION workflow.withdraw_message(message bigint) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_withdraw_message';
COMMENT ON FUNCTION workflow.withdraw_message(bigint) IS
'Takes back a message that is kept: nobody gets it, and its message_id is free again.
message: its number in the view workflow.messages. Returns false if the caller has none of that number there: it was
  delivered, is on its way, has expired, or is somebody else''s.';

CREATE FUNCTION workflow.last_operation() RETURNS bigint
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'workflow_last_operation';
COMMENT ON FUNCTION workflow.last_operation() IS
'Gives the number of the last call of this session with mode => ''async'', under which the view workflow.operations shows
  what has become of it. NULL: there was none.';

CREATE FUNCTION workflow.resend(operation bigint) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_resend';
COMMENT ON FUNCTION workflow.resend(bigint) IS
'Sends the callback of a call with mode => ''async'' again: one that has failed, as it was; one that was sent, with the
  same data and a new Idempotency-Key; one that could not be made, with the data of now.
operation: its number in the view workflow.operations.
Errors: 42704 no such operation; 42501 for the role that called, and who has its rights; 55000 no callback was asked
  for, the call has failed, or it is not sent yet.';

-- ---- outside systems ----

CREATE FUNCTION workflow.complete(serial_number text, data jsonb DEFAULT NULL, lock_token uuid DEFAULT NULL,
                                  mode text DEFAULT 'sync', callback_url text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_complete';
COMMENT ON FUNCTION workflow.complete(text, jsonb, uuid, text, text) IS
'Ends a visit that waits for a callback, a task or work: what was asked for is done. Returns true if this call is its
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

CREATE FUNCTION workflow.fail(serial_number text, code text DEFAULT 'FAILED', message text DEFAULT NULL,
                              data jsonb DEFAULT NULL, retry boolean DEFAULT true, lock_token uuid DEFAULT NULL,
                              mode text DEFAULT 'sync', callback_url text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_fail';
COMMENT ON FUNCTION workflow.fail(text, text, text, jsonb, boolean, uuid, text, text) IS
'Ends a visit that waits with the outcome FAILED: what was asked for could not be done. Returns true and false as
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

CREATE FUNCTION workflow.complete_many(callbacks json, OUT serial_number text, OUT accepted boolean, OUT error_code text, OUT error text)
    RETURNS SETOF record LANGUAGE c ROWS 100 AS 'MODULE_PATHNAME', 'workflow_complete_many';
COMMENT ON FUNCTION workflow.complete_many(json) IS
'Carries out many workflow.complete and workflow.fail in one call, with a row of what has become of each, in their
  order.
callbacks: an array of {"serial_number": "5_31", "data": ..., "lock_token": ...}; those with "fail": {"code",
  "message", "retry"} beside have failed. NULL: no rows.
Gives serial_number; accepted; error_code and error, the SQLSTATE and message of what is wrong with this one, which
  keeps no other from being carried out. One that came too late is not accepted and says so in error, without a code.
Two such calls never deadlock. Data of an entry have at most 4 MB and 64 levels, and no key twice.
Errors: 22023 what is no array.';

CREATE FUNCTION workflow.heartbeat(serial_number text, progress jsonb DEFAULT NULL, lock_token uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_heartbeat';
COMMENT ON FUNCTION workflow.heartbeat(text, jsonb, uuid) IS
'Says that the outside is still at work on a visit: the silence that the "heartbeat" of its step allows begins anew.
  Returns false if the work is no longer wanted, or somebody else has it: stop.
serial_number: of the visit, such as ''5_31'', in quotes.
progress: any JSON of at most 64 kB, shown in the view workflow.waiting.
lock_token: of workflow.fetch, if the work was fetched from a topic; else NULL.
Errors: 22P02 what is no serial number; 42704 no such visit; 22023 progress is too large; 55000 it is a sub-process,
  stands at a join, or a worker has its work and the lock_token is not given; 42501 needs complete.';

CREATE FUNCTION workflow.extend(serial_number text, by interval, lock_token uuid DEFAULT NULL) RETURNS timestamptz
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_extend';
COMMENT ON FUNCTION workflow.extend(text, interval, uuid) IS
'Moves the deadline that the "timeout" of its step has set for a visit, and returns the new one. NULL: it is too late,
  the visit has ended, or is about to.
serial_number: of the visit, such as ''5_31'', in quotes.
by: an interval, how much later; a negative one: sooner.
lock_token: of workflow.fetch: then it is the lock that lasts for that long from now on, never less than it did, at
  most a year; NULL also: somebody else has the work.
Errors: 22P02 what is no serial number; 42704 no such visit; 55000 it has no deadline, or a worker has its work and
  the lock_token is not given; 22008 or 22023 out of range; 42501 needs complete.';

CREATE FUNCTION workflow.callback(token text, data jsonb DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_callback';
COMMENT ON FUNCTION workflow.callback(text, jsonb) IS
'Ends a visit as workflow.complete does, for whoever has its token: no other right is needed, and nothing else can be
  done with it.
token: what $callback_url ends with, a secret. data: the response: any JSON. Returns false if the visit had ended.
Errors: 22P02 what is no token; 28000 a wrong one, or its step wants a signature (workflow.callback_raw); 55000 the
  visit takes no callback.';

CREATE FUNCTION workflow.callback_raw(token text, body bytea, headers jsonb DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_callback_raw';
COMMENT ON FUNCTION workflow.callback_raw(text, bytea, jsonb) IS
'Does what workflow.callback does with the request as it came, so that the signature that its step may ask for can be
  verified over these very bytes.
token: what $callback_url ends with, a secret. body: JSON in UTF-8; an empty one is no data. headers: an object of the
  request''s headers, whose names may be in any case.
Errors: those of workflow.callback; 28000 a wrong or missing signature; 55000 there is no secret to verify it with;
  class 22 the body is no JSON in UTF-8; 54000 it has more than 32 MB.';

CREATE FUNCTION workflow.callback_heartbeat(token text, progress jsonb DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_callback_heartbeat';
COMMENT ON FUNCTION workflow.callback_heartbeat(text, jsonb) IS
'Says what workflow.heartbeat does, for whoever has the token. Returns false if the work is no longer wanted: stop.
token: what $heartbeat_url ends with, a secret. progress: any JSON of at most 64 kB.
Errors: 22P02 what is no token; 28000 a wrong one; 22023 progress is too large.';

CREATE FUNCTION workflow.webhook(token text, body bytea DEFAULT NULL, headers jsonb DEFAULT NULL) RETURNS bigint
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_webhook';
COMMENT ON FUNCTION workflow.webhook(text, bytea, jsonb) IS
'Starts an instance of the process that lists a webhook in its "start_on", for whoever has the token of that. Returns
  its number; of a delivery that has come before, that of the instance that was started then.
token: of workflow.webhook_token, a secret. body: JSON in UTF-8. headers: an object of the request''s headers, whose
  names may be in any case: a signature and an idempotency key may be among them.
Errors: 22P02 what is no token; 28000 a wrong token or signature; 55000 there is no secret to verify that with; class
  22 the body is no JSON in UTF-8, or no instance can start with it; 54000 it is too large.';

CREATE FUNCTION workflow.webhook_token(process text, webhook text) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_webhook_token';
COMMENT ON FUNCTION workflow.webhook_token(text, text) IS
'Shows the token of a webhook that starts instances: what workflow.webhook takes, and a secret. It stays the same in
  all versions that list the webhook.
process: its name. webhook: the name that its "start_on" gives it.
Errors: 42704 no such process, or its latest version lists no such webhook; 55000 the process is undefined; 42501
  needs admin.';

CREATE FUNCTION workflow.instance_token(instance bigint) RETURNS text
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'workflow_instance_token';
COMMENT ON FUNCTION workflow.instance_token(bigint) IS
'Shows the token of an instance, also of one that a call with mode => ''async'' is still to start: a secret by which a
  front end whose users share a role knows again who has started it (see workflow_api.sql). No other function takes it
  than workflow.instance_of_token.
instance: its number.
Errors: 42704 no such instance; 42501 needs start or admin.';

CREATE FUNCTION workflow.instance_of_token(token text, OUT instance bigint, OUT status text)
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'workflow_instance_of_token';
COMMENT ON FUNCTION workflow.instance_of_token(text) IS
'Tells whoever has the token of an instance which one that is, and its status.
token: of workflow.instance_token, a secret.
Gives instance, and status as in the view workflow.instances; pending: it is still to be started; NULL: that has
  failed, or it is no longer kept.
Errors: 22P02 what is no token; 28000 a wrong one.';

CREATE FUNCTION workflow.fetch(topic text, n integer DEFAULT 1, lock interval DEFAULT '5 minutes', worker text DEFAULT NULL,
                               OUT serial_number text, OUT data jsonb, OUT item jsonb, OUT index integer, OUT lock_token uuid)
    RETURNS SETOF record LANGUAGE c ROWS 10 AS 'MODULE_PATHNAME', 'workflow_fetch';
COMMENT ON FUNCTION workflow.fetch(text, integer, interval, text) IS
'Takes work of a topic, roughly what has waited longest first: nobody else gets it until its lock has run out or the
  transaction is rolled back. No row: there is none now that the caller may complete; the channel workflow_topic tells
  when there is.
topic: its name. n: how many pieces at most, 1 to 10,000. lock: an interval of at most a year, for how long. worker:
  how the caller calls himself, at most 200 characters; else his role.
Gives serial_number; data, what the step says; item and index, if the step is done for the items of a list;
  lock_token, with which workflow.complete or workflow.fail end the work, and workflow.release gives it back.
Errors: 22023 n, lock or worker out of range; 55000 the database is a copy that was not adopted.';

CREATE FUNCTION workflow.release(serial_number text, lock_token uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_release';
COMMENT ON FUNCTION workflow.release(text, uuid) IS
'Gives fetched work back, so that others can fetch it at once. Returns false if somebody else has it by now, nobody has
  it, or the visit has ended.
serial_number: of the visit, such as ''5_31'', in quotes.
lock_token: of workflow.fetch. NULL: whoever has it, for who may administer the process.
Errors: 22P02 what is no serial number; 42704 no such visit; 42501 needs complete, without a lock_token admin.';

-- ---- people ----

CREATE FUNCTION workflow.claim(serial_number text, person text DEFAULT NULL, mode text DEFAULT 'sync', callback_url text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_claim';
COMMENT ON FUNCTION workflow.claim(text, text, text, text) IS
'Takes the task of a visit for the caller, so that nobody else does it. Returns true if he has it, perhaps since
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

CREATE FUNCTION workflow.unclaim(serial_number text) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_unclaim';
COMMENT ON FUNCTION workflow.unclaim(text) IS
'Gives the task of a visit back: to its roles, any member of which may claim it then, or, if it has none, to the role
  that it was assigned to. Returns false if nobody had it, or it is over.
serial_number: of the visit, such as ''5_31'', in quotes.
Errors: 22P02 what is no serial number; 42704 no such visit; 55000 it has no task, or nobody to go back to; 42501 for
  whoever has the task, and needs admin else.';

CREATE FUNCTION workflow.reassign(serial_number text, role name, person text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_reassign';
COMMENT ON FUNCTION workflow.reassign(text, name, text) IS
'Gives the task of a visit to a role, whose members may then claim and do it. Returns false if it is over.
serial_number: of the visit, such as ''5_31'', in quotes.
role: to whom. person: a name within that role, 1 to 200 bytes; NULL: none.
Errors: 22P02 what is no serial number; 42704 no such visit or role; 55000 it has no task; 22023 person out of range;
  42501 for whoever has the task, and needs admin else.';

-- ---- operators ----

CREATE FUNCTION workflow.retry(serial_number text, new_key boolean DEFAULT false) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_retry';
COMMENT ON FUNCTION workflow.retry(text, boolean) IS
'Begins the step of an incident again, from its action and with all its attempts. Returns false if the visit has ended.
serial_number: of the visit, such as ''5_31'', in quotes.
new_key: false: under the same Idempotency-Key, so that a service which has done its work does not do it twice; true:
  as a new request.
Errors: 22P02 what is no serial number; 42704 no such visit; 55000 it is no incident, or its instance is suspended;
  42501 needs admin.';

CREATE FUNCTION workflow.skip(serial_number text, data jsonb DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_skip';
COMMENT ON FUNCTION workflow.skip(text, jsonb) IS
'Goes on from an incident as if its step had succeeded. Returns false if the visit has ended.
serial_number: of the visit, such as ''5_31'', in quotes.
data: what is taken for its response: any JSON.
Errors: 22P02 what is no serial number; 42704 no such visit; 55000 it is no incident, or its instance is suspended;
  42501 needs admin.';

CREATE FUNCTION workflow.cancel_visit(serial_number text, reason text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_cancel_visit';
COMMENT ON FUNCTION workflow.cancel_visit(text, text) IS
'Ends one visit, also an incident, with the outcome CANCELLED: its service is asked to stop, if the step says how, and
  a "catch" of CANCELLED goes on. An instance that has no other token is then aborted. Returns false if it has ended,
  or its end is known already.
serial_number: of the visit, such as ''5_31'', in quotes.
reason: for people, the message of its error.
Errors: 22P02 what is no serial number; 42704 no such visit; 42501 needs admin.';

CREATE FUNCTION workflow.move(serial_number text, step text) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_move';
COMMENT ON FUNCTION workflow.move(text, text) IS
'Takes the token of a visit, also of an incident, to another step. The visit ends CANCELLED, without its "catch", and
  its service is asked to stop, if the step says how; a sub-process ends with all that is in it.
serial_number: of the visit, such as ''5_31'', in quotes.
step: a step of the same list of steps.
Returns the serial number of the visit there: where tokens meet, of the one that stands there already. NULL: it has
  ended, or comes too late for a join.
Errors: 22P02 what is no serial number; 42704 no such visit or step; 22023 the step is in another list; 55000 it is
  about to end, or suspended; 42501 needs admin.';

CREATE FUNCTION workflow.suspend(instance bigint) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_suspend';
COMMENT ON FUNCTION workflow.suspend(bigint) IS
'Holds an instance still until workflow.resume: nothing is sent or moved on, and no clock strikes; replies and
  callbacks are kept. Returns false if it is suspended already, or has ended.
instance: its number.
Errors: 42704 no such instance; 42501 needs admin.';

CREATE FUNCTION workflow.resume(instance bigint) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_resume';
COMMENT ON FUNCTION workflow.resume(bigint) IS
'Lets a suspended instance go on: what has arrived is handled, clocks that fell due strike at once, a silence is
  counted from now on. Returns false if it is not suspended.
instance: its number.
Errors: 42704 no such instance; 42501 needs admin.';

CREATE FUNCTION workflow.suspend_process(process text) RETURNS bigint
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_suspend_process';
COMMENT ON FUNCTION workflow.suspend_process(text) IS
'Suspends all living instances of a process, and each that is started from now on, before its first step. Returns how
  many were not suspended before.
process: its name.
Instances of transactions that are still open are not seen: call it again after their end, until it gives 0.
Errors: 42704 no such process; 42501 needs admin.';

CREATE FUNCTION workflow.resume_process(process text) RETURNS bigint
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_resume_process';
COMMENT ON FUNCTION workflow.resume_process(text) IS
'Lets all suspended instances of a process go on, also those that were suspended one by one, and new ones start as
  usual. Returns how many there were.
process: its name.
Errors: 42704 no such process; 42501 needs admin.';

CREATE FUNCTION workflow.erase(instance bigint) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_erase';
COMMENT ON FUNCTION workflow.erase(bigint) IS
'Deletes an ended instance before its time: its visits, attempts and data, what came late, what is in the view
  workflow.audit of it but for this call, and what is owed to its row. Returns true.
instance: its number.
Errors: 42704 no such instance; 55000 it lives; 55006 a write-back of it is being tried, or its data are being posted
  to a callback_url; 42501 needs admin.';

CREATE FUNCTION workflow.migrate(INOUT instance bigint, version integer, mapping jsonb DEFAULT NULL, OUT obstacle text)
    RETURNS SETOF record LANGUAGE c ROWS 1 AS 'MODULE_PATHNAME', 'workflow_migrate';
COMMENT ON FUNCTION workflow.migrate(bigint, integer, jsonb) IS
'Takes a living instance to another version of its process, newer or older: each of its visits goes on at the step of
  the same name. No row: it was done, or it has that version.
instance: its number. version: to which one.
mapping: {"old step": "new step", ...} for steps that have another name there.
Gives a row for each obstacle; then the instance stays as it is.
Errors: 42704 no such instance or version; 22023 mapping is no object of names, or names steps that are not there;
  42501 needs admin.';

CREATE FUNCTION workflow.migrate(process text, from_version integer, version integer, mapping jsonb DEFAULT NULL,
                                 OUT instance bigint, OUT obstacle text)
    RETURNS SETOF record LANGUAGE c ROWS 10 AS 'MODULE_PATHNAME', 'workflow_migrate_process';
COMMENT ON FUNCTION workflow.migrate(text, integer, integer, jsonb) IS
'Takes all living instances of a process that have a version to another one, in this transaction; those with an
  obstacle stay as they are, and a NOTICE says how many were taken.
process: its name. from_version: which instances. version: to which one.
mapping: {"old step": "new step", ...} for steps that have another name there.
Gives a row for each obstacle: instance and obstacle.
Errors: 42704 no such process or version; 22023 mapping is no object of names, or names steps that are not there;
  42501 needs admin.';

CREATE FUNCTION workflow.rerun(instance bigint, step text DEFAULT NULL, data jsonb DEFAULT NULL, version integer DEFAULT NULL) RETURNS bigint
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_rerun';
COMMENT ON FUNCTION workflow.rerun(bigint, text, jsonb, integer) IS
'Begins an ended instance once more, as a new one with its business key, attached row and data, and returns the number
  of that. NULL: an instance with its key lives.
instance: the number of the ended one. step: where it begins, else at the first one; not one inside of another.
data: a JSON object put over the data that it had at its end. version: the latest unless given.
Errors: 42704 no such instance, step or version; 55000 it has not ended, or its process is undefined; 22023 a step at
  which none can begin, or data are no object; 42501 needs admin.';

CREATE FUNCTION workflow.request(serial_number text) RETURNS jsonb
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_request';
COMMENT ON FUNCTION workflow.request(text) IS
'Shows the HTTP request of a visit as {method, url, headers, body}, without credentials and cookies: as it will be
  sent, or was; of an incident as workflow.retry would send it; of one that is being cancelled the one that asks the
  service to stop.
serial_number: of the visit, such as ''5_31'', in quotes.
Errors: 22P02 what is no serial number; 42704 no such visit, or its server was dropped; 55000 it has ended, or its
  step has no "http"; 22000 it cannot be made, with the reason; 42501 needs admin.';

CREATE FUNCTION workflow.timeline(instance bigint) RETURNS SETOF text
    LANGUAGE c ROWS 20 AS 'MODULE_PATHNAME', 'workflow_timeline';
COMMENT ON FUNCTION workflow.timeline(bigint) IS
'Tells the story of an instance, a line for each event: when it entered which step, what failed, how each visit ended,
  what came too late, who did what, and where it stands now.
instance: its number.
Errors: 42704 no such instance; 42501 needs view.';

CREATE FUNCTION workflow.diagram(process text, version integer DEFAULT NULL, live boolean DEFAULT false) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_diagram';
COMMENT ON FUNCTION workflow.diagram(text, integer, boolean) IS
'Draws a process as a flowchart: text in the language of Mermaid, with steps by what they do, routes with their
  conditions, handlers as dashed lines, and boxes around sub-processes and lists of items.
process: its name. version: the latest unless given.
live: true: with how many tokens stand at each step, and what they do: of all living instances, or of those that
  follow the version, if that is given.
Errors: 42704 no such process or version; 42501 needs view.';

CREATE FUNCTION workflow.diagram(instance bigint) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_diagram_instance';
COMMENT ON FUNCTION workflow.diagram(bigint) IS
'Draws the process of an instance as a flowchart in the language of Mermaid, with what the instance has passed and
  where it stands: steps have a class such as passed, ended (badly), waiting, calling, retrying or incident.
instance: its number.
Errors: 42704 no such instance; 42501 needs view.';

CREATE FUNCTION workflow.adopt() RETURNS bigint
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_adopt';
COMMENT ON FUNCTION workflow.adopt() IS
'Says that this database is no copy, or goes on in place of its original, which must be no more: until then a restored
  or copied database sends nothing. It also lets begin what workflow.start_paused holds back. Returns the number of
  living instances.
Errors: 42501 for superusers, and those whom they grant it.';

CREATE FUNCTION workflow.verify(OUT instance bigint, OUT serial_number text, OUT problem text) RETURNS SETOF record
    LANGUAGE c ROWS 10 AS 'MODULE_PATHNAME', 'workflow_verify';
COMMENT ON FUNCTION workflow.verify() IS
'Looks whether the rows of all living instances agree with each other and with their definitions: tokens, joins and
  incidents are counted right, each visit has its scope and step, each state its queue and clocks. No row: all is
  well.
Gives instance, serial_number and problem. It locks nothing, and sees one moment. What it finds is a fault of the
  extension, unless somebody has written to its tables.
Errors: 42501 for superusers, and those whom they grant it.';

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
'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';

CREATE FUNCTION workflow.fail(serial_number bigint, code text DEFAULT 'FAILED', message text DEFAULT NULL,
                              data jsonb DEFAULT NULL, retry boolean DEFAULT true, lock_token uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.fail(bigint, text, text, jsonb, boolean, uuid) IS
'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';

CREATE FUNCTION workflow.heartbeat(serial_number bigint, progress jsonb DEFAULT NULL, lock_token uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.heartbeat(bigint, jsonb, uuid) IS
'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';

CREATE FUNCTION workflow.extend(serial_number bigint, by interval, lock_token uuid DEFAULT NULL) RETURNS timestamptz
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.extend(bigint, interval, uuid) IS
'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';

CREATE FUNCTION workflow.release(serial_number bigint, lock_token uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.release(bigint, uuid) IS
'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';

CREATE FUNCTION workflow.retry(serial_number bigint, new_key boolean DEFAULT false) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.retry(bigint, boolean) IS
'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';

CREATE FUNCTION workflow.request(serial_number bigint) RETURNS jsonb
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.request(bigint) IS
'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';

CREATE FUNCTION workflow.cancel_visit(serial_number bigint, reason text DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.cancel_visit(bigint, text) IS
'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';

CREATE FUNCTION workflow.skip(serial_number bigint, data jsonb DEFAULT NULL) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.skip(bigint, jsonb) IS
'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';

CREATE FUNCTION workflow.move(serial_number bigint, step text) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_serial_is_text';
COMMENT ON FUNCTION workflow.move(bigint, text) IS
'Always an error: a serial number is text, in quotes. PostgreSQL 16 and later read 5_31 without quotes as the number
  531.
Errors: 22P02.';

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
