#
# What is sent: methods, paths, queries, headers, bodies, the idempotency key; and what is refused instead.
#
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Encode qw(encode_utf8);
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use Scene;
use Test::More;
use WorkflowTest;

my $scene = Scene->new('requests');
$scene->server('deep', $scene->url('/v1'));
my $H = '"headers": {' . Scene::HEADERS . '}';

# One request of a step, which is given as JSON; undef and the incident if it was not sent.
my $count = 0;
sub sent
{
	my ($http, $data, $key) = @_;
	my $name = 'request ' . ++$count;
	$http =~ s/\bHEADERS\b/$H/;
	$scene->define($name, qq[{"steps": [{"step": "call", "http": $http}]}]);
	my ($instance, $status) = $scene->run($name, $data, $key);
	return (undef, $scene->incident($instance)) if $status eq 'failed' && !$scene->requests($instance);
	my @requests = $scene->requests($instance);
	is(scalar @requests, 1, "one request: $http");
	return $requests[0];
}

sub is_refused
{
	my ($code, $http, $data, $name) = @_;
	my ($request, $incident) = sent($http, $data);
	is($request, undef, "$name is not sent");
	is($incident->{outcome}, 'SYSTEM_ERROR', 'but makes an incident');
	is($incident->{error}{code}, $code, "with the code $code");
	return $incident->{error}{message};
}

# ---- methods ----

for (
	[ 'GET',    '{"server": "partner", "path": "/ok", HEADERS}' ],
	[ 'POST',   '{"server": "partner", "path": "/ok", HEADERS, "body": {}}' ],
	[ 'POST',   '{"server": "partner", "path": "/ok", HEADERS, "text": "x"}' ],
	[ 'POST',   '{"server": "partner", "path": "/ok", HEADERS, "form": {"a": "b"}}' ],
	[ 'PUT',    '{"server": "partner", "path": "/ok", HEADERS, "method": "PUT", "body": {}}' ],
	[ 'PATCH',  '{"server": "partner", "path": "/ok", HEADERS, "method": "patch", "body": {}}' ],
	[ 'DELETE', '{"server": "partner", "path": "/ok", HEADERS, "method": "DELETE"}' ],
	[ 'DELETE', '{"server": "partner", "path": "/ok", HEADERS, "method": "DELETE", "body": {}}' ],
	[ 'HEAD',   '{"server": "partner", "path": "/ok", HEADERS, "method": "HEAD"}' ],
	[ 'POST',   '{"server": "partner", "path": "/ok", HEADERS, "method": "POST"}' ],
	[ 'GET',    '{"server": "partner", "path": "/ok", HEADERS, "method": "GET", "body": {"q": 1}}' ])
{
	my ($method, $http) = @$_;
	my ($request) = sent($http);
	is($request->{method}, $method, "it is a $method");
	my $has_body = $http =~ /"body"|"text"|"form"/;
	is($request->{body} ne '', $has_body ? 1 : '', $has_body ? 'with a body' : 'without a body');
	is(exists $request->{headers}{'content-type'}, $has_body ? 1 : '', 'the type of a body is said, and only of that');
}

# ---- paths and queries ----

my %data = (name => 'a b/ü?&=#%+', number => 12.50, yes => JSON::PP::true, nothing => undef, dot => '.', list => [ 1, 'x' ]);
my $encoded = 'a%20b%2F%C3%BC%3F%26%3D%23%25%2B';

for (
	[ '"server": "deep", "path": "/x/${$.name}/y"',                  "/v1/x/$encoded/y" ],
	[ '"server": "deep"',                                            '/v1' ],
	[ '"server": "partner", "path": "/n/${$.number}/${$.yes}"',      '/n/12.5/true' ],
	[ '"server": "partner", "path": "/${$serial_number}/${$instance}"', qr{^/(\d+)_\d+/\1$} ],
	[ '"server": "partner", "path": "/a%20b/c.${$.number}"',         '/a%20b/c.12.5' ])
{
	my ($http, $path) = @$_;
	my ($request) = sent("{$http, HEADERS}", \%data);
	ref $path ? like($request->{path}, $path, "the path of $http") : is($request->{path}, $path, "the path of $http");
}

