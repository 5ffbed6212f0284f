# cases/Shards.pm
#	Calls by way of a router to 1, 2 and 4 shards, each a cluster of its own on this machine. What all clusters share is its processors, so the
#	CPU time of a call is what counts: whether it stays the same, in the shards and in the router. Shards do not wait for the disk, whose commits one
#	cluster shares among more clients than four do.
package Shards;

use strict;
use warnings;
use Bench;
use Figures;
use Time::HiRes qw(time sleep);

my $MOST = 4;
my $CLIENTS = 32;
my %made;

# As whoever has started the cluster of the router.
sub run_program
{
	my (@command) = @_;
	my ($uid, $gid) = (stat $ENV{WF_DATA})[ 4, 5 ];
	unshift @command, 'setpriv', "--reuid=$uid", "--regid=$gid", '--clear-groups', '--' if $> == 0;
	my $log = Bench::program('shards.log');
	system('sh', '-c', 'exec "$@" >>"$0" 2>&1 </dev/null', $log, @command) == 0 or die "@command\n" . Bench::slurp($log);
	return;
}

# The cluster of a shard: its port is known by its number.
sub port_of { return 5600 + $_[0] }
sub data_of { return "$ENV{WF_WORK}/bench_shard$_[0]" }

sub in_shard
{
	my ($shard, $database, $sql) = @_;
	local $ENV{PGPORT} = port_of($shard);
	return Bench::sql($database, $sql);
}

sub make_clusters
{
	for my $shard (grep { !$made{$_} } 0 .. $MOST - 1)
	{
		my $data = data_of($shard);
		run_program('initdb', '-D', $data, '-U', 'postgres', '-A', 'trust', '-N', '--encoding=UTF8', '--locale=C.UTF-8');
		open my $conf, '>>', "$data/postgresql.conf" or die "$data: $!\n";
		print $conf "listen_addresses = ''\nunix_socket_directories = '$ENV{PGHOST}'\nport = ", port_of($shard),
		  "\nshared_preload_libraries = 'workflow'\nmax_connections = 100\nshared_buffers = 128MB\nfsync = off\nmax_wal_size = 2GB\nlog_min_messages = warning\n";
		close $conf;
		run_program('pg_ctl', '-D', $data, '-l', "$data.log", '-w', 'start');
		$made{$shard} = 1;
	}
	return;
}

sub stop_clusters
{
	run_program('pg_ctl', '-D', data_of($_), '-m', 'fast', '-w', 'stop') for grep { delete $made{$_} } 0 .. $MOST - 1;
	return;
}

# Fresh shards, and a router to each number of them.
sub make_shards
{
	for my $shard (0 .. $MOST - 1)
	{
		in_shard($shard, 'postgres', $_) for 'DROP DATABASE IF EXISTS bench WITH (FORCE)', 'CREATE DATABASE bench';
		in_shard($shard, 'bench', "CREATE EXTENSION workflow; SELECT workflow.set_shard($shard)");
		in_shard($shard, 'bench', Bench::statements('wait_setup.sql') =~ s/:'url'/'http:\/\/127.0.0.1'/gr);
	}
	for my $n (1, 2, 4)
	{
		Bench::sql('postgres', $_) for "DROP DATABASE IF EXISTS router$n WITH (FORCE)", "CREATE DATABASE router$n";
		Bench::sql("router$n", 'SET client_min_messages = warning; CREATE EXTENSION workflow_router CASCADE');
		Bench::sql("router$n", "SELECT workflow_router.add_shard($_, 'host=$ENV{PGHOST} port=" . port_of($_) . " dbname=bench')") for 0 .. $n - 1;
	}
	return;
}

# CPU time so far, of the router's cluster and of those of the shards.
sub cpu
{
	my $router = Bench::cluster_cpu();
	my $shards = 0;
	for my $shard (0 .. $MOST - 1)
	{
		local $ENV{WF_DATA} = data_of($shard);
		$shards += Bench::cluster_cpu();
	}
	return ($router, $shards);
}

# How many calls the shards have carried out: instances that were started, or have ended.
sub calls
{
	my ($what) = @_;
	my $sum = 0;
	$sum += in_shard($_, 'bench', $what eq 'start' ? 'SELECT last_value FROM workflow_data.instance_seq' : 'SELECT count(*) FROM workflow_data.instance_history')
	  for 0 .. $MOST - 1;
	return $sum;
}

