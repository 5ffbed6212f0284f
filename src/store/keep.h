/*
 * keep.h
 *		Keep a part of a shard's instances, and drop the others, which live on in a copy.
 */
#ifndef WF_KEEP_H
#define WF_KEEP_H

#include "postgres.h"

/*
 * Keep the instances whose number, without its shard, leaves this remainder. Inside wf_store_enter; nobody else moves or starts any
 * until the end of the transaction. Returns how many living ones were dropped. ERROR 55000 if an instance that lives was called by
 * one of another part.
 */
extern int64 wf_keep(int modulus, int remainder);

#endif
