/*
 * verify_rows.c
 *		Read instances with their visits for workflow.verify(), and report what is wrong with them.
 *
 * The tables are read in the order of their keys, a page of rows at a time, with the same snapshot
 * throughout: so what a transaction has changed in several rows is seen as a whole or not at all,
 * and no memory is needed but for one instance. Documents are not read.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "api/verify_internal.h"
#include "store/process.h"
#include "store/query.h"

#define ROWS_PER_PAGE "2000"

static WfQuery q_instances = {
	.sql =
		"SELECT i.instance, i.process_id, i.version, i.tokens, i.incidents, i.status, i.joins, "
		"i.cancel_reason IS NOT NULL OR i.ending IS NOT NULL, "
		"EXISTS (SELECT FROM workflow_data.process_version v WHERE v.process_id = i.process_id AND v.version = i.version) "
		"FROM workflow_data.instance i WHERE i.instance > $1 ORDER BY i.instance LIMIT " ROWS_PER_PAGE,
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_visits = {
	.sql = "SELECT instance, visit, process_id, scope, tokens, accepted IS NOT NULL, accepted > 0, suspended, "
		   "step, state, queue, waits_for, outcome, cancel_outcome, cancel_phase, "
		   "due_at, waiting_since, deadline, heartbeat_deadline, next_handler, next_interrupt, warn_at, next_timer, "
		   "clock_times, late, joins, item, item_counts "
		   "FROM workflow_data.visit WHERE (instance, visit) > ($1, $2) ORDER BY instance, visit LIMIT " ROWS_PER_PAGE,
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};
static WfQuery q_subscriptions = {
	.sql = "(SELECT instance, visit, entry::bigint, process_id, keyed, kind, name, step "
		   "FROM workflow_data.subscription WHERE (instance, visit, entry) > ($1, $2, $3) "
		   "ORDER BY instance, visit, entry LIMIT " ROWS_PER_PAGE ") "
		   "UNION ALL (SELECT instance, visit, entry::bigint, process_id, false, 'task', '', NULL "
		   "FROM workflow_data.task WHERE (instance, visit) >= ($1, $2) AND (instance, visit, entry) > ($1, $2, $3) "
		   "ORDER BY instance, visit LIMIT " ROWS_PER_PAGE ") "
		   "ORDER BY 1, 2, 3 LIMIT " ROWS_PER_PAGE,
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, INT8OID},
};
#define MOST_COLUMNS 28

/* A table, of which a page is in memory. */
typedef struct Table
{
	WfQuery		  *query;
	SPITupleTable *page;
	uint64		   n;
	uint64		   next; /* row of the page that comes next */
	Datum		   key[3];
	Datum		   values[MOST_COLUMNS]; /* of that row, if there is one */
	bool		   nulls[MOST_COLUMNS];
	bool		   at_end;
} Table;

struct WfVerifyReader
{
	Snapshot	  snapshot;
	MemoryContext context; /* for one instance */
	Table		  instances;
	Table		  visits;
	Table		  subscriptions;
	/* The version that was looked up last: neighbours often have the same. */
	int			  process_id;
	int			  version;
	WfDefinition *def;
};

/* ---- pages ---- */

static void
read_page(Table *table, Snapshot snapshot)
{
	if (table->page != NULL)
		SPI_freetuptable(table->page);
	table->n = wf_query_run_at(table->query, table->key, snapshot);
	table->page = SPI_tuptable;
	table->next = 0;
}

/* Go to the next row, whose first columns are the key of the page after it. */
static void
advance(Table *table, Snapshot snapshot)
{
	if (table->next == table->n)
		read_page(table, snapshot);
	table->at_end = table->n == 0;
	if (table->at_end)
		return;
	heap_deform_tuple(table->page->vals[table->next++], table->page->tupdesc, table->values, table->nulls);
	for (int i = 0; i < table->query->nargs; i++)
		table->key[i] = Int64GetDatum(DatumGetInt64(table->values[i]));
}

/* ---- values ---- */

static int64
int64_at(const Table *table, int column)
{
	return table->nulls[column] ? 0 : DatumGetInt64(table->values[column]);
}

