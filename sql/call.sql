-- A step that calls another process: what the child is given and gives back, how its end, its cancel, its suspension and
-- its escalations pass between the two.

-- the child of an instance, and the step where it waits
CREATE FUNCTION pg_temp.child(instance bigint) RETURNS bigint LANGUAGE sql STABLE AS
    'SELECT max(i.instance) FROM workflow.instances i WHERE i.parent = $1';
CREATE FUNCTION pg_temp.done(instance bigint, data jsonb DEFAULT NULL) RETURNS boolean LANGUAGE sql AS
    'SELECT workflow.complete(test.waits($1), data)';
CREATE PROCEDURE pg_temp.end(instance bigint) LANGUAGE plpgsql AS
    $$BEGIN CALL test.until(format('SELECT status IN (''completed'', ''aborted'', ''failed'') FROM workflow.instances i WHERE i.instance = %s', instance)); END$$;
CREATE PROCEDURE pg_temp.is(instance bigint, status text) LANGUAGE plpgsql AS
    $$BEGIN CALL test.until(format('SELECT status = %L FROM workflow.instances i WHERE i.instance = %s', status, instance)); END$$;
-- what the timeline says of it
CREATE FUNCTION pg_temp.told(instance bigint) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace(t, '^.*?  +(\S+ \()', '\1'), '\m\d+ m?s\M|\m[\d.]+ s\M', 'T', 'g'), '\m\d+(_\d+)?\M', 'N', 'g')
    FROM workflow.timeline(instance) t WHERE t ~ 'called|told to end' $$;

-- a child that waits for nothing: it begins and ends with the call; defaults of its process are under what it is given
SELECT workflow.define('call: add', '{"data": {"by": 1}, "steps": [{"step": "add", "set": {"sum": "${$.x + $.by}"}}]}');
SELECT workflow.define('call: sum', '{"steps": [
  {"step": "one", "call": {"process": "call: add", "data": {"x": "${$.n}"}}, "save_reply": {"reply": "${$reply}"}, "save": {"sum": "${$result.initial_response.sum}"}},
  {"step": "two", "call": {"process": "call: add", "data": {"x": "${$.n}", "by": 10}}, "success": "$reply.sum > 10", "save": true},
  {"step": "sum", "set": {"sum": "${$.sum}"}}]}');
SELECT workflow.start('call: sum', '{"n": 4}') AS i \gset
SELECT test.ended(:i), test.went(:i);
SELECT i.process, i.status, i.data, h.step, h.attempts, h.child = i.instance AS child, i.parent = :i AS parent
FROM workflow.instances i JOIN workflow.history h ON h.serial_number = i.called_by WHERE i.parent = :i ORDER BY i.instance;

-- without data it gets none; `success` that is false fails the call
SELECT workflow.define('call: plain', '{"steps": [{"step": "a", "call": {"process": "call: nothing"}, "success": "$reply.ok == true", "catch": [{"on": "FAILED", "next": "b"}], "end": true}, {"step": "b", "set": {"b": "${$caught.result.response}"}}]}');
SELECT workflow.define('call: nothing', '{"steps": [{"step": "a"}]}');
SELECT test.ended(workflow.start('call: plain', '{"x": 1}'));

-- a child that waits: the caller stands still, and shows its number; its end comes to the caller by itself
SELECT workflow.define('call: ask', '{"steps": [{"step": "ask", "wait": true, "save": true}]}');
SELECT workflow.define('call: wait', '{"steps": [{"step": "call", "call": {"process": "call: ask", "data": {"sn": "${$serial_number}"}}, "save": {"answer": "${$reply.answer}"}}]}');
SELECT workflow.start('call: wait') AS i \gset
SELECT pg_temp.child(:i) AS c \gset
SELECT test.at(:i), test.at(:c), test.ended(:i);
SELECT v.state, v.waits_for, v.child = :c AS child, (i.data ->> 'sn') = v.serial_number AS sn, i.called_by = v.serial_number AS called_by
FROM workflow.visits v, workflow.instances i WHERE v.instance = :i AND i.instance = :c;
SELECT count(*) FROM workflow.waiting WHERE instance = :i;
SELECT pg_temp.told(:i);
SELECT regexp_replace(t, '\d+', 'N', 'g') FROM workflow.timeline(:c) t LIMIT 1;
SELECT pg_temp.done(:c, '{"answer": 42}');
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(:i), test.ended(:c) LIKE 'completed%' AS child;
SELECT pg_temp.told(:i);

