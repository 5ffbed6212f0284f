/*
 * jsonb_object.c
 *		Building an object of fields whose values are there as jsonb: their bytes are copied as they are.
 *
 * PostgreSQL's own functions take values apart and put them together again, once for each level that they come to be
 * inside of; the body of a reply does so three times before it is stored. What comes out is the same, byte by byte, which
 * debug builds check.
 *
 * An object is a header, an entry for each key and then for each value, and their bytes in that order. An entry has the
 * length of its bytes, but every JB_OFFSET_STRIDEth the offset of their end. Numbers and containers begin at multiples of 4.
 */
#include "compat.h"

#include "utils/numeric.h"

#include "debug.h"
#include "model/json.h"
#include "model/template.h"

typedef struct Pair
{
	const char *key;
	size_t		key_len;
	int			order; /* in which it was given: of two with the same key the later one counts */
	JsonbValue	value;
} Pair;

static void
field_value(const WfField *field, JsonbValue *value)
{
	value->type = jbvNull;
	switch (field->kind)
	{
		case WF_FIELD_JSONB:
			if (field->jsonb)
				wf_jsonb_value(field->jsonb, value);
			break;
		case WF_FIELD_TEXT:
			if (field->text)
			{
				value->type = jbvString;
				value->val.string.val = unconstify(char *, field->text);
				value->val.string.len = strlen(field->text);
			}
			break;
		case WF_FIELD_INT:
			value->type = jbvNumeric;
			value->val.numeric = int64_to_numeric(field->number);
			break;
		case WF_FIELD_TRUE:
			value->type = jbvBool;
			value->val.boolean = true;
			break;
	}
}

/* The order of keys in an object: shorter ones first. */
static int
compare_pairs(const void *a, const void *b)
{
	const Pair *left = a;
	const Pair *right = b;
	int			order;

	if (left->key_len != right->key_len)
		return left->key_len < right->key_len ? -1 : 1;
	order = memcmp(left->key, right->key, left->key_len);
	return order != 0 ? order : right->order - left->order;
}

#define FEW 16

/* Few are in order sooner than a sort for many has begun; those in the order of jsonb are so at once. */
static void
sort_pairs(Pair *pairs, int n)
{
	if (n > FEW)
	{
		qsort(pairs, n, sizeof(Pair), compare_pairs);
		return;
	}
	for (int i = 1; i < n; i++)
	{
		Pair pair = pairs[i];
		int	 at = i;

		for (; at > 0 && compare_pairs(&pairs[at - 1], &pair) > 0; at--)
			pairs[at] = pairs[at - 1];
		if (at < i)
			pairs[at] = pair;
	}
}

static bool
same_key(const Pair *a, const Pair *b)
{
	return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

static int
list_pairs(const WfField *fields, int nfields, Pair *pairs)
{
	int n = 0;
	int nkept = 0;

	for (int i = 0; i < nfields; i++)
	{
		if (fields[i].omit)
			continue;
		pairs[n] = (Pair){.key = fields[i].key, .key_len = strlen(fields[i].key), .order = i};
		field_value(&fields[i], &pairs[n++].value);
	}
	sort_pairs(pairs, n);
	for (int i = 0; i < n; i++)
		if (nkept == 0 || !same_key(&pairs[nkept - 1], &pairs[i]))
			pairs[nkept++] = pairs[i];
	return nkept;
}

/* ---- bytes ---- */

/* The bytes of a value, and what its entry says of it; NULL: it has none. */
static const void *
bytes_of(const JsonbValue *value, size_t *len, uint32 *type)
{
	*len = 0;
	switch (value->type)
	{
		case jbvString:
			*type = JENTRY_ISSTRING;
			*len = value->val.string.len;
			return value->val.string.val;
		case jbvNumeric:
			*type = JENTRY_ISNUMERIC;
			*len = VARSIZE_ANY(value->val.numeric);
			return value->val.numeric;
		case jbvBinary:
			*type = JENTRY_ISCONTAINER;
			*len = value->val.binary.len;
			return value->val.binary.data;
		case jbvBool:
			*type = value->val.boolean ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE;
			return NULL;
		default:
			*type = JENTRY_ISNULL;
			return NULL;
	}
}

static size_t
most_bytes(const Pair *pairs, int n)
{
	size_t size = offsetof(Jsonb, root) + offsetof(JsonbContainer, children) + sizeof(JEntry) * 2 * n;

	for (int i = 0; i < n; i++)
	{
		size_t len;
		uint32 type;

		(void) bytes_of(&pairs[i].value, &len, &type);
		size += pairs[i].key_len + len + sizeof(int) - 1;
	}
	if (size > JENTRY_OFFLENMASK)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("total size of jsonb object elements exceeds the maximum of %d bytes", JENTRY_OFFLENMASK));
	return size;
}

