/*
 * receivers.c
 *		Who waits for a message or a signal, as far as the sender may reach them.
 *
 * First the processes and steps are found that have a subscription of that address, one index probe for
 * each, and those left out on which the sender has no right: so what he may not reach costs him nothing. Then
 * subscriptions of the others are read a page at a time.
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

/* So many rows are read at once: few, where few are wanted, and more if these are not enough. */
#define FIRST_PAGE(limit) Min(2 * (limit) + 2, LARGEST_PAGE)
#define LARGEST_PAGE	  256
/* So many processes and steps are named in an error. */
#define MOST_NAMED 5

#define OF_KEY "s.kind = $1 AND s.name = $2 AND s.key = $3 AND NOT s.closed"
/*
 * Kind, name and number are compared so that the planner cannot use their indexes: an instance has far fewer
 * subscriptions.
 */
#define OF_INSTANCE \
	"s.instance = $1 AND s.kind || '' = 'message' AND s.name || '' = $2 AND NOT s.closed " \
	"AND ($3 IS NULL OR s.keyed AND s.key = $3)"
/* A message that ends the wait is under way to it. */
#define TAKEN \
	"(s.kind || '' = 'message' AND s.interrupt IS NOT FALSE AND EXISTS (SELECT FROM workflow_data.delivery d " \
	"WHERE d.subscription = s.subscription))"
#define COLUMNS \
	"s.subscription, s.instance, s.visit, s.entry, s.process_id, s.step, s.interrupt IS FALSE AS stays, " TAKEN \
	" AS taken"

/* From the last one on: those that have waited longest go first, and the index may still have entries of them. */
#define LAST_PLACE(before) \
	"SELECT s.process_id, s.step FROM workflow_data.subscription s WHERE " OF_KEY before \
	" ORDER BY s.kind DESC, s.name DESC, s.key DESC, s.process_id DESC, s.step DESC LIMIT 1"
