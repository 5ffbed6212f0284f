#
# The result of a visit: all six outcomes, with and without a callback, with bodies of every kind; and what handlers see.
#
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Scene;
use Test::More;
use WorkflowTest;

my $scene = Scene->new('results');
my $H = '"headers": {' . Scene::HEADERS . '}';
my $json = JSON::PP->new->canonical->allow_nonref;
my $true = JSON::PP::true;

# A step that calls the url, waits if the answer is 202, and keeps everything; "after" keeps what a handler sees.
sub define_ask
{
	my ($name, $more) = @_;
	$more = $more ? ", $more" : '';
	$scene->define($name, qq[{"steps": [
		{"step": "ask", "http": {"url": "\${\$.url}", "timeout": "3 s", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": {"callback": true, "when": "\$reply.status == 202"},
			"success": "!(\$result.response.status == \\"NO\\")", "save_reply": {"reply": "\${\$reply}"}, "save": {"result": "\${\$result}"},
			"catch": [{"on": "*", "next": "after"}], "end": true$more},
		{"step": "after", "set": {"caught": "\${\$caught}", "error": "\${\$error}", "result": "\${\$caught.result}"}}]}]);
}
define_ask('ask');

my @keys = qw(callback_response cancel_response error initial_response response status);

# The result, which is the same wherever one looks at it; its error apart.
sub result
{
	my ($instance, $name) = @_;
	is($scene->finish($instance), 'completed', "$name: ends");
	my $visit = $scene->history($instance, 'ask');
	my $result = $visit->{result};
	is_deeply([ sort keys %$result ], \@keys, "$name: all parts are there");
	is($result->{status}, $visit->{outcome}, "$name: its status is the outcome");
	my $data = $scene->data($instance);
	if ($visit->{outcome} eq 'SUCCESS')
	{
		is_deeply($data->{result}, $result, "$name: \$result is what the history has");
		is($result->{error}, undef, "$name: no error");
	}
	else
	{
		is_deeply($data->{caught}, { serial_number => $visit->{serial_number}, step => 'ask', result => $result, error => $result->{error}, event => undef },
			"$name: \$caught is what the history has");
		is_deeply([ sort keys %{ $result->{error} } ], [qw(attempt code http_status message sqlstate)], "$name: all parts of the error are there");
		ok(length $result->{error}{message}, "$name: it says why") unless $result->{error}{code} eq 'QUIET';
		is_deeply($data->{error}, $result->{error}, "$name: a handler sees it as \$error, too");
	}
	return ($result, $data);
}

# ---- without a callback: bodies of every kind ----

my $latin1 = "caf\xe9";
utf8::downgrade($latin1);
my $bytes = join('', map { chr } 0 .. 255);

my @bodies = (
	[ 'an object',             '/say?body=' . encoded('{"a": [1, {"b": "ü€😀"}], "status": "YES"}'), { a => [ 1, { b => 'ü€😀' } ], status => 'YES' } ],
	[ 'an array',              '/say?body=' . encoded('[1, "x", null]'), [ 1, 'x', undef ] ],
	[ 'a string',              '/say?body=' . encoded('"text"'), 'text' ],
	[ 'a number',              '/say?body=12.5', 12.5 ],
	[ 'a Boolean',             '/say?body=false', JSON::PP::false ],
	[ 'null',                  '/say?body=null', undef ],
	[ 'nothing',               '/say', undef ],
	[ '204',                   '/204', undef ],
	[ 'text',                  '/say?type=text/plain&body=' . encoded("ü\nx"), "ü\nx" ],
	[ 'text in latin1',        '/latin1', 'café' ],
	[ 'text that is no UTF-8', '/say?type=text/plain&body=' . encoded($latin1), encode_base64($latin1, '') ],
	[ 'bytes',                 '/bytes', encode_base64($bytes, '') ],
	[ 'text with a NUL',       '/nul', encode_base64("before\0after", '') ]);
push @$_, $scene->start('ask', { url => $scene->url($_->[1]) }) for @bodies;
for (@bodies)
{
	my ($name, undef, $body, $instance) = @$_;
	my ($result, $data) = result($instance, $name);
	is($result->{status}, 'SUCCESS', "$name: success");
	is_deeply($result->{initial_response}, $body, "$name: the initial response");
	is_deeply($result->{response}, $body, "$name: is the response");
	is($result->{callback_response}, undef, "$name: without a callback");
	is_deeply($data->{reply}{body}, $body, "$name: and the body of the reply");
}

# what cannot be read keeps its status
for ([ 'broken JSON', '/badjson', 200 ], [ 'JSON with a NUL', '/nul?json=1', 200 ], [ 'JSON in no charset', '/say?status=201&body=%22%FF%FE%22', 201 ])
{
	my ($name, $path, $status) = @$_;
	my ($result) = result($scene->start('ask', { url => $scene->url($path) }), $name);
	is($result->{status}, 'SYSTEM_ERROR', "$name: the outcome");
	is_deeply([ @{ $result->{error} }{qw(code http_status attempt)} ], [ 'reply', $status, 1 ], "$name: the real status");
	is_deeply([ @{$result}{qw(callback_response cancel_response)} ], [ (undef) x 2 ], "$name: no other response");
	is(ref \$result->{initial_response}, 'SCALAR', "$name: what came is kept as it is");
	ok(length $result->{initial_response}, "$name: ... all of it");
}

# ---- with a callback: data of every kind ----

my @data = (
	[ 'an object', '{"a": {"b": [1.50, null]}}' ], [ 'an array', '[1, 2]' ], [ 'a string', '"ü"' ], [ 'a number', '1e3' ], [ 'a Boolean', 'true' ],
	[ 'JSON null', 'null' ], [ 'an empty object', '{}' ], [ 'a large one', $json->encode({ map { $_ => 'x' x 1000 } 1 .. 500 }) ], [ 'nothing', undef ]);
push @$_, $scene->start('ask', { url => $scene->url('/accept?callback=none') }) for @data;
for (@data)
{
	my ($name, $data, $instance) = @$_;
	$scene->wait_for_state($instance, 'waiting');
	my $sn = $scene->serial($instance);
	is($scene->sql("SELECT workflow.complete('$sn'" . (defined $data ? ', ' . Scene::quote($data) : '') . ')'), 't', "a callback with $name");
	my ($result) = result($instance, "a callback with $name");
	is($result->{status}, 'SUCCESS', "a callback with $name: success");
	my $expected = defined $data ? $json->decode($data) : undef;
	is_deeply($result->{callback_response}, $expected, "a callback with $name: its data");
	is_deeply($result->{response}, $expected, "a callback with $name: are the response, not the reply");
	is($result->{initial_response}{accepted}, $true, "a callback with $name: which is beside it");
}

# ---- the other outcomes ----

my ($result, $data);

# FAILED: by "success", with and without a callback; by fail()
($result) = result($scene->start('ask', { url => $scene->url('/say?body=' . encoded('{"status": "NO", "why": "empty"}')) }), 'no success');
is($result->{status}, 'FAILED', 'no success: the outcome');
is($result->{error}{code}, 'FAILED', 'no success: the code');
is_deeply($result->{response}, { status => 'NO', why => 'empty' }, 'no success: what was answered');
for ([ 'a callback without success', q[workflow.complete('%s', '{"status": "NO"}')], 'FAILED' ],
	[ 'fail()',                      q[workflow.fail('%s', 'EMPTY', 'out of stock', '{"status": "NO", "stock": 0}')], 'EMPTY' ],
	[ 'fail() without a word',       q[workflow.fail('%s')],                                                         'FAILED' ])
{
	my ($name, $call, $code) = @$_;
	my $instance = $scene->start('ask', { url => $scene->url('/accept?callback=none') });
	$scene->wait_for_state($instance, 'waiting');
	is($scene->sql('SELECT ' . sprintf($call, $scene->serial($instance))), 't', "$name: accepted");
	($result) = do
	{
		is($scene->finish($instance), 'completed', "$name: ends");
		$scene->history($instance, 'ask')->{result};
	};
	is($result->{status}, 'FAILED', "$name: the outcome");
	is($result->{error}{code}, $code, "$name: the code");
	is($result->{error}{message}, 'out of stock', "$name: the message") if $code eq 'EMPTY';
	is_deeply($result->{response}, { status => 'NO', stock => 0 }, "$name: its data are the response") if $code eq 'EMPTY';
	is($result->{initial_response}{accepted}, $true, "$name: the reply is there");
	is($scene->data($instance)->{caught}{error}{code}, $code, "$name: as a handler sees");
}

# SYSTEM_ERROR: the real status, or what went wrong instead
for ([ '/status/404', '404', 404 ], [ '/status/500', '500', 500 ], [ '/status/302', '302', 302 ], [ '/drop', 'connect', undef ], [ '/hang', 'timeout', undef ])
{
	my ($path, $code, $status) = @$_;
	my ($result) = result($scene->start('ask', { url => $scene->url($path) }), $path);
	is($result->{status}, 'SYSTEM_ERROR', "$path: the outcome");
	is_deeply([ @{ $result->{error} }{qw(code http_status sqlstate attempt)} ], [ $code, $status, undef, 1 ], "$path: the error");
}
$scene->define('sql', q[{"steps": [{"step": "ask", "sql": "SELECT 1/$n", "catch": [{"on": "*", "next": "after"}], "end": true}, {"step": "after", "set": {"caught": "${$caught}"}}]}] =~ s/\$n/0/r);
my $instance = $scene->start('sql');
is($scene->finish($instance), 'completed', 'SQL that fails');
is_deeply([ @{ $scene->data($instance)->{caught}{error} }{qw(code http_status sqlstate attempt)} ], [ '22012', undef, '22012', 1 ], 'has a SQLSTATE instead of a status');
$scene->define('sql reply', q[{"steps": [{"step": "ask", "sql": "SELECT 7 AS seven, 'x' AS x", "save": {"result": "${$result}", "count": "${$reply.count}"}}]}]);
$instance = $scene->start('sql reply');
$scene->finish($instance);
is_deeply($scene->data($instance)->{result}{response}, { seven => 7, x => 'x' }, 'the response of SQL is its row');

# CANCELLED, TIMED_OUT, DIED: with what was answered, what the cancel request was answered, and what came of it
for ([ 'CANCELLED', '' ], [ 'TIMED_OUT', '"timeout": "0.4 s"' ], [ 'DIED', '"heartbeat": "0.4 s"' ])
{
	my ($outcome, $clock) = @$_;
	# after DIED nobody waits for it
	my $after = $outcome eq 'DIED' ? 2 : 0;
	define_ask($outcome, qq["cancel": {"path": "/accept?status=STOPPED&after=$after", "body": {"sn": "\${\$serial_number}"}}] . ($clock ? ", $clock" : '') . ', "ignore_cancel": false');
	my $instance = $scene->start($outcome, { url => $scene->url('/accept?callback=none') });
	$scene->wait_for_state($instance, 'waiting') unless $clock;
	$scene->sql("SELECT workflow.cancel_visit('" . $scene->serial($instance) . "', 'enough')") unless $clock;
	my ($result) = result($instance, $outcome);
	is($result->{status}, $outcome, "$outcome: the outcome");
	is($result->{error}{code}, $outcome, "$outcome: the code");
	is($result->{initial_response}{accepted}, $true, "$outcome: the initial response");
	is($result->{cancel_response}{accepted}, $true, "$outcome: the cancel response");
	is($result->{callback_response}{status}, $outcome eq 'DIED' ? undef : 'STOPPED', "$outcome: the callback response");
	is_deeply($result->{response}, $outcome eq 'DIED' ? $result->{initial_response} : $result->{callback_response}, "$outcome: the response");
}
is($scene->sql('SELECT string_agg(DISTINCT outcome, \' \' ORDER BY outcome) FROM workflow.history'), 'CANCELLED DIED FAILED SUCCESS SYSTEM_ERROR TIMED_OUT', 'that were all six');

# ---- success reads the same with a callback and without ----

$scene->define('either', qq[{"steps": [{"step": "ask", "http": {"url": "\${\$.url}", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": {"callback": true, "when": "\$reply.status == 202"},
	"success": "\$result.response.status == \\"SUCCESS\\"", "save": true}]}]);
for my $path ('/say?body=' . encoded('{"status": "SUCCESS", "receipt": "now"}'), '/accept', '/callback-first')
{
	my ($instance, $status) = $scene->run('either', { url => $scene->url($path) });
	is($status, 'completed', "success after $path");
	like($scene->data($instance)->{receipt}, qr/^(now|r-$instance\_\d+)$/, "which saves all of the response after $path");
}
($instance) = $scene->run('either', { url => $scene->url('/accept?status=FAILURE') });
is($scene->incident($instance)->{outcome}, 'FAILED', 'no success in a callback');
($instance) = $scene->run('either', { url => $scene->url('/say?body=' . encoded('["SUCCESS"]')) });
is($scene->incident($instance)->{outcome}, 'FAILED', 'a missing field is no success');
# "save": true takes objects only
$scene->define('all', qq[{"data": {"kept": 1}, "steps": [{"step": "ask", "http": {"url": "\${\$.url}", $H}, "save": true}]}]);
for my $body ('[1, 2]', '"text"', '5', 'null', '')
{
	my $url = $scene->url('/say?body=' . encoded($body));
	my ($instance, $status) = $scene->run('all', { url => $url });
	is($status, 'completed', "saving all of '$body' is no error");
	is_deeply($scene->data($instance), { kept => 1, url => $url }, 'and saves nothing');
}

# ---- handlers by outcome, by code, in their order; $caught goes on along the path ----

$scene->define('handlers', qq[{"steps": [{"step": "ask", "http": {"url": "\${\$.url}", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": {"callback": true, "when": "\$reply.status == 202"},
	"catch": [{"on": ["404", "EMPTY"], "next": "by code"}, {"on": "FAILED", "next": "by outcome"}, {"on": "*", "next": "by any"}], "end": true},
	{"step": "by code", "set": {"by": "code"}, "next": "tell"},
	{"step": "by outcome", "set": {"by": "outcome"}, "next": "tell"},
	{"step": "by any", "set": {"by": "any"}, "next": "tell"},
	{"step": "tell", "http": {"server": "partner", "path": "/tell", $H, "body": {"by": "\${\$.by}", "code": "\${\$caught.error.code}", "step": "\${\$caught.step}",
		"sn": "\${\$caught.serial_number}", "status": "\${\$caught.result.status}"}}}]}]);
for ([ '/status/404', 'code', '404' ], [ '/status/403', 'any', '403' ], [ '/accept?fail=EMPTY', 'code', 'EMPTY' ], [ '/accept?fail=OTHER', 'outcome', 'OTHER' ])
{
	my ($path, $by, $code) = @$_;
	my ($instance, $status) = $scene->run('handlers', { url => $scene->url($path) });
	is($status, 'completed', "$path is handled");
	my $told = $json->decode(($scene->requests($instance))[-1]{body});
	my $visit = $scene->history($instance, 'ask');
	is_deeply($told, { by => $by, code => $code, step => 'ask', sn => $visit->{serial_number}, status => $visit->{outcome} }, "$path by $by, which can be told");
}

ok(!log_has($scene->node, qr/PANIC|was terminated by signal|exited with exit code/), 'no worker has died of it');
$scene->node->stop;
done_testing();