static int
int32_at(const Table *table, int column)
{
	return table->nulls[column] ? 0 : DatumGetInt32(table->values[column]);
}

static bool
bool_at(const Table *table, int column)
{
	return !table->nulls[column] && DatumGetBool(table->values[column]);
}

static const char *
text_at(const Table *table, int column)
{
	return table->nulls[column] ? NULL : TextDatumGetCString(table->values[column]);
}

/* The elements of an array, 0 for those that are NULL. Returns how many. */
static int
elements(const Table *table, int column, Oid type, int16 len, char align, Datum **elems, bool **nulls)
{
	int n = 0;

	if (!table->nulls[column])
		deconstruct_array(DatumGetArrayTypeP(table->values[column]), type, len, len <= 4 || FLOAT8PASSBYVAL, align,
						  elems, nulls, &n);
	return n;
}

static void
read_times(const Table *table, int column, WfVerifiedTimes *times)
{
	Datum *elems;
	bool  *nulls;

	times->nentries = elements(table, column, TIMESTAMPTZOID, sizeof(TimestampTz), TYPALIGN_DOUBLE, &elems, &nulls);
	if (table->nulls[column])
		return;
	times->of_entries = palloc0(sizeof(TimestampTz) * Max(times->nentries, 1));
	for (int i = 0; i < times->nentries; i++)
		times->of_entries[i] = nulls[i] ? 0 : DatumGetTimestampTz(elems[i]);
}

static void
read_late(const Table *table, int column, WfVerifiedVisit *visit)
{
	Datum *elems;
	bool  *nulls;

	visit->nlate = elements(table, column, INT4OID, sizeof(int32), TYPALIGN_INT, &elems, &nulls);
	visit->late = palloc(sizeof(int) * Max(visit->nlate, 1));
	for (int i = 0; i < visit->nlate; i++)
		visit->late[i] = nulls[i] ? -1 : DatumGetInt32(elems[i]);
}

static void
read_joins(const Table *table, int column, WfVerifiedTokens *tokens)
{
	const int per_join = sizeof(WfVerifiedJoin) / sizeof(int64);
	Datum	 *elems;
	bool	 *nulls;
	int64	 *numbers;
	int		  n = elements(table, column, INT8OID, sizeof(int64), TYPALIGN_DOUBLE, &elems, &nulls);

	if (table->nulls[column])
		return;
	tokens->is_torn = n % per_join != 0;
	tokens->njoins = n / per_join;
	tokens->joins = palloc(sizeof(WfVerifiedJoin) * (tokens->njoins + 1));
	numbers = (int64 *) tokens->joins;
	for (int i = 0; i < n; i++)
	{
		tokens->is_torn |= nulls[i];
		numbers[i] = nulls[i] ? 0 : DatumGetInt64(elems[i]);
	}
}

static void
read_items(const Table *table, int column, WfVerifiedItems *items)
{
	int64 *const numbers[] = {&items->n, &items->begun, &items->stuck};
	Datum		*elems;
	bool		*nulls;
	int			 n = elements(table, column, INT8OID, sizeof(int64), TYPALIGN_DOUBLE, &elems, &nulls);

	for (int i = 0; i < Min(n, lengthof(numbers)); i++)
		*numbers[i] = nulls[i] ? 0 : DatumGetInt64(elems[i]);
}

/* ---- rows ---- */

static const WfDefinition *
definition_of(WfVerifyReader *reader, int process_id, int version)
{
	if (reader->def == NULL || process_id != reader->process_id || version != reader->version)
	{
		MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(reader));

		reader->def = wf_process_get(process_id, version)->def;
		reader->process_id = process_id;
		reader->version = version;
		MemoryContextSwitchTo(old);
	}
	return reader->def;
}

