#
# What brings the server down each time it is worked on: after a crash workers do one thing at a time, on record, and three deaths
# while a visit was alone under work make an incident of it. A server that is killed for other reasons blames nobody.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $scene = Scene->new('deadly', conf => "workflow.executors = 3\nlog_min_messages = log\n");
my $node = $scene->node;

# SQL that says where it runs, and waits to be killed
$scene->sql(q[CREATE UNLOGGED TABLE effect (n bigint);
	CREATE FUNCTION deadly() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3600); RETURN 1; END $$]);
$scene->define('deadly', '{"steps": [{"step": "sql", "sql": "SELECT deadly()"}]}');
$scene->define('good', '{"steps": [{"step": "call", "http": {"server": "partner", "path": "/echo"}}, {"step": "clock", "wait": {"after": "10 ms"}}, {"step": "sql", "sql": "SELECT 1"}]}');
$scene->define('stand', '{"steps": [{"step": "sql", "sql": "SELECT pg_sleep((visit.data->>\'s\')::float)"}]}');

sub pid_of
{
	my ($query) = @_;
	my $pid;
	my $end = time() + 60;
	until (defined $pid && $pid ne '')
	{
		die "nobody runs $query\n" if time() > $end;
		sleep 0.05;
		(undef, $pid) = eval { $node->psql('postgres', "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND backend_type LIKE 'workflow executor%' LIMIT 1") };
	}
	return $pid;
}

# As the kernel does when memory is short.
sub kill_executor
{
	my ($pid) = @_;
	my $starts = count_in_log($node, qr/database system is ready to accept connections/);
	kill 'KILL', $pid;
	wait_until(sub { count_in_log($node, qr/database system is ready to accept connections/) > $starts }, 'the server restarts');
}

my $done = "SELECT count(*) FROM workflow.instances WHERE process = 'good' AND status = 'completed'";
my $incidents = 'SELECT count(*) FROM workflow.incidents';

# ---- a server that is killed for other reasons ----

for my $n (1 .. 5)
{
	crash($node);
	start_again($node);
	$scene->sql("SELECT workflow.start('good') FROM generate_series(1, 20)");
	is_soon($node, 'postgres', $done, 20 * $n, "killed $n times while nothing is under work: all goes on");
}
# different visits are under work each time, and the one before comes to its end
for my $n (1 .. 4)
{
	my $instance = $scene->start('stand', { s => 2 });
	pid_of('it');
	crash($node);
	start_again($node);
	is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $instance", 'completed', "killed while visit $n was under work: it is done later");
}
is($scene->sql($incidents), 0, 'nobody is blamed');

# ---- what brings it down each time ----

$node->restart;
my $deadly = $scene->start('deadly');
kill_executor(pid_of('deadly')); # not counted: it may have been anybody
for my $n (1 .. 3)
{
	my $pid = pid_of('deadly');
	is($scene->sql($incidents), 0, "after $n crashes it is tried again");
	$scene->sql("SELECT workflow.start('good') FROM generate_series(1, 5)") if $n == 1;
	kill_executor($pid);
}
is_soon($node, 'postgres', "SELECT error->>'code' FROM workflow.incidents WHERE instance = $deadly", 'died', 'three deaths while it was alone make an incident');
like($scene->incident($deadly)->{error}{message}, qr/the server died 3 times/, '... that says so');
ok(log_has($node, qr/LOG:  workflow: the server has died 2 times in a row while visit \d+ was the only one under work/), 'the log has told of it');
is_soon($node, 'postgres', $done, 105, 'others go on');

# by hand it is begun anew, and counted anew
is($scene->sql("SELECT workflow.retry(serial_number) FROM workflow.incidents WHERE instance = $deadly"), 't', 'it can be tried again by hand');
kill_executor(pid_of('deadly'));
pid_of('deadly');
is($scene->sql($incidents), 0, '... and is counted anew');
$scene->sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND backend_type LIKE 'workflow executor%'");
is_soon($node, 'postgres', "SELECT error->>'code' FROM workflow.incidents WHERE instance = $deadly", '57014', 'and may fail in another way');
$scene->sql("SELECT workflow.cancel($deadly)");

# ---- one at a time, but nobody waits for long ----

my $slow = $scene->start('stand', { s => 13 });
pid_of('slow');
my $begin = time();
$scene->sql("SELECT workflow.start('good') FROM generate_series(1, 200)");
is_soon($node, 'postgres', $done, 305, 'others wait for one that is slow');
my $took = time() - $begin;
is_between($took, 5, 30, sprintf('... but not to its end (%.1f s)', $took));
is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $slow", 'completed', 'it is done as well');
$begin = time();
$scene->sql("SELECT workflow.start('good') FROM generate_series(1, 300)");
is_soon($node, 'postgres', $done, 605, 'many small ones');
$took = time() - $begin;
cmp_ok($took, '<', 15, sprintf('... take no time (%.1f s)', $took));

# ---- after an ordinary start nothing is written, and all work at once ----

my $file = $node->data_dir . '/pg_stat_tmp/workflow.under_work';
ok(-e $file, 'there is a record');
$node->restart;
wait_for_workers($node, 'postgres');
my $before = (stat $file)[9];
sleep 1.1;
$scene->sql("SELECT workflow.start('good') FROM generate_series(1, 20)");
is_soon($node, 'postgres', $done, 625, 'after an ordinary start');
is((stat $file)[9], $before, '... nothing is put on record');

$node->stop;
done_testing();