-- the version: the latest when the step begins, unless one is named
SELECT workflow.define('call: versions', '{"steps": [{"step": "a", "set": {"version": 1}}]}');
SELECT workflow.define('call: versions', '{"steps": [{"step": "a", "set": {"version": 2}}]}');
SELECT workflow.define('call: pinned', '{"steps": [{"step": "old", "call": {"process": "call: versions", "version": 1}, "save": {"old": "${$reply.version}"}}, {"step": "new", "call": {"process": "call: versions"}, "save": {"new": "${$reply.version}"}}]}');
SELECT test.ended(workflow.start('call: pinned'));

-- it ends with an error: FAILED, and the error's code is what `catch` sees; uncaught it is an incident, and retry calls anew
SELECT workflow.define('call: judge', '{"steps": [{"step": "ask", "wait": true, "save": true, "choose": [{"when": "$.verdict == \"bad\"", "next": "bad"}, {"when": "$.verdict == \"stop\"", "next": "stop"}, {"next": "good"}]},
  {"step": "bad", "end": {"error": "BAD", "message": "it is ${$.verdict}"}}, {"step": "stop", "end": {"abort": "no more"}}, {"step": "good", "end": true}]}');
SELECT workflow.define('call: errors', '{"steps": [{"step": "call", "call": {"process": "call: judge"}, "catch": [{"on": "BAD", "next": "bad"}], "save": {"verdict": "${$reply.verdict}"}, "end": true},
  {"step": "bad", "set": {"caught": "${$caught.error.code}: ${$caught.error.message}, ${$caught.result.status}", "error": "${$error.code}"}}]}');
SELECT workflow.start('call: errors') AS i \gset
SELECT pg_temp.done(pg_temp.child(:i), '{"verdict": "bad"}');
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(:i), test.ended(pg_temp.child(:i));
SELECT workflow.start('call: errors') AS i \gset
SELECT pg_temp.child(:i) AS c \gset
SELECT pg_temp.done(:c, '{"verdict": "stop"}');
CALL pg_temp.is(:i, 'failed');
SELECT step, outcome, error ->> 'code' AS code, error ->> 'message' AS message FROM workflow.incidents WHERE instance = :i;
SELECT workflow.retry(test.stands(:i));
SELECT pg_temp.child(:i) <> :c AS another, v.child = pg_temp.child(:i) AS named, v.state FROM workflow.visits v WHERE instance = :i;
SELECT pg_temp.done(pg_temp.child(:i), '{"verdict": "good"}');
CALL pg_temp.end(:i);
SELECT test.ended(:i), (SELECT string_agg(status, ', ' ORDER BY instance) FROM workflow.instances WHERE parent = :i) AS children;

-- it is cancelled: so is the visit that has called it, which its own step may catch
SELECT workflow.define('call: cancelled', '{"steps": [{"step": "call", "call": {"process": "call: ask"}, "catch": [{"on": "CANCELLED", "next": "b"}], "end": true}, {"step": "b", "set": {"b": "${$caught.error.message}"}}]}');
SELECT workflow.start('call: cancelled') AS i \gset
SELECT workflow.cancel(pg_temp.child(:i), 'by hand');
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(:i);
SELECT workflow.start('call: wait') AS i \gset
SELECT workflow.cancel(pg_temp.child(:i), 'by hand');
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(:i);

