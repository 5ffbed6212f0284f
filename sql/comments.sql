-- Everything that the extension brings has a comment.

SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment
FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'workflow' AND d.deptype = 'e' AND d.classid <> 'pg_type'::regclass -- row types
    AND NOT EXISTS (SELECT FROM pg_description s WHERE s.classoid = d.classid AND s.objoid = d.objid AND s.objsubid = 0)
ORDER BY 1;
SELECT a.attrelid::regclass AS relation, a.attname AS column_without_comment
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace) AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0 AND NOT a.attisdropped
    AND NOT EXISTS (SELECT FROM pg_description s
                    WHERE s.classoid = 'pg_class'::regclass AND s.objoid = a.attrelid AND s.objsubid = a.attnum)
ORDER BY 1, 2;
-- and every argument a name
SELECT p.oid::regprocedure AS with_nameless_arguments FROM pg_proc p
WHERE p.pronamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace) AND p.pronargs > 0 AND p.prorettype <> 'trigger'::regtype
    AND (p.proargnames IS NULL OR '' = ANY (p.proargnames))
ORDER BY 1;
-- What is said of what is for users is said so that it can be read, and says what has to be known.
CREATE TEMP VIEW told AS
    SELECT c.relname || '.' || a.attname AS what, a.atttypid::regtype AS type, col_description(c.oid, a.attnum) AS comment
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE c.relnamespace = 'workflow'::regnamespace AND c.relkind = 'v'
    UNION ALL
    SELECT c.relname, NULL, obj_description(c.oid, 'pg_class') FROM pg_class c WHERE c.relnamespace = 'workflow'::regnamespace AND c.relkind = 'v'
    UNION ALL
    SELECT p.oid::regprocedure::text, NULL, obj_description(p.oid, 'pg_proc') FROM pg_proc p WHERE p.pronamespace = 'workflow'::regnamespace;
-- no line is longer than a screen is wide
SELECT what, length(line) FROM told, regexp_split_to_table(comment, '\n') line WHERE length(line) > 120 ORDER BY 1;
-- and each stands for itself
SELECT pg_describe_object(d.classoid, d.objoid, d.objsubid) AS what FROM pg_description d
    JOIN pg_depend e ON e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e' AND e.refclassid = 'pg_extension'::regclass
    JOIN pg_extension x ON x.oid = e.refobjid AND x.extname = 'workflow'
WHERE d.description ~* '\mlikewise\M' ORDER BY 1;
-- a column says whether, when, or how much of what
SELECT what, comment FROM told
WHERE CASE type WHEN 'boolean'::regtype THEN comment !~ '^Whether '
                WHEN 'timestamptz'::regtype THEN comment !~* '\m(when|since|until|by when)\M'
                WHEN 'double precision'::regtype THEN comment !~ '\m(milli)?seconds\M'
                WHEN 'interval'::regtype THEN comment !~ '\mhow long\M'
                ELSE type IN ('integer'::regtype, 'bigint'::regtype) AND comment !~ '^(How many|How much|Number of|Version|Its latest version|Place of|Process ID|HTTP status)\M' END
ORDER BY 1;
-- a function says what each argument is, and its SQLSTATEs, but for those that have none of their own
SELECT p.oid::regprocedure AS function, name AS argument_that_is_not_told
FROM pg_proc p, ROWS FROM (unnest(p.proargnames), unnest(p.proargmodes)) a (name, mode)
WHERE p.pronamespace = 'workflow'::regnamespace AND coalesce(mode, 'i') IN ('i', 'b')
    AND obj_description(p.oid, 'pg_proc') !~ ('\m' || name || '\M') AND obj_description(p.oid, 'pg_proc') !~ '^Always an error'
ORDER BY 1::text, 2;
SELECT p.proname AS without_errors FROM pg_proc p
WHERE p.pronamespace = 'workflow'::regnamespace AND obj_description(p.oid, 'pg_proc') !~ '(^|\n)Errors: .*\m([0-9][0-9A-Z]{4}|those of workflow)\M' ORDER BY 1;
-- a setting that may be 0, and where that is no number like others, says what it means
SELECT name, short_desc, extra_desc FROM pg_settings
WHERE name LIKE 'workflow.%' AND (short_desc !~ '\.$' OR extra_desc !~ '\.$' OR extra_desc IS NULL OR vartype = 'integer' AND min_val = '0' AND extra_desc !~ '\m0 means\M');
SELECT obj_description('workflow'::regnamespace, 'pg_namespace') IS NOT NULL AS schema_too;
-- under another name it finds nothing of itself
BEGIN;
ALTER SCHEMA workflow RENAME TO other;
SELECT other.start('nothing');
ROLLBACK;
BEGIN;
ALTER SCHEMA workflow_data RENAME TO other;
SELECT workflow.start('nothing');
ROLLBACK;
-- the schema of its tables is its own, and all that users may use is in the other one
SELECT c.relkind, count(*) > 0 FROM pg_class c WHERE relnamespace = 'workflow'::regnamespace AND relkind <> 'c' GROUP BY 1;
SELECT p.proname FROM pg_proc p JOIN pg_type t ON t.oid = p.prorettype WHERE pronamespace = 'workflow'::regnamespace AND t.typname = 'trigger';
SELECT n.nspname, has_schema_privilege('pg_read_all_data', n.oid, 'USAGE') AS readers FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = 'workflow_data' AND a.grantee <> n.nspowner;
SELECT pg_describe_object(classid, objid, 0) FROM pg_depend WHERE deptype = 'e' AND classid = 'pg_namespace'::regclass;
