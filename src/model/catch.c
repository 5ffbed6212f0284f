/*
 * catch.c
 *		What a step catches: outcomes, error codes, and events.
 */
#include "postgres.h"

#include "model/event.h"
#include "model/reader.h"
#include "model/signature.h"

#define MAX_CATCH_WORDS 100

static const char *const outcome_names[] = {
	[WF_OUTCOME_SUCCESS] = "SUCCESS",	  [WF_OUTCOME_FAILED] = "FAILED", [WF_OUTCOME_CANCELLED] = "CANCELLED",
	[WF_OUTCOME_TIMED_OUT] = "TIMED_OUT", [WF_OUTCOME_DIED] = "DIED",	  [WF_OUTCOME_SYSTEM_ERROR] = "SYSTEM_ERROR",
};

const char *
wf_outcome_name(WfOutcome outcome)
{
	return outcome_names[outcome];
}

WfOutcome
wf_outcome_from_name(const char *name)
{
	for (int i = 0; i < lengthof(outcome_names); i++)
	{
		if (outcome_names[i] && strcmp(outcome_names[i], name) == 0)
			return (WfOutcome) i;
	}
	return WF_OUTCOME_NONE;
}

bool
wf_code_names(const char *word, const char *code, int http_status)
{
	if (code != NULL && strcmp(word, code) == 0)
		return true;
	return http_status != 0 && word[0] == '0' + http_status / 100 && strcmp(word + 1, "xx") == 0;
}

/* ---- handlers ---- */

/*
 * Does the word mean this outcome? Only letters are compared, whatever their case: "timed out",
 * "TimedOut" and TIMED_OUT are one word.
 */
static bool
means_outcome(const char *word, const char *outcome)
{
	for (;;)
	{
		while (*word == '_' || *word == '-' || *word == ' ')
			word++;
		while (*outcome == '_')
			outcome++;
		if (*word == '\0' || pg_ascii_toupper((unsigned char) *word) != *outcome)
			return *word == *outcome;
		word++;
		outcome++;
	}
}

/* The outcome that the word means, in any spelling, or NULL. */
static const char *
outcome_meant(const char *word)
{
	for (int i = 0; i < lengthof(outcome_names); i++)
	{
		if (outcome_names[i] && means_outcome(word, outcome_names[i]))
			return outcome_names[i];
	}
	return NULL;
}

/*
 * Other systems' names for our outcomes. (Error codes of requests and of the engine are in lower
 * case, such as "timeout".)
 */
static const struct
{
	const char *word;
	WfOutcome	outcome;
} like_outcomes[] = {
	{"TIMEOUT", WF_OUTCOME_TIMED_OUT},	{"EXPIRED", WF_OUTCOME_TIMED_OUT},	 {"FAIL", WF_OUTCOME_FAILED},
	{"FAILURE", WF_OUTCOME_FAILED},		{"CANCELED", WF_OUTCOME_CANCELLED},	 {"CANCEL", WF_OUTCOME_CANCELLED},
	{"ABORTED", WF_OUTCOME_CANCELLED},	{"DEAD", WF_OUTCOME_DIED},			 {"HEARTBEAT", WF_OUTCOME_DIED},
	{"ERROR", WF_OUTCOME_SYSTEM_ERROR}, {"SYSTEM", WF_OUTCOME_SYSTEM_ERROR}, {"EXCEPTION", WF_OUTCOME_SYSTEM_ERROR},
};

static const char *const known_codes[] = {
	WF_CODE_TEMPLATE, WF_CODE_PREDICATE, WF_CODE_CHOOSE, WF_CODE_CONNECT, WF_CODE_TIMEOUT,
	WF_CODE_REPLY,	  WF_CODE_REQUEST,	 WF_CODE_AUTH,	 WF_CODE_MOVE,	  WF_CODE_JOIN,
	WF_CODE_DATA,	  WF_CODE_SEND,		 WF_CODE_CALL,	 WF_CODE_TASK,
};

/* The outcome that a code looks like, or NULL. */
static const char *
outcome_alike(const char *word)
{
	int near;

	for (int i = 0; i < lengthof(like_outcomes); i++)
	{
		if (means_outcome(word, like_outcomes[i].word))
			return outcome_names[like_outcomes[i].outcome];
	}
	near = wf_issue_nearest(word, outcome_names, lengthof(outcome_names), wf_issue_name_at);
	return near >= 0 ? outcome_names[near] : NULL;
}

