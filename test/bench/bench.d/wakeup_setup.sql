-- A callback, then a request to wakeup.c.
CREATE SERVER listener FOREIGN DATA WRAPPER workflow_http OPTIONS (url :'url', allow_private 'true');
SELECT workflow.define('wakeup', $${
	"steps": [
		{ "step": "wait", "wait": true },
		{ "step": "call",
		  "http": { "server": "listener", "path": "/arrived", "body": { "sn": "${$serial_number}" } },
		  "end": true }
	]
}$$);
