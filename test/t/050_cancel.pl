#
# Asking the outside to stop: what is sent, when, what its answer and its callback are good for, and that nothing the outside
# does changes the outcome. Begun by workflow.cancel and cancel_visit, timeouts, silence, handlers.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $scene = Scene->new('cancel', options => "timeout '20 s'");
my $H = '"headers": {' . Scene::HEADERS . '}';
my $base = $scene->url;
my $local = $base =~ s/127\.0\.0\.1/localhost/r;
my $late = 20; # on a busy machine

# A step "work" that calls the url of the data and waits for a callback, then "after", which keeps what was caught.
my $defined = 0;
sub define_work
{
	my ($cancel, $more) = @_;
	my $name = 'work ' . ++$defined;
	my $headers = $cancel =~ /"headers"/ ? '' : '"headers": {"X-Instance": "${$instance}"}, ';
	$more = $more ? ", $more" : '';
	$scene->define($name, qq[{"data": {"url": "$base/accept/job?callback=none"}, "steps": [
		{"step": "work", "http": {"url": "\${\$.url}", $H, "body": {"sn": "\${\$serial_number}"}},
			"save_reply": {"job": "\${\$reply.body.id ?? null}"}, "wait": true, "cancel": {$headers$cancel},
			"catch": [{"on": ["CANCELLED", "TIMED_OUT", "DIED"], "next": "after"}], "end": true$more},
		{"step": "after", "set": {"caught": "\${\$caught}"}, "ignore_cancel": true}]}]);
	return $name;
}

