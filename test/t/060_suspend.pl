#
# Suspended instances and processes: nothing is sent, nothing moves, nothing is lost; and what happens when they go on.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $scene = Scene->new('suspend');
my $H = '"headers": {' . Scene::HEADERS . '}';
my $late = 20; # on a busy machine

sub suspend { is($scene->sql("SELECT workflow.suspend($_[0])"), 't', "$_[1]: suspended") }

# The time just before: nothing that is counted from then on can come too early, however busy the machine is.
sub resume
{
	my ($instance, $name) = @_;
	my $time = $scene->sql('SELECT extract(epoch FROM clock_timestamp())');
	is($scene->sql("SELECT workflow.resume($instance)"), 't', "$name: resumed");
	return $time;
}

# ---- clocks ----

my %clock = (
	'after'     => '{"steps": [{"step": "work", "wait": {"after": "1.2 s"}}]}',
	'until'     => '{"steps": [{"step": "work", "wait": {"until": "${$.at}"}}]}',
	'timeout'   => '{"steps": [{"step": "work", "wait": true, "timeout": "1.2 s", "catch": [{"on": "TIMED_OUT", "next": "end"}]}, {"step": "end", "end": true}]}',
	'pause'     => qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "/flaky?fail=1", $H}, "retry": {"max": 1, "delay": "1.2 s"}}]}],
	'handler'   => '{"steps": [{"step": "work", "wait": true, "catch": [{"after": "1.2 s", "next": "end"}]}, {"step": "end", "end": true}]}',
	'heartbeat' => '{"steps": [{"step": "work", "wait": true, "heartbeat": "1.2 s", "catch": [{"on": "DIED", "next": "end"}]}, {"step": "end", "end": true}]}');
my (%instance, %unmoved);
$scene->define($_, $clock{$_}) for keys %clock;
for my $name (sort keys %clock)
{
	my $data = { at => $scene->sql(q[SELECT now() + interval '1.2 s']) };
	($instance{$name}, $unmoved{$name}) = map { $scene->start($name, $data) } 1, 2;
	$scene->wait_for_state($instance{$name}, $name eq 'pause' ? 'retrying' : 'waiting');
	suspend($instance{$name}, $name);
}
is($scene->sql("SELECT workflow.suspend($instance{after})"), 'f', 'it is suspended already');
is($scene->finish($_), 'completed', 'others go on') for values %unmoved;
sleep 1.3;
is($scene->sql("SELECT status FROM workflow.instances WHERE instance = $instance{$_}"), 'suspended', "$_: nothing moves") for sort keys %clock;
is(scalar($scene->requests($instance{pause})), 1, 'pause: nothing is sent');
for my $name (sort keys %clock)
{
	my $time = resume($instance{$name}, $name);
	is($scene->finish($instance{$name}), 'completed', "$name: goes on");
	my $work = $scene->history($instance{$name}, 'work');
	if ($name eq 'heartbeat')
	{
		is_between($work->{ended} - $time, 1.2 - 0.02, 1.2 + $late, "$name: silence is counted from then on");
	}
	else
	{
		is_between($work->{ended} - $time, -0.02, $late, "$name: what fell due happens at once");
	}
	is_between($work->{ended} - $work->{began}, 1.3, 60, "$name: later than it was due");
}
is(scalar($scene->requests($instance{pause})), 2, 'pause: the next attempt');
is($scene->history($instance{timeout}, 'work')->{outcome}, 'TIMED_OUT', 'timeout: the outcome');
is($scene->history($instance{heartbeat}, 'work')->{outcome}, 'DIED', 'heartbeat: the outcome');
is($scene->sql("SELECT workflow.resume($instance{after})"), 'f', 'what has ended cannot be resumed');

# what was not due goes on as before
$scene->define('two seconds', '{"steps": [{"step": "work", "wait": {"after": "1.5 s"}}]}');
my $instance = $scene->start('two seconds');
suspend($instance, 'for a moment');
sleep 0.3;
resume($instance, 'for a moment');
is($scene->sql("SELECT workflow.resume($instance)"), 'f', 'it is not suspended any more');
is($scene->finish($instance), 'completed', 'for a moment: goes on');
my $work = $scene->history($instance, 'work');
is_between($work->{ended} - $work->{began}, 1.5 - 0.001, 1.5 + $late, 'for a moment: on time');

