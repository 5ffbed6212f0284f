-- A nightly batch, with files: nightly.md tells what this is, and what each statement gives.
-- In a database of its own: createdb nightly, then psql -d nightly -a -f docs/examples/nightly.sql

-- ---- Definition ----

CREATE EXTENSION IF NOT EXISTS workflow;
\ir until.sql

CREATE TABLE payments (
    id int PRIMARY KEY, iban text, amount numeric,
    sn text, state text, reference text, problem text);

SELECT workflow.define('payment', $$
{ "steps": [
    { "step": "bank", "wait": true, "timeout": "5 days",
      "success": "$result.response.status == \"BOOKED\"",
      "save": { "reference": "${$result.response.reference}" },
      "catch": [ { "on": "FAILED", "next": "returned" } ],
      "end": true },
    { "step": "returned", "set": { "problem": "${$caught.result.response.status}" } } ] }
$$);

SELECT workflow.attach('payments', 'payment', serial_column => 'sn', status_column => 'state',
    result_columns => '{"reference": "$.reference", "problem": "$.problem"}');

-- ---- The evening ----

\set directory `mktemp -d`
\cd :directory
\copy (SELECT n, 'DE' || lpad(n::text, 20, '0'), n % 1000 FROM generate_series(1, 3000) n) TO 'payments.csv' CSV

BEGIN;
\copy payments (id, iban, amount) FROM 'payments.csv' CSV
\copy (SELECT sn, iban, amount FROM payments WHERE state = 'active' ORDER BY id) TO 'to_bank.csv' CSV
COMMIT;

SELECT state, count(*), count(sn) AS with_serial_number FROM payments GROUP BY state;

-- ---- The night ----

\! awk -F, '{ print $1 "," ($3 > 0 ? "BOOKED" : "NO AMOUNT") ",B" NR } END { print $1 ",BOOKED,B0"; print "99_9,BOOKED,B1" }' to_bank.csv >from_bank.csv

-- ---- The morning ----

BEGIN;
CREATE TEMP TABLE answers (line int GENERATED ALWAYS AS IDENTITY, sn text, status text, reference text);
\copy answers (sn, status, reference) FROM 'from_bank.csv' CSV

CREATE TEMP TABLE verdicts AS
SELECT * FROM workflow.complete_many((
    SELECT json_agg(json_build_object('serial_number', sn, 'data', json_build_object('status', status, 'reference', reference)) ORDER BY line)
    FROM answers));
COMMIT;

SELECT accepted, error_code, error, count(*) FROM verdicts GROUP BY 1, 2, 3 ORDER BY 4 DESC, 3;

CALL until($$NOT EXISTS (SELECT FROM payments WHERE state = 'active')$$);
SELECT state, problem, count(*), count(reference) AS booked FROM payments GROUP BY 1, 2 ORDER BY 3 DESC;

SELECT count(*), count(*) FILTER (WHERE accepted) AS accepted
FROM workflow.complete_many((SELECT json_agg(json_build_object('serial_number', sn, 'data', '{}'::json)) FROM answers));
