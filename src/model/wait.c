/*
 * wait.c
 *		What a step waits for: one event, or the first of several.
 */
#include "postgres.h"

#include "model/event.h"
#include "model/signature.h"

/* The places that the array `node` needs, unless it has too many. */
static int
count_places(const WfJson *node, int most)
{
	return node != NULL && node->type == WF_JSON_ARRAY && node->n <= most ? node->n : 0;
}

void
wf_read_entries(WfStep *step, const WfJson *node)
{
	const WfJson *first_of = wf_json_member(node, "first_of");

	step->first_of = first_of != NULL;
	step->nwaits = wf_json_member(node, "wait") != NULL ? 1 : 0;
	step->nwaits += count_places(first_of, WF_MAX_FIRST_OF);
	step->nentries = step->nwaits + count_places(wf_json_member(node, "catch"), WF_MAX_HANDLERS);
	step->entries = palloc0(Max(step->nentries, 1) * sizeof(WfEntry));
}

/* Check that the object names one event. */
static void
check_one_event(WfReader *reader, const WfJson *node, const char *several)
{
	int n = wf_event_count(node);

	if (n == 0)
		wf_json_issue(
			reader->issues, node,
			"Say \"callback\": true, or one of \"after\", \"until\", \"message\", \"signal\", \"condition\" and \"task\".",
			"names no event to wait for");
	else if (n > 1)
		wf_json_issue(reader->issues, node, several, "names more than one event");
	wf_event_check_keys(reader, node);
}

/* ---- wait ---- */

static const WfReaderField wait_fields[] = {
	{"callback", wf_read_callback, 0},
	{"signature", wf_read_signature, offsetof(WfEvent, signature)},
	{"after", wf_read_after, 0},
	{"until", wf_read_event_until, 0},
	{"message", wf_read_message, 0},
	{"key", wf_read_key, offsetof(WfEvent, key), false, WF_AT_ENTRY},
	{"signal", wf_read_signal, 0},
	{"condition", wf_read_condition, 0},
	{"when", wf_read_predicate, offsetof(WfEvent, when), false, WF_AT_REPLY},
	{"task", wf_read_task, 0},
	{"topic", wf_read_topic, 0},
	{"data", wf_read_any, offsetof(WfEvent, data)},
};

void
wf_read_wait(WfReader *reader, const WfJson *node, void *target)
{
	WfEvent *event = &((WfStep *) target)->entries[0].event;

	if (node->type == WF_JSON_BOOL)
	{
		event->kind = WF_EVENT_CALLBACK;
		if (!node->truth)
			wf_json_issue(reader->issues, node, "Not to wait, leave it out.", "must be true or an event, not false");
		return;
	}
	if (node->type != WF_JSON_OBJECT)
	{
		wf_json_issue(
			reader->issues, node,
			"Write true to wait for a callback, {\"after\": \"2 days\"}, {\"message\": \"paid\", \"key\": \"${$.id}\"} and the like.",
			"must be true or an event, not %s", wf_json_type_name(node->type));
		return;
	}
	wf_read_object(reader, node, "\"wait\"", FIELDS(wait_fields), event);
	check_one_event(reader, node, "A step waits for one event, or for the \"first_of\" several.");
}

/* ---- first_of ---- */

static const WfReaderField first_of_fields[] = {
	{"callback", wf_read_callback, offsetof(WfEntry, event)},
	{"signature", wf_read_signature, offsetof(WfEntry, event.signature)},
	{"after", wf_read_after, offsetof(WfEntry, event)},
	{"until", wf_read_event_until, offsetof(WfEntry, event)},
	{"message", wf_read_message, offsetof(WfEntry, event)},
	{"key", wf_read_key, offsetof(WfEntry, event.key), false, WF_AT_ENTRY},
	{"signal", wf_read_signal, offsetof(WfEntry, event)},
	{"condition", wf_read_condition, offsetof(WfEntry, event)},
	{"when", wf_read_predicate, offsetof(WfEntry, event.when), false, WF_AT_REPLY},
	{"save", wf_read_changes, offsetof(WfEntry, save), false, WF_AT_END},
	{"next", wf_read_targets, offsetof(WfEntry, next), true},
	{"task", wf_read_task, offsetof(WfEntry, event)},
	{"topic", wf_read_topic, offsetof(WfEntry, event)},
	{"data", wf_read_any, offsetof(WfEntry, event.data)},
};

void
wf_read_first_of(WfReader *reader, const WfJson *node, void *target)
{
	WfStep	*step = target;
	WfEntry *entries;

	if (!wf_reader_expect(reader, node, WF_JSON_ARRAY,
						  "Events are a list: [{\"callback\": true, \"next\": ...}, {\"after\": ..., \"next\": ...}]."))
	{
		wf_reader_unread(reader);
		return;
	}
	if (node->n > WF_MAX_FIRST_OF)
	{
		wf_reader_unread(reader);
		wf_json_issue(reader->issues, node, "Put some of them into a step of its own, in a branch beside.",
					  "has more than %d entries", WF_MAX_FIRST_OF);
		return;
	}
	if (node->n < 2)
		wf_json_issue(reader->issues, node, "To wait for one event, write \"wait\" and \"next\".",
					  node->n == 0 ? "is empty" : "has one entry only");
	/* beside a "wait", which has its issue, that has the first place */
	entries = step->entries + step->nwaits - node->n;
	for (int i = 0; i < node->n; i++)
	{
		if (wf_read_object(reader, node->items[i], "a \"first_of\" entry", FIELDS(first_of_fields), &entries[i]))
			check_one_event(reader, node->items[i], "Make an entry of each.");
	}
}
