-- Whose call ended a visit.

CREATE ROLE completed_by_app;
GRANT USAGE ON SCHEMA workflow TO completed_by_app;
SELECT workflow.define('completed_by: all', '{ "steps": [
    { "step": "complete", "wait": true }, { "step": "many", "wait": true }, { "step": "fail", "wait": true, "catch": [ { "on": "FAILED", "next": "kept" } ] },
    { "step": "kept", "wait": true }, { "step": "clock", "wait": { "after": "1 ms" } }, { "step": "refused", "wait": true, "success": "$result.response == 1" },
    { "step": "skipped", "wait": true, "success": "$result.response == 1" }, { "step": "by hand", "wait": true, "success": "$result.response == 1" },
    { "step": "cancelled", "wait": true } ]}');
SELECT workflow.grant_process('completed_by: all', 'completed_by_app', 'complete');

SELECT workflow.start('completed_by: all') AS i \gset
SELECT test.sn(:i) AS sn \gset
SET ROLE completed_by_app;
SELECT workflow.complete(:'sn');
RESET ROLE;
SELECT format('[{"serial_number": "%s"}]', test.sn(:i)) AS many \gset
SET ROLE completed_by_app;
SELECT accepted FROM workflow.complete_many(:'many');
RESET ROLE;
SELECT workflow.fail(test.sn(:i));
-- kept with the visit until it can be its end
SELECT workflow.suspend(:i);
SELECT test.sn(:i) AS sn \gset
SET ROLE completed_by_app;
SELECT workflow.complete(:'sn');
RESET ROLE;
SELECT workflow.resume(:i);
CALL test.arrive(:i, 'refused');
-- who was refused has not ended it
SELECT test.sn(:i) AS sn \gset
SET ROLE completed_by_app;
SELECT workflow.complete(:'sn', '0');
RESET ROLE;
SELECT workflow.move(:'sn', 'skipped') IS NOT NULL AS moved;
SELECT test.sn(:i) AS sn \gset
SET ROLE completed_by_app;
SELECT workflow.complete(:'sn', '0');
RESET ROLE;
SELECT workflow.skip(:'sn');
SELECT test.sn(:i) AS sn \gset
SET ROLE completed_by_app;
SELECT workflow.complete(:'sn', '0');
RESET ROLE;
SELECT workflow.complete(:'sn', '1');
SELECT workflow.cancel(:i);
SELECT step, outcome, CASE completed_by WHEN current_user THEN 'ME' ELSE completed_by END AS completed_by, webhook
FROM workflow.history WHERE instance = :i ORDER BY entered_at, serial_number;

SELECT workflow.undefine('completed_by: all');
DROP OWNED BY completed_by_app;
DROP ROLE completed_by_app;