sub start_work { return $scene->start(define_work(@_[ 0, 1 ]), $_[2] // {}) }

# The same, when it waits.
sub waiting_work
{
	my $instance = start_work(@_);
	$scene->wait_for_state($instance, 'waiting');
	return $instance;
}

sub cancel { return $scene->sql("SELECT workflow.cancel($_[0], 'enough')") }

# Wait for the end; requests after the first, and the history of "work".
sub cancelled
{
	my ($instance, $outcome, $name) = @_;
	is($scene->finish($instance), $outcome eq 'CANCELLED' ? 'aborted' : 'completed', "$name: the end");
	my $work = $scene->history($instance, 'work');
	is($work->{outcome}, $outcome, "$name: the outcome");
	is($work->{result}{status}, $outcome, "$name: the status of the result");
	is_deeply($scene->data($instance)->{caught}{result}, $work->{result}, "$name: the handler saw it");
	my (undef, @asked) = $scene->requests($instance);
	return ($work, @asked);
}

# ---- what is sent ----

my %case = (
	path      => [ '"path": "/stop/${$reply.body.id}?by=${$.job}"', {} ],
	url       => [ qq["url": "$base/stop/\${\$reply.body.id}"], {} ],
	'whole url' => [ '"url": "${$.stop}"', { stop => "$base/stop/here" } ],
	'after a 204' => [ '"path": "/stop/s${$reply.status}/${$serial_number}"', { url => "$base/204" } ],
	'url after a 204' => [ '"url": "${$.stop}"', { url => "$base/204", stop => "$base/stop/s204" } ],
	delete    => [ '"path": "/stop", "method": "DELETE"', {} ],
	body      => [ '"path": "/stop", "method": "put", "body": {"sn": "${$serial_number}", "job": "${$reply.body.id}", "status": "${$reply.status}", "attempt": "${$attempt}"}', {} ],
	text      => [ '"path": "/stop", "text": "stop ${$.job}"', {} ]);
my %instance = map { $_ => waiting_work("$case{$_}[0], \"timeout\": \"0\"", undef, $case{$_}[1]) } sort keys %case;
is(cancel($_), 't', 'cancelling is begun') for values %instance;
my %asked;
for my $name (sort keys %case)
{
	my ($work, @asked) = cancelled($instance{$name}, 'CANCELLED', $name);
	is(scalar @asked, 1, "$name: one cancel request");
	my ($first) = $scene->requests($instance{$name});
	is($asked[0]{headers}{'idempotency-key'}, "$first->{headers}{'idempotency-key'}-cancel", "$name: under a key of its own");
	is($asked[0]{headers}{'x-step'}, undef, "$name: with headers of its own");
	is($work->{result}{error}{code}, 'CANCELLED', "$name: the error");
	is($work->{result}{error}{message}, 'enough', "$name: the reason");
	is_deeply($work->{result}{cancel_response}, { ok => JSON::PP::true }, "$name: its answer is kept");
	is_deeply($work->{result}{response}, $work->{result}{initial_response}, "$name: the response is the reply, since there was no callback");
	is($work->{attempts}, 1, "$name: it is no attempt");
	$asked{$name} = $asked[0];
}
my $job = $scene->data($instance{path})->{job};
is_deeply([ @{ $asked{path} }{qw(method path body)}, $asked{path}{query}{by} ], [ 'POST', "/stop/$job", '', $job ], 'a path below the server, with $reply and data');
is($asked{url}{path}, '/stop/' . $scene->data($instance{url})->{job}, 'an absolute url');
is($asked{'whole url'}{path}, '/stop/here', 'a url that is all data');
like($asked{'after a 204'}{path}, qr{^/stop/s204/$instance{'after a 204'}_\d+$}, 'a reply without a body is a reply');
is($asked{'url after a 204'}{path}, '/stop/s204', 'and needs none for a url');
is($asked{delete}{method}, 'DELETE', 'another method');
is($asked{body}{method}, 'PUT', 'a method with a body');
is_deeply(
	JSON::PP::decode_json($asked{body}{body}),
	{ sn => $scene->history($instance{body}, 'work')->{serial_number}, job => $scene->data($instance{body})->{job}, status => 202, attempt => 1 },
	'a body of JSON');
is($asked{text}{body}, 'stop ' . $scene->data($instance{text})->{job}, 'a text');

# ---- how long its callback is waited for ----

%instance = (
	short   => waiting_work('"path": "/stop", "timeout": "0.5 s"'),
	made    => waiting_work('"path": "/stop", "timeout": "${$.patience}"', undef, { patience => '0.7 s' }),
	default => waiting_work('"path": "/stop"'),
	# its own answer comes later than that
	slow    => waiting_work('"path": "/delay?s=0.4", "timeout": "0.2 s"'));
cancel($_) for values %instance;
for ([ 'short', 0.5 ], [ 'made', 0.7 ], [ 'slow', 0.6 ])
{
	my ($name, $seconds) = @$_;
	my ($work, $asked) = cancelled($instance{$name}, 'CANCELLED', $name);
	is_between($work->{ended} - $asked->{time}, $seconds - 0.002, $seconds + $late, "$name: waited for $seconds s");
}
my $visit = $scene->wait_for_state($instance{default}, 'cancelling');
$scene->wait_for_requests(2, $instance{default});
is_soon($scene->node, 'postgres', "SELECT waits_for, until - since, deadline IS NULL FROM workflow.waiting WHERE instance = $instance{default}", 'cancel|00:00:30|t', 'the view waiting shows what confirmation is waited for, and until when');
like($scene->sql("SELECT * FROM workflow.timeline($instance{default})"), qr/now  work .*is being cancelled, CANCELLED: enough; the callback that confirms it is waited for until .*now  the instance is being cancelled: enough/s, '... so does its story');
like($scene->sql("SELECT * FROM workflow.timeline($instance{short})"), qr/work .*CANCELLED after .*: enough; asked to stop, its service answered: \{"ok": true\}/, 'which keeps what the cancel request was answered');
is_soon($scene->node, 'postgres', "SELECT due_at - clock_timestamp() BETWEEN '25 s' AND '30 s' FROM workflow.visits WHERE instance = $instance{default}", 't',
	'30 seconds, unless it says otherwise');
is($scene->sql("SELECT status FROM workflow.instances WHERE instance = $instance{default}"), 'active', 'meanwhile the instance lives');
is($scene->sql("SELECT workflow.heartbeat('$visit->{serial_number}')"), 'f', 'and the outside is told to stop');
is($scene->sql("SELECT workflow.extend('$visit->{serial_number}', '1 hour') IS NULL"), 't', 'without more time');
is(cancel($instance{default}), 't', 'cancelled twice');
is($scene->sql("SELECT workflow.complete('$visit->{serial_number}', '{\"stopped\": true}')"), 't', 'the callback is its end');
my ($work, @asked) = cancelled($instance{default}, 'CANCELLED', 'twice');
is(scalar @asked, 1, 'twice: asked once');
is_deeply($work->{result}{response}, { stopped => JSON::PP::true }, 'its data are the response');
is_deeply($work->{result}{callback_response}, { stopped => JSON::PP::true }, 'and the callback_response');
is($work->{result}{initial_response}{accepted}, 1, 'beside the initial one');
is(cancel($instance{default}), 'f', 'once it has ended it is too late to cancel it');
is($scene->sql("SELECT workflow.complete('$visit->{serial_number}')"), 'f', 'or to complete it');

# ---- the callback that it provokes ----

for (
	[ 'with a status', 'status=STOPPED', 'STOPPED' ],
	[ 'with success',  'status=SUCCESS', 'SUCCESS' ],
	[ 'late',          'status=STOPPED&after=0.5', 'STOPPED' ],
	[ 'by fail()',     'fail=STOPPED', undef ],
	[ 'twice',         'status=STOPPED&times=2', 'STOPPED' ])
{
	my ($name, $query, $status) = @$_;
	my $instance = waiting_work(qq["path": "/accept/stop?$query", "body": {"sn": "\${\$serial_number}"}, "timeout": "15 s"], '"success": "$result.response.status == \"SUCCESS\""');
	cancel($instance);
	my ($work, $asked) = cancelled($instance, 'CANCELLED', "a callback $name");
	is($work->{result}{callback_response}{status}, $status, "a callback $name: its data");
	ok($work->{result}{cancel_response}{accepted}, "a callback $name: and what the cancel request was answered");
	cmp_ok($work->{ended} - $asked->{time}, '<', 5, "a callback $name: it is not waited for longer");
	is($work->{result}{error}{code}, 'CANCELLED', "a callback $name: the error is that it was cancelled");
}
is_soon($scene->node, 'postgres', 'SELECT count(*) FROM workflow.late_callbacks', 2, 'the second of two came too late');
my @answers = map { $_->{answer} } $scene->partner->callbacks;
is(join('', sort @answers), 'fttttt', 'and was told so');

# without waiting: the callback comes while its request is under way
my $instance = waiting_work('"path": "/callback-first?status=STOPPED", "body": {"sn": "${$serial_number}"}, "timeout": "15 s"');
cancel($instance);
($work) = cancelled($instance, 'CANCELLED', 'a callback before the answer');
is($work->{result}{response}{status}, 'STOPPED', 'a callback before the answer: its data');
ok($work->{result}{cancel_response}{accepted}, 'a callback before the answer: the answer too');

# ---- a server that is full ----

# One place, which somebody has taken for as long as he likes, and others wait for: a cancel request has one of its own.
# By another name, since whole URLs are sent to the server that has them.
$scene->server('narrow', $local, "max_in_flight '1', timeout '1 hour'");
$scene->define('full', qq[{"steps": [{"step": "work", "http": {"server": "narrow", "path": "/hang/full", $H}}]}]);
my @full = map { waiting_at_full($_) } '/stop', '/hang/stop', '/hang/stop';
my @hanging = map { $scene->start('full') } 1 .. 3;
is_soon($scene->node, 'postgres', q[SELECT in_flight, parked FROM workflow.servers WHERE server = 'narrow'], '1|2', 'a server is full');
cancel($full[0]);
my (undef, @stops) = cancelled($full[0], 'CANCELLED', 'at a server that is full');
is_deeply([ map { $_->{path} } @stops ], ['/stop'], 'the cancel request is sent');
stays(1.5, sub { $scene->sql(q[SELECT in_flight, parked FROM workflow.servers WHERE server = 'narrow']) }, '1|2', 'its place is for nothing else');

# and when that is taken, too, nobody waits for ever; what comes of it is looked at in the end
cancel($full[1]);
is_soon($scene->node, 'postgres', q[SELECT in_flight, parked FROM workflow.servers WHERE server = 'narrow'], '2|2', 'the place is taken');
my $begin = time();
cancel($full[2]);

sub waiting_at_full
{
	my ($path) = @_;
	$scene->define("full $path", qq[{"steps": [
		{"step": "work", "http": {"server": "narrow", "path": "/accept/job?callback=none", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
			"cancel": {"path": "$path", "headers": {"X-Instance": "\${\$instance}"}, "timeout": "0.1 s"},
			"catch": [{"on": "CANCELLED", "next": "after"}], "end": true},
		{"step": "after", "set": {"caught": "\${\$caught}"}, "ignore_cancel": true}]}]);
	my $instance = $scene->start("full $path");
	$scene->wait_for_state($instance, 'waiting');
	return $instance;
}

# ---- it fails: that changes nothing ----

$scene->server('nobody', 'http://127.0.0.1:1');
$scene->server('slow', $scene->url('/slow'), "timeout '0.3 s'");
my $json = JSON::PP->new->canonical->allow_nonref;
my @failures = (
	[ '500',              '"path": "/status/500"', 1, '500' ],
	[ '404',              '"path": "/status/404"', 1, '404' ],
	[ 'no answer',        '"path": "/drop"', undef, 'connect' ],
	[ 'half an answer',   '"path": "/half"', 1, 'connect' ],
	[ 'broken JSON',      '"path": "/badjson"', 1, '"{\\"a\\": "' ],
	[ 'a timeout',        qq["url": "$base/slow/hang"], 1, 'timeout' ],
	[ 'nobody there',     '"url": "http://127.0.0.1:1/stop"', 0, 'connect' ],
	[ 'a missing value',  '"path": "/stop/${$reply.body.nothing}"', 0, 'template' ],
	[ 'a missing url',    '"url": "${$.nothing}"', 0, 'template' ],
	[ 'no such server',   '"url": "${$.elsewhere}"', 0, 'request' ],
	[ 'a broken url',     '"url": "${$.no_url}"', 0, 'request' ],
	[ 'a header that cannot be', '"path": "/stop", "headers": {"X-Job": "${$.two_lines}"}', 0, 'template' ]);
push @$_, start_work(qq[$_->[1], "timeout": "0.3 s"], undef, { elsewhere => 'http://127.0.0.2:1/stop', no_url => 'http://', two_lines => "a\nb" })
  for @failures;
$scene->wait_for_state($_->[4], 'waiting') for @failures;
cancel($_->[4]) for @failures;
for (@failures)
{
	my ($name, $cancel, $requests, $answer, $instance) = @$_;
	my ($work, @asked) = cancelled($instance, 'CANCELLED', "cancel fails with $name");
	is(scalar @asked, $requests, "cancel fails with $name: requests") if defined $requests;
	my $response = $work->{result}{cancel_response};
	is(ref $response eq 'HASH' && ref $response->{error} ? $response->{error}{code} : substr($json->encode($response), 0, 20), $answer, "cancel fails with $name: its answer, or why there was none");
	is($work->{result}{error}{code}, 'CANCELLED', "cancel fails with $name: the error is that it was cancelled");
}
is($scene->sql('SELECT count(*) FROM workflow.incidents'), 0, 'nothing of it is an incident');
my $response = $scene->history($failures[0][4], 'work')->{result}{cancel_response};
is_deeply([ $response->{error}{http_status}, $response->{body} ], [ 500, { status => 500 } ], 'an answer that is not 2xx is kept with its status');
like($scene->sql("SELECT * FROM workflow.timeline($failures[0][4])"), qr/asked to stop, which failed: the service answered 500: \{"status": 500\}/, 'the story tells of it');
like($scene->sql("SELECT * FROM workflow.timeline($failures[2][4])"), qr/asked to stop, which failed: connect, /, '... and of one that was not answered');

# nor does one that lacks what it needs, in a visit without a handler
$scene->define('unknown', qq({"steps": [
	{"step": "call", "http": {"server": "partner", "path": "/status/200", $H}, "wait": true,
	 "cancel": {"path": "/echo/\${\$reply.body.id}", "timeout": "100 ms"}}]}));
my $unknown = $scene->start('unknown');
$scene->wait_for_state($unknown, 'waiting');
$scene->sql("SELECT workflow.cancel($unknown, 'enough')");
is($scene->finish($unknown), 'aborted', 'a cancel request that cannot be built does not hold up the cancel');
is($scene->path($unknown), 'call:CANCELLED', '... or change its outcome');

# a callback can still come
$instance = waiting_work('"path": "/status/500"');
cancel($instance);
$scene->wait_for_requests(2, $instance);
$scene->wait_for_state($instance, 'cancelling');
is($scene->sql("SELECT workflow.complete(serial_number, '{\"status\": \"DONE\"}') FROM workflow.visits WHERE instance = $instance"), 't',
	'a callback after a failed cancel request');
($work) = cancelled($instance, 'CANCELLED', 'failed, then called back');
is($work->{result}{response}{status}, 'DONE', 'brings the response');

# ---- a request that is in flight is awaited first ----

$scene->server('slower', $scene->url('/slower'), "timeout '4 s'");
my $stop = '"path": "/stop/${$reply.status}", "timeout": "0.1 s"';
my $slow = { url => "$base/held" };
%instance = (
	cancelled => start_work($stop, undef, $slow),
	'timed out' => start_work($stop, '"timeout": "0.3 s"', $slow),
	hangs     => start_work('"path": "/stop/never", "timeout": "0.1 s"', undef, { url => "$base/slower/hang" }));
$scene->wait_for_requests(1, $_) for values %instance;
cancel($instance{cancelled});
cancel($instance{hangs});
is($scene->wait_for_state($instance{cancelled}, 'cancelling')->{state}, 'cancelling', 'it is being cancelled');
$scene->wait_for_state($instance{'timed out'}, 'cancelling');
my $replied = time();
$scene->let_go($_) for @instance{ 'cancelled', 'timed out' };
for (qw(cancelled), 'timed out')
{
	my ($work, @asked) = cancelled($instance{$_}, $_ eq 'cancelled' ? 'CANCELLED' : 'TIMED_OUT', "in flight, $_");
	is(scalar @asked, 1, "in flight, $_: asked once");
	is($asked[0]{path}, '/stop/200', "in flight, $_: the reply is known");
	is_between($asked[0]{time} - $replied, 0, $late, "in flight, $_: asked after the reply");
	is_deeply($work->{result}{initial_response}, { ok => JSON::PP::true }, "in flight, $_: it is in the result");
	is($work->{attempts}, 1, "in flight, $_: that was the attempt");
	ok(exists $scene->data($instance{$_})->{job}, "in flight, $_: save_reply is done");
}
($work, @asked) = cancelled($instance{hangs}, 'CANCELLED', 'no reply');
is(scalar @asked, 1, 'no reply: asked all the same');
is_between($asked[0]{time} - ($scene->requests($instance{hangs}))[0]{time}, 4 - 0.03, 4 + $late, 'no reply: after the timeout of the attempt');

# also by a timeout, since the cancel request may need it
$scene->define('timeout', qq({"steps": [
	{"step": "call", "http": {"server": "partner", "path": "/delay", "query": {"s": "1"}, $H}, "wait": true, "timeout": "200 ms",
	 "cancel": {"path": "/echo/\${\$reply.status}", "headers": {"X-Instance": "\${\$instance}"}, "timeout": "100 ms"},
	 "catch": [{"on": "TIMED_OUT", "next": "late"}]},
	{"step": "late", "end": true}]}));
my ($timed_out) = $scene->run('timeout');
is($scene->path($timed_out), 'call:TIMED_OUT late:SUCCESS', 'a timeout in flight');
my @requests = $scene->requests($timed_out);
is(join(' ', map { $_->{path} } @requests), '/delay /echo/200', 'asks to stop, with what the reply has brought');
is_between($requests[1]{time} - $requests[0]{time}, 0.95, 10, '... once that is there');

# nothing is sent again although it would be retried
$instance = start_work('"path": "/stop/now", "timeout": "0.1 s"', '"retry": {"max": 5, "delay": "10 ms"}', { url => "$base/held?status=503" });
$scene->wait_for_requests(1, $instance);
cancel($instance);
$scene->let_go($instance);
($work, @asked) = cancelled($instance, 'CANCELLED', 'a failing attempt');
is(join(' ', map { $_->{path} } @asked), '/stop/now', 'a failing attempt is not repeated');

# without "cancel" nothing is awaited
$scene->define('plain', qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "/hang", $H}, "wait": true}]}]);
$instance = $scene->start('plain');
$scene->wait_for_requests(1, $instance);
my $before = time();
cancel($instance);
is($scene->finish($instance), 'aborted', 'without "cancel" nothing is waited for');
cmp_ok(time() - $before, '<', 5, 'not even an answer');
is(scalar($scene->requests($instance)), 1, 'and nothing sent');