# alive during a suspension: silence begins anew with the end of it
$instance = $scene->start('heartbeat');
$scene->wait_for_state($instance, 'waiting');
suspend($instance, 'alive');
is($scene->sql("SELECT workflow.heartbeat(serial_number, '1') FROM workflow.visits WHERE instance = $instance"), 't', 'alive: a heartbeat is heard');
sleep 1.4;
is($scene->sql("SELECT state FROM workflow.visits WHERE instance = $instance"), 'waiting', 'alive: it does not die');
is($scene->sql("SELECT progress FROM workflow.waiting WHERE instance = $instance"), 1, 'alive: its progress is shown');
$scene->sql("SELECT workflow.cancel($instance)");
is($scene->finish($instance), 'aborted', 'a suspended instance can be cancelled');

# ---- requests ----

$scene->define('two calls', qq[{"steps": [{"step": "first", "http": {"server": "partner", "path": "/held", $H}, "save_reply": {"first": "\${\$reply.status}"}},
	{"step": "second", "http": {"server": "partner", "path": "/ok", $H}, "save_reply": {"second": "\${\$reply.status}"}}]}]);
for my $restart (0, 1)
{
	my $name = $restart ? 'in flight, with a restart' : 'in flight';
	my $instance = $scene->start('two calls');
	$scene->wait_for_requests(1, $instance);
	suspend($instance, $name);
	$scene->let_go($instance);
	is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance", 1, "$name: the reply is kept");
	is_deeply($scene->data($instance), {}, "$name: and not yet handled");
	is($scene->sql("SELECT workflow.set_data($instance, '{\"mended\": true}')"), 't', "$name: data can be mended meanwhile");
	$scene->node->restart if $restart;
	my $time = resume($instance, $name);
	is($scene->finish($instance), 'completed', "$name: goes on");
	my @requests = $scene->requests($instance);
	is(join(' ', map { $_->{path} } @requests), '/held /ok', "$name: each request is sent once");
	cmp_ok($requests[1]{time}, '>', $time - 0.02, "$name: the second one after the suspension");
	is_deeply($scene->data($instance), { first => 200, second => 200, mended => JSON::PP::true }, "$name: nothing is lost");
}

# a reply that is an error begins its pause when it is handled
$scene->define('error', qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "/held?status=503", $H}, "retry": {"max": 1, "delay": "0.3 s"}}]}]);
$instance = $scene->start('error');
$scene->wait_for_requests(1, $instance);
suspend($instance, 'an error');
$scene->let_go($instance);
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance", 1, 'an error: the reply is kept');
my $time = resume($instance, 'an error');
my @requests = $scene->wait_for_requests(2, $instance);
$scene->let_go($instance);
is_between($requests[1]{time} - $time, 0.3 - 0.02, 0.3 + $late, 'an error: then comes the pause');
is($scene->finish($instance), 'failed', 'an error: fails in the end');

# what was due and could not be sent yet
$scene->server('narrow', $scene->url, "max_in_flight '1', timeout '20 s'");
$scene->define('narrow', qq[{"steps": [{"step": "work", "http": {"server": "narrow", "path": "/\${\$.path}", "query": {"s": "2"}, $H}}]}]);
my $first = $scene->start('narrow', { path => 'delay' });
$scene->wait_for_requests(1, $first);
my $second = $scene->start('narrow', { path => 'ok' });
suspend($second, 'not sent yet');
my $third = $scene->start('narrow', { path => 'ok' });
is($scene->finish($third), 'completed', 'others are sent');
is(scalar($scene->requests($second)), 0, 'not sent yet: it is not');
resume($second, 'not sent yet');
is($scene->finish($second), 'completed', 'not sent yet: goes out then');

# ---- suspended with a request in flight: the reply is kept, the callback too, and handled in that order ----

