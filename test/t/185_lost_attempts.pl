#
# Attempts that were under way when the server, or the dispatcher, ended are on record, and in the timeline; others are not.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use WorkflowTest;

my $scene = Scene->new('lost', options => "max_in_flight '2', breaker 'off'");
my $node = $scene->{node};
my $headers = Scene::HEADERS;
$scene->server('other', $scene->{partner}->url, "breaker 'off'");
$scene->define('held', qq[{ "steps": [ { "step": "call", "http": { "server": "partner", "path": "/held", "headers": { $headers } } } ] }]);
$scene->define('paused', qq[{ "steps": [ { "step": "call", "http": { "server": "other", "path": "/status/503", "headers": { $headers } }, "retry": { "max": 1, "delay": "1 day" } } ] }]);
$scene->define('called', qq[{ "steps": [ { "step": "call", "http": { "server": "other", "path": "/held", "headers": { $headers } }, "wait": true } ] }]);

sub lost
{
	my ($instance) = @_;
	return $scene->sql("SELECT coalesce(string_agg(attempt || ' ' || coalesce(error ->> 'code', 'well') || ' ' || (started_at < ended_at), ', ' ORDER BY ended_at), '') "
		  . "FROM workflow.attempts WHERE instance = $instance");
}

sub story
{
	my ($instance) = @_;
	return $scene->sql("SELECT string_agg(line, '; ' ORDER BY n) FROM workflow.timeline($instance) WITH ORDINALITY t (line, n) WHERE line LIKE '%: attempt %'");
}

my @held = map { $scene->start('held') } 1 .. 2;
$scene->wait_for_requests(1, $_) for @held;
my $behind = $scene->start('held');
my $paused = $scene->start('paused');
is_soon($node, 'postgres', "SELECT state FROM workflow.visits WHERE instance = $paused", 'retrying', 'one pauses before its second attempt');
my $called = $scene->start('called');
$scene->wait_for_requests(1, $called);
is($scene->sql("SELECT workflow.complete(serial_number) FROM workflow.visits WHERE instance = $called"), 't', 'one is completed before its reply');
is($scene->sql('SELECT count(*) FROM workflow.attempts'), 1, 'nothing else is on record');

# ---- the server is killed ----

my $offset = -s $node->logfile;
crash_at_once($node);
start_again($node);
$scene->wait_for_requests(2, $_) for @held;
is(lost($_), '1 lost true', 'the attempt that was under way is on record') for @held;
is(lost($behind), '', 'not one that was not sent');
is(lost($paused), '1 503 true', 'nor one that was answered');
is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $called", 'completed', 'what was completed is not sent again');
is(lost($called), '', '... and has lost nothing');
like(story($held[0]), qr/attempt 1 was interrupted: the server, or its worker, ended before the answer came/, 'the timeline says so');
is($scene->sql("SELECT attempt FROM workflow.visits WHERE instance = $held[0]"), 0, 'it was not counted');

# ---- the dispatcher is ended, and another one after it ----

my $dispatcher = worker_pid($node, 'dispatcher', 'postgres');
$scene->sql("SELECT pg_terminate_backend($dispatcher)");
$scene->wait_for_requests(3, $_) for @held;
is(lost($held[0]), '1 lost true, 1 lost true', 'so does it for a dispatcher that was ended');
is(lost($behind), '', 'but not for what waits');

# ---- a shutdown ----

$node->restart;
$scene->wait_for_requests(4, $_) for @held;
is(lost($held[1]), '1 lost true, 1 lost true, 1 lost true', '... and for a shutdown');

# ---- answered at last; what is ended then has left nothing ----

$scene->let_go($_) for @held;
is($scene->finish($_), 'completed', 'it is answered') for @held;
is($scene->sql("SELECT outcome, attempts FROM workflow.history WHERE instance = $held[0]"), 'SUCCESS|1', 'at its first attempt that was counted');
unlike(story($held[0]), qr/by hand/, 'nobody has begun it again by hand');
$scene->wait_for_requests(1, $behind);
$scene->let_go($behind);
is($scene->finish($behind), 'completed', 'so is what has waited');
my $before = $scene->sql('SELECT count(*) FROM workflow.attempts');
$dispatcher = worker_pid($node, 'dispatcher', 'postgres');
$scene->sql("SELECT pg_terminate_backend($dispatcher)");
wait_until(sub { my $pid = worker_pid($node, 'dispatcher', 'postgres'); $pid && $pid != $dispatcher }, 'another dispatcher');
my $last = $scene->start('held');
$scene->wait_for_requests(1, $last);
is($scene->sql('SELECT count(*) FROM workflow.attempts'), $before, 'what was answered is not on record again');

# ---- a database that is dropped leaves no file ----

ok((grep { /workflow\.sent/ } glob $node->data_dir . '/pg_stat_tmp/*'), 'there is a file');
$node->safe_psql('template1', 'DROP DATABASE postgres WITH (FORCE)');
is_deeply([ grep { /workflow\.sent/ } glob $node->data_dir . '/pg_stat_tmp/*' ], [], 'which goes with the database');

done_testing();
