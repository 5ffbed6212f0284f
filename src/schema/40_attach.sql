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
                                existing boolean DEFAULT false, trust boolean DEFAULT false,
                                replicated boolean DEFAULT false, show_in regclass DEFAULT NULL)
    RETURNS integer LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_attach';
COMMENT ON FUNCTION workflow.attach(regclass, text, name, text, name, name, jsonb, text, text, text, boolean, boolean, boolean, regclass) IS
'Has each new row of a table start an instance of a process, in the transaction of its INSERT: the row is its data, the
  primary key its business key. Returns the number of the attachment.
relation: the table. process: the process.
serial_column: shows the serial number of the callback that is waited for: the oldest, or that of serial_step.
  status_column: shows the status of the instance. instance_column: its number.
result_columns: {"column": "jsonpath", ...}: columns that show what the jsonpath gives of the data.
condition: a jsonpath predicate: only rows that meet it start one.
on_update: ''set_data'': what an UPDATE changes in a row is merged into the data of its instance; ''ignore''. on_delete:
  ''cancel'': the instance of a deleted row is cancelled; ''ignore''.
existing: true: rows that are there already, and never had an instance of this table and process, start one, too.
trust: true: code of other roles that the table brings with it runs with the rights of its owner.
replicated: true: logical replication brings its rows; one that cannot start its instance does not stop that, and is in
  the view workflow.refused_rows.
show_in: the table, mostly a foreign one, in which rows of the same keys show their instances.
Errors: 42704 no such process; 42703 no such column; 42710 it is attached already, or
  show_in shows the instances of another table; 42809 what cannot be attached, such
  as a view; 22023 no such step, or another argument that cannot be; 42501 needs ownership of the table, whose owner
  needs start; or the table brings code of others.';

CREATE FUNCTION workflow.detach(relation regclass, process text DEFAULT NULL)
    RETURNS integer LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_detach';
COMMENT ON FUNCTION workflow.detach(regclass, text) IS
'Ends what workflow.attach began: new rows start nothing, and living instances go on without writing to their rows.
  Returns how many attachments were removed.
relation: the table. process: for which one; NULL: for all.
Errors: 42704 it is not attached, to that process; 42501 needs ownership of the table, or admin on the process.';

CREATE FUNCTION workflow.retry_rows(relation regclass)
    RETURNS bigint LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'workflow_retry_rows';
COMMENT ON FUNCTION workflow.retry_rows(regclass) IS
'Brings rows of a replicated table that were refused (see the view workflow.refused_rows) to their instances, as they are
  now: a row that never had one starts one; what has changed is merged, or the instance cancelled, as attach was told.
  Returns how many rows are not refused any more.
relation: the table, which nobody can write to meanwhile.
Errors: 42704 it is not attached; 42501 needs ownership of the table.';

CREATE FUNCTION workflow.write_back(relation regclass)
    RETURNS bigint LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'workflow_write_back';
COMMENT ON FUNCTION workflow.write_back(regclass) IS
'Has workers try now what is owed to rows of an attached table (see the view workflow.write_backs). Returns how many
  write-backs were to be tried later.
relation: the table.
Errors: 42704 it is not attached; 42501 needs ownership of the table, or admin on the process.';

CREATE FUNCTION workflow.companion_sql(side text, tables regclass[], role name DEFAULT 'companion', server name DEFAULT 'provider')
    RETURNS text LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'workflow_companion_sql';
COMMENT ON FUNCTION workflow.companion_sql(text, regclass[], name, name) IS
'Gives the SQL that a database without the library needs beside it, or the one that has it; both may be run again.
side: ''provider'': for the former, an outbox for calls, and a publication of it and of the tables; ''companion'': for the
  latter, what carries out these calls, and foreign tables in the schema provider.
tables: those of this database to which a subscription brings rows. role: as whom this database comes to the provider.
  server: the foreign server here that stands for the provider.
Errors: 22023 no table, one without a primary key, two of one name, or another side; 42501 needs ownership of them.';