$scene->define('slow', qq[{"steps": [
	{"step": "call", "http": {"server": "partner", "path": "/held", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
	 "save_reply": {"status": "\${\$reply.status}"}, "save": {"order": "\${\$.status}", "response": "\${\$result.response}"}},
	{"step": "next", "wait": true}]}]);
$instance = $scene->start('slow');
$scene->wait_for_requests(1, $instance);
my $sn = $scene->serial($instance);
is($scene->sql("SELECT workflow.suspend($instance)"), 't', 'suspended with a request in flight');
is($scene->sql("SELECT workflow.complete('$sn', '{\"early\": true}')"), 't', 'a callback is accepted');
$scene->let_go($instance);
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance AND queue = 'suspended'", 1, 'the reply is kept');
stays(0.3, sub { $scene->visit($instance)->{step} }, 'call', 'nothing moves');
is($scene->sql("SELECT data FROM workflow.instances WHERE instance = $instance"), '{}', 'nothing is saved');
is($scene->sql("SELECT workflow.resume($instance)"), 't', 'resumed');
is_soon($scene->node, 'postgres', "SELECT step FROM workflow.waiting WHERE instance = $instance", 'next', 'it goes on');
is_deeply($scene->data($instance), { status => 200, order => 200, response => { early => JSON::PP::true } }, 'reply first, then callback');
is(scalar($scene->requests($instance)), 1, 'the request went out once');
is($scene->sql("SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance"), 0, 'nothing is left over');

# without a callback, and cancelled instead of resumed
$instance = $scene->start('slow');
$scene->wait_for_requests(1, $instance);
$scene->sql("SELECT workflow.suspend($instance)");
$scene->let_go($instance);
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance AND queue = 'suspended'", 1, 'another reply is kept');
is($scene->sql("SELECT workflow.cancel($instance)"), 't', 'a suspended instance can be cancelled');
is($scene->finish($instance), 'aborted', 'and ends');
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance", 0, 'what was kept for it goes too');

# across a crash
$instance = $scene->start('slow');
$scene->wait_for_requests(1, $instance);
$scene->sql("SELECT workflow.suspend($instance)");
$scene->let_go($instance);
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance AND queue = 'suspended'", 1, 'a third reply is kept');
$scene->sql('CHECKPOINT');    # replies are committed asynchronously
crash($scene->node);
start_again($scene->node);
wait_for_workers($scene->node, 'postgres');
stays(0.3, sub { $scene->visit($instance)->{state} }, 'calling', 'still suspended after a crash');
$scene->sql("SELECT workflow.resume($instance)");
is($scene->wait_for_state($instance, 'waiting')->{step}, 'call', 'resumed after it');
is_deeply($scene->data($instance), { status => 200 }, 'with its reply');
is(scalar($scene->requests($instance)), 1, 'and no second request');

# ---- suspended during a pause between attempts ----

$scene->define('short pause', qq[{"steps": [
	{"step": "call", "http": {"server": "partner", "path": "/flaky?fail=1", $H}, "retry": {"max": 3, "delay": "2 s"}}]}]);
$instance = $scene->start('short pause');
$scene->wait_for_state($instance, 'retrying');
$scene->sql("SELECT workflow.suspend($instance)");
stays(2.3, sub { scalar($scene->requests($instance)) }, 1, 'no attempt while it is suspended');
my $resumed = time();
$scene->sql("SELECT workflow.resume($instance)");
is($scene->finish($instance), 'completed', 'resumed: the next attempt');
is_between(($scene->requests($instance))[1]{time} - $resumed, 0, $late, 'which is due at once');

# ---- SQL ----

$scene->sql('CREATE TABLE effect (instance bigint)');
$scene->define('sql', '{"steps": [{"step": "wait", "wait": true}, {"step": "work", "sql": "INSERT INTO effect VALUES (visit.instance)"}]}');
$instance = $scene->start('sql');
suspend($instance, 'SQL');
is($scene->sql("SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = $instance"), 't', 'SQL: a callback is accepted');
sleep 0.2;
is($scene->sql('SELECT count(*) FROM effect'), 0, 'SQL: and not acted on');
resume($instance, 'SQL');
is($scene->finish($instance), 'completed', 'SQL: goes on');
is($scene->sql('SELECT count(*) FROM effect'), 1, 'SQL: runs then, once');

# ---- being cancelled ----

$scene->define('work', qq[{"steps": [{"step": "work", "http": {"url": "\${\$.url}", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true, "timeout": "0.4 s",
	"cancel": {"path": "/stop/\${\$reply.status}", "headers": {"X-Instance": "\${\$instance}"}, "timeout": "3 s"}, "catch": [{"on": "TIMED_OUT", "next": "after"}]},
	{"step": "after", "set": {"response": "\${\$caught.result.response}"}}]}]);
my %work = map { $_ => $scene->start('work', { url => $scene->url($_ eq 'await' ? '/held' : '/accept?callback=none') }) } qw(await confirm called);
for (qw(await confirm called))
{
	is_soon($scene->node, 'postgres', "SELECT cancel_phase FROM workflow_data.visit WHERE instance = $work{$_}", $_ eq 'await' ? 'await' : 'confirm', "$_: its timeout is under way");
	suspend($work{$_}, $_);
}
is($scene->sql("SELECT workflow.complete(serial_number, '{\"stopped\": 1}') FROM workflow.visits WHERE instance = $work{called}"), 't', 'called: a callback confirms it');
$scene->let_go($work{await});
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $work{await}", 1, 'await: the reply is kept');
sleep 2.5;
is($scene->sql('SELECT count(*) FROM workflow.visits WHERE state = \'cancelling\' AND instance IN (' . join(',', values %work) . ')'), 3, 'nothing moves');
is(scalar($scene->requests($work{await})), 1, 'await: nothing is asked');
for (qw(await confirm called))
{
	my $time = resume($work{$_}, $_);
	is($scene->finish($work{$_}), 'completed', "$_: goes on");
	my $visit = $scene->history($work{$_}, 'work');
	is($visit->{outcome}, 'TIMED_OUT', "$_: the outcome is what it began with");
	is_between($visit->{ended} - $time, $_ eq 'await' ? 3 - 0.02 : -0.02, ($_ eq 'await' ? 3 : 0) + $late, "$_: when it was to be");
}
is(($scene->requests($work{await}))[1]{path}, '/stop/200', 'await: asked then, with the reply');
is_deeply($scene->data($work{called})->{response}, { stopped => 1 }, 'called: what was said is the response');

# ---- cancelled while suspended: it ends, the outside is asked ----

$scene->define('cancelled', qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "/held", $H}, "wait": true,
	"cancel": {"path": "/stop/\${\$reply.status}", "headers": {"X-Instance": "\${\$instance}"}, "timeout": "0.1 s"}}]}]);
