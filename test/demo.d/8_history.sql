SELECT serial_number, step, outcome, attempts,
       to_char(entered_at, 'HH24:MI:SS.MS') AS entered, to_char(ended_at, 'HH24:MI:SS.MS') AS ended,
       result->'response' AS response
FROM workflow.history JOIN workflow.instances USING (instance)
WHERE business_key = (SELECT max(id)::text FROM shop.orders)
ORDER BY entered_at, serial_number;
