\set i :i + 1
\set key :client_id * :per_client + :i
SELECT workflow.send_message('paid', :key::text, '{"status": "SUCCESS", "receipt": "R-17"}');
