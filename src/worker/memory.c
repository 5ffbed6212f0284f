/*
 * memory.c
 *		The limit that a worker has set to its own memory: what takes too much of it is an error, not the end of the server.
 *
 * It is the soft RLIMIT_DATA. Linux counts private writable memory by it, that of malloc, mmap and threads alike, but neither
 * shared memory nor files nor what malloc has merely reserved, as RLIMIT_AS would. Other systems may count less.
 *
 * Whether our own limit refused the memory is seen where the error is reported, by an error context callback at the bottom of the
 * stack: later, what was taken has been given back. What it finds out goes with the error as its hint, and so comes from
 * a parallel worker as well.
 */
#include "compat.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

#include "access/parallel.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "shmem/registration.h"
#include "shmem/settings.h"
#include "worker/memory.h"

/* Taken beside what was asked for: the block that has it, what malloc rounds up to, what it cannot use. */
#define SLACK ((rlim_t) 16 * 1024 * 1024)
/* For dealing with the error itself */
#define RESERVE	  ((rlim_t) 16 * 1024 * 1024)
#define HANDED_ON "workflow.parallel_memory"

static const char	*setting = NULL; /* its name; NULL: this process sets itself no limit */
static const int	*megabytes;
static rlim_t		 found = RLIM_INFINITY; /* the soft limit that this process was started with */
static rlim_t		 limit = RLIM_INFINITY; /* ours, if that is the one that counts */
static MemoryContext room;					/* for looking at an error when there is no other */
static bool			 was_hit = false;
static int			 handed_on = 0; /* megabytes */

static void
set_limit(rlim_t bytes)
{
	struct rlimit both;

	if (getrlimit(RLIMIT_DATA, &both) != 0)
		return;
	both.rlim_cur = Min(bytes, both.rlim_max);
	if (setrlimit(RLIMIT_DATA, &both) != 0)
		ereport(LOG, errmsg("workflow could not limit the memory of this process: %m"));
}

static void
apply_limit(int mb)
{
	rlim_t bytes = mb > 0 ? (rlim_t) mb * 1024 * 1024 : RLIM_INFINITY;

	limit = bytes < found ? bytes : RLIM_INFINITY;
	set_limit(Min(bytes, found));
}

/* ---- whose limit was it? ---- */

/* Private writable memory of this process in bytes, without allocating anything; false if the system does not say. */
static bool
get_used(rlim_t *used)
{
	char	text[256];
	char   *end;
	char   *at = text;
	ssize_t n;
	int		fd = open("/proc/self/statm", O_RDONLY);

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	/* size resident shared text lib data: the sixth one */
	for (int i = 0; i < 5 && at != NULL; i++)
		at = strchr(at + (i > 0), ' ');
	if (at == NULL)
		return false;
	*used = (rlim_t) strtoull(at, &end, 10) * sysconf(_SC_PAGESIZE);
	return end != at;
}

/* "Failed on request of size 1048576 in …", in whatever language. 0: it says nothing. */
static rlim_t
requested(const char *detail)
{
	while (detail != NULL && *detail != '\0' && !isdigit((unsigned char) *detail))
		detail++;
	return detail != NULL ? strtoull(detail, NULL, 10) : 0;
}

static bool
came_to_our_limit(const char *detail)
{
	rlim_t used;

	if (limit == RLIM_INFINITY)
		return false;
	return !get_used(&used) || used + requested(detail) + SLACK >= limit;
}

static const char *
hint_of(const char *name)
{
	return psprintf("A worker of workflow may not take more memory than %s allows.", name);
}

/* Does this error come from a parallel worker, which has found out already? */
static bool
was_told(const ErrorData *error)
{
	return error->hint != NULL && strstr(error->hint, setting) != NULL;
}

static void
look_at_error(void *arg)
{
	static bool	  looking = false;
	MemoryContext old;
	ErrorData	 *error;
	bool		  told;

	if (geterrcode() != ERRCODE_OUT_OF_MEMORY || looking)
		return;
	looking = true;
	set_limit(Min(limit == RLIM_INFINITY ? found : limit + RESERVE, found));
	old = MemoryContextSwitchTo(room);
	error = CopyErrorData();
	if (error->elevel >= ERROR)
	{
		told = was_told(error);
		was_hit = told || came_to_our_limit(error->detail);
		if (was_hit && !told)
			errhint("%s", hint_of(setting));
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(room);
	set_limit(Min(limit, found));
	looking = false;
}

static ErrorContextCallback watch = {.callback = look_at_error};

/* Below all others: whoever has put one there takes away what is above it. */
static void
watch_errors(void)
{
	ErrorContextCallback **bottom = &error_context_stack;

	room = AllocSetContextCreate(TopMemoryContext, "workflow memory limit", ALLOCSET_SMALL_SIZES);
	while (*bottom != NULL)
		bottom = &(*bottom)->previous;
	*bottom = &watch;
}

/* ---- setting it ---- */

static void
begin_limit(const char *name)
{
	struct rlimit both;

	setting = name;
	if (getrlimit(RLIMIT_DATA, &both) == 0)
		found = both.rlim_cur;
	watch_errors();
}

void
wf_memory_limit_follow(void)
{
	char value[16];

	if (setting == NULL)
		return;
	apply_limit(*megabytes);
	snprintf(value, sizeof(value), "%d", *megabytes);
	SetConfigOption(HANDED_ON, value, PGC_SUSET, PGC_S_OVERRIDE);
}

void
wf_memory_limit_begin(WfWorkerKind kind)
{
	megabytes = kind == WF_DISPATCHER ? &wf_setting_dispatcher_memory : &wf_setting_executor_memory;
	begin_limit(kind == WF_DISPATCHER ? "workflow.dispatcher_memory" : "workflow.executor_memory");
	wf_memory_limit_follow();
}

/* A parallel worker gets the settings of its leader, which is an executor if it has this one. */
static void
take_over(int newval, void *extra)
{
	if (!IsParallelWorker() || newval <= 0 || setting != NULL)
		return;
	begin_limit("workflow.executor_memory");
	apply_limit(newval);
}

void
wf_memory_define(void)
{
	DefineCustomIntVariable(HANDED_ON, "Memory that each parallel worker of this session may take.",
							"Set by executors.", &handed_on, 0, 0, MAX_KILOBYTES, PGC_SUSET,
							GUC_UNIT_MB | GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE, NULL, take_over,
							NULL);
}

bool
wf_memory_limit_was_hit(void)
{
	return was_hit;
}

const char *
wf_memory_setting(void)
{
	return setting;
}
