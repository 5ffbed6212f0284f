-- What define refuses, all in one go: faults of the definition, of its servers and of its SQL.

CREATE ROLE define_author;
CREATE SCHEMA define_errors;
CREATE TABLE define_errors.note (id int, text text);
GRANT USAGE ON SCHEMA workflow, define_errors TO define_author;
GRANT EXECUTE ON FUNCTION workflow.define(text, json) TO define_author;
CREATE SERVER define_open FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://open.example.com/v1');
CREATE SERVER define_closed FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://closed.example.com');
GRANT USAGE ON FOREIGN SERVER define_open TO define_author;
SET ROLE define_author;

SELECT workflow.define('bad', '{
  "steps": [
    { "step": "one", "http": { "server": "define_closed", "path": "/x" }, "waits": true },
    { "step": "two", "http": { "server": "define_opne" }, "next": "nine" },
    { "step": "three", "http": { "server": "elsewhere" }, "next": "two" },
    { "step": "four", "sql": "SELECT * FROM define_errors.note", "retry": { "max": -1 } },
    { "step": "five", "sql": "SELEC 1" },
    { "step": "six", "sql": "SELECT 1; SELECT 2" },
    { "step": "seven", "sql": "DROP TABLE define_errors.note" }
  ]}');

-- URLs: known as a whole, known up to the host, or only when they are made
SELECT workflow.define('bad', '{
  "steps": [
    { "step": "a", "http": { "url": "http://open.example.com/v1/charges" } },
    { "step": "b", "http": { "url": "http://open.example.com/v2" } },
    { "step": "c", "http": { "url": "https://closed.example.com/x" } },
    { "step": "d", "http": { "url": "http://open.example.com/${$.path}" } },
    { "step": "e", "http": { "url": "http://other.example.com/${$.path}" } },
    { "step": "f", "http": { "url": "http://open.example.com:8080/${$.path}" } },
    { "step": "g", "http": { "url": "http://${$.host}/x" } },
    { "step": "h", "http": { "url": "${$.url}" } }
  ]}');

-- how the outside is tried again, watched and stopped
SELECT workflow.define('bad', '{
  "retention": "soon",
  "steps": [
    { "step": "a", "http": { "server": "define_open" }, "heartbeat": "1 minute", "ignore_cancel": 1,
      "retry": { "max": 3, "delay": [], "backoff": "quadratic", "max_delay": "${$.x}", "jitter": 5, "on": [404, "5xx", 600, "conect", 40001, "40001"] },
      "cancel": { "server": "define_open", "path": "/x", "url": "http://open.example.com/v1/x", "body": 1, "text": "x", "timeout": "-1 s" } },
    { "step": "b", "sql": "SELECT 1", "wait": { "after": "1 day" }, "heartbeat": "1 minute",
      "retry": { "max": 3, "delay": ["1 s", "1 minute"], "max_delay": "30 s", "on": "503" }, "cancel": { "path": "/x" } },
    { "step": "c", "http": { "server": "define_open" }, "wait": true, "heartbeat": "0", "retry": { "max": 3, "on": [] }, "cancel": { "method": "DELETE" } }
  ]}');

-- hints that say what to write
SELECT workflow.define('bad', '{
  "steps": [
    { "step": "a", "wait": { "after": "-1 s" }, "next": "b" },
    { "step": "b", "wait": { "until": "infinity" } },
    { "step": "c", "http": { "server": "define_open", "path": "x y", "query": { "a": [1] }, "headers": { "X-A": "1\n2" }, "connect_timeout": "100 years" }, "retry": { "max": 1, "delay": "-1 s" } },
    { "step": "d", "sql": "SELECT visit.nothing" },
    { "step": "e", "http": { "server": "define_open", "path": "xy" } }
  ]}');
SELECT workflow.define('bad', ('{"steps": [{"step": "a", "set": {"x": ' || repeat('[', 70) || repeat(']', 70) || '}}]}')::json);

-- headers that are not for a definition to set
SELECT workflow.define('bad', '{
  "steps": [
    { "step": "a", "http": { "server": "define_open", "headers": { "Host": "other.example.com", "content-length": "7", "Transfer-Encoding": "chunked", "CONNECTION": "close", "Expect": "100-continue", "X-${$.name}": "x" } } },
    { "step": "b", "http": { "server": "define_open", "headers": { "X-Host": "${$.host}" } }, "wait": true, "cancel": { "path": "/x", "headers": { "host": "${$.host}" } } }
  ]}');

