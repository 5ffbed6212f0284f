-- A saga, with undo: saga.md tells what this is, and what each statement gives.
-- In a database of its own: createdb saga, then psql -d saga -a -f docs/examples/saga.sql

-- ---- Definition ----

CREATE EXTENSION IF NOT EXISTS workflow;
\ir until.sql

CREATE SERVER travel FOREIGN DATA WRAPPER workflow_http
    OPTIONS (url 'http://127.0.0.1:8099/bookings', allow_private 'true');

SELECT workflow.define('trip', $$
{ "data": { "car_says": 201, "car_lost": "" },
  "retry": { "max": 2, "delay": "100 ms" },
  "catch": [ { "on": "*", "next": "undo" } ],
  "steps": [
    { "step": "flight", "http": { "server": "travel", "path": "/flight-${$business_key}", "method": "PUT" } },
    { "step": "hotel",  "http": { "server": "travel", "path": "/hotel-${$business_key}",  "method": "PUT" } },
    { "step": "car",    "http": { "server": "travel", "path": "/car-${$business_key}",    "method": "PUT",
                                  "query": { "status": "${$.car_says}", "lost": "${$.car_lost}" } } },
    { "step": "paid",   "wait": { "message": "paid", "key": "${$business_key}" }, "timeout": "30 minutes" },

    { "step": "undo", "ignore_cancel": true,
      "set": { "why": "${$caught.step}: ${$caught.error.code}" } },
    { "step": "undo car", "ignore_cancel": true, "retry": { "max": 1000, "delay": "1 s", "backoff": 2, "max_delay": "10 minutes" },
      "http": { "server": "travel", "path": "/car-${$business_key}", "method": "DELETE" },
      "catch": [ { "on": 404, "next": "undo hotel" } ], "next": "undo hotel" },
    { "step": "undo hotel", "ignore_cancel": true, "retry": { "max": 1000, "delay": "1 s", "backoff": 2, "max_delay": "10 minutes" },
      "http": { "server": "travel", "path": "/hotel-${$business_key}", "method": "DELETE" },
      "catch": [ { "on": 404, "next": "undo flight" } ], "next": "undo flight" },
    { "step": "undo flight", "ignore_cancel": true, "retry": { "max": 1000, "delay": "1 s", "backoff": 2, "max_delay": "10 minutes" },
      "http": { "server": "travel", "path": "/flight-${$business_key}", "method": "DELETE" },
      "catch": [ { "on": 404, "next": "undone" } ], "next": "undone" },
    { "step": "undone", "ignore_cancel": true, "end": { "error": "NO_TRIP", "message": "${$.why}" } } ] }
$$);

-- ---- What is seen ----

SELECT workflow.start('trip', business_key => 'T1') AS t1,
       workflow.start('trip', '{"car_says": 409}', business_key => 'T2') AS t2,
       workflow.start('trip', '{"car_lost": 1}', business_key => 'T3') AS t3,
       workflow.start('trip', business_key => 'T4') AS t4 \gset

SELECT workflow.send_message('paid', key => 'T1', ttl => '1 hour') <> 'missed' AS paid;

CALL until($$EXISTS (SELECT FROM workflow.waiting WHERE step = 'paid' AND key = 'T4')$$);
SELECT workflow.cancel(:t4, 'the customer is ill');

CALL workflow.wait_for(:t1, '1 minute');
CALL workflow.wait_for(:t2, '1 minute');
CALL workflow.wait_for(:t3, '1 minute');
CALL workflow.wait_for(:t4, '1 minute');

SELECT business_key, status, error->>'code' AS code, error->>'message' AS message
FROM workflow.instances WHERE process = 'trip' ORDER BY business_key;

SELECT business_key, step, outcome, result->'error'->>'code' AS code
FROM workflow.history JOIN workflow.instances USING (instance, process)
WHERE process = 'trip' AND step LIKE 'undo %' ORDER BY business_key, entered_at, serial_number;
