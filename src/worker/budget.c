/*
 * budget.c
 *		How much of the dispatcher's time moves may take, by owner.
 *
 * What counts is CPU time, so that neither a lock nor a busy machine is anybody's fault, and of each move only what is beyond
 * an ordinary one: those may be as many as there are. Amounts are in microseconds.
 *
 * Owners are looked up now and then: this is about time, not about rights.
 */
#include "postgres.h"

#include <time.h>

#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "store/privilege.h"
#include "worker/budget.h"

/* An owner may take that at once … */
#define BUDGET 50000
/* … and has it again after that long; in between it takes nothing. */
#define FORGOTTEN_AFTER INT64CONST(1000000)
/* An ordinary move takes less. */
#define ORDINARY 200
/* One that takes more stands for its process, for a minute. */
#define SLOW	20000
#define SLOW_MS 60000
/* What an owner has left is at least that: the timer is no finer. */
#define LEAST		   10000
#define OWNER_KNOWN_MS 10000

typedef struct Owner
{
	Oid			role;
	int64		used;
	TimestampTz as_of;
	bool		spent; /* until all is forgotten */
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

/* The move under way */
static Process			   *moving = NULL;
static volatile TimestampTz moving_since; /* these are read by the timer, too */
static volatile int64		cpu_before;	  /* at its begin or earlier: the ordinary ones before it are not looked at */
static volatile int64		may_take;
static volatile bool		under_way = false;

static int64
cpu_time(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0)
		return 0;
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- who it is ---- */

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

/* ---- what it has left ---- */

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

/* It may be asked of a process that was asked about just now: its owner is known. */
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
