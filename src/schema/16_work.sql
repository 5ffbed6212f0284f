-- Work that is offered to workers: what visits wait for that have a topic.

-- Whoever fetches some locks its row and no instance; so whoever moves a token must not wait for such a lock: what he cannot
-- delete or hold he notes in work_note.
CREATE TABLE workflow_data.work (
    work       bigint PRIMARY KEY DEFAULT nextval('workflow_data.event_seq'),
    instance   bigint NOT NULL,
    visit      bigint NOT NULL,
    free_at    timestamptz NOT NULL,
    since      timestamptz NOT NULL,
    fetched_at timestamptz,
    process_id integer NOT NULL,
    index      integer,
    failures   integer NOT NULL DEFAULT 0,
    held       boolean NOT NULL DEFAULT false,
    heartbeat  boolean NOT NULL,
    interrupt  boolean,
    lock_token uuid,
    topic      text COLLATE "C" NOT NULL,
    step       text COLLATE "C" NOT NULL,
    worker     text,
    data       jsonb,
    item       jsonb
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
-- By process and step, since who may fetch is asked once for each; in 64 parts, so that those who fetch at the same time do
-- not all look at the same rows.
CREATE INDEX work_free ON workflow_data.work (topic, process_id, step, (work & 63), free_at, work) WHERE NOT held;
CREATE INDEX work_visit ON workflow_data.work (instance, visit);
COMMENT ON TABLE workflow_data.work IS 'Work that workers fetch: what visits with a topic wait for. Whoever fetches it locks its row. Look at the views workflow.topics and waiting';
COMMENT ON COLUMN workflow_data.work.work IS 'Number of the piece of work';
COMMENT ON COLUMN workflow_data.work.instance IS 'Instance';
COMMENT ON COLUMN workflow_data.work.visit IS 'Visit that waits for it, or whose handler does';
COMMENT ON COLUMN workflow_data.work.free_at IS 'From when on it can be fetched: the end of its lock, if lock_token is set; of the pause after a failure, if that is later';
COMMENT ON COLUMN workflow_data.work.since IS 'Since when it is offered';
COMMENT ON COLUMN workflow_data.work.fetched_at IS 'When it was fetched; NULL: nobody has it';
COMMENT ON COLUMN workflow_data.work.process_id IS 'Process: who may fetch it is looked up by this and the step';
COMMENT ON COLUMN workflow_data.work.index IS 'Index of the item of each for which it is, from 0; NULL: it is for none';
COMMENT ON COLUMN workflow_data.work.failures IS 'How often workers have failed at it, by workflow.fail';
COMMENT ON COLUMN workflow_data.work.held IS 'Its instance is suspended: nobody fetches it';
COMMENT ON COLUMN workflow_data.work.heartbeat IS 'The step has a heartbeat, which counts from the fetch on';
COMMENT ON COLUMN workflow_data.work.interrupt IS 'Of a handler: whether it interrupts the visit; NULL: the visit itself waits';
COMMENT ON COLUMN workflow_data.work.lock_token IS 'What its worker shows to be the one that has it; NULL: nobody has it';
COMMENT ON COLUMN workflow_data.work.topic IS 'Topic under which it is fetched';
COMMENT ON COLUMN workflow_data.work.step IS 'Step of the visit';
COMMENT ON COLUMN workflow_data.work.worker IS 'Who has fetched it, as he calls himself, or his role';
COMMENT ON COLUMN workflow_data.work.data IS 'What the worker is given';
COMMENT ON COLUMN workflow_data.work.item IS 'Of each: the item for which it is';

CREATE TABLE workflow_data.work_note (
    work       bigint PRIMARY KEY,
    process_id integer NOT NULL,
    gone       boolean NOT NULL
);
COMMENT ON TABLE workflow_data.work_note IS 'Work that somebody was fetching when it ended, or its instance was suspended: it is not fetched again';
COMMENT ON COLUMN workflow_data.work_note.work IS 'Number of the piece of work';
COMMENT ON COLUMN workflow_data.work_note.process_id IS 'Process';
COMMENT ON COLUMN workflow_data.work_note.gone IS 'It is to be deleted; false: its instance is suspended';

SELECT pg_catalog.pg_extension_config_dump('workflow_data.work', '');
SELECT pg_catalog.pg_extension_config_dump('workflow_data.work_note', '');
