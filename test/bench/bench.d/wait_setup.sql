-- One step that waits for its callback. An instance that ends at once brings the partitions of history into being, so
-- that the baseline's tables can take their indexes from them.
SELECT workflow.define('wait', $${ "steps": [ { "step": "wait", "wait": true, "end": true } ] }$$);
SELECT workflow.define('nothing', $${ "steps": [ { "step": "nothing", "end": true } ] }$$);
SELECT workflow.start('nothing');
