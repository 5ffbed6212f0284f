-- Who may do what. The schema gives PUBLIC nothing, so whatever PUBLIC may execute or read here needs USAGE on the schema,
-- which is granted by hand; then process privileges decide.

-- Whatever the default privileges of whoever creates the extension are.
REVOKE ALL ON SCHEMA workflow FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA workflow FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA workflow FROM PUBLIC;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA workflow TO PUBLIC;

-- Authors: GRANT EXECUTE makes one.
REVOKE EXECUTE ON FUNCTION workflow.define(text, json),
                           workflow.undefine(text),
                           workflow.attach(regclass, text, name, text, name, name, text, text, text),
                           workflow.detach(regclass, text),
                           workflow.grant_process(text, name, text),
                           workflow.revoke_process(text, name, text)
    FROM PUBLIC;

-- For the whole database, not for a process: superusers and whom they choose.
REVOKE EXECUTE ON FUNCTION workflow.adopt() FROM PUBLIC;

-- Called by PostgreSQL itself.
REVOKE EXECUTE ON FUNCTION workflow.http_validator(text[], oid), workflow.identity_changed(), workflow.before_insert(),
                           workflow.after_insert()
    FROM PUBLIC;

GRANT SELECT ON workflow.processes, workflow.instances, workflow.visits, workflow.waiting, workflow.incidents,
                workflow.history, workflow.attempts, workflow.late_callbacks, workflow.servers, workflow.workers
    TO PUBLIC;
