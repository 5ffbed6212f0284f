#
# What a service is told of the trace, on each attempt; and what the log says of attempts that have failed, which no secret is in.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Frontend;
use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use WorkflowTest;

my $frontend = Frontend->new;
my $scene = Scene->new('traces', conf => "workflow.callback_base = '" . $frontend->url . "'\nlog_statement = none\nlog_min_error_statement = panic\n");
my $H = '"headers": {' . Scene::HEADERS . '}';
my $GIVEN = '4bf92f3577b34da6a3ce929d0e0e4736';
my $TRACEPARENT = "00-$GIVEN-00f067aa0ba902b7-01";

sub define_call
{
	my ($name, $path, $more, $server, $headers) = @_;
	$scene->define($name, qq({"steps": [{"step": "call", "http": {"server": ") . ($server // 'partner') . qq(", "path": "$path", ) . ($headers // $H) . '}' . ($more ? ", $more" : '') . '}]}');
}

# The traces, spans and flags that the requests of an instance came with
sub sent { return map { [ ($_->{headers}{traceparent} // '') =~ /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/ ] } $scene->requests($_[0]) }
sub trace_of { return $scene->sql("SELECT trace_id FROM workflow.instances WHERE instance = $_[0]") }
sub spans_of { return [ split /\n/, $scene->sql("SELECT span_id FROM workflow.attempts WHERE serial_number LIKE '$_[0]\\_%' AND NOT incident ORDER BY serial_number, attempt") ] }

# ---- one request, several attempts, two steps ----

define_call('ok', '/ok');
my ($instance, $status) = $scene->run('ok');
my ($first, @more) = sent($instance);
is($status, 'completed', 'a request');
is($first->[0], trace_of($instance), 'has the trace of its instance');
is($first->[1], ($scene->history($instance))[0]{span_id}, 'and a span, which the history has, too');
is($first->[2], '01', 'sampled');
my ($other) = sent(($scene->run('ok'))[0]);
isnt($other->[0], $first->[0], 'another instance has another one');
isnt($other->[1], $first->[1], 'and other spans');
define_call('flaky', '/flaky?fail=2', '"retry": {"max": 2, "delay": "10 ms"}');
($instance, $status) = $scene->run('flaky');
my @attempts = sent($instance);
is(scalar(@attempts), 3, 'three attempts');
is_deeply([ map { $_->[0] } @attempts ], [ (trace_of($instance)) x 3 ], 'all have the trace');
is(scalar(keys %{ { map { $_->[1] => 1 } @attempts } }), 3, 'each has a span of its own');
is_deeply(spans_of($instance), [ map { $_->[1] } @attempts ], 'as the view attempts has them');
is(($scene->history($instance))[0]{span_id}, $attempts[2][1], 'the history has the last one');
$scene->define('two', qq({"steps": [{"step": "a", "http": {"server": "partner", "path": "/ok", $H}}, {"step": "b", "http": {"server": "partner", "path": "/ok", $H}}]}));
($instance) = $scene->run('two');
my @two = sent($instance);
is($two[0][0], $two[1][0], 'two steps: one trace');
isnt($two[0][1], $two[1][1], 'and two spans');
define_call('job', '/say?status=202', '"wait": true, "cancel": {"path": "/stop", ' . $H . ', "timeout": "10 ms"}');
$instance = $scene->start('job');
my $foretold = $scene->sql("SELECT workflow.request(serial_number)->'headers'->>'traceparent' FROM workflow.visits WHERE instance = " . $scene->start('job'));
$scene->wait_for_state($instance, 'waiting');
is($scene->sql("SELECT workflow.request(serial_number)->'headers'->>'traceparent' FROM workflow.visits WHERE instance = $instance"),
	($scene->requests($instance))[0]{headers}{traceparent}, 'workflow.request shows what was sent');
like($foretold, qr/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/, 'or will be');
$scene->sql("SELECT workflow.cancel($instance)");
is($scene->finish($instance), 'aborted', 'cancelled');
my @job = sent($instance);
is($job[1][0], $job[0][0], 'the cancel request has the same trace');
ok($job[1][1] && $job[1][1] ne $job[0][1], 'and a span of its own');

# ---- who says otherwise ----

define_call('own', '/ok', undef, undef, '"headers": {' . Scene::HEADERS . qq(, "TraceParent": "$TRACEPARENT"}));
($instance) = $scene->run('own');
is(($scene->requests($instance))[0]{headers}{traceparent}, $TRACEPARENT, 'a header of the step stands');
$scene->server('quiet', $scene->url, "trace 'off'");
define_call('quiet', '/ok', undef, 'quiet');
($instance) = $scene->run('quiet');
is(($scene->requests($instance))[0]{headers}{traceparent}, undef, 'a server can be told nothing');
$scene->sql("ALTER SERVER quiet OPTIONS (SET trace 'true')");
is((sent(($scene->run('quiet'))[0]))[0][2], '01', 'or again');
like($scene->error("ALTER SERVER quiet OPTIONS (SET trace 'loud')"), qr/^22023/, 'another value is refused');

# ---- a trace of the caller's ----

sub started_with { return $scene->sql("SET workflow.traceparent = '$_[0]'; SELECT workflow.start('$_[1]')") }
$instance = started_with($TRACEPARENT, 'flaky');
is($scene->finish($instance), 'completed', 'with a trace that was given');
@attempts = sent($instance);
is_deeply([ map { "$_->[0] $_->[2]" } @attempts ], [ ("$GIVEN 01") x 3 ], 'its requests have that');
is((grep { $_->[1] eq '00f067aa0ba902b7' } @attempts), 0, 'and spans of their own');
$instance = started_with($TRACEPARENT =~ s/01$/00/r, 'ok');
$scene->finish($instance);
is((sent($instance))[0][2], '00', 'what is not sampled is not here either');
$scene->define('caller', qq({"steps": [{"step": "one", "http": {"server": "partner", "path": "/ok", $H}}, {"step": "call", "call": {"process": "flaky"}}]}));
($instance, $status) = $scene->run('caller');
my $child = $scene->sql("SELECT instance FROM workflow.instances WHERE parent = $instance");
is("$status " . (sent($instance))[0][0], "completed " . trace_of($instance), 'an instance that calls another one');
is_deeply([ map { $_->[0] } sent($child) ], [ (trace_of($instance)) x 3 ], '... whose requests have its trace');
is($scene->sql("SELECT traceparent FROM workflow.instances WHERE instance = $child"), '00-' . trace_of($instance) . '-' . $scene->history($instance, 'call')->{span_id} . '-01',
	'... and began in its span');

# through PostgREST
$scene->sql(slurp_file("$FindBin::Bin/../../docs/workflow_api.sql") . ';CREATE ROLE web_anon; GRANT USAGE ON SCHEMA workflow_api TO web_anon');
$frontend->serve($scene->node, 'postgres');
$scene->define('hook', qq({"start_on": [{"webhook": "hook"}], "steps": [{"step": "call", "http": {"server": "partner", "path": "/ok", $H}}]}));
my $token = $scene->sql("SELECT workflow.webhook_token('hook', 'hook')");
my $hooked = 'SELECT instance FROM workflow.instances WHERE process = $$hook$$ ORDER BY instance DESC LIMIT 1';
is($frontend->post("start/$token", '{}', { traceparent => $TRACEPARENT }), 204, 'a webhook with the header');
$instance = $scene->sql($hooked);
$scene->finish($instance);
is((sent($instance))[0][0], $GIVEN, '... belongs to its trace');
for my $wrong ('00-what', '', $TRACEPARENT =~ s/-01$//r, 'x' x 5000)
{
	is($frontend->post("start/$token", '{}', { traceparent => $wrong }), 204, 'one that is malformed');
	$instance = $scene->sql($hooked);
	is($scene->sql("SELECT traceparent IS NULL, trace_id <> '$GIVEN' FROM workflow.instances WHERE instance = $instance"), 't|t', '... counts for nothing');
}
is($scene->sql("BEGIN; SET LOCAL request.headers = '{\"traceparent\": \"$TRACEPARENT\"}'; SELECT workflow_api.take_trace(); SELECT workflow.start('ok') AS i \\gset\nCOMMIT; SELECT trace_id FROM workflow.instances WHERE instance = :i"),
	"\n$GIVEN", 'as db-pre-request it counts for whatever is called');

# ---- failed attempts in the log ----

my $offset = -s $scene->node->logfile;
$scene->run('flaky');
ok(!log_has($scene->node, qr/an attempt has failed/, $offset), 'nothing is logged unless that is asked for');
like($scene->error('SET ROLE pg_monitor; SET workflow.log_failed_attempts = warning'), qr/^42501/, 'by a superuser');
$scene->sql('ALTER SYSTEM SET workflow.log_failed_attempts = log; SELECT pg_reload_conf()');
# workers have seen it once a line is there
wait_until(sub { $scene->run('flaky'); log_has($scene->node, qr/an attempt has failed/, $offset) }, 'then each is');
sub lines { return grep { /an attempt has failed/ } split /\n/, slurp_file($scene->node->logfile, $_[0]) }
$offset = -s $scene->node->logfile;
($instance) = $scene->run('flaky');
my @lines = lines($offset);
is(scalar(@lines), 2, 'a line for each attempt that has failed');
my ($serial) = map { $_->{serial_number} } $scene->history($instance);
@attempts = sent($instance);
for my $n (1, 2)
{
	my ($trace, $span) = @{ $attempts[ $n - 1 ] };
	like($lines[ $n - 1 ], qr/LOG:  workflow: an attempt has failed: process="flaky" step="call" instance=$instance visit=$serial attempt=$n server="partner" code="503" status=503 ms=\d+ next="[-0-9:. +A-Z]+" trace_id=$trace span_id=$span$/,
		"attempt $n: whose, of what, why, how long, when again, and its trace");
}
unlike(slurp_file($scene->node->logfile, $offset), qr/^\s*(?:STATEMENT|CONTEXT)/m, 'and nothing else');

# secrets wherever a request can have one, and in answers
my $secret = 'hush-' . 'x' x 3;
$scene->server('secretive', $scene->url, undef);
$scene->sql("CREATE USER MAPPING FOR CURRENT_USER SERVER secretive OPTIONS (auth 'query', name 'key', value '$secret')");
$offset = -s $scene->node->logfile;
for my $case (
	[ 'answer', qq("path": "/say?status=500&body=$secret&header=X-Secret:$secret", $H) ],
	[ 'request', qq("path": "/status/503/\${\$.secret}", "query": {"secret": "\${\$.secret}"}, "headers": {) . Scene::HEADERS . qq(, "Authorization": "Bearer \${\$.secret}"}, "body": {"secret": "\${\$.secret}"}) ],
	[ 'refused', '"path": "/drop/${$.secret}"' ], [ 'json', qq("path": "/say?body=$secret&repeat=3") ], [ 'large', '"path": "/huge?bytes=20000000&secret=${$.secret}"' ])
{
	my ($name, $http) = @$case;
	$scene->define($name, qq({"steps": [{"step": "call", "http": {"server": "secretive", $http}}]}));
	(undef, $status) = $scene->run($name, { secret => $secret });
	is($status, 'failed', "$name fails");
}
$scene->define('statement', '{"steps": [{"step": "call", "sql": "SELECT (visit.data->>$$secret$$)::int"}]}');
($instance, $status) = $scene->run('statement', { secret => $secret });
is($status, 'failed', 'a statement fails, too');
like($scene->incident($instance)->{error}{message}, qr/\Q$secret\E/, '... with an error that tells it');
@lines = lines($offset);
is_deeply([ map { /process="(\w+)".* code="([^"]*)"/ ? "$1 $2" : $_ } @lines ], [ 'answer 500', 'request 503', 'refused connect', 'json reply', 'large reply', 'statement 22P02' ], 'each is logged');
is((grep { /server="secretive"/ } @lines), 5, '... with the server');
unlike(slurp_file($scene->node->logfile, $offset), qr/\Q$secret\E/, '... and no secret');
unlike(join("\n", @lines), qr/next=/, '... nor a next attempt, since there is none');

# work that was fetched fails in the session of whoever has fetched it
$scene->define('topic', '{"steps": [{"step": "do", "wait": {"topic": "t"}, "retry": {"max": 1, "delay": "1 h"}}]}');
$instance = $scene->start('topic', { secret => $secret });
my $fail = 'SELECT workflow.fail(serial_number, $$BROKEN$$, $$' . $secret . '$$, $${"said": "' . $secret . '"}$$, lock_token => lock_token) FROM workflow.fetch($$t$$)';
is($scene->sql($fail), 't', 'work that has failed');
my ($of_topic) = grep { /process="topic"/ } lines($offset);
like($of_topic, qr/LOG: .* step="do" instance=$instance visit=\d+_\d+ attempt=1 code="BROKEN" ms=\d+ trace_id=/, '... is logged like that');
unlike($of_topic, qr/\Q$secret\E/, '... without its message and data');

# names are in quotes
$scene->define("a \"b\"\nc", '{"steps": [{"step": "x=y", "sql": "SELECT 1/0"}]}');
$scene->run("a \"b\"\nc");
like((lines($offset))[-1], qr/process="a \\"b\\"\\nc" step="x=y" .* code="22012" ms=\d+ trace_id=/, 'odd names cannot be taken for something else');

$scene->node->stop;
done_testing();