-- the caller is cancelled: so is what it has called, through all levels; it ends when that has ended
SELECT workflow.define('call: middle', '{"steps": [{"step": "middle", "call": {"process": "call: clean up"}}]}');
SELECT workflow.define('call: clean up', '{"steps": [{"step": "ask", "wait": true, "catch": [{"on": "CANCELLED", "next": "say"}], "end": true}, {"step": "say", "ignore_cancel": true, "wait": true, "save": true}]}');
SELECT workflow.define('call: outer', '{"steps": [{"step": "outer", "call": {"process": "call: middle"}}]}');
SELECT workflow.start('call: outer') AS i \gset
SELECT pg_temp.child(:i) AS m \gset
SELECT pg_temp.child(:m) AS c \gset
SELECT workflow.cancel(:i, 'not wanted');
CALL test.arrive(:c, 'say');
SELECT test.at(:i), test.at(:m), test.at(:c);
SELECT pg_temp.told(:i);
SELECT cancel_reason FROM workflow.instances WHERE instance = :c;
SELECT pg_temp.done(:c, '{"said": true}');
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(:i), test.ended(:m), test.ended(:c), test.went(:c);

-- a timeout, a handler that interrupts, the end of a scope: likewise
SELECT workflow.define('call: timeout', '{"steps": [{"step": "call", "call": {"process": "call: ask"}, "timeout": "50 ms", "catch": [{"on": "TIMED_OUT", "next": "late"}], "end": true}, {"step": "late", "set": {"late": true}}]}');
SELECT workflow.start('call: timeout') AS i \gset
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(:i), test.ended(pg_temp.child(:i));
SELECT workflow.define('call: scope', '{"steps": [{"step": "scope", "steps": [{"step": "fork", "next": ["call", "wait"]}, {"step": "call", "call": {"process": "call: ask"}, "end": true}, {"step": "wait", "wait": true, "end": "scope"}]}]}');
SELECT workflow.start('call: scope') AS i \gset
SELECT pg_temp.done(:i);
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(:i), test.ended(pg_temp.child(:i));
-- a branch beside it ends the scope before the child could begin
SELECT workflow.define('call: scope ends', '{"steps": [{"step": "scope", "steps": [{"step": "fork", "next": ["call", "end"]}, {"step": "call", "call": {"process": "call: ask"}, "end": true}, {"step": "end", "end": "scope"}]}]}');
SELECT workflow.start('call: scope ends') AS i \gset
SELECT test.ended(:i), test.went(:i), test.ended(pg_temp.child(:i)), test.went(pg_temp.child(:i));

-- cancel_visit, and move: the token goes on at once, the child ends beside it
SELECT workflow.start('call: cancelled') AS i \gset
SELECT workflow.cancel_visit(test.sn(:i), 'this one');
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(:i), test.ended(pg_temp.child(:i));
SELECT workflow.define('call: moved', '{"steps": [{"step": "call", "call": {"process": "call: ask"}, "end": true, "catch": [{"on": "CANCELLED", "next": "b"}]}, {"step": "b", "set": {"b": true}}]}');
SELECT workflow.start('call: moved') AS i \gset
SELECT workflow.move(test.sn(:i), 'b') IS NOT NULL AS moved;
CALL pg_temp.end(:i);
SELECT test.went(:i), test.ended(pg_temp.child(:i));

