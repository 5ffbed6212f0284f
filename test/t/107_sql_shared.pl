#
# SQL steps and write-backs of an owner share transactions: what is short is done beside others, each in a subtransaction, and several steps of an instance
# one after the other. What is promised of each stays: its effect and its move come together and once, it fails alone, and
# neither a slow statement nor a client's lock holds up what is beside it.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use Session;
use WorkflowTest;

# One executor, so that it is known who shares with whom.
my $node = new_server('shared', conf => "workflow.executors = 1\nworkflow.spare_executors = 0\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(q[
	CREATE TABLE effect (instance bigint, step text, note text, xid xid8 DEFAULT pg_current_xact_id(), at timestamptz DEFAULT now(),
		statement timestamptz DEFAULT statement_timestamp());
	CREATE TABLE stock (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
	INSERT INTO stock SELECT n FROM generate_series(1, 90) n;
	CREATE SEQUENCE begun;
	CREATE FUNCTION note(instance bigint, step text, note text DEFAULT NULL) RETURNS text LANGUAGE sql AS
		$$ INSERT INTO effect (instance, step, note) VALUES (instance, step, note) RETURNING step $$;
	CREATE FUNCTION slow(instance bigint, step text, seconds float) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM nextval('begun');
		PERFORM note(instance, step);
		PERFORM pg_sleep(seconds);
		RETURN step;
	END $$;
	CREATE FUNCTION stubborn(instance bigint, step text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM note(instance, step);
		PERFORM pg_sleep(0.2);
		RETURN 'slept';
	EXCEPTION WHEN query_canceled THEN
		RETURN 'cancelled';
	END $$;
	CREATE FUNCTION leave_open(instance bigint, step text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		left_open CURSOR FOR SELECT 1;
	BEGIN
		OPEN left_open;
		RETURN note(instance, step, left_open::text);
	END $$;
	CREATE FUNCTION leave_settings(instance bigint, step text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM note(instance, step, concat_ws(' ', nullif(current_setting('my.setting', true), ''), current_setting('work_mem'),
			(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())));
		PERFORM set_config('my.setting', 'kept', false), set_config('work_mem', '77MB', true), pg_advisory_lock(instance);
		RETURN step;
	END $$;
	-- ends the session the first time
	CREATE FUNCTION end_session_once() RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		IF nextval('public.begun') = 5 THEN
			PERFORM pg_terminate_backend(pg_backend_pid());
		END IF;
		RETURN 'lives';
	END $$;
]);

# Define a process of these SQL steps: name => statement.
sub define
{
	my ($name, @steps) = @_;
	my @list;
	while (my ($step, $statement) = splice(@steps, 0, 2))
	{
		push(@list, qq[{"step": "$step", ] . ($statement =~ /^"/ ? $statement : qq["sql": "$statement"]) . '}');
	}
	sql("SELECT workflow.define('$name', \$wf\${\"steps\": [" . join(', ', @list) . ']}$wf$)');
	return;
}

sub start
{
	my ($name, $n) = @_;
	return split(/\n/, sql("SELECT workflow.start('$name') FROM generate_series(1, $n)"));
}

sub all_done
{
	my ($name, $n) = @_;
	is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = '$name' AND status = 'completed'", $n, "$name: all are done");
	return;
}

# Let a process run that is alone with the executor, so that what is asked is asked of a queue that it finds whole.
sub run
{
	my ($name, $n) = @_;
	sql('TRUNCATE effect');
	my @instances = start($name, $n);
	all_done($name, $n);
	return @instances;
}

my $NOTE = 'SELECT note(visit.instance, visit.step)';

# ---- sharing ----

define('warm', a => 'SELECT 1');
run('warm', 1);
define('five', map { $_ => $NOTE } qw(a b c d e));
run('five', 300);
is(sql('SELECT count(*), count(DISTINCT (instance, step)) FROM effect'), '1500|1500', 'each effect is there once');
is(sql("SELECT count(*) FROM workflow.history h WHERE process = 'five' AND outcome = 'SUCCESS' AND attempts = 1"), 1500, 'and so is each line of the history');
cmp_ok(sql('SELECT count(DISTINCT xid) FROM effect'), '<', 500, 'steps share transactions');
cmp_ok(sql('SELECT max(n) FROM (SELECT count(DISTINCT instance) AS n FROM effect GROUP BY xid) x'), '>', 1, 'so do instances');
is(sql('SELECT count(*) FROM (SELECT FROM effect GROUP BY xid HAVING count(DISTINCT at) > 1) x'), 0, 'those that share one share now()');
cmp_ok(sql('SELECT max(n) FROM (SELECT count(DISTINCT statement) AS n FROM effect GROUP BY xid) x'), '>', 1, '... and not statement_timestamp()');
cmp_ok(sql('SELECT max(n) FROM (SELECT count(*) AS n FROM effect GROUP BY xid) x'), '<', 100, 'and there is an end to it');

# ---- each for itself ----

define('odd', a => 'SELECT note(visit.instance, visit.step), 1 / (visit.instance % 2)', b => $NOTE);
run_odd();
sub run_odd
{
	sql('TRUNCATE effect');
	my @instances = start('odd', 100);
	is_soon($node, 'postgres', "SELECT count(*) FROM workflow.incidents WHERE process = 'odd' AND error->>'code' = '22012'", 50, 'statements fail alone');
	is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'odd' AND status = 'completed'", 50, '... the others do not');
	is(sql('SELECT count(*), count(DISTINCT (instance, step)), min(instance % 2) FROM effect'), '100|100|1', 'nothing is left of those that failed');
	is(sql("SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process = 'odd' AND status = 'failed'"), 50, '... which are cancelled');
	return;
}

define('open', map { $_ => 'SELECT leave_open(visit.instance, visit.step)' } qw(a b));
run('open', 20);
is(sql('SELECT count(*) FROM effect'), 40, 'a cursor that one leaves open is not open for the next');
define('settings', map { $_ => 'SELECT leave_settings(visit.instance, visit.step)' } qw(a b));
run('settings', 20);
is(sql('SELECT DISTINCT note FROM effect'), sql("SELECT setting || 'MB 0' FROM (SELECT current_setting('work_mem')) s(setting)") =~ s/MBMB/MB/r,
	'nor are settings and advisory locks of one there for the next');
define('notify', a => '"notify": {"channel": "told", "payload": "the same"}', b => '"notify": {"channel": "told", "payload": "the same"}');
my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN told');
run('notify', 10);
my $told = () = $listener->query('SELECT 1') =~ /Asynchronous notification "told" with payload "the same" received/g;
is($told, 20, 'a notification comes from each step, even if they are the same');
$listener->quit;

# ---- what looks at the rows, or changes them ----

define('looks', a => $NOTE, b => q[SELECT note(visit.instance, visit.step, (SELECT v.step || ' ' || v.attempt FROM workflow.visits v WHERE v.instance = visit.instance))],
	c => q[SELECT note(visit.instance, visit.step, workflow.set_data(visit.instance, '{\"by\": \"c\"}')::text)], d => q[SELECT note(visit.instance, visit.step, visit.data->>'by')]);
run('looks', 30);
is(sql('SELECT count(*), count(DISTINCT (instance, step)) FROM effect'), '120|120', 'those that look are run once as well');
is(sql("SELECT DISTINCT note FROM effect WHERE step = 'b'"), sql("SELECT 'b 0'"), 'they see the instance as it is');
is(sql("SELECT DISTINCT note FROM effect WHERE step = 'd'"), 'c', 'and what they change of it is there for the next');

# ---- slow ones ----

define('slow', a => $NOTE, b => 'SELECT slow(visit.instance, visit.step, 1)', c => $NOTE);
sql('TRUNCATE effect; ALTER SEQUENCE begun RESTART');
my ($slow) = start('slow', 1);
wait_until(sub { sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND backend_type = 'workflow executor'") == 1
	&& sql("SELECT count(*) FROM workflow.history WHERE instance = $slow") == 1 }, 'what comes before a slow statement is committed when that runs');
# the one that learns how slow it is: another one, after a pause, would not know it
my $executors = "SELECT string_agg(pid::text, ' ') FROM workflow.workers WHERE kind = 'executor' AND pid IS NOT NULL";
my $executor = sql($executors);
is(sql("SELECT step || ' ' || state FROM workflow.visits WHERE instance = $slow"), 'b calling', '... which is due by itself');
ok(sql("SELECT workflow.set_data($slow, '{}') IS NOT NULL"), '... and holds no lock of its instance');
all_done('slow', 1);
is(sql('SELECT string_agg(step, \' \' ORDER BY step) FROM effect'), 'a b c', 'it has its effect once');
cmp_ok(sql('SELECT last_value FROM begun'), '<=', 2, 'it was begun twice at most');

sql('TRUNCATE effect; ALTER SEQUENCE begun RESTART');
start('slow', 1);
all_done('slow', 2);
cmp_ok(sql('SELECT last_value FROM begun'), '<=', sql($executors) eq $executor && $executor ne '' ? 1 : 2, 'once it is known as slow, it is begun once');

define('stubborn', a => $NOTE, b => '"sql": "SELECT stubborn(visit.instance, visit.step) AS what", "save": {"what": "${$reply.row.what}"}');
my @stubborn = run('stubborn', 3);
is(sql("SELECT string_agg(data->>'what', ' ') FROM workflow.instances WHERE process = 'stubborn'"), 'slept slept slept',
	'a cancel that the statement catches is none that it knows of');

# ---- what a client locks ----

define('stock', a => 'UPDATE stock SET n = n + 1 WHERE id = visit.instance % 90 + 1 RETURNING note(visit.instance, visit.step)', b => $NOTE);
my $client = Session->new($node, 'postgres');
$client->run('BEGIN', 'UPDATE stock SET n = 100 WHERE id = 4');
sql('TRUNCATE effect');
$node->append_conf('postgresql.conf', "workflow.executors = 3\n");
$node->reload;
start('stock', 90);
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'stock' AND status = 'completed'", 89, 'those that want no locked row go on');
$client->run('COMMIT');
all_done('stock', 90);
is(sql('SELECT count(*), count(DISTINCT (instance, step)), (SELECT n FROM stock WHERE id = 4), (SELECT sum(n) FROM stock WHERE id <> 4) FROM effect'),
	'180|180|101|89', 'each effect is there once');

# ---- deadlocks ----

# Two orders of the same two rows, among many that are beside each other.
define("order$_->[0]", a => "UPDATE stock SET n = n + 1 WHERE id = $_->[0]", b => "UPDATE stock SET n = n + 1 WHERE id = $_->[1]", c => $NOTE) for [ 1, 2 ], [ 2, 1 ];
sql('TRUNCATE effect; UPDATE stock SET n = 0');
start("order$_", 100) for 1, 2, 1, 2;
all_done("order$_", 200) for 1, 2;
is(sql('SELECT count(*), (SELECT string_agg(n::text, \' \' ORDER BY id) FROM stock WHERE id <= 2) FROM effect'), '400|400 400', 'who would wait for each other is tried alone');

# ---- a session that ends ----

define('ends', a => $NOTE, b => "SELECT end_session_once()", c => $NOTE);
sql('TRUNCATE effect; ALTER SEQUENCE begun RESTART');
start('ends', 100);
all_done('ends', 100);
is(sql('SELECT count(*), count(DISTINCT (instance, step)) FROM effect'), '200|200', 'after the end of a session nothing is lost, and nothing done twice');
is(sql("SELECT count(*) FROM workflow.history WHERE process = 'ends' AND attempts <> 1"), 0, 'it counts as no attempt');

# ---- cancels ----

# Instances are cancelled by others while their steps run beside each other.
define('cancelled', map { $_ => $NOTE } qw(a b c d e));
sql('TRUNCATE effect');
my @cancelled = start('cancelled', 300);
sql("SELECT count(workflow.cancel($_)) FROM workflow.instances WHERE instance = $_ AND status = 'active'") for @cancelled[ map { $_ * 3 } 0 .. 99 ];
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'cancelled' AND status NOT IN ('completed', 'aborted')", 0, 'all have ended');
is(sql(q[SELECT count(*) FROM (SELECT instance, step FROM effect EXCEPT SELECT instance, step FROM workflow.history WHERE process = 'cancelled' AND outcome = 'SUCCESS') x]),
	0, 'no effect without its move');
is(sql(q[SELECT count(*) FROM (SELECT instance, step FROM workflow.history WHERE process = 'cancelled' AND outcome = 'SUCCESS' EXCEPT SELECT instance, step FROM effect) x]),
	0, 'no move without its effect');

# ---- write-backs ----

sql(q[
	CREATE TABLE shown (id int PRIMARY KEY, state text CHECK (state <> 'completed' OR id <> 7), xid xid8);
	CREATE FUNCTION note_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
	DECLARE
		left_open CURSOR FOR SELECT 1;
	BEGIN
		OPEN left_open;
		IF new.id = 8 THEN
			PERFORM pg_sleep(0.1);
		END IF;
		new.xid := pg_current_xact_id();
		RETURN new;
	END $$;
	CREATE TRIGGER note BEFORE UPDATE ON shown FOR EACH ROW EXECUTE FUNCTION note_transaction();
	SELECT workflow.define('shown', '{"steps": [{"step": "stand", "wait": true}]}');
	SELECT workflow.attach('shown', 'shown', status_column => 'state')]);
sql('INSERT INTO shown SELECT n FROM generate_series(1, 200) n');
$client->run('BEGIN', 'SELECT FROM shown WHERE id = 9 FOR UPDATE');
sql("SELECT count(workflow.complete(serial_number)) FROM workflow.waiting WHERE process = 'shown'");
wait_until(sub { sql("SELECT count(*) FROM shown WHERE state = 'completed'") == 198 }, 'a row that a client has locked keeps no other waiting, nor does one that refuses');
cmp_ok(sql("SELECT count(DISTINCT xid) FROM shown WHERE state = 'completed'"), '<', 150, 'write-backs share transactions');
$client->run('COMMIT');
wait_until(sub { sql("SELECT state FROM shown WHERE id = 9") eq 'completed' }, 'it is written once it is free');
wait_until(sub { sql("SELECT string_agg(business_key, ' ') FROM workflow.write_backs") eq '7' }, 'the one that refuses fails alone');

# ---- quick ones beside slow ones ----

define('quick', a => 'SELECT 1', b => 'SELECT 1');
define('sleeps', a => 'SELECT 1', b => 'SELECT pg_sleep(1)');
start('sleeps', 2);
my @took;
for my $n (1 .. 60)
{
	my $begin = time;
	my ($instance) = start('quick', 1);
	sql("CALL workflow.wait_for($instance, '60 s')");
	push(@took, time - $begin);
	start('sleeps', 1) if $n % 30 == 0;
}
@took = sort { $a <=> $b } @took;
note(sprintf('quick beside slow: median %.0f ms, the slowest but one %.0f ms', 1000 * $took[30], 1000 * $took[-2]));
cmp_ok($took[-2], '<', 0.9, 'a quick process does not wait for one that sleeps');

done_testing();
