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
