/*
 * columns.c
 *		The columns of the tables `visit` and `instance`.
 *
 * Columns are read in the order in which they stand here: `step` finds the definition that
 * `clock_times` needs.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "store/batch.h"
#include "store/columns.h"
#include "store/data_cache.h"

/* ---- how fields become values ---- */

static Datum
write_int8(const void *row, const void *field, bool *isnull)
{
	return Int64GetDatum(*(const int64 *) field);
}

static void
read_int8(void *row, void *field, Datum value)
{
	*(int64 *) field = DatumGetInt64(value);
}

static Datum
write_int4(const void *row, const void *field, bool *isnull)
{
	return Int32GetDatum(*(const int *) field);
}

static void
read_int4(void *row, void *field, Datum value)
{
	*(int *) field = DatumGetInt32(value);
}

static Datum
write_count(const void *row, const void *field, bool *isnull)
{
	*isnull = *(const int *) field == 0;
	return write_int4(row, field, isnull);
}

static Datum
write_bool(const void *row, const void *field, bool *isnull)
{
	return BoolGetDatum(*(const bool *) field);
}

static void
read_bool(void *row, void *field, Datum value)
{
	*(bool *) field = DatumGetBool(value);
}

static Datum
write_time(const void *row, const void *field, bool *isnull)
{
	*isnull = *(const TimestampTz *) field == 0;
	return TimestampTzGetDatum(*(const TimestampTz *) field);
}

static void
read_time_field(void *row, void *field, Datum value)
{
	*(TimestampTz *) field = DatumGetTimestampTz(value);
}

static Datum
text_datum(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text != NULL ? CStringGetTextDatum(text) : (Datum) 0;
}

static Datum
write_text(const void *row, const void *field, bool *isnull)
{
	return text_datum(*(const char *const *) field, isnull);
}

static void
read_text_field(void *row, void *field, Datum value)
{
	*(char **) field = TextDatumGetCString(value);
}

static Datum
write_jsonb(const void *row, const void *field, bool *isnull)
{
	*isnull = *(Jsonb *const *) field == NULL;
	return JsonbPGetDatum(*(Jsonb *const *) field);
}

static void
read_jsonb(void *row, void *field, Datum value)
{
	*(Jsonb **) field = DatumGetJsonbPCopy(value);
}

static void
read_data(void *row, void *field, Datum value)
{
	*(Jsonb **) field = wf_data_cache_read(value);
}

static Datum
write_uuid(const void *row, const void *field, bool *isnull)
{
	return UUIDPGetDatum((pg_uuid_t *) field);
}

static void
read_uuid(void *row, void *field, Datum value)
{
	memcpy(field, DatumGetUUIDP(value), sizeof(pg_uuid_t));
}

static Datum
write_status(const void *row, const void *field, bool *isnull)
{
	return text_datum(wf_status_name(*(const WfStatus *) field), isnull);
}

static void
read_status(void *row, void *field, Datum value)
{
	*(WfStatus *) field = wf_status_from_name(TextDatumGetCString(value));
}

static Datum
write_state(const void *row, const void *field, bool *isnull)
{
	return text_datum(wf_state_name(*(const WfState *) field), isnull);
}

static void
read_state(void *row, void *field, Datum value)
{
	*(WfState *) field = wf_state_from_name(TextDatumGetCString(value));
}

static Datum
write_outcome(const void *row, const void *field, bool *isnull)
{
	return text_datum(wf_outcome_name(*(const WfOutcome *) field), isnull);
}

static void
read_outcome(void *row, void *field, Datum value)
{
	*(WfOutcome *) field = wf_outcome_from_name(TextDatumGetCString(value));
}

static Datum
write_phase(const void *row, const void *field, bool *isnull)
{
	return text_datum(wf_cancel_phase_name(*(const WfCancelPhase *) field), isnull);
}

static void
read_phase(void *row, void *field, Datum value)
{
	*(WfCancelPhase *) field = wf_cancel_phase_from_name(TextDatumGetCString(value));
}

static Datum
write_waits_for(const void *row, const void *field, bool *isnull)
{
	return text_datum(wf_waits_for_name(*(const WfWaitsFor *) field), isnull);
}

static void
read_waits_for(void *row, void *field, Datum value)
{
	*(WfWaitsFor *) field = wf_waits_for_from_name(TextDatumGetCString(value));
}

