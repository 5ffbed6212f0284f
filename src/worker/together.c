/*
 * together.c
 *		Visits of an instance that an executor moves along with the one that it has taken up.
 *
 * An instance with a long list may have thousands that are due, and a transaction for each would wait for the disk, while all
 * others wait for the lock of the instance. If those that were moved together fail, they are moved one by one.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "shmem/careful.h"
#include "shmem/claims.h"
#include "worker/failure.h"
#include "worker/sql_step.h"
#include "worker/together.h"

#define MOST 64
/* No further ones are moved in the transaction after so long, so that other queues have their turn. */
#define LONGEST_TURN_MS 100

static int64 others[MOST];
static int	 n = 0;
static int	 alone = 0; /* so many are moved alone, since some have failed together */

void
wf_together_none(void)
{
	n = 0;
}

void
wf_together_find(const char *queue, const WfWorkItem *item)
{
	WfWorkItem *items;
	int			nitems;

	if (alone > 0)
	{
		alone--;
		return;
	}
	if (!item->locked || !item->moves || wf_careful())
		return;
	items = palloc(sizeof(WfWorkItem) * MOST);
	nitems = wf_due_scan_work(queue, item, GetCurrentTimestamp(), MOST, items);
	for (int i = 0; i < nitems; i++)
		if (items[i].instance == item->instance && items[i].moves && !wf_statement_was_begun(items[i].visit) &&
			!wf_claimed_elsewhere(items[i].visit))
			others[n++] = items[i].visit;
	pfree(items);
}

void
wf_together_load(WfBatch *batch, const WfWorkItem *item)
{
	int64 instances[MOST + 1];
	int64 visits[MOST + 1];

	for (int i = 0; i < n; i++)
	{
		instances[i] = item->instance;
		visits[i] = others[i];
	}
	instances[n] = item->instance;
	visits[n] = item->visit;
	wf_batch_load_visits(batch, instances, visits, n + 1);
}

void
wf_together_move(WfBatch *batch, const WfWorkItem *item, void (*move)(WfBatch *batch, WfVisit *visit))
{
	TimestampTz begin = GetCurrentTimestamp();

	for (int i = 0; i < n && !TimestampDifferenceExceeds(begin, GetCurrentTimestamp(), LONGEST_TURN_MS); i++)
	{
		WfVisit *visit = wf_batch_visit(batch, item->instance, others[i]);

		if (visit != NULL && !visit->ended && !wf_sql_step_is_due(batch, visit))
			move(batch, visit);
	}
}

bool
wf_together_failed(void)
{
	bool together = n > 0;

	n = 0;
	if (together)
		alone = MOST;
	return together;
}

void
wf_together_done(const WfWorkItem *item)
{
	for (int i = 0; i < n; i++)
		wf_failure_over(item->instance, others[i]);
}
