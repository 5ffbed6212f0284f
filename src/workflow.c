/*
 * workflow.c
 *		Loading the library: settings always; shared memory, processes and hooks only while preloading.
 *
 * During pg_upgrade nothing of ours may run or write.
 */
#include "compat.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "http/server.h"
#include "shmem/settings.h"
#include "shmem/shmem.h"
#include "store/query.h"
#include "worker/memory.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	wf_memory_define();
	wf_settings_define();
	wf_server_init();
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	wf_shmem_init();
	wf_query_init();
	wf_view_plan_init();
	wf_serial_index_init();
	wf_launcher_register();
	wf_utility_hook_install();
}
