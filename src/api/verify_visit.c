/*
 * verify_visit.c
 *		Is the row of a visit one that the engine can have written: its state, which worker has to
 *		look at it, its clocks?
 *
 * See the states of a visit in src/README.md, and engine/state.c.
 */
#include "postgres.h"

#include "api/verify_internal.h"
#include "shmem/wakeups.h"
#include "store/batch.h"
#include "store/executor_work.h"

/* Kinds of queues. */
#define IN_NONE		1
#define IN_TIMER	2
#define IN_MOVE		4
#define IN_EXECUTOR 8
#define IN_HTTP		16
#define IN_OTHER	32

static bool
is(const char *name, const char *expected)
{
	return name != NULL && strcmp(name, expected) == 0;
}

/* Is the word in a list of them? */
static bool
names(const char *list, const char *word)
{
	return list != NULL && strstr(list, word) != NULL;
}

/* ---- queues ---- */

static int
kind_of_queue(const WfVerifiedVisit *visit)
{
	const char *queue = visit->queue;

	if (queue == NULL)
		return IN_NONE;
	if (strcmp(queue, WF_QUEUE_TIMER) == 0)
		return IN_TIMER;
	if (strcmp(queue, WF_QUEUE_MOVE) == 0)
		return IN_MOVE;
	if (strncmp(queue, WF_QUEUE_HTTP, strlen(WF_QUEUE_HTTP)) == 0)
		return IN_HTTP;
	return strcmp(queue, wf_executor_queue(visit->process_id)) == 0 ? IN_EXECUTOR : IN_OTHER;
}

static int
queues_while_waiting(const WfVerifiedVisit *visit)
{
	bool clock = names(visit->waits_for, "after") || names(visit->waits_for, "until");

	if (is(visit->waits_for, "each"))
		return IN_NONE | IN_MOVE | IN_EXECUTOR;
	return clock ? IN_TIMER | IN_EXECUTOR : IN_NONE;
}

static int
queues_while_cancelling(const WfVerifiedVisit *visit)
{
	if (is(visit->cancel_phase, "await"))
		return IN_MOVE | IN_EXECUTOR;
	if (is(visit->cancel_phase, "send") || is(visit->cancel_phase, "tell"))
		return IN_HTTP;
	if (is(visit->cancel_phase, "confirm"))
		return IN_TIMER | IN_EXECUTOR;
	if (is(visit->cancel_phase, "inside"))
		return IN_NONE | IN_MOVE | IN_EXECUTOR;
	if (is(visit->cancel_phase, "child"))
		return IN_NONE;
	return 0;
}

/* The queues in which the visit may be; whatever is handed over is in that of executors. */
static int
possible_queues(const WfVerifiedVisit *visit)
{
	if (is(visit->state, "incident"))
		return IN_NONE;
	if (is(visit->state, "cancelling"))
		return queues_while_cancelling(visit);
	if (is(visit->waits_for, "call"))
		return IN_NONE;
	/* what is still to be sent, or run, before an event counts */
	if (visit->early && (is(visit->state, "calling") || is(visit->state, "retrying")))
		return IN_HTTP | IN_MOVE | IN_EXECUTOR;
	if (is(visit->state, "ready") || visit->accepted)
		return IN_MOVE | IN_EXECUTOR;
	if (is(visit->state, "calling") || is(visit->state, "retrying"))
		return IN_HTTP | IN_EXECUTOR;
	return is(visit->state, "waiting") ? queues_while_waiting(visit) : 0;
}

static void
verify_queue(WfVerify *verify, const WfVerifiedVisit *visit)
{
	if ((kind_of_queue(visit) & possible_queues(visit)) == 0)
		wf_verify_report(verify, visit, "in state \"%s\"%s%s, and in %s%s", visit->state,
						 visit->waits_for != NULL ? " for " : "", visit->waits_for != NULL ? visit->waits_for : "",
						 visit->queue != NULL ? "queue " : "no queue", visit->queue != NULL ? visit->queue : "");
	if ((visit->queue != NULL) != (visit->times.due_at != 0))
		wf_verify_report(verify, visit, visit->queue != NULL ? "in queue %s, and never due" : "due, and in no queue%s",
						 visit->queue != NULL ? visit->queue : "");
}

/* ---- what goes with a state ---- */

static bool
has_any_clock(const WfVerifiedTimes *times)
{
	return times->deadline != 0 || times->heartbeat_deadline != 0 || times->next_handler != 0 ||
		   times->next_interrupt != 0 || times->warn_at != 0;
}

/* Report a column that must have a value in some states, and in no other. */
static void
goes_with(WfVerify *verify, const WfVerifiedVisit *visit, const char *column, bool given, bool wanted)
{
	if (given != wanted)
		wf_verify_report(verify, visit, "in state \"%s\", and %s %s", visit->state, given ? "has a" : "has no", column);
}

