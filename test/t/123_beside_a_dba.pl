#
# What administrators do to databases and tables does not stop the workers: settings of a database, renamed roles,
# maintenance that rewrites tables, publications of all tables, other tablespaces, templates.
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

my $node = new_server('dba', streaming => 'logical', extension => 0, conf => "max_connections = 40\nworkflow.retention = '90 days'\n");
my $partner = Partner->start;
sub sql { return $node->safe_psql('shop', shift) }

sub set_up
{
	my ($database) = @_;
	add_extension($node, $database);
	add_http_server($node, $partner, database => $database);
	$node->safe_psql(
		$database, q[
		CREATE TABLE effect (sn text, who name DEFAULT current_user);
		CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, state text);
		SELECT workflow.define('all', '{"steps": [
			{"step": "http", "http": {"server": "partner", "path": "/flaky"}, "retry": {"max": 2, "delay": "10 ms"}},
			{"step": "clock", "wait": {"after": "10 ms"}},
			{"step": "sql", "sql": "INSERT INTO effect VALUES (visit.serial_number)"}]}');
		SELECT workflow.define('stand', '{"steps": [{"step": "stand", "wait": true}, {"step": "sql", "sql": "INSERT INTO effect VALUES (visit.serial_number)"}]}');
		SELECT workflow.attach('orders', 'all', status_column => 'state')]);
}

# An order is worked off, and so is an instance that somebody completes.
sub works
{
	my ($name, $database) = @_;
	$database //= 'shop';
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($id, $instance) = split /\n/, $node->safe_psql($database, "INSERT INTO orders DEFAULT VALUES RETURNING id; SELECT workflow.start('stand')");
	$node->safe_psql($database, "SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = $instance");
	is_soon($node, $database, "SELECT state || ' ' || (SELECT status FROM workflow.instances WHERE instance = $instance) FROM orders WHERE id = $id",
		'completed completed', $name);
}

sub restart_worker
{
	my ($database) = @_;
	my $old = wait_for_workers($node, $database);
	my $end = time() + 60;
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$database' AND backend_type LIKE 'workflow%'");
	while (time() < $end)
	{
		my $pid = worker_pid($node, 'dispatcher', $database);
		return if $pid && $pid != $old;
	}
	die "the dispatcher of $database does not come back\n";
}

$node->safe_psql('postgres', 'CREATE DATABASE shop');
set_up('shop');
works('at first');

# ---- settings of the database, made for people ----

my $space = $node->basedir . '/first_space';
mkdir $space;
$node->safe_psql('postgres', "CREATE TABLESPACE first_space LOCATION '$space'");
sql(q[SELECT 'DROP TABLE ' || inhrelid::regclass FROM pg_inherits WHERE inhparent::regclass::text ~ '_history$' \gexec]);
sql('CREATE SCHEMA trap; CREATE FUNCTION trap.now() RETURNS timestamptz LANGUAGE sql AS $$SELECT NULL::timestamptz$$');
my %setting = (
	default_tablespace => 'first_space',
	default_transaction_read_only => 'on',
	default_transaction_isolation => 'serializable',
	default_transaction_deferrable => 'on',
	statement_timeout => "'1ms'",
	lock_timeout => "'1ms'",
	idle_in_transaction_session_timeout => "'1ms'",
	idle_session_timeout => "'1ms'",
	search_path => 'trap, pg_catalog, public',
	session_replication_role => 'replica',
	synchronous_commit => 'off',
	enable_indexscan => 'off',
	enable_bitmapscan => 'off',
	plan_cache_mode => 'force_custom_plan',
	exit_on_error => 'on',
	row_security => 'off',
	datestyle => "'German, DMY'",
	intervalstyle => 'sql_standard',
	timezone => "'Pacific/Kiritimati'",
	bytea_output => 'escape',
	xmloption => 'document',
	escape_string_warning => 'on',
	extra_float_digits => '-10',
	role => 'pg_monitor');
# not every version has every one
my %known = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', 'SELECT lower(name) FROM pg_settings');
$node->safe_psql('postgres', "ALTER DATABASE shop SET $_ = $setting{$_}") for grep { $known{$_} || $_ eq 'role' } sort keys %setting;
restart_worker('shop');
# sessions of this test have their own
$ENV{PGOPTIONS} = join(' ', map { "-c $_" } 'default_transaction_isolation=read\\ committed', 'search_path=public', 'session_replication_role=origin', 'role=none',
	map { "$_=0" } qw(default_transaction_read_only statement_timeout lock_timeout idle_in_transaction_session_timeout idle_session_timeout exit_on_error));
works('with settings that would stop anybody');
works('... again');
is_soon($node, 'shop', q[SELECT count(*), count(*) FILTER (WHERE reltablespace <> 0) FROM pg_class WHERE relispartition AND relnamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace)], '15|0',
	'partitions are made where the rest of the database is');
delete $ENV{PGOPTIONS};
$node->safe_psql('postgres', 'ALTER DATABASE shop RESET ALL');
restart_worker('shop');

# ---- publications of all tables ----

sql('CREATE PUBLICATION everything FOR ALL TABLES');
works('while all tables are published');
sql('CREATE TABLE workflow_data.attempt_history_20200106 (LIKE workflow_data.attempt_history); '
	  . 'ALTER TABLE workflow_data.attempt_history_20200106 REPLICA IDENTITY FULL; '
	  . "ALTER TABLE workflow_data.attempt_history ATTACH PARTITION workflow_data.attempt_history_20200106 FOR VALUES FROM ('2020-01-06 00:00+00') TO ('2020-01-13 00:00+00')");
