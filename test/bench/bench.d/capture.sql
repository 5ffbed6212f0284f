-- The rows that a bulk start wrote, kept for the baseline to write again; then everything is as before.
CREATE TABLE plain.instance_rows AS SELECT * FROM workflow_data.instance ORDER BY instance;
CREATE TABLE plain.visit_rows AS SELECT * FROM workflow_data.visit ORDER BY instance, visit;
TRUNCATE workflow_data.instance, workflow_data.visit, orders;
VACUUM (ANALYZE) plain.instance_rows, plain.visit_rows;
