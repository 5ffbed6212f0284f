/*
 * business_key.h
 *		Business keys: of the living instances of a process, each has one of its own.
 *
 * All functions are called inside wf_store_enter.
 */
#ifndef WF_BUSINESS_KEY_H
#define WF_BUSINESS_KEY_H

#include "store/batch.h"

/* In bytes: what an index entry can hold, whether the key compresses or not. */
#define WF_MAX_BUSINESS_KEY 2000

/* The living instance of the process that has the key, or 0. */
extern int64 wf_business_key_living(int process_id, const char *business_key);

/* ERROR 23505 if a living instance has the key. NULL: nothing is asked. */
extern void wf_business_key_require_free(const WfProcess *process, const char *business_key);

/*
 * Flush a new instance with this key, or NULL. While another transaction is about to start one with the same, its end
 * is waited for. ERROR 23505 as above.
 */
extern void wf_business_key_flush(WfBatch *batch, const WfProcess *process, const char *business_key);

#endif
