#
# Bodies that are no text: bytes, and parts with names and files, as the service gets them; what is sent again is the same.
# Answers that are no text, and how much of an answer is ever in memory.
#
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Encode qw(encode_utf8);
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);
use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use WorkflowTest;

my $scene = Scene->new('bodies');
my $H = '"headers": {' . Scene::HEADERS . '}';
my $all_bytes = join('', map { chr } 0 .. 255);
my $count = 0;

sub bytes_of
{
	my ($request) = @_;
	return ($request->{encoding} // '') eq 'base64' ? decode_base64($request->{body}) : encode_utf8($request->{body});
}

# The requests of a step with this in its "http"; none if it could not be made, and its error.
sub sent
{
	my ($http, $data, $path, $more) = @_;
	my $name = 'body ' . ++$count;
	$path //= '/ok';
	$more //= '';
	$scene->define($name, qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "$path", $H, $http}$more}]}]);
	my ($instance, $status) = $scene->run($name, $data);
	my @requests = $scene->requests($instance);
	return $status eq 'failed' && !@requests ? (undef, $scene->incident($instance)->{error}) : @requests;
}

# The parts of a body: [the lines of the head, content].
sub parts
{
	my ($request) = @_;
	my ($boundary) = $request->{headers}{'content-type'} =~ m{^multipart/form-data; boundary=([\w-]{20,70})$};
	ok(defined $boundary, "the type names what stands between the parts: $request->{headers}{'content-type'}") or return;
	my ($before, @parts) = split /^--\Q$boundary\E/m, bytes_of($request), -1;
	is($before, '', 'nothing comes before the first part');
	is(pop @parts, "--\r\n", 'the last one is closed');
	return map { /\A\r\n(.*?)\r\n\r\n(.*)\r\n\z/s ? [ [ split /\r\n/, $1 ], $2 ] : fail("a part: $_") } @parts;
}

# ---- bytes ----

my %data = (file => encode_base64($all_bytes), hex => '\\x' . unpack('H*', $all_bytes), type => 'image/png', text => 'ü', none => '', nothing => undef);
for my $as (qw(file hex))
{
	my ($request) = sent(qq["bytes": "\${\$.$as}"], \%data);
	is($request->{method}, 'POST', "$as: a POST");
	is(bytes_of($request), $all_bytes, "$as: all bytes as they are");
	is($request->{headers}{'content-type'}, 'application/octet-stream', "$as: of the most general type");
	is($request->{headers}{'content-length'}, 256, "$as: all of them");
}
my ($request) = sent('"bytes": "${$.file}", "type": "${$.type}", "method": "PUT"', \%data);
is("$request->{method} $request->{headers}{'content-type'}", 'PUT image/png', 'of a type that a template gives');
($request) = sent('"bytes": "${$.none}"', \%data);
is($request->{headers}{'content-length'}, 0, 'no bytes are a body, too');
is($request->{headers}{'content-type'}, 'application/octet-stream', 'with a type');
($request) = sent('"bytes": "QUJD\nREVG"');
is($request->{body}, 'ABCDEF', 'constant ones, on two lines');

# what an answer has brought goes on as it came
$scene->define('pass on', qq[{"steps": [{"step": "get", "http": {"server": "partner", "path": "/bytes", $H}, "save": {"file": "\${\$result.response}", "as": "\${\$reply.encoding}"}},
	{"step": "put", "http": {"server": "partner", "path": "/ok", "bytes": "\${\$.file}", $H}}]}]);
my ($instance) = $scene->run('pass on');
is($scene->data($instance)->{as}, 'base64', 'an answer of bytes is base64');
is(bytes_of(($scene->requests($instance))[1]), $all_bytes, 'and is passed on byte by byte');

for my $bad ([ '"${$.text}"', 'a text' ], [ '"${$.nothing}"', 'null' ], [ '"${$.list}"', 'a list' ], [ '"A${$.file}"', 'something before them' ], [ '"${$.odd}"', 'half a byte' ])
{
	my ($none, $error) = sent(qq["bytes": $bad->[0]], { %data, list => [1], odd => '\\x123' });
	is($none, undef, "$bad->[1]: not sent");
	is("$error->{code}: $error->{message}", 'template: "bytes" is neither base64 nor hexadecimal', "$bad->[1]: which is told");
}
(undef, my $error) = sent('"bytes": "${$.missing}"', \%data);
is($error->{message}, '"${$.missing}" has no value', 'bytes that are missing');
for my $type ("image/png\r\nX-Evil: 1", "a/b\x01")
{
	my ($none, $error) = sent('"bytes": "${$.file}", "type": "${$.type}"', { %data, type => $type });
	is($none, undef, 'a type with a control character: not sent');
	is($error->{code}, 'template', 'which is an error');
}