my ($request) = sent('{"server": "partner", "path": "/q", HEADERS, "query": {"name": "${$.name}", "number": "${$.number}", "a b&": "c d", "both": "x${$.yes}"}}', \%data);
is_deeply($request->{query}, { name => $data{name}, number => '12.5', 'a b&' => 'c d', both => 'xtrue' }, 'a query');
($request) = sent('{"server": "partner", "path": "/q?first=${$.name}", HEADERS, "query": {"second": "2"}}', \%data);
is_deeply($request->{query}, { first => $data{name}, second => 2 }, 'a query in the path, and one beside it');
is($request->{path}, '/q', 'and the path before it');

like(is_refused('template', '{"server": "partner", "path": "/x/${$.missing}", HEADERS}', {}, 'a path with a missing value'),
	qr/missing/, 'that says which');
is_refused('template', '{"server": "partner", "path": "/x/${$.nothing}", HEADERS}', \%data, 'a path with null');
is_refused('template', '{"server": "deep", "path": "/${$.up}/secret", HEADERS}', { up => '..' }, 'a path that climbs');
is_refused('template', '{"server": "deep", "path": "/${$.dot}${$.dot}/secret", HEADERS}', \%data, 'a path that climbs, in two parts');

# ---- absolute URLs ----

my $base = $scene->url;
($request) = sent(qq({"url": "$base/v1/abs/\${\$.name}?q=\${\$.name}", HEADERS}), \%data);
is($request->{path}, "/v1/abs/$encoded", 'values in an absolute url are encoded');
is_deeply($request->{query}, { q => $data{name} }, 'in its query too');
($request) = sent('{"url": "${$.url}", HEADERS}', { url => "$base/taken/as%20it/is?x=1&y=2" });
is($request->{path}, '/taken/as%20it/is', 'a url that is one ${...} is taken as it is');
is_deeply($request->{query}, { x => 1, y => 2 }, 'with its query');
($request) = sent('{"url": "${$.url}", HEADERS, "query": {"z": "3"}}', { url => "$base/taken?x=1" });
is_deeply($request->{query}, { x => 1, z => 3 }, 'to which more can be added');
is_refused('request', '{"url": "${$.url}", HEADERS}', { url => 'http://127.0.0.1:1/x' }, 'a url that no server covers');
like(is_refused('request', '{"url": "${$.url}", HEADERS}', { url => 'file:///etc/passwd' }, 'a url of another kind'), qr/^the URL of the request does not begin with http/, 'which is told');
like(is_refused('request', '{"url": "${$.url}", HEADERS}', { url => "$base/../x" }, 'a url that climbs, of no server by name'), qr/^the URL of the request has a path segment/, 'which is told');
is_refused('request', '{"server": "deep", "url": "${$.url}", HEADERS}', { url => "$base/v2/x" }, 'a url outside of the named server');
is_refused('request', '{"server": "deep", "url": "${$.url}", HEADERS}', { url => "$base/v1/../v2" }, 'a url that climbs out of it');
is_refused('request', '{"server": "deep", "url": "${$.url}", HEADERS}', { url => "$base/v1/%2e%2E/v2" }, 'the same in disguise');
for my $up ('..;/', '..;x=1/', '%2e%2e;/', '.%2E%3bx/', '..%2f', '..%5c', '.%09./', '.%00./', '..%7F/', '%252e%252e/', '%25252E./', '..%252f', '..%255C', 'a;/../../',
	'%c0%ae%C0%AE/', '..%c0%af', '..%C1%9c', '..%c1%1C', '..%c0%2f', '%e0%80%ae./', '..%F0%80%80%af', '..%fc%80%80%80%80%AF', '..%25c0%25af', '..%25C0%AF', '%c0%80',
	'%u002e%U002E/', '..%u002f', '..%u005C', '..%uff0f', '..%u2215', '..%25u002f', '%2500',
	'%%32%65%%32e/', '.%%32%65/', '.%2%65/', '%25%32%65./', '..%%%32%35%32f', '%%63%30%ae./', '..%u%30%302f', '%%30%30')
{
	like(is_refused('request', '{"server": "deep", "url": "${$.url}", HEADERS}', { url => "$base/v1/${up}v2" }, "$up is one, too"), qr/the URL of the request has /, 'which is told');
}
for my $down ('...;/', '..a;x/', 'a;..=../', ';/', '.;/', '100%25/', 'a%20b/', '%252/', '%c3%a9/', 'a%3Bb/', '%e0%a4%80/', '%f0%9f%98%80/', '%c0b/', 'voil%e0/', '%c1%e9/', '%uabc/', '%u00e9/', '%2541/', '%25%34%31/', '%25%20/')
{
	($request) = sent('{"server": "deep", "url": "${$.url}", HEADERS}', { url => "$base/v1/${down}v2" });
	# newer libraries write hexadecimal digits in capitals
	is(lc $request->{path}, lc "/v1/${down}v2", "$down is none");
}
like(is_refused('request', '{"server": "deep", "path": "/x/${$.value}/y", HEADERS}', { value => $_ }, "$_ as a value of a path"), qr/or in disguise/, 'which is told')
  for '%2e%2E', '%c0%ae', '%U002f', "a\tb";
