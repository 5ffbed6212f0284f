#
# Clocks: waits that end by themselves, to the millisecond; and the timeout of a step, whatever it is doing.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Scene;
use Test::More;
use Time::HiRes qw(sleep);
use WorkflowTest;

my $scene = Scene->new('clocks');
my $H = '"headers": {' . Scene::HEADERS . '}';

# Of several runs, on a loaded machine, one is not late; none is early.
sub is_exact
{
	my ($name, $seconds, @visits) = @_;
	my @took = sort { $a <=> $b } map { $_->{ended} - $_->{began} } @visits;
	is_between($took[0], $seconds - 0.0005, $seconds + 0.05, sprintf('%s takes %.0f ms', $name, 1000 * $seconds));
	note(sprintf '%s: late by %.2f to %.2f ms', $name, map { 1000 * ($_ - $seconds) } @took[ 0, -1 ]);
}

# ---- after and until ----

$scene->define('after', '{"steps": [{"step": "pause", "wait": {"after": "${$.pause}"}}]}');
$scene->define('half a second', '{"steps": [{"step": "pause", "wait": {"after": "500 ms"}}, {"step": "then", "set": {"then": true}}]}');
$scene->define('until', '{"steps": [{"step": "pause", "wait": {"until": "${$.until}"}}]}');

my @half = map { $scene->start('half a second') } 1 .. 5;
my @third = map { $scene->start('after', { pause => '0.333 s' }) } 1 .. 5;
is($scene->finish($_), 'completed', 'a pause ends') for @half, @third;
is_exact('after 500 ms', 0.5, map { $scene->history($_, 'pause') } @half);
is_exact('after 0.333 s', 0.333, map { $scene->history($_, 'pause') } @third);
is($scene->path($half[0]), 'pause:SUCCESS then:SUCCESS', 'and the token goes on');

my ($instance, $status) = $scene->run('after', { pause => '0' });
is($status, 'completed', 'a pause of nothing');
($instance, $status) = $scene->run('after', { pause => '-1 day' });
is($status, 'completed', 'one that is over');
($instance, $status) = $scene->run('after', { pause => 'a while' });
is($scene->incident($instance)->{error}{code}, 'template', 'one that is no interval');

my $at = $scene->sql("SELECT to_char(clock_timestamp() + '700 ms', 'YYYY-MM-DD HH24:MI:SS.USOF')");
my @until = map { $scene->start('until', { until => $at }) } 1 .. 5;
is($scene->finish($_), 'completed', 'the time comes') for @until;
my $epoch = $scene->sql("SELECT extract(epoch FROM timestamptz '$at')");
my @late = sort { $a <=> $b } map { $scene->history($_, 'pause')->{ended} - $epoch } @until;
is_between($late[0], 0, 0.05, 'until is exact');
($instance, $status) = $scene->run('until', { until => '2001-01-01' });
is($status, 'completed', 'a time in the past is no wait');
($instance, $status) = $scene->run('until', { until => '2001-02-30' });
is($scene->incident($instance)->{error}{code}, 'template', 'a day that never was');
($instance, $status) = $scene->run('until', { until => 'infinity' });
is($scene->incident($instance)->{error}{code}, 'template', 'a time that never comes');
is($scene->sql("SELECT workflow.cancel($instance)"), 't', 'such an incident can be cancelled');
$instance = $scene->start('until', { until => '2999-01-01' });
my $visit = $scene->wait_for_state($instance, 'waiting');
is($scene->sql("SELECT waits_for FROM workflow.waiting WHERE instance = $instance"), 'until', 'what it waits for is shown');
like($scene->error("SELECT workflow.complete('$visit->{serial_number}')"), qr/^55000: /, 'a clock takes no callback');
is($scene->sql("SELECT workflow.cancel($instance)"), 't', 'but can be cancelled');

