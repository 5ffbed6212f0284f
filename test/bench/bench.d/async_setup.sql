-- An instance rests at once, and is told of to who has asked; one that posts the same by itself, called at once; and one of which
-- nobody is told. An instance that ends brings the partitions of history into being.
CREATE SERVER partner FOREIGN DATA WRAPPER workflow_http OPTIONS (url :'url', max_in_flight '64', allow_private 'true');
SELECT workflow.define('nothing', $${ "steps": [ { "step": "nothing", "end": true } ] }$$);
SELECT workflow.define('posts', $${
	"steps": [ { "step": "post", "http": { "server": "partner", "path": "/charges", "body": "${$}" }, "keep_reply": false, "end": true } ] }$$);
SELECT workflow.start('nothing');
