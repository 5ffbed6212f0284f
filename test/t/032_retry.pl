#
# Retries: what is tried again and how often; pauses kept to the millisecond, however they are worked out; what Retry-After
# says; which of step, definition and server says how; a partner that is away for a while; and what can happen to a visit during
# a pause.
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

my $scene = Scene->new('retry', options => "max_in_flight '500', breaker 'off'");
my $H = '"headers": {' . Scene::HEADERS . '}';

# A loaded machine is late now and then: what counts is that nothing comes early, and that most is on time.
my $EARLY = 0.0005;
my $LATE = 20;

# An HTTP step of that path with that "retry"; more: further keys of the step.
sub calls
{
	my ($path, $retry, $more) = @_;
	$more = $more ? ", $more" : '';
	return qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "$path", $H,
		"body": {"attempt": "\${\$attempt}", "amount": "\${\$.amount ?? null}", "sn": "\${\$serial_number}"}}, "retry": $retry$more}]}];
}

my $defined = 0;
sub start_calls
{
	my $name = 'retry ' . ++$defined;
	$scene->define($name, calls(@_));
	return $scene->start($name, { amount => 1 });
}

sub attempts
{
	my ($instance) = @_;
	return @{ $scene->json("SELECT coalesce(json_agg(to_jsonb(a) || jsonb_build_object('began', extract(epoch FROM started_at),
		'ended', extract(epoch FROM ended_at)) ORDER BY attempt), '[]') FROM workflow.attempts a WHERE serial_number LIKE '${instance}\\_%'") };
}

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
	is_between($best[$_], $expected->[$_] - 0.001, $expected->[$_] + 0.15, sprintf("%s: pause %d is %.0f ms", $name, $_ + 1, 1000 * $expected->[$_]))
	  for 0 .. $#$expected;
}

my ($instance, $status, @gaps);

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
($instance, $status) = $scene->run('never', { url => $scene->url('/status/503') });
is(scalar($scene->requests($instance)), 1, 'without "retry" there is one attempt');
is($scene->incident($instance)->{error}{code}, '503', 'and its error');

# [path, on, calls of at most two]
my @choices = (
	[ '/drop', undef, 2 ], [ '/half', undef, 2 ], [ '/hang', undef, 2 ], [ '/badjson', undef, 1 ],
	[ '/status/404', '[404]',              2 ], [ '/status/404', '404', 2 ], [ '/status/404', '"404"', 2 ], [ '/status/503', '[404]', 1 ],
	[ '/status/404', '["4xx"]',            2 ], [ '/status/503', '"5xx"', 2 ], [ '/status/503', '"4XX"', 1 ], [ '/status/429', '"4XX"', 2 ],
	[ '/status/302', '["3xx"]',            2 ], [ '/drop', '["5xx"]', 1 ], [ '/hang', '["5xx", 404]', 1 ],
	[ '/drop',       '["connect"]',        2 ], [ '/hang', '["connect"]', 1 ], [ '/hang', '["timeout"]', 2 ], [ '/drop', '["timeout"]', 1 ],
	[ '/status/503', '["connect", "timeout"]', 1 ], [ '/status/503', '["connect", 503]', 2 ]);
