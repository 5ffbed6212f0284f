/*
 * budget.c
 *		How much of the dispatcher's time moves may take, by owner.
 *
 * CPU time counts, so that nobody is blamed for a lock or a busy machine. Of each move only the time beyond that of an
 * ordinary move counts, so that an owner may have any number of those. Amounts are in microseconds.
 *
 * The owner of a process is kept for some seconds and may be out of date: this is about time, not about rights.
 */
#include "postgres.h"

#include <time.h>

#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "store/privilege.h"
#include "worker/budget.h"

/* So much an owner may use at once. */
#define BUDGET 50000
/* An owner that has spent the whole budget has all of it again after so long. */
#define FORGOTTEN_AFTER INT64CONST(1000000)
/* An ordinary move takes less than this. */
#define ORDINARY 200
/* A move that takes more than SLOW has its whole process left to executors for SLOW_MS. */
#define SLOW	20000
#define SLOW_MS 60000
/* A move is never stopped before this, since the timer is no finer. */
#define LEAST 10000
/* The owner of a process is looked up again after so long. */
#define OWNER_KNOWN_MS 10000

typedef struct Owner
{
	Oid			role;
	int64		used;  /* of the budget */
	TimestampTz as_of; /* when `used` was worked out */
	bool		spent; /* the budget was spent, and not all of that is forgotten yet */
} Owner;

typedef struct Process
{
	int			process_id;
	Owner	   *owner;
	TimestampTz owner_known_until;
	TimestampTz slow_until;
} Process;

static HTAB *owners = NULL;
static HTAB *processes = NULL;

/* The move that is under way. The timer's signal handler reads the volatile ones. */
static Process			   *moving = NULL;
static volatile TimestampTz moving_since;
/* CPU time when the move began, or earlier: the clock is not read again after a move that was ordinary. 0: not read. */
static volatile int64 cpu_before;
static volatile int64 may_take;
static volatile bool  under_way = false;

static int64
cpu_time(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0)
		return 0;
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- owners and processes ---- */

static HTAB *
make_budget_table(const char *name, Size key, Size entry)
{
	HASHCTL ctl = {.keysize = key, .entrysize = entry};

	return hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS);
}

static Owner *
find_owner(Oid role)
{
	Owner *owner;
	bool   found;

	if (owners == NULL)
		owners = make_budget_table("workflow owners", sizeof(Oid), sizeof(Owner));
	owner = hash_search(owners, &role, HASH_ENTER, &found);
	if (!found)
		*owner = (Owner){.role = role};
	return owner;
}

static Process *
find_process(int process_id, TimestampTz now)
{
	Process *process;
	bool	 found;

	if (processes == NULL)
		processes = make_budget_table("workflow process times", sizeof(int), sizeof(Process));
	process = hash_search(processes, &process_id, HASH_FIND, NULL);
	if (process == NULL || process->owner_known_until <= now)
	{
		Owner *owner = find_owner(wf_process_owner(process_id));

		process = hash_search(processes, &process_id, HASH_ENTER, &found);
		if (!found)
			*process = (Process){.process_id = process_id};
		process->owner = owner;
		process->owner_known_until = TimestampTzPlusMilliseconds(now, OWNER_KNOWN_MS);
	}
	return process;
}

/* ---- what an owner has left ---- */

/* Forget a part of what the owner has used, by the time that has passed. */
static void
forget_some(Owner *owner, TimestampTz now)
{
	int64 forgotten = Max(now - owner->as_of, 0) * BUDGET / FORGOTTEN_AFTER;

	if (owner->used == 0 || forgotten == 0)
		return;
	owner->as_of = now;
	owner->used = Max(owner->used - forgotten, 0);
	if (owner->used == 0)
		owner->spent = false;
}

bool
wf_budget_is_spent(int process_id, TimestampTz now)
{
	Process *process = find_process(process_id, now);

	forget_some(process->owner, now);
	return process->owner->spent || process->slow_until > now;
}

/* wf_budget_is_spent was asked about the process just before, so that its owner is known: nothing is looked up here. */
void
wf_budget_begin(int process_id)
{
	moving_since = GetCurrentTimestamp();
	moving = find_process(process_id, moving_since);
	if (cpu_before == 0)
		cpu_before = cpu_time();
	may_take = Max(BUDGET - moving->owner->used, LEAST);
	under_way = true;
}

void
wf_budget_forget(void)
{
	under_way = false;
	moving = NULL;
	cpu_before = 0;
}

bool
wf_budget_end(void)
{
	TimestampTz now = GetCurrentTimestamp();
	Process	   *process = moving;
	Owner	   *owner;
	int64		took;

	under_way = false;
	moving = NULL;
	if (process == NULL || now - moving_since <= ORDINARY)
		return false;
	took = Min(cpu_time() - cpu_before, now - moving_since);
	cpu_before = 0;
	if (took <= ORDINARY)
		return false;
	owner = process->owner;
	if (owner->used == 0)
		owner->as_of = now;
	owner->used += took - ORDINARY;
	owner->spent |= owner->used >= BUDGET;
	if (took >= SLOW)
		process->slow_until = TimestampTzPlusMilliseconds(now, SLOW_MS);
	return owner->spent || took >= SLOW;
}

bool
wf_budget_is_exceeded(void)
{
	return under_way && GetCurrentTimestamp() - moving_since > may_take && cpu_time() - cpu_before > may_take;
}
