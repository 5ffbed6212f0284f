#
# Clients.pm
#		People who have tasks, and workers who fetch work, of an instance that is played, for Events.pm.
#
#   Clients::choices($case, $sim, $again)     as closures; $again: amid what the event before has set going
#
package Clients;

use strict;
use warnings;

use Events;
use JSON::PP ();
use OfferMaker;
use Simulator;
use StepMaker qw(chance pick $NEVER $SHORT);

my %LOCK = (long => $NEVER, short => $SHORT);

# ---- who calls ----

# Somebody without a privilege whose task it was may have waited for those who are busy with the instance.
sub call
{
	my ($case, $sql, $visit, $by, $again, $event, $refused) = @_;
	my $waits = $again && !Simulator::has_privilege($by);
	my $its = sub { my ($sim) = @_; my $i = Events::visit_of($sim, $visit->{sn}); return defined $i ? $sim->{visits}[$i] : undef };
	my @call = ($case, $sql, sub { return $waits ? (0, 1) : 0 }, sub { my ($sim, undef, $let_in) = @_; return $event->($sim, $its->($sim), { %$by, let_in => $let_in }) });
	# who carries it out later waits for nobody
	if ($refused) { Events::call_perhaps_later(@call, targets => sub { return 0 }, refused => sub { my ($sim) = @_; return $refused->($its->($sim), $by) }) }
	else          { Events::call(@call) }
	$case->{who} = $by->{who} unless Simulator::is_admin($by);
	$case->{events}[-1] .= " by $by->{who}";
}

# What a call that is stored answers at once, if it is not.
sub not_admitted { return Simulator::is_admitted(@_) ? undef : '42704' }

sub somebody { return { who => pick(@OfferMaker::PEOPLE, @OfferMaker::PEOPLE, @OfferMaker::PEOPLE, 'admin', 'service') } }

# ---- tasks ----

sub claim
{
	my ($case, $visit, $again) = @_;
	my $person = chance(0.2) ? 'cid' : undef;
	call($case, "workflow.claim('$visit->{sn}'" . ($person ? ", '$person'" : '') . ')', $visit, somebody(), $again, sub { my ($sim, $its, $by) = @_; return $sim->claim($its, $by, $person) },
		sub { return $_[1]{who} eq 'service' ? '42501' : not_admitted(@_) });
}

sub unclaim
{
	my ($case, $visit, $again) = @_;
	call($case, "workflow.unclaim('$visit->{sn}')", $visit, somebody(), $again, sub { my ($sim, $its, $by) = @_; return $sim->unclaim($its, $by) });
}

sub reassign
{
	my ($case, $visit, $again) = @_;
	my $role = pick($OfferMaker::ALL, @OfferMaker::PEOPLE);
	call($case, "workflow.reassign('$visit->{sn}', '$role')", $visit, somebody(), $again, sub { my ($sim, $its, $by) = @_; return $sim->reassign($its, $by, $role) });
}

sub complete
{
	my ($case, $visit, $again, $by) = @_;
	my $body = chance(0.85) ? Events::body() : undef;
	my $token = defined $by->{fetch} ? ", token('$visit->{sn}', $by->{fetch})" : '';
	call($case, "workflow.complete('$visit->{sn}', " . Events::quoted($body) . "$token)", $visit, $by, $again,
		sub { my ($sim, $its, $who) = @_; return $sim->complete($its, Events::told($body), $who) }, \&not_admitted);
}

sub fail
{
	my ($case, $visit, $again, $by) = @_;
	my $code = pick('E1', 'E2', 'E3');
	my $body = chance(0.6) ? Events::body() : undef;
	$by = { %$by, no_retry => 1 } if chance(0.2);
	my $token = defined $by->{fetch} ? ", lock_token => token('$visit->{sn}', $by->{fetch})" : '';
	call($case, "workflow.fail('$visit->{sn}', '$code', 'no', " . Events::quoted($body) . ($by->{no_retry} ? ', retry => false' : '') . "$token)", $visit, $by, $again,
		sub { my ($sim, $its, $who) = @_; return $sim->fail($its, $code, Events::told($body), $who) }, \&not_admitted);
}

