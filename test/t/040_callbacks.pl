#
# Callbacks at every moment: before the reply, with a reply that fails, during a pause, before the request was sent, twenty
# at once, too late. A visit ends once, and what was told true is its end.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run;
use JSON::PP ();
use Scene;
use Test::More;
use WorkflowTest;

my $scene = Scene->new('callbacks');
my $H = '"headers": {' . Scene::HEADERS . '}';
$scene->define($_ eq '1 hour' ? 'job' : 'impatient', <<"EOD") for '1 hour', '10 ms';
{ "steps": [ { "step": "job",
    "http": { "server": "partner", "url": "\${\$.url}", "timeout": "\${\$.timeout}", $H, "body": { "sn": "\${\$serial_number}" } },
    "save_reply": { "order": "\${\$.order} reply", "id": "\${\$reply.body.id ?? null}" },
    "wait": true,
    "save": { "order": "\${\$.order} callback", "response": "\${\$result.response}", "initial": "\${\$result.initial_response}" },
    "retry": { "max": 5, "delay": "$_" },
    "catch": [ { "on": "REJECTED", "next": "rejected" } ], "next": "done" },
  { "step": "done", "end": true },
  { "step": "rejected", "set": { "rejected": "\${\$caught.error}" }, "end": true } ],
  "data": { "order": "", "timeout": "10 s" } }
EOD

sub call
{
	my ($serial, $data) = @_;
	return $scene->sql("SELECT workflow.complete('$serial', '$data')");
}

sub start
{
	my ($path, %data) = @_;
	return $scene->start('job', { url => $scene->url($path), %data });
}

sub is_ended
{
	my ($name, $instance, $path, $requests) = @_;
	is($scene->finish($instance), 'completed', "$name: ends");
	is($scene->path($instance), $path, "$name: the path");
	is(scalar($scene->requests($instance)), $requests, "$name: requests");
	is($scene->sql("SELECT count(*) FROM workflow.visits WHERE instance = $instance"), 0, "$name: nothing is left");
}

my $good = 'job:SUCCESS done:SUCCESS';

# ---- before the reply ----

my $instance = start('/callback-first');
is_ended('a callback before the reply', $instance, $good, 1);
is_deeply([ map { $_->{answer} } $scene->partner->callbacks ], ['t'], 'it was accepted');
my $data = $scene->data($instance);
is($data->{order}, ' reply callback', 'the reply is handled first');
like($data->{id}, qr/^c-/, 'and saved');
is($data->{response}{status}, 'SUCCESS', 'then the callback');
is($data->{initial}{accepted}, JSON::PP::true, 'which knows of the reply');

# what the reply lacks is an error, whichever of the two comes first
$scene->define('lacking', qq[{"steps": [{"step": "job", "http": {"server": "partner", "url": "\${\$.url}", $H, "body": {"sn": "\${\$serial_number}"}},
	"save_reply": {"id": "\${\$reply.body.nothing}"}, "wait": true}]}]);
for my $path ('/callback-first', '/accept?after=3') # long enough to look at the incident
{
	my ($lacking, $status) = $scene->run('lacking', { url => $scene->url($path) });
	is($status, 'failed', "$path: a reply that lacks what is to be saved");
	is($scene->incident($lacking)->{error}{code}, 'template', 'is an error');
	is($scene->incident($lacking)->{result}{callback_response}{status}, $path =~ /first/ ? 'SUCCESS' : undef, 'a callback that came before is kept');
}

# while the request is under way; it shows as accepted, once
$instance = start('/delay?s=0.7&status=202');
my ($request) = $scene->wait_for_requests(1, $instance);
my $serial = $scene->serial($instance);
is(call($serial, '1'), 't', 'a callback while the request is under way');
is(call($serial, '2'), 'f', 'a second one is late');
is($scene->sql("SELECT state FROM workflow.visits WHERE instance = $instance"), 'calling', 'the reply is waited for');
is_ended('a callback while the request is under way', $instance, $good, 1);
is($scene->data($instance)->{response}, 1, 'the first one counts');
is($scene->data($instance)->{order}, ' reply callback', 'and the reply came first');
is($scene->sql("SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = '$serial' AND data = '2'"), 1, 'the second one is on record');

