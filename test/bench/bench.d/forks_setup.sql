-- Ten branches that meet at a join, and as many steps one after the other; and a process with as many open branches as `n` says.
SELECT workflow.define('fork', json_build_object('steps',
	(SELECT json_build_array(json_build_object('step', 'fork', 'next', json_agg('branch ' || n))) FROM generate_series(1, 10) n)::jsonb
	|| (SELECT jsonb_agg(jsonb_build_object('step', 'branch ' || n, 'set', jsonb_build_object('last', n), 'next', 'join')) FROM generate_series(1, 10) n)
	|| '[{"step": "join", "join": "all", "set": {"joined": true}}]'));
SELECT workflow.define('sequence', json_build_object('steps',
	(SELECT jsonb_agg(jsonb_build_object('step', 'step ' || n, 'set', jsonb_build_object('last', n))) FROM generate_series(1, 10) n)
	|| '[{"step": "last", "set": {"joined": true}}]'));
SELECT workflow.define('branches', $${ "data": { "i": 0 }, "steps": [
	{ "step": "spawn", "set": { "i": "${$.i + 1}" }, "next": [{ "when": "$.i < $.n", "next": "spawn" }, "stand"] },
	{ "step": "stand", "wait": true, "next": "join" },
	{ "step": "join", "join": "all" } ] }$$);
SELECT workflow.define('single', $${ "steps": [ { "step": "stand", "wait": true } ] }$$);
-- the numbers of those that wait, in the order in which clients take them
CREATE TABLE open_of_one (n serial PRIMARY KEY, serial_number text);
CREATE TABLE open_of_many (LIKE open_of_one INCLUDING ALL);
CREATE SEQUENCE many_seq;
ALTER TABLE open_of_many ALTER n SET DEFAULT nextval('many_seq');
-- what ends brings the partitions of history into being
SELECT workflow.start('sequence');
