-- What define warns of and what it refuses, as rows of workflow.check, which stores nothing.

CREATE ROLE check_author;
GRANT USAGE ON SCHEMA workflow TO check_author;
CREATE SERVER check_open FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://open.example.com/v1');
GRANT USAGE ON FOREIGN SERVER check_open TO check_author;
CREATE SERVER check_closed FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://closed.example.com');
SET ROLE check_author;
SELECT * FROM workflow.check('{"steps": [{"step": "a", "wait": true}]}');
RESET ROLE;
GRANT EXECUTE ON FUNCTION workflow.check(json), workflow.define(text, json) TO check_author;
SET ROLE check_author;

-- nothing to be said
SELECT * FROM workflow.check('{"steps": [{"step": "a", "http": {"server": "check_open", "method": "propfind"}, "wait": {"callback": true, "when": "$reply.status == 202"}, "timeout": "1 day",
    "catch": [{"on": ["TIMED_OUT", "timeout", "connect", "template", "REJECTED", "out of stock", 404], "next": "b"}], "next": "b"}, {"step": "b", "end": true}]}');
SELECT * FROM workflow.check(NULL);
SELECT path, severity, message FROM workflow.check('[]');
SELECT path, severity, message, step FROM workflow.check('{"steps": [{"step": "a", "set": {}, "set": {}}, {"set": {"x": "${"}}, {"step": "a"}]}');

-- the line on which the value begins
SELECT line, path, message FROM workflow.check('{
    "steps": [

        {"step": "a", "wait": {
            "task": {"title": "t"},
            "callback":
                false}},
        7],
    "data": [],
    "start":
        "b" }') ORDER BY line, path;
SELECT line, message FROM workflow.check('
  {"steps": [{"step": "a"}], "timeout": {}}') UNION ALL SELECT line, message FROM workflow.check('

  []');

-- clocks that come after the timeout
SELECT path, severity, message, hint FROM workflow.check('{"timeout": "4 weeks", "catch": [{"after": "31 days", "interrupt": false, "next": "b"}, {"after": "27 days", "interrupt": false, "next": "b"}], "steps": [
    {"step": "a", "wait": true, "timeout": "1 hour", "catch": [{"after": "60 minutes", "interrupt": false, "next": "b"}, {"after": "59 minutes", "next": "b"}, {"every": "2 hours", "interrupt": false, "next": "b"},
        {"after": "${$.long}", "next": "b"}, {"on": "TIMED_OUT", "next": "b"}]},
    {"step": "f", "first_of": [{"callback": true, "next": "b"}, {"after": "1 day", "next": "b"}, {"after": "1 minute", "next": "b"}], "timeout": "1 day"},
    {"step": "w", "wait": {"after": "2 days"}, "timeout": "1 day"},
    {"step": "t", "wait": true, "timeout": "${$.t}", "catch": [{"after": "1 year", "next": "b"}]},
    {"step": "b", "end": true}]}');
-- data that are named as a variable
SELECT path, severity, message, hint FROM workflow.check('{"steps": [
    {"step": "a", "http": {"server": "check_open"}, "wait": {"callback": true, "when": "$.reply.status == 202"}, "success": "$.amount > 3 && $.result.response.ok == true", "choose": [
        {"when": "$.caught.step == \"a\"", "next": "b"}, {"when": "$.result.ok == true", "next": "b"}, {"when": "$.results.status == 1", "next": "b"}, {"when": "$.order.result.status == 1", "next": "b"},
        {"when": "$.x == \"$.error.code\"", "next": "b"}, {"when": "$.event == 1 && $.error.code == \"x\"", "next": "b"}, {"next": "b"}]},
    {"step": "b", "wait": {"condition": "$.event.data > 3"}}]}');

-- in a read-only transaction too, as whoever asks
BEGIN READ ONLY;
SELECT path, severity, message, step FROM workflow.check('{"steps": [{"step": "a", "http": {"server": "check_closed"}}, {"step": "b", "sql": "SELEC 1"}]}');
ROLLBACK;

-- what a definition refers to is looked for whatever else is wrong with it, in an order that is not that of writing
SELECT path, severity, message FROM workflow.check('{"steps": [
    {"step": "a", "cancel": {"url": "https://stop.example.org/${$callback_url}${$callback_url}"}, "http": {"url": "https://far.example.org/", "server": "nowhere", "body": "${$heartbeat_url} ${$callback_url}"},
        "catch": [{"on": "*", "next": "nowhere"}], "next": "b"},
    {"step": "b", "sql": "SELEC 1", "sql": "SELECT ''${''", "wait": true, "next": "c"},
    {"step": "c", "http": {"server": "", "url": "/a"}, "end": true}]}');
SELECT path, severity, message FROM workflow.check('{"steps": [{"step": "a", "http": ["nowhere"]}, {"step": 1, "sql": {"sql": "SELEC"}}, "sql", {"step": "d", "http": {"server": "nowhere"}}]}');

