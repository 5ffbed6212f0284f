#
# Several databases, and statements on whole databases and on the extension, with workers at work: they neither disturb one
# another nor are they held up.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $node = new_server('databases', extension => 0, conf => "max_worker_processes = 32\nworkflow.databases = 3\nworkflow.executors = 6\n");
my $partner = Partner->start;

sub set_up
{
	my ($database) = @_;
	add_extension($node, $database);
	add_http_server($node, $partner, database => $database);
	$node->safe_psql(
		$database, q[
		CREATE TABLE effect (value text);
		SELECT workflow.define('call', '{"steps": [
			{"step": "call", "http": {"server": "partner", "path": "/hang/${$.in}", "body": {"sn": "${$serial_number}"}}}]}');
		SELECT workflow.define('echo', '{"steps": [
			{"step": "echo", "http": {"server": "partner", "path": "/echo", "body": {"in": "${$.in}"}},
			 "save_reply": {"back": "${$reply.body.body.in}"}},
			{"step": "note", "sql": "INSERT INTO effect VALUES (visit.data->>''back'')"}]}');
		SELECT workflow.define('work', '{"steps": [{"step": "work", "sql": "SELECT pg_sleep(600)"}]}')]);
}

# Requests in flight and SQL under way
sub make_busy
{
	my ($database) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $n = () = $partner->requests("/hang/$database");
	$node->safe_psql($database, "SELECT workflow.start('call', '{\"in\": \"$database\"}') FROM generate_series(1, 5); SELECT workflow.start('work')");
	$partner->wait_for($n + 5, "/hang/$database");
	is_soon($node, $database, "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = '$database' AND wait_event = 'PgSleep'", 't', "$database is busy");
}

