/*
 * message_start.c
 *		Messages that start an instance: which processes start on one, and what such an instance begins with.
 *
 * What latest versions list in "start_on" is in a table of its own, so that a sender finds it by one index probe. It is read
 * together with the number of the latest version: whoever meets a new one sees both, or neither.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "model/event_document.h"
#include "model/issue.h"
#include "shmem/settings.h"
#include "shmem/wakeups.h"
#include "store/business_key.h"
#include "store/delivery.h"
#include "store/event_delivery.h"
#include "store/executor_work.h"
#include "store/message_start.h"
#include "store/played.h"
#include "store/privilege.h"
#include "store/query.h"

/* So many processes are named in an error. */
#define MOST_NAMED 5

static WfQuery q_delete = {
	.sql = "DELETE FROM workflow_data.message_start WHERE process_id = $1",
	.nargs = 1,
	.argtypes = {INT4OID},
};
static WfQuery q_insert = {
	.sql = "INSERT INTO workflow_data.message_start (process_id, entry, name, key, keyed) "
		   "VALUES ($1, $2, $3, coalesce($4, ''), $4 IS NOT NULL)",
	.nargs = 4,
	.argtypes = {INT4OID, INT4OID, TEXTOID, TEXTOID},
};
static WfQuery q_find = {
	.sql = "SELECT s.process_id, s.entry, p.latest, p.suspended FROM workflow_data.message_start s "
		   "JOIN workflow_data.process p USING (process_id) "
		   "WHERE s.name = $1 AND s.key = coalesce($2, '') AND s.keyed = ($2 IS NOT NULL) AND p.latest <> 0 "
		   "AND ($3 = 0 OR s.process_id = $3) ORDER BY s.process_id",
	.nargs = 3,
	.argtypes = {TEXTOID, TEXTOID, INT4OID},
};
static WfQuery q_queue = {
	.sql = "INSERT INTO workflow_data.delivery (instance, visit, kind, queue, due_at, subscription, payload) "
		   "VALUES (0, 0, '" WF_DELIVERY_START "', $1, $2, $3, $4) RETURNING delivery",
	.nargs = 4,
	.argtypes = {TEXTOID, TIMESTAMPTZOID, INT8OID, JSONBOID},
};

/* ---- what versions list ---- */

void
wf_message_starts_store(int process_id, const WfDefinition *def)
{
	Datum values[4] = {Int32GetDatum(process_id)};

	wf_query_run(&q_delete, values, NULL);
	if (def == NULL || def->nstarts == 0)
		return;
	for (int i = 0; i < def->nstarts; i++)
	{
		const WfStartOn *on = &def->starts[i];
		char			 nulls[4] = {' ', ' ', ' ', on->key != NULL ? ' ' : 'n'};

		if (on->message == NULL)
			continue;
		values[1] = Int32GetDatum(i + 1);
		values[2] = CStringGetTextDatum(on->message);
		values[3] = on->key != NULL ? CStringGetTextDatum(on->key) : (Datum) 0;
		wf_query_run(&q_insert, values, nulls);
	}
	wf_wakeup_message(1); /* some may be kept that it starts on */
}

/* ---- who starts ---- */

static uint64
run_find(const WfMessage *message, int process_id)
{
	Datum values[3] = {CStringGetTextDatum(message->name),
					   message->key != NULL ? CStringGetTextDatum(message->key) : (Datum) 0, Int32GetDatum(process_id)};

	return wf_query_run(&q_find, values, message->key != NULL ? NULL : " n ");
}

int
wf_message_starts(const WfMessage *message, Oid role, int process_id, WfMessageStart **starts)
{
	uint64		   rows;
	SPITupleTable *table;
	int			   n = 0;
	bool		   isnull;

	*starts = NULL;
	if (message->instance != 0 || !OidIsValid(role) || (rows = run_find(message, process_id)) == 0)
		return 0;
	table = SPI_tuptable;
	*starts = palloc0(sizeof(WfMessageStart) * rows);
	for (uint64 i = 0; i < rows; i++)
	{
		HeapTuple row = table->vals[i];
		int		  process = DatumGetInt32(SPI_getbinval(row, table->tupdesc, 1, &isnull));
		int		  entry = DatumGetInt32(SPI_getbinval(row, table->tupdesc, 2, &isnull));
		int		  latest = DatumGetInt32(SPI_getbinval(row, table->tupdesc, 3, &isnull));

		if (!wf_privilege_has(process, role, WF_PRIVILEGE_START))
			continue;
		(*starts)[n].process = wf_process_get(process, latest);
		(*starts)[n].on = &(*starts)[n].process->def->starts[entry - 1];
		(*starts)[n].suspended = DatumGetBool(SPI_getbinval(row, table->tupdesc, 4, &isnull));
		n++;
	}
	SPI_freetuptable(table);
	return n;
}

