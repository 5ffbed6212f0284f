#
# Events.pm
#		What may come from outside to an instance that is played: chosen at random, done to it, and told to the worlds that it may be in.
#
#   Events::play($case, $outside, $again)     $again: amid what the event before has set going
#
# A case is {seed, instance, worlds, definition, events, call, who}. Calls are left in `call` as SQL that gives the answer as text, for the caller to
# run, in the role `who` if there is one; what it answers is for $case->{worlds}->answered. Requests are answered at once. Of what leads to too many worlds nothing is done;
# that dies.
#
package Events;

use strict;
use warnings;

use Clients;
use Graph;
use JSON::PP ();
use ProcessMaker;
use Senders;
use Simulator;

my $MOST = 20; # then it is cancelled
my $LATER = 0.25; # of the calls that can be carried out later
our $LAST = 60; # then it is left alone
my $json = JSON::PP->new->canonical->allow_nonref;

sub chance { return rand() < $_[0] }
sub pick   { return $_[ int(rand(@_)) ] }

# As the outside says it, and as simulators take it.
sub body { return { ok => chance(0.75) ? JSON::PP::true : JSON::PP::false, n => 1 + int(rand(9)) } }
sub told { return defined $_[0] ? { %{ $_[0] }, ok => $_[0]{ok} ? 1 : 0 } : undef }
sub quoted { return defined $_[0] ? q[']. $json->encode($_[0]) . q['] : 'NULL' }

# ---- what it happens to ----