-- suspended and resumed with its caller
SELECT workflow.start('call: outer') AS i \gset
SELECT pg_temp.child(pg_temp.child(:i)) AS c \gset
SELECT workflow.suspend(:i);
CALL pg_temp.is(:c, 'suspended');
SELECT workflow.resume(:i);
CALL pg_temp.is(:c, 'active');
-- one that is cancelled while it is suspended: what it has called is, too, and does nothing in between
SELECT workflow.suspend(:i);
CALL pg_temp.is(:c, 'suspended');
SELECT workflow.cancel(:i, 'suspended');
CALL test.arrive(:c, 'say');
-- being cancelled, it is suspended and resumed; and a visit that is cancelled before that
SELECT workflow.suspend(:i);
CALL pg_temp.is(:c, 'suspended');
SELECT workflow.resume(:i);
CALL test.arrive(:c, 'say');
CALL pg_temp.is(:c, 'active');
SELECT pg_temp.done(:c);
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(:c);
SELECT workflow.start('call: outer') AS i \gset
SELECT pg_temp.child(pg_temp.child(:i)) AS c \gset
SELECT workflow.cancel_visit(test.sn(:i), 'first');
CALL test.arrive(:c, 'say');
SELECT workflow.suspend(:i);
CALL pg_temp.is(:c, 'suspended');
SELECT workflow.cancel(:i, 'then');
CALL pg_temp.is(:c, 'active');
SELECT pg_temp.done(:c);
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(:c);
-- it ends while its caller is suspended, and it not yet: the caller goes on when it is resumed
SELECT workflow.start('call: wait') AS i \gset
SELECT pg_temp.child(:i) AS c \gset
BEGIN;
SELECT workflow.suspend(:i);
SELECT pg_temp.done(:c, '{"answer": "late"}');
COMMIT;
CALL pg_temp.is(:c, 'completed');
SELECT test.ended(:i), test.at(:i);
SELECT workflow.resume(:i);
CALL pg_temp.end(:i);
SELECT test.ended(:i);
-- all instances of a process, with what they have called
SELECT array_agg(workflow.start('call: wait')) AS them FROM generate_series(1, 3) \gset
SELECT workflow.suspend_process('call: wait');
CALL test.until(format('SELECT count(*) = 3 FROM workflow.instances WHERE parent = ANY (%L) AND status = ''suspended''', :'them'));
SELECT workflow.resume_process('call: wait');
CALL test.until(format('SELECT count(*) = 3 FROM workflow.instances WHERE parent = ANY (%L) AND status = ''active''', :'them'));
-- a child whose own process is suspended begins so, and stays so when its caller is resumed
SELECT workflow.suspend_process('call: ask');
SELECT workflow.start('call: wait') AS i \gset
SELECT test.at(pg_temp.child(:i)), status FROM workflow.instances WHERE instance = pg_temp.child(:i);
SELECT workflow.suspend(:i), workflow.resume(:i);
CALL test.until('SELECT count(*) = 0 FROM workflow_data.delivery WHERE kind = ''control''');
SELECT status FROM workflow.instances WHERE instance = pg_temp.child(:i);
SELECT workflow.resume_process('call: ask') > 0 AS resumed;
CALL test.arrive(pg_temp.child(:i), 'ask');
SELECT pg_temp.done(pg_temp.child(:i), '{"answer": 1}');
CALL pg_temp.end(:i);
SELECT test.ended(:i);

-- a wait after the call: it begins when the child has ended; what comes before that is kept
SELECT workflow.define('call: then wait', '{"steps": [{"step": "call", "call": {"process": "call: ask"}, "save_reply": {"child": "${$reply.answer}"}, "wait": {"callback": true, "when": "$reply.answer > 0"}, "save": {"response": "${$result.response}", "initial": "${$result.initial_response.answer}"}}]}');
SELECT workflow.start('call: then wait') AS i \gset
SELECT workflow.heartbeat(test.sn(:i));
SELECT pg_temp.done(pg_temp.child(:i), '{"answer": 1}');
CALL test.arrive(:i, 'call');
SELECT test.ended(:i), test.at(:i);
SELECT pg_temp.done(:i, '{"confirmed": true}');
SELECT test.ended(:i);
SELECT workflow.start('call: then wait') AS i \gset
SELECT workflow.complete(test.sn(:i), '{"early": true}'), workflow.complete(test.sn(:i), '{"twice": true}');
SELECT test.at(:i), test.ended(:i);
SELECT pg_temp.told(:i);
SELECT problem FROM workflow.verify();
SELECT pg_temp.done(pg_temp.child(:i), '{"answer": 0}');
CALL pg_temp.end(:i);
SELECT test.ended(:i);
-- what was accepted stays the end of the visit, though it is cancelled; its child is told to end
SELECT workflow.define('call: accepted', '{"steps": [{"step": "call", "call": {"process": "call: ask"}, "wait": true, "save": true, "next": "b"}, {"step": "b", "set": {"b": true}}]}');
SELECT workflow.start('call: accepted') AS i \gset
SELECT workflow.complete(test.sn(:i), '{"early": true}'), workflow.cancel(:i, 'too late');
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(:i), test.ended(pg_temp.child(:i));
-- the first of several events, after the child
SELECT workflow.define('call: first of', '{"steps": [{"step": "call", "call": {"process": "call: add", "data": {"x": 1}}, "first_of": [{"message": "call: m", "key": "${$instance}", "next": "m"}, {"after": "1 hour", "next": "late"}]}, {"step": "m", "set": {"m": true}, "end": true}, {"step": "late"}]}');
SELECT workflow.start('call: first of') AS i \gset
SELECT test.at(:i), workflow.send_message('call: m', :i::text), test.ended(:i);

