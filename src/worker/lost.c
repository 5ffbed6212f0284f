/*
 * lost.c
 *		Attempts that were under way when a dispatcher ended: the next one puts them on record, since it sends their
 *		requests again.
 *
 * Nothing of their visits changes, so nothing is locked, and a look that fails is not repeated: what was read is not read
 * again (sent.c).
 */
#include "postgres.h"

#include "engine/engine.h"
#include "worker/dispatcher_internal.h"
#include "worker/in_flight.h"
#include "worker/sent.h"

/* So many are put on record in one transaction. */
#define PER_TRANSACTION 64

/* What is still to be put on record. */
static WfSent *left;
static int	   nleft = -1; /* -1: it was not read */

/* Does the visit still wait for the answer to that attempt? */
static bool
is_left(const WfSent *sent, const WfVisit *visit)
{
	return visit != NULL && visit->attempt + 1 == sent->attempt && visit->def != NULL &&
		   visit->def->action == WF_ACTION_HTTP && !wf_has_accepted(visit) &&
		   (visit->state == WF_STATE_CALLING || visit->state == WF_STATE_RETRYING);
}

/* Those that would take too much memory together are loaded alone, after the others. */
static void
record(const WfSent *sent, int n)
{
	WfBatch *batch = wf_batch_begin();
	int64	*instances = palloc(sizeof(int64) * n);
	int64	*visits = palloc(sizeof(int64) * n);
	WfSent	*alone = palloc(sizeof(WfSent) * n);
	int		 nalone = 0;

	for (int i = 0; i < n; i++)
	{
		instances[i] = sent[i].instance;
		visits[i] = sent[i].visit;
	}
	batch->memory_budget = n > 1 ? WF_BATCH_MEMORY_BUDGET : 0;
	wf_batch_lock(batch, instances, n, WF_LOCK_NONE);
	wf_batch_load_visits(batch, instances, visits, n);
	for (int i = 0; i < n; i++)
	{
		WfVisit *visit = wf_batch_visit(batch, instances[i], visits[i]);

		if (wf_batch_is_deferred(batch, instances[i], visits[i]))
			alone[nalone++] = sent[i];
		else if (is_left(&sent[i], visit))
			wf_engine_lost_attempt(batch, visit, sent[i].at);
	}
	wf_batch_flush(batch);
	wf_batch_end(batch);
	for (int i = 0; i < nalone; i++)
		record(&alone[i], 1);
}

/* A visit that is in flight by now has its reply in a delivery. */
static int
take_some(WfSent *some)
{
	int n = 0;

	while (nleft > 0 && n < PER_TRANSACTION)
	{
		const WfSent *sent = &left[--nleft];

		if (sent->visit > 0 && sent->instance > 0 && wf_in_flight_find(sent->visit) == NULL)
			some[n++] = *sent;
	}
	return n;
}

static void
settle_some(WfDispatcher *dispatcher, void *arg)
{
	WfSent *some = palloc(sizeof(WfSent) * PER_TRANSACTION);
	int		n = take_some(some);

	if (n > 0)
		record(some, n);
}

bool
wf_lost_record(WfDispatcher *dispatcher)
{
	if (nleft < 0)
		nleft = wf_sent_read(&left);
	while (nleft > 0)
	{
		int before = nleft;

		if (!wf_small_transaction(dispatcher, settle_some, NULL))
		{
			nleft = before;
			return false;
		}
	}
	return true;
}
