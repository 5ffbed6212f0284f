/*
 * broadcast.c
 *		Signals, and messages to very many: one row each, which the dispatcher takes to all that wait.
 *
 * The transaction that makes deliveries for some also says in the row how far it has come: so each gets it
 * once, whatever happens in between. A signal gets its number when it is taken up, after its commit: it
 * reaches all that waited by then, and none that begins to wait because of it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "shmem/wakeups.h"
#include "store/broadcast.h"
#include "store/event_delivery.h"
#include "store/privilege.h"
#include "store/query.h"

#define CHUNK		  256
#define MOST_TOGETHER 64				/* broadcasts in one transaction, which may have no receivers */
#define CHUNK_BYTES	  (4 * 1024 * 1024) /* of payloads, which the last one may exceed */

static WfQuery q_add = {
	.sql =
		"INSERT INTO workflow_data.broadcast (kind, name, key, instance, role, role_name, data, sent_at, steps, number) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE $1 WHEN 'message' THEN nextval('workflow_data.event_seq') END)",
	.nargs = 9,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID, INT8OID, OIDOID, NAMEOID, JSONBOID, TIMESTAMPTZOID, INT4OID},
};
static WfQuery q_first = {
	.sql =
		"SELECT broadcast, coalesce(number, nextval('workflow_data.event_seq')), position, kind, name, key, instance, role, "
		"role_name, sent_at, steps, data FROM workflow_data.broadcast ORDER BY broadcast LIMIT 1 FOR UPDATE",
};
static WfQuery q_advance = {
	.sql = "UPDATE workflow_data.broadcast SET number = $2, position = $3 WHERE broadcast = $1",
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, INT8OID},
};
static WfQuery q_delete = {
	.sql = "DELETE FROM workflow_data.broadcast WHERE broadcast = $1",
	.nargs = 1,
	.argtypes = {INT8OID},
};

int
wf_broadcast_chunk(const WfMessage *message)
{
	return (int) Max(1, Min(CHUNK, CHUNK_BYTES / wf_event_delivery_bytes(message)));
}

void
wf_broadcast_add(bool signal, const WfMessage *message)
{
	NameData role_name;
	Datum	 values[9] = {CStringGetTextDatum(signal ? "signal" : "message"),
						  CStringGetTextDatum(message->name),
						  message->key != NULL ? CStringGetTextDatum(message->key) : (Datum) 0,
						  Int64GetDatum(message->instance),
						  ObjectIdGetDatum(message->role),
						  NameGetDatum(&role_name),
						  JsonbPGetDatum(message->data),
						  TimestampTzGetDatum(message->sent_at),
						  Int32GetDatum(message->steps)};
	char	 nulls[9];

	memset(nulls, ' ', sizeof(nulls));
	nulls[2] = message->key != NULL ? ' ' : 'n';
	nulls[3] = message->instance != 0 ? ' ' : 'n';
	nulls[6] = message->data != NULL ? ' ' : 'n';
	namestrcpy(&role_name, message->role_name);
	wf_query_run(&q_add, values, nulls);
	wf_wakeup_broadcast();
}

/* A broadcast that was taken up. */
typedef struct Broadcast
{
	int64	  id;
	int64	  number;
	int64	  position;
	WfAddress address;
	WfMessage message;
} Broadcast;

static bool
read_first(Broadcast *first)
{
	WfMessage *message = &first->message;
	bool	   isnull;
	Datum	   data;

	memset(first, 0, sizeof(*first));
	if (wf_query_run(&q_first, NULL, NULL) == 0)
		return false;
	first->id = wf_result_int64(0, 1);
	first->number = wf_result_int64(0, 2);
	first->position = wf_result_int64(0, 3);
	message->name = wf_result_text(0, 5);
	message->key = wf_result_text(0, 6);
	message->instance = wf_result_int64(0, 7);
	message->role = DatumGetObjectId(wf_result(0, 8, &isnull));
	message->role_name = pstrdup(NameStr(*DatumGetName(wf_result(0, 9, &isnull))));
	message->sent_at = wf_result_int64(0, 10);
	message->steps = DatumGetInt32(wf_result(0, 11, &isnull));
	data = wf_result(0, 12, &isnull);
	if (!isnull)
		message->data = DatumGetJsonbPCopy(data);
	first->address = (WfAddress){.signal = strcmp(wf_result_text(0, 4), "signal") == 0,
								 .name = message->name,
								 .key = message->key,
								 .instance = message->instance};
	message->to_all = !first->address.signal;
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/* Advance the first broadcast, if there is one; *reached: so many receive it now. */
static bool
advance_first(int *reached)
{
	Broadcast	first;
	WfRights	rights = {0};
	WfReach		reach = {.rights = &rights};
	WfReceiver *receivers;
	Datum		values[3];
	int			limit;
	int			n;

	if (!read_first(&first))
		return false;
	limit = wf_broadcast_chunk(&first.message);
	receivers = palloc(sizeof(WfReceiver) * limit);
	rights.role = wf_role_resolve(first.message.role, first.message.role_name);
	n = wf_receivers(&first.address, &reach, &first.position, first.number, limit, receivers);
	wf_event_deliveries_add(first.address.signal, &first.message, receivers, n);
	values[0] = Int64GetDatum(first.id);
	values[1] = Int64GetDatum(first.number);
	values[2] = Int64GetDatum(first.position);
	wf_query_run(first.position == PG_INT64_MAX ? &q_delete : &q_advance, values, NULL);
	pfree(receivers);
	*reached = n;
	return true;
}

bool
wf_broadcast_advance(void)
{
	int reached = 0;

	for (int i = 0, n; i < MOST_TOGETHER && reached < CHUNK; i++, reached += n)
		if (!advance_first(&n))
			return false;
	return true;
}
