/*
 * receivers.c
 *		Who waits for a message or a signal, as far as the sender may reach them.
 *
 * First the processes are found that have a subscription of that address, one index probe for each, and
 * those left out on which the sender has no right: so what he may not reach costs him nothing. Then
 * subscriptions are read a page at a time; where the sender may complete single steps only, those of
 * others are passed over.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "store/privilege.h"
#include "store/query.h"
#include "store/receivers.h"

#define PAGE 256
/* So many processes and steps are named in an error. */
#define MOST_NAMED 5

#define OF_KEY		"s.kind = $1 AND s.name = $2 AND s.key = $3"
#define OF_INSTANCE "s.instance = $1 AND s.kind = 'message' AND s.name = $2 AND ($3 IS NULL OR s.keyed AND s.key = $3)"
/* A message that ends the wait is under way to it. */
#define TAKEN \
	"(s.kind = 'message' AND s.interrupt IS NOT FALSE AND EXISTS (SELECT FROM workflow_data.delivery d " \
	"WHERE d.instance = s.instance AND d.kind <> 'write_back' AND d.subscription = s.subscription))"
#define COLUMNS "s.subscription, s.instance, s.visit, s.entry, s.process_id, s.step"

#define FIRST_PROCESS(behind) \
	"SELECT s.process_id FROM workflow_data.subscription s WHERE " OF_KEY behind \
	" ORDER BY s.kind, s.name, s.key, s.process_id LIMIT 1"
static WfQuery q_processes = {
	.sql = "WITH RECURSIVE p (process_id) AS ((" FIRST_PROCESS(
		"") ") UNION ALL "
			"SELECT n.process_id FROM p CROSS JOIN LATERAL (" FIRST_PROCESS(
				" AND s.process_id > p.process_id") ") n) "
													"SELECT process_id FROM p",
	.nargs = 3,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID},
};
static WfQuery q_by_key = {
	.sql = "SELECT s.* FROM unnest($5) AS p (process_id) CROSS JOIN LATERAL (SELECT " COLUMNS
		   " FROM workflow_data.subscription s WHERE " OF_KEY " AND s.keyed = $4 AND s.process_id = p.process_id "
		   "AND s.subscription > $6 AND s.subscription < $7 AND NOT " TAKEN
		   " ORDER BY s.kind, s.name, s.key, s.process_id, s.subscription LIMIT $8) s ORDER BY s.subscription LIMIT $8",
	.nargs = 8,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID, BOOLOID, INT4ARRAYOID, INT8OID, INT8OID, INT4OID},
};
static WfQuery q_of_instance = {
	.sql = "SELECT " COLUMNS " FROM workflow_data.subscription s WHERE " OF_INSTANCE
		   " AND s.subscription > $4 AND s.subscription < $5 AND NOT " TAKEN " ORDER BY s.subscription LIMIT $6",
	.nargs = 6,
	.argtypes = {INT8OID, TEXTOID, TEXTOID, INT8OID, INT8OID, INT4OID},
};
static WfQuery q_waits = {
	.sql = "SELECT FROM workflow_data.subscription WHERE subscription = $1",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_open = {
	.sql = "SELECT FROM workflow_data.subscription s WHERE s.subscription = $1 AND NOT " TAKEN,
	.nargs = 1,
	.argtypes = {INT8OID},
};
#define GROUPS(condition) \
	"SELECT s.process_id, s.step, (SELECT p.process FROM workflow_data.process p WHERE p.process_id = s.process_id), " \
	"count(DISTINCT s.visit) FROM workflow_data.subscription s WHERE " condition " AND NOT " TAKEN \
	" GROUP BY s.process_id, s.step ORDER BY 3, 2"
static WfQuery q_groups_by_key = {
	.sql = GROUPS(OF_KEY " AND s.keyed = $4 AND s.process_id = ANY ($5)"),
	.nargs = 5,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID, BOOLOID, INT4ARRAYOID},
};
static WfQuery q_groups_of_instance = {
	.sql = GROUPS(OF_INSTANCE),
	.nargs = 3,
	.argtypes = {INT8OID, TEXTOID, TEXTOID},
};