static bool
waits_for_outside(const WfVerifiedVisit *visit)
{
	return is(visit->state, "waiting") && !is(visit->waits_for, "join") && !is(visit->waits_for, "steps") &&
		   !is(visit->waits_for, "each") && !is(visit->waits_for, "call");
}

/* May something come of its clocks? Of a visit whose end is known it may only while that waits for the action. */
static bool
may_have_clocks(const WfVerifiedVisit *visit)
{
	if (is(visit->state, "cancelling") || is(visit->state, "incident"))
		return false;
	return !visit->accepted || is(visit->waits_for, "call") || (visit->early && kind_of_queue(visit) != IN_MOVE) ||
		   is(visit->state, "ready");
}

static void
verify_state(WfVerify *verify, const WfVerifiedVisit *visit)
{
	const WfVerifiedTimes *times = &visit->times;
	bool				   waiting = is(visit->state, "waiting");
	bool				   cancelling = is(visit->state, "cancelling");
	bool				   incident = is(visit->state, "incident");

	goes_with(verify, visit, "waits_for", visit->waits_for != NULL, waiting);
	goes_with(verify, visit, "waiting_since", times->waiting_since != 0, waiting || cancelling || incident);
	goes_with(verify, visit, "outcome", visit->outcome != NULL, incident);
	goes_with(verify, visit, "cancel_phase", visit->cancel_phase != NULL, cancelling);
	if (!incident) /* one may have been an interrupted visit */
		goes_with(verify, visit, "cancel_outcome", visit->cancel_outcome != NULL, cancelling);
	if (incident && visit->accepted)
		wf_verify_report(verify, visit, "an incident, and its end is known");
	if (has_any_clock(times) && !may_have_clocks(visit))
		wf_verify_report(verify, visit, "in state \"%s\"%s, and has clocks", visit->state,
						 visit->accepted ? " with its end known" : "");
	if (!waits_for_outside(visit) && (times->heartbeat_deadline != 0 || (times->warn_at != 0 && !visit->accepted)))
		wf_verify_report(verify, visit, "in state \"%s\", and something is to come of its silence", visit->state);
}

/* ---- clocks ---- */

/* The earliest time of the handlers, or of those that interrupt. */
static TimestampTz
earliest_handler(const WfVerifiedVisit *visit, bool interrupting)
{
	TimestampTz at = 0;

	for (int i = visit->def->nwaits; i < Min(visit->def->nentries, visit->times.nentries); i++)
		if (!interrupting || visit->def->entries[i].interrupt)
			at = wf_earlier(at, visit->times.of_entries[i]);
	return at;
}

static void
verify_handlers(WfVerify *verify, const WfVerifiedVisit *visit)
{
	const WfVerifiedTimes *times = &visit->times;

	if (times->of_entries != NULL && times->nentries != wf_step_nclocks(visit->def))
		wf_verify_report(verify, visit, "%d clock_times, but its step has %d", times->nentries,
						 wf_step_nclocks(visit->def));
	else if (times->next_handler != earliest_handler(visit, false))
		wf_verify_report(verify, visit, "next_handler is not the earliest of its clock_times");
	else if (times->next_interrupt != earliest_handler(visit, true))
		wf_verify_report(verify, visit, "next_interrupt is not the earliest of its clock_times");
}

static void
verify_clocks(WfVerify *verify, const WfVerifiedVisit *visit)
{
	const WfVerifiedTimes *times = &visit->times;
	TimestampTz			   next = times->warn_at;

#define EARLIER(clock) next = wf_earlier(next, times->clock);
	WF_ALARM_CLOCKS(EARLIER)
	if (times->next_timer != next)
		wf_verify_report(verify, visit, "next_timer is not the earliest of its clocks");
	if (visit->def != NULL)
		verify_handlers(verify, visit);
}

void
wf_verify_visit(WfVerify *verify, const WfVerifiedVisit *visit)
{
	const WfVerifiedInstance *instance = &verify->instance;

	if (!instance->living)
	{
		wf_verify_report(verify, visit, "lives, but its instance does not");
		return;
	}
	if (visit->process_id != instance->process_id)
		wf_verify_report(verify, visit, "of process %d, but its instance is of process %d", visit->process_id,
						 instance->process_id);
	if (visit->def == NULL && instance->def != NULL)
		wf_verify_report(verify, visit, "at step \"%s\", which version %d does not have", visit->step,
						 instance->version);
	if (visit->suspended != is(instance->status, "suspended"))
		wf_verify_report(verify, visit, "%s, but its instance is %s", visit->suspended ? "suspended" : "not suspended",
						 instance->status);
	verify_queue(verify, visit);
	verify_state(verify, visit);
	verify_clocks(verify, visit);
}
