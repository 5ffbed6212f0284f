#
# The SQL interface beside requests: suspending with one in flight and during a pause, moving away from one, mending in bulk,
# heartbeats that keep a visit alive, and URLs that finish it.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $scene = Scene->new('interface', conf => "workflow.callback_base = 'http://127.0.0.1:1/hooks'\n");
my $H = '"headers": {' . Scene::HEADERS . '}';
sub sql { return $scene->sql(@_) }

# ---- suspended with a request in flight: the reply is kept, the callback too, and handled in that order ----

$scene->define('slow', qq[{"steps": [
	{"step": "call", "http": {"server": "partner", "path": "/delay?s=0.7", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
	 "save_reply": {"status": "\${\$reply.status}"}, "save": {"order": "\${\$.status}", "response": "\${\$result.response}"}},
	{"step": "next", "wait": true}]}]);
my $instance = $scene->start('slow');
$scene->wait_for_requests(1, $instance);
my $sn = $scene->serial($instance);
is(sql("SELECT workflow.suspend($instance)"), 't', 'suspended with a request in flight');
is(sql("SELECT workflow.complete('$sn', '{\"early\": true}')"), 't', 'a callback is accepted');
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance AND queue = 'held'", 1, 'the reply is kept');
stays(0.3, sub { $scene->visit($instance)->{step} }, 'call', 'nothing moves');
is(sql("SELECT data FROM workflow.instances WHERE instance = $instance"), '{}', 'nothing is saved');
is(sql("SELECT workflow.resume($instance)"), 't', 'resumed');
is_soon($scene->node, 'postgres', "SELECT step FROM workflow.waiting WHERE instance = $instance", 'next', 'it goes on');
is_deeply($scene->data($instance), { status => 200, order => 200, response => { early => JSON::PP::true } }, 'reply first, then callback');
is(scalar($scene->requests($instance)), 1, 'the request went out once');
is(sql("SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance"), 0, 'nothing is left over');

# without a callback, and cancelled instead of resumed
$instance = $scene->start('slow');
$scene->wait_for_requests(1, $instance);
sql("SELECT workflow.suspend($instance)");
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance AND queue = 'held'", 1, 'another reply is kept');
is(sql("SELECT workflow.cancel($instance)"), 't', 'a suspended instance can be cancelled');
is($scene->finish($instance), 'aborted', 'and ends');
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance", 0, 'what was kept for it goes too');

# across a crash
$instance = $scene->start('slow');
$scene->wait_for_requests(1, $instance);
sql("SELECT workflow.suspend($instance)");
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance AND queue = 'held'", 1, 'a third reply is kept');
sql('CHECKPOINT');    # replies are committed asynchronously
crash($scene->node);
start_again($scene->node);
wait_for_workers($scene->node, 'postgres');
stays(0.3, sub { $scene->visit($instance)->{state} }, 'calling', 'still suspended after a crash');
sql("SELECT workflow.resume($instance)");
is($scene->wait_for_state($instance, 'waiting')->{step}, 'call', 'resumed after it');
is_deeply($scene->data($instance), { status => 200 }, 'with its reply');
is(scalar($scene->requests($instance)), 1, 'and no second request');

# ---- suspended during a pause between attempts ----

$scene->define('pause', qq[{"steps": [
	{"step": "call", "http": {"server": "partner", "path": "/flaky?fail=1", $H}, "retry": {"max": 3, "delay": "200 ms"}}]}]);
$instance = $scene->start('pause');
$scene->wait_for_state($instance, 'retrying');
sql("SELECT workflow.suspend($instance)");
stays(0.5, sub { scalar($scene->requests($instance)) }, 1, 'no attempt while it is suspended');
my $resumed = time();
sql("SELECT workflow.resume($instance)");
is($scene->finish($instance), 'completed', 'resumed: the next attempt');
is_between(($scene->requests($instance))[1]{time} - $resumed, 0, 0.25, 'which is due at once');

# ---- a suspended process ----

$scene->define('calls', qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/status/200", $H}}]}]);
is(sql("SELECT workflow.suspend_process('calls')"), 0, 'a process is suspended');
my @instances = map { $scene->start('calls') } 1 .. 3;
stays(0.3, sub { scalar(map { $scene->requests($_) } @instances) }, 0, 'what is started now sends nothing');
is(sql("SELECT workflow.resume_process('calls')"), 3, 'resumed');
is($scene->finish($_), 'completed', "instance $_ goes on") for @instances;

# ---- moved away from a request that was answered with 202: the service is told ----

$scene->define('moved', qq[{"steps": [
	{"step": "call", "http": {"server": "partner", "path": "/accept?callback=none", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
	 "cancel": {"path": "/cancelled/\${\$reply.body.id}", "method": "DELETE", "timeout": "200 ms", $H},
	 "catch": [{"on": "*", "next": "sorry"}], "choose": [{"when": "\$.other == true", "next": "other"}, {"next": "end"}]},
	{"step": "other", "wait": true, "next": "end"},
	{"step": "sorry", "set": {"sorry": true}, "next": "end"},
	{"step": "end", "end": true}]}]);
$instance = $scene->start('moved');
$scene->wait_for_state($instance, 'waiting');
my $new = sql("SELECT workflow.move($instance, 'call', 'other')");
is(sql("SELECT step FROM workflow.waiting WHERE serial_number = '$new'"), 'other', 'the token is elsewhere at once');
is(($scene->wait_for_requests(2, $instance))[1]{method}, 'DELETE', 'and the service is asked to stop');
is_soon($scene->node, 'postgres', "SELECT outcome FROM workflow.history WHERE instance = $instance AND step = 'call'", 'CANCELLED', 'the old visit ends');
is(sql("SELECT count(*) FROM workflow.visits WHERE instance = $instance"), 1, 'and goes nowhere');
is(sql("SELECT workflow.complete('$new')"), 't', 'the new one is completed');
is($scene->finish($instance), 'completed', 'the instance too');
is($scene->path($instance), 'call:CANCELLED other:SUCCESS end:SUCCESS', 'without the handler');

# the same, completed before the service has confirmed: the instance waits for that
$instance = $scene->start('moved');
$scene->wait_for_state($instance, 'waiting');
sql("SELECT workflow.complete(workflow.move($instance, 'call', 'other'))");
is($scene->finish($instance), 'completed', 'an instance whose last visit is being cancelled for a move completes');

# ---- in bulk ----

$scene->define('found', qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/status/\${\$.status}", $H}}]}]);
my @missing = map { $scene->start('found', { status => 404 }) } 1 .. 20;
my @gone = map { $scene->start('found', { status => 410 }) } 1 .. 5;
is($scene->finish($_), 'failed', "instance $_ has an incident") for $missing[-1], $gone[-1];
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.incidents WHERE process = 'found'", 25, 'incidents');
is(sql("SELECT count(*) FILTER (WHERE workflow.set_data(instance, '{\"status\": 200}')) FROM workflow.incidents WHERE error->>'http_status' = '404'"), 20, 'mended in bulk');
is(sql("SELECT count(*) FILTER (WHERE workflow.retry(serial_number)) FROM workflow.incidents WHERE error->>'http_status' = '404'"), 20, 'and retried');
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'found' AND status = 'completed'", 20, 'all of them');
is(sql("SELECT count(*) FROM workflow.incidents WHERE process = 'found'"), 5, 'no others');
is(sql("SELECT count(*) FROM workflow.complete_many((SELECT json_agg(json_build_object('serial_number', serial_number)) FROM workflow.incidents WHERE process = 'found')) WHERE accepted"),
	5, 'completed by hand');
is($scene->finish($_), 'completed', "instance $_ is done") for $gone[0], $gone[-1];
is($scene->history($gone[0], 'call')->{attempts}, 1, 'with its attempts on record');

# ---- heartbeats ----

$scene->define('beats', qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/accept?callback=none", $H, "body": {"sn": "\${\$serial_number}"}},
	"wait": true, "heartbeat": "500 ms"}]}]);
