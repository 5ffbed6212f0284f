-- Rights: of the schema, of functions, of processes.

CREATE ROLE rights_author;
CREATE ROLE rights_member IN ROLE rights_author;
CREATE ROLE rights_starter;
CREATE ROLE rights_completer;
CREATE ROLE rights_viewer;
CREATE ROLE rights_admin;
CREATE ROLE rights_nobody;
CREATE ROLE rights_outsider;

-- without USAGE on the schema there is nothing
SET ROLE rights_outsider;
SELECT workflow.start('rights: order');
SELECT * FROM workflow.instances;
RESET ROLE;
GRANT USAGE ON SCHEMA workflow TO rights_author, rights_starter, rights_completer, rights_viewer, rights_admin, rights_nobody;

-- EXECUTE makes an author
SET ROLE rights_nobody;
SELECT workflow.define('rights: order', '{"steps": [{"step": "pay", "wait": true}]}');
SELECT workflow.undefine('rights: order');
SELECT workflow.grant_process('rights: order', 'rights_nobody', 'start');
SELECT workflow.revoke_process('rights: order', 'rights_nobody', 'start');
SELECT workflow.adopt();
RESET ROLE;
GRANT EXECUTE ON FUNCTION workflow.define(text, json), workflow.undefine(text, boolean), workflow.grant_process(text, name, text, text),
    workflow.revoke_process(text, name, text, text) TO rights_author, rights_admin, rights_nobody;

SET ROLE rights_author;
SELECT workflow.define('rights: order', '{"steps": [{"step": "nap", "wait": {"until": "${$.until}"}}, {"step": "pay", "wait": true}]}');
SELECT workflow.grant_process('rights: order', 'rights_starter', 'start');
SELECT workflow.grant_process('rights: order', 'rights_completer', 'complete');
SELECT workflow.grant_process(process => 'rights: order', role => 'rights_viewer', privilege => 'view');
SELECT workflow.grant_process('rights: order', 'rights_admin', 'admin');
SELECT workflow.grant_process('rights: order', 'rights_admin', 'admin');
SELECT workflow.grant_process('rights: order', 'rights_norole', 'view');
SELECT workflow.grant_process('rights: norole', 'rights_viewer', 'view');
SELECT workflow.grant_process('rights: order', 'rights_viewer', 'look');
SELECT workflow.grant_process('rights: order', 'rights_viewer', NULL);
RESET ROLE;

-- what each may do: one attempt at everything, the SQLSTATE or the answer
CREATE TABLE pg_temp.attempt (n serial, what text, statement text);
GRANT SELECT ON pg_temp.attempt TO PUBLIC;
INSERT INTO pg_temp.attempt (what, statement) VALUES
    ('start', $$SELECT workflow.start('rights: order', '{"until": "never"}') > 0$$),
    ('set_data', $$SELECT workflow.set_data(%1$s, '{"until": "nevermore"}')$$),
    ('retry', $$SELECT workflow.retry('%2$s')$$),
    ('complete', $$SELECT workflow.complete('%2$s')$$),
    ('fail', $$SELECT workflow.fail('%3$s')$$),
    ('skip', $$SELECT workflow.skip('%3$s')$$),
    ('cancel', $$SELECT workflow.cancel(%1$s)$$),
    ('look', $$SELECT (SELECT count(*) > 0 FROM workflow.instances) || ',' || (SELECT count(*) > 0 FROM workflow.visits) || ',' ||
                      (SELECT count(*) > 0 FROM workflow.history) || ',' || (SELECT count(*) > 0 FROM workflow.processes) || ',' ||
                      (SELECT count(*) > 0 FROM workflow.late_callbacks) || ',' || (SELECT count(*) > 0 FROM workflow.incidents)$$),
    ('define', $$SELECT workflow.define('rights: order', '{"steps": [{"step": "nap", "wait": {"until": "${$.until}"}}, {"step": "pay", "wait": true}]}')$$),
    ('grant', $$SELECT workflow.grant_process('rights: order', 'public', 'view')$$),
    ('revoke', $$SELECT workflow.revoke_process('rights: order', 'public', 'view')$$);
-- one to see for those who may: an incident, and something late
SELECT workflow.start('rights: order', '{"until": "never"}') IS NOT NULL AS started;
SELECT workflow.start('rights: order', '{"until": "never"}') AS i \gset
SELECT serial_number AS sn FROM workflow.incidents WHERE instance = :i \gset
SELECT workflow.skip(:'sn'), workflow.complete(:'sn');
CREATE FUNCTION pg_temp.attempts(role text) RETURNS TABLE (what text, answer text) LANGUAGE plpgsql AS $$
DECLARE
    attempt record;
    i bigint;
    sn text;
    sn2 text;