$instance = $scene->start('cancelled');
$scene->wait_for_requests(1, $instance);
suspend($instance, 'cancelled');
$scene->let_go($instance);
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance", 1, 'cancelled: the reply is kept');
is($scene->sql("SELECT workflow.cancel($instance)"), 't', 'cancelled: while it is suspended');
is($scene->finish($instance), 'aborted', 'cancelled: ends');
is(($scene->requests($instance))[-1]{path}, '/stop/200', 'cancelled: the outside is asked, with the reply that was kept');

# ---- all of a process ----

$scene->define('many', qq[{"steps": [{"step": "wait", "wait": true}, {"step": "work", "http": {"server": "partner", "path": "/ok", $H}}]}]);
$scene->define('others', qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "/ok", $H}}]}]);
my @many = split /\n/, $scene->sql(q[SELECT workflow.start('many') FROM generate_series(1, 20)]);
suspend($many[0], 'one of many');
is($scene->sql(q[SELECT workflow.suspend_process('many')]), 19, 'all others of a process are suspended');
my $new = $scene->start('many');
is($scene->sql("SELECT status FROM workflow.instances WHERE instance = $new"), 'suspended', 'so is what is started then');
is($scene->sql("SELECT count(*) FROM workflow.waiting WHERE process = 'many'"), 20, 'which does not enter its first step');
is($scene->sql("SELECT count(*) FROM workflow.waiting WHERE process = 'many' AND workflow.complete(serial_number)"), 20, 'callbacks are accepted');
(undef, my $status) = $scene->run('others');
is($status, 'completed', 'other processes go on');
is($scene->sql("SELECT count(*) FROM workflow.instances WHERE process = 'many' AND status = 'suspended'"), 21, 'nothing moves');
is($scene->sql(q[SELECT workflow.resume_process('many')]), 21, 'all go on');
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'many' AND status = 'completed'", 20, 'with their callbacks');
is($scene->sql("SELECT count(*) FROM workflow.waiting WHERE process = 'many'"), 1, 'the new one waits now');
is($scene->sql("SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE process = 'many'"), 't', 'for its own');
is($scene->finish($new), 'completed', 'and completes');

# what is started while nothing of it is there
$scene->define('calls', qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/status/200", $H}}]}]);
is($scene->sql("SELECT workflow.suspend_process('calls')"), 0, 'a process is suspended');
my @instances = map { $scene->start('calls') } 1 .. 3;
stays(0.3, sub { scalar(map { $scene->requests($_) } @instances) }, 0, 'what is started now sends nothing');
is($scene->sql("SELECT workflow.resume_process('calls')"), 3, 'resumed');
is($scene->finish($_), 'completed', "instance $_ goes on") for @instances;

ok(!log_has($scene->node, qr/PANIC|was terminated by signal/), 'nothing has crashed');
$scene->node->stop;
done_testing();
