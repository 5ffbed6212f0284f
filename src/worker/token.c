/*
 * token.c
 *		Tokens of OAuth 2.0: each user mapping has one, which all of its requests share.
 *
 * A token is asked for by the first request that needs it, and again once it is about to expire, or
 * when the service has rejected it; meanwhile all that need it wait. If it cannot be had, what has
 * waited has made an attempt that failed; what comes later waits, for a pause that grows, and
 * spends no attempt.
 *
 * Tokens are in this process's memory alone. A refresh token that the token service replaces is put
 * into the user mapping (token_store.c), before the token that came with it is used.
 */
#include "compat.h"

#include "access/xact.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/shown.h"
#include "worker/in_flight.h"
#include "worker/token.h"
#include "worker/token_request.h"
#include "worker/token_store.h"
#include "worker/worker.h"

#define FIRST_PAUSE_MS	1000
#define LONGEST_PAUSE_S 60
/* A refresh token that is in memory alone is lost if this process ends. */
#define LONGEST_STORE_PAUSE_MS 10000
/* A token is not used in the last part of its life, which a request may take: a tenth, at most so long. */
#define LAST_PART		0.1
#define LONGEST_LAST_S	30
#define SHORTEST_LIFE_S 1
#define LONGEST_LIFE_S	(365.0 * 86400)
/* That services reject a token leads to another one at most so often. */
#define REJECTED_PAUSE_MS 10000
/* Visits whose requests were sent again are forgotten after so long, if no other answer comes. */
#define RESENT_KEPT_MS 3600000
#define RESENT_MANY	   1000
/* The same for tokens that nobody uses any more. */
#define UNUSED_KEPT_MS 3600000
/* While tokens are awaited, it is looked so often whether a user mapping has changed. */
#define CHANGES_CHECK_MS 1000

typedef struct Token
{
	Oid		mapping;	   /* must be first: the key */
	WfGrant grant;		   /* as the mapping has it, or had it last; each string is malloc'ed by itself */
	char   *refresh_token; /* the one to use: that of the grant, or one that is not in the mapping yet */

	char	   *access_token; /* NULL: there is none */
	uint64		number;		  /* of the token, among all that this process has got */
	TimestampTz expires_at;
	TimestampTz rejected_at; /* when a token was dropped since a service had rejected it; 0: none was */
	TimestampTz used_at;
	/* of the server that its mapping is for; NULL: it is not counted */
	WfServerCounts *counts;

	/* the request for one */
	uint64		tag;   /* of the request that is under way; 0: none is */
	WfFault		fault; /* why it came to nothing, while what has waited is still to be told; code NULL: it did not */
	bool		retryable;
	TimestampTz not_before; /* the pause after that is over */
	int			pause_ms;	/* the last one; 0: the last request was a success */

	/* storing a refresh token that is new */
	TimestampTz store_at; /* WF_NEVER: there is none to be stored */
	int			store_pause_ms;

	int64 *waiting; /* visits that wait for the token, those among them that still do; malloc'ed */
	int	   nwaiting;
	int	   allocated;
} Token;

/* Rows of this owner in the queue of this server are passed over while the token is awaited. */
typedef struct Hold
{
	WfQueueCursor *cursor;
	Oid			   owner;
	Token		  *token;
} Hold;

typedef struct Resent
{
	int64		visit;
	TimestampTz at;
} Resent;

static HTAB		  *tokens = NULL;
static HTAB		  *resent = NULL; /* visits whose requests were sent again since their token was rejected */
static List		  *unsent = NIL;  /* requests for tokens, of WfHttpRequest *, in the turn's context */
static Hold		  *holds = NULL;
static int		   nholds = 0;
static int		   holds_allocated = 0;
static uint64	   seen_changes = 0;		/* of servers and user mappings, as of wf_server_changes */
static TimestampTz changes_at = DT_NOBEGIN; /* when to look for further ones */
static bool	  idle = false; /* there is nothing to do but when one is needed, or a reply comes: true of most turns */
static uint64 last_number = 0;
static uint64 last_tag = UINT64CONST(0x8000000000000000);

