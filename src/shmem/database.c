/*
 * database.c
 *		What is known of this database since the server started: its timeline, its pause, its upkeep.
 *
 * It is kept in the database's slot, under the slot's mutex. A database without a slot has none of it.
 */
#include "compat.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "shmem/slots.h"

/* Find the slot of this database and take its mutex; NULL if it has no slot. */
static WfSlot *
lock_own_slot(void)
{
	WfSlot *slot = wf_slot_of(MyDatabaseId);

	if (slot == NULL)
		return NULL;
	SpinLockAcquire(&slot->mutex);
	if (slot->database == MyDatabaseId)
		return slot;
	SpinLockRelease(&slot->mutex);
	return NULL;
}

bool
wf_timeline_checked(void)
{
	WfSlot *slot = lock_own_slot();
	bool	checked;

	if (slot == NULL)
		return false;
	checked = slot->timeline_checked;
	SpinLockRelease(&slot->mutex);
	return checked;
}

void
wf_timeline_set_checked(bool checked)
{
	WfSlot *slot = lock_own_slot();

	if (slot == NULL)
		return;
	slot->timeline_checked = checked;
	SpinLockRelease(&slot->mutex);
}

WfPause
wf_pause_get(void)
{
	WfSlot *slot = lock_own_slot();
	WfPause pause;

	if (slot == NULL)
		return WF_PAUSE_UNKNOWN;
	pause = slot->pause;
	SpinLockRelease(&slot->mutex);
	return pause;
}

void
wf_pause_set(WfPause pause)
{
	WfSlot *slot = lock_own_slot();

	if (slot == NULL)
		return;
	slot->pause = pause;
	SpinLockRelease(&slot->mutex);
}

TimestampTz
wf_upkeep_say(const char *failure, const char *error)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz since;
	char		cut[WF_UPKEEP_ERROR_LEN] = "";
	WfSlot	   *slot;

	if (failure != NULL)
		strlcpy(cut, error, pg_mbcliplen(error, strlen(error), sizeof(cut) - 1) + 1);
	slot = lock_own_slot();
	if (slot == NULL)
		return failure != NULL ? now : 0;
	if (failure == NULL)
		slot->upkeep_failing_since = 0;
	else if (slot->upkeep_failing_since == 0)
		slot->upkeep_failing_since = now;
	since = slot->upkeep_failing_since;
	strlcpy(slot->upkeep_failure, failure != NULL ? failure : "", sizeof(slot->upkeep_failure));
	strlcpy(slot->upkeep_error, cut, sizeof(slot->upkeep_error));
	SpinLockRelease(&slot->mutex);
	return since;
}
