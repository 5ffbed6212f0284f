/*
 * subscription.c
 *		What visits and their handlers wait for besides callbacks and clocks.
 *
 * Rows belong to whoever has locked the instance. Who reaches them by the name of a message looks
 * without a lock, locks the instance, and looks again.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "debug.h"
#include "shmem/wakeups.h"
#include "store/query.h"
#include "store/subscription.h"
#include "store/task.h"
#include "store/work.h"

static const WfColumn row_columns[] = {{"instance", INT8OID},  {"visit", INT8OID}, {"process_id", INT4OID},
									   {"entry", INT4OID},	   {"keyed", BOOLOID}, {"met", BOOLOID},
									   {"interrupt", BOOLOID}, {"kind", TEXTOID},  {"name", TEXTOID},
									   {"key", TEXTOID},	   {"step", TEXTOID}};
static const WfColumn entry_columns[] = {{"instance", INT8OID}, {"visit", INT8OID}, {"entry", INT4OID}};
static const WfColumn met_columns[] = {{"instance", INT8OID}, {"visit", INT8OID}, {"entry", INT4OID}, {"met", BOOLOID}};

static const WfColumn carried_columns[] = {{"instance", INT8OID},  {"visit", INT8OID}, {"process_id", INT4OID},
										   {"entry", INT4OID},	   {"keyed", BOOLOID}, {"met", BOOLOID},
										   {"interrupt", BOOLOID}, {"kind", TEXTOID},  {"name", TEXTOID},
										   {"key", TEXTOID},	   {"step", TEXTOID},  {"subscription", INT8OID},
										   {"closed", BOOLOID}};

#define INTERRUPT 6 /* its place among the former */

static WfShape row_shape = {row_columns, lengthof(row_columns)};
static WfShape carried_shape = {carried_columns, lengthof(carried_columns)};
static WfShape entry_shape = {entry_columns, lengthof(entry_columns)};
static WfShape met_shape = {met_columns, lengthof(met_columns)};

/* numbers are given in the order in which the subscriptions were made */
static WfQuery q_insert = {
	.sql =
		"INSERT INTO workflow_data.subscription (instance, visit, process_id, entry, keyed, met, interrupt, kind, name, "
		"key, step) SELECT m.instance, m.visit, m.process_id, m.entry, m.keyed, m.met, m.interrupt, m.kind, m.name, "
		"m.key, m.step FROM moved m RETURNING subscription, kind",
	.shape = &row_shape,
};
static WfQuery q_carry = {
	.sql =
		"INSERT INTO workflow_data.subscription (subscription, closed, instance, visit, process_id, entry, keyed, met, "
		"interrupt, kind, name, key, step) SELECT m.subscription, m.closed, m.instance, m.visit, m.process_id, m.entry, m.keyed, "
		"m.met, m.interrupt, m.kind, m.name, m.key, m.step FROM moved m",
	.shape = &carried_shape,
};
static WfQuery q_delete = {
	.sql = "DELETE FROM workflow_data.subscription s USING moved m "
		   "WHERE s.instance = m.instance AND s.visit = m.visit AND (m.entry < 0 OR s.entry = m.entry)",
	.shape = &entry_shape,
};
static WfQuery q_set_met = {
	.sql = "UPDATE workflow_data.subscription s SET met = m.met FROM moved m "
		   "WHERE s.instance = m.instance AND s.visit = m.visit AND s.entry = m.entry",
	.shape = &met_shape,
};
/* Of so many instances the conditions are read at once, and so many of their visits. */
#define MOST_AHEAD 200

static WfQuery q_conditions = {
	.sql =
		"SELECT s.visit, s.entry, s.met, s.step, s.interrupt IS NULL, s.instance FROM workflow_data.subscription s WHERE s.instance = ANY ($1) "
		"AND s.kind = 'condition' ORDER BY s.subscription",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};

