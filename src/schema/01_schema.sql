-- The two schemas: workflow is for users, workflow_data for the extension itself.

DO LANGUAGE plpgsql $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = 'workflow_data') THEN
        RAISE EXCEPTION USING ERRCODE = '42P06',
            MESSAGE = 'there is a schema "workflow_data" already',
            DETAIL = 'The extension makes it for its tables, so that nobody else owns it or has put anything into it.',
            HINT = 'Drop it, or give it another name.';
    END IF;
END $$;

CREATE SCHEMA workflow_data;
COMMENT ON SCHEMA workflow_data IS 'Tables of the extension workflow, and what its views and triggers call: for nobody else to use';
COMMENT ON SCHEMA workflow IS
'Processes that call services and wait for the answer: the extension workflow. Its functions are told by \df+
  workflow.*, its views by \d+ workflow.*, its settings by SELECT name, short_desc, extra_desc FROM pg_settings WHERE
  name LIKE ''workflow.%''.
Errors that any function can give: 22004 an argument is NULL that must not be; 42704 what does not exist, or is
  nothing to the caller; 42501 a right is missing; 55000 the library is not in shared_preload_libraries, or of another
  version than the extension in this database.
Calls need USAGE on this schema and a privilege on the process (workflow.grant_process). What a comment calls admin
  includes start, complete and view.';
