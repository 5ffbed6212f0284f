#
# The memory of workers does not grow with their age: as much after 20,000 small steps as after the first few thousand.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

plan skip_all => 'a sanitizer keeps what is freed' if ($ENV{LD_PRELOAD} // '') =~ /asan/;

my $node = new_server('memory', conf => "workflow.executors = 1\nlog_statement = none\nautovacuum = off\n");
my $partner = Partner->start;
add_http_server($node, $partner);
$node->safe_psql(
	'postgres', q[
	CREATE TABLE effect (n bigint);
	CREATE TABLE orders (id bigint PRIMARY KEY, status text);
	SELECT workflow.define('small', '{"steps": [
		{"step": "call", "http": {"server": "partner", "path": "/echo", "body": {"n": "${$.n}"}}, "save_reply": {"said": "${$reply.body.body.n}"}},
		{"step": "clock", "wait": {"after": "1 ms"}},
		{"step": "async", "async": true, "set": {"a": "${$.n}"}},
		{"step": "sql", "sql": "INSERT INTO effect VALUES ((visit.data->>''said'')::bigint)"},
		{"step": "fail", "sql": "SELECT 1/0", "catch": [{"on": "*", "next": "end"}]},
		{"step": "end", "end": true}]}');
	SELECT workflow.define('order', '{"steps": [{"step": "clock", "wait": {"after": "1 ms"}}]}');
	SELECT workflow.attach('orders', 'order', status_column => 'status')]);

my $done = 0;
sub run
{
	my ($n) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	# in small portions, as they come in life
	for (1 .. 10)
	{
		my $first = $done + 1;
		$done += $n / 10;
		$node->safe_psql('postgres', "SELECT count(workflow.start('small', jsonb_build_object('n', n))) FROM generate_series($first, $done) n;"
			. "INSERT INTO orders SELECT n FROM generate_series($first, $done) n");
	}
	is_soon($node, 'postgres', "SELECT (SELECT count(*) FROM effect), (SELECT count(*) FROM orders WHERE status = 'completed'), (SELECT count(*) FROM workflow_data.instance)",
		"$done|$done|0", "$done instances have ended");
}

# The executor that serves the owner; the one that makes partitions serves nobody, and comes and goes.
sub pids
{
	return (
		dispatcher => worker_pid($node, 'dispatcher', 'postgres'),
		launcher => worker_pid($node, 'launcher'),
		executor => $node->safe_psql('postgres', "SELECT pid FROM workflow.workers WHERE kind = 'executor' AND role = 'postgres'"));
}

# What is kept for later use is there after a few rounds; what is lost is lost in every one.
run(1000);
my %grown;
for my $round (1 .. 4)
{
	my %pid = pids();
	my %before = map { $_ => private_kb($pid{$_}) } grep { $pid{$_} ne '' } keys %pid;
	run(3000);
	my %now = pids();
	%grown = map { $_ => defined $before{$_} && $now{$_} eq $pid{$_} ? private_kb($pid{$_}) - $before{$_} : 'nothing known' } keys %pid;
	diag("round $round: " . join ', ', map { "$_ $grown{$_} kB" } sort keys %grown);
	last if !grep { $_ eq 'nothing known' || $_ >= 2048 } values %grown;
}
ok($grown{$_} ne 'nothing known' && $grown{$_} < 2048, "the $_ has grown by $grown{$_} kB") for sort keys %grown;

$node->stop;
done_testing();