# Several in one call, of tasks and work. Who may do that is settled before any of it is done.
sub complete_many
{
	my ($case, $visit, $again, @others) = @_;
	my $who = $again ? pick(qw(admin service)) : pick(@OfferMaker::PEOPLE, qw(admin service));
	my @words = map { { sn => $_->{sn}, data => Events::body(), by => { who => $who, %{ fetch_of($_) } } } } $visit, map { pick(@others) } 1 .. 1 + int(rand(2));
	for my $word (@words)
	{
		$word->{by}{who} = $who;
		delete $word->{by}{fetch} if chance($who =~ /admin|service/ ? 0.3 : 0.9);
		next unless chance(0.3);
		$word->{code} = pick('E1', 'E2', 'E3');
		$word->{by}{no_retry} = 1 if chance(0.3);
	}
	my $entry = sub {
		my ($word) = @_;
		my @fail = $word->{code} ? ("'fail', json_build_object('code', '$word->{code}'" . ($word->{by}{no_retry} ? ", 'retry', false" : '') . ')') : ();
		my @token = defined $word->{by}{fetch} ? "'lock_token', token('$word->{sn}', $word->{by}{fetch})" : ();
		return 'json_build_object(' . join(', ', "'serial_number', '$word->{sn}'", "'data', " . Events::quoted($word->{data}) . '::json', @fail, @token) . ')';
	};
	my $its = sub { my ($sim, $word) = @_; my $i = Events::visit_of($sim, $word->{sn}); return defined $i ? $sim->{visits}[$i] : undef };
	my $admit = sub { my ($sim) = @_; $sim->{admitted} = { map { $_->{sn} => Simulator::is_admitted($its->($sim, $_), $_->{by}) } @words }; return undef };
	my @bring = map { my $word = $_; sub {
		my ($sim) = @_;
		return $sim->bring($its->($sim, $word), Events::told($word->{data}), $word->{code}, { %{ $word->{by} }, let_in => $sim->{admitted}{ $word->{sn} } });
	} } @words;
	Events::call($case, "(SELECT string_agg(coalesce(error_code, accepted::text), ' ') FROM workflow.complete_many(json_build_array(" . join(', ', map { $entry->($_) } @words) . ')))', \&Events::nothing_special, $admit, @bring);
	$case->{who} = $who unless $who eq 'admin';
	$case->{events}[-1] .= " by $who";
}

# ---- work ----

# All that he may get of those that there are.
sub some_of
{
	my ($n, @ids) = @_;
	return [@ids] if @ids <= $n;
	return map { [$_] } @ids if $n == 1;
	my ($first, @rest) = @ids;
	return ((map { [ $first, @$_ ] } some_of($n - 1, @rest)), some_of($n, @rest));
}

sub fetch
{
	my ($case) = @_;
	my ($n, $lock) = (pick(1, 1, 2, 100), pick('long', 'long', 'short'));
	Events::call($case, "fetch_work('$case->{names}{topic}', $n, '$LOCK{$lock}')", sub { return some_of($n, $_[0]->fetchable) }, sub {
		my ($sim, undef, $ids) = @_;
		my $number = sub { return $_[0] eq '*' ? 9e15 : ($_[0] =~ /_(\d+)/)[0] };
		return join(', ', map { "@$_" } sort { $a->[0] cmp $b->[0] || $a->[1] cmp $b->[1] || $number->($a->[2]) <=> $number->($b->[2]) } $sim->fetch($lock, @$ids));
	});
}

# With the token of the last fetch, or of one before.
sub fetch_of
{
	my ($visit) = @_;
	my $n = $visit->{fetches} // 1;
	return { who => pick(qw(admin service)), fetch => chance(0.8) ? $n : 1 + int(rand($n)) };
}

sub keep_lock
{
	my ($case, $visit, $again) = @_;
	my $by = fetch_of($visit);
	# of a lock that has run out nobody counts the silence, even if it is prolonged
	my ($what, $lock, $token) = (pick(qw(release heartbeat), $visit->{def}{heartbeat} ? () : 'extend'), pick(qw(long short)), "token('$visit->{sn}', $by->{fetch})");
	my $sql = $what eq 'release' ? "release('$visit->{sn}', $token)" : $what eq 'extend' ? "extend('$visit->{sn}', '$LOCK{$lock}', $token) IS NOT NULL" : "heartbeat('$visit->{sn}', NULL, $token)";
	call($case, "workflow.$sql", $visit, $by, $again, sub {
		my ($sim, $its) = @_;
		return $what eq 'release' ? $sim->release($its, $by->{fetch}) : $what eq 'extend' ? $sim->extend($its, $by->{fetch}, $lock) : $sim->heartbeat_of_worker($its, $by->{fetch});
	});
}

# ---- which ----

sub of_task
{
	my ($case, $visit, $again) = @_;
	return (map({ my $change = $_; sub { $change->($case, $visit, $again) } } \&claim, pick(\&claim, \&unclaim, \&reassign)),
		(sub { complete($case, $visit, $again, somebody()) }) x 2, sub { fail($case, $visit, $again, somebody()) });
}

sub of_work
{
	my ($case, $visit, $again) = @_;
	return sub { pick(\&complete, \&fail)->($case, $visit, $again, { who => pick(qw(admin service)) }) } unless $visit->{fetches};
	return ((sub { keep_lock($case, $visit, $again) }) x 2, (sub { complete($case, $visit, $again, fetch_of($visit)) }) x 2, (sub { fail($case, $visit, $again, fetch_of($visit)) }) x 2);
}

sub choices
{
	my ($case, $sim, $again) = @_;
	my @choices;
	my @numbered = grep { defined $_->{sn} && Simulator::offers_of($_->{def}) } $sim->visits;
	my @offer = grep { Simulator::task_of($_) || Simulator::work_of($_) } @numbered;
	push @choices, (sub { fetch($case) }) x 3 if $sim->fetchable || chance(0.05);
	push @choices, sub { complete_many($case, pick(@offer), $again, @numbered) } if @offer;
	for my $visit (@numbered)
	{
		my $is_rare = $visit->{outcome} ? 0.03 : 0.15;
		push @choices, of_task($case, $visit, $again) if Simulator::task_of($visit) || ($visit->{claimants} ? chance(0.4) : chance($is_rare));
		push @choices, of_work($case, $visit, $again) if Simulator::work_of($visit) || ($visit->{fetches} && chance($is_rare * 2));
	}
	return @choices;
}

1;
