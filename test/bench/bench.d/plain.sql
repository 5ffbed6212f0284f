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
BEGIN
	FOREACH name IN ARRAY ARRAY['instance', 'visit', 'instance_history', 'visit_history'] LOOP
		model := ('workflow.' || name)::regclass;
		-- the keys and indexes of history are those of its partitions
		SELECT coalesce(min(inhrelid), model::oid) INTO model FROM pg_inherits WHERE inhparent = model;
		EXECUTE format('CREATE TABLE plain.%I (LIKE %s INCLUDING DEFAULTS INCLUDING INDEXES INCLUDING STORAGE)', name, model);
		SELECT array_to_string(reloptions, ', ') INTO options FROM pg_class WHERE oid = model;
		IF options <> '' THEN
			EXECUTE format('ALTER TABLE plain.%I SET (%s)', name, options);
		END IF;
	END LOOP;
END
$do$;
