#
# What becomes of an answer: bodies of every kind, headers, answers that are broken, too large, or none.
#
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Encode qw(encode);
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Scene;
use Test::More;
use WorkflowTest;

my $scene = Scene->new('replies', options => "timeout '10 s', max_response '100kB'");
my $H = Scene::HEADERS;
$scene->define('ask', <<"EOD");
{ "steps": [ { "step": "ask",
    "http": { "server": "partner", "url": "\${\$.url}", "headers": { $H } },
    "save_reply": { "reply": "\${\$reply}", "first": "\${\$reply.headers.\\"x-repeated\\" ?? null}" },
    "save": { "response": "\${\$result.response}" },
    "retry": { "max": 1, "delay": "10 ms" } } ] }
EOD

# Started together, judged one after the other.
my @cases;
sub when_answered { push @cases, [@_] }

# reply.body, reply.encoding, for what the partner says
sub says
{
	my ($name, $type, $body, $expected, $encoding) = @_;
	when_answered($name, '/say?type=' . encoded($type) . '&body=' . encoded($body), body => $expected, encoding => $encoding);
}

my $true = JSON::PP::true;
my $latin1 = "caf\xe9";
utf8::downgrade($latin1);
my $bytes = join('', map { chr } 0 .. 255);

says('an object', 'application/json', '{"a": [1, {"b": "ü€😀"}], "c": null}', { a => [ 1, { b => 'ü€😀' } ], c => undef });
says('an array', 'application/json', '[1, 2.50, "x"]', [ 1, 2.5, 'x' ]);
says('a string', 'application/json', '"text"', 'text');
says('a number', 'application/json', '-1234567.25', -1234567.25);
says('a Boolean', 'application/json', 'true', $true);
says('null', 'application/json', 'null', undef);
says('white space around', 'application/json', "\r\n {\"a\": 1}\n", { a => 1 });
says('with a charset', 'application/json; charset=utf-8', '{"a": "ü"}', { a => 'ü' });
says('in capitals', 'Application/JSON;Charset="UTF-8"', '{"a": "ü"}', { a => 'ü' });
says('another type of JSON', 'application/problem+json', '{"a": 1}', { a => 1 });
says('nothing', 'application/json', '', undef);
says('nothing of no type', '', '', undef);
says('text', 'text/plain', "two\nlines, ü", "two\nlines, ü");
says('text that looks like JSON', 'text/plain', '{"a": 1}', '{"a": 1}');
says('HTML', 'text/html; charset=utf-8', '<p>ü</p>', '<p>ü</p>');
says('text of no type', '', 'hello', 'hello');
says('text in latin1', 'text/plain; charset=ISO-8859-1', $latin1, 'café');
says('text without a charset that is no UTF-8', 'text/plain', $latin1, encode_base64($latin1, ''), 'base64');
says('text that is not what it says', 'text/plain; charset=utf-8', $latin1, encode_base64($latin1, ''), 'base64');
says('text in a charset nobody knows', 'text/plain; charset=x-klingon', $latin1, encode_base64($latin1, ''), 'base64');
my $bom = "\xEF\xBB\xBF";
utf8::downgrade($bom);
says('JSON with a byte order mark', 'application/json', "$bom\{\"a\": 1}", { a => 1 });
says('text with a byte order mark', 'text/plain', "${bom}hello", 'hello');
for (qw(utf-16 utf-32))
{
	my ($text, $object) = ('ü€😀', '{"a": "ü€😀"}');
	says("JSON in $_", "application/json; charset=$_", encode($_, $object), { a => 'ü€😀' });
	says("JSON in $_, little endian", "application/json; charset=${_}le", encode("${_}le", $object), { a => 'ü€😀' });
	says("JSON in $_, big endian without a mark", "application/json; charset=$_", encode("${_}be", $object), { a => 'ü€😀' });
	says("JSON in $_, little endian without a mark", "application/json; charset=$_", encode("${_}le", $object), { a => 'ü€😀' });
	says("JSON in $_, little endian with a mark", "application/json; charset=$_", encode("${_}le", "\x{FEFF}$object"), { a => 'ü€😀' });
	says("text in $_", "text/plain; charset=\"$_\"", encode($_, $text), $text);
	says("text in $_, big endian", "text/plain; charset=${_}BE", encode("${_}be", $text), $text);
	says("a piece of $_", "text/plain; charset=$_", 'xyz', encode_base64('xyz', ''), 'base64');
	my $nul = encode("${_}be", "a\0b");
	says("$_ with a NUL", "text/plain; charset=$_", $nul, encode_base64($nul, ''), 'base64');
}
for my $units ([ 'half a pair', 0xD83D ], [ 'half a pair and more', 0xD83D, 0x61 ], [ 'the other half', 0xDE00, 0xD83D ])
{
	my ($name, @units) = @$units;
	my $text = pack('n*', 0x61, @units);
	says("UTF-16 with $name", 'text/plain; charset=utf-16be', $text, encode_base64($text, ''), 'base64');
}
for my $c (0xD83D, 0x110000, 0xFFFFFFFF)
{
	my $text = pack('N*', 0x61, $c);
	says(sprintf('UTF-32 with %x', $c), 'text/plain; charset=utf-32be', $text, encode_base64($text, ''), 'base64');
}
when_answered('JSON in broken UTF-16', '/say?type=' . encoded('application/json; charset=utf-16') . '&body=abc', error => 'reply', status => 200);
says("text in $_->[0]", "text/plain; charset=$_->[0]", encode($_->[1], $_->[2]), $_->[2])
  for [ 'gb2312', 'gbk', '中文' ], [ 'ks_c_5601-1987', 'cp949', '한국어' ], [ 'windows-31j', 'cp932', '日本語' ], [ 'x-sjis', 'cp932', '日本語' ],
	[ 'cp1252', 'cp1252', '“€”' ], [ 'x-cp1251', 'cp1251', 'привет' ], [ 'ANSI_X3.4-1968', 'ascii', 'plain' ], [ 'windows-1252', 'cp1252', '“€”' ];