void
wf_tokens_init(void)
{
	HASHCTL of_tokens = {.keysize = sizeof(Oid), .entrysize = sizeof(Token)};
	HASHCTL of_resent = {.keysize = sizeof(int64), .entrysize = sizeof(Resent)};

	tokens = hash_create("workflow tokens", 16, &of_tokens, HASH_ELEM | HASH_BLOBS);
	resent = hash_create("workflow requests sent again", 16, &of_resent, HASH_ELEM | HASH_BLOBS);
	wf_tokens_show(NULL, 0);
}

/* ---- secrets in memory ---- */

static void
wipe(char **text)
{
	if (*text == NULL)
		return;
	explicit_bzero(*text, strlen(*text));
	pfree(*text);
	*text = NULL;
}

static char *
keep(const char *text)
{
	return text != NULL ? MemoryContextStrdup(TopMemoryContext, text) : NULL;
}

static void
keep_instead(char **old, const char *text)
{
	char *copy = keep(text);

	wipe(old);
	*old = copy;
}

/* The strings of a grant, for what is done with each of them. */
static void
strings_of(WfGrant *grant, const char ***strings)
{
	const char **list[] = {&grant->token_url, &grant->client_id, &grant->client_secret, &grant->client_secret_file,
						   &grant->scope,	  &grant->audience,	 &grant->token_ca,		&grant->refresh_token};

	StaticAssertStmt(lengthof(list) == WF_GRANT_STRINGS, "each string of a grant");
	memcpy(strings, list, sizeof(list));
}

/* If memory runs out, *kept has no string that is not its own. */
static void
keep_grant(WfGrant *kept, const WfGrant *grant)
{
	WfGrant		 from = *grant;
	const char **strings[WF_GRANT_STRINGS];
	const char **copies[WF_GRANT_STRINGS];

	strings_of(&from, strings);
	*kept = (WfGrant){.mapping = grant->mapping,
					  .in_body = grant->in_body,
					  .token_allow_private = grant->token_allow_private};
	strings_of(kept, copies);
	for (int i = 0; i < WF_GRANT_STRINGS; i++)
		*copies[i] = keep(*strings[i]);
}

