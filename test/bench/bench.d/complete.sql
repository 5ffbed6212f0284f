\set i :i + 1
\set instance :first_instance + :client_id * :per_client + :i
\set visit :instance + :visit_offset
SELECT workflow.complete(:instance::text || '_' || :visit::text, '{"status": "SUCCESS", "receipt": "R-17"}');