when_answered('JSON that is not', '/say?header=' . encoded('Content-Encoding:identity') . '&body=1', body => 1);
when_answered('bytes', '/bytes', body => encode_base64($bytes, ''), encoding => 'base64');
when_answered('text with a NUL', '/nul', body => encode_base64("before\0after", ''), encoding => 'base64');
when_answered('latin1 of the partner', '/latin1', body => 'café');
when_answered('204', '/204', status => 204, body => undef);
when_answered('201', '/say?status=201&body=1', status => 201, body => 1);
when_answered('202 without a wait', '/say?status=202&body=1', status => 202, body => 1);
when_answered('chunks and a trailer', '/chunked', body => { a => 1 });
when_answered('byte by byte', '/slow-drip?bytes=5&every=0.02', body => '.....');
when_answered('just as large as is allowed', '/huge?bytes=102400', body => 'h' x 102400);
when_answered('the same in chunks', '/huge?bytes=102400&chunked=1', body => 'h' x 102400);
when_answered('JSON that has no end', '/say?body=%5B&repeat=1000', error => 'reply', status => 200);

# what is no answer: [name, path, error => code, http_status, requests]
when_answered('JSON that is none', '/badjson', error => 'reply', status => 200);
when_answered('JSON in UTF-8 that is none', '/say?body=' . encoded('"') . '%FF%FE' . encoded('"'), error => 'reply', status => 200);
when_answered('JSON with a NUL in a string', '/nul?json=1', error => 'reply', status => 200);
when_answered('JSON with a NUL', '/say?body=%7B%7D%00', error => 'reply', status => 200);
when_answered('JSON with a number beyond all numbers', '/say?body=1e9999999', error => 'reply', status => 200);
when_answered('JSON deeper than any stack', '/say?body=%5B&repeat=90000', outcome => 'SYSTEM_ERROR');
when_answered('a long header', '/headers?long=100000', body => { ok => $true });
when_answered('a header of 200 kB', '/headers?long=200000', error => 'reply');
when_answered('more than is allowed', '/huge?bytes=102401', error => 'reply');
when_answered('more than is allowed, said only at the end', '/huge?bytes=102401&chunked=1', error => 'reply');
when_answered('much more than is allowed', '/huge?bytes=1000000000&chunked=1', error => 'reply');
when_answered('six hundred headers', '/headers?n=600', error => 'reply');
when_answered('half an answer', '/half', error => 'connect', requests => 2);
# what lies about its length
sub lies
{
	my ($name, $length, $body, %expected) = @_;
	when_answered($name, '/raw?answer=' . encoded("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: $length\r\n\r\n$body"), %expected);
}
lies('more than it says', 8, '{"a": 1}garbage', body => { a => 1 });
lies('another answer behind it', 8, "{\"a\": 1}HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"a\": 2}", body => { a => 1 });
lies('less than it says', 9, '{"a": 1}', error => 'connect', requests => 2);
lies('nothing, and more than is allowed', 1000000000000, '{"a": 1}', error => 'reply');
lies('a length beyond all numbers', '99999999999999999999999', '{"a": 1}', error => 'reply');
lies('a length that is none', '-8', '{"a": 1}', error => 'connect', requests => 2);
# one that is cut off on a connection that was kept may be sent once more by the library
when_answered('no answer', '/drop', error => 'connect', requests => 2, repeated => 2);
when_answered('404', '/status/404', error => '404', status => 404);
when_answered('a redirect', '/redirect', error => '302', status => 302);
when_answered('500', '/status/500', error => '500', status => 500, requests => 2);