/* ---- rights ---- */

typedef struct Right
{
	int			process_id;
	const char *step; /* empty: of the whole process */
	bool		allowed;
} Right;

/* May the role reach visits at this step? An empty step: at all steps. */
static bool
may_reach(WfReach *reach, int process_id, const char *step)
{
	Right	 *right;
	ListCell *lc;

	if (!OidIsValid(reach->role))
		return false;
	foreach (lc, reach->rights)
	{
		right = lfirst(lc);
		if (right->process_id == process_id && strcmp(right->step, step) == 0)
			return right->allowed;
	}
	right = palloc(sizeof(Right));
	*right = (Right){process_id, pstrdup(step)};
	right->allowed = step[0] == '\0' ? wf_privilege_has(process_id, reach->role, WF_PRIVILEGE_COMPLETE)
									 : wf_privilege_has_step(process_id, reach->role, step);
	reach->rights = lappend(reach->rights, right);
	return right->allowed;
}

static bool
may_reach_receiver(WfReach *reach, const WfReceiver *receiver)
{
	return may_reach(reach, receiver->process_id, "") || may_reach(reach, receiver->process_id, receiver->step);
}

/* May the role reach visits of the process, at all steps or at some? */
static bool
may_reach_some(WfReach *reach, int process_id)
{
	return may_reach(reach, process_id, "") || (OidIsValid(reach->role) && wf_privilege_by_step(process_id) &&
												wf_privilege_has_any(process_id, reach->role));
}

static void
put_address(const WfAddress *address, Datum *values)
{
	values[0] = CStringGetTextDatum(address->signal ? "signal" : "message");
	values[1] = CStringGetTextDatum(address->name);
	values[2] = CStringGetTextDatum(address->key != NULL ? address->key : "");
	values[3] = BoolGetDatum(address->key != NULL);
}

/* Find the processes at an address that the role may reach. */
static void
find_processes(const WfAddress *address, WfReach *reach)
{
	Datum		   values[4];
	uint64		   rows;
	SPITupleTable *table;
	bool		   isnull;

	if (reach->processes != NULL)
		return;
	put_address(address, values);
	rows = wf_query_run(&q_processes, values, NULL);
	table = SPI_tuptable;
	reach->processes = palloc(sizeof(int) * Max(rows, 1));
	for (uint64 i = 0; i < rows; i++)
	{
		int process_id = DatumGetInt32(SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull));

		if (may_reach_some(reach, process_id))
			reach->processes[reach->nprocesses++] = process_id;
	}
	SPI_freetuptable(table);
}

