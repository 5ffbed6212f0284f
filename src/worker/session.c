/*
 * session.c
 *		What the session of every worker needs: transactions whose now() is right, and serving interrupts.
 */
#include "compat.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"

#include "worker/memory.h"
#include "worker/worker.h"

void
wf_begin_transaction(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
}

void
wf_worker_check(void)
{
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
}

bool
wf_worker_interrupts(void)
{
	wf_worker_check();
	if (!ConfigReloadPending)
		return false;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	wf_memory_limit_follow();
	return true;
}
