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
 * Its sender takes it back, or another role that has his rights. Returns false if none of theirs is kept under this
 * number; one that is about to be matched is waited for.
 */
extern bool wf_kept_withdraw(int64 number, Oid role);
/*
 * The wait to which it was offered is over: it is kept again for later ones, with its wake-up, or
 * forgotten, if it has expired or was not to be kept.
 */
extern void wf_kept_refused(const WfMessage *message, TimestampTz now);

/*
 * Does the role have a message kept with this name, key and instance? Then one that comes after that is
 * kept behind it.
 */
extern bool wf_kept_before(const WfMessage *message);

/* ---- matching ---- */

/* How many are kept? They are counted up to `limit`. */
extern int wf_kept_count(int limit);
/* What is needed to find out who may have a message. The others of its fields are not set. */
typedef struct WfKept
{
	WfMessage message;
	bool	  wanted; /* somebody waits for such a message, with or without rights of its sender there */
} WfKept;

/*
 * Look at kept messages from number *from on, at most `limit` of them. Returns how many; *from is moved behind
 * those that were looked at, and is PG_INT64_MAX at the end.
 */
extern int wf_kept_look(int64 *from, int limit, WfKept *kept);
/* Look at these, as far as they are kept, palloc'd. Returns how many. */
extern int wf_kept_look_at(const int64 *numbers, int n, WfKept **kept);
/* Look at subscriptions likewise, and find those for which a message is kept. */
extern int wf_kept_waiting(int64 *from, int limit, int64 *subscriptions);
/*
 * Of each role that has messages kept for this subscription, find the first: those of all roles in the order in which
 * they came. Of these messages alone, unless `of` is NULL. Returns how many, palloc'd.
 */
extern int wf_kept_firsts(int64 subscription, const int64 *of, int n, WfKept **firsts);
/*
 * Lock a kept message and read it. Returns false if it is gone, has expired, or, with *locked set, somebody else has it
 * locked.
 */
extern bool wf_kept_take(int64 number, WfMessage *message, bool *locked);

/* ---- who may keep one ---- */

/*
 * Has the role complete or start on a process that names the message, in any of its versions? Of one that is undefined
 * only as long as instances of it live.
 */
extern bool wf_kept_allowed(const char *name, Oid role);
/* A version of the process names these messages, each with its step. */
extern void wf_kept_names(int process_id, const char *const *names, const char *const *steps, int n);

/* ---- upkeep ---- */

/* Delete some of what has expired or need not be remembered any more. Returns true if there may be more. */
extern bool wf_kept_purge(void);

#endif