-- paths that may lead elsewhere
SELECT workflow.define('bad', '{
  "steps": [
    { "step": "a", "http": { "server": "define_open", "path": "/../x" } },
    { "step": "b", "http": { "server": "define_open", "path": "/a/%2E./${$.x}" } },
    { "step": "c", "http": { "server": "define_open", "path": "/${$.x}/%c0%AE%c0%ae/x" } },
    { "step": "d", "http": { "server": "define_open", "path": "/%u002F" } },
    { "step": "e", "http": { "server": "define_open", "path": "/a%252Fb", "method": "GET" } },
    { "step": "f", "http": { "server": "define_open", "path": "/a?x=../%255c" } },
    { "step": "g", "http": { "url": "http://open.example.com/%255Cx${$.x}" } },
    { "step": "h", "http": { "server": "define_open", "path": "/a" }, "wait": true, "cancel": { "path": "/..;/${$.x}" } },
    { "step": "i", "http": { "server": "define_open", "path": "/..${$.x}/.${$.y}/${$.z}${$.z}" } }
  ]}');

-- what is caught
SELECT workflow.define('bad', '{
  "steps": [
    { "step": "a", "http": { "server": "define_open" }, "retry": { "max": 1, "on": [200, "2xx", "201", 503] },
      "catch": [ { "on": [200, "2XX", 40001, 7], "next": "b" }, { "on": ["5xx", 404], "next": "b" }, { "on": [404, "503"], "next": "b" } ] },
    { "step": "b", "wait": true, "catch": [ { "on": "4xx", "next": "a" } ] } ]}');

-- one fault alone, and its hint
SELECT workflow.define('bad', '{"retention": -1, "steps": [{"step": "one", "wait": true}]}');
SELECT workflow.define('bad', '{"steps": [{"step": "one", "wait": true, "timeout": 100}]}');
SELECT workflow.define('bad', '{"steps": [{"step": "one", "wait": true, "timeout": -100}]}');
SELECT workflow.define('bad', '{"steps": [{"step": "one", "set": {"a": "${$items}"}}]}');
SELECT workflow.define('bad', '{"steps": [{"step": "one", "set": {"a": "${$repli}"}}]}');

-- what jsonb would drop is seen
SELECT workflow.define('bad', '{"steps": [{"step": "one", "wait": true, "wait": true}]}');
-- not there yet, and nothing else is wrong
SELECT workflow.define('bad', '{"priority": 1, "steps": [{"step": "one", "wait": true}]}');
\echo :SQLSTATE
SELECT workflow.define('bad', '[]');
SELECT workflow.define('bad', '{}');
SELECT workflow.define('bad', '{"steps": {}}');
SELECT workflow.define('bad', '{"steps": [1, "two"]}');

-- nothing was stored
SELECT count(*) FROM workflow.processes WHERE process = 'bad';

-- parameters of a step's SQL; rights are asked for when it runs
SELECT workflow.define('define_errors: good', '{
  "steps": [
    { "step": "one", "sql": "INSERT INTO define_errors.note VALUES ((visit.data->>''id'')::int, visit.serial_number)" },
    { "step": "two", "sql": "UPDATE define_errors.note n SET text = serial_number WHERE n.id = instance" },
    { "step": "three", "http": { "server": "define_open", "path": "/${$.id}" } },
    { "step": "four", "http": { "url": "http://open.example.com/${$.path}" } }
  ]}');

SELECT workflow.define('define_errors: caught', '{
  "steps": [
    { "step": "a", "http": { "server": "define_open" }, "retry": { "max": 1, "on": ["3xx", 100] },
      "catch": [ { "on": [404, "5XX"], "next": "b" }, { "on": "4xx", "next": "b" } ] },
    { "step": "b", "wait": true, "catch": [ { "on": [404, "200"], "next": "a" } ] } ]}');
SELECT workflow.define('define_errors: outside', '{
  "retention": "0",
  "steps": [
    { "step": "a", "http": { "server": "define_open" }, "wait": true, "timeout": "${$.patience}", "heartbeat": "${$.silence}",
      "retry": { "max": 9, "delay": ["10 ms", "1 s"], "backoff": "linear", "max_delay": "1 minute", "jitter": "5 ms", "on": [503, "404", "5xx", "connect"] },
      "cancel": { "path": "/x/${$reply.body.id}", "method": "DELETE", "headers": { "X-Why": "${$error.message}" }, "timeout": "10 s" } },
    { "step": "b", "http": { "server": "define_open" }, "retry": { "max": 1, "delay": "1 s", "backoff": 2, "on": "timeout" },
      "cancel": { "url": "${$reply.body.stop}", "body": { "sn": "${$serial_number}" } }, "ignore_cancel": true },
    { "step": "c", "sql": "SELECT 1", "retry": { "max": 1, "on": ["40001", "57014"] } }
  ]}');

RESET ROLE;
DROP SERVER define_open;
DROP SERVER define_closed;
DROP SCHEMA define_errors CASCADE;
DROP OWNED BY define_author;
DROP ROLE define_author;
