#
# What people do while requests are under way: cancel an instance, mend its data, retry and skip incidents.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Scene;
use Test::More;
use WorkflowTest;

my $scene = Scene->new('operators');
my $H = '"headers": {' . Scene::HEADERS . '}';
$scene->define('job', <<"EOD");
{ "steps": [ { "step": "job",
    "http": { "server": "partner", "url": "\${\$.url}", "timeout": "30 s", $H, "body": { "n": "\${\$.n}", "attempt": "\${\$attempt}" } },
    "save_reply": { "replied": true },
    "wait": { "callback": true, "when": "\$reply.status == 202" },
    "success": "\$.bad != true || \$reply == null", "save": { "response": "\${\$result.response}" },
    "retry": { "max": 20, "delay": "300 ms" }, "next": "done" },
  { "step": "done", "set": { "done": true } } ],
  "data": { "n": 1, "bad": false } }
EOD
$scene->define('once', <<"EOD");
{ "steps": [ { "step": "job",
    "http": { "server": "partner", "url": "\${\$.url}", $H, "body": { "n": "\${\$.n}", "attempt": "\${\$attempt}" } },
    "success": "\$result.response.ok == true", "save": { "response": "\${\$result.response}" }, "retry": { "max": 1 } },
  { "step": "done", "set": { "done": true } } ],
  "data": { "n": 1 } }
EOD

sub start
{
	my ($path, %data) = @_;
	return $scene->start('job', { url => $scene->url($path), %data });
}

sub body { return JSON::PP::decode_json($_[0]{body}) }

# ---- cancel ----

sub is_cancelled
{
	my ($name, $instance, $path, $requests) = @_;
	is($scene->sql("SELECT workflow.cancel($instance, 'no longer wanted')"), 't', "$name: cancelled");
	is($scene->finish($instance), 'aborted', "$name: aborted");
	is($scene->path($instance), $path, "$name: the path");
	is($scene->reason($instance)->{message}, 'no longer wanted', "$name: the reason is on record");
	is($scene->sql("SELECT count(*) FROM workflow.visits WHERE instance = $instance"), 0, "$name: nothing is left");
	is(scalar($scene->requests($instance)), $requests, "$name: requests");
	is($scene->sql("SELECT workflow.cancel($instance)"), 'f', "$name: once");
}

