-- Webhooks that start instances.

CREATE TABLE workflow_data.webhook_start (
    process_id integer NOT NULL,
    name       text NOT NULL,
    key        text NOT NULL,
    instance   bigint NOT NULL,
    PRIMARY KEY (process_id, name, key)
);
CREATE INDEX webhook_start_instance ON workflow_data.webhook_start (instance);
COMMENT ON TABLE workflow_data.webhook_start IS 'Idempotency keys of what came to webhooks that start an instance, as long as that is living or in the history: what comes again under the same key starts none';
COMMENT ON COLUMN workflow_data.webhook_start.process_id IS 'Process';
COMMENT ON COLUMN workflow_data.webhook_start.name IS 'Name of the webhook';
COMMENT ON COLUMN workflow_data.webhook_start.key IS 'Its key';
COMMENT ON COLUMN workflow_data.webhook_start.instance IS 'Instance that was started, or that had the same business key then';

SELECT pg_catalog.pg_extension_config_dump('workflow_data.webhook_start', '');
