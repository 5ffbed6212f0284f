-- "warn_waiting" of a step and of a definition: after how long a wait is told of.
\pset null (null)

-- what is refused, and what is hardly meant
SELECT path, severity, message, hint, step FROM workflow.check('{"warn_waiting": 5, "steps": [
	{"step": "a", "wait": true, "warn_waiting": "soon"},
	{"step": "b", "wait": true, "warn_waiting": "${$.x}"},
	{"step": "c", "wait": {"after": "1 hour"}, "warn_waiting": "1 day"},
	{"step": "d", "set": {"x": 1}, "warn_waiting": "1 day"},
	{"step": "e", "wait": true, "warn_waiting": "-1 day"},
	{"step": "f", "wait": true, "warn_waiting": null},
	{"step": "g", "wait": true, "warn-waiting": "1 day"}]}');
SELECT path, severity, message, hint FROM workflow.check('{"warn_waiting": "1 day", "steps": [
	{"step": "a", "wait": true, "warn_waiting": "0"}, {"step": "b", "wait": {"after": "1 s"}}]}');

-- the step's own, else the definition's, else the setting's; "0" is never
SELECT workflow.define('warned', '{"warn_waiting": "2 days", "steps": [
	{"step": "own", "wait": true, "warn_waiting": "90 s"},
	{"step": "inherited", "wait": true},
	{"step": "never", "wait": true, "warn_waiting": "0"},
	{"step": "month", "wait": true, "warn_waiting": "1 month 1 ms"}]}');
SELECT workflow.define('unwarned', '{"warn_waiting": "0", "steps": [
	{"step": "inherited never", "wait": true}, {"step": "own after all", "wait": true, "warn_waiting": "1 s"}]}');
SELECT workflow.define('by_setting', '{"steps": [{"step": "setting", "wait": true}]}');
DO $$
DECLARE
	i bigint;
BEGIN
	FOR n IN 1 .. 4 LOOP
		i := workflow.start('warned');
		IF n > 1 THEN PERFORM workflow.move(test.sn(i), (ARRAY['', 'inherited', 'never', 'month'])[n]); END IF;
	END LOOP;
	PERFORM workflow.start('unwarned');
	PERFORM workflow.move(test.sn(workflow.start('unwarned')), 'own after all');
	PERFORM workflow.start('by_setting');
END $$;
SELECT v.step, v.warn_at - v.waiting_since AS warned_after, v.next_timer = v.warn_at AS at_its_time FROM workflow_data.visit v JOIN workflow_data.process p USING (process_id)
WHERE p.process IN ('warned', 'unwarned', 'by_setting') ORDER BY v.instance;
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process IN ('warned', 'unwarned', 'by_setting') AND ended_at IS NULL;
