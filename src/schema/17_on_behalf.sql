-- Headers of calls that are passed on. They are no part of a dump: pg_dump carries what pg_extension_config_dump names.

CREATE TABLE workflow_data.on_behalf (
    instance bigint NOT NULL,
    visit    bigint NOT NULL,
    request  jsonb,
    onwards  jsonb,
    PRIMARY KEY (instance, visit)
);
COMMENT ON TABLE workflow_data.on_behalf IS 'Headers of the calls that made something due, for user mappings with auth on_behalf: secrets, which no dump carries. Deleted when they are not needed any more';
COMMENT ON COLUMN workflow_data.on_behalf.instance IS 'Instance';
COMMENT ON COLUMN workflow_data.on_behalf.visit IS 'Visit, whose row says that there are some';
COMMENT ON COLUMN workflow_data.on_behalf.request IS 'Headers for its own request: {name in lower case: value}';
COMMENT ON COLUMN workflow_data.on_behalf.onwards IS 'Headers for what follows from it without anything from outside: {name in lower case: value}';
