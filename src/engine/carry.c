/*
 * carry.c
 *		One visit that goes on under another version of its process.
 *
 * It stays in its state. What it waits for, and what may begin its handlers, is found among the entries of its new
 * step (model/version_map.h): clocks that are there in both keep their times, and what has begun does not
 * begin again; what is new counts from the begin of the visit, or of its wait. Everything that can fail is
 * worked out before anything changes.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "engine/action.h"
#include "engine/call.h"
#include "engine/carry.h"
#include "engine/event.h"
#include "engine/offer.h"
#include "engine/scope.h"
#include "engine/send.h"
#include "engine/silence.h"
#include "engine/subscribe.h"
#include "shmem/wakeups.h"
#include "store/executor_work.h"
#include "store/subscription.h"
#include "store/warn_waiting.h"

void
wf_carry_refuse(const WfVisit *visit, List **obstacles, const char *fmt, ...)
{
	StringInfoData text;
	va_list		   args;
	int			   needed;

	initStringInfo(&text);
	appendStringInfo(&text, INT64_FORMAT "_" INT64_FORMAT " ", visit->instance->id, visit->id);
	for (;;)
	{
		va_start(args, fmt);
		needed = appendStringInfoVA(&text, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	*obstacles = lappend(*obstacles, text.data);
}

bool
wf_carry_contains(const WfStep *step)
{
	return step->action == WF_ACTION_STEPS || step->action == WF_ACTION_EACH;
}

void
wf_carry_begin(WfCarried *carried, const WfMigration *migration, WfVisit *visit)
{
	*carried = (WfCarried){.migration = migration, .visit = visit, .old = visit->def};
	carried->outermost = visit->scope == NULL || wf_state_is_process(visit->scope);
	if (visit->def == NULL)
		return;
	carried->map = &migration->map->steps[visit->def->index];
	if (carried->map->to >= 0)
		carried->step = &migration->map->to->steps[carried->map->to];
	carried->stands = wf_scope_stands(visit);
	if (carried->stands)
		carried->arrived = wf_scope_join(visit)->arrived;
	carried->ends = wf_state_is_process(visit) && carried->step == NULL;
}

/* ---- what keeps it from that ---- */

static const char *
action_name(WfActionKind action)
{
	static const char *const names[] =
		{[WF_ACTION_NONE] = "no action",	[WF_ACTION_HTTP] = "\"http\"", [WF_ACTION_SQL] = "\"sql\"",
		 [WF_ACTION_NOTIFY] = "\"notify\"", [WF_ACTION_SET] = "\"set\"",   [WF_ACTION_STEPS] = "\"steps\"",
		 [WF_ACTION_SEND] = "\"send\"",		[WF_ACTION_EACH] = "\"each\"", [WF_ACTION_CALL] = "\"call\""};

	return action < (WfActionKind) lengthof(names) && names[action] != NULL ? names[action] : "another action";
}

/* Is its action under way: a request, a statement, or an instance that it has called? */
static bool
is_under_way(const WfVisit *visit)
{
	return visit->state == WF_STATE_CALLING || visit->state == WF_STATE_RETRYING ||
		   (visit->waits_for & WF_WAITS_FOR_CALL) != 0;
}

static void
judge_action(const WfCarried *carried, TimestampTz now, List **obstacles)
{
	const WfVisit *visit = carried->visit;
	const WfStep  *old = carried->old;
	const WfStep  *step = carried->step;
	/* the list around an item counts incidents, in scopes in another way than elsewhere */
	bool begun =
		visit->state != WF_STATE_READY && !carried->stands && (visit->state != WF_STATE_INCIDENT || wf_is_item(visit));

	/* the dispatcher may have it in flight */
	if (is_under_way(visit) && old->action == WF_ACTION_HTTP && visit->due_at <= now)
		wf_carry_refuse(visit, obstacles, "has a request under way, at step \"%s\"", visit->step);
	else if ((is_under_way(visit) || (begun && (wf_carry_contains(old) || wf_carry_contains(step)))) &&
			 old->action != step->action)
		wf_carry_refuse(visit, obstacles, "is at step \"%s\", which has %s, and step \"%s\" of version %d has %s",
						visit->step, action_name(old->action), step->name, carried->migration->to->version,
						action_name(step->action));
	/* what it brings is what the step was written for */
	else if ((visit->waits_for & WF_WAITS_FOR_CALL) != 0 && strcmp(old->call->process, step->call->process) != 0)
		wf_carry_refuse(visit, obstacles, "has called process \"%s\", and step \"%s\" of version %d calls \"%s\"",
						old->call->process, step->name, carried->migration->to->version, step->call->process);
}