for (@choices)
{
	my ($path, $on, $calls) = @$_;
	my $retry = '{"max": 1' . (defined $on ? qq[, "on": $on] : '') . '}';
	$scene->define("choice $path " . ($on // ''), qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "$path", "timeout": "1 s", $H}, "retry": $retry}]}]);
	push @$_, $scene->start("choice $path " . ($on // ''));
}
for (@choices)
{
	my ($path, $on, $calls, $instance) = @$_;
	$scene->finish($instance);
	my $name = "$path is " . ($calls > 1 ? '' : 'not ') . 'retried' . (defined $on ? " on $on" : '');
	is($scene->incident($instance)->{error}{attempt}, $calls, $name);
	# a kept connection that is found dead is made anew once, within the attempt
	is_between(scalar($scene->requests($instance)), $calls, $path eq '/drop' ? 2 * $calls : $calls, "$name: requests");
}
# nobody is there
$scene->server('nobody', 'http://127.0.0.1:1');
$scene->define('nobody', '{"steps": [{"step": "call", "http": {"server": "nobody"}, "retry": {"max": 3, "delay": "1 ms"}}]}');
($instance) = $scene->run('nobody');
is_deeply([ @{ $scene->incident($instance)->{error} }{qw(code http_status attempt)} ], [ 'connect', undef, 4 ], 'a refused connection is retried');

# ---- how often ----

for my $max (0, 1, 3)
{
	$instance = start_calls('/status/500', qq[{"max": $max}]);
	$scene->finish($instance);
	my $incident = $scene->incident($instance);
	is(scalar($scene->requests($instance)), $max + 1, "max $max is at most that many and one");
	is_deeply([ @{$incident}{qw(outcome)}, @{ $incident->{error} }{qw(code http_status attempt)} ],
		[ 'SYSTEM_ERROR', '500', 500, $max + 1 ], 'then it is a SYSTEM_ERROR with the last error');
}
$scene->define('once', qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/status/503", $H}}]}]);
($instance) = $scene->run('once');
is(scalar($scene->requests($instance)), 1, 'without "retry" it is called once');

# the error that is left is the last one, not the first
$scene->define('last', qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/flaky", "query": {"fail": "2", "status": "500"}, $H}, "retry": {"max": 1},
	"catch": [{"on": "SYSTEM_ERROR", "next": "note"}]}, {"step": "note", "set": {"error": "\${\$caught.error}", "result": "\${\$caught.result}"}}]}]);
($instance) = $scene->run('last');
my $data = $scene->data($instance);
is_deeply([ @{ $data->{error} }{qw(code http_status attempt)} ], [ '500', 500, 2 ], 'a handler sees the last error');
is($data->{result}{status}, 'SYSTEM_ERROR', 'and the outcome');

# ---- pauses ----

# [name, retry, the pauses that come of it in ms]
my @pauses = (
	[ 'one delay',               '{"max": 4, "delay": "40 ms"}',                                      (40) x 4 ],
	[ 'no delay',                '{"max": 5}',                                                        (0) x 5 ],
	[ 'a list of delays',        '{"max": 5, "delay": ["20 ms", "90 ms", "50 ms"]}',                  20, 90, 50, 50, 50 ],
	[ 'a list longer than max',  '{"max": 2, "delay": ["20 ms", "60 ms", "1 day"]}',                  20, 60 ],
	[ 'linear',                  '{"max": 4, "delay": "30 ms", "backoff": "linear"}',                 30, 60, 90, 120 ],
	[ 'a factor',                '{"max": 5, "delay": "10 ms", "backoff": 2}',                        10, 20, 40, 80, 160 ],
	[ 'a fraction as a factor',  '{"max": 3, "delay": "40 ms", "backoff": 1.5}',                      40, 60, 90 ],
	[ 'a limit on what grows',   '{"max": 5, "delay": "20 ms", "backoff": 3, "max_delay": "0.1 s"}',  20, 60, 100, 100, 100 ],
	[ 'a limit on linear',       '{"max": 4, "delay": "30 ms", "backoff": "linear", "max_delay": "70 ms"}', 30, 60, 70, 70 ],
	[ 'a factor beyond numbers', '{"max": 3, "delay": "1 ms", "backoff": 1000, "max_delay": "20 ms"}', 1, 20, 20 ],
	[ 'a limit without growth',  '{"max": 2, "delay": "30 ms", "max_delay": "1 hour"}',               30, 30 ]);
for (@pauses)
{
	my ($name, $retry, @expected) = @$_;
	my $instance = start_calls('/status/503', $retry);
	is($scene->finish($instance), 'failed', "$name: fails in the end");
	my @requests = $scene->requests($instance);
	is(scalar @requests, 1 + @expected, "$name: so many calls");
	my @gaps = gaps(@requests);
	my @late = map { $gaps[$_] - $expected[$_] / 1000 } 0 .. $#gaps;
	is_between($late[$_], -$EARLY, $LATE, "$name: pause $_ is $expected[$_] ms") for 0 .. $#late;
	cmp_ok(median(@late), '<', 0.25, "$name: mostly on time");
}

# single milliseconds, many times over
$instance = start_calls('/status/503', '{"max": 100, "delay": "5 ms"}');
$scene->finish($instance);
@gaps = sort { $a <=> $b } gaps($scene->requests($instance));
is(scalar @gaps, 100, 'a hundred pauses of 5 ms');
is_between($gaps[0], 0.005 - $EARLY, 0.03, 'the shortest is 5 ms');
cmp_ok(median(@gaps), '<', 0.1, 'half of them soon after it');
note(sprintf '5 ms: shortest %.2f, median %.2f, longest %.2f ms', 1000 * $gaps[0], 1000 * median(@gaps), 1000 * $gaps[-1]);

$instance = start_calls('/status/503', '{"max": 40, "delay": "20 ms", "jitter": "60 ms"}');
$scene->finish($instance);
@gaps = sort { $a <=> $b } gaps($scene->requests($instance));
is_between($_, 0.02 - $EARLY, 0.08 + $LATE, 'jitter is added to the delay') for @gaps[ 0, -1 ];
is_between(median(@gaps), 0.03, 0.2, 'somewhere between nothing and all of it');
cmp_ok($gaps[ $#gaps * 3 / 4 ] - $gaps[ $#gaps / 4 ], '>', 0.008, 'another one each time');

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
is_between((gaps($scene->requests($seconds)))[0], 0.999, 1 + $LATE, 'Retry-After is waited for');
is_between((gaps($scene->requests($later)))[0], 1.499, 1.5 + $LATE, 'a longer delay is kept');
is_between((gaps($scene->requests($never)))[0], 0.009, $LATE, 'nonsense is nothing');
is_between((gaps($scene->requests($dated)))[0], 0.5, 5 + $LATE, 'a date in Retry-After is waited for');

# longer than the delay is waited for; more than a day, or than the step's timeout, is not
my $day = start_calls('/status/503?retry_after=99999999999', '{"max": 1}');
my $year = start_calls('/status/503?retry_after=Fri%2C%2031%20Dec%202100%2023%3A59%3A59%20GMT', '{"max": 1}');
my $distant = start_calls('/say?status=503&header=Retry-After:Fri%2C%2031%20Dec%202100%2023%3A59%3A59%20GMT%7CRetry-After:1%7CRetry-After:soon', '{"max": 1}');
my $several = start_calls('/say?status=503&header=Retry-After:1%7CRetry-After:3600%7CRetry-After:5', '{"max": 1}');
my $bounded = start_calls('/status/503?retry_after=3600', '{"max": 1}', '"timeout": "0.5 s"');
my @wishes = map { [ @$_, start_calls("/status/503?retry_after=$_->[0]", qq[{"max": 1, "delay": "$_->[1] ms"}]) ] } (
	[ '1', 10, 1 ], [ '1', 1200, 1.2 ], [ '0', 20, 0.02 ], [ '-1', 20, 0.02 ], [ 'soon', 20, 0.02 ],
	[ 'Sun%2C%2006%20Nov%201994%2008%3A49%3A37%20GMT', 20, 0.02 ], [ 'Sun%2C%2099%20Foo%202030%2025%3A61%3A61%20GMT', 20, 0.02 ]);
for (@wishes)
{
	my ($header, $delay, $pause, $instance) = @$_;
	$scene->finish($instance);
	is_between((gaps($scene->requests($instance)))[0], $pause - $EARLY, $pause + $LATE, "Retry-After: $header with a delay of $delay ms");
}
for ($day, $year, $distant)
{
	$scene->wait_for_state($_, 'retrying');
	is($scene->sql("SELECT due_at - clock_timestamp() BETWEEN '23 hours 59 min' AND '24 hours' FROM workflow.visits WHERE instance = $_"), 't',
		'nobody is believed beyond a day');
}
$scene->wait_for_state($several, 'retrying');
is($scene->sql("SELECT due_at - clock_timestamp() BETWEEN '59 min' AND '1 hour' FROM workflow.visits WHERE instance = $several"), 't',
	'of several wishes the longest counts');
$scene->finish($bounded);
is($scene->incident($bounded)->{outcome}, 'TIMED_OUT', 'the timeout of the step does not wait for it');
is(scalar($scene->requests($bounded)), 1, 'nor is it called again');

# ---- timeouts of an attempt, connections ----

$scene->define('slow', qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/hang", "timeout": "150 ms", $H}, "retry": {"max": 2, "delay": "50 ms"}}]}]);
$scene->define('templated', qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/hang", "timeout": "\${\$.timeout}", $H}}]}]);
my $open = $scene->partner->stats->{open};
($instance, $status) = $scene->run('slow');
# it begins when the request is sent, which the partner sees a moment later
@gaps = gaps($scene->requests($instance));
is(scalar @gaps, 2, 'a timeout of 150 ms, a delay of 50 ms: attempts');
is_between($_, 0.15, 0.15 + $LATE, 'a timeout of 150 ms, a delay of 50 ms: the pause') for @gaps;
is($scene->incident($instance)->{error}{code}, 'timeout', 'the code of a timeout');
is($scene->incident($instance)->{error}{http_status}, undef, 'which has no status');
($instance, $status) = $scene->run('templated', { timeout => '0.1 s' });
is($scene->incident($instance)->{error}{code}, 'timeout', 'a timeout made of data');
($instance, $status) = $scene->run('templated', { timeout => 'soon' });
is($scene->incident($instance)->{error}{code}, 'template', 'one that is no interval is a template error');
is(scalar($scene->requests($instance)), 0, 'and sends nothing');
wait_until(sub { $scene->partner->stats->{open} <= $open }, 'connections of requests that were given up are closed');

# ---- a partner that is away ----

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
$scene->sql('DROP SERVER patient, covering'); # or a url would be of two servers
for my $option ("retry_max '-1'", "retry_max '2x'", "retry_delay '5 ms,'", "retry_delay 'soon'", "retry_backoff '0.5'", "retry_max_delay '-1 s'", "retry_on '200'", "retry_on '40001'")
{
	like($scene->error("ALTER SERVER partner OPTIONS (ADD $option)"), qr/^22023: invalid value for option "retry_/, "no server has $option");
}
$scene->sql("ALTER SERVER partner OPTIONS (ADD retry_backoff 'linear', ADD retry_max_delay '1 s', ADD retry_jitter '0')");

# ---- during a pause ----

# mended data go out with the next attempt
$instance = start_calls('/flaky?fail=1', '{"max": 1, "delay": "0.6 s"}');
$scene->wait_for_state($instance, 'retrying');
is($scene->sql("SELECT workflow.set_data($instance, '{\"amount\": 2}')"), 't', 'data can be mended during a pause');
is($scene->finish($instance), 'completed', 'and it goes on');
my @requests = $scene->requests($instance);
like($requests[0]{body}, qr/"amount": 1\b.*"attempt": 1\b|"attempt": 1\b.*"amount": 1\b/, 'the first attempt had the old ones');
like($requests[1]{body}, qr/"amount": 2\b.*"attempt": 2\b|"attempt": 2\b.*"amount": 2\b/, 'the second one has the mended ones');
is_between((gaps(@requests))[0], 0.6 - $EARLY, 0.6 + $LATE, 'at the time when it was due anyway');

# another path, too: the address was wrong
$scene->define('lost', qq[{"steps": [{"step": "call", "http": {"url": "\${\$.url}", $H}, "retry": {"max": 50, "delay": "0.1 s"}}]}]);
$instance = $scene->start('lost', { url => $scene->url('/status/500') });
$scene->wait_for_state($instance, 'retrying');
$scene->sql("SELECT workflow.set_data($instance, jsonb_build_object('url', '" . $scene->url('/ok') . "'))");
is($scene->finish($instance), 'completed', 'a mended address is called');

# completed, failed, cancelled, timed out
my %paused = map { $_ => start_calls('/status/503', '{"max": 3, "delay": "1 hour"}', '"wait": true, "timeout": "1 day", "save": {"response": "${$result.response}"}') }
  qw(completed failed cancelled);
my %sn;
for (sort keys %paused)
{
	$scene->wait_for_state($paused{$_}, 'retrying');
	$sn{$_} = $scene->serial($paused{$_});
}
is($scene->sql("SELECT workflow.complete('$sn{completed}', '{\"by\": \"hand\"}')"), 't', 'it can be completed during a pause');
is($scene->finish($paused{completed}), 'completed', 'and is then');
is_deeply($scene->data($paused{completed})->{response}, { by => 'hand' }, 'with what was said');
my $ended = $scene->history($paused{completed}, 'call');
is_deeply([ @{$ended}{qw(outcome attempts)}, $ended->{result}{initial_response} ], [ 'SUCCESS', 1, undef ], 'after one attempt that had no reply');
is($scene->sql("SELECT workflow.complete('$sn{completed}')"), 'f', 'once');
is($scene->sql("SELECT workflow.fail('$sn{failed}', 'GONE')"), 't', 'failed');
is($scene->finish($paused{failed}), 'failed', 'and is then');
is($scene->incident($paused{failed})->{outcome}, 'FAILED', 'with that outcome');
is($scene->sql("SELECT workflow.cancel($paused{cancelled}, 'no more')"), 't', 'cancelled');
is($scene->finish($paused{cancelled}), 'aborted', 'and is then');
is($scene->history($paused{cancelled}, 'call')->{outcome}, 'CANCELLED', 'with that outcome');

$instance = start_calls('/status/503', '{"max": 3, "delay": "1 hour"}', '"timeout": "0.4 s", "catch": [{"on": "TIMED_OUT", "next": "call"}]');
my ($first, $second) = $scene->wait_for_requests(2, $instance);
is_between($second->{time} - $first->{time}, 0.4 - 0.05, 0.4 + $LATE, 'timed out, when it is time');
$scene->sql("SELECT workflow.cancel($instance)");
is(scalar($scene->requests($paused{$_})), 1, "nothing is sent any more: $_") for sort keys %paused;

# a pause outlives a restart of the server, and is not longer for it
$instance = start_calls('/flaky?fail=1', '{"max": 1, "delay": "3 s"}');
$scene->wait_for_state($instance, 'retrying');
$scene->node->restart;
is($scene->finish($instance), 'completed', 'a pause outlives a restart');
is_between((gaps($scene->requests($instance)))[0], 3 - $EARLY, 3 + $LATE + 5, 'on the same clock');

# ---- SQL ----

$scene->sql('CREATE SEQUENCE tries; CREATE TABLE done (attempt int, said int);
	CREATE FUNCTION stumble(attempt int, code text, times int) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM nextval(\'tries\');
		INSERT INTO done VALUES (attempt, currval(\'tries\'));
		IF attempt <= times THEN RAISE EXCEPTION USING errcode = code, message = \'stumbled\'; END IF;
		RETURN attempt;
	END $$');
for (
	[ 'P0001', undef,       0, 'any error' ],
	[ 'P0001', '["P0001"]', 1, 'one that is named' ],
	[ '40001', '["40001"]', 1, 'a serialization failure that is named' ],
	[ '55P03', '["40P01", "55P03"]', 1, 'a lock that is not to be had, and is named' ],
	[ 'P0001', '["40001"]', 0, 'one that is not named' ])
{
	my ($code, $on, $retried, $name) = @$_;
	my $retry = '{"max": 2, "delay": "50 ms"' . (defined $on ? qq[, "on": $on] : '') . '}';
	$scene->sql(q[TRUNCATE done; SELECT setval('tries', 1, false)]);
	$scene->define("sql $name", qq[{"steps": [{"step": "try", "sql": "SELECT stumble(visit.attempt, '$code', 2) AS attempt", "save": {"attempt": "\${\$reply.row.attempt}"}, "retry": $retry}]}]);
	my ($instance, $status) = $scene->run("sql $name");
	is($status, $retried ? 'completed' : 'failed', "SQL: $name is " . ($retried ? '' : 'not ') . 'retried');
	is($scene->sql('SELECT string_agg(attempt || \' \' || said, \', \') FROM done'), $retried ? '3 3' : '', 'what failed has left nothing');
	if ($retried)
	{
		is($scene->data($instance)->{attempt}, 3, 'the third attempt did it');
		my @attempts = attempts($instance);
		is(join(' ', map { $_->{error}{sqlstate} // 'none' } @attempts), "$code $code none", 'all three can be looked at');
		is_between($attempts[$_]{began} - $attempts[ $_ - 1 ]{ended}, 0.05 - $EARLY, 0.05 + $LATE, 'with the pause between them') for 1, 2;
	}
	else
	{
		is($scene->incident($instance)->{error}{sqlstate}, $code, 'its SQLSTATE is there');
	}
}

# ---- looking back ----

$instance = start_calls('/flaky?fail=2&status=502', '{"max": 5, "delay": "100 ms"}');
$scene->finish($instance);
my @attempts = attempts($instance);
is(scalar @attempts, 3, 'each attempt can be looked at');
is(join(' ', map { $_->{attempt} } @attempts), '1 2 3', 'by its number');
is(join(' ', map { $_->{http_status} } @attempts), '502 502 200', 'with its status');
is(join(' ', map { $_->{error}{code} // 'none' } @attempts), '502 502 none', 'with its error');
like($attempts[0]{error}{message}, qr/502/, 'and what it means');
@requests = $scene->requests($instance);
for (0 .. 2)
{
	is_between($attempts[$_]{began}, $requests[$_]{time} - $LATE, $requests[$_]{time} + 0.02, 'when it was sent');
	is_between($attempts[$_]{ended}, $attempts[$_]{began}, $attempts[$_]{began} + $LATE, 'when it was answered');
}
is($scene->sql("SELECT count(*) FROM workflow.attempts a JOIN workflow.history h USING (serial_number) WHERE h.instance = $instance"), 3, 'of which visit');
$instance = start_calls('/ok', '{"max": 5}');
$scene->finish($instance);
is(scalar(attempts($instance)), 0, 'what succeeds at once has nothing to look back at');

# ---- many at once ----

my @many = split /\n/, $scene->sql("SELECT workflow.start('in the end', jsonb_build_object('url', '" . $scene->url('/flaky?fail=1') . "')) FROM generate_series(1, 200)");
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE instance >= $many[0] AND status = 'completed'", 200, 'two hundred that fail once');
is($scene->sql("SELECT min(attempts), max(attempts) FROM workflow.history WHERE instance >= $many[0]"), '2|2', 'each of them tried twice');

# the same for a hundred instances at once: none waits for another
$scene->define('hundred', calls('/flaky?fail=3', '{"max": 3, "delay": "150 ms"}'));
my $before = time();
$scene->sql(q[SELECT count(workflow.start('hundred')) FROM generate_series(1, 100)]);
is_soon($scene->node, 'postgres', q[SELECT count(*) FROM workflow.instances WHERE process = 'hundred' AND status = 'completed'], 100,
	'a hundred instances get through three failures each');
is_between(time() - $before, 0.45, 20, 'in the time of one');

ok(!log_has($scene->node, qr/PANIC|was terminated by signal/), 'nothing has crashed');
$scene->node->stop;
done_testing();
