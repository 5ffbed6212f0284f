/*
 * trust.c
 *		Whose code runs with the rights of the owner of an attached table.
 *
 * An UPDATE of a row runs the table's triggers, rules and policies, checks its constraints, and
 * computes generated columns and expressions of indexes. PostgreSQL lets other roles than the owner
 * of the table bring some of these, or change what they call, and whoever updates the row gives
 * them his rights. Clients decide that for themselves; a write-back cannot. So code is accepted
 * only from roles that may act as the owner anyhow: the owner, members of it, superusers. SECURITY
 * DEFINER functions are no exception: they can set search_path, by which the owner's own code finds
 * what it calls next.
 *
 * The same holds for tables to which a foreign key passes on what is written: their triggers, too,
 * run with the rights of whoever updates the first table. Such a table should belong to a role of
 * that kind, too.
 *
 * The table and those tables are locked while their code is looked at and run. Domains cannot be
 * locked: nothing keeps their owner from adding a check. So a domain counts as code of its owner,
 * whether it has a check or not.
 *
 * What is called is found in pg_depend. What a function or a view of a trusted role calls in its
 * turn is that role's choice. Types, operator classes and languages are made by superusers.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/transam.h"
#include "access/tupdesc.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "store/query.h"
#include "store/row.h"
#include "store/trust.h"

#define CLASS(name) "'pg_catalog." name "'::pg_catalog.regclass::oid"

/*
 * Code of other roles that a write-back runs. Arguments: $1 the table, $2 its columns that are
 * written, $3 its owner. An object's class and OID are packed into one bigint. Both recursions
 * unnest arrays, since the planner takes those to be short: its estimate of a recursion over
 * catalogs is wild, and PostgreSQL 19 makes its hash table as large as that.
 */
#define OBJECT(class, oid) "(" class ")::bigint << 32 | (" oid ")::bigint"

