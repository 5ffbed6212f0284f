/*
 * callback_url.c
 *		Where callers of asynchronous operations are told; workflow.resend.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/timestamp.h"

#include "api/arguments.h"
#include "api/callback_url.h"
#include "api/define.h"
#include "engine/engine.h"
#include "engine/report.h"
#include "http/server.h"
#include "store/access.h"
#include "store/audit.h"
#include "store/played.h"
#include "store/privilege.h"
#include "store/report_row.h"
#include "store/version.h"

WF_FUNCTION(workflow_resend);

void
wf_callback_url_require(const char *url, bool async)
{
	const char *problem = wf_server_url_problem(url);

	if (!async)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a call at once has no callback_url"),
				errhint("Call it with mode => 'async'."));
	if (problem != NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("nothing can be posted to the callback_url"),
				errdetail("The URL %s.", problem));
}

static bool
posts_callbacks(int process_id)
{
	static int known = 0; /* nobody else defines it again, so it is looked at once */

	if (process_id != known && !wf_define_is(process_id, wf_report_definition))
		return false;
	known = process_id;
	return true;
}

/*
 * The process of the caller that posts, which is found by its name. If somebody else has it, who was called so before, or it is one
 * that does something else, of a time when anybody could call one so, another one serves.
 */
static int
posting_process(Oid role)
{
	const char *role_name = GetUserNameFromId(role, false);

	for (int i = 1;; i++)
	{
		char *name =
			i == 1 ? psprintf(WF_REPORT_PROCESS "%s", role_name) : psprintf(WF_REPORT_PROCESS "%s (%d)", role_name, i);
		WfProcessMissing missing;
		int				 process_id = wf_process_find(name, 0, &missing);

		if (process_id == 0)
			process_id = wf_process_id(name); /* undefined */
		if (process_id != 0 && (wf_process_owner(process_id) != role || !posts_callbacks(process_id)))
			continue;
		if (process_id == 0 || missing != WF_PROCESS_THERE)
			process_id = wf_define_for(role, name, wf_report_definition);
		return process_id;
	}
}

void
wf_callback_url_check(WfOperation *operation)
{
	const WfServer *server = wf_server_covering(operation->callback_url, operation->role);

	wf_privilege_require(operation->process_id, operation->role, WF_PRIVILEGE_VIEW, WF_PRIVILEGE_VIEW);
	if (server == NULL || !wf_server_is_given(server, operation->role))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("no server that was given to role \"%s\" covers the callback_url",
					   GetUserNameFromId(operation->role, false)),
				server != NULL
					? errdetail("It would go through server \"%s\", which the role may use as everybody may.",
								server->name)
					: 0,
				errhint(
					"It takes a foreign server of the wrapper workflow_http with a url that the callback_url begins "
					"with, and USAGE on it, granted to the role by name."));
	operation->callback_process = posting_process(operation->role);
}

/* ---- resend ---- */

pg_noreturn static void
refuse(int64 operation, const char *detail)
{
	ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("the callback of operation " INT64_FORMAT " cannot be sent again", operation),
			errdetail("%s", detail));
}

/* Whoever may do what the caller could do. Others are not told that it is there, unless they see it. */
static void
find(int64 operation, Oid caller, WfReportRow *row)
{
	bool there = wf_report_lock(operation, row);

	if (there && OidIsValid(row->role) && has_privs_of_role(caller, row->role))
		return;
	if (there && row->of_process != 0 && wf_privilege_has(row->of_process, caller, WF_PRIVILEGE_VIEW))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("permission denied for operation " INT64_FORMAT, operation),
				errdetail("Role \"%s\" has called it.", row->role_name));
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("operation " INT64_FORMAT " does not exist", operation));
}

/* The visit that posts, if nothing is left to be tried. */
static WfVisit *
find_incident(WfInstance *posting)
{
	ListCell *lc;

	foreach (lc, posting->visits)
		if (((WfVisit *) lfirst(lc))->state == WF_STATE_INCIDENT)
			return lfirst(lc);
	return NULL;
}

/* Try again what has failed. Returns false if no instance posts it any more. */
static bool
retry(const WfReportRow *row, Oid caller)
{
	WfBatch	   *batch = wf_batch_begin();
	WfInstance *posting;
	WfVisit	   *visit;

	batch->by_call = true;
	wf_batch_lock(batch, &row->posting, 1, WF_LOCK_WAIT);
	posting = wf_batch_instance(batch, row->posting);
	if (posting != NULL)
	{
		wf_batch_load_all_visits(batch, posting);
		visit = find_incident(posting);
		if (visit == NULL || posting->status == WF_STATUS_SUSPENDED)
			refuse(row->operation, "It is still being sent.");
		batch->call = "resend";
		batch->caller = caller;
		wf_engine_retry(batch, visit, false);
		wf_batch_flush(batch);
	}
	wf_batch_end(batch);
	return posting != NULL;
}

/* Post once more what an instance has posted. Returns false if that is not known any more. */
static bool
repeat(const WfReportRow *row)
{
	WfReport   report = {.operation = row->operation, .process_id = row->process_id};
	WfStanding posted;

	if (row->posting == 0 || !wf_rest_read(row->posting, &posted))
		return false;
	wf_report_posted(row, wf_report_start(&report, posted.data, NULL), NULL);
	return true;
}

/* Post how the instance stands when it rests next. */
static void
report_anew(const WfReportRow *row)
{
	wf_report_due_again(row);
	wf_rest_deliver(row->instance, row->of_process, wf_now());
}

/*
 * workflow.resend(operation bigint) → void
 *
 * Errors: 42704 unknown, 42501 for a role that may not do what the caller of it may, 55000 if it has asked for no callback, has
 * failed, or its callback is still to be sent, or being sent.
 */
Datum
workflow_resend(PG_FUNCTION_ARGS)
{
	WfAccess	access;
	WfReportRow row;

	wf_argument_require(fcinfo, 0, "operation");
	PreventCommandIfReadOnly("workflow.resend()");
	wf_store_enter(&access);
	find(PG_GETARG_INT64(0), access.caller, &row);
	if (row.url == NULL)
		refuse(row.operation, "It has asked for none.");
	if (row.failed)
		refuse(row.operation, "It has failed, so none was sent.");
	if (!row.done || row.due)
		refuse(row.operation, "It is still to be sent: the instance does not rest yet.");
	if ((row.posting == 0 || !retry(&row, access.caller)) && !repeat(&row))
		report_anew(&row);
	wf_audit(&(WfAudit){.call = "resend",
						.caller = access.caller,
						.process_id = row.of_process,
						.instance = row.instance,
						.arguments = {{.key = "operation", .kind = WF_FIELD_INT, .number = row.operation}}});
	wf_store_leave(&access);
	PG_RETURN_VOID();
}