# an earlier clock is not held up by a later one, nor one by a thousand others
$scene->sql("SELECT workflow.start('after', '{\"pause\": \"1 hour\"}') FROM generate_series(1, 1000)");
$instance = $scene->start('after', { pause => '200 ms' });
is($scene->finish($instance), 'completed', 'an earlier clock among a thousand later ones');
is_between($scene->history($instance, 'pause')->{ended} - $scene->history($instance, 'pause')->{began}, 0.2, 2, 'is in time');
my @thousand = split /\n/, $scene->sql("SELECT workflow.start('after', '{\"pause\": \"300 ms\"}') FROM generate_series(1, 1000)");
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE instance >= $thousand[0] AND status = 'completed'", 1000, 'a thousand at once');
is_between($scene->sql("SELECT max(extract(epoch FROM ended_at - entered_at)) FROM workflow.history WHERE instance >= $thousand[0]"), 0.3, 6, 'are in time');

# ---- the timeout of a step ----

sub timed
{
	my ($name, $step) = @_;
	$scene->define($name, qq({"steps": [{"step": "a", $step, "catch": [{"on": "TIMED_OUT", "next": "late"}], "next": "done"},
		{"step": "late", "set": {"caught": "\${\$caught}"}, "end": true}, {"step": "done", "end": true}]}));
	my @instances = map { $scene->start($name) } 1 .. 3;
	is($scene->finish($_), 'completed', "$name: caught") for @instances;
	is($scene->path($instances[0]), 'a:TIMED_OUT late:SUCCESS', "$name: the path");
	is($scene->data($instances[0])->{caught}{error}{code}, 'TIMED_OUT', "$name: the code");
	is_exact($name, 0.3, map { $scene->history($_, 'a') } @instances);
	return @instances;
}

my @calling = timed('timeout while calling', qq("http": {"server": "partner", "path": "/delay", "query": {"s": "0.6"}, $H}, "timeout": "300 ms"));
my @retrying = timed('timeout while retrying', qq("http": {"server": "partner", "path": "/status/503", $H}, "retry": {"max": 10, "delay": "10 s"}, "timeout": "300 ms"));
my @stood = timed('timeout while waiting', qq("http": {"server": "partner", "path": "/accept", "query": {"callback": "none"}, $H}, "wait": true, "timeout": "300 ms"));
my @still = timed('timeout of a wait alone', '"wait": true, "timeout": "300 ms"');
is($scene->sql("SELECT workflow.complete('" . $scene->history($_, 'a')->{serial_number} . "', '{\"too\": \"late\"}')"), 'f', 'a callback after it is late')
  for $stood[0], $still[0], $calling[0];
is($scene->sql("SELECT count(*) FROM workflow.late_callbacks WHERE data = '{\"too\": \"late\"}'"), 3, 'and on record');
is(scalar($scene->requests($_)), 1, 'one request') for @calling, @retrying, @stood;

