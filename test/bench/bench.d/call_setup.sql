-- Ten calls one after the other, of a process of one step; as many plain steps; and as many starts of that process by a client.
SELECT workflow.define('child', '{ "steps": [ { "step": "step", "set": { "last": 1 } } ] }');
SELECT workflow.define('calls', json_build_object('steps',
	(SELECT jsonb_agg(jsonb_build_object('step', 'call ' || n, 'call', '{"process": "child", "data": {"customer": "Ann Example"}}'::jsonb, 'save', jsonb_build_object('last', n))) FROM generate_series(1, 10) n)));
SELECT workflow.define('sequence', json_build_object('steps',
	(SELECT jsonb_agg(jsonb_build_object('step', 'step ' || n, 'set', jsonb_build_object('last', n))) FROM generate_series(1, 10) n)));
-- what ends brings the partitions of history into being
SELECT workflow.start('sequence');
