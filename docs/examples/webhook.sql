-- A webhook, signed: webhook.md tells what this is, and what each statement gives.
-- In a database of its own: createdb webhook, then psql -d webhook -a -f docs/examples/webhook.sql

-- ---- Definition ----

CREATE EXTENSION IF NOT EXISTS workflow;
CREATE EXTENSION IF NOT EXISTS pgcrypto;

CREATE SERVER webshop FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://webshop.example');
CREATE USER MAPPING FOR CURRENT_USER SERVER webshop OPTIONS (webhook_secret 'known to both');

SELECT workflow.define('event', $$
{ "start_on": [
    { "webhook": "webshop",
      "signature": { "kind": "hmac-sha256", "server": "webshop", "header": "X-Signature" },
      "idempotency_key": "${$event.data.id}" } ],
  "steps": [
    { "step": "which", "choose": [ { "when": "$.type == \"order.paid\"",      "next": "paid" },
                                   { "when": "$.type == \"order.cancelled\"", "next": "cancelled" },
                                   { "next": "ignored" } ] },
    { "step": "paid",      "send": { "message": "paid", "key": "${$.order}", "data": { "amount": "${$.amount}" }, "ttl": "7 days" }, "end": true },
    { "step": "cancelled", "send": { "message": "cancelled", "key": "${$.order}", "ttl": "7 days" }, "end": true },
    { "step": "ignored",   "end": true } ] }
$$);

SELECT workflow.define('order', $$
{ "steps": [
    { "step": "pay",
      "first_of": [ { "message": "paid",      "key": "${$business_key}", "save": { "paid": "${$event.data.amount}" }, "next": "ship" },
                    { "message": "cancelled", "key": "${$business_key}", "next": "forget" },
                    { "after": "7 days",      "next": "forget" } ] },
    { "step": "ship",   "set": { "does": "ships" }, "end": true },
    { "step": "forget", "set": { "does": "nothing" } } ] }
$$);

-- ---- What is seen ----

CREATE FUNCTION post(body text, secret text DEFAULT 'known to both') RETURNS bigint BEGIN ATOMIC
    SELECT workflow.webhook(workflow.webhook_token('event', 'webshop'), convert_to(body, 'UTF8'),
        jsonb_build_object('X-Signature', encode(hmac(convert_to(body, 'UTF8'), convert_to(secret, 'UTF8'), 'sha256'), 'hex')));
END;

SELECT workflow.start('order', business_key => 'A1') AS a1, workflow.start('order', business_key => 'A2') AS a2 \gset

SELECT post('{"id": "e1", "type": "order.paid", "order": "A1", "amount": 120}') AS paid,
       post('{"id": "e1", "type": "order.paid", "order": "A1", "amount": 120}') AS again,
       post('{"id": "e2", "type": "order.cancelled", "order": "A2"}') AS cancelled;

SELECT post('{"id": "e3", "type": "order.paid", "order": "A2", "amount": 120}', 'a guess');

CALL workflow.wait_for(:a1, '1 minute');
CALL workflow.wait_for(:a2, '1 minute');
SELECT post('{"id": "e4", "type": "order.paid", "order": "A3", "amount": 45}') AS event \gset
CALL workflow.wait_for(:event, '1 minute');

SELECT name, key, data FROM workflow.messages;

SELECT workflow.start('order', business_key => 'A3') AS a3 \gset
CALL workflow.wait_for(:a3, '1 minute');

SELECT business_key, status, data FROM workflow.instances WHERE process = 'order' ORDER BY business_key;

SELECT instance, status, data FROM workflow.instances WHERE process = 'event' ORDER BY instance;