static void
wipe_grant(WfGrant *grant)
{
	const char **strings[WF_GRANT_STRINGS];

	strings_of(grant, strings);
	for (int i = 0; i < WF_GRANT_STRINGS; i++)
		wipe((char **) strings[i]);
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Are the grants the same, but for the refresh token, which is the last string? */
static bool
same_grant(WfGrant *a, WfGrant *b)
{
	const char **of_a[WF_GRANT_STRINGS];
	const char **of_b[WF_GRANT_STRINGS];

	strings_of(a, of_a);
	strings_of(b, of_b);
	for (int i = 0; i < WF_GRANT_STRINGS - 1; i++)
		if (!same_text(*of_a[i], *of_b[i]))
			return false;
	return a->in_body == b->in_body && a->token_allow_private == b->token_allow_private;
}

/* ---- who waits ---- */

static void
show_holds(void)
{
	WfShownToken shown[WF_MAX_SHOWN_TOKENS];
	int			 n = Min(nholds, WF_MAX_SHOWN_TOKENS);

	for (int i = 0; i < n; i++)
	{
		strlcpy(shown[i].server, holds[i].cursor->server, sizeof(shown[i].server));
		shown[i].owner = holds[i].owner;
	}
	wf_tokens_show(shown, n);
}

static void
hold(WfQueueCursor *cursor, Oid owner, Token *token)
{
	for (int i = 0; i < nholds; i++)
		if (holds[i].cursor == cursor && holds[i].owner == owner && holds[i].token == token)
			return;
	if (nholds == holds_allocated)
	{
		holds_allocated = Max(16, holds_allocated * 2);
		holds = holds == NULL ? MemoryContextAlloc(TopMemoryContext, sizeof(Hold) * holds_allocated)
							  : repalloc(holds, sizeof(Hold) * holds_allocated);
	}
	holds[nholds++] = (Hold){cursor, owner, token};
	show_holds();
}

static void
end_holds(const Token *token)
{
	int n = 0;

	for (int i = 0; i < nholds; i++)
		if (holds[i].token != token)
			holds[n++] = holds[i];
	if (n == nholds)
		return;
	nholds = n;
	show_holds();
}

bool
wf_tokens_hold_any(const WfQueueCursor *cursor)
{
	for (int i = 0; i < nholds; i++)
		if (holds[i].cursor == cursor)
			return true;
	return false;
}

bool
wf_tokens_hold(const WfQueueCursor *cursor, Oid owner)
{
	for (int i = 0; i < nholds; i++)
		if (holds[i].cursor == cursor && holds[i].owner == owner)
			return true;
	return false;
}

static void
await(Token *token, WfQueueCursor *cursor, Oid owner, int64 visit)
{
	if (token->nwaiting == token->allocated)
	{
		token->allocated = Max(16, token->allocated * 2);
		token->waiting = token->waiting == NULL
							 ? MemoryContextAllocHuge(TopMemoryContext, sizeof(int64) * token->allocated)
							 : repalloc_huge(token->waiting, sizeof(int64) * token->allocated);
	}
	token->waiting[token->nwaiting++] = visit;
	idle = false;
	wf_in_flight_await(visit);
	hold(cursor, owner, token);
}

/* Have the rows of those that wait looked at again. */
static void
release(Token *token)
{
	for (int i = 0; i < token->nwaiting; i++)
		wf_in_flight_go_on(token->waiting[i]);
	token->nwaiting = 0;
	end_holds(token);
}

/* ---- what becomes of a token ---- */

static void
drop_access_token(Token *token)
{
	wipe(&token->access_token);
	token->number = 0;
}

/* Is the refresh token of the mapping, which was not replaced by hand, one that the token service takes no longer? */
static bool
is_outdated(const Token *token, const WfGrant *grant)
{
	return token->store_at != WF_NEVER && grant->refresh_token != NULL &&
		   same_text(grant->refresh_token, token->grant.refresh_token);
}

/*
 * The mapping is another one than before: whatever was got by the old one, or is under way, counts no more, but for a
 * refresh token that is still to be stored.
 */
static void
begin_anew(Token *token, const WfGrant *grant)
{
	if (!is_outdated(token, grant))
	{
		keep_instead(&token->refresh_token, grant->refresh_token);
		token->store_at = WF_NEVER;
	}
	drop_access_token(token);
	wipe_grant(&token->grant);
	keep_grant(&token->grant, grant);
	token->tag = 0;
	token->fault.code = NULL;
	wipe((char **) &token->fault.message);
	token->not_before = 0;
	token->pause_ms = 0;
	token->rejected_at = 0;
	release(token);
}

static void
forget_unused(TimestampTz now)
{
	HASH_SEQ_STATUS scan;
	Token		   *token;

	hash_seq_init(&scan, tokens);
	while ((token = hash_seq_search(&scan)) != NULL)
	{
		if (token->nwaiting > 0 || token->tag != 0 || token->store_at != WF_NEVER ||
			!TimestampDifferenceExceeds(token->used_at, now, UNUSED_KEPT_MS))
			continue;
		end_holds(token);
		drop_access_token(token);
		wipe(&token->refresh_token);
		wipe_grant(&token->grant);
		if (token->waiting != NULL)
			pfree(token->waiting);
		(void) hash_search(tokens, &token->mapping, HASH_REMOVE, NULL);
	}
}

/* Is the grant, as the mapping has it now, another one than that of the token? What we have stored does not count. */
static bool
has_changed(Token *token, WfGrant grant)
{
	return !same_grant(&token->grant, &grant) || (!same_text(grant.refresh_token, token->grant.refresh_token) &&
												  !same_text(grant.refresh_token, token->refresh_token));
}

/*
 * While a request by a refresh token is under way, its answer is waited for, whatever has changed besides: it may bring
 * the only refresh token that is still good.
 */
static bool
may_begin_anew(const Token *token, const WfGrant *grant)
{
	return token->tag == 0 || grant->refresh_token == NULL ||
		   !same_text(grant->refresh_token, token->grant.refresh_token);
}

static Token *
find_token(const WfGrant *grant, TimestampTz now)
{
	bool   found;
	Token *token = hash_search(tokens, &grant->mapping, HASH_FIND, NULL);

	if (token == NULL)
	{
		forget_unused(now);
		token = hash_search(tokens, &grant->mapping, HASH_ENTER, &found);
		memset((char *) token + sizeof(Oid), 0, sizeof(Token) - sizeof(Oid));
		token->store_at = WF_NEVER;
		begin_anew(token, grant);
	}
	else if (has_changed(token, *grant))
	{
		if (may_begin_anew(token, grant))
			begin_anew(token, grant);
	}
	else if (!same_text(grant->refresh_token, token->grant.refresh_token))
		keep_instead((char **) &token->grant.refresh_token, grant->refresh_token); /* it was stored */
	token->used_at = now;
	return token;
}

static void
failed(Token *token, const WfFault *fault, bool retryable, int retry_after_ms)
{
	int pause_ms = token->pause_ms == 0 ? FIRST_PAUSE_MS : Min(token->pause_ms * 2, LONGEST_PAUSE_S * 1000);

	idle = false;
	token->tag = 0;
	token->fault = *fault;
	token->fault.message = keep(fault->message);
	token->retryable = retryable;
	token->pause_ms = pause_ms;
	token->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), Max(pause_ms, retry_after_ms));
}

