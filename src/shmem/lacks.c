/*
 * lacks.c
 *		What workers could not do because something was lacking that they will have again.
 *
 * It is a table of fixed size in the database's slot, under the slot's mutex. A worker refreshes
 * its row with each try. A row that is not refreshed for a while after its pause is dropped:
 * another worker has done the work.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "shmem/slots.h"

#define FIRST_PAUSE_MS 10
/* A row is kept for so long after the time of its next try. */
#define EXPIRES_AFTER_MS 30000

const char *
wf_lack_name(WfLack lack)
{
	switch (lack)
	{
		case WF_LACK_NONE:
			break;
		case WF_LACK_DISK:
			return "disk";
		case WF_LACK_MEMORY:
			return "memory";
		case WF_LACK_RESOURCES:
			return "resources";
		case WF_LACK_LOCK:
			return "lock";
		case WF_LACK_CONFLICT:
			return "conflict";
		case WF_LACK_SERVER:
			return "server";
	}
	return NULL;
}

/* The index of the visit's row, or -1. Called under the mutex. */
static int
find_lack(const WfSlot *slot, int64 instance, int64 visit)
{
	for (int i = 0; i < slot->nlacks; i++)
		if (slot->lacks[i].visit == visit && slot->lacks[i].instance == instance)
			return i;
	return -1;
}

/*
 * Drop a row. Returns true if it was the last of those that the log told of. Called under the
 * mutex.
 */
static bool
drop(WfSlot *slot, int index)
{
	bool said = slot->lacks[index].said;

	slot->nlacks_said -= said;
	slot->lacks[index] = slot->lacks[--slot->nlacks];
	return said && slot->nlacks_said == 0;
}

/* The visit's row, or a new one; NULL if the table is full. Called under the mutex. */
static WfLackRow *
find_or_add(WfSlot *slot, const WfLackRow *row)
{
	int index = find_lack(slot, row->instance, row->visit);

	if (index >= 0)
		return &slot->lacks[index];
	if (slot->nlacks == WF_MAX_LACKS)
		return NULL;
	slot->lacks[slot->nlacks] = *row;
	slot->lacks[slot->nlacks].pause_ms = 0;
	slot->lacks[slot->nlacks].said = false;
	return &slot->lacks[slot->nlacks++];
}

int
wf_lack_record(const WfLackRow *row, int longest_ms, bool *first)
{
	WfSlot	   *slot = wf_my_slot;
	TimestampTz now = GetCurrentTimestamp();
	WfLackRow  *kept;
	int			pause_ms = longest_ms;

	SpinLockAcquire(&slot->mutex);
	*first = row->said && slot->nlacks_said == 0;
	kept = find_or_add(slot, row);
	if (kept != NULL)
	{
		kept->pause_ms = pause_ms = Min(Max(kept->pause_ms * 2, FIRST_PAUSE_MS), longest_ms);
		kept->again_at = now + pause_ms * INT64CONST(1000);
		kept->lack = row->lack;
		memcpy(kept->sqlstate, row->sqlstate, sizeof(kept->sqlstate));
		memcpy(kept->message, row->message, sizeof(kept->message));
		slot->nlacks_said += row->said && !kept->said;
		kept->said |= row->said;
	}
	SpinLockRelease(&slot->mutex);
	return pause_ms;
}

bool
wf_lack_over(int64 instance, int64 visit)
{
	WfSlot *slot = wf_my_slot;
	bool	last = false;
	int		index;

	if (likely(slot->nlacks == 0)) /* we can see rows of our own without the mutex */
		return false;
	SpinLockAcquire(&slot->mutex);
	index = find_lack(slot, instance, visit);
	if (index >= 0)
		last = drop(slot, index);
	SpinLockRelease(&slot->mutex);
	return last;
}

TimestampTz
wf_lacks_expire(TimestampTz now, bool *last)
{
	WfSlot	   *slot = wf_my_slot;
	TimestampTz next = DT_NOEND;

	*last = false;
	if (likely(slot->nlacks == 0))
		return next;
	SpinLockAcquire(&slot->mutex);
	for (int i = slot->nlacks - 1; i >= 0; i--)
	{
		TimestampTz expires = slot->lacks[i].again_at + EXPIRES_AFTER_MS * INT64CONST(1000);

		if (expires <= now)
			*last |= drop(slot, i);
		else
			next = Min(next, expires);
	}
	SpinLockRelease(&slot->mutex);
	return next;
}

void
wf_lacks_forget(void)
{
	SpinLockAcquire(&wf_my_slot->mutex);
	wf_my_slot->nlacks = wf_my_slot->nlacks_said = 0;
	SpinLockRelease(&wf_my_slot->mutex);
}

bool
wf_lack_find(int64 instance, int64 visit, WfLackRow *row)
{
	WfSlot *slot = wf_slot_of(MyDatabaseId);
	int		index = -1;

	if (slot == NULL || slot->nlacks == 0)
		return false;
	SpinLockAcquire(&slot->mutex);
	if (slot->database == MyDatabaseId)
		index = find_lack(slot, instance, visit);
	if (index >= 0)
		*row = slot->lacks[index];
	SpinLockRelease(&slot->mutex);
	return index >= 0;
}

WfLack
wf_lack_said(void)
{
	WfSlot *slot = wf_slot_of(MyDatabaseId);
	WfLack	lack = WF_LACK_NONE;

	if (slot == NULL || slot->nlacks == 0)
		return lack;
	SpinLockAcquire(&slot->mutex);
	if (slot->database == MyDatabaseId)
		for (int i = 0; i < slot->nlacks && lack == WF_LACK_NONE; i++)
			if (slot->lacks[i].said)
				lack = slot->lacks[i].lack;
	SpinLockRelease(&slot->mutex);
	return lack;
}
