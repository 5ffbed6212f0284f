/*
 * companion.c
 *		workflow.companion_sql(side, tables, …): the SQL for a database that loads no library, and for the one beside it.
 *
 * Both scripts may be run again: what is there stays, or is replaced by the same. Calls at the provider are rows of companion.outbox, which is
 * replicated like other tables; a trigger of the companion carries them out, in the transaction that brings the row. As with
 * attached tables an error would stop the replication of everything, so it is kept with the row.
 */
#include "compat.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "api/attach_internal.h"
#include "store/access.h"

PG_FUNCTION_INFO_V1(workflow_companion_sql);

/* A table that is replicated, with the columns in which its rows show something. */
typedef struct Replicated
{
	const char *schema;
	const char *name;
	List	   *shown;
} Replicated;

typedef struct Wanted
{
	Replicated *tables;
	int			n;
	const char *role;	/* as which the companion comes to the provider */
	const char *server; /* the foreign server at the companion */
} Wanted;

/* SQL that is put together */
/* clang-format off */

static const char provider_outbox[] =
	"CREATE SCHEMA IF NOT EXISTS companion;\n"
	"CREATE TABLE IF NOT EXISTS companion.outbox (\n"
	"    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
	"    call      text NOT NULL CHECK (call IN ('complete', 'fail', 'set_data', 'cancel', 'send_message')),\n"
	"    arguments jsonb NOT NULL,\n"
	"    sender    text NOT NULL DEFAULT session_user,\n"
	"    sent_at   timestamptz NOT NULL DEFAULT clock_timestamp(),\n"
	"    state     text,\n"
	"    answer    text,\n"
	"    error     text);\n"
	"COMMENT ON TABLE companion.outbox IS 'Calls for the companion, which says in state, answer and error what has become of each';\n\n"
	"ALTER TABLE companion.outbox ADD COLUMN IF NOT EXISTS answer text;\n\n"
	"CREATE OR REPLACE FUNCTION companion.checked(call text, a jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$\n"
	"DECLARE\n"
	"    needed text;\n"
	"BEGIN\n"
	"    IF a -> 'serial_number' = 'null' THEN\n"
	"        RAISE null_value_not_allowed USING MESSAGE = 'argument \"serial_number\" must not be null',\n"
	"            HINT = 'A row has one only while its instance waits; its status says what that does otherwise.';\n"
	"    END IF;\n"
	"    FOREACH needed IN ARRAY '{code,instance,name,ttl,retry}'::text[] || CASE call WHEN 'set_data' THEN 'data' END LOOP\n"
	"        IF a -> needed = 'null' THEN\n"
	"            RAISE null_value_not_allowed USING MESSAGE = format('argument \"%s\" must not be null', needed);\n"
	"        END IF;\n"
	"    END LOOP;\n"
	"    IF a ->> 'serial_number' !~ '^[1-9][0-9]{0,18}_[1-9][0-9]{0,18}$' THEN\n"
	"        RAISE invalid_text_representation USING MESSAGE = format('malformed serial number: \"%s\"', a ->> 'serial_number'),\n"
	"            DETAIL = 'A serial number is written <instance>_<visit>, such as 5_31.';\n"
	"    ELSIF 9223372036854775807 < ANY (string_to_array(a ->> 'serial_number', '_')::numeric[]) THEN\n"
	"        RAISE invalid_text_representation USING MESSAGE = format('malformed serial number: \"%s\"', a ->> 'serial_number'),\n"
	"            DETAIL = 'No number is above 9223372036854775807.';\n"
	"    ELSIF a ->> 'code' = '' OR length(a ->> 'code') > 200 THEN\n"
	"        RAISE invalid_parameter_value USING MESSAGE = 'an error code has 1 to 200 characters',\n"
	"            HINT = 'It is what \"catch\" compares: a short word such as REJECTED.';\n"
	"    ELSIF call = 'set_data' AND jsonb_typeof(a -> 'data') <> 'object' THEN\n"
	"        RAISE invalid_parameter_value USING MESSAGE = 'argument \"data\" must be a JSON object',\n"
	"            HINT = 'The data of an instance is an object, such as {\"amount\": 120}.';\n"
	"    ELSIF a ->> 'name' = '' THEN\n"
	"        RAISE invalid_parameter_value USING MESSAGE = 'argument \"name\" must not be empty';\n"
	"    ELSIF (a ->> 'ttl')::interval < '0' THEN\n"
	"        RAISE invalid_parameter_value USING MESSAGE = 'argument \"ttl\" must not be negative';\n"
	"    END IF;\n"
	"    RETURN a;\n"
	"END $$;\n"
	"COMMENT ON FUNCTION companion.checked(text, jsonb) IS 'The arguments of a call, or the error that workflow would give: nobody would hear of it later';\n\n";

