/*
 * script.h
 *		What services answer while a transaction plays: replies that were made up, and who has asked for them.
 *
 * All of it is in the memory of the process, and lives as long as the (sub)transaction in which it came about.
 */
#ifndef WF_SCRIPT_H
#define WF_SCRIPT_H

#include "postgres.h"

#include "http/http.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* A reply, for requests of this method (NULL: of any) whose path is so: with '*' at its end, begins so. */
typedef struct WfMock
{
	const char	 *server;
	const char	 *method;
	const char	 *path;
	int			  times; /* for so many requests; 0: for all */
	int			  used;
	WfHttpVerdict verdict;
	int			  status;
	WfHttpHeader *headers;
	int			  nheaders;
	const char	 *body;
	size_t		  body_len;
	Interval	 *after; /* NULL: at once */

	int level; /* of the subtransaction that has it */
} WfMock;

/* A request, and what became of it. */
typedef struct WfMocked
{
	TimestampTz at;
	int64		instance;
	int64		visit;
	const char *step;
	const char *server;
	const char *method;
	const char *path;
	Jsonb	   *request; /* {method, url, headers, body} */
	WfMock	   *mock;
	int			timeout_ms; /* of the request */
	TimestampTz arrives;	/* the reply does */

	int level;
	int ended; /* the level of the subtransaction that has taken the reply, or given it up; 0: it is under way */
} WfMocked;

/* Add a reply, of which a copy is kept. */
extern void wf_script_mock(const WfMock *mock);

/* The reply to a request, which counts as one of its times; NULL: none fits. */
extern WfMock *wf_script_find(const char *server, const char *method, const char *path);

/* The replies that there are for a server, one a line, palloc'd; NULL: none. */
extern char *wf_script_tell(const char *server);

/* Note a request, of which a copy is kept. */
extern WfMocked *wf_script_note(const WfMocked *request);

/* All requests, a List of WfMocked. */
extern List *wf_script_requests(void);

/* The request of the visit that is under way; NULL: there is none. The one that is answered first; NULL: there is none. */
extern WfMocked *wf_script_under_way(int64 visit);
extern WfMocked *wf_script_next_reply(void);
/* The visits with requests under way, an array as an argument. */
extern Datum wf_script_in_flight(void);

/* The request is under way no longer. */
extern void wf_script_end(WfMocked *request);

#endif
