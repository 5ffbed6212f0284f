-- By the shop: the process.
SELECT workflow.define('order', $$
{
  "description": "Charge the customer, then let the next night's batch ship the goods.",
  "steps": [
    { "step": "check",
      "choose": [ { "when": "$.amount > 1000", "next": "refuse" }, { "next": "charge" } ] },

    { "step": "charge",
      "http": { "server": "payments", "path": "/charges", "query": { "after": "1.5" },
                "body": { "order": "${$.id}", "amount": "${$.amount}", "sn": "${$serial_number}" } },
      "save_reply": { "charge": "${$reply.body.id}" },
      "wait": { "callback": true, "when": "$reply.status == 202" },
      "success": "$result.response.status == \"SUCCESS\"",
      "save": { "receipt": "${$result.response.receipt}" },
      "timeout": "2 days",
      "retry": { "max": 50, "delay": "300 ms" } },

    { "step": "ship",
      "sql": "INSERT INTO batch.shipment (order_id, sn) VALUES ((visit.data->>'id')::bigint, visit.serial_number)",
      "wait": true,
      "save": { "parcel": "${$result.response.parcel}" },
      "end": true },

    { "step": "refuse", "end": { "abort": "more than we sell to one customer" } }
  ]
}
$$);
