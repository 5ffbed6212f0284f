/*
 * diagram.c
 *		workflow.diagram: a process as a flowchart, with what tokens do in it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "api/arguments.h"
#include "model/diagram.h"
#include "store/access.h"
#include "store/durable.h"
#include "store/history.h"
#include "store/privilege.h"
#include "store/process.h"
#include "store/query.h"
#include "store/version.h"

static WfQuery q_definition = {
	.sql = "SELECT definition::text FROM workflow_data.process_version WHERE process_id = $1 AND version = $2",
	.nargs = 2,
	.argtypes = {INT4OID, INT4OID},
};

#define STATE "CASE WHEN v.state = 'waiting' AND v.waits_for IN ('steps', 'each') THEN 'under way' ELSE v.state END"

/* An item has the name of the scope around it. */
#define LIVING \
	"SELECT v.step, v.item IS NOT NULL AND EXISTS (SELECT FROM workflow_data.visit s " \
	"WHERE s.instance = v.instance AND s.visit = v.scope AND s.step = v.step), " STATE \
	", count(*) FROM workflow_data.visit v "

/* All that live of a process, or those of one of its versions. */
static WfQuery q_process = {
	.sql = LIVING "WHERE v.process_id = $1 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
	.nargs = 1,
	.argtypes = {INT4OID},
};
static WfQuery q_version = {
	.sql = LIVING "JOIN workflow_data.instance i ON i.instance = v.instance WHERE i.process_id = $1 AND i.version = $2 "
				  "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
	.nargs = 2,
	.argtypes = {INT4OID, INT4OID},
};

/*
 * What lives of an instance, and what has ended. A scope may have ended before what was in it is through, so it is looked
 * for in both; by a join, since there may be very many.
 */
static WfQuery q_visits = {
	.sql = "WITH v AS (SELECT visit, scope, item, step, " STATE
		   " AS state FROM workflow_data.visit v WHERE v.instance = $1 UNION ALL "
		   "SELECT visit, scope, item, step, outcome FROM " WF_ENDED(
			   "visit") " v WHERE v.instance = $1) "
						"SELECT v.step, s.visit IS NOT NULL, v.state, count(*) FROM v "
						"LEFT JOIN v s ON v.item IS NOT NULL AND s.visit = v.scope AND s.step = v.step "
						"GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
	.nargs = 1,
	.argtypes = {INT8OID},
};

static WfQuery q_instance = {
	.sql =
		"SELECT process_id, version, status, business_key FROM workflow_data.instance WHERE instance = $1 UNION ALL "
		"SELECT process_id, version, status, business_key FROM " WF_ENDED("instance") " h WHERE instance = $1 LIMIT 1",
	.nargs = 1,
	.argtypes = {INT8OID},
};

WF_FUNCTION(workflow_diagram);
WF_FUNCTION(workflow_diagram_instance);

static void
read_definition(WfDiagram *diagram, int process_id, int version)
{
	Datum	 values[2] = {Int32GetDatum(process_id), Int32GetDatum(version)};
	WfIssues issues = {0};

	diagram->def = wf_process_get(process_id, version)->def;
	wf_query_run(&q_definition, values, NULL);
	diagram->root = wf_json_parse(wf_result_text(0, 1), &issues);
	if (diagram->root == NULL)
		wf_issues_report(wf_process_name(process_id), &issues);
}

/* Read the counts, which are the current result. */
static void
take_counts(WfDiagram *diagram, uint64 n)
{
	WfDiagramCount *counts = palloc0(Max(n, 1) * sizeof(WfDiagramCount));
	bool			isnull;

	for (uint64 i = 0; i < n; i++)
		counts[i] = (WfDiagramCount){.step = wf_result_text(i, 1),
									 .of_item = DatumGetBool(wf_result(i, 2, &isnull)),
									 .state = wf_result_text(i, 3),
									 .n = wf_result_int64(i, 4)};
	diagram->counts = counts;
	diagram->ncounts = (int) n;
}

