/*
 * settings.c
 *		The workflow.* settings: one block, closed by MarkGUCPrefixReserved.
 */
#include "compat.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "shmem/settings.h"

#define LONGEST_YEARS	1000 /* limit of intervals, the same as in definitions */
#define MOST_TOKENS		1000000
#define MOST_CALLED		10000000
#define MOST_DATA_KB	(255 * 1024) /* the most that a jsonb can hold */
#define LEAST_MEMORY_MB 64			 /* with less a worker could do nothing at all */

int	  wf_setting_executors = 4;
int	  wf_setting_spare_executors = 2;
int	  wf_setting_databases = 16;
char *wf_setting_retention = NULL;
bool  wf_setting_start_paused = false;
int	  wf_setting_move_timeout = 1000;
int	  wf_setting_sql_timeout = 5 * 60 * 1000;
int	  wf_setting_max_data = 64 * 1024;
int	  wf_setting_max_tokens = 100000;
int	  wf_setting_max_called = 100000;
int	  wf_setting_dispatcher_memory = 2048;
int	  wf_setting_executor_memory = 1024;
int	  wf_setting_careful_after_crash = 5 * 60;
int	  wf_setting_max_connections_http = 1000;
int	  wf_setting_warn_waiting = 0;
int	  wf_setting_definition_cache = 32 * 1024;
char *wf_setting_callback_base = NULL;
char *wf_setting_on_behalf = NULL;
char *wf_setting_traceparent = NULL;
int	  wf_setting_log_failed_attempts = 0;

static const struct config_enum_entry failed_attempt_levels[] = {{"off", 0, false},			  {"debug5", DEBUG5, false},
																 {"debug4", DEBUG4, false},	  {"debug3", DEBUG3, false},
																 {"debug2", DEBUG2, false},	  {"debug1", DEBUG1, false},
																 {"log", LOG, false},		  {"notice", NOTICE, false},
																 {"warning", WARNING, false}, {NULL, 0, false}};

/*
 * Read an interval without throwing: interval_in would throw, and the postmaster reads settings
 * where nothing may.
 */
static bool
read_interval_setting(const char *text, Interval *interval)
{
	char			 work[256];
	char			*fields[MAXDATEFIELDS];
	int				 types[MAXDATEFIELDS];
	int				 nfields;
	int				 type = DTK_DELTA;
	int				 error;
	struct pg_itm_in parts = {0};

	error = ParseDateTime(text, work, sizeof(work), fields, types, MAXDATEFIELDS, &nfields);
	if (error == 0)
		error = DecodeInterval(fields, types, nfields, INTERVAL_FULL_RANGE, &type, &parts);
	if (error == DTERR_BAD_FORMAT)
	{
		char *copy = pstrdup(text);

		error = DecodeISO8601Interval(copy, &type, &parts);
		pfree(copy);
	}
	return error == 0 && type == DTK_DELTA && itmin2interval(&parts, interval) == 0;
}

/* The length of an interval in months, rounded down. */
static int64
interval_months(const Interval *interval)
{
	return interval->month + ((int64) interval->day + interval->time / USECS_PER_DAY) / DAYS_PER_MONTH;
}

static bool
check_retention(char **newval, void **extra, GucSource source)
{
	Interval interval;

	if (*newval == NULL || **newval == '\0')
		return true;
	if (!read_interval_setting(*newval, &interval))
	{
		GUC_check_errdetail("It is no interval such as \"90 days\".");
		return false;
	}
	if (interval.month < 0 || interval.day < 0 || interval.time < 0)
	{
		GUC_check_errdetail("It must not be negative.");
		return false;
	}
	if (interval_months(&interval) > LONGEST_YEARS * MONTHS_PER_YEAR)
	{
		GUC_check_errdetail("It must not be longer than %d years.", LONGEST_YEARS);
		return false;
	}
	return true;
}

