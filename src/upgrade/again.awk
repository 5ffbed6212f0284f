# Makes of the files of src/schema, which CREATE EXTENSION runs, what ALTER EXTENSION UPDATE can run where functions and views of
# an earlier version are: those that are still the same for their users are replaced, so that what depends on them, and what
# was granted, stays. What has no OR REPLACE is left out: the wrapper is there.

/^CREATE FOREIGN DATA WRAPPER / { next }
{ sub(/^CREATE (FUNCTION|PROCEDURE|VIEW) /, "CREATE OR REPLACE " $2 " ") }
{ print }
