/*
 * sent.c
 *		What was sent and is not answered, for the next dispatcher.
 *
 * A file of pg_stat_tmp has an entry for each request that is under way, at the place where that is shown. It is written
 * once in a turn, before the sockets are served, and not flushed: it must outlive the processes, not the machine, and no
 * backup copies it. An entry that is stale does no harm: it counts only for a visit whose row still waits for the answer
 * to that attempt.
 *
 * The file is removed as soon as it is read, so that what cannot be put on record is tried by no further dispatcher.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "shmem/shown.h"
#include "worker/sent.h"

/* The places that differ from those in the file are from `changed` on, before `unchanged`. */
static WfSent places[WF_MAX_SHOWN];
static int	  changed = WF_MAX_SHOWN;
static int	  unchanged = 0;
static File	  file = -1;

static char *
path_of(Oid database)
{
	return psprintf("%s/workflow.sent.%u", PG_STAT_TMP_DIR, database);
}

/* ---- writing ---- */

static void
set_place(int place, const WfSent *sent)
{
	places[place] = *sent;
	changed = Min(changed, place);
	unchanged = Max(unchanged, place + 1);
}

void
wf_sent_note(int place, int64 instance, int64 visit, int attempt)
{
	if (place >= 0)
		set_place(place,
				  &(WfSent){.instance = instance, .visit = visit, .at = GetCurrentTimestamp(), .attempt = attempt});
}

void
wf_sent_forget(int place)
{
	if (place >= 0 && places[place].visit != 0)
		set_place(place, &(WfSent){0});
}

static bool
write_changed(void)
{
	int size = (int) sizeof(WfSent) * (unchanged - changed);

	if (file < 0)
		file = PathNameOpenFile(path_of(MyDatabaseId), O_RDWR | O_CREAT | PG_BINARY);
	return file >= 0 && FileWrite(file, (char *) &places[changed], size, (off_t) sizeof(WfSent) * changed,
								  PG_WAIT_EXTENSION) == size;
}

void
wf_sent_write(void)
{
	static bool complained = false;

	if (changed >= unchanged)
		return;
	if (!write_changed() && !complained)
	{
		ereport(LOG, errcode_for_file_access(),
				errmsg("workflow could not write file \"%s\": %m", path_of(MyDatabaseId)),
				errdetail("Attempts that are under way when the server ends will not be on record."));
		complained = true;
	}
	changed = WF_MAX_SHOWN;
	unchanged = 0;
}

/* ---- what another dispatcher has written ---- */

int
wf_sent_read(WfSent **sent)
{
	const char *path = path_of(MyDatabaseId);
	FILE	   *stream = AllocateFile(path, PG_BINARY_R);
	int			n;

	if (stream == NULL)
		return 0;
	*sent = MemoryContextAlloc(TopMemoryContext, sizeof(places));
	n = (int) fread(*sent, sizeof(WfSent), WF_MAX_SHOWN, stream);
	FreeFile(stream);
	(void) unlink(path);
	return n;
}

void
wf_sent_remove(Oid database)
{
	(void) unlink(path_of(database));
}
