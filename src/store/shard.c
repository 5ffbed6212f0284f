/*
 * shard.c
 *		Which of several databases this one is: its number, which the numbers of its instances carry.
 *
 * With a shard, the number of an instance is that of the sequence, and the shard in the ten bits below: whoever has it knows
 * to whom to go. The sequence itself counts on as it did, so that all that holds for it (jumps, dumps) holds with a shard, too.
 * Numbers that were given before are below `first` and say nothing.
 *
 * Each process remembers the shard, of whose row a trigger tells by an invalidation. Whoever draws a number holds the sequence,
 * as nextval locks it, until the end of his transaction; whoever changes the shard locks it against that. So nobody draws one
 * with a shard that is no more.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"

#include "store/access.h"
#include "store/query.h"
#include "store/shard.h"

/* the largest number of the sequence to which a shard fits */
#define LAST_NUMBER (PG_INT64_MAX >> WF_SHARD_BITS)

static WfQuery q_read = {.sql = "SELECT shard, first FROM workflow_data.shard"};
static WfQuery q_next = {
	.sql = "SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM workflow_data.instance_seq"};
static WfQuery q_write = {
	.sql = "INSERT INTO workflow_data.shard (shard, first) VALUES ($1, $2) "
		   "ON CONFLICT (single) DO UPDATE SET shard = $1, first = $2",
	.nargs = 2,
	.argtypes = {INT4OID, INT8OID},
};

static Oid known_of = InvalidOid; /* the table from which it was read */
static int known = WF_NO_SHARD;

/* ---- what is remembered ---- */

static void
forget_shard(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == known_of)
		known_of = InvalidOid;
}

static void
watch_shard(void)
{
	static bool watching = false;

	if (!watching)
		CacheRegisterRelcacheCallback(forget_shard, (Datum) 0);
	watching = true;
}

static int
read_shard(void)
{
	Oid		 table = wf_store_relation("shard");
	WfAccess access;
	int		 shard = WF_NO_SHARD;
	bool	 isnull;

	watch_shard();
	/* what is invalidated while the row is being read must be read again */
	known_of = table;
	wf_store_enter(&access);
	if (wf_query_run(&q_read, NULL, NULL) > 0)
		shard = DatumGetInt32(wf_result(0, 1, &isnull));
	wf_store_leave(&access);
	known = shard;
	return shard;
}

int
wf_shard(void)
{
	return likely(OidIsValid(known_of)) ? known : read_shard();
}

/* ---- numbers ---- */

static int64
with_shard(int64 number, int shard)
{
	if (number > LAST_NUMBER)
		ereport(ERROR, errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
				errmsg("there are no more numbers of instances in shard %d", shard));
	return number << WF_SHARD_BITS | shard;
}

int64
wf_shard_instance(int64 next)
{
	int shard = wf_shard();

	return shard == WF_NO_SHARD ? next : with_shard(next, shard);
}

int64
wf_shard_stride(void)
{
	return wf_shard() == WF_NO_SHARD ? 1 : INT64CONST(1) << WF_SHARD_BITS;
}

/* ---- setting it ---- */

/* Whether instances may have a number that carries the present shard. */
static bool
was_used(int64 next)
{
	bool isnull;

	return wf_query_run(&q_read, NULL, NULL) > 0 &&
		   with_shard(next, DatumGetInt32(wf_result(0, 1, &isnull))) > wf_result_int64(0, 2);
}

static void
refuse_another(int shard, int wanted)
{
	ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("this database is shard %d already, and cannot become shard %d", shard, wanted),
			errdetail("Numbers of its instances carry the %d, by which they are found.", shard));
}

/* Wait for all who have drawn numbers, and keep others from that; the next number of the sequence. */
static int64
hold_numbers(Oid sequence)
{
	LockRelationOid(sequence, ShareRowExclusiveLock);
	wf_query_run(&q_next, NULL, NULL);
	return wf_result_int64(0, 1);
}

static int64
write_shard(int shard, int64 next)
{
	Datum values[2] = {Int32GetDatum(shard), Int64GetDatum(with_shard(next, shard))};

	wf_query_run(&q_write, values, NULL);
	return DatumGetInt64(values[1]);
}

int64
wf_shard_replace(int shard)
{
	int64 next = hold_numbers(wf_store_relation("instance_seq"));
	int	  present = wf_shard();

	if (present == WF_NO_SHARD)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("this database is no shard"),
				errhint("Call workflow.set_shard() before it is copied."));
	if (shard != WF_NO_SHARD && shard != present)
		return write_shard(shard, next);
	return with_shard(next, present);
}

int64
wf_shard_set(int shard, int64 above)
{
	Oid	  sequence = wf_store_relation("instance_seq");
	int64 next = hold_numbers(sequence);
	int	  present = wf_shard();

	if (present == shard && was_used(next))
		return wf_result_int64(0, 2);
	if (present != WF_NO_SHARD && was_used(next))
		refuse_another(present, shard);
	next = Max(next, (above >> WF_SHARD_BITS) + 1);
	(void) DirectFunctionCall3(setval3_oid, ObjectIdGetDatum(sequence), Int64GetDatum(next), BoolGetDatum(false));
	return write_shard(shard, next);
}
