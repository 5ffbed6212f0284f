/*
 * enum_names.c
 *		Names of statuses, states and the like, as rows store them; and what follows from a row that
 *		no field says.
 */
#include "postgres.h"

#include "store/batch.h"

static const char *const status_names[] = {"active", "suspended", "completed", "aborted", "failed"};
static const char *const state_names[] = {"ready", "calling", "retrying", "waiting", "cancelling", "incident"};
static const char *const phase_names[] = {NULL, "await", "send", "tell", "confirm", "inside", "child"};
/* by bit */
static const char *const waits_for_names[] = {"callback", "message", "signal", "condition", "task", "topic",
											  "after",	  "until",	 "join",   "steps",		"each", "call"};

const char *
wf_status_name(WfStatus status)
{
	return status_names[status];
}

const char *
wf_state_name(WfState state)
{
	return state_names[state];
}

static int
name_index(const char *const *list, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (list[i] != NULL && strcmp(list[i], name) == 0)
			return i;
	ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED), errmsg("unknown word \"%s\" in a row", name));
}

WfStatus
wf_status_from_name(const char *name)
{
	return (WfStatus) name_index(status_names, lengthof(status_names), name);
}

WfState
wf_state_from_name(const char *name)
{
	return (WfState) name_index(state_names, lengthof(state_names), name);
}

const char *
wf_cancel_phase_name(WfCancelPhase phase)
{
	return phase_names[phase];
}

WfCancelPhase
wf_cancel_phase_from_name(const char *name)
{
	return (WfCancelPhase) name_index(phase_names, lengthof(phase_names), name);
}

const char *
wf_waits_for_name(WfWaitsFor waits_for)
{
	const char *name = NULL;

	for (int i = 0; i < lengthof(waits_for_names); i++)
		if ((waits_for & (1 << i)) != 0)
			name = name == NULL ? waits_for_names[i] : psprintf("%s, %s", name, waits_for_names[i]);
	return name;
}

WfWaitsFor
wf_waits_for_from_name(const char *names)
{
	char	  *rest = pstrdup(names);
	WfWaitsFor waits_for = WF_WAITS_FOR_NOTHING;

	while (rest != NULL)
	{
		char *name = rest;

		rest = strstr(name, ", ");
		if (rest != NULL)
		{
			*rest = '\0';
			rest += strlen(", ");
		}
		waits_for |= 1 << name_index(waits_for_names, lengthof(waits_for_names), name);
	}
	return waits_for;
}

TimestampTz
wf_earlier(TimestampTz a, TimestampTz b)
{
	return a == 0 || b == 0 ? Max(a, b) : Min(a, b);
}

TimestampTz
wf_batch_next_timer(const WfVisit *visit)
{
	TimestampTz alarm = visit->clocks.warn_at;

#define EARLIER(clock) alarm = wf_earlier(alarm, visit->clocks.clock);
	WF_ALARM_CLOCKS(EARLIER)
	return alarm;
}
