/*
 * timeline_standing.c
 *		What workflow.timeline() tells of visits that have not ended: what each stands at.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "api/timeline_internal.h"
#include "store/query.h"

/* Of deliveries it says twice which it means: the index of an instance's deliveries is without write-backs. */
static WfQuery q_standing = {
	.sql =
		"SELECT workflow.now(), v.visit, v.step, v.state, v.waits_for, v.waiting_since, "
		"v.due_at, v.deadline, v.attempt, v.accepted IS NOT NULL, v.outcome, v.error->>'code', "
		"v.error->>'message', v.progress::text, v.suspended, v.cancel_phase, v.cancel_outcome, "
		"CASE WHEN NOT v.suspended THEN v.heartbeat_deadline END, v.next_interrupt, v.next_handler, "
		"CASE v.accepted WHEN 0 THEN 'callback' ELSE v.event->>'kind' END, "
		"(SELECT string_agg(CASE s.kind WHEN 'condition' THEN 'a condition' ELSE format('the %s \"%s\"%s', s.kind, s.name, "
		"CASE WHEN s.keyed THEN format(' (%s)', s.key) END) END, ' or ' ORDER BY s.entry) "
		"FROM (SELECT s.kind, s.name, s.keyed, s.key, s.entry FROM workflow_data.subscription s "
		"WHERE s.instance = v.instance AND s.visit = v.visit AND s.interrupt IS NULL UNION ALL "
		"SELECT 'task', t.title, t.assignee IS NOT NULL OR t.roles <> '{}', "
		"coalesce(concat_ws(', ', workflow_data.role_name(t.assignee, t.assignee_name), t.person), array_to_string(t.role_names, ' or ')), t.entry "
		"FROM workflow_data.task t WHERE t.instance = v.instance AND t.visit = v.visit AND v.waits_for LIKE '%task%' UNION ALL "
		"SELECT 'topic', w.topic, w.lock_token IS NOT NULL OR w.free_at > workflow.now(), "
		"CASE WHEN w.lock_token IS NULL THEN format('from %s on', to_char(w.free_at, 'YYYY-MM-DD HH24:MI:SS.MS TZ')) "
		"WHEN w.free_at > workflow.now() THEN format('%s has it until %s', w.worker, to_char(w.free_at, 'YYYY-MM-DD HH24:MI:SS.MS TZ')) "
		"ELSE format('%s had it until %s', w.worker, to_char(w.free_at, 'YYYY-MM-DD HH24:MI:SS.MS TZ')) END, 1000 "
		"FROM workflow_data.work w WHERE w.instance = v.instance AND w.visit = v.visit AND v.waits_for LIKE '%topic%' "
		"AND NOT EXISTS (SELECT FROM workflow_data.work_note n WHERE n.work = w.work AND n.gone)) s), "
		"(SELECT count(*) FROM workflow_data.delivery d WHERE d.instance = v.instance AND d.visit = v.visit AND d.kind = 'event' "
		"AND d.kind <> 'write_back'), "
		"v.item_counts[1], v.item_counts[2], v.item_counts[3], v.child "
		"FROM workflow_data.visit v WHERE v.instance = $1",
	.nargs = 1,
	.argtypes = {INT8OID},
};

/*
 * What the visit waits for, besides clocks: `kinds` as its row says, the callback first; `others` are the messages, signals and
 * conditions, or NULL.
 */
static const char *
waited_for(const char *kinds, const char *others)
{
	bool called_back = kinds != NULL && strncmp(kinds, "callback", strlen("callback")) == 0;

	if (kinds != NULL && strcmp(kinds, "steps") == 0)
		return "its steps are under way";
	if (kinds != NULL && strcmp(kinds, "each") == 0)
		return "its items are under way";
	if (kinds != NULL && strcmp(kinds, "join") == 0)
		return "waits for other tokens to join it";
	if (kinds != NULL && strcmp(kinds, "call") == 0)
		return "waits for the end of what it has called,";
	if (!called_back && others == NULL)
		return "waits";
	return psprintf("waits for %s%s%s", called_back ? "a callback" : "", called_back && others != NULL ? " or " : "",
					others != NULL ? others : "");
}

/*
 * The handlers with a time: that which ends the visit, unless its timeout does so at the same time,
 * and a reminder, which goes on beside it, if that is the next.
 */
static const char *
describe_handlers(TimestampTz deadline, TimestampTz interrupt, TimestampTz next)
{
	bool ends = interrupt != 0 && interrupt != deadline;
	bool reminds = next != 0 && next != interrupt && (deadline == 0 || next < deadline);

	return psprintf("%s%s", ends ? psprintf(", until %s, when a handler ends it", wf_told_time_text(interrupt)) : "",
					reminds ? psprintf(", with a reminder at %s", wf_told_time_text(next)) : "");
}

/* How far it has gone through a list. */
static const char *
told_items(int64 n, int64 begun, int64 stuck)
{
	return psprintf(" (" INT64_FORMAT " of " INT64_FORMAT " were begun%s)", begun, n,
					stuck > 0 ? psprintf(", " INT64_FORMAT " %s an incident", stuck, stuck == 1 ? "has" : "have") : "");
}

