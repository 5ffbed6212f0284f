/*
 * ask.h
 *		The request of a visit while a transaction plays, and the reply that was made up for it.
 */
#ifndef WF_ASK_H
#define WF_ASK_H

#include "postgres.h"

#include "engine/engine.h"
#include "http/server.h"
#include "play/script.h"

/*
 * Make the request of a visit, which wants one, and find its reply. Returns NULL if no request can be made for
 * this fault, which the visit is told. ERROR 42704 if no reply fits.
 */
extern WfMocked *wf_ask(WfBatch *batch, WfVisit *visit, WfFault *fault);

/* What the URL of a request has behind that of its server; all of it, if it does not begin with that. */
extern const char *wf_ask_path(const WfServer *server, const char *url);

/* Let the visit have the reply. */
extern void wf_ask_answer(WfBatch *batch, WfVisit *visit, const WfMocked *request);

/* What came of a request, for whoever looks, palloc'd. */
extern char *wf_ask_tell(const WfMocked *request);

#endif
