/*
 * identity.c
 *		To which database these rows belong, and numbers that are never issued twice.
 *
 * The identity row is made with the first definition, never by CREATE EXTENSION: a restore brings
 * its own. A row that names another cluster or database, more than one row, or living instances
 * without one mean that this is a copy.
 *
 * Sequences: a recovery to an earlier point, or a failover to a standby that lagged behind, forgets
 * numbers that outside systems have seen already, and starts a new timeline; the original of a
 * restored copy goes on issuing numbers. On the first number after any of these, the sequences jump
 * to the microseconds since 2000. Nobody issues numbers faster than microseconds pass, so what an
 * earlier copy, or an earlier recovery from the same backup, has issued after its own jump is left
 * behind as well.
 */
#include "compat.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "shmem/database.h"
#include "shmem/settings.h"
#include "store/access.h"
#include "store/identity.h"
#include "store/query.h"
#include "store/shard.h"

/*
 * The jump if the clock is behind the numbers: more than can have been issued since the backup, or
 * since the standby's last change.
 */
#define GAP INT64CONST(10000000000)

static WfQuery q_read = {
	.sql = "SELECT system_identifier = $1 AND database = $2 "
		   "AND relation = 'workflow_data.instance'::regclass::oid, timeline FROM workflow_data.identity",
	.nargs = 2,
	.argtypes = {NUMERICOID, OIDOID},
};
static WfQuery q_living = {.sql = "SELECT 1 FROM workflow_data.instance LIMIT 1"};
static WfQuery q_insert = {
	.sql = "INSERT INTO workflow_data.identity (system_identifier, database, relation, timeline, adopted_at) "
		   "VALUES ($1, $2, 'workflow_data.instance'::regclass::oid, $3, clock_timestamp()) "
		   "ON CONFLICT DO NOTHING",
	.nargs = 3,
	.argtypes = {NUMERICOID, OIDOID, INT4OID},
};
static WfQuery q_adopted = {
	.sql = "SELECT 1 FROM workflow_data.identity WHERE adopted_at >= $1",
	.nargs = 1,
	.argtypes = {TIMESTAMPTZOID},
};
static WfQuery q_delete = {.sql = "DELETE FROM workflow_data.identity"};
static WfQuery q_record_timeline = {
	.sql = "UPDATE workflow_data.identity SET timeline = $1 WHERE timeline <> $1",
	.nargs = 1,
	.argtypes = {INT4OID},
};
static WfQuery q_adopt_owners = {
	.sql = "UPDATE workflow_data.process p SET owner = r.oid FROM pg_roles r "
		   "WHERE r.rolname = p.owner_name AND p.owner <> r.oid",
};
static WfQuery q_adopt_grantees = {
	.sql = "UPDATE workflow_data.process_privilege p SET grantee = r.oid FROM pg_roles r "
		   "WHERE p.grantee <> 0 AND r.rolname = p.grantee_name AND p.grantee <> r.oid",
};
static WfQuery q_adopt_senders = {
	.sql = "UPDATE workflow_data.message m SET role = r.oid FROM pg_roles r "
		   "WHERE r.rolname = m.role_name AND m.role <> r.oid",
};
static WfQuery q_adopt_broadcasters = {
	.sql = "UPDATE workflow_data.broadcast b SET role = r.oid FROM pg_roles r "
		   "WHERE r.rolname = b.role_name AND b.role <> r.oid",
};
static WfQuery q_adopt_events = {
	.sql = "UPDATE workflow_data.delivery d SET payload = d.payload || jsonb_build_object('role', r.oid::bigint) "
		   "FROM pg_roles r WHERE d.kind IN ('event', 'start') AND r.rolname = d.payload ->> 'role_name'",
};
static WfQuery q_adopt_callers = {
	.sql = "UPDATE workflow_data.operation o SET role = r.oid FROM pg_roles r "
		   "WHERE r.rolname = o.role_name AND o.role <> r.oid",
};
static WfQuery q_adopt_callers_sessions = {
	.sql = "UPDATE workflow_data.operation o SET session_role = r.oid FROM pg_roles r "
		   "WHERE r.rolname = o.session_role_name AND o.session_role <> r.oid",
};
/* Roles that do not exist become nobody: 0 is no role, and in an array it keeps the place of its name. */
static WfQuery q_adopt_tasks = {
	.sql =
		"UPDATE workflow_data.task t SET "
		"assignee = CASE WHEN t.assignee_name IS NOT NULL THEN coalesce((SELECT r.oid FROM pg_roles r WHERE r.rolname = t.assignee_name), 0) END, "
		"assigned = CASE WHEN t.assigned_name IS NOT NULL THEN coalesce((SELECT r.oid FROM pg_roles r WHERE r.rolname = t.assigned_name), 0) END, "
		"roles = ARRAY(SELECT coalesce(r.oid, 0) FROM unnest(t.role_names) WITH ORDINALITY n (name, place) "
		"LEFT JOIN pg_roles r ON r.rolname = n.name ORDER BY n.place)",
};
/* Owners that were dropped, and created again under the same name. */
static WfQuery q_adopt_lost_owners = {
	.sql = "UPDATE workflow_data.process p SET owner = r.oid FROM pg_roles r "
		   "WHERE r.rolname = p.owner_name AND NOT EXISTS (SELECT FROM pg_roles x WHERE x.oid = p.owner)",
};
/* Privileges of dropped roles are deleted: a new role of the same name is somebody else. */
static WfQuery q_forget_lost_grantees = {
	.sql = "DELETE FROM workflow_data.process_privilege p WHERE p.grantee <> 0 "
		   "AND NOT EXISTS (SELECT FROM pg_roles x WHERE x.oid = p.grantee)",
};
static WfQuery q_last = {
	.sql = "SELECT greatest((SELECT last_value FROM workflow_data.instance_seq), "
		   "(SELECT max(instance) / $1 FROM workflow_data.instance)), "
		   "greatest((SELECT last_value FROM workflow_data.visit_seq), "
		   "(SELECT max(visit) FROM workflow_data.visit))",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_last_instance = {.sql = "SELECT last_value FROM workflow_data.instance_seq"};

static Datum
system_identifier(void)
{
	char text[32];

	snprintf(text, sizeof(text), UINT64_FORMAT, GetSystemIdentifier());
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/* Whose this database is; *unknown: no row says so. */
static WfIdentity
read_identity(bool *unknown)
{
	Datum  values[2] = {system_identifier(), ObjectIdGetDatum(MyDatabaseId)};
	uint64 n = wf_query_run(&q_read, values, NULL);
	bool   isnull;

	*unknown = n == 0;
	return n == 1 && DatumGetBool(wf_result(0, 1, &isnull)) ? WF_IDENTITY_OWN : WF_IDENTITY_COPY;
}

WfIdentity
wf_identity_check(void)
{
	bool	   unknown;
	WfIdentity identity = read_identity(&unknown);

	if (!unknown)
		return identity;
	if (wf_query_run(&q_living, NULL, NULL) == 0)
		return WF_IDENTITY_NONE;
	/* the first instance may have been committed between the two looks, with the identity of its database */
	return read_identity(&unknown);
}

bool
wf_identity_adopted_since_start(void)
{
	Datum values[1] = {TimestampTzGetDatum(PgStartTime)};

	return wf_query_run(&q_adopted, values, NULL) > 0;
}

static void
insert_identity(void)
{
	Datum values[3] = {system_identifier(), ObjectIdGetDatum(MyDatabaseId),
					   Int32GetDatum((int32) GetWALInsertionTimeLine())};

	wf_query_run(&q_insert, values, NULL);
}

void
wf_identity_ensure(void)
{
	if (wf_identity_check() == WF_IDENTITY_NONE)
		insert_identity();
}

static void
jump(const char *sequence, int64 last)
{
	TimestampTz now = GetCurrentTimestamp();

	(void) DirectFunctionCall2(setval_oid, ObjectIdGetDatum(wf_store_relation(sequence)),
							   Int64GetDatum(last < now ? now : last + GAP));
}

static void
jump_both(void)
{
	Datum values[1] = {Int64GetDatum(wf_shard_stride())};
	int64 visit;

	wf_query_run(&q_last, values, NULL);
	visit = wf_result_int64(0, 2);
	jump("instance_seq", wf_result_int64(0, 1));
	jump("visit_seq", visit);
}

bool
wf_identity_adopt(void)
{
	WfIdentity identity = wf_identity_check();

	/*
	 * a snapshot of the whole cluster looks like the original; starting it paused declares that it
	 * is a copy
	 */
	if (identity == WF_IDENTITY_OWN && !wf_setting_start_paused)
	{
		wf_query_run(&q_forget_lost_grantees, NULL, NULL);
		if (wf_query_run(&q_adopt_lost_owners, NULL, NULL) > 0)
			return true;
		ereport(NOTICE, errmsg("this database is no copy: there is nothing to adopt"));
		return false;
	}
	if (identity != WF_IDENTITY_NONE)
		jump_both();
	wf_query_run(&q_delete, NULL, NULL);
	insert_identity();
	wf_query_run(&q_adopt_owners, NULL, NULL);
	wf_query_run(&q_adopt_grantees, NULL, NULL);
	wf_query_run(&q_adopt_senders, NULL, NULL);
	wf_query_run(&q_adopt_broadcasters, NULL, NULL);
	wf_query_run(&q_adopt_callers, NULL, NULL);
	wf_query_run(&q_adopt_callers_sessions, NULL, NULL);
	wf_query_run(&q_adopt_events, NULL, NULL);
	wf_query_run(&q_adopt_tasks, NULL, NULL);
	return true;
}

void
wf_identity_forget_lost(void)
{
	if (wf_identity_check() == WF_IDENTITY_OWN)
		wf_query_run(&q_forget_lost_grantees, NULL, NULL);
}

/*
 * Compare the stored database and timeline with the current ones, once for all backends after each
 * server start. The jump of the sequences is not transactional, so the lock need not be held until
 * the end of the transaction.
 */
static void
check_timeline(void)
{
	Oid	  relid;
	Datum values[2];
	bool  isnull;

	relid = wf_store_relation("identity");
	LockRelationOid(relid, ShareUpdateExclusiveLock);
	if (!wf_timeline_checked())
	{
		values[0] = system_identifier();
		values[1] = ObjectIdGetDatum(MyDatabaseId);
		if (wf_query_run(&q_read, values, NULL) > 0 &&
			(!DatumGetBool(wf_result(0, 1, &isnull)) ||
			 DatumGetInt32(wf_result(0, 2, &isnull)) != (int32) GetWALInsertionTimeLine()))
			jump_both();
		wf_timeline_set_checked(true);
	}
	UnlockRelationOid(relid, ShareUpdateExclusiveLock);
}

void
wf_identity_record_timeline(void)
{
	Datum values[1] = {Int32GetDatum((int32) GetWALInsertionTimeLine())};

	check_timeline();
	wf_query_run(&q_record_timeline, values, NULL);
}

/*
 * The next number of a sequence, after the timeline was checked. The check belongs to the
 * sequence's OID, since a session may live through a restore, which brings other sequences.
 */
static int64
next_number(const char *sequence, Oid *checked)
{
	Oid relid = wf_store_relation(sequence);

	if (unlikely(*checked != relid))
		check_timeline();
	*checked = relid;
	return nextval_internal(relid, false);
}

int64
wf_next_instance(void)
{
	static Oid checked = InvalidOid;

	return wf_shard_instance(next_number("instance_seq", &checked));
}

int64
wf_last_instance(void)
{
	wf_query_run(&q_last_instance, NULL, NULL);
	return wf_shard_instance(wf_result_int64(0, 1));
}

int64
wf_next_visit(void)
{
	static Oid checked = InvalidOid;

	return next_number("visit_seq", &checked);
}
