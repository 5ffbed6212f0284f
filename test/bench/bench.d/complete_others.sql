SELECT workflow.complete(serial_number, '{"status": "SUCCESS", "receipt": "R-17"}') FROM open_of_clients WHERE n = (SELECT nextval('taken_seq'));
