-- Escalations: which scope around catches them, and what becomes of the step that throws one.

-- the nearest one that names it, or "*"; beside what goes on inside
SELECT workflow.define('escalations', '{"steps": [
  {"step": "outer", "catch": [{"escalation": "late", "interrupt": false, "save": {"outer": "${$event.data}"}, "next": "tell"}, {"escalation": "*", "next": "stop"}], "next": "end", "steps": [
    {"step": "inner", "catch": [{"escalation": "odd", "interrupt": false, "save": {"inner": "${$event.name}"}, "next": "note"}], "end": true, "steps": [
      {"step": "which", "choose": [{"when": "$.code == \"late\"", "next": "late"}, {"when": "$.code == \"odd\"", "next": "odd"}, {"next": "other"}]},
      {"step": "late", "send": {"escalation": "late", "data": {"n": "${$.n}"}}, "save_reply": {"reply": "${$reply}"}, "wait": true, "end": true},
      {"step": "odd", "send": {"escalation": "odd"}, "save": {"reply": "${$reply}", "response": "${$result.response}"}, "end": true},
      {"step": "other", "send": {"escalation": "other"}, "save": {"reply": "${$reply}"}, "wait": true, "end": true}]},
    {"step": "note", "set": {"note": "${$caught.step} ${$caught.event.kind} ${$caught.event.name}"}, "end": true}]},
  {"step": "end", "end": true},
  {"step": "tell", "set": {"tell": "${$caught.step} ${$caught.event.name}", "data": "${$caught.event.data}"}, "end": true},
  {"step": "stop", "set": {"stop": "${$caught.step} ${$caught.event.name}"}, "end": true}]}');
SELECT workflow.start('escalations', '{"code": "late", "n": 5}') AS i \gset
SELECT test.at(:i), test.ended(:i);
SELECT test.done(:i, 'late'), test.ended(:i), test.went(:i);
SELECT workflow.start('escalations', '{"code": "odd"}') AS i \gset
SELECT test.ended(:i), test.went(:i);
-- one that interrupts ends what is inside, the step that has thrown it included
SELECT workflow.start('escalations', '{"code": "other"}') AS i \gset
SELECT test.ended(:i), test.went(:i);

-- the process as a whole catches, too; uncaught, nothing happens, and the answer says so
SELECT workflow.define('escalations: process', '{"catch": [{"escalation": "stop", "next": "stopped"}], "steps": [
  {"step": "a", "send": {"escalation": "unknown"}, "save": {"reply": "${$reply}"}},
  {"step": "b", "wait": true},
  {"step": "c", "send": {"escalation": "stop", "data": [1]}, "next": "d"},
  {"step": "d", "set": {"d": true}},
  {"step": "stopped", "set": {"stopped": "${$caught.event.data}"}}]}');
SELECT workflow.start('escalations: process') AS i \gset
SELECT test.at(:i), test.ended(:i);
SELECT regexp_replace(t, '^ *(\S+|now|\+ .*?)  .*SUCCESS after \S+ \S+; ', '') AS story FROM workflow.timeline(:i) t WHERE t LIKE '%missed%';
SELECT test.done(:i, 'b'), test.ended(:i), test.went(:i);
SELECT workflow.define('escalations: none', '{"steps": [{"step": "a", "send": {"escalation": "x"}, "choose": [{"when": "$reply == \"missed\"", "next": "b"}, {"next": "c"}]}, {"step": "b", "set": {"b": true}, "end": true}, {"step": "c"}]}');
SELECT test.ended(workflow.start('escalations: none'));

-- a step that goes on while what is around it ends finds nobody there, but further out
SELECT workflow.define('escalations: ending', '{"steps": [
  {"step": "outer", "catch": [{"escalation": "x", "interrupt": false, "next": "heard"}], "next": "end", "steps": [
    {"step": "inner", "catch": [{"escalation": "x", "interrupt": false, "next": "not heard"}], "end": true, "steps": [
      {"step": "fork", "next": ["a", "b"]},
      {"step": "a", "wait": true, "catch": [{"on": "CANCELLED", "next": "cry"}], "end": true},
      {"step": "b", "wait": true, "end": "scope"},
      {"step": "cry", "ignore_cancel": true, "send": {"escalation": "x"}, "save": {"reply": "${$reply}"}, "end": true}]},
    {"step": "not heard", "set": {"not heard": true}, "end": true}]},
  {"step": "end", "end": true},
  {"step": "heard", "set": {"heard": true}, "end": true}]}');
SELECT workflow.start('escalations: ending') AS i \gset
SELECT test.done(:i, 'b'), test.ended(:i), test.went(:i);

-- its data cannot be made: the step fails, and nobody is told
SELECT workflow.define('escalations: fault', '{"catch": [{"escalation": "*", "next": "b"}], "steps": [{"step": "a", "send": {"escalation": "x", "data": "${$.missing}"}, "catch": [{"on": "template", "next": "c"}]}, {"step": "end", "end": true}, {"step": "c", "set": {"c": true}, "end": true}, {"step": "b", "set": {"b": true}, "end": true}]}');
SELECT test.ended(workflow.start('escalations: fault'));
