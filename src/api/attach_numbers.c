/*
 * attach_numbers.c
 *		Numbers issued to rows that are being inserted, until their instances are started.
 *
 * The BEFORE trigger shows the row a number; the AFTER trigger starts the instance under it. What
 * the row says by then cannot be trusted, since another trigger may have put any number there. So
 * the numbers issued are remembered here, for this backend and transaction, and each can be
 * redeemed once, for the attachment that it was issued for.
 *
 * Numbers are kept as runs of consecutive ones in order of issue: a bulk insert costs a byte a row,
 * not an entry. Rows that are not inserted after all (ON CONFLICT) leave theirs unredeemed until
 * the transaction ends; a rolled back subtransaction takes back what was issued in it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "api/attach_internal.h"
#include "store/access.h"
#include "store/identity.h"
#include "store/shard.h"

#define RUN_LENGTH 64

typedef struct Run
{
	int64			 instance; /* first number of the run */
	int64			 visit;	   /* the visit that goes with the first number; 0: the run has no visits */
	uint64			 redeemed; /* bitmap of the redeemed numbers */
	int				 n;
	int				 stride; /* by how much instances of the run differ */
	int				 attachment;
	int				 version;
	SubTransactionId subid;
} Run;

static Run	 *runs = NULL; /* sorted by instance; in TopMemoryContext, NULL while there are none */
static int	  nruns = 0;
static int	  allocated = 0;
static int64  outstanding = 0; /* numbers issued and not redeemed */
static uint64 transaction = 0;
static bool	  registered = false;

static void
forget_all(void)
{
	if (runs != NULL)
		pfree(runs);
	runs = NULL;
	nruns = allocated = 0;
	outstanding = 0;
	transaction++;
}

static void
numbers_at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		forget_all();
}

static int
count_bits(uint64 bits)
{
	int n = 0;

	for (; bits != 0; bits &= bits - 1)
		n++;
	return n;
}

/*
 * Forget the runs of an aborted subtransaction. Its own subtransactions began after it, and so have
 * higher numbers.
 */
static void
numbers_at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	while (nruns > 0 && runs[nruns - 1].subid >= mine)
	{
		nruns--;
		outstanding -= runs[nruns].n - count_bits(runs[nruns].redeemed);
	}
}

uint64
wf_attach_transaction(void)
{
	if (!registered)
	{
		RegisterXactCallback(numbers_at_transaction_end, NULL);
		RegisterSubXactCallback(numbers_at_subtransaction_end, NULL);
		registered = true;
	}
	return transaction;
}

/* ---- issuing ---- */

/*
 * Take numbers from the sequences. A backend's first call may have to read tables, to check the
 * sequences.
 */
static void
take_numbers(bool with_visit, WfIssued *issued)
{
	static bool taken = false;
	WfAccess	access;

	if (!taken)
		wf_store_enter(&access);
	issued->instance = wf_next_instance();
	issued->visit = with_visit ? wf_next_visit() : 0;
	if (!taken)
		wf_store_leave(&access);
	taken = true;
}

static bool
continues(const Run *run, int attachment, const WfIssued *issued)
{
	return run->n < RUN_LENGTH && run->attachment == attachment && run->version == issued->version &&
		   run->subid == GetCurrentSubTransactionId() &&
		   issued->instance == run->instance + (int64) run->n * run->stride &&
		   issued->visit == (run->visit != 0 ? run->visit + run->n : 0);
}

static Run *
new_run(void)
{
	if (outstanding == 0)
		nruns = 0;
	if (nruns == allocated)
	{
		int wanted = Max(16, allocated * 2);

		if (runs == NULL)
			runs = MemoryContextAlloc(TopMemoryContext, sizeof(Run) * wanted);
		else
			runs = repalloc_huge(runs, sizeof(Run) * wanted);
		allocated = wanted;
	}
	return &runs[nruns++];
}

void
wf_numbers_issue(const WfAttached *attached, WfIssued *issued)
{
	Run *run;

	(void) wf_attach_transaction();
	issued->version = attached->version;
	take_numbers(attached->shows_start, issued);
	if (nruns > 0 && continues(&runs[nruns - 1], attached->row.id, issued))
		runs[nruns - 1].n++;
	else
	{
		run = new_run();
		*run = (Run){.instance = issued->instance,
					 .visit = issued->visit,
					 .n = 1,
					 .stride = wf_shard_stride(),
					 .attachment = attached->row.id,
					 .version = issued->version,
					 .subid = GetCurrentSubTransactionId()};
	}
	outstanding++;
}

/* ---- redeeming ---- */

/* The last run whose first number is not above `instance`, or NULL. */
static Run *
find_run(int64 instance)
{
	int low = 0;
	int high = nruns;

	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (runs[middle].instance <= instance)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? &runs[low - 1] : NULL;
}

/* The place of a number in the run that it may be of, or -1. */
static int64
place_in_run(const Run *run, int64 instance)
{
	int64 distance = instance - run->instance;

	return distance % run->stride == 0 && distance / run->stride < run->n ? distance / run->stride : -1;
}

bool
wf_numbers_redeem(int attachment, int64 instance, WfIssued *issued)
{
	Run	  *run = find_run(instance);
	int64  offset;
	uint64 bit;

	if (run == NULL || run->attachment != attachment)
		return false;
	offset = place_in_run(run, instance);
	if (offset < 0)
		return false;
	bit = UINT64CONST(1) << offset;
	if ((run->redeemed & bit) != 0)
		return false;
	run->redeemed |= bit;
	outstanding--;
	issued->instance = instance;
	issued->visit = run->visit != 0 ? run->visit + offset : 0;
	issued->version = run->version;
	return true;
}

bool
wf_numbers_is_unused(int64 instance)
{
	const Run *run = outstanding > 0 ? find_run(instance) : NULL;
	int64	   place = run != NULL ? place_in_run(run, instance) : -1;

	return place >= 0 && (run->redeemed & (UINT64CONST(1) << place)) == 0;
}
