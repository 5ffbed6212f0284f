/*
 * upgrade.c
 *		What an update of the extension cannot do in SQL to living visits.
 */
#include "postgres.h"

#include "engine/clocks.h"
#include "engine/upgrade.h"

static void
tell_left_out(const WfVisit *visit, const WfFault *fault)
{
	ereport(WARNING,
			errmsg("a handler of visit " INT64_FORMAT "_" INT64_FORMAT " has no time any more, and will not begin",
				   visit->instance->id, visit->id),
			errdetail("%s", fault->message));
}

void
wf_engine_upgrade_clocks(WfBatch *batch, WfVisit *visit)
{
	const WfStep *def = visit->def;
	TimestampTz	  next = visit->clocks.next_handler;
	TimestampTz	 *waits = visit->clocks.clock_times;
	TimestampTz	 *times;
	WfVariables	  variables;
	MemoryContext old;

	if (def == NULL || next == 0)
		return;
	old = MemoryContextSwitchTo(batch->context);
	times = palloc0(sizeof(TimestampTz) * wf_step_nclocks(def));
	if (waits != NULL)
		memcpy(times, waits, sizeof(TimestampTz) * def->nwaits);
	wf_engine_variables(visit, &variables);
	for (int i = def->nwaits; i < def->nentries; i++)
	{
		WfFault fault = {0};

		if (!wf_is_clock(def->entries[i].event.kind))
			continue;
		if (!wf_clock_plan_entry(visit, i, &variables, visit->entered_at, times, &fault))
		{
			tell_left_out(visit, &fault);
			times[i] = 0;
		}
		/* those before the next one have begun */
		if (times[i] < next)
			times[i] = 0;
	}
	visit->clocks.clock_times = times;
	wf_clock_look_ahead(visit);
	MemoryContextSwitchTo(old);
}
