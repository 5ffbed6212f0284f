/*
 * settings.h
 *		The workflow.* settings.
 */
#ifndef WF_SETTINGS_H
#define WF_SETTINGS_H

#include "postgres.h"

#define WF_MAX_EXECUTORS 64
#define WF_MAX_SPARE_EXECUTORS 64

extern int	wf_setting_executors;			 /* per database; at most WF_MAX_EXECUTORS */
extern int	wf_setting_spare_executors;	 /* beyond those, for owners that have none; at most WF_MAX_SPARE_EXECUTORS */
extern int	wf_setting_databases;			 /* most databases with workers; fixed at server start */
extern char *wf_setting_retention;			 /* an interval that is not negative; "" or zero: for ever */
extern bool wf_setting_start_paused;		 /* dispatchers start nothing until workflow.adopt() */
extern int	wf_setting_move_timeout;		 /* ms; longest time of one move in a dispatcher */
extern int	wf_setting_sql_timeout;			 /* ms; statement timeout of SQL steps; 0: none */
extern int	wf_setting_max_data;			 /* kB; of one instance */
extern int	wf_setting_dispatcher_memory;	 /* MB; of one process; 0: no limit */
extern int	wf_setting_executor_memory;		 /* likewise, of each */
extern int	wf_setting_careful_after_crash;	 /* s; so long after a crash workers take turns; 0: never */
extern int	wf_setting_max_connections_http; /* and requests under way, of one dispatcher; read when it starts */
extern int	wf_setting_definition_cache;	 /* kB that a process keeps of compiled definitions between transactions */
extern int	wf_setting_warn_waiting;		 /* s; a visit that waits for a callback longer is warned of; 0: none */
extern char *wf_setting_callback_base; /* an absolute URL; "" or NULL: $callback_url and $heartbeat_url are an error */

/* From _PG_init, once. Settings fixed at server start are defined only while preloading. */
extern void wf_settings_define(void);

#endif