# ---- during a pause between attempts ----

$instance = start_work('"path": "/stop/pause", "timeout": "0.1 s"', '"retry": {"max": 5, "delay": "1 hour"}', { url => "$base/status/503" });
$scene->wait_for_state($instance, 'retrying');
cancel($instance);
($work, @asked) = cancelled($instance, 'CANCELLED', 'in a pause');
is(join(' ', map { $_->{path} } @asked), '/stop/pause', 'in a pause: asked, since an attempt may have had an effect');
is($work->{result}{initial_response}, undef, 'in a pause: there was no reply');

# ---- timeouts, silence ----

%instance = (
	'TIMED_OUT' => start_work('"path": "/accept/stop?status=STOPPED", "body": {"sn": "${$serial_number}"}', '"timeout": "0.4 s"'),
	'TIMED_OUT without an answer' => start_work('"path": "/stop", "timeout": "0.4 s"', '"timeout": "0.4 s"'),
	'DIED' => start_work('"path": "/accept/stop?status=STOPPED&after=2", "body": {"sn": "${$serial_number}"}', '"timeout": "1 hour", "heartbeat": "0.4 s"'));
for my $name (sort keys %instance)
{
	my ($outcome) = $name =~ /^(\w+)/;
	my ($work, $asked) = cancelled($instance{$name}, $outcome, $name);
	is_between($asked->{time} - $work->{began}, 0.4 - 0.002, 0.4 + $late, "$name: when it is time");
	is($work->{result}{error}{code}, $outcome, "$name: the error");
	is($work->{result}{response}{status}, $name eq 'TIMED_OUT' ? 'STOPPED' : undef, "$name: the response");
	ok(defined $work->{result}{cancel_response}, "$name: the answer of the cancel request");
	is_between($work->{ended} - $asked->{time}, 0.4 - 0.002, 0.4 + $late, "$name: confirmation is waited for") if $name =~ /without/;
	cmp_ok($work->{ended} - $asked->{time}, '<', 10, "$name: nothing is waited for") if $name eq 'DIED';
}
$scene->partner->wait_for(1, '/accept/stop');
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.late_callbacks WHERE serial_number LIKE '$instance{DIED}\\_%'", 1, 'what comes after DIED is late');

