-- Many callbacks in one call, each with a verdict of its own.

SELECT workflow.define('complete_many: order', '{
  "steps": [
    { "step": "pay", "wait": true, "save": true, "catch": [ { "on": "NO_MONEY", "next": "ask" } ], "end": true },
    { "step": "ask", "wait": true } ]}');
SELECT workflow.define('complete_many: clock', '{"steps": [{"step": "nap", "wait": {"after": "1 day"}}]}');
CREATE TABLE complete_many_number (n serial PRIMARY KEY, instance bigint, sn text);
CREATE FUNCTION pg_temp.number(n int) RETURNS text LANGUAGE sql AS 'SELECT sn FROM complete_many_number m WHERE m.n = $1';
-- numbers differ from run to run: as they are called here
CREATE FUNCTION pg_temp.say(verdict text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    m record;
BEGIN
    FOR m IN SELECT * FROM complete_many_number LOOP
        verdict := replace(verdict, m.sn, 'number ' || m.n);
    END LOOP;
    RETURN verdict;
END $$;
INSERT INTO complete_many_number (instance) SELECT workflow.start('complete_many: order') FROM generate_series(1, 6);
INSERT INTO complete_many_number (instance) SELECT workflow.start('complete_many: clock');
UPDATE complete_many_number m SET sn = w.serial_number FROM workflow.waiting w WHERE w.instance = m.instance;
SELECT workflow.complete(pg_temp.number(6));

-- success, failure, twice the same, one that has ended, one that waits for a clock, and what is none
SELECT pg_temp.say(serial_number) AS serial_number, accepted, error_code, pg_temp.say(error) AS error
FROM workflow.complete_many(format('[
    {"serial_number": "%s", "data": {"paid": 1}},
    {"serial_number": "%s", "fail": {"code": "NO_MONEY", "message": "poor"}, "data": {"owes": 5}},
    {"serial_number": "%s", "data": {"paid": 2}},
    {"serial_number": "%s", "data": {"paid": "late"}},
    {"serial_number": "%s"},
    {"serial_number": "5_"},
    {"serial_number": "9223372036854775807_1"},
    {"serial_number": 5},
    {"data": {}},
    {"serial_number": "%s", "fail": {"code": ""}},
    {"serial_number": "%s", "fail": "x"},
    {"serial_number": "%s", "dat": {}},
    {"serial_number": "%s", "data": {}, "data": {"other": 1}},
    {"serial_number": "%s", "data": {"a": {"b": 1, "b": 2}}},
    {"data": "\u0000", "serial_number" : "%s"},
    {"data": {"a": "\u0000"}, "serial_number": "\u0000"},
    {"data": {"serial_number": "5_31", "a": "\u0000"}, "the \"serial_number\"": "5_31"},
    {"data": "\u0000\\", "serial_number" : 5},
    ["\u0000", "serial_number"], "\u0000",
    {"serial_number": "%s", "data": 1e1000000},
    {"serial_number": "%s", "data": %s},
    [], null, 7,
    {"serial_number": "%s", "data": null, "fail": null}
]', pg_temp.number(1), pg_temp.number(2), pg_temp.number(1), pg_temp.number(6), pg_temp.number(7),
    pg_temp.number(3), pg_temp.number(3), pg_temp.number(3), pg_temp.number(3), pg_temp.number(3), pg_temp.number(3), pg_temp.number(3), pg_temp.number(3),
    repeat('[', 100) || repeat(']', 100), pg_temp.number(4))::json);
SELECT m.n, i.status, i.data, v.step FROM complete_many_number m JOIN workflow.instances i USING (instance)
LEFT JOIN workflow.visits v USING (instance) ORDER BY n;
SELECT m.n, l.data FROM workflow.late_callbacks l JOIN complete_many_number m ON l.serial_number = sn ORDER BY n, received_at;

-- nothing, nothing of use, no array
SELECT * FROM workflow.complete_many('[]');
SELECT * FROM workflow.complete_many(' [ {} ]');
SELECT * FROM workflow.complete_many('{}');
SELECT * FROM workflow.complete_many('7');
SELECT * FROM workflow.complete_many(callbacks => NULL);

