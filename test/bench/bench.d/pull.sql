SELECT serial_number, lock_token FROM workflow.fetch('bench') \gset
SELECT workflow.complete(:serial_number::text, '{"done": true}', :lock_token::uuid);
