# costs.pl: counts what an operation does, by PostgreSQL's statistics, the WAL and /proc; test/bench/costs starts it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Bench;
use Time::HiRes qw(time sleep);

my ($n) = @ARGV;
my (@columns, @wal, %looked_at);

die "usage: test/bench/costs [N]\n" if $n !~ /^[1-9]\d*$/;

# ---- counting ----

# Sums since the database was made, of what is committed and reported.
my @counters = (
	[ 'pages of our tables' => 'SELECT sum(heap_blks_hit + heap_blks_read) FROM pg_statio_user_tables WHERE schemaname = \'workflow_data\'' ],
	[ 'pages of our indexes' => 'SELECT sum(idx_blks_hit + idx_blks_read) FROM pg_statio_user_indexes WHERE schemaname = \'workflow_data\'' ],
	[ 'pages of catalogs' => 'SELECT sum(heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0)) FROM pg_statio_sys_tables' ],
	[ 'index probes, ours' => 'SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE schemaname = \'workflow_data\'' ],
	[ 'index probes, catalogs' => 'SELECT sum(idx_scan) FROM pg_stat_sys_indexes' ],
	[ 'rows inserted' => 'SELECT sum(n_tup_ins) FROM pg_stat_user_tables WHERE schemaname = \'workflow_data\'' ],
	[ 'rows updated' => 'SELECT sum(n_tup_upd) FROM pg_stat_user_tables WHERE schemaname = \'workflow_data\'' ],
	[ 'of these, HOT' => 'SELECT sum(n_tup_hot_upd) FROM pg_stat_user_tables WHERE schemaname = \'workflow_data\'' ],
	[ 'rows deleted' => 'SELECT sum(n_tup_del) FROM pg_stat_user_tables WHERE schemaname = \'workflow_data\'' ]);

# Those who count report now and then; this session, which looks, adds to what is said of the catalogs.
sub counters
{
	my ($session) = @_;
	my $sums = join(', ', map { "coalesce(($_->[1]), 0)" } @counters);

	$session->run('SELECT pg_stat_force_next_flush()');
	sleep(2.5);
	return split(/\|/, $session->run("SELECT $sums"));
}

# Pages and probes of each relation.
sub relations
{
	my ($session) = @_;
	my %found;

	for my $line (split(/\n/, $session->run(Bench::statements('looked_at.sql'))))
	{
		my ($relation, $pages, $probes) = split(/\|/, $line);
		$found{$relation} = [ $pages, $probes ];
	}
	return \%found;
}

