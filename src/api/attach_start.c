/*
 * attach_start.c
 *		Read rows of attached tables, and start instances for them.
 *
 * A number in a row is believed only if it was issued to it (attach_numbers.c). Where other
 * triggers may have changed the row after ours, its condition is judged again: a row that shows an
 * instance it should not have is refused, since it is too late to take the number back. Rows that
 * were there before the table was attached have no numbers: workers write what these show.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/rel.h"

#include "api/attach_internal.h"
#include "engine/engine.h"
#include "store/access.h"
#include "store/privilege.h"
#include "store/row_delivery.h"
#include "store/row_result.h"
#include "store/trace.h"

/* Limits of one batch of the engine: so many rows, whose structs stay in the processor's cache, or so many bytes of them. */
#define CHUNK_ROWS	256
#define CHUNK_BYTES (4 * 1024 * 1024)

bool
wf_attached_sets_columns(const WfAttached *item)
{
	return item->serial.attno != 0 || item->status.attno != 0 || item->instance.attno != 0;
}

/*
 * Do rows of this table hold the number of their instance from the start on: in a column of their
 * own, or in the serial number of the first step?
 */
bool
wf_attached_is_numbered(const WfAttached *item)
{
	return item->instance.attno != 0 || (item->serial.attno != 0 && item->shows_start);
}

void
wf_issued_serial_number(const WfIssued *issued, char *buffer)
{
	snprintf(buffer, WF_SERIAL_NUMBER_LEN, INT64_FORMAT "_" INT64_FORMAT, issued->instance, issued->visit);
}

/* ---- rows read ---- */

static char *
shown_text(WfRowColumn *column, HeapTuple tuple, TupleDesc desc)
{
	return column->attno != 0 ? wf_row_text(column, tuple, desc) : NULL;
}

static bool
shows_active(WfAttached *item, HeapTuple tuple, TupleDesc desc)
{
	char *status = shown_text(&item->status, tuple, desc);

	return status != NULL && strcmp(status, wf_status_name(WF_STATUS_ACTIVE)) == 0;
}

/*
 * Does the row start an instance, although it holds no number that would tell? The status that the
 * BEFORE trigger set tells, unless another trigger changed it; else the condition is judged again.
 */
static bool
is_wanted_without_number(WfAttached *item, HeapTuple tuple, TupleDesc desc, Jsonb *data)
{
	char *status;

	if (item->condition == NULL)
		return true;
	if (wf_attached_is_numbered(item))
		return false;
	if (item->status.attno != 0)
	{
		status = wf_row_text(&item->status, tuple, desc);
		if (status == NULL)
			return false;
		if (strcmp(status, wf_status_name(WF_STATUS_ACTIVE)) == 0)
			return true;
	}
	return wf_attached_wants(item, data);
}

/*
 * Judge the condition again: the BEFORE trigger has judged it, but triggers after it may have
 * changed the row.
 */
static bool
is_wanted_again(WfRowStart *start, HeapTuple tuple, TupleDesc desc)
{
	bool wanted = wf_attached_wants(start->item, start->data);
	bool marked = start->instance != NULL || start->serial_number != NULL || shows_active(start->item, tuple, desc);

	start->refused = marked && !wanted;
	start->unmarked = wanted && !marked;
	return marked || wanted;
}

static bool
is_wanted(WfRowStart *start, HeapTuple tuple, TupleDesc desc)
{
	start->refused = start->unmarked = false;
	start->instance = shown_text(&start->item->instance, tuple, desc);
	start->serial_number = shown_text(&start->item->serial, tuple, desc);
	if (start->item->judged_again)
		return is_wanted_again(start, tuple, desc);
	return start->instance != NULL || start->serial_number != NULL ||
		   is_wanted_without_number(start->item, tuple, desc, start->data);
}

static void
add_start(WfChunk *chunk, const WfRowStart *start)
{
	if (chunk->n == chunk->allocated)
	{
		chunk->allocated = Max(chunk->table->n, chunk->allocated * 2);
		chunk->starts = chunk->starts == NULL ? palloc(sizeof(WfRowStart) * chunk->allocated)
											  : repalloc(chunk->starts, sizeof(WfRowStart) * chunk->allocated);
	}
	chunk->starts[chunk->n++] = *start;
}

