/*
 * broadcast.c
 *		Signals, and messages to very many: one row each, which the dispatcher takes to all that wait.
 *
 * The transaction that brings it to some, or makes deliveries for them, also says in the row how far it has come: so
 * each gets it once, whatever happens in between. A signal gets its number when it is taken up, after its commit: it
 * reaches all that waited by then, and none that begins to wait because of it. Only the dispatcher takes them up.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "shmem/wakeups.h"
#include "store/broadcast.h"
#include "store/event_delivery.h"
#include "store/played.h"
#include "store/privilege.h"
#include "store/query.h"

#define CHUNK		  256
#define MANY		  64 /* receivers to whom it pays to bring it at once, in a transaction of their own */
#define MOST_TOGETHER 64 /* broadcasts in one transaction, which may have no receivers */
#define CHUNK_BYTES	  (4 * 1024 * 1024) /* of payloads, which the last one may exceed */

static WfQuery q_add = {
	.sql =
		"INSERT INTO workflow_data.broadcast (kind, name, key, instance, role, role_name, data, sent_at, steps, number) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE $1 WHEN 'message' THEN nextval('workflow_data.event_seq') END) RETURNING broadcast",
	.nargs = 9,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID, INT8OID, OIDOID, NAMEOID, JSONBOID, TIMESTAMPTZOID, INT4OID},
};
#define FIRST(which) \
	"SELECT broadcast, coalesce(number, nextval('workflow_data.event_seq')), position, kind, name, key, instance, role, " \
	"role_name, sent_at, steps, data FROM workflow_data.broadcast " which "ORDER BY broadcast LIMIT 1"
static WfQuery q_first = {
	.sql = FIRST(""),
};
static WfQuery q_first_of = {
	.sql = FIRST("WHERE broadcast = ANY ($1) "),
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
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
	wf_play_broadcast(wf_result_int64(0, 1));
	wf_wakeup_broadcast();
}

/* Read the first broadcast that the query finds, and from where on it is to be taken to those that wait. */
static bool
read_first(WfQuery *query, Datum *values, WfBroadcastPart *first, WfAddress *address)
{
	WfMessage *message = &first->message;
	bool	   isnull;
	Datum	   data;

	memset(first, 0, sizeof(*first));
	if (wf_query_run(query, values, NULL) == 0)
		return false;
	first->id = wf_result_int64(0, 1);
	first->number = wf_result_int64(0, 2);
	first->position = wf_result_int64(0, 3);
	first->signal = strcmp(wf_result_text(0, 4), "signal") == 0;
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
	message->to_all = !first->signal;
	*address =
		(WfAddress){.signal = first->signal, .name = message->name, .key = message->key, .instance = message->instance};
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/* The next part of the first broadcast, if there is one. It may have no receivers. */
static bool
look_at_first(WfQuery *query, Datum *values, WfBroadcastPart *part)
{
	WfAddress address;
	WfRights  rights = {0};
	WfReach	  reach = {.rights = &rights};
	int		  limit;

	if (!read_first(query, values, part, &address))
		return false;
	limit = wf_broadcast_chunk(&part->message);
	part->receivers = palloc(sizeof(WfReceiver) * limit);
	rights.role = wf_role_resolve(part->message.role, part->message.role_name);
	part->n = wf_receivers(&address, &reach, &part->position, part->number, limit, part->receivers);
	return true;
}

void
wf_broadcast_brought(const WfBroadcastPart *part)
{
	Datum values[3] = {Int64GetDatum(part->id), Int64GetDatum(part->number), Int64GetDatum(part->position)};

	if (wf_query_run(part->position == PG_INT64_MAX ? &q_delete : &q_advance, values, NULL) != 1)
		ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE), errmsg("a broadcast was taken up by somebody else"));
}

bool
wf_broadcast_advance(WfBroadcastPart *many)
{
	WfBroadcastPart part;
	int				reached = 0;

	if (many != NULL)
		many->n = 0;
	for (int i = 0; i < MOST_TOGETHER && reached < CHUNK; i++, reached += part.n)
	{
		if (!look_at_first(&q_first, NULL, &part))
			return false;
		if (many != NULL && part.n >= MANY)
		{
			*many = part;
			return true;
		}
		wf_event_deliveries_add(part.signal, &part.message, part.receivers, part.n);
		wf_broadcast_brought(&part);
		pfree(part.receivers);
	}
	return true;
}

bool
wf_broadcast_play(void)
{
	int64		   *own;
	int				nown = wf_play_broadcasts(&own);
	Datum			values[1] = {nown > 0 ? wf_int64_array(own, nown) : (Datum) 0};
	WfBroadcastPart part;
	int				n = 0;

	if (nown == 0 || !look_at_first(&q_first_of, values, &part))
		return false;
	for (int i = 0; i < part.n; i++)
		if (wf_play_has_started(part.receivers[i].instance))
			part.receivers[n++] = part.receivers[i];
	wf_event_deliveries_add(part.signal, &part.message, part.receivers, n);
	wf_broadcast_brought(&part);
	return true;
}
