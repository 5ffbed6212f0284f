#
# Processes that nobody has thought of: made up from a seed, played with events in random order, and compared with simulators that
# know the model alone. What differs is told with its seed, once it is seen and all of them at the end; the others are played on.
# Variables of the environment: test/README.md.
#
# takes long

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use CallMaker;
use EachMaker;
use EventMaker;
use Events;
use JSON::PP ();
use OfferMaker;
use Outside;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use ProcessMaker;
use Simulator;
use Test::More;
use Time::HiRes qw(sleep time);
use Worlds;
use WorkflowTest;

my $ROUNDS = $ENV{WF_ROUNDS} // 3;
my $AT_ONCE = $ENV{WF_AT_ONCE} // 32;
my $PATIENCE = $ENV{WF_PATIENCE} // 60; # seconds, in which only others may take so long
my $PLAYS_TO_CRASH = ($ENV{WF_CRASH} // 5) * $AT_ONCE;
my $MOST_WORLDS = 100; # amid which something happens again
my $LONGEST = 15; # seconds of CPU that one may take
my $SMALL = 5; # steps of a process that is made instead of one of which more may become than can be looked at
my (@given_up, @differ, %played, %small, @anew);
# one that there always is, and that is another one after a crash
my $SERVER_PROCESS = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer';";

my $json = JSON::PP->new->canonical;
my $outside = Outside->new;
my $port = $outside->port;
my $node = new_server('generated', conf => "workflow.executors = 6\nworkflow.callback_base = 'http://127.0.0.1:$port'\n");

sub sql { return $node->safe_psql('postgres', join("\n", @_)) }
sub ask { return WorkflowTest::ask($node, 'postgres', $_[0]) }

# Headers of calls are kept, and make no difference: each request has one of that name anyhow. Whether enough requests fail within a while
# that nothing is sent any more is no matter of the model.
# try: what a call answers, or its error. Rows of tables of their own start instances, and are looked at in `rows`.
sql(<<"EOF_SQL");
CREATE SERVER partner FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:$port', allow_private 'true', max_in_flight '1000', timeout '1 h', breaker 'off');
CREATE USER MAPPING FOR PUBLIC SERVER partner OPTIONS (auth 'on_behalf', name 'User-Agent');
ALTER DATABASE postgres SET workflow.on_behalf = '{"user-agent": "generated"}';
CREATE TABLE effects (serial_number text);
CREATE INDEX ON effects (serial_number);
CREATE TABLE rows (id bigint, v integer, sn text, status text, inst bigint);
CREATE FUNCTION try(call text, who text) RETURNS text LANGUAGE plpgsql AS '
	DECLARE answer text;
	BEGIN
		PERFORM set_config(\$\$role\$\$, who, true);
		EXECUTE format(\$\$SELECT (%s)::text\$\$, call) INTO answer;
		RETURN coalesce(answer, \$\$\$\$);
	EXCEPTION WHEN object_not_in_prerequisite_state OR cardinality_violation OR insufficient_privilege OR undefined_object THEN
		RETURN SQLSTATE;
	END';
EOF_SQL

sql(OfferMaker::prepare());
sql('SET client_min_messages = warning;', map { "SELECT workflow.define('$_->[0]', '" . $json->encode($_->[1]) =~ s/'/''/gr . "');" } CallMaker::definitions());

# ---- what is there ----

# One line for each instance, in columns: it is looked at again and again, and JSON takes Perl long to read. Of visits of an attached
# instance the row shows something, too. Names of messages end with that of the case.
my $LOOK = <<'EOF_SQL';
	WITH tasks AS (
		SELECT serial_number, coalesce(assignee, '-') AS task FROM workflow.tasks WHERE instance = ANY ($list)),
	visits AS (
		SELECT instance, serial_number, step, state, scope, item FROM workflow.visits WHERE instance = ANY ($list) UNION ALL
		SELECT instance, serial_number, step, outcome, scope, item FROM workflow.history WHERE instance = ANY ($list)),
	v AS (
		SELECT instance, string_agg(concat_ws(' ', serial_number, step, state, coalesce(scope, '-'), coalesce(item::text, '-'),
			(SELECT count(*) FROM effects e WHERE e.serial_number = v.serial_number), task), ',' ORDER BY split_part(serial_number, '_', 2)::bigint) AS text
		FROM visits v LEFT JOIN tasks USING (serial_number) GROUP BY instance),
	work AS (
		SELECT substr(topic, 3) AS name, concat_ws(' ', ready, locked, paused) AS topics FROM workflow.topics),
	kept AS (
		SELECT substr(name, 3) AS name, count(*) AS n FROM workflow.messages WHERE expires_at > now() + interval '1 min' GROUP BY 1),
	called AS (
		SELECT c.instance, string_agg(c.number || '=' || coalesce(o.answer, o.error ->> 'sqlstate', CASE o.state WHEN 'done' THEN '' ELSE o.state END, 'lost'), ' ' ORDER BY c.number) AS calls
		FROM (VALUES $calls) c (instance, number, operation) LEFT JOIN workflow.operations o USING (operation) GROUP BY 1),
	late AS (
		SELECT split_part(serial_number, '_', 1)::bigint AS instance, count(*) AS n FROM workflow.late_callbacks GROUP BY 1)
	SELECT concat_ws(chr(9), instance, i.status, coalesce(late.n, 0), coalesce(k.n, 0), coalesce(topics, '0 0 0'), coalesce(calls, ''), v.text, coalesce(r.status || ' ' || coalesce(r.sn, '-'), '-'),
		(SELECT string_agg(key || '=' || coalesce(value, 'null'), chr(9)) FROM jsonb_each_text(i.data)))
	FROM workflow.instances i JOIN v USING (instance) LEFT JOIN kept k ON k.name = substr(i.process, 2) LEFT JOIN work w ON w.name = substr(i.process, 2) LEFT JOIN late USING (instance) LEFT JOIN called USING (instance) LEFT JOIN ($rows) r ON r.inst = instance
	WHERE instance = ANY ($list);
EOF_SQL

my %TRUTH = (true => 1, false => 0);

# Of whatever it is made.
sub value_seen { return $_[0] =~ s/\b(true|false)\b/$TRUTH{$1}/gr }

sub visit_seen
{
	my ($sn, $step, $state, $scope, $item, $effects, $task) = split(/ /, $_[0]);
	return { sn => $sn, step => $step, state => $state, scope => $scope eq '-' ? undef : $scope, item => $item eq '-' ? undef : $item, effects => $effects, task => $task };
}

sub look
{
	my (@cases) = @_;
	my $list = q['{] . join(',', map { $_->{instance} } @cases) . q[}'];
	my $rows = join(' UNION ALL ', 'SELECT inst, status, sn FROM ONLY rows', map { "SELECT inst, status, sn FROM row_$_->{name}" } grep { $_->{attached} } @cases);
	my $calls = join(', ', '(0, 0, 0)', map { my $case = $_; my $n = 0; map { "($case->{instance}, " . ++$n . ", $_)" } @{ $case->{operations} // [] } } @cases);
	my $lines = ask($LOOK =~ s/\$list/$list/gr =~ s/\$rows/$rows/r =~ s/\$calls/$calls/r) // return;
	my %attached = map { $_->{instance} => $_->{attached} } @cases;
	my %seen;
	for (split(/\n/, $lines))
	{
		my ($instance, $status, $late, $kept, $topics, $calls, $visits, $row, @data) = split(/\t/);
		my $seen = $seen{$instance} = { status => $status, late => $late, kept => $kept, topics => $topics, calls => $calls, visits => [ map { visit_seen($_) } split(/,/, $visits) ] };
		$seen->{row} = $row =~ s/-$//r if $attached{$instance};
		$seen->{data} = { map { /^(.*?)=(.*)$/ ? ($1 => value_seen($2)) : () } @data };
	}
	return %seen;
}

sub differs
{
	my ($case, $what, @expected) = @_;
	$case->{failed} = 1;
	push @differ, $case->{seed};
	my $blocked = ask("SELECT string_agg(concat(step, ' ', serial_number, ': ', blocked_by), ', ') FROM workflow.visits WHERE instance = $case->{instance} AND blocked_by IS NOT NULL");
	diag("seed $case->{seed}: $what\n  " . join("\n  ", (map { "expected  $_" } @expected), $blocked ? "blocked   $blocked" : ()) . "\n  after     " . join("\n            ", @{ $case->{events} })
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
	thinking_of($case, sub { $agrees = $case->{worlds}->seen($seen, sub { return $outside->is_open(@_) }) }) || give_up($case, $@);
	return $agrees;
}

# Others wait meanwhile. Returns false, with the error, if more may become of it than can be looked at.
sub thinking_of
{
	my ($case, $think) = @_;
	my $begin = (times)[0];
	my $done = eval { $think->(); 1 };
	$case->{thought} += (times)[0] - $begin;
	return $done;
}

sub takes_too_long { return ($_[0]{thought} // 0) > $LONGEST }

# More may have become of it than can be looked at. The seed makes a smaller process then.
sub give_up
{
	my ($case, $error) = @_;
	die $error if $error !~ /^too much/;
	my $again = !$small{ $case->{seed} }++;
	push @{ $again ? \@anew : \@given_up }, $case->{seed};
	note("seed $case->{seed} is " . ($again ? 'made anew' : 'given up') . ' after ' . @{ $case->{events} } . " events, $case->{events}[-1]: $error" =~ s{\n}{}r);
	delete @$case{qw(call who)};
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

# A process, and the row that starts it if a table is attached. If more may become of it at once than can be looked at, another one.
sub make
{
	my ($case) = @_;
	for my $try (1 .. 100)
	{
		$case->{definition} = ProcessMaker::make($small{ $case->{seed} } ? $SMALL : ());
		$case->{names} = EventMaker::add($case->{definition}, @$case{qw(seed name)});
		CallMaker::add($case->{definition}, @$case{qw(seed name)});
		EachMaker::add($case->{definition}, $case->{seed});
		$case->{attached} = ProcessMaker::attachment($case->{definition});
		$case->{by} = $case->{attached} || $case->{seed} % 7 ? undef : pick('client', 'step');
		$case->{data} = $case->{attached} ? { id => $case->{seed}, v => int(rand(3)) } : $case->{by} ? { v => int(rand(3)) } : undef;
		return $case if eval { $case->{worlds} = Worlds->new(Simulator->new($case->{definition}, $case->{data})); 1 };
		die $@ if $@ !~ /^too much/;
	}
	die "seed $case->{seed} makes no process that can be looked at\n";
}

# A version with the same meaning, whose entries have other places: one more stands before them, which never happens.
sub other_version
{
	my ($definition) = @_;
	my $other = $json->decode($json->encode($definition));
	for my $step ($other, ProcessMaker::all_steps($other->{steps}))
	{
		unshift @{ $step->{catch} }, { signal => 'nobody', interrupt => JSON::PP::false, next => $step->{catch}[0]{next} } if $step->{catch};
		unshift @{ $step->{first_of} }, { signal => 'nobody', when => '1 == 2', next => $step->{first_of}[0]{next} } if $step->{first_of};
	}
	$other->{description} = 'the same in other words';
	return $json->encode($other) =~ s/'/''/gr;
}

# What is defined, and how an instance of it starts. Of every other process there are two versions.
sub prepare
{
	my ($seed) = @_;
	srand($seed);
	my $name = $seed . ($small{$seed} ? '_small' : '');
	my $case = make({ seed => $seed, name => $name, events => ['start'] });
	$case->{definition}{start_on} = [ { message => "Z $name" } ] if $case->{by};
	my $text = $json->encode($case->{definition}) =~ s/'/''/gr;
	$case->{migrates} = $seed % 2;
	$case->{define} = join('', map { "SELECT workflow.define('p$name', '$_');" } $case->{migrates} ? other_version($case->{definition}) : (), $text);
	$case->{define} .= "SELECT workflow.grant_process('p$name', 'service', 'complete');" if $case->{names} && $case->{names}{topic};
	$case->{start} = "SELECT workflow.start('p$name');";
	start_later($case) if !$case->{by} && !$case->{attached} && rand() < 0.3;
	start_on_message($case) if $case->{by};
	return $case unless $case->{attached};

	my $step = $case->{attached}{serial_step};
	$case->{define} .= "CREATE TABLE row_$name (PRIMARY KEY (id)) INHERITS (rows); SELECT workflow.attach('row_$name', 'p$name', serial_column => 'sn', "
	  . "status_column => 'status', instance_column => 'inst'" . ($step ? ", serial_step => '$step'" : '') . ');';
	$case->{start} = "INSERT INTO row_$name VALUES ($seed, $case->{data}{v}) RETURNING inst;";
	return $case;
}

# By a call that is carried out later, and perhaps with another one behind it, before there is an instance.
sub start_later
{
	my ($case) = @_;
	my $start = "workflow.start('p$case->{name}', mode => 'async')";
	my $data = { v => int(rand(3)) };
	$case->{events} = ['start later'];
	$case->{start} = "SELECT $start;";
	my $set = sub { return $_[0]->call_later(1, sub { return undef }, sub { return $_[0]->set_data($data) }) };
	return if rand() < 0.5 || !thinking_of($case, sub { $case->{worlds}->happens(sub { return undef }, $set) });
	$case->{worlds}->answered('#');
	$case->{events}[0] .= ', set_data ' . $json->encode($data);
	$case->{start} = "SELECT CASE WHEN workflow.set_data(i, '" . $json->encode($data) . "', mode => 'async') IS NULL THEN i || '#' || workflow.last_operation() END FROM (SELECT $start AS i OFFSET 0) s;";
}

# A message starts it, which a client or a step sends, twice.
sub start_on_message
{
	my ($case) = @_;
	my $message = { data => $case->{data}, message_id => 'once' };
	my $send = "workflow.send_message('Z $case->{name}', data => '" . $json->encode($case->{data}) . "', message_id => 'once')";
	my @steps = map { { step => $_, send => { message => "Z $case->{name}", %$message } } } 'first', 'again';
	$case->{define} .= "SELECT workflow.define('s$case->{name}', '" . $json->encode({ steps => \@steps }) . "');" if $case->{by} eq 'step';
	if ($case->{by} eq 'client' && rand() < 0.5)
	{
		push @{ $case->{events} }, 'by messages that are sent later';
		$case->{sends} = 1;
		$case->{start} = 'SELECT ' . $send =~ s/\)$/, mode => 'async')/r . "; SELECT workflow.last_operation();";
		$case->{start} x= 2;
		return;
	}
	$case->{start} = 'DO $$ BEGIN ' . ($case->{by} eq 'step' ? "PERFORM workflow.start('s$case->{name}');" : "ASSERT $send = 'delivered'; ASSERT $send = 'duplicate';") . ' END $$;';
}

sub start
{
	my (@cases) = @_;
	my @called = grep { !$_->{by} } @cases;
	sql('SET client_min_messages = warning;', map { $_->{define} } @cases);
	my @instances = split(/\n/, sql(map { $_->{start} } @called));
	for my $case (@called)
	{
		($case->{instance}, my @operations) = split(/#/, shift @instances);
		$case->{operations} = \@operations;
	}
	await_start($_) for grep { $_->{by} } @cases;
}

# One, not two.
sub await_start
{
	my ($case) = @_;
	my $end = time() + $PATIENCE;
	my @operations = grep { $_ } split(/\n/, sql($case->{start}));
	while (($case->{instance} = sql("SELECT instance FROM workflow.instances WHERE process = 'p$case->{name}';")) !~ /^\d+\z/)
	{
		die "seed $case->{seed}: its message has started \"$case->{instance}\"\n" if time() > $end;
		sleep 0.05;
	}
	my $answers = "SELECT string_agg(coalesce(answer, state), ' ' ORDER BY answer) FROM workflow.operations WHERE operation IN (" . join(', ', 0, @operations) . ');';
	until (!$case->{sends} || sql($answers) eq 'delivered duplicate')
	{
		die "seed $case->{seed}: its messages have come to " . sql($answers) . "\n" if time() > $end;
		sleep 0.05;
	}
	$played{"started by a $case->{by}" . ($case->{sends} ? ' later' : '')}++;
}

# An event, unless more may become of that than can be looked at. Who is at rest has to have one.
sub event
{
	my ($case, $again) = @_;
	my $played = @{ $case->{events} };
	for my $try (1 .. ($again ? 1 : 10))
	{
		return 1 if thinking_of($case, sub { Events::play($case, $outside, $again) });
		die $@ if $@ !~ /^too much/;
		$#{ $case->{events} } = $played - 1;
		delete @$case{qw(call who)};
		last if takes_too_long($case);
	}
	return $again && !takes_too_long($case) || give_up($case, $@);
}

# One for each; calls in one go.
sub play
{
	my ($again, @cases) = @_;
	for my $case (@cases)
	{
		srand($case->{seed} * 1000 + @{ $case->{events} });
		my $played = @{ $case->{events} };
		event($case, $again);
		next if @{ $case->{events} } == $played;
		$played{ $1 // $2 // $3 }++ while $case->{events}[-1] =~ /workflow\.([a-z_]+)\(|(fetch)_work|is (answered)/g;
	}
	make_calls(@cases);
}

sub make_calls
{
	my (@cases) = @_;
	my @called = grep { $_->{call} } @cases;
	return unless @called;
	my @answers = split(/\n/, sql(map { "SELECT '= ' || try(\$\$" . delete($_->{call}) . '$$, \'' . (delete($_->{who}) // 'none') . "');" } @called), -1);
	for my $case (@called)
	{
		my ($answer) = (shift @answers) =~ /^= (.*)/;
		my @later = $answer =~ /#(\d+)/g;
		push @{ $case->{operations} }, @later;
		$answer =~ s/#\d+/#/g;
		$played{later} += @later;
		my $expected = $case->{worlds}->answered($answer);
		$played{"message $answer"}++ if $case->{events}[-1] =~ /send_message/ && !@later;
		differs($case, "answer    \"$answer\"", $expected) if defined $expected;
	}
}

# A worker dies, and with it all processes of the server; or one goes in peace. What comes afterwards finds none of them.
sub crash_of_a_worker
{
	my (@cases) = @_;
	my $kind = pick('dispatcher', 'executor');
	my $pid = worker_pid($node, $kind, 'postgres') // return;
	my $kill = rand() < 0.5;
	if ($kill)
	{
		my $before = sql($SERVER_PROCESS);
		kill 'KILL', $pid;
		wait_until_up($before);
	}
	else { sql("SELECT pg_terminate_backend($pid, 60000);") }
	push @{ $_->{events} }, "$kind " . ($kill ? 'is killed' : 'ends') for @cases;
	$played{ $kill ? 'killed' : 'ended' }++;
	return if !$kill && $kind eq 'executor';
	for my $case (@cases)
	{
		eval { Events::crash($case); 1 } || give_up($case, $@);
	}
}

sub pick { return $_[ int(rand(@_)) ] }

# Until then the server may not even have seen that one of its processes has died.
sub wait_until_up
{
	my ($before) = @_;
	my $end = time() + $PATIENCE;
	my $now;
	until (defined($now = ask($SERVER_PROCESS)) && $now ne '' && $now ne $before)
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
	my @hasty = grep { rand() < (is_running($_) ? 0.8 : 0.35) } grep { $_->{worlds}->all < $MOST_WORLDS } @idle;
	my @hastier = grep { rand() < 0.3 } grep { $_->{worlds}->all < $MOST_WORLDS } @hasty;
	play(1, grep { is_open($_) } @hasty);
	play(1, grep { is_open($_) } @hastier);
	return scalar @idle;
}

sub game
{
	my (@seeds) = @_;
	my $first = $seeds[0];
	my @open;
	my $plays = 0;
	while (@open || @seeds || @anew)
	{
		unshift @seeds, splice(@anew);
		my @new = map { prepare($_) } splice(@seeds, 0, $AT_ONCE - @open);
		start(@new) if @new;
		push @open, @new;
		srand($first * 1000 + $plays);
		$plays += turn(@open);
		if ($plays > $PLAYS_TO_CRASH)
		{
			srand($first * 1000 + @seeds);
			wait_for_all(@open) if rand() < 0.5;
			crash_of_a_worker(grep { is_open($_) } @open);
			$plays = 0;
		}
		@open = grep { is_open($_) } @open;
	}
}

# the first one, or all of them
my @seeds = split(/\D+/, $ENV{WF_SEED} // 1);
@seeds = $seeds[0] .. $seeds[0] + $ROUNDS * $AT_ONCE - 1 if @seeds == 1;
note("seeds $seeds[0] to $seeds[-1]");
ok(eval { game(@seeds); 1 }, 'all are played') or diag($@);
is(sql('SELECT * FROM workflow.verify();'), '', 'all rows agree with each other');
is("@differ", '', "seeds $seeds[0] to $seeds[-1] end as the model says");
cmp_ok(@given_up, '<=', 1 + @seeds / 20, 'hardly any has more ends than can be looked at');
note("played: " . join(', ', map { "$played{$_} $_" } sort keys %played) . "; most worlds of a case: $Worlds::most; given up: " . (@given_up ? "@given_up" : 'none'));
$node->stop;
done_testing();
