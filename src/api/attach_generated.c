/*
 * attach_generated.c
 *		Generated columns of rows that are being inserted.
 *
 * Stored ones are computed after the last BEFORE trigger, virtual ones never: without them a
 * condition would judge, and an instance be given, another row than the table shows.
 *
 * The compiled expressions are kept with the table, and taken out of it while they are in use: an
 * expression calls functions of users, which may insert into the same table.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "api/attach_internal.h"

struct WfGenerated
{
	MemoryContext	context;
	TupleTableSlot *slot;
	ExprContext	   *econtext;
	int				n;
	int			   *columns;
	bool		   *stored;
	ExprState	  **expressions;
};

static WfGenerated *
make_generated(Relation rel)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "workflow generated columns", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TupleDesc	  desc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	WfGenerated	 *generated = palloc0(sizeof(WfGenerated));

	generated->context = context;
	generated->slot = MakeSingleTupleTableSlot(desc, &TTSOpsHeapTuple);
	generated->econtext = CreateStandaloneExprContext();
	generated->columns = palloc(sizeof(int) * desc->natts);
	generated->stored = palloc(sizeof(bool) * desc->natts);
	generated->expressions = palloc(sizeof(ExprState *) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Expr			 *expression;

		if (att->attisdropped || att->attgenerated == '\0')
			continue;
		expression = (Expr *) build_column_default(rel, att->attnum);
		if (expression == NULL)
			elog(ERROR, "column \"%s\" has no generation expression", NameStr(att->attname));
		generated->columns[generated->n] = att->attnum;
		generated->stored[generated->n] = att->attgenerated == ATTRIBUTE_GENERATED_STORED;
		generated->expressions[generated->n] = ExecInitExpr(expression_planner(expression), NULL);
		generated->n++;
	}
	MemoryContextSwitchTo(old);
	return generated;
}

/*
 * Take the compiled expressions out of the table, or compile them. They then belong to the current
 * context, so an abort frees them.
 */
static WfGenerated *
take_generated(WfAttachedTable *table, Relation rel)
{
	WfGenerated *generated = table->generated;

	if (generated == NULL)
		return make_generated(rel);
	table->generated = NULL;
	MemoryContextSetParent(generated->context, CurrentMemoryContext);
	return generated;
}

static void
put_back(WfAttachedTable *table, WfGenerated *generated)
{
	ExecClearTuple(generated->slot);
	ResetExprContext(generated->econtext);
	if (table->generated != NULL)
	{
		MemoryContextDelete(generated->context);
		return;
	}
	MemoryContextSetParent(generated->context, table->context);
	table->generated = generated;
}

void
wf_generated_forget(WfAttachedTable *table)
{
	if (table->generated != NULL)
		MemoryContextDelete(table->generated->context);
	table->generated = NULL;
}

HeapTuple
wf_generated_fill(WfAttachedTable *table, Relation rel, HeapTuple tuple, bool stored_too)
{
	WfGenerated *generated = take_generated(table, rel);
	Datum		*values = palloc(sizeof(Datum) * generated->n);
	bool		*nulls = palloc(sizeof(bool) * generated->n);
	int			*columns = palloc(sizeof(int) * generated->n);
	int			 n = 0;
	HeapTuple	 filled;

	ExecStoreHeapTuple(tuple, generated->slot, false);
	generated->slot->tts_tableOid = RelationGetRelid(rel);
	generated->econtext->ecxt_scantuple = generated->slot;
	for (int i = 0; i < generated->n; i++)
	{
		if (generated->stored[i] && !stored_too)
			continue;
		columns[n] = generated->columns[i];
		values[n] = ExecEvalExprSwitchContext(generated->expressions[i], generated->econtext, &nulls[n]);
		n++;
	}
	filled = heap_modify_tuple_by_cols(tuple, RelationGetDescr(rel), n, columns, values, nulls);
	put_back(table, generated);
	return filled;
}
