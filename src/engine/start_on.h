/*
 * start_on.h
 *		A message starts an instance.
 */
#ifndef WF_START_ON_H
#define WF_START_ON_H

#include "store/message_start.h"

/*
 * Start an instance with a message that was prepared for it (store/message_start.h), write it, and return its number.
 * `by_call`: it was no message, but a call that names the process.
 * ERROR as of workflow.start: 23505 for a living business key, which is waited for if it is about to live.
 */
extern int64 wf_engine_start_on(const WfMessageStart *start, const WfMessage *message, bool by_call);

#endif
