#
# ProcessMaker.pm
#		Makes up processes: any that the model allows, of the keys that it knows, from a seed.
#
#   srand($seed);
#   my $definition = ProcessMaker::make();      as define() wants it, once encoded
#
# Clocks are soon, or in an hour, which is never. Only the main path has those that are soon, so that no two tokens of an instance
# race; branches, which handlers begin beside it, wait for nothing but the outside. The order in which the clocks of one visit
# strike is that of SOON.
#
package ProcessMaker;

use strict;
use warnings;

use JSON::PP ();

# in the order in which they strike, far enough apart for a busy machine
our %SOON = (
	pause     => '1 ms',
	beside    => '100 ms',
	instead   => '400 ms',
	after     => '800 ms',
	confirm   => '1 s',
	heartbeat => '1.2 s',
	timeout   => '2 s');

sub chance { return rand() < $_[0] }
sub pick   { return $_[ int(rand(@_)) ] }
sub true   { return JSON::PP::true }
sub false  { return JSON::PP::false }

# What it does, and what it waits for.
sub action
{
	my ($step, $soon) = @_;
	my $name = $step->{step};
	my $kind = pick(qw(http http http http wait wait wait set sql), $soon ? ('clock') : ());

	if ($kind eq 'http')
	{
		$step->{http} = { server => 'partner', method => 'POST', path => '/action', body => { sn => '${$serial_number}' } };
		$step->{wait} = true if chance(0.3);
		$step->{wait} = { callback => true, when => '$reply.status == 202' } if !$step->{wait} && chance(0.5);
		$step->{retry} = { max => int(rand(3)), delay => pick($SOON{pause}, '1 h') } if chance(0.5);
		$step->{cancel} = { path => '/cancel', body => { sn => '${$serial_number}' }, timeout => $soon ? pick($SOON{confirm}, '1 h') : '1 h' }
		  if chance(0.5);
		$step->{save_reply} = { "reply_$name" => '${$reply.status}' } if chance(0.3);
	}
	elsif ($kind eq 'wait')  { $step->{wait} = true }
	elsif ($kind eq 'set')   { $step->{set}  = { v => int(rand(3)) } }
	elsif ($kind eq 'sql')   { $step->{sql}  = chance(0.7) ? 'SELECT 1 AS n' : 'SELECT 1 / (visit.instance - visit.instance) AS n' }
	elsif ($kind eq 'clock') { $step->{wait} = { after => chance(0.8) ? $SOON{after} : '1 h' } }
	return $kind;
}

sub limits
{
	my ($step, $soon) = @_;
	$step->{success} = '$result.response.ok == true' if chance(0.3);
	$step->{save} = { "save_$step->{step}" => '${$result.response.n ?? 0}' } if chance(0.4);
	$step->{ignore_cancel} = true if chance(0.15);
	$step->{timeout} = $soon && chance(0.5) ? $SOON{timeout} : '1 h' if chance(0.4);
	$step->{heartbeat} = $SOON{heartbeat} if $soon && $step->{wait} && chance(0.25);
}

# Handlers: of outcomes, each named once, and of the clock.
sub handlers
{
	my ($step, $targets, $beside) = @_;
	my @outcomes = sort { rand() <=> 0.5 } qw(FAILED TIMED_OUT DIED CANCELLED SYSTEM_ERROR E1);
	my @catch;

	push @catch, { on => [ splice(@outcomes, 0, 1 + int(rand(2))) ], next => pick(@$targets) } while chance(0.35) && @outcomes > 2;
	push @catch, { on => '*', next => pick(@$targets) } if chance(0.2);
	push @catch, { after => $SOON{beside}, interrupt => false, next => pick(@$beside) } if @$beside && chance(0.3);
	push @catch, { after => $SOON{instead}, next => pick(@$targets) } if @$beside && chance(0.15);
	$step->{catch} = \@catch if @catch;
}

sub route
{
	my ($step, $targets, $may_stop) = @_;
	my $kind = rand();
	if (!@$targets || $kind < 0.1) { $step->{end} = true }
	elsif ($may_stop && $kind < 0.16) { $step->{end} = { error => 'E1', message => 'the end' } }
	elsif ($may_stop && $kind < 0.2) { $step->{end} = { abort => 'enough' } }
	elsif ($kind < 0.4)
	{
		$step->{choose} = [ { when => '$.v == ' . int(rand(3)), next => pick(@$targets) }, { next => pick(@$targets) } ];
		push @{ $step->{choose} }, pop @{ $step->{choose} };
	}
	else { $step->{next} = $targets->[0] }
}

# Steps of that path. Back goes only what the outside has moved, so that no token goes in circles by itself.
sub path
{
	my ($names, $soon, $beside) = @_;
	my @steps;
	for my $i (0 .. $#$names)
	{
		my $step = { step => $names->[$i] };
		my @forward = @$names[ $i + 1 .. $#$names ];
		my $kind = action($step, $soon);
		my $outside = $kind eq 'http' || $kind eq 'wait';
		my @targets = (@forward, $outside && chance(0.3) ? pick(@$names) : ());
		limits($step, $soon) if $outside;
		# a clock is no event from outside
		my @caught = $soon ? @forward : @targets;
		handlers($step, \@caught, $outside ? $beside : []) if @caught && ($outside || $kind eq 'sql');
		route($step, \@targets, $soon);
		push @steps, $step;
	}
	return @steps;
}

sub targets
{
	my ($step) = @_;
	return map { $_->{next} } grep { exists $_->{next} } $step, @{ $step->{choose} // [] }, @{ $step->{catch} // [] };
}

# What nothing leads to is no part of a process.
sub reachable
{
	my (@steps) = @_;
	my %step = map { $_->{step} => $_ } @steps;
	my %seen;
	my @open = ($steps[0]{step});
	while (defined(my $name = shift @open))
	{
		push @open, targets($step{$name}) unless $seen{$name}++;
	}
	return grep { $seen{ $_->{step} } } @steps;
}

sub make
{
	my @beside = map { "b$_" } 1 .. 2;
	my @steps = (path([ map { "m$_" } 1 .. 2 + int(rand(5)) ], 1, \@beside), path(\@beside, 0, []));
	return { data => { v => 0 }, steps => [ reachable(@steps) ] };
}

1;
