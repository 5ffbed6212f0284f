-- Polling a service: polling.md tells what this is, and what each statement gives.
-- In a database of its own: createdb polling, then psql -d polling -a -f docs/examples/polling.sql

-- ---- Definition ----

CREATE EXTENSION IF NOT EXISTS workflow;

CREATE SERVER reports FOREIGN DATA WRAPPER workflow_http
    OPTIONS (url 'http://127.0.0.1:8099', allow_private 'true');

SELECT workflow.define('report', $$
{ "data": { "pause": "100 ms", "patience": "1 hour", "state": "ordered", "asked": 0 },
  "retry": { "max": 5, "delay": "1 s", "backoff": 2 },
  "catch": [ { "after": "${$.patience}", "next": "too late" } ],
  "steps": [
    { "step": "order",
      "http": { "server": "reports", "path": "/jobs", "method": "POST", "query": { "busy": "${$.busy}", "ends": "${$.ends}" } },
      "save": { "job": "${$reply.body.job}" } },
    { "step": "ask",
      "http": { "server": "reports", "path": "/jobs/${$.job}" },
      "save": { "asked": "${$.asked + 1}", "state": "${$reply.body.state}", "rows": "${$reply.body.rows ?? null}" },
      "choose": [ { "when": "$.state == \"running\"", "next": "pause" },
                  { "when": "$.state == \"done\"",    "next": "done" },
                  { "next": "failed" } ] },
    { "step": "pause", "wait": { "after": "${$.pause}" }, "next": "ask" },
    { "step": "done",   "end": true },
    { "step": "failed", "end": { "error": "NO_REPORT", "message": "the report is ${$.state}" } },

    { "step": "too late", "end": { "error": "NO_REPORT", "message": "it is still ${$.state} after ${$.patience}" } } ] }
$$);

-- ---- What is seen ----

SELECT workflow.start('report', '{"busy": 3, "ends": "done"}', business_key => 'sales') AS sales,
       workflow.start('report', '{"busy": 1, "ends": "broken"}', business_key => 'stock') AS stock,
       workflow.start('report', '{"busy": 100000, "ends": "done", "patience": "2 s"}', business_key => 'taxes') AS taxes \gset

CALL workflow.wait_for(:sales, '1 minute');
CALL workflow.wait_for(:stock, '1 minute');
CALL workflow.wait_for(:taxes, '1 minute');

SELECT business_key, status, data->>'state' AS state, data->'rows' AS rows, error->>'message' AS message
FROM workflow.instances WHERE process = 'report' ORDER BY instance;

SELECT data->'asked' AS asked FROM workflow.instances WHERE instance = :sales;
SELECT step, count(*) FROM workflow.history WHERE instance = :sales AND step IN ('ask', 'pause') GROUP BY step ORDER BY step;

-- ---- A service that says it by its status ----

SELECT workflow.define('download', $$
{ "steps": [
    { "step": "get",
      "http": { "server": "reports", "path": "/flaky/report.json?fail=3&status=404" },
      "retry": { "max": 1000, "delay": "100 ms", "on": [ 404, "5xx", "connect", "timeout" ] },
      "timeout": "1 hour" } ] }
$$);
SELECT workflow.start('download') AS download \gset
CALL workflow.wait_for(:download, '1 minute');

SELECT attempts, outcome FROM workflow.history WHERE instance = :download;
