-- What is told of events, after they have happened and while they are on their way.

CREATE FUNCTION pg_temp.story(instance bigint) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace(replace(line, current_user, 'ME'), '\d+_\d+', 'N', 'g'),
               '( *\+ )?\d+ ms|( *\+ )?\d\.\d s', 'SPAN', 'g'), '\d{4}-\d\d-\d\d \S+( [A-Z]+)?', 'TIME', 'g')
    FROM workflow.timeline(instance) line OFFSET 2 $$;
-- the event of a result, without what differs from run to run
CREATE FUNCTION pg_temp.event(result jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT CASE WHEN jsonb_typeof(result -> 'event') = 'object' THEN
        (result -> 'event') - 'at' || jsonb_build_object('role', result #>> '{event,role}' = current_user, 'at', (result #>> '{event,at}')::timestamptz <= clock_timestamp())
        ELSE result -> 'event' END $$;

-- what has interrupted a visit, with its data; its response is what its action was answered
SELECT workflow.define('events_told: interrupted', '{"data": {"pause": "1 day"}, "steps": [
  {"step": "a", "set": {"x": 1}, "next": "s"},
  {"step": "s", "notify": {"channel": "events_told"}, "wait": {"message": "events_told: never"}, "catch": [
     {"message": "events_told: withdrawn", "key": "${$business_key}", "next": "b"}, {"signal": "events_told: over", "next": "b"},
     {"condition": "$.n > 1", "next": "b"}, {"after": "${$.pause}", "next": "b"}, {"callback": true, "next": "b"}], "end": true},
  {"step": "b", "set": {"caught": "${$caught.event.kind}", "event": "${$caught.result.event.kind}", "data": "${$caught.event.data}"}}]}');
SELECT workflow.start('events_told: interrupted', business_key => 'Ada') AS m \gset
SELECT workflow.start('events_told: interrupted', business_key => 'Bob') AS c \gset
SELECT workflow.start('events_told: interrupted', '{"pause": "50 ms"}', business_key => 'Eve') AS t \gset
SELECT workflow.start('events_told: interrupted', business_key => 'Joe') AS b \gset
SELECT workflow.start('events_told: interrupted', business_key => 'Sue') AS s \gset
CALL test.until(format('SELECT count(*) = 0 FROM workflow.visits WHERE process = %L AND state <> %L', 'events_told: interrupted', 'waiting'));
SELECT workflow.send_message('events_told: withdrawn', 'Ada', '{"why": "no time"}'), workflow.set_data(:c, '{"n": 2}'), workflow.complete(test.sn(:b), '5');
CALL test.until(format('SELECT status = %L FROM workflow.instances WHERE instance = %s', 'completed', :t));
SELECT workflow.send_signal('events_told: over', '"now"');
CALL test.until(format('SELECT status = %L FROM workflow.instances WHERE instance = %s', 'completed', :s));
SELECT business_key, outcome, pg_temp.event(result) AS event, result -> 'response' AS response, i.data - 'pause' - 'x' AS data
FROM workflow.history h JOIN workflow.instances i USING (instance) WHERE h.process = 'events_told: interrupted' AND step = 's' ORDER BY business_key;
SELECT story FROM workflow.instances i, pg_temp.story(i.instance) story WHERE process = 'events_told: interrupted' AND story LIKE '%interrupted%' ORDER BY instance;

-- the code of an escalation
SELECT workflow.define('events_told: escalation', '{"steps": [
  {"step": "s", "steps": [{"step": "a", "send": {"escalation": "DEAR", "data": 700}}, {"step": "w", "wait": true}], "catch": [{"escalation": "*", "next": "b"}]},
  {"step": "b", "wait": true}]}');
SELECT workflow.start('events_told: escalation') AS i \gset
SELECT step, outcome, result -> 'error' ->> 'message' AS message, result #> '{event,name}' AS name, result #> '{event,data}' AS data FROM workflow.history WHERE instance = :i ORDER BY serial_number;
SELECT story FROM pg_temp.story(:i) story WHERE story LIKE '%interrupted%';

-- what has ended a wait: by whom, and what it brought
SELECT workflow.define('events_told: wait', '{"steps": [{"step": "s", "wait": {"message": "events_told: paid", "key": 1}, "next": "t"},
  {"step": "t", "first_of": [{"after": "20 ms", "next": "u"}, {"signal": "events_told: never", "next": "u"}]}, {"step": "u", "send": {"message": "events_told: bye"}}]}');
SELECT workflow.start('events_told: wait') AS i \gset
SELECT workflow.send_message('events_told: paid', '1', '{"amount": 120}');
CALL test.until(format('SELECT status = %L FROM workflow.instances WHERE instance = %s', 'completed', :i));
SELECT pg_temp.story(:i);

-- a handler that cannot begin: the incident says for which event; retried, it knows nothing of that
SELECT workflow.define('events_told: faulty', '{"steps": [{"step": "s", "wait": true, "catch": [
  {"message": "events_told: beside", "interrupt": false, "save": {"x": "${$event.data.a}"}, "next": "b"}, {"message": "events_told: instead", "save": {"x": "${$event.data.a}"}, "next": "b"}], "end": true},
  {"step": "b", "end": true}]}');
