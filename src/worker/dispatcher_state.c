/*
 * dispatcher_state.c
 *		What the files of the dispatcher share.
 */
#include "postgres.h"

#include "worker/dispatcher_internal.h"

WfDispatcher wf_dispatcher;
