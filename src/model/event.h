/*
 * event.h
 *		Readers of events, which are the same in `wait`, `first_of` and `catch`; and what must fit
 *		together among the events of a step.
 */
#ifndef WF_EVENT_H
#define WF_EVENT_H

#include "postgres.h"

#include "model/reader.h"

#define WF_MAX_HANDLERS 100 /* in one `catch` */
#define WF_MAX_FIRST_OF 100

/* Each reads the key that makes an object an event of this kind, or `times`; the target is a WfEvent. */
extern void wf_read_callback(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_after(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_event_until(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_every(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_times(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_message(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_signal(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_condition(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_task(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_topic(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_escalation(WfReader *reader, const WfJson *node, void *target);

/* Read the name of a message or signal, or the code of an escalation; the target is a const char *. */
extern void wf_read_event_name(WfReader *reader, const WfJson *node, void *target);

/* Read a template whose text is a key, or an identity; the target is a WfTemplate *. */
extern void wf_read_key(WfReader *reader, const WfJson *node, void *target);

/* How many events does the object name? */
extern int wf_event_count(const WfJson *node);

/* Of what names an event, or an outcome, exactly one; and what belongs to one kind of event stands beside that. */
#define WF_EVENT_BESIDE 5
extern const WfKeys	  wf_one_event, wf_one_caught;
extern const WfBeside wf_event_beside[WF_EVENT_BESIDE];

extern const WfJsonShape wf_event_name_shape, wf_topic_shape, wf_task_shape, wf_start_on_shape;

/* Check, when the whole step was read, what must fit together among its events; the same for handlers alone. */
extern void wf_event_check(WfReader *reader, const WfJson *node);
extern void wf_event_check_handlers(WfReader *reader, const WfJson *node);
/* Warn of messages, when all steps were read, for which a scope around a step waits, too. */
extern void wf_event_check_around(const WfGraph *graph, const WfJson *root, WfIssues *issues);

/* Read the messages that start an instance; the target is the WfDefinition. */
extern void wf_read_start_on(WfReader *reader, const WfJson *node, void *target);
/* Let those begin at `start` that do not say where, once all was read. */
extern void wf_start_on_finish(WfDefinition *def, int start);

/* Count the events of a step that was read. */
extern void wf_event_finish(WfDefinition *def, WfStep *step);

#endif
