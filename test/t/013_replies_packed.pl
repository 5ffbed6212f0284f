#
# Answers as real servers send them: types said twice, folded headers, and bodies that are packed, or only said to be.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Compress::Zlib qw(compress);
use IO::Compress::Gzip qw(gzip $GzipError);
use IO::Compress::RawDeflate qw(rawdeflate $RawDeflateError);
use MIME::Base64 qw(encode_base64);
use Scene;
use Test::More;
use WorkflowTest;

my $LIMIT = 100_000;
my $scene = Scene->new('packed', options => "timeout '10 s', max_response '100000B'");
my $H = Scene::HEADERS;
$scene->define('ask', <<"EOD");
{ "steps": [ { "step": "ask",
    "http": { "server": "partner", "url": "\${\$.url}", "headers": { $H } },
    "save_reply": { "reply": "\${\$reply}" },
    "retry": { "max": 1, "delay": "10 ms" } } ] }
EOD

# Started together, judged one after the other: [name, bytes of the answer, expectation]
my @cases;

sub answer
{
	my ($status, $headers, $body) = @_;
	return join("\r\n", "HTTP/1.1 $status Status", 'Content-Length: ' . length $body, @$headers, '', '') . $body;
}

# A JSON body that is read, whatever the headers say.
sub reads
{
	my ($name, $body, @headers) = @_;
	push @cases, [ $name, answer(200, \@headers, $body), body => { ok => 1 } ];
}

# Any body, as text or with an encoding.
sub gives
{
	my ($name, $expected, $body, @headers) = @_;
	push @cases, [ $name, answer(200, \@headers, $body), body => $expected ];
}

sub as_bytes
{
	my ($name, $expected, $body, @headers) = @_;
	push @cases, [ $name, answer(200, \@headers, $body), body => encode_base64($expected, ''), encoding => 'base64' ];
}

sub fails
{
	my ($name, $message, $body, @headers) = @_;
	push @cases, [ $name, answer(200, \@headers, $body), message => $message ];
}

sub gzipped { my ($text) = @_; my $out; gzip(\$text, \$out, -Minimal => 1) or die $GzipError; return $out }
sub deflated { my ($text) = @_; return compress($text) }
sub raw_deflated { my ($text) = @_; my $out; rawdeflate(\$text, \$out) or die $RawDeflateError; return $out }

my $plain = '{"ok": 1}';
my $json = 'Content-Type: application/json';

# ---- types ----

reads('capitals and a quoted charset', $plain, 'CONTENT-TYPE: Application/JSON;charset="UTF-8"');
reads('a type said twice', $plain, $json, "$json; charset=utf-8");
reads('a list of types', $plain, "$json, application/json");
reads('the last type counts', $plain, 'Content-Type: text/html', $json);
gives('also where it is not JSON', $plain, $plain, $json, 'Content-Type: text/plain');
reads('what is no type does not count', $plain, "$json, json, */*, ,");
reads('a folded header', $plain, "Content-Type:\r\n application/json");
reads('folded twice, with tabs', $plain, "Content-Type:  \r\n\t \r\n \tapplication/json;\r\n\tcharset=utf-8");
my $latin1 = "caf\xe9";
gives('parameters in any case', "caf\x{e9}", $latin1, 'Content-Type: TEXT/PLAIN; CHARSET=ISO-8859-1');
gives('a quoted charset', "caf\x{e9}", $latin1, 'Content-Type: text/plain; charset="iso-8859-1"');
gives('a charset in single quotes', "caf\x{e9}", $latin1, "Content-Type: text/plain; charset='iso-8859-1'");
gives('with space around', "caf\x{e9}", $latin1, 'Content-Type: text/plain ; charset = iso-8859-1 ; x=y');
gives('on another line', "caf\x{e9}", $latin1, "Content-Type: text/plain;\r\n  charset=iso-8859-1");
gives('the first of two', "caf\x{e9}", $latin1, 'Content-Type: text/plain; charset=iso-8859-1; charset=utf-8');
gives('that of the same type before', "caf\x{e9}", $latin1, 'Content-Type: text/plain; charset=iso-8859-1', 'Content-Type: Text/Plain');
as_bytes('not that of another type', $latin1, $latin1, 'Content-Type: text/html; charset=iso-8859-1', 'Content-Type: text/plain');
gives('not what another parameter says', "caf\x{e9}", "caf\xc3\xa9", 'Content-Type: text/plain; title="a, charset=iso-8859-1; \\"b"; x-charset=latin1');
gives('nothing', "caf\x{e9}", "caf\xc3\xa9", 'Content-Type: text/plain; charset=; charset');
gives('a folded header of any name', $plain, $plain, "X-Folded: a  \r\n   b\r\n\tc", 'Content-Type: text/plain');

