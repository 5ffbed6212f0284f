#
# Moves of the dispatcher, and what executors do with triggers of users, that bring the server down each time: each kind is found out.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $scene = Scene->new('deadly_moves', conf => "workflow.move_timeout = 10min\n");
my $node = $scene->node;

my $file = $node->data_dir . '/pg_stat_tmp/workflow.under_work';
my $deadly; # the record, with a piece under work that two deaths are known of

# What is on record as under work alone: its kind. See shmem/slots.h: magic, checksum, 128 pieces of 32 bytes.
sub under_work
{
	return '' unless -e $file;
	my $record = slurp_file($file);
	for (my $at = 8; $at < length($record); $at += 32)
	{
		my (undef, $kind, $working, $deaths) = unpack('L a C s', substr($record, $at, 32));
		next if $working != 1;
		$deadly = $record if $deaths >= 2;
		return $kind;
	}
	return '';
}

# The worker whose title says what it is. Not asked of the server: it has to be quick.
sub pid_of
{
	my ($kind) = @_;
	for my $pid (WorkflowTest::children($node->{_pid}))
	{
		open(my $title, '<', "/proc/$pid/cmdline") or next;
		return $pid if (<$title> // '') =~ /workflow $kind/;
	}
	return undef;
}

# Whoever is alone under work is killed in the middle of it, until that is so. A kill may come too late, when the piece is done.
sub kill_until
{
	my ($query, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $end = time() + 100;
	my %kills;
	my $asked = 0;
	my $is_so = '';
	until ($is_so eq 't' || time() > $end)
	{
		my $piece = under_work();
		my $pid = $piece eq '' ? undef : pid_of($piece =~ /[ey]/ ? 'executor' : 'dispatcher');
		if (defined $pid)
		{
			my $starts = count_in_log($node, qr/database system is ready to accept connections/);
			kill 'KILL', $pid;
			$kills{$piece}++;
			sleep 0.02 until count_in_log($node, qr/database system is ready to accept connections/) > $starts || time() > $end;
		}
		elsif (time() > $asked + 0.5)
		{
			$is_so = WorkflowTest::ask($node, 'postgres', $query) // '';
			$asked = time();
		}
	}
	is($is_so, 't', $name);
	# which of the pieces it was is not certain: a request may have become its reply between the look and the kill
	my $kills = 0;
	$kills += $_ for values %kills;
	cmp_ok($kills, '>=', 3, '... after three kills at least (' . join(' ', map { "$_:$kills{$_}" } sort keys %kills) . ')');
}

my $endless = 'exists($.list[*] ? (@ > $.list[*] && exists($.list[*] ? (@ > $.list[*] && @ < 0))))';
my $filter = '$.list[*] ? (@ > $.list[*] && exists($.list[*] ? (@ > $.list[*] && @ < 0)))';
my $list = q[jsonb_build_object('list', (SELECT jsonb_agg(n) FROM generate_series(1, 4000) n))];
$scene->define('reply', qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "/echo"}, "success": "$endless"}]}));
$scene->define('clock', qq({"steps": [{"step": "clock", "wait": {"after": "10 ms"}, "choose": [{"when": "$endless", "next": "end"}, {"next": "end"}]}, {"step": "end", "end": true}]}));
$scene->define('request', qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "/echo", "body": {"x": "\${$filter ?? null}"}}}]}));
$scene->define('good', '{"steps": [{"step": "call", "http": {"server": "partner", "path": "/echo"}}, {"step": "clock", "wait": {"after": "10 ms"}}]}');

crash($node);
start_again($node);
for my $process (qw(reply clock request))
{
	my $instance = $scene->sql("SELECT workflow.start('$process', $list)");
	kill_until("SELECT error->>'code' = 'died' FROM workflow.incidents WHERE instance = $instance", "$process: an incident");
	my $good = $scene->start('good');
	is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $good", 'completed', '... and the others go on');
}

# a trigger of an attached table
$scene->sql(q[CREATE TABLE orders (id int PRIMARY KEY, state text);
	SELECT workflow.define('order', '{"steps": [{"step": "stand", "wait": true}]}');
	SELECT workflow.attach('orders', 'order', status_column => 'state');
	CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3600); RETURN new; END $$;
	CREATE TRIGGER slow BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION slow();
	INSERT INTO orders VALUES (1);
	SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE process = 'order']);
undef $deadly;
kill_until("SELECT count(*) = 1 FROM workflow.write_backs WHERE error ~ 'the server has died of it several times'", 'a write-back stays owed, and says why');
is($scene->sql('SELECT state FROM orders'), 'active', 'it is not done');

# the server dies once more, between the commit of that and the end of the record
$node->stop('immediate');
open(my $out, '>:raw', $file) or die "$file: $!";
print $out $deadly;
close($out) or die "$file: $!";
$node->start;
wait_for_workers($node, 'postgres');
$scene->sql('DROP TRIGGER slow ON orders');
is($scene->sql("SELECT workflow.write_back('orders')"), 1, 'it is tried again when somebody says so');
is_soon($node, 'postgres', 'SELECT state FROM orders', 'completed', '... and done');

$node->stop;
done_testing();