/*
 * Warn of codes that are hardly meant as such. Any code may be one that a service gives to
 * workflow.fail, so it is no fault.
 */
static void
warn_of_code(WfReader *reader, const WfJson *node, const char *word)
{
	const char *alike;
	int			near;

	if (reader->issues->warnings == NULL)
		return;
	for (int i = 0; i < lengthof(known_codes); i++)
	{
		if (strcmp(word, known_codes[i]) == 0)
			return;
	}
	alike = outcome_alike(word);
	near = wf_issue_nearest(word, known_codes, lengthof(known_codes), wf_issue_name_at);
	if (alike != NULL)
		wf_json_warning(
			reader->issues, node,
			psprintf("Perhaps you meant the outcome %s; as it stands it is a code that workflow.fail may be given.",
					 alike),
			"\"%s\" looks like an outcome and is none", wf_issue_clip(word));
	else if (near >= 0)
		wf_json_warning(reader->issues, node,
						psprintf("Perhaps you meant \"%s\"; as it stands it is a code that workflow.fail may be given.",
								 known_codes[near]),
						"\"%s\" looks like the code of an error and is none", wf_issue_clip(word));
}

static void
read_catch_number(WfReader *reader, const WfJson *node, WfEntry *entry)
{
	if (!wf_is_status(node->text))
		wf_json_issue(reader->issues, node, psprintf("Other codes are strings: \"%s\".", wf_issue_clip(node->text)),
					  "must be a status code from 100 to 599");
	else if (wf_reader_is_failure(reader, node))
		entry->codes[entry->ncodes++] = node->text;
}

static void
read_catch_class(WfReader *reader, const WfJson *node, WfEntry *entry)
{
	if (wf_reader_is_failure(reader, node))
		entry->codes[entry->ncodes++] = psprintf("%cxx", node->text[0]);
}

static void
read_catch_word(WfReader *reader, const WfJson *node, WfEntry *entry)
{
	const char *word = NULL;
	WfOutcome	outcome;

	if (node->type == WF_JSON_NUMBER)
	{
		read_catch_number(reader, node, entry);
		return;
	}
	wf_read_string(reader, node, &word);
	if (word == NULL)
		return;
	if (wf_is_status_class(word))
	{
		read_catch_class(reader, node, entry);
		return;
	}
	outcome = wf_outcome_from_name(word);
	if (strcmp(word, "*") == 0)
		entry->any = true;
	else if (outcome == WF_OUTCOME_SUCCESS)
		wf_json_issue(reader->issues, node, "After success a token goes on by \"next\", \"choose\" or \"end\".",
					  "SUCCESS cannot be caught");
	else if (outcome != WF_OUTCOME_NONE)
		entry->outcomes |= 1u << outcome;
	else if (outcome_meant(word))
		wf_json_issue(reader->issues, node, wf_issue_perhaps(outcome_meant(word), word), "the outcome is written %s",
					  outcome_meant(word));
	else
	{
		warn_of_code(reader, node, word);
		entry->codes[entry->ncodes++] = word;
	}
}

static void
read_catch_on(WfReader *reader, const WfJson *node, void *target)
{
	WfEntry *entry = target;

	entry->codes = palloc0(Max(node->n, 1) * sizeof(char *));
	entry->ncodes = 0;
	if (node->type == WF_JSON_STRING || node->type == WF_JSON_NUMBER)
		read_catch_word(reader, node, entry);
	else if (wf_reader_expect(reader, node, WF_JSON_ARRAY, "Name an outcome, an error code, a list of them, or \"*\"."))
	{
		if (node->n == 0)
			wf_json_issue(reader->issues, node, NULL, "catches nothing");
		if (node->n > MAX_CATCH_WORDS)
		{
			wf_json_issue(reader->issues, node, NULL, "has more than %d entries", MAX_CATCH_WORDS);
			return;
		}
		for (int i = 0; i < node->n; i++)
			read_catch_word(reader, node->items[i], entry);
	}
}

static const WfJsonShape word_shape = {.types = WF_TAKES_STRING | WF_TAKES_NUMBER,
									   .not_blank = true,
									   WF_STATUS_NUMBERS};