# What a part does for each of so many, and adds to the WAL.
sub count
{
	my ($title, $session, $code) = @_;
	my $nothing = do { my @a = counters($session); my @b = counters($session); [ map { $b[$_] - $a[$_] } 0 .. $#a ] };
	my $relations = relations($session);
	my @before = counters($session);
	my ($cpu, $from) = (Bench::cluster_cpu(), Bench::sql('postgres', 'SELECT pg_current_wal_insert_lsn()'));

	$code->();
	$cpu = Bench::cluster_cpu() - $cpu;
	my $to = Bench::sql('postgres', 'SELECT pg_current_wal_insert_lsn()');
	my $bytes = Bench::sql('postgres', "SELECT '$to'::pg_lsn - '$from'");
	my @after = counters($session);
	my $now = relations($session);
	for my $relation (keys %$now)
	{
		$looked_at{$relation}[ scalar @columns ] = [ map { ($now->{$relation}[$_] - ($relations->{$relation}[$_] // 0)) / $n } 0, 1 ];
	}
	push(@columns, [ $title, (map { ($after[$_] - $before[$_] - $nothing->[$_]) / $n } 0 .. $#before), $bytes / $n, $cpu * 1e6 / $n ]);
	return ($from, $to);
}

# ---- the WAL ----

sub relation_names
{
	my %name = map { split(/\|/, $_, 2) } split(/\n/, Bench::sql('costs', 'SELECT pg_relation_filenode(oid), relname FROM pg_class WHERE pg_relation_filenode(oid) IS NOT NULL'));
	s/_\d{8}// for values %name;
	return %name;
}

# Records and bytes between two places, by what they are and the relation whose page comes first.
sub read_wal
{
	my ($part, $from, $to) = @_;
	my %name = relation_names();
	my %sum;

	open(my $dump, '-|', "$ENV{WF_BIN}/pg_waldump", '-p', "$ENV{WF_DATA}/pg_wal", '-s', $from, '-e', $to) or die "pg_waldump: $!\n";
	while (my $line = <$dump>)
	{
		my ($manager, $length, $record) = $line =~ m{^rmgr: (\w+)\s+len \(rec/tot\):\s+\d+/\s*(\d+),.* desc: (\w+)} or next;
		my ($relation) = $line =~ m{blkref #0: rel \d+/\d+/(\d+)};
		my $what = defined($relation) ? $name{$relation} // 'another database' : '';
		$sum{"$what|$manager $record"}[0]++;
		# records begin at multiples of 8 bytes
		$sum{"$what|$manager $record"}[1] += ($length + 7) & ~7;
	}
	close($dump);
	push(@wal, [ $part, split(/\|/), map { $_ / $n } @{ $sum{$_} } ]) for sort keys %sum;
	return;
}

# ---- what is counted ----

sub each_in_its_transaction
{
	my ($session, $call) = @_;
	$session->run("DO \$do\$ BEGIN FOR i IN 1 .. $n LOOP PERFORM $call; COMMIT; END LOOP; END \$do\$");
	return;
}

sub complete_all
{
	my ($session) = @_;
	$session->run('TRUNCATE standing; INSERT INTO standing (serial_number) SELECT serial_number FROM workflow.waiting ORDER BY instance; ANALYZE standing');
	return sub {
		each_in_its_transaction($session,
			'workflow.complete((SELECT serial_number FROM standing WHERE n = i), \'{"status": "SUCCESS", "receipt": "R-17"}\')');
	};
}

sub until_all_wait
{
	my ($session) = @_;
	for (my $limit = time + 60 + $n / 100; $session->run("SELECT count(*) FROM workflow_data.visit WHERE state = 'waiting'") < $n; sleep(0.1))
	{
		die "requests that are not answered\n" if time > $limit;
	}
	return;
}

sub count_all
{
	my $data = 'jsonb_build_object(\'id\', i, \'customer\', \'customer \' || i, \'amount\', i % 1000)';

	Bench::fresh_database('costs', 'orders.sql', 'wait_setup.sql', 'waits_setup.sql');
	Bench::wait_for_partitions('costs');
	my $session = Bench::Session->new('costs');
	$session->run('CREATE TABLE standing (n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, serial_number text)');
	for my $warm (1, 0)
	{
		(@columns, @wal, %looked_at) = ();
		$session->run('ALTER SEQUENCE standing_n_seq RESTART; ALTER SERVER partner OPTIONS (SET max_in_flight \'0\')');
		count('start()', $session, sub { each_in_its_transaction($session, "workflow.start('wait', $data)") });
		count('complete()', $session, complete_all($session));
		$session->run('ALTER SEQUENCE standing_n_seq RESTART');
		my @start = count('HTTP: start()', $session, sub { each_in_its_transaction($session, "workflow.start('waits', $data)") });
		my @reply = count('its reply', $session,
			sub { $session->run('ALTER SERVER partner OPTIONS (SET max_in_flight \'64\')'); until_all_wait($session) });
		my @complete = count('complete()', $session, complete_all($session));
		next if $warm;
		read_wal('start', @start);
		read_wal('reply', @reply);
		read_wal('complete', @complete);
	}
	$session->end;
	Bench::sql('postgres', 'DROP DATABASE costs');
	return;
}

# ---- printing ----

sub print_columns
{
	push(@columns, [ 'HTTP step', map { my $row = $_; $columns[2][$row] + $columns[3][$row] + $columns[4][$row] } 1 .. $#{ $columns[0] } ]);
	my @names = ('', (map { $_->[0] } @counters), 'bytes of WAL', 'CPU, us');
	for my $row (0 .. $#names)
	{
		printf '%-24s', $names[$row];
		printf $row == 0 ? '%15s' : $row >= $#names - 1 ? '%15.0f' : '%15.2f', $_->[$row] for @columns;
		print "\n";
	}
	print "\n";
	return;
}

sub print_relations
{
	printf '%-44s', 'pages looked at (index probes)';
	printf '%15s', $_->[0] for @columns[0 .. 4];
	print "\n";
	for my $relation (sort keys %looked_at)
	{
		# the statements that count look at catalogs, too
		next if $relation =~ /^(pg_|standing)/ || !grep { $_->[0] >= 0.05 } @{ $looked_at{$relation} };
		printf '%-44s', $relation;
		printf '%15s', $_->[1] >= 0.01 ? sprintf('%.2f (%.2f)', @$_) : sprintf('%.2f', $_->[0]) for @{ $looked_at{$relation} };
		print "\n";
	}
	print "\n";
	return;
}

sub print_wal
{
	my $sum = 0;

	printf "%-10s %-44s %-28s %8s %8s\n", 'part', 'relation', 'record', 'records', 'bytes';
	for my $line (@wal)
	{
		$sum += $line->[4];
		printf "%-10s %-44s %-28s %8.3f %8.1f\n", @$line if $line->[4] >= 0.5;
	}
	printf "%-10s %-44s %-28s %8s %8.1f\n", 'all', '', '', '', $sum;
	return;
}

$SIG{INT} = $SIG{TERM} = sub { die "interrupted\n" };
Bench::with_settings({ full_page_writes => 'off', autovacuum => 'off', fsync => 'off' }, \&count_all);
printf "Of one, out of %d:\n\n", $n;
print_columns();
print_relations();
print_wal();
