/*
 * view_plan.c
 *		How views of the extension are planned: as tables with row security.
 *
 * The views are security barriers, since they must show nobody what he may not see, not even to his
 * own functions in a condition. But PostgreSQL pushes no join clause through a barrier, so that a
 * join by serial number would read everything that waits. Row security has no such limits: a
 * condition on each table comes before all that is not leakproof, and joins use indexes. So the
 * planner is given row security instead: the barrier is removed, and the view's condition on rights
 * becomes one of row security for each of its tables. Where this cannot be done, the barrier stays.
 */
#include "compat.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "commands/extension.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "store/query.h"

#define FILTER_COLUMN "process_id"

static planner_hook_type previous_planner = NULL;

typedef struct Context
{
	Oid schema;	   /* that of the extension's views */
	Oid extension; /* looked up when it is first needed */
} Context;

/* ---- one view ---- */

/*
 * Is this a view of ours? A foreign view in the same schema may be a barrier for reasons of its
 * own.
 */
static bool
is_own_view(const RangeTblEntry *rte, Context *context)
{
	Oid view;

	if (rte->rtekind != RTE_SUBQUERY || !rte->security_barrier)
		return false;
	view = wf_view_of(rte);
	if (!OidIsValid(view) || get_rel_namespace(view) != context->schema)
		return false;
	if (!OidIsValid(context->extension))
		context->extension = get_extension_oid("workflow", true);
	return OidIsValid(context->extension) && getExtensionOfObject(RelationRelationId, view) == context->extension;
}

static bool
is_table(const RangeTblEntry *rte)
{
	return rte->rtekind == RTE_RELATION &&
		   (rte->relkind == RELKIND_RELATION || rte->relkind == RELKIND_PARTITIONED_TABLE);
}

/* Is this a subquery of which the view itself is made? */
static bool
is_part(const RangeTblEntry *rte)
{
	return rte->rtekind == RTE_SUBQUERY && !rte->security_barrier;
}

/*
 * Is this the condition on rights, `process_id = ANY ((SELECT
 * workflow_data.my_processes(…))::integer[])`? It is one of those that are connected by AND.
 */
static bool
is_filter(const Node *node, const Query *view)
{
	const ScalarArrayOpExpr *any = (const ScalarArrayOpExpr *) node;
	const Var				*column;
	const RangeTblEntry		*rte;

	if (!IsA(node, ScalarArrayOpExpr) || !IsA(linitial(any->args), Var) || !IsA(lsecond(any->args), SubLink))
		return false;
	column = linitial(any->args);
	if (column->varlevelsup != 0 || column->varattno <= 0)
		return false;
	rte = rt_fetch(column->varno, view->rtable);
	return strcmp(strVal(list_nth(rte->eref->colnames, column->varattno - 1)), FILTER_COLUMN) == 0;
}

/*
 * Remove the condition on rights from the view and its subqueries, and return it; NULL if there is
 * none.
 */
static ScalarArrayOpExpr *
take_filter(Query *view)
{
	ScalarArrayOpExpr *filter = NULL;
	List			  *conditions = make_ands_implicit((Expr *) view->jointree->quals);
	List			  *others = NIL;
	ListCell		  *lc;

	foreach (lc, conditions)
	{
		if (is_filter(lfirst(lc), view))
			filter = lfirst(lc);
		else
			others = lappend(others, lfirst(lc));
	}
	view->jointree->quals = others != NIL ? (Node *) make_ands_explicit(others) : NULL;
	foreach (lc, view->rtable)
	{
		RangeTblEntry	  *rte = lfirst(lc);
		ScalarArrayOpExpr *inner = is_part(rte) ? take_filter(rte->subquery) : NULL;

		filter = filter != NULL ? filter : inner;
	}
	return filter;
}

/* The only relation of which the condition reads columns; 0 if there is none, or several. */
static int
only_relation(Node *node)
{
	List	 *vars = pull_vars_of_level(node, 0);
	int		  varno = 0;
	ListCell *lc;

	foreach (lc, vars)
	{
		int next = ((const Var *) lfirst(lc))->varno;

		if (varno != 0 && next != varno)
			return 0;
		varno = next;
	}
	return varno;
}