/* What is written of an object. */
typedef struct Writing
{
	Jsonb *jsonb;
	char  *begin; /* of the bytes of keys and values */
	char  *at;
} Writing;

static void
put(Writing *writing, int entry, const void *bytes, size_t len, uint32 type)
{
	char  *before = writing->at;
	JEntry made = type;

	if (type == JENTRY_ISNUMERIC || type == JENTRY_ISCONTAINER)
		while ((writing->at - (char *) writing->jsonb) % sizeof(int) != 0)
			*writing->at++ = '\0';
	if (len > 0)
		memcpy(writing->at, bytes, len);
	writing->at += len;
	made |= entry % JB_OFFSET_STRIDE == 0 ? (uint32) (writing->at - writing->begin) | JENTRY_HAS_OFF
										  : (uint32) (writing->at - before);
	writing->jsonb->root.children[entry] = made;
}

static Jsonb *
write_object(const Pair *pairs, int n)
{
	Writing writing = {.jsonb = palloc(most_bytes(pairs, n))};

	writing.jsonb->root.header = (uint32) n | JB_FOBJECT;
	writing.begin = writing.at = (char *) &writing.jsonb->root.children[2 * n];
	for (int i = 0; i < n; i++)
		put(&writing, i, pairs[i].key, pairs[i].key_len, JENTRY_ISSTRING);
	for (int i = 0; i < n; i++)
	{
		size_t		len;
		uint32		type;
		const void *bytes = bytes_of(&pairs[i].value, &len, &type);

		put(&writing, n + i, bytes, len, type);
	}
	SET_VARSIZE(writing.jsonb, writing.at - (char *) writing.jsonb);
	return writing.jsonb;
}

#ifdef WF_DEBUG
#define MOST_CHECKED (64 * 1024) /* tests that measure memory have larger ones */

/* Is it what PostgreSQL makes of the same? */
static bool
is_as_pushed(const Jsonb *made, const WfField *fields, int nfields)
{
	MemoryContext old = wf_jsonb_begin();
	WfJsonbState  state = {0};
	JsonbValue	  value;
	Jsonb		 *pushed;
	bool		  same;

	wf_jsonb_push(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < nfields; i++)
	{
		if (fields[i].omit)
			continue;
		value.type = jbvString;
		value.val.string.val = unconstify(char *, fields[i].key);
		value.val.string.len = strlen(fields[i].key);
		wf_jsonb_push(&state, WJB_KEY, &value);
		field_value(&fields[i], &value);
		wf_jsonb_push(&state, WJB_VALUE, &value);
	}
	pushed = wf_jsonb_end(old, JsonbValueToJsonb(wf_jsonb_push(&state, WJB_END_OBJECT, NULL)));
	same = VARSIZE(pushed) == VARSIZE(made) && memcmp(pushed, made, VARSIZE(made)) == 0;
	pfree(pushed);
	return same;
}
#endif

Jsonb *
wf_jsonb_object(const WfField *fields, int nfields)
{
	Pair  *pairs = palloc(sizeof(Pair) * Max(nfields, 1));
	int	   n = list_pairs(fields, nfields, pairs);
	Jsonb *made = write_object(pairs, n);

	WF_ASSERT(VARSIZE(made) > MOST_CHECKED || is_as_pushed(made, fields, nfields));
	pfree(pairs);
	return made;
}

Jsonb *
wf_jsonb_empty_object(void)
{
	return wf_jsonb_object(NULL, 0);
}