static const WfCodec int8_codec = {INT8OID, write_int8, read_int8};
static const WfCodec int4_codec = {INT4OID, write_int4, read_int4};
static const WfCodec count_codec = {INT4OID, write_count, read_int4}; /* NULL is 0 */
static const WfCodec bool_codec = {BOOLOID, write_bool, read_bool};
static const WfCodec time_codec = {TIMESTAMPTZOID, write_time, read_time_field}; /* NULL is 0 */
static const WfCodec text_codec = {TEXTOID, write_text, read_text_field};
static const WfCodec jsonb_codec = {JSONBOID, write_jsonb, read_jsonb};
static const WfCodec data_codec = {JSONBOID, write_jsonb, read_data};
static const WfCodec uuid_codec = {UUIDOID, write_uuid, read_uuid};
static const WfCodec status_codec = {TEXTOID, write_status, read_status};
static const WfCodec state_codec = {TEXTOID, write_state, read_state};
static const WfCodec outcome_codec = {TEXTOID, write_outcome, read_outcome};
static const WfCodec phase_codec = {TEXTOID, write_phase, read_phase};
static const WfCodec waits_for_codec = {TEXTOID, write_waits_for, read_waits_for};

/* For what is only written. */
static const WfCodec end_codec = {TIMESTAMPTZOID, write_time, NULL};
static const WfCodec progress_codec = {JSONBOID, write_jsonb, NULL};

/* ---- tokens ---- */

static Datum
write_number(const void *row, const void *field, bool *isnull)
{
	*isnull = *(const int64 *) field == 0;
	return write_int8(row, field, isnull);
}

static Datum
write_mark(const void *row, const void *field, bool *isnull)
{
	*isnull = !*(const bool *) field;
	return write_bool(row, field, isnull);
}

static Datum
write_ending(const void *row, const void *field, bool *isnull)
{
	*isnull = *(const WfStatus *) field == WF_STATUS_ACTIVE;
	return *isnull ? (Datum) 0 : write_status(row, field, isnull);
}

