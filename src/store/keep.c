/*
 * keep.c
 *		Keep a part of a shard's instances, and drop the others, which live on in a copy.
 *
 * A shard is split by copying all of it: each copy keeps its part. What belongs to an instance goes with it; what belongs to none is
 * kept by all, but for what would be carried out once by each: that has a number of its own, by which one of the parts keeps it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "storage/lmgr.h"

#include "store/access.h"
#include "store/keep.h"
#include "store/query.h"

#define PART(number)  "(" number " >> 10) % $1"
#define OTHERS(table) "DELETE FROM workflow_data." table " h WHERE h.instance <> 0 AND " PART("h.instance") " <> $2"
#define KEEP(text) \
	{ \
		.sql = text, .nargs = 2, .argtypes = { INT4OID, INT4OID } \
	}

static WfQuery q_apart = KEEP(
	"SELECT i.instance, i.parent FROM workflow_data.instance i "
	"WHERE i.parent IS NOT NULL AND " PART("i.instance") " <> " PART("i.parent") " AND $2 >= 0 ORDER BY 1 LIMIT 1");
/* the first one counts */
static WfQuery q_drop[] = {
	KEEP(OTHERS("instance")),
	KEEP(OTHERS("visit")),
	KEEP(OTHERS("subscription")),
	KEEP(OTHERS("task")),
	KEEP(OTHERS("item")),
	KEEP(OTHERS("work")),
	KEEP(OTHERS("on_behalf")),
	KEEP(OTHERS("delivery")),
	KEEP(OTHERS("late_callback")),
	KEEP(OTHERS("audit")),
	KEEP(OTHERS("webhook_start")),
	KEEP(OTHERS("message")),
	KEEP(OTHERS("instance_history")),
	KEEP(OTHERS("visit_history")),
	KEEP(OTHERS("attempt_history")),
	KEEP(OTHERS("instance_stray")),
	KEEP(OTHERS("visit_stray")),
	KEEP(OTHERS("attempt_stray")),
	KEEP(OTHERS("operation")),
	KEEP(
		"DELETE FROM workflow_data.operation h WHERE h.instance IS NULL AND h.done_at IS NULL AND h.operation % $1 <> $2"),
	KEEP("DELETE FROM workflow_data.operation_headers h WHERE $1 > $2 AND "
		 "NOT EXISTS (SELECT FROM workflow_data.operation o WHERE o.operation = h.operation)"),
	KEEP("DELETE FROM workflow_data.delivery h WHERE h.instance = 0 AND $1 > $2 AND h.payload ? 'operation' AND "
		 "NOT EXISTS (SELECT FROM workflow_data.operation o WHERE o.operation = (h.payload ->> 'operation')::bigint)"),
	KEEP("DELETE FROM workflow_data.delivery h WHERE h.instance = 0 AND h.kind = 'start' AND h.delivery % $1 <> $2"),
};

static void
refuse_apart(int64 instance, int64 parent)
{
	ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("instance " INT64_FORMAT " would be parted from the one that has called it", instance),
			errdetail("That is instance " INT64_FORMAT ", of another part.", parent),
			errhint("Let such instances come to their end first, or try another modulus."));
}

int64
wf_keep(int modulus, int remainder)
{
	Datum values[2] = {Int32GetDatum(modulus), Int32GetDatum(remainder)};
	int64 dropped = 0;

	LockRelationOid(wf_store_relation("instance"), ExclusiveLock);
	if (wf_query_run(&q_apart, values, NULL) > 0)
		refuse_apart(wf_result_int64(0, 1), wf_result_int64(0, 2));
	for (int i = 0; i < lengthof(q_drop); i++)
	{
		uint64 n = wf_query_run(&q_drop[i], values, NULL);

		if (i == 0)
			dropped = (int64) n;
	}
	return dropped;
}
