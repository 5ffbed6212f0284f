SELECT status, count(*) AS orders, sum((data->>'amount')::numeric) AS amount,
       count(data->>'receipt') AS receipts, count(data->>'parcel') AS parcels
FROM workflow.instances GROUP BY status ORDER BY status;
