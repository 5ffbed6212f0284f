SELECT h.serial_number, h.step, h.outcome, h.attempts,
       to_char(h.entered_at, 'HH24:MI:SS.MS') AS entered, to_char(h.ended_at, 'HH24:MI:SS.MS') AS ended,
       h.result->'response' AS response
FROM workflow.history h JOIN workflow.instances i USING (instance)
WHERE i.business_key = (SELECT max(id)::text FROM shop.orders)
ORDER BY h.entered_at, h.serial_number;
