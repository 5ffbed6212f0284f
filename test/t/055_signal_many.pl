#
# A signal to very many, who wait for a callback as well: clients complete them meanwhile, one by one and several in a call, and the server
# is killed twice amid that. Each goes on once, by the one or the other, as whoever called was told. To 4,000, or with test/check --long to
# 100,000.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use List::Util qw(shuffle);
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $N = $ENV{WF_LONG} ? 100_000 : 4_000;
my @AT_ONCE = (1, 1, 8); # so many numbers a call: of each client
my $PATIENCE = $ENV{WF_LONG} ? 900 : 60;

my $node = new_server('signal', conf => "wal_writer_delay = 10s\nworkflow.careful_after_crash = 0\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub count_of { return sql("SELECT count(*) FROM $_[0]") }

my $save = sub { return qq["save": {"by": "$_[0]", "n": "\${\$.n + 1}"}, "next": "rest"] };
sql(qq[SELECT workflow.define('crowd', '{"data": {"n": 0}, "steps": [
	{"step": "wait", "first_of": [{"signal": "go", @{[ $save->('signal') ]}}, {"callback": true, @{[ $save->('callback') ]}}]},
	{"step": "rest", "wait": {"signal": "go"}, "save": {"n": "\${\$.n + 10}"}, "next": "twice"}, {"step": "twice", "wait": true}]}')]);
for (my $left = $N; $left > 0; $left -= 10_000)
{
	sql("SELECT count(workflow.start('crowd')) FROM generate_series(1, " . ($left < 10_000 ? $left : 10_000) . ')');
}
sql('VACUUM ANALYZE');

# ---- clients ----

# What the server says; nothing if it has gone before; which may have been after it had done it.
sub complete
{
	my ($session, @numbers) = @_;
	my $list = join(', ', map { qq[{"serial_number": "$_"}] } @numbers);
	my ($status, $out, $err) = $session->run(@numbers == 1 ? "SELECT workflow.complete('$numbers[0]')" : "SELECT accepted FROM workflow.complete_many('[$list]')");
	die $err if $status && $err !~ /connection|terminating|shutting down/;
	return $status ? () : split(/\n/, $out);
}

# A connection, once there is a server again; undef if nothing is left to be done.
sub connection
{
	my ($stop) = @_;
	my $end = time() + $PATIENCE;
	my $session;
	until ($$stop || ($session = eval { Session->new($node, 'postgres') }))
	{
		die "nobody answers\n" if time() > $end;
		sleep 0.05;
	}
	return $session;
}

# Completes one after the other until it is told to stop, each until it has an answer: a line each, "again" if it had none before.
sub client
{
	my ($file, $at_once, @numbers) = @_;
	my $stop = 0;
	local $SIG{TERM} = sub { $stop = 1 };
	open(my $out, '>', $file) or die "$file: $!";
	my ($session, $again);
	while (!$stop && @numbers)
	{
		$session //= connection(\$stop) // last;
		my @some = grep { defined } @numbers[ 0 .. $at_once - 1 ];
		my @answers = complete($session, @some);
		if (@answers != @some)
		{
			($session, $again) = (undef, 1);
			next;
		}
		print $out join("\t", $some[$_], $answers[$_], $again ? 'again' : 'once') . "\n" for 0 .. $#some;
		splice(@numbers, 0, scalar @some);
		$again = 0;
	}
	# what has been called, and may have been accepted
	print $out join("\t", $_, '?', 'again') . "\n" for $again ? grep { defined } @numbers[ 0 .. $at_once - 1 ] : ();
	close($out) or die "$file: $!";
}

srand(1);
my @numbers = shuffle(split /\n/, sql("SELECT serial_number FROM workflow.waiting WHERE process = 'crowd'"));
my $share = int(@numbers / @AT_ONCE);
my %file;
sub begin_clients
{
	for my $i (0 .. $#AT_ONCE)
	{
		my $file = $node->basedir . "/told$i";
		my $pid = fork() // die "fork: $!";
		$file{$pid} = $file, next if $pid;
		my $ok = eval { client($file, $AT_ONCE[$i], splice(@numbers, $i * $share, $share)); 1 };
		print STDERR $@ unless $ok;
		POSIX::_exit($ok ? 0 : 1);
	}
}

# ---- the signal, and what comes in between ----

my $waiting = "workflow_data.visit WHERE step = 'wait' AND process_id = (SELECT process_id FROM workflow_data.process WHERE process = 'crowd')";
my $on_its_way = "(SELECT FROM workflow_data.broadcast UNION ALL SELECT FROM workflow_data.delivery WHERE kind = 'event') s";
my $begin = time();
begin_clients();
wait_until(sub { count_of($waiting) < $N - 20 }, 'clients are at work');
sql("SET synchronous_commit = off; SELECT workflow.send_signal('go')");
for my $part (0.75, 0.45)
{
	my $end = time() + $PATIENCE;
	sleep 0.005 until count_of($waiting) < $part * $N || time() > $end;
	crash_at_once($node);
	start_again($node);
	cmp_ok(count_of($on_its_way), '>', 0, 'the server dies while the signal is on its way');
}
my $end = time() + $PATIENCE;
sleep 0.05 until count_of($on_its_way) == 0 || time() > $end;
is(count_of($on_its_way), 0, 'the signal has been everywhere');
note(sprintf('to %d that wait, with two crashes: %.1f s', $N, time() - $begin));
kill 'TERM', keys %file;
for my $pid (keys %file)
{
	waitpid($pid, 0);
	is($?, 0, 'a client has ended as it should');
}

# ---- what has become of them ----

my %told;
for my $file (values %file)
{
	push @{ $told{ $_->[1] . ' ' . $_->[2] } }, $_->[0] for map { chomp; [ split /\t/ ] } PostgreSQL::Test::Utils::slurp_file($file) =~ /.+/g;
}
note(join(', ', map { "$_: " . @{ $told{$_} } } sort keys %told));
sql('CREATE TABLE told (serial_number text, answer text)');
for my $answer (sort keys %told)
{
	while (my @some = splice(@{ $told{$answer} }, 0, 1000)) { sql('INSERT INTO told VALUES ' . join(', ', map { "('$_', '$answer')" } @some)) }
}
sql(q[CREATE TABLE became AS SELECT serial_number, h.instance, data ->> 'by' AS by, data ->> 'n' AS n, result -> 'event' ->> 'kind' AS kind
	FROM workflow.history h JOIN workflow.instances i USING (instance) WHERE h.process = 'crowd' AND step = 'wait'; ANALYZE told, became]);

is(count_of($waiting), 0, 'nobody was left out');
is(sql('SELECT count(*), count(DISTINCT instance) FROM became'), "$N|$N", 'each wait ended once');
is(sql("SELECT count(*), count(DISTINCT instance) FROM workflow.visits WHERE process = 'crowd'"), "$N|$N", 'and has one token still');
is(sql('SELECT count(*) FROM became WHERE by <> kind OR by IS NULL'), 0, 'the data were changed by what ended it');
# who was completed before the signal was taken up has heard it at the next step
is(sql("SELECT count(*) FROM became WHERE n <> '1' AND NOT (by = 'callback' AND n = '11')"), 0, '... once');
is(sql("SELECT count(*) FROM told JOIN became USING (serial_number) WHERE answer LIKE 't %' AND kind <> 'callback'"), 0, 'callbacks that were accepted have ended their waits');
is(sql("SELECT count(*) FROM told JOIN became USING (serial_number) WHERE answer = 'f once' AND kind <> 'signal'"), 0, 'those that were not found the signal there');
is(sql("SELECT count(*) FROM became LEFT JOIN told USING (serial_number) WHERE answer IS NULL AND kind <> 'signal'"), 0, 'who was not called back has heard it');
cmp_ok(sql("SELECT count(*) FROM became WHERE kind = '$_'"), '>', $N / 20, "some by a $_") for 'callback', 'signal';

$node->stop;
done_testing();