/* name, arguments, and the object of arguments that the row has */
static const char *const provider_functions[][3] = {
	{"complete", "serial_number text, data jsonb DEFAULT NULL", "'serial_number', $1, 'data', $2"},
	{"fail", "serial_number text, code text DEFAULT 'FAILED', message text DEFAULT NULL, data jsonb DEFAULT NULL, retry boolean DEFAULT true",
	 "'serial_number', $1, 'code', $2, 'message', $3, 'data', $4, 'retry', $5"},
	{"set_data", "instance bigint, data jsonb", "'instance', $1, 'data', $2"},
	{"cancel", "instance bigint, reason text DEFAULT NULL", "'instance', $1, 'reason', $2"},
	{"send_message", "name text, key text DEFAULT NULL, data jsonb DEFAULT NULL, ttl interval DEFAULT '0'",
	 "'name', $1, 'key', $2, 'data', $3, 'ttl', $4"},
};

static const char provider_keep[] =
	"CREATE OR REPLACE FUNCTION companion.keep() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$\n"
	"BEGIN\n"
	"    IF current_user <> %s THEN\n"
	"        NEW := jsonb_populate_record(NEW, (SELECT jsonb_object_agg(c, to_jsonb(OLD) -> c) FROM unnest(TG_ARGV) c));\n"
	"    END IF;\n"
	"    RETURN NEW;\n"
	"END $$;\n"
	"COMMENT ON FUNCTION companion.keep() IS 'Leaves the columns in which rows show their instances as they are, unless the companion changes them';\n\n";

static const char provider_publication[] =
	"DO $$\n"
	"BEGIN\n"
	"    IF EXISTS (SELECT FROM pg_publication WHERE pubname = 'companion') THEN\n"
	"        ALTER PUBLICATION companion SET TABLE %s;\n"
	"    ELSE\n"
	"        CREATE PUBLICATION companion FOR TABLE %s;\n"
	"    END IF;\n"
	"END $$;\n";

