/*
 * kept.c
 *		The table of messages: those that are kept until somebody waits for them, and those of which it is
 *		remembered that they were sent.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "shmem/wakeups.h"
#include "store/kept.h"
#include "store/played.h"
#include "store/privilege.h"
#include "store/query.h"

#define PURGE_CHUNK "5000"

#define KEPT(now) "m.delivered_at IS NULL AND m.offered IS NULL AND m.expires_at > " now

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
/* It was offered, and its delivery brings it: not if that is held until its instance is resumed, since it is late then. */
#define COMING \
	"(m.offered IS NOT NULL AND EXISTS (SELECT FROM workflow_data.delivery d WHERE d.subscription = m.offered " \
	"AND d.queue || '' <> 'suspended'))"
/* What need not be remembered, and upkeep has not deleted yet. */
static WfQuery q_outdated = {
	.sql = "DELETE FROM workflow_data.message m WHERE m.name = $1 AND m.role_name = $2 AND m.message_id = $3 "
		   "AND m.message_id IS NOT NULL AND CASE WHEN m.delivered_at IS NOT NULL THEN m.remembered_until <= $4 "
		   "ELSE m.expires_at <= $4 AND NOT " COMING " END",
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
/* Another transaction may be deleting it, to send it again: that is not waited for. */
static WfQuery q_delete_unless_locked = {
	.sql = "DELETE FROM workflow_data.message WHERE message = ("
		   "SELECT message FROM workflow_data.message WHERE message = $1 FOR UPDATE SKIP LOCKED)",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_sender = {
	.sql = "SELECT m.role, m.role_name FROM workflow_data.message m WHERE m.message = $1 AND " KEPT("$2"),
	.nargs = 2,
	.argtypes = {INT8OID, TIMESTAMPTZOID},
};
static WfQuery q_withdraw = {
	.sql = "DELETE FROM workflow_data.message m WHERE m.message = $1 AND " KEPT("$2"),
	.nargs = 2,
	.argtypes = {INT8OID, TIMESTAMPTZOID},
};
static WfQuery q_keep = {
	.sql = "UPDATE workflow_data.message SET offered = NULL WHERE message = $1",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_before = {
	.sql =
		"SELECT FROM workflow_data.message m WHERE m.name = $1 AND m.key = coalesce($2, '') AND m.keyed = ($2 IS NOT NULL) "
		"AND m.role = $3 AND m.message <> $4 AND m.instance IS NULL AND " KEPT("$5") " LIMIT 1",
	.nargs = 5,
	.argtypes = {TEXTOID, TEXTOID, OIDOID, INT8OID, TIMESTAMPTZOID},
};
static WfQuery q_before_of_instance = {
	.sql = "SELECT FROM workflow_data.message m WHERE m.instance = $6 AND m.name = $1 AND m.key = coalesce($2, '') "
		   "AND m.keyed = ($2 IS NOT NULL) AND m.role = $3 AND m.message <> $4 AND " KEPT("$5") " LIMIT 1",
	.nargs = 6,
	.argtypes = {TEXTOID, TEXTOID, OIDOID, INT8OID, TIMESTAMPTZOID, INT8OID},
};

/* Delete the row that is in the way of this message, if it need not be remembered any more. */
static void
delete_outdated(const WfMessage *message)
{
	NameData role_name;
	Datum	 values[4] = {CStringGetTextDatum(message->name), NameGetDatum(&role_name),
						  CStringGetTextDatum(message->message_id), TimestampTzGetDatum(wf_now())};

	namestrcpy(&role_name, message->role_name);
	wf_query_run(&q_outdated, values, NULL);
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
	if (wf_query_run(&q_add, values, nulls) == 0)
	{
		delete_outdated(message); /* or somebody else does meanwhile */
		if (wf_query_run(&q_add, values, nulls) == 0)
			return false;
	}
	message->number = wf_result_int64(0, 1);
	wf_play_message(message->number);
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

bool
wf_kept_withdraw(int64 number, Oid role)
{
	Datum values[2] = {Int64GetDatum(number), TimestampTzGetDatum(wf_now())};
	Oid	  sender;
	bool  isnull;

	/* looked at without a lock: nobody may hold up what he may not touch */
	if (wf_query_run(&q_sender, values, NULL) == 0)
		return false;
	sender =
		wf_role_resolve(DatumGetObjectId(wf_result(0, 1, &isnull)), NameStr(*DatumGetName(wf_result(0, 2, &isnull))));
	return OidIsValid(sender) && has_privs_of_role(role, sender) && wf_query_run(&q_withdraw, values, NULL) > 0;
}

void
wf_kept_refused(const WfMessage *message, TimestampTz now)
{
	Datum values[1] = {Int64GetDatum(message->number)};

	if (message->number == 0)
		return;
	if (message->expires_at <= now)
		wf_query_run(&q_delete_unless_locked, values, NULL);
	else if (wf_query_run(&q_keep, values, NULL) > 0)
		wf_kept_wake(message);
}

bool
wf_kept_before(const WfMessage *message)
{
	Datum values[6] = {CStringGetTextDatum(message->name),
					   message->key != NULL ? CStringGetTextDatum(message->key) : (Datum) 0,
					   ObjectIdGetDatum(message->role),
					   Int64GetDatum(message->number),
					   TimestampTzGetDatum(wf_now()),
					   Int64GetDatum(message->instance)};
	char  nulls[6] = {' ', message->key != NULL ? ' ' : 'n', ' ', ' ', ' ', ' '};

	return wf_query_run(message->instance != 0 ? &q_before_of_instance : &q_before, values, nulls) > 0;
}

/* ---- matching ---- */

/*
 * Messages for a subscription, and subscriptions for a message: those of any instance have the same
 * key, or both none; those of one instance may leave it out.
 */
#define A_MESSAGE "workflow_data.message m WHERE "
#define FOR_ANY	  "m.name = s.name AND m.key = s.key AND m.keyed = s.keyed AND m.instance IS NULL AND " KEPT("$3")
#define FOR_INSTANCE \
	"m.instance = s.instance AND m.name = s.name AND (NOT m.keyed OR s.keyed AND m.key = s.key) AND " KEPT("$3")
#define A_SUBSCRIPTION "(SELECT FROM workflow_data.subscription s WHERE NOT s.closed AND s.keyed = m.keyed AND "
/* What is not to be looked up by an index is compared after an operator: an instance has few subscriptions. */
#define A_SUBSCRIPTION_OF_INSTANCE \
	"(SELECT FROM workflow_data.subscription s WHERE s.instance = m.instance AND s.kind || '' = 'message' " \
	"AND s.name || '' = m.name AND NOT s.closed AND (NOT m.keyed OR s.keyed AND s.key || '' = m.key) LIMIT 1)"
#define HEADER "m.message, m.name, CASE WHEN m.keyed THEN m.key END, m.instance, m.to_all, m.role, m.role_name"

static WfQuery q_count = {
	.sql =
		"SELECT count(*) FROM (SELECT FROM workflow_data.message m WHERE m.delivered_at IS NULL AND m.offered IS NULL LIMIT $1) k",
	.nargs = 1,
	.argtypes = {INT4OID},
};
#define LOOK(of) \
	"SELECT " HEADER ", w.wanted IS NOT NULL AND m.expires_at > $3 FROM (" \
	"SELECT * FROM workflow_data.message WHERE " of " AND delivered_at IS NULL AND offered IS NULL " \
	"ORDER BY message LIMIT $2) m LEFT JOIN LATERAL (SELECT true AS wanted FROM (" A_SUBSCRIPTION \
	"m.instance IS NULL AND s.kind = 'message' AND s.name = m.name AND s.key = m.key LIMIT 1) " \
	"UNION ALL (SELECT FROM workflow_data.message_start s WHERE m.instance IS NULL AND s.name = m.name " \
	"AND s.key = m.key AND s.keyed = m.keyed LIMIT 1) " \
	"UNION ALL " A_SUBSCRIPTION_OF_INSTANCE ") s LIMIT 1) w ON true ORDER BY m.message"
static WfQuery q_look = {
	.sql = LOOK("message >= $1"),
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, TIMESTAMPTZOID},
};
static WfQuery q_look_at = {
	.sql = LOOK("message = ANY ($1)"),
	.nargs = 3,
	.argtypes = {INT8ARRAYOID, INT4OID, TIMESTAMPTZOID},
};
static WfQuery q_waiting = {
	.sql = "SELECT s.subscription, k.is_kept IS NOT NULL FROM ("
		   "SELECT * FROM workflow_data.subscription WHERE subscription >= $1 ORDER BY subscription LIMIT $2) s "
		   "LEFT JOIN LATERAL (SELECT true AS is_kept FROM (("
		   "SELECT FROM " A_MESSAGE FOR_ANY " LIMIT 1) UNION ALL (SELECT FROM " A_MESSAGE FOR_INSTANCE " LIMIT 1)) m "
		   "WHERE s.kind = 'message' AND NOT s.closed LIMIT 1) k ON true ORDER BY s.subscription",
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, TIMESTAMPTZOID},
};
/* one index probe for each role, or two; of some messages alone, if these are given */
#define FIRST_OF_ROLE(matching, behind, columns) \
	"(SELECT m.role, m.message FROM " A_MESSAGE matching behind \
	" AND ($2 IS NULL OR m.message = ANY ($2)) ORDER BY " columns ", m.role, m.message LIMIT 1)"
#define EACH_ROLE(name, matching, columns) \
	name " (role, message) AS (SELECT f.* FROM s CROSS JOIN LATERAL " FIRST_OF_ROLE( \
		matching, "", columns) " f UNION ALL SELECT f.* FROM " name \
							   " r CROSS JOIN s CROSS JOIN LATERAL " FIRST_OF_ROLE(matching, " AND m.role > r.role", \
																				   columns) " f)"
static WfQuery q_firsts = {
	.sql = "WITH RECURSIVE s AS MATERIALIZED (SELECT * FROM workflow_data.subscription WHERE subscription = $1), " EACH_ROLE(
		"any_instance", FOR_ANY,
		"m.name, m.key") ", " EACH_ROLE("one_instance", FOR_INSTANCE,
										"m.instance, m.name") " SELECT " HEADER
															  ", true FROM (SELECT message FROM any_instance UNION ALL SELECT message FROM one_instance) f "
															  "JOIN workflow_data.message m ON m.message = f.message ORDER BY m.message",
	.nargs = 3,
	.argtypes = {INT8OID, INT8ARRAYOID, TIMESTAMPTZOID},
};
static WfQuery q_take = {
	.sql = "SELECT m.name, CASE WHEN m.keyed THEN m.key END, m.message_id, m.instance, m.to_all, m.role, m.role_name, "
		   "m.sent_at, m.expires_at, m.remembered_until, m.steps, m.data FROM workflow_data.message m "
		   "WHERE m.message = $1 AND " KEPT("$2") " FOR UPDATE SKIP LOCKED",
	.nargs = 2,
	.argtypes = {INT8OID, TIMESTAMPTZOID},
};
static WfQuery q_is_kept = {
	.sql = "SELECT FROM workflow_data.message m WHERE m.message = $1 AND " KEPT("$2"),
	.nargs = 2,
	.argtypes = {INT8OID, TIMESTAMPTZOID},
};

int
wf_kept_count(int limit)
{
	Datum values[1] = {Int32GetDatum(limit)};

	wf_query_run(&q_count, values, NULL);
	return (int) wf_result_int64(0, 1);
}

/* Read what q_look and q_firsts give. */
static void
read_kept(uint64 rows, WfKept *kept)
{
	bool isnull;

	for (uint64 i = 0; i < rows; i++)
	{
		kept[i] = (WfKept){.message.number = wf_result_int64(i, 1),
						   .message.name = wf_result_text(i, 2),
						   .message.key = wf_result_text(i, 3),
						   .message.instance = wf_result_int64(i, 4),
						   .message.to_all = DatumGetBool(wf_result(i, 5, &isnull)),
						   .message.role = DatumGetObjectId(wf_result(i, 6, &isnull)),
						   .message.role_name = pstrdup(NameStr(*DatumGetName(wf_result(i, 7, &isnull)))),
						   .wanted = DatumGetBool(wf_result(i, 8, &isnull))};
	}
	SPI_freetuptable(SPI_tuptable);
}

int
wf_kept_look(int64 *from, int limit, WfKept *kept)
{
	Datum  values[3] = {Int64GetDatum(*from), Int32GetDatum(limit), TimestampTzGetDatum(wf_now())};
	uint64 rows = wf_query_run(&q_look, values, NULL);

	read_kept(rows, kept);
	*from = rows == (uint64) limit ? kept[rows - 1].message.number + 1 : PG_INT64_MAX;
	return (int) rows;
}

int
wf_kept_look_at(const int64 *numbers, int n, WfKept **kept)
{
	Datum  values[3] = {wf_int64_array(numbers, n), Int32GetDatum(n), TimestampTzGetDatum(wf_now())};
	uint64 rows = wf_query_run(&q_look_at, values, NULL);

	*kept = palloc(sizeof(WfKept) * Max(rows, 1));
	read_kept(rows, *kept);
	return (int) rows;
}

int
wf_kept_waiting(int64 *from, int limit, int64 *subscriptions)
{
	Datum  values[3] = {Int64GetDatum(*from), Int32GetDatum(limit), TimestampTzGetDatum(wf_now())};
	uint64 rows = wf_query_run(&q_waiting, values, NULL);
	int	   n = 0;
	bool   isnull;

	for (uint64 i = 0; i < rows; i++)
		if (DatumGetBool(wf_result(i, 2, &isnull)))
			subscriptions[n++] = wf_result_int64(i, 1);
	*from = rows == (uint64) limit ? wf_result_int64(rows - 1, 1) + 1 : PG_INT64_MAX;
	SPI_freetuptable(SPI_tuptable);
	return n;
}

int
wf_kept_firsts(int64 subscription, const int64 *of, int n, WfKept **firsts)
{
	Datum  values[3] = {Int64GetDatum(subscription), of != NULL ? wf_int64_array(of, n) : (Datum) 0,
						TimestampTzGetDatum(wf_now())};
	char   nulls[3] = {' ', of != NULL ? ' ' : 'n', ' '};
	uint64 rows = wf_query_run(&q_firsts, values, nulls);

	*firsts = palloc(sizeof(WfKept) * Max(rows, 1));
	read_kept(rows, *firsts);
	return (int) rows;
}

bool
wf_kept_take(int64 number, WfMessage *message, bool *locked)
{
	Datum values[2] = {Int64GetDatum(number), TimestampTzGetDatum(wf_now())};
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
						   .steps = DatumGetInt32(wf_result(0, 11, &isnull))};
	message->role = DatumGetObjectId(wf_result(0, 6, &isnull));
	data = wf_result(0, 12, &isnull);
	if (!isnull)
		message->data = DatumGetJsonbPCopy(data);
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/* ---- who may keep one ---- */

static WfQuery q_naming = {
	.sql = "SELECT m.process_id, m.step FROM workflow_data.process_message m JOIN workflow_data.process p "
		   "ON p.process_id = m.process_id WHERE m.name = $1 AND (p.latest > 0 OR EXISTS ("
		   "SELECT FROM workflow_data.instance i WHERE i.process_id = m.process_id)) ORDER BY m.process_id, m.step",
	.nargs = 1,
	.argtypes = {TEXTOID},
};
static WfQuery q_name = {
	.sql = "INSERT INTO workflow_data.process_message (process_id, name, step) "
		   "SELECT $1, n.name, n.step FROM unnest($2, $3) AS n (name, step) ON CONFLICT DO NOTHING",
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

	if (n > 0)
		wf_query_run(&q_name, values, NULL);
}

/* ---- upkeep ---- */

static WfQuery q_purge = {
	.sql = "WITH x AS MATERIALIZED ((SELECT m.message FROM workflow_data.message m WHERE m.delivered_at IS NULL "
		   "AND m.expires_at <= clock_timestamp() AND NOT " COMING " ORDER BY m.expires_at LIMIT " PURGE_CHUNK
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
