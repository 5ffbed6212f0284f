/*
 * turns.c
 *		Which of its role's queues an executor takes work from next.
 *
 * A list of the queues that have work is made now and then. The executor goes through it round and round, and does
 * one piece of work of each queue, so that a process with much work does not keep other processes of the same owner
 * waiting. The list is made again when it is used up or old. It is in this process's memory.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/executors.h"
#include "store/access.h"
#include "store/executor_work.h"
#include "worker/turns.h"
#include "worker/worker.h"

/*
 * A list is old after LIST_US, or after LIST_PART times as long as it took to make, if there are so many queues that
 * this takes longer.
 */
#define LIST_US	  INT64CONST(100000)
#define LIST_PART 4
/* A queue is in the list for so many pieces of work at most. */
#define PIECES 32

static MemoryContext   list_context = NULL;
static WfExecutorWork *list;
static int			   nlist = 0;
static int			   current = 0; /* index of the queue whose turn it is */
static TimestampTz	   old_at = 0;	/* from this time on the list is old */

/* The queue that had the last turn, so that a new list begins behind it. Executors' queues have short names. */
static char last[64] = "";
static bool last_deliveries;

/* Read the list. nlist is set at the end, so that an error on the way leaves the list empty. */
static void
read_work(void)
{
	WfAccess		access;
	WfExecutorWork *all;
	int				kept = 0;
	int				n;

	wf_begin_transaction();
	wf_store_enter(&access);
	n = wf_executor_work(GetCurrentTimestamp(), PIECES, &all);
	list = MemoryContextAlloc(list_context, sizeof(WfExecutorWork) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		if (all[i].n == 0 || wf_executor_queue_role(all[i].queue) != wf_executor_role())
			continue;
		list[kept] = all[i];
		list[kept++].queue = MemoryContextStrdup(list_context, all[i].queue);
	}
	wf_store_leave(&access);
	CommitTransactionCommand();
	nlist = kept;
}

static int
compare_place(const WfExecutorWork *work, const char *queue, bool deliveries)
{
	int order = strcmp(work->queue, queue);

	return order != 0 ? order : (int) work->deliveries - (int) deliveries;
}

static int
compare_work(const void *left, const void *right)
{
	const WfExecutorWork *other = right;

	return compare_place(left, other->queue, other->deliveries);
}

void
wf_turns_list(void)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz	  begin = GetCurrentTimestamp();
	TimestampTz	  end;

	if (list_context == NULL)
		list_context = AllocSetContextCreate(TopMemoryContext, "workflow turns", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(list_context);
	nlist = 0;
	read_work();
	MemoryContextSwitchTo(context);
	end = GetCurrentTimestamp();
	old_at = end + Max(LIST_US, (end - begin) * LIST_PART);
	qsort(list, nlist, sizeof(WfExecutorWork), compare_work);
	for (current = 0; current < nlist; current++)
		if (compare_place(&list[current], last, last_deliveries) > 0)
			break;
}

bool
wf_turns_are_old(void)
{
	return GetCurrentTimestamp() >= old_at;
}

bool
wf_turn_next(WfTurn *turn)
{
	if (nlist == 0)
		return false;
	if (current >= nlist)
		current = 0;
	turn->queue = list[current].queue;
	turn->deliveries = list[current].deliveries;
	strlcpy(last, turn->queue, sizeof(last));
	last_deliveries = turn->deliveries;
	return true;
}

static void
take_out(void)
{
	memmove(&list[current], &list[current + 1], sizeof(WfExecutorWork) * (nlist - current - 1));
	nlist--;
}

void
wf_turn_done(int n)
{
	list[current].n -= n;
	if (list[current].n <= 0)
		take_out();
	else
		current++;
}

void
wf_turn_drop(void)
{
	take_out();
}