static const char *
describe_waiting(uint64 row)
{
	TimestampTz deadline = wf_told_time(row, 8);
	char	   *progress = wf_result_text(row, 14);
	TimestampTz silence = wf_told_time(row, 18);
	TimestampTz interrupt = wf_told_time(row, 19);
	const char *lasts = wf_told_span(wf_told_time(row, 6), wf_told_time(row, 1));
	const char *handler = describe_handlers(deadline, interrupt, wf_told_time(row, 20));

	const char *what = waited_for(wf_result_text(row, 5), wf_told_clip(wf_result_text(row, 22)));

	if (wf_result_int64(row, 24) != 0)
		what = psprintf("%s%s", what,
						told_items(wf_result_int64(row, 24), wf_result_int64(row, 25), wf_result_int64(row, 26)));
	if (wf_result_int64(row, 27) != 0 && strcmp(wf_result_text(row, 5), "call") == 0)
		what = psprintf("%s%s", what, wf_told_child("", row, 27));
	if (wf_result_int64(row, 7) != 0)
		what = psprintf("%s until %s", what, wf_told_time_text(wf_told_time(row, 7)));
	return psprintf("%s, for %s so far%s%s%s%s", what, lasts,
					deadline != 0 ? psprintf(", until %s at most", wf_told_time_text(deadline)) : "", handler,
					silence != 0 ? psprintf(", until %s if nothing is heard", wf_told_time_text(silence)) : "",
					progress != NULL ? psprintf("; progress %s", wf_told_clip(progress)) : "");
}

/* What a visit that is being cancelled waits for. */
static const char *
describe_phase(uint64 row)
{
	char *phase = wf_result_text(row, 16);

	if (phase != NULL && strcmp(phase, "await") == 0)
		return "the answer to its request is awaited first";
	if (phase != NULL && strcmp(phase, "inside") == 0)
		return "what is in it ends first";
	if (phase != NULL && strcmp(phase, "child") == 0)
		return psprintf("%s, which was told to end, ends first", wf_told_child("", row, 27) + 1);
	if (phase != NULL && strcmp(phase, "confirm") == 0)
		return psprintf("the callback that confirms it is waited for until %s",
						wf_told_time_text(wf_told_time(row, 7)));
	return "its cancel request is due or under way";
}

static const char *
describe_cancelling(uint64 row)
{
	char *outcome = wf_result_text(row, 17);

	return psprintf("%s, %s%s; %s", strcmp(outcome, "SUCCESS") == 0 ? "is ended by a step in it" : "is being cancelled",
					outcome, wf_told_because(outcome, wf_result_text(row, 12), wf_result_text(row, 13)),
					describe_phase(row));
}

/* What ends the visit has come, and waits for something. */
static const char *
describe_accepted(uint64 row)
{
	const char *what = psprintf("a %s has come", wf_result_text(row, 21));
	char	   *state = wf_result_text(row, 4);
	TimestampTz deadline = wf_told_time(row, 8);
	const char *until = deadline != 0 ? psprintf(", until %s at most", wf_told_time_text(deadline)) : "";
	bool		isnull;

	if (DatumGetBool(wf_result(row, 15, &isnull)))
		return psprintf("%s, and is kept until the instance is resumed", what);
	if (strcmp(state, "cancelling") == 0)
		return psprintf("%s: it ends the visit after that: %s", what, describe_phase(row));
	if (strcmp(state, "waiting") == 0)
		return psprintf("%s: it ends the visit when what it has called,%s, has ended%s", what,
						wf_told_child("", row, 27), until);
	return psprintf("%s: it ends the visit once its action is done, or given up%s", what, until);
}

static const char *
describe_state(uint64 row)
{
	char *state = wf_result_text(row, 4);
	char *outcome = wf_result_text(row, 11);
	bool  isnull;

	if (DatumGetBool(wf_result(row, 10, &isnull)))
		return describe_accepted(row);
	if (strcmp(state, "waiting") == 0)
		return describe_waiting(row);
	if (strcmp(state, "incident") == 0)
		return psprintf("stands as an incident for %s: %s%s", wf_told_span(wf_told_time(row, 6), wf_told_time(row, 1)),
						outcome, wf_told_because(outcome, wf_result_text(row, 12), wf_result_text(row, 13)));
	if (strcmp(state, "calling") == 0)
		return psprintf("its action is due or under way, attempt %d", wf_told_int(row, 9) + 1);
	if (strcmp(state, "retrying") == 0)
		return psprintf("pauses until %s, then attempt %d", wf_told_time_text(wf_told_time(row, 7)),
						wf_told_int(row, 9) + 1);
	if (strcmp(state, "cancelling") == 0)
		return describe_cancelling(row);
	return "is about to be begun";
}

/* The state, and how many messages and signals are on their way: they are handled when the instance is free. */
static const char *
describe_standing(uint64 row)
{
	int64 queued = wf_result_int64(row, 23);

	if (queued == 0)
		return describe_state(row);
	return psprintf("%s; " INT64_FORMAT " %s on %s way to it", describe_state(row), queued,
					queued == 1 ? "message or signal is" : "messages or signals are", queued == 1 ? "its" : "their");
}

static void
note_outcome(uint64 row, WfTold *event)
{
	event->outcome = wf_result_text(row, 11);
}

const WfTimelineSource wf_timeline_standing = {&q_standing, WF_RANK_STANDING, describe_standing, note_outcome};
