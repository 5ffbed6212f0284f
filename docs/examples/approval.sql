-- An approval, with a reminder: approval.md tells what this is, and what each statement gives.
-- In a database of its own: createdb approval, then psql -d approval -a -f docs/examples/approval.sql

-- ---- Definition ----

CREATE EXTENSION IF NOT EXISTS workflow;
\ir until.sql

CREATE ROLE approvers;
CREATE ROLE ann IN ROLE approvers;
CREATE ROLE boss;
GRANT USAGE ON SCHEMA workflow TO approvers, boss;

CREATE TABLE expenses (
    id int PRIMARY KEY, what text, amount numeric,
    state text, decision text, decided_by text, note text);
CREATE TABLE mails (id bigint GENERATED ALWAYS AS IDENTITY, recipient text, subject text);

SELECT workflow.define('expense', $$
{ "data": { "remind_every": "500 ms", "patience": "3 s" },
  "steps": [
    { "step": "approve",
      "wait": { "task": { "title": "Approve ${$.amount} for ${$.what}", "roles": "approvers", "due": "${$.patience}",
                          "data": { "expense": "${$.id}" } } },
      "save": { "decision": "approved", "decided_by": "${$event.role}" },
      "catch": [ { "every": "${$.remind_every}", "interrupt": false, "next": "remind" },
                 { "after": "${$.patience}", "next": "ask the boss" },
                 { "on": "REFUSED", "next": "refused" } ],
      "end": true },

    { "step": "remind",
      "sql": "INSERT INTO mails (recipient, subject) VALUES ('approvers', format('Please decide: %s for %s', data->>'amount', data->>'what'))",
      "end": true },

    { "step": "ask the boss",
      "wait": { "task": { "title": "Overdue: ${$.amount} for ${$.what}", "assignee": "boss", "roles": "approvers",
                          "data": { "expense": "${$.id}" } } },
      "save": { "decision": "approved", "decided_by": "${$event.role}" },
      "catch": [ { "on": "REFUSED", "next": "refused" } ],
      "end": true },

    { "step": "refused",
      "set": { "decision": "refused", "decided_by": "${$caught.event.role}", "note": "${$caught.error.message}" } } ] }
$$);

SELECT workflow.attach('expenses', 'expense', status_column => 'state',
    result_columns => '{"decision": "$.decision", "decided_by": "$.decided_by", "note": "$.note"}');

-- ---- What is seen ----

INSERT INTO expenses (id, what, amount) VALUES (1, 'a chair', 300), (2, 'a boat', 9000), (3, 'pens', 60);

SET ROLE ann;
SELECT title, roles, due - since AS due_in, data FROM workflow.tasks ORDER BY title;
SELECT workflow.complete(serial_number) FROM workflow.tasks WHERE data->>'expense' = '1';
SELECT workflow.fail(serial_number, 'REFUSED', 'we have one already') FROM workflow.tasks WHERE data->>'expense' = '2';
RESET ROLE;

CALL until($$(SELECT count(*) >= 2 FROM mails WHERE subject LIKE '%pens')$$);
SELECT recipient, subject FROM mails WHERE subject LIKE '%pens' ORDER BY id LIMIT 2;

CALL until($$EXISTS (SELECT FROM workflow.tasks WHERE assignee = 'boss')$$);
SET ROLE boss;
SELECT title, assignee, roles FROM workflow.tasks;
SELECT workflow.complete(serial_number) FROM workflow.tasks;
RESET ROLE;

CALL until($$NOT EXISTS (SELECT FROM expenses WHERE decision IS NULL)$$);
SELECT * FROM expenses ORDER BY id;

DROP OWNED BY approvers, boss;
DROP ROLE ann, approvers, boss;
