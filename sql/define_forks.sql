-- Defining forks, joins, sub-processes, and what a process catches: what is right. (define_forks_errors: what is not.)

-- a fork, and where its tokens meet
SELECT workflow.define('define_forks: plain', '{"steps": [
    {"step": "begin", "next": ["ship", "invoice", "done"]},
    {"step": "ship", "wait": true, "next": "done"},
    {"step": "invoice", "wait": true, "next": "done"},
    {"step": "done", "join": "all"}]}');
-- branches with conditions, and one that is taken if no other is
SELECT workflow.define('define_forks: split', '{"steps": [
    {"step": "a", "next": [{"when": "$.x > 1", "next": ["b", "c"]}, {"when": "$.x > 2", "next": "b"}, {"else": ["b", "d"]}]},
    {"step": "b", "wait": true, "next": [{"when": "$.x > 3", "next": "e"}, "d"]},
    {"step": "c", "choose": [{"when": "$.y", "next": ["d", "e"]}, {"next": "e"}]},
    {"step": "d", "wait": true, "catch": [{"on": "*", "next": ["e", "f"]}, {"after": "1 day", "interrupt": false, "next": ["e", "f"]}], "end": true},
    {"step": "e", "join": "any", "end": true},
    {"step": "f", "join": 1, "wait": true, "timeout": "1 day", "end": true}]}');
-- what a join waits for may come out of forks in a row, of handlers beside, and of loops
SELECT workflow.define('define_forks: four', '{"steps": [
    {"step": "a", "next": ["b", "c"]}, {"step": "b", "wait": true, "next": ["d", "e"]}, {"step": "c", "wait": true, "next": ["d", "e"]},
    {"step": "d", "wait": true, "next": "f"}, {"step": "e", "wait": true, "next": "f"}, {"step": "f", "join": 4}]}');
SELECT workflow.define('define_forks: beside', '{"steps": [
    {"step": "a", "wait": true, "catch": [{"after": "1 h", "interrupt": false, "next": "b"}, {"after": "2 h", "interrupt": false, "next": "b"}, {"on": "*", "next": "b"}]},
    {"step": "b", "join": 3}]}');
SELECT workflow.define('define_forks: loop', '{"steps": [
    {"step": "a", "wait": true, "next": ["a", "b"]}, {"step": "b", "join": 7}]}');
SELECT workflow.define('define_forks: choice', '{"steps": [
    {"step": "a", "choose": [{"when": "$.x", "next": "b"}, {"next": ["b", "c", "d"]}]}, {"step": "b", "wait": true, "next": "e"}, {"step": "c", "wait": true, "next": "e"},
    {"step": "d", "wait": true, "next": "e"}, {"step": "e", "join": 3}]}');
-- a join where a list begins
SELECT workflow.define('define_forks: first', '{"steps": [{"step": "a", "join": "all", "wait": true, "next": [{"when": "$.again", "next": "a"}, {"else": "b"}]}, {"step": "b"}]}');

-- sub-processes, with all that they may have
SELECT workflow.define('define_forks: inner', '{"steps": [
    {"step": "order", "local": {"n": 1, "by": "${$.user}"}, "async": true, "join": "all", "ignore_cancel": true,
      "steps": [
        {"step": "pick", "next": ["pack", "weigh"]},
        {"step": "pack", "wait": true, "next": "both"},
        {"step": "weigh", "steps": [{"step": "put on scales", "wait": true}, {"step": "read scales", "end": "scope"}], "next": "both"},
        {"step": "both", "join": "all", "end": {"error": "broken"}}],
      "timeout": "1 day", "success": "$result.response.n > 0", "save": {"n": "${$result.response.n}"},
      "catch": [{"on": ["broken", "TIMED_OUT", "CANCELLED"], "next": "sorry"}, {"after": "1 h", "interrupt": false, "save": {"late": true}, "next": "remind"}],
      "next": "done"},
    {"step": "sorry", "set": {"why": "${$caught.error.code}"}, "end": true},
    {"step": "remind", "notify": {"channel": "c", "payload": "${$caught.step}"}, "end": true},
    {"step": "done", "end": "scope"}]}');