/* Judge a row that was there before. Its columns may hold anything, since we have not set them. */
static bool
is_wanted_though_old(WfRowStart *start)
{
	start->instance = start->serial_number = NULL;
	start->refused = false;
	start->unmarked = true;
	return wf_attached_wants(start->item, start->data);
}

static char **
shown_results(WfAttached *item, HeapTuple tuple, TupleDesc desc)
{
	char **results = NULL;

	if (item->row.replicated)
		return NULL;
	if (item->row.nresults > 0)
		results = palloc(sizeof(char *) * item->row.nresults);
	for (int i = 0; i < item->row.nresults; i++)
		results[i] = wf_row_text(&item->results[i], tuple, desc);
	return results;
}

void
wf_chunk_begin(WfChunk *chunk)
{
	chunk->starts = NULL;
	chunk->n = chunk->allocated = chunk->rows = 0;
	chunk->bytes = 0;
}

bool
wf_chunk_is_full(const WfChunk *chunk)
{
	return chunk->rows >= CHUNK_ROWS || chunk->bytes >= CHUNK_BYTES;
}

void
wf_chunk_add(WfChunk *chunk, HeapTuple tuple)
{
	TupleDesc  desc = RelationGetDescr(chunk->rel);
	WfRowStart start = {0};

	start.data = wf_attached_row(chunk->table, chunk->rel, tuple);
	start.key = wf_row_key_text(&chunk->table->key, tuple, desc);
	for (int i = 0; i < chunk->table->n; i++)
	{
		start.item = &chunk->table->items[i];
		start.results = shown_results(start.item, tuple, desc);
		if (chunk->existing == 0 ? is_wanted(&start, tuple, desc)
								 : start.item->row.id == chunk->existing && is_wanted_though_old(&start))
			add_start(chunk, &start);
	}
	chunk->rows++;
	chunk->bytes += tuple->t_len + VARSIZE(start.data);
}

/* ---- instances started ---- */

static void
require_owner_may_start(WfChunk *chunk)
{
	for (int i = 0; i < chunk->table->n; i++)
	{
		const WfAttachment *row = &chunk->table->items[i].row;

		wf_attachment_require_start(row->process_id, row->process, chunk->owner, false);
	}
	chunk->allowed = true;
}

pg_noreturn static void
report_forged(const WfChunk *chunk, const WfRowStart *start)
{
	ereport(ERROR, errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			errmsg("row of table \"%s\" has a number that was not issued for it", RelationGetRelationName(chunk->rel)),
			errdetail("The row with key %s holds \"%s\".", start->key,
					  start->serial_number != NULL ? start->serial_number : start->instance),
			errhint("Columns that workflow.attach was told to set must not be set by other triggers."));
}

pg_noreturn static void
report_refused(const WfChunk *chunk, const WfRowStart *start)
{
	ereport(ERROR, errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			errmsg("row of table \"%s\" was changed after it was given an instance of process \"%s\"",
				   RelationGetRelationName(chunk->rel), start->item->row.process),
			errdetail("The row with key %s does not meet the condition %s any more.", start->key,
					  start->item->row.condition),
			errhint("Rename the trigger that changes it: its name should come before \"%s\".", WF_TRIGGER_BEFORE));
}

static bool
attachment_shows(const WfRowColumn *column, const char *shown, const char *expected)
{
	if (column->attno == 0)
		return true;
	if (shown == NULL || expected == NULL)
		return shown == expected;
	return strcmp(shown, expected) == 0;
}

/*
 * Take the numbers in the row's columns into *issued and use them up; zeros if it holds none. Throws
 * for numbers that were not issued to this very row.
 */
static void
redeem(const WfChunk *chunk, const WfRowStart *start, WfIssued *issued)
{
	const char *number = start->instance != NULL ? start->instance : start->serial_number;
	char		serial_number[WF_SERIAL_NUMBER_LEN];
	char		instance[WF_SERIAL_NUMBER_LEN];

	*issued = (WfIssued){.version = start->item->version};
	if (number == NULL)
		return;
	if (!wf_numbers_redeem(start->item->row.id, strtoll(number, NULL, 10), issued))
		report_forged(chunk, start);
	wf_issued_serial_number(issued, serial_number);
	snprintf(instance, sizeof(instance), INT64_FORMAT, issued->instance);
	if (!attachment_shows(&start->item->instance, start->instance, instance) ||
		!attachment_shows(&start->item->serial, start->serial_number, issued->visit != 0 ? serial_number : NULL))
		report_forged(chunk, start);
}