# with nobody to handle it, it is an incident, which can be taken up again
$scene->define('incident', qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "/accept/job?callback=none", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
	"timeout": "0.3 s", "cancel": {"path": "/stop/incident", "headers": {"X-Instance": "\${\$instance}"}, "timeout": "0.1 s"}}]}]);
$instance = $scene->start('incident');
is($scene->finish($instance), 'failed', 'a timeout without a handler');
is($scene->incident($instance)->{outcome}, 'TIMED_OUT', 'is an incident');
my $sn = $scene->serial($instance);
is($scene->sql("SELECT workflow.retry('$sn')"), 't', 'that can be taken up again');
$scene->wait_for_requests(4, $instance);
is_soon($scene->node, 'postgres', "SELECT state FROM workflow.visits WHERE instance = $instance", 'incident', 'and times out again');
is(join(' ', map { $_->{path} } $scene->requests($instance)), '/accept/job /stop/incident /accept/job /stop/incident', 'with all that belongs to it');
is($scene->sql('SELECT count(*) FROM workflow.incidents'), 1, 'it is one incident');
cancel($instance);
is($scene->finish($instance), 'aborted', 'cancelled, it is given up');

# ---- whatever an instance without "cancel" is doing ----

# a server at which nothing else is under way
$scene->server('jobs', $local, "timeout '20 s'");
$scene->define('job', qq[{"steps": [
	{"step": "job", "http": {"server": "jobs", "url": "\${\$.url}", $H}, "wait": {"callback": true, "when": "\$reply.status == 202"},
		"save_reply": {"replied": true}, "retry": {"max": 20, "delay": "300 ms"}},
	{"step": "done", "set": {"done": true}}]}]);

