/*
 * announce.c
 *		What monitoring is told by NOTIFY: one format for all events, a JSON object.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "worker/announce.h"

#define CHANNEL "workflow"

static void
add_key(StringInfo json, const char *key)
{
	appendStringInfo(json, "%s\"%s\": ", json->len > 1 ? ", " : "", key);
}

static void
add_text(StringInfo json, const char *key, const char *value)
{
	if (value == NULL)
		return;
	add_key(json, key);
	escape_json(json, value);
}

static void
add_serial_numbers(StringInfo json, const char *const *serial_numbers, int n)
{
	if (n == 0)
		return;
	add_key(json, "serial_numbers");
	for (int i = 0; i < n; i++)
	{
		appendStringInfoString(json, i == 0 ? "[" : ", ");
		escape_json(json, serial_numbers[i]);
	}
	appendStringInfoChar(json, ']');
}

void
wf_announce(const WfAnnouncement *announcement)
{
	StringInfoData json;
	char		since[MAXDATELEN + 1];

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	add_text(&json, "event", announcement->event);
	add_text(&json, "process", announcement->process);
	add_text(&json, "step", announcement->step);
	add_text(&json, "server", announcement->server);
	if (announcement->count != 0)
	{
		add_key(&json, "count");
		appendStringInfo(&json, INT64_FORMAT, announcement->count);
	}
	add_serial_numbers(&json, announcement->serial_numbers, announcement->nserial_numbers);
	if (announcement->since != 0)
		add_text(&json, "since", JsonEncodeDateTime(since, TimestampTzGetDatum(announcement->since), TIMESTAMPTZOID, NULL));
	appendStringInfoChar(&json, '}');
	Async_Notify(CHANNEL, json.data);
}
