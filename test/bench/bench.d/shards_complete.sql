\set i :i + 1
SELECT workflow.complete(serial_number, '{"status": "SUCCESS", "receipt": "R-17"}') FROM open_of_all WHERE n = (:i - 1) * 32 + :client_id + 1;
