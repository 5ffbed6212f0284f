-- One line on what goes on, after whether it is over: all that is left waits at :step, and the orders' rows say so.
SELECT coalesce(bool_and(step = :'step' AND state = 'waiting'), :'step' = '')
       AND NOT EXISTS (SELECT FROM shop.orders o
                            LEFT JOIN workflow.instances i ON i.business_key = o.id::text
                            LEFT JOIN workflow.waiting w USING (instance)
                       WHERE (o.state, o.sn) IS DISTINCT FROM (i.status, w.serial_number)),
       coalesce(string_agg(n || ' ' || step || ' ' || state, ', ' ORDER BY step, state), 'nothing left to do')
FROM (SELECT step, state, count(*) AS n FROM workflow.visits GROUP BY step, state) v;
