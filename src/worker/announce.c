/*
 * announce.c
 *		What monitoring is told: a JSON object by NOTIFY, with one format for all events; and a line in the log.
 *
 * News that commits have published are told together, at most once a second. They are logged first, so that the log has
 * them even if NOTIFY fails; that is not tried again.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "mb/pg_wchar.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "worker/announce.h"
#include "worker/limit.h"
#include "worker/worker.h"

#define CHANNEL		  "workflow"
#define TOPIC_CHANNEL "workflow_topic"
/* Pause between the first of the news and telling them all. */
#define BUNDLE_MS 1000

/* In JSON an escaped byte takes six bytes. */
StaticAssertDecl(6 * (200 + WF_NEWS_STEP_LEN + NAMEDATALEN) + WF_NEWS_PROCESS_LEN + WF_NEWS_SERIALS * 48 + 512 <
					 BLCKSZ - NAMEDATALEN - 128,
				 "an announcement fits into a NOTIFY");

static const char *const events[] =
	{[WF_NEWS_INCIDENT] = "incident", [WF_NEWS_WRITE_BACK] = "write_back", [WF_NEWS_WAITING_LONG] = "waiting_long"};

/* ---- NOTIFY ---- */

static void
add_key(StringInfo json, const char *key)
{
	appendStringInfo(json, "%s\"%s\": ", json->len > 1 ? ", " : "", key);
}

static void
add_text_field(StringInfo json, const char *key, const char *value)
{
	if (value == NULL || *value == '\0')
		return;
	add_key(json, key);
	escape_json(json, value);
}

static void
add_serial_numbers(StringInfo json, const WfNewsSerial *serials, int n)
{
	if (n == 0)
		return;
	add_key(json, "serial_numbers");
	for (int i = 0; i < n; i++)
		appendStringInfo(json, "%s\"" INT64_FORMAT "_" INT64_FORMAT "\"", i == 0 ? "[" : ", ", serials[i].instance,
						 serials[i].visit);
	appendStringInfoChar(json, ']');
}

void
wf_announce(const WfAnnouncement *announcement)
{
	StringInfoData json;
	char		   since[MAXDATELEN + 1];

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	add_text_field(&json, "event", announcement->event);
	add_text_field(&json, "process", announcement->process);
	add_text_field(&json, "step", announcement->step);
	add_text_field(&json, "server", announcement->server);
	add_text_field(&json, "state", announcement->state);
	if (announcement->count != 0)
	{
		add_key(&json, "count");
		appendStringInfo(&json, INT64_FORMAT, announcement->count);
	}
	add_serial_numbers(&json, announcement->serials, announcement->nserials);
	if (announcement->since != 0)
		add_text_field(&json, "since",
					   JsonEncodeDateTime(since, TimestampTzGetDatum(announcement->since), TIMESTAMPTZOID, NULL));
	appendStringInfoChar(&json, '}');
	Async_Notify(CHANNEL, json.data);
}

static void
notify_news(const void *arg)
{
	const WfNewsList *list = arg;

	for (int i = 0; i < WF_ALL_NEWS; i++)
	{
		const WfNews *news = &list->news[i];

		if ((i >= list->n && i < WF_MAX_NEWS) || news->count == 0)
			continue;
		wf_announce(&(WfAnnouncement){.event = events[news->kind],
									  .process = news->process,
									  .step = news->step,
									  .count = news->count,
									  .serials = news->serials,
									  .nserials = news->nserials,
									  .since = news->since});
	}
}

typedef struct Topics
{
	const char *const *names;
	int				   n;
} Topics;

static void
notify_topics(const void *arg)
{
	const Topics *topics = arg;

	for (int i = 0; i < topics->n; i++)
		Async_Notify(TOPIC_CHANNEL, topics->names[i]);
}

/*
 * NOTIFY may fail since its queue is full, or since another session holds its lock: then only the log tells the news. What
 * is told is durable already, so nothing waits for the disk here.
 */
static void
try_to_notify(void (*notify)(const void *arg), const void *arg)
{
	MemoryContext context = CurrentMemoryContext;

	wf_limit_begin(0);
	PG_TRY();
	{
		wf_begin_transaction();
		notify(arg);
		(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
								 false);
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		ErrorData *error = wf_catch(context);

		ereport(LOG, errcode(error->sqlerrcode),
				errmsg("workflow could not tell of that by NOTIFY: %s", error->message));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

/* ---- the log ---- */

static char *
serial_numbers(const WfNews *news)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < news->nserials; i++)
		appendStringInfo(&text, "%s" INT64_FORMAT "_" INT64_FORMAT, i > 0 ? ", " : "", news->serials[i].instance,
						 news->serials[i].visit);
	if (news->count > news->nserials)
		appendStringInfoString(&text, ", and others");
	return text.data;
}

static char *
place(const WfNews *news)
{
	return *news->process == '\0' ? pstrdup("in several places")
								  : psprintf("at step \"%s\" of process \"%s\"", news->step, news->process);
}

/* Log one bundle of news. Write-backs that fail are not among them: write_back.c logs each reason itself. */
static void
write_log(const WfNews *news)
{
	switch (news->kind)
	{
		case WF_NEWS_INCIDENT:
			ereport(LOG,
					errmsg_plural("workflow: " INT64_FORMAT " incident %s: %s",
								  "workflow: " INT64_FORMAT " incidents %s: %s", (unsigned long) news->count,
								  news->count, place(news), serial_numbers(news)),
					errhint("See the view workflow.incidents."));
			break;
		case WF_NEWS_WAITING_LONG:
			ereport(LOG, errmsg_plural("workflow: " INT64_FORMAT " visit has been waiting for long %s, since %s: %s",
									   "workflow: " INT64_FORMAT
									   " visits have been waiting for long %s, the first since %s: %s",
									   (unsigned long) news->count, news->count, place(news),
									   timestamptz_to_str(news->since), serial_numbers(news)));
			break;
		case WF_NEWS_WRITE_BACK:
		case WF_NEWS_KINDS:
			break;
	}
}

/* ---- together ---- */

static void
announce_all(const WfNewsList *list)
{
	for (int i = 0; i < WF_ALL_NEWS; i++)
		if ((i < list->n || i >= WF_MAX_NEWS) && list->news[i].count > 0)
			write_log(&list->news[i]);
	try_to_notify(notify_news, list);
}

static void
notify_server(const void *arg)
{
	wf_announce(arg);
}

void
wf_announce_server(const char *server, const char *state, TimestampTz since)
{
	try_to_notify(notify_server,
				  &(WfAnnouncement){.event = "server", .server = server, .state = state, .since = since});
}

void
wf_announce_topics(const char *const *topics, int n)
{
	if (n > 0)
		try_to_notify(notify_topics, &(Topics){topics, n});
}

TimestampTz
wf_announce_news(TimestampTz now)
{
	static TimestampTz due_at = DT_NOEND;

	if (!wf_news_any())
		return DT_NOEND;
	if (due_at == DT_NOEND)
		due_at = TimestampTzPlusMilliseconds(now, BUNDLE_MS);
	if (due_at > now)
		return due_at;
	due_at = DT_NOEND;
	announce_all(wf_news_take());
	return wf_announce_news(now);
}