is_refused('request', '{"server": "deep", "url": "${$.url}", HEADERS}', { url => "$base/v12" }, 'a url that only begins alike');
is_refused('template', '{"url": "${$.url}", HEADERS}', {}, 'a url that is missing');
like($scene->error(q[SELECT workflow.define('x', '{"steps": [{"step": "a", "http": {"url": "http://127.0.0.1:1/x"}}]}')]),
	qr/^22023: /, 'a constant url that no server covers is refused at once');

# ---- headers ----

($request) = sent(
	'{"server": "partner", "path": "/ok", "headers": {' . Scene::HEADERS
	  . ', "X-Name": "${$.plain}", "X-Number": "n ${$.number}", "Accept": "text/csv", "user-agent": "me", "X-Long": "${$.long}"}}',
	{ %data, plain => 'just this', long => 'x' x 5000 });
is_deeply(
	[ @{ $request->{headers} }{qw(x-name x-number accept user-agent x-long)} ],
	[ 'just this', 'n 12.5', 'text/csv', 'me', 'x' x 5000 ],
	'headers of the step, instead of those that are sent otherwise');
($request) = sent('{"server": "partner", "path": "/ok", HEADERS}');
like($request->{headers}{'user-agent'}, qr{^workflow/\d}, 'otherwise it says who it is');
like($request->{headers}{accept}, qr{application/json}, 'and that it would like JSON');
for my $bad ("a\r\nX-Evil: 1", "a\nb", "a\rb")
{
	is_refused('template', '{"server": "partner", "path": "/ok", "headers": {' . Scene::HEADERS . ', "X-Name": "${$.value}"}}',
		{ value => $bad }, 'a header with a line end');
}
is_refused('template', '{"server": "partner", "path": "/ok", "headers": {' . Scene::HEADERS . ', "X-Name": "x ${$.missing}"}}',
	{}, 'a header with a missing value');

# ---- bodies ----

%data = (
	amount => 120.5, text => "quo\"te \\ back\nline\ttab ü€😀 \x{7f}", nothing => undef, list => [ 1, { two => 2 } ],
	yes => JSON::PP::true, deep => { er => { est => 'x' } });
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

sub body
{
	my ($template, $data) = @_;
	my ($request) = sent(qq[{"server": "partner", "path": "/ok", HEADERS, "body": $template}], $data, 'key "1"');
	like($request->{headers}{'content-type'}, qr{^application/json\b}, 'it says that it is JSON');
	# the log has it decoded
	return $json->decode(encode_utf8($request->{body}));
}

is_deeply(
	body('{"amount": "${$.amount}", "list": "${$.list}", "yes": "${$.yes}", "nothing": "${$.nothing}", "missing": "${$.a.b.c ?? null}",
	   "text": "${$.text}", "within": "<${$.text}>", "mixed": "${$.amount}/${$.yes}/${$.list}", "deep": ["${$.deep.er}", [1, null, true, "ü"]],
	   "literal": "$${$.amount} and ${$.amount}", "number": 1.50, "dollar": "$5 {x}", "a \"key\"": 0}', \%data),
	{   amount => 120.5, list => $data{list}, yes => JSON::PP::true, nothing => undef, missing => undef,
		text => $data{text}, within => "<$data{text}>", mixed => '120.5/true/[1, {"two": 2}]', deep => [ { est => 'x' }, [ 1, undef, JSON::PP::true, 'ü' ] ],
		literal => '${$.amount} and 120.5', number => 1.5, dollar => '$5 {x}', 'a "key"' => 0 },
	'a body is made as JSON');
