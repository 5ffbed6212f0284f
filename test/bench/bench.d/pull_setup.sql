-- One step that waits for a worker, and jobs as those have them who fetch by SKIP LOCKED.
SELECT workflow.define('pull', $${ "steps": [ { "step": "do", "wait": { "topic": "bench", "data": { "id": "${$.id}" } }, "end": true } ] }$$);
SELECT workflow.define('nothing', $${ "steps": [ { "step": "nothing", "end": true } ] }$$);
SELECT workflow.start('nothing');
CREATE TABLE jobs (id bigserial PRIMARY KEY, topic text NOT NULL, run_at timestamptz NOT NULL DEFAULT now(), locked_at timestamptz, locked_by text, data jsonb);
CREATE INDEX ON jobs (topic, run_at, id) WHERE locked_at IS NULL;