BEGIN
    i := workflow.start('rights: order', '{"until": "never"}');
    SELECT serial_number INTO sn FROM workflow.incidents WHERE instance = i;
    SELECT serial_number INTO sn2 FROM workflow.incidents WHERE instance = workflow.start('rights: order', '{"until": "never"}');
    sn2 := (SELECT serial_number FROM workflow.incidents WHERE process = 'rights: order' ORDER BY instance DESC LIMIT 1);
    PERFORM set_config('role', role, true);
    FOR attempt IN SELECT * FROM pg_temp.attempt ORDER BY n LOOP
        what := attempt.what;
        answer := test.try(format(attempt.statement, i, sn, sn2));
        RETURN NEXT;
    END LOOP;
    PERFORM set_config('role', 'none', true);
END $$;
SELECT * FROM pg_temp.attempts('rights_nobody');
SELECT * FROM pg_temp.attempts('rights_starter');
SELECT * FROM pg_temp.attempts('rights_completer');
SELECT * FROM pg_temp.attempts('rights_viewer');
SELECT * FROM pg_temp.attempts('rights_admin');
SELECT * FROM pg_temp.attempts('rights_author');
-- who is a member of the owner is as good as the owner, given USAGE by it
SELECT * FROM pg_temp.attempts('rights_member');

-- to a stranger, what is there and what was never issued are the same, to the letter; whoever has another privilege hears of what is missing
CREATE FUNCTION pg_temp.said(statement text, role name) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
    answer text;
BEGIN
    PERFORM set_config('role', role, true);
    EXECUTE statement INTO answer;
    PERFORM set_config('role', 'none', true);
    RETURN regexp_replace(answer, '[0-9]+_[0-9]+', 'N');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = pg_exception_detail, hint = pg_exception_hint;
    RETURN regexp_replace(concat_ws(' / ', sqlstate, sqlerrm, detail, nullif(hint, '')), '[0-9]+_[0-9]+|(?<=instance )[0-9]+', 'N', 'g');
END $$;
CREATE TABLE pg_temp.named (statement text);
INSERT INTO pg_temp.named VALUES
    ('workflow.complete(%2$L)'), ('workflow.fail(%2$L)'), ('workflow.heartbeat(%2$L)'), ('workflow.extend(%2$L, ''1 h'')'),
    ('workflow.retry(%2$L)'), ('workflow.skip(%2$L)'), ('workflow.cancel_visit(%2$L)'),
    ('(workflow.complete_many(format(''[{"serial_number": "%%s"}]'', %2$L)::json)).error'),
    ('workflow.cancel(%1$L)'), ('workflow.set_data(%1$L, ''{}'')'), ('workflow.suspend(%1$L)'), ('workflow.resume(%1$L)'),
    ('workflow.move(%2$L, ''pay'')'), ('workflow.timeline(%1$L)');
SELECT workflow.start('rights: order', '{"until": "never"}') AS lives \gset
SELECT workflow.start('rights: order', '{"until": "never"}') AS ends \gset
SELECT serial_number AS living FROM workflow.visits WHERE instance = :lives \gset
SELECT serial_number AS ended FROM workflow.visits WHERE instance = :ends \gset
SELECT workflow.cancel(:ends);
CREATE FUNCTION pg_temp.told(role name, VARIADIC numbers text[]) RETURNS TABLE (call text, said text, same boolean) LANGUAGE sql AS $$
    SELECT statement, min(answer) FILTER (WHERE n = 1), count(DISTINCT answer) = 1
    FROM pg_temp.named, unnest(numbers) WITH ORDINALITY AS k (number, n),
         pg_temp.said(format('SELECT ' || statement, split_part(number, '_', 1), number), role) AS answer
    GROUP BY statement ORDER BY statement COLLATE "C" $$;
SELECT * FROM pg_temp.told('rights_nobody', :'living', :'ended', '9223372036854775806_1', :'lives' || '_9223372036854775806');
SELECT * FROM pg_temp.told('rights_viewer', :'living') WHERE call !~ 'timeline';
SELECT workflow.cancel(:lives);

