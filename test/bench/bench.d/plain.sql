-- Tables of the same shape for the baselines: columns, indexes and storage settings are those of the extension's own
-- tables, history without partitions (which only makes the baselines faster).
CREATE SCHEMA plain;
CREATE SEQUENCE plain.instance_seq;
CREATE SEQUENCE plain.visit_seq;

DO $do$
DECLARE
	name text;
	model regclass;
	options text;
	col record;
BEGIN
	FOREACH name IN ARRAY ARRAY['instance', 'visit', 'instance_history', 'visit_history'] LOOP
		-- the keys and indexes of history are those of its partitions, and of strays
		model := ('workflow_data.' || replace(name, '_history', '_stray'))::regclass;
		EXECUTE format('CREATE TABLE plain.%I (LIKE %s INCLUDING DEFAULTS INCLUDING INDEXES INCLUDING STORAGE)', name, model);
		-- what the transactions by hand do not care about is there all the same
		FOR col IN SELECT attname, format_type(atttypid, NULL) AS type FROM pg_attribute
			WHERE attrelid = format('plain.%I', name)::regclass AND attnum > 0 AND attnotnull AND NOT atthasdef LOOP
			IF col.type IN ('boolean', 'integer') THEN
				EXECUTE format('ALTER TABLE plain.%I ALTER %I SET DEFAULT 0::integer::%s', name, col.attname, col.type);
			END IF;
		END LOOP;
		SELECT array_to_string(reloptions, ', ') INTO options FROM pg_class WHERE oid = model;
		IF options <> '' THEN
			EXECUTE format('ALTER TABLE plain.%I SET (%s)', name, options);
		END IF;
	END LOOP;
END
$do$;
