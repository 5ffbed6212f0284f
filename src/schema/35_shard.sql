-- Which of several databases this one is.

CREATE TABLE workflow_data.shard (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    shard  integer NOT NULL CHECK (shard BETWEEN 0 AND 1023),
    first  bigint NOT NULL
);
COMMENT ON TABLE workflow_data.shard IS 'Which of several databases this one is. Look at the view workflow.shards';
COMMENT ON COLUMN workflow_data.shard.single IS 'Always true, so that there is one row at most';
COMMENT ON COLUMN workflow_data.shard.shard IS 'Number of the shard: the low ten bits of the numbers that instances get here';
COMMENT ON COLUMN workflow_data.shard.first IS 'First number of an instance that carries it; those that were given before say nothing of shards';
SELECT pg_catalog.pg_extension_config_dump('workflow_data.shard', '');

CREATE FUNCTION workflow.set_shard(shard integer, above bigint DEFAULT 0) RETURNS bigint
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_set_shard';
COMMENT ON FUNCTION workflow.set_shard(integer, bigint) IS
'Says that this database is one of several shards: the numbers of instances that start from now on carry its number in
  their low ten bits. Returns the first of these numbers. Waits for open transactions that have started instances.
shard: its number, 0 to 1023. It stays, in dumps and copies as well, once an instance could have got it.
above: numbers begin above this one: the last number of another shard that had instances before it became one.
Errors: 22023 shard or above out of range; 55000 this database is another shard; 42501 for superusers, and those whom
  they grant it.';

CREATE FUNCTION workflow.keep(modulus integer, remainder integer, shard integer DEFAULT NULL) RETURNS bigint
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_keep';
COMMENT ON FUNCTION workflow.keep(integer, integer, integer) IS
'Splits a shard, in a copy of all of it: keeps the instances of one part, living and ended, and drops the others, which
  live on in the other copy. Returns the first number of an instance that starts here from now on; a NOTICE tells how
  many were dropped. Nothing is sent before workflow.adopt().
modulus: into how many parts, 2 or more. remainder: which part: the number of an instance without its low ten bits,
  divided by modulus, leaves it.
shard: the number of the shard that this copy becomes for what starts here; NULL: the one that it has.
Errors: 22023 what is out of range; 55000 the server was not started with workflow.start_paused, the database is no
  shard, or an instance that lives would be parted from the one that has called it; 42501 for superusers, and those
  whom they grant it.';

CREATE FUNCTION workflow.shard() RETURNS integer
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'workflow_shard';
COMMENT ON FUNCTION workflow.shard() IS
'Returns the number of the shard that this database is. NULL: it is none, see workflow.set_shard.';

CREATE FUNCTION workflow_data.shard_changed() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_shard_changed';
COMMENT ON FUNCTION workflow_data.shard_changed() IS
'Trigger of workflow_data.shard: tells running sessions and workers that this database is another shard';
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON workflow_data.shard
    FOR EACH STATEMENT EXECUTE FUNCTION workflow_data.shard_changed();
ALTER TABLE workflow_data.shard ENABLE ALWAYS TRIGGER changed;
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON workflow_data.shard
    FOR EACH STATEMENT EXECUTE FUNCTION workflow_data.owner_only();
ALTER TABLE workflow_data.shard ENABLE ALWAYS TRIGGER owner_only;

CREATE VIEW workflow.shards AS
SELECT shard, first FROM workflow_data.shard;
COMMENT ON VIEW workflow.shards IS 'Which of several databases this one is, see workflow.set_shard; no row: it is none';
COMMENT ON COLUMN workflow.shards.shard IS 'Number of the shard: the low ten bits of the numbers that instances get here';
COMMENT ON COLUMN workflow.shards.first IS 'Number of the first instance that carries it; lower ones were given before, and say nothing of shards';
