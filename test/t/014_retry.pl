#
# Attempts: which failures are tried again, how often, after which pauses; and a partner that is away for a while.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use POSIX ();
use Scene;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $scene = Scene->new('retry');
my $H = '"headers": {' . Scene::HEADERS . '}';

sub define_call
{
	my ($name, $retry) = @_;
	$scene->define($name, '{"steps": [{"step": "call", "http": {"server": "partner", "url": "${$.url}", ' . $H . '}' . ($retry ? qq(, "retry": $retry) : '') . '}]}');
}

# A pause cannot be shorter than said, and of several runs, on a loaded machine, one is not much longer.
sub are_gaps
{
	my ($name, $expected, @instances) = @_;
	my @best;
	for my $instance (@instances)
	{
		my @gaps = gaps($scene->requests($instance));
		is(scalar @gaps, scalar @$expected, "$name: attempts");
		for (0 .. $#gaps)
		{
			$best[$_] = $gaps[$_] if !defined $best[$_] || $gaps[$_] < $best[$_];
		}
	}
	is_between($best[$_], $expected->[$_] - 0.001, $expected->[$_] + 0.05, sprintf("%s: pause %d is %.0f ms", $name, $_ + 1, 1000 * $expected->[$_]))
	  for 0 .. $#$expected;
}

# ---- what is tried again ----

define_call('once more', '{"max": 1, "delay": "5 ms"}');
my @again = (408, 425, 429, 500, 501, 502, 503, 504, 599);
my @never = (300, 301, 302, 307, 400, 401, 402, 403, 404, 405, 409, 410, 418, 422, 451);
my %instance = map { $_ => $scene->start('once more', { url => $scene->url("/status/$_") }) } @again, @never;
for my $status (@again, @never)
{
	my $instance = $instance{$status};
	is($scene->finish($instance), 'failed', "$status is no success");
	my $times = (grep { $_ == $status } @again) ? 2 : 1;
	is(scalar($scene->requests($instance)), $times, "$status: " . ($times == 2 ? 'tried again' : 'not tried again'));
	my $incident = $scene->incident($instance);
	is($incident->{outcome}, 'SYSTEM_ERROR', "$status: SYSTEM_ERROR");
	delete $incident->{error}{message};
	is_deeply($incident->{error}, { code => "$status", http_status => $status, sqlstate => undef, attempt => $times }, "$status: the error");
}

define_call('never', undef);
my ($instance, $status) = $scene->run('never', { url => $scene->url('/status/503') });
is(scalar($scene->requests($instance)), 1, 'without "retry" there is one attempt');
is($scene->incident($instance)->{error}{code}, '503', 'and its error');

# ---- how often, and when ----

define_call('linear', '{"max": 3, "delay": "200 ms"}');
define_call('doubling', '{"max": 4, "delay": "50 ms", "backoff": 2}');
define_call('at once', '{"max": 3}');
define_call('one and a half', '{"max": 2, "delay": "100 ms", "backoff": 1.5}');
my %kind;
for my $name ('linear', 'doubling', 'at once', 'one and a half')
{
	$kind{$name} = [ map { $scene->start($name, { url => $scene->url('/status/503') }) } 1 .. 3 ];
}
for my $instances (values %kind)
{
	is($scene->finish($_), 'failed', 'all attempts fail') for @$instances;
}
are_gaps('max 3, delay 200 ms', [ 0.2, 0.2, 0.2 ], @{ $kind{linear} });
are_gaps('backoff 2', [ 0.05, 0.1, 0.2, 0.4 ], @{ $kind{doubling} });
are_gaps('no delay', [ 0, 0, 0 ], @{ $kind{'at once'} });
are_gaps('backoff 1.5', [ 0.1, 0.15 ], @{ $kind{'one and a half'} });
is($scene->incident($kind{linear}[0])->{error}{attempt}, 4, 'max: 3 is four calls');

# ---- success in the end, and what one sees meanwhile ----

define_call('in the end', '{"max": 5, "delay": "300 ms"}');
$instance = $scene->start('in the end', { url => $scene->url('/flaky?fail=3') });
my $visit = $scene->wait_for_state($instance, 'retrying');
ok($visit->{attempt} >= 1, 'a pause shows the attempts so far');
ok(defined $visit->{due_at}, 'and when the next one is due');
is($scene->sql("SELECT status FROM workflow.instances WHERE instance = $instance"), 'active', 'the instance is active');
is($scene->finish($instance), 'completed', 'three failures, then a success');
is(scalar($scene->requests($instance)), 4, 'four requests');
is($scene->history($instance, 'call')->{attempts}, 4, 'the history counts them');
is($scene->history($instance, 'call')->{result}{error}, undef, 'and knows of no error');

# the next step begins afresh
$scene->define('two', qq[{"steps": [
	{"step": "a", "http": {"server": "partner", "path": "/flaky", "query": {"fail": "2"}, $H}, "retry": {"max": 2}},
	{"step": "b", "http": {"server": "partner", "path": "/flaky", "query": {"fail": "2"}, $H}, "retry": {"max": 2}}]}]);
($instance, $status) = $scene->run('two');
is($status, 'completed', 'each visit has all its attempts');
is(scalar($scene->requests($instance)), 6, 'six requests');

# ---- Retry-After ----

define_call('patient', '{"max": 1, "delay": "10 ms"}');
define_call('more patient', '{"max": 1, "delay": "1500 ms"}');
my $date = POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time() + 5));
$date =~ s/ /%20/g;
my ($seconds, $later, $never, $dated) = map { $scene->start($_->[0], { url => $scene->url($_->[1]) }) } (
	[ 'patient',      '/status/503?retry_after=1' ],
	[ 'more patient', '/status/429?retry_after=1' ],
	[ 'patient',      '/status/503?retry_after=nonsense' ],
	[ 'patient',      "/status/503?retry_after=$date" ]);