static void
ask_for_token(Token *token, const WfServer *server, Oid owner)
{
	WfHttpRequest *request = palloc(sizeof(WfHttpRequest));
	WfFault		   fault = {0};

	if (!wf_token_request(server, owner, &token->grant, token->refresh_token, request, &fault))
	{
		failed(token, &fault, true, 0);
		return;
	}
	token->tag = request->tag = ++last_tag;
	unsent = lappend(unsent, request);
}

static bool
is_usable(Token *token, TimestampTz now)
{
	if (token->access_token != NULL && token->expires_at <= now)
		drop_access_token(token);
	return token->access_token != NULL;
}

bool
wf_token_add(WfQueueCursor *cursor, const WfServer *server, Oid owner, WfHttpRequest *request)
{
	const WfGrant *grant = wf_server_grant(server, owner);
	TimestampTz	   now;
	Token		  *token;
	WfHttpHeader  *headers;

	if (grant == NULL)
		return true;
	for (int i = 0; i < request->nheaders; i++)
		if (pg_strcasecmp(request->headers[i].name, "Authorization") == 0)
			return true; /* one of the step stands */
	now = GetCurrentTimestamp();
	token = find_token(grant, now);
	if (!is_usable(token, now))
	{
		token->counts = cursor->counts;
		if (token->tag == 0 && token->fault.code == NULL && token->not_before <= now)
			ask_for_token(token, server, owner);
		await(token, cursor, owner, (int64) request->tag);
		return false;
	}
	headers = palloc(sizeof(WfHttpHeader) * (request->nheaders + 1));
	memcpy(headers, request->headers, sizeof(WfHttpHeader) * request->nheaders);
	headers[request->nheaders++] = (WfHttpHeader){"Authorization", psprintf("Bearer %s", token->access_token)};
	request->headers = headers;
	wf_in_flight_set_token((int64) request->tag, token->number);
	return true;
}

/* ---- requests for tokens ---- */

static Token *
token_of_tag(uint64 tag)
{
	HASH_SEQ_STATUS scan;
	Token		   *token;

	hash_seq_init(&scan, tokens);
	while ((token = hash_seq_search(&scan)) != NULL)
	{
		if (token->tag != tag)
			continue;
		hash_seq_term(&scan);
		return token;
	}
	return NULL;
}

void
wf_tokens_send(WfHttp *http)
{
	ListCell *lc;

	foreach (lc, unsent)
	{
		const WfHttpRequest *request = lfirst(lc);
		Token				*token = token_of_tag(request->tag);
		WfFault				 fault = {.code = WF_CODE_AUTH, .message = "no token could be asked for: out of memory"};

		if (token == NULL)
			continue;
		if (!wf_http_send(http, request))
			failed(token, &fault, true, 0);
		else if (token->counts != NULL)
			token->counts->token_requests++;
	}
	unsent = NIL;
}