static void
judge_join(const WfCarried *carried, List **obstacles)
{
	const WfVisit *visit = carried->visit;
	bool		   was = carried->old->join.kind != WF_JOIN_NONE;
	bool		   is = carried->step->join.kind != WF_JOIN_NONE;

	if (carried->stands && !is)
		wf_carry_refuse(visit, obstacles,
						"stands at the join of step \"%s\", and step \"%s\" of version %d has no \"join\"", visit->step,
						carried->step->name, carried->migration->to->version);
	else if (visit->state == WF_STATE_READY && was != is)
		wf_carry_refuse(visit, obstacles,
						"is about to begin at step \"%s\", where only one of the versions has a \"join\"", visit->step);
}

/* The stored subscription of an entry, or NULL. */
static const WfSubscription *
stored_of(const WfVisit *visit, int entry)
{
	ListCell *lc;

	foreach (lc, visit->subscribed.stored)
		if (((const WfSubscription *) lfirst(lc))->entry == entry)
			return lfirst(lc);
	return NULL;
}

static bool
waits_outside(const WfVisit *visit)
{
	return visit->state == WF_STATE_WAITING && (visit->waits_for & WF_WAITS_FOR_TOKENS) == 0 && !wf_has_accepted(visit);
}

/* Does the visit, which waits, wait for this entry of its old step? */
static bool
was_open(const WfCarried *carried, int entry)
{
	const WfVisit *visit = carried->visit;
	WfEventKind	   kind = carried->old->entries[entry].event.kind;

	if (kind == WF_EVENT_CALLBACK)
		return (visit->waits_for & WF_WAITS_FOR_CALLBACK) != 0;
	if (wf_is_clock(kind))
		return visit->clocks.clock_times != NULL && visit->clocks.clock_times[entry] != 0;
	return stored_of(visit, entry) != NULL;
}

static void
refuse_event(const WfCarried *carried, const WfEvent *event, List **obstacles)
{
	const char *kind = wf_is_clock(event->kind) ? "time" : wf_event_kind_name(event->kind);
	const char *name = event->name != NULL ? psprintf(" \"%s\"", event->name) : "";

	wf_carry_refuse(carried->visit, obstacles,
					"waits for a %s%s at step \"%s\", and step \"%s\" of version %d does not", kind, name,
					carried->visit->step, carried->step->name, carried->migration->to->version);
}

/* Clocks may be gone, as long as something is left for which it waits. */
static void
judge_wait(const WfCarried *carried, List **obstacles)
{
	const WfEvent *lost = NULL;
	bool		   left = false;

	for (int i = 0; i < carried->old->nwaits; i++)
	{
		const WfEvent *event = &carried->old->entries[i].event;

		if (!was_open(carried, i))
			continue;
		left |= carried->map->entries[i] >= 0;
		if (carried->map->entries[i] >= 0)
			continue;
		if (!wf_is_clock(event->kind))
			refuse_event(carried, event, obstacles);
		lost = event;
	}
	if (!left && lost != NULL && wf_is_clock(lost->kind))
		refuse_event(carried, lost, obstacles);
}

/* What waits for its turn to begin a handler must find that. */
static void
judge_kept(const WfCarried *carried, List **obstacles)
{
	ListCell *lc;

	foreach (lc, carried->visit->memory.kept)
	{
		const char *kind = lfirst(lc);

		if (wf_step_entry(carried->step, wf_event_kind_from_name(kind)) < carried->step->nwaits)
			wf_carry_refuse(carried->visit, obstacles,
							"has a %s for a handler, which step \"%s\" of version %d does not have", kind,
							carried->step->name, carried->migration->to->version);
	}
}