-- the child has an incident: nothing is written to the caller, the view leads there
SELECT workflow.define('call: broken', '{"steps": [{"step": "break", "set": {"x": "${$.missing}"}}]}');
SELECT workflow.define('call: incident', '{"steps": [{"step": "call", "call": {"process": "call: broken"}}]}');
SELECT workflow.start('call: incident') AS i \gset
SELECT test.at(:i), n.step, n.outcome, n.called_by = test.sn(:i) AS called_by FROM workflow.incidents n WHERE instance = pg_temp.child(:i);
SELECT status FROM workflow.instances WHERE instance = :i;
SELECT workflow.skip(test.stands(pg_temp.child(:i)));
CALL pg_temp.end(:i);
SELECT test.ended(:i);
-- a second cancel ends incidents of what was called, too
SELECT workflow.define('call: broken', '{"steps": [{"step": "ask", "wait": true, "catch": [{"on": "CANCELLED", "next": "break"}]}, {"step": "break", "ignore_cancel": true, "set": {"x": "${$.missing}"}}]}');
SELECT workflow.start('call: incident') AS i \gset
SELECT workflow.cancel(:i);
CALL pg_temp.is(pg_temp.child(:i), 'failed');
SELECT workflow.cancel(:i);
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(pg_temp.child(:i));

-- escalations go up: to the calling step, to a scope around it, further up; they come before the end
SELECT workflow.define('call: warn', '{"steps": [{"step": "warn", "send": {"escalation": "warn", "data": {"n": 7}}, "save": {"sent": "${$reply}"}}]}');
SELECT workflow.define('call: heard', '{"steps": [{"step": "call", "call": {"process": "call: warn"}, "catch": [{"escalation": "warn", "interrupt": false, "save": {"heard": "${$event.data.n}"}, "next": "note"}], "save": {"sent": "${$reply.sent}"}, "end": true},
  {"step": "note", "set": {"note": "${$caught.step} ${$caught.event.kind} ${$caught.event.name}"}}]}');
SELECT workflow.start('call: heard') AS i \gset
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(:i);
SELECT workflow.define('call: passes on', '{"steps": [{"step": "call", "call": {"process": "call: warn"}}]}');
SELECT workflow.define('call: heard above', '{"steps": [{"step": "scope", "catch": [{"escalation": "*", "next": "stop"}], "end": true, "steps": [{"step": "call", "call": {"process": "call: passes on"}}, {"step": "wait", "wait": true}]}, {"step": "stop", "set": {"stop": "${$caught.step} ${$caught.event.name}"}}]}');
SELECT workflow.start('call: heard above') AS i \gset
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(:i);
SELECT workflow.define('call: cry', '{"steps": [{"step": "cry", "send": {"escalation": "stop"}}, {"step": "wait", "wait": true}]}');
SELECT workflow.define('call: stopped', '{"steps": [{"step": "call", "call": {"process": "call: cry"}, "catch": [{"escalation": "stop", "next": "stop"}], "end": true}, {"step": "stop", "set": {"stop": "${$caught.event.name}"}}]}');
SELECT workflow.start('call: stopped') AS i \gset
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(:i), test.ended(pg_temp.child(:i));
-- nobody hears it
SELECT workflow.start('call: passes on') AS i \gset
CALL pg_temp.end(:i);
SELECT test.ended(:i);

