/*
 * verify_subscriptions.c
 *		Have the visits of an instance the subscriptions that they must have, and no others?
 *
 * Which entries of `first_of` are open is known only where `when` does not say so: their subscriptions may be there.
 */
#include "postgres.h"

#include "api/verify_internal.h"
#include "engine/event.h"

typedef enum Wanted
{
	NEVER,
	PERHAPS,
	ALWAYS
} Wanted;

static bool
is(const char *name, const char *expected)
{
	return name != NULL && strcmp(name, expected) == 0;
}

/* Is it a state in which events can happen to the visit? */
static bool
is_open(const WfVerifiedVisit *visit)
{
	return !visit->accepted && !is(visit->state, "cancelling") && !is(visit->state, "incident");
}

/* One that is ready has not begun; or it has stood at a join, and is about to go on. */
static Wanted
handler_wants(const WfVerifiedVisit *visit, WfEventKind kind)
{
	if (wf_is_offered(kind))
		return PERHAPS; /* it is done once */
	return kind == WF_EVENT_CONDITION && is(visit->state, "ready") ? PERHAPS : ALWAYS;
}

static Wanted
wait_wants(const WfVerifiedVisit *visit, const WfEvent *event)
{
	bool ready = is(visit->state, "ready");
	bool waiting = is(visit->state, "waiting");
	bool called = is(visit->waits_for, "call"); /* that is its action */

	if (is(visit->waits_for, "join"))
		return NEVER;
	if ((event->kind == WF_EVENT_CONDITION || wf_is_offered(event->kind)) && (!waiting || called))
		return NEVER;
	/* one that stands at a join may be about to begin that */
	if (ready && visit->def->join.kind != WF_JOIN_NONE)
		return PERHAPS;
	return waiting && !called && event->when != NULL ? PERHAPS : ALWAYS;
}

static Wanted
wants(const WfVerifiedVisit *visit, int entry)
{
	const WfEvent *event = &visit->def->entries[entry].event;

	/* of work see q_works in verify.c */
	if (!wf_is_subscribed(event->kind) || event->kind == WF_EVENT_TOPIC || !is_open(visit))
		return NEVER;
	return entry < visit->def->nwaits ? wait_wants(visit, event) : handler_wants(visit, event->kind);
}

/* ---- rows of a visit ---- */

/* Report a row that says something else than the step. */
static void
verify_row(WfVerify *verify, const WfVerifiedVisit *visit, const WfVerifiedSubscription *row)
{
	const WfEvent *event = &visit->def->entries[row->entry].event;

	if (row->process_id != visit->process_id || (row->step != NULL && !is(row->step, visit->step)))
		wf_verify_report(verify, visit, "its subscription of entry %d is of step \"%s\" of process %d", row->entry,
						 row->step != NULL ? row->step : visit->step, row->process_id);
	if (!is(row->kind, wf_event_kind_name(event->kind)) || !is(row->name, event->name != NULL ? event->name : "") ||
		row->keyed != (event->key != NULL))
		wf_verify_report(verify, visit, "its subscription of entry %d is not of what that waits for", row->entry);
}

/* Verify the subscriptions of a visit, which begin with `rows` if there are any. */
static void
verify_rows(WfVerify *verify, const WfVerifiedVisit *visit, const WfVerifiedSubscription *rows, int n)
{
	for (int i = 0; i < visit->def->nentries; i++)
	{
		bool   there = n > 0 && rows->entry == i;
		Wanted wanted = wants(visit, i);

		if (there && wanted == NEVER)
			wf_verify_report(verify, visit, "has a subscription of entry %d, which cannot happen", i);
		else if (there)
			verify_row(verify, visit, rows);
		else if (wanted == ALWAYS)
			wf_verify_report(verify, visit, "has no subscription of entry %d", i);
		if (there)
		{
			rows++;
			n--;
		}
	}
	if (n > 0)
		wf_verify_report(verify, visit, "has a subscription of entry %d, which its step does not have", rows->entry);
}

void
wf_verify_subscriptions(WfVerify *verify)
{
	const WfVerifiedSubscription *rows = verify->subscriptions;
	int							  left = verify->nsubscriptions;

	for (int i = 0; i <= verify->n; i++)
	{
		const WfVerifiedVisit *visit = i < verify->n ? &verify->visits[i] : NULL;
		int					   n = 0;

		for (; left > 0 && (visit == NULL || rows->visit < visit->id); rows++, left--)
			wf_verify_report_number(verify, rows->visit, "has a subscription, but does not live");
		while (visit != NULL && n < left && rows[n].visit == visit->id)
			n++;
		if (visit != NULL && visit->def != NULL)
			verify_rows(verify, visit, rows, n);
		rows += n;
		left -= n;
	}
}
