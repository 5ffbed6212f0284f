/*
 * request.c
 *		workflow.request: shows the request of a visit.
 *
 * Nothing is locked and nothing changes, so it can be called while others work on the visit.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/jsonb.h"

#include "api/target.h"
#include "engine/request.h"
#include "store/access.h"
#include "store/version.h"

WF_FUNCTION(workflow_request);

#define VISIT "visit " INT64_FORMAT "_" INT64_FORMAT

static void
require_request(const WfTarget *target, const WfSerial *serial)
{
	if (target->visit == NULL)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg(VISIT " has ended", serial->instance, serial->visit), errdetail("It makes no request any more."),
				errhint("See the views workflow.history and workflow.attempts."));
	if (target->visit->def == NULL || target->visit->def->action != WF_ACTION_HTTP)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg(VISIT " makes no request", serial->instance, serial->visit),
				errdetail("Its step \"%s\" has no \"http\".", target->visit->step));
}

static void
report_request(const WfSerial *serial, const WfFault *fault)
{
	ereport(ERROR, errcode(ERRCODE_DATA_EXCEPTION),
			errmsg("the request of " VISIT " cannot be made: %s", serial->instance, serial->visit, fault->message),
			errdetail("When it is due, that is an error with the code \"%s\".", fault->code));
}

static const WfServer *
find_server(const WfTarget *target, const WfSerial *serial)
{
	WfFault			fault = {0};
	const char	   *name = wf_request_server(target->batch, target->visit, &fault);
	const WfServer *server = name != NULL ? wf_server_by_name(name) : NULL;

	if (name == NULL)
		report_request(serial, &fault);
	if (server == NULL)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("the request of " VISIT " cannot be made: there is no server \"%s\"", serial->instance,
					   serial->visit, name),
				errhint("It waits until there is one of that name."));
	return server;
}

/*
 * Make the request. What the server adds is computed too, since it may be faulty, but not shown,
 * since it has credentials.
 */
static Jsonb *
make(const WfTarget *target, const WfSerial *serial)
{
	const WfServer *server = find_server(target, serial);
	Oid				owner = wf_process_owner(target->process_id);
	WfHttpRequest	request;
	List		   *headers;
	List		   *all;
	WfFault			fault = {0};

	if (!wf_request_make(target->visit, server, &request, &headers, &fault))
		report_request(serial, &fault);
	all = list_copy(headers);
	if (!wf_server_prepare(server, owner, &request, &all, &fault))
		report_request(serial, &fault);
	return wf_request_jsonb(target->visit, &request, headers);
}

/*
 * workflow.request(serial_number text) → jsonb: {method, url, headers, body}
 *
 * Errors: 22P02 malformed, 42704 for an unknown visit or server, 42501 without admin, 55000 if the
 * visit has ended or makes no request, 22000 if the request cannot be made.
 */
Datum
workflow_request(PG_FUNCTION_ARGS)
{
	WfSerial	  serial = wf_argument_serial(fcinfo, 0);
	MemoryContext context = CurrentMemoryContext;
	WfAccess	  access;
	WfTarget	  target;
	Jsonb		 *made;
	Jsonb		 *result;

	wf_store_enter(&access);
	wf_target_look(&target, &serial, access.caller, WF_PRIVILEGE_ADMIN);
	require_request(&target, &serial);
	made = make(&target, &serial);
	result = MemoryContextAlloc(context, VARSIZE(made));
	memcpy(result, made, VARSIZE(made));
	wf_batch_end(target.batch);
	wf_store_leave(&access);
	MemoryContextSwitchTo(context);
	PG_RETURN_JSONB_P(result);
}
