-- Many services, with a deadline: quotes.md tells what this is, and what each statement gives.
-- In a database of its own: createdb quotes, then psql -d quotes -a -f docs/examples/quotes.sql

-- ---- Definition ----

CREATE EXTENSION IF NOT EXISTS workflow;

CREATE SERVER suppliers FOREIGN DATA WRAPPER workflow_http
    OPTIONS (url 'http://127.0.0.1:8099', allow_private 'true');

CREATE TABLE suppliers (name text PRIMARY KEY, url text, says text);
INSERT INTO suppliers VALUES
    ('north',    'http://127.0.0.1:8099/say',                  '{"price": 120}'),
    ('east',     'http://127.0.0.1:8099/accept?after=0.2',     '{"price": 95}'),
    ('south',    'http://127.0.0.1:8099/accept?after=0.2',     '{"price": 210}'),
    ('west',     'http://127.0.0.1:8099/status/500',           ''),
    ('far away', 'http://127.0.0.1:8099/accept?callback=none', '');

SELECT workflow.define('quotes', $$
{ "data": { "patience": "2 days" },
  "steps": [
    { "step": "whom to ask",
      "sql": "SELECT jsonb_agg(to_jsonb(s) ORDER BY name) AS all FROM suppliers s",
      "save": { "suppliers": "${$reply.row.all}" } },

    { "step": "quote", "each": { "in": "$.suppliers", "collect": "quotes" },
      "local": { "supplier": "${$item.name}", "price": null, "why": null },
      "steps": [
        { "step": "ask",
          "http": { "url": "${$item.url}", "query": { "body": "${$item.says}" },
                    "body": { "article": "${$.article}", "answer_to": "${$serial_number}" } },
          "wait": { "callback": true, "when": "$reply.status == 202" },
          "timeout": "${$.patience}",
          "save": { "price": "${$result.response.price}" },
          "catch": [ { "on": "*", "next": "none" } ], "end": true },
        { "step": "none", "set": { "why": "${$caught.error.code}" } } ],
      "next": "decide" },

    { "step": "decide",
      "sql": "SELECT q->>'supplier' AS supplier, q->'price' AS price FROM jsonb_array_elements(data->'quotes') q WHERE q->'price' <> 'null' ORDER BY (q->>'price')::numeric LIMIT 1",
      "choose": [ { "when": "$reply.count == 0", "next": "nobody" }, { "next": "order" } ],
      "save": { "best": "${$reply.row ?? null}" } },
    { "step": "order",  "end": true },
    { "step": "nobody", "end": { "error": "NO_QUOTE", "message": "nobody has given a price in ${$.patience}" } } ] }
$$);

-- ---- What is seen ----

SELECT workflow.start('quotes', '{"article": "bolts", "patience": "2 s"}', business_key => 'bolts') AS bolts \gset
CALL workflow.wait_for(:bolts, '1 minute');

SELECT q->>'supplier' AS supplier, q->'price' AS price, q->>'why' AS why
FROM workflow.instances, jsonb_array_elements(data->'quotes') q WHERE instance = :bolts ORDER BY 1;

SELECT status, data->'best' AS best FROM workflow.instances WHERE instance = :bolts;
