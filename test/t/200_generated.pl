#
# Processes that nobody has thought of: made up from a seed, played with events in random order, and compared with simulators that
# know the model alone. What differs is told with its seed. WF_SEED begins with another one, WF_ROUNDS plays more of them, and
# WF_AT_ONCE is how many are played beside each other: WF_SEED=<seed> WF_ROUNDS=1 WF_AT_ONCE=1 plays one again, as far as nothing
# races in it.
#
# takes long

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Events;
use JSON::PP ();
use Outside;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use ProcessMaker;
use Simulator;
use Test::More;
use Time::HiRes qw(sleep time);
use Worlds;
use WorkflowTest;

my $SEED = $ENV{WF_SEED} // 1;
my $ROUNDS = $ENV{WF_ROUNDS} // 3;
my $AT_ONCE = $ENV{WF_AT_ONCE} // 32;
my $PATIENCE = 30;
my $PLAYS_TO_CRASH = 150;
my $given_up = 0;
my %played;

my $json = JSON::PP->new->canonical;
my $outside = Outside->new;
my $port = $outside->port;
my $node = new_server('generated', conf => "workflow.executors = 6\nworkflow.callback_base = 'http://127.0.0.1:$port'\n");

sub sql { return $node->safe_psql('postgres', join("\n", @_)) }

# try: what a call answers, or its error. Rows of tables of their own start instances, and are looked at in `rows`.
sql(<<"EOF_SQL");
CREATE SERVER partner FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:$port', allow_private 'true', max_in_flight '1000', timeout '1 h');
CREATE TABLE effects (serial_number text);
CREATE TABLE rows (id bigint, v integer, sn text, status text, inst bigint);
CREATE FUNCTION try(call text) RETURNS text LANGUAGE plpgsql AS '
	DECLARE answer text;
	BEGIN
		EXECUTE format(\$\$SELECT (%s)::text\$\$, call) INTO answer;
		RETURN coalesce(answer, \$\$\$\$);
	EXCEPTION WHEN object_not_in_prerequisite_state THEN
		RETURN SQLSTATE;
	END';
EOF_SQL

# ---- what is there ----

my $LOOK = <<'EOF_SQL';
	WITH visits AS (
		SELECT instance, serial_number, step, state, scope FROM workflow.visits WHERE instance = ANY ($list) UNION ALL
		SELECT instance, serial_number, step, outcome, scope FROM workflow.history WHERE instance = ANY ($list))
	SELECT json_build_object('instance', i.instance, 'status', i.status, 'data', i.data,
		'late', (SELECT count(*) FROM workflow.late_callbacks l WHERE l.serial_number LIKE i.instance || E'\\_%'),
		'row', (SELECT r.status || ' ' || coalesce(r.sn, '') FROM rows r WHERE r.inst = i.instance),
		'visits', (SELECT json_agg(json_build_object('sn', v.serial_number, 'step', v.step, 'state', v.state, 'scope', v.scope,
			'effects', (SELECT count(*) FROM effects e WHERE e.serial_number = v.serial_number))
			ORDER BY split_part(v.serial_number, '_', 2)::bigint) FROM visits v WHERE v.instance = i.instance))
	FROM workflow.instances i WHERE i.instance = ANY ($list)
EOF_SQL

sub look
{
	my (@cases) = @_;
	my $list = q['{] . join(',', map { $_->{instance} } @cases) . q[}'];
	my $rows = WorkflowTest::ask($node, 'postgres', $LOOK =~ s/\$list/$list/gr) // return;
	return map { my $seen = $json->decode($_); ($seen->{instance} => $seen) } split(/\n/, $rows);
}

