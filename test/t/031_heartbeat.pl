#
# How long the outside may take: timeouts and heartbeats, constant or made of data, on time; signs of life, progress, more
# time; and what is told to an outside that should stop.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $scene = Scene->new('heartbeat');
my $H = '"headers": {' . Scene::HEADERS . '}';
my $late = 20; # on a busy machine

# A step that waits for a callback, with these keys, and another one for what it comes to if that is bad.
my $defined = 0;
sub define_wait
{
	my ($keys) = @_;
	my $name = 'wait ' . ++$defined;
	$scene->define($name, qq[{"steps": [{"step": "work", "wait": true, $keys, "catch": [{"on": "*", "next": "after"}], "end": true},
		{"step": "after", "set": {"caught": "\${\$caught}"}}]}]);
	return $name;
}

sub start_wait { return $scene->start(define_wait($_[0]), $_[1]) }

sub beat { return $scene->sql("SELECT workflow.heartbeat('$_[0]'" . (defined $_[1] ? ", '$_[1]'" : '') . ')') }

sub ends
{
	my ($instance, $outcome, $seconds, $name) = @_;
	is($scene->finish($instance), 'completed', "$name: goes on");
	my $work = $scene->history($instance, 'work');
	is($work->{outcome}, $outcome, "$name: $outcome");
	is($work->{result}{error}{code}, $outcome, "$name: so is the error");
	is_between($work->{ended} - $work->{began}, $seconds - 0.001, $seconds + $late, "$name: after $seconds s") if defined $seconds;
	is($scene->data($instance)->{caught}{error}{code}, $outcome, "$name: as its handler sees");
	return $work;
}

# ---- constant, and made of data ----

my @clocks = (
	[ 'a timeout',                 '"timeout": "0.3 s"', undef, 'TIMED_OUT', 0.3 ],
	[ 'a timeout made of data',    '"timeout": "${$.limit}"', { limit => '0.4 s' }, 'TIMED_OUT', 0.4 ],
	[ 'one that is put together',  '"timeout": "${$.n} milliseconds"', { n => 350 }, 'TIMED_OUT', 0.35 ],
	[ 'one in ISO 8601',           '"timeout": "${$.limit}"', { limit => 'PT0.3S' }, 'TIMED_OUT', 0.3 ],
	[ 'a heartbeat',               '"heartbeat": "0.3 s"', undef, 'DIED', 0.3 ],
	[ 'a number is of seconds',    '"timeout": "${$.limit}"', { limit => 0.3 }, 'TIMED_OUT', 0.3 ],
	[ 'so is one in a string',     '"heartbeat": "${$.limit}"', { limit => '0.3' }, 'DIED', 0.3 ],
	[ 'a negative timeout',        '"timeout": "${$.limit}"', { limit => '-1 s' }, 'TIMED_OUT', 0 ],
	[ 'a heartbeat made of data',  '"heartbeat": "${$.limit}"', { limit => '0.4 s' }, 'DIED', 0.4 ],
	[ 'the timeout is shorter',    '"timeout": "0.3 s", "heartbeat": "1 hour"', undef, 'TIMED_OUT', 0.3 ],
	[ 'the heartbeat is shorter',  '"timeout": "1 hour", "heartbeat": "0.3 s"', undef, 'DIED', 0.3 ],
	[ 'both are the same',         '"timeout": "0.3 s", "heartbeat": "0.3 s"', undef, 'TIMED_OUT', 0.3 ],
	[ 'a timeout of zero',         '"timeout": "${$.limit}"', { limit => '0' }, 'TIMED_OUT', 0 ]);
push @$_, start_wait(@$_[ 1, 2 ]) for @clocks;
ends(@$_[ 5, 3, 4, 0 ]) for @clocks;