my $sn = sql("SELECT workflow.start('stand'); SELECT serial_number FROM workflow.waiting ORDER BY since DESC LIMIT 1");
($sn) = $sn =~ /(\d+_\d+)/;
sql("SELECT workflow.complete('$sn'), workflow.complete('$sn')");
my ($old) = $sn =~ /^(\d+)/;
is_soon($node, 'shop', "SELECT status FROM workflow.instances WHERE instance = $old", 'completed', 'an instance has ended');
sql("UPDATE workflow_data.process SET retention = '1 day' WHERE process = 'stand'; UPDATE workflow_data.instance_history SET ended_at = '2020-01-07' WHERE instance = $old");
is(sql('SELECT count(*) FROM workflow.late_callbacks'), 1, 'something old is there');
sql("UPDATE workflow_data.delivery SET due_at = clock_timestamp() WHERE kind = 'maintain'");
works('while upkeep is due');
is_soon($node, 'shop', "SELECT count(*) FROM workflow.late_callbacks", 0, 'upkeep can delete, too');
sql("UPDATE workflow_data.process SET retention = NULL WHERE process = 'stand'");
is_soon($node, 'shop', "SELECT to_regclass('workflow_data.attempt_history_20200106') IS NULL", 't', 'and drop');
sql('DROP PUBLICATION everything');

# ---- maintenance ----

for my $command ('VACUUM FULL workflow_data.visit', 'VACUUM FULL workflow_data.instance', 'CLUSTER workflow_data.instance USING instance_pkey',
	'REINDEX TABLE workflow_data.visit', 'REINDEX TABLE CONCURRENTLY workflow_data.visit', 'REINDEX SCHEMA workflow', 'ANALYZE', 'VACUUM ANALYZE',
	'ALTER TABLE workflow_data.visit SET (fillfactor = 70)', 'DISCARD ALL', 'CHECKPOINT')
{
	sql($command);
	works("after $command");
}

# workers know where they have seen rows: these are elsewhere then, and the table ends before that
sql(q[SELECT workflow.define('held', '{"steps": [{"step": "http", "http": {"server": "partner", "path": "/held", "headers": {"X-Instance": "${$instance}"}}}]}');
	SELECT count(workflow.start('stand')) FROM generate_series(1, 3000)]);
my @held = split /\n/, sql("SELECT workflow.start('held') FROM generate_series(1, 20)");
is_soon($node, 'shop', "SELECT in_flight FROM workflow.servers WHERE server = 'partner'", 20, 'requests are under way');
sql("SELECT workflow.cancel(instance, '') FROM workflow.instances WHERE process = 'stand' AND status = 'active'");
sql($_) for 'VACUUM FULL workflow_data.instance', 'VACUUM FULL workflow_data.visit';
$partner->let_go($_) for @held;
is_soon($node, 'shop', "SELECT count(*) FROM workflow.history WHERE process = 'held' AND outcome = 'SUCCESS' AND attempts = 1", 20, 'after tables have become shorter');
my $session = $node->background_psql('shop');
$session->query_safe('BEGIN; LOCK TABLE workflow_data.visit IN ACCESS EXCLUSIVE MODE');
sleep 1;
$session->query_safe('COMMIT');
works('after a lock on the whole table');
$session->query_safe('BEGIN; LOCK TABLE workflow_data.visit_history IN SHARE UPDATE EXCLUSIVE MODE');
works('while somebody analyses the history');
restart_worker('shop');
works('... and workers start');
$session->query_safe('COMMIT');
$session->quit;

# ---- roles ----

sql(q[
	CREATE ROLE alice; GRANT USAGE ON SCHEMA workflow TO alice; GRANT EXECUTE ON FUNCTION workflow.define TO alice; GRANT INSERT ON effect TO alice;
	SET ROLE alice;
	SELECT workflow.define('hers', '{"steps": [{"step": "stand", "wait": true}, {"step": "sql", "sql": "INSERT INTO effect VALUES (visit.serial_number)"}]}');
	SELECT workflow.start('hers')]);
sql('ALTER ROLE alice RENAME TO alina');
sql("SELECT workflow.complete(serial_number) FROM workflow.waiting");
is_soon($node, 'shop', "SELECT who FROM effect WHERE who LIKE 'al%'", 'alina', 'a role that was renamed keeps its processes');
is(sql("SELECT owner FROM workflow.processes WHERE process = 'hers'"), 'alina', '... under its new name');

# ---- other places ----

my $directory = $node->basedir . '/space';
mkdir $directory;
$node->safe_psql('postgres', "CREATE TABLESPACE space LOCATION '$directory'");
$node->safe_psql('postgres', 'ALTER DATABASE shop SET TABLESPACE space');
works('in another tablespace');
$node->safe_psql('postgres', 'ALTER DATABASE shop SET TABLESPACE pg_default');
works('and back');
ok(!log_has($node, qr/is a copy/), 'it is no copy');

# ---- a template that has the extension ----

add_extension($node, 'template1');
wait_for_workers($node, 'template1');
$node->safe_psql('postgres', 'CREATE DATABASE from_template');
$node->safe_psql('from_template', 'DROP EXTENSION workflow');
set_up('from_template');
works('a database made from a template with the extension, which was made anew', 'from_template');
$node->safe_psql('postgres', 'CREATE DATABASE at_once');
$node->safe_psql('at_once', "SELECT workflow.define('clock', '{\"steps\": [{\"step\": \"clock\", \"wait\": {\"after\": \"10 ms\"}}]}'); SELECT workflow.start('clock')");
is_soon($node, 'at_once', "SELECT count(*) FROM workflow.instances WHERE status = 'completed'", 1, 'one that takes it as it is');
ok(!log_has($node, qr/is a copy/), 'where nothing was defined nothing is a copy');
is(count_in_log($node, qr/PANIC|terminated by signal/), 0, 'nobody has died');

$node->stop;
done_testing();
