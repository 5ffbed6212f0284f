/*
 * kept.c
 *		The table of messages: those that are kept until somebody waits for them, and those of which it is
 *		remembered that they were sent.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "shmem/wakeups.h"
#include "store/kept.h"
#include "store/privilege.h"
#include "store/query.h"

#define PURGE_CHUNK "5000"

#define KEPT "m.delivered_at IS NULL AND m.offered IS NULL AND m.expires_at > clock_timestamp()"

/* ---- rows ---- */

/* A conflict locks no row: the message that is remembered may be matched meanwhile. */
static WfQuery q_add = {
	.sql = "INSERT INTO workflow_data.message (name, key, keyed, message_id, instance, role, role_name, to_all, data, "
		   "sent_at, expires_at, remembered_until, steps) "
		   "VALUES ($1, coalesce($2, ''), $2 IS NOT NULL, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) "
		   "ON CONFLICT (name, role_name, message_id) WHERE message_id IS NOT NULL DO NOTHING RETURNING message",
	.nargs = 12,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID, INT8OID, OIDOID, NAMEOID, BOOLOID, JSONBOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
				 TIMESTAMPTZOID, INT4OID},
};
/* What need not be remembered, and upkeep has not deleted yet. */
static WfQuery q_outdated = {
	.sql =
		"DELETE FROM workflow_data.message WHERE name = $1 AND role_name = $2 AND message_id = $3 AND message_id IS NOT NULL "
		"AND CASE WHEN delivered_at IS NOT NULL THEN remembered_until <= $4 ELSE offered IS NULL AND expires_at <= $4 END",
	.nargs = 4,
	.argtypes = {TEXTOID, NAMEOID, TEXTOID, TIMESTAMPTZOID},
};
static WfQuery q_offer = {
	.sql = "UPDATE workflow_data.message SET offered = $2 WHERE message = $1",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};
