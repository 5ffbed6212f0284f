/*
 * called.c
 *		How many instances calls of calls have led to.
 *
 * They are counted, as many as are allowed at most, and not for each call anew: a process remembers what it has counted
 * and made, for a moment, and for a part of what is still allowed, since others make some as well. The nearer they are
 * to the limit, the more often it counts.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "shmem/settings.h"
#include "store/called.h"
#include "store/query.h"

#define REMEMBERED		64	 /* roots */
#define REMEMBERED_MS	1000 /* how long */
#define REMEMBERED_PART 16	 /* which part of what is still allowed may be made by then */

static WfQuery q_count = {
	.sql = "SELECT count(*) FROM (SELECT FROM workflow_data.instance WHERE root = $1 AND depth > 1 LIMIT $2) c",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};

typedef struct Count
{
	int64		root;
	int			limit;		 /* that was in force then */
	int64		n;			 /* so many lived, or have been made here since */
	int64		enough;		 /* so many may be reached before they are counted again in another transaction */
	TimestampTz at;			 /* when they were counted */
	TimestampTz transaction; /* begin of that in which they were asked for last */
	bool		is_full;	 /* they were counted in it, and were as many as are allowed */
} Count;

static Count remembered[REMEMBERED];

/* Those that this batch has made, and not written yet. */
static int64
in_batch(const WfBatch *batch, int64 root)
{
	int64	  n = 0;
	ListCell *lc;

	foreach (lc, batch->instances)
	{
		const WfInstance *instance = lfirst(lc);

		n += instance->is_new && !instance->ended && instance->root == root && instance->depth > 1;
	}
	return n;
}

static void
count(const WfBatch *batch, int64 root, Count *count)
{
	int	  limit = wf_setting_max_called;
	Datum values[2] = {Int64GetDatum(root), Int64GetDatum(limit)};
	int64 n;

	wf_query_run(&q_count, values, NULL);
	n = wf_result_int64(0, 1) + in_batch(batch, root);
	*count = (Count){.root = root,
					 .limit = limit,
					 .n = n,
					 .enough = n + (limit - n) / REMEMBERED_PART,
					 .at = batch->now,
					 .transaction = GetCurrentTransactionStartTimestamp(),
					 .is_full = n >= limit};
}

static bool
is_good(const Count *count, const WfBatch *batch, int64 root)
{
	if (count->root != root || count->limit != wf_setting_max_called)
		return false;
	if (count->transaction == GetCurrentTransactionStartTimestamp())
		return count->is_full || count->n < count->limit;
	return count->n < count->enough && !TimestampDifferenceExceeds(count->at, batch->now, REMEMBERED_MS);
}

bool
wf_called_has_room(WfBatch *batch, int64 root)
{
	Count			 *known = &remembered[root % REMEMBERED];
	const WfInstance *first = wf_batch_instance(batch, root);

	/* nobody else calls below one that nobody else knows; how many begin in one batch is bounded */
	if (first != NULL && first->is_new)
		return true;
	if (!is_good(known, batch, root))
		count(batch, root, known);
	known->transaction = GetCurrentTransactionStartTimestamp();
	if (known->is_full)
		return false;
	known->n++;
	return true;
}
