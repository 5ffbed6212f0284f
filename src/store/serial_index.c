/*
 * serial_index.c
 *		How a serial number is looked up: in the index on instance and visit.
 *
 * Views show `workflow.serial_number(instance, visit)`. An index on that would be one more into
 * which each visit is entered, twice, and would say nothing that the key does not say. So the
 * planner is shown an index on serial numbers that does not exist, and finds out what it could be
 * used for, as of any index: constants, parameters, lists, joins. When it asks what a scan of it
 * costs, the scan becomes one of the key's index, with conditions on both numbers.
 *
 * A text that is not written as a serial number is that of no row, and its halves are NULL. The
 * numbers in rows are those of sequences, which count from 1.
 */
#include "compat.h"

#include "access/amapi.h"
#include "access/stratnum.h"
#include "catalog/namespace.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_language_d.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type_d.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "store/query.h"

#define DATA_SCHEMA "workflow_data"

typedef struct SerialIndex
{
	IndexOptInfo  index; /* what the planner is shown */
	IndexOptInfo *keys;	 /* the index on both numbers */
} SerialIndex;

/* What conditions on keys are made of. */
typedef enum Half
{
	INSTANCE,
	VISIT,
	INSTANCES,
} Half;

static const struct
{
	const char *function;
	Oid			argument;
	Oid			result;
} halves[] = {
	[INSTANCE] = {"serial_instance", TEXTOID, INT8OID},
	[VISIT] = {"serial_visit", TEXTOID, INT8OID},
	[INSTANCES] = {"serial_instances", TEXTARRAYOID, INT8ARRAYOID},
};

static WfRelationHook previous_relation_hook = NULL;

/* ---- scans ---- */

/* A function of ours: one in C is made by superusers alone. InvalidOid: there is none. */
static Oid
our_function(const char *schema, const char *name, const Oid *types, int n)
{
	HeapTuple tuple;
	Oid		  schema_oid = get_namespace_oid(schema, true);
	Oid		  oid = InvalidOid;

	tuple = SearchSysCache3(PROCNAMEARGSNSP, CStringGetDatum(name), PointerGetDatum(buildoidvector(types, n)),
							ObjectIdGetDatum(schema_oid));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	if (((Form_pg_proc) GETSTRUCT(tuple))->prolang == ClanguageId)
		oid = ((Form_pg_proc) GETSTRUCT(tuple))->oid;
	ReleaseSysCache(tuple);
	return oid;
}

static Oid
half_of(Half which)
{
	return our_function(DATA_SCHEMA, halves[which].function, &halves[which].argument, 1);
}