static const WfJsonShape on_shape = {
	.name = "on",
	.says =
		"Outcomes (FAILED, CANCELLED, TIMED_OUT, DIED, SYSTEM_ERROR), codes of errors, statuses of HTTP (404, \"5xx\"), or \"*\".",
	.types = WF_TAKES_STRING | WF_TAKES_NUMBER | WF_TAKES_ARRAY,
	.not_blank = true,
	WF_STATUS_NUMBERS,
	.items = &word_shape,
	.min_items = 1,
	.max_items = MAX_CATCH_WORDS};

static const WfReaderField catch_fields[] = {
	{"on", read_catch_on, &on_shape, 0},
	{"next", wf_read_targets, &wf_shape_targets, offsetof(WfEntry, next), true},
	{"save", wf_read_changes, &wf_shape_changes, offsetof(WfEntry, save), false, WF_BY_HANDLER},
	{"interrupt", wf_read_bool, &wf_shape_bool, offsetof(WfEntry, interrupt)},
	{"callback", wf_read_callback, &wf_shape_true, offsetof(WfEntry, event)},
	{"signature", wf_read_signature, &wf_signature_shape, offsetof(WfEntry, event.signature)},
	{"after", wf_read_after, &wf_shape_interval, offsetof(WfEntry, event)},
	{"until", wf_read_event_until, &wf_shape_name, offsetof(WfEntry, event)},
	{"every", wf_read_every, &wf_shape_interval, offsetof(WfEntry, event)},
	{"times", wf_read_times, &wf_shape_number, offsetof(WfEntry, event)},
	{"message", wf_read_message, &wf_event_name_shape, offsetof(WfEntry, event)},
	{"key", wf_read_key, &wf_shape_scalar, offsetof(WfEntry, event.key)},
	{"signal", wf_read_signal, &wf_event_name_shape, offsetof(WfEntry, event)},
	{"condition", wf_read_condition, &wf_shape_predicate, offsetof(WfEntry, event)},
	{"escalation", wf_read_escalation, &wf_event_name_shape, offsetof(WfEntry, event)},
	{"task", wf_read_task, &wf_task_shape, offsetof(WfEntry, event)},
	{"topic", wf_read_topic, &wf_topic_shape, offsetof(WfEntry, event)},
	{"data", wf_read_any, &wf_shape_any, offsetof(WfEntry, event.data)},
};

static const WfJsonShape entry_shape = {
	.name = "catch",
	.says = "A handler: what it catches, an outcome or an event, and where the token goes then.",
	.types = WF_TAKES_OBJECT,
	.what = "a \"catch\" entry",
	WF_FIELDS(catch_fields),
	.keys = &wf_one_caught,
	.nkeys = 1,
	WF_BESIDE(wf_event_beside),
};

const WfJsonShape wf_catch_shape = {.types = WF_TAKES_ARRAY, .items = &entry_shape, .max_items = WF_MAX_HANDLERS};

static bool
catches_code(const WfEntry *entry, const char *code)
{
	for (int i = 0; i < entry->ncodes; i++)
	{
		if (wf_code_names(entry->codes[i], code, wf_is_status(code) ? atoi(code) : 0))
			return true;
	}
	return false;
}

/* Does `earlier` leave nothing for `entry`, or do both name the same outcome or code? */
static void
check_shadow(WfReader *reader, const WfJson *node, const WfEntry *earlier, const WfEntry *entry)
{
	static const char hint[] = "The first entry that fits is taken: put the special ones first.";
	uint32			  both = earlier->outcomes & entry->outcomes;

	if (entry->event.kind != WF_EVENT_NONE)
		return;
	if (earlier->any)
	{
		wf_json_issue(reader->issues, node, hint, "is never reached: an entry before it catches everything");
		return;
	}
	for (int i = 0; i < lengthof(outcome_names); i++)
	{
		if (both & (1u << i))
			wf_json_issue(reader->issues, node, hint, "%s is caught by an entry before it", outcome_names[i]);
	}
	for (int i = 0; i < entry->ncodes; i++)
	{
		if (catches_code(earlier, entry->codes[i]))
			wf_json_issue(reader->issues, node, hint, "\"%s\" is caught by an entry before it",
						  wf_issue_clip(entry->codes[i]));
	}
}