static TimestampTz
end_of_use(double expires_in)
{
	double seconds;

	if (expires_in < 0)
		return WF_NEVER;
	seconds = expires_in - Min(expires_in * LAST_PART, LONGEST_LAST_S);
	seconds = Min(Max(seconds, SHORTEST_LIFE_S), LONGEST_LIFE_S);
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) (seconds * 1000));
}

/* Store the new refresh token; if that cannot be done, again after a pause that grows. */
static void
store(Token *token)
{
	switch (wf_token_store(&token->grant, token->refresh_token))
	{
		case WF_TOKEN_STORED:
			keep_instead((char **) &token->grant.refresh_token, token->refresh_token);
			pg_fallthrough;
		case WF_TOKEN_GONE:
			token->store_at = WF_NEVER;
			break;
		case WF_TOKEN_UNSTORED:
			token->store_pause_ms = Min(Max(token->store_pause_ms * 2, FIRST_PAUSE_MS), LONGEST_STORE_PAUSE_MS);
			token->store_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), token->store_pause_ms);
			idle = false;
			break;
	}
}

static void
succeeded(Token *token, const WfTokenAnswer *answer)
{
	token->tag = 0;
	token->pause_ms = 0;
	token->not_before = 0;
	keep_instead(&token->access_token, answer->access_token);
	token->number = ++last_number;
	token->expires_at = end_of_use(answer->expires_in);
	if (token->refresh_token == NULL || answer->refresh_token == NULL ||
		strcmp(answer->refresh_token, token->refresh_token) == 0)
		return;
	keep_instead(&token->refresh_token, answer->refresh_token);
	token->store_pause_ms = 0;
	store(token);
}

void
wf_token_take(const WfHttpReply *reply)
{
	Token		 *token = token_of_tag(reply->tag);
	WfTokenAnswer answer;

	if (token == NULL)
		return; /* the mapping has changed meanwhile */
	wf_token_answer(reply, &answer);
	if (answer.access_token != NULL)
		succeeded(token, &answer);
	else
	{
		if (token->counts != NULL)
			token->counts->token_failures++;
		failed(token, &answer.fault, answer.retryable, answer.retry_after_ms);
	}
}

/* ---- rejected tokens ---- */

static void
forget_resent(TimestampTz now)
{
	HASH_SEQ_STATUS scan;
	Resent		   *entry;

	hash_seq_init(&scan, resent);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (TimestampDifferenceExceeds(entry->at, now, RESENT_KEPT_MS))
			(void) hash_search(resent, &entry->visit, HASH_REMOVE, NULL);
}

/*
 * Drop the token of that number, if it is still in use. Returns false if it must not be dropped, since another one was
 * not long ago: a service that rejects every token is not asked for ever more.
 */
static bool
drop_rejected(uint64 number, TimestampTz now)
{
	HASH_SEQ_STATUS scan;
	Token		   *token;

	hash_seq_init(&scan, tokens);
	while ((token = hash_seq_search(&scan)) != NULL)
	{
		if (token->number != number)
			continue;
		hash_seq_term(&scan);
		if (token->rejected_at != 0 && !TimestampDifferenceExceeds(token->rejected_at, now, REJECTED_PAUSE_MS))
			return false;
		token->rejected_at = now;
		drop_access_token(token);
		return true;
	}
	return true;
}

bool
wf_token_rejected(int64 visit, uint64 number, const WfHttpReply *reply)
{
	static long most = RESENT_MANY;
	bool		found = false;
	Resent	   *entry;
	TimestampTz now;

	if (hash_get_num_entries(resent) > 0)
		(void) hash_search(resent, &visit, HASH_REMOVE, &found);
	if (reply->verdict != WF_HTTP_ANSWERED || reply->status != 401 || found)
		return false;
	now = GetCurrentTimestamp();
	if (!drop_rejected(number, now))
		return false;
	if (hash_get_num_entries(resent) >= most)
	{
		forget_resent(now);
		most = Max(RESENT_MANY, 2 * hash_get_num_entries(resent));
	}
	entry = hash_search(resent, &visit, HASH_ENTER, &found);
	entry->at = now;
	return true;
}

