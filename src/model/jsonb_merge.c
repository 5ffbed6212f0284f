/*
 * jsonb_merge.c
 *		Merging the members of two objects without looking into their values.
 *
 * What a step saves is a few members, while the data that it is merged into may be large: a list of many items, for
 * one, which each of the items would have PostgreSQL's own functions take apart and put together again. So members are
 * copied as they are stored: keys, sorted by length and bytes, then values; numerics and what is nested
 * begin at multiples of four bytes, which counts as part of them.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"

#include "debug.h"
#include "model/template.h"

/* An object as it is stored. */
typedef struct Members
{
	const JsonbContainer *object;
	const char			 *base; /* from which offsets count */
	int					  n;
} Members;

/* A member of the result: its value may be from another object than its key. */
typedef struct Member
{
	const Members *key_of;
	int			   key;
	const Members *value_of;
	int			   value;
} Member;

typedef struct Writer
{
	JsonbContainer *object;
	char		   *base;
	uint32			len; /* of the data so far */
	int				n;	 /* entries so far: keys and values */
} Writer;

static Members
members_of(const Jsonb *jsonb)
{
	Members members = {.object = &jsonb->root, .n = JsonContainerSize(&jsonb->root)};

	members.base = (const char *) &members.object->children[members.n * 2];
	return members;
}

/* As PostgreSQL sorts keys. */
static int
compare_keys(const Members *a, int i, const Members *b, int j)
{
	uint32 left = getJsonbLength(a->object, i);
	uint32 right = getJsonbLength(b->object, j);

	if (left != right)
		return left < right ? -1 : 1;
	return memcmp(a->base + getJsonbOffset(a->object, i), b->base + getJsonbOffset(b->object, j), left);
}

/* Merge the sorted keys; where both have one, the value of the second counts. Returns how many there are. */
static int
merge_members(const Members *first, const Members *second, Member *merged)
{
	int n = 0;
	int i = 0;
	int j = 0;

	while (i < first->n || j < second->n)
	{
		int order = i == first->n ? 1 : j == second->n ? -1 : compare_keys(first, i, second, j);

		merged[n++] = order < 0 ? (Member){first, i, first, i} : (Member){second, j, second, j};
		i += order <= 0;
		j += order >= 0;
	}
	return n;
}

static bool
is_aligned(JEntry entry)
{
	return JBE_ISNUMERIC(entry) || JBE_ISCONTAINER(entry);
}

/* Copy a key, or (from n on) a value. */
static void
put(Writer *writer, const Members *from, int index)
{
	JEntry entry = from->object->children[index];
	uint32 offset = getJsonbOffset(from->object, index);
	uint32 len = getJsonbLength(from->object, index);
	uint32 before = writer->len;

	if (is_aligned(entry))
	{
		uint32 start = INTALIGN(offset);

		len -= start - offset;
		offset = start;
		writer->len = INTALIGN(before);
		memset(writer->base + before, 0, writer->len - before);
	}
	memcpy(writer->base + writer->len, from->base + offset, len);
	writer->len += len;
	/* an offset now and then, so that nobody has to add up many lengths */
	if (writer->n % JB_OFFSET_STRIDE == 0)
		writer->object->children[writer->n] = (entry & JENTRY_TYPEMASK) | JENTRY_HAS_OFF | writer->len;
	else
		writer->object->children[writer->n] = (entry & JENTRY_TYPEMASK) | (writer->len - before);
	writer->n++;
}

static Jsonb *
put_members(const Member *members, int n, Size most)
{
	Jsonb *result = palloc(most);
	Writer writer = {.object = &result->root, .base = (char *) &result->root.children[n * 2]};

	result->root.header = JB_FOBJECT | (uint32) n;
	for (int i = 0; i < n; i++)
		put(&writer, members[i].key_of, members[i].key);
	for (int i = 0; i < n; i++)
		put(&writer, members[i].value_of, members[i].value_of->n + members[i].value);
	SET_VARSIZE(result, writer.base + writer.len - (char *) result);
	WF_ASSERT(VARSIZE(result) <= most);
	return result;
}

static Jsonb *
merge_by_postgres(Jsonb *data, Jsonb *changes)
{
	MemoryContext old = wf_jsonb_begin();
	Datum		  merged = DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(data), JsonbPGetDatum(changes));

	return wf_jsonb_end(old, DatumGetJsonbP(merged));
}

Jsonb *
wf_jsonb_merge(Jsonb *data, Jsonb *changes)
{
	Size	most = (Size) VARSIZE(data) + VARSIZE(changes);
	Members first;
	Members second;
	Member *members;
	Jsonb  *result;

	if (JB_ROOT_COUNT(changes) == 0)
		return data;
	if (JB_ROOT_COUNT(data) == 0)
		return changes;
	/* what comes near to the limit of offsets, PostgreSQL judges */
	if (!JB_ROOT_IS_OBJECT(data) || !JB_ROOT_IS_OBJECT(changes) || most > JENTRY_OFFLENMASK / 2)
		return merge_by_postgres(data, changes);
	first = members_of(data);
	second = members_of(changes);
	members = palloc(sizeof(Member) * (first.n + second.n));
	/* another place may take up to three bytes more for each */
	most += sizeof(int32) * (Size) (first.n + second.n);
	result = put_members(members, merge_members(&first, &second, members), most);
	pfree(members);
	return result;
}

/* ---- in place ---- */

/* What an entry of an object takes in memory, without what comes before it to begin at a multiple of four bytes. */
static uint32
place_of(const Members *members, int index, uint32 *len)
{
	uint32 offset = getJsonbOffset(members->object, index);
	uint32 start = is_aligned(members->object->children[index]) ? INTALIGN(offset) : offset;

	*len = getJsonbLength(members->object, index) - (start - offset);
	return start;
}

/* The member with a key of another object, or -1. */
static int
find_member(const Members *members, const Members *other, int key)
{
	int low = 0;
	int high = members->n;

	while (low < high)
	{
		int middle = low + (high - low) / 2;
		int order = compare_keys(members, middle, other, key);

		if (order == 0)
			return middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

/* Does a value take the place of another one exactly? */
static bool
is_congruent(const Members *a, int i, const Members *b, int j)
{
	uint32 left;
	uint32 right;

	(void) place_of(a, i, &left);
	(void) place_of(b, j, &right);
	return left == right && is_aligned(a->object->children[i]) == is_aligned(b->object->children[j]);
}

bool
wf_jsonb_can_overwrite(const Jsonb *data, const Jsonb *changes)
{
	Members old;
	Members new;

	if (!JB_ROOT_IS_OBJECT(data) || !JB_ROOT_IS_OBJECT(changes))
		return false;
	old = members_of(data);
	new = members_of(changes);
	for (int i = 0; i < new.n; i++)
	{
		int member = find_member(&old, &new, i);

		if (member < 0 || !is_congruent(&old, old.n + member, &new, new.n + i))
			return false;
	}
	return true;
}

void
wf_jsonb_overwrite(Jsonb *data, const Jsonb *changes)
{
	Members old = members_of(data);
	Members new = members_of(changes);

	for (int i = 0; i < new.n; i++)
	{
		int		member = old.n + find_member(&old, &new, i);
		JEntry *entry = &data->root.children[member];
		uint32	len;
		uint32	from = place_of(&new, new.n + i, &len);
		uint32	to = place_of(&old, member, &len);

		memcpy(unconstify(char *, old.base) + to, new.base + from, len);
		*entry = (*entry & ~JENTRY_TYPEMASK) | (new.object->children[new.n + i] & JENTRY_TYPEMASK);
	}
}
