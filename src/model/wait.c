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
check_one_event(WfReader *reader, const WfJson *node, const WfJsonShape *shape, const char *several)
{
	int n = wf_event_count(node);

	if (n == 0)
		wf_json_issue(
			reader->issues, node,
			"Say \"callback\": true, or one of \"after\", \"until\", \"message\", \"signal\", \"condition\" and \"task\".",
			"names no event to wait for");
	else if (n > 1)
		wf_json_issue(reader->issues, node, several, "names more than one event");
	wf_reader_beside(reader, node, shape);
}

/* ---- wait ---- */

static const WfReaderField wait_fields[] = {
	{"callback", wf_read_callback, &wf_shape_true, 0},
	{"signature", wf_read_signature, &wf_signature_shape, offsetof(WfEvent, signature)},
	{"after", wf_read_after, &wf_shape_interval, 0},
	{"until", wf_read_event_until, &wf_shape_name, 0},
	{"message", wf_read_message, &wf_event_name_shape, 0},
	{"key", wf_read_key, &wf_shape_scalar, offsetof(WfEvent, key), false, WF_AT_ENTRY},
	{"signal", wf_read_signal, &wf_event_name_shape, 0},
	{"condition", wf_read_condition, &wf_shape_predicate, 0},
	{"when", wf_read_predicate, &wf_shape_predicate, offsetof(WfEvent, when), false, WF_AT_REPLY},
	{"task", wf_read_task, &wf_task_shape, 0},
	{"topic", wf_read_topic, &wf_topic_shape, 0},
	{"data", wf_read_any, &wf_shape_any, offsetof(WfEvent, data)},
};

const WfJsonShape wf_wait_shape = {
	.name = "wait",
	.says = "What the step waits for once its action is done: true is a callback.",
	.types = WF_TAKES_BOOL | WF_TAKES_OBJECT,
	.only_true = true,
	.what = "\"wait\"",
	WF_FIELDS(wait_fields),
	.keys = &wf_one_event,
	.nkeys = 1,
	WF_BESIDE(wf_event_beside),
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
	wf_read_object(reader, node, &wf_wait_shape, event);
	check_one_event(reader, node, &wf_wait_shape, "A step waits for one event, or for the \"first_of\" several.");
}

/* ---- first_of ---- */

static const WfReaderField first_of_fields[] = {
	{"callback", wf_read_callback, &wf_shape_true, offsetof(WfEntry, event)},
	{"signature", wf_read_signature, &wf_signature_shape, offsetof(WfEntry, event.signature)},
	{"after", wf_read_after, &wf_shape_interval, offsetof(WfEntry, event)},
	{"until", wf_read_event_until, &wf_shape_name, offsetof(WfEntry, event)},
	{"message", wf_read_message, &wf_event_name_shape, offsetof(WfEntry, event)},
	{"key", wf_read_key, &wf_shape_scalar, offsetof(WfEntry, event.key), false, WF_AT_ENTRY},
	{"signal", wf_read_signal, &wf_event_name_shape, offsetof(WfEntry, event)},
	{"condition", wf_read_condition, &wf_shape_predicate, offsetof(WfEntry, event)},
	{"when", wf_read_predicate, &wf_shape_predicate, offsetof(WfEntry, event.when), false, WF_AT_REPLY},
	{"save", wf_read_changes, &wf_shape_changes, offsetof(WfEntry, save), false, WF_AT_END},
	{"next", wf_read_targets, &wf_shape_targets, offsetof(WfEntry, next), true},
	{"task", wf_read_task, &wf_task_shape, offsetof(WfEntry, event)},
	{"topic", wf_read_topic, &wf_topic_shape, offsetof(WfEntry, event)},
	{"data", wf_read_any, &wf_shape_any, offsetof(WfEntry, event.data)},
};

static const WfJsonShape entry_shape = {
	.name = "first_of",
	.says = "An event that ends the wait, and where the token goes then.",
	.types = WF_TAKES_OBJECT,
	.what = "a \"first_of\" entry",
	WF_FIELDS(first_of_fields),
	.keys = &wf_one_event,
	.nkeys = 1,
	WF_BESIDE(wf_event_beside),
};

const WfJsonShape wf_first_of_shape = {.types = WF_TAKES_ARRAY,
									   .items = &entry_shape,
									   .min_items = 2,
									   .max_items = WF_MAX_FIRST_OF};

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
		if (wf_read_object(reader, node->items[i], &entry_shape, &entries[i]))
			check_one_event(reader, node->items[i], &entry_shape, "Make an entry of each.");
	}
}
