-- Hints of a definition: what was meant, what to write instead, and no faults that are only the consequence of others.

CREATE FUNCTION pg_temp.issues(definition json) RETURNS TABLE (path text, severity text, message text, hint text) LANGUAGE sql AS $$
    SELECT path, severity, message, hint FROM workflow.check(definition)
$$;
\pset format unaligned

-- names are compared by characters
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "wait": true, "next": "甲"}, {"step": "丙", "wait": true}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "提交审批", "wait": true, "next": "确认付教"}, {"step": "确认付款", "wait": true}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "ä", "wait": true, "next": "ßaü"}, {"step": "ßüa", "wait": true}]}');
SELECT * FROM pg_temp.issues('{"steps": [{"step": "ж", "wait": true, "next": "дверь"}, {"step": "двор", "wait": true}, {"step": "дворец", "wait": true}]}');
-- one in another normal form looks the same
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "wait": true, "next": "caf\u00e9"}, {"step": "cafe\u0301", "wait": true}]}');
SELECT hint FROM pg_temp.issues('{"steps": [{"step": "a", "wait": true, "next": "\u1100\u1161"}, {"step": "\uac00", "wait": true}]}');

-- into a sub-process, out of it, and from one into another
SELECT path, hint FROM pg_temp.issues('{"start": "deep", "steps": [
    {"step": "a", "wait": true, "next": "deep"},
    {"step": "s", "steps": [
        {"step": "h", "wait": true, "next": "out"},
        {"step": "t", "steps": [{"step": "deep", "wait": true, "next": "h", "catch": [{"on": "FAILED", "next": "out"}, {"on": "DIED", "next": "t"}]}], "next": "s"}],
      "catch": [{"on": "FAILED", "next": "h"}], "next": "h"},
    {"step": "u", "steps": [{"step": "v", "wait": true, "next": "deep"}]},
    {"step": "out", "wait": true}]}');
SELECT path, hint FROM pg_temp.issues('{"timeout": "1 h", "catch": [{"on": "*", "next": "in"}, {"after": "1 s", "interrupt": false, "next": "c"}], "steps": [
    {"step": "s", "steps": [{"step": "in", "wait": true, "next": "c"}], "end": true}, {"step": "c", "wait": true}]}');

-- a route that could not be read takes no others along
SELECT path, message FROM pg_temp.issues('{"steps": [{"step": "a", "wait": true, "next": {"when": "$.x", "next": "c"}}, {"step": "b", "wait": true}, {"step": "c", "wait": true}]}');
SELECT path, message FROM pg_temp.issues('{"steps": [{"step": "a", "wait": true, "next": "charge card"}, {"step": "b", "wait": true}, {"step": "c", "wait": true}]}');
SELECT path, message FROM pg_temp.issues('{"steps": [{"step": "a", "wait": true, "choose": {"when": "$.x", "next": "b"}}, {"step": "b", "wait": true, "end": true}, {"step": "c", "wait": true}]}');
SELECT path, message FROM pg_temp.issues('{"steps": [{"step": "a", "wait": true, "next": [{"when": "$.x", "next": "a"}, {"els": "c"}]}, {"step": "b", "wait": true}, {"step": "c", "wait": true}]}');
SELECT path, message FROM pg_temp.issues('{"steps": [{"step": "a", "wait": true, "catch": {"on": "*", "next": "b"}, "end": true}, {"step": "b", "set": {"x": "${$caught.step}"}}]}');
SELECT path, message FROM pg_temp.issues('{"steps": [{"step": "a", "wait": true, "end": true, "on_error": [{"on": "*", "next": "b"}]}, {"step": "b", "wait": true}]}');
SELECT path, message FROM pg_temp.issues('{"strat": "b", "steps": [{"step": "a", "wait": true}, {"step": "b", "wait": true, "next": "a"}, {"step": "c", "wait": true}]}');
-- those in other lists are told of, and so are those beside another fault
SELECT path, message FROM pg_temp.issues('{"steps": [{"step": "s", "steps": [{"step": "b", "wait": true, "next": 1}, {"step": "c", "wait": true}], "end": true}, {"step": "d", "wait": true}]}');
SELECT path, message FROM pg_temp.issues('{"steps": [{"step": "a", "wait": true, "end": true, "color": "red", "timeuot": "1 h", "async": 1}, {"step": "b", "wait": "x"}]}');
SELECT path, message FROM pg_temp.issues('{"steps": [{"step": "a", "wait": true, "end": true, "timeuot": "1 h", "async": 1}, {"step": "b", "wait": "x"}]}');

-- what takes values of several types names all of them
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "wait": "yes", "end": "scoope"}, {"step": "b", "wait": ["1 h"], "end": "process"}, {"step": "c", "wait": 1, "end": 1}, {"step": "d", "next": 1}, {"step": "e", "next": {}}, {"step": "f", "next": ["a", {"choose": []}, 1, {"when": "$.x", "next": 2}]}, {"step": "g", "choose": [{"next": ["a", {}]}]}]}');
-- handlers
SELECT * FROM pg_temp.issues('{"steps": [{"step": "a", "wait": true, "catch": [{"on": "*", "interrupt": false, "save": {"x": 1}, "next": "a"}, {"after": "1 s", "interrupt": "no", "next": "a"}]}]}');
-- no definition at all
SELECT * FROM pg_temp.issues('[{"step": "a"}]');
SELECT * FROM pg_temp.issues('"a"');

-- what a cancelled process leads to is entered only with ignore_cancel
SELECT * FROM pg_temp.issues('{"catch": [{"on": ["FAILED", "CANCELLED"], "next": ["b", "c", "d"]}, {"on": "*", "next": "b"}], "steps": [{"step": "a", "wait": true},
    {"step": "b", "wait": true, "end": true}, {"step": "c", "wait": true, "ignore_cancel": true, "end": true}, {"step": "d", "wait": true, "catch": [{"on": "CANCELLED", "next": "c"}], "end": true}]}');
SELECT * FROM pg_temp.issues('{"catch": [{"on": "*", "next": "b"}], "steps": [{"step": "a", "wait": true, "catch": [{"on": "CANCELLED", "next": "c"}]}, {"step": "c", "wait": true}, {"step": "b", "wait": true}]}');