sub works
{
	my ($database, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$node->safe_psql($database, "TRUNCATE effect; SELECT workflow.start('echo', '{\"in\": \"$database\"}') FROM generate_series(1, 20)");
	is_soon($node, $database, 'SELECT count(*), min(value), max(value) FROM effect', "20|$database|$database", $name);
}

# Statements that want a database for themselves do not wait for what workers are doing.
sub quickly
{
	my ($database, $sql) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $begin = time();
	my ($status, $stdout, $stderr) = $node->psql($database, $sql);
	my $took = time() - $begin;
	unlike($stderr, qr/ERROR/, $sql) or diag($stderr);
	cmp_ok($took, '<', 8, sprintf('... takes %.2f s', $took));
}

my $count_workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'workflow %' AND datname = ";

# ---- two at once ----

$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(one two);
set_up($_) for qw(one two);
works($_, "$_ works") for qw(one two);
$node->safe_psql($_, "SELECT workflow.start('echo', '{\"in\": \"$_\"}') FROM generate_series(1, 200)") for qw(one two);
is_soon($node, $_, 'SELECT count(*), min(value), max(value) FROM effect', "220|$_|$_", "$_: all of its own, nothing of the other's") for qw(one two);
my ($one, $two) = map { wait_for_workers($node, $_) } qw(one two);
isnt($one, $two, 'each has a dispatcher');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($one)");
works('two', 'the end of one is nothing to the other');
works('one', 'and it is soon back');
is($node->safe_psql('postgres', "${count_workers}'postgres'"), 0, 'where the extension is not, nobody is');

# ---- DROP EXTENSION and CREATE EXTENSION ----

make_busy('one');
make_busy('two');
quickly('one', 'DROP EXTENSION workflow CASCADE');
is_soon($node, 'postgres', "${count_workers}'one'", 0, 'its workers leave');
works('two', 'the other goes on');
quickly('one', 'DROP TABLE effect');
set_up('one');
works('one', 'created again, it works');

make_busy('one');
my $session = $node->background_psql('one', on_error_stop => 0);
$session->query_safe('SET client_min_messages = warning; BEGIN; DROP EXTENSION workflow CASCADE');
is_soon($node, 'postgres', "${count_workers}'one'", 0, 'while it is being dropped nobody is there');
stays(1.5, sub { $node->safe_psql('postgres', "${count_workers}'one'") }, 0, '... as long as that takes');
$session->query_safe('ROLLBACK');
works('one', 'rolled back: they are back');
$session->query_safe('BEGIN; DROP EXTENSION workflow CASCADE; CREATE EXTENSION workflow; ROLLBACK');
works('one', 'dropped and created and rolled back');
$session->quit;

# without the right to do it nobody is disturbed
my $dispatcher = wait_for_workers($node, 'one');
$node->safe_psql('postgres', 'CREATE ROLE nobody_special LOGIN CREATEDB');
my @forbidden = ([ 'one', 'DROP EXTENSION workflow' ], [ 'postgres', 'DROP DATABASE one' ], [ 'postgres', 'ALTER DATABASE one RENAME TO three' ], [ 'postgres', 'CREATE DATABASE three TEMPLATE one' ]);
for (@forbidden)
{
	my ($database, $sql) = @$_;
	my (undef, undef, $stderr) = $node->psql($database, "SET ROLE nobody_special;\n$sql");
	like($stderr, qr/permission denied|must be owner/, "not allowed: $sql");
}
is(wait_for_workers($node, 'one'), $dispatcher, 'disturbs no worker');

# ---- statements on databases that are busy ----

make_busy('one');
quickly('postgres', 'ALTER DATABASE one RENAME TO uno');
works('uno', 'under its new name it works');
ok(!log_has($node, qr/is a copy/), 'and is no copy');
make_busy('uno');
quickly('postgres', 'CREATE DATABASE three TEMPLATE uno');
works('uno', 'the template goes on');
wait_until(sub { log_has($node, qr/is a copy/) }, 'the copy is found to be one');
is_soon($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'workflow dispatcher'", 2, 'and takes up no room');
$node->safe_psql('three', 'SELECT workflow.adopt()');
works('three', 'adopted, it works');

# more than there is room for
my $offset = -s $node->logfile;
$node->safe_psql('postgres', 'CREATE DATABASE four');
set_up('four');
wait_until(sub { log_has($node, qr/too many databases have its workers.*\n.*Increase workflow.databases/, $offset) }, 'a fourth finds no room, and the log says so');
is_soon($node, 'four', "SELECT kind, pid, database, state FROM workflow.workers WHERE database = current_database()", 'dispatcher||four|no place: see workflow.databases',
	'so does the view workers');
works($_, "$_ goes on") for qw(uno two);
quickly('postgres', 'DROP DATABASE three');
works('four', 'when one is dropped another has its room');

make_busy('uno');
quickly('postgres', 'DROP DATABASE uno');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname IS NULL AND backend_type LIKE 'workflow %'"), 1, 'dropped while it was busy; the launcher is there');
works($_, "$_ goes on") for qw(two four);

# somebody else is connected: an error, and work goes on
my $guest = $node->background_psql('two');
my (undef, undef, $stderr) = $node->psql('postgres', 'DROP DATABASE two');
like($stderr, qr/is being accessed by other users/, 'a database with a session is not dropped');
unlike($stderr, qr/There are [2-9]/, '... and only that session counts');
works('two', '... and goes on');
$guest->quit;
quickly('postgres', 'DROP DATABASE two WITH (FORCE)');
quickly('four', 'DROP EXTENSION workflow CASCADE');
quickly('postgres', 'DROP DATABASE four');
is_soon($node, 'postgres', "SELECT string_agg(backend_type, ', ') FROM pg_stat_activity WHERE backend_type LIKE 'workflow %'", 'workflow launcher', 'at the end only the launcher is there');
ok(!log_has($node, qr/PANIC|terminated by signal|WARNING: .*workflow(?! sends nothing)/), 'nothing unusual in the log');

$node->stop;
done_testing();
