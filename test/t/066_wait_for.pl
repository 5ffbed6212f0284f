#
# CALL workflow.wait_for from psql, as a batch job would: what it prints, how it exits, how soon it hears of the end.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $node = new_server('wait_for');
sub sql { return $node->safe_psql('postgres', shift) }
sql(
	q[
	CREATE ROLE viewer LOGIN; CREATE ROLE stranger LOGIN;
	GRANT USAGE ON SCHEMA workflow TO viewer, stranger;
	SELECT workflow.define('clock', '{"steps": [{"step": "clock", "wait": {"after": "${$.after}"}}, {"step": "sql", "sql": "SELECT 1"}]}');
	SELECT workflow.define('stand', '{"steps": [{"step": "stand", "wait": true}]}');
	SELECT workflow.define('fails', '{"steps": [{"step": "clock", "wait": {"after": "300 ms"}}, {"step": "sql", "sql": "SELECT 1/0"}]}');
	SELECT workflow.define('aborts', '{"steps": [{"step": "clock", "wait": {"after": "300 ms"}, "end": {"abort": "no"}}]}');
	SELECT workflow.grant_process('stand', 'viewer', 'view')]);

# (exit status, output, errors, seconds)
sub batch
{
	my ($call, @options) = @_;
	my $begin = time();
	my ($stdout, $stderr);
	IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', @options, '-d', $node->connstr('postgres'), '-f', '-' ],
		'<', \$call, '>', \$stdout, '2>', \$stderr);
	chomp $stdout;
	return ($? >> 8, $stdout, $stderr, time() - $begin);
}

sub gives
{
	my ($call, $output, $most, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $stdout, $stderr, $took) = batch($call);
	is("$status $stdout", "0 $output", $name) or diag($stderr);
	cmp_ok($took, '<', $most, sprintf('... after %.2f s', $took));
}

sub fails
{
	my ($call, $state, $pattern, $name, @options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $stdout, $stderr, $took) = batch($call, @options);
	is($status, 3, "$name: psql exits with 3");
	like($stderr, qr/ERROR:  $state: .*$pattern/s, '... and says why');
	return $took;
}

