/*
 * shard.c
 *		workflow.set_shard, shard, keep: which of several databases this one is, and what of it.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/rel.h"

#include "api/arguments.h"
#include "shmem/settings.h"
#include "store/access.h"
#include "store/audit.h"
#include "store/identity.h"
#include "store/keep.h"
#include "store/shard.h"
#include "store/version.h"

WF_FUNCTION(workflow_set_shard);
WF_FUNCTION(workflow_keep);
WF_FUNCTION(workflow_shard);
PG_FUNCTION_INFO_V1(workflow_shard_changed);

static void
check_arguments(int shard, int64 above)
{
	if (shard < 0 || shard > WF_SHARD_MAX)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no shard %d", shard),
				errhint("Shards have the numbers 0 to %d.", WF_SHARD_MAX));
	if (above < 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("numbers of instances cannot begin above " INT64_FORMAT, above));
}

/*
 * workflow.set_shard(shard integer, above bigint) → bigint, the first number of an instance that carries it
 *
 * Errors: 22023 for what is out of range, 55000 if instances carry another one.
 */
Datum
workflow_set_shard(PG_FUNCTION_ARGS)
{
	WfAccess access;
	int64	 first;

	wf_argument_require(fcinfo, 0, "shard");
	wf_argument_require(fcinfo, 1, "above");
	check_arguments(PG_GETARG_INT32(0), PG_GETARG_INT64(1));
	PreventCommandIfReadOnly("workflow.set_shard()");
	wf_store_enter(&access);
	first = wf_shard_set(PG_GETARG_INT32(0), PG_GETARG_INT64(1));
	wf_audit(&(WfAudit){.call = "set_shard", .caller = access.caller});
	wf_store_leave(&access);
	PG_RETURN_INT64(first);
}

static void
check_part(int modulus, int remainder)
{
	if (modulus < 2 || modulus > WF_SHARD_MAX + 1)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a shard has 2 to %d parts, not %d", WF_SHARD_MAX + 1, modulus));
	if (remainder < 0 || remainder >= modulus)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a number divided by %d does not leave %d", modulus, remainder));
}

/* What workers have under way, or in memory, must not go. */
static void
require_quiet(void)
{
	if (!wf_setting_start_paused || wf_identity_adopted_since_start())
		ereport(
			ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("workers may be at work in this database"),
			errhint(
				"Start the server with workflow.start_paused = on, and call workflow.adopt() behind workflow.keep()."));
}

/*
 * workflow.keep(modulus integer, remainder integer, shard integer) → bigint, the first number of an instance that starts here from now on
 *
 * Errors: 22023 for what is out of range, 55000 if workers may be at work, the database is no shard, or instances would be parted.
 */
Datum
workflow_keep(PG_FUNCTION_ARGS)
{
	int		 shard = PG_ARGISNULL(2) ? WF_NO_SHARD : PG_GETARG_INT32(2);
	WfAccess access;
	int64	 first;
	int64	 dropped;

	wf_argument_require(fcinfo, 0, "modulus");
	wf_argument_require(fcinfo, 1, "remainder");
	check_part(PG_GETARG_INT32(0), PG_GETARG_INT32(1));
	check_arguments(PG_ARGISNULL(2) ? 0 : shard, 0);
	PreventCommandIfReadOnly("workflow.keep()");
	wf_store_enter(&access);
	require_quiet();
	first = wf_shard_replace(shard);
	dropped = wf_keep(PG_GETARG_INT32(0), PG_GETARG_INT32(1));
	wf_audit(&(WfAudit){.call = "keep", .caller = access.caller});
	wf_store_leave(&access);
	ereport(NOTICE, errmsg("dropped " INT64_FORMAT " living instances, and the history of such others", dropped));
	PG_RETURN_INT64(first);
}

/* workflow.shard() → integer; NULL: this database is none */
Datum
workflow_shard(PG_FUNCTION_ARGS)
{
	int shard = wf_shard();

	if (shard == WF_NO_SHARD)
		PG_RETURN_NULL();
	PG_RETURN_INT32(shard);
}

/* Trigger of workflow_data.shard: at commit, all processes forget the shard that they have read. */
Datum
workflow_shard_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("workflow_data.shard_changed() can only be called as a trigger"));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	PG_RETURN_POINTER(NULL);
}