static const char companion_outbox[] =
	"CREATE SCHEMA IF NOT EXISTS companion;\n"
	"CREATE TABLE IF NOT EXISTS companion.outbox (\n"
	"    id        bigint PRIMARY KEY,\n"
	"    call      text,\n"
	"    arguments jsonb,\n"
	"    sender    text,\n"
	"    sent_at   timestamptz,\n"
	"    state     text,\n"
	"    answer    text,\n"
	"    error     text,\n"
	"    operation bigint,\n"
	"    delivered text,\n"
	"    problem   text);\n"
	"ALTER TABLE companion.outbox ADD COLUMN IF NOT EXISTS answer text, ADD COLUMN IF NOT EXISTS delivered text;\n"
	"CREATE INDEX IF NOT EXISTS outbox_problem ON companion.outbox (id) WHERE problem IS NOT NULL;\n"
	"COMMENT ON TABLE companion.outbox IS 'Calls that the provider has made: operation is the number under which workflow.operations has what becomes of one, delivered what workflow.send_message has answered, problem why it could not be made';\n\n"
	"CREATE OR REPLACE FUNCTION companion.make_call(made companion.outbox) RETURNS companion.outbox\n"
	"    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$\n"
	"DECLARE\n"
	"    a jsonb := made.arguments;\n"
	"    data jsonb := nullif(made.arguments -> 'data', 'null');\n"
	"BEGIN\n"
	"    made.problem := NULL;\n"
	"    CASE made.call\n"
	"        WHEN 'complete' THEN PERFORM workflow.complete(a ->> 'serial_number', data, mode => 'async');\n"
	"        WHEN 'fail' THEN PERFORM workflow.fail(a ->> 'serial_number', a ->> 'code', a ->> 'message', data, (a ->> 'retry')::boolean, mode => 'async');\n"
	"        WHEN 'set_data' THEN PERFORM workflow.set_data((a ->> 'instance')::bigint, data, mode => 'async');\n"
	"        WHEN 'cancel' THEN PERFORM workflow.cancel((a ->> 'instance')::bigint, a ->> 'reason', mode => 'async');\n"
	"        WHEN 'send_message' THEN made.delivered := workflow.send_message(a ->> 'name', a ->> 'key', data, (a ->> 'ttl')::interval, 'outbox ' || made.id);\n"
	"    END CASE;\n"
	"    IF made.call <> 'send_message' THEN\n"
	"        made.operation := workflow.last_operation();\n"
	"    END IF;\n"
	"    RETURN made;\n"
	"EXCEPTION\n"
	"    -- what could go well the next time is not caught: the replication begins again with this row\n"
	"    WHEN transaction_rollback OR insufficient_resources OR operator_intervention OR system_error OR lock_not_available THEN RAISE;\n"
	"    WHEN OTHERS THEN\n"
	"        made.operation := NULL;\n"
	"        made.problem := SQLERRM;\n"
	"        RETURN made;\n"
	"END $$;\n"
	"CREATE OR REPLACE FUNCTION companion.take_call() RETURNS trigger\n"
	"    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$\n"
	"BEGIN\n"
	"    -- one that is copied once more was made already\n"
	"    IF EXISTS (SELECT FROM companion.outbox o WHERE o.id = NEW.id) THEN\n"
	"        RETURN NULL;\n"
	"    END IF;\n"
	"    RETURN companion.make_call(NEW);\n"
	"END $$;\n"
	"DROP TRIGGER IF EXISTS take_call ON companion.outbox;\n"
	"CREATE TRIGGER take_call BEFORE INSERT ON companion.outbox FOR EACH ROW EXECUTE FUNCTION companion.take_call();\n"
	"ALTER TABLE companion.outbox ENABLE ALWAYS TRIGGER take_call;\n\n"
	"CREATE OR REPLACE FUNCTION companion.retry_calls() RETURNS bigint\n"
	"    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$\n"
	"DECLARE\n"
	"    again companion.outbox;\n"
	"    n bigint := 0;\n"
	"BEGIN\n"
	"    FOR again IN SELECT * FROM companion.outbox o WHERE o.problem IS NOT NULL ORDER BY o.id FOR UPDATE LOOP\n"
	"        again := companion.make_call(again);\n"
	"        UPDATE companion.outbox o SET operation = again.operation, delivered = again.delivered, problem = again.problem WHERE o.id = again.id;\n"
	"        n := n + (again.problem IS NULL)::integer;\n"
	"    END LOOP;\n"
	"    RETURN n;\n"
	"END $$;\n"
	"COMMENT ON FUNCTION companion.retry_calls() IS 'Makes the calls once more that could not be made; returns how many could be now';\n"
	"CREATE OR REPLACE VIEW companion.calls AS\n"
	"    SELECT b.id, b.call, b.arguments, b.sender, b.sent_at,\n"
	"           CASE WHEN b.problem IS NOT NULL THEN 'failed' ELSE coalesce(o.state, 'done') END AS state,\n"
	"           coalesce(o.answer, b.delivered) AS answer, coalesce(b.problem, o.error ->> 'message') AS error\n"
	"    FROM companion.outbox b LEFT JOIN workflow.operations o ON o.operation = b.operation;\n"
	"COMMENT ON VIEW companion.calls IS 'What has become of the calls of the provider; answer is what the function of workflow gives, such as false for a callback that comes too late';\n\n";

static const char companion_tell[] =
	"CREATE FOREIGN TABLE IF NOT EXISTS companion.outbox_there (id bigint, sent_at timestamptz, state text, answer text, error text)\n"
	"    SERVER %s OPTIONS (schema_name 'companion', table_name 'outbox');\n"
	"CREATE OR REPLACE FUNCTION companion.tell(keep interval DEFAULT '7 days') RETURNS bigint\n"
	"    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$\n"
	"DECLARE\n"
	"    made record;\n"
	"    told bigint := 0;\n"
	"BEGIN\n"
	"    FOR made IN SELECT c.id, c.state, c.answer, c.error FROM companion.outbox o JOIN companion.calls c ON c.id = o.id\n"
	"                WHERE c.state <> 'pending' AND (o.state, o.answer, o.error) IS DISTINCT FROM (c.state, c.answer, c.error) LOOP\n"
	"        UPDATE companion.outbox_there t SET state = made.state, answer = made.answer, error = made.error WHERE t.id = made.id;\n"
	"        told := told + 1;\n"
	"    END LOOP;\n"
	"    DELETE FROM companion.outbox_there t WHERE t.state = 'done' AND t.sent_at < now() - keep;\n"
	"    RETURN told;\n"
	"END $$;\n"
	"COMMENT ON FUNCTION companion.tell(interval) IS\n"
	"'Says at the provider what has become of its calls, and deletes there those that are done and older than that; returns how many it has told of';\n\n";