-- a key: free, then taken by a child that lives; carried out by an executor
SELECT workflow.define('call: keyed', '{"steps": [{"step": "call", "call": {"process": "call: ask", "business_key": "${$.key}"}, "catch": [{"on": "call", "next": "taken"}], "end": true}, {"step": "taken", "set": {"taken": "${$caught.error.message}"}}]}');
SELECT workflow.start('call: keyed', '{"key": 17}') AS i \gset
CALL test.until(format('SELECT count(*) = 1 FROM workflow.instances WHERE parent = %s', :i));
SELECT business_key, status FROM workflow.instances WHERE parent = :i;
SELECT workflow.start('call: keyed', '{"key": "17"}') AS j \gset
CALL pg_temp.end(:j);
SELECT regexp_replace(test.ended(:j), 'instance \d+', 'instance N');
SELECT pg_temp.done(pg_temp.child(:i));
CALL pg_temp.end(:i);
SELECT workflow.start('call: keyed', '{"key": "17"}') AS j \gset
CALL test.until(format('SELECT count(*) = 1 FROM workflow.instances WHERE parent = %s', :j));
SELECT workflow.cancel(:j);
CALL pg_temp.end(:j);

-- behind a join, too, a key is an executor's business: who brings the last token does not wait for another start
SELECT workflow.define('call: joined', '{"steps": [{"step": "fork", "next": ["a", "b"]}, {"step": "a", "next": "join"}, {"step": "b", "next": "join"}, {"step": "join", "join": "all", "call": {"process": "call: ask", "business_key": "joined"}}]}');
BEGIN;
SELECT workflow.start('call: joined') AS i \gset
SELECT step, state, waits_for, child FROM workflow.visits WHERE instance = :i;
COMMIT;
CALL test.until(format('SELECT count(*) = 1 FROM workflow.instances WHERE parent = %s', :i));
SELECT workflow.cancel(:i);
CALL pg_temp.end(:i);

-- a scope that ends tells what was called in it, also by a visit that was called back early
SELECT workflow.define('call: early', '{"steps": [{"step": "scope", "steps": [{"step": "call", "call": {"process": "call: ask"}, "wait": true}]}]}');
SELECT workflow.start('call: early') AS i \gset
SELECT workflow.complete(serial_number) FROM workflow.visits WHERE instance = :i AND step = 'call';
SELECT workflow.cancel_visit(serial_number) FROM workflow.visits WHERE instance = :i AND step = 'scope';
CALL pg_temp.end(:i);
SELECT status FROM workflow.instances WHERE parent = :i;

-- steps inside a child: SQL and clocks, three deep, in a process that is a scope
SELECT workflow.define('call: deep 3', '{"timeout": "1 hour", "steps": [{"step": "sleep", "wait": {"after": "20 ms"}}, {"step": "sql", "sql": "SELECT 3 AS n", "save": {"n": "${$reply.row.n}"}}]}');
SELECT workflow.define('call: deep 2', '{"steps": [{"step": "call", "async": true, "call": {"process": "call: deep 3"}, "save": true}]}');
SELECT workflow.define('call: deep 1', '{"steps": [{"step": "fork", "next": ["a", "b"]}, {"step": "a", "call": {"process": "call: deep 2"}, "save": {"a": "${$reply.n}"}, "next": "join"}, {"step": "b", "call": {"process": "call: deep 2"}, "save": {"b": "${$reply.n}"}, "next": "join"}, {"step": "join", "join": "all"}]}');
SELECT workflow.start('call: deep 1') AS i \gset
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(:i);

-- for each item of a list
SELECT workflow.define('call: each', '{"steps": [{"step": "sums", "each": {"in": "$.list", "parallel": 2, "collect": "sums"}, "call": {"process": "call: add", "data": {"x": "${$item}", "by": "${$index}"}}},
  {"step": "asks", "each": {"in": "$.list", "collect": "answers"}, "call": {"process": "call: ask"}, "catch": [{"on": "call", "next": "never"}], "end": true}, {"step": "never"}]}');
SELECT workflow.start('call: each', '{"list": [5, 6, 7]}') AS i \gset
SELECT count(workflow.complete(test.waits(instance), jsonb_build_object('answer', instance - :i))) FROM workflow.instances WHERE parent = :i AND process = 'call: ask';
CALL pg_temp.end(:i);
SELECT data #> '{sums,2,sum}' AS third, jsonb_array_length(data -> 'answers') AS answers, status FROM workflow.instances WHERE instance = :i;
SELECT workflow.start('call: each', '{"list": [5, 6, 7]}') AS i \gset
SELECT workflow.cancel(:i);
CALL pg_temp.end(:i);
SELECT status, count(*) FROM workflow.instances WHERE parent = :i GROUP BY 1 ORDER BY 1;

