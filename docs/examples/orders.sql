-- An order, with payment and shipping: orders.md tells what this is, and what each statement gives.
-- In a database of its own: createdb orders, then psql -d orders -a -f docs/examples/orders.sql

-- ---- Definition ----

CREATE EXTENSION IF NOT EXISTS workflow;
\ir until.sql

CREATE SERVER payments FOREIGN DATA WRAPPER workflow_http
    OPTIONS (url 'http://127.0.0.1:8099', allow_private 'true');

CREATE TABLE orders (
    id int PRIMARY KEY, amount numeric, address text, card text,
    state text, stage text, receipt text, tracking text);
CREATE TABLE parcels (order_id int PRIMARY KEY, sn text, tracking text);

SELECT workflow.define('order', $$
{ "data": { "stage": "to be paid" },
  "steps": [
    { "step": "charge",
      "http": { "server": "payments", "path": "/accept/charges", "query": { "after": "0.2", "status": "${$.card}" },
                "body": { "order": "${$.id}", "amount": "${$.amount}", "answer_to": "${$serial_number}" } },
      "retry": { "max": 10, "delay": "1 s", "backoff": 2 },
      "wait": true, "timeout": "2 days",
      "success": "$result.response.status == \"SUCCESS\"",
      "save": { "stage": "paid", "receipt": "${$result.response.receipt}" },
      "catch": [ { "on": "FAILED", "next": "not paid" } ] },

    { "step": "ship",
      "sql": "INSERT INTO parcels (order_id, sn) VALUES ((data->>'id')::int, visit.serial_number)",
      "wait": true,
      "save": { "stage": "shipped", "tracking": "${$result.response.tracking}" },
      "end": true },

    { "step": "not paid", "set": { "stage": "not paid: ${$caught.result.response.status}" } } ] }
$$);

SELECT workflow.attach('orders', 'order', status_column => 'state',
    result_columns => '{"stage": "$.stage", "receipt": "$.receipt", "tracking": "$.tracking"}',
    on_update => 'set_data', on_delete => 'cancel');

-- ---- What is seen ----

INSERT INTO orders (id, amount, address, card) VALUES
    (1, 120, '1 Main Street', 'SUCCESS'), (2, 80, '2 Main Street', 'NO MONEY'), (3, 45, '3 Main Street', 'SUCCESS');

CALL until($$(SELECT count(*) = 2 FROM parcels)$$);
CALL until($$NOT EXISTS (SELECT FROM orders WHERE stage IS NULL OR stage = 'to be paid')$$);
SELECT id, state, stage, receipt FROM orders ORDER BY id;
SELECT * FROM parcels ORDER BY order_id;

UPDATE orders SET address = '33 Main Street' WHERE id = 3;
SELECT business_key, data->>'address' AS address FROM workflow.instances WHERE business_key = '3';

WITH shipped AS (UPDATE parcels SET tracking = 'P-' || order_id WHERE tracking IS NULL RETURNING *)
SELECT order_id, workflow.complete(sn, jsonb_build_object('tracking', tracking)) FROM shipped ORDER BY order_id;

CALL until($$(SELECT count(tracking) = 2 FROM orders)$$);
SELECT id, state, stage, receipt, tracking FROM orders ORDER BY id;

SELECT workflow.timeline(instance) AS story FROM workflow.instances WHERE process = 'order' AND business_key = '1';