sub differs
{
	my ($case, $what, @expected) = @_;
	$case->{failed} = 1;
	diag("seed $case->{seed}: $what\n  " . join("\n  ", map { "expected  $_" } @expected) . "\n  after     " . join("\n            ", @{ $case->{events} })
		  . ($case->{attached} ? "\n  serial_step: " . ($case->{attached}{serial_step} // 'none') : '') . "\n  " . $json->encode($case->{definition}));
}

# Columns in which the row shows its instance are no data of it.
sub agrees
{
	my ($case, $seen) = @_;
	if ($case->{attached})
	{
		delete @{ $seen->{data} }{qw(sn status inst)};
		$seen->{row} = { text => $seen->{row}, serial_step => $case->{attached}{serial_step} };
	}
	my $agrees;
	eval { $agrees = $case->{worlds}->seen($seen, sub { return $outside->is_open(@_) }); 1 } || give_up($case, $@);
	return $agrees;
}

# More may have become of it than can be looked at.
sub give_up
{
	my ($case, $error) = @_;
	die $error if $error !~ /^too much/;
	$given_up++;
	note("seed $case->{seed} is given up, after $case->{events}[-1]");
	delete $case->{call};
	$case->{given_up} = 1;
	return 0;
}

# Those of them that are at rest as the model says. What does not come to be so within a while differs.
sub at_rest
{
	my @open = grep { !$_->{given_up} } @_;
	my %seen = @open ? look(@open) : ();
	my @agree = grep { $seen{ $_->{instance} } && agrees($_, $seen{ $_->{instance} }) } @open;
	delete $_->{since} for @agree;
	for my $case (@open)
	{
		next if $case->{given_up} || grep { $_ == $case } @agree;
		$case->{since} //= time();
		differs($case, 'seen      ' . ($case->{worlds}{last} // 'nothing'), $case->{worlds}->expected) if time() > $case->{since} + $PATIENCE;
	}
	return @agree;
}

sub wait_for_all
{
	my @open = @_;
	while (@open = grep { !$_->{failed} && !$_->{given_up} } @open)
	{
		$outside->listen(0.02) for 1 .. 3;
		my %agrees = map { $_->{seed} => 1 } at_rest(@open);
		@open = grep { !$agrees{ $_->{seed} } } @open;
	}
}

# ---- the game ----

# What is defined, and how an instance of it starts.
sub prepare
{
	my ($seed) = @_;
	srand($seed);
	my $definition = ProcessMaker::make();
	my $case = { seed => $seed, definition => $definition, events => ['start'], attached => ProcessMaker::attachment($definition) };
	my $text = $json->encode($definition) =~ s/'/''/gr;
	$case->{define} = "SELECT workflow.define('p$seed', '$text');";
	$case->{start} = "SELECT workflow.start('p$seed');";
	return $case unless $case->{attached};

	my $step = $case->{attached}{serial_step};
	my $v = int(rand(3));
	$case->{define} .= "CREATE TABLE row_$seed (PRIMARY KEY (id)) INHERITS (rows); SELECT workflow.attach('row_$seed', 'p$seed', serial_column => 'sn', "
	  . "status_column => 'status', instance_column => 'inst'" . ($step ? ", serial_step => '$step'" : '') . ');';
	$case->{start} = "INSERT INTO row_$seed VALUES ($seed, $v) RETURNING inst;";
	$case->{data} = { id => $seed, v => $v };
	return $case;
}

sub start
{
	my (@cases) = @_;
	sql('SET client_min_messages = warning;', map { $_->{define} } @cases);
	my @instances = split(/\n/, sql(map { $_->{start} } @cases));
	for my $case (@cases)
	{
		$case->{instance} = shift @instances;
		eval { $case->{worlds} = Worlds->new(Simulator->new($case->{definition}, $case->{data})); 1 } || give_up($case, $@);
	}
}

# One event for each; calls in one go.
sub play
{
	my ($again, @cases) = @_;
	for my $case (@cases)
	{
		srand($case->{seed} * 1000 + @{ $case->{events} });
		next unless eval { Events::play($case, $outside, $again); 1 } || give_up($case, $@);
		$played{ $1 // $2 }++ while ($case->{events}[-1] // '') =~ /workflow\.([a-z_]+)\(|is (answered)/g;
	}
	my @called = grep { $_->{call} } @cases;
	return unless @called;
	my @answers = split(/\n/, sql(map { "SELECT '= ' || try(\$\$" . delete($_->{call}) . '$$);' } @called), -1);
	for my $case (@called)
	{
		my ($answer) = (shift @answers) =~ /^= (.*)/;
		my $expected = $case->{worlds}->answered($answer);
		differs($case, "answer    \"$answer\"", $expected) if defined $expected;
	}
}

# A worker dies, and with it all processes of the server; or one goes in peace.
sub crash_of_a_worker
{
	my (@cases) = @_;
	return if grep { grep { $_->{arriving} } $_->{worlds}->some->living } @cases;
	my $kind = pick('dispatcher', 'executor');
	my $pid = worker_pid($node, $kind, 'postgres') // return;
	my $kill = rand() < 0.5;
	if ($kill)
	{
		kill 'KILL', $pid;
		wait_until_up();
	}
	else { sql("SELECT pg_terminate_backend($pid)") }
	push @{ $_->{events} }, "$kind " . ($kill ? 'is killed' : 'ends') for @cases;
	return if !$kill && $kind eq 'executor';
	for my $case (@cases)
	{
		eval { $case->{worlds}->happens(\&Events::nothing_special, sub { return $_[0]->crash }); 1 } || give_up($case, $@);
	}
}

sub pick { return $_[ int(rand(@_)) ] }

sub wait_until_up
{
	my $end = time() + $PATIENCE;
	sleep 0.1;
	until (defined WorkflowTest::ask($node, 'postgres', "SELECT 1"))
	{
		die "the server does not come back\n" if time() > $end;
		sleep 0.05;
	}
}

sub is_open { return !$_[0]{failed} && !$_[0]{given_up} && @{ $_[0]{events} } < $Events::LAST && $_[0]{worlds}->some->living }

sub is_running { return grep { $_->{statement} } map { $_->living } $_[0]{worlds}->all }

# Who is at rest gets an event; some get more, amid whatever that sets going. Returns how many there were.
sub turn
{
	my (@cases) = @_;
	$outside->listen(0.02) for 1 .. 3;
	my @idle = grep { is_open($_) } at_rest(@cases);
	play(0, @idle);
	my @hasty = grep { rand() < (is_running($_) ? 0.8 : 0.35) } @idle;
	my @hastier = grep { rand() < 0.3 } @hasty;
	play(1, grep { is_open($_) } @hasty);
	play(1, grep { is_open($_) } @hastier);
	return scalar @idle;
}

sub game
{
	my ($first, $n) = @_;
	my (@open, $failed);
	my ($next, $plays) = ($first, 0);
	while (@open || $next < $first + $n)
	{
		my $last = $next + $AT_ONCE - @open;
		$last = $first + $n if $last > $first + $n;
		my @new = map { prepare($_) } $next .. $last - 1;
		start(@new) if @new;
		push @open, @new;
		$next = $last;
		srand($first * 1000 + $plays);
		$plays += turn(@open);
		if ($plays > $PLAYS_TO_CRASH)
		{
			wait_for_all(@open);
			crash_of_a_worker(grep { is_open($_) } @open);
			$plays = 0;
		}
		$failed += grep { $_->{failed} } @open;
		@open = grep { is_open($_) } @open;
	}
	is($failed, 0, "seeds $first to " . ($next - 1) . ' end as the model says');
}

note("seed $SEED");
game($SEED, $ROUNDS * $AT_ONCE);
cmp_ok($given_up, '<=', 1 + $ROUNDS * $AT_ONCE / 20, 'hardly any has more ends than can be looked at');
note("played: " . join(', ', map { "$played{$_} $_" } sort keys %played) . "; most worlds of a case: $Worlds::most; given up: $given_up");
$node->stop;
done_testing();
