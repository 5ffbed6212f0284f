-- The servers that processes call are foreign servers of the wrapper workflow_http.

CREATE FUNCTION workflow_data.http_validator(options text[], catalog oid) RETURNS void
LANGUAGE C STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'workflow_http_validator';

COMMENT ON FUNCTION workflow_data.http_validator(text[], oid) IS
'checks the options of foreign servers and user mappings of the wrapper workflow_http; called by PostgreSQL';

CREATE FOREIGN DATA WRAPPER workflow_http VALIDATOR workflow_data.http_validator;

COMMENT ON FOREIGN DATA WRAPPER workflow_http IS
'HTTP services that processes call: each is a foreign server, its credentials a user mapping for the owner of the
  process.
CREATE SERVER name FOREIGN DATA WRAPPER workflow_http OPTIONS (url ''https://...''). An option that does not exist is an
  error whose hint lists all of them; so it is with user mappings.';