-- two processes that call each other end at the depth that is allowed
SELECT workflow.define('call: ping', '{"data": {"n": 0}, "steps": [{"step": "call", "call": {"process": "call: pong", "data": {"n": "${$.n + 1}"}}, "catch": [{"on": "call", "next": "deep"}], "save": {"deep": "${$reply.deep}"}, "end": true}, {"step": "deep", "set": {"deep": "${$.n}: ${$caught.error.message}"}}]}');
SELECT workflow.define('call: pong', '{"steps": [{"step": "call", "call": {"process": "call: ping", "data": {"n": "${$.n + 1}"}}, "save": {"deep": "${$reply.deep}"}}]}');
SELECT test.ended(workflow.start('call: ping'));

-- each instance is kept, and erased, for itself
SELECT workflow.start('call: sum', '{"n": 1}') AS i \gset
SELECT workflow.erase(:i);
SELECT count(*), count(called_by) FROM workflow.instances WHERE parent = :i;

-- a child that was suspended for itself stays so when its caller is resumed, also if it was suspended with it before
SELECT workflow.start('call: wait') AS i \gset
SELECT pg_temp.child(:i) AS c \gset
SELECT workflow.suspend(:c), workflow.suspend(:i), workflow.resume(:i);
CALL test.until('SELECT count(*) = 0 FROM workflow_data.delivery WHERE kind = ''control''');
SELECT status FROM workflow.instances WHERE instance = :c;
SELECT workflow.resume(:c), workflow.suspend(:i);
CALL pg_temp.is(:c, 'suspended');
SELECT workflow.suspend(:c) AS for_itself, workflow.suspend(:c) AS again, workflow.resume(:i);
CALL test.until('SELECT count(*) = 0 FROM workflow_data.delivery WHERE kind = ''control''');
SELECT status FROM workflow.instances WHERE instance = :c;
SELECT workflow.resume(:c), workflow.suspend(:i);
CALL pg_temp.is(:c, 'suspended');
SELECT workflow.suspend_process('call: ask') > 0 AS suspended, workflow.resume(:i);
CALL test.until('SELECT count(*) = 0 FROM workflow_data.delivery WHERE kind = ''control''');
SELECT status FROM workflow.instances WHERE instance = :c;
SELECT workflow.resume_process('call: ask') > 0 AS resumed, workflow.suspend(:i);
CALL pg_temp.is(:c, 'suspended');
SELECT workflow.resume(:i);
CALL pg_temp.is(:c, 'active');
SELECT workflow.cancel(:i);

-- whoever tries a call with a key again does not wait for that of others: an executor does; clocks begin anew, also at a join
SELECT workflow.define('call: key again', '{"steps": [{"step": "fork", "next": ["a", "b"]}, {"step": "a", "next": "j"}, {"step": "b", "next": "j"},
  {"step": "j", "join": "all", "call": {"process": "call: ask", "business_key": "call: again"}, "timeout": "1 h"}]}');
SELECT workflow.start('call: ask', business_key => 'call: again') AS k, workflow.start('call: key again') AS i \gset
CALL test.until(format('SELECT test.stands(%s) IS NOT NULL', :i));
SELECT workflow.cancel(:k);
CALL pg_temp.end(:k);
BEGIN;
SELECT workflow.retry(test.stands(:i));
SELECT step, state, child IS NOT NULL AS has_called FROM workflow.visits WHERE instance = :i;
COMMIT;
CALL test.until(format('SELECT child IS NOT NULL AND state = ''waiting'' FROM workflow.visits WHERE instance = %s', :i));
SELECT deadline > now() + '30 min' AS has_timeout, again FROM workflow_data.visit WHERE instance = :i;
SELECT workflow.cancel(:i);

-- an end is told once; that of another child than the one that it waits for is none
SELECT workflow.start('call: wait') AS i, workflow.start('call: wait') AS j \gset
INSERT INTO workflow_data.delivery (instance, visit, due_at, kind, queue, payload)
    SELECT instance, visit, now(), 'ended', 'move', jsonb_build_object('child', child - 1, 'outcome', 'SUCCESS', 'data', '{"answer": "of an earlier one"}'::jsonb, 'steps', 0)
    FROM workflow_data.visit WHERE instance = :i AND child IS NOT NULL;
