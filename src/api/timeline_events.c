/*
 * timeline_events.c
 *		What workflow.timeline() tells of what has happened: visits that came and ended, attempts, incidents,
 *		calls of operators, late callbacks.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "api/timeline_internal.h"
#include "model/fault.h"
#include "store/history.h"
#include "store/query.h"

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
		   "a.attempt <= lag(a.attempt) OVER w AND lag(a.error->>'code') OVER w IS DISTINCT FROM '" WF_CODE_LOST
		   "' AS again "
		   "FROM " WF_ENDED("attempt") " a WHERE NOT a.incident AND " OF_INSTANCE
									   " WINDOW w AS (PARTITION BY a.visit ORDER BY a.ended_at)) b",
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
		   "WHEN h.result->'event'->>'name' IS NOT NULL OR h.result->'event'->>'kind' = 'task' THEN h.result->>'response' END, h.child "
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
 * them. What took the whole process to another version, the instance keeps itself.
 */
static WfQuery q_called = {
	.sql =
		"SELECT a.at, coalesce(a.visit, 0), NULL::text, a.call, a.role::text, a.arguments->>'by', "
		"coalesce(a.arguments->>'from_step', a.arguments->>'from_version', a.arguments->>'instance'), "
		"coalesce(a.arguments->>'to_step', a.arguments->>'version', a.arguments->>'role'), a.arguments->>'person' "
		"FROM workflow_data.audit a "
		"WHERE a.instance = $1 AND a.call NOT IN ('retry', 'skip') "
		"UNION ALL "
		"SELECT timestamptz '2000-01-01 00:00:00+00' + (m ->> 'at')::bigint * interval '1 microsecond', 0, NULL, 'migrate', "
		"m ->> 'by', NULL, m ->> 'from', m ->> 'to', NULL FROM (SELECT i.migrations FROM workflow_data.instance i "
		"WHERE i.instance = $1 UNION ALL SELECT h.migrations FROM " WF_ENDED(
			"instance") " h WHERE h.instance = $1) i, jsonb_array_elements(i.migrations) m",
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
/* The event that the columns from `kind` on tell, such as: message "paid" (17). */
static const char *
event_words(uint64 row, int column)
{
	const char *kind = wf_result_text(row, column);
	const char *name = wf_result_text(row, column + 1);
	char	   *key = wf_result_text(row, column + 2);

	if (strcmp(kind, "callback") == 0 || strcmp(kind, "condition") == 0 || strcmp(kind, "task") == 0)
		return psprintf("a %s", kind);
	if (name == NULL)
		return "a clock";
	return psprintf("%s \"%s\"%s", kind, name, key != NULL ? psprintf(" (%s)", wf_told_clip(key)) : "");
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
	int	  status = wf_told_int(row, 5);
	char *code = wf_result_text(row, 6);
	bool  isnull;
	bool  again = DatumGetBool(wf_result(row, 8, &isnull)) && !isnull;
	char *which = psprintf("attempt %d%s", wf_told_int(row, 4), again ? ", begun again by hand," : "");

	if (code != NULL && strcmp(code, WF_CODE_LOST) == 0)
		return psprintf("%s was interrupted%s", which, wf_told_because("", NULL, wf_result_text(row, 7)));
	if (code == NULL)
		return psprintf("%s succeeded%s", which, status != 0 ? psprintf(" with HTTP status %d", status) : "");
	return psprintf("%s failed%s%s", which, status != 0 ? psprintf(" with HTTP status %d", status) : "",
					wf_told_because("", status != 0 ? NULL : code, wf_result_text(row, 7)));
}

static const char *
describe_incident(uint64 row)
{
	char *outcome = wf_result_text(row, 4);

	return psprintf("became an incident%s%s%s", outcome != NULL ? ": " : "", outcome != NULL ? outcome : "",
					wf_told_because(outcome != NULL ? outcome : "", wf_result_text(row, 5), wf_result_text(row, 6)));
}

static const char *
describe_resolved(uint64 row)
{
	char *call = wf_result_text(row, 5);
	char *stood = wf_told_span(wf_told_time(row, 4), wf_told_time(row, 1));

	if (call == NULL)
		return psprintf("is no incident any more, after %s", stood);
	return psprintf("is no incident any more, after %s: %s by %s", stood, call, wf_result_text(row, 6));
}

/* The text ", words: {...}" if there are data to be told. */
static const char *
told(const char *words, char *data)
{
	return data != NULL ? psprintf("%s: %s", words, wf_told_clip(data)) : "";
}

/* What became of the cancel request that was sent for the visit. */
static const char *
told_to_stop(uint64 row)
{
	char *message = wf_result_text(row, 11);

	if (message == NULL)
		return told("; asked to stop, its service answered", wf_result_text(row, 10));
	return psprintf("; asked to stop, which failed%s%s", wf_told_because("", wf_result_text(row, 12), message),
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
	return wf_told_because(outcome, wf_result_text(row, 7), wf_result_text(row, 8));
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

static const char *
describe_ended(uint64 row)
{
	int	  attempts = wf_told_int(row, 6);
	char *outcome = wf_result_text(row, 4);

	return psprintf("%s after %s%s%s%s%s%s%s%s%s%s", outcome, wf_told_span(wf_told_time(row, 5), wf_told_time(row, 1)),
					attempts > 1 ? psprintf(" and %d attempts", attempts) : "", ended_by_event(row), completed_by(row),
					because_of(row, outcome), told("; was told", wf_result_text(row, 9)),
					told("; it brought", wf_result_text(row, 22)), told_to_stop(row), told_sent(row),
					wf_told_child("; it had called", row, 23));
}

/* What an operator has done with the instance or visit. */
static const char *
describe_called(uint64 row)
{
	static const char *const words[][2] = {{"suspend", "suspended"},	  {"resume", "resumed"},
										   {"set_data", "data changed"},  {"cancel", "cancelled"},
										   {"cancel_visit", "cancelled"}, {"claim", "claimed"},
										   {"unclaim", "given back"},	  {"release", "work given back"}};
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
	else if (strcmp(call, "reassign") == 0)
		what = psprintf("given to %s", wf_result_text(row, 8));
	else if (strcmp(call, "rerun") == 0)
		what = psprintf("begun once more, as instance %s", wf_result_text(row, 7));
	if (wf_result_text(row, 9) != NULL)
		what = psprintf("%s for %s", what, wf_told_clip(wf_result_text(row, 9)));
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

const WfTimelineSource wf_timeline_events[] = {{&q_entered, WF_RANK_ENTERED, describe_entered, note_entry},
											   {&q_attempts, WF_RANK_ATTEMPT, describe_attempt},
											   {&q_incidents, WF_RANK_INCIDENT, describe_incident},
											   {&q_resolved, WF_RANK_MENDED, describe_resolved},
											   {&q_called, WF_RANK_CALLED, describe_called},
											   {&q_ended, WF_RANK_ENDED, describe_ended, note_end},
											   {&q_late, WF_RANK_LATE, describe_late},
											   {NULL}};