# ---- parts ----

%data = (
	id => 17, text => "two\r\nlines ü\n", file => encode_base64($all_bytes), name => "a\"b\r\nContent-Type: evil\r\n\r\nü\\€.png", list => [ 1, { two => 2 } ], yes => JSON::PP::true,
	nothing => undef);
($request) = sent(q["multipart": {"zebra": "${$.text}", "id": "${$.id}", "apple": "no ${$.id}", "number": 1.50, "yes": true, "list": {"body": "${$.list}"},
	"file": {"bytes": "${$.file}", "filename": "${$.name}"}, "note": {"text": "${$.text}", "filename": "note.txt"}, "icon": {"bytes": "\\\\x00ff", "type": "image/${$.id}"},
	"a \"quoted\"\r\nName: ü": {"text": true, "type": "text/x"}}], \%data);
is($request->{method}, 'POST', 'parts are a POST');
my @parts = parts($request);
is_deeply([ map { $_->[0][0] =~ /^Content-Disposition: form-data; name="([^"]*)"/ } @parts ],
	[ qw(zebra id apple number yes list file note icon), encode_utf8('a %22quoted%22%0D%0AName: ü') ], 'in the order in which they are written; no name ends before its end');
my %part = map { $_->[0][0] =~ /name="([^"]*)"/; ($1 => $_) } @parts;
is_deeply($part{zebra}, [ ['Content-Disposition: form-data; name="zebra"'], encode_utf8($data{text}) ], 'a text, as it is');
is($part{$_->[0]}[1], $_->[1], "$_->[0] as text") for [ id => 17 ], [ apple => 'no 17' ], [ number => '1.50' ], [ yes => 'true' ];
is_deeply($part{list}, [ [ 'Content-Disposition: form-data; name="list"', 'Content-Type: application/json' ], '[1, {"two": 2}]' ], 'JSON');
is($part{file}[1], $all_bytes, 'bytes');
is_deeply($part{file}[0], [ encode_utf8('Content-Disposition: form-data; name="file"; filename="a%22b%0D%0AContent-Type: evil%0D%0A%0D%0Aü\\€.png"'), 'Content-Type: application/octet-stream' ],
	'the name of a file adds no line');
is_deeply($part{note}[0], [ 'Content-Disposition: form-data; name="note"; filename="note.txt"', 'Content-Type: text/plain; charset=utf-8' ], 'a file of text');
is_deeply($part{icon}, [ [ 'Content-Disposition: form-data; name="icon"', 'Content-Type: image/17' ], "\0\xff" ], 'bytes of another type, without a file');
is(scalar(@{ $parts[-1][0] }), 2, 'a name adds no line either');

($request) = sent('"method": "PATCH", "multipart": [{"name": "f", "text": "1"}, {"name": "g", "text": "2"}, {"name": "f", "text": "3", "filename": "x"}]');
is($request->{method}, 'PATCH', 'by another method');
is(join(' ', map { $_->[0][0] =~ /name="(\w)"/; "$1=$_->[1]" } parts($request)), 'f=1 g=2 f=3', 'a name that comes again, in a list');

for my $bad (
	[ '{"a": "${$.missing}"}', '"${$.missing}" has no value', 'a part that is missing' ],
	[ '{"a": "${$.nothing}"}', '"${$.nothing}" is null', 'a part that is null' ],
	[ '{"a": {"text": "x", "filename": "${$.nothing}"}}', '"${$.nothing}" is null', 'a file without a name' ],
	[ '{"a": "x", "the file": {"bytes": "${$.text}"}}', 'part "the file" is neither base64 nor hexadecimal', 'bytes that are none' ],
	[ '{"a": {"text": "x", "type": "${$.text}"}}', "a header's value may not hold CR, LF or NUL", 'a type of two lines' ],
	[ '{"the file": {"text": "x", "type": "a/${$.tab}"}}', 'the type of part "the file" holds a control character', 'a type with a tab' ])
{
	my ($none, $error) = sent(qq["multipart": $bad->[0]], { %data, tab => "\t" });
	is($none, undef, "$bad->[2]: not sent");
	is("$error->{code}: $error->{message}", "template: $bad->[1]", "$bad->[2]: which is told");
}

