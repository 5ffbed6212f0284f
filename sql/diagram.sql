-- Processes as flowcharts, in the language of Mermaid; the real renderer looks at them in tap/119_diagrams.
\pset format unaligned
\pset tuples_only on

CREATE SERVER diagram FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:9', allow_private 'true', max_in_flight '0');

-- one of each kind of step, and each kind of route
SELECT workflow.define('diagram: kinds', $$
{ "steps": [
    { "step": "call", "http": { "server": "diagram", "path": "/jobs/${$.id}", "body": {} }, "wait": true, "timeout": "2 days",
      "catch": [ { "on": ["FAILED", 503, "4xx", "NO_CARD"], "next": "ask" },
                 { "every": "1 day", "times": 3, "interrupt": false, "next": "remind" },
                 { "signal": "stop", "next": "gone" }, { "on": "*", "next": "ask" } ] },
    { "step": "store", "sql": "SELECT 1\n  AS a, 'it is a long statement, of which the begin is enough'", "next": ["set", "child", "many"] },
    { "step": "remind", "notify": { "channel": "remind_${$.id}" }, "end": true },
    { "step": "ask", "wait": { "task": { "title": "Look at ${$.id}", "roles": ["a", "b"] } },
      "choose": [ { "when": "$.amount > 1000 && $.kind == \"x\"", "next": "store" }, { "when": "$.n == 1", "next": ["call", "gone"] }, { "next": "refused" } ] },
    { "step": "refused", "end": { "error": "REFUSED", "message": "by ${$.who}" } },
    { "step": "gone", "end": { "abort": "no more" } },
    { "step": "set", "set": { "a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6 }, "next": "meet" },
    { "step": "child", "call": { "process": "diagram: events", "version": 1 }, "next": "meet" },
    { "step": "many", "each": { "in": "$.lines", "parallel": 10, "until": "$.yes == 2" }, "wait": { "topic": "picking" }, "next": "meet" },
    { "step": "meet", "join": 2, "next": [ "send", { "when": "$.a == 1", "next": "signal" }, { "when": "$.b == 1", "next": ["later", "pure"] } ] },
    { "step": "send", "send": { "message": "packed", "key": 17 }, "end": true },
    { "step": "signal", "send": { "signal": "all" }, "end": true },
    { "step": "later", "wait": { "after": "2 days", "when": "$.a == 1" }, "end": "scope" },
    { "step": "pure", "choose": [ { "when": "$.a == 1", "next": "send" }, { "when": "$.a == 2", "next": "later" } ] } ] }
$$);
SELECT workflow.diagram('diagram: kinds');

-- what starts it, what the whole of it catches, sub-processes, lists of them, the first of several
SELECT workflow.define('diagram: events', $$
{ "timeout": "30 days", "catch": [ { "on": "TIMED_OUT", "next": "late" }, { "message": "withdrawn", "key": "${$business_key}", "next": "late" } ],
  "start_on": [ { "message": "ordered", "key": 1, "step": "scope" }, { "webhook": "hook" } ],
  "steps": [
    { "step": "first", "join": "all", "first_of": [
        { "callback": true, "when": "$.a == 1", "next": "scope" }, { "until": "2030-01-31 12:00+00", "when": "$.a == 2", "next": "end" },
        { "condition": "$.done == true", "when": "$.a == 3", "next": "scope" } ], "next": "end" },
    { "step": "scope", "timeout": "1 day", "join": "any", "local": { "n": 1 },
      "catch": [ { "on": "TIMED_OUT", "next": "scope" }, { "escalation": "*", "interrupt": false, "next": "end" } ],
      "steps": [
        { "step": "lines", "each": "$.lines", "steps": [ { "step": "one", "send": { "escalation": "look" } }, { "step": "two", "wait": { "signal": "go" } } ] },
        { "step": "stop", "end": "scope" } ] },
    { "step": "end", "end": true },
    { "step": "late", "wait": { "message": "late", "key": "${$business_key}" } } ] }
$$);
SELECT workflow.diagram('diagram: events', 1);

-- whatever stands in names, values and keys is text
SELECT workflow.define(E'diagram: "x"\n---\n%%', $x$
{ "steps": [
    { "step": "end", "next": ["1. \"x\"] --> s1", "- #35; &lt; <b>`%%{init: {}}%%`</b>", "_a_b_ **c** $$2$$$ http://a.b", "日本 ü 😀 \t|\n\r}", "ﬂ°°35¶ß" ] },
    { "step": "1. \"x\"] --> s1", "end": true },
    { "step": "- #35; &lt; <b>`%%{init: {}}%%`</b>", "end": true },
    { "step": "_a_b_ **c** $$2$$$ http://a.b", "end": true },
    { "step": "日本 ü 😀 \t|\n\r}", "end": true },
    { "step": "ﬂ°°35¶ß", "end": true } ] }
$x$);
SELECT workflow.diagram(E'diagram: "x"\n---\n%%');

-- an instance: what it has passed, and where it stands
SELECT workflow.define('diagram: run', $$
{ "steps": [
    { "step": "again", "set": { "n": "${$.n + 1 ?? 1}" }, "choose": [ { "when": "$.n < 3", "next": "again" }, { "next": "fork" } ] },
    { "step": "fork", "next": ["wait", "fail", "request", "list", "scope", "catches"] },
    { "step": "wait", "wait": true, "end": true },
    { "step": "fail", "choose": [ { "when": "$.never == 1", "next": "wait" } ] },
    { "step": "request", "http": { "server": "diagram", "path": "/" }, "end": true },
    { "step": "list", "each": "$.lines", "wait": true, "end": true },
    { "step": "scope", "steps": [ { "step": "inner", "wait": true } ], "end": true },
    { "step": "catches", "choose": [ { "when": "$.never == 1", "next": "wait" } ], "catch": [ { "on": "*", "next": "caught" } ] },
    { "step": "caught", "end": true } ] }
$$);
SELECT workflow.start('diagram: run', '{"never": 2, "lines": [1, 2, 3]}', business_key => 'key "1"') AS i \gset
SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = :i AND item = 1;
SELECT regexp_replace(line, 'instance \d+', 'instance N') FROM regexp_split_to_table(workflow.diagram(:i), '\n') line WHERE line !~ '-->|classDef';
-- and when it has ended
SELECT workflow.cancel(:i);
SELECT regexp_replace(line, 'instance \d+', 'instance N') FROM regexp_split_to_table(workflow.diagram(:i), '\n') line WHERE line ~ 'title|class |<br/>';

-- all that live; of versions before, what has no place in this one is told beside
SELECT count(workflow.start('diagram: run', '{"never": 2, "lines": []}')) FROM generate_series(1, 2);
SELECT workflow.define('diagram: run', '{ "steps": [ { "step": "wait", "wait": true } ] }');
SELECT count(workflow.start('diagram: run'));
SELECT workflow.diagram('diagram: run', live => true);
SELECT line FROM regexp_split_to_table(workflow.diagram('diagram: run', 1, true), '\n') line WHERE line ~ 'title|class |<br/>';
SELECT workflow.diagram('diagram: run', version => 2, live => true);

-- what is not there, and who may look
\set VERBOSITY terse
SELECT workflow.diagram('diagram: none');
SELECT workflow.diagram('diagram: run', 3);
SELECT workflow.diagram(NULL::text);
SELECT workflow.diagram(0);
SELECT workflow.diagram(NULL::bigint);
CREATE ROLE diagram_view;
CREATE ROLE diagram_start;
CREATE ROLE diagram_none;
GRANT USAGE ON SCHEMA workflow TO diagram_view, diagram_start, diagram_none;
SELECT workflow.grant_process('diagram: run', 'diagram_view', 'view'), workflow.grant_process('diagram: run', 'diagram_start', 'start');
SET ROLE diagram_view;
SELECT length(workflow.diagram('diagram: run')) > 0, length(workflow.diagram(:i)) > 0;
SELECT workflow.diagram('diagram: kinds');
SET ROLE diagram_start;
SELECT workflow.diagram('diagram: run');
SELECT test.try(format('SELECT workflow.diagram(%s)', :i));
SET ROLE diagram_none;
SELECT test.try(format('SELECT workflow.diagram(%s)', :i));
RESET ROLE;

SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process = 'diagram: run' AND ended_at IS NULL;
SELECT count(workflow.undefine(process, true)) FROM workflow.processes WHERE process LIKE 'diagram:%' AND latest;
REVOKE USAGE ON SCHEMA workflow FROM diagram_view, diagram_start, diagram_none;
SELECT workflow.revoke_process('diagram: run', 'diagram_view', 'view'), workflow.revoke_process('diagram: run', 'diagram_start', 'start');
DROP ROLE diagram_view, diagram_start, diagram_none;
DROP SERVER diagram;
