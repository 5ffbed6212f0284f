-- One line on what goes on; `done` is true when :step is all that is left, and is waiting.
SELECT coalesce(bool_and(step = :'step' AND state = 'waiting'), :'step' = ''),
       coalesce(string_agg(n || ' ' || step || ' ' || state, ', ' ORDER BY step, state), 'nothing left to do')
FROM (SELECT step, state, count(*) AS n FROM workflow.visits GROUP BY step, state) v;