static void
read_instance(WfVerifyReader *reader, WfVerifiedInstance *instance)
{
	const Table *table = &reader->instances;

	instance->living = true;
	instance->process_id = int32_at(table, 1);
	instance->version = int32_at(table, 2);
	instance->tokens.n = int32_at(table, 3);
	instance->incidents = int32_at(table, 4);
	instance->status = text_at(table, 5);
	read_joins(table, 6, &instance->tokens);
	instance->cancelled = bool_at(table, 7);
	if (bool_at(table, 8))
		instance->def = definition_of(reader, instance->process_id, instance->version);
}

static void
read_visit(const Table *table, const WfDefinition *def, WfVerifiedVisit *visit)
{
	WfVerifiedTimes *times = &visit->times;
	int				 step;

	memset(visit, 0, sizeof(WfVerifiedVisit));
	visit->id = int64_at(table, 1);
	visit->process_id = int32_at(table, 2);
	visit->scope = int64_at(table, 3);
	visit->tokens.n = int32_at(table, 4);
	visit->accepted = bool_at(table, 5);
	visit->early = bool_at(table, 6);
	visit->suspended = bool_at(table, 7);
	visit->step = text_at(table, 8);
	visit->state = text_at(table, 9);
	visit->queue = text_at(table, 10);
	visit->waits_for = text_at(table, 11);
	visit->outcome = text_at(table, 12);
	visit->cancel_outcome = text_at(table, 13);
	visit->cancel_phase = text_at(table, 14);
	times->due_at = int64_at(table, 15);
	times->waiting_since = int64_at(table, 16);
	times->deadline = int64_at(table, 17);
	times->heartbeat_deadline = int64_at(table, 18);
	times->next_handler = int64_at(table, 19);
	times->next_interrupt = int64_at(table, 20);
	times->warn_at = int64_at(table, 21);
	times->next_timer = int64_at(table, 22);
	read_times(table, 23, times);
	read_late(table, 24, visit);
	read_joins(table, 25, &visit->tokens);
	visit->item = table->nulls[26] ? WF_NO_ITEM : int32_at(table, 26);
	read_items(table, 27, &visit->items);
	step = def != NULL ? wf_definition_step(def, visit->step) : -1;
	visit->def = step >= 0 ? &def->steps[step] : NULL;
}

static int
compare_visits(const void *a, const void *b)
{
	int64 left = *(const int64 *) a;
	int64 right = ((const WfVerifiedVisit *) b)->id;

	return left < right ? -1 : left > right;
}

WfVerifiedVisit *
wf_verify_find(const WfVerify *verify, int64 id)
{
	return bsearch(&id, verify->visits, verify->n, sizeof(WfVerifiedVisit), compare_visits);
}

/* What lives in a visit that goes through a list is an item of that, though its row names the step as the other does. */
static void
find_items(WfVerify *verify)
{
	for (int i = 0; i < verify->n; i++)
	{
		WfVerifiedVisit		  *visit = &verify->visits[i];
		const WfVerifiedVisit *around = visit->scope != 0 ? wf_verify_find(verify, visit->scope) : NULL;

		if (around == NULL || around->def == NULL || around->def->action != WF_ACTION_EACH || around->def->is_item)
			continue;
		if (strcmp(around->step, visit->step) == 0)
			visit->def = wf_step_of_item(verify->instance.def, around->def);
	}
}

/* ---- instance by instance ---- */

WfVerifyReader *
wf_verify_begin(Snapshot snapshot)
{
	WfVerifyReader *reader = palloc0(sizeof(WfVerifyReader));

	reader->snapshot = snapshot;
	reader->context = AllocSetContextCreate(CurrentMemoryContext, "workflow.verify", ALLOCSET_DEFAULT_SIZES);
	reader->instances.query = &q_instances;
	reader->instances.key[0] = Int64GetDatum(0);
	reader->visits.query = &q_visits;
	reader->visits.key[0] = reader->visits.key[1] = Int64GetDatum(0);
	reader->subscriptions.query = &q_subscriptions;
	for (int i = 0; i < q_subscriptions.nargs; i++)
		reader->subscriptions.key[i] = Int64GetDatum(0);
	advance(&reader->instances, snapshot);
	advance(&reader->visits, snapshot);
	advance(&reader->subscriptions, snapshot);
	return reader;
}

