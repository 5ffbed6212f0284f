/*
 * define.h
 *		Processes that the extension itself defines.
 */
#ifndef WF_API_DEFINE_H
#define WF_API_DEFINE_H

#include "postgres.h"

/*
 * Define a process as `owner`'s, whose search_path is empty and whose times are in UTC, as if he had called workflow.define, but
 * without checks. Returns its number. ERROR 42501 if it is another owner's. To be called inside wf_store_enter.
 */
extern int wf_define_for(Oid owner, const char *name, const char *definition);
/* Was the process defined so, the last time? */
extern bool wf_define_is(int process_id, const char *definition);

#endif
