/*
 * check.c
 *		workflow.check: all faults and warnings of a definition, as rows.
 *
 * They are those of workflow.define, found in the same way. Nothing is stored or locked, so it may
 * be called in a read-only transaction and on a standby.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "api/arguments.h"
#include "api/check.h"
#include "api/references.h"
#include "model/issue.h"
#include "model/reference.h"
#include "store/access.h"
#include "store/version.h"

WF_FUNCTION(workflow_check);

WfDefinition *
wf_check_definition(const char *json, const char *process, Oid owner, const char *search_path, WfIssues *issues)
{
	WfReferences  references = {0};
	WfDefinition *def = wf_definition_compile(json, &references, issues);

	wf_references_check(&references, process, owner, search_path, issues);
	return def;
}

static void
put_issue(ReturnSetInfo *rsinfo, const WfIssue *issue, const char *severity)
{
	Datum values[6] = {0};
	bool  nulls[6] = {false};

	values[0] = CStringGetTextDatum(issue->path);
	values[1] = CStringGetTextDatum(severity);
	values[2] = CStringGetTextDatum(issue->message);
	values[3] = CStringGetTextDatum(issue->hint);
	nulls[4] = issue->step == NULL;
	if (issue->step != NULL)
		values[4] = CStringGetTextDatum(issue->step);
	values[5] = Int32GetDatum(issue->line);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
put_all(ReturnSetInfo *rsinfo, const WfIssues *issues, const char *severity)
{
	for (int i = 0; i < wf_issues_kept(issues); i++)
		put_issue(rsinfo, &issues->items[i], severity);
}

/*
 * workflow.check(definition json) → setof (path, severity, message, hint, step, line): errors first, at
 * most 100 of either kind
 *
 * The definition is judged as one of the caller's, in the caller's search_path. Errors of the call:
 * 22004 for NULL.
 */
Datum
workflow_check(PG_FUNCTION_ARGS)
{
	WfAccess access;
	WfIssues warnings = {0};
	WfIssues issues = {.warnings = &warnings};
	char	*json = wf_argument_text_required(fcinfo, 0, "definition");
	char	*search_path = pstrdup(namespace_search_path);

	InitMaterializedSRF(fcinfo, 0);
	wf_store_enter(&access);
	(void) wf_check_definition(json, NULL, access.caller, search_path, &issues);
	put_all((ReturnSetInfo *) fcinfo->resultinfo, &issues, "error");
	put_all((ReturnSetInfo *) fcinfo->resultinfo, &warnings, "warning");
	wf_store_leave(&access);
	return (Datum) 0;
}