# {rate, router, shards}: calls a second, and CPU time of each in us, once all clients have their sessions in all shards.
sub measure
{
	my ($database, $what, $script, $port) = @_;
	local $ENV{PGPORT} = $port if defined $port;
	my $clients = Bench::pgbench_begin($database, $script, $CLIENTS, { i => 0 });
	sleep($size{seconds});
	my ($n, @cpu, $took);
	my $ok = eval {
		my ($calls, $began) = (calls($what), time);
		@cpu = cpu();
		sleep($size{seconds});
		my @after = cpu();
		$took = time - $began;
		$n = calls($what) - $calls;
		@cpu = map { $after[$_] - $cpu[$_] } 0, 1;
		1;
	};
	my $error = $@;
	Bench::pgbench_end($clients);
	die $error unless $ok;
	return { rate => $n / $took, router => $cpu[0] * 1e6 / $n, shards => $cpu[1] * 1e6 / $n };
}

# What waits, numbered for the clients.
sub list_open
{
	my ($database) = @_;
	Bench::sql($database, 'DROP TABLE IF EXISTS open_of_all; CREATE TABLE open_of_all AS SELECT row_number() OVER (ORDER BY random()) AS n, serial_number FROM workflow.waiting;'
		  . ' ALTER TABLE open_of_all ADD PRIMARY KEY (n); ANALYZE open_of_all');
	return;
}

sub add_calls
{
	my ($title, @rounds) = @_;
	my $of = sub { my ($n, $part, $base, $other) = @_; return map { [ $_->{$n}{$part}, $_->{$base}{ $other // $part } ] } @rounds };

	add_rates("$title by a router, $CLIENTS clients, 4 shards against 1", undef, $of->(4, 'rate', 1));
	add_costs("  CPU in the shards, $_ against 1", 'us', 1.1, $of->($_, 'shards', 1)) for 2, 4;
	add_costs("  CPU in the router, $_ against 1", 'us', 1.1, $of->($_, 'router', 1)) for 2, 4;
	add_costs('  CPU in all, by a router against straight', 'us', undef, map { [ $_->{1}{router} + $_->{1}{shards}, $_->{straight}{shards} ] } @rounds);
	return;
}

sub shards_case
{
	my $bulk = $size{bulk} / 10;
	my (@start, @complete, @bulk);

	make_clusters();
	for my $round (1 .. $size{rounds})
	{
		my (%start, %complete);
		make_shards();
		for my $side (1, 2, 4, 'straight')
		{
			my ($database, @port) = $side eq 'straight' ? ('bench', port_of(0)) : ("router$side");
			$start{$side} = measure($database, 'start', 'start.sql', @port);
			# enough to be answered for as long as it takes
			my @shards = 0 .. ($side eq 'straight' ? 1 : $side) - 1;
			in_shard($_, 'bench', "SELECT count(workflow.start('wait', '{\"customer\": \"Ann Example\"}')) FROM generate_series(1, " . int($size{bulk} / @shards) . ')') for @shards;
			local $ENV{PGPORT} = $port[0] if @port;
			list_open($database);
			$complete{$side} = measure($database, 'complete', 'shards_complete.sql', @port);
			print '.';
		}
		my @took;
		for my $n (1, 4)
		{
			make_shards();
			Bench::sql("router$n", "SELECT count(workflow.start('wait', '{\"customer\": \"Ann Example\"}')) FROM generate_series(1, $bulk)");
			Bench::sql("router$n", "CREATE TABLE callbacks AS SELECT json_agg(json_build_object('serial_number', serial_number)) AS them FROM workflow.waiting");
			my $began = time;
			must_be('accepted', Bench::sql("router$n", 'SELECT count(*) FROM callbacks, workflow.complete_many(them) WHERE accepted'), $bulk);
			push @took, (time - $began) * 1000;
		}
		push @start, \%start;
		push @complete, \%complete;
		push @bulk, [ reverse @took ];
	}
	stop_clusters();
	add_calls('start()', @start);
	add_calls('complete()', @complete);
	add_costs("complete_many of $bulk by a router, 4 shards against 1", 'ms', undef, @bulk);
	return;
}

1;