$scene->finish($_) for $seconds, $later, $never, $dated;
is_between((gaps($scene->requests($seconds)))[0], 0.999, 4, 'Retry-After is waited for');
is_between((gaps($scene->requests($later)))[0], 1.499, 4, 'a longer delay is kept');
is_between((gaps($scene->requests($never)))[0], 0.009, 3, 'nonsense is nothing');
is_between((gaps($scene->requests($dated)))[0], 0.5, 7, 'a date in Retry-After is waited for');

# ---- timeouts of an attempt, connections ----

$scene->define('slow', qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/hang", "timeout": "150 ms", $H}, "retry": {"max": 2, "delay": "50 ms"}}]}]);
$scene->define('templated', qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/hang", "timeout": "\${\$.timeout}", $H}}]}]);
my $start = time();
($instance, $status) = $scene->run('slow');
# it begins when the request is sent, which the partner sees a moment later
my @gaps = gaps($scene->requests($instance));
is(scalar @gaps, 2, 'a timeout of 150 ms, a delay of 50 ms: attempts');
is_between($_, 0.15, 0.4, 'a timeout of 150 ms, a delay of 50 ms: the pause') for @gaps;
is($scene->incident($instance)->{error}{code}, 'timeout', 'the code of a timeout');
is($scene->incident($instance)->{error}{http_status}, undef, 'which has no status');
($instance, $status) = $scene->run('templated', { timeout => '0.1 s' });
is($scene->incident($instance)->{error}{code}, 'timeout', 'a timeout made of data');
($instance, $status) = $scene->run('templated', { timeout => 'soon' });
is($scene->incident($instance)->{error}{code}, 'template', 'one that is no interval is a template error');
is(scalar($scene->requests($instance)), 0, 'and sends nothing');
ok($scene->partner->stats->{open} < 10, 'connections of requests that were given up are closed');

define_call('away', '{"max": 100, "delay": "20 ms", "backoff": 1.2}');
$scene->partner->stop;
$instance = $scene->start('away', { url => $scene->url('/ok') });
$scene->wait_for_state($instance, 'retrying');
($status) = $scene->run('once more', { url => $scene->url('/ok') });
is($scene->incident($status)->{error}{code}, 'connect', 'the code of a partner that is not there');
is($scene->incident($status)->{error}{attempt}, 2, 'which is tried again');
$scene->partner->restart;
is($scene->finish($instance), 'completed', 'and found when it is back');
ok($scene->history($instance, 'call')->{attempts} > 1, 'after several attempts');
is(scalar($scene->requests($instance)), 1, 'of which it saw one');

# ---- what steps have that say nothing: the retry of their definition, else that of the server ----

$scene->server('patient', $scene->url, "retry_max '2', retry_delay '5 ms, 20 ms', retry_on '503, 4xx, connect'");
sub define_default
{
	my ($name, $definition, $step) = @_;
	my ($whole, $own) = map { defined $_ ? qq(, "retry": $_) : '' } $definition, $step;
	$scene->define($name, '{"steps": [{"step": "call", "http": {"server": "patient", "path": "/status/${$.status}", ' . $H . "}$own}]$whole}");
}
sub times_tried
{
	my ($process, $status, $expected, $name) = @_;
	my ($instance) = $scene->run($process, { status => $status });
	is(scalar($scene->requests($instance)), $expected, $name);
	return $instance;
}
define_default('of the server');
define_default('of the definition', '{"max": 1}');
define_default('of the step', '{"max": 3}', '{"max": 4, "on": [404]}');
define_default('none', '{"max": 3}', '{"max": 0}');
are_gaps('of the server', [ 0.005, 0.02 ], map { times_tried('of the server', 503, 3, 'a step goes by the server') } 1 .. 3);
times_tried('of the server', 404, 3, 'which says what is tried again');
times_tried('of the server', 500, 1, 'and what is not');
times_tried('of the definition', 503, 2, 'the definition comes before the server, with what is usual');
times_tried('of the definition', 404, 1, 'and nothing of the server is mixed with it');
times_tried('of the step', 404, 5, 'the step comes first');
times_tried('none', 503, 1, 'and may say none');
$scene->sql("ALTER SERVER patient OPTIONS (SET retry_max '1')");
times_tried('of the server', 503, 2, 'a change of the server counts at once');
$scene->define('sql', '{"steps": [{"step": "divide", "sql": "SELECT 1 / (visit.attempt - 1)"}], "retry": {"max": 1, "on": ["22012"]}}');
$instance = ($scene->run('sql'))[0];
is($scene->history($instance, 'divide')->{attempts}, 2, 'the definition counts for SQL, too');
# a step that names no server goes by the one that its url leads to; options without retry_max say nothing
$scene->server('covering', $scene->url('/status'), "retry_max '2'");
$scene->define('covered', '{"steps": [{"step": "call", "http": {"url": "${$.url}", ' . $H . '}}]}');
my ($covered) = $scene->run('covered', { url => $scene->url('/status/503') });
is(scalar($scene->requests($covered)), 3, 'a url goes by the server that covers it');
$scene->sql("ALTER SERVER covering OPTIONS (DROP retry_max, ADD retry_delay '1 ms')");
($covered) = $scene->run('covered', { url => $scene->url('/status/503') });
is(scalar($scene->requests($covered)), 1, 'and without retry_max it is not tried again');
for my $option ("retry_max '-1'", "retry_max '2x'", "retry_delay '5 ms,'", "retry_delay 'soon'", "retry_backoff '0.5'", "retry_max_delay '-1 s'", "retry_on '200'", "retry_on '40001'")
{
	like($scene->error("ALTER SERVER partner OPTIONS (ADD $option)"), qr/^22023: invalid value for option "retry_/, "no server has $option");
}
$scene->sql("ALTER SERVER partner OPTIONS (ADD retry_backoff 'linear', ADD retry_max_delay '1 s', ADD retry_jitter '0')");

# ---- many at once ----

my @many = split /\n/, $scene->sql("SELECT workflow.start('in the end', jsonb_build_object('url', '" . $scene->url('/flaky?fail=1') . "')) FROM generate_series(1, 200)");
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE instance >= $many[0] AND status = 'completed'", 200, 'two hundred that fail once');
is($scene->sql("SELECT min(attempts), max(attempts) FROM workflow.history WHERE instance >= $many[0]"), '2|2', 'each of them tried twice');

$scene->node->stop;
done_testing();