/*
 * Move further conditions on rights, which read one table alone, to that table's row security. The
 * view `waiting` has one, about steps.
 */
static void
move_own_conditions(Query *view)
{
	List	 *others = NIL;
	ListCell *lc;

	foreach (lc, make_ands_implicit((Expr *) view->jointree->quals))
	{
		int			   varno = checkExprHasSubLink(lfirst(lc)) ? only_relation(lfirst(lc)) : 0;
		RangeTblEntry *rte = varno != 0 ? rt_fetch(varno, view->rtable) : NULL;

		if (rte != NULL && is_table(rte))
			rte->securityQuals = lappend(rte->securityQuals, lfirst(lc));
		else
			others = lappend(others, lfirst(lc));
	}
	view->jointree->quals = others != NIL ? (Node *) make_ands_explicit(others) : NULL;
}

/*
 * Can each table be filtered by itself? Views of ours within the view are handled when it is their
 * turn.
 */
static bool
can_be_lifted(const Query *view, Context *context)
{
	ListCell *lc;

	foreach (lc, view->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);
		bool		   is_placeholder = rte->rtekind == RTE_RELATION && rte->relkind == RELKIND_VIEW;

		if (rte->rtekind == RTE_JOIN || is_placeholder || is_own_view(rte, context) ||
			(is_part(rte) && can_be_lifted(rte->subquery, context)) ||
			(is_table(rte) && get_attnum(rte->relid, FILTER_COLUMN) != InvalidAttrNumber))
			continue;
		return false;
	}
	return true;
}

static void
filter_tables(Query *view, ScalarArrayOpExpr *filter)
{
	for (int i = 1; i <= list_length(view->rtable); i++)
	{
		RangeTblEntry	  *rte = rt_fetch(i, view->rtable);
		ScalarArrayOpExpr *own;

		if (is_part(rte))
			filter_tables(rte->subquery, filter);
		if (!is_table(rte))
			continue;
		own = copyObject(filter);
		linitial(own->args) =
			makeVar(i, get_attnum(rte->relid, FILTER_COLUMN), exprType(linitial(filter->args)), -1, InvalidOid, 0);
		rte->securityQuals = lappend(rte->securityQuals, own);
		view->hasSubLinks = true;
	}
}

/* Is all that the view reads one table, and each of its conditions one on rights? The view `operations` is such a one. */
static bool
is_of_one_table(const Query *view)
{
	List	 *conditions = make_ands_implicit((Expr *) view->jointree->quals);
	int		  tables = 0;
	ListCell *lc;

	foreach (lc, view->rtable)
		tables += is_table(lfirst(lc)) ? 1 : is_part(lfirst(lc)) ? 2 : 0;
	foreach (lc, conditions)
		if (!checkExprHasSubLink(lfirst(lc)) || only_relation(lfirst(lc)) == 0)
			return false;
	return tables == 1 && conditions != NIL;
}

static void
lift_barrier(RangeTblEntry *rte, Context *context)
{
	ScalarArrayOpExpr *filter;

	if (!can_be_lifted(rte->subquery, context))
		return;
	filter = take_filter(rte->subquery);
	if (filter == NULL && !is_of_one_table(rte->subquery))
		return;
	if (filter != NULL)
		filter_tables(rte->subquery, filter);
	move_own_conditions(rte->subquery);
	rte->security_barrier = false;
}

/* ---- all views of a statement ---- */

static bool
lift_barriers(Node *node, void *arg)
{
	Context	 *context = arg;
	ListCell *lc;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, lift_barriers, arg);
	foreach (lc, ((Query *) node)->rtable)
		if (is_own_view(lfirst(lc), context))
			lift_barrier(lfirst(lc), context);
	return query_tree_walker((Query *) node, lift_barriers, arg, 0);
}

static PlannedStmt *
plan(WF_PLANNER_PARAMETERS)
{
	Context context = {.schema = get_namespace_oid("workflow", true)};

	if (OidIsValid(context.schema))
		(void) lift_barriers((Node *) parse, &context);
	return previous_planner != NULL ? previous_planner(WF_PLANNER_ARGUMENTS) : standard_planner(WF_PLANNER_ARGUMENTS);
}

void
wf_view_plan_init(void)
{
	previous_planner = planner_hook;
	planner_hook = plan;
}