static void
judge_events(const WfCarried *carried, List **obstacles)
{
	const WfVisit *visit = carried->visit;
	bool		   lost = false;

	if (waits_outside(visit))
		judge_wait(carried, obstacles);
	if (visit->accepted > 0)
		lost = carried->map->entries[visit->accepted - 1] < 0;
	else if (visit->accepted == WF_ACCEPTED_CALLBACK)
		lost = wf_step_callback_entry(carried->old) >= 0 && wf_step_callback_entry(carried->step) < 0;
	if (lost)
		wf_carry_refuse(visit, obstacles,
						"has accepted an event at step \"%s\", for which step \"%s\" of version %d does not wait",
						visit->step, carried->step->name, carried->migration->to->version);
	judge_kept(carried, obstacles);
}

void
wf_carry_judge(const WfCarried *carried, TimestampTz now, List **obstacles)
{
	const WfVisit *visit = carried->visit;

	if (visit->state == WF_STATE_CANCELLING)
		wf_carry_refuse(visit, obstacles, "is being cancelled, at step \"%s\"", visit->step);
	else if (carried->ends)
	{
		if (visit->state != WF_STATE_WAITING)
			wf_carry_refuse(visit, obstacles, "is the process as a whole, which is in state \"%s\"",
							wf_state_name(visit->state));
	}
	else if (carried->step == NULL && visit->def != NULL && visit->def->is_item)
		wf_carry_refuse(visit, obstacles, "is for an item of step \"%s\", which has no \"each\" in version %d",
						visit->step, carried->migration->to->version);
	else if (carried->step == NULL)
		wf_carry_refuse(visit, obstacles, "is at step \"%s\", which version %d does not have", visit->step,
						carried->migration->to->version);
	else
	{
		judge_action(carried, now, obstacles);
		judge_join(carried, obstacles);
		judge_events(carried, obstacles);
	}
}

void
wf_carry_turn(const WfCarried *carried, bool back)
{
	if (carried->ends)
		return;
	carried->visit->def = unconstify(WfStep *, back ? carried->old : carried->step);
	carried->visit->step = back ? carried->old->name : carried->step->name;
}

/* ---- clocks ---- */

/* Have the clocks and conditions of the visit begun? At a join they do when it stands there. */
static bool
has_begun(const WfCarried *carried)
{
	return carried->visit->state != WF_STATE_READY || (carried->old->join.kind != WF_JOIN_NONE && !carried->stands);
}

/*
 * Carry over the time of an entry, or work it out. A clock that was changed counts from where it has counted before, unless it has
 * struck already; one that repeats, from now.
 */
static bool
plan_clock(const WfCarried *carried, int entry, const WfVariables *variables, TimestampTz from, TimestampTz now,
		   TimestampTz *times, WfFault *fault)
{
	const TimestampTz *before = carried->visit->clocks.clock_times;
	const WfStep	  *step = carried->step;
	int				   mate = carried->map->from[entry];
	bool			   repeats = step->entries[entry].event.kind == WF_EVENT_EVERY;

	if (mate >= 0 && (before == NULL || before[mate] == 0))
		return true; /* it has struck */
	if (mate >= 0 && carried->map->is_same[entry])
	{
		times[entry] = before[mate];
		if (repeats)
			times[wf_clock_last_beat(step, entry)] = before[wf_clock_last_beat(carried->old, mate)];
		return true;
	}
	return wf_clock_plan_entry(carried->visit, entry, variables, mate >= 0 && repeats ? now : from, times, fault);
}

/* The times of entries: of handlers, and of what is waited for. */
static bool
plan_entries(WfBatch *batch, WfCarried *carried, const WfVariables *variables, WfFault *fault)
{
	const WfVisit *visit = carried->visit;
	const WfStep  *step = carried->step;
	TimestampTz	  *times = NULL;

	for (int i = 0; i < step->nentries; i++)
	{
		bool waits = i < step->nwaits;

		if (!wf_is_clock(step->entries[i].event.kind) || (waits && (carried->open == NULL || !carried->open[i])))
			continue;
		if (times == NULL)
			times = palloc0(sizeof(TimestampTz) * wf_step_nclocks(step));
		if (!plan_clock(carried, i, variables, waits ? visit->waiting_since : visit->entered_at, batch->now, times,
						fault))
			return false;
		if (waits)
			carried->due_at = wf_earlier(carried->due_at, times[i]);
	}
	carried->clocks.clock_times = times;
	return true;
}

