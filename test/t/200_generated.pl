#
# Processes that nobody has thought of: made up from a seed, played with events in random order, and compared with a simulator that
# knows the model alone. What differs is told with its seed. WF_SEED begins with another one, WF_ROUNDS plays longer, and WF_AT_ONCE
# is how many are played beside each other: WF_SEED=<seed> WF_AT_ONCE=1 plays one again.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use ProcessMaker;
use Simulator;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $SEED = $ENV{WF_SEED} // 1;
my $ROUNDS = $ENV{WF_ROUNDS} // 1;
my $AT_ONCE = $ENV{WF_AT_ONCE} // 32;
my $MOST_EVENTS = 12; # then it is cancelled
my $PATIENCE = 30;

my $json = JSON::PP->new->canonical->allow_nonref;
my $node = new_server('generated');
my ($listener, $select, %held, %of_socket);

# ---- the outside: requests stand until somebody answers them ----

sub listen_here
{
	$listener = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1') or die "listen: $!";
	$select = IO::Select->new($listener);
	return $listener->sockport;
}

sub forget
{
	my ($socket) = @_;
	my $request = delete $of_socket{$socket};
	delete $held{ $request->{sn} }{ $request->{kind} } if $request->{sn} && ($held{ $request->{sn} }{ $request->{kind} } // 0) == $socket;
	$select->remove($socket);
	close($socket);
}

sub read_request
{
	my ($socket) = @_;
	my $request = $of_socket{$socket};
	return forget($socket) unless sysread($socket, my $bytes, 65536);
	$request->{text} .= $bytes;
	my ($head, $body) = $request->{text} =~ /^(.*?)\r\n\r\n(.*)$/s or return;
	return if length($body) < ($head =~ /content-length: *(\d+)/i)[0];
	@$request{qw(kind sn)} = ($head =~ m{^POST /(\w+)}, $json->decode($body)->{sn});
	$held{ $request->{sn} }{ $request->{kind} } = $socket;
}

# Whatever has come meanwhile.
sub listen_for
{
	my ($seconds) = @_;
	for my $socket ($select->can_read($seconds))
	{
		if ($socket != $listener) { read_request($socket); next }
		my $new = $listener->accept or next;
		$of_socket{$new} = { text => '' };
		$select->add($new);
	}
}

sub answer
{
	my ($sn, $kind, $status, $body) = @_;
	my $socket = $held{$sn}{$kind};
	my $text = $json->encode($body);
	print $socket "HTTP/1.1 $status So be it\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " . length($text) . "\r\n\r\n$text";
	$socket->flush;
	forget($socket);
}

# ---- what there is, and what there should be ----

sub sql { return $node->safe_psql('postgres', join("\n", @_)) }

# By instance: its visits in the order of their numbers, as "visit step state".
sub look
{
	my (@cases) = @_;
	my $list = join(',', map { $_->{instance} } @cases);
	my $rows = WorkflowTest::ask($node, 'postgres', qq[
		SELECT i.instance || '|' || i.status || '|' || coalesce(string_agg(v.visit || ' ' || v.step || ' ' || v.state, ',' ORDER BY v.visit), '')
		FROM workflow.instances i LEFT JOIN (
			SELECT instance, split_part(serial_number, '_', 2)::bigint AS visit, step, state FROM workflow.visits UNION ALL
			SELECT instance, split_part(serial_number, '_', 2)::bigint, step, outcome FROM workflow.history) v USING (instance)
		WHERE instance IN ($list) GROUP BY i.instance, i.status]) // return;
	return map { my @row = split(/\|/, $_); ($row[0] => { status => $row[1], visits => [ map { [ split / / ] } split(/,/, $row[2]) ] }) } split(/\n/, $rows);
}

# While it is suspended, what has come does not show.
sub told
{
	my ($case, $step, $state) = @_;
	return "$step:" . ($case->{sim}{suspended} && $state =~ /[a-z]/ ? 'held' : $state);
}

sub expected
{
	my ($case) = @_;
	return join(' ', $case->{sim}->status, sort map { told($case, $_->{step}, $_->{outcome} // $_->{state}) } $case->{sim}->visits);
}

# The simulator's visits get the numbers of those that are there, and their requests must have come.
sub agrees
{
	my ($case, $seen) = @_;
	$case->{seen} = join(' ', $seen->{status}, sort map { told($case, @$_[ 1, 2 ]) } @{ $seen->{visits} });
	return 0 if $case->{seen} ne expected($case);
	my %number;
	push @{ $number{"$_->[1] $_->[2]"} }, $_->[0] for @{ $seen->{visits} };
	for my $visit ($case->{sim}->living)
	{
		my $state = $case->{sim}{suspended} ? (grep { /^\Q$visit->{step}\E [a-z]/ } sort keys %number)[0] : "$visit->{step} $visit->{state}";
		$visit->{sn} = "$case->{instance}_" . shift @{ $number{$state} };
		next if !$visit->{asked} || $case->{sim}{suspended};
		$case->{seen} .= " (no $visit->{asked} request of $visit->{step})";
		return 0 unless $held{ $visit->{sn} }{ $visit->{asked} };
	}
	return 1;
}

sub differs
{
	my ($case, $expected) = @_;
	$case->{failed} = 1;
	diag("seed $case->{seed}\n  seen     $case->{seen}\n  expected $expected\n  after    " . join("\n           ", @{ $case->{events} })
		  . "\n  " . $json->encode($case->{definition}));
}

sub wait_for_all
{
	my @open = @_;
	my $end = time() + $PATIENCE;
	while (@open && time() < $end)
	{
		listen_for(0.02) for 1 .. 3;
		my %seen = look(@open);
		@open = grep { !$seen{ $_->{instance} } || !agrees($_, $seen{ $_->{instance} }) } @open;
	}
	differs($_, expected($_)) for @open;
}

# ---- events ----

sub chance { return rand() < $_[0] }
sub pick   { return $_[ int(rand(@_)) ] }

sub body { return { ok => chance(0.75) ? JSON::PP::true : JSON::PP::false, n => 1 + int(rand(9)) } }

# Events are code to be run when it is their turn: what is to be said in SQL, and the answer that this must have.
sub call
{
	my ($case, $sql, $expected) = @_;
	push @{ $case->{events} }, $sql;
	push @{ $case->{sql} }, "SELECT '$case->{instance} ' || ($sql) IS NOT DISTINCT FROM '$case->{instance} ' || $expected;";
}

sub callback
{
	my ($case, $visit) = @_;
	my $sim = $case->{sim};
	my $sn = $visit->{sn};
	if (chance(0.3))
	{
		my $code = pick('E1', 'E2');
		return call($case, "workflow.fail('$sn', '$code')", $sim->fail($visit, $code) ? 'true' : 'false');
	}
	my $body = body();
	my $text = $json->encode($body);
	$body->{ok} = $body->{ok} ? 1 : 0;
	call($case, "workflow.complete('$sn', '$text')", $sim->complete($visit, $body) ? 'true' : 'false');
}

sub reply
{
	my ($case, $visit) = @_;
	my ($kind, $body) = ($visit->{asked}, body());
	my $status = $kind eq 'cancel' ? pick(200, 500) : pick(200, 200, 202, 202, 503, 503, 404);
	push @{ $case->{events} }, "$kind of $visit->{step} ($visit->{sn}) is answered $status " . $json->encode($body);
	answer($visit->{sn}, $kind, $status, $body);
	$visit->{asked} = '' if $case->{sim}{suspended};
	$case->{sim}->reply($visit, $status, { %$body, ok => $body->{ok} ? 1 : 0 });
}

sub operate
{
	my ($case, $visit) = @_;
	my $what = pick('retry', 'skip', 'cancel_visit');
	my $sn = $visit->{sn};
	if    ($what eq 'retry') { $case->{sim}->retry($visit);  call($case, "workflow.retry('$sn')", 'true') }
	elsif ($what eq 'skip') { $case->{sim}->skip($visit, { n => 7 }); call($case, "workflow.skip('$sn', '{\"n\": 7}')", 'true') }
	else { $case->{sim}->cancel_visit($visit); call($case, "workflow.cancel_visit('$sn')", 'true') }
}

sub choices
{
	my ($case) = @_;
	my $sim = $case->{sim};
	my @choices;
	for my $visit ($sim->living)
	{
		my $state = $visit->{state};
		push @choices, ([ \&reply, $visit ]) x 3 if $visit->{asked} && $held{ $visit->{sn} }{ $visit->{asked} };
		push @choices, ([ \&callback, $visit ]) x 2 if Simulator::takes_callback($visit) && $state =~ /calling|retrying|waiting|cancelling/;
		push @choices, [ \&operate, $visit ] if $state eq 'incident' && !$sim->{suspended};
	}
	return @choices;
}

sub play
{
	my ($case) = @_;
	my $sim = $case->{sim};
	my @choices = choices($case);
	if ($sim->{suspended} && (!@choices || chance(0.4)))
	{
		call($case, "workflow.resume($case->{instance})", 'true');
		$sim->resume;
	}
	elsif (!@choices || chance(0.05) || (@{ $case->{events} } > $MOST_EVENTS && !$sim->{reason}))
	{
		call($case, "workflow.cancel($case->{instance})", 'true');
		$sim->cancel;
	}
	elsif (!$sim->{suspended} && !$sim->{reason} && chance(0.08))
	{
		call($case, "workflow.suspend($case->{instance})", 'true');
		$sim->suspend;
	}
	else
	{
		my ($event, $visit) = @{ pick(@choices) };
		$event->($case, $visit);
	}
}

# ---- the game ----

my $port = listen_here();
sql("CREATE SERVER partner FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:$port', allow_private 'true', max_in_flight '1000', timeout '1 h')");

sub start
{
	my ($seed) = @_;
	srand($seed);
	my $definition = ProcessMaker::make();
	my $text = $json->encode($definition);
	$text =~ s/'/''/g;
	sql("SET client_min_messages = warning; SELECT workflow.define('p$seed', '$text')");
	my $case = { seed => $seed, definition => $definition, events => ['start'], sql => [] };
	$case->{instance} = sql("SELECT workflow.start('p$seed')");
	$case->{sim} = Simulator->new($definition);
	return $case;
}

# A worker dies, and with it all processes of the server; or one goes in peace.
sub crash_of_a_worker
{
	my (@cases) = @_;
	return if grep { @{ $_->{sim}{late} } } @cases;
	my $kind = pick('dispatcher', 'executor');
	my $pid = worker_pid($node, $kind, 'postgres') // return;
	my $kill = chance(0.5);
	if ($kill)
	{
		kill 'KILL', $pid;
		wait_until_up();
	}
	else { sql("SELECT pg_terminate_backend($pid)") }
	push @{ $_->{events} }, "$kind " . ($kill ? 'is killed' : 'ends') for @cases;
	return if !$kill && $kind eq 'executor';
	$_->{sim}->crash for @cases;
}

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

sub round
{
	my ($first) = @_;
	my @cases = map { start($first + $_) } 0 .. $AT_ONCE - 1;
	my $turn = 0;
	wait_for_all(@cases);
	while (my @open = grep { !$_->{failed} && $_->{sim}->living } @cases)
	{
		for my $case (@open)
		{
			srand($case->{seed} * 1000 + @{ $case->{events} });
			play($case);
		}
		my @sql = map { splice @{ $_->{sql} } } @open;
		my @wrong = @sql ? grep { $_ ne 't' } split(/\n/, sql(@sql)) : ();
		is("@wrong", '', 'calls are answered as they should be') if @wrong;
		wait_for_all(@open);
		crash_of_a_worker(@cases), wait_for_all(grep { !$_->{failed} } @open) if ++$turn % 6 == 5;
	}
	compare_data($_) for grep { !$_->{failed} } @cases;
	is(scalar(grep { $_->{failed} } @cases), 0, "seeds $first to " . ($first + $AT_ONCE - 1) . ' end as the model says');
}

sub compare_data
{
	my ($case) = @_;
	my $data = $json->encode($json->decode(sql("SELECT data FROM workflow.instances WHERE instance = $case->{instance}")));
	my $expected = $json->encode({ map { $_ => $case->{sim}{data}{$_} + 0 } keys %{ $case->{sim}{data} } });
	$case->{seen} = $data;
	differs($case, $expected) if $data ne $expected;
}


note("seed $SEED");
round($SEED + $_ * $AT_ONCE) for 0 .. $ROUNDS - 1;
$node->stop;
done_testing();