my @instances = map { $scene->start('ask', { url => $scene->url($_->[1]) }) } @cases;
for (@cases)
{
	my ($name, undef, %expected) = @$_;
	my $instance = shift @instances;
	my $status = $scene->finish($instance);
	my $requests = $scene->requests($instance);
	if (exists $expected{error} || exists $expected{outcome})
	{
		my $incident = $scene->incident($instance) // {};
		is($incident->{outcome}, 'SYSTEM_ERROR', "$name: a SYSTEM_ERROR");
		next if exists $expected{outcome};
		is($incident->{error}{code}, $expected{error}, "$name: the code");
		is($incident->{error}{http_status}, $expected{status}, "$name: the status");
		is($incident->{error}{attempt}, $expected{requests} // 1, "$name: the attempt");
		like($incident->{error}{message}, $expected{message}, "$name: the message") if $expected{message};
		my $least = $expected{requests} // 1;
		is_between($requests, $least, $least + ($expected{repeated} // 0), "$name: how often it was tried");
		next;
	}
	is($status, 'completed', "$name: ends well");
	my $data = $scene->data($instance);
	is($data->{reply}{status}, $expected{status} // 200, "$name: the status");
	is_deeply($data->{reply}{body}, $expected{body}, "$name: the body");
	is($data->{reply}{encoding}, $expected{encoding}, "$name: its encoding");
	is_deeply($data->{response}, $expected{body}, "$name: the response is the body");
	is($requests, 1, "$name: one request");
}

# ---- headers ----

my ($instance, $status) = $scene->run('ask', { url => $scene->url('/headers?n=5') });
my $headers = $scene->data($instance)->{reply}{headers};
is($headers->{'x-repeated'}, 'one, two, three', 'a repeated header, in lower case');
is($scene->data($instance)->{first}, 'one, two, three', 'as jsonpath finds it');
is($headers->{'x-other'}, 'spaces', 'without spaces around');
is($headers->{'x-empty'}, '', 'an empty one');
is($headers->{'content-type'}, 'application/json', 'its type');
is($headers->{'x-n-5'}, 5, 'and all the others');
like($headers->{'set-cookie'}, qr/a=1; Path=\/.*b=2/s, 'cookies');

($instance, $status) = $scene->run('ask', { url => $scene->url('/chunked?hints=2') });
$headers = $scene->data($instance)->{reply}{headers};
is($headers->{'content-type'}, 'application/json', 'the headers are those of the answer');
is($headers->{'x-hint'}, undef, 'without those of hints before it');
is($headers->{'x-trailer'}, undef, 'or of a trailer');
($instance, $status) = $scene->run('ask', { url => $scene->url('/chunked?empty=1&trailer=' . encoded('HTTP/1.1 500 x: y')) });
is($status, 'completed', 'a trailer that looks like a status line');
is($scene->data($instance)->{reply}{headers}{'content-type'}, 'application/json', 'begins no other answer');

# ---- nobody was held up ----

is($scene->sql("SELECT count(*) FROM workflow.visits WHERE state <> 'incident'"), 0, 'nothing is left standing');
($instance, $status) = $scene->run('ask', { url => $scene->url('/echo') });
is($status, 'completed', 'and requests go out as before');
is($scene->data($instance)->{reply}{body}{method}, 'GET', 'with their answers');
ok(!log_has($scene->node, qr/PANIC|was terminated by signal|exited with exit code/), 'no worker has died of it');

$scene->node->stop;
done_testing();
