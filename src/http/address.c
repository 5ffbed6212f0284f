/*
 * address.c
 *		Classes of network addresses: which of them belong to the inside of a network.
 *
 * Pure functions over two constant tables, taken from the IANA registries of special-purpose addresses. What is in
 * neither table is public. IPv6 addresses that carry an IPv4 address (mapped, compatible, NAT64, 6to4) are judged by
 * the one they carry, since that is where the packets end.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "http/address.h"

typedef struct AddressRange
{
	uint8 prefix[16];
	int	  bits;
	const char *class; /* class name; NULL: the IPv4 address at byte `embedded` is judged instead */
	int embedded;
} AddressRange;

static const AddressRange ipv4_ranges[] = {
	{{0}, 8, "unspecified"},
	{{10}, 8, "private"},
	{{100, 64}, 10, "shared"},
	{{127}, 8, "loopback"},
	{{169, 254}, 16, "link-local"},
	{{172, 16}, 12, "private"},
	{{192, 0, 0}, 24, "reserved"},
	{{192, 0, 2}, 24, "documentation"},
	{{192, 88, 99}, 24, "reserved"},
	{{192, 168}, 16, "private"},
	{{198, 18}, 15, "benchmarking"},
	{{198, 51, 100}, 24, "documentation"},
	{{203, 0, 113}, 24, "documentation"},
	{{224}, 4, "multicast"},
	{{240}, 4, "reserved"},
};

/* IPv6 ranges. The first match counts, so longer prefixes stand before those that contain them. */
static const AddressRange ipv6_ranges[] = {
	{{0}, 128, "unspecified"},
	{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, "loopback"},
	{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, NULL, 12},
	{{0}, 96, NULL, 12},
	{{0x00, 0x64, 0xff, 0x9b}, 96, NULL, 12},
	{{0}, 8, "reserved"},
	{{0x01, 0x00}, 64, "discard"},
	{{0x20, 0x01, 0x0d, 0xb8}, 32, "documentation"},
	{{0x20, 0x01}, 23, "reserved"},
	{{0x20, 0x02}, 16, NULL, 2},
	{{0x3f, 0xff}, 20, "documentation"},
	{{0x5f, 0x00}, 16, "reserved"},
	{{0xfc}, 7, "private"},
	{{0xfe, 0x80}, 10, "link-local"},
	{{0xfe, 0xc0}, 10, "private"},
	{{0xff}, 8, "multicast"},
};

static bool
in_range(const uint8 *address, const AddressRange *range)
{
	int whole = range->bits / 8;
	int rest = range->bits % 8;

	if (memcmp(address, range->prefix, whole) != 0)
		return false;
	if (rest == 0)
		return true;
	return ((address[whole] ^ range->prefix[whole]) >> (8 - rest)) == 0;
}

static const char *
ipv4_class(const uint8 *address)
{
	for (int i = 0; i < lengthof(ipv4_ranges); i++)
	{
		if (in_range(address, &ipv4_ranges[i]))
			return ipv4_ranges[i].class;
	}
	return NULL;
}

static const char *
ipv6_class(const uint8 *address)
{
	for (int i = 0; i < lengthof(ipv6_ranges); i++)
	{
		const AddressRange *range = &ipv6_ranges[i];

		if (in_range(address, range))
			return range->class ? range->class : ipv4_class(address + range->embedded);
	}
	return NULL;
}

const char *
wf_address_class(const struct sockaddr *address)
{
	switch (address->sa_family)
	{
		case AF_INET:
			return ipv4_class((const uint8 *) &((const struct sockaddr_in *) address)->sin_addr);
		case AF_INET6:
			return ipv6_class((const uint8 *) &((const struct sockaddr_in6 *) address)->sin6_addr);
		default:
			return "local";
	}
}

const char *
wf_address_class_of_text(const char *address)
{
	uint8 bytes[16];

	if (inet_pton(AF_INET, address, bytes) == 1)
		return ipv4_class(bytes);
	if (inet_pton(AF_INET6, address, bytes) == 1)
		return ipv6_class(bytes);
	return "unreadable";
}
