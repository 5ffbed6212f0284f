/*
 * rows_seen.c
 *		Whether users' SQL has come near the extension's rows.
 *
 * Functions of the extension enter the store. What reads tables or views has them in the range table of its plan, with all that
 * the views are made of, even if the statement is one of a function. What parallel workers do is not seen here, so a plan that may
 * use some counts as well.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "executor/executor.h"
#include "utils/lsyscache.h"

#include "store/rows_seen.h"

static bool					   watching = false;
static bool					   seen = false;
static bool					   hooked = false;
static ExecutorStart_hook_type previous_hook = NULL;

static bool
is_ours(Oid relid)
{
	Oid schema = get_rel_namespace(relid);

	return schema == get_namespace_oid("workflow", true) || schema == get_namespace_oid("workflow_data", true);
}

static void
look_at(const PlannedStmt *plan)
{
	ListCell *lc;

	seen |= plan->parallelModeNeeded;
	foreach (lc, plan->rtable)
	{
		const RangeTblEntry *entry = lfirst(lc);

		if (OidIsValid(entry->relid))
			seen |= is_ours(entry->relid);
	}
}

static void
on_executor_start(QueryDesc *query, int flags)
{
	if (watching && !seen)
		look_at(query->plannedstmt);
	if (previous_hook)
		previous_hook(query, flags);
	else
		standard_ExecutorStart(query, flags);
}

void
wf_rows_seen_watch(void)
{
	if (!hooked)
	{
		previous_hook = ExecutorStart_hook;
		ExecutorStart_hook = on_executor_start;
		hooked = true;
	}
	watching = true;
	seen = false;
}

void
wf_rows_seen_end(void)
{
	watching = false;
}

bool
wf_rows_seen(void)
{
	return seen;
}

void
wf_rows_seen_note(void)
{
	seen |= watching;
}