static bool
is_row_of(const Table *table, int64 instance)
{
	return !table->at_end && int64_at(table, 0) == instance;
}

static void
read_visits(WfVerifyReader *reader, WfVerify *verify)
{
	int allocated = 4;

	verify->n = 0;
	verify->visits = palloc(sizeof(WfVerifiedVisit) * allocated);
	while (is_row_of(&reader->visits, verify->instance.id))
	{
		if (verify->n == allocated)
		{
			allocated *= 2;
			verify->visits = repalloc_huge(verify->visits, sizeof(WfVerifiedVisit) * allocated);
		}
		read_visit(&reader->visits, verify->instance.def, &verify->visits[verify->n++]);
		advance(&reader->visits, reader->snapshot);
	}
}

static void
read_subscriptions(WfVerifyReader *reader, WfVerify *verify)
{
	const Table *table = &reader->subscriptions;
	int			 allocated = 4;

	verify->nsubscriptions = 0;
	verify->subscriptions = palloc(sizeof(WfVerifiedSubscription) * allocated);
	while (is_row_of(table, verify->instance.id))
	{
		WfVerifiedSubscription *read;

		if (verify->nsubscriptions == allocated)
		{
			allocated *= 2;
			verify->subscriptions = repalloc_huge(verify->subscriptions, sizeof(WfVerifiedSubscription) * allocated);
		}
		read = &verify->subscriptions[verify->nsubscriptions++];
		*read = (WfVerifiedSubscription){.visit = int64_at(table, 1),
										 .entry = (int) int64_at(table, 2),
										 .process_id = int32_at(table, 3),
										 .keyed = bool_at(table, 4),
										 .kind = text_at(table, 5),
										 .name = text_at(table, 6),
										 .step = text_at(table, 7)};
		advance(&reader->subscriptions, reader->snapshot);
	}
}

/* The lowest number of an instance of which there are rows; 0: there are none. */
static int64
next_instance(const WfVerifyReader *reader)
{
	const Table *tables[] = {&reader->instances, &reader->visits, &reader->subscriptions};
	int64		 id = 0;

	for (int i = 0; i < lengthof(tables); i++)
		if (!tables[i]->at_end && (id == 0 || int64_at(tables[i], 0) < id))
			id = int64_at(tables[i], 0);
	return id;
}

bool
wf_verify_next(WfVerifyReader *reader, WfVerify *verify)
{
	MemoryContext old;
	int64		  id = next_instance(reader);

	if (id == 0)
		return false;
	MemoryContextReset(reader->context);
	old = MemoryContextSwitchTo(reader->context);
	verify->context = reader->context;
	verify->instance = (WfVerifiedInstance){.id = id};
	if (is_row_of(&reader->instances, id))
	{
		read_instance(reader, &verify->instance);
		advance(&reader->instances, reader->snapshot);
	}
	read_visits(reader, verify);
	find_items(verify);
	read_subscriptions(reader, verify);
	MemoryContextSwitchTo(old);
	return true;
}

/* ---- problems ---- */

void
wf_verify_report_number(WfVerify *verify, int64 visit, const char *problem)
{
	Datum values[3] = {Int64GetDatum(verify->instance.id), (Datum) 0, CStringGetTextDatum(problem)};
	bool  nulls[3] = {false, visit == 0, false};

	if (visit != 0)
		values[1] = CStringGetTextDatum(psprintf(INT64_FORMAT "_" INT64_FORMAT, verify->instance.id, visit));
	tuplestore_putvalues(verify->problems->setResult, verify->problems->setDesc, values, nulls);
}

void
wf_verify_report(WfVerify *verify, const WfVerifiedVisit *visit, const char *format, ...)
{
	StringInfoData problem;
	int			   needed = 1;

	initStringInfo(&problem);
	while (needed > 0)
	{
		va_list args;

		va_start(args, format);
		needed = appendStringInfoVA(&problem, format, args);
		va_end(args);
		if (needed > 0)
			enlargeStringInfo(&problem, needed);
	}
	wf_verify_report_number(verify, visit != NULL ? visit->id : 0, problem.data);
}
