-- One request, the wait for its callback, then the end.
CREATE SERVER partner FOREIGN DATA WRAPPER workflow_http OPTIONS (url :'url', max_in_flight '64', allow_private 'true');
SELECT workflow.define('waits', $${
	"steps": [
		{ "step": "charge",
		  "http": { "server": "partner", "path": "/charges",
		            "body": { "id": "${$.id}", "sn": "${$serial_number}", "amount": "${$.amount}" } },
		  "wait": true, "end": true }
	]
}$$);
SELECT workflow.attach('orders', 'waits');
