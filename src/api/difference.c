/*
 * difference.c
 *		workflow.difference: what two versions of a process do not have in common.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "api/arguments.h"
#include "compat.h"
#include "model/difference.h"
#include "store/access.h"
#include "store/privilege.h"
#include "store/process.h"
#include "store/query.h"
#include "store/version.h"

static WfQuery q_version = {
	.sql = "SELECT definition::text, search_path, timezone FROM workflow_data.process_version "
		   "WHERE process_id = $1 AND version = $2",
	.nargs = 2,
	.argtypes = {INT4OID, INT4OID},
};

WF_FUNCTION(workflow_difference);

typedef struct Version
{
	WfJson *definition;
	char   *search_path;
	char   *timezone;
} Version;

static Version
read_version(const char *process, int process_id, int version)
{
	Datum	 values[2] = {Int32GetDatum(process_id), Int32GetDatum(version)};
	WfIssues issues = {0};
	Version	 read;

	if (wf_query_run(&q_version, values, NULL) == 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("version %d of process \"%s\" does not exist", version, process),
				errhint("See the view workflow.processes."));
	read.search_path = wf_result_text(0, 2);
	read.timezone = wf_result_text(0, 3);
	read.definition = wf_json_parse(wf_result_text(0, 1), &issues);
	if (read.definition == NULL)
		wf_issues_report(process, &issues);
	return read;
}

static void
put_difference(void *arg, const char *path, const char *change, Jsonb *before, Jsonb *after)
{
	ReturnSetInfo *rows = arg;
	Datum		   values[4] = {CStringGetTextDatum(path), CStringGetTextDatum(change), JsonbPGetDatum(before),
								JsonbPGetDatum(after)};
	bool		   nulls[4] = {false, false, before == NULL, after == NULL};

	tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
}

/* What define took from the session, and is part of the version beside the definition. */
static void
compare_setting(ReturnSetInfo *rows, const char *name, const char *before, const char *after)
{
	WfJson old = {.type = WF_JSON_STRING, .text = before};
	WfJson new = {.type = WF_JSON_STRING, .text = after};

	if (strcmp(before, after) != 0)
		put_difference(rows, name, "changed", wf_json_to_jsonb(&old), wf_json_to_jsonb(&new));
}

/*
 * workflow.difference(process text, from_version integer, version integer) → setof (path, change, old, new)
 *
 * NULL: the latest version, and the one before the other. Errors: 42704 for an unknown process or version, 42501
 * without view.
 */
Datum
workflow_difference(PG_FUNCTION_ARGS)
{
	char		  *process = wf_argument_text_required(fcinfo, 0, "process");
	ReturnSetInfo *rows = (ReturnSetInfo *) fcinfo->resultinfo;
	WfAccess	   access;
	Version		   before;
	Version		   after;
	int			   process_id;
	int			   version;

	InitMaterializedSRF(fcinfo, 0);
	wf_store_enter(&access);
	process_id = wf_process_id(process);
	if (process_id == 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("process \"%s\" does not exist", process));
	wf_privilege_require(process_id, access.caller, WF_PRIVILEGE_VIEW, WF_PRIVILEGE_VIEW);
	version = PG_ARGISNULL(2) ? wf_process_last_version(process_id) : PG_GETARG_INT32(2);
	after = read_version(process, process_id, version);
	before = read_version(process, process_id, PG_ARGISNULL(1) ? Max(version - 1, 1) : PG_GETARG_INT32(1));
	compare_setting(rows, "search_path", before.search_path, after.search_path);
	compare_setting(rows, "TimeZone", before.timezone, after.timezone);
	wf_difference(before.definition, after.definition, put_difference, rows);
	wf_store_leave(&access);
	return (Datum) 0;
}
