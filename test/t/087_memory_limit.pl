#
# Workers limit their own memory: what takes too much becomes an incident that names the setting, and the server lives.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use WorkflowTest;

plan skip_all => 'a sanitizer maps memory of its own' if ($ENV{LD_PRELOAD} // '') =~ /asan/;

my $scene = Scene->new('memory_limit', conf => <<'EOC');
workflow.executor_memory = 100MB
workflow.dispatcher_memory = 100MB
workflow.move_timeout = 60s
max_parallel_workers = 4
EOC
my $node = $scene->node;

sub limit_mb
{
	my ($pid) = @_;
	return slurp_file("/proc/$pid/limits") =~ /^Max data size\s+(\d+)/m ? $1 / (1024 * 1024) : 'none';
}

sub incident_of
{
	my ($name, @start) = @_;
	my ($instance) = $scene->run($name, @start);
	return $scene->incident($instance)->{error} // {};
}

# ---- SQL ----

$scene->define('greedy', q[{"steps": [{"step": "sql", "sql": "SELECT length(repeat('x', (visit.data->>'mb')::int * 1000000)) AS n"}]}]);
my $error = incident_of('greedy', { mb => 300 });
is("$error->{code} $error->{sqlstate}", '53200 53200', 'SQL that takes too much memory is an incident');
like($error->{message}, qr/more memory than workflow.executor_memory allows/, '... that names the setting');
my ($instance, $status) = $scene->run('greedy', { mb => 5 });
is($status, 'completed', 'what takes less is done');
my $executor = worker_pid($node, 'executor', 'postgres');
is(limit_mb($executor), 100, 'the same executor goes on, under its limit');

# many small pieces of memory, which PostgreSQL itself asks for in blocks
$scene->define('many', q[{"steps": [{"step": "sql", "sql": "SELECT length(string_agg(repeat('x', 1000), '')) FROM generate_series(1, 300000)"}]}]);
is(incident_of('many')->{code}, '53200', 'a value that grows');
$scene->define('document', q[{"steps": [{"step": "sql", "sql": "SELECT count(*) FROM (SELECT jsonb_agg(n) AS j FROM generate_series(1, 3000000) n) s WHERE j IS NOT NULL"}]}]);
is(incident_of('document')->{code}, '53200', 'many small values');

# ---- parallel workers, whose memory is their own ----

$scene->sql(q[CREATE TABLE spread AS SELECT n FROM generate_series(1, 1000) n;
	ALTER TABLE spread SET (parallel_workers = 2);
	CREATE FUNCTION greedy(n int) RETURNS int LANGUAGE plpgsql PARALLEL SAFE COST 100000 AS $$ BEGIN
		IF NOT pg_is_in_recovery() AND current_setting('workflow.parallel_memory') <> '100MB' THEN RETURN -1; END IF;
		RETURN CASE WHEN n = 500 THEN length(repeat('x', 300000000)) ELSE 0 END; END $$;
	ALTER DATABASE postgres SET parallel_leader_participation = off;
	ALTER DATABASE postgres SET parallel_setup_cost = 0;
	ALTER DATABASE postgres SET min_parallel_table_scan_size = 0]);
$scene->sql("SELECT pg_terminate_backend($executor)");
wait_until(sub { my $pid = worker_pid($node, 'executor', 'postgres'); !$pid || $pid != $executor }, 'a new executor reads the settings of the database');
$scene->define('parallel', '{"steps": [{"step": "sql", "sql": "SELECT sum(greedy(n)) FROM spread"}]}');
$error = incident_of('parallel');
is($error->{code}, '53200', 'the same in a parallel worker');
like($error->{message}, qr/more memory than workflow.executor_memory allows/, '... is known to be the limit of the executor');
my (undef, undef, $stderr) = $node->psql('postgres', 'SELECT length(repeat(\'x\', 300000000))');
is($stderr, '', 'sessions of clients have no such limit');

# ---- moves ----

# 5.5 million values of one path
my $items = q[(repeat('{"a": ', 55) || '1' || repeat('}', 55))::jsonb];
$scene->define('bomb', q[{"steps": [{"step": "clock", "wait": {"after": "10 ms"}},
	{"step": "choose", "choose": [{"when": "exists($ ? (@.**.**.**.**.** == \"none\"))", "next": "end"}, {"next": "end"}]}, {"step": "end", "end": true}]}]);
my $dispatcher = wait_for_workers($node, 'postgres');
is(limit_mb($dispatcher), 100, 'a dispatcher has a limit');
$instance = $scene->sql("SELECT workflow.start('bomb', $items)");
$scene->finish($instance);
$error = $scene->incident($instance)->{error};
is($error->{sqlstate}, '53200', 'a move that takes too much is an incident');
like($error->{message}, qr/more memory than workflow.executor_memory allows/, '... after an executor has tried it');
is(wait_for_workers($node, 'postgres'), $dispatcher, 'the dispatcher lives');

# ---- answers ----

# many that together are more than the dispatcher has room for, of which it may give up some
$scene->sql("ALTER SYSTEM SET workflow.dispatcher_memory = '200MB'");
$node->reload;
wait_until(sub { limit_mb($dispatcher) eq '200' }, 'a reload changes the limit of the dispatcher');
$scene->define('large', q[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/huge?bytes=3000000"}, "retry": {"max": 50, "delay": "100 ms"}}]}]);
$scene->sql("SELECT count(workflow.start('large')) FROM generate_series(1, 30)");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'large' AND status = 'completed'", 30, 'answers that are too much together');
# one that is too large by itself
$scene->server('huge', $scene->url, "max_response '200MB'");
$scene->define('huge', q[{"steps": [{"step": "call", "http": {"server": "huge", "path": "/huge?bytes=150000000"}, "retry": {"max": 1, "delay": "100 ms"}}]}]);
($instance, $status) = $scene->run('huge');
is($status, 'failed', 'an answer that is too large by itself is an incident');
is(wait_for_workers($node, 'postgres'), $dispatcher, 'the dispatcher lives all the while');

# ---- reload ----

$scene->sql("ALTER SYSTEM SET workflow.executor_memory = '1GB'");
$scene->sql("ALTER SYSTEM SET workflow.dispatcher_memory = 0");
$node->reload;
is_soon($node, 'postgres', "SELECT current_setting('workflow.executor_memory')", '1GB', 'another limit');
$scene->sql("SELECT workflow.retry(serial_number) FROM workflow.incidents WHERE process IN ('greedy', 'bomb')");
is_soon($node, 'postgres', "SELECT string_agg(DISTINCT status, ' ') FROM workflow.instances WHERE process IN ('greedy', 'bomb')", 'completed', 'with more memory they are done');
is(limit_mb($dispatcher), 'none', '0 is none');
my (undef, undef, $refused) = $node->psql('postgres', "ALTER SYSTEM SET workflow.executor_memory = '1MB'");
like($refused, qr/It must be 0 or at least 64 MB/, 'a limit under which nothing works is refused');
ok(!log_has($node, qr/PANIC|terminated by signal/), 'no process was killed');

$node->stop;
done_testing();
