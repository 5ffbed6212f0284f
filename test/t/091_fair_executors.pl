#
# Executors serve one role each, and are shared out fairly among roles: no session passes from one owner to another, and whatever
# some owners' statements, locks and crashes do, another owner's SQL is run soon.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $EXECUTORS = 4;
my $SPARE = 2;
my $node = new_server('fair_executors', conf => "workflow.executors = $EXECUTORS\nworkflow.spare_executors = $SPARE\nautovacuum = off\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub as { return sql("SET ROLE $_[0]; $_[1]") }

my @hangers = map { "hanger$_" } 1 .. $EXECUTORS + $SPARE;
for my $role (qw(alice bob carol late), @hangers)
{
	sql("CREATE ROLE $role; GRANT USAGE ON SCHEMA workflow TO $role; GRANT CREATE ON SCHEMA public TO $role;
		GRANT EXECUTE ON FUNCTION workflow.define, workflow.attach, workflow.grant_process TO $role");
}

sub define
{
	my ($role, $name, $sql) = @_;
	$sql =~ s/"/\\"/g;
	as($role, qq[SELECT workflow.define('$name', \$\${"steps": [{"step": "s", "sql": "$sql", "save": {"row": "\${\$reply.row}"}}]}\$\$)]);
}

# The first instance of so many.
sub start
{
	my ($role, $process, $n) = @_;
	$n //= 1;
	return (split /\n/, as($role, "SELECT workflow.start('$process') FROM generate_series(1, $n)"))[0];
}

# How long one takes from its start to its end, in seconds.
sub seconds
{
	my ($role, $process) = @_;
	my $begin = time();
	my $instance = start($role, $process);
	is(sql("CALL workflow.wait_for($instance, '60 s')"), 'completed', "a step of $role is run");
	return time() - $begin;
}

sub row
{
	my ($role, $process) = @_;
	my $instance = start($role, $process);
	sql("CALL workflow.wait_for($instance, '60 s')");
	return sql("SELECT data->'row'->>'value' FROM workflow.instances WHERE instance = $instance");
}

sub cancel_all
{
	my ($process) = @_;
	sql("SELECT workflow.cancel(instance) FROM workflow.instances WHERE ended_at IS NULL AND process = '$process' ORDER BY instance");
	sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'workflow executor' AND wait_event = 'PgSleep'");
	is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE ended_at IS NULL AND process = '$process'", 0, "$process: all have ended");
}

sub executors { return sql("SELECT count(*) FROM workflow.workers WHERE kind = 'executor'") }

# ---- nothing passes from one owner to another ----

for my $role (qw(alice bob))
{
	define($role, "pid_$role", 'SELECT pg_backend_pid() AS value');
	define($role, "random_$role", 'SELECT random() AS value');
	define($role, "seed_$role", 'SELECT setseed(0.42) AS value');
}
my %pids = map { my $role = $_; ($role => { map { (row($role, "pid_$role") => 1) } 1 .. 5 }) } qw(alice bob);
is(scalar(keys %{ $pids{$_} }), 1, "one executor serves $_, again and again") for qw(alice bob);
isnt((keys %{ $pids{alice} })[0], (keys %{ $pids{bob} })[0], 'another one than the other');
is(sql("SELECT string_agg(role, ' ' ORDER BY role) FROM workflow.workers WHERE kind = 'executor' AND role IS NOT NULL"), 'alice bob', 'the view tells whom they serve');

row('bob', 'seed_bob');
my $known = sql('SELECT setseed(0.42); SELECT random()');
$known =~ s/\s//g;
isnt(row('alice', 'random_alice'), $known, 'a random seed stays with who set it');

SKIP:
{
	skip 'there is no dblink', 2 unless sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'dblink'") eq '1';
	my ($host, $port) = ($node->host, $node->port);
	my $user = sql('SELECT current_user');
	# the connection has no password: made by the superuser here, as it might be by an owner with one
	sql('CREATE EXTENSION dblink');
	sql(qq[SELECT workflow.define('connect', \$\${"steps": [{"step": "s", "sql": "SELECT dblink_connect('c', 'host=$host port=$port dbname=postgres user=$user')"}]}\$\$)]);
	is(sql("CALL workflow.wait_for(" . sql("SELECT workflow.start('connect')") . ", '60 s')"), 'completed', 'one connects');
	define('bob', 'borrow', "SELECT coalesce((dblink_get_connections())[1], 'none') AS value");
	is(row('bob', 'borrow'), 'none', 'another does not find the connection');
}

# a write-back is its table's owner's work; who has got the table meanwhile has its executor do it
sql(q[
	CREATE TABLE ran (pid int, role name);
	GRANT INSERT ON ran TO carol, bob;
	CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sn text, state text);
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.ran VALUES (pg_backend_pid(), current_user); RETURN NEW; END';
	CREATE TRIGGER note BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION note();
	ALTER TABLE orders OWNER TO carol;]);
as('alice', q[SELECT workflow.define('order', '{"steps": [{"step": "a", "sql": "SELECT 1"}, {"step": "w", "wait": true}]}'); SELECT workflow.grant_process('order', r, 'start') FROM unnest('{carol,bob}'::text[]) r]);
as('carol', q[SELECT workflow.attach('orders', 'order', 'sn', status_column => 'state'); INSERT INTO orders DEFAULT VALUES]);
is_soon($node, 'postgres', 'SELECT sn IS NOT NULL FROM orders', 't', 'a row shows its number');
is(sql("SELECT count(DISTINCT pid), string_agg(DISTINCT role, ' ') FROM ran"), '1|carol', "written by the owner's executor");
is(sql("SELECT count(*) FROM ran r JOIN workflow.workers w USING (pid) WHERE w.role = 'carol'"), sql('SELECT count(*) FROM ran'), 'which serves nobody else');
sql('TRUNCATE ran; ALTER TABLE orders OWNER TO bob; GRANT INSERT ON ran TO bob');
sql('SELECT workflow.complete(sn) FROM orders');
is_soon($node, 'postgres', 'SELECT state FROM orders', 'completed', 'it is written for another owner');
is(sql("SELECT string_agg(DISTINCT role, ' ') FROM ran"), 'bob', "by that one's executor");

# ---- one owner has all executors busy ----

define('alice', 'one', 'SELECT 1 AS value');
define('bob', 'sleep', 'SELECT pg_sleep(4)');
define('bob', 'other', 'SELECT 1 AS value');
start('bob', 'sleep', 40);
is_soon($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'workflow executor' AND wait_event = 'PgSleep'", $EXECUTORS, 'all are asleep');
cmp_ok(seconds('alice', 'one'), '<', 3, "another owner's SELECT 1 waits for none of them");
cmp_ok(seconds('bob', 'other'), '<', 12, 'another process of the same owner has its turn among them');
cmp_ok(executors(), '<=', $EXECUTORS + $SPARE, 'there are no more than there may be');
cancel_all('sleep');

# ---- several owners do ----

define($_, "hang_$_", 'SELECT pg_sleep(3600)') for @hangers;
define('late', 'late', 'SELECT 1 AS value');
for my $i (0 .. $#hangers)
{
	my $n = $i == 0 ? $EXECUTORS : 1;
	start($hangers[$i], "hang_$hangers[$i]", $n);
	is_soon($node, 'postgres', "SELECT count(*) FROM workflow.workers w JOIN pg_stat_activity a USING (pid) WHERE w.role = '$hangers[$i]' AND a.wait_event = 'PgSleep'",
		$i <= $SPARE ? $n : 0, $i <= $SPARE ? "$hangers[$i] has an executor, too" : "$hangers[$i] waits: there are as many as there may be");
}
is(executors(), $EXECUTORS + $SPARE, 'so many hang');
my $waits = start('late', 'late');
stays(1, sub { sql("SELECT status FROM workflow.instances WHERE instance = $waits") }, 'active', 'then another one waits');
sql("SELECT pg_cancel_backend(pid) FROM workflow.workers WHERE role = '$hangers[0]'");
is(sql("CALL workflow.wait_for($waits, '20 s')"), 'completed', 'until some are free');
cancel_all("hang_$_") for @hangers;

# ---- many owners, more than there are executors, with a lot to do each ----

define($_, "short_$_", 'SELECT pg_sleep(0.01)') for @hangers;
start($_, "short_$_", 200) for @hangers;
is_soon($node, 'postgres', "SELECT count(*) > 50 FROM workflow.instances WHERE process LIKE 'short_%' AND status = 'completed'", 't', 'they begin');
cmp_ok(seconds('late', 'late'), '<', 3, 'one more has its turn');
my $progress = sql("SELECT count(DISTINCT process) FROM workflow.instances WHERE process LIKE 'short_%' AND status = 'completed'");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE ended_at IS NULL AND process LIKE 'short_%'", 0, 'all is done');
is($progress, scalar(@hangers), 'all of them had their turns meanwhile');

# ---- a table that is locked ----

as('bob', q[SELECT workflow.define('flow', '{"steps": [{"step": "w", "wait": true}]}');
	CREATE TABLE locked (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sn text, state text);
	SELECT workflow.attach('locked', 'flow', 'sn', status_column => 'state');
	INSERT INTO locked SELECT FROM generate_series(1, 12)]);
is_soon($node, 'postgres', 'SELECT count(sn) FROM locked', 12, 'rows show their numbers');
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE locked IN SHARE MODE');
sql("SELECT count(workflow.complete(serial_number)) FROM workflow.waiting WHERE process = 'flow'");
is_soon($node, 'postgres', "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'locked'::regclass", 't', 'somebody has locked it');
cmp_ok(seconds('alice', 'one'), '<', 2, "others' SQL does not wait for that");
cmp_ok(seconds('bob', 'other'), '<', 5, "the owner's own for one try at most");
is_soon($node, 'postgres', "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'locked'::regclass", 0, 'the wait for it ends');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE kind = 'write_back' AND due_at > now()", 12, 'and what is to be written is put off, all of it');
$holder->query_safe('COMMIT');
$holder->quit;
is_soon($node, 'postgres', "SELECT count(*) FROM locked WHERE state = 'completed'", 12, 'until the lock is gone');

# ---- executors that end again and again make others wait for nothing ----

sql(q[SELECT workflow.define('suicide', '{"steps": [{"step": "s", "sql": "SELECT pg_terminate_backend(pg_backend_pid())"}]}'); SELECT workflow.start('suicide')]);
my $dead = qr/FATAL: .*terminating background worker "workflow executor/;
ok(wait_until(sub { count_in_log($node, $dead) >= 5 }, 'a superuser ends his executors'), 'five times');
sql("SELECT pg_terminate_backend(pid) FROM workflow.workers WHERE role = 'alice'"); # it has to be started again
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.workers WHERE role = 'alice'", 0, "another's executor has gone");
cmp_ok(seconds('alice', 'one'), '<', 3, 'and can be started at once');
sql("SELECT workflow.cancel(instance) FROM workflow.instances WHERE ended_at IS NULL AND process = 'suicide'");

$node->stop;
done_testing();
