/*
 * copies.c
 *		Databases whose rows belong to another one: their dispatchers leave, so that the slots are for those who work.
 *
 * What was found is remembered here, so that the view workers tells it, and the log does so once. Whether it is still true
 * the launcher finds out by another dispatcher, when it is told that something has changed there. If more are found than there are
 * places for, those are not shown, and each look at them is told in the log.
 *
 * All of it under wf_shared->lock.
 */
#include "compat.h"

#include "miscadmin.h"

#include "shmem/slots.h"

/* Under lock. NULL: it is not known as a copy. For InvalidOid: a free place, if there is one. */
static Oid *
place_of(Oid database)
{
	for (int i = 0; i < WF_MAX_COPIES; i++)
	{
		if (wf_shared->copies[i] == database)
			return &wf_shared->copies[i];
	}
	return NULL;
}

bool
wf_copy_say(bool copy)
{
	Oid		   *place;
	bool		known;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	place = place_of(MyDatabaseId);
	known = place != NULL;
	if (copy && !known && (place = place_of(InvalidOid)) != NULL)
		*place = MyDatabaseId;
	else if (!copy && known)
		*place = InvalidOid;
	LWLockRelease(wf_shared->lock);
	return copy && !known;
}

void
wf_copy_forget(Oid database)
{
	Oid		   *place;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	place = place_of(database);
	if (place != NULL)
		*place = InvalidOid;
	LWLockRelease(wf_shared->lock);
}

int
wf_copies_list(Oid **databases)
{
	int			n = 0;

	*databases = palloc(sizeof(Oid) * WF_MAX_COPIES);
	LWLockAcquire(wf_shared->lock, LW_SHARED);
	for (int i = 0; i < WF_MAX_COPIES; i++)
	{
		if (OidIsValid(wf_shared->copies[i]))
			(*databases)[n++] = wf_shared->copies[i];
	}
	LWLockRelease(wf_shared->lock);
	return n;
}

/*
 * COMMIT PREPARED first leaves its note, and then looks, under the lock, whether there is a dispatcher that will read it
 * (wf_database_is_served). So here, too, both are one: after the verdict nobody relies on this process.
 */
bool
wf_copy_leave(void)
{
	WfSlot	   *slot = wf_my_slot;
	bool		told = false;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	if (slot->confirmed)
	{
		SpinLockAcquire(&slot->mutex);
		told = slot->notes.everything;
		SpinLockRelease(&slot->mutex);
	}
	if (!told && slot->verdict == WF_VERDICT_NONE)
		slot->verdict = slot->confirmed ? WF_VERDICT_TURNED_COPY : WF_VERDICT_COPY;
	LWLockRelease(wf_shared->lock);
	return !told;
}
