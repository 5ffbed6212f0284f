#
# Worker slots are few: those of others may leave none for executors, or not even for a dispatcher. That is said in the log,
# and all gets done nevertheless, as soon as there is one.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

# one for the launcher, one for the dispatcher, one for all executors
my $node = new_server('slots', conf => "max_worker_processes = 3\nmax_logical_replication_workers = 0\nmax_parallel_workers = 0\nworkflow.executors = 4\n");
my $partner = Partner->start;
add_http_server($node, $partner);
$node->safe_psql(
	'postgres', q[
	CREATE TABLE effect (sn text);
	SELECT workflow.define('sql', '{"steps": [
		{"step": "one", "sql": "INSERT INTO effect SELECT visit.serial_number FROM pg_sleep(0.02)"},
		{"step": "two", "sql": "INSERT INTO effect SELECT visit.serial_number FROM pg_sleep(0.02)"}]}');
	SELECT workflow.define('call', '{"steps": [{"step": "call", "http": {"server": "partner", "path": "/echo"}}]}')]);
$node->safe_psql('postgres', "SELECT workflow.start('sql') FROM generate_series(1, 40); SELECT workflow.start('call') FROM generate_series(1, 10)");
is_soon($node, 'postgres', 'SELECT count(*), count(DISTINCT sn) FROM effect', '80|80', 'one executor does the work of all');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'workflow executor'"), 1, 'there was room for one');
ok(log_has($node, qr/no background worker slot is free for a workflow executor.*\n.*\n.*Increase max_worker_processes/), 'the log says so, and what to do');
cmp_ok(count_in_log($node, qr/no background worker slot is free/), '<', 10, '... not over and over');
is($node->safe_psql('postgres', "SELECT count(*) FROM workflow.incidents"), 0, 'no incident');

# ---- none for executors: requests, clocks and completions do without ----

$node->append_conf('postgresql.conf', "max_worker_processes = 2\n");
my $offset = -s $node->logfile; # upkeep asks for an executor at once
$node->restart;
wait_for_workers($node, 'postgres');
$node->safe_psql('postgres', "SELECT workflow.start('sql') FROM generate_series(1, 5); SELECT workflow.start('call') FROM generate_series(1, 10)");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'call' AND status = 'completed'", 20, 'without any executor requests are sent');
wait_until(sub { log_has($node, qr/no background worker slot is free for a workflow executor/, $offset) }, 'the log says that SQL has to wait');
is($node->safe_psql('postgres', "SELECT count(*) FROM workflow.visits WHERE step = 'one' AND state = 'calling'"), 5, 'it stands');
is_soon($node, 'postgres', "SELECT blocked_by, count(*) FROM workflow.visits GROUP BY 1", 'worker slot|5', '... and says what it waits for');
is($node->safe_psql('postgres', "SELECT kind, pid, database, state FROM workflow.workers WHERE pid IS NULL"), 'executor||postgres|no free worker slot', 'so does the view workers');
my $dispatcher = wait_for_workers($node, 'postgres');
my $before = cpu_seconds($dispatcher);
my $slept = switches($dispatcher);
sleep 3;
cmp_ok(cpu_seconds($dispatcher) - $before, '<', 0.3, 'waiting for a slot costs no time');
cmp_ok(switches($dispatcher) - $slept, '<', 100, '... but a look now and then');

# ---- none for a dispatcher ----

$node->append_conf('postgresql.conf', "max_worker_processes = 1\n");
$node->restart;
$offset = -s $node->logfile;
is($node->safe_psql('postgres', "SELECT count(workflow.start('sql')) FROM generate_series(1, 5)"), 5, 'clients do without a dispatcher');
wait_until(sub { log_has($node, qr/no background worker slot is free for a workflow dispatcher/) }, 'the log says that there is none');
is_soon($node, 'postgres', "SELECT kind, database, pid IS NOT NULL, state FROM workflow.workers ORDER BY pid", "launcher||t|running\ndispatcher|postgres|f|no free worker slot",
	'only the launcher runs, and it is shown what is missing');
is_soon($node, 'postgres', "SELECT DISTINCT blocked_by FROM workflow.visits WHERE step = 'one'", 'worker slot', 'visits wait for it');
cmp_ok(count_in_log($node, qr/no background worker slot is free for a workflow dispatcher/, $offset), '<', 3, 'which is not said over and over');

$node->append_conf('postgresql.conf', "max_worker_processes = 8\n");
$node->restart;
is_soon($node, 'postgres', 'SELECT count(*), count(DISTINCT sn) FROM effect', '100|100', 'when there are slots all is done, each once');
is($node->safe_psql('postgres', "SELECT count(*) FROM workflow.workers WHERE pid IS NULL"), 0, 'and nothing is missing');

# ---- a slot that comes free is taken ----

$node->append_conf('postgresql.conf', "max_worker_processes = 3\n");
$node->restart;
$node->safe_psql('postgres', 'CREATE DATABASE other');
add_extension($node, 'other');
wait_for_workers($node, 'other');
$node->safe_psql('postgres', "SELECT workflow.start('sql')");
stays(1, sub { $node->safe_psql('postgres', "SELECT count(*) FROM workflow.visits WHERE step = 'one'") }, 1, 'another database has taken the last one');
$node->safe_psql('postgres', 'DROP DATABASE other');
is_soon($node, 'postgres', 'SELECT count(*) FROM effect', 102, 'when it is gone the work is done');

$node->stop;
done_testing();
