-- Calls that were made asynchronously: those that are still to be carried out, and the record of those that were.

CREATE SEQUENCE workflow_data.operation_seq;
COMMENT ON SEQUENCE workflow_data.operation_seq IS 'Numbers of operations';
CREATE TABLE workflow_data.operation (
    operation    bigint PRIMARY KEY DEFAULT nextval('workflow_data.operation_seq'),
    instance     bigint,
    visit        bigint,
    requested_at timestamptz NOT NULL,
    done_at      timestamptz,
    process_id   integer,
    callback_process integer,
    callback     bigint,
    callbacks_before bigint[],
    role         oid NOT NULL,
    role_name    name NOT NULL,
    session_role oid NOT NULL,
    session_role_name name NOT NULL,
    call         text NOT NULL,
    answer       text,
    traceparent  text,
    callback_due boolean,
    callback_url text,
    callback_error jsonb,
    error        jsonb,
    arguments    jsonb
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX operation_instance ON workflow_data.operation (instance, operation) WHERE instance IS NOT NULL;
-- what has not gone well, or not yet, as the view says it
CREATE INDEX operation_state ON workflow_data.operation
    ((CASE WHEN done_at IS NULL THEN 'pending' WHEN error IS NULL THEN 'done' ELSE 'failed' END), operation)
    WHERE CASE WHEN done_at IS NULL THEN 'pending' WHEN error IS NULL THEN 'done' ELSE 'failed' END <> 'done';
CREATE INDEX operation_callback ON workflow_data.operation (instance, operation) WHERE callback_due;
COMMENT ON TABLE workflow_data.operation IS 'Calls that were made asynchronously. A delivery for each that is still to be carried out says when that is tried. Look at the view workflow.operations';
COMMENT ON COLUMN workflow_data.operation.operation IS 'Number of the operation';
COMMENT ON COLUMN workflow_data.operation.instance IS 'Instance that it is about; of start, the number that the new one gets; NULL: none';
COMMENT ON COLUMN workflow_data.operation.visit IS 'Visit that it is about; NULL: none';
COMMENT ON COLUMN workflow_data.operation.requested_at IS 'When it was called';
COMMENT ON COLUMN workflow_data.operation.done_at IS 'When it was carried out, or failed; NULL: it was not yet';
COMMENT ON COLUMN workflow_data.operation.process_id IS 'Process of that instance; NULL: none';
COMMENT ON COLUMN workflow_data.operation.callback_process IS 'Process of the caller whose instances post callbacks; NULL: none was asked for';
COMMENT ON COLUMN workflow_data.operation.callback IS 'Instance that posts, or has posted, where the instance rests; NULL: it has not come to rest yet, or nothing is posted';
COMMENT ON COLUMN workflow_data.operation.callbacks_before IS 'Instances that have posted it before it was sent again: they are deleted with the data that they tell; NULL: none';
COMMENT ON COLUMN workflow_data.operation.role IS 'Role that called, and whose rights count when it is carried out';
COMMENT ON COLUMN workflow_data.operation.role_name IS 'Name of that role: what counts after a restore, until workflow.adopt()';
COMMENT ON COLUMN workflow_data.operation.session_role IS 'Role that had logged in: what goes on record as that, unless it is gone by then';
COMMENT ON COLUMN workflow_data.operation.session_role_name IS 'Name of the role that had logged in: what counts after a restore, until workflow.adopt()';
COMMENT ON COLUMN workflow_data.operation.call IS 'Function that was called';
COMMENT ON COLUMN workflow_data.operation.answer IS 'What it has returned; NULL: it has not, or nothing';
COMMENT ON COLUMN workflow_data.operation.traceparent IS 'Of start: the traceparent that the caller gave; NULL: none';
COMMENT ON COLUMN workflow_data.operation.callback_due IS 'True once it was carried out, until its instance rests; else NULL';
COMMENT ON COLUMN workflow_data.operation.callback_url IS 'Where the data and status are posted with which the instance rests then; NULL: nowhere';
COMMENT ON COLUMN workflow_data.operation.callback_error IS 'Why they could not even be kept: {sqlstate, message, detail, hint}';
COMMENT ON COLUMN workflow_data.operation.error IS 'Error with which it has failed: {sqlstate, message, detail, hint}';
COMMENT ON COLUMN workflow_data.operation.arguments IS 'Its arguments; none once it was carried out';

-- no part of a dump
CREATE TABLE workflow_data.operation_headers (
    operation bigint PRIMARY KEY,
    headers   jsonb NOT NULL
);
COMMENT ON TABLE workflow_data.operation_headers IS 'Headers of calls that are still to be carried out, for user mappings with auth on_behalf: secrets, which no dump carries';
COMMENT ON COLUMN workflow_data.operation_headers.operation IS 'Number of the operation';
COMMENT ON COLUMN workflow_data.operation_headers.headers IS 'Those that mappings of the owner of its process pass on: {name in lower case: value}';

SELECT pg_catalog.pg_extension_config_dump('workflow_data.operation', '');
SELECT pg_catalog.pg_extension_config_dump('workflow_data.operation_seq', '');
