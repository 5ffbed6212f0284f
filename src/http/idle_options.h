/*
 * idle_options.h
 *		Options of servers and user mappings that have no effect beside the others.
 *
 * That is told in a warning, and is no error: what was written for a time when they have one can stay.
 */
#ifndef WF_IDLE_OPTIONS_H
#define WF_IDLE_OPTIONS_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "http/server.h"

/* Of a server with these options, as they were read. */
extern void wf_idle_options_of_server(List *options, const WfServer *server);

/*
 * Of the user mapping that a statement has just made or changed; InvalidOid: that of PUBLIC. The validator knows no server. Says nothing
 * of servers that are not ours.
 */
extern void wf_idle_options_of_mapping(const char *server, Oid role);

#endif