SELECT workflow.start('events_told: faulty') AS i \gset
SELECT workflow.send_message('events_told: beside', data => '{"b": 1}');
SELECT error ->> 'message' AS message, pg_temp.event(result) AS event FROM workflow.incidents WHERE instance = :i;
SELECT workflow.retry(test.stands(:i)), workflow.send_message('events_told: instead', data => '{"b": 2}');
SELECT error ->> 'message' AS message, pg_temp.event(result) AS event FROM workflow.incidents WHERE instance = :i;
SELECT workflow.cancel_visit(test.stands(:i));
SELECT outcome, pg_temp.event(result) AS event FROM workflow.history WHERE instance = :i;

-- $caught.event is there, or null
SELECT workflow.define('events_told: caught', '{"steps": [
  {"step": "s", "wait": {"message": "events_told: caught"}, "success": "$event.data.ok == true", "catch": [{"on": "FAILED", "next": "t"}], "end": true},
  {"step": "t", "set": {"s": "${$caught.event}"}, "next": "u"},
  {"step": "u", "wait": true, "catch": [{"on": "FAILED", "next": "v"}], "end": true},
  {"step": "v", "set": {"u": "${$caught.event}"}, "next": "w"},
  {"step": "w", "steps": [{"step": "x", "wait": {"message": "events_told: inside"}, "success": "$event.data.ok == true"}], "timeout": "1 day", "catch": [{"on": "FAILED", "next": "y"}], "end": true},
  {"step": "y", "set": {"x": "${$caught.event}"}, "next": "z"},
  {"step": "z", "wait": true, "timeout": "20 ms", "catch": [{"on": "TIMED_OUT", "next": "e"}], "end": true},
  {"step": "e", "set": {"z": "${$caught.event}"}}]}');
SELECT workflow.start('events_told: caught') AS i \gset
SELECT workflow.send_message('events_told: caught', data => '{"ok": false}');
SELECT workflow.fail(test.sn(:i), data => '6');
SELECT workflow.send_message('events_told: inside', data => '{"ok": false}');
CALL test.until(format('SELECT status = %L FROM workflow.instances WHERE instance = %s', 'completed', :i));
SELECT e.key, CASE WHEN jsonb_typeof(value) = 'object' THEN value - 'at' - 'role' ELSE value END AS caught FROM workflow.instances, jsonb_each(data) e WHERE instance = :i ORDER BY 1;

-- messages and signals that are on their way
SELECT workflow.define('events_told: queued', '{"steps": [{"step": "s", "wait": {"signal": "events_told: q"}, "catch": [{"message": "events_told: q", "interrupt": false,
  "save": {"n": "${$.n + 1 ?? 1}"}, "next": "h"}], "end": true}, {"step": "h", "end": true}]}');
SELECT workflow.start('events_told: queued') AS i \gset
SELECT workflow.suspend(:i);
SELECT workflow.send_message('events_told: q') FROM generate_series(1, 3);
SELECT kind, name, interrupt, queued FROM workflow.subscriptions WHERE instance = :i ORDER BY kind;
SELECT story FROM pg_temp.story(:i) story WHERE story LIKE '%now%';
SELECT workflow.send_signal('events_told: q');
CALL test.until(format('SELECT queued = 1 FROM workflow.subscriptions WHERE instance = %s AND kind = %L', :i, 'signal'));
SELECT story FROM pg_temp.story(:i) story WHERE story LIKE '%on their way%' AND story LIKE '% 4 %';
SELECT called_back FROM workflow.visits WHERE instance = :i;
SELECT workflow.resume(:i);
CALL test.until(format('SELECT status = %L FROM workflow.instances WHERE instance = %s', 'completed', :i));
SELECT data FROM workflow.instances WHERE instance = :i;

-- several wait: what helps is said, not what was done or cannot help
SELECT workflow.define('events_told: several', '{"catch": [{"message": "events_told: d", "key": 1, "interrupt": false, "next": "h"}],
  "steps": [{"step": "s", "wait": {"message": "events_told: d", "key": 1}, "end": true}, {"step": "h", "end": true}]}');
SELECT path, severity, message, hint FROM workflow.check('{"catch": [{"message": "d", "interrupt": false, "next": "h"}, {"message": "k", "key": "${$business_key}", "next": "h"}],
  "steps": [{"step": "p", "catch": [{"message": "q", "key": 17, "next": "s"}, {"message": "n", "key": "${$.n}", "next": "s"}], "steps": [
      {"step": "i", "wait": {"message": "q", "key": "17"}}, {"step": "j", "wait": {"message": "n", "key": "${$.n}"}}, {"step": "k", "wait": {"message": "d", "key": 1}}]},
    {"step": "s", "wait": {"message": "d"}}, {"step": "t", "wait": {"message": "k", "key": "${$business_key}"}, "end": true}, {"step": "h", "end": true}]}');
-- one fault of a step that has both
SELECT path, message FROM workflow.check('{"steps": [{"step": "a", "wait": true, "first_of": [{"callback": true, "next": "b"}, {"after": "1 s", "next": "b"}]}, {"step": "b"}]}');
SELECT workflow.start('events_told: several') AS i \gset
SELECT workflow.send_message('events_told: d', '1');
SELECT workflow.send_message('events_told: d', instance => :i);
SELECT workflow.send_message('events_told: d', '1', instance => :i);
SELECT workflow.send_message('events_told: d', '1', to_all => true);
CALL test.until(format('SELECT status = %L FROM workflow.instances WHERE instance = %s', 'completed', :i));
