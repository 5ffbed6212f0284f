/*
 * workers.c
 *		What the views workers and servers show of the shared counters.
 */
#include "compat.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "http/server.h"
#include "shmem/counters.h"
#include "shmem/database.h"
#include "shmem/registration.h"
#include "shmem/shmem.h"
#include "store/version.h"

WF_FUNCTION(workflow_workers);
WF_FUNCTION(workflow_servers);
WF_FUNCTION(workflow_server_failures);
WF_FUNCTION(workflow_server_latencies);

static bool
sees_all(void)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);
}

/* ---- workers ---- */

static const char *
kind_name(WfWorkerKind kind)
{
	switch (kind)
	{
		case WF_LAUNCHER:
			return "launcher";
		case WF_DISPATCHER:
			return "dispatcher";
		case WF_EXECUTOR:
			return "executor";
	}
	return NULL;
}

static const char *
state_name(const WfWorkerRow *row)
{
	if (row->crowded_out)
		return "no place: see workflow.databases";
	if (row->refused)
		return "no free worker slot";
	if (row->kind == WF_EXECUTOR)
		return row->idle ? "idle" : "running";
	switch (row->pause)
	{
		case WF_PAUSE_UNKNOWN:
			return "starting";
		case WF_RUNNING:
			return "running";
		case WF_PAUSED_COPY:
			return "paused: a copy";
		case WF_PAUSED_SETTING:
			return "paused: workflow.start_paused";
	}
	return NULL;
}

/*
 * Replace what is not ASCII: a worker of another database may have written it in another encoding.
 */
static void
keep_ascii(char *text)
{
	for (; *text != '\0'; text++)
		if (IS_HIGHBIT_SET(*text))
			*text = '?';
}

/*
 * The error of a worker, NULL if it has none. Everyone may see that something fails; the text,
 * which may come from an administrator's code, is shown only with `with_reason`.
 */
static char *
error_of_worker(WfWorkerRow *row, bool with_reason)
{
	if (row->failure[0] == '\0')
		return NULL;
	if (!with_reason)
		return row->failure;
	if (row->database != MyDatabaseId)
		keep_ascii(row->error);
	return psprintf("%s: %s", row->failure, row->error);
}

static void
put_worker(ReturnSetInfo *rsinfo, WfWorkerRow *row, bool with_reason)
{
	char	*database = OidIsValid(row->database) ? get_database_name(row->database) : NULL;
	char	*role = OidIsValid(row->role) ? GetUserNameFromId(row->role, true) : NULL;
	NameData name;
	NameData role_name;
	char	*error = error_of_worker(row, with_reason);
	Datum	 values[9];
	bool	 nulls[9] = {false};

	values[0] = CStringGetTextDatum(kind_name(row->kind));
	values[1] = Int32GetDatum(row->pid);
	nulls[1] = nulls[3] = row->pid == 0;
	nulls[2] = database == NULL;
	namestrcpy(&name, database != NULL ? database : "");
	values[2] = NameGetDatum(&name);
	values[3] = TimestampTzGetDatum(row->started_at);
	values[4] = Int32GetDatum(row->in_flight);
	values[5] = Int64GetDatum((int64) row->handled);
	values[6] = CStringGetTextDatum(state_name(row));
	nulls[7] = row->kind != WF_EXECUTOR || role == NULL;
	namestrcpy(&role_name, role != NULL ? role : "");
	values[7] = NameGetDatum(&role_name);
	nulls[8] = error == NULL;
	values[8] = error != NULL ? CStringGetTextDatum(error) : (Datum) 0;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * workflow_data.workers(): members of pg_monitor see all workers, others those of their database.
 */
Datum
workflow_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	WfWorkerRow	  *rows;
	int			   n;
	bool		   all = sees_all();

	wf_shmem_require();
	InitMaterializedSRF(fcinfo, 0);
	n = wf_workers_list(&rows);
	for (int i = 0; i < n; i++)
	{
		if (all || rows[i].database == MyDatabaseId)
			put_worker(rsinfo, &rows[i], all);
	}
	return (Datum) 0;
}

/* ---- servers ---- */

/*
 * The time in ms within which a share of the requests was answered, taking answers as evenly spread
 * within a bucket; -1 if there were none.
 */
static double
percentile(const WfServerCounts *counts, double share)
{
	const uint64 *buckets = counts->elapsed_us_buckets;
	double		  total = 0;
	double		  below = 0;

	for (int i = 0; i < lengthof(counts->elapsed_us_buckets); i++)
		total += buckets[i];
	for (int i = 0; i < lengthof(counts->elapsed_us_buckets); i++)
	{
		double from = i == 0 ? 0 : ldexp(1, i);
		double rank = share * total - below;

		if (buckets[i] > 0 && rank <= buckets[i])
			return rint(from + (ldexp(1, i + 1) - from) * rank / buckets[i]) / 1000;
		below += buckets[i];
	}
	return -1;
}

