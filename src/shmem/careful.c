/*
 * careful.c
 *		After a crash of the server: one piece of work at a time, so that a second crash tells which
 *		one it was.
 *
 * Whether the server was shut down or has died is read from pg_control when shared memory is made,
 * before recovery begins. After a crash workers of all databases take turns for some minutes, and
 * what each is about to do is recorded in a small file. If the server dies again while a single
 * piece was being worked on, that counts as a death of this piece; a piece with three deaths in a
 * row is not begun again. A piece that ends in any way, without a crash, is removed from the
 * record. In ordinary times nothing is written, and nobody waits.
 *
 * The record must outlive the processes, not the machine: it is written, but not flushed. So it can
 * be written in the middle of a transaction, when the locks are held and what is to be done is
 * known. It is in pg_stat_tmp, which no backup copies.
 *
 * A worker that keeps the turn for too long loses it and goes on beside others: a crash then counts
 * for no piece. But its piece is remembered, and may take four times as long after that crash: so a
 * piece that needs a minute to bring the server down is found as well.
 *
 * All of this is protected by careful.lock.
 */
#include "compat.h"

#include <fcntl.h>
#include <unistd.h>

#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "shmem/careful.h"
#include "shmem/slots.h"

#define RECORD_FILE	  PG_STAT_TMP_DIR "/workflow.under_work"
#define RECORD_MAGIC  0x57460001
#define PATIENCE_MS	  10000
#define MOST_UNCLEAR  5 /* with so many, the longest patience is almost three hours */
#define FORGET_MS	  (60 * 60 * 1000)
#define LOOK_AGAIN_MS 1000
/* Who waits asks again and again: one that has not for so long stands still, and holds up nobody. */
#define ABSENT_MS (5 * LOOK_AGAIN_MS)

static int	my_piece = -1; /* index of our piece in the record; -1: none */
static bool keep;		   /* what is known of our piece is kept at its end */
static bool asked = false; /* this process has the turn, or waits in the queue */

/* ---- the record ---- */

static pg_crc32c
checksum(const WfRecord *record)
{
	pg_crc32c crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, record->pieces, sizeof(record->pieces));
	FIN_CRC32C(crc);
	return crc;
}

/*
 * Write the record. If that fails, everything goes on, but a piece that brings the server down is
 * not found.
 */
static void
save_record(WfCareful *careful)
{
	WfRecord *record = &careful->record;
	/* gcc's checks would take an address made from the first member for that member alone */
	const char *bytes = (const char *) careful + offsetof(WfCareful, record);
	int			fd = BasicOpenFile(RECORD_FILE, O_RDWR | O_CREAT | PG_BINARY);
	bool		written = false;

	record->magic = RECORD_MAGIC;
	record->crc = checksum(record);
	if (fd >= 0)
	{
		written = pg_pwrite(fd, bytes, sizeof(*record), 0) == sizeof(*record);
		close(fd);
	}
	if (!written && !careful->complained)
		ereport(LOG, errcode_for_file_access(), errmsg("workflow could not write file \"%s\": %m", RECORD_FILE));
	careful->complained |= !written;
}

static void
load_record(WfRecord *record)
{
	int	 fd = BasicOpenFile(RECORD_FILE, O_RDONLY | PG_BINARY);
	bool whole = false;

	if (fd >= 0)
	{
		whole = read(fd, record, sizeof(*record)) == sizeof(*record) && record->magic == RECORD_MAGIC &&
				record->crc == checksum(record);
		close(fd);
	}
	if (!whole)
		memset(record, 0, sizeof(*record));
}

/* The server starts: count deaths for the pieces that were being worked on when it crashed. */
static void
judge_record(WfRecord *record, bool crashed)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < WF_MAX_PIECES; i++)
	{
		WfPiece *piece = &record->pieces[i];

		if (crashed && piece->working == WF_WORK_ALONE)
			piece->deaths++;
		else if (crashed && piece->working == WF_WORK_BESIDE)
			piece->unclear = Min(piece->unclear + 1, MOST_UNCLEAR);
		piece->working = WF_WORK_NONE;
		if ((piece->deaths == 0 && piece->unclear == 0) || TimestampDifferenceExceeds(piece->at, now, FORGET_MS))
			memset(piece, 0, sizeof(*piece));
	}
}

/*
 * Is this a standby or a restored backup? No worker runs during its recovery, and its pg_control
 * describes another server.
 */
static bool
comes_from_elsewhere(void)
{
	static const char *const signs[] = {"backup_label", "standby.signal", "recovery.signal"};

	for (int i = 0; i < lengthof(signs); i++)
		if (access(signs[i], F_OK) == 0)
			return true;
	return false;
}