is_deeply(body('"${$}"', \%data), \%data, 'all data are a body');
is(body('"${$.amount}"', \%data), 120.5, 'so is a number');
is(body('"${$.text}"', \%data), $data{text}, 'and a text');
is_deeply(body('["${$.list[0]}"]', \%data), [1], 'and an array');
is(body('"${$.missing ?? null}"', \%data), undef, 'what is missing is null if the template says so');
like(is_refused('template', qq[{"server": "partner", "path": "/ok", HEADERS, $_->[0]}], \%data, "$_->[1] in which something is missing"),
	qr/^"\$\{.*\}" (has no value|cannot be worked out)/, 'which is told')
  for [ '"body": {"a": ["x", "${$.amont}"]}', 'a body' ], [ '"body": "${$.amount / 0}"', 'a body' ], [ '"text": "Dear ${$.missing}"', 'a text' ],
	[ '"form": {"a": "${$.missing}"}', 'a form' ], [ '"query": {"a": "${$.missing}"}', 'a query' ], [ '"timeout": "${$.missing}"', 'a timeout' ];
my $known = body('{"sn": "${$serial_number}", "instance": "${$instance}", "key": "${$business_key}", "process": "${$process}", "step": "${$step}",
	"attempt": "${$attempt}", "error": "${$error}"}');
like(delete $known->{sn}, qr/^$known->{instance}_\d+$/, 'the serial number');
is_deeply(
	$known,
	{   instance => $known->{instance}, key => 'key "1"', process => "request $count", step => 'call', attempt => 1,
		error => undef },
	'variables are there, null where they do not apply');
for my $never (qw(reply result caught item index event))
{
	like($scene->error(qq[SELECT workflow.define('never', '{"steps": [{"step": "call", "http": {"server": "partner", "body": ["\${\$$never.x ?? null}"]}}]}')]),
		qr/^(22023|0A000): /, "\$$never is refused where it is never there");
}
my $large = body('{"all": "${$}"}', { map { $_ => 'y' x 1000 } 1 .. 1000 });
is(scalar(keys %{ $large->{all} }), 1000, 'a megabyte of body');

($request) = sent('{"server": "partner", "path": "/ok", HEADERS, "text": "Dear ${$.text}, ${$.amount} ${$.list} ${$.nothing} ${$.missing ?? 0}"}', \%data);
is($request->{body}, "Dear $data{text}, 120.5 [1, {\"two\": 2}] null 0", 'a text');
like($request->{headers}{'content-type'}, qr{^text/plain; *charset=utf-8$}i, 'of which type');

($request) = sent('{"server": "partner", "path": "/ok", HEADERS, "form": {"amount": "${$.amount}", "te xt": "${$.text}", "c": "a&b=c"}}', \%data);
my %form = map { my ($k, $v) = split /=/; map { s/\+/ /g; s/%(..)/chr hex $1/ge; utf8::decode($_); $_ } $k, $v } split /&/, $request->{body};
is_deeply(\%form, { amount => 120.5, 'te xt' => $data{text}, c => 'a&b=c' }, 'a form');
is($request->{headers}{'content-type'}, 'application/x-www-form-urlencoded', 'of which type');
($request) = sent('{"server": "partner", "path": "/ok", "headers": {' . Scene::HEADERS . ', "content-type": "text/xml"}, "text": "<a/>"}');
is($request->{headers}{'content-type'}, 'text/xml', 'a type that the step gives');

# ---- the idempotency key ----

$scene->define('keys', qq[{"steps": [
	{"step": "one", "http": {"server": "partner", "path": "/flaky", "query": {"fail": "3"}, $H, "body": {"attempt": "\${\$attempt}"}}, "retry": {"max": 3}},
	{"step": "two", "http": {"server": "partner", "path": "/ok", $H}}]}]);
my ($instance, $status) = $scene->run('keys');
is($status, 'completed', 'three failures and a success');
my @requests = $scene->requests($instance);
my @keys = map { $_->{headers}{'idempotency-key'} } @requests;
is(scalar @keys, 5, 'five requests');
like($keys[0], qr/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/, 'the key is random');
is_deeply([ @keys[ 0 .. 3 ] ], [ ($keys[0]) x 4 ], 'the same on every attempt');
isnt($keys[4], $keys[0], 'another one for the next visit');
is_deeply([ map { $json->decode($_->{body})->{attempt} } @requests[ 0 .. 3 ] ], [ 1 .. 4 ], 'a body knows which attempt it is');
my %all = map { $_->{headers}{'idempotency-key'} => 1 } $scene->partner->requests;
is(scalar(keys %all), scalar($scene->partner->requests) - 3, 'no two visits have the same');
is((grep { !exists $_->{headers}{'idempotency-key'} } $scene->partner->requests), 0, 'none is without');

# one failing visit does not disturb the others
is($scene->sql("SELECT count(*) FROM workflow.incidents WHERE outcome <> 'SYSTEM_ERROR'"), 0, 'incidents are what they should be');

$scene->node->stop;
done_testing();