static WfQuery q_read = {
	.sql =
		"SELECT s.instance, s.visit, s.subscription, s.entry, s.keyed, s.key, s.met, s.closed FROM workflow_data.subscription s "
		"WHERE s.instance = ANY ($1) "
		"UNION ALL SELECT t.instance, t.visit, 0, t.entry, false, '', false, false FROM workflow_data.task t WHERE t.instance = ANY ($1) "
		"UNION ALL SELECT w.instance, w.visit, 0, -1, false, '', false, false FROM workflow_data.work w WHERE w.instance = ANY ($1) "
		"AND NOT EXISTS (SELECT FROM workflow_data.work_note n WHERE n.work = w.work AND n.gone) ORDER BY 3",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};

static const char *const kind_names[] =
	{[WF_EVENT_MESSAGE] = "message", [WF_EVENT_SIGNAL] = "signal", [WF_EVENT_CONDITION] = "condition"};

/* ---- changes in memory ---- */

/* May rows of it be stored that this batch has not seen? A step that is not there may have had any. */
static bool
may_be_stored(const WfVisit *visit)
{
	return visit->subscribed.may_be_stored ||
		   (!visit->is_new && !visit->subscribed.all_dropped && (visit->def == NULL || visit->def->nsubscribed > 0));
}

static WfSubscription *
remember(WfVisit *visit, int entry)
{
	WfSubscription *made = palloc0(sizeof(WfSubscription));

	made->visit = visit;
	made->entry = entry;
	visit->subscribed.known = lappend(visit->subscribed.known, made);
	if (visit->def->entries[entry].event.kind == WF_EVENT_CONDITION)
		visit->instance->conditions = lappend(visit->instance->conditions, made);
	return made;
}

WfSubscription *
wf_subscription_add(WfBatch *batch, WfVisit *visit, int entry, const char *key)
{
	MemoryContext	old = MemoryContextSwitchTo(batch->context);
	WfSubscription *made = remember(visit, entry);

	WF_ASSERT(wf_is_subscribed(visit->def->entries[entry].event.kind));
	made->key = key;
	batch->subscribed = lappend(batch->subscribed, made);
	MemoryContextSwitchTo(old);
	return made;
}

static int
table_of(WfEventKind kind)
{
	return kind == WF_EVENT_TASK ? WF_IN_TASK : kind == WF_EVENT_TOPIC ? WF_IN_WORK : WF_IN_SUBSCRIPTION;
}

/* In which tables may the entry, or (-1) any of the visit, have rows? */
static int
tables_of(const WfVisit *visit, int entry)
{
	const WfStep *def = visit->def;
	int			  tables = 0;

	if (def == NULL)
		return WF_IN_ALL;
	if (entry >= 0)
		return table_of(def->entries[entry].event.kind);
	for (int i = 0; def->noffered > 0 && i < def->nentries; i++)
		if (wf_is_offered(def->entries[i].event.kind))
			tables |= table_of(def->entries[i].event.kind);
	return tables | (def->nsubscribed > def->noffered ? WF_IN_SUBSCRIPTION : 0);
}

/* Delete stored rows; entry -1: all of the visit. */
static WfUnsubscribed *
delete_stored(WfBatch *batch, const WfVisit *visit, int entry, int tables)
{
	WfUnsubscribed *gone = palloc(sizeof(WfUnsubscribed));

	*gone = (WfUnsubscribed){visit->instance->id, visit->id, entry, tables};
	batch->unsubscribed = lappend(batch->unsubscribed, gone);
	return gone;
}

/* Drop what is known of an entry, or (-1) of all. */
static void
drop_known(WfVisit *visit, int entry)
{
	ListCell *lc;

	foreach (lc, visit->subscribed.known)
	{
		WfSubscription *known = lfirst(lc);

		if (entry < 0 || known->entry == entry)
			known->is_dropped = true;
	}
}

void
wf_subscription_drop(WfBatch *batch, WfVisit *visit, int entry)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	drop_known(visit, entry);
	if (may_be_stored(visit))
	{
		(void) delete_stored(batch, visit, entry, tables_of(visit, entry));
		visit->subscribed.dropped_entries = lappend_int(visit->subscribed.dropped_entries, entry);
	}
	MemoryContextSwitchTo(old);
}

