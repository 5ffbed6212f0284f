/*
 * settings.h
 *		The workflow.* settings.
 */
#ifndef WF_SETTINGS_H
#define WF_SETTINGS_H

#include "postgres.h"

#define WF_MAX_EXECUTORS	   64
#define WF_MAX_SPARE_EXECUTORS 64

extern int wf_setting_executors; /* per database; at most WF_MAX_EXECUTORS */
/* per database, in addition, for owners that have none; at most WF_MAX_SPARE_EXECUTORS */
extern int wf_setting_spare_executors;
/* How many databases may have workers; fixed at server start. */
extern int	 wf_setting_databases;
extern char *wf_setting_retention;		   /* an interval that is not negative; "" or zero: for ever */
extern bool	 wf_setting_start_paused;	   /* dispatchers start nothing until workflow.adopt() */
extern int	 wf_setting_move_timeout;	   /* ms; longest time of a move in a dispatcher */
extern int	 wf_setting_sql_timeout;	   /* ms; statement timeout of SQL steps; 0: none */
extern int	 wf_setting_max_data;		   /* kB; the largest data of an instance */
extern int	 wf_setting_max_called;		   /* the most living instances that calls of calls have led to */
extern int	 wf_setting_max_tokens;		   /* the most tokens directly in one scope */
extern int	 wf_setting_dispatcher_memory; /* MB; limit of one dispatcher's memory; 0: no limit */
extern int	 wf_setting_executor_memory;   /* MB; limit of one executor's memory; 0: no limit */
/* Seconds for which workers take turns after a crash; 0: never. */
extern int wf_setting_careful_after_crash;
/* Connections, and so requests in flight, of one dispatcher; read when it starts. */
extern int wf_setting_max_connections_http;
/* kB of compiled definitions that a process keeps between transactions. */
extern int wf_setting_definition_cache;
/* Seconds after which a visit that waits for a callback is warned of; 0: never. */
extern int wf_setting_warn_waiting;
/* An absolute URL; with "" or NULL, $callback_url and $heartbeat_url are errors. */
extern char *wf_setting_callback_base;
/* What its session says of the headers of a call: a JSON object, or "" or NULL, which says nothing. May hold secrets. */
extern char *wf_setting_on_behalf;

/* A traceparent of the caller, checked; "" or NULL: there is none. */
extern char *wf_setting_traceparent;
/* The level at which failed attempts are logged; 0: they are not. */
extern int wf_setting_log_failed_attempts;

/*
 * Define the settings; called once by _PG_init. Those fixed at server start are defined only while
 * the library is preloaded.
 */
extern void wf_settings_define(void);

#endif
