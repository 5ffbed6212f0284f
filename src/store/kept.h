/*
 * kept.h
 *		The table of messages: those that are kept until somebody waits for them, those that are offered to
 *		one that waits, and those of which it is remembered that they were delivered.
 *
 * Kept messages and opening waits do not see each other before both are committed. Both leave a wake-up
 * with their numbers, and the dispatcher looks for the partner of each (worker/matching.c). A message that
 * goes to a wait by a delivery keeps its row, and so its place, until it was delivered. All functions are
 * called inside wf_store_enter.
 */
#ifndef WF_KEPT_H
#define WF_KEPT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

typedef struct WfMessage
{
	int64		number; /* of its row; 0: it has none */
	const char *name;
	const char *key;		/* NULL: none */
	const char *message_id; /* NULL: none */
	int64		instance;	/* that alone may get it; 0: any */
	bool		to_all;
	Jsonb	   *data;  /* NULL: none */
	int			steps; /* without a wait that led to the step that sent it; 0: no step did */
	Oid			role;  /* that has sent it, and its name then */
	const char *role_name;
	TimestampTz sent_at;
	TimestampTz expires_at;		  /* 0: it is for who waits at the time */
	TimestampTz remembered_until; /* 0: it has no message_id */
	int64		refused;		  /* the last subscription that did not take it */
} WfMessage;

/*
 * Add a row, which is kept until something else is said of it. If its message_id is remembered, nothing
 * is added, and false returned; while another transaction is about to add the same, its end is waited
 * for.
 */
extern bool wf_kept_add(WfMessage *message);
/* Leave the wake-up for a message that is kept. */
extern void wf_kept_wake(const WfMessage *message);
/* A delivery brings it to this subscription. */
extern void wf_kept_offer(const WfMessage *message, int64 subscription);
/* It was delivered: its row goes, unless its message_id has to be remembered. */
extern void wf_kept_delivered(const WfMessage *message);
/* It goes to nobody: its row goes as if it had not been sent, and it can be sent again. */
extern void wf_kept_forget(const WfMessage *message);
/*
 * The wait to which it was offered is over: it is kept again for later ones, with its wake-up, or
 * forgotten, if it has expired or was not to be kept.
 */
extern void wf_kept_refused(const WfMessage *message, int64 subscription, TimestampTz now);

/*
 * Does the role have a message kept with this name, key and instance? Then one that comes after that is
 * kept behind it.
 */
extern bool wf_kept_before(const WfMessage *message);

/* ---- matching ---- */

/* How many are kept? They are counted up to `limit`. */
extern int wf_kept_count(int limit);
/*
 * Look at kept messages from number *from on, `limit` of them, and find those for which somebody
 * waits, written to `numbers`. Returns how many; *from is moved behind those that were looked at, and is
 * PG_INT64_MAX at the end.
 */
extern int wf_kept_wanted(int64 *from, int limit, int64 *numbers);
/* The same for subscriptions: find those for which a message is kept. */
extern int wf_kept_waiting(int64 *from, int limit, int64 *subscriptions);
/* Find messages above `after` that are kept for this subscription, in order, at most `limit`. Returns how many. */
extern int wf_kept_for(int64 subscription, int64 after, int limit, int64 *numbers);
/*
 * Find the messages that are kept for the same as this one and came before it, the oldest first, at most
 * `limit`: whoever waits gets them first. Returns how many.
 */
extern int wf_kept_older(int64 number, int limit, int64 *numbers);
/*
 * Lock a kept message and read it. Returns false if it is gone, has expired, or, with *locked set, somebody else has it
 * locked.
 */
extern bool wf_kept_take(int64 number, WfMessage *message, bool *locked);

/* ---- who may keep one ---- */

/* Has the role complete or start on a process whose latest version names the message? */
extern bool wf_kept_allowed(const char *name, Oid role);
/* The messages that the latest version of the process names, each with its step, are these from now on. */
extern void wf_kept_names(int process_id, const char *const *names, const char *const *steps, int n);

/* ---- upkeep ---- */

/* Delete some of what has expired or need not be remembered any more. Returns true if there may be more. */
extern bool wf_kept_purge(void);

#endif