static WfQuery q_delivered = {
	.sql =
		"UPDATE workflow_data.message SET delivered_at = clock_timestamp(), offered = NULL, data = NULL WHERE message = $1",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_delete = {
	.sql = "DELETE FROM workflow_data.message WHERE message = $1",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_refused = {
	.sql = "UPDATE workflow_data.message SET offered = NULL, refused = greatest(refused, $2) WHERE message = $1",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};
static WfQuery q_before = {
	.sql =
		"SELECT FROM workflow_data.message m WHERE m.name = $1 AND m.key = coalesce($2, '') AND m.keyed = ($2 IS NOT NULL) "
		"AND m.role = $3 AND m.message <> $4 AND m.instance IS NULL AND " KEPT " LIMIT 1",
	.nargs = 4,
	.argtypes = {TEXTOID, TEXTOID, OIDOID, INT8OID},
};
static WfQuery q_before_of_instance = {
	.sql = "SELECT FROM workflow_data.message m WHERE m.instance = $5 AND m.name = $1 AND m.key = coalesce($2, '') "
		   "AND m.keyed = ($2 IS NOT NULL) AND m.role = $3 AND m.message <> $4 AND " KEPT " LIMIT 1",
	.nargs = 5,
	.argtypes = {TEXTOID, TEXTOID, OIDOID, INT8OID, INT8OID},
};

/* Delete the row that is in the way of this message, if it need not be remembered any more. */
static bool
delete_outdated(const WfMessage *message)
{
	NameData role_name;
	Datum	 values[4] = {CStringGetTextDatum(message->name), NameGetDatum(&role_name),
						  CStringGetTextDatum(message->message_id), TimestampTzGetDatum(GetCurrentTimestamp())};

	namestrcpy(&role_name, message->role_name);
	return wf_query_run(&q_outdated, values, NULL) > 0;
}

bool
wf_kept_add(WfMessage *message)
{
	NameData role_name;
	Datum	 values[12] = {CStringGetTextDatum(message->name)};
	char	 nulls[12];

	memset(nulls, ' ', sizeof(nulls));
	namestrcpy(&role_name, message->role_name);
	if (message->key != NULL)
		values[1] = CStringGetTextDatum(message->key);
	if (message->message_id != NULL)
		values[2] = CStringGetTextDatum(message->message_id);
	values[3] = Int64GetDatum(message->instance);
	values[4] = ObjectIdGetDatum(message->role);
	values[5] = NameGetDatum(&role_name);
	values[6] = BoolGetDatum(message->to_all);
	values[7] = JsonbPGetDatum(message->data);
	values[8] = TimestampTzGetDatum(message->sent_at);
	values[9] = TimestampTzGetDatum(message->expires_at);
	values[10] = TimestampTzGetDatum(message->remembered_until);
	values[11] = Int32GetDatum(message->steps);
	nulls[1] = message->key != NULL ? ' ' : 'n';
	nulls[2] = message->message_id != NULL ? ' ' : 'n';
	nulls[3] = message->instance != 0 ? ' ' : 'n';
	nulls[7] = message->data != NULL ? ' ' : 'n';
	nulls[9] = message->expires_at != 0 ? ' ' : 'n';
	nulls[10] = message->remembered_until != 0 ? ' ' : 'n';
	if (wf_query_run(&q_add, values, nulls) == 0 &&
		(!delete_outdated(message) || wf_query_run(&q_add, values, nulls) == 0))
		return false;
	message->number = wf_result_int64(0, 1);
	return true;
}

void
wf_kept_wake(const WfMessage *message)
{
	wf_wakeup_message(message->number);
}

void
wf_kept_offer(const WfMessage *message, int64 subscription)
{
	Datum values[2] = {Int64GetDatum(message->number), Int64GetDatum(subscription)};

	if (message->number != 0)
		wf_query_run(&q_offer, values, NULL);
}

void
wf_kept_forget(const WfMessage *message)
{
	Datum values[1] = {Int64GetDatum(message->number)};

	if (message->number != 0)
		wf_query_run(&q_delete, values, NULL);
}

void
wf_kept_delivered(const WfMessage *message)
{
	Datum values[1] = {Int64GetDatum(message->number)};

	if (message->message_id == NULL)
		wf_kept_forget(message);
	else if (message->number != 0)
		wf_query_run(&q_delivered, values, NULL);
}

void
wf_kept_refused(const WfMessage *message, int64 subscription, TimestampTz now)
{
	Datum values[2] = {Int64GetDatum(message->number), Int64GetDatum(subscription)};

	if (message->number == 0)
		return;
	if (message->expires_at <= now)
		wf_kept_forget(message);
	else if (wf_query_run(&q_refused, values, NULL) > 0)
		wf_kept_wake(message);
}

bool
wf_kept_before(const WfMessage *message)
{
	Datum values[5] = {CStringGetTextDatum(message->name),
					   message->key != NULL ? CStringGetTextDatum(message->key) : (Datum) 0,
					   ObjectIdGetDatum(message->role), Int64GetDatum(message->number),
					   Int64GetDatum(message->instance)};
	char  nulls[5] = {' ', message->key != NULL ? ' ' : 'n', ' ', ' ', ' '};

	return wf_query_run(message->instance != 0 ? &q_before_of_instance : &q_before, values, nulls) > 0;
}

/* ---- matching ---- */

/*
 * Messages for a subscription, and subscriptions for a message: those of any instance have the same
 * key, or both none; those of one instance may leave it out.
 */
#define FOR_ANY(more) \
	"m.name = s.name AND m.key = s.key AND m.keyed = s.keyed AND m.instance IS NULL AND m.refused < s.subscription AND " KEPT \
		more
#define FOR_INSTANCE(more) \
	"m.instance = s.instance AND m.name = s.name AND (NOT m.keyed OR s.keyed AND m.key = s.key) " \
	"AND m.refused < s.subscription AND " KEPT more
#define A_SUBSCRIPTION \
	"SELECT FROM workflow_data.subscription s WHERE s.kind = 'message' AND s.subscription > m.refused AND "
#define A_MESSAGE "SELECT FROM workflow_data.message m WHERE "

static WfQuery q_count = {
	.sql =
		"SELECT count(*) FROM (SELECT FROM workflow_data.message m WHERE m.delivered_at IS NULL AND m.offered IS NULL LIMIT $1) k",
	.nargs = 1,
	.argtypes = {INT4OID},
};
static WfQuery q_wanted = {
	.sql = "SELECT m.message, m.expires_at > clock_timestamp() AND CASE WHEN m.instance IS NULL "
		   "THEN EXISTS (" A_SUBSCRIPTION "s.name = m.name AND s.key = m.key AND s.keyed = m.keyed) "
		   "ELSE EXISTS (" A_SUBSCRIPTION "s.instance = m.instance AND s.name = m.name "
		   "AND (NOT m.keyed OR s.keyed AND s.key = m.key)) END "
		   "FROM workflow_data.message m WHERE m.message >= $1 AND m.delivered_at IS NULL AND m.offered IS NULL "
		   "ORDER BY m.message LIMIT $2",
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};
static WfQuery q_waiting = {
	.sql = "SELECT s.subscription, s.kind = 'message' AND (EXISTS (" A_MESSAGE FOR_ANY(
		"") ") "
			"OR EXISTS (" A_MESSAGE FOR_INSTANCE(
				"") ")) "
					"FROM workflow_data.subscription s WHERE s.subscription >= $1 ORDER BY s.subscription LIMIT $2",
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};
static WfQuery q_for = {
	.sql =
		"SELECT k.message FROM workflow_data.subscription s CROSS JOIN LATERAL ("
		"(SELECT m.message FROM workflow_data.message m WHERE " FOR_ANY(
			" AND m.message > $2") " ORDER BY m.name, m.key, m.message LIMIT $3) UNION ALL "
								   "(SELECT m.message FROM workflow_data.message m WHERE " FOR_INSTANCE(
									   " AND m.message > $2") " ORDER BY m.instance, m.message LIMIT $3)) k WHERE s.subscription = $1 ORDER BY k.message LIMIT $3",
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, INT4OID},
};
/* two arms, for the index of each */
#define OLDER(instance) \
	"(SELECT o.message FROM workflow_data.message n JOIN workflow_data.message o ON o.name = n.name AND o.key = n.key " \
	"AND o.keyed = n.keyed AND o.message < n.message AND o.delivered_at IS NULL AND o.offered IS NULL AND " instance \
	" WHERE n.message = $1 ORDER BY o.message LIMIT $2)"
static WfQuery q_older = {
	.sql = "SELECT message FROM (" OLDER("o.instance IS NULL AND n.instance IS NULL") " UNION ALL " OLDER(
		"o.instance = n.instance AND o.instance IS NOT NULL") ") o ORDER BY message LIMIT $2",
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};
static WfQuery q_take = {
	.sql = "SELECT m.name, CASE WHEN m.keyed THEN m.key END, m.message_id, m.instance, m.to_all, m.role, m.role_name, "
		   "m.sent_at, m.expires_at, m.remembered_until, m.refused, m.steps, m.data FROM workflow_data.message m "
		   "WHERE m.message = $1 AND " KEPT " FOR UPDATE SKIP LOCKED",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_is_kept = {
	.sql = "SELECT FROM workflow_data.message m WHERE m.message = $1 AND " KEPT,
	.nargs = 1,
	.argtypes = {INT8OID},
};

int
wf_kept_count(int limit)
{
	Datum values[1] = {Int32GetDatum(limit)};

	wf_query_run(&q_count, values, NULL);
	return (int) wf_result_int64(0, 1);
}

/* Run a query that looks at numbers, and says of each whether it has a partner. */
static int
look_from(WfQuery *query, int64 *from, int limit, int64 *found)
{
	Datum  values[2] = {Int64GetDatum(*from), Int32GetDatum(limit)};
	uint64 rows = wf_query_run(query, values, NULL);
	int	   n = 0;
	bool   isnull;

	for (uint64 i = 0; i < rows; i++)
		if (DatumGetBool(wf_result(i, 2, &isnull)))
			found[n++] = wf_result_int64(i, 1);
	*from = rows == (uint64) limit ? wf_result_int64(rows - 1, 1) + 1 : PG_INT64_MAX;
	SPI_freetuptable(SPI_tuptable);
	return n;
}

int
wf_kept_wanted(int64 *from, int limit, int64 *numbers)
{
	return look_from(&q_wanted, from, limit, numbers);
}

int
wf_kept_waiting(int64 *from, int limit, int64 *subscriptions)
{
	return look_from(&q_waiting, from, limit, subscriptions);
}

int
wf_kept_for(int64 subscription, int64 after, int limit, int64 *numbers)
{
	Datum  values[3] = {Int64GetDatum(subscription), Int64GetDatum(after), Int32GetDatum(limit)};
	uint64 rows = wf_query_run(&q_for, values, NULL);

	for (uint64 i = 0; i < rows; i++)
		numbers[i] = wf_result_int64(i, 1);
	SPI_freetuptable(SPI_tuptable);
	return (int) rows;
}

int
wf_kept_older(int64 number, int limit, int64 *numbers)
{
	Datum  values[2] = {Int64GetDatum(number), Int32GetDatum(limit)};
	uint64 rows = wf_query_run(&q_older, values, NULL);

	for (uint64 i = 0; i < rows; i++)
		numbers[i] = wf_result_int64(i, 1);
	SPI_freetuptable(SPI_tuptable);
	return (int) rows;
}

bool
wf_kept_take(int64 number, WfMessage *message, bool *locked)
{
	Datum values[1] = {Int64GetDatum(number)};
	bool  isnull;
	Datum data;

	*locked = false;
	if (wf_query_run(&q_take, values, NULL) == 0)
	{
		*locked = wf_query_run(&q_is_kept, values, NULL) > 0;
		return false;
	}
	*message = (WfMessage){.number = number,
						   .name = wf_result_text(0, 1),
						   .key = wf_result_text(0, 2),
						   .message_id = wf_result_text(0, 3),
						   .instance = wf_result_int64(0, 4),
						   .to_all = DatumGetBool(wf_result(0, 5, &isnull)),
						   .role_name = pstrdup(NameStr(*DatumGetName(wf_result(0, 7, &isnull)))),
						   .sent_at = wf_result_int64(0, 8),
						   .expires_at = wf_result_int64(0, 9),
						   .remembered_until = wf_result_int64(0, 10),
						   .refused = wf_result_int64(0, 11),
						   .steps = DatumGetInt32(wf_result(0, 12, &isnull))};
	message->role = DatumGetObjectId(wf_result(0, 6, &isnull));
	data = wf_result(0, 13, &isnull);
	if (!isnull)
		message->data = DatumGetJsonbPCopy(data);
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/* ---- who may keep one ---- */

static WfQuery q_naming = {
	.sql = "SELECT process_id, step FROM workflow_data.process_message WHERE name = $1 ORDER BY process_id, step",
	.nargs = 1,
	.argtypes = {TEXTOID},
};
static WfQuery q_unname = {
	.sql = "DELETE FROM workflow_data.process_message WHERE process_id = $1",
	.nargs = 1,
	.argtypes = {INT4OID},
};
static WfQuery q_name = {
	.sql = "INSERT INTO workflow_data.process_message (process_id, name, step) "
		   "SELECT DISTINCT $1, n.name, n.step FROM unnest($2, $3) AS n (name, step)",
	.nargs = 3,
	.argtypes = {INT4OID, TEXTARRAYOID, TEXTARRAYOID},
};

bool
wf_kept_allowed(const char *name, Oid role)
{
	Datum		   values[1] = {CStringGetTextDatum(name)};
	uint64		   rows = wf_query_run(&q_naming, values, NULL);
	SPITupleTable *naming = SPI_tuptable;
	int			   before = 0;
	bool		   allowed = false;

	for (uint64 i = 0; i < rows && !allowed; i++)
	{
		bool  isnull;
		int	  process_id = DatumGetInt32(SPI_getbinval(naming->vals[i], naming->tupdesc, 1, &isnull));
		char *step = SPI_getvalue(naming->vals[i], naming->tupdesc, 2);

		if (process_id != before)
			allowed = wf_privilege_has(process_id, role, WF_PRIVILEGE_START) ||
					  wf_privilege_has(process_id, role, WF_PRIVILEGE_COMPLETE);
		before = process_id;
		allowed = allowed || (step[0] != '\0' && wf_privilege_has_step(process_id, role, step));
	}
	SPI_freetuptable(naming);
	return allowed;
}

void
wf_kept_names(int process_id, const char *const *names, const char *const *steps, int n)
{
	Datum values[3] = {Int32GetDatum(process_id), wf_text_array(names, n), wf_text_array(steps, n)};

	wf_query_run(&q_unname, values, NULL);
	if (n > 0)
		wf_query_run(&q_name, values, NULL);
}

/* ---- upkeep ---- */

static WfQuery q_purge = {
	.sql = "WITH x AS MATERIALIZED ((SELECT m.message FROM workflow_data.message m WHERE m.delivered_at IS NULL "
		   "AND m.offered IS NULL AND m.expires_at <= clock_timestamp() ORDER BY m.expires_at LIMIT " PURGE_CHUNK
		   ") UNION ALL "
		   "(SELECT m.message FROM workflow_data.message m WHERE m.delivered_at IS NOT NULL "
		   "AND m.remembered_until <= clock_timestamp() ORDER BY m.remembered_until LIMIT " PURGE_CHUNK ")) "
		   "DELETE FROM workflow_data.message WHERE message IN (SELECT l.message FROM workflow_data.message l "
		   "WHERE l.message IN (SELECT x.message FROM x) FOR UPDATE SKIP LOCKED)",
};

bool
wf_kept_purge(void)
{
	return wf_query_run(&q_purge, NULL, NULL) >= (uint64) atoi(PURGE_CHUNK);
}