static bool
server_has_crashed(void)
{
	bool			 intact;
	ControlFileData *control = get_controlfile(DataDir, &intact);
	DBState			 state = control->state;

	pfree(control);
	return intact && !comes_from_elsewhere() &&
		   (state == DB_IN_PRODUCTION || state == DB_IN_CRASH_RECOVERY || state == DB_SHUTDOWNING);
}

void
wf_careful_init(WfCareful *careful, LWLock *lock)
{
	memset(careful, 0, sizeof(*careful));
	careful->lock = lock;
	careful->holder = WF_NO_PROC;
	careful->crashed = server_has_crashed();
	load_record(&careful->record);
	judge_record(&careful->record, careful->crashed);
	if (careful->crashed)
		save_record(careful);
}

/* ---- for how long ---- */

/*
 * When carefulness ends. The period begins when the first worker asks, since recovery is over then.
 */
static TimestampTz
careful_until(WfCareful *careful)
{
	TimestampTz until;

	LWLockAcquire(careful->lock, LW_EXCLUSIVE);
	if (careful->until == 0)
		careful->until =
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(), wf_setting_careful_after_crash * INT64CONST(1000));
	until = careful->until;
	LWLockRelease(careful->lock);
	return until;
}

/*
 * Let others work beside the one who has the turn, and so is not alone any more. Called under the
 * lock.
 */
static void
end_patience(WfCareful *careful)
{
	for (int i = 0; i < WF_MAX_PIECES; i++)
		if (careful->record.pieces[i].working == WF_WORK_ALONE)
			careful->record.pieces[i].working = WF_WORK_BESIDE;
	careful->holder = WF_NO_PROC;
	save_record(careful);
}

bool
wf_careful(void)
{
	static TimestampTz until = 0;
	static bool		   over = false;

	if (over || wf_shared == NULL || !wf_shared->careful.crashed)
		return false;
	if (until == 0)
		until = careful_until(&wf_shared->careful);
	if (GetCurrentTimestamp() < until)
		return true;
	/* from now on this process works beside the one who may still have the turn */
	LWLockAcquire(wf_shared->careful.lock, LW_EXCLUSIVE);
	end_patience(&wf_shared->careful);
	LWLockRelease(wf_shared->careful.lock);
	over = true;
	return false;
}

/* ---- turns ---- */

static void
leave_queue(WfCareful *careful, int procno)
{
	int kept = 0;

	for (int i = 0; i < careful->nwaiting; i++)
		if (careful->waiting[i].procno != procno)
			careful->waiting[kept++] = careful->waiting[i];
	careful->nwaiting = kept;
}

static void
enter_queue(WfCareful *careful, int procno, TimestampTz now)
{
	int place = 0;

	while (place < careful->nwaiting && careful->waiting[place].procno != procno)
		place++;
	if (place == WF_MAX_PIECES)
		return;
	careful->waiting[place] = (WfTurnWaiter){procno, wf_am_dispatcher(), now};
	careful->nwaiting = Max(careful->nwaiting, place + 1);
}

/*
 * Whose turn is next. Dispatchers and executors take turns, so that requests and timers do not wait
 * for a statement of each executor.
 */
static int
next_in_line(const WfCareful *careful, TimestampTz now)
{
	int next = WF_NO_PROC;

	for (int i = 0; i < careful->nwaiting; i++)
	{
		const WfTurnWaiter *waiter = &careful->waiting[i];

		if (TimestampDifferenceExceeds(waiter->asked_at, now, ABSENT_MS))
			continue;
		if (waiter->dispatcher != careful->dispatcher)
			return waiter->procno;
		if (next == WF_NO_PROC)
			next = waiter->procno;
	}
	return next;
}

static void
wake_next(WfCareful *careful)
{
	if (careful->holder == WF_NO_PROC)
		wf_set_latch(next_in_line(careful, GetCurrentTimestamp()));
}

/* Take the turn if it is free. Called under the lock. */
static bool
take_turn(WfCareful *careful, int procno)
{
	TimestampTz now = GetCurrentTimestamp();

	if (careful->holder == procno)
		return true;
	enter_queue(careful, procno, now);
	if (careful->holder != WF_NO_PROC && TimestampDifferenceExceeds(careful->since, now, careful->patience_ms))
		end_patience(careful);
	if (careful->holder != WF_NO_PROC || next_in_line(careful, now) != procno)
	{
		wake_next(careful);
		return false;
	}
	leave_queue(careful, procno);
	careful->holder = procno;
	careful->dispatcher = wf_am_dispatcher();
	careful->since = now;
	careful->patience_ms = PATIENCE_MS;
	return true;
}

