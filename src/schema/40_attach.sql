-- Attached tables: their rows start instances.

CREATE FUNCTION workflow_data.before_insert() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_before_insert';
COMMENT ON FUNCTION workflow_data.before_insert() IS
'Trigger of attached tables: sets the columns in which a row shows its instance';
CREATE FUNCTION workflow_data.after_insert() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_after_insert';
COMMENT ON FUNCTION workflow_data.after_insert() IS
'Trigger of attached tables: starts an instance for each new row';
CREATE FUNCTION workflow_data.keep_columns() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_keep_columns';
COMMENT ON FUNCTION workflow_data.keep_columns() IS
'Trigger of attached tables: leaves the columns in which a row shows its instance as they are, unless a write-back or a superuser changes them';

CREATE FUNCTION workflow_data.after_update() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_after_update';
COMMENT ON FUNCTION workflow_data.after_update() IS
'Trigger of attached tables: merges what has changed in rows into the data of their instances';
CREATE FUNCTION workflow_data.after_delete() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_after_delete';
COMMENT ON FUNCTION workflow_data.after_delete() IS
'Trigger of attached tables: cancels the instances of rows that were deleted';
CREATE FUNCTION workflow_data.after_truncate() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_after_truncate';
COMMENT ON FUNCTION workflow_data.after_truncate() IS
'Trigger of attached tables: cancels the instances of all rows that are gone';

CREATE FUNCTION workflow.attach(relation regclass, process text, serial_column name DEFAULT NULL,
                                serial_step text DEFAULT NULL, status_column name DEFAULT NULL,
                                instance_column name DEFAULT NULL, result_columns jsonb DEFAULT NULL,
                                condition text DEFAULT NULL,
                                on_update text DEFAULT 'ignore', on_delete text DEFAULT 'ignore',
                                existing boolean DEFAULT false, trust boolean DEFAULT false)
    RETURNS integer LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_attach';
COMMENT ON FUNCTION workflow.attach(regclass, text, name, text, name, name, jsonb, text, text, text, boolean, boolean) IS
'Has each new row of a table start an instance of a process: its data is the row as JSON, its business key the primary key. Columns of the row can show the serial number of the open callback wait (the oldest, or that of serial_step), the status and the number of the instance; result_columns names others, each with a jsonpath over the data of the instance. condition is a jsonpath predicate over the row: only such rows start one. on_update => ''set_data'' merges the columns of a row that an UPDATE changes into the data of its instance; on_delete => ''cancel'' cancels the instance of a row that was deleted. With existing, rows that are there already and never had an instance of this table and process start one as well. With trust, code of other roles that the table brings with it runs with the rights of its owner. Needs ownership of the table, whose owner needs the privilege "start". Returns the number of the attachment';

CREATE FUNCTION workflow.detach(relation regclass, process text DEFAULT NULL)
    RETURNS integer LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_detach';
COMMENT ON FUNCTION workflow.detach(regclass, text) IS
'Ends what workflow.attach began, for one process or for all: new rows start nothing, living instances go on without writing to their rows, until the table is attached to the process again. Needs ownership of the table, or admin on the process. Returns how many attachments were removed';

CREATE FUNCTION workflow.write_back(relation regclass)
    RETURNS bigint LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'workflow_write_back';
COMMENT ON FUNCTION workflow.write_back(regclass) IS
'Has what is owed to rows of an attached table (see the view workflow.write_backs) tried now, by a worker. Needs ownership of the table, or admin on the process. Returns how many write-backs are due now that were to be tried later; not those that are being tried at this moment';