static const char companion_import[] =
	"DO $$\n"
	"BEGIN\n"
	"    IF NOT EXISTS (SELECT FROM pg_class WHERE relname = %s AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'provider')) THEN\n"
	"        IMPORT FOREIGN SCHEMA %s LIMIT TO (%s) FROM SERVER %s INTO provider;\n"
	"    ELSIF EXISTS (SELECT FROM pg_foreign_table, unnest(ftoptions) o WHERE ftrelid = %s::regclass AND o LIKE 'schema_name=%%' AND o <> %s) THEN\n"
	"        RAISE duplicate_object USING MESSAGE = %s, HINT = 'Give one of both tables another name, here and at the provider.';\n"
	"    END IF;\n"
	"END $$;\n";
/* clang-format on */

static char *
qualified(const Replicated *table)
{
	return quote_qualified_identifier(table->schema, table->name);
}

/* ---- the provider ---- */

static void
append_functions(StringInfo sql)
{
	for (int i = 0; i < lengthof(provider_functions); i++)
	{
		const char *const *function = provider_functions[i];

		appendStringInfo(
			sql,
			"CREATE OR REPLACE FUNCTION companion.%s(%s) RETURNS bigint\n"
			"    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp\n"
			"    AS $$ INSERT INTO companion.outbox (call, arguments) VALUES ('%s', companion.checked('%s', jsonb_build_object(%s))) "
			"RETURNING id $$;\n",
			function[0], function[1], function[0], function[0], function[2]);
		appendStringInfo(sql,
						 "COMMENT ON FUNCTION companion.%s IS 'As workflow.%s of the companion, which makes the "
						 "call once this transaction has committed; returns its number in companion.outbox';\n",
						 function[0], function[0]);
	}
	appendStringInfoString(sql, "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA companion FROM PUBLIC;\n\n");
}

static char *
list_of(List *names, char *(*quote)(const char *) )
{
	StringInfoData list;
	ListCell	  *lc;

	initStringInfo(&list);
	foreach (lc, names)
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", quote(lfirst(lc)));
	return list.data;
}

static char *
as_identifier(const char *name)
{
	return unconstify(char *, quote_identifier(name));
}

static void
append_shown(StringInfo sql, const Wanted *wanted, const Replicated *table)
{
	const char *name = qualified(table);
	const char *role = quote_identifier(wanted->role);

	appendStringInfo(sql, "GRANT USAGE ON SCHEMA %s TO %s;\n", quote_identifier(table->schema), role);
	appendStringInfo(sql, "GRANT SELECT ON %s TO %s;\n", name, role);
	if (table->shown == NIL)
		return;
	appendStringInfo(sql, "GRANT UPDATE (%s) ON %s TO %s;\n", list_of(table->shown, as_identifier), name, role);
	appendStringInfo(sql, "DROP TRIGGER IF EXISTS zzz_companion_keep ON %s;\n", name);
	appendStringInfo(
		sql,
		"CREATE TRIGGER zzz_companion_keep BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION companion.keep(%s);\n",
		name, list_of(table->shown, quote_literal_cstr));
}

static void
append_provider(StringInfo sql, const Wanted *wanted)
{
	const char	  *role = quote_identifier(wanted->role);
	StringInfoData tables;

	initStringInfo(&tables);
	for (int i = 0; i < wanted->n; i++)
		appendStringInfo(&tables, "%s, ", qualified(&wanted->tables[i]));
	appendStringInfoString(&tables, "companion.outbox");
	appendStringInfoString(sql,
						   "-- For the provider: run it as the owner of the tables, in the database that has them.\n"
						   "BEGIN;\n");
	appendStringInfoString(sql, provider_outbox);
	append_functions(sql);
	appendStringInfo(sql, provider_keep, quote_literal_cstr(wanted->role));
	appendStringInfo(sql, "GRANT USAGE ON SCHEMA companion TO %s;\n", role);
	appendStringInfo(sql, "GRANT SELECT, DELETE, UPDATE (state, answer, error) ON companion.outbox TO %s;\n", role);
	for (int i = 0; i < wanted->n; i++)
		append_shown(sql, wanted, &wanted->tables[i]);
	appendStringInfo(sql, provider_publication, tables.data, tables.data);
	appendStringInfoString(sql, "COMMIT;\n");
}

/* ---- the companion ---- */

static void
append_import(StringInfo sql, const Replicated *table, const char *server)
{
	const char *foreign = quote_qualified_identifier("provider", table->name);
	char *taken = psprintf("foreign table %s stands for a table of another schema than %s", foreign, table->schema);

	appendStringInfo(sql, companion_import, quote_literal_cstr(table->name), quote_identifier(table->schema),
					 quote_identifier(table->name), server, quote_literal_cstr(foreign),
					 quote_literal_cstr(psprintf("schema_name=%s", table->schema)), quote_literal_cstr(taken));
}