sub start_job
{
	my ($path, %data) = @_;
	return $scene->start('job', { url => "$local$path", %data });
}

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

my $answered = $scene->partner->stats->{'answered 202'};
$instance = start_job('/held?status=202');
$scene->wait_for_requests(1, $instance);
my $serial = $scene->serial($instance);
is_cancelled('while it is called', $instance, 'job:CANCELLED', 1);
is($scene->sql("SELECT workflow.complete('$serial')"), 'f', 'a callback of a cancelled visit is late');
$scene->let_go($instance);
wait_until(sub { $scene->partner->stats->{'answered 202'} > $answered }, 'the reply comes all the same');
is_soon($scene->node, 'postgres', "SELECT in_flight FROM workflow.servers WHERE server = 'jobs'", 0, 'and is read');
is($scene->data($instance)->{replied}, undef, 'but dropped');
is($scene->path($instance), 'job:CANCELLED', 'and moves nothing');

$instance = start_job('/flaky?fail=100');
$scene->wait_for_state($instance, 'retrying');
is($scene->sql("SELECT workflow.cancel($instance, 'enough')"), 't', 'during a pause: cancelled');
is($scene->finish($instance), 'aborted', 'during a pause: aborted');
my $sent = scalar($scene->requests($instance));
stays(0.5, sub { scalar($scene->requests($instance)) }, $sent, 'during a pause: nothing is sent any more');

my $waiting = start_job('/say?status=202');
$scene->wait_for_state($waiting, 'waiting');
is_cancelled('while it waits', $waiting, 'job:CANCELLED', 1);

my $incident = start_job('/status/404');
$scene->finish($incident);
is_cancelled('as an incident', $incident, 'job:CANCELLED', 1);
is($scene->sql("SELECT workflow.cancel(instance) FROM workflow.instances WHERE instance = $instance"), 'f', 'an instance that has ended');
like($scene->error('SELECT workflow.cancel(987654321)'), qr/^42704: /, 'one that never was');

# in a transaction that is rolled back
$instance = start_job('/say?status=202');
$scene->wait_for_state($instance, 'waiting');
$scene->sql("BEGIN; SELECT workflow.cancel($instance); ROLLBACK");
is($scene->sql("SELECT state FROM workflow.visits WHERE instance = $instance"), 'waiting', 'a cancel that was rolled back never happened');
$scene->sql("SELECT workflow.cancel($instance)");

# ---- moved away from a request that was answered with 202: its service is told ----

$scene->define('moved', qq[{"steps": [
	{"step": "call", "http": {"server": "partner", "path": "/accept?callback=none", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
	 "cancel": {"path": "/cancelled/\${\$reply.body.id}", "method": "DELETE", "timeout": "200 ms", $H},
	 "catch": [{"on": "*", "next": "sorry"}], "choose": [{"when": "\$.other == true", "next": "other"}, {"next": "end"}]},
	{"step": "other", "wait": true, "next": "end"},
	{"step": "sorry", "set": {"sorry": true}, "next": "end"},
	{"step": "end", "end": true}]}]);
$instance = $scene->start('moved');
$scene->wait_for_state($instance, 'waiting');
my $new = $scene->sql("SELECT workflow.move('@{[$scene->serial($instance)]}', 'other')");
is($scene->sql("SELECT step FROM workflow.waiting WHERE serial_number = '$new'"), 'other', 'the token is elsewhere at once');
is(($scene->wait_for_requests(2, $instance))[1]{method}, 'DELETE', 'and the service is asked to stop');
is_soon($scene->node, 'postgres', "SELECT outcome FROM workflow.history WHERE instance = $instance AND step = 'call'", 'CANCELLED', 'the old visit ends');
is($scene->sql("SELECT count(*) FROM workflow.visits WHERE instance = $instance"), 1, 'and goes nowhere');
is($scene->sql("SELECT workflow.complete('$new')"), 't', 'the new one is completed');
is($scene->finish($instance), 'completed', 'the instance too');
is($scene->path($instance), 'call:CANCELLED other:SUCCESS end:SUCCESS', 'without the handler');

# the same, completed before the service has confirmed: the instance waits for that
$instance = $scene->start('moved');
$scene->wait_for_state($instance, 'waiting');
$scene->sql("SELECT workflow.complete(workflow.move('@{[$scene->serial($instance)]}', 'other'))");
is($scene->finish($instance), 'completed', 'an instance whose last visit is being cancelled for a move completes');

# ---- one visit, not the instance ----

$instance = waiting_work('"path": "/accept/stop?status=STOPPED", "body": {"sn": "${$serial_number}"}');
$sn = $scene->serial($instance);
is($scene->sql("SELECT workflow.cancel_visit('$sn', 'just this')"), 't', 'a visit is cancelled');
is($scene->finish($instance), 'completed', 'its handler goes on, and the instance with it');
$work = $scene->history($instance, 'work');
is($work->{outcome}, 'CANCELLED', 'the outcome of the visit');
is($work->{result}{error}{message}, 'just this', 'the reason');
is($work->{result}{response}{status}, 'STOPPED', 'what the callback brought');
is($scene->data($instance)->{caught}{error}{code}, 'CANCELLED', 'what the handler saw');
is($scene->sql("SELECT workflow.cancel_visit('$sn')"), 'f', 'once it has ended it is too late');

# ---- handlers of clocks ----

$scene->define('interrupted', qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "/accept/job?callback=none", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
	"cancel": {"path": "/accept/stop?status=STOPPED&after=0.3", "body": {"sn": "\${\$serial_number}"}, "headers": {"X-Instance": "\${\$instance}"}},
	"catch": [{"after": "0.4 s", "save": {"saved": "\${\$caught}", "error": "\${\$error}", "reply": "\${\$reply.status}", "status": "\${\$result.status}"}, "next": "after"}], "end": true},
	{"step": "after", "set": {"caught": "\${\$caught}"}}]}]);