for my $clock ('timeout', 'heartbeat')
{
	for my $limit (qw("soon" "-" "infinity" null), '{"a": 1}', $clock eq 'heartbeat' ? '"-1 s"' : ())
	{
		my $instance = start_wait(qq["$clock": "\${\$.limit}"], { limit => JSON::PP->new->allow_nonref->decode($limit) });
		my $work = $scene->finish($instance) && $scene->history($instance, 'work');
		is($work->{outcome} // '', 'SYSTEM_ERROR', "a $clock of $limit is an error");
		is($work->{result}{error}{code}, 'template', 'of its template');
	}
}

# data that is changed for the worse meanwhile does not make it wait for ever
my $changed = start_wait('"heartbeat": "${$.limit}"', { limit => '0.8 s' });
$scene->wait_for_state($changed, 'waiting');
is($scene->sql("SELECT workflow.set_data($changed, '{\"limit\": \"soon\"}'), workflow.heartbeat(serial_number) FROM workflow.waiting WHERE instance = $changed"), 't|t', 'a heartbeat that cannot be worked out any more');
ends($changed, 'DIED', 0.8, 'the clock stays as it was');

$scene->define('until', '{"steps": [{"step": "work", "wait": {"until": "${$.until}"}, "catch": [{"on": "*", "next": "after"}], "end": true}, {"step": "after", "set": {"caught": "${$caught}"}}]}');
my ($endless) = $scene->run('until', { until => 'infinity' });
is($scene->data($endless)->{caught}{error}{code}, 'template', 'nobody waits until the end of all days');

# ---- what counts ----

# timeout: from the entry on, over attempts and pauses
$scene->define('calls', qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "/flaky/accept?fail=3&callback=none", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
	"retry": {"max": 5, "delay": "0.2 s"}, "timeout": "1.2 s", "catch": [{"on": "*", "next": "after"}], "end": true},
	{"step": "after", "set": {"caught": "\${\$caught}"}}]}]);
my $work = ends($scene->start('calls'), 'TIMED_OUT', 1.2, 'a timeout over attempts, pauses and the wait');
is($work->{attempts}, 4, 'with all its attempts');

# heartbeat: from the beginning of the wait on, however long the request took
$scene->define('slow call', qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "/delay?s=1", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
	"heartbeat": "0.5 s", "catch": [{"on": "*", "next": "after"}], "end": true},
	{"step": "after", "set": {"caught": "\${\$caught}"}}]}]);
ends($scene->start('slow call'), 'DIED', 1.5, 'a heartbeat counts from the wait');

# ---- signs of life ----

my $instance = start_wait('"heartbeat": "2 s"');
my $silent = start_wait('"heartbeat": "2 s"');
$scene->wait_for_state($_, 'waiting') for $instance, $silent;
my $sn = $scene->serial($instance);
is($scene->json("SELECT to_json(w) FROM workflow.waiting w WHERE instance = $instance")->{progress}, undef, 'no progress yet');
my $alive = 1;
for my $n (1 .. 5)
{
	sleep 0.5;
	$alive &&= beat($sn, qq({"percent": $n})) eq 't';
	is_deeply($scene->json("SELECT to_json(w) FROM workflow.waiting w WHERE instance = $instance")->{progress}, { percent => $n }, "progress $n");
}
my $last = time();
ok($alive, 'a heartbeat says that it goes on');
is($scene->sql("SELECT state FROM workflow.visits WHERE instance = $instance"), 'waiting', 'it lives for longer than its heartbeat');
is($scene->history($silent, 'work')->{outcome}, 'DIED', 'one without has died');
$work = ends($instance, 'DIED', undef, 'silent in the end');
is_between($work->{ended} - $last, 1, 2 + $late, 'silent in the end: counted from the last sign of life');
is(beat($sn), 'f', 'it should stop');

# the same of a step that has called
$scene->define('beats', qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/accept?callback=none", $H, "body": {"sn": "\${\$serial_number}"}},
	"wait": true, "heartbeat": "1500 ms"}]}]);
$instance = $scene->start('beats');
$scene->wait_for_state($instance, 'waiting');
$sn = $scene->serial($instance);
$alive = 1;
for my $percent (1 .. 10)
{
	sleep 0.2;
	$last = time();
	$alive &&= $scene->sql("SELECT workflow.heartbeat('$sn', '{\"percent\": $percent}')") eq 't';
}
ok($alive, 'heartbeats keep it alive');
is($scene->sql("SELECT progress FROM workflow.waiting WHERE serial_number = '$sn'"), '{"percent": 10}', 'and show how far it is');
is($scene->finish($instance), 'failed', 'silence ends it');
is_between(time() - $last, 1.499, 1.5 + 2 * $late, 'in time');
is($scene->incident($instance)->{outcome}, 'DIED', 'as DIED');
like($scene->sql("SELECT workflow.timeline($instance)"), qr/call \($sn\): stands as an incident for .*: DIED/, 'which the story tells');

# a beat without progress leaves what was there
$instance = start_wait('"heartbeat": "1 hour"');
$scene->wait_for_state($instance, 'waiting');
$sn = $scene->serial($instance);
is(beat($sn, '"half"'), 't', 'any JSON is progress');
is(beat($sn), 't', 'a sign of life without');
is($scene->json("SELECT to_json(w) FROM workflow.waiting w WHERE instance = $instance")->{progress}, 'half', 'leaves it as it was');

