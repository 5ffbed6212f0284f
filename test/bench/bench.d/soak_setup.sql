-- Requests of which some fail and are retried; some instances write a row through an executor.
CREATE SERVER partner FOREIGN DATA WRAPPER workflow_http OPTIONS (url :'url', max_in_flight '64', allow_private 'true');
CREATE TABLE written (sn text PRIMARY KEY, id bigint);
SELECT workflow.define('soak', $${
	"steps": [
		{ "step": "charge",
		  "http": { "server": "partner", "path": "/unsteady/${$.id}",
		            "headers": { "X-Serial-Number": "${$serial_number}" },
		            "body": { "id": "${$.id}", "sn": "${$serial_number}", "customer": "for ${$.customer}" } },
		  "save_reply": { "answer": "${$reply.body}" },
		  "retry": { "max": 10, "delay": "10 ms" } },
		{ "step": "sort",
		  "choose": [ { "when": "$.id % 20 == 0", "next": "write" }, { "next": "done" } ] },
		{ "step": "write",
		  "sql": "INSERT INTO written (sn, id) VALUES (visit.serial_number, (visit.data->>'id')::bigint)" },
		{ "step": "done", "end": true }
	]
}$$);
SELECT workflow.attach('orders', 'soak');