my $instance = start('/delay?s=0.6&status=202');
$scene->wait_for_requests(1, $instance);
my $serial = $scene->serial($instance);
is_cancelled('while it is called', $instance, 'job:CANCELLED', 1);
is($scene->sql("SELECT workflow.complete('$serial')"), 'f', 'a callback of a cancelled visit is late');
wait_until(sub { ($scene->partner->stats->{'answered 202'} // 0) >= 1 }, 'the reply comes all the same');
is_soon($scene->node, 'postgres', "SELECT in_flight FROM workflow.servers WHERE server = 'partner'", 0, 'and is read');
is($scene->data($instance)->{replied}, undef, 'but dropped');
is($scene->path($instance), 'job:CANCELLED', 'and moves nothing');

$instance = start('/flaky?fail=100');
$scene->wait_for_state($instance, 'retrying');
is($scene->sql("SELECT workflow.cancel($instance, 'enough')"), 't', 'during a pause: cancelled');
is($scene->finish($instance), 'aborted', 'during a pause: aborted');
my $sent = scalar($scene->requests($instance));
stays(0.5, sub { scalar($scene->requests($instance)) }, $sent, 'during a pause: nothing is sent any more');

my $waiting = start('/say?status=202');
$scene->wait_for_state($waiting, 'waiting');
is_cancelled('while it waits', $waiting, 'job:CANCELLED', 1);

my $incident = start('/status/404');
$scene->finish($incident);
is_cancelled('as an incident', $incident, 'job:CANCELLED', 1);
is($scene->sql("SELECT workflow.cancel(instance) FROM workflow.instances WHERE instance = $instance"), 'f', 'an instance that has ended');
like($scene->error('SELECT workflow.cancel(987654321)'), qr/^42704: /, 'one that never was');

# in a transaction that is rolled back
$instance = start('/say?status=202');
$scene->wait_for_state($instance, 'waiting');
$scene->sql("BEGIN; SELECT workflow.cancel($instance); ROLLBACK");
is($scene->sql("SELECT state FROM workflow.visits WHERE instance = $instance"), 'waiting', 'a cancel that was rolled back never happened');
$scene->sql("SELECT workflow.cancel($instance)");

# ---- set_data during a pause: the next attempt sends what was mended ----

$instance = start('/flaky?fail=2', n => 'wrong');
my ($first) = $scene->wait_for_requests(1, $instance);
is(body($first)->{n}, 'wrong', 'the first attempt');
$scene->wait_for_state($instance, 'retrying');
is($scene->sql("SELECT workflow.set_data($instance, '{\"n\": \"right\"}')"), 't', 'the data are mended during the pause');
is($scene->finish($instance), 'completed', 'it goes on');
my @requests = $scene->requests($instance);
is(body($requests[-1])->{n}, 'right', 'the next attempt sends the mended data');
is($requests[-1]{headers}{'idempotency-key'}, $first->{headers}{'idempotency-key'}, 'under the same key');

# also the URL
$instance = start('/status/503');
$scene->wait_for_state($instance, 'retrying');
$scene->sql("SELECT workflow.set_data($instance, jsonb_build_object('url', '" . $scene->url('/ok') . "'))");
is($scene->finish($instance), 'completed', 'mended data may lead elsewhere');

# while the request is under way: neither is lost
$instance = start('/delay?s=0.4');
$scene->wait_for_requests(1, $instance);
$scene->sql("SELECT workflow.set_data($instance, '{\"meanwhile\": true}')");
$scene->finish($instance);
is_deeply([ @{ $scene->data($instance) }{qw(meanwhile replied done)} ], [ (JSON::PP::true) x 3 ], 'set_data while the request is under way');
is($scene->sql("SELECT workflow.set_data($instance, '{\"x\": 1}')"), 'f', 'set_data after the end');

# ---- retry ----

sub once { return $scene->start('once', { url => $scene->url($_[0]) }) }

$instance = once('/flaky?fail=3');
is($scene->finish($instance), 'failed', 'an incident');
my $before = $scene->incident($instance);
is($before->{outcome}, 'SYSTEM_ERROR', 'of this outcome');
is($before->{error}{attempt}, 2, 'after two attempts');
is($scene->sql("SELECT count(*) FROM workflow.history WHERE instance = $instance"), 0, 'it is no history yet');
is($scene->sql("SELECT workflow.retry('$before->{serial_number}')"), 't', 'retry');
is($scene->finish($instance), 'completed', 'mends it');
@requests = $scene->requests($instance);
is(scalar @requests, 4, 'with all its attempts');
is_deeply([ map { body($_)->{attempt} } @requests ], [ 1, 2, 1, 2 ], 'counted anew');
is(scalar(keys %{ { map { $_->{headers}{'idempotency-key'} => 1 } @requests } }), 1, 'under the same key');
is($scene->history($instance, 'job')->{outcome}, 'SUCCESS', 'history knows the end');
is($scene->sql("SELECT status FROM workflow.instances WHERE instance = $instance"), 'completed', 'the instance is completed');
is($scene->sql("SELECT workflow.retry('$before->{serial_number}')"), 'f', 'a visit that has ended is not retried');

$instance = once('/status/404');
$scene->finish($instance);
$serial = $scene->serial($instance);
is($scene->sql("SELECT workflow.set_data($instance, jsonb_build_object('url', '" . $scene->url('/echo?x=1') . "'))"), 't', 'the data of an incident are mended');
is($scene->sql("SELECT status FROM workflow.instances WHERE instance = $instance"), 'failed', 'which alone does nothing');
$scene->sql("SELECT workflow.retry('$serial')");
is($scene->finish($instance), 'failed', 'a retry that ends badly again');
is($scene->incident($instance)->{outcome}, 'FAILED', 'in another way');
is($scene->incident($instance)->{serial_number}, $serial, 'is the same incident');

# ---- skip ----

is($scene->sql("SELECT workflow.skip('$serial', '{\"by\": \"hand\"}')"), 't', 'skip');
is($scene->finish($instance), 'completed', 'goes on');
is_deeply([ @{ $scene->data($instance) }{qw(response done)} ], [ { by => 'hand' }, JSON::PP::true ], 'with the data as response, whatever "success" says');
is($scene->history($instance, 'job')->{outcome}, 'SUCCESS', 'as a success');
is(scalar($scene->requests($instance)), 2, 'without another request');
is($scene->sql("SELECT workflow.skip('$serial')"), 'f', 'once');

$instance = start('/say?status=202');
$scene->wait_for_state($instance, 'waiting');
$serial = $scene->serial($instance);
like($scene->error("SELECT workflow.retry('$serial')"), qr/^55000: /, 'what is no incident is not retried');
like($scene->error("SELECT workflow.skip('$serial')"),  qr/^55000: /, 'nor skipped');
like($scene->error("SELECT workflow.retry('987654321_1')"), qr/^42704: /, 'nor what never was');
like($scene->error("SELECT workflow.skip('nonsense')"), qr/^22P02: /, 'nor nonsense');

# ---- rights ----

$scene->sql(q[CREATE ROLE worker LOGIN; CREATE ROLE boss LOGIN; GRANT USAGE ON SCHEMA workflow TO worker, boss;
	SELECT workflow.grant_process('job', 'worker', 'complete'), workflow.grant_process('job', 'boss', 'admin')]);
$incident = start('/status/404');
$scene->finish($incident);
my $broken = $scene->serial($incident);
like($scene->error("SET ROLE worker; SELECT workflow.$_"), qr/^42501: /, "a worker may not $_")
  for "retry('$broken')", "skip('$broken')", "cancel($incident)", "set_data($incident, '{}')";
is($scene->sql("SET ROLE worker; SELECT workflow.complete('$serial')"), 't', 'but complete');
is($scene->sql("SET ROLE boss; SELECT workflow.skip('$broken')"), 't', 'an admin may skip');
is($scene->finish($incident), 'completed', 'and it goes on');

# ---- all incidents of an outage at once ----

my @many = split /\n/, $scene->sql("SELECT workflow.start('once', jsonb_build_object('url', '" . $scene->url('/flaky?fail=2') . "')) FROM generate_series(1, 50)");
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.incidents WHERE process = 'once'", 50, 'fifty incidents');
is($scene->sql("SELECT count(*) FROM workflow.incidents WHERE process = 'once' AND workflow.skip(serial_number, '{\"ok\": true}')"), 50, 'skipped in one statement');
is($scene->sql("SELECT count(*) FROM workflow.instances WHERE instance >= $many[0] AND status = 'completed'"), 50, 'go on in that transaction');

$scene->node->stop;
done_testing();
