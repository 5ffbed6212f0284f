/*
 * event_delivery.c
 *		Messages and signals on the way to an instance: deliveries of the kind `event`.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "model/template.h"
#include "shmem/wakeups.h"
#include "store/delivery.h"
#include "store/event_delivery.h"
#include "store/executor_work.h"
#include "store/query.h"

#define PAYLOAD_BYTES 256 /* beside the data */

static const WfColumn columns[] = {{"instance", INT8OID},
								   {"visit", INT8OID},
								   {"subscription", INT8OID},
								   {"payload", JSONBOID}};
static WfShape		  shape = {columns, lengthof(columns)};

/* As wf_delivery_append does it, for many at once. */
static WfQuery q_add = {
	.sql = "INSERT INTO workflow_data.delivery (instance, visit, kind, queue, due_at, subscription, payload) "
		   "SELECT m.instance, m.visit, '" WF_DELIVERY_EVENT "', "
		   "CASE WHEN l.queue LIKE 'executor%' THEN l.queue ELSE '" WF_QUEUE_MOVE "' END, "
		   "greatest(clock_timestamp(), CASE WHEN l.queue <> 'suspended' THEN l.due_at END), m.subscription, m.payload "
		   "FROM moved m LEFT JOIN LATERAL (SELECT d.queue, d.due_at FROM workflow_data.delivery d "
		   "WHERE d.instance = m.instance AND " WF_DELIVERY_IN_LINE
		   " ORDER BY d.instance DESC, d.delivery DESC LIMIT 1) l ON true "
		   "RETURNING queue, due_at",
	.shape = &shape,
};

/* ---- payloads ---- */

Jsonb *
wf_event_delivery_payload(bool signal, const WfMessage *message, const WfReceiver *receiver)
{
	WfField fields[] =
		{{.key = "kind", .kind = WF_FIELD_TEXT, .text = signal ? "signal" : "message"},
		 {.key = "name", .kind = WF_FIELD_TEXT, .text = message->name},
		 {.key = "key", .kind = WF_FIELD_TEXT, .text = message->key, .omit = message->key == NULL},
		 {.key = "data", .jsonb = message->data, .omit = message->data == NULL},
		 {.key = "role", .kind = WF_FIELD_INT, .number = message->role},
		 {.key = "role_name", .kind = WF_FIELD_TEXT, .text = message->role_name},
		 {.key = "at", .kind = WF_FIELD_INT, .number = message->sent_at},
		 {.key = "subscription", .kind = WF_FIELD_INT, .number = receiver->subscription},
		 {.key = "entry", .kind = WF_FIELD_INT, .number = receiver->entry},
		 {.key = "process",
		  .kind = WF_FIELD_INT,
		  .number = receiver->process_id,
		  .omit = receiver->subscription != WF_SUBSCRIPTION_NONE},
		 {.key = "to_all", .kind = WF_FIELD_TRUE, .omit = !message->to_all},
		 {.key = "to_instance", .kind = WF_FIELD_INT, .number = message->instance, .omit = message->instance == 0},
		 {.key = "steps", .kind = WF_FIELD_INT, .number = message->steps, .omit = message->steps == 0},
		 {.key = "expires_at", .kind = WF_FIELD_INT, .number = message->expires_at, .omit = message->expires_at == 0},
		 {.key = "message", .kind = WF_FIELD_INT, .number = message->number, .omit = message->number == 0},
		 {.key = "message_id",
		  .kind = WF_FIELD_TEXT,
		  .text = message->message_id,
		  .omit = message->message_id == NULL}};

	return wf_jsonb_object(fields, lengthof(fields));
}

size_t
wf_event_delivery_bytes(const WfMessage *message)
{
	return PAYLOAD_BYTES + (message->data != NULL ? VARSIZE(message->data) : 0);
}

void
wf_event_delivery_read(Jsonb *payload, WfEventDelivery *delivery)
{
	char *kind = wf_jsonb_get_text(payload, "kind");

	memset(delivery, 0, sizeof(*delivery));
	delivery->signal = kind != NULL && strcmp(kind, "signal") == 0;
	delivery->subscription = wf_jsonb_get_int64(payload, "subscription");
	delivery->entry = (int) wf_jsonb_get_int64(payload, "entry");
	delivery->process_id = (int) wf_jsonb_get_int64(payload, "process");
	delivery->held = wf_jsonb_get(payload, "held") != NULL;
	delivery->message = (WfMessage){.number = wf_jsonb_get_int64(payload, "message"),
									.name = wf_jsonb_get_text(payload, "name"),
									.key = wf_jsonb_get_text(payload, "key"),
									.message_id = wf_jsonb_get_text(payload, "message_id"),
									.to_all = wf_jsonb_get(payload, "to_all") != NULL,
									.instance = wf_jsonb_get_int64(payload, "to_instance"),
									.data = wf_jsonb_get(payload, "data"),
									.steps = (int) wf_jsonb_get_int64(payload, "steps"),
									.role = (Oid) wf_jsonb_get_int64(payload, "role"),
									.role_name = wf_jsonb_get_text(payload, "role_name"),
									.sent_at = wf_jsonb_get_int64(payload, "at"),
									.expires_at = wf_jsonb_get_int64(payload, "expires_at")};
}

/* ---- on the way ---- */

/* Leave a wake-up for each queue to which deliveries went. */
static void
wake_workers(uint64 rows)
{
	TimestampTz executor_at = DT_NOEND;
	TimestampTz move_at = DT_NOEND;

	for (uint64 i = 0; i < rows; i++)
	{
		TimestampTz due_at = wf_result_int64(i, 2);

		if (wf_is_executor_queue(wf_result_text(i, 1)))
			executor_at = Min(executor_at, due_at);
		else
			move_at = Min(move_at, due_at);
	}
	if (executor_at != DT_NOEND)
		wf_wakeup_due(WF_QUEUE_EXECUTOR, executor_at);
	if (move_at != DT_NOEND)
		wf_wakeup_due(WF_QUEUE_MOVE, move_at);
}

void
wf_event_deliveries_add(bool signal, const WfMessage *message, const WfReceiver *receivers, int n)
{
	WfRows rows;
	uint64 added;

	if (n == 0)
		return;
	wf_rows_begin(&rows, &shape);
	for (int i = 0; i < n; i++)
	{
		Jsonb *payload = wf_event_delivery_payload(signal, message, &receivers[i]);
		Datum  values[] = {Int64GetDatum(receivers[i].instance), Int64GetDatum(receivers[i].visit),
						   Int64GetDatum(receivers[i].subscription), JsonbPGetDatum(payload)};
		bool   nulls[lengthof(values)] = {0};

		wf_rows_put(&rows, values, nulls);
		pfree(payload);
	}
	added = wf_query_run_rows(&q_add, &rows);
	wf_rows_end(&rows);
	wake_workers(added);
	SPI_freetuptable(SPI_tuptable);
}

bool
wf_event_delivery_expired(const WfEventDelivery *delivery, TimestampTz now)
{
	return delivery->held && delivery->message.expires_at != 0 && delivery->message.expires_at <= now;
}

void
wf_event_delivery_done(const WfEventDelivery *delivery)
{
	wf_kept_delivered(&delivery->message);
}

/* The wait, if it stands still, is open for messages that were kept meanwhile. */
void
wf_event_delivery_refused(const WfEventDelivery *delivery, TimestampTz now)
{
	if (delivery->signal)
		return;
	wf_kept_refused(&delivery->message, now);
	wf_wakeup_subscription(delivery->subscription);
}