-- what can never be there
SELECT path, message FROM workflow.check('{"steps": [
    {"step": "call", "http": {"server": "check_open", "path": "/${$result.response.id}", "query": {"a": "${$reply.body}"}, "headers": {"A": "${$result.status ?? 1}"},
        "body": {"a": ["${$caught.step}", {"b": "${$item.id}"}], "c": "${$index}", "d": "${$event.data}", "e": "${$error.code ?? null}"}, "timeout": "${$reply.body.t}"},
        "save_reply": {"a": "${$reply.body}", "b": "${$result.response}"}, "wait": {"callback": true, "when": "$result.status == \"SUCCESS\" || $reply.status == 202"},
        "timeout": "${$reply.body.t}", "heartbeat": "${$reply.body.h ?? $result.response}", "cancel": {"path": "/${$reply.body.id}", "body": "${$result}"},
        "success": "$result.response.ok == $reply.body.ok", "save": {"a": "${$reply.body}${$result.response}"},
        "catch": [{"after": "${$reply.body.a}", "interrupt": false, "save": {"a": "${$caught.step}${$error.code}${$reply.status}", "b": "${$result}"}, "next": "handler"},
                  {"after": "${$result.a}", "save": {"b": "${$result}"}, "next": "handler"}]},
    {"step": "none", "set": {"a": "${$reply.body}", "b": "${$result.response}", "c": "${$caught}"}, "choose": [{"when": "$reply.status == 200", "next": "wait"}, {"when": "$caught.step == \"a\"", "next": "wait"}]},
    {"step": "wait", "wait": {"callback": true, "when": "$reply.status == 202"}, "success": "exists($reply)", "end": {"error": "E", "message": "${$reply}${$result.response}${$caught.step}"}},
    {"step": "handler", "set": {"a": "${$caught.step}${$error.code}"}},
    {"step": "after it", "notify": {"channel": "c", "payload": {"a": "${$caught.step}${$error.code}${$reply}"}}, "end": true}
  ]}');

-- clocks with nothing to time
SELECT path, severity, message FROM workflow.check('{"steps": [
    {"step": "a", "set": {"x": 1}, "timeout": "1 s"}, {"step": "b", "timeout": "1 s", "catch": [{"after": "1 s", "next": "c"}, {"on": "FAILED", "next": "c"}]},
    {"step": "c", "set": {"x": 1}, "async": true, "timeout": "1 s"}, {"step": "d", "sql": "SELECT 1", "timeout": "1 s"}, {"step": "e", "notify": {"channel": "c"}, "timeout": "1 s"},
    {"step": "f", "wait": {"after": "1 s"}, "timeout": "1 s", "heartbeat": "1 s"} ]}');

-- methods and bodies
SELECT path, severity, message, hint FROM workflow.check('{"steps": [
    {"step": "a", "http": {"server": "check_open", "method": "PSOT"}}, {"step": "b", "http": {"server": "check_open", "method": "FETCH"}}, {"step": "c", "http": {"server": "check_open", "method": "trace"}},
    {"step": "d", "http": {"server": "check_open", "method": "CONNECT"}}, {"step": "e", "http": {"server": "check_open", "method": "GE T"}}, {"step": "f", "http": {"server": "check_open", "method": "get", "body": 1}},
    {"step": "g", "http": {"server": "check_open", "method": "HEAD", "text": "x"}, "cancel": {"path": "/x", "method": "GET", "body": {}}}, {"step": "h", "http": {"server": "check_open", "method": "DELETE", "form": {}}} ]}');

-- what is caught in vain
SELECT path, severity, message, hint FROM workflow.check('{"steps": [
    {"step": "a", "http": {"server": "check_open"}, "catch": [{"on": ["TIMEOUT", "Time-out", "FAILURE", "FAILD", "CANCELED", "ERROR", "Connect", "tempalte"], "next": "b"}, {"on": "time_out", "next": "b"}, {"on": "timed_out", "next": "b"}]},
    {"step": "b", "wait": true, "catch": [{"on": ["TIMED_OUT", "DIED", "*"], "next": "c"}]}, {"step": "c", "wait": true, "timeout": "1 s", "heartbeat": "1 s", "catch": [{"on": ["TIMED_OUT", "DIED"], "next": "a"}]} ]}');