# ---- codings that mean nothing, or are not known ----

for ('', 'identity', 'identity, identity', 'none', 'UTF-8', 'utf8', 'aws-chunked', 'br', 'no-such-thing', 'gzip', 'deflate', 'x-gzip, deflate, br')
{
	reads("readable JSON with Content-Encoding \"$_\"", $plain, $json, "Content-Encoding: $_");
	gives("readable text with Content-Encoding \"$_\"", 'a text', 'a text', 'Content-Type: text/plain', "Content-Encoding: $_");
}
reads('a coding said twice', $plain, $json, 'Content-Encoding: identity', 'content-encoding: UTF-8');
fails('JSON in a coding that is not known', qr/says that it is JSON.*its Content-Encoding "br" is not known here/, "\x0b\x04\x80\x7b\x03", $json, 'Content-Encoding: br');
fails('JSON that is none, in no coding', qr/says that it is JSON.*invalid input syntax/, '{"ok":', $json, 'Content-Encoding: aws-chunked');
as_bytes('text in a coding that is not known', "\x0b\x04text\x03", "\x0b\x04text\x03", 'Content-Type: text/plain; charset=iso-8859-1', 'Content-Encoding: br');

# ---- gzip and deflate ----

for my $case ([ gzip => gzipped($plain) ], [ 'x-gzip' => gzipped($plain) ], [ 'GZip' => gzipped($plain) ], [ '"gzip";q=1' => gzipped($plain) ],
	[ deflate => deflated($plain) ], [ 'deflate' => raw_deflated($plain) ], [ 'gzip, gzip' => gzipped(gzipped($plain)) ],
	[ 'gzip,deflate' => deflated(gzipped($plain)) ], [ 'deflate, gzip' => gzipped(raw_deflated($plain)) ],
	[ 'gzip, identity, UTF-8' => gzipped($plain) ], [ 'aws-chunked, gzip' => gzipped($plain) ], [ 'gzip, br' => gzipped($plain) ],
	[ 'gzip, gzip' => gzipped($plain) ])
{
	my ($coding, $body) = @$case;
	reads("$coding, " . length($body) . ' bytes', $body, $json, "Content-Encoding: $coding");
}
reads('codings on two lines, the second folded', gzipped(deflated($plain)), $json, 'Content-Encoding: deflate', "Content-Encoding:\r\n gzip");
reads('several members', gzipped('{"ok"') . gzipped('') . gzipped(': 1}'), $json, 'Content-Encoding: gzip');
reads('padding behind', gzipped($plain) . "\0" x 20, $json, 'Content-Encoding: gzip');
reads('whatever behind', gzipped($plain) . 'garbage', $json, 'Content-Encoding: gzip');
reads('whatever behind zlib', deflated($plain) . 'x', $json, 'Content-Encoding: deflate');
push @cases, [ 'without a length', join("\r\n", 'HTTP/1.1 200 OK', $json, 'Content-Encoding: gzip', '', '') . gzipped($plain), body => { ok => 1 } ];
push @cases, [ 'in chunks', join("\r\n", 'HTTP/1.1 200 OK', $json, 'Content-Encoding: gzip', 'Transfer-Encoding: chunked', '',
		map({ sprintf('%x', length $_), $_ } substr(gzipped($plain), 0, 7), substr(gzipped($plain), 7)), '0', '', ''), body => { ok => 1 } ];
