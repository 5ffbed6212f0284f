/*
 * items.c
 *		A visit goes through a list: as many of its items are begun as may be under way.
 *
 * This is the first thing that the visit does, and it does it again whenever an item ends, or stands as an incident. A
 * long list is begun in many transactions.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/operations.h"
#include "engine/token.h"
#include "model/each.h"
#include "shmem/settings.h"
#include "store/item.h"

/* So many items are begun at a time: they go on as far as they can before further ones are begun. */
#define SLICE 16

static bool
goes_on(const WfVisit *visit)
{
	return visit->state == WF_STATE_WAITING && visit->waits_for == WF_WAITS_FOR_EACH &&
		   visit->cancel.outcome == WF_OUTCOME_NONE && wf_has_more_items(visit) && !wf_state_is_ending(visit);
}

/* How many more items may be under way? Incidents take no place, unless the items come one after the other. */
static int64
room(const WfVisit *visit)
{
	int	  parallel = visit->def->each->parallel;
	int64 stuck = parallel > 1 ? visit->items.stuck : 0;
	int64 more = Min(visit->items.n - visit->items.begun, (int64) wf_setting_max_tokens - visit->tokens.n);

	return parallel > 0 ? Min(more, parallel - (visit->tokens.n - stuck)) : more;
}

static void
begin_items(WfBatch *batch, WfVisit *visit, int n)
{
	WfInstance	 *instance = visit->instance;
	const WfStep *step = wf_step_of_item(instance->process->def, visit->def);
	Jsonb		**values = palloc(sizeof(Jsonb *) * n);

	wf_items_read(batch, visit, visit->items.begun, n, values);
	for (int i = 0; i < n; i++)
	{
		WfVisit *item = wf_token_enter(batch, instance, visit, visit, step->index, visit->caught, 0);

		item->item = (int) visit->items.begun++;
		item->item_value = values[i];
	}
	visit->changed = true;
	pfree(values);
}

void
wf_op_items(WfBatch *batch, WfVisit *visit)
{
	WfInstance *instance = visit->instance;
	int64		most = goes_on(visit) ? room(visit) : 0;
	bool		later = instance->status == WF_STATUS_SUSPENDED || wf_token_is_half_cut(instance);

	if (most > 0 && !later)
	{
		begin_items(batch, visit, (int) Min(most, SLICE));
		if (most > SLICE)
			wf_push(batch, visit, WF_ITEMS);
	}
	if (visit->state == WF_STATE_WAITING && visit->waits_for == WF_WAITS_FOR_EACH)
		wf_state_next_items(batch, visit, most > 0 && later);
	/* of an empty list there is none that could end */
	if (visit->items.n == 0 && visit->state == WF_STATE_WAITING)
		wf_push(batch, visit, WF_CONCLUDE);
}