static WfQuery q_places = {
	.sql = "WITH RECURSIVE p (process_id, step) AS ((" LAST_PLACE(
		"") ") UNION ALL "
			"SELECT n.process_id, n.step FROM p CROSS JOIN LATERAL (" LAST_PLACE(
				" AND (s.process_id, s.step) < (p.process_id, p.step)") ") n) SELECT process_id, step FROM p",
	.nargs = 3,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID},
};
#define PLACES	 "unnest($5, $6) AS p (process_id, step)"
#define AT_PLACE "s.keyed = $4 AND s.process_id = p.process_id AND s.step = p.step"
static WfQuery q_by_key = {
	.sql = "SELECT s.* FROM " PLACES " CROSS JOIN LATERAL (SELECT " COLUMNS
		   " FROM workflow_data.subscription s WHERE " OF_KEY " AND " AT_PLACE
		   " AND s.subscription > $7 AND s.subscription < $8 ORDER BY s.kind, s.name, s.key, s.process_id, s.step, "
		   "s.subscription LIMIT $9) s ORDER BY s.subscription LIMIT $9",
	.nargs = 9,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID, BOOLOID, INT4ARRAYOID, TEXTARRAYOID, INT8OID, INT8OID, INT4OID},
};
static WfQuery q_of_instance = {
	.sql = "SELECT " COLUMNS " FROM workflow_data.subscription s WHERE " OF_INSTANCE
		   " AND s.subscription + 0 > $4 AND s.subscription + 0 < $5 ORDER BY s.subscription + 0 LIMIT $6",
	.nargs = 6,
	.argtypes = {INT8OID, TEXTOID, TEXTOID, INT8OID, INT8OID, INT4OID},
};
static WfQuery q_waits = {
	.sql = "SELECT entry FROM workflow_data.subscription WHERE subscription = $1",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_stand = {
	.sql = "SELECT i.n, s.entry FROM unnest($1) WITH ORDINALITY AS i (subscription, n) "
		   "JOIN workflow_data.subscription s ON s.subscription = i.subscription",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};
static WfQuery q_open = {
	.sql = "SELECT " COLUMNS
		   " FROM workflow_data.subscription s WHERE s.subscription = $1 AND NOT s.closed AND NOT " TAKEN,
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_close = {
	.sql = "UPDATE workflow_data.subscription SET closed = true WHERE subscription = $1",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_close_taken = {
	.sql =
		"UPDATE workflow_data.subscription s SET closed = true WHERE s.instance = ANY ($1) AND NOT s.closed AND " TAKEN,
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};
static WfQuery q_reopen = {
	.sql = "UPDATE workflow_data.subscription s SET closed = false WHERE s.instance = ANY ($1) AND s.closed",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};
#define GROUPS(from, condition) \
	"SELECT s.process_id, s.step, (SELECT p.process FROM workflow_data.process p WHERE p.process_id = s.process_id), " \
	"count(DISTINCT s.visit) FROM " from "workflow_data.subscription s WHERE " condition " AND NOT " TAKEN \
	" GROUP BY s.process_id, s.step ORDER BY 3, 2"
static WfQuery q_groups_by_key = {
	.sql = GROUPS(PLACES " CROSS JOIN ", OF_KEY " AND " AT_PLACE),
	.nargs = 6,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID, BOOLOID, INT4ARRAYOID, TEXTARRAYOID},
};
static WfQuery q_groups_of_instance = {
	.sql = GROUPS("", OF_INSTANCE),
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
may_reach(WfRights *rights, int process_id, const char *step)
{
	Right	 *right;
	ListCell *lc;

	if (!OidIsValid(rights->role))
		return false;
	foreach (lc, rights->known)
	{
		right = lfirst(lc);
		if (right->process_id == process_id && strcmp(right->step, step) == 0)
			return right->allowed;
	}
	right = palloc(sizeof(Right));
	*right = (Right){process_id, pstrdup(step)};
	right->allowed = step[0] == '\0' ? wf_privilege_has(process_id, rights->role, WF_PRIVILEGE_COMPLETE)
									 : wf_privilege_has_step(process_id, rights->role, step);
	rights->known = lappend(rights->known, right);
	return right->allowed;
}

bool
wf_rights_reach(WfRights *rights, int process_id, const char *step)
{
	return may_reach(rights, process_id, "") || may_reach(rights, process_id, step);
}

static void
put_address(const WfAddress *address, Datum *values)
{
	values[0] = CStringGetTextDatum(address->signal ? "signal" : "message");
	values[1] = CStringGetTextDatum(address->name);
	values[2] = CStringGetTextDatum(address->key != NULL ? address->key : "");
	values[3] = BoolGetDatum(address->key != NULL);
}

/* Find the processes and steps with waits at an address that the role may reach. */
static void
find_places(const WfAddress *address, WfReach *reach)
{
	Datum		   values[4];
	uint64		   rows;
	SPITupleTable *table;
	bool		   isnull;

	if (reach->found)
		return;
	put_address(address, values);
	rows = wf_query_run(&q_places, values, NULL);
	table = SPI_tuptable;
	reach->processes = palloc(sizeof(int) * Max(rows, 1));
	reach->steps = palloc(sizeof(char *) * Max(rows, 1));
	for (uint64 i = 0; i < rows; i++)
	{
		int	  process_id = DatumGetInt32(SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull));
		char *step = SPI_getvalue(table->vals[i], table->tupdesc, 2);

		if (!wf_rights_reach(reach->rights, process_id, step))
			continue;
		reach->processes[reach->nplaces] = process_id;
		reach->steps[reach->nplaces++] = step;
	}
	reach->found = true;
	SPI_freetuptable(table);
}

static Datum
process_array(const WfReach *reach)
{
	Datum *datums = palloc(sizeof(Datum) * Max(reach->nplaces, 1));

	for (int i = 0; i < reach->nplaces; i++)
		datums[i] = Int32GetDatum(reach->processes[i]);
	return PointerGetDatum(construct_array(datums, reach->nplaces, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/* ---- reading ---- */

static uint64
run_by_key(const WfAddress *address, WfReach *reach, int64 after, int64 before, int size)
{
	Datum values[9];

	put_address(address, values);
	values[4] = process_array(reach);
	values[5] = wf_text_array(reach->steps, reach->nplaces);
	values[6] = Int64GetDatum(after);
	values[7] = Int64GetDatum(before);
	values[8] = Int32GetDatum(size);
	return wf_query_run(&q_by_key, values, NULL);
}

static uint64
run_of_instance(const WfAddress *address, int64 after, int64 before, int size)
{
	Datum values[6] = {Int64GetDatum(address->instance),
					   CStringGetTextDatum(address->name),
					   address->key != NULL ? CStringGetTextDatum(address->key) : (Datum) 0,
					   Int64GetDatum(after),
					   Int64GetDatum(before),
					   Int32GetDatum(size)};

	return wf_query_run(&q_of_instance, values, address->key != NULL ? NULL : "  n   ");
}

typedef struct Row
{
	WfReceiver receiver;
	bool	   taken;
} Row;

static Row
read_row(uint64 i)
{
	bool isnull;

	return (Row){{.subscription = wf_result_int64(i, 1),
				  .instance = wf_result_int64(i, 2),
				  .visit = wf_result_int64(i, 3),
				  .entry = DatumGetInt32(wf_result(i, 4, &isnull)),
				  .process_id = DatumGetInt32(wf_result(i, 5, &isnull)),
				  .step = wf_result_text(i, 6),
				  .stays = DatumGetBool(wf_result(i, 7, &isnull))},
				 DatumGetBool(wf_result(i, 8, &isnull))};
}

/* Read at most `size` rows. Returns how many. */
static int
read_page(const WfAddress *address, WfReach *reach, int64 after, int64 before, int size, Row *page)
{
	uint64 rows;

	if (address->instance != 0)
		rows = run_of_instance(address, after, before, size);
	else if (reach->nplaces > 0)
		rows = run_by_key(address, reach, after, before, size);
	else
		return 0;
	for (uint64 i = 0; i < rows; i++)
		page[i] = read_row(i);
	SPI_freetuptable(SPI_tuptable);
	return (int) rows;
}

/* Of a visit the first gets a message. Its subscriptions are made together, so that they stand close by. */
static bool
has_visit(const WfReceiver *receivers, int n, int64 visit)
{
	for (int i = n - 1; i >= Max(n - 200, 0); i--)
		if (receivers[i].visit == visit)
			return true;
	return false;
}

static bool
may_have(const WfAddress *address, WfReach *reach, const Row *row, const WfReceiver *receivers, int n)
{
	if (row->taken || (!address->signal && has_visit(receivers, n, row->receiver.visit)))
		return false;
	return address->instance == 0 || wf_rights_reach(reach->rights, row->receiver.process_id, row->receiver.step);
}

int
wf_receivers(const WfAddress *address, WfReach *reach, int64 *after, int64 before, int limit, WfReceiver *receivers)
{
	Row *page = palloc(sizeof(Row) * LARGEST_PAGE);
	int	 size = FIRST_PAGE(limit);
	int	 n = 0;
	int	 rows;

	if (address->instance == 0)
		find_places(address, reach);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		rows = read_page(address, reach, *after, before, size, page);
		for (int i = 0; i < rows && n < limit; i++)
		{
			*after = page[i].receiver.subscription;
			if (may_have(address, reach, &page[i], receivers, n))
				receivers[n++] = page[i].receiver;
			else
				pfree(unconstify(char *, page[i].receiver.step));
		}
		if (n == limit || rows < size)
			break;
		size = Min(4 * size, LARGEST_PAGE);
	}
	pfree(page);
	if (n < limit)
		*after = PG_INT64_MAX;
	return n;
}

bool
wf_receiver_waits(int64 subscription, int *entry)
{
	Datum values[1] = {Int64GetDatum(subscription)};
	bool  isnull;

	if (wf_query_run(&q_waits, values, NULL) == 0)
		return false;
	*entry = DatumGetInt32(wf_result(0, 1, &isnull));
	return true;
}

void
wf_receivers_stand(const int64 *subscriptions, int n, int *entries)
{
	Datum  values[1] = {wf_int64_array(subscriptions, n)};
	uint64 rows = wf_query_run(&q_stand, values, NULL);
	bool   isnull;

	for (int i = 0; i < n; i++)
		entries[i] = -1;
	for (uint64 i = 0; i < rows; i++)
		entries[wf_result_int64(i, 1) - 1] = DatumGetInt32(wf_result(i, 2, &isnull));
	SPI_freetuptable(SPI_tuptable);
}

bool
wf_receiver_is_open(int64 subscription, WfReceiver *receiver)
{
	Datum values[1] = {Int64GetDatum(subscription)};

	if (wf_query_run(&q_open, values, NULL) == 0)
		return false;
	*receiver = read_row(0).receiver;
	SPI_freetuptable(SPI_tuptable);
	return true;
}

void
wf_receiver_close(int64 subscription)
{
	Datum values[1] = {Int64GetDatum(subscription)};

	wf_query_run(&q_close, values, NULL);
}

void
wf_receivers_close(const int64 *instances, int n)
{
	Datum values[1] = {wf_int64_array(instances, n)};

	wf_query_run(&q_close_taken, values, NULL);
}

void
wf_receivers_open(const int64 *instances, int n)
{
	Datum values[1] = {wf_int64_array(instances, n)};

	wf_query_run(&q_reopen, values, NULL);
}

/* ---- counting ---- */

static uint64
run_groups(const WfAddress *address, WfReach *reach)
{
	Datum values[6];

	if (address->instance != 0)
	{
		values[0] = Int64GetDatum(address->instance);
		values[1] = CStringGetTextDatum(address->name);
		values[2] = address->key != NULL ? CStringGetTextDatum(address->key) : (Datum) 0;
		return wf_query_run(&q_groups_of_instance, values, address->key != NULL ? NULL : "  n");
	}
	find_places(address, reach);
	put_address(address, values);
	values[4] = process_array(reach);
	values[5] = wf_text_array(reach->steps, reach->nplaces);
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

		if (!wf_rights_reach(reach->rights, group.process_id, group.step))
			continue;
		n += count;
		named++;
		if (named <= MOST_NAMED)
			appendStringInfo(&text, "%s%d of process \"%s\" at step \"%s\"", named > 1 ? ", " : "", count,
							 SPI_getvalue(groups->vals[i], groups->tupdesc, 3), group.step);
		else if (named == MOST_NAMED + 1)
			appendStringInfoString(&text, ", ...");
	}
	SPI_freetuptable(groups);
	*whose = text.data;
	return n;
}
