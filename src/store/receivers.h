/*
 * receivers.h
 *		Who waits for a message or a signal, as far as the sender may reach them.
 *
 * A role reaches waits of processes and steps on which it has the privilege complete; it does not hear
 * of others. All functions are called inside wf_store_enter, and see the latest committed rows and
 * what this transaction has written.
 */
#ifndef WF_RECEIVERS_H
#define WF_RECEIVERS_H

#include "postgres.h"

#include "nodes/pg_list.h"

typedef struct WfReceiver
{
	int64		subscription;
	int64		instance;
	int64		visit;
	int			entry;
	int			process_id;
	const char *step;
} WfReceiver;

typedef struct WfAddress
{
	bool		signal; /* else a message */
	const char *name;
	const char *key;	  /* of a message; NULL: none */
	int64		instance; /* of a message; 0: any, else it may leave the key out */
} WfAddress;

/* A role, and what it may reach at an address. */
typedef struct WfReach
{
	Oid	  role;		  /* InvalidOid: it reaches nobody */
	List *rights;	  /* as far as they were looked up */
	int	  nprocesses; /* of `processes` */
	int	 *processes;  /* where it may reach some visit; NULL: they were not looked up */
} WfReach;

/*
 * Look at the subscriptions of an address behind *after and below `before`, in their order, and return
 * those that the role reaches, at most `limit`. For a message, only the first of each visit, and those
 * to which one is under way that ends their wait are left out. *after is moved behind the last one that was
 * looked at; it is PG_INT64_MAX at the end. Returns how many, in CurrentMemoryContext.
 */
extern int wf_receivers(const WfAddress *address, WfReach *reach, int64 *after, int64 before, int limit,
						WfReceiver *receivers);

/* Does the subscription still stand? To be asked with its instance locked. */
extern bool wf_receiver_waits(int64 subscription);
/* Does it, and is nothing under way to it that ends its wait? */
extern bool wf_receiver_is_open(int64 subscription);

/*
 * How many visits wait for a message that the role may reach; and as text, of which processes and
 * steps: "2 of process \"a\" at step \"b\", …".
 */
extern int wf_receivers_count(const WfAddress *address, WfReach *reach, char **whose);

#endif