# when it should stop
$scene->sql("SELECT workflow.cancel($instance)");
is(beat($sn), 'f', 'after the instance was cancelled');
my %stopped;
for my $what ('completed', 'failed', 'skipped', 'moved')
{
	my $instance = start_wait('"heartbeat": "1 hour"');
	$scene->wait_for_state($instance, 'waiting');
	$stopped{$what} = [ $instance, $scene->serial($instance) ];
}
$scene->sql("SELECT workflow.complete('$stopped{completed}[1]'), workflow.fail('$stopped{failed}[1]'), workflow.move('$stopped{moved}[1]', 'after')");
is($scene->sql("SELECT workflow.cancel_visit('$stopped{skipped}[1]')"), 't', 'a visit is cancelled');
is(beat($stopped{$_}[1]), 'f', "$_: stop") for sort keys %stopped;

# before the wait: it is at work already, although nobody has said 202 yet
$instance = $scene->start('slow call');
$scene->wait_for_requests(1, $instance);
$sn = $scene->serial($instance);
is(beat($sn, '{"early": true}'), 't', 'a heartbeat while the request is under way');
$scene->wait_for_state($instance, 'waiting');
is($scene->json("SELECT to_json(w) FROM workflow.waiting w WHERE instance = $instance")->{progress}{early}, JSON::PP::true, 'its progress is not lost');
$scene->sql("SELECT workflow.complete('$sn')");

# a beat that is rolled back was none
$instance = start_wait('"heartbeat": "1.5 s"');
$scene->wait_for_state($instance, 'waiting');
$sn = $scene->serial($instance);
sleep 0.3;
is($scene->sql("BEGIN; SELECT workflow.heartbeat('$sn'); ROLLBACK"), 't', 'a heartbeat that is rolled back');
ends($instance, 'DIED', 1.5, 'was none');

# ---- more time ----

my ($longer, $shorter, $data) = map { start_wait($_, { limit => '2 s' }) } '"timeout": "2 s"', '"timeout": "1 hour"', '"timeout": "${$.limit}"';
$scene->wait_for_state($_, 'waiting') for $longer, $shorter, $data;
my %sn = map { $_ => $scene->serial($_) } $longer, $shorter, $data;
is($scene->sql("SELECT workflow.extend('$sn{$longer}', '0.5 s') = deadline + interval '0.5 s' FROM workflow.waiting WHERE instance = $longer"), 't', 'more time');
$scene->sql("SELECT workflow.extend('$sn{$shorter}', '-3598 s')");
$scene->sql("SELECT workflow.extend('$sn{$data}', '0.2 s')");
ends($shorter, 'TIMED_OUT', 2, 'less time');
ends($data, 'TIMED_OUT', 2.2, 'more time than the data gave');
ends($longer, 'TIMED_OUT', 2.5, 'more time');
is($scene->sql("SELECT workflow.extend('$sn{$longer}', '1 hour') IS NULL"), 't', 'too late for more');

# during a pause between attempts, too
$scene->define('pause', qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "/status/503", $H}, "retry": {"max": 5, "delay": "1 hour"}, "timeout": "1.5 s",
	"catch": [{"on": "*", "next": "after"}], "end": true}, {"step": "after", "set": {"caught": "\${\$caught}"}}]}]);
$instance = $scene->start('pause');
$scene->wait_for_state($instance, 'retrying');
$scene->sql("SELECT workflow.extend(serial_number, '0.4 s') FROM workflow.visits WHERE instance = $instance");
ends($instance, 'TIMED_OUT', 1.9, 'more time during a pause');

# ---- over a restart ----

my ($dies, $times_out) = (start_wait('"heartbeat": "2 s"'), start_wait('"timeout": "2 s"'));
my $long_over = start_wait('"timeout": "0.3 s"');
$scene->wait_for_state($_, 'waiting') for $dies, $times_out;
$scene->node->stop('fast');
sleep 0.5;
$scene->node->start;
ends($long_over, 'TIMED_OUT', undef, 'what fell due while the server was down');
ends($dies, 'DIED', undef, 'a silence over a restart');
ends($times_out, 'TIMED_OUT', undef, 'a timeout over a restart');
for ($dies, $times_out)
{
	my $work = $scene->history($_, 'work');
	is_between($work->{ended} - $work->{began}, 2 - 0.001, 8, 'on the same clock');
}

# ---- who has been waiting longest, for what, until when ----

my @waiting = map { start_wait('"timeout": "1 hour"') } 1 .. 3;
$scene->wait_for_state($_, 'waiting') for @waiting;
is($scene->sql("SELECT string_agg(instance::text, ' ' ORDER BY since) FROM workflow.waiting WHERE waits_for = 'callback' AND deadline - since BETWEEN '59 min' AND '1 hour'"),
	"@waiting", 'one query tells who has been waiting longest');

ok(!log_has($scene->node, qr/PANIC|was terminated by signal/), 'nothing has crashed');
$scene->node->stop;
done_testing();
