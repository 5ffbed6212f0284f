-- The record of what operators and authors have called.

CREATE ROLE audit_author;
CREATE ROLE audit_operator;
CREATE ROLE audit_viewer;
GRANT USAGE ON SCHEMA workflow TO audit_author, audit_operator, audit_viewer;
GRANT EXECUTE ON FUNCTION workflow.define, workflow.undefine, workflow.grant_process, workflow.revoke_process, workflow.attach, workflow.detach TO audit_author;
CREATE SCHEMA audit_tables AUTHORIZATION audit_author;
SELECT coalesce(max(at), '-infinity') AS began FROM workflow.audit \gset
-- the lines that came since then, each told once
CREATE VIEW pg_temp.lines AS
    SELECT a.*, row_number() OVER (ORDER BY at) AS n FROM workflow.audit a;
GRANT SELECT ON pg_temp.lines TO PUBLIC;

SET ROLE audit_author;
SELECT workflow.define('audit: loan', '{ "steps": [ { "step": "ask", "wait": true, "timeout": "1 day" },
    { "step": "pay", "wait": true, "success": "$result.response == 1" } ]}');
SELECT workflow.define('audit: other', '{ "steps": [ { "step": "ask", "wait": true } ]}');
SELECT workflow.define('audit: other', '{ "steps": [ { "step": "ask", "wait": true } ]}');
SELECT workflow.grant_process('audit: loan', 'audit_operator', 'admin');
SELECT workflow.grant_process('audit: loan', 'audit_operator', 'complete', 'ask');
SELECT workflow.grant_process('audit: loan', 'audit_viewer', 'view');
SELECT workflow.grant_process('audit: loan', 'audit_viewer', 'start');
SELECT workflow.revoke_process('audit: loan', 'audit_viewer', 'start');
CREATE TABLE audit_tables.loan (id int PRIMARY KEY, sn text, state text);
SELECT workflow.attach('audit_tables.loan', 'audit: loan', serial_column => 'sn', status_column => 'state', condition => '$.id > 0') > 0 AS attached;
SELECT workflow.detach('audit_tables.loan');
RESET ROLE;

-- an operator at work: what does nothing, or fails, leaves no line, and no line names data
SELECT workflow.start('audit: loan', '{"secret": "s3"}') AS i \gset
SELECT serial_number AS sn FROM workflow.waiting WHERE instance = :i \gset
SET ROLE audit_operator;
SELECT workflow.suspend(:i);
SELECT workflow.suspend(:i);
SELECT workflow.resume(:i);
SELECT workflow.resume(:i);
SELECT workflow.set_data(:i, '{"secret": "s4"}');
SELECT workflow.extend(:'sn', '1 hour') IS NOT NULL AS extended;
SELECT workflow.extend(:'sn', '1 century 99999999 years');
\set VERBOSITY sqlstate
SELECT workflow.retry(:'sn');
\set VERBOSITY default
SELECT workflow.move(:'sn', 'pay') IS NOT NULL AS moved;
RESET ROLE;
SELECT serial_number AS sn FROM workflow.waiting WHERE instance = :i \gset
SELECT workflow.complete(:'sn', '"s5"');
SET ROLE audit_operator;
SELECT workflow.retry(:'sn', new_key => true);
RESET ROLE;
SELECT workflow.complete(:'sn', '"s6"');
SET ROLE audit_operator;
SELECT workflow.skip(:'sn', '"s7"');
SELECT workflow.cancel(:i, 'too late');
SELECT workflow.suspend_process('audit: loan');
SELECT workflow.resume_process('audit: loan');
SELECT workflow.resume_process('audit: loan');
RESET ROLE;
SELECT workflow.start('audit: loan') AS j \gset
SELECT workflow.start('audit: loan') AS k \gset
SELECT serial_number AS sn2 FROM workflow.waiting WHERE instance = :j \gset
BEGIN;
SELECT workflow.cancel(:k, 'rolled back');
ROLLBACK;
SET SESSION AUTHORIZATION audit_author;
SELECT workflow.cancel_visit(:'sn2', 'no more');
SELECT workflow.cancel(:k, 'no more');
RESET SESSION AUTHORIZATION;
SELECT role, session_role = current_user AS by_me, call, process,
    CASE instance WHEN :i THEN 'i' WHEN :j THEN 'j' WHEN :k THEN 'k' END AS instance, split_part(serial_number, '_', 1) = instance::text AS visit, arguments
FROM pg_temp.lines WHERE at > :'began' ORDER BY n;
SELECT count(*) FROM workflow.audit a WHERE a::text ~ 's[3-7]';
SELECT regexp_replace(regexp_replace(line, '^ *\+ .*?  ', 'SPAN  '), '\d+_\d+|after [0-9.]+ \w+', 'N', 'g') FROM workflow.timeline(:i) line WHERE line ~ ', by audit_operator';

-- who sees it
SET ROLE audit_viewer;
SELECT process, count(*) FROM workflow.audit GROUP BY 1;
SET ROLE audit_author;
SELECT process, call FROM workflow.audit WHERE process = 'audit: other';
SELECT count(*) FROM workflow_data.audit;
RESET ROLE;
SELECT workflow.adopt() >= 0 AS adopted;
SELECT count(*) FROM pg_temp.lines WHERE call = 'adopt' AND at > :'began';
CREATE ROLE audit_lost;
GRANT USAGE ON SCHEMA workflow TO audit_lost;
GRANT EXECUTE ON FUNCTION workflow.define TO audit_lost;
SET ROLE audit_lost;
SELECT workflow.define('audit: lost', '{ "steps": [ { "step": "ask", "wait": true } ]}');
RESET ROLE;
DROP OWNED BY audit_lost;
DROP ROLE audit_lost;
CREATE ROLE audit_lost;
SELECT workflow.adopt() >= 0 AS adopted;
SELECT role = current_user AS role, call, process, instance, serial_number, arguments FROM pg_temp.lines ORDER BY n DESC LIMIT 1;
SET ROLE audit_author;
SELECT count(*) FROM workflow.audit WHERE call = 'adopt';
RESET ROLE;

-- what is erased leaves one line
SELECT count(*) FROM workflow.audit WHERE instance = :k;
SET ROLE audit_operator;
SELECT workflow.erase(:k);
RESET ROLE;
SELECT role, call, process, arguments FROM workflow.audit WHERE instance = :k;

SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'audit:%' AND ended_at IS NULL;
SET ROLE audit_author;
SELECT workflow.undefine('audit: loan'), workflow.undefine('audit: other');
SELECT workflow.undefine('audit: other');
RESET ROLE;
SELECT call, process FROM pg_temp.lines WHERE call = 'undefine' AND process LIKE 'audit:%' ORDER BY n;
SELECT workflow.undefine('audit: lost');
DROP ROLE audit_lost;
DROP OWNED BY audit_author, audit_operator, audit_viewer CASCADE;
DROP ROLE audit_author, audit_operator, audit_viewer;
