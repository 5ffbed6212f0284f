-- The request of a visit, to look at.
\set VERBOSITY default

CREATE ROLE rq_owner;
CREATE ROLE rq_other;
GRANT USAGE ON SCHEMA workflow TO rq_owner, rq_other;
GRANT EXECUTE ON FUNCTION workflow.define(text, json) TO rq_owner;
-- paused, so that nothing is sent
CREATE SERVER rq_pay FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://pay.example.com/v1', max_in_flight '0');
GRANT USAGE ON FOREIGN SERVER rq_pay TO rq_owner;
CREATE USER MAPPING FOR rq_owner SERVER rq_pay OPTIONS (auth 'bearer', token 'very secret');
-- without what differs from run to run
CREATE FUNCTION pg_temp.request(i bigint) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace(jsonb_pretty(workflow.request(test.sn(i))), '00-[0-9a-f]{32}-[0-9a-f]{16}-01', 'TRACE'), '[0-9a-f]{8}-[0-9a-f-]{27}', 'KEY'), '\d+_\d+', 'SN', 'g') $$;

SET ROLE rq_owner;
SELECT workflow.define('rq: json', '{"steps": [{"step": "charge", "http": {"server": "rq_pay", "path": "/charges/${$.id}", "query": {"q": "a b&${$.id}"},
	"headers": {"X-Attempt": "${$attempt}", "Authorization": "Basic bm90IGhlcmU=", "cookie": "a=b"},
	"body": {"amount": "${$.amount}", "sn": "${$serial_number}", "note": "${$.note ?? null}"}}, "wait": true, "cancel": {"path": "/charges/${$.id}/stop"}}]}');
SELECT workflow.define('rq: text', '{"steps": [{"step": "say", "http": {"server": "rq_pay", "method": "PUT", "text": "hello ${$.name}", "headers": {"Content-Type": "text/x"}}}]}');
SELECT workflow.define('rq: form', '{"steps": [{"step": "say", "http": {"server": "rq_pay", "form": {"a": "${$.name}", "b": "2"}}}]}');
SELECT workflow.define('rq: url', '{"steps": [{"step": "get", "http": {"url": "${$.url}"}}]}');
SELECT workflow.define('rq: none', '{"steps": [{"step": "one", "wait": true}, {"step": "end", "set": {}}]}');
SELECT workflow.start('rq: json', '{"id": "x/1", "amount": 12.50}') AS i \gset
SELECT pg_temp.request(:i);
SELECT workflow.start('rq: text', '{"name": "J\u00fcrgen \"1\""}') AS t \gset
SELECT pg_temp.request(:t);
SELECT workflow.start('rq: form', '{"name": "J\u00fcrgen & Co"}') AS f \gset
SELECT pg_temp.request(:f);
SELECT workflow.start('rq: url', '{"url": "https://pay.example.com/v1/some?x=1"}') AS u \gset
SELECT pg_temp.request(:u);

-- nothing is locked, and it can be read only
BEGIN READ ONLY;
SELECT workflow.request(test.sn(:i)) ->> 'method' AS method;
COMMIT;

-- one that is suspended; one whose data do not suffice; one that is mended
SELECT workflow.suspend(:i);
SELECT workflow.request(test.sn(:i)) ->> 'url' AS url;
SELECT workflow.resume(:i);
SELECT workflow.start('rq: text') AS bad \gset
DO $$ BEGIN PERFORM workflow.request(serial_number) FROM workflow.visits WHERE process = 'rq: text' AND instance = (SELECT max(instance) FROM workflow.visits);
EXCEPTION WHEN data_exception THEN RAISE NOTICE '%: %', SQLSTATE, regexp_replace(SQLERRM, '\d+_\d+', 'SN'); END $$;
SELECT workflow.set_data(:bad, '{"name": "now"}');
SELECT workflow.request(test.sn(:bad)) -> 'body' AS body;

-- what makes none
SELECT workflow.start('rq: none') AS n \gset
SELECT test.sn(:n) AS none \gset
\set VERBOSITY sqlstate
SELECT workflow.request(:'none');
SELECT workflow.complete(:'none');
SELECT workflow.request(:'none');
SELECT workflow.request('5-31');
SELECT workflow.request('999999999_1');
SELECT workflow.request(NULL);
SELECT workflow.request(531);
\set VERBOSITY default

-- who may
SELECT test.sn(:i) AS sn \gset
RESET ROLE;
\set VERBOSITY sqlstate
SET ROLE rq_other;
SELECT workflow.request(:'sn');
RESET ROLE;
SELECT workflow.grant_process('rq: json', 'rq_other', 'complete');
SELECT workflow.grant_process('rq: json', 'rq_other', 'view');
SET ROLE rq_other;
SELECT workflow.request(:'sn');
RESET ROLE;
SELECT workflow.grant_process('rq: json', 'rq_other', 'admin');
SET ROLE rq_other;
SELECT workflow.request(:'sn') ->> 'method' AS method;
RESET ROLE;

-- what is wrong with the server
REVOKE USAGE ON FOREIGN SERVER rq_pay FROM rq_owner;
SELECT workflow.request(:'sn');
DROP USER MAPPING FOR rq_owner SERVER rq_pay;
DROP SERVER rq_pay;
SELECT workflow.request(:'sn');
\set VERBOSITY default
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'rq: %' AND ended_at IS NULL;
DROP OWNED BY rq_owner, rq_other;
DROP ROLE rq_owner, rq_other;
