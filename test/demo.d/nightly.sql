-- The nightly job, an ordinary psql script: send off what has gathered, and say so with the serial numbers.
BEGIN;
UPDATE batch.shipment SET parcel = 'P-' || 1000 + order_id WHERE parcel IS NULL;
SELECT sn, workflow.complete(sn, jsonb_build_object('parcel', parcel))
FROM batch.shipment ORDER BY order_id;
DELETE FROM batch.shipment;
COMMIT;
