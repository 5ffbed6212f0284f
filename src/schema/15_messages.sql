-- Messages that are kept or on their way, and those of which it is remembered that they were sent; what goes to all
-- that wait for it.

CREATE TABLE workflow_data.message (
    message          bigint PRIMARY KEY DEFAULT nextval('workflow_data.event_seq'),
    instance         bigint,
    sent_at          timestamptz NOT NULL,
    expires_at       timestamptz,
    remembered_until timestamptz,
    delivered_at     timestamptz,
    offered          bigint,
    role             oid NOT NULL,
    steps            integer NOT NULL,
    keyed            boolean NOT NULL,
    to_all           boolean NOT NULL,
    role_name        name NOT NULL,
    name             text NOT NULL,
    key              text NOT NULL,
    message_id       text,
    data             jsonb
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
CREATE UNIQUE INDEX message_sent ON workflow_data.message (name, role_name, message_id) WHERE message_id IS NOT NULL;
CREATE INDEX message_kept ON workflow_data.message (message) WHERE delivered_at IS NULL AND offered IS NULL;
-- by sender, whose rights decide who gets what he has sent
CREATE INDEX message_name ON workflow_data.message (name, key, role, message) WHERE delivered_at IS NULL AND offered IS NULL AND instance IS NULL;
CREATE INDEX message_instance ON workflow_data.message (instance, name, role, message) WHERE instance IS NOT NULL;
CREATE INDEX message_expires ON workflow_data.message (expires_at) WHERE delivered_at IS NULL;
CREATE INDEX message_remembered ON workflow_data.message (remembered_until) WHERE delivered_at IS NOT NULL;
COMMENT ON TABLE workflow_data.message IS 'Messages that are kept until somebody waits for them, or on their way, and those whose message_id is remembered. Who delivers one holds the lock on its row. Look at the view workflow.messages';
COMMENT ON COLUMN workflow_data.message.message IS 'Number of the message';
COMMENT ON COLUMN workflow_data.message.instance IS 'Instance that alone may get it; NULL: any';
COMMENT ON COLUMN workflow_data.message.sent_at IS 'When it was sent';
COMMENT ON COLUMN workflow_data.message.expires_at IS 'Until when it is kept; NULL: it is not, but on its way to who waited when it was sent';
COMMENT ON COLUMN workflow_data.message.remembered_until IS 'Until when a second one with its message_id is a duplicate; NULL: it has none';
COMMENT ON COLUMN workflow_data.message.delivered_at IS 'When it was delivered; NULL: it was not yet';
COMMENT ON COLUMN workflow_data.message.offered IS 'Subscription to which a delivery is bringing it, 0: it is about to start an instance; NULL: none, it is kept';
COMMENT ON COLUMN workflow_data.message.role IS 'Role that sent it, and whose rights decide who gets it';
COMMENT ON COLUMN workflow_data.message.role_name IS 'Name of that role: what counts after a restore, until workflow.adopt()';
COMMENT ON COLUMN workflow_data.message.steps IS 'Steps without a wait that led to the step that sent it; 0: no step did';
COMMENT ON COLUMN workflow_data.message.keyed IS 'Whether it has a key';
COMMENT ON COLUMN workflow_data.message.to_all IS 'It goes to all that wait for it, not to one';
COMMENT ON COLUMN workflow_data.message.name IS 'Name of the message';
COMMENT ON COLUMN workflow_data.message.key IS 'Its key; empty without one';
COMMENT ON COLUMN workflow_data.message.message_id IS 'What its sender calls it, so that it is not delivered twice';
COMMENT ON COLUMN workflow_data.message.data IS 'Its data; none once it was delivered';

CREATE TABLE workflow_data.broadcast (
    broadcast bigint PRIMARY KEY DEFAULT nextval('workflow_data.event_seq'),
    number    bigint,
    position  bigint NOT NULL DEFAULT 0,
    instance  bigint,
    sent_at   timestamptz NOT NULL,
    role      oid NOT NULL,
    steps     integer NOT NULL,
    role_name name NOT NULL,
    kind      text NOT NULL CHECK (kind IN ('message', 'signal')),
    name      text NOT NULL,
    key       text,
    data      jsonb
) WITH (fillfactor = 90);
COMMENT ON TABLE workflow_data.broadcast IS 'Signals, and messages to very many: the dispatcher takes each to all that wait for it, some at a time';
COMMENT ON COLUMN workflow_data.broadcast.broadcast IS 'Number of the row: the first is taken up first';
COMMENT ON COLUMN workflow_data.broadcast.number IS 'Subscriptions with smaller numbers get it; NULL: it was not taken up yet';
COMMENT ON COLUMN workflow_data.broadcast.position IS 'Subscriptions up to here have it';
COMMENT ON COLUMN workflow_data.broadcast.instance IS 'Instance that alone may get it; NULL: any';
COMMENT ON COLUMN workflow_data.broadcast.sent_at IS 'When it was sent';
COMMENT ON COLUMN workflow_data.broadcast.role IS 'Role that sent it, and whose rights decide who gets it';
COMMENT ON COLUMN workflow_data.broadcast.role_name IS 'Name of that role: what counts after a restore, until workflow.adopt()';
COMMENT ON COLUMN workflow_data.broadcast.steps IS 'Steps without a wait that led to the step that sent it; 0: no step did';
COMMENT ON COLUMN workflow_data.broadcast.kind IS 'signal, or message';
COMMENT ON COLUMN workflow_data.broadcast.name IS 'Name of the signal or message';
COMMENT ON COLUMN workflow_data.broadcast.key IS 'Key of the message; NULL: none';
COMMENT ON COLUMN workflow_data.broadcast.data IS 'Its data';

CREATE TABLE workflow_data.process_message (
    process_id integer NOT NULL,
    name       text NOT NULL,
    step       text NOT NULL,
    PRIMARY KEY (name, process_id, step)
);
CREATE INDEX process_message_process ON workflow_data.process_message (process_id);
COMMENT ON TABLE workflow_data.process_message IS 'Messages that a process names, in any of its versions: who may keep one until somebody waits for it';
COMMENT ON COLUMN workflow_data.process_message.process_id IS 'Process';
COMMENT ON COLUMN workflow_data.process_message.name IS 'Name of the message';
COMMENT ON COLUMN workflow_data.process_message.step IS 'Step that waits for it, or catches it; empty: it starts an instance';

CREATE TABLE workflow_data.message_start (
    process_id integer NOT NULL,
    entry      integer NOT NULL,
    keyed      boolean NOT NULL,
    name       text NOT NULL,
    key        text NOT NULL,
    PRIMARY KEY (name, key, keyed, process_id)
);
CREATE INDEX message_start_process ON workflow_data.message_start (process_id);
COMMENT ON TABLE workflow_data.message_start IS 'Messages that start an instance of the latest version of a process. Look at the view workflow.message_starts';
COMMENT ON COLUMN workflow_data.message_start.process_id IS 'Process';
COMMENT ON COLUMN workflow_data.message_start.entry IS 'Entry of "start_on", counted from 1';
COMMENT ON COLUMN workflow_data.message_start.keyed IS 'Whether the message has to have a key';
COMMENT ON COLUMN workflow_data.message_start.name IS 'Name of the message';
COMMENT ON COLUMN workflow_data.message_start.key IS 'Its key; empty without one';

SELECT pg_catalog.pg_extension_config_dump('workflow_data.message', '');
SELECT pg_catalog.pg_extension_config_dump('workflow_data.broadcast', '');
SELECT pg_catalog.pg_extension_config_dump('workflow_data.process_message', '');
SELECT pg_catalog.pg_extension_config_dump('workflow_data.message_start', '');