-- everyone
SELECT workflow.grant_process('rights: order', 'public', 'view');
SET ROLE rights_nobody;
SELECT process FROM workflow.processes;
SELECT workflow.start('rights: order');
RESET ROLE;
SELECT workflow.revoke_process('rights: order', 'public', 'view');
SELECT workflow.revoke_process('rights: order', 'public', 'view');
SET ROLE rights_nobody;
SELECT process FROM workflow.processes;
RESET ROLE;

-- steps run as the owner, so that only the owner says what they are; the owner stays, whoever defines the next version; a renamed role
-- keeps what it has
SET ROLE rights_admin;
SELECT workflow.define('rights: order', '{"steps": [{"step": "other", "wait": true}]}');
SET ROLE rights_nobody;
SELECT workflow.define('rights: order', '{"steps": [{"step": "other", "wait": true}]}');
RESET ROLE;
SELECT workflow.define('rights: order', '{"steps": [{"step": "other", "wait": true}]}');
ALTER ROLE rights_author RENAME TO rights_renamed;
SELECT version, owner, latest FROM workflow.processes WHERE process = 'rights: order' ORDER BY version;
SET ROLE rights_renamed;
SELECT workflow.start('rights: order') IS NOT NULL AS started;
RESET ROLE;
ALTER ROLE rights_viewer RENAME TO rights_watcher;
SET ROLE rights_watcher;
SELECT count(*) > 0 AS sees FROM workflow.instances;
RESET ROLE;
SELECT workflow.revoke_process('rights: order', 'rights_watcher', 'view');
SET ROLE rights_watcher;
SELECT count(*) > 0 AS sees FROM workflow.instances;
RESET ROLE;

-- conditions that tell what they are given see only what the caller may see
CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE 'leaked %', $1; RETURN true; END $$;
SET ROLE rights_nobody;
SELECT count(*) FROM workflow.instances WHERE pg_temp.leak(process);
SELECT count(*) FROM workflow.visits WHERE pg_temp.leak(step);
SELECT count(*) FROM workflow.waiting WHERE pg_temp.leak(step);
SELECT count(*) FROM workflow.incidents WHERE pg_temp.leak(step);
SELECT count(*) FROM workflow.history WHERE pg_temp.leak(step);
SELECT count(*) FROM workflow.late_callbacks WHERE pg_temp.leak(serial_number);
SELECT count(*) FROM workflow.processes WHERE pg_temp.leak(process);
-- tables give nobody anything
SELECT count(*) FROM workflow_data.instance;
RESET ROLE;
GRANT USAGE ON SCHEMA workflow_data TO PUBLIC;
SET ROLE rights_nobody;
SELECT count(*) FROM workflow_data.instance;
SELECT count(*) FROM workflow_data.visit_history;
SELECT nextval('workflow_data.visit_seq');
RESET ROLE;
REVOKE USAGE ON SCHEMA workflow_data FROM PUBLIC;

-- what of the schema PUBLIC could use, given USAGE; and what not
SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace)
    AND NOT EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)
ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT c.relname FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace) AND a.grantee = 0 ORDER BY c.relname;
SELECT count(*) FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname IN ('workflow', 'workflow_data') AND a.grantee = 0;

-- an owner that is gone
DROP OWNED BY rights_renamed, rights_member, rights_starter, rights_completer, rights_watcher, rights_admin, rights_nobody;
DROP ROLE rights_renamed, rights_member, rights_starter, rights_completer, rights_watcher, rights_admin, rights_nobody, rights_outsider;
SELECT DISTINCT owner FROM workflow.processes WHERE process = 'rights: order';
SELECT workflow.define('rights: order', '{"steps": [{"step": "third", "wait": true}]}');

-- a role that was dropped and created again has its processes back
CREATE ROLE rights_gone;
GRANT USAGE ON SCHEMA workflow TO rights_gone;
GRANT EXECUTE ON FUNCTION workflow.define TO rights_gone;
SET ROLE rights_gone;
SELECT workflow.define('rights: gone', '{"steps": [{"step": "a", "wait": true}]}');
RESET ROLE;
DROP OWNED BY rights_gone;
DROP ROLE rights_gone;
SELECT workflow.define('rights: gone', '{"steps": [{"step": "b", "wait": true}]}');
CREATE ROLE rights_gone;
SELECT workflow.adopt() >= 0 AS adopted;
SELECT owner FROM workflow.processes WHERE process = 'rights: gone';
SELECT workflow.define('rights: gone', '{"steps": [{"step": "b", "wait": true}]}');
DROP ROLE rights_gone;
