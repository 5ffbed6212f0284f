/*
 * data_cache.h
 *		The large data that this process has read last, kept as long as they stay the same.
 *
 * An executor does one step in a transaction. Those of a list of many items would each fetch and unpack the same data twice.
 */
#ifndef WF_DATA_CACHE_H
#define WF_DATA_CACHE_H

#include "postgres.h"

#include "utils/jsonb.h"

/* What is stored: it lives as long as CurrentMemoryContext, and may not be changed. */
extern Jsonb *wf_data_cache_read(Datum stored);

#endif
