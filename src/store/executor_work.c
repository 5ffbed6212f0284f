/*
 * executor_work.c
 *		What is due for executors: queue by queue, and for which role.
 *
 * All queues that have rows are found with one index probe for each, however many rows it has.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "shmem/wakeups.h"
#include "store/executor_work.h"
#include "store/privilege.h"
#include "store/query.h"

#define PROCESS_PREFIX WF_QUEUE_EXECUTOR " "
#define TABLE_PREFIX   WF_QUEUE_EXECUTOR " table "

/* WALK finds the queues of a table. Arguments: a name, the table, further conditions. */
/* SQL that is put together */
/* clang-format off */
#define WALK(name, table, live)                                                                    \
	name " (queue, due_at) AS ("                                                                   \
	"(SELECT r.queue, r.due_at FROM " table " r WHERE r.queue >= 'executor' AND r.queue < 'executor!'" live " " \
	"ORDER BY r.queue, r.due_at LIMIT 1) UNION ALL "                                               \
	"SELECT n.queue, n.due_at FROM " name " w CROSS JOIN LATERAL ("                                \
	"SELECT r.queue, r.due_at FROM " table " r WHERE r.queue > w.queue AND r.queue < 'executor!'" live " " \
	"ORDER BY r.queue, r.due_at LIMIT 1) n)"
#define DUE(table, live)                                                                           \
	"(SELECT count(*)::integer FROM (SELECT FROM " table " r WHERE r.queue = w.queue AND r.due_at <= $1" live " " \
	"ORDER BY r.queue, r.due_at LIMIT $2) d)"
#define NEXT(table, live)                                                                          \
	"(SELECT r.due_at FROM " table " r WHERE r.queue = w.queue AND r.due_at > $1" live " "         \
	"ORDER BY r.queue, r.due_at LIMIT 1)"
#define VISIT "workflow_data.visit"
#define LIVE " AND r.due_at IS NOT NULL AND NOT r.suspended"
#define DELIVERY "workflow_data.delivery"
/* clang-format on */

/* SQL that is put together */
/* clang-format off */
static WfQuery q_work = {
	.sql = "WITH RECURSIVE " WALK("v", VISIT, LIVE) ", " WALK("d", DELIVERY, "") " "
		   "SELECT w.queue, false, w.due_at, " DUE(VISIT, LIVE) ", " NEXT(VISIT, LIVE) " FROM v w UNION ALL "
		   "SELECT w.queue, true, w.due_at, " DUE(DELIVERY, "") ", " NEXT(DELIVERY, "") " FROM d w",
	.nargs = 2, .argtypes = {TIMESTAMPTZOID, INT4OID},
};
/* clang-format on */
static WfQuery q_table = {
	.sql = "SELECT relation::oid FROM workflow_data.attachment WHERE attachment = $1 AND relation IS NOT NULL",
	.nargs = 1,
	.argtypes = {INT4OID},
};

char *
wf_executor_queue(int process_id)
{
	return psprintf(PROCESS_PREFIX "%d", process_id);
}

char *
wf_executor_queue_of_table(int attachment)
{
	return psprintf(TABLE_PREFIX "%d", attachment);
}

bool
wf_is_executor_queue(const char *queue)
{
	int n = strlen(WF_QUEUE_EXECUTOR);

	return queue != NULL && strncmp(queue, WF_QUEUE_EXECUTOR, n) == 0 && (queue[n] == '\0' || queue[n] == ' ');
}

int
wf_executor_work(TimestampTz now, int limit, WfExecutorWork **work)
{
	Datum  values[2] = {TimestampTzGetDatum(now), Int32GetDatum(limit)};
	uint64 n = wf_query_run(&q_work, values, NULL);

	*work = palloc(sizeof(WfExecutorWork) * Max(n, 1));
	for (uint64 i = 0; i < n; i++)
	{
		WfExecutorWork *one = &(*work)[i];
		bool			isnull;
		Datum			next;

		one->queue = wf_result_text(i, 1);
		one->deliveries = DatumGetBool(wf_result(i, 2, &isnull));
		one->since = wf_result_int64(i, 3);
		one->n = DatumGetInt32(wf_result(i, 4, &isnull));
		next = wf_result(i, 5, &isnull);
		one->next = isnull ? 0 : DatumGetTimestampTz(next);
	}
	SPI_freetuptable(SPI_tuptable);
	return (int) n;
}

static Oid
table_owner(int attachment)
{
	Datum	  values[1] = {Int32GetDatum(attachment)};
	HeapTuple tuple;
	bool	  isnull;
	Oid		  owner;

	if (wf_query_run(&q_table, values, NULL) == 0)
		return InvalidOid;
	tuple = SearchSysCache1(RELOID, wf_result(0, 1, &isnull));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

Oid
wf_executor_queue_role(const char *queue)
{
	if (strncmp(queue, TABLE_PREFIX, strlen(TABLE_PREFIX)) == 0)
		return table_owner(atoi(queue + strlen(TABLE_PREFIX)));
	if (strncmp(queue, PROCESS_PREFIX, strlen(PROCESS_PREFIX)) == 0)
		return wf_process_owner(atoi(queue + strlen(PROCESS_PREFIX)));
	return InvalidOid;
}