-- what cannot be foreseen is tried one by one
SET client_min_messages = warning;
CREATE FUNCTION pg_temp.trip() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.data->>'trip' = 'up' THEN RAISE 'tripped' USING ERRCODE = 'P0042'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER trip BEFORE UPDATE ON workflow_data.instance FOR EACH ROW EXECUTE FUNCTION pg_temp.trip();
RESET client_min_messages;
SELECT workflow.define('complete_many: two', '{ "steps": [ { "step": "one", "wait": true, "save": true }, { "step": "two", "wait": true } ]}');
TRUNCATE complete_many_number RESTART IDENTITY;
INSERT INTO complete_many_number (instance) SELECT workflow.start('complete_many: two') FROM generate_series(1, 3);
UPDATE complete_many_number m SET sn = w.serial_number FROM workflow.waiting w WHERE w.instance = m.instance;
SELECT pg_temp.say(serial_number) AS serial_number, accepted, error_code, error
FROM workflow.complete_many((SELECT json_agg(json_build_object('serial_number', sn, 'data', json_build_object('trip', CASE n WHEN 2 THEN 'up' ELSE 'over' END)) ORDER BY n)
                             FROM complete_many_number));
SELECT m.n, v.step FROM complete_many_number m JOIN workflow.visits v USING (instance) ORDER BY n;
DROP TRIGGER trip ON workflow_data.instance;
-- a rollback takes all of it back
BEGIN;
SELECT accepted FROM workflow.complete_many((SELECT json_agg(json_build_object('serial_number', serial_number)) FROM workflow.waiting
                                             WHERE instance IN (SELECT instance FROM complete_many_number)));
ROLLBACK;
SELECT m.n, v.step FROM complete_many_number m JOIN workflow.visits v USING (instance) ORDER BY n;

-- an incident whose step takes no callback, suspended: what was accepted for it is its end, as workflow.complete says
SELECT workflow.define('complete_many: broken', '{"steps": [{"step": "set", "set": {"a": "${$.missing}"}}]}');
SELECT workflow.suspend(workflow.start('complete_many: broken'));
SELECT m.accepted, m.error_code FROM workflow.incidents i,
    workflow.complete_many(json_build_array(json_build_object('serial_number', i.serial_number), json_build_object('serial_number', i.serial_number))) m
WHERE i.process = 'complete_many: broken';
SELECT accepted, error_code, workflow.complete(serial_number)
FROM workflow.complete_many((SELECT json_agg(json_build_object('serial_number', serial_number)) FROM workflow.visits WHERE process = 'complete_many: broken'));

-- thousands
SELECT count(workflow.start('complete_many: order')) FROM generate_series(1, 5000);
SELECT accepted, error_code, count(*) FROM workflow.complete_many((
    SELECT json_agg(json_build_object('serial_number', serial_number, 'data', json_build_object('paid', instance)) ORDER BY random())
    FROM workflow.waiting WHERE process = 'complete_many: order')) GROUP BY accepted, error_code;
SELECT count(*) FROM workflow.waiting WHERE process = 'complete_many: order';

-- rights are of single processes
CREATE ROLE complete_many_clerk;
GRANT USAGE ON SCHEMA workflow TO complete_many_clerk;
GRANT SELECT ON complete_many_number TO complete_many_clerk;
SELECT workflow.grant_process('complete_many: order', 'complete_many_clerk', 'complete');
TRUNCATE complete_many_number RESTART IDENTITY;
INSERT INTO complete_many_number (instance) SELECT workflow.start(p) FROM unnest('{complete_many: two, complete_many: order}'::text[]) p;
UPDATE complete_many_number m SET sn = w.serial_number FROM workflow.waiting w WHERE w.instance = m.instance;
SET ROLE complete_many_clerk;
SELECT pg_temp.say(serial_number) AS serial_number, accepted, error_code, pg_temp.say(error) AS error
FROM workflow.complete_many((SELECT json_agg(json_build_object('serial_number', sn) ORDER BY n) FROM complete_many_number));
RESET ROLE;
SELECT workflow.revoke_process('complete_many: order', 'complete_many_clerk', 'complete');
DROP OWNED BY complete_many_clerk;
DROP ROLE complete_many_clerk;
SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process LIKE 'complete_many:%' AND ended_at IS NULL;
DROP TABLE complete_many_number;
