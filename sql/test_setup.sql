-- What all other files find: the extension, and what several of them use. It runs before any of them.
CREATE EXTENSION workflow;
CREATE SCHEMA test;
GRANT USAGE ON SCHEMA test TO PUBLIC;

-- Workers do their part: wait until a query gives true, for a minute at most.
CREATE PROCEDURE test.until(condition text) LANGUAGE plpgsql AS $$
DECLARE
    reached boolean;
BEGIN
    FOR i IN 1 .. 3000 LOOP
        EXECUTE condition INTO reached;
        EXIT WHEN reached;
        COMMIT;
        PERFORM pg_sleep(0.02);
    END LOOP;
    RAISE NOTICE '%', CASE WHEN reached THEN 'reached' ELSE 'never came' END;
END $$;

-- The same until an instance waits at a step.
CREATE PROCEDURE test.arrive(instance bigint, step text) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 3000 LOOP
        IF EXISTS (SELECT FROM workflow.waiting w WHERE w.instance = $1 AND w.step = $2) THEN RETURN; END IF;
        COMMIT;
        PERFORM pg_sleep(0.02);
    END LOOP;
    RAISE 'instance % did not arrive at %', instance, step;
END $$;

-- The serial number of an instance's visit: of one that waits, that stands as an incident, of any.
CREATE FUNCTION test.waits(instance bigint) RETURNS text LANGUAGE sql AS
    'SELECT serial_number FROM workflow.waiting w WHERE w.instance = $1';
CREATE FUNCTION test.stands(instance bigint) RETURNS text LANGUAGE sql AS
    'SELECT serial_number FROM workflow.incidents n WHERE n.instance = $1';
CREATE FUNCTION test.sn(instance bigint) RETURNS text LANGUAGE sql AS
    'SELECT serial_number FROM workflow.visits v WHERE v.instance = $1 ORDER BY serial_number';

-- Where an instance stands, how it ended, and by which steps it went.
CREATE FUNCTION test.at(instance bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(step || ' ' || coalesce(waits_for, state), ', ' ORDER BY step, split_part(serial_number, '_', 2)::bigint) FROM workflow.visits v WHERE v.instance = $1 $$;
CREATE FUNCTION test.ended(instance bigint) RETURNS text LANGUAGE sql AS
    'SELECT status || '' '' || data FROM workflow.instances i WHERE i.instance = $1';
CREATE FUNCTION test.went(instance bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(step || ' ' || outcome, ', ' ORDER BY step, outcome) FROM workflow.history h WHERE h.instance = $1 $$;

-- Complete a visit that waits at a step.
CREATE FUNCTION test.done(instance bigint, step text, data jsonb DEFAULT NULL) RETURNS boolean LANGUAGE sql AS
    'SELECT workflow.complete(serial_number, data) FROM workflow.waiting w WHERE w.instance = $1 AND w.step = $2 LIMIT 1';

-- Where the visit waits whose number a row shows.
CREATE FUNCTION test.shows(sn text) RETURNS text LANGUAGE sql AS
    $$SELECT w.step FROM workflow.waiting w WHERE w.serial_number = sn$$;

-- What a statement answers, or the SQLSTATE of its error.
CREATE FUNCTION test.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE statement INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate;
END $$;