-- predicates and templates that are hardly meant
SELECT path, severity, message, hint FROM workflow.check('{"steps": [
    {"step": "a", "choose": [{"when": "exists($.items[*] ? (@.price > 5))", "next": "b"}, {"when": "exists($.items[*] ? (@.price.type() == \"number\" && @.price > 5))", "next": "b"},
        {"when": "exists($.items[*] ? ((@.price > 5) is unknown))", "next": "b"}, {"when": "exists($.items[*] ? (exists(@.price)))", "next": "b"}, {"when": "exists($.items[*] ? (@.price != null))", "next": "b"},
        {"when": "$.items[*] ? (@ > 5)", "next": "b"}, {"when": "exists($.\"?(a > b)\")", "next": "b"}, {"when": "$.a + 1", "next": "b"}, {"when": "$.a.size()", "next": "b"}, {"when": "\"yes\"", "next": "b"}, {"when": "true", "next": "b"}]},
    {"step": "b", "set": {"a": "${$.items[*] ? (@.id like_regex \"^a\").id ?? null}", "b": "${$.a ?? $.b ? (@ starts with \"x\")}", "c": "${$error.code ?? null}"}},
    {"step": "c", "set": {"url": "${$callback_url}", "r": "${$result.status}"}},
    {"step": "d", "http": {"server": "check_open", "body": {"url": "${$callback_url}", "beat": "${$heartbeat_url}"}}, "wait": true},
    {"step": "e", "sql": "SELECT ''${$.amount}''"} ]}');

-- a retry of the whole, and one that no step goes by
SELECT path, severity, message, hint FROM workflow.check('{"retry": {"max": -1, "often": true}, "steps": [{"step": "a", "http": {"server": "check_open"}}]}');
SELECT path, severity, message, hint FROM workflow.check('{"retry": {"max": 1}, "steps": [{"step": "a", "http": {"server": "check_open"}, "retry": {"max": 2}}, {"step": "b", "wait": true}]}');
SELECT count(*) FROM workflow.check('{"retry": {"max": 1}, "steps": [{"step": "a", "http": {"server": "check_open"}}]}');

-- hints that say what is meant
SELECT path, regexp_replace(message, '(is not a jsonpath): .*', '\1') AS message, hint FROM workflow.check('{"steps": [
    {"step": "a", "set": {"a": "${$response.id}", "b": "${$data.amount}", "c": "${data.amount}", "error": "${$.}", "e": "${response}", "f": "${$.a ?? []}", "g": "${$.a ?? }", "h": "${($.a ?? 1) + 1}", "i": "${$.a = 1}"},
        "choose": [{"when": "$.a == 1", "then": "b"}, {"if": "$.a == 2", "goto": "b"}, {"when": "$.a ?? 1", "next": "b"}, {"when": "${$.a}", "next": "b"}, {"else": "b"}]},
    {"step": "b", "http": {"server": "check_open", "json": {}}, "retry": 3, "retries": 3},
    {"step": "c", "sql": "SELECT ${$.amount}"}, {"step": "d", "sql": "SELECT ${$serial_number}"}, {"name": "e", "wait": true},
    {"step": "f", "save": {"x": {"max": "${$.a.b c}"}}, "end": {"error": ""}}
  ]}');

-- parts that a variable never has
SELECT severity, path, message, hint FROM workflow.check('{"steps": [
    {"step": "a", "http": {"server": "check_open"}, "wait": true, "success": "$result.respons.ok == true", "save": {"x": "${$result.error.code ?? $result.errors ?? null}", "y": "${$result.\"status\"}${$result[\"x\"] ?? 1}"},
        "save_reply": {"z": "${$reply.bodi ?? null}"},
        "catch": [{"on": "FAILED", "next": "b"}]},
    {"step": "b", "set": {"c": "${$caught.results.response}${$error.http_code}${$caught.error.sqlstate}"}, "wait": {"message": "m"}, "save": {"e": "${$event.sender}"}},
    {"step": "c", "wait": true, "save": {"all": "${$result}${$result.*}${$.result.respons}"}}
  ]}');

-- define tells its warnings and stores the version
SELECT workflow.define('check: warned', '{"steps": [
    {"step": "a", "http": {"server": "check_open", "method": "PSOT"}, "catch": [{"on": "TIMEOUT", "next": "b"}]},
    {"step": "b", "choose": [{"when": "exists($.items[*] ? (@.price > 5))", "next": "a"}, {"next": "c"}]}, {"step": "c"} ]}');
SELECT count(*) FROM workflow.processes WHERE process LIKE 'check: %';
-- of a definition that is refused the faults alone
SELECT workflow.define('check: refused', '{"steps": [{"step": "a", "http": {"server": "check_open", "method": "PSOT"}, "retry": 3}]}');
SELECT workflow.define('check: later', '{"priority": 1, "steps": [{"step": "a", "wait": true}]}');
\echo :SQLSTATE

RESET ROLE;
DROP SERVER check_open;
DROP SERVER check_closed;
DROP OWNED BY check_author;
DELETE FROM workflow_data.process_version WHERE process_id = (SELECT process_id FROM workflow_data.process WHERE process = 'check: warned');
DELETE FROM workflow_data.process WHERE process = 'check: warned';
DROP ROLE check_author;
