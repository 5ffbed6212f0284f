/*
 * rest.c
 *		Telling who has asked where an instance rests.
 *
 * Under the lock of the instance it is judged; its data and status of that moment go into an instance that posts them, for each
 * operation that has asked for a callback, in one transaction: so each is posted from one instance, under one idempotency key, and
 * never before what it tells has been committed. Rights are those of that moment.
 */
#include "postgres.h"

#include "utils/guc.h"
#include "utils/timestamp.h"

#include "engine/report.h"
#include "http/server.h"
#include "shmem/careful.h"
#include "shmem/wakeups.h"
#include "store/access.h"
#include "store/due.h"
#include "store/operation.h"
#include "store/played.h"
#include "store/privilege.h"
#include "store/report_row.h"
#include "store/subtransaction.h"
#include "worker/failure.h"
#include "worker/rest.h"

/* So many reports are made in a transaction. */
#define MOST 64
/* Pauses between two looks double, up to this. */
#define LONGEST_PAUSE_MS INT64CONST(5000)
/* One that brings the server down is tried again after so long. */
#define DEADLY_PAUSE_MS (60 * 60 * 1000)

/* ---- one report ---- */

typedef struct Making
{
	const WfReportRow *row;
	const WfStanding  *standing;
} Making;

static void
set_headers(Jsonb *headers)
{
	(void) set_config_option("workflow.on_behalf",
							 headers != NULL ? JsonbToCString(NULL, &headers->root, VARSIZE(headers)) : "", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

static bool
make(void *arg)
{
	Making	*making = arg;
	WfReport report = {.operation = making->row->operation,
					   .instance = making->row->instance,
					   .url = making->row->url,
					   .process_id = making->row->process_id};
	WfAccess access;
	int		 guc_level;
	int64	 posting;

	wf_store_enter(&access);
	guc_level = NewGUCNestLevel();
	set_headers(making->row->headers);
	posting = wf_report_start(&report, wf_report_data(&report, making->standing), making->standing);
	AtEOXact_GUC(false, guc_level);
	wf_report_posted(making->row, posting, NULL);
	wf_store_leave(&access);
	return true;
}

static bool
may_post(const WfReportRow *row)
{
	const WfServer *server = wf_server_covering(row->url, row->role);

	return server != NULL && wf_server_is_given(server, row->role);
}

/* What can be said before it is tried, or NULL: what was checked at the call may have changed. */
static Jsonb *
refusal(const WfReportRow *row, const WfStanding *standing)
{
	if (standing == NULL)
		return wf_operation_error("42704", psprintf("instance " INT64_FORMAT " is not there any more", row->instance),
								  NULL, NULL);
	if (!OidIsValid(row->role))
		return wf_operation_error("42704",
								  psprintf("role \"%s\", which asked for it, does not exist any more", row->role_name),
								  NULL, NULL);
	if (!wf_privilege_has(row->of_process, row->role, WF_PRIVILEGE_VIEW))
		return wf_operation_error("42501",
								  psprintf("role \"%s\" may not view process \"%s\" any more", row->role_name,
										   standing->process),
								  NULL, NULL);
	if (!may_post(row))
		return wf_operation_error("42704",
								  psprintf("no server that was given to role \"%s\" covers the callback_url any more",
										   row->role_name),
								  NULL, "Give it one, and send the callback with workflow.resend.");
	return NULL;
}

static void
report(const WfReportRow *row, const WfStanding *standing)
{
	Jsonb	  *refused = refusal(row, standing);
	Making	   making = {row, standing};
	ErrorData *error = refused == NULL ? wf_subtransaction_run(make, &making) : NULL;

	if (refused != NULL)
		wf_report_posted(row, 0, refused);
	else if (error != NULL && (wf_error_is_of_server(error->sqlerrcode) || wf_failure_lack(error) != WF_LACK_NONE))
		ReThrowError(error);
	else if (error != NULL)
		wf_report_posted(row, 0,
						 wf_operation_error(unpack_sql_state(error->sqlerrcode), error->message, error->detail,
											error->hint));
}

/* Those that are due. Returns how many there were. */
static int
report_all(int64 instance)
{
	WfReportRow *rows;
	int			 n = wf_reports_due(instance, MOST, &rows);
	WfStanding	 standing;
	bool		 is_there = n > 0 && wf_rest_read(instance, &standing);

	for (int i = 0; i < n; i++)
		report(&rows[i], is_there ? &standing : NULL);
	return n;
}

/* ---- looking ---- */

static TimestampTz
after_pause(int attempt)
{
	return TimestampTzPlusMilliseconds(wf_now(), Min(INT64CONST(2) << Min(attempt, 20), LONGEST_PAUSE_MS));
}

static void
postpone(const WfDelivery *taken, TimestampTz until)
{
	wf_careful_keep();
	wf_rest_postpone(taken, until);
}

/* Returns when it has to be looked at again; 0: it has not. */
static TimestampTz
look(int64 instance, int attempt)
{
	switch (wf_rest_judge(instance))
	{
		case WF_RESTS_PERHAPS:
			return after_pause(attempt);
		case WF_RESTS_NOT:
			break;
		case WF_RESTS:
			if (report_all(instance) == MOST)
				return wf_now(); /* for the others */
			if (wf_reports_any_due(instance))
				return after_pause(attempt); /* somebody holds it */
			wf_rest_told(instance);
			break;
	}
	return 0;
}

void
wf_rest_after_operation(int64 instance, int process_id)
{
	TimestampTz again = look(instance, 0);

	if (again != 0)
		wf_rest_deliver(instance, process_id, again);
}

void
wf_rest_carry_out(const WfDelivery *taken, int deaths)
{
	WfFault		fault;
	int64		living;
	TimestampTz again;

	if (deaths >= WF_MOST_DEATHS)
	{
		wf_failure_died(&fault);
		ereport(WARNING, errcode(ERRCODE_SYSTEM_ERROR),
				errmsg("workflow puts off the callbacks of instance " INT64_FORMAT ": %s", taken->instance,
					   fault.message));
		postpone(taken, TimestampTzPlusMilliseconds(wf_now(), DEADLY_PAUSE_MS));
		return;
	}
	if (!wf_due_lock(taken->instance) && wf_instances_living(&taken->instance, 1, &living) > 0)
		again = after_pause(taken->attempt);
	else
		again = look(taken->instance, taken->attempt);
	if (again != 0)
		postpone(taken, again);
	else
		wf_delivery_delete(taken->id);
}