# a reply that fails cannot override it, nor is the request sent again
for (
	[ 'a 503', '/delay?s=0.4&status=503' ],
	[ 'a 404', '/delay?s=0.4&status=404' ],
	[ 'a timeout', '/hang', timeout => '0.4 s' ])
{
	my ($name, $path, %more) = @$_;
	$instance = $scene->start('impatient', { url => $scene->url($path), %more });
	$scene->wait_for_requests(1, $instance);
	is(call($scene->serial($instance), '"early"'), 't', "$name after a callback");
	is_ended("$name after a callback", $instance, $good, 1);
	is($scene->data($instance)->{response}, 'early', "$name after a callback: the callback is the end");
}

# ---- during a pause ----

$instance = start('/flaky?fail=5');
$scene->wait_for_state($instance, 'retrying');
is(call($scene->serial($instance), '"in between"'), 't', 'a callback during a pause');
is_ended('a callback during a pause', $instance, $good, 1);
is($scene->data($instance)->{response}, 'in between', 'is the end');

# ---- before the request could be sent ----

$scene->server('busy', $scene->url, "max_in_flight '1'");
$scene->define('busy', qq({"steps": [{"step": "job", "http": {"server": "busy", "path": "/hang", "timeout": "60 s", $H}, "wait": true}]}));
my $first = $scene->start('busy');
$scene->wait_for_requests(1, $first);
my $second = $scene->start('busy');
is(call($scene->serial($second), 'null'), 't', 'a callback for a request that waits for its turn');
is($scene->finish($second), 'completed', 'is the end');
is(scalar($scene->requests($second)), 0, 'without a request');
$scene->sql("SELECT workflow.cancel($first)");

# ---- fail ----

$instance = start('/accept?fail=REJECTED');
is_ended('fail() with a code', $instance, 'job:FAILED rejected:SUCCESS', 1);
my $error = $scene->data($instance)->{rejected};
is_deeply([ @$error{qw(code message)} ], [ 'REJECTED', 'the partner says no' ], 'the handler sees code and message');
$instance = start('/callback-first?fail=REJECTED');
is_ended('fail() before the reply', $instance, 'job:FAILED rejected:SUCCESS', 1);
$instance = start('/accept?callback=none');
$scene->wait_for_state($instance, 'waiting');
$serial = $scene->serial($instance);
is($scene->sql("SELECT workflow.fail('$serial', 'BROKEN', 'it broke', '{\"why\": 1}')"), 't', 'fail() that nobody catches');
is($scene->finish($instance), 'failed', 'makes an incident');
is_deeply(
	$scene->incident($instance)->{error},
	{ code => 'BROKEN', message => 'it broke', http_status => undef, sqlstate => undef, attempt => 1 },
	'with its error');
is(call($serial, '"mended"'), 't', 'which somebody completes by hand');
is_ended('an incident that was completed', $instance, $good, 1);

# ---- twenty at once ----

sub at_once
{
	my ($serial, $n) = @_;
	my @answers = ('') x $n;
	my @psql = ('psql', '-XAtq', '-d', $scene->node->connstr('postgres'), '-c');
	my @running = map {
		my $i = $_;
		IPC::Run::start([ @psql, "SELECT workflow.complete('$serial', '{\"i\": $i}')" ], '>', \$answers[$i], '2>', \my $errors)
	} 0 .. $n - 1;
	$_->finish for @running;
	chomp @answers;
	return @answers;
}