$instance = $scene->start('interrupted');
is($scene->finish($instance), 'completed', 'an interrupting handler goes on');
$work = $scene->history($instance, 'work');
my (undef, $asked) = $scene->requests($instance);
is($work->{outcome}, 'CANCELLED', 'what it interrupted is CANCELLED');
is($work->{result}{response}{status}, 'STOPPED', 'after the callback that confirms it');
is_between($asked->{time} - $work->{began}, 0.4 - 0.002, 0.4 + $late, 'asked when the clock struck');
is_between($work->{ended} - $asked->{time}, 0.3 - 0.002, 0.3 + $late, 'ended with the callback');
is($scene->data($instance)->{caught}{result}{response}{status}, 'STOPPED', 'as the handler sees');
my $data = $scene->data($instance);
is_deeply($data->{saved}, $data->{caught}, 'and as its "save" has seen');
is_deeply([ $data->{error}{code}, @{$data}{qw(reply status)} ], [ 'INTERRUPTED', 202, 'CANCELLED' ], 'which sees the reply and the result too');

# one that does not interrupt leaves a request alone
$scene->define('reminded', qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "/delay?s=1", $H}, "save_reply": {"status": "\${\$reply.status}"},
	"catch": [{"after": "0.2 s", "interrupt": false, "next": "remind"}], "end": true},
	{"step": "remind", "set": {"reminded": true}}]}]);
$instance = $scene->start('reminded');
is($scene->finish($instance), 'completed', 'a reminder while a request is under way');
is_deeply($scene->data($instance), { reminded => JSON::PP::true, status => 200 }, 'both come to their end');
is(scalar($scene->requests($instance)), 1, 'with one request');

$scene->define('reminded beside', qq({"steps": [
	{"step": "call", "http": {"server": "partner", "path": "/delay", "query": {"s": "1"}, $H},
	 "catch": [{"after": "200 ms", "interrupt": false, "next": "remind"}], "end": true},
	{"step": "remind", "set": {"reminded": true}, "end": true}]}));
my ($reminded, $status) = $scene->run('reminded beside');
is($status, 'completed', 'a handler begins beside a call');
is($scene->path($reminded), 'call:SUCCESS remind:SUCCESS', 'both end well');
is($scene->history($reminded, 'call')->{attempts}, 1, 'in one attempt');
is(scalar($scene->requests($reminded)), 1, 'for which one request was made');

# two visits of an instance: both are asked
$scene->define('both', qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "/accept/one?callback=none", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
		"cancel": {"path": "/stop/one", "headers": {"X-Instance": "\${\$instance}"}, "timeout": "0.1 s"}, "catch": [{"after": "0.1 s", "interrupt": false, "next": "second"}], "end": true},
	{"step": "second", "http": {"server": "partner", "path": "/accept/two?callback=none", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
		"cancel": {"path": "/stop/two", "headers": {"X-Instance": "\${\$instance}"}, "timeout": "0.3 s"}}]}]);
$instance = $scene->start('both');
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.waiting WHERE instance = $instance", 2, 'two visits wait');
cancel($instance);
is($scene->finish($instance), 'aborted', 'both are cancelled');
is(join(' ', sort map { $_->{path} } $scene->requests($instance)), '/accept/one /accept/two /stop/one /stop/two', 'both are asked');
is($scene->path($instance), 'work:CANCELLED second:CANCELLED', 'both end so');

# ---- steps that run all the same ----

