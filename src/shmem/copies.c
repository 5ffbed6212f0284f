/*
 * copies.c
 *		Databases that are copies: their rows belong to another database. Their dispatchers leave,
 *		so that slots are free for databases that work.
 *
 * What was found is remembered here, so that the view workers shows it, and the log says it once.
 * The launcher starts another dispatcher to find out whether it is still true, when it is told that
 * something has changed there. Copies beyond the limit are not shown, and the log tells of each
 * look at them.
 *
 * All of this is protected by wf_shared->lock.
 */
#include "compat.h"

#include "miscadmin.h"

#include "shmem/slots.h"

/*
 * The place of a database among the copies; NULL if it is not known as one. For InvalidOid a free
 * place, if there is one. Called under the lock.
 */
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
	Oid *place;
	bool known;

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
	Oid *place;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	place = place_of(database);
	if (place != NULL)
		*place = InvalidOid;
	LWLockRelease(wf_shared->lock);
}

int
wf_copies_list(Oid **databases)
{
	int n = 0;

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
 * Check and exit reason are one step under the lock, since COMMIT PREPARED first leaves its
 * wake-up, and then looks under the lock whether a dispatcher will read it (wf_database_is_served):
 * once the exit reason is set, nobody relies on this process.
 */
bool
wf_copy_leave(void)
{
	WfSlot *slot = wf_my_slot;
	bool	told = false;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	if (slot->confirmed)
	{
		SpinLockAcquire(&slot->mutex);
		told = slot->wakeups.everything;
		SpinLockRelease(&slot->mutex);
	}
	if (!told && slot->exit_reason == WF_EXIT_NONE)
		slot->exit_reason = slot->confirmed ? WF_EXIT_TURNED_COPY : WF_EXIT_COPY;
	LWLockRelease(wf_shared->lock);
	return !told;
}