# ---- what is sent again ----

my @again = sent('"multipart": {"sn": "${$serial_number}", "file": {"bytes": "${$.file}"}}', \%data, '/flaky?fail=2', ', "retry": {"max": 2}');
is(scalar @again, 3, 'three attempts');
is(bytes_of($again[$_]), bytes_of($again[0]), "attempt $_ has the same body") for 1, 2;
isnt((sent('"multipart": {"a": "x"}'))[0]{headers}{'content-type'}, (sent('"multipart": {"a": "x"}'))[0]{headers}{'content-type'}, 'of another visit something else stands between the parts');

# a part that holds what would have stood between them
$scene->define('echo', qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/flaky", $H, "multipart": {"a": "\${\$.a}", "b": "x"}}, "retry": {"max": 1, "delay": "5 s"}}]}]);
$instance = $scene->start('echo', { a => 'harmless' });
my ($first) = $scene->wait_for_requests(1, $instance);
$scene->wait_for_state($instance, 'retrying');
my ($boundary) = $first->{headers}{'content-type'} =~ /boundary=(.*)/;
my $evil = "x\r\n--$boundary\r\nContent-Disposition: form-data; name=\"admin\"\r\n\r\ntrue\r\n--$boundary-1--\r\n--$boundary";
$scene->sql("SELECT workflow.set_data($instance, jsonb_build_object('a', " . Scene::quote($evil) . '))');
is($scene->sql("SELECT request->'headers'->>'Content-Type' FROM workflow.request('" . $scene->serial($instance) . "') request"), "multipart/form-data; boundary=$boundary-2",
	'another one is taken, as the request shows that comes next');
is($scene->finish($instance), 'completed', 'it is sent');
@parts = parts(($scene->requests($instance))[1]);
is(scalar @parts, 2, 'no more parts than before');
is($parts[0][1], $evil, 'and they hold what they should');

# ---- much ----

$scene->define('large', qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/ok", $H, "multipart": {"file": {"bytes": "\${\$.file}", "filename": "x"}, "all": "\${\$.file}"}}}]}]);
$instance = $scene->sql(q[SELECT workflow.start('large', jsonb_build_object('file', encode(decode(repeat('00ff0a2d2d', 100000), 'hex'), 'base64')))]);
is($scene->finish($instance), 'completed', 'half a megabyte');
@parts = parts(($scene->requests($instance))[0]);
is(length $parts[0][1], 500_000, 'of bytes');
ok($parts[0][1] eq "\x00\xff\x0a\x2d\x2d" x 100000, 'each in its place');

# ---- answers ----

$scene->define('ask', qq[{"steps": [{"step": "ask", "http": {"url": "\${\$.url}", $H}, "save": {"reply": "\${\$reply}", "response": "\${\$result.response}"}}]}]);
my $png = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
for my $type ('image/png', 'application/octet-stream', 'application/x-no-such', '')
{
	my ($instance) = $scene->run('ask', { url => $scene->url('/say?type=' . encoded($type) . '&body=' . join('', map { sprintf('%%%02x', ord) } split //, $png)) });
	my $data = $scene->data($instance);
	is_deeply([ @{ $data->{reply} }{qw(status encoding body)}, $data->{response} ], [ 200, 'base64', (encode_base64($png, '')) x 2 ], "bytes of type \"$type\" are base64");
}

# An answer of a gigabyte, of which the length is not told, is given up while it comes, and so is one that unpacks to more.
sub peak_mb { return slurp_file("/proc/$_[0]/status") =~ /^VmHWM:\s*(\d+)/m ? int($1 / 1024) : die }
my $dispatcher = wait_for_workers($scene->node, 'postgres');
my $peak = peak_mb($dispatcher);
$scene->sql(q[ALTER SERVER partner OPTIONS (ADD max_response '1MB')]);
($instance) = $scene->run('ask', { url => $scene->url('/huge?bytes=1000000000&chunked=1') });
is($scene->incident($instance)->{error}{code}, 'reply', 'an answer that does not end');
is(worker_pid($scene->node, 'dispatcher', 'postgres'), $dispatcher, 'the dispatcher lives on');
# a sanitizer keeps what is freed
cmp_ok(peak_mb($dispatcher) - $peak, '<', 50, 'and has had no more of it in memory than it may have') unless ($ENV{LD_PRELOAD} // '') =~ /asan/;

$scene->node->stop;
done_testing();
