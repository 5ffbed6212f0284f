/*
 * timeline.c
 *		workflow.timeline: the history of an instance, one line for each event, for people at psql.
 *
 * All tables are read as of one moment. Times are told since the start; visits that have not ended come last. What is not stored is not told:
 * when the whole process was suspended, for one.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "api/arguments.h"
#include "api/timeline_internal.h"
#include "model/definition.h"
#include "store/access.h"
#include "store/durable.h"
#include "store/history.h"
#include "store/privilege.h"
#include "store/query.h"

#define MAX_DETAIL 200 /* bytes of a message or progress shown in one line */

/*
 * the instance: process_id, process, version, business_key, status, started_at, ended_at, why it
 * ended, which visit has called it
 */
static WfQuery q_instance = {
	.sql = "SELECT i.process_id, p.process, i.version, i.business_key, i.status, i.started_at, "
		   "NULL::timestamptz, i.cancel_reason, i.parent || '_' || i.parent_visit FROM workflow_data.instance i "
		   "JOIN workflow_data.process p ON p.process_id = i.process_id WHERE i.instance = $1 "
		   "UNION ALL "
		   "SELECT h.process_id, p.process, h.version, h.business_key, h.status, h.started_at, "
		   "h.ended_at, h.error->>'message', h.parent || '_' || h.parent_visit FROM " WF_ENDED(
			   "instance") " h "
						   "JOIN workflow_data.process p ON p.process_id = h.process_id WHERE h.instance = $1 LIMIT 1",
	.nargs = 1,
	.argtypes = {INT8OID},
};

/* Events. The columns of each query begin with time, visit and step. */
static WfQuery q_entered = {
	.sql = "WITH e AS (SELECT h.entered_at, h.visit, h.step, h.scope, h.begun_by, h.item FROM " WF_ENDED(
		"visit") " h WHERE h.instance = $1 "
				 "UNION ALL "
				 "SELECT v.entered_at, v.visit, v.step, v.scope, v.begun_by, v.item FROM workflow_data.visit v WHERE v.instance = $1) "
				 "SELECT e.entered_at, e.visit, e.step, e.scope, workflow.serial_number($1, (e.begun_by->>'visit')::bigint), "
				 "e.begun_by->>'kind', e.begun_by->>'name', e.begun_by->>'key', e.item FROM e",
	.nargs = 1,
	.argtypes = {INT8OID},
};
/*
 * Selects the attempts of instance $1. Their index is on serial numbers, so a range of these is
 * looked up: '`' is the character after '_'.
 */
#define OF_INSTANCE \
	"(workflow.serial_number(a.instance, a.visit) COLLATE \"C\" >= $1 || '_' " \
	"AND workflow.serial_number(a.instance, a.visit) COLLATE \"C\" < $1 || '`')"
