/*
 * fetch.c
 *		workflow.fetch: a worker takes work.
 *
 * fetch locks rows of work and no instance, so fetchers never wait: neither for each other nor for whoever
 * moves tokens. What they have fetched is theirs until the time that they name, or until their transaction is
 * rolled back.
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/lock.h"
#include "shmem/wakeups.h"
#include "store/access.h"
#include "store/delivery.h"
#include "store/identity.h"
#include "store/played.h"
#include "store/privilege.h"
#include "store/query.h"
#include "store/version.h"
#include "store/work.h"

#define MOST_FETCHED 10000
#define AT_ONCE		 4	 /* from one part, if few are asked for */
#define FEW			 8	 /* of fewer processes and steps all are looked at, from any of them on */
#define MAX_WORKER	 200 /* characters */

WF_FUNCTION(workflow_fetch);

/* Columns of what wf_work_fetch gives. */
enum
{
	INSTANCE = 1,
	VISIT,
	DATA,
	ITEM,
	INDEX,
	LOCK_TOKEN,
	HEARTBEAT
};

static int
argument_n(FunctionCallInfo fcinfo, int arg)
{
	int n;

	wf_argument_require(fcinfo, arg, "n");
	n = PG_GETARG_INT32(arg);
	if (n < 1 || n > MOST_FETCHED)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"n\" must be between 1 and %d", MOST_FETCHED));
	return n;
}

/* What a worker calls himself; else his role. */
static const char *
argument_worker(FunctionCallInfo fcinfo, int arg)
{
	char *worker = wf_argument_text(fcinfo, arg);

	if (worker == NULL)
		return GetUserNameFromId(GetUserId(), false);
	if (pg_mbstrlen(worker) > MAX_WORKER)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"worker\" has at most %d characters", MAX_WORKER));
	return worker;
}

/* Whoever works on the copy of a database would do what is done for the original, too. */
static void
refuse_copy(void)
{
	static Oid own = InvalidOid; /* the table of instances that was found to belong here */
	Oid		   instances = wf_store_relation("instance");

	if (own == instances)
		return;
	switch (wf_identity_check())
	{
		case WF_IDENTITY_COPY:
			ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("work cannot be fetched in this database: it is a copy of another one"),
					errhint("If the original is no more, run SELECT workflow.adopt() here."));
			break;
		case WF_IDENTITY_OWN:
			own = instances;
			break;
		case WF_IDENTITY_NONE:
			break;
	}
}