static bool
plan_deadline(WfCarried *carried, const WfVariables *variables, WfFault *fault)
{
	WfVisit *visit = carried->visit;

	carried->clocks.deadline = carried->map->same_timeout ? visit->clocks.deadline : 0;
	if (carried->map->same_timeout || !carried->step->timeout.present)
		return true;
	return wf_clock_after(visit, &carried->step->timeout, variables, visit->entered_at, &carried->clocks.deadline,
						  fault);
}

/* The clocks of a visit that has begun. */
static bool
plan_clocks(WfBatch *batch, WfCarried *carried, const WfVariables *variables, WfFault *fault)
{
	return !has_begun(carried) ||
		   (plan_deadline(carried, variables, fault) && plan_entries(batch, carried, variables, fault));
}

/* What comes of a silence while a callback is waited for, or a worker. */
static bool
plan_silence(WfBatch *batch, WfCarried *carried, const WfVariables *variables, WfFault *fault)
{
	WfVisit *visit = carried->visit;
	bool	 warned = wf_warn_after(carried->old) > 0 && visit->clocks.warn_at == 0;

	if ((carried->waits_for & (WF_WAITS_FOR_CALLBACK | WF_WAITS_FOR_TOPIC)) == WF_WAITS_FOR_TOPIC)
		return wf_silence_carry(batch, visit, carried->map->same_heartbeat, variables,
								&carried->clocks.heartbeat_deadline, fault);
	if ((carried->waits_for & WF_WAITS_FOR_CALLBACK) == 0)
		return true;
	if (wf_warn_after(carried->step) > 0 && !warned)
		carried->clocks.warn_at = TimestampTzPlusMilliseconds(visit->waiting_since, wf_warn_after(carried->step));
	carried->clocks.heartbeat_deadline = visit->clocks.heartbeat_deadline;
	if (carried->map->same_heartbeat && (visit->waits_for & WF_WAITS_FOR_CALLBACK) != 0)
		return true;
	return wf_clock_heartbeat_deadline(batch, visit, variables, &carried->clocks.heartbeat_deadline, fault);
}

/* ---- events ---- */

/* For which entries of the new step does the visit wait, which has waited already? */
static bool
plan_wait(WfCarried *carried, const WfVariables *variables, WfFault *fault)
{
	const WfStep *step = carried->step;

	carried->open = palloc0(sizeof(bool) * Max(step->nwaits, 1));
	carried->waits_for = WF_WAITS_FOR_NOTHING;
	for (int i = 0; i < step->nwaits; i++)
	{
		const WfEvent *event = &step->entries[i].event;

		carried->open[i] = carried->map->from[i] < 0 || was_open(carried, carried->map->from[i]);
		if (carried->map->from[i] < 0 && event->when != NULL &&
			!wf_predicate_eval(event->when, variables, &carried->open[i], fault))
			return false;
		if (carried->open[i])
			carried->waits_for |= wf_event_waits_for(event->kind);
	}
	return true;
}

static bool
plan_kept(WfCarried *carried, const WfSubscription *stored, const WfVariables *variables, WfFault *fault)
{
	int			   entry = carried->map->entries[stored->entry];
	const WfEvent *event;
	const char	  *key = stored->key;

	if (entry < 0)
		return true;
	event = &carried->step->entries[entry].event;
	if (event->kind == WF_EVENT_MESSAGE && !carried->map->is_same[entry] &&
		!wf_message_key(event->key, variables, &key, fault))
		return false;
	if (key == stored->key || (key != NULL && stored->key != NULL && strcmp(key, stored->key) == 0))
	{
		carried->kept = lappend(carried->kept, unconstify(WfSubscription *, stored));
		carried->entries = lappend_int(carried->entries, entry);
		return true;
	}
	carried->added = lappend_int(carried->added, entry);
	carried->keys = lappend(carried->keys, unconstify(char *, key));
	carried->offers = lappend(carried->offers, NULL);
	return true;
}