/* Does the visit live directly in its instance, or in the process as a whole, if that is a scope? */
static bool
is_outermost(const WfVisit *visit)
{
	return visit->scope == NULL || strcmp(visit->scope->step, WF_PROCESS_STEP) == 0;
}

static bool
may_be_shown(const WfAttached *item, const WfVisit *visit)
{
	if (visit->ended)
		return false;
	if (item->row.serial_step != NULL)
		return strcmp(visit->step, item->row.serial_step) == 0 && visit->state != WF_STATE_INCIDENT &&
			   visit->waits_for != WF_WAITS_FOR_JOIN;
	return (visit->waits_for & WF_WAITS_FOR_CALLBACK) != 0 && is_outermost(visit);
}

/*
 * The visit whose number the row should show, or 0; by the rule that a write-back applies to the
 * tables.
 */
static int64
visit_to_show(const WfAttached *item, const WfInstance *instance)
{
	int64	  oldest = 0;
	ListCell *lc;

	foreach (lc, instance->visits)
	{
		const WfVisit *visit = lfirst(lc);

		if (may_be_shown(item, visit) && (oldest == 0 || visit->id < oldest))
			oldest = visit->id;
	}
	return oldest;
}

/* Does the row show its instance already, so that no write-back is needed? */
static bool
is_shown(const WfAttached *item, const WfInstance *instance, const WfIssued *issued)
{
	if (wf_attached_is_numbered(item) && issued->instance == 0)
		return false;
	if (instance->ended || instance->status != WF_STATUS_ACTIVE)
		return false;
	return item->serial.attno == 0 || visit_to_show(item, instance) == issued->visit;
}

/*
 * Do the columns for results hold what they are to show? They may although they do not look like it, if their types write
 * values in another way: then a write-back finds that out.
 */
static bool
has_results(const WfRowStart *start, const WfInstance *instance)
{
	const WfAttachment *row = &start->item->row;
	const char		   *unworked;
	WfRowResult		   *results;

	if (row->nresults == 0)
		return true;
	results = wf_row_results_work_out(row, instance->data, instance->process->timezone, &unworked);
	for (int i = 0; i < row->nresults; i++)
	{
		const char *text = wf_row_result_text(&results[i], start->item->results[i].type);

		if (!results[i].worked || (text == NULL) != (start->results[i] == NULL) ||
			(text != NULL && strcmp(text, start->results[i]) != 0))
			return false;
	}
	return true;
}

static void
start_row(WfChunk *chunk, WfBatch *batch, const WfRowStart *start)
{
	WfAttached *item = start->item;
	WfIssued	issued;
	WfStart		wanted;
	WfInstance *instance;

	redeem(chunk, start, &issued);
	if (start->refused)
		report_refused(chunk, start);
	wanted = (WfStart){.process = wf_process_get(item->row.process_id, issued.version),
					   .data = start->data,
					   .business_key = start->key,
					   .attachment = item->row.id,
					   .instance = issued.instance,
					   .visit = issued.visit,
					   .traceparent = wf_trace_given(),
					   .suspended = item->row.suspended};
	instance = wf_engine_start(batch, &wanted);
	if (item->row.replicated)
		instance->show_changed = wf_attachment_shows(&item->row);
	else
		instance->show_changed =
			(wf_attached_sets_columns(item) && (start->unmarked || !is_shown(item, instance, &issued))) ||
			!has_results(start, instance);
	chunk->started++;
}

static int
compare_living_instances(const void *a, const void *b)
{
	return strcmp(((const WfLivingKey *) a)->business_key, ((const WfLivingKey *) b)->business_key);
}

/* Find those of the keys that start no instance, since one is known already. */
static int
find_known(const WfChunk *chunk, const WfAttached *item, char **keys, int n, WfLivingKey **known)
{
	if (chunk->existing == 0)
		return wf_attachment_living(item->row.process_id, item->row.id, keys, n, known);
	if (chunk->remembered)
		return wf_attachment_known(item->row.process_id, item->row.id, keys, n, known);
	*known = NULL;
	return 0;
}

