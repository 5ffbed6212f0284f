-- A callback, or a message, then a request to wakeup.c.
CREATE SERVER listener FOREIGN DATA WRAPPER workflow_http OPTIONS (url :'url', allow_private 'true');
SELECT workflow.define(process, format($$ {
	"steps": [
		{ "step": "wait", "wait": %s },
		{ "step": "call",
		  "http": { "server": "listener", "path": "/arrived", "body": { "sn": "${$serial_number}" } },
		  "end": true }
	]
} $$, wait)::json)
FROM (VALUES ('wakeup', 'true'), ('wakeup by message', '{ "message": "wakeup", "key": "${$.key}" }')) AS v (process, wait);
