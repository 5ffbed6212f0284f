#
# ProcessMaker.pm
#		Makes up processes: any that the model allows, of the keys that it knows, from a seed.
#
#   srand($seed);
#   my $definition = ProcessMaker::make();      as define() wants it, once encoded; with about so many steps
#   my $attachment = ProcessMaker::attachment($definition);     {serial_step}, or undef: it is started by a call
#
# Some have a single token, but for what begins beside it; those are made here. Others have several: BranchMaker.pm. The main path has
# clocks, and so have branches, which handlers begin beside it. Nothing goes in circles by itself: back goes only what the outside has moved.
#
package ProcessMaker;

use strict;
use warnings;

use BranchMaker;
use StepMaker qw(chance pick true is_soon clock_of %SOON $NEVER http sql notify limits handlers);

# ---- steps ----

sub action
{
	my ($step, $soon) = @_;
	my $kind = pick(qw(http http http http wait wait wait set set sql sql sql notify), $soon ? ('clock') : ());

	if    ($kind eq 'http')   { http($step, $soon) }
	elsif ($kind eq 'sql')    { sql($step, $soon) }
	elsif ($kind eq 'notify') { notify($step) }
	elsif ($kind eq 'wait')   { $step->{wait} = true }
	elsif ($kind eq 'set')    { $step->{set} = { v => int(rand(3)) } }
	elsif ($kind eq 'clock')  { $step->{wait} = { clock_of('after', chance(0.8)) } }
	return $kind;
}

sub route
{
	my ($step, $targets, $stops) = @_;
	my $kind = rand();
	if (!@$targets || $kind < 0.06) { $step->{end} = true }
	elsif ($kind < 0.06 + $stops) { $step->{end} = chance(0.5) ? { error => 'E1', message => 'the end' } : { abort => 'enough' } }
	elsif ($kind < 0.4)
	{
		$step->{choose} = [ { when => '$.v == ' . int(rand(3)), next => pick(@$targets) }, { next => pick(@$targets) } ];
	}
	else { $step->{next} = chance(0.7) ? $targets->[0] : pick(@$targets) }
}

sub path
{
	my ($names, $soon, $beside) = @_;
	my @steps;
	for my $i (0 .. $#$names)
	{
		my $step = { step => $names->[$i] };
		my @forward = @$names[ $i + 1 .. $#$names ];
		my $kind = action($step, $soon);
		my $outside = $kind eq 'http' || $step->{wait} && $kind ne 'clock';
		my @targets = (@forward, $kind =~ /http|wait/ && chance(0.5) ? pick(@$names) : ());
		limits($step, $soon) if $outside;
		# a clock is no event from outside
		my @caught = $soon || $kind !~ /http|wait/ ? @forward : @targets;
		handlers($step, \@caught, $outside ? $beside : [], $soon && $outside) if @caught && $kind !~ /set|clock/;
		route($step, \@targets, @$beside ? 0.07 : 0.03);
		$step->{async} = true if chance(0.15);
		push @steps, $step;
	}
	return @steps;
}

# ---- all of it ----

sub caught  { return map { $_->{next} } @{ $_[0]{catch} // [] } }
sub targets { my ($step) = @_; return (caught($step), map { $_->{next} } grep { exists $_->{next} } $step, @{ $step->{choose} // [] }) }

# Names of the steps that these lead to, and of those themselves.
sub behind
{
	my ($steps, @open) = @_;
	my %step = map { $_->{step} => $_ } @$steps;
	my %seen;
	while (defined(my $name = shift @open))
	{
		push @open, targets($step{$name}) unless $seen{$name}++;
	}
	return \%seen;
}

# What was caught is saved where something can have been.
sub save_caught
{
	my ($steps) = @_;
	my $handled = behind($steps, map { caught($_) } @$steps);
	for my $step (grep { $handled->{ $_->{step} } } @$steps)
	{
		my $key = $step->{set} ? 'set' : $step->{http} || $step->{sql} ? 'save_reply' : 'save';
		next if chance(0.2);
		$step->{$key}{"caught_$step->{step}"} = '${$caught.result.response.n ?? 0}';
		$step->{$key}{"error_$step->{step}"} = '${$caught.error.code ?? $caught.step ?? 0}';
	}
}

sub make { return chance(0.3) ? plain() : BranchMaker::make(@_) }

# One with a single token, but for what begins beside it.
sub plain
{
	my @beside = map { "b$_" } 1 .. 2;
	my @steps = (path([ map { "m$_" } 1 .. 3 + int(rand(5)) ], 1, \@beside), path(\@beside, chance(0.4), []));
	my $reached = behind(\@steps, $steps[0]{step});

	@steps = grep { $reached->{ $_->{step} } } @steps;
	save_caught(\@steps);
	return { data => { v => 0 }, steps => \@steps, chance(0.2) ? (retry => { max => 1, delay => $SOON{pause} }) : () };
}

# At any depth.
sub all_steps { return map { ($_, $_->{steps} ? all_steps($_->{steps}) : ()) } @{ $_[0] } }

sub steps_of_no_item { return map { ($_, $_->{steps} ? steps_of_no_item($_->{steps}) : ()) } grep { !$_->{each} } @{ $_[0] } }

sub takes_callback
{
	my ($step) = @_;
	my $wait = $step->{wait};
	return $wait && ref $wait ne 'HASH' || grep { $_->{callback} } $step->{first_of} ? @{ $step->{first_of} } : $wait ? $wait : ();
}

# Does the row that starts an instance show the number of its first visit, and later that of this step alone?
sub attachment
{
	my ($definition) = @_;
	return undef unless chance(0.3);
	my @waits = grep { takes_callback($_) } steps_of_no_item($definition->{steps});
	return { serial_step => @waits && chance(0.4) ? pick(@waits)->{step} : undef };
}

1;