$instance = start('/accept?callback=none');
$scene->wait_for_state($instance, 'waiting');
my $serial_of_many = $scene->serial($instance);
my @answers = at_once($serial_of_many, 20);
is(scalar(grep { $_ eq 't' } @answers), 1, 'of twenty callbacks at once one is true');
is(scalar(grep { $_ eq 'f' } @answers), 19, 'and nineteen are false');
is_ended('twenty callbacks', $instance, $good, 1);
my ($winner) = grep { $answers[$_] eq 't' } 0 .. 19;
is_deeply($scene->data($instance)->{response}, { i => $winner }, 'the one that was true is the response');
is($scene->sql("SELECT count(*), count(DISTINCT data) FROM workflow.late_callbacks WHERE serial_number = '$serial_of_many' AND data <> '{\"i\": $winner}'"),
	'19|19', 'the others are on record');

$instance = start('/delay?s=1&status=202');
$scene->wait_for_requests(1, $instance);
@answers = at_once($scene->serial($instance), 10);
is(scalar(grep { $_ eq 't' } @answers), 1, 'of ten callbacks during the request one is true');
is_ended('ten callbacks during the request', $instance, $good, 1);

# the partner itself calls twice
$instance = start('/accept?times=3');
is_ended('a partner that calls three times', $instance, $good, 1);
$serial = $scene->history($instance, 'job')->{serial_number};
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = '$serial'", 2, 'twice too often');
is_deeply([ map { $_->{answer} } grep { $_->{callback} eq $serial } $scene->partner->callbacks ], [qw(t f f)], 'and is told so');

# ---- late ones ----

is(call($serial, '{"late": true}'), 'f', 'a callback after the end');
is($scene->sql("SELECT workflow.fail('$serial', 'TOO_LATE', 'sorry')"), 'f', 'a failure after the end');
is($scene->sql("SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = '$serial' AND (data = '{\"late\": true}' OR data @> '{\"code\": \"TOO_LATE\"}')"),
	2, 'are both on record');
is($scene->path($instance), $good, 'and move nothing');

# ---- a callback is part of its transaction ----

$instance = start('/accept?callback=none');
$scene->wait_for_state($instance, 'waiting');
$serial = $scene->serial($instance);
is($scene->sql("BEGIN; SELECT workflow.complete('$serial', '1'); ROLLBACK"), 't', 'a callback that is rolled back');
is($scene->sql("SELECT state FROM workflow.visits WHERE instance = $instance"), 'waiting', 'never happened');
is(call($serial, '2'), 't', 'and can be made again');
is_ended('after a rollback', $instance, $good, 1);

# ---- a callback while its caller's transaction goes on, and the reply comes meanwhile ----

$instance = start('/delay?s=0.5&status=202');
$scene->wait_for_requests(1, $instance);
$serial = $scene->serial($instance);
my $answered = $scene->partner->stats->{'answered 202'} // 0;
my $session = $scene->node->background_psql('postgres');
is($session->query("BEGIN; SELECT workflow.complete('$serial', '\"slow caller\"')"), 't', 'a caller that takes its time');
wait_until(sub { $scene->partner->stats->{'answered 202'} > $answered }, 'the reply comes meanwhile');
is($scene->sql("SELECT state FROM workflow.visits WHERE instance = $instance"), 'calling', 'and waits');
$session->query('COMMIT');
$session->quit;
is_ended('a slow caller', $instance, $good, 1);
is($scene->data($instance)->{order}, ' reply callback', 'a slow caller: the reply is not lost');

$instance = start('/delay?s=0.5&status=202');
$scene->wait_for_requests(1, $instance);
$serial = $scene->serial($instance);
$answered = $scene->partner->stats->{'answered 202'};
$session = $scene->node->background_psql('postgres');
$session->query("BEGIN; SELECT workflow.complete('$serial', '1')");
wait_until(sub { $scene->partner->stats->{'answered 202'} > $answered }, 'the reply comes while a caller has not committed');
$session->query('ROLLBACK');
$session->quit;
$scene->wait_for_state($instance, 'waiting');
is($scene->data($instance)->{order}, ' reply', 'who then rolls back: the reply is there');
is(call($serial, '2'), 't', 'and a callback is waited for');
is_ended('a caller that rolled back', $instance, $good, 1);

$scene->node->stop;
done_testing();