bool
wf_careful_try(void)
{
	bool ours;

	if (!wf_careful())
		return true;
	asked = true;
	LWLockAcquire(wf_shared->careful.lock, LW_EXCLUSIVE);
	ours = take_turn(&wf_shared->careful, wf_my_procno());
	LWLockRelease(wf_shared->careful.lock);
	return ours;
}

void
wf_careful_wait(void)
{
	while (!wf_careful_try())
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_AGAIN_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

void
wf_careful_yield(void)
{
	WfCareful *careful = &wf_shared->careful;
	int		   procno = wf_my_procno();

	if (!asked)
		return;
	asked = false;
	LWLockAcquire(careful->lock, LW_EXCLUSIVE);
	leave_queue(careful, procno);
	if (careful->holder == procno)
		careful->holder = WF_NO_PROC;
	wake_next(careful);
	LWLockRelease(careful->lock);
}

/* ---- pieces of work ---- */

/*
 * Find a piece in the record, or make a place for it: that of the piece known for the longest time.
 * NULL if pieces under work take all places.
 */
static WfPiece *
find_piece(WfCareful *careful, WfPieceKind kind, int64 number)
{
	WfPiece *place = NULL;

	for (int i = 0; i < WF_MAX_PIECES; i++)
	{
		WfPiece *piece = &careful->record.pieces[i];

		if (piece->database == MyDatabaseId && piece->kind == kind && piece->number == number)
			return piece;
		if (piece->working == WF_WORK_NONE && (place == NULL || piece->at < place->at))
			place = piece;
	}
	if (place != NULL)
		memset(place, 0, sizeof(*place));
	return place;
}

static bool
anything_under_work(const WfCareful *careful)
{
	for (int i = 0; i < WF_MAX_PIECES; i++)
		if (careful->record.pieces[i].working != WF_WORK_NONE)
			return true;
	return false;
}

/* Record that a piece is begun. Called under the lock. */
static void
put_piece_on_record(WfCareful *careful, WfPiece *piece, WfPieceKind kind, int64 number)
{
	bool alone = careful->holder == wf_my_procno() && !anything_under_work(careful);

	piece->database = MyDatabaseId;
	piece->kind = kind;
	piece->number = number;
	piece->working = alone ? WF_WORK_ALONE : WF_WORK_BESIDE;
	piece->at = GetCurrentTimestamp();
	my_piece = piece - careful->record.pieces;
	keep = false;
	if (alone)
	{
		careful->since = piece->at;
		careful->patience_ms = PATIENCE_MS << (2 * piece->unclear);
	}
	save_record(careful);
}

int
wf_careful_begin(WfPieceKind kind, int64 number)
{
	WfCareful *careful = &wf_shared->careful;
	WfPiece	  *piece;
	int		   deaths = 0;

	if (!wf_careful())
		return 0;
	LWLockAcquire(careful->lock, LW_EXCLUSIVE);
	piece = find_piece(careful, kind, number);
	if (piece != NULL)
	{
		deaths = piece->deaths;
		put_piece_on_record(careful, piece, kind, number);
	}
	LWLockRelease(careful->lock);
	if (deaths > 0)
		ereport(LOG, errmsg("workflow: the server has died %d times in a row while %s " INT64_FORMAT
							" was the only one under work",
							deaths, kind == WF_PIECE_DELIVERY ? "delivery" : "visit", number));
	return deaths;
}

void
wf_careful_keep(void)
{
	keep = true;
}

void
wf_careful_end(void)
{
	WfCareful *careful = &wf_shared->careful;
	WfPiece	  *piece;

	if (my_piece < 0)
		return;
	LWLockAcquire(careful->lock, LW_EXCLUSIVE);
	piece = &careful->record.pieces[my_piece];
	piece->working = WF_WORK_NONE;
	if (!keep || (piece->deaths == 0 && piece->unclear == 0))
		memset(piece, 0, sizeof(*piece));
	save_record(careful);
	LWLockRelease(careful->lock);
	my_piece = -1;
}

void
wf_careful_forget(WfPieceKind kind, int64 number)
{
	WfCareful *careful = &wf_shared->careful;
	bool	   forgotten = false;

	if (!wf_careful())
		return;
	LWLockAcquire(careful->lock, LW_EXCLUSIVE);
	for (int i = 0; i < WF_MAX_PIECES; i++)
	{
		WfPiece *piece = &careful->record.pieces[i];

		if (piece->database != MyDatabaseId || piece->kind != kind || piece->number != number ||
			piece->working != WF_WORK_NONE)
			continue;
		memset(piece, 0, sizeof(*piece));
		forgotten = true;
	}
	if (forgotten)
		save_record(careful);
	LWLockRelease(careful->lock);
}