void
wf_subscriptions_drop(WfBatch *batch, WfVisit *visit)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	drop_known(visit, -1);
	if (may_be_stored(visit))
		(void) delete_stored(batch, visit, -1, tables_of(visit, -1));
	visit->subscribed.may_be_stored = false;
	visit->subscribed.all_dropped = true;
	MemoryContextSwitchTo(old);
}

bool
wf_subscription_may_be_there(const WfVisit *visit, int entry)
{
	ListCell *lc;

	foreach (lc, visit->subscribed.known)
	{
		const WfSubscription *known = lfirst(lc);

		if (known->entry == entry && !known->is_dropped)
			return true;
	}
	return may_be_stored(visit) && !list_member_int(visit->subscribed.dropped_entries, entry);
}

/* ---- carrying over ---- */

void
wf_subscriptions_read(WfBatch *batch)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	int64		 *ids = palloc(sizeof(int64) * Max(list_length(batch->instances), 1));
	int			  n = 0;
	Datum		  values[1];
	uint64		  rows;
	bool		  isnull;
	ListCell	 *lc;

	foreach (lc, batch->instances)
		ids[n++] = ((WfInstance *) lfirst(lc))->id;
	values[0] = wf_int64_array(ids, n);
	rows = wf_query_run(&q_read, values, NULL);
	for (uint64 i = 0; i < rows; i++)
	{
		WfVisit		   *visit = wf_batch_visit(batch, wf_result_int64(i, 1), wf_result_int64(i, 2));
		WfSubscription *read;

		if (visit == NULL)
			continue;
		read = palloc0(sizeof(WfSubscription));
		read->visit = visit;
		read->number = wf_result_int64(i, 3);
		read->entry = DatumGetInt32(wf_result(i, 4, &isnull));
		/* work has no number of an entry */
		if (read->entry < 0 && visit->def != NULL)
			read->entry = wf_step_entry(visit->def, WF_EVENT_TOPIC);
		read->key = DatumGetBool(wf_result(i, 5, &isnull)) ? wf_result_text(i, 6) : NULL;
		read->met = DatumGetBool(wf_result(i, 7, &isnull));
		read->closed = DatumGetBool(wf_result(i, 8, &isnull));
		visit->subscribed.stored = lappend(visit->subscribed.stored, read);
	}
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(old);
}

void
wf_subscriptions_replace(WfBatch *batch, WfVisit *visit)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	drop_known(visit, -1);
	visit->subscribed.replaced = delete_stored(batch, visit, -1, WF_IN_ALL);
	visit->subscribed.may_be_stored = false;
	visit->subscribed.all_dropped = true;
	MemoryContextSwitchTo(old);
}

void
wf_subscription_carry(WfBatch *batch, const WfSubscription *stored, int entry)
{
	WfSubscription *carried = wf_subscription_add(batch, stored->visit, entry, stored->key);

	carried->number = stored->number;
	carried->met = stored->met;
	carried->closed = stored->closed;
	/* who does a task or work keeps it: its row stays */
	if (wf_is_offered(carried->visit->def->entries[entry].event.kind))
		carried->visit->subscribed.replaced->tables &= ~table_of(carried->visit->def->entries[entry].event.kind);
}

/* ---- conditions ---- */

typedef struct StoredCondition
{
	int64			visit;
	const WfStep   *def; /* NULL: the version has no such step */
	int				entry;
	bool			met;
	bool			was_taken;
	WfSubscription *known; /* NULL: it is not among those that are judged */
} StoredCondition;

static bool
may_differ(const WfInstance *instance, const WfStep *def, int entry)
{
	const WfEvent *event = &def->entries[entry].event;

	return event->kind == WF_EVENT_CONDITION &&
		   (instance->judges_all || wf_predicate_may_differ(event->condition, instance->data_before, instance->data));
}

/* May the answer of any condition of the process have changed? */
static bool
any_may_differ(const WfInstance *instance)
{
	const WfDefinition *def = instance->process->def;

	for (int i = 0; i < def->nsteps; i++)
		for (int entry = 0; def->steps[i].nsubscribed > 0 && entry < def->steps[i].nentries; entry++)
			if (may_differ(instance, &def->steps[i], entry))
				return true;
	return false;
}