$scene->define('final', qq[{"steps": [
	{"step": "work", "http": {"server": "partner", "path": "/accept/job?callback=none", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
		"cancel": {"path": "/accept/stop?status=STOPPED", "body": {"sn": "\${\$serial_number}"}, "headers": {"X-Instance": "\${\$instance}"}},
		"catch": [{"on": "CANCELLED", "next": "not sent"}]},
	{"step": "end", "end": true},
	{"step": "not sent", "http": {"server": "partner", "path": "/not-sent", $H}, "catch": [{"on": "CANCELLED", "next": "tell"}], "end": true},
	{"step": "tell", "http": {"server": "partner", "path": "/flaky/tell?fail=2", "method": "POST", $H, "body": {"status": "\${\$caught.result.status}"}}, "ignore_cancel": true,
		"retry": {"max": 3, "delay": "50 ms"}, "save_reply": {"told": "\${\$reply.status}"}},
	{"step": "not this either", "sql": "SELECT 1/0"}]}]);
$instance = $scene->start('final');
$scene->wait_for_state($instance, 'waiting');
cancel($instance);
is($scene->finish($instance), 'aborted', 'a final result is sent');
is($scene->path($instance), 'work:CANCELLED not sent:CANCELLED tell:SUCCESS not this either:CANCELLED', 'by the step that ignores it, and by no other');
my $unsent = $scene->history($instance, 'not sent')->{result};
is_deeply([ @{ $unsent->{error} }{qw(code message)} ], [ 'CANCELLED', 'enough' ], 'whose error says why');
is(join(' ', map { $_->{path} } $scene->requests($instance)), '/accept/job /accept/stop ' . join(' ', ('/flaky/tell') x 3), 'with its retries');
is($scene->data($instance)->{told}, 200, 'and what it saves');
is($scene->reason($instance)->{message}, 'enough', 'the reason is on record');

# one that is at work when it comes goes on, is heard, and can be completed
$scene->define('unmoved', qq[{"steps": [{"step": "work", "wait": true, "ignore_cancel": true, "timeout": "1 hour", "heartbeat": "1 hour", "save": true},
	{"step": "next", "set": {"entered": true}}]}]);
$instance = $scene->start('unmoved');
$scene->wait_for_state($instance, 'waiting');
is(cancel($instance), 't', 'an instance at a step that ignores it');
$sn = $scene->serial($instance);
is($scene->sql("SELECT workflow.heartbeat('$sn', '{\"percent\": 50}')"), 't', 'is still to be heard of');
is($scene->sql("SELECT workflow.complete('$sn', '{\"done\": 1}')"), 't', 'and completed');
is($scene->finish($instance), 'aborted', 'then it is aborted');
is_deeply($scene->data($instance), { done => 1 }, 'with what was done');
is($scene->path($instance), 'work:SUCCESS next:CANCELLED', 'and no more than that');

# a final step that fails stands, to be mended; cancelled once more, it is given up
$scene->define('stubborn', qq[{"steps": [{"step": "work", "wait": true, "catch": [{"on": "CANCELLED", "next": "tell"}], "end": true},
	{"step": "tell", "http": {"server": "partner", "path": "/status/404", $H}, "ignore_cancel": true}]}]);
my @stubborn = map { $scene->start('stubborn') } 1, 2;
for (@stubborn)
{
	$scene->wait_for_state($_, 'waiting');
	cancel($_);
	is($scene->finish($_), 'failed', 'a final step that fails is an incident');
}
is(cancel($stubborn[0]), 't', 'which can be given up');
is($scene->finish($stubborn[0]), 'aborted', 'by cancelling once more');
is($scene->sql("SELECT workflow.skip(serial_number) FROM workflow.incidents WHERE instance = $stubborn[1]"), 't', 'or skipped');
is($scene->finish($stubborn[1]), 'aborted', 'with the same end');

# a timeout that is being carried out when the instance is cancelled leaves no incident
$scene->define('overtaken', qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "/accept/job?callback=none", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
	"timeout": "0.2 s", "cancel": {"path": "/stop", "timeout": "1 hour"}}]}]);
$instance = $scene->start('overtaken');
$scene->wait_for_state($instance, 'cancelling');
cancel($instance);
$scene->sql("SELECT workflow.complete(serial_number) FROM workflow.visits WHERE instance = $instance");
is($scene->finish($instance), 'aborted', 'cancelled while it is being timed out');
is($scene->path($instance), 'work:TIMED_OUT', 'the outcome is that it began with');

# likewise while the service is asked in vain
$scene->define('times out', qq({"steps": [
	{"step": "call", "http": {"server": "partner", "path": "/status/200", $H}, "wait": true, "timeout": "200 ms",
	 "cancel": {"path": "/status/200", "timeout": "5 s"}}]}));
my $both = $scene->start('times out');
$scene->wait_for_state($both, 'cancelling');
$scene->sql("SELECT workflow.cancel($both)");
is($scene->finish($both), 'aborted', 'an instance cancelled while a visit times out is aborted');
is($scene->path($both), 'call:TIMED_OUT', '... with the outcome that came first');

# an incident whose service was told to stop does not say that it may go on
$scene->define('told to stop', qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "/accept/job?callback=none", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
	"timeout": "0.2 s", "cancel": {"path": "/stop", "timeout": "0"}}]}]);
$instance = $scene->start('told to stop');
is($scene->finish($instance), 'failed', 'a timeout that nobody catches is an incident');
$sn = $scene->serial($instance);
is($scene->sql("SELECT workflow.heartbeat('$sn')"), 'f', '... of which nothing is wanted any more');
is($scene->sql("SELECT workflow.extend('$sn', '1 hour') IS NULL"), 't', '... and which gets no more time');
is($scene->sql("SELECT workflow.retry('$sn'), workflow.heartbeat('$sn')"), 't|t', 'taken up again it is wanted');
cancel($instance);
is($scene->finish($instance), 'aborted', 'and is cancelled');

# ---- a visit that has called out and fails by itself: a handler, a condition or its wait cannot be worked out ----

my $call = qq["step": "work", "http": {"server": "partner", "path": "/accept/job?callback=none", $H, "body": {"sn": "\${\$serial_number}"}}];
my $stop = '"cancel": {"path": "/stop", "headers": {"X-Instance": "${$instance}"}, "timeout": "0"}';
my $beside = '"interrupt": false, "save": {"x": "${$.nothere}"}, "next": "beside"';
my %faulty = (
	'a handler by a message' => [ qq["wait": true, "catch": [{"message": "fail", "key": "\${\$instance}", $beside}]],
		sub { $scene->sql("SELECT workflow.send_message('fail', '$_[0]')") } ],
	'a handler by a callback' => [ qq["wait": {"after": "1 h"}, "catch": [{"callback": true, $beside}]],
		sub { $scene->sql('SELECT workflow.complete(' . "'" . $scene->serial($_[0]) . "')") } ],
	'a handler by a clock' => [ qq["wait": true, "catch": [{"after": "0.3 s", $beside}]], sub { } ],
	'a beat' => [ '"wait": true, "catch": [{"every": "${$.every ?? \"0.3 s\"}", "interrupt": false, "next": "beside"}]',
		sub { $scene->sql("SELECT workflow.set_data($_[0], '{\"every\": \"soon\"}')") } ],
	'a condition' => [ '"wait": true, "catch": [{"condition": "$.n > 0", "next": "beside"}]',
		sub { $scene->sql("SELECT workflow.set_data($_[0], '{\"n\": \"none\"}')") } ],
	'"when"' => [ '"first_of": [{"callback": true, "when": "$reply.body.id > 0", "next": "beside"}, {"after": "1 h", "next": "beside"}]', undef ],
	'save_reply' => [ '"wait": true, "save_reply": {"x": "${$reply.body.nothere}"}', undef ]);
