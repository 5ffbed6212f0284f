-- The same step for each item of one instance, and in as many instances: nothing, a change of data, a statement, a request.
CREATE SERVER partner FOREIGN DATA WRAPPER workflow_http OPTIONS (url :'url', max_in_flight '64', allow_private 'true');
SELECT workflow.define('none each', '{ "steps": [ { "step": "none", "each": "$.list" } ] }');
SELECT workflow.define('none', '{ "steps": [ { "step": "none", "async": true } ] }');
SELECT workflow.define('set each', '{ "steps": [ { "step": "set", "each": "$.list", "set": { "last": "${$item}" } } ] }');
SELECT workflow.define('set', '{ "steps": [ { "step": "set", "async": true, "set": { "last": "${$.i}" } } ] }');
SELECT workflow.define('sql each', '{ "steps": [ { "step": "sql", "each": { "in": "$.list", "collect": "got" }, "sql": "SELECT visit.item" } ] }');
SELECT workflow.define('sql', $$ { "steps": [ { "step": "sql", "sql": "SELECT visit.data -> 'i'" } ] } $$);
SELECT workflow.define('http each', '{ "steps": [ { "step": "http", "each": { "in": "$.list", "collect": "got" }, "http": { "server": "partner", "path": "/charges", "body": "${$item}" } } ] }');
SELECT workflow.define('http', '{ "steps": [ { "step": "http", "http": { "server": "partner", "path": "/charges", "body": "${$.i}" } } ] }');
-- what ends brings the partitions of history into being
SELECT workflow.start('set', '{"i": 1}');
