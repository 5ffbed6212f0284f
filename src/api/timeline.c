/*
 * timeline.c
 *		workflow.timeline: the history of an instance, one line for each event, for people at psql.
 *
 * All tables are read as of one moment. Times are told since the start; visits that have not ended come last. What is not
 * stored is not told: when the whole process was suspended, for one.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
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
#include "store/version.h"

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

WF_FUNCTION(workflow_timeline);

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
read_source(Story *story, const WfTimelineSource *source)
{
	Datum values[3] = {Int64GetDatum(story->instance), Int32GetDatum(story->process_id), Int32GetDatum(story->version)};
	uint64		   n = wf_query_run_at(source->query, values, story->snapshot);
	SPITupleTable *table = SPI_tuptable;

	for (uint64 i = 0; i < n; i++)
	{
		WfTold event = {.at = wf_told_time(i, 1),
						.visit = wf_result_int64(i, 2),
						.rank = source->rank,
						.step = wf_result_text(i, 3),
						.text = source->describe(i),
						.item = WF_NO_ITEM};

		CHECK_FOR_INTERRUPTS();
		if (source->note != NULL)
			source->note(i, &event);
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
	story->process_id = wf_told_int(0, 1);
	story->version = wf_told_int(0, 3);
	story->status = wf_result_text(0, 5);
	story->started_at = wf_told_time(0, 6);
	story->ended_at = wf_told_time(0, 7);
	story->why = wf_told_clip(wf_result_text(0, 8));
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
	put_story_line(rsinfo, psprintf("%12s  started %s", "", wf_told_time_text(story->started_at)));
	for (int i = 0; i < story->n; i++)
	{
		const WfTold *event = &story->events[i];
		const char	 *when =
			  event->rank == WF_RANK_STANDING ? "now" : psprintf("+ %s", wf_told_span(story->started_at, event->at));

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
	for (const WfTimelineSource *source = wf_timeline_events; source->query != NULL; source++)
		read_source(&story, source);
	read_source(&story, &wf_timeline_standing);
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
