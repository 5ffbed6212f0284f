-- Refuse schemas that somebody else has prepared: the owner of a schema can replace what is in it,
-- and users who look for our objects would find what was in it before.

DO LANGUAGE plpgsql $$
DECLARE
    schema_oid   oid := (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = 'workflow');
    schema_owner pg_catalog.pg_roles := (SELECT r FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner
                                         WHERE n.nspname = 'workflow');
    object       text;
BEGIN
    IF schema_owner.rolname <> current_user AND NOT schema_owner.rolsuper THEN
        RAISE EXCEPTION USING ERRCODE = '42501',
            MESSAGE = pg_catalog.format('the schema "workflow" belongs to the role "%s"', schema_owner.rolname),
            DETAIL = 'Its owner could replace what the extension puts there, and so act with the rights of others.',
            HINT = 'Drop it. If a dump has made it, restore that with --no-owner.';
    END IF;
    SELECT pg_catalog.pg_describe_object(d.classid, d.objid, 0) INTO object FROM pg_catalog.pg_depend d
    WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = schema_oid AND d.deptype = 'n'
          AND d.classid <> 'pg_catalog.pg_extension'::pg_catalog.regclass
    ORDER BY 1 LIMIT 1;
    IF object IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = 'the schema "workflow" is not empty',
            DETAIL = pg_catalog.format('It has the %s.', object),
            HINT = 'Drop what is in it, or move it to another schema.';
    END IF;
END $$;
