-- One step that waits for a signal, one that waits for a message with a key, and one that waits for its callback. An
-- instance that ends at once brings the partitions of history into being.
SELECT workflow.define('signal', $${ "steps": [ { "step": "wait", "wait": { "signal": "go" }, "end": true } ] }$$);
SELECT workflow.define('message', $${
	"steps": [ { "step": "wait", "wait": { "message": "paid", "key": "${$.id}" }, "end": true } ] }$$);
SELECT workflow.define('callback', $${ "steps": [ { "step": "wait", "wait": true, "end": true } ] }$$);
SELECT workflow.define('nothing', $${ "steps": [ { "step": "nothing", "end": true } ] }$$);
SELECT workflow.start('nothing');
-- the numbers of those that wait for callbacks: of some for the baseline, of others for clients that complete them meanwhile
CREATE TABLE open_of_chunks (n serial PRIMARY KEY, serial_number text);
CREATE TABLE open_of_clients (n serial PRIMARY KEY, serial_number text);
CREATE SEQUENCE taken_seq;
