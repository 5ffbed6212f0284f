/*
 * beside.c
 *		Statements and write-backs that share a transaction of an executor: how many, for how long, and of which steps.
 *
 * Waiting for the disk is most of what a short statement costs. The locks that one takes are held until all are committed, so this must not
 * take long. A step whose statement was slow is left to transactions of its own until it has been short there many times in a
 * row. That is remembered in this process's memory, for so many steps; whoever does not know it yet loses a few milliseconds.
 */
#include "postgres.h"

#include "storage/proc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/careful.h"
#include "worker/beside.h"

/* Nothing is begun beside others after so long. */
#define SHARED_US 5000
/*
 * Nor when the transaction has so many subtransactions that write. From 64 on, others would have to look into pg_subtrans for
 * whatever they see of it.
 */
#define MOST_SUBTRANSACTIONS 48
/* Nor when it has taken so much memory, which it gives back at its end. */
#define MOST_BYTES (16 * 1024 * 1024)
/* A statement is short if it does not take longer, and it was slow if it took so long. */
#define SHORT_US 1000
#define SLOW_US	 5000
/* So often a slow one has to be short in a row. */
#define SHORT_AGAIN 64
/* Of so many steps something is remembered; then all is forgotten. */
#define MOST_STEPS 1024

/* Before others go together again, so many transactions have one piece of work, since some have failed together. */
#define ALONE 64

static TimestampTz until = 0;
static int		   count = 0;
static int		   alone = 0;

void
wf_beside_begin(void)
{
	count = 0;
	until = 0;
	if (alone > 0)
		alone--;
	else if (!wf_careful())
		until = GetCurrentTimestamp() + SHARED_US;
}

bool
wf_beside_failed(void)
{
	if (count > 0)
		alone = ALONE;
	return count > 0;
}

void
wf_beside_close(void)
{
	until = 0;
}

bool
wf_beside_goes_on(void)
{
	return until != 0 && !MyProc->subxidStatus.overflowed && MyProc->subxidStatus.count < MOST_SUBTRANSACTIONS &&
		   GetCurrentTimestamp() < until && MemoryContextMemAllocated(TopTransactionContext, true) < MOST_BYTES;
}

void
wf_beside_done(void)
{
	count++;
}

int
wf_beside_count(void)
{
	return count;
}

/* ---- steps ---- */

typedef struct StepKey
{
	int process_id;
	int version;
	int step;
} StepKey;

typedef struct KnownStep
{
	StepKey key;
	int		alone; /* so often it has to be short before it is done beside others again */
	bool	sees_rows;
} KnownStep;

static HTAB *steps = NULL;

static StepKey
key_of(const WfVisit *visit)
{
	const WfProcess *process = visit->instance->process;

	return (StepKey){process->process_id, process->version, visit->def->index};
}

static KnownStep *
find(const WfVisit *visit)
{
	StepKey key = key_of(visit);

	return steps != NULL ? hash_search(steps, &key, HASH_FIND, NULL) : NULL;
}

static KnownStep *
remember(const WfVisit *visit)
{
	StepKey	   key = key_of(visit);
	KnownStep *step;
	bool	   found;

	if (steps != NULL && hash_get_num_entries(steps) >= MOST_STEPS)
	{
		hash_destroy(steps);
		steps = NULL;
	}
	if (steps == NULL)
	{
		HASHCTL ctl = {.keysize = sizeof(StepKey), .entrysize = sizeof(KnownStep)};

		steps = hash_create("workflow steps", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	step = hash_search(steps, &key, HASH_ENTER, &found);
	if (!found)
	{
		step->alone = 0;
		step->sees_rows = false;
	}
	return step;
}

bool
wf_beside_is_short(const WfVisit *visit)
{
	const KnownStep *step = find(visit);

	return step == NULL || step->alone == 0;
}

bool
wf_beside_sees_no_rows(const WfVisit *visit)
{
	const KnownStep *step = find(visit);

	return step == NULL || !step->sees_rows;
}

void
wf_beside_note_time(const WfVisit *visit, int64 us)
{
	KnownStep *step = find(visit);

	if (us >= SLOW_US)
		remember(visit)->alone = SHORT_AGAIN;
	else if (step == NULL || step->alone == 0)
		return;
	else if (us <= SHORT_US)
		step->alone--;
	else
		step->alone = SHORT_AGAIN;
}

void
wf_beside_note_slow(const WfVisit *visit)
{
	remember(visit)->alone = SHORT_AGAIN;
}

void
wf_beside_note_seen(const WfVisit *visit)
{
	remember(visit)->sees_rows = true;
}
