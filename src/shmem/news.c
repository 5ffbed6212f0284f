/*
 * news.c
 *		News for monitoring: collected by each transaction, published at commit.
 *
 * The news of the running transaction are in static memory, as its wake-ups are: publishing them
 * may neither allocate nor fail. Those of each subtransaction are apart until it commits, since
 * what is rolled back did not happen.
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "shmem/slots.h"

static WfNewsList		pending;
static SubTransactionId whose[WF_ALL_NEWS];
static bool				registered = false;

/* ---- bundles ---- */

static bool
is_news_of(const WfNews *news, WfNewsKind kind, const char *process, const char *step)
{
	return news->kind == kind && strcmp(news->step, step) == 0 && strcmp(news->process, process) == 0;
}

/*
 * Add a bundle; if there is no room, the one that is kept for all others of its kind. Also called
 * under a spinlock.
 */
static WfNews *
add_news(WfNewsList *list, WfNewsKind kind, const char *process, const char *step)
{
	WfNews *news = &list->news[list->n < WF_MAX_NEWS ? list->n++ : WF_MAX_NEWS + (int) kind];

	list->any = true;
	if (news >= &list->news[WF_MAX_NEWS])
		process = step = "";
	else
		news->count = 0;
	if (news->count == 0)
		news->nserials = 0;
	news->kind = kind;
	strlcpy(news->process, process, sizeof(news->process));
	strlcpy(news->step, step, sizeof(news->step));
	return news;
}

static void
add_serial(WfNews *news, WfNewsSerial serial)
{
	if (news->nserials < WF_NEWS_SERIALS && serial.visit != 0)
		news->serials[news->nserials++] = serial;
}

static void
count_news(WfNews *news, int64 n, TimestampTz since)
{
	news->since = news->count == 0 ? since : Min(news->since, since);
	news->count += n;
}

static void
merge(WfNews *into, const WfNews *from)
{
	count_news(into, from->count, from->since);
	for (int i = 0; i < from->nserials; i++)
		add_serial(into, from->serials[i]);
}

void
wf_news_clear(WfNewsList *list)
{
	list->n = 0;
	list->any = false;
	for (int i = WF_MAX_NEWS; i < WF_ALL_NEWS; i++)
		list->news[i].count = 0;
}

/* ---- the transaction ---- */

static WfNews *
find_pending(WfNewsKind kind, const char *process, const char *step, SubTransactionId id)
{
	for (int i = 0; i < pending.n; i++)
		if (whose[i] == id && is_news_of(&pending.news[i], kind, process, step))
			return &pending.news[i];
	return NULL;
}

static void
remove_pending(int i)
{
	if (i == --pending.n)
		return;
	pending.news[i] = pending.news[pending.n];
	whose[i] = whose[pending.n];
}

/* A subtransaction commits: its news become those of its parent. */
static void
pass_up(SubTransactionId mine, SubTransactionId parent)
{
	for (int i = pending.n - 1; i >= 0; i--)
	{
		WfNews *news = &pending.news[i];
		WfNews *same;

		if (whose[i] < mine)
			continue;
		same = find_pending(news->kind, news->process, news->step, parent);
		if (same != NULL)
		{
			merge(same, news);
			remove_pending(i);
		}
		else
			whose[i] = parent;
	}
}

/*
 * A subtransaction aborts: remove its news. Those for which there was no room stay, since too much
 * noise is better than none.
 */
static void
take_back(SubTransactionId mine)
{
	for (int i = pending.n - 1; i >= 0; i--)
		if (whose[i] >= mine)
			remove_pending(i);
}

/*
 * Subtransactions are numbered in the order of their begin: news with this number or a higher one
 * belong to this subtransaction, or to one within it.
 */
static void
news_at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (pending.n == 0)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		pass_up(mine, parent);
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		take_back(mine);
}

/* Merge a bundle into the news of the database. Called under the slot's mutex. */
static void
publish_one(WfNewsList *list, const WfNews *news)
{
	WfNews *into = NULL;

	for (int i = 0; i < list->n && into == NULL; i++)
		if (is_news_of(&list->news[i], news->kind, news->process, news->step))
			into = &list->news[i];
	if (into == NULL)
		into = add_news(list, news->kind, news->process, news->step);
	merge(into, news);
}

static void
publish(void)
{
	WfSlot *slot = wf_slot_of(MyDatabaseId);
	int		procno = WF_NO_PROC;

	if (slot == NULL)
		return;
	SpinLockAcquire(&slot->mutex);
	if (slot->database == MyDatabaseId)
	{
		if (!slot->news.any)
			procno = slot->dispatcher_procno;
		for (int i = 0; i < WF_ALL_NEWS; i++)
			if ((i < pending.n || i >= WF_MAX_NEWS) && pending.news[i].count > 0)
				publish_one(&slot->news, &pending.news[i]);
	}
	SpinLockRelease(&slot->mutex);
	wf_set_latch(procno);
}

static void
news_at_transaction_end(XactEvent event, void *arg)
{
	if (!pending.any)
		return;
	if (event == XACT_EVENT_COMMIT)
		publish();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		wf_news_clear(&pending);
}

static void
register_news_once(void)
{
	wf_shmem_require();
	if (likely(registered))
		return;
	RegisterXactCallback(news_at_transaction_end, NULL);
	RegisterSubXactCallback(news_at_subtransaction_end, NULL);
	registered = true;
}

void
wf_news_add(WfNewsKind kind, const char *process, const char *step, int64 instance, int64 visit, TimestampTz since)
{
	SubTransactionId id = GetCurrentSubTransactionId();
	WfNews			*news;

	register_news_once();
	if (step == NULL)
		step = "";
	news = find_pending(kind, process, step, id);
	if (news == NULL)
	{
		news = add_news(&pending, kind, process, step);
		whose[news - pending.news] = id;
	}
	count_news(news, 1, since);
	add_serial(news, (WfNewsSerial){instance, visit});
}

/* ---- the dispatcher ---- */

/* Reads without the mutex, since whoever adds the first news sets our latch. */
bool
wf_news_any(void)
{
	return wf_my_slot->news.any;
}

WfNewsList *
wf_news_take(void)
{
	WfNewsList *list = palloc(sizeof(WfNewsList));

	SpinLockAcquire(&wf_my_slot->mutex);
	list->n = wf_my_slot->news.n;
	list->any = wf_my_slot->news.any;
	memcpy(list->news, wf_my_slot->news.news, sizeof(WfNews) * list->n);
	memcpy(&list->news[WF_MAX_NEWS], &wf_my_slot->news.news[WF_MAX_NEWS], sizeof(WfNews) * WF_NEWS_KINDS);
	wf_news_clear(&wf_my_slot->news);
	SpinLockRelease(&wf_my_slot->mutex);
	return list;
}
