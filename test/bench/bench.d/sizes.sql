-- Bytes of the extension's tables with indexes and TOAST: of each table of the history, and of all others together.
SELECT CASE WHEN relname ~ '_history' THEN regexp_replace(relname, '_history.*', '_history') ELSE 'living' END, sum(pg_total_relation_size(oid))
FROM pg_class WHERE relnamespace = 'workflow_data'::regnamespace AND relkind = 'r' GROUP BY 1;
