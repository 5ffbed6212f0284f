-- Once, by an administrator: the extension, the service that may be called, and who may do what.
CREATE EXTENSION workflow;

CREATE SERVER payments FOREIGN DATA WRAPPER workflow_http
    OPTIONS (url ':url', allow_private 'true');   -- this one is on the same machine
CREATE USER MAPPING FOR shop SERVER payments
    OPTIONS (auth 'bearer', token 'a secret of the shop');

GRANT USAGE ON FOREIGN SERVER payments TO shop;
GRANT USAGE ON SCHEMA workflow TO shop, partner, warehouse;
GRANT EXECUTE ON FUNCTION workflow.define, workflow.attach, workflow.grant_process TO shop;