static WfQuery q_attempts = {
	.sql = "SELECT b.* FROM (SELECT a.ended_at, a.visit, NULL::text, a.attempt, a.http_status, "
		   "a.error->>'code', a.error->>'message', "
		   "a.attempt <= lag(a.attempt) OVER (PARTITION BY a.visit ORDER BY a.ended_at) AS again "
		   "FROM " WF_ENDED("attempt") " a WHERE NOT a.incident AND " OF_INSTANCE ") b",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_incidents = {
	.sql = "SELECT a.started_at, a.visit, NULL::text, NULL::text, a.error->>'code', a.error->>'message' "
		   "FROM " WF_ENDED(
			   "attempt") " a WHERE " OF_INSTANCE " AND a.incident "
						  "UNION ALL "
						  "SELECT v.waiting_since, v.visit, v.step, v.outcome, v.error->>'code', v.error->>'message' "
						  "FROM workflow_data.visit v WHERE v.instance = $1 AND v.state = 'incident'",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_resolved = {
	.sql = "SELECT a.ended_at, a.visit, NULL::text, a.started_at, a.ended_with, a.ended_by::text "
		   "FROM " WF_ENDED("attempt") " a WHERE " OF_INSTANCE " AND a.incident",
	.nargs = 1,
	.argtypes = {INT8OID},
};
/* SQL that is put together */
/* clang-format off */
static WfQuery q_ended = {
	.sql = "SELECT h.ended_at, h.visit, h.step, h.outcome, h.entered_at, h.attempts, "
		   "h.result->'error'->>'code', h.result->'error'->>'message', "
		   "h.result->>'callback_response', h.result->>'cancel_response', c.error->>'message', "
		   "CASE WHEN c.error->'http_status' = 'null' THEN c.error->>'code' END, "
		   "h.result #>> '{cancel_response,body}', h.completed_by, h.webhook, "
		   /* a step that ignores being cancelled, begun at that time, cleans up after the interruption */
		   "NOT (coalesce(d.cleans, false) AND h.entered_at = h.ended_at) "
		   "AND CASE h.outcome WHEN 'SUCCESS' THEN coalesce(d.ends, false) ELSE h.outcome <> 'CANCELLED' END, "
		   "h.result->'event'->>'kind', h.result->'event'->>'name', h.result->'event'->>'key', "
		   "CASE WHEN d.sends THEN h.result->>'initial_response' END, h.result->'event'->>'role', "
		   /* what ended the wait: then its data are the response */
		   "CASE WHEN h.result->'event' ? 'data' THEN h.result->'event'->>'data' "
		   "WHEN h.result->'event'->>'name' IS NOT NULL THEN h.result->>'response' END, h.child "
		   "FROM " WF_ENDED("visit") " h "
		   "LEFT JOIN (SELECT s ->> 'step' AS step, s @> '{\"ignore_cancel\": true}' AS cleans, "
		   "s @@ '$.end == \"scope\" || exists($.end.error) || exists($.end.abort)' AS ends, s ? 'send' AS sends "
		   "FROM workflow_data.process_version v, LATERAL (SELECT DISTINCT q.s FROM "
		   "jsonb_path_query(v.definition::jsonb, '$.**.steps[*] ? (@.ignore_cancel == true || exists(@.end) || exists(@.send))') q (s)) q "
		   "WHERE v.process_id = $2 AND v.version = $3) d USING (step) "
		   "LEFT JOIN LATERAL (SELECT h.result #> '{cancel_response,error}') c (error) "
		   /* without an sqlstate, the service's own answer has a member "error" */
		   "ON c.error ? 'sqlstate' WHERE h.instance = $1",
	.nargs = 3, .argtypes = {INT8OID, INT4OID, INT4OID},
};
/* clang-format on */
/*
 * Calls of operators, but for retry and skip: the line of the incident that they resolved tells of
 * them.
 */
static WfQuery q_called = {
	.sql = "SELECT a.at, coalesce(a.visit, 0), NULL::text, a.call, a.role::text, a.arguments->>'by', "
		   "coalesce(a.arguments->>'from_step', a.arguments->>'from_version', a.arguments->>'instance'), "
		   "coalesce(a.arguments->>'to_step', a.arguments->>'version') FROM workflow_data.audit a "
		   "WHERE a.instance = $1 AND a.call NOT IN ('retry', 'skip')",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_late = {
	.sql =
		"SELECT l.received_at, l.visit, NULL::text, l.role::text, l.data::text, l.webhook FROM ("
		"SELECT h.visit FROM " WF_ENDED(
			"visit") " h WHERE h.instance = $1) k "
					 "JOIN workflow_data.late_callback l ON workflow.serial_number(l.instance, l.visit) COLLATE \"C\" = "
					 "workflow.serial_number($1, k.visit)",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_standing = {
	.sql =
		"SELECT clock_timestamp(), v.visit, v.step, v.state, v.waits_for, v.waiting_since, "
		"v.due_at, v.deadline, v.attempt, v.accepted IS NOT NULL, v.outcome, v.error->>'code', "
		"v.error->>'message', v.progress::text, v.suspended, v.cancel_phase, v.cancel_outcome, "
		"CASE WHEN NOT v.suspended THEN v.heartbeat_deadline END, v.next_interrupt, v.next_handler, "
		"CASE v.accepted WHEN 0 THEN 'callback' ELSE v.event->>'kind' END, "
		"(SELECT string_agg(CASE s.kind WHEN 'condition' THEN 'a condition' ELSE format('the %s \"%s\"%s', s.kind, s.name, "
		"CASE WHEN s.keyed THEN format(' (%s)', s.key) END) END, ' or ' ORDER BY s.entry) "
		"FROM workflow_data.subscription s WHERE s.instance = v.instance AND s.visit = v.visit AND s.interrupt IS NULL), "
		"(SELECT count(*) FROM workflow_data.delivery d WHERE d.instance = v.instance AND d.visit = v.visit AND d.kind = 'event' "
		"AND d.kind <> 'write_back'), "
		"v.item_counts[1], v.item_counts[2], v.item_counts[3], v.child "
		"FROM workflow_data.visit v WHERE v.instance = $1",
	.nargs = 1,
	.argtypes = {INT8OID},
};

PG_FUNCTION_INFO_V1(workflow_timeline);

typedef struct Story
{
	int64		instance;
	int			process_id;
	int			version;
	const char *heading;
	Snapshot	snapshot; /* one moment for all tables */
	TimestampTz started_at;
	TimestampTz ended_at;
	const char *status;
	const char *why;
	WfTold	   *events;
	int			n;
	int			allocated;
	WfPlaces	places;
} Story;

/* ---- words ---- */

/* A period of time in its two largest units, which are enough for a person. */
static char *
span(TimestampTz from, TimestampTz to)
{
	int64 us = Max(to - from, 0);
	int64 s = us / USECS_PER_SEC;

	if (us < USECS_PER_SEC)
		return psprintf(INT64_FORMAT " ms", us / 1000);
	if (s < SECS_PER_MINUTE)
		return psprintf("%d.%d s", (int) s, (int) (us % USECS_PER_SEC / (USECS_PER_SEC / 10)));
	if (s < SECS_PER_HOUR)
		return psprintf(INT64_FORMAT " min %02d s", s / SECS_PER_MINUTE, (int) (s % SECS_PER_MINUTE));
	if (s < SECS_PER_DAY)
		return psprintf(INT64_FORMAT " h %02d min", s / SECS_PER_HOUR, (int) (s % SECS_PER_HOUR / SECS_PER_MINUTE));
	return psprintf(INT64_FORMAT " d %02d h", s / SECS_PER_DAY, (int) (s % SECS_PER_DAY / SECS_PER_HOUR));
}

static const char *
clip_detail(char *text)
{
	int len = text != NULL ? strlen(text) : 0;
	int kept;

	if (len <= MAX_DETAIL)
		return text;
	kept = pg_mbcliplen(text, len, MAX_DETAIL);
	text[kept] = '\0';
	return psprintf("%s...", text);
}

/*
 * The text ": CODE, message", as far as there is any of it, and the code says more than the
 * outcome.
 */
static const char *
because(const char *outcome, const char *code, char *message)
{
	if (code != NULL && strcmp(code, outcome) == 0)
		code = NULL;
	if (code == NULL && message == NULL)
		return "";
	if (code == NULL || message == NULL)
		return psprintf(": %s", code != NULL ? code : clip_detail(message));
	return psprintf(": %s, %s", code, clip_detail(message));
}

static TimestampTz
result_time(uint64 row, int column)
{
	return wf_result_int64(row, column);
}

static int
result_int(uint64 row, int column)
{
	bool  isnull;
	Datum value = wf_result(row, column, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

static char *
time_text(TimestampTz at)
{
	return pstrdup(timestamptz_to_str(at));
}

/* ---- events ---- */

/* The event that the columns from `kind` on tell, such as: message "paid" (17). */
static const char *
event_words(uint64 row, int column)
{
	const char *kind = wf_result_text(row, column);
	const char *name = wf_result_text(row, column + 1);
	char	   *key = wf_result_text(row, column + 2);

	if (strcmp(kind, "callback") == 0 || strcmp(kind, "condition") == 0)
		return psprintf("a %s", kind);
	if (name == NULL)
		return "a clock";
	return psprintf("%s \"%s\"%s", kind, name, key != NULL ? psprintf(" (%s)", clip_detail(key)) : "");
}

/* Of the first visit of a handler that runs beside another one: by what that was begun. */
static const char *
describe_entered(uint64 row)
{
	char *beside = wf_result_text(row, 5);

	return beside == NULL ? "entered" : psprintf("entered, by %s, beside %s", event_words(row, 6), beside);
}

static const char *
describe_attempt(uint64 row)
{
	int	  status = result_int(row, 5);
	char *code = wf_result_text(row, 6);
	bool  isnull;
	bool  again = DatumGetBool(wf_result(row, 8, &isnull)) && !isnull;
	char *which = psprintf("attempt %d%s", result_int(row, 4), again ? ", begun again by hand," : "");

	if (code == NULL)
		return psprintf("%s succeeded%s", which, status != 0 ? psprintf(" with HTTP status %d", status) : "");
	return psprintf("%s failed%s%s", which, status != 0 ? psprintf(" with HTTP status %d", status) : "",
					because("", status != 0 ? NULL : code, wf_result_text(row, 7)));
}

static const char *
describe_incident(uint64 row)
{
	char *outcome = wf_result_text(row, 4);

	return psprintf("became an incident%s%s%s", outcome != NULL ? ": " : "", outcome != NULL ? outcome : "",
					because(outcome != NULL ? outcome : "", wf_result_text(row, 5), wf_result_text(row, 6)));
}

static const char *
describe_resolved(uint64 row)
{
	char *call = wf_result_text(row, 5);
	char *stood = span(result_time(row, 4), result_time(row, 1));

	if (call == NULL)
		return psprintf("is no incident any more, after %s", stood);
	return psprintf("is no incident any more, after %s: %s by %s", stood, call, wf_result_text(row, 6));
}

/* The text ", words: {...}" if there are data to be told. */
static const char *
told(const char *words, char *data)
{
	return data != NULL ? psprintf("%s: %s", words, clip_detail(data)) : "";
}

/* What became of the cancel request that was sent for the visit. */
static const char *
told_to_stop(uint64 row)
{
	char *message = wf_result_text(row, 11);

	if (message == NULL)
		return told("; asked to stop, its service answered", wf_result_text(row, 10));
	return psprintf("; asked to stop, which failed%s%s", because("", wf_result_text(row, 12), message),
					told("", wf_result_text(row, 13)));
}

static const char *
completed_by(uint64 row)
{
	char *role = wf_result_text(row, 14);
	bool  isnull;

	if (role == NULL)
		return "";
	return psprintf(", by %s%s", DatumGetBool(wf_result(row, 15, &isnull)) ? "webhook through " : "", role);
}

static bool
is_interrupted(uint64 row)
{
	char *code = wf_result_text(row, 7);

	return code != NULL && strcmp(code, "INTERRUPTED") == 0;
}

/*
 * What has happened, of `first_of`, where messages, signals and conditions are waited for, and of what a handler
 * has interrupted. Of a callback that ends a wait the role is told.
 */
static const char *
ended_by_event(uint64 row)
{
	char	   *kind = wf_result_text(row, 17);
	const char *words;
	char	   *role;

	if (kind == NULL)
		return "";
	words = event_words(row, 17);
	if (is_interrupted(row))
	{
		role = wf_result_text(row, 21);
		return psprintf(": interrupted by %s%s", words, role != NULL ? psprintf(", by %s", role) : "");
	}
	return strcmp(kind, "callback") == 0 ? "" : psprintf(", by %s", words);
}

/* Why it has ended badly, unless that is told by what interrupted it. */
static const char *
because_of(uint64 row, const char *outcome)
{
	if (is_interrupted(row) && wf_result_text(row, 17) != NULL)
		return "";
	return because(outcome, wf_result_text(row, 7), wf_result_text(row, 8));
}

/* What became of what the step has sent. */
static const char *
told_sent(uint64 row)
{
	char *answer = wf_result_text(row, 20);

	if (answer == NULL)
		return "";
	return psprintf("; what it sent was %s%s", strcmp(answer, "duplicate") == 0 ? "a " : "", answer);
}

/* The text of a visit that has called an instance, with its number; "" if it has called none. */
static const char *
told_child(const char *words, uint64 row, int column)
{
	int64 child = wf_result_int64(row, column);

	return child != 0 ? psprintf("%s instance " INT64_FORMAT, words, child) : "";
}

static const char *
describe_ended(uint64 row)
{
	int	  attempts = result_int(row, 6);
	char *outcome = wf_result_text(row, 4);

	return psprintf("%s after %s%s%s%s%s%s%s%s%s%s", outcome, span(result_time(row, 5), result_time(row, 1)),
					attempts > 1 ? psprintf(" and %d attempts", attempts) : "", ended_by_event(row), completed_by(row),
					because_of(row, outcome), told("; was told", wf_result_text(row, 9)),
					told("; it brought", wf_result_text(row, 22)), told_to_stop(row), told_sent(row),
					told_child("; it had called", row, 23));
}

/* What an operator has done with the instance or visit. */
static const char *
describe_called(uint64 row)
{
	static const char *const words[][2] = {{"suspend", "suspended"},
										   {"resume", "resumed"},
										   {"set_data", "data changed"},
										   {"cancel", "cancelled"},
										   {"cancel_visit", "cancelled"}};
	char					*call = wf_result_text(row, 4);
	const char				*what = call;

	for (int i = 0; i < lengthof(words); i++)
		if (strcmp(words[i][0], call) == 0)
			what = words[i][1];
	if (strcmp(call, "extend") == 0)
		what = psprintf("deadline moved by %s", wf_result_text(row, 6));
	else if (strcmp(call, "move") == 0)
		what = psprintf("moved from \"%s\" to \"%s\"", wf_result_text(row, 7), wf_result_text(row, 8));
	else if (strcmp(call, "migrate") == 0)
		what = psprintf("taken from version %s to version %s", wf_result_text(row, 7), wf_result_text(row, 8));
	else if (strcmp(call, "rerun") == 0)
		what = psprintf("begun once more, as instance %s", wf_result_text(row, 7));
	return psprintf("%s, by %s", what, wf_result_text(row, 5));
}

static const char *
describe_late(uint64 row)
{
	bool isnull;
	bool webhook = DatumGetBool(wf_result(row, 6, &isnull));

	return psprintf("a callback %s %s came too late and did nothing%s", webhook ? "by webhook through" : "of",
					wf_result_text(row, 4), told("", wf_result_text(row, 5)));
}

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

	return psprintf("%s%s", ends ? psprintf(", until %s, when a handler ends it", time_text(interrupt)) : "",
					reminds ? psprintf(", with a reminder at %s", time_text(next)) : "");
}

/* How far it has gone through a list. */
static const char *
told_items(int64 n, int64 begun, int64 stuck)
{
	return psprintf(" (" INT64_FORMAT " of " INT64_FORMAT " were begun%s)", begun, n,
					stuck > 0 ? psprintf(", something is an incident in " INT64_FORMAT, stuck) : "");
}

static const char *
describe_waiting(uint64 row)
{
	TimestampTz deadline = result_time(row, 8);
	char	   *progress = wf_result_text(row, 14);
	TimestampTz silence = result_time(row, 18);
	TimestampTz interrupt = result_time(row, 19);
	const char *lasts = span(result_time(row, 6), result_time(row, 1));
	const char *handler = describe_handlers(deadline, interrupt, result_time(row, 20));

	const char *what = waited_for(wf_result_text(row, 5), clip_detail(wf_result_text(row, 22)));

	if (wf_result_int64(row, 24) != 0)
		what = psprintf("%s%s", what,
						told_items(wf_result_int64(row, 24), wf_result_int64(row, 25), wf_result_int64(row, 26)));
	if (wf_result_int64(row, 27) != 0 && strcmp(wf_result_text(row, 5), "call") == 0)
		what = psprintf("%s%s", what, told_child("", row, 27));
	if (wf_result_int64(row, 7) != 0)
		what = psprintf("%s until %s", what, time_text(result_time(row, 7)));
	return psprintf("%s, for %s so far%s%s%s%s", what, lasts,
					deadline != 0 ? psprintf(", until %s at most", time_text(deadline)) : "", handler,
					silence != 0 ? psprintf(", until %s if nothing is heard", time_text(silence)) : "",
					progress != NULL ? psprintf("; progress %s", clip_detail(progress)) : "");
}

static const char *
describe_cancelling(uint64 row)
{
	char	   *phase = wf_result_text(row, 16);
	char	   *outcome = wf_result_text(row, 17);
	const char *stands = "its cancel request is due or under way";

	if (phase != NULL && strcmp(phase, "await") == 0)
		stands = "the answer to its request is awaited first";
	else if (phase != NULL && strcmp(phase, "inside") == 0)
		stands = "what is in it ends first";
	else if (phase != NULL && strcmp(phase, "child") == 0)
		stands = psprintf("%s, which was told to end, ends first", told_child("", row, 27) + 1);
	else if (phase != NULL && strcmp(phase, "confirm") == 0)
		stands = psprintf("the callback that confirms it is waited for until %s", time_text(result_time(row, 7)));
	return psprintf("%s, %s%s; %s", strcmp(outcome, "SUCCESS") == 0 ? "is ended by a step in it" : "is being cancelled",
					outcome, because(outcome, wf_result_text(row, 12), wf_result_text(row, 13)), stands);
}

static const char *
describe_state(uint64 row)
{
	char *state = wf_result_text(row, 4);
	char *outcome = wf_result_text(row, 11);
	bool  isnull;

	if (DatumGetBool(wf_result(row, 10, &isnull)))
		return psprintf("a %s has come%s", wf_result_text(row, 21),
						DatumGetBool(wf_result(row, 15, &isnull)) ? ", and is kept until the instance is resumed"
						: strcmp(state, "waiting") == 0
							? psprintf(": it ends the visit when what it has called,%s, has ended",
									   told_child("", row, 27))
							: ": it ends the visit once its request is answered, or given up");
	if (strcmp(state, "waiting") == 0)
		return describe_waiting(row);
	if (strcmp(state, "incident") == 0)
		return psprintf("stands as an incident for %s: %s%s", span(result_time(row, 6), result_time(row, 1)), outcome,
						because(outcome, wf_result_text(row, 12), wf_result_text(row, 13)));
	if (strcmp(state, "calling") == 0)
		return psprintf("its action is due or under way, attempt %d", result_int(row, 9) + 1);
	if (strcmp(state, "retrying") == 0)
		return psprintf("pauses until %s, then attempt %d", time_text(result_time(row, 7)), result_int(row, 9) + 1);
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

typedef struct Source
{
	WfQuery	   *query;
	WfEventRank rank;
	const char *(*describe)(uint64 row);
} Source;

static const Source sources[] = {{&q_entered, WF_RANK_ENTERED, describe_entered},
								 {&q_attempts, WF_RANK_ATTEMPT, describe_attempt},
								 {&q_incidents, WF_RANK_INCIDENT, describe_incident},
								 {&q_resolved, WF_RANK_MENDED, describe_resolved},
								 {&q_called, WF_RANK_CALLED, describe_called},
								 {&q_ended, WF_RANK_ENDED, describe_ended},
								 {&q_late, WF_RANK_LATE, describe_late},
								 {&q_standing, WF_RANK_STANDING, describe_standing}};

static void
add_event(Story *story, const WfTold *event)
{
	if (story->n == story->allocated)
	{
		story->allocated = Max(64, story->allocated * 2);
		if (story->events == NULL)
			story->events = palloc(sizeof(WfTold) * story->allocated);
		else
			story->events = repalloc_huge(story->events, sizeof(WfTold) * story->allocated);
	}
	story->events[story->n++] = *event;
}

static void
note_entry(uint64 row, WfTold *event)
{
	bool  isnull;
	Datum item = wf_result(row, 9, &isnull);

	event->scope = wf_result_int64(row, 4);
	if (!isnull)
		event->item = DatumGetInt32(item);
}

static void
note_end(uint64 row, WfTold *event)
{
	bool isnull;

	event->outcome = wf_result_text(row, 4);

	event->cancelled = strcmp(wf_result_text(row, 4), "CANCELLED") == 0;
	event->interrupts = DatumGetBool(wf_result(row, 16, &isnull));
}

static void
read_source(Story *story, const Source *source)
{
	Datum values[3] = {Int64GetDatum(story->instance), Int32GetDatum(story->process_id), Int32GetDatum(story->version)};
	uint64		   n = wf_query_run_at(source->query, values, story->snapshot);
	SPITupleTable *table = SPI_tuptable;

	for (uint64 i = 0; i < n; i++)
	{
		WfTold event = {.at = result_time(i, 1),
						.visit = wf_result_int64(i, 2),
						.rank = source->rank,
						.step = wf_result_text(i, 3),
						.text = source->describe(i),
						.item = WF_NO_ITEM};

		CHECK_FOR_INTERRUPTS();
		if (source->rank == WF_RANK_ENTERED)
			note_entry(i, &event);
		else if (source->rank == WF_RANK_ENDED)
			note_end(i, &event);
		else if (source->rank == WF_RANK_STANDING)
			event.outcome = wf_result_text(i, 11);
		add_event(story, &event);
	}
	SPI_freetuptable(table);
}

/* ---- which step a visit is at ---- */

/* NULL: it is no longer kept. */
static const char *
step_of_visit(const Story *story, int64 visit)
{
	const WfPlace *place = wf_timeline_place(&story->places, visit);

	return place != NULL ? place->step : NULL;
}

static const char *
step_of_event(const Story *story, const WfTold *event)
{
	const char *step = event->step != NULL ? event->step : step_of_visit(story, event->visit);

	return step != NULL ? step : "?";
}

/* The text " [3]" of a visit that is for an item. */
static const char *
told_item(const Story *story, int64 visit)
{
	const WfPlace *place = wf_timeline_place(&story->places, visit);

	return place != NULL && place->item != WF_NO_ITEM ? psprintf(" [%d]", place->item) : "";
}

/* The text ", in STEP (NUMBER)" of one that enters a step inside of another one. */
static const char *
told_scope(const Story *story, const WfTold *event)
{
	const char *step = event->scope != 0 ? step_of_visit(story, event->scope) : NULL;

	if (step == NULL || strcmp(step, WF_PROCESS_STEP) == 0)
		return "";
	return psprintf(", in %s%s (" INT64_FORMAT "_" INT64_FORMAT ")", step, told_item(story, event->scope),
					story->instance, event->scope);
}

/* ---- the function ---- */

static void
report_unknown_instance(const Story *story)
{
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
			errmsg("instance " INT64_FORMAT " does not exist", story->instance),
			errdetail("It was never started, or is no longer kept in the history."));
}

static void
read_story_instance(Story *story)
{
	Datum values[1] = {Int64GetDatum(story->instance)};
	char *key;
	char *caller;

	if (wf_query_run_at(&q_instance, values, story->snapshot) == 0)
		report_unknown_instance(story);
	story->process_id = result_int(0, 1);
	story->version = result_int(0, 3);
	story->status = wf_result_text(0, 5);
	story->started_at = result_time(0, 6);
	story->ended_at = result_time(0, 7);
	story->why = clip_detail(wf_result_text(0, 8));
	key = wf_result_text(0, 4);
	caller = wf_result_text(0, 9);
	story->heading = psprintf("instance " INT64_FORMAT " of process \"%s\", version %d%s%s%s%s%s: %s", story->instance,
							  wf_result_text(0, 2), story->version, key != NULL ? ", business key \"" : "",
							  key != NULL ? key : "", key != NULL ? "\"" : "", caller != NULL ? ", called by " : "",
							  caller != NULL ? caller : "", story->status);
}

static void
add_standing(Story *story, const char *text)
{
	WfTold event = {.at = DT_NOEND, .rank = WF_RANK_STANDING, .text = text};

	add_event(story, &event);
}

static void
add_end(Story *story)
{
	const char *why = story->why != NULL && *story->why ? psprintf(": %s", story->why) : "";
	WfTold		end = {.at = story->ended_at, .rank = WF_RANK_INSTANCE};

	if (story->ended_at != 0)
	{
		end.text = psprintf("%s%s", story->status, why);
		add_event(story, &end);
		return;
	}
	if (strcmp(story->status, "suspended") == 0)
		add_standing(story, "the instance is suspended: no worker touches it until workflow.resume is called");
	if (story->why != NULL)
		add_standing(story, psprintf("the instance is being cancelled%s", why));
}

/*
 * Escape control characters: text of outside systems must not be able to begin a line, or to steer
 * a terminal. In all server encodings ASCII characters are single bytes.
 */
static char *
escape_controls(const char *line)
{
	StringInfoData escaped;

	initStringInfo(&escaped);
	for (; *line != '\0'; line++)
	{
		unsigned char c = *line;

		if (c == '\n')
			appendStringInfoString(&escaped, "\\n");
		else if (c == '\r')
			appendStringInfoString(&escaped, "\\r");
		else if (c == '\t')
			appendStringInfoString(&escaped, "\\t");
		else if (c < ' ' || c == 0x7f)
			appendStringInfo(&escaped, "\\x%02x", c);
		else
			appendStringInfoChar(&escaped, c);
	}
	return escaped.data;
}

static void
put_story_line(ReturnSetInfo *rsinfo, const char *line)
{
	Datum values[1] = {CStringGetTextDatum(escape_controls(line))};
	bool  nulls[1] = {false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
tell_story(ReturnSetInfo *rsinfo, const Story *story)
{
	put_story_line(rsinfo, story->heading);
	put_story_line(rsinfo, psprintf("%12s  started %s", "", time_text(story->started_at)));
	for (int i = 0; i < story->n; i++)
	{
		const WfTold *event = &story->events[i];
		const char	 *when =
			  event->rank == WF_RANK_STANDING ? "now" : psprintf("+ %s", span(story->started_at, event->at));

		CHECK_FOR_INTERRUPTS();
		if (event->visit == 0)
			put_story_line(rsinfo, psprintf("%12s  %s", when, event->text));
		else
			put_story_line(rsinfo, psprintf("%12s  %s%s (" INT64_FORMAT "_" INT64_FORMAT "): %s%s", when,
											step_of_event(story, event), told_item(story, event->visit),
											story->instance, event->visit, event->text, told_scope(story, event)));
	}
}

/*
 * workflow.timeline(instance bigint) → setof text
 *
 * Errors: 42704 unknown, 42501 without view.
 */
Datum
workflow_timeline(PG_FUNCTION_ARGS)
{
	Story	 story = {0};
	WfAccess access;

	wf_argument_require(fcinfo, 0, "instance");
	story.instance = PG_GETARG_INT64(0);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	wf_store_enter(&access);
	story.snapshot = RegisterSnapshot(GetLatestSnapshot());
	read_story_instance(&story);
	if (!wf_privilege_admits(story.process_id, access.caller, WF_PRIVILEGE_VIEW, WF_PRIVILEGE_ADMIN))
		report_unknown_instance(&story);
	for (int i = 0; i < lengthof(sources); i++)
		read_source(&story, &sources[i]);
	UnregisterSnapshot(story.snapshot);
	wf_timeline_places(&story.places, story.events, story.n);
	story.n = wf_timeline_items(&story.places, story.events, story.n);
	add_end(&story);
	wf_timeline_sort(&story.places, story.events, story.n);
	tell_story((ReturnSetInfo *) fcinfo->resultinfo, &story);
	wf_store_leave(&access);
	wf_durable_require();
	return (Datum) 0;
}