static void
put_fetched(ReturnSetInfo *rsinfo, uint64 row)
{
	Datum values[5];
	bool  nulls[5] = {false};
	char  serial_number[64];

	snprintf(serial_number, sizeof(serial_number), INT64_FORMAT "_" INT64_FORMAT, wf_result_int64(row, INSTANCE),
			 wf_result_int64(row, VISIT));
	values[0] = CStringGetTextDatum(serial_number);
	values[1] = wf_result(row, DATA, &nulls[1]);
	values[2] = wf_result(row, ITEM, &nulls[2]);
	values[3] = wf_result(row, INDEX, &nulls[3]);
	values[4] = wf_result(row, LOCK_TOKEN, &nulls[4]);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* The silence that a step allows begins now: the dispatcher counts it, since no instance is locked here. */
static void
begin_heartbeats(const WfFetch *fetch, SPITupleTable *table, uint64 rows)
{
	for (uint64 i = 0; i < rows; i++)
	{
		bool  isnull;
		Datum heartbeat = SPI_getbinval(table->vals[i], table->tupdesc, HEARTBEAT, &isnull);
		Datum instance = SPI_getbinval(table->vals[i], table->tupdesc, INSTANCE, &isnull);
		Datum visit = SPI_getbinval(table->vals[i], table->tupdesc, VISIT, &isnull);

		if (DatumGetBool(heartbeat))
			(void) wf_delivery_append(DatumGetInt64(instance), DatumGetInt64(visit), WF_DELIVERY_FETCHED, WF_QUEUE_MOVE,
									  fetch->now, NULL);
	}
}

/*
 * Fetch up to n pieces of work of a process and step: a few from each of several parts, since those of one part alone would be new
 * ones soon, while old ones of the others wait.
 */
static int
fetch_from(ReturnSetInfo *rsinfo, const WfFetch *fetch, const WfOffering *offering, int n)
{
	WfFetch part = *fetch;
	int		at_once = Max(AT_ONCE, n / 8 + 1);
	int		fetched = 0;
	uint64	rows = 1;

	for (; fetched < n && rows > 0; part.from += 5)
	{
		SPITupleTable *table;

		rows = wf_work_fetch(&part, offering, Min(at_once, n - fetched));
		table = SPI_tuptable;
		for (uint64 row = 0; row < rows; row++)
			put_fetched(rsinfo, row);
		begin_heartbeats(fetch, table, rows);
		SPI_freetuptable(table);
		fetched += (int) rows;
	}
	return fetched;
}

typedef struct Fetcher
{
	ReturnSetInfo *rsinfo;
	const WfFetch *fetch;
	int			   n; /* so many are wanted still */
	Oid			   role;
} Fetcher;

/* Fetch from one, if the role may complete what it offers. */
static void
fetch_offered(Fetcher *fetcher, const WfOffering *offering)
{
	if (fetcher->n > 0 && offering->may_be_ready &&
		wf_privilege_has_step(offering->process_id, fetcher->role, offering->step))
		fetcher->n -= fetch_from(fetcher->rsinfo, fetcher->fetch, offering, fetcher->n);
}

/* Fetch from those behind `behind`, up to those of the process `last`: few at first, since that is mostly enough. */
static void
fetch_from_many(Fetcher *fetcher, WfOffering behind, int last)
{
	WfOffering offerings[WF_OFFERINGS];
	int		   limit = FEW / 2;
	int		   n;

	do
	{
		limit = Min(2 * limit, WF_OFFERINGS);
		n = wf_work_offerings_when(fetcher->fetch->topic, &behind, limit, fetcher->fetch->now, offerings);
		for (int i = 0; i < n && offerings[i].process_id <= last; i++)
			fetch_offered(fetcher, &offerings[i]);
		if (n > 0)
			behind = offerings[n - 1];
	} while (n == limit && behind.process_id <= last && fetcher->n > 0);
}

/*
 * Fetch from those processes and steps that the role may complete, beginning with any of them, since each shall have its turn. Where there
 * are many, only as many are looked for as are needed.
 */
static void
fetch_some(ReturnSetInfo *rsinfo, const WfFetch *fetch, int n, Oid role)
{
	Fetcher	   fetcher = {rsinfo, fetch, n, role};
	WfOffering before = {.step = ""};
	WfOffering offerings[FEW];
	int		   noffering = wf_work_offerings(fetch->topic, &before, FEW, offerings);
	int		   first = noffering > 1 ? (int) pg_prng_uint64_range(&pg_global_prng_state, 0, noffering - 1) : 0;

	if (noffering < FEW)
		for (int i = 0; i < noffering; i++)
			fetch_offered(&fetcher, &offerings[(first + i) % noffering]);
	else
	{
		int lowest = offerings[0].process_id;
		int highest = Max(wf_work_last_process(fetch->topic), lowest);
		int from = (int) pg_prng_uint64_range(&pg_global_prng_state, lowest, highest);

		fetch_from_many(&fetcher, (WfOffering){.process_id = from, .step = ""}, highest);
		fetch_from_many(&fetcher, before, from - 1);
	}
	if (fetcher.n < n)
		wf_wakeup_topic(fetch->topic, fetch->until);
}

/*
 * workflow.fetch(topic text, n integer, lock interval, worker text) → setof (serial_number, data, item, index, lock_token)
 *
 * Roughly in the order of entry; none if there is none, or none that the caller may complete. Errors: 22004
 * for a NULL but for `worker`, 22023 for an n, lock or worker out of range, 55000 in a copy.
 */
Datum
workflow_fetch(PG_FUNCTION_ARGS)
{
	WfFetch	 fetch = {.topic = wf_argument_text_required(fcinfo, 0, "topic"), .now = wf_now()};
	int		 n = argument_n(fcinfo, 1);
	WfAccess access;

	wf_argument_require(fcinfo, 2, "lock");
	fetch.until = wf_lock_until(PG_GETARG_INTERVAL_P(2), fetch.now, "lock");
	fetch.worker = argument_worker(fcinfo, 3);
	fetch.from = (int) pg_prng_uint64_range(&pg_global_prng_state, 0, WF_WORK_PARTS - 1);
	PreventCommandIfReadOnly("workflow.fetch()");
	InitMaterializedSRF(fcinfo, 0);
	wf_store_enter(&access);
	refuse_copy();
	fetch_some((ReturnSetInfo *) fcinfo->resultinfo, &fetch, n, access.caller);
	wf_store_leave(&access);
	return (Datum) 0;
}