/* Load the visits for which these instances have conditions, if they are few. */
static void
load_ahead(WfBatch *batch, const int64 *ids, int n)
{
	size_t room = batch->memory_budget;
	int64  instances[MOST_AHEAD];
	int64  visits[MOST_AHEAD];
	int	   nvisits = 0;

	for (int i = 0; i < n; i++)
	{
		const WfInstance *instance = wf_batch_instance(batch, ids[i]);
		ListCell		 *lc;

		foreach (lc, instance->stored_conditions)
		{
			int64 visit = ((const StoredCondition *) lfirst(lc))->visit;

			if (nvisits == MOST_AHEAD)
				return;
			if (wf_batch_visit(batch, instance->id, visit) != NULL)
				continue;
			instances[nvisits] = instance->id;
			visits[nvisits++] = visit;
		}
	}
	batch->memory_budget = 0;
	wf_batch_load_visits(batch, instances, visits, nvisits);
	batch->memory_budget = room;
}

static StoredCondition *
read_condition(const WfDefinition *def, uint64 row)
{
	StoredCondition *stored = palloc0(sizeof(StoredCondition));
	int				 step = wf_definition_step(def, wf_result_text(row, 4));
	bool			 isnull;

	stored->visit = wf_result_int64(row, 1);
	stored->def = step >= 0 ? &def->steps[step] : NULL;
	/* of a step with `each` the handlers are of the whole, and it is the items that wait */
	if (step >= 0 && stored->def->each != NULL && DatumGetBool(wf_result(row, 5, &isnull)))
		stored->def = wf_step_of_item(def, stored->def);
	stored->entry = DatumGetInt32(wf_result(row, 2, &isnull));
	stored->met = DatumGetBool(wf_result(row, 3, &isnull));
	return stored;
}

/*
 * Read those of the instance, and ahead of need those of others of its process that are in the batch: if the data of many are changed in
 * one way, that is what follows.
 */
static void
read_stored(WfBatch *batch, WfInstance *instance)
{
	int64	  ids[MOST_AHEAD] = {instance->id};
	int		  n = 1;
	uint64	  rows;
	Datum	  values[1];
	ListCell *lc;

	instance->has_read_conditions = true;
	foreach (lc, batch->instances)
	{
		WfInstance *other = lfirst(lc);

		if (n == MOST_AHEAD)
			break;
		if (other->has_read_conditions || other->is_new || other->process->def != instance->process->def)
			continue;
		other->has_read_conditions = true;
		ids[n++] = other->id;
	}
	values[0] = wf_int64_array(ids, n);
	rows = wf_query_run(&q_conditions, values, NULL);
	for (uint64 i = 0; i < rows; i++)
	{
		WfInstance *of = n == 1 ? instance : wf_batch_instance(batch, wf_result_int64(i, 6));

		of->stored_conditions = lappend(of->stored_conditions, read_condition(of->process->def, i));
	}
	SPI_freetuptable(SPI_tuptable);
	if (n > 1)
		load_ahead(batch, ids, n);
}

/* Those that are not judged yet, and have to be now. */
static List *
find_concerned(const WfInstance *instance)
{
	List	 *concerned = NIL;
	ListCell *lc;

	foreach (lc, instance->stored_conditions)
	{
		StoredCondition *stored = lfirst(lc);

		if (!stored->was_taken && stored->def != NULL && stored->entry < stored->def->nentries &&
			may_differ(instance, stored->def, stored->entry))
			concerned = lappend(concerned, stored);
	}
	return concerned;
}

/* Load the visits, whatever the memory budget is: they are needed now. */
static void
load_visits(WfBatch *batch, WfInstance *instance, const List *concerned)
{
	size_t	  room = batch->memory_budget;
	int64	 *instances = palloc(sizeof(int64) * Max(list_length(concerned), 1));
	int64	 *visits = palloc(sizeof(int64) * Max(list_length(concerned), 1));
	int		  n = 0;
	ListCell *lc;

	foreach (lc, concerned)
	{
		const StoredCondition *stored = lfirst(lc);

		if (wf_batch_visit(batch, instance->id, stored->visit) != NULL)
			continue;
		instances[n] = instance->id;
		visits[n++] = stored->visit;
	}
	batch->memory_budget = 0;
	wf_batch_load_visits(batch, instances, visits, n);
	batch->memory_budget = room;
}

