/*
 * news.h
 *		News for monitoring: noted in the transaction in which something happens, published by its
 *		commit, and told by the dispatcher.
 *
 * News are bundled by what happened and where, so that a hundred thousand of a kind are one bundle.
 * They are in shared memory, so that nothing is written for them: a crash loses what is not told
 * yet, and so does a commit of a prepared transaction. The rows show all of it anyway.
 */
#ifndef WF_NEWS_H
#define WF_NEWS_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef enum WfNewsKind
{
	WF_NEWS_INCIDENT,
	WF_NEWS_WRITE_BACK, /* an attached row does not show what it should */
	WF_NEWS_WAITING_LONG,
	WF_NEWS_KINDS
} WfNewsKind;

/* Names of processes have at most 200 characters, those of steps 200 bytes. */
#define WF_NEWS_PROCESS_LEN 801
#define WF_NEWS_STEP_LEN	201
#define WF_NEWS_SERIALS		20
/*
 * Bundles of a database that are not told yet. The last ones, one of each kind, collect what there
 * was no room for.
 */
#define WF_MAX_NEWS 32
#define WF_ALL_NEWS (WF_MAX_NEWS + WF_NEWS_KINDS)

typedef struct WfNewsSerial
{
	int64 instance;
	int64 visit;
} WfNewsSerial;

typedef struct WfNews
{
	WfNewsKind	 kind;
	char		 process[WF_NEWS_PROCESS_LEN];
	char		 step[WF_NEWS_STEP_LEN]; /* empty: no step, or several */
	int64		 count;					 /* 0: the bundle is free */
	int			 nserials;
	WfNewsSerial serials[WF_NEWS_SERIALS]; /* serial numbers of the first visits */
	TimestampTz	 since;					   /* time of the oldest */
} WfNews;

/* News of a transaction, or of a database. */
typedef struct WfNewsList
{
	int	   n;	/* bundles in use of the first WF_MAX_NEWS */
	bool   any; /* is any bundle in use, the last ones included? */
	WfNews news[WF_ALL_NEWS];
} WfNewsList;

extern void wf_news_clear(WfNewsList *list);

/*
 * From any backend: news, to be told if this (sub)transaction commits. step NULL: none; visit 0: it
 * has no serial number.
 */
extern void wf_news_add(WfNewsKind kind, const char *process, const char *step, int64 instance, int64 visit,
						TimestampTz since);

/*
 * For the dispatcher: is there any news? wf_news_take returns all of it, palloc'd, and leaves none.
 */
extern bool		   wf_news_any(void);
extern WfNewsList *wf_news_take(void);

#endif