static bool
check_memory(int *newval, void **extra, GucSource source)
{
	if (*newval == 0 || *newval >= LEAST_MEMORY_MB)
		return true;
	GUC_check_errdetail("It must be 0 or at least %d MB.", LEAST_MEMORY_MB);
	return false;
}

static bool
check_callback_base(char **newval, void **extra, GucSource source)
{
	const char *host;

	if (*newval == NULL || **newval == '\0')
		return true;
	host = strstr(*newval, "://");
	if ((strncmp(*newval, "https://", 8) == 0 || strncmp(*newval, "http://", 7) == 0) && host[3] != '\0' &&
		host[3] != '/' && strpbrk(*newval, "?# \t\r\n\"\\") == NULL)
		return true;
	GUC_check_errdetail("It is no URL such as \"https://hooks.example.com/workflow\".");
	return false;
}

/* Are these n hexadecimal digits in lower case, and not all of them 0? */
static bool
is_number(const char *text, int n)
{
	return strspn(text, "0123456789abcdef") == n && strspn(text, "0") < n;
}

/*
 * A traceparent of version 00, "00-<trace>-<span>-<flags>", or what a later one begins with. Each part ends where the
 * hyphen is, so that no byte beyond the end is looked at.
 */
static bool
check_traceparent(char **newval, void **extra, GucSource source)
{
	const char *t = *newval;
	bool		well_formed;

	if (t == NULL || *t == '\0')
		return true;
	well_formed = strspn(t, "0123456789abcdef") == 2 && strncmp(t, "ff", 2) != 0 && t[2] == '-' &&
				  is_number(t + 3, 32) && t[35] == '-' && is_number(t + 36, 16) && t[52] == '-' &&
				  strspn(t + 53, "0123456789abcdef") == 2 &&
				  (t[55] == '\0' || (t[55] == '-' && strncmp(t, "00", 2) != 0));
	if (!well_formed)
		GUC_check_errdetail(
			"It is no traceparent such as \"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\".");
	return well_formed;
}

static void
define_traces(void)
{
	DefineCustomStringVariable(
		"workflow.traceparent", "The trace to which instances belong that are started now.",
		"As the header of that name (W3C Trace Context). An empty string: each has one of its own.",
		&wf_setting_traceparent, "", PGC_USERSET, 0, check_traceparent, NULL, NULL);
	DefineCustomEnumVariable(
		"workflow.log_failed_attempts", "The level at which each attempt that has failed is logged.",
		"A line has names, numbers and codes, and nothing of data or answers. off means that none is logged.",
		&wf_setting_log_failed_attempts, 0, failed_attempt_levels, PGC_SUSET, 0, NULL, NULL, NULL);
}

static void
define_at_server_start(void)
{
	DefineCustomIntVariable("workflow.databases", "Most databases that have workers.",
							"Each needs one worker process for its dispatcher, and more for its executors: see "
							"max_worker_processes.",
							&wf_setting_databases, 16, 1, 1000, PGC_POSTMASTER, 0, NULL, NULL, NULL);
}

