-- What two versions of a process do not have in common.

SELECT workflow.define('difference: order', '{
  "description": "orders",
  "data": { "n": 1, "a b": [1, 2] },
  "steps": [
    { "step": "pay", "wait": true, "timeout": "1 day", "catch": [ { "on": "TIMED_OUT", "next": "ask" } ] },
    { "step": "pack", "steps": [ { "step": "pick", "wait": true }, { "step": "wrap", "wait": true } ] },
    { "step": "ship", "wait": true, "next": "done" },
    { "step": "ask", "wait": true, "next": "done" },
    { "step": "done", "end": true } ] }');
SELECT workflow.define('difference: order', '{
  "data": { "a b": [1, 3, { "x": null }], "n": 1.0 },
  "steps": [
    { "wait": true, "step": "pay", "timeout": "2 days", "catch": [ { "on": ["TIMED_OUT"], "next": "ask" } ] },
    { "step": "pack", "steps": [ { "step": "wrap", "wait": true }, { "step": "pick", "wait": { "callback": true } } ] },
    { "step": "the \"last\" one", "wait": true, "next": "done" },
    { "step": "done", "end": true },
    { "step": "ask", "wait": true, "next": "done" } ] }');
SELECT * FROM workflow.difference('difference: order');
-- the other way round; the same
SELECT path, change FROM workflow.difference('difference: order', 2, 1);
SELECT count(*) FROM workflow.difference(process => 'difference: order', from_version => 2, version => 2);
-- what a version takes from the session; without one before, there is none to compare with
SET search_path = pg_catalog;
SET TimeZone = 'Asia/Tokyo';
SELECT workflow.define('difference: zone', '{ "steps": [ { "step": "a" } ] }');
SELECT count(*) FROM workflow.difference('difference: zone');
RESET search_path;
RESET TimeZone;
SELECT workflow.define('difference: zone', '{ "steps": [ { "step": "a" } ] }');
SELECT path, change, old FROM workflow.difference('difference: zone');

\set VERBOSITY terse
SELECT * FROM workflow.difference('difference: none');
SELECT * FROM workflow.difference('difference: order', 1, 3);
SELECT * FROM workflow.difference('difference: order', 0, 1);
SELECT * FROM workflow.difference(NULL);

-- who may look
CREATE ROLE difference_view;
CREATE ROLE difference_start;
GRANT USAGE ON SCHEMA workflow TO difference_view, difference_start;
SELECT workflow.grant_process('difference: order', 'difference_view', 'view'), workflow.grant_process('difference: order', 'difference_start', 'start');
SET ROLE difference_view;
SELECT count(*) FROM workflow.difference('difference: order');
SET ROLE difference_start;
SELECT count(*) FROM workflow.difference('difference: order');
RESET ROLE;
SELECT count(workflow.undefine(p)) FROM unnest(ARRAY['difference: order', 'difference: zone']) p;
REVOKE USAGE ON SCHEMA workflow FROM difference_view, difference_start;
SELECT workflow.revoke_process('difference: order', 'difference_view', 'view'), workflow.revoke_process('difference: order', 'difference_start', 'start');
DROP ROLE difference_view, difference_start;
