-- Those whose names match.
SELECT format('DROP INDEX %s', indexrelid::regclass) FROM pg_index JOIN pg_class c ON c.oid = indexrelid
WHERE c.relnamespace = 'workflow_data'::regnamespace AND relname ~ :'indexes' AND NOT indisprimary \gexec
