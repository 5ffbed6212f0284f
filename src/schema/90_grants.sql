-- Who may do what. The schema gives PUBLIC nothing, so whatever PUBLIC may execute or read here needs USAGE on the schema,
-- which is granted by hand; then process privileges decide.

-- Authors: GRANT EXECUTE makes one.
REVOKE EXECUTE ON FUNCTION workflow.define(text, json),
                           workflow.undefine(text),
                           workflow.grant_process(text, name, text),
                           workflow.revoke_process(text, name, text)
    FROM PUBLIC;

-- For the whole database, not for a process: superusers and whom they choose.
REVOKE EXECUTE ON FUNCTION workflow.adopt() FROM PUBLIC;

-- Called by PostgreSQL itself.
REVOKE EXECUTE ON FUNCTION workflow.http_validator(text[], oid), workflow.identity_changed() FROM PUBLIC;

GRANT SELECT ON workflow.processes, workflow.instances, workflow.visits, workflow.waiting, workflow.incidents,
                workflow.history, workflow.attempts, workflow.late_callbacks, workflow.servers, workflow.workers
    TO PUBLIC;
