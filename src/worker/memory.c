/*
 * memory.c
 *		The limit that a worker sets to its own memory. Work that takes more gets an error; without the limit, the
 *		kernel might end the process, and with it the server.
 *
 * The limit is the soft RLIMIT_DATA. On Linux it counts private writable memory, be it from malloc, mmap or threads; it
 * counts neither shared memory nor files, nor, as RLIMIT_AS would, what malloc has merely reserved. Other systems may
 * count less.
 *
 * Whether this limit refused the memory has to be found out when the error is reported, since later the work's memory
 * has been freed. An error context callback at the bottom of the stack does that. It puts its finding into the hint of
 * the error, so that a parallel worker's finding reaches its leader with the error.
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

/* A request for memory may need so much more than it says, since malloc rounds it up and cannot use all of a block. */
#define SLACK ((rlim_t) 16 * 1024 * 1024)
/* So much more memory is allowed while an error is being looked at. */
#define RESERVE	  ((rlim_t) 16 * 1024 * 1024)
#define HANDED_ON "workflow.parallel_memory"

static const char	*setting = NULL;		/* name of the setting; NULL: this process sets itself no limit */
static const int	*megabytes;				/* its value */
static rlim_t		 found = RLIM_INFINITY; /* the soft limit with which this process was started */
static rlim_t		 limit = RLIM_INFINITY; /* our own limit; infinity: there is none, or `found` is lower */
static MemoryContext room;					/* memory for looking at an error, made in advance */
static bool			 was_hit = false;
static int			 handed_on = 0; /* value of HANDED_ON, in megabytes */

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

/*
 * Get the private writable memory of this process, in bytes, without allocating any. Returns false if the system does
 * not say.
 */
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
	/* The fields are: size resident shared text lib data. The sixth is wanted. */
	for (int i = 0; i < 5 && at != NULL; i++)
		at = strchr(at + (i > 0), ' ');
	if (at == NULL)
		return false;
	*used = (rlim_t) strtoull(at, &end, 10) * sysconf(_SC_PAGESIZE);
	return end != at;
}

/*
 * The size of the request that failed, by the first number in the error's detail: "Failed on request of size 1048576 in
 * …", in any language. 0: there is none.
 */
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

/* Does the error come from a parallel worker that has hit its limit? Then it has our hint already. */
static bool
was_told(const ErrorData *error)
{
	return error->hint != NULL && strstr(error->hint, setting) != NULL;
}

/* The error context callback: is the error one of our limit? If so, add the hint. */
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

/* Put the callback below all others on the stack: whoever has pushed one removes all that is above its own. */
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

/* A parallel worker gets the settings of its leader. If HANDED_ON is set, the leader is an executor. */
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
