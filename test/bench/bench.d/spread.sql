-- Which of those that wait will be completed: every so manieth of the table.
DISCARD TEMP;
CREATE TEMPORARY TABLE spread (serial_number text);
INSERT INTO spread
SELECT workflow.serial_number(instance, visit) FROM (
	SELECT instance, visit, row_number() OVER (ORDER BY instance) - 1 AS place, count(*) OVER () AS n FROM workflow_data.visit) AS v
WHERE place % (n / :n) = 0 ORDER BY md5(place::text) LIMIT :n