BEGIN;
SELECT pg_temp.done(pg_temp.child(:j), '{"answer": "once"}');
SELECT count(*) FROM workflow_data.delivery WHERE instance = :j AND kind = 'ended';
COMMIT;
CALL pg_temp.end(:j);
CALL test.until('SELECT count(*) = 0 FROM workflow_data.delivery WHERE kind = ''ended''');
SELECT test.ended(:j), test.at(:i);
SELECT pg_temp.done(pg_temp.child(:i), '{"answer": "of its own"}');
CALL pg_temp.end(:i);
SELECT test.ended(:i);

-- a child that is completed before it is told to end: what it brought is there
SELECT workflow.define('call: faster', '{"steps": [{"step": "call", "call": {"process": "call: ask"}, "save_reply": {"brought": "${$reply.answer}"}, "catch": [{"on": "CANCELLED", "next": "after"}], "end": true}, {"step": "after"}]}');
SELECT workflow.start('call: faster') AS i \gset
BEGIN;
SELECT pg_temp.done(pg_temp.child(:i), '{"answer": "just in time"}'), workflow.cancel_visit(test.sn(:i));
COMMIT;
CALL pg_temp.end(:i);
SELECT test.ended(:i), test.went(:i), test.ended(pg_temp.child(:i));

-- a scope that ends tells all that was called in it, also by those whose own end is known
SELECT workflow.define('call: many early', '{"steps": [{"step": "scope", "steps": [{"step": "each", "each": "$.list", "call": {"process": "call: ask"}, "wait": true}]}, {"step": "n", "wait": true}]}');
SELECT workflow.start('call: many early', jsonb_build_object('list', (SELECT jsonb_agg(n) FROM generate_series(1, 30) n))) AS i \gset
CALL test.until(format('SELECT count(*) = 30 FROM workflow.visits WHERE instance = %s AND child IS NOT NULL', :i));
SELECT count(*) FILTER (WHERE workflow.complete(serial_number)) FROM workflow.visits WHERE instance = :i AND child IS NOT NULL;
SELECT workflow.cancel_visit(serial_number) FROM workflow.visits WHERE instance = :i AND step = 'scope';
CALL test.until(format('SELECT count(*) = 30 FROM workflow.instances WHERE parent = %s AND status = ''aborted''', :i));
CALL pg_temp.end(:i);
SELECT count(*), count(DISTINCT error ->> 'message') FROM workflow.instances WHERE parent = :i;

-- many with keys, which executors begin some at a time: one whose key is taken is an incident, and holds up no others
SELECT workflow.define('call: keys', '{"steps": [{"step": "each", "each": "$.list", "call": {"process": "call: ask", "business_key": "call: ${$item}"}}]}');
SELECT workflow.start('call: keys', jsonb_build_object('list', (SELECT jsonb_agg(CASE n WHEN 50 THEN 30 WHEN 20 THEN 19 ELSE n END ORDER BY n) FROM generate_series(1, 70) n))) AS i \gset
CALL test.until(format('SELECT count(*) FILTER (WHERE child IS NOT NULL) = 68 AND count(*) FILTER (WHERE state = ''incident'') = 2 FROM workflow.visits WHERE instance = %s', :i));
SELECT outcome, regexp_replace(error ->> 'message', 'instance [0-9]+', 'instance n') AS message FROM workflow.incidents WHERE instance = :i ORDER BY 2;
SELECT count(DISTINCT business_key) FROM workflow.instances WHERE parent = :i;
SELECT workflow.cancel(:i);
CALL test.until(format('SELECT count(*) = 68 FROM workflow.instances WHERE parent = %s AND status = ''aborted''', :i));

-- nothing is left on its way
CALL test.until('SELECT count(*) = 0 FROM workflow_data.delivery WHERE kind IN (''control'', ''ended'', ''escalation'')');
SELECT problem FROM workflow.verify();