sub start { my ($process, $after) = @_; return sql("SELECT workflow.start('$process', '{\"after\": \"" . ($after // '') . "\"}')") }

# ---- the end ----

my $instance = start('clock', '500 ms');
gives("CALL workflow.wait_for($instance)", 'completed', 10, 'an instance that completes');
gives("CALL workflow.wait_for($instance)", 'completed', 5, 'one that has ended');
gives('CALL workflow.wait_for(' . start('aborts') . ", '60 s')", 'aborted', 10, 'one that is aborted');
gives('CALL workflow.wait_for(' . start('fails') . ')', 'failed', 10, 'one that needs a person');
gives('CALL workflow.wait_for(' . start('fails') . ", status => 'completed')", 'failed', 10, '... who alone can bring it to the status that is waited for');
gives('CALL workflow.wait_for(' . start('stand') . ", status => 'active')", 'active', 5, 'one that has the status');

# ---- a step ----

sql(q[SELECT workflow.define('steps', '{"steps": [{"step": "clock", "wait": {"after": "${$.after}"}}, {"step": "sql", "sql": "SELECT 1"}, {"step": "stand", "wait": true}, {"step": "never", "wait": true}]}')]);
$instance = start('steps', '500 ms');
gives("CALL workflow.wait_for($instance, '60 s', step => 'stand')", 'active', 10, 'one that comes to a step');
is(sql("SELECT step FROM workflow.waiting WHERE instance = $instance"), 'stand', '... waits there then');
gives("CALL workflow.wait_for($instance, step => 'clock')", 'active', 5, 'one that has left it');
fails("CALL workflow.wait_for($instance, '300 ms', step => 'never')", '57014', "instance $instance did not come to step \"never\" within the timeout.*DETAIL:  Its status is \"active\"", 'one that does not');
fails("CALL workflow.wait_for($instance, '60 s', step => 'none')", '42704', 'process "steps" has no step "none" in version 1', 'a step that is not there');
gives("CALL workflow.wait_for($instance, '60 s', 'active', 'never')", 'active', 5, 'the status, if that comes first');
gives('CALL workflow.wait_for(' . start('aborts') . ", '60 s', step => 'clock')", 'active', 5, 'one that waits there at once');
gives('CALL workflow.wait_for(' . start('fails') . ", '60 s', step => 'sql')", 'failed', 10, 'one that is an incident there');
{
	# a move that changes no status, while it is waited for
	my $handle = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "CALL workflow.wait_for($instance, '60 s', step => 'never')" ], '>', \my $out);
	is_soon($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL workflow.wait_for($instance%' AND wait_event = 'Extension'", 1, 'somebody waits for a step');
	my $begin = time();
	sql("SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = $instance");
	$handle->finish;
	is($out, "active\n", '... and is woken by the move');
	cmp_ok(time() - $begin, '<', 5, sprintf('... after %.2f s', time() - $begin));
}

# ---- the timeout ----

my $standing = start('stand');
my $took = fails("CALL workflow.wait_for($standing, '700 ms')", '57014', "instance $standing did not end within the timeout.*DETAIL:  Its status is \"active\"", 'after the timeout');
cmp_ok($took, '>', 0.7, 'not before');
cmp_ok($took, '<', 5, sprintf('... but after %.2f s', $took));
my ($status) = batch("CALL workflow.wait_for($standing, '10 ms')\\g\nSELECT 'the job goes on'");
is($status, 3, 'a job that waited in vain does not go on');

# ---- errors ----

fails('CALL workflow.wait_for(4711)', '42704', 'does not exist', 'unknown');
fails("CALL workflow.wait_for($_)", '42704', "instance $_ does not exist", "never given to any: $_") for 0, -1;
fails("BEGIN; CALL workflow.wait_for($standing)", '25001', 'cannot run inside a transaction block', 'in a transaction');
fails("CALL workflow.wait_for($standing, '-1 s')", '22023', 'must not be negative', 'a negative timeout');
fails("CALL workflow.wait_for($standing, status => 'happy')", '22023', 'no status "happy"', 'no such status');
fails("SET statement_timeout = '300 ms'; CALL workflow.wait_for($standing)", '57014', 'statement timeout', 'statement_timeout');
fails("CALL workflow.wait_for($standing)", '42704', "instance $standing does not exist", 'a stranger hears of nothing', '-U', 'stranger');
sql("SELECT workflow.grant_process('stand', 'stranger', 'complete')");
fails("CALL workflow.wait_for($standing)", '42501', 'permission denied', 'who has another privilege hears what is missing', '-U', 'stranger');
fails("CALL workflow.wait_for($standing, '100 ms')", '57014', 'did not end', 'who may look may wait', '-U', 'viewer');

# ---- many at once ----

my @instances = map { start('stand') } 1 .. 5;
my @waiters;
for my $i (0 .. 19)
{
	my $session = $node->background_psql('postgres');
	$session->query_until(qr/waiting/, "\\echo waiting\nCALL workflow.wait_for($instances[$i % 5]);\n\\echo woken\n");
	push @waiters, $session;
}
is_soon($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL workflow.wait_for%' AND state = 'active' AND wait_event = 'Extension'", 20, 'twenty wait');
my $begin = time();
sql('SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance IN (' . join(',', @instances) . ')');
for (@waiters)
{
	$_->query_until(qr/completed\s+woken/, "\n");
}
$took = time() - $begin;
cmp_ok($took, '<', 5, sprintf('all have heard of it after %.2f s', $took));
$_->quit for @waiters;

# ---- cancelled, terminated, shut down ----

my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_until(qr/waiting/, "\\echo waiting\nCALL workflow.wait_for($standing);\n\\echo cancelled\n");
is_soon($node, 'postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = $pid AND query LIKE 'CALL%' AND wait_event = 'Extension'", 't', 'somebody cancels it');
$session->query_until(qr/cancelled/, "\n");
$session->query_until(qr/waiting/, "\\echo waiting\nCALL workflow.wait_for($standing);\n");
is_soon($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND query LIKE 'CALL%' AND wait_event = 'Extension'", 1, 'it waits again');
$begin = time();
$node->stop('fast');
cmp_ok(time() - $begin, '<', 3, 'a fast shutdown does not wait for those that wait');
eval { $session->quit };

done_testing();