/* What a key is compared with; a constant if it can be one. */
static Node *
half(PlannerInfo *root, Half which, Node *serial)
{
	Node	 *argument = coerce_to_target_type(NULL, serial, exprType(serial), halves[which].argument, -1,
											   COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
	FuncExpr *call = makeFuncExpr(half_of(which), halves[which].result, list_make1(argument), InvalidOid,
								  C_COLLATION_OID, COERCE_EXPLICIT_CALL);

	return eval_const_expressions(root, (Node *) call);
}

static Var *
key_column(const IndexOptInfo *keys, int column)
{
	return makeVar(keys->rel->relid, keys->indexkeys[column], INT8OID, -1, InvalidOid, 0);
}

static Oid
equality(const IndexOptInfo *keys, int column)
{
	return get_opfamily_member(keys->opfamily[column], INT8OID, INT8OID, BTEqualStrategyNumber);
}

static RestrictInfo *
number_is(PlannerInfo *root, const IndexOptInfo *keys, int column, Node *serial)
{
	Node *value = half(root, column == 0 ? INSTANCE : VISIT, serial);
	Expr *clause = make_opclause(equality(keys, column), BOOLOID, false, (Expr *) key_column(keys, column),
								 (Expr *) value, InvalidOid, InvalidOid);

	return make_simple_restrictinfo(root, clause);
}

static RestrictInfo *
instance_is_any(PlannerInfo *root, const IndexOptInfo *keys, Node *serials)
{
	ScalarArrayOpExpr *any = makeNode(ScalarArrayOpExpr);

	any->opno = equality(keys, 0);
	any->useOr = true;
	any->args = list_make2(key_column(keys, 0), half(root, INSTANCES, serials));
	any->location = -1;
	set_sa_opfuncid(any);
	return make_simple_restrictinfo(root, (Expr *) any);
}

static IndexClause *
key_clause(RestrictInfo *from, RestrictInfo *condition, int column, bool lossy)
{
	IndexClause *clause = makeNode(IndexClause);

	clause->rinfo = from;
	clause->indexquals = list_make1(condition);
	clause->lossy = lossy;
	clause->indexcol = column;
	return clause;
}

/*
 * Conditions on both numbers, for those on the serial number. Of a list the instances alone are
 * looked up, each once, and the condition is checked: pairs cannot be, and before PostgreSQL 17 each
 * visit would be sought in each instance.
 */
static List *
key_clauses(PlannerInfo *root, const IndexOptInfo *keys, List *serials)
{
	List	 *instances = NIL;
	List	 *visits = NIL;
	ListCell *lc;

	foreach (lc, serials)
	{
		const IndexClause *serial = lfirst(lc);
		Expr			  *is = ((RestrictInfo *) linitial(serial->indexquals))->clause;
		RestrictInfo	  *instance;
		RestrictInfo	  *visit;

		if (IsA(is, ScalarArrayOpExpr))
		{
			instance = instance_is_any(root, keys, lsecond(((ScalarArrayOpExpr *) is)->args));
			instances = lappend(instances, key_clause(serial->rinfo, instance, 0, true));
			continue;
		}
		instance = number_is(root, keys, 0, get_rightop(is));
		visit = number_is(root, keys, 1, get_rightop(is));
		instances = lappend(instances, key_clause(serial->rinfo, instance, 0, serial->lossy));
		visits = lappend(visits, key_clause(visit, visit, 1, serial->lossy));
	}
	return list_concat(instances, visits);
}

/* Make a scan of the index that does not exist one of the other, and tell what that costs. */
static void
become_scan_of_keys(PlannerInfo *root, IndexPath *path, double loop_count, Cost *startup_cost, Cost *total_cost,
					Selectivity *selectivity, double *correlation, double *pages)
{
	IndexOptInfo *keys = ((SerialIndex *) path->indexinfo)->keys;

	path->indexinfo = keys;
	path->indexclauses = key_clauses(root, keys, path->indexclauses);
	path->indexscandir = ForwardScanDirection;
	((amcostestimate_function) keys->amcostestimate)(root, path, loop_count, startup_cost, total_cost, selectivity,
													 correlation, pages);
}

/* ---- the index that does not exist ---- */

static bool
is_column(const IndexOptInfo *keys, int i, Oid relid, const char *name)
{
	char *column = keys->indexkeys[i] > 0 ? get_attname(relid, keys->indexkeys[i], true) : NULL;

	return column != NULL && strcmp(column, name) == 0 && keys->opcintype[i] == INT8OID;
}

static bool
is_on_both_numbers(const IndexOptInfo *keys, Oid relid)
{
	return keys->relam == BTREE_AM_OID && keys->nkeycolumns >= 2 && keys->indpred == NIL && keys->amhasgettuple &&
		   !keys->hypothetical && is_column(keys, 0, relid, "instance") && is_column(keys, 1, relid, "visit");
}

/* An index of one column, which can do nothing but find what is equal. */
static IndexOptInfo *
imagine(IndexOptInfo *keys, FuncExpr *expression)
{
	SerialIndex	 *serial = palloc0(sizeof(SerialIndex));
	IndexOptInfo *index = &serial->index;

	serial->keys = keys;
	NodeSetTag(index, T_IndexOptInfo);
	index->reltablespace = keys->reltablespace;
	index->rel = keys->rel;
	index->pages = keys->pages;
	index->tuples = keys->tuples;
	index->tree_height = keys->tree_height;
	index->ncolumns = index->nkeycolumns = 1;
	index->indexkeys = palloc0(sizeof(int));
	index->indexcollations = palloc(sizeof(Oid));
	index->indexcollations[0] = C_COLLATION_OID;
	index->opfamily = palloc(sizeof(Oid));
	index->opfamily[0] = get_opclass_family(GetDefaultOpClass(TEXTOID, HASH_AM_OID));
	index->opcintype = palloc(sizeof(Oid));
	index->opcintype[0] = TEXTOID;
	index->canreturn = palloc0(sizeof(bool));
	index->relam = HASH_AM_OID;
	index->indexprs = list_make1(expression);
	index->indextlist = list_make1(makeTargetEntry((Expr *) expression, 1, NULL, false));
	index->unique = keys->unique && keys->nkeycolumns == 2;
	index->immediate = keys->immediate;
	index->hypothetical = true;
	index->amsearcharray = true;
	index->amhasgettuple = true;
	index->amhasgetbitmap = keys->amhasgetbitmap;
	index->amcostestimate = become_scan_of_keys;
	return index;
}

static bool
is_data_table(Oid relid)
{
	Oid schema = get_namespace_oid(DATA_SCHEMA, true);

	return OidIsValid(schema) && get_rel_namespace(relid) == schema;
}

/* Are the functions there? A database may have an older version of the extension. */
static bool
has_functions(void)
{
	return OidIsValid(half_of(INSTANCE)) && OidIsValid(half_of(VISIT)) && OidIsValid(half_of(INSTANCES));
}

/* As in the views. */
static FuncExpr *
serial_number(Oid function, const IndexOptInfo *keys)
{
	return makeFuncExpr(function, TEXTOID, list_make2(key_column(keys, 0), key_column(keys, 1)), DEFAULT_COLLATION_OID,
						InvalidOid, COERCE_EXPLICIT_CALL);
}

static void
add_serial_indexes(RelOptInfo *rel, Oid relid)
{
	static const Oid numbers[] = {INT8OID, INT8OID};
	List			*imagined = NIL;
	ListCell		*lc;
	Oid				 oid = our_function("workflow", "serial_number", numbers, lengthof(numbers));

	if (!OidIsValid(oid) || !has_functions())
		return;
	foreach (lc, rel->indexlist)
	{
		IndexOptInfo *keys = lfirst(lc);

		if (is_on_both_numbers(keys, relid))
			imagined = lappend(imagined, imagine(keys, serial_number(oid, keys)));
	}
	rel->indexlist = list_concat(rel->indexlist, imagined);
}

static void
show_serial_indexes(WF_RELATION_HOOK_PARAMETERS)
{
	if (previous_relation_hook != NULL)
		previous_relation_hook(WF_RELATION_HOOK_ARGUMENTS);
	if (WF_RELATION_HOOK_IS_TABLE && rel->indexlist != NIL && WF_RELATION_HOOK_RELID >= FirstNormalObjectId &&
		is_data_table(WF_RELATION_HOOK_RELID))
		add_serial_indexes(rel, WF_RELATION_HOOK_RELID);
}

void
wf_serial_index_init(void)
{
	previous_relation_hook = WF_RELATION_HOOK;
	WF_RELATION_HOOK = show_serial_indexes;
}
