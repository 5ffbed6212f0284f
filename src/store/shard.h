/*
 * shard.h
 *		Which of several databases this one is: its number, which the numbers of its instances carry.
 */
#ifndef WF_SHARD_H
#define WF_SHARD_H

#include "postgres.h"

#define WF_SHARD_BITS 10
#define WF_SHARD_MAX  1023
#define WF_NO_SHARD	  (-1)

/* The number of this database, WF_NO_SHARD if it was given none. Remembered until it changes. */
extern int wf_shard(void);

/*
 * What the next number of the sequence of instances becomes. To be called behind nextval in the same transaction, whose lock
 * on the sequence keeps the shard as it is. ERROR 2200H if there are no more.
 */
extern int64 wf_shard_instance(int64 next);
/* By how much instances differ that come one after the other. */
extern int64 wf_shard_stride(void);

/*
 * Give this database a number; the first number of an instance that carries it, which is above `above`. Inside
 * wf_store_enter. ERROR 55000 if instances carry another one.
 */
extern int64 wf_shard_set(int shard, int64 above);

/*
 * Of a copy of a shard that is to be a half of it: the same for a database whose instances carry another shard. `shard` may be
 * WF_NO_SHARD: the one that it has. ERROR 55000 if it has none.
 */
extern int64 wf_shard_replace(int shard);

#endif