/* Is an entry that is new to be subscribed? */
static bool
is_added(const WfCarried *carried, int entry)
{
	bool		waits = entry < carried->step->nwaits;
	WfEventKind kind = carried->step->entries[entry].event.kind;
	bool opens_late = kind == WF_EVENT_CONDITION || wf_is_offered(kind); /* messages and signals may come before */

	if (!wf_is_subscribed(kind) || carried->map->from[entry] >= 0)
		return false;
	if (!waits)
		return !opens_late || has_begun(carried);
	if (carried->stands)
		return false;
	return carried->open != NULL ? carried->open[entry] : !opens_late;
}

/* Plan what is new: the key, or what is offered. */
static bool
plan_added(WfBatch *batch, WfCarried *carried, int entry, const WfVariables *variables, WfFault *fault)
{
	const WfEvent *event = &carried->step->entries[entry].event;
	const char	  *key = NULL;
	WfOffer		  *offer = NULL;

	if (wf_is_offered(event->kind))
		offer = wf_offer_make(batch, carried->visit, entry, variables, fault);
	else
		(void) wf_message_key(event->key, variables, &key, fault);
	carried->added = lappend_int(carried->added, entry);
	carried->keys = lappend(carried->keys, unconstify(char *, key));
	carried->offers = lappend(carried->offers, offer);
	return fault->code == NULL;
}

static bool
plan_subscriptions(WfBatch *batch, WfCarried *carried, const WfVariables *variables, WfFault *fault)
{
	const WfVisit *visit = carried->visit;
	ListCell	  *lc;

	carried->replaces = !carried->map->same_entries ||
						(carried->old->nsubscribed > 0 && strcmp(carried->old->name, carried->step->name) != 0);
	if (!carried->replaces)
		return true;
	foreach (lc, visit->subscribed.stored)
		if (!plan_kept(carried, lfirst(lc), variables, fault))
			return false;
	for (int i = 0; i < carried->step->nentries; i++)
		if (is_added(carried, i) && !plan_added(batch, carried, i, variables, fault))
			return false;
	return true;
}

/* ---- fields of a scope ---- */

static bool
has_name(const WfStep *step, const char *name)
{
	for (int i = 0; i < step->nlocals; i++)
		if (strcmp(step->local_names[i], name) == 0)
			return true;
	return false;
}

static bool
has_all_names(const WfStep *step, const WfStep *of)
{
	for (int i = 0; i < of->nlocals; i++)
		if (!has_name(step, of->local_names[i]))
			return false;
	return true;
}

/* Fields that are there in both keep their values; new ones begin as the step says; the others are gone. */
static bool
plan_fields(WfCarried *carried, const WfVariables *variables, WfFault *fault)
{
	const WfStep *old = carried->old;
	Jsonb		 *kept = carried->visit->local;

	if (!wf_state_is_scope(carried->visit) || carried->visit->state != WF_STATE_WAITING || carried->stands ||
		(has_all_names(old, carried->step) && has_all_names(carried->step, old)))
		return true;
	carried->relocates = true;
	for (int i = 0; kept != NULL && i < old->nlocals; i++)
		if (!has_name(carried->step, old->local_names[i]))
			kept = DatumGetJsonbP(
				DirectFunctionCall2(jsonb_delete, JsonbPGetDatum(kept), CStringGetTextDatum(old->local_names[i])));
	if (carried->step->local == NULL)
		return true;
	carried->local = wf_template_jsonb(carried->step->local, variables, fault);
	if (carried->local == NULL)
		return false;
	if (kept != NULL)
		carried->local = wf_jsonb_merge(carried->local, kept);
	return wf_data_fits(carried->local, fault);
}

/* ---- planning, and doing so ---- */

