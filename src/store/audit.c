/*
 * audit.c
 *		The record of what operators and authors have called.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "store/audit.h"
#include "store/history.h"
#include "store/query.h"

#define PURGE_CHUNK 5000

static WfQuery q_record = {
	.sql = "INSERT INTO workflow_data.audit (at, role, session_role, call, process_id, instance, visit, arguments) "
		   "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
	.nargs = 8,
	.argtypes = {TIMESTAMPTZOID, NAMEOID, NAMEOID, TEXTOID, INT4OID, INT8OID, INT8OID, JSONBOID},
};
static WfQuery q_purge = {
	.sql =
		"WITH chunk AS MATERIALIZED (SELECT a.ctid AS id, a.at FROM workflow_data.audit a "
		"WHERE $1::interval > interval '0' AND a.at > $2 AND a.at < clock_timestamp() - $1::interval ORDER BY a.at LIMIT $3), "
		"gone AS (DELETE FROM workflow_data.audit a USING chunk c WHERE a.ctid = c.id "
		"AND NOT EXISTS (SELECT FROM workflow_data.instance i WHERE i.instance = a.instance) "
		"AND NOT EXISTS (SELECT FROM " WF_ENDED("instance") " h WHERE h.instance = a.instance)) "
															"SELECT max(at), count(*) FROM chunk",
	.nargs = 3,
	.argtypes = {TEXTOID, TIMESTAMPTZOID, INT4OID},
};

/* The arguments as an object; NULL if there are none. */
static Jsonb *
arguments_of(const WfAudit *audit)
{
	WfField fields[WF_AUDIT_ARGUMENTS];
	int		n = 0;

	for (int i = 0; i < WF_AUDIT_ARGUMENTS && audit->arguments[i].key != NULL; i++)
		if (!audit->arguments[i].omit &&
			(audit->arguments[i].kind != WF_FIELD_TEXT || audit->arguments[i].text != NULL))
			fields[n++] = audit->arguments[i];
	return n > 0 ? wf_jsonb_object(fields, n) : NULL;
}

static void
set_name(Name name, Oid role)
{
	namestrcpy(name, GetUserNameFromId(role, false));
}

void
wf_audit(const WfAudit *audit)
{
	Jsonb	*arguments = arguments_of(audit);
	NameData role;
	NameData session_role;
	char	 nulls[8] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
	Datum	 values[8];

	set_name(&role, audit->caller);
	set_name(&session_role, GetSessionUserId());
	values[0] = TimestampTzGetDatum(audit->at != 0 ? audit->at : GetCurrentTimestamp());
	values[1] = NameGetDatum(&role);
	values[2] = NameGetDatum(&session_role);
	values[3] = CStringGetTextDatum(audit->call);
	values[4] = Int32GetDatum(audit->process_id);
	values[5] = Int64GetDatum(audit->instance);
	nulls[5] = audit->instance != 0 ? ' ' : 'n';
	values[6] = Int64GetDatum(audit->visit);
	nulls[6] = audit->visit != 0 ? ' ' : 'n';
	values[7] = JsonbPGetDatum(arguments);
	nulls[7] = arguments != NULL ? ' ' : 'n';
	wf_query_run(&q_record, values, nulls);
}

bool
wf_audit_purge(const char *retention, TimestampTz *after)
{
	Datum values[3] = {CStringGetTextDatum(retention), TimestampTzGetDatum(*after), Int32GetDatum(PURGE_CHUNK)};

	wf_query_run(&q_purge, values, NULL);
	*after = wf_result_int64(0, 1);
	return wf_result_int64(0, 2) == PURGE_CHUNK;
}