# the answer that came after the timeout has moved nothing
wait_until(sub { ($scene->partner->stats->{'answered 200'} // 0) >= 3 }, 'the slow answers are given');
is($scene->path($_), 'a:TIMED_OUT late:SUCCESS', 'a late answer is dropped') for @calling;
is($scene->sql("SELECT in_flight FROM workflow.servers WHERE server = 'partner'"), 0, 'and nothing is in flight');

# a timeout that nobody catches, made of data; one while the step's clock is running; one that does not come
$scene->define('uncaught', '{"steps": [{"step": "a", "wait": true, "timeout": "${$.timeout}"}]}');
($instance, $status) = $scene->run('uncaught', { timeout => '100 ms' });
is($status, 'failed', 'uncaught');
is($scene->incident($instance)->{outcome}, 'TIMED_OUT', 'it is an incident');
is($scene->sql("SELECT workflow.complete('" . $scene->incident($instance)->{serial_number} . "', '1')"), 't', 'that a callback still mends');
is($scene->finish($instance), 'completed', 'and ends');
$scene->define('two clocks', '{"steps": [{"step": "a", "wait": {"after": "1 hour"}, "timeout": "100 ms"}]}');
($instance) = $scene->run('two clocks');
is($scene->incident($instance)->{outcome}, 'TIMED_OUT', 'the earlier of two clocks');
$scene->define('in time', qq({"steps": [{"step": "a", "http": {"server": "partner", "path": "/ok", $H}, "timeout": "500 ms"}, {"step": "b", "wait": {"after": "700 ms"}}]}));
($instance, $status) = $scene->run('in time');
is($scene->path($instance), 'a:SUCCESS b:SUCCESS', 'a timeout is that of its step alone');

# the timeout counts from the entry of each visit
$scene->define('each time', '{"steps": [{"step": "a", "wait": {"after": "200 ms"}, "timeout": "400 ms", "save": {"n": "${$.n + 1}"}, "choose": [{"when": "$.n < 3", "next": "a"}, {"next": "b"}]}, {"step": "b"}], "data": {"n": 0}}');
($instance, $status) = $scene->run('each time');
is($scene->path($instance), 'a:SUCCESS a:SUCCESS a:SUCCESS b:SUCCESS', 'and begins anew with each visit');

# ---- a dispatcher that comes late: of several clocks that have struck meanwhile the first one counts ----

my %late = (
	'wait before timeout'   => ['"wait": {"after": "300 ms"}, "timeout": "600 ms"', 'a:SUCCESS z:SUCCESS'],
	'timeout before wait'   => ['"wait": {"after": "600 ms"}, "timeout": "300 ms"', 'a:TIMED_OUT'],
	'wait before heartbeat' => ['"first_of": [{"after": "300 ms", "next": "z"}, {"callback": true, "next": "z"}], "heartbeat": "600 ms"', 'a:SUCCESS z:SUCCESS'],
	'heartbeat before wait' => ['"first_of": [{"after": "600 ms", "next": "z"}, {"callback": true, "next": "z"}], "heartbeat": "300 ms"', 'a:DIED'],
	'wait before handler'   => ['"wait": {"after": "300 ms"}, "catch": [{"after": "600 ms", "next": "h"}]', 'a:SUCCESS z:SUCCESS'],
	'handler before wait'   => ['"wait": {"after": "600 ms"}, "catch": [{"after": "300 ms", "next": "h"}]', 'a:CANCELLED h:SUCCESS'],
	'handler beside a wait' => ['"wait": {"after": "600 ms"}, "catch": [{"after": "300 ms", "interrupt": false, "next": "h"}, {"after": "900 ms", "interrupt": false, "next": "h"}]',
		'a:SUCCESS h:SUCCESS z:SUCCESS'],
	'wait, then timeout, all before heartbeat' => ['"first_of": [{"after": "200 ms", "next": "z"}, {"callback": true, "next": "z"}], "timeout": "400 ms", "heartbeat": "600 ms"', 'a:SUCCESS z:SUCCESS']);
my @order = sort keys %late;
for (@order)
{
	my $next = $late{$_}[0] =~ /first_of/ ? '' : ', "next": "z"';
	my $handler = $late{$_}[0] =~ /catch/ ? '{"step": "h", "end": true}, ' : '';
	$scene->define($_, qq({"steps": [{"step": "a", $late{$_}[0]$next}, $handler\{"step": "z"}]}));
}
my $dispatcher = worker_pid($scene->node, 'dispatcher', 'postgres');
kill 'STOP', $dispatcher;
my %started = map { $_ => $scene->start($_) } @order;
sleep 1.5;
kill 'CONT', $dispatcher;
is_soon($scene->node, 'postgres', qq[SELECT string_agg(step || ':' || coalesce(outcome, state), ' ' ORDER BY step) FROM (
		SELECT step, outcome, NULL AS state FROM workflow.history WHERE instance = $started{$_} UNION ALL
		SELECT step, error ->> 'code', NULL FROM workflow.incidents WHERE instance = $started{$_}) s], $late{$_}[1], $_) for @order;

# ---- now(), in an executor that has been there for a while ----

$scene->define('now', '{"steps": [{"step": "a", "sql": "SELECT extract(epoch FROM clock_timestamp() - now()) AS age", "save": {"age": "${$reply.row.age}"}},
	{"step": "b", "wait": {"after": "2 seconds"}}, {"step": "c", "sql": "SELECT extract(epoch FROM clock_timestamp() - now()) AS age", "save": {"then": "${$reply.row.age}"}}]}');
($instance, $status) = $scene->run('now');
cmp_ok($scene->data($instance)->{$_}, '<', 1, 'now() is that of the transaction of a step') for qw(age then);

$scene->node->stop;
done_testing();
