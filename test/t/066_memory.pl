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
	is_soon($node, 'postgres', "SELECT (SELECT count(*) FROM effect), (SELECT count(*) FROM orders WHERE status = 'completed'), (SELECT count(*) FROM workflow.instance)",
		"$done|$done|0", "$done instances have ended");
}

my %pid;
my %before;
run(1000);
$pid{$_} = worker_pid($node, $_, 'postgres') for qw(dispatcher executor);
$pid{launcher} = worker_pid($node, 'launcher');
$before{$_} = private_kb($pid{$_}) for keys %pid;
run(3000);
for (sort keys %pid)
{
	my $now = private_kb($pid{$_});
	cmp_ok($now - $before{$_}, '<', 2048, "the $_ has grown from $before{$_} to $now kB");
}
is(worker_pid($node, $_, 'postgres'), $pid{$_}, "it was the same $_ all the time") for qw(dispatcher executor);

$node->stop;
done_testing();
