-- What a test plays in a transaction that is rolled back: replies that are made up, and time that passes at once.

CREATE FUNCTION workflow.mock(server text, method text DEFAULT NULL, path text DEFAULT '*', reply jsonb DEFAULT '{"status": 200}',
                              times integer DEFAULT NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_mock';
COMMENT ON FUNCTION workflow.mock(text, text, text, jsonb, integer) IS
'Makes up a reply for requests that workflow.advance plays in this transaction, which can only be rolled back from then
  on. A request gets the first one that fits, in the order in which they were given.
server: its name. method: such as ''POST''; NULL: any. path: what follows the url of the server, such as ''/charges'',
  whose slash may be left out; with * at its end, what begins so; a query counts only if it has one.
reply: {"status", "headers", "body", "after"}: 200 unless given; after such an interval, else at once. {"error"}:
  "connect", or "timeout".
times: for so many requests; NULL: for all.
Errors: 22004; 22023 no such reply, method or path; 42704 no such server; 55000 a worker calls it.';

CREATE FUNCTION workflow.advance(by interval DEFAULT '0',
                                 OUT at timestamptz, OUT serial_number text, OUT step text, OUT event text)
    RETURNS SETOF record LANGUAGE c ROWS 10 AS 'MODULE_PATHNAME', 'workflow_advance';
COMMENT ON FUNCTION workflow.advance(interval) IS
'Plays in this transaction, without workers and without waiting, what becomes due by then in the instances that the
  transaction itself has started, in the order of time, and what it has called asynchronously. Shows what happened when
  to which visit. From then on the time of the engine stands where it has come to, and the transaction can only be
  rolled back.
by: how far, from workflow.now() on.
Errors: 22004; 22023 what is negative; 42501 needs to be a member of the owner of each process and attached table;
  42704 a request to which no reply was made up; 54000 it does not come to an end; 55000 a worker, or what it plays,
  calls it. At the end of the transaction: 25000 it cannot be committed.';

CREATE FUNCTION workflow.mocked_requests(OUT at timestamptz, OUT serial_number text, OUT instance bigint, OUT step text, OUT server text,
                                         OUT method text, OUT path text, OUT headers jsonb, OUT body jsonb)
    RETURNS SETOF record LANGUAGE c ROWS 10 AS 'MODULE_PATHNAME', 'workflow_mocked_requests';
COMMENT ON FUNCTION workflow.mocked_requests() IS
'Shows the requests that workflow.advance has played in this transaction, in their order, without credentials.
Errors: those of workflow.advance.';

CREATE FUNCTION workflow.now() RETURNS timestamptz
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_now';
COMMENT ON FUNCTION workflow.now() IS
'Tells the time by which the engine goes: that of the clock, but in a transaction that has called workflow.advance the
  time to which it has come, which stands.
Errors: those of workflow.advance.';