char *
wf_message_starts_text(const WfMessageStart *starts, int n)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < Min(n, MOST_NAMED); i++)
		appendStringInfo(&text, "%s\"%s\"", i > 0 ? ", " : "", starts[i].process->name);
	if (n > MOST_NAMED)
		appendStringInfoString(&text, ", ...");
	return text.data;
}

/* ---- what an instance begins with ---- */

/* Fill *fault, as wf_fault does; its SQLSTATE is the one that a caller is told. */
static bool
unfit(WfFault *fault, int sqlerrcode, const char *message)
{
	*fault = (WfFault){.code = WF_CODE_SEND, .message = message};
	strlcpy(fault->sqlstate, unpack_sql_state(sqlerrcode), sizeof(fault->sqlstate));
	return false;
}

static bool
data_fit(const WfMessageStart *start, Jsonb *data, WfFault *fault)
{
	if (VARSIZE(data) <= (Size) wf_setting_max_data * 1024)
		return true;
	return unfit(
		fault, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
		psprintf("an instance of process \"%s\" would begin with %zu bytes of data, more than workflow.max_data allows",
				 start->process->name, (Size) VARSIZE(data)));
}

/* Work out the business key. Returns NULL, or why there is none. */
static const char *
work_out_key(WfMessageStart *start, const WfVariables *variables)
{
	WfFault	   fault = {0};
	Jsonb	  *key = wf_template_jsonb(start->on->business_key, variables, &fault);
	JsonbValue value;

	if (key == NULL)
		return fault.message;
	start->business_key = JsonbExtractScalar(&key->root, &value) ? wf_jsonb_scalar_text(&value) : NULL;
	if (start->business_key == NULL)
		return "it has to be a string, a number or a boolean";
	if (strlen(start->business_key) > WF_MAX_BUSINESS_KEY)
		return psprintf("it has more than %d bytes", WF_MAX_BUSINESS_KEY);
	return NULL;
}

bool
wf_message_start_work_out_key(WfMessageStart *start, const WfVariables *variables, WfFault *fault)
{
	const char *problem = start->on->business_key != NULL ? work_out_key(start, variables) : NULL;

	if (problem == NULL)
		return true;
	return unfit(fault, ERRCODE_INVALID_PARAMETER_VALUE,
				 psprintf("the business key of an instance of process \"%s\" cannot be made: %s", start->process->name,
						  problem));
}

static bool
key_fits(WfMessageStart *start, const WfMessage *message, Jsonb *data, WfFault *fault)
{
	WfEventDocument event = {.kind = "message",
							 .name = message->name,
							 .key = message->key,
							 .data = message->data,
							 .role = message->role_name,
							 .at = message->sent_at,
							 .timezone = start->process->timezone};
	WfVariables		variables = {.data = data,
								 .timezone = start->process->timezone,
								 .process = start->process->name,
								 .event = wf_event_document_make(&event),
								 .index = -1};

	return wf_message_start_work_out_key(start, &variables, fault);
}

static Jsonb *
first_data(const WfMessageStart *start, const WfMessage *message)
{
	Jsonb *data = start->process->def->data;

	return message->data != NULL ? wf_jsonb_merge(data, message->data) : data;
}

bool
wf_message_start_takes(const WfMessageStart *start, const WfMessage *message, WfFault *fault)
{
	if (message->data != NULL && !JB_ROOT_IS_OBJECT(message->data))
		return unfit(fault, ERRCODE_INVALID_PARAMETER_VALUE,
					 psprintf("its data become those of an instance of process \"%s\", so they must be an object",
							  start->process->name));
	return data_fit(start, first_data(start, message), fault);
}

bool
wf_message_start_prepare(WfMessageStart *start, const WfMessage *message, WfFault *fault)
{
	return wf_message_start_takes(start, message, fault) &&
		   (start->on->business_key == NULL || key_fits(start, message, first_data(start, message), fault));
}

bool
wf_message_start_is_free(const WfMessageStart *start, WfFault *fault)
{
	int64 living =
		start->business_key != NULL ? wf_business_key_living(start->process->process_id, start->business_key) : 0;

	if (living == 0)
		return true;
	return unfit(fault, ERRCODE_UNIQUE_VIOLATION,
				 psprintf("process \"%s\" has a living instance with business key \"%s\" already: " INT64_FORMAT,
						  start->process->name, wf_issue_clip(start->business_key), living));
}

/* ---- by an executor ---- */

void
wf_message_start_queue(const WfMessageStart *start, const WfMessage *message)
{
	WfReceiver	receiver = {.subscription = WF_SUBSCRIPTION_NONE, .process_id = start->process->process_id};
	TimestampTz now = wf_now();
	Datum values[4] = {CStringGetTextDatum(wf_executor_queue(start->process->process_id)), TimestampTzGetDatum(now),
					   Int64GetDatum(WF_SUBSCRIPTION_NONE),
					   JsonbPGetDatum(wf_event_delivery_payload(false, message, &receiver))};

	wf_query_run(&q_queue, values, NULL);
	wf_play_delivery(wf_result_int64(0, 1));
	wf_wakeup_due(WF_QUEUE_EXECUTOR, now);
}