/* Is the escalation caught by an entry before it? Others do not stand in its way. */
static void
check_escalation_shadow(WfReader *reader, const WfJson *node, const WfEvent *earlier, const WfEvent *event)
{
	static const char hint[] = "The first entry that fits is taken: put the special ones first.";

	if (event->kind != WF_EVENT_ESCALATION || earlier->kind != WF_EVENT_ESCALATION || event->name == NULL ||
		earlier->name == NULL)
		return;
	if (strcmp(earlier->name, "*") == 0)
		wf_json_issue(reader->issues, node, hint, "is never reached: an entry before it catches all escalations");
	else if (strcmp(earlier->name, event->name) == 0)
		wf_json_issue(reader->issues, node, hint, "the escalation \"%s\" is caught by an entry before it",
					  wf_issue_clip(event->name));
}

/* Check that a handler catches either outcomes and errors, or one event. */
static void
check_catch_kind(WfReader *reader, const WfJson *node)
{
	static const struct
	{
		const char *key;
		const char *hint;
	} of_events[] = {
		{"interrupt", "What catches an outcome always interrupts: leave it out."},
		{"save", "What has failed is $caught in the steps that the handler leads to: save it there with \"set\"."},
	};
	bool on = wf_json_member(node, "on") != NULL;
	int	 events = wf_event_count(node);

	if (!on && events == 0)
		wf_json_issue(reader->issues, node, "Name an outcome, an error code, a list of them, or \"*\".",
					  "\"on\" is missing");
	if (on && events > 0)
		wf_json_issue(reader->issues, node, "Make two handlers of it.", "catches outcomes and an event");
	if (events > 1)
		wf_json_issue(reader->issues, node, "Make a handler of each.", "catches more than one event");
	for (int i = 0; on && i < lengthof(of_events); i++)
	{
		const WfJson *member = wf_json_member(node, of_events[i].key);

		if (member != NULL)
			wf_json_issue(reader->issues, member, of_events[i].hint, "goes with an event only, such as \"after\"");
	}
	wf_reader_beside(reader, node, &entry_shape);
}

/* Check what only some steps can catch, or only in one way. */
static void
check_catch_event(WfReader *reader, const WfJson *node)
{
	static const char *const escalating[] = {"steps", "call"};
	const WfJson			*escalation = wf_json_member(node, "escalation");

	/* the process has "steps", too; what is called may escalate */
	if (escalation != NULL && !wf_json_has_one_of(reader->node, FIELDS(escalating)))
		wf_json_issue(
			reader->issues, escalation,
			"They go to the scopes around the step that sends them, and to the step that has called the process: give the handler to a step with \"steps\" or \"call\", or to the process.",
			"a step without \"steps\" or \"call\" catches no escalations");
}

static void
read_catch_entry(WfReader *reader, const WfJson *node, WfEntry *entry)
{
	const WfJson *interrupt = wf_json_member(node, "interrupt");

	reader->interrupts = interrupt == NULL || interrupt->type != WF_JSON_BOOL || interrupt->truth;
	if (!wf_read_object(reader, node, &entry_shape, entry))
		return;
	check_catch_kind(reader, node);
	check_catch_event(reader, node);
}

void
wf_read_catch(WfReader *reader, const WfJson *node, void *target)
{
	WfStep	*step = target;
	WfEntry *handlers;

	if (!wf_reader_expect(reader, node, WF_JSON_ARRAY, "Handlers are a list: [{\"on\": ..., \"next\": ...}]."))
	{
		wf_reader_unread(reader);
		return;
	}
	if (node->n > WF_MAX_HANDLERS)
	{
		wf_reader_unread(reader);
		wf_json_issue(reader->issues, node, NULL, "has more than %d entries", WF_MAX_HANDLERS);
		return;
	}
	handlers = step->entries + step->nwaits;
	for (int i = 0; i < node->n; i++)
	{
		handlers[i].interrupt = true;
		read_catch_entry(reader, node->items[i], &handlers[i]);
		for (int j = 0; j < i; j++)
		{
			check_shadow(reader, node->items[i], &handlers[j], &handlers[i]);
			check_escalation_shadow(reader, node->items[i], &handlers[j].event, &handlers[i].event);
			if (handlers[j].any && handlers[i].event.kind == WF_EVENT_NONE)
				break;
		}
	}
}