$instance = $scene->start('beats');
$scene->wait_for_state($instance, 'waiting');
$sn = $scene->serial($instance);
my $last;
my $alive = 1;
for my $percent (1 .. 10)
{
	sleep 0.15;
	$last = time();
	$alive &&= sql("SELECT workflow.heartbeat('$sn', '{\"percent\": $percent}')") eq 't';
}
ok($alive, 'heartbeats keep it alive');
is(sql("SELECT progress FROM workflow.waiting WHERE serial_number = '$sn'"), '{"percent": 10}', 'and show how far it is');
is($scene->finish($instance), 'failed', 'silence ends it');
is_between(time() - $last, 0.499, 1.2, 'in time');
is($scene->incident($instance)->{outcome}, 'DIED', 'as DIED');
like(sql("SELECT workflow.timeline($instance)"), qr/call \($sn\): stands as an incident for .*: DIED/, 'which the story tells');

# ---- URLs ----

$scene->define('hooked', qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/accept?callback=none", $H,
	"body": {"sn": "\${\$serial_number}", "callback": "\${\$callback_url}", "heartbeat": "\${\$heartbeat_url}"}}, "wait": true, "save": true}]}]);
$instance = $scene->start('hooked');
my ($request) = $scene->wait_for_requests(1, $instance);
my $body = JSON::PP::decode_json($request->{body});
my ($token) = $body->{callback} =~ m{^http://127\.0\.0\.1:1/hooks/callback/(\d+_\d+\.[\w-]{43})$};
my ($beat) = $body->{heartbeat} =~ m{^http://127\.0\.0\.1:1/hooks/heartbeat/(\d+_\d+\.[\w-]{43})$};
ok($token && $beat, 'the request brings both URLs');
sql('CREATE ROLE anybody; GRANT USAGE ON SCHEMA workflow TO anybody');
is(sql("SET ROLE anybody; SELECT workflow.callback_heartbeat('$beat', '1')"), 't', 'whoever has the one can say that it lives');
like($scene->error("SET ROLE anybody; SELECT workflow.callback('$beat')"), qr/^28000/, 'but not finish it');
is(sql("SET ROLE anybody; SELECT workflow.callback('$token', '{\"by\": \"url\"}')"), 't', 'whoever has the other can');
is($scene->finish($instance), 'completed', 'it is');
is($scene->data($instance)->{by}, 'url', 'with its data');
is(sql("SET ROLE anybody; SELECT workflow.callback('$token', '{}')"), 'f', 'once');

# tokens are good after a restore, and for nobody who was not given them
my $dump = $scene->node->basedir . '/dump';
$instance = $scene->start('hooked');
($request) = $scene->wait_for_requests(1, $instance);
($token) = JSON::PP::decode_json($request->{body})->{callback} =~ m{([^/]+)$};
$scene->wait_for_state($instance, 'waiting');
$scene->node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $scene->node->connstr('postgres') ], 'dumped');
sql('CREATE DATABASE copy');
$scene->node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $scene->node->connstr('copy'), $dump ], 'restored');
is($scene->node->safe_psql('copy', "SELECT workflow.callback('$token')"), 't', 'a token that was given away before is good in the restored database');
sql('CREATE DATABASE other');
$scene->node->safe_psql('other', q[CREATE EXTENSION workflow; SELECT workflow.define('hooked', '{"steps": [{"step": "call", "wait": true}]}')]);
my ($status, undef, $stderr) = $scene->node->psql('other', "\\set VERBOSITY sqlstate\nSELECT workflow.callback('$token')");
like($stderr, qr/28000/, 'and in no other one');

$scene->node->stop;
done_testing();