/* Find the instances that the rows take over, whose end is taken back if a row was deleted before; a worker may be faster. */
static int
find_taken(const WfChunk *chunk, const WfAttached *item, char **keys, int n, WfLivingKey **known)
{
	int	   nknown = find_known(chunk, item, keys, n, known);
	int64 *instances;

	if (nknown == 0 || chunk->existing != 0 || !item->row.on_delete)
		return nknown;
	instances = palloc(sizeof(int64) * nknown);
	for (int i = 0; i < nknown; i++)
		instances[i] = (*known)[i].instance;
	wf_row_deliveries_withdraw(instances, nknown);
	return find_known(chunk, item, keys, n, known);
}

/* What the row that was inserted brings, but for what attach keeps. */
static Jsonb *
brought(const WfChunk *chunk, const WfRowStart *start)
{
	TupleDesc desc = RelationGetDescr(chunk->rel);
	bool	 *wanted = palloc(sizeof(bool) * desc->natts);

	for (int i = 0; i < desc->natts; i++)
		wanted[i] = !TupleDescAttr(desc, i)->attisdropped && !chunk->table->kept[i];
	return wf_attached_pick(start->data, desc, wanted);
}

/*
 * The row that was inserted has an instance already, which it shows. A row of that key was there before: if it was deleted,
 * it is there again, and if it was another one, that has changed.
 */
static void
take_known(const WfChunk *chunk, const WfRowStart *start, const WfLivingKey *known, TimestampTz now)
{
	const WfAttachment *row = &start->item->row;
	WfRowEffect			effect = {.instance = known->instance};

	if (row->on_update)
	{
		effect.changes = brought(chunk, start);
		wf_row_deliveries_add(&effect, 1);
	}
	if (wf_attachment_shows(row))
		wf_attachment_write_back(known->instance, row->id, now);
}

/*
 * Start the instances of one attachment. Where the key has a living instance, none is started, and
 * the row shows that one.
 */
static void
start_item(WfChunk *chunk, WfBatch *batch, WfAttached *item)
{
	char	   **keys = palloc(sizeof(char *) * Max(chunk->n, 1));
	WfLivingKey *known;
	int			 nkeys = 0;
	int			 nknown;

	for (int i = 0; i < chunk->n; i++)
		if (chunk->starts[i].item == item)
			keys[nkeys++] = chunk->starts[i].key;
	if (nkeys == 0)
		return;
	nknown = find_taken(chunk, item, keys, nkeys, &known);
	for (int i = 0; i < chunk->n; i++)
	{
		WfRowStart	*start = &chunk->starts[i];
		WfLivingKey	 wanted = {.business_key = start->key};
		WfLivingKey *found;

		if (start->item != item)
			continue;
		found = nknown > 0 ? bsearch(&wanted, known, nknown, sizeof(WfLivingKey), compare_living_instances) : NULL;
		if (found == NULL)
			start_row(chunk, batch, start);
		else if (chunk->existing == 0)
			take_known(chunk, start, found, batch->now);
	}
}

static void
describe_start(void *arg)
{
	const WfChunk *chunk = arg;

	errcontext("processes started by rows of table \"%s\"", RelationGetRelationName(chunk->rel));
}

void
wf_chunk_start(WfChunk *chunk)
{
	ErrorContextCallback context = {.callback = describe_start, .arg = chunk, .previous = error_context_stack};
	MemoryContext		 caller = CurrentMemoryContext;
	WfAccess			 access;
	WfBatch				*batch;

	if (chunk->n == 0)
		return;
	error_context_stack = &context;
	wf_store_enter(&access);
	if (!chunk->allowed)
		require_owner_may_start(chunk);
	batch = wf_batch_begin();
	batch->by_call = true;
	for (int i = 0; i < chunk->table->n; i++)
		start_item(chunk, batch, &chunk->table->items[i]);
	wf_batch_flush(batch);
	wf_batch_end(batch);
	wf_store_leave(&access);
	MemoryContextSwitchTo(caller);
	error_context_stack = context.previous;
}