/* Make the text, in this context. */
static Datum
draw(const WfDiagram *diagram, MemoryContext context)
{
	MemoryContext old = CurrentMemoryContext;
	char		 *text = wf_diagram(diagram);
	Datum		  result;

	MemoryContextSwitchTo(context);
	result = CStringGetTextDatum(text);
	MemoryContextSwitchTo(old);
	return result;
}

static int
viewed_process(const char *process, Oid caller)
{
	int process_id = wf_process_id(process);

	if (process_id == 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("process \"%s\" does not exist", process),
				errhint("See the view workflow.processes."));
	wf_privilege_require(process_id, caller, WF_PRIVILEGE_VIEW, WF_PRIVILEGE_VIEW);
	return process_id;
}

/*
 * workflow.diagram(process text, version integer, live boolean) → text
 *
 * NULL as version: the latest one is drawn, and what is counted is of all. Errors: 42704 for an unknown process or
 * version, 42501 without view.
 */
Datum
workflow_diagram(PG_FUNCTION_ARGS)
{
	char		 *process = wf_argument_text_required(fcinfo, 0, "process");
	bool		  live = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	MemoryContext context = CurrentMemoryContext;
	WfDiagram	  diagram = {.living = true};
	Datum		  values[2];
	WfAccess	  access;
	int			  version;
	Datum		  result;

	wf_store_enter(&access);
	values[0] = Int32GetDatum(viewed_process(process, access.caller));
	version = PG_ARGISNULL(1) ? wf_process_last_version(DatumGetInt32(values[0])) : PG_GETARG_INT32(1);
	values[1] = Int32GetDatum(version);
	read_definition(&diagram, DatumGetInt32(values[0]), version);
	diagram.title = psprintf("%s, version %d", process, version);
	if (live)
		take_counts(&diagram, wf_query_run(PG_ARGISNULL(1) ? &q_process : &q_version, values, NULL));
	result = draw(&diagram, context);
	wf_store_leave(&access);
	MemoryContextSwitchTo(context);
	return result;
}

static void
report_unknown_instance(int64 instance)
{
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("instance " INT64_FORMAT " does not exist", instance),
			errdetail("It was never started, or is no longer kept in the history."));
}

/* Read an instance, and what it has passed, as of one moment. */
static void
read_instance(WfDiagram *diagram, int64 instance, Oid caller)
{
	Datum	 values[1] = {Int64GetDatum(instance)};
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	bool	 isnull;
	int		 process_id;
	int		 version;
	char	*key;
	char	*status;

	if (wf_query_run_at(&q_instance, values, snapshot) == 0)
		report_unknown_instance(instance);
	process_id = DatumGetInt32(wf_result(0, 1, &isnull));
	version = DatumGetInt32(wf_result(0, 2, &isnull));
	status = wf_result_text(0, 3);
	key = wf_result_text(0, 4);
	if (!wf_privilege_admits(process_id, caller, WF_PRIVILEGE_VIEW, WF_PRIVILEGE_ADMIN))
		report_unknown_instance(instance);
	take_counts(diagram, wf_query_run_at(&q_visits, values, snapshot));
	UnregisterSnapshot(snapshot);
	diagram->title = psprintf("%s, version %d, instance " INT64_FORMAT "%s%s, %s", wf_process_name(process_id), version,
							  instance, key != NULL ? ", key " : "", key != NULL ? key : "", status);
	read_definition(diagram, process_id, version);
}

/*
 * workflow.diagram(instance bigint) → text
 *
 * Errors: 42704 unknown, 42501 without view.
 */
Datum
workflow_diagram_instance(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	WfDiagram	  diagram = {0};
	WfAccess	  access;
	Datum		  result;

	wf_argument_require(fcinfo, 0, "instance");
	wf_store_enter(&access);
	read_instance(&diagram, PG_GETARG_INT64(0), access.caller);
	result = draw(&diagram, context);
	wf_store_leave(&access);
	MemoryContextSwitchTo(context);
	wf_durable_require();
	return result;
}