/* SQL that is put together */
/* clang-format off */
static WfQuery q_foreign_code = {
	.sql =
		"WITH RECURSIVE r (oid, own) AS (SELECT $1, true UNION SELECT abs(m.code)::oid, m.code > 0 FROM r, LATERAL unnest(ARRAY("
		"SELECT CASE WHEN r.own THEN i.inhrelid::bigint ELSE -i.inhrelid::bigint END "
		"FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent AND c.relkind = 'p' WHERE i.inhparent = r.oid "
		/* tables to which foreign keys pass on a change of what is written */
		"UNION ALL SELECT -k.conrelid::bigint FROM pg_trigger t JOIN pg_constraint k ON k.oid = t.tgconstraint "
		"WHERE t.tgrelid = r.oid AND k.contype = 'f' AND k.confrelid = r.oid AND k.confupdtype IN ('c', 'n', 'd') "
		"AND (NOT r.own OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = k.confrelid AND a.attnum = ANY (k.confkey) "
		"AND a.attname::text = ANY ($2))))) m (code)), "
		"o (code) AS (SELECT code FROM unnest(ARRAY("
		/* what an UPDATE of these tables runs */
		"SELECT " OBJECT(CLASS("pg_trigger"), "t.oid") " FROM r JOIN pg_trigger t ON t.tgrelid = r.oid "
		"WHERE NOT t.tgisinternal AND t.tgtype & 16 <> 0 AND t.tgenabled IN ('O', 'A') UNION ALL "
		"SELECT " OBJECT(CLASS("pg_rewrite"), "w.oid") " FROM r JOIN pg_rewrite w ON w.ev_class = r.oid WHERE w.ev_type = '2' UNION ALL "
		"SELECT " OBJECT(CLASS("pg_policy"), "p.oid") " FROM r JOIN pg_class c ON c.oid = r.oid JOIN pg_policy p ON p.polrelid = r.oid "
		"WHERE c.relrowsecurity AND c.relforcerowsecurity UNION ALL "
		"SELECT " OBJECT(CLASS("pg_constraint"), "k.oid") " FROM r JOIN pg_constraint k ON k.conrelid = r.oid WHERE k.contype = 'c' UNION ALL "
		"SELECT " OBJECT(CLASS("pg_attrdef"), "d.oid") " FROM r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attgenerated <> '' "
		"JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum UNION ALL "
		"SELECT " OBJECT(CLASS("pg_index"), "x.indexrelid") " FROM r JOIN pg_index x ON x.indrelid = r.oid UNION ALL "
		"SELECT " OBJECT(CLASS("pg_class"), "r.oid") " FROM r WHERE NOT r.own UNION ALL "
		/* domains of columns that are written or looked up */
		"SELECT " OBJECT(CLASS("pg_type"), "a.atttypid") " FROM r JOIN pg_attribute a ON a.attrelid = r.oid "
		"LEFT JOIN pg_index x ON x.indrelid = a.attrelid AND x.indisprimary "
		"WHERE a.attnum > 0 AND (NOT r.own OR a.attrelid = $1 AND (a.attname::text = ANY ($2) OR a.attnum = ANY (x.indkey))))) code "
		/* and what all that calls */
		"UNION SELECT m.code FROM o, LATERAL (SELECT (o.code >> 32)::oid, (o.code & 4294967295)::oid) n (class, object), "
		"LATERAL unnest(ARRAY("
		"SELECT " OBJECT("d.refclassid", "d.refobjid") " FROM pg_depend d "
		"WHERE d.classid = CASE n.class WHEN " CLASS("pg_index") " THEN " CLASS("pg_class") " ELSE n.class END "
		"AND d.objid = n.object AND n.class <> " CLASS("pg_class") " AND (d.refclassid IN (" CLASS("pg_proc") ", " CLASS("pg_type") ") "
		"OR d.refclassid IN (" CLASS("pg_operator") ", " CLASS("pg_class") ") AND n.class <> " CLASS("pg_type") ") "
		"AND (n.class <> " CLASS("pg_proc") " OR EXISTS (SELECT FROM pg_proc f WHERE f.oid = n.object AND f.prokind = 'a')) "
		"UNION ALL SELECT " OBJECT(CLASS("pg_constraint"), "k.oid") " FROM pg_constraint k "
		"WHERE n.class = " CLASS("pg_type") " AND k.contypid = n.object "
		"UNION ALL SELECT " OBJECT(CLASS("pg_type"), "a.atttypid") " FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid "
		"WHERE n.class = " CLASS("pg_type") " AND t.oid = n.object AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped"
		")) m (code)), "
		"n (class, object) AS (SELECT (code >> 32)::oid, (code & 4294967295)::oid FROM o) "
		"(SELECT 'function ' || f.oid::regprocedure || ' of role ' || quote_ident(pg_get_userbyid(f.proowner)) "
		"FROM n JOIN pg_proc f ON n.class = " CLASS("pg_proc") " AND f.oid = n.object "
		"WHERE NOT pg_has_role(f.proowner, $3, 'USAGE') ORDER BY 1 LIMIT 1) "
		"UNION ALL (SELECT 'relation ' || c.oid::regclass || ' of role ' || quote_ident(pg_get_userbyid(c.relowner)) "
		"FROM n JOIN pg_class c ON n.class = " CLASS("pg_class") " AND c.oid = n.object "
		"WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid NOT IN (SELECT r.oid FROM r WHERE r.own) "
		"AND NOT pg_has_role(c.relowner, $3, 'USAGE') ORDER BY 1 LIMIT 1) "
		/* domains, to which their owners can add checks at any moment, in spite of our locks */
		"UNION ALL (SELECT 'the checks of domain ' || t.oid::regtype || ' of role ' || quote_ident(pg_get_userbyid(t.typowner)) "
		"FROM n JOIN pg_type t ON n.class = " CLASS("pg_type") " AND t.oid = n.object "
		"WHERE t.typtype = 'd' AND NOT pg_has_role(t.typowner, $3, 'USAGE') ORDER BY 1 LIMIT 1)",
	.nargs = 3, .argtypes = {OIDOID, TEXTARRAYOID, OIDOID},
};
/* clang-format on */

/* ---- when answers may have changed ---- */

static uint64 generation = 0; /* 0: nobody has asked yet, so no callback is registered */

static void
on_change(Datum arg, int cacheid, uint32 hashvalue)
{
	generation++;
}