static void
define_sizes(void)
{
	DefineCustomIntVariable("workflow.max_data", "Largest data of an instance.",
							"A step that would make them larger fails with the code data, a call with 54000.",
							&wf_setting_max_data, 64 * 1024, 64, MOST_DATA_KB, PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL,
							NULL);
	DefineCustomIntVariable("workflow.max_tokens", "Most tokens of an instance, or of an embedded sub-process.",
							"A fork that would make more of them fails with the code move.", &wf_setting_max_tokens,
							100000, 1, MOST_TOKENS, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"workflow.max_called",
		"Most living instances below one that was started, without those that it has called itself.",
		"A call that would make more of them fails with the code call.", &wf_setting_max_called, 100000, 1, MOST_CALLED,
		PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("workflow.dispatcher_memory", "Most memory of its own that a dispatcher may take.",
							"Beside shared memory. What takes more is an error of its visit, 53200. 0 means no limit.",
							&wf_setting_dispatcher_memory, 2048, 0, MAX_KILOBYTES, PGC_SIGHUP, GUC_UNIT_MB,
							check_memory, NULL, NULL);
	DefineCustomIntVariable("workflow.executor_memory",
							"Most memory of its own that an executor, or each parallel worker of its SQL, may take.",
							"Beside shared memory. What takes more is an error of its visit, 53200. 0 means no limit.",
							&wf_setting_executor_memory, 1024, 0, MAX_KILOBYTES, PGC_SIGHUP, GUC_UNIT_MB, check_memory,
							NULL, NULL);
}

static void
define_limits(void)
{
	DefineCustomIntVariable(
		"workflow.executors",
		"Most executors of one database: processes that run SQL steps, notifications and write-backs.",
		"They are started on demand.", &wf_setting_executors, 4, 1, WF_MAX_EXECUTORS, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("workflow.spare_executors", "Most executors of one database beyond workflow.executors.",
							"They are started only for a role that has none while all others are busy. 0 means none.",
							&wf_setting_spare_executors, 2, 0, WF_MAX_SPARE_EXECUTORS, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"workflow.careful_after_crash",
		"After a crash of the server workers do one thing at a time for so long, to find out what brings it down.",
		"0 means never.", &wf_setting_careful_after_crash, 5 * 60, 0, 24 * 60 * 60, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL,
		NULL);
	DefineCustomIntVariable("workflow.max_connections_http",
							"Most connections to servers, and requests under way, of one dispatcher.",
							"A new value counts when a dispatcher starts.", &wf_setting_max_connections_http, 1000, 1,
							100000, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("workflow.move_timeout", "Longest time of one move in a dispatcher.",
							"A move that takes longer is handed to an executor.", &wf_setting_move_timeout, 1000, 1,
							INT_MAX, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("workflow.sql_timeout", "Longest time of a statement of a SQL step.",
							"What takes longer is an error of the step, 57014. 0 means no limit.",
							&wf_setting_sql_timeout, 5 * 60 * 1000, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL,
							NULL);
	DefineCustomIntVariable("workflow.definition_cache",
							"Memory of compiled definitions that a session or worker keeps between transactions.",
							"Those used last are kept. 0 means that none is.", &wf_setting_definition_cache, 32 * 1024,
							0, MAX_KILOBYTES, PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"workflow.warn_waiting",
		"Tells of visits that wait for a callback longer than that, once, in the log and by NOTIFY workflow.",
		"warn_waiting of a step or a definition goes before it. 0 means never.", &wf_setting_warn_waiting, 0, 0,
		INT_MAX, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

void
wf_settings_define(void)
{
	if (process_shared_preload_libraries_in_progress)
		define_at_server_start();
	define_limits();
	define_sizes();
	DefineCustomStringVariable("workflow.retention", "How long the history of ended instances is kept: an interval.",
							   "retention of a definition goes before it. An empty string or 0 means for ever.",
							   &wf_setting_retention, "90 days", PGC_SIGHUP, 0, check_retention, NULL, NULL);
	DefineCustomBoolVariable("workflow.start_paused", "Workers start paused: nothing is sent and nothing is run.",
							 "Until workflow.adopt() is called, or a reload with off.", &wf_setting_start_paused, false,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable(
		"workflow.callback_base", "The URL under which outside systems reach the webhooks of this database.",
		"What $callback_url and $heartbeat_url begin with; an empty string: they are an error when they are used.",
		&wf_setting_callback_base, "", PGC_SUSET, 0, check_callback_base, NULL, NULL);
	define_traces();
	DefineCustomStringVariable("workflow.on_behalf",
							   "Headers of the calls of this session, which user mappings with auth on_behalf pass on.",
							   "A JSON object; an empty string: those of request.headers, which PostgREST sets.",
							   &wf_setting_on_behalf, "", PGC_USERSET,
							   GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE, NULL, NULL, NULL);
	MarkGUCPrefixReserved("workflow");
}