/* Those of this batch are known, whether they were written already or not. */
static bool
is_known(const WfVisit *visit, int entry)
{
	ListCell *lc;

	foreach (lc, visit->subscribed.known)
		if (((const WfSubscription *) lfirst(lc))->entry == entry)
			return true;
	return false;
}

static void
take(WfBatch *batch, WfInstance *instance, StoredCondition *stored)
{
	WfVisit *visit = wf_batch_visit(batch, instance->id, stored->visit);

	stored->was_taken = true;
	if (visit == NULL || visit->def == NULL || is_known(visit, stored->entry) ||
		!wf_subscription_may_be_there(visit, stored->entry))
		return;
	stored->known = remember(visit, stored->entry);
	stored->known->met = stored->met;
	stored->known->is_stored = true;
	stored->known->was_read = true;
}

/* The order in which they were made: those of this batch last. */
static void
order_conditions(WfInstance *instance)
{
	List	 *known = instance->conditions;
	ListCell *lc;

	instance->conditions = NIL;
	foreach (lc, instance->stored_conditions)
		if (((const StoredCondition *) lfirst(lc))->known != NULL)
			instance->conditions = lappend(instance->conditions, ((const StoredCondition *) lfirst(lc))->known);
	foreach (lc, known)
		if (!((const WfSubscription *) lfirst(lc))->was_read)
			instance->conditions = lappend(instance->conditions, lfirst(lc));
	list_free(known);
}

/* What nobody has to judge is not loaded, and nothing is read if that goes for all of the process. */
void
wf_subscription_read_conditions(WfBatch *batch, WfInstance *instance)
{
	MemoryContext old;
	List		 *concerned;
	ListCell	 *lc;

	if (instance->is_new || !any_may_differ(instance))
		return;
	old = MemoryContextSwitchTo(batch->context);
	if (!instance->has_read_conditions)
		read_stored(batch, instance);
	concerned = find_concerned(instance);
	load_visits(batch, instance, concerned);
	foreach (lc, concerned)
		take(batch, instance, lfirst(lc));
	if (concerned != NIL)
		order_conditions(instance);
	MemoryContextSwitchTo(old);
}

void
wf_subscription_set_met(WfBatch *batch, WfSubscription *subscription, bool met)
{
	MemoryContext old;

	if (subscription->met == met)
		return;
	subscription->met = met;
	if (!subscription->is_stored || subscription->met_changed)
		return;
	old = MemoryContextSwitchTo(batch->context);
	subscription->met_changed = true;
	batch->subscribed = lappend(batch->subscribed, subscription);
	MemoryContextSwitchTo(old);
}

/* ---- writing ---- */

static void
put_deleted(WfRows *rows, const WfUnsubscribed *gone)
{
	Datum values[] = {Int64GetDatum(gone->instance), Int64GetDatum(gone->visit), Int32GetDatum(gone->entry)};
	bool  nulls[lengthof(entry_columns)] = {0};

	if (rows->store == NULL)
		wf_rows_begin(rows, &entry_shape);
	wf_rows_put(rows, values, nulls);
}

static void
put_met(WfRows *rows, const WfSubscription *changed)
{
	Datum values[] = {Int64GetDatum(changed->visit->instance->id), Int64GetDatum(changed->visit->id),
					  Int32GetDatum(changed->entry), BoolGetDatum(changed->met)};
	bool  nulls[lengthof(met_columns)] = {0};

	if (rows->store == NULL)
		wf_rows_begin(rows, &met_shape);
	wf_rows_put(rows, values, nulls);
}

