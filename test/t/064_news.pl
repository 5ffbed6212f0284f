#
# What monitoring is told: incidents, write-backs that are owed, waits that are too long; bundled, in one form, of what was committed, and
# with nothing that is not for all ears.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $scene = Scene->new('news');
my $node = $scene->node;
my $session = $node->background_psql('postgres');
$session->query_safe('LISTEN workflow');

my @news;

# All that is told until so many of an event have been counted; then a while longer.
sub hear
{
	my ($event, $n, $pause) = @_;
	my $end = time() + 60;
	@news = ();
	my $sum = 0;
	while ($sum < $n && time() < $end)
	{
		sleep 0.1;
		$sum += $_->{count} // 0 for grep { $_->{event} eq $event } listen_once();
	}
	sleep($pause // 1.3);
	listen_once();
	return grep { $_->{event} eq $event } @news;
}

sub listen_once
{
	my @new = map { JSON::PP->new->utf8->decode($_) } $session->query('SELECT 1') =~ /Asynchronous notification "workflow" with payload "(\{.*\})" received/g;
	push @news, @new;
	return @new;
}

sub sum
{
	my $sum = 0;
	$sum += $_->{count} for @_;
	return $sum;
}

# ---- incidents, whoever makes them ----

$scene->define('by_hand', '{"steps": [{"step": "one", "wait": true}]}');
$scene->define('by_clock', '{"steps": [{"step": "silent", "wait": true, "timeout": "100 ms"}]}');
$scene->define('by_sql', '{"steps": [{"step": "divide", "sql": "SELECT 1/0"}]}');
my $log = -s $node->logfile;
my $instance = $scene->start('by_hand', { secret => 'wouldnt you like to know' }, 'key of a customer');
my $sn = $scene->serial($instance);
$scene->sql("SELECT workflow.fail('$sn', 'OUCH', 'a text')");
my @told = hear('incident', 1);
is(scalar @told, 1, 'an incident is told of');
my $since = delete $told[0]{since};
is_deeply($told[0], { event => 'incident', process => 'by_hand', step => 'one', count => 1, serial_numbers => [$sn] }, 'by where it is, without its texts, its data or its key');
is($scene->sql("SELECT since = '$since' FROM workflow.incidents WHERE serial_number = '$sn'"), 't', 'and since when');
ok(log_has($node, qr/LOG:\s+workflow: 1 incident at step "one" of process "by_hand": \Q$sn\E\n.*HINT:.*workflow\.incidents/, $log), 'so does the log');
$scene->start($_) for qw(by_clock by_clock by_sql);
@told = hear('incident', 3);
is(join(' ', sort map { "$_->{process}.$_->{step}:$_->{count}" } @told), 'by_clock.silent:2 by_sql.divide:1', 'so it is with those of the dispatcher and of executors, each place apart');
$scene->sql("SELECT workflow.retry(serial_number) FROM workflow.incidents WHERE process = 'by_sql'");
is(sum(hear('incident', 1)), 1, 'one that is taken up and fails again is another one');

# ---- many are few ----

my $n = 3000;
$scene->sql("SELECT count(workflow.start('by_hand')) FROM generate_series(1, $n)");
my $begin = time();
$node->safe_psql('postgres', "SELECT format('SELECT workflow.fail(%L)', serial_number) FROM workflow.waiting WHERE process = 'by_hand' \\gexec");
my $took = time() - $begin;
@told = hear('incident', $n);
is(sum(@told), $n, "$n incidents, each of its own transaction, are all counted");
cmp_ok(scalar @told, '<=', $took + 2, '... in one notification a second');
is((grep { @{ $_->{serial_numbers} } > 20 } @told), 0, 'which names at most twenty');
cmp_ok(count_in_log($node, qr/incidents at step "one" of process "by_hand"/, $log), '<=', $took + 2, 'and as many lines in the log');
$scene->sql("SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE ended_at IS NULL");

# ---- only what was committed ----

my @sn = map { $scene->serial($scene->start('by_hand')) } 0 .. 5;
$scene->sql("BEGIN; SELECT workflow.fail('$sn[0]'); ROLLBACK");
$scene->sql("BEGIN; SAVEPOINT a; SELECT workflow.fail('$sn[1]'); ROLLBACK TO a; SELECT workflow.fail('$sn[2]');
	SAVEPOINT b; SELECT workflow.fail('$sn[3]'); SAVEPOINT c; SELECT workflow.fail('$sn[4]'); RELEASE c; ROLLBACK TO b;
	SAVEPOINT d; SELECT workflow.fail('$sn[5]'); RELEASE d; COMMIT");
@told = hear('incident', 2);
is_deeply([ map { sort @{ $_->{serial_numbers} } } @told ], [ sort @sn[ 2, 5 ] ], 'what was rolled back, with a savepoint too, is not told of');
is(sum(@told), 2, 'nor counted');
$scene->sql(qq[DO \$\$ DECLARE sn text; BEGIN FOR sn IN SELECT serial_number FROM workflow.waiting WHERE process = 'by_hand' LOOP
	BEGIN PERFORM workflow.fail(sn); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END \$\$]);
is(sum(hear('incident', 4)), 4, 'those of many subtransactions are');

# ---- any names, any number of places ----

my $name = join('', map { chr(1 + $_ % 30) } 1 .. 200);
my $step = "\x{263a}\"" x 50;
$scene->sql("SELECT workflow.define(convert_from('\\x" . unpack('H*', $name) . "', 'UTF8'), json_build_object('steps', json_build_array(json_build_object('step', '$step', 'wait', true))))");
$scene->sql("SELECT count(workflow.start(convert_from('\\x" . unpack('H*', $name) . "', 'UTF8'))) FROM generate_series(1, 30)");
$scene->sql("SELECT count(workflow.fail(serial_number)) FROM workflow.waiting WHERE step = '$step'");
@told = hear('incident', 30);
is_deeply([ @{ $told[0] }{qw(process step count)} ], [ $name, $step, 30 ], 'the longest names fit into a notification');
my $steps = join(',', map { qq({"step": "s$_", "wait": true}) } 1 .. 50);
$scene->define('places', qq({"steps": [$steps]}));
$scene->sql(qq[DO \$\$ DECLARE i bigint; BEGIN FOR n IN 1 .. 50 LOOP i := workflow.start('places'); IF n > 1 THEN PERFORM workflow.move(serial_number, 's' || n) FROM workflow.visits WHERE instance = i; END IF; END LOOP;
	PERFORM workflow.fail(serial_number) FROM workflow.waiting WHERE process = 'places'; END \$\$]);
@told = hear('incident', 50);
is(sum(@told), 50, 'those of fifty places in one transaction are counted');
cmp_ok(scalar @told, '<', 40, '... the last of them together');
is(scalar(grep { !defined $_->{process} && @{ $_->{serial_numbers} } > 5 } @told), 1, '... without a place');

# ---- waits that are too long ----

$scene->define('patient', '{"warn_waiting": "1 day", "steps": [{"step": "first", "wait": true, "warn_waiting": "200 ms"}, {"step": "second", "wait": true}]}');
$scene->sql("SELECT count(workflow.start('patient')) FROM generate_series(1, 100)");
@told = hear('waiting_long', 100);
is(join(' ', sum(@told), map { "$_->{process}.$_->{step}" } $told[0]), '100 patient.first', 'visits that wait for longer than their step says are told of');
cmp_ok(scalar @told, '<=', 3, '... together');
$scene->sql("SELECT count(workflow.complete(serial_number)) FROM workflow.waiting WHERE process = 'patient'");
is(scalar(grep { $_->{event} eq 'waiting_long' } do { sleep 1.5; listen_once() }), 0, 'others are not');

# ---- write-backs that are owed ----

$scene->define('row', '{"steps": [{"step": "wait", "wait": true}]}');
$scene->sql(q[
	CREATE TABLE shown (id int PRIMARY KEY, state text, sn text);
	SELECT workflow.attach('shown', 'row', serial_column => 'sn', status_column => 'state');
	INSERT INTO shown SELECT i FROM generate_series(1, 300) i;
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no, not %', TG_TABLE_NAME; END $$;
	CREATE TRIGGER refuse BEFORE UPDATE ON shown FOR EACH ROW EXECUTE FUNCTION refuse()]);
$log = -s $node->logfile;
$scene->sql("SELECT count(workflow.complete(sn)) FROM shown");
@told = hear('write_back', 300);
is(sum(@told), 300, 'rows that could not be written are told of');
is(join(' ', sort keys %{ $told[0] }), 'count event process since', '... by their process, without texts and keys');
is($told[0]{process}, 'row', '... which is named');
cmp_ok(count_in_log($node, qr/could not write to the row with key/, $log), '<', 30, 'and the log is not full of them');
ok(log_has($node, qr/WARNING:.*could not write to the row with key \S+ of table "shown": no, not shown/, $log), '... but says why');
$scene->sql('DROP TRIGGER refuse ON shown; SELECT workflow.write_back(\'shown\')');
is_soon($node, 'postgres', 'SELECT count(*) FROM workflow.write_backs', 0, 'then they are written');

# ---- when the dispatcher ends in between ----

ok(!log_has($node, qr/could not tell of that by NOTIFY/), 'all could be told');
$session->quit;

$instance = $scene->start('by_hand');
$sn = $scene->serial($instance);
$log = -s $node->logfile;
$scene->sql("SELECT workflow.fail('$sn'); SELECT pg_terminate_backend(pid) FROM workflow.workers WHERE kind = 'dispatcher'");
wait_until(sub { log_has($node, qr/1 incident at step "one" of process "by_hand": \Q$sn\E/, $log) }, 'the next dispatcher tells of what the last one has not');

ok(!log_has($node, qr/PANIC|was terminated by signal|exited with exit code [^1]/), 'no worker has died of it');
$node->stop;
done_testing();
