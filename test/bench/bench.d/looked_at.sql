-- Pages of each relation that were looked at since the database was made, and probes of each index. Partitions count together.
SELECT regexp_replace(relation, '_\d{8}', ''), sum(pages), sum(probes) FROM (
	SELECT relname AS relation, heap_blks_hit + heap_blks_read AS pages, 0 AS probes FROM pg_statio_all_tables
	UNION ALL
	SELECT io.indexrelname, io.idx_blks_hit + io.idx_blks_read, i.idx_scan
	FROM pg_statio_all_indexes io JOIN pg_stat_all_indexes i USING (indexrelid)) AS looked_at
GROUP BY 1