static Datum
write_slots(const void *row, const void *field, bool *isnull)
{
	const WfSlots *slots = field;
	Datum		  *elems;

	*isnull = slots->n == 0;
	if (*isnull)
		return (Datum) 0;
	elems = palloc(sizeof(Datum) * slots->n);
	for (int i = 0; i < slots->n; i++)
		elems[i] = Int32GetDatum(slots->slots[i]);
	return PointerGetDatum(construct_array(elems, slots->n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

static void
read_slots(void *row, void *field, Datum value)
{
	WfSlots *slots = field;
	Datum	*elems;

	deconstruct_array(DatumGetArrayTypeP(value), INT4OID, sizeof(int32), true, TYPALIGN_INT, &elems, NULL, &slots->n);
	slots->slots = palloc(sizeof(int) * slots->n);
	for (int i = 0; i < slots->n; i++)
		slots->slots[i] = DatumGetInt32(elems[i]);
}

/* The numbers of each join: standing, arrived, upstream. */
#define NUMBERS_OF_JOIN (sizeof(WfJoinCount) / sizeof(int64))

static Datum
write_joins(const void *row, const void *field, bool *isnull)
{
	const WfTokens *tokens = field;
	const int64	   *numbers = (const int64 *) tokens->joins;
	int				n = tokens->njoins * NUMBERS_OF_JOIN;
	Datum		   *elems;

	*isnull = true;
	for (int i = 0; i < n && *isnull; i++)
		*isnull = numbers[i] == 0;
	if (*isnull)
		return (Datum) 0;
	elems = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
		elems[i] = Int64GetDatum(numbers[i]);
	return PointerGetDatum(construct_array(elems, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static void
read_joins(void *row, void *field, Datum value)
{
	WfTokens *tokens = field;
	Datum	 *elems;
	int64	 *numbers;
	int		  n;

	deconstruct_array(DatumGetArrayTypeP(value), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elems, NULL,
					  &n);
	tokens->njoins = n / NUMBERS_OF_JOIN;
	tokens->joins = palloc(sizeof(WfJoinCount) * Max(tokens->njoins, 1));
	numbers = (int64 *) tokens->joins;
	for (int i = 0; i < tokens->njoins * (int) NUMBERS_OF_JOIN; i++)
		numbers[i] = DatumGetInt64(elems[i]);
}

static Datum
write_item(const void *row, const void *field, bool *isnull)
{
	*isnull = *(const int *) field == WF_NO_ITEM;
	return write_int4(row, field, isnull);
}

/* The numbers of items: how many, begun, stuck, given. */
#define NUMBERS_OF_ITEMS (sizeof(WfItemCounts) / sizeof(int64))

static Datum
write_item_counts(const void *row, const void *field, bool *isnull)
{
	const int64 *numbers = field;
	Datum		 elems[NUMBERS_OF_ITEMS];

	*isnull = true;
	for (int i = 0; i < (int) NUMBERS_OF_ITEMS; i++)
	{
		*isnull &= numbers[i] == 0;
		elems[i] = Int64GetDatum(numbers[i]);
	}
	if (*isnull)
		return (Datum) 0;
	return PointerGetDatum(
		construct_array(elems, NUMBERS_OF_ITEMS, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static void
read_item_counts(void *row, void *field, Datum value)
{
	int64 *numbers = field;
	Datum *elems;
	int	   n;

	deconstruct_array(DatumGetArrayTypeP(value), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elems, NULL,
					  &n);
	for (int i = 0; i < Min(n, (int) NUMBERS_OF_ITEMS); i++)
		numbers[i] = DatumGetInt64(elems[i]);
}

static const WfCodec item_codec = {INT4OID, write_item, read_int4}; /* NULL is WF_NO_ITEM */
static const WfCodec item_counts_codec = {INT8ARRAYOID, write_item_counts, read_item_counts};
static const WfCodec number_codec = {INT8OID, write_number, read_int8}; /* NULL is 0 */
static const WfCodec mark_codec = {BOOLOID, write_mark, read_bool};		/* NULL is false */
static const WfCodec ending_codec = {TEXTOID, write_ending, read_status};
static const WfCodec slots_codec = {INT4ARRAYOID, write_slots, read_slots};
static const WfCodec joins_codec = {INT8ARRAYOID, write_joins, read_joins};

/* ---- columns of instances ---- */

static Datum
write_process(const void *row, const void *field, bool *isnull)
{
	return Int32GetDatum(((const WfInstance *) row)->process->process_id);
}

static Datum
write_version(const void *row, const void *field, bool *isnull)
{
	return Int32GetDatum(((const WfInstance *) row)->process->version);
}

/* The process and version that are read tell which WfProcess to look up. */
static const WfCodec process_codec = {INT4OID, write_process, read_int4};
static const WfCodec version_codec = {INT4OID, write_version, read_int4};

#define I(field) offsetof(WfInstance, field)
static const WfTableColumn instance_columns[] = {
	{"instance", &int8_codec, I(id), WF_KEY, "instance"},
	{"process_id", &process_codec, I(process_id), WF_STORED_ONCE, "process_id"},
	{"version", &version_codec, I(version), WF_STORED, "version"},
	{"attachment", &int4_codec, I(attachment), WF_STORED_ONCE, "attachment"},
	{"tokens", &int4_codec, I(tokens.n), WF_STORED},
	{"incidents", &int4_codec, I(incidents), WF_STORED},
	{"joins", &joins_codec, I(tokens), WF_STORED},
	{"reached_end", &mark_codec, I(tokens.reached_end), WF_STORED},
	{"with_caller", &mark_codec, I(with_caller), WF_STORED},
	{"asked", &mark_codec, I(asked), WF_STORED},
	{"ending", &ending_codec, I(ending), WF_STORED},
	{"started_at", &time_codec, I(started_at), WF_STORED_ONCE, "started_at"},
	{"status", &status_codec, I(status), WF_STORED, "status"},
	{"business_key", &text_codec, I(business_key), WF_STORED_ONCE, "business_key"},
	{"cancel_reason", &text_codec, I(cancel_reason), WF_STORED},
	{"parent", &number_codec, I(parent), WF_STORED_ONCE, "parent"},
	{"parent_visit", &number_codec, I(parent_visit), WF_STORED_ONCE, "parent_visit"},
	{"root", &number_codec, I(root), WF_STORED_ONCE, "root"},
	{"depth", &count_codec, I(depth), WF_STORED_ONCE},
	{"rerun_of", &number_codec, I(rerun_of), WF_STORED_ONCE, "rerun_of"},
	{"traceparent", &text_codec, I(traceparent), WF_STORED_ONCE, "traceparent"},
	{"migrations", &jsonb_codec, I(migrations), WF_STORED, "migrations"},
	{"error", &jsonb_codec, I(error), WF_STORED, "error"},
	{"cookies", &jsonb_codec, I(cookies), WF_STORED_IF_CHANGED, NULL, I(cookies_changed)},
	{"data", &data_codec, I(data), WF_STORED_IF_CHANGED, "data", I(data_changed)},
	{"ended_at", &end_codec, I(ended_at), WF_STORED_NOT, "ended_at"},
};

/* ---- columns of visits ---- */

static Datum
write_visit_instance(const void *row, const void *field, bool *isnull)
{
	return Int64GetDatum(((const WfVisit *) row)->instance->id);
}

static Datum
write_visit_process(const void *row, const void *field, bool *isnull)
{
	return Int32GetDatum(((const WfVisit *) row)->instance->process->process_id);
}

static Datum
write_next_timer(const void *row, const void *field, bool *isnull)
{
	TimestampTz alarm = wf_batch_next_timer(row);

	return write_time(row, &alarm, isnull);
}

/* Read the name of the step, and find the step of that name in the process. */
static void
read_step_name(void *row, void *field, Datum value)
{
	WfVisit *visit = row;
	int		 step;

	visit->step = TextDatumGetCString(value);
	step = wf_definition_step(visit->instance->process->def, visit->step);
	visit->def = step >= 0 ? &visit->instance->process->def->steps[step] : NULL;
}

static Datum
write_accepted(const void *row, const void *field, bool *isnull)
{
	*isnull = !wf_has_accepted(row);
	return write_int4(row, field, isnull);
}

static Datum
write_clock_times(const void *row, const void *field, bool *isnull)
{
	const WfVisit	  *visit = row;
	const TimestampTz *times = visit->clocks.clock_times;
	int				   n = times != NULL ? wf_step_nclocks(visit->def) : 0;
	int				   lower = 1;
	Datum			  *elems;
	bool			  *nulls;

	*isnull = times == NULL;
	if (times == NULL)
		return (Datum) 0;
	elems = palloc(sizeof(Datum) * n);
	nulls = palloc(sizeof(bool) * n);
	for (int i = 0; i < n; i++)
	{
		elems[i] = TimestampTzGetDatum(times[i]);
		nulls[i] = times[i] == 0;
	}
	return PointerGetDatum(construct_md_array(elems, nulls, 1, &n, &lower, TIMESTAMPTZOID, sizeof(TimestampTz),
											  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static void
read_clock_times(void *row, void *field, Datum value)
{
	WfVisit *visit = row;
	Datum	*elems;
	bool	*nulls;
	int		 n;

	if (visit->def == NULL)
		return;
	deconstruct_array(DatumGetArrayTypeP(value), TIMESTAMPTZOID, sizeof(TimestampTz), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &elems, &nulls, &n);
	/* it may turn out to be an item of that step, which has others: wf_batch_load_visits */
	visit->clocks.clock_times = palloc0(sizeof(TimestampTz) * Max(wf_step_nclocks(visit->def), Max(n, 1)));
	for (int i = 0; i < n; i++)
		visit->clocks.clock_times[i] = nulls[i] ? 0 : DatumGetTimestampTz(elems[i]);
}

static void
read_nothing(void *row, void *field, Datum value)
{
}

/* The instance and its process are known before the row is read; next_timer is only written. */
static const WfCodec visit_instance_codec = {INT8OID, write_visit_instance, read_nothing};
static const WfCodec visit_process_codec = {INT4OID, write_visit_process, NULL};
static const WfCodec next_timer_codec = {TIMESTAMPTZOID, write_next_timer, NULL};

/* What is there is known from the row, until something else is kept. */
static void
read_kept(void *row, void *field, Datum value)
{
	WfVisit *visit = row;

	visit->kept.has_row = visit->kept.had_row = DatumGetBool(value);
}

static const WfCodec kept_codec = {BOOLOID, write_mark, read_kept}; /* NULL is false */
static const WfCodec step_codec = {TEXTOID, write_text, read_step_name};
static const WfCodec accepted_codec = {INT4OID, write_accepted, read_int4};
static const WfCodec clock_times_codec = {TIMESTAMPTZARRAYOID, write_clock_times, read_clock_times};

#define V(field)   offsetof(WfVisit, field)
#define DOCUMENT   WF_STORED_IF_CHANGED
#define IF_CHANGED V(docs.changed)
#define PLACE	   WF_STORED_IF_CHANGED
#define IF_PLACED  V(place_changed)
static const WfTableColumn visit_columns[] = {
	{"instance", &visit_instance_codec, 0, WF_KEY, "instance"},
	{"visit", &int8_codec, V(id), WF_KEY, "visit"},
	{"scope", &number_codec, V(scope_id), PLACE, "scope", IF_PLACED},
	{"item", &item_codec, V(item), WF_STORED_ONCE, "item"},
	{"child", &number_codec, V(child), WF_STORED, "child"},
	{"begun_by", &jsonb_codec, V(begun_by), WF_STORED_ONCE, "begun_by"},
	{"due_at", &time_codec, V(due_at), WF_STORED},
	{"deadline", &time_codec, V(clocks.deadline), WF_STORED},
	{"entered_at", &time_codec, V(entered_at), WF_STORED_ONCE, "entered_at"},
	{"waiting_since", &time_codec, V(waiting_since), WF_STORED},
	{"heartbeat_deadline", &time_codec, V(clocks.heartbeat_deadline), WF_STORED},
	{"next_handler", &time_codec, V(clocks.next_handler), WF_STORED},
	{"next_interrupt", &time_codec, V(clocks.next_interrupt), WF_STORED},
	{"warn_at", &time_codec, V(clocks.warn_at), WF_STORED},
	{"next_timer", &next_timer_codec, 0, WF_STORED},
	{"attempt", &int4_codec, V(attempt), WF_STORED, "attempts"},
	{"steps_without_wait", &int4_codec, V(steps_without_wait), WF_STORED},
	{"process_id", &visit_process_codec, 0, WF_STORED_ONCE, "process_id"},
	{"accepted", &accepted_codec, V(accepted), WF_STORED},
	{"suspended", &bool_codec, V(suspended), WF_STORED},
	{"again", &mark_codec, V(again), WF_STORED},
	{"webhook", &bool_codec, V(webhook), WF_STORED, "webhook"},
	{"on_behalf", &kept_codec, V(kept.has_row), WF_STORED},
	{"key", &uuid_codec, V(key), WF_STORED},
	{"state", &state_codec, V(state), WF_STORED},
	{"step", &step_codec, V(step), PLACE, "step", IF_PLACED},
	{"queue", &text_codec, V(queue), WF_STORED},
	{"waits_for", &waits_for_codec, V(waits_for), WF_STORED},
	{"outcome", &outcome_codec, V(outcome), WF_STORED, "outcome"},
	{"cancel_outcome", &outcome_codec, V(cancel.outcome), WF_STORED},
	{"cancel_phase", &phase_codec, V(cancel.phase), WF_STORED},
	{"completed_by", &text_codec, V(completed_by), WF_STORED, "completed_by"},
	{"cancel_handler", &count_codec, V(cancel.handler), WF_STORED},
	{"clock_times", &clock_times_codec, 0, WF_STORED},
	{"late", &slots_codec, V(late), WF_STORED},
	{"tokens", &count_codec, V(tokens.n), WF_STORED},
	{"joins", &joins_codec, V(tokens), WF_STORED},
	{"reached_end", &mark_codec, V(tokens.reached_end), WF_STORED},
	{"item_counts", &item_counts_codec, V(items), WF_STORED},
	{"local", &jsonb_codec, V(local), WF_STORED_IF_CHANGED, NULL, V(local_changed)},
	{"reply", &jsonb_codec, V(docs.reply), DOCUMENT, NULL, IF_CHANGED},
	{"callback", &jsonb_codec, V(docs.callback), DOCUMENT, NULL, IF_CHANGED},
	{"callback_error", &jsonb_codec, V(docs.callback_error), DOCUMENT, NULL, IF_CHANGED},
	{"event", &jsonb_codec, V(docs.event), DOCUMENT, NULL, IF_CHANGED},
	{"cancel_response", &jsonb_codec, V(cancel.response), DOCUMENT, NULL, IF_CHANGED},
	{"caught", &jsonb_codec, V(caught), WF_STORED_IF_CHANGED, NULL, V(caught_changed)},
	{"error", &jsonb_codec, V(error), WF_STORED},
	{"result", &jsonb_codec, V(docs.result), DOCUMENT, "result", IF_CHANGED},
	{"progress", &progress_codec, V(progress), WF_STORED_IF_GIVEN},
	{"ended_at", &end_codec, V(ended_at), WF_STORED_NOT, "ended_at"},
};

WfTable wf_visit_table = {"visit", visit_columns, lengthof(visit_columns), 2};
WfTable wf_instance_table = {"instance", instance_columns, lengthof(instance_columns), 1};

StaticAssertDecl(lengthof(visit_columns) < WF_MAX_COLUMNS && lengthof(instance_columns) < WF_MAX_COLUMNS,
				 "a row has room for all columns");

/* ---- the tables ---- */

static bool
is_updated(const WfTableColumn *column)
{
	return column->stored == WF_STORED || column->stored == WF_STORED_IF_CHANGED ||
		   column->stored == WF_STORED_IF_GIVEN;
}

static void
prepare(WfTable *table)
{
	WfRelationColumn *stored = MemoryContextAlloc(TopMemoryContext, sizeof(WfRelationColumn) * table->ncolumns);
	WfRelationColumn *history = MemoryContextAlloc(TopMemoryContext, sizeof(WfRelationColumn) * (table->ncolumns + 1));
	int				  nstored = 0;
	int				  nhistory = 0;

	for (int i = 0; i < table->ncolumns; i++)
	{
		const WfTableColumn *column = &table->columns[i];

		if (column->stored != WF_STORED_NOT)
			stored[nstored++] = (WfRelationColumn){column->name, column->codec->type, is_updated(column)};
		if (column->history != NULL)
			history[nhistory++] = (WfRelationColumn){column->history, column->codec->type};
	}
	history[nhistory++] = (WfRelationColumn){"stored_at", TIMESTAMPTZOID};
	table->stored = (WfRelationColumns){stored, nstored};
	table->history = (WfRelationColumns){history, nhistory};
}

void
wf_columns_prepare(void)
{
	if (wf_instance_table.stored.n > 0)
		return;
	prepare(&wf_visit_table);
	prepare(&wf_instance_table);
}

/* ---- reading ---- */

void
wf_table_read(const WfTable *table, void *row, WfRelation *rel)
{
	for (int i = 0; i < table->stored.n; i++)
	{
		const WfTableColumn *column = &table->columns[i];
		Datum				 value;
		bool				 isnull;

		if (column->codec->read == NULL)
			continue;
		value = wf_relation_value(rel, i, &isnull);
		if (!isnull)
			column->codec->read(row, (char *) row + column->offset, value);
	}
}

size_t
wf_table_external(const WfTable *table, WfRelation *rel)
{
	size_t bytes = 0;

	for (int i = 0; i < table->stored.n; i++)
	{
		Datum value;
		bool  isnull;

		if (table->columns[i].codec->read == NULL || table->columns[i].codec->type != JSONBOID)
			continue;
		value = wf_relation_value(rel, i, &isnull);
		if (!isnull)
			bytes += toast_raw_datum_size(value);
	}
	return bytes;
}

/* ---- writing ---- */

static void
put(const WfTableColumn *column, const void *row, WfRowValues *values, int at)
{
	values->nulls[at] = false;
	values->values[at] = column->codec->write(row, (const char *) row + column->offset, &values->nulls[at]);
}

void
wf_table_new_row(const WfTable *table, const void *row, WfRowValues *values)
{
	for (int i = 0; i < table->stored.n; i++)
		put(&table->columns[i], row, values, i);
}

/* Does an update change the column? */
static bool
changes(const WfTableColumn *column, const void *row)
{
	if (column->stored == WF_STORED_IF_CHANGED)
		return *(const bool *) ((const char *) row + column->flag_offset);
	return column->stored == WF_STORED || column->stored == WF_STORED_IF_GIVEN;
}

void
wf_table_changed_row(const WfTable *table, const void *row, WfRowValues *values)
{
	for (int i = 0; i < table->stored.n; i++)
	{
		const WfTableColumn *column = &table->columns[i];

		values->given[i] = changes(column, row);
		if (!values->given[i])
			continue;
		put(column, row, values, i);
		values->given[i] = column->stored != WF_STORED_IF_GIVEN || !values->nulls[i];
	}
}

void
wf_table_ended_row(const WfTable *table, const void *row, WfRowValues *values)
{
	int n = 0;

	for (int i = 0; i < table->ncolumns; i++)
	{
		const WfTableColumn *column = &table->columns[i];

		if (column->history == NULL)
			continue;
		put(column, row, values, n);
		/* stored_at is the time of the end */
		if (strcmp(column->history, "ended_at") == 0)
		{
			values->values[table->history.n - 1] = values->values[n];
			values->nulls[table->history.n - 1] = values->nulls[n];
		}
		n++;
	}
}