gives('text', "caf\x{e9}", gzipped($latin1), 'Content-Type: text/plain; charset=iso-8859-1', 'Content-Encoding: gzip');
my $bytes = join('', map { chr } 0 .. 255);
as_bytes('bytes', $bytes, gzipped($bytes), 'Content-Type: application/octet-stream', 'Content-Encoding: gzip');
gives('nothing', undef, '', $json, 'Content-Encoding: gzip');
gives('nothing, packed', undef, gzipped(''), $json, 'Content-Encoding: gzip');
push @cases, [ '204', "HTTP/1.1 204 No\r\nContent-Encoding: gzip\r\n\r\n", body => undef, status => 204 ];
push @cases, [ '304', "HTTP/1.1 304 No\r\nContent-Encoding: gzip\r\n\r\n", code => '304', status => 304 ];
push @cases, [ '404', answer(404, [ $json, 'Content-Encoding: gzip' ], gzipped('{"why": "gone"}')), code => '404', status => 404, response => { why => 'gone' } ];
push @cases, [ '404, broken', answer(404, [ $json, 'Content-Encoding: gzip' ], substr(gzipped('{"why": "gone"}'), 0, 12)), code => '404', status => 404 ];
push @cases, [ '500, broken', answer(500, [ $json, 'Content-Encoding: gzip' ], substr(gzipped('{"why": "gone"}'), 0, 12)), code => '500', status => 500, attempt => 2 ];

# ---- damaged ----

my $longer = '{"ok": 1, "more": "' . join('', map { chr(97 + $_ * 7 % 26) . $_ } 1 .. 500) . '"}';
for my $case ([ gzip => gzipped($longer) ], [ deflate => deflated($longer) ], [ deflate => raw_deflated($longer) ])
{
	my ($coding, $whole) = @$case;
	my $name = $coding . ' of ' . length($whole) . ' bytes';
	for my $type ('application/json', 'text/plain', 'application/octet-stream')
	{
		my @headers = ("Content-Type: $type", "Content-Encoding: $coding");
		fails("$name, cut off, $type", qr/cannot be read: its Content-Encoding "$coding" is cut off/, substr($whole, 0, length($whole) - 9), @headers);
		# raw deflate has no sum: only what cannot be is noticed
		my $flipped = $whole;
		$whole eq raw_deflated($longer) ? substr($flipped, 0, 1, "\x07") : substr($flipped, 100, 8, '~' x 8);
		fails("$name, broken, $type", qr/cannot be read: its Content-Encoding "$coding" is (broken|cut off)/, $flipped, @headers);
	}
}
fails('only its beginning', qr/Content-Encoding "gzip" is cut off/, "\x1f\x8b", $json, 'Content-Encoding: gzip');
fails('without its sum', qr/Content-Encoding "gzip" is cut off/, substr(gzipped($plain), 0, -8), $json, 'Content-Encoding: gzip');
fails('with another sum', qr/Content-Encoding "gzip" is broken/, substr(gzipped($plain), 0, -8) . "\1" x 8, $json, 'Content-Encoding: gzip');
fails('a second member cut off', qr/Content-Encoding "gzip" is cut off/, gzipped($plain) . substr(gzipped(' '), 0, 12), $json, 'Content-Encoding: gzip');
fails('with a dictionary', qr/Content-Encoding "deflate" is broken/, "\x78\xbb" . 'x' x 20, $json, 'Content-Encoding: deflate');
my $five = $plain;
$five = gzipped($five) for 1 .. 5;
fails('five times', qr/Content-Encoding "gzip, gzip, gzip, gzip, gzip" is broken/, $five, $json, 'Content-Encoding: gzip, gzip, gzip, gzip, gzip');

# ---- larger than it looks ----

gives('just as large as is allowed', 'h' x $LIMIT, gzipped('h' x $LIMIT), 'Content-Type: text/plain', 'Content-Encoding: gzip');
my $too_large = qr/larger than $LIMIT bytes when it is unpacked/;
fails('one byte more', $too_large, gzipped('h' x ($LIMIT + 1)), 'Content-Type: text/plain', 'Content-Encoding: gzip');
fails('a thousand times larger', $too_large, gzipped('h' x 50_000_000), 'Content-Type: text/plain', 'Content-Encoding: gzip');
fails('the same in deflate', $too_large, raw_deflated('h' x 50_000_000), 'Content-Type: text/plain', 'Content-Encoding: deflate');
fails('a million times', $too_large, gzipped(gzipped('h' x 50_000_000)), 'Content-Type: text/plain', 'Content-Encoding: gzip, gzip');
fails('in members', $too_large, gzipped('h' x 60_000) x 2, 'Content-Type: text/plain', 'Content-Encoding: gzip');