sub visit_of
{
	my ($sim, $sn) = @_;
	my ($i) = grep { ($sim->{visits}[$_]{sn} // '') eq $sn } 0 .. $#{ $sim->{visits} };
	return $i;
}

sub nothing_special { return undef }

sub by_number
{
	my ($visit) = @_;
	my $sn = $visit->{sn};
	return sub { return scalar visit_of($_[0], $sn) };
}

# Whatever the view shows of it then, though it may have ended meanwhile; or nothing.
sub by_step
{
	my ($step) = @_;
	return sub { my ($sim) = @_; return (undef, grep { $sim->{visits}[$_]{step} eq $step } 0 .. $#{ $sim->{visits} }) };
}

sub call
{
	my ($case, $sql, $targets, @events) = @_;
	push @{ $case->{events} }, $sql;
	$case->{call} = $sql;
	$case->{worlds}->happens($targets, @events);
}

# One that may be made with mode => 'async', too. What it is about is settled when it is carried out, unless `of` says
# otherwise: `targets` then, or by the call itself. `refused` tells what it answers if it is not even stored; `free`: it names no instance.
sub call_perhaps_later
{
	my ($case, $sql, $targets, $event, %later) = @_;
	return call($case, $sql, $targets, $event) unless chance($LATER);
	my ($stored, $rest) = later($sql);
	push @{ $case->{events} }, "$stored$rest";
	$case->{call} = with_number($stored) . $rest;
	$case->{worlds}->happens($later{of_call} ? $targets : \&nothing_special, sub {
		my ($sim, undef, $i) = @_;
		return '' if $later{of_call} && !defined $i;
		my $refused = $later{refused} && $later{refused}->($sim);
		return $refused if defined $refused;
		return $sim->call_later(!$later{free}, $later{of_call} ? sub { return $i } : $later{targets} // $targets, $event);
	});
}

# The call, and what of the statement comes after it.
sub later
{
	my ($sql) = @_;
	my $stored = $sql =~ s/\)((?: FROM workflow\.visits .*\))?)$/, mode => 'async')/r;
	return ($stored, $1);
}

sub with_number { return $_[0] =~ s/(workflow\..*)/coalesce(($1)::text, '') || '#' || workflow.last_operation()/r }

# In one transaction, so that one has to wait for the other.
sub several_later
{
	my ($case, $visit) = @_;
	my $body = body();
	my @of_visit = (["workflow.complete('$visit->{sn}', " . quoted($body) . ')', by_number($visit), sub { my ($sim, $its) = @_; return $sim->complete($its, told($body)) }]);
	my $set = sub {
		my $data = { v => $_[0] };
		return ["workflow.set_data($case->{instance}, " . quoted($data) . ')', \&nothing_special, sub { return $_[0]->set_data($data) }];
	};
	my @calls = ($set->(0), chance(0.5) ? @of_visit : (), $set->(1 + int(rand(2))), chance(0.2) ? @of_visit : ());
	push @{ $case->{events} }, join(', ', map { (later($_->[0]))[0] } @calls);
	$case->{call} = "concat_ws(' ', " . join(', ', map { with_number((later($_->[0]))[0]) } @calls) . ')';
	$case->{worlds}->happens(\&nothing_special, map { my ($sql, $targets, $event) = @$_; sub { return $_[0]->call_later(1, $targets, $event) } } @calls);
}

# ---- callbacks ----

sub complete
{
	my ($case, $visit) = @_;
	my $body = chance(0.85) ? body() : undef;
	call_perhaps_later($case, "workflow.complete('$visit->{sn}'" . ($body ? ', ' . quoted($body) : '') . ')', by_number($visit),
		sub { my ($sim, $its) = @_; return $sim->complete($its, told($body)) });
}

sub fail
{
	my ($case, $visit) = @_;
	my $code = pick('E1', 'E2');
	my $body = chance(0.6) ? body() : undef;
	call_perhaps_later($case, "workflow.fail('$visit->{sn}', '$code', 'no', " . quoted($body) . ')', by_number($visit),
		sub { my ($sim, $its) = @_; return $sim->fail($its, $code, told($body)) });
}

sub webhook
{
	my ($case, $visit, $outside) = @_;
	my $token = $outside->token($visit->{sn}) // return complete($case, $visit);
	my $body = body();
	call($case, "workflow.callback('$token', " . quoted($body) . ')', by_number($visit),
		sub { my ($sim, $its) = @_; return $sim->webhook($its, told($body)) });
}

# Several in one call, one of them twice perhaps.
sub complete_many
{
	my ($case, $visit) = @_;
	my @numbers = grep { defined } map { $_->{sn} } $case->{worlds}->some->visits;
	my @words = map { { serial_number => $_, data => body(), chance(0.3) ? (fail => { code => pick('E1', 'E2') }) : () } } $visit->{sn}, map { pick(@numbers) } 1 .. 1 + int(rand(2));
	my $one = sub {
		my ($sim, $word) = @_;
		my $i = visit_of($sim, $word->{serial_number});
		return $sim->bring(defined $i ? $sim->{visits}[$i] : undef, told($word->{data}), $word->{fail} && $word->{fail}{code}, {});
	};
	call($case, "(SELECT string_agg(coalesce(error_code, accepted::text), ' ') FROM workflow.complete_many('" . $json->encode(\@words) . "'))", \&nothing_special,
		map { my $word = $_; sub { return $one->($_[0], $word) } } @words);
}

sub callback
{
	my ($case, $visit, $outside) = @_;
	pick(\&complete, \&complete, \&fail, \&webhook, \&complete_many, \&several_later)->($case, $visit, $outside);
}

# Early, to a step that has no number that is known yet.
sub complete_by_step
{
	my ($case, $step) = @_;
	my $body = body();
	call_perhaps_later($case, "(SELECT workflow.complete(serial_number, " . quoted($body) . ") FROM workflow.visits WHERE instance = $case->{instance} AND step = '$step->{step}' LIMIT 1)",
		by_step($step->{step}), sub { my ($sim, $its) = @_; return $its ? $sim->complete($its, told($body)) : '' }, of_call => 1);
}

sub reply
{
	my ($case, $visit, $outside) = @_;
	my ($sn, $body) = ($visit->{sn}, body());
	my $kind = $outside->is_open($sn, 'action') ? 'action' : 'cancel';
	my $status = $kind eq 'cancel' ? pick(200, 500) : pick(200, 200, 202, 202, 503, 503, 404);
	push @{ $case->{events} }, "$kind of $visit->{step} ($sn) is answered $status " . $json->encode($body);
	$case->{worlds}->happens(by_number($visit), sub { my ($sim, $its) = @_; return $sim->reply($its, $kind, $status, told($body)) });
	$outside->answer($sn, $kind, $status, $body);
}

# ---- operators, and the caller ----

# Of one visit, whether it makes sense or not.
sub operate
{
	my ($case, $visit) = @_;
	my ($name, $sn) = (pick(qw(retry skip cancel_visit heartbeat)), $visit->{sn});
	my $data = { n => 7 };
	call($case, "workflow.$name('$sn'" . ($name eq 'skip' ? ', ' . quoted($data) : '') . ')', by_number($visit),
		sub { my ($sim, $its) = @_; return $sim->$name($its, $data) });
}

sub simple
{
	my ($case, $name) = @_;
	call($case, "workflow.$name($case->{instance})", \&nothing_special, sub { return $_[0]->$name });
}

sub cancel
{
	my ($case) = @_;
	call_perhaps_later($case, "workflow.cancel($case->{instance})", \&nothing_special, sub { return $_[0]->cancel });
}

sub set_data
{
	my ($case) = @_;
	my $data = { v => int(rand(3)) };
	call_perhaps_later($case, "workflow.set_data($case->{instance}, " . quoted($data) . ')', \&nothing_special, sub { return $_[0]->set_data($data) });
}

# To the version that it does not have, and that means the same; or not, if something keeps it from that.
sub migrate
{
	my ($case) = @_;
	call($case, "(SELECT left(count(*)::text, 0) FROM workflow.migrate($case->{instance}, (SELECT 3 - version FROM workflow.instances WHERE instance = $case->{instance})))",
		\&nothing_special, sub { return '' });
	return 1;
}

sub move
{
	my ($case, $visit) = @_;
	my $graph = Graph->new($case->{definition});
	my $to = pick(grep { $_ ne $Graph::PROCESS } @{ $graph->{lists}[ $graph->{step}{ $visit->{step} }{list} ]{steps} }) // return 0;
	call($case, "workflow.move('$visit->{sn}', '$to') IS NOT NULL", by_number($visit), sub { return $_[0]->move($_[1], $to) });
	return 1;
}

# The server dies, with all that is under way.
sub crash
{
	my ($case) = @_;
	local $Worlds::patience = 4;
	$case->{worlds}->happens(sub { return $_[0]{suspended} ? (undef, 0) : undef }, sub { return $_[0]->crash($_[1]) });
}

# ---- what it has called ----

sub complete_child
{
	my ($case, $visit) = @_;
	my $body = body();
	call($case, "(SELECT workflow.complete(w.serial_number, " . quoted($body) . ") FROM workflow.visits v JOIN workflow.waiting w ON w.instance = v.child WHERE v.serial_number = '$visit->{sn}')",
		by_number($visit), sub { my ($sim, $its) = @_; return $sim->complete_child($its, told($body)) });
}

sub cancel_child
{
	my ($case, $visit) = @_;
	call($case, "(SELECT workflow.cancel(child) FROM workflow.visits WHERE serial_number = '$visit->{sn}')", by_number($visit),
		sub { my ($sim, $its) = @_; return $sim->cancel_child($its) });
}

# ---- which ----

# As one of the worlds is, which need not be the one that it is in.
sub choices
{
	my ($sim, $outside, $again) = @_;
	my @choices;
	my @numbered = grep { defined $_->{sn} } $sim->visits;
	my @ended = grep { $_->{outcome} } @numbered;
	push @choices, [ \&complete, pick(@ended) ] if @ended && chance(0.1);
	for my $visit (grep { !$_->{outcome} } @numbered)
	{
		my $sn = $visit->{sn};
		push @choices, ([ \&reply, $visit ]) x 3 if $outside->is_open($sn, 'action') || $outside->is_open($sn, 'cancel');
		push @choices, ([ \&callback, $visit ]) x 2 if Simulator::takes_callback($visit) || chance(0.03);
		push @choices, (([ \&complete_child, $visit ]) x 3, [ \&cancel_child, $visit ]) if !$again && Simulator::waits_for_outside($visit);
		push @choices, [ \&operate, $visit ] if $visit->{state} eq 'incident' || chance($sim->{suspended} ? 0.4 : 0.05);
		push @choices, [ \&callback, $visit ] if $visit->{state} eq 'incident' && chance(0.5);
	}
	return @choices;
}

sub of_the_whole
{
	my ($case, $sim, $again) = @_;
	my @living = $sim->living or return;
	my $reason = $sim->{reason};
	my @takers = grep { Simulator::takes_callback({ def => $_ }) } ProcessMaker::all_steps($case->{definition}{steps});
	return (simple($case, 'suspend'), 1) if !$reason && chance(0.06);
	return (set_data($case), 1) if chance(0.06);
	return 1 if $case->{migrates} && chance(0.15) && migrate($case);
	my @numbered = grep { defined $_->{sn} } @living;
	return 1 if @numbered && chance(0.08) && move($case, pick(@numbered));
	return (cancel($case), 1) if $again && chance(0.07);
	return (complete_by_step($case, pick(@takers)), 1) if $again && @takers && chance(0.15);
	return;
}

# Nothing but something that goes on by itself, a statement perhaps: amid that.
sub interfere
{
	my ($case, $sim) = @_;
	my @living = $sim->living or return;
	my @takers = grep { Simulator::takes_callback($_) } @living;
	my @numbered = grep { defined $_->{sn} } @living;
	my $what = pick(qw(suspend cancel set_data), @numbered ? 'move' : (), @takers ? 'complete' : (), $case->{migrates} ? 'migrate' : ());
	if    ($what eq 'set_data') { set_data($case) }
	elsif ($what eq 'migrate')  { migrate($case) }
	elsif ($what eq 'move')     { move($case, pick(@numbered)) }
	elsif ($what eq 'complete') { complete_by_step($case, pick(@takers)->{def}) }
	elsif ($what eq 'cancel')   { cancel($case) }
	else                        { simple($case, $what) }
}

sub play
{
	my ($case, $outside, $again) = @_;
	my $sim = $case->{worlds}->some;
	my @choices = (choices($sim, $outside, $again), $case->{names} ? map { [$_] } (Senders::choices($case, $sim, $again), $case->{names}{topic} ? Clients::choices($case, $sim, $again) : ()) : ());
	return simple($case, 'resume') if $sim->{suspended} && (!@choices || chance(0.4));
	return if of_the_whole($case, $sim, $again);
	return interfere($case, $sim) if $again && !@choices;
	return cancel($case) if !@choices || chance(0.01) || (@{ $case->{events} } > $MOST && !$sim->{reason});
	my ($event, $visit) = @{ pick(@choices) };
	$event->($case, $visit, $outside);
}

1;