my %fails;
for my $name (sort keys %faulty)
{
	my $more = $name eq 'save_reply' ? '' : ($name eq '"when"' ? '' : ', {"step": "end", "end": true}') . ', {"step": "beside", "end": true}';
	$scene->define("faulty: $name", qq[{"steps": [{$call, $stop, $faulty{$name}[0]}$more]}]);
	$fails{$name} = $scene->start("faulty: $name");
	next unless $faulty{$name}[1];
	$scene->wait_for_state($fails{$name}, 'waiting');
	$faulty{$name}[1]->($fails{$name});
}
for my $name (sort keys %faulty)
{
	is($scene->finish($fails{$name}), 'failed', "$name: a fault makes an incident");
	is($scene->incident($fails{$name})->{outcome}, 'SYSTEM_ERROR', "$name: of the system");
	my (undef, @asked) = $scene->requests($fails{$name});
	is(join(' ', map { $_->{path} } @asked), '/stop', "$name: the service is asked to stop first");
	cancel($fails{$name});
	is($scene->finish($fails{$name}), 'aborted', "$name: and it ends");
}

# ---- what interrupted it is told, not the callback that confirms that ----

$scene->define('interrupted', qq[{"steps": [
	{"step": "work", "http": {"url": "$base/accept/job?callback=none", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true, "cancel": {"path": "/stop"},
		"catch": [{"message": "stop work", "key": "\${\$instance}", "next": "after"}], "end": true},
	{"step": "after", "set": {"event": "\${\$caught.event}"}}]}]);
{
	my $instance = $scene->start('interrupted', {});
	$scene->wait_for_state($instance, 'waiting');
	is($scene->sql("SELECT workflow.send_message('stop work', '$instance', '7')"), 'delivered', 'a handler interrupts');
	is_soon($scene->node, 'postgres', "SELECT waits_for FROM workflow.waiting WHERE instance = $instance", 'cancel', '... and a callback is waited for');
	is($scene->sql("SELECT workflow.complete(serial_number, '8') FROM workflow.waiting WHERE instance = $instance"), 't', '... which comes');
	is($scene->finish($instance), 'completed', '... and the handler goes on');
	my $result = $scene->history($instance, 'work')->{result};
	is_deeply([ @{ $result->{event} }{qw(kind name data)}, $result->{callback_response} ], [ 'message', 'stop work', 7, 8 ], 'the history tells both');
	is_deeply($scene->data($instance)->{event}, $result->{event}, '... as the handler was told');
}

# ---- what takes no callback is not confirmed by one ----

$scene->define('closed', qq[{"steps": [{$call, "cancel": {"path": "/held", "headers": {"X-Instance": "\${\$instance}-stop"}, "timeout": "1 h"},
	"first_of": [{"callback": true, "when": "\$.open == true", "next": "a"}, {"after": "1 h", "next": "a"}]}, {"step": "a"}]}]);
my ($open, $closed) = map { $scene->start('closed', { open => $_ ? JSON::PP::true : JSON::PP::false }) } 1, 0;
for ($open, $closed)
{
	$scene->wait_for_state($_, 'waiting');
	cancel($_);
	$scene->wait_for_requests(1, "$_-stop");
}
like($scene->error("SELECT workflow.complete('" . $scene->serial($closed) . "')"), qr/^55000/, 'a callback that is not waited for is refused while the service is asked to stop');
$scene->let_go("$_-stop") for $open, $closed;
is($scene->finish($closed), 'aborted', 'and none is waited for when it has answered');
$scene->wait_for_state($open, 'cancelling');
is($scene->sql("SELECT workflow.complete('" . $scene->serial($open) . "')"), 't', 'one that is waited for may still come');
is($scene->finish($open), 'aborted', 'and is the end');

# ---- without any place, nobody waits for ever ----

(my $unasked, @stops) = cancelled($full[2], 'CANCELLED', 'without any place');
is($scene->sql("SELECT ended_at - to_timestamp($begin) BETWEEN '29 s' AND '60 s' FROM workflow.history WHERE instance = $full[2] AND step = 'work'"), 't', 'after 30 s');
is(scalar @stops, 0, 'nothing was sent');
is($unasked->{result}{cancel_response}{error}{code}, 'timeout', 'and it is known why');
cancel($_) for @hanging;
$scene->partner->restart;
is($scene->finish($full[1]), 'aborted', 'a cancel request that breaks off ends its visit, too');

# ---- an attached row shows it ----

$scene->sql('CREATE TABLE orders (id int PRIMARY KEY, sn text, state text)');
$scene->define('order', qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "/accept/job?callback=none", "headers": {"X-Instance": "order"}, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
	"cancel": {"path": "/stop", "headers": {"X-Instance": "order"}, "timeout": "0.1 s"}}]}]);
$scene->sql(q[SELECT workflow.attach('orders', 'order', serial_column => 'sn', status_column => 'state')]);
$scene->sql('INSERT INTO orders VALUES (1)');
$scene->wait_for_requests(1, 'order');
is_soon($scene->node, 'postgres', "SELECT state FROM orders WHERE sn IN (SELECT serial_number FROM workflow.waiting)", 'active', 'a row waits');
$scene->sql("SELECT workflow.cancel(instance) FROM workflow.instances WHERE process = 'order'");
is_soon($scene->node, 'postgres', 'SELECT state, sn IS NULL FROM orders', 'aborted|t', 'and shows that it was cancelled');
is(scalar($scene->requests('order')), 2, 'the outside was asked');

is($scene->sql('SELECT count(*) FROM workflow.visits'), 0, 'nothing is left');
ok(!log_has($scene->node, qr/PANIC|was terminated by signal|exited with exit code/), 'no worker has died of it');
$scene->node->stop;
done_testing();