# ---- all of them ----

my @instances = map { $scene->start('ask', { url => $scene->url('/raw?answer=' . encoded($_->[1])) }) } @cases;
for (@cases)
{
	my ($name, undef, %expected) = @$_;
	my $instance = shift @instances;
	my $status = $scene->finish($instance);
	if ($expected{message} || $expected{code})
	{
		my $incident = $scene->incident($instance) // {};
		is($incident->{error}{code}, $expected{code} // 'reply', "$name: an error");
		like($incident->{error}{message}, $expected{message}, "$name: which says so") if $expected{message};
		is($incident->{error}{attempt}, $expected{attempt} // 1, "$name: the attempt");
		is($incident->{error}{http_status}, $expected{status}, "$name: the status") if $expected{status};
		is_deeply($incident->{result}{response}, $expected{response}, "$name: the response") if $expected{response};
		next;
	}
	is($status, 'completed', "$name: ends well") or diag(explain($scene->incident($instance)));
	my $reply = $scene->data($instance)->{reply};
	is($reply->{status}, $expected{status} // 200, "$name: the status");
	is_deeply($reply->{body}, $expected{body}, "$name: the body");
	is($reply->{encoding}, $expected{encoding}, "$name: its encoding");
	is($reply->{headers}{'x-folded'}, 'a b c', "$name: on one line") if $name eq 'a folded header of any name';
}

# ---- what was not asked for, and what was ----

my ($instance) = $scene->run('ask', { url => $scene->url('/echo') });
is($scene->data($instance)->{reply}{body}{headers}{'accept-encoding'}, undef, 'no coding is asked for');
$scene->define('packed', <<"EOD");
{ "steps": [ { "step": "ask", "http": { "server": "partner", "path": "/echo", "headers": { "Accept-Encoding": "gzip" } }, "save_reply": { "reply": "\${\$reply}" } } ] }
EOD
($instance) = $scene->run('packed');
is($scene->data($instance)->{reply}{body}{headers}{'accept-encoding'}, 'gzip', 'unless the step asks for one');
$scene->define('head', qq({ "steps": [ { "step": "head", "http": { "server": "partner", "method": "HEAD", "url": "\${\$.url}" }, "save_reply": { "reply": "\${\$reply}" } } ] }));
my ($head, $status) = $scene->run('head', { url => $scene->url('/say?header=' . encoded('Content-Encoding:gzip') . '&body=abc') });
is($status, 'completed', 'HEAD of what is packed');
is($scene->data($head)->{reply}{body}, undef, 'has no body');
is($scene->data($head)->{reply}{headers}{'content-encoding'}, 'gzip', 'but its headers');
# ---- a database of another encoding: what it has the characters of is read, if need be by way of UTF-8 ----

my $node = $scene->node;
$node->safe_psql('postgres', q[CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0]);
add_extension($node, 'latin');
add_http_server($node, $scene->partner, database => 'latin');
$node->safe_psql('latin', q[SELECT workflow.define('ask', '{"steps": [{"step": "ask", "http": {"server": "partner", "url": "${$.url}"}, "save": {"body": "${$reply.body}", "encoding": "${$reply.encoding ?? null}"}}]}')]);
for ([ 'latin1', "caf\xe9" ], [ 'windows-1252', "caf\xe9" ], [ 'iso-8859-15', "caf\xe9" ], [ 'utf-16be', "\0c\0a\0f\0\xe9" ], [ 'windows-1252', "\x80", 'base64' ])
{
	my ($charset, $bytes, $encoding) = @$_;
	my $url = $scene->url('/raw?answer=' . encoded(answer(200, [ "Content-Type: text/plain; charset=$charset" ], $bytes)));
	my $number = $node->safe_psql('latin', "SELECT workflow.start('ask', jsonb_build_object('url', '$url'))");
	is_soon($node, 'latin', "SELECT ascii(right(data->>'body', 1)) || coalesce(data->>'encoding', '') FROM workflow.instances WHERE instance = $number AND status = 'completed'",
		$encoding ? ord('=') . $encoding : 0xe9, "$charset in LATIN1");
}
ok(!log_has($scene->node, qr/PANIC|was terminated by signal|exited with exit code/), 'no worker has died of it');

$scene->node->stop;
done_testing();
