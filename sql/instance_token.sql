-- Tokens of instances: who gets one, what it shows, and of what kind others are.
CREATE ROLE instance_token_starter;
CREATE ROLE instance_token_viewer;
CREATE ROLE instance_token_stranger;
GRANT USAGE ON SCHEMA workflow TO instance_token_starter, instance_token_viewer, instance_token_stranger;
SELECT workflow.define('instance_token: wait', '{"steps": [{"step": "wait", "set": {"url": "${$callback_url}"}, "wait": true}]}');
SELECT workflow.grant_process('instance_token: wait', 'instance_token_starter', 'start'), workflow.grant_process('instance_token: wait', 'instance_token_viewer', 'view');
SET workflow.callback_base = 'https://hooks.example.com';
SET ROLE instance_token_starter;
SELECT workflow.start('instance_token: wait') AS i \gset
SELECT workflow.start('instance_token: wait') AS other \gset
SELECT workflow.instance_token(:i) AS token, workflow.instance_token(:other) AS others \gset
SELECT :'token' ~ ('^' || :i || '\.[A-Za-z0-9_-]{43}$') AS looks, :'token' = workflow.instance_token(:i) AS same,
       split_part(:'token', '.', 2) <> split_part(:'others', '.', 2) AS differ;
-- who may not set its data
SET ROLE instance_token_viewer;
\set VERBOSITY sqlstate
SELECT workflow.instance_token(:i);
SET ROLE instance_token_stranger;
SELECT workflow.instance_token(:i);
SELECT workflow.instance_token(NULL);
\set VERBOSITY default
-- the token is all the right that is needed to see the status, and nothing else
SELECT instance = :i AS its, status FROM workflow.instance_of_token(:'token');
SELECT count(*) FROM workflow.instances;
RESET ROLE;
SELECT workflow.suspend(:i);
SELECT status FROM workflow.instance_of_token(:'token');
SELECT workflow.resume(:i);
SELECT workflow.cancel(:i);
SET ROLE instance_token_stranger;
SELECT status FROM workflow.instance_of_token(:'token');
-- one that is still to be started
RESET ROLE;
BEGIN;
SET LOCAL ROLE instance_token_starter;
SELECT workflow.start('instance_token: wait', mode => 'async') AS later \gset
SELECT workflow.instance_token(:later) AS later_token \gset
SELECT instance = :later AS its, status FROM workflow.instance_of_token(:'later_token');
ROLLBACK;
SELECT instance = :later AS its, status FROM workflow.instance_of_token(:'later_token');
-- others are wrong, or none
SELECT split_part(:'token', '.', 2) AS proof \gset
\set VERBOSITY sqlstate
SELECT workflow.instance_of_token(:other || '.' || :'proof');
SELECT workflow.instance_of_token(:i || '.' || repeat('A', 43));
SELECT workflow.instance_of_token(:other || '.' || substring(data->>'url' FROM '.{43}$')) FROM workflow.instances WHERE instance = :other;
SELECT workflow.callback(:'token');
SELECT workflow.callback(:i || '_1.' || :'proof');
SELECT workflow.callback_heartbeat(:i || '_1.' || :'proof');
SELECT workflow.webhook(:'token');
SELECT workflow.instance_of_token(t) FROM (VALUES ('.' || :'proof')) v (t);
SELECT workflow.instance_of_token(t) FROM (VALUES ('0' || :'token')) v (t);
SELECT workflow.instance_of_token(t) FROM (VALUES (' ' || :'token')) v (t);
SELECT workflow.instance_of_token(t) FROM (VALUES ('-' || :'token')) v (t);
SELECT workflow.instance_of_token(t) FROM (VALUES (:'token' || 'A')) v (t);
SELECT workflow.instance_of_token(t) FROM (VALUES ('9999999999999999999.' || :'proof')) v (t);
SELECT workflow.instance_of_token(t) FROM (VALUES ('')) v (t);
SELECT workflow.instance_of_token(NULL);
\set VERBOSITY default
SELECT workflow.instance_of_token('5');
SELECT workflow.instance_of_token(:i || '.' || repeat('A', 43));
-- with another key they are void
BEGIN;
UPDATE workflow_data.secret SET key = sha256('another');
SELECT workflow.instance_token(:other) <> :'others' AS differs;
SELECT workflow.instance_of_token(:'others');
ROLLBACK;
SELECT status FROM workflow.instance_of_token(:'others');
SELECT workflow.cancel(:other);
RESET workflow.callback_base;
DROP OWNED BY instance_token_starter, instance_token_viewer, instance_token_stranger;
DROP ROLE instance_token_starter, instance_token_viewer, instance_token_stranger;