static const char *const state_names[] =
	{[WF_SERVER_OK] = "ok", [WF_SERVER_TRIPPED] = "tripped", [WF_SERVER_PROBING] = "probing"};

static void
put_server(ReturnSetInfo *rsinfo, const WfServerRow *row)
{
	const WfServerCounts *counts = &row->counts;
	double				  p50 = percentile(counts, 0.50);
	double				  p95 = percentile(counts, 0.95);
	double				  p99 = percentile(counts, 0.99);
	Datum				  values[15];
	bool				  nulls[15] = {false};

	values[0] = CStringGetTextDatum(row->name);
	values[1] = CStringGetTextDatum(state_names[counts->state]);
	values[2] = Int32GetDatum(counts->in_flight);
	values[3] = Int64GetDatum((int64) counts->requests);
	values[4] = Int64GetDatum((int64) counts->failures);
	values[5] = Int64GetDatum((int64) counts->retries);
	values[6] = Float8GetDatum(p50);
	nulls[6] = p50 < 0;
	values[7] = Float8GetDatum(p99);
	nulls[7] = p99 < 0;
	values[8] = TimestampTzGetDatum(counts->since);
	nulls[8] = counts->since == 0;
	values[9] = TimestampTzGetDatum(counts->until);
	nulls[9] = counts->state != WF_SERVER_TRIPPED || counts->until == DT_NOEND;
	nulls[10] = counts->error[0] == '\0';
	values[10] = nulls[10] ? (Datum) 0 : CStringGetTextDatum(counts->error);
	values[11] = Float8GetDatum(p95);
	nulls[11] = p95 < 0;
	values[12] = Int64GetDatum((int64) counts->trips);
	values[13] = Int64GetDatum((int64) counts->token_requests);
	values[14] = Int64GetDatum((int64) counts->token_failures);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static bool
sees_server(const char *name)
{
	const WfServer *server = wf_server_by_name(name);

	return server != NULL && (sees_all() || wf_server_usable(server, GetUserId()));
}

/* Let `put` make rows of each server that the caller sees. */
static Datum
return_servers(FunctionCallInfo fcinfo, void (*put)(ReturnSetInfo *rsinfo, const WfServerRow *row))
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	WfServerRow	  *rows;
	int			   n;

	wf_shmem_require();
	InitMaterializedSRF(fcinfo, 0);
	n = wf_servers_list(&rows);
	for (int i = 0; i < n; i++)
	{
		if (sees_server(rows[i].name))
			put(rsinfo, &rows[i]);
	}
	return (Datum) 0;
}

Datum
workflow_servers(PG_FUNCTION_ARGS)
{
	return return_servers(fcinfo, put_server);
}

/* ---- what is counted by kind ---- */

static void
put_count(ReturnSetInfo *rsinfo, const WfServerRow *row, const char *label, uint64 n)
{
	Datum values[3] = {CStringGetTextDatum(row->name), CStringGetTextDatum(label), Int64GetDatum((int64) n)};
	bool  nulls[3] = {false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
put_failures(ReturnSetInfo *rsinfo, const WfServerRow *row)
{
	for (int kind = 0; kind < WF_FAILURE_KINDS; kind++)
		put_count(rsinfo, row, wf_failure_kind_name(kind), row->counts.failures_by_kind[kind]);
}

/* workflow_data.server_failures() → setof (server, kind, n) */
Datum
workflow_server_failures(PG_FUNCTION_ARGS)
{
	return return_servers(fcinfo, put_failures);
}

/* The buckets that are shown begin with what took up to a millisecond, and end with what took a minute. */
#define FIRST_BUCKET 9
#define LAST_BUCKET	 25

/* As Prometheus has histograms: how many took at most so many seconds. */
static void
put_latencies(ReturnSetInfo *rsinfo, const WfServerRow *row)
{
	uint64 n = 0;

	for (int i = 0; i < WF_LATENCY_BUCKETS; i++)
	{
		n += row->counts.elapsed_us_buckets[i];
		if (i >= FIRST_BUCKET && i <= LAST_BUCKET)
			put_count(rsinfo, row, psprintf("%.6f", ldexp(1, i + 1) / USECS_PER_SEC), n);
	}
	put_count(rsinfo, row, "+Inf", n);
}

/* workflow_data.server_latencies() → setof (server, le, n) */
Datum
workflow_server_latencies(PG_FUNCTION_ARGS)
{
	return return_servers(fcinfo, put_latencies);
}