/* In which queue is it looked at, and when? */
static bool
plan_queue(WfBatch *batch, WfCarried *carried, WfFault *fault)
{
	WfVisit *visit = carried->visit;

	if (waits_outside(visit))
	{
		if (carried->due_at == 0)
			carried->queue = NULL;
		else if (carried->queue == NULL || !wf_is_executor_queue(carried->queue))
			carried->queue = MemoryContextStrdup(batch->context, WF_QUEUE_TIMER);
	}
	else if (visit->state == WF_STATE_READY && carried->queue != NULL && wf_step_by_executor(carried->step))
		carried->queue = wf_state_executor_queue(batch, visit);
	else if (is_under_way(visit) && carried->step->action == WF_ACTION_HTTP &&
			 (!wf_has_accepted(visit) || wf_state_acts_first(visit)))
		carried->queue = wf_action_http_queue(batch, visit, carried->step->http, fault);
	else
		return true;
	return fault->code == NULL;
}

bool
wf_carry_plan(WfBatch *batch, WfCarried *carried, WfFault *fault)
{
	WfVisit		 *visit = carried->visit;
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfVariables	  variables;
	bool		  ok;

	carried->waits_for = visit->waits_for;
	carried->queue = visit->queue;
	carried->due_at = waits_outside(visit) ? 0 : visit->due_at;
	wf_engine_variables(visit, &variables);
	ok = plan_fields(carried, &variables, fault);
	if (ok && wf_state_awaits_action(visit))
	{
		carried->clocks.warn_at = visit->clocks.warn_at;
		ok = plan_clocks(batch, carried, &variables, fault);
	}
	else if (ok && !wf_has_accepted(visit) && visit->state != WF_STATE_INCIDENT)
		ok = (!waits_outside(visit) || plan_wait(carried, &variables, fault)) &&
			 plan_clocks(batch, carried, &variables, fault) &&
			 (!waits_outside(visit) || plan_silence(batch, carried, &variables, fault)) &&
			 plan_subscriptions(batch, carried, &variables, fault);
	ok = ok && plan_queue(batch, carried, fault);
	MemoryContextSwitchTo(old);
	return ok;
}

static void
make_subscriptions(WfBatch *batch, const WfCarried *carried)
{
	ListCell *lc;
	ListCell *of;
	ListCell *offered;

	wf_subscriptions_replace(batch, carried->visit);
	forboth(lc, carried->kept, of, carried->entries) wf_subscription_carry(batch, lfirst(lc), lfirst_int(of));
	forthree(lc, carried->added, of, carried->keys, offered, carried->offers)
		wf_subscription_add(batch, carried->visit, lfirst_int(lc), lfirst(of))
			->offer = lfirst(offered);
}

/*
 * The step keeps no reply, in its new version. The result of an incident may have one: it is left out there, too, and
 * where the response was that.
 */
static void
forget_reply(WfBatch *batch, WfVisit *visit)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Jsonb		 *initial = visit->docs.result != NULL ? wf_jsonb_get(visit->docs.result, "initial_response") : NULL;
	Jsonb		 *response = initial != NULL ? wf_jsonb_get(visit->docs.result, "response") : NULL;
	bool		  is_same = response != NULL && compareJsonbContainers(&initial->root, &response->root) == 0;
	WfField		  fields[] = {{.key = "initial_response"}, {.key = "response", .omit = !is_same}};

	visit->docs.changed = true;
	if (initial != NULL)
		visit->docs.result = wf_jsonb_merge(visit->docs.result, wf_jsonb_object(fields, lengthof(fields)));
	MemoryContextSwitchTo(old);
}

void
wf_carry_make(WfBatch *batch, const WfCarried *carried)
{
	WfVisit *visit = carried->visit;

	if (strcmp(carried->old->name, carried->step->name) != 0)
	{
		visit->place_changed = true;
		visit->instance->show_changed = true;
	}
	wf_state_carry(batch, visit, carried->waits_for, carried->queue, carried->due_at);
	visit->clocks = carried->clocks;
	wf_clock_look_ahead(visit);
	if (visit->accepted > 0)
		visit->accepted = carried->map->entries[visit->accepted - 1] + 1;
	if (carried->replaces)
		make_subscriptions(batch, carried);
	if (carried->relocates)
	{
		visit->local = carried->local;
		visit->local_changed = true;
	}
	if (carried->step->forgets_reply && visit->docs.reply != NULL)
		forget_reply(batch, visit);
}