static void
append_companion(StringInfo sql, const Wanted *wanted)
{
	const char *server = quote_identifier(wanted->server);

	appendStringInfoString(sql, "-- For the companion: run it as the owner of the tables there.\nBEGIN;\n");
	appendStringInfoString(sql, companion_outbox);
	appendStringInfo(sql, companion_tell, server);
	appendStringInfoString(sql, "CREATE SCHEMA IF NOT EXISTS provider;\n");
	for (int i = 0; i < wanted->n; i++)
		append_import(sql, &wanted->tables[i], server);
	appendStringInfoString(sql, "COMMIT;\n");
}

/* ---- what is wanted ---- */

static List *
columns_shown(Oid relid)
{
	MemoryContext caller = CurrentMemoryContext;
	WfAccess	  access;
	WfAttachment *attachments;
	List		 *names = NIL;
	int			  n;

	wf_store_enter(&access);
	n = wf_attachments_of(relid, &attachments);
	for (int i = 0; i < n; i++)
	{
		ListCell *lc;

		foreach (lc, wf_attach_shown_columns(&attachments[i]))
		{
			MemoryContextSwitchTo(caller);
			names = lappend(names, pstrdup(lfirst(lc)));
		}
	}
	wf_store_leave(&access);
	MemoryContextSwitchTo(caller);
	return names;
}

static void
look_at_table(Oid relid, Replicated *table)
{
	AttrNumber attnos[INDEX_MAX_KEYS];
	Relation   rel;

	if (!OidIsValid(wf_row_owner(relid)))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", relid));
	if (!wf_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relid)), get_rel_name(relid));
	rel = relation_open(relid, AccessShareLock);
	if (wf_row_key_attnos(rel, attnos) == 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("table \"%s\" has no primary key", RelationGetRelationName(rel)),
				errdetail("By it rows are known again, here and at the provider."),
				errhint("Add one with ALTER TABLE ... ADD PRIMARY KEY, in both places."));
	table->schema = get_namespace_name(RelationGetNamespace(rel));
	table->name = pstrdup(RelationGetRelationName(rel));
	table->shown = columns_shown(relid);
	relation_close(rel, AccessShareLock);
}

/* The foreign tables are all in one schema. */
static void
check_name(const Wanted *wanted, const Replicated *table)
{
	for (const Replicated *other = wanted->tables; other < table; other++)
		if (strcmp(other->name, table->name) == 0)
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("two of the tables are called \"%s\"", table->name),
					errdetail("They are %s and %s; foreign tables for both would have the same name.", qualified(other),
							  qualified(table)),
					errhint("Name each table once, or rename one of both, here and at the provider."));
}

static void
read_tables(ArrayType *array, Wanted *wanted)
{
	Datum *values;
	bool  *nulls;

	deconstruct_array(array, REGCLASSOID, sizeof(Oid), true, TYPALIGN_INT, &values, &nulls, &wanted->n);
	if (wanted->n == 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("argument \"%s\" is empty", "tables"),
				errhint("It names all tables that are replicated, for example '{orders}'."));
	wanted->tables = palloc0(sizeof(Replicated) * wanted->n);
	for (int i = 0; i < wanted->n; i++)
	{
		if (nulls[i])
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("argument \"%s\" must not be null", "tables"));
		look_at_table(DatumGetObjectId(values[i]), &wanted->tables[i]);
		check_name(wanted, &wanted->tables[i]);
	}
}

/*
 * workflow.companion_sql(side text, tables regclass[], role name, server name) → text, the script for one of both sides
 *
 * Errors: 22023 for another side, no table, a table without a primary key, or two of one name; 42501 for tables of others.
 */
Datum
workflow_companion_sql(PG_FUNCTION_ARGS)
{
	char		  *side = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Wanted		   wanted = {.role = NameStr(*PG_GETARG_NAME(2)), .server = NameStr(*PG_GETARG_NAME(3))};
	StringInfoData sql;

	read_tables(PG_GETARG_ARRAYTYPE_P(1), &wanted);
	initStringInfo(&sql);
	if (strcmp(side, "provider") == 0)
		append_provider(&sql, &wanted);
	else if (strcmp(side, "companion") == 0)
		append_companion(&sql, &wanted);
	else
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("\"%s\" is no side", side),
				errhint("It is 'provider' or 'companion'."));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(sql.data, sql.len));
}
