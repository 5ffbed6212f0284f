#
# What clocks and cancels do to a request that is in flight, and cancel requests that cannot be made.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use WorkflowTest;

my $scene = Scene->new('interruptions');
my $H = '"headers": {' . Scene::HEADERS . '}';

# ---- a handler beside a call ----

$scene->define('remind', qq({"steps": [
	{"step": "call", "http": {"server": "partner", "path": "/delay", "query": {"s": "1"}, $H},
	 "catch": [{"after": "200 ms", "interrupt": false, "next": "remind"}], "end": true},
	{"step": "remind", "set": {"reminded": true}, "end": true}]}));
my ($reminded, $status) = $scene->run('remind');
is($status, 'completed', 'a handler begins beside a call');
is($scene->path($reminded), 'call:SUCCESS remind:SUCCESS', 'both end well');
is($scene->history($reminded, 'call')->{attempts}, 1, 'in one attempt');
is(scalar($scene->requests($reminded)), 1, 'for which one request was made');

# ---- a timeout while the call is in flight: its reply is awaited, since the cancel request may need it ----

$scene->define('timeout', qq({"steps": [
	{"step": "call", "http": {"server": "partner", "path": "/delay", "query": {"s": "1"}, $H}, "wait": true, "timeout": "200 ms",
	 "cancel": {"path": "/echo/\${\$reply.status}", "headers": {"X-Instance": "\${\$instance}"}, "timeout": "100 ms"},
	 "catch": [{"on": "TIMED_OUT", "next": "late"}]},
	{"step": "late", "end": true}]}));
my ($late) = $scene->run('timeout');
is($scene->path($late), 'call:TIMED_OUT late:SUCCESS', 'a timeout in flight');
my @requests = $scene->requests($late);
is(join(' ', map { $_->{path} } @requests), '/delay /echo/200', 'asks to stop, with what the reply has brought');
is_between($requests[1]{time} - $requests[0]{time}, 0.95, 10, '... once that is there');

# ---- a cancel request that lacks what it needs is one that has failed ----

$scene->define('unknown', qq({"steps": [
	{"step": "call", "http": {"server": "partner", "path": "/status/200", $H}, "wait": true,
	 "cancel": {"path": "/echo/\${\$reply.body.id}", "timeout": "100 ms"}}]}));
my $unknown = $scene->start('unknown');
$scene->wait_for_state($unknown, 'waiting');
$scene->sql("SELECT workflow.cancel($unknown, 'enough')");
is($scene->finish($unknown), 'aborted', 'a cancel request that cannot be built does not hold up the cancel');
is($scene->path($unknown), 'call:CANCELLED', '... or change its outcome');

# ---- cancelled while it times out ----

$scene->define('both', qq({"steps": [
	{"step": "call", "http": {"server": "partner", "path": "/status/200", $H}, "wait": true, "timeout": "200 ms",
	 "cancel": {"path": "/status/200", "timeout": "1 s"}}]}));
my $both = $scene->start('both');
$scene->wait_for_state($both, 'cancelling');
$scene->sql("SELECT workflow.cancel($both)");
is($scene->finish($both), 'aborted', 'an instance cancelled while a visit times out is aborted');
is($scene->path($both), 'call:TIMED_OUT', '... with the outcome that came first');

# ---- moves that take too long for a dispatcher ----

$scene->sql("ALTER SYSTEM SET workflow.move_timeout = '5 ms'");
$scene->sql('SELECT pg_reload_conf()');
my $slow = '"x": "${$.a[*] ? (exists($.a[*] ? (@ + 0 > 20000))) ?? null}"';
my %data = (a => [ 1 .. 600 ]);

$scene->define('slow clock', qq({"steps": [
	{"step": "stand", "wait": {"after": "1 s"},
	 "catch": [{"after": "100 ms", "interrupt": false, "save": {$slow}, "next": "beside"}], "end": true},
	{"step": "beside", "end": true}]}));
my ($clock) = $scene->run('slow clock', \%data);
is($scene->path($clock), 'stand:SUCCESS beside:SUCCESS', 'an executor takes over a slow handler');

$scene->define('slow fault', qq({"steps": [
	{"step": "call", "http": {"server": "partner", "path": "/echo/\${\$.missing}"}, "catch": [{"on": "*", "next": "caught"}]},
	{"step": "caught", "set": {$slow}, "end": true}]}));
my ($fault) = $scene->run('slow fault', \%data);
is($scene->path($fault), 'call:SYSTEM_ERROR caught:SUCCESS', 'and a slow path behind a request that could not be built');

# what takes too long for an executor as well ends as an incident
$scene->sql("ALTER SYSTEM SET workflow.sql_timeout = '20 ms'");
$scene->sql('SELECT pg_reload_conf()');
$scene->define('too slow', qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "/echo"}, "save_reply": {$slow}}]}));
my ($too_slow, $ended) = $scene->run('too slow', { a => [ 1 .. 3000 ] });
is($ended, 'failed', 'a reply that takes for ever to be saved');
is($scene->incident($too_slow)->{outcome}, 'SYSTEM_ERROR', 'is an incident');
$scene->sql('ALTER SYSTEM RESET workflow.sql_timeout');
$scene->sql('ALTER SYSTEM RESET workflow.move_timeout');
$scene->sql('SELECT pg_reload_conf()');

# ---- many that are locked ----

$scene->define('crowd', '{"steps": [{"step": "stand", "wait": {"after": "100 ms"}}]}');
$scene->define('other', '{"steps": [{"step": "stand", "wait": {"after": "500 ms"}}]}');
$scene->sql("SELECT count(workflow.start('crowd')) FROM generate_series(1, 600)");
my $holder = $scene->node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT workflow.suspend_process('crowd')");
my ($other) = $scene->run('other');
is($scene->path($other), 'stand:SUCCESS', 'clocks strike behind hundreds that are locked');
$holder->query_safe('ROLLBACK');
$holder->quit;
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'crowd' AND status <> 'completed'", 0,
	'and those when they are not');

done_testing();
