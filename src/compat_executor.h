/*
 * compat_executor.h
 *		Every difference between PostgreSQL versions that concerns rows without statements. As compat.h, apart from it
 *		since hardly anybody needs what is included here.
 */
#ifndef WF_COMPAT_EXECUTOR_H
#define WF_COMPAT_EXECUTOR_H

#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "parser/parse_relation.h"
#include "utils/rel.h"
#include "utils/relcache.h"

/* The index of a primary key, which an equality can be looked up in; InvalidOid if there is none. */
#if PG_VERSION_NUM < 180000
#define wf_primary_key_index(rel) RelationGetPrimaryKeyIndex(rel)
#else
#define wf_primary_key_index(rel) RelationGetPrimaryKeyIndex(rel, false)
#endif

#if PG_VERSION_NUM < 180000
#define wf_index_beginscan(rel, index, snapshot, nkeys) index_beginscan(rel, index, snapshot, nkeys, 0)
#elif PG_VERSION_NUM < 190000
#define wf_index_beginscan(rel, index, snapshot, nkeys) index_beginscan(rel, index, snapshot, NULL, nkeys, 0)
#else
#define wf_index_beginscan(rel, index, snapshot, nkeys) index_beginscan(rel, index, snapshot, NULL, nkeys, 0, 0)
#endif

/*
 * Let an executor's state know the one table that it is about. `inserted` and `updated` are the columns that are
 * written, as the executor counts them.
 */
static inline void
wf_init_range_table(EState *estate, Relation rel, Bitmapset *inserted, Bitmapset *updated)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	rte->rtekind = RTE_RELATION;
	rte->relid = RelationGetRelid(rel);
	rte->relkind = rel->rd_rel->relkind;
	rte->rellockmode = RowExclusiveLock;
#if PG_VERSION_NUM < 160000
	rte->insertedCols = inserted;
	rte->updatedCols = updated;
	ExecInitRangeTable(estate, list_make1(rte));
#else
	{
		List			  *infos = NIL;
		RTEPermissionInfo *info = addRTEPermissionInfo(&infos, rte);

		info->insertedCols = inserted;
		info->updatedCols = updated;
#if PG_VERSION_NUM < 180000
		ExecInitRangeTable(estate, list_make1(rte), infos);
#else
		ExecInitRangeTable(estate, list_make1(rte), infos, bms_make_singleton(1));
#endif
	}
#endif
}

/* Which indexes need a new entry after an update. PostgreSQL 16 brought those that summarize. */
#if PG_VERSION_NUM < 160000
typedef bool WfUpdateIndexes;
#define WF_UPDATES_INDEXES(which)	  (which)
#define WF_UPDATES_SUMMARIZING(which) false
#else
typedef TU_UpdateIndexes WfUpdateIndexes;
#define WF_UPDATES_INDEXES(which)	  ((which) != TU_None)
#define WF_UPDATES_SUMMARIZING(which) ((which) == TU_Summarizing)
#endif

#if PG_VERSION_NUM < 160000
#define wf_insert_index_entries(info, slot, estate, update, summarizing) \
	ExecInsertIndexTuples(info, slot, estate, update, false, NULL, NIL)
#elif PG_VERSION_NUM < 190000
#define wf_insert_index_entries(info, slot, estate, update, summarizing) \
	ExecInsertIndexTuples(info, slot, estate, update, false, NULL, NIL, summarizing)
#else
#define wf_insert_index_entries(info, slot, estate, update, summarizing) \
	ExecInsertIndexTuples(info, estate, ((update) ? EIIT_IS_UPDATE : 0) | ((summarizing) ? EIIT_ONLY_SUMMARIZING : 0), \
						  slot, NIL, NULL)
#endif

#if PG_VERSION_NUM < 170000
#define wf_index_insert_cleanup(index, info) ((void) (index))
#else
#define wf_index_insert_cleanup(index, info) index_insert_cleanup(index, info)
#endif

/* Triggers before a row: false if one of them has said that nothing is to be done. */
#if PG_VERSION_NUM < 160000
#define wf_before_update(estate, epq, info, tid, slot) ExecBRUpdateTriggers(estate, epq, info, tid, NULL, slot, NULL)
#define wf_before_delete(estate, epq, info, tid)	   ExecBRDeleteTriggers(estate, epq, info, tid, NULL, NULL)
#elif PG_VERSION_NUM < 180000
#define wf_before_update(estate, epq, info, tid, slot) \
	ExecBRUpdateTriggers(estate, epq, info, tid, NULL, slot, NULL, NULL)
#define wf_before_delete(estate, epq, info, tid) ExecBRDeleteTriggers(estate, epq, info, tid, NULL, NULL, NULL, NULL)
#else
#define wf_before_update(estate, epq, info, tid, slot) \
	ExecBRUpdateTriggers(estate, epq, info, tid, NULL, slot, NULL, NULL, false)
#define wf_before_delete(estate, epq, info, tid) \
	ExecBRDeleteTriggers(estate, epq, info, tid, NULL, NULL, NULL, NULL, false)
#endif

#if PG_VERSION_NUM < 190000
#define wf_row_delete(rel, tid, cid, snapshot, crosscheck, failure) \
	table_tuple_delete(rel, tid, cid, snapshot, crosscheck, true, failure, false)
#define wf_row_update(rel, tid, slot, cid, snapshot, crosscheck, failure, mode, indexes) \
	table_tuple_update(rel, tid, slot, cid, snapshot, crosscheck, true, failure, mode, indexes)
#else
#define wf_row_delete(rel, tid, cid, snapshot, crosscheck, failure) \
	table_tuple_delete(rel, tid, cid, 0, snapshot, crosscheck, true, failure)
#define wf_row_update(rel, tid, slot, cid, snapshot, crosscheck, failure, mode, indexes) \
	table_tuple_update(rel, tid, slot, cid, 0, snapshot, crosscheck, true, failure, mode, indexes)
#endif

#endif