static void
put_made(WfRows *rows, const WfSubscription *made)
{
	const WfVisit *visit = made->visit;
	const WfEvent *event = &visit->def->entries[made->entry].event;
	Datum		   values[] = {Int64GetDatum(visit->instance->id),
							   Int64GetDatum(visit->id),
							   Int32GetDatum(visit->instance->process->process_id),
							   Int32GetDatum(made->entry),
							   BoolGetDatum(made->key != NULL),
							   BoolGetDatum(made->met),
							   BoolGetDatum(visit->def->entries[made->entry].interrupt),
							   CStringGetTextDatum(kind_names[event->kind]),
							   CStringGetTextDatum(event->name != NULL ? event->name : ""),
							   CStringGetTextDatum(made->key != NULL ? made->key : ""),
							   CStringGetTextDatum(visit->step),
							   Int64GetDatum(made->number),
							   BoolGetDatum(made->closed)};
	bool		   nulls[lengthof(values)] = {[INTERRUPT] = made->entry < visit->def->nwaits};

	if (rows->store == NULL)
		wf_rows_begin(rows, made->number != 0 ? &carried_shape : &row_shape);
	wf_rows_put(rows, values, nulls);
}

/* The dispatcher looks whether messages are kept for those that were made. */
static void
wake_for_messages(uint64 n)
{
	for (uint64 i = 0; i < n; i++)
	{
		if (strcmp(wf_result_text(i, 2), kind_names[WF_EVENT_MESSAGE]) != 0)
			continue;
		wf_wakeup_subscription(wf_result_int64(i, 1)); /* the first has the smallest number */
		break;
	}
	SPI_freetuptable(SPI_tuptable);
}

static void
write_rows(WfQuery *query, WfRows *rows, bool each)
{
	if (rows->store == NULL)
		return;
	if (wf_query_run_rows(query, rows) != (uint64) rows->n && each)
		ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				errmsg("could not serialize access to an instance due to concurrent update"));
	if (query == &q_insert)
		wake_for_messages((uint64) rows->n);
	wf_rows_end(rows);
}

/* What of a batch is to be written, and where. */
typedef struct Writing
{
	WfRows gone;
	WfRows met;
	WfRows carried;
	WfRows made;
	/* of WfSubscription */
	List *tasks;
	List *works;
} Writing;

/* Sort what has changed. A subscription that was dropped before it was written leaves nothing. */
static void
sort_subscribed(WfBatch *batch, Writing *writing)
{
	ListCell *lc;

	foreach (lc, batch->unsubscribed)
		if ((((const WfUnsubscribed *) lfirst(lc))->tables & WF_IN_SUBSCRIPTION) != 0)
			put_deleted(&writing->gone, lfirst(lc));
	foreach (lc, batch->subscribed)
	{
		WfSubscription *subscription = lfirst(lc);

		if (subscription->is_dropped)
			continue;
		if (subscription->is_stored)
			put_met(&writing->met, subscription);
		else if (table_of(subscription->visit->def->entries[subscription->entry].event.kind) == WF_IN_TASK)
			writing->tasks = lappend(writing->tasks, subscription);
		else if (table_of(subscription->visit->def->entries[subscription->entry].event.kind) == WF_IN_WORK)
			writing->works = lappend(writing->works, subscription);
		else
			put_made(subscription->number != 0 ? &writing->carried : &writing->made, subscription);
		subscription->is_stored = true;
		subscription->met_changed = false;
		subscription->visit->subscribed.may_be_stored = true;
	}
}

/* Deleted first: what was dropped may have been made anew since. */
void
wf_subscriptions_flush(WfBatch *batch)
{
	MemoryContext old;
	Writing		  writing = {0};

	if (batch->subscribed == NIL && batch->unsubscribed == NIL)
		return;
	old = MemoryContextSwitchTo(batch->context);
	sort_subscribed(batch, &writing);
	wf_tasks_write(batch->unsubscribed, writing.tasks);
	wf_works_write(batch, batch->unsubscribed, writing.works);
	batch->unsubscribed = NIL;
	batch->subscribed = NIL;
	write_rows(&q_delete, &writing.gone, false);
	write_rows(&q_set_met, &writing.met, true);
	write_rows(&q_carry, &writing.carried, true);
	write_rows(&q_insert, &writing.made, true);
	MemoryContextSwitchTo(old);
}