/* ---- in each turn ---- */

/* All of them; no scan of the hash table may be open while a transaction ends. */
static Token **
list_tokens(int *n)
{
	Token		  **list = palloc(sizeof(Token *) * hash_get_num_entries(tokens));
	HASH_SEQ_STATUS scan;
	Token		   *token;

	*n = 0;
	hash_seq_init(&scan, tokens);
	while ((token = hash_seq_search(&scan)) != NULL)
		list[(*n)++] = token;
	return list;
}

/* Let this process be told what others have committed. */
static void
hear_of_changes(void)
{
	MemoryContext context = CurrentMemoryContext;

	wf_begin_transaction();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}

/*
 * A mapping that was altered, dropped or made counts at once: have all that waits for a token looked at again, since
 * nobody looks at the mappings of owners whose rows are passed over.
 */
static void
look_for_changes(Token **list, int n, TimestampTz now)
{
	if (nholds == 0 || changes_at > now)
		return;
	changes_at = TimestampTzPlusMilliseconds(now, CHANGES_CHECK_MS);
	hear_of_changes();
	if (seen_changes == wf_server_changes())
		return;
	seen_changes = wf_server_changes();
	for (int i = 0; i < n; i++)
		if (list[i]->fault.code == NULL)
			release(list[i]);
}

void
wf_tokens_run(void)
{
	TimestampTz now = GetCurrentTimestamp();
	Token	  **list;
	int			n;

	if (idle)
		return;
	list = list_tokens(&n);
	look_for_changes(list, n, now);
	for (int i = 0; i < n; i++)
	{
		Token *token = list[i];

		if (token->store_at <= now)
			store(token);
		if (token->fault.code == NULL && token->nwaiting > 0 && token->tag == 0 && token->not_before <= now)
			release(token);
	}
}

/* Make jobs of what has waited in vain, at most `max`. The failure is forgotten with the last of them. */
static int
take_failed(Token *token, WfJob *jobs, int max)
{
	WfFault fault = token->fault;
	int		n = 0;

	fault.message = pstrdup(fault.message);
	while (n < max && token->nwaiting > 0)
	{
		int64 visit = token->waiting[--token->nwaiting];
		int64 instance = wf_in_flight_take_back(visit);

		if (instance == 0)
			continue;
		if (token->counts != NULL)
			wf_server_count_failure(token->counts, WF_FAILURE_AUTH);
		jobs[n++] = (WfJob){.kind = WF_JOB_FAIL,
							.instance = instance,
							.visit = visit,
							.fault = fault,
							.attempt = true,
							.retryable = token->retryable};
	}
	if (token->nwaiting > 0)
		return n;
	wipe((char **) &token->fault.message);
	token->fault.code = NULL;
	end_holds(token);
	return n;
}

int
wf_tokens_failed(WfJob *jobs, int max)
{
	HASH_SEQ_STATUS scan;
	Token		   *token;
	int				n = 0;

	if (idle)
		return 0;
	hash_seq_init(&scan, tokens);
	while ((token = hash_seq_search(&scan)) != NULL)
		if (token->fault.code != NULL)
			n += take_failed(token, jobs + n, max - n);
	return n;
}

TimestampTz
wf_tokens_next(void)
{
	TimestampTz		next = WF_NEVER;
	HASH_SEQ_STATUS scan;
	Token		   *token;

	if (idle)
		return next;
	if (nholds > 0)
		next = changes_at;
	hash_seq_init(&scan, tokens);
	while ((token = hash_seq_search(&scan)) != NULL)
	{
		next = Min(next, token->store_at);
		if (token->fault.code != NULL)
			next = DT_NOBEGIN;
		else if (token->nwaiting > 0 && token->tag == 0)
			next = Min(next, token->not_before);
	}
	idle = next == WF_NEVER;
	return next;
}
