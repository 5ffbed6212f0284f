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

/* A process that the message starts an instance of has no subscription. */
#define WF_SUBSCRIPTION_NONE INT64CONST(0)

typedef struct WfReceiver
{
	int64		subscription;
	int64		instance;
	int64		visit;
	int			entry;
	int			process_id;
	const char *step;
	bool		stays; /* it does not end with what it gets: a handler that goes on beside it */
} WfReceiver;

typedef struct WfAddress
{
	bool		signal; /* else a message */
	const char *name;
	const char *key;	  /* of a message; NULL: none */
	int64		instance; /* of a message; 0: any, else it may leave the key out */
} WfAddress;

/* A role, and what it may reach, as far as that was asked. */
typedef struct WfRights
{
	Oid	  role; /* InvalidOid: it reaches nobody */
	List *known;
} WfRights;

/* The processes and steps with waits at an address that a role may reach. */
typedef struct WfReach
{
	WfRights	*rights;
	bool		 found; /* whether they were looked up */
	int			 nplaces;
	int			*processes;
	const char **steps;
} WfReach;

/* May the role reach visits of the process at this step? */
extern bool wf_rights_reach(WfRights *rights, int process_id, const char *step);

/*
 * Look at the subscriptions of an address behind *after and below `before`, in their order, and return
 * those that the role reaches, at most `limit`. For a message, only the first of each visit, and those
 * to which one is under way that ends their wait are left out. *after is moved behind the last one that was
 * looked at; it is PG_INT64_MAX at the end. Returns how many, in CurrentMemoryContext.
 */
extern int wf_receivers(const WfAddress *address, WfReach *reach, int64 *after, int64 before, int limit,
						WfReceiver *receivers);

/*
 * Does the subscription still stand? To be asked with its instance locked. *entry becomes that of its visit's step, which
 * another version of the process may have at another place.
 */
extern bool wf_receiver_waits(int64 subscription, int *entry);
/* The same of many; -1: it does not stand. */
extern void wf_receivers_stand(const int64 *subscriptions, int n, int *entries);
/* Does it, and is nothing under way to it that ends its wait? Then read it. */
extern bool wf_receiver_is_open(int64 subscription, WfReceiver *receiver);

/*
 * Close it, if it stands, since it did not take what was brought: nothing more is. To be called with its
 * instance locked, as are the following.
 */
extern void wf_receiver_close(int64 subscription);
/*
 * What ends waits of these instances is held, or is held no longer: so that whoever looks for receivers does
 * not look at thousands that have theirs.
 */
extern void wf_receivers_close(const int64 *instances, int n);
extern void wf_receivers_open(const int64 *instances, int n);

/*
 * How many visits wait for a message that the role may reach; and as text, of which processes and
 * steps: "2 of process \"a\" at step \"b\", …".
 */
extern int wf_receivers_count(const WfAddress *address, WfReach *reach, char **whose);

#endif