-- what a process catches; steps that its handlers lead to may stand anywhere, and follow on each other as others do
SELECT workflow.define('define_forks: process', '{"timeout": "${$.patience}", "start": "first",
  "catch": [{"on": ["TIMED_OUT", "late", "*"], "next": "tell"}, {"after": "1 h", "interrupt": false, "next": "remind"}, {"until": "2030-01-01", "save": {"by": "${$result.status}"}, "next": "stop"}],
  "steps": [
    {"step": "remind", "notify": {"channel": "c", "payload": "${$caught.step}"}},
    {"step": "first", "wait": true},
    {"step": "second", "wait": true},
    {"step": "tell", "notify": {"channel": "c", "payload": "${$caught.step}"}},
    {"step": "tell again", "notify": {"channel": "c", "payload": "${$caught.step}"}, "next": ["stop", "join"]},
    {"step": "stop", "wait": true, "next": "join"},
    {"step": "join", "join": 2, "end": "scope"}]}');
SELECT workflow.define('define_forks: patience', '{"timeout": "1 day", "steps": [{"step": "a", "wait": true}, {"step": "b", "steps": [{"step": "c", "wait": true}]}]}');
SELECT workflow.define('define_forks: nothing', '{"catch": [], "steps": [{"step": "a", "wait": true}]}');

-- names of any script, as long as they may be, with blanks, signs of all kinds, and letters that are composed of several
CREATE FUNCTION pg_temp.named(VARIADIC names text[]) RETURNS json LANGUAGE sql AS $$
    SELECT json_build_object('start', names[1], 'timeout', '1 day', 'catch', json_build_array(json_build_object('on', '*', 'next', json_build_array(names[6]))), 'steps', json_build_array(
        json_build_object('step', names[1], 'next', json_build_array(names[2], names[3], json_build_object('when', '$.x', 'next', json_build_array(names[4])))),
        json_build_object('step', names[2], 'wait', true, 'next', names[5]),
        json_build_object('step', names[3], 'wait', true, 'choose', json_build_array(json_build_object('next', json_build_array(names[5])))),
        json_build_object('step', names[4], 'steps', json_build_array(json_build_object('step', names[7], 'next', names[8]), json_build_object('step', names[8])), 'next', names[5]),
        json_build_object('step', names[5], 'join', 3, 'end', 'scope'),
        json_build_object('step', names[6], 'wait', true)))
$$;
SELECT workflow.define('define_forks: names', pg_temp.named('开始', '发货 📦', '👩‍👩‍👧‍👦', E'e\u0301', E'\u00e9', ' two  blanks ', 'مرحبا بالعالم', E'tab\tand\nline "quoted" \\ $.x ${$.x}'));
SELECT workflow.define('define_forks: names', pg_temp.named(repeat('a', 200), repeat('é', 100), repeat('界', 66), repeat('😀', 50), repeat('😀', 49), repeat('é', 99) || 'a', repeat(E'e\u0301', 66), repeat('界', 66) || '2'));
-- what looks the same is not, nor is what differs in case, width or blanks at the end
SELECT workflow.define('define_forks: names', pg_temp.named('A', 'a', E'\uff21', E'\u0391', E'\u0410', 'A ', ' A', E'A\u200b'));
-- one byte too long, and not there
SELECT path, message, hint, step FROM workflow.check(pg_temp.named(repeat('a', 200), repeat('é', 100) || 'a', repeat('界', 67), repeat('😀', 50) || 'é', 'e', 'f', 'g', 'h'));
SELECT path, message, hint, step FROM workflow.check('{"steps": [{"step": "开始", "next": ["发货", "完戍"]}, {"step": "发货", "join": "any"}, {"step": "完成", "join": "all"}, {"step": "👍🏽", "next": ["é"]}]}');
