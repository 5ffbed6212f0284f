/*
 * event_document.c
 *		$event: what has happened, as templates see it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/datetime.h"
#include "utils/json.h"

#include "model/event_document.h"
#include "model/template.h"
#include "model/zone.h"

static char *
time_text(const char *timezone, TimestampTz at)
{
	char *text = palloc(MAXDATELEN + 1);
	int	  level = wf_zone_enter(timezone);

	JsonEncodeDateTime(text, TimestampTzGetDatum(at), TIMESTAMPTZOID, NULL);
	wf_zone_leave(level);
	return text;
}

Jsonb *
wf_event_document_make(const WfEventDocument *event)
{
	WfField fields[7];

	memset(fields, 0, sizeof(fields));
	fields[0] = (WfField){.key = "kind", .kind = WF_FIELD_TEXT, .text = event->kind};
	fields[1] = (WfField){.key = "name", .kind = WF_FIELD_TEXT, .text = event->name};
	fields[2] = (WfField){.key = "key", .kind = WF_FIELD_TEXT, .text = event->key};
	fields[3] = (WfField){.key = "data", .jsonb = event->data};
	fields[4] = (WfField){.key = "role", .kind = WF_FIELD_TEXT, .text = event->role};
	fields[5] = (WfField){.key = "at",
						  .kind = WF_FIELD_TEXT,
						  .text = event->at != 0 ? time_text(event->timezone, event->at) : NULL};
	fields[6] = (WfField){.key = "person", .kind = WF_FIELD_TEXT, .text = event->person, .omit = !event->has_person};
	return wf_jsonb_object(fields, lengthof(fields));
}