static Datum
process_array(const WfReach *reach)
{
	Datum *datums = palloc(sizeof(Datum) * Max(reach->nprocesses, 1));

	for (int i = 0; i < reach->nprocesses; i++)
		datums[i] = Int32GetDatum(reach->processes[i]);
	return PointerGetDatum(construct_array(datums, reach->nprocesses, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/* ---- reading ---- */

static uint64
run_by_key(const WfAddress *address, WfReach *reach, int64 after, int64 before)
{
	Datum values[8];

	find_processes(address, reach);
	put_address(address, values);
	values[4] = process_array(reach);
	values[5] = Int64GetDatum(after);
	values[6] = Int64GetDatum(before);
	values[7] = Int32GetDatum(PAGE);
	return wf_query_run(&q_by_key, values, NULL);
}

static uint64
run_of_instance(const WfAddress *address, int64 after, int64 before)
{
	Datum values[6] = {Int64GetDatum(address->instance),
					   CStringGetTextDatum(address->name),
					   address->key != NULL ? CStringGetTextDatum(address->key) : (Datum) 0,
					   Int64GetDatum(after),
					   Int64GetDatum(before),
					   Int32GetDatum(PAGE)};

	return wf_query_run(&q_of_instance, values, address->key != NULL ? NULL : "  n   ");
}

static WfReceiver *
read_page(const WfAddress *address, WfReach *reach, int64 after, int64 before, int *n)
{
	uint64 rows =
		address->instance != 0 ? run_of_instance(address, after, before) : run_by_key(address, reach, after, before);
	WfReceiver *page = palloc(sizeof(WfReceiver) * Max(rows, 1));
	bool		isnull;

	for (uint64 i = 0; i < rows; i++)
		page[i] = (WfReceiver){.subscription = wf_result_int64(i, 1),
							   .instance = wf_result_int64(i, 2),
							   .visit = wf_result_int64(i, 3),
							   .entry = DatumGetInt32(wf_result(i, 4, &isnull)),
							   .process_id = DatumGetInt32(wf_result(i, 5, &isnull)),
							   .step = wf_result_text(i, 6)};
	SPI_freetuptable(SPI_tuptable);
	*n = (int) rows;
	return page;
}

/* Of a visit the first gets a message. Its subscriptions are made together, so that they stand close by. */
static bool
has_visit(const WfReceiver *receivers, int n, const WfReceiver *receiver)
{
	for (int i = n - 1; i >= Max(n - 200, 0); i--)
		if (receivers[i].visit == receiver->visit)
			return true;
	return false;
}

int
wf_receivers(const WfAddress *address, WfReach *reach, int64 *after, int64 before, int limit, WfReceiver *receivers)
{
	int n = 0;
	int rows;

	do
	{
		WfReceiver *page = read_page(address, reach, *after, before, &rows);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < rows && n < limit; i++)
		{
			*after = page[i].subscription;
			if ((address->signal || !has_visit(receivers, n, &page[i])) && may_reach_receiver(reach, &page[i]))
				receivers[n++] = page[i];
		}
	} while (n < limit && rows == PAGE);
	if (n < limit)
		*after = PG_INT64_MAX;
	return n;
}

bool
wf_receiver_waits(int64 subscription)
{
	Datum values[1] = {Int64GetDatum(subscription)};

	return wf_query_run(&q_waits, values, NULL) > 0;
}

bool
wf_receiver_is_open(int64 subscription)
{
	Datum values[1] = {Int64GetDatum(subscription)};

	return wf_query_run(&q_open, values, NULL) > 0;
}

/* ---- counting ---- */

static uint64
run_groups(const WfAddress *address, WfReach *reach)
{
	Datum values[5];

	if (address->instance != 0)
	{
		values[0] = Int64GetDatum(address->instance);
		values[1] = CStringGetTextDatum(address->name);
		values[2] = address->key != NULL ? CStringGetTextDatum(address->key) : (Datum) 0;
		return wf_query_run(&q_groups_of_instance, values, address->key != NULL ? NULL : "  n");
	}
	find_processes(address, reach);
	put_address(address, values);
	values[4] = process_array(reach);
	return wf_query_run(&q_groups_by_key, values, NULL);
}

int
wf_receivers_count(const WfAddress *address, WfReach *reach, char **whose)
{
	uint64		   rows = run_groups(address, reach);
	SPITupleTable *groups = SPI_tuptable;
	StringInfoData text;
	int			   named = 0;
	int			   n = 0;

	initStringInfo(&text);
	for (uint64 i = 0; i < rows; i++)
	{
		bool	   isnull;
		WfReceiver group = {.process_id = DatumGetInt32(SPI_getbinval(groups->vals[i], groups->tupdesc, 1, &isnull)),
							.step = SPI_getvalue(groups->vals[i], groups->tupdesc, 2)};
		int		   count = (int) DatumGetInt64(SPI_getbinval(groups->vals[i], groups->tupdesc, 4, &isnull));

		if (!may_reach_receiver(reach, &group))
			continue;
		n += count;
		named++;
		if (named <= MOST_NAMED)
			appendStringInfo(&text, "%s%d of process \"%s\" at step \"%s\"", named > 1 ? ", " : "", count,
							 SPI_getvalue(groups->vals[i], groups->tupdesc, 3), group.step);
		else if (named == MOST_NAMED + 1)
			appendStringInfoString(&text, ", …");
	}
	SPI_freetuptable(groups);
	*whose = text.data;
	return n;
}
