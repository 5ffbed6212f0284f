-- Five statements that do nothing, one after the other.
SELECT workflow.define('five', $${ "steps": [
	{ "step": "a", "sql": "SELECT 1" },
	{ "step": "b", "sql": "SELECT 1" },
	{ "step": "c", "sql": "SELECT 1" },
	{ "step": "d", "sql": "SELECT 1" },
	{ "step": "e", "sql": "SELECT 1" } ] }$$);
-- what ends brings the partitions of history into being
SELECT workflow.start('five');