uint64
wf_trust_generation(void)
{
	static const int caches[] = {PROCOID, CASTSOURCETARGET, CONSTROID, TYPEOID, OPEROID, AUTHOID, AUTHMEMROLEMEM};

	if (generation == 0)
	{
		for (int i = 0; i < lengthof(caches); i++)
			CacheRegisterSyscacheCallback(caches[i], on_change, (Datum) 0);
		generation = 1;
	}
	return generation;
}

/* ---- followers ---- */

static void
lock_followers(Relation rel, List **locked)
{
	const TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Oid		 function = triggers->triggers[i].tgfoid;
		Oid		 relid = triggers->triggers[i].tgconstrrelid;
		Relation follower;

		if ((function != F_RI_FKEY_CASCADE_UPD && function != F_RI_FKEY_SETNULL_UPD &&
			 function != F_RI_FKEY_SETDEFAULT_UPD) ||
			list_member_oid(*locked, relid))
			continue;
		*locked = lappend_oid(*locked, relid);
		follower = try_relation_open(relid, RowExclusiveLock);
		if (follower == NULL)
			continue;
		lock_followers(follower, locked);
		relation_close(follower, NoLock);
		triggers = rel->trigdesc; /* the triggers may have changed while the lock was waited for */
		i = -1;
	}
}

bool
wf_trust_lock_followers(Relation rel)
{
	List *locked = NIL;

	lock_followers(rel, &locked);
	return locked != NIL;
}

/* ---- casts ---- */

static bool
is_trusted_role(Oid function, Oid owner)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool	  answer;

	if (!HeapTupleIsValid(tuple))
		return false;
	answer = has_privs_of_role(((Form_pg_proc) GETSTRUCT(tuple))->proowner, owner);
	ReleaseSysCache(tuple);
	return answer;
}

static Oid
foreign_cast_within(Oid type, Oid owner)
{
	TupleDesc desc = lookup_rowtype_tupdesc(type, -1);
	Oid		  function = InvalidOid;

	for (int i = 0; i < desc->natts && !OidIsValid(function); i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			function = wf_trust_foreign_cast(TupleDescAttr(desc, i)->atttypid, owner);
	ReleaseTupleDesc(desc);
	return function;
}

/* Look for the cast in the way of to_jsonb. */
Oid
wf_trust_foreign_cast(Oid type, Oid owner)
{
	Oid base = getBaseType(type);
	Oid element = get_element_type(base);
	Oid function;

	check_stack_depth();
	if (OidIsValid(element))
		return wf_trust_foreign_cast(element, owner);
	if (base < FirstNormalObjectId)
		return InvalidOid;
	if (type_is_rowtype(base))
		return foreign_cast_within(base, owner);
	if (find_coercion_pathway(JSONOID, base, COERCION_EXPLICIT, &function) != COERCION_PATH_FUNC ||
		!OidIsValid(function) || is_trusted_role(function, owner))
		return InvalidOid;
	return function;
}

/* ---- what a write-back runs ---- */

static Datum
written_columns(const WfAttachment *attachment)
{
	const char *names[] = {attachment->serial_column, attachment->status_column, attachment->instance_column};
	Datum		datums[lengthof(names) + WF_MAX_RESULT_COLUMNS];
	int			n = 0;

	for (int i = 0; i < lengthof(names); i++)
		if (names[i] != NULL)
			datums[n++] = CStringGetTextDatum(names[i]);
	for (int i = 0; i < attachment->nresults; i++)
		datums[n++] = CStringGetTextDatum(attachment->results[i].column);
	return PointerGetDatum(construct_array(datums, n, TEXTOID, -1, false, TYPALIGN_INT));
}

char *
wf_trust_foreign_code(const WfAttachment *attachment)
{
	Datum values[3] = {ObjectIdGetDatum(wf_attachment_shows_in(attachment)), written_columns(attachment),
					   ObjectIdGetDatum(wf_row_owner(attachment->relation))};

	return wf_query_run(&q_foreign_code, values, NULL) > 0 ? wf_result_text(0, 1) : NULL;
}

char *
wf_trust_function_name(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	char	 *owner;

	if (!HeapTupleIsValid(tuple))
		return pstrdup("a function");
	owner = GetUserNameFromId(((Form_pg_proc) GETSTRUCT(tuple))->proowner, true);
	ReleaseSysCache(tuple);
	return psprintf("function %s of role %s", format_procedure(function),
					owner != NULL ? quote_identifier(owner) : "?");
}
