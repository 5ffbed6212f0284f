-- The servers that processes call are foreign servers of the wrapper workflow_http.

CREATE FUNCTION workflow_data.http_validator(options text[], catalog oid) RETURNS void
LANGUAGE C STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'workflow_http_validator';

COMMENT ON FUNCTION workflow_data.http_validator(text[], oid) IS
'checks the options of foreign servers and user mappings of the wrapper workflow_http; called by PostgreSQL';

CREATE FOREIGN DATA WRAPPER workflow_http VALIDATOR workflow_data.http_validator;

COMMENT ON FOREIGN DATA WRAPPER workflow_http IS
'HTTP services that processes call. Server options: url, timeout, connect_timeout, idle_timeout, max_in_flight, max_response, ca, and for superusers allow_private, verify. User mapping options: auth (none, basic, bearer, header), user, password, token, name, value';
